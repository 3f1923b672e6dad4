// What the functions for JavaScript share: what handles stand for, and promises of what a call of
// the library gives.
#ifndef MULLAMA_NODE_ADDON_H
#define MULLAMA_NODE_ADDON_H

#include "stream.h"

namespace mullama {

struct Runtime {
    Runtime(const Library *library, mullama_runtime *handle) : library(library), handle(handle) {}
    Runtime(const Runtime &) = delete;
    ~Runtime() { close(); }
    void close() { library->runtime_close(handle); }

    const Library *const library;
    mullama_runtime *const handle;
};

struct Model {
    Model(const Library *library, mullama_model *handle) : library(library), handle(handle) {}
    Model(const Model &) = delete;
    ~Model() { close(); }
    void close() { library->model_close(handle); }

    const Library *const library;
    mullama_model *const handle;
};

template <typename T> void drop(napi_env, void *data, void *) {
    auto *holder = static_cast<std::shared_ptr<T> *>(data);
    (*holder)->close();
    delete holder;
}

// Wraps an object for JavaScript. Threads that use it share it, so that it lives as long as they.
template <typename T> napi_value wrap(napi_env env, std::shared_ptr<T> object) {
    auto *holder = new std::shared_ptr<T>(std::move(object));
    napi_value value = nullptr;
    if (napi_create_external(env, holder, drop<T>, nullptr, &value) != napi_ok) {
        drop<T>(env, holder, nullptr);
    }
    return value;
}

template <typename T> std::shared_ptr<T> unwrap(Napi::Value value) {
    return *value.As<Napi::External<std::shared_ptr<T>>>().Data();
}

inline std::string text_of(Napi::Value value) { return value.As<Napi::String>().Utf8Value(); }

inline std::unique_ptr<Pending> make_pending(Napi::Env env,
                                             std::initializer_list<napi_value> keep) {
    return std::make_unique<Pending>(env, keep);
}

// A promise of the text that a call of the library gives.
template <typename Call>
Napi::Value text_from(const Napi::CallbackInfo &info, const Library *library, Call call) {
    auto work = [library, call](Pending *pending) {
        char *text = nullptr;
        mullama_error *error = nullptr;
        mullama_status status = call(&text, &error);
        pending->failure = library->failure(status, error);
        auto copy = std::make_shared<std::string>(text == nullptr ? "" : text);
        library->string_free(text);
        pending->result = [copy](napi_env env) {
            napi_value value = nullptr;
            napi_create_string_utf8(env, copy->data(), copy->size(), &value);
            return value;
        };
    };
    return run(info.Env(), make_pending(info.Env(), {info[0]}), work);
}

// Adds the functions for indexes.
void set_index_functions(Napi::Env env, Napi::Object exports);

} // namespace mullama

#endif
