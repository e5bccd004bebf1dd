/* Reads the templates for one real type and collects what they define in the type's table. Order matters: later templates use earlier ones. */
#include "kernels/gemm_impl.h" /* R_(pn_gemm_table) */
#include "kernels/probe.h"

static void R_(fill)(R_(pn_kernels) *t) {
    t->gemm = R_(pn_gemm_table);
    t->probe = R_(pn_probe);
}
