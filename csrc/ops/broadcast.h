/* Broadcasting: the one iterator over an output shape and the inputs that are stretched to it.
 *
 * Shapes are aligned at the last dimension; a missing dimension or one of size 1 is repeated. Neighbouring dimensions that behave alike are merged, so
 * that what remains is a short list of dimensions, the last of which is a run: on it each input either advances by 1 or stands still.
 */
#ifndef PN_OPS_BROADCAST_H
#define PN_OPS_BROADCAST_H
#include "ops/op_helpers.h"

#define PN_BCAST_MAX 3 /* inputs */

typedef struct pn_bcast {
    int n_in, rank;                          /* rank >= 1 after merging */
    int64_t dim[PN_MAX_RANK];                /* of the output */
    int64_t step[PN_BCAST_MAX][PN_MAX_RANK]; /* per input and dimension, in elements; 0: repeated. The last is 0 or 1 */
} pn_bcast;

/* All inputs must be broadcastable to out (pn_bcast_infer has seen to it). */
void pn_bcast_init(pn_bcast *b, const pn_shape *out, int n_in, const pn_view *in);

/* The common case of small tensors: is `row` the trailing dimensions of `whole`, as a bias is? *length: its elements, which repeat. */
static inline bool pn_bcast_is_rows(const pn_shape *whole, const pn_shape *row, int64_t *length) {
    int d = row->rank, o = whole->rank;
    for (*length = 1; d > 0 && o > 0 && row->dim[d - 1] == whole->dim[o - 1]; d--, o--) *length *= row->dim[d - 1];
    while (d > 0 && row->dim[d - 1] == 1) d--;
    return d == 0 && *length > 0;
}

/* Dims of out from the dims of all inputs; dtype of out is left alone. names: as in messages. */
pn_status pn_bcast_infer(pn_infer *q, int n_in, const char *const *names, pn_shape *out);

/* The output elements [at, end) run by run: in[i] is the offset of input i, n the length of the run.
 *     for (pn_bcast_walk w = pn_bcast_open(&b, lo, hi); pn_bcast_next(&w);) ...
 */
typedef struct pn_bcast_walk {
    const pn_bcast *b;
    int64_t at, end, n;
    int64_t in[PN_BCAST_MAX];
    int64_t index[PN_MAX_RANK]; /* position of `at` */
} pn_bcast_walk;
pn_bcast_walk pn_bcast_open(const pn_bcast *b, int64_t lo, int64_t hi);
bool pn_bcast_next(pn_bcast_walk *w);
#endif
