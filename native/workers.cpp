// The pool of workers.h. Waking a thread takes 5 to 50 microseconds, so the caller starts on the
// loop at once, and a helper that wakes when all turns are taken is not waited for.
#include "workers.h"

#include "facade.h"

namespace mn {

namespace {

constexpr size_t stack_size = 8 << 20; // grammars recurse; some systems' threads get far less

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void take_turns(const workers::turn_fn &turn, int32_t n, std::atomic<int32_t> &next,
                int32_t worker) {
    for (int32_t i = next++; i < n; i = next++) {
        turn(i, worker);
    }
}

} // namespace

workers::~workers() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        ending_ = true;
    }
    wake_.notify_all();
    for (pthread_t thread : threads_) {
        pthread_join(thread, nullptr);
    }
}

// Starts threads until there are so many. With fewer the loops take longer, so failing is no error.
void workers::start(int32_t helpers) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, stack_size);
    auto body = [](void *pool) -> void * {
        ((workers *)pool)->serve();
        return nullptr;
    };
    pthread_t thread;
    while ((int32_t)threads_.size() < helpers && pthread_create(&thread, &attr, body, this) == 0) {
        threads_.push_back(thread);
    }
    pthread_attr_destroy(&attr);
}

void workers::serve() {
    border here;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        wake_.wait(lock, [&] { return ending_ || wanted_ > 0; });
        if (ending_) {
            return;
        }
        int32_t worker = wanted_--;
        inside_++;
        const turn_fn &turn = *turn_;
        int32_t n = n_;
        lock.unlock();
        take_turns(turn, n, next_, worker);
        lock.lock();
        if (--inside_ == 0) {
            left_.notify_one();
        }
    }
}

void workers::run(int32_t n, int32_t helpers, const turn_fn &turn) {
    if (helpers > (int32_t)threads_.size()) {
        start(helpers);
    }
    helpers = std::min(helpers, (int32_t)threads_.size());
    {
        std::lock_guard<std::mutex> lock(mutex_);
        turn_ = &turn;
        n_ = n;
        next_ = 0;
        wanted_ = helpers;
    }
    if (helpers == (int32_t)threads_.size()) {
        wake_.notify_all();
    } else {
        for (int32_t i = 0; i < helpers; i++) {
            wake_.notify_one();
        }
    }
    take_turns(turn, n, next_, 0);
    wait_for_helpers();
}

// All turns are taken: lets nobody join, and waits for those who are in their last turn.
void workers::wait_for_helpers() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        wanted_ = 0;
    }
    for (int32_t spins = 0; inside_ > 0 && spins < 1000; spins++) { // sleeping takes longer
        pause();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    left_.wait(lock, [&] { return inside_ == 0; });
}

} // namespace mn
