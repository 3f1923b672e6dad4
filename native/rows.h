// The rows of a step: one token picked from each, on several threads when there is enough to do.
#pragma once

#include "sampler.h"
#include "workers.h"

namespace mn {

class row_sampler {
  public:
    row_sampler(const mn_model *model, int32_t max_rows);

    // The most threads that sample, with the calling one.
    void set_threads(int32_t n) { n_threads_ = n; }

    // Where the logits of the plan's rows are, to be set before each run if they are on the host.
    float *&logits(int32_t row) { return logits_[row]; }

    // Fills the results' rows and top lists, which are valid until the next run. With `device` the
    // logits are there instead, and what is needed of them is fetched.
    void run(const mn_step_plan &plan, device_logits *device, mn_step_result *out);

  private:
    void fetch(const mn_step_plan &plan);
    void sample_rows(const mn_step_plan &plan);
    void sample_unclear(const mn_step_plan &plan);
    int64_t effort(const mn_step_plan &plan, int32_t r) const;
    void place_top_lists(const mn_step_plan &plan);
    void close_gaps(const mn_step_plan &plan);
    int32_t helpers(const mn_step_plan &plan);
    void find_chains(const mn_step_plan &plan);
    void sample_chain(const mn_step_plan &plan, int32_t r, sampling_buffers &buffers);
    void sample_row(const mn_step_plan &plan, int32_t r, sampling_buffers &buffers);
    void fill_logprobs(int32_t r, int32_t n_top, sampling_buffers &buffers);

    const mn_model *model_;
    int32_t n_vocab_;
    int32_t n_threads_ = 1;
    std::vector<float *> logits_;
    device_logits *device_ = nullptr;
    std::vector<char> listed_;  // whether a row has a list instead of its logits
    std::vector<char> unclear_; // whether that list did not suffice
    std::vector<mn_step_row> rows_;
    std::vector<std::string> errors_;
    std::vector<mn_top_token> top_;
    std::vector<size_t> top_start_;         // of each row's list in top_
    std::vector<sampling_buffers> buffers_; // one for each thread
    std::vector<const void *> seen_;
    std::vector<int32_t> chains_; // the rows that are no drafts, each with its drafts behind it
    workers pool_;
};

} // namespace mn
