#include "shim.h"

#include <dlfcn.h>

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

static void log_line(int32_t level, const char *text, size_t len, uintptr_t user) {
    (void)user;
    goLogLine(level, (char *)text, len);
}

void shim_log_set(const mn_table *t, int32_t min_level) {
    t->log_set(min_level > 0 ? log_line : NULL, 0, min_level);
}

static int32_t progress(float fraction, uintptr_t user) { return goProgress(fraction, user); }

void shim_use_progress(mn_model_params *p, uintptr_t user) {
    p->progress = progress;
    p->progress_user = user;
}
