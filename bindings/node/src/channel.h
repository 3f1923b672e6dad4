// The way from other threads to the thread of the JavaScript, and the calls that take it.
#ifndef MULLAMA_NODE_CHANNEL_H
#define MULLAMA_NODE_CHANNEL_H

#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "library.h"

namespace mullama {

// An Int32Array and a Float32Array with a copy of the numbers.
napi_value int32_array(napi_env env, const int32_t *numbers, size_t count);
napi_value float32_array(napi_env env, const float *numbers, size_t count);

// Something to do on the thread of the JavaScript. One that cannot be done any more, because its
// environment ends, is only destroyed. When a worker is being terminated, any call of N-API may
// fail: arrive uses the C functions, whose results may be nullptr, and leaves the rest undone.
class Item {
  public:
    virtual ~Item() = default;
    virtual void arrive(napi_env env) = 0;
};

// Channel takes items from any thread to that of an environment, and drops them after its end. It
// has no limit, so that no thread of the library waits for JavaScript.
class Channel {
  public:
    explicit Channel(Napi::Env env);

    void post(std::unique_ptr<Item> item);
    void close();

    // While something is held the event loop goes on. Only on the thread of the JavaScript.
    void hold(Napi::Env env);
    void release(Napi::Env env);

  private:
    static void call(napi_env env, napi_value, void *, void *item);

    std::mutex mutex_; // guards open_, and function_ from its end
    bool open_ = true;
    napi_threadsafe_function function_ = nullptr;
    int held_ = 0;
};

// What an environment, the main one or that of a worker, has of its own.
struct Instance {
    std::shared_ptr<Channel> channel;
    Napi::FunctionReference error; // makes an Error of a status and a message
    int32_t *room;                 // an Int32Array that JavaScript reads short results from
    size_t room_size;
    Napi::ObjectReference room_kept;

    static Instance &of(Napi::Env env) { return *env.GetInstanceData<Instance>(); }
    napi_value make(napi_env env, const Failure &failure) const;
};

// Pending is a promise that another thread settles. The values it is made with stay alive with it.
class Pending : public Item {
  public:
    using Result = std::function<napi_value(napi_env)>;

    Pending(Napi::Env env, std::initializer_list<napi_value> keep);

    // Only until the function that made this returns to JavaScript.
    napi_value promise() const { return promise_; }
    std::shared_ptr<Channel> channel() const { return channel_; }
    napi_ref kept(size_t index) const { return kept_[index]; }
    void arrive(napi_env env) override;

    Failure failure;
    Result result; // makes the value, if there is no failure

  private:
    void settle(napi_env env);

    napi_deferred deferred_ = nullptr;
    napi_value promise_ = nullptr;
    std::shared_ptr<Channel> channel_;
    std::vector<napi_ref> kept_; // left alone if the environment ends first
};

// Runs work on a thread of its own, which may wait as long as it likes, and then settles pending.
Napi::Value run(Napi::Env env, std::unique_ptr<Pending> pending,
                std::function<void(Pending *)> work);

} // namespace mullama

#endif
