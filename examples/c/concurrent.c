// Ten answers at once, which are computed in the same steps of the model: concurrent MODEL.gguf
#include "example.h"

enum { REQUESTS = 10, LENGTH = 4096 };

// Reads an answer to its end.
static void collect(mullama_stream *stream, char text[LENGTH]) {
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    size_t size = 0;
    while (next(stream, &chunk)) {
        size_t room = LENGTH - 1 - size;
        size_t n = chunk.text_size < room ? chunk.text_size : room;
        memcpy(text + size, chunk.text, n);
        size += n;
    }
    text[size] = '\0';
}

int main(int argc, char **argv) {
    mullama_runtime *runtime = NULL;
    mullama_model *model = load(argc, argv, "{\"slots\":10}", &runtime);
    mullama_stream *streams[REQUESTS];
    mullama_error *error = NULL;
    char first[LENGTH], text[LENGTH];
    bool same = true;

    for (int i = 0; i < REQUESTS; i++) { // this does not wait
        mullama_status status = mullama_model_chat(model, CAPITAL_OF_FRANCE, &streams[i], &error);
        must(status, error);
    }
    for (int i = 0; i < REQUESTS; i++) {
        collect(streams[i], i == 0 ? first : text);
        same = same && (i == 0 || strcmp(text, first) == 0);
        mullama_stream_close(streams[i]);
    }
    printf("%d answers, all the same: %s\n", REQUESTS, same ? "true" : "false");

    mullama_model_close(model);
    mullama_runtime_close(runtime);
    return 0;
}
