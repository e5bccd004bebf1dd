/* softmax, log_softmax along `dim`: y_k = exp(x_k) / sum_j exp(x_j), and its logarithm. Shape kept.
 *
 * The stable form takes the row's maximum off first, which changes nothing in exact arithmetic: softmax(x + c) = softmax(x). `stable=False` is the formula
 * as written on the slide: it overflows from 89 (float32) on, so that students see inf and nan. Cost: one exp an element.
 * Sources: lecture 001 (softmax bank), 004 (shift invariance, stable form).
 */
#ifdef PN_REAL_PASS
#include "ops/softmax_rows.h"

/* The textbook formula, one row: overflow is the point. */
static void R_(naive_softmax)(const pn_call *c, pn_member *m, bool logarithm, real *y, const real *x, int64_t n) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real total = (real)R_(long_sum)(k, m, y, x, n, 0);
    for (int64_t i = 0, size; (size = row_block(m, i, n)) > 0; i += size) {
        for (int64_t j = i; j < i + size; j++) y[j] /= total;
        if (logarithm) k->act_forward[PN_ACT_log](y + i, y + i, size, NULL);
    }
}

static void R_(softmax_forward)(const pn_call *c, pn_member *m, bool logarithm) {
    const pn_rows r = pn_rows_of(&c->in[0].shape, pn_dim_of(&c->in[0].shape, c->attrs[0].i));
    const real *x = c->in[0].data;
    real *y = c->out[0].data, *buffer = m->scratch;
    int64_t lo, hi;
    pn_member_range(m, r.blocks, &lo, &hi);
    for (int64_t b = lo; b < hi && (b == lo || !pn_member_stopped(m)); b++) {
        const int64_t first = pn_rows_first(&r, b), count = pn_rows_in(&r, b);
        const real *from = R_(pn_rows_load)(m, &r, x, first, count, buffer);
        real *target = r.inner == 1 ? y + first * r.n : buffer;
        if (c->attrs[1].i)
            R_(softmax_rows)(c, m, logarithm, target, from, count, r.n);
        else
            for (int64_t i = 0; i < count; i++) R_(naive_softmax)(c, m, logarithm, target + i * r.n, from + i * r.n, r.n);
        if (r.inner != 1) R_(pn_rows_store)(m, &r, y, first, count, buffer, false);
    }
}

/* gx (= or +=) y (gy - sum(gy y)), or for the logarithm gy - exp(y) sum(gy), of a row that the kernels would not poll in. */
static void R_(long_backward)(const pn_call *c, pn_member *m, bool logarithm, real *gx, const real *y, const real *gy, int64_t n, bool add) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    real t[PN_BLOCK];
    double total = 0;
    for (int64_t i = 0, size; (size = row_block(m, i, n)) > 0; i += size) total += logarithm ? k->sum(gy + i, size) : k->dot(gy + i, y + i, size);
    const real all = (real)total;
    for (int64_t i = 0, size; (size = row_block(m, i, n)) > 0; i += size) {
        if (logarithm) {
            k->act_forward[PN_ACT_exp](t, y + i, size, NULL);
            k->scale(t, t, all, size, false);
            k->binary[PN_BIN_sub](t, gy + i, 1, t, 1, size);
            R_(pn_put)(c, gx + i, t, size, add);
        } else {
            k->binary[PN_BIN_sub](t, gy + i, 1, &all, 0, size);
            k->mul_add(gx + i, y + i, t, size, add);
        }
    }
}

static void R_(softmax_backprop)(const pn_call *c, pn_member *m, bool logarithm) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const pn_rows r = pn_rows_of(&c->in[0].shape, pn_dim_of(&c->in[0].shape, c->attrs[0].i));
    const int64_t size = pn_rows_scratch(&r);
    real *gx = c->gin[0].data, *buffer = m->scratch;
    int64_t lo, hi;
    if (!gx) return;
    pn_member_range(m, r.blocks, &lo, &hi);
    for (int64_t b = lo; b < hi && (b == lo || !pn_member_stopped(m)); b++) {
        const int64_t first = pn_rows_first(&r, b), count = pn_rows_in(&r, b);
        const real *y = R_(pn_rows_load)(m, &r, c->out[0].data, first, count, buffer),
                   *gy = R_(pn_rows_load)(m, &r, c->gout[0].data, first, count, buffer + size);
        real *target = r.inner == 1 ? gx + first * r.n : buffer + 2 * size;
        const bool add = r.inner == 1 && c->gin_add[0];
        if (r.n > PN_PIECE)
            R_(long_backward)(c, m, logarithm, target, y, gy, r.n, add);
        else
            (logarithm ? k->log_softmax_backward : k->softmax_backward)(target, y, gy, count, r.n, add);
        if (r.inner != 1) R_(pn_rows_store)(m, &r, gx, first, count, target, c->gin_add[0]);
    }
}

static void R_(softmax_fwd)(const pn_call *c, pn_member *m) { R_(softmax_forward)(c, m, false); }
static void R_(softmax_bwd)(const pn_call *c, pn_member *m) { R_(softmax_backprop)(c, m, false); }
static void R_(log_softmax_fwd)(const pn_call *c, pn_member *m) { R_(softmax_forward)(c, m, true); }
static void R_(log_softmax_bwd)(const pn_call *c, pn_member *m) { R_(softmax_backprop)(c, m, true); }

#else
#include "ops/rows.h"
#include "ops/softmax_rows.h"

#define PN_REAL_FILE "ops/softmax.c"
#include "base/real.h"

static pn_status softmax_infer(pn_infer *q) {
    int dim;
    if (pn_infer_dim(q, "x", 0, q->attrs[0].i, &dim) != PN_OK) return q->error->status;
    const pn_rows r = pn_rows_of(&q->in[0], dim);
    q->out[0] = q->in[0];
    q->member_scratch = 3 * (size_t)pn_rows_scratch(&r) * pn_dtype_bytes(q->in[0].dtype);
    q->flops = 12.0 * (double)(r.count * r.n);
    return PN_OK;
}

static const pn_field softmax_fields[] = {{"dim", PN_INT, NULL, "-1"}, {"stable", PN_BOOL, NULL, "True"}, {0}};

const pn_op pn_op_softmax = {.name = "softmax",
                             .formula = "y_k = exp(x_k - max x) / sum_j exp(x_j - max x)",
                             .derivative = "gx = y (gy - sum_j gy_j y_j)",
                             .inputs = "x:r",
                             .n_out = 1,
                             .fields = softmax_fields,
                             .infer = softmax_infer,
                             .fwd = {softmax_fwd_f, softmax_fwd_d},
                             .bwd = {softmax_bwd_f, softmax_bwd_d},
                             .needs_out = 1,
                             .file = "ops/softmax.c"};
const pn_op pn_op_log_softmax = {.name = "log_softmax",
                                 .formula = "y_k = x_k - log sum_j exp(x_j)",
                                 .derivative = "gx = gy - exp(y) sum_j gy_j",
                                 .inputs = "x:r",
                                 .n_out = 1,
                                 .fields = softmax_fields,
                                 .infer = softmax_infer,
                                 .fwd = {log_softmax_fwd_f, log_softmax_fwd_d},
                                 .bwd = {log_softmax_bwd_f, log_softmax_bwd_d},
                                 .needs_out = 1,
                                 .file = "ops/softmax.c"};
#endif
