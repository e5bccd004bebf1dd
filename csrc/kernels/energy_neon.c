/* Energy models, neon level: see isa_neon.c. */
#include "kernels/energy.h"
#if defined(__aarch64__)
#define PN_VECTOR_BYTES 16
#define PN_ENERGY_FILL pn_kernels_energy_neon
#include "kernels/energy_body.h"
#else
bool pn_kernels_energy_neon(pn_kernels_energy *t) { return (void)t, false; }
#endif
