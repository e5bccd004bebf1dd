/* The three products of linear for tiny layers, read once per real type from linear.c. A playground network spends its time here, where setting up a
 * general product would cost more than the product. Vectors of 16 bytes, which every machine has; sums run in the order of the index. */
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

/* Columns [j, j + LANES) of c */
static inline void R_(tiny_lanes)(const R_(tiny) *t, int64_t j) {
    const R_(lanes) zero = {0};
    for (int64_t i = 0; i < t->m; i++) {
        const real *a = t->a + i * t->si, *b = t->b + j;
        R_(lanes) *c = (R_(lanes) *)(t->c + i * t->n + j), sum = t->start ? *(const R_(lanes) *)(t->start + j) : zero;
        for (int64_t k = 0; k < t->depth; k++) sum += a[k * t->sk] * *(const R_(lanes) *)(b + k * t->n);
        if (t->add) sum += *c;
        *c = sum;
    }
}

/* The columns behind them, one to three: width is a constant wherever this is called. */
static inline __attribute__((always_inline)) void R_(tiny_rest)(const R_(tiny) *t, int64_t j, int width) {
    const real s0 = t->start ? t->start[j] : 0, s1 = t->start && width > 1 ? t->start[j + 1] : 0, s2 = t->start && width > 2 ? t->start[j + 2] : 0;
    for (int64_t i = 0; i < t->m; i++) {
        const real *a = t->a + i * t->si, *b = t->b + j;
        real *c = t->c + i * t->n + j, sum0 = s0, sum1 = s1, sum2 = s2;
        for (int64_t k = 0; k < t->depth; k++, a += t->sk, b += t->n) {
            sum0 += *a * b[0];
            if (width > 1) sum1 += *a * b[1];
            if (width > 2) sum2 += *a * b[2];
        }
        c[0] = t->add ? c[0] + sum0 : sum0;
        if (width > 1) c[1] = t->add ? c[1] + sum1 : sum1;
        if (width > 2) c[2] = t->add ? c[2] + sum2 : sum2;
    }
}

static void R_(tiny_product)(const R_(tiny) *t) {
    int64_t j = 0;
    for (; j + R_(LANES) <= t->n; j += R_(LANES)) R_(tiny_lanes)(t, j);
    switch (t->n - j) {
    case 1: R_(tiny_rest)(t, j, 1); break;
    case 2: R_(tiny_rest)(t, j, 2); break;
    case 3: R_(tiny_rest)(t, j, 3); break;
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
#endif
