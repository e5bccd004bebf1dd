/* The table of kernels: one struct of function pointers per instruction set and real type, filled from portable upwards at start.
 *
 * Rules. Kernels are single-threaded, void, never allocate, never fail. Pointers need only their element's alignment and may not overlap unless said.
 * An element's value never depends on its position, on alignment or on n: tails go through the same vector code (partial loads), never through a
 * scalar twin, because a compiler may contract the two differently. Sums run in double in an order fixed by n alone.
 */
#ifndef PN_KERNELS_H
#define PN_KERNELS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/cpu.h"
#include "base/shape.h"
#include "kernels/conv.h"
#include "kernels/energy.h"
#include "kernels/gemm.h"
#include "kernels/winograd.h"

typedef enum pn_act {
#define ACTIVATION(name, ...) PN_ACT_##name,
#include "kernels/activation.def"
#undef ACTIVATION
    PN_ACT_COUNT
} pn_act;

typedef enum pn_binary {
    PN_BIN_add,
    PN_BIN_sub,
    PN_BIN_mul,
    PN_BIN_div,
    PN_BIN_pow,
    PN_BIN_maximum,
    PN_BIN_minimum,
    PN_BIN_floor_divide,
    PN_BIN_remainder,
    PN_BIN_eq,
    PN_BIN_ne,
    PN_BIN_lt,
    PN_BIN_le,
    PN_BIN_gt,
    PN_BIN_ge,
    PN_BIN_COUNT
} pn_binary; /* comparisons give 0 or 1 */

typedef enum pn_update {
#define UPDATE(name, ...) PN_UPDATE_##name,
#include "kernels/update.def"
#undef UPDATE
    PN_UPDATE_COUNT
} pn_update;

/* What one step of one parameter group needs, prepared once a step in double (bias corrections included). Every rule reads the fields it knows. */
typedef struct pn_hyper {
    double lr, weight_decay, momentum, dampening, beta1, beta2, eps, alpha, lr_decay;
    int nesterov, maximize, first; /* first: state is empty, PyTorch's first step of momentum */
    int64_t step;                  /* 1-based */
    double grad_scale;             /* gradient is multiplied by this first: clipping; 1 normally */
    double c[8];                   /* scalars derived by the rule's prepare line */
} pn_hyper;

/* What batch norm does to a run of one channel, and to rows whose columns are the channels: kernels/batch_norm_impl.h. Sums are added to. */
#define PN_BATCH_NORM_TABLE(real)                                                                                                                              \
    struct {                                                                                                                                                   \
        void (*moments)(double *one, double *two, const real *x, int64_t n, real middle);                                                                      \
        void (*products)(double *one, double *two, const real *g, const real *x, int64_t n, real middle);                                                      \
        void (*rescale)(real * y, const real *x, int64_t n, real middle, real a, real b);                                    /* y may be x */                  \
        void (*gradient)(real * gx, const real *g, const real *x, int64_t n, real middle, real a, real p, real q, bool add); /* gx may be g */                 \
        void (*column_moments)(double *one, double *two, const real *x, int64_t rows, int64_t cols, int64_t ld, const real *middle);                           \
        void (*column_products)(double *one, double *two, const real *g, const real *x, int64_t rows, int64_t cols, int64_t ld, const real *middle);           \
        void (*column_rescale)(real * y, const real *x, int64_t rows, int64_t cols, int64_t ld, const real *middle, const real *a, const real *b);             \
        void (*column_gradient)(real * gx, const real *g, const real *x, int64_t rows, int64_t cols, int64_t ld, const real *middle, const real *a,            \
                                const real *p, const real *q, bool add);                                                                                       \
    }

/* What layer norm and group norm do to a row: kernels/layer_norm_impl.h. */
#define PN_LAYER_NORM_TABLE(real)                                                                                                                              \
    struct {                                                                                                                                                   \
        void (*rescale)(real * y, const real *x, const real *w, const real *b, int64_t n, real middle, real a, real q);  /* w, b may be NULL */                \
        void (*products)(double *one, double *two, const real *g, const real *w, const real *x, int64_t n, real middle); /* added to */                        \
        void (*gradient)(real * gx, const real *g, const real *w, const real *x, int64_t n, double weight, double middle, double p, double q, double a,        \
                         bool add);                                                                                                                            \
        void (*weight_sums)(double *gw, double *gb, const real *g, const real *x, const double *moments, int64_t rows, int64_t cols, int64_t n);               \
    }

/* Windows of a pooling that are alike. Output e of chunk c has its taps at x[from[i] + c step + e], which are the places at[i] + c shift + e slope of their
 * plane. All but max_taps go over blocks of PN_LAYOUT_LANES samples: run is that, slope 0. ahead: from one row of windows to the next. */
typedef struct pn_taps {
    const int64_t *from, *at; /* (n) */
    int64_t n, chunks, run, step, shift, slope, ahead;
} pn_taps;
typedef int32_t pn_place_f; /* a place in a plane, as wide as an element */
typedef int64_t pn_place_d;

#define PN_KERNEL_TABLE(real, suffix)                                                                                                                          \
    typedef struct pn_kernels##suffix {                                                                                                                        \
        /* y[n] = act(x[n]); p: at most two parameters (slope, value at zero, ...). y may be x. */                                                             \
        void (*act_forward[PN_ACT_COUNT])(real * y, const real *x, int64_t n, const double *p);                                                                \
        /* gx[n] (= or +=) gy[n] * act'(x or y); gx may be gy. x or y may be NULL when the line in activation.def does not use it. */                          \
        void (*act_backward[PN_ACT_COUNT])(real * gx, const real *x, const real *y, const real *gy, int64_t n, const double *p, bool add);                     \
        /* out[i] = a[i * sa] op b[i * sb], sa and sb 0 or 1; out may be a or b where that stride is 1. */                                                     \
        void (*binary[PN_BIN_COUNT])(real * out, const real *a, int sa, const real *b, int sb, int64_t n);                                                     \
        void (*fill)(real * y, real value, int64_t n);                                                                                                         \
        void (*accumulate)(real * y, const real *x, int64_t n);                       /* y += x */                                                             \
        void (*scale)(real * y, const real *x, real a, int64_t n, bool add);          /* y (= or +=) a x; y may be x */                                        \
        void (*mul_add)(real * y, const real *a, const real *b, int64_t n, bool add); /* y (= or +=) a b */                                                    \
        void (*add_bias)(real * y, const real *bias, int64_t rows, int64_t cols);     /* y[r, :] += bias */                                                    \
        void (*clip)(real * y, const real *x, double lo, double hi, int64_t n);       /* NaN stays NaN */                                                      \
        double (*sum)(const real *x, int64_t n);                                                                                                               \
        double (*dot)(const real *a, const real *b, int64_t n); /* in double */                                                                                \
        double (*sum_squares)(const real *x, int64_t n);                                                                                                       \
        real (*max)(const real *x, int64_t n);     /* NaN if any is NaN; n >= 1 */                                                                             \
        real (*abs_max)(const real *x, int64_t n); /* 0 for n == 0; not finite if any element is not: the finite check */                                      \
        /* out[cols] (= or +=) sum over rows of x[rows, cols], in double, rows in order. ld: row stride of x. */                                               \
        void (*column_sums)(real * out, const real *x, int64_t rows, int64_t cols, int64_t ld, bool add);                                                      \
        PN_LAYER_NORM_TABLE(real) layer_norm;                                                                                                                  \
        PN_BATCH_NORM_TABLE(real) batch_norm;                                                                                                                  \
        /* Per row of x[rows, cols]: softmax, log-softmax, log-sum-exp; stable (the row's maximum is taken off). y may be x. */                                \
        void (*softmax)(real * y, const real *x, int64_t rows, int64_t cols);                                                                                  \
        void (*log_softmax)(real * y, const real *x, int64_t rows, int64_t cols);                                                                              \
        void (*log_sum_exp)(real * out, const real *x, int64_t rows, int64_t cols);                                                                            \
        /* gx (= or +=) y (gy - sum(gy y)), and the same for log-softmax: gy - exp(y) sum(gy). */                                                              \
        void (*softmax_backward)(real * gx, const real *y, const real *gy, int64_t rows, int64_t cols, bool add);                                              \
        void (*log_softmax_backward)(real * gx, const real *y, const real *gy, int64_t rows, int64_t cols, bool add);                                          \
        /* Dropout: y (= or +=) x * scale where the Philox uniform of element first + i is >= drop, else 0. Its own backward, with x = gy. */                  \
        void (*dropout)(real * y, const real *x, int64_t n, uint64_t key, uint64_t counter, uint64_t first, double drop, double scale, bool add);              \
        void (*transpose)(real * y, const real *x, int64_t rows, int64_t cols, int64_t ldx, int64_t ldy); /* y[c, r] = x[r, c] */                              \
        /* Pooling over 2 x 2 with stride 2: y[rows, cols], rows of x ldx apart; gradients (= or +=). See kernels/pool_impl.h. */                              \
        void (*max_pool2)(real * y, const real *x, int64_t rows, int64_t cols, int64_t ldx);                                                                   \
        void (*max_pool2_backward)(real * gx, const real *x, const real *gy, int64_t rows, int64_t cols, int64_t ldx, bool add);                               \
        void (*avg_pool2)(real * y, const real *x, int64_t rows, int64_t cols, int64_t ldx, real factor);                                                      \
        void (*avg_pool2_backward)(real * gx, const real *gy, int64_t rows, int64_t cols, int64_t ldx, real factor, bool add);                                 \
        /* Pooling over any windows, see pn_taps: y[chunks, run], and where the maxima are; gradients (= or +=). See kernels/taps_impl.h. */                   \
        void (*max_taps)(real * y, pn_place##suffix *where, const real *x, const pn_taps *t);                                                                  \
        void (*max_taps_backward)(real * gx, const pn_place##suffix *where, const real *gy, const pn_taps *t, bool add);                                       \
        void (*sum_taps)(real * y, const real *x, const pn_taps *t, double factor); /* factor times the sum, in double */                                      \
        void (*sum_taps_backward)(real * gx, const real *gy, const pn_taps *t, real factor, bool add);                                                         \
        /* One update rule over n elements: w, g and up to three state arrays (NULL where unused). g is read only. */                                          \
        void (*update[PN_UPDATE_COUNT])(real * w, const real *g, real *s0, real *s1, real *s2, int64_t n, const pn_hyper *h);                                  \
        pn_conv_fn##suffix conv;                        /* see kernels/conv.h */                                                                               \
        pn_wino_fn##suffix wino;                        /* see kernels/winograd.h */                                                                           \
        pn_gemm##suffix##_fn gemm;                      /* see kernels/gemm.h */                                                                               \
        double (*probe)(int64_t rounds, double *flops); /* the FMA peak, for benchmarks: see kernels/probe.h */                                                \
    } pn_kernels##suffix;

PN_KERNEL_TABLE(float, _f)
PN_KERNEL_TABLE(double, _d)

typedef struct pn_kernels {
    pn_isa isa;
    pn_kernels_f f;
    pn_kernels_d d;
    pn_kernels_energy energy;
} pn_kernels;

/* The table in force: best level of this machine, or PYNEURO_ISA's. pn_kernels_select returns false when this machine or build lacks the level. */
const pn_kernels *pn_kernels_get(void);
const pn_kernels *pn_kernels_of(pn_isa isa); /* NULL when absent: for tests */
bool pn_kernels_select(pn_isa isa);

/* Facts about a line of activation.def. */
typedef struct pn_act_info {
    const char *name, *formula, *derivative, *source;
    int n_params;
    struct {
        const char *name, *fallback;
    } param[2];                     /* fallback: the default as text; "none" stands for the value of the parameter before */
    const char *condition;          /* what the parameters must satisfy, "true" when nothing */
    bool (*valid)(const double *p); /* whether they do */
    bool needs_x, needs_y;          /* what act_backward reads; !needs_x makes it fusible behind linear */
} pn_act_info;
extern const pn_act_info pn_acts[PN_ACT_COUNT];

/* Facts about a line of update.def. */
typedef struct pn_update_info {
    const char *name, *formula, *source;
    int n_state;                        /* arrays of the parameter's size, 0..3 */
    const char *state[3];               /* their names, PyTorch's */
    void (*prepare)(pn_hyper *h);       /* fills h->c from the fields above and h->step */
    double (*reach)(const pn_hyper *h); /* how far an update moves a weight at most, in units of lr; 0: in proportion to gradients */
} pn_update_info;
extern const pn_update_info pn_updates[PN_UPDATE_COUNT];

#endif
