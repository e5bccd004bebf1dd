/* The engine "rejection_free": the n-fold way. Every spin waits for its flip with a rate equal to its probability of acceptance, as if it were proposed once a unit of
 * time on average; no proposal is lost. A sweep is one unit of time, and records are taken at the end of sweeps: at equal times, so that their plain means
 * are means over time. Waiting has no memory, so it may be cut anywhere.
 *
 * Rates are the leaves of a binary tree of sums. Fields of real couplings are summed anew (degree^2 a flip), so nothing drifts. proposed counts n a
 * sweep, as of the single-spin run that it stands for. Cost of a flip: degree log n. Source: Bortz, Kalos, Lebowitz 1975. */
#include "base/alloc.h"
#include "energy/scalar.h"

typedef struct engine {
    pn_scalar scalar;
    double *field;       /* (replicas, n) */
    double *tree;        /* (replicas, 2 leaves): node k is the sum of nodes 2k and 2k + 1; rate of spin i: node leaves + i */
    double *temperature; /* (replicas) that the rates are for; 0: spins are new */
    bool *renews;        /* (replicas) rates are computed anew in this sweep */
    int64_t leaves;      /* a power of 2, at least n */
    int64_t chunk, half; /* sites of a phase; phases that renew rates, and as many that flip */
} engine;

static double rate_of(const engine *w, int64_t replica, int64_t i, double temperature) {
    const double change = 2 * pn_scalar_spins(&w->scalar, replica)[i] * w->field[replica * w->scalar.base.m->n + i];
    const double p = pn_rule_probability(w->scalar.base.task.rule, change, temperature);
    return w->scalar.base.task.rule == PN_RULE_LECTURE ? 0.5 * p : p;
}

static void renew(engine *w, int64_t replica, double temperature, int64_t lo, int64_t hi) {
    const pn_couplings *m = w->scalar.base.m;
    double *field = w->field + replica * m->n, *tree = w->tree + replica * 2 * w->leaves;
    for (int64_t i = lo; i < hi; i++) {
        field[i] = pn_graph_field(&w->scalar.graph, m, pn_scalar_spins(&w->scalar, replica), i);
        tree[w->leaves + i] = rate_of(w, replica, i, temperature);
    }
    if (hi < m->n) return;
    for (int64_t k = w->leaves - 1; k > 0; k--) tree[k] = tree[2 * k] + tree[2 * k + 1];
    w->temperature[replica] = temperature;
}

static void set_rate(double *tree, int64_t leaf, double rate) {
    tree[leaf] = rate;
    for (int64_t k = leaf / 2; k > 0; k /= 2) tree[k] = tree[2 * k] + tree[2 * k + 1];
}

/* The leaf at which the sum of rates passes x; never one of rate 0. */
static int64_t find_leaf(const double *tree, int64_t leaves, double x) {
    int64_t k = 1;
    while (k < leaves) {
        k *= 2;
        if ((x < tree[k] && tree[k] > 0) || tree[k + 1] <= 0) continue;
        x -= tree[k++];
    }
    return k;
}

static void flip(engine *w, int64_t replica, int64_t i, double temperature) {
    const pn_couplings *m = w->scalar.base.m;
    const pn_graph *graph = &w->scalar.graph;
    int8_t *s = pn_scalar_spins(&w->scalar, replica);
    double *field = w->field + replica * m->n, *tree = w->tree + replica * 2 * w->leaves;
    w->scalar.energy[replica] += 2 * s[i] * field[i];
    w->scalar.sum[replica] -= 2 * s[i];
    s[i] = (int8_t)-s[i];
    set_rate(tree, w->leaves + i, rate_of(w, replica, i, temperature));
    for (int64_t k = graph->start[i]; k < graph->start[i + 1]; k++) {
        const int64_t j = graph->to[k];
        field[j] = m->whole ? field[j] + 2 * graph->weight[k] * s[i] : pn_graph_field(graph, m, s, j);
        set_rate(tree, w->leaves + j, rate_of(w, replica, j, temperature));
    }
}

/* Lets so much time pass; returns the number of flips. */
static int64_t pass(engine *w, int64_t replica, double temperature, double time, pn_xoshiro *random) {
    const double *tree = w->tree + replica * 2 * w->leaves;
    int64_t flips = 0;
    while (tree[1] > 0) {
        time += pn_log_exact(1 - pn_scalar_unit(random)) / tree[1];
        if (time <= 0) break;
        flip(w, replica, find_leaf(tree, w->leaves, pn_scalar_unit(random) * tree[1]) - w->leaves, temperature);
        flips++;
    }
    return flips;
}

static void run(pn_engine *g, int64_t group, const double *temperature, int64_t phase, int64_t part) {
    engine *w = (engine *)g;
    const int64_t lo = phase % w->half * w->chunk, hi = lo + w->chunk < g->m->n ? lo + w->chunk : g->m->n;
    (void)part;
    if (phase == 0) w->renews[group] = w->temperature[group] != *temperature;
    if (phase < w->half) {
        if (w->renews[group]) renew(w, group, *temperature, lo, hi);
        return;
    }
    pn_xoshiro random = *pn_scalar_random(&w->scalar, group);
    g->proposed[group] += (uint64_t)(hi - lo);
    g->accepted[group] += (uint64_t)pass(w, group, *temperature, (double)(hi - lo) / (double)g->m->n, &random);
    *pn_scalar_random(&w->scalar, group) = random;
}

static void put(pn_engine *g, int64_t replica, const int8_t *spins) {
    ((engine *)g)->temperature[replica] = 0;
    pn_scalar_put(g, replica, spins);
}

static bool takes(const pn_couplings *m, const pn_task *task) {
    (void)m;
    return task->method == PN_METHOD_REJECTION_FREE;
}

static void close_engine(pn_engine *g) {
    engine *w = (engine *)g;
    pn_free(w->field);
    pn_free(w->tree);
    pn_free(w->temperature);
    pn_free(w->renews);
    pn_scalar_close(g);
}

static bool allocate(engine *w, size_t replicas, size_t n) {
    size_t sites, nodes;
    if (!pn_mul_size(replicas, n * sizeof *w->field, &sites) || !pn_mul_size(replicas, 2 * (size_t)w->leaves * sizeof *w->tree, &nodes)) return false;
    w->field = pn_alloc(sites);
    w->tree = pn_alloc_zero(nodes);
    w->temperature = pn_alloc_zero(replicas * sizeof *w->temperature);
    w->renews = pn_alloc_zero(replicas * sizeof *w->renews);
    return w->field && w->tree && w->temperature && w->renews;
}

extern const pn_engine_type pn_engine_rejection_free;

static pn_status open(pn_engine **out, const pn_couplings *m, const pn_task *task, pn_error *e) {
    engine *w = pn_alloc_zero(sizeof *w);
    if (!w) return pn_fail(e, PN_E_MEMORY, "no memory for an engine");
    w->chunk = pn_scalar_chunk(m) / (m->whole ? 8 : 8 + m->degree) + 1; /* a flip costs several looks at a neighbour, or one at those of each */
    w->half = (m->n + w->chunk - 1) / w->chunk;
    for (w->leaves = 1; w->leaves < m->n; w->leaves *= 2) continue;
    const pn_status status = pn_scalar_open(&w->scalar, &pn_engine_rejection_free, m, task, 2 * w->half, true, e);
    if (status) {
        pn_free(w);
        return status;
    }
    if (allocate(w, (size_t)task->replicas, (size_t)m->n)) {
        *out = &w->scalar.base;
        return PN_OK;
    }
    close_engine(&w->scalar.base);
    return pn_fail(e, PN_E_MEMORY, "no memory for the rates of %lld replicas of %lld spins", (long long)task->replicas, (long long)m->n);
}

const pn_engine_type pn_engine_rejection_free = {
    .name = "rejection_free", .takes = takes, .open = open, .close = close_engine, .put = put, .get = pn_scalar_get, .run = run, .measure = pn_scalar_measure};
