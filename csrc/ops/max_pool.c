/* max_pool2d, adaptive_max_pool2d: y = the largest element of each window of x. gx: gy at the window's first maximum, added up where windows overlap.
 *
 * Shapes: x (N, C, H, W) or (C, H, W), y (N, C, OH, OW), see pool.c. NaN wins over all, the last one of a window gets the gradient, as in PyTorch. Padding
 * counts as -inf. Backward looks for the maximum again: cheaper than to keep positions, for x is there anyway. Cost: one comparison per element of a window.
 * Sources: lecture 003; Ranzato et al. 2007; adaptive: PyTorch.
 */
#ifdef PN_REAL_PASS

/* Is v better than the best so far? The first maximum stays; a NaN always takes over. */
static inline bool R_(beats)(real v, real best) { return (v > best) | (v != v); }

/* One output row: y[OW] from plane x[H, W]. First the largest of each column into best[W], which runs in vectors, then of its neighbours. */
static void R_(max_row)(const pn_pool *p, pn_member *m, int64_t oh, const real *x, real *y, int64_t *done) {
    const pn_window rows = pn_pool_window(&p->h, oh);
    const int64_t width = p->w.in;
    real *best = m->scratch;
    for (int64_t j = 0; j < width; j++) best[j] = -(real)INFINITY;
    for (int64_t i = rows.lo; i < rows.hi; i += p->h.dilation) {
        const real *row = x + i * width;
        for (int64_t j = 0; j < width; j++) best[j] = R_(beats)(row[j], best[j]) ? row[j] : best[j];
        if (pn_pool_stopped(m, done, width)) return;
    }
    for (int64_t ow = 0; ow < p->w.out; ow++) {
        const pn_window cols = pn_pool_window(&p->w, ow);
        real v = -(real)INFINITY;
        for (int64_t j = cols.lo; j < cols.hi; j += p->w.dilation) v = R_(beats)(best[j], v) ? best[j] : v;
        y[ow] = v;
    }
}

static void R_(max_forward)(const pn_call *c, pn_member *m, pn_pool_kind kind) {
    const pn_pool p = pn_pool_of(&c->in[0].shape, &c->out[0].shape, c->attrs, kind);
    const int64_t rows = p.planes * p.h.out, area = p.h.in * p.w.in;
    const real *x = c->in[0].data;
    real *y = c->out[0].data;
    int64_t lo, hi, done = 0;
    pn_member_share(m, rows, pn_pool_row_block(&p), &lo, &hi);
    for (int64_t r = lo; r < hi;) {
        const int64_t plane = r / p.h.out, oh = r % p.h.out;
        if (!p.pairs) {
            R_(max_row)(&p, m, oh, x + plane * area, y + r * p.w.out, &done);
            r++;
        } else { /* up to the end of the plane, or of a piece, in one call */
            const int64_t most = pn_pool_pair_rows(&p), left = p.h.out - oh < hi - r ? p.h.out - oh : hi - r, rest = left < most ? left : most;
            R_(pn_call_kernels)(c)->max_pool2(y + r * p.w.out, x + plane * area + 2 * oh * p.w.in, rest, p.w.out, p.w.in);
            r += rest;
            done += 2 * rest * p.w.in;
        }
        if (pn_pool_stopped(m, &done, p.w.out)) return;
    }
}

/* The first largest element of each column of the rows of one window, and its row: best[W], where[W]. */
static void R_(column_maxima)(const pn_pool *p, pn_member *m, const pn_window rows, const real *x, real *best, int32_t *where, int64_t *done) {
    const int64_t width = p->w.in;
    for (int64_t j = 0; j < width; j++) best[j] = -(real)INFINITY, where[j] = (int32_t)rows.lo;
    for (int64_t i = rows.lo; i < rows.hi; i += p->h.dilation) {
        const real *row = x + i * width;
        for (int64_t j = 0; j < width; j++) {
            const bool better = R_(beats)(row[j], best[j]);
            best[j] = better ? row[j] : best[j];
            where[j] = better ? (int32_t)i : where[j];
        }
        if (pn_pool_stopped(m, done, width)) return;
    }
}

/* One plane, windows of any kind: gx[H, W] += gy[OH, OW] at the maxima. Of equal columns the one with the upper row is first, of NaNs the lower is last. */
static void R_(scatter)(const pn_pool *p, pn_member *m, const real *x, const real *gy, real *gx) {
    const int64_t width = p->w.in;
    real *best = m->scratch;
    int32_t *where = (int32_t *)(best + width);
    int64_t done = 0;
    for (int64_t oh = 0; oh < p->h.out; oh++) {
        const pn_window rows = pn_pool_window(&p->h, oh);
        R_(column_maxima)(p, m, rows, x, best, where, &done);
        for (int64_t ow = 0; ow < p->w.out; ow++) {
            const pn_window cols = pn_pool_window(&p->w, ow);
            if (rows.lo >= rows.hi || cols.lo >= cols.hi) continue; /* nothing but padding */
            int64_t at = cols.lo;
            for (int64_t j = cols.lo + p->w.dilation; j < cols.hi; j += p->w.dilation) {
                const real v = best[j], b = best[at];
                const bool upper = (v == b) & (where[j] < where[at]), odd = (v != v) & ((b == b) | (where[j] >= where[at]));
                at = (v > b) | upper | odd ? j : at;
            }
            gx[where[at] * width + at] += gy[oh * p->w.out + ow];
        }
    }
}

/* One plane, windows of 2 x 2. An odd last row or column belongs to no window. */
static void R_(scatter_pairs)(const pn_call *c, pn_member *m, const pn_pool *p, const real *x, const real *gy, real *gx, bool add, int64_t *done) {
    const int64_t h = p->h.in, w = p->w.in;
    const int64_t most = pn_pool_pair_rows(p);
    for (int64_t r = 0; r < p->h.out; r += most) {
        const int64_t rows = p->h.out - r < most ? p->h.out - r : most, at = 2 * r * w;
        R_(pn_call_kernels)(c)->max_pool2_backward(gx + at, x + at, gy + r * p->w.out, rows, p->w.out, w, add);
        if (pn_pool_stopped(m, done, 2 * rows * w)) return;
    }
    if (add) return;
    for (int64_t i = 0; w % 2 && i < h; i++) gx[i * w + w - 1] = 0;
    if (h % 2) memset(gx + (h - 1) * w, 0, (size_t)w * sizeof *gx);
}

static void R_(max_backward)(const pn_call *c, pn_member *m, pn_pool_kind kind) {
    const pn_pool p = pn_pool_of(&c->in[0].shape, &c->gout[0].shape, c->attrs, kind);
    const int64_t area = p.h.in * p.w.in, outputs = p.h.out * p.w.out;
    const real *x = c->in[0].data, *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    int64_t lo, hi, done = 0;
    if (!gx) return;
    pn_member_share(m, p.planes, pn_pool_plane_block(&p), &lo, &hi);
    for (int64_t k = lo; k < hi; k++) {
        if (p.pairs) {
            R_(scatter_pairs)(c, m, &p, x + k * area, gy + k * outputs, gx + k * area, c->gin_add[0], &done);
        } else {
            if (!c->gin_add[0]) memset(gx + k * area, 0, (size_t)area * sizeof *gx);
            R_(scatter)(&p, m, x + k * area, gy + k * outputs, gx + k * area);
        }
        if (pn_pool_stopped(m, &done, area)) return;
    }
}

static void R_(max_pool_fwd)(const pn_call *c, pn_member *m) { R_(max_forward)(c, m, PN_POOL_MAX); }
static void R_(max_pool_bwd)(const pn_call *c, pn_member *m) { R_(max_backward)(c, m, PN_POOL_MAX); }
static void R_(adaptive_fwd)(const pn_call *c, pn_member *m) { R_(max_forward)(c, m, PN_POOL_ADAPTIVE); }
static void R_(adaptive_bwd)(const pn_call *c, pn_member *m) { R_(max_backward)(c, m, PN_POOL_ADAPTIVE); }

#else
#include "ops/pool.h"

#define PN_REAL_FILE "ops/max_pool.c"
#include "base/real.h"

static pn_status infer_windows(pn_infer *q) { return pn_pool_infer(q, PN_POOL_MAX); }
static pn_status infer_adaptive(pn_infer *q) { return pn_pool_infer(q, PN_POOL_ADAPTIVE); }

static const pn_field window_fields[] = {PN_POOL_FIELDS, {"dilation", PN_INTS, NULL, "(1,)"}, {"ceil_mode", PN_BOOL, NULL, "False"}, {0}};
static const pn_field adaptive_fields[] = {{"output_size", PN_INTS, NULL, NULL}, {0}};

const pn_op pn_op_max_pool2d = {.name = "max_pool2d",
                                .formula = "y = max of x over each window",
                                .derivative = "gx = gy at the first maximum of each window",
                                .inputs = "x:r",
                                .n_out = 1,
                                .fields = window_fields,
                                .infer = infer_windows,
                                .fwd = {max_pool_fwd_f, max_pool_fwd_d},
                                .bwd = {max_pool_bwd_f, max_pool_bwd_d},
                                .needs_in = 1,
                                .file = "ops/max_pool.c"};
const pn_op pn_op_adaptive_max_pool2d = {.name = "adaptive_max_pool2d",
                                         .formula = "y_o = max of x from floor(o N / M) to ceil((o + 1) N / M), N inputs and M outputs along each dimension",
                                         .derivative = "gx = gy at the first maximum of each window",
                                         .inputs = "x:r",
                                         .n_out = 1,
                                         .fields = adaptive_fields,
                                         .infer = infer_adaptive,
                                         .fwd = {adaptive_fwd_f, adaptive_fwd_d},
                                         .bwd = {adaptive_bwd_f, adaptive_bwd_d},
                                         .needs_in = 1,
                                         .file = "ops/max_pool.c"};
#endif
