// Writes a model with its weights in another type, by llama.cpp's own quantizer.
#include "oracle.h"

#include <stdio.h>
#include <string.h>

struct file_type {
    const char *name;
    enum llama_ftype type;
};

static const struct file_type file_types[] = {
    {"f32", LLAMA_FTYPE_ALL_F32},
    {"f16", LLAMA_FTYPE_MOSTLY_F16},
    {"bf16", LLAMA_FTYPE_MOSTLY_BF16},
    {"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
};

int cmd_quantize(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "mullama-oracle: quantize takes a model, a new file and a type\n");
        return 2;
    }
    struct llama_model_quantize_params params = llama_model_quantize_default_params();
    params.allow_requantize = true;
    for (size_t i = 0; i < sizeof(file_types) / sizeof(file_types[0]); i++) {
        if (strcmp(argv[3], file_types[i].name) == 0) {
            params.ftype = file_types[i].type;
            return llama_model_quantize(argv[1], argv[2], &params) == 0 ? 0 : 1;
        }
    }
    fprintf(stderr, "mullama-oracle: type \"%s\" is not f32, f16, bf16 or q8_0\n", argv[3]);
    return 2;
}
