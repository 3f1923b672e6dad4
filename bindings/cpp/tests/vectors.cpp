// Runs the cases of conformance/vectors: vectors FOLDER RESULTS [MODEL]
//
// The file echo.json is run always, smollm2.json if its model is given, minilm.json and ranker.json
// if MULLAMA_TEST_EMBED_MODEL and MULLAMA_TEST_RANK_MODEL name theirs, and these once more as
// "daemon" over the daemon that MULLAMA_TEST_URL names. RESULTS receives how each case ended.
#include "json.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include <unistd.h>

namespace {

const char *const language = "cpp";

// What a case gave, to be compared with what its fields want.
struct Result {
    std::string text;
    std::vector<std::string> parts;
    std::vector<json::Value> logprobs;
    json::Value last;
    std::vector<std::int32_t> tokens;
    std::vector<mullama::Embedding> embeddings;
    std::vector<std::string> errors; // of the texts that these are of
    mullama::Ranking ranking;
    std::vector<mullama::Found> found;
    json::Value info; // of the index
};

// A case that did not give what it wants.
struct Wrong : std::runtime_error {
    using runtime_error::runtime_error;
};

std::vector<std::int32_t> tokens_of(const json::Value &list) {
    std::vector<std::int32_t> tokens;
    for (const json::Value &item : list.items) {
        tokens.push_back(static_cast<std::int32_t>(item.number));
    }
    return tokens;
}

bool flag(const json::Value &vector, const std::string &name) {
    const auto &flags = vector["flags"].items;
    return std::any_of(flags.begin(), flags.end(),
                       [&](const json::Value &value) { return value.string == name; });
}

void read(mullama::Stream stream, const json::Value &vector, Result &result) {
    const auto cancel_after = static_cast<std::size_t>(vector["cancel_after"].number);
    for (const mullama::Chunk &part : stream) {
        result.text += part.text;
        result.parts.emplace_back(part.text);
        if (result.parts.size() == cancel_after) {
            stream.cancel();
        }
        const json::Value more = json::parse(part.json.empty() ? "{}" : std::string(part.json));
        const auto &logprobs = more["logprobs"].items;
        result.logprobs.insert(result.logprobs.end(), logprobs.begin(), logprobs.end());
        if (part.done) {
            result.last = more;
        }
    }
}

// Opens a runtime of the case's own, and loads a model if one is named.
void open(const json::Value &vector) {
    const mullama::Runtime own(vector["options"].raw);
    if (vector.has("model")) {
        own.load(vector["model"].string);
    } else {
        own.info();
    }
}

// Takes the embeddings and the errors of texts, which are errors of the case unless it wants them.
void read(const mullama::Embeddings &embeddings, const json::Value &vector, Result &result) {
    for (std::size_t i = 0; i < embeddings.size(); i++) {
        try {
            result.embeddings.push_back(embeddings.at(i));
            result.errors.emplace_back();
        } catch (const mullama::Error &error) {
            if (!vector.has("want_errors")) {
                throw;
            }
            result.embeddings.emplace_back();
            result.errors.emplace_back(error.name());
        }
    }
}

// Fills an index, opens it anew, and searches it.
void search(const mullama::Runtime &runtime, const mullama::Model &model, const json::Value &vector,
            Result &result) {
    const std::string own =
        (std::filesystem::temp_directory_path() / ("mullama-" + std::to_string(getpid()))).string();
    const std::string path = vector.has("model") ? vector["model"].string : own;
    const auto open = [&](const std::string &options) {
        return flag(vector, "no_model") ? runtime.open_index(path, options)
                                        : runtime.open_index(path, model, options);
    };
    std::filesystem::remove(own);
    {
        const mullama::Index index = open(vector.has("options") ? vector["options"].raw : "{}");
        for (const json::Value &request : vector["add"].items) {
            index.add(request.raw);
        }
        if (vector.has("train")) {
            index.train(static_cast<std::size_t>(vector["train"]["groups"].number));
        }
    }
    const mullama::Index index = open("{}");
    result.found = index.search(vector["request"].raw);
    result.info = json::parse(index.info());
    index.verify();
    std::filesystem::remove(own);
}

Result run(const mullama::Runtime &runtime, const mullama::Model &model,
           const json::Value &vector) {
    const std::string op = vector["op"].string, request = vector["request"].raw;
    Result result;
    if (op == "tokenize") {
        result.tokens = model.tokenize(vector["text"].string, flag(vector, "add_special"),
                                       flag(vector, "parse_special"));
    } else if (op == "detokenize") {
        result.text = model.detokenize(tokens_of(vector["tokens"]));
    } else if (op == "render") {
        result.text = model.render(request);
    } else if (op == "chat") {
        read(model.chat(request), vector, result);
    } else if (op == "generate") {
        read(model.generate(request), vector, result);
    } else if (op == "embed") {
        read(model.embed(request), vector, result);
    } else if (op == "rerank") {
        result.ranking = model.rerank(request);
    } else if (op == "score") {
        result.ranking = model.score(request);
    } else if (op == "index") {
        search(runtime, model, vector, result);
    } else if (op == "open") {
        open(vector);
    } else if (op == "load") {
        runtime.load(vector["model"].string, vector["options"].raw);
    } else {
        throw Wrong("the op " + op + " is not known");
    }
    return result;
}

void compare_logprobs(const std::vector<json::Value> &got, const std::vector<json::Value> &want) {
    const double near = 0.05;
    bool equal = got.size() == want.size();
    for (std::size_t i = 0; equal && i < got.size(); i++) {
        const double off = got[i]["logprob"].number - want[i]["logprob"].number;
        equal = got[i]["token"] == want[i]["token"] && std::abs(off) <= near &&
                static_cast<double>(got[i]["top_logprobs"].items.size()) == want[i]["top"].number;
    }
    if (!equal) {
        throw Wrong("there are other log probabilities, " + std::to_string(got.size()));
    }
}

// The rows have nearly the direction and the length of those of a case.
void compare_rows(const mullama::Embedding &got, const std::vector<json::Value> &want) {
    const double near_cosine = 0.9999, near_length = 0.02;
    if (got.rows != want.size() || got.width != want[0].items.size()) {
        throw Wrong("an embedding has " + std::to_string(got.rows) + " rows of " +
                    std::to_string(got.width));
    }
    for (std::size_t i = 0; i < got.rows; i++) {
        double product = 0, mine = 0, theirs = 0;
        for (std::size_t j = 0; j < got.width; j++) {
            const double x = got.row(i)[j], y = want[i].items[j].number;
            product += x * y;
            mine += x * x;
            theirs += y * y;
        }
        const double cosine = product / std::sqrt(mine * theirs);
        const double length = std::sqrt(mine / theirs);
        if (!(cosine >= near_cosine && std::abs(length - 1) <= near_length)) {
            throw Wrong("row " + std::to_string(i) + " has the cosine " + std::to_string(cosine));
        }
    }
}

void compare_embeddings(const Result &result, const json::Value &vector) {
    const auto &all = result.embeddings;
    for (const char *name : {"want_embeddings", "want_tokens", "want_truncated", "want_errors"}) {
        if (vector.has(name) && vector[name].items.size() != all.size()) {
            throw Wrong("there are " + std::to_string(all.size()) + " embeddings");
        }
    }
    for (std::size_t i = 0; i < all.size(); i++) {
        if (vector.has("want_embeddings")) {
            compare_rows(all[i], vector["want_embeddings"].items[i].items);
        }
        if (vector.has("want_tokens") &&
            static_cast<double>(all[i].tokens) != vector["want_tokens"].items[i].number) {
            throw Wrong("a text has " + std::to_string(all[i].tokens) + " tokens");
        }
        if (vector.has("want_truncated") &&
            all[i].truncated != vector["want_truncated"].items[i].truth) {
            throw Wrong("other texts are cut");
        }
        if (vector.has("want_errors") &&
            result.errors[i] != vector["want_errors"].items[i].string) {
            throw Wrong("the error of a text is " + result.errors[i]);
        }
    }
}

void compare_scores(const mullama::Ranking &got, const json::Value &vector) {
    const double near = 0.03;
    const auto &want = vector["want_scores"].items;
    bool equal = got.results.size() == want.size() &&
                 (!vector.has("want_method") || got.method == vector["want_method"].string);
    for (std::size_t i = 0; equal && i < want.size(); i++) {
        const double score = want[i]["score"].number;
        equal = static_cast<double>(got.results[i].index) == want[i]["index"].number &&
                std::abs(got.results[i].score - score) <= near * std::max(1.0, std::abs(score));
    }
    if (!equal) {
        throw Wrong("the scores are " + got.json);
    }
}

void compare_found(const Result &result, const json::Value &vector) {
    const double near = 0.03;
    const auto &want = vector["want_found"].items;
    bool equal = result.found.size() == want.size();
    for (std::size_t i = 0; equal && i < want.size(); i++) {
        const double score = want[i]["score"].number;
        equal = result.found[i].id == want[i]["id"].string &&
                std::abs(result.found[i].score - score) <= near * std::max(1.0, std::abs(score));
    }
    if (!equal) {
        throw Wrong("other documents are found, " + std::to_string(result.found.size()));
    }
    for (const auto &[name, value] : vector["want_info"].fields) {
        if (!(result.info[name] == value)) {
            throw Wrong(name + " of the index is " + result.info[name].raw);
        }
    }
}

void compare(const Result &result, const json::Value &vector) {
    if (vector.has("want_error")) {
        throw Wrong("no error, want " + vector["want_error"].string);
    }
    if (vector["op"].string == "tokenize" && result.tokens != tokens_of(vector["tokens"])) {
        throw Wrong("other tokens");
    }
    if (vector.has("want_text") && result.text != vector["want_text"].string) {
        throw Wrong("the text is " + mullama::quote(result.text));
    }
    if (vector.has("want_parts")) {
        std::vector<std::string> want;
        for (const json::Value &item : vector["want_parts"].items) {
            want.push_back(item.string);
        }
        if (result.parts != want) {
            throw Wrong("there are other parts, " + std::to_string(result.parts.size()));
        }
    }
    if (vector["op"].string == "embed") {
        compare_embeddings(result, vector);
    }
    if (vector["op"].string == "index") {
        compare_found(result, vector);
    }
    if (vector.has("want_scores")) {
        compare_scores(result.ranking, vector);
    }
    if (vector.has("want_logprobs")) {
        compare_logprobs(result.logprobs, vector["want_logprobs"].items);
    }
    for (const auto &[name, want] : vector["want_last"].fields) {
        if (!(result.last[name] == want)) {
            throw Wrong(name + " is " + result.last[name].raw + ", want " + want.raw);
        }
    }
}

void compare_error(const mullama::Error &error, const json::Value &vector) {
    const std::string message = error.what();
    if (error.name() != vector["want_error"].string ||
        message.find(vector["want_message"].string) == std::string::npos) {
        throw Wrong(std::string("the error is ") + error.name() + ": " + message);
    }
}

void replace_all(std::string &text, const std::string &from, const std::string &to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
        text.replace(at, from.size(), to);
    }
}

class Runner {
  public:
    explicit Runner(std::string folder) : folder_(std::move(folder)) {}

    // Runs the cases of a file, under a name, with a model.
    void run_file(const std::string &name, const std::string &as, const mullama::Runtime &runtime,
                  const std::string &model_name) {
        std::string text = json::read_file(folder_ + "/" + name + ".json").raw;
        replace_all(text, "$VECTORS", folder_);
        replace_all(text, "$MODEL", model_name);
        const json::Value file = json::parse(text);
        const mullama::Model model = runtime.load(model_name, file["load"].raw);
        for (const json::Value &vector : file["cases"].items) {
            const std::string full = as + "/" + vector["name"].string;
            const json::Value &skips = vector["skip"];
            if (skips.has(language) || skips.has(as)) {
                skip(full, skips[skips.has(language) ? language : as].string);
            } else {
                report(full, run_case(full, runtime, model, vector));
            }
        }
    }

    bool write(const std::string &path) const {
        std::ofstream file(path);
        file << "{\"language\": \"" << language << "\", \"passed\": " << passed_
             << ", \"failed\": " << failed_ << ", \"skipped\": [" << skipped_ << "], \"cases\": {"
             << cases_ << "}}\n";
        file.flush();
        std::cout << "vectors: " << passed_ << " passed, " << failed_ << " failed, " << skips_
                  << " skipped\n";
        return file.good() && failed_ == 0 && passed_ > 0;
    }

  private:
    static bool run_case(const std::string &full, const mullama::Runtime &runtime,
                         const mullama::Model &model, const json::Value &vector) {
        try {
            try {
                compare(run(runtime, model, vector), vector);
            } catch (const mullama::Error &error) {
                compare_error(error, vector);
            }
            return true;
        } catch (const std::exception &wrong) {
            std::cout << "FAILED " << full << ": " << wrong.what() << "\n";
            return false;
        }
    }

    void report(const std::string &full, bool passed) {
        (passed ? passed_ : failed_)++;
        note(cases_, mullama::quote(full) + ": " + (passed ? "\"passed\"" : "\"failed\""));
    }

    void skip(const std::string &full, const std::string &reason) {
        std::cout << "skipped " << full << ": " << reason << "\n";
        skips_++;
        note(skipped_, "{\"name\": " + mullama::quote(full) +
                           ", \"reason\": " + mullama::quote(reason) + "}");
        note(cases_, mullama::quote(full) + ": \"skipped\"");
    }

    static void note(std::string &list, const std::string &item) {
        list += list.empty() ? item : ", " + item;
    }

    const std::string folder_;
    int passed_ = 0, failed_ = 0, skips_ = 0;
    std::string cases_, skipped_;
};

// The value of a variable of the environment; "" if it is not set.
std::string variable(const char *name) {
    const char *value = std::getenv(name);
    return value != nullptr ? value : "";
}

void run_all(Runner &runner, const std::string &model) {
    const std::pair<const char *, std::string> files[] = {
        {"smollm2", model},
        {"minilm", variable("MULLAMA_TEST_EMBED_MODEL")},
        {"ranker", variable("MULLAMA_TEST_RANK_MODEL")},
    };
    const std::string url = variable("MULLAMA_TEST_URL");
    runner.run_file("echo", "echo", mullama::Runtime(R"({"echo":true})"), "echo");
    for (const auto &[name, file] : files) {
        if (file.empty()) {
            continue;
        }
        runner.run_file(name, name, mullama::Runtime(), file);
        if (!url.empty()) {
            const mullama::Runtime daemon(R"({"url":)" + mullama::quote(url) + "}");
            runner.run_file(name, "daemon", daemon, name);
        }
    }
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 3) {
        std::cerr << "vectors FOLDER RESULTS [MODEL]\n";
        return 2;
    }
    try {
        Runner runner(argv[1]);
        run_all(runner, argc > 3 ? argv[3] : "");
        return runner.write(argv[2]) ? 0 : 1;
    } catch (const std::exception &error) {
        std::cerr << "vectors: " << error.what() << "\n";
        return 1;
    }
}
