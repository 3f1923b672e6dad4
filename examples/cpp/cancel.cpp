// Ends an answer after its fifth part: cancel MODEL.gguf
#include "example.hpp"

int main(int argc, char **argv) {
    return with_model(argc, argv, "{}", [](const mullama::Model &model) {
        mullama::Stream stream = model.generate(mullama::generate_request(
            "Once upon a time", R"({"options":{"temperature":0,"num_predict":400}})"));
        for (int parts = 0; parts < 5; parts++) {
            stream.next();
        }
        stream.cancel();
        const mullama::Answer rest = stream.collect();
        std::cout << "cancelled after 5 parts\n" << rest.done_reason << "\n";
    });
}
