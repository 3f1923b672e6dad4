// Logits that stay on the device which computed them, and lists of the few that sampling needs.
//
// Sixty-four rows of 128 thousand logits are 33 MB, which take longer to cross to the host than a
// small model's layers take to compute. Here the graph of each step goes on: it cuts every row into
// blocks, finds the largest logit of each block, and picks the blocks with the largest of those.
// What is not in these blocks is not among the likeliest tokens, so only they cross over. Rows
// that need more than that are fetched whole.
#pragma once

#include "facade.h"

#include "ggml-cpp.h"

namespace mn {

class device_logits {
  public:
    // Null if the model's output is not computed on a device that can do it. `anywhere`: the CPU
    // is one, too, which serves nobody but tests.
    static std::unique_ptr<device_logits> make(const llama_model *model, int32_t n_sequences,
                                               bool anywhere);
    ~device_logits();

    // Makes the contexts of these parameters leave their logits here. One context at a time; it
    // must be gone before this.
    void attach(llama_context_params &params);

    // Before a plan is decoded: its rows, of which a sequence has at most one.
    void expect(const mn_step_plan &plan);

    // After it: fetches the lists of its first n rows; one whole row, which may be changed and is
    // valid until the row is fetched again.
    void fetch_lists(int32_t n);
    float *fetch_row(int32_t row);

    // The list of a row: the blocks with the largest logits, that with the largest one first. The
    // logits may be changed until the next fetch.
    struct list {
        float *logits;       // n_blocks * block_size
        const float *blocks; // their numbers: block b begins with token b * block_size
        int32_t n_blocks, block_size;
    };
    list list_of(int32_t row) const;

  private:
    struct sequence; // the part of a context's sampling that llama.cpp has for each sequence

    device_logits(ggml_backend_dev_t device, int32_t n_vocab, int32_t n_sequences);
    bool usable() const;
    bool allocate();
    bool allocate_host(ggml_backend_buffer_ptr &buffer, size_t n_floats) const;
    void build(ggml_context *ctx, ggml_cgraph *gf, ggml_tensor *logits);
    int32_t list_length() const { return kept_ * (block_size_ + 1); }

    ggml_backend_dev_t device_;
    int32_t n_vocab_, n_sequences_;
    int32_t block_size_, n_blocks_, kept_;

    ggml_context_ptr tables_;
    ggml_backend_buffer_ptr memory_; // of the tables
    ggml_tensor *whole_ = nullptr;   // a row of logits for each row of a plan, and one unused
    ggml_tensor *lists_ = nullptr;   // the kept blocks of each, and after them their numbers
    ggml_backend_buffer_ptr host_lists_, host_rows_; // what was fetched of them

    std::vector<std::unique_ptr<sequence>> sequences_;
    std::vector<llama_sampler_seq_config> configs_;
    std::vector<int32_t> plan_row_;    // of each sequence
    ggml_tensor *plan_rows_ = nullptr; // input of the last graph: the plan's row of each of its own
    bool built_ = false;               // the graph being built has what is for all sequences
};

} // namespace mn
