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
    const pn_pool p = pn_pool_of(x, y, q->attrs, kind);
    const pn_window h = pn_pool_window(&p.h, 0), w = pn_pool_window(&p.w, 0);
    q->flops = (double)pn_shape_size(y) * (double)h.full * (double)w.full;
    q->member_scratch = (size_t)p.w.in * (sizeof(double) + sizeof(int32_t)); /* one row, and where its maxima are */
    return PN_OK;
}

pn_pool pn_pool_of(const pn_shape *x, const pn_shape *y, const pn_value *attrs, pn_pool_kind kind) {
    const int r = x->rank;
    const int64_t h = x->dim[r - 2], w = x->dim[r - 1];
    pn_pool p = {.planes = pn_shape_count(x, 0, r - 2)};
    if (kind == PN_POOL_ADAPTIVE) {
        p.h = (pn_pool_axis){.in = h, .dilation = 1, .adaptive = true};
        p.w = (pn_pool_axis){.in = w, .dilation = 1, .adaptive = true};
    } else {
        p.h = axis_of(attrs, kind, 0, h);
        p.w = axis_of(attrs, kind, 1, w);
    }
    p.h.out = y->dim[r - 2];
    p.w.out = y->dim[r - 1];
    p.pairs = true;
    for (int i = 0; i < 2; i++) {
        const pn_pool_axis *a = i ? &p.w : &p.h;
        p.pairs &= a->kernel == 2 && a->stride == 2 && a->padding == 0 && a->dilation == 1 && a->out == a->in / 2;
    }
    return p;
}
