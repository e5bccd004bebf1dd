/* Sampling and annealing as Python sees them. */
#include "python/energy_types.h"

PyMethodDef pn_py_ising_methods[] = {
    {NULL, NULL, 0, NULL},
};
