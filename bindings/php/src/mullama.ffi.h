enum {
    MULLAMA_ABI_VERSION = 1
};
typedef int32_t mullama_status;
enum {
    MULLAMA_OK = 0,
    MULLAMA_END = 1,
    MULLAMA_ERR_INVALID = 2,
    MULLAMA_ERR_NOT_FOUND = 3,
    MULLAMA_ERR_NOT_GGUF = 4,
    MULLAMA_ERR_UNSUPPORTED = 5,
    MULLAMA_ERR_CONTEXT_FULL = 6,
    MULLAMA_ERR_TEMPLATE = 7,
    MULLAMA_ERR_GRAMMAR = 8,
    MULLAMA_ERR_OUT_OF_MEMORY = 9,
    MULLAMA_ERR_BUSY = 10,
    MULLAMA_ERR_STORE = 11,
    MULLAMA_ERR_LIBRARY_MISSING = 12,
    MULLAMA_ERR_CLOSED = 13,
    MULLAMA_ERR_CANCELLED = 14,
    MULLAMA_ERR_INTERNAL = 15,
    MULLAMA_ERR_FORKED = 16,
    MULLAMA_ERR_TOO_SMALL = 17,
    MULLAMA_ERR_UNREACHABLE = 18
};
typedef struct mullama_error mullama_error;
typedef struct mullama_runtime mullama_runtime;
typedef struct mullama_model mullama_model;
typedef struct mullama_embeddings mullama_embeddings;
typedef struct mullama_index mullama_index;
typedef struct mullama_stream mullama_stream;
uint32_t mullama_abi_version(void);
const char *mullama_version(void);
const char *mullama_status_name(mullama_status status);
mullama_status mullama_noop(mullama_error **error);
void mullama_string_free(char *text);
mullama_status mullama_error_status(const mullama_error *error);
const char *mullama_error_message(const mullama_error *error);
void mullama_error_free(mullama_error *error);
mullama_status mullama_runtime_open(const char *options, mullama_runtime **runtime,
    mullama_error **error);
void mullama_runtime_close(mullama_runtime *runtime);
mullama_status mullama_runtime_info(mullama_runtime *runtime, char **json, mullama_error **error);
mullama_status mullama_runtime_models(mullama_runtime *runtime, char **json, mullama_error **error);
typedef bool (*mullama_progress)(float fraction, void *user);
mullama_status mullama_model_load(mullama_runtime *runtime, const char *name, const char *options,
    mullama_progress progress, void *user, mullama_model **model, mullama_error **error);
void mullama_model_close(mullama_model *model);
mullama_status mullama_model_info(mullama_model *model, char **json, mullama_error **error);
enum {
    MULLAMA_ADD_SPECIAL = 1,
    MULLAMA_PARSE_SPECIAL = 2
};
mullama_status mullama_model_tokenize(mullama_model *model, const char *text, size_t text_size,
    uint32_t flags, int32_t *tokens, size_t capacity, size_t *count, mullama_error **error);
mullama_status mullama_model_detokenize(mullama_model *model, const int32_t *tokens, size_t count,
    char *text, size_t capacity, size_t *text_size, mullama_error **error);
mullama_status mullama_model_render(mullama_model *model, const char *request, char **json,
    mullama_error **error);
mullama_status mullama_model_chat(mullama_model *model, const char *request,
    mullama_stream **stream, mullama_error **error);
mullama_status mullama_model_generate(mullama_model *model, const char *request,
    mullama_stream **stream, mullama_error **error);
mullama_status mullama_model_embed(mullama_model *model, const char *request,
    mullama_embeddings **embeddings, mullama_error **error);
size_t mullama_embeddings_count(const mullama_embeddings *embeddings);
typedef struct mullama_embedding {
    size_t struct_size;
    const float *values;
    size_t rows;
    size_t width;
    size_t tokens;
    bool truncated;
} mullama_embedding;
mullama_status mullama_embeddings_get(const mullama_embeddings *embeddings, size_t index,
    mullama_embedding *embedding, mullama_error **error);
void mullama_embeddings_free(mullama_embeddings *embeddings);
mullama_status mullama_model_rerank(mullama_model *model, const char *request, char **json,
    mullama_error **error);
mullama_status mullama_model_score(mullama_model *model, const char *request, char **json,
    mullama_error **error);
mullama_status mullama_index_open(mullama_runtime *runtime, const char *path, mullama_model *model,
    const char *options, mullama_index **index, mullama_error **error);
void mullama_index_close(mullama_index *index);
mullama_status mullama_index_info(mullama_index *index, char **json, mullama_error **error);
mullama_status mullama_index_add(mullama_index *index, const char *request, mullama_error **error);
mullama_status mullama_index_train(mullama_index *index, const char *options,
    mullama_error **error);
mullama_status mullama_index_search(mullama_index *index, const char *request, char **json,
    mullama_error **error);
mullama_status mullama_index_verify(mullama_index *index, mullama_error **error);
typedef struct mullama_chunk {
    size_t struct_size;
    const char *text;
    size_t text_size;
    const char *thinking;
    size_t thinking_size;
    const int32_t *tokens;
    size_t token_count;
    const char *json;
    size_t json_size;
    bool done;
} mullama_chunk;
mullama_status mullama_stream_next(mullama_stream *stream, mullama_chunk *chunk,
    mullama_error **error);
typedef bool (*mullama_on_chunk)(const mullama_chunk *chunk, mullama_status status,
    const mullama_error *error, void *user);
mullama_status mullama_stream_deliver(mullama_stream *stream, mullama_on_chunk on_chunk, void *user,
    mullama_error **error);
mullama_status mullama_stream_cancel(mullama_stream *stream, mullama_error **error);
void mullama_stream_close(mullama_stream *stream);
