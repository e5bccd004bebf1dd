/* avg_pool2d, adaptive_avg_pool2d: y = mean of x over each window. gx: gy / (number of elements), added up where windows overlap.
 *
 * Shapes: x (N, C, H, W) or (C, H, W), y (N, C, OH, OW), see pool.c. The divisor is the window's size with the padding it covers (count_include_pad), without
 * it, or divisor_override. Sums run in double, those of four in the type of x. Cost: one addition per element of a window.
 * Sources: lecture 003; LeCun et al. 1998 (subsampling); adaptive: PyTorch; adaptive to 1: Lin et al. 2013 (global average pooling).
 */
#ifdef PN_REAL_PASS

/* One output row: y[OW] from plane x[H, W]. First each column's sum into sums[W], which runs in vectors, then of neighbours. */
static void R_(avg_row)(const pn_average *a, pn_pool_walk *w, pn_window rows, const real *x, real *y, double *sums) {
    const pn_pool *p = &a->pool;
    const int64_t width = p->w.in;
    for (int64_t j = 0; j < width; j++) sums[j] = 0;
    for (int64_t i = rows.lo; i < rows.hi; i++) {
        const real *row = x + i * width;
        for (int64_t j = 0; j < width; j++) sums[j] += row[j];
        if (pn_pool_stopped(w->m, &w->done, width)) return;
    }
    for (int64_t ow = 0; ow < p->w.out; ow++) {
        const pn_window cols = pn_pool_window(&p->w, ow);
        double sum = 0;
        for (int64_t j = cols.lo; j < cols.hi; j++) sum += sums[j];
        y[ow] = rows.lo < rows.hi && cols.lo < cols.hi ? (real)(sum / pn_divisor(a, rows, cols)) : 0;
    }
}

/* The mean of whole rows, as of a whole plane: they lie side by side. */
static void R_(avg_whole)(const pn_average *a, pn_pool_walk *w, const R_(pn_kernels) *k, pn_window rows, const real *x, real *y) {
    const int64_t width = a->pool.w.in, n = (rows.hi - rows.lo) * width;
    double sum = 0;
    for (int64_t i = 0; i < n && !pn_pool_stopped(w->m, &w->done, 0); i += PN_PIECE) {
        const int64_t piece = n - i < PN_PIECE ? n - i : PN_PIECE;
        sum += k->sum(x + rows.lo * width + i, piece);
        w->done += piece;
    }
    *y = (real)(sum / pn_divisor(a, rows, pn_pool_window(&a->pool.w, 0)));
}

/* One row of a plane: gx[H, W] += what the output row gives to each of its columns, which is the same for all rows of its windows. */
static void R_(spread_row)(const pn_average *a, pn_pool_walk *w, pn_window rows, const real *gy, real *gx, double *sums) {
    const pn_pool *p = &a->pool;
    const int64_t width = p->w.in;
    for (int64_t j = 0; j < width; j++) sums[j] = 0;
    for (int64_t ow = 0; ow < p->w.out; ow++) {
        const pn_window cols = pn_pool_window(&p->w, ow);
        const double g = gy[ow] / pn_divisor(a, rows, cols);
        for (int64_t j = cols.lo; j < cols.hi; j++) sums[j] += g;
    }
    for (int64_t i = rows.lo; i < rows.hi; i++) {
        for (int64_t j = 0; j < width; j++) gx[i * width + j] += (real)sums[j];
        if (pn_pool_stopped(w->m, &w->done, width)) return;
    }
}

/* A row of blocks of samples: y[OW, 16] from x[H, W, 16]; and gx[H, W, 16] (= or +=) what gy[OW, 16] gives. */
static void R_(lanes_row)(const pn_average *a, const R_(pn_kernels) *k, pn_window rows, const real *x, real *y, int64_t *room) {
    const pn_pool *p = &a->pool;
    for (int64_t ow = 0, alike; ow < p->w.out; ow += alike) {
        const pn_window cols = pn_pool_window(&p->w, ow);
        alike = pn_pool_alike(p, ow);
        const pn_taps t = pn_pool_taps(p, rows, cols, alike, room);
        k->sum_taps(y + ow * p->lanes, x, &t, t.n ? 1 / pn_divisor(a, rows, cols) : 0);
    }
}
static void R_(lanes_row_back)(const pn_average *a, const R_(pn_kernels) *k, pn_window rows, const real *gy, real *gx, bool add, int64_t *room) {
    const pn_pool *p = &a->pool;
    for (int64_t ow = 0, alike; ow < p->w.out; ow += alike) {
        const pn_window cols = pn_pool_window(&p->w, ow);
        alike = pn_pool_alike(p, ow);
        const pn_taps t = pn_pool_taps(p, rows, cols, alike, room);
        k->sum_taps_backward(gx, gy + ow * p->lanes, &t, (real)(1 / pn_divisor(a, rows, cols)), add);
    }
}

static void R_(avg_forward)(const pn_call *c, pn_member *m, pn_pool_kind kind) {
    const pn_average a = pn_average_of(&c->in[0].shape, &c->out[0].shape, c->attrs, kind, c->layout);
    const pn_pool p = a.pool;
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    for (pn_pool_walk w = pn_pool_open(&p, m, false); pn_pool_next(&w);) {
        const real *x = (const real *)c->in[0].data + w.plane * p.h.in * p.w.in * p.lanes;
        real *y = (real *)c->out[0].data + (w.plane * p.h.out + w.row) * p.w.out * p.lanes;
        const pn_window rows = pn_pool_window(&p.h, w.row), cols = pn_pool_window(&p.w, 0);
        if (p.pairs)
            k->avg_pool2(y, x + 2 * w.row * p.w.in, w.rows, p.w.out, p.w.in, (real)(1 / pn_divisor_pairs(&a)));
        else if (p.lanes > 1)
            R_(lanes_row)(&a, k, rows, x, y, m->scratch);
        else if (p.w.out == 1 && cols.hi - cols.lo == p.w.in && rows.lo < rows.hi)
            R_(avg_whole)(&a, &w, k, rows, x, y);
        else
            R_(avg_row)(&a, &w, rows, x, y, m->scratch);
    }
}

static void R_(avg_backward)(const pn_call *c, pn_member *m, pn_pool_kind kind) {
    const pn_average a = pn_average_of(&c->in[0].shape, &c->gout[0].shape, c->attrs, kind, c->layout);
    const pn_pool p = a.pool;
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t line = p.w.in * p.lanes;
    const bool writes = !c->gin_add[0] && p.tiles && (p.pairs || p.lanes > 1); /* each element once */
    if (!c->gin[0].data) return;
    for (pn_pool_walk w = pn_pool_open(&p, m, true); pn_pool_next(&w);) {
        const real *gy = (const real *)c->gout[0].data + (w.plane * p.h.out + w.row) * p.w.out * p.lanes;
        real *gx = (real *)c->gin[0].data + w.plane * p.h.in * line;
        const pn_window rows = pn_pool_window(&p.h, w.row);
        if (!c->gin_add[0] && !writes) pn_pool_clear(&w, gx, (size_t)line * sizeof *gx);
        if (p.pairs)
            k->avg_pool2_backward(gx + 2 * w.row * line, gy, w.rows, p.w.out, p.w.in, (real)(1 / pn_divisor_pairs(&a)), !writes);
        else if (p.lanes > 1)
            R_(lanes_row_back)(&a, k, rows, gy, gx, !writes, m->scratch);
        else
            R_(spread_row)(&a, &w, rows, gy, gx, m->scratch);
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

static pn_average pn_average_of(const pn_shape *x, const pn_shape *y, const pn_value *attrs, pn_pool_kind kind, pn_layout layout) {
    pn_average a = {.pool = pn_pool_of(x, y, attrs, kind, layout), .include_pad = true};
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
                                .layout = pn_pool_keeps_average,
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
                                         .layout = pn_pool_keeps_adaptive,
                                         .fwd = {adaptive_fwd_f, adaptive_fwd_d},
                                         .bwd = {adaptive_bwd_f, adaptive_bwd_d},
                                         .file = "ops/avg_pool.c"};
#endif
