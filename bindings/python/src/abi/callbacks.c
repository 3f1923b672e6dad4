/* Calls from threads of the library. */
#include "abi.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/*
 * Such a thread must not enter an interpreter that is ending. So each is counted first, and
 * end_callbacks, which runs before the interpreter ends, waits until none is inside.
 *
 * It must not make or delete its thread state during a fork either: up to version 3.11 the child of
 * CPython waits for ever for a lock that such a thread held. So that happens with gate held, and
 * os.fork() takes gate first. Nobody waits for gate while holding the GIL; only the thread that
 * forks waits for the GIL while holding gate.
 */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* guards ended */
static bool ended;
static atomic_int inside;

static PyInterpreterState *interpreter;

void init_callbacks(void) { interpreter = PyInterpreterState_Get(); }

/* Makes a thread state, unless the interpreter is ending. */
static PyThreadState *begin(void) {
    PyThreadState *thread = NULL;
    pthread_mutex_lock(&gate);
    if (!ended) {
        thread = PyThreadState_New(interpreter);
    }
    if (thread != NULL) {
        atomic_fetch_add(&inside, 1);
    }
    pthread_mutex_unlock(&gate);
    return thread;
}

bool enter(struct entry *e) {
    e->thread = NULL;
    if (PyGILState_GetThisThreadState() != NULL) { /* a thread of Python that called the library */
        e->state = PyGILState_Ensure();
        return true;
    }
    e->thread = begin();
    if (e->thread != NULL) {
        PyEval_RestoreThread(e->thread);
    }
    return e->thread != NULL;
}

void leave(struct entry *e) {
    if (e->thread == NULL) {
        PyGILState_Release(e->state);
        return;
    }
    PyThreadState_Clear(e->thread);
    PyEval_SaveThread();
    pthread_mutex_lock(&gate);
    PyThreadState_Delete(e->thread);
    atomic_fetch_sub(&inside, 1);
    pthread_mutex_unlock(&gate);
}

PyObject *py_before_fork(PyObject *self, PyObject *args) {
    Py_BEGIN_ALLOW_THREADS pthread_mutex_lock(&gate);
    Py_END_ALLOW_THREADS Py_RETURN_NONE;
}

PyObject *py_after_fork_in_parent(PyObject *self, PyObject *args) {
    pthread_mutex_unlock(&gate);
    Py_RETURN_NONE;
}

/* The child has none of these threads. */
PyObject *py_after_fork_in_child(PyObject *self, PyObject *args) {
    atomic_store(&inside, 0);
    pthread_mutex_unlock(&gate);
    Py_RETURN_NONE;
}

PyObject *py_end_callbacks(PyObject *self, PyObject *args) {
    Py_BEGIN_ALLOW_THREADS pthread_mutex_lock(&gate);
    ended = true;
    pthread_mutex_unlock(&gate);
    while (atomic_load(&inside) > 0) { /* each only has to get the GIL, and to append to a list */
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    Py_END_ALLOW_THREADS Py_RETURN_NONE;
}
