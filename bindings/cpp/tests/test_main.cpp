// Runs the tests of mullama.hpp on the model that repeats.
#include "check.hpp"

#include <atomic>
#include <cstdlib>
#include <iostream>

namespace {
std::atomic<int> checks;
}

void check(bool holds, const char *what, const char *file, int line) {
    checks++;
    if (!holds) {
        std::cerr << file << ":" << line << ": " << what << " does not hold\n";
        std::abort();
    }
}

bool fails(mullama::Status status, const std::string &text, const std::function<void()> &call) {
    try {
        call();
    } catch (const mullama::Error &error) {
        const std::string message = error.what();
        if (error.status() == status && message.find(text) != std::string::npos) {
            return true;
        }
        std::cerr << error.name() << ": " << message << "\n";
        return false;
    }
    std::cerr << "no error\n";
    return false;
}

const mullama::Runtime &runtime() {
    static const mullama::Runtime echo(R"({"echo":true})");
    return echo;
}

const mullama::Model &model() {
    static const mullama::Model echo = runtime().load("echo");
    return echo;
}

std::string say(const std::string &text) {
    return mullama::chat_request({{"system", "S"}, {"user", text}});
}

int main() {
    mullama::noop();
    CHECK(std::string(mullama::version()).size() > 0);
    CHECK(mullama::status_name(mullama::Status::ContextFull) == std::string("context_full"));
    CHECK(mullama::status_name(mullama::Status::TooSmall) == std::string("too_small"));
    test_json();
    test_ownership();
    test_streams();
    test_processes();
    test_embed();
    // The runtime, the model and this stream are still open when the process ends.
    static mullama::Stream open = model().chat(say("abc"));
    CHECK(open.next()->text == "a");
    std::cout << "ok, " << checks << " checks\n";
    return 0;
}
