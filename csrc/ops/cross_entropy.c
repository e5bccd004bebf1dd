/* Losses on class numbers: cross_entropy on raw scores, nll on log-probabilities.
 *
 *   input (N, C) or (N, C, ...) or (C,); target: class numbers from 0, shape of the input without C; weight (C,): one factor a class.
 *   cross_entropy: l = -w_t log softmax(x)_t;  nll: l = -w_t x_t;  mean: sum of l over the sum of w_t (so N without weights), as PyTorch.
 * Rows whose target is ignore_index cost nothing and do not count. label_smoothing e moves e / C of the target's mass to every class.
 * The mean and its weights are summed in double over fixed blocks of rows. Saved for backward: total weight, then the log-probabilities.
 * Cost: one exp an element forward, one backward. Sources: lecture 001 (items 2, 8: log-loss), 004 (item 57).
 */
#ifdef PN_REAL_PASS
#include "ops/softmax_rows.h"

/* Loss of one row of log-probabilities; *mass gets the row's share of the mean's denominator. */
static double R_(row_loss)(const pn_call *c, const real *logp, int64_t n, int64_t target, double *mass) {
    const real *w = c->n_in > 2 ? c->in[2].data : NULL;
    const double smooth = class_smoothing(c);
    *mass = 0;
    if (target == c->attrs[1].i) return 0;
    if (target < 0 || target >= n) return NAN; /* unchecked labels show as a non-finite loss, never as a read out of bounds */
    const double wt = w ? w[target] : 1;
    double loss = -wt * logp[target];
    if (smooth > 0) {
        double all = 0;
        for (int64_t j = 0; j < n; j++) all -= (w ? w[j] : 1) * (double)logp[j];
        loss = (1 - smooth) * loss + smooth / (double)n * all;
    }
    *mass = wt;
    return loss;
}

/* Sum of the blocks' losses and masses into out[0]; the saved total is what backward divides by. */
static void R_(class_total)(const pn_call *c, const pn_member *m, int64_t blocks) {
    const double *partial = c->scratch;
    real *out = c->out[0].data;
    double *saved = c->saved, loss = 0, mass = 0;
    if (m->index + 1 < m->count) return;
    for (int64_t b = 0; b < blocks; b++) loss += partial[2 * b], mass += partial[2 * b + 1];
    saved[0] = mass;
    if (c->attrs[0].i != PN_NONE) out[0] = (real)(c->attrs[0].i == PN_MEAN ? loss / mass : loss);
}

static void R_(class_forward)(const pn_call *c, pn_member *m, bool log_softmax) {
    const pn_rows r = pn_rows_of(&c->in[0].shape, class_dim(&c->in[0].shape));
    const real *x = c->in[0].data;
    const int64_t *target = c->in[1].data;
    real *out = c->out[0].data, *logp = (real *)((char *)c->saved + 64), *buffer = m->scratch;
    double *partial = c->scratch;
    int64_t lo, hi;
    pn_member_range(m, r.blocks, &lo, &hi);
    for (int64_t b = lo; b < hi && (b == lo || !pn_member_stopped(m)); b++) {
        const int64_t first = pn_rows_first(&r, b), count = pn_rows_in(&r, b);
        const real *rows = R_(pn_rows_load)(m, &r, x, first, count, buffer);
        double loss = 0, mass = 0, row_mass;
        if (log_softmax) {
            R_(softmax_rows)(c, m, true, logp + first * r.n, rows, count, r.n);
            rows = logp + first * r.n;
        }
        for (int64_t i = 0; i < count; i++, mass += row_mass) {
            const double l = R_(row_loss)(c, rows + i * r.n, r.n, target[first + i], &row_mass);
            if (c->attrs[0].i == PN_NONE) out[first + i] = (real)l;
            loss += l;
        }
        partial[2 * b] = loss, partial[2 * b + 1] = mass;
    }
    if (r.blocks > 1) pn_member_barrier(m);
    R_(class_total)(c, m, r.blocks);
}

/* What a row's gradient is multiplied by. */
static double R_(row_factor)(const pn_call *c, int64_t row) {
    const real *gout = c->gout[0].data;
    const int64_t reduction = c->attrs[0].i;
    return reduction == PN_NONE ? gout[row] : reduction == PN_SUM ? gout[0] : gout[0] / *(const double *)c->saved;
}

/* g[n] = factor * d row_loss / d scores; logp NULL: the scores are log-probabilities themselves (nll). */
static void R_(row_gradient)(const pn_call *c, pn_member *m, real *g, const real *logp, int64_t n, int64_t target, double factor) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real *w = c->n_in > 2 ? c->in[2].data : NULL;
    const double smooth = class_smoothing(c);
    if (target == c->attrs[1].i) {
        k->fill(g, 0, n);
        return;
    }
    if (target < 0 || target >= n) {
        k->fill(g, NAN, n);
        return;
    }
    const double hit = (1 - smooth) * (w ? w[target] : 1) * factor, share = smooth / (double)n * factor;
    double mass = hit;
    if (smooth > 0)
        for (int64_t j = 0; j < n; j++) mass += share * (w ? w[j] : 1);
    if (logp) {
        for (int64_t i = 0, size; (size = row_block(m, i, n)) > 0; i += size) {
            k->act_forward[PN_ACT_exp](g + i, logp + i, size, NULL);
            k->scale(g + i, g + i, (real)mass, size, false);
        }
    } else {
        k->fill(g, 0, n);
    }
    if (smooth > 0)
        for (int64_t j = 0; j < n; j++) g[j] -= (real)(share * (w ? w[j] : 1));
    g[target] -= (real)hit;
}

static void R_(class_backward)(const pn_call *c, pn_member *m, bool log_softmax) {
    const pn_rows r = pn_rows_of(&c->in[0].shape, class_dim(&c->in[0].shape));
    const int64_t *target = c->in[1].data;
    const real *logp = (const real *)((const char *)c->saved + 64);
    real *gx = c->gin[0].data, *buffer = m->scratch;
    const bool in_place = r.inner == 1 && !c->gin_add[0];
    int64_t lo, hi;
    if (!gx) return;
    pn_member_range(m, r.blocks, &lo, &hi);
    for (int64_t b = lo; b < hi && (b == lo || !pn_member_stopped(m)); b++) {
        const int64_t first = pn_rows_first(&r, b), count = pn_rows_in(&r, b);
        real *g = in_place ? gx + first * r.n : buffer;
        for (int64_t i = 0; i < count; i++)
            R_(row_gradient)(c, m, g + i * r.n, log_softmax ? logp + (first + i) * r.n : NULL, r.n, target[first + i], R_(row_factor)(c, first + i));
        if (!in_place) R_(pn_rows_store)(m, &r, gx, first, count, g, c->gin_add[0]);
    }
}

static void R_(cross_entropy_fwd)(const pn_call *c, pn_member *m) { R_(class_forward)(c, m, true); }
static void R_(cross_entropy_bwd)(const pn_call *c, pn_member *m) { R_(class_backward)(c, m, true); }
static void R_(nll_fwd)(const pn_call *c, pn_member *m) { R_(class_forward)(c, m, false); }
static void R_(nll_bwd)(const pn_call *c, pn_member *m) { R_(class_backward)(c, m, false); }

#else
#include <math.h>

#include "ops/loss.h"
#include "ops/rows.h"
#include "ops/softmax_rows.h"

static int class_dim(const pn_shape *s) { return s->rank > 1 ? 1 : 0; }
/* nll has no attribute 2. */
static double class_smoothing(const pn_call *c) { return c->op->fields[2].name ? c->attrs[2].f : 0; }

#define PN_REAL_FILE "ops/cross_entropy.c"
#include "base/real.h"

/* The shape of the input without its class dimension. */
static pn_shape class_rows_shape(const pn_shape *x) {
    pn_shape s = *x;
    s.rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (i != class_dim(x)) s.dim[s.rank++] = x->dim[i];
    return s;
}

static pn_status class_infer(pn_infer *q) {
    const pn_shape *x = &q->in[0], want = class_rows_shape(x);
    char a[256], b[256], w[256];
    if (x->rank < 1) return pn_fail(q->error, PN_E_VALUE, "input has shape (), expected (N, C) with one score per class");
    if (!pn_shape_equal(&want, &q->in[1]))
        return pn_fail(q->error, PN_E_VALUE, "target has shape %s, expected %s for input of shape %s: one class number per row", pn_shape_text(&q->in[1], a),
                       pn_shape_text(&want, w), pn_shape_text(x, b));
    const pn_rows r = pn_rows_of(x, class_dim(x));
    if (q->n_in > 2 && (q->in[2].rank != 1 || q->in[2].dim[0] != r.n))
        return pn_fail(q->error, PN_E_VALUE, "weight has shape %s, expected (%lld,) for input of shape %s", pn_shape_text(&q->in[2], a), (long long)r.n,
                       pn_shape_text(x, b));
    const size_t bytes = pn_dtype_bytes(x->dtype);
    q->out[0] = want;
    if (q->attrs[0].i != PN_NONE) q->out[0].rank = 0;
    q->saved = 64;
    q->scratch = 2 * (size_t)r.blocks * sizeof(double);
    q->member_scratch = (size_t)(r.block * r.n) * bytes;
    q->flops = 12.0 * (double)(r.count * r.n);
    return PN_OK;
}

static pn_status cross_entropy_infer(pn_infer *q) {
    if (!(q->attrs[2].f >= 0 && q->attrs[2].f <= 1))
        return pn_fail(q->error, PN_E_VALUE, "label_smoothing is %g, expected a number from 0 to 1", q->attrs[2].f);
    const pn_status status = class_infer(q);
    if (status == PN_OK) q->saved += (size_t)pn_shape_size(&q->in[0]) * pn_dtype_bytes(q->in[0].dtype);
    return status;
}

static pn_status class_check(const pn_call *c, pn_error *e) {
    const int64_t *target = c->in[1].data, rows = pn_shape_size(&c->in[1].shape), classes = c->in[0].shape.dim[class_dim(&c->in[0].shape)];
    for (int64_t i = 0; i < rows; i++)
        if ((target[i] < 0 || target[i] >= classes) && target[i] != c->attrs[1].i)
            return pn_fail(e, PN_E_VALUE, "%s: target has label %lld at row %lld, expected 0..%lld: the input has %lld classes", c->op->name,
                           (long long)target[i], (long long)i, (long long)classes - 1, (long long)classes);
    return PN_OK;
}

static const pn_field cross_entropy_fields[] = {PN_REDUCTION_FIELD, {"ignore_index", PN_INT, NULL, "-100"}, {"label_smoothing", PN_FLOAT, NULL, "0.0"}, {0}};
static const pn_field nll_fields[] = {PN_REDUCTION_FIELD, {"ignore_index", PN_INT, NULL, "-100"}, {0}};

const pn_op pn_op_cross_entropy = {.name = "cross_entropy",
                                   .formula = "-mean log softmax(x)_t",
                                   .derivative = "gx = (softmax(x) - [k = t]) / n",
                                   .inputs = "input:r target:i weight:r?!",
                                   .n_out = 1,
                                   .fields = cross_entropy_fields,
                                   .infer = cross_entropy_infer,
                                   .check = class_check,
                                   .fwd = {cross_entropy_fwd_f, cross_entropy_fwd_d},
                                   .bwd = {cross_entropy_bwd_f, cross_entropy_bwd_d},
                                   .needs_in = 6,
                                   .file = "ops/cross_entropy.c"};
const pn_op pn_op_nll = {.name = "nll",
                         .formula = "-mean x_t, x: log-probabilities",
                         .derivative = "gx = -[k = t] / n",
                         .inputs = "input:r target:i weight:r?!",
                         .n_out = 1,
                         .fields = nll_fields,
                         .infer = class_infer,
                         .check = class_check,
                         .fwd = {nll_fwd_f, nll_fwd_d},
                         .bwd = {nll_bwd_f, nll_bwd_d},
                         .needs_in = 6,
                         .file = "ops/cross_entropy.c"};
#endif
