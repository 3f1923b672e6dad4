/* Streams: read, or told to a function. */
#include "abi.h"

/* Copies a chunk to (text, thinking, tokens, json, done). */
static PyObject *copy_chunk(const mullama_chunk *c) {
    PyObject *tokens = list_of_tokens(c->tokens, c->token_count);
    if (tokens == NULL) {
        return NULL;
    }
    return Py_BuildValue("s#s#Ns#O", c->text, (Py_ssize_t)c->text_size, c->thinking,
                         (Py_ssize_t)c->thinking_size, tokens, c->json, (Py_ssize_t)c->json_size,
                         c->done ? Py_True : Py_False);
}

PyObject *py_stream_next(PyObject *self, PyObject *args) {
    Handle *h;
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "O!:stream_next", handle_type, &h) || !begin_use(h)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS status = lib.stream_next(h->handle, &chunk, &error);
    Py_END_ALLOW_THREADS PyObject *result;
    if (status == MULLAMA_OK) {
        result = copy_chunk(&chunk);
    } else if (status == MULLAMA_END) {
        result = new_ref(Py_None);
    } else {
        result = raise_error(status, error);
    }
    end_use(h);
    return result;
}

/* A stream whose parts are told to a function. Freed after the last call. */
struct delivery {
    Handle *handle;
    PyObject *function;
};

/* Calls function(part, None), or function(None, error) when the answer is over. */
static bool tell_chunk(struct delivery *d, const mullama_chunk *chunk, mullama_status status,
                       const mullama_error *error) {
    PyObject *result = NULL;
    if (chunk != NULL) {
        PyObject *part = copy_chunk(chunk);
        if (part != NULL) {
            result = PyObject_CallFunction(d->function, "NO", part, Py_None);
        }
    } else {
        PyObject *reason = status == MULLAMA_END ? new_ref(Py_None) : exception_of(status, error);
        result = PyObject_CallFunction(d->function, "ON", Py_None, reason);
    }
    if (result == NULL) {
        PyErr_WriteUnraisable(d->function);
        return false;
    }
    bool more = result != Py_False;
    Py_DECREF(result);
    return more;
}

static void end_delivery(struct delivery *d) {
    end_use(d->handle);
    Py_DECREF(d->handle);
    Py_DECREF(d->function);
    PyMem_Free(d);
}

static bool on_chunk(const mullama_chunk *chunk, mullama_status status, const mullama_error *error,
                     void *user) {
    struct entry entry;
    if (!enter(&entry)) {
        return false;
    }
    bool more = tell_chunk(user, chunk, status, error);
    if (chunk == NULL) {
        end_delivery(user);
    }
    leave(&entry);
    return more;
}

PyObject *py_stream_deliver(PyObject *self, PyObject *args) {
    Handle *h;
    PyObject *function;
    mullama_error *error = NULL;
    if (!PyArg_ParseTuple(args, "O!O:stream_deliver", handle_type, &h, &function)) {
        return NULL;
    }
    struct delivery *d = PyMem_Malloc(sizeof(*d));
    if (d == NULL) {
        return PyErr_NoMemory();
    }
    if (!begin_use(h)) {
        PyMem_Free(d);
        return NULL;
    }
    *d = (struct delivery){(Handle *)new_ref((PyObject *)h), new_ref(function)};
    mullama_status status = lib.stream_deliver(h->handle, on_chunk, d, &error);
    if (status != MULLAMA_OK) {
        end_delivery(d);
        return raise_error(status, error);
    }
    Py_RETURN_NONE;
}

PyObject *py_stream_cancel(PyObject *self, PyObject *args) {
    Handle *h;
    mullama_error *error = NULL;
    if (!PyArg_ParseTuple(args, "O!:stream_cancel", handle_type, &h) || !check_open(h)) {
        return NULL;
    }
    mullama_status status = lib.stream_cancel(h->handle, &error);
    if (status != MULLAMA_OK) {
        return raise_error(status, error);
    }
    Py_RETURN_NONE;
}
