// Calls llama_tokenize on a stack that is large enough for any text.
//
// llama.cpp splits text for many vocabularies with std::regex, whose matcher recurses once per
// character: about 320 bytes of stack for each letter of one match, so that 26,000 letters in a row
// overflow a stack of 8 MiB.
#include "oracle.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

enum { STACK_BASE = 8 << 20, STACK_PER_BYTE = 512 };

struct call {
    const struct llama_vocab *vocab;
    const char *text;
    size_t size;
    llama_token *tokens;
    int32_t capacity;
    bool add_special, parse_special;
    int32_t result;
};

static void *run(void *argument) {
    struct call *c = argument;
    c->result = llama_tokenize(c->vocab, c->text, (int32_t)c->size, c->tokens, c->capacity,
                               c->add_special, c->parse_special);
    return NULL;
}

int32_t tokenize_deep(const struct llama_vocab *vocab, const char *text, size_t size,
                      llama_token *tokens, int32_t capacity, bool add_special, bool parse_special) {
    struct call call = {vocab, text, size, tokens, capacity, add_special, parse_special, INT32_MIN};
    size_t stack_size = (STACK_BASE + STACK_PER_BYTE * size) / 4096 * 4096;
    void *stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        fprintf(stderr, "mullama-oracle: no stack of %zu bytes\n", stack_size);
        return INT32_MIN;
    }
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    bool started = pthread_attr_setstack(&attributes, stack, stack_size) == 0 &&
                   pthread_create(&thread, &attributes, run, &call) == 0;
    if (started) {
        pthread_join(thread, NULL);
    } else {
        fprintf(stderr, "mullama-oracle: no thread with a stack of %zu bytes\n", stack_size);
    }
    pthread_attr_destroy(&attributes);
    munmap(stack, stack_size);
    return call.result;
}
