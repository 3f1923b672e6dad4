// Finds the document that is nearest to a question: embed MODEL.gguf
#include "example.hpp"

#include <algorithm>
#include <numeric>

int main(int argc, char **argv) {
    return with_model(argc, argv, "{}", [](const mullama::Model &model) {
        const std::vector<std::string> documents = {"Paris is the capital of France.",
                                                    "Bananas are rich in potassium.",
                                                    "A llama is a camelid."};
        const auto question =
            model.embed(mullama::embed_request({"What is the capital of France?"})).at(0).values;
        const auto rows = model.embed(mullama::embed_request(documents)).all();
        // Their length is 1, so that the sum of products is the cosine.
        const auto near = [&](const mullama::Embedding &row) {
            return std::inner_product(question.begin(), question.end(), row.values.begin(), 0.0f);
        };
        const auto best = std::max_element(rows.begin(), rows.end(),
                                           [&](auto &a, auto &b) { return near(a) < near(b); });
        std::cout << documents[static_cast<std::size_t>(best - rows.begin())] << "\n";
    });
}
