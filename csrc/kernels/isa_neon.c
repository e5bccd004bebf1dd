/* The neon level: vectors of 16 bytes with FMA, which every aarch64 has. Compiled with -ffp-contract=fast; absent elsewhere. */
#include "kernels/isa.h"
#if defined(__aarch64__)
#define PN_VECTOR_BYTES 16
#define PN_ISA_FILL pn_kernels_fill_neon
#include "kernels/isa_body.h"
#else
bool pn_kernels_fill_neon(pn_kernels *t) { return (void)t, false; }
#endif
