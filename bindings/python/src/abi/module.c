/* The module. */
#include "abi.h"

#define METHOD(name) {#name, py_##name, METH_VARARGS, NULL},
static PyMethodDef methods[] = {METHODS(METHOD){NULL, NULL, 0, NULL}};

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
    init_callbacks();
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
    return module;
}
