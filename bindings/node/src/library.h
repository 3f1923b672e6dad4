// libmullama, opened when it is first needed.
#ifndef MULLAMA_NODE_LIBRARY_H
#define MULLAMA_NODE_LIBRARY_H

#include <mullama.h>

#include <string>
#include <vector>

namespace mullama {

// Why a call did not succeed: the name of a status, and a sentence. No status: it did.
struct Failure {
    std::string status;
    std::string message;

    explicit operator bool() const { return !status.empty(); }
};

#define MULLAMA_FUNCTIONS(X) \
    X(abi_version)           \
    X(version)               \
    X(status_name)           \
    X(noop)                  \
    X(string_free)           \
    X(error_status)          \
    X(error_message)         \
    X(error_free)            \
    X(runtime_open)          \
    X(runtime_close)         \
    X(runtime_info)          \
    X(runtime_models)        \
    X(model_load)            \
    X(model_close)           \
    X(model_info)            \
    X(model_tokenize)        \
    X(model_detokenize)      \
    X(model_render)          \
    X(model_chat)            \
    X(model_generate)        \
    X(model_embed)           \
    X(model_rerank)          \
    X(model_score)           \
    X(embeddings_count)      \
    X(embeddings_get)        \
    X(embeddings_free)       \
    X(index_open)            \
    X(index_close)           \
    X(index_info)            \
    X(index_add)             \
    X(index_train)           \
    X(index_search)          \
    X(index_verify)          \
    X(stream_deliver)        \
    X(stream_cancel)         \
    X(stream_close)

// The functions of a loaded library. It has threads, so it stays loaded until the process ends.
struct Library {
#define MULLAMA_MEMBER(name) decltype(&::mullama_##name) name;
    MULLAMA_FUNCTIONS(MULLAMA_MEMBER)
#undef MULLAMA_MEMBER

    // Turns what a function returned into a Failure, and frees the error.
    Failure failure(mullama_status status, mullama_error *error) const;
    // Copies an error that stays the library's.
    Failure describe(mullama_status status, const mullama_error *error) const;
};

// Opens the first of the files that is there. A file is opened once in a process, from any thread.
const Library *open_library(const std::vector<std::string> &files, Failure *failure);

} // namespace mullama

#endif
