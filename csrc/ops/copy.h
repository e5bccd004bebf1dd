/* Moving rows of elements without looking at them: what reshape, concat, stack, slice, gather and transpose have in common.
 * Forward moves whole elements of 4 or 8 bytes, whatever they mean; backward moves or adds gradients, which are real. */
#ifndef PN_OPS_COPY_H
#define PN_OPS_COPY_H
#include "ops/op_helpers.h"

/* Elements by size: reading a float or an int64 as one of these is allowed. */
typedef uint32_t __attribute__((may_alias)) pn_word32;
typedef uint64_t __attribute__((may_alias)) pn_word64;

/* y[i] = x[i * step], n elements of `size` bytes; step may be negative. */
static inline void pn_copy_strided(void *y, const void *x, int64_t step, int64_t n, size_t size) {
    if (step == 1) {
        memcpy(y, x, (size_t)n * size);
    } else if (size == 4) {
        for (int64_t i = 0; i < n; i++) ((pn_word32 *)y)[i] = ((const pn_word32 *)x)[i * step];
    } else {
        for (int64_t i = 0; i < n; i++) ((pn_word64 *)y)[i] = ((const pn_word64 *)x)[i * step];
    }
}

/* A block of rows inside two larger arrays. Strides are in elements. */
typedef struct pn_rows_copy {
    int64_t rows, len; /* rows of len elements */
    int64_t to, from;  /* distance of two rows */
} pn_rows_copy;

/* y[r * to + j] = x[r * from + j] for this member's share of the elements. */
void pn_copy_rows(pn_member *m, const pn_rows_copy *b, void *y, const void *x, size_t size);
/* The same, or adding. */
void pn_put_rows_f(const pn_call *c, pn_member *m, const pn_rows_copy *b, float *y, const float *x, bool add);
void pn_put_rows_d(const pn_call *c, pn_member *m, const pn_rows_copy *b, double *y, const double *x, bool add);

/* y = 0, shared by the members. */
void pn_clear(pn_member *m, void *y, int64_t n, size_t size);
#endif
