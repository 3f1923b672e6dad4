// Ten answers at once, which are computed in the same steps of the model: concurrent MODEL.gguf
#include "example.hpp"

#include <algorithm>
#include <vector>

int main(int argc, char **argv) {
    return with_model(argc, argv, R"({"slots":10})", [](const mullama::Model &model) {
        std::vector<mullama::Stream> streams;
        for (int i = 0; i < 10; i++) { // this does not wait
            streams.push_back(model.chat(capital_of_france()));
        }
        std::vector<std::string> answers;
        for (mullama::Stream &stream : streams) {
            answers.push_back(stream.collect().text);
        }
        const auto same = std::count(answers.begin(), answers.end(), answers.front());
        std::cout << answers.size() << " answers, all the same: " << std::boolalpha
                  << (same == static_cast<long>(answers.size())) << "\n";
    });
}
