/* Convolution as matrix products: blocks of x are laid out as columns, one pixel of y each ("im2col"), and back ("col2im"). conv_plan.h cuts.
 *
 * Cost beside the product: one copy per tap and pixel. Source: Chellapilla, Puri, Simard 2006. The typed part is for conv.c, which includes it once per
 * real type; a block is worked on by one member, in an order that follows from the shape. */
#ifndef PN_REAL_PASS
#ifndef PN_OPS_CONV_IM2COL_H
#define PN_OPS_CONV_IM2COL_H
#include "ops/conv_plan.h"

/* One tap (i, j) seen from the pixels [from, to) of y, which lie row behind row: where its values are in a plane of x. */
typedef struct conv_tap {
    int64_t down, right; /* x row = p sh + down, x column = q sw + right */
    int64_t first, last; /* columns q of y with a value inside x: [first, last) */
    bool shifted;        /* x and y have equal rows: all values are one run of x, `shift` behind the pixel, but for those at the sides */
    int64_t shift;
} conv_tap;
static inline conv_tap conv_tap_of(const pn_conv *v, int64_t i, int64_t j) {
    conv_tap t = {.down = i * v->dh - v->top, .right = j * v->dw - v->left};
    const int64_t room = v->w - t.right; /* q sw must stay below */
    t.last = room <= 0 ? 0 : conv_min(v->q, (room - 1) / v->sw + 1);
    t.first = conv_min(t.last, t.right >= 0 ? 0 : (-t.right + v->sw - 1) / v->sw);
    t.shifted = v->sh == 1 && v->sw == 1 && v->q == v->w;
    t.shift = t.down * v->w + t.right;
    return t;
}

/* The pixels [from, to) of y whose run of x exists. */
static inline void conv_run(const pn_conv *v, const conv_tap *t, int64_t *from, int64_t *to) {
    const int64_t first = conv_max(conv_max(0, -t->down) * v->q, -t->shift), last = conv_min((v->h - t->down) * v->q, v->h * v->w - t->shift);
    *from = conv_min(conv_max(*from, first), *to);
    *to = conv_max(conv_min(*to, last), *from);
}

/* A row of y inside [from, to): its columns [qa, qb). */
typedef struct conv_line {
    int64_t p, qa, qb;
} conv_line;
static inline conv_line conv_line_of(const pn_conv *v, int64_t p, int64_t from, int64_t to) {
    return (conv_line){p, conv_max(from - p * v->q, 0), conv_min(to - p * v->q, v->q)};
}
#endif
#else

/* y[i] = x[i step]. Rows of y are short: a call of memcpy would cost more than what it copies. */
static inline void R_(copy_run)(real *restrict y, const real *restrict x, int64_t n, int64_t step) {
    const int64_t lanes = 16 / (int64_t)sizeof(real);
    switch (step) { /* known steps become shuffles */
    case 1:
        if (n < lanes) {
            for (int64_t i = 0; i < n; i++) y[i] = x[i];
            return;
        }
        for (int64_t i = 0; i < n - lanes; i += lanes) memcpy(y + i, x + i, 16);
        memcpy(y + n - lanes, x + n - lanes, 16); /* once more what overlaps */
        return;
    case 2:
        for (int64_t i = 0; i < n; i++) y[i] = x[i * 2];
        return;
    case 4:
        for (int64_t i = 0; i < n; i++) y[i] = x[i * 4];
        return;
    default:
        for (int64_t i = 0; i < n; i++) y[i] = x[i * step];
    }
}
/* y[i step] += x[i] */
static void R_(add_run)(real *restrict y, const real *restrict x, int64_t n, int64_t step) {
    if (step == 1)
        for (int64_t i = 0; i < n; i++) y[i] += x[i];
    else
        for (int64_t i = 0; i < n; i++) y[i * step] += x[i];
}
static void R_(clear_run)(real *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = 0;
}

/* What a shifted run has at the sides belongs to the neighbouring row: 0. Down the columns, since there are few of them. */
static void R_(clear_sides)(const pn_conv *v, const conv_tap *t, real *row, int64_t from, int64_t to) {
    for (int64_t q = t->first ? 0 : t->last; q < v->q; q = q + 1 == t->first ? conv_max(t->first, t->last) : q + 1) {
        int64_t at = q - from;
        if (at < 0) at += pn_blocks_of(-at, v->q) * v->q;
        for (; at < to - from; at += v->q) row[at] = 0;
    }
}

/* row[pixel - from] = what the tap sees of a plane of x (h, w), 0 outside */
static void R_(gather_row)(const pn_conv *v, const conv_tap *t, real *row, const real *x, int64_t from, int64_t to) {
    if (t->shifted) {
        int64_t a = from, b = to;
        conv_run(v, t, &a, &b);
        R_(clear_run)(row, a - from);
        if (b > a) memcpy(row + a - from, x + a + t->shift, (size_t)(b - a) * sizeof(real));
        R_(clear_run)(row + b - from, to - b);
        R_(clear_sides)(v, t, row, from, to);
        return;
    }
    for (int64_t p = from / v->q; p * v->q < to; p++) {
        const conv_line l = conv_line_of(v, p, from, to);
        const int64_t at = p * v->sh + t->down, a = conv_min(conv_max(t->first, l.qa), l.qb), b = conv_max(conv_min(t->last, l.qb), a);
        if (at < 0 || at >= v->h) {
            R_(clear_run)(row, l.qb - l.qa);
        } else {
            R_(clear_run)(row, a - l.qa);
            if (b > a) R_(copy_run)(row + a - l.qa, x + at * v->w + a * v->sw + t->right, b - a, v->sw);
            R_(clear_run)(row + b - l.qa, l.qb - b);
        }
        row += l.qb - l.qa;
    }
}

/* The other way: a plane of gx += the row, which is used up. */
static void R_(scatter_row)(const pn_call *c, const pn_conv *v, const conv_tap *t, real *x, real *row, int64_t from, int64_t to) {
    if (t->shifted) {
        int64_t a = from, b = to;
        R_(clear_sides)(v, t, row, from, to);
        conv_run(v, t, &a, &b);
        if (b > a) R_(pn_call_kernels)(c)->accumulate(x + a + t->shift, row + a - from, b - a);
        return;
    }
    for (int64_t p = from / v->q; p * v->q < to; p++) {
        const conv_line l = conv_line_of(v, p, from, to);
        const int64_t at = p * v->sh + t->down, a = conv_min(conv_max(t->first, l.qa), l.qb), b = conv_max(conv_min(t->last, l.qb), a);
        if (at >= 0 && at < v->h && b > a) R_(add_run)(x + at * v->w + a * v->sw + t->right, row + a - l.qa, b - a, v->sw);
        row += l.qb - l.qa;
    }
}

/* ---- blocks ---- */

/* A block: images [image, image + images), pixels [from, to) of each, channels [channel, channel + channels) of a group of x. */
typedef struct R_(block) {
    const pn_conv *v;
    const conv_plan *t;
    int64_t image, images, group, from, to, channel, channels;
    real *columns, *other; /* in member scratch: (taps, conv_ld) and (outs, conv_ld) */
} R_(block);

static R_(block) R_(block_of)(const pn_member *m, const pn_conv *v, const conv_plan *t) {
    char *scratch = m->scratch; /* the matrix product's comes first: it must be aligned */
    return (R_(block)){.v = v, .t = t, .columns = (real *)(scratch + t->product), .other = (real *)(scratch + t->product + t->columns)};
}
static void R_(block_columns)(R_(block) *b, int64_t batch, int64_t pixels) {
    b->image = batch * b->t->batch.step;
    b->images = conv_length(&b->t->batch, batch);
    b->from = pixels * b->t->pixels.step;
    b->to = b->from + conv_length(&b->t->pixels, pixels);
}
static void R_(block_channels)(R_(block) *b, int64_t channels) {
    b->channel = channels * b->t->channels.step;
    b->channels = conv_length(&b->t->channels, channels);
}
static int64_t R_(block_width)(const R_(block) *b) { return b->images * (b->to - b->from); }

/* The block's first plane of x, and its first plane of y from channel o of the group on. */
static int64_t R_(block_x)(const R_(block) *b) {
    const pn_conv *v = b->v;
    return ((b->image * v->groups + b->group) * v->c + b->channel) * v->h * v->w;
}
static int64_t R_(block_y)(const R_(block) *b, int64_t o) {
    const pn_conv *v = b->v;
    return ((b->image * v->groups + b->group) * v->o + o) * conv_pixels(v);
}
/* The block's first weight from channel o of the group on. */
static int64_t R_(block_w)(const R_(block) *b, int64_t o) {
    const pn_conv *v = b->v;
    return ((b->group * v->o + o) * v->c + b->channel) * conv_taps(v);
}

/* Fills the columns from x, all of it, or (x NULL) adds them up into gx. A kernel as large as a picture has more taps than pixels: the poll is looked at. */
static void R_(move_columns)(const pn_call *c, pn_member *m, const R_(block) *b, const real *x, real *gx) {
    const pn_conv *v = b->v;
    const int64_t ld = conv_ld(R_(block_width)(b)), each = b->to - b->from, next = v->groups * v->c * v->h * v->w;
    real *row = b->columns;
    int64_t done = 0;
    for (int64_t k = 0; k < b->channels; k++) {
        for (int64_t i = 0; i < v->kh; i++) {
            for (int64_t j = 0; j < v->kw && !pn_member_paused(m, &done, 8 + b->images * each); j++, row += ld) {
                const conv_tap t = conv_tap_of(v, i, j);
                int64_t at = R_(block_x)(b) + k * v->h * v->w;
                for (int64_t n = 0; n < b->images; n++, at += next) {
                    if (x)
                        R_(gather_row)(v, &t, row + n * each, x + at, b->from, b->to);
                    else
                        R_(scatter_row)(c, v, &t, gx + at, row + n * each, b->from, b->to);
                }
            }
        }
    }
}

/* Copies channels [o, o + outs) of y between memory and the joined block, there (in) or back (with add or not). */
static void R_(move_joined)(const pn_call *c, const R_(block) *b, const real *in, real *out, int64_t o, int64_t outs, bool add) {
    const pn_conv *v = b->v;
    const int64_t ld = conv_ld(R_(block_width)(b)), each = conv_pixels(v), next = v->groups * v->o * each;
    for (int64_t k = 0; k < outs; k++) {
        for (int64_t n = 0; n < b->images; n++) {
            const int64_t at = R_(block_y)(b, o + k) + n * next;
            real *row = b->other + k * ld + n * each;
            if (in)
                memcpy(row, in + at, (size_t)each * sizeof(real));
            else
                R_(pn_put)(c, out + at, row, each, add);
        }
    }
}

/* All blocks of one product, by this member. */
static void R_(block_product)(const pn_call *c, pn_member *m, R_(pn_gemm_call) *g) {
    g->poll = m->poll;
    g->asks = m->index == 0;
    R_(pn_call_kernels)(c)->gemm.run(g, 0, R_(pn_call_kernels)(c)->gemm.blocks(&g->s), m->scratch);
}

/* ---- the passes ---- */

/* Channels [o, o + outs) of one block of y; `filled`: the columns are there already. */
static void R_(output_block)(const pn_call *c, pn_member *m, R_(block) *b, const R_(pn_conv_io) *io, int64_t o, int64_t outs, bool filled) {
    const pn_conv *v = b->v;
    const conv_plan *t = b->t;
    const int64_t width = R_(block_width)(b), ld = t->joined ? conv_ld(width) : conv_pixels(v);
    const bool add = io->add && !t->joined;
    real *y = t->joined ? b->other : io->to + R_(block_y)(b, o) + b->from;
    for (int64_t k = 0; io->bias && k < outs; k++) R_(pn_call_kernels)(c)->fill(y + k * ld, io->bias[b->group * v->o + o + k], width);
    for (int64_t i = 0; i < t->channels.count; i++) {
        R_(block_channels)(b, i);
        if (!t->direct && !filled) R_(move_columns)(c, m, b, io->x, NULL);
        R_(pn_gemm_call) g = {.s = conv_product(v, t, CONV_OUTPUT, outs, b->channels * conv_taps(v), width), .c = y, .act = -1};
        g.a = io->w + R_(block_w)(b, o);
        g.b = t->direct ? io->x + R_(block_x)(b) + b->from : b->columns;
        g.add = add || io->bias || i > 0;
        if (i + 1 == t->channels.count) g.act = io->act, g.act_params = io->params;
        R_(block_product)(c, m, &g);
    }
    if (t->joined) R_(move_joined)(c, b, NULL, io->to, o, outs, io->add);
}

static void R_(im2col_output)(const pn_call *c, pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    conv_plan t = conv_plan_of(v, CONV_OUTPUT, sizeof(real));
    t.product = conv_room(c->kernels, c->in[0].shape.dtype, v);
    R_(block) b = R_(block_of)(m, v, &t);
    int64_t lo, hi, held = -1; /* which block the columns hold */
    pn_member_range(m, t.batch.count * v->groups * t.pixels.count * t.outs.count, &lo, &hi);
    for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) {
        const int64_t block = i / t.outs.count, cut = i % t.outs.count;
        R_(block_columns)(&b, block / t.pixels.count / v->groups, block % t.pixels.count);
        b.group = block / t.pixels.count % v->groups;
        R_(output_block)(c, m, &b, io, cut * t.outs.step, conv_length(&t.outs, cut), held == block && t.channels.count == 1);
        held = block;
    }
}

/* What gx starts from in the planes of a block: its bias, or 0. */
static void R_(input_start)(const pn_call *c, const R_(block) *b, const R_(pn_conv_io) *io) {
    const pn_conv *v = b->v;
    const int64_t plane = v->h * v->w, next = v->groups * v->c * plane;
    for (int64_t n = 0; n < b->images && !io->add; n++) {
        for (int64_t k = 0; k < b->channels; k++) {
            const real value = io->bias ? io->bias[b->group * v->c + b->channel + k] : 0;
            R_(pn_call_kernels)(c)->fill(io->to + R_(block_x)(b) + n * next + k * plane, value, plane);
        }
    }
}

static void R_(input_block)(const pn_call *c, pn_member *m, const R_(block) *b, const R_(pn_conv_io) *io) {
    const conv_plan *t = b->t;
    const pn_gemm_shape s = conv_product(b->v, t, CONV_INPUT, b->v->o, b->channels * conv_taps(b->v), R_(block_width)(b));
    R_(pn_gemm_call) g = {.s = s, .a = io->w + R_(block_w)(b, 0), .c = b->columns, .act = -1};
    g.b = t->joined ? b->other : io->y + R_(block_y)(b, 0) + b->from;
    if (t->joined) R_(move_joined)(c, b, io->y, NULL, 0, b->v->o, false);
    if (t->direct) {
        g.c = io->to + R_(block_x)(b) + b->from;
        g.add = true;
    }
    R_(block_product)(c, m, &g);
    if (!t->direct) R_(move_columns)(c, m, b, NULL, io->to);
}

/* A member owns planes of gx: pixels of y whose taps overlap follow one another. */
static void R_(im2col_input)(const pn_call *c, pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    conv_plan t = conv_plan_of(v, CONV_INPUT, sizeof(real));
    t.product = conv_room(c->kernels, c->in[0].shape.dtype, v);
    R_(block) b = R_(block_of)(m, v, &t);
    int64_t lo, hi;
    pn_member_range(m, t.batch.count * v->groups * t.channels.count, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        b.group = i / t.channels.count % v->groups;
        R_(block_channels)(&b, i % t.channels.count);
        R_(block_columns)(&b, i / t.channels.count / v->groups, 0);
        R_(input_start)(c, &b, io);
        for (int64_t k = 0; k < t.pixels.count && !pn_member_stopped(m); k++) {
            R_(block_columns)(&b, i / t.channels.count / v->groups, k);
            R_(input_block)(c, m, &b, io);
        }
    }
}

/* gw (o, taps of the block's channels) (= or +=) gy columns^T for one block of pixels */
static void R_(weight_block)(const pn_call *c, pn_member *m, const R_(block) *b, const R_(pn_conv_io) *io, real *to, bool add) {
    const conv_plan *t = b->t;
    const pn_gemm_shape s = conv_product(b->v, t, CONV_WEIGHT, b->v->o, b->channels * conv_taps(b->v), R_(block_width)(b));
    R_(pn_gemm_call) g = {.s = s, .c = to + R_(block_w)(b, 0), .add = add, .act = -1};
    if (!t->direct) R_(move_columns)(c, m, b, io->x, NULL);
    if (t->joined) R_(move_joined)(c, b, io->y, NULL, 0, b->v->o, false);
    g.a = t->joined ? b->other : io->y + R_(block_y)(b, 0) + b->from;
    g.b = t->direct ? io->x + R_(block_x)(b) + b->from : b->columns;
    R_(block_product)(c, m, &g);
}

/* gw (= or +=) the partial sums of all slices, in their order */
static void R_(weight_total)(const pn_call *c, pn_member *m, const R_(pn_conv_io) *io, real *partial, int64_t slices, int64_t size) {
    for (pn_span s = pn_span_open(m, size); pn_span_next(&s, m);) {
        const int64_t n = s.hi - s.lo;
        for (int64_t k = 1; k < slices; k++) R_(pn_call_kernels)(c)->accumulate(partial + s.lo, partial + k * size + s.lo, n);
        R_(pn_put)(c, io->to + s.lo, partial + s.lo, n, io->add);
    }
}

/* A member owns channels of gw, for all blocks of pixels or for a slice of them. */
static void R_(im2col_weight)(const pn_call *c, pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    conv_plan t = conv_plan_of(v, CONV_WEIGHT, sizeof(real));
    t.product = conv_room(c->kernels, c->in[0].shape.dtype, v);
    R_(block) b = R_(block_of)(m, v, &t);
    const int64_t tiles = v->groups * t.channels.count, steps = t.batch.count * t.pixels.count, size = v->groups * v->o * v->c * conv_taps(v);
    real *partial = c->scratch;
    int64_t lo, hi;
    if (steps == 0) { /* no images: no gradient */
        for (pn_span s = pn_span_open(m, io->add ? 0 : size); pn_span_next(&s, m);) R_(clear_run)(io->to + s.lo, s.hi - s.lo);
        return;
    }
    pn_member_range(m, tiles * t.slices, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        const int64_t slice = i / tiles, first = steps * slice / t.slices, last = steps * (slice + 1) / t.slices;
        b.group = i % tiles / t.channels.count;
        R_(block_channels)(&b, i % t.channels.count);
        for (int64_t k = first; k < last && !pn_member_stopped(m); k++) {
            R_(block_columns)(&b, k / t.pixels.count, k % t.pixels.count);
            R_(weight_block)(c, m, &b, io, t.slices > 1 ? partial + slice * size : io->to, k > first || (t.slices == 1 && io->add));
        }
    }
    if (t.slices == 1) return;
    pn_member_barrier(m);
    R_(weight_total)(c, m, io, partial, t.slices, size);
}
#endif
