// Opens, uses and closes everything many times: the memory of the process after that is that after
// a tenth of the rounds, but for a little.
//
//     rounds                 10,000 rounds in echo mode, and 2 MB
//     rounds MODEL ROUNDS    so many with a real model, and 16 MB
#include <mullama.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(mullama_status status, mullama_status want) {
    if (status != want) {
        fprintf(stderr, "rounds: a call ended with %s\n", mullama_status_name(status));
        exit(1);
    }
}

// The bytes of this process that are in memory.
static long resident(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1) {
        perror("rounds: /proc/self/statm");
        exit(2);
    }
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

// Begins an answer, and reads the whole of it or the first part.
static void answer(mullama_model *model, bool whole) {
    mullama_stream *stream = NULL;
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    const char *request = "{\"prompt\":\"Hello, world!\",\"options\":{\"num_predict\":3}}";
    must(mullama_model_generate(model, request, &stream, NULL), MULLAMA_OK);
    must(mullama_stream_next(stream, &chunk, NULL), MULLAMA_OK);
    if (whole) {
        mullama_status status;
        while ((status = mullama_stream_next(stream, &chunk, NULL)) == MULLAMA_OK) {
        }
        must(status, MULLAMA_END);
    }
    mullama_stream_close(stream);
}

static const char *options = "{\"echo\":true}", *name = "echo", *load_options = NULL;

static void round_of_calls(void) {
    mullama_runtime *runtime = NULL;
    mullama_model *model = NULL;
    mullama_stream *stream = NULL;
    mullama_error *error = NULL;
    char *json = NULL;
    int32_t tokens[16];
    size_t count = 0;
    must(mullama_runtime_open(options, &runtime, NULL), MULLAMA_OK);
    must(mullama_model_load(runtime, name, load_options, NULL, NULL, &model, NULL), MULLAMA_OK);
    must(mullama_model_info(model, &json, NULL), MULLAMA_OK);
    mullama_string_free(json);
    must(mullama_model_tokenize(model, "Hello", 5, 0, tokens, 16, &count, NULL), MULLAMA_OK);
    answer(model, true);
    answer(model, false);
    must(mullama_model_generate(model, "{", &stream, &error), MULLAMA_ERR_INVALID);
    mullama_error_free(error);
    mullama_model_close(model);
    mullama_runtime_close(runtime);
}

// Does as many rounds, and gives the least memory that was resident after one of them. Go's heap
// grows by megabytes between two collections, so one look would mostly tell when the last one was;
// what is never freed raises the least, too.
static long least_of(int rounds) {
    long least = LONG_MAX;
    for (int i = 0; i < rounds; i++) {
        round_of_calls();
        long now = resident();
        least = now < least ? now : least;
    }
    return least;
}

int main(int argc, char **argv) {
    int all = 10000;
    long bound = 2 << 20;
    if (argc == 3) {
        options = NULL;
        name = argv[1];
        load_options = "{\"ctx_size\":64,\"slots\":1,\"threads\":1}";
        all = atoi(argv[2]);
        bound = 16 << 20;
    }
    int window = all / 10;
    if (window < 1 || argc == 2 || argc > 3) {
        fputs("usage: rounds [MODEL ROUNDS]\n", stderr);
        return 2;
    }
    least_of(window);
    long before = least_of(window);
    least_of(all - 3 * window);
    long grown = least_of(window) - before;
    printf("%d rounds: %ld KB after %d, %+ld KB since\n", all, before / 1024, window, grown / 1024);
    return grown <= bound ? 0 : 1;
}
