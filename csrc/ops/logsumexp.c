/* logsumexp: y = ln sum exp(x) over some dimensions, the smooth maximum. gx = gy exp(x - y), the softmax of each group times gy.
 *
 * Shapes: x (*), y without the dimensions in `dim` (size 1 with keepdim); dim=() means all. Cost: 10 per element (an exp). The largest element is taken
 * off before exp, so nothing overflows that y does not; an infinite largest element is left alone, because inf - inf is NaN. Of nothing: -inf.
 */
#ifdef PN_REAL_PASS

/* t[n] = exp(x - shift); the shift stands still (s 0) or advances with x (s 1). One of -inf counts as 0: there is nothing but -inf in x. */
static void R_(shifted_exp)(const R_(pn_kernels) *k, real *t, const real *x, const real *shift, int64_t s, int64_t n) {
    for (int64_t j = 0; j < n; j++) t[j] = x[j] - (shift[j * s] == -(real)INFINITY ? 0 : shift[j * s]);
    k->act_forward[PN_ACT_exp](t, t, n, NULL);
}

/* Largest of each output's elements, 0 where that is infinite. NaN need not be found: exp brings it into the sum. */
static void R_(largest)(pn_fold_walk *w, const real *x, real *top) {
    const int64_t s = w->f->along ? 0 : 1;
    for (int64_t j = 0; j < w->width; j++) top[j] = -(real)INFINITY;
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) {
        for (int64_t j = 0; j < w->n; j++) top[j * s] = x[w->offset + j] > top[j * s] ? x[w->offset + j] : top[j * s];
    }
    for (int64_t j = 0; j < w->width; j++) top[j] = isinf(top[j]) ? 0 : top[j];
}

static void R_(group)(const R_(pn_kernels) *k, pn_fold_walk *w, const real *x, real *y) {
    const int64_t s = w->f->along ? 0 : 1;
    real top[PN_FOLD_WIDTH], t[PN_FOLD_WIDTH];
    double total[PN_FOLD_WIDTH] = {0};
    R_(largest)(w, x, top);
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) {
        for (int64_t at = 0; at < w->n; at += PN_FOLD_WIDTH) {
            const int64_t n = w->n - at < PN_FOLD_WIDTH ? w->n - at : PN_FOLD_WIDTH;
            R_(shifted_exp)(k, t, x + w->offset + at, top, s, n);
            for (int64_t j = 0; j < n; j++) total[j * s] += t[j];
        }
    }
    for (int64_t j = 0; j < w->width; j++) t[j] = (real)total[j];
    k->act_forward[PN_ACT_log](t, t, w->width, NULL);
    for (int64_t j = 0; j < w->width; j++) y[j] = t[j] + top[j];
}

static void R_(forward)(const pn_call *c, pn_member *m) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real *x = c->in[0].data;
    real *y = c->out[0].data;
    pn_fold f;
    pn_fold_init(&f, &c->in[0].shape, pn_reduce_mask(&c->in[0].shape, &c->attrs[0]));
    if (!f.along || f.n_folded > 0 || f.count == 0 || f.run > PN_PIECE) {
        for (pn_fold_walk w = pn_fold_open(&f, m); pn_fold_next(&w);) R_(group)(k, &w, x, y + w.at);
        return;
    }
    /* Rows one behind the other: the kernel takes as many as go between two looks at the poll. */
    const int64_t most = PN_PIECE / f.run + 1;
    int64_t lo, hi;
    pn_member_share(m, f.out, f.run < PN_BLOCK ? PN_BLOCK / f.run : 1, &lo, &hi);
    for (int64_t o = lo; o < hi && (o == lo || !pn_member_stopped(m)); o += most) {
        k->log_sum_exp(y + o, x + o * f.run, hi - o < most ? hi - o : most, f.run);
    }
}

/* gx (= or +=) gy exp(x - y) on one step of a group, in chunks that fit the stack. */
static void R_(step_backward)(const pn_call *c, const pn_fold_walk *w, const real *gy, real *gx) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int s = w->f->along ? 0 : 1;
    const real *x = c->in[0].data, *y = c->out[0].data;
    real t[PN_FOLD_WIDTH];
    for (int64_t at = 0; at < w->n; at += PN_FOLD_WIDTH) {
        const int64_t n = w->n - at < PN_FOLD_WIDTH ? w->n - at : PN_FOLD_WIDTH;
        R_(shifted_exp)(k, t, x + w->offset + at, y + w->at + at * s, s, n);
        k->binary[PN_BIN_mul](t, t, 1, gy + w->at + at * s, s, n);
        R_(pn_put)(c, gx + w->offset + at, t, n, c->gin_add[0]);
    }
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    if (!c->gin[0].data) return;
    pn_fold f;
    pn_fold_init(&f, &c->in[0].shape, pn_reduce_mask(&c->in[0].shape, &c->attrs[0]));
    for (pn_fold_walk w = pn_fold_open(&f, m); pn_fold_next(&w);) {
        for (bool more = pn_fold_first(&w); more; more = pn_fold_step(&w)) R_(step_backward)(c, &w, c->gout[0].data, c->gin[0].data);
    }
}

#else
#include "ops/reduce.h"

#define PN_REAL_FILE "ops/logsumexp.c"
#include "base/real.h"

static pn_status infer(pn_infer *q) {
    unsigned mask;
    pn_status status = pn_reduce_infer(q, &mask);
    q->flops *= 10;
    return status;
}

static const pn_field fields[] = {PN_DIMS_FIELD, PN_KEEPDIM_FIELD, {0}};

const pn_op pn_op_logsumexp = {
    .name = "logsumexp",
    .formula = "y = ln sum exp(x) over dim",
    .derivative = "gx = gy exp(x - y)",
    .inputs = "x:r",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward_f, forward_d},
    .bwd = {backward_f, backward_d},
    .needs_in = 1,
    .needs_out = 1,
    .file = "ops/logsumexp.c",
};
#endif
