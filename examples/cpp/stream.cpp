// Shows the parts of an answer as they come, and how many tokens it has: stream MODEL.gguf
#include "example.hpp"

int main(int argc, char **argv) {
    return with_model(argc, argv, "{}", [](const mullama::Model &model) {
        std::string count;
        for (const mullama::Chunk &part : model.chat(capital_of_france())) {
            if (!part.text.empty()) { // the last part has no text
                std::cout << part.text << "|" << std::flush;
            }
            if (part.done) {
                count = mullama::field(part.json, "eval_count");
            }
        }
        std::cout << "\n" << count << " tokens\n";
    });
}
