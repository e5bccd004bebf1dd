/* Random numbers. Networks use Philox4x32-10 (Salmon et al., SC 2011): a pure function of key and counter, so any element of any mask can be
 * recomputed anywhere and the number of threads changes nothing. Streams are scalar and identical on every instruction set. */
#ifndef PN_BASE_RNG_H
#define PN_BASE_RNG_H
#include <stddef.h>
#include <stdint.h>

#include "base/poll.h"

/* Purposes keep the streams of one seed apart. */
enum {
    PN_STREAM_INIT = 1,
    PN_STREAM_SHUFFLE = 2,
    PN_STREAM_NODE = 3,
    PN_STREAM_CHILD = 4,
    PN_STREAM_SPLIT = 5,
    PN_STREAM_USER = 6,
    PN_STREAM_AUGMENT = 7,
    PN_STREAM_ENERGY = 8
};

uint64_t pn_hash64(uint64_t seed, uint64_t purpose);                                 /* key = hash(seed, purpose) */
void pn_philox4x32(uint64_t key, uint64_t ctr_hi, uint64_t ctr_lo, uint32_t out[4]); /* ten rounds */
static inline double pn_u32_to_unit(uint32_t u) { return (u >> 8) * 0x1p-24; }       /* [0, 1), exact in float */

double pn_log_exact(double x);                        /* log of a normal x > 0 within 1 ulp */
void pn_cos_sin_turn(double u, double *c, double *s); /* cos(2 pi u) and sin(2 pi u) for u in [0, 1] */

/* Element i of the stream (key, hi): uniform in [0, 1) with 53 bits, standard normal by Box-Muller (own log, sin, cos: same bits everywhere). */
void pn_rng_uniform(uint64_t key, uint64_t hi, uint64_t first, int64_t n, double *out);
void pn_rng_normal(uint64_t key, uint64_t hi, uint64_t first, int64_t n, double *out);
uint64_t pn_rng_below(uint64_t key, uint64_t hi, uint64_t i, uint64_t bound); /* unbiased enough: 128-bit multiply-shift of 64 bits */
/* idx[n] = 0..n-1 in an order given by the stream (key, epoch): Fisher-Yates. False when the poll (may be NULL) has stopped it halfway. */
bool pn_rng_permutation(uint64_t key, uint64_t epoch, int64_t n, int64_t *idx, pn_poll *poll);

/* xoshiro256++ (Blackman, Vigna), scalar: for samplers' seeding and scalar loops. */
typedef struct pn_xoshiro {
    uint64_t s[4];
} pn_xoshiro;
void pn_xoshiro_seed(pn_xoshiro *g, uint64_t seed); /* by splitmix64 */
uint64_t pn_xoshiro_next(pn_xoshiro *g);
#endif
