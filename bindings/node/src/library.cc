#include "library.h"

#include <dlfcn.h>

#include <map>
#include <mutex>

namespace mullama {

Failure Library::describe(mullama_status status, const mullama_error *error) const {
    if (status == MULLAMA_OK) {
        return {};
    }
    return {status_name(status), error_message(error)};
}

Failure Library::failure(mullama_status status, mullama_error *error) const {
    Failure result = describe(status, error);
    error_free(error);
    return result;
}

static Failure missing(const std::string &message) { return {"library_missing", message}; }

// Looks a function up, and tells the first that is not there.
template <typename Function>
static void find(void *object, const char *name, Function *function, std::string *absent) {
    *function = reinterpret_cast<Function>(dlsym(object, name));
    if (*function == nullptr && absent->empty()) {
        *absent = name;
    }
}

// Fills in the functions of an opened file. The version is compared before all else.
static const Library *bind(void *object, const std::string &file, Failure *failure) {
    auto *library = new Library();
    std::string absent;
    find(object, "mullama_abi_version", &library->abi_version, &absent);
    if (absent.empty() && library->abi_version() != MULLAMA_ABI_VERSION) {
        *failure = missing(file + " has version " + std::to_string(library->abi_version()) +
                           " of the ABI, but this package needs version " +
                           std::to_string(MULLAMA_ABI_VERSION) +
                           "; install a libmullama and a package of the same release");
        delete library;
        return nullptr;
    }
#define MULLAMA_FIND(name) find(object, "mullama_" #name, &library->name, &absent);
    MULLAMA_FUNCTIONS(MULLAMA_FIND)
#undef MULLAMA_FIND
    if (!absent.empty()) {
        *failure = missing(file + " has no function " + absent + "; it is not a whole libmullama");
        delete library;
        return nullptr;
    }
    return library;
}

const Library *open_library(const std::vector<std::string> &files, Failure *failure) {
    // They are never destroyed: threads may still use them while the process exits.
    static auto *mutex = new std::mutex();
    static auto *opened = new std::map<std::string, const Library *>();
    std::lock_guard<std::mutex> lock(*mutex);
    std::string tried;
    for (const std::string &file : files) {
        auto found = opened->find(file);
        if (found != opened->end()) {
            return found->second;
        }
        void *object = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (object != nullptr) {
            const Library *library = bind(object, file, failure);
            if (library != nullptr) {
                opened->emplace(file, library);
            }
            return library;
        }
        tried += std::string(tried.empty() ? "" : "; ") + dlerror();
    }
    *failure = missing("libmullama was not found; set MULLAMA_LIBRARY to the file or to its "
                       "folder. Tried: " +
                       tried);
    return nullptr;
}

} // namespace mullama
