/*
 * mullama.h: language models in your process, on llama.cpp.
 *
 *     mullama_runtime *runtime;
 *     mullama_model *model;
 *     mullama_stream *stream;
 *     mullama_chunk chunk = {.struct_size = sizeof chunk};
 *     mullama_error *error = NULL;
 *
 *     mullama_runtime_open(NULL, &runtime, &error);
 *     mullama_model_load(runtime, "/models/smollm2.gguf", NULL, NULL, NULL, &model, &error);
 *     mullama_model_chat(model, "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
 *                        &stream, &error);
 *     while (mullama_stream_next(stream, &chunk, &error) == MULLAMA_OK) {
 *         fwrite(chunk.text, 1, chunk.text_size, stdout);
 *     }
 *
 * Rules that hold for all functions:
 *
 * - Texts that go in are UTF-8 and end with a zero byte, unless a size stands beside them; others
 *   are MULLAMA_ERR_INVALID. Requests and options are JSON objects; NULL stands for an empty one.
 * - A function that can fail returns a mullama_status. Its last parameter, where error is given and
 *   not NULL, then receives an error that says what was wrong and what to do; the caller frees it
 *   with mullama_error_free. On success *error stays as it is. Other results are set on success
 *   only.
 * - Handles may be used from any thread, and several threads at once, but one thread at a time
 *   reads a stream. A handle is no address. Using a closed one, or NULL, is MULLAMA_ERR_CLOSED;
 *   closing it again does nothing. Closing a runtime or model does not wait: what uses it ends
 *   soon.
 * - What a function gives, its comment says who frees. Nothing that the caller passes is kept.
 * - A function of the caller that is called returns: no exception and no longjmp may leave it.
 * - The library starts threads of its own, which a process does not have after fork(): in the child
 *   every function returns MULLAMA_ERR_FORKED. Load the library in the child instead.
 * - A fault of the library never ends the process: it is MULLAMA_ERR_INTERNAL, from then on for
 *   every call.
 */
#ifndef MULLAMA_H
#define MULLAMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes when a function or struct of this file changes its meaning. New functions, and new fields
 * at the end of structs, do not change it. */
#define MULLAMA_ABI_VERSION 1

/* How a call ended. The numbers stay. */
typedef int32_t mullama_status;
enum {
    MULLAMA_OK = 0,
    MULLAMA_END = 1,                  /* a stream is over */
    MULLAMA_ERR_INVALID = 2,          /* an argument, option or request is not valid */
    MULLAMA_ERR_NOT_FOUND = 3,        /* no such file, or model of the store */
    MULLAMA_ERR_NOT_GGUF = 4,         /* not a complete GGUF model */
    MULLAMA_ERR_UNSUPPORTED = 5,      /* this engine, or this model, cannot do that */
    MULLAMA_ERR_CONTEXT_FULL = 6,     /* the prompt does not fit in the context */
    MULLAMA_ERR_TEMPLATE = 7,         /* a chat template does not parse or render */
    MULLAMA_ERR_GRAMMAR = 8,          /* a grammar or JSON schema cannot be used */
    MULLAMA_ERR_OUT_OF_MEMORY = 9,    /* the model does not fit in memory */
    MULLAMA_ERR_BUSY = 10,            /* too many requests wait already */
    MULLAMA_ERR_STORE = 11,           /* the model store is damaged or not readable */
    MULLAMA_ERR_LIBRARY_MISSING = 12, /* the native library is missing or of another version */
    MULLAMA_ERR_CLOSED = 13,          /* the handle is NULL or closed */
    MULLAMA_ERR_CANCELLED = 14,       /* the call was cancelled */
    MULLAMA_ERR_INTERNAL = 15,        /* a fault that is not the caller's */
    MULLAMA_ERR_FORKED = 16,          /* the process was forked after the library was loaded */
    MULLAMA_ERR_TOO_SMALL = 17,       /* the buffer is too small; the size needed was set */
    MULLAMA_ERR_UNREACHABLE = 18,     /* another machine that the model is on does not answer */
};

/* What was wrong. */
typedef struct mullama_error mullama_error;

/* The engine with the models that it has loaded. */
typedef struct mullama_runtime mullama_runtime;

/* A loaded model. It computes several requests together. */
typedef struct mullama_model mullama_model;

/* Embeddings of texts. No handle: they are memory that never changes and any threads may read. */
typedef struct mullama_embeddings mullama_embeddings;

/* A file of documents that are found by late interaction. */
typedef struct mullama_index mullama_index;

/* An answer while it is generated. */
typedef struct mullama_stream mullama_stream;

/* ---- The library ---- */

/* MULLAMA_ABI_VERSION of the library. Compare before all else. Works in a forked child. */
uint32_t mullama_abi_version(void);

/* The version of the library, such as "0.1.0". It is never freed. */
const char *mullama_version(void);

/* The name of a status, such as "context_full"; "unknown" for others. It is never freed. */
const char *mullama_status_name(mullama_status status);

/* Does nothing, as every other function does it: what a call costs. */
mullama_status mullama_noop(mullama_error **error);

/* Frees a text that a function gave. NULL does nothing. */
void mullama_string_free(char *text);

/* ---- Errors ---- */

/* The status that came with the error; MULLAMA_OK for NULL. */
mullama_status mullama_error_status(const mullama_error *error);

/* One sentence that says what was wrong, where, and what to do. Valid until the error is freed; ""
 * for NULL. */
const char *mullama_error_message(const mullama_error *error);

/* Frees an error. NULL does nothing. */
void mullama_error_free(mullama_error *error);

/* ---- Runtimes ---- */

/*
 * Opens a runtime. The options, all of which may be left out:
 *
 *   library_dir  folder of the native engine (default: beside this library)
 *   models_dir   folder of the model store, in Ollama's layout (default: none)
 *   url          address of a daemon that is to do the work, such as "http://127.0.0.1:11434"; then
 *                nothing is loaded into this process
 *   key          API key of that daemon
 *   echo         true: no engine. The model "echo" repeats what it is sent, for tests; the parts of
 *                the model "clock" are the nanoseconds of the monotonic clock when they were made
 *
 * The caller closes the runtime.
 */
mullama_status mullama_runtime_open(const char *options, mullama_runtime **runtime,
                                    mullama_error **error);

/* Closes a runtime. Models that are still open stay usable until they are closed themselves. */
void mullama_runtime_close(mullama_runtime *runtime);

/* What the runtime runs on, as a JSON object: version, engine, devices. The caller frees the
 * text. */
mullama_status mullama_runtime_info(mullama_runtime *runtime, char **json, mullama_error **error);

/* The models of the store, or of the daemon, as GET /api/tags tells them. The caller frees the
 * text. */
mullama_status mullama_runtime_models(mullama_runtime *runtime, char **json, mullama_error **error);

/* ---- Models ---- */

/* Is told the loaded part of a model, from 0 to 1, on the thread that loads; just 1 if its weights
 * are loaded already. false gives the load up, which then ends with MULLAMA_ERR_CANCELLED. */
typedef bool (*mullama_progress)(float fraction, void *user);

/*
 * Loads a model: a GGUF file by its path, which begins with / or ., or a model of the store or the
 * daemon by its name. Loading the same again is cheap: weights are shared. Some of the options, all
 * of which may be left out (docs/abi.md has all):
 *
 *   ctx_size     tokens that prompt and answer share (default: the model's, at most 4096)
 *   slots        requests computed at once (default 4)
 *   threads      CPU threads (default: the cores)
 *   gpu_layers   layers on the GPU (default: all)
 *   vocab_only   true: only the vocabulary and the chat template
 *
 * progress may be NULL. The caller closes the model.
 */
mullama_status mullama_model_load(mullama_runtime *runtime, const char *name, const char *options,
                                  mullama_progress progress, void *user, mullama_model **model,
                                  mullama_error **error);

/* Closes a model: its streams end. */
void mullama_model_close(mullama_model *model);

/* What the model's file says of it, and what it is doing, as a JSON object. The caller frees the
 * text. */
mullama_status mullama_model_info(mullama_model *model, char **json, mullama_error **error);

enum {
    MULLAMA_ADD_SPECIAL = 1,   /* add what the model wants around a text, such as BOS */
    MULLAMA_PARSE_SPECIAL = 2, /* texts of control tokens become those; not for texts of users */
};

/*
 * Makes tokens of a text of text_size bytes. At most capacity of them are written to tokens, which
 * may be NULL if capacity is 0, and *count is how many there are. If that is more,
 * MULLAMA_ERR_TOO_SMALL is returned. Room for as many tokens as there are bytes, and three, nearly
 * always suffices. The text need not be UTF-8: what is not becomes tokens of its bytes where the
 * vocabulary is like SentencePiece's, and those of U+FFFD with others and with a daemon.
 */
mullama_status mullama_model_tokenize(mullama_model *model, const char *text, size_t text_size,
                                      uint32_t flags, int32_t *tokens, size_t capacity,
                                      size_t *count, mullama_error **error);

/* Makes the text of tokens, in the same way. It has no zero byte at its end, and need not be UTF-8
 * when it begins or ends within a character. */
mullama_status mullama_model_detokenize(mullama_model *model, const int32_t *tokens, size_t count,
                                        char *text, size_t capacity, size_t *text_size,
                                        mullama_error **error);

/* The prompt that a request of mullama_model_chat makes, as a JSON object with the field "prompt".
 * The caller frees the text. */
mullama_status mullama_model_render(mullama_model *model, const char *request, char **json,
                                    mullama_error **error);

/*
 * Begin to answer a conversation, or to continue a text. The requests are those of POST /api/chat
 * and POST /api/generate of docs/api.md: messages or prompt, and options, format, tools, think,
 * logprobs and so on; model, stream and keep_alive are ignored. A prompt that does not fit is
 * MULLAMA_ERR_CONTEXT_FULL unless the request has "truncate": true. Neither waits for the answer,
 * but with a daemon until it begins. Answers asked for at the same time are computed together. The
 * caller closes the stream.
 */
mullama_status mullama_model_chat(mullama_model *model, const char *request,
                                  mullama_stream **stream, mullama_error **error);
mullama_status mullama_model_generate(mullama_model *model, const char *request,
                                      mullama_stream **stream, mullama_error **error);

/* ---- Embeddings and ranking ---- */

/*
 * Embeds texts. The request is that of POST /api/embed of docs/api.md: input, a text or a list of
 * texts, which must not be empty, and pooling, normalize, dimensions, task, prefix and truncate;
 * model and keep_alive are ignored. A text that is too long is MULLAMA_ERR_CONTEXT_FULL unless the
 * request has "truncate": true. An error of this function is about the whole request. What is wrong
 * with one of the texts mullama_embeddings_get tells, and the others have their embeddings; with a
 * daemon it may be an error of the request. This waits for the result. Texts that several threads
 * have embedded at the same time are computed together. The caller frees the embeddings with
 * mullama_embeddings_free.
 */
mullama_status mullama_model_embed(mullama_model *model, const char *request,
                                   mullama_embeddings **embeddings, mullama_error **error);

/* How many embeddings there are: one for each text, in the order of the texts. 0 for NULL. */
size_t mullama_embeddings_count(const mullama_embeddings *embeddings);

/* The embedding of a text. The numbers belong to the embeddings and are valid until these are
 * freed. struct_size says which fields there are, as that of mullama_chunk does. */
typedef struct mullama_embedding {
    size_t struct_size;  /* sizeof(mullama_embedding), set by who makes the embedding */
    const float *values; /* rows times width numbers, one row after the other */
    size_t rows;         /* 1; with the pooling "none" as many as the text has tokens */
    size_t width;        /* numbers of a row, whose length is 1 unless normalize is false */
    size_t tokens;       /* of the text, with those that the model adds, that were embedded */
    bool truncated;      /* the text was too long, and its end was left out */
} mullama_embedding;

/* Gives the embedding of the text with this number, counted from 0, or the error of that text. */
mullama_status mullama_embeddings_get(const mullama_embeddings *embeddings, size_t index,
                                      mullama_embedding *embedding, mullama_error **error);

/* Frees embeddings with their numbers. NULL does nothing. */
void mullama_embeddings_free(mullama_embeddings *embeddings);

/*
 * Say how well documents answer a query: rerank by the head of a model that ranks, or by asking a
 * model that chats; score by late interaction, which compares the vectors of tokens. The requests
 * are those of POST /v1/rerank and POST /v1/score of docs/api.md: query, documents, top_n and so
 * on. The result is their answer, a JSON object: results, the best first, each with the index of a
 * document and its relevance_score; method; and the tokens of usage. What is wrong with one
 * document is an error of the request. Both wait for the result. The caller frees the text.
 */
mullama_status mullama_model_rerank(mullama_model *model, const char *request, char **json,
                                    mullama_error **error);
mullama_status mullama_model_score(mullama_model *model, const char *request, char **json,
                                   mullama_error **error);

/* ---- Indexes ---- */

/*
 * Opens an index, or makes an empty one if there is no file at path. The file is on this machine,
 * whoever computes: a runtime of a daemon opens it here, too. model, which may be NULL, embeds what
 * is added and searched as text; it stays the caller's, and must be open then. The options, all of
 * which may be left out:
 *
 *   dimensions   numbers of a vector (default: the model's, or those of the index that is there)
 *   vectors      how a new index keeps them: f32, f16 or int8 (default f16)
 *   in_memory    true: read the file into memory instead of mapping it
 *   threads      threads of a search (default: the cores)
 *   device       name of a device that searches, such as CUDA0, whose memory then holds the
 *                documents (default: none)
 *
 * An index that is there and has vectors of another length, or of another model, is
 * MULLAMA_ERR_INVALID; a damaged one MULLAMA_ERR_STORE; one too large for the device
 * MULLAMA_ERR_OUT_OF_MEMORY. The caller closes the index.
 */
mullama_status mullama_index_open(mullama_runtime *runtime, const char *path, mullama_model *model,
                                  const char *options, mullama_index **index,
                                  mullama_error **error);

/* Closes an index, after the calls under way. What was added stays in the file. */
void mullama_index_close(mullama_index *index);

/* What is in the index, as a JSON object: model, dimensions, vectors, documents, tokens, bytes,
 * groups and grouped_documents. The caller frees the text. */
mullama_status mullama_index_info(mullama_index *index, char **json, mullama_error **error);

/* Adds documents, all or none: the request of POST /v1/indexes/{index}/documents of docs/api.md,
 * whose documents have an id and a text, or an id and the vectors of its tokens. They are in the
 * file when this returns. */
mullama_status mullama_index_add(mullama_index *index, const char *request, mullama_error **error);

/* Groups similar tokens of all documents, for searches with "probe". The options, which may be
 * NULL: groups, how many there are to be (default: as many as suit the index). */
mullama_status mullama_index_train(mullama_index *index, const char *options,
                                   mullama_error **error);

/* Searches the index: the request of POST /v1/indexes/{index}/search, with a query or the vectors
 * of its tokens, and top_n, probe and candidates. The result is its answer, a JSON object: results,
 * the best first, each with id and score. The caller frees the text. */
mullama_status mullama_index_search(mullama_index *index, const char *request, char **json,
                                    mullama_error **error);

/* Reads the whole file and compares its checksums: MULLAMA_ERR_STORE if it is damaged. A search
 * does so for what it reads for the first time. */
mullama_status mullama_index_verify(mullama_index *index, mullama_error **error);

/* ---- Streams ---- */

/* A part of an answer. The texts belong to the stream and are valid until its next call.
 * struct_size says which fields there are: an older caller's chunk is filled as far as it goes, and
 * an older library leaves a newer caller's last fields as they are. */
typedef struct mullama_chunk {
    size_t struct_size;   /* sizeof(mullama_chunk), set by who makes the chunk */
    const char *text;     /* whole characters of UTF-8 */
    size_t text_size;     /* bytes; may be 0 */
    const char *thinking; /* what the model thinks before it answers, if it does */
    size_t thinking_size;
    const int32_t *tokens; /* that text and thinking are of */
    size_t token_count;
    const char *json; /* of the last part: the last line of the daemon's answer, with
                              done_reason, counts and times; else "" or {"logprobs": […]} */
    size_t json_size;
    bool done; /* this is the last part */
} mullama_chunk;

/* Waits for the next part. MULLAMA_END after the last one. */
mullama_status mullama_stream_next(mullama_stream *stream, mullama_chunk *chunk,
                                   mullama_error **error);

/* Is told each part on a thread of the library, one after the other, and at last the status
 * MULLAMA_END, or an error, which belongs to the library; chunk is NULL then. Nothing else happens
 * with this stream until it returns. false ends the answer. */
typedef bool (*mullama_on_chunk)(const mullama_chunk *chunk, mullama_status status,
                                 const mullama_error *error, void *user);

/* Has the parts told to a function instead of reading them. Until the function is told the end,
 * reading the stream, or another function for it, is MULLAMA_ERR_INVALID. */
mullama_status mullama_stream_deliver(mullama_stream *stream, mullama_on_chunk on_chunk, void *user,
                                      mullama_error **error);

/* Ends an answer, from any thread. Its last part comes soon, with done_reason "cancelled". */
mullama_status mullama_stream_cancel(mullama_stream *stream, mullama_error **error);

/* Ends an answer, if it has not ended, and frees the stream with the texts of its last chunk. A
 * call that waits for a part returns soon. */
void mullama_stream_close(mullama_stream *stream);

#ifdef __cplusplus
}
#endif

#endif
