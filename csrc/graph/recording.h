/* What pn_apply needs of an open recording; the rest is in graph/graph.h. */
#ifndef PN_GRAPH_RECORDING_H
#define PN_GRAPH_RECORDING_H
#include "graph/graph.h"

/* Room for one more node, so that pn_recording_append cannot fail. */
bool pn_recording_reserve(pn_recording *r, pn_error *e);
/* Takes references to n and its outputs; lets go of what n has saved for backward unless the recording is dynamic. */
void pn_recording_append(pn_recording *r, pn_node *n, pn_tensor *const *outs);
/* The values of a recorded node live as long as Python shows them, see graph/recorded_values.c. */
void pn_recording_pass(pn_node *n, pn_tensor *const *outs);
void pn_recording_keep(pn_recording *r); /* from now on they stay */
/* What running value t has become by the ops recorded so far (PN_COMMITS); t itself when none has changed it. */
pn_tensor *pn_recording_successor(const pn_recording *r, pn_tensor *t);
#endif
