/* The library and its errors. */
#include "abi.h"

#include <dlfcn.h>

struct library lib;

PyObject *new_ref(PyObject *object) {
    Py_INCREF(object);
    return object;
}

PyObject *error_of;

PyObject *fail(const char *status, const char *message) {
    PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
    if (text == NULL) {
        return NULL;
    }
    PyObject *error = PyObject_CallFunction(error_of, "sO", status, text);
    Py_DECREF(text);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

PyObject *raise_error(mullama_status status, mullama_error *error) {
    fail(lib.status_name(status), lib.error_message(error));
    lib.error_free(error);
    return NULL;
}

PyObject *exception_of(mullama_status status, const mullama_error *error) {
    PyObject *type, *value, *traceback;
    fail(lib.status_name(status), lib.error_message(error));
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

bool is_open(void) {
    if (lib.noop == NULL) {
        fail("library_missing", "the library is not open: call mullama.load_library() first");
    }
    return lib.noop != NULL;
}

static bool find_functions(void *file, struct library *found) {
#define FIND(name)                                                                          \
    if ((*(void **)&found->name = dlsym(file, "mullama_" #name)) == NULL) {                 \
        fail("library_missing", "it is not libmullama: it has no function mullama_" #name); \
        return false;                                                                       \
    }
    FUNCTIONS(FIND)
    return true;
}

static bool check_version(const struct library *found) {
    char message[160];
    unsigned version = found->abi_version();
    if (version == MULLAMA_ABI_VERSION) {
        return true;
    }
    snprintf(message, sizeof(message),
             "it has version %u of the ABI, and this package needs version %d: install a package "
             "and a library of the same release",
             version, MULLAMA_ABI_VERSION);
    fail("library_missing", message);
    return false;
}

PyObject *py_open_library(PyObject *self, PyObject *args) {
    const char *path;
    struct library found;
    if (!PyArg_ParseTuple(args, "s:open_library", &path)) {
        return NULL;
    }
    void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (file == NULL) {
        return fail("library_missing", dlerror());
    }
    if (!find_functions(file, &found) || !check_version(&found)) {
        dlclose(file);
        return NULL;
    }
    lib = found;
    Py_RETURN_NONE;
}

PyObject *py_version(PyObject *self, PyObject *args) {
    return PyArg_ParseTuple(args, ":version") && is_open() ? PyUnicode_FromString(lib.version())
                                                           : NULL;
}

PyObject *py_noop(PyObject *self, PyObject *args) {
    mullama_error *error = NULL;
    if (!PyArg_ParseTuple(args, ":noop") || !is_open()) {
        return NULL;
    }
    mullama_status status = lib.noop(&error);
    if (status != MULLAMA_OK) {
        return raise_error(status, error);
    }
    Py_RETURN_NONE;
}
