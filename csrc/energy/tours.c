/* Tours to compare with: all of them through a few cities, and the improvement by turning round pieces. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/team.h"
#include "energy/graded.h"

/* ---- all tours ---- */

typedef struct all_tours {
    const double *d;
    int64_t n, done;
    double *length, shortest;
    int32_t tour[PN_TOUR_MOST], *best;
    bool taken[PN_TOUR_MOST];
} all_tours;

/* Goes on from a beginning of `count` cities; of a tour and its reverse the one with the smaller second city counts. */
static void extend(all_tours *t, int64_t count, double so_far) {
    const int32_t here = t->tour[count - 1];
    if (count == t->n) {
        if (t->tour[1] > here) return;
        const double length = so_far + t->d[here * t->n];
        if (length < t->shortest) {
            t->shortest = length;
            memcpy(t->best, t->tour, (size_t)t->n * sizeof *t->best);
        }
        t->length[t->done++] = length;
        return;
    }
    for (int32_t next = 1; next < t->n; next++) {
        if (t->taken[next]) continue;
        t->taken[next] = true;
        t->tour[count] = next;
        extend(t, count + 1, so_far + t->d[here * t->n + next]);
        t->taken[next] = false;
    }
}

pn_status pn_tour_all(const double *distance, int64_t n, double *length, int32_t *best, pn_poll *poll, pn_error *e) {
    if (n < 3 || n > PN_TOUR_MOST)
        return pn_fail(e, PN_E_VALUE, "all tours are looked at for 3 to %d cities, got %lld: there are (n - 1)! / 2 of them", PN_TOUR_MOST, (long long)n);
    all_tours t = {.d = distance, .n = n, .length = length, .shortest = INFINITY, .best = best};
    for (int32_t second = 1; second < n; second++) {
        if (pn_poll_now(poll)) return pn_fail(e, PN_E_INTERRUPTED, "interrupted");
        t.taken[second] = true;
        t.tour[1] = second;
        extend(&t, 2, distance[second]);
        t.taken[second] = false;
    }
    return PN_OK;
}

/* ---- 2-opt ---- */

typedef struct two_opt_job {
    const double *d;
    int64_t n, runs;
    int32_t *tour;
} two_opt_job;

#define LEAST 1e-12 /* of the length of the edges: a gain below is rounding */

static void turn_round(int32_t *tour, int64_t lo, int64_t hi) {
    for (; lo < hi; lo++, hi--) {
        const int32_t city = tour[lo];
        tour[lo] = tour[hi];
        tour[hi] = city;
    }
}

/* One look at all pairs of edges; true when the tour was shortened. */
static bool improve(const two_opt_job *j, int32_t *tour, pn_member *m) {
    const int64_t n = j->n;
    bool better = false;
    for (int64_t i = 0; i + 2 < n; i++) {
        if (m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll)) return false;
        for (int64_t k = i + 2; k < n; k++) {
            if (i == 0 && k == n - 1) continue; /* neighbours */
            const int32_t a = tour[i], b = tour[i + 1], c = tour[k], d = tour[k + 1 < n ? k + 1 : 0];
            const double before = j->d[a * n + b] + j->d[c * n + d], after = j->d[a * n + c] + j->d[b * n + d];
            if (!(after < before * (1 - LEAST))) continue;
            turn_round(tour, i + 1, k);
            better = true;
        }
    }
    return better;
}

static void two_opt_member(void *context, pn_member *m) {
    const two_opt_job *j = context;
    int64_t lo, hi;
    pn_member_range(m, j->runs, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        while (improve(j, j->tour + r * j->n, m)) {}
    }
}

pn_status pn_tour_two_opt(const double *distance, int64_t n, int32_t *tour, int64_t runs, int threads, pn_poll *poll, pn_error *e) {
    for (int64_t i = 0; i < runs * n; i++) {
        if (tour[i] < 0 || tour[i] >= n) return pn_fail(e, PN_E_INDEX, "a tour goes to city %d, but there are %lld", tour[i], (long long)n);
    }
    for (int64_t i = 0; i < n * n; i++) { /* with other distances a piece turned round may cost more inside than it gains, for ever */
        if (distance[i] != distance[i % n * n + i / n]) return pn_fail(e, PN_E_VALUE, "distances must be symmetric");
    }
    two_opt_job j = {.d = distance, .n = n, .runs = runs, .tour = tour};
    pn_team_run(runs > 1 ? threads : 1, poll, two_opt_member, &j);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
