/* Runs on a ladder of temperatures: parallel tempering and population annealing. Both hang on a sampler's `between`; all arrays belong to the caller. */
#ifndef PN_ENERGY_LADDER_H
#define PN_ENERGY_LADDER_H
#include "energy/sampler.h"

/* Parallel tempering: `chains` ladders that know nothing of each other, each of `rungs` replicas (number chain x rungs + k). Neighbours on a ladder swap their temperatures
 * with probability min(1, exp((1/T - 1/T')(E - E'))), even and odd pairs in turn. Source: Hukushima and Nemoto 1996; round trips: Katzgraber et al. 2006. */
typedef struct pn_tempering {
    int64_t rungs, chains;
    const double *ladder;      /* (rungs) ascending */
    double *temperature;       /* (chains x rungs) of each replica: what the sampler reads */
    int64_t *row;              /* (chains x rungs) rung x chains + chain of each replica: its row in the records */
    int64_t *holder;           /* (chains, rungs) the replica on each rung */
    uint64_t *streams;         /* (chains, 4) */
    int64_t *attempts, *swaps; /* (rungs - 1) between rung k and k + 1, over all chains */
    int8_t *way;               /* (chains x rungs) where a replica was last: 1 the coldest rung, -1 the hottest, 0 neither yet */
    int64_t *trips;            /* (chains x rungs) round trips: cold, hot, and cold again */
    int64_t *turns;            /* (1) rounds of swaps so far */
} pn_tempering;
void pn_tempering_settle(pn_tempering *t);            /* temperature, row and way from holder; also before the first sweep */
void pn_tempering_swap(pn_sampler *s, pn_poll *poll); /* a `between`; its context is a pn_tempering */

/* Population annealing: all replicas at one temperature; from one to the next, each is copied in proportion to exp(-(1/T' - 1/T) E). The first step comes from
 * infinite temperature, where ln Z = n ln 2, so ln Z is estimated on the way. Source: Hukushima and Iba 2003; Machta 2010; families: Wang, Machta, Katzgraber 2015. */
typedef struct pn_population {
    const double *ladder; /* (steps) */
    int64_t steps;
    uint64_t *stream;  /* (4) */
    int64_t *family;   /* (replicas) founder of each replica */
    double *log_z;     /* (steps) estimate of ln Z */
    int64_t *families; /* (steps) families that live at each temperature */
    double *crowding;  /* (steps) mean square family size: replicas / this are as good as independent */
    double *weight;    /* (replicas) scratch */
    int64_t *count;    /* (replicas) scratch */
    int8_t *spins;     /* (n) scratch */
} pn_population;
void pn_population_step(pn_sampler *s, pn_poll *poll);                    /* a `between` after the sweeps at each temperature; context: a pn_population */
void pn_population_begin(pn_sampler *s, pn_population *p, pn_poll *poll); /* from random spins, whose energies stand in s->energy, to the first temperature */
#endif
