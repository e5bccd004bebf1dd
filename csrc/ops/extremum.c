/* max, min, argmax, argmin over some dimensions. For ties the gradient of max and min is shared evenly.
 *
 * max, min: y = the largest (smallest) x, gx = gy [x = y] / (number of ties), as PyTorch's amax. dim=() means all dimensions.
 * argmax, argmin: position of the first largest (smallest) element along one dimension, or in the flattened tensor with dim=None; int64, no gradient.
 * Shapes: x (*), y without the folded dimensions (size 1 with keepdim). NaN is larger than everything for max and smaller for min, so that it shows.
 * Cost: 1 per element. Also for int64.
 */
#ifdef PN_REAL_PASS
#ifdef PN_WHOLE_PASS
#define IS_NAN(v) false
#else
#define IS_NAN(v) isnan(v)
#endif

/* Does v replace best? sign +1: the largest wins, -1: the smallest. The first NaN wins over all and stays; equal values do not replace. */
static inline bool R_(beats)(real v, real best, bool least) { return IS_NAN(v) ? !IS_NAN(best) : least ? v < best : v > best; }

/* The best values of one group of outputs and, if index is not NULL, where they were met, counted along the folded dimensions. */
static inline void R_(group)(pn_fold_walk *w, const real *x, bool least, real *best, int64_t *index) {
    const int64_t width = w->width;
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) {
        const real *v = x + w->offset;
        const int64_t run = w->f->along ? w->n : 0;
        if (w->number == 0) {
            for (int64_t j = 0; j < width; j++) best[j] = v[j], index[j] = 0;
        }
        for (int64_t j = 0; j < run; j++) {
            if (R_(beats)(v[j], best[0], least)) best[0] = v[j], index[0] = w->number + j;
        }
        for (int64_t j = 0; !run && j < width; j++) {
            if (R_(beats)(v[j], best[j], least)) best[j] = v[j], index[j] = w->number;
        }
    }
}

static inline void R_(values)(const pn_call *c, pn_member *m, bool least) {
    const pn_shape *shape = &c->in[0].shape;
    real *y = c->out[0].data;
    int64_t index[PN_FOLD_WIDTH];
    pn_fold f;
    pn_fold_init(&f, shape, pn_reduce_mask(shape, &c->attrs[0]));
    for (pn_fold_walk w = pn_fold_open(&f, m); pn_fold_next(&w);) R_(group)(&w, c->in[0].data, least, y + w.at, index);
}

static inline void R_(positions)(const pn_call *c, pn_member *m, bool least) {
    const pn_shape *shape = &c->in[0].shape;
    int64_t *y = c->out[0].data;
    real best[PN_FOLD_WIDTH];
    pn_fold f;
    pn_fold_init(&f, shape, pn_reduce_mask_one(shape, c->attrs[0].i));
    for (pn_fold_walk w = pn_fold_open(&f, m); pn_fold_next(&w);) R_(group)(&w, c->in[0].data, least, best, y + w.at);
}

#ifndef PN_WHOLE_PASS
/* gx (= or +=) g where x is y, else what 0 becomes by the same division */
static inline void R_(give)(real *gx, real x, real y, real gy, real ties, bool add) {
    const real g = (x == y ? gy : 0) / ties; /* no tie at all: the maximum is NaN, and so is 0 / 0 */
    *gx = add ? *gx + g : g;
}

/* One output: counts its ties, then shares its gradient among them. */
static void R_(share_runs)(pn_fold_walk *w, const real *x, real y, real gy, real *gx, bool add) {
    int64_t ties = 0;
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) {
        for (int64_t j = 0; j < w->n; j++) ties += x[w->offset + j] == y;
    }
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) {
        for (int64_t j = 0; j < w->n; j++) R_(give)(gx + w->offset + j, x[w->offset + j], y, gy, (real)ties, add);
    }
}

/* The same for neighbouring outputs, row after row. */
static void R_(share_rows)(pn_fold_walk *w, const real *x, const real *y, const real *gy, real *gx, bool add) {
    real ties[PN_FOLD_WIDTH] = {0};
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) {
        for (int64_t j = 0; j < w->width; j++) ties[j] += x[w->offset + j] == y[j];
    }
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) {
        for (int64_t j = 0; j < w->width; j++) R_(give)(gx + w->offset + j, x[w->offset + j], y[j], gy[j], ties[j], add);
    }
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    const real *x = c->in[0].data, *y = c->out[0].data, *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    pn_fold f;
    if (!gx) return;
    pn_fold_init(&f, &c->in[0].shape, pn_reduce_mask(&c->in[0].shape, &c->attrs[0]));
    for (pn_fold_walk w = pn_fold_open(&f, m); pn_fold_next(&w);) {
        if (f.along)
            R_(share_runs)(&w, x, y[w.at], gy[w.at], gx, c->gin_add[0]);
        else
            R_(share_rows)(&w, x, y + w.at, gy + w.at, gx, c->gin_add[0]);
    }
}
#endif
#undef IS_NAN

#else
#include "ops/reduce.h"

#define PN_REAL_FILE "ops/extremum.c"
#include "base/whole.h"

static pn_status infer_values(pn_infer *q) {
    unsigned mask;
    pn_status status = pn_reduce_infer(q, &mask);
    return status ? status : pn_reduce_refuse_empty(q, "a maximum or minimum");
}
static pn_status infer_positions(pn_infer *q) {
    unsigned mask;
    pn_status status = pn_reduce_infer_one(q, &mask);
    q->out[0].dtype = PN_I64;
    return status ? status : pn_reduce_refuse_empty(q, "a maximum or minimum");
}

static const pn_field value_fields[] = {PN_DIMS_FIELD, PN_KEEPDIM_FIELD, {0}};
static const pn_field position_fields[] = {{"dim", PN_INT, NULL, "none"}, PN_KEEPDIM_FIELD, {0}};

#define EXTREMUM(op_name, least, relation)                                                                                                                     \
    static void op_name##_forward_f(const pn_call *c, pn_member *m) {                                                                                          \
        if (c->in[0].shape.dtype == PN_I64)                                                                                                                    \
            values_i(c, m, least);                                                                                                                             \
        else                                                                                                                                                   \
            values_f(c, m, least);                                                                                                                             \
    }                                                                                                                                                          \
    static void op_name##_forward_d(const pn_call *c, pn_member *m) { values_d(c, m, least); }                                                                 \
    static void arg##op_name##_forward_f(const pn_call *c, pn_member *m) {                                                                                     \
        if (c->in[0].shape.dtype == PN_I64)                                                                                                                    \
            positions_i(c, m, least);                                                                                                                          \
        else                                                                                                                                                   \
            positions_f(c, m, least);                                                                                                                          \
    }                                                                                                                                                          \
    static void arg##op_name##_forward_d(const pn_call *c, pn_member *m) { positions_d(c, m, least); }                                                         \
    const pn_op pn_op_##op_name = {                                                                                                                            \
        .name = #op_name,                                                                                                                                      \
        .formula = "y = " #op_name " of x over dim",                                                                                                           \
        .derivative = "gx = gy [x = y] / (number of ties)",                                                                                                    \
        .inputs = "x:n",                                                                                                                                       \
        .n_out = 1,                                                                                                                                            \
        .fields = value_fields,                                                                                                                                \
        .infer = infer_values,                                                                                                                                 \
        .fwd = {op_name##_forward_f, op_name##_forward_d},                                                                                                     \
        .bwd = {backward_f, backward_d},                                                                                                                       \
        .needs_in = 1,                                                                                                                                         \
        .needs_out = 1,                                                                                                                                        \
        .file = "ops/extremum.c",                                                                                                                              \
    };                                                                                                                                                         \
    const pn_op pn_op_arg##op_name = {                                                                                                                         \
        .name = "arg" #op_name,                                                                                                                                \
        .formula = "y = first i with x_i " relation " all x_j along dim",                                                                                      \
        .inputs = "x:n",                                                                                                                                       \
        .n_out = 1,                                                                                                                                            \
        .fields = position_fields,                                                                                                                             \
        .infer = infer_positions,                                                                                                                              \
        .fwd = {arg##op_name##_forward_f, arg##op_name##_forward_d},                                                                                           \
        .flags = PN_NO_GRAD,                                                                                                                                   \
        .file = "ops/extremum.c",                                                                                                                              \
    };
EXTREMUM(max, false, ">=")
EXTREMUM(min, true, "<=")
#endif
