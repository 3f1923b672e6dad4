/* Calls from threads of the library. */
#include "abi.h"

#include <stdatomic.h>
#include <time.h>

/* Such a thread must not enter an interpreter that is ending. So each counts itself first, and
 * end_callbacks, which runs before the interpreter ends, waits until none is inside. */
static atomic_int inside;
static atomic_bool ended;

bool enter(PyGILState_STATE *state) {
    atomic_fetch_add(&inside, 1);
    if (atomic_load(&ended)) {
        atomic_fetch_sub(&inside, 1);
        return false;
    }
    *state = PyGILState_Ensure();
    return true;
}

void leave(PyGILState_STATE state) {
    PyGILState_Release(state);
    atomic_fetch_sub(&inside, 1);
}

void after_fork(void) { atomic_store(&inside, 0); }

PyObject *py_end_callbacks(PyObject *self, PyObject *args) {
    if (!PyArg_ParseTuple(args, ":end_callbacks")) {
        return NULL;
    }
    atomic_store(&ended, true);
    Py_BEGIN_ALLOW_THREADS
    while (atomic_load(&inside) > 0) { /* each only has to get the GIL, and to append to a list */
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}
