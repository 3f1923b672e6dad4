// Embeddings: who owns them, what they hold, and the errors of single texts.
#include "check.hpp"

#include <clocale>

using mullama::embed_request, mullama::Embedding, mullama::Embeddings, mullama::rank_request;
using mullama::Status;

static void requests() {
    CHECK(embed_request({}) == R"({"input":[]})");
    CHECK(embed_request({"a", "\"b"}, R"({"pooling":"none"})") ==
          R"({"input":["a","\"b"],"pooling":"none"})");
    CHECK(rank_request("q", {"a", "b"}, R"({"top_n":1})") ==
          R"({"query":"q","documents":["a","b"],"top_n":1})");
}

static void rows() {
    const Embeddings two =
        model().embed(embed_request({"ab", "c"}, R"({"pooling":"none","normalize":false})"));
    CHECK(two.size() == 2);
    const Embedding first = two.at(0);
    CHECK(first.rows == 2 && first.width == 2 && first.tokens == 2 && !first.truncated);
    CHECK(first.values == std::vector<float>{'a', 1, 'b', 1});
    CHECK(first.row(1)[0] == 'b' && two.all()[1].values[0] == 'c');
}

static void errors() {
    const Embeddings three = model().embed(embed_request({"a", "", "b"}));
    CHECK(three.size() == 3 && three.at(2).rows == 1);
    CHECK(fails(Status::Invalid, "empty", [&] { three.at(1); }));
    CHECK(fails(Status::Invalid, "empty", [&] { three.all(); }));
    CHECK(fails(Status::Invalid, "how many", [&] { three.at(3); }));
    CHECK(fails(Status::Invalid, "input", [] { model().embed("{}"); }));
    CHECK(fails(Status::Unsupported, "rank", [] { model().rerank(rank_request("q", {"a"})); }));
    CHECK(fails(Status::Unsupported, "score", [] { model().score(rank_request("q", {"a"})); }));
}

static void ownership() {
    Embeddings first = model().embed(embed_request({"a"}));
    Embeddings second = std::move(first);
    CHECK(second.size() == 1 && first.size() == 0); // what was moved from has none
    first = std::move(second);
    CHECK(first.at(0).width == 2);
}

// The answers of models that rank are read as they are written, in any locale.
static void rankings() {
    const std::string json = R"({"object":"list","results":[{"index":2,"relevance_score":0.75,)"
                             R"("document":{"text":"} \\\" {"}},{"index":0,)"
                             R"("relevance_score":-1.5e-3}],"method":"head"})";
    std::setlocale(LC_ALL, "de_DE.UTF-8"); // where it is installed
    const mullama::Ranking ranking = mullama::detail::ranking(json);
    std::setlocale(LC_ALL, "C");
    CHECK(ranking.results.size() == 2 && ranking.method == "head" && ranking.json == json);
    CHECK(ranking.results[0].index == 2 && ranking.results[0].score == 0.75);
    CHECK(ranking.results[1].index == 0 && ranking.results[1].score == -1.5e-3);
    for (const char *broken : {"", "{}", R"({"results":[{"index")", R"({"results":[}{"])"}) {
        CHECK(mullama::detail::ranking(broken).results.empty());
    }
}

void test_embed() {
    requests();
    rows();
    errors();
    ownership();
    rankings();
}
