/* Small things that nearly every op needs: its share of the elements, its kernel table, and messages in the house's format. */
#ifndef PN_OPS_OP_HELPERS_H
#define PN_OPS_OP_HELPERS_H
#include <math.h>
#include <string.h>
#include "ops/op.h"

/* ---- the call ---- */

/* The table of kernels of one real type: R_(pn_call_kernels)(c). */
static inline const pn_kernels_f *pn_call_kernels_f(const pn_call *c) { return &c->kernels->f; }
static inline const pn_kernels_d *pn_call_kernels_d(const pn_call *c) { return &c->kernels->d; }

/* dtype of the first real input, PN_F32 when there is none. */
static inline int pn_op_real(const pn_call *c) {
    for (int i = 0; i < c->n_in; i++) {
        if (c->in[i].shape.dtype != PN_I64) return c->in[i].shape.dtype;
    }
    return PN_F32;
}

static inline int64_t pn_least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- who does what ---- */

/* Elementwise work is shared in fixed blocks, so that an element's neighbours in a kernel call never depend on the number of members. */
#define PN_BLOCK 4096
#define PN_PIECE (64 * PN_BLOCK) /* elements between two looks at the poll: below a millisecond */

static inline int64_t pn_blocks_of(int64_t n, int64_t block) { return n / block + (n % block != 0); }

/* Between pieces of any size: whether to stop, asked once in about PN_PIECE / 4 elements. *done counts them, from 0 on. */
static inline bool pn_member_paused(pn_member *m, int64_t *done, int64_t n) {
    *done += n;
    if (*done < PN_PIECE / 4) return false;
    *done = 0;
    return pn_member_stopped(m);
}

/* Counts blocks that a member took without pn_member_range. */
static inline void pn_member_count(const pn_member *m, int64_t blocks) {
    if (m->blocks) m->blocks[m->index * 8] += blocks;
}

/* Small work is done by one member: is it this one? */
static inline bool pn_member_takes_alone(const pn_member *m) {
    if (m->index) return false;
    pn_member_count(m, 1);
    return true;
}

/* This member's share [*lo, *hi) of n elements, in whole blocks of `block`. */
static inline void pn_member_share(const pn_member *m, int64_t n, int64_t block, int64_t *lo, int64_t *hi) {
    if (m->count == 1) { /* no division: tiny tensors come here */
        *lo = 0, *hi = n;
        if (m->blocks) pn_member_count(m, pn_blocks_of(n, block));
        return;
    }
    pn_member_range(m, pn_blocks_of(n, block), lo, hi);
    *lo *= block;
    *hi = *hi * block < n ? *hi * block : n;
}

/* Walks this member's share of n elements in pieces [lo, hi):
 *     for (pn_span s = pn_span_open(m, n); pn_span_next(&s, m);) kernel(y + s.lo, x + s.lo, s.hi - s.lo);
 */
typedef struct pn_span {
    int64_t lo, hi, end;
} pn_span;
static inline pn_span pn_span_open(const pn_member *m, int64_t n) {
    pn_span s;
    pn_member_share(m, n, PN_BLOCK, &s.hi, &s.end);
    s.lo = -1;
    return s;
}
static inline bool pn_span_next(pn_span *s, pn_member *m) {
    if (s->hi >= s->end || (s->lo >= 0 && pn_member_stopped(m))) return false;
    s->lo = s->hi;
    s->hi = s->end - s->lo > PN_PIECE ? s->lo + PN_PIECE : s->end;
    return true;
}

/* y (= or +=) x, n elements; nothing to do when they are the same memory. */
static inline void pn_put_f(const pn_call *c, float *y, const float *x, int64_t n, bool add) {
    if (add)
        c->kernels->f.accumulate(y, x, n);
    else if (y != x && n)
        memcpy(y, x, (size_t)n * sizeof *y);
}
static inline void pn_put_d(const pn_call *c, double *y, const double *x, int64_t n, bool add) {
    if (add)
        c->kernels->d.accumulate(y, x, n);
    else if (y != x && n)
        memcpy(y, x, (size_t)n * sizeof *y);
}

/* ---- shapes ---- */

/* One output like input i. */
static inline pn_status pn_infer_like(pn_infer *q, int i) {
    q->out[0] = q->in[i];
    q->flops = (double)pn_shape_size(&q->in[i]);
    return PN_OK;
}

/* "x has shape (32, 785), expected (*, 784)": the caller puts the layer in front. */
static inline pn_status pn_fail_shape(pn_infer *q, const char *name, int i, const char *expected) {
    char text[256];
    return pn_fail(q->error, PN_E_VALUE, "%s has shape %s, expected %s", name, pn_shape_text(&q->in[i], text), expected);
}

/* A dimension given as -rank..rank-1 becomes 0..rank-1. A scalar counts as rank 1, as in PyTorch. */
static inline pn_status pn_infer_dim(pn_infer *q, const char *name, int i, int64_t dim, int *out) {
    const int rank = q->in[i].rank ? q->in[i].rank : 1;
    char text[256];
    *out = 0;
    if (dim < -rank || dim >= rank) {
        return pn_fail(q->error, PN_E_INDEX, "dim is %lld, but %s has shape %s: allowed are %d to %d", (long long)dim, name, pn_shape_text(&q->in[i], text),
                       -rank, rank - 1);
    }
    *out = (int)(dim < 0 ? dim + rank : dim);
    return PN_OK;
}
/* The same at run time, when infer has already looked. */
static inline int pn_dim_of(const pn_shape *s, int64_t dim) { return (int)(dim < 0 ? dim + (s->rank ? s->rank : 1) : dim); }

/* Product of the dims [from, to). */
static inline int64_t pn_shape_count(const pn_shape *s, int from, int to) {
    int64_t n = 1;
    for (int i = from; i < to; i++) n *= s->dim[i];
    return n;
}

/* ---- checks of data ---- */

/* All of index in 0..limit-1, else IndexError naming the value, its position and what is allowed. */
static inline pn_status pn_check_index(const pn_view *index, const char *name, int64_t limit, pn_error *e) {
    const int64_t *v = index->data, n = pn_shape_size(&index->shape);
    for (int64_t i = 0; i < n; i++) {
        if (v[i] >= 0 && v[i] < limit) continue;
        if (limit == 0)
            return pn_fail(e, PN_E_INDEX, "%s has value %lld at position %lld, but there is nothing to choose from", name, (long long)v[i], (long long)i);
        return pn_fail(e, PN_E_INDEX, "%s has value %lld at position %lld, allowed are 0 to %lld", name, (long long)v[i], (long long)i, (long long)limit - 1);
    }
    return PN_OK;
}
#endif
