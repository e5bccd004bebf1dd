/* Sweeps over spins with local fields in fixed point, for the engines dense_fields and sparse_fields.
 *
 * Fields and couplings are whole multiples of a unit, 2^-30 of what the field of that spin can reach, in 32 bits. Sums of them are exact in any order, so tracked fields
 * never drift, and every instruction set goes the same way. What rounding the couplings changes, 2^-31 of the reach, is less than floats would.
 *
 * A flip of spin i is accepted when s_i F_i <= T L / 2, where L = -log u makes that Metropolis's rule and L = log(1/u - 1) Glauber's (u uniform). L is exact to 2^-24;
 * u has 31 bits: what happens less often than once in 2^32 never happens. */
#ifndef PN_KERNELS_FIELDS_H
#define PN_KERNELS_FIELDS_H
#include <stdint.h>

struct pn_lanes;

enum { PN_FIELDS_METROPOLIS, PN_FIELDS_GLAUBER, PN_FIELDS_LECTURE };
#define PN_FIELDS_LANES 16

typedef struct pn_fields {
    int64_t n, words;     /* spins, and vectors of 16 that hold them */
    int64_t replicas;     /* of this group */
    int32_t *field;       /* F in units: (replicas, 16 words), or (n, 16) for the sweeps of 16 replicas at once */
    int32_t *turned;      /* the same shape: 0 for a spin of +1, -1 for -1; one more number is there to be read */
    const float *unit;    /* (16 words) the largest unit over the unit of the spin: a power of 2 */
    const int32_t *dense; /* (n, 16 words): row i holds 2 M_ij in units of j; NULL: the rows below */
    const int32_t *own;   /* (words, 17, 16) the same among the 16 spins of a word; the 17th row is 0 */
    const int64_t *start; /* (n + 1) */
    const int32_t *to;
    const int32_t *pull; /* beside `to`: 2 M_ij in units of j */
    const float *heat;   /* (replicas, or 16) T / 2 in the largest unit */
    int rule;
} pn_fields;

/* Each gives the number of accepted flips. */
typedef struct pn_kernels_fields {
    int64_t (*dense)(const pn_fields *f, struct pn_lanes *g, int64_t from, int64_t to);    /* spins of the words from <= w < to in their order, every replica */
    int64_t (*sparse)(const pn_fields *f, struct pn_lanes *g, int64_t from, int64_t to);   /* the same */
    int64_t (*replicas)(const pn_fields *f, struct pn_lanes *g, int64_t from, int64_t to); /* spins from <= i < to of 16 replicas side by side */
    int64_t (*random)(const pn_fields *f, struct pn_lanes *g, int64_t proposals);          /* so many for every replica, each at a spin drawn for it */
} pn_kernels_fields;
#endif
