// How likely a model finds a text, from the logits of every token of it.
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// The negative logarithm of the probability of a token.
static double surprise(const float *logits, int32_t n_vocab, llama_token token) {
    float most = logits[0];
    for (int32_t i = 1; i < n_vocab; i++) {
        most = logits[i] > most ? logits[i] : most;
    }
    double sum = 0;
    for (int32_t i = 0; i < n_vocab; i++) {
        sum += exp((double)logits[i] - most);
    }
    return log(sum) + most - logits[token];
}

// Adds up the surprise of the tokens after each of those from first on, of which n are in a batch.
static bool add_surprise(struct bench *b, struct llama_batch *batch, int32_t first, int32_t n,
                         double *sum) {
    int32_t n_vocab = llama_vocab_n_tokens(b->engine.vocab);
    batch->n_tokens = n;
    for (int32_t i = 0; i < n; i++) {
        batch->token[i] = b->text[first + i];
        batch->pos[i] = first + i;
        batch->n_seq_id[i] = 1;
        batch->seq_id[i][0] = 0;
        batch->logits[i] = true;
    }
    int32_t status = llama_decode(b->engine.ctx, *batch);
    if (status != 0) {
        fprintf(stderr, "mullama-oracle: llama_decode returned %d for %d tokens\n", status, n);
        return false;
    }
    for (int32_t i = 0; i < n && first + i + 1 < b->n_text; i++) {
        const float *logits = llama_get_logits_ith(b->engine.ctx, i);
        *sum += surprise(logits, n_vocab, b->text[first + i + 1]);
    }
    return true;
}

bool perplexity(struct bench *b, int argc, char **argv) {
    (void)argc;
    (void)argv;
    if (b->n_text < 2 || b->n_text > (int32_t)llama_n_ctx(b->engine.ctx)) {
        fprintf(stderr, "mullama-oracle: a text of %d tokens is not from 2 to ctx\n", b->n_text);
        return false;
    }
    int32_t capacity = (int32_t)llama_n_batch(b->engine.ctx);
    struct llama_batch batch = llama_batch_init(capacity, 0, 1);
    double sum = 0;
    bool ok = true;
    for (int32_t first = 0; ok && first < b->n_text; first += capacity) {
        int32_t n = b->n_text - first < capacity ? b->n_text - first : capacity;
        ok = add_surprise(b, &batch, first, n, &sum);
    }
    llama_batch_free(batch);
    if (ok) {
        printf("{\"tokens\":%d,\"perplexity\":%.6f}\n", b->n_text - 1, exp(sum / (b->n_text - 1)));
    }
    return ok;
}
