#include "channel.h"

#include <algorithm>
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
    if (open_ &&
        napi_call_threadsafe_function(function_, item.get(), napi_tsfn_nonblocking) == napi_ok) {
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

static napi_value string(napi_env env, const std::string &text) {
    napi_value value = nullptr;
    napi_create_string_utf8(env, text.data(), text.size(), &value);
    return value;
}

template <typename Number>
static napi_value array_of(napi_env env, napi_typedarray_type type, const Number *numbers,
                           size_t count) {
    void *data = nullptr;
    napi_value buffer = nullptr, array = nullptr;
    if (napi_create_arraybuffer(env, count * sizeof(*numbers), &data, &buffer) != napi_ok) {
        return nullptr;
    }
    std::copy_n(numbers, count, static_cast<Number *>(data));
    napi_create_typedarray(env, type, count, buffer, 0, &array);
    return array;
}

napi_value int32_array(napi_env env, const int32_t *numbers, size_t count) {
    return array_of(env, napi_int32_array, numbers, count);
}

napi_value float32_array(napi_env env, const float *numbers, size_t count) {
    return array_of(env, napi_float32_array, numbers, count);
}

napi_value Instance::make(napi_env env, const Failure &failure) const {
    napi_value arguments[] = {string(env, failure.status), string(env, failure.message)};
    napi_value undefined = nullptr, result = nullptr;
    napi_get_undefined(env, &undefined);
    napi_call_function(env, undefined, error.Value(), 2, arguments, &result);
    return result;
}

Pending::Pending(Napi::Env env, std::initializer_list<napi_value> keep)
    : channel_(Instance::of(env).channel) {
    napi_create_promise(env, &deferred_, &promise_);
    for (napi_value value : keep) {
        napi_ref ref = nullptr;
        napi_create_reference(env, value, 1, &ref);
        kept_.push_back(ref);
    }
    channel_->hold(env);
}

void Pending::arrive(napi_env env) {
    for (napi_ref ref : kept_) {
        napi_delete_reference(env, ref);
    }
    channel_->release(env);
    if (deferred_ != nullptr) {
        settle(env);
    }
}

void Pending::settle(napi_env env) {
    napi_value value = nullptr;
    if (failure) {
        napi_reject_deferred(env, deferred_, Instance::of(env).make(env, failure));
        return;
    }
    if (result) {
        value = result(env);
    } else {
        napi_get_undefined(env, &value);
    }
    napi_resolve_deferred(env, deferred_, value);
}

Napi::Value run(Napi::Env env, std::unique_ptr<Pending> pending,
                std::function<void(Pending *)> work) {
    Napi::Value promise(env, pending->promise());
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
