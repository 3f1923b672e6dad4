// What a sampler is made of; sampler.cpp makes them, sample.cpp picks tokens with them.
#pragma once

#include "device_logits.h"
#include "facade.h"
#include "grammar.h"
#include "logits.h"

namespace mn {

enum class filter { none, top_k, top_p, min_p };

// The last tokens of a sequence and how often each of them occurs.
class recent_tokens {
  public:
    struct entry {
        llama_token token;
        int32_t count;
    };

    void set_length(int32_t length) { length_ = length; } // 0 by default: none are kept
    void add(llama_token token);
    const std::vector<entry> &counts() const { return counts_; } // in the order of tokens

  private:
    void change(llama_token token, int32_t by);

    size_t length_ = 0;
    size_t oldest_ = 0;
    std::vector<llama_token> ring_;
    std::vector<entry> counts_;
};

// What is known about a list that is being looked at.
struct list_buffers {
    std::vector<float> maxima;           // of its parts
    std::vector<llama_token_data> found; // what is large enough, and room
};

// What sampling a row needs beside the row; one for each thread that samples.
struct sampling_buffers {
    top_selector selector;
    std::vector<llama_token_data> candidates;
    std::vector<float> masked;                    // the logits of what a grammar allows
    std::vector<std::pair<int32_t, float>> saved; // tokens and what their logits were
    list_buffers list;
};

// Picks the next token by a row of logits, and remembers it. The row is changed meanwhile, and
// afterwards as it was. Throws failure.
int32_t sample(mn_sampler &sampler, float *logits, sampling_buffers &buffers);

// Whether it takes a whole row to pick a token, and not just a list of the likeliest ones.
bool needs_whole_row(const mn_sampler &sampler);

// Picks as sample does by a row's list. False, and nothing is remembered, if the token may be
// another one than by the whole row.
bool sample_listed(mn_sampler &sampler, const device_logits::list &list, sampling_buffers &buffers,
                   int32_t *token);

// Shows a token to the penalties.
void remember(mn_sampler &sampler, int32_t token);

// What a bias and the penalties of a sampler make of a logit, in llama.cpp's arithmetic, to the
// last bit.
void add_bias(const llama_logit_bias &bias, float &logit);
void penalise(const mn_sampler &s, float &logit, int32_t count);

} // namespace mn

struct mn_sampler {
    const llama_vocab *vocab = nullptr;
    int32_t n_vocab = 0;
    uint32_t seed = 0;
    common_sampler_ptr chain; // without the grammar; null: greedy, nothing changes the logits
    mn::grammar grammar;      // none, if it was not initialised

    // The chain's samplers before `first` are not used. They are biases and penalties, which are
    // applied here to the few tokens of the row that they touch. If `first` is a filter that
    // leaves a few tokens, it is not used either.
    int32_t first = 0;
    mn::filter filter = mn::filter::none;
    bool greedy = false; // what the chain picks is the likeliest token, whatever it does to others
    int32_t top_k = 0;
    float p = 0; // of top_p or min_p
    size_t min_keep = 0;
    bool remembers = true; // the chain itself has to be shown the tokens
    std::vector<llama_logit_bias> biases;
    mn::recent_tokens recent;
    float penalty_repeat = 1, penalty_frequency = 0, penalty_presence = 0;
};
