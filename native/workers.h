// Threads that share the turns of a loop.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include <pthread.h>

namespace mn {

// The threads start when they are first needed and sleep between loops. One thread at a time calls
// run.
class workers {
  public:
    // What turn i does. Between 0 and `helpers`, worker is a number that no other thread has in
    // this loop. A turn must not throw.
    using turn_fn = std::function<void(int32_t i, int32_t worker)>;

    workers() = default;
    workers(const workers &) = delete;
    ~workers();

    // Takes turns 0 to n - 1, in any order, on this thread and up to `helpers` others.
    void run(int32_t n, int32_t helpers, const turn_fn &turn);

  private:
    void start(int32_t helpers);
    void serve();
    void wait_for_helpers();

    std::vector<pthread_t> threads_;
    std::atomic<int32_t> next_{0};   // the turn that is taken next
    std::atomic<int32_t> inside_{0}; // helpers in the loop; written under mutex_
    std::mutex mutex_;               // guards what follows
    std::condition_variable wake_, left_;
    const turn_fn *turn_ = nullptr;
    int32_t n_ = 0;
    int32_t wanted_ = 0; // helpers that may still join the loop
    bool ending_ = false;
};

} // namespace mn
