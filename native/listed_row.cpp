// The lists of listed_row.h.
#include "listed_row.h"

#include "logits.h"

#include <cmath>

namespace mn {

listed_row::listed_row(const mn_sampler &s, const device_logits::list &list, list_buffers &b)
    : s_(s), list_(list), b_(b) {
    b_.maxima.resize(list_.n_blocks * list_.block_size / list_part);
}

// Looks at the first n blocks, as far as that was not done.
void listed_row::look_at(int32_t n) {
    int32_t from = seen_;
    seen_ = std::min(n, list_.n_blocks);
    if (seen_ == from) {
        return;
    }
    int32_t parts = list_.block_size / list_part;
    nan_ |= part_maxima(list_.logits + from * list_.block_size, &b_.maxima[from * parts],
                        (seen_ - from) * parts);
    rest_ = maximum_of(seen_ - 1);
    for (int32_t block = from; block < seen_; block++) {
        end_at_vocab(block);
    }
    if (s_.chain) {
        adjust(from, seen_);
    }
}

// The last block of the vocabulary was filled up with zeros.
void listed_row::end_at_vocab(int32_t block) {
    int32_t first = (int32_t)list_.blocks[block] * list_.block_size;
    for (int32_t i = s_.n_vocab - first; i < list_.block_size; i++) {
        change(block * list_.block_size + i, -INFINITY);
    }
}

void listed_row::adjust(int32_t from, int32_t to) {
    for (const llama_logit_bias &bias : s_.biases) {
        if (int32_t i = find(bias.token, from, to); i >= 0) {
            float logit = list_.logits[i];
            add_bias(bias, logit);
            change(i, logit);
        }
    }
    for (const recent_tokens::entry &e : s_.recent.counts()) {
        if (int32_t i = find(e.token, from, to); i >= 0) {
            float logit = list_.logits[i];
            penalise(s_, logit, e.count);
            change(i, logit);
        }
    }
}

// The index of a token that is in one of these blocks, else -1.
int32_t listed_row::find(int32_t token, int32_t from, int32_t to) const {
    auto number = (float)(token / list_.block_size);
    const float *begin = list_.blocks + from, *end = list_.blocks + to;
    const float *found = std::find(begin, end, number);
    int32_t block = (int32_t)(found - list_.blocks);
    return found == end ? -1 : block * list_.block_size + token % list_.block_size;
}

void listed_row::change(int32_t index, float logit) {
    list_.logits[index] = logit;
    int32_t part = index / list_part;
    nan_ |= part_maxima(list_.logits + part * list_part, &b_.maxima[part], 1);
}

int32_t listed_row::token(int32_t index) const {
    return (int32_t)list_.blocks[index / list_.block_size] * list_.block_size +
           index % list_.block_size;
}

float listed_row::maximum_of(int32_t block) const {
    int32_t parts = list_.block_size / list_part;
    auto begin = b_.maxima.begin() + block * parts;
    return *std::max_element(begin, begin + parts);
}

int32_t listed_row::likeliest() {
    best_ = -1;
    float max = -INFINITY;
    while (seen_ < list_.n_blocks) {
        look_at(seen_ + 1);
        int32_t parts = list_.block_size / list_part;
        for (int32_t part = (seen_ - 1) * parts; part < seen_ * parts; part++) {
            if (b_.maxima[part] >= max) {
                compare(part * list_part, &max);
            }
        }
        if (max > rest_) {
            bool known = !nan_ && best_ >= 0 && (alone_ || !s_.chain);
            return known ? token(best_) : -1;
        }
    }
    return -1;
}

// Compares the logits of a part with the largest one so far. llama.cpp's greedy sampler takes the
// first of equal tokens; which of them its chain takes is not known.
void listed_row::compare(int32_t first, float *max) {
    for (int32_t i = first; i < first + list_part; i++) {
        float logit = list_.logits[i];
        if (logit > *max) {
            best_ = i;
            alone_ = true;
            *max = logit;
        } else if (logit == *max && best_ >= 0) {
            best_ = token(i) < token(best_) ? i : best_;
            alone_ = false;
        }
    }
}

bool listed_row::top_k(int32_t k, std::vector<llama_token_data> &out) {
    for (int32_t n_blocks : {k + 1, list_.n_blocks}) { // unless it was adjusted, the first will do
        look_at(n_blocks);
        collect();
        if (!nan_ && found_ >= k) {
            out.assign(b_.found.begin(), b_.found.begin() + found_);
            return keep_largest(out, k);
        }
    }
    return false;
}

// Finds the tokens that are likelier than all that were not looked at. There is no branch for each
// logit, as many of those that are looked at are wanted.
void listed_row::collect() {
    int32_t parts = seen_ * list_.block_size / list_part;
    if ((int32_t)b_.found.size() <= parts * list_part) {
        b_.found.resize(parts * list_part + 1);
    }
    found_ = 0;
    for (int32_t part = 0; part < parts; part++) {
        if (!(b_.maxima[part] > rest_)) {
            continue;
        }
        for (int32_t i = part * list_part; i < (part + 1) * list_part; i++) {
            b_.found[found_] = {i, list_.logits[i], 0};
            found_ += list_.logits[i] > rest_;
        }
    }
    for (int32_t i = 0; i < found_; i++) {
        b_.found[i].id = token(b_.found[i].id);
    }
}

} // namespace mn
