/* Memories beyond Hopfield 1982 that work on patterns instead of weights.
 *
 * Dense associative memory (Krotov, Hopfield 2016; Demircigil et al. 2017): E(s) = -sum_mu F(x_mu . s), F(z) = z^k, max(z, 0)^k, or exp(z), for which E is -ln of the sum.
 * Modern Hopfield network (Ramsauer et al. 2020): real states, q <- X' softmax(beta X q): one step is attention.
 * Pairs (Kosko 1988) and sequences (Amari 1972): patterns that lead to others. */
#ifndef PN_ENERGY_MEMORIES_H
#define PN_ENERGY_MEMORIES_H
#include <stdbool.h>
#include <stdint.h>

#include "base/poll.h"
#include "base/status.h"

#define PN_MEMORY_MOST 32767 /* neurons of a state */

typedef enum pn_memory_kind { PN_MEMORY_POLYNOMIAL, PN_MEMORY_RECTIFIED, PN_MEMORY_EXPONENTIAL } pn_memory_kind;

/* Recall one neuron after the other; fields as in pn_recall. */
typedef struct pn_dense_recall {
    const int8_t *x; /* (patterns, n) of -1 and +1 */
    int64_t patterns, n;
    pn_memory_kind kind;
    int degree;
    bool random, plus;
    uint64_t seed;
    int64_t rows, row_zero, first, steps;
    int8_t *state, *trace;
    double *energy;
    int64_t *taken;
    int8_t *cycle;
} pn_dense_recall;
pn_status pn_dense_memory_recall(const pn_dense_recall *r, int threads, pn_poll *poll, pn_error *e);

/* Steps of a modern Hopfield network, and what it reads out of them. */
typedef struct pn_modern {
    const double *x; /* (patterns, n) */
    const double *v; /* (patterns, m) read out after the last step, or NULL */
    int64_t patterns, n, m;
    double beta, tolerance; /* a row ends when it moves by no more than this in any component */
    int64_t rows, steps;
    double *state;  /* (rows, n) in and out; v: the state before the last step */
    double *out;    /* (rows, m) of v */
    double *weight; /* (rows, patterns) softmax of the last step, or NULL */
    double *energy; /* (rows, steps + 1) or NULL */
    int64_t *taken; /* (rows) */
} pn_modern;
pn_status pn_modern_recall(const pn_modern *r, int threads, pn_poll *poll, pn_error *e);

/* Patterns that lead to others: a state a (n) goes to sign(sum_mu y_mu (x_mu . a)). */
typedef struct pn_pairs {
    const int8_t *x, *y; /* (patterns, n), (patterns, m) */
    int64_t patterns, n, m;
    bool plus; /* sign(0) is +1, else the neuron keeps its state */
    int64_t rows, steps;
    int8_t *a, *b;  /* (rows, n), (rows, m) in and out */
    int8_t *trace;  /* sequence: (rows, steps + 1, n) or NULL */
    double *energy; /* pairs: (rows, steps + 1) of -b'Wa with W = sum y x', or NULL */
    int64_t *taken;
    int8_t *cycle; /* pairs: 1 once nothing changes */
} pn_pairs;
pn_status pn_pairs_recall(const pn_pairs *r, int threads, pn_poll *poll, pn_error *e);    /* a -> b -> a ..., until both stay */
pn_status pn_sequence_recall(const pn_pairs *r, int threads, pn_poll *poll, pn_error *e); /* a -> a, steps times; b and m unused */
#endif
