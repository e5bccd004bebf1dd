/* Sums and extremes. A sum runs in SUM_LANES chains of doubles whatever the width of a vector: element i goes to chain i % SUM_LANES, the chains are then
 * added pairwise. So its order depends on n alone, and is the same at every level. */
#define SUM_LANES 16
#define SUM_PARTS (SUM_LANES / V_WIDE)
#define FOR_PARTS(j) _Pragma("GCC unroll 16") for (int j = 0; j < SUM_PARTS; j++)

/* The total of all chains: halves are added until one is left. */
PN_INLINE double R_(sum_chains)(const pn_vec_d *chain) {
    double lane[SUM_LANES];
    FOR_PARTS(j) memcpy(lane + j * V_WIDE, &chain[j], sizeof *chain);
    _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) lane[i] += lane[i + 8];
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) lane[i] += lane[i + 4];
    return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

/* chain[j] += expression in part j of a and b; `left` < SUM_LANES elements at the end */
#define REDUCTION(name, arguments, expression)                                                                                                                 \
    static double R_(name) arguments {                                                                                                                         \
        pn_vec_d chain[SUM_PARTS];                                                                                                                             \
        FOR_PARTS(j) chain[j] = (pn_vec_d){0};                                                                                                                 \
        int64_t i = 0;                                                                                                                                         \
        for (; i + SUM_LANES <= n; i += SUM_LANES) {                                                                                                           \
            FOR_PARTS(j) {                                                                                                                                     \
                const int64_t at = i + j * V_WIDE;                                                                                                             \
                chain[j] += expression(V_load_wide);                                                                                                           \
            }                                                                                                                                                  \
        }                                                                                                                                                      \
        if (i < n) {                                                                                                                                           \
            FOR_PARTS(j) {                                                                                                                                     \
                const int64_t at = i + j * V_WIDE;                                                                                                             \
                if (at < n) chain[j] += expression(READ_WIDE);                                                                                                 \
            }                                                                                                                                                  \
        }                                                                                                                                                      \
        return R_(sum_chains)(chain);                                                                                                                          \
    }
#define READ_WIDE(p) (n - at >= V_WIDE ? V_load_wide(p) : V_load_wide_n(p, (int)(n - at)))
#define VALUE(load) load(x + at)
#define PRODUCT(load) load(a + at) * load(b + at)
#define SQUARE(load) R_(squared)(load(x + at))
PN_INLINE pn_vec_d R_(squared)(pn_vec_d x) { return x * x; }
REDUCTION(sum, (const real *x, int64_t n), VALUE)
REDUCTION(dot, (const real *a, const real *b, int64_t n), PRODUCT)
REDUCTION(sum_squares, (const real *x, int64_t n), SQUARE)
#undef REDUCTION
#undef VALUE
#undef PRODUCT
#undef SQUARE
#undef READ_WIDE

static real R_(max)(const real *x, int64_t n) {
    V most = V_of(-INFINITE), v = most;
    VI nan = (VI)(v != v);
    for (int64_t i = 0; i < n; i += V_LANES) {
        v = V_read_or(x + i, n - i, -INFINITE);
        most = V_max(v, most);
        nan |= (VI)(v != v);
    }
    real lane[V_LANES], y;
    V_store(lane, most);
    y = lane[0];
    for (int i = 1; i < V_LANES; i++) y = lane[i] > y ? lane[i] : y;
    return V_any(nan) ? NOT_A_NUMBER : y;
}

/* By bits: as integers, absolute values are in order, Inf above the finite numbers and NaN above Inf. */
static real R_(abs_max)(const real *x, int64_t n) {
    VI most = {0};
    for (int64_t i = 0; i < n; i += V_LANES) {
        const VI v = V_bits(V_abs(V_read(x + i, n - i)));
        most = V_bits(V_select(v > most, V_from_bits(v), V_from_bits(most)));
    }
    VI_element lane[V_LANES], largest;
    real y;
    memcpy(lane, &most, sizeof lane);
    largest = lane[0];
    for (int i = 1; i < V_LANES; i++) largest = lane[i] > largest ? lane[i] : largest;
    memcpy(&y, &largest, sizeof y);
    return y;
}

/* out[cols] (= or +=) sum over rows of x[rows, cols], rows in order; COLUMN_PARTS vectors of columns at a time stay in registers. */
#define COLUMN_PARTS 4
static void R_(column_sums)(real *out, const real *x, int64_t rows, int64_t cols, int64_t ld, bool add) {
    int64_t c = 0;
    for (; c + COLUMN_PARTS * V_WIDE <= cols; c += COLUMN_PARTS * V_WIDE) {
        pn_vec_d total[COLUMN_PARTS];
        _Pragma("GCC unroll 4") for (int j = 0; j < COLUMN_PARTS; j++) total[j] = add ? V_load_wide(out + c + j * V_WIDE) : (pn_vec_d){0};
        for (int64_t r = 0; r < rows; r++) {
            _Pragma("GCC unroll 4") for (int j = 0; j < COLUMN_PARTS; j++) total[j] += V_load_wide(x + r * ld + c + j * V_WIDE);
        }
        _Pragma("GCC unroll 4") for (int j = 0; j < COLUMN_PARTS; j++) V_store_wide(out + c + j * V_WIDE, total[j]);
    }
    for (; c < cols; c += V_WIDE) {
        const int left = cols - c < V_WIDE ? (int)(cols - c) : V_WIDE;
        pn_vec_d total = {0};
        if (left == V_WIDE) {
            if (add) total = V_load_wide(out + c);
            for (int64_t r = 0; r < rows; r++) total += V_load_wide(x + r * ld + c);
            V_store_wide(out + c, total);
        } else {
            if (add) total = V_load_wide_n(out + c, left);
            for (int64_t r = 0; r < rows; r++) total += V_load_wide_n(x + r * ld + c, left);
            V_store_wide_n(out + c, total, left);
        }
    }
}
#undef COLUMN_PARTS
