// Sampling the rows of a step.
#include "rows.h"

namespace mn {

namespace {

// Whether all are different; `list` is left sorted.
bool distinct(std::vector<const void *> &list) {
    std::sort(list.begin(), list.end());
    return std::adjacent_find(list.begin(), list.end()) == list.end();
}

// Whether row r is sampled only if the row before picked the token that is decoded at it.
bool is_draft(const mn_step_plan &plan, int32_t r) {
    int32_t i = plan.rows[r];
    return r > 0 && i > 0 && i < plan.n_tokens && plan.rows[r - 1] == i - 1 &&
           plan.seqs[i] == plan.seqs[i - 1] && plan.samplers[r] == plan.samplers[r - 1];
}

} // namespace

row_sampler::row_sampler(const mn_model *model, int32_t max_rows)
    : model_(model), n_vocab_(llama_vocab_n_tokens(model->vocab)), logits_(max_rows),
      listed_(max_rows), unclear_(max_rows), rows_(max_rows), errors_(max_rows),
      top_start_(max_rows), buffers_(1) {}

void row_sampler::run(const mn_step_plan &plan, device_logits *device, mn_step_result *out) {
    device_ = device;
    fetch(plan);
    place_top_lists(plan);
    find_chains(plan);
    sample_rows(plan);
    sample_unclear(plan);
    close_gaps(plan);
    out->rows = rows_.data();
    out->top = top_.data();
}

// Brings what the rows need from the device: their lists, and whole rows where a list is not
// enough.
void row_sampler::fetch(const mn_step_plan &plan) {
    bool lists = false;
    for (int32_t r = 0; r < plan.n_rows; r++) {
        listed_[r] = device_ && plan.top_logprobs[r] < 0 && !needs_whole_row(*plan.samplers[r]);
        unclear_[r] = false;
        lists = lists || listed_[r];
        if (device_ && !listed_[r]) {
            logits_[r] = device_->fetch_row(r);
        }
    }
    if (lists) {
        device_->fetch_lists(plan.n_rows);
    }
}

void row_sampler::sample_rows(const mn_step_plan &plan) {
    int32_t n_helpers = helpers(plan);
    if ((int32_t)buffers_.size() < 1 + n_helpers) {
        buffers_.resize(1 + n_helpers);
    }
    auto turn = [&](int32_t i, int32_t worker) {
        sample_chain(plan, chains_[i], buffers_[worker]);
    };
    int32_t n = (int32_t)chains_.size();
    if (n_helpers > 0) {
        pool_.run(n, n_helpers, turn);
        return;
    }
    for (int32_t i = 0; i < n; i++) {
        turn(i, 0);
    }
}

void row_sampler::find_chains(const mn_step_plan &plan) {
    chains_.clear();
    for (int32_t r = 0; r < plan.n_rows; r++) {
        if (!is_draft(plan, r)) {
            chains_.push_back(r);
        }
    }
}

void row_sampler::sample_chain(const mn_step_plan &plan, int32_t r, sampling_buffers &buffers) {
    sample_row(plan, r, buffers);
    for (r++; r < plan.n_rows && is_draft(plan, r); r++) {
        const mn_step_row &before = rows_[r - 1];
        if (before.token == plan.tokens[plan.rows[r]] && !before.end) {
            sample_row(plan, r, buffers);
        } else {
            rows_[r] = {};
            rows_[r].token = -1;
        }
    }
}

// Few rows, if any: equal logits, or penalties on most of the likeliest tokens.
void row_sampler::sample_unclear(const mn_step_plan &plan) {
    for (int32_t r = 0; r < plan.n_rows; r++) {
        if (unclear_[r]) {
            logits_[r] = device_->fetch_row(r);
            listed_[r] = false;
            sample_row(plan, r, buffers_[0]);
        }
    }
}

// How long a row takes, in logits looked at: some 15 microseconds for 128 thousand of them.
int64_t row_sampler::effort(const mn_step_plan &plan, int32_t r) const {
    constexpr int64_t list = 50000, short_list = 5000;
    const mn_sampler &s = *plan.samplers[r];
    if (listed_[r]) {
        return !s.chain || s.greedy ? short_list : list;
    }
    int64_t looks = 1;
    if (s.chain && (s.filter == filter::none || s.filter == filter::top_p)) {
        looks = 20;
    }
    return n_vocab_ * (looks + (s.grammar ? 20 : 0) + (plan.top_logprobs[r] >= 0 ? 3 : 0));
}

// How many threads help. Waking one pays when it can take over some 50 microseconds of work. Rows
// that share logits or a sampler, which sampling changes, are taken one after the other.
int32_t row_sampler::helpers(const mn_step_plan &plan) {
    constexpr int64_t logits_per_thread = 400000;
    int64_t looks = 0;
    for (int32_t r = 0; r < plan.n_rows; r++) {
        looks += effort(plan, r);
    }
    int64_t threads = std::min<int64_t>(looks / logits_per_thread, chains_.size());
    threads = std::min<int64_t>(threads, n_threads_);
    if (threads < 2) {
        return 0;
    }
    seen_.clear();
    for (int32_t r = 0; r < plan.n_rows; r++) {
        if (!listed_[r]) {
            seen_.push_back(logits_[r]);
        }
    }
    if (!distinct(seen_)) {
        return 0;
    }
    seen_.clear();
    for (int32_t r : chains_) {
        seen_.push_back(plan.samplers[r]);
    }
    return distinct(seen_) ? (int32_t)threads - 1 : 0;
}

// Each row's list has its place before it is known, so that threads can fill them.
void row_sampler::place_top_lists(const mn_step_plan &plan) {
    size_t size = 0;
    for (int32_t r = 0; r < plan.n_rows; r++) {
        top_start_[r] = size;
        size += std::clamp(plan.top_logprobs[r], 0, n_vocab_);
    }
    top_.resize(size);
}

// A row without a token has no list, and one with NaNs a shorter one: the others move up.
void row_sampler::close_gaps(const mn_step_plan &plan) {
    size_t end = 0;
    for (int32_t r = 0; r < plan.n_rows; r++) {
        auto start = top_.begin() + top_start_[r];
        if (end != top_start_[r]) {
            std::copy(start, start + rows_[r].n_top, top_.begin() + end);
        }
        end += rows_[r].n_top;
    }
}

void row_sampler::sample_row(const mn_step_plan &plan, int32_t r, sampling_buffers &buffers) {
    mn_step_row &row = rows_[r];
    row = {};
    try {
        mn_sampler &sampler = *plan.samplers[r];
        if (sampler.vocab != model_->vocab) {
            throw failure(MN_ERR_INVALID, "the sampler was made for another model");
        }
        if (!listed_[r]) {
            row.token = sample(sampler, logits_[r], buffers);
        } else if (!sample_listed(sampler, device_->list_of(r), buffers, &row.token)) {
            unclear_[r] = true;
            return;
        }
        row.end = llama_vocab_is_eog(model_->vocab, row.token);
        row.piece = token_piece(model_, row.token, 0, &row.piece_len);
        if (plan.top_logprobs[r] >= 0) {
            fill_logprobs(r, plan.top_logprobs[r], buffers);
        }
    } catch (const std::exception &e) { // a grammar at its end, say: the other rows go on
        errors_[r] = e.what();
        row = {};
        row.token = -1;
        row.error = errors_[r].c_str();
    }
}

void row_sampler::fill_logprobs(int32_t r, int32_t n_top, sampling_buffers &buffers) {
    mn_step_row &row = rows_[r];
    const float *logits = logits_[r];
    n_top = std::min(n_top, n_vocab_);
    std::vector<llama_token_data> &likeliest = buffers.candidates;
    buffers.selector.top_ids(logits, n_vocab_, std::max(n_top, 1), likeliest);
    double norm = log_sum_exp(logits, n_vocab_, likeliest[0].logit);
    row.logprob = (float)(logits[row.token] - norm);
    row.n_top = std::min(n_top, (int32_t)likeliest.size());
    mn_top_token *top = top_.data() + top_start_[r];
    for (int32_t i = 0; i < row.n_top; i++) {
        mn_top_token t = {};
        t.token = likeliest[i].id;
        t.logprob = (float)(likeliest[i].logit - norm);
        t.piece = token_piece(model_, t.token, 1, &t.piece_len);
        *top++ = t;
    }
}

} // namespace mn
