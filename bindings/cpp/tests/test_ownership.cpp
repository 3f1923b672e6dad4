// Who owns what: moves, closing, and errors that leave nothing behind.
#include "check.hpp"

#include <memory>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

using mullama::Model, mullama::Options, mullama::Runtime, mullama::Status, mullama::Stream;

template <typename Owner> constexpr bool moves_only() {
    return !std::is_copy_constructible_v<Owner> && !std::is_copy_assignable_v<Owner> &&
           std::is_nothrow_move_constructible_v<Owner> &&
           std::is_nothrow_move_assignable_v<Owner> && std::is_nothrow_destructible_v<Owner>;
}
static_assert(moves_only<Runtime>() && moves_only<Model>() && moves_only<Stream>());

// The status of a handle that an owner may have closed.
static mullama_status state(mullama_model *handle) {
    char *json = nullptr;
    const mullama_status status = mullama_model_info(handle, &json, nullptr);
    if (status == MULLAMA_OK) {
        mullama_string_free(json);
    }
    return status;
}

static void runtimes() {
    Options options;
    options.echo = true;
    Runtime echo(options);
    CHECK(echo.info().find("\"engine\":\"echo\"") != std::string::npos);
    CHECK(echo.models().find("\"echo\"") != std::string::npos);
    CHECK(fails(Status::Invalid, "ecko", [] { Runtime(R"({"ecko":true})"); }));
    CHECK(fails(Status::Invalid, "key", [] {
        Options only_key;
        only_key.key = "a\"b";
        Runtime opened(only_key);
    }));
    CHECK(fails(Status::LibraryMissing, "/no \"where", [] {
        Options nowhere;
        nowhere.library_dir = "/no \"where";
        Runtime opened(nowhere);
    }));
    const Model kept = echo.load("echo");
    echo.close();
    echo.close();
    CHECK(fails(Status::Closed, "runtime is closed", [&] { echo.info(); }));
    CHECK(fails(Status::Closed, "runtime is closed", [&] { echo.load("echo"); }));
    CHECK(kept.chat(say("a")).collect().text == "a"); // a model outlives its runtime
}

static void moves() {
    Model first = runtime().load("echo"), second = runtime().load("echo");
    mullama_model *const one = first.handle(), *const two = second.handle();
    second = std::move(first);
    CHECK(state(two) == MULLAMA_ERR_CLOSED && state(one) == MULLAMA_OK);
    CHECK(first.handle() == nullptr && second.handle() == one);
    CHECK(fails(Status::Closed, "model is NULL", [&] { first.info(); }));
    Model &same = second;
    second = std::move(same);
    CHECK(state(one) == MULLAMA_OK);
    {
        const Model third(std::move(second));
        CHECK(third.handle() == one);
    }
    CHECK(state(one) == MULLAMA_ERR_CLOSED);
    const Model none;
    CHECK(fails(Status::Closed, "NULL", [&] { none.chat(say("a")); }));
    none.close();
}

static void models() {
    const Model small = runtime().load("echo", R"({"ctx_size":64})");
    CHECK(small.info().find("\"ctx_size\":64") != std::string::npos);
    CHECK(fails(Status::NotFound, "other", [] { runtime().load("other"); }));
    CHECK(fails(Status::Invalid, "contxt", [] { runtime().load("echo", R"({"contxt":1})"); }));
    CHECK(fails(Status::ContextFull, "100", [&] { small.chat(say(std::string(100, 'a'))); }));
    CHECK(fails(Status::Invalid, "zero byte", [] { runtime().load(std::string("echo\0x", 6)); }));
    CHECK(fails(Status::Invalid, "zero byte", [&] { small.chat(say("a") + '\0'); }));
    Stream stream = small.chat(say("abc"));
    small.close();
    small.close();
    CHECK(fails(Status::Closed, "model is closed", [&] { small.tokenize("a"); }));
    CHECK(fails(Status::Closed, "model is closed", [&] { small.detokenize({1}); }));
    CHECK(fails(Status::Closed, "model is closed", [&] { small.render(say("a")); }));
    stream.collect(); // ends
}

static void tokens() {
    const std::string odd("a\0\xff\xfe", 4); // no UTF-8, and a zero byte
    CHECK(model().tokenize(odd) == std::vector<std::int32_t>({'a', 0, 0xff, 0xfe}));
    CHECK(model().detokenize(model().tokenize(odd, true, true)) == odd);
    CHECK(model().tokenize("").empty() && model().detokenize({}).empty());
    const std::string large(100000, 'x');
    CHECK(model().detokenize(model().tokenize(large)) == large);
    CHECK(fails(Status::Invalid, "not UTF-8", [] { model().chat(say("a\xff")); }));
    CHECK(fails(Status::Invalid, "not UTF-8", [] { runtime().load("caf\xe9.gguf"); }));
    CHECK(model().render(say("<b>\n")) == "system: S\nuser: <b>\n\n");
}

static void progress() {
    float seen = 0;
    runtime().load("echo", "{}", [&](float fraction) {
        seen = fraction;
        return true;
    });
    CHECK(seen == 1);
    std::string thrown;
    try {
        runtime().load("echo", "{}", [](float) -> bool { throw std::logic_error("mine"); });
    } catch (const std::logic_error &error) {
        thrown = error.what();
    }
    CHECK(thrown == "mine");
}

// A model may be shared by pointers, and be closed while others use it.
static void shared() {
    auto shared = std::make_shared<const Model>(runtime().load("echo"));
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++) {
        threads.emplace_back([shared] {
            for (int round = 0; round < 100; round++) {
                try {
                    const std::string text = shared->chat(say("a")).collect().text;
                    CHECK(text == "a" || text.empty()); // the close ended it
                } catch (const mullama::Error &error) {
                    CHECK(error.status() == Status::Closed);
                }
            }
        });
    }
    shared->close();
    for (std::thread &thread : threads) {
        thread.join();
    }
}

void test_ownership() {
    runtimes();
    moves();
    models();
    tokens();
    progress();
    shared();
}
