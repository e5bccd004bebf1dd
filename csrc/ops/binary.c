/* Elementwise functions of two tensors that are broadcast against each other: add, sub, mul, div, pow, maximum, minimum,
 * floor_divide, remainder.
 *
 * y = f(a, b), ga = gy df/da, gb = gy df/db, each summed over the dimensions on which its operand was repeated (in double, in the order of fold.h).
 * Shapes: a (*), b (*) broadcastable, y (*). Cost: one kernel call per run; equal shapes, or a scalar, are one run.
 * Sources: the calculus; ties of maximum and minimum share the gradient half and half, and 0 ** 0 has derivative 0, as in PyTorch.
 */
#ifdef PN_REAL_PASS

/* A piece on which each operand advances by 0 or 1. g may be gy. */
typedef struct R_(piece) {
    const R_(pn_kernels) *k;
    real *g;
    const real *gy, *a, *b;
    int sa, sb;
    int64_t n;
    bool add;
} R_(piece);
/* g (= or +=) gy df/d(operand i) */
typedef void (*R_(gradient))(const R_(piece) *p, int i);
/* t[n] = df/d(operand i), n <= CHUNK */
typedef void (*R_(factor))(real *t, const R_(pn_kernels) *k, int i, const real *a, int sa, const real *b, int sb, int64_t n);

/* Factor by factor: chunk after chunk goes through a buffer on the stack. */
static void R_(multiply)(const R_(piece) *p, int i, R_(factor) factor) {
    real t[CHUNK];
    for (int64_t at = 0; at < p->n; at += CHUNK) {
        const int64_t n = p->n - at < CHUNK ? p->n - at : CHUNK;
        factor(t, p->k, i, p->a + at * p->sa, p->sa, p->b + at * p->sb, p->sb, n);
        if (p->add)
            p->k->mul_add(p->g + at, p->gy + at, t, n, true);
        else
            p->k->binary[PN_BIN_mul](p->g + at, p->gy + at, 1, t, 1, n);
    }
}

static void R_(add_gradient)(const R_(piece) *p, int i) {
    (void)i;
    if (p->add)
        p->k->accumulate(p->g, p->gy, p->n);
    else if (p->g != p->gy)
        memcpy(p->g, p->gy, (size_t)p->n * sizeof(real));
}

static void R_(sub_gradient)(const R_(piece) *p, int i) {
    if (i == 0)
        R_(add_gradient)(p, i);
    else
        p->k->scale(p->g, p->gy, -1, p->n, p->add);
}

static void R_(mul_gradient)(const R_(piece) *p, int i) {
    const real *other = i ? p->a : p->b;
    const int s = i ? p->sa : p->sb;
    if (!p->add)
        p->k->binary[PN_BIN_mul](p->g, p->gy, 1, other, s, p->n);
    else if (s)
        p->k->mul_add(p->g, p->gy, other, p->n, true);
    else
        p->k->scale(p->g, p->gy, *other, p->n, true);
}

/* 1 / b, and -(a / b) / b: in this order nothing overflows that the result does not. */
static void R_(div_factor)(real *t, const R_(pn_kernels) *k, int i, const real *a, int sa, const real *b, int sb, int64_t n) {
    (void)k;
    for (int64_t j = 0; j < n; j++) t[j] = i ? -(a[j * sa] / b[j * sb]) / b[j * sb] : 1 / b[j * sb];
}
static void R_(div_gradient)(const R_(piece) *p, int i) {
    if (i == 0 && !p->add)
        p->k->binary[PN_BIN_div](p->g, p->gy, 1, p->b, p->sb, p->n);
    else
        R_(multiply)(p, i, R_(div_factor));
}

/* b a^(b-1), and 0 where b is 0. a^b ln(a), and 0 where a is 0 and b >= 0: there y does not move with b. */
static void R_(pow_factor)(real *t, const R_(pn_kernels) *k, int i, const real *a, int sa, const real *b, int sb, int64_t n) {
    const real one = 1;
    real other[CHUNK]; /* b - 1, or ln(a) */
    if (i == 0) {
        k->binary[PN_BIN_sub](other, b, sb, &one, 0, n);
        k->binary[PN_BIN_pow](t, a, sa, other, 1, n);
        for (int64_t j = 0; j < n; j++) t[j] = b[j * sb] == 0 ? 0 : t[j] * b[j * sb];
        return;
    }
    k->act_forward[PN_ACT_log](other, a, sa ? n : 1, NULL);
    k->binary[PN_BIN_pow](t, a, sa, b, sb, n);
    for (int64_t j = 0; j < n; j++) t[j] = a[j * sa] == 0 && b[j * sb] >= 0 ? 0 : t[j] * other[j * sa];
}
static void R_(pow_gradient)(const R_(piece) *p, int i) { R_(multiply)(p, i, R_(pow_factor)); }

/* The winner gets all, a tie is shared. NaN beats nothing and loses to nothing: both get all, so that it shows. */
static void R_(maximum_factor)(real *t, const R_(pn_kernels) *k, int i, const real *a, int sa, const real *b, int sb, int64_t n) {
    (void)k;
    for (int64_t j = 0; j < n; j++) {
        const real own = i ? b[j * sb] : a[j * sa], other = i ? a[j * sa] : b[j * sb];
        t[j] = own == other ? (real)0.5 : own < other ? 0 : 1;
    }
}
static void R_(maximum_gradient)(const R_(piece) *p, int i) { R_(multiply)(p, i, R_(maximum_factor)); }

static void R_(minimum_factor)(real *t, const R_(pn_kernels) *k, int i, const real *a, int sa, const real *b, int sb, int64_t n) {
    R_(maximum_factor)(t, k, !i, a, sa, b, sb, n); /* the smaller one wins where the other loses */
}
static void R_(minimum_gradient)(const R_(piece) *p, int i) { R_(multiply)(p, i, R_(minimum_factor)); }

/* b moves every whole step of it */
static void R_(remainder_factor)(real *t, const R_(pn_kernels) *k, int i, const real *a, int sa, const real *b, int sb, int64_t n) {
    (void)i;
    k->binary[PN_BIN_floor_divide](t, a, sa, b, sb, n);
    k->scale(t, t, -1, n, false);
}
static void R_(remainder_gradient)(const R_(piece) *p, int i) {
    if (i == 0)
        R_(add_gradient)(p, i);
    else
        R_(multiply)(p, i, R_(remainder_factor));
}

static void R_(forward)(const pn_call *c, pn_member *m, pn_binary op) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real *a = c->in[0].data, *b = c->in[1].data;
    real *y = c->out[0].data;
    const int64_t n = pn_shape_size(&c->out[0].shape);
    int sa, sb;
    if (is_simple(c, n, &sa, &sb)) {
        for (pn_span s = pn_span_open(m, n); pn_span_next(&s, m);) k->binary[op](y + s.lo, a + s.lo * sa, sa, b + s.lo * sb, sb, s.hi - s.lo);
        return;
    }
    int64_t row;
    if (is_rows(c, n, &row, &sa, &sb)) {
        if (!takes_all(m)) return;
        for (int64_t at = 0; at < n; at += row) k->binary[op](y + at, a + at * sa, 1, b + at * sb, 1, row);
        return;
    }
    pn_bcast bc;
    pn_bcast_init(&bc, &c->out[0].shape, 2, c->in);
    for (pn_span s = pn_span_open(m, n); pn_span_next(&s, m);) {
        for (pn_bcast_walk w = pn_bcast_open(&bc, s.lo, s.hi); pn_bcast_next(&w);) {
            k->binary[op](y + w.at, a + w.in[0], (int)bc.step[0][bc.rank - 1], b + w.in[1], (int)bc.step[1][bc.rank - 1], w.n);
        }
    }
}

/* g[n] (= or +=) the gradient of operand i at the output's shape */
static void R_(gradient_at)(const pn_call *c, pn_member *m, R_(gradient) f, int i, real *g, bool add) {
    const real *gy = c->gout[0].data, *a = c->in[0].data, *b = c->in[1].data;
    const int64_t n = pn_shape_size(&c->out[0].shape);
    R_(piece) p = {.k = R_(pn_call_kernels)(c), .add = add};
    if (is_simple(c, n, &p.sa, &p.sb)) {
        for (pn_span s = pn_span_open(m, n); pn_span_next(&s, m);) {
            p.g = g + s.lo, p.gy = gy + s.lo, p.a = a + s.lo * p.sa, p.b = b + s.lo * p.sb, p.n = s.hi - s.lo;
            f(&p, i);
        }
        return;
    }
    int64_t row;
    int ra, rb; /* does the operand go on from row to row? */
    if (is_rows(c, n, &row, &ra, &rb)) {
        p.sa = p.sb = 1, p.n = row;
        for (int64_t at = 0; takes_all(m) && at < n; at += row) {
            p.g = g + at, p.gy = gy + at, p.a = a + at * ra, p.b = b + at * rb;
            f(&p, i);
        }
        return;
    }
    pn_bcast bc;
    pn_bcast_init(&bc, &c->out[0].shape, 2, c->in);
    p.sa = (int)bc.step[0][bc.rank - 1], p.sb = (int)bc.step[1][bc.rank - 1];
    for (pn_span s = pn_span_open(m, n); pn_span_next(&s, m);) {
        for (pn_bcast_walk w = pn_bcast_open(&bc, s.lo, s.hi); pn_bcast_next(&w);) {
            p.g = g + w.at, p.gy = gy + w.at, p.a = a + w.in[0], p.b = b + w.in[1], p.n = w.n;
            f(&p, i);
        }
    }
}

/* A repeated operand: its gradient at the output's shape, then the sum over the repeats. sign is not 0 when that gradient is just sign * gy. */
static void R_(gradient_folded)(const pn_call *c, pn_member *m, R_(gradient) f, int i, double sign) {
    pn_fold fold;
    pn_fold_init(&fold, &c->out[0].shape, pn_fold_repeated(&c->out[0].shape, &c->in[i].shape));
    double *partial = c->scratch;
    if (sign != 0) {
        R_(pn_fold_sum)(c, m, &fold, c->gin[i].data, c->gout[0].data, sign, c->gin_add[i], partial);
    } else {
        real *full = (real *)((char *)c->scratch + pn_fold_sum_bytes(&c->out[0].shape));
        R_(gradient_at)(c, m, f, i, full, false);
        pn_member_barrier(m);
        R_(pn_fold_sum)(c, m, &fold, c->gin[i].data, full, 1, c->gin_add[i], partial);
    }
    pn_member_barrier(m); /* the other operand uses the same scratch, or overwrites gy */
}

static void R_(backward)(const pn_call *c, pn_member *m, R_(gradient) f, double sign_a, double sign_b) {
    const int64_t n = pn_shape_size(&c->out[0].shape);
    const int first = c->gin[0].data == c->gout[0].data; /* an operand that overwrites gy comes last */
    for (int t = 0; t < 2; t++) {
        const int i = t ^ first;
        if (!c->gin[i].data) continue;
        if (pn_shape_size(&c->in[i].shape) == n)
            R_(gradient_at)(c, m, f, i, c->gin[i].data, c->gin_add[i]);
        else
            R_(gradient_folded)(c, m, f, i, i ? sign_b : sign_a);
    }
}

#define BINARY(name, sign_a, sign_b)                                                                                                                           \
    static void R_(name##_forward)(const pn_call *c, pn_member *m) { R_(forward)(c, m, PN_BIN_##name); }                                                       \
    static void R_(name##_backward)(const pn_call *c, pn_member *m) { R_(backward)(c, m, R_(name##_gradient), sign_a, sign_b); }
BINARY(add, 1, 1)
BINARY(sub, 1, -1)
BINARY(mul, 0, 0)
BINARY(div, 0, 0)
BINARY(pow, 0, 0)
BINARY(maximum, 0, 0)
BINARY(minimum, 0, 0)
BINARY(remainder, 1, 0)
#undef BINARY
static void R_(floor_divide_forward)(const pn_call *c, pn_member *m) { R_(forward)(c, m, PN_BIN_floor_divide); }

#else
#include "ops/broadcast.h"
#include "ops/fold.h"

#define CHUNK 256 /* elements of a factor kept on the stack */

/* Is each operand either as large as the output or one number? Then the output is one run. The case of tiny tensors, and of most others. */
static inline bool is_simple(const pn_call *c, int64_t n, int *sa, int *sb) {
    const int64_t na = pn_shape_size(&c->in[0].shape), nb = pn_shape_size(&c->in[1].shape);
    *sa = na == n, *sb = nb == n;
    return (na == n || na == 1) && (nb == n || nb == 1);
}

/* Small, and one operand is repeated row by row, as a bias is? *ra, *rb: 1 for the operand that goes on, 0 for the repeated one. */
static inline bool is_rows(const pn_call *c, int64_t n, int64_t *row, int *ra, int *rb) {
    const pn_shape *y = &c->out[0].shape, *a = &c->in[0].shape, *b = &c->in[1].shape;
    *ra = pn_shape_size(a) == n, *rb = !*ra;
    return n <= PN_BLOCK && (*ra || pn_shape_size(b) == n) && pn_bcast_is_rows(y, *ra ? b : a, row);
}
/* Such a tensor is one block of the last member's. */
static inline bool takes_all(const pn_member *m) {
    if (m->index + 1 < m->count) return false;
    pn_member_count(m, 1);
    return true;
}

#define PN_REAL_FILE "ops/binary.c"
#include "base/real.h"

static pn_status infer_with(pn_infer *q, bool full_gradients, double cost) {
    static const char *const names[] = {"a", "b"};
    q->out[0].dtype = q->in[0].dtype;
    pn_status status = pn_bcast_infer(q, 2, names, &q->out[0]);
    if (status) return status;
    const int64_t n = pn_shape_size(&q->out[0]);
    q->flops = cost * (double)n;
    if (pn_shape_size(&q->in[0]) == n && pn_shape_size(&q->in[1]) == n) return PN_OK;
    q->scratch = pn_fold_sum_bytes(&q->out[0]) + (full_gradients ? (size_t)n * pn_dtype_bytes(q->out[0].dtype) : 0);
    return PN_OK;
}
static pn_status infer_sum(pn_infer *q) { return infer_with(q, false, 1); } /* gradients are gy itself */
static pn_status infer_product(pn_infer *q) { return infer_with(q, true, 1); }
static pn_status infer_pow(pn_infer *q) { return infer_with(q, true, 20); }

#define BINARY(op_name, formula_text, derivative_text, reads, infer_function)                                                                                  \
    const pn_op pn_op_##op_name = {                                                                                                                            \
        .name = #op_name,                                                                                                                                      \
        .formula = formula_text,                                                                                                                               \
        .derivative = derivative_text,                                                                                                                         \
        .inputs = "a:r b:r",                                                                                                                                   \
        .n_out = 1,                                                                                                                                            \
        .infer = infer_function,                                                                                                                               \
        .fwd = {op_name##_forward_f, op_name##_forward_d},                                                                                                     \
        .bwd = {op_name##_backward_f, op_name##_backward_d},                                                                                                   \
        .needs_in = reads,                                                                                                                                     \
        .flags = PN_IN_PLACE | PN_ANY_LAYOUT,                                                                                                                  \
        .file = "ops/binary.c",                                                                                                                                \
    };
BINARY(add, "y = a + b", "ga = gy, gb = gy", 0, infer_sum)
BINARY(sub, "y = a - b", "ga = gy, gb = -gy", 0, infer_sum)
BINARY(mul, "y = a b", "ga = gy b, gb = gy a", 3, infer_product)
BINARY(div, "y = a / b", "ga = gy / b, gb = -gy a / b^2", 3, infer_product)
BINARY(pow, "y = a^b", "ga = gy b a^(b - 1), gb = gy a^b ln a", 3, infer_pow)
BINARY(maximum, "y = max(a, b)", "ga = gy [a > b], gb = gy [b > a], half of gy each where a = b", 3, infer_product)
BINARY(minimum, "y = min(a, b)", "ga = gy [a < b], gb = gy [b < a], half of gy each where a = b", 3, infer_product)
BINARY(remainder, "y = a - b floor(a / b)", "ga = gy, gb = -gy floor(a / b)", 3, infer_product)

const pn_op pn_op_floor_divide = {
    .name = "floor_divide",
    .formula = "y = floor(a / b)",
    .inputs = "a:r b:r",
    .n_out = 1,
    .infer = infer_product,
    .fwd = {floor_divide_forward_f, floor_divide_forward_d},
    .flags = PN_NO_GRAD | PN_IN_PLACE | PN_ANY_LAYOUT,
    .file = "ops/binary.c",
};
#endif
