/* Hopfield networks: n neurons of +-1 with E(s) = -1/2 s'Ms, M symmetric, M_ii = 0. Source: lecture 001; Hopfield 1982.
 *
 * M is K / divisor. With few patterns a Hebbian K = X'X - P is never formed: an overlap is kept for each pattern, in whole numbers, so signs, ties and energies are exact.
 * Otherwise K is a matrix of doubles, whole numbers again for Hebb's rule. */
#ifndef PN_ENERGY_HOPFIELD_H
#define PN_ENERGY_HOPFIELD_H
#include <stdbool.h>
#include <stdint.h>

#include "base/poll.h"
#include "base/status.h"

#define PN_HOPFIELD_MOST 32767 /* neurons: an overlap fits 16 bits */
#define PN_HOPFIELD_PAD 32     /* patterns are filled up with zeros to a multiple of this */

typedef struct pn_hopfield {
    int64_t n, patterns, padded;
    int16_t *columns; /* (n, padded): the values of neuron i in all patterns; NULL when K is dense */
    double *k;        /* (n, n); NULL when patterns stand for it */
    double *slack;    /* (n) of a dense K: a field no larger than this is 0 but for rounding */
    double divisor;   /* M = K / divisor */
} pn_hopfield;

/* A network from patterns int8 (patterns, n), checked to be +-1, by Hebb's rule: K = X'X - P on all but the diagonal, which is 0. `dense` forms it. */
pn_status pn_hopfield_patterns(pn_hopfield **out, const int8_t *x, int64_t patterns, int64_t n, double divisor, bool dense, int threads, pn_poll *poll,
                               pn_error *e);
/* A network from any K (n, n): checked to be finite, symmetric and 0 on the diagonal; copied. */
pn_status pn_hopfield_weights(pn_hopfield **out, const double *k, int64_t n, double divisor, pn_poll *poll, pn_error *e);
void pn_hopfield_free(pn_hopfield *net);                                               /* NULL is fine */
void pn_hopfield_matrix(const pn_hopfield *net, int64_t lo, int64_t hi, double *rows); /* rows lo..hi - 1 of M, (hi - lo, n) */

void pn_hopfield_whole_matrix(const pn_hopfield *net, int64_t lo, int64_t hi, double *rows); /* the same of K */

/* What recall does to rows of states. A step is a sweep over all n neurons: one after the other, or (sync) all at once. */
typedef struct pn_recall {
    const pn_hopfield *net;
    bool sync, random, plus; /* random: each sweep in an order of its own; plus: sign(0) is +1, else the neuron keeps its state */
    double temperature;      /* 0: sign; else +1 with probability 1 / (1 + exp(-2 h / T)) */
    uint64_t seed;
    int64_t rows, row_zero; /* the first row has this number: it names its random numbers */
    int64_t first, steps;   /* steps done before, steps to do now: a long recall may be cut anywhere */
    int8_t *state;          /* (rows, n) */
    int8_t *before;         /* (rows, n) the states one step earlier, for sync; else NULL */
    int8_t *trace;          /* (rows, first + steps + 1, n) all states, or NULL */
    double *energy;         /* (rows, first + steps + 1), or NULL; entries up to `first` are there already when first > 0 */
    int64_t *taken;         /* (rows) steps done */
    int8_t *cycle;          /* (rows) 0: goes on; 1: a fixed point; 2: two states in turn, only sync */
} pn_recall;
/* PN_E_INTERRUPTED leaves all arrays as they are then. */
pn_status pn_hopfield_recall(const pn_recall *r, int threads, pn_poll *poll, pn_error *e);

/* Learning rules that change a matrix w (n, n), symmetric with diagonal 0, pattern by pattern: hopfield_learn.c. x int8 (patterns, n).
 * Storkey 1997: w += (x x' - x f' - f x' + 2 w) / n, f = w x. *done counts patterns learnt; PN_E_INTERRUPTED between two patterns. */
pn_status pn_hopfield_storkey(double *w, int64_t n, const int8_t *x, int64_t patterns, int64_t *done, int threads, pn_poll *poll, pn_error *e);
/* Perceptrons (Gardner 1988; symmetric: Gardner, Gutfreund, Yekutieli 1989): where x_i f_i <= margin |w_i|, w_ij and w_ji grow by x_i x_j: whole numbers stay whole. wrong (epochs): how
 * many (pattern, neuron) were so in each epoch; ends after an epoch with none. */
pn_status pn_hopfield_perceptron(double *w, int64_t n, const int8_t *x, int64_t patterns, double margin, int64_t epochs, int64_t *wrong, int64_t *done,
                                 int threads, pn_poll *poll, pn_error *e);
/* Unlearning (Hopfield, Feinstein, Palmer 1983), `times` times: w -= rate / n s s' for the state s in which a random start comes to rest; time t draws from the
 * stream first + t. energy (times): of those states. */
typedef struct pn_unlearning {
    double *w; /* (n, n) */
    int64_t n, first, times;
    double rate;
    bool plus;
    uint64_t seed;
    double *energy;
} pn_unlearning;
pn_status pn_hopfield_unlearn(const pn_unlearning *u, int64_t *done, pn_poll *poll, pn_error *e);

#define PN_HOPFIELD_SMALL 20 /* neurons whose states are all looked at */
/* Where every state of a small network goes: bit i of a state is neuron i, 1 for +1. next (2^n): after one step, all neurons at once (sync) or 0, 1, .., n - 1 in
 * turn; root (2^n): the smallest state of the cycle that it ends in. hopfield_states.c. */
pn_status pn_hopfield_states(const pn_hopfield *net, bool sync, bool plus, uint32_t *next, uint32_t *root, int threads, pn_poll *poll, pn_error *e);

/* Samples of a memory at its limit: `patterns` random patterns of n neurons by Hebb's rule, recall from the first with `turned` of its neurons turned over,
 * overlap (samples) of where it comes to rest. Sample s draws from the stream first + s. hopfield_capacity.c. */
typedef struct pn_capacity {
    int64_t n, patterns, turned, first, samples;
    bool sync;
    uint64_t seed;
    double *overlap; /* (samples) NaN where none was made */
} pn_capacity;
pn_status pn_hopfield_capacity(const pn_capacity *c, int threads, pn_poll *poll, pn_error *e);

/* E(s) of rows of states. */
pn_status pn_hopfield_energy(const pn_hopfield *net, const int8_t *state, int64_t rows, double *energy, int threads, pn_poll *poll, pn_error *e);
#endif
