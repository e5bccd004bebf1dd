/* From one layer of an RBM to the other: products and draws, for the files of the RBM. Typed. */
#ifndef PN_ENERGY_RBM_LAYER_H
#define PN_ENERGY_RBM_LAYER_H
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "base/team.h"
#include "energy/energy.h"
#include "energy/rbm.h"
#include "kernels/kernels.h"

static inline const pn_kernels_f *kernels_f(void) { return &pn_kernels_get()->f; }
static inline const pn_kernels_d *kernels_d(void) { return &pn_kernels_get()->d; }
static inline const pn_boltzmann_f *units_f(void) { return &pn_kernels_get()->energy.boltzmann_f; }
static inline const pn_boltzmann_d *units_d(void) { return &pn_kernels_get()->energy.boltzmann_d; }

static inline pn_gemm_shape rbm_up(const pn_rbm *m, int64_t rows) { /* v (rows, nv) W (nv, nh) */
    return (pn_gemm_shape){.m = rows, .n = m->nh, .k = m->nv, .lda = m->nv, .ldb = m->nh, .ldc = m->nh};
}
static inline pn_gemm_shape rbm_down(const pn_rbm *m, int64_t rows) { /* h (rows, nh) W' */
    return (pn_gemm_shape){.m = rows, .n = m->nv, .k = m->nh, .tb = true, .lda = m->nh, .ldb = m->nh, .ldc = m->nv};
}
static inline pn_gemm_shape rbm_outer(const pn_rbm *m, int64_t rows) { /* v' (nv, rows) h (rows, nh) */
    return (pn_gemm_shape){.m = m->nv, .n = m->nh, .k = rows, .ta = true, .lda = m->nv, .ldb = m->nh, .ldc = m->nh};
}
#define PN_RBM_SITES 8 /* for each measured row of a training */
static inline size_t rbm_larger(size_t a, size_t b) { return a > b ? a : b; }
/* Bytes of scratch of a product; a multiple of 64. */
static inline size_t rbm_scratch(const pn_rbm *m, pn_gemm_shape s) {
    const pn_kernels *k = pn_kernels_get();
    return ((m->dtype == PN_F32 ? k->f.gemm.scratch(&s) : k->d.gemm.scratch(&s)) + 63) / 64 * 64;
}

#elif defined(PN_REAL_PASS)

/* This member's share of a product; member NULL: all of it. */
static inline void R_(rbm_product)(R_(pn_gemm_call) g, pn_member *member, pn_poll *poll, bool asks, void *scratch) {
    const R_(pn_kernels) *k = R_(kernels)();
    int64_t lo = 0, hi = k->gemm.blocks(&g.s);
    if (member) pn_member_range(member, hi, &lo, &hi);
    g.act = -1;
    g.poll = poll;
    g.asks = asks;
    if (lo < hi) k->gemm.run(&g, lo, hi, scratch);
}

/* log p(v_i | all other visible units) = log sigmoid(F(v with i turned) - F(v)), given x, the inputs of the hidden units, and softplus, the sum of
 * log(1 + exp(x)). Rows of W are (nh). */
static inline double R_(rbm_log_given_others)(const pn_rbm *m, const real *v, const real *x, double softplus, int64_t i) {
    const R_(pn_boltzmann) *u = R_(units)();
    const double turn = 1 - 2 * (double)v[i];
    const real *row = (const real *)m->w + i * m->nh;
    const double rise = -turn * (double)((const real *)m->b)[i] - (u->shift_sum(x, row, m->nh, (real)turn) - softplus);
    return -pn_kernels_get()->energy.boltzmann_d.softplus_sum(&rise, 1, -1);
}

/* F(v) given x, the inputs of the hidden units. */
static inline double R_(rbm_free_energy)(const pn_rbm *m, const real *v, const real *x) {
    const double hidden = R_(units)()->softplus_sum(x, m->nh, 1);
    if (m->visible != PN_VISIBLE_GAUSSIAN) return -R_(kernels)()->dot(m->b, v, m->nv) - hidden;
    double squares = 0;
    for (int64_t i = 0; i < m->nv; i++) squares += ((double)v[i] - (double)((const real *)m->b)[i]) * ((double)v[i] - (double)((const real *)m->b)[i]);
    return squares / 2 - hidden;
}

/* n rows of states of the visible units into s from their inputs x, which may be s; mean (NULL: not wanted) takes their means. */
static inline void R_(rbm_draw_visible)(const pn_rbm *m, real *s, real *mean, const real *x, double beta, const real *base, pn_lanes *lanes) {
    const R_(pn_boltzmann) *u = R_(units)();
    if (m->visible == PN_VISIBLE_BINARY) {
        u->draw(s, mean, x, m->nv, (real)beta, base, lanes);
        return;
    }
    if (m->visible == PN_VISIBLE_GAUSSIAN) { /* x is b + W h; only W h is scaled by beta */
        for (int64_t i = 0; mean && i < m->nv; i++) mean[i] = (real)beta * x[i] + (base ? (real)(1 - beta) * base[i] : 0);
        u->draw_normal(s, x, m->nv, (real)beta, base, lanes);
        return;
    }
    const R_(pn_kernels) *k = R_(kernels)();
    uint64_t words[8];
    k->scale(s, x, (real)beta, m->nv, false);
    if (base) k->scale(s, base, (real)(1 - beta), m->nv, true);
    k->softmax(s, s, m->nv / m->classes, m->classes);
    if (mean) memcpy(mean, s, (size_t)m->nv * sizeof *s);
    for (int64_t g = 0; g < m->nv / m->classes; g++) {
        if (g % 8 == 0) pn_kernels_get()->energy.lanes_fill(lanes, 1, words);
        double left = (double)(words[g % 8] >> 11) * 0x1p-53;
        real *group = s + g * m->classes;
        int64_t chosen = 0;
        while (chosen < m->classes - 1 && left >= (double)group[chosen]) left -= (double)group[chosen++];
        for (int64_t i = 0; i < m->classes; i++) group[i] = i == chosen;
    }
}

/* Means of the visible units from their inputs, in place. */
static inline void R_(rbm_mean_visible)(const pn_rbm *m, real *x, int64_t rows) {
    const R_(pn_kernels) *k = R_(kernels)();
    if (m->visible == PN_VISIBLE_BINARY) k->act_forward[PN_ACT_sigmoid](x, x, rows * m->nv, NULL);
    if (m->visible == PN_VISIBLE_SOFTMAX) k->softmax(x, x, rows * (m->nv / m->classes), m->classes);
}
#endif
