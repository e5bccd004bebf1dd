/* What conv2d and conv_transpose2d share: the geometry of a convolution and its three passes.
 *
 * Both ops are the same three linear maps: y from x and w, gx from gy and w, gw from x and gy. The transposed convolution's forward is conv2d's
 * input gradient and the other way round. conv.c chooses the algorithm; each algorithm is a file beside it (conv_naive.h, conv_im2col.h,
 * conv_direct.h, conv_lines.h, conv_winograd.h). */
#ifndef PN_OPS_CONV_H
#define PN_OPS_CONV_H
#include "ops/op_helpers.h"

/* x (n, groups c, h, w), w (groups o, c, kh, kw), y (n, groups o, p, q):
 * y[n, o, p, q] = sum over c, i, j of x[n, c, p sh - top + i dh, q sw - left + j dw] w[o, c, i, j], where x is 0 outside. */
typedef struct pn_conv {
    int64_t n, groups;
    int64_t c, o;      /* channels of x and of y in one group */
    int64_t h, w;      /* rows and columns of x */
    int64_t p, q;      /* rows and columns of y */
    int64_t kh, kw;    /* taps: rows and columns of the kernel */
    int64_t sh, sw;    /* stride */
    int64_t dh, dw;    /* dilation */
    int64_t top, left; /* padding in front; what is behind follows from p and q */
    int algorithm;     /* PN_CONV_NAIVE and so on: as asked for, or chosen by shape and layout alone */
} pn_conv;

/* Attributes in the order in which both ops have them. */
enum { PN_CONV_STRIDE, PN_CONV_PADDING, PN_CONV_DILATION, PN_CONV_GROUPS, PN_CONV_ALGORITHM, PN_CONV_OWN };
#define PN_CONV_FIELDS                                                                                                                                         \
    {"stride", PN_INTS, NULL, "(1, 1)"}, {"padding", PN_INTS, NULL, "(0, 0)"}, {"dilation", PN_INTS, NULL, "(1, 1)"}, {"groups", PN_INT, NULL, "1"},           \
        {"algorithm", PN_ENUM, "auto|naive|im2col|direct|winograd2|winograd4", "auto"}
enum {
    PN_CONV_AUTO,
    PN_CONV_NAIVE,
    PN_CONV_IM2COL,
    PN_CONV_DIRECT,
    PN_CONV_WINOGRAD2,
    PN_CONV_WINOGRAD4,
    PN_CONV_LINES /* direct, for few samples: never asked for by name */
};

/* x and y as the convolution sees them: for the transposed one the op's output and input. At run time, when infer has looked. */
pn_conv pn_conv_of(const pn_shape *x, const pn_shape *weight, const pn_shape *y, const pn_value *attrs, pn_layout layout);
/* Are the attributes usable, and is weight (*, *, kh, kw)? */
pn_status pn_conv_check(pn_infer *q);
/* Both paddings of one dimension (0: rows, 1: columns): in front and behind. */
void pn_conv_padding(const pn_value *attrs, int dim, int64_t *front, int64_t *behind);
/* Does the algorithm work on blocks of 16 samples? */
bool pn_conv_is_blocked(const pn_conv *v);
/* Scratch and cost; refuses an output that is too large. */
pn_status pn_conv_needs(pn_infer *q, const pn_conv *v);

#define PN_CONV_TYPES(real, suffix)                                                                                                                            \
    typedef struct pn_conv_io##suffix {                                                                                                                        \
        const real *x, *w, *y; /* what the pass reads */                                                                                                       \
        real *to;              /* what it writes: y, x or w */                                                                                                 \
        const real *bias;      /* one per channel of `to`, or NULL; never with add, nor for a weight gradient */                                               \
        bool add;              /* += instead of = */                                                                                                           \
        int act;               /* a pn_act behind the output pass, or -1 */                                                                                    \
        const double *params;  /* of the activation */                                                                                                         \
    } pn_conv_io##suffix;                                                                                                                                      \
    void pn_conv_output##suffix(const pn_call *c, pn_member *m, const pn_conv *v, const pn_conv_io##suffix *io);                                               \
    void pn_conv_input##suffix(const pn_call *c, pn_member *m, const pn_conv *v, const pn_conv_io##suffix *io);                                                \
    void pn_conv_weight##suffix(const pn_call *c, pn_member *m, const pn_conv *v, const pn_conv_io##suffix *io);                                               \
    /* gb (= or +=) sums of gy (n, channels, plane), stored as the call's layout says, over all but the channels */                                            \
    void pn_conv_bias##suffix(const pn_call *c, pn_member *m, real *gb, const real *gy, int64_t n, int64_t channels, int64_t plane, bool add);
PN_CONV_TYPES(float, _f)
PN_CONV_TYPES(double, _d)
#endif
