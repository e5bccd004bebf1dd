/* Convolution kernels on blocks of 16 samples (kernels/conv.h), at every level this machine has, for both types, against plain loops. */
#ifdef PN_REAL_PASS

/* Rounding of a sum of k products of size at most 1, in any order. */
#define SLACK(k) ((double)((k) + 2) * (double)((k) + 2) * (PN_DOUBLE ? 0x1p-52 : 0x1p-23) / 4)

/* n <= 20000 numbers in -1..1 */
static void R_(draw)(real *x, int64_t n, uint64_t seed) {
    static double u[20000];
    pn_rng_uniform(seed, 0, 0, n, u);
    for (int64_t i = 0; i < n; i++) x[i] = (real)(2 * u[i] - 1);
}

/* What tile t must put at (r, p, lane); w (m, taps); before: y before the call. */
static double R_(expected)(const R_(pn_conv_tile) *t, const real *w, int64_t taps, const real *before, int64_t r, int64_t p, int lane) {
    double sum = t->add ? before[r * t->ldy + p * t->ystep + lane] : 0;
    if (t->bias) sum += t->bias[r];
    for (int64_t k = 0; k < t->k; k++) sum += (double)w[r * taps + k] * t->x[t->off[k] + p * t->step + lane];
    return t->act < 0 ? sum : tanh(sum);
}

/* m channels, `pixels` pixels `stride` apart, k taps; `way` chooses among bias, add, activation, and pixels of y that lie apart. */
static void R_(check_tile)(const pn_kernels *level, int64_t m, int64_t pixels, int64_t k, int64_t stride, int way) {
    const R_(pn_kernels) *table = &level->R_(table);
    static real x[20000], y[20000], before[20000], w[2000], packed[2600], bias[64];
    static int64_t off[128];
    R_(pn_conv_tile) t = {.m = m, .pixels = pixels, .k = k, .w = packed, .x = x, .off = off, .step = stride * PN_CONV_LANES, .y = y, .act = -1};
    t.ystep = way & 1 ? 2 * PN_CONV_LANES : PN_CONV_LANES;
    t.ldy = pixels * t.ystep + 16;
    t.bias = way & 2 ? bias : NULL;
    t.add = way & 4;
    if (way & 16 && k > 1) t.k = k - 1, t.apart = k * table->conv.rows; /* the taps but for the last */
    if (way & 8) t.act = PN_ACT_tanh;
    R_(draw)(x, 20000, 1), R_(draw)(before, 20000, 2), R_(draw)(w, m * k, 3), R_(draw)(bias, m, 4);
    memcpy(y, before, sizeof y);
    CHECK(table->conv.packed(m, k) <= 2600, "too little room");
    for (int64_t i = 0; i < k; i++) off[i] = i;
    table->conv.pack(packed, w, m, k, k, off);
    for (int64_t i = 0; i < k; i++) off[i] = (i * 7 % 40) * PN_CONV_LANES + 3; /* any order, off alignment */
    table->conv.tile(&t);
    int64_t wrong = 0, touched = 0, written = 0;
    for (int64_t i = 0; i < 20000; i++) touched += memcmp(&y[i], &before[i], sizeof(real)) != 0;
    for (int64_t r = 0; r < m; r++) {
        for (int64_t p = 0; p < pixels; p++) {
            for (int lane = 0; lane < PN_CONV_LANES; lane++, written++) {
                const int64_t at = r * t.ldy + p * t.ystep + lane;
                wrong += !(fabs(y[at] - R_(expected)(&t, w, k, before, r, p, lane)) <= SLACK(k));
            }
        }
    }
    CHECK(wrong == 0 && touched <= written, "%d: m %d, pixels %d, k %d, stride %d, way %d: %d wrong, %d written", (int)level->isa, (int)m, (int)pixels, (int)k,
          (int)stride, way, (int)wrong, (int)(touched - written));
}

/* m channels, k taps, `images` blocks of `rows` rows of `pixels` pixels: sums of all lanes, added to what is there. */
static void R_(check_dots)(const pn_kernels *level, int64_t m, int64_t k, int64_t images, int64_t rows, int64_t pixels, int64_t stride) {
    const R_(pn_kernels) *table = &level->R_(table);
    static real g[20000], x[20000], work[16000], sums[2000], before[2000];
    static int64_t off[128];
    const int64_t line = pixels * PN_CONV_LANES + 16, plane = rows * line + 32, wide = pixels * stride * PN_CONV_LANES + 16;
    R_(pn_conv_dots) t = {.m = m, .k = k, .images = images, .rows = rows, .pixels = pixels, .g = g, .g_row = line, .ldg = plane, .g_image = m * plane};
    t.x = x, t.off = off, t.x_row = wide, t.x_image = rows * wide, t.step = stride * PN_CONV_LANES;
    t.sums = sums, t.ld = k + 2, t.work = work;
    R_(draw)(g, 20000, 1), R_(draw)(x, 20000, 2), R_(draw)(before, 2000, 3);
    memcpy(sums, before, sizeof sums);
    for (int64_t i = 0; i < k; i++) off[i] = (i * 7 % 13) * PN_CONV_LANES + 3;
    CHECK(table->conv.dots_work(k) <= 16000 && images * m * plane <= 20000 && images * rows * wide + 208 <= 20000, "too little room");
    table->conv.dots(&t);
    int64_t wrong = 0, touched = 0;
    for (int64_t i = 0; i < 2000; i++) touched += (i >= m * t.ld || i % t.ld >= k) && memcmp(&sums[i], &before[i], sizeof(real)) != 0;
    for (int64_t e = 0; e < m * k; e++) {
        const int64_t r = e / k, tap = e % k;
        double want = before[r * t.ld + tap];
        for (int64_t i = 0; i < images * rows * pixels * PN_CONV_LANES; i++) {
            const int64_t lane = i % PN_CONV_LANES, p = i / PN_CONV_LANES % pixels, row = i / PN_CONV_LANES / pixels % rows,
                          image = i / PN_CONV_LANES / pixels / rows;
            want += (double)g[image * t.g_image + row * line + r * plane + p * PN_CONV_LANES + lane] *
                    x[image * t.x_image + row * wide + off[tap] + p * t.step + lane];
        }
        wrong += !(fabs(sums[r * t.ld + tap] - want) <= SLACK(images * rows * pixels + 16));
    }
    CHECK(wrong == 0 && touched == 0, "%d: m %d, k %d, images %d, rows %d, pixels %d, stride %d: %d wrong, %d touched", (int)level->isa, (int)m, (int)k,
          (int)images, (int)rows, (int)pixels, (int)stride, (int)wrong, (int)touched);
}

#else
#include "test.h"

#include "base/rng.h"
#include "kernels/kernels.h"

#define table_f f
#define table_d d
#define PN_REAL_FILE "../../tests/c/test_conv_kernels.c"
#include "base/real.h"

TEST(conv_tile_agrees_with_plain_loops) {
    for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
        const pn_kernels *level = pn_kernels_of((pn_isa)isa);
        if (!level) continue;
        for (int64_t m = 0; m <= 19; m++) {
            for (int64_t pixels = 0; pixels <= 7; pixels++) {
                const int64_t k = (m * 5 + pixels * 3) % 30;
                const int way = (int)(m * 8 + pixels) % 32;
                check_tile_f(level, m, pixels, k, 1 + pixels % 3, way);
                check_tile_d(level, m, pixels, k, 1 + pixels % 3, way);
            }
        }
        check_tile_f(level, 17, 29, 75, 2, 6);
        check_tile_d(level, 17, 29, 75, 2, 6);
    }
}

TEST(conv_dots_agrees_with_plain_loops) {
    for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
        const pn_kernels *level = pn_kernels_of((pn_isa)isa);
        if (!level) continue;
        for (int64_t m = 0; m <= 9; m++) {
            for (int64_t k = 0; k <= 13; k++) {
                const int64_t images = (m + k) % 3, rows = 1 + (m * 3 + k) % 4, pixels = 1 + (m + 2 * k) % 5, stride = 1 + k % 3;
                check_dots_f(level, m, k, images, rows, pixels, stride);
                check_dots_d(level, m, k, images, rows, pixels, stride);
            }
        }
        check_dots_f(level, 2, 25, 1, 2, 150, 1); /* pieces of a row */
        check_dots_d(level, 2, 25, 1, 2, 150, 2);
        check_dots_f(level, 3, 7, 1, 30, 9, 1); /* of rows */
        check_dots_d(level, 3, 7, 1, 30, 9, 1);
    }
}
#endif
