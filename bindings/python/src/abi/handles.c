/* Handles, and who uses them. */
#include "abi.h"

PyTypeObject *handle_type;

PyObject *new_handle(void *handle, void (*close)(void *)) {
    Handle *h = PyObject_New(Handle, handle_type);
    if (h == NULL) {
        close(handle);
        return NULL;
    }
    h->handle = handle;
    h->close = close;
    h->in_use = false;
    h->closed = false;
    return (PyObject *)h;
}

void close_runtime(void *handle) { lib.runtime_close(handle); }
void close_model(void *handle) { lib.model_close(handle); }
void close_index(void *handle) {
    PyThreadState *thread = PyEval_SaveThread(); /* it waits for the calls under way */
    lib.index_close(handle);
    PyEval_RestoreThread(thread);
}
void close_stream(void *handle) { lib.stream_close(handle); }

static void close_handle(Handle *h) {
    if (h->closed) {
        return;
    }
    h->closed = true;
    if (h->in_use) {
        lib.stream_cancel(h->handle, NULL);
    } else {
        h->close(h->handle);
    }
}

bool check_open(const Handle *h) {
    if (h->closed) {
        fail("closed", "the stream is closed");
    }
    return !h->closed;
}

/* The library refuses a second reader too, but only until the first has left it, which then still
 * has to copy its chunk. */
bool begin_use(Handle *h) {
    if (check_open(h) && h->in_use) {
        fail("invalid", "another call reads this stream");
        return false;
    }
    h->in_use = !h->closed;
    return h->in_use;
}

void end_use(Handle *h) {
    h->in_use = false;
    if (h->closed) {
        h->close(h->handle);
    }
}

static void handle_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    close_handle((Handle *)self);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot handle_slots[] = {
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_doc, "A runtime, model, index or stream of the library."},
    {0, NULL},
};

PyType_Spec handle_spec = {
    .name = "mullama._abi.Handle",
    .basicsize = sizeof(Handle),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = handle_slots,
};

PyObject *py_close(PyObject *self, PyObject *args) {
    Handle *h;
    if (!PyArg_ParseTuple(args, "O!:close", handle_type, &h)) {
        return NULL;
    }
    close_handle(h);
    Py_RETURN_NONE;
}
