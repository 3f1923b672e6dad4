/* Indexes. */
#include "abi.h"

PyObject *py_index_open(PyObject *self, PyObject *args) {
    Handle *runtime;
    PyObject *model; /* or None */
    const char *path, *options;
    mullama_index *index;
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "O!sOs:index_open", handle_type, &runtime, &path, &model,
                          &options)) {
        return NULL;
    }
    if (model != Py_None && !PyObject_TypeCheck(model, handle_type)) {
        PyErr_SetString(PyExc_TypeError, "the model must be a Handle or None");
        return NULL;
    }
    mullama_model *m = model != Py_None ? ((Handle *)model)->handle : NULL;
    Py_BEGIN_ALLOW_THREADS status =
        lib.index_open(runtime->handle, path, m, options, &index, &error);
    Py_END_ALLOW_THREADS return status == MULLAMA_OK ? new_handle(index, close_index)
                                                     : raise_error(status, error);
}

PyObject *py_index_info(PyObject *self, PyObject *args) {
    Handle *h;
    char *json;
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "O!:index_info", handle_type, &h)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS status = lib.index_info(h->handle, &json, &error);
    Py_END_ALLOW_THREADS return status == MULLAMA_OK ? take_text(json) : raise_error(status, error);
}

PyObject *py_index_search(PyObject *self, PyObject *args) {
    Handle *h;
    const char *request;
    char *json;
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "O!s:index_search", handle_type, &h, &request)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS status = lib.index_search(h->handle, request, &json, &error);
    Py_END_ALLOW_THREADS return status == MULLAMA_OK ? take_text(json) : raise_error(status, error);
}

/* Calls one of the functions that change an index. */
#define DEFINE_CHANGE(function)                                                        \
    PyObject *py_##function(PyObject *self, PyObject *args) {                          \
        Handle *h;                                                                     \
        const char *text;                                                              \
        mullama_error *error = NULL;                                                   \
        mullama_status status;                                                         \
        if (!PyArg_ParseTuple(args, "O!s:" #function, handle_type, &h, &text)) {       \
            return NULL;                                                               \
        }                                                                              \
        Py_BEGIN_ALLOW_THREADS status = lib.function(h->handle, text, &error);         \
        Py_END_ALLOW_THREADS return status == MULLAMA_OK ? new_ref(Py_None)            \
                                                         : raise_error(status, error); \
    }
DEFINE_CHANGE(index_add)
DEFINE_CHANGE(index_train)

PyObject *py_index_verify(PyObject *self, PyObject *args) {
    Handle *h;
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "O!:index_verify", handle_type, &h)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS status = lib.index_verify(h->handle, &error);
    Py_END_ALLOW_THREADS return status == MULLAMA_OK ? new_ref(Py_None)
                                                     : raise_error(status, error);
}
