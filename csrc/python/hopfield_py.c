/* Hopfield networks as Python sees them. */
#include "python/energy_types.h"

PyMethodDef pn_py_hopfield_methods[] = {
    {NULL, NULL, 0, NULL},
};
