// The functions that write and read JSON.
#include "check.hpp"

using mullama::chat_request, mullama::field, mullama::generate_request;
using mullama::quote, mullama::Status, mullama::unquote;

static void writes() {
    CHECK(quote("") == R"("")");
    CHECK(quote("h\xc3\xa9 \"x\" \\ /") == "\"h\xc3\xa9 \\\"x\\\" \\\\ /\"");
    CHECK(quote(std::string("a\0b\n\x1f\x7f", 6)) == "\"a\\u0000b\\u000a\\u001f\x7f\"");
    CHECK(chat_request({}) == R"({"messages":[]})");
    CHECK(chat_request({{"user", "a"}, {"assistant", "\""}}) ==
          R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"\""}]})");
    CHECK(generate_request("a", "{}") == R"({"prompt":"a"})");
    CHECK(generate_request("a", " { } ") == R"({"prompt":"a" } )");
    CHECK(generate_request("a", R"( {"raw":true})") == R"({"prompt":"a","raw":true})");
    CHECK(fails(Status::Invalid, "object", [] { generate_request("a", "[]"); }));
    CHECK(fails(Status::Invalid, "object", [] { generate_request("a", ""); }));
    // An object that is not closed is the library's to refuse.
    CHECK(fails(Status::Invalid, "JSON", [] { model().generate(generate_request("a", "{")); }));
}

static void reads() {
    const char *json = R"( {"a\"":{"n":1},"s" : "x,}\"y" , "n":-8 ,"l":[1,{"n":2}],"t":true} )";
    CHECK(field(json, "s") == R"("x,}\"y")");
    CHECK(field(json, "n") == "-8");
    CHECK(field(json, "l") == R"([1,{"n":2}])");
    CHECK(field(json, "t") == "true");
    CHECK(field(json, R"(a\")") == R"({"n":1})");
    CHECK(field(json, "x") == "");
    // No text makes it read past the end.
    for (const char *broken : {"", "{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"\\", "]", "{\"a\":}",
                               "{\"a\":,", "\"a\":1}", "   "}) {
        CHECK(field(broken, "a") == "");
    }
    CHECK(field("{\"a\": 1", "a") == "");
}

static void unquotes() {
    CHECK(unquote(R"("")") == "");
    CHECK(unquote(R"("a\"\\\/\b\f\n\r\t")") == "a\"\\/\b\f\n\r\t");
    CHECK(unquote(R"("\u0000\u0041\u00e9\u4E16\ud83d\ude00")") ==
          std::string("\0A\xc3\xa9\xe4\xb8\x96\xf0\x9f\x98\x80", 11));
    CHECK(unquote(R"("\ud83d")") == "\xef\xbf\xbd");
    CHECK(unquote(R"("\ud83d\u0041")") == "\xef\xbf\xbd"
                                          "A");
    CHECK(unquote(R"("\ude00!")") == "\xef\xbf\xbd!");
    CHECK(unquote("true") == "" && unquote("\"") == "" && unquote("") == "");
    for (const char *broken : {"\"\\\"", "\"\\u\"", "\"\\u12\"", "\"\\ud83d\\u\"", "\"\\uzzzz\""}) {
        unquote(broken); // whatever it is, nothing is read past the end
    }
    std::string all;
    for (int c = 0; c < 128; c++) {
        all += static_cast<char>(c);
    }
    CHECK(unquote(quote(all)) == all);
    CHECK(model().chat(say(all)).collect().text == all);
}

void test_json() {
    writes();
    reads();
    unquotes();
}
