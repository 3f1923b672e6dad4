// Ends the process while a model embeds: exit_embed MODEL.
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { TEXTS = 60 };

static mullama_model *model;
static char request[TEXTS * 64] = "{\"input\":[\"a\"";
static atomic_bool began;

// Embeds until that fails, because the process ends.
static void *embed(void *unused) {
    mullama_embeddings *embeddings = NULL;
    while (mullama_model_embed(model, request, &embeddings, NULL) == MULLAMA_OK) {
        began = true;
        mullama_embeddings_free(embeddings);
    }
    return unused;
}

int main(int argc, char **argv) {
    mullama_runtime *runtime = NULL;
    pthread_t thread;
    if (argc != 2) {
        return 2;
    }
    for (int i = 1; i < TEXTS; i++) {
        strcat(request, ",\"a text of several words\"");
    }
    strcat(request, "]}");
    SUCCEEDS(mullama_runtime_open(NULL, &runtime, &error));
    SUCCEEDS(mullama_model_load(runtime, argv[1], NULL, NULL, NULL, &model, &error));
    CHECK(pthread_create(&thread, NULL, embed, NULL) == 0);
    while (!began) {
        usleep(100);
    }
    printf("ok, %d checks\n", checks);
    return 0; // with all of it open
}
