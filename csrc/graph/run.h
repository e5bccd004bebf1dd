/* Running one op function for teaching mode: alone when it is small, by the team and without the GIL when it is long. */
#ifndef PN_GRAPH_RUN_H
#define PN_GRAPH_RUN_H
#include "graph/graph.h"

/* Nanoseconds one core will take, roughly: 50 GFLOP/s, 16 GB/s. Decides only who computes, never what. */
static inline double pn_work_estimate(double flops, double bytes) { return flops * 0.02 + bytes * 0.06; }

typedef struct pn_run_spec {
    size_t scratch, member_scratch;
    double work; /* pn_work_estimate */
    bool backward;
} pn_run_spec;

/* Runs call->op, forward or backward, with scratch as large as spec says. PN_E_MEMORY before anything is written, PN_E_INTERRUPTED, or what user code says. */
pn_status pn_run_call(pn_context *ctx, pn_call *call, const pn_run_spec *spec, pn_error *e);

/* Puts the layer's label, or else `name`, in front of the message. Returns the status for `return`. */
pn_status pn_error_name(const char *layer, const char *name, pn_error *e);
#endif
