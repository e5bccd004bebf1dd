/* Which way a product is computed and how it is cut, from its shape alone (and the instruction set).
 *
 *   tiny     plain loops, no set-up.
 *   dot      few rows or columns and a long k: both operands along k (gemm_dot.h). The short operand is turned first when it does not lie that way.
 *   turned   C^T = op(B)^T op(A)^T: vectors along m, the values of B are broadcast as they stand. For B stored (n, k) and a small A, which is all that has
 *            to be transposed; and for A stored (k, m), where nothing has to be.
 *   normal   vectors along n, A is broadcast. Large operands are packed.
 *
 * Blocks cut n or m, never both and never k: a range of blocks is again one product, and what a member packs serves all its blocks. */
#ifndef PN_REAL_PASS
#ifndef PN_KERNELS_GEMM_PLAN_H
#define PN_KERNELS_GEMM_PLAN_H
#include "kernels/gemm.h"

#define GEMM_BLOCK_WORK 32768 /* multiply-adds that are worth a block */
#define GEMM_MAX_BLOCKS 64
#define GEMM_KC 512                    /* k is packed in pieces of this many; a multiple of GEMM_CHAIN */
#define GEMM_A_BYTES (384 * 1024)      /* block of A that is used again and again: below half of a 1 MiB L2 */
#define GEMM_B_BYTES (6 * 1024 * 1024) /* a larger B is packed when GEMM_B_ROWS rows use it, */
#define GEMM_B_ROWS 384
#define GEMM_B_ROWS_CROWDED (PN_VECTOR_BYTES == 64 ? GEMM_B_ROWS : 4 * GEMM_MR) /* and when its own rows share cache sets already for so many */
#define GEMM_GROUP_ONE 256                                                      /* columns of B packed at a time when each is used by one block of A, */
#define GEMM_GROUP_MANY 2048                                                    /* or by several */
#define GEMM_TURN_BYTES (512 * 1024)                                            /* largest A of a turned product */
#define GEMM_TURN_ROWS (4 * GEMM_MR)                                            /* rows of C^T finished at a time */
#define GEMM_APART 16                                                           /* elements between packed rows of A, so that they do not share cache sets */
#define GEMM_MIN(a, b) ((a) < (b) ? (a) : (b))
#define GEMM_CEIL(a, b) (((a) + (b) - 1) / (b))
#define GEMM_UP(a, b) (GEMM_CEIL(a, b) * (b))

typedef enum gemm_way { GEMM_TINY, GEMM_DOT, GEMM_TURNED, GEMM_NORMAL } gemm_way;

typedef struct gemm_plan {
    gemm_way way;
    bool by_n;           /* blocks cut n, not m */
    bool pack_a, pack_b; /* dot: the operand that has to be turned */
    int64_t chunk;       /* longest piece of k packed at a time */
    int64_t rows;        /* normal: most rows of A in one block */
    int64_t group;       /* normal: columns of B packed at a time */
    int64_t unit, units; /* the cut dimension: columns or rows per unit, and how many units */
    int64_t blocks;
    size_t first, second; /* scratch in elements: packed A, A^T or a turned operand; packed B or C^T */
} gemm_plan;

/* How many k from k0 on are packed at a time: GEMM_KC, or all the rest when that is not much more. */
static inline int64_t gemm_chunk(int64_t k, int64_t k0) { return k - k0 <= GEMM_KC + GEMM_KC / 4 ? k - k0 : GEMM_KC; }

/* Up to so few rows or columns partial sums along k beat vectors with empty lanes; adding them up costs more the shorter k is. */
static inline int64_t gemm_few(int64_t k) { return k >= 128 ? 12 : k >= 64 ? 6 : k >= 16 ? 3 : 0; }
#endif
#else

#define GEMM_PA GEMM_UP(GEMM_MR, GEMM_W) /* packed A stored (k, m): values per k */

static gemm_way R_(gemm_way_of)(const pn_gemm_shape *s) {
    const int64_t few = gemm_few(s->k), turned = s->m * s->k * (int64_t)sizeof(real);
    if (pn_gemm_is_tiny(s)) return GEMM_TINY;
    if (s->tb && (s->m <= few || (s->n <= few && !s->ta))) return GEMM_DOT;
    if (!s->tb && !s->ta && s->n <= few && s->m > few) return GEMM_DOT;
    if (turned > GEMM_TURN_BYTES) return GEMM_NORMAL;
    if (s->ta) return s->m >= GEMM_W && (s->tb || 2 * s->n <= GEMM_W) ? GEMM_TURNED : GEMM_NORMAL;
    return s->tb && s->m <= s->n ? GEMM_TURNED : GEMM_NORMAL;
}

/* Is A read better from a copy? Its rows lie at one distance: at multiples of 8 KiB they share cache sets; stored (k, m), rows of a page each cost a
 * page translation for every k. */
static bool R_(gemm_scattered)(const pn_gemm_shape *s) {
    const int64_t bytes = s->lda * (int64_t)sizeof(real);
    return s->n >= 4 * GEMM_NR && (s->ta ? bytes >= 3072 && s->k >= 64 : bytes % 8192 == 0);
}

static void R_(gemm_plan_normal)(gemm_plan *p, const pn_gemm_shape *s) {
    const int64_t budget = GEMM_A_BYTES / (int64_t)sizeof(real) / GEMM_PA * GEMM_MR;
    p->rows = s->m * p->chunk <= budget ? s->m : GEMM_CEIL(budget / p->chunk, GEMM_MR) * GEMM_MR;
    p->group = GEMM_UP(GEMM_MIN(p->rows < s->m ? GEMM_GROUP_MANY : GEMM_GROUP_ONE, s->n), GEMM_WIDE_NR);
    p->pack_a = R_(gemm_scattered)(s);
    p->pack_b = s->tb || (s->m >= GEMM_B_ROWS && s->n * s->k * (int64_t)sizeof(real) > GEMM_B_BYTES) ||
                (s->m >= GEMM_B_ROWS_CROWDED && s->n >= 4 * GEMM_NR && s->k >= 64 && s->ldb * (int64_t)sizeof(real) % 4096 == 0);
    p->first = p->pack_a ? (size_t)((GEMM_MIN(p->rows, s->m) / GEMM_MR + 2) * GEMM_PA * (p->chunk + 2 * GEMM_APART)) : 0;
    p->second = (size_t)((p->pack_b ? p->group : GEMM_WIDE_NR) * p->chunk);
    p->by_n = s->n >= s->m;
    p->unit = p->by_n ? GEMM_W : 1;
}

static gemm_plan R_(gemm_plan_of)(const pn_gemm_shape *s) {
    gemm_plan p = {.way = R_(gemm_way_of)(s), .blocks = 1, .unit = 1, .units = 1};
    if (p.way == GEMM_TINY) return p;
    p.chunk = GEMM_MIN(s->k, GEMM_KC + GEMM_KC / 4);
    switch (p.way) {
    case GEMM_DOT:
        p.pack_a = s->ta;
        p.pack_b = !s->tb;
        p.first = (size_t)GEMM_UP(p.pack_a ? s->m * s->k : p.pack_b ? s->n * s->k : 0, 16);
        p.by_n = s->n >= s->m;
        p.unit = 4;
        break;
    case GEMM_TURNED:
        p.first = (size_t)((s->ta ? GEMM_NR : GEMM_UP(s->m, GEMM_NR)) * s->k);
        p.second = (size_t)(GEMM_UP(s->m, GEMM_NR) * GEMM_TURN_ROWS);
        p.by_n = true;
        break;
    default: R_(gemm_plan_normal)(&p, s);
    }
    p.units = GEMM_CEIL(p.by_n ? s->n : s->m, p.unit);
    const int64_t most = GEMM_MIN(GEMM_MAX_BLOCKS, p.unit == 1 ? GEMM_CEIL(p.units, 4) : p.units);
    const double work = (double)s->m * (double)s->n * (double)s->k / GEMM_BLOCK_WORK;
    p.blocks = work >= (double)most ? most : work < 2 ? 1 : (int64_t)work;
    return p;
}

static int64_t R_(gemm_blocks)(const pn_gemm_shape *s) { return R_(gemm_plan_of)(s).blocks; }

static size_t R_(gemm_scratch)(const pn_gemm_shape *s) {
    const gemm_plan p = R_(gemm_plan_of)(s);
    return (p.first + p.second) * sizeof(real);
}
#endif
