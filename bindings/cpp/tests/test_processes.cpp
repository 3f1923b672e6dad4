// What happens in a child of fork().
#include "check.hpp"

#include <sys/wait.h>
#include <unistd.h>

using mullama::Status, mullama::Stream;

// The child's part: every call says what to do, and destructors do nothing.
static void in_the_child(Stream &stream) {
    CHECK(fails(Status::Forked, "child", [] { mullama::noop(); }));
    CHECK(fails(Status::Forked, "child", [] { mullama::Runtime opened; }));
    CHECK(fails(Status::Forked, "child", [] { model().tokenize("a"); }));
    CHECK(fails(Status::Forked, "child", [&] { stream.collect(); }));
    const Stream gone(std::move(stream));
}

void test_processes() {
    Stream stream = model().chat(say("abc"));
    CHECK(stream.next()->text == "a");
    const pid_t child = fork();
    if (child == 0) {
        alarm(60); // instead of hanging
        in_the_child(stream);
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(stream.collect().text == "bc"); // the parent goes on
}
