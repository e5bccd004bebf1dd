/* dropout: in training y = x * u / (1 - p) with u = 1 where the element's random number is >= p, else 0; in evaluation y = x. Shape kept.
 *
 * "Inverted" dropout: the expectation of y is x, so evaluation needs no factor. The mask is a pure function of (seed, step, node, element) and is drawn
 * again in backward instead of being stored. p = 0 is the identity, p = 1 gives zeros. Cost: a quarter of a Philox block an element.
 * Sources: Srivastava et al. 2014 (whose p is the probability to keep, as in lecture 002); PyTorch's p is the probability to drop.
 */
#ifdef PN_REAL_PASS

/* y (= or +=) x times the mask: forward with x, backward with gy, for it is linear and diagonal. */
static void R_(dropout_apply)(const pn_call *c, pn_member *m, real *y, const real *x, const pn_shape *shape, bool add) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const double p = c->attrs[0].f, keep = p < 1 ? 1 / (1 - p) : 0;
    const int64_t n = pn_shape_size(shape);
    for (pn_span s = pn_span_open(m, n); pn_span_next(&s, m);) {
        if (c->training && p > 0)
            k->dropout(y + s.lo, x + s.lo, s.hi - s.lo, c->random->key, pn_call_counter(c), (uint64_t)s.lo, p, keep, add);
        else if (y != x || add)
            k->scale(y + s.lo, x + s.lo, 1, s.hi - s.lo, add);
    }
}

static void R_(dropout_fwd)(const pn_call *c, pn_member *m) { R_(dropout_apply)(c, m, c->out[0].data, c->in[0].data, &c->in[0].shape, false); }
static void R_(dropout_bwd)(const pn_call *c, pn_member *m) {
    if (c->gin[0].data) R_(dropout_apply)(c, m, c->gin[0].data, c->gout[0].data, &c->in[0].shape, c->gin_add[0]);
}

#else
#include "ops/op_helpers.h"

#define PN_REAL_FILE "ops/dropout.c"
#include "base/real.h"

static pn_status dropout_infer(pn_infer *q) {
    if (!(q->attrs[0].f >= 0 && q->attrs[0].f <= 1)) return pn_fail(q->error, PN_E_VALUE, "p is %g, expected a probability from 0 to 1", q->attrs[0].f);
    q->out[0] = q->in[0];
    q->flops = 10.0 * (double)pn_shape_size(&q->in[0]);
    return PN_OK;
}

static const pn_field dropout_fields[] = {{"p", PN_FLOAT, NULL, "0.5"}, {0}};

const pn_op pn_op_dropout = {.name = "dropout",
                             .formula = "y = x u / (1 - p), u = [uniform >= p]; in evaluation y = x",
                             .derivative = "gx = gy u / (1 - p)",
                             .inputs = "x:r",
                             .n_out = 1,
                             .fields = dropout_fields,
                             .infer = dropout_infer,
                             .fwd = {dropout_fwd_f, dropout_fwd_d},
                             .bwd = {dropout_bwd_f, dropout_bwd_d},
                             .flags = PN_RANDOM | PN_IN_PLACE | PN_TRAIN_ONLY,
                             .file = "ops/dropout.c"};
#endif
