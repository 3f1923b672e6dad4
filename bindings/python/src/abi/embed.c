/* Embeddings. */
#include "abi.h"

/* Copies an embedding to (values, rows, tokens, truncated, None), where values are the bytes of all
 * rows, or the error of its text to (b"", 0, 0, False, error). */
static PyObject *copy_embedding(const mullama_embeddings *all, size_t index) {
    mullama_embedding e = {.struct_size = sizeof(e)};
    mullama_error *error = NULL;
    mullama_status status = lib.embeddings_get(all, index, &e, &error);
    if (status == MULLAMA_OK) {
        return Py_BuildValue("y#nnOO", (const char *)e.values,
                             (Py_ssize_t)(e.rows * e.width * sizeof(float)), (Py_ssize_t)e.rows,
                             (Py_ssize_t)e.tokens, e.truncated ? Py_True : Py_False, Py_None);
    }
    PyObject *reason = exception_of(status, error);
    lib.error_free(error);
    return Py_BuildValue("y#nnON", "", (Py_ssize_t)0, (Py_ssize_t)0, (Py_ssize_t)0, Py_False,
                         reason);
}

static PyObject *list_of_embeddings(const mullama_embeddings *all) {
    size_t count = lib.embeddings_count(all);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *embedding = copy_embedding(all, i);
        if (embedding == NULL || PyList_SetItem(list, (Py_ssize_t)i, embedding) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyObject *py_model_embed(PyObject *self, PyObject *args) {
    Handle *h;
    const char *request;
    mullama_embeddings *all = NULL;
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "O!s:model_embed", handle_type, &h, &request)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS status = lib.model_embed(h->handle, request, &all, &error);
    Py_END_ALLOW_THREADS if (status != MULLAMA_OK) { return raise_error(status, error); }
    PyObject *list = list_of_embeddings(all);
    lib.embeddings_free(all);
    return list;
}
