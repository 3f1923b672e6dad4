// A stack for signals on each thread of the program that calls the library.
//
// The Go runtime handles signals on the calling thread, on the alternate stack that it finds at the
// thread's first call, and ends the process when that is gone later. Python's faulthandler takes
// its stack away when the interpreter ends, and Rust's runtime when a thread does; destructors that
// run after that may still call us. So threads get a stack of ours first, which Python then leaves
// where it is, and which is put back if somebody has turned it off.
#define _GNU_SOURCE // MAP_ANONYMOUS
#include "signal_stack.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

// Room for Go's handler, and for the program's own, on CPUs with much to save.
enum { STACK_SIZE = 64 * 1024 };

__thread bool signal_stack_known __attribute__((tls_model("initial-exec")));

// Its value on a thread is that thread's stack, so that it is freed with the thread.
static pthread_key_t stack_key;
static bool have_key;

static void drop(void *stack) {
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == stack) {
        stack_t off = {.ss_flags = SS_DISABLE};
        sigaltstack(&off, NULL);
    }
    munmap(stack, STACK_SIZE);
    signal_stack_known = false;
}

__attribute__((constructor)) static void create_key(void) {
    have_key = pthread_key_create(&stack_key, drop) == 0;
}

static void install(void *stack) {
    stack_t ours = {.ss_sp = stack, .ss_size = STACK_SIZE};
    sigaltstack(&ours, NULL); // fails within a handler on such a stack, which then stays
}

void signal_stack_first_call(void) {
    signal_stack_known = true;
    if (!have_key) {
        return; // Go makes a stack of its own, or takes what there is
    }
    void *stack =
        mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) {
        return;
    }
    if (pthread_setspecific(stack_key, stack) != 0) {
        munmap(stack, STACK_SIZE);
        return;
    }
    install(stack);
}

void signal_stack_restore(void) {
    void *stack = have_key ? pthread_getspecific(stack_key) : NULL;
    stack_t now;
    if (stack != NULL && sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE) != 0) {
        install(stack);
    }
}
