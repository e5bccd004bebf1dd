/* The kernels of one instruction set: an isa_*.c file sets PN_VECTOR_BYTES and PN_ISA_FILL and includes this file, which reads every template for
 * float and double and defines the function that fills the level's table. Templates define static functions R_(name) only. */
#include "kernels/angle.h"
#include "kernels/isa.h"
#include "kernels/vector.h"

#include "kernels/conv_dots_impl.h" /* their sizes; the typed parts are read below */
#include "kernels/conv_impl.h"
#include "kernels/gemm_impl.h"
#include "kernels/philox.h"
#include "kernels/winograd_impl.h"

#define PN_REAL_FILE "kernels/vmath.h"
#include "base/real.h"
#define PN_REAL_FILE "kernels/vmath_trig.h"
#include "base/real.h"
#define PN_REAL_FILE "kernels/vmath_pow.h"
#include "base/real.h"
#define PN_REAL_FILE "kernels/isa_table.h"
#include "base/real.h"

bool PN_ISA_FILL(pn_kernels *t) {
    fill_f(&t->f);
    fill_d(&t->d);
    return true;
}
