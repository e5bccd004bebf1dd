/* Convolution of small square kernels with stride and dilation 1 by Winograd's minimal filtering (kernels/winograd_impl.h), on blocks of 16 samples, innermost.
 *
 * Output and input gradient are one map: tiles of 6 x 6 inputs (4 x 4 for winograd2) are transformed, every point of them is a product of matrices (channels
 * out, channels in) x (channels in, tiles), and its results are transformed to m x m outputs, m = 7 - taps of a side. The input gradient takes gy for x, the
 * weights turned and with channels exchanged, and taps - 1 - padding for padding. The weight gradient adds up products of transformed tiles of x and of gy and transforms their sums.
 *
 * Cuts, by shape alone. The tiles of all blocks are counted through and shared out in groups, small enough that what they become stays in the second-level
 * cache, while transformed weights stream through it. A weight gradient is cut in pairs of channel blocks and in slices of the tiles; partial sums are added
 * in the order of the slices.
 *
 * The typed part is for conv.c, which includes it once per real type. */
#ifndef PN_REAL_PASS
#ifndef PN_OPS_CONV_WINOGRAD_H
#define PN_OPS_CONV_WINOGRAD_H
#include "ops/conv.h"
#include "ops/conv_plan.h"

#define WINO_CACHE (1024 * 1024) /* bytes of transformed inputs of one group of tiles: a second-level cache */
#define WINO_LEAST 4             /* tiles in a group, least and most: whole tiles of conv_tile, and weights are read once per group */
#define WINO_MOST 6
#define WINO_OUTS 64      /* output channels whose products are kept at a time */
#define WINO_TRANSFORM 12 /* multiply-adds of a point that transforms cost, for each channel */
#define WINO_PAIRS 96     /* channels of either side in a weight gradient's block, most */

/* Winograd's algorithm is for taps of neighbouring pixels: 2 x 2 to 5 x 5 with 6 points, 3 x 3 with 4. */
static inline bool wino_fits(const pn_conv *v, int points) {
    const bool near = v->kh == v->kw && v->sh == 1 && v->sw == 1 && v->dh == 1 && v->dw == 1;
    return near && (points == 4 ? v->kh == 3 : v->kh >= 2 && v->kh <= 5);
}

/* Its cost in multiply-adds for one sample of one group: a transform costs about as much as so many channels more. */
static inline double wino_work(const pn_conv *v, int points) {
    const int64_t m = points + 1 - v->kh, tiles = pn_blocks_of(v->p, m) * pn_blocks_of(v->q, m);
    return (double)(tiles * points * points) * (double)(v->c * v->o + WINO_TRANSFORM * (v->c + v->o));
}

/* One pass: to (n, groups outs, p, q) from (n, groups ins, h, w); pixel (p, q) sees rows p - top .. p - top + taps - 1. */
typedef struct wino_map {
    int64_t n, groups, ins, outs;
    int64_t h, w, p, q;
    int64_t top, left;
    int points, taps;      /* of a side of a tile, of the kernel */
    int64_t m;             /* outputs of a side of a tile, points + 1 - taps */
    int64_t across, tiles; /* tiles in a row; in a block of 16 samples */
    conv_cut all;          /* tiles of all blocks, in groups */
    conv_cut in, out;      /* channels of a group; `in` is cut for weight gradients only */
    int64_t slices;        /* weight gradient: parts of the groups of tiles */
} wino_map;

static inline wino_map wino_map_of(const pn_conv *v, conv_pass pass, size_t bytes) {
    wino_map t = {.n = v->n, .groups = v->groups, .ins = v->c, .outs = v->o, .h = v->h, .w = v->w, .p = v->p, .q = v->q, .top = v->top, .left = v->left};
    if (pass == CONV_INPUT) { /* from gy to gx */
        t.ins = v->o, t.outs = v->c;
        t.h = v->p, t.w = v->q, t.p = v->h, t.q = v->w;
        t.top = v->kh - 1 - v->top, t.left = v->kw - 1 - v->left;
    }
    t.points = v->algorithm == PN_CONV_WINOGRAD4 ? 6 : 4;
    t.taps = (int)v->kh;
    t.m = t.points + 1 - t.taps;
    t.across = pn_blocks_of(t.q, t.m);
    t.tiles = t.across * pn_blocks_of(t.p, t.m);
    const int64_t all = t.tiles * pn_blocks_of(t.n, PN_LAYOUT_LANES), tile = t.points * t.points * t.ins * PN_LAYOUT_LANES * (int64_t)bytes;
    if (pass == CONV_WEIGHT) {
        t.in = conv_cut_of(t.ins, WINO_PAIRS, 1);
        t.out = conv_cut_of(t.outs, WINO_PAIRS, PN_LAYOUT_LANES);
        t.all = conv_cut_of(all, WINO_MOST, 1);
        t.slices = conv_max(1, conv_min(t.all.count, CONV_BLOCKS / (t.groups * t.in.count * t.out.count)));
    } else {
        t.in = conv_cut_of(t.ins, t.ins, 1);
        t.out = conv_cut_of(t.outs, WINO_OUTS, 1);
        t.all = conv_cut_of(all, conv_max(WINO_LEAST, conv_min(WINO_CACHE / tile, WINO_MOST)), 1);
    }
    return t;
}

/* Distance of points: not a multiple of the cache's sets */
static inline int64_t wino_apart(int64_t n) { return n + PN_LAYOUT_LANES; }

static inline int64_t wino_squares(const wino_map *t) { return t->points * t->points; }
static inline int64_t wino_whole(int64_t channels) { return pn_blocks_of(channels, PN_LAYOUT_LANES) * PN_LAYOUT_LANES; }

/* Elements of member scratch: transformed tiles of the input; those of the products or of gy; sums of a weight gradient. */
static inline int64_t wino_ins_room(const wino_map *t) { return wino_squares(t) * wino_apart(t->in.step * t->all.step * PN_LAYOUT_LANES); }
static inline int64_t wino_outs_room(const wino_map *t) { return wino_squares(t) * wino_apart(wino_whole(t->out.step) * t->all.step * PN_LAYOUT_LANES); }
static inline int64_t wino_sums_room(const wino_map *t) { return wino_squares(t) * t->in.step * wino_whole(t->out.step); }

/* Bytes of member scratch for all three passes. */
static inline size_t wino_member_scratch(const pn_conv *v, size_t bytes) {
    size_t most = 0;
    for (conv_pass pass = CONV_OUTPUT; pass <= CONV_WEIGHT; pass++) {
        const wino_map t = wino_map_of(v, pass, bytes);
        const int64_t more = pass == CONV_WEIGHT ? wino_sums_room(&t) + PN_WINO_ROOM : t.ins * (int64_t)(sizeof(int64_t) / sizeof(float));
        const size_t size = (size_t)(wino_ins_room(&t) + wino_outs_room(&t) + more) * bytes;
        most = size > most ? size : most;
    }
    return most;
}

/* What exists of a run of `size` that begins at `at` in a row of `limit`: [first, last) */
static inline void wino_clip(int64_t at, int64_t size, int64_t limit, int8_t *first, int8_t *last) {
    *first = (int8_t)conv_min(size, conv_max(0, -at));
    *last = (int8_t)conv_max(*first, conv_min(size, limit - at));
}

/* Tiles [first, first + count) of all blocks, `size` pixels wide and m apart, in planes (rows, cols) of `channels` channels; the first one begins at (-top, -left). */
static inline void wino_places(pn_wino_place *p, const wino_map *t, int64_t first, int64_t count, int64_t size, int64_t top, int64_t left, int64_t channels,
                               int64_t rows, int64_t cols) {
    for (int64_t i = 0; i < count; i++, p++) {
        const int64_t block = (first + i) / t->tiles, tile = (first + i) % t->tiles;
        const int64_t row = tile / t->across * t->m - top, col = tile % t->across * t->m - left;
        wino_clip(row, size, rows, &p->top, &p->bottom);
        wino_clip(col, size, cols, &p->left, &p->right);
        p->at = ((block * channels * rows + row) * cols + col) * PN_LAYOUT_LANES;
        p->lanes = (int8_t)conv_min(PN_LAYOUT_LANES, t->n - block * PN_LAYOUT_LANES);
    }
}
#endif
#else

/* Elements of the transformed weights of one group of channels. */
static int64_t R_(wino_weights_room)(const R_(pn_kernels) *k, const wino_map *t) {
    return t->out.count * wino_squares(t) * wino_apart(k->conv.packed(t->out.step, t->ins));
}

/* Bytes of shared scratch for all three passes. */
static size_t R_(wino_scratch)(const pn_kernels *kernels, const pn_conv *v) {
    const R_(pn_kernels) *k = PN_DOUBLE ? (const void *)&kernels->d : (const void *)&kernels->f;
    const wino_map out = wino_map_of(v, CONV_OUTPUT, sizeof(real)), in = wino_map_of(v, CONV_INPUT, sizeof(real));
    const wino_map weight = wino_map_of(v, CONV_WEIGHT, sizeof(real));
    const int64_t u = conv_max(R_(wino_weights_room)(k, &out), R_(wino_weights_room)(k, &in));
    return (size_t)(v->groups * conv_max(u, weight.slices * v->o * v->c * conv_taps(v))) * sizeof(real);
}

/* All weights, shared out by panels. */
static void R_(wino_all_weights)(const pn_call *c, pn_member *m, const wino_map *t, const real *w, bool turned, real *u) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t each = pn_blocks_of(t->out.step, k->conv.rows), taps = t->taps * t->taps;
    int64_t lo, hi;
    pn_member_range(m, t->groups * t->out.count * each, &lo, &hi);
    for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) {
        const int64_t group = i / each / t->out.count, block = i / each % t->out.count, outs = conv_length(&t->out, block);
        R_(pn_wino_weights) a = {.points = t->points, .taps = t->taps, .m = outs, .k = t->ins, .turned = turned};
        a.ldm = turned ? taps : t->ins * taps;
        a.ldk = turned ? t->outs * taps : taps;
        a.ldu = wino_apart(k->conv.packed(t->out.step, t->ins));
        a.w = w + group * t->outs * t->ins * taps + block * t->out.step * a.ldm;
        a.u = u + group * R_(wino_weights_room)(k, t) + block * wino_squares(t) * a.ldu;
        if (i % each < pn_blocks_of(outs, k->conv.rows)) k->wino.weights(&a, i % each, i % each + 1);
    }
}

/* One group of tiles of one group of channels: `first` of all tiles, `count` of them. */
static void R_(wino_group)(const pn_call *c, pn_member *m, const wino_map *t, const R_(pn_conv_io) *io, const real *from, const real *u, int64_t group,
                           int64_t first, int64_t count) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t lanes = PN_LAYOUT_LANES, squares = wino_squares(t);
    real *v = m->scratch, *s = v + wino_ins_room(t);
    int64_t *off = (int64_t *)(s + wino_outs_room(t));
    pn_wino_place places[WINO_MOST];
    wino_places(places, t, first, count, t->points, t->top, t->left, t->groups * t->ins, t->h, t->w);
    R_(pn_wino_tiles) a = {
        .points = t->points, .taps = t->taps, .channels = t->ins, .tiles = count, .places = places, .plane = t->h * t->w * lanes, .row = t->w * lanes};
    a.x = from + group * t->ins * a.plane;
    a.v = v;
    a.ldv = wino_apart(t->ins * count * lanes);
    k->wino.input(&a);
    wino_places(places, t, first, count, t->m, 0, 0, t->groups * t->outs, t->p, t->q);
    R_(pn_wino_tiles) b = {.points = t->points, .taps = t->taps, .tiles = count, .places = places, .plane = t->p * t->q * lanes, .row = t->q * lanes};
    b.v = s, b.add = io->add, b.act = io->act, b.params = io->params;
    for (int64_t i = 0; i < t->ins; i++) off[i] = i * count * lanes;
    for (int64_t block = 0; block < t->out.count; block++) {
        const int64_t outs = conv_length(&t->out, block), channel = group * t->outs + block * t->out.step;
        R_(pn_conv_tile) g = {.m = outs, .pixels = count, .k = t->ins, .off = off, .step = lanes, .ldy = count * lanes, .ystep = lanes, .act = -1};
        b.ldv = wino_apart(outs * count * lanes);
        for (int64_t i = 0; i < squares; i++) {
            if (i % t->points == 0 && pn_member_stopped(m)) return;
            g.w = u + (block * squares + i) * wino_apart(k->conv.packed(t->out.step, t->ins));
            g.x = v + i * a.ldv;
            g.y = s + i * b.ldv;
            k->conv.tile(&g);
        }
        b.channels = outs;
        b.y = io->to + channel * b.plane;
        b.bias = io->bias ? io->bias + channel : NULL;
        k->wino.output(&b);
    }
}

/* Output or input gradient. u: shared scratch. */
static void R_(wino_run)(const pn_call *c, pn_member *m, const wino_map *t, const R_(pn_conv_io) *io, bool turned, real *u) {
    const int64_t room = R_(wino_weights_room)(R_(pn_call_kernels)(c), t);
    int64_t lo, hi;
    R_(wino_all_weights)(c, m, t, io->w, turned, u);
    pn_member_barrier(m);
    pn_member_range(m, t->groups * t->all.count, &lo, &hi);
    for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) {
        const int64_t group = i / t->all.count, part = i % t->all.count;
        R_(wino_group)(c, m, t, io, turned ? io->y : io->x, u + group * room, group, part * t->all.step, conv_length(&t->all, part));
    }
}

/* ---- weight gradient */

/* One pair of channel blocks over one slice of the tiles; partial (groups outs, ins, 9). */
static void R_(wino_pair)(const pn_call *c, pn_member *m, const wino_map *t, const R_(pn_conv_io) *io, int64_t group, int64_t in, int64_t out, int64_t slice,
                          real *partial) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t lanes = PN_LAYOUT_LANES, ins = conv_length(&t->in, in), outs = conv_length(&t->out, out), cols = wino_whole(outs);
    real *v = m->scratch, *g = v + wino_ins_room(t), *s = g + wino_outs_room(t), *room = s + wino_sums_room(t);
    const int64_t begin = t->all.count * slice / t->slices, end = t->all.count * (slice + 1) / t->slices;
    pn_wino_place px[WINO_MOST], py[WINO_MOST];
    R_(pn_wino_tiles) x = {.points = t->points, .taps = t->taps, .channels = ins, .places = px, .plane = t->h * t->w * lanes, .row = t->w * lanes, .v = v};
    R_(pn_wino_tiles) y = {.points = t->points, .taps = t->taps, .channels = outs, .places = py, .plane = t->p * t->q * lanes, .row = t->q * lanes, .v = g};
    x.x = io->x + (group * t->ins + in * t->in.step) * x.plane;
    y.x = io->y + (group * t->outs + out * t->out.step) * y.plane;
    if (begin == end) memset(s, 0, (size_t)(wino_squares(t) * ins * cols) * sizeof(real)); /* no samples */
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i * t->all.step, count = conv_length(&t->all, i);
        wino_places(px, t, first, count, t->points, t->top, t->left, t->groups * t->ins, t->h, t->w);
        wino_places(py, t, first, count, t->m, 0, 0, t->groups * t->outs, t->p, t->q);
        x.tiles = y.tiles = count;
        x.ldv = wino_apart(ins * count * lanes);
        y.ldv = wino_apart(cols * count * lanes);
        k->wino.input(&x);
        k->wino.gradient(&y, room);
        for (int64_t point = 0; point < wino_squares(t); point++) {
            if (point % t->points == 0 && pn_member_stopped(m)) return;
            k->wino.outer(s + point * ins * cols, v + point * x.ldv, g + point * y.ldv, ins, count * lanes, cols, i > begin);
        }
    }
    partial += ((group * t->outs + out * t->out.step) * t->ins + in * t->in.step) * t->taps * t->taps;
    k->wino.finish(partial, t->ins * t->taps * t->taps, s, t->points, t->taps, ins, cols, outs);
}

static void R_(wino_weight_run)(const pn_call *c, pn_member *m, const wino_map *t, const R_(pn_conv_io) *io, real *partial) {
    const int64_t pairs = t->groups * t->in.count * t->out.count, size = t->groups * t->outs * t->ins * t->taps * t->taps;
    int64_t lo, hi;
    pn_member_range(m, pairs * t->slices, &lo, &hi);
    for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) {
        const int64_t slice = i / pairs, pair = i % pairs, group = pair / (t->in.count * t->out.count);
        R_(wino_pair)(c, m, t, io, group, pair % t->in.count, pair / t->in.count % t->out.count, slice, partial + slice * size);
    }
    pn_member_barrier(m);
    R_(weight_total)(c, m, io, partial, t->slices, size);
}

/* One pass on tensors in blocks; scratch: what is shared, from here on. */
static void R_(wino_pass)(const pn_call *c, pn_member *m, const pn_conv *v, conv_pass pass, const R_(pn_conv_io) *io, real *scratch) {
    const wino_map t = wino_map_of(v, pass, sizeof(real));
    if (pass == CONV_WEIGHT)
        R_(wino_weight_run)(c, m, &t, io, scratch);
    else
        R_(wino_run)(c, m, &t, io, pass == CONV_INPUT, scratch);
}
#endif
