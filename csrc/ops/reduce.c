/* sum, mean: y = sum of x over some dimensions, and that sum divided by the number of its elements. gx = gy, and gy / n, repeated.
 *
 * Shapes: x (*), y without the dimensions in `dim` (size 1 with keepdim); dim=() means all. Cost: 1 per element. Sums run in double and in the order
 * of fold.h; the sum of nothing is 0, the mean of nothing NaN. sum also takes int64.
 */
#ifdef PN_REAL_PASS

static inline void R_(forward)(const pn_call *c, pn_member *m, bool mean) {
    const pn_shape *shape = &c->in[0].shape;
    const int64_t n = pn_shape_size(shape);
    const real *x = c->in[0].data;
    real *y = c->out[0].data;
    if (n <= PN_BLOCK && pn_reduce_all(&c->attrs[0])) { /* tiny */
        if (m->index != 0) return;
        const double total = R_(pn_call_kernels)(c)->sum(x, n);
        *y = (real)(mean ? total / (double)n : total);
        pn_member_count(m, 1);
        return;
    }
    pn_fold f;
    pn_fold_init(&f, shape, pn_reduce_mask(shape, &c->attrs[0]));
    R_(pn_fold_sum)(c, m, &f, y, x, mean ? (double)f.count : 1, false, c->scratch);
    if (mean && f.count == 0) fill_nan(c, m);
}

/* Every element of a group gets gy / divisor. */
static void R_(repeat)(const pn_call *c, const pn_fold_walk *w, const real *gy, real divisor, real *gx) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    real value[PN_FOLD_WIDTH];
    k->binary[PN_BIN_div](value, gy + w->at, 1, &divisor, 0, w->width);
    if (!w->f->along)
        R_(pn_put)(c, gx + w->offset, value, w->width, c->gin_add[0]);
    else if (c->gin_add[0])
        k->binary[PN_BIN_add](gx + w->offset, gx + w->offset, 1, value, 0, w->n);
    else
        k->fill(gx + w->offset, value[0], w->n);
}

static inline void R_(backward)(const pn_call *c, pn_member *m, bool mean) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    if (!gx) return;
    if (pn_reduce_all(&c->attrs[0])) { /* one value for all, shared as elements are */
        const int64_t n = pn_shape_size(&c->in[0].shape);
        const real value = mean ? *gy / (real)n : *gy;
        for (pn_span s = pn_span_open(m, n); pn_span_next(&s, m);) {
            if (c->gin_add[0])
                k->binary[PN_BIN_add](gx + s.lo, gx + s.lo, 1, &value, 0, s.hi - s.lo);
            else
                k->fill(gx + s.lo, value, s.hi - s.lo);
        }
        return;
    }
    pn_fold f;
    pn_fold_init(&f, &c->in[0].shape, pn_reduce_mask(&c->in[0].shape, &c->attrs[0]));
    for (pn_fold_walk w = pn_fold_open(&f, m); pn_fold_next(&w);) {
        for (bool more = pn_fold_first(&w); more; more = pn_fold_step(&w)) R_(repeat)(c, &w, gy, mean ? (real)f.count : 1, gx);
    }
}

static void R_(mean_forward)(const pn_call *c, pn_member *m) { R_(forward)(c, m, true); }
static void R_(sum_backward)(const pn_call *c, pn_member *m) { R_(backward)(c, m, false); }
static void R_(mean_backward)(const pn_call *c, pn_member *m) { R_(backward)(c, m, true); }

#else
#include "ops/reduce.h"

/* The mean of nothing, in every output. */
static void fill_nan(const pn_call *c, pn_member *m) {
    if (m->index != 0) return;
    const int64_t n = pn_shape_size(&c->out[0].shape);
    if (c->out[0].shape.dtype == PN_F32)
        c->kernels->f.fill(c->out[0].data, NAN, n);
    else
        c->kernels->d.fill(c->out[0].data, (double)NAN, n);
}

#define PN_REAL_FILE "ops/reduce.c"
#include "base/real.h"

static void sum_whole(const pn_call *c, pn_member *m) {
    const int64_t *x = c->in[0].data;
    int64_t *y = c->out[0].data;
    pn_fold f;
    pn_fold_init(&f, &c->in[0].shape, pn_reduce_mask(&c->in[0].shape, &c->attrs[0]));
    for (pn_fold_walk w = pn_fold_open(&f, m); pn_fold_next(&w);) {
        uint64_t total[PN_FOLD_WIDTH] = {0}; /* unsigned: an overflow wraps, as in NumPy, and is not undefined */
        for (bool more = pn_fold_first(&w); more; more = pn_fold_step(&w)) {
            const int64_t run = f.along ? w.n : 0;
            for (int64_t j = 0; j < run; j++) total[0] += (uint64_t)x[w.offset + j];
            for (int64_t j = 0; !run && j < w.width; j++) total[j] += (uint64_t)x[w.offset + j];
        }
        for (int64_t j = 0; j < w.width; j++) y[w.at + j] = (int64_t)total[j];
    }
}

static void sum_forward_f(const pn_call *c, pn_member *m) {
    if (c->in[0].shape.dtype == PN_I64)
        sum_whole(c, m);
    else
        forward_f(c, m, false);
}
static void sum_forward_d(const pn_call *c, pn_member *m) { forward_d(c, m, false); }

unsigned pn_reduce_mask(const pn_shape *x, const pn_value *dims) {
    unsigned mask = 0;
    if (dims->n <= 0) return (1u << x->rank) - 1;
    for (int i = 0; i < dims->n; i++) mask |= 1u << pn_dim_of(x, dims->ints[i]);
    return mask;
}

unsigned pn_reduce_mask_one(const pn_shape *x, int64_t dim) { return dim == INT64_MIN ? (1u << x->rank) - 1 : 1u << pn_dim_of(x, dim); }

static void fill_shape(pn_infer *q, unsigned mask) {
    const pn_shape *x = &q->in[0];
    const bool keep = q->attrs[1].i != 0;
    pn_shape *y = &q->out[0];
    y->dtype = x->dtype;
    y->rank = 0;
    for (int d = 0; d < x->rank; d++) {
        if (!(mask >> d & 1))
            y->dim[y->rank++] = x->dim[d];
        else if (keep)
            y->dim[y->rank++] = 1;
    }
    q->flops = (double)pn_shape_size(x);
}

pn_status pn_reduce_infer(pn_infer *q, unsigned *mask) {
    const pn_value *dims = &q->attrs[0];
    *mask = 0;
    for (int i = 0; i < dims->n; i++) {
        int d;
        pn_status status = pn_infer_dim(q, "x", 0, dims->ints[i], &d);
        if (status) return status;
        if (*mask >> d & 1) return pn_fail(q->error, PN_E_VALUE, "dim names dimension %d twice", d);
        *mask |= 1u << d;
    }
    *mask = pn_reduce_mask(&q->in[0], dims);
    fill_shape(q, *mask);
    return PN_OK;
}

pn_status pn_reduce_infer_one(pn_infer *q, unsigned *mask) {
    int d = 0;
    if (q->attrs[0].i != INT64_MIN) {
        pn_status status = pn_infer_dim(q, "x", 0, q->attrs[0].i, &d);
        if (status) return status;
    }
    *mask = pn_reduce_mask_one(&q->in[0], q->attrs[0].i);
    fill_shape(q, *mask);
    return PN_OK;
}

pn_status pn_reduce_refuse_empty(pn_infer *q, const char *name) {
    char text[256];
    if (pn_shape_size(&q->in[0]) > 0 || pn_shape_size(&q->out[0]) == 0) return PN_OK;
    return pn_fail(q->error, PN_E_VALUE, "x has shape %s, but %s needs at least one element", pn_shape_text(&q->in[0], text), name);
}

static pn_status infer(pn_infer *q) {
    unsigned mask;
    pn_status status = pn_reduce_infer(q, &mask);
    if (status) return status;
    pn_fold f;
    pn_fold_init(&f, &q->in[0], mask);
    q->scratch = pn_fold_sum_scratch(&f);
    return PN_OK;
}

static const pn_field fields[] = {PN_DIMS_FIELD, PN_KEEPDIM_FIELD, {0}};

const pn_op pn_op_sum = {
    .name = "sum",
    .formula = "y = sum of x over dim",
    .derivative = "gx = gy, repeated",
    .inputs = "x:n",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {sum_forward_f, sum_forward_d},
    .bwd = {sum_backward_f, sum_backward_d},
    .file = "ops/reduce.c",
};
const pn_op pn_op_mean = {
    .name = "mean",
    .formula = "y = (1 / n) sum of the n elements of x over dim",
    .derivative = "gx = gy / n, repeated",
    .inputs = "x:r",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {mean_forward_f, mean_forward_d},
    .bwd = {mean_backward_f, mean_backward_d},
    .file = "ops/reduce.c",
};
#endif
