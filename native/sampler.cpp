// Samplers: llama.cpp's chain behind one struct, with short ways for the chains most often used.
#include "sampler.h"

#include <cmath>

namespace mn {

namespace {

// What the parser says, with no more than a few of the characters that are left.
std::string parser_reason(std::string reason) {
    if (reason == "stoul" || reason == "stoull") {
        return "a number is too large";
    }
    size_t at =
        reason.rfind(" at ", 60); // "expecting newline or end at " and the text that is left
    if (at == std::string::npos) {
        return reason;
    }
    size_t start = at + 4, end = std::min(reason.size(), start + 40);
    while (end > start && end < reason.size() && (reason[end] & 0xC0) == 0x80) {
        end--;
    }
    return start == reason.size()
               ? reason + "its end"
               : reason.substr(0, start) + "\"" + reason.substr(start, end - start) + "\"";
}

// llama.cpp prints the reason of a grammar that does not parse to stderr; the same parser, called
// rule by rule, throws it instead. Returns the names of the rules by number.
std::vector<std::string> check_grammar(const llama_vocab *vocab, const std::string &text) {
    check_grammar_text(text);
    llama_grammar_parser parser(vocab);
    try {
        size_t start = text.find_first_not_of(" \t\r\n");
        const char *pos = text.c_str() + (start == std::string::npos ? text.size() : start);
        while (*pos == '#') { // comments before the first rule
            pos += strcspn(pos, "\n");
            pos += strspn(pos, " \t\r\n");
        }
        while (*pos) {
            pos = parser.parse_rule(pos);
        }
    } catch (const std::runtime_error &e) {
        throw failure(MN_ERR_GRAMMAR, "the grammar does not parse: " + parser_reason(e.what()));
    } catch (const std::logic_error &e) { // a number that does not fit
        throw failure(MN_ERR_GRAMMAR, "the grammar does not parse: " + parser_reason(e.what()));
    }
    if (parser.symbol_ids.find("root") == parser.symbol_ids.end()) {
        throw failure(MN_ERR_GRAMMAR, "the grammar has no rule named root");
    }
    std::vector<std::string> names(parser.rules.size());
    for (const auto &symbol : parser.symbol_ids) {
        if (symbol.second >= parser.rules.size() || parser.rules[symbol.second].empty()) {
            throw failure(MN_ERR_GRAMMAR, "the grammar uses the rule \"" + symbol.first +
                                              "\" but does not define it");
        }
        names[symbol.second] = symbol.first;
    }
    return names;
}

// "left recursion detected for nonterminal at index 3" in the words of the grammar.
std::string init_reason(const std::string &reason, const std::vector<std::string> &rules) {
    static const char text[] = "left recursion detected for nonterminal at index ";
    size_t pos = reason.find(text);
    if (pos == std::string::npos) {
        return reason;
    }
    size_t index = strtoul(reason.c_str() + pos + strlen(text), nullptr, 10);
    std::string name = index < rules.size() ? rules[index] : "?";
    return "the grammar is left-recursive: the rule \"" + name + "\" can begin with itself";
}

void check_finite(const char *what, float value) {
    if (!std::isfinite(value)) {
        throw failure(MN_ERR_INVALID, std::string(what) + " is not a finite number");
    }
}

void set_order(const mn_sampler_params &p, common_params_sampling &s) {
    if (!p.order) {
        if (p.adaptive_target >= 0) {
            s.samplers.push_back(COMMON_SAMPLER_TYPE_ADAPTIVE_P);
        }
        return;
    }
    s.samplers.clear();
    for (int32_t i = 0; i < p.n_order; i++) {
        auto found = common_sampler_types_from_names({p.order[i]});
        if (found.size() != 1) {
            throw failure(MN_ERR_INVALID,
                          "sampler \"" + std::string(p.order[i]) +
                              "\" is unknown; use penalties, dry, top_n_sigma, top_k, typ_p, "
                              "top_p, min_p, xtc, temperature, adaptive_p or infill");
        }
        s.samplers.push_back(found[0]);
    }
}

void set_biases(const mn_sampler_params &p, const mn_model *model, common_params_sampling &s) {
    int32_t n_vocab = llama_vocab_n_tokens(model->vocab);
    for (int32_t i = 0; i < p.n_bias; i++) {
        if (p.bias_tokens[i] < 0 || p.bias_tokens[i] >= n_vocab) {
            throw failure(MN_ERR_INVALID,
                          "logit bias for token " + std::to_string(p.bias_tokens[i]) +
                              ", but the vocabulary ends at " + std::to_string(n_vocab - 1));
        }
        if (std::isnan(p.bias_values[i]) || p.bias_values[i] == INFINITY) {
            throw failure(MN_ERR_INVALID, "logit bias for token " +
                                              std::to_string(p.bias_tokens[i]) +
                                              " is neither finite nor -infinity");
        }
        s.logit_bias.push_back({p.bias_tokens[i], p.bias_values[i]});
    }
    if (p.ignore_eos) {
        for (llama_token t : model->ends) {
            s.logit_bias.push_back({t, -INFINITY});
        }
    }
}

void set_dry(const mn_sampler_params &p, common_params_sampling &s) {
    s.dry_multiplier = p.dry_multiplier;
    s.dry_base = p.dry_base;
    s.dry_allowed_length = p.dry_allowed_length;
    s.dry_penalty_last_n = p.dry_penalty_last_n;
    if (p.dry_breakers) {
        s.dry_sequence_breakers.assign(p.dry_breakers, p.dry_breakers + p.n_dry_breakers);
    }
}

// How many tokens a penalty looks back: -1 means all. Memory for that many is taken at once.
int32_t history_length(int32_t n, const llama_model *model) {
    int32_t all = std::clamp(llama_model_n_ctx_train(model), 1, 1 << 20);
    return n < 0 ? all : std::min(n, all);
}

common_params_sampling to_common(const mn_sampler_params &p, const mn_model *model) {
    common_params_sampling s;
    s.seed = p.seed;
    s.temp = p.temperature;
    s.top_k = p.top_k;
    s.top_p = p.top_p;
    s.min_p = p.min_p;
    s.typ_p = p.typical_p;
    s.top_n_sigma = p.top_n_sigma;
    s.xtc_probability = p.xtc_probability;
    s.xtc_threshold = p.xtc_threshold;
    s.dynatemp_range = p.dynatemp_range;
    s.dynatemp_exponent = p.dynatemp_exponent;
    s.penalty_last_n = history_length(p.repeat_last_n, model->model);
    s.penalty_repeat = p.repeat_penalty;
    s.penalty_freq = p.frequency_penalty;
    s.penalty_present = p.presence_penalty;
    s.mirostat = p.mirostat;
    s.mirostat_tau = p.mirostat_tau;
    s.mirostat_eta = p.mirostat_eta;
    s.adaptive_target = p.adaptive_target;
    s.adaptive_decay = p.adaptive_decay;
    s.min_keep = p.min_keep;
    s.n_prev = std::max(s.penalty_last_n, s.n_prev);
    s.no_perf = true;
    set_dry(p, s);
    s.dry_penalty_last_n = history_length(p.dry_penalty_last_n, model->model);
    set_order(p, s);
    set_biases(p, model, s);
    return s;
}

bool penalties_off(const common_params_sampling &s) {
    return s.penalty_last_n == 0 ||
           (s.penalty_repeat == 1.0f && s.penalty_freq == 0.0f && s.penalty_present == 0.0f);
}

bool dry_off(const common_params_sampling &s) {
    return s.dry_multiplier == 0.0f || s.dry_base < 1.0f || s.dry_penalty_last_n == 0;
}

// Greedy choice needs neither a candidate list nor a sort when nothing before it can change which
// logit is the largest.
bool is_plain_greedy(const mn_sampler_params &p, const common_params_sampling &s,
                     const llama_vocab *vocab) {
    int32_t n_suppressed = 0;
    llama_vocab_get_suppress_tokens(vocab, &n_suppressed);
    return p.temperature <= 0.0f && s.mirostat == 0 && p.adaptive_target < 0 && !p.order &&
           s.logit_bias.empty() && n_suppressed == 0 && penalties_off(s) && dry_off(s) &&
           !p.reference;
}

void check_params(const mn_sampler_params &p) {
    check_finite("temperature", p.temperature);
    check_finite("top_p", p.top_p);
    check_finite("min_p", p.min_p);
    check_finite("typical_p", p.typical_p);
    check_finite("top_n_sigma", p.top_n_sigma);
    check_finite("xtc_probability", p.xtc_probability);
    check_finite("xtc_threshold", p.xtc_threshold);
    check_finite("dynatemp_range", p.dynatemp_range);
    check_finite("dynatemp_exponent", p.dynatemp_exponent);
    check_finite("dry_multiplier", p.dry_multiplier);
    check_finite("dry_base", p.dry_base);
    check_finite("mirostat_tau", p.mirostat_tau);
    check_finite("mirostat_eta", p.mirostat_eta);
    check_finite("adaptive_target", p.adaptive_target);
    check_finite("adaptive_decay", p.adaptive_decay);
    if (p.mirostat < 0 || p.mirostat > 2) {
        throw failure(MN_ERR_INVALID, "mirostat must be 0, 1 or 2");
    }
    if (p.min_keep < 0) {
        throw failure(MN_ERR_INVALID, "min_keep must not be negative");
    }
    if (p.dry_allowed_length < 0) {
        throw failure(MN_ERR_INVALID, "dry_allowed_length must not be negative");
    }
}

} // namespace

mn_sampler_params sampler_default_params() {
    common_params_sampling d;
    mn_sampler_params p = {};
    p.seed = d.seed;
    p.temperature = d.temp;
    p.top_k = d.top_k;
    p.top_p = d.top_p;
    p.min_p = d.min_p;
    p.typical_p = d.typ_p;
    p.top_n_sigma = d.top_n_sigma;
    p.xtc_probability = d.xtc_probability;
    p.xtc_threshold = d.xtc_threshold;
    p.dynatemp_range = d.dynatemp_range;
    p.dynatemp_exponent = d.dynatemp_exponent;
    p.repeat_last_n = d.penalty_last_n;
    p.repeat_penalty = d.penalty_repeat;
    p.frequency_penalty = d.penalty_freq;
    p.presence_penalty = d.penalty_present;
    p.dry_multiplier = d.dry_multiplier;
    p.dry_base = d.dry_base;
    p.dry_allowed_length = d.dry_allowed_length;
    p.dry_penalty_last_n = d.dry_penalty_last_n;
    p.mirostat_tau = d.mirostat_tau;
    p.mirostat_eta = d.mirostat_eta;
    p.adaptive_target = d.adaptive_target;
    p.adaptive_decay = d.adaptive_decay;
    return p;
}

static void make_grammar(mn_sampler &sampler, const mn_model *model, const mn_sampler_params &p) {
    std::string text(p.grammar, p.grammar_len);
    std::vector<std::string> rules = check_grammar(sampler.vocab, text);
    log_capture log;
    if (!sampler.grammar.init(model, text, p.reference)) {
        throw failure(MN_ERR_GRAMMAR,
                      init_reason(log.reason("llama.cpp refused the grammar"), rules));
    }
}

static void make_chain(mn_sampler &sampler, const mn_model *model, common_params_sampling &s) {
    log_capture log;
    try {
        sampler.chain.reset(common_sampler_init(model->model, s));
    } catch (const std::exception &e) {
        throw failure(MN_ERR_INVALID, log.reason(e.what()));
    }
    sampler.seed = common_sampler_get_seed(sampler.chain.get());
}

// Whether a sampler of the chain does nothing.
static bool is_off(common_sampler_type type, const common_params_sampling &s) {
    switch (type) {
    case COMMON_SAMPLER_TYPE_PENALTIES:
        return penalties_off(s);
    case COMMON_SAMPLER_TYPE_DRY:
        return dry_off(s);
    case COMMON_SAMPLER_TYPE_TOP_N_SIGMA:
        return s.top_n_sigma <= 0;
    case COMMON_SAMPLER_TYPE_TOP_K:
        return s.top_k <= 0;
    case COMMON_SAMPLER_TYPE_TYPICAL_P:
        return s.typ_p >= 1;
    case COMMON_SAMPLER_TYPE_TOP_P:
        return s.top_p >= 1;
    case COMMON_SAMPLER_TYPE_MIN_P:
        return s.min_p <= 0;
    case COMMON_SAMPLER_TYPE_XTC:
        return s.xtc_probability <= 0 || s.xtc_threshold > 0.5f;
    case COMMON_SAMPLER_TYPE_TEMPERATURE:
        return s.temp == 1 && s.dynatemp_range <= 0;
    default:
        return false;
    }
}

// Whether the samplers from `place` on forget every token at once.
static bool forget(const common_params_sampling &s, size_t place) {
    return std::none_of(s.samplers.begin() + place, s.samplers.end(), [&](auto type) {
        return type == COMMON_SAMPLER_TYPE_ADAPTIVE_P ||
               (!is_off(type, s) &&
                (type == COMMON_SAMPLER_TYPE_PENALTIES || type == COMMON_SAMPLER_TYPE_DRY));
    });
}

// The samplers that end with few tokens, if one is first.
static void set_filter(mn_sampler &sampler, common_sampler_type first,
                       const common_params_sampling &s) {
    constexpr int32_t top_k_limit = 1024;
    sampler.min_keep = s.min_keep;
    if (first == COMMON_SAMPLER_TYPE_TOP_K && s.top_k <= top_k_limit) {
        sampler.filter = filter::top_k;
        sampler.top_k = s.top_k;
    } else if (first == COMMON_SAMPLER_TYPE_TOP_P) {
        sampler.filter = filter::top_p;
        sampler.p = s.top_p;
    } else if (first == COMMON_SAMPLER_TYPE_MIN_P) {
        sampler.filter = filter::min_p;
        sampler.p = s.min_p;
    }
}

// Whether the samplers from `place` on leave none but the likeliest token.
static bool leave_likeliest(const common_params_sampling &s, size_t place) {
    auto begin = s.samplers.begin() + place, end = s.samplers.end();
    return s.temp <= 0 && s.dynatemp_range <= 0 &&
           std::find(begin, end, COMMON_SAMPLER_TYPE_TEMPERATURE) != end &&
           std::all_of(begin, end, [&](common_sampler_type type) {
               return is_off(type, s) || type == COMMON_SAMPLER_TYPE_TEMPERATURE ||
                      type == COMMON_SAMPLER_TYPE_TOP_K || type == COMMON_SAMPLER_TYPE_TOP_P ||
                      type == COMMON_SAMPLER_TYPE_MIN_P;
           });
}

static void take_biases(mn_sampler &sampler, const common_params_sampling &s) {
    sampler.biases = s.logit_bias;
    int32_t n_suppressed = 0;
    const llama_token *suppressed = llama_vocab_get_suppress_tokens(sampler.vocab, &n_suppressed);
    for (int32_t i = 0; i < n_suppressed; i++) {
        if (suppressed[i] >= 0 && suppressed[i] < sampler.n_vocab) {
            sampler.biases.push_back({suppressed[i], -INFINITY});
        }
    }
    if (!s.logit_bias.empty() || n_suppressed > 0) {
        sampler.first++; // they have a sampler of their own
    }
}

// Takes over what the chain does at its beginning, if that can be done by changing a few logits and
// picking out a few.
static void shorten(mn_sampler &sampler, common_params_sampling &s) {
    constexpr float penalty_limit = 1e9f; // far beyond it sums of penalties overflow
    size_t place = 0;
    bool penalties = false;
    for (; place < s.samplers.size(); place++) {
        common_sampler_type type = s.samplers[place];
        if (type == COMMON_SAMPLER_TYPE_PENALTIES && !penalties && !penalties_off(s)) {
            penalties = true;
        } else if (!is_off(type, s)) {
            break;
        }
    }
    if (s.mirostat != 0 || !forget(s, place) || std::fabs(s.penalty_freq) > penalty_limit ||
        std::fabs(s.penalty_present) > penalty_limit) {
        return;
    }
    sampler.remembers = false;
    sampler.first = (int32_t)place;
    take_biases(sampler, s);
    sampler.greedy = leave_likeliest(s, place);
    if (place < s.samplers.size()) {
        set_filter(sampler, s.samplers[place], s);
    }
    if (penalties) {
        sampler.recent.set_length(s.penalty_last_n);
        sampler.penalty_repeat = s.penalty_repeat;
        sampler.penalty_frequency = s.penalty_freq;
        sampler.penalty_presence = s.penalty_present;
    }
    s.penalty_last_n = std::min(s.penalty_last_n, 1); // the chain need not keep tokens
    s.n_prev = 0;
}

mn_status sampler_new(const mn_model *model, const mn_sampler_params *params, mn_sampler **out,
                      mn_error *err) {
    return guard(err, [&] {
        check_params(*params);
        common_params_sampling s = to_common(*params, model);
        auto sampler = std::make_unique<mn_sampler>();
        sampler->vocab = model->vocab;
        sampler->n_vocab = llama_vocab_n_tokens(model->vocab);
        sampler->seed = s.seed;
        if (params->grammar_len > 0) {
            run_limited(MN_ERR_GRAMMAR, "the grammar",
                        [&] { make_grammar(*sampler, model, *params); });
        }
        if (sampler->grammar || !is_plain_greedy(*params, s, model->vocab)) {
            if (!params->reference) {
                shorten(*sampler, s);
            }
            make_chain(*sampler, model, s);
        }
        *out = sampler.release();
    });
}

void sampler_free(mn_sampler *sampler) { delete sampler; }

void sampler_prime(mn_sampler *sampler, const int32_t *tokens, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        if (tokens[i] >= 0 && tokens[i] < sampler->n_vocab) {
            remember(*sampler, tokens[i]);
        }
    }
}

uint32_t sampler_seed(const mn_sampler *sampler) { return sampler->seed; }

mn_status sampler_describe(const mn_sampler *sampler, mn_buf *out, mn_error *err) {
    return guard(err, [&] {
        *out = to_buf(sampler->chain ? common_sampler_print(sampler->chain.get())
                                     : std::string("logits -> greedy"));
    });
}

} // namespace mn
