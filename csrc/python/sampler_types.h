/* What the files of samplers share in the binding. */
#ifndef PN_PYTHON_SAMPLER_TYPES_H
#define PN_PYTHON_SAMPLER_TYPES_H
#include "energy/sampler.h"
#include "python/energy_types.h"

#define PN_PY_SAMPLER_ARRAYS 3
typedef struct pn_py_sampler {
    PyObject_HEAD pn_sampler s;             /* s.engine is owned */
    PyObject *couplings;                    /* that the engine reads */
    PyObject *arrays[PN_PY_SAMPLER_ARRAYS]; /* that the run reads and writes */
    bool begun, busy;
} pn_py_sampler;
#endif
