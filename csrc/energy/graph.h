/* The neighbours of all spins in rows, whatever the couplings are made of, for engines that walk over neighbours. */
#ifndef PN_ENERGY_GRAPH_H
#define PN_ENERGY_GRAPH_H
#include "energy/energy.h"

typedef struct pn_graph {
    const int64_t *start; /* (n + 1): neighbours of i are to[start[i]] .. to[start[i + 1] - 1] */
    const int32_t *to;
    const double *weight;
    void *made[3]; /* what `open` allocated: NULL for couplings that are rows already */
} pn_graph;

pn_status pn_graph_open(pn_graph *g, const pn_couplings *m, pn_error *e); /* borrows the rows of m, or writes out those of a lattice */
void pn_graph_close(pn_graph *g);

/* sum_j M_ij s_j + h_i */
static inline double pn_graph_field(const pn_graph *g, const pn_couplings *m, const int8_t *s, int64_t i) {
    double sum = m->field ? m->field[i] : 0;
    for (int64_t k = g->start[i]; k < g->start[i + 1]; k++) sum += g->weight[k] * s[g->to[k]];
    return sum;
}

/* Sites by colour, ascending in each: order (n); no two coupled sites have the same colour (greedy: two colours for a bipartite lattice). */
pn_status pn_graph_colours(const pn_graph *g, int64_t n, int32_t *order, pn_error *e);
#endif
