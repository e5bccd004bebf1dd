/* Learning rules of Hopfield networks that go pattern by pattern. The rows of w are shared by the team; w stays symmetric bit for bit, because the two ends of
 * a coupling do the same sums. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "energy/energy.h"
#include "energy/hopfield_parts.h"

#define FEW 64 /* neurons below which a second thread costs more than it does */

typedef struct learning {
    double *w;
    int64_t n, patterns;
    const int8_t *x;
    double margin;
    int64_t epochs, *wrong, *done;
    double *state, *field, *miss; /* (n) a pattern, w times it, and the pattern where it is not stable, else 0 */
} learning;

static pn_status open_learning(learning *l, pn_error *e) {
    const size_t n = (size_t)l->n;
    l->state = pn_alloc_zero(3 * n * sizeof(double));
    if (!l->state) return pn_fail(e, PN_E_MEMORY, "no memory for learning with %zu neurons", n);
    l->field = l->state + n;
    l->miss = l->field + n;
    *l->done = 0;
    return PN_OK;
}

/* The rows of this member, and pattern p as doubles. */
static void begin_pattern(learning *l, int64_t p, pn_member *m, int64_t *lo, int64_t *hi) {
    pn_member_range(m, l->n, lo, hi);
    for (int64_t i = *lo; i < *hi; i++) l->state[i] = l->x[p * l->n + i];
    pn_member_barrier(m);
}

/* All members learn from the same look at the poll whether to go on. */
static bool goes_on(const learning *l, pn_member *m) {
    if (m->index == 0) pn_poll_now(m->poll);
    (void)l;
    pn_member_barrier(m);
    const bool stopped = pn_poll_stopped(m->poll);
    pn_member_barrier(m);
    return !stopped;
}

/* ---- Storkey ---- */

static void storkey_rows(learning *l, int64_t lo, int64_t hi) {
    const double share = 1 / (double)l->n;
    for (int64_t i = lo; i < hi; i++) {
        double *row = l->w + i * l->n;
        for (int64_t j = 0; j < l->n; j++) row[j] += share * (l->state[i] * l->state[j] - (l->state[i] * l->field[j] + l->field[i] * l->state[j]) + 2 * row[j]);
        row[i] = 0;
    }
}

static void storkey_member(void *context, pn_member *m) {
    learning *l = context;
    int64_t lo, hi;
    for (int64_t p = 0; p < l->patterns && goes_on(l, m); p++) {
        begin_pattern(l, p, m, &lo, &hi);
        for (int64_t i = lo; i < hi; i++) l->field[i] = pn_kernels_get()->d.dot(l->w + i * l->n, l->state, l->n);
        pn_member_barrier(m);
        storkey_rows(l, lo, hi);
        pn_member_barrier(m);
        if (m->index == 0) *l->done = p + 1;
    }
}

static pn_status run(learning *l, pn_team_fn fn, int threads, pn_poll *poll, pn_error *e) {
    const pn_status status = open_learning(l, e);
    if (status) return status;
    pn_team_run(l->n < FEW ? 1 : threads, poll, fn, l);
    pn_free(l->state);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}

pn_status pn_hopfield_storkey(double *w, int64_t n, const int8_t *x, int64_t patterns, int64_t *done, int threads, pn_poll *poll, pn_error *e) {
    learning l = {.w = w, .n = n, .x = x, .patterns = patterns, .done = done};
    return run(&l, storkey_member, threads, poll, e);
}

/* ---- perceptrons ---- */

/* Which of the neurons lo..hi - 1 would not keep the pattern. */
static void find_misses(learning *l, int64_t lo, int64_t hi) {
    const pn_kernels_d *k = &pn_kernels_get()->d;
    for (int64_t i = lo; i < hi; i++) {
        const double *row = l->w + i * l->n, stability = l->state[i] * k->dot(row, l->state, l->n);
        const bool stable = stability > (l->margin > 0 ? l->margin * sqrt(k->sum_squares(row, l->n)) : 0);
        l->miss[i] = stable ? 0 : l->state[i];
    }
}

static void correct_rows(learning *l, int64_t lo, int64_t hi) {
    const pn_kernels_d *k = &pn_kernels_get()->d;
    for (int64_t i = lo; i < hi; i++) {
        double *row = l->w + i * l->n;
        k->scale(row, l->miss, l->state[i], l->n, true);
        if (l->miss[i] != 0) k->scale(row, l->state, l->state[i], l->n, true);
        row[i] = 0;
    }
}

static void perceptron_member(void *context, pn_member *m) {
    learning *l = context;
    int64_t lo, hi;
    for (int64_t t = 0; t < l->epochs; t++) {
        int64_t wrong = 0; /* every member counts all of them: no shared sum */
        for (int64_t p = 0; p < l->patterns; p++) {
            if (!goes_on(l, m)) return;
            begin_pattern(l, p, m, &lo, &hi);
            find_misses(l, lo, hi);
            pn_member_barrier(m);
            int64_t here = 0;
            for (int64_t i = 0; i < l->n; i++) here += l->miss[i] != 0;
            if (here) correct_rows(l, lo, hi);
            wrong += here;
            pn_member_barrier(m);
        }
        if (m->index == 0) {
            l->wrong[t] = wrong;
            *l->done = t + 1;
        }
        if (!wrong) return;
    }
}

pn_status pn_hopfield_perceptron(double *w, int64_t n, const int8_t *x, int64_t patterns, double margin, int64_t epochs, int64_t *wrong, int64_t *done,
                                 int threads, pn_poll *poll, pn_error *e) {
    learning l = {.w = w, .n = n, .x = x, .patterns = patterns, .margin = margin, .epochs = epochs, .wrong = wrong, .done = done};
    return run(&l, perceptron_member, threads, poll, e);
}

/* ---- unlearning ---- */

#define SWEEPS_MOST 10000 /* a state comes to rest in far fewer */

static pn_status rest(const pn_unlearning *u, const pn_hopfield *net, int64_t t, int8_t *s, double *energy, pn_poll *poll, pn_error *e) {
    const uint64_t seed = pn_energy_seed(u->seed, (uint64_t)(u->first + t));
    pn_xoshiro g;
    pn_xoshiro_seed(&g, seed);
    for (int64_t i = 0; i < u->n; i++) s[i] = pn_xoshiro_next(&g) >> 63 ? 1 : -1;
    int64_t taken;
    int8_t cycle = 0;
    const pn_recall r = {.net = net,
                         .random = true,
                         .plus = u->plus,
                         .seed = pn_energy_seed(seed, 1),
                         .rows = 1,
                         .steps = SWEEPS_MOST,
                         .state = s,
                         .taken = &taken,
                         .cycle = &cycle};
    const pn_status status = pn_hopfield_recall(&r, 1, poll, e);
    return status ? status : pn_hopfield_energy(net, s, 1, energy, 1, poll, e);
}

pn_status pn_hopfield_unlearn(const pn_unlearning *u, int64_t *done, pn_poll *poll, pn_error *e) {
    const int64_t n = u->n;
    double *slack = pn_alloc((size_t)n * 2 * sizeof(double));
    int8_t *s = slack ? pn_alloc((size_t)n) : NULL;
    pn_hopfield net = {.n = n, .k = u->w, .slack = slack, .divisor = 1};
    pn_status status = s ? PN_OK : pn_fail(e, PN_E_MEMORY, "no memory for unlearning with %lld neurons", (long long)n);
    double *state = slack ? slack + n : NULL;
    *done = 0;
    if (!status) pn_hopfield_measure_slack(&net, poll);
    for (int64_t t = 0; !status && t < u->times; t++) {
        status = pn_poll_now(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : rest(u, &net, t, s, u->energy + t, poll, e);
        if (status) break;
        for (int64_t i = 0; i < n; i++) state[i] = s[i];
        for (int64_t i = 0; i < n; i++) { /* the smallest piece: a change half done would leave w asymmetric, so no look at the poll */
            pn_kernels_get()->d.scale(u->w + i * n, state, -u->rate / (double)n * state[i], n, true);
            u->w[i * n + i] = 0;
        }
        *done = t + 1;
    }
    pn_free(slack);
    pn_free(s);
    return status;
}
