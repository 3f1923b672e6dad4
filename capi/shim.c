// The functions of mullama.h. A Go library does not live through fork(): its threads are gone, and
// a call would hang. So each function first looks whether this is a child.
#include "shim.h"
#include "signal_stack.h"

#include "_cgo_export.h"

#include <pthread.h>
#include <string.h>

struct mullama_error {
    mullama_status status;
    char message[];
};

// Set in a child of fork(), which has one thread.
static bool forked;

static void after_fork(void) { forked = true; }

__attribute__((constructor)) static void watch_fork(void) {
    pthread_atfork(NULL, NULL, after_fork);
}

// Whether Go can be called: not in a child.
static bool can_call(void) {
    if (forked) {
        return false;
    }
    if (!signal_stack_known) {
        signal_stack_first_call();
    }
    return true;
}

// The same for calls that last long enough to be interrupted, or that destructors make. It costs a
// call of the system more.
static bool can_call_long(void) {
    if (!can_call()) {
        return false;
    }
    signal_stack_restore();
    return true;
}

mullama_error *capi_error(mullama_status status, const char *message) {
    size_t size = strlen(message) + 1;
    mullama_error *error = malloc(sizeof(*error) + size);
    if (error != NULL) {
        error->status = status;
        memcpy(error->message, message, size);
    }
    return error;
}

static mullama_status fail(mullama_error **error, mullama_status status, const char *message) {
    if (error != NULL) {
        *error = capi_error(status, message);
    }
    return status;
}

static mullama_status fail_forked(mullama_error **error) {
    return fail(error, MULLAMA_ERR_FORKED,
                "the process was forked after the library was loaded; load the library in the "
                "child");
}

// Copies a struct as far as the other goes, by its struct_size, which stays.
static void copy_known(void *to, const void *from, size_t size) {
    size_t known, first = sizeof(size_t); // what is behind struct_size
    memcpy(&known, to, sizeof(known));
    memcpy((char *)to + first, (const char *)from + first, (known < size ? known : size) - first);
}

void capi_copy_chunk(mullama_chunk *to, const mullama_chunk *from) {
    copy_known(to, from, sizeof(*from));
}

// What atexit calls with the handle of a library, whose handlers __cxa_finalize runs and removes.
int __cxa_atexit(void (*handler)(void *), void *argument, void *library);
void __cxa_finalize(void *library);

static __thread bool moving_at_exit;

static void at_exit(void *unused) {
    (void)unused;
    if (!moving_at_exit && can_call_long()) {
        goAtExit();
    }
}

// The handler moves to the front of the others: one more for each load would never be freed.
void capi_watch_exit(void) {
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    static char handle;
    pthread_mutex_lock(&one_at_a_time);
    moving_at_exit = true;
    __cxa_finalize(&handle);
    moving_at_exit = false;
    __cxa_atexit(at_exit, NULL, &handle);
    pthread_mutex_unlock(&one_at_a_time);
}

bool capi_progress(mullama_progress progress, float fraction, void *user) {
    signal_stack_known = true; // Go's thread has Go's stack
    return progress(fraction, user);
}

bool capi_on_chunk(mullama_on_chunk on_chunk, const mullama_chunk *chunk, mullama_status status,
                   const mullama_error *error, void *user) {
    signal_stack_known = true;
    return on_chunk(chunk, status, error, user);
}

// ---- The library ----

uint32_t mullama_abi_version(void) { return MULLAMA_ABI_VERSION; }

const char *mullama_version(void) {
    static _Atomic(const char *) version;
    if (version == NULL && can_call()) {
        version = goVersion(); // the same text each time, never freed
    }
    return version != NULL ? version : "";
}

const char *mullama_status_name(mullama_status status) {
    static const char *const names[] = {
        "ok",          "end",          "invalid",         "not_found",   "not_gguf",
        "unsupported", "context_full", "template",        "grammar",     "out_of_memory",
        "busy",        "store",        "library_missing", "closed",      "cancelled",
        "internal",    "forked",       "too_small",       "unreachable",
    };
    if (status < 0 || (size_t)status >= sizeof(names) / sizeof(names[0])) {
        return "unknown";
    }
    return names[status];
}

mullama_status mullama_noop(mullama_error **error) {
    return can_call() ? goNoop(error) : fail_forked(error);
}

void mullama_string_free(char *text) { free(text); }

// ---- Errors ----

mullama_status mullama_error_status(const mullama_error *error) {
    return error != NULL ? error->status : MULLAMA_OK;
}

const char *mullama_error_message(const mullama_error *error) {
    return error != NULL ? error->message : "";
}

void mullama_error_free(mullama_error *error) { free(error); }

// ---- Runtimes ----

mullama_status mullama_runtime_open(const char *options, mullama_runtime **runtime,
                                    mullama_error **error) {
    return can_call_long() ? goRuntimeOpen((char *)options, (uintptr_t *)runtime, error)
                           : fail_forked(error);
}

void mullama_runtime_close(mullama_runtime *runtime) {
    if (can_call_long()) {
        goRuntimeClose((uintptr_t)runtime);
    }
}

mullama_status mullama_runtime_info(mullama_runtime *runtime, char **json, mullama_error **error) {
    return can_call_long() ? goRuntimeInfo((uintptr_t)runtime, json, error) : fail_forked(error);
}

mullama_status mullama_runtime_models(mullama_runtime *runtime, char **json,
                                      mullama_error **error) {
    return can_call_long() ? goRuntimeModels((uintptr_t)runtime, json, error) : fail_forked(error);
}

// ---- Models ----

mullama_status mullama_model_load(mullama_runtime *runtime, const char *name, const char *options,
                                  mullama_progress progress, void *user, mullama_model **model,
                                  mullama_error **error) {
    return can_call_long() ? goModelLoad((uintptr_t)runtime, (char *)name, (char *)options,
                                         progress, user, (uintptr_t *)model, error)
                           : fail_forked(error);
}

void mullama_model_close(mullama_model *model) {
    if (can_call_long()) {
        goModelClose((uintptr_t)model);
    }
}

mullama_status mullama_model_info(mullama_model *model, char **json, mullama_error **error) {
    return can_call_long() ? goModelInfo((uintptr_t)model, json, error) : fail_forked(error);
}

mullama_status mullama_model_tokenize(mullama_model *model, const char *text, size_t text_size,
                                      uint32_t flags, int32_t *tokens, size_t capacity,
                                      size_t *count, mullama_error **error) {
    return can_call() ? goModelTokenize((uintptr_t)model, (char *)text, text_size, flags, tokens,
                                        capacity, count, error)
                      : fail_forked(error);
}

mullama_status mullama_model_detokenize(mullama_model *model, const int32_t *tokens, size_t count,
                                        char *text, size_t capacity, size_t *text_size,
                                        mullama_error **error) {
    return can_call() ? goModelDetokenize((uintptr_t)model, (int32_t *)tokens, count, text,
                                          capacity, text_size, error)
                      : fail_forked(error);
}

mullama_status mullama_model_render(mullama_model *model, const char *request, char **json,
                                    mullama_error **error) {
    return can_call_long() ? goModelRender((uintptr_t)model, (char *)request, json, error)
                           : fail_forked(error);
}

mullama_status mullama_model_chat(mullama_model *model, const char *request,
                                  mullama_stream **stream, mullama_error **error) {
    return can_call_long()
               ? goModelChat((uintptr_t)model, (char *)request, (uintptr_t *)stream, error)
               : fail_forked(error);
}

mullama_status mullama_model_generate(mullama_model *model, const char *request,
                                      mullama_stream **stream, mullama_error **error) {
    return can_call_long()
               ? goModelGenerate((uintptr_t)model, (char *)request, (uintptr_t *)stream, error)
               : fail_forked(error);
}

// ---- Embeddings and ranking ----

struct item {
    mullama_embedding embedding;
    mullama_error *error; // instead
};

struct mullama_embeddings {
    size_t count;
    float *values; // where those of the next item go
    struct item items[];
};

mullama_embeddings *capi_embeddings(size_t count, size_t numbers) {
    size_t head = sizeof(mullama_embeddings) + count * sizeof(struct item);
    mullama_embeddings *embeddings = calloc(1, head + numbers * sizeof(float));
    if (embeddings != NULL) {
        embeddings->count = count;
        embeddings->values = (float *)((char *)embeddings + head);
    }
    return embeddings;
}

float *capi_embedding_set(mullama_embeddings *embeddings, size_t index,
                          const mullama_embedding *embedding) {
    float *values = embeddings->values;
    embeddings->values += embedding->rows * embedding->width;
    embeddings->items[index].embedding = *embedding;
    embeddings->items[index].embedding.values = values;
    return values;
}

void capi_embedding_fail(mullama_embeddings *embeddings, size_t index, mullama_error *error) {
    embeddings->items[index].error = error;
}

mullama_status mullama_model_embed(mullama_model *model, const char *request,
                                   mullama_embeddings **embeddings, mullama_error **error) {
    return can_call_long() ? goModelEmbed((uintptr_t)model, (char *)request, embeddings, error)
                           : fail_forked(error);
}

size_t mullama_embeddings_count(const mullama_embeddings *embeddings) {
    return embeddings != NULL ? embeddings->count : 0;
}

mullama_status mullama_embeddings_get(const mullama_embeddings *embeddings, size_t index,
                                      mullama_embedding *embedding, mullama_error **error) {
    if (index >= mullama_embeddings_count(embeddings)) {
        return fail(error, MULLAMA_ERR_INVALID,
                    "embeddings is NULL, or has none of this index; mullama_embeddings_count says "
                    "how many there are");
    }
    if (embedding == NULL || embedding->struct_size < CAPI_EMBEDDING_V1) {
        return fail(error, MULLAMA_ERR_INVALID,
                    "embedding is NULL, or its struct_size is not sizeof(mullama_embedding)");
    }
    const struct item *item = &embeddings->items[index];
    if (item->error != NULL) {
        return fail(error, item->error->status, item->error->message);
    }
    copy_known(embedding, &item->embedding, sizeof(*embedding));
    return MULLAMA_OK;
}

void mullama_embeddings_free(mullama_embeddings *embeddings) {
    for (size_t i = 0; i < mullama_embeddings_count(embeddings); i++) {
        free(embeddings->items[i].error);
    }
    free(embeddings);
}

mullama_status mullama_model_rerank(mullama_model *model, const char *request, char **json,
                                    mullama_error **error) {
    return can_call_long() ? goModelRerank((uintptr_t)model, (char *)request, json, error)
                           : fail_forked(error);
}

mullama_status mullama_model_score(mullama_model *model, const char *request, char **json,
                                   mullama_error **error) {
    return can_call_long() ? goModelScore((uintptr_t)model, (char *)request, json, error)
                           : fail_forked(error);
}

// ---- Indexes ----

mullama_status mullama_index_open(mullama_runtime *runtime, const char *path, mullama_model *model,
                                  const char *options, mullama_index **index,
                                  mullama_error **error) {
    return can_call_long() ? goIndexOpen((uintptr_t)runtime, (char *)path, (uintptr_t)model,
                                         (char *)options, (uintptr_t *)index, error)
                           : fail_forked(error);
}

void mullama_index_close(mullama_index *index) {
    if (can_call_long()) {
        goIndexClose((uintptr_t)index);
    }
}

mullama_status mullama_index_info(mullama_index *index, char **json, mullama_error **error) {
    return can_call_long() ? goIndexInfo((uintptr_t)index, json, error) : fail_forked(error);
}

mullama_status mullama_index_add(mullama_index *index, const char *request, mullama_error **error) {
    return can_call_long() ? goIndexAdd((uintptr_t)index, (char *)request, error)
                           : fail_forked(error);
}

mullama_status mullama_index_train(mullama_index *index, const char *options,
                                   mullama_error **error) {
    return can_call_long() ? goIndexTrain((uintptr_t)index, (char *)options, error)
                           : fail_forked(error);
}

mullama_status mullama_index_search(mullama_index *index, const char *request, char **json,
                                    mullama_error **error) {
    return can_call_long() ? goIndexSearch((uintptr_t)index, (char *)request, json, error)
                           : fail_forked(error);
}

mullama_status mullama_index_verify(mullama_index *index, mullama_error **error) {
    return can_call_long() ? goIndexVerify((uintptr_t)index, error) : fail_forked(error);
}

// ---- Streams ----

mullama_status mullama_stream_next(mullama_stream *stream, mullama_chunk *chunk,
                                   mullama_error **error) {
    return can_call_long() ? goStreamNext((uintptr_t)stream, chunk, error) : fail_forked(error);
}

mullama_status mullama_stream_deliver(mullama_stream *stream, mullama_on_chunk on_chunk, void *user,
                                      mullama_error **error) {
    return can_call_long() ? goStreamDeliver((uintptr_t)stream, on_chunk, user, error)
                           : fail_forked(error);
}

mullama_status mullama_stream_cancel(mullama_stream *stream, mullama_error **error) {
    return can_call_long() ? goStreamCancel((uintptr_t)stream, error) : fail_forked(error);
}

void mullama_stream_close(mullama_stream *stream) {
    if (can_call_long()) {
        goStreamClose((uintptr_t)stream);
    }
}
