// Ends an answer after its fifth part: cancel MODEL.gguf
#include "example.h"

enum { PARTS = 5 };

int main(int argc, char **argv) {
    mullama_runtime *runtime = NULL;
    mullama_model *model = load(argc, argv, NULL, &runtime);
    mullama_stream *stream = NULL;
    mullama_error *error = NULL;
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};

    mullama_status status = mullama_model_generate(
        model,
        "{\"prompt\":\"Once upon a time\",\"options\":{\"temperature\":0,\"num_predict\":400}}",
        &stream, &error);
    must(status, error);
    for (int parts = 1; next(stream, &chunk); parts++) {
        if (parts == PARTS) {
            status = mullama_stream_cancel(stream, &error);
            must(status, error);
        }
        if (chunk.done) {
            const char *reason = field(&chunk, "done_reason"); // it is a string, in quotes
            printf("cancelled after %d parts\n", PARTS);
            reason += strspn(reason, "\"");
            printf("%.*s\n", (int)strcspn(reason, "\""), reason);
        }
    }

    mullama_stream_close(stream);
    mullama_model_close(model);
    mullama_runtime_close(runtime);
    return 0;
}
