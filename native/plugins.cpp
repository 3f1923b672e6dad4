// The plug-ins of a portable build: each is a backend of ggml in a file of its own, beside the
// library. ggml passes over those that do not work without a word; plugins() finds out why.
#include "facade.h"

#if defined(MULLAMA_PORTABLE) && !defined(_WIN32)

#include <dlfcn.h>
#include <filesystem>

namespace mn {

namespace {

namespace fs = std::filesystem;

std::string load_errors; // what the backends logged while they were loaded

fs::path folder() {
    Dl_info info;
    if (!dladdr((void *)&mullama_native_table, &info) || !info.dli_fname) {
        return {};
    }
    return fs::path(info.dli_fname).parent_path();
}

// "cuda" for libggml-cuda.so; "" for other files, those of the CPU among them.
std::string plugin_name(const fs::path &file) {
    const std::string prefix = "libggml-", stem = file.stem().string();
    std::string suffix = file.extension().string();
    bool library = suffix == ".so" || suffix == ".dylib";
    if (!library || stem.rfind(prefix, 0) != 0 || stem.rfind("libggml-cpu", 0) == 0 ||
        stem == "libggml-base") {
        return "";
    }
    return stem.substr(prefix.size());
}

// The devices that the plug-in offers; reason says why there are none.
size_t offered(const fs::path &file, std::string &reason) {
    void *handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (!handle) {
        handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL); // only for the reason
        reason = handle ? "it does not start, or is of another version" : dlerror();
        if (handle) {
            dlclose(handle);
        }
        return 0;
    }
    auto *init = (ggml_backend_reg_t(*)())dlsym(handle, "ggml_backend_init");
    ggml_backend_reg_t reg = init ? init() : nullptr; // the one that is registered already
    dlclose(handle);
    size_t n = reg ? ggml_backend_reg_dev_count(reg) : 0;
    reason = n > 0 ? "" : load_errors;
    return n;
}

} // namespace

void load_plugins() {
    log_capture log;
    ggml_backend_load_all_from_path(folder().c_str());
    load_errors = log.reason("");
}

mn_status plugins(mn_buf *out, mn_error *err) {
    return guard(err, [&] {
        std::string text;
        std::error_code ec;
        for (const auto &entry : fs::directory_iterator(folder(), ec)) {
            std::string name = plugin_name(entry.path()), reason;
            if (name.empty()) {
                continue;
            }
            size_t n = offered(entry.path(), reason);
            std::replace(reason.begin(), reason.end(), '\n', ' ');
            std::replace(reason.begin(), reason.end(), '\t', ' ');
            text += name + "\t" + std::to_string(n) + "\t" + reason + "\n";
        }
        *out = to_buf(text);
    });
}

} // namespace mn

#else

namespace mn {

void load_plugins() {}

mn_status plugins(mn_buf *out, mn_error *err) {
    return guard(err, [&] { *out = to_buf(nullptr, 0); });
}

} // namespace mn

#endif
