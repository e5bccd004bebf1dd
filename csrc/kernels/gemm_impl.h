/* The matrix product of one instruction set: which way a shape is computed, how it is cut into blocks, and the loops around the tiles.
 *
 *   normal   vectors along n. B is read in panels of GEMM_NR columns (packed unless few rows use them), A by broadcast (packed when it is used often).
 *   turned   B stored (n, k) and a small A: C^T = B A^T. Vectors along m, the rows of B are broadcast as they stand; only the small A is transposed.
 *   tiny     plain loops, no set-up.
 *
 * A product is cut along n or along m alone, so a range of blocks is one smaller product and packed panels serve all of a member's blocks.
 * k runs in chunks of gemm_chunk(k): a chunk is summed in registers and added to C, which halves the error of long sums and depends on k alone.
 *
 * Include with PN_VECTOR_BYTES set, once per real type (base/real.h); defines R_(pn_gemm_table). Whoever fills the table hands its activations to
 * R_(gemm_set_acts). */
#include "kernels/gemm_tiles.h"
#include "kernels/gemm_pack.h"
#ifndef PN_REAL_PASS
#ifndef PN_KERNELS_GEMM_IMPL_H
#define PN_KERNELS_GEMM_IMPL_H
#include "base/poll.h"
#include "kernels/kernels.h"

#define GEMM_KC 256                  /* longest chunk of k */
#define GEMM_A_BYTES (384 * 1024)    /* packed block of A: below half of a 1 MiB L2 */
#define GEMM_TURN_BYTES (512 * 1024) /* largest A^T of a turned product */
#define GEMM_TURN_ROWS (4 * GEMM_MR) /* rows of C^T finished at a time */
#define GEMM_MAX_BLOCKS 64
#define GEMM_BLOCK_WORK 32768 /* multiply-adds that are worth a block of their own */
#define GEMM_TINY_WORK 512
#define GEMM_MIN(a, b) ((a) < (b) ? (a) : (b))
#define GEMM_CEIL(a, b) (((a) + (b) - 1) / (b))

typedef enum gemm_way { GEMM_TINY, GEMM_NORMAL, GEMM_TURNED } gemm_way;

typedef struct gemm_plan {
    gemm_way way;
    bool by_n; /* blocks cut n, not m */
    bool pack_a, pack_b;
    int64_t chunk;       /* of k */
    int64_t unit, units; /* the cut dimension: columns or rows per unit, and how many units */
    int64_t blocks;
} gemm_plan;

static inline int64_t gemm_chunk(int64_t k) {
    const int64_t chunks = GEMM_CEIL(k, GEMM_KC);
    return chunks > 1 ? GEMM_CEIL(k, chunks) : k;
}
#endif
#else

/* act_forward of this level's table, copied here by R_(gemm_set_acts) when the table is filled. */
typedef void (*R_(gemm_act_fn))(real *y, const real *x, int64_t n, const double *p);
static R_(gemm_act_fn) R_(gemm_acts)[PN_ACT_COUNT];
static void R_(gemm_set_acts)(const R_(gemm_act_fn) *acts) {
    for (int i = 0; i < PN_ACT_COUNT; i++) R_(gemm_acts)[i] = acts[i];
}

#define GEMM_PA (GEMM_CEIL(GEMM_MR, GEMM_W) * GEMM_W) /* packed A: values per k */

static bool R_(gemm_is_tiny)(const pn_gemm_shape *s) { return s->m * s->n * s->k <= GEMM_TINY_WORK; }

/* Rows of A as they stand lie at one distance; at multiples of 1 KiB they fall into few cache sets. */
static bool R_(gemm_crowded)(int64_t ld) { return ld * (int64_t)sizeof(real) % 1024 == 0; }

static gemm_plan R_(gemm_plan_of)(const pn_gemm_shape *s) {
    gemm_plan p = {.way = GEMM_TINY, .blocks = 1, .unit = 1, .units = s->m};
    if (R_(gemm_is_tiny)(s)) return p;
    p.chunk = gemm_chunk(s->k);
    const size_t a_bytes = (size_t)GEMM_CEIL(s->m, GEMM_NR) * GEMM_NR * (size_t)s->k * sizeof(real);
    p.way = s->tb && s->m <= s->n && a_bytes <= GEMM_TURN_BYTES ? GEMM_TURNED : GEMM_NORMAL;
    p.pack_a = p.way == GEMM_NORMAL && (s->n >= 8 * GEMM_NR || (s->n >= 2 * GEMM_NR && R_(gemm_crowded)(s->lda)));
    p.pack_b = s->tb || s->m > 4 * GEMM_MR;
    p.by_n = p.way == GEMM_TURNED || s->n >= s->m;
    p.unit = p.way == GEMM_NORMAL && p.by_n ? GEMM_W : 1;
    p.units = GEMM_CEIL(p.by_n ? s->n : s->m, p.unit);
    const int64_t most = GEMM_MIN(GEMM_MAX_BLOCKS, GEMM_CEIL(p.units, p.unit > 1 ? 1 : 4));
    const double work = (double)s->m * (double)s->n * (double)s->k / GEMM_BLOCK_WORK;
    p.blocks = work >= (double)most ? most : work < 2 ? 1 : (int64_t)work;
    if (p.blocks < 1) p.blocks = 1;
    return p;
}

static int64_t R_(gemm_blocks)(const pn_gemm_shape *s) { return R_(gemm_plan_of)(s).blocks; }

/* Rows per block of packed A: whole tiles within GEMM_A_BYTES. */
static int64_t R_(gemm_a_rows)(int64_t chunk) {
    const int64_t tiles = GEMM_A_BYTES / (int64_t)sizeof(real) / GEMM_PA / (chunk > 0 ? chunk : 1);
    return tiles < 1 ? GEMM_MR : tiles * GEMM_MR;
}

/* In elements: the first operand (packed A, or A^T), the second (a panel of B, or C^T). */
static void R_(gemm_room)(const pn_gemm_shape *s, const gemm_plan *p, size_t *first, size_t *second) {
    *first = *second = 0;
    if (p->way == GEMM_TURNED) {
        const size_t wide = (size_t)GEMM_CEIL(s->m, GEMM_NR) * GEMM_NR;
        *first = wide * (size_t)s->k;
        *second = wide * GEMM_TURN_ROWS;
    } else if (p->way == GEMM_NORMAL) {
        const int64_t rows = GEMM_MIN(R_(gemm_a_rows)(p->chunk), s->m);
        *first = p->pack_a ? (size_t)((GEMM_CEIL(rows, GEMM_MR) + 1) * GEMM_PA * p->chunk) : 0;
        *second = (size_t)(GEMM_WIDE_NR * p->chunk);
    }
}

static size_t R_(gemm_scratch)(const pn_gemm_shape *s) {
    const gemm_plan p = R_(gemm_plan_of)(s);
    size_t first, second;
    R_(gemm_room)(s, &p, &first, &second);
    return (first + second) * sizeof(real) + 64;
}

/* Bias and activation on c[i0:i1, j0:j1], whose sums are complete. */
static void R_(gemm_finish)(const R_(pn_gemm_call) *c, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    real *y = c->c + i0 * c->s.ldc + j0;
    const int64_t rows = i1 - i0, cols = j1 - j0;
    if (rows <= 0 || cols <= 0) return;
    if (c->bias) {
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < cols; j++) y[i * c->s.ldc + j] += c->bias[j0 + j];
        }
    }
    if (c->act < 0) return;
    if (cols == c->s.ldc) {
        R_(gemm_acts)[c->act](y, y, rows * cols, c->act_params);
    } else {
        for (int64_t i = 0; i < rows; i++) R_(gemm_acts)[c->act](y + i * c->s.ldc, y + i * c->s.ldc, cols, c->act_params);
    }
}

/* One row of tiles over a panel of B: c[rows, width] (= or +=) a b, width <= GEMM_WIDE_NR. A: packed (tile after tile) when ars == 0, else strided. */
typedef struct R_(gemm_strip) {
    const real *a, *b;
    int64_t ars, aks, bks, rows, kc;
} R_(gemm_strip);

/* Results wider than wanted go through a buffer. */
GEMM_NOINLINE void R_(gemm_edge)(R_(gemm_tile_fn) tile, int64_t kc, const real *a, int64_t ars, int64_t aks, const real *b, int64_t bks, real *c, int64_t ldc,
                                 int64_t h, int64_t width, bool add) {
    real part[GEMM_MR * GEMM_WIDE_NR];
    tile(kc, a, ars, aks, b, bks, part, GEMM_WIDE_NR, false);
    for (int64_t i = 0; i < h; i++) {
        for (int64_t j = 0; j < width; j++) c[i * ldc + j] = add ? c[i * ldc + j] + part[i * GEMM_WIDE_NR + j] : part[i * GEMM_WIDE_NR + j];
    }
}

static void R_(gemm_rows)(const R_(gemm_strip) *t, real *c, int64_t ldc, int64_t width, bool add) {
    const int nv = width <= GEMM_W ? 1 : width <= GEMM_NR ? GEMM_NV : GEMM_WIDE;
    const int64_t tiles = GEMM_CEIL(t->rows, GEMM_MR);
    for (int64_t q = 0; q < tiles; q++) {
        const int64_t i = t->rows * q / tiles, h = t->rows * (q + 1) / tiles - i;
        const R_(gemm_tile_fn) tile = (nv == 1 ? R_(gemm_ones) : nv == GEMM_NV ? R_(gemm_fulls) : R_(gemm_wides))[h - 1];
        const real *a = t->ars ? t->a + i * t->ars : t->a + q * GEMM_PA * t->kc;
        const int64_t ars = t->ars ? t->ars : 1;
        if (width == nv * GEMM_W)
            tile(t->kc, a, ars, t->aks, t->b, t->bks, c + i * ldc, ldc, add);
        else
            R_(gemm_edge)(tile, t->kc, a, ars, t->aks, t->b, t->bks, c + i * ldc, ldc, h, width, add);
    }
}

/* Packs rows [i0, i1) of op(A), k in [k0, k0 + kc), tile after tile with the heights gemm_rows uses. */
static void R_(gemm_pack_a)(real *to, const R_(pn_gemm_call) *c, int64_t i0, int64_t i1, int64_t k0, int64_t kc) {
    const int64_t rows = i1 - i0, tiles = GEMM_CEIL(rows, GEMM_MR), ld = c->s.lda;
    for (int64_t q = 0; q < tiles; q++, to += GEMM_PA * kc) {
        const int64_t i = i0 + rows * q / tiles, h = i0 + rows * (q + 1) / tiles - i;
        if (c->s.ta)
            R_(gemm_pack_copy)(to, GEMM_PA, c->a + k0 * ld + i, ld, kc, h);
        else
            R_(gemm_pack_turn)(to, GEMM_PA, c->a + i * ld + k0, ld, kc, h);
    }
}

/* Columns [j, j + width) of op(B) as a panel with *step values per k: in place where the rows of B allow it, else packed into `to`. */
static const real *R_(gemm_panel)(real *to, const R_(pn_gemm_call) *c, bool pack, int64_t j, int64_t width, int64_t k0, int64_t kc, int64_t *step) {
    const int64_t ld = c->s.ldb;
    *step = width <= GEMM_NR ? GEMM_NR : GEMM_WIDE_NR;
    if (c->s.tb)
        R_(gemm_pack_turn)(to, *step, c->b + j * ld + k0, ld, kc, width);
    else if (pack || (width != GEMM_W && width % GEMM_NR))
        R_(gemm_pack_copy)(to, *step, c->b + k0 * ld + j, ld, kc, width);
    else {
        *step = ld;
        return c->b + k0 * ld + j;
    }
    return to;
}

static void R_(gemm_normal)(const R_(pn_gemm_call) *c, const gemm_plan *p, int64_t i0, int64_t i1, int64_t j0, int64_t j1, real *pa, real *pb) {
    const pn_gemm_shape *s = &c->s;
    const int64_t most = R_(gemm_a_rows)(p->chunk), parts = GEMM_CEIL(i1 - i0, most);
    for (int64_t part = 0; part < parts; part++) {
        const int64_t r0 = i0 + (i1 - i0) * part / parts, r1 = i0 + (i1 - i0) * (part + 1) / parts;
        const int64_t panel = r1 - r0 <= GEMM_WIDE_MR && j1 - j0 >= GEMM_WIDE_NR ? GEMM_WIDE_NR : GEMM_NR;
        for (int64_t k0 = 0; k0 < s->k; k0 += p->chunk) {
            const int64_t kc = GEMM_MIN(p->chunk, s->k - k0);
            R_(gemm_strip) t = {.a = pa, .aks = GEMM_PA, .rows = r1 - r0, .kc = kc};
            if (p->pack_a)
                R_(gemm_pack_a)(pa, c, r0, r1, k0, kc);
            else {
                t.ars = s->ta ? 1 : s->lda;
                t.aks = s->ta ? s->lda : 1;
                t.a = c->a + r0 * t.ars + k0 * t.aks;
            }
            for (int64_t j = j0; j < j1;) {
                int64_t width = GEMM_MIN(panel, j1 - j);
                if (width > GEMM_NR && width < panel) width = GEMM_NR;
                if (pn_poll_stopped(c->poll)) return;
                t.b = R_(gemm_panel)(pb, c, p->pack_b, j, width, k0, kc, &t.bks);
                R_(gemm_rows)(&t, c->c + r0 * s->ldc + j, s->ldc, width, c->add || k0 > 0);
                j += width;
            }
        }
        R_(gemm_finish)(c, r0, r1, j0, j1);
    }
}

/* Columns [j0, j1) of C through C^T; at: A^T in panels (m / NR, k, NR), turned: (GEMM_TURN_ROWS, m rounded up to NR). */
static void R_(gemm_turned)(const R_(pn_gemm_call) *c, const gemm_plan *p, int64_t j0, int64_t j1, real *at, real *turned) {
    const pn_gemm_shape *s = &c->s;
    const int64_t wide = GEMM_CEIL(s->m, GEMM_NR) * GEMM_NR;
    for (int64_t i = 0; i < s->m; i += GEMM_NR) {
        const int64_t width = GEMM_MIN(GEMM_NR, s->m - i);
        if (s->ta)
            R_(gemm_pack_copy)(at + i * s->k, GEMM_NR, c->a + i, s->lda, s->k, width);
        else
            R_(gemm_pack_turn)(at + i * s->k, GEMM_NR, c->a + i * s->lda, s->lda, s->k, width);
    }
    for (int64_t j = j0; j < j1; j += GEMM_TURN_ROWS) {
        const int64_t rows = GEMM_MIN(GEMM_TURN_ROWS, j1 - j);
        if (pn_poll_stopped(c->poll)) return;
        for (int64_t k0 = 0; k0 < s->k; k0 += p->chunk) {
            R_(gemm_strip) t = {.a = c->b + j * s->ldb + k0, .ars = s->ldb, .aks = 1, .bks = GEMM_NR, .rows = rows, .kc = GEMM_MIN(p->chunk, s->k - k0)};
            for (int64_t i = 0; i < s->m; i += GEMM_NR) {
                t.b = at + i * s->k + k0 * GEMM_NR;
                R_(gemm_rows)(&t, turned + i, wide, s->m - i <= GEMM_W ? GEMM_W : GEMM_NR, k0 > 0);
            }
        }
        R_(gemm_unturn)(c->c + j, s->ldc, turned, wide, s->m, rows, c->add);
    }
    R_(gemm_finish)(c, 0, s->m, j0, j1);
}

GEMM_NOINLINE void R_(gemm_tiny)(const R_(pn_gemm_call) *c) {
    const pn_gemm_shape *s = &c->s;
    const int64_t ars = s->ta ? 1 : s->lda, aks = s->ta ? s->lda : 1, bks = s->tb ? 1 : s->ldb, bcs = s->tb ? s->ldb : 1;
    for (int64_t i = 0; i < s->m; i++) {
        for (int64_t j = 0; j < s->n; j++) {
            real sum = 0;
            const real *a = c->a + i * ars, *b = c->b + j * bcs;
            for (int64_t k = 0; k < s->k; k++, a += aks, b += bks) sum += *a * *b;
            real *to = c->c + i * s->ldc + j;
            *to = c->add ? *to + sum : sum;
        }
    }
    R_(gemm_finish)(c, 0, s->m, 0, s->n);
}

static void R_(gemm_run)(const R_(pn_gemm_call) *c, int64_t lo, int64_t hi, void *scratch) {
    const pn_gemm_shape *s = &c->s;
    if (R_(gemm_is_tiny)(s)) {
        if (lo < hi) R_(gemm_tiny)(c);
        return;
    }
    const gemm_plan p = R_(gemm_plan_of)(s);
    size_t first, second;
    R_(gemm_room)(s, &p, &first, &second);
    real *room = scratch;
    const int64_t from = p.units * lo / p.blocks * p.unit, to = GEMM_MIN(p.units * hi / p.blocks * p.unit, p.by_n ? s->n : s->m);
    if (from >= to) return;
    if (p.way == GEMM_TURNED)
        R_(gemm_turned)(c, &p, from, to, room, room + first);
    else
        R_(gemm_normal)(c, &p, p.by_n ? 0 : from, p.by_n ? s->m : to, p.by_n ? from : 0, p.by_n ? to : s->n, room, room + first);
}

#if PN_DOUBLE
static const pn_gemm_d_fn R_(pn_gemm_table) = {R_(gemm_blocks), R_(gemm_scratch), R_(gemm_run)};
#else
static const pn_gemm_f_fn R_(pn_gemm_table) = {R_(gemm_blocks), R_(gemm_scratch), R_(gemm_run)};
#endif
#undef GEMM_PA
#endif
