/* The engine "swendsen_wang": a sweep cuts the graph into clusters and flips each with probability 1/2. A satisfied bond (M_ij s_i s_j > 0) holds with probability
 * 1 - exp(-2 |M_ij| / T), whatever the sign of M_ij; a field is a bond to a spin that never flips, and so do clusters that it holds.
 *
 * Phases: first all bonds (union-find, where the root is the smallest site), then all flips, in order of sites. proposed counts n a sweep, accepted the
 * spins flipped. Cost: n degree. Source: Swendsen and Wang 1987. */
#include "base/alloc.h"
#include "energy/scalar.h"

enum { FREE, HELD, FLIPS };

typedef struct engine {
    pn_scalar scalar;
    int32_t *parent; /* (replicas, n) */
    int8_t *fate;    /* (replicas, n) of roots: FREE or HELD while bonds are laid, then FLIPS or not */
    int64_t chunk;   /* sites of a phase */
} engine;

static int32_t root_of(int32_t *parent, int32_t i) {
    while (parent[i] != i) {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    return i;
}

static void join(int32_t *parent, int8_t *fate, int32_t i, int32_t j) {
    const int32_t a = root_of(parent, i), b = root_of(parent, j), low = a < b ? a : b, high = a < b ? b : a;
    parent[high] = low;
    fate[low] |= fate[high];
}

/* Lays the bonds of site i to its field and to neighbours of smaller number. */
static void lay_bonds(const engine *w, int32_t i, int32_t *parent, int8_t *fate, const int8_t *s, double temperature, pn_xoshiro *random) {
    const pn_graph *graph = &w->scalar.graph;
    const double *field = w->scalar.base.m->field, h = field ? field[i] * s[i] : 0;
    double strength = -1, breaks = 0;
    parent[i] = i;
    fate[i] = h > 0 && pn_scalar_unit(random) >= pn_rule_probability(PN_RULE_METROPOLIS, 2 * h, temperature) ? HELD : FREE;
    for (int64_t k = graph->start[i]; k < graph->start[i + 1]; k++) {
        const double pull = graph->weight[k] * s[i] * s[graph->to[k]];
        if (pull <= 0 || graph->to[k] > i) continue;
        if (pull != strength) {
            strength = pull;
            breaks = pn_rule_probability(PN_RULE_METROPOLIS, 2 * pull, temperature);
        }
        if (pn_scalar_unit(random) >= breaks) join(parent, fate, i, graph->to[k]);
    }
}

/* A root comes before all other sites of its cluster, so its fate is known to them. */
static int64_t flip(int32_t i, int32_t *parent, int8_t *fate, int8_t *s, pn_xoshiro *random) {
    const int32_t root = root_of(parent, i);
    if (root == i) fate[i] = fate[i] == FREE && pn_xoshiro_next(random) >> 63 ? FLIPS : HELD;
    if (fate[root] != FLIPS) return 0;
    s[i] = (int8_t)-s[i];
    return 1;
}

static void run(pn_engine *g, int64_t group, const double *temperature, int64_t phase, int64_t part) {
    engine *w = (engine *)g;
    const int64_t half = g->phases / 2, lo = phase % half * w->chunk, hi = lo + w->chunk < g->m->n ? lo + w->chunk : g->m->n;
    int32_t *parent = w->parent + group * g->m->n;
    int8_t *fate = w->fate + group * g->m->n, *s = pn_scalar_spins(&w->scalar, group);
    pn_xoshiro random = *pn_scalar_random(&w->scalar, group);
    int64_t flipped = 0;
    (void)part;
    for (int64_t i = lo; i < hi; i++) {
        if (phase < half)
            lay_bonds(w, (int32_t)i, parent, fate, s, *temperature, &random);
        else
            flipped += flip((int32_t)i, parent, fate, s, &random);
    }
    *pn_scalar_random(&w->scalar, group) = random;
    if (phase < half) return;
    g->proposed[group] += (uint64_t)(hi - lo);
    g->accepted[group] += (uint64_t)flipped;
}

static bool takes(const pn_couplings *m, const pn_task *task) {
    (void)m;
    return task->method == PN_METHOD_SWENDSEN_WANG;
}

static void close_engine(pn_engine *g) {
    pn_free(((engine *)g)->parent);
    pn_free(((engine *)g)->fate);
    pn_scalar_close(g);
}

extern const pn_engine_type pn_engine_swendsen_wang;

static pn_status open(pn_engine **out, const pn_couplings *m, const pn_task *task, pn_error *e) {
    const size_t replicas = (size_t)task->replicas, n = (size_t)m->n;
    engine *w = pn_alloc_zero(sizeof *w);
    if (!w) return pn_fail(e, PN_E_MEMORY, "no memory for an engine");
    w->chunk = pn_scalar_chunk(m);
    const pn_status status = pn_scalar_open(&w->scalar, &pn_engine_swendsen_wang, m, task, 2 * ((m->n + w->chunk - 1) / w->chunk), false, e);
    if (status) {
        pn_free(w);
        return status;
    }
    size_t sites, bytes;
    const bool fits = pn_mul_size(replicas, n, &sites) && pn_mul_size(sites, sizeof *w->parent, &bytes);
    w->parent = fits ? pn_alloc(bytes) : NULL;
    w->fate = fits ? pn_alloc(sites) : NULL;
    if (w->parent && w->fate) {
        *out = &w->scalar.base;
        return PN_OK;
    }
    close_engine(&w->scalar.base);
    return pn_fail(e, PN_E_MEMORY, "no memory for the clusters of %zu replicas of %zu spins", replicas, n);
}

const pn_engine_type pn_engine_swendsen_wang = {.name = "swendsen_wang",
                                                .takes = takes,
                                                .open = open,
                                                .close = close_engine,
                                                .put = pn_scalar_put,
                                                .get = pn_scalar_get,
                                                .run = run,
                                                .measure = pn_scalar_measure};
