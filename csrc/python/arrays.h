/* NumPy arrays as arguments of functions of `_core`, checked once. */
#ifndef PN_PYTHON_ARRAYS_H
#define PN_PYTHON_ARRAYS_H
#include "python/state.h"

/* What an array must be. Nothing is converted or copied: the Python layer hands over what the core takes. */
typedef struct pn_py_want {
    const char *name; /* what a message calls it */
    int typenum;      /* NPY_FLOAT64, NPY_INT8, ... */
    int rank;
    int64_t dim[4]; /* -1: any */
    bool writable;
} pn_py_want;

/* The data of a C-contiguous, aligned array that is as wanted (borrowed: the caller of the function keeps it alive), or NULL with TypeError or ValueError set.
 * shape may be NULL, else takes its sides. None gives NULL without an exception when optional. */
void *pn_py_array(PyObject *o, const pn_py_want *want, int64_t *shape);
void *pn_py_array_or_none(PyObject *o, const pn_py_want *want, int64_t *shape, bool *failed);
#endif
