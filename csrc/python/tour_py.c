/* Graded neurons and the travelling salesman as Python sees them. */
#include "python/energy_types.h"

PyMethodDef pn_py_tour_methods[] = {
    {NULL, NULL, 0, NULL},
};
