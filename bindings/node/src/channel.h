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

// Something to do on the thread of the JavaScript. One that cannot be done any more, because its
// environment ends, is only destroyed.
class Item {
  public:
    virtual ~Item() = default;
    virtual void arrive(Napi::Env env) = 0;
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

    static Instance &of(Napi::Env env) { return *env.GetInstanceData<Instance>(); }
    Napi::Value make(Napi::Env env, const Failure &failure);
};

// Pending is a promise that another thread settles. The values it is made with stay alive with it.
class Pending : public Item {
  public:
    using Result = std::function<Napi::Value(Napi::Env)>;

    Pending(Napi::Env env, std::initializer_list<Napi::Value> keep);

    Napi::Value promise() const { return deferred_.Promise(); }
    std::shared_ptr<Channel> channel() const { return channel_; }
    napi_ref kept(size_t index) const { return kept_[index]; }
    void arrive(Napi::Env env) override;

    Failure failure;
    Result result; // makes the value, if there is no failure

  private:
    Napi::Promise::Deferred deferred_;
    std::shared_ptr<Channel> channel_;
    std::vector<napi_ref> kept_; // left alone if the environment ends first
};

// Runs work on a thread of its own, which may wait as long as it likes, and then settles pending.
Napi::Value run(std::unique_ptr<Pending> pending, std::function<void(Pending *)> work);

} // namespace mullama

#endif
