/* Enumeration and transition matrices: against sums over states written out, stopped, refused, without memory. */
#include "base/rng.h"
#include "energy/enumerate.h"
#include "energy/transition.h"
#include "test.h"

#define N 13

/* Couplings of N spins, every other pair; whole or not, with a field or not. */
static pn_couplings *make(bool whole, bool field) {
    int64_t start[N + 1] = {0};
    int32_t to[N * N];
    double weight[N * N], h[N];
    pn_error e;
    pn_couplings *m = NULL;
    int64_t at = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            if (i == j || (i + j) % 2) continue;
            to[at] = j;
            weight[at++] = whole ? 1 + (i * j) % 3 : 0.3 + 0.17 * (i + j);
        }
        start[i + 1] = at;
        h[i] = whole ? i % 3 - 1 : 0.1 * i;
    }
    CHECK(pn_couplings_rows(&m, N, start, to, weight, field ? h : NULL, &e) == PN_OK, "%s", e.text);
    return m;
}

static double energy_of(const pn_couplings *m, int64_t code, int8_t *s) {
    for (int i = 0; i < m->n; i++) s[i] = code >> (m->n - 1 - i) & 1 ? 1 : -1;
    return pn_couplings_energy(m, s);
}

static pn_enumerate_range all(const pn_enumeration *w, int threads) { return (pn_enumerate_range){.from = 0, .to = w->steps, .threads = threads}; }

TEST(energies_of_all_states) {
    static double out[1 << N];
    int8_t s[N];
    pn_error e;
    for (int kind = 0; kind < 4; kind++) {
        pn_couplings *m = make(kind & 1, kind & 2);
        pn_enumeration w;
        CHECK(pn_enumeration_make(&w, m, kind & 1, &e) == PN_OK, "%s", e.text);
        CHECK(w.mirrored == !(kind & 2));
        const pn_enumerate_range r = all(&w, 3);
        CHECK(pn_enumerate_energies(out, &w, &r, &e) == PN_OK);
        for (int64_t code = 0; code < 1 << N; code++) CHECK_CLOSE(out[code], energy_of(m, code, s), kind & 1 ? 0 : 1e-13);
        pn_couplings_free(m);
    }
}

TEST(levels_and_ground_states) {
    static int64_t counts[PN_ENUMERATE_PARTS * 1024], wanted[1024];
    static double extent[2 * PN_ENUMERATE_PARTS];
    int64_t at[PN_ENUMERATE_PARTS] = {0}, found = 0;
    uint32_t codes[PN_ENUMERATE_PARTS][4];
    int8_t s[N];
    pn_error e;
    pn_couplings *m = make(true, true);
    pn_enumeration w;
    CHECK(pn_enumeration_make(&w, m, 1, &e) == PN_OK && w.bins <= 1024);
    const pn_enumerate_range r = all(&w, 2);
    for (int p = 0; p < w.parts; p++) extent[2 * p] = 1e9, extent[2 * p + 1] = -1e9;
    CHECK(pn_enumerate_levels(extent, counts, &w, &r, &e) == PN_OK);
    double lowest = 1e9;
    for (int p = 0; p < w.parts; p++) lowest = fmin(lowest, extent[2 * p]);
    for (int64_t code = 0; code < 1 << N; code++) wanted[(int)((energy_of(m, code, s) + w.total) / 2)]++;
    for (int64_t b = 0; b < w.bins; b++) {
        int64_t sum = 0;
        for (int p = 0; p < w.parts; p++) sum += counts[p * w.bins + b];
        CHECK(sum == wanted[b], "level %lld: %lld states", (long long)b, (long long)sum);
    }
    CHECK(pn_enumerate_below(at, codes[0], 4, lowest, &w, &r, &e) == PN_OK);
    for (int p = 0; p < w.parts; p++) {
        found += at[p];
        for (int64_t k = 0; k < at[p] && k < 4; k++) CHECK(energy_of(m, codes[p][k], s) == lowest);
    }
    CHECK(found == wanted[(int)((lowest + w.total) / 2)]);
    CHECK(pn_enumerate_below(at, codes[0], 4, 1e9, &w, &r, &e) == PN_OK); /* more than there is room for: counted, not stored */
    pn_couplings_free(m);
}

TEST(an_enumeration_stops) {
    static double out[1 << N];
    pn_error e;
    pn_couplings *m = make(false, true);
    pn_enumeration w;
    CHECK(pn_enumeration_make(&w, m, 0, &e) == PN_OK);
    pn_poll poll;
    pn_poll_init(&poll, NULL, NULL);
    atomic_store(&poll.stop, 1);
    pn_enumerate_range r = all(&w, 2);
    r.poll = &poll;
    CHECK(pn_enumerate_energies(out, &w, &r, &e) == PN_E_INTERRUPTED);
    pn_couplings *ring = NULL;
    CHECK(pn_couplings_lattice(&ring, 1, (int64_t[]){5, 1, 1}, (bool[]){true, false, false}, 1, NULL, NULL, &e) == PN_OK);
    const pn_transition t = {.temperature = 1, .proposed = 1};
    CHECK(pn_transition_matrix(out, ring, &t, &poll, &e) == PN_E_INTERRUPTED);
    pn_couplings_free(ring);
    pn_couplings_free(m);
}

TEST(what_is_refused) {
    static double sums[PN_ENUMERATE_PARTS * 8192];
    int64_t at[PN_ENUMERATE_PARTS] = {-1};
    pn_error e;
    pn_couplings *m = make(false, true), *large = NULL;
    pn_enumeration w;
    CHECK(pn_enumeration_make(&w, m, 1, &e) == PN_E_VALUE && strstr(e.text, "whole multiples"));
    CHECK(pn_enumeration_make(&w, m, -1, &e) == PN_E_VALUE && pn_enumeration_make(&w, m, NAN, &e) == PN_E_VALUE);
    CHECK(pn_enumeration_make(&w, m, 0, &e) == PN_OK);
    CHECK(w.parts * pn_enumerate_sums_size(&w) <= (int64_t)(sizeof sums / sizeof *sums));
    const pn_enumerate_range before = {.from = -1, .to = 1}, behind = {.from = 0, .to = w.steps + 1}, turned = {.from = 1, .to = 0}, good = all(&w, 1);
    CHECK(pn_enumerate_weights(sums, 0, 1, &w, &before, &e) == PN_E_VALUE);
    CHECK(pn_enumerate_weights(sums, 0, 1, &w, &behind, &e) == PN_E_VALUE);
    CHECK(pn_enumerate_weights(sums, 0, 1, &w, &turned, &e) == PN_E_VALUE);
    CHECK(pn_enumerate_weights(sums, 0, 1, &w, &good, &e) == PN_OK);
    CHECK(pn_enumerate_below(at, NULL, 0, 0, &w, &good, &e) == PN_E_VALUE);
    CHECK(pn_couplings_lattice(&large, 1, (int64_t[]){31, 1, 1}, (bool[]){true, false, false}, 1, NULL, NULL, &e) == PN_OK);
    CHECK(pn_enumeration_make(&w, large, 0, &e) == PN_E_VALUE && strstr(e.text, "at most 30 spins, got 31"));
    pn_couplings_free(large);
    pn_couplings_free(m);
}

TEST(transition_matrices) {
    double p[256], twice[256];
    int32_t order[] = {0, 1, 2, 3}, bad[] = {0, 4};
    int64_t side[] = {4, 1, 1};
    bool periodic[] = {true, false, false};
    pn_error e;
    pn_couplings *m = NULL;
    CHECK(pn_couplings_lattice(&m, 1, side, periodic, 1, NULL, NULL, &e) == PN_OK);
    pn_transition t = {.rule = PN_RULE_LECTURE, .temperature = 2, .proposed = 0.5};
    CHECK(pn_transition_matrix(p, m, &t, NULL, &e) == PN_OK);
    t.order = order;
    t.visits = 4;
    CHECK(pn_transition_matrix(twice, m, &t, NULL, &e) == PN_OK);
    for (int a = 0; a < 16; a++) {
        double one = 0, sweep = 0;
        for (int b = 0; b < 16; b++) one += p[16 * a + b], sweep += twice[16 * a + b];
        CHECK_CLOSE(one, 1, 1e-15);
        CHECK_CLOSE(sweep, 1, 1e-14);
    }
    CHECK_CLOSE(p[1], 0.5 / 4 / (1 + exp(2)), 1e-14); /* out of the ground state: 4 / T = 2 */
    t.order = bad;
    t.visits = 2;
    CHECK(pn_transition_matrix(p, m, &t, NULL, &e) == PN_E_VALUE && strstr(e.text, "spin 4"));
    t = (pn_transition){.temperature = 0, .proposed = 1};
    CHECK(pn_transition_matrix(p, m, &t, NULL, &e) == PN_E_VALUE);
    t = (pn_transition){.temperature = 1, .proposed = 1.5};
    CHECK(pn_transition_matrix(p, m, &t, NULL, &e) == PN_E_VALUE);
    t.proposed = 1;
    pn_alloc_fail_at(1, false);
    CHECK(pn_transition_matrix(p, m, &t, NULL, &e) == PN_E_MEMORY);
    pn_alloc_fail_at(0, false);
    pn_couplings_free(m);
}

TEST(facts_of_lattices_and_of_their_rows) {
    const double zero[24] = {0};
    for (int open = 0; open < 2; open++) {
        for (int kind = 0; kind < 3; kind++) {
            int64_t side[] = {kind > 0 ? 4 : 24, kind > 1 ? 3 : kind ? 6 : 1, kind > 1 ? 2 : 1};
            bool periodic[] = {!open, !open, false};
            pn_couplings *quick = NULL, *slow = NULL;
            pn_error e;
            CHECK(pn_couplings_lattice(&quick, kind + 1, side, periodic, -2, NULL, NULL, &e) == PN_OK);
            CHECK(pn_couplings_lattice(&slow, kind + 1, side, periodic, -2, NULL, zero, &e) == PN_OK); /* a field: looks at every site */
            CHECK(quick->degree == slow->degree && quick->reach == slow->reach && quick->whole == slow->whole);
            pn_couplings_free(quick);
            pn_couplings_free(slow);
        }
    }
}
