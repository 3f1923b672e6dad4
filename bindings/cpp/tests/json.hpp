// A reader of JSON for the tests, which takes the files of vectors apart and keeps the text of each
// value, so that requests can be passed on as they are written.
#ifndef JSON_HPP
#define JSON_HPP

#include <mullama.hpp>

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace json {

enum class Kind { Null, Bool, Number, String, Array, Object };

struct Value {
    Kind kind = Kind::Null;
    bool truth = false;
    double number = 0;
    std::string string;
    std::vector<Value> items;
    std::map<std::string, Value> fields;
    std::string raw; // as it is written

    bool has(const std::string &name) const { return fields.count(name) != 0; }
    const Value &operator[](const std::string &name) const {
        static const Value none;
        const auto found = fields.find(name);
        return found == fields.end() ? none : found->second;
    }
    bool operator==(const Value &other) const {
        return kind == other.kind && truth == other.truth && number == other.number &&
               string == other.string && items == other.items && fields == other.fields;
    }
};

class Reader {
  public:
    explicit Reader(const std::string &text) : text_(text) {}

    // Reads the whole text as one value.
    Value read() {
        Value value = next();
        if (peek() != '\0') {
            fail("more text follows");
        }
        return value;
    }

  private:
    [[noreturn]] void fail(const std::string &what) const {
        throw std::runtime_error("JSON at byte " + std::to_string(at_) + ": " + what);
    }

    char peek() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) {
            at_++;
        }
        return at_ < text_.size() ? text_[at_] : '\0';
    }

    void expect(char c) {
        if (peek() != c) {
            fail(std::string("no ") + c);
        }
        at_++;
    }

    Value next() {
        peek();
        const std::size_t start = at_;
        Value value = unnamed();
        value.raw = text_.substr(start, at_ - start);
        return value;
    }

    Value unnamed() {
        Value value;
        switch (peek()) {
        case '{':
            value.kind = Kind::Object;
            list('}', [&] {
                const std::string name = string();
                expect(':');
                value.fields[name] = next();
            });
            return value;
        case '[':
            value.kind = Kind::Array;
            list(']', [&] { value.items.push_back(next()); });
            return value;
        case '"':
            value.kind = Kind::String;
            value.string = string();
            return value;
        default:
            return plain();
        }
    }

    // Reads what stands in brackets, with commas between.
    template <typename Item> void list(char end, Item item) {
        at_++;
        for (bool first = true; peek() != end; first = false) {
            if (!first) {
                expect(',');
            }
            item();
        }
        at_++;
    }

    std::string string() {
        const std::size_t start = (peek(), at_);
        expect('"');
        while (at_ < text_.size() && text_[at_] != '"') {
            at_ += text_[at_] == '\\' ? 2 : 1;
        }
        expect('"');
        return mullama::unquote(text_.substr(start, at_ - start));
    }

    Value plain() {
        const std::size_t end = std::min(text_.find_first_of(",]} \n", at_), text_.size());
        const std::string word = text_.substr(at_, end - at_);
        Value value;
        if (word == "true" || word == "false") {
            value.kind = Kind::Bool;
            value.truth = word == "true";
        } else if (word != "null") {
            char *rest = nullptr;
            value.kind = Kind::Number;
            value.number = std::strtod(word.c_str(), &rest);
            if (word.empty() || *rest != '\0') {
                fail("'" + word + "' is no value");
            }
        }
        at_ = end;
        return value;
    }

    const std::string text_;
    std::size_t at_ = 0;
};

inline Value parse(const std::string &text) { return Reader(text).read(); }

inline Value read_file(const std::string &path) {
    std::ifstream file(path);
    if (!file) {
        throw std::runtime_error(path + " cannot be read");
    }
    std::stringstream text;
    text << file.rdbuf();
    return parse(text.str());
}

} // namespace json

#endif
