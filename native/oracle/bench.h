// What the files of `mullama-oracle bench` share.
#ifndef MULLAMA_ORACLE_BENCH_H
#define MULLAMA_ORACLE_BENCH_H

#include "oracle.h"

// What one run needs: the engine, the tokens of TEXT and a sampler.
struct bench {
    struct engine engine;
    struct llama_sampler *sampler;
    llama_token *text;
    int32_t n_text;
    double load_s; // model and context
    int32_t threads;
};

// Modes in a file of their own. They return false after a message.
bool batched(struct bench *b, int argc, char **argv);
bool waves(struct bench *b, int argc, char **argv);
bool perplexity(struct bench *b, int argc, char **argv);

double seconds(void);

// The context that the options ask for.
struct llama_context_params bench_context(int argc, char **argv);

// Forgets all positions; the cache's memory stays as it is.
void bench_clear(struct bench *b);

// Fills tokens with the same numbers as the Go side, pseudoTokens: any repetition of one seed gives
// the same prompt, no two repetitions share a prefix that a cache could keep.
void pseudo_tokens(llama_token *tokens, int32_t n, int32_t n_vocab, uint64_t seed);

void print_header(const struct bench *b);

#endif
