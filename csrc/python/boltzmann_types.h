/* What the bindings of Boltzmann machines share: a machine and its data out of Python's arguments. */
#ifndef PN_PYTHON_BOLTZMANN_TYPES_H
#define PN_PYTHON_BOLTZMANN_TYPES_H
#include "energy/rbm.h"
#include "python/energy_types.h"

/* (w, b, c, classes) of arrays of one real type, classes 1: binary, 0: Gaussian, else softmax groups of that size. false with an exception set. */
bool pn_py_rbm_read(PyObject *o, pn_rbm *m, bool writable);

typedef struct pn_py_rows {
    pn_source source;
    const void *scale; /* (nv) of the machine's type: what columns are multiplied by; NULL: nothing */
    int64_t nv;
} pn_py_rows;
/* Rows of any numeric array for the core: *rows reads through *own, which must live as long. scale: array or None. */
bool pn_py_rows_read(PyObject *array, PyObject *scale, const pn_rbm *m, pn_py_rows *own, pn_rows *rows);
/* The data of an array of the machine's real type, or NULL with an exception set; None where optional. */
void *pn_py_rbm_array(PyObject *o, const pn_rbm *m, const char *name, int rank, int64_t d0, int64_t d1, bool optional, bool *failed);

#endif
