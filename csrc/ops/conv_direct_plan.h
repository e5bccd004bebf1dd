/* How conv_direct.h sees and cuts a convolution: one map from planes to planes for the output and for the input gradient, in pieces that fit the second-level
 * cache, by shape and instruction set alone.
 *
 * Along each axis output place first + i every sees the input places i step + offset + t spacing, one for each tap t. The output pass has one such phase. The
 * input gradient has one per remainder of the stride, which only every stride-th tap reaches, backwards: again a convolution, with stride 1. */
#ifndef PN_OPS_CONV_DIRECT_PLAN_H
#define PN_OPS_CONV_DIRECT_PLAN_H
#include "ops/conv_plan.h"

#define DIRECT_BYTES (640 * 1024)   /* of a window of the input and the outputs that see it, together with */
#define DIRECT_WEIGHTS (256 * 1024) /* the packed weights: within a 1 MiB second-level cache */
#define DIRECT_OTHER (1536 * 1024)  /* of the outputs in a weight gradient, which pass by a few channels at a time */
#define DIRECT_TAPS 640             /* channels x taps summed up at a time: the packed weights of a tile stay in the first-level cache */
#define DIRECT_TAPS_WEIGHT 192      /* the same for weight gradients, whose sums lie there, */
#define DIRECT_OUTS_WEIGHT 128      /* and channels of y */
#define DIRECT_PIXELS 256           /* of several small images together, for weight gradients */
#define DIRECT_ITEMS 16             /* pieces that a pass should have at least, for the team */
#define DIRECT_REACH 4096           /* places of a kernel with its dilation, and between outputs, most */

/* One phase along one axis. */
typedef struct direct_axis {
    int64_t taps, tap, next;       /* how many; the first one's place in the kernel, and from one to the next */
    int64_t offset, spacing, step; /* see above */
    int64_t first, every;
} direct_axis;

typedef struct direct_map {
    const pn_conv *v;
    bool turned;         /* the input gradient: from gy to gx */
    bool by_rows;        /* taps in the order (row, channel, column), so that rows of taps outside the image can be left out; else (channel, row, column) */
    int64_t ins, outs;   /* channels of one group */
    int64_t h, w, p, q;  /* planes of the input and of the output */
    int64_t w_in, w_out; /* from one channel to the next in the weights */
    conv_cut batch;      /* blocks of 16 samples */
    conv_cut in, out;    /* channels */
    conv_cut rows, cols; /* of the output */
    int64_t slices;      /* weight gradient: partial sums over parts of the batch, added in order at the end */
    int64_t tall, wide;  /* rows and columns of the largest window of the input */
} direct_map;

/* Elements from one channel of a copied window to the next: an odd number of pixels, so that channels do not share cache sets. */
static inline int64_t direct_plane(int64_t rows, int64_t cols) { return (rows * cols | 1) * PN_LAYOUT_LANES; }

/* Phase `phase` of the rows (dim 0) or columns (1). */
static inline direct_axis direct_axis_of(const direct_map *t, int dim, int64_t phase) {
    const pn_conv *v = t->v;
    const int64_t k = dim ? v->kw : v->kh, s = dim ? v->sw : v->sh, d = dim ? v->dw : v->dh, pad = dim ? v->left : v->top;
    if (!t->turned) return (direct_axis){.taps = k, .next = 1, .offset = -pad, .spacing = d, .step = s, .every = 1};
    direct_axis a = {.next = 1, .step = 1, .first = phase, .every = s};
    while (a.tap < k && (phase + pad - a.tap * d) % s) a.tap++;
    while (a.next * d % s) a.next++;
    if (a.tap >= k) return a; /* no tap reaches this phase: 0 */
    a.taps = (k - 1 - a.tap) / a.next + 1;
    a.offset = (phase + pad - a.tap * d) / s; /* exact */
    a.spacing = -(a.next * d / s);
    return a;
}
static inline int64_t direct_phases(const direct_map *t, int dim) { return !t->turned ? 1 : dim ? conv_min(t->v->sw, t->q) : conv_min(t->v->sh, t->p); }

/* Which i of a phase lie in the output places [lo, hi): [*from, *to) */
static inline void direct_range(const direct_axis *a, int64_t lo, int64_t hi, int64_t *from, int64_t *to) {
    *from = lo > a->first ? pn_blocks_of(lo - a->first, a->every) : 0;
    *to = conv_max(*from, hi > a->first ? pn_blocks_of(hi - a->first, a->every) : 0);
}

/* The input places [*first, *last) that the output places [lo, hi) see, over all phases. */
static inline void direct_reach(const direct_map *t, int dim, int64_t lo, int64_t hi, int64_t *first, int64_t *last) {
    bool any = false;
    *first = *last = 0;
    for (int64_t phase = 0, phases = direct_phases(t, dim); phase < phases; phase++) {
        const direct_axis a = direct_axis_of(t, dim, phase);
        int64_t from, to;
        direct_range(&a, lo, hi, &from, &to);
        if (from == to || a.taps == 0) continue;
        const int64_t span = (a.taps - 1) * a.spacing, least = from * a.step + a.offset + conv_min(0, span);
        const int64_t most = (to - 1) * a.step + a.offset + conv_max(0, span) + 1;
        *first = any ? conv_min(*first, least) : least;
        *last = any ? conv_max(*last, most) : most;
        any = true;
    }
}

/* Places of the input that `count` neighbouring outputs see, at most. */
static inline int64_t direct_seen(const direct_map *t, int dim, int64_t count) {
    const pn_conv *v = t->v;
    const int64_t k = dim ? v->kw : v->kh, s = dim ? v->sw : v->sh, d = dim ? v->dw : v->dh;
    return t->turned ? (count - 1 + (k - 1) * d) / s + 2 : (count - 1) * s + (k - 1) * d + 1;
}

/* Do so many rows and columns of the output fit, with the window that they see? A weight gradient's outputs need not be at hand together. */
static inline bool direct_is_room(const direct_map *t, int64_t rows, int64_t cols, int64_t bytes, bool weight, int64_t most) {
    const int64_t lanes = PN_LAYOUT_LANES * bytes, out = t->out.step * rows * cols * lanes;
    const int64_t in = t->in.step * direct_seen(t, 0, rows) * direct_seen(t, 1, cols) * lanes;
    return weight ? in <= most && out <= DIRECT_OTHER : in + out <= most;
}

/* Rows of the output so that their window and they themselves fit; columns are cut when one row is too long. */
static inline void direct_cut_pixels(direct_map *t, int64_t bytes, bool weight, int64_t pieces, int64_t least) {
    int64_t cols = conv_max(t->q, 1), rows = conv_max(t->p, 1);
    while (cols > 16 && !direct_is_room(t, 1, cols, bytes, weight, 2 * DIRECT_BYTES)) cols = (cols + 1) / 2;
    while (rows > 1 && !direct_is_room(t, rows, cols, bytes, weight, DIRECT_BYTES)) rows--;
    t->cols = conv_cut_of(t->q, cols, 1);
    pieces = pn_blocks_of(pieces, conv_max(1, t->cols.count));
    t->rows = conv_cut_of(t->p, conv_min(rows, conv_max(least, pn_blocks_of(conv_max(t->p, 1), pieces))), 1);
    t->tall = direct_seen(t, 0, t->rows.step);
    t->wide = direct_seen(t, 1, t->cols.step);
}

/* unit: channels of one panel of packed weights */
static inline direct_map direct_map_of(const pn_conv *v, conv_pass pass, int64_t bytes, int64_t unit) {
    const int64_t taps = conv_taps(v);
    direct_map t = {.v = v, .turned = pass == CONV_INPUT, .ins = v->c, .outs = v->o, .h = v->h, .w = v->w, .p = v->p, .q = v->q, .slices = 1};
    t.w_in = taps, t.w_out = v->c * taps;
    if (t.turned) {
        t.ins = v->o, t.outs = v->c;
        t.h = v->p, t.w = v->q, t.p = v->h, t.q = v->w;
        t.w_in = v->c * taps, t.w_out = taps;
    }
    const int64_t blocks = pn_blocks_of(v->n, PN_LAYOUT_LANES);
    t.batch = conv_cut_of(blocks, 1, 1);
    if (pass == CONV_WEIGHT) {
        t.in = conv_cut_of(t.ins, DIRECT_TAPS_WEIGHT / taps, 1);
        t.out = conv_cut_of(t.outs, DIRECT_OUTS_WEIGHT, 1);
        direct_cut_pixels(&t, bytes, true, 1, 1);
        if (t.rows.count * t.cols.count == 1) {
            const int64_t pixels = conv_max(1, t.p * t.q), lanes = PN_LAYOUT_LANES * bytes;
            const int64_t room = conv_min(DIRECT_BYTES / (t.in.step * t.tall * t.wide * lanes), DIRECT_OTHER / (t.out.step * pixels * lanes));
            t.batch = conv_cut_of(blocks, conv_min(room, DIRECT_PIXELS / pixels), 1);
        }
        const int64_t steps = t.batch.count * t.rows.count * t.cols.count, tiles = v->groups * t.in.count * t.out.count;
        t.slices = conv_max(1, conv_min(steps, DIRECT_ITEMS / tiles));
        return t;
    }
    int64_t first, last;
    direct_reach(&t, 0, 0, t.p, &first, &last);
    t.by_rows = first < 0 || last > t.h;
    t.in = conv_cut_of(t.ins, DIRECT_TAPS / taps, 1);
    t.out = conv_cut_of(t.outs, DIRECT_WEIGHTS / (t.in.step * taps * bytes), unit);
    direct_cut_pixels(&t, bytes, false, pn_blocks_of(DIRECT_ITEMS, conv_max(1, blocks * v->groups * t.out.count)), pn_blocks_of(64, t.out.step));
    return t;
}

/* Windows are copied whole: taps must not lie too far apart, nor outputs. */
static inline bool direct_fits(const pn_conv *v) {
    return (v->kh - 1) * v->dh < DIRECT_REACH && (v->kw - 1) * v->dw < DIRECT_REACH && v->sh <= DIRECT_REACH && v->sw <= DIRECT_REACH;
}

/* Elements of member scratch: the window, gy beside it for weight gradients; places of the taps are int64_t. */
static inline int64_t direct_window_room(const direct_map *t) { return t->batch.step * t->in.step * direct_plane(t->tall, t->wide); }
static inline int64_t direct_other_room(const direct_map *t) { return t->batch.step * t->out.step * direct_plane(t->rows.step, t->cols.step); }
static inline int64_t direct_taps_room(const direct_map *t) { return pn_blocks_of(t->in.step * conv_taps(t->v), 8) * 8; } /* whole cache lines */
#endif
