// Answers a question: chat MODEL.gguf
#include "example.hpp"

int main(int argc, char **argv) {
    return with_model(argc, argv, "{}", [](const mullama::Model &model) {
        std::cout << model.chat(capital_of_france()).collect().text << "\n";
    });
}
