/* Softmax and its relatives over the rows of x[rows, cols]. The row's maximum is taken off first, so exp never overflows; sums of exponentials run in the
 * fixed chains of reduce_impl.h. */

/* The row's maximum; NaN only if all are NaN: a NaN elsewhere comes back through exp. */
PN_INLINE real R_(row_max)(const real *x, int64_t cols) {
    V most = V_of(-INFINITE);
    for (int64_t i = 0; i < cols; i += V_LANES) most = V_max(V_read_or(x + i, cols - i, -INFINITE), most);
    real lane[V_LANES];
    V_store(lane, most);
    _Pragma("GCC unroll 16") for (int half = V_LANES / 2; half > 0; half /= 2) {
        _Pragma("GCC unroll 8") for (int i = 0; i < half; i++) lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
    }
    return lane[0];
}

/* sum of exp(x - shift) in double; the terms go to y unless y is NULL */
PN_INLINE double R_(row_exp)(real *y, const real *x, real shift, int64_t cols) {
    pn_vec_d chain[SUM_PARTS];
    FOR_PARTS(j) chain[j] = (pn_vec_d){0};
    for (int64_t i = 0; i < cols; i += SUM_LANES) {
        _Pragma("GCC unroll 16") for (int j = 0; j < SUM_LANES; j += V_LANES) {
            const int64_t at = i + j, left = cols - at;
            if (left > 0) {
                const V e = V_exp(V_read_or(x + at, left, -INFINITE) - shift); /* 0 beyond the end */
                if (y) V_write(y + at, e, left);
                pn_vec_d part[V_PARTS];
                V_split(e, part);
                _Pragma("GCC unroll 2") for (int p = 0; p < V_PARTS; p++) chain[j / V_WIDE + p] += part[p];
            }
        }
    }
    return R_(sum_chains)(chain);
}

/* log of one double: the vector function, so that no libm is needed */
PN_INLINE double R_(log_of)(double x) {
    double lane[V_WIDE];
    const pn_vec_d y = pn_log_d(x - (pn_vec_d){0});
    memcpy(lane, &y, sizeof lane);
    return lane[0];
}

static void R_(softmax)(real *y, const real *x, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        const real shift = R_(row_max)(x, cols);
        const real a = (real)(1 / R_(row_exp)(y, x, shift, cols));
        R_(scale)(y, y, a, cols, false);
    }
}

static void R_(log_softmax)(real *y, const real *x, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        const real shift = R_(row_max)(x, cols), rest = (real)R_(log_of)(R_(row_exp)(NULL, x, shift, cols));
        for (int64_t i = 0; i < cols; i += V_LANES) V_write(y + i, (V_read(x + i, cols - i) - shift) - rest, cols - i);
    }
}

static void R_(log_sum_exp)(real *out, const real *x, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++, x += cols) {
        real shift = R_(row_max)(x, cols);
        if (shift - shift != 0) shift = 0; /* an infinite maximum is its own result */
        out[r] = (real)(shift + R_(log_of)(R_(row_exp)(NULL, x, shift, cols)));
    }
}

static void R_(softmax_backward)(real *gx, const real *y, const real *gy, int64_t rows, int64_t cols, bool add) {
    for (int64_t r = 0; r < rows; r++, gx += cols, y += cols, gy += cols) {
        const real mean = (real)R_(dot)(gy, y, cols);
        for (int64_t i = 0; i < cols; i += V_LANES) {
            V g = V_read(y + i, cols - i) * (V_read(gy + i, cols - i) - mean);
            if (add) g += V_read(gx + i, cols - i);
            V_write(gx + i, g, cols - i);
        }
    }
}

static void R_(log_softmax_backward)(real *gx, const real *y, const real *gy, int64_t rows, int64_t cols, bool add) {
    for (int64_t r = 0; r < rows; r++, gx += cols, y += cols, gy += cols) {
        const real total = (real)R_(sum)(gy, cols);
        for (int64_t i = 0; i < cols; i += V_LANES) {
            V g = V_read(gy + i, cols - i) - V_exp(V_read(y + i, cols - i)) * total;
            if (add) g += V_read(gx + i, cols - i);
            V_write(gx + i, g, cols - i);
        }
    }
}
