/* Single-spin updates of any graph with small whole couplings, 64 replicas at a time. The kernel is kernels/replica_bytes_impl.h, its caller energy/replica_bytes.c.
 *
 * A spin of 64 replicas is 64 bytes, -1 or +1. A local field is the sum of its neighbours' bytes, and must fit a byte; an edge of weight 3 is listed three times. */
#ifndef PN_KERNELS_REPLICA_BYTES_H
#define PN_KERNELS_REPLICA_BYTES_H
#include <stdbool.h>
#include <stdint.h>

#define PN_BYTES_REACH 127                       /* the largest local field */
#define PN_BYTES_LEVELS (PN_BYTES_REACH / 2 + 1) /* fields of one parity */

typedef struct pn_bytes_graph {
    const int64_t *start; /* (2 n + 1) neighbours of spin i that count +1 begin at start[2 i], those that count -1 at start[2 i + 1] */
    const int32_t *to;
    const int8_t *field; /* (n) */
    const int8_t *reach; /* (n) largest field; all fields of a spin are odd, or even, as this one is */
} pn_bytes_graph;

/* A flip changes the energy by 2 v, v = spin x field. Level k of odd fields is |v| = 2 k + 1, of even ones 2 k. */
typedef struct pn_bytes_chances {
    bool heat_bath;                         /* false: flips that cost nothing are taken. true: p is for v >= 0, and 1 - p for the way back */
    int levels[2];                          /* of even and odd fields: from the last one on all leading bytes are 0 */
    int8_t leading[2][PN_BYTES_LEVELS][64]; /* the first 8 bits of p, less 128; by replica */
    const uint64_t *p;                      /* (64 or 1, REACH + 1) by replica and |v|: in units of 2^-64 */
    int64_t step;                           /* from one replica's row of p to the next; 0 when all are at one temperature */
} pn_bytes_chances;

/* Sums over all replicas and by replica; each is added to. */
typedef struct pn_bytes_counts {
    int64_t flips[64], change[64], sum[64]; /* flips taken, what they changed in units of 2, and spins afterwards */
} pn_bytes_counts;

/* Proposes spins begin <= i < end in their order. */
typedef void pn_bytes_sweep(const pn_bytes_graph *g, int8_t *spins, int64_t begin, int64_t end, const pn_bytes_chances *chances, pn_lanes *random,
                            pn_bytes_counts *counts);
#endif
