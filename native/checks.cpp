// Checks of text before llama.cpp parses it, for what its parsers do not survive.
#include "facade.h"

#include "jinja/parser.h"

namespace mn {

namespace {

constexpr int max_json_depth = 200;
constexpr int max_grammar_depth = 500;
constexpr int max_template_depth = 500;
constexpr int max_template_tag = 10000; // tokens

// Returns the position after the quoted text that starts at pos, or the end.
size_t skip_quoted(const std::string &text, size_t pos, char end) {
    for (pos++; pos < text.size() && text[pos] != end; pos++) {
        pos += text[pos] == '\\';
    }
    return std::min(pos + 1, text.size());
}

uint64_t read_number(const std::string &text, size_t &pos) {
    uint64_t value = 0;
    for (; pos < text.size() && isdigit((unsigned char)text[pos]); pos++) {
        value = std::min<uint64_t>(value * 10 + (text[pos] - '0'), UINT32_MAX);
    }
    return value;
}

size_t skip_space(const std::string &text, size_t pos) {
    size_t found = text.find_first_not_of(" \t\r\n", pos);
    return found == std::string::npos ? text.size() : found;
}

// {m,n} with n < m makes llama.cpp's parser count down from 2^64.
void check_repetition(const std::string &text, size_t pos) {
    pos = skip_space(text, pos + 1);
    uint64_t min = read_number(text, pos);
    pos = skip_space(text, pos);
    if (pos >= text.size() || text[pos] != ',') {
        return;
    }
    pos = skip_space(text, pos + 1);
    if (pos < text.size() && isdigit((unsigned char)text[pos]) && read_number(text, pos) < min) {
        throw failure(MN_ERR_GRAMMAR, "the grammar repeats an item at least " +
                                          std::to_string(min) + " times but at most fewer");
    }
}

} // namespace

void check_json_depth(std::string_view text, const char *what) {
    int depth = 0;
    for (size_t i = 0; i < text.size(); i++) {
        char c = text[i];
        if (c == '"') {
            for (i++; i < text.size() && text[i] != '"'; i++) {
                i += text[i] == '\\';
            }
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (c == ']' || c == '}') {
            depth--;
        }
        if (depth > max_json_depth) {
            throw failure(MN_ERR_INVALID, std::string(what) + " nests deeper than " +
                                              std::to_string(max_json_depth) + " levels");
        }
    }
}

void check_grammar_text(const std::string &text) {
    // The parser trusts the first byte of a character to say how many follow, and so would run past
    // the end of a text that is cut there.
    if (!is_utf8(text)) {
        throw failure(MN_ERR_GRAMMAR, "the grammar is not valid UTF-8");
    }
    if (text.find('\0') != std::string::npos) {
        throw failure(MN_ERR_GRAMMAR, "the grammar contains a zero byte");
    }
    int depth = 0;
    for (size_t i = 0; i < text.size();) {
        char c = text[i];
        if (c == '"' || c == '[') {
            i = skip_quoted(text, i, c == '"' ? '"' : ']');
            continue;
        }
        if (c == '#') {
            i = std::min(text.find('\n', i), text.size());
            continue;
        }
        if (c == '{') {
            check_repetition(text, i);
        }
        depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        if (depth > max_grammar_depth) {
            throw failure(MN_ERR_GRAMMAR, "the grammar nests deeper than " +
                                              std::to_string(max_grammar_depth) + " levels");
        }
        i++;
    }
}

namespace {

using jinja::token;

// Counts how deep the tree of a template is, which llama.cpp's parser, its interpreter and the
// tree's destructor walk by recursion. The tree is as deep as an expression is long, so tags have a
// limit too.
class template_depth {
  public:
    explicit template_depth(const std::vector<token> &tokens) : tokens_(tokens) {}

    void check() {
        for (i_ = 0; i_ < tokens_.size(); i_++) {
            visit(tokens_[i_]);
            if (blocks_depth_ + brackets_ > max_template_depth) {
                throw failure(MN_ERR_TEMPLATE, "the chat template nests deeper than " +
                                                   std::to_string(max_template_depth) + " levels");
            }
            if (in_tag_ > max_template_tag) {
                throw failure(MN_ERR_TEMPLATE, "a tag of the chat template has more than " +
                                                   std::to_string(max_template_tag) + " parts");
            }
        }
    }

  private:
    void visit(const token &t) {
        in_tag_++;
        switch (t.t) {
        case token::open_paren:
        case token::open_square_bracket:
        case token::open_curly_bracket:
            brackets_++;
            break;
        case token::close_paren:
        case token::close_square_bracket:
        case token::close_curly_bracket:
            brackets_--;
            break;
        case token::open_statement:
            start_tag();
            statement();
            break;
        case token::open_expression:
            start_tag();
            break;
        default:
            break;
        }
    }

    void start_tag() { in_tag_ = brackets_ = 0; }

    void statement() {
        if (i_ + 1 >= tokens_.size()) {
            return;
        }
        const std::string &name = tokens_[i_ + 1].value;
        if (name == "if" || name == "for" || name == "macro" || name == "call" ||
            name == "filter" || (name == "set" && !is_assignment())) {
            blocks_.push_back(1);
            blocks_depth_++;
        } else if (name == "elif" && !blocks_.empty()) {
            blocks_.back()++; // inside of the one before
            blocks_depth_++;
        } else if (name.rfind("end", 0) == 0 && name != "endgeneration" && !blocks_.empty()) {
            blocks_depth_ -= blocks_.back();
            blocks_.pop_back();
        }
    }

    bool is_assignment() const {
        for (size_t i = i_; i < tokens_.size() && tokens_[i].t != token::close_statement; i++) {
            if (tokens_[i].t == token::equals) {
                return true;
            }
        }
        return false;
    }

    const std::vector<token> &tokens_;
    std::vector<int> blocks_; // the open ones, each with its alternatives
    size_t i_ = 0;
    int blocks_depth_ = 0, brackets_ = 0, in_tag_ = 0;
};

} // namespace

// Parses the template as llama.cpp will, whose own call loses the reason of a failure.
void check_template(const std::string &text) {
    if (!is_utf8(text)) {
        throw failure(MN_ERR_TEMPLATE, "the chat template is not valid UTF-8");
    }
    jinja::lexer lexer;
    auto result = lexer.tokenize(text);
    template_depth(result.tokens).check();
    jinja::parse_from_tokens(result);
}

} // namespace mn
