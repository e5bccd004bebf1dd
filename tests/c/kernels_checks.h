/* The checks of test_kernels.c for one real type, read through base/real.h. Each takes the table of one level. */
#define EPS (PN_DOUBLE ? 0x1p-52L : 0x1p-23L)
#define GUARD C_(-77)
#define C_(x) ((real)(x))

/* Room for N elements that start one element off every boundary, with guards on both sides. */
enum { R_(N) = 200 };
#define N R_(N)
typedef struct R_(buffer) {
    _Alignas(64) real all[N + 64];
} R_(buffer);
static real *R_(guarded)(R_(buffer) *b) {
    for (int i = 0; i < N + 64; i++) b->all[i] = GUARD;
    return b->all + 33;
}
static bool R_(guards_intact)(const R_(buffer) *b, int n) {
    for (int i = 0; i < N + 64; i++) {
        if ((i < 33 || i >= 33 + n) && b->all[i] != GUARD) return false;
    }
    return true;
}

/* Ordinary numbers with the special ones among them. */
static void R_(draw)(real *x, int n, uint64_t seed, bool special) {
    static const double odd[] = {0, -0.0, INFINITY, -INFINITY, NAN, 1e-40, -1e-40, 1, -1, 100, -100, 1e30, -1e30, 0.5, 2, 3, -2, -3};
    double u[N];
    pn_rng_uniform(seed, 0, 0, n, u);
    for (int i = 0; i < n; i++) x[i] = special && i % 3 == 1 ? C_(odd[(size_t)(u[i] * 18)]) : C_(8 * u[i] - 4);
}

static bool R_(same)(real a, real b) { return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b); }
static bool R_(all_same)(const real *a, const real *b, int n) {
    for (int i = 0; i < n; i++) {
        if (!R_(same)(a[i], b[i])) return false;
    }
    return true;
}
/* |got - want| <= tolerance |want| + least, and both finite, both infinite of one sign, or both NaN; want is first brought into the range of real. */
static bool R_(near)(real got, wide want, wide tolerance, wide least) {
    const real rounded = C_(want);
    if (rounded != rounded || got != got) return rounded != rounded && got != got;
    if (isinf(rounded) || isinf(got)) return got == rounded || fabsl(want) > 0.999L * (PN_DOUBLE ? 0x1p1024L : 0x1p128L);
    return fabsl((wide)got - want) <= tolerance * fabsl(want) + least;
}

/* Lengths around every tile, then each element alone: its bits must be the same wherever it stands. */
static void R_(check_activation)(const pn_kernels *level, int act, const double *p) {
    const R_(pn_kernels) *k = &level->R_(table);
    R_(buffer) bx, by, bg, bw;
    real *x = R_(guarded)(&bx), *y, *gy = R_(guarded)(&bg), *gx;
    bool known;
    const wide tolerance = (act == PN_ACT_gelu_tanh ? 64 : 8) * EPS; /* the cubic's rounding error grows with its size in the exponent */
    for (int special = 0; special < 2; special++) {
        for (int n = 0; n <= 40; n++) {
            R_(draw)(x, n, (uint64_t)(act * 100 + n), special);
            R_(draw)(gy, n, (uint64_t)(act * 100 + n + 50), false);
            y = R_(guarded)(&by);
            gx = R_(guarded)(&bw);
            k->act_forward[act](y, x, n, p);
            k->act_backward[act](gx, pn_acts[act].needs_x ? x : NULL, pn_acts[act].needs_y ? y : NULL, gy, n, p, false);
            CHECK(R_(guards_intact)(&by, n) && R_(guards_intact)(&bw, n), "%s writes beyond %d elements", pn_acts[act].name, n);
            for (int i = 0; i < n; i++) {
                const wide want = act_reference(act, x[i], p, &known);
                CHECK(R_(near)(y[i], want, tolerance, PN_DOUBLE ? 1e-320L : 1e-43L), "%s(%.9g) = %.9g, not %.9Lg", pn_acts[act].name, (double)x[i],
                      (double)y[i], want);
                /* The gradient of numbers where the reference is finite; at infinite x formulas such as 0 Inf are anyone's. */
                const wide slope = act_derivative(act, x[i], p);
                const bool plain = isfinite((double)x[i]) && isfinite((double)y[i]) && fabs((double)x[i]) < 1e18 && fabsl(slope) < 1e18L;
                if (plain)
                    CHECK(R_(near)(gx[i], slope * gy[i], 16 * EPS, 32 * EPS), "%s'(%.9g) * %.9g = %.9g, not %.9Lg", pn_acts[act].name, (double)x[i],
                          (double)gy[i], (double)gx[i], slope * gy[i]);
                real alone, alone_gradient;
                k->act_forward[act](&alone, x + i, 1, p);
                k->act_backward[act](&alone_gradient, x + i, y + i, gy + i, 1, p, false);
                CHECK(R_(same)(alone, y[i]) && R_(same)(alone_gradient, gx[i]), "%s of %.9g depends on its place", pn_acts[act].name, (double)x[i]);
                if (x[i] != x[i]) CHECK(y[i] != y[i], "%s(NaN) = %.9g", pn_acts[act].name, (double)y[i]);
            }
            /* adding, and in place */
            real sum[N], once[N], z[N];
            memcpy(sum, gy, sizeof(real) * (size_t)n);
            k->act_backward[act](sum, x, y, gy, n, p, true);
            for (int i = 0; i < n; i++) CHECK(R_(near)(sum[i], (wide)gx[i] + gy[i], 2 * EPS, 8 * EPS * fabsl((wide)gx[i])), "%s adds", pn_acts[act].name);
            memcpy(once, gy, sizeof(real) * (size_t)n);
            k->act_backward[act](once, x, y, once, n, p, false);
            memcpy(z, x, sizeof(real) * (size_t)n);
            k->act_forward[act](z, z, n, p);
            CHECK(R_(all_same)(once, gx, n) && R_(all_same)(z, y, n), "%s in place", pn_acts[act].name);
        }
    }
    CHECK(known, "%s has no reference in kernels_reference.h", pn_acts[act].name);
}

static void R_(check_binary)(const pn_kernels *level, int op) {
    const R_(pn_kernels) *k = &level->R_(table);
    R_(buffer) ba, bb, by;
    real *a = R_(guarded)(&ba), *b = R_(guarded)(&bb);
    for (int form = 0; form < 6; form++) {
        const int sa = form % 3 != 1, sb = form % 3 != 2, special = form >= 3;
        for (int n = 0; n <= 40; n++) {
            R_(draw)(a, n ? n : 1, (uint64_t)(op * 1000 + n), special);
            R_(draw)(b, n ? n : 1, (uint64_t)(op * 1000 + n + 500), special);
            if (!special && op == PN_BIN_pow) {
                for (int i = 0; i < n; i++) a[i] = C_(fabsl(a[i]));
            }
            if (n > 2) b[2] = a[2];
            real *y = R_(guarded)(&by);
            k->binary[op](y, a, sa, b, sb, n);
            CHECK(R_(guards_intact)(&by, n));
            for (int i = 0; i < n; i++) {
                const real u = a[i * sa], v = b[i * sb];
                CHECK(R_(near)(y[i], binary_reference(op, u, v), EPS, PN_DOUBLE ? 5e-324L : 1.5e-45L), "op %d of %.9g and %.9g is %.9g, not %.9Lg", op,
                      (double)u, (double)v, (double)y[i], binary_reference(op, u, v));
                real alone;
                k->binary[op](&alone, a + i * sa, sa, b + i * sb, sb, 1);
                CHECK(R_(same)(alone, y[i]), "op %d depends on the place", op);
            }
            real in_place[N];
            memcpy(in_place, sa ? a : b, sizeof(real) * (size_t)n);
            k->binary[op](in_place, sa ? in_place : a, sa, sa ? b : in_place, sb, n);
            CHECK(R_(all_same)(in_place, y, n));
        }
    }
}

static void R_(check_linear)(const pn_kernels *level) { /* fill, accumulate, scale, mul_add, add_bias, clip, transpose */
    const R_(pn_kernels) *k = &level->R_(table);
    R_(buffer) ba, bb, by;
    real *a = R_(guarded)(&ba), *b = R_(guarded)(&bb), *y, start[N];
    const real f = C_(1.7);
    for (int n = 0; n <= 40; n++) {
        R_(draw)(a, N, (uint64_t)n, false);
        R_(draw)(b, N, (uint64_t)n + 99, false);
        R_(draw)(start, N, (uint64_t)n + 999, false);
        y = R_(guarded)(&by);
        k->fill(y, f, n);
        for (int i = 0; i < n; i++) CHECK(y[i] == f);
        memcpy(y, start, sizeof(real) * (size_t)n);
        k->accumulate(y, a, n);
        for (int i = 0; i < n; i++) CHECK(y[i] == start[i] + a[i]);
        for (int add = 0; add < 2; add++) {
            memcpy(y, start, sizeof(real) * (size_t)n);
            k->scale(y, a, f, n, add);
            for (int i = 0; i < n; i++) CHECK(R_(near)(y[i], (wide)f * a[i] + add * (wide)start[i], EPS, 8 * EPS));
            memcpy(y, start, sizeof(real) * (size_t)n);
            k->mul_add(y, a, b, n, add);
            for (int i = 0; i < n; i++) CHECK(R_(near)(y[i], (wide)b[i] * a[i] + add * (wide)start[i], EPS, 8 * EPS));
        }
        k->clip(y, a, -1, 0.5, n);
        for (int i = 0; i < n; i++) CHECK(y[i] == (a[i] < -1 ? -1 : a[i] > C_(0.5) ? C_(0.5) : a[i]));
        CHECK(R_(guards_intact)(&by, n));
    }
    for (int cols = 1; cols <= 40; cols++) {
        y = R_(guarded)(&by);
        memcpy(y, start, sizeof(real) * 4 * (size_t)cols);
        k->add_bias(y, b, 4, cols);
        for (int i = 0; i < 4 * cols; i++) CHECK(y[i] == start[i] + b[i % cols]);
        CHECK(R_(guards_intact)(&by, 4 * cols));
        y = R_(guarded)(&by);
        k->transpose(y, a, 3, cols, cols + 1, 4); /* (3, cols) with row stride cols + 1 into (cols, 3) with row stride 4 */
        for (int c = 0; c < cols; c++) {
            for (int r = 0; r < 3; r++) CHECK(y[c * 4 + r] == a[r * (cols + 1) + c]);
            CHECK(y[c * 4 + 3] == GUARD);
        }
    }
    const real odd[3] = {C_(NAN), C_(INFINITY), C_(-INFINITY)};
    real clipped[3];
    k->clip(clipped, odd, -1, 1, 3);
    CHECK(clipped[0] != clipped[0] && clipped[1] == 1 && clipped[2] == -1);
}

static void R_(check_reductions)(const pn_kernels *level) {
    const R_(pn_kernels) *k = &level->R_(table), *portable = &pn_kernels_of(PN_ISA_PORTABLE)->R_(table);
    R_(buffer) ba, bb;
    real *a = R_(guarded)(&ba), *b = R_(guarded)(&bb);
    for (int n = 0; n <= N; n++) {
        R_(draw)(a, n, (uint64_t)n, false);
        R_(draw)(b, n, (uint64_t)n + 7777, false);
        wide sum = 0, dot = 0, squares = 0, size = 0;
        real most = C_(-INFINITY), widest = 0;
        for (int i = 0; i < n; i++) {
            sum += a[i];
            dot += (wide)a[i] * b[i];
            squares += (wide)a[i] * a[i];
            size += fabsl(a[i]);
            if (a[i] > most) most = a[i];
            if (fabsl(a[i]) > widest) widest = C_(fabsl(a[i]));
        }
        CHECK(fabsl(k->sum(a, n) - sum) <= 1e-15L * size && fabsl(k->dot(a, b, n) - dot) <= 4e-15L * size &&
              fabsl(k->sum_squares(a, n) - squares) <= 1e-14L * size);
        CHECK(k->sum(a, n) == portable->sum(a, n), "the order of a sum depends on n alone");
        CHECK(k->abs_max(a, n) == widest && (!n || k->max(a, n) == most), "n = %d", n);
        for (int i = 0; i < n; i++) { /* one odd element anywhere is seen */
            const real keep = a[i];
            a[i] = C_(NAN);
            CHECK(isnan((double)k->max(a, n)) && isnan((double)k->abs_max(a, n)) && isnan(k->sum(a, n)));
            a[i] = C_(-INFINITY);
            CHECK(isinf((double)k->abs_max(a, n)) && k->sum(a, n) < 0 && isinf(k->sum(a, n)));
            a[i] = keep;
        }
    }
    for (int cols = 0; cols <= 45; cols++) {
        real out[64], many[20 * 50];
        double u[1000];
        pn_rng_uniform(3, 0, 0, 1000, u);
        for (int i = 0; i < 1000; i++) many[i] = C_(u[i] - 0.5);
        for (int add = 0; add < 2; add++) {
            for (int i = 0; i < 64; i++) out[i] = GUARD;
            k->column_sums(out, many, 19, cols, 50, add);
            for (int c = 0; c < 64; c++) {
                wide want = add || c >= cols ? GUARD : 0;
                for (int r = 0; c < cols && r < 19; r++) want += many[r * 50 + c];
                CHECK(R_(near)(out[c], want, EPS, 20 * 0x1p-53L * (add ? 80 : 10))); /* rounding of 20 additions in double */
            }
        }
    }
}

static void R_(check_softmax)(const pn_kernels *level) {
    const R_(pn_kernels) *k = &level->R_(table);
    enum { ROWS = 3 };
    for (int cols = 1; cols <= 50; cols++) {
        R_(buffer) bx, by, bl, bg;
        real *x = R_(guarded)(&bx), *y = R_(guarded)(&by), *ly = R_(guarded)(&bl), *gy = R_(guarded)(&bg), lse[ROWS], gx[N];
        R_(draw)(x, ROWS * cols, (uint64_t)cols, false);
        R_(draw)(gy, ROWS * cols, (uint64_t)cols + 9, false);
        for (int c = 0; c < cols; c++) x[cols + c] += 1000; /* stable */
        k->softmax(y, x, ROWS, cols);
        k->log_softmax(ly, x, ROWS, cols);
        k->log_sum_exp(lse, x, ROWS, cols);
        CHECK(R_(guards_intact)(&by, ROWS * cols) && R_(guards_intact)(&bl, ROWS * cols));
        for (int r = 0; r < ROWS; r++) {
            wide total = 0, dot = 0, sum = 0;
            const real shift = x[r * cols];
            for (int c = 0; c < cols; c++) total += expl((wide)x[r * cols + c] - shift);
            const wide l = logl(total) + shift;
            CHECK(R_(near)(lse[r], l, EPS, 4 * EPS));
            for (int c = 0; c < cols; c++) {
                const wide want = expl(x[r * cols + c] - l);
                CHECK(R_(near)(y[r * cols + c], want, 8 * EPS, 0), "softmax of %d", cols);
                CHECK(R_(near)(ly[r * cols + c], x[r * cols + c] - l, 2 * EPS, 8 * EPS));
                dot += want * gy[r * cols + c];
                sum += gy[r * cols + c];
            }
            for (int add = 0; add < 2; add++) {
                memcpy(gx, gy, sizeof(real) * (size_t)(ROWS * cols));
                k->softmax_backward(gx, y, gy, ROWS, cols, add);
                for (int c = 0; c < cols; c++) {
                    const wide want = expl(x[r * cols + c] - l) * (gy[r * cols + c] - dot);
                    CHECK(R_(near)(gx[r * cols + c], want + add * (wide)gy[r * cols + c], 2 * EPS, 32 * EPS));
                }
                memcpy(gx, gy, sizeof(real) * (size_t)(ROWS * cols));
                k->log_softmax_backward(gx, ly, gy, ROWS, cols, add);
                for (int c = 0; c < cols; c++) {
                    const wide want = gy[r * cols + c] - expl(x[r * cols + c] - l) * sum;
                    CHECK(R_(near)(gx[r * cols + c], want + add * (wide)gy[r * cols + c], 2 * EPS, 64 * EPS * (1 + fabsl(sum))));
                }
            }
        }
        memcpy(gx, x, sizeof(real) * (size_t)(ROWS * cols));
        k->softmax(gx, gx, ROWS, cols);
        CHECK(R_(all_same)(gx, y, ROWS * cols), "softmax in place");
        x[cols / 2] = C_(NAN);
        k->softmax(y, x, 1, cols);
        k->log_sum_exp(lse, x, 1, cols);
        CHECK(y[0] != y[0] && lse[0] != lse[0], "a NaN spoils its row");
        for (int c = 0; c < cols; c++) x[c] = C_(-INFINITY);
        k->log_sum_exp(lse, x, 1, cols);
        CHECK(lse[0] == C_(-INFINITY));
        x[cols - 1] = C_(INFINITY);
        k->log_sum_exp(lse, x, 1, cols);
        CHECK(lse[0] == C_(INFINITY));
    }
}

static void R_(check_dropout)(const pn_kernels *level) {
    const R_(pn_kernels) *k = &level->R_(table);
    static const uint64_t firsts[] = {0, 1, 2, 3, 4, 1001, UINT64_C(1) << 34};
    enum { MANY = 700 };
    static real x[MANY], y[MANY + 1];
    for (int i = 0; i < MANY; i++) x[i] = C_(i + 1);
    for (unsigned f = 0; f < sizeof firsts / sizeof *firsts; f++) {
        for (int n = 0; n <= MANY; n = n < 45 ? n + 1 : n + 131) {
            for (int add = 0; add < 2; add++) {
                for (int i = 0; i <= MANY; i++) y[i] = 5;
                k->dropout(y, x, n, UINT64_C(0x123456789ABCDEF0), 77, firsts[f], 0.3, 1 / 0.7, add);
                for (int i = 0; i <= MANY; i++) {
                    uint32_t word[4];
                    const uint64_t at = firsts[f] + (uint64_t)i;
                    pn_philox4x32(UINT64_C(0x123456789ABCDEF0), 77, at / 4, word);
                    const bool kept = i < n && pn_u32_to_unit(word[at % 4]) >= 0.3;
                    const wide want = i >= n ? 5 : (kept ? (wide)x[i] * C_(1 / 0.7) : 0) + (add ? 5 : 0);
                    CHECK(R_(near)(y[i], want, EPS, 0), "element %d of %d from %llu", i, n, (unsigned long long)firsts[f]);
                }
            }
        }
    }
    k->dropout(y, x, 100, 1, 1, 0, 0, 1, false);
    CHECK(R_(all_same)(x, y, 100), "drop = 0 is the identity");
    k->dropout(y, x, 100, 1, 1, 0, 1, 0, false);
    for (int i = 0; i < 100; i++) CHECK(y[i] == 0, "drop = 1 gives zeros");
}

static void R_(check_update)(const pn_kernels *level, int rule, int variant) {
    const R_(pn_kernels) *k = &level->R_(table);
    R_(buffer) bw, bg, bs[3];
    pn_hyper h = {.lr = 0.01, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .alpha = 0.99, .grad_scale = 1};
    if (variant & 1) h.weight_decay = 0.1, h.dampening = 0.2, h.lr_decay = 0.05, h.grad_scale = 0.5;
    if (variant & 2) h.nesterov = 1, h.dampening = 0, h.maximize = 1;
    for (int n = 0; n <= 40; n++) {
        wide want[N], state[N][3] = {{0}};
        real *w = R_(guarded)(&bw), *g = R_(guarded)(&bg), *s[3];
        for (int j = 0; j < 3; j++) {
            s[j] = R_(guarded)(&bs[j]);
            if (j < pn_updates[rule].n_state) memset(s[j], 0, sizeof(real) * (size_t)n);
        }
        R_(draw)(w, n, 1, false);
        for (int i = 0; i < n; i++) want[i] = w[i];
        for (h.step = 1; h.step <= 6; h.step++) {
            h.first = h.step == 1;
            pn_updates[rule].prepare(&h);
            R_(draw)(g, n, (uint64_t)h.step + 20, false);
            for (int i = 0; i < n; i++) update_reference(rule, &want[i], g[i], state[i], &h);
            k->update[rule](w, g, pn_updates[rule].n_state > 0 ? s[0] : NULL, pn_updates[rule].n_state > 1 ? s[1] : NULL,
                            pn_updates[rule].n_state > 2 ? s[2] : NULL, n, &h);
        }
        for (int i = 0; i < n; i++) {
            const bool cancels = rule == PN_UPDATE_rmsprop_centered || rule == PN_UPDATE_rmsprop_centered_momentum; /* s - a^2 */
            CHECK(R_(near)(w[i], want[i], 0, (cancels ? 4096 : 64) * EPS), "%s: %.9g, not %.9Lg", pn_updates[rule].name, (double)w[i], want[i]);
        }
        CHECK(R_(guards_intact)(&bw, n) && R_(guards_intact)(&bg, n));
        for (int j = 0; j < 3; j++)
            CHECK(R_(guards_intact)(&bs[j], j < pn_updates[rule].n_state ? n : 0), "%s writes only its own state", pn_updates[rule].name);
    }
}

/* Two tables that must agree in every bit: the portable level in vectors and as plain C. */
/* Convolution: 3 channels of 4 pixels from 3 taps, and sums of 3 x 3 over 2 rows of 2 pixels. */
static void R_(check_same_convolution)(const R_(pn_kernels) *a, const R_(pn_kernels) *b, const real *x, const real *z) {
    static const int64_t off[3] = {0, 48, 16};
    const R_(pn_kernels) *const table[2] = {a, b};
    real y[2][N] = {{0}}, sums[2][9] = {{0}}, work[N], packed[32];
    for (int i = 0; i < 2; i++) {
        CHECK(table[i]->conv.packed(3, 3) <= 32 && table[i]->conv.dots_work(3) <= N);
        table[i]->conv.pack(packed, z, 3, 3, 50, off);
        table[i]->conv.tile(
            &(R_(pn_conv_tile)){.m = 3, .pixels = 4, .k = 3, .w = packed, .x = x, .off = off, .step = 16, .y = y[i], .ldy = 64, .ystep = 16, .act = -1});
        table[i]->conv.dots(&(R_(pn_conv_dots)){.m = 3,
                                                .k = 3,
                                                .images = 1,
                                                .rows = 2,
                                                .pixels = 2,
                                                .g = z,
                                                .ldg = 64,
                                                .g_row = 32,
                                                .x = x,
                                                .off = off,
                                                .x_row = 48,
                                                .step = 16,
                                                .sums = sums[i],
                                                .ld = 3,
                                                .work = work});
    }
    CHECK(R_(all_same)(y[0], y[1], N) && R_(all_same)(sums[0], sums[1], 9), "convolution");
}

static void R_(check_same_bits)(const R_(pn_kernels) *a, const R_(pn_kernels) *b) {
    real x[N], z[N], y[2][N], g[2][N];
    const double p[2] = {0.25, 1};
    R_(draw)(x, N, 5, true);
    R_(draw)(z, N, 6, true);
    for (int act = 0; act < PN_ACT_COUNT; act++) {
        a->act_forward[act](y[0], x, N, p);
        b->act_forward[act](y[1], x, N, p);
        a->act_backward[act](g[0], x, y[0], z, N, p, false);
        b->act_backward[act](g[1], x, y[0], z, N, p, false);
        CHECK(R_(all_same)(y[0], y[1], N) && R_(all_same)(g[0], g[1], N), "%s", pn_acts[act].name);
    }
    for (int op = 0; op < PN_BIN_COUNT; op++) {
        a->binary[op](y[0], x, 1, z, 1, N);
        b->binary[op](y[1], x, 1, z, 1, N);
        CHECK(R_(all_same)(y[0], y[1], N), "op %d", op);
    }
    R_(draw)(x, N, 7, false);
    R_(draw)(z, N, 8, false);
    R_(check_same_convolution)(a, b, x, z);
    a->softmax(y[0], x, 4, 50);
    b->softmax(y[1], x, 4, 50);
    a->log_softmax(g[0], x, 10, 20);
    b->log_softmax(g[1], x, 10, 20);
    CHECK(R_(all_same)(y[0], y[1], N) && R_(all_same)(g[0], g[1], N), "softmax");
    a->column_sums(y[0], x, 5, 40, 40, false);
    b->column_sums(y[1], x, 5, 40, 40, false);
    CHECK(R_(all_same)(y[0], y[1], 40) && a->sum(x, N) == b->sum(x, N) && a->dot(x, z, N) == b->dot(x, z, N) && a->sum_squares(x, N) == b->sum_squares(x, N));
    CHECK(a->max(x, N) == b->max(x, N) && a->abs_max(x, N) == b->abs_max(x, N));
    a->dropout(y[0], x, N, 1, 2, 3, 0.5, 2, false);
    b->dropout(y[1], x, N, 1, 2, 3, 0.5, 2, false);
    CHECK(R_(all_same)(y[0], y[1], N), "dropout");
    pn_hyper h = {.lr = 0.01, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .alpha = 0.99, .grad_scale = 1, .step = 3};
    for (int rule = 0; rule < PN_UPDATE_COUNT; rule++) {
        real s[2][3][N];
        pn_updates[rule].prepare(&h);
        for (int j = 0; j < 3; j++) {
            R_(draw)(s[0][j], N, 9, false);
            for (int i = 0; i < N; i++) s[0][j][i] = C_(fabsl(s[0][j][i]) + (j ? 0 : 20));
        }
        memcpy(s[1], s[0], sizeof s[0]);
        memcpy(y[0], z, sizeof z);
        memcpy(y[1], z, sizeof z);
        a->update[rule](y[0], x, s[0][0], s[0][1], s[0][2], N, &h);
        b->update[rule](y[1], x, s[1][0], s[1][1], s[1][2], N, &h);
        CHECK(R_(all_same)(y[0], y[1], N) && R_(all_same)(s[0][0], s[1][0], 3 * N), "%s", pn_updates[rule].name);
    }
}
#undef N
#undef EPS
#undef GUARD
#undef C_
