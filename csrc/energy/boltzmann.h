/* General Boltzmann machines: n units in {0, 1}, the first nv of them visible, E(s) = -1/2 s'Ws - b's, p(s) = exp(-E(s) / T) / Z.
 *
 * W is symmetric with zero diagonal; mask says which couplings there are. An RBM, a Hopfield network and a fully connected machine differ by the mask alone.
 * Learning compares how often pairs are on together with the visible units clamped to data and without: the gradient of the log-likelihood is
 * (p_ij - p'_ij) / T. Source: Ackley, Hinton, Sejnowski 1985; lecture 001. All arrays belong to the caller. */
#ifndef PN_ENERGY_BOLTZMANN_H
#define PN_ENERGY_BOLTZMANN_H
#include <stdbool.h>
#include <stdint.h>

#include "base/poll.h"
#include "base/rng.h"
#include "base/status.h"

typedef struct pn_bm {
    int64_t n, nv;
    double *w, *b;       /* (n, n), (n) */
    const uint8_t *mask; /* (n, n) symmetric, diagonal 0: the couplings that learning may change */
} pn_bm;

/* An annealing: units that are not clamped begin at random; sweeps[i] sweeps at temperature[i]; then `looks` sweeps at the last one, after each of which the
 * state counts. In a sweep as many units are drawn, one after the other, as are free. */
typedef struct pn_bm_schedule {
    int64_t stages, looks;
    const int64_t *sweeps;     /* (stages) */
    const double *temperature; /* (stages) > 0 */
} pn_bm_schedule;

/* What one thread needs for annealings of n units; bytes: pn_bm_scratch(n). */
size_t pn_bm_scratch(int64_t n);
/* One annealing of s (n); the units `free` (n_free) change. pairs (n, n; upper half) and singles (n) count, NULL: not wanted. false when stopped. */
bool pn_bm_anneal(const pn_bm *m, uint8_t *s, const int32_t *free, int64_t n_free, const pn_bm_schedule *schedule, pn_xoshiro *g, int64_t *pairs,
                  int64_t *singles, void *scratch, pn_poll *poll, bool asks);

/* One training: a step is a clamped phase over a batch, each row `repeats` times, and a free phase of as many annealings. */
typedef struct pn_bm_training {
    pn_bm m;
    pn_bm_schedule schedule;
    const uint8_t *data;  /* (rows, nv) */
    const int64_t *order; /* (rows) */
    int64_t rows, batch, repeats;
    double off, on; /* noisy clamping: a bit that is on is clamped off with probability off, one that is off on with probability on */
    bool signs;     /* change each coupling by lr, up or down; false: by lr times the gradient */
    double lr, momentum, weight_decay;
    uint64_t seed;
    double *vw, *vb;   /* velocities as w, b; NULL without momentum */
    int64_t *progress; /* epochs completed, rows done of the next, steps */
    double *sums;      /* (2) since the epoch began: steps, and the mean |p_ij - p'_ij| over the couplings that there are */
} pn_bm_training;
/* As pn_rbm_train: whole steps until the epoch is complete or about `seconds` have passed; interrupted, everything is as of the last step. Every annealing
 * has random numbers of its own, from (seed, step, number), and counts are integers: the same bits for any number of threads. */
pn_status pn_bm_train(pn_bm_training *t, double seconds, bool *epoch_done, pn_poll *poll, pn_error *e);
/* w and b change as the counts of `looks` looks in each phase say; returns the mean |p - p'|. */
double pn_bm_change(const pn_bm_training *t, const int64_t *pairs, const int64_t *singles, const int64_t *free_pairs, const int64_t *free_singles,
                    double looks);

/* `replicas` annealings in parallel: s (replicas, n) in and out; units with clamp[i] != 0 keep their values; replica r draws from stream first + r of the
 * seed. done (replicas) becomes 1 where an annealing is complete, also when interrupted. */
pn_status pn_bm_sample(const pn_bm *m, uint8_t *s, const uint8_t *clamp, int64_t replicas, const pn_bm_schedule *schedule, uint64_t seed, int64_t first,
                       uint8_t *done, pn_poll *poll, pn_error *e);

#define PN_BM_ENUMERABLE 25 /* free units */
/* All states of the units with clamp[i] == 0, the others as in s (n): *log_z at temperature T, and when pairs is not NULL the means of s_i s_j (n, n; the
 * diagonal holds those of s_i). */
pn_status pn_bm_enumerate(const pn_bm *m, const uint8_t *s, const uint8_t *clamp, double temperature, double *log_z, double *pairs, pn_poll *poll, pn_error *e);
double pn_bm_energy(const pn_bm *m, const uint8_t *s);

/* Encoders of 1985: `width` units on either side, `hidden` between; many experiments side by side, each with weights of its own, until each is solved. */
typedef struct pn_encoder {
    int64_t width, hidden, experiments, cycles; /* cycles: how far they go at most */
    int64_t distance;                           /* solved: codes differ in at least so many hidden units, */
    int64_t steady;                             /* for so many cycles on end, */
    bool connected;                             /* hidden units among themselves too */
    pn_bm_schedule schedule;
    int64_t repeats;
    double off, on, step;
    uint64_t seed;
    double *w, *b;     /* (experiments, n, n), (experiments, n) with n = 2 width + hidden; visible units first */
    int64_t *progress; /* (experiments, 3): cycles done, the cycle from which it is solved or 0, cycles it has been so on end */
} pn_encoder;
/* Goes on for at most `cycles_now` cycles of each experiment. */
pn_status pn_encoder_run(const pn_encoder *c, int64_t cycles_now, pn_poll *poll, pn_error *e);
#endif
