/* Copies that bring an operand into the order the tiles read: k-major panels, `width` values per k.
 *
 * Two sources: values of one k lie side by side (copy), or values of one row lie side by side along k (transpose, W x W at a time in registers).
 * Lanes beyond `width` hold anything; the results they lead to are never stored. */
#ifndef PN_REAL_PASS
#ifndef PN_KERNELS_GEMM_PACK_H
#define PN_KERNELS_GEMM_PACK_H

/* Two rows a, b of a W x W matrix and a distance d exchange the lanes that lie across the diagonal: after d = W/2, .., 2, 1 the matrix is transposed
 * (Eklundh 1972). Each half is one shuffle on AVX-512, one or two elsewhere. */
#define GEMM_LOW(l, d) ((l) & (d) ? GEMM_W + (l) - (d) : (l))
#define GEMM_HIGH(l, d) ((l) & (d) ? GEMM_W + (l) : (l) + (d))
#define GEMM_LANES_2(X, d) X(0, d), X(1, d)
#define GEMM_LANES_4(X, d) GEMM_LANES_2(X, d), X(2, d), X(3, d)
#define GEMM_LANES_8(X, d) GEMM_LANES_4(X, d), X(4, d), X(5, d), X(6, d), X(7, d)
#define GEMM_LANES_16(X, d) GEMM_LANES_8(X, d), X(8, d), X(9, d), X(10, d), X(11, d), X(12, d), X(13, d), X(14, d), X(15, d)

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define GEMM_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef GEMM_SHUFFLE
#define GEMM_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (VI){__VA_ARGS__}) /* gcc before 12 */
#endif
#endif
#else

#if GEMM_W > 1
#define GEMM_EXCHANGE(LANES, d)                                                                                                                                \
    GEMM_UNROLL for (int i = 0; i < GEMM_W; i++) {                                                                                                             \
        if (!(i & (d))) {                                                                                                                                      \
            V x = r[i], y = r[i + (d)];                                                                                                                        \
            r[i] = GEMM_SHUFFLE(x, y, LANES(GEMM_LOW, d));                                                                                                     \
            r[i + (d)] = GEMM_SHUFFLE(x, y, LANES(GEMM_HIGH, d));                                                                                              \
        }                                                                                                                                                      \
    }

/* Transposes the W x W matrix whose rows are r[W]. */
GEMM_INLINE void R_(gemm_turn)(V *r){
#if GEMM_W == 16
    GEMM_EXCHANGE(GEMM_LANES_16, 8) GEMM_EXCHANGE(GEMM_LANES_16, 4) GEMM_EXCHANGE(GEMM_LANES_16, 2) GEMM_EXCHANGE(GEMM_LANES_16, 1)
#elif GEMM_W == 8
    GEMM_EXCHANGE(GEMM_LANES_8, 4) GEMM_EXCHANGE(GEMM_LANES_8, 2) GEMM_EXCHANGE(GEMM_LANES_8, 1)
#elif GEMM_W == 4
    GEMM_EXCHANGE(GEMM_LANES_4, 2) GEMM_EXCHANGE(GEMM_LANES_4, 1)
#else
    GEMM_EXCHANGE(GEMM_LANES_2, 1)
#endif
}
#undef GEMM_EXCHANGE
#endif

/* to[k * step + j] = from[k * ld + j] for k < kc, j < width. */
GEMM_NOINLINE void R_(gemm_pack_copy)(real *to, int64_t step, const real *from, int64_t ld, int64_t kc, int64_t width) {
    const int64_t whole = width / GEMM_W * GEMM_W;
    const int rest = (int)(width - whole);
    for (int64_t k = 0; k < kc; k++, to += step, from += ld) {
        for (int64_t j = 0; j < whole; j += GEMM_W) V_store(to + j, V_load(from + j));
        if (rest) V_store(to + whole, V_load_n(from + whole, rest));
    }
}

/* The same without touching anything beyond `width`. */
GEMM_NOINLINE void R_(gemm_copy)(real *to, int64_t step, const real *from, int64_t ld, int64_t rows, int64_t width) {
    const int64_t whole = width / GEMM_W * GEMM_W;
    const int rest = (int)(width - whole);
    for (int64_t i = 0; i < rows; i++, to += step, from += ld) {
        for (int64_t j = 0; j < whole; j += GEMM_W) V_store(to + j, V_load(from + j));
        if (rest) V_store_n(to + whole, V_load(from + whole), rest);
    }
}

/* Whole panels from rows: panel q, (kc, panel), holds from[:, q * panel ..]. Four panels at a time, because every row of B may lie on a page of its own
 * and each visit of a page should fetch several lines. */
GEMM_NOINLINE void R_(gemm_pack_wide)(real *to, const real *from, int64_t ld, int64_t kc, int64_t panels, int64_t panel) {
    for (int64_t q = 0; q < panels; q += 4) {
        const int64_t some = panels - q < 4 ? panels - q : 4;
        for (int64_t k = 0; k < kc; k++) {
            const real *row = from + k * ld + q * panel;
            real *at = to + q * panel * kc + k * panel;
            for (int64_t e = 0; e < some; e++, at += panel * kc) {
                for (int64_t j = 0; j < panel; j += GEMM_NR, row += GEMM_NR) {
                    GEMM_UNROLL for (int v = 0; v < GEMM_NV; v++) V_store(at + j + v * GEMM_W, V_load(row + v * GEMM_W));
                }
            }
        }
    }
}

#if GEMM_W > 1
/* W columns of the transposing pack: to[k * step + j] = from[j * ld + k] for k < kc, j < W; rows from `width` on repeat the last one. */
GEMM_NOINLINE void R_(gemm_pack_strip)(real *to, int64_t step, const real *from, int64_t ld, int64_t kc, int64_t width) {
    const real *row[GEMM_W];
    for (int i = 0; i < GEMM_W; i++) row[i] = from + (i < width ? i : width - 1) * ld;
    for (int64_t k = 0; k < kc; k += GEMM_W) {
        V r[GEMM_W];
        const int some = (int)(kc - k < GEMM_W ? kc - k : GEMM_W);
        if (some == GEMM_W) {
            GEMM_UNROLL for (int i = 0; i < GEMM_W; i++) r[i] = V_load(row[i] + k);
            R_(gemm_turn)(r);
            GEMM_UNROLL for (int i = 0; i < GEMM_W; i++) V_store(to + (k + i) * step, r[i]);
        } else {
            GEMM_UNROLL for (int i = 0; i < GEMM_W; i++) r[i] = V_load_n(row[i] + k, some);
            R_(gemm_turn)(r);
            GEMM_UNROLL for (int i = 0; i < GEMM_W; i++) if (i < some) V_store(to + (k + i) * step, r[i]);
        }
    }
}
#endif

/* to[k * step + j] = from[j * ld + k] for k < kc, j < width; step is at least width rounded up to W. */
static void R_(gemm_pack_turn)(real *to, int64_t step, const real *from, int64_t ld, int64_t kc, int64_t width) {
#if GEMM_W > 1
    for (int64_t j = 0; j < width; j += GEMM_W) R_(gemm_pack_strip)(to + j, step, from + j * ld, ld, kc, width - j);
#else
    for (int64_t j = 0; j < width; j++) {
        for (int64_t k = 0; k < kc; k++) to[k * step + j] = from[j * ld + k];
    }
#endif
}

/* c[rows, cols] = t transposed, t stored (cols, ldt): the way back for products computed as their transpose. */
static void R_(gemm_unturn)(real *c, int64_t ldc, const real *t, int64_t ldt, int64_t rows, int64_t cols) {
    int64_t i = 0;
#if GEMM_W > 1
    for (; i < rows; i += GEMM_W) {
        for (int64_t j = 0; j < cols; j += GEMM_W) {
            const int some = (int)(cols - j < GEMM_W ? cols - j : GEMM_W);
            V r[GEMM_W];
            GEMM_UNROLL for (int q = 0; q < GEMM_W; q++) r[q] = V_load(t + (j + (q < some ? q : some - 1)) * ldt + i);
            R_(gemm_turn)(r);
            if (some == GEMM_W) {
                GEMM_UNROLL for (int q = 0; q < GEMM_W; q++) if (i + q < rows) V_store(c + (i + q) * ldc + j, r[q]);
            } else {
                GEMM_UNROLL for (int q = 0; q < GEMM_W; q++) if (i + q < rows) V_store_n(c + (i + q) * ldc + j, r[q], some);
            }
        }
    }
#endif
    for (; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) c[i * ldc + j] = t[j * ldt + i];
    }
}
#endif
