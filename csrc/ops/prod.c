/* prod: y = the product of x over some dimensions. gx_i = gy times the product of the other elements.
 *
 * Shapes: x (*), y without the dimensions in `dim` (size 1 with keepdim); dim=() means all. Cost: 1 per element. Products run in double, in the order of
 * fold.h; the product of nothing is 1. Also for int64, where an overflow wraps.
 * The product of the others is the product of all that are not 0, divided by the own element; beside one 0 it is 0, and at the only 0 that product itself.
 */
#ifdef PN_REAL_PASS

/* The products of one group of outputs. With `zeros` they leave out the elements that are 0, and count them there. */
static void R_(group)(pn_fold_walk *w, const real *x, PN_WIDE *total, int64_t *zeros) {
    const bool along = w->f->along;
    for (int64_t j = 0; j < w->width; j++) total[j] = 1;
    for (int64_t j = 0; zeros && j < w->width; j++) zeros[j] = 0;
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) {
        const real *v = x + w->offset;
        for (int64_t j = 0, n = w->n; j < n; j++) {
            const int64_t at = along ? 0 : j;
            if (zeros && v[j] == 0)
                zeros[at]++;
            else
                total[at] *= (PN_WIDE)v[j];
        }
    }
}

static void R_(forward)(const pn_call *c, pn_member *m) {
    const pn_shape *shape = &c->in[0].shape;
    real *y = c->out[0].data;
    PN_WIDE total[PN_FOLD_WIDTH];
    pn_fold f;
    pn_fold_init(&f, shape, pn_reduce_mask(shape, &c->attrs[0]));
    for (pn_fold_walk w = pn_fold_open(&f, m); pn_fold_next(&w);) {
        R_(group)(&w, c->in[0].data, total, NULL);
        for (int64_t j = 0; j < w.width; j++) y[w.at + j] = (real)total[j];
    }
}

#ifndef PN_WHOLE_PASS
static inline double R_(others)(double x, double total, int64_t zeros) { return zeros == 0 ? total / x : zeros == 1 && x == 0 ? total : 0; }

static void R_(share)(pn_fold_walk *w, const real *x, const real *gy, const double *total, const int64_t *zeros, real *gx, bool add) {
    const bool along = w->f->along;
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) {
        for (int64_t j = 0, n = w->n; j < n; j++) {
            const int64_t at = along ? 0 : j;
            const real g = (real)((double)gy[at] * R_(others)((double)x[w->offset + j], total[at], zeros[at]));
            gx[w->offset + j] = add ? gx[w->offset + j] + g : g;
        }
    }
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    const pn_shape *shape = &c->in[0].shape;
    const real *x = c->in[0].data, *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    double total[PN_FOLD_WIDTH];
    int64_t zeros[PN_FOLD_WIDTH];
    pn_fold f;
    if (!gx) return;
    pn_fold_init(&f, shape, pn_reduce_mask(shape, &c->attrs[0]));
    for (pn_fold_walk w = pn_fold_open(&f, m); pn_fold_next(&w);) {
        R_(group)(&w, x, total, zeros);
        R_(share)(&w, x, gy + w.at, total, zeros, gx, c->gin_add[0]);
    }
}
#endif

#else
#include "ops/reduce.h"

#define PN_REAL_FILE "ops/prod.c"
#include "base/whole.h"

static void forward_any(const pn_call *c, pn_member *m) { (c->in[0].shape.dtype == PN_I64 ? forward_i : forward_f)(c, m); }

static pn_status infer(pn_infer *q) {
    unsigned mask;
    return pn_reduce_infer(q, &mask);
}

static const pn_field fields[] = {PN_DIMS_FIELD, PN_KEEPDIM_FIELD, {0}};

const pn_op pn_op_prod = {
    .name = "prod",
    .formula = "y = product of x over dim",
    .derivative = "gx = gy times the product of the other x",
    .inputs = "x:n",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward_any, forward_d},
    .bwd = {backward_f, backward_d},
    .needs_in = 1,
    .file = "ops/prod.c",
};
#endif
