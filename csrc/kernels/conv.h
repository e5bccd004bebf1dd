/* Convolution kernels on blocks of 16 samples, innermost (PN_BATCH_INNER): one pixel is PN_CONV_LANES numbers, one of each sample.
 *
 * conv_tile is the product that all of them are made of: y[r][p] = sum over k of w[r][k] x[off[k] + p step], for every lane. The weights are broadcast,
 * the pixels are read where they are, so nothing is gathered; off[k] says where tap k (channel, row, column) of the first pixel lies.
 * conv_dots is the gradient of its weights: sums[r][k] += sum over pixels and lanes of g[r] x[off[k]].
 */
#ifndef PN_KERNELS_CONV_H
#define PN_KERNELS_CONV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PN_CONV_LANES 16 /* samples side by side */

#define PN_CONV_TYPES(real, suffix)                                                                                                                            \
    typedef struct pn_conv_tile##suffix {                                                                                                                      \
        int64_t m, pixels, k; /* channels of y, pixels, taps: each from 0 on */                                                                                \
        const real *w;        /* (m, k) as conv.pack leaves it */                                                                                              \
        int64_t apart;        /* from one panel of w to the next, in elements; 0: w is all of what was packed */                                               \
        const real *x;                                                                                                                                         \
        const int64_t *off; /* (k) where tap k of pixel 0 lies in x, in elements */                                                                            \
        int64_t step;       /* from one pixel to the next in x: 16 times the stride */                                                                         \
        real *y;            /* overlaps neither x nor w */                                                                                                     \
        int64_t ldy, ystep; /* from one channel to the next, from one pixel to the next */                                                                     \
        const real *bias;   /* (m) added, or NULL */                                                                                                           \
        bool add;           /* y += instead of y = */                                                                                                          \
        int act;            /* a pn_act applied to the finished y, or -1 */                                                                                    \
        const double *params;                                                                                                                                  \
    } pn_conv_tile##suffix;                                                                                                                                    \
    typedef struct pn_conv_dots##suffix {                                                                                                                      \
        int64_t m, k;                 /* channels of g, taps */                                                                                                \
        int64_t images, rows, pixels; /* blocks of 16 samples, rows of each, pixels of a row */                                                                \
        const real *g;                                                                                                                                         \
        int64_t ldg, g_image, g_row; /* from one channel, block, row to the next; pixels lie side by side */                                                   \
        const real *x;                                                                                                                                         \
        const int64_t *off; /* (k) where tap k of pixel 0 lies in x */                                                                                         \
        int64_t x_image, x_row, step;                                                                                                                          \
        real *sums; /* (m, k) */                                                                                                                               \
        int64_t ld; /* from one channel to the next in sums */                                                                                                 \
        real *work; /* conv.dots_work(k) elements */                                                                                                           \
    } pn_conv_dots##suffix;                                                                                                                                    \
    typedef struct pn_conv_fn##suffix {                                                                                                                        \
        int64_t rows;   /* channels of one panel of packed weights */                                                                                          \
        int64_t pixels; /* what one tile takes at a time: calls of multiples of it waste nothing */                                                            \
        /* Elements of packed weights: whole panels. */                                                                                                        \
        int64_t (*packed)(int64_t m, int64_t k);                                                                                                               \
        /* to = w[r * ldm + at[k]] in panels (k, rows), one behind the other; the panels share out the m channels evenly. */                                   \
        void (*pack)(real * to, const real *w, int64_t m, int64_t k, int64_t ldm, const int64_t *at);                                                          \
        void (*tile)(const pn_conv_tile##suffix *t); /* see conv_impl.h */                                                                                     \
        int64_t (*dots_work)(int64_t k);                                                                                                                       \
        void (*dots)(const pn_conv_dots##suffix *t); /* see conv_dots_impl.h */                                                                                \
    } pn_conv_fn##suffix;
PN_CONV_TYPES(float, _f)
PN_CONV_TYPES(double, _d)
#undef PN_CONV_TYPES
#endif
