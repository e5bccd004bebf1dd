/* Enumeration and transition matrices as Python sees them. */
#include "python/energy_types.h"

PyMethodDef pn_py_exact_methods[] = {
    {NULL, NULL, 0, NULL},
};
