/* Single-spin updates of square and cubic lattices and rings, 512 spins to a word. The kernel is kernels/lattice_bits_impl.h, its caller energy/lattice_bits.c.
 *
 * Sites whose coordinates add up to an even number have colour 0, the others colour 1: a site's neighbours all have the other colour. A colour is a string of
 * bits (1: spin up), row after row without gaps: bit f = row x width + k is the site x = 2k or 2k + 1 of its row. Its neighbours in the row are bit f of the other
 * colour, and f + 1 where x is odd, f - 1 where it is even; along the other axes they are f +- step. Before and behind the string stand zeros, `margin` words and more. */
#ifndef PN_KERNELS_LATTICE_BITS_H
#define PN_KERNELS_LATTICE_BITS_H
#include <stdint.h>

#define PN_BITS_AXES 3
#define PN_BITS_SLOTS (2 * PN_BITS_AXES)      /* neighbours of a site: two in the row, two along the slowest axis, two along the middle one */
#define PN_BITS_LEVELS (2 * PN_BITS_AXES + 1) /* a flip changes the energy by 2 |J| v, v = satisfied bonds - unsatisfied ones; |v| = 0, ..., 6 */

/* One colour of a lattice: nothing here changes. Pointers into bit strings like those of the spins, or NULL. */
typedef struct pn_bits_colour {
    const uint64_t *odd, *first, *last;     /* (period, 8) which sites have an odd x; which begin and end their row */
    const uint64_t *low, *high;             /* (period, 8) the same along the middle axis */
    const uint64_t *sign[PN_BITS_SLOTS];    /* (words, 8) bonds with sign -1; NULL: none */
    const uint64_t *present[PN_BITS_SLOTS]; /* (words, 8) bonds that exist; NULL for a lattice without borders */
    const uint64_t *valid;                  /* (words, 8) sites that exist; NULL: all but those beyond the last bit */
} pn_bits_colour;

typedef struct pn_bits_lattice {
    int axes;
    int64_t words, bits, period; /* of a colour */
    int64_t width;               /* bits of a row */
    int64_t slow, slow_turn;     /* step along the slowest of two or three axes, and around its end (0: it has none, the ring of one axis) */
    int64_t middle, middle_turn; /* the same for the middle one of three */
    bool bordered;               /* some axis is open */
    uint64_t negative;           /* all ones when J < 0, else 0 */
    uint64_t tail[8];            /* the bits of the last word that exist */
    pn_bits_colour colour[2];
} pn_bits_lattice;

/* Probabilities in units of 2^-64. For heat-bath rules p[|v|] is that of a flip which costs v > 0, and 1 - p that of one which gains it. */
typedef struct pn_bits_chances {
    uint64_t p[PN_BITS_LEVELS];
    bool heat_bath; /* false: flips that cost nothing are taken */
    bool lazy;      /* half of the proposals are the old value */
} pn_bits_chances;

typedef struct pn_bits_counts {
    int64_t flips, up, unsatisfied; /* flips taken; spins up of this colour; unsatisfied bonds of its sites, afterwards */
} pn_bits_counts;

/* Proposes each site of words [begin, end) of one colour once; chances NULL: nothing, the counts alone. The counts but `flips` are taken when asked for. */
typedef void pn_bits_sweep(const pn_bits_lattice *l, int colour, uint64_t *own, const uint64_t *other, int64_t begin, int64_t end,
                           const pn_bits_chances *chances, pn_lanes *random, bool count_bonds, pn_bits_counts *counts);
#endif
