/* Kernels of the energy models: a table beside pn_kernels_f and pn_kernels_d, filled by translation units of its own (energy_*.c), one for each instruction set.
 *
 * All of them draw from pn_lanes, eight generators side by side: a word of 512 bits for each step, whatever the instruction set. */
#ifndef PN_KERNELS_ENERGY_H
#define PN_KERNELS_ENERGY_H
#include <stdbool.h>
#include <stdint.h>

#include "kernels/boltzmann.h"
#include "kernels/fields.h"

/* xoshiro256++ (Blackman, Vigna 2021) in eight lanes of 64 bits; plain words, so that a state can be saved. */
#define PN_LANES_WORDS 32
typedef struct pn_lanes {
    uint64_t s[4][8]; /* state word by lane */
} pn_lanes;
void pn_lanes_seed(pn_lanes *g, uint64_t seed); /* energy.c; lanes by splitmix64 */

#include "kernels/lattice_bits.h"
#include "kernels/replica_bytes.h"

typedef struct pn_kernels_energy {
    void (*lanes_fill)(pn_lanes *g, int64_t steps, uint64_t *out); /* (steps, 8) */
    pn_boltzmann_f boltzmann_f;                                    /* rows of units: kernels/boltzmann.h */
    pn_boltzmann_d boltzmann_d;
    pn_bits_sweep *lattice_bits;   /* kernels/lattice_bits.h */
    pn_bytes_sweep *replica_bytes; /* kernels/replica_bytes.h */
    pn_kernels_fields fields;
} pn_kernels_energy;

bool pn_kernels_energy_portable(pn_kernels_energy *t);
bool pn_kernels_energy_avx2(pn_kernels_energy *t);
bool pn_kernels_energy_avx512(pn_kernels_energy *t);
bool pn_kernels_energy_neon(pn_kernels_energy *t);
#endif
