// A library of another ABI version, with what wrong_abi.cpp links to. Only the version may be asked
// for before it is compared.
#include <mullama.h>

#include <stdlib.h>

uint32_t mullama_abi_version(void) { return 99; }

const char *mullama_status_name(mullama_status status) {
    return status == MULLAMA_ERR_LIBRARY_MISSING ? "library_missing" : "unknown";
}

mullama_status mullama_runtime_open(const char *options, mullama_runtime **runtime,
                                    mullama_error **error) {
    (void)options, (void)runtime, (void)error;
    abort();
}

void mullama_runtime_close(mullama_runtime *runtime) {
    (void)runtime;
    abort();
}

const char *mullama_error_message(const mullama_error *error) {
    (void)error;
    abort();
}

void mullama_error_free(mullama_error *error) {
    (void)error;
    abort();
}
