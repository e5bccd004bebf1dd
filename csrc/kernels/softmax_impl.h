/* Softmax and its relatives over the rows of x[rows, cols]. The row's maximum is taken off first, so exp never overflows; sums of exponentials run in the
 * fixed chains of reduce_impl.h. */

/* The row's maximum; a NaN is passed over, it comes back through exp. */
PN_INLINE real R_(row_max)(const real *x, int64_t cols) {
    V most = V_of(-INFINITE);
    for (int64_t i = 0; i < cols; i += V_LANES) most = V_max(V_read_or(x + i, cols - i, -INFINITE), most);
    return V_largest(most);
}

/* e goes to the chains of its elements, which start at element j of a block of SUM_LANES. */
PN_INLINE void R_(add_to_chains)(pn_vec_d *chain, V e, int j) {
    pn_vec_d part[V_PARTS];
    V_split(e, part);
    _Pragma("GCC unroll 2") for (int p = 0; p < V_PARTS; p++) chain[j / V_WIDE + p] += part[p];
}

/* sum of exp(x - shift) in double; the terms go to y unless y is NULL */
PN_INLINE double R_(row_exp)(real *y, const real *x, real shift, int64_t cols) {
    pn_vec_d chain[SUM_PARTS];
    FOR_PARTS(j) chain[j] = (pn_vec_d){0};
    int64_t i = 0;
    for (; i + SUM_LANES <= cols; i += SUM_LANES) {
        _Pragma("GCC unroll 16") for (int j = 0; j < SUM_LANES; j += V_LANES) {
            const V e = V_exp(V_load(x + i + j) - shift);
            if (y) V_store(y + i + j, e);
            R_(add_to_chains)(chain, e, j);
        }
    }
    _Pragma("GCC unroll 16") for (int j = 0; j < SUM_LANES; j += V_LANES) {
        const int64_t at = i + j, left = cols - at;
        if (left > 0) {
            const V e = V_exp(V_read_or(x + at, left, -INFINITE) - shift); /* 0 beyond the end */
            if (y) V_write(y + at, e, left);
            R_(add_to_chains)(chain, e, j);
        }
    }
    return R_(sum_chains)(chain);
}

/* Rows of one vector stay in a register: a masked load would wait for the masked store before it. */
PN_INLINE void R_(softmax_short)(real *y, const real *x, int64_t cols) {
    const V v = V_read_or(x, cols, -INFINITE), e = V_exp(v - V_largest(v));
    pn_vec_d chain[SUM_PARTS];
    FOR_PARTS(j) chain[j] = (pn_vec_d){0};
    R_(add_to_chains)(chain, e, 0);
    V_write(y, e * (real)(1 / R_(sum_chains)(chain)), cols);
}

static void R_(softmax)(real *y, const real *x, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols) {
        if (cols <= V_LANES) {
            R_(softmax_short)(y, x, cols);
        } else {
            const real shift = R_(row_max)(x, cols);
            R_(scale)(y, y, (real)(1 / R_(row_exp)(y, x, shift, cols)), cols, false);
        }
    }
}

/* Of up to V_WIDE rows: shift[r], the maximum that was taken off, and rest[r] = log(sum of exp(x - shift)). The logarithms are one vector. */
PN_INLINE void R_(log_sums)(real *shift, double *rest, const real *x, int64_t rows, int64_t cols) {
    pn_vec_d sums = {0};
    double sum[V_WIDE];
    memcpy(sum, &sums, sizeof sum);
    for (int64_t r = 0; r < rows; r++, x += cols) {
        shift[r] = R_(row_max)(x, cols);
        if (shift[r] - shift[r] != 0) shift[r] = 0; /* an infinite maximum is its own result */
        sum[r] = R_(row_exp)(NULL, x, shift[r], cols);
    }
    memcpy(&sums, sum, sizeof sum);
    sums = pn_log_d(sums);
    memcpy(rest, &sums, sizeof sums);
}

static void R_(log_softmax)(real *y, const real *x, int64_t rows, int64_t cols) {
    real shift[V_WIDE];
    double rest[V_WIDE];
    for (int64_t first = 0; first < rows; first += V_WIDE) {
        const int64_t count = rows - first < V_WIDE ? rows - first : V_WIDE;
        R_(log_sums)(shift, rest, x, count, cols);
        for (int64_t r = 0; r < count; r++, x += cols, y += cols) {
            const real all = (real)rest[r];
            for (int64_t i = 0; i < cols; i += V_LANES) V_write(y + i, (V_read(x + i, cols - i) - shift[r]) - all, cols - i);
        }
    }
}

static void R_(log_sum_exp)(real *out, const real *x, int64_t rows, int64_t cols) {
    real shift[V_WIDE];
    double rest[V_WIDE];
    for (int64_t first = 0; first < rows; first += V_WIDE, x += V_WIDE * cols) {
        const int64_t count = rows - first < V_WIDE ? rows - first : V_WIDE;
        R_(log_sums)(shift, rest, x, count, cols);
        for (int64_t r = 0; r < count; r++) out[first + r] = (real)(shift[r] + rest[r]);
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
