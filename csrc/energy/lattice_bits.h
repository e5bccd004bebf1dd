/* The bit strings of kernels/lattice_bits.h for given couplings. */
#ifndef PN_ENERGY_LATTICE_BITS_H
#define PN_ENERGY_LATTICE_BITS_H
#include "energy/energy.h"
#include "kernels/energy.h"

typedef struct pn_bits_map {
    pn_bits_lattice l;
    int64_t rows, side, inner; /* rows of `width` bits, made of `side` sites; rows of a plane */
    int64_t margin;            /* words of zeros on either side of a string */
    int64_t bonds;
    uint64_t *memory;
} pn_bits_map;

bool pn_bits_takes(const pn_couplings *m);
pn_status pn_bits_map_open(pn_bits_map *b, const pn_couplings *m, pn_error *e);
void pn_bits_map_close(pn_bits_map *b);
int64_t pn_bits_string_words(const pn_bits_map *b); /* of 64 bits, margins included */
void pn_bits_pack(const pn_bits_map *b, const int8_t *spins, uint64_t *const colour[2]);
void pn_bits_unpack(const pn_bits_map *b, const uint64_t *const colour[2], int8_t *spins);
int64_t pn_bits_sites(const pn_bits_map *b, int colour, int64_t begin, int64_t end); /* that exist in these words */
#endif
