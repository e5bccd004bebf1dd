/* Energy models, portable level: see isa_portable.c. */
#ifndef PN_VECTOR_BYTES
#define PN_VECTOR_BYTES 16
#endif
#define PN_ENERGY_FILL pn_kernels_energy_portable
#include "kernels/energy_body.h"
