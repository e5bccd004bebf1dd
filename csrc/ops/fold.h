/* Reductions: which elements of x go into which element of y. One description for sum, max, argmax, ... and for the backward of broadcasting.
 *
 * Some dimensions of x are kept, the others are folded away. Neighbours of one kind are merged. An output gathers its elements in the order in which
 * they lie in x, always, whoever computes it: same bits for every number of members. Sums run in double.
 */
#ifndef PN_OPS_FOLD_H
#define PN_OPS_FOLD_H
#include "ops/op_helpers.h"

#define PN_FOLD_WIDTH 64 /* outputs that are gathered side by side when the last dimension is kept */

typedef struct pn_fold {
    int64_t out;                                       /* elements of y */
    int64_t count;                                     /* elements of x in each of them */
    int64_t run;                                       /* length of the last merged dimension of x */
    bool along;                                        /* the run is folded away; else it is kept */
    int n_kept, n_folded;                              /* merged dimensions before the run */
    int64_t kept[PN_MAX_RANK], kept_step[PN_MAX_RANK]; /* sizes, strides in x, outermost first */
    int64_t folded[PN_MAX_RANK], folded_step[PN_MAX_RANK];
} pn_fold;

/* folded: bit d is set when dimension d of x is folded away. */
void pn_fold_init(pn_fold *f, const pn_shape *x, unsigned folded);
/* The dimensions of `from` that were repeated when `to` was broadcast to it. */
unsigned pn_fold_repeated(const pn_shape *from, const pn_shape *to);

/* This member's groups of outputs: width of them from y[at] on; their elements start at x[base]. Each group is gathered in steps: a step lies at x[offset]
 * and has n elements: (a piece of) a run for one output (along), or one element for each of the `width` outputs. Between steps the walk looks at the
 * poll; it ends early when the run should stop.
 *     for (pn_fold_walk w = pn_fold_open(&f, m); pn_fold_next(&w);)
 *         for (bool more = pn_fold_first(&w); more; more = pn_fold_step(&w)) ...
 */
typedef struct pn_fold_walk {
    const pn_fold *f;
    pn_member *m;
    int64_t group, end; /* groups of outputs: this one, behind my last one */
    int64_t at, width, base;
    int64_t offset, n;          /* of the step */
    int64_t number;             /* elements of each output that came before the step */
    int64_t done;               /* elements of the run that came before the step (along) */
    int64_t index[PN_MAX_RANK]; /* of the step in the folded dimensions */
} pn_fold_walk;
pn_fold_walk pn_fold_open(const pn_fold *f, pn_member *m);
bool pn_fold_next(pn_fold_walk *w);
bool pn_fold_first(pn_fold_walk *w);
bool pn_fold_step(pn_fold_walk *w);

/* Shared scratch that pn_fold_sum wants: partial sums when a long vector becomes one number. */
size_t pn_fold_sum_scratch(const pn_fold *f);
/* As much as any fold of a tensor of this shape wants, in whole cache lines. */
static inline size_t pn_fold_sum_bytes(const pn_shape *x) {
    const size_t bytes = (size_t)pn_blocks_of(pn_shape_size(x), PN_BLOCK) * sizeof(double);
    return (bytes + 63) / 64 * 64;
}
/* y[out] (= or +=) (sum of x) / divisor, every member calls it. Passes one barrier when pn_fold_sum_scratch is not 0. */
void pn_fold_sum_f(const pn_call *c, pn_member *m, const pn_fold *f, float *y, const float *x, double divisor, bool add, double *scratch);
void pn_fold_sum_d(const pn_call *c, pn_member *m, const pn_fold *f, double *y, const double *x, double divisor, bool add, double *scratch);
#endif
