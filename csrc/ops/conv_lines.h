/* Convolution of few samples as sums over taps, 16 neighbouring pixels of a row innermost: the same micro-kernel as conv_direct.h (kernels/conv.h), whose lanes
 * hold pixels here instead of samples. For batches that would leave most lanes of blocks of samples empty; tensors are plain.
 *
 * Each sample's planes are copied once with the zeros of the padding around them, and for stride s as s x s planes of every s-th row and column, so that the
 * pixels which a tap sees follow one another. Outputs are counted along rows of these planes: a few at the end of each row are computed in vain. Cost beside the
 * products: the copy of x, packing w, moving y. The weight gradient is left to matrix products. The typed part is for conv.c, behind conv_direct.h. */
#ifndef PN_REAL_PASS
#ifndef PN_OPS_CONV_LINES_H
#define PN_OPS_CONV_LINES_H
#include "ops/conv_direct_plan.h"

#define LINES_PIXELS 384 /* outputs of a piece, about */
#define LINES_SLACK 64   /* elements behind the planes that the last vector reads */

/* A pass cut into pieces: the channels as direct_map has them, and planes of the input. */
typedef struct lines_map {
    direct_map d;
    int64_t row, col;       /* where the copied planes begin in the input: negative in the padding */
    int64_t tall, wide;     /* rows and columns of one plane of every step-th row and column */
    int64_t plane, channel; /* its elements, and those of all of a channel's */
    int64_t rows;           /* of the output that a piece has */
} lines_map;

static inline int64_t lines_step(const lines_map *t, int dim) { return t->d.turned ? 1 : dim ? t->d.v->sw : t->d.v->sh; }

static inline lines_map lines_map_of(const pn_conv *v, conv_pass pass, int64_t bytes, int64_t unit) {
    lines_map t = {.d = direct_map_of(v, pass, bytes, unit)};
    int64_t last_row, last_col;
    t.d.by_rows = false;
    direct_reach(&t.d, 0, 0, t.d.p, &t.row, &last_row);
    direct_reach(&t.d, 1, 0, t.d.q, &t.col, &last_col);
    t.tall = pn_blocks_of(last_row - t.row, lines_step(&t, 0));
    t.wide = conv_max(pn_blocks_of(last_col - t.col, lines_step(&t, 1)), pn_blocks_of(t.d.q, direct_phases(&t.d, 1)));
    t.plane = t.tall * t.wide;
    t.channel = t.plane * lines_step(&t, 0) * lines_step(&t, 1);
    const int64_t least = pn_blocks_of(DIRECT_ITEMS, conv_max(1, v->groups * t.d.out.count)); /* pieces that the rows should make */
    t.rows = conv_max(1, conv_min(LINES_PIXELS / conv_max(t.wide, 1), pn_blocks_of(t.d.p, least)));
    return t;
}

/* Where place `at` of the input along one axis is: its plane's number, and its index there. */
static inline int64_t lines_index(int64_t at, int64_t step, int64_t *plane) {
    *plane = at % step;
    return at / step;
}

/* Elements of the copied planes of one sample; of a piece's outputs. */
static inline int64_t lines_copy_room(const lines_map *t) { return t->d.v->groups * t->d.ins * t->channel + LINES_SLACK; }
static inline int64_t lines_out_room(const lines_map *t) { return t->d.out.step * (pn_blocks_of(t->rows * t->wide, PN_CONV_LANES) + 1) * PN_CONV_LANES; }
#endif
#else

/* Row r of the plane for remainder `a` of the columns: to[j] = x[(j step + a) + col], 0 outside [0, w). x NULL: a row outside. */
static void R_(line_copy)(const lines_map *t, real *to, const real *x, int64_t a) {
    const int64_t step = lines_step(t, 1), at = t->col + a, w = t->d.w;
    const int64_t first = x ? conv_min(t->wide, at < 0 ? pn_blocks_of(-at, step) : 0) : t->wide;
    const int64_t last = x && w > at ? conv_max(first, conv_min(t->wide, pn_blocks_of(w - at, step))) : first;
    R_(clear_run)(to, first);
    if (last > first) R_(copy_run)(to + first, x + first * step + at, last - first, step);
    R_(clear_run)(to + last, t->wide - last);
}

/* One channel of one sample, x (h, w), as planes. */
static void R_(lines_copy)(const lines_map *t, real *to, const real *x) {
    const int64_t down = lines_step(t, 0), right = lines_step(t, 1);
    for (int64_t b = 0; b < down; b++) {
        for (int64_t a = 0; a < right; a++) {
            for (int64_t r = 0; r < t->tall; r++, to += t->wide) {
                const int64_t from = t->row + b + r * down;
                R_(line_copy)(t, to, from < 0 || from >= t->d.h ? NULL : x + from * t->d.w, a);
            }
        }
    }
}

/* off: places of the taps of one phase in the copied planes of `channels` channels, seen from the first output of the phase */
static void R_(lines_places)(const lines_map *t, int64_t *off, int64_t channels, const direct_axis *down, const direct_axis *right) {
    const int64_t sh = lines_step(t, 0), sw = lines_step(t, 1);
    for (int64_t k = 0; k < channels; k++) {
        for (int64_t i = 0; i < down->taps; i++) {
            int64_t b, a;
            const int64_t r = lines_index(down->offset + i * down->spacing - t->row, sh, &b);
            for (int64_t j = 0; j < right->taps; j++) {
                const int64_t q = lines_index(right->offset + j * right->spacing - t->col, sw, &a);
                *off++ = k * t->channel + (b * sw + a) * t->plane + r * t->wide + q;
            }
        }
    }
}

/* Columns of a phase's row where they belong in a row of the output: y[first + j every] (= or +=) from[j] */
static void R_(lines_put)(real *y, const real *from, int64_t n, int64_t every, bool add) {
    if (add)
        for (int64_t j = 0; j < n; j++) y[j * every] += from[j];
    else if (every == 1)
        R_(copy_run)(y, from, n, 1);
    else
        for (int64_t j = 0; j < n; j++) y[j * every] = from[j];
}

/* A piece: rows [i0, i1) of one phase for a block of output channels, summed up over all input channels in `out`, then put in place. */
typedef struct R_(lines_piece) {
    const lines_map *t;
    const direct_axis *down, *right;
    int64_t group, out, i0, i1, columns; /* out: which block of channels */
    const real *planes, *packed;         /* of the group; of its slots of this phase */
    int64_t slot, before;                /* from one block of input channels to the next in packed; taps of the phases before */
    int64_t *off;
    real *sums; /* (channels, pixels) */
} R_(lines_piece);

static void R_(lines_sums)(const R_(pn_kernels) *k, pn_member *m, const R_(lines_piece) *a, const R_(pn_conv_io) *io) {
    const lines_map *t = a->t;
    const int64_t taps = a->down->taps * a->right->taps, pixels = pn_blocks_of((a->i1 - a->i0 - 1) * t->wide + a->columns, PN_CONV_LANES);
    const int64_t channel = a->group * t->d.outs + a->out * t->d.out.step;
    R_(pn_conv_tile) s = {
        .m = conv_length(&t->d.out, a->out), .pixels = pixels, .off = a->off, .step = PN_CONV_LANES, .y = a->sums, .act = -1, .params = io->params};
    s.ldy = pixels * PN_CONV_LANES;
    s.ystep = PN_CONV_LANES;
    R_(lines_places)(t, a->off, t->d.in.step, a->down, a->right);
    for (int64_t in = 0; in < t->d.in.count && !pn_member_stopped(m); in++) {
        const int64_t ins = conv_length(&t->d.in, in);
        s.k = ins * taps;
        s.w = a->packed + in * a->slot + k->conv.packed(s.m, ins * a->before);
        s.x = a->planes + in * t->d.in.step * t->channel + a->i0 * t->wide;
        s.bias = io->bias && in == 0 ? io->bias + channel : NULL;
        s.add = in > 0;
        s.act = in + 1 == t->d.in.count ? io->act : -1;
        k->conv.tile(&s);
    }
}

/* to: the output planes (channels, p, q) of the piece's channels */
static void R_(lines_store)(const R_(lines_piece) *a, const R_(pn_conv_io) *io, real *to) {
    const direct_map *d = &a->t->d;
    const int64_t ld = pn_blocks_of((a->i1 - a->i0 - 1) * a->t->wide + a->columns, PN_CONV_LANES) * PN_CONV_LANES;
    for (int64_t o = 0; o < conv_length(&d->out, a->out); o++) {
        for (int64_t i = a->i0; i < a->i1; i++) {
            real *y = to + (o * d->p + a->down->first + i * a->down->every) * d->q + a->right->first;
            R_(lines_put)(y, a->sums + o * ld + (i - a->i0) * a->t->wide, a->columns, a->right->every, io->add);
        }
    }
}

/* All phases of block `out` of a group's channels, output rows [row, row + t->rows) of each phase. */
static void R_(lines_item)(const pn_call *c, pn_member *m, const lines_map *t, int64_t group, int64_t out, int64_t row, const R_(pn_conv_io) *io,
                           const real *packed, const real *planes, real *to) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t size = R_(slot_size)(k, &t->d);
    int64_t *off = m->scratch;
    R_(lines_piece) a = {.t = t, .group = group, .out = out, .slot = size, .off = off, .sums = (real *)(off + direct_taps_room(&t->d))};
    a.planes = planes + group * t->d.ins * t->channel;
    a.packed = packed + (group * t->d.out.count + out) * t->d.in.count * size;
    for (int64_t y = 0; y < direct_phases(&t->d, 0); y++) {
        const direct_axis down = direct_axis_of(&t->d, 0, y);
        int64_t from, to_row;
        direct_range(&down, 0, t->d.p, &from, &to_row);
        for (int64_t x = 0; x < direct_phases(&t->d, 1); x++) {
            const direct_axis right = direct_axis_of(&t->d, 1, x);
            int64_t j;
            direct_range(&right, 0, t->d.q, &j, &a.columns);
            a.down = &down, a.right = &right;
            a.i0 = row, a.i1 = conv_min(to_row, row + t->rows);
            if (a.i0 < a.i1 && a.columns > 0) {
                R_(lines_sums)(k, m, &a, io);
                R_(lines_store)(&a, io, to);
            }
            a.before += down.taps * right.taps;
            if (pn_member_stopped(m)) return;
        }
    }
}

/* The output pass, or the input gradient. scratch: the packed weights, then the planes of one sample. */
static void R_(lines_pass)(const pn_call *c, pn_member *m, const pn_conv *v, conv_pass pass, const R_(pn_conv_io) *io) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const lines_map t = lines_map_of(v, pass, sizeof(real), k->conv.rows);
    const direct_map *d = &t.d;
    const real *from = d->turned ? io->y : io->x;
    real *packed = c->scratch, *planes = packed + v->groups * d->out.count * d->in.count * R_(slot_size)(k, d);
    const int64_t channels = v->groups * d->ins, phase_rows = pn_blocks_of(d->p, d->turned ? conv_min(v->sh, conv_max(1, d->p)) : 1);
    const int64_t pieces = pn_blocks_of(phase_rows, t.rows), items = v->groups * d->out.count * pieces;
    int64_t lo, hi;
    pn_member_barrier(m); /* scratch may be in use by the pass before */
    R_(pack_all)(c, m, d, io->w, packed);
    for (int64_t n = 0; n < v->n; n++) {
        if (n > 0) pn_member_barrier(m); /* the planes of the sample before are done with */
        pn_member_range(m, channels, &lo, &hi);
        for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) R_(lines_copy)(&t, planes + i * t.channel, from + (n * channels + i) * d->h * d->w);
        pn_member_barrier(m);
        pn_member_range(m, items, &lo, &hi);
        for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) {
            const int64_t out = i / pieces % d->out.count, group = i / pieces / d->out.count;
            real *to = io->to + ((n * v->groups + group) * d->outs + out * d->out.step) * d->p * d->q;
            R_(lines_item)(c, m, &t, group, out, i % pieces * t.rows, io, packed, planes, to);
        }
    }
}

/* Bytes for both passes: of scratch that the team shares, and of each member's. */
static void R_(lines_needs)(const pn_kernels *kernels, const pn_conv *v, size_t *shared, size_t *member) {
    const R_(pn_kernels) *k = PN_DOUBLE ? (const void *)&kernels->d : (const void *)&kernels->f;
    int64_t most = 0, own = 0;
    for (conv_pass pass = CONV_OUTPUT; pass <= CONV_INPUT; pass++) {
        const lines_map t = lines_map_of(v, pass, sizeof(real), k->conv.rows);
        most = conv_max(most, v->groups * t.d.out.count * t.d.in.count * R_(slot_size)(k, &t.d) + lines_copy_room(&t));
        own = conv_max(own, direct_taps_room(&t.d) * (int64_t)(sizeof(int64_t) / sizeof(real)) + lines_out_room(&t));
    }
    *shared = (size_t)most * sizeof(real);
    *member = (size_t)own * sizeof(real);
}
#endif
