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

static bool read_texts(const struct engine *engine, const char *path, int32_t longest,
                       struct texts *out) {
    struct records records;
    if (!records_read(path, &records)) {
        return false;
    }
    out->count = records.count;
    out->lengths = must_alloc(records.count + 1, sizeof(int32_t));
    out->tokens = must_alloc(records.count + 1, sizeof(llama_token) * (size_t)longest);
    size_t used = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < records.count; i++) {
        int32_t n = 0;
        llama_token *tokens =
            tokenize(engine->vocab, records.items[i].data, records.items[i].size, true, false, &n);
        ok = tokens != NULL;
        n = n < longest ? n : longest;
        for (int32_t j = 0; ok && j < n; j++) {
            out->tokens[used++] = tokens[j];
        }
        out->lengths[i] = n;
        free(tokens);
    }
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

static bool run(struct engine *engine, const struct texts *texts, int32_t capacity, bool print) {
    struct llama_batch batch = llama_batch_init(capacity, 0, 1);
    int32_t width = llama_model_n_embd_out(engine->model);
    const llama_token *tokens = texts->tokens;
    int64_t start = ggml_time_us(), total = 0;
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
        total += batch.n_tokens;
        first += n;
    }
    double seconds = (double)(ggml_time_us() - start) / 1e6;
    llama_batch_free(batch);
    fprintf(stderr, "{\"texts\":%zu,\"tokens\":%lld,\"seconds\":%.3f,\"tokens_per_second\":%.0f}\n",
            texts->count, (long long)total, seconds, (double)total / seconds);
    return ok;
}

int cmd_embed(int argc, char **argv) {
    if (argc < 3) {
        return 2;
    }
    struct engine engine = {0};
    struct texts texts = {0};
    int32_t capacity = (int32_t)option(argc, argv, "batch", 256);
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = (uint32_t)capacity;
    params.n_seq_max = capacity < 256 ? (uint32_t)capacity : 256;
    params.n_threads = params.n_threads_batch = (int32_t)option(argc, argv, "threads", 2);
    params.embeddings = params.kv_unified = true;
    params.pooling_type = (enum llama_pooling_type)option(argc, argv, "pooling", -1);
    bool ok = engine_load(&engine, argv[1], llama_model_default_params()) &&
              read_texts(&engine, argv[2], capacity, &texts) && engine_start(&engine, params);
    for (int rounds = (int)option(argc, argv, "rounds", 1); ok && rounds > 0; rounds--) {
        ok = run(&engine, &texts, capacity, option(argc, argv, "print", 0) != 0);
    }
    free(texts.tokens);
    free(texts.lengths);
    engine_free(&engine);
    return ok ? 0 : 1;
}
