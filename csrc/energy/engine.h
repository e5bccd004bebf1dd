/* An engine holds replicas of a spin model and sweeps them: one way to do so for each file. The drivers (sampler, tempering, population) know engines only by
 * this table; `engines.def` lists them, the first that takes a task gets it, and every one can be asked for by name.
 *
 * Replicas come in `groups` of `per_group` (the last may hold fewer), which know nothing of each other. A sweep of one group is `phases` steps in order; a step is
 * `parts` pieces that may run at the same time. What a piece computes, and which random numbers it takes, depends on the model, the task and the engine's constants
 * alone: never on threads or on time. A piece takes at most some milliseconds; between pieces the driver polls. */
#ifndef PN_ENERGY_ENGINE_H
#define PN_ENERGY_ENGINE_H
#include "energy/energy.h"

typedef enum pn_method { PN_METHOD_SINGLE, PN_METHOD_WOLFF, PN_METHOD_SWENDSEN_WANG, PN_METHOD_REJECTION_FREE } pn_method;
/* In which order spins are proposed. ANY: as suits the engine, random or fixed. Random: a site drawn for each proposal, each replica its own. Checkerboard: first one colour of a
 * proper colouring, then the next; sites of a colour are not coupled. Sequential: 0, 1, ..., n - 1. */
typedef enum pn_order { PN_ORDER_ANY, PN_ORDER_RANDOM, PN_ORDER_SEQUENTIAL, PN_ORDER_CHECKERBOARD } pn_order;

/* What is to be sampled; decides all numbers. */
typedef struct pn_task {
    pn_method method;
    pn_rule rule; /* of single spins and rejection_free */
    pn_order order;
    int64_t replicas;
    bool own_temperatures; /* replicas of a group may have different temperatures (tempering) */
    uint64_t seed;
} pn_task;

typedef struct pn_engine pn_engine;
typedef struct pn_engine_type {
    const char *name; /* "lattice_bits", ... */
    bool (*takes)(const pn_couplings *m, const pn_task *task);
    /* Allocates the engine with all that it will need; spins are undefined until `put`. The couplings must outlive it. */
    pn_status (*open)(pn_engine **out, const pn_couplings *m, const pn_task *task, pn_error *e);
    void (*close)(pn_engine *g);
    void (*put)(pn_engine *g, int64_t replica, const int8_t *spins); /* (n) */
    void (*get)(const pn_engine *g, int64_t replica, int8_t *spins);
    /* Runs piece `part` of step `phase` of a sweep of one group. temperature (per_group): all > 0, all equal unless own_temperatures. */
    void (*run)(pn_engine *g, int64_t group, const double *temperature, int64_t phase, int64_t part);
    /* E(s) and sum of s of the group's replicas, between sweeps; exact for whole couplings. */
    void (*measure)(const pn_engine *g, int64_t group, double *energy, double *sum);
} pn_engine_type;

/* Every engine begins with this. */
struct pn_engine {
    const pn_engine_type *type;
    const pn_couplings *m;
    pn_task task;
    int64_t groups, per_group, phases, parts;
    uint64_t *streams; /* (n_streams) the whole state of its random numbers: saved and put back, it goes on in the same bits */
    int64_t n_streams;
    uint64_t *proposed, *accepted; /* (groups x parts) counts so far; a piece adds to [group x parts + part] alone */
};

/* The engine `name` (NULL: the first that takes the task). PN_E_VALUE in one sentence when none does. */
pn_status pn_engine_open(pn_engine **out, const pn_couplings *m, const pn_task *task, const char *name, pn_error *e);
void pn_engine_close(pn_engine *g);                                             /* NULL is fine */
const pn_engine_type *const *pn_engine_types(void);                             /* all, NULL-terminated, in the order of choice */
static inline int64_t pn_engine_group_size(const pn_engine *g, int64_t group) { /* replicas in this group */
    const int64_t left = g->task.replicas - group * g->per_group;
    return left < g->per_group ? left : g->per_group;
}
#endif
