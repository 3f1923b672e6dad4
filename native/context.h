// A context, which context.cpp makes and steps, and embed.cpp uses for embeddings.
#pragma once

#include "facade.h"
#include "rows.h"

using threadpool_ptr = std::unique_ptr<ggml_threadpool, void (*)(ggml_threadpool *)>;

struct mn_context {
    const mn_model *model = nullptr;
    llama_context *ctx = nullptr;
    std::atomic<bool> abort{false};
    bool unified = false;                             // all sequences share the cells
    std::unique_ptr<mn::device_logits> device_logits; // null: the host gets all logits

    // Threads kept between steps, by their number: ggml would otherwise start new ones for every
    // graph. A pool stays until the end, since ggml goes back to the one it used last to pause it.
    std::unordered_map<int32_t, threadpool_ptr> pools;

    // Of a context for embeddings.
    std::vector<float> embeddings; // the last result
    bool spoilt = false;           // the cache may hold numbers that are none

    // One step's arrays, kept to save the allocations.
    std::vector<int32_t> n_seq_id;
    std::vector<llama_seq_id *> seq_id;
    std::vector<int8_t> output;
    std::vector<int64_t> output_index;
    std::unique_ptr<mn::row_sampler> sampling;

    ~mn_context() {
        if (ctx) {
            llama_detach_threadpool(ctx);
            llama_free(ctx);
        }
    }
};

namespace mn {

void check_range(const char *what, int64_t value, int64_t min, int64_t max); // throws failure

// Decodes a batch, or has the encoder do it, and waits for the results. Throws failure.
void compute(mn_context *c, const llama_batch &batch, bool encode);

// Refuse, by throwing a failure, a context for embeddings that the model cannot serve.
void check_embedding(const llama_model *model, const mn_context_params &p);

} // namespace mn
