// The quick start: an answer without an engine or a model. The model "echo" repeats what it is
// sent; with a path of a GGUF file instead of "echo", and NULL for the options, a real model talks.
#include <mullama.h>

#include <stdio.h>

int main(void) {
    mullama_runtime *runtime = NULL;
    mullama_model *model = NULL;
    mullama_stream *stream = NULL;
    mullama_error *error = NULL;
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};

    if (mullama_runtime_open("{\"echo\":true}", &runtime, &error) == MULLAMA_OK &&
        mullama_model_load(runtime, "echo", NULL, NULL, NULL, &model, &error) == MULLAMA_OK &&
        mullama_model_chat(model, "{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}",
                           &stream, &error) == MULLAMA_OK) {
        while (mullama_stream_next(stream, &chunk, &error) == MULLAMA_OK) {
            fwrite(chunk.text, 1, chunk.text_size, stdout);
        }
        putchar('\n');
    }
    if (error != NULL) {
        fprintf(stderr, "%s\n", mullama_error_message(error));
    }
    mullama_stream_close(stream); // closing what was never opened does nothing
    mullama_model_close(model);
    mullama_runtime_close(runtime);
    mullama_status status = mullama_error_status(error);
    mullama_error_free(error);
    return status == MULLAMA_OK ? 0 : 1;
}
