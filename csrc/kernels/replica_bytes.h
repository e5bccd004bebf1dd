/* Single-spin updates of any graph with small whole couplings, 64 replicas at a time. The kernel is kernels/replica_bytes_impl.h, its caller energy/replica_bytes.c.
 *
 * A spin of 64 replicas is a row of 32 bytes: 1 (up) or 0 in half a byte, the low halves for the first 32 replicas. Neighbours are added up in half bytes, eight at
 * a time, then in bytes, which a local field must fit. An edge of weight 3 is listed three times; row n is 0, and fills up lists to a multiple of eight. */
#ifndef PN_KERNELS_REPLICA_BYTES_H
#define PN_KERNELS_REPLICA_BYTES_H
#include <stdbool.h>
#include <stdint.h>

#define PN_BYTES_REACH 127                       /* the largest local field */
#define PN_BYTES_LEVELS (PN_BYTES_REACH / 2 + 1) /* fields of one parity */

typedef struct pn_bytes_graph {
    const int64_t *start; /* (2 n + 1) neighbours of spin i that count +1 begin at start[2 i], those that count -1 at start[2 i + 1] */
    const int32_t *to;    /* as places of rows: 32 times the spin's number */
    const int8_t *base;   /* (n) the field when all neighbours are down, modulo 256 */
    const int8_t *reach;  /* (n) largest field; all fields of a spin are odd, or even, as this one is */
} pn_bytes_graph;

/* A flip changes the energy by 2 v, v = spin x field. Level k of odd fields is |v| = 2 k + 1, of even ones 2 k. */
typedef struct pn_bytes_chances {
    _Alignas(64) int8_t leading[2][PN_BYTES_LEVELS][2][64]; /* the first two bytes of p, each less 128; by parity, level and replica */
    bool heat_bath;                                         /* false: flips that cost nothing are taken. true: p is for v >= 0, and 1 - p for the way back */
    bool lazy;                                              /* half of the proposals are the old value */
    int replicas;                                           /* that there are, of 64: others draw no numbers, whatever their spins are */
    int levels;                                             /* beyond them both bytes are 0; one number for all spins, so that the loop over them is foreseen */
    const uint64_t *p;                                      /* (64 or 1, REACH + 1) by replica and |v|: in units of 2^-64 */
    int64_t step;                                           /* from one replica's row of p to the next; 0 when all are at one temperature */
} pn_bytes_chances;

/* Sums over all replicas and by replica; each is added to. */
typedef struct pn_bytes_counts {
    int64_t flips[64], change[64], up[64]; /* flips taken, what they changed in units of 2, and spins up afterwards */
} pn_bytes_counts;

/* Proposes spins begin <= i < end in their order. */
typedef void pn_bytes_sweep(const pn_bytes_graph *g, uint8_t *spins, int64_t begin, int64_t end, const pn_bytes_chances *chances, pn_lanes *random,
                            pn_bytes_counts *counts);
#endif
