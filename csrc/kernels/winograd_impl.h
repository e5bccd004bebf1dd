/* Winograd's minimal filtering F(m x m, r x r) and, for the gradient of the weights, F(r x r, m x m), on tiles of n x n inputs with n = m + r - 1: n^2
 * multiplications for m x m outputs instead of r^2 m^2. n = 6 serves kernels of 2 x 2 to 5 x 5 (a quarter of the multiplications for 3 and 4, 1 / 2.8 for 2
 * and 5), n = 4 those of 3 x 3 (4 / 9). Sources: Winograd, Arithmetic complexity of computations (1980); Lavin and Gray, Fast algorithms for convolutional
 * neural networks (2016).
 *
 * Derivation. y_i = sum over k of d_(i+k) g_k is the transpose of a product of polynomials (Toom and Cook): with n points p_0 .. p_(n-2) and infinity,
 *     y = A' ((G g) * (B' d))       A'[i, j] = p_j^i     G[j, k] = p_j^k / N_j     N_j = product over l != j of p_j - p_l
 * where row j of B' holds the coefficients of M(x) / (x - p_j), M(x) = product of x - p_l, and its last row those of M; the point at infinity takes the
 * last input and the last tap. In two dimensions rows and columns are transformed one after the other. Outputs and taps may change places: m outputs of
 * r taps and r outputs of m taps have the same B', so x is transformed in the same way for all three passes and all r; 1 / N_j is put where it costs least.
 *
 * Points. n = 4: 0, 1, -1. n = 6: 0, +-5/8, +-3/2, which among pairs of eighths have the least error (+-1, +-2 have twice the error in the mean, three
 * to five times the largest); all coefficients are exact, and opposite points share even and odd parts.
 *
 * Rounding. A transformed number is a sum of 36 (16) inputs with factors that do not cancel out. Measured in float on layers of 16 to 384 channels with
 * normal numbers, relative to the root mean square of the results: root mean square of the error 5e-7 to 2e-6 for n = 6, 1.6e-7 to 6e-7 for n = 4, 1e-7 to
 * 3e-7 for plain sums; largest error 2e-5, 4e-6, 3e-6. Finite inputs near the largest float may overflow in a transform although the plain sum would not, and
 * a NaN or an infinity spoils whole tiles of m x m, not only the outputs whose window holds it.
 *
 * Vectors are parts of the 16 samples of a pixel; for the gradient of y they are channels instead, since then a product of matrices sums over the samples. */
#ifndef PN_REAL_PASS
#ifndef PN_KERNELS_WINOGRAD_IMPL_H
#define PN_KERNELS_WINOGRAD_IMPL_H
#include "kernels/conv_impl.h"
#include "kernels/gemm_tiles.h"
#include "kernels/kernels.h"

#define WINO_LANES PN_CONV_LANES
/* Points of a side of a tile, and taps: all cases there are */
#define WINO_KINDS(X) X(4, 3) X(6, 2) X(6, 3) X(6, 4) X(6, 5)
#define WINO_KIND(n, r) (8 * (n) + (r))
#define WINO_TAPS 5 /* most; as many outputs of a side at most */
/* The points a, b of n = 6 and what follows: N_0 = a2 b2, N_a = 2 a2 (a2 - b2), N_b = 2 b2 (b2 - a2) */
#define WINO_A (5. / 8)
#define WINO_B (3. / 2)
#define WINO_A2 (WINO_A * WINO_A)
#define WINO_B2 (WINO_B * WINO_B)
#define WINO_N0 (WINO_A2 * WINO_B2)
#define WINO_NA (2 * WINO_A2 * (WINO_A2 - WINO_B2))
#define WINO_NB (2 * WINO_B2 * (WINO_B2 - WINO_A2))
#define WINO_POWER(p, i) ((i) == 0 ? 1 : (i) == 1 ? (p) : (i) == 2 ? (p) * (p) : (i) == 3 ? (p) * (p) * (p) : (p) * (p) * (p) * (p))
#endif
#else

/* ---- one dimension: vectors `step` apart are written, those at d lie side by side; n is 4 or 6 */

/* B' d: n inputs to n points */
GEMM_INLINE void R_(wino_input_line)(const int n, V *to, const int step, const V *d) {
    if (n == 4) {
        to[0] = d[0] - d[2];
        to[step] = d[1] + d[2];
        to[2 * step] = d[2] - d[1];
        to[3 * step] = d[3] - d[1];
        return;
    }
    const V even_a = d[4] - C(WINO_B2) * d[2], odd_a = C(WINO_A) * d[3] - C(WINO_A * WINO_B2) * d[1];
    const V even_b = d[4] - C(WINO_A2) * d[2], odd_b = C(WINO_B) * d[3] - C(WINO_B * WINO_A2) * d[1];
    to[0] = C(WINO_N0) * d[0] - C(WINO_A2 + WINO_B2) * d[2] + d[4];
    to[step] = even_a + odd_a;
    to[2 * step] = even_a - odd_a;
    to[3 * step] = even_b + odd_b;
    to[4 * step] = even_b - odd_b;
    to[5 * step] = C(WINO_N0) * d[1] - C(WINO_A2 + WINO_B2) * d[3] + d[5];
}

/* p_j^k g_k: `count` taps to n points; whole: G g, else without the 1 / N_j. For n = 4 the signs of N_0 and of row 0 of B' are left out of both. */
GEMM_INLINE void R_(wino_spread)(const int n, const int count, const bool whole, V *to, const int step, const V *g) {
    if (n == 4) {
        const V even = count > 2 ? g[0] + g[2] : g[0], odd = g[1], half = V_of(C(whole ? 0.5 : 1));
        to[0] = g[0];
        to[step] = half * even + half * odd;
        to[2 * step] = half * even - half * odd;
        to[3 * step] = g[count - 1];
        return;
    }
    V part_a[2], part_b[2]; /* even, odd */
    GEMM_UNROLL for (int k = 0; k < count; k++) {
        const V a = C(WINO_POWER(WINO_A, k) / (whole ? WINO_NA : 1)) * g[k], b = C(WINO_POWER(WINO_B, k) / (whole ? WINO_NB : 1)) * g[k];
        part_a[k % 2] = k < 2 ? a : part_a[k % 2] + a;
        part_b[k % 2] = k < 2 ? b : part_b[k % 2] + b;
    }
    to[0] = whole ? C(1 / WINO_N0) * g[0] : g[0];
    to[step] = part_a[0] + part_a[1];
    to[2 * step] = part_a[0] - part_a[1];
    to[3 * step] = part_b[0] + part_b[1];
    to[4 * step] = part_b[0] - part_b[1];
    to[5 * step] = g[count - 1];
}

/* A' s: n points to `count` outputs; whole: nothing is left to divide, else A' (s / N). */
GEMM_INLINE void R_(wino_collect)(const int n, const int count, const bool whole, V *to, const int step, const V *s) {
    const double na = n == 4 ? 2 : WINO_NA, nb = WINO_NB, n0 = n == 4 ? 1 : WINO_N0, a = n == 4 ? 1 : WINO_A;
    const V part_a[2] = {s[1] + s[2], s[1] - s[2]}; /* even, odd */
    GEMM_UNROLL for (int i = 0; i < count; i++) {
        V sum = C(WINO_POWER(a, i) / (whole ? 1 : na)) * part_a[i % 2];
        if (n == 6) sum += C(WINO_POWER(WINO_B, i) / (whole ? 1 : nb)) * (i % 2 ? s[3] - s[4] : s[3] + s[4]);
        if (i == 0) sum = C(whole ? 1 : 1 / n0) * s[0] + sum;
        if (i == count - 1) sum += s[n - 1];
        to[i * step] = sum;
    }
}

/* Fetches a tile of the next channel, whose planes lie too far apart for the hardware to guess: of `side` rows the `last` columns, which no neighbour shares. */
GEMM_INLINE void R_(wino_ahead)(const real *x, int64_t row, int side, int last, bool write) {
    GEMM_UNROLL for (int i = 0; i < side; i++, x += row) {
        GEMM_UNROLL for (int j = side - last; j < side; j++) {
            GEMM_UNROLL for (int s = 0; s < WINO_LANES; s += 64 / (int)sizeof(real)) {
                if (write)
                    __builtin_prefetch(x + j * WINO_LANES + s, 1);
                else
                    __builtin_prefetch(x + j * WINO_LANES + s);
            }
        }
    }
}

/* ---- tiles of x: V lanes of one tile from x (rows `row` apart) to v (points ldv apart) */
GEMM_INLINE void R_(wino_input_tile)(const int n, const bool whole, const real *x, int64_t row, const pn_wino_place *p, int lanes, real *v, int64_t ldv) {
    V t[6 * 6];
    GEMM_UNROLL for (int j = 0; j < n; j++) {
        V d[6];
        const real *at = x + j * WINO_LANES;
        const bool here = whole || (j >= p->left && j < p->right);
        GEMM_UNROLL for (int i = 0; i < n; i++, at += row) {
            if (whole)
                d[i] = V_load(at);
            else
                d[i] = here && i >= p->top && i < p->bottom ? V_read(at, lanes) : (V){0};
        }
        R_(wino_input_line)(n, t + j, n, d);
    }
    GEMM_UNROLL for (int i = 0; i < n; i++) {
        V r[6];
        R_(wino_input_line)(n, r, 1, t + i * n);
        GEMM_UNROLL for (int j = 0; j < n; j++, v += ldv) {
            GEMM_OPAQUE(v);
            V_store(v, r[j]);
        }
    }
}

GEMM_INLINE void R_(wino_input_all)(const int n, const int m, const R_(pn_wino_tiles) *t) {
    for (int64_t c = 0; c < t->channels; c++) {
        for (int64_t k = 0; k < t->tiles; k++) {
            const pn_wino_place *p = &t->places[k];
            const real *x = t->x + c * t->plane + p->at;
            real *v = t->v + (c * t->tiles + k) * WINO_LANES;
            const bool whole = p->top == 0 && p->left == 0 && p->bottom == n && p->right == n && p->lanes == WINO_LANES;
            if (k == 0 || p->at != p[-1].at + m * WINO_LANES) /* no neighbour fetches its first columns */
                R_(wino_ahead)(x + t->plane, t->row, n, n, false);
            else
                R_(wino_ahead)(x + t->plane, t->row, n, m, false);
            for (int s = 0; s < WINO_LANES; s += V_LANES) {
                if (whole)
                    R_(wino_input_tile)(n, true, x + s, t->row, p, V_LANES, v + s, t->ldv);
                else
                    R_(wino_input_tile)(n, false, x + s, t->row, p, p->lanes > s ? p->lanes - s : 0, v + s, t->ldv);
            }
        }
    }
}
#define WINO_CASE(n, r)                                                                                                                                        \
    case WINO_KIND(n, r): R_(wino_input_all)(n, n + 1 - r, t); break;
static void R_(wino_input)(const R_(pn_wino_tiles) *t) {
    switch (WINO_KIND(t->points, t->taps)) { WINO_KINDS(WINO_CASE) }
}
#undef WINO_CASE

/* ---- tiles of y */
GEMM_INLINE void R_(wino_output_tile)(const int n, const int m, const bool whole, const R_(pn_wino_tiles) *w, real *y, real bias, const pn_wino_place *p,
                                      const real *v) {
    V t[WINO_TAPS * 6];
    GEMM_UNROLL for (int j = 0; j < n; j++) {
        V s[6];
        const real *at = v + j * w->ldv;
        GEMM_UNROLL for (int i = 0; i < n; i++, at += n * w->ldv) s[i] = V_load(at);
        R_(wino_collect)(n, m, true, t + j, n, s);
    }
    GEMM_UNROLL for (int i = 0; i < m; i++, y += w->row) {
        V r[WINO_TAPS];
        if (!whole && i >= p->bottom) return;
        R_(wino_collect)(n, m, true, r, 1, t + i * n);
        GEMM_UNROLL for (int j = 0; j < m; j++) {
            real *to = y + j * WINO_LANES;
            if (!whole && j >= p->right) continue;
            r[j] += bias;
            V_store(to, w->add ? V_load(to) + r[j] : r[j]);
        }
    }
}

GEMM_INLINE void R_(wino_output_all)(const int n, const int m, const R_(pn_wino_tiles) *t) {
    for (int64_t c = 0; c < t->channels; c++) {
        for (int64_t k = 0; k < t->tiles; k++) {
            const pn_wino_place *p = &t->places[k];
            const real *v = t->v + (c * t->tiles + k) * WINO_LANES, bias = t->bias ? t->bias[c] : 0;
            real *y = t->y + c * t->plane + p->at;
            R_(wino_ahead)(y + t->plane, t->row, m, m, true);
            for (int s = 0; s < WINO_LANES; s += V_LANES) {
                if (p->bottom == m && p->right == m)
                    R_(wino_output_tile)(n, m, true, t, y + s, bias, p, v + s);
                else
                    R_(wino_output_tile)(n, m, false, t, y + s, bias, p, v + s);
            }
            for (int i = 0; t->act >= 0 && i < p->bottom; i++, y += t->row) R_(act_forward)[t->act](y, y, p->right * WINO_LANES, t->params);
        }
    }
}
#define WINO_CASE(n, r)                                                                                                                                        \
    case WINO_KIND(n, r): R_(wino_output_all)(n, n + 1 - r, t); break;
static void R_(wino_output)(const R_(pn_wino_tiles) *t) {
    switch (WINO_KIND(t->points, t->taps)) { WINO_KINDS(WINO_CASE) }
}
#undef WINO_CASE

/* ---- weights: one panel of conv.pack at a time, its rows as lanes */
GEMM_INLINE void R_(wino_weights_lanes)(const int n, const int r, const real (*g)[WINO_LANES], real *u, int64_t ldu, int64_t left) {
    V t[6 * WINO_TAPS], d[6];
    GEMM_UNROLL for (int j = 0; j < r; j++) {
        GEMM_UNROLL for (int i = 0; i < r; i++) d[i] = V_load(g[r * i + j]);
        R_(wino_spread)(n, r, true, t + j, r, d);
    }
    GEMM_UNROLL for (int i = 0; i < n; i++) {
        R_(wino_spread)(n, r, true, d, 1, t + i * r);
        GEMM_UNROLL for (int j = 0; j < n; j++, u += ldu) V_write(u, d[j], left);
    }
}
GEMM_INLINE void R_(wino_weights_all)(const int n, const int taps, const R_(pn_wino_weights) *t, int64_t lo, int64_t hi) {
    const int64_t panels = GEMM_CEIL(t->m, CONV_MR);
    const int last = taps * taps - 1;
    real g[WINO_TAPS * WINO_TAPS][WINO_LANES];
    for (int64_t p = lo; p < hi; p++) {
        const int64_t first = t->m * p / panels, rows = t->m * (p + 1) / panels - first;
        memset(g, 0, sizeof g);
        for (int64_t k = 0; k < t->k; k++) {
            const real *w = t->w + first * t->ldm + k * t->ldk;
            for (int64_t r = 0; r < rows; r++, w += t->ldm)
                for (int tap = 0; tap <= last; tap++) g[t->turned ? last - tap : tap][r] = w[tap];
            for (int64_t s = 0; s < CONV_MR; s += V_LANES)
                R_(wino_weights_lanes)(n, taps, (const real(*)[WINO_LANES])(g[0] + s), t->u + (p * t->k + k) * CONV_MR + s, t->ldu, CONV_MR - s);
        }
    }
}
#define WINO_CASE(n, r)                                                                                                                                        \
    case WINO_KIND(n, r): R_(wino_weights_all)(n, r, t, lo, hi); break;
static void R_(wino_weights)(const R_(pn_wino_weights) *t, int64_t lo, int64_t hi) {
    switch (WINO_KIND(t->points, t->taps)) { WINO_KINDS(WINO_CASE) }
}
#undef WINO_CASE

/* ---- tiles of gy, channels as lanes */

/* to[sample][channel] of 16 channels `plane` apart, those from `channels` on 0; fetches what lies `next` behind, for the tile after this one */
static void R_(wino_turn)(real *to, const real *y, int64_t plane, int64_t channels, int64_t next) {
    for (int c0 = 0; c0 < WINO_LANES; c0 += V_LANES) {
        for (int s0 = 0; s0 < WINO_LANES; s0 += V_LANES) {
            V r[V_LANES];
            _Pragma("GCC unroll 16") for (int i = 0; i < V_LANES; i++) {
                const real *from = y + (c0 + i) * plane + s0;
                r[i] = c0 + i < channels ? V_load(from) : V_of(0);
                __builtin_prefetch(from + next);
            }
            V_turn(r);
            _Pragma("GCC unroll 16") for (int i = 0; i < V_LANES; i++) V_store(to + (s0 + i) * WINO_LANES + c0, r[i]);
        }
    }
}

/* V channels of one sample: g[pixel] to v */
GEMM_INLINE void R_(wino_gradient_tile)(const int n, const int m, const real *g, real *v, int64_t ldv) {
    enum { NEXT = WINO_LANES * WINO_LANES };
    V t[WINO_TAPS * 6], d[6];
    GEMM_UNROLL for (int j = 0; j < m; j++) {
        GEMM_UNROLL for (int i = 0; i < m; i++) d[i] = V_load(g + (m * i + j) * NEXT);
        R_(wino_spread)(n, m, false, t + j, m, d);
    }
    GEMM_UNROLL for (int i = 0; i < n; i++) {
        R_(wino_spread)(n, m, false, d, 1, t + i * m);
        GEMM_UNROLL for (int j = 0; j < n; j++, v += ldv) {
            GEMM_OPAQUE(v);
            V_store(v, d[j]);
        }
    }
}

/* One tile of 16 channels: room becomes (pixel, sample, channel), then each sample is transformed. */
GEMM_INLINE void R_(wino_gradient_block)(const int n, const int m, const R_(pn_wino_tiles) *t, const pn_wino_place *p, int64_t c, int64_t k, real *room) {
    const int64_t cols = GEMM_CEIL(t->channels, WINO_LANES) * WINO_LANES;
    const real *y = t->x + c * t->plane + p->at;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < m; j++) {
            real *to = room + (i * m + j) * WINO_LANES * WINO_LANES;
            if (i < p->bottom && j < p->right)
                R_(wino_turn)(to, y + i * t->row + j * WINO_LANES, t->plane, t->channels - c, m * WINO_LANES);
            else
                memset(to, 0, WINO_LANES * WINO_LANES * sizeof(real));
        }
    }
    for (int l = 0; l < WINO_LANES; l++) {
        real *v = t->v + (k * WINO_LANES + l) * cols + c;
        for (int s = 0; s < WINO_LANES; s += V_LANES) {
            if (l < p->lanes)
                R_(wino_gradient_tile)(n, m, room + l * WINO_LANES + s, v + s, t->ldv);
            else
                for (int i = 0; i < n * n; i++) V_store(v + s + i * t->ldv, V_of(0));
        }
    }
}
GEMM_INLINE void R_(wino_gradient_all)(const int n, const int m, const R_(pn_wino_tiles) *t, real *room) {
    for (int64_t k = 0; k < t->tiles; k++) {
        for (int64_t c = 0; c < t->channels; c += WINO_LANES) R_(wino_gradient_block)(n, m, t, &t->places[k], c, k, room);
    }
}
#define WINO_CASE(n, r)                                                                                                                                        \
    case WINO_KIND(n, r): R_(wino_gradient_all)(n, n + 1 - r, t, room); break;
static void R_(wino_gradient)(const R_(pn_wino_tiles) *t, real *room) {
    switch (WINO_KIND(t->points, t->taps)) { WINO_KINDS(WINO_CASE) }
}
#undef WINO_CASE

/* ---- products for the gradient of the weights, and their end */
static void R_(wino_outer)(real *s, const real *x, const real *g, int64_t rows, int64_t depth, int64_t cols, bool add) {
    for (int64_t j = 0, width; j < cols; j += width) {
        width = cols - j < GEMM_NR ? cols - j : GEMM_NR;
        const R_(gemm_strip) strip = {.a = x, .b = g + j, .ars = depth, .aks = 1, .bks = cols, .rows = rows, .kc = depth};
        R_(gemm_rows)(&strip, s + j, cols, width, add);
    }
}

GEMM_INLINE void R_(wino_finish_lanes)(const int n, const int r, V *to, const real *s, int64_t lds) {
    V t[WINO_TAPS * 6], d[6];
    GEMM_UNROLL for (int j = 0; j < n; j++) {
        GEMM_UNROLL for (int i = 0; i < n; i++) d[i] = V_load(s + (i * n + j) * lds);
        R_(wino_collect)(n, r, false, t + j, n, d);
    }
    GEMM_UNROLL for (int i = 0; i < r; i++) R_(wino_collect)(n, r, false, to + r * i, 1, t + i * n);
}
GEMM_INLINE void R_(wino_finish_all)(const int n, const int r, real *to, int64_t ldo, const real *s, int64_t rows, int64_t cols, int64_t outs) {
    for (int64_t c = 0; c < rows; c++) {
        for (int64_t o = 0; o < outs; o += V_LANES) {
            V taps[WINO_TAPS * WINO_TAPS];
            real part[WINO_TAPS * WINO_TAPS][V_LANES];
            R_(wino_finish_lanes)(n, r, taps, s + c * cols + o, rows * cols);
            for (int k = 0; k < r * r; k++) V_store(part[k], taps[k]);
            for (int64_t l = 0; l < V_LANES && o + l < outs; l++)
                for (int k = 0; k < r * r; k++) to[(o + l) * ldo + c * r * r + k] = part[k][l];
        }
    }
}
#define WINO_CASE(n, r)                                                                                                                                        \
    case WINO_KIND(n, r): R_(wino_finish_all)(n, r, to, ldo, s, rows, cols, outs); break;
static void R_(wino_finish)(real *to, int64_t ldo, const real *s, int points, int taps, int64_t rows, int64_t cols, int64_t outs) {
    switch (WINO_KIND(points, taps)) { WINO_KINDS(WINO_CASE) }
}
#undef WINO_CASE

static const R_(pn_wino_fn) R_(wino_table) = {
    .input = R_(wino_input),
    .output = R_(wino_output),
    .gradient = R_(wino_gradient),
    .weights = R_(wino_weights),
    .outer = R_(wino_outer),
    .finish = R_(wino_finish),
};
#endif
