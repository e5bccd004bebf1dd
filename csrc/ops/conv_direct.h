/* Convolution on blocks of 16 samples, innermost, as sums over taps of pixels where they lie (kernels/conv.h): nothing is gathered, weights are broadcast.
 *
 * What a piece of the output sees is one window of the input. It is read in place, or copied when it reaches beyond the image (zeros around it), when the
 * channels would share cache sets, or when lanes without a sample have to be cleared. conv_direct_plan.h cuts. Cost beside the products: the copy of each
 * window. The typed part is for conv.c, which includes it once per real type, behind conv_im2col.h. */
#ifndef PN_REAL_PASS
#ifndef PN_OPS_CONV_DIRECT_H
#define PN_OPS_CONV_DIRECT_H
#include "ops/conv_direct_plan.h"

/* A piece: blocks of samples [block, block + blocks), a group, channels [in, in + ins) and [out, out + outs) of it, output rows and columns. */
typedef struct direct_piece {
    int64_t block, blocks, group, in, ins, out, outs;
    int64_t row, rows, col, cols;
} direct_piece;

/* Its place in the cuts of t; the input channels are for the caller to say. */
static inline direct_piece direct_piece_of(const direct_map *t, int64_t batch, int64_t group, int64_t out, int64_t row, int64_t col) {
    direct_piece a = {.block = batch * t->batch.step, .blocks = conv_length(&t->batch, batch), .group = group};
    a.out = out * t->out.step, a.outs = conv_length(&t->out, out);
    a.row = row * t->rows.step, a.rows = conv_length(&t->rows, row);
    a.col = col * t->cols.step, a.cols = conv_length(&t->cols, col);
    return a;
}

/* Do the channels of an image share cache sets? Whole pages apart, their pixels all fall into the same ones. */
static inline bool direct_clashes(int64_t plane_bytes, int64_t channels) { return plane_bytes % 4096 == 0 && channels > 8; }
#endif
#else

/* ---- windows ---- */

/* Rows [row, ..) and columns [col, ..) of some channels: pixel (r, q) of channel k of block b at
 * at[b * block + k * plane + (r - row) * line + (q - col) * 16] */
typedef struct R_(window) {
    const real *at;
    int64_t block, plane, line, row, col;
} R_(window);

/* y = pixels of which the first `lanes` lanes exist; the others become 0 */
static void R_(copy_lanes)(real *y, const real *x, int64_t pixels, int64_t lanes) {
    if (lanes >= PN_LAYOUT_LANES) {
        memcpy(y, x, (size_t)(pixels * PN_LAYOUT_LANES) * sizeof *y);
        return;
    }
    for (int64_t i = 0; i < pixels; i++) {
        for (int64_t l = 0; l < PN_LAYOUT_LANES; l++) y[i * PN_LAYOUT_LANES + l] = l < lanes ? x[i * PN_LAYOUT_LANES + l] : 0;
    }
}

/* One channel's rows [w->row, + rows) and columns [w->col, + cols) of a plane x (h, wide, 16) to y; 0 outside of it. */
static void R_(copy_plane)(real *y, const real *x, const R_(window) *w, int64_t rows, int64_t cols, int64_t h, int64_t wide, int64_t lanes) {
    const int64_t a = conv_min(cols, conv_max(0, -w->col)), b = conv_max(a, conv_min(cols, wide - w->col));
    for (int64_t r = w->row; r < w->row + rows; r++, y += cols * PN_LAYOUT_LANES) {
        if (r < 0 || r >= h) {
            R_(clear_run)(y, cols * PN_LAYOUT_LANES);
            continue;
        }
        R_(clear_run)(y, a * PN_LAYOUT_LANES);
        R_(copy_lanes)(y + a * PN_LAYOUT_LANES, x + (r * wide + w->col + a) * PN_LAYOUT_LANES, b - a, lanes);
        R_(clear_run)(y + b * PN_LAYOUT_LANES, (cols - b) * PN_LAYOUT_LANES);
    }
}

/* Channels [first, first + count) of `all`, rows [row, row + rows), columns [col, col + cols) of planes (h, wide): in place, or copied to room. n: samples
 * whose lanes count; INT64_MAX when what is in the others does not matter. */
static R_(window) R_(window_of)(const direct_piece *a, const real *x, real *room, int64_t first, int64_t count, int64_t all, int64_t row, int64_t rows,
                                int64_t col, int64_t cols, int64_t h, int64_t wide, int64_t n) {
    const int64_t plane = h * wide * PN_LAYOUT_LANES;
    R_(window) w = {.at = x + (a->block * all + first) * plane, .block = all * plane, .plane = plane, .line = wide * PN_LAYOUT_LANES, .row = row, .col = col};
    const bool inside = row >= 0 && col >= 0 && row + rows <= h && col + cols <= wide, whole = (a->block + a->blocks) * PN_LAYOUT_LANES <= n;
    if (inside && whole && !direct_clashes(plane * (int64_t)sizeof(real), count)) {
        w.at += (row * wide + col) * PN_LAYOUT_LANES;
        return w;
    }
    const real *from = w.at;
    const int64_t next = w.block;
    w.at = room;
    w.line = cols * PN_LAYOUT_LANES;
    w.plane = direct_plane(rows, cols);
    w.block = count * w.plane;
    for (int64_t b = 0; b < a->blocks; b++) {
        const int64_t lanes = n - (a->block + b) * PN_LAYOUT_LANES;
        for (int64_t k = 0; k < count; k++) R_(copy_plane)(room + b * w.block + k * w.plane, from + b * next + k * plane, &w, rows, cols, h, wide, lanes);
    }
    return w;
}

/* What the piece sees of its input channels; of the rows, if wanted, only those inside the image. */
static R_(window) R_(piece_window)(const direct_map *t, const direct_piece *a, const real *x, real *room, bool inside, int64_t n) {
    int64_t r0, r1, c0, c1;
    direct_reach(t, 0, a->row, a->row + a->rows, &r0, &r1);
    direct_reach(t, 1, a->col, a->col + a->cols, &c0, &c1);
    if (inside) r0 = conv_min(conv_max(r0, 0), t->h), r1 = conv_max(r0, conv_min(r1, t->h));
    return R_(window_of)(a, x, room, a->group * t->ins + a->in, a->ins, t->v->groups * t->ins, r0, r1 - r0, c0, c1 - c0, t->h, t->w, n);
}

/* at: places of all taps seen from the first, given the distances of channels and of rows and columns of taps; in the order (channel, row, column), or
 * (row, channel, column) */
static void R_(tap_places)(int64_t *at, int64_t channels, int64_t channel, const direct_axis *down, int64_t row, const direct_axis *right, int64_t col,
                           bool by_rows) {
    const int64_t outer = by_rows ? down->taps : channels, inner = by_rows ? channels : down->taps;
    for (int64_t i = 0; i < outer; i++) {
        for (int64_t k = 0; k < inner; k++) {
            for (int64_t j = 0; j < right->taps; j++) *at++ = (by_rows ? k : i) * channel + (by_rows ? i : k) * row + j * col;
        }
    }
}
static void R_(window_places)(int64_t *off, const R_(window) *w, int64_t channels, const direct_axis *down, const direct_axis *right, bool by_rows) {
    R_(tap_places)(off, channels, w->plane, down, down->spacing * w->line, right, right->spacing * PN_LAYOUT_LANES, by_rows);
}

/* ---- output and input gradient ---- */

/* Packed weights: for every group, block of output channels and block of input channels a slot, in it the taps of one phase behind those of another. */
static int64_t R_(slot_size)(const R_(pn_kernels) *k, const direct_map *t) { return k->conv.packed(t->out.step, t->in.step * conv_taps(t->v)); }

static void R_(pack_slot)(const R_(pn_kernels) *k, const direct_map *t, const direct_piece *a, const real *w, int64_t *at, real *to) {
    for (int64_t y = 0; y < direct_phases(t, 0); y++) {
        const direct_axis down = direct_axis_of(t, 0, y);
        for (int64_t x = 0; x < direct_phases(t, 1); x++) {
            const direct_axis right = direct_axis_of(t, 1, x);
            const int64_t first = down.tap * t->v->kw + right.tap, taps = a->ins * down.taps * right.taps;
            R_(tap_places)(at, a->ins, t->w_in, &down, down.next * t->v->kw, &right, right.next, t->by_rows);
            k->conv.pack(to, w + a->group * t->v->o * t->v->c * conv_taps(t->v) + a->out * t->w_out + a->in * t->w_in + first, a->outs, taps, t->w_out, at);
            to += k->conv.packed(a->outs, taps);
        }
    }
}

static void R_(pack_all)(const pn_call *c, pn_member *m, const direct_map *t, const real *w, real *packed) {
    const int64_t size = R_(slot_size)(R_(pn_call_kernels)(c), t);
    int64_t lo, hi;
    pn_member_range(m, t->v->groups * t->out.count * t->in.count, &lo, &hi);
    for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) {
        const int64_t in = i % t->in.count, out = i / t->in.count % t->out.count;
        direct_piece a = {.group = i / t->in.count / t->out.count, .in = in * t->in.step, .ins = conv_length(&t->in, in)};
        a.out = out * t->out.step, a.outs = conv_length(&t->out, out);
        R_(pack_slot)(R_(pn_call_kernels)(c), t, &a, w, m->scratch, packed + i * size);
    }
}

/* Row i of a phase sees the taps [*from, *to) inside the image: the others read zeros and are left out. */
static void R_(taps_inside)(const direct_axis *down, int64_t i, int64_t h, int64_t *from, int64_t *to) {
    const int64_t at = i * down->step + down->offset, far = down->spacing > 0 ? h - at : at + 1, near = down->spacing > 0 ? -at : at - h + 1;
    const int64_t gap = down->spacing > 0 ? down->spacing : -down->spacing;
    *from = *to = 0;
    if (far <= 0 || down->taps == 0) return;
    *to = conv_min(down->taps, pn_blocks_of(far, gap));
    *from = conv_min(*to, near <= 0 ? 0 : pn_blocks_of(near, gap));
}

/* One phase of a piece from one window: to (= or +=) the sums over the window's channels. s: weights, bias, activation and add of the whole piece. */
static void R_(direct_phase)(const R_(pn_kernels) *k, const direct_map *t, const direct_piece *a, const R_(window) *w, const direct_axis *down,
                             const direct_axis *right, R_(pn_conv_tile) s, int64_t *off, real *to) {
    const int64_t each = a->ins * right->taps; /* of one row of taps */
    int64_t i0, i1, j0, j1, from, end;
    direct_range(down, a->row, a->row + a->rows, &i0, &i1);
    direct_range(right, a->col, a->col + a->cols, &j0, &j1);
    s.pixels = j1 - j0;
    if (s.pixels == 0) return;
    R_(window_places)(off, w, a->ins, down, right, t->by_rows);
    s.apart = down->taps * each * k->conv.rows;
    s.step = right->step * PN_LAYOUT_LANES;
    s.ldy = t->p * t->q * PN_LAYOUT_LANES;
    s.ystep = right->every * PN_LAYOUT_LANES;
    const real *packed = s.w, *x = w->at + (j0 * right->step + right->offset - w->col) * PN_LAYOUT_LANES;
    const int64_t next_x = down->step * w->line, next_y = down->every * t->q * PN_LAYOUT_LANES;
    int64_t run = 1; /* rows at a time: all, when they follow each other */
    const bool inside = down->taps == 1 && i0 * down->step + down->offset >= 0 && (i1 - 1) * down->step + down->offset < t->h;
    if (inside && next_x == s.pixels * s.step && next_y == s.pixels * s.ystep) run = conv_max(1, i1 - i0);
    s.pixels *= run;
    for (int64_t i = i0; i < i1; i += run) {
        from = 0, end = down->taps;
        if (t->by_rows) R_(taps_inside)(down, i, t->h, &from, &end);
        s.k = (end - from) * each;
        s.w = packed + from * each * k->conv.rows;
        s.off = off + from * each;
        s.x = s.k ? x + (i * down->step + down->offset - w->row) * w->line : w->at;
        s.y = to + ((down->first + i * down->every) * t->q + right->first + j0 * right->every) * PN_LAYOUT_LANES;
        k->conv.tile(&s);
    }
}

/* All input channels of a piece, window by window. */
static void R_(direct_item)(const pn_call *c, pn_member *m, const direct_map *t, direct_piece *a, const R_(pn_conv_io) *io, const real *packed) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t size = R_(slot_size)(k, t), channel = a->group * t->outs + a->out;
    int64_t *off = m->scratch;
    real *room = (real *)(off + direct_taps_room(t)), *to = io->to + (a->block * t->v->groups * t->outs + channel) * t->p * t->q * PN_LAYOUT_LANES;
    for (int64_t in = 0; in < t->in.count && !pn_member_stopped(m); in++) {
        a->in = in * t->in.step, a->ins = conv_length(&t->in, in);
        const R_(window) w = R_(piece_window)(t, a, t->turned ? io->y : io->x, room, true, INT64_MAX);
        const bool last = in + 1 == t->in.count;
        R_(pn_conv_tile) s = {.m = a->outs, .bias = io->bias && in == 0 ? io->bias + channel : NULL, .add = io->add || in > 0};
        s.act = last ? io->act : -1, s.params = io->params;
        s.w = packed + (a->group * t->out.count + a->out / t->out.step) * t->in.count * size + in * size;
        for (int64_t y = 0; y < direct_phases(t, 0); y++) {
            const direct_axis down = direct_axis_of(t, 0, y);
            for (int64_t x = 0; x < direct_phases(t, 1); x++) {
                const direct_axis right = direct_axis_of(t, 1, x);
                R_(direct_phase)(k, t, a, &w, &down, &right, s, off, to);
                s.w += k->conv.packed(a->outs, a->ins * down.taps * right.taps);
            }
        }
    }
}

/* scratch: the packed weights */
static void R_(direct_run)(const pn_call *c, pn_member *m, const direct_map *t, const R_(pn_conv_io) *io, real *scratch) {
    const int64_t pieces = t->rows.count * t->cols.count;
    int64_t lo, hi;
    R_(pack_all)(c, m, t, io->w, scratch);
    pn_member_barrier(m);
    pn_member_range(m, t->batch.count * t->v->groups * t->out.count * pieces, &lo, &hi);
    for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) {
        const int64_t out = i / pieces % t->out.count, group = i / pieces / t->out.count % t->v->groups;
        direct_piece a = direct_piece_of(t, i / pieces / t->out.count / t->v->groups, group, out, i % pieces / t->cols.count, i % t->cols.count);
        R_(direct_item)(c, m, t, &a, io, scratch);
    }
}

/* ---- weight gradient ---- */

/* partial += the gradient of the piece's weights over its pixels */
static void R_(direct_sums)(const R_(pn_kernels) *k, const direct_map *t, const direct_piece *a, const R_(pn_conv_io) *io, void *scratch, real *partial) {
    const pn_conv *v = t->v;
    const direct_axis down = direct_axis_of(t, 0, 0), right = direct_axis_of(t, 1, 0);
    int64_t *off = scratch;
    real *room = (real *)(off + direct_taps_room(t)), *other = room + direct_window_room(t);
    const R_(window) x = R_(piece_window)(t, a, io->x, room, false, v->n);
    const R_(window) g =
        R_(window_of)(a, io->y, other, a->group * t->outs + a->out, a->outs, v->groups * t->outs, a->row, a->rows, a->col, a->cols, t->p, t->q, v->n);
    R_(window_places)(off, &x, a->ins, &down, &right, false);
    R_(pn_conv_dots) s = {.m = a->outs, .k = a->ins * conv_taps(v), .images = a->blocks, .rows = a->rows, .pixels = a->cols, .off = off};
    s.g = g.at, s.ldg = g.plane, s.g_image = g.block, s.g_row = g.line;
    s.x = x.at, s.x_image = x.block, s.x_row = down.step * x.line, s.step = right.step * PN_LAYOUT_LANES;
    if (s.x_row == s.pixels * s.step && s.g_row == s.pixels * PN_LAYOUT_LANES) s.pixels *= s.rows, s.rows = 1;
    s.sums = partial + (a->group * t->outs + a->out) * t->w_out + a->in * t->w_in;
    s.ld = t->w_out;
    s.work = other + direct_other_room(t);
    k->conv.dots(&s);
}

/* A pair of channel blocks over one slice of the pieces of the batch. */
static void R_(direct_slice)(const pn_call *c, pn_member *m, const direct_map *t, int64_t tile, int64_t slice, const R_(pn_conv_io) *io, real *partial) {
    const int64_t in = tile % t->in.count, out = tile / t->in.count % t->out.count, group = tile / t->in.count / t->out.count;
    const int64_t pieces = t->rows.count * t->cols.count, steps = t->batch.count * pieces;
    real *sums = partial + (group * t->outs + out * t->out.step) * t->w_out + in * t->in.step * t->w_in;
    for (int64_t i = 0; i < conv_length(&t->out, out); i++) R_(clear_run)(sums + i * t->w_out, conv_length(&t->in, in) * t->w_in);
    for (int64_t i = steps * slice / t->slices; i < steps * (slice + 1) / t->slices && !pn_member_stopped(m); i++) {
        direct_piece a = direct_piece_of(t, i / pieces, group, out, i % pieces / t->cols.count, i % t->cols.count);
        a.in = in * t->in.step, a.ins = conv_length(&t->in, in);
        R_(direct_sums)(R_(pn_call_kernels)(c), t, &a, io, m->scratch, partial);
    }
}

/* scratch: (slices) partial gradients */
static void R_(direct_weight)(const pn_call *c, pn_member *m, const direct_map *t, const R_(pn_conv_io) *io, real *scratch) {
    const int64_t tiles = t->v->groups * t->in.count * t->out.count, size = t->v->groups * t->outs * t->w_out;
    int64_t lo, hi;
    pn_member_range(m, tiles * t->slices, &lo, &hi);
    for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) R_(direct_slice)(c, m, t, i % tiles, i / tiles, io, scratch + i / tiles * size);
    pn_member_barrier(m);
    R_(weight_total)(c, m, io, scratch, t->slices, size);
}

/* ---- all passes, on tensors in blocks ---- */

static void R_(direct_pass)(const pn_call *c, pn_member *m, const pn_conv *v, conv_pass pass, const R_(pn_conv_io) *io, real *scratch) {
    const direct_map t = direct_map_of(v, pass, sizeof(real), R_(pn_call_kernels)(c)->conv.rows);
    if (pass == CONV_WEIGHT)
        R_(direct_weight)(c, m, &t, io, scratch);
    else
        R_(direct_run)(c, m, &t, io, scratch);
}

/* Bytes for all passes: of scratch that the team shares, and of each member's. */
static void R_(direct_needs)(const pn_kernels *kernels, const pn_conv *v, size_t *shared, size_t *member) {
    const R_(pn_kernels) *k = PN_DOUBLE ? (const void *)&kernels->d : (const void *)&kernels->f;
    int64_t most = 0, own = 0;
    for (conv_pass pass = CONV_OUTPUT; pass <= CONV_WEIGHT; pass++) {
        const direct_map t = direct_map_of(v, pass, sizeof(real), k->conv.rows);
        const int64_t taps = direct_taps_room(&t), more = pass == CONV_WEIGHT ? direct_other_room(&t) + k->conv.dots_work(taps) : 0;
        const int64_t weights = v->groups * (pass == CONV_WEIGHT ? t.slices * v->o * v->c * conv_taps(v) : t.out.count * t.in.count * R_(slot_size)(k, &t));
        most = conv_max(most, weights);
        own = conv_max(own, taps * (int64_t)(sizeof(int64_t) / sizeof(real)) + direct_window_room(&t) + more);
    }
    *shared = (size_t)most * sizeof(real);
    *member = (size_t)own * sizeof(real);
}
#endif
