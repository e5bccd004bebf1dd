/* What the kernels should compute, one element at a time in long double, written from the formulas and not from the kernels' sources. */
#ifndef PN_KERNELS_REFERENCE_H
#define PN_KERNELS_REFERENCE_H
#include <math.h>

#include "kernels/kernels.h"

typedef long double wide;

static wide normal_cdf(wide x) { return 0.5L * erfcl(-x * sqrtl(0.5L)); }
static wide normal_pdf(wide x) { return expl(-x * x / 2) / sqrtl(2 * acosl(-1)); }
static wide logistic(wide x) { return 1 / (1 + expl(-x)); }

/* y = act(x); *known: false for a line of activation.def that has no reference here */
static wide act_reference(int act, wide x, const double *p, bool *known) {
    *known = true;
    if (isinf(x) && x < 0 && (act == PN_ACT_gelu || act == PN_ACT_gelu_tanh || act == PN_ACT_silu)) return 0; /* the limit */
    const wide s = 1.0507009873554804934193349852946L, a = 1.6732632423543772848170429916717L;
    switch (act) {
    case PN_ACT_identity: return x;
    case PN_ACT_neg: return -x;
    case PN_ACT_abs: return fabsl(x);
    case PN_ACT_square: return x * x;
    case PN_ACT_sqrt: return sqrtl(x);
    case PN_ACT_reciprocal: return 1 / x;
    case PN_ACT_floor: return floorl(x);
    case PN_ACT_ceil: return ceill(x);
    case PN_ACT_round: return rintl(x);
    case PN_ACT_sign: return x > 0 ? 1 : x < 0 ? -1 : x;
    case PN_ACT_exp: return expl(x);
    case PN_ACT_log: return logl(x);
    case PN_ACT_sin: return sinl(x);
    case PN_ACT_cos: return cosl(x);
    case PN_ACT_sigmoid: return logistic(x);
    case PN_ACT_log_sigmoid: return x < 0 ? x - log1pl(expl(x)) : -log1pl(expl(-x));
    case PN_ACT_tanh: return tanhl(x);
    case PN_ACT_softsign: return x / (1 + fabsl(x));
    case PN_ACT_softplus: return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
    case PN_ACT_step: return x > 0 ? 1 : x < 0 ? 0 : x == 0 ? p[0] : x;
    case PN_ACT_relu: return x > 0 ? x : x <= 0 ? 0 : x;
    case PN_ACT_leaky_relu: return x > 0 ? x : p[0] * x;
    case PN_ACT_elu: return x > 0 ? x : p[0] * expm1l(x);
    case PN_ACT_selu: return x > 0 ? s * x : s * a * expm1l(x);
    case PN_ACT_gelu: return x * normal_cdf(x);
    case PN_ACT_gelu_tanh: return x / 2 * (1 + tanhl(sqrtl(2 / acosl(-1)) * (x + 0.044715L * x * x * x)));
    case PN_ACT_silu: return x * logistic(x);
    case PN_ACT_hardtanh: return x < p[0] ? p[0] : x > p[1] ? p[1] : x;
    default: *known = false; return 0;
    }
}

/* act'(x) */
static wide act_derivative(int act, wide x, const double *p) {
    const wide s = 1.0507009873554804934193349852946L, a = 1.6732632423543772848170429916717L, c = sqrtl(2 / acosl(-1));
    wide u, t;
    switch (act) {
    case PN_ACT_identity: return 1;
    case PN_ACT_neg: return -1;
    case PN_ACT_abs: return x > 0 ? 1 : x < 0 ? -1 : 0;
    case PN_ACT_square: return 2 * x;
    case PN_ACT_sqrt: return 0.5L / sqrtl(x);
    case PN_ACT_reciprocal: return -1 / (x * x);
    case PN_ACT_exp: return expl(x);
    case PN_ACT_log: return 1 / x;
    case PN_ACT_sin: return cosl(x);
    case PN_ACT_cos: return -sinl(x);
    case PN_ACT_sigmoid: return logistic(x) * logistic(-x);
    case PN_ACT_log_sigmoid: return logistic(-x);
    case PN_ACT_tanh: return 1 / (coshl(x) * coshl(x));
    case PN_ACT_softsign: return 1 / ((1 + fabsl(x)) * (1 + fabsl(x)));
    case PN_ACT_softplus: return logistic(x);
    case PN_ACT_floor:
    case PN_ACT_ceil:
    case PN_ACT_round:
    case PN_ACT_sign:
    case PN_ACT_step: return 0;
    case PN_ACT_relu: return x > 0 ? 1 : x < 0 ? 0 : p[0];
    case PN_ACT_leaky_relu: return x > 0 ? 1 : x < 0 ? p[0] : p[1];
    case PN_ACT_elu: return x > 0 ? 1 : x < 0 ? p[0] * expl(x) : p[1];
    case PN_ACT_selu: return x > 0 ? s : s * a * expl(x);
    case PN_ACT_gelu: return normal_cdf(x) + x * normal_pdf(x);
    case PN_ACT_gelu_tanh:
        u = c * (x + 0.044715L * x * x * x);
        t = tanhl(u);
        return (1 + t) / 2 + x / 2 * (1 - t * t) * c * (1 + 3 * 0.044715L * x * x);
    case PN_ACT_silu: return logistic(x) * (1 + x * logistic(-x));
    case PN_ACT_hardtanh: return x > p[0] && x < p[1] ? 1 : 0;
    default: return 0;
    }
}

/* a // b of Python: the exact remainder tells which integer it is */
static wide floor_reference(wide a, wide b) {
    const wide left = fmodl(a, b), steps = (a - left) / b;
    return b == 0 ? a / b : rintl(left != 0 && (left < 0) != (b < 0) ? steps - 1 : steps);
}

static wide binary_reference(int op, wide a, wide b) {
    switch (op) {
    case PN_BIN_add: return a + b;
    case PN_BIN_sub: return a - b;
    case PN_BIN_mul: return a * b;
    case PN_BIN_div: return a / b;
    case PN_BIN_pow: return powl(a, b);
    case PN_BIN_maximum: return a != a ? a : b != b ? b : a > b ? a : b;
    case PN_BIN_minimum: return a != a ? a : b != b ? b : a < b ? a : b;
    case PN_BIN_floor_divide: return floor_reference(a, b);
    case PN_BIN_remainder: return fmodl(a, b) != 0 && (fmodl(a, b) < 0) != (b < 0) ? fmodl(a, b) + b : fmodl(a, b);
    case PN_BIN_eq: return a == b;
    case PN_BIN_ne: return a != b;
    case PN_BIN_lt: return a < b;
    case PN_BIN_le: return a <= b;
    case PN_BIN_gt: return a > b;
    default: return a >= b;
    }
}

/* One step of one parameter as PyTorch's documentation writes it; s: its state. Options come from h. */
static void update_reference(int rule, wide *w, wide g, wide s[3], const pn_hyper *h) {
    const wide lr = h->lr, t = h->step;
    const bool decoupled = rule == PN_UPDATE_adamw || rule == PN_UPDATE_adamw_amsgrad;
    g = (h->maximize ? -g : g) * h->grad_scale;
    if (!decoupled) g += h->weight_decay * *w;
    switch (rule) {
    case PN_UPDATE_sgd: *w -= lr * g; return;
    case PN_UPDATE_momentum:
        s[0] = h->first ? g : h->momentum * s[0] + (1 - (wide)h->dampening) * g;
        *w -= lr * (h->nesterov ? g + h->momentum * s[0] : s[0]);
        return;
    case PN_UPDATE_adagrad:
        s[0] += g * g;
        *w -= lr / (1 + (t - 1) * h->lr_decay) * g / (sqrtl(s[0]) + h->eps);
        return;
    case PN_UPDATE_rmsprop:
    case PN_UPDATE_rmsprop_momentum:
    case PN_UPDATE_rmsprop_centered:
    case PN_UPDATE_rmsprop_centered_momentum: {
        const bool centered = rule == PN_UPDATE_rmsprop_centered || rule == PN_UPDATE_rmsprop_centered_momentum;
        const int b = rule == PN_UPDATE_rmsprop_momentum ? 1 : rule == PN_UPDATE_rmsprop_centered_momentum ? 2 : -1;
        s[0] = h->alpha * s[0] + (1 - (wide)h->alpha) * g * g;
        if (centered) s[1] = h->alpha * s[1] + (1 - (wide)h->alpha) * g;
        const wide step = g / (sqrtl(centered ? s[0] - s[1] * s[1] : s[0]) + h->eps);
        if (b >= 0) s[b] = h->momentum * s[b] + step;
        *w -= lr * (b >= 0 ? s[b] : step);
        return;
    }
    default:
        if (decoupled) *w *= 1 - lr * h->weight_decay;
        s[0] = h->beta1 * s[0] + (1 - (wide)h->beta1) * g;
        s[1] = h->beta2 * s[1] + (1 - (wide)h->beta2) * g * g;
        const bool amsgrad = rule == PN_UPDATE_adam_amsgrad || rule == PN_UPDATE_adamw_amsgrad;
        if (amsgrad && s[1] > s[2]) s[2] = s[1];
        const wide v = (amsgrad ? s[2] : s[1]) / (1 - powl(h->beta2, t));
        *w -= lr * (s[0] / (1 - powl(h->beta1, t))) / (sqrtl(v) + h->eps);
    }
}
#endif
