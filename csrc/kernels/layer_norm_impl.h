/* The loops of layer norm and group norm. Each element of a row has its own weight w and bias b; w NULL: all have `weight`. With d = x - middle, g' = g w:
 *
 *   row_rescale   y = (d a + q) w + b                  row_products  one += sum of g', two += sum of g' d
 *   row_gradient  gx (= or +=) (g' + d p + q) a        weight_sums   gw = sum of g (x - mean) scale, gb = sum of g over rows
 *
 * All but the first run in double: g' + d p + q may cancel to nearly nothing, which a then makes large. Forward without weights is rescale of
 * batch_norm_impl.h. A row's sums go through SUM_LANES chains, a column's rows are added in order. */
#define READ_LEFT(p, left) ((left) >= V_WIDE ? V_load_wide(p) : V_load_wide_n(p, (int)((left) > 0 ? (left) : 0)))

static void R_(row_rescale)(real *y, const real *x, const real *w, const real *b, int64_t n, real middle, real a, real q) {
    const V none = V_of(C(0));
    for (int64_t i = 0; i < n; i += V_LANES) {
        const V h = (V_read(x + i, n - i) - middle) * a + q;
        V_write(y + i, h * V_read(w + i, n - i) + (b ? V_read(b + i, n - i) : none), n - i);
    }
}

static void R_(row_products)(double *one, double *two, const real *g, const real *w, const real *x, int64_t n, real middle) {
    pn_vec_d sum[SUM_PARTS], other[SUM_PARTS];
    int64_t i = 0;
    FOR_PARTS(j) sum[j] = other[j] = (pn_vec_d){0};
    for (; i + SUM_LANES <= n; i += SUM_LANES) {
        FOR_PARTS(j) {
            const int64_t at = i + j * V_WIDE;
            const pn_vec_d v = V_load_wide(g + at) * V_load_wide(w + at);
            sum[j] += v;
            other[j] += v * (V_load_wide(x + at) - middle);
        }
    }
    for (int j = 0; i + j * V_WIDE < n; j++) {
        const int64_t at = i + j * V_WIDE, left = n - at;
        const pn_vec_d v = READ_LEFT(g + at, left) * READ_LEFT(w + at, left);
        sum[j] += v;
        other[j] += v * (READ_LEFT(x + at, left) - middle);
    }
    *one += R_(sum_chains)(sum);
    *two += R_(sum_chains)(other);
}

static void R_(row_gradient)(real *gx, const real *g, const real *w, const real *x, int64_t n, double weight, double middle, double p, double q, double a,
                             bool add) {
    for (int64_t i = 0; i < n; i += V_WIDE) {
        const int64_t left = n - i;
        const pn_vec_d factor = w ? READ_LEFT(w + i, left) : (pn_vec_d){0} + weight;
        pn_vec_d v = (READ_LEFT(g + i, left) * factor + q + (READ_LEFT(x + i, left) - middle) * p) * a;
        if (add) v += READ_LEFT(gx + i, left);
        if (left >= V_WIDE)
            V_store_wide(gx + i, v);
        else
            V_store_wide_n(gx + i, v, (int)left);
    }
}

/* x and g of rows that are n apart, from one column on; moments: of each row its mean, as two
 * numbers, and scale. */
#define WEIGHT_PARTS 4 /* vectors of columns whose sums stay in registers */
#define FOR_WEIGHTS(j) _Pragma("GCC unroll 4") for (int j = 0; j < WEIGHT_PARTS; j++)
static void R_(weight_sums)(double *gw, double *gb, const real *g, const real *x, const double *moments, int64_t rows, int64_t cols, int64_t n) {
    int64_t c = 0;
    for (; c + WEIGHT_PARTS * V_WIDE <= cols; c += WEIGHT_PARTS * V_WIDE) {
        pn_vec_d sum[WEIGHT_PARTS], other[WEIGHT_PARTS];
        FOR_WEIGHTS(j) sum[j] = other[j] = (pn_vec_d){0};
        for (int64_t r = 0; r < rows; r++) {
            const double *at = moments + 3 * r;
            FOR_WEIGHTS(j) {
                const pn_vec_d v = V_load_wide(g + r * n + c + j * V_WIDE);
                sum[j] += v * (((V_load_wide(x + r * n + c + j * V_WIDE) - at[0]) - at[1]) * at[2]);
                other[j] += v;
            }
        }
        memcpy(gw + c, sum, sizeof sum);
        memcpy(gb + c, other, sizeof other);
    }
    for (; c < cols; c += V_WIDE) {
        const int64_t left = cols - c;
        pn_vec_d sum = {0}, other = {0};
        for (int64_t r = 0; r < rows; r++) {
            const double *at = moments + 3 * r;
            const pn_vec_d v = READ_LEFT(g + r * n + c, left);
            sum += v * (((READ_LEFT(x + r * n + c, left) - at[0]) - at[1]) * at[2]);
            other += v;
        }
        memcpy(gw + c, &sum, left >= V_WIDE ? sizeof sum : (size_t)left * sizeof *gw);
        memcpy(gb + c, &other, left >= V_WIDE ? sizeof other : (size_t)left * sizeof *gb);
    }
}
#undef FOR_WEIGHTS
#undef WEIGHT_PARTS
#undef READ_LEFT
