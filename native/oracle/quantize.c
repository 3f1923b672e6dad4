// Writes a model with its weights in another type, by llama.cpp's own quantizer.
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
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

// One of those above, or a number of enum llama_ftype.
static bool find_type(const char *text, enum llama_ftype *type) {
    char *end = NULL;
    long number = strtol(text, &end, 10);
    for (size_t i = 0; i < sizeof(file_types) / sizeof(file_types[0]); i++) {
        if (strcmp(text, file_types[i].name) == 0) {
            *type = file_types[i].type;
            return true;
        }
    }
    *type = (enum llama_ftype)number;
    return *text != '\0' && *end == '\0';
}

// The importance matrix in a record file: names and their numbers by turns. NULL: there is none.
static struct llama_model_imatrix_data *read_matrix(const char *path, struct records *records) {
    if (path == NULL || !records_read(path, records)) {
        return NULL;
    }
    struct llama_model_imatrix_data *list = must_alloc(records->count / 2 + 1, sizeof(*list));
    for (size_t i = 0; i + 1 < records->count; i += 2) {
        struct record name = records->items[i], data = records->items[i + 1];
        char *text = must_alloc(name.size + 1, 1);
        float *numbers = must_alloc(data.size, 1);
        memcpy(text, name.data, name.size);
        memcpy(numbers, data.data, data.size);
        list[i / 2] = (struct llama_model_imatrix_data){text, numbers, data.size / sizeof(float)};
    }
    return list;
}

static void free_matrix(struct llama_model_imatrix_data *list, struct records *records) {
    for (size_t i = 0; list != NULL && list[i].name != NULL; i++) {
        free((void *)list[i].name);
        free((void *)list[i].data);
    }
    free(list);
    if (list != NULL) {
        records_free(records);
    }
}

int cmd_quantize(int argc, char **argv) {
    struct llama_model_quantize_params params = llama_model_quantize_default_params();
    if (argc < 4 || !find_type(argv[3], &params.ftype)) {
        fprintf(stderr, "mullama-oracle: quantize takes a model, a new file and a type: f32, f16, "
                        "bf16, q8_0 or a number\n");
        return 2;
    }
    params.allow_requantize = true;
    params.nthread = (int32_t)option(argc, argv, "threads", 0);
    params.pure = option(argc, argv, "pure", 0) != 0;
    struct records records = {0};
    const char *path = text_option(argc, argv, "imatrix");
    struct llama_model_imatrix_data *matrix = read_matrix(path, &records);
    if (path != NULL && matrix == NULL) {
        return 1;
    }
    params.imatrix = matrix;
    uint32_t code = llama_model_quantize(argv[1], argv[2], &params);
    free_matrix(matrix, &records);
    return code == 0 ? 0 : 1;
}
