/* Sums and extremes. A sum runs in SUM_LANES chains of doubles whatever the width of a vector: element i goes to chain i % SUM_LANES, the chains are then
 * added pairwise. So its order depends on n alone, and is the same at every level. */
#define SUM_LANES 16
#define SUM_PARTS (SUM_LANES / V_WIDE)
#define FOR_PARTS(j) _Pragma("GCC unroll 16") for (int j = 0; j < SUM_PARTS; j++)

/* The total of all chains: the upper half is added to the lower one until one is left, across vectors and then across lanes. */
PN_INLINE double R_(sum_chains)(const pn_vec_d *chain) {
    pn_vec_d part[SUM_PARTS];
    FOR_PARTS(j) part[j] = chain[j];
    if (SUM_PARTS > 8) { _Pragma("GCC unroll 8") for (int j = 0; j < 8; j++) part[j] += part[j + 8]; }
    if (SUM_PARTS > 4) { _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) part[j] += part[j + 4]; }
    if (SUM_PARTS > 2) { _Pragma("GCC unroll 2") for (int j = 0; j < 2; j++) part[j] += part[j + 2]; }
    return pn_total_d(part[0] + part[1]);
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

#define EXTREME_CHAINS 4 /* a comparison takes several cycles: so many run at a time */
#define FOR_CHAINS(j) _Pragma("GCC unroll 4") for (int j = 0; j < EXTREME_CHAINS; j++)
/* The largest element in `most`, and in `odd` a lane that is NaN if any element is NaN. */
#define EXTREME(name, start, value, watch)                                                                                                                     \
    static real R_(name)(const real *x, int64_t n) {                                                                                                           \
        V most[EXTREME_CHAINS], odd[EXTREME_CHAINS];                                                                                                           \
        FOR_CHAINS(j) most[j] = V_of(start), odd[j] = V_of(C(0));                                                                                              \
        int64_t i = 0;                                                                                                                                         \
        for (; i + EXTREME_CHAINS * V_LANES <= n; i += EXTREME_CHAINS * V_LANES) {                                                                             \
            FOR_CHAINS(j) {                                                                                                                                    \
                const V v = value(V_load(x + i + j * V_LANES));                                                                                                \
                most[j] = V_max(v, most[j]);                                                                                                                   \
                odd[j] = watch(odd[j], v);                                                                                                                     \
            }                                                                                                                                                  \
        }                                                                                                                                                      \
        for (; i < n; i += V_LANES) {                                                                                                                          \
            const V v = value(V_read_or(x + i, n - i, start));                                                                                                 \
            most[0] = V_max(v, most[0]);                                                                                                                       \
            odd[0] = watch(odd[0], v);                                                                                                                         \
        }                                                                                                                                                      \
        odd[0] = (odd[0] + odd[1]) + (odd[2] + odd[3]);                                                                                                        \
        if (V_any(odd[0] != odd[0])) return NOT_A_NUMBER;                                                                                                      \
        return V_largest(V_max(V_max(most[0], most[1]), V_max(most[2], most[3])));                                                                             \
    }
#define ITSELF(v) (v)
#define KEEP_NAN(odd, v) V_select((v) == (v), odd, v)
#define ADD(odd, v) ((odd) + (v)) /* of absolute values: NaN if one is NaN, for Inf never meets -Inf */
EXTREME(max, -INFINITE, ITSELF, KEEP_NAN)
EXTREME(abs_max, C(0), V_abs, ADD)
#undef EXTREME
#undef ITSELF
#undef KEEP_NAN
#undef ADD
#undef FOR_CHAINS
#undef EXTREME_CHAINS

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
