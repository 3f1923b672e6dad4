// The functions of libmullama for JavaScript. index.js, the only caller, checks their arguments.
//
// What may wait runs on a thread of its own and gives a promise. Handles are values whose
// finalizers close them, at the latest when the environment ends.
#include <atomic>
#include <string_view>

#include "addon.h"
#include "stream.h"

namespace mullama {

// Flag is raised when a load is to be given up; also when its environment ends.
struct Flag {
    void close() { raised = true; }
    std::atomic<bool> raised{false};
};

static void throw_failure(Napi::Env env, const Failure &failure) {
    napi_throw(env, Instance::of(env).make(env, failure));
}

// ---- Runtimes ----

// open(files, options): a promise of a runtime of the first library that is there.
static Napi::Value open(const Napi::CallbackInfo &info) {
    Napi::Array list = info[0].As<Napi::Array>();
    std::vector<std::string> files;
    for (uint32_t i = 0; i < list.Length(); i++) {
        files.push_back(text_of(list.Get(i)));
    }
    auto work = [files, options = text_of(info[1])](Pending *pending) {
        const Library *library = open_library(files, &pending->failure);
        if (library == nullptr) {
            return;
        }
        mullama_runtime *handle = nullptr;
        mullama_error *error = nullptr;
        mullama_status status = library->runtime_open(options.c_str(), &handle, &error);
        pending->failure = library->failure(status, error);
        auto runtime = std::make_shared<Runtime>(library, handle);
        pending->result = [runtime](napi_env env) { return wrap(env, runtime); };
    };
    return run(info.Env(), make_pending(info.Env(), {}), work);
}

static Napi::Value runtime_info(const Napi::CallbackInfo &info) {
    auto runtime = unwrap<Runtime>(info[0]);
    return text_from(info, runtime->library, [runtime](char **text, mullama_error **error) {
        return runtime->library->runtime_info(runtime->handle, text, error);
    });
}

static Napi::Value runtime_models(const Napi::CallbackInfo &info) {
    auto runtime = unwrap<Runtime>(info[0]);
    return text_from(info, runtime->library, [runtime](char **text, mullama_error **error) {
        return runtime->library->runtime_models(runtime->handle, text, error);
    });
}

static void runtime_close(const Napi::CallbackInfo &info) { unwrap<Runtime>(info[0])->close(); }

static Napi::Value version(const Napi::CallbackInfo &info) {
    return Napi::String::New(info.Env(), unwrap<Runtime>(info[0])->library->version());
}

static void noop(const Napi::CallbackInfo &info) {
    unwrap<Runtime>(info[0])->library->noop(nullptr);
}

// ---- Loading ----

// Loading is what the thread of a load shares with the thread of the JavaScript.
struct Loading {
    std::shared_ptr<Flag> give_up;
    std::shared_ptr<Channel> channel;
    napi_ref progress; // of a function; its promise keeps it
};

class Progress : public Item {
  public:
    Progress(napi_ref function, float fraction) : function_(function), fraction_(fraction) {}
    void arrive(napi_env env) override {
        napi_value function = nullptr, undefined = nullptr, fraction = nullptr;
        napi_get_reference_value(env, function_, &function);
        napi_get_undefined(env, &undefined);
        napi_create_double(env, fraction_, &fraction);
        napi_call_function(env, undefined, function, 1, &fraction, nullptr);
    }

  private:
    napi_ref function_; // valid, because its promise is settled by a later item
    float fraction_;
};

static bool on_progress(float fraction, void *user) {
    auto *loading = static_cast<Loading *>(user);
    loading->channel->post(std::make_unique<Progress>(loading->progress, fraction));
    return !loading->give_up->raised;
}

static Napi::Value new_flag(const Napi::CallbackInfo &info) {
    return Napi::Value(info.Env(), wrap(info.Env(), std::make_shared<Flag>()));
}

static void raise_flag(const Napi::CallbackInfo &info) { unwrap<Flag>(info[0])->close(); }

// load(runtime, name, options, flag, progress): a promise of a model. progress must not throw.
static Napi::Value load(const Napi::CallbackInfo &info) {
    auto runtime = unwrap<Runtime>(info[0]);
    auto pending = make_pending(info.Env(), {info[0], info[4]});
    Loading loading{unwrap<Flag>(info[3]), pending->channel(), pending->kept(1)};
    auto work = [runtime, name = text_of(info[1]), options = text_of(info[2]),
                 loading](Pending *pending) mutable {
        mullama_model *handle = nullptr;
        mullama_error *error = nullptr;
        mullama_status status = runtime->library->model_load(
            runtime->handle, name.c_str(), options.c_str(), on_progress, &loading, &handle, &error);
        pending->failure = runtime->library->failure(status, error);
        auto model = std::make_shared<Model>(runtime->library, handle);
        pending->result = [model](napi_env env) { return wrap(env, model); };
    };
    return run(info.Env(), std::move(pending), work);
}

// ---- Models ----

static void model_close(const Napi::CallbackInfo &info) { unwrap<Model>(info[0])->close(); }

static Napi::Value model_info(const Napi::CallbackInfo &info) {
    auto model = unwrap<Model>(info[0]);
    return text_from(info, model->library, [model](char **text, mullama_error **error) {
        return model->library->model_info(model->handle, text, error);
    });
}

// A promise of the JSON that answers a request.
static Napi::Value answer_to(const Napi::CallbackInfo &info,
                             decltype(&::mullama_model_render) Library::*function) {
    auto model = unwrap<Model>(info[0]);
    auto call = [model, function, request = text_of(info[1])](char **text, mullama_error **error) {
        return (model->library->*function)(model->handle, request.c_str(), text, error);
    };
    return text_from(info, model->library, call);
}

static Napi::Value render(const Napi::CallbackInfo &info) {
    return answer_to(info, &Library::model_render);
}

static Napi::Value rerank(const Napi::CallbackInfo &info) {
    return answer_to(info, &Library::model_rerank);
}

static Napi::Value score(const Napi::CallbackInfo &info) {
    return answer_to(info, &Library::model_score);
}

// Embeddings owns those of a request.
struct Embeddings {
    explicit Embeddings(const Library *library) : library(library) {}
    Embeddings(const Embeddings &) = delete;
    ~Embeddings() { library->embeddings_free(all); }

    napi_value list(napi_env env) const;
    napi_value object(napi_env env, size_t index) const;

    const Library *const library;
    mullama_embeddings *all = nullptr;
};

// An object with values, rows, tokens and truncated, or with the error of the text.
napi_value Embeddings::object(napi_env env, size_t index) const {
    mullama_embedding made = {};
    made.struct_size = sizeof(made);
    mullama_error *error = nullptr;
    mullama_status status = library->embeddings_get(all, index, &made, &error);
    Failure failure = library->failure(status, error);
    napi_value object = nullptr, rows = nullptr, tokens = nullptr, truncated = nullptr;
    napi_create_object(env, &object);
    napi_create_double(env, static_cast<double>(made.rows), &rows);
    napi_create_double(env, static_cast<double>(made.tokens), &tokens);
    napi_get_boolean(env, made.truncated, &truncated);
    napi_set_named_property(env, object, "values",
                            float32_array(env, made.values, made.rows * made.width));
    napi_set_named_property(env, object, "rows", rows);
    napi_set_named_property(env, object, "tokens", tokens);
    napi_set_named_property(env, object, "truncated", truncated);
    if (failure) {
        napi_set_named_property(env, object, "error", Instance::of(env).make(env, failure));
    }
    return object;
}

napi_value Embeddings::list(napi_env env) const {
    napi_value list = nullptr;
    size_t count = library->embeddings_count(all);
    napi_create_array_with_length(env, count, &list);
    for (size_t i = 0; i < count; i++) {
        napi_set_element(env, list, static_cast<uint32_t>(i), object(env, i));
    }
    return list;
}

// embed(model, request): a promise of a list with an object for each text.
static Napi::Value embed(const Napi::CallbackInfo &info) {
    auto model = unwrap<Model>(info[0]);
    auto work = [model, request = text_of(info[1])](Pending *pending) {
        auto made = std::make_shared<Embeddings>(model->library);
        mullama_error *error = nullptr;
        mullama_status status =
            model->library->model_embed(model->handle, request.c_str(), &made->all, &error);
        pending->failure = model->library->failure(status, error);
        pending->result = [made](napi_env env) { return made->list(env); };
    };
    return run(info.Env(), make_pending(info.Env(), {info[0]}), work);
}

// Has a function of the library fill an array, and again where that was too small.
template <typename Array, typename Function>
static Failure fill(const Library *library, Array *array, Function function) {
    for (;;) {
        size_t count = 0;
        mullama_error *error = nullptr;
        mullama_status status = function(&(*array)[0], array->size(), &count, &error);
        Failure failure = library->failure(status, error);
        if (failure && count > array->size()) {
            array->resize(count);
            continue;
        }
        array->resize(count);
        return failure;
    }
}

// A text for tokenize: a string, or bytes of JavaScript's, which are borrowed.
class Text {
  public:
    explicit Text(Napi::Value value) {
        if (value.IsString()) {
            copy_ = text_of(value);
            view = copy_;
        } else {
            Napi::Uint8Array bytes = value.As<Napi::Uint8Array>();
            view = {reinterpret_cast<const char *>(bytes.Data()), bytes.ByteLength()};
        }
    }
    Text(const Text &) = delete;

    std::string_view view;

  private:
    std::string copy_;
};

static Failure tokens_of(const Model &model, std::string_view text, uint32_t flags,
                         std::vector<int32_t> *tokens) {
    tokens->resize(text.size() + 8);
    return fill(model.library, tokens,
                [&](int32_t *to, size_t capacity, size_t *count, auto *error) {
                    return model.library->model_tokenize(model.handle, text.data(), text.size(),
                                                         flags, to, capacity, count, error);
                });
}

// A token is seldom longer than 16 bytes.
static Failure bytes_of(const Model &model, const int32_t *tokens, size_t n, std::string *text) {
    text->resize(16 * n + 16);
    return fill(model.library, text, [&](char *to, size_t capacity, size_t *size, auto *error) {
        return model.library->model_detokenize(model.handle, tokens, n, to, capacity, size, error);
    });
}

// tokenize(model, bytes, flags): the tokens, at once.
static Napi::Value tokenize(const Napi::CallbackInfo &info) {
    Text text(info[1]);
    std::vector<int32_t> tokens;
    uint32_t flags = info[2].As<Napi::Number>().Uint32Value();
    if (Failure failure = tokens_of(*unwrap<Model>(info[0]), text.view, flags, &tokens)) {
        throw_failure(info.Env(), failure);
        return info.Env().Undefined();
    }
    return Napi::Value(info.Env(), int32_array(info.Env(), tokens.data(), tokens.size()));
}

// tokenizeShort(model, string, flags): how many tokens are in the room that init was given; -1 for
// what does not fit, or fails. Making an array takes longer here than all the rest.
static Napi::Value tokenize_short(const Napi::CallbackInfo &info) {
    char text[1024];
    size_t size = 0, count = 0;
    napi_get_value_string_utf8(info.Env(), info[1], text, sizeof(text), &size);
    const Instance &instance = Instance::of(info.Env());
    const Model &model = **info[0].As<Napi::External<std::shared_ptr<Model>>>().Data();
    uint32_t flags = info[2].As<Napi::Number>().Uint32Value();
    bool done = size + 4 < sizeof(text) && // else it may have been cut, before a character
                model.library->model_tokenize(model.handle, text, size, flags, instance.room,
                                              instance.room_size, &count, nullptr) == MULLAMA_OK;
    return Napi::Number::New(info.Env(), done ? static_cast<double>(count) : -1);
}

// tokenizeAsync(model, bytes, flags): a promise of the tokens.
static Napi::Value tokenize_async(const Napi::CallbackInfo &info) {
    auto model = unwrap<Model>(info[0]);
    uint32_t flags = info[2].As<Napi::Number>().Uint32Value();
    auto work = [model, flags, text = std::string(Text(info[1]).view)](Pending *pending) {
        auto tokens = std::make_shared<std::vector<int32_t>>();
        pending->failure = tokens_of(*model, text, flags, tokens.get());
        pending->result = [tokens](napi_env env) {
            return int32_array(env, tokens->data(), tokens->size());
        };
    };
    return run(info.Env(), make_pending(info.Env(), {info[0]}), work);
}

// detokenize(model, Int32Array): the bytes, at once.
static Napi::Value detokenize(const Napi::CallbackInfo &info) {
    Napi::Int32Array tokens = info[1].As<Napi::Int32Array>();
    std::string text;
    if (Failure failure =
            bytes_of(*unwrap<Model>(info[0]), tokens.Data(), tokens.ElementLength(), &text)) {
        throw_failure(info.Env(), failure);
        return info.Env().Undefined();
    }
    return Napi::Buffer<char>::Copy(info.Env(), text.data(), text.size());
}

// detokenizeAsync(model, Int32Array): a promise of the bytes.
static Napi::Value detokenize_async(const Napi::CallbackInfo &info) {
    auto model = unwrap<Model>(info[0]);
    Napi::Int32Array array = info[1].As<Napi::Int32Array>();
    std::vector<int32_t> tokens(array.Data(), array.Data() + array.ElementLength());
    auto work = [model, tokens](Pending *pending) {
        auto text = std::make_shared<std::string>();
        pending->failure = bytes_of(*model, tokens.data(), tokens.size(), text.get());
        pending->result = [text](napi_env env) {
            return Napi::Buffer<char>::Copy(env, text->data(), text->size());
        };
    };
    return run(info.Env(), make_pending(info.Env(), {info[0]}), work);
}

// A promise of the stream that a request begins. With a daemon it waits for the answer to begin.
static Napi::Value begin(const Napi::CallbackInfo &info,
                         decltype(&::mullama_model_chat) Library::*function) {
    auto model = unwrap<Model>(info[0]);
    auto work = [model, function, request = text_of(info[1])](Pending *pending) {
        mullama_stream *handle = nullptr;
        mullama_error *error = nullptr;
        mullama_status status =
            (model->library->*function)(model->handle, request.c_str(), &handle, &error);
        pending->failure = model->library->failure(status, error);
        auto stream = std::make_shared<Stream>(model->library, handle);
        pending->result = [stream](napi_env env) { return wrap(env, stream); };
    };
    return run(info.Env(), make_pending(info.Env(), {info[0]}), work);
}

static Napi::Value chat(const Napi::CallbackInfo &info) {
    return begin(info, &Library::model_chat);
}

static Napi::Value generate(const Napi::CallbackInfo &info) {
    return begin(info, &Library::model_generate);
}

// ---- Streams ----

static Napi::Value stream_next(const Napi::CallbackInfo &info) {
    return unwrap<Stream>(info[0])->next(info.Env(), info[0]);
}

static void stream_cancel(const Napi::CallbackInfo &info) {
    if (Failure failure = unwrap<Stream>(info[0])->cancel()) {
        throw_failure(info.Env(), failure);
    }
}

static void stream_close(const Napi::CallbackInfo &info) { unwrap<Stream>(info[0])->close(); }

// ---- The module ----

// init(error, room): error(status, message) makes the errors that the functions throw, and room is
// an Int32Array for tokenizeShort.
static Napi::Value init(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Napi::Int32Array room = info[1].As<Napi::Int32Array>();
    auto *instance =
        new Instance{std::make_shared<Channel>(env), Napi::Persistent(info[0].As<Napi::Function>()),
                     room.Data(), room.ElementLength(), Napi::Persistent(room.As<Napi::Object>())};
    env.SetInstanceData(instance);
    // Hooks run in the opposite order of their adding: this one before the end of the channel's
    // function, after which no thread may call it.
    std::shared_ptr<Channel> channel = instance->channel;
    env.AddCleanupHook([channel] { channel->close(); });
    return env.Undefined();
}

static Napi::Object start(Napi::Env env, Napi::Object exports) {
    exports.Set("init", Napi::Function::New(env, init, "init"));
    exports.Set("open", Napi::Function::New(env, open));
    exports.Set("runtimeInfo", Napi::Function::New(env, runtime_info));
    exports.Set("runtimeModels", Napi::Function::New(env, runtime_models));
    exports.Set("runtimeClose", Napi::Function::New(env, runtime_close));
    exports.Set("version", Napi::Function::New(env, version));
    exports.Set("noop", Napi::Function::New(env, noop));
    exports.Set("newFlag", Napi::Function::New(env, new_flag));
    exports.Set("raiseFlag", Napi::Function::New(env, raise_flag));
    exports.Set("load", Napi::Function::New(env, load));
    exports.Set("modelClose", Napi::Function::New(env, model_close));
    exports.Set("modelInfo", Napi::Function::New(env, model_info));
    exports.Set("render", Napi::Function::New(env, render));
    exports.Set("embed", Napi::Function::New(env, embed));
    exports.Set("rerank", Napi::Function::New(env, rerank));
    exports.Set("score", Napi::Function::New(env, score));
    exports.Set("tokenize", Napi::Function::New(env, tokenize));
    exports.Set("tokenizeShort", Napi::Function::New(env, tokenize_short));
    exports.Set("tokenizeAsync", Napi::Function::New(env, tokenize_async));
    exports.Set("detokenize", Napi::Function::New(env, detokenize));
    exports.Set("detokenizeAsync", Napi::Function::New(env, detokenize_async));
    exports.Set("chat", Napi::Function::New(env, chat));
    exports.Set("generate", Napi::Function::New(env, generate));
    set_index_functions(env, exports);
    exports.Set("streamNext", Napi::Function::New(env, stream_next));
    exports.Set("streamCancel", Napi::Function::New(env, stream_cancel));
    exports.Set("streamClose", Napi::Function::New(env, stream_close));
    return exports;
}

} // namespace mullama

static Napi::Object start(Napi::Env env, Napi::Object exports) {
    return mullama::start(env, exports);
}

NODE_API_MODULE(mullama, start)
