// Asking a grammar about a whole vocabulary takes llama.cpp 10 to 40 milliseconds, in which a fast
// model makes tokens for all other sequences. What is here asks about two characters for all tokens
// that begin with them.
#include "grammar.h"

#include <cmath>
#include <map>

namespace mn {

namespace {

// The first two characters of a piece as llama.cpp's grammars decode it, 0 for those that are
// missing: because the piece ends or breaks off in the middle, or is not UTF-8.
std::pair<uint32_t, uint32_t> first_characters(const std::string &piece) {
    static const int following[] = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, 1, 1, 2, 3};
    uint32_t found[2] = {};
    int32_t n_found = 0;
    for (const char *pos = piece.c_str(); *pos != 0;) {
        auto byte = (uint8_t)*pos++;
        int n = following[byte >> 4];
        if (n < 0) {
            return {};
        }
        uint32_t value = byte & ((1 << (7 - n)) - 1);
        for (; n > 0 && *pos != 0; n--) {
            value = (value << 6) + ((uint8_t)*pos++ & 0x3F);
        }
        if (n == 0 && n_found < 2) {
            found[n_found++] = value;
        }
    }
    return {found[0], found[1]};
}

std::string piece_of(const llama_vocab *vocab, llama_token token) {
    std::string piece(64, 0);
    int32_t n = llama_token_to_piece(vocab, token, piece.data(), (int32_t)piece.size(), 0, true);
    if (n < 0) {
        piece.resize(-n);
        n = llama_token_to_piece(vocab, token, piece.data(), (int32_t)piece.size(), 0, true);
    }
    piece.resize(std::max(n, 0));
    return piece;
}

bool speaks_of_tokens(const llama_grammar &grammar) {
    for (const llama_grammar_rule &rule : grammar.rules) {
        for (const llama_grammar_element &element : rule) {
            if (element.type == LLAMA_GRETYPE_TOKEN || element.type == LLAMA_GRETYPE_TOKEN_NOT) {
                return true;
            }
        }
    }
    return false;
}

// Leaves the candidates that at least one of the grammar's stacks goes on with.
void remove_rejected(const llama_grammar &grammar, llama_grammar_candidates &candidates) {
    llama_grammar_candidates rejected = candidates;
    for (const llama_grammar_stack &stack : grammar.stacks) {
        rejected = llama_grammar_reject_candidates_for_stack(grammar.rules, stack, rejected);
    }
    auto index = [](const llama_grammar_candidate &c) { return c.index; };
    std::vector<size_t> indices(rejected.size());
    std::transform(rejected.begin(), rejected.end(), indices.begin(), index);
    std::sort(indices.begin(), indices.end());
    auto is_rejected = [&](const llama_grammar_candidate &c) {
        return std::binary_search(indices.begin(), indices.end(), c.index);
    };
    candidates.erase(std::remove_if(candidates.begin(), candidates.end(), is_rejected),
                     candidates.end());
}

} // namespace

token_groups::token_groups(const llama_vocab *vocab) {
    std::map<std::pair<uint32_t, uint32_t>, std::vector<llama_token>> tokens;
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); token++) {
        auto begin = first_characters(piece_of(vocab, token));
        if (begin.first == 0 || llama_vocab_is_eog(vocab, token)) {
            others_.push_back(token);
        } else {
            tokens[begin].push_back(token);
        }
    }
    for (const auto &[begin, group] : tokens) {
        groups_.push_back({{begin.first, 0}, {begin.first, begin.second, 0}, group});
    }
}

void token_groups::list(const llama_grammar &grammar, const float *logits,
                        std::vector<llama_token_data> &out) const {
    llama_grammar_candidates firsts, both;
    for (size_t i = 0; i < groups_.size(); i++) {
        if (i == 0 || groups_[i].first[0] != groups_[i - 1].first[0]) {
            firsts.push_back({i, groups_[i].first, {0, 0}, -1});
        }
    }
    remove_rejected(grammar, firsts);
    for (const llama_grammar_candidate &c : firsts) {
        for (size_t i = c.index; i < groups_.size() && groups_[i].first[0] == *c.code_points; i++) {
            both.push_back({i, groups_[i].both, {0, 0}, -1});
        }
    }
    remove_rejected(grammar, both);
    out.clear();
    auto add = [&](llama_token token) { out.push_back({token, logits[token], 0}); };
    for (const llama_grammar_candidate &c : both) {
        std::for_each(groups_[c.index].tokens.begin(), groups_[c.index].tokens.end(), add);
    }
    std::for_each(others_.begin(), others_.end(), add);
}

bool grammar::init(const mn_model *model, const std::string &text, bool reference) {
    grammar_.reset(
        llama_grammar_init_impl(model->vocab, text.c_str(), "root", false, nullptr, 0, nullptr, 0));
    if (!grammar_) {
        return false;
    }
    if (!reference && !speaks_of_tokens(*grammar_)) {
        std::call_once(model->groups_once,
                       [&] { model->groups = std::make_unique<token_groups>(model->vocab); });
        groups_ = model->groups.get();
    }
    return true;
}

void grammar::apply(llama_token_data_array list) const {
    llama_grammar_apply_impl(*grammar_, &list);
}

void grammar::mask(const float *logits, int32_t n, std::vector<llama_token_data> &buffer,
                   std::vector<float> &out) const {
    bool between_characters = grammar_->partial_utf8.n_remain <= 0;
    if (groups_ && between_characters && !grammar_->stacks.empty()) {
        groups_->list(*grammar_, logits, buffer);
    } else {
        buffer.resize(n);
        for (int32_t i = 0; i < n; i++) {
            buffer[i] = {i, logits[i], 0};
        }
    }
    apply({buffer.data(), buffer.size(), -1, false});
    out.assign(n, -INFINITY);
    for (const llama_token_data &t : buffer) {
        out[t.id] = t.logit;
    }
}

void grammar::accept(llama_token token) {
    try {
        llama_grammar_accept_impl(*grammar_, token);
    } catch (const std::runtime_error &e) {
        if (strstr(e.what(), "empty grammar stack")) {
            throw failure(MN_ERR_GRAMMAR, "the grammar allows none of the model's tokens here");
        }
        throw;
    }
}

} // namespace mn
