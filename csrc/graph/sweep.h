/* The bookkeeping of one backward sweep: which nodes, in which order, and where the gradients are kept meanwhile. See autodiff.c. */
#ifndef PN_GRAPH_SWEEP_H
#define PN_GRAPH_SWEEP_H
#include "graph/graph.h"

/* A tensor that may receive a gradient: an output of a node, or a leaf. */
typedef struct pn_slot {
    pn_tensor *tensor; /* borrowed (the graph holds it); outputs that nobody asked about: NULL */
    pn_tensor *grad;   /* owned; the sum so far */
    bool leaf;
    bool keep; /* wanted after its node is done: retain_grad, or asked for by pn_gradients */
} pn_slot;

#define PN_SWEEP_FEW 64 /* nodes and slots of a small graph need no allocation */

typedef struct pn_sweep {
    pn_context *ctx;
    bool again;      /* released nodes are welcome while what they need is still there */
    bool chosen;     /* only the gradients asked for, not those of all leaves */
    pn_node **nodes; /* (n_nodes) latest first */
    int64_t n_nodes, node_capacity;
    pn_slot *slots; /* (n_slots) */
    int64_t n_slots, slot_capacity;
    /* Leaves found so far, by address: open addressing, a power of two, at most half full. */
    int64_t *table; /* slot number + 1; 0: free */
    int64_t table_size, n_leaves;
    pn_node *few_nodes[PN_SWEEP_FEW];
    pn_slot few_slots[PN_SWEEP_FEW];
    int64_t few_table[PN_SWEEP_FEW];
} pn_sweep;

void pn_sweep_open(pn_sweep *s, pn_context *ctx, bool chosen, bool again);
/* Lists all nodes behind root and gives slots. With chosen: leaves have slots only when in wrt (n). */
pn_status pn_sweep_discover(pn_sweep *s, pn_tensor *root, int n, pn_tensor *const *wrt, pn_error *e);
/* Slot of t, NULL when it gets no gradient. Valid until the next discover. */
pn_slot *pn_sweep_slot(pn_sweep *s, const pn_tensor *t);
void pn_sweep_close(pn_sweep *s);
#endif
