// Files, options, models and contexts for the commands.
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *must_alloc(size_t count, size_t size) {
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        fprintf(stderr, "mullama-oracle: no memory for %zu x %zu bytes\n", count, size);
        exit(1);
    }
    return memory;
}

char *file_read(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return NULL;
    }
    size_t capacity = 1 << 16, used = 0, got;
    char *data = must_alloc(capacity + 1, 1);
    while ((got = fread(data + used, 1, capacity - used, file)) > 0) {
        used += got;
        if (used == capacity) {
            capacity *= 2;
            data = realloc(data, capacity + 1);
            if (data == NULL) {
                fprintf(stderr, "mullama-oracle: no memory for %s\n", path);
                exit(1);
            }
        }
    }
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) {
        fprintf(stderr, "mullama-oracle: %s cannot be read\n", path);
        free(data);
        return NULL;
    }
    data[used] = '\0';
    *size = used;
    return data;
}

static uint32_t little_endian(const char *p) {
    const unsigned char *b = (const unsigned char *)p;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

// Counts the records and, when items is given, fills them. Returns false when one is cut short.
static bool records_scan(const char *data, size_t size, struct record *items, size_t *count) {
    size_t at = 0, n = 0;
    while (at < size) {
        if (size - at < 4 || size - at - 4 < little_endian(data + at)) {
            return false;
        }
        size_t length = little_endian(data + at);
        if (items != NULL) {
            items[n] = (struct record){data + at + 4, length};
        }
        at += 4 + length;
        n++;
    }
    *count = n;
    return true;
}

bool records_read(const char *path, struct records *out) {
    size_t size = 0;
    *out = (struct records){0};
    out->storage = file_read(path, &size);
    if (out->storage == NULL) {
        return false;
    }
    if (!records_scan(out->storage, size, NULL, &out->count)) {
        fprintf(stderr, "mullama-oracle: %s is not a record file: the last record is cut\n", path);
        records_free(out);
        return false;
    }
    out->items = must_alloc(out->count, sizeof(*out->items));
    return records_scan(out->storage, size, out->items, &out->count);
}

void records_free(struct records *records) {
    free(records->items);
    free(records->storage);
    *records = (struct records){0};
}

double option(int argc, char **argv, const char *name, double fallback) {
    size_t length = strlen(name);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') {
            return strtod(argv[i] + length + 1, NULL);
        }
    }
    return fallback;
}

char *parse_ids(char *line, llama_token *tokens, int32_t *count) {
    *count = 0;
    while (*line != '\n') {
        char *end;
        tokens[*count] = (llama_token)strtol(line, &end, 10);
        if (end == line) {
            return NULL;
        }
        ++*count;
        for (line = end; *line == ' '; line++) {
        }
    }
    return line + 1;
}

bool engine_load(struct engine *engine, const char *path, struct llama_model_params params) {
    *engine = (struct engine){0};
    engine->model = llama_model_load_from_file(path, params);
    if (engine->model == NULL) {
        fprintf(stderr, "mullama-oracle: %s cannot be loaded\n", path);
        return false;
    }
    engine->vocab = llama_model_get_vocab(engine->model);
    return true;
}

// The pool's functions live in the CPU backend, which is a plug-in in portable builds.
static void *cpu_function(const char *name) {
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return cpu == NULL ? NULL
                       : ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), name);
}

static ggml_threadpool_t pool_new(int32_t threads) {
    ggml_threadpool_t (*fn)(struct ggml_threadpool_params *);
    *(void **)&fn = cpu_function("ggml_threadpool_new");
    struct ggml_threadpool_params params = ggml_threadpool_params_default(threads);
    return fn == NULL ? NULL : fn(&params);
}

static void pool_free(ggml_threadpool_t pool) {
    void (*fn)(ggml_threadpool_t);
    *(void **)&fn = cpu_function("ggml_threadpool_free");
    if (fn != NULL) {
        fn(pool);
    }
}

bool engine_start(struct engine *engine, struct llama_context_params params) {
    engine->ctx = llama_init_from_model(engine->model, params);
    if (engine->ctx == NULL) {
        fprintf(stderr, "mullama-oracle: no context of %u tokens\n", params.n_ctx);
        return false;
    }
    int32_t threads = params.n_threads;
    if (params.n_threads_batch > threads) {
        threads = params.n_threads_batch;
    }
    engine->pool = pool_new(threads);
    if (engine->pool == NULL) {
        fprintf(stderr, "mullama-oracle: no pool of %d threads\n", threads);
        engine_stop(engine);
        return false;
    }
    llama_attach_threadpool(engine->ctx, engine->pool, engine->pool);
    return true;
}

void engine_stop(struct engine *engine) {
    if (engine->ctx != NULL) {
        llama_free(engine->ctx);
    }
    if (engine->pool != NULL) {
        pool_free(engine->pool);
    }
    engine->ctx = NULL;
    engine->pool = NULL;
}

void engine_free(struct engine *engine) {
    engine_stop(engine);
    if (engine->model != NULL) {
        llama_model_free(engine->model);
    }
    *engine = (struct engine){0};
}

llama_token *tokenize(const struct llama_vocab *vocab, const char *text, size_t size,
                      bool add_special, bool parse_special, int32_t *count) {
    int32_t capacity = (int32_t)size + 8;
    llama_token *tokens = must_alloc((size_t)capacity, sizeof(*tokens));
    int32_t n = tokenize_deep(vocab, text, size, tokens, capacity, add_special, parse_special);
    if (n < 0 && n != INT32_MIN) { // the negated number that is needed
        capacity = -n;
        free(tokens);
        tokens = must_alloc((size_t)capacity, sizeof(*tokens));
        n = tokenize_deep(vocab, text, size, tokens, capacity, add_special, parse_special);
    }
    if (n < 0) {
        fprintf(stderr, "mullama-oracle: %zu bytes of text cannot be tokenized\n", size);
        free(tokens);
        return NULL;
    }
    *count = n;
    return tokens;
}
