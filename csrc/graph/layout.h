/* Layouts of plan buffers and the op that changes them: see layout.c. */
#ifndef PN_GRAPH_LAYOUT_H
#define PN_GRAPH_LAYOUT_H
#include "graph/plan.h"

/* Shape of the memory that holds a tensor: itself when plain, else with the blocked dimension split off to the end and rounded up. */
pn_shape pn_layout_shape(const pn_shape *s, pn_layout layout);
/* Where element i (of the plain order) lies. */
int64_t pn_layout_index(const pn_shape *s, pn_layout layout, int64_t i);
const char *pn_layout_name(pn_layout layout);

/* y = x in another layout; pad lanes are zero. Attributes 0 and 1: from, to. Only plans make it. */
extern const pn_op pn_op_reorder;
#endif
