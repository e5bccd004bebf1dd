/* Products of a few hundred multiply-adds, where setting up a general product would cost more than the product: a playground network spends its time here.
 *
 * Vectors of 16 bytes on every instruction set, then pairs, then single columns. Four rows at a time share the loads of B. An element is one chain over k. */
#ifdef PN_REAL_PASS

#if GEMM_W > 1
typedef real __attribute__((vector_size(16), aligned(sizeof(real)), may_alias)) R_(tiny_lanes);
#if !PN_DOUBLE
typedef real __attribute__((vector_size(8), aligned(sizeof(real)), may_alias)) R_(tiny_pair);
#endif
#endif
typedef real R_(tiny_single);

/* Element (i, k) of op(A) lies at a[i * ars + k * aks]; b is (k, n) with row distance ldb. Handed down by value, so that it stays in registers. */
typedef struct R_(tiny) {
    const real *a, *b, *bias;
    real *c;
    int64_t m, k, ars, aks, ldb, ldc;
    bool add;
} R_(tiny);

/* The columns of one vector from j on, for all rows. rows is a constant, so the sums stay in registers. */
#define TINY_COLUMNS(vector)                                                                                                                                   \
    GEMM_INLINE void R_(tiny_rows_##vector)(const R_(tiny) t, int64_t i, int64_t j, const int rows) {                                                          \
        R_(tiny_##vector) sum[4], start = {0};                                                                                                                 \
        const real *a = t.a + i * t.ars, *b = t.b + j;                                                                                                         \
        real *c = t.c + i * t.ldc + j;                                                                                                                         \
        if (t.bias) start = *(const R_(tiny_##vector) *)(t.bias + j);                                                                                          \
        GEMM_UNROLL for (int r = 0; r < rows; r++) sum[r] = start;                                                                                             \
        if (t.add) { GEMM_UNROLL for (int r = 0; r < rows; r++) sum[r] += *(R_(tiny_##vector) *)(c + r * t.ldc); }                                             \
        for (int64_t k = t.k; k > 0; k--, a += t.aks, b += t.ldb) {                                                                                            \
            const R_(tiny_##vector) v = *(const R_(tiny_##vector) *)b;                                                                                         \
            GEMM_UNROLL for (int r = 0; r < rows; r++) sum[r] += a[r * t.ars] * v;                                                                             \
        }                                                                                                                                                      \
        GEMM_UNROLL for (int r = 0; r < rows; r++) * (R_(tiny_##vector) *)(c + r * t.ldc) = sum[r];                                                            \
    }                                                                                                                                                          \
    GEMM_INLINE void R_(tiny_columns_##vector)(const R_(tiny) t, int64_t j) {                                                                                  \
        int64_t i = 0;                                                                                                                                         \
        for (; i + 4 <= t.m; i += 4) R_(tiny_rows_##vector)(t, i, j, 4);                                                                                       \
        for (; i + 2 <= t.m; i += 2) R_(tiny_rows_##vector)(t, i, j, 2);                                                                                       \
        if (i < t.m) R_(tiny_rows_##vector)(t, i, j, 1);                                                                                                       \
    }
#if GEMM_W > 1
TINY_COLUMNS(lanes)
#if !PN_DOUBLE
TINY_COLUMNS(pair)
#endif
#endif
TINY_COLUMNS(single)
#undef TINY_COLUMNS

static void R_(gemm_tiny)(const R_(pn_gemm_call) *c) {
    const pn_gemm_shape *s = &c->s;
    real turned[PN_GEMM_TINY_WORK];
    R_(tiny) t = {.a = c->a,
                  .b = c->b,
                  .bias = c->bias,
                  .c = c->c,
                  .m = s->m,
                  .k = s->k,
                  .ars = s->ta ? 1 : s->lda,
                  .aks = s->ta ? s->lda : 1,
                  .ldb = s->ldb,
                  .ldc = s->ldc,
                  .add = c->add};
    int64_t j = 0;
    if (s->m == 0 || s->n == 0) return;
    if (s->tb) { /* fits, because m is at least 1 */
        for (int64_t q = 0; q < s->n; q++) {
            for (int64_t k = 0; k < s->k; k++) turned[k * s->n + q] = c->b[q * s->ldb + k];
        }
        t.b = turned;
        t.ldb = s->n;
    }
#if GEMM_W > 1
    for (; j + 16 / (int64_t)sizeof(real) <= s->n; j += 16 / (int64_t)sizeof(real)) R_(tiny_columns_lanes)(t, j);
#if !PN_DOUBLE
    if (j + 2 <= s->n) {
        R_(tiny_columns_pair)(t, j);
        j += 2;
    }
#endif
#endif
    for (; j < s->n; j++) R_(tiny_columns_single)(t, j);
    if (c->act < 0) return;
    if (s->ldc == s->n)
        R_(act_forward)[c->act](c->c, c->c, s->m * s->n, c->act_params);
    else
        for (int64_t i = 0; i < s->m; i++) R_(act_forward)[c->act](c->c + i * s->ldc, c->c + i * s->ldc, s->n, c->act_params);
}
#endif
