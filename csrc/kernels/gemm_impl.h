/* The matrix product of one instruction set: the loops around the tiles. gemm_plan.h decides which way a shape goes.
 *
 * Sums of an element: k in order in chains of GEMM_CHAIN, each added to C when it ends, which keeps the error of long sums small. That depends on k alone,
 * so the ways normal and turned give the same bits, whatever the tile, the block or the member.
 *
 * Include with PN_VECTOR_BYTES set and after act_impl.h, once per real type (base/real.h); defines R_(pn_gemm_table). */
#include "kernels/gemm_tiles.h"
#include "kernels/gemm_pack.h"
#include "kernels/gemm_plan.h"
#include "kernels/gemm_dot.h"
#include "kernels/gemm_tiny.h"
#ifndef PN_REAL_PASS
#ifndef PN_KERNELS_GEMM_IMPL_H
#define PN_KERNELS_GEMM_IMPL_H
#include "base/poll.h"
#include "kernels/kernels.h"

#define GEMM_POLL_WORK (4 << 20) /* multiply-adds between two looks at the poll */
static inline bool gemm_stopped(struct pn_poll *poll, bool asks, int64_t *work, int64_t more) {
    if (!poll || (*work += more) < GEMM_POLL_WORK) return false;
    *work = 0;
    return asks ? pn_poll_now(poll) : pn_poll_stopped(poll);
}
#endif
#else

/* Bias and activation on c[i0:i1, j0:j1], whose sums are complete. */
static void R_(gemm_finish)(const R_(pn_gemm_call) *c, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    real *y = c->c + i0 * c->s.ldc + j0;
    const int64_t rows = i1 - i0, cols = j1 - j0;
    if (c->bias) {
        for (int64_t i = 0; i < rows; i++) {
            real *row = y + i * c->s.ldc;
            for (int64_t j = 0; j < cols; j += GEMM_W) V_write(row + j, V_read(row + j, cols - j) + V_read(c->bias + j0 + j, cols - j), cols - j);
        }
    }
    if (c->act < 0) return;
    if (cols == c->s.ldc) {
        R_(act_forward)[c->act](y, y, rows * cols, c->act_params);
    } else {
        for (int64_t i = 0; i < rows; i++) R_(act_forward)[c->act](y + i * c->s.ldc, y + i * c->s.ldc, cols, c->act_params);
    }
}

/* One row of tiles over a panel of B: c[rows, width] (= or +=) a b, width <= GEMM_WIDE_NR. */
typedef struct R_(gemm_strip) {
    const real *a, *b;
    int64_t ars, aks; /* distances in A between rows and between values of k */
    int64_t tile;     /* distance between tiles where these are packed one by one, else 0 */
    int64_t bks;      /* distance in B between values of k */
    int64_t next;     /* distance to the panel of B that the next strip reads, 0: none; it is fetched during the last tiles */
    int64_t rows, kc;
} R_(gemm_strip);

/* A tile wider than wanted works on a copy, in the same order of additions. */
GEMM_NOINLINE void R_(gemm_edge)(R_(gemm_tile_fn) tile, const R_(gemm_strip) *t, const real *a, real *c, int64_t ldc, int64_t h, int64_t width, bool add) {
    real part[GEMM_MR * GEMM_WIDE_NR];
    if (add) R_(gemm_pack_copy)(part, GEMM_WIDE_NR, c, ldc, h, width);
    tile(t->kc, a, t->ars, t->aks, t->b, t->bks, part, GEMM_WIDE_NR, add, 0);
    R_(gemm_copy)(c, ldc, part, GEMM_WIDE_NR, h, width);
}

static void R_(gemm_rows)(const R_(gemm_strip) *t, real *c, int64_t ldc, int64_t width, bool add) {
    const int nv = width <= GEMM_W ? 1 : width <= GEMM_NR ? GEMM_NV : GEMM_WIDE;
    const int64_t tiles = GEMM_CEIL(t->rows, GEMM_MR), line = 64 / (int64_t)sizeof(real);
    for (int64_t q = 0, i = 0; q < tiles; q++) {
        const int64_t end = t->rows * (q + 1) / tiles, h = end - i, later = (tiles - 1 - q) * line;
        const R_(gemm_tile_fn) tile = nv == 1 ? R_(gemm_ones)[h - 1] : nv == GEMM_NV ? R_(gemm_fulls)[h - 1] : R_(gemm_wides)[h - 1];
        const real *a = t->a + (t->tile ? q * t->tile : i * t->ars);
        if (width == nv * GEMM_W)
            tile(t->kc, a, t->ars, t->aks, t->b, t->bks, c + i * ldc, ldc, add, t->next && later < width ? t->next + later + line - 1 : 0);
        else
            R_(gemm_edge)(tile, t, a, c + i * ldc, ldc, h, width, add);
        i = end;
    }
}

/* Packs rows [i0, i1) of op(A), k in [k0, k0 + kc), and says in t how to read them. Rows of a plain A are copied to rows that do not share cache sets;
 * an A stored (k, m) becomes panels (kc, GEMM_PA), one per tile of gemm_rows. */
static void R_(gemm_pack_a)(R_(gemm_strip) *t, real *to, const R_(pn_gemm_call) *c, int64_t i0, int64_t i1, int64_t k0) {
    const int64_t rows = i1 - i0, tiles = GEMM_CEIL(rows, GEMM_MR), ld = c->s.lda, kc = t->kc;
    t->a = to;
    if (!c->s.ta) {
        t->ars = GEMM_CEIL(kc, GEMM_APART) * GEMM_APART + GEMM_APART;
        t->aks = 1;
        R_(gemm_pack_copy)(to, t->ars, c->a + i0 * ld + k0, ld, rows, kc);
        return;
    }
    t->ars = 1;
    t->aks = GEMM_PA;
    t->tile = GEMM_PA * kc;
    for (int64_t q = 0; q < tiles; q++, to += t->tile) {
        const int64_t i = i0 + rows * q / tiles, h = i0 + rows * (q + 1) / tiles - i;
        R_(gemm_pack_copy)(to, GEMM_PA, c->a + k0 * ld + i, ld, kc, h);
    }
}

/* Columns [j0, j1) of op(B), k in [k0, k0 + kc), as panels of `panel` columns, each (kc, panel), one after the other. */
static void R_(gemm_pack_b)(real *to, const R_(pn_gemm_call) *c, int64_t panel, int64_t j0, int64_t j1, int64_t k0, int64_t kc) {
    const int64_t ld = c->s.ldb, whole = c->s.tb ? 0 : (j1 - j0) / panel;
    if (whole) R_(gemm_pack_wide)(to, c->b + k0 * ld + j0, ld, kc, whole, panel);
    to += whole * panel * kc;
    for (int64_t j = j0 + whole * panel; j < j1; j += panel, to += panel * kc) {
        const int64_t width = GEMM_MIN(panel, j1 - j);
        if (c->s.tb)
            R_(gemm_pack_turn)(to, panel, c->b + j * ld + k0, ld, kc, width);
        else
            R_(gemm_pack_copy)(to, panel, c->b + k0 * ld + j, ld, kc, width);
    }
}

/* One product, with what is the same for all its blocks. Element (i, k) of op(A) lies at a[i * ars + k * aks]. */
typedef struct R_(gemm_job) {
    const R_(pn_gemm_call) *c;
    const gemm_plan *p;
    int64_t ars, aks, panel;
    int64_t work; /* since the last look at the poll */
    real *first, *second;
} R_(gemm_job);

/* c[r0 .., j0:j1] (= or +=) a piece of k from k0 on; B is packed in second, or read in place but for a ragged panel. */
static bool R_(gemm_panels)(R_(gemm_job) *job, R_(gemm_strip) *t, int64_t r0, int64_t j0, int64_t j1, int64_t k0) {
    const pn_gemm_shape *s = &job->c->s;
    const int64_t panel = job->panel;
    for (int64_t j = j0; j < j1; j += panel) {
        const int64_t width = GEMM_MIN(panel, j1 - j);
        if (gemm_stopped(job->c->poll, job->c->asks, &job->work, t->rows * t->kc * width)) return false;
        t->bks = panel;
        t->next = j + panel >= j1 ? 0 : job->p->pack_b ? panel * t->kc : panel;
        if (job->p->pack_b)
            t->b = job->second + (j - j0) * t->kc;
        else if (width % GEMM_NR && width != GEMM_W) {
            R_(gemm_pack_copy)(job->second, panel, job->c->b + k0 * s->ldb + j, s->ldb, t->kc, width);
            t->b = job->second;
        } else {
            t->bks = s->ldb;
            t->b = job->c->b + k0 * s->ldb + j;
        }
        R_(gemm_rows)(t, job->c->c + r0 * s->ldc + j, s->ldc, width, job->c->add || k0 > 0);
    }
    return true;
}

static void R_(gemm_normal)(R_(gemm_job) *job, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    const pn_gemm_shape *s = &job->c->s;
    const gemm_plan *p = job->p;
    const int64_t parts = GEMM_CEIL(i1 - i0, p->rows);
    job->panel = i1 - i0 <= GEMM_WIDE_MR && j1 - j0 > GEMM_NR ? GEMM_WIDE_NR : GEMM_NR;
    for (int64_t k0 = 0, kc; k0 < s->k; k0 += kc) {
        R_(gemm_strip) t = {.kc = kc = gemm_chunk(s->k, k0)};
        for (int64_t j = j0; j < j1; j += p->group) {
            const int64_t je = GEMM_MIN(j + p->group, j1);
            if (p->pack_b) R_(gemm_pack_b)(job->second, job->c, job->panel, j, je, k0, kc);
            for (int64_t part = 0; part < parts; part++) {
                const int64_t r0 = i0 + (i1 - i0) * part / parts, r1 = i0 + (i1 - i0) * (part + 1) / parts;
                t.rows = r1 - r0;
                if (!p->pack_a) {
                    t.ars = s->ta ? 1 : s->lda;
                    t.aks = s->ta ? s->lda : 1;
                    t.a = job->c->a + r0 * t.ars + k0 * t.aks;
                } else if (parts > 1 || j == j0)
                    R_(gemm_pack_a)(&t, job->first, job->c, r0, r1, k0);
                if (!R_(gemm_panels)(job, &t, r0, j, je, k0)) return;
                if (k0 + kc == s->k) R_(gemm_finish)(job->c, r0, r1, j, je);
            }
        }
    }
}

/* Columns [i, i + GEMM_NR) of A^T from k0 on: in place where A is stored (k, m), else the packed panels (m / NR, k, NR) in first. */
static void R_(gemm_turned_panel)(const R_(gemm_job) *job, R_(gemm_strip) *t, int64_t i, int64_t k0) {
    const pn_gemm_shape *s = &job->c->s;
    const int64_t width = GEMM_MIN(GEMM_NR, s->m - i);
    t->bks = GEMM_NR;
    if (!s->ta)
        t->b = job->first + i * s->k + k0 * GEMM_NR;
    else if (width == GEMM_NR || width == GEMM_W) {
        t->bks = s->lda;
        t->b = job->c->a + k0 * s->lda + i;
    } else {
        R_(gemm_pack_copy)(job->first, GEMM_NR, job->c->a + k0 * s->lda + i, s->lda, t->kc, width);
        t->b = job->first;
    }
}

/* Columns [j0, j1) of C, GEMM_TURN_ROWS at a time through C^T in second, (GEMM_TURN_ROWS, m rounded up to NR). */
static void R_(gemm_turned)(R_(gemm_job) *job, int64_t j0, int64_t j1) {
    const R_(pn_gemm_call) *c = job->c;
    const pn_gemm_shape *s = &c->s;
    const int64_t wide = GEMM_UP(s->m, GEMM_NR), ars = s->tb ? s->ldb : 1, aks = s->tb ? 1 : s->ldb;
    for (int64_t i = 0; i < s->m && !s->ta; i += GEMM_NR) {
        R_(gemm_pack_turn)(job->first + i * s->k, GEMM_NR, c->a + i * s->lda, s->lda, s->k, GEMM_MIN(GEMM_NR, s->m - i));
    }
    for (int64_t j = j0; j < j1; j += GEMM_TURN_ROWS) {
        R_(gemm_strip) t = {.ars = ars, .aks = aks, .rows = GEMM_MIN(GEMM_TURN_ROWS, j1 - j)};
        if (gemm_stopped(c->poll, c->asks, &job->work, t.rows * s->m * s->k)) return;
        if (c->add) R_(gemm_pack_turn)(job->second, wide, c->c + j, s->ldc, t.rows, s->m);
        for (int64_t k0 = 0; k0 < s->k; k0 += t.kc) {
            t.kc = gemm_chunk(s->k, k0);
            t.a = c->b + j * ars + k0 * aks;
            for (int64_t i = 0; i < s->m; i += GEMM_NR) {
                R_(gemm_turned_panel)(job, &t, i, k0);
                R_(gemm_rows)(&t, job->second + i, wide, s->m - i <= GEMM_W ? GEMM_W : GEMM_NR, c->add || k0 > 0);
            }
        }
        R_(gemm_unturn)(c->c + j, s->ldc, job->second, wide, s->m, t.rows);
    }
    R_(gemm_finish)(c, 0, s->m, j0, j1);
}

/* Few rows or columns: c[i0:i1, j0:j1] by sums along k. The operand that is stored the other way is the short one, and is turned. */
static void R_(gemm_long)(R_(gemm_job) *job, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    const R_(pn_gemm_call) *c = job->c;
    const pn_gemm_shape *s = &c->s;
    const real *a = c->a, *b = c->b;
    int64_t lda = s->lda, ldb = s->ldb;
    if (s->ta || !s->tb) {
        const int64_t rows = s->ta ? s->m : s->n, ld = s->ta ? lda : ldb;
        const real *from = s->ta ? a : b;
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t k = 0; k < s->k; k++) job->first[i * s->k + k] = from[k * ld + i];
        }
        if (s->ta)
            a = job->first, lda = s->k;
        else
            b = job->first, ldb = s->k;
    }
    for (int64_t j = j0; j < j1; j += GEMM_DOT_COLS) {
        const int64_t cols = GEMM_MIN(GEMM_DOT_COLS, j1 - j);
        if (gemm_stopped(c->poll, c->asks, &job->work, (i1 - i0) * cols * s->k)) return;
        R_(gemm_dot)(c->c + i0 * s->ldc + j, s->ldc, a + i0 * lda, lda, i1 - i0, b + j * ldb, ldb, cols, s->k, c->add);
    }
    R_(gemm_finish)(c, i0, i1, j0, j1);
}

static void R_(gemm_run)(const R_(pn_gemm_call) *c, int64_t lo, int64_t hi, void *scratch) {
    const pn_gemm_shape *s = &c->s;
    if (lo >= hi) return;
    if (pn_gemm_is_tiny(s)) {
        R_(gemm_tiny)(c);
        return;
    }
    const gemm_plan p = R_(gemm_plan_of)(s);
    const int64_t size = p.by_n ? s->n : s->m;
    const int64_t from = lo ? p.units * lo / p.blocks * p.unit : 0, to = hi < p.blocks ? p.units * hi / p.blocks * p.unit : size;
    const int64_t i0 = p.by_n ? 0 : from, i1 = p.by_n ? s->m : to, j0 = p.by_n ? from : 0, j1 = p.by_n ? to : s->n;
    R_(gemm_job) job = {.c = c, .p = &p, .first = scratch, .second = (real *)scratch + p.first};
    if (p.way == GEMM_NORMAL)
        R_(gemm_normal)(&job, i0, i1, j0, j1);
    else if (p.way == GEMM_TURNED)
        R_(gemm_turned)(&job, j0, j1);
    else
        R_(gemm_long)(&job, i0, i1, j0, j1);
}

#if PN_DOUBLE
static const pn_gemm_d_fn R_(pn_gemm_table) = {R_(gemm_blocks), R_(gemm_scratch), R_(gemm_run), R_(gemm_tiny)};
#else
static const pn_gemm_f_fn R_(pn_gemm_table) = {R_(gemm_blocks), R_(gemm_scratch), R_(gemm_run), R_(gemm_tiny)};
#endif
#undef GEMM_PA
#endif
