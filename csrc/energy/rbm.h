/* Restricted Boltzmann machines: visible units v (nv), hidden units h (nh) in {0, 1}, no couplings within a layer.
 *
 *   E(v, h) = -b'v - c'h - v'Wh            binary visible units, and softmax ones (groups of `classes` of which one is 1)
 *   E(v, h) = |v - b|^2 / 2 - c'h - v'Wh   Gaussian visible units, of variance 1
 *   F(v) = -log sum_h exp(-E(v, h)),       p(v) = exp(-F(v)) / Z
 * Sources: Smolensky 1986 (harmonium); Hinton 2002 (contrastive divergence, CD); Tieleman 2008 (persistent chains, PCD); Desjardins et al. 2010 (tempered
 * chains). All arrays belong to the caller and are of the machine's real type. */
#ifndef PN_ENERGY_RBM_H
#define PN_ENERGY_RBM_H
#include "base/poll.h"
#include "base/shape.h"
#include "base/status.h"
#include "kernels/energy.h"

typedef enum pn_visible { PN_VISIBLE_BINARY, PN_VISIBLE_GAUSSIAN, PN_VISIBLE_SOFTMAX } pn_visible;

typedef struct pn_rbm {
    int dtype; /* PN_F32 or PN_F64 */
    int64_t nv, nh;
    pn_visible visible;
    int64_t classes; /* of a softmax group, divides nv; else 1 */
    void *w, *b, *c; /* (nv, nh), (nv), (nh) */
} pn_rbm;

/* Rows of data, read and converted by whoever has them: rows index[0..n), or first..first+n when index is NULL, into dst (n, nv). */
typedef struct pn_rows {
    void (*read)(const void *context, const int64_t *index, int64_t first, int64_t n, int dtype, void *dst);
    const void *context;
    int64_t n;
} pn_rows;

typedef enum pn_chains { PN_CHAINS_DATA, PN_CHAINS_PERSISTENT, PN_CHAINS_TEMPERED } pn_chains;
#define PN_RBM_MEASURES 4 /* sums over what was measured: rows, reconstruction error, sites, pseudo-likelihood */

/* One training. A chain is a row of hidden states; tempered chains lie by temperature, hottest first, beta = 1 last. */
typedef struct pn_rbm_training {
    pn_rbm m;
    pn_rows data;
    const int64_t *order; /* (data.n) in which the epoch takes the rows; NULL: as they are */
    int64_t batch, k;
    pn_chains kind;
    int64_t chains, temperatures; /* temperatures: 1 unless tempered; DATA: chains == batch */
    const double *beta;           /* (temperatures) ascending, the last is 1 */
    double lr, momentum, weight_decay, sparsity_cost, sparsity_target;
    uint64_t seed;
    int64_t measure_every; /* batches from one measurement to the next */
    /* what learning changes, all of it after a step only */
    void *chain;        /* (temperatures chains, nh); NULL for DATA */
    uint64_t *lanes;    /* (temperatures chains, PN_LANES_WORDS) */
    void *vw, *vb, *vc; /* velocities, as w, b, c; NULL without momentum */
    double *activity;   /* (nh) running means of the hidden units; NULL without sparsity */
    int64_t *progress;  /* epochs completed, rows done of the next, steps */
    double *sums;       /* (PN_RBM_MEASURES) since the epoch began */
} pn_rbm_training;

/* Trains until the epoch is complete or about `seconds` have passed; *done says which. Ctrl-C (PN_E_INTERRUPTED), lack of memory and values that are not
 * finite (PN_E_NONFINITE) leave everything as of the last completed step. Same bits for any number of threads and however it is cut into calls. */
pn_status pn_rbm_train(pn_rbm_training *t, double seconds, bool *epoch_done, pn_poll *poll, pn_error *e);

/* Row by row of data into out: probabilities of the hidden units (n, nh); free energy, double (n); means of the visible units given those probabilities (n, nv). */
typedef enum pn_rbm_view { PN_RBM_HIDDEN, PN_RBM_FREE_ENERGY, PN_RBM_RECONSTRUCTION } pn_rbm_view;
pn_status pn_rbm_look(const pn_rbm *m, pn_rbm_view view, const pn_rows *data, void *out, pn_poll *poll, pn_error *e);

/* Binary units: out double (n), the pseudo-log-likelihood sum_i log p(v_i | the others) of each row: exact with sites = 0, else nv times the mean over so
 * many sites, drawn for each row by (seed, row) and without the bias that one shared site would bring. */
pn_status pn_rbm_pseudo(const pn_rbm *m, const pn_rows *data, int64_t sites, uint64_t seed, double *out, pn_poll *poll, pn_error *e);

/* `steps` sweeps of n chains: hidden given visible, visible given hidden, at inverse temperature beta. v (n, nv), lanes (n, PN_LANES_WORDS) in and out; h
 * (n, nh) and mean (n, nv; NULL: not wanted), the last hidden states and means of the visible units, out. After PN_E_INTERRUPTED chains are at different steps. */
pn_status pn_rbm_gibbs(const pn_rbm *m, void *v, void *h, void *mean, uint64_t *lanes, int64_t n, int64_t steps, double beta, pn_poll *poll, pn_error *e);

/* Annealed importance sampling (Neal 2001; Salakhutdinov, Murray 2008): n chains from a machine without couplings, of visible bias `base` (nv), to this one by
 * inverse temperatures `betas`; this call does the steps from betas[at] to betas[at + steps]. v (n, nv), log_weights (n), lanes go in and out; at = 0 draws v. */
pn_status pn_rbm_ais(const pn_rbm *m, void *v, const void *base, double *log_weights, uint64_t *lanes, int64_t n, const double *betas, int64_t at,
                     int64_t steps, pn_poll *poll, pn_error *e);

#define PN_RBM_ENUMERABLE 25 /* units on the smaller side */
/* Exact values by enumeration of one layer, doubles only: log Z, and when vh is not NULL the means <v_i h_j> (nv, nh), <v_i> (nv) and <h_j> (nh). */
pn_status pn_rbm_enumerate(const pn_rbm *m, double *log_z, double *vh, double *v, double *h, pn_poll *poll, pn_error *e);

/* The expected change of CD-k from n rows of data, 0 or 1 each, over all random numbers: <v h> over the data minus <v h> after k sweeps. Doubles, binary
 * units, nv + nh <= 24. */
pn_status pn_rbm_expected_cd(const pn_rbm *m, const double *data, int64_t n, int64_t k, double *vh, double *v, double *h, pn_poll *poll, pn_error *e);
#endif
