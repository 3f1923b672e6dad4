// bench: libllama alone, timed. The Go side of bench/ runs this program and itself in turn on the
// same work and compares; what both print is described in bench/README.md.
//
//   bench throughput MODEL TEXT [prompt=512] [generate=128] [reps=3]
//                    [threads=2] [ctx=4096] [slots=1]
//   bench cold       MODEL TEXT [threads=2] [ctx=4096] [slots=1]
//   bench batched    MODEL TEXT [streams=8] [prompt=128] [generate=128] [reps=3] [sample=1]
//                    [threads=2] [ctx=4096] [slots=8]
//   bench waves      MODEL TEXT [prompt=128] [generate=128] [threads=2] [ctx=320]
//   bench perplexity MODEL TEXT [threads=2] [ctx=4096]
//   bench hot        MODEL TEXT [prompt=2000] [new=32] [reps=3] [threads=2] [ctx=4096]
//   bench tokenize   MODEL TEXT [reps=1000]
//   bench rss        MODEL TEXT [generate=32] [threads=2] [ctx=4096] [slots=1]
//
// All take gpu_layers=N, split=MODE, a number of enum llama_split_mode, and rows=0, which leaves
// the embeddings of tokens in this machine's memory though a GPU has all layers; for the context
// batch=2048, ubatch=512, unified=0, flash=0 or 1, and kv_k=TYPE and kv_v=TYPE, numbers of enum
// ggml_type. Tokens are chosen greedily unless temp=, top_k= and top_p= say otherwise. batched and
// waves are in waves.c, perplexity is in a file of its own.
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void bench_close(struct bench *b) {
    if (b->sampler != NULL) {
        llama_sampler_free(b->sampler);
    }
    free(b->text);
    engine_free(&b->engine);
}

struct llama_context_params bench_context(int argc, char **argv) {
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)option(argc, argv, "ctx", 4096);
    params.n_threads = params.n_threads_batch = (int32_t)option(argc, argv, "threads", 2);
    params.n_batch = (uint32_t)option(argc, argv, "batch", params.n_batch);
    params.n_ubatch = (uint32_t)option(argc, argv, "ubatch", params.n_ubatch);
    params.n_seq_max = (uint32_t)option(argc, argv, "slots", 1);
    params.kv_unified = option(argc, argv, "unified", 1) != 0; // one cache for all sequences
    params.flash_attn_type = (enum llama_flash_attn_type)option(argc, argv, "flash", -1);
    params.type_k = (enum ggml_type)option(argc, argv, "kv_k", GGML_TYPE_F16);
    params.type_v = (enum ggml_type)option(argc, argv, "kv_v", GGML_TYPE_F16);
    params.swa_full = false; // sliding-window layers keep their window, as in llama.cpp's tools
    return params;
}

// Greedy, or llama.cpp's samplers in its order.
static struct llama_sampler *new_sampler(int argc, char **argv) {
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    float temperature = (float)option(argc, argv, "temp", 0);
    int32_t top_k = (int32_t)option(argc, argv, "top_k", 0);
    float top_p = (float)option(argc, argv, "top_p", 1);
    if (temperature <= 0) {
        llama_sampler_chain_add(chain, llama_sampler_init_greedy());
        return chain;
    }
    if (top_k > 0) {
        llama_sampler_chain_add(chain, llama_sampler_init_top_k(top_k));
    }
    if (top_p < 1) {
        llama_sampler_chain_add(chain, llama_sampler_init_top_p(top_p, 1));
    }
    llama_sampler_chain_add(chain, llama_sampler_init_temp(temperature));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(1));
    return chain;
}

// The only GPU, if it is one of CUDA's.
static ggml_backend_dev_t only_cuda_gpu(void) {
    ggml_backend_dev_t gpu = NULL;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t dev = ggml_backend_dev_get(i);
        if (ggml_backend_dev_type(dev) != GGML_BACKEND_DEVICE_TYPE_GPU) {
            continue;
        }
        if (gpu != NULL || strncmp(ggml_backend_dev_name(dev), "CUDA", 4) != 0) {
            return NULL;
        }
        gpu = dev;
    }
    return gpu;
}

// Has a GPU with all layers also look up the embeddings of tokens, as Mullama does. llama.cpp would
// by itself do it on one thread, while the GPU waits.
static void look_up_on_gpu(struct llama_model_params *params) {
    static struct llama_model_tensor_buft_override placed[2];
    ggml_backend_dev_t gpu = only_cuda_gpu();
    if (gpu != NULL && params->n_gpu_layers < 0) {
        placed[0].pattern = "^token_embd\\.weight$";
        placed[0].buft = ggml_backend_dev_buffer_type(gpu);
        params->tensor_buft_overrides = placed;
    }
}

static bool bench_open(struct bench *b, int argc, char **argv) {
    const char *text = argv[2];
    double start = seconds();
    *b = (struct bench){0};
    struct llama_model_params model = llama_model_default_params();
    model.n_gpu_layers = (int32_t)option(argc, argv, "gpu_layers", model.n_gpu_layers);
    model.split_mode = (enum llama_split_mode)option(argc, argv, "split", model.split_mode);
    if (option(argc, argv, "rows", 1) != 0) {
        look_up_on_gpu(&model);
    }
    if (!engine_load(&b->engine, argv[1], model)) {
        return false;
    }
    struct llama_context_params params = bench_context(argc, argv);
    b->threads = params.n_threads;
    if (!engine_start(&b->engine, params)) {
        return false;
    }
    b->load_s = seconds() - start;
    b->sampler = new_sampler(argc, argv);
    b->text = tokenize(b->engine.vocab, text, strlen(text), true, false, &b->n_text);
    if (b->text != NULL && b->n_text == 0) {
        fprintf(stderr, "mullama-oracle: the text has no tokens\n");
        return false;
    }
    return b->text != NULL;
}

void bench_clear(struct bench *b) { llama_memory_clear(llama_get_memory(b->engine.ctx), false); }

// Decodes tokens and samples after the last one. Returns LLAMA_TOKEN_NULL after a message.
static llama_token feed(struct bench *b, llama_token *tokens, int32_t n) {
    int32_t n_batch = (int32_t)llama_n_batch(b->engine.ctx);
    for (int32_t at = 0; at < n; at += n_batch) {
        int32_t count = n - at < n_batch ? n - at : n_batch;
        int32_t status = llama_decode(b->engine.ctx, llama_batch_get_one(tokens + at, count));
        if (status != 0) {
            fprintf(stderr, "mullama-oracle: llama_decode returned %d for %d tokens\n", status, n);
            return LLAMA_TOKEN_NULL;
        }
    }
    return llama_sampler_sample(b->sampler, b->engine.ctx, -1);
}

void pseudo_tokens(llama_token *tokens, int32_t n, int32_t n_vocab, uint64_t seed) {
    uint64_t state = seed;
    for (int32_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        tokens[i] = (llama_token)((state >> 33) % (uint64_t)n_vocab);
    }
}

// FNV-1a over the tokens' little-endian bytes: equal sums mean equal text on both sides.
static uint64_t sum_token(uint64_t sum, llama_token token) {
    for (int shift = 0; shift < 32; shift += 8) {
        sum = (sum ^ ((uint32_t)token >> shift & 0xff)) * 1099511628211u;
    }
    return sum;
}

// Time to the first token of a prompt of n pseudo-random tokens; negative after a message.
static double time_prompt(struct bench *b, llama_token *tokens, int32_t n, int rep) {
    pseudo_tokens(tokens, n, llama_vocab_n_tokens(b->engine.vocab), 1 + (uint64_t)rep);
    bench_clear(b);
    double start = seconds();
    if (feed(b, tokens, n) == LLAMA_TOKEN_NULL) {
        return -1;
    }
    return seconds() - start;
}

struct generation {
    double seconds; // from the first token to the last
    int32_t n;      // tokens after the first
    uint64_t sum;   // over all of them
};

// Continues the text for want tokens after the first, or until the model ends it.
static bool generate(struct bench *b, int32_t want, struct generation *out) {
    bench_clear(b);
    llama_token token = feed(b, b->text, b->n_text);
    *out = (struct generation){.sum = sum_token(14695981039346656037u, token)};
    double start = seconds();
    while (token != LLAMA_TOKEN_NULL && out->n < want &&
           !llama_vocab_is_eog(b->engine.vocab, token)) {
        token = feed(b, &token, 1);
        out->sum = sum_token(out->sum, token);
        out->n++;
    }
    out->seconds = seconds() - start;
    return token != LLAMA_TOKEN_NULL;
}

// A thread that waits for tokens, as the reader of every engine does that serves somebody.
struct reader {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t news;
    int32_t given; // tokens so far; guarded by mutex
    bool ended;    // guarded by mutex
};

static void *read_tokens(void *arg) {
    struct reader *r = arg;
    pthread_mutex_lock(&r->mutex);
    for (int32_t seen = 0; !r->ended; seen = r->given) {
        while (r->given == seen && !r->ended) {
            pthread_cond_wait(&r->news, &r->mutex);
        }
    }
    pthread_mutex_unlock(&r->mutex);
    return NULL;
}

static void give(struct reader *r, bool end) {
    pthread_mutex_lock(&r->mutex);
    r->given++;
    r->ended = end;
    pthread_mutex_unlock(&r->mutex);
    pthread_cond_signal(&r->news);
}

// Continues the text for want tokens and gives each to a waiting thread. Returns the mean time that
// giving one takes; negative after a message.
static double time_step_overhead(struct bench *b, int32_t want) {
    struct reader reader = {.mutex = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};
    if (pthread_create(&reader.thread, NULL, read_tokens, &reader) != 0) {
        perror("mullama-oracle: start a thread");
        return -1;
    }
    bench_clear(b);
    llama_token token = feed(b, b->text, b->n_text);
    double spent = 0;
    int32_t steps = 0;
    while (token != LLAMA_TOKEN_NULL && steps < want &&
           !llama_vocab_is_eog(b->engine.vocab, token)) {
        double sampled = seconds();
        give(&reader, false);
        spent += seconds() - sampled;
        token = feed(b, &token, 1);
        steps++;
    }
    give(&reader, true);
    pthread_join(reader.thread, NULL);
    if (token == LLAMA_TOKEN_NULL) {
        return -1;
    }
    return steps > 0 ? spent / steps : 0;
}

void print_header(const struct bench *b) {
    printf("{\"program\":\"mullama-oracle\",\"engine\":\"llama.cpp %s\",\"threads\":%d,"
           "\"context\":%u,\"load_s\":%.6f}\n",
           llama_version(), b->threads, llama_n_ctx(b->engine.ctx), b->load_s);
}

static bool throughput(struct bench *b, int argc, char **argv) {
    int32_t n_prompt = (int32_t)option(argc, argv, "prompt", 512);
    int32_t n_generate = (int32_t)option(argc, argv, "generate", 128);
    int reps = (int)option(argc, argv, "reps", 3);
    if (n_prompt < 1 || n_generate < 1) {
        fprintf(stderr, "mullama-oracle: prompt and generate must be at least 1\n");
        return false;
    }
    llama_token *tokens = must_alloc((size_t)n_prompt, sizeof(*tokens));
    bool ok = true;
    print_header(b);
    for (int rep = 0; ok && rep <= reps; rep++) { // repetition 0 warms up and is not printed
        struct generation g;
        double prompt_s = time_prompt(b, tokens, n_prompt, rep);
        ok = prompt_s >= 0 && generate(b, n_generate, &g);
        double overhead_s = ok ? time_step_overhead(b, n_generate) : -1;
        ok = overhead_s >= 0;
        if (ok && rep > 0) {
            printf("{\"rep\":%d,\"prompt_tokens\":%d,\"prompt_s\":%.9f,\"text_tokens\":%d,"
                   "\"generated\":%d,\"generate_s\":%.9f,\"sum\":\"%016llx\","
                   "\"steps\":%d,\"overhead_s\":%.9f}\n",
                   rep, n_prompt, prompt_s, b->n_text, g.n, g.seconds, (unsigned long long)g.sum,
                   g.n, overhead_s * g.n);
            fflush(stdout);
        }
    }
    free(tokens);
    return ok;
}

// Times new tokens after a prompt that is in the cache, up to the token that follows them.
static bool hot(struct bench *b, int argc, char **argv) {
    int32_t n_prompt = (int32_t)option(argc, argv, "prompt", 2000);
    int32_t n_new = (int32_t)option(argc, argv, "new", 32);
    int reps = (int)option(argc, argv, "reps", 3);
    int32_t n_vocab = llama_vocab_n_tokens(b->engine.vocab);
    if (n_prompt < 1 || n_new < 1) {
        fprintf(stderr, "mullama-oracle: prompt and new must be at least 1\n");
        return false;
    }
    llama_token *tokens = must_alloc((size_t)n_prompt + (size_t)n_new, sizeof(*tokens));
    pseudo_tokens(tokens, n_prompt, n_vocab, 1);
    bench_clear(b);
    print_header(b);
    bool ok = feed(b, tokens, n_prompt) != LLAMA_TOKEN_NULL;
    for (int rep = 0; ok && rep <= reps; rep++) { // repetition 0 warms up and is not printed
        pseudo_tokens(tokens + n_prompt, n_new, n_vocab, 2 + (uint64_t)rep);
        llama_memory_seq_rm(llama_get_memory(b->engine.ctx), 0, n_prompt, -1);
        double start = seconds();
        ok = feed(b, tokens + n_prompt, n_new) != LLAMA_TOKEN_NULL;
        if (ok && rep > 0) {
            printf("{\"rep\":%d,\"new_tokens\":%d,\"seconds\":%.9f}\n", rep, n_new,
                   seconds() - start);
            fflush(stdout);
        }
    }
    free(tokens);
    return ok;
}

// Times TEXT into tokens.
static bool time_tokenize(struct bench *b, int argc, char **argv) {
    int reps = (int)option(argc, argv, "reps", 1000);
    int32_t size = (int32_t)strlen(argv[3]);
    llama_token *tokens = must_alloc((size_t)size + 1, sizeof(*tokens));
    print_header(b);
    bool ok = true;
    for (int rep = -reps / 10; ok && rep < reps; rep++) { // the first ones warm up
        double start = seconds();
        ok = llama_tokenize(b->engine.vocab, argv[3], size, tokens, size + 1, false, true) > 0;
        double took = seconds() - start;
        if (ok && rep >= 0) {
            printf("{\"rep\":%d,\"seconds\":%.9f}\n", rep + 1, took);
        }
    }
    free(tokens);
    return ok;
}

// Prints the first token. The caller times the way from starting the process to the first byte.
static bool cold(struct bench *b, int argc, char **argv) {
    (void)argc;
    (void)argv;
    char piece[256];
    llama_token token = feed(b, b->text, b->n_text);
    if (token == LLAMA_TOKEN_NULL) {
        return false;
    }
    int32_t size = llama_token_to_piece(b->engine.vocab, token, piece, sizeof(piece), 0, true);
    if (size > 0) {
        fwrite(piece, 1, (size_t)size, stdout);
    }
    putchar('\n');
    return fflush(stdout) == 0;
}

// Prints the memory lines of /proc/self/status, in kB, after a short generation.
static bool rss(struct bench *b, int argc, char **argv) {
    struct generation g;
    if (!generate(b, (int32_t)option(argc, argv, "generate", 32), &g)) {
        return false;
    }
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) {
        perror("/proc/self/status");
        return false;
    }
    long now = 0, peak = 0, anonymous = 0, file = 0;
    char line[256];
    while (fgets(line, sizeof(line), status) != NULL) {
        sscanf(line, "VmRSS: %ld", &now);
        sscanf(line, "VmHWM: %ld", &peak);
        sscanf(line, "RssAnon: %ld", &anonymous);
        sscanf(line, "RssFile: %ld", &file);
    }
    fclose(status);
    printf("{\"rss_kb\":%ld,\"peak_kb\":%ld,\"anonymous_kb\":%ld,\"file_kb\":%ld}\n", now, peak,
           anonymous, file);
    return true;
}

static const struct mode {
    const char *name;
    bool (*run)(struct bench *b, int argc, char **argv);
} modes[] = {
    {"throughput", throughput},
    {"batched", batched},
    {"waves", waves},
    {"hot", hot},
    {"cold", cold},
    {"perplexity", perplexity},
    {"tokenize", time_tokenize},
    {"rss", rss},
};

int cmd_bench(int argc, char **argv) {
    for (size_t i = 0; argc >= 4 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(argv[1], modes[i].name) == 0) {
            struct bench b;
            bool ok = bench_open(&b, argc - 1, argv + 1) && modes[i].run(&b, argc, argv);
            bench_close(&b);
            return ok ? 0 : 1;
        }
    }
    fprintf(stderr, "usage: mullama-oracle bench MODE MODEL TEXT [name=number …]\n"
                    "modes: throughput, batched, waves, perplexity, hot, cold, tokenize, rss\n");
    return 2;
}
