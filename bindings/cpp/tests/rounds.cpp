// As rounds.c in echo mode, with what mullama.hpp closes.
#include <mullama.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <limits>

#include <unistd.h>

static long resident() {
    long size = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> size >> pages;
    return pages * sysconf(_SC_PAGESIZE);
}

static void must(bool holds) {
    if (!holds) {
        std::cerr << "rounds: a round went wrong\n";
        std::exit(1);
    }
}

static void round_of_calls() {
    const std::string request = R"({"prompt":"Hello, world!"})";
    const mullama::Runtime runtime(R"({"echo":true})");
    const mullama::Model model = runtime.load("echo", "{}", [](float) { return true; });
    must(!model.info().empty());
    must(model.detokenize(model.tokenize("Hello")) == "Hello");
    must(model.generate(request).collect().text == "Hello, world!");
    mullama::Stream left = model.generate(request);
    for (const mullama::Chunk &chunk : left) {
        must(chunk.text == "H");
        break;
    }
    try {
        model.generate("{");
        must(false);
    } catch (const mullama::Error &error) {
        must(error.status() == mullama::Status::Invalid);
    }
}

static long least_of(int rounds) {
    long least = std::numeric_limits<long>::max();
    for (int i = 0; i < rounds; i++) {
        round_of_calls();
        least = std::min(least, resident());
    }
    return least;
}

int main() {
    const int all = 10000, window = all / 10;
    least_of(window);
    const long before = least_of(window);
    least_of(all - 3 * window);
    const long grown = least_of(window) - before;
    std::cout << all << " rounds in C++: " << before / 1024 << " KB after " << window << ", "
              << grown / 1024 << " KB since\n";
    return grown <= (2 << 20) ? 0 : 1;
}
