// Ends the process while a model answers: exit MODEL.
#include "check.h"

int main(int argc, char **argv) {
    mullama_runtime *runtime = NULL;
    mullama_model *model = NULL;
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    if (argc != 2) {
        return 2;
    }
    SUCCEEDS(mullama_runtime_open(NULL, &runtime, &error));
    SUCCEEDS(mullama_model_load(runtime, argv[1], NULL, NULL, NULL, &model, &error));
    for (int i = 0; i < 3; i++) {
        mullama_stream *stream = NULL;
        SUCCEEDS(mullama_model_generate(
            model, "{\"prompt\":\"Once\",\"options\":{\"num_predict\":200}}", &stream, &error));
        SUCCEEDS(mullama_stream_next(stream, &chunk, &error));
    }
    printf("ok, %d checks\n", checks);
    return 0; // with all of it open
}
