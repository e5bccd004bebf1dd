/* How conv_im2col.h cuts a convolution: into blocks that fit the second-level cache, by shape and instruction set alone.
 *
 * A block's columns are pixels of y, its rows are taps of x (c, i, j), so that each pass is one matrix product per block:
 *   output:  y (o, pixels)  = w (o, taps) columns         input:  columns = w^T (taps, o) gy (o, pixels), added up into gx
 *   weight:  gw (o, taps)  += gy (o, pixels) columns^T */
#ifndef PN_OPS_CONV_PLAN_H
#define PN_OPS_CONV_PLAN_H
#include "ops/conv.h"
#include "ops/product.h"

typedef enum conv_pass { CONV_OUTPUT, CONV_INPUT, CONV_WEIGHT } conv_pass;

#define CONV_BYTES (512 * 1024) /* of a block of columns: half of a 1 MiB second-level cache */
#define CONV_ROWS 576           /* taps in a block: about what a matrix product takes at a time, */
#define CONV_ROWS_WEIGHT 288    /* or what leaves room for the block of gw */
#define CONV_COLUMNS 512        /* pixels in a block, most */
#define CONV_JOIN 256           /* images with fewer pixels are put side by side, up to so many */
#define CONV_BLOCKS 8           /* blocks that a pass should have at least, for the team */
#define CONV_FEW 32             /* rows of a product below which it is not cut further */

/* `size` things in `count` pieces of `step`, the last one smaller */
typedef struct conv_cut {
    int64_t size, step, count;
} conv_cut;
static inline conv_cut conv_cut_of(int64_t size, int64_t most, int64_t unit) {
    if (size <= 0) return (conv_cut){.step = 1};
    const int64_t even = pn_blocks_of(size, pn_blocks_of(size, most > 1 ? most : 1)), step = pn_blocks_of(even, unit) * unit;
    return (conv_cut){size, step < size ? step : size, pn_blocks_of(size, step)};
}
static inline int64_t conv_length(const conv_cut *cut, int64_t i) { return i + 1 < cut->count ? cut->step : cut->size - i * cut->step; }

typedef struct conv_plan {
    bool direct;                    /* a 1x1 kernel: x itself is the columns */
    bool joined;                    /* several images in one block */
    conv_cut batch;                 /* images */
    conv_cut pixels;                /* of one image; one piece when joined */
    conv_cut channels;              /* of a group of x */
    conv_cut outs;                  /* channels of a group of y */
    int64_t slices;                 /* CONV_WEIGHT: partial sums over parts of the batch, added in order at the end */
    size_t columns, other, product; /* bytes of member scratch: columns, block of y when joined, matrix product */
} conv_plan;

static inline int64_t conv_pixels(const pn_conv *v) { return v->p * v->q; }
static inline int64_t conv_taps(const pn_conv *v) { return v->kh * v->kw; }

/* Distance of two rows of a block: an odd number of cache lines, so that a column does not fall into one cache set. */
static inline int64_t conv_ld(int64_t columns) { return pn_blocks_of(columns, 16) / 2 * 32 + 16; }

static inline int64_t conv_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t conv_max(int64_t a, int64_t b) { return a > b ? a : b; }

/* The product of one block: `outs` channels of y, `rows` taps, `columns` pixels. */
static inline pn_gemm_shape conv_product(const pn_conv *v, const conv_plan *t, conv_pass pass, int64_t outs, int64_t rows, int64_t columns) {
    const int64_t taps = v->c * conv_taps(v), plane = conv_pixels(v), ld = conv_ld(columns);
    const int64_t ldx = t->direct ? plane : ld, ldy = t->joined ? ld : plane;
    if (pass == CONV_OUTPUT) return (pn_gemm_shape){.m = outs, .n = columns, .k = rows, .lda = taps, .ldb = ldx, .ldc = ldy};
    if (pass == CONV_INPUT) return (pn_gemm_shape){.m = rows, .n = columns, .k = outs, .ta = true, .lda = taps, .ldb = ldy, .ldc = ldx};
    return (pn_gemm_shape){.m = outs, .n = rows, .k = columns, .tb = true, .lda = ldy, .ldb = ldx, .ldc = taps};
}

/* Blocks of pixels and of channels. */
static inline void conv_cut_columns(const pn_conv *v, conv_plan *t, conv_pass pass, size_t bytes) {
    const int64_t plane = conv_pixels(v), taps = conv_taps(v);
    const int64_t images = conv_max(1, conv_min(v->n, CONV_JOIN / conv_max(plane, 1)));
    t->joined = images > 1;
    t->batch = conv_cut_of(v->n, images, 1);
    t->direct = !t->joined && taps == 1 && v->sh == 1 && v->sw == 1 && v->top == 0 && v->left == 0 && v->p == v->h && v->q == v->w;
    int64_t most = t->direct && pass == CONV_OUTPUT ? v->c : (pass == CONV_WEIGHT ? CONV_ROWS_WEIGHT : CONV_ROWS) / taps;
    if (pass == CONV_INPUT) { /* a member owns channels of gx */
        const int64_t pieces = pn_blocks_of(CONV_BLOCKS, conv_max(1, t->batch.count * v->groups));
        most = conv_min(most, conv_max(pn_blocks_of(v->c, pieces), pn_blocks_of(CONV_FEW, taps)));
    }
    t->channels = conv_cut_of(v->c, most, 1);
    const int64_t rows = t->channels.step * taps, room = CONV_BYTES / (int64_t)bytes / rows;
    const int64_t wide = conv_max(rows > 4096 ? 16 : 64, conv_min(room, CONV_COLUMNS));
    t->pixels = conv_cut_of(plane, t->joined ? plane : wide, t->joined ? 1 : 16);
}

/* Blocks of y's channels, and slices of the batch, when there are too few blocks for a team. */
static inline void conv_cut_outs(const pn_conv *v, conv_plan *t, conv_pass pass) {
    const int64_t steps = t->batch.count * t->pixels.count, pieces = pn_blocks_of(CONV_BLOCKS, conv_max(1, steps * v->groups));
    t->outs = conv_cut_of(v->o, pass == CONV_OUTPUT ? conv_max(pn_blocks_of(v->o, pieces), CONV_FEW) : v->o, 1);
    t->slices = pass == CONV_WEIGHT ? conv_max(1, conv_min(steps, CONV_BLOCKS / (v->groups * t->channels.count))) : 1;
}

static inline conv_plan conv_plan_of(const pn_conv *v, conv_pass pass, size_t bytes) {
    conv_plan t = {0};
    conv_cut_columns(v, &t, pass, bytes);
    conv_cut_outs(v, &t, pass);
    const int64_t columns = t.joined ? t.batch.step * conv_pixels(v) : t.pixels.step;
    const int64_t rows = t.channels.step * conv_taps(v);
    t.columns = t.direct ? 0 : (size_t)(rows * conv_ld(columns)) * bytes; /* whole cache lines, as a row is */
    t.other = t.joined ? (size_t)(t.outs.step * conv_ld(columns)) * bytes : 0;
    return t;
}

/* Scratch of the largest product: pieces are whole or the last one, in each of the three dimensions. */
static inline size_t conv_product_scratch(const pn_kernels *k, int dtype, const pn_conv *v, const conv_plan *t, conv_pass pass) {
    const conv_cut *columns = t->joined ? &t->batch : &t->pixels;
    const int64_t each = t->joined ? conv_pixels(v) : 1;
    size_t most = 0;
    for (int edge = 0; edge < 8; edge++) {
        const int64_t outs = conv_length(&t->outs, edge & 1 ? t->outs.count - 1 : 0);
        const int64_t rows = conv_length(&t->channels, edge & 2 ? t->channels.count - 1 : 0) * conv_taps(v);
        const int64_t wide = conv_length(columns, edge & 4 ? columns->count - 1 : 0) * each;
        const pn_gemm_shape s = conv_product(v, t, pass, outs, rows, wide);
        const size_t bytes = pn_product_scratch(k, dtype, &s);
        most = bytes > most ? bytes : most;
    }
    return most;
}
#endif
