// A library of another ABI version: just what is called before the version is compared, and what
// the error needs.
#include <mullama.h>

uint32_t mullama_abi_version(void) { return 99; }
const char *mullama_status_name(mullama_status status) {
    return status == MULLAMA_ERR_LIBRARY_MISSING ? "library_missing" : "unknown";
}
