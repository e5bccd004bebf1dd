/* conv_dots, the weight gradient on blocks of 16 samples: for `m` channels and `k` taps
 *     sums[r * ld + t] += sum over images, rows, pixels and lanes of g[image, row][r * ldg + p * 16 + lane] * x[image, row][off[t] + p * step + lane]
 *
 * A register tile is DOTS_MR channels x DOTS_NR taps, a vector of sums each. Per vector of pixels MR + NR loads feed MR NR multiply-adds. A tile walks a
 * piece of the image that is small enough for the first-level cache to keep g, while all taps come by; between pieces its sums lie in `work`. At the end
 * lanes l and l + d are added for d = W/2, .., 2, 1; without vectors the lanes are those of 16 bytes, as in gemm_dot.h.
 * All lanes count: who has less than 16 samples clears the others, on both sides. */
#ifndef PN_REAL_PASS
#ifndef PN_KERNELS_CONV_DOTS_IMPL_H
#define PN_KERNELS_CONV_DOTS_IMPL_H
#include "kernels/gemm_impl.h"
#include "kernels/kernels.h"

#if PN_VECTOR_BYTES == 64 || (defined(__aarch64__) && PN_VECTOR_BYTES == 16)
#define DOTS_MR 4
#define DOTS_NR 6
#define DOTS_TAPS(X, mr) X(mr, 1) X(mr, 2) X(mr, 3) X(mr, 4) X(mr, 5) X(mr, 6)
#define DOTS_ROWS(X) X(1) X(2) X(3) X(4)
#else
#if PN_VECTOR_BYTES == 32
#define DOTS_MR 3
#define DOTS_ROWS(X) X(1) X(2) X(3)
#else
#define DOTS_MR 2
#define DOTS_ROWS(X) X(1) X(2)
#endif
#define DOTS_NR 4
#define DOTS_TAPS(X, mr) X(mr, 1) X(mr, 2) X(mr, 3) X(mr, 4)
#endif
/* Loads a vector once: folded into each of its multiply-adds, it would be loaded for every channel. No instruction. */
#if defined(__x86_64__)
#define DOTS_KEEP(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define DOTS_KEEP(v) __asm__("" : "+w"(v))
#else
#define DOTS_KEEP(v)
#endif
#define DOTS_PIECE 64 /* pixels of a piece, about: 4 channels of g are then 16 KiB of floats */
#endif
#else

/* Part of one image: `rows` rows of `runs` runs of `run` vectors, which lie `next` elements apart in x and side by side in g. What is skipped beyond that:
 * behind a run in x, behind a row in both. */
typedef struct R_(dots_piece) {
    const real *g, *x;
    int64_t rows, runs, run, next, skip, x_skip, g_skip;
} R_(dots_piece);

#if GEMM_W > 1
#define DOTS_LANES GEMM_W
/* work[mr * nr vectors] += the piece's sums. One loop over all vectors: nested ones would keep some of the sums in memory. */
GEMM_INLINE void R_(dots_tile)(const int mr, const int nr, const R_(pn_conv_dots) *t, const R_(dots_piece) *piece, int64_t row, const int64_t *off,
                               real *work) {
    const real *g = piece->g + row * t->ldg, *x = piece->x + off[0];
    const int64_t ldg = t->ldg, next = piece->next;
    int64_t at[DOTS_NR], run = piece->run, runs = piece->runs, rows = piece->rows;
    V acc[DOTS_MR][DOTS_NR];
    GEMM_UNROLL for (int j = 1; j < nr; j++) at[j] = off[j] - off[0];
    GEMM_UNROLL for (int i = 0; i < mr; i++) { GEMM_UNROLL for (int j = 0; j < nr; j++) acc[i][j] = V_load(work + (i * nr + j) * GEMM_W); }
    for (;;) {
        V gv[DOTS_MR];
        GEMM_UNROLL for (int i = 0; i < mr; i++) gv[i] = V_load(g + i * ldg);
        GEMM_UNROLL for (int j = 0; j < nr; j++) {
            V xv = V_load(j ? x + at[j] : x);
            DOTS_KEEP(xv);
            GEMM_UNROLL for (int i = 0; i < mr; i++) acc[i][j] += gv[i] * xv;
        }
        g += GEMM_W;
        x += next;
        if (--run) continue;
        run = piece->run;
        x += piece->skip;
        if (--runs) continue;
        runs = piece->runs;
        x += piece->x_skip;
        g += piece->g_skip;
        if (!--rows) break;
    }
    GEMM_UNROLL for (int i = 0; i < mr; i++) { GEMM_UNROLL for (int j = 0; j < nr; j++) V_store(work + (i * nr + j) * GEMM_W, acc[i][j]); }
}
/* sums[n] = what n <= W vectors add up to */
static void R_(dots_totals)(real *sums, const real *work, int64_t n) {
    V part[GEMM_W];
    GEMM_UNROLL for (int e = 0; e < GEMM_W; e++) part[e] = e < n ? V_load(work + e * GEMM_W) : (V){0};
    V_store(sums, R_(gemm_fold)(part, GEMM_W));
}
#else
#define DOTS_LANES ((int)(16 / sizeof(real)))
GEMM_INLINE void R_(dots_tile)(const int mr, const int nr, const R_(pn_conv_dots) *t, const R_(dots_piece) *piece, int64_t row, const int64_t *off,
                               real *work) {
    for (int e = 0; e < mr * nr; e++, work += DOTS_LANES) {
        const real *g = piece->g + (row + e / nr) * t->ldg, *x = piece->x + off[e % nr];
        for (int64_t r = 0; r < piece->rows; r++, x += piece->x_skip, g += piece->g_skip) {
            for (int64_t q = 0; q < piece->runs; q++, x += piece->skip) {
                for (int64_t i = 0; i < piece->run; i++, x += piece->next, g++) work[i % DOTS_LANES] += *g * *x;
            }
        }
    }
}
static void R_(dots_totals)(real *sums, const real *work, int64_t n) {
    for (int64_t e = 0; e < n; e++, work += DOTS_LANES) {
        real lane[DOTS_LANES];
        memcpy(lane, work, sizeof lane);
        for (int d = DOTS_LANES / 2; d; d /= 2) {
            for (int l = 0; l < d; l++) lane[l] += lane[l + d];
        }
        sums[e] = lane[0];
    }
}
#endif

typedef void (*R_(dots_fn))(const R_(pn_conv_dots) *t, const R_(dots_piece) *piece, int64_t row, const int64_t *off, real *work);
#define DOTS_TILE(mr, nr)                                                                                                                                      \
    GEMM_NOINLINE void R_(dots_##mr##_##nr)(const R_(pn_conv_dots) *t, const R_(dots_piece) *piece, int64_t row, const int64_t *off, real *work) {             \
        R_(dots_tile)(mr, nr, t, piece, row, off, work);                                                                                                       \
    }
#define DOTS_ROW(mr) DOTS_TAPS(DOTS_TILE, mr)
DOTS_ROWS(DOTS_ROW)
#undef DOTS_TILE
#undef DOTS_ROW
/* Tiles by channels - 1 and taps - 1. */
#define DOTS_TILE(mr, nr) R_(dots_##mr##_##nr),
#define DOTS_ROW(mr) {DOTS_TAPS(DOTS_TILE, mr)},
static const R_(dots_fn) R_(dots_tiles)[DOTS_MR][DOTS_NR] = {DOTS_ROWS(DOTS_ROW)};
#undef DOTS_TILE
#undef DOTS_ROW

/* All taps for channels [row, row + rows) over one piece. */
static void R_(dots_piece_taps)(const R_(pn_conv_dots) *t, const R_(dots_piece) *piece, int64_t row, int64_t rows) {
    const int64_t across = GEMM_CEIL(t->k, DOTS_NR);
    real *work = t->work;
    for (int64_t j = 0, tap = 0; j < across; j++) {
        const int64_t end = t->k * (j + 1) / across;
        R_(dots_tiles)[rows - 1][end - tap - 1](t, piece, row, t->off + tap, work);
        work += rows * (end - tap) * DOTS_LANES;
        tap = end;
    }
}

/* `rows` rows of `pixels` pixels */
static R_(dots_piece) R_(dots_piece_of)(const R_(pn_conv_dots) *t, const real *g, const real *x, int64_t rows, int64_t pixels) {
    const int64_t vectors = PN_CONV_LANES / GEMM_W;
    R_(dots_piece) piece = {.g = g, .x = x, .rows = rows, .runs = 1, .run = pixels * vectors, .next = GEMM_W};
    if (vectors == 1) {
        piece.next = t->step;
    } else if (t->step != PN_CONV_LANES) { /* a run is one pixel */
        piece.runs = pixels;
        piece.run = vectors;
        piece.skip = t->step - PN_CONV_LANES;
    }
    piece.x_skip = t->x_row - pixels * t->step;
    piece.g_skip = t->g_row - pixels * PN_CONV_LANES;
    return piece;
}

/* The same over all images, piece by piece: some rows, or a part of one. */
static void R_(dots_images)(const R_(pn_conv_dots) *t, int64_t row, int64_t rows) {
    const int64_t cuts = GEMM_CEIL(t->pixels, 2 * DOTS_PIECE), parts = GEMM_CEIL(t->rows, DOTS_PIECE / GEMM_CEIL(t->pixels, cuts) + 1);
    for (int64_t i = 0; i < t->images * parts; i++) {
        const int64_t image = i / parts, line = t->rows * (i % parts) / parts, lines = t->rows * (i % parts + 1) / parts - line;
        for (int64_t cut = 0; cut < cuts; cut++) {
            const int64_t from = t->pixels * cut / cuts, pixels = t->pixels * (cut + 1) / cuts - from;
            const real *g = t->g + image * t->g_image + line * t->g_row + from * PN_CONV_LANES;
            const real *x = t->x + image * t->x_image + line * t->x_row + from * t->step;
            const R_(dots_piece) piece = R_(dots_piece_of)(t, g, x, lines, pixels);
            R_(dots_piece_taps)(t, &piece, row, rows);
        }
    }
}

/* sums += what lies in work */
static void R_(dots_finish)(const R_(pn_conv_dots) *t, int64_t row, int64_t rows) {
    const int64_t across = GEMM_CEIL(t->k, DOTS_NR);
    const real *work = t->work;
    for (int64_t j = 0, tap = 0; j < across; j++) {
        const int64_t end = t->k * (j + 1) / across, taps = end - tap, count = rows * taps;
        real part[DOTS_MR * DOTS_NR + GEMM_W];
        for (int64_t e = 0; e < count; e += GEMM_W) R_(dots_totals)(part + e, work + e * DOTS_LANES, GEMM_MIN(GEMM_W, count - e));
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t k = 0; k < taps; k++) t->sums[(row + r) * t->ld + tap + k] += part[r * taps + k];
        }
        work += count * DOTS_LANES;
        tap = end;
    }
}

static void R_(conv_dots)(const R_(pn_conv_dots) *t) {
    const int64_t down = GEMM_CEIL(t->m, DOTS_MR);
    if (t->images * t->rows * t->pixels == 0) return;
    for (int64_t i = 0, row = 0; i < down; i++) {
        const int64_t rows = t->m * (i + 1) / down - row;
        memset(t->work, 0, (size_t)(rows * t->k * DOTS_LANES) * sizeof(real));
        R_(dots_images)(t, row, rows);
        R_(dots_finish)(t, row, rows);
        row += rows;
    }
}

static int64_t R_(conv_dots_work)(int64_t k) { return DOTS_MR * DOTS_LANES * k; }
#undef DOTS_LANES
#endif
