/* All states of a small model, one by one: exact answers, by which samplers are judged.
 *
 * A state has the number in whose n binary digits spin 0 comes first and a digit 1 stands for +1. The last `low` spins make a block of 2^low states, whose energies are sums
 * of a table and of terms linear in each spin; the spins before them go through a Gray code, one flip a block. The walk is cut into parts by shape alone, and starts anew from
 * the couplings every PN_ENUMERATE_FRESH blocks: numbers depend neither on threads nor on how a run is sliced. Cost: about 2^n x 2 ns for energies, for each thread. */
#ifndef PN_ENERGY_ENUMERATE_H
#define PN_ENERGY_ENUMERATE_H
#include "base/poll.h"
#include "energy/energy.h"

#define PN_ENUMERATE_SPINS 30
#define PN_ENUMERATE_LOW 10
#define PN_ENUMERATE_PARTS 16
#define PN_ENUMERATE_FRESH 256
#define PN_ENUMERATE_BINS (1 << 18)

typedef struct pn_enumeration {
    int n, low;    /* spins, and those of a block */
    bool mirrored; /* no fields: E(-s) = E(s), and only states with s_0 = -1 are walked */
    int parts;     /* pieces of the walk that may run at the same time */
    int64_t steps; /* blocks of a part */
    int64_t bins;  /* levels -total, -total + 2, ..., total when all is whole in the unit, else 0 */
    double total;  /* sum of |couplings| and |fields|: no energy is larger */
    double unit;   /* of all energies here: they are to be multiplied by it */
    double m[PN_ENUMERATE_SPINS][PN_ENUMERATE_SPINS], h[PN_ENUMERATE_SPINS];
    double table[1 << PN_ENUMERATE_LOW]; /* energy of the couplings inside a block */
} pn_enumeration;

/* unit: all couplings and fields are whole multiples of it (checked); 0: any numbers. PN_E_VALUE when there are too many spins. */
pn_status pn_enumeration_make(pn_enumeration *w, const pn_couplings *m, double unit, pn_error *e);

/* Steps [from, to) of every part. Stopped by the poll they return PN_E_INTERRUPTED; what they fill is then worth nothing. */
typedef struct pn_enumerate_range {
    int64_t from, to;
    int threads;
    pn_poll *poll;
} pn_enumerate_range;

/* extent (parts, 2): smallest and largest energy so far, widened. counts (parts, bins): states of each level, added to; NULL: not counted. Mirrored states are not counted. */
pn_status pn_enumerate_levels(double *extent, int64_t *counts, const pn_enumeration *w, const pn_enumerate_range *r, pn_error *e);
/* States with an energy of at most `limit`: at (parts) is how many each part has found, codes (parts, room) their numbers; NULL: only counted. Mirrored states are left out. */
pn_status pn_enumerate_below(int64_t *at, uint32_t *codes, int64_t room, double limit, const pn_enumeration *w, const pn_enumerate_range *r, pn_error *e);
/* E of all states by number: out (2^n), mirrored ones too. */
pn_status pn_enumerate_energies(double *out, const pn_enumeration *w, const pn_enumerate_range *r, pn_error *e);

/* Sums over states weighted by exp(-beta (E - ground)), for each part, added to, without mirrored states. With k = n - low spins before the block:
 *   marginal (k + 1, 2^low)  by number of +1 among the first k, and the states of the others      mixed (k, low)  s_i s_j of a spin before and one in the block
 *   before (k, k)  s_i s_j         first (k)  s_i         moments (2)  E - ground and its square */
int64_t pn_enumerate_sums_size(const pn_enumeration *w); /* doubles of one part */
pn_status pn_enumerate_weights(double *sums, double ground, double beta, const pn_enumeration *w, const pn_enumerate_range *r, pn_error *e);
#endif
