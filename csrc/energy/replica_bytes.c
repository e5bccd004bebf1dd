/* Any graph with small whole couplings and fields, 64 replicas at a time: sweeps in the order of the spins by kernels/replica_bytes.h.
 *
 * A group is 64 replicas, each with a byte in every word. Energies are kept by adding up what flips change. */
#include <string.h>

#include "base/alloc.h"
#include "energy/engine.h"
#include "kernels/kernels.h"

#define LANES 64
#define SPINS_A_PHASE 4096 /* some tenths of a millisecond */

/* What one group keeps. */
typedef struct group_state {
    double temperature[LANES]; /* of `chances`; 0: none yet */
    pn_bytes_chances chances;
    pn_bytes_counts counts; /* sum: of the sweep that runs */
    int64_t energy[LANES], sum[LANES];
} group_state;

typedef struct bytes_engine {
    pn_engine base;
    pn_bytes_graph graph;
    int64_t *start;
    int32_t *to;
    int8_t *field, *reach;
    int8_t *spins; /* (groups, n, 64) */
    uint64_t *p;   /* (groups, 64 or 1, REACH + 1) */
    group_state *state;
    int64_t rows; /* of p in a group */
    int odds;     /* bit 0: some reach is even, bit 1: some is odd */
} bytes_engine;

extern const pn_engine_type pn_engine_replica_bytes;

/* On a chain a sweep in order carries each wall between two domains along as far as flips are free: Metropolis there needs another order. */
static bool takes(const pn_couplings *m, const pn_task *t) {
    if (t->method != PN_METHOD_SINGLE || !m->whole || m->reach > PN_BYTES_REACH) return false;
    if (t->order == PN_ORDER_SEQUENTIAL) return true;
    return t->order == PN_ORDER_ANY && (m->degree > 2 || t->rule == PN_RULE_GLAUBER);
}

static void close_engine(pn_engine *engine) {
    bytes_engine *g = (bytes_engine *)engine;
    pn_free(g->start);
    pn_free(g->to);
    pn_free(g->field);
    pn_free(g->reach);
    pn_free(g->spins);
    pn_free(g->p);
    pn_free(g->state);
    pn_free(engine->streams);
    pn_free(engine->proposed);
    pn_free(engine->accepted);
    pn_free(g);
}

static int64_t whole(double x) { return (int64_t)(x < 0 ? -x : x); }

/* Fills the rows of the graph: neighbours that count +1, then those that count -1. Returns how many entries there are; to NULL: only counts. */
static int64_t fill_graph(bytes_engine *g, const pn_couplings *m, int32_t *to) {
    int64_t at = 0;
    for (int64_t i = 0; i < m->n; i++) {
        pn_row row;
        pn_couplings_row(m, i, &row);
        const double h = m->field ? m->field[i] : 0;
        int64_t reach = whole(h);
        for (int minus = 0; minus < 2; minus++) {
            if (to) g->start[2 * i + minus] = at;
            for (int64_t k = 0; k < row.n; k++) {
                if ((row.weight[k] < 0) != minus) continue;
                for (int64_t c = whole(row.weight[k]); c > 0; c--, at++) {
                    if (to) to[at] = row.to[k];
                    reach++;
                }
            }
        }
        if (!to) continue;
        g->field[i] = (int8_t)h;
        g->reach[i] = (int8_t)reach;
        g->odds |= 1 << (reach & 1);
    }
    if (to) g->start[2 * m->n] = at;
    return at;
}

static void *zeroed(int64_t count, size_t bytes) {
    size_t total;
    return pn_mul_size((size_t)count, bytes, &total) ? pn_alloc_zero(total) : NULL;
}

static bool allocate(bytes_engine *g) {
    pn_engine *b = &g->base;
    const int64_t n = b->m->n;
    b->n_streams = b->groups * PN_LANES_WORDS;
    return (g->start = zeroed(2 * n + 1, sizeof *g->start)) && (g->to = zeroed(fill_graph(g, b->m, NULL), sizeof *g->to)) && (g->field = zeroed(n, 1)) &&
           (g->reach = zeroed(n, 1)) && (g->spins = zeroed(b->groups * LANES, (size_t)n)) &&
           (g->p = zeroed(b->groups * g->rows, (PN_BYTES_REACH + 1) * sizeof *g->p)) && (g->state = zeroed(b->groups, sizeof *g->state)) &&
           (b->streams = zeroed(b->groups, sizeof(pn_lanes))) && (b->proposed = zeroed(b->groups, sizeof *b->proposed)) &&
           (b->accepted = zeroed(b->groups, sizeof *b->accepted));
}

static pn_status open_engine(pn_engine **out, const pn_couplings *m, const pn_task *t, pn_error *e) {
    bytes_engine *g = pn_alloc_zero(sizeof *g);
    if (!g) return pn_fail(e, PN_E_MEMORY, "no memory for the engine");
    g->base = (pn_engine){.type = &pn_engine_replica_bytes, .m = m, .task = *t, .per_group = LANES, .parts = 1};
    g->base.groups = (t->replicas + LANES - 1) / LANES;
    g->base.phases = (m->n + SPINS_A_PHASE - 1) / SPINS_A_PHASE;
    g->rows = t->own_temperatures ? LANES : 1;
    if (!allocate(g)) {
        close_engine(&g->base);
        return pn_fail(e, PN_E_MEMORY, "no memory for %lld replicas of %lld spins", (long long)t->replicas, (long long)m->n);
    }
    fill_graph(g, m, g->to);
    g->graph = (pn_bytes_graph){.start = g->start, .to = g->to, .field = g->field, .reach = g->reach};
    memset(g->spins, 1, (size_t)(g->base.groups * LANES * m->n)); /* those of the last group that nobody asked for are swept too */
    for (int64_t i = 0; i < g->base.groups; i++) pn_lanes_seed((pn_lanes *)g->base.streams + i, pn_energy_seed(t->seed, (uint64_t)i));
    *out = &g->base;
    return PN_OK;
}

/* ---- probabilities ---- */

/* p in units of 2^-64, as near as it goes */
static uint64_t in_64_bits(double p) { return p >= 1 ? ~0ull : (uint64_t)(p * 0x1p64); }

/* Row r of p, and the leading bytes of lanes [from, to). */
static void fill_chances(const bytes_engine *g, group_state *s, uint64_t *p, double temperature, int from, int to) {
    const int most = (int)g->base.m->reach;
    for (int v = 0; v <= most; v++) {
        if (!(g->odds >> (v & 1) & 1)) continue;
        p[v] = in_64_bits(pn_rule_probability(g->base.task.rule, 2.0 * v, temperature));
        memset(s->chances.leading[v & 1][v / 2] + from, (int)(p[v] >> 56) - 128, (size_t)(to - from));
        if (!p[v]) { /* and all that cost more */
            for (int more = v + 1; more <= most; more++) {
                p[more] = 0;
                memset(s->chances.leading[more & 1][more / 2] + from, -128, (size_t)(to - from));
            }
            return;
        }
    }
}

/* From the last level on all leading bytes are 0. */
static int count_levels(const bytes_engine *g, const group_state *s, int parity) {
    static const int8_t none[LANES] = {[0 ... LANES - 1] = -128};
    const int most = ((int)g->base.m->reach - parity) / 2 + 1;
    for (int k = 0; k < most; k++) {
        if (!memcmp(s->chances.leading[parity][k], none, LANES)) return k + 1;
    }
    return most;
}

static const pn_bytes_chances *chances_at(const bytes_engine *g, int64_t group, const double *temperature) {
    group_state *s = &g->state[group];
    uint64_t *p = g->p + group * g->rows * (PN_BYTES_REACH + 1);
    const int64_t size = pn_engine_group_size(&g->base, group);
    bool changed = false;
    for (int j = 0; j < g->rows; j++) {
        const double t = temperature[j < size ? j : 0];
        if (s->temperature[j] == t) continue;
        s->temperature[j] = t;
        fill_chances(g, s, p + j * (PN_BYTES_REACH + 1), t, j, g->rows == 1 ? LANES : j + 1);
        changed = true;
    }
    if (changed) {
        s->chances.heat_bath = g->base.task.rule == PN_RULE_GLAUBER;
        s->chances.p = p;
        s->chances.step = g->rows == 1 ? 0 : PN_BYTES_REACH + 1;
        for (int parity = 0; parity < 2; parity++) s->chances.levels[parity] = count_levels(g, s, parity);
    }
    return &s->chances;
}

/* ---- the engine's table ---- */

static void run(pn_engine *engine, int64_t group, const double *temperature, int64_t phase, int64_t part) {
    bytes_engine *g = (bytes_engine *)engine;
    group_state *s = &g->state[group];
    const int64_t n = engine->m->n, begin = phase * SPINS_A_PHASE, end = begin + SPINS_A_PHASE < n ? begin + SPINS_A_PHASE : n;
    const int64_t size = pn_engine_group_size(engine, group);
    (void)part;
    if (!phase) memset(s->counts.sum, 0, sizeof s->counts.sum);
    memset(s->counts.flips, 0, sizeof s->counts.flips);
    memset(s->counts.change, 0, sizeof s->counts.change);
    pn_kernels_get()->energy.replica_bytes(&g->graph, g->spins + group * n * LANES, begin, end, chances_at(g, group, temperature),
                                           (pn_lanes *)engine->streams + group, &s->counts);
    for (int j = 0; j < LANES; j++) s->energy[j] += 2 * s->counts.change[j];
    if (end == n) memcpy(s->sum, s->counts.sum, sizeof s->sum);
    engine->proposed[group] += (uint64_t)((end - begin) * size);
    for (int64_t j = 0; j < size; j++) engine->accepted[group] += (uint64_t)s->counts.flips[j];
}

static void put(pn_engine *engine, int64_t replica, const int8_t *spins) {
    bytes_engine *g = (bytes_engine *)engine;
    const int64_t n = engine->m->n, group = replica / LANES, lane = replica % LANES;
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        g->spins[(group * n + i) * LANES + lane] = spins[i];
        sum += spins[i];
    }
    g->state[group].energy[lane] = (int64_t)pn_couplings_energy(engine->m, spins);
    g->state[group].sum[lane] = sum;
}

static void get(const pn_engine *engine, int64_t replica, int8_t *spins) {
    const bytes_engine *g = (const bytes_engine *)engine;
    const int64_t n = engine->m->n, group = replica / LANES, lane = replica % LANES;
    for (int64_t i = 0; i < n; i++) spins[i] = g->spins[(group * n + i) * LANES + lane];
}

static void measure(const pn_engine *engine, int64_t group, double *energy, double *sum) {
    const group_state *s = &((const bytes_engine *)engine)->state[group];
    for (int64_t j = 0; j < pn_engine_group_size(engine, group); j++) {
        energy[j] = (double)s->energy[j];
        sum[j] = (double)s->sum[j];
    }
}

const pn_engine_type pn_engine_replica_bytes = {
    .name = "replica_bytes", .takes = takes, .open = open_engine, .close = close_engine, .put = put, .get = get, .run = run, .measure = measure};
