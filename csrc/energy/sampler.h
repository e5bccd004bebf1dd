/* The driver: takes the replicas of an engine through sweeps, temperature by temperature, and writes records. It knows engines by their table only.
 *
 * Groups are shared out among the threads; when there are fewer groups than threads, threads share the parts of each step, with a barrier behind it. Which
 * replica gets which numbers depends on neither, nor on how a run is cut into calls. */
#ifndef PN_ENERGY_SAMPLER_H
#define PN_ENERGY_SAMPLER_H
#include <stdatomic.h>

#include "base/team.h"
#include "energy/engine.h"

/* Temperatures of a run: sweep t (from 0) takes row min(t, rows - 1). */
typedef struct pn_temperatures {
    const double *t;       /* (rows, columns), > 0 */
    int64_t rows, columns; /* columns: 1, or one for each replica (an engine opened with own_temperatures) */
} pn_temperatures;

/* What is written down: a record every so many sweeps after the first ones. */
typedef struct pn_records {
    int64_t burn_in, every;         /* every == 0: no records */
    int64_t count;                  /* records that there is room for */
    double *energy, *magnetization; /* (replicas, count): E(s), mean spin */
    const int64_t *row;             /* (replicas) row of each replica; NULL: its own number */
} pn_records;

typedef struct pn_sampler pn_sampler;
struct pn_sampler {
    pn_engine *engine; /* all below until the line: set by the caller */
    int64_t sweeps;    /* of the whole run, burn-in included */
    pn_temperatures temperatures;
    pn_records records;
    int64_t turn;                                  /* > 0: `between` is called after every `turn` sweeps of all replicas, by one thread alone */
    void (*between)(pn_sampler *s, pn_poll *poll); /* may change temperatures, rows and spins */
    void *context;                                 /* of `between` */
    /* ---- the driver's own ---- */
    int64_t done;   /* sweeps that all replicas have behind them */
    double *energy; /* (replicas) last measured: by records, and before `between` */
    int64_t target; /* sweeps at the end of this round */
    double *desks;  /* (threads, 3, per_group) temperatures, energies and sums of the group at hand */
    double deadline, began;
    int threads;
    bool by_parts, over, broken, halt[2];
    atomic_llong next; /* the next group that nobody has taken in this round */
};

/* Allocates what the driver needs for up to `threads` threads. */
pn_status pn_sampler_open(pn_sampler *s, int threads, pn_error *e);
void pn_sampler_close(pn_sampler *s);
/* Goes on for about `seconds`, or to the end. PN_E_INTERRUPTED when the poll stopped it: `done` sweeps are complete in all replicas, some may be ahead, and the run cannot go on. */
pn_status pn_sampler_run(pn_sampler *s, double seconds, pn_poll *poll, pn_error *e);
/* The record that was written after this sweep (from 0), or -1. */
int64_t pn_records_after(const pn_records *r, int64_t sweep);
/* Random spins in all replicas, by streams of their own. */
pn_status pn_sampler_scatter(pn_engine *g, uint64_t seed, pn_poll *poll, pn_error *e);
/* E(s) and mean spin of all replicas: (replicas). */
pn_status pn_sampler_measure(const pn_engine *g, double *energy, double *magnetization, pn_poll *poll, pn_error *e);
/* Whole counts of an engine. */
uint64_t pn_sampler_total(const pn_engine *g, const uint64_t *counts);

/* Streams beside those of engines: pn_energy_seed(pn_hash64(seed, purpose), number). */
enum { PN_SAMPLER_START = 1, PN_SAMPLER_SWAPS = 2, PN_SAMPLER_RESAMPLING = 3 };
#endif
