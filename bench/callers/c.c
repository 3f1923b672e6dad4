// The calls from C: README.md says what they are.
#include "measure.h"

#include <mullama.h>

#include <string.h>

static mullama_runtime *runtime;

static void must(mullama_status status, mullama_error *error) {
    if (status != MULLAMA_OK) {
        fprintf(stderr, "%s: %s\n", mullama_status_name(status), mullama_error_message(error));
        exit(1);
    }
}

static mullama_model *load(const char *runtime_options, const char *name, const char *options) {
    mullama_error *error = NULL;
    mullama_model *model = NULL;
    must(mullama_runtime_open(runtime_options, &runtime, &error), error);
    must(mullama_model_load(runtime, name, options, NULL, NULL, &model, &error), error);
    return model;
}

static mullama_stream *generate(mullama_model *model, const char *prompt, int tokens) {
    char request[512];
    mullama_error *error = NULL;
    mullama_stream *stream = NULL;
    snprintf(request, sizeof request,
             "{\"raw\":true,\"prompt\":\"%s\",\"options\":{\"temperature\":0,\"num_predict\":%d}}",
             prompt, tokens);
    must(mullama_model_generate(model, request, &stream, &error), error);
    return stream;
}

// Reads the next part, and tells whether there is one.
static bool next(mullama_stream *stream, mullama_chunk *chunk) {
    mullama_error *error = NULL;
    mullama_status status = mullama_stream_next(stream, chunk, &error);
    if (status == MULLAMA_END) {
        return false;
    }
    must(status, error);
    return true;
}

// Reads an answer to its end, and counts its tokens.
static int drain(mullama_stream *stream) {
    mullama_chunk chunk = {.struct_size = sizeof chunk};
    size_t tokens = 0;
    while (next(stream, &chunk)) {
        tokens += chunk.token_count;
    }
    mullama_stream_close(stream);
    return (int)tokens;
}

static void calls(const char *path) {
    static double noop[SAMPLES], tokenize[SAMPLES];
    mullama_model *model = load(NULL, path, "{\"vocab_only\":true}");
    int32_t tokens[64];
    size_t count;
    MEASURE(noop, must(mullama_noop(NULL), NULL));
    MEASURE(
        tokenize,
        must(mullama_model_tokenize(model, TEXT, strlen(TEXT), 0, tokens, 64, &count, NULL), NULL));
    print_two("noop", noop, "tokenize", tokenize, SAMPLES);
    mullama_model_close(model);
}

static void delays(void) {
    static double delay[PARTS];
    mullama_model *model = load("{\"echo\":true}", "clock", NULL);
    mullama_stream *stream = generate(model, "?", PARTS);
    mullama_chunk chunk = {.struct_size = sizeof chunk};
    for (int i = 0; i < PARTS && next(stream, &chunk); i++) {
        int64_t now = now_ns();
        delay[i] = (double)(now - strtoll(chunk.text, NULL, 10));
    }
    printf("{");
    print_samples("delay", delay, PARTS);
    printf("}\n");
    mullama_stream_close(stream);
    mullama_model_close(model);
}

static void stream(const char *path) {
    double tokens[STREAM_REPS], seconds[STREAM_REPS];
    mullama_model *model = load(NULL, path, "{\"slots\":1}");
    for (int rep = -1; rep < STREAM_REPS; rep++) {
        int64_t start = now_ns();
        int count = drain(generate(model, STORY, STREAM_TOKENS));
        if (rep >= 0) {
            tokens[rep] = count;
            seconds[rep] = (double)(now_ns() - start) / 1e9;
        }
    }
    print_two("tokens", tokens, "seconds", seconds, STREAM_REPS);
    mullama_model_close(model);
}

static void concurrent(const char *path) {
    double tokens[REQUEST_REPS], seconds[REQUEST_REPS];
    mullama_model *model = load(NULL, path, "{\"slots\":16,\"ctx_size\":512}");
    for (int rep = -1; rep < REQUEST_REPS; rep++) {
        mullama_stream *streams[REQUESTS];
        int64_t start = now_ns();
        for (int i = 0; i < REQUESTS; i++) {
            char prompt[128];
            snprintf(prompt, sizeof prompt, "%d. " STORY, i);
            streams[i] = generate(model, prompt, REQUEST_TOKENS);
        }
        int count = 0;
        for (int i = 0; i < REQUESTS; i++) {
            count += drain(streams[i]);
        }
        if (rep >= 0) {
            tokens[rep] = count;
            seconds[rep] = (double)(now_ns() - start) / 1e9;
        }
    }
    print_two("tokens", tokens, "seconds", seconds, REQUEST_REPS);
    mullama_model_close(model);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "delays") == 0) {
        delays();
    } else if (argc == 3 && strcmp(what, "calls") == 0) {
        calls(argv[2]);
    } else if (argc == 3 && strcmp(what, "stream") == 0) {
        stream(argv[2]);
    } else if (argc == 3 && strcmp(what, "concurrent") == 0) {
        concurrent(argv[2]);
    } else {
        fprintf(stderr, "usage: c calls|delays|stream|concurrent [MODEL]\n");
        return 2;
    }
    mullama_runtime_close(runtime);
    return 0;
}
