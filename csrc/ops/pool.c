/* Shapes of pooling. Sizes of the output are PyTorch's: floor((N + 2 p - F) / s) + 1 with F = d (k - 1) + 1, rounded up with ceil_mode, where the last
 * window must still begin inside the input or its left padding. */
#include "ops/pool.h"

/* Entry i of a size given as one number or two. */
static int64_t pick(const pn_value *v, int i, int64_t fallback) { return v->n <= 0 ? fallback : v->ints[v->n == 1 ? 0 : i]; }

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); } /* b > 0 */

static pn_pool_axis axis_of(const pn_value *attrs, pn_pool_kind kind, int i, int64_t in) {
    pn_pool_axis a = {.in = in, .kernel = pick(&attrs[0], i, 1), .dilation = 1};
    a.stride = pick(&attrs[1], i, a.kernel);
    a.padding = pick(&attrs[2], i, 0);
    if (kind == PN_POOL_MAX) a.dilation = pick(&attrs[3], i, 1);
    return a;
}

static pn_status check_counts(pn_infer *q, pn_pool_kind kind) {
    static const char *const names[] = {"kernel_size", "stride", "padding", "dilation"};
    for (int k = 0; k < (kind == PN_POOL_MAX ? 4 : 3); k++) {
        if (q->attrs[k].n > 2) return pn_fail(q->error, PN_E_VALUE, "%s has %d numbers, expected one or two, (height, width)", names[k], (int)q->attrs[k].n);
        if (k == 0 && q->attrs[k].n < 1) return pn_fail(q->error, PN_E_VALUE, "kernel_size has no numbers, expected one or two, (height, width)");
    }
    return PN_OK;
}

/* One dimension of y from one of x. */
static pn_status infer_axis(pn_infer *q, pn_pool_kind kind, int i, bool ceil_mode, int64_t *out) {
    const int64_t limit = (int64_t)1 << 31;
    const pn_shape *x = &q->in[0];
    const pn_pool_axis a = axis_of(q->attrs, kind, i, x->dim[x->rank - 2 + i]);
    const long long n = a.in, k = a.kernel, s = a.stride, p = a.padding, d = a.dilation;
    if (k < 1 || s < 1 || d < 1 || p < 0 || k >= limit || s >= limit || d >= limit || p >= limit)
        return pn_fail(q->error, PN_E_VALUE, "kernel_size is %lld, stride %lld, padding %lld, dilation %lld; all but padding must be at least 1, padding 0", k,
                       s, p, d);
    const long long f = d * (k - 1) + 1;
    if (p > f / 2) return pn_fail(q->error, PN_E_VALUE, "padding is %lld, expected at most half of the window of %lld", p, f);
    *out = floor_div(n + 2 * p - f + (ceil_mode ? s - 1 : 0), s) + 1;
    if (ceil_mode && (*out - 1) * s >= n + p) --*out;
    if (*out < 1) {
        char text[256];
        return pn_fail(q->error, PN_E_VALUE,
                       "x has shape %s, too small for the window: floor((N + 2p - F) / s) + 1 = floor((%lld + %lld - %lld) / %lld) + 1 = %lld outputs along %s",
                       pn_shape_text(x, text), n, 2 * p, f, s, (long long)*out, i ? "the width" : "the height");
    }
    return PN_OK;
}

static pn_status infer_adaptive(pn_infer *q, int i, int64_t *out) {
    const pn_shape *x = &q->in[0];
    const int64_t in = x->dim[x->rank - 2 + i];
    char text[256];
    *out = pick(&q->attrs[0], i, -1);
    if (*out == -1) *out = in;
    if (in < 1) return pn_fail(q->error, PN_E_VALUE, "x has shape %s, expected a height and width of at least 1", pn_shape_text(x, text));
    if (*out < 1) return pn_fail(q->error, PN_E_VALUE, "output_size is %lld, expected at least 1, or -1 to keep the size", (long long)*out);
    return PN_OK;
}

pn_status pn_pool_infer(pn_infer *q, pn_pool_kind kind) {
    const pn_shape *x = &q->in[0];
    pn_shape *y = &q->out[0];
    pn_status status = PN_OK;
    if (x->rank < 3 || x->rank > 4) return pn_fail_shape(q, "x", 0, "(N, C, H, W) or (C, H, W)");
    *y = *x;
    if (kind == PN_POOL_ADAPTIVE && (q->attrs[0].n < 1 || q->attrs[0].n > 2))
        return pn_fail(q->error, PN_E_VALUE, "output_size has %d numbers, expected one or two, (height, width)", (int)q->attrs[0].n);
    if (kind != PN_POOL_ADAPTIVE && (status = check_counts(q, kind))) return status;
    for (int i = 0; i < 2; i++) {
        int64_t *out = &y->dim[x->rank - 2 + i];
        status = kind == PN_POOL_ADAPTIVE ? infer_adaptive(q, i, out) : infer_axis(q, kind, i, q->attrs[kind == PN_POOL_MAX ? 4 : 3].i, out);
        if (status) return status;
    }
    const pn_pool p = pn_pool_of(x, y, q->attrs, kind, q->layout);
    const pn_window h = pn_pool_window(&p.h, 0), w = pn_pool_window(&p.w, 0);
    q->flops = (double)pn_shape_size(y) * (double)h.full * (double)w.full;
    q->member_scratch = p.lanes == 1 ? (size_t)p.w.in * sizeof(double) : (size_t)pn_pool_most_taps(&p) * 2 * sizeof(int64_t);
    return PN_OK;
}

/* Windows of one size that do not overlap are no special case of adaptive ones. */
static pn_pool_axis adaptive_axis(int64_t in, int64_t out) {
    if (in % out == 0) return (pn_pool_axis){.in = in, .out = out, .kernel = in / out, .stride = in / out, .dilation = 1};
    return (pn_pool_axis){.in = in, .out = out, .dilation = 1, .adaptive = true};
}

pn_pool pn_pool_of(const pn_shape *x, const pn_shape *y, const pn_value *attrs, pn_pool_kind kind, pn_layout layout) {
    const int r = x->rank;
    pn_pool p = {.planes = pn_shape_count(x, 0, r - 2), .lanes = 1, .pairs = layout == PN_PLAIN, .tiles = true};
    if (layout == PN_BATCH_INNER) {
        p.lanes = PN_LAYOUT_LANES;
        p.planes = pn_blocks_of(x->dim[0], PN_LAYOUT_LANES) * x->dim[1];
    }
    for (int i = 0; i < 2; i++) {
        pn_pool_axis *a = i ? &p.w : &p.h;
        const int64_t in = x->dim[r - 2 + i], out = y->dim[r - 2 + i];
        *a = kind == PN_POOL_ADAPTIVE ? adaptive_axis(in, out) : axis_of(attrs, kind, i, in);
        a->out = out;
        p.tiles &= !a->adaptive && a->stride == a->kernel && a->padding == 0 && a->dilation == 1 && a->out * a->stride == a->in;
        p.pairs &= a->kernel == 2 && a->stride == 2 && a->padding == 0 && a->dilation == 1 && a->out == a->in / 2;
    }
    return p;
}

static int64_t most_taps(const pn_pool_axis *a) { return pn_least(a->in, a->adaptive ? a->in / a->out + 2 : a->kernel); }
int64_t pn_pool_most_taps(const pn_pool *p) { return most_taps(&p->h) * most_taps(&p->w); }

int64_t pn_pool_alike(const pn_pool *p, int64_t o) {
    const pn_pool_axis *a = &p->w;
    const int64_t start = o * a->stride - a->padding, size = (a->kernel - 1) * a->dilation + 1;
    if (a->adaptive || start < 0 || start + size > a->in) return 1;
    return pn_least((a->in - size + a->padding) / a->stride + 1, a->out) - o;
}

pn_taps pn_pool_taps(const pn_pool *p, pn_window rows, pn_window cols, int64_t alike, int64_t *room) {
    int64_t *at = room, *from = room + pn_pool_most_taps(p);
    pn_taps t = {.at = at,
                 .from = from,
                 .chunks = alike,
                 .run = p->lanes,
                 .step = p->w.stride * p->lanes,
                 .shift = p->w.stride,
                 .ahead = p->h.stride * p->w.in * p->lanes};
    for (int64_t i = rows.lo; i < rows.hi; i += p->h.dilation) {
        for (int64_t j = cols.lo; j < cols.hi; j += p->w.dilation, t.n++) {
            at[t.n] = i * p->w.in + j;
            from[t.n] = at[t.n] * p->lanes;
        }
    }
    return t;
}

static pn_layout keeps(const pn_shape *x, const pn_value *attrs, pn_layout incoming, pn_pool_kind kind) {
    pn_shape y = *x;
    if (incoming != PN_BATCH_INNER || x->rank != 4) return PN_PLAIN;
    for (int i = 0; i < 2; i++) { /* the size of the output bounds the windows of adaptive pooling alone */
        const int64_t out = kind == PN_POOL_ADAPTIVE ? pick(&attrs[0], i, -1) : 1;
        y.dim[2 + i] = out == -1 ? x->dim[2 + i] : out;
    }
    const pn_pool p = pn_pool_of(x, &y, attrs, kind, PN_BATCH_INNER);
    return pn_pool_most_taps(&p) <= PN_PIECE / 64 ? PN_BATCH_INNER : PN_PLAIN;
}
pn_layout pn_pool_keeps_max(const pn_shape in[2], const pn_value *attrs, pn_layout incoming) { return keeps(in, attrs, incoming, PN_POOL_MAX); }
pn_layout pn_pool_keeps_average(const pn_shape in[2], const pn_value *attrs, pn_layout incoming) { return keeps(in, attrs, incoming, PN_POOL_AVERAGE); }
pn_layout pn_pool_keeps_adaptive(const pn_shape in[2], const pn_value *attrs, pn_layout incoming) { return keeps(in, attrs, incoming, PN_POOL_ADAPTIVE); }
