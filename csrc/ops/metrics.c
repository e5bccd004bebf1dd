/* Metrics: accuracy, binary_accuracy, top_k_accuracy: the mean over samples of a hit (1) or a miss (0). Scalars without gradient.
 *
 *   accuracy: input (N, C, ...) scores, target (N, ...) class numbers: hit when the largest score is the target's (the first one of equals). With one score
 *   a sample, input (N,) or (N, 1): hit when (input > threshold) equals the target, 0 or 1. binary_accuracy: the same with a real target of any shape.
 *   top_k_accuracy: hit when fewer than k classes stand before the target's. A NaN score never hits. Cost: one pass.
 */
#ifdef PN_REAL_PASS

/* How many classes stand before class t: larger scores, and equal ones of a lower number. NaN anywhere in the row: all. */
static int64_t R_(rank_of)(const real *x, int64_t n, int64_t stride, int64_t t) {
    int64_t before = 0;
    if (t < 0 || t >= n) return n;
    const real score = x[t * stride];
    for (int64_t j = 0; j < n; j++) {
        const real v = x[j * stride];
        if (v != v) return n;
        before += v > score || (v == score && j < t);
    }
    return score != score ? n : before;
}

static void R_(count_ranks)(const pn_call *c, pn_member *m, int64_t k) {
    const pn_rows r = pn_rows_of(&c->in[0].shape, 1);
    const real *x = c->in[0].data;
    const int64_t *target = c->in[1].data;
    double *partial = c->scratch;
    int64_t lo, hi;
    pn_member_range(m, r.blocks, &lo, &hi);
    for (int64_t b = lo; b < hi && (b == lo || !pn_member_stopped(m)); b++) {
        const int64_t first = pn_rows_first(&r, b), end = first + pn_rows_in(&r, b);
        int64_t hits = 0;
        for (int64_t i = first; i < end; i++) hits += R_(rank_of)(x + pn_row_offset(&r, i), r.n, r.inner, target[i]) < k;
        partial[b] = (double)hits;
    }
    if (r.blocks > 1) pn_member_barrier(m);
    if (m->index + 1 < m->count) return;
    *(real *)c->out[0].data = (real)(pn_loss_total(partial, r.blocks) / (double)r.count);
}

/* Hits of one score a sample; the target is int64 or real. */
static void R_(count_threshold)(const pn_call *c, const pn_member *m) {
    const real *x = c->in[0].data, *real_target = c->in[1].data, threshold = (real)c->attrs[0].f;
    const int64_t *int_target = c->in[1].data, n = pn_shape_size(&c->in[0].shape);
    const bool integer = c->in[1].shape.dtype == PN_I64;
    int64_t hits = 0;
    if (m->index + 1 < m->count) return;
    for (int64_t i = 0; i < n; i++) hits += x[i] == x[i] && (x[i] > threshold) == (integer ? (double)int_target[i] : (double)real_target[i]);
    *(real *)c->out[0].data = (real)((double)hits / (double)n);
}

static void R_(accuracy_fwd)(const pn_call *c, pn_member *m) {
    if (one_score(&c->in[0].shape))
        R_(count_threshold)(c, m);
    else
        R_(count_ranks)(c, m, 1);
}
static void R_(binary_accuracy_fwd)(const pn_call *c, pn_member *m) { R_(count_threshold)(c, m); }
static void R_(top_k_accuracy_fwd)(const pn_call *c, pn_member *m) { R_(count_ranks)(c, m, c->attrs[0].i); }

#else
#include "ops/loss.h"
#include "ops/op_helpers.h"
#include "ops/rows.h"

static bool one_score(const pn_shape *x) { return x->rank < 2 || (x->rank == 2 && x->dim[1] == 1); }

#define PN_REAL_FILE "ops/metrics.c"
#include "base/real.h"

static pn_status scalar_result(pn_infer *q, int64_t blocks) {
    q->out[0] = q->in[0];
    q->out[0].rank = 0;
    q->scratch = (size_t)blocks * sizeof(double);
    q->flops = (double)pn_shape_size(&q->in[0]);
    return PN_OK;
}

static pn_status classes_infer(pn_infer *q) {
    const pn_shape *x = &q->in[0];
    pn_shape want = *x;
    char a[256], b[256], w[256];
    if (x->rank < 2) return pn_fail(q->error, PN_E_VALUE, "input has shape %s, expected (N, C): one score per class", pn_shape_text(x, a));
    want.rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (i != 1) want.dim[want.rank++] = x->dim[i];
    if (!pn_shape_equal(&want, &q->in[1]))
        return pn_fail(q->error, PN_E_VALUE, "target has shape %s, expected %s for input of shape %s: one class number per row", pn_shape_text(&q->in[1], a),
                       pn_shape_text(&want, w), pn_shape_text(x, b));
    return scalar_result(q, pn_rows_of(x, 1).blocks);
}

static pn_status binary_infer(pn_infer *q) {
    char a[256], b[256];
    if (!pn_loss_same(&q->in[0], &q->in[1]))
        return pn_fail(q->error, PN_E_VALUE, "input has shape %s, target has shape %s, expected equal shapes", pn_shape_text(&q->in[0], a),
                       pn_shape_text(&q->in[1], b));
    return scalar_result(q, 1);
}

static pn_status accuracy_infer(pn_infer *q) { return one_score(&q->in[0]) ? binary_infer(q) : classes_infer(q); }

static pn_status top_k_infer(pn_infer *q) {
    if (q->attrs[0].i < 1) return pn_fail(q->error, PN_E_VALUE, "k is %lld, expected at least 1", (long long)q->attrs[0].i);
    return classes_infer(q);
}

static const pn_field threshold_fields[] = {{"threshold", PN_FLOAT, NULL, "0.5"}, {0}};
static const pn_field top_k_fields[] = {{"k", PN_INT, NULL, "5"}, {0}};

#define METRIC_OP(op_name, text, input_list, field_list, infer_fn)                                                                                             \
    const pn_op pn_op_##op_name = {.name = #op_name,                                                                                                           \
                                   .formula = text,                                                                                                            \
                                   .inputs = input_list,                                                                                                       \
                                   .n_out = 1,                                                                                                                 \
                                   .fields = field_list,                                                                                                       \
                                   .infer = infer_fn,                                                                                                          \
                                   .fwd = {op_name##_fwd_f, op_name##_fwd_d},                                                                                  \
                                   .flags = PN_NO_GRAD,                                                                                                        \
                                   .file = "ops/metrics.c"};
METRIC_OP(accuracy, "mean [argmax_k x_k = t]", "input:r target:i", threshold_fields, accuracy_infer)
METRIC_OP(binary_accuracy, "mean [[x > threshold] = t]", "input:r target:r", threshold_fields, binary_infer)
METRIC_OP(top_k_accuracy, "mean [target among the k largest scores]", "input:r target:i", top_k_fields, top_k_infer)
#endif
