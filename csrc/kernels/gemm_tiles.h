/* The innermost loops of the matrix product: a tile of C held in registers.
 *
 * A tile has `mr` rows (up to GEMM_MR) and nv vectors of columns. Row values of A are broadcast, B is read in vectors along n:
 *     acc[i][v] += a[i * ars + k * aks] * b[k * bks + v * W]          k = 0 .. kc-1 in order
 * Both strides of A are run-time values, so one tile serves packed panels, plain rows and A stored (k, m). Every element is one chain over k, whatever
 * the tile, so its value does not depend on which tile computed it.
 *
 * Sizes. 512 bits: 14 x 2 vectors (28 accumulators of 32 registers). 256 bits: 6 x 2 (12 of 16). 128 bits: 6 x 4 on AArch64 (24 of 32), 4 x 2 on
 * SSE2. Width 1 is plain C. Short tiles (few rows) are latency bound, hence GEMM_WIDE: up to GEMM_WIDE_MR rows of twice the width. */
#ifndef PN_REAL_PASS
#ifndef PN_KERNELS_GEMM_TILES_H
#define PN_KERNELS_GEMM_TILES_H
#include "kernels/vector.h"

#define GEMM_ROWS_1(X) X(1)
#define GEMM_ROWS_2(X) GEMM_ROWS_1(X) X(2)
#define GEMM_ROWS_4(X) GEMM_ROWS_2(X) X(3) X(4)
#define GEMM_ROWS_6(X) GEMM_ROWS_4(X) X(5) X(6)
#define GEMM_ROWS_14(X) GEMM_ROWS_6(X) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

#if PN_VECTOR_BYTES == 64
#define GEMM_MR 14
#define GEMM_NV 2
#define GEMM_WIDE_MR 6
#define GEMM_ROWS GEMM_ROWS_14
#define GEMM_WIDE_ROWS GEMM_ROWS_6
#elif PN_VECTOR_BYTES == 32
#define GEMM_MR 6
#define GEMM_NV 2
#define GEMM_WIDE_MR 2
#define GEMM_ROWS GEMM_ROWS_6
#define GEMM_WIDE_ROWS GEMM_ROWS_2
#elif defined(__aarch64__) && PN_VECTOR_BYTES == 16
#define GEMM_MR 6
#define GEMM_NV 4
#define GEMM_WIDE_MR 2
#define GEMM_ROWS GEMM_ROWS_6
#define GEMM_WIDE_ROWS GEMM_ROWS_2
#else
#define GEMM_MR 4
#define GEMM_NV 2
#define GEMM_WIDE_MR 2
#define GEMM_ROWS GEMM_ROWS_4
#define GEMM_WIDE_ROWS GEMM_ROWS_2
#endif
#define GEMM_CHAIN 256 /* longest sum in a register */
#define GEMM_WIDE (2 * GEMM_NV)

/* V_LANES for the preprocessor. */
#if PN_VECTOR_BYTES > 1
#define GEMM_W (PN_VECTOR_BYTES / (4 + 4 * PN_DOUBLE))
#else
#define GEMM_W 1
#endif
#define GEMM_NR (GEMM_NV * GEMM_W)
#define GEMM_WIDE_NR (GEMM_WIDE * GEMM_W)

/* gcc keeps an array of accumulators in memory unless the loops over it are unrolled early; clang does so by itself when told to. */
#if defined(__clang__)
#define GEMM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GEMM_UNROLL _Pragma("GCC unroll 16")
#endif
/* Hides a value's origin, so that it stays one register instead of being recomputed or expanded into many. No instruction. */
#define GEMM_OPAQUE(x) __asm__("" : "+r"(x))
#define GEMM_INLINE static inline __attribute__((always_inline))
#define GEMM_NOINLINE static __attribute__((noinline))
#endif
#else

/* c[mr, nv * W] (= or +=) a b. */
typedef void (*R_(gemm_tile_fn))(int64_t kc, const real *a, int64_t ars, int64_t aks, const real *b, int64_t bks, real *c, int64_t ldc, bool add, int64_t next);

#define GEMM_STEP                                                                                                                                              \
    {                                                                                                                                                          \
        V bv[GEMM_WIDE];                                                                                                                                       \
        GEMM_UNROLL for (int v = 0; v < nv; v++) bv[v] = V_load(b + v * GEMM_W);                                                                               \
        GEMM_UNROLL for (int i = 0; i < mr; i++) {                                                                                                             \
            const char *at = group[i / 5] + (i % 5 == 3 ? s3 : s1 * (i % 5));                                                                                  \
            const real s = *(const real *)at;                                                                                                                  \
            GEMM_UNROLL for (int v = 0; v < nv; v++) acc[i][v] += s * bv[v];                                                                                   \
        }                                                                                                                                                      \
        GEMM_UNROLL for (int g = 0; g < (mr + 4) / 5; g++) group[g] += step_a;                                                                                 \
        b += bks;                                                                                                                                              \
    }

GEMM_INLINE void R_(gemm_tile)(const int mr, const int nv, int64_t kc, const real *a, int64_t ars, int64_t aks, const real *b, int64_t bks, real *c,
                               int64_t ldc, bool add, int64_t next) {
    /* Rows in groups of five: base, base + s, + 2s, + 3s, + 4s need only s and 3s, so all fourteen addresses fit the integer registers. */
    int64_t s1 = ars * (int64_t)sizeof(real), s3 = 3 * s1, step_a = aks * (int64_t)sizeof(real);
    const char *group[3] = {(const char *)a, (const char *)a + (mr > 5 ? 5 * s1 : 0), (const char *)a + (mr > 10 ? 10 * s1 : 0)};
    GEMM_OPAQUE(s1);
    GEMM_OPAQUE(s3);
    GEMM_OPAQUE(step_a);
    GEMM_UNROLL for (int g = 0; g < 3; g++) GEMM_OPAQUE(group[g]);
    do {
        V acc[GEMM_MR][GEMM_WIDE];
        GEMM_UNROLL for (int i = 0; i < mr; i++) { GEMM_UNROLL for (int v = 0; v < nv; v++) acc[i][v] = (V){0}; }
        const int64_t chain = kc < GEMM_CHAIN ? kc : GEMM_CHAIN;
        int64_t k = 0;
        for (const real *ahead = c; nv >= GEMM_NV && k < mr && k < chain;
             k++, ahead += ldc) { /* C is fetched row by row: all at once would keep A and B waiting */
            GEMM_UNROLL for (int v = 0; v < nv; v++) __builtin_prefetch(ahead + v * GEMM_W, 1);
            __builtin_prefetch(ahead + nv * GEMM_W - 1, 1);
            GEMM_STEP
        }
        for (; k < chain; k++) {
            if (nv >= GEMM_NV) __builtin_prefetch(b + next);
            if (nv > GEMM_NV) __builtin_prefetch(b + next + GEMM_NR);
            GEMM_STEP
        }
        real *to = c;
        GEMM_UNROLL for (int i = 0; i < mr; i++, to += ldc) {
            GEMM_OPAQUE(to);
            GEMM_UNROLL for (int v = 0; v < nv; v++) {
                real *at = to + v * GEMM_W;
                V_store(at, add ? V_load(at) + acc[i][v] : acc[i][v]);
            }
        }
        add = true;
        kc -= chain;
    } while (kc > 0);
}

#define GEMM_TILE(name, mr, nv)                                                                                                                                \
    GEMM_NOINLINE void R_(name)(int64_t kc, const real *a, int64_t ars, int64_t aks, const real *b, int64_t bks, real *c, int64_t ldc, bool add,               \
                                int64_t next) {                                                                                                                \
        R_(gemm_tile)(mr, nv, kc, a, ars, aks, b, bks, c, ldc, add, next);                                                                                     \
    }
#define GEMM_ONE(mr) GEMM_TILE(gemm_one_##mr, mr, 1)
#define GEMM_FULL(mr) GEMM_TILE(gemm_full_##mr, mr, GEMM_NV)
#define GEMM_BROAD(mr) GEMM_TILE(gemm_wide_##mr, mr, GEMM_WIDE)
GEMM_ROWS(GEMM_ONE)
GEMM_ROWS(GEMM_FULL)
GEMM_WIDE_ROWS(GEMM_BROAD)
#undef GEMM_ONE
#undef GEMM_FULL
#undef GEMM_BROAD
#undef GEMM_TILE

#define GEMM_ONE(mr) R_(gemm_one_##mr),
#define GEMM_FULL(mr) R_(gemm_full_##mr),
#define GEMM_BROAD(mr) R_(gemm_wide_##mr),
/* Tiles by rows - 1. */
static const R_(gemm_tile_fn) R_(gemm_ones)[GEMM_MR] = {GEMM_ROWS(GEMM_ONE)};
static const R_(gemm_tile_fn) R_(gemm_fulls)[GEMM_MR] = {GEMM_ROWS(GEMM_FULL)};
static const R_(gemm_tile_fn) R_(gemm_wides)[GEMM_WIDE_MR] = {GEMM_WIDE_ROWS(GEMM_BROAD)};
#undef GEMM_ONE
#undef GEMM_FULL
#undef GEMM_BROAD
#endif
