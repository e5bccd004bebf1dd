/* The engine "reference": one spin after the other, any couplings, any rule, any order, a temperature for each replica. It is the judge of the fast engines:
 * every step can be read off the definition. The energy of whole couplings is tracked, that of real ones summed anew when it is asked for, so neither drifts.
 *
 * A proposal costs degree + a few operations. Source: lecture 001; Metropolis et al. 1953, Glauber 1963. */
#include "base/alloc.h"
#include "energy/scalar.h"

typedef struct reference {
    pn_scalar scalar;
    int32_t *visit; /* (n) sites in the order of visits; NULL: 0, 1, ... or random */
    int64_t chunk;  /* proposals of a phase */
} reference;

#define TABLE 32 /* local fields of whole couplings up to this have their probabilities in a table */

/* Probability of a flip for 2 s f of each whole s f from -TABLE to TABLE. */
typedef struct chances {
    bool known;
    double p[2 * TABLE + 1];
} chances;

static void prepare(chances *c, const pn_couplings *m, pn_rule rule, double temperature, int64_t proposals) {
    c->known = m->whole && m->reach <= TABLE && proposals > 4 * TABLE;
    for (int k = -TABLE; c->known && k <= TABLE; k++) c->p[k + TABLE] = pn_rule_probability(rule, 2.0 * k, temperature);
}

/* The lecture draws a new value from {-1, +1}: half of the proposals are the old one, and change nothing. */
static inline bool accepts(const pn_task *task, const chances *c, double pull, double temperature, pn_xoshiro *random) {
    if (task->rule == PN_RULE_LECTURE && pn_xoshiro_next(random) >> 63) return false;
    const double p = c->known ? c->p[(int)pull + TABLE] : pn_rule_probability(task->rule, 2 * pull, temperature);
    return p >= 1 || pn_scalar_unit(random) < p;
}

static void run(pn_engine *g, int64_t group, const double *temperature, int64_t phase, int64_t part) {
    const reference *r = (const reference *)g;
    const pn_couplings *m = g->m;
    const bool random_order = g->task.order == PN_ORDER_ANY || g->task.order == PN_ORDER_RANDOM;
    int8_t *s = pn_scalar_spins(&r->scalar, group);
    pn_xoshiro random = *pn_scalar_random(&r->scalar, group);
    const int64_t lo = phase * r->chunk, hi = lo + r->chunk < m->n ? lo + r->chunk : m->n;
    double energy = 0;
    int64_t sum = 0, accepted = 0;
    chances c;
    (void)part;
    prepare(&c, m, g->task.rule, *temperature, hi - lo);
    for (int64_t k = lo; k < hi; k++) {
        const int64_t i = random_order ? pn_scalar_below(&random, m->n) : r->visit ? r->visit[k] : k;
        const double pull = s[i] * pn_graph_field(&r->scalar.graph, m, s, i);
        if (!accepts(&g->task, &c, pull, *temperature, &random)) continue;
        energy += 2 * pull;
        sum -= 2 * s[i];
        s[i] = (int8_t)-s[i];
        accepted++;
    }
    *pn_scalar_random(&r->scalar, group) = random;
    r->scalar.energy[group] += energy;
    r->scalar.sum[group] += sum;
    g->proposed[group] += (uint64_t)(hi - lo);
    g->accepted[group] += (uint64_t)accepted;
}

static bool takes(const pn_couplings *m, const pn_task *task) {
    (void)m;
    return task->method == PN_METHOD_SINGLE;
}

static void close_reference(pn_engine *g) {
    pn_free(((reference *)g)->visit);
    pn_scalar_close(g);
}

extern const pn_engine_type pn_engine_reference;

static pn_status open(pn_engine **out, const pn_couplings *m, const pn_task *task, pn_error *e) {
    const int64_t chunk = pn_scalar_chunk(m);
    reference *r = pn_alloc_zero(sizeof *r);
    if (!r) return pn_fail(e, PN_E_MEMORY, "no memory for an engine");
    r->chunk = chunk;
    pn_status status = pn_scalar_open(&r->scalar, &pn_engine_reference, m, task, (m->n + chunk - 1) / chunk, true, e);
    if (status) {
        pn_free(r);
        return status;
    }
    if (task->order == PN_ORDER_CHECKERBOARD) {
        r->visit = pn_alloc((size_t)m->n * sizeof *r->visit);
        status = r->visit ? pn_graph_colours(&r->scalar.graph, m->n, r->visit, e) : pn_fail(e, PN_E_MEMORY, "no memory for the order of visits");
    }
    if (status)
        close_reference(&r->scalar.base);
    else
        *out = &r->scalar.base;
    return status;
}

const pn_engine_type pn_engine_reference = {.name = "reference",
                                            .takes = takes,
                                            .open = open,
                                            .close = close_reference,
                                            .put = pn_scalar_put,
                                            .get = pn_scalar_get,
                                            .run = run,
                                            .measure = pn_scalar_measure};
