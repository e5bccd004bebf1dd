/* What a plan needs of linear beyond the op itself: the weight gradient fused with its update. */
#ifndef PN_OPS_LINEAR_H
#define PN_OPS_LINEAR_H
#include "ops/op.h"

/* w <- rule(w, gz^T x) block by block: a block of the gradient is computed into member scratch and used up while it is in cache, so the gradient never
 * goes to memory. c is the call of the op's backward with c->gin[1].data NULL, and that backward must have run before: gout holds gz = gout act'(y).
 * state: arrays of the weight's size as the rule wants them. m->scratch must hold pn_linear_update_scratch bytes. No barrier inside; never polls. */
void pn_linear_update(const pn_call *c, pn_member *m, pn_update rule, const pn_hyper *h, void *const state[3]);
size_t pn_linear_update_scratch(const pn_kernels *k, const pn_shape *x, const pn_shape *weight);
#endif
