/* Few rows or few columns with long sums: both operands are read along k, a vector of partial sums per element of C, added up at the end.
 *
 * Nothing is packed, so a product with a vector costs one pass over the matrix. An element's value depends on k alone: lane l sums the k = l mod W in
 * order, then lanes l and l + d are added for d = W/2, .., 2, 1. Without vectors the lanes are those of 16 bytes. */
#ifndef PN_REAL_PASS
#ifndef PN_KERNELS_GEMM_DOT_H
#define PN_KERNELS_GEMM_DOT_H
#define GEMM_DOT_COLS 8
#if PN_VECTOR_BYTES == 32 || (PN_VECTOR_BYTES == 16 && !defined(__aarch64__)) || PN_VECTOR_BYTES < 2
#define GEMM_DOT_ROWS 2 /* 16 registers: 2 x 4 sums, 4 x 4 elsewhere */
#else
#define GEMM_DOT_ROWS 4
#endif
#endif
#else

#if GEMM_W > 1
/* The sum of every r[i] in lane i; n vectors, n <= W. */
GEMM_INLINE V R_(gemm_fold)(V *r, const int n) {
#define GEMM_FOLD(LANES, d)                                                                                                                                    \
    GEMM_UNROLL for (int i = 0; i < (d); i++) {                                                                                                                \
        V x = r[i], y = i + (d) < n ? r[i + (d)] : x;                                                                                                          \
        r[i] = GEMM_SHUFFLE(x, y, LANES(GEMM_LOW, d)) + GEMM_SHUFFLE(x, y, LANES(GEMM_HIGH, d));                                                               \
    }
#if GEMM_W == 16
    GEMM_FOLD(GEMM_LANES_16, 8)
    GEMM_FOLD(GEMM_LANES_16, 4)
    GEMM_FOLD(GEMM_LANES_16, 2)
    GEMM_FOLD(GEMM_LANES_16, 1)
#elif GEMM_W == 8
    GEMM_FOLD(GEMM_LANES_8, 4)
    GEMM_FOLD(GEMM_LANES_8, 2)
    GEMM_FOLD(GEMM_LANES_8, 1)
#elif GEMM_W == 4
    GEMM_FOLD(GEMM_LANES_4, 2)
    GEMM_FOLD(GEMM_LANES_4, 1)
#else
    GEMM_FOLD(GEMM_LANES_2, 1)
#endif
#undef GEMM_FOLD
    return r[0];
}

/* sums[rows, cols] = all products of rows of a (m, k) and b (n, k); beyond m and n the last row serves again. */
GEMM_INLINE void R_(gemm_dots)(const int rows, const int cols, real *sums, const real *a, int64_t lda, int64_t m, const real *b, int64_t ldb, int64_t n,
                               int64_t k) {
    V acc[16];
    const real *ar[4], *br[8];
    GEMM_UNROLL for (int i = 0; i < rows; i++) ar[i] = a + (i < m ? i : m - 1) * lda;
    GEMM_UNROLL for (int j = 0; j < cols; j++) br[j] = b + (j < n ? j : n - 1) * ldb;
    GEMM_UNROLL for (int e = 0; e < rows * cols; e++) acc[e] = (V){0};
    int64_t x = 0;
    for (; x + GEMM_W <= k; x += GEMM_W) {
        V av[4];
        GEMM_UNROLL for (int i = 0; i < rows; i++) av[i] = V_load(ar[i] + x);
        GEMM_UNROLL for (int j = 0; j < cols; j++) {
            const V bv = V_load(br[j] + x);
            GEMM_UNROLL for (int i = 0; i < rows; i++) acc[i * cols + j] += av[i] * bv;
        }
    }
    if (x < k) {
        const int rest = (int)(k - x);
        V av[4];
        GEMM_UNROLL for (int i = 0; i < rows; i++) av[i] = V_load_n(ar[i] + x, rest);
        GEMM_UNROLL for (int j = 0; j < cols; j++) {
            const V bv = V_load_n(br[j] + x, rest);
            GEMM_UNROLL for (int i = 0; i < rows; i++) acc[i * cols + j] += av[i] * bv;
        }
    }
    GEMM_UNROLL for (int e = 0; e < rows * cols; e += GEMM_W) V_store(sums + e, R_(gemm_fold)(acc + e, rows * cols - e < GEMM_W ? rows * cols - e : GEMM_W));
}
#else
GEMM_INLINE void R_(gemm_dots)(const int rows, const int cols, real *sums, const real *a, int64_t lda, int64_t m, const real *b, int64_t ldb, int64_t n,
                               int64_t k) {
    enum { lanes = 16 / sizeof(real) };
    for (int i = 0; i < rows && i < m; i++) {
        for (int j = 0; j < cols && j < n; j++) {
            real lane[lanes] = {0};
            for (int64_t x = 0; x < k; x++) lane[x % lanes] += a[i * lda + x] * b[j * ldb + x];
            for (int d = lanes / 2; d; d /= 2) {
                for (int l = 0; l < d; l++) lane[l] += lane[l + d];
            }
            sums[i * cols + j] = lane[0];
        }
    }
}
#endif

GEMM_NOINLINE void R_(gemm_dots_one)(real *sums, const real *a, int64_t lda, int64_t m, const real *b, int64_t ldb, int64_t n, int64_t k) {
    R_(gemm_dots)(1, GEMM_DOT_COLS, sums, a, lda, m, b, ldb, n, k);
}
GEMM_NOINLINE void R_(gemm_dots_many)(real *sums, const real *a, int64_t lda, int64_t m, const real *b, int64_t ldb, int64_t n, int64_t k) {
    R_(gemm_dots)(GEMM_DOT_ROWS, 4, sums, a, lda, m, b, ldb, n, k);
}

/* c[m, cols] (= or +=) a b^T with rows a (m, k) and b (cols, k), cols <= GEMM_DOT_COLS. */
static void R_(gemm_dot)(real *c, int64_t ldc, const real *a, int64_t lda, int64_t m, const real *b, int64_t ldb, int64_t cols, int64_t k, bool add) {
    const int64_t rows = m > 1 ? GEMM_DOT_ROWS : 1, step = m > 1 ? 4 : GEMM_DOT_COLS;
    for (int64_t j = 0; j < cols; j += step) {
        for (int64_t i = 0; i < m; i += rows) {
            real sums[16];
            (m > 1 ? R_(gemm_dots_many) : R_(gemm_dots_one))(sums, a + i * lda, lda, m - i, b + j * ldb, ldb, cols - j, k);
            for (int64_t q = i; q < m && q < i + rows; q++) {
                for (int64_t e = 0; e < step && j + e < cols; e++) {
                    real *to = c + q * ldc + j + e, sum = sums[(q - i) * step + e];
                    *to = add ? *to + sum : sum;
                }
            }
        }
    }
}
#endif
