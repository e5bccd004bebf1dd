/* The engines that sweep many spins at a time, against enumeration, against sums over all bonds, and against themselves on other instruction sets. */
#include "base/rng.h"
#include "energy/engine.h"
#include "kernels/kernels.h"
#include "test.h"

/* A model to be sampled, and by what. Rank 0: a graph of side[0] spins, of whose pairs side[1] per cent are coupled by -2, -1, 1 or 2, with fields when side[2]. */
typedef struct model {
    const char *engine;
    int rank;
    int64_t side[3];
    bool open[3];
    double coupling;
    bool signs;
} model;

static const model small[] = {
    {"lattice_bits", 2, {4, 4}, {0}, 1, false},
    {"lattice_bits", 2, {4, 4}, {0}, -1, true},
    {"lattice_bits", 2, {4, 6}, {0}, 1, false},
    {"lattice_bits", 1, {10}, {0}, 1, false},
    {"lattice_bits", 1, {12}, {0}, 1, true},
    {"lattice_bits", 1, {9}, {1}, 1, false},
    {"lattice_bits", 2, {2, 5}, {1, 1}, 1, false},
    {"lattice_bits", 2, {3, 3}, {1, 1}, -1, true},
    {"lattice_bits", 2, {3, 4}, {1, 0}, 1, true},
    {"lattice_bits", 2, {4, 3}, {0, 1}, 1, false},
    {"lattice_bits", 3, {2, 2, 4}, {1, 1, 0}, 1, true},
    {"lattice_bits", 3, {4, 2, 2}, {0, 1, 1}, 1, false},
    {"lattice_bits", 3, {2, 4, 2}, {1, 0, 1}, 1, true},
    {"lattice_bits", 3, {2, 3, 3}, {1, 1, 1}, 1, false},
    {"replica_bytes", 2, {4, 4}, {0}, 1, false},
    {"replica_bytes", 2, {3, 4}, {0, 1}, 1, true},
    {"replica_bytes", 0, {11, 60, 0}, {0}, 1, true},
    {"replica_bytes", 0, {12, 40, 1}, {0}, 1, true},
    {"replica_bytes", 0, {9, 100, 1}, {0}, 1, true},
    {"replica_bytes", 1, {7}, {0}, 1, false},
};
static const model large[] = {
    {"lattice_bits", 2, {10, 10}, {0}, 1, false},        {"lattice_bits", 2, {64, 64}, {0}, 1, true},
    {"lattice_bits", 2, {70, 34}, {0}, -1, false},       {"lattice_bits", 2, {6, 1030}, {0}, 1, true},
    {"lattice_bits", 2, {130, 256}, {0}, 2.5, false},    {"lattice_bits", 1, {20000}, {0}, 1, true},
    {"lattice_bits", 3, {4, 4, 4}, {0}, 1, false},       {"lattice_bits", 3, {6, 10, 14}, {0}, 1, true},
    {"lattice_bits", 3, {32, 32, 32}, {0}, 1, true},     {"lattice_bits", 2, {61, 83}, {1, 1}, 1, true},
    {"lattice_bits", 3, {9, 12, 7}, {1, 0, 1}, 1, true}, {"lattice_bits", 3, {8, 7, 10}, {0, 1, 0}, -1, false},
    {"replica_bytes", 2, {9, 11}, {0}, 1, true},         {"replica_bytes", 0, {300, 8, 1}, {0}, 1, true},
    {"replica_bytes", 0, {83, 55, 0}, {0}, 1, true},     {"replica_bytes", 3, {15, 20, 17}, {0}, 1, true},
};
#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

static pn_couplings *graph_of(const model *d) {
    const int64_t n = d->side[0];
    int64_t *start = pn_alloc((size_t)(n + 1) * sizeof *start), at = 0;
    int32_t *to = pn_alloc((size_t)(n * n) * sizeof *to);
    double *weight = pn_alloc((size_t)(n * n) * sizeof *weight), *field = pn_alloc((size_t)n * sizeof *field);
    static const double weights[] = {-2, -1, 1, 2};
    for (int64_t i = 0; i < n; i++) {
        start[i] = at;
        field[i] = (double)(pn_hash64(5, (uint64_t)i) % 7) - 3;
        for (int64_t j = 0; j < n; j++) {
            const uint64_t pair = pn_hash64(9, (uint64_t)(i < j ? i * n + j : j * n + i));
            if (i == j || (int64_t)(pair % 100) >= d->side[1]) continue;
            to[at] = (int32_t)j;
            weight[at++] = weights[pair >> 60 & 3];
        }
    }
    start[n] = at;
    pn_couplings *m = NULL;
    pn_error e = {0};
    CHECK(!pn_couplings_rows(&m, n, start, to, weight, d->side[2] ? field : NULL, &e), "%s", e.text);
    pn_free(start);
    pn_free(to);
    pn_free(weight);
    pn_free(field);
    return m;
}

static pn_couplings *couplings_of(const model *d) {
    if (!d->rank) return graph_of(d);
    bool periodic[3];
    int64_t n = 1;
    for (int a = 0; a < d->rank; a++) {
        periodic[a] = !d->open[a];
        n *= d->side[a];
    }
    int8_t *sign = pn_alloc((size_t)(3 * n));
    for (int64_t i = 0; i < d->rank * n; i++) sign[i] = pn_hash64(17, (uint64_t)i) & 1 ? 1 : -1;
    pn_couplings *m = NULL;
    pn_error e = {0};
    CHECK(!pn_couplings_lattice(&m, d->rank, d->side, periodic, d->coupling, d->signs ? sign : NULL, NULL, &e), "%s", e.text);
    pn_free(sign);
    return m;
}

static pn_engine *engine_of(const pn_couplings *m, const char *name, pn_rule rule, int64_t replicas, uint64_t seed) {
    const pn_task task = {.method = PN_METHOD_SINGLE, .rule = rule, .order = PN_ORDER_ANY, .replicas = replicas, .seed = seed};
    pn_engine *g = NULL;
    pn_error e = {0};
    CHECK(!pn_engine_open(&g, m, &task, name, &e), "%s", e.text);
    return g;
}

static void put_random(pn_engine *g, int64_t replica, uint64_t seed) {
    int8_t *s = pn_alloc((size_t)g->m->n);
    for (int64_t i = 0; i < g->m->n; i++) s[i] = pn_hash64(pn_hash64(seed, (uint64_t)replica), (uint64_t)i) >> 40 & 1 ? 1 : -1;
    g->type->put(g, replica, s);
    pn_free(s);
}

/* One sweep of all groups at temperature T, pieces in one order or the other. */
static void sweep(pn_engine *g, double T, bool backwards) {
    double *t = pn_alloc((size_t)g->per_group * sizeof *t);
    for (int64_t i = 0; i < g->per_group; i++) t[i] = T;
    for (int64_t group = 0; group < g->groups; group++) {
        for (int64_t phase = 0; phase < g->phases; phase++) {
            for (int64_t i = 0; i < g->parts; i++) g->type->run(g, group, t, phase, backwards ? g->parts - 1 - i : i);
        }
    }
    pn_free(t);
}

/* ---- against enumeration ---- */

#define LEVELS 256 /* of the energy, in units of the coupling */
#define SPINS 32

/* The law of (E / |J|, number of spins up), by Gray code. */
static void enumerate(const pn_couplings *m, double T, double law[LEVELS][SPINS]) {
    int8_t s[SPINS];
    int64_t up = 0;
    double total = 0, unit = m->rank ? fabs(m->coupling) : 1;
    memset(law, 0, LEVELS * SPINS * sizeof(double));
    for (int64_t i = 0; i < m->n; i++) s[i] = -1;
    double energy = pn_couplings_energy(m, s);
    for (uint64_t k = 1;; k++) {
        const double weight = exp(-energy / T);
        law[(int)lrint(energy / unit) + LEVELS / 2][up] += weight;
        total += weight;
        if (k >> m->n) break;
        const int i = __builtin_ctzll(k);
        energy += 2 * s[i] * pn_local_field(m, s, i);
        s[i] = (int8_t)-s[i];
        up += s[i];
    }
    double *cell = law[0];
    for (int i = 0; i < LEVELS * SPINS; i++) cell[i] /= total;
}

/* Chi-square of counts against a law, rare cells taken together, as a number of standard deviations (Wilson and Hilferty). */
static double surprise(double law[LEVELS][SPINS], const double *counts, double samples) {
    const double *cell = law[0];
    double chi = 0, rare_law = 0, rare_counts = 0;
    int cells = 0;
    for (int i = 0; i < LEVELS * SPINS; i++) {
        const double expected = cell[i] * samples;
        if (expected < 20) {
            rare_law += expected;
            rare_counts += counts[i];
        } else {
            chi += (counts[i] - expected) * (counts[i] - expected) / expected;
            cells++;
        }
    }
    if (rare_law > 5) {
        chi += (rare_counts - rare_law) * (rare_counts - rare_law) / rare_law;
        cells++;
    }
    const double f = cells - 1, a = 2 / (9 * f);
    return f < 1 ? 0 : (cbrt(chi / f) - (1 - a)) / sqrt(a);
}

#define REPLICAS 600
#define RECORDS 30

/* law: that of m at T */
static double surprise_of(const model *d, const pn_couplings *m, double law[LEVELS][SPINS], pn_rule rule, double T, uint64_t seed) {
    static double counts[LEVELS * SPINS];
    const double unit = m->rank ? fabs(m->coupling) : 1;
    pn_engine *g = engine_of(m, d->engine, rule, REPLICAS, seed);
    double *energy = pn_alloc((size_t)g->per_group * sizeof(double)), *sum = pn_alloc((size_t)g->per_group * sizeof(double));
    memset(counts, 0, sizeof counts);
    for (int64_t r = 0; r < REPLICAS; r++) put_random(g, r, seed);
    for (int i = 0; i < 40; i++) sweep(g, T, false);
    for (int k = 0; k < RECORDS; k++) {
        for (int i = 0; i < 12; i++) sweep(g, T, false);
        for (int64_t group = 0; group < g->groups; group++) {
            g->type->measure(g, group, energy, sum);
            for (int64_t r = 0; r < pn_engine_group_size(g, group); r++)
                counts[((int)lrint(energy[r] / unit) + LEVELS / 2) * SPINS + (int)(sum[r] + (double)m->n) / 2]++;
        }
    }
    const double result = surprise(law, counts, REPLICAS * RECORDS);
    pn_free(energy);
    pn_free(sum);
    pn_engine_close(g);
    return result;
}

TEST(samples_follow_the_boltzmann_distribution) {
    static double law[LEVELS][SPINS];
    const uint64_t seed = (uint64_t)(pn_clock() * 1e9);
    for (int i = 0; i < COUNT(small); i++) {
        const model *d = &small[i];
        pn_couplings *m = couplings_of(d);
        enumerate(m, 3.5, law);
        for (int rule = d->rank == 1; rule < 2; rule++) {
            const double z = surprise_of(d, m, law, (pn_rule)rule, 3.5, seed);
            CHECK(z < 5.2, "%s %lld x %lld x %lld rule %d, seed %llu: %.2f sigma", d->engine, (long long)d->side[0], (long long)d->side[1],
                  (long long)d->side[2], rule, (unsigned long long)seed, z);
        }
        /* The lecture's rule has another stationary law, which the test can tell. */
        if (i < 3) CHECK(surprise_of(d, m, law, PN_RULE_LECTURE, 3.5, seed) > 20);
        pn_couplings_free(m);
    }
}

/* ---- bookkeeping ---- */

static void check_books(const model *d, pn_rule rule) {
    pn_couplings *m = couplings_of(d);
    pn_engine *g = engine_of(m, d->engine, rule, 16, 11);
    int8_t *s = pn_alloc((size_t)m->n);
    double energy[64] = {0}, sum[64] = {0};
    for (int64_t r = 0; r < 16; r++) put_random(g, r, 5);
    for (int k = 0; k < 6; k++) {
        if (k) sweep(g, 0.7 + k, false);
        for (int64_t r = 0; r < 16; r++) {
            int64_t total = 0;
            const int64_t group = r / g->per_group, at = r % g->per_group;
            g->type->get(g, r, s);
            g->type->measure(g, group, energy, sum);
            for (int64_t i = 0; i < m->n; i++) total += s[i];
            CHECK(energy[at] == pn_couplings_energy(m, s), "%s of %lld spins: %g is %g", d->engine, (long long)m->n, energy[at], pn_couplings_energy(m, s));
            CHECK(sum[at] == (double)total);
        }
    }
    uint64_t proposed = 0, accepted = 0;
    for (int64_t i = 0; i < g->groups * g->parts; i++) {
        proposed += g->proposed[i];
        accepted += g->accepted[i];
    }
    CHECK(proposed == 80 * (uint64_t)m->n && accepted > 0 && accepted < proposed);
    pn_free(s);
    pn_engine_close(g);
    pn_couplings_free(m);
}

TEST(energies_are_exact_after_every_sweep) {
    for (int i = 0; i < COUNT(small); i++) check_books(&small[i], PN_RULE_GLAUBER);
    for (int i = 0; i < COUNT(large); i++) check_books(&large[i], large[i].rank > 1 ? PN_RULE_METROPOLIS : PN_RULE_GLAUBER);
}

TEST(cold_spins_never_gain_energy) {
    for (int i = 0; i < COUNT(large); i++) {
        pn_couplings *m = couplings_of(&large[i]);
        pn_engine *g = engine_of(m, large[i].engine, large[i].rank > 1 ? PN_RULE_METROPOLIS : PN_RULE_GLAUBER, 16, 3);
        double energy[64], before, sum[64];
        for (int64_t r = 0; r < 16; r++) put_random(g, r, 8);
        g->type->measure(g, 0, energy, sum);
        for (int k = 0; k < 20; k++) {
            before = energy[0];
            sweep(g, 1e-3, false);
            g->type->measure(g, 0, energy, sum);
            CHECK(energy[0] <= before);
        }
        pn_engine_close(g);
        pn_couplings_free(m);
    }
}

/* ---- the same bits ---- */

static uint64_t trajectory(const model *d, pn_rule rule, bool backwards) {
    pn_couplings *m = couplings_of(d);
    pn_engine *g = engine_of(m, d->engine, rule, 19, 21);
    int8_t *s = pn_alloc((size_t)m->n);
    uint64_t digest = 0;
    for (int64_t r = 0; r < 19; r++) put_random(g, r, 2);
    for (int k = 0; k < 12; k++) sweep(g, 1.5 + 0.25 * k, backwards);
    for (int64_t r = 0; r < 19; r++) {
        g->type->get(g, r, s);
        for (int64_t i = 0; i < m->n; i++) digest = digest * 0x9E3779B97F4A7C15u + (uint64_t)(s[i] + 2);
    }
    pn_free(s);
    pn_engine_close(g);
    pn_couplings_free(m);
    return digest;
}

TEST(bits_do_not_depend_on_instruction_set_or_order_of_pieces) {
    const pn_isa best = pn_kernels_get()->isa;
    for (int i = 0; i < COUNT(large); i++) {
        const pn_rule rule = i % 2 || large[i].rank == 1 ? PN_RULE_GLAUBER : PN_RULE_METROPOLIS;
        pn_kernels_select(PN_ISA_PORTABLE);
        const uint64_t want = trajectory(&large[i], rule, false);
        for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
            if (pn_kernels_select((pn_isa)isa)) CHECK(trajectory(&large[i], rule, isa & 1) == want, "model %d, %s", i, pn_isa_name((pn_isa)isa));
        }
        pn_kernels_select(best);
    }
}

/* Replicas of one group at temperatures of their own do what they do at a common one. */
TEST(replicas_have_their_own_temperatures) {
    const model *d = &large[COUNT(large) - 3];
    pn_couplings *m = couplings_of(d);
    double energy[2][64], sum[64], T[64];
    for (int own = 0; own < 2; own++) {
        const pn_task task = {.method = PN_METHOD_SINGLE, .replicas = 64, .own_temperatures = own, .seed = 4};
        pn_engine *g = NULL;
        pn_error e = {0};
        CHECK(!pn_engine_open(&g, m, &task, "replica_bytes", &e), "%s", e.text);
        for (int r = 0; r < 64; r++) put_random(g, r, 3);
        for (int k = 0; k < 9; k++) {
            for (int r = 0; r < 64; r++) T[r] = own && r >= 32 && k > 4 ? 40.0 : 5.0; /* a warmer half draws other numbers only where ties are decided */
            for (int64_t phase = 0; phase < g->phases; phase++) g->type->run(g, 0, T, phase, 0);
            if (k == 4) g->type->measure(g, 0, energy[own], sum);
        }
        if (own) {
            double cold = 0, warm = 0;
            CHECK(!memcmp(energy[0], energy[1], sizeof energy[0]));
            g->type->measure(g, 0, energy[1], sum);
            for (int r = 0; r < 32; r++) {
                cold += energy[1][r] / 32;
                warm += energy[1][32 + r] / 32;
            }
            CHECK(cold < 1.5 * warm && warm < 0, "%g %g", cold, warm);
        }
        pn_engine_close(g);
    }
    pn_couplings_free(m);
}

/* ---- physics ---- */

/* Onsager 1944 and Yang 1952 at T = 2: E / N = -1.7455647, |m| = 0.9113194. */
TEST(the_square_lattice_at_temperature_2) {
    const model d = {"lattice_bits", 2, {128, 128}, {0}, 1, false};
    pn_couplings *m = couplings_of(&d);
    pn_engine *g = engine_of(m, d.engine, PN_RULE_METROPOLIS, 1, (uint64_t)(pn_clock() * 1e9));
    int8_t *s = pn_alloc((size_t)m->n);
    memset(s, 1, (size_t)m->n);
    g->type->put(g, 0, s);
    double energy, sum, energies = 0, sums = 0;
    for (int k = -500; k < 8000; k++) {
        sweep(g, 2.0, false);
        g->type->measure(g, 0, &energy, &sum);
        if (k >= 0) energies += energy / (double)m->n / 8000;
        if (k >= 0) sums += fabs(sum) / (double)m->n / 8000;
    }
    CHECK(fabs(energies + 1.7455647) < 1.2e-3, "%g", energies);
    CHECK(fabs(sums - 0.9113194) < 1.2e-3, "%g", sums);
    pn_free(s);
    pn_engine_close(g);
    pn_couplings_free(m);
}

/* ---- refusals ---- */

TEST(engines_survive_every_failed_allocation) {
    for (int i = 0; i < COUNT(large); i += 2) {
        pn_couplings *m = couplings_of(&large[i]);
        const pn_task task = {.method = PN_METHOD_SINGLE, .rule = PN_RULE_GLAUBER, .replicas = 17, .seed = 1};
        for (int64_t k = 1;; k++) {
            pn_engine *g = NULL;
            pn_error e = {0};
            pn_alloc_fail_at(k, false);
            const pn_status status = pn_engine_open(&g, m, &task, large[i].engine, &e);
            const int64_t failures = pn_alloc_failures();
            pn_alloc_fail_at(0, false);
            CHECK(status == (failures ? PN_E_MEMORY : PN_OK));
            pn_engine_close(g);
            if (!failures) break;
        }
        pn_couplings_free(m);
    }
}

TEST(tasks_that_are_not_for_it) {
    const model odd = {"lattice_bits", 2, {5, 6}, {0}, 1, false};
    pn_couplings *m = couplings_of(&odd);
    pn_engine *g = NULL;
    pn_error e = {0};
    pn_task task = {.method = PN_METHOD_SINGLE, .replicas = 1};
    CHECK(pn_engine_open(&g, m, &task, "lattice_bits", &e) == PN_E_VALUE && strstr(e.text, "lattice_bits"));
    pn_couplings_free(m);
    m = couplings_of(&small[3]); /* a ring: Metropolis by colours would not reach all states */
    CHECK(pn_engine_open(&g, m, &task, "lattice_bits", &e) == PN_E_VALUE);
    pn_couplings_free(m);
    m = couplings_of(&small[0]);
    task.order = PN_ORDER_SEQUENTIAL;
    CHECK(pn_engine_open(&g, m, &task, "lattice_bits", &e) == PN_E_VALUE);
    pn_couplings_free(m);
}
