// What no language can be faster than: the native engine's functions called from C, and a part
// handed from one thread of C to another. floor calls MODEL | floor delays
#include "../../native/mullama_native.h"
#include "measure.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

static int fail(const char *what) {
    fprintf(stderr, "floor: %s\n", what);
    return 1;
}

static const mn_table *open_table(void) {
    void *library = dlopen("libmullama-native.so", RTLD_NOW);
    if (library == NULL) {
        return NULL;
    }
    // POSIX makes a function of dlsym's result this way.
    const mn_table *(*get)(uint32_t abi);
    *(void **)&get = dlsym(library, "mullama_native_table");
    return get != NULL ? get(MN_ABI) : NULL;
}

static int calls(const char *path) {
    static double noop[SAMPLES], tokenize[SAMPLES];
    const mn_table *native = open_table();
    if (native == NULL) {
        return fail("libmullama-native.so is not in LD_LIBRARY_PATH, or of another version");
    }
    mn_error error;
    mn_model *model = NULL;
    mn_model_params params = native->model_default_params();
    params.vocab_only = 1;
    if (native->model_load(path, &params, &model, &error) != MN_OK) {
        return fail(error.message);
    }
    int32_t tokens[64];
    MEASURE(noop, native->device_count());
    MEASURE(tokenize, native->tokenize(model, TEXT, strlen(TEXT), 0, 0, tokens, 64));
    print_two("noop", noop, "tokenize", tokenize, SAMPLES);
    native->model_free(model);
    return 0;
}

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    int64_t made; // 0: nothing is there
} mailbox = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void *make_parts(void *unused) {
    for (int i = 0; i < PARTS; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        pthread_mutex_lock(&mailbox.lock);
        while (mailbox.made != 0) {
            pthread_cond_wait(&mailbox.emptied, &mailbox.lock);
        }
        mailbox.made = now_ns();
        pthread_cond_signal(&mailbox.filled);
        pthread_mutex_unlock(&mailbox.lock);
    }
    return unused;
}

static int delays(void) {
    static double delay[PARTS];
    pthread_t maker;
    if (pthread_create(&maker, NULL, make_parts, NULL) != 0) {
        return fail("no thread can be started");
    }
    for (int i = 0; i < PARTS; i++) {
        pthread_mutex_lock(&mailbox.lock);
        while (mailbox.made == 0) {
            pthread_cond_wait(&mailbox.filled, &mailbox.lock);
        }
        delay[i] = (double)(now_ns() - mailbox.made);
        mailbox.made = 0;
        pthread_cond_signal(&mailbox.emptied);
        pthread_mutex_unlock(&mailbox.lock);
    }
    pthread_join(maker, NULL);
    printf("{");
    print_samples("delay", delay, PARTS);
    printf("}\n");
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "calls") == 0) {
        return calls(argv[2]);
    }
    if (argc == 2 && strcmp(argv[1], "delays") == 0) {
        return delays();
    }
    return fail("usage: floor calls MODEL | floor delays");
}
