/* The levels, one isa_*.c file each. Filling fails where the file was compiled without its flags or for another architecture. */
#ifndef PN_KERNELS_ISA_H
#define PN_KERNELS_ISA_H
#include "kernels/kernels.h"
bool pn_kernels_fill_portable(pn_kernels *t);
bool pn_kernels_fill_avx2(pn_kernels *t);
bool pn_kernels_fill_avx512(pn_kernels *t);
bool pn_kernels_fill_neon(pn_kernels *t);
#endif
