// What the examples share: an error ends the program, and fields are read from JSON.
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <mullama.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The chat that most examples ask for.
#define CAPITAL_OF_FRANCE                                                  \
    "{\"messages\":["                                                      \
    "{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},"  \
    "{\"role\":\"user\",\"content\":\"What is the capital of France?\"}]," \
    "\"options\":{\"temperature\":0}}"

// Ends the program if a call failed, with the error's sentence.
static inline void must(mullama_status status, mullama_error *error) {
    if (status != MULLAMA_OK && status != MULLAMA_END) {
        fprintf(stderr, "%s: %s\n", mullama_status_name(status), mullama_error_message(error));
        mullama_error_free(error);
        exit(1);
    }
}

// Opens a runtime and loads the model that is the program's argument.
static inline mullama_model *load(int argc, char **argv, const char *options,
                                  mullama_runtime **runtime) {
    mullama_model *model = NULL;
    mullama_error *error = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL.gguf\n", argv[0]);
        exit(2);
    }
    mullama_status status = mullama_runtime_open(NULL, runtime, &error);
    must(status, error);
    status = mullama_model_load(*runtime, argv[1], options, NULL, NULL, &model, &error);
    must(status, error);
    return model;
}

// Waits for the next part; false after the last one.
static inline bool next(mullama_stream *stream, mullama_chunk *chunk) {
    mullama_error *error = NULL;
    mullama_status status = mullama_stream_next(stream, chunk, &error);
    must(status, error);
    return status == MULLAMA_OK;
}

// Where the value of a field begins in the last part's JSON, which the library writes without
// spaces; "" if it is not there. Programs that read more than this use a JSON library.
static inline const char *field(const mullama_chunk *chunk, const char *name) {
    char key[64];
    snprintf(key, sizeof(key), "\"%s\":", name);
    const char *found = strstr(chunk->json, key);
    return found != NULL ? found + strlen(key) : "";
}

#endif
