/* Memories beyond 1982, graded neurons and tours in C: buffers of the exact size at odd sizes for the sanitizers, the same bits for any number of members. */
#include "test.h"

#include <stdlib.h>

#include "base/rng.h"
#include "energy/graded.h"
#include "energy/memories.h"

static int8_t *draw(int64_t count, uint64_t seed) {
    pn_xoshiro g;
    pn_xoshiro_seed(&g, seed);
    int8_t *x = malloc((size_t)count);
    for (int64_t i = 0; i < count; i++) x[i] = pn_xoshiro_next(&g) >> 63 ? 1 : -1;
    return x;
}
static double *numbers(int64_t count, uint64_t seed) {
    double *x = malloc((size_t)count * sizeof *x);
    pn_rng_uniform(seed, 0, 0, count, x);
    return x;
}
static pn_error e;

static void dense(int64_t n, int64_t patterns, int64_t rows, pn_memory_kind kind, int threads, int8_t *state) {
    const int64_t steps = 3;
    int8_t *x = draw(patterns * n, 1), *start = draw(rows * n, 2);
    double *energy = malloc((size_t)(rows * (steps + 1)) * sizeof(double));
    int64_t *taken = calloc((size_t)rows, sizeof *taken);
    int8_t *cycle = calloc((size_t)rows, 1), *trace = malloc((size_t)(rows * (steps + 1) * n));
    memcpy(state, start, (size_t)(rows * n));
    const pn_dense_recall r = {.x = x,
                               .patterns = patterns,
                               .n = n,
                               .kind = kind,
                               .degree = 3,
                               .random = true,
                               .seed = 5,
                               .rows = rows,
                               .steps = steps,
                               .state = state,
                               .trace = trace,
                               .energy = energy,
                               .taken = taken,
                               .cycle = cycle};
    CHECK(!pn_dense_memory_recall(&r, threads, NULL, &e), "%s", e.text);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t t = 0; t < taken[i]; t++) CHECK(energy[i * 4 + t + 1] <= energy[i * 4 + t]);
        CHECK(!memcmp(trace + (i * 4 + taken[i]) * n, state + i * n, (size_t)n));
    }
    free(x), free(start), free(energy), free(taken), free(cycle), free(trace);
}

TEST(dense_memories) {
    static const int64_t sizes[][3] = {{1, 1, 1}, {17, 5, 3}, {40, 33, 18}};
    for (int i = 0; i < 3; i++) {
        for (int kind = 0; kind < 3; kind++) {
            const size_t bytes = (size_t)(sizes[i][0] * sizes[i][2]);
            int8_t *one = malloc(bytes), *three = malloc(bytes);
            dense(sizes[i][0], sizes[i][1], sizes[i][2], (pn_memory_kind)kind, 1, one);
            dense(sizes[i][0], sizes[i][1], sizes[i][2], (pn_memory_kind)kind, 3, three);
            CHECK(!memcmp(one, three, bytes));
            free(one), free(three);
        }
    }
}

static void modern(int64_t n, int64_t m, int64_t patterns, int64_t rows, int64_t steps) {
    double *x = numbers(patterns * n, 1), *v = m ? numbers(patterns * m, 2) : NULL, *state = numbers(rows * n, 3);
    double *out = malloc((size_t)(rows * m) * sizeof(double) + 1), *weight = malloc((size_t)(rows * patterns) * sizeof(double));
    double *energy = malloc((size_t)(rows * (steps + 1)) * sizeof(double));
    int64_t *taken = calloc((size_t)rows, sizeof *taken);
    const pn_modern r = {.x = x,
                         .v = v,
                         .patterns = patterns,
                         .n = n,
                         .m = m,
                         .beta = 0.7,
                         .rows = rows,
                         .steps = steps,
                         .state = state,
                         .out = out,
                         .weight = weight,
                         .energy = energy,
                         .taken = taken};
    CHECK(!pn_modern_recall(&r, 2, NULL, &e), "%s", e.text);
    for (int64_t i = 0; i < rows; i++) CHECK(v ? taken[i] == steps : taken[i] <= steps);
    free(x), free(v), free(state), free(out), free(weight), free(energy), free(taken);
}

TEST(modern_memories) {
    for (int64_t steps = 0; steps < 4; steps++) {
        modern(1, 0, 1, 1, steps);
        modern(7, 0, 13, 17, steps);
        if (steps) modern(7, 3, 13, 33, steps);
    }
}

TEST(pairs_and_sequences) {
    const int64_t n = 13, m = 7, patterns = 3, rows = 5, steps = 4;
    int8_t *x = draw(patterns * n, 1), *y = draw(patterns * m, 2), *z = draw(patterns * n, 3), *a = draw(rows * n, 4), *b = draw(rows * m, 5);
    double *energy = malloc((size_t)(rows * (steps + 1)) * sizeof(double));
    int64_t *taken = calloc((size_t)rows, sizeof *taken);
    int8_t *cycle = calloc((size_t)rows, 1), *trace = malloc((size_t)(rows * (steps + 1) * n));
    const pn_pairs pairs = {
        .x = x, .y = y, .patterns = patterns, .n = n, .m = m, .rows = rows, .steps = steps, .a = a, .b = b, .energy = energy, .taken = taken, .cycle = cycle};
    CHECK(!pn_pairs_recall(&pairs, 3, NULL, &e));
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t t = 0; t < taken[i]; t++) CHECK(energy[i * (steps + 1) + t + 1] <= energy[i * (steps + 1) + t]);
    }
    const pn_pairs line = {.x = x, .y = z, .patterns = patterns, .n = n, .m = n, .rows = rows, .steps = steps, .a = a, .trace = trace, .taken = taken};
    CHECK(!pn_sequence_recall(&line, 3, NULL, &e));
    for (int64_t i = 0; i < rows; i++) CHECK(!memcmp(trace + (i * (steps + 1) + steps) * n, a + i * n, (size_t)n));
    free(x), free(y), free(z), free(a), free(b), free(energy), free(taken), free(cycle), free(trace);
}

TEST(graded_neurons) {
    const int64_t n = 9, rows = 19, steps = 7, every = 2, width = steps / every + 1;
    double *m = numbers(n * n, 1), *input = numbers(n, 2), *u = numbers(rows * n, 3), *v = malloc((size_t)(rows * n) * sizeof(double));
    double *energy = malloc((size_t)(rows * width) * sizeof(double)), *trace = malloc((size_t)(rows * width * n) * sizeof(double));
    int64_t *taken = calloc((size_t)rows, sizeof *taken);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) m[i * n + j] = m[j * n + i] = i == j ? 0 : m[i * n + j];
    }
    const pn_graded g = {.m = m,
                         .input = input,
                         .n = n,
                         .rows = rows,
                         .steps = steps,
                         .every = every,
                         .gain = 1,
                         .tau = 1,
                         .dt = 0.01,
                         .u = u,
                         .v = v,
                         .energy = energy,
                         .trace = trace,
                         .taken = taken};
    CHECK(!pn_graded_run(&g, 2, NULL, &e));
    for (int64_t i = 0; i < rows; i++) {
        CHECK(taken[i] == steps);
        for (int64_t t = 1; t < width; t++) CHECK(energy[i * width + t] <= energy[i * width + t - 1]);
    }
    free(m), free(input), free(u), free(v), free(energy), free(trace), free(taken);
}

TEST(tours) {
    const int64_t n = 6, runs = 3, steps = 5, width = steps / 2 + 1;
    double *place = numbers(2 * n, 1), *d = malloc((size_t)(n * n) * sizeof(double)), *v = malloc((size_t)(runs * n * n) * sizeof(double));
    double *energy = malloc((size_t)(runs * width) * sizeof(double)), *length = malloc(60 * sizeof(double)), shortest = INFINITY, found = 0;
    int64_t *taken = calloc((size_t)runs, sizeof *taken);
    int32_t *best = malloc((size_t)n * sizeof *best), *tour = malloc((size_t)(2 * n) * sizeof *tour);
    for (int64_t i = 0; i < n; i++) {
        tour[i] = tour[n + i] = (int32_t)i;
        for (int64_t j = 0; j < n; j++) d[i * n + j] = hypot(place[2 * i] - place[2 * j], place[2 * i + 1] - place[2 * j + 1]);
    }
    const pn_tank t = {.distance = d,
                       .n = n,
                       .runs = runs,
                       .steps = steps,
                       .every = 2,
                       .a = 500,
                       .b = 500,
                       .c = 200,
                       .d = 500,
                       .goal = 9,
                       .u0 = 0.02,
                       .tau = 1,
                       .dt = 1e-6,
                       .noise = 0.1,
                       .v = v,
                       .energy = energy,
                       .taken = taken};
    CHECK(!pn_tank_run(&t, 2, NULL, &e));
    CHECK(energy[width - 1] < energy[0] && taken[0] == steps);
    CHECK(!pn_tour_all(d, n, length, best, NULL, &e));
    for (int i = 0; i < 60; i++) shortest = length[i] < shortest ? length[i] : shortest;
    for (int64_t i = 0; i < n; i++) found += d[best[i] * n + best[(i + 1) % n]];
    CHECK_CLOSE(found, shortest, 1e-12);
    CHECK(!pn_tour_two_opt(d, n, tour, 2, 2, NULL, &e));
    CHECK(!memcmp(tour, tour + n, (size_t)n * sizeof *tour));
    CHECK(pn_tour_all(d, 2, length, best, NULL, &e) == PN_E_VALUE);
    tour[0] = 6;
    CHECK(pn_tour_two_opt(d, n, tour, 1, 1, NULL, &e) == PN_E_INDEX);
    free(place), free(d), free(v), free(energy), free(length), free(taken), free(best), free(tour);
}

TEST(failing_allocations_are_said) {
    const int64_t live = pn_alloc_live_count();
    for (int64_t k = 1; k < 3; k++) {
        int8_t state[17];
        pn_alloc_fail_at(k, false);
        int8_t one[1] = {1}, cycle[1] = {0};
        int64_t taken[1] = {0};
        const pn_dense_recall r = {.x = one, .patterns = 1, .n = 1, .degree = 2, .rows = 1, .steps = 1, .state = state, .taken = taken, .cycle = cycle};
        state[0] = 1;
        CHECK(pn_dense_memory_recall(&r, 1, NULL, &e) == PN_E_MEMORY);
        pn_alloc_fail_at(0, false);
        CHECK(pn_alloc_live_count() == live);
    }
}
