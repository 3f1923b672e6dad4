// Answers a question: chat MODEL.gguf
#include "example.h"

int main(int argc, char **argv) {
    mullama_runtime *runtime = NULL;
    mullama_model *model = load(argc, argv, NULL, &runtime);
    mullama_stream *stream = NULL;
    mullama_error *error = NULL;
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};

    mullama_status status = mullama_model_chat(model, CAPITAL_OF_FRANCE, &stream, &error);
    must(status, error);
    while (next(stream, &chunk)) {
        fwrite(chunk.text, 1, chunk.text_size, stdout);
    }
    putchar('\n');

    mullama_stream_close(stream);
    mullama_model_close(model);
    mullama_runtime_close(runtime);
    return 0;
}
