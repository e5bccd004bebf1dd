/* clip: y = min(max(x, lo), hi). gx = gy where lo <= x <= hi, else 0: at the bounds x still moves y, as in PyTorch.
 *
 * Shapes: x (*), y (*). Cost: 1 per element. NaN stays NaN, and gets no gradient.
 */
#ifdef PN_REAL_PASS

static void R_(forward)(const pn_call *c, pn_member *m) {
    const real *x = c->in[0].data;
    real *y = c->out[0].data;
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->in[0].shape)); pn_span_next(&s, m);) {
        R_(pn_call_kernels)(c)->clip(y + s.lo, x + s.lo, c->attrs[0].f, c->attrs[1].f, s.hi - s.lo);
    }
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    const real *x = c->in[0].data, *gy = c->gout[0].data, lo = (real)c->attrs[0].f, hi = (real)c->attrs[1].f;
    real *gx = c->gin[0].data;
    const bool add = c->gin_add[0];
    if (!gx) return;
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->gout[0].shape)); pn_span_next(&s, m);) {
        for (int64_t i = s.lo; i < s.hi; i++) {
            const real g = ((x[i] >= lo) & (x[i] <= hi)) ? gy[i] : 0; /* no short circuit: a loop without branches */
            gx[i] = add ? gx[i] + g : g;
        }
    }
}

#else
#include "ops/op_helpers.h"

#define PN_REAL_FILE "ops/clip.c"
#include "base/real.h"

static pn_status infer(pn_infer *q) {
    const double lo = q->attrs[0].f, hi = q->attrs[1].f;
    if (!(lo <= hi)) return pn_fail(q->error, PN_E_VALUE, "min is %g and max is %g, expected min <= max", lo, hi);
    return pn_infer_like(q, 0);
}

static const pn_field fields[] = {{"min", PN_FLOAT, NULL, "-inf"}, {"max", PN_FLOAT, NULL, "inf"}, {0}};

const pn_op pn_op_clip = {
    .name = "clip",
    .formula = "y = min(max(x, lo), hi)",
    .derivative = "gx = gy [lo <= x <= hi]",
    .inputs = "x:r",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward_f, forward_d},
    .bwd = {backward_f, backward_d},
    .needs_in = 1,
    .flags = PN_IN_PLACE | PN_ANY_LAYOUT,
    .file = "ops/clip.c",
};
#endif
