#include "stream.h"

#include <string>

namespace mullama {

// A part, copied: the library's texts are gone when on_chunk has returned.
struct Part {
    explicit Part(const mullama_chunk &chunk)
        : text(chunk.text, chunk.text_size), thinking(chunk.thinking, chunk.thinking_size),
          json(chunk.json, chunk.json_size), tokens(chunk.tokens, chunk.tokens + chunk.token_count),
          done(chunk.done) {}

    napi_value value(napi_env env) const {
        napi_value object = nullptr, last = nullptr;
        napi_create_object(env, &object);
        napi_get_boolean(env, done, &last);
        set(env, object, "text", text);
        set(env, object, "thinking", thinking);
        napi_set_named_property(env, object, "tokens",
                                int32_array(env, tokens.data(), tokens.size()));
        napi_set_named_property(env, object, "done", last);
        set(env, object, "json", json);
        return object;
    }

    static void set(napi_env env, napi_value object, const char *name, const std::string &text) {
        napi_value value = nullptr;
        napi_create_string_utf8(env, text.data(), text.size(), &value);
        napi_set_named_property(env, object, name, value);
    }

    std::string text, thinking, json;
    std::vector<int32_t> tokens;
    bool done;
};

static void post(std::unique_ptr<Pending> pending) {
    std::shared_ptr<Channel> channel = pending->channel();
    channel->post(std::move(pending));
}

Napi::Value Stream::next(Napi::Env env, Napi::Value self) {
    auto pending = std::make_unique<Pending>(env, std::initializer_list<napi_value>{self});
    Napi::Value promise(env, pending->promise());
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (closed_) {
            pending->failure = {"closed", "the stream is closed"};
        }
        if (closed_ || over_) {
            post(std::move(pending));
            return promise;
        }
        waiting_.push_back(std::move(pending));
        asked_.notify_one();
    }
    if (!started_) {
        started_ = true;
        Failure failure = start();
        if (failure) {
            end(failure);
        }
    }
    return promise;
}

Failure Stream::start() {
    mullama_error *error = nullptr;
    auto *user = new std::shared_ptr<Stream>(shared_from_this()); // on_chunk deletes it at the end
    mullama_status status = library_->stream_deliver(handle_, on_chunk, user, &error);
    if (status != MULLAMA_OK) {
        delete user;
    }
    return library_->failure(status, error);
}

Failure Stream::cancel() {
    mullama_error *error = nullptr;
    mullama_status status = library_->stream_cancel(handle_, &error);
    return library_->failure(status, error);
}

void Stream::close() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        closed_ = true; // from here on no text of the library is looked at
        asked_.notify_one();
    }
    library_->stream_close(handle_);
}

bool Stream::on_chunk(const mullama_chunk *chunk, mullama_status status, const mullama_error *error,
                      void *user) {
    auto *stream = static_cast<std::shared_ptr<Stream> *>(user);
    if (chunk != nullptr) {
        return (*stream)->take(chunk);
    }
    Failure failure;
    if (status != MULLAMA_END) {
        failure = (*stream)->library_->describe(status, error);
    }
    (*stream)->end(failure);
    delete stream;
    return false;
}

// Gives a part to the call of next that waits for it, and then waits for another call.
bool Stream::take(const mullama_chunk *chunk) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (closed_ || waiting_.empty()) {
        return false;
    }
    std::unique_ptr<Pending> pending = std::move(waiting_.front());
    waiting_.pop_front();
    auto part = std::make_shared<Part>(*chunk);
    pending->result = [part](napi_env env) { return part->value(env); };
    post(std::move(pending));
    if (part->done) {
        return true; // only the end is to come, and nobody may ask for it
    }
    asked_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
    return !closed_;
}

// The first call of next that waits gets the failure, if there is one, the others the end.
void Stream::end(const Failure &failure) {
    std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
    bool told = closed_;
    while (!waiting_.empty()) {
        std::unique_ptr<Pending> pending = std::move(waiting_.front());
        waiting_.pop_front();
        if (!told) {
            pending->failure = failure;
            told = true;
        }
        post(std::move(pending));
    }
}

} // namespace mullama
