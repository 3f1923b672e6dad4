#define _GNU_SOURCE // dladdr1
#include "shim.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <link.h>
#include <malloc.h>
#endif

#include "_cgo_export.h"

const mn_table *shim_open(const char *path, const char **reason) {
    *reason = NULL;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        *reason = dlerror();
        return NULL;
    }
    const mn_table *(*table)(uint32_t);
    *(void **)&table = dlsym(library, "mullama_native_table");
    if (!table) {
        *reason = dlerror();
        return NULL;
    }
    return table(MN_ABI);
}

const char *shim_file(void) {
    Dl_info info;
#ifdef __GLIBC__
    struct link_map *map; // of the program, it has no name
    bool found = dladdr1((void *)shim_file, &info, (void **)&map, RTLD_DL_LINKMAP) != 0;
    return found && map->l_name[0] != '\0' ? map->l_name : NULL;
#else
    return dladdr((void *)shim_file, &info) != 0 ? info.dli_fname : NULL;
#endif
}

static void log_line(int32_t level, const char *text, size_t len, uintptr_t user) {
    (void)user;
    goLogLine(level, (char *)text, len);
}

void shim_log_set(const mn_table *t, int32_t min_level) {
    t->log_set(min_level > 0 ? log_line : NULL, 0, min_level);
}

static int32_t progress(float fraction, uintptr_t user) { return goProgress(fraction, user); }

static int32_t tensors(int32_t done, int32_t all, uintptr_t user) {
    return goTensors(done, all, user);
}

void shim_use_tensors(mn_quantize_params *p, uintptr_t user) {
    p->progress = tensors;
    p->progress_user = user;
}

void shim_use_progress(mn_model_params *p, uintptr_t user) {
    p->progress = progress;
    p->progress_user = user;
}

// Gives the pages of freed memory back to the system. glibc keeps them in the arenas of the threads
// that allocated them, and a model is loaded and freed by other threads each time: a daemon without
// any model kept 400 MB after a dozen loads of two small ones, most of it strings of vocabularies.
static void give_back(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void shim_model_free(const mn_table *t, mn_model *m) {
    t->model_free(m);
    give_back();
}

void shim_context_free(const mn_table *t, mn_context *c) {
    t->context_free(c);
    give_back();
}

// Planning reads a vocabulary too.
mn_status shim_memory_plan(const mn_table *t, const char *path, const mn_model_params *mp,
                           const mn_context_params *cp, mn_memory *out, int32_t cap, int32_t *n,
                           mn_error *err) {
    mn_status status = t->memory_plan(path, mp, cp, out, cap, n, err);
    give_back();
    return status;
}
