// Opens a runtime and prints the error: run with a library of another ABI version.
#include <mullama.hpp>

#include <iostream>

int main() {
    try {
        mullama::Runtime runtime;
    } catch (const mullama::Error &error) {
        std::cout << error.name() << ": " << error.what() << "\n";
        return 3;
    }
    return 0;
}
