/* What the files of samplers share in the binding. */
#ifndef PN_PYTHON_SAMPLER_TYPES_H
#define PN_PYTHON_SAMPLER_TYPES_H
#include "energy/ladder.h"
#include "python/energy_types.h"

#define PN_PY_SAMPLER_ARRAYS 3
typedef struct pn_py_sampler {
    PyObject_HEAD pn_sampler s;             /* s.engine is owned */
    PyObject *couplings;                    /* that the engine reads */
    PyObject *arrays[PN_PY_SAMPLER_ARRAYS]; /* that the run reads and writes */
    PyObject *ladder;                       /* arrays of tempering or population by name, or NULL */
    pn_tempering tempering;
    pn_population population;
    bool begun, busy;
} pn_py_sampler;

/* ladders_py.c */
extern const char pn_py_sampler_temper_doc[], pn_py_sampler_populate_doc[];
PyObject *pn_py_sampler_temper(PyObject *o, PyObject *args);
PyObject *pn_py_sampler_populate(PyObject *o, PyObject *args);
#endif
