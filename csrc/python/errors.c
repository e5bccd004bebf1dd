/* From a status of the core to a Python exception, from a signal to a stop, and the context of a thread. */
#include "base/rng.h"
#include "python/state.h"

static PyObject *exception_of(pn_status status) {
    switch (status) {
    case PN_E_MEMORY: return PyExc_MemoryError;
    case PN_E_VALUE: return PyExc_ValueError;
    case PN_E_TYPE: return PyExc_TypeError;
    case PN_E_INDEX: return PyExc_IndexError;
    case PN_E_NONFINITE: return PyExc_FloatingPointError;
    case PN_E_INTERRUPTED: return PyExc_KeyboardInterrupt;
    case PN_OK:
    case PN_E_RUNTIME:
    case PN_E_PYTHON: break;
    }
    return PyExc_RuntimeError;
}

PyObject *pn_py_raise(const pn_error *e) {
    const bool is_set = (e->status == PN_E_PYTHON || e->status == PN_E_INTERRUPTED) && PyErr_Occurred();
    if (!is_set) PyErr_SetString(exception_of(e->status), e->text);
    return NULL;
}

bool pn_py_ask(void *context) {
    (void)context;
    PyGILState_STATE gil = PyGILState_Ensure();
    const bool stop = PyErr_CheckSignals() != 0;
    PyGILState_Release(gil);
    return stop;
}

#define LONG_WORK 1e5 /* elements or FLOPs: tens of microseconds */

void *pn_py_release(void) { return PyEval_SaveThread(); }
void *pn_py_release_for(double work) { return work < LONG_WORK ? NULL : PyEval_SaveThread(); }
void pn_py_acquire(void *token) {
    if (token) PyEval_RestoreThread(token);
}

/* The context of a thread, and the seed that its random key was made from. */
typedef struct thread_state {
    pn_context context;
    uint64_t seed;
    bool seeded;
} thread_state;

/* Gradients on, training mode on, as PyTorch's modules start. */
static _Thread_local thread_state current = {
    .context = {.grad_enabled = true, .training = true, .ask = pn_py_ask, .release = pn_py_release, .acquire = pn_py_acquire}};

void pn_py_set_random(uint64_t seed, uint64_t step) {
    current.seed = seed;
    current.seeded = true;
    current.context.random = (pn_random){.key = pn_hash64(seed, PN_STREAM_NODE), .step = step};
    current.context.ordinal = 0;
}

pn_context *pn_py_context(void) {
    if (!current.seeded) pn_py_set_random(pn_py_seed_child(), 0);
    return &current.context;
}

uint64_t pn_py_random_seed(void) {
    pn_py_context();
    return current.seed;
}
