/* Hopfield networks in C: what sanitizers can see at odd sizes, every allocation failed in turn, states that a recall leaves behind. */
#include "test.h"

#include <stdlib.h>

#include "base/rng.h"
#include "energy/hopfield.h"

static int8_t *draw(int64_t count, uint64_t seed) {
    pn_xoshiro g;
    pn_xoshiro_seed(&g, seed);
    int8_t *x = malloc((size_t)count);
    for (int64_t i = 0; i < count; i++) x[i] = pn_xoshiro_next(&g) >> 63 ? 1 : -1;
    return x;
}

typedef struct results {
    double *energy;
    int64_t *taken;
    int8_t *cycle, *before;
} results;

static pn_status recall(const pn_hopfield *net, int8_t *state, int64_t rows, bool sync, double temperature, int threads, results *out, pn_error *e) {
    const int64_t steps = 20;
    out->energy = malloc((size_t)(rows * (steps + 1)) * sizeof(double));
    out->taken = calloc((size_t)rows, sizeof(int64_t));
    out->cycle = calloc((size_t)rows, 1);
    out->before = malloc((size_t)(rows * net->n));
    const pn_recall r = {.net = net,
                         .sync = sync,
                         .random = true,
                         .temperature = temperature,
                         .seed = 3,
                         .rows = rows,
                         .steps = steps,
                         .state = state,
                         .before = out->before,
                         .energy = out->energy,
                         .taken = out->taken,
                         .cycle = out->cycle};
    return pn_hopfield_recall(&r, threads, NULL, e);
}

static void release(results *out) { free(out->energy), free(out->taken), free(out->cycle), free(out->before); }

/* The energy noted last is the energy of the state that is left, for patterns and for a matrix. */
static void check(int64_t n, int64_t patterns, int64_t rows, bool dense, bool sync, double temperature) {
    int8_t *x = draw(patterns * n, 1), *state = draw(rows * n, 2);
    double *energy = malloc((size_t)rows * sizeof(double));
    pn_hopfield *net = NULL;
    pn_error e = {PN_OK, ""};
    results out;
    CHECK(!pn_hopfield_patterns(&net, x, patterns, n, (double)n, dense, 2, NULL, &e), "%s", e.text);
    CHECK(!recall(net, state, rows, sync, temperature, 2, &out, &e));
    CHECK(!pn_hopfield_energy(net, state, rows, energy, 2, NULL, &e));
    for (int64_t r = 0; r < rows; r++) CHECK_CLOSE(out.energy[r * 21 + out.taken[r]], energy[r], 1e-9);
    release(&out);
    pn_hopfield_free(net);
    free(x), free(state), free(energy);
}

TEST(recall_notes_the_energy_of_what_it_leaves) {
    static const int64_t sizes[][3] = {{1, 1, 1}, {7, 2, 3}, {33, 31, 17}, {257, 33, 18}, {300, 1, 33}};
    for (int i = 0; i < 5; i++) {
        for (int how = 0; how < 8; how++) check(sizes[i][0], sizes[i][1], sizes[i][2], how & 1, how & 2, how & 4 ? 0.5 : 0);
    }
}

static pn_status everything(const int8_t *x, int64_t n, bool dense) {
    pn_error e = {PN_OK, ""};
    pn_hopfield *net = NULL;
    int64_t done = 0, wrong[2];
    double *w = calloc((size_t)(n * n), sizeof(double)), energy[2];
    uint32_t next[1 << 5], root[1 << 5];
    pn_status status = pn_hopfield_patterns(&net, x, 4, n, 1, dense, 1, NULL, &e);
    if (!status) status = pn_hopfield_energy(net, x, 2, energy, 1, NULL, &e);
    if (!status) status = pn_hopfield_storkey(w, n, x, 4, &done, 1, NULL, &e);
    if (!status) status = pn_hopfield_perceptron(w, n, x, 4, 0.1, 2, wrong, &done, 1, NULL, &e);
    const pn_unlearning u = {.w = w, .n = n, .times = 2, .rate = 0.1, .energy = energy};
    if (!status) status = pn_hopfield_unlearn(&u, &done, NULL, &e);
    const pn_capacity c = {.n = 40, .patterns = 3, .samples = 2, .turned = 4, .overlap = energy};
    if (!status) status = pn_hopfield_capacity(&c, 1, NULL, &e);
    pn_hopfield *small = NULL;
    double k[25] = {0};
    if (!status) status = pn_hopfield_weights(&small, k, 5, 1, NULL, &e);
    if (!status) status = pn_hopfield_states(small, true, true, next, root, 1, NULL, &e);
    pn_hopfield_free(small);
    pn_hopfield_free(net);
    free(w);
    CHECK(!status || strstr(e.text, "no memory"), "%s", e.text);
    return status;
}

TEST(every_allocation_may_fail) {
    const int64_t n = 19;
    int8_t *x = draw(4 * n, 5);
    for (int dense = 0; dense < 2; dense++) {
        const int64_t live = pn_alloc_live_count();
        int64_t k = 1;
        for (; k < 100; k++) {
            pn_alloc_fail_at(k, k & 1);
            const pn_status status = everything(x, n, dense);
            const bool failed = pn_alloc_failures() > 0;
            pn_alloc_fail_at(0, false);
            CHECK(failed == (status == PN_E_MEMORY));
            CHECK(pn_alloc_live_count() == live);
            if (!failed) break;
        }
        CHECK(k > 8 && k < 100);
    }
    free(x);
}

TEST(what_is_wrong_is_said) {
    pn_hopfield *net = NULL;
    pn_error e;
    const double bad[4] = {0, 1, 2, 0}, odd[4] = {3, 1, 1, 0};
    int8_t x[2] = {1, 3};
    CHECK(pn_hopfield_weights(&net, bad, 2, 1, NULL, &e) == PN_E_VALUE && strstr(e.text, "symmetric"));
    CHECK(pn_hopfield_weights(&net, odd, 2, 1, NULL, &e) == PN_E_VALUE && strstr(e.text, "diagonal"));
    CHECK(pn_hopfield_weights(&net, odd, 2, 0, NULL, &e) == PN_E_VALUE && strstr(e.text, "divisor"));
    CHECK(pn_hopfield_patterns(&net, x, 1, 2, 1, false, 1, NULL, &e) == PN_E_VALUE && strstr(e.text, "got 3 in pattern 0"));
    CHECK(pn_hopfield_patterns(&net, x, 0, 2, 1, false, 1, NULL, &e) == PN_E_VALUE);
    CHECK(!net);
}
