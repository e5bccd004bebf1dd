/* What the files of Hopfield networks share: overlaps in whole numbers, orders of neurons, fields of a block of states. */
#ifndef PN_ENERGY_HOPFIELD_PARTS_H
#define PN_ENERGY_HOPFIELD_PARTS_H
#include "base/rng.h"
#include "base/team.h"
#include "energy/hopfield.h"
#include "kernels/kernels.h"

#define PN_HOPFIELD_BLOCK 16 /* states that share one product with K */
#define PN_HOPFIELD_PIECE 64 /* neurons between two looks at the poll */

/* sum of a b over padded patterns; compilers make the wide multiply-adds of 16 bits of it */
static inline int32_t pn_overlap_pull(const int16_t *restrict a, const int16_t *restrict b, int64_t padded) {
    int32_t sum = 0;
    for (int64_t i = 0; i < padded; i++) sum += a[i] * b[i];
    return sum;
}
/* m += by a */
static inline void pn_overlap_push(int16_t *restrict m, const int16_t *restrict a, int16_t by, int64_t padded) {
    for (int64_t i = 0; i < padded; i++) m[i] = (int16_t)(m[i] + by * a[i]);
}

/* The overlaps of a state with all patterns: m_mu = sum_i x_mu,i s_i */
static inline void pn_overlaps(const pn_hopfield *net, const int8_t *s, int16_t *m) {
    for (int64_t i = 0; i < net->padded; i++) m[i] = 0;
    for (int64_t i = 0; i < net->n; i++) pn_overlap_push(m, net->columns + i * net->padded, s[i], net->padded);
}
/* The field of neuron i in units of M, exactly. */
static inline int32_t pn_overlap_field(const pn_hopfield *net, const int16_t *m, const int8_t *s, int64_t i) {
    return pn_overlap_pull(net->columns + i * net->padded, m, net->padded) - (int32_t)net->patterns * s[i];
}
/* -1/2 s'Ks, exactly */
static inline double pn_overlap_energy(const pn_hopfield *net, const int16_t *m) {
    int64_t sum = 0;
    for (int64_t i = 0; i < net->padded; i++) sum += m[i] * m[i];
    return -0.5 * (double)(sum - net->patterns * net->n);
}

/* order = 0..n-1, shuffled if the generator is given */
static inline void pn_order_draw(int32_t *order, int64_t n, pn_xoshiro *g) {
    for (int64_t i = 0; i < n; i++) {
        const int64_t j = g ? (int64_t)(((pn_xoshiro_next(g) >> 32) * (uint64_t)(i + 1)) >> 32) : i;
        order[i] = (int32_t)i;
        order[i] = order[j];
        order[j] = (int32_t)i;
    }
}
static inline double pn_xoshiro_unit(pn_xoshiro *g) { return (double)(pn_xoshiro_next(g) >> 11) * 0x1p-53; }

/* h[i] = 1 / (1 + exp(-x[i])) by the portable kernels: the same bits on every machine. In place. */
static inline double pn_log(double x) {
    pn_kernels_of(PN_ISA_PORTABLE)->d.act_forward[PN_ACT_log](&x, &x, 1, NULL);
    return x;
}
static inline void pn_chances(double *x, int64_t n) { pn_kernels_of(PN_ISA_PORTABLE)->d.act_forward[PN_ACT_sigmoid](x, x, n, NULL); }

void pn_hopfield_measure_slack(pn_hopfield *net, pn_poll *poll); /* of a dense K: what rounding may leave of a field of 0, from the sums of the rows */

/* h (rows, n) = s (rows, n) K; `room` holds rows n doubles and then the product's scratch */
size_t pn_hopfield_room(const pn_hopfield *net);
void pn_hopfield_fields(const pn_hopfield *net, const int8_t *state, int64_t rows, double *h, void *room, pn_member *m);

/* Blocks lo..hi - 1 of PN_HOPFIELD_BLOCK rows of a recall, by one member with room of its own. */
size_t pn_hopfield_walk_room(const pn_hopfield *net);
void pn_hopfield_walk(const pn_recall *r, int64_t lo, int64_t hi, void *room, pn_member *m);

static inline bool pn_walk_stopped(pn_member *m) { return m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll); }
#endif
