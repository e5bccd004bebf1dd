/* Geometry of pooling: which elements of x (planes, H, W) make one element of y (planes, OH, OW). Shared by max_pool.c and avg_pool.c. */
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
    int64_t planes; /* batch times channels */
    pn_pool_axis h, w;
    bool pairs; /* plain 2 x 2 windows with stride 2 */
} pn_pool;

/* Which attributes an op has; all begin with kernel_size, stride, padding, or are output_size alone. */
typedef enum pn_pool_kind { PN_POOL_MAX, PN_POOL_AVERAGE, PN_POOL_ADAPTIVE } pn_pool_kind;

#define PN_POOL_FIELDS {"kernel_size", PN_INTS, NULL, NULL}, {"stride", PN_INTS, NULL, "none"}, {"padding", PN_INTS, NULL, "(0,)"}
pn_status pn_pool_infer(pn_infer *q, pn_pool_kind kind);
/* x as in infer, y what infer made of it. */
pn_pool pn_pool_of(const pn_shape *x, const pn_shape *y, const pn_value *attrs, pn_pool_kind kind);

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

/* Output rows of all planes, in blocks of about PN_BLOCK inputs. */
static inline int64_t pn_pool_row_block(const pn_pool *p) {
    const int64_t work = (p->h.adaptive ? p->h.in / p->h.out + 1 : p->h.kernel) * p->w.in;
    return work >= PN_BLOCK ? 1 : PN_BLOCK / (work > 0 ? work : 1);
}
/* Planes, in blocks of about PN_BLOCK inputs: windows may overlap inside a plane, never across. */
static inline int64_t pn_pool_plane_block(const pn_pool *p) {
    const int64_t work = p->h.in * p->w.in;
    return work >= PN_BLOCK ? 1 : PN_BLOCK / (work > 0 ? work : 1);
}
/* Rows of 2 x 2 windows in one call of a kernel: a piece. */
static inline int64_t pn_pool_pair_rows(const pn_pool *p) { return 2 * p->w.in >= PN_PIECE ? 1 : PN_PIECE / (2 * p->w.in); }
/* Looks at the poll every PN_PIECE elements: *done counts them. True once the run should stop. */
static inline bool pn_pool_stopped(pn_member *m, int64_t *done, int64_t n) {
    *done += n;
    if (*done < PN_PIECE) return false;
    *done = 0;
    return pn_member_stopped(m);
}
#endif
