// Chat templates: messages to a prompt and its tokens, through llama.cpp's `common`.
#include "facade.h"

#include "json-schema-to-grammar.h"
#include "json.h"

#include <cctype>

struct mn_chat {
    const mn_model *model = nullptr;
    common_chat_templates_ptr templates;
};

namespace mn {

// --- control tokens -------------------------------------------------------------------------

control_tokens::control_tokens(const llama_vocab *vocab) : vocab_(vocab) {
    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE) {
        return;
    }
    for (llama_token t = 0; t < llama_vocab_n_tokens(vocab); t++) {
        int attr = llama_vocab_get_attr(vocab, t);
        std::string_view text = llama_vocab_get_text(vocab, t);
        if ((attr & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) && !text.empty()) {
            by_first_byte_[(unsigned char)text[0]].push_back({text, t});
        }
    }
    for (auto &entries : by_first_byte_) {
        std::stable_sort(entries.begin(), entries.end(), [](const entry &a, const entry &b) {
            return a.text.size() > b.text.size();
        });
    }
}

llama_token control_tokens::match(std::string_view text, size_t pos) const {
    for (const entry &e : by_first_byte_[(unsigned char)text[pos]]) {
        if (text.compare(pos, e.text.size(), e.text) == 0) {
            return e.token;
        }
    }
    return LLAMA_TOKEN_NULL;
}

bool control_tokens::begins_at_end(std::string_view text, size_t pos) const {
    std::string_view rest = text.substr(pos);
    for (const entry &e : by_first_byte_[(unsigned char)text[pos]]) {
        if (e.text.size() > rest.size() && e.text.substr(0, rest.size()) == rest) {
            return true;
        }
    }
    return false;
}

size_t control_tokens::length(llama_token token) const {
    return strlen(llama_vocab_get_text(vocab_, token));
}

namespace {

// --- keeping control tokens out of the request's text ----------------------------------------
//
// A template is rendered to one string, in which a control token written by the template and the
// same text typed by a user look alike. So before rendering, a guard character is put inside every
// control token's text that occurs in the request; after rendering, only what has no guard inside
// is a control token, and the guards are taken out again.

// U+FDD0 to U+FDEF are noncharacters: valid in UTF-8, never assigned, kept by templates.
std::string pick_guard(const std::string &request) {
    for (unsigned char last = 0x90; last <= 0xAF; last++) {
        std::string guard = {'\xEF', '\xB7', (char)last};
        if (request.find(guard) == std::string::npos) {
            return guard;
        }
    }
    throw failure(MN_ERR_INVALID, "the request uses all of the noncharacters U+FDD0 to U+FDEF");
}

class guarded_request {
  public:
    guarded_request(const control_tokens &controls, const std::string &text)
        : controls_(controls), guard_(pick_guard(text)) {}

    // Keys are guarded too: templates write those of tools' schemas and of arguments.
    common_json protect(const common_json &value) const {
        if (value.is_string()) {
            return protect(value.get<std::string>());
        }
        if (value.is_array()) {
            common_json out = common_json::array();
            for (size_t i = 0; i < value.size(); i++) {
                out.push_back(protect(value.at(i)));
            }
            return out;
        }
        if (value.is_object()) {
            common_json out = common_json::object();
            for (auto entry : value.items()) {
                bool json_text = entry.k == "arguments" && entry.v.is_string();
                if (json_text) {
                    out[protect(entry.k)] = protect_arguments(entry.v.get<std::string>());
                } else {
                    out[protect(entry.k)] = protect(entry.v);
                }
            }
            return out;
        }
        return value;
    }

    std::string reveal(std::string_view text) const {
        std::string out;
        size_t pos = 0, found;
        while ((found = text.find(guard_, pos)) != std::string_view::npos) {
            out += text.substr(pos, found - pos);
            pos = found + guard_.size();
        }
        return out += text.substr(pos);
    }

  private:
    // Arguments are JSON in a string, in which a control token can hide behind escapes. They are
    // left as they are written unless there is one.
    std::string protect_arguments(const std::string &text) const {
        check_json_depth(text, "the arguments of a tool call");
        common_json parsed = common_json::parse_no_throw(text);
        if (!parsed.is_discarded()) {
            std::string before = parsed.dump(), after = protect(parsed).dump();
            if (after != before) {
                return after;
            }
        }
        return protect(text);
    }

    // A guard follows the first byte of a control token, and of the start of one at the end of the
    // text, which the text that a template puts next could complete.
    std::string protect(const std::string &text) const {
        std::string out;
        for (size_t i = 0; i < text.size(); i++) {
            out += text[i];
            if (controls_.match(text, i) != LLAMA_TOKEN_NULL || controls_.begins_at_end(text, i)) {
                out += guard_; // after the first byte, which is ASCII in every such token
            }
        }
        return out;
    }

    const control_tokens &controls_;
    std::string guard_;
};

void append_plain(const llama_vocab *vocab, const std::string &text, std::vector<int32_t> &out) {
    if (text.empty()) {
        return;
    }
    size_t start = out.size();
    out.resize(start + text.size() + 8);
    int32_t n =
        tokenize_text(vocab, text, false, false, out.data() + start, (int32_t)(out.size() - start));
    if (n < 0 && n != INT32_MIN) { // the negated number that would fit
        out.resize(start - n);
        n = tokenize_text(vocab, text, false, false, out.data() + start,
                          (int32_t)(out.size() - start));
    }
    if (n < 0) {
        throw failure(MN_ERR_INVALID, "a message has bytes that this vocabulary cannot tokenise");
    }
    out.resize(start + n);
}

// Tokenises a rendered prompt. Control tokens without a guard become tokens, everything between
// them is plain text. White space beside a token that asks for it is dropped, as llama.cpp does.
std::vector<int32_t> tokenize_prompt(const mn_model *model, const guarded_request &guard,
                                     std::string_view prompt) {
    std::vector<int32_t> out;
    const llama_vocab *vocab = model->vocab;
    if (llama_vocab_get_add_bos(vocab)) {
        out.push_back(llama_vocab_bos(vocab));
    }
    size_t start = 0;
    for (size_t i = 0; i < prompt.size();) {
        llama_token token = model->controls->match(prompt, i);
        if (token == LLAMA_TOKEN_NULL) {
            i++;
            continue;
        }
        int attr = llama_vocab_get_attr(vocab, token);
        size_t end = i;
        while ((attr & LLAMA_TOKEN_ATTR_LSTRIP) && end > start && isspace(prompt[end - 1])) {
            end--;
        }
        append_plain(vocab, guard.reveal(prompt.substr(start, end - start)), out);
        out.push_back(token);
        i += model->controls->length(token);
        while ((attr & LLAMA_TOKEN_ATTR_RSTRIP) && i < prompt.size() && isspace(prompt[i])) {
            i++;
        }
        start = i;
    }
    append_plain(vocab, guard.reveal(prompt.substr(start)), out);
    if (llama_vocab_get_add_eos(vocab)) {
        out.push_back(llama_vocab_eos(vocab));
    }
    return out;
}

// --- request and reply ------------------------------------------------------------------------

common_chat_templates_inputs to_inputs(const common_json &request) {
    common_chat_templates_inputs in;
    in.messages = common_chat_msgs_parse_oaicompat(request.at("messages"));
    if (request.contains("tools") && !request.at("tools").empty()) {
        in.tools = common_chat_tools_parse_oaicompat(request.at("tools"));
    }
    if (request.contains("tool_choice")) {
        in.tool_choice =
            common_chat_tool_choice_parse_oaicompat(request.at("tool_choice").get<std::string>());
    }
    in.parallel_tool_calls = request.value("parallel_tool_calls", false);
    in.add_generation_prompt = request.value("add_generation_prompt", true);
    in.enable_thinking = request.value("enable_thinking", true);
    in.grammar = request.value("grammar", "");
    if (request.contains("json_schema")) {
        in.json_schema = request.at("json_schema").dump();
    }
    if (request.contains("kwargs")) {
        for (auto entry : request.at("kwargs").items()) {
            in.chat_template_kwargs[entry.k] = entry.v.dump();
        }
    }
    if (request.contains("now")) {
        in.now = std::chrono::system_clock::time_point(
            std::chrono::seconds(request.at("now").get<int64_t>()));
    }
    in.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
    return in;
}

common_json to_reply(const common_chat_params &p, const guarded_request &guard) {
    common_json reply = common_json::object();
    reply["prompt"] = guard.reveal(p.prompt);
    reply["generation_prompt"] = guard.reveal(p.generation_prompt);
    reply["format"] = (int)p.format;
    reply["parser"] = p.parser;
    reply["grammar"] = guard.reveal(p.grammar);
    reply["grammar_lazy"] = p.grammar_lazy;
    reply["stops"] = p.additional_stops;
    reply["supports_thinking"] = p.supports_thinking;
    reply["thinking_start"] = p.thinking_start_tag;
    reply["thinking_end"] = p.thinking_end_tags;
    return reply;
}

common_json parse_json(const char *text, size_t len, const char *what) {
    check_json_depth({text, len}, what);
    common_json value = common_json::parse_no_throw(std::string(text, len));
    if (value.is_discarded()) {
        throw failure(MN_ERR_INVALID, std::string(what) + " is not valid JSON");
    }
    return value;
}

// The request in llama.cpp's terms. What it says of a malformed one is cut to the sentence.
common_chat_templates_inputs parse_request(const common_json &request) {
    try {
        return to_inputs(request);
    } catch (const std::exception &e) {
        std::string reason = e.what();
        for (const char *prefix : {"Failed to parse messages: ", "Failed to parse tools: "}) {
            if (reason.rfind(prefix, 0) == 0) {
                reason.erase(0, strlen(prefix));
            }
        }
        for (const char *suffix : {" (ref: ", "; tools = "}) {
            reason = reason.substr(0, reason.find(suffix));
        }
        if (reason.rfind("[json.", 0) == 0) {
            reason.erase(0, reason.find("] ") + 2);
        }
        throw failure(MN_ERR_INVALID, "the chat request cannot be used: " + reason);
    }
}

// The sentence in what llama.cpp's interpreter says, with the place in the template:
// "… While executing X at line 1, column 9 in source: … Error: Jinja Exception: sentence".
std::string template_reason(std::string reason) {
    std::string place;
    size_t start = reason.find(" at line "), end = reason.find(" in source:");
    if (start != std::string::npos && end != std::string::npos && start < end) {
        place = " (" + reason.substr(start + 4, end - start - 4) + ")";
    }
    for (const char *prefix : {"Automatic parser generation failed: ", "\nError: ",
                               "Jinja Exception: ", "Parser Error: ", "lexer: "}) {
        size_t pos = reason.rfind(prefix);
        if (pos != std::string::npos) {
            reason.erase(0, pos + strlen(prefix));
        }
    }
    if (reason.rfind("[json.", 0) == 0) {
        reason.erase(0, reason.find("] ") + 2);
    }
    reason = reason.substr(0, reason.find("\n...")); // the source around it
    if (reason == "stoll" || reason == "stod") {
        reason = "a number is too large";
    } else if (reason.rfind("basic_string", 0) == 0) {
        reason = "a text is too long";
    }
    return reason + place;
}

template <typename F> void with_template(const char *what, F &&f) {
    run_limited(MN_ERR_TEMPLATE, "the chat template", [&] {
        try {
            f();
        } catch (const failure &) {
            throw;
        } catch (const std::exception &e) {
            throw failure(MN_ERR_TEMPLATE, std::string("the chat template ") + what + ": " +
                                               template_reason(e.what()));
        }
    });
}

} // namespace

mn_status chat_new(const mn_model *model, const char *source, size_t len, mn_chat **out,
                   mn_error *err) {
    return guard(err, [&] {
        std::string text(source ? source : "", source ? len : 0);
        const char *own = llama_model_chat_template(model->model, nullptr);
        if (text.empty() && !own) {
            throw failure(MN_ERR_UNSUPPORTED, "the model has no chat template");
        }
        auto chat = std::make_unique<mn_chat>();
        chat->model = model;
        with_template("does not parse", [&] {
            check_template(text.empty() ? own : text);
            chat->templates = common_chat_templates_init(model->model, text);
        });
        *out = chat.release();
    });
}

void chat_free(mn_chat *chat) { delete chat; }

mn_status chat_source(const mn_chat *chat, mn_buf *out, mn_error *err) {
    return guard(err, [&] { *out = to_buf(common_chat_templates_source(chat->templates.get())); });
}

mn_status chat_caps(const mn_chat *chat, mn_buf *out, mn_error *err) {
    return guard(err, [&] {
        common_json caps = common_json::object();
        for (const auto &entry : common_chat_templates_get_caps(chat->templates.get())) {
            caps[entry.first] = entry.second;
        }
        caps["supports_thinking"] =
            common_chat_templates_support_enable_thinking(chat->templates.get());
        *out = to_buf(caps.dump());
    });
}

mn_status chat_apply(const mn_chat *chat, const char *request, size_t len, mn_buf *reply,
                     mn_buf *tokens, mn_error *err) {
    return guard(err, [&] {
        common_json json = parse_json(request, len, "the chat request");
        if (!json.is_object() || !json.contains("messages") || !json.at("messages").is_array()) {
            throw failure(MN_ERR_INVALID, "the chat request has no array of messages");
        }
        guarded_request guard(*chat->model->controls, json.dump());
        for (const char *part : {"messages", "tools", "kwargs"}) {
            if (json.contains(part)) {
                json[part] = guard.protect(json.at(part));
            }
        }
        auto inputs = parse_request(json);
        common_chat_params params;
        with_template("does not render",
                      [&] { params = common_chat_templates_apply(chat->templates.get(), inputs); });
        auto ids = tokenize_prompt(chat->model, guard, params.prompt);
        // A template can cut a character in two. The tokens have its bytes, JSON cannot.
        *reply = to_buf(to_reply(params, guard).dump_safe());
        *tokens = to_buf(ids.data(), ids.size() * sizeof(ids[0]));
    });
}

mn_status schema_to_grammar(const char *schema, size_t len, mn_buf *out, mn_error *err) {
    return guard(err, [&] {
        common_json json = parse_json(schema, len, "the JSON schema");
        std::string grammar;
        run_limited(MN_ERR_GRAMMAR, "the JSON schema", [&] {
            try {
                grammar = json_schema_to_grammar(json);
            } catch (const std::exception &e) {
                std::string reason = e.what();
                static const std::string prefix = "JSON schema conversion failed: ";
                reason.erase(0, reason.rfind(prefix, 0) == 0 ? prefix.size() : 0);
                throw failure(MN_ERR_GRAMMAR, "the JSON schema cannot be a grammar: " + reason);
            }
        });
        *out = to_buf(grammar);
    });
}

} // namespace mn
