/* avg_pool2d, adaptive_avg_pool2d: y = mean of x over each window. gx: gy / (number of elements), added up where windows overlap.
 *
 * Shapes: x (N, C, H, W) or (C, H, W), y (N, C, OH, OW), see pool.c. The divisor is the window's size with the padding it covers (count_include_pad), without
 * it, or divisor_override. Sums run in double, those of four in the type of x. Cost: one addition per element of a window.
 * Sources: lecture 003; LeCun et al. 1998 (subsampling); adaptive: PyTorch; adaptive to 1: Lin et al. 2013 (global average pooling).
 */
#ifdef PN_REAL_PASS

/* One output row: y[OW] from plane x[H, W]. First each column's sum into sums[W], which runs in vectors, then of neighbours. */
static void R_(avg_row)(const pn_average *a, pn_member *m, int64_t oh, const real *x, real *y, int64_t *done) {
    const pn_pool *p = &a->pool;
    const pn_window rows = pn_pool_window(&p->h, oh);
    const int64_t width = p->w.in;
    double *sums = m->scratch;
    for (int64_t j = 0; j < width; j++) sums[j] = 0;
    for (int64_t i = rows.lo; i < rows.hi; i++) {
        const real *row = x + i * width;
        for (int64_t j = 0; j < width; j++) sums[j] += row[j];
        if (pn_pool_stopped(m, done, width)) return;
    }
    for (int64_t ow = 0; ow < p->w.out; ow++) {
        const pn_window cols = pn_pool_window(&p->w, ow);
        double sum = 0;
        for (int64_t j = cols.lo; j < cols.hi; j++) sum += sums[j];
        y[ow] = rows.lo < rows.hi && cols.lo < cols.hi ? (real)(sum / pn_divisor(a, rows, cols)) : 0;
    }
}

static void R_(avg_forward)(const pn_call *c, pn_member *m, pn_pool_kind kind) {
    const pn_average a = pn_average_of(&c->in[0].shape, &c->out[0].shape, c->attrs, kind);
    const pn_pool p = a.pool;
    const int64_t area = p.h.in * p.w.in;
    const real *x = c->in[0].data;
    real *y = c->out[0].data;
    int64_t lo, hi, done = 0;
    pn_member_share(m, p.planes * p.h.out, pn_pool_row_block(&p), &lo, &hi);
    for (int64_t r = lo; r < hi;) {
        const int64_t plane = r / p.h.out, oh = r % p.h.out;
        if (!p.pairs) {
            R_(avg_row)(&a, m, oh, x + plane * area, y + r * p.w.out, &done);
            r++;
        } else { /* up to the end of the plane, or of a piece, in one call */
            const int64_t most = pn_pool_pair_rows(&p), left = p.h.out - oh < hi - r ? p.h.out - oh : hi - r, rest = left < most ? left : most;
            R_(pn_call_kernels)(c)->avg_pool2(y + r * p.w.out, x + plane * area + 2 * oh * p.w.in, rest, p.w.out, p.w.in, (real)(1 / pn_divisor_pairs(&a)));
            r += rest;
            done += 2 * rest * p.w.in;
        }
        if (pn_pool_stopped(m, &done, p.w.out)) return;
    }
}

/* One plane: gx[H, W] += what each output row gives to each of its columns, which is the same for all rows of its windows. */
static void R_(spread)(const pn_average *a, pn_member *m, const real *gy, real *gx) {
    const pn_pool *p = &a->pool;
    const int64_t width = p->w.in;
    double *sums = m->scratch;
    int64_t done = 0;
    for (int64_t oh = 0; oh < p->h.out; oh++) {
        const pn_window rows = pn_pool_window(&p->h, oh);
        for (int64_t j = 0; j < width; j++) sums[j] = 0;
        for (int64_t ow = 0; ow < p->w.out; ow++) {
            const pn_window cols = pn_pool_window(&p->w, ow);
            const double g = gy[oh * p->w.out + ow] / pn_divisor(a, rows, cols);
            for (int64_t j = cols.lo; j < cols.hi; j++) sums[j] += g;
        }
        for (int64_t i = rows.lo; i < rows.hi; i++) {
            for (int64_t j = 0; j < width; j++) gx[i * width + j] += (real)sums[j];
            if (pn_pool_stopped(m, &done, width)) return;
        }
    }
}

/* One plane, windows of 2 x 2. An odd last row or column belongs to no window. */
static void R_(spread_pairs)(const pn_call *c, pn_member *m, const pn_average *a, const real *gy, real *gx, bool add, int64_t *done) {
    const int64_t h = a->pool.h.in, w = a->pool.w.in;
    const int64_t most = pn_pool_pair_rows(&a->pool), out = a->pool.h.out;
    for (int64_t r = 0; r < out; r += most) {
        const int64_t rows = out - r < most ? out - r : most;
        R_(pn_call_kernels)(c)->avg_pool2_backward(gx + 2 * r * w, gy + r * a->pool.w.out, rows, a->pool.w.out, w, (real)(1 / pn_divisor_pairs(a)), add);
        if (pn_pool_stopped(m, done, 2 * rows * w)) return;
    }
    if (add) return;
    for (int64_t i = 0; w % 2 && i < h; i++) gx[i * w + w - 1] = 0;
    if (h % 2) memset(gx + (h - 1) * w, 0, (size_t)w * sizeof *gx);
}

static void R_(avg_backward)(const pn_call *c, pn_member *m, pn_pool_kind kind) {
    const pn_average a = pn_average_of(&c->in[0].shape, &c->gout[0].shape, c->attrs, kind);
    const pn_pool p = a.pool;
    const int64_t area = p.h.in * p.w.in, outputs = p.h.out * p.w.out;
    const real *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    int64_t lo, hi, done = 0;
    if (!gx) return;
    pn_member_share(m, p.planes, pn_pool_plane_block(&p), &lo, &hi);
    for (int64_t k = lo; k < hi; k++) {
        if (p.pairs) {
            R_(spread_pairs)(c, m, &a, gy + k * outputs, gx + k * area, c->gin_add[0], &done);
        } else {
            if (!c->gin_add[0]) memset(gx + k * area, 0, (size_t)area * sizeof *gx);
            R_(spread)(&a, m, gy + k * outputs, gx + k * area);
        }
        if (pn_pool_stopped(m, &done, area)) return;
    }
}

static void R_(avg_pool_fwd)(const pn_call *c, pn_member *m) { R_(avg_forward)(c, m, PN_POOL_AVERAGE); }
static void R_(avg_pool_bwd)(const pn_call *c, pn_member *m) { R_(avg_backward)(c, m, PN_POOL_AVERAGE); }
static void R_(adaptive_fwd)(const pn_call *c, pn_member *m) { R_(avg_forward)(c, m, PN_POOL_ADAPTIVE); }
static void R_(adaptive_bwd)(const pn_call *c, pn_member *m) { R_(avg_backward)(c, m, PN_POOL_ADAPTIVE); }

#else
#include "ops/pool.h"

typedef struct pn_average {
    pn_pool pool;
    bool include_pad;
    double divisor; /* 0: the window's size */
} pn_average;

static pn_average pn_average_of(const pn_shape *x, const pn_shape *y, const pn_value *attrs, pn_pool_kind kind) {
    pn_average a = {.pool = pn_pool_of(x, y, attrs, kind), .include_pad = true};
    if (kind == PN_POOL_ADAPTIVE) return a;
    a.include_pad = attrs[4].i;
    if (attrs[5].i != INT64_MIN) a.divisor = (double)attrs[5].i;
    return a;
}
static double pn_divisor(const pn_average *a, pn_window h, pn_window w) {
    if (a->divisor != 0) return a->divisor;
    return a->include_pad ? (double)h.full * (double)w.full : (double)(h.hi - h.lo) * (double)(w.hi - w.lo);
}
static double pn_divisor_pairs(const pn_average *a) { return a->divisor != 0 ? a->divisor : 4; }

#define PN_REAL_FILE "ops/avg_pool.c"
#include "base/real.h"

static pn_status infer_windows(pn_infer *q) {
    if (q->attrs[5].i == 0) return pn_fail(q->error, PN_E_VALUE, "divisor_override is 0, expected another whole number or None");
    return pn_pool_infer(q, PN_POOL_AVERAGE);
}
static pn_status infer_adaptive(pn_infer *q) { return pn_pool_infer(q, PN_POOL_ADAPTIVE); }

static const pn_field window_fields[] = {
    PN_POOL_FIELDS, {"ceil_mode", PN_BOOL, NULL, "False"}, {"count_include_pad", PN_BOOL, NULL, "True"}, {"divisor_override", PN_INT, NULL, "none"}, {0}};
static const pn_field adaptive_fields[] = {{"output_size", PN_INTS, NULL, NULL}, {0}};

const pn_op pn_op_avg_pool2d = {.name = "avg_pool2d",
                                .formula = "y = mean of x over each window",
                                .derivative = "gx = sum of gy / n over the windows that hold the element, n their sizes",
                                .inputs = "x:r",
                                .n_out = 1,
                                .fields = window_fields,
                                .infer = infer_windows,
                                .fwd = {avg_pool_fwd_f, avg_pool_fwd_d},
                                .bwd = {avg_pool_bwd_f, avg_pool_bwd_d},
                                .file = "ops/avg_pool.c"};
const pn_op pn_op_adaptive_avg_pool2d = {.name = "adaptive_avg_pool2d",
                                         .formula = "y_o = mean of x from floor(o N / M) to ceil((o + 1) N / M), N inputs and M outputs along each dimension",
                                         .derivative = "gx = sum of gy / n over the windows that hold the element, n their sizes",
                                         .inputs = "x:r",
                                         .n_out = 1,
                                         .fields = adaptive_fields,
                                         .infer = infer_adaptive,
                                         .fwd = {adaptive_fwd_f, adaptive_fwd_d},
                                         .bwd = {adaptive_bwd_f, adaptive_bwd_d},
                                         .file = "ops/avg_pool.c"};
#endif
