// Picking a token from a row of logits: the same one as llama.cpp's common sampler, in less time.
#include "listed_row.h"

#include <cmath>

namespace mn {

void recent_tokens::add(llama_token token) {
    if (length_ == 0) {
        return;
    }
    change(token, 1);
    if (ring_.size() < length_) {
        ring_.push_back(token);
        return;
    }
    change(ring_[oldest_], -1);
    ring_[oldest_] = token;
    oldest_ = (oldest_ + 1) % length_;
}

void recent_tokens::change(llama_token token, int32_t by) {
    auto found =
        std::lower_bound(counts_.begin(), counts_.end(), token,
                         [](const entry &e, llama_token token) { return e.token < token; });
    if (found == counts_.end() || found->token != token) {
        found = counts_.insert(found, {token, 0});
    }
    found->count += by;
    if (found->count == 0) {
        counts_.erase(found);
    }
}

void add_bias(const llama_logit_bias &bias, float &logit) {
    bool banned = bias.bias == -INFINITY && logit > 0; // +inf, too
    logit = banned ? -INFINITY : logit + bias.bias;
}

void penalise(const mn_sampler &s, float &logit, int32_t count) {
    if (logit <= 0) {
        logit *= s.penalty_repeat;
    } else {
        logit /= s.penalty_repeat;
    }
    logit -= (float)count * s.penalty_frequency + (float)(count > 0) * s.penalty_presence;
}

namespace {

constexpr char not_numbers[] = "the model produced logits that are not numbers";

// A row of logits as the biases and penalties of a sampler leave it. The row is changed in place,
// which costs as much as they touch, and is itself again when this ends.
class adjusted_row {
  public:
    adjusted_row(const mn_sampler &s, float *logits, std::vector<std::pair<int32_t, float>> &saved)
        : logits_(logits), saved_(saved) {
        saved_.clear();
        for (const llama_logit_bias &bias : s.biases) {
            saved_.push_back({bias.token, logits_[bias.token]});
            add_bias(bias, logits_[bias.token]);
        }
        for (const recent_tokens::entry &e : s.recent.counts()) {
            saved_.push_back({e.token, logits_[e.token]});
            penalise(s, logits_[e.token], e.count);
        }
    }
    ~adjusted_row() {
        for (auto old = saved_.rbegin(); old != saved_.rend(); old++) {
            logits_[old->first] = old->second;
        }
    }
    adjusted_row(const adjusted_row &) = delete;

  private:
    float *logits_;
    std::vector<std::pair<int32_t, float>> &saved_;
};

// Sorting NaNs, which compare with nothing, may lead llama.cpp's sorts out of their bounds.
void list_all(const float *logits, int32_t n, std::vector<llama_token_data> &out) {
    if (has_nan(logits, n)) {
        throw failure(MN_ERR_INTERNAL, not_numbers);
    }
    out.resize(n);
    for (int32_t i = 0; i < n; i++) {
        out[i] = {i, logits[i], 0};
    }
}

// Applies the chain from its sampler `first` on and returns the token it selects, -1 if none.
int32_t apply_chain(const mn_sampler &s, int32_t first, llama_token_data_array candidates) {
    llama_sampler *chain = common_sampler_get(s.chain.get());
    for (int32_t i = first; i < llama_sampler_chain_n(chain); i++) {
        llama_sampler_apply(llama_sampler_chain_get(chain, i), &candidates);
    }
    return candidates.selected < 0 ? -1 : candidates.data[candidates.selected].id;
}

// Leaves in b.candidates what the sampler's filter leaves. False: it must run itself.
bool apply_filter(const mn_sampler &s, const float *logits, sampling_buffers &b) {
    switch (s.filter) {
    case filter::top_k:
        return b.selector.top_k(logits, s.n_vocab, s.top_k, b.candidates);
    case filter::top_p:
        return b.selector.top_p(logits, s.n_vocab, s.p, s.min_keep, b.candidates);
    case filter::min_p:
        return b.selector.min_p(logits, s.n_vocab, s.p, s.min_keep, b.candidates);
    default:
        return false;
    }
}

// Picks a token by logits to which biases and penalties are applied.
int32_t pick(const mn_sampler &s, const float *logits, sampling_buffers &b) {
    bool filtered = apply_filter(s, logits, b);
    if (!filtered) {
        list_all(logits, s.n_vocab, b.candidates);
    }
    bool sorted = filtered && s.filter != filter::min_p;
    return apply_chain(s, s.first + (filtered ? 1 : 0),
                       {b.candidates.data(), b.candidates.size(), -1, sorted});
}

bool grammar_allows(const mn_sampler &s, int32_t token) {
    llama_token_data one = {token, 1, 0};
    s.grammar.apply({&one, 1, -1, false});
    return one.logit != -INFINITY;
}

// Leaves in b.candidates the k likeliest tokens that the grammar allows, if they are among the few
// hundred likeliest of all and no two are equally likely.
bool select_allowed(const mn_sampler &s, const float *logits, sampling_buffers &b) {
    if (s.filter != filter::top_k || s.top_k > heap_limit) {
        return false;
    }
    b.selector.top_ids(logits, s.n_vocab, 4 * s.top_k + 64, b.candidates);
    s.grammar.apply({b.candidates.data(), b.candidates.size(), -1, false});
    auto is_banned = [](const llama_token_data &t) { return t.logit == -INFINITY; };
    b.candidates.erase(std::remove_if(b.candidates.begin(), b.candidates.end(), is_banned),
                       b.candidates.end());
    if ((int32_t)b.candidates.size() <= s.top_k) {
        return false;
    }
    b.candidates.resize(s.top_k + 1);
    auto equal = [](auto &a, auto &b) { return a.logit == b.logit; };
    bool distinct =
        std::adjacent_find(b.candidates.begin(), b.candidates.end(), equal) == b.candidates.end();
    b.candidates.pop_back();
    return distinct;
}

// As llama.cpp does, asks the grammar first about the token that is picked without it. Only if it
// is not allowed, all are asked about.
int32_t pick_allowed(const mn_sampler &s, float *logits, sampling_buffers &b) {
    adjusted_row row(s, logits, b.saved);
    int32_t token = pick(s, logits, b);
    if (!s.grammar || token < 0 || grammar_allows(s, token)) {
        return token;
    }
    if (select_allowed(s, logits, b)) {
        return apply_chain(s, s.first + 1, {b.candidates.data(), b.candidates.size(), -1, true});
    }
    s.grammar.mask(logits, s.n_vocab, b.candidates, b.masked);
    return pick(s, b.masked.data(), b);
}

// Whether biases and penalties never make a token likelier.
bool only_lowers(const mn_sampler &s) {
    return s.penalty_repeat >= 1 && s.penalty_frequency >= 0 && s.penalty_presence >= 0 &&
           std::all_of(s.biases.begin(), s.biases.end(),
                       [](const llama_logit_bias &b) { return b.bias <= 0; });
}

} // namespace

bool needs_whole_row(const mn_sampler &s) {
    bool few = !s.chain || s.greedy || (s.filter == filter::top_k && s.top_k <= heap_limit);
    return !few || s.grammar || !only_lowers(s);
}

bool sample_listed(mn_sampler &s, const device_logits::list &list, sampling_buffers &b,
                   int32_t *token) {
    listed_row row(s, list, b.list);
    if (!s.chain || s.greedy) {
        *token = row.likeliest();
    } else if (row.top_k(s.top_k, b.candidates)) {
        *token = apply_chain(s, s.first + 1, {b.candidates.data(), b.candidates.size(), -1, true});
    } else {
        *token = -1;
    }
    if (*token < 0) {
        return false;
    }
    remember(s, *token);
    return true;
}

void remember(mn_sampler &s, int32_t token) {
    s.recent.add(token);
    if (s.chain && s.remembers) {
        common_sampler_accept(s.chain.get(), token, false);
    }
}

int32_t sample(mn_sampler &s, float *logits, sampling_buffers &b) {
    int32_t token = s.chain ? pick_allowed(s, logits, b) : argmax(logits, s.n_vocab);
    if (token < 0 || token >= s.n_vocab) {
        throw failure(MN_ERR_INTERNAL, not_numbers);
    }
    if (s.grammar) {
        s.grammar.accept(token);
    }
    remember(s, token);
    return token;
}

} // namespace mn
