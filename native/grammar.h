// Grammars as llama.cpp runs them, asked about fewer tokens.
#pragma once

#include "facade.h"

#include "llama-grammar.h"

namespace mn {

// A vocabulary's tokens by the two characters they begin with. A grammar that does not go on with
// these allows none of the tokens, so most need not be asked about one by one.
class token_groups {
  public:
    explicit token_groups(const llama_vocab *vocab);

    // Lists every token that the grammar may allow, with its logit.
    void list(const llama_grammar &grammar, const float *logits,
              std::vector<llama_token_data> &out) const;

  private:
    struct group {
        uint32_t first[2]; // the first character and 0, as llama.cpp's candidates are written
        uint32_t both[3];  // the same with the second; 0 if there is none
        std::vector<llama_token> tokens;
    };
    std::vector<group> groups_;       // by their first character
    std::vector<llama_token> others_; // without a whole first character
};

class grammar {
  public:
    // Returns false if llama.cpp refuses the text, and says so in its log. With `reference` it is
    // always asked about all tokens.
    bool init(const mn_model *model, const std::string &text, bool reference);

    explicit operator bool() const { return grammar_ != nullptr; }

    // Sets the logits of the tokens that are not allowed to -infinity.
    void apply(llama_token_data_array list) const;

    // Fills `out` with the row's logits of the tokens that are allowed, and -infinity for others.
    void mask(const float *logits, int32_t n, std::vector<llama_token_data> &buffer,
              std::vector<float> &out) const;

    // Throws failure if the token is not allowed.
    void accept(llama_token token);

  private:
    std::unique_ptr<llama_grammar, decltype(&llama_grammar_free_impl)> grammar_{
        nullptr, llama_grammar_free_impl};
    const token_groups *groups_ = nullptr; // null: all tokens are asked about
};

} // namespace mn
