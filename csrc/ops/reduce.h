/* What all reductions share: the attributes `dim` and `keepdim`, and the shape rule that follows from them. */
#ifndef PN_OPS_REDUCE_H
#define PN_OPS_REDUCE_H
#include "ops/fold.h"

#define PN_DIMS_FIELD {"dim", PN_INTS, NULL, "()"}           /* attribute 0; none given: all dimensions */
#define PN_KEEPDIM_FIELD {"keepdim", PN_BOOL, NULL, "False"} /* attribute 1 */

/* The dimensions to fold as bits, when infer has checked them. */
unsigned pn_reduce_mask(const pn_shape *x, const pn_value *dims);
/* Is everything folded? Quick, for tiny tensors: true only when it is plain to see. */
static inline bool pn_reduce_all(const pn_value *dims) { return dims->n <= 0; }

/* Checks dims and fills the dims of q->out[0]; its dtype is in[0]'s. */
pn_status pn_reduce_infer(pn_infer *q, unsigned *mask);
/* For a single dimension given as PN_INT, INT64_MIN standing for all. */
unsigned pn_reduce_mask_one(const pn_shape *x, int64_t dim);
pn_status pn_reduce_infer_one(pn_infer *q, unsigned *mask);
/* Refuses a fold without elements, for ops that have no value then: "x has shape (0, 3), but max needs at least one element in each group". */
pn_status pn_reduce_refuse_empty(pn_infer *q, const char *name);
#endif
