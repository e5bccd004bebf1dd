/* The avx2 level: vectors of 32 bytes. Compiled with -mavx2 -mfma -ffp-contract=fast; absent where these are not given. */
#include "kernels/isa.h"
#if defined(__AVX2__) && defined(__FMA__)
#define PN_VECTOR_BYTES 32
#define PN_ISA_FILL pn_kernels_fill_avx2
#include "kernels/isa_body.h"
#else
bool pn_kernels_fill_avx2(pn_kernels *t) { return (void)t, false; }
#endif
