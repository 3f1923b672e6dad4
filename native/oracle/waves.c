// Waves: several prompts at once, and an answer to each, in one batch.
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

static void batch_add(struct llama_batch *batch, llama_token token, llama_pos pos, int32_t seq,
                      bool output) {
    int32_t i = batch->n_tokens++;
    batch->token[i] = token;
    batch->pos[i] = pos;
    batch->n_seq_id[i] = 1;
    batch->seq_id[i][0] = seq;
    batch->logits[i] = output;
}

static bool batch_decode(struct bench *b, struct llama_batch *batch) {
    int32_t status = llama_decode(b->engine.ctx, *batch);
    if (status != 0) {
        fprintf(stderr, "mullama-oracle: llama_decode returned %d for %d tokens\n", status,
                batch->n_tokens);
    }
    return status == 0;
}

// A wave: n_streams prompts at once, then n_generate tokens of each, without a word of text made of
// them.
struct wave {
    int32_t n_streams, n_prompt, n_generate;
    bool sample; // else tokens are pseudo-random ones, and nothing reads the logits
    double prompt_s, generate_s;
};

// The token after row of the last batch, the step-th of stream s.
static llama_token choose(struct bench *b, const struct wave *w, int32_t row, int32_t step,
                          int32_t s) {
    if (w->sample) {
        return llama_sampler_sample(b->sampler, b->engine.ctx, row);
    }
    llama_token token;
    uint64_t seed = (uint64_t)step * (uint64_t)w->n_streams + (uint64_t)s;
    pseudo_tokens(&token, 1, llama_vocab_n_tokens(b->engine.vocab), seed);
    return token;
}

// Computes the batch and waits until its logits are in this machine's memory.
static bool wave_decode(struct bench *b, struct llama_batch *batch) {
    bool ok = batch_decode(b, batch);
    llama_synchronize(b->engine.ctx);
    return ok;
}

// Fills the cache with the prompts; a batch holds as many tokens as the context takes. next gets
// the first token of each stream.
static bool wave_prompts(struct bench *b, struct wave *w, struct llama_batch *batch,
                         llama_token *next) {
    llama_token *tokens = must_alloc((size_t)w->n_prompt, sizeof(*tokens));
    int32_t capacity = (int32_t)llama_n_batch(b->engine.ctx);
    bool ok = true;
    int32_t first = 0; // stream whose prompt is the first to end in this batch
    batch->n_tokens = 0;
    for (int32_t s = 0; ok && s < w->n_streams; s++) {
        pseudo_tokens(tokens, w->n_prompt, llama_vocab_n_tokens(b->engine.vocab), 1000 + s);
        for (int32_t i = 0; i < w->n_prompt; i++) {
            batch_add(batch, tokens[i], i, s, i == w->n_prompt - 1);
        }
        bool last = s == w->n_streams - 1;
        if (last || batch->n_tokens + w->n_prompt > capacity) {
            ok = wave_decode(b, batch);
            for (int32_t row = first; ok && row <= s; row++) {
                next[row] = choose(b, w, (row - first + 1) * w->n_prompt - 1, 0, row);
            }
            first = s + 1;
            batch->n_tokens = 0;
        }
    }
    free(tokens);
    return ok;
}

static bool wave_generate(struct bench *b, struct wave *w, struct llama_batch *batch,
                          llama_token *next) {
    for (int32_t step = 0; step < w->n_generate - 1; step++) {
        batch->n_tokens = 0;
        for (int32_t s = 0; s < w->n_streams; s++) {
            batch_add(batch, next[s], w->n_prompt + step, s, true);
        }
        if (!wave_decode(b, batch)) {
            return false;
        }
        for (int32_t s = 0; s < w->n_streams; s++) {
            next[s] = choose(b, w, s, step + 1, s);
        }
    }
    return true;
}

static bool wave_run(struct bench *b, struct wave *w) {
    struct llama_batch batch = llama_batch_init((int32_t)llama_n_batch(b->engine.ctx), 0, 1);
    llama_token *next = must_alloc((size_t)w->n_streams, sizeof(*next));
    bench_clear(b);
    double start = seconds();
    bool ok = wave_prompts(b, w, &batch, next);
    double prefilled = seconds();
    ok = ok && wave_generate(b, w, &batch, next);
    w->prompt_s = prefilled - start;
    w->generate_s = seconds() - prefilled;
    free(next);
    llama_batch_free(batch);
    return ok;
}

static bool wave_fits(const struct bench *b, const struct wave *w) {
    int32_t n_batch = (int32_t)llama_n_batch(b->engine.ctx);
    if (w->n_streams < 1 || w->n_streams > (int32_t)llama_n_seq_max(b->engine.ctx) ||
        w->n_streams > n_batch || w->n_prompt < 1 || w->n_prompt > n_batch || w->n_generate < 1 ||
        (int64_t)w->n_streams * (w->n_prompt + w->n_generate) > llama_n_ctx(b->engine.ctx)) {
        fprintf(stderr,
                "mullama-oracle: %d streams of %d + %d tokens do not fit: set slots, ctx and "
                "batch\n",
                w->n_streams, w->n_prompt, w->n_generate);
        return false;
    }
    return true;
}

static void print_wave(const struct wave *w, int rep) {
    printf("{\"rep\":%d,\"streams\":%d,\"sample\":%s,\"prompt_tokens\":%d,\"generated\":%d,"
           "\"prompt_s\":%.9f,\"generate_s\":%.9f}\n",
           rep, w->n_streams, w->sample ? "true" : "false", w->n_prompt, w->n_generate, w->prompt_s,
           w->generate_s);
    fflush(stdout);
}

bool batched(struct bench *b, int argc, char **argv) {
    struct wave w = {
        .n_streams = (int32_t)option(argc, argv, "streams", 8),
        .n_prompt = (int32_t)option(argc, argv, "prompt", 128),
        .n_generate = (int32_t)option(argc, argv, "generate", 128),
        .sample = option(argc, argv, "sample", 1) != 0,
    };
    int reps = (int)option(argc, argv, "reps", 3);
    if (!wave_fits(b, &w)) {
        return false;
    }
    print_header(b);
    for (int rep = 0; rep <= reps; rep++) { // repetition 0 warms up and is not printed
        if (!wave_run(b, &w)) {
            return false;
        }
        if (rep > 0) {
            print_wave(&w, rep);
        }
    }
    return true;
}

// Gives the context as many sequences as the wave has streams.
static bool widen(struct bench *b, int32_t n_streams, struct llama_context_params params) {
    if (n_streams < 1 || n_streams > (int32_t)llama_max_parallel_sequences()) {
        fprintf(stderr, "mullama-oracle: %d streams are not from 1 to %zu\n", n_streams,
                llama_max_parallel_sequences());
        return false;
    }
    if ((int32_t)llama_n_seq_max(b->engine.ctx) == n_streams) {
        return true;
    }
    engine_stop(&b->engine);
    params.n_ctx *= (uint32_t)n_streams;
    params.n_seq_max = (uint32_t)n_streams;
    return engine_start(&b->engine, params);
}

// Computes a wave for each line of standard input, "STREAMS SAMPLE", after one to warm up. ctx is
// what each stream has. So one load of the model does for all widths, and a caller can have others
// take turns with it.
bool waves(struct bench *b, int argc, char **argv) {
    struct wave w = {
        .n_prompt = (int32_t)option(argc, argv, "prompt", 128),
        .n_generate = (int32_t)option(argc, argv, "generate", 128),
    };
    struct llama_context_params params = bench_context(argc, argv);
    print_header(b);
    fflush(stdout);
    int sample;
    for (int rep = 1; scanf("%d %d", &w.n_streams, &sample) == 2; rep++) {
        w.sample = sample != 0;
        bool ok =
            widen(b, w.n_streams, params) && wave_fits(b, &w) && wave_run(b, &w) && wave_run(b, &w);
        if (!ok) {
            return false;
        }
        print_wave(&w, rep);
    }
    return true;
}
