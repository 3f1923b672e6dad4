/*
 * mullama_json.hpp: a part of mullama.hpp, which programs include: errors, and the functions that
 * write requests and read fields of JSON.
 */
#ifndef MULLAMA_JSON_HPP
#define MULLAMA_JSON_HPP

#include "mullama.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#if __cplusplus < 201703L && (!defined(_MSVC_LANG) || _MSVC_LANG < 201703L)
#error "mullama.hpp needs C++17"
#endif

namespace mullama {

// ---- Errors ----

/* How a call ended. A newer library may have others. */
enum class Status : mullama_status {
    Ok = MULLAMA_OK,
    End = MULLAMA_END,
    Invalid = MULLAMA_ERR_INVALID,
    NotFound = MULLAMA_ERR_NOT_FOUND,
    NotGguf = MULLAMA_ERR_NOT_GGUF,
    Unsupported = MULLAMA_ERR_UNSUPPORTED,
    ContextFull = MULLAMA_ERR_CONTEXT_FULL,
    Template = MULLAMA_ERR_TEMPLATE,
    Grammar = MULLAMA_ERR_GRAMMAR,
    OutOfMemory = MULLAMA_ERR_OUT_OF_MEMORY,
    Busy = MULLAMA_ERR_BUSY,
    Store = MULLAMA_ERR_STORE,
    LibraryMissing = MULLAMA_ERR_LIBRARY_MISSING,
    Closed = MULLAMA_ERR_CLOSED,
    Cancelled = MULLAMA_ERR_CANCELLED,
    Internal = MULLAMA_ERR_INTERNAL,
    Forked = MULLAMA_ERR_FORKED,
    TooSmall = MULLAMA_ERR_TOO_SMALL,
    Unreachable = MULLAMA_ERR_UNREACHABLE,
};

/* The name of a status, such as "context_full". */
inline const char *status_name(Status status) noexcept {
    return mullama_status_name(static_cast<mullama_status>(status));
}

/* What was wrong: what() is one sentence that says it, and what to do. */
class Error : public std::runtime_error {
  public:
    Error(Status status, const std::string &text) : std::runtime_error(text), status_(status) {}

    Status status() const noexcept { return status_; }
    const char *name() const noexcept { return status_name(status_); }

  private:
    Status status_;
};

// ---- JSON ----

/* A JSON string, quotes and all, of a text of UTF-8, which may have zero bytes. */
inline std::string quote(std::string_view text) {
    static const char digits[] = "0123456789abcdef";
    std::string json = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            json += '\\';
        }
        if (static_cast<unsigned char>(c) < 0x20) {
            json.append("\\u00").append(1, digits[c >> 4]).append(1, digits[c & 15]);
        } else {
            json += c;
        }
    }
    return json += '"';
}

/* One message of a conversation. */
struct Message {
    std::string role; // "system", "user", "assistant" or "tool"
    std::string content;
};

namespace detail {

/* Joins a first field with those of a JSON object, which may be empty. */
inline std::string with_fields(const std::string &first, std::string_view object) {
    const std::size_t open = std::min(object.find_first_not_of(" \t\r\n"), object.size());
    if (object.substr(open, 1) != "{") {
        throw Error(Status::Invalid, "the fields of a request are a JSON object, {…}");
    }
    const std::string rest(object.substr(open + 1));
    const std::size_t next = rest.find_first_not_of(" \t\r\n");
    const bool none = next == std::string::npos || rest[next] == '}';
    return "{" + first + (none ? "" : ",") + rest;
}

/* A JSON list of strings. */
inline std::string quote_all(const std::vector<std::string> &texts) {
    std::string json = "[";
    for (const std::string &text : texts) {
        json += (&text == texts.data() ? "" : ",") + quote(text);
    }
    return json += ']';
}

/* Appends a character: its leading byte, which has so many bits to say its length, and the rest. */
inline void append_utf8(std::string &text, std::uint32_t rune) {
    const int more = rune < 0x80 ? 0 : rune < 0x800 ? 1 : rune < 0x10000 ? 2 : 3;
    static const std::uint32_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    text += static_cast<char>(lead[more] | rune >> 6 * more);
    for (int i = more - 1; i >= 0; i--) {
        text += static_cast<char>(0x80 | (rune >> 6 * i & 0x3f));
    }
}

/* Reads what follows a "\u" and moves at behind it: four digits, or a pair of surrogates. */
inline std::uint32_t read_escape(std::string_view json, std::size_t &at) {
    const auto digits = [json](std::size_t from) {
        const std::string four(json.substr(std::min(from, json.size()), 4));
        return static_cast<std::uint32_t>(std::strtoul(four.c_str(), nullptr, 16));
    };
    const std::uint32_t first = digits(at), second = digits(at + 6);
    const bool pair = first >> 10 == 0x36 && second >> 10 == 0x37 && json[at + 4] == '\\';
    at += pair ? 10 : 4;
    if (pair) {
        return 0x10000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
    }
    return first >> 11 == 0x1b ? 0xfffd : first; // half a pair is no character
}

} // namespace detail

/* The request of Model::chat for a conversation. fields is a JSON object with what else it has,
 * such as {"options":{"temperature":0}}. */
inline std::string chat_request(const std::vector<Message> &messages,
                                std::string_view fields = "{}") {
    std::string json = "\"messages\":[";
    for (const Message &message : messages) {
        json += &message == messages.data() ? "{\"role\":" : ",{\"role\":";
        json += quote(message.role) + ",\"content\":" + quote(message.content) + "}";
    }
    return detail::with_fields(json + "]", fields);
}

/* The request of Model::generate for a prompt, in the same way. */
inline std::string generate_request(std::string_view prompt, std::string_view fields = "{}") {
    return detail::with_fields("\"prompt\":" + quote(prompt), fields);
}

/* The request of Model::embed for texts, in the same way: {"pooling":"none"}. */
inline std::string embed_request(const std::vector<std::string> &texts,
                                 std::string_view fields = "{}") {
    return detail::with_fields("\"input\":" + detail::quote_all(texts), fields);
}

/* The request of Model::rerank and Model::score, in the same way: {"top_n":3}. */
inline std::string rank_request(std::string_view query, const std::vector<std::string> &documents,
                                std::string_view fields = "{}") {
    return detail::with_fields(
        "\"query\":" + quote(query) + ",\"documents\":" + detail::quote_all(documents), fields);
}

/* A document to add to an index: an id that no other has, and its text. */
struct Document {
    std::string id;
    std::string text;
};

/* The request of Index::add, for documents that the model of the index embeds. */
inline std::string documents_request(const std::vector<Document> &documents) {
    std::string list;
    for (const Document &document : documents) {
        list += (list.empty() ? "{\"id\":" : ",{\"id\":") + quote(document.id) +
                ",\"text\":" + quote(document.text) + "}";
    }
    return "{\"documents\":[" + list + "]}";
}

/* The request of Index::search, for a text that the model of the index embeds, with other fields
 * of the request: {"top_n":3}. */
inline std::string search_request(std::string_view query, std::string_view fields = "{}") {
    return detail::with_fields("\"query\":" + quote(query), fields);
}

/* The value of a field of a JSON object, as it is written there: 8, true, "stop", {…}. Nothing if
 * the object does not have it. It does not check the JSON, and belongs to the text it is given. */
inline std::string_view field(std::string_view json, std::string_view name) noexcept {
    static const char space[] = " \t\r\n";
    std::size_t value = 0; // where it begins; 0: not found yet
    int depth = 0;
    for (std::size_t at = json.find_first_not_of(space); at < json.size(); at++) {
        const char c = json[at];
        if (c == '"') {
            const std::size_t start = at + 1;
            for (at++; at < json.size() && json[at] != '"'; at++) {
                at += json[at] == '\\';
            }
            const std::size_t colon = json.find_first_not_of(space, at + 1);
            const bool key = colon < json.size() && json[colon] == ':';
            if (key && depth == 1 && value == 0 && json.substr(start, at - start) == name) {
                value = json.find_first_not_of(space, colon + 1);
                at = colon;
            }
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']' || c == ',') {
            if (depth == 1 && value != 0 && value < at) {
                const std::size_t last = json.find_last_not_of(space, at - 1);
                return json.substr(value, last + 1 - value);
            }
            depth -= c != ',';
        }
    }
    return {};
}

/* The text of a JSON string, such as field() gives; "" if it is none. */
inline std::string unquote(std::string_view json) {
    std::string text;
    if (json.size() < 2 || json.front() != '"' || json.back() != '"') {
        return text;
    }
    json = json.substr(1, json.size() - 2);
    for (std::size_t at = 0; at < json.size();) {
        char c = json[at++];
        if (c == '\\' && at < json.size()) {
            c = json[at++];
            if (c == 'u') {
                detail::append_utf8(text, detail::read_escape(json, at));
                continue;
            }
            const std::size_t known = std::string_view("bfnrt").find(c);
            c = known == std::string_view::npos ? c : "\b\f\n\r\t"[known];
        }
        text += c;
    }
    return text;
}

namespace detail {

/* The number that a field is; 0 if it is none. Programs may have any locale, JSON has none. */
inline double number(std::string_view json) {
    std::istringstream in{std::string(json)};
    in.imbue(std::locale::classic());
    double value = 0;
    in >> value;
    return value;
}

/* The objects of a JSON list of objects, as they are written. */
inline std::vector<std::string_view> objects(std::string_view list) {
    std::vector<std::string_view> all;
    std::size_t start = 0;
    int depth = 0;
    bool text = false;
    for (std::size_t at = 0; at < list.size(); at++) {
        const char c = list[at];
        text ^= c == '"';
        if (text) {
            at += c == '\\';
        } else if (c == '{' && depth++ == 0) {
            start = at;
        } else if (c == '}' && --depth == 0) {
            all.push_back(list.substr(start, at + 1 - start));
        }
    }
    return all;
}

} // namespace detail

} // namespace mullama

#endif
