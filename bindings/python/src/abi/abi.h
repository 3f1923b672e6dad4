/*
 * mullama._abi: typed functions over the C ABI, and nothing more.
 *
 * The library is opened by open_library(), never at import: a process that forks must be able to
 * import this module first. Each function that may wait lets other threads of Python run.
 */
#ifndef MULLAMA_PYTHON_ABI_H
#define MULLAMA_PYTHON_ABI_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>

#include "mullama.h"

/* ---- library.c: the library and its errors ---- */

#define FUNCTIONS(X)    \
    X(abi_version)      \
    X(version)          \
    X(status_name)      \
    X(noop)             \
    X(string_free)      \
    X(error_message)    \
    X(error_free)       \
    X(runtime_open)     \
    X(runtime_close)    \
    X(runtime_info)     \
    X(runtime_models)   \
    X(model_load)       \
    X(model_close)      \
    X(model_info)       \
    X(model_tokenize)   \
    X(model_detokenize) \
    X(model_render)     \
    X(model_chat)       \
    X(model_generate)   \
    X(model_embed)      \
    X(model_rerank)     \
    X(model_score)      \
    X(embeddings_count) \
    X(embeddings_get)   \
    X(embeddings_free)  \
    X(index_open)       \
    X(index_close)      \
    X(index_info)       \
    X(index_add)        \
    X(index_train)      \
    X(index_search)     \
    X(index_verify)     \
    X(stream_next)      \
    X(stream_deliver)   \
    X(stream_cancel)    \
    X(stream_close)

#define FIELD(name) __typeof__(mullama_##name) *name;
struct library {
    FUNCTIONS(FIELD)
};

/* The functions of the library; all NULL until open_library has succeeded. */
extern struct library lib;

/* mullama._errors.error_of, which makes the exception of a status. */
extern PyObject *error_of;

/* True if the library is open. If not, the exception is set. */
bool is_open(void);

/* Sets the exception of a status, and returns NULL. */
PyObject *fail(const char *status, const char *message);

/* The exception of an error of the library, which stays as it is; NULL if none can be made. */
PyObject *exception_of(mullama_status status, const mullama_error *error);

/* Sets the exception of an error of the library, frees that, and returns NULL. */
PyObject *raise_error(mullama_status status, mullama_error *error);

PyObject *new_ref(PyObject *object);

/* ---- callbacks.c: calls from threads of the library ---- */

/* How a thread has entered Python. */
struct entry {
    PyThreadState *thread; /* made for this; NULL if it had one */
    PyGILState_STATE state;
};

/* To be called once, when the module is imported. */
void init_callbacks(void);

/* True if Python may be called; leave must follow then. */
bool enter(struct entry *e);
void leave(struct entry *e);

/* ---- handles.c: what owns a runtime, model, index or stream ---- */

/* All fields are read and written with the GIL held, which is what keeps a stream from being closed
 * while its texts are being copied. */
typedef struct {
    PyObject_HEAD void *handle;
    void (*close)(void *);
    bool in_use; /* a call reads or delivers this stream */
    bool closed; /* closed, or to be closed when that call is over */
} Handle;

extern PyTypeObject *handle_type;
extern PyType_Spec handle_spec;

/* Makes the object that owns a handle, or closes that. */
PyObject *new_handle(void *handle, void (*close)(void *));
void close_runtime(void *handle);
void close_model(void *handle);
void close_index(void *handle);
void close_stream(void *handle);

/* True if the stream is not closed. If it is, the exception is set. */
bool check_open(const Handle *h);

/* True if the stream may be read; end_use must follow then. If not, the exception is set. */
bool begin_use(Handle *h);

/* Ends a use of a stream. The texts of its chunk are not needed from here on. */
void end_use(Handle *h);

/* ---- models.c, embed.c, indexes.c, streams.c: the functions of the module ---- */

/* Makes a str of a text of the library, and frees that. */
PyObject *take_text(char *text);

PyObject *list_of_tokens(const int32_t *tokens, size_t count);

#define DECLARE(name) PyObject *py_##name(PyObject *self, PyObject *args);
#define METHODS(X)          \
    X(open_library)         \
    X(version)              \
    X(noop)                 \
    X(before_fork)          \
    X(after_fork_in_parent) \
    X(after_fork_in_child)  \
    X(end_callbacks)        \
    X(close)                \
    X(runtime_open)         \
    X(runtime_info)         \
    X(runtime_models)       \
    X(model_load)           \
    X(model_info)           \
    X(model_tokenize)       \
    X(model_detokenize)     \
    X(model_render)         \
    X(model_chat)           \
    X(model_generate)       \
    X(model_embed)          \
    X(model_rerank)         \
    X(model_score)          \
    X(index_open)           \
    X(index_info)           \
    X(index_add)            \
    X(index_train)          \
    X(index_search)         \
    X(index_verify)         \
    X(stream_next)          \
    X(stream_deliver)       \
    X(stream_cancel)
METHODS(DECLARE)

#endif
