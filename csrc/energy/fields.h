/* What the engines of local fields have in common: a model in fixed point (kernels/fields.h), whose spins are numbered in the order of their visits. */
#ifndef PN_ENERGY_FIELDS_H
#define PN_ENERGY_FIELDS_H
#include "energy/engine.h"
#include "energy/graph.h"
#include "kernels/kernels.h"

typedef struct pn_fields_engine {
    pn_engine base;
    pn_graph graph;       /* of the couplings, spins numbered as users do */
    int64_t words;        /* vectors of 16 spins */
    int64_t chunk;        /* words, spins or proposals of a phase */
    bool across;          /* 16 replicas a vector: fields are (groups, n, 16); else one replica a vector: (replicas, 16 words) */
    int32_t *place;       /* (n) the place of spin i in the order of visits; NULL: i */
    int32_t *field;       /* in units of each spin */
    int32_t *turned;      /* 0 for +1, -1 for -1 */
    int32_t *upward;      /* (16 words) fields when all spins are +1 */
    double *size;         /* (16 words) the unit of each spin, a power of 2 */
    double grid;          /* see pn_fields_round */
    double largest;       /* unit */
    float *unit;          /* (16 words) the largest unit over that of the spin */
    int32_t *dense, *own; /* see pn_fields; either these two or the other three */
    int64_t *start;
    int32_t *to, *pull;
    double *exact; /* (replicas, n) dense real couplings: fields as they were when the energy was last asked for */
    int8_t *seen;  /* (replicas, n) spins at that time; 0: never asked */
} pn_fields_engine;

/* A new engine: units, order of visits, generators, couplings in units, memory of spins and fields. */
typedef struct pn_fields_kind {
    const pn_engine_type *type;
    bool dense;
    bool across;
    int64_t per_group;
} pn_fields_kind;
pn_status pn_fields_open(pn_engine **out, const pn_fields_kind *kind, const pn_couplings *m, const pn_task *task, pn_error *e);
void pn_fields_close(pn_engine *g);
void pn_fields_put(pn_engine *g, int64_t replica, const int8_t *spins);
void pn_fields_get(const pn_engine *g, int64_t replica, int8_t *spins);
void pn_fields_run(pn_engine *g, int64_t group, const double *temperature, int64_t phase, int64_t part);

/* Whether sites are drawn for each proposal: when asked for, and for the lecture's rule, whose law depends on the order. */
static inline bool pn_fields_random(const pn_task *task) {
    return task->order == PN_ORDER_RANDOM || (task->order == PN_ORDER_ANY && task->rule == PN_RULE_LECTURE);
}
static inline int64_t pn_fields_place(const pn_fields_engine *f, int64_t i) { return f->place ? f->place[i] : i; }
/* x as a multiple of 2^-50 of the largest field: sums of such fields are exact in double. grid is so large that nothing smaller is left behind it. */
static inline double pn_fields_round(double x, double grid) { return (x + grid) - grid; }
/* Where the field and the spin of a place of a replica lie. */
static inline int64_t pn_fields_at(const pn_fields_engine *f, int64_t replica, int64_t place) {
    if (!f->across) return replica * PN_FIELDS_LANES * f->words + place;
    return (replica / PN_FIELDS_LANES * f->base.m->n + place) * PN_FIELDS_LANES + replica % PN_FIELDS_LANES;
}
#endif
