/* conv_tile, the product behind every convolution on blocks of 16 samples: for `m` channels and `pixels` pixels of 16 lanes
 *     y[r * ldy + p * ystep + lane] = (add ? y : 0) + bias[r] + sum over k of w[r][k] * x[off[k] + p * step + lane],   then the activation.
 * The call, through the table of kernels (kernels/conv.h has every field of pn_conv_tile_f):
 *     k->f.conv.pack(packed, w, m, taps, ldm, at);              packed: k->f.conv.packed(m, taps) floats
 *     k->f.conv.tile(&(pn_conv_tile_f){.m, .pixels, .k = taps, .w = packed, .x, .off, .step, .y, .ldy, .ystep, .bias, .add, .act = -1});
 *
 * A register tile has up to CONV_MR channels and CONV_NV vectors; a pixel is one to sixteen vectors, so vector v is part v % PARTS of pixel v / PARTS.
 * Per tap, NV loads and MR broadcasts feed MR NV multiply-adds. Every number is one chain over k, whatever the tile, so its bits do not depend on which
 * tile computed it. All channels of a few pixels are done before the next pixels: what these read of x stays in the first-level cache.
 *
 * Sizes. 32 registers (512 bits, AArch64): 8 x 3. 256 bits: 6 x 2. SSE2: 4 x 2. Tiles of few channels are latency bound, hence CONV_WIDE: up to
 * CONV_WIDE_MR channels of twice the width. */
#ifndef PN_REAL_PASS
#ifndef PN_KERNELS_CONV_IMPL_H
#define PN_KERNELS_CONV_IMPL_H
#include "kernels/gemm_plan.h"
#include "kernels/gemm_tiles.h"
#include "kernels/kernels.h"

#if PN_VECTOR_BYTES == 64 || (defined(__aarch64__) && PN_VECTOR_BYTES == 16)
#define CONV_MR 8
#define CONV_NV 3
#define CONV_WIDE_MR 4
#define CONV_NARROW(X, nv) X(1, nv) X(2, nv) X(3, nv) X(4, nv)
#define CONV_ROWS(X, nv) CONV_NARROW(X, nv) X(5, nv) X(6, nv) X(7, nv) X(8, nv)
#define CONV_TILES(X) X(ROWS, 1) X(ROWS, 2) X(ROWS, 3) X(NARROW, 4) X(NARROW, 5) X(NARROW, 6)
#else
#define CONV_NV 2
#define CONV_WIDE_MR 2
#define CONV_NARROW(X, nv) X(1, nv) X(2, nv)
#if PN_VECTOR_BYTES == 32
#define CONV_MR 6
#define CONV_ROWS(X, nv) CONV_NARROW(X, nv) X(3, nv) X(4, nv) X(5, nv) X(6, nv)
#else
#define CONV_MR 4
#define CONV_ROWS(X, nv) CONV_NARROW(X, nv) X(3, nv) X(4, nv)
#endif
#define CONV_TILES(X) X(ROWS, 1) X(ROWS, 2) X(NARROW, 3) X(NARROW, 4)
#endif
#define CONV_WIDE (2 * CONV_NV)
#define CONV_PARTS (PN_CONV_LANES / GEMM_W) /* vectors of one pixel */
#endif
#else

/* Vectors [first, first + nv) of mr channels. */
GEMM_INLINE void R_(conv_block)(const int mr, const int nv, const R_(pn_conv_tile) *t, const real *w, real *y, const real *bias, int64_t first) {
    V acc[CONV_MR][CONV_WIDE];
    int64_t at[CONV_WIDE];
    GEMM_UNROLL for (int v = 0; v < nv; v++) {
        at[v] = (first + v) / CONV_PARTS * t->step + (first + v) % CONV_PARTS * GEMM_W;
        if (v > 0) at[v] -= at[0];
    }
    GEMM_UNROLL for (int r = 0; r < mr; r++) { GEMM_UNROLL for (int v = 0; v < nv; v++) acc[r][v] = (V){0}; }
    const real *x = t->x + at[0];
    const int64_t *off = t->off, *const end = off + t->k;
    for (; off < end; off++, w += CONV_MR) {
        const real *from = x + *off;
        V xv[CONV_WIDE];
        xv[0] = V_load(from);
        GEMM_UNROLL for (int v = 1; v < nv; v++) xv[v] = V_load(from + at[v]);
        GEMM_UNROLL for (int r = 0; r < mr; r++) {
            const real s = w[r];
            GEMM_UNROLL for (int v = 0; v < nv; v++) acc[r][v] += s * xv[v];
        }
    }
    GEMM_UNROLL for (int v = 0; v < nv; v++) {
        real *to = y + (first + v) / CONV_PARTS * t->ystep + (first + v) % CONV_PARTS * GEMM_W;
        GEMM_UNROLL for (int r = 0; r < mr; r++, to += t->ldy) {
            if (bias) acc[r][v] += bias[r];
            GEMM_OPAQUE(to);
            V_store(to, t->add ? V_load(to) + acc[r][v] : acc[r][v]);
        }
    }
}

typedef void (*R_(conv_block_fn))(const R_(pn_conv_tile) *t, const real *w, real *y, const real *bias, int64_t first);
#define CONV_BLOCK(mr, nv)                                                                                                                                     \
    GEMM_NOINLINE void R_(conv_block_##mr##_##nv)(const R_(pn_conv_tile) *t, const real *w, real *y, const real *bias, int64_t first) {                        \
        R_(conv_block)(mr, nv, t, w, y, bias, first);                                                                                                          \
    }
#define CONV_TILE(rows, nv) CONV_##rows(CONV_BLOCK, nv)
CONV_TILES(CONV_TILE)
#undef CONV_BLOCK
#undef CONV_TILE
/* Tiles by vectors - 1 and channels - 1. */
#define CONV_BLOCK(mr, nv) R_(conv_block_##mr##_##nv),
#define CONV_TILE(rows, nv) {CONV_##rows(CONV_BLOCK, nv)},
static const R_(conv_block_fn) R_(conv_blocks)[CONV_WIDE][CONV_MR] = {CONV_TILES(CONV_TILE)};
#undef CONV_BLOCK
#undef CONV_TILE

static void R_(conv_tile)(const R_(pn_conv_tile) *t) {
    const int64_t vectors = t->pixels * CONV_PARTS, panels = GEMM_CEIL(t->m, CONV_MR);
    const int64_t tiles = GEMM_CEIL(vectors, t->m <= CONV_WIDE_MR ? CONV_WIDE : CONV_NV);
    const int64_t apart = t->apart ? t->apart : t->k * CONV_MR;
    for (int64_t q = 0, first = 0; q < tiles; q++) {
        const int64_t next = vectors * (q + 1) / tiles;
        const R_(conv_block_fn) *blocks = R_(conv_blocks)[next - first - 1];
        for (int64_t p = 0, r = 0; p < panels; p++) {
            const int64_t end = t->m * (p + 1) / panels;
            blocks[end - r - 1](t, t->w + p * apart, t->y + r * t->ldy, t->bias ? t->bias + r : NULL, first);
            r = end;
        }
        first = next;
    }
    if (t->act < 0) return;
    const bool run = t->ystep == PN_CONV_LANES; /* pixels side by side */
    for (int64_t r = 0; r < t->m; r++) {
        for (int64_t p = 0; p < (run ? 1 : t->pixels); p++) {
            real *y = t->y + r * t->ldy + p * t->ystep;
            R_(act_forward)[t->act](y, y, (run ? t->pixels : 1) * PN_CONV_LANES, t->params);
        }
    }
}

static int64_t R_(conv_packed)(int64_t m, int64_t k) { return GEMM_CEIL(m, CONV_MR) * CONV_MR * k; }

static void R_(conv_pack)(real *to, const real *w, int64_t m, int64_t k, int64_t ldm, const int64_t *at) {
    const int64_t panels = GEMM_CEIL(m, CONV_MR);
    for (int64_t p = 0, r = 0; p < panels; p++) {
        const int64_t end = m * (p + 1) / panels, rows = end - r;
        for (int64_t i = 0; i < k; i++, to += CONV_MR) {
            for (int64_t j = 0; j < rows; j++) to[j] = w[(r + j) * ldm + at[i]];
            for (int64_t j = rows; j < CONV_MR; j++) to[j] = 0;
        }
        r = end;
    }
}

static const R_(pn_conv_fn) R_(conv_table) = {
    .rows = CONV_MR,
    .pixels = CONV_NV > CONV_PARTS ? CONV_NV / CONV_PARTS : 1,
    .packed = R_(conv_packed),
    .pack = R_(conv_pack),
    .tile = R_(conv_tile),
    .dots_work = R_(conv_dots_work),
    .dots = R_(conv_dots),
};
#endif
