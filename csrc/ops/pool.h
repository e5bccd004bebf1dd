/* Geometry of pooling: which elements of x (planes, H, W) make one element of y (planes, OH, OW), and the walk over them. Shared by max_pool.c and
 * avg_pool.c. In the batch-innermost layout a plane is one channel of 16 samples, (H, W, 16). */
#ifndef PN_OPS_POOL_H
#define PN_OPS_POOL_H
#include "ops/op_helpers.h"

/* One of the two dimensions. Adaptive: window o goes from floor(o in / out) to ceil((o + 1) in / out). */
typedef struct pn_pool_axis {
    int64_t in, out, kernel, stride, padding, dilation;
    bool adaptive;
} pn_pool_axis;

/* A window along one dimension: lo, lo + dilation, ... below hi; full: its size with the padding that it covers. */
typedef struct pn_window {
    int64_t lo, hi, full;
} pn_window;

typedef struct pn_pool {
    int64_t planes; /* batch times channels, or blocks of 16 samples times channels */
    int64_t lanes;  /* samples side by side: 1, or 16 */
    pn_pool_axis h, w;
    bool pairs; /* plain 2 x 2 windows with stride 2 */
    bool tiles; /* every element is in one window */
} pn_pool;

/* Which attributes an op has; all begin with kernel_size, stride, padding, or are output_size alone. */
typedef enum pn_pool_kind { PN_POOL_MAX, PN_POOL_AVERAGE, PN_POOL_ADAPTIVE } pn_pool_kind;

#define PN_POOL_FIELDS {"kernel_size", PN_INTS, NULL, NULL}, {"stride", PN_INTS, NULL, "none"}, {"padding", PN_INTS, NULL, "(0,)"}
/* Output, flops, and scratch for one row of doubles. */
pn_status pn_pool_infer(pn_infer *q, pn_pool_kind kind);
/* x as in infer, y what infer made of it. */
pn_pool pn_pool_of(const pn_shape *x, const pn_shape *y, const pn_value *attrs, pn_pool_kind kind, pn_layout layout);
/* Images that come in blocks of 16 samples stay so, unless windows are huge: pn_op.layout. */
pn_layout pn_pool_keeps_max(const pn_shape in[2], const pn_value *attrs, pn_layout incoming);
pn_layout pn_pool_keeps_average(const pn_shape in[2], const pn_value *attrs, pn_layout incoming);
pn_layout pn_pool_keeps_adaptive(const pn_shape in[2], const pn_value *attrs, pn_layout incoming);

static inline pn_window pn_pool_window(const pn_pool_axis *a, int64_t o) {
    pn_window w;
    if (a->adaptive) {
        w.lo = o * a->in / a->out;
        w.hi = ((o + 1) * a->in + a->out - 1) / a->out;
        w.full = w.hi - w.lo;
        return w;
    }
    const int64_t start = o * a->stride - a->padding, end = start + (a->kernel - 1) * a->dilation + 1;
    w.full = (end < a->in + a->padding ? end : a->in + a->padding) - start;
    w.hi = end < a->in ? end : a->in;
    w.lo = start < 0 ? start + (-start + a->dilation - 1) / a->dilation * a->dilation : start;
    return w;
}

/* ---- the taps of windows: kernels/taps_impl.h ---- */

/* Most taps that a window can have. */
int64_t pn_pool_most_taps(const pn_pool *p);
/* How many windows along the width from o on have the same size, each one stride behind the one before. */
int64_t pn_pool_alike(const pn_pool *p, int64_t o);
/* The taps of a window of a blocked layout, and of `alike` of them; room: twice pn_pool_most_taps. */
pn_taps pn_pool_taps(const pn_pool *p, pn_window rows, pn_window cols, int64_t alike, int64_t *room);

/* ---- who does what ---- */

/* Rows of 2 x 2 windows in one call of a kernel: a piece. */
static inline int64_t pn_pool_pair_rows(const pn_pool *p) { return 2 * p->w.in >= PN_PIECE ? 1 : PN_PIECE / (2 * p->w.in); }
/* Looks at the poll every PN_PIECE elements: *done counts them. True once the run should stop. */
static inline bool pn_pool_stopped(pn_member *m, int64_t *done, int64_t n) {
    *done += n;
    if (*done < PN_PIECE) return false;
    *done = 0;
    return pn_member_stopped(m);
}

/* Walks this member's output rows: forwards in any blocks; backwards in whole planes, for windows may overlap inside a plane, never across. A step is one
 * row, or with pairs as many as one kernel call may take. Blocks have about PN_BLOCK inputs.
 *     for (pn_pool_walk w = pn_pool_open(&p, m, whole); pn_pool_next(&w);) rows [w.row, w.row + w.rows) of plane w.plane
 */
typedef struct pn_pool_walk {
    const pn_pool *p;
    pn_member *m;
    int64_t plane, row, rows;
    int64_t at, end;       /* of all rows: behind the step, behind my last one */
    int64_t done, cleared; /* rows of the plane's gradient */
} pn_pool_walk;
static inline pn_pool_walk pn_pool_open(const pn_pool *p, pn_member *m, bool whole) {
    pn_pool_walk w = {.p = p, .m = m};
    const int64_t plane = p->h.in * p->w.in * p->lanes, row = whole || !p->h.out ? plane : (plane / p->h.out + 1);
    pn_member_share(m, whole ? p->planes : p->planes * p->h.out, row >= PN_BLOCK ? 1 : PN_BLOCK / (row > 0 ? row : 1), &w.at, &w.end);
    if (whole) w.at *= p->h.out, w.end *= p->h.out;
    return w;
}
static inline bool pn_pool_next(pn_pool_walk *w) {
    const pn_pool *p = w->p;
    if (w->at >= w->end || (w->rows && pn_pool_stopped(w->m, &w->done, w->rows * p->w.in * p->lanes))) return false;
    w->plane = w->at / p->h.out;
    w->row = w->at % p->h.out;
    w->rows = 1;
    if (p->pairs) {
        const int64_t most = pn_pool_pair_rows(p), left = p->h.out - w->row, mine = w->end - w->at;
        w->rows = left < mine ? left : mine;
        if (w->rows > most) w->rows = most;
    }
    w->at += w->rows;
    return true;
}
/* Sets to 0 what the gradient of this step's windows, or of nobody's, is added to: gx is the plane's, `bytes` those of a row. Row by row, as it is used. */
static inline void pn_pool_clear(pn_pool_walk *w, void *gx, size_t bytes) {
    const pn_pool_axis *a = &w->p->h;
    const int64_t end = w->row + w->rows == a->out ? a->in : pn_pool_window(a, w->row + w->rows - 1).hi;
    if (w->row == 0) w->cleared = 0;
    if (end <= w->cleared) return;
    memset((char *)gx + (size_t)w->cleared * bytes, 0, (size_t)(end - w->cleared) * bytes);
    w->cleared = end;
}
#endif
