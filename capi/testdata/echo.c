// Calls every function with good and bad arguments, on the model that repeats.
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static mullama_runtime *runtime;
static mullama_model *model;

static void library(void) {
    CHECK(mullama_abi_version() == MULLAMA_ABI_VERSION);
    CHECK(strlen(mullama_version()) > 0);
    CHECK(strcmp(mullama_status_name(MULLAMA_ERR_CONTEXT_FULL), "context_full") == 0);
    CHECK(strcmp(mullama_status_name(MULLAMA_ERR_TOO_SMALL), "too_small") == 0);
    CHECK(strcmp(mullama_status_name(-1), "unknown") == 0);
    CHECK(strcmp(mullama_status_name(99), "unknown") == 0);
    CHECK(mullama_error_status(NULL) == MULLAMA_OK);
    CHECK(strcmp(mullama_error_message(NULL), "") == 0);
    mullama_error_free(NULL);
    mullama_string_free(NULL);
    SUCCEEDS(mullama_noop(&error));
    CHECK(mullama_noop(NULL) == MULLAMA_OK);
}

static void runtimes(void) {
    char *json = NULL;
    FAILS(MULLAMA_ERR_INVALID, "NULL", mullama_runtime_open("{\"echo\":true}", NULL, &error));
    FAILS(MULLAMA_ERR_INVALID, "options", mullama_runtime_open("{", &runtime, &error));
    FAILS(MULLAMA_ERR_INVALID, "ecko", mullama_runtime_open("{\"ecko\":true}", &runtime, &error));
    FAILS(MULLAMA_ERR_LIBRARY_MISSING, "/nowhere",
          mullama_runtime_open("{\"library_dir\":\"/nowhere\"}", &runtime, &error));
    FAILS(MULLAMA_ERR_INVALID, "url", mullama_runtime_open("{\"url\":\"x\"}", &runtime, &error));
    FAILS(MULLAMA_ERR_CLOSED, "NULL", mullama_runtime_info(NULL, &json, &error));
    FAILS(MULLAMA_ERR_CLOSED, "closed",
          mullama_runtime_info((mullama_runtime *)(uintptr_t)12345, &json, &error));
    SUCCEEDS(mullama_runtime_open("{\"echo\":true}", &runtime, &error));
    FAILS(MULLAMA_ERR_INVALID, "NULL", mullama_runtime_info(runtime, NULL, &error));
    SUCCEEDS(mullama_runtime_info(runtime, &json, &error));
    CHECK(strstr(json, "\"engine\":\"echo\"") != NULL);
    mullama_string_free(json);
    SUCCEEDS(mullama_runtime_models(runtime, &json, &error));
    CHECK(strstr(json, "\"echo\"") != NULL);
    mullama_string_free(json);
}

static bool count_progress(float fraction, void *user) {
    *(float *)user = fraction;
    return true;
}

static void models(void) {
    float loaded = 0;
    char *json = NULL;
    FAILS(MULLAMA_ERR_INVALID, "NULL",
          mullama_model_load(runtime, NULL, NULL, NULL, NULL, &model, &error));
    FAILS(MULLAMA_ERR_NOT_FOUND, "echo",
          mullama_model_load(runtime, "other", NULL, NULL, NULL, &model, &error));
    FAILS(MULLAMA_ERR_INVALID, "contxt",
          mullama_model_load(runtime, "echo", "{\"contxt\":1}", NULL, NULL, &model, &error));
    SUCCEEDS(mullama_model_load(runtime, "echo", "{\"ctx_size\":64}", count_progress, &loaded,
                                &model, &error));
    CHECK(loaded == 1);
    SUCCEEDS(mullama_model_info(model, &json, &error));
    CHECK(strstr(json, "\"ctx_size\":64") != NULL);
    mullama_string_free(json);
}

static void tokens(void) {
    int32_t buffer[8];
    char text[8];
    size_t n = 0;
    SUCCEEDS(mullama_model_tokenize(model, "h\xc3\xa9", 3, 0, buffer, 8, &n, &error));
    CHECK(n == 3 && buffer[0] == 'h' && buffer[1] == 0xc3);
    SUCCEEDS(mullama_model_detokenize(model, buffer, 3, text, 8, &n, &error));
    CHECK(n == 3 && memcmp(text, "h\xc3\xa9", 3) == 0);
    SUCCEEDS(mullama_model_tokenize(model, NULL, 0, 0, NULL, 0, &n, &error));
    CHECK(n == 0);
    FAILS(MULLAMA_ERR_TOO_SMALL, "8",
          mullama_model_tokenize(model, "123456789", 9, 0, buffer, 8, &n, &error));
    CHECK(n == 9 && buffer[7] == '8');
    CHECK(mullama_model_tokenize(model, "1", 1, 0, NULL, 0, &n, NULL) == MULLAMA_ERR_TOO_SMALL);
    FAILS(MULLAMA_ERR_INVALID, "text is NULL",
          mullama_model_tokenize(model, NULL, 1, 0, buffer, 8, &n, &error));
    FAILS(MULLAMA_ERR_INVALID, "tokens is NULL",
          mullama_model_tokenize(model, "1", 1, 0, NULL, 8, &n, &error));
    FAILS(MULLAMA_ERR_INVALID, "flags",
          mullama_model_tokenize(model, "1", 1, 8, buffer, 8, &n, &error));
    FAILS(MULLAMA_ERR_INVALID, "number",
          mullama_model_tokenize(model, "1", 1, 0, buffer, 8, NULL, &error));
    FAILS(MULLAMA_ERR_CLOSED, "model is NULL",
          mullama_model_tokenize(NULL, "1", 1, 0, buffer, 8, &n, &error));
    FAILS(MULLAMA_ERR_CLOSED, "model is closed",
          mullama_model_tokenize((mullama_model *)runtime, "1", 1, 0, buffer, 8, &n, &error));
}

static const char *hello = "{\"messages\":[{\"role\":\"user\",\"content\":\"h\xc3\xa9llo\"}]}";

static void answers(void) {
    mullama_stream *stream = NULL;
    char *json = NULL, *last = NULL, *text;
    SUCCEEDS(mullama_model_render(model, hello, &json, &error));
    CHECK(strcmp(json, "{\"prompt\":\"user: h\xc3\xa9llo\\n\"}") == 0);
    mullama_string_free(json);

    SUCCEEDS(mullama_model_chat(model, hello, &stream, &error));
    text = collect(stream, &last);
    CHECK(strcmp(text, "h\xc3\xa9llo") == 0);
    CHECK(strstr(last, "\"done_reason\":\"stop\"") != NULL);
    free(text);
    free(last);
    mullama_stream_close(stream);
    mullama_stream_close(stream); // does nothing
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    FAILS(MULLAMA_ERR_CLOSED, "stream is closed", mullama_stream_next(stream, &chunk, &error));
    FAILS(MULLAMA_ERR_CLOSED, "stream is closed", mullama_stream_cancel(stream, &error));

    const char *two = "{\"prompt\":\"abc\",\"options\":{\"num_predict\":2}}";
    SUCCEEDS(mullama_model_generate(model, two, &stream, &error));
    FAILS(MULLAMA_ERR_INVALID, "struct_size",
          mullama_stream_next(stream, &(mullama_chunk){.struct_size = 8}, &error));
    FAILS(MULLAMA_ERR_INVALID, "NULL", mullama_stream_next(stream, NULL, &error));
    SUCCEEDS(mullama_stream_next(stream, &chunk, &error));
    CHECK(chunk.text_size == 1 && strcmp(chunk.text, "a") == 0 && !chunk.done);
    CHECK(chunk.token_count == 1 && chunk.tokens[0] == 'a' && chunk.json_size == 0);
    SUCCEEDS(mullama_stream_cancel(stream, &error));
    text = collect(stream, &last);
    CHECK(strcmp(text, "") == 0 && strstr(last, "\"cancelled\"") != NULL);
    free(text);
    free(last);
    mullama_stream_close(stream);

    FAILS(MULLAMA_ERR_INVALID, "JSON", mullama_model_chat(model, "{", &stream, &error));
    FAILS(MULLAMA_ERR_INVALID, "messages", mullama_model_chat(model, NULL, &stream, &error));
    FAILS(MULLAMA_ERR_INVALID, "prompt", mullama_model_generate(model, "{}", &stream, &error));
    FAILS(MULLAMA_ERR_INVALID, "stream is NULL", mullama_model_chat(model, hello, NULL, &error));
    char large[256];
    snprintf(large, sizeof(large), "{\"prompt\":\"%0100d\"}", 1);
    FAILS(MULLAMA_ERR_CONTEXT_FULL, "100", mullama_model_generate(model, large, &stream, &error));
}

// Texts that are not UTF-8 are refused with the place, not mended.
static void not_utf8(void) {
    mullama_runtime *other = NULL;
    mullama_model *loaded = NULL;
    mullama_stream *stream = NULL;
    char *json = NULL;
    const char *chat = "{\"messages\":[{\"role\":\"user\",\"content\":\"h\xe9\"}]}";
    FAILS(MULLAMA_ERR_INVALID, "0xff at offset 12",
          mullama_runtime_open("{\"models_dir\xff\":1}", &other, &error));
    FAILS(MULLAMA_ERR_INVALID, "the model is not UTF-8: the byte 0xe9 at offset 3",
          mullama_model_load(runtime, "caf\xe9.gguf", NULL, NULL, NULL, &loaded, &error));
    FAILS(MULLAMA_ERR_INVALID, "options",
          mullama_model_load(runtime, "echo", "{\"kv_layout\":\"\xc3\"}", NULL, NULL, &loaded,
                             &error));
    FAILS(MULLAMA_ERR_INVALID, "the request is not UTF-8: the byte 0xe9 at offset 40",
          mullama_model_chat(model, chat, &stream, &error));
    FAILS(MULLAMA_ERR_INVALID, "offset 40", mullama_model_render(model, chat, &json, &error));
    FAILS(MULLAMA_ERR_INVALID, "0xed at offset 11", // half of a pair of UTF-16
          mullama_model_generate(model, "{\"prompt\":\"\xed\xa0\x80\"}", &stream, &error));
    CHECK(other == NULL && loaded == NULL && stream == NULL && json == NULL);
}

// A chunk of another version than the library's.
static void chunk_sizes(void) {
    mullama_stream *stream = NULL;
    const char *two = "{\"prompt\":\"ab\"}";
    // Just the fields of version 1. The sanitizer sees a byte more that is written.
    size_t first = offsetof(mullama_chunk, done) + sizeof(bool);
    mullama_chunk *small = malloc(first);
    memset(small, 0xff, first);
    small->struct_size = first;
    SUCCEEDS(mullama_model_generate(model, two, &stream, &error));
    SUCCEEDS(mullama_stream_next(stream, small, &error));
    CHECK(small->struct_size == first && strcmp(small->text, "a") == 0 && !small->done);
    CHECK(small->token_count == 1 && small->thinking_size == 0 && small->json_size == 0);
    small->struct_size = first - 1;
    FAILS(MULLAMA_ERR_INVALID, "struct_size", mullama_stream_next(stream, small, &error));
    free(small);
    // That of a newer header: what the library does not know stays as it is.
    struct {
        mullama_chunk chunk;
        char more[32];
    } large;
    memset(&large, 0x5a, sizeof(large));
    large.chunk.struct_size = sizeof(large);
    SUCCEEDS(mullama_stream_next(stream, &large.chunk, &error));
    CHECK(large.chunk.struct_size == sizeof(large) && strcmp(large.chunk.text, "b") == 0);
    for (size_t i = 0; i < sizeof(large.more); i++) {
        CHECK(large.more[i] == 0x5a);
    }
    mullama_stream_close(stream);
}

struct delivered {
    pthread_mutex_t mutex;
    pthread_cond_t over;
    char text[64];
    bool ended;
    int stop_after;
    mullama_stream *stream;
};

static bool receive(const mullama_chunk *chunk, mullama_status status, const mullama_error *error,
                    void *user);

// A stream with a function for its parts has no other reader.
static void only_delivered(mullama_stream *stream) {
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    FAILS(MULLAMA_ERR_INVALID, "told to a function", mullama_stream_next(stream, &chunk, &error));
    FAILS(MULLAMA_ERR_INVALID, "told to a function",
          mullama_stream_deliver(stream, receive, NULL, &error));
}

static bool receive(const mullama_chunk *chunk, mullama_status status, const mullama_error *error,
                    void *user) {
    struct delivered *d = user;
    pthread_mutex_lock(&d->mutex);
    if (chunk != NULL) {
        CHECK(chunk->struct_size == sizeof(*chunk));
        only_delivered(d->stream);
        strncat(d->text, chunk->text, sizeof(d->text) - strlen(d->text) - 1);
    } else {
        d->ended = status == MULLAMA_END && error == NULL;
        pthread_cond_signal(&d->over);
    }
    bool more = d->stop_after == 0 || --d->stop_after > 0;
    pthread_mutex_unlock(&d->mutex);
    return more;
}

static void delivery(int stop_after, const char *want) {
    struct delivered d = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                          .over = PTHREAD_COND_INITIALIZER,
                          .stop_after = stop_after};
    mullama_stream *stream = NULL;
    SUCCEEDS(mullama_model_chat(model, hello, &stream, &error));
    d.stream = stream;
    FAILS(MULLAMA_ERR_INVALID, "NULL", mullama_stream_deliver(stream, NULL, &d, &error));
    SUCCEEDS(mullama_stream_deliver(stream, receive, &d, &error));
    pthread_mutex_lock(&d.mutex);
    while (!d.ended) {
        pthread_cond_wait(&d.over, &d.mutex);
    }
    CHECK(strcmp(d.text, want) == 0);
    pthread_mutex_unlock(&d.mutex);
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    CHECK(mullama_stream_next(stream, &chunk, NULL) == MULLAMA_END);
    mullama_stream_close(stream);
}

// Many threads use one model at once.
static void *use(void *unused) {
    (void)unused;
    for (int i = 0; i < 200; i++) {
        mullama_stream *stream = NULL;
        if (mullama_model_chat(model, hello, &stream, NULL) != MULLAMA_OK) {
            return "a request failed";
        }
        char *text = collect(stream, NULL);
        if (strcmp(text, "h\xc3\xa9llo") != 0) {
            return "a text is wrong";
        }
        free(text);
        mullama_stream_close(stream);
    }
    return NULL;
}

static void threads(void) {
    pthread_t all[8];
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_create(&all[i], NULL, use, NULL) == 0);
    }
    for (int i = 0; i < 8; i++) {
        void *fault = NULL;
        pthread_join(all[i], &fault);
        CHECK(fault == NULL);
    }
}

// In a child every call says what to do, and none hangs.
static void fork_guard(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char *json = NULL;
        size_t n = 0;
        alarm(10);
        FAILS(MULLAMA_ERR_FORKED, "child", mullama_noop(&error));
        FAILS(MULLAMA_ERR_FORKED, "child", mullama_runtime_open(NULL, &runtime, &error));
        FAILS(MULLAMA_ERR_FORKED, "child", mullama_model_info(model, &json, &error));
        FAILS(MULLAMA_ERR_FORKED, "child",
              mullama_model_tokenize(model, "1", 1, 0, NULL, 0, &n, &error));
        CHECK(mullama_abi_version() == MULLAMA_ABI_VERSION);
        mullama_model_close(model);
        mullama_runtime_close(runtime);
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
    library();
    runtimes();
    models();
    tokens();
    answers();
    not_utf8();
    chunk_sizes();
    delivery(0, "h\xc3\xa9llo");
    delivery(2, "h\xc3\xa9");
    threads();
    fork_guard();
    char *json = NULL;
    mullama_stream *stream = NULL;
    SUCCEEDS(mullama_model_chat(model, hello, &stream, &error));
    mullama_model_close(model);
    char *text = collect(stream, NULL);
    CHECK(strcmp(text, "") == 0);
    free(text);
    mullama_stream_close(stream);
    mullama_model_close(model);
    mullama_model_close(NULL);
    FAILS(MULLAMA_ERR_CLOSED, "closed", mullama_model_info(model, &json, &error));
    mullama_runtime_close(runtime);
    mullama_runtime_close(runtime);
    printf("ok, %d checks\n", checks);
    return 0;
}
