/*
 * mullama.hpp: mullama.h for C++17, with objects and exceptions for handles and statuses.
 *
 *     mullama::Runtime runtime;
 *     mullama::Model model = runtime.load("/models/smollm2.gguf");
 *     for (const mullama::Chunk &part : model.chat(mullama::chat_request({{"user", "Hi"}}))) {
 *         std::cout << part.text << std::flush;
 *     }
 *
 * Rules that hold for all of it:
 *
 * - Runtime, Model and Stream own what they stand for: they can be moved, not copied, and close it
 *   when they are destroyed; std::shared_ptr shares them. A Model outlives its Runtime; a Stream
 *   whose Model is closed ends.
 * - A function that is not noexcept throws Error when the library reports one, and has no result.
 * - Const functions may be called from several threads at once. Requests that run at the same time
 *   are computed together.
 * - Using what is closed or was moved from is an Error of the status Closed; not closing it again.
 * - Requests, options and infos are JSON, as docs/api.md and docs/abi.md describe it. A few
 *   functions write requests and read fields; any JSON library does both.
 */
#ifndef MULLAMA_HPP
#define MULLAMA_HPP

#include "mullama_json.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mullama {

// ---- Calls into the library ----

namespace detail {

struct Free {
    void operator()(mullama_error *error) const noexcept { mullama_error_free(error); }
    void operator()(char *text) const noexcept { mullama_string_free(text); }
    void operator()(mullama_embeddings *all) const noexcept { mullama_embeddings_free(all); }
};

/* How a call ended, with its error. */
struct Outcome {
    mullama_status status;
    std::unique_ptr<mullama_error, Free> error;

    void check() const {
        if (status != MULLAMA_OK && status != MULLAMA_END) {
            const std::string message = mullama_error_message(error.get());
            throw Error(Status(status), message.empty() ? mullama_status_name(status) : message);
        }
    }
};

/* Calls a function of the library, whose last parameter is the place for an error. */
template <typename... Parameters, typename... Arguments>
Outcome attempt(mullama_status (*function)(Parameters...), Arguments... arguments) {
    mullama_error *error = nullptr;
    const mullama_status status = function(arguments..., &error);
    return {status, std::unique_ptr<mullama_error, Free>(error)};
}

template <typename... Parameters, typename... Arguments>
mullama_status call(mullama_status (*function)(Parameters...), Arguments... arguments) {
    const Outcome outcome = attempt(function, arguments...);
    outcome.check();
    return outcome.status;
}

/* The JSON that a function gives of what a handle stands for. */
template <typename... Parameters, typename... Arguments>
std::string json(mullama_status (*function)(Parameters...), Arguments... arguments) {
    char *text = nullptr;
    call(function, arguments..., &text);
    const std::unique_ptr<char, Free> owned(text);
    return text;
}

/* A text for the library, which would not see what follows a zero byte. */
inline const char *terminated(const std::string &text) {
    if (text.find('\0') != std::string::npos) {
        throw Error(Status::Invalid, "a request, a name or options have a zero byte; in a JSON "
                                     "string it is written \\u0000");
    }
    return text.c_str();
}

/* Has a function fill an array, which is made larger until the result fits. */
template <typename Array, typename Function> Array fill(std::size_t guess, Function function) {
    Array array(guess, typename Array::value_type());
    for (;;) {
        std::size_t count = 0;
        const Outcome outcome = function(array.data(), array.size(), &count);
        if (outcome.status != MULLAMA_ERR_TOO_SMALL) {
            outcome.check();
        }
        array.resize(count);
        if (outcome.status == MULLAMA_OK) {
            return array;
        }
    }
}

/* Owns a handle. Handles are numbers that are used once, so a closed one is kept: the library then
 * says that it is closed, and close() may be called at any time, from any thread. */
template <typename Handle, void (*close_handle)(Handle *)> class Owner {
  public:
    Owner() noexcept = default;
    explicit Owner(Handle *handle) noexcept : handle_(handle) {}
    Owner(Owner &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Owner &operator=(Owner &&other) noexcept {
        if (this != &other) {
            close();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~Owner() { close(); }

    /* Closes it now. Does not wait. */
    void close() const noexcept { close_handle(handle_); }

    /* The handle for functions of mullama.h. It stays ours. */
    Handle *handle() const noexcept { return handle_; }

  private:
    Handle *handle_ = nullptr;
};

} // namespace detail

/* The version of the library, such as "0.1.0". */
inline const char *version() noexcept { return mullama_version(); }

/* Does nothing: what a call costs. */
inline void noop() { detail::call(mullama_noop); }

// ---- Streams ----

/* The tokens of a part. A std::span<const int32_t> can be made of it. */
struct Tokens {
    const std::int32_t *first = nullptr;
    std::size_t count = 0;

    const std::int32_t *data() const noexcept { return first; }
    std::size_t size() const noexcept { return count; }
    const std::int32_t *begin() const noexcept { return first; }
    const std::int32_t *end() const noexcept { return first + count; }
};

/* A part of an answer. The texts belong to the stream and are valid until its next call. */
struct Chunk {
    std::string_view text;     // whole characters of UTF-8; may be empty
    std::string_view thinking; // what the model thinks before it answers, if it does
    Tokens tokens;             // that text and thinking are of
    std::string_view json; // of the last part: done_reason, counts and times; else "" or logprobs
    bool done = false;     // this is the last part
};

/* A whole answer. */
struct Answer {
    std::string text;
    std::string thinking;
    std::string done_reason; // "stop", "length" or "cancelled"
    std::int64_t prompt_eval_count = 0;
    std::int64_t eval_count = 0;
    std::int64_t cached_tokens = 0;
    std::string json; // of the last part
};

/*
 * An answer while it is generated: a range of parts that can be gone through once. It is owned by
 * one thread, which reads it and waits for the parts; cancel() may be called from any other.
 * Leaving a loop by break or by an exception and dropping the stream ends the answer.
 */
class Stream : public detail::Owner<mullama_stream, mullama_stream_close> {
  public:
    using Owner::Owner;

    /* Waits for the next part. Nothing after the last one. */
    std::optional<Chunk> next() {
        mullama_chunk c = {};
        c.struct_size = sizeof(c);
        if (detail::call(mullama_stream_next, handle(), &c) == MULLAMA_END) {
            return std::nullopt;
        }
        return Chunk{{c.text, c.text_size},
                     {c.thinking, c.thinking_size},
                     {c.tokens, c.token_count},
                     {c.json, c.json_size},
                     c.done};
    }

    /* Goes through the parts by next(). The stream must stay where it is meanwhile. */
    class Iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Chunk;
        using difference_type = std::ptrdiff_t;
        using pointer = const Chunk *;
        using reference = const Chunk &;

        Iterator() noexcept = default; // the end
        explicit Iterator(Stream *stream) : stream_(stream) { ++*this; }
        reference operator*() const noexcept { return *stream_->current_; }
        pointer operator->() const noexcept { return &*stream_->current_; }
        Iterator &operator++() {
            stream_->current_ = stream_->next();
            if (!stream_->current_) {
                stream_ = nullptr;
            }
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const Iterator &a, const Iterator &b) noexcept {
            return a.stream_ == b.stream_;
        }
        friend bool operator!=(const Iterator &a, const Iterator &b) noexcept { return !(a == b); }

      private:
        Stream *stream_ = nullptr;
    };

    /* Waits for the next part; a second call goes on where the reading is. */
    Iterator begin() { return Iterator(this); }
    Iterator end() const noexcept { return {}; }

    /* Reads the rest of the answer. */
    Answer collect() {
        Answer answer;
        while (const std::optional<Chunk> part = next()) {
            answer.text += part->text;
            answer.thinking += part->thinking;
            if (part->done) {
                answer.json = part->json;
            }
        }
        const auto number = [&answer](std::string_view name) {
            return std::strtoll(std::string(field(answer.json, name)).c_str(), nullptr, 10);
        };
        answer.done_reason = unquote(field(answer.json, "done_reason"));
        answer.prompt_eval_count = number("prompt_eval_count");
        answer.eval_count = number("eval_count");
        answer.cached_tokens = number("cached_tokens");
        return answer;
    }

    /* Ends the answer, from any thread. Its last part comes soon, with done_reason "cancelled". */
    void cancel() const { detail::call(mullama_stream_cancel, handle()); }

  private:
    std::optional<Chunk> current_; // what the iterators show
};

// ---- Embeddings and ranking ----

/* The embedding of a text: a row of numbers, or with the pooling "none" one for each token. */
struct Embedding {
    std::vector<float> values; // rows times width, one row after the other
    std::size_t rows = 0;
    std::size_t width = 0;
    std::size_t tokens = 0; // of the text that were embedded
    bool truncated = false; // the text was too long, and its end was left out

    /* The numbers of a row, of which there are width. */
    const float *row(std::size_t index) const noexcept { return values.data() + index * width; }
};

/* The embeddings of texts, in their order. */
class Embeddings {
  public:
    explicit Embeddings(mullama_embeddings *embeddings) noexcept : embeddings_(embeddings) {}

    std::size_t size() const noexcept { return mullama_embeddings_count(embeddings_.get()); }

    /* The embedding of the text with this number. Throws what is wrong with that text. */
    Embedding at(std::size_t index) const {
        mullama_embedding e = {};
        e.struct_size = sizeof(e);
        detail::call(mullama_embeddings_get, embeddings_.get(), index, &e);
        return {{e.values, e.values + e.rows * e.width}, e.rows, e.width, e.tokens, e.truncated};
    }

    /* Those of all texts. Throws the first error of one. */
    std::vector<Embedding> all() const {
        std::vector<Embedding> list;
        for (std::size_t i = 0; i < size(); i++) {
            list.push_back(at(i));
        }
        return list;
    }

  private:
    std::unique_ptr<mullama_embeddings, detail::Free> embeddings_;
};

/* How well a document answers a query. */
struct Score {
    std::size_t index; // of the document
    double score;      // more is better
};

/* The scores of documents, the best first. */
struct Ranking {
    std::vector<Score> results;
    std::string method; // "head", "judge" or "tokens"
    std::string json;   // the whole answer
};

namespace detail {

inline Ranking ranking(std::string json) {
    Ranking made{{}, unquote(field(json, "method")), std::move(json)};
    for (const std::string_view result : objects(field(made.json, "results"))) {
        made.results.push_back({static_cast<std::size_t>(number(field(result, "index"))),
                                number(field(result, "relevance_score"))});
    }
    return made;
}

} // namespace detail

/* A document that a search of an index found. */
struct Found {
    std::string id;
    double score; // more is better
};

namespace detail {

inline std::vector<Found> found(const std::string &json) {
    std::vector<Found> list;
    for (const std::string_view hit : objects(field(json, "results"))) {
        list.push_back({unquote(field(hit, "id")), number(field(hit, "score"))});
    }
    return list;
}

} // namespace detail

// ---- Models ----

/* A loaded model, for any number of threads. Closing it ends its streams. */
class Model : public detail::Owner<mullama_model, mullama_model_close> {
  public:
    using Owner::Owner;

    /* What the model's file says of it, and what it is doing, as JSON. */
    std::string info() const { return detail::json(mullama_model_info, handle()); }

    /* Makes tokens of a text. The flags are MULLAMA_ADD_SPECIAL and MULLAMA_PARSE_SPECIAL. */
    std::vector<std::int32_t> tokenize(std::string_view text, bool add_special = false,
                                       bool parse_special = false) const {
        std::uint32_t flags = add_special ? std::uint32_t{MULLAMA_ADD_SPECIAL} : 0;
        flags |= parse_special ? std::uint32_t{MULLAMA_PARSE_SPECIAL} : 0;
        return detail::fill<std::vector<std::int32_t>>(
            text.size() + 2, [&](std::int32_t *tokens, std::size_t capacity, std::size_t *count) {
                return detail::attempt(mullama_model_tokenize, handle(), text.data(), text.size(),
                                       flags, tokens, capacity, count);
            });
    }

    /* The bytes of tokens, which need not be UTF-8 when they begin or end within a character. */
    std::string detokenize(const std::vector<std::int32_t> &tokens) const {
        return detail::fill<std::string>(
            8 * tokens.size(), [&](char *text, std::size_t capacity, std::size_t *size) {
                return detail::attempt(mullama_model_detokenize, handle(), tokens.data(),
                                       tokens.size(), text, capacity, size);
            });
    }

    /* The prompt that a request of chat() makes. */
    std::string render(const std::string &request) const {
        const std::string json =
            detail::json(mullama_model_render, handle(), detail::terminated(request));
        return unquote(field(json, "prompt"));
    }

    /* Embeds texts: the request of POST /api/embed, which embed_request() makes. A text that is too
     * long is an Error of ContextFull, which Embeddings::at() throws, unless the request has
     * "truncate": true. Waits for the result. */
    Embeddings embed(const std::string &request) const {
        mullama_embeddings *embeddings = nullptr;
        detail::call(mullama_model_embed, handle(), detail::terminated(request), &embeddings);
        return Embeddings(embeddings);
    }

    /* Says how well documents answer a query, by a model that ranks or chats: the request of
     * POST /v1/rerank, which rank_request() makes. Waits for the result. */
    Ranking rerank(const std::string &request) const {
        return detail::ranking(
            detail::json(mullama_model_rerank, handle(), detail::terminated(request)));
    }

    /* The same by late interaction: the request of POST /v1/score, which rank_request() makes. */
    Ranking score(const std::string &request) const {
        return detail::ranking(
            detail::json(mullama_model_score, handle(), detail::terminated(request)));
    }

    /* Begins to answer a conversation: the request of POST /api/chat, which chat_request() makes.
     * Does not wait for the answer. A prompt that does not fit is an Error of ContextFull. */
    Stream chat(const std::string &request) const { return begin(mullama_model_chat, request); }

    /* Begins to continue a text: the request of POST /api/generate, which generate_request() makes.
     * Otherwise as chat(). */
    Stream generate(const std::string &request) const {
        return begin(mullama_model_generate, request);
    }

  private:
    Stream begin(decltype(mullama_model_chat) *start, const std::string &request) const {
        mullama_stream *stream = nullptr;
        detail::call(start, handle(), detail::terminated(request), &stream);
        return Stream(stream);
    }
};

// ---- Indexes ----

/* A file of documents that are found by late interaction, for any number of threads. Closing it
 * waits for the calls under way. */
class Index : public detail::Owner<mullama_index, mullama_index_close> {
  public:
    using Owner::Owner;

    /* What is in the index, as JSON. */
    std::string info() const { return detail::json(mullama_index_info, handle()); }

    /* Adds documents, all or none: the request of POST /v1/indexes/{index}/documents, which
     * documents_request() makes of texts. They are in the file when this returns. */
    void add(const std::string &request) const {
        detail::call(mullama_index_add, handle(), detail::terminated(request));
    }

    /* Groups similar tokens of all documents, for searches with "probe". groups is how many there
     * are to be; 0: as many as suit the index. */
    void train(std::size_t groups = 0) const {
        const std::string options = "{\"groups\":" + std::to_string(groups) + "}";
        detail::call(mullama_index_train, handle(), options.c_str());
    }

    /* Finds the documents that score best, the best first: the request of
     * POST /v1/indexes/{index}/search, which search_request() makes of a text. */
    std::vector<Found> search(const std::string &request) const {
        return detail::found(
            detail::json(mullama_index_search, handle(), detail::terminated(request)));
    }

    /* Reads the whole file. Throws an Error of Store if it is damaged. */
    void verify() const { detail::call(mullama_index_verify, handle()); }
};

// ---- Runtimes ----

/* How a runtime is opened; mullama_runtime_open says what each does. Empty texts are left out. */
struct Options {
    std::string library_dir{};
    std::string models_dir{};
    std::string url{};
    std::string key{};
    bool echo = false;
};

/* Is told the loaded part of a model, from 0 to 1, on some thread while load() waits. false gives
 * the load up, which then throws an Error of Cancelled. load() throws its exceptions on. */
using Progress = std::function<bool(float)>;

namespace detail {

struct Watch {
    const Progress &progress;
    std::exception_ptr thrown;

    static bool tell(float fraction, void *user) noexcept {
        Watch *watch = static_cast<Watch *>(user);
        try {
            return !watch->thrown && watch->progress(fraction);
        } catch (...) {
            watch->thrown = std::current_exception();
            return false;
        }
    }
};

inline mullama_runtime *open(const std::string &options) {
    mullama_runtime *runtime = nullptr;
    const std::uint32_t abi = mullama_abi_version();
    if (abi != MULLAMA_ABI_VERSION) {
        throw Error(Status::LibraryMissing,
                    "libmullama has the ABI version " + std::to_string(abi) +
                        ", this program needs " + std::to_string(MULLAMA_ABI_VERSION) +
                        "; compile it with the mullama.h of the library that is installed");
    }
    call(mullama_runtime_open, terminated(options), &runtime);
    return runtime;
}

inline std::string json(const Options &options) {
    std::string json = options.echo ? "{\"echo\":true" : "{\"echo\":false";
    const auto add = [&json](const char *name, const std::string &value) {
        json += value.empty() ? "" : std::string(",\"") + name + "\":" + quote(value);
    };
    add("library_dir", options.library_dir);
    add("models_dir", options.models_dir);
    add("url", options.url);
    add("key", options.key);
    return json + "}";
}

} // namespace detail

/* The engine with the models that it has loaded, for any number of threads. */
class Runtime : public detail::Owner<mullama_runtime, mullama_runtime_close> {
  public:
    /* Opens a runtime, by Options or by JSON. Throws LibraryMissing if libmullama does not fit this
     * header. */
    explicit Runtime(const Options &options = {}) : Runtime(detail::json(options)) {}
    explicit Runtime(const std::string &options) : Owner(detail::open(options)) {}

    /* What the runtime runs on, as JSON. */
    std::string info() const { return detail::json(mullama_runtime_info, handle()); }

    /* The models of the store, or of the daemon, as JSON: that of GET /api/tags. */
    std::string models() const { return detail::json(mullama_runtime_models, handle()); }

    /* Loads a model: a GGUF file by its path, which begins with / or ., or a model of the store or
     * the daemon by its name. Waits for it. */
    Model load(const std::string &name, const std::string &options = "{}",
               const Progress &progress = nullptr) const {
        detail::Watch watch{progress, nullptr};
        mullama_model *handle = nullptr;
        const detail::Outcome outcome =
            detail::attempt(mullama_model_load, this->handle(), detail::terminated(name),
                            detail::terminated(options), progress ? detail::Watch::tell : nullptr,
                            static_cast<void *>(&watch), &handle);
        Model model(handle);
        if (watch.thrown) {
            std::rethrow_exception(watch.thrown);
        }
        outcome.check();
        return model;
    }

    /* Opens an index of documents, or makes an empty one if there is no file, which is on this
     * machine, also where a daemon computes. The options of mullama_index_open are JSON. */
    Index open_index(const std::string &path, const std::string &options = "{}") const {
        return open_index(path, nullptr, options);
    }

    /* The same, with a model that embeds what is added and searched as text. It has to stay open
     * as long as the index. */
    Index open_index(const std::string &path, const Model &model,
                     const std::string &options = "{}") const {
        return open_index(path, model.handle(), options);
    }

  private:
    Index open_index(const std::string &path, mullama_model *model,
                     const std::string &options) const {
        mullama_index *handle = nullptr;
        detail::call(mullama_index_open, this->handle(), detail::terminated(path), model,
                     detail::terminated(options), &handle);
        return Index(handle);
    }
};

} // namespace mullama

#endif
