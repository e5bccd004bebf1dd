/* Pooling over windows of 2 x 2 with stride 2, the common case: rows of `cols` outputs, output row r from the input rows 2 r and 2 r + 1, which lie ldx
 * elements apart. Neighbours of a row are parted into even and odd lanes, so that a vector of outputs costs a few instructions. */
#if PN_VECTOR_BYTES == 0
PN_INLINE void R_(pool_part)(const real *p, int64_t left, V *even, V *odd) { (void)left, *even = p[0], *odd = p[1]; }
PN_INLINE void R_(pool_join)(real *p, V even, V odd, int64_t left, bool add) {
    (void)left;
    p[0] = add ? p[0] + even : even;
    p[1] = add ? p[1] + odd : odd;
}
#else
#undef POOL_EVEN
#undef POOL_ODD
#undef POOL_LOW
#undef POOL_HIGH
#if PN_VECTOR_BYTES == 64 && !PN_DOUBLE
#define POOL_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define POOL_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define POOL_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define POOL_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif PN_VECTOR_BYTES == 64 || (PN_VECTOR_BYTES == 32 && !PN_DOUBLE)
#define POOL_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define POOL_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define POOL_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define POOL_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif PN_VECTOR_BYTES == 32 || !PN_DOUBLE
#define POOL_EVEN 0, 2, 4, 6
#define POOL_ODD 1, 3, 5, 7
#define POOL_LOW 0, 4, 1, 5
#define POOL_HIGH 2, 6, 3, 7
#else
#define POOL_EVEN 0, 2
#define POOL_ODD 1, 3
#define POOL_LOW 0, 2
#define POOL_HIGH 1, 3
#endif
#undef POOL_MIX
#if defined(__clang__)
#define POOL_MIX(a, b, order) __builtin_shufflevector(a, b, order)
#else
#define POOL_MIX(a, b, order) __builtin_shuffle(a, b, (VI){order})
#endif

/* `left` of the 2 V_LANES elements at p exist: those at even places and those at odd ones. */
PN_INLINE void R_(pool_part)(const real *p, int64_t left, V *even, V *odd) {
    const V a = V_read(p, left), b = left > V_LANES ? V_read(p + V_LANES, left - V_LANES) : V_of(0);
    *even = POOL_MIX(a, b, POOL_EVEN);
    *odd = POOL_MIX(a, b, POOL_ODD);
}
/* The way back: p (= or +=) even and odd lanes in turn. */
PN_INLINE void R_(pool_join)(real *p, V even, V odd, int64_t left, bool add) {
    V a = POOL_MIX(even, odd, POOL_LOW), b = POOL_MIX(even, odd, POOL_HIGH);
    if (add) a += V_read(p, left);
    V_write(p, a, left);
    if (left <= V_LANES) return;
    if (add) b += V_read(p + V_LANES, left - V_LANES);
    V_write(p + V_LANES, b, left - V_LANES);
}
#endif

/* Where v takes the place of the best so far: it is larger, or NaN. Equal values do not: the first maximum wins. */
PN_INLINE VI R_(pool_beats)(V v, V best) { return (v > best) | (v != v); }

#define FOR_POOL                                                                                                                                               \
    for (int64_t r = 0; r < rows; r++)                                                                                                                         \
        for (int64_t i = 0, at = 2 * r * ldx, below = at + ldx, to = r * cols, left = 2 * cols; i < cols;                                                      \
             i += V_LANES, at += 2 * V_LANES, below += 2 * V_LANES, to += V_LANES, left -= 2 * V_LANES)

/* y[rows, cols] = the largest of four; NaN if any is NaN */
static void R_(max_pool2)(real *y, const real *x, int64_t rows, int64_t cols, int64_t ldx) {
    FOR_POOL {
        V a, b, c, d;
        R_(pool_part)(x + at, left, &a, &b);
        R_(pool_part)(x + below, left, &c, &d);
        a = V_select(R_(pool_beats)(b, a), b, a);
        a = V_select(R_(pool_beats)(c, a), c, a);
        V_write(y + to, V_select(R_(pool_beats)(d, a), d, a), cols - i);
    }
}

/* gx at the window's first maximum (= or +=) gy, at its other places 0 */
static void R_(max_pool2_backward)(real *gx, const real *x, const real *gy, int64_t rows, int64_t cols, int64_t ldx, bool add) {
    FOR_POOL {
        V a, b, c, d;
        const V g = V_read(gy + to, cols - i);
        R_(pool_part)(x + at, left, &a, &b);
        R_(pool_part)(x + below, left, &c, &d);
        const VI is_b = R_(pool_beats)(b, a);
        a = V_select(is_b, b, a);
        const VI is_c = R_(pool_beats)(c, a);
        a = V_select(is_c, c, a);
        const VI is_d = R_(pool_beats)(d, a);
        const V zero = V_of(0);
        const V upper = V_select(is_c, zero, V_select(is_d, zero, g));
        R_(pool_join)(gx + at, V_select(is_b, zero, upper), V_select(is_b, upper, zero), left, add);
        R_(pool_join)(gx + below, V_select(is_d, zero, V_select(is_c, g, zero)), V_select(is_d, g, zero), left, add);
    }
}

/* y[rows, cols] = factor times the sum of four */
static void R_(avg_pool2)(real *y, const real *x, int64_t rows, int64_t cols, int64_t ldx, real factor) {
    FOR_POOL {
        V a, b, c, d;
        R_(pool_part)(x + at, left, &a, &b);
        R_(pool_part)(x + below, left, &c, &d);
        V_write(y + to, ((a + b) + (c + d)) * factor, cols - i);
    }
}

/* gx at all four (= or +=) factor gy */
static void R_(avg_pool2_backward)(real *gx, const real *gy, int64_t rows, int64_t cols, int64_t ldx, real factor, bool add) {
    FOR_POOL {
        const V g = V_read(gy + to, cols - i) * factor;
        R_(pool_join)(gx + at, g, g, left, add);
        R_(pool_join)(gx + below, g, g, left, add);
    }
}
#undef FOR_POOL
