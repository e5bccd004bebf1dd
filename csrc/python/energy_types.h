/* What the files of the energy models share in the binding. */
#ifndef PN_PYTHON_ENERGY_TYPES_H
#define PN_PYTHON_ENERGY_TYPES_H
#include "energy/energy.h"
#include "python/arrays.h"

/* _core.Couplings: immutable. */
typedef struct pn_py_couplings {
    PyObject_HEAD pn_couplings *m;
} pn_py_couplings;
const pn_couplings *pn_py_couplings_get(PyObject *o); /* borrowed; NULL with TypeError set */

int pn_py_add_energy(PyObject *module); /* couplings_py.c: the types of all energy models */
int pn_py_add_hopfield(PyObject *module);
int pn_py_add_sampler(PyObject *module); /* ising_py.c */

/* functions, file by file */
extern PyMethodDef pn_py_memory_methods[], pn_py_tour_methods[];
extern PyMethodDef pn_py_couplings_methods[], pn_py_ising_methods[], pn_py_exact_methods[], pn_py_hopfield_methods[], pn_py_learning_methods[],
    pn_py_boltzmann_methods[], pn_py_rbm_exact_methods[], pn_py_machine_methods[];
#endif
