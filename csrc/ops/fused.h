/* The activation that a plan has fused behind an op (PN_FUSES): its parameters, and the way back through it. Read once per real type, and once in front of
 * that. */
#ifdef PN_REAL_PASS

/* gout <- gout act'(y), the gradient in front of the activation */
static void R_(through_activation)(const pn_call *c, pn_member *m) {
    double p[2];
    const real *y = c->out[0].data;
    real *gz = c->gout[0].data;
    pn_fused_params(c, p);
    for (pn_span s = pn_span_open(m, pn_layout_size(&c->gout[0].shape, (pn_layout)c->layout)); pn_span_next(&s, m);) {
        R_(pn_call_kernels)(c)->act_backward[c->attrs[c->op->fused].i](gz + s.lo, NULL, y + s.lo, gz + s.lo, s.hi - s.lo, p, false);
    }
    pn_member_barrier(m);
}

#elif !defined(PN_OPS_FUSED_H)
#define PN_OPS_FUSED_H
#include "ops/blocks.h"

/* The activation's parameters; the second is the first when left at "none", as in activations.c. */
static inline const double *pn_fused_params(const pn_call *c, double p[2]) {
    const pn_value *attrs = c->attrs + c->op->fused;
    p[0] = attrs[1].f;
    p[1] = isnan(attrs[2].f) ? p[0] : attrs[2].f;
    return p;
}
#endif
