/* The module pyneuro._core: state, functions, types. */
#define PN_PYTHON_IMPORTS_NUMPY
#include "python/state.h"

#include "python/energy_types.h"

#include <string.h>

#include "python/opcall.h"
#include "python/tensor_parts.h"

/* Operators have no way to reach the state of their module, so the one module is remembered here. */
static pn_py_state *the_state;

pn_py_state *pn_py_state_get(void) { return the_state; }

/* A root that differs from process to process, until manual_seed sets one. */
static bool draw_root(pn_py_state *state) {
    PyObject *os = PyImport_ImportModule("os");
    PyObject *bytes = os ? PyObject_CallMethod(os, "urandom", "i", 8) : NULL;
    const char *b = bytes ? PyBytes_AsString(bytes) : NULL;
    if (b) memcpy(&state->root, b, 8);
    Py_XDECREF(bytes);
    Py_XDECREF(os);
    return b != NULL;
}

static int import_numpy(void) {
    import_array1(-1);
    return 0;
}

static bool add_functions(PyObject *module) {
    PyMethodDef *const parts[] = {pn_py_convert_methods, pn_py_dlpack_methods,    pn_py_user_methods,      pn_py_inspect_methods,  pn_py_random_methods,
                                  pn_py_tools_methods,   pn_py_op_methods,        pn_py_bench_methods,     pn_py_augment_methods,  pn_py_couplings_methods,
                                  pn_py_ising_methods,   pn_py_exact_methods,     pn_py_hopfield_methods,  pn_py_learning_methods, pn_py_memory_methods,
                                  pn_py_tour_methods,    pn_py_boltzmann_methods, pn_py_rbm_exact_methods, pn_py_machine_methods};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (PyModule_AddFunctions(module, parts[i])) return false;
    }
    return true;
}

static int module_exec(PyObject *module) {
    if (the_state) {
        PyErr_SetString(PyExc_ImportError, "pyneuro._core can be loaded once in a process, as NumPy can");
        return -1;
    }
    if (import_numpy()) return -1;
    pn_py_state *state = PyModule_GetState(module);
    the_state = state;
    state->layers = PyDict_New();
    bool ok = state->layers && draw_root(state);
    for (int i = 0; ok && i < 3; i++) ok = (state->dtype_names[i] = PyUnicode_InternFromString(pn_dtype_name(i))) != NULL;
    ok = ok && add_functions(module) && !pn_py_add_tensor(module) && !pn_py_add_node(module) && !pn_py_add_ops(module) && !pn_py_add_plan_types(module) &&
         !pn_py_add_energy(module);
    if (!ok) the_state = NULL;
    return ok ? 0 : -1;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    const pn_py_state *state = PyModule_GetState(module);
    if (!state) return 0;
    Py_VISIT((PyObject *)state->tensor_type);
    Py_VISIT((PyObject *)state->node_type);
    Py_VISIT(state->ops);
    Py_VISIT(state->layers);
    return 0;
}

/* The state itself stays: tensors may outlive the module at the end of the process, and their type must still be known. */
static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_gil /* a free-threaded Python switches the GIL on and says so: reference counts and tensors rely on it */
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pyneuro._core",
    .m_doc = "The C core of pyneuro: tensors, ops, plans, training. The public names are in the package pyneuro.",
    .m_size = sizeof(pn_py_state),
    .m_slots = slots,
    .m_traverse = module_traverse,
};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&definition); }
