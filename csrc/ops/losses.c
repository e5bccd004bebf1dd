/* Elementwise losses l(y, t): mse, mae, huber, smooth_l1, bce, bce_with_logits, hinge, kl_div, zero_one. One entry of the list below each.
 *
 *   y, t: same shape (N, ...); result: mean (default) or sum over all elements, a scalar, or `none`: the shape of y.
 * Cost: one pass over both tensors. Sums run in double. Sources: lecture 001 (square, indicator, log-loss), 003 (logistic), PyTorch for names and
 * conventions (bce clamps the logarithm at -100).
 *
 * Each loss gives three typed block functions over n elements: value l, slope dl/dy, and dl/dt. They are all a newcomer has to write.
 */
#ifdef PN_REAL_PASS

typedef struct R_(loss_args) {
    const R_(pn_kernels) *kernels;
    const pn_value *attrs;
} R_(loss_args);
typedef void (*R_(loss_fn))(real *out, const real *y, const real *t, int64_t n, const R_(loss_args) *a);

#define LOSS_FN(name) static void R_(name)(real * out, const real *y, const real *t, int64_t n, const R_(loss_args) *a)
/* An expression in y = y[i], t = t[i], d = y - t and p, the loss's parameter (attribute 1). */
#define LOSS_EXPR(name, expression)                                                                                                                            \
    LOSS_FN(name) {                                                                                                                                            \
        const real p = (real)a->attrs[1].f;                                                                                                                    \
        (void)p;                                                                                                                                               \
        for (int64_t i = 0; i < n; i++) {                                                                                                                      \
            const real yi = y[i], ti = t[i], d = yi - ti;                                                                                                      \
            (void)yi, (void)ti, (void)d;                                                                                                                       \
            out[i] = (expression);                                                                                                                             \
        }                                                                                                                                                      \
    }
#define ABS(v) ((v) < 0 ? -(v) : (v))
#define SIGN(v) ((real)((v) > 0) - (real)((v) < 0) + 0 * (v)) /* the last term carries NaN */

LOSS_EXPR(mse_value, d *d)
LOSS_EXPR(mse_slope, 2 * d)
LOSS_EXPR(mse_target, -2 * d)
LOSS_EXPR(half_mse_value, (real)0.5 * d * d)
LOSS_EXPR(half_mse_slope, d)
LOSS_EXPR(half_mse_target, -d)
LOSS_EXPR(mae_value, ABS(d))
LOSS_EXPR(mae_slope, SIGN(d))
LOSS_EXPR(mae_target, -SIGN(d))
LOSS_EXPR(huber_value, ABS(d) <= p ? (real)0.5 * d * d : p * (ABS(d) - (real)0.5 * p))
LOSS_EXPR(huber_slope, ABS(d) <= p ? d : p * SIGN(d))
LOSS_EXPR(huber_target, ABS(d) <= p ? -d : -p * SIGN(d))
LOSS_EXPR(smooth_l1_value, ABS(d) < p ? (real)0.5 * d * d / p : ABS(d) - (real)0.5 * p)
LOSS_EXPR(smooth_l1_slope, ABS(d) < p ? d / p : SIGN(d))
LOSS_EXPR(smooth_l1_target, ABS(d) < p ? -d / p : -SIGN(d))
LOSS_EXPR(hinge_value, 1 - ti * yi < 0 ? 0 : 1 - ti * yi)
LOSS_EXPR(hinge_slope, 1 - ti * yi < 0 ? 0 : -ti)
LOSS_EXPR(hinge_target, 1 - ti * yi < 0 ? 0 : -yi)
LOSS_EXPR(kl_div_slope, -ti)
LOSS_EXPR(zero_one_value, yi != ti ? 1 : 0)

/* out = (log u, not below -100): PyTorch's guard, so that a certain but wrong prediction costs 100 and not infinity. */
static void R_(clamped_log)(real *out, const real *u, int64_t n, const R_(pn_kernels) *k) {
    k->act_forward[PN_ACT_log](out, u, n, NULL);
    for (int64_t i = 0; i < n; i++)
        if (out[i] < -100) out[i] = -100;
}

LOSS_FN(bce_value) {
    real other[PN_LOSS_BLOCK];
    for (int64_t i = 0; i < n; i++) other[i] = 1 - y[i];
    R_(clamped_log)(other, other, n, a->kernels);
    R_(clamped_log)(out, y, n, a->kernels);
    for (int64_t i = 0; i < n; i++) out[i] = -(t[i] * out[i] + (1 - t[i]) * other[i]);
}
LOSS_FN(bce_slope) {
    const real tiny = (real)1e-12; /* as PyTorch: keeps the slope finite at y = 0 and y = 1 */
    (void)a;
    for (int64_t i = 0; i < n; i++) {
        const real v = y[i] * (1 - y[i]);
        out[i] = (y[i] - t[i]) / (v < tiny ? tiny : v);
    }
}
LOSS_FN(bce_target) {
    real other[PN_LOSS_BLOCK];
    (void)t;
    for (int64_t i = 0; i < n; i++) other[i] = 1 - y[i];
    R_(clamped_log)(other, other, n, a->kernels);
    R_(clamped_log)(out, y, n, a->kernels);
    for (int64_t i = 0; i < n; i++) out[i] = other[i] - out[i];
}
/* softplus(y) - t y: never overflows. */
LOSS_FN(bce_with_logits_value) {
    a->kernels->act_forward[PN_ACT_softplus](out, y, n, NULL);
    for (int64_t i = 0; i < n; i++) out[i] -= t[i] * y[i];
}
LOSS_FN(bce_with_logits_slope) {
    a->kernels->act_forward[PN_ACT_sigmoid](out, y, n, NULL);
    for (int64_t i = 0; i < n; i++) out[i] -= t[i];
}
LOSS_FN(bce_with_logits_target) {
    (void)t, (void)a;
    for (int64_t i = 0; i < n; i++) out[i] = -y[i];
}
/* t (log t - y) with 0 log 0 = 0, y being a logarithm already. */
LOSS_FN(kl_div_value) {
    a->kernels->act_forward[PN_ACT_log](out, t, n, NULL);
    for (int64_t i = 0; i < n; i++) out[i] = (t[i] == 0 ? 0 : t[i] * out[i]) - t[i] * y[i];
}
LOSS_FN(kl_div_target) {
    a->kernels->act_forward[PN_ACT_log](out, t, n, NULL);
    for (int64_t i = 0; i < n; i++) out[i] += 1 - y[i];
}
/* The same where t is a logarithm too: exp(t) (t - y). */
LOSS_FN(log_kl_div_value) {
    a->kernels->act_forward[PN_ACT_exp](out, t, n, NULL);
    for (int64_t i = 0; i < n; i++) out[i] *= t[i] - y[i];
}
LOSS_FN(log_kl_div_slope) {
    (void)y;
    a->kernels->act_forward[PN_ACT_exp](out, t, n, NULL);
    a->kernels->scale(out, out, -1, n, false);
}
LOSS_FN(log_kl_div_target) {
    a->kernels->act_forward[PN_ACT_exp](out, t, n, NULL);
    for (int64_t i = 0; i < n; i++) out[i] *= 1 + t[i] - y[i];
}
#undef LOSS_EXPR
#undef LOSS_FN
#undef ABS
#undef SIGN

static void R_(loss_forward)(const pn_call *c, pn_member *m, R_(loss_fn) value) {
    const real *y = c->in[0].data, *t = c->in[1].data;
    real *out = c->out[0].data, block_values[PN_LOSS_BLOCK];
    const R_(loss_args) a = {R_(pn_call_kernels)(c), c->attrs};
    const int64_t n = pn_shape_size(&c->in[0].shape), blocks = pn_loss_blocks(n, PN_LOSS_BLOCK), reduction = c->attrs[0].i;
    double *partial = c->scratch;
    int64_t lo, hi;
    pn_member_range(m, blocks, &lo, &hi);
    for (int64_t b = lo, done = 0; b < hi && !pn_member_paused(m, &done, PN_LOSS_BLOCK); b++) {
        const int64_t first = b * PN_LOSS_BLOCK, count = n - first < PN_LOSS_BLOCK ? n - first : PN_LOSS_BLOCK;
        real *l = reduction == PN_NONE ? out + first : block_values;
        value(l, y + first, t + first, count, &a);
        if (reduction != PN_NONE) partial[b] = a.kernels->sum(l, count);
    }
    if (reduction == PN_NONE) return;
    if (blocks > 1) pn_member_barrier(m);
    if (m->index + 1 < m->count) return; /* the last member: a single block is always its own, so that no barrier is needed */
    const double total = pn_loss_total(partial, blocks);
    out[0] = (real)(reduction == PN_MEAN ? total / (double)n : total);
}

/* One gradient: g[i] (= or +=) slope[i] * gout, gout a scalar (times 1/n for the mean) or one value per element. */
static void R_(loss_gradient)(const pn_call *c, pn_member *m, int64_t lo, int64_t hi, int input, R_(loss_fn) slope) {
    const real *y = c->in[0].data, *t = c->in[1].data, *gout = c->gout[0].data;
    real *g = c->gin[input].data, d[PN_LOSS_BLOCK];
    const R_(loss_args) a = {R_(pn_call_kernels)(c), c->attrs};
    const int64_t n = pn_shape_size(&c->in[0].shape), reduction = c->attrs[0].i;
    const bool add = c->gin_add[input];
    const real factor = reduction == PN_NONE ? 1 : (real)(reduction == PN_MEAN ? gout[0] / (double)n : gout[0]);
    for (int64_t b = lo, done = 0; b < hi && !pn_member_paused(m, &done, PN_LOSS_BLOCK); b++) {
        const int64_t first = b * PN_LOSS_BLOCK, count = n - first < PN_LOSS_BLOCK ? n - first : PN_LOSS_BLOCK;
        slope(d, y + first, t + first, count, &a);
        if (reduction == PN_NONE)
            a.kernels->mul_add(g + first, d, gout + first, count, add);
        else
            a.kernels->scale(g + first, d, factor, count, add);
    }
}

static void R_(loss_backward)(const pn_call *c, pn_member *m, R_(loss_fn) slope, R_(loss_fn) target) {
    const int64_t n = pn_shape_size(&c->in[0].shape);
    int64_t lo, hi;
    pn_member_range(m, pn_loss_blocks(n, PN_LOSS_BLOCK), &lo, &hi);
    if (c->gin[0].data) R_(loss_gradient)(c, m, lo, hi, 0, slope);
    if (c->gin[1].data) R_(loss_gradient)(c, m, lo, hi, 1, target);
}

#define LOSS(name, pick)                                                                                                                                       \
    static void R_(name##_fwd)(const pn_call *c, pn_member *m) { R_(loss_forward)(c, m, R_(pick(name, _value))); }                                             \
    static void R_(name##_bwd)(const pn_call *c, pn_member *m) { R_(loss_backward)(c, m, R_(pick(name, _slope)), R_(pick(name, _target))); }
#define PLAIN(name, part) name##part
#define PLAIN_LOSSES(LOSS_) LOSS_(mae) LOSS_(huber) LOSS_(smooth_l1) LOSS_(bce) LOSS_(bce_with_logits) LOSS_(hinge)
#define ONE(name) LOSS(name, PLAIN)
PLAIN_LOSSES(ONE)
#undef ONE
#undef PLAIN
#undef LOSS

static void R_(mse_fwd)(const pn_call *c, pn_member *m) { R_(loss_forward)(c, m, c->attrs[1].i ? R_(half_mse_value) : R_(mse_value)); }
static void R_(mse_bwd)(const pn_call *c, pn_member *m) {
    if (c->attrs[1].i)
        R_(loss_backward)(c, m, R_(half_mse_slope), R_(half_mse_target));
    else
        R_(loss_backward)(c, m, R_(mse_slope), R_(mse_target));
}
static void R_(kl_div_fwd)(const pn_call *c, pn_member *m) { R_(loss_forward)(c, m, c->attrs[1].i ? R_(log_kl_div_value) : R_(kl_div_value)); }
static void R_(kl_div_bwd)(const pn_call *c, pn_member *m) {
    if (c->attrs[1].i)
        R_(loss_backward)(c, m, R_(log_kl_div_slope), R_(log_kl_div_target));
    else
        R_(loss_backward)(c, m, R_(kl_div_slope), R_(kl_div_target));
}
static void R_(zero_one_fwd)(const pn_call *c, pn_member *m) { R_(loss_forward)(c, m, R_(zero_one_value)); }

#else

#include "ops/loss.h"

#include "ops/op_helpers.h"

#define PN_REAL_FILE "ops/losses.c"
#include "base/real.h"

static pn_status loss_infer(pn_infer *q) {
    const pn_shape *y = &q->in[0];
    char a[256], b[256];
    if (!pn_loss_same(y, &q->in[1]))
        return pn_fail(q->error, PN_E_VALUE, "input has shape %s, target has shape %s, expected equal shapes", pn_shape_text(y, a),
                       pn_shape_text(&q->in[1], b));
    const int64_t n = pn_shape_size(y);
    q->out[0] = *y;
    if (q->attrs[0].i != PN_NONE) q->out[0].rank = 0;
    q->scratch = (size_t)pn_loss_blocks(n, PN_LOSS_BLOCK) * sizeof(double);
    q->flops = 4.0 * (double)n;
    return PN_OK;
}

static pn_status check_positive(const pn_call *c, pn_error *e) {
    if (c->attrs[1].f > 0) return PN_OK;
    return pn_fail(e, PN_E_VALUE, "%s: %s is %g, expected a number above 0", c->op->name, c->op->fields[1].name, c->attrs[1].f);
}

/* A comparison with NaN is false, so NaN passes here and is found by the finite check, which names the layer it came from. */
#define CHECK_PROBABILITIES(suffix, real)                                                                                                                      \
    static pn_status check_probabilities##suffix(const pn_call *c, pn_error *e) {                                                                              \
        const real *y = c->in[0].data;                                                                                                                         \
        const int64_t n = pn_shape_size(&c->in[0].shape);                                                                                                      \
        for (int64_t i = 0; i < n; i++)                                                                                                                        \
            if (y[i] < 0 || y[i] > 1)                                                                                                                          \
                return pn_fail(e, PN_E_VALUE, "bce: input has %g at element %lld, expected probabilities from 0 to 1; for raw scores use bce_with_logits",     \
                               (double)y[i], (long long)i);                                                                                                    \
        return PN_OK;                                                                                                                                          \
    }
CHECK_PROBABILITIES(_f, float)
CHECK_PROBABILITIES(_d, double)
static pn_status check_bce(const pn_call *c, pn_error *e) { return c->in[0].shape.dtype == PN_F32 ? check_probabilities_f(c, e) : check_probabilities_d(c, e); }

static const pn_field reduction_fields[] = {PN_REDUCTION_FIELD, {0}};
static const pn_field mse_fields[] = {PN_REDUCTION_FIELD, {"half", PN_BOOL, NULL, "False"}, {0}};
static const pn_field kl_div_fields[] = {PN_REDUCTION_FIELD, {"log_target", PN_BOOL, NULL, "False"}, {0}};
static const pn_field huber_fields[] = {PN_REDUCTION_FIELD, {"delta", PN_FLOAT, NULL, "1.0"}, {0}};
static const pn_field smooth_l1_fields[] = {PN_REDUCTION_FIELD, {"beta", PN_FLOAT, NULL, "1.0"}, {0}};

#define LOSS_OP(op_name, field_list, checker, value, slope)                                                                                                    \
    const pn_op pn_op_##op_name = {.name = #op_name,                                                                                                           \
                                   .formula = value,                                                                                                           \
                                   .derivative = slope,                                                                                                        \
                                   .inputs = "input:r target:r",                                                                                               \
                                   .n_out = 1,                                                                                                                 \
                                   .fields = field_list,                                                                                                       \
                                   .infer = loss_infer,                                                                                                        \
                                   .check = checker,                                                                                                           \
                                   .fwd = {op_name##_fwd_f, op_name##_fwd_d},                                                                                  \
                                   .bwd = {op_name##_bwd_f, op_name##_bwd_d},                                                                                  \
                                   .needs_in = 3,                                                                                                              \
                                   .file = "ops/losses.c"};
LOSS_OP(mse, mse_fields, NULL, "mean (y - t)^2; half: mean (y - t)^2 / 2", "gy = 2 (y - t) / n; half: (y - t) / n")
LOSS_OP(mae, reduction_fields, NULL, "mean |y - t|", "gy = sign(y - t) / n, 0 where y = t")
LOSS_OP(huber, huber_fields, check_positive, "mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); d = y - t",
        "gy = d / n where |d| <= delta, else delta sign(d) / n")
LOSS_OP(smooth_l1, smooth_l1_fields, check_positive, "mean of d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; d = y - t",
        "gy = d / (beta n) where |d| < beta, else sign(d) / n")
LOSS_OP(bce, reduction_fields, check_bce, "-mean(t log y + (1 - t) log(1 - y)), logarithms not below -100", "gy = (y - t) / (y (1 - y) n)")
LOSS_OP(bce_with_logits, reduction_fields, NULL, "mean(log(1 + exp(y)) - t y)", "gy = (sigmoid(y) - t) / n")
LOSS_OP(hinge, reduction_fields, NULL, "mean max(0, 1 - t y), t = -1 or 1", "gy = -t / n where t y <= 1, else 0")
LOSS_OP(kl_div, kl_div_fields, NULL, "mean t (log t - y), y a logarithm; log_target: exp(t) (t - y)", "gy = -t / n; log_target: -exp(t) / n")

const pn_op pn_op_zero_one = {.name = "zero_one",
                              .formula = "mean [y != t]",
                              .inputs = "input:r target:r",
                              .n_out = 1,
                              .fields = reduction_fields,
                              .infer = loss_infer,
                              .fwd = {zero_one_fwd_f, zero_one_fwd_d},
                              .flags = PN_NO_GRAD,
                              .file = "ops/losses.c"};
#endif
