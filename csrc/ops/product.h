/* Matrix products shared by a team: which blocks a member takes, and running them with an eye on the poll. */
#ifndef PN_OPS_PRODUCT_H
#define PN_OPS_PRODUCT_H
#include "ops/op_helpers.h"

/* This member's blocks of product `which` of `together` products of equal cost that are computed at the same time. Two members and two products: one
 * each, which also serves products too small to be cut. */
static inline void pn_product_share(const pn_member *m, int64_t blocks, int which, int together, int64_t *lo, int64_t *hi) {
    if (m->count == 1) {
        *lo = 0, *hi = blocks;
    } else {
        const int64_t from = (int64_t)m->index * together - (int64_t)which * m->count, to = from + together;
        *lo = from <= 0 ? 0 : from >= m->count ? blocks : blocks * from / m->count;
        *hi = to <= 0 ? 0 : to >= m->count ? blocks : blocks * to / m->count;
    }
    pn_member_count(m, *hi - *lo);
}

/* Blocks [lo, hi). The product looks at the poll itself; only the calling thread asks it. */
static inline void pn_product_run_f(const pn_call *c, pn_member *m, pn_gemm_call_f *g, int64_t lo, int64_t hi) {
    g->poll = m->poll;
    g->asks = m->index == 0;
    c->kernels->f.gemm.run(g, lo, hi, m->scratch);
}
static inline void pn_product_run_d(const pn_call *c, pn_member *m, pn_gemm_call_d *g, int64_t lo, int64_t hi) {
    g->poll = m->poll;
    g->asks = m->index == 0;
    c->kernels->d.gemm.run(g, lo, hi, m->scratch);
}

/* For infer: what the products of one real type need. */
static inline size_t pn_product_scratch(const pn_kernels *k, int dtype, const pn_gemm_shape *s) {
    return dtype == PN_F32 ? k->f.gemm.scratch(s) : k->d.gemm.scratch(s);
}
#endif
