/* Dense associative memory: sharper than Hopfield's, because a pattern that fits better counts for more than its share.
 *
 * Overlaps are whole numbers, so F is a table of all values that it can take. A neuron becomes +1 when the sum over patterns is larger so:
 * sum_mu F(a_mu + x_mu,i) > sum_mu F(a_mu - x_mu,i), where a leaves neuron i out. For exp the table holds exp(-d), where d is the distance from the largest overlap: nothing
 * overflows, and the largest terms count in full. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "energy/energy.h"
#include "energy/hopfield_parts.h"
#include "energy/memories.h"

typedef struct dense_walk {
    const pn_dense_recall *r;
    pn_member *m;
    const double *table; /* (2 n + 8) */
    int32_t *overlap;    /* (patterns) */
    int32_t *order;      /* (n) */
    int32_t largest;     /* overlap */
} dense_walk;

typedef struct dense_job {
    const pn_dense_recall *r;
    double *table;
    char *room;
    size_t stride;
} dense_job;

static double power(double x, int k) {
    double y = 1;
    for (; k > 0; k >>= 1, x *= x) {
        if (k & 1) y *= x;
    }
    return y;
}

/* Polynomials: F(z) at z + n + 1, whole numbers, which cannot overflow: (2^15)^64 = 2^960. exp: exp(-d) at d + 2. */
static void fill_table(const pn_dense_recall *r, double *table) {
    const int64_t n = r->n;
    for (int64_t i = 0; i < 2 * n + 8; i++) {
        const double z = (double)(i - n - 1);
        table[i] = r->kind == PN_MEMORY_EXPONENTIAL ? 2 - (double)i : r->kind == PN_MEMORY_RECTIFIED && z < 0 ? 0 : power(z, r->degree);
    }
    if (r->kind == PN_MEMORY_EXPONENTIAL) pn_kernels_of(PN_ISA_PORTABLE)->d.act_forward[PN_ACT_exp](table, table, 2 * n + 8, NULL);
}

static inline double value(const dense_walk *w, int32_t z) { return w->table[w->r->kind == PN_MEMORY_EXPONENTIAL ? w->largest - z + 2 : z + w->r->n + 1]; }

static void find_largest(dense_walk *w) {
    w->largest = w->overlap[0];
    for (int64_t p = 1; p < w->r->patterns; p++) w->largest = w->overlap[p] > w->largest ? w->overlap[p] : w->largest;
}

static void find_overlaps(dense_walk *w, const int8_t *s) {
    for (int64_t p = 0; p < w->r->patterns; p++) {
        const int8_t *x = w->r->x + p * w->r->n;
        int32_t sum = 0;
        for (int64_t i = 0; i < w->r->n; i++) sum += x[i] * s[i];
        w->overlap[p] = sum;
    }
    find_largest(w);
}

static double energy_of(const dense_walk *w) {
    const pn_dense_recall *r = w->r;
    double sum = 0;
    for (int64_t p = 0; p < r->patterns; p++) sum += value(w, w->overlap[p]);
    return r->kind == PN_MEMORY_EXPONENTIAL ? -(w->largest + pn_log(sum)) : -sum;
}

/* How much larger the sum is with neuron i at +1 than at -1. */
static double pull(const dense_walk *w, int64_t i, int8_t now) {
    double up = 0, down = 0;
    for (int64_t p = 0; p < w->r->patterns; p++) {
        const int8_t x = w->r->x[p * w->r->n + i];
        const int32_t rest = w->overlap[p] - x * now;
        up += value(w, rest + x);
        down += value(w, rest - x);
    }
    return up - down;
}

static bool dense_sweep(dense_walk *w, int8_t *s) {
    const pn_dense_recall *r = w->r;
    bool changed = false;
    for (int64_t a = 0; a < r->n; a++) {
        if (pn_walk_stopped(w->m)) return true;
        const int32_t i = w->order[a];
        const double h = pull(w, i, s[i]);
        const int8_t next = h > 0 ? 1 : h < 0 ? -1 : r->plus ? 1 : s[i];
        if (next == s[i]) continue;
        s[i] = next;
        for (int64_t p = 0; p < r->patterns; p++) w->overlap[p] += 2 * next * r->x[p * r->n + i];
        find_largest(w);
        changed = true;
    }
    return changed;
}

static void dense_note(const dense_walk *w, int64_t row, int64_t t) {
    const pn_dense_recall *r = w->r;
    const int64_t width = r->first + r->steps + 1;
    if (r->energy) r->energy[row * width + t] = energy_of(w);
    if (r->trace) memcpy(r->trace + (row * width + t) * r->n, r->state + row * r->n, (size_t)r->n);
}

static void dense_row(dense_walk *w, int64_t row) {
    const pn_dense_recall *r = w->r;
    int8_t *s = r->state + row * r->n;
    find_overlaps(w, s);
    if (r->first == 0) dense_note(w, row, 0);
    for (int64_t t = r->first; t < r->first + r->steps; t++) {
        pn_xoshiro g;
        pn_xoshiro_seed(&g, pn_energy_seed(pn_energy_seed(r->seed, (uint64_t)(r->row_zero + row)), (uint64_t)t));
        pn_order_draw(w->order, r->n, r->random ? &g : NULL);
        const bool changed = dense_sweep(w, s);
        if (pn_poll_stopped(w->m->poll)) return;
        dense_note(w, row, t + 1);
        r->taken[row] = t + 1;
        if (!changed) {
            r->cycle[row] = 1;
            return;
        }
    }
}

static void dense_member(void *context, pn_member *m) {
    const dense_job *j = context;
    char *room = j->room + (size_t)m->index * j->stride;
    dense_walk w = {.r = j->r, .m = m, .table = j->table, .overlap = (int32_t *)room, .order = (int32_t *)room + j->r->patterns};
    int64_t lo, hi;
    pn_member_range(m, j->r->rows, &lo, &hi);
    for (int64_t row = lo; row < hi && !pn_walk_stopped(m); row++) {
        if (!j->r->cycle[row]) dense_row(&w, row);
    }
}

pn_status pn_dense_memory_recall(const pn_dense_recall *r, int threads, pn_poll *poll, pn_error *e) {
    if (r->n < 1 || r->n > PN_MEMORY_MOST || r->patterns < 1)
        return pn_fail(e, PN_E_VALUE, "a dense associative memory has 1 to %d neurons and at least one pattern, got %lld and %lld", PN_MEMORY_MOST,
                       (long long)r->n, (long long)r->patterns);
    if (r->degree < 1 || r->degree > 64) return pn_fail(e, PN_E_VALUE, "the degree of a dense associative memory is 1 to 64, got %d", r->degree);
    dense_job j = {.r = r, .stride = ((size_t)(r->patterns + r->n) * sizeof(int32_t) + 63) / 64 * 64};
    j.table = pn_alloc((size_t)(2 * r->n + 8) * sizeof(double));
    j.room = j.table ? pn_alloc(j.stride * (size_t)threads) : NULL;
    pn_status status = j.room ? PN_OK : pn_fail(e, PN_E_MEMORY, "no memory for the recall of %lld states", (long long)r->rows);
    if (!status) {
        fill_table(r, j.table);
        pn_team_run(r->rows > 1 ? threads : 1, poll, dense_member, &j);
    }
    pn_free(j.table);
    pn_free(j.room);
    return !status && pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : status;
}
