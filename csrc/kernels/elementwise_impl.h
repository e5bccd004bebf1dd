/* Elementwise kernels that are no activations. Every loop does all its elements with the same vector code; V_read and V_write mind the end. */

/* out[i] = a[i sa] op b[i sb], strides 0 or 1 */
#define BINARY(name, expression)                                                                                                                               \
    static void R_(binary_##name)(real * out, const real *a_from, int sa, const real *b_from, int sb, int64_t n) {                                             \
        if (n <= 0) return;                                                                                                                                    \
        const V a_all = V_of(*a_from), b_all = V_of(*b_from);                                                                                                  \
        for (int64_t i = 0; i < n; i += V_LANES) {                                                                                                             \
            const V a = sa ? V_read(a_from + i, n - i) : a_all, b = sb ? V_read(b_from + i, n - i) : b_all;                                                    \
            V_write(out + i, (expression), n - i);                                                                                                             \
        }                                                                                                                                                      \
    }
BINARY(add, a + b)
BINARY(sub, a - b)
BINARY(mul, a *b)
BINARY(div, a / b)
BINARY(maximum, V_maximum(a, b))
BINARY(minimum, V_minimum(a, b))
BINARY(eq, V_keep(a == b, 1))
BINARY(ne, V_keep(a != b, 1))
BINARY(lt, V_keep(a < b, 1))
BINARY(le, V_keep(a <= b, 1))
BINARY(gt, V_keep(a > b, 1))
BINARY(ge, V_keep(a >= b, 1))
BINARY(pow_general, V_pow(a, b))
#undef BINARY
/* What is left of a after whole steps of b, with the sign of b. fmod is exact, in the library of every system. NaN where b is 0. */
static inline real R_(left_over)(real a, real b) {
    const real left = (real)__builtin_fmod(a, b);
    return left != 0 && (left < 0) != (b < 0) ? left + b : left;
}
/* The number of those steps. Python and PyTorch count them so: 1 // 0.1 is 9, for 0.1 is a little above one tenth, though 1 / 0.1 rounds to 10. */
static inline real R_(whole_steps)(real a, real b) {
    if (b == 0) return a / b;
    const real left = (real)__builtin_fmod(a, b), down = left != 0 && (left < 0) != (b < 0), steps = (a - left) / b - down; /* an integer, nearly */
    const real whole = (real)__builtin_floor(steps);
    return steps == 0 ? (real)__builtin_copysign(0, a / b) : whole + (steps - whole > (real)0.5);
}
static void R_(binary_remainder)(real *out, const real *a, int sa, const real *b, int sb, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = R_(left_over)(a[i * sa], b[i * sb]);
}
static void R_(binary_floor_divide)(real *out, const real *a, int sa, const real *b, int sb, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = R_(whole_steps)(a[i * sa], b[i * sb]);
}
/* A common exponent of 2 is one exact multiplication, as in PyTorch. */
static void R_(binary_pow)(real *out, const real *a, int sa, const real *b, int sb, int64_t n) {
    if (n > 0 && !sb && *b == 2)
        R_(binary_mul)(out, a, sa, a, sa, n);
    else
        R_(binary_pow_general)(out, a, sa, b, sb, n);
}

static void R_(fill_value)(real *y, real value, int64_t n) {
    const V v = V_of(value);
    for (int64_t i = 0; i < n; i += V_LANES) V_write(y + i, v, n - i);
}

static void R_(accumulate)(real *y, const real *x, int64_t n) {
    for (int64_t i = 0; i < n; i += V_LANES) V_write(y + i, V_read(y + i, n - i) + V_read(x + i, n - i), n - i);
}

static void R_(scale)(real *y, const real *x, real a, int64_t n, bool add) {
    for (int64_t i = 0; i < n; i += V_LANES) {
        V v = V_read(x + i, n - i) * a;
        if (add) v += V_read(y + i, n - i);
        V_write(y + i, v, n - i);
    }
}

static void R_(mul_add)(real *y, const real *a, const real *b, int64_t n, bool add) {
    for (int64_t i = 0; i < n; i += V_LANES) {
        V v = V_read(a + i, n - i) * V_read(b + i, n - i);
        if (add) v += V_read(y + i, n - i);
        V_write(y + i, v, n - i);
    }
}

/* y[rows, cols] += bias[cols] */
static void R_(add_bias)(real *y, const real *bias, int64_t rows, int64_t cols) {
    for (int64_t r = 0; r < rows; r++) R_(accumulate)(y + r * cols, bias, cols);
}

static void R_(clip)(real *y, const real *x, double lo, double hi, int64_t n) {
    const V least = V_of((real)lo), most = V_of((real)hi);
    for (int64_t i = 0; i < n; i += V_LANES) V_write(y + i, V_min(most, V_max(least, V_read(x + i, n - i))), n - i);
}

/* y[c, r] = x[r, c] by tiles that stay in the first cache; a tile's column is one line of y. */
static void R_(transpose)(real *y, const real *x, int64_t rows, int64_t cols, int64_t ldx, int64_t ldy) {
    for (int64_t r = 0; r < rows; r += V_LANES) {
        for (int64_t c = 0; c < cols; c += V_LANES) {
            V v[V_LANES];
            const real *from = x + r * ldx + c;
            real *to = y + c * ldy + r;
            const int64_t down = rows - r, right = cols - c;
            if (down >= V_LANES && right >= V_LANES) {
                for (int i = 0; i < V_LANES; i++) v[i] = V_load(from + i * ldx);
                V_turn(v);
                for (int i = 0; i < V_LANES; i++) V_store(to + i * ldy, v[i]);
            } else {
                for (int i = 0; i < V_LANES; i++) v[i] = i < down ? V_read(from + i * ldx, right) : V_of(0);
                V_turn(v);
                for (int i = 0; i < V_LANES && i < right; i++) V_write(to + i * ldy, v[i], down);
            }
        }
    }
}
