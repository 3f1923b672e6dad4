// What the examples share: the model that is the program's argument, a chat, and what errors say.
#ifndef EXAMPLE_HPP
#define EXAMPLE_HPP

#include <mullama.hpp>

#include <exception>
#include <iostream>
#include <string>

// The chat that most examples ask for.
inline std::string capital_of_france() {
    return mullama::chat_request(
        {{"system", "You are a helpful assistant."}, {"user", "What is the capital of France?"}},
        R"({"options":{"temperature":0}})");
}

// Loads the model that is the program's argument and has it used.
template <typename Use> int with_model(int argc, char **argv, const std::string &options, Use use) {
    if (argc != 2) {
        std::cerr << "usage: " << argv[0] << " MODEL.gguf\n";
        return 2;
    }
    try {
        const mullama::Runtime runtime;
        use(runtime.load(argv[1], options));
        return 0;
    } catch (const mullama::Error &error) {
        std::cerr << error.name() << ": " << error.what() << "\n";
        return 1;
    }
}

#endif
