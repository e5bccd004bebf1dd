/* Pairs and sequences of patterns: W = sum_mu y_mu x_mu' is never formed; overlaps and fields are whole numbers, so ties are exact. */
#include <string.h>

#include "base/alloc.h"
#include "energy/hopfield_parts.h"
#include "energy/memories.h"

typedef struct pairs_job {
    const pn_pairs *r;
    int64_t *room; /* per member: fields of the wider side */
    int64_t wide;
} pairs_job;

/* to = sign(sum_mu y_mu (x_mu . from)); the sum of |fields| when it is wanted is -E. True when `to` changes. */
static bool associate(const pn_pairs *r, const int8_t *x, int64_t n, const int8_t *y, int64_t m, const int8_t *from, int8_t *to, int64_t *field) {
    memset(field, 0, (size_t)m * sizeof *field);
    for (int64_t p = 0; p < r->patterns; p++) {
        int32_t overlap = 0;
        for (int64_t i = 0; i < n; i++) overlap += x[p * n + i] * from[i];
        for (int64_t i = 0; i < m; i++) field[i] += overlap * y[p * m + i];
    }
    bool changed = false;
    for (int64_t i = 0; i < m; i++) {
        const int8_t next = field[i] > 0 ? 1 : field[i] < 0 ? -1 : r->plus ? 1 : to[i];
        changed = changed || next != to[i];
        to[i] = next;
    }
    return changed;
}

/* -b'Wa */
static double energy_of(const pn_pairs *r, const int8_t *a, const int8_t *b) {
    int64_t sum = 0;
    for (int64_t p = 0; p < r->patterns; p++) {
        int64_t one = 0, two = 0;
        for (int64_t i = 0; i < r->n; i++) one += r->x[p * r->n + i] * a[i];
        for (int64_t i = 0; i < r->m; i++) two += r->y[p * r->m + i] * b[i];
        sum += one * two;
    }
    return -(double)sum;
}

static void pairs_row(const pn_pairs *r, int64_t row, int64_t *field, pn_member *m) {
    int8_t *a = r->a + row * r->n, *b = r->b + row * r->m;
    if (r->energy) r->energy[row * (r->steps + 1)] = energy_of(r, a, b);
    for (int64_t t = 0; t < r->steps && !pn_walk_stopped(m); t++) {
        bool changed = associate(r, r->x, r->n, r->y, r->m, a, b, field);
        changed = associate(r, r->y, r->m, r->x, r->n, b, a, field) || changed;
        if (r->energy) r->energy[row * (r->steps + 1) + t + 1] = energy_of(r, a, b);
        r->taken[row] = t + 1;
        r->cycle[row] = !changed;
        if (!changed) return;
    }
}

static void pairs_member(void *context, pn_member *m) {
    const pairs_job *j = context;
    int64_t lo, hi;
    pn_member_range(m, j->r->rows, &lo, &hi);
    for (int64_t row = lo; row < hi && !pn_walk_stopped(m); row++) pairs_row(j->r, row, j->room + m->index * j->wide, m);
}

/* All neurons at once, from a copy that the step reads. */
static void sequence_row(const pn_pairs *r, int64_t row, int64_t *field, int8_t *from, pn_member *m) {
    int8_t *a = r->a + row * r->n;
    if (r->trace) memcpy(r->trace + row * (r->steps + 1) * r->n, a, (size_t)r->n);
    for (int64_t t = 0; t < r->steps && !pn_walk_stopped(m); t++) {
        memcpy(from, a, (size_t)r->n);
        associate(r, r->x, r->n, r->y, r->n, from, a, field);
        if (r->trace) memcpy(r->trace + (row * (r->steps + 1) + t + 1) * r->n, a, (size_t)r->n);
        r->taken[row] = t + 1;
    }
}

static void sequence_member(void *context, pn_member *m) {
    const pairs_job *j = context;
    int64_t lo, hi, *field = j->room + m->index * j->wide;
    pn_member_range(m, j->r->rows, &lo, &hi);
    for (int64_t row = lo; row < hi && !pn_walk_stopped(m); row++) sequence_row(j->r, row, field, (int8_t *)(field + j->r->n), m);
}

static pn_status run(const pn_pairs *r, pn_team_fn fn, int threads, pn_poll *poll, pn_error *e) {
    const int64_t width = r->n > r->m ? r->n : r->m;
    if (width > PN_MEMORY_MOST || r->n < 1 || r->m < 1 || r->patterns < 1 || r->patterns > PN_MEMORY_MOST)
        return pn_fail(e, PN_E_VALUE, "patterns and their neurons must be 1 to %d, got %lld pairs of %lld and %lld neurons", PN_MEMORY_MOST,
                       (long long)r->patterns, (long long)r->n, (long long)r->m);
    pairs_job j = {.r = r, .wide = width + (width + 7) / 8 + 8};
    j.room = pn_alloc((size_t)j.wide * (size_t)threads * sizeof(int64_t));
    if (!j.room) return pn_fail(e, PN_E_MEMORY, "no memory for the recall of %lld states", (long long)r->rows);
    pn_team_run(r->rows > 1 ? threads : 1, poll, fn, &j);
    pn_free(j.room);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}

pn_status pn_pairs_recall(const pn_pairs *r, int threads, pn_poll *poll, pn_error *e) { return run(r, pairs_member, threads, poll, e); }
pn_status pn_sequence_recall(const pn_pairs *r, int threads, pn_poll *poll, pn_error *e) { return run(r, sequence_member, threads, poll, e); }
