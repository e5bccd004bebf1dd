/* The avx512 level: vectors of 64 bytes. Compiled with -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -ffp-contract=fast; absent where these are
 * not given. */
#include "kernels/isa.h"
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__FMA__)
#define PN_VECTOR_BYTES 64
#define PN_ISA_FILL pn_kernels_fill_avx512
#include "kernels/isa_body.h"
#else
bool pn_kernels_fill_avx512(pn_kernels *t) { return (void)t, false; }
#endif
