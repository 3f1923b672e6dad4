#include "channel.h"

#include <system_error>
#include <thread>

namespace mullama {

Channel::Channel(Napi::Env env) {
    napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "mullama"), 0, 1,
                                    nullptr, nullptr, nullptr, call, &function_);
    napi_unref_threadsafe_function(env, function_);
}

void Channel::call(napi_env env, napi_value, void *, void *data) {
    std::unique_ptr<Item> item(static_cast<Item *>(data));
    if (env != nullptr) {
        item->arrive(env);
    }
}

void Channel::post(std::unique_ptr<Item> item) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (open_ && napi_call_threadsafe_function(function_, item.get(), napi_tsfn_nonblocking) ==
                     napi_ok) {
        item.release(); // call has it now
    }
}

void Channel::close() {
    std::lock_guard<std::mutex> lock(mutex_);
    open_ = false;
}

void Channel::hold(Napi::Env env) {
    if (held_++ == 0) {
        napi_ref_threadsafe_function(env, function_);
    }
}

void Channel::release(Napi::Env env) {
    if (--held_ == 0) {
        napi_unref_threadsafe_function(env, function_);
    }
}

Napi::Value Instance::make(Napi::Env env, const Failure &failure) {
    return error.Value().Call(env.Undefined(), {Napi::String::New(env, failure.status),
                                                Napi::String::New(env, failure.message)});
}

Pending::Pending(Napi::Env env, std::initializer_list<Napi::Value> keep)
    : deferred_(env), channel_(Instance::of(env).channel) {
    for (const Napi::Value &value : keep) {
        napi_ref ref = nullptr;
        napi_create_reference(env, value, 1, &ref);
        kept_.push_back(ref);
    }
    channel_->hold(env);
}

void Pending::arrive(Napi::Env env) {
    for (napi_ref ref : kept_) {
        napi_delete_reference(env, ref);
    }
    channel_->release(env);
    if (failure) {
        deferred_.Reject(Instance::of(env).make(env, failure));
    } else {
        deferred_.Resolve(result ? result(env) : env.Undefined());
    }
}

Napi::Value run(std::unique_ptr<Pending> pending, std::function<void(Pending *)> work) {
    Napi::Value promise = pending->promise();
    Pending *shared = pending.release();
    auto finish = [shared] { shared->channel()->post(std::unique_ptr<Item>(shared)); };
    try {
        std::thread([shared, work, finish] {
            work(shared);
            finish();
        }).detach();
    } catch (const std::system_error &) {
        shared->failure = {"internal", "no thread could be started; the system has too many"};
        finish();
    }
    return promise;
}

} // namespace mullama
