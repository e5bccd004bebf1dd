/* Boltzmann machines as Python sees them. */
#include "python/energy_types.h"

PyMethodDef pn_py_boltzmann_methods[] = {
    {NULL, NULL, 0, NULL},
};
