/* pad: y = x with more (or fewer) elements at the ends of its last dimensions. gx = sum of gy over the places where an element went.
 *
 * Shapes: x (*), y the same with before + after more along each padded dimension; `pad` names the last dimension first, (before, after) each, as in
 * PyTorch; negative numbers cut off. What stands outside: a constant, the mirror image without the edge itself (reflect: at most size - 1), the edge
 * (replicate), or the other end (circular: at most size). Also for int64. Cost: one copy. Backward is cut by planes, the dimensions before the first padded
 * one, inside which it adds in the order of y. Source: PyTorch's nn.functional.pad.
 */
#ifdef PN_REAL_PASS

/* Columns [from, from + n) of one row of y; x is the row of x that it comes from, NULL: nothing but the constant. */
static void R_(copy_columns)(const padding *p, real *y, const real *x, int64_t from, int64_t n, real value) {
    const pad_dim *d = &p->dim[p->rank - 1];
    for (int64_t j = 0; j < n;) {
        const int64_t i = from + j - d->before, inside = x && i >= 0 ? pn_least(d->in - i, n - j) : 0;
        if (inside > 0) {
            memcpy(y + j, x + i, (size_t)inside * sizeof *y);
            j += inside;
        } else {
            const int64_t at = x ? source(p, d, from + j) : -1;
            y[j++] = at < 0 ? value : x[at];
        }
    }
}

static void R_(forward)(const pn_call *c, pn_member *m) {
    const padding p = padding_of(&c->in[0].shape, c->attrs);
    const int64_t width = p.dim[p.rank - 1].out, row = p.dim[p.rank - 1].in;
    const real *x = c->in[0].data, value = (real)c->attrs[2].f;
    real *y = c->out[0].data;
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->out[0].shape)); pn_span_next(&s, m);) {
        for (int64_t e = s.lo, n; e < s.hi; e += n) {
            const int64_t at = source_row(&p, e / width), from = e % width;
            n = pn_least(width - from, s.hi - e);
            R_(copy_columns)(&p, y + e, at < 0 ? NULL : x + at * row, from, n, value);
        }
    }
}

#ifndef PN_WHOLE_PASS
/* The way back: gx, a row of x, += columns [from, from + n) of a row of y. */
static void R_(add_columns)(const R_(pn_kernels) *k, const padding *p, real *gx, const real *gy, int64_t from, int64_t n) {
    const pad_dim *d = &p->dim[p->rank - 1];
    for (int64_t j = 0; j < n;) {
        const int64_t i = from + j - d->before, inside = i >= 0 ? pn_least(d->in - i, n - j) : 0;
        if (inside > 0) {
            k->accumulate(gx + i, gy + j, inside);
            j += inside;
        } else {
            const int64_t at = source(p, d, from + j);
            if (at >= 0) gx[at] += gy[j];
            j++;
        }
    }
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    const padding p = padding_of(&c->in[0].shape, c->attrs);
    const int64_t width = p.dim[p.rank - 1].out, row = p.dim[p.rank - 1].in;
    const real *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    int64_t lo, hi, done = 0;
    if (!gx) return;
    pn_member_share(m, p.planes, p.plane_in + p.plane_out >= PN_BLOCK ? 1 : PN_BLOCK / (p.plane_in + p.plane_out + 1), &lo, &hi);
    if (!c->gin_add[0]) memset(gx + lo * p.plane_in, 0, (size_t)((hi - lo) * p.plane_in) * sizeof *gx);
    for (int64_t e = lo * p.plane_out, n; e < hi * p.plane_out; e += n) {
        const int64_t at = source_row(&p, e / width), from = e % width;
        n = pn_least(width - from, PN_PIECE);
        if (at >= 0) R_(add_columns)(R_(pn_call_kernels)(c), &p, gx + at * row, gy + e, from, n);
        if ((done += n) < PN_PIECE) continue;
        done = 0;
        if (pn_member_stopped(m)) return;
    }
}
#endif

#else
#include "ops/op_helpers.h"

typedef enum pad_mode { CONSTANT, REFLECT, REPLICATE, CIRCULAR } pad_mode;

typedef struct pad_dim {
    int64_t in, out, before;
} pad_dim;

typedef struct padding {
    pad_mode mode;
    int rank; /* a scalar counts as 1 */
    pad_dim dim[PN_MAX_RANK];
    int64_t planes, plane_in, plane_out; /* dimensions before the first padded one, and elements behind them */
} padding;

static padding padding_of(const pn_shape *x, const pn_value *attrs) {
    padding p = {.mode = (pad_mode)attrs[1].i, .rank = x->rank ? x->rank : 1, .planes = 1, .plane_in = 1, .plane_out = 1};
    for (int d = 0; d < p.rank; d++) {
        const int k = 2 * (p.rank - 1 - d); /* pad begins with the last dimension */
        const int64_t n = x->rank ? x->dim[d] : 1, before = k < attrs[0].n ? attrs[0].ints[k] : 0, after = k < attrs[0].n ? attrs[0].ints[k + 1] : 0;
        p.dim[d] = (pad_dim){n, n + before + after, before};
        if (k >= attrs[0].n)
            p.planes *= n;
        else
            p.plane_in *= n, p.plane_out *= n + before + after;
    }
    return p;
}

/* Where element o of a dimension of y comes from: a place in x, or -1 for the constant. */
static inline int64_t source(const padding *p, const pad_dim *d, int64_t o) {
    const int64_t i = o - d->before, n = d->in;
    if (i >= 0 && i < n) return i;
    if (p->mode == REFLECT) return i < 0 ? -i : 2 * (n - 1) - i;
    if (p->mode == REPLICATE) return i < 0 ? 0 : n - 1;
    if (p->mode == CIRCULAR) return i < 0 ? i + n : i - n;
    return -1;
}

/* The same for rows: all dimensions but the last. */
static int64_t source_row(const padding *p, int64_t row) {
    int64_t at = 0, step = 1;
    for (int d = p->rank - 2; d >= 0; d--) {
        const pad_dim *dim = &p->dim[d];
        const int64_t i = source(p, dim, row % dim->out);
        if (i < 0) return -1;
        at += i * step;
        step *= dim->in;
        row /= dim->out;
    }
    return at;
}

#define PN_REAL_FILE "ops/pad.c"
#include "base/whole.h"

static void forward_any(const pn_call *c, pn_member *m) { (c->in[0].shape.dtype == PN_I64 ? forward_i : forward_f)(c, m); }

/* One padded dimension: does the mode reach that far? */
static pn_status infer_dim(pn_infer *q, int d, int64_t before, int64_t after) {
    const pn_shape *x = &q->in[0];
    const pad_mode mode = (pad_mode)q->attrs[1].i;
    const int64_t n = x->dim[d], limit = (int64_t)1 << 31, most = before > after ? before : after;
    char text[256];
    pn_shape_text(x, text);
    if (before <= -limit || before >= limit || after <= -limit || after >= limit)
        return pn_fail(q->error, PN_E_VALUE, "pad is (%lld, %lld) for dimension %d, expected numbers below 2^31", (long long)before, (long long)after, d);
    if (before < -n || after < -n || n + before + after < 0)
        return pn_fail(q->error, PN_E_VALUE, "pad is (%lld, %lld) for dimension %d and cuts off more than x of shape %s has there", (long long)before,
                       (long long)after, d, text);
    if (mode == REPLICATE && n == 0 && most > 0) return pn_fail(q->error, PN_E_VALUE, "x has shape %s, and its dimension %d has no edge to repeat", text, d);
    if ((mode == REFLECT && most > (n ? n - 1 : 0)) || (mode == CIRCULAR && most > n)) {
        return pn_fail(q->error, PN_E_VALUE, "pad is (%lld, %lld) for dimension %d of x of shape %s, expected at most %lld with mode '%s'", (long long)before,
                       (long long)after, d, text,
                       (long long)(mode == CIRCULAR ? n
                                   : n              ? n - 1
                                                    : 0),
                       mode == CIRCULAR ? "circular" : "reflect");
    }
    q->out[0].dim[d] = n + before + after;
    return PN_OK;
}

static pn_status infer(pn_infer *q) {
    const pn_shape *x = &q->in[0];
    const pn_value *pad = &q->attrs[0];
    char text[256];
    const int n = pad->n > 0 ? pad->n : 0;
    if (n % 2) return pn_fail(q->error, PN_E_VALUE, "pad has %d numbers, expected two for each dimension, before and after, the last dimension first", n);
    if (n > 2 * x->rank)
        return pn_fail(q->error, PN_E_VALUE, "pad has %d numbers, but x has shape %s: expected at most %d", n, pn_shape_text(x, text), 2 * x->rank);
    q->out[0] = *x;
    for (int k = 0; k < n / 2; k++) {
        const pn_status status = infer_dim(q, x->rank - 1 - k, pad->ints[2 * k], pad->ints[2 * k + 1]);
        if (status) return status;
    }
    q->flops = (double)pn_shape_size(&q->out[0]);
    return PN_OK;
}

static const pn_field fields[] = {
    {"pad", PN_INTS, NULL, NULL}, {"mode", PN_ENUM, "constant|reflect|replicate|circular", "constant"}, {"value", PN_FLOAT, NULL, "0"}, {0}};

const pn_op pn_op_pad = {
    .name = "pad",
    .formula = "y = x with elements around it: a constant, its mirror image, its edges, or its other end",
    .derivative = "gx = sum of gy over the places where the element went",
    .inputs = "x:n",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward_any, forward_d},
    .bwd = {backward_f, backward_d},
    .file = "ops/pad.c",
};
#endif
