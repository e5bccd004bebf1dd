/* Energy models, avx2 level: see isa_avx2.c. */
#include "kernels/energy.h"
#if defined(__AVX2__) && defined(__FMA__)
#define PN_VECTOR_BYTES 32
#define PN_ENERGY_FILL pn_kernels_energy_avx2
#include "kernels/energy_body.h"
#else
bool pn_kernels_energy_avx2(pn_kernels_energy *t) { return (void)t, false; }
#endif
