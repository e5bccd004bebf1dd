/* General matrix product, row-major: C[m,n] = (add ? C : 0) + op(A)[m,k] op(B)[k,n], then optionally + bias[n] and an activation.
 *
 * The product is cut into `pn_gemm_blocks` blocks by shape and instruction set alone; a driver call computes blocks [lo, hi), so that members of a
 * team share one product and the bits never depend on who computed what. k is never split across blocks.
 */
#ifndef PN_KERNELS_GEMM_H
#define PN_KERNELS_GEMM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pn_gemm_shape {
    int64_t m, n, k;
    bool ta, tb;           /* ta: A is stored (k, m); tb: B is stored (n, k) */
    int64_t lda, ldb, ldc; /* row strides as stored, in elements */
} pn_gemm_shape;

#define PN_GEMM_TINY_WORK 512 /* multiply-adds */
#define PN_GEMM_TINY_K 64     /* and the longest k; a B that has to be turned makes long sums dear: */
#define PN_GEMM_TINY_TURNED_K 16
/* Is one call of `tiny` best? */
static inline bool pn_gemm_is_tiny(const pn_gemm_shape *s) {
    return s->k <= (s->tb ? PN_GEMM_TINY_TURNED_K : PN_GEMM_TINY_K) && s->m * s->n * s->k <= PN_GEMM_TINY_WORK;
}

struct pn_poll;
#define PN_GEMM_TYPES(real, suffix)                                                                                                                            \
    typedef struct pn_gemm_call##suffix {                                                                                                                      \
        pn_gemm_shape s;                                                                                                                                       \
        const real *a, *b; /* as stored */                                                                                                                     \
        real *c;           /* (m, n), overlaps neither */                                                                                                      \
        const real *bias;  /* (n,) added to every row, or NULL */                                                                                              \
        bool add;          /* C += instead of C = */                                                                                                           \
        int act;           /* a pn_act applied to the finished C while it is in cache, or -1 */                                                                \
        const double *act_params;                                                                                                                              \
        struct pn_poll *poll; /* looked at between tiles of long products: once stopped, the rest is left undone */                                            \
        bool asks;            /* this is the calling thread, which asks the poll; others only read it */                                                       \
    } pn_gemm_call##suffix;                                                                                                                                    \
    typedef struct pn_gemm##suffix##_fn {                                                                                                                      \
        int64_t (*blocks)(const pn_gemm_shape *s); /* how many; 1 when the product is too small to share */                                                    \
        size_t (*scratch)(const pn_gemm_shape *s); /* bytes of scratch one call needs (any lo, hi) */                                                          \
        void (*run)(const pn_gemm_call##suffix *c, int64_t lo, int64_t hi, void *scratch);                                                                     \
        void (*tiny)(const pn_gemm_call##suffix *c); /* the whole of a tiny product, the same bits as run */                                                   \
    } pn_gemm##suffix##_fn;
PN_GEMM_TYPES(float, _f)
PN_GEMM_TYPES(double, _d)
#endif
