// What the C programs of the tests share.
#ifndef CHECK_H
#define CHECK_H

#include <mullama.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks;

#define CHECK(what)                                                                  \
    do {                                                                             \
        checks++;                                                                    \
        if (!(what)) {                                                               \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #what); \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

// The call succeeds, or its error is shown.
#define SUCCEEDS(call)                                                          \
    do {                                                                        \
        mullama_error *error = NULL;                                            \
        mullama_status status = (call);                                         \
        checks++;                                                               \
        if (status != MULLAMA_OK) {                                             \
            fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #call,   \
                    mullama_status_name(status), mullama_error_message(error)); \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

// The call fails with a status, and with a message that has some text in it.
#define FAILS(want, text, call)                                                 \
    do {                                                                        \
        mullama_error *error = NULL;                                            \
        mullama_status status = (call);                                         \
        checks++;                                                               \
        if (status != (want) || mullama_error_status(error) != (want) ||        \
            strstr(mullama_error_message(error), text) == NULL) {               \
            fprintf(stderr, "%s:%d: %s is %s: %s\n", __FILE__, __LINE__, #call, \
                    mullama_status_name(status), mullama_error_message(error)); \
            exit(1);                                                            \
        }                                                                       \
        mullama_error_free(error);                                              \
    } while (0)

// Reads a stream to its end. The caller frees the text.
static inline char *collect(mullama_stream *stream, char **last) {
    mullama_chunk chunk;
    chunk.struct_size = sizeof(chunk);
    char *text = (char *)calloc(1, 1);
    size_t size = 0;
    mullama_error *error = NULL;
    mullama_status status;
    while ((status = mullama_stream_next(stream, &chunk, &error)) == MULLAMA_OK) {
        text = (char *)realloc(text, size + chunk.text_size + 1);
        memcpy(text + size, chunk.text, chunk.text_size + 1);
        size += chunk.text_size;
        if (chunk.done && last != NULL) {
            *last = strdup(chunk.json);
        }
    }
    if (status != MULLAMA_END) {
        fprintf(stderr, "the stream failed: %s\n", mullama_error_message(error));
        exit(1);
    }
    return text;
}

#endif
