/* What engines with one replica a group have in common: spins as bytes, neighbours in rows, and one generator a replica. */
#ifndef PN_ENERGY_SCALAR_H
#define PN_ENERGY_SCALAR_H
#include "base/rng.h"
#include "energy/engine.h"
#include "energy/graph.h"

typedef struct pn_scalar {
    pn_engine base;
    pn_graph graph;
    int8_t *spins;  /* (replicas, n) */
    double *energy; /* (replicas) kept by engines that track it, for whole couplings; else summed when asked for */
    int64_t *sum;   /* (replicas) of the spins; the same */
    bool tracks;
} pn_scalar;

/* Fills *s, which is zero and becomes the head of an engine: seeds the generators, cuts a sweep into `phases`. On failure nothing is left allocated. */
pn_status pn_scalar_open(pn_scalar *s, const pn_engine_type *type, const pn_couplings *m, const pn_task *task, int64_t phases, bool tracks, pn_error *e);
void pn_scalar_close(pn_engine *g); /* frees g too */
void pn_scalar_put(pn_engine *g, int64_t replica, const int8_t *spins);
void pn_scalar_get(const pn_engine *g, int64_t replica, int8_t *spins);
void pn_scalar_measure(const pn_engine *g, int64_t group, double *energy, double *sum);
/* How many of n pieces of work make a step of about a millisecond, when a piece looks at the neighbours of a spin. */
int64_t pn_scalar_chunk(const pn_couplings *m);

static inline int8_t *pn_scalar_spins(const pn_scalar *s, int64_t replica) { return s->spins + replica * s->base.m->n; }
static inline pn_xoshiro *pn_scalar_random(const pn_scalar *s, int64_t replica) { return (pn_xoshiro *)(s->base.streams + 4 * replica); }
static inline double pn_scalar_unit(pn_xoshiro *g) { return (double)(pn_xoshiro_next(g) >> 11) * 0x1p-53; }          /* [0, 1) */
static inline int64_t pn_scalar_below(pn_xoshiro *g, int64_t n) { return (int64_t)(pn_scalar_unit(g) * (double)n); } /* 0 .. n - 1, n < 2^31 */
#endif
