// Limits for what strangers write: templates, grammars and schemas run in llama.cpp without bounds
// of its own, and a macro that calls itself would end the process.
//
// Such work runs on a thread with a large stack. Whatever it does it allocates, so this library's
// operator new is where stack, memory and time are measured; other threads only pay for a look at
// one variable.
#include "facade.h"

#include <chrono>
#include <exception>
#include <new>

#include <pthread.h>
#if defined(__APPLE__)
#include <malloc/malloc.h>
#define malloc_usable_size malloc_size
#else
#include <malloc.h>
#endif

namespace mn {

namespace {

using clock = std::chrono::steady_clock;

constexpr size_t stack_size = 64 << 20;
constexpr size_t stack_reserve = 16 << 20; // for what does not allocate, and for unwinding
constexpr int64_t memory_limit = 2LL << 30;
constexpr auto time_limit = std::chrono::seconds(15);

struct budget {
    const char *stack_floor;
    int64_t memory = memory_limit;
    clock::time_point deadline = clock::now() + time_limit;
    uint32_t allocations = 0;
    const char *exceeded = nullptr; // the first limit that was
};

thread_local budget *current = nullptr;

struct limit_reached : std::bad_alloc {
    const char *what() const noexcept override { return "limit reached"; }
};

// llama.cpp catches some exceptions and goes on; a little more lets it get to the next place where
// it can be stopped, not through all the rest.
[[noreturn]] void exceed(budget &b, const char *limit) {
    if (!b.exceeded) {
        b.exceeded = limit;
    }
    b.memory = std::max<int64_t>(b.memory, 64 << 20);
    b.deadline = clock::now() + std::chrono::milliseconds(100);
    throw limit_reached();
}

void check(budget &b, size_t size) {
    if (std::uncaught_exceptions() > 0) {
        return; // a destructor is running
    }
    char here;
    if (&here < b.stack_floor) {
        exceed(b, "nests too deeply");
    }
    if (b.memory < (int64_t)std::min<size_t>(size, INT64_MAX)) {
        exceed(b, "needs more than 2 GB of memory");
    }
    if (++b.allocations % 1024 == 0 && clock::now() > b.deadline) {
        exceed(b, "takes more than 15 seconds");
    }
}

void *allocate(size_t size) {
    if (current) {
        check(*current, size);
    }
    void *p = malloc(size > 0 ? size : 1);
    if (!p) {
        throw std::bad_alloc();
    }
    if (current) {
        current->memory -= malloc_usable_size(p);
    }
    return p;
}

void release(void *p) {
    if (current && p) {
        current->memory += malloc_usable_size(p);
    }
    free(p);
}

struct job {
    const std::function<void()> &run;
    std::exception_ptr error;
    const char *exceeded = nullptr;
};

void *run_job(void *arg) {
    auto &j = *(job *)arg;
    border here;
    char top;
    budget b{&top - stack_size + stack_reserve};
    current = &b;
    try {
        j.run();
    } catch (...) {
        j.error = std::current_exception();
    }
    current = nullptr;
    j.exceeded = b.exceeded;
    return nullptr;
}

} // namespace

void run_limited(mn_status status, const char *what, const std::function<void()> &run) {
    job j{run, nullptr};
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, stack_size);
    int rc = pthread_create(&thread, &attr, run_job, &j);
    pthread_attr_destroy(&attr);
    if (rc != 0) {
        throw failure(MN_ERR_MEMORY, std::string("no thread for ") + what + ": " + strerror(rc));
    }
    pthread_join(thread, nullptr);
    if (j.exceeded) {
        throw failure(status, std::string(what) + " " + j.exceeded);
    }
    if (j.error) {
        std::rethrow_exception(j.error);
    }
}

} // namespace mn

// Hidden by mullama_native.map, so only code inside this library allocates here.
void *operator new(size_t size) { return mn::allocate(size); }
void operator delete(void *p) noexcept { mn::release(p); }
void operator delete(void *p, size_t) noexcept { mn::release(p); }
