// Takes the signal stack away, as Python and Rust do, and has signals arrive after that.
#include "check.h"

#include <pthread.h>
#include <signal.h>

enum { SIZE = 64 * 1024 };

static mullama_runtime *runtime;

// Sends a thread the signal with which Go interrupts its threads, until it is to stop.
struct sender {
    pthread_t thread, target;
    _Atomic bool stop;
};

static void *send_signals(void *user) {
    struct sender *sender = user;
    while (!sender->stop) {
        CHECK(pthread_kill(sender->target, SIGURG) == 0);
    }
    return NULL;
}

// Calls while signals arrive.
static void call_interrupted(void) {
    struct sender sender = {.target = pthread_self()};
    CHECK(pthread_create(&sender.thread, NULL, send_signals, &sender) == 0);
    for (int i = 0; i < 20; i++) {
        mullama_model *model = NULL;
        SUCCEEDS(mullama_model_load(runtime, "echo", NULL, NULL, NULL, &model, &error));
        mullama_model_close(model);
    }
    sender.stop = true;
    CHECK(pthread_join(sender.thread, NULL) == 0);
}

static stack_t give_stack(void) {
    stack_t before;
    stack_t own = {.ss_sp = malloc(SIZE), .ss_size = SIZE};
    CHECK(own.ss_sp != NULL && sigaltstack(&own, &before) == 0);
    return before;
}

// Takes the stack away if it is still the thread's, as Python does.
static void *politely(void *unused) {
    stack_t before = give_stack();
    stack_t now;
    CHECK(sigaltstack(NULL, &now) == 0);
    void *own = now.ss_sp;
    SUCCEEDS(mullama_noop(&error));
    CHECK(sigaltstack(NULL, &now) == 0);
    if (now.ss_sp == own) {
        CHECK(sigaltstack(&before, NULL) == 0);
    }
    free(own);
    call_interrupted();
    return unused;
}

// Takes any stack away, as Rust does; then destructors of the thread run.
static void *rudely(void *unused) {
    give_stack();
    SUCCEEDS(mullama_noop(&error));
    stack_t off = {.ss_flags = SS_DISABLE};
    CHECK(sigaltstack(&off, NULL) == 0);
    call_interrupted();
    return unused;
}

static void on_thread(void *(*work)(void *)) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

int main(void) {
    SUCCEEDS(mullama_runtime_open("{\"echo\":true}", &runtime, &error));
    for (int i = 0; i < 20; i++) {
        on_thread(politely);
        on_thread(rudely);
    }
    politely(NULL);
    rudely(NULL);
    mullama_runtime_close(runtime);
    printf("ok, %d checks\n", checks);
    return 0;
}
