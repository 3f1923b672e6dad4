/* Runtimes and models. */
#include "abi.h"

PyObject *take_text(char *text) {
    PyObject *result = PyUnicode_FromString(text);
    lib.string_free(text);
    return result;
}

/* ---- Runtimes ---- */

PyObject *py_runtime_open(PyObject *self, PyObject *args) {
    const char *options;
    mullama_runtime *runtime;
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "s:runtime_open", &options) || !is_open()) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS status = lib.runtime_open(options, &runtime, &error);
    Py_END_ALLOW_THREADS return status == MULLAMA_OK ? new_handle(runtime, close_runtime)
                                                     : raise_error(status, error);
}

/* Calls one of the functions that say something of a handle as JSON. */
#define DEFINE_JSON(function)                                                          \
    PyObject *py_##function(PyObject *self, PyObject *args) {                          \
        Handle *h;                                                                     \
        char *json;                                                                    \
        mullama_error *error = NULL;                                                   \
        mullama_status status;                                                         \
        if (!PyArg_ParseTuple(args, "O!:" #function, handle_type, &h)) {               \
            return NULL;                                                               \
        }                                                                              \
        Py_BEGIN_ALLOW_THREADS status = lib.function(h->handle, &json, &error);        \
        Py_END_ALLOW_THREADS return status == MULLAMA_OK ? take_text(json)             \
                                                         : raise_error(status, error); \
    }
DEFINE_JSON(runtime_info)
DEFINE_JSON(runtime_models)
DEFINE_JSON(model_info)

/* ---- Models ---- */

PyObject *list_of_tokens(const int32_t *tokens, size_t count) {
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *token = PyLong_FromLong(tokens[i]);
        if (token == NULL || PyList_SetItem(list, (Py_ssize_t)i, token) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* Who is told how far a load is, and what that raised. */
struct progress {
    PyObject *function;
    PyObject *type, *value, *traceback;
};

static bool tell_progress(struct progress *p, float fraction) {
    if (p->type != NULL) {
        return false;
    }
    PyObject *result = PyObject_CallFunction(p->function, "d", (double)fraction);
    if (result == NULL) {
        PyErr_Fetch(&p->type, &p->value, &p->traceback);
        return false;
    }
    bool more = result != Py_False;
    Py_DECREF(result);
    return more;
}

static bool on_progress(float fraction, void *user) {
    struct entry entry;
    if (!enter(&entry)) {
        return false;
    }
    bool more = tell_progress(user, fraction);
    leave(&entry);
    return more;
}

PyObject *py_model_load(PyObject *self, PyObject *args) {
    Handle *h;
    const char *name, *options;
    struct progress p = {NULL, NULL, NULL, NULL};
    mullama_model *model;
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "O!ssO:model_load", handle_type, &h, &name, &options,
                          &p.function)) {
        return NULL;
    }
    mullama_progress progress = p.function != Py_None ? on_progress : NULL;
    Py_BEGIN_ALLOW_THREADS status =
        lib.model_load(h->handle, name, options, progress, &p, &model, &error);
    Py_END_ALLOW_THREADS if (
        p.type != NULL) { /* what the caller's function raised counts more than "cancelled" */
        if (status == MULLAMA_OK) {
            lib.model_close(model);
        }
        lib.error_free(error);
        PyErr_Restore(p.type, p.value, p.traceback);
        return NULL;
    }
    return status == MULLAMA_OK ? new_handle(model, close_model) : raise_error(status, error);
}

/* Makes the tokens of a text in an array of capacity. *needed is set if that is too small. */
static PyObject *tokenize(Handle *h, const char *text, size_t size, unsigned flags, size_t capacity,
                          size_t *needed) {
    enum { SHORT = 256 };
    size_t count = 0;
    mullama_error *error = NULL;
    mullama_status status;
    int32_t few[SHORT];
    int32_t *tokens = capacity <= SHORT ? few : PyMem_Malloc(capacity * sizeof(*tokens));
    if (tokens == NULL) {
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS /* always, as a daemon may be asked */
        status = lib.model_tokenize(h->handle, text, size, flags, tokens, capacity, &count, &error);
    Py_END_ALLOW_THREADS PyObject *result = NULL;
    if (status == MULLAMA_OK) {
        result = list_of_tokens(tokens, count);
    } else if (status == MULLAMA_ERR_TOO_SMALL && count > capacity) {
        *needed = count;
        lib.error_free(error);
    } else {
        raise_error(status, error);
    }
    if (tokens != few) {
        PyMem_Free(tokens);
    }
    return result;
}

PyObject *py_model_tokenize(PyObject *self, PyObject *args) {
    Handle *h;
    const char *text;
    Py_ssize_t size;
    unsigned flags;
    size_t needed = 0;
    if (!PyArg_ParseTuple(args, "O!s#I:model_tokenize", handle_type, &h, &text, &size, &flags)) {
        return NULL;
    }
    PyObject *result = tokenize(h, text, (size_t)size, flags, (size_t)size + 8, &needed);
    if (needed > 0) {
        result = tokenize(h, text, (size_t)size, flags, needed, &needed);
    }
    return result;
}

/* Copies a sequence of integers to an array, which the caller frees. */
static int32_t *array_of_tokens(PyObject *sequence, size_t *count) {
    PyObject *list = PySequence_List(sequence);
    if (list == NULL) {
        return NULL;
    }
    *count = (size_t)PyList_Size(list);
    int32_t *tokens = PyMem_Malloc((*count + 1) * sizeof(*tokens));
    for (size_t i = 0; tokens != NULL && i < *count; i++) {
        long token = PyLong_AsLong(PyList_GetItem(list, (Py_ssize_t)i));
        if (!PyErr_Occurred() && (token < INT32_MIN || token > INT32_MAX)) {
            PyErr_Format(PyExc_OverflowError, "%ld is not a token", token);
        }
        if (PyErr_Occurred()) {
            PyMem_Free(tokens);
            Py_DECREF(list);
            return NULL;
        }
        tokens[i] = (int32_t)token;
    }
    Py_DECREF(list);
    return tokens != NULL ? tokens : (int32_t *)PyErr_NoMemory();
}

/* Makes the text of tokens in a buffer of capacity bytes. *needed is set if that is too small. */
static PyObject *detokenize(Handle *h, const int32_t *tokens, size_t count, size_t capacity,
                            size_t *needed) {
    size_t size = 0;
    mullama_error *error = NULL;
    mullama_status status;
    char *text = PyMem_Malloc(capacity);
    if (text == NULL) {
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS status =
        lib.model_detokenize(h->handle, tokens, count, text, capacity, &size, &error);
    Py_END_ALLOW_THREADS PyObject *result = NULL;
    if (status == MULLAMA_OK) {
        result = PyBytes_FromStringAndSize(text, (Py_ssize_t)size);
    } else if (status == MULLAMA_ERR_TOO_SMALL && size > capacity) {
        *needed = size;
        lib.error_free(error);
    } else {
        raise_error(status, error);
    }
    PyMem_Free(text);
    return result;
}

PyObject *py_model_detokenize(PyObject *self, PyObject *args) {
    Handle *h;
    PyObject *sequence;
    size_t count, needed = 0;
    if (!PyArg_ParseTuple(args, "O!O:model_detokenize", handle_type, &h, &sequence)) {
        return NULL;
    }
    int32_t *tokens = array_of_tokens(sequence, &count);
    if (tokens == NULL) {
        return NULL;
    }
    PyObject *result = detokenize(h, tokens, count, 16 * count + 16, &needed);
    if (needed > 0) {
        result = detokenize(h, tokens, count, needed, &needed);
    }
    PyMem_Free(tokens);
    return result;
}

/* Calls one of the functions that answer a request as JSON. */
#define DEFINE_REQUEST(function)                                                         \
    PyObject *py_##function(PyObject *self, PyObject *args) {                            \
        Handle *h;                                                                       \
        const char *request;                                                             \
        char *json;                                                                      \
        mullama_error *error = NULL;                                                     \
        mullama_status status;                                                           \
        if (!PyArg_ParseTuple(args, "O!s:" #function, handle_type, &h, &request)) {      \
            return NULL;                                                                 \
        }                                                                                \
        Py_BEGIN_ALLOW_THREADS status = lib.function(h->handle, request, &json, &error); \
        Py_END_ALLOW_THREADS return status == MULLAMA_OK ? take_text(json)               \
                                                         : raise_error(status, error);   \
    }
DEFINE_REQUEST(model_render)
DEFINE_REQUEST(model_rerank)
DEFINE_REQUEST(model_score)

/* Calls one of the functions that begin an answer. */
#define DEFINE_ANSWER(function)                                                             \
    PyObject *py_##function(PyObject *self, PyObject *args) {                               \
        Handle *h;                                                                          \
        const char *request;                                                                \
        mullama_stream *stream;                                                             \
        mullama_error *error = NULL;                                                        \
        mullama_status status;                                                              \
        if (!PyArg_ParseTuple(args, "O!s:" #function, handle_type, &h, &request)) {         \
            return NULL;                                                                    \
        }                                                                                   \
        Py_BEGIN_ALLOW_THREADS status = lib.function(h->handle, request, &stream, &error);  \
        Py_END_ALLOW_THREADS return status == MULLAMA_OK ? new_handle(stream, close_stream) \
                                                         : raise_error(status, error);      \
    }
DEFINE_ANSWER(model_chat)
DEFINE_ANSWER(model_generate)
