/* The travelling salesman on graded neurons, after Hopfield and Tank (1985). The quadratic energy has sums over rows, columns and all neurons, so a step costs n^3 for the
 * distances and n^2 for the rest, not n^4. */
#include <math.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "base/team.h"
#include "energy/energy.h"
#include "energy/graded.h"
#include "kernels/kernels.h"

#define LN2 0.69314718055994530942

typedef struct tank_walk {
    const pn_tank *t;
    pn_member *m;
    double *u, *near, *pull; /* (n, n): inputs; V at the places before and behind; distances times that */
    double *row, *column;    /* (n): sums of V */
    double all;
    void *scratch;
} tank_walk;

typedef struct tank_job {
    const pn_tank *t;
    char *room;
    size_t stride, scratch;
} tank_job;

static bool stopped(pn_member *m) { return m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll); }

static pn_gemm_shape pull_shape(const pn_tank *t) { return (pn_gemm_shape){.m = t->n, .n = t->n, .k = t->n, .lda = t->n, .ldb = t->n, .ldc = t->n}; }

/* V = (1 + tanh(u / u0)) / 2, which is the logistic function of 2 u / u0 */
static void respond(const tank_walk *w, double *v) {
    const pn_kernels_d *k = &pn_kernels_get()->d;
    const int64_t count = w->t->n * w->t->n;
    k->scale(v, w->u, 2 / w->t->u0, count, false);
    k->act_forward[PN_ACT_sigmoid](v, v, count, NULL);
}

/* Sums of V over rows, columns and all, and the pull of distances. */
static void find_sums(tank_walk *w, const double *v) {
    const int64_t n = w->t->n;
    w->all = 0;
    for (int64_t i = 0; i < n; i++) w->column[i] = 0;
    for (int64_t x = 0; x < n; x++) {
        const double *row = v + x * n;
        w->row[x] = 0;
        for (int64_t i = 0; i < n; i++) {
            w->row[x] += row[i];
            w->column[i] += row[i];
            w->near[x * n + i] = row[i + 1 < n ? i + 1 : 0] + row[i > 0 ? i - 1 : n - 1];
        }
        w->all += w->row[x];
    }
    const pn_gemm_d_fn *gemm = &pn_kernels_get()->d.gemm;
    const pn_gemm_call_d call = {.s = pull_shape(w->t), .a = w->t->distance, .b = w->near, .c = w->pull, .act = -1};
    gemm->run(&call, 0, gemm->blocks(&call.s), w->scratch);
}

/* The integrals of the inverse response from 1/2 to V: V y - ln(1 + exp(y)) + ln 2 at y = 2 u / u0, times u0 / 2. */
static double integrals(const tank_walk *w, const double *v) {
    const pn_tank *t = w->t;
    const pn_kernels_d *k = &pn_kernels_get()->d;
    const int64_t count = t->n * t->n;
    double *y = w->near, sum = 0; /* its product is done */
    for (int64_t i = 0; i < count; i++) sum += v[i] * (y[i] = 2 * w->u[i] / t->u0);
    k->act_forward[PN_ACT_softplus](y, y, count, NULL);
    return 0.5 * t->u0 * (sum - k->sum(y, count) + LN2 * (double)count);
}

static double energy_of(const tank_walk *w, const double *v) {
    const pn_tank *t = w->t;
    double rows = 0, columns = 0, length = 0;
    for (int64_t x = 0; x < t->n; x++) {
        for (int64_t i = 0; i < t->n; i++) {
            const double one = v[x * t->n + i];
            rows += one * (w->row[x] - one);
            columns += one * (w->column[i] - one);
            length += one * w->pull[x * t->n + i];
        }
    }
    const double over = w->all - t->goal;
    return 0.5 * (t->a * rows + t->b * columns + t->c * over * over + t->d * length) + integrals(w, v) / t->tau;
}

static void advance(tank_walk *w, const double *v) {
    const pn_tank *t = w->t;
    const double common = t->c * (w->all - t->goal);
    for (int64_t x = 0; x < t->n; x++) {
        for (int64_t i = 0; i < t->n; i++) {
            const int64_t at = x * t->n + i;
            const double slope = t->a * (w->row[x] - v[at]) + t->b * (w->column[i] - v[at]) + common + t->d * w->pull[at];
            w->u[at] -= t->dt * (w->u[at] / t->tau + slope);
        }
    }
}

/* All activities are 1 / n, but for the noise. */
static void begin(tank_walk *w, int64_t run) {
    const pn_tank *t = w->t;
    double level = t->n > 1 ? (double)t->n - 1 : 1;
    pn_kernels_of(PN_ISA_PORTABLE)->d.act_forward[PN_ACT_log](&level, &level, 1, NULL);
    level *= -0.5 * t->u0;
    pn_xoshiro g;
    pn_xoshiro_seed(&g, pn_energy_seed(t->seed, (uint64_t)(t->first + run)));
    for (int64_t i = 0; i < t->n * t->n; i++) w->u[i] = level + t->noise * t->u0 * (2 * ((double)(pn_xoshiro_next(&g) >> 11) * 0x1p-53) - 1);
}

static void run_one(tank_walk *w, int64_t run) {
    const pn_tank *t = w->t;
    double *v = t->v + run * t->n * t->n;
    begin(w, run);
    for (int64_t s = 0;; s++) {
        respond(w, v);
        find_sums(w, v);
        if (s % t->every == 0) t->energy[run * (t->steps / t->every + 1) + s / t->every] = energy_of(w, v);
        t->taken[run] = s;
        if (s == t->steps || stopped(w->m)) return;
        advance(w, v);
    }
}

static void tank_member(void *context, pn_member *m) {
    const tank_job *j = context;
    const int64_t n = j->t->n;
    char *room = j->room + (size_t)m->index * j->stride;
    tank_walk w = {.t = j->t, .m = m, .u = (double *)room};
    w.near = w.u + n * n;
    w.pull = w.near + n * n;
    w.row = w.pull + n * n;
    w.column = w.row + n;
    w.scratch = room + j->stride - j->scratch;
    int64_t lo, hi;
    pn_member_range(m, j->t->runs, &lo, &hi);
    for (int64_t r = lo; r < hi && !stopped(m); r++) run_one(&w, r);
}

pn_status pn_tank_run(const pn_tank *t, int threads, pn_poll *poll, pn_error *e) {
    const pn_gemm_shape s = pull_shape(t);
    tank_job j = {.t = t, .scratch = (pn_kernels_get()->d.gemm.scratch(&s) + 127) / 64 * 64};
    j.stride = ((size_t)(3 * t->n * t->n + 2 * t->n) * sizeof(double) + 63) / 64 * 64 + j.scratch;
    j.room = pn_alloc(j.stride * (size_t)threads);
    if (!j.room) return pn_fail(e, PN_E_MEMORY, "no memory for the tours through %lld cities", (long long)t->n);
    pn_team_run(t->runs > 1 ? threads : 1, poll, tank_member, &j);
    pn_free(j.room);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
