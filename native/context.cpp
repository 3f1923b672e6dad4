// Contexts, their sequences, and step(): one decode and one sampled token per row, in one call.
#include "context.h"

#include "llama-context.h"

#include <thread>
#include <unistd.h>

namespace mn {

namespace {

ggml_type parse_type(const char *name, const char *what) {
    if (!name || !*name) {
        return GGML_TYPE_F16;
    }
    for (ggml_type type :
         {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0,
          GGML_TYPE_Q4_1, GGML_TYPE_IQ4_NL, GGML_TYPE_Q5_0, GGML_TYPE_Q5_1}) {
        if (strcmp(name, ggml_type_name(type)) == 0) {
            return type;
        }
    }
    throw failure(MN_ERR_INVALID, std::string(what) + " type \"" + name +
                                      "\" is unknown; use f16, bf16, f32, q8_0, q5_1, q5_0, q4_1, "
                                      "q4_0 or iq4_nl");
}

// In a portable build the CPU backend is a plug-in, so its functions are asked for by name.
template <typename F> F *cpu_function(const char *name) {
    ggml_backend_dev_t dev = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (!dev) {
        throw failure(MN_ERR_UNSUPPORTED, "no CPU backend is installed beside the library");
    }
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(dev);
    return (F *)ggml_backend_reg_get_proc_address(reg, name);
}

// How long the threads of a pool wait awake for the next step, in units of ggml's of some 4 ms:
// enough between steps and between calls that follow each other. With ggml's own 50 they keep the
// cores busy for 0.2 s after each answer, in the way of all else on the machine.
constexpr uint32_t wait_awake = 4;

threadpool_ptr make_pool(int32_t n_threads) {
    auto *create = cpu_function<decltype(ggml_threadpool_new)>("ggml_threadpool_new");
    auto *destroy = cpu_function<decltype(ggml_threadpool_free)>("ggml_threadpool_free");
    ggml_threadpool_params params = ggml_threadpool_params_default(n_threads);
    params.poll = wait_awake;
    return {create(&params), destroy};
}

ggml_threadpool *pool_of(mn_context *c, int32_t n_threads) {
    auto found = c->pools.find(n_threads);
    if (found == c->pools.end()) {
        found = c->pools.emplace(n_threads, make_pool(n_threads)).first;
    }
    return found->second.get();
}

void attach_pools(mn_context *c, int32_t n_threads, int32_t n_threads_batch) {
    ggml_threadpool *pool = pool_of(c, n_threads);
    ggml_threadpool *batch = n_threads == n_threads_batch ? nullptr : pool_of(c, n_threads_batch);
    llama_attach_threadpool(c->ctx, pool, batch);
}

// Before the cache itself llama.cpp fills some 64 bytes for each of its cells, which for an absurd
// number of them takes all memory of the machine before any allocation fails.
void check_cells(uint64_t n_ctx) {
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (n_ctx * 64 > memory / 8) {
        throw failure(MN_ERR_MEMORY, "a context of " + std::to_string(n_ctx) +
                                         " tokens needs more memory than this machine has");
    }
}

int32_t default_threads(int32_t n) { return n > 0 ? n : common_cpu_get_num_math(); }

// More threads than cores would wait for each other.
int32_t sampling_threads(int32_t n) {
    return std::clamp<int32_t>(n, 1, std::max(1u, std::thread::hardware_concurrency()));
}

uint32_t most_rows(uint32_t n_seq_max) { return std::max<uint32_t>(n_seq_max, MN_ROWS_LEAST); }

bool has_sequence(const mn_context *ctx, int32_t seq) {
    return seq >= 0 && seq < (int32_t)llama_n_seq_max(ctx->ctx);
}

} // namespace

void check_range(const char *what, int64_t value, int64_t min, int64_t max) {
    if (value < min || value > max) {
        throw failure(MN_ERR_INVALID, std::string(what) + " is " + std::to_string(value) +
                                          "; it must be from " + std::to_string(min) + " to " +
                                          std::to_string(max));
    }
}

mn_context_params context_default_params() {
    llama_context_params d = llama_context_default_params();
    mn_context_params p = {};
    p.n_ctx = 4096;
    p.n_batch = d.n_batch;
    p.n_ubatch = d.n_ubatch;
    p.n_seq_max = 1;
    p.rope_scaling_type = -1;
    p.yarn_ext_factor = d.yarn_ext_factor;
    p.yarn_attn_factor = d.yarn_attn_factor;
    p.yarn_beta_fast = d.yarn_beta_fast;
    p.yarn_beta_slow = d.yarn_beta_slow;
    p.pooling_type = -1;
    p.attention_type = -1;
    p.flash_attn = -1;
    p.offload_kqv = d.offload_kqv;
    p.op_offload = d.op_offload;
    p.kv_unified = 1;
    p.device_logits = -1;
    return p;
}

llama_context_params to_llama(const mn_context_params &p) {
    check_range("n_seq_max", p.n_seq_max, 1, (int64_t)llama_max_parallel_sequences());
    check_range("n_batch", p.n_batch, 1, 1 << 20);
    check_range("n_ubatch", p.n_ubatch, 1, p.n_batch);
    check_range("n_threads", p.n_threads, 0, GGML_MAX_N_THREADS);
    check_range("n_threads_batch", p.n_threads_batch, 0, GGML_MAX_N_THREADS);
    check_range("rope_scaling_type", p.rope_scaling_type, -1, LLAMA_ROPE_SCALING_TYPE_MAX_VALUE);
    check_range("pooling_type", p.pooling_type, -1, LLAMA_POOLING_TYPE_RANK);
    check_range("attention_type", p.attention_type, -1, LLAMA_ATTENTION_TYPE_NON_CAUSAL);
    check_range("flash_attn", p.flash_attn, -1, 1);
    check_range("device_logits", p.device_logits, -1, 1);

    llama_context_params c = llama_context_default_params();
    c.n_ctx = p.n_ctx;
    c.n_batch = p.n_batch;
    c.n_ubatch = p.n_ubatch;
    c.n_seq_max = p.n_seq_max;
    // Buffers for more logits than a step samples would lie idle. With fewer than 64 rows the
    // compute buffer is laid out so that CPUs read prompts 15 % slower.
    c.n_outputs_max = p.embeddings ? 0 : most_rows(p.n_seq_max);
    c.n_threads = default_threads(p.n_threads);
    c.n_threads_batch = default_threads(p.n_threads_batch);
    c.rope_scaling_type = (llama_rope_scaling_type)p.rope_scaling_type;
    c.pooling_type = (enum llama_pooling_type)p.pooling_type;
    c.attention_type = (llama_attention_type)p.attention_type;
    c.flash_attn_type = (llama_flash_attn_type)p.flash_attn;
    c.rope_freq_base = p.rope_freq_base;
    c.rope_freq_scale = p.rope_freq_scale;
    c.yarn_ext_factor = p.yarn_ext_factor;
    c.yarn_attn_factor = p.yarn_attn_factor;
    c.yarn_beta_fast = p.yarn_beta_fast;
    c.yarn_beta_slow = p.yarn_beta_slow;
    c.yarn_orig_ctx = p.yarn_orig_ctx;
    c.type_k = parse_type(p.type_k, "K cache");
    c.type_v = parse_type(p.type_v, "V cache");
    c.embeddings = p.embeddings;
    c.offload_kqv = p.offload_kqv;
    c.op_offload = p.op_offload;
    c.swa_full = p.swa_full;
    c.kv_unified = p.kv_unified;
    c.no_perf = false;
    return c;
}

// Lets the logits stay on the device if the parameters say so and it can be done.
static void keep_logits(mn_context *c, const mn_context_params &p, llama_context_params &cparams) {
    if (p.device_logits != 0 && !p.embeddings) {
        c->device_logits =
            device_logits::make(c->model->model, (int32_t)cparams.n_seq_max, p.device_logits == 1);
    }
    if (c->device_logits) {
        c->device_logits->attach(cparams);
    }
}

mn_status context_new(mn_model *model, const mn_context_params *params, mn_context **out,
                      mn_error *err) {
    return guard(*model, err, [&] {
        if (model->vocab_only) {
            throw failure(MN_ERR_UNSUPPORTED, "only the vocabulary of this model is loaded");
        }
        llama_context_params cparams = to_llama(*params);
        check_cells(cparams.n_ctx);
        auto c = std::make_unique<mn_context>();
        c->model = model;
        cparams.abort_callback = [](void *data) {
            return ((std::atomic<bool> *)data)->load(std::memory_order_relaxed);
        };
        cparams.abort_callback_data = &c->abort;
        log_capture log;
        if (params->embeddings) {
            check_embedding(model->model, *params);
        }
        keep_logits(c.get(), *params, cparams);
        c->ctx = llama_init_from_model(model->model, cparams);
        if (!c->ctx) {
            std::string reason = log.reason("llama.cpp could not create it and gave no reason");
            bool memory = reason.find("alloc") != std::string::npos;
            if (reason == "std::bad_alloc") {
                reason = "not enough memory for the context";
            }
            throw failure(memory ? MN_ERR_MEMORY : MN_ERR_INVALID, reason);
        }
        c->unified = cparams.kv_unified || cparams.n_seq_max == 1;
        attach_pools(c.get(), cparams.n_threads, cparams.n_threads_batch);
        uint32_t n_batch = llama_n_batch(c->ctx);
        c->n_seq_id.assign(n_batch, 1);
        c->seq_id.resize(n_batch);
        c->output.resize(n_batch);
        c->output_index.resize(n_batch);
        c->sampling = std::make_unique<row_sampler>(model, most_rows(llama_n_seq_max(c->ctx)));
        c->sampling->set_threads(sampling_threads(cparams.n_threads));
        *out = c.release();
    });
}

void context_free(mn_context *ctx) { delete ctx; }

void context_get(const mn_context *ctx, uint32_t *n_ctx, uint32_t *n_ctx_seq, uint32_t *n_batch,
                 uint32_t *n_ubatch, uint32_t *n_seq_max, int32_t *device_logits) {
    *n_ctx = llama_n_ctx(ctx->ctx);
    *n_ctx_seq = llama_n_ctx_seq(ctx->ctx);
    *n_batch = llama_n_batch(ctx->ctx);
    *n_ubatch = llama_n_ubatch(ctx->ctx);
    *n_seq_max = llama_n_seq_max(ctx->ctx);
    *device_logits = ctx->device_logits != nullptr;
}

void context_abort(mn_context *ctx, int32_t abort) {
    ctx->abort.store(abort != 0, std::memory_order_relaxed);
}

void context_perf(mn_context *ctx, mn_perf *out) {
    llama_perf_context_data d = llama_perf_context(ctx->ctx);
    *out = {};
    out->prompt_us = (int64_t)(d.t_p_eval_ms * 1000);
    out->eval_us = (int64_t)(d.t_eval_ms * 1000);
    out->load_us = (int64_t)(d.t_load_ms * 1000);
    out->n_prompt = d.n_p_eval;
    out->n_eval = d.n_eval;
    out->n_reused = d.n_reused;
}

void context_set_threads(mn_context *ctx, int32_t n_threads, int32_t n_threads_batch) {
    n_threads = std::min(default_threads(n_threads), GGML_MAX_N_THREADS);
    n_threads_batch = std::min(default_threads(n_threads_batch), GGML_MAX_N_THREADS);
    llama_set_n_threads(ctx->ctx, n_threads, n_threads_batch);
    attach_pools(ctx, n_threads, n_threads_batch);
    ctx->sampling->set_threads(sampling_threads(n_threads));
}

mn_status context_memory(const mn_context *ctx, mn_memory *out, int32_t cap, int32_t *n,
                         int32_t *flash_attn, mn_error *err) {
    return guard(err, [&] {
        std::vector<mn_memory> all;
        measure(ctx->ctx, all);
        *n = std::min<int32_t>(cap, all.size());
        std::copy_n(all.begin(), *n, out);
        *flash_attn = ctx->ctx->get_cparams().flash_attn;
    });
}

// --- step -----------------------------------------------------------------------------------

static void check_plan(const mn_context *c, const mn_step_plan &plan) {
    int32_t n_vocab = llama_vocab_n_tokens(c->model->vocab);
    check_range("tokens in a step", plan.n_tokens, 1, llama_n_batch(c->ctx));
    check_range("rows in a step", plan.n_rows, 0, most_rows(llama_n_seq_max(c->ctx)));
    for (int32_t i = 0; i < plan.n_tokens; i++) {
        check_range("token id", plan.tokens[i], 0, n_vocab - 1);
        check_range("sequence id", plan.seqs[i], 0, llama_n_seq_max(c->ctx) - 1);
    }
    for (int32_t r = 0; r < plan.n_rows; r++) {
        check_range("row", plan.rows[r], 0, plan.n_tokens - 1);
    }
}

static llama_batch fill_batch(mn_context *c, const mn_step_plan &plan) {
    memset(c->output.data(), 0, plan.n_tokens);
    for (int32_t i = 0; i < plan.n_tokens; i++) {
        c->seq_id[i] = const_cast<llama_seq_id *>(&plan.seqs[i]);
    }
    for (int32_t r = 0; r < plan.n_rows; r++) {
        c->output[plan.rows[r]] = 1;
    }
    llama_batch batch = {};
    batch.n_tokens = plan.n_tokens;
    batch.token = const_cast<llama_token *>(plan.tokens);
    batch.pos = const_cast<llama_pos *>(plan.positions);
    batch.n_seq_id = c->n_seq_id.data();
    batch.seq_id = c->seq_id.data();
    batch.logits = c->output.data();
    return batch;
}

void compute(mn_context *c, const llama_batch &batch, bool encode) {
    log_capture log;
    int32_t rc = encode ? llama_encode(c->ctx, batch) : llama_decode(c->ctx, batch);
    if (rc == 0) {
        llama_synchronize(c->ctx);
        check_peers(*c->model);
        return;
    }
    switch (rc) {
    case 1:
        throw failure(MN_ERR_FULL, "the KV cache has no room for " +
                                       std::to_string(batch.n_tokens) + " more tokens");
    case 2:
        throw failure(MN_ERR_CANCELLED, "the step was cancelled");
    case -1:
        throw failure(MN_ERR_INVALID, log.reason("llama.cpp refused the batch"));
    default:
        throw failure(MN_ERR_INTERNAL, log.reason("llama_decode returned " + std::to_string(rc)));
    }
}

// Finds the logits of the plan's rows, which llama.cpp keeps for the tokens that were asked for, in
// their order. Asking it row by row would wait for the device as often.
static void find_rows(mn_context *c, const mn_step_plan &plan) {
    if (plan.n_rows == 0 || c->device_logits) {
        return;
    }
    float *logits = llama_get_logits(c->ctx);
    if (!logits) {
        throw failure(MN_ERR_INVALID, "this context computes embeddings, not logits");
    }
    int64_t n_vocab = llama_vocab_n_tokens(c->model->vocab), n_outputs = 0;
    for (int32_t i = 0; i < plan.n_tokens; i++) {
        c->output_index[i] = n_outputs;
        n_outputs += c->output[i];
    }
    for (int32_t r = 0; r < plan.n_rows; r++) {
        c->sampling->logits(r) = logits + c->output_index[plan.rows[r]] * n_vocab;
    }
}

mn_status step(mn_context *ctx, const mn_step_plan *plan, mn_step_result *out, mn_error *err) {
    return guard(*ctx->model, err, [&] {
        check_peers(*ctx->model);
        check_plan(ctx, *plan);
        if (ctx->device_logits) {
            ctx->device_logits->expect(*plan);
        }
        int64_t start = ggml_time_us();
        compute(ctx, fill_batch(ctx, *plan), false);
        int64_t decoded = ggml_time_us();
        find_rows(ctx, *plan);
        ctx->sampling->run(*plan, ctx->device_logits.get(), out);
        out->decode_us = decoded - start;
        out->sample_us = ggml_time_us() - decoded;
    });
}

mn_status sample_logits(mn_context *ctx, const mn_step_plan *plan, float *logits,
                        mn_step_result *out, mn_error *err) {
    return guard(err, [&] {
        check_range("rows in a step", plan->n_rows, 0, most_rows(llama_n_seq_max(ctx->ctx)));
        int64_t n_vocab = llama_vocab_n_tokens(ctx->model->vocab);
        for (int32_t r = 0; r < plan->n_rows; r++) {
            ctx->sampling->logits(r) = logits + plan->rows[r] * n_vocab;
        }
        int64_t start = ggml_time_us();
        mn_step_plan rows = *plan;
        rows.n_tokens = 0; // none is decoded, so none is a draft
        ctx->sampling->run(rows, nullptr, out);
        out->decode_us = 0;
        out->sample_us = ggml_time_us() - start;
    });
}

// --- sequences ------------------------------------------------------------------------------

int32_t seq_remove(mn_context *ctx, int32_t seq, int32_t from, int32_t to) {
    return has_sequence(ctx, seq) && llama_memory_seq_rm(llama_get_memory(ctx->ctx), seq, from, to);
}

void seq_copy(mn_context *ctx, int32_t src, int32_t dst, int32_t from, int32_t to) {
    if (!has_sequence(ctx, src) || !has_sequence(ctx, dst) || src == dst) {
        return;
    }
    llama_memory_t memory = llama_get_memory(ctx->ctx);
    if (ctx->unified) {
        llama_memory_seq_cp(memory, src, dst, from, to);
        return;
    }
    // Where each sequence has cells of its own, llama.cpp copies nothing but whole ones.
    llama_memory_seq_cp(memory, src, dst, -1, -1);
    llama_memory_seq_rm(memory, dst, -1, std::max(from, 0));
    if (to >= 0) {
        llama_memory_seq_rm(memory, dst, to, -1);
    }
}

int32_t seq_shift(mn_context *ctx, int32_t seq, int32_t from, int32_t to, int32_t delta) {
    llama_memory_t memory = llama_get_memory(ctx->ctx);
    if (!has_sequence(ctx, seq) || !llama_memory_can_shift(memory)) {
        return 0;
    }
    llama_memory_seq_add(memory, seq, from, to, delta);
    return 1;
}

void seq_range(mn_context *ctx, int32_t seq, int32_t *min, int32_t *max) {
    *min = *max = -1;
    if (has_sequence(ctx, seq)) {
        *min = llama_memory_seq_pos_min(llama_get_memory(ctx->ctx), seq);
        *max = llama_memory_seq_pos_max(llama_get_memory(ctx->ctx), seq);
    }
}

static void check_sequence(const mn_context *ctx, int32_t seq) {
    check_range("sequence id", seq, 0, llama_n_seq_max(ctx->ctx) - 1);
}

mn_status seq_save(mn_context *ctx, int32_t seq, mn_buf *out, mn_error *err) {
    return guard(*ctx->model, err, [&] {
        check_sequence(ctx, seq);
        *out = save_state(ctx->ctx, seq);
    });
}

mn_status seq_restore(mn_context *ctx, int32_t seq, const char *data, size_t len, mn_error *err) {
    return guard(*ctx->model, err, [&] {
        check_sequence(ctx, seq);
        restore_state(ctx->ctx, seq, {data, len});
    });
}

} // namespace mn
