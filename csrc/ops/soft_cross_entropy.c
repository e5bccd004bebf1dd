/* soft_cross_entropy: l = -sum_k t_k w_k log softmax(x)_k, with a probability for every class as target.
 *
 *   input and target (N, C) or (N, C, ...) or (C,), same shape; weight (C,): one factor a class; mean: over the N rows, as PyTorch.
 * label_smoothing e replaces t by (1 - e) t + e / C. Saved for backward: the log-probabilities. Cost: one exp an element forward, one backward.
 * Source: lecture 004 (item 57, the full form of the cross-entropy); PyTorch's cross_entropy with probabilities.
 */
#ifdef PN_REAL_PASS
#include "ops/softmax_rows.h"

/* q[n] = w (smoothed t): what multiplies -log p. Returns the sum of q. */
static double R_(soft_target)(const pn_call *c, real *q, const real *t, int64_t n) {
    const real *w = c->n_in > 2 ? c->in[2].data : NULL;
    const double smooth = c->attrs[1].f, floor = smooth / (double)n;
    double mass = 0;
    for (int64_t j = 0; j < n; j++) {
        const double v = ((1 - smooth) * t[j] + floor) * (w ? w[j] : 1);
        q[j] = (real)v;
        mass += v;
    }
    return mass;
}

static void R_(soft_cross_entropy_fwd)(const pn_call *c, pn_member *m) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const pn_rows r = pn_rows_of(&c->in[0].shape, soft_dim(&c->in[0].shape));
    real *out = c->out[0].data, *logp = c->saved, *x_rows = m->scratch, *t_rows = x_rows + r.block * r.n, *q = t_rows + r.block * r.n;
    double *partial = c->scratch;
    int64_t lo, hi;
    pn_member_range(m, r.blocks, &lo, &hi);
    for (int64_t b = lo; b < hi && (b == lo || !pn_member_stopped(m)); b++) {
        const int64_t first = pn_rows_first(&r, b), count = pn_rows_in(&r, b);
        const real *t = R_(pn_rows_load)(m, &r, c->in[1].data, first, count, t_rows);
        R_(softmax_rows)(c, m, true, logp + first * r.n, R_(pn_rows_load)(m, &r, c->in[0].data, first, count, x_rows), count, r.n);
        partial[b] = 0;
        for (int64_t i = 0; i < count; i++) {
            R_(soft_target)(c, q, t + i * r.n, r.n);
            const double l = -k->dot(q, logp + (first + i) * r.n, r.n);
            if (c->attrs[0].i == PN_NONE) out[first + i] = (real)l;
            partial[b] += l;
        }
    }
    if (r.blocks > 1) pn_member_barrier(m);
    if (m->index + 1 < m->count || c->attrs[0].i == PN_NONE) return;
    const double total = pn_loss_total(partial, r.blocks);
    out[0] = (real)(c->attrs[0].i == PN_MEAN ? total / (double)r.count : total);
}

/* gx = factor (mass softmax(x) - q); gt = -factor (1 - e) w log p. */
static void R_(soft_row_gradient)(const pn_call *c, real *gx, real *gt, const real *logp, const real *t, int64_t n, double factor, real *q) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real *w = c->n_in > 2 ? c->in[2].data : NULL;
    const double mass = R_(soft_target)(c, q, t, n);
    if (gx) {
        k->act_forward[PN_ACT_exp](gx, logp, n, NULL);
        for (int64_t j = 0; j < n; j++) gx[j] = (real)(factor * (mass * gx[j] - q[j]));
    }
    if (gt)
        for (int64_t j = 0; j < n; j++) gt[j] = (real)(-factor * (1 - c->attrs[1].f) * (w ? w[j] : 1) * logp[j]);
}

static void R_(soft_cross_entropy_bwd)(const pn_call *c, pn_member *m) {
    const pn_rows r = pn_rows_of(&c->in[0].shape, soft_dim(&c->in[0].shape));
    const real *logp = c->saved, *gout = c->gout[0].data;
    const int64_t size = r.block * r.n;
    real *t_rows = m->scratch, *gx = c->gin[0].data ? t_rows + size : NULL, *gt = c->gin[1].data ? t_rows + 2 * size : NULL, *q = t_rows + 3 * size;
    int64_t lo, hi;
    pn_member_range(m, r.blocks, &lo, &hi);
    for (int64_t b = lo; b < hi && (b == lo || !pn_member_stopped(m)); b++) {
        const int64_t first = pn_rows_first(&r, b), count = pn_rows_in(&r, b);
        const real *t = R_(pn_rows_load)(m, &r, c->in[1].data, first, count, t_rows);
        for (int64_t i = 0; i < count; i++) {
            const double factor = c->attrs[0].i == PN_NONE ? gout[first + i] : c->attrs[0].i == PN_SUM ? gout[0] : gout[0] / (double)r.count;
            R_(soft_row_gradient)(c, gx ? gx + i * r.n : NULL, gt ? gt + i * r.n : NULL, logp + (first + i) * r.n, t + i * r.n, r.n, factor, q);
        }
        if (gx) R_(pn_rows_store)(m, &r, c->gin[0].data, first, count, gx, c->gin_add[0]);
        if (gt) R_(pn_rows_store)(m, &r, c->gin[1].data, first, count, gt, c->gin_add[1]);
    }
}

#else
#include "ops/loss.h"
#include "ops/rows.h"
#include "ops/softmax_rows.h"

static int soft_dim(const pn_shape *s) { return s->rank > 1 ? 1 : 0; }

#define PN_REAL_FILE "ops/soft_cross_entropy.c"
#include "base/real.h"

static pn_status soft_infer(pn_infer *q) {
    const pn_shape *x = &q->in[0];
    char a[256], b[256];
    if (x->rank < 1 || !pn_shape_equal(x, &q->in[1]))
        return pn_fail(q->error, PN_E_VALUE, "target has shape %s, expected %s, the input's: one probability per class", pn_shape_text(&q->in[1], a),
                       pn_shape_text(x, b));
    if (!(q->attrs[1].f >= 0 && q->attrs[1].f <= 1))
        return pn_fail(q->error, PN_E_VALUE, "label_smoothing is %g, expected a number from 0 to 1", q->attrs[1].f);
    const pn_rows r = pn_rows_of(x, soft_dim(x));
    if (q->n_in > 2 && (q->in[2].rank != 1 || q->in[2].dim[0] != r.n))
        return pn_fail(q->error, PN_E_VALUE, "weight has shape %s, expected (%lld,) for input of shape %s", pn_shape_text(&q->in[2], a), (long long)r.n,
                       pn_shape_text(x, b));
    const size_t bytes = pn_dtype_bytes(x->dtype);
    q->out[0] = *x;
    q->out[0].rank = 0;
    if (q->attrs[0].i == PN_NONE)
        for (int i = 0; i < x->rank; i++)
            if (i != soft_dim(x)) q->out[0].dim[q->out[0].rank++] = x->dim[i];
    q->saved = (size_t)(r.count * r.n) * bytes;
    q->scratch = (size_t)r.blocks * sizeof(double);
    q->member_scratch = (size_t)(3 * r.block * r.n + r.n) * bytes;
    q->flops = 14.0 * (double)(r.count * r.n);
    return PN_OK;
}

static const pn_field soft_fields[] = {PN_REDUCTION_FIELD, {"label_smoothing", PN_FLOAT, NULL, "0.0"}, {0}};

const pn_op pn_op_soft_cross_entropy = {.name = "soft_cross_entropy",
                                        .formula = "-mean sum_k t_k log softmax(x)_k",
                                        .derivative = "gx = (softmax(x) sum_k t_k - t) / n; gt = -log softmax(x) / n",
                                        .inputs = "input:r target:r weight:r?!",
                                        .n_out = 1,
                                        .fields = soft_fields,
                                        .infer = soft_infer,
                                        .fwd = {soft_cross_entropy_fwd_f, soft_cross_entropy_fwd_d},
                                        .bwd = {soft_cross_entropy_bwd_f, soft_cross_entropy_bwd_d},
                                        .needs_in = 6,
                                        .file = "ops/soft_cross_entropy.c"};
#endif
