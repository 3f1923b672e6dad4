// The functions for indexes.
#include "addon.h"

namespace mullama {

struct Index {
    Index(const Library *library, mullama_index *handle) : library(library), handle(handle) {}
    Index(const Index &) = delete;
    ~Index() { close(); }
    void close() { library->index_close(handle); }

    const Library *const library;
    mullama_index *const handle;
};

// indexOpen(runtime, path, model or undefined, options): a promise of an index.
static Napi::Value open(const Napi::CallbackInfo &info) {
    auto runtime = unwrap<Runtime>(info[0]);
    std::shared_ptr<Model> model;
    if (!info[2].IsUndefined()) {
        model = unwrap<Model>(info[2]);
    }
    auto work = [runtime, model, path = text_of(info[1]),
                 options = text_of(info[3])](Pending *pending) {
        const Library *library = runtime->library;
        mullama_index *handle = nullptr;
        mullama_error *error = nullptr;
        mullama_status status =
            library->index_open(runtime->handle, path.c_str(), model ? model->handle : nullptr,
                                options.c_str(), &handle, &error);
        pending->failure = library->failure(status, error);
        auto index = std::make_shared<Index>(library, handle);
        pending->result = [index](napi_env env) { return wrap(env, index); };
    };
    return run(info.Env(), make_pending(info.Env(), {info[0]}), work);
}

// A promise of nothing, which a call of the library fulfils.
template <typename Call> static Napi::Value done(const Napi::CallbackInfo &info, Call call) {
    auto index = unwrap<Index>(info[0]);
    auto work = [index, call](Pending *pending) {
        mullama_error *error = nullptr;
        mullama_status status = call(*index, &error);
        pending->failure = index->library->failure(status, error);
        pending->result = [](napi_env env) {
            napi_value undefined = nullptr;
            napi_get_undefined(env, &undefined);
            return undefined;
        };
    };
    return run(info.Env(), make_pending(info.Env(), {info[0]}), work);
}

// It waits for the calls under way, for which the event loop must not.
static Napi::Value close(const Napi::CallbackInfo &info) {
    return done(info, [](Index &index, mullama_error **) {
        index.close();
        return mullama_status(MULLAMA_OK);
    });
}

static Napi::Value add(const Napi::CallbackInfo &info) {
    return done(info, [request = text_of(info[1])](Index &index, mullama_error **error) {
        return index.library->index_add(index.handle, request.c_str(), error);
    });
}

static Napi::Value train(const Napi::CallbackInfo &info) {
    return done(info, [options = text_of(info[1])](Index &index, mullama_error **error) {
        return index.library->index_train(index.handle, options.c_str(), error);
    });
}

static Napi::Value verify(const Napi::CallbackInfo &info) {
    return done(info, [](Index &index, mullama_error **error) {
        return index.library->index_verify(index.handle, error);
    });
}

static Napi::Value describe(const Napi::CallbackInfo &info) {
    auto index = unwrap<Index>(info[0]);
    return text_from(info, index->library, [index](char **text, mullama_error **error) {
        return index->library->index_info(index->handle, text, error);
    });
}

static Napi::Value search(const Napi::CallbackInfo &info) {
    auto index = unwrap<Index>(info[0]);
    auto call = [index, request = text_of(info[1])](char **text, mullama_error **error) {
        return index->library->index_search(index->handle, request.c_str(), text, error);
    };
    return text_from(info, index->library, call);
}

void set_index_functions(Napi::Env env, Napi::Object exports) {
    exports.Set("indexOpen", Napi::Function::New(env, open));
    exports.Set("indexClose", Napi::Function::New(env, close));
    exports.Set("indexInfo", Napi::Function::New(env, describe));
    exports.Set("indexAdd", Napi::Function::New(env, add));
    exports.Set("indexTrain", Napi::Function::New(env, train));
    exports.Set("indexSearch", Napi::Function::New(env, search));
    exports.Set("indexVerify", Napi::Function::New(env, verify));
}

} // namespace mullama
