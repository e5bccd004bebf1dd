/* What pn_apply needs of an open recording; the rest is in graph/graph.h. */
#ifndef PN_GRAPH_RECORDING_H
#define PN_GRAPH_RECORDING_H
#include "graph/graph.h"

/* Room for one more node, so that pn_recording_append cannot fail. */
bool pn_recording_reserve(pn_recording *r, pn_error *e);
/* Takes references to n and its outputs. */
void pn_recording_append(pn_recording *r, pn_node *n, pn_tensor *const *outs);
#endif
