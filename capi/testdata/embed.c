// Embeds, ranks and scores with good and bad arguments, on the model that repeats.
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static mullama_runtime *runtime;
static mullama_model *model;

static void one_text(void) {
    mullama_embeddings *embeddings = NULL;
    mullama_embedding e = {.struct_size = sizeof(e)};
    SUCCEEDS(
        mullama_model_embed(model, "{\"input\":\"abc\",\"normalize\":false}", &embeddings, &error));
    CHECK(mullama_embeddings_count(embeddings) == 1);
    SUCCEEDS(mullama_embeddings_get(embeddings, 0, &e, &error));
    CHECK(e.rows == 1 && e.width == 2 && e.tokens == 3 && !e.truncated);
    CHECK(e.values[0] == 'b' && e.values[1] == 1);
    FAILS(MULLAMA_ERR_INVALID, "count", mullama_embeddings_get(embeddings, 1, &e, &error));
    FAILS(MULLAMA_ERR_INVALID, "NULL", mullama_embeddings_get(NULL, 0, &e, &error));
    FAILS(MULLAMA_ERR_INVALID, "struct_size", mullama_embeddings_get(embeddings, 0, NULL, &error));
    e.struct_size = offsetof(mullama_embedding, truncated);
    FAILS(MULLAMA_ERR_INVALID, "struct_size", mullama_embeddings_get(embeddings, 0, &e, &error));
    CHECK(mullama_embeddings_get(embeddings, 0, &e, NULL) == MULLAMA_ERR_INVALID);
    mullama_embeddings_free(embeddings);
    mullama_embeddings_free(NULL);
    CHECK(mullama_embeddings_count(NULL) == 0);
}

// Each text has its numbers or its error.
static void several_texts(void) {
    mullama_embeddings *embeddings = NULL;
    mullama_embedding e = {.struct_size = sizeof(e)};
    SUCCEEDS(mullama_model_embed(
        model, "{\"input\":[\"ab\",\"\",\"123456789\",\"c\"],\"pooling\":\"none\"}", &embeddings,
        &error));
    CHECK(mullama_embeddings_count(embeddings) == 4);
    SUCCEEDS(mullama_embeddings_get(embeddings, 0, &e, &error));
    CHECK(e.rows == 2 && e.width == 2 && e.tokens == 2);
    CHECK(e.values[0] > 0.9999f && e.values[2] > 0.9999f && e.values[1] > e.values[3]);
    FAILS(MULLAMA_ERR_INVALID, "empty", mullama_embeddings_get(embeddings, 1, &e, &error));
    FAILS(MULLAMA_ERR_CONTEXT_FULL, "9 tokens", mullama_embeddings_get(embeddings, 2, &e, &error));
    SUCCEEDS(mullama_embeddings_get(embeddings, 3, &e, &error));
    CHECK(e.rows == 1 && e.values[0] > 0.9999f);
    mullama_embeddings_free(embeddings);

    SUCCEEDS(mullama_model_embed(model, "{\"input\":\"123456789\",\"truncate\":true}", &embeddings,
                                 &error));
    SUCCEEDS(mullama_embeddings_get(embeddings, 0, &e, &error));
    CHECK(e.tokens == 8 && e.truncated);
    mullama_embeddings_free(embeddings);
}

// An embedding of another version than the library's.
static void sizes(void) {
    mullama_embeddings *embeddings = NULL;
    SUCCEEDS(mullama_model_embed(model, "{\"input\":\"a\"}", &embeddings, &error));
    // Just the fields of version 1. The sanitizer sees a byte more that is written.
    size_t first = offsetof(mullama_embedding, truncated) + sizeof(bool);
    mullama_embedding *small = malloc(first);
    small->struct_size = first;
    SUCCEEDS(mullama_embeddings_get(embeddings, 0, small, &error));
    CHECK(small->struct_size == first && small->rows == 1 && !small->truncated);
    free(small);
    struct {
        mullama_embedding embedding;
        char more[32];
    } large;
    memset(&large, 0x5a, sizeof(large));
    large.embedding.struct_size = sizeof(large);
    SUCCEEDS(mullama_embeddings_get(embeddings, 0, &large.embedding, &error));
    CHECK(large.embedding.width == 2 && large.more[0] == 0x5a && large.more[31] == 0x5a);
    mullama_embeddings_free(embeddings);
}

static void bad_requests(void) {
    mullama_embeddings *embeddings = NULL;
    char *json = NULL;
    FAILS(MULLAMA_ERR_INVALID, "JSON", mullama_model_embed(model, "{", &embeddings, &error));
    FAILS(MULLAMA_ERR_INVALID, "input", mullama_model_embed(model, NULL, &embeddings, &error));
    FAILS(MULLAMA_ERR_INVALID, "embeddings is NULL",
          mullama_model_embed(model, "{\"input\":\"a\"}", NULL, &error));
    FAILS(MULLAMA_ERR_INVALID, "not UTF-8",
          mullama_model_embed(model, "{\"input\":\"\xff\"}", &embeddings, &error));
    FAILS(MULLAMA_ERR_INVALID, "num_ctx",
          mullama_model_embed(model, "{\"input\":\"a\",\"options\":{\"num_ctx\":9}}", &embeddings,
                              &error));
    FAILS(MULLAMA_ERR_CLOSED, "NULL", mullama_model_embed(NULL, "{}", &embeddings, &error));
    FAILS(MULLAMA_ERR_CLOSED, "closed",
          mullama_model_embed((mullama_model *)runtime, "{}", &embeddings, &error));
    const char *ask = "{\"query\":\"a\",\"documents\":[\"b\"]}";
    FAILS(MULLAMA_ERR_UNSUPPORTED, "rank", mullama_model_rerank(model, ask, &json, &error));
    FAILS(MULLAMA_ERR_UNSUPPORTED, "score", mullama_model_score(model, ask, &json, &error));
    FAILS(MULLAMA_ERR_INVALID, "json is NULL", mullama_model_score(model, ask, NULL, &error));
    FAILS(MULLAMA_ERR_CLOSED, "NULL", mullama_model_rerank(NULL, ask, &json, &error));
    CHECK(embeddings == NULL && json == NULL);
}

// Handles and places that are not there. What an index does, the vectors compare.
static void bad_indexes(void) {
    mullama_index *index = NULL, *none = (mullama_index *)runtime;
    char *json = NULL;
    FAILS(MULLAMA_ERR_INVALID, "index is NULL",
          mullama_index_open(runtime, "a.index", model, NULL, NULL, &error));
    FAILS(MULLAMA_ERR_INVALID, "path",
          mullama_index_open(runtime, NULL, model, NULL, &index, &error));
    FAILS(MULLAMA_ERR_INVALID, "dimensions are 3",
          mullama_index_open(runtime, "a.index", model, "{\"dimensions\":3}", &index, &error));
    FAILS(MULLAMA_ERR_CLOSED, "runtime is NULL",
          mullama_index_open(NULL, "a.index", model, NULL, &index, &error));
    FAILS(MULLAMA_ERR_CLOSED, "model is closed",
          mullama_index_open(runtime, "a.index", (mullama_model *)runtime, NULL, &index, &error));
    FAILS(MULLAMA_ERR_CLOSED, "NULL", mullama_index_info(NULL, &json, &error));
    FAILS(MULLAMA_ERR_CLOSED, "closed", mullama_index_add(none, "{}", &error));
    FAILS(MULLAMA_ERR_CLOSED, "closed", mullama_index_train(none, NULL, &error));
    FAILS(MULLAMA_ERR_CLOSED, "closed", mullama_index_search(none, "{}", &json, &error));
    FAILS(MULLAMA_ERR_CLOSED, "NULL", mullama_index_verify(NULL, &error));
    mullama_index_close(none);
    mullama_index_close(NULL);
    CHECK(index == NULL && json == NULL);
}

// Many threads embed with one model, and read what another has got.
static void *use(void *shared) {
    for (int i = 0; i < 200; i++) {
        mullama_embeddings *own = NULL;
        mullama_embedding mine = {.struct_size = sizeof(mine)}, theirs = mine;
        if (mullama_model_embed(model, "{\"input\":\"ab\"}", &own, NULL) != MULLAMA_OK ||
            mullama_embeddings_get(own, 0, &mine, NULL) != MULLAMA_OK ||
            mullama_embeddings_get(shared, 0, &theirs, NULL) != MULLAMA_OK ||
            memcmp(mine.values, theirs.values, 2 * sizeof(float)) != 0) {
            return "an embedding is wrong";
        }
        mullama_embeddings_free(own);
    }
    return NULL;
}

static void threads(void) {
    pthread_t all[8];
    mullama_embeddings *shared = NULL;
    SUCCEEDS(mullama_model_embed(model, "{\"input\":\"ab\"}", &shared, &error));
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_create(&all[i], NULL, use, shared) == 0);
    }
    for (int i = 0; i < 8; i++) {
        void *fault = NULL;
        pthread_join(all[i], &fault);
        CHECK(fault == NULL);
    }
    mullama_embeddings_free(shared);
}

// A child can read embeddings, and make no new ones.
static void fork_guard(void) {
    mullama_embeddings *embeddings = NULL;
    SUCCEEDS(mullama_model_embed(model, "{\"input\":\"a\"}", &embeddings, &error));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char *json = NULL;
        mullama_embedding e = {.struct_size = sizeof(e)};
        alarm(10);
        SUCCEEDS(mullama_embeddings_get(embeddings, 0, &e, &error));
        mullama_embeddings_free(embeddings);
        FAILS(MULLAMA_ERR_FORKED, "child", mullama_model_embed(model, "{}", &embeddings, &error));
        FAILS(MULLAMA_ERR_FORKED, "child", mullama_model_rerank(model, "{}", &json, &error));
        FAILS(MULLAMA_ERR_FORKED, "child", mullama_model_score(model, "{}", &json, &error));
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mullama_embeddings_free(embeddings);
}

int main(void) {
    SUCCEEDS(mullama_runtime_open("{\"echo\":true}", &runtime, &error));
    SUCCEEDS(mullama_model_load(runtime, "echo", "{\"ctx_size\":8}", NULL, NULL, &model, &error));
    one_text();
    several_texts();
    sizes();
    bad_requests();
    bad_indexes();
    threads();
    fork_guard();
    mullama_model_close(model);
    mullama_embeddings *embeddings = NULL;
    FAILS(MULLAMA_ERR_CLOSED, "closed",
          mullama_model_embed(model, "{\"input\":\"a\"}", &embeddings, &error));
    mullama_runtime_close(runtime);
    printf("ok, %d checks\n", checks);
    return 0;
}
