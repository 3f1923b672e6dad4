/*
 * mullama._abi: typed functions over the C ABI, and nothing more.
 *
 * The library is opened by open_library(), never at import: a process that forks must be able to
 * import this module first. Each function that may wait lets other threads of Python run.
 *
 * A Handle owns a runtime, model or stream. All its fields are read and written with the GIL held,
 * which is what keeps a stream from being closed while its texts are being copied.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "mullama.h"

/* ---- The library ---- */

#define FUNCTIONS(X)                                                                               \
    X(abi_version)                                                                                 \
    X(version)                                                                                     \
    X(status_name)                                                                                 \
    X(noop)                                                                                        \
    X(string_free)                                                                                 \
    X(error_message)                                                                               \
    X(error_free)                                                                                  \
    X(runtime_open)                                                                                \
    X(runtime_close)                                                                               \
    X(runtime_info)                                                                                \
    X(runtime_models)                                                                              \
    X(model_load)                                                                                  \
    X(model_close)                                                                                 \
    X(model_info)                                                                                  \
    X(model_tokenize)                                                                              \
    X(model_detokenize)                                                                            \
    X(model_render)                                                                                \
    X(model_chat)                                                                                  \
    X(model_generate)                                                                              \
    X(stream_next)                                                                                 \
    X(stream_deliver)                                                                              \
    X(stream_cancel)                                                                               \
    X(stream_close)

#define FIELD(name) __typeof__(mullama_##name) *name;
struct library {
    FUNCTIONS(FIELD)
};

/* The functions of the library; all NULL until open_library has succeeded. */
static struct library lib;

static PyObject *new_ref(PyObject *object) {
    Py_INCREF(object);
    return object;
}

/* mullama._errors.error_of, which makes the exception of a status. */
static PyObject *error_of;

/* Sets the exception of a status. */
static PyObject *fail(const char *status, const char *message) {
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

/* Sets the exception of an error of the library, and frees that. */
static PyObject *raise_error(mullama_status status, mullama_error *error) {
    fail(lib.status_name(status), lib.error_message(error));
    lib.error_free(error);
    return NULL;
}

/* True if the library is open. If not, the exception is set. */
static bool is_open(void) {
    if (lib.noop == NULL) {
        fail("library_missing", "the library is not open: call mullama.load_library() first");
    }
    return lib.noop != NULL;
}

static bool find_functions(void *file, struct library *found) {
#define FIND(name)                                                                                 \
    if ((*(void **)&found->name = dlsym(file, "mullama_" #name)) == NULL) {                        \
        fail("library_missing", "it is not libmullama: it has no function mullama_" #name);       \
        return false;                                                                              \
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

static PyObject *open_library(PyObject *self, PyObject *args) {
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

static PyObject *version(PyObject *self, PyObject *unused) {
    return is_open() ? PyUnicode_FromString(lib.version()) : NULL;
}

static PyObject *noop(PyObject *self, PyObject *unused) {
    mullama_error *error = NULL;
    if (!is_open()) {
        return NULL;
    }
    mullama_status status = lib.noop(&error);
    if (status != MULLAMA_OK) {
        return raise_error(status, error);
    }
    Py_RETURN_NONE;
}

/* ---- Calls from threads of the library ---- */

/* Such a thread must not enter an interpreter that is ending. So each counts itself first, and
 * end_callbacks, which runs before the interpreter ends, waits until none is inside. */
static atomic_int inside;
static atomic_bool ended;

/* True if Python may be called; leave must follow then. */
static bool enter(PyGILState_STATE *state) {
    atomic_fetch_add(&inside, 1);
    if (atomic_load(&ended)) {
        atomic_fetch_sub(&inside, 1);
        return false;
    }
    *state = PyGILState_Ensure();
    return true;
}

static void leave(PyGILState_STATE state) {
    PyGILState_Release(state);
    atomic_fetch_sub(&inside, 1);
}

/* A child of fork() has none of these threads. */
static void after_fork(void) { atomic_store(&inside, 0); }

static PyObject *end_callbacks(PyObject *self, PyObject *unused) {
    atomic_store(&ended, true);
    Py_BEGIN_ALLOW_THREADS
    while (atomic_load(&inside) > 0) { /* each only has to get the GIL, and to append to a list */
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* ---- Handles ---- */

typedef struct {
    PyObject_HEAD
    void *handle;
    void (*close)(void *);
    bool in_use; /* a call reads or delivers this stream */
    bool closed; /* closed, or to be closed when that call is over */
} Handle;

static PyTypeObject *handle_type;

static PyObject *new_handle(void *handle, void (*close)(void *)) {
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

static void close_runtime(void *handle) { lib.runtime_close(handle); }
static void close_model(void *handle) { lib.model_close(handle); }
static void close_stream(void *handle) { lib.stream_close(handle); }

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

/* Ends a use of a stream. The texts of its chunk are not needed from here on. */
static void end_use(Handle *h) {
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
    {Py_tp_doc, "A runtime, model or stream of the library."},
    {0, NULL},
};

static PyType_Spec handle_spec = {
    .name = "mullama._abi.Handle",
    .basicsize = sizeof(Handle),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = handle_slots,
};

static PyObject *close_(PyObject *self, PyObject *args) {
    Handle *h;
    if (!PyArg_ParseTuple(args, "O!:close", handle_type, &h)) {
        return NULL;
    }
    close_handle(h);
    Py_RETURN_NONE;
}

/* Makes a str of a text of the library, and frees that. */
static PyObject *take_text(char *text) {
    PyObject *result = PyUnicode_FromString(text);
    lib.string_free(text);
    return result;
}

/* ---- Runtimes ---- */

static PyObject *runtime_open(PyObject *self, PyObject *args) {
    const char *options;
    mullama_runtime *runtime;
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "s:runtime_open", &options) || !is_open()) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = lib.runtime_open(options, &runtime, &error);
    Py_END_ALLOW_THREADS
    return status == MULLAMA_OK ? new_handle(runtime, close_runtime) : raise_error(status, error);
}

/* Calls one of the functions that say something of a handle as JSON. */
#define DEFINE_JSON(function)                                                                      \
    static PyObject *function(PyObject *self, PyObject *args) {                                    \
        Handle *h;                                                                                 \
        char *json;                                                                                \
        mullama_error *error = NULL;                                                               \
        mullama_status status;                                                                     \
        if (!PyArg_ParseTuple(args, "O!:" #function, handle_type, &h)) {                           \
            return NULL;                                                                           \
        }                                                                                          \
        Py_BEGIN_ALLOW_THREADS                                                                     \
        status = lib.function(h->handle, &json, &error);                                           \
        Py_END_ALLOW_THREADS                                                                       \
        return status == MULLAMA_OK ? take_text(json) : raise_error(status, error);                \
    }
DEFINE_JSON(runtime_info)
DEFINE_JSON(runtime_models)
DEFINE_JSON(model_info)

/* ---- Models ---- */

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
    PyGILState_STATE state;
    if (!enter(&state)) {
        return false;
    }
    bool more = tell_progress(user, fraction);
    leave(state);
    return more;
}

static PyObject *model_load(PyObject *self, PyObject *args) {
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
    Py_BEGIN_ALLOW_THREADS
    status = lib.model_load(h->handle, name, options, progress, &p, &model, &error);
    Py_END_ALLOW_THREADS
    if (p.type != NULL) { /* what the caller's function raised counts more than "cancelled" */
        if (status == MULLAMA_OK) {
            lib.model_close(model);
        }
        lib.error_free(error);
        PyErr_Restore(p.type, p.value, p.traceback);
        return NULL;
    }
    return status == MULLAMA_OK ? new_handle(model, close_model) : raise_error(status, error);
}

static PyObject *list_of_tokens(const int32_t *tokens, size_t count) {
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *token = PyLong_FromLong(tokens[i]);
        if (token == NULL || PyList_SetItem(list, (Py_ssize_t)i, token) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *model_tokenize(PyObject *self, PyObject *args) {
    Handle *h;
    const char *text;
    Py_ssize_t size;
    unsigned flags;
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "O!s#I:model_tokenize", handle_type, &h, &text, &size, &flags)) {
        return NULL;
    }
    size_t count, capacity = (size_t)size + 2; /* no text has more tokens */
    int32_t *tokens = PyMem_Malloc(capacity * sizeof(*tokens));
    if (tokens == NULL) {
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS /* always, as a daemon may be asked */
    status = lib.model_tokenize(h->handle, text, (size_t)size, flags, tokens, capacity, &count,
                                &error);
    Py_END_ALLOW_THREADS
    PyObject *result = status == MULLAMA_OK ? list_of_tokens(tokens, count)
                                            : raise_error(status, error);
    PyMem_Free(tokens);
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
    Py_BEGIN_ALLOW_THREADS
    status = lib.model_detokenize(h->handle, tokens, count, text, capacity, &size, &error);
    Py_END_ALLOW_THREADS
    PyObject *result = NULL;
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

static PyObject *model_detokenize(PyObject *self, PyObject *args) {
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

static PyObject *model_render(PyObject *self, PyObject *args) {
    Handle *h;
    const char *request;
    char *json;
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "O!s:model_render", handle_type, &h, &request)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = lib.model_render(h->handle, request, &json, &error);
    Py_END_ALLOW_THREADS
    return status == MULLAMA_OK ? take_text(json) : raise_error(status, error);
}

/* Calls one of the functions that begin an answer. */
#define DEFINE_ANSWER(function)                                                                    \
    static PyObject *function(PyObject *self, PyObject *args) {                                    \
        Handle *h;                                                                                 \
        const char *request;                                                                       \
        mullama_stream *stream;                                                                    \
        mullama_error *error = NULL;                                                               \
        mullama_status status;                                                                     \
        if (!PyArg_ParseTuple(args, "O!s:" #function, handle_type, &h, &request)) {                \
            return NULL;                                                                           \
        }                                                                                          \
        Py_BEGIN_ALLOW_THREADS                                                                     \
        status = lib.function(h->handle, request, &stream, &error);                                \
        Py_END_ALLOW_THREADS                                                                       \
        return status == MULLAMA_OK ? new_handle(stream, close_stream)                             \
                                    : raise_error(status, error);                                  \
    }
DEFINE_ANSWER(model_chat)
DEFINE_ANSWER(model_generate)

/* ---- Streams ---- */

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

static bool check_open(const Handle *h) {
    if (h->closed) {
        fail("closed", "the stream is closed");
    }
    return !h->closed;
}

/* True if the stream may be read; end_use must follow then. The library refuses a second reader
 * too, but only until the first has left it, which then still has to copy its chunk. */
static bool begin_use(Handle *h) {
    if (check_open(h) && h->in_use) {
        fail("invalid", "another call reads this stream");
        return false;
    }
    h->in_use = !h->closed;
    return h->in_use;
}

static PyObject *stream_next(PyObject *self, PyObject *args) {
    Handle *h;
    mullama_chunk chunk = {.struct_size = sizeof(chunk)};
    mullama_error *error = NULL;
    mullama_status status;
    if (!PyArg_ParseTuple(args, "O!:stream_next", handle_type, &h) || !begin_use(h)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = lib.stream_next(h->handle, &chunk, &error);
    Py_END_ALLOW_THREADS
    PyObject *result;
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

static PyObject *exception_of(mullama_status status, const mullama_error *error) {
    if (status == MULLAMA_END) {
        return new_ref(Py_None);
    }
    PyObject *type, *value, *traceback;
    fail(lib.status_name(status), lib.error_message(error));
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

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
        result = PyObject_CallFunction(d->function, "ON", Py_None, exception_of(status, error));
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
    PyGILState_STATE state;
    if (!enter(&state)) {
        return false;
    }
    bool more = tell_chunk(user, chunk, status, error);
    if (chunk == NULL) {
        end_delivery(user);
    }
    leave(state);
    return more;
}

static PyObject *stream_deliver(PyObject *self, PyObject *args) {
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

static PyObject *stream_cancel(PyObject *self, PyObject *args) {
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

/* ---- The module ---- */

#define METHOD(name, flags) {#name, name, flags, NULL}
static PyMethodDef methods[] = {
    METHOD(open_library, METH_VARARGS),
    METHOD(version, METH_NOARGS),
    METHOD(noop, METH_NOARGS),
    METHOD(end_callbacks, METH_NOARGS),
    {"close", close_, METH_VARARGS, NULL},
    METHOD(runtime_open, METH_VARARGS),
    METHOD(runtime_info, METH_VARARGS),
    METHOD(runtime_models, METH_VARARGS),
    METHOD(model_load, METH_VARARGS),
    METHOD(model_info, METH_VARARGS),
    METHOD(model_tokenize, METH_VARARGS),
    METHOD(model_detokenize, METH_VARARGS),
    METHOD(model_render, METH_VARARGS),
    METHOD(model_chat, METH_VARARGS),
    METHOD(model_generate, METH_VARARGS),
    METHOD(stream_next, METH_VARARGS),
    METHOD(stream_deliver, METH_VARARGS),
    METHOD(stream_cancel, METH_VARARGS),
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "mullama._abi",
    .m_doc = "Typed functions over the C ABI of Mullama.",
    .m_size = -1, /* one library, and so one interpreter */
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__abi(void) {
    PyObject *errors = PyImport_ImportModule("mullama._errors");
    if (errors == NULL) {
        return NULL;
    }
    error_of = PyObject_GetAttrString(errors, "error_of");
    Py_DECREF(errors);
    handle_type = (PyTypeObject *)PyType_FromSpec(&handle_spec);
    PyObject *module = PyModule_Create(&definition);
    if (error_of == NULL || handle_type == NULL || module == NULL ||
        PyModule_AddObject(module, "Handle", new_ref((PyObject *)handle_type)) < 0 ||
        PyModule_AddIntConstant(module, "ADD_SPECIAL", MULLAMA_ADD_SPECIAL) < 0 ||
        PyModule_AddIntConstant(module, "PARSE_SPECIAL", MULLAMA_PARSE_SPECIAL) < 0) {
        Py_XDECREF(module);
        return NULL;
    }
    pthread_atfork(NULL, NULL, after_fork);
    return module;
}
