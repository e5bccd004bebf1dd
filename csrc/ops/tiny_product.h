/* The three products of a tiny layer, read once per real type by linear.c and matmul.c, and once in front of that for what has no type. A playground
 * network spends its time here, where setting up a general product would cost more than the product. Vectors of 16 bytes, which every machine has; sums
 * run in the order of the index. */
#ifdef PN_REAL_PASS

typedef real __attribute__((vector_size(16), aligned(sizeof(real)), may_alias)) R_(lanes);
enum { R_(LANES) = 16 / sizeof(real) };

/* c[m, n] (= or +=) start + a b. Element (i, k) of a lies at a[i * si + k * sk]; b is (depth, n), c is (m, n), start (n,) or NULL. */
typedef struct R_(tiny) {
    real *c;
    const real *a, *b, *start;
    int64_t si, sk, m, n, depth;
    bool add;
} R_(tiny);

/* Four rows at a time, or fewer, of `width` columns from j on: vectors when a whole one fits, else single columns. rows and width are constants wherever
 * this is called, so the sums stay in registers and every element of b is loaded once for all rows. */
static inline __attribute__((always_inline)) void R_(tiny_block_lanes)(const R_(tiny) *t, int64_t i, int64_t j, int rows) {
    const R_(lanes) zero = {0}, start = t->start ? *(const R_(lanes) *)(t->start + j) : zero;
    R_(lanes) sum[4] = {start, start, start, start};
    const real *a = t->a + i * t->si, *b = t->b + j;
    for (int64_t k = 0; k < t->depth; k++, a += t->sk, b += t->n) {
        const R_(lanes) v = *(const R_(lanes) *)b;
        _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++) sum[r] += a[r * t->si] * v;
    }
    _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++) {
        R_(lanes) *c = (R_(lanes) *)(t->c + (i + r) * t->n + j);
        if (t->add) sum[r] += *c; /* C has no ?: on vectors */
        *c = sum[r];
    }
}

static inline __attribute__((always_inline)) void R_(tiny_block)(const R_(tiny) *t, int64_t i, int64_t j, int rows, int width) {
    real sum[4][3];
    const real *a = t->a + i * t->si, *b = t->b + j;
    _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++) {
        _Pragma("GCC unroll 3") for (int q = 0; q < width; q++) sum[r][q] = t->start ? t->start[j + q] : 0;
    }
    for (int64_t k = 0; k < t->depth; k++, a += t->sk, b += t->n) {
        _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++) { _Pragma("GCC unroll 3") for (int q = 0; q < width; q++) sum[r][q] += a[r * t->si] * b[q]; }
    }
    _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++) {
        real *c = t->c + (i + r) * t->n + j;
        _Pragma("GCC unroll 3") for (int q = 0; q < width; q++) c[q] = t->add ? c[q] + sum[r][q] : sum[r][q];
    }
}

/* All rows of `width` columns; width 0 stands for a whole vector. */
static inline __attribute__((always_inline)) void R_(tiny_columns)(const R_(tiny) *t, int64_t j, int width) {
    int64_t i = 0;
    for (; i + 4 <= t->m; i += 4) {
        if (width)
            R_(tiny_block)(t, i, j, 4, width);
        else
            R_(tiny_block_lanes)(t, i, j, 4);
    }
    for (; i + 2 <= t->m; i += 2) {
        if (width)
            R_(tiny_block)(t, i, j, 2, width);
        else
            R_(tiny_block_lanes)(t, i, j, 2);
    }
    if (i == t->m) return;
    if (width)
        R_(tiny_block)(t, i, j, 1, width);
    else
        R_(tiny_block_lanes)(t, i, j, 1);
}

static void R_(tiny_product)(const R_(tiny) *t) {
    int64_t j = 0;
    for (; j + R_(LANES) <= t->n; j += R_(LANES)) R_(tiny_columns)(t, j, 0);
    switch (t->n - j) {
    case 1: R_(tiny_columns)(t, j, 1); break;
    case 2: R_(tiny_columns)(t, j, 2); break;
    case 3: R_(tiny_columns)(t, j, 3); break;
    }
}

static void R_(tiny_forward)(real *y, const real *x, const real *w, const real *bias, const sizes *s) { /* x W^T + b */
    real turned[TINY_WORK];
    for (int64_t k = 0; k < s->in && s->out > 1; k++) {
        for (int64_t j = 0; j < s->out; j++) turned[k * s->out + j] = w[j * s->in + k];
    }
    const R_(tiny) t = {.c = y, .a = x, .b = s->out > 1 ? turned : w, .start = bias, .si = s->in, .sk = 1, .m = s->rows, .n = s->out, .depth = s->in};
    R_(tiny_product)(&t);
}
static void R_(tiny_input)(real *gx, const real *gz, const real *w, const sizes *s, bool add) { /* gz W */
    const R_(tiny) t = {.c = gx, .a = gz, .b = w, .si = s->out, .sk = 1, .m = s->rows, .n = s->in, .depth = s->out, .add = add};
    R_(tiny_product)(&t);
}
static void R_(tiny_weight)(real *gw, const real *gz, const real *x, const sizes *s, bool add) { /* gz^T x */
    const R_(tiny) t = {.c = gw, .a = gz, .b = x, .si = 1, .sk = s->out, .m = s->out, .n = s->in, .depth = s->rows, .add = add};
    R_(tiny_product)(&t);
}

#elif !defined(PN_OPS_TINY_PRODUCT_H)
#define PN_OPS_TINY_PRODUCT_H
#include "ops/op_helpers.h"

/* x is (rows, in), the weight (out, in), y (rows, out) */
typedef struct sizes {
    int64_t rows, in, out;
} sizes;

/* Small enough? The weight fits a buffer on the stack. */
#define TINY_WORK 512
static inline bool is_tiny(const sizes *s) { return s->in * s->out <= TINY_WORK && s->rows * s->in * s->out <= TINY_WORK; }
/* Does this member compute the k-th tiny product? Neighbours take turns. */
static inline bool takes_tiny(const pn_member *m, int k) {
    if (m->index != k % m->count) return false;
    pn_member_count(m, 1);
    return true;
}
#endif
