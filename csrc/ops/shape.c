/* reshape and expand: the same elements in another shape, and the same elements repeated.
 *
 * reshape: y = x in C order, gx = gy; shares the storage, copies nothing. One entry of `shape` may be -1 and is worked out.
 * expand: y = x repeated along dimensions of size 1 and along new leading ones, gx = sum of gy over the repeats. -1 keeps a size. Copies.
 * Shapes: x (*), y as given by `shape`. Cost: none; 1 per element of y.
 */
#ifdef PN_REAL_PASS

static void R_(reshape_backward)(const pn_call *c, pn_member *m) {
    const real *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    if (!gx || gx == gy) return;
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->gout[0].shape)); pn_span_next(&s, m);) R_(pn_put)(c, gx + s.lo, gy + s.lo, s.hi - s.lo, c->gin_add[0]);
}

static void R_(expand_backward)(const pn_call *c, pn_member *m) {
    if (!c->gin[0].data) return;
    pn_fold f;
    pn_fold_init(&f, &c->gout[0].shape, pn_fold_repeated(&c->gout[0].shape, &c->gin[0].shape));
    R_(pn_fold_sum)(c, m, &f, c->gin[0].data, c->gout[0].data, 1, c->gin_add[0], c->scratch);
}

#else
#include "ops/broadcast.h"
#include "ops/copy.h"
#include "ops/fold.h"

#define PN_REAL_FILE "ops/shape.c"
#include "base/real.h"

/* Normally the output is the input; a caller that gives it memory of its own gets a copy. */
static void reshape_forward(const pn_call *c, pn_member *m) {
    if (c->out[0].data == c->in[0].data) return;
    const pn_rows_copy all = {.rows = 1, .len = pn_shape_size(&c->in[0].shape)};
    pn_copy_rows(m, &all, c->out[0].data, c->in[0].data, pn_dtype_bytes(c->in[0].shape.dtype));
}

static pn_status infer_reshape(pn_infer *q) {
    const pn_value *shape = &q->attrs[0];
    char from[256], to[256];
    pn_shape *y = &q->out[0], asked = {.rank = shape->n, .dtype = q->in[0].dtype};
    int64_t known = 1, n = pn_shape_size(&q->in[0]);
    int open = -1;
    if (shape->n < 0) return pn_fail(q->error, PN_E_VALUE, "reshape needs a shape");
    for (int d = 0; d < shape->n; d++) {
        asked.dim[d] = shape->ints[d];
        if (shape->ints[d] < -1)
            return pn_fail(q->error, PN_E_VALUE, "shape has size %lld in dimension %d, expected 0 or more, or one -1", (long long)shape->ints[d], d);
        if (shape->ints[d] == -1 && open >= 0)
            return pn_fail(q->error, PN_E_VALUE, "shape has -1 in dimensions %d and %d, only one can be worked out", open, d);
        if (shape->ints[d] == -1)
            open = d;
        else if (__builtin_mul_overflow(known, shape->ints[d], &known))
            known = INT64_MAX;
    }
    *y = asked;
    const bool fits = open < 0 ? known == n : known > 0 && n % known == 0;
    if (!fits) {
        return pn_fail(q->error, PN_E_VALUE, "x has shape %s (%lld elements), which cannot be reshaped to %s", pn_shape_text(&q->in[0], from), (long long)n,
                       pn_shape_text(&asked, to));
    }
    if (open >= 0) y->dim[open] = n / known;
    return PN_OK;
}

static void expand_forward(const pn_call *c, pn_member *m) {
    const size_t size = pn_dtype_bytes(c->in[0].shape.dtype);
    const char *x = c->in[0].data;
    char *y = c->out[0].data;
    pn_bcast bc;
    pn_bcast_init(&bc, &c->out[0].shape, 1, c->in);
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->out[0].shape)); pn_span_next(&s, m);) {
        for (pn_bcast_walk w = pn_bcast_open(&bc, s.lo, s.hi); pn_bcast_next(&w);) {
            pn_copy_strided(y + w.at * (int64_t)size, x + w.in[0] * (int64_t)size, bc.step[0][bc.rank - 1], w.n, size);
        }
    }
}

static pn_status infer_expand(pn_infer *q) {
    const pn_value *shape = &q->attrs[0];
    const pn_shape *x = &q->in[0];
    char from[256], to[256];
    pn_shape asked = {.rank = shape->n, .dtype = x->dtype};
    bool fits = shape->n >= x->rank;
    for (int d = 0; d < shape->n; d++) {
        const int own = d - (shape->n - x->rank);
        const bool keep = shape->ints[d] == -1 && own >= 0;
        asked.dim[d] = shape->ints[d];
        q->out[0].dim[d] = keep ? x->dim[own] : shape->ints[d];
        fits &= keep || (shape->ints[d] >= 0 && (own < 0 || x->dim[own] == 1 || x->dim[own] == shape->ints[d]));
    }
    if (!fits) return pn_fail(q->error, PN_E_VALUE, "x has shape %s, which cannot be expanded to %s", pn_shape_text(x, from), pn_shape_text(&asked, to));
    q->out[0].rank = asked.rank;
    q->out[0].dtype = asked.dtype;
    q->flops = (double)pn_shape_size(&q->out[0]);
    pn_fold f;
    pn_fold_init(&f, &q->out[0], pn_fold_repeated(&q->out[0], x));
    q->scratch = pn_fold_sum_scratch(&f);
    return PN_OK;
}

static const pn_field fields[] = {{"shape", PN_INTS, NULL, NULL}, {0}};

const pn_op pn_op_reshape = {
    .name = "reshape",
    .formula = "y = the elements of x in the same order",
    .derivative = "gx = gy",
    .inputs = "x:n",
    .n_out = 1,
    .fields = fields,
    .infer = infer_reshape,
    .fwd = {reshape_forward, reshape_forward},
    .bwd = {reshape_backward_f, reshape_backward_d},
    .flags = PN_VIEW | PN_IN_PLACE,
    .file = "ops/shape.c",
};
const pn_op pn_op_expand = {
    .name = "expand",
    .formula = "y = x repeated to shape",
    .derivative = "gx = gy summed over the repeats",
    .inputs = "x:n",
    .n_out = 1,
    .fields = fields,
    .infer = infer_expand,
    .fwd = {expand_forward, expand_forward},
    .bwd = {expand_backward_f, expand_backward_d},
    .file = "ops/shape.c",
};
#endif
