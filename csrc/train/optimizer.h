/* Optimisers: a rule of kernels/update.def, its groups of hyperparameters, and one segment of state for each parameter. */
#ifndef PN_TRAIN_OPTIMIZER_H
#define PN_TRAIN_OPTIMIZER_H
#include "graph/plan.h"

/* Takes references to params (n, all of one real dtype); group[i] is the group of parameter i; groups (n_groups) is copied. State starts at `fill[k]` for
 * the k-th state array (NULL: zero). */
pn_status pn_optimizer_new(pn_update rule, int n_groups, const pn_hyper *groups, int n, pn_tensor *const *params, const int *group, const double *fill,
                           pn_optimizer **out, pn_error *e);
void pn_optimizer_free(pn_optimizer *o);

/* False once a parameter was converted to another dtype: the state does not fit any more. */
bool pn_optimizer_fits(const pn_optimizer *o);

/* Before an update: derives what the rule needs for the next step of each segment that takes part (takes NULL: all). Cheap; may be called again. */
void pn_optimizer_prepare(pn_optimizer *o, const bool *takes, double grad_scale);
/* After an update of those segments: counts it. */
void pn_optimizer_commit(pn_optimizer *o, const bool *takes);

/* Teaching mode: one step from grad_scale times the gradients in param->grad; parameters without one are left alone. PN_E_TYPE or PN_E_VALUE when a gradient does not fit its
 * parameter; then nothing has changed. largest: a bound on all |gradients|, or below 0. Where it is known the update is guarded: PN_E_NONFINITE and nothing
 * changed when it leaves the range; *failed is the number of the parameter then. */
pn_status pn_optimizer_step(pn_optimizer *o, double grad_scale, double largest, int *failed, pn_error *e);
/* Sum of squares of all gradients in param->grad, in double. */
double pn_optimizer_gradient_norm2(const pn_optimizer *o);
/* Elements of all parameters. */
int64_t pn_optimizer_size(const pn_optimizer *o);
#endif
