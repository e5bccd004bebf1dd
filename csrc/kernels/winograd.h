/* Winograd's minimal filtering in two dimensions: what turns tiles of pixels, weights and gradients into products, and back (kernels/winograd_impl.h).
 *
 * A tile is points x points numbers of 16 samples each, innermost (PN_BATCH_INNER), for points + 1 - taps outputs of a side: points is 6 with 2 to 5 taps, or 4
 * with 3.
 */
#ifndef PN_KERNELS_WINOGRAD_H
#define PN_KERNELS_WINOGRAD_H
#include <stdbool.h>
#include <stdint.h>

/* Where a tile lies in a tensor whose pixels are 16 lanes: at, in elements, is its first pixel in channel 0, which may lie outside of the plane; of its rows
 * [top, bottom) exist, of its columns [left, right); of its lanes the first `lanes` are samples. */
typedef struct pn_wino_place {
    int64_t at;
    int8_t top, bottom, left, right, lanes;
} pn_wino_place;

#define PN_WINO_TYPES(real, suffix)                                                                                                                            \
    typedef struct pn_wino_tiles##suffix {                                                                                                                     \
        int points, taps; /* of a side of a tile, of the kernel */                                                                                             \
        int64_t channels, tiles;                                                                                                                               \
        const pn_wino_place *places; /* (tiles) */                                                                                                             \
        int64_t plane, row;          /* distance of channels and of rows in x and y */                                                                         \
        const real *x;               /* input, gradient: what is read */                                                                                       \
        real *y;                     /* output: what is written */                                                                                             \
        real *v;                     /* (points^2, channels, tiles, 16); gradient: (points^2, tiles, 16, channels, rounded up to 16) */                        \
        int64_t ldv;                 /* distance of points in v */                                                                                             \
        const real *bias;            /* output: (channels) added, or NULL */                                                                                   \
        bool add;                    /* output: y += */                                                                                                        \
        int act;                     /* output: a pn_act behind it, or -1 */                                                                                   \
        const double *params;                                                                                                                                  \
    } pn_wino_tiles##suffix;                                                                                                                                   \
    /* Weights (m, k, taps, taps) at w[r * ldm + k * ldk]; turned: half a turn, last tap first. */                                                             \
    typedef struct pn_wino_weights##suffix {                                                                                                                   \
        int points, taps;                                                                                                                                      \
        int64_t m, k, ldm, ldk;                                                                                                                                \
        bool turned;                                                                                                                                           \
        const real *w;                                                                                                                                         \
        real *u; /* (points^2, as conv.pack packs (m, k)) */                                                                                                   \
        int64_t ldu;                                                                                                                                           \
    } pn_wino_weights##suffix;                                                                                                                                 \
    typedef struct pn_wino_fn##suffix {                                                                                                                        \
        void (*input)(const pn_wino_tiles##suffix *t);                             /* v from x */                                                              \
        void (*output)(const pn_wino_tiles##suffix *t);                            /* y from v */                                                              \
        void (*gradient)(const pn_wino_tiles##suffix *t, real *room);              /* v from gy; room: PN_WINO_ROOM elements */                                \
        void (*weights)(const pn_wino_weights##suffix *t, int64_t lo, int64_t hi); /* panels [lo, hi) of u */                                                  \
        /* One point: s[c][o] (= or +=) sum over k of x[c][k] g[k][o]: c from 0 to rows, k to depth, o to cols, a multiple of 16 */                            \
        void (*outer)(real * s, const real *x, const real *g, int64_t rows, int64_t depth, int64_t cols, bool add);                                            \
        /* to[o * ldo + c * taps^2 + tap], o below outs, c below rows, from s (points^2, rows, cols) */                                                        \
        void (*finish)(real * to, int64_t ldo, const real *s, int points, int taps, int64_t rows, int64_t cols, int64_t outs);                                 \
    } pn_wino_fn##suffix;
PN_WINO_TYPES(float, _f)
PN_WINO_TYPES(double, _d)
#undef PN_WINO_TYPES

#define PN_WINO_ROOM (5 * 5 * 16 * 16)
#endif
