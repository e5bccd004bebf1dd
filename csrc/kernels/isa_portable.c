/* The portable level: vectors of 16 bytes in plain GNU types, which every compiler maps to what it has. Compiled with -ffp-contract=off, so that the
 * same source gives the same bits on every machine; -DPN_VECTOR_BYTES=0 compiles it as C11 without vectors, to the same bits again. */
#ifndef PN_VECTOR_BYTES
#define PN_VECTOR_BYTES 16
#endif
#define PN_ISA_FILL pn_kernels_fill_portable
#include "kernels/isa_body.h"
