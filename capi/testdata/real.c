// Works with a real model: real MODEL.
#include "check.h"

#include <pthread.h>
#include <unistd.h>

static const char *request =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},"
    "{\"role\":\"user\",\"content\":\"What is the capital of France?\"}],"
    "\"options\":{\"temperature\":0,\"num_predict\":32}}";

static bool give_up(float fraction, void *user) {
    (void)fraction, (void)user;
    return false;
}

// Counts the calls, and keeps the last fraction.
struct told {
    int calls;
    float last;
    bool answer;
    pthread_t thread; // which alone may call
};

static bool tell(float fraction, void *user) {
    struct told *told = user;
    CHECK(pthread_equal(told->thread, pthread_self()));
    told->calls++;
    told->last = fraction;
    return told->answer;
}

// A model whose weights another one has is loaded at once, and can still be given up.
static void load_again(mullama_runtime *runtime, const char *path) {
    mullama_model *model = NULL;
    struct told told = {.answer = true, .thread = pthread_self()};
    SUCCEEDS(mullama_model_load(runtime, path, "{\"load_mode\":\"read\",\"check_tensors\":true}",
                                tell, &told, &model, &error));
    CHECK(told.calls > 2 && told.last == 1);
    mullama_model_close(model);
    told.calls = 0;
    SUCCEEDS(mullama_model_load(runtime, path, "{\"ctx_size\":512,\"slots\":4}", tell, &told,
                                &model, &error));
    CHECK(told.calls == 1 && told.last == 1);
    mullama_model_close(model);
    told.answer = false;
    FAILS(MULLAMA_ERR_CANCELLED, "cancel",
          mullama_model_load(runtime, path, "{\"ctx_size\":512,\"slots\":4}", tell, &told, &model,
                             &error));
    CHECK(told.calls == 2);
}

// Reads until the stream is closed by the other thread. It does not look at the chunks, which a
// close frees.
static void *read_on(void *stream) {
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    mullama_status status;
    while ((status = mullama_stream_next(stream, &chunk, NULL)) == MULLAMA_OK) {
    }
    return status == MULLAMA_ERR_CLOSED ? NULL : "the stream ended in another way";
}

// A stream that is closed while another thread waits for its next part.
static void close_while_reading(mullama_model *model) {
    for (int i = 0; i < 20; i++) {
        mullama_stream *stream = NULL;
        pthread_t reader;
        void *fault = NULL;
        SUCCEEDS(mullama_model_generate(
            model,
            "{\"prompt\":\"Once upon\",\"options\":{\"num_predict\":400,\"ignore_eos\":true}}",
            &stream, &error));
        CHECK(pthread_create(&reader, NULL, read_on, stream) == 0);
        usleep(1000 * (i % 10) * 5);
        mullama_stream_close(stream);
        pthread_join(reader, &fault);
        CHECK(fault == NULL);
    }
}

int main(int argc, char **argv) {
    mullama_runtime *runtime = NULL;
    mullama_model *model = NULL, *other = NULL;
    mullama_stream *streams[4];
    char *json = NULL, *last = NULL;
    if (argc != 2) {
        return 2;
    }
    SUCCEEDS(mullama_runtime_open(NULL, &runtime, &error));
    SUCCEEDS(mullama_runtime_info(runtime, &json, &error));
    CHECK(strstr(json, "\"devices\":[") != NULL);
    mullama_string_free(json);
    FAILS(MULLAMA_ERR_NOT_FOUND, "no such file",
          mullama_model_load(runtime, "/nowhere.gguf", NULL, NULL, NULL, &model, &error));
    FAILS(MULLAMA_ERR_CANCELLED, "cancel",
          mullama_model_load(runtime, argv[1], NULL, give_up, NULL, &model, &error));
    SUCCEEDS(mullama_model_load(runtime, argv[1], "{\"ctx_size\":512,\"slots\":4}", NULL, NULL,
                                &model, &error));
    load_again(runtime, argv[1]);
    SUCCEEDS(
        mullama_model_load(runtime, argv[1], "{\"vocab_only\":true}", NULL, NULL, &other, &error));

    int32_t tokens[32];
    char text[64];
    size_t count = 0, size = 0;
    SUCCEEDS(mullama_model_tokenize(other, "<|im_start|>Hello", 17, MULLAMA_PARSE_SPECIAL, tokens,
                                    32, &count, &error));
    CHECK(count == 2 && tokens[0] == 1);
    SUCCEEDS(mullama_model_detokenize(other, tokens, count, text, sizeof(text), &size, &error));
    CHECK(size == 17 && memcmp(text, "<|im_start|>Hello", 17) == 0);
    // What is not UTF-8 is the replacement character to this vocabulary.
    SUCCEEDS(mullama_model_tokenize(other, "a\xff", 2, 0, tokens, 32, &count, &error));
    SUCCEEDS(mullama_model_detokenize(other, tokens, count, text, sizeof(text), &size, &error));
    CHECK(size == 4 && memcmp(text, "a\xef\xbf\xbd", 4) == 0);
    FAILS(MULLAMA_ERR_UNSUPPORTED, "vocab",
          mullama_model_chat(other, request, &streams[0], &error));
    mullama_model_close(other);

    for (int i = 0; i < 4; i++) { // they are computed together
        SUCCEEDS(mullama_model_chat(model, request, &streams[i], &error));
    }
    for (int i = 0; i < 4; i++) {
        char *answer = collect(streams[i], &last);
        CHECK(strcmp(answer, "The capital of France is Paris.") == 0);
        CHECK(strstr(last, "\"done_reason\":\"stop\"") && strstr(last, "\"eval_count\":8"));
        free(answer);
        free(last);
        mullama_stream_close(streams[i]);
    }

    FAILS(MULLAMA_ERR_INVALID, "num_ctx",
          mullama_model_generate(model, "{\"prompt\":\"a\",\"options\":{\"num_ctx\":9}}",
                                 &streams[0], &error));
    FAILS(MULLAMA_ERR_INVALID, "top_p",
          mullama_model_generate(model, "{\"prompt\":\"a\",\"options\":{\"top_p\":9}}", &streams[0],
                                 &error));
    FAILS(MULLAMA_ERR_GRAMMAR, "rammar",
          mullama_model_generate(model,
                                 "{\"prompt\":\"a\",\"options\":{\"grammar\":\"root ::= (\"}}",
                                 &streams[0], &error));
    char *large = malloc(20000);
    int at = sprintf(large, "{\"prompt\":\"");
    for (int i = 0; i < 2000; i++) {
        at += sprintf(large + at, "word ");
    }
    sprintf(large + at, "\"}");
    FAILS(MULLAMA_ERR_CONTEXT_FULL, "context",
          mullama_model_generate(model, large, &streams[0], &error));
    free(large);

    close_while_reading(model);

    // A stream that is left half way ends with its model.
    SUCCEEDS(mullama_model_generate(
        model, "{\"prompt\":\"Once\",\"logprobs\":true,\"options\":{\"num_predict\":400}}",
        &streams[0], &error));
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    SUCCEEDS(mullama_stream_next(streams[0], &chunk, &error));
    CHECK(strncmp(chunk.json, "{\"logprobs\":[{", 14) == 0);
    mullama_model_close(model);
    while (mullama_stream_next(streams[0], &chunk, NULL) == MULLAMA_OK) {
    }
    mullama_stream_close(streams[0]);
    mullama_runtime_close(runtime);
    printf("ok, %d checks\n", checks);
    return 0;
}
