// LoRA adapters and control vectors, as the commands' options name them.
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *text_option(int argc, char **argv, const char *name) {
    size_t length = strlen(name);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') {
            return argv[i] + length + 1;
        }
    }
    return NULL;
}

static bool tune_lora(struct engine *engine, int argc, char **argv) {
    enum { MOST = 2 };
    static const char *const files[MOST] = {"lora", "lora2"};
    static const char *const scales[MOST] = {"lora_scale", "lora2_scale"};
    struct llama_adapter_lora *adapters[MOST];
    float factors[MOST];
    size_t n = 0;
    for (int i = 0; i < MOST; i++) {
        const char *path = text_option(argc, argv, files[i]);
        if (path == NULL) {
            continue;
        }
        adapters[n] = llama_adapter_lora_init(engine->model, path);
        if (adapters[n] == NULL) {
            return false;
        }
        factors[n++] = (float)option(argc, argv, scales[i], 1);
    }
    return n == 0 || llama_set_adapters_lora(engine->ctx, adapters, n, factors) == 0;
}

bool tune(struct engine *engine, int argc, char **argv) {
    if (!tune_lora(engine, argc, argv)) {
        return false;
    }
    const char *path = text_option(argc, argv, "steer");
    if (path == NULL) {
        return true;
    }
    size_t size = 0;
    char *data = file_read(path, &size);
    if (data == NULL) {
        return false;
    }
    int32_t first = (int32_t)option(argc, argv, "steer_first", 1);
    int32_t last = (int32_t)option(argc, argv, "steer_last", 0);
    int32_t code =
        llama_set_adapter_cvec(engine->ctx, (const float *)(const void *)data, size / sizeof(float),
                               llama_model_n_embd(engine->model), first, last);
    free(data);
    return code == 0;
}
