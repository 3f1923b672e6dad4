// The calls from C++: README.md says what they are.
#include "measure.h"

#include <mullama.hpp>

#include <iostream>
#include <string>
#include <vector>

using mullama::Chunk;
using mullama::Model;
using mullama::Runtime;
using mullama::Stream;

static Stream generate(const Model &model, const std::string &prompt, int tokens) {
    return model.generate(R"({"raw":true,"prompt":")" + prompt +
                          R"(","options":{"temperature":0,"num_predict":)" +
                          std::to_string(tokens) + "}}");
}

// Reads an answer to its end, and counts its tokens.
static double drain(Stream stream) {
    std::size_t tokens = 0;
    for (const Chunk &chunk : stream) {
        tokens += chunk.tokens.size();
    }
    return static_cast<double>(tokens);
}

static void calls(const std::string &path) {
    static double noop[SAMPLES], tokenize[SAMPLES];
    const Runtime runtime;
    const Model model = runtime.load(path, R"({"vocab_only":true})");
    MEASURE(noop, mullama::noop());
    MEASURE(tokenize, model.tokenize(TEXT));
    print_two("noop", noop, "tokenize", tokenize, SAMPLES);
}

static void delays() {
    std::vector<double> delay;
    const Runtime runtime(R"({"echo":true})");
    const Model model = runtime.load("clock");
    Stream stream = generate(model, "?", PARTS);
    for (const Chunk &chunk : stream) {
        const std::int64_t now = now_ns();
        if (!chunk.done) {
            delay.push_back(static_cast<double>(now - std::stoll(std::string(chunk.text))));
        }
    }
    std::printf("{");
    print_samples("delay", delay.data(), static_cast<int>(delay.size()));
    std::printf("}\n");
}

// Does some work once to warm up and then some times more, and prints tokens and seconds.
template <typename Work> static void repeat(int reps, const Work &work) {
    std::vector<double> tokens, seconds;
    for (int rep = -1; rep < reps; rep++) {
        const std::int64_t start = now_ns();
        const double count = work();
        if (rep >= 0) {
            tokens.push_back(count);
            seconds.push_back(static_cast<double>(now_ns() - start) / 1e9);
        }
    }
    print_two("tokens", tokens.data(), "seconds", seconds.data(), reps);
}

static void stream(const std::string &path) {
    const Runtime runtime;
    const Model model = runtime.load(path, R"({"slots":1})");
    repeat(STREAM_REPS, [&] { return drain(generate(model, STORY, STREAM_TOKENS)); });
}

static void concurrent(const std::string &path) {
    const Runtime runtime;
    const Model model = runtime.load(path, R"({"slots":16,"ctx_size":512})");
    repeat(REQUEST_REPS, [&] {
        std::vector<Stream> streams;
        for (int i = 0; i < REQUESTS; i++) {
            streams.push_back(generate(model, std::to_string(i) + ". " STORY, REQUEST_TOKENS));
        }
        double tokens = 0;
        for (Stream &stream : streams) {
            tokens += drain(std::move(stream));
        }
        return tokens;
    });
}

int main(int argc, char **argv) try {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "delays") {
        delays();
    } else if (argc == 3 && what == "calls") {
        calls(argv[2]);
    } else if (argc == 3 && what == "stream") {
        stream(argv[2]);
    } else if (argc == 3 && what == "concurrent") {
        concurrent(argv[2]);
    } else {
        std::cerr << "usage: cpp calls|delays|stream|concurrent [MODEL]\n";
        return 2;
    }
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
