// Embeddings and the scores of classification heads: whole sequences in, a row of numbers out.
#include "context.h"

#include "llama-context.h"
#include "llama-model.h"

#include <cmath>

extern thread_local const int8_t *mullama_unseen; // of llama-graph.cpp, see engine/CMakeLists.txt

namespace mn {

namespace {

int32_t row_width(const llama_model *model, enum llama_pooling_type pooling) {
    return pooling == LLAMA_POOLING_TYPE_RANK ? (int32_t)llama_model_n_cls_out(model)
                                              : llama_model_n_embd_out(model);
}

// What the classification head puts out, 0 if there is none. llama.cpp takes the number from the
// file and does not compare it with the head.
int32_t head_width(const llama_model *model) {
    const ggml_tensor *head = model->cls_out ? model->cls_out : model->cls;
    return head ? (int32_t)head->ne[1] : 0;
}

void check_plan(const mn_context *c, const mn_embed_plan &plan) {
    if (!c->ctx->get_cparams().embeddings) {
        throw failure(MN_ERR_INVALID, "this context computes logits, not embeddings");
    }
    check_range("tokens in a batch", plan.n_tokens, 1, llama_n_ubatch(c->ctx));
    check_range("sequences in a batch", plan.n_seqs, 1, llama_n_seq_max(c->ctx));
    mn_model_info info = {};
    get_embedding_info(c->model->model, &info);
    int64_t longest = info.n_pos > 0 ? info.n_pos : (int64_t)llama_n_ctx_seq(c->ctx);
    int64_t sum = 0;
    for (int32_t s = 0; s < plan.n_seqs; s++) {
        check_range("tokens in a sequence", plan.lengths[s], 1, longest);
        sum += plan.lengths[s];
    }
    check_range("tokens of all sequences", sum, plan.n_tokens, plan.n_tokens);
    int32_t n_vocab = llama_vocab_n_tokens(c->model->vocab);
    for (int32_t i = 0; i < plan.n_tokens; i++) {
        check_range("token id", plan.tokens[i], 0, n_vocab - 1);
    }
}

// Tells llama.cpp, as long as it lives, which tokens of the batch no token pays attention to.
struct unseen_tokens {
    unseen_tokens(const mn_context *c, const int8_t *flags) {
        if (flags && llama_get_memory(c->ctx)) {
            throw failure(MN_ERR_UNSUPPORTED,
                          "in a model with a KV cache, tokens cannot be kept from attention");
        }
        mullama_unseen = flags;
    }
    ~unseen_tokens() { mullama_unseen = nullptr; }
};

// The arrays of a batch, in which sequence s has the id s.
struct embed_batch {
    std::vector<llama_pos> positions;
    std::vector<llama_seq_id> ids;
    std::vector<llama_seq_id *> seq_id;
    std::vector<int32_t> n_seq_id;
    std::vector<int8_t> output;
    llama_batch batch = {};

    explicit embed_batch(const mn_embed_plan &plan)
        : n_seq_id(plan.n_tokens, 1), output(plan.n_tokens, 1) {
        ids.reserve(plan.n_tokens); // so that pointers into it stay
        for (int32_t s = 0; s < plan.n_seqs; s++) {
            for (int32_t i = 0; i < plan.lengths[s]; i++) {
                positions.push_back(i);
                ids.push_back(s);
                seq_id.push_back(&ids.back());
            }
        }
        batch.n_tokens = plan.n_tokens;
        batch.token = const_cast<llama_token *>(plan.tokens);
        batch.pos = positions.data();
        batch.n_seq_id = n_seq_id.data();
        batch.seq_id = seq_id.data();
        batch.logits = output.data();
    }
};

// Copies the rows of the last batch together.
void collect(mn_context *c, const mn_embed_plan &plan, enum llama_pooling_type pooling,
             int32_t width) {
    auto copy = [&](const float *row, size_t n_rows) {
        if (!row) {
            throw failure(MN_ERR_UNSUPPORTED, "this model makes no embeddings");
        }
        c->embeddings.insert(c->embeddings.end(), row, row + n_rows * width);
    };
    c->embeddings.clear();
    if (pooling == LLAMA_POOLING_TYPE_NONE) {
        copy(llama_get_embeddings(c->ctx), plan.n_tokens);
        return;
    }
    for (int32_t s = 0; s < plan.n_seqs; s++) {
        copy(llama_get_embeddings_seq(c->ctx, s), 1);
    }
}

bool all_finite(const std::vector<float> &numbers) {
    return std::all_of(numbers.begin(), numbers.end(), [](float x) { return std::isfinite(x); });
}

} // namespace

void get_embedding_info(const llama_model *model, mn_model_info *out) {
    out->causal = model->hparams.causal_attn;
    out->generates = llama_model_has_decoder(model) && model->output && out->causal;
    out->pooling_type = model->hparams.pooling_type;
    out->n_embd_out = llama_model_n_embd_out(model);
    out->n_cls_out = head_width(model);
    out->n_pos = model->pos_embd ? (int32_t)model->pos_embd->ne[1] : 0;
}

void check_embedding(const llama_model *model, const mn_context_params &p) {
    if (p.n_ubatch != p.n_batch) {
        throw failure(MN_ERR_INVALID, "a context for embeddings computes whole batches; n_ubatch "
                                      "must be n_batch");
    }
    // llama.cpp reserves memory for sequences of one length, and asserts that they fill a batch.
    if (p.n_ubatch % p.n_seq_max != 0) {
        throw failure(MN_ERR_INVALID, "the tokens of a batch are " + std::to_string(p.n_ubatch) +
                                          "; for embeddings they must be a multiple of its " +
                                          std::to_string(p.n_seq_max) + " sequences");
    }
    int32_t pooling = p.pooling_type < 0 ? model->hparams.pooling_type : p.pooling_type;
    if (pooling != LLAMA_POOLING_TYPE_RANK) {
        return;
    }
    if (head_width(model) == 0) {
        throw failure(MN_ERR_UNSUPPORTED, "this model has no head that ranks documents");
    }
    if (head_width(model) != (int32_t)llama_model_n_cls_out(model)) {
        throw failure(MN_ERR_UNSUPPORTED, "the head of this model has " +
                                              std::to_string(head_width(model)) +
                                              " scores, but its file says otherwise");
    }
}

void embed_get(const mn_context *ctx, int32_t *pooling_type, int32_t *width) {
    *pooling_type = llama_pooling_type(ctx->ctx);
    *width = row_width(ctx->model->model, llama_pooling_type(ctx->ctx));
}

mn_status embed(mn_context *ctx, const mn_embed_plan *plan, mn_embed_result *out, mn_error *err) {
    return guard(*ctx->model, err, [&] {
        check_peers(*ctx->model);
        check_plan(ctx, *plan);
        int64_t start = ggml_time_us();
        if (llama_memory_t memory = llama_get_memory(ctx->ctx)) {
            // A masked cell counts for nothing unless what is in it is not a number.
            llama_memory_clear(memory, ctx->spoilt);
        }
        embed_batch batch(*plan);
        unseen_tokens unseen(ctx, plan->unseen);
        ctx->spoilt = true;
        compute(ctx, batch.batch, llama_model_has_encoder(ctx->model->model));
        enum llama_pooling_type pooling = llama_pooling_type(ctx->ctx);
        int32_t width = row_width(ctx->model->model, pooling);
        collect(ctx, *plan, pooling, width);
        ctx->spoilt = !all_finite(ctx->embeddings);
        out->rows = ctx->embeddings.data();
        out->n_rows = (int32_t)(ctx->embeddings.size() / width);
        out->width = width;
        out->compute_us = ggml_time_us() - start;
    });
}

} // namespace mn
