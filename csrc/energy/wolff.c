/* The engine "wolff": a sweep grows one cluster from a random spin and flips it. A satisfied bond (M_ij s_i s_j > 0) joins with probability
 * 1 - exp(-2 |M_ij| / T), whatever the sign of M_ij. A field is a bond to a spin that never flips: a cluster that it holds stays as it is.
 *
 * proposed counts the spins of clusters, accepted those flipped. Cost: size of the cluster times degree. Source: Wolff 1989. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "energy/scalar.h"

/* The cluster of one replica, in the middle of a sweep. */
typedef struct cluster {
    int64_t head, tail, turned; /* members: tail; head of them have asked their neighbours; turned of them are flipped */
    uint32_t stamp;             /* of members; another one in each sweep */
    bool held, over;            /* by a field; nothing is left to do in this sweep */
} cluster;

typedef struct wolff {
    pn_scalar scalar;
    cluster *clusters; /* (replicas) */
    int32_t *member;   /* (replicas, n) */
    uint32_t *stamp;   /* (replicas, n) */
    int64_t chunk;     /* members of a phase */
} wolff;

/* One replica's view of the engine. */
typedef struct view {
    const pn_couplings *m;
    const pn_graph *graph;
    cluster *c;
    int32_t *member;
    uint32_t *stamp;
    int8_t *s;
    pn_xoshiro *random;
    double temperature, strength, stays; /* exp(-2 strength / T): of the bond asked for last */
} view;

/* Whether a bond with w s s' = pull > 0 joins. */
static inline bool joins(view *v, double pull) {
    if (pull != v->strength) {
        v->strength = pull;
        v->stays = pn_rule_probability(PN_RULE_METROPOLIS, 2 * pull, v->temperature);
    }
    return pn_scalar_unit(v->random) >= v->stays;
}

static void begin(view *v) {
    cluster *c = v->c;
    if (++c->stamp == 0) {
        memset(v->stamp, 0, (size_t)v->m->n * sizeof *v->stamp);
        c->stamp = 1;
    }
    const int64_t seed = pn_scalar_below(v->random, v->m->n);
    *c = (cluster){.tail = 1, .stamp = c->stamp};
    v->member[0] = (int32_t)seed;
    v->stamp[seed] = c->stamp;
}

/* The next member asks its neighbours. */
static void grow(view *v) {
    cluster *c = v->c;
    const int64_t i = v->member[c->head++];
    const double h = v->m->field ? v->m->field[i] * v->s[i] : 0;
    if (h > 0 && joins(v, h)) {
        c->held = true;
        return;
    }
    for (int64_t k = v->graph->start[i]; k < v->graph->start[i + 1]; k++) {
        const int32_t j = v->graph->to[k];
        const double pull = v->graph->weight[k] * v->s[i] * v->s[j];
        if (pull <= 0 || v->stamp[j] == c->stamp || !joins(v, pull)) continue;
        v->stamp[j] = c->stamp;
        v->member[c->tail++] = j;
    }
}

/* Flips the next member; returns by how much its bonds to the outside and its field change the energy. */
static double turn(view *v) {
    const int64_t i = v->member[v->c->turned++];
    double pull = v->m->field ? v->m->field[i] : 0;
    for (int64_t k = v->graph->start[i]; k < v->graph->start[i + 1]; k++) {
        if (v->stamp[v->graph->to[k]] != v->c->stamp) pull += v->graph->weight[k] * v->s[v->graph->to[k]];
    }
    v->s[i] = (int8_t)-v->s[i];
    return -2 * v->s[i] * pull;
}

static void run(pn_engine *g, int64_t group, const double *temperature, int64_t phase, int64_t part) {
    wolff *w = (wolff *)g;
    const int64_t at = group * g->m->n;
    pn_xoshiro random = *pn_scalar_random(&w->scalar, group);
    cluster *c = w->clusters + group;
    view v = {g->m, &w->scalar.graph, c, w->member + at, w->stamp + at, w->scalar.spins + at, &random, *temperature, -1, 0};
    int64_t budget = w->chunk, sum = 0;
    double change = 0;
    (void)part;
    if (phase == 0) begin(&v);
    if (c->over) return;
    for (; budget && c->head < c->tail && !c->held; budget--) grow(&v);
    for (; budget && c->head == c->tail && !c->held && c->turned < c->tail; budget--) {
        change += turn(&v);
        sum += 2 * v.s[v.member[c->turned - 1]];
    }
    *pn_scalar_random(&w->scalar, group) = random;
    w->scalar.energy[group] += change;
    w->scalar.sum[group] += sum;
    c->over = c->held || c->turned == c->tail;
    if (!c->over) return;
    g->proposed[group] += (uint64_t)c->tail;
    g->accepted[group] += (uint64_t)c->turned;
}

static bool takes(const pn_couplings *m, const pn_task *task) {
    (void)m;
    return task->method == PN_METHOD_WOLFF;
}

static void close_wolff(pn_engine *g) {
    wolff *w = (wolff *)g;
    pn_free(w->clusters);
    pn_free(w->member);
    pn_free(w->stamp);
    pn_scalar_close(g);
}

extern const pn_engine_type pn_engine_wolff;

static pn_status open(pn_engine **out, const pn_couplings *m, const pn_task *task, pn_error *e) {
    const size_t replicas = (size_t)task->replicas, n = (size_t)m->n;
    wolff *w = pn_alloc_zero(sizeof *w);
    if (!w) return pn_fail(e, PN_E_MEMORY, "no memory for an engine");
    w->chunk = pn_scalar_chunk(m);
    const pn_status status = pn_scalar_open(&w->scalar, &pn_engine_wolff, m, task, (2 * m->n + w->chunk - 1) / w->chunk + 1, true, e);
    if (status) {
        pn_free(w);
        return status;
    }
    size_t sites;
    const bool fits = pn_mul_size(replicas, n, &sites) && pn_mul_size(sites, sizeof *w->stamp, &sites);
    w->clusters = pn_alloc_zero(replicas * sizeof *w->clusters);
    w->member = fits ? pn_alloc(sites) : NULL;
    w->stamp = fits ? pn_alloc_zero(sites) : NULL;
    if (w->clusters && w->member && w->stamp) {
        *out = &w->scalar.base;
        return PN_OK;
    }
    close_wolff(&w->scalar.base);
    return pn_fail(e, PN_E_MEMORY, "no memory for the clusters of %zu replicas of %zu spins", replicas, n);
}

const pn_engine_type pn_engine_wolff = {
    .name = "wolff", .takes = takes, .open = open, .close = close_wolff, .put = pn_scalar_put, .get = pn_scalar_get, .run = run, .measure = pn_scalar_measure};
