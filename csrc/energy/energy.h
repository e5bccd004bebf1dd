/* What all energy models share: couplings of spins, rules of acceptance, and how the streams of random numbers are named.
 *
 * Spins are int8, -1 or +1. E(s) = -1/2 s'Ms - h's with M symmetric and M_ii = 0. Source: lecture 001; Ising 1925, Hopfield 1982. */
#ifndef PN_ENERGY_ENERGY_H
#define PN_ENERGY_ENERGY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A flip that changes the energy by d is accepted with probability
 *   Metropolis  min(1, exp(-d / T))      Glauber (heat bath)  1 / (1 + exp(d / T))
 *   lecture     1 if d <= 0, else 1 / (1 + exp(d / T)): no equilibrium rule, it does not sample the Boltzmann distribution */
typedef enum pn_rule { PN_RULE_METROPOLIS, PN_RULE_GLAUBER, PN_RULE_LECTURE } pn_rule;

double pn_rule_probability(pn_rule rule, double change, double temperature); /* own exp: the same bits on every machine */

#define PN_LATTICE_RANK 3

/* M and h of n spins; immutable once made. Either rows, or a hypercubic lattice with one strength and the signs of its bonds, which needs no rows. */
typedef struct pn_couplings {
    int64_t n;
    int64_t *start;  /* (n + 1) rows: neighbours of i are to[start[i]] .. to[start[i + 1] - 1]; NULL for a lattice */
    int32_t *to;     /* ascending in each row; every edge stands in the rows of both its ends */
    double *weight;  /* beside `to`: M_ij, finite, not 0 */
    double *field;   /* (n) h; NULL: none */
    int rank;        /* of the lattice, 1 to PN_LATTICE_RANK; 0: rows */
    int64_t side[3]; /* the site (x0, x1, x2) has the number (x0 side[1] + x1) side[2] + x2; axes beyond the rank have side 1 */
    bool periodic[3];
    double coupling; /* strength of every bond of the lattice, not 0 */
    int8_t *sign;    /* (rank, n): +-1 for the bond from a site to the next along an axis (bonds that an open border lacks are ignored); NULL: all +1 */
    int64_t degree;  /* of the spin with most neighbours */
    bool whole;      /* all couplings and fields are integers, and |h_i| + sum_j |M_ij| <= 2^30: energies are exact */
    double reach;    /* largest |h_i| + sum_j |M_ij|: no local field is larger */
} pn_couplings;

/* Makes couplings from rows (checked: ascending, symmetric, no diagonal, finite) or from a lattice; all arrays are copied. A periodic axis needs at least 3 sites.
 * PN_E_VALUE says what is wrong and where. */
pn_status pn_couplings_rows(pn_couplings **out, int64_t n, const int64_t *start, const int32_t *to, const double *weight, const double *field, pn_error *e);
pn_status pn_couplings_lattice(pn_couplings **out, int rank, const int64_t *side, const bool *periodic, double coupling, const int8_t *sign,
                               const double *field, pn_error *e);
void pn_couplings_free(pn_couplings *m); /* NULL is fine */

/* The neighbours of one spin, whatever the couplings are made of. */
typedef struct pn_row {
    int64_t n;
    const int32_t *to;
    const double *weight;
    int32_t near[2 * PN_LATTICE_RANK];
    double strength[2 * PN_LATTICE_RANK];
} pn_row;
void pn_couplings_row(const pn_couplings *m, int64_t i, pn_row *row); /* row must outlive its use: a lattice's row points into it */

double pn_local_field(const pn_couplings *m, const int8_t *s, int64_t i); /* h_i + sum_j M_ij s_j; flipping i changes the energy by 2 s_i times this */
double pn_couplings_energy(const pn_couplings *m, const int8_t *s);       /* exact when m->whole */
/* The same in parts, in order: sums, zero at first, takes the part of the spins [from, to). */
void pn_couplings_energy_add(const pn_couplings *m, const int8_t *s, int64_t from, int64_t to, double sums[2]);
static inline double pn_couplings_energy_of(const double sums[2]) { return -0.5 * sums[0] - sums[1]; }

/* How strong couplings are. */
typedef struct pn_scale {
    double reach;   /* no local field is larger */
    double weakest; /* mean over spins of the smallest |M_ij| or |h_i| that is not 0: about the smallest local field where few couplings meet */
    double spread;  /* mean over spins of the root of h_i^2 + sum_j M_ij^2: the width of the local field of random spins */
} pn_scale;
pn_scale pn_couplings_scale(const pn_couplings *m);

/* The seed of stream number `stream` of a run: a stream belongs to a block or a replica, never to a thread. */
uint64_t pn_energy_seed(uint64_t seed, uint64_t stream);
#endif
