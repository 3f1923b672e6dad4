// Embeds the texts of a record file, as many whole ones in a batch as fit, and measures it.
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>

// The texts as tokens, one after the other.
struct texts {
    llama_token *tokens;
    int32_t *lengths;
    size_t count;
};

// Makes tokens of some records, of each text at most longest.
static bool make_texts(const struct engine *engine, const struct record *items, size_t count,
                       int32_t longest, struct texts *out) {
    out->count = count;
    out->lengths = must_alloc(count + 1, sizeof(int32_t));
    out->tokens = must_alloc(count + 1, sizeof(llama_token) * (size_t)longest);
    size_t used = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        int32_t n = 0;
        llama_token *tokens =
            tokenize(engine->vocab, items[i].data, items[i].size, true, false, &n);
        ok = tokens != NULL;
        n = n < longest ? n : longest;
        for (int32_t j = 0; ok && j < n; j++) {
            out->tokens[used++] = tokens[j];
        }
        out->lengths[i] = n;
        free(tokens);
    }
    return ok;
}

static void free_texts(struct texts *texts) {
    free(texts->tokens);
    free(texts->lengths);
    *texts = (struct texts){0};
}

static bool read_texts(const struct engine *engine, const char *path, int32_t longest,
                       struct texts *out) {
    struct records records;
    bool ok = records_read(path, &records) &&
              make_texts(engine, records.items, records.count, longest, out);
    records_free(&records);
    return ok;
}

// Puts as many texts from first on into the batch as fit, and returns how many those are.
static size_t fill(struct llama_batch *batch, const struct texts *texts, size_t first,
                   const llama_token *tokens, int32_t capacity) {
    const size_t most = 256;
    batch->n_tokens = 0;
    size_t n = 0;
    while (n < most && first + n < texts->count &&
           batch->n_tokens + texts->lengths[first + n] <= capacity) {
        for (int32_t i = 0; i < texts->lengths[first + n]; i++) {
            int32_t at = batch->n_tokens++;
            batch->token[at] = tokens[at];
            batch->pos[at] = i;
            batch->n_seq_id[at] = 1;
            batch->seq_id[at][0] = (llama_seq_id)n;
            batch->logits[at] = true;
        }
        n++;
    }
    return n;
}

// Computes the texts, prints their rows if print is set, and returns how many tokens they have, or
// -1.
static int64_t compute(struct engine *engine, const struct texts *texts, int32_t capacity,
                       bool print) {
    struct llama_batch batch = llama_batch_init(capacity, 0, 1);
    int32_t width = llama_model_n_embd_out(engine->model);
    const llama_token *tokens = texts->tokens;
    bool ok = true;
    for (size_t first = 0; ok && first < texts->count;) {
        size_t n = fill(&batch, texts, first, tokens, capacity);
        llama_memory_t memory = llama_get_memory(engine->ctx);
        if (memory) {
            llama_memory_clear(memory, false);
        }
        ok = n > 0 && llama_decode(engine->ctx, batch) == 0;
        for (size_t s = 0; ok && s < n; s++) {
            const float *row = llama_get_embeddings_seq(engine->ctx, (llama_seq_id)s);
            for (int32_t i = 0; print && i < width; i++) {
                printf(i + 1 < width ? "%.7g " : "%.7g\n", (double)row[i]);
            }
        }
        tokens += batch.n_tokens;
        first += n;
    }
    llama_batch_free(batch);
    return ok ? tokens - texts->tokens : -1;
}

static bool run(struct engine *engine, const struct texts *texts, int32_t capacity, bool print) {
    int64_t start = ggml_time_us();
    int64_t total = compute(engine, texts, capacity, print);
    double seconds = (double)(ggml_time_us() - start) / 1e6;
    fprintf(stderr, "{\"texts\":%zu,\"tokens\":%lld,\"seconds\":%.3f,\"tokens_per_second\":%.0f}\n",
            texts->count, (long long)total, seconds, (double)total / seconds);
    return total >= 0;
}

// Makes the context for batches of so many tokens, unless it has them.
static bool fit(struct engine *engine, struct llama_context_params params, int32_t capacity) {
    if (engine->ctx != NULL && (int32_t)llama_n_batch(engine->ctx) == capacity) {
        return true;
    }
    engine_stop(engine);
    params.n_ctx = params.n_batch = params.n_ubatch = (uint32_t)capacity;
    params.n_seq_max = capacity < 256 ? (uint32_t)capacity : 256;
    return engine_start(engine, params);
}

static int32_t longest_text(const struct texts *texts) {
    int32_t longest = 0;
    for (size_t i = 0; i < texts->count; i++) {
        longest = texts->lengths[i] > longest ? texts->lengths[i] : longest;
    }
    return longest;
}

// Embeds the texts of a file in calls of so many, each from text to rows, and prints how long all
// took. The first texts say how many tokens the longest has.
static bool calls(struct engine *engine, struct llama_context_params params, const char *path,
                  size_t each, int32_t capacity) {
    struct records records;
    struct texts texts = {0};
    const int32_t limit = 1 << 16;
    bool ok = records_read(path, &records) &&
              make_texts(engine, records.items, records.count < each ? records.count : each, limit,
                         &texts);
    int32_t longest = longest_text(&texts);
    capacity = longest > capacity ? longest : capacity;
    ok = ok && fit(engine, params, capacity);
    free_texts(&texts);
    int64_t start = ggml_time_us(), total = 0;
    for (size_t first = 0; ok && first < records.count; first += each) {
        size_t left = records.count - first;
        ok = make_texts(engine, records.items + first, left < each ? left : each, capacity, &texts);
        int64_t n = ok ? compute(engine, &texts, capacity, false) : -1;
        ok = n >= 0;
        total += n;
        free_texts(&texts);
    }
    double seconds = (double)(ggml_time_us() - start) / 1e6;
    records_free(&records);
    printf("{\"tokens\":%lld,\"seconds\":%.9f}\n", (long long)total, seconds);
    fflush(stdout);
    return ok;
}

// Does so for each line of standard input, "TEXTS-IN-A-CALL RECORDS", with one load of the model.
int cmd_embed_calls(int argc, char **argv) {
    if (argc < 2) {
        return 2;
    }
    struct engine engine = {0};
    int32_t capacity = (int32_t)option(argc, argv, "batch", 256);
    struct llama_context_params params = llama_context_default_params();
    params.n_threads = params.n_threads_batch = (int32_t)option(argc, argv, "threads", 2);
    params.embeddings = params.kv_unified = true;
    bool ok = engine_load(&engine, argv[1], llama_model_default_params());
    printf("{\"engine\":\"llama.cpp %s\"}\n", llama_version());
    fflush(stdout);
    size_t each;
    char path[4096];
    while (ok && scanf("%zu %4095s", &each, path) == 2) {
        ok = each > 0 && calls(&engine, params, path, each, capacity);
    }
    engine_free(&engine);
    return ok ? 0 : 1;
}

int cmd_embed(int argc, char **argv) {
    if (argc < 3) {
        return 2;
    }
    struct engine engine = {0};
    struct texts texts = {0};
    int32_t capacity = (int32_t)option(argc, argv, "batch", 256);
    struct llama_context_params params = llama_context_default_params();
    params.n_threads = params.n_threads_batch = (int32_t)option(argc, argv, "threads", 2);
    params.embeddings = params.kv_unified = true;
    params.pooling_type = (enum llama_pooling_type)option(argc, argv, "pooling", -1);
    bool ok = engine_load(&engine, argv[1], llama_model_default_params()) &&
              read_texts(&engine, argv[2], capacity, &texts) && fit(&engine, params, capacity);
    for (int rounds = (int)option(argc, argv, "rounds", 1); ok && rounds > 0; rounds--) {
        ok = run(&engine, &texts, capacity, option(argc, argv, "print", 0) != 0);
    }
    free_texts(&texts);
    engine_free(&engine);
    return ok ? 0 : 1;
}
