// greedy: the likeliest token at every position, each prompt alone and, with slots=N, N at once.
// score: how likely the tokens of given answers are, each prompt alone.
//
// Two tokens whose logits nearly tie may swap when the same numbers are added up in another order,
// as they are when sequences share a batch. So that such a swap can be told from a fault, greedy
// prints how far the best logit is ahead of the second (gaps), and how far that lead moves between
// the two ways of computing it when both are fed the same tokens (drift). score prints how far each
// given token is behind the best one.
#include "oracle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 2 }; // candidates kept per position

struct candidate {
    llama_token token;
    float logit;
};

struct answer {
    llama_token *prompt;
    int32_t n_prompt;
    struct candidate *top; // TOP per position, likeliest first; the answer alone is top[i * TOP]
    int32_t n;             // positions answered
    llama_token *batched;  // the answer when all prompts share a batch
    int32_t n_batched;
    float *drift; // per position: how far the best token's lead moves in a shared batch
};

struct greedy {
    struct engine engine;
    bool *banned; // per token: never chosen
    int32_t n_vocab;
    int32_t predict;
    struct llama_context_params params;
    int argc;
    char **argv;
    struct answer *answers;
    int32_t n_answers;
};

// Fills top with the TOP largest logits of tokens that are not banned. Of equal ones the lower id
// comes first, as in llama.cpp's greedy sampler.
static void rank(const struct greedy *g, const float *logits, struct candidate *top) {
    int32_t n = 0;
    for (llama_token id = 0; id < g->n_vocab; id++) {
        if (g->banned[id] || (n == TOP && !(logits[id] > top[TOP - 1].logit))) {
            continue;
        }
        int32_t at = n < TOP ? n++ : TOP - 1;
        for (; at > 0 && logits[id] > top[at - 1].logit; at--) {
            top[at] = top[at - 1];
        }
        top[at] = (struct candidate){id, logits[id]};
    }
}

static bool decode(struct greedy *g, struct llama_batch batch) {
    int32_t code = llama_decode(g->engine.ctx, batch);
    if (code != 0) {
        fprintf(stderr, "mullama-oracle: llama_decode returned %d for %d tokens\n", code,
                batch.n_tokens);
    }
    return code == 0;
}

static bool answer_alone(struct greedy *g, struct answer *a) {
    llama_memory_clear(llama_get_memory(g->engine.ctx), true);
    struct llama_batch batch = llama_batch_get_one(a->prompt, a->n_prompt);
    for (a->n = 0; a->n < g->predict; a->n++) {
        if (!decode(g, batch)) {
            return false;
        }
        struct candidate *top = a->top + (size_t)a->n * TOP;
        rank(g, llama_get_logits_ith(g->engine.ctx, -1), top);
        if (llama_vocab_is_eog(g->engine.vocab, top->token)) {
            break;
        }
        batch = llama_batch_get_one(&top->token, 1);
    }
    return true;
}

static void batch_add(struct llama_batch *batch, llama_token token, llama_pos pos, int32_t seq,
                      bool logits) {
    int32_t i = batch->n_tokens++;
    batch->token[i] = token;
    batch->pos[i] = pos;
    batch->n_seq_id[i] = 1;
    batch->seq_id[i][0] = seq;
    batch->logits[i] = logits;
}

// How far the lead of the best candidate over the second is from what it was alone.
static float lead_move(const float *logits, const struct candidate *top) {
    float alone = top[0].logit - top[1].logit;
    return fabsf(logits[top[0].token] - logits[top[1].token] - alone);
}

// Takes one sequence's logits at position step. Returns whether the sequence goes on, and with
// which token: the likeliest, or with forced the one chosen alone.
static bool take(struct greedy *g, struct answer *a, const float *logits, int32_t step, bool forced,
                 llama_token *next) {
    if (forced) {
        a->drift[step] = lead_move(logits, a->top + (size_t)step * TOP);
        *next = a->top[(size_t)step * TOP].token;
        return step + 1 < a->n;
    }
    struct candidate top[TOP];
    rank(g, logits, top);
    *next = top[0].token;
    if (llama_vocab_is_eog(g->engine.vocab, *next)) {
        return false;
    }
    a->batched[a->n_batched++] = *next;
    return a->n_batched < g->predict;
}

// Answers all prompts at once, one sequence each.
static bool answer_together(struct greedy *g, bool forced) {
    llama_memory_clear(llama_get_memory(g->engine.ctx), true);
    struct llama_batch batch = llama_batch_init((int32_t)g->params.n_batch, 0, 1);
    int32_t *rows = must_alloc((size_t)g->n_answers, sizeof(*rows)); // -1: the sequence has ended
    for (int32_t s = 0; s < g->n_answers; s++) {
        const struct answer *a = &g->answers[s];
        for (int32_t i = 0; i < a->n_prompt; i++) {
            batch_add(&batch, a->prompt[i], i, s, i + 1 == a->n_prompt);
        }
        rows[s] = forced && a->n == 0 ? -1 : batch.n_tokens - 1;
    }
    bool ok = true;
    for (int32_t step = 0; ok && step < g->predict && batch.n_tokens > 0; step++) {
        ok = decode(g, batch);
        batch.n_tokens = 0;
        for (int32_t s = 0; ok && s < g->n_answers; s++) {
            llama_token next;
            if (rows[s] < 0) {
                continue;
            }
            const float *logits = llama_get_logits_ith(g->engine.ctx, rows[s]);
            rows[s] = -1;
            if (take(g, &g->answers[s], logits, step, forced, &next)) {
                rows[s] = batch.n_tokens;
                batch_add(&batch, next, g->answers[s].n_prompt + step, s, true);
            }
        }
    }
    free(rows);
    llama_batch_free(batch);
    return ok;
}

static void print_ids(const char *name, const llama_token *ids, int32_t n) {
    printf("%s", name);
    for (int32_t i = 0; i < n; i++) {
        printf(" %d", ids[i]);
    }
    putchar('\n');
}

static void print_answer(const struct answer *a, bool together) {
    print_ids("prompt", a->prompt, a->n_prompt);
    printf("tokens");
    for (int32_t i = 0; i < a->n; i++) {
        printf(" %d", a->top[(size_t)i * TOP].token);
    }
    printf("\nsecond");
    for (int32_t i = 0; i < a->n; i++) {
        printf(" %d", a->top[(size_t)i * TOP + 1].token);
    }
    printf("\ngaps");
    for (int32_t i = 0; i < a->n; i++) {
        const struct candidate *top = a->top + (size_t)i * TOP;
        printf(" %.6g", (double)(top[0].logit - top[1].logit));
    }
    putchar('\n');
    if (together) {
        print_ids("batched", a->batched, a->n_batched);
        printf("drift");
        for (int32_t i = 0; i < a->n; i++) {
            printf(" %.6g", (double)a->drift[i]);
        }
        putchar('\n');
    }
}

static bool setup(struct greedy *g, int argc, char **argv) {
    if (!engine_load(&g->engine, argv[1], llama_model_default_params())) {
        return false;
    }
    g->argc = argc;
    g->argv = argv;
    g->n_vocab = llama_vocab_n_tokens(g->engine.vocab);
    g->banned = must_alloc((size_t)g->n_vocab, sizeof(*g->banned));
    bool ban_end = option(argc, argv, "ban_end", 1) != 0;
    for (llama_token id = 0; id < g->n_vocab; id++) {
        g->banned[id] = ban_end && llama_vocab_is_eog(g->engine.vocab, id);
    }
    g->predict = (int32_t)option(argc, argv, "predict", 128);
    g->params = llama_context_default_params();
    g->params.n_ctx = (uint32_t)option(argc, argv, "ctx", 512);
    g->params.n_batch = (uint32_t)option(argc, argv, "batch", 2048);
    g->params.n_ubatch = (uint32_t)option(argc, argv, "ubatch", 512);
    g->params.n_threads = (int32_t)option(argc, argv, "threads", 2);
    g->params.n_threads_batch = g->params.n_threads;
    return true;
}

static bool read_prompts(struct greedy *g, const struct records *texts, bool parse_special) {
    g->n_answers = (int32_t)texts->count;
    g->answers = must_alloc(texts->count, sizeof(*g->answers));
    size_t positions = (size_t)g->predict;
    for (size_t i = 0; i < texts->count; i++) {
        struct answer *a = &g->answers[i];
        a->prompt = tokenize(g->engine.vocab, texts->items[i].data, texts->items[i].size, true,
                             parse_special, &a->n_prompt);
        a->top = must_alloc(positions * TOP, sizeof(*a->top));
        a->batched = must_alloc(positions, sizeof(*a->batched));
        a->drift = must_alloc(positions, sizeof(*a->drift));
        if (a->prompt == NULL) {
            return false;
        }
    }
    return true;
}

static bool run_alone(struct greedy *g) {
    bool ok = engine_start(&g->engine, g->params) && tune(&g->engine, g->argc, g->argv);
    for (int32_t i = 0; ok && i < g->n_answers; i++) {
        ok = answer_alone(g, &g->answers[i]);
    }
    engine_stop(&g->engine);
    return ok;
}

static bool run_together(struct greedy *g, int32_t slots, bool unified) {
    if (g->n_answers > slots) {
        fprintf(stderr, "mullama-oracle: %d prompts for %d slots\n", g->n_answers, slots);
        return false;
    }
    g->params.n_seq_max = (uint32_t)slots;
    g->params.n_ctx *= (uint32_t)slots;
    g->params.kv_unified = unified;
    bool ok = engine_start(&g->engine, g->params) && tune(&g->engine, g->argc, g->argv) &&
              answer_together(g, false) && answer_together(g, true);
    engine_stop(&g->engine);
    return ok;
}

static void teardown(struct greedy *g) {
    for (int32_t i = 0; i < g->n_answers; i++) {
        free(g->answers[i].prompt);
        free(g->answers[i].top);
        free(g->answers[i].batched);
        free(g->answers[i].drift);
    }
    free(g->answers);
    free(g->banned);
    engine_free(&g->engine);
}

// Prints on one line how far each of the tokens is behind the likeliest one at its place.
static bool score_alone(struct greedy *g, struct answer *a, llama_token *tokens, int32_t count) {
    struct candidate top[TOP];
    llama_memory_clear(llama_get_memory(g->engine.ctx), true);
    struct llama_batch batch = llama_batch_get_one(a->prompt, a->n_prompt);
    for (int32_t i = 0; i < count; i++) {
        if (!decode(g, batch)) {
            return false;
        }
        const float *logits = llama_get_logits_ith(g->engine.ctx, -1);
        rank(g, logits, top);
        printf(i == 0 ? "%.6g" : " %.6g", (double)(top[0].logit - logits[tokens[i]]));
        batch = llama_batch_get_one(&tokens[i], 1);
    }
    putchar('\n');
    return true;
}

static bool score_lines(struct greedy *g, char *ids, size_t size) {
    llama_token *tokens = must_alloc(size, sizeof(*tokens));
    bool ok = engine_start(&g->engine, g->params) && tune(&g->engine, g->argc, g->argv);
    char *line = ids;
    for (int32_t i = 0; ok && i < g->n_answers; i++) {
        int32_t count = 0;
        line = parse_ids(line, tokens, &count);
        ok = line != NULL && score_alone(g, &g->answers[i], tokens, count);
    }
    if (line == NULL || *line != '\0') {
        fprintf(stderr, "mullama-oracle: the ids are not one line for each prompt\n");
        ok = false;
    }
    engine_stop(&g->engine);
    free(tokens);
    return ok;
}

// Reads a line of ids for each record, its answer, and prints a line of numbers for each.
int cmd_score(int argc, char **argv) {
    struct greedy g = {0};
    struct records texts;
    size_t size = 0;
    if (argc < 4 || !records_read(argv[2], &texts)) {
        return argc < 4 ? 2 : 1;
    }
    char *ids = file_read(argv[3], &size);
    bool ok = ids != NULL && setup(&g, argc, argv) &&
              read_prompts(&g, &texts, option(argc, argv, "parse_special", 0) != 0) &&
              score_lines(&g, ids, size);
    teardown(&g);
    free(ids);
    records_free(&texts);
    return ok ? 0 : 1;
}

// Prints for each record the lines prompt, tokens, second, gaps and with slots=N batched and drift.
int cmd_greedy(int argc, char **argv) {
    struct greedy g = {0};
    struct records texts;
    if (argc < 3 || !records_read(argv[2], &texts)) {
        return argc < 3 ? 2 : 1;
    }
    int32_t slots = (int32_t)option(argc, argv, "slots", 0);
    bool unified = option(argc, argv, "unified", 0) != 0;
    bool ok = setup(&g, argc, argv) &&
              read_prompts(&g, &texts, option(argc, argv, "parse_special", 0) != 0) &&
              run_alone(&g) && (slots == 0 || run_together(&g, slots, unified));
    for (int32_t i = 0; ok && i < g.n_answers; i++) {
        print_answer(&g.answers[i], slots > 0);
    }
    teardown(&g);
    records_free(&texts);
    return ok ? 0 : 1;
}
