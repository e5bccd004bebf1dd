/* What all losses share: the `reduction` attribute and the cut of the work into blocks with one partial sum each.
 *
 * A loss is a value per unit (an element, or a row of scores). Units are cut into blocks by shape alone; each block adds its values up in double, and
 * the partial sums are added in block order, so no number depends on the number of threads.
 */
#ifndef PN_OPS_LOSS_H
#define PN_OPS_LOSS_H
#include "ops/op.h"

enum { PN_MEAN, PN_SUM, PN_NONE };                                         /* values of the attribute */
#define PN_REDUCTION_FIELD {"reduction", PN_ENUM, "mean|sum|none", "mean"} /* attribute 0 of every loss */

#define PN_LOSS_BLOCK 1024 /* elements a block of an elementwise loss */

static inline int64_t pn_loss_blocks(int64_t n, int64_t block) { return n <= block ? 1 : (n + block - 1) / block; }

/* Shapes of prediction and target must be equal; (N,) against (N, 1) is the same thing and read as such, never broadcast to (N, N). */
static inline bool pn_loss_same(const pn_shape *a, const pn_shape *b) {
    int ra = a->rank, rb = b->rank;
    if (ra == rb + 1 && a->dim[rb] == 1) ra = rb;
    if (rb == ra + 1 && b->dim[ra] == 1) rb = ra;
    if (ra != rb) return false;
    for (int i = 0; i < ra; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

/* Adds `n` doubles in order. */
static inline double pn_loss_total(const double *partial, int64_t n) {
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += partial[i];
    return total;
}
#endif
