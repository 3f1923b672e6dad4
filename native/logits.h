// Loops over the logits of one row. Sampling runs them for every token that is generated, so they
// are laid out for vector registers, and nothing here allocates once its buffers have grown.
#pragma once

#include "llama.h"

#include <cstdint>
#include <vector>

namespace mn {

// For a top_k of at most so many llama.cpp uses a heap, for more it sorts into buckets first.
constexpr int32_t heap_limit = 128;

// Finds the largest logits of a row without sorting or copying the others.
//
// The functions named after samplers of llama.cpp leave in `out` what that sampler leaves of the
// whole vocabulary: the same tokens in the same order. They return false when only llama.cpp
// itself knows which that would be.
class top_selector {
  public:
    bool top_k(const float *logits, int32_t n, int32_t k, std::vector<llama_token_data> &out);
    bool top_p(const float *logits, int32_t n, float p, size_t min_keep,
               std::vector<llama_token_data> &out);
    bool min_p(const float *logits, int32_t n, float p, size_t min_keep,
               std::vector<llama_token_data> &out);

    // Leaves the k largest logits in `out`, of equal ones those with the lower ids. NaNs are left
    // out, so there may be fewer.
    void top_ids(const float *logits, int32_t n, int32_t k, std::vector<llama_token_data> &out);

  private:
    void survey(const float *logits, int32_t n, int32_t k);
    float lower_bound(int32_t k);
    void collect(const float *logits, int32_t n, float least, std::vector<llama_token_data> &out);
    void collect_entrants(const float *logits, int32_t n, int32_t k,
                          std::vector<llama_token_data> &out);
    void take_buckets(const float *logits, int32_t n, int32_t k,
                      std::vector<llama_token_data> &buffer);
    int32_t bucket_of_kth(const float *logits, int32_t n, int32_t k,
                          std::vector<llama_token_data> &buffer);
    void sort_buckets(int32_t k);

    // The largest logit of each block of width_ logits, and of all.
    std::vector<float> maxima_;
    int32_t width_ = 0;
    float max_ = 0;
    bool nan_ = false;
    std::vector<float> heap_;
    std::vector<llama_token_data> by_bucket_; // the highest bucket comes first
    std::vector<int32_t> bucket_start_;       // in by_bucket_, and the end of the last
};

// Sorts the k largest of a list to its front and drops the others. False if equal logits leave more
// than one way to do it.
bool keep_largest(std::vector<llama_token_data> &list, int32_t k);

// Lists are looked at in parts of so many logits. Finds the largest of each of n parts, and whether
// one of all logits is NaN.
constexpr int32_t list_part = 32;
bool part_maxima(const float *x, float *maxima, int32_t n);

bool has_nan(const float *logits, int32_t n);

// The index of the first largest value, as llama.cpp's greedy sampler picks; -1 if one is NaN.
int32_t argmax(const float *logits, int32_t n);

// The natural logarithm of the sum of exp(logits), of which the largest is max. It turns logits
// into log-probabilities, and is good to six digits of the probabilities.
double log_sum_exp(const float *logits, int32_t n, float max);

} // namespace mn
