/* The engines of local fields: the law they sample against exact chains, energies, the same numbers on every instruction set and in any order of groups, failures of memory. */
#include "test.h"

#include "base/rng.h"
#include "energy/engine.h"
#include "energy/graph.h"
#include "kernels/kernels.h"

#define MOST 5    /* spins of the models that are enumerated */
#define SWEEPS 25 /* before their states are counted */
static const char *const rule_names[] = {"metropolis", "glauber", "lecture"}, *const order_names[] = {"any", "random", "sequential", "checkerboard"};

/* ---- models ---- */

static uint64_t fresh_seed(void) { /* another one for each run and call */
    static uint64_t calls;
    const double now = pn_clock();
    uint64_t bits;
    memcpy(&bits, &now, sizeof bits);
    return pn_hash64(bits, ++calls) >> 8;
}

static uint64_t word_of(uint64_t seed, int64_t i) { return pn_hash64(seed, (uint64_t)i); }
static double unit_of(uint64_t seed, int64_t i) { return (double)(word_of(seed, i) >> 11) * 0x1p-53; }

/* Couplings of i < j where density says so: whole from -3 to 3, or real from -1 to 1 times scale. */
static pn_couplings *model(int64_t n, double density, bool whole, double scale, uint64_t seed) {
    int64_t *start = pn_alloc_zero((size_t)(n + 1) * sizeof *start), edges = 0;
    int32_t *to = pn_alloc((size_t)(n * n + 1) * sizeof *to);
    double *weight = pn_alloc((size_t)(n * n + 1) * sizeof *weight), *field = pn_alloc((size_t)n * sizeof *field);
    for (int64_t i = 0; i < n; i++) {
        field[i] = whole ? (double)(word_of(seed, -i - 1) % 3) - 1 : scale * (unit_of(seed, -i - 1) - 0.5);
        for (int64_t j = 0; j < n; j++) {
            const int64_t pair = i < j ? i * n + j : j * n + i;
            const double w = whole ? (double)(word_of(seed, pair) % 7) - 3 : scale * (2 * unit_of(seed, pair) - 1);
            if (i == j || w == 0 || unit_of(seed + 1, pair) >= density) continue;
            to[edges] = (int32_t)j;
            weight[edges++] = w;
        }
        start[i + 1] = edges;
    }
    pn_couplings *m = NULL;
    pn_error e;
    CHECK(pn_couplings_rows(&m, n, start, to, weight, field, &e) == PN_OK, "%s", e.text);
    pn_free(start);
    pn_free(to);
    pn_free(weight);
    pn_free(field);
    return m;
}

static pn_engine *engine(const pn_couplings *m, const char *name, const pn_task *task) {
    pn_engine *g = NULL;
    pn_error e;
    CHECK(pn_engine_open(&g, m, task, name, &e) == PN_OK, "%s: %s", name, e.text);
    int8_t *spins = pn_alloc((size_t)m->n);
    for (int64_t r = 0; r < task->replicas; r++) {
        for (int64_t i = 0; i < m->n; i++) spins[i] = word_of(task->seed + 77, r * m->n + i) & 1 ? 1 : -1;
        g->type->put(g, r, spins);
    }
    pn_free(spins);
    return g;
}

static void sweep_group(pn_engine *g, int64_t group, int64_t sweeps, const double *temperature) {
    for (int64_t s = 0; s < sweeps; s++) {
        for (int64_t phase = 0; phase < g->phases; phase++) {
            for (int64_t part = 0; part < g->parts; part++) g->type->run(g, group, temperature, phase, part);
        }
    }
}
static void sweep(pn_engine *g, int64_t sweeps, double temperature) {
    double t[16];
    for (int i = 0; i < 16; i++) t[i] = temperature;
    for (int64_t group = 0; group < g->groups; group++) sweep_group(g, group, sweeps, t);
}

/* ---- the law ---- */

static double flip_chance(const pn_couplings *m, const int8_t *s, int64_t i, pn_rule rule, double temperature) {
    const double p = pn_rule_probability(rule, 2 * s[i] * pn_local_field(m, s, i), temperature);
    return rule == PN_RULE_LECTURE ? p / 2 : p; /* the lecture draws a new value: half of the time the old one */
}

/* The law after so many sweeps, from the uniform one: one proposal after the other, in the order of `visit` (n), or by random sites (NULL). */
static void exact_law(const pn_couplings *m, pn_rule rule, const int32_t *visit, double temperature, int sweeps, double *law) {
    const int states = 1 << m->n;
    double next[1 << MOST];
    for (int a = 0; a < states; a++) law[a] = 1.0 / states;
    for (int64_t step = 0; step < sweeps * m->n; step++) {
        memset(next, 0, sizeof next);
        for (int64_t k = 0; k < (visit ? 1 : m->n); k++) {
            const int64_t i = visit ? visit[step % m->n] : k;
            for (int a = 0; a < states; a++) {
                int8_t s[MOST];
                for (int64_t j = 0; j < m->n; j++) s[j] = a >> j & 1 ? 1 : -1;
                const double p = flip_chance(m, s, i, rule, temperature), share = visit ? law[a] : law[a] / (double)m->n;
                next[a ^ 1 << i] += share * p;
                next[a] += share * (1 - p);
            }
        }
        memcpy(law, next, (size_t)states * sizeof *law);
    }
}

/* Chi-square of `total` draws, rare states together; the bound is that of p = 1e-7 (Wilson and Hilferty 1931). */
static void check_counts(const int *count, const double *law, int states, int total, const char *what) {
    double chi = 0, rare = 0, rare_law = 0;
    int cells = 0;
    for (int a = 0; a < states; a++) {
        const double expected = total * law[a], miss = count[a] - expected;
        if (expected < 10) {
            rare += count[a];
            rare_law += expected;
            continue;
        }
        chi += miss * miss / expected;
        cells++;
    }
    if (rare_law >= 1) {
        chi += (rare - rare_law) * (rare - rare_law) / rare_law;
        cells++;
    }
    const double k = cells - 1, bound = k * pow(1 - 2 / (9 * k) + 5.2 * sqrt(2 / (9 * k)), 3);
    CHECK(cells > 4 && chi < bound, "%s: chi-square %.1f of %d cells", what, chi, cells);
}

static void colours(const pn_couplings *m, int32_t *visit) {
    pn_graph graph;
    pn_error e;
    CHECK(pn_graph_open(&graph, m, &e) == PN_OK && pn_graph_colours(&graph, m->n, visit, &e) == PN_OK);
    pn_graph_close(&graph);
}

/* The final states of `runs` engines of `replicas` chains. */
static void check_law(const pn_couplings *m, const char *name, pn_rule rule, pn_order order, int replicas, int runs) {
    double law[1 << MOST];
    int count[1 << MOST] = {0};
    char what[200];
    const uint64_t seed = fresh_seed();
    const bool random = order == PN_ORDER_RANDOM || (order == PN_ORDER_ANY && rule == PN_RULE_LECTURE);
    const double temperature = 1.5;
    int32_t visit[MOST] = {0, 1, 2, 3, 4};
    if (order == PN_ORDER_CHECKERBOARD) colours(m, visit);
    exact_law(m, rule, random ? NULL : visit, temperature, SWEEPS, law);
    for (int run = 0; run < runs; run++) {
        const pn_task task = {.method = PN_METHOD_SINGLE, .rule = rule, .order = order, .replicas = replicas, .seed = seed + (uint64_t)run};
        pn_engine *g = engine(m, name, &task);
        sweep(g, SWEEPS, temperature);
        for (int r = 0; r < replicas; r++) {
            int8_t s[MOST];
            int state = 0;
            g->type->get(g, r, s);
            for (int64_t k = 0; k < m->n; k++) state |= (s[k] > 0) << k;
            count[state]++;
        }
        pn_engine_close(g);
    }
    snprintf(what, sizeof what, "%s, %s, %s, %d replicas, seed %llu", name, rule_names[rule], order_names[order], replicas, (unsigned long long)seed);
    check_counts(count, law, 1 << m->n, runs * replicas, what);
}

static void check_laws(const char *name, double density) {
    pn_couplings *m = model(MOST, density, false, 1.2, 5), *whole = model(MOST, density, true, 1, 9);
    for (int rule = 0; rule < 3; rule++) {
        for (int order = 0; order < 4; order++) {
            check_law(m, name, (pn_rule)rule, (pn_order)order, 4000, 4);
            check_law(m, name, (pn_rule)rule, (pn_order)order, 3, 3000);
            check_law(whole, name, (pn_rule)rule, (pn_order)order, 4000, 2);
        }
    }
    pn_couplings_free(m);
    pn_couplings_free(whole);
}
TEST(dense_fields_sample_the_law) { check_laws("dense_fields", 1); }
TEST(sparse_fields_sample_the_law) { check_laws("sparse_fields", 0.7); }

/* Replicas of one group at temperatures of their own. */
TEST(each_replica_has_its_temperature) {
    static const char *const names[] = {"dense_fields", "sparse_fields"};
    pn_couplings *m = model(MOST, 1, false, 1, 3);
    for (int k = 0; k < 2; k++) {
        const pn_task task = {.method = PN_METHOD_SINGLE, .rule = PN_RULE_GLAUBER, .replicas = 64, .own_temperatures = true, .seed = fresh_seed()};
        int count[2][1 << MOST] = {{0}};
        double t[16], law[1 << MOST];
        for (int r = 0; r < 16; r++) t[r] = r & 1 ? 2 : 0.7;
        pn_engine *g = engine(m, names[k], &task);
        for (int round = 0; round < 100; round++) {
            for (int64_t group = 0; group < g->groups; group++) sweep_group(g, group, 30, t);
            for (int r = 0; r < 64; r++) {
                int8_t s[MOST];
                int state = 0;
                g->type->get(g, r, s);
                for (int i = 0; i < MOST; i++) state |= (s[i] > 0) << i;
                count[r % g->per_group & 1][state]++;
            }
        }
        for (int warm = 0; warm < 2; warm++) {
            exact_law(m, PN_RULE_GLAUBER, NULL, t[warm], 1000, law);
            check_counts(count[warm], law, 1 << MOST, 3200, names[k]);
        }
        pn_engine_close(g);
    }
    pn_couplings_free(m);
}

/* ---- energies ---- */

static void check_energies(pn_engine *g, double tolerance, const char *what) {
    int8_t *s = pn_alloc((size_t)g->m->n);
    double energy[16], sum[16];
    for (int64_t group = 0; group < g->groups; group++) {
        g->type->measure(g, group, energy, sum);
        for (int64_t r = 0; r < pn_engine_group_size(g, group); r++) {
            int64_t total = 0;
            g->type->get(g, group * g->per_group + r, s);
            for (int64_t i = 0; i < g->m->n; i++) total += s[i];
            const double right = pn_couplings_energy(g->m, s);
            CHECK(fabs(energy[r] - right) <= tolerance * fabs(right), "%s: got %.17g, want %.17g", what, energy[r], right);
            CHECK(sum[r] == (double)total, "%s", what);
        }
    }
    pn_free(s);
}

TEST(energies_are_tracked) {
    static const struct {
        const char *name;
        int64_t n;
        double density, scale;
        int replicas;
    } cases[] = {{"dense_fields", 100, 1, 1, 9},      {"dense_fields", 67, 0.6, 1e-3, 3},   {"sparse_fields", 200, 0.03, 1, 20},
                 {"sparse_fields", 77, 0.1, 1, 5},    {"sparse_fields", 1, 0, 1, 17},       {"dense_fields", 1, 1, 1, 2},
                 {"dense_fields", 16, 1, 1e-250, 16}, {"sparse_fields", 33, 0.5, 1e290, 8}, {"sparse_fields", 33, 0.5, 1e290, 2}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (int whole = 0; whole < 2; whole++) {
            pn_couplings *m = model(cases[c].n, cases[c].density, whole, cases[c].scale, c);
            for (int order = 0; order < 4; order++) {
                const pn_task task = {.method = PN_METHOD_SINGLE, .order = (pn_order)order, .replicas = cases[c].replicas, .seed = c};
                pn_engine *g = engine(m, cases[c].name, &task);
                const double t = whole ? 3 : cases[c].scale;
                check_energies(g, whole ? 0 : 1e-12, cases[c].name);
                for (int k = 0; k < 3; k++) {
                    sweep(g, 300, t);
                    check_energies(g, whole ? 0 : 1e-12, cases[c].name);
                }
                CHECK(g->accepted[0] > 0 && (m->n == 1 || g->accepted[0] < g->proposed[0]), "%s %d", cases[c].name, (int)c);
                uint64_t proposed = 0;
                for (int64_t i = 0; i < g->groups; i++) proposed += g->proposed[i];
                CHECK(proposed == (uint64_t)(900 * m->n * task.replicas), "%llu", (unsigned long long)proposed);
                pn_engine_close(g);
            }
            pn_couplings_free(m);
        }
    }
}

/* ---- the same numbers ---- */

static uint64_t digest(const pn_engine *g) {
    uint64_t hash = 0;
    int8_t *s = pn_alloc((size_t)g->m->n);
    for (int64_t r = 0; r < g->task.replicas; r++) {
        g->type->get(g, r, s);
        for (int64_t i = 0; i < g->m->n; i++) hash = pn_hash64(hash, (uint64_t)(s[i] + 1));
    }
    for (int64_t i = 0; i < g->n_streams; i++) hash = pn_hash64(hash, g->streams[i]);
    pn_free(s);
    return hash;
}

TEST(every_instruction_set_goes_the_same_way) {
    const pn_isa best = pn_kernels_get()->isa;
    for (int k = 0; k < 2; k++) {
        const char *name = k ? "sparse_fields" : "dense_fields";
        pn_couplings *m = model(120, k ? 0.05 : 1, false, 1, 8);
        for (int rule = 0; rule < 3; rule++) {
            for (int order = 1; order < 4; order++) {
                uint64_t first = 0;
                for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
                    for (int backwards = 0; backwards < 2; backwards++) {
                        const pn_task task = {.method = PN_METHOD_SINGLE, .rule = (pn_rule)rule, .order = (pn_order)order, .replicas = 37, .seed = 4};
                        double t[16];
                        if (!pn_kernels_select((pn_isa)isa)) continue;
                        pn_engine *g = engine(m, name, &task);
                        for (int i = 0; i < 16; i++) t[i] = k ? 1 : 4;
                        for (int64_t q = 0; q < g->groups; q++) sweep_group(g, backwards ? g->groups - 1 - q : q, 100, t);
                        if (!first) first = digest(g);
                        CHECK(digest(g) == first, "%s %s %s, instruction set %d", name, rule_names[rule], order_names[order], isa);
                        pn_engine_close(g);
                    }
                }
            }
        }
        pn_couplings_free(m);
    }
    CHECK(pn_kernels_select(best));
}

TEST(lattices_are_lists_of_neighbours) {
    const int64_t side[3] = {4, 5, 3};
    const bool periodic[3] = {true, false, true};
    pn_couplings *m = NULL;
    pn_error e;
    CHECK(pn_couplings_lattice(&m, 3, side, periodic, -0.7, NULL, NULL, &e) == PN_OK);
    const pn_task task = {.method = PN_METHOD_SINGLE, .order = PN_ORDER_CHECKERBOARD, .replicas = 10, .seed = 1};
    pn_engine *g = engine(m, "sparse_fields", &task);
    sweep(g, 100, 1.5);
    check_energies(g, 1e-12, "lattice");
    pn_engine_close(g);
    pn_couplings_free(m);
}

/* ---- failures ---- */

TEST(failures_of_memory) {
    static const char *const names[] = {"dense_fields", "sparse_fields"};
    for (int k = 0; k < 2; k++) {
        pn_couplings *m = model(20, 1, false, 1, 2);
        const pn_task task = {.method = PN_METHOD_SINGLE, .order = PN_ORDER_CHECKERBOARD, .replicas = 5, .seed = 1};
        const int64_t live = pn_alloc_live_count();
        int at = 1;
        for (;; at++) {
            pn_engine *g = NULL;
            pn_error e = {0};
            pn_alloc_fail_at(at, true);
            const pn_status status = pn_engine_open(&g, m, &task, names[k], &e);
            const bool failed = pn_alloc_failures() > 0;
            pn_alloc_fail_at(0, false);
            pn_engine_close(g);
            CHECK(pn_alloc_live_count() == live, "%s %d", names[k], at);
            CHECK(status == (failed ? PN_E_MEMORY : PN_OK) && (!failed || e.text[0]), "%s %d", names[k], at);
            if (!failed) break;
        }
        CHECK(at > 8, "%d", at);
        pn_couplings_free(m);
    }
}
