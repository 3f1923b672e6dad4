// mullama-oracle drives llama.cpp through llama.h alone. Nothing of the facade is linked in, so
// what it prints is the reference the conformance tests and the benchmarks compare Mullama with.
//
// Every command is one function in the table of main.c. Results go to standard output, everything
// else to standard error. A command takes its positional arguments first and then options written
// name=number, in any order.
//
// A record file holds byte strings: for each a 32-bit little-endian length, then the bytes.
#ifndef MULLAMA_ORACLE_H
#define MULLAMA_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ggml-cpu.h"
#include "llama.h"

// A command gets its own name as argv[0] and returns the exit code: 0, 1 for a failure, 2 for a
// wrong use of its arguments.
int cmd_tokenize(int argc, char **argv);
int cmd_detokenize(int argc, char **argv);
int cmd_greedy(int argc, char **argv);
int cmd_score(int argc, char **argv);
int cmd_quantize(int argc, char **argv);
int cmd_limits(int argc, char **argv);
int cmd_device_limits(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_embed_calls(int argc, char **argv);
int cmd_bench(int argc, char **argv);

// Byte strings read from a file; free with records_free. items[i].data is not zero-terminated.
struct record {
    const char *data;
    size_t size;
};

struct records {
    struct record *items;
    size_t count;
    char *storage;
};

bool records_read(const char *path, struct records *out);
void records_free(struct records *records);

// Reads the whole file into zero-terminated memory the caller frees; NULL after a message.
char *file_read(const char *path, size_t *size);

// Parses the ids of one line; tokens must have room for them. Returns the start of the next line,
// or NULL when the line is something else.
char *parse_ids(char *line, llama_token *tokens, int32_t *count);

// The number after "name=" among the options, or fallback. Options follow the positional arguments.
double option(int argc, char **argv, const char *name, double fallback);

// The text after "name=" among the arguments, or NULL.
const char *text_option(int argc, char **argv, const char *name);

// One model and at most one context on it, with ggml's thread pool attached: the engine is built
// without OpenMP, and without a pool of its own llama.cpp would start its threads at every decode.
struct engine {
    struct llama_model *model;
    const struct llama_vocab *vocab;
    struct llama_context *ctx;
    ggml_threadpool_t pool;
};

bool engine_load(struct engine *engine, const char *path, struct llama_model_params params);
bool engine_start(struct engine *engine, struct llama_context_params params);
void engine_stop(struct engine *engine); // frees the context and its pool, keeps the model
void engine_free(struct engine *engine);

// Applies what the options lora=FILE lora_scale=1 lora2=FILE lora2_scale=1, and steer=FILE with
// numbers in 32 bits, steer_first=1 and steer_last=0, say to the context.
bool tune(struct engine *engine, int argc, char **argv);

// Text as tokens the caller frees; NULL after a message.
llama_token *tokenize(const struct llama_vocab *vocab, const char *text, size_t size,
                      bool add_special, bool parse_special, int32_t *count);

// llama_tokenize on a stack of its own, large enough for any text. INT32_MIN: no memory for it.
int32_t tokenize_deep(const struct llama_vocab *vocab, const char *text, size_t size,
                      llama_token *tokens, int32_t capacity, bool add_special, bool parse_special);

// Allocates or ends the program with a message.
void *must_alloc(size_t count, size_t size);

#endif
