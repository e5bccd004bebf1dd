/* Any graph with small whole couplings and fields, 64 replicas at a time: sweeps in the order of the spins by kernels/replica_bytes.h.
 *
 * A group is 64 replicas, each with half a byte in the row of a spin. Energies are kept by adding up what flips change. */
#include <string.h>

#include "base/alloc.h"
#include "energy/engine.h"
#include "kernels/kernels.h"

#define LANES 64
#define ROW 32 /* bytes of a spin */
#define FILL 8
#define FEWEST 16                  /* replicas: with fewer most of a row is idle, and other engines are faster */
#define MOST (INT32_MAX / ROW - 1) /* spins: their places are int32 */
#define SPINS_A_PHASE 4096         /* some tenths of a millisecond */

/* What one group keeps. */
typedef struct group_state {
    double temperature[LANES]; /* of `chances`; 0: none yet */
    pn_bytes_chances chances;
    pn_bytes_counts counts; /* up: of the sweep that runs */
    int64_t energy[LANES], sum[LANES];
} group_state;

typedef struct bytes_engine {
    pn_engine base;
    pn_bytes_graph graph;
    int64_t *start;
    int32_t *to;
    int8_t *base_field, *reach;
    uint8_t *spins; /* (groups, n + 1, 32) */
    uint64_t *p;    /* (groups, 64 or 1, REACH + 1) */
    group_state *state;
    int64_t rows; /* of p in a group */
} bytes_engine;

extern const pn_engine_type pn_engine_replica_bytes;

/* On a chain a sweep in order carries each wall between two domains along as far as flips are free: Metropolis there needs another order. */
static bool takes(const pn_couplings *m, const pn_task *t) {
    if (t->replicas < FEWEST || t->method != PN_METHOD_SINGLE || !m->whole || m->reach > PN_BYTES_REACH || m->n > MOST) return false;
    if (t->order == PN_ORDER_SEQUENTIAL) return true;
    return t->order == PN_ORDER_ANY && (m->degree > 2 || t->rule == PN_RULE_GLAUBER);
}

static void close_engine(pn_engine *engine) {
    bytes_engine *g = (bytes_engine *)engine;
    pn_free(g->start);
    pn_free(g->to);
    pn_free(g->base_field);
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

/* The neighbours of a spin with couplings of one sign, each as often as its weight says, from entry `at` on; filled up to a multiple of eight. Returns where the next begin. */
static int64_t fill_list(const pn_row *row, bool minus, int64_t n, int64_t at, int32_t *to) {
    const int64_t first = at;
    for (int64_t k = 0; k < row->n; k++) {
        if ((row->weight[k] < 0) != minus) continue;
        for (int64_t c = whole(row->weight[k]); c > 0; c--, at++) {
            if (to) to[at] = row->to[k] * ROW;
        }
    }
    for (; (at - first) % FILL; at++) {
        if (to) to[at] = (int32_t)n * ROW;
    }
    return at;
}

/* Fills the lists of the graph. Returns how many entries they have; to NULL: only counts. */
static int64_t fill_graph(bytes_engine *g, const pn_couplings *m, int32_t *to) {
    int64_t at = 0;
    for (int64_t i = 0; i < m->n; i++) {
        pn_row row;
        pn_couplings_row(m, i, &row);
        const double h = m->field ? m->field[i] : 0;
        int64_t reach = whole(h), base = (int64_t)h;
        for (int64_t k = 0; k < row.n; k++) {
            reach += whole(row.weight[k]);
            base -= (int64_t)row.weight[k];
        }
        for (int minus = 0; minus < 2; minus++) {
            if (to) g->start[2 * i + minus] = at;
            at = fill_list(&row, minus, m->n, at, to);
        }
        if (!to) continue;
        g->base_field[i] = (int8_t)base;
        g->reach[i] = (int8_t)reach;
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
    return (g->start = zeroed(2 * n + 1, sizeof *g->start)) && (g->to = zeroed(fill_graph(g, b->m, NULL), sizeof *g->to)) && (g->base_field = zeroed(n, 1)) &&
           (g->reach = zeroed(n, 1)) && (g->spins = zeroed(b->groups * ROW, (size_t)(n + 1))) &&
           (g->p = zeroed(b->groups * g->rows, (PN_BYTES_REACH + 1) * sizeof *g->p)) && (g->state = zeroed(b->groups, sizeof *g->state)) &&
           (b->streams = zeroed(b->groups, sizeof(pn_lanes))) && (b->proposed = zeroed(b->groups, sizeof *b->proposed)) &&
           (b->accepted = zeroed(b->groups, sizeof *b->accepted));
}

static uint8_t *spins_of(const bytes_engine *g, int64_t group) { return g->spins + group * (g->base.m->n + 1) * ROW; }

static void start_group(bytes_engine *g, int64_t group) {
    memset(g->state[group].chances.leading, -128, sizeof g->state[group].chances.leading);
    pn_lanes_seed((pn_lanes *)g->base.streams + group, pn_energy_seed(g->base.task.seed, (uint64_t)group));
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
    g->graph = (pn_bytes_graph){.start = g->start, .to = g->to, .base = g->base_field, .reach = g->reach};
    for (int64_t i = 0; i < g->base.groups; i++) start_group(g, i);
    *out = &g->base;
    return PN_OK;
}

/* ---- probabilities ---- */

/* p in units of 2^-64, as near as it goes */
static uint64_t in_64_bits(double p) { return p >= 1 ? ~0ull : (uint64_t)(p * 0x1p64); }

/* A row of p, and the leading bytes of lanes [from, to). */
static void fill_chances(const bytes_engine *g, group_state *s, uint64_t *p, double temperature, int from, int to) {
    bool more = true;
    for (int v = 0; v <= (int)g->base.m->reach; v++) {
        p[v] = more ? in_64_bits(pn_rule_probability(g->base.task.rule, 2.0 * v, temperature)) : 0;
        more = p[v] > 0; /* what costs more is no more likely */
        for (int b = 0; b < 2; b++) memset(s->chances.leading[v & 1][v / 2][b] + from, (int)(p[v] >> (56 - 8 * b) & 255) - 128, (size_t)(to - from));
    }
}

/* Behind the last level both leading bytes are 0 in all replicas. */
static int count_levels(const bytes_engine *g, const group_state *s) {
    static const int8_t none[2 * LANES] = {[0 ... 2 * LANES - 1] = -128};
    int k = (int)g->base.m->reach / 2;
    while (k && !memcmp(s->chances.leading[0][k], none, sizeof none) && !memcmp(s->chances.leading[1][k], none, sizeof none)) k--;
    return k + 2 < PN_BYTES_LEVELS ? k + 2 : PN_BYTES_LEVELS;
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
        s->chances.lazy = g->base.task.rule == PN_RULE_LECTURE;
        s->chances.p = p;
        s->chances.replicas = (int)size;
        s->chances.step = g->rows == 1 ? 0 : PN_BYTES_REACH + 1;
        s->chances.levels = count_levels(g, s);
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
    if (!phase) memset(s->counts.up, 0, sizeof s->counts.up);
    memset(s->counts.flips, 0, sizeof s->counts.flips);
    memset(s->counts.change, 0, sizeof s->counts.change);
    pn_kernels_get()->energy.replica_bytes(&g->graph, spins_of(g, group), begin, end, chances_at(g, group, temperature), (pn_lanes *)engine->streams + group,
                                           &s->counts);
    for (int j = 0; j < LANES; j++) {
        s->energy[j] += 2 * s->counts.change[j];
        if (end == n) s->sum[j] = 2 * s->counts.up[j] - n;
    }
    engine->proposed[group] += (uint64_t)((end - begin) * size);
    for (int64_t j = 0; j < size; j++) engine->accepted[group] += (uint64_t)s->counts.flips[j];
}

static void put(pn_engine *engine, int64_t replica, const int8_t *spins) {
    bytes_engine *g = (bytes_engine *)engine;
    const int64_t n = engine->m->n, group = replica / LANES, lane = replica % LANES;
    const int shift = lane < ROW ? 0 : 4;
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        uint8_t *place = spins_of(g, group) + i * ROW + lane % ROW;
        *place = (uint8_t)((*place & (0xF0 >> shift)) | (spins[i] > 0) << shift);
        sum += spins[i];
    }
    g->state[group].energy[lane] = (int64_t)pn_couplings_energy(engine->m, spins);
    g->state[group].sum[lane] = sum;
}

static void get(const pn_engine *engine, int64_t replica, int8_t *spins) {
    const bytes_engine *g = (const bytes_engine *)engine;
    const int64_t n = engine->m->n, group = replica / LANES, lane = replica % LANES;
    const int shift = lane < ROW ? 0 : 4;
    for (int64_t i = 0; i < n; i++) spins[i] = (int8_t)(2 * (spins_of(g, group)[i * ROW + lane % ROW] >> shift & 1) - 1);
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
