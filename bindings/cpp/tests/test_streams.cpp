// Answers: as ranges, left half way, cancelled, and several at once.
#include "check.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <thread>
#include <vector>
#if __cplusplus >= 202002L
#include <ranges>
#include <span>
static_assert(std::ranges::input_range<mullama::Stream>);
static_assert(std::is_constructible_v<std::span<const std::int32_t>, const mullama::Tokens &>);
#endif

using mullama::Answer, mullama::Chunk, mullama::Status, mullama::Stream;

static bool is_closed(mullama_stream *handle) {
    return mullama_stream_cancel(handle, nullptr) == MULLAMA_ERR_CLOSED;
}

static void parts() {
    Stream stream = model().chat(say("h\xc3\xa9!"));
    std::vector<std::string> texts;
    std::vector<std::int32_t> tokens;
    for (const Chunk &part : stream) {
        texts.emplace_back(part.text);
        tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
        CHECK(part.thinking.empty() && part.done == !part.json.empty());
        CHECK(part.tokens.size() == part.text.size());
    }
    CHECK(texts == std::vector<std::string>({"h", "\xc3\xa9", "!", ""}));
    CHECK(tokens == std::vector<std::int32_t>({'h', 0xc3, 0xa9, '!'}));
    CHECK(!stream.next() && stream.begin() == stream.end()); // it is over, again and again

    Stream counted = model().chat(say("abc"));
    CHECK(std::count_if(counted.begin(), counted.end(),
                        [](const Chunk &part) { return part.text.size() == 1; }) == 3);
    Stream half = model().chat(say("abc"));
    CHECK(half.begin()->text == "a" && half.next()->text == "b");
    CHECK(half.begin()->text == "c" && half.collect().text == "");
}

static void answers() {
    const Answer answer = model().generate(mullama::generate_request("a\"b")).collect();
    CHECK(answer.text == "a\"b" && answer.thinking == "" && answer.done_reason == "stop");
    CHECK(answer.prompt_eval_count == 3 && answer.eval_count == 3 && answer.cached_tokens == 0);
    CHECK(mullama::field(answer.json, "done") == "true");
    const char *two = R"({"options":{"num_predict":2}})";
    CHECK(model().generate(mullama::generate_request("abc", two)).collect().done_reason ==
          "length");
    CHECK(fails(Status::Invalid, "prompt", [] { model().generate("{}"); }));
    CHECK(fails(Status::Invalid, "messages", [] { model().chat("{}"); }));
    CHECK(fails(Status::Invalid, "JSON", [] { model().chat("{"); }));
}

static void left_half_way() {
    mullama_stream *handle = nullptr;
    {
        Stream stream = model().chat(say("abc"));
        handle = stream.handle();
        for (const Chunk &part : stream) {
            CHECK(part.text == "a");
            break;
        }
        CHECK(!is_closed(handle)); // the rest could still be read
    }
    CHECK(is_closed(handle));
    bool caught = false;
    try {
        Stream stream = model().chat(say("abc"));
        handle = stream.handle();
        for (const Chunk &part : stream) {
            throw std::runtime_error(std::string(part.text));
        }
    } catch (const std::runtime_error &error) {
        caught = error.what() == std::string("a");
    }
    CHECK(caught && is_closed(handle));
}

static void closing() {
    Stream stream = model().chat(say("abc"));
    stream.close();
    stream.close();
    CHECK(fails(Status::Closed, "stream is closed", [&] { stream.next(); }));
    CHECK(fails(Status::Closed, "stream is closed", [&] { stream.begin(); }));
    CHECK(fails(Status::Closed, "stream is closed", [&] { stream.cancel(); }));
    Stream none;
    CHECK(fails(Status::Closed, "NULL", [&] { none.collect(); }));
    Stream first = model().chat(say("abc"));
    CHECK(first.next()->text == "a");
    Stream second(std::move(first));
    CHECK(second.next()->text == "b");
    mullama_stream *const old = second.handle();
    second = model().chat(say("xyz"));
    CHECK(is_closed(old) && second.collect().text == "xyz");
}

static void cancelled() {
    Stream stream = model().chat(say("abcdef"));
    CHECK(stream.next()->text == "a");
    std::thread other([&] { stream.cancel(); });
    other.join();
    const Answer answer = stream.collect();
    CHECK(answer.text == "" && answer.done_reason == "cancelled" && answer.eval_count == 1);
}

static void several_at_once() {
    const std::string text = "h\xc3\xa9llo", alone = model().chat(say(text)).collect().text;
    std::vector<std::string> answers(8);
    std::vector<std::thread> threads;
    for (std::string &answer : answers) {
        threads.emplace_back([&] { answer = model().chat(say(text)).collect().text; });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    CHECK(answers == std::vector<std::string>(8, alone));
}

void test_streams() {
    parts();
    answers();
    left_half_way();
    closing();
    cancelled();
    several_at_once();
}
