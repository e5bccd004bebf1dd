/* max_pool2d, adaptive_max_pool2d: y = the largest element of each window of x. gx: gy at the window's first maximum, added up where windows overlap.
 *
 * Shapes: x (N, C, H, W) or (C, H, W), y (N, C, OH, OW), see pool.c. NaN wins over all, the last one of a window gets the gradient, as in PyTorch. Padding
 * counts as -inf. Forward keeps where in its plane each maximum is (-1: nothing but padding), but for plain windows of 2 x 2, where backward finds it again
 * at once. Cost: one comparison per element of a window. Sources: lecture 003; Ranzato et al. 2007; adaptive: PyTorch.
 *
 * Three ways. Blocks of 16 samples: tap by tap, a vector of samples at a time. Plain: tap by tap, a vector of neighbouring outputs at a time, for which
 * rows of x are taken apart into strips, one for each column of a stride, with the padding beside them. Plain with large or adaptive windows: by columns.
 */
#ifdef PN_REAL_PASS

/* ---- blocks of samples ---- */

/* One output row: y and where [OW, 16] from plane x[H, W, 16]. */
static void R_(lanes_row)(const pn_pool *p, const R_(pn_kernels) *k, pn_window rows, const real *x, real *y, R_(pn_place) *where, int64_t *room) {
    for (int64_t ow = 0, alike; ow < p->w.out; ow += alike) {
        alike = pn_pool_alike(p, ow);
        const pn_taps t = pn_pool_taps(p, rows, pn_pool_window(&p->w, ow), alike, room);
        real *to = y + ow * p->lanes;
        if (t.n) {
            k->max_taps(to, where + ow * p->lanes, x, &t);
            continue;
        }
        for (int64_t l = 0; l < p->lanes; l++) to[l] = -(real)INFINITY, where[ow * p->lanes + l] = -1;
    }
}

/* gx[H, W, 16] (= or +=) one row of gy[OW, 16]. */
static void R_(lanes_row_back)(const pn_pool *p, const R_(pn_kernels) *k, pn_window rows, const R_(pn_place) *where, const real *gy, real *gx, bool add,
                               int64_t *room) {
    for (int64_t ow = 0, alike; ow < p->w.out; ow += alike) {
        alike = pn_pool_alike(p, ow);
        const pn_taps t = pn_pool_taps(p, rows, pn_pool_window(&p->w, ow), alike, room);
        k->max_taps_backward(gx, where + ow * p->lanes, gy + ow * p->lanes, &t, add);
    }
}

/* ---- strips ---- */

/* Row of x (W) into its strips: strip c has the columns c - padding, then each one stride further. */
static void R_(fill_strips)(const pn_pool *p, const strips *s, const real *row, real *to) {
    const int64_t step = p->w.stride;
    for (int64_t c = 0; c < s->count; c++, to += s->width) {
        const int64_t first = c - p->w.padding, lo = first < 0 ? (-first + step - 1) / step : 0;
        int64_t q = 0;
        for (; q < lo && q < s->width; q++) to[q] = -(real)INFINITY;
        for (; q < s->width && first + q * step < p->w.in; q++) to[q] = row[first + q * step];
        for (; q < s->width; q++) to[q] = -(real)INFINITY;
    }
}

/* One output row of plane x. Rows that the row above has used are still there. */
static void R_(strips_row)(const pn_pool *p, const R_(pn_kernels) *k, strips *s, pn_window rows, const real *x, real *y, R_(pn_place) *where) {
    real *ring = (real *)(s->from + s->taps);
    const int64_t size = s->count * s->width;
    pn_taps t = {.at = s->at, .from = s->from, .chunks = 1, .run = p->w.out, .slope = p->w.stride};
    for (; s->next < rows.hi; s->next++) R_(fill_strips)(p, s, x + s->next * p->w.in, ring + s->next % s->rows * size);
    for (int64_t i = rows.lo; i < rows.hi; i += p->h.dilation) {
        const int64_t slot = i % s->rows * size, place = i * p->w.in - p->w.padding;
        for (int64_t j = 0; j < p->w.kernel; j++, t.n++) {
            s->at[t.n] = place + j * p->w.dilation;
            s->from[t.n] = slot + s->column[j];
        }
    }
    if (t.n) k->max_taps(y, where, ring, &t);
    for (int64_t ow = 0; ow < p->w.out && (!t.n || ow * p->w.stride < p->w.padding); ow++) { /* the padding before a row is no place */
        const pn_window cols = pn_pool_window(&p->w, ow);
        const bool empty = !t.n || cols.lo >= cols.hi;
        if (empty) y[ow] = -(real)INFINITY;
        if (y[ow] == -(real)INFINITY) where[ow] = empty ? -1 : (R_(pn_place))(rows.lo * p->w.in + cols.lo);
    }
}

/* ---- columns ---- */

/* The first largest element of each column of the rows of one window, and its row: best[W], line[W]. */
static void R_(column_maxima)(const pn_pool *p, pn_pool_walk *w, pn_window rows, const real *x, real *best, R_(pn_place) *line) {
    const int64_t width = p->w.in;
    for (int64_t j = 0; j < width; j++) best[j] = -(real)INFINITY, line[j] = (R_(pn_place))rows.lo;
    for (int64_t i = rows.lo; i < rows.hi; i += p->h.dilation) {
        const real *row = x + i * width;
        for (int64_t j = 0; j < width; j++) {
            const bool better = (row[j] > best[j]) | (row[j] != row[j]);
            best[j] = better ? row[j] : best[j];
            line[j] = better ? (R_(pn_place))i : line[j];
        }
        if (pn_pool_stopped(w->m, &w->done, width)) return;
    }
}

/* One output row of plane x. Of equal columns the one with the upper row is first, of NaNs the lower is last. */
static void R_(columns_row)(const pn_pool *p, pn_pool_walk *w, pn_window rows, const real *x, real *y, R_(pn_place) *where, real *best) {
    R_(pn_place) *line = (R_(pn_place) *)(best + p->w.in);
    R_(column_maxima)(p, w, rows, x, best, line);
    for (int64_t ow = 0; ow < p->w.out; ow++) {
        const pn_window cols = pn_pool_window(&p->w, ow);
        int64_t at = cols.lo;
        if (rows.lo >= rows.hi || cols.lo >= cols.hi) {
            y[ow] = -(real)INFINITY, where[ow] = -1;
            continue;
        }
        for (int64_t j = cols.lo + p->w.dilation; j < cols.hi; j += p->w.dilation) {
            const real v = best[j], b = best[at];
            const bool upper = (v == b) & (line[j] < line[at]), odd = (v != v) & ((b == b) | (line[j] >= line[at]));
            at = ((v > b) | upper | odd) ? j : at;
        }
        y[ow] = best[at];
        where[ow] = (R_(pn_place))(line[at] * p->w.in + at);
    }
}

/* ---- all of them ---- */

static void R_(max_forward)(const pn_call *c, pn_member *m, pn_pool_kind kind) {
    const pn_pool p = pn_pool_of(&c->in[0].shape, &c->out[0].shape, c->attrs, kind, c->layout);
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    strips s = strips_of(&p, m->scratch);
    for (pn_pool_walk w = pn_pool_open(&p, m, false); pn_pool_next(&w);) {
        const int64_t first = (w.plane * p.h.out + w.row) * p.w.out * p.lanes;
        const real *x = (const real *)c->in[0].data + w.plane * p.h.in * p.w.in * p.lanes;
        real *y = (real *)c->out[0].data + first;
        R_(pn_place) *where = (R_(pn_place) *)c->saved + first;
        const pn_window rows = pn_pool_window(&p.h, w.row);
        if (s.plane != w.plane) s.plane = w.plane, s.next = 0;
        if (s.next < w.row * p.h.stride - p.h.padding) s.next = w.row * p.h.stride - p.h.padding;
        if (p.pairs)
            k->max_pool2(y, x + 2 * w.row * p.w.in, w.rows, p.w.out, p.w.in);
        else if (p.lanes > 1)
            R_(lanes_row)(&p, k, rows, x, y, where, m->scratch);
        else if (by_columns(&p))
            R_(columns_row)(&p, &w, rows, x, y, where, m->scratch);
        else
            R_(strips_row)(&p, k, &s, rows, x, y, where);
    }
}

static void R_(max_backward)(const pn_call *c, pn_member *m, pn_pool_kind kind) {
    const pn_pool p = pn_pool_of(&c->in[0].shape, &c->gout[0].shape, c->attrs, kind, c->layout);
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t line = p.w.in * p.lanes;
    const bool writes = !c->gin_add[0] && p.tiles && (p.pairs || p.lanes > 1); /* each element once */
    if (!c->gin[0].data) return;
    for (pn_pool_walk w = pn_pool_open(&p, m, true); pn_pool_next(&w);) {
        const int64_t first = (w.plane * p.h.out + w.row) * p.w.out * p.lanes, plane = w.plane * p.h.in * line;
        const real *gy = (const real *)c->gout[0].data + first;
        const R_(pn_place) *where = (const R_(pn_place) *)c->saved + first;
        real *gx = (real *)c->gin[0].data + plane;
        if (!c->gin_add[0] && !writes) pn_pool_clear(&w, gx, (size_t)line * sizeof *gx);
        if (p.pairs) {
            const real *x = (const real *)c->in[0].data + plane + 2 * w.row * line;
            k->max_pool2_backward(gx + 2 * w.row * line, x, gy, w.rows, p.w.out, p.w.in, !writes);
        } else if (p.lanes > 1) {
            R_(lanes_row_back)(&p, k, pn_pool_window(&p.h, w.row), where, gy, gx, !writes, m->scratch);
        } else {
            for (int64_t ow = 0; ow < p.w.out; ow++) {
                if (where[ow] >= 0) gx[where[ow]] += gy[ow];
            }
        }
    }
}

static void R_(max_pool_fwd)(const pn_call *c, pn_member *m) { R_(max_forward)(c, m, PN_POOL_MAX); }
static void R_(max_pool_bwd)(const pn_call *c, pn_member *m) { R_(max_backward)(c, m, PN_POOL_MAX); }
static void R_(adaptive_fwd)(const pn_call *c, pn_member *m) { R_(max_forward)(c, m, PN_POOL_ADAPTIVE); }
static void R_(adaptive_bwd)(const pn_call *c, pn_member *m) { R_(max_backward)(c, m, PN_POOL_ADAPTIVE); }

#else
#include "ops/pool.h"

/* Rows of x taken apart: `rows` of them are kept, each as `count` strips of `width`; next: the row of `plane` that comes next. */
typedef struct strips {
    int64_t rows, count, width, taps;
    int64_t *column, *at, *from; /* where the taps of a row lie in its strips (kernel); of all taps (taps each); then come the rows */
    int64_t plane, next;
} strips;

static int64_t window_size(const pn_pool_axis *a) { return (a->kernel - 1) * a->dilation + 1; }

/* Windows that are large, or many times the number of outputs in a row; adaptive ones have no stride. */
static bool by_columns(const pn_pool *p) {
    if (p->h.adaptive || p->w.adaptive || window_size(&p->h) > 32 || window_size(&p->w) > 32) return true;
    return p->h.kernel * p->w.kernel > 8 * p->w.out;
}

static strips strips_of(const pn_pool *p, int64_t *room) {
    const int64_t high = window_size(&p->h), wide = window_size(&p->w), step = p->w.stride;
    strips s = {.plane = -1};
    if (by_columns(p)) return s;
    s.rows = high < p->h.in ? high : p->h.in;
    s.count = wide < step ? wide : step;
    s.width = p->w.out + (wide - 1) / step;
    s.taps = p->h.kernel * p->w.kernel;
    if (!room) return s;
    s.column = room, s.at = room + p->w.kernel, s.from = s.at + s.taps;
    for (int64_t j = 0, c = 0; j < p->w.kernel; j++, c += p->w.dilation) s.column[j] = c % step * s.width + c / step;
    return s;
}

#define PN_REAL_FILE "ops/max_pool.c"
#include "base/real.h"

static pn_status infer_kind(pn_infer *q, pn_pool_kind kind) {
    const pn_status status = pn_pool_infer(q, kind);
    const pn_shape *x = &q->in[0];
    char text[256];
    if (status) return status;
    const pn_pool p = pn_pool_of(x, &q->out[0], q->attrs, kind, q->layout);
    const size_t bytes = pn_dtype_bytes(x->dtype);
    if (p.h.in > INT32_MAX / (p.w.in > 0 ? p.w.in : 1))
        return pn_fail(q->error, PN_E_VALUE, "x has shape %s, expected maps of less than 2^31 elements", pn_shape_text(x, text));
    if (p.pairs) return PN_OK;
    q->saved = (size_t)(p.planes * p.h.out * p.w.out * p.lanes) * bytes;
    if (p.lanes > 1) return PN_OK;
    const strips s = strips_of(&p, NULL);
    q->member_scratch =
        by_columns(&p) ? 2 * (size_t)p.w.in * bytes : (size_t)(2 * s.taps + p.w.kernel) * sizeof(int64_t) + (size_t)(s.rows * s.count * s.width) * bytes;
    return PN_OK;
}
static pn_status infer_windows(pn_infer *q) { return infer_kind(q, PN_POOL_MAX); }
static pn_status infer_adaptive(pn_infer *q) { return infer_kind(q, PN_POOL_ADAPTIVE); }

static const pn_field window_fields[] = {PN_POOL_FIELDS, {"dilation", PN_INTS, NULL, "(1,)"}, {"ceil_mode", PN_BOOL, NULL, "False"}, {0}};
static const pn_field adaptive_fields[] = {{"output_size", PN_INTS, NULL, NULL}, {0}};

const pn_op pn_op_max_pool2d = {.name = "max_pool2d",
                                .formula = "y = max of x over each window",
                                .derivative = "gx = gy at the first maximum of each window",
                                .inputs = "x:r",
                                .n_out = 1,
                                .fields = window_fields,
                                .infer = infer_windows,
                                .layout = pn_pool_keeps_max,
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
                                         .layout = pn_pool_keeps_adaptive,
                                         .fwd = {adaptive_fwd_f, adaptive_fwd_d},
                                         .bwd = {adaptive_bwd_f, adaptive_bwd_d},
                                         .needs_in = 1,
                                         .file = "ops/max_pool.c"};
#endif
