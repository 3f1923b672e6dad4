// Finds the document that is nearest to a question: embed MODEL.gguf
#include "example.h"

static const char *const documents[] = {"Paris is the capital of France.",
                                        "Bananas are rich in potassium.", "A llama is a camelid."};

// The question and the documents.
#define TEXTS                                                                             \
    "{\"input\":[\"What is the capital of France?\",\"Paris is the capital of France.\"," \
    "\"Bananas are rich in potassium.\",\"A llama is a camelid.\"]}"

// The embedding of a text.
static mullama_embedding get(const mullama_embeddings *embeddings, size_t index) {
    mullama_error *error = NULL;
    mullama_embedding embedding = {.struct_size = sizeof(embedding)};
    mullama_status status = mullama_embeddings_get(embeddings, index, &embedding, &error);
    must(status, error);
    return embedding;
}

// How alike two embeddings are: their length is 1.
static float cosine(const mullama_embedding *a, const mullama_embedding *b) {
    float sum = 0;
    for (size_t i = 0; i < a->width; i++) {
        sum += a->values[i] * b->values[i];
    }
    return sum;
}

int main(int argc, char **argv) {
    mullama_runtime *runtime = NULL;
    mullama_model *model = load(argc, argv, NULL, &runtime);
    mullama_embeddings *embeddings = NULL;
    mullama_error *error = NULL;

    mullama_status status = mullama_model_embed(model, TEXTS, &embeddings, &error);
    must(status, error);
    const mullama_embedding question = get(embeddings, 0);
    size_t best = 0;
    float nearest = -1;
    for (size_t i = 1; i < mullama_embeddings_count(embeddings); i++) {
        const mullama_embedding document = get(embeddings, i);
        const float near = cosine(&question, &document);
        if (near > nearest) {
            nearest = near;
            best = i - 1;
        }
    }
    puts(documents[best]);

    mullama_embeddings_free(embeddings);
    mullama_model_close(model);
    mullama_runtime_close(runtime);
    return 0;
}
