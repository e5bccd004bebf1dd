/* Kernels of Boltzmann machines over rows of units: probabilities, draws and the sums of free energies. Part of pn_kernels_energy. */
#ifndef PN_KERNELS_BOLTZMANN_H
#define PN_KERNELS_BOLTZMANN_H
#include <stdint.h>

struct pn_lanes;
/* The input of unit i is z = beta x[i] + (1 - beta) base[i]; base NULL: 0. All arrays have n elements; s may be x. A draw takes whole words of 512 bits: one for
 * 16 floats or 8 doubles, so that a row's numbers depend on the row alone. */
#define PN_BOLTZMANN_TABLE(real, suffix)                                                                                                                       \
    typedef struct pn_boltzmann##suffix {                                                                                                                      \
        /* s = 1 with probability sigmoid(z), else 0; p (NULL: not wanted) takes that probability and may be x too */                                          \
        void (*draw)(real * s, real *p, const real *x, int64_t n, real beta, const real *base, struct pn_lanes *g);                                            \
        void (*draw_normal)(real * s, const real *x, int64_t n, real beta, const real *base, struct pn_lanes *g); /* s = z + a standard normal number */       \
        double (*softplus_sum)(const real *x, int64_t n, real beta);                                              /* sum of log(1 + exp(beta x)), in double */ \
        double (*shift_sum)(const real *x, const real *w, int64_t n, real d); /* sum of log(1 + exp(x + d w)), in double */                                    \
    } pn_boltzmann##suffix;
PN_BOLTZMANN_TABLE(float, _f)
PN_BOLTZMANN_TABLE(double, _d)
#endif
