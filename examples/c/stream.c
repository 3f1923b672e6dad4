// Shows the parts of an answer as they come, and how many tokens it has: stream MODEL.gguf
#include "example.h"

int main(int argc, char **argv) {
    mullama_runtime *runtime = NULL;
    mullama_model *model = load(argc, argv, NULL, &runtime);
    mullama_stream *stream = NULL;
    mullama_error *error = NULL;
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    long count = 0;

    mullama_status status = mullama_model_chat(model, CAPITAL_OF_FRANCE, &stream, &error);
    must(status, error);
    while (next(stream, &chunk)) {
        if (chunk.text_size > 0) { // the last part has no text
            fwrite(chunk.text, 1, chunk.text_size, stdout);
            putchar('|');
            fflush(stdout);
        }
        if (chunk.done) {
            count = strtol(field(&chunk, "eval_count"), NULL, 10);
        }
    }
    printf("\n%ld tokens\n", count);

    mullama_stream_close(stream);
    mullama_model_close(model);
    mullama_runtime_close(runtime);
    return 0;
}
