/* Energy models, avx512 level: see isa_avx512.c. */
#include "kernels/energy.h"
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__FMA__)
#define PN_VECTOR_BYTES 64
#define PN_ENERGY_FILL pn_kernels_energy_avx512
#include "kernels/energy_body.h"
#else
bool pn_kernels_energy_avx512(pn_kernels_energy *t) { return (void)t, false; }
#endif
