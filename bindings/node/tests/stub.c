// A library for tests of what no engine can show: another version of the ABI, calls that wait until
// a test lets them go on, and how many handles were closed. The name of its models is the gate: a
// file that opens it by being there. Its streams never have a part until they are closed.
#include <mullama.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef STUB_ABI_VERSION
#define STUB_ABI_VERSION MULLAMA_ABI_VERSION
#endif

uint32_t mullama_abi_version(void) { return STUB_ABI_VERSION; }

#ifndef STUB_INCOMPLETE

static char gate[4096];
static atomic_int runtimes_closed, models_closed, streams_closed;

static void pause_shortly(void) { usleep(200); }

const char *mullama_version(void) { return "stub"; }

const char *mullama_status_name(mullama_status status) {
    return status == MULLAMA_ERR_CANCELLED ? "cancelled" : "unknown";
}

mullama_status mullama_noop(mullama_error **error) { return (void)error, MULLAMA_OK; }

void mullama_string_free(char *text) { free(text); }

mullama_status mullama_error_status(const mullama_error *error) { return (void)error, MULLAMA_OK; }

const char *mullama_error_message(const mullama_error *error) { return (void)error, ""; }

void mullama_error_free(mullama_error *error) { (void)error; }

mullama_status mullama_runtime_open(const char *options, mullama_runtime **runtime,
                                    mullama_error **error) {
    (void)options, (void)error;
    *runtime = (mullama_runtime *)1;
    return MULLAMA_OK;
}

void mullama_runtime_close(mullama_runtime *runtime) { runtimes_closed += runtime != NULL; }

mullama_status mullama_runtime_info(mullama_runtime *runtime, char **json, mullama_error **error) {
    (void)runtime, (void)error;
    *json = malloc(128);
    snprintf(*json, 128, "{\"runtimes\":%d,\"models\":%d,\"streams\":%d}", runtimes_closed,
             models_closed, streams_closed);
    return MULLAMA_OK;
}

mullama_status mullama_runtime_models(mullama_runtime *runtime, char **json,
                                      mullama_error **error) {
    return mullama_runtime_info(runtime, json, error);
}

mullama_status mullama_model_load(mullama_runtime *runtime, const char *name, const char *options,
                                  mullama_progress progress, void *user, mullama_model **model,
                                  mullama_error **error) {
    (void)runtime, (void)options, (void)error;
    snprintf(gate, sizeof(gate), "%s", name);
    for (; access(name, F_OK) != 0; pause_shortly()) {
        if (!progress(0.5f, user)) {
            return MULLAMA_ERR_CANCELLED;
        }
    }
    *model = (mullama_model *)2;
    return MULLAMA_OK;
}

void mullama_model_close(mullama_model *model) { models_closed += model != NULL; }

mullama_status mullama_model_info(mullama_model *model, char **json, mullama_error **error) {
    (void)model;
    return mullama_runtime_info(NULL, json, error);
}

// Every byte is 20 tokens.
mullama_status mullama_model_tokenize(mullama_model *model, const char *text, size_t text_size,
                                      uint32_t flags, int32_t *tokens, size_t capacity,
                                      size_t *count, mullama_error **error) {
    (void)model, (void)text, (void)flags, (void)error;
    *count = 20 * text_size;
    memset(tokens, 0, 4 * (capacity < *count ? capacity : *count));
    return capacity < *count ? MULLAMA_ERR_TOO_SMALL : MULLAMA_OK;
}

// Every token is 100 bytes.
mullama_status mullama_model_detokenize(mullama_model *model, const int32_t *tokens, size_t count,
                                        char *text, size_t capacity, size_t *text_size,
                                        mullama_error **error) {
    (void)model, (void)tokens, (void)error;
    *text_size = 100 * count;
    memset(text, 'x', capacity < *text_size ? capacity : *text_size);
    return capacity < *text_size ? MULLAMA_ERR_TOO_SMALL : MULLAMA_OK;
}

mullama_status mullama_model_render(mullama_model *model, const char *request, char **json,
                                    mullama_error **error) {
    (void)request;
    return mullama_model_info(model, json, error);
}

// Waits for the gate, as a daemon's answer is waited for.
mullama_status mullama_model_chat(mullama_model *model, const char *request,
                                  mullama_stream **stream, mullama_error **error) {
    (void)model, (void)request, (void)error;
    while (access(gate, F_OK) != 0) {
        pause_shortly();
    }
    *stream = malloc(1);
    return MULLAMA_OK;
}

mullama_status mullama_model_generate(mullama_model *model, const char *request,
                                      mullama_stream **stream, mullama_error **error) {
    return mullama_model_chat(model, request, stream, error);
}

// Waits for the gate, and then has no embeddings.
mullama_status mullama_model_embed(mullama_model *model, const char *request,
                                   mullama_embeddings **embeddings, mullama_error **error) {
    (void)model, (void)request, (void)error;
    while (access(gate, F_OK) != 0) {
        pause_shortly();
    }
    *embeddings = NULL;
    return MULLAMA_OK;
}

size_t mullama_embeddings_count(const mullama_embeddings *embeddings) {
    return (void)embeddings, 0;
}

mullama_status mullama_embeddings_get(const mullama_embeddings *embeddings, size_t index,
                                      mullama_embedding *embedding, mullama_error **error) {
    return (void)embeddings, (void)index, (void)embedding, (void)error, MULLAMA_ERR_INVALID;
}

void mullama_embeddings_free(mullama_embeddings *embeddings) { (void)embeddings; }

mullama_status mullama_model_rerank(mullama_model *model, const char *request, char **json,
                                    mullama_error **error) {
    return mullama_model_render(model, request, json, error);
}

mullama_status mullama_model_score(mullama_model *model, const char *request, char **json,
                                   mullama_error **error) {
    return mullama_model_render(model, request, json, error);
}

// It opens no index, and so none is used.
mullama_status mullama_index_open(mullama_runtime *runtime, const char *path, mullama_model *model,
                                  const char *options, mullama_index **index,
                                  mullama_error **error) {
    (void)runtime, (void)path, (void)model, (void)options, (void)index, (void)error;
    return MULLAMA_ERR_INTERNAL;
}

void mullama_index_close(mullama_index *index) { (void)index; }

mullama_status mullama_index_info(mullama_index *index, char **json, mullama_error **error) {
    (void)index, (void)json, (void)error;
    return MULLAMA_ERR_INTERNAL;
}

mullama_status mullama_index_add(mullama_index *index, const char *request,
                                 mullama_error **error) {
    (void)index, (void)request, (void)error;
    return MULLAMA_ERR_INTERNAL;
}

mullama_status mullama_index_train(mullama_index *index, const char *options,
                                   mullama_error **error) {
    return mullama_index_add(index, options, error);
}

mullama_status mullama_index_search(mullama_index *index, const char *request, char **json,
                                    mullama_error **error) {
    (void)json;
    return mullama_index_add(index, request, error);
}

mullama_status mullama_index_verify(mullama_index *index, mullama_error **error) {
    return mullama_index_add(index, NULL, error);
}

mullama_status mullama_stream_next(mullama_stream *stream, mullama_chunk *chunk,
                                   mullama_error **error) {
    return (void)stream, (void)chunk, (void)error, MULLAMA_END;
}

struct delivery {
    mullama_on_chunk on_chunk;
    void *user;
    int closed_before;
};

static void *deliver(void *argument) {
    struct delivery *d = argument;
    while (streams_closed == d->closed_before) {
        pause_shortly();
    }
    d->on_chunk(NULL, MULLAMA_END, NULL, d->user);
    free(d);
    return NULL;
}

mullama_status mullama_stream_deliver(mullama_stream *stream, mullama_on_chunk on_chunk, void *user,
                                      mullama_error **error) {
    (void)stream, (void)error;
    pthread_t thread;
    struct delivery *d = malloc(sizeof(*d));
    *d = (struct delivery){on_chunk, user, streams_closed};
    pthread_create(&thread, NULL, deliver, d);
    pthread_detach(thread);
    return MULLAMA_OK;
}

mullama_status mullama_stream_cancel(mullama_stream *stream, mullama_error **error) {
    return (void)stream, (void)error, MULLAMA_OK;
}

void mullama_stream_close(mullama_stream *stream) { streams_closed += stream != NULL; }

#endif
