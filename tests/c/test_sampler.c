/* Every engine through the driver: the same bits for any number of threads and slices, exact books, allocations that fail, a poll that stops. */
#include "base/rng.h"
#include "energy/ladder.h"
#include "test.h"

static const pn_task tasks[] = {
    {.method = PN_METHOD_SINGLE, .rule = PN_RULE_METROPOLIS, .replicas = 5, .seed = 1},
    {.method = PN_METHOD_SINGLE, .rule = PN_RULE_GLAUBER, .order = PN_ORDER_CHECKERBOARD, .replicas = 66, .seed = 2},
    {.method = PN_METHOD_SINGLE, .rule = PN_RULE_LECTURE, .order = PN_ORDER_SEQUENTIAL, .replicas = 1, .seed = 3},
    {.method = PN_METHOD_SINGLE, .rule = PN_RULE_METROPOLIS, .order = PN_ORDER_RANDOM, .replicas = 2, .seed = 4},
    {.method = PN_METHOD_WOLFF, .replicas = 3, .seed = 5},
    {.method = PN_METHOD_SWENDSEN_WANG, .replicas = 3, .seed = 6},
    {.method = PN_METHOD_REJECTION_FREE, .rule = PN_RULE_GLAUBER, .replicas = 2, .seed = 7},
};
#define TASKS ((int)(sizeof tasks / sizeof *tasks))
#define MODELS 4
#define SWEEPS 12

static pn_couplings *model(int kind) {
    static const int64_t square[] = {10, 12}, start[] = {0, 2, 4, 6};
    static const bool periodic[] = {true, false};
    static const int32_t to[] = {1, 2, 0, 2, 0, 1};
    static const double weight[] = {1.5, -0.3, 1.5, 0.7, -0.3, 0.7}, field[] = {0.1, 0, -0.2};
    static int8_t sign[240];
    static double fields[120];
    pn_couplings *m = NULL;
    pn_error e;
    for (int i = 0; i < 240; i++) sign[i] = i * 7 % 5 < 2 ? -1 : 1;
    for (int i = 0; i < 120; i++) fields[i] = i % 3 - 1;
    if (kind == 3)
        pn_couplings_rows(&m, 3, start, to, weight, field, &e);
    else
        pn_couplings_lattice(&m, 2, square, periodic, kind == 2 ? 0.7 : 1, kind ? sign : NULL, kind == 2 ? fields : NULL, &e);
    return m;
}

/* One run in slices; a hash of all spins, records and streams, or 0 when something failed. */
static uint64_t run(const pn_couplings *m, const pn_task *task, const char *name, int threads, double seconds) {
    static double energy[66 * SWEEPS], magnetization[66 * SWEEPS];
    static int8_t spins[120];
    const double t = 1.7;
    pn_error e;
    pn_sampler s = {.sweeps = SWEEPS, .temperatures = {&t, 1, 1}, .records = {0, 1, SWEEPS, energy, magnetization, NULL}};
    uint64_t hash = 1;
    if (pn_engine_open(&s.engine, m, task, name, &e)) return 0;
    pn_status status = pn_sampler_scatter(s.engine, task->seed, NULL, &e);
    if (!status) status = pn_sampler_open(&s, threads, &e);
    while (!status && s.done < SWEEPS) status = pn_sampler_run(&s, seconds, NULL, &e);
    for (int64_t r = 0; r < task->replicas && !status; r++) {
        s.engine->type->get(s.engine, r, spins);
        const double last = energy[r * SWEEPS + SWEEPS - 1], now = pn_couplings_energy(m, spins);
        CHECK(m->whole ? last == now : fabs(last - now) <= 1e-9 * (1 + fabs(now)), "%s: %g, %g", name, last, now);
        for (int64_t i = 0; i < m->n; i++) hash = pn_hash64(hash, (uint64_t)spins[i]);
        for (int k = 0; k < SWEEPS; k++) hash = pn_hash64(hash, (uint64_t)(int64_t)(energy[r * SWEEPS + k] * 1024));
    }
    for (int64_t i = 0; i < s.engine->n_streams && !status; i++) hash = pn_hash64(hash, s.engine->streams[i]);
    pn_sampler_close(&s);
    pn_engine_close(s.engine);
    return status ? 0 : hash;
}

/* Calls visit for every engine that takes a task. */
static void each(void (*visit)(const pn_couplings *, const pn_task *, const char *)) {
    for (int kind = 0; kind < MODELS; kind++) {
        pn_couplings *m = model(kind);
        for (const pn_engine_type *const *type = pn_engine_types(); *type; type++) {
            for (int k = 0; k < TASKS; k++) {
                if ((*type)->takes(m, tasks + k)) visit(m, tasks + k, (*type)->name);
            }
        }
        pn_couplings_free(m);
    }
}

static void check_bits(const pn_couplings *m, const pn_task *task, const char *name) {
    const uint64_t alone = run(m, task, name, 1, 1e9);
    CHECK(alone, "%s", name);
    for (int threads = 1; threads <= 4; threads++) CHECK(run(m, task, name, threads, threads % 2 ? 0 : 1e9) == alone, "%s, %d threads", name, threads);
}
TEST(the_same_bits_for_any_number_of_threads_and_slices) { each(check_bits); }

static void check_failures(const pn_couplings *m, const pn_task *task, const char *name) {
    const int64_t live = pn_alloc_live_count();
    int64_t k = 1;
    for (bool fine = false; !fine && k < 100; k++) {
        pn_alloc_fail_at(k, k % 2);
        fine = run(m, task, name, 2, 1e9) != 0;
        CHECK(fine == (pn_alloc_failures() == 0), "%s, allocation %lld", name, (long long)k);
        pn_alloc_fail_at(0, false);
        CHECK(pn_alloc_live_count() == live, "%s leaks after allocation %lld", name, (long long)k);
    }
    CHECK(k > 4 && k < 100);
}
TEST(every_allocation_may_fail) { each(check_failures); }

static bool stop(void *context) {
    (void)context;
    return true;
}
static void check_stop(const pn_couplings *m, const pn_task *task, const char *name) {
    const double t = 2;
    pn_error e;
    pn_poll poll;
    pn_sampler s = {.sweeps = INT64_C(1) << 50, .temperatures = {&t, 1, 1}};
    pn_poll_init(&poll, stop, NULL);
    CHECK(!pn_engine_open(&s.engine, m, task, name, &e) && !pn_sampler_scatter(s.engine, 1, NULL, &e) && !pn_sampler_open(&s, 3, &e));
    CHECK(pn_sampler_run(&s, 1e9, &poll, &e) == PN_E_INTERRUPTED, "%s", name);
    CHECK(s.done < s.sweeps);
    CHECK(pn_sampler_run(&s, 1e9, NULL, &e) == PN_E_RUNTIME);
    pn_sampler_close(&s);
    pn_engine_close(s.engine);
}
TEST(a_poll_stops_a_run) { each(check_stop); }

TEST(a_wrong_name_or_task_is_said) {
    pn_couplings *m = model(0);
    pn_engine *g = NULL;
    pn_error e;
    CHECK(pn_engine_open(&g, m, tasks, "none", &e) == PN_E_VALUE && strstr(e.text, "'none'"));
    CHECK(pn_engine_open(&g, m, tasks, "wolff", &e) == PN_E_VALUE && strstr(e.text, "does not take"));
    pn_couplings_free(m);
}
