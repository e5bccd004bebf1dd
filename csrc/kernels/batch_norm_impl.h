/* The loops of batch norm, each for a run of one channel and, as column_..., for rows whose columns are the channels. With d = x - middle:
 *
 *   moments   one += sum of d, two += sum of d^2      products  one += sum of g, two += sum of g d      in double
 *   rescale   y = d a + b                             gradient  gx (= or +=) g a + d p + q
 *
 * A run's sums go through SUM_LANES chains as in reduce_impl.h; a column's rows are added in order. */

#define DISTANCE d
#define SQUARE d *d
#define GRADIENT R_(load_left)(g + at, left, 0)
#define PRODUCT GRADIENT *d

/* V_WIDE elements as doubles, `filler` from element `left` on. */
PN_INLINE pn_vec_d R_(load_left)(const real *p, int64_t left, real filler) {
    if (left >= V_WIDE) return V_load_wide(p);
    real rest[V_WIDE];
    for (int l = 0; l < V_WIDE; l++) rest[l] = l < left ? p[l] : filler;
    return V_load_wide(rest);
}

#define SUM_OF_RUN(name, arguments, first, second)                                                                                                             \
    static void R_(name) arguments {                                                                                                                           \
        pn_vec_d sum[SUM_PARTS], other[SUM_PARTS];                                                                                                             \
        FOR_PARTS(j) sum[j] = other[j] = (pn_vec_d){0};                                                                                                        \
        int64_t i = 0;                                                                                                                                         \
        for (; i + SUM_LANES <= n; i += SUM_LANES) {                                                                                                           \
            FOR_PARTS(j) {                                                                                                                                     \
                const int64_t at = i + j * V_WIDE, left = V_WIDE;                                                                                              \
                const pn_vec_d d = R_(load_left)(x + at, left, middle) - middle;                                                                               \
                sum[j] += first;                                                                                                                               \
                other[j] += second;                                                                                                                            \
            }                                                                                                                                                  \
        }                                                                                                                                                      \
        for (int j = 0; i + j * V_WIDE < n; j++) {                                                                                                             \
            const int64_t at = i + j * V_WIDE, left = n - at;                                                                                                  \
            const pn_vec_d d = R_(load_left)(x + at, left, middle) - middle;                                                                                   \
            sum[j] += first;                                                                                                                                   \
            other[j] += second;                                                                                                                                \
        }                                                                                                                                                      \
        *one += R_(sum_chains)(sum);                                                                                                                           \
        *two += R_(sum_chains)(other);                                                                                                                         \
    }
SUM_OF_RUN(moments, (double *one, double *two, const real *x, int64_t n, real middle), DISTANCE, SQUARE)
SUM_OF_RUN(products, (double *one, double *two, const real *g, const real *x, int64_t n, real middle), GRADIENT, PRODUCT)
#undef SUM_OF_RUN

#define SUM_PANEL 4 /* vectors of columns whose sums stay in registers */
#define FOR_PANEL(j) _Pragma("GCC unroll 4") for (int j = 0; j < SUM_PANEL; j++)
#define SUM_OF_COLUMNS(name, arguments, first, second)                                                                                                         \
    static void R_(name) arguments {                                                                                                                           \
        for (int64_t c = 0; c < cols; c += SUM_PANEL * V_WIDE) {                                                                                               \
            pn_vec_d sum[SUM_PANEL], other[SUM_PANEL], from[SUM_PANEL];                                                                                        \
            double room[2][SUM_PANEL * V_WIDE];                                                                                                                \
            FOR_PANEL(j) {                                                                                                                                     \
                sum[j] = other[j] = (pn_vec_d){0};                                                                                                             \
                from[j] = R_(load_left)(middle + c + j * V_WIDE, cols - c - j * V_WIDE, 0);                                                                    \
            }                                                                                                                                                  \
            for (int64_t r = 0; r < rows; r++) {                                                                                                               \
                FOR_PANEL(j) {                                                                                                                                 \
                    const int64_t at = r * ld + c + j * V_WIDE, left = cols - c - j * V_WIDE;                                                                  \
                    const pn_vec_d d = R_(load_left)(x + at, left, 0) - from[j];                                                                               \
                    sum[j] += first;                                                                                                                           \
                    other[j] += second;                                                                                                                        \
                }                                                                                                                                              \
            }                                                                                                                                                  \
            memcpy(room[0], sum, sizeof room[0]);                                                                                                              \
            memcpy(room[1], other, sizeof room[1]);                                                                                                            \
            for (int64_t j = 0; j < SUM_PANEL * V_WIDE && c + j < cols; j++) one[c + j] += room[0][j], two[c + j] += room[1][j];                               \
        }                                                                                                                                                      \
    }
SUM_OF_COLUMNS(column_moments, (double *one, double *two, const real *x, int64_t rows, int64_t cols, int64_t ld, const real *middle), DISTANCE, SQUARE)
SUM_OF_COLUMNS(column_products, (double *one, double *two, const real *g, const real *x, int64_t rows, int64_t cols, int64_t ld, const real *middle), GRADIENT,
               PRODUCT)
#undef SUM_OF_COLUMNS
#undef FOR_PANEL
#undef SUM_PANEL
#undef DISTANCE
#undef SQUARE
#undef GRADIENT
#undef PRODUCT

static void R_(rescale)(real *y, const real *x, int64_t n, real middle, real a, real b) {
    for (int64_t i = 0; i < n; i += V_LANES) V_write(y + i, (V_read(x + i, n - i) - middle) * a + b, n - i);
}

/* rows of `cols`, all ld apart */
static void R_(column_rescale)(real *y, const real *x, int64_t rows, int64_t cols, int64_t ld, const real *middle, const real *a, const real *b) {
    for (int64_t c = 0; c < cols; c += V_LANES) {
        const int64_t left = cols - c;
        const V from = V_read(middle + c, left), scale = V_read(a + c, left), shift = V_read(b + c, left);
        for (int64_t i = c; i < rows * ld; i += ld) V_write(y + i, (V_read(x + i, left) - from) * scale + shift, left);
    }
}

static void R_(gradient)(real *gx, const real *g, const real *x, int64_t n, real middle, real a, real p, real q, bool add) {
    for (int64_t i = 0; i < n; i += V_LANES) {
        const V v = V_read(g + i, n - i) * a + ((V_read(x + i, n - i) - middle) * p + q);
        V_write(gx + i, add ? v + V_read(gx + i, n - i) : v, n - i);
    }
}

static void R_(column_gradient)(real *gx, const real *g, const real *x, int64_t rows, int64_t cols, int64_t ld, const real *middle, const real *a,
                                const real *p, const real *q, bool add) {
    for (int64_t c = 0; c < cols; c += V_LANES) {
        const int64_t left = cols - c;
        const V from = V_read(middle + c, left), scale = V_read(a + c, left), slope = V_read(p + c, left), shift = V_read(q + c, left);
        for (int64_t i = c; i < rows * ld; i += ld) {
            const V v = V_read(g + i, left) * scale + ((V_read(x + i, left) - from) * slope + shift);
            V_write(gx + i, add ? v + V_read(gx + i, left) : v, left);
        }
    }
}
