// tokenize and detokenize: llama_tokenize and llama_detokenize, one output line per record.
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>

static bool load_vocab(struct engine *engine, const char *path) {
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    return engine_load(engine, path, params);
}

static bool print_tokens(const struct llama_vocab *vocab, struct record text, bool add_special,
                         bool parse_special) {
    int32_t count = 0;
    llama_token *tokens = tokenize(vocab, text.data, text.size, add_special, parse_special, &count);
    if (tokens == NULL) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        printf(i == 0 ? "%d" : " %d", tokens[i]);
    }
    putchar('\n');
    free(tokens);
    return true;
}

// Prints each record's ids on a line of their own; with all_modes on four, for all values of
// add_special and parse_special, of which the first changes faster.
int cmd_tokenize(int argc, char **argv) {
    struct engine engine;
    struct records records;
    if (argc < 3 || !records_read(argv[2], &records)) {
        return argc < 3 ? 2 : 1;
    }
    if (!load_vocab(&engine, argv[1])) {
        records_free(&records);
        return 1;
    }
    bool add_special = option(argc, argv, "add_special", 1) != 0;
    bool parse_special = option(argc, argv, "parse_special", 0) != 0;
    size_t modes = option(argc, argv, "all_modes", 0) != 0 ? 4 : 1;
    bool ok = true;
    for (size_t i = 0; ok && i < records.count * modes; i++) {
        struct record text = records.items[i / modes];
        ok = modes == 1 ? print_tokens(engine.vocab, text, add_special, parse_special)
                        : print_tokens(engine.vocab, text, (i & 1) != 0, (i & 2) != 0);
    }
    engine_free(&engine);
    records_free(&records);
    return ok ? 0 : 1;
}

static bool print_text(const struct llama_vocab *vocab, const llama_token *tokens, int32_t count,
                       bool special) {
    int32_t capacity = 16 * count + 64;
    char *text = must_alloc((size_t)capacity, 1);
    int32_t size = llama_detokenize(vocab, tokens, count, text, capacity, false, special);
    if (size < 0) { // the negated length that is needed
        capacity = -size;
        free(text);
        text = must_alloc((size_t)capacity, 1);
        size = llama_detokenize(vocab, tokens, count, text, capacity, false, special);
    }
    for (int32_t i = 0; i < size; i++) {
        printf("%02x", (unsigned char)text[i]);
    }
    putchar('\n');
    free(text);
    return size >= 0;
}

// Reads one line of ids per record and prints each record's bytes in hexadecimal on a line, and on
// a second one with the text of control tokens.
int cmd_detokenize(int argc, char **argv) {
    struct engine engine;
    size_t size = 0;
    char *ids = argc < 3 ? NULL : file_read(argv[2], &size);
    if (ids == NULL) {
        return argc < 3 ? 2 : 1;
    }
    if (!load_vocab(&engine, argv[1])) {
        free(ids);
        return 1;
    }
    llama_token *tokens = must_alloc(size, sizeof(*tokens));
    bool ok = true;
    for (char *line = ids; ok && *line != '\0';) {
        int32_t count = 0;
        line = parse_ids(line, tokens, &count);
        ok = line != NULL && print_text(engine.vocab, tokens, count, false) &&
             print_text(engine.vocab, tokens, count, true);
        if (line == NULL) {
            fprintf(stderr, "mullama-oracle: %s is not lines of token ids\n", argv[2]);
        }
    }
    free(tokens);
    free(ids);
    engine_free(&engine);
    return ok ? 0 : 1;
}
