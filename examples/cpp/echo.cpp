// The quick start: an answer without an engine or a model. The model "echo" repeats what it is
// sent; mullama::Runtime runtime; and a path of a GGUF file have a real model talk.
#include <mullama.hpp>

#include <iostream>

int main() {
    try {
        const mullama::Runtime runtime(R"({"echo":true})");
        const mullama::Model model = runtime.load("echo");
        const std::string request = mullama::chat_request({{"user", "Hello"}});
        for (const mullama::Chunk &part : model.chat(request)) {
            std::cout << part.text << std::flush;
        }
        std::cout << "\n";
    } catch (const mullama::Error &error) {
        std::cerr << error.name() << ": " << error.what() << "\n";
        return 1;
    }
}
