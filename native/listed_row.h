// Picking tokens by a row's list from the device (device_logits.h).
#pragma once

#include "sampler.h"

namespace mn {

// A row's list as the biases and penalties of a sampler leave it, which must not make any logit
// larger. Its blocks are in the order of their maxima, so the first few of them are enough: no
// logit that was not looked at is larger than the last maximum that was. The list is changed.
class listed_row {
  public:
    listed_row(const mn_sampler &s, const device_logits::list &list, list_buffers &b);

    // The likeliest token; -1 if by the whole row it may be another one.
    int32_t likeliest();

    // Leaves the k likeliest tokens in `out`. False if by the whole row they may be others.
    bool top_k(int32_t k, std::vector<llama_token_data> &out);

  private:
    void look_at(int32_t n_blocks);
    void end_at_vocab(int32_t block);
    void adjust(int32_t from, int32_t to);
    int32_t find(int32_t token, int32_t from, int32_t to) const;
    void change(int32_t index, float logit);
    void compare(int32_t first, float *max);
    void collect();
    int32_t token(int32_t index) const;
    float maximum_of(int32_t block) const;

    const mn_sampler &s_;
    device_logits::list list_;
    list_buffers &b_;
    int32_t seen_ = 0; // blocks that were looked at
    float rest_ = 0;   // no logit of the others is larger
    bool nan_ = false;
    int32_t best_ = -1; // index of the largest logit
    bool alone_ = true; // no other is as large
    int32_t found_ = 0; // in b_.found
};

} // namespace mn
