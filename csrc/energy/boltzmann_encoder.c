/* The encoder problems of 1985: two groups of `width` units each, one unit of a group on at a time, the same in both; what one group knows must pass through
 * `hidden` units to the other, and they have to find a code. Experiments know nothing of each other and are taken by threads one after the other.
 *
 * Source: Ackley, Hinton, Sejnowski, "A learning algorithm for Boltzmann machines", Cognitive Science 9 (1985), section 5. */
#include <string.h>

#include "base/alloc.h"
#include "base/team.h"
#include "energy/boltzmann.h"
#include "energy/energy.h"

#define MOST_HIDDEN 16

typedef struct job {
    const pn_encoder *c;
    int64_t n, now;
    uint8_t *mask;     /* (n, n) */
    int32_t *units;    /* (n) */
    atomic_llong next; /* experiment to be taken */
    char *memory;      /* of a member: counts (2, n n + n), state (n), fields (n) */
    size_t member_bytes, state_at;
} job;

static void connect(const pn_encoder *c, uint8_t *mask, int64_t n) {
    const int64_t v = c->width;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < n; k++) {
            const int a = i < v ? 0 : i < 2 * v ? 1 : 2, b = k < v ? 0 : k < 2 * v ? 1 : 2;
            mask[i * n + k] = i != k && (a == b ? a < 2 || c->connected : a == 2 || b == 2);
        }
    }
}

/* The hidden states of lowest energy when both groups show pattern i, as bits. */
static uint32_t code_of(const pn_bm *m, int64_t width, int64_t i) {
    const int64_t hidden = m->n - m->nv;
    double x[MOST_HIDDEN], best = 0, energy = 0;
    uint32_t code = 0, state = 0;
    for (int64_t h = 0; h < hidden; h++) {
        const double *row = m->w + (m->nv + h) * m->n;
        x[h] = m->b[m->nv + h] + row[i] + row[width + i];
    }
    for (uint32_t number = 1; number < 1u << hidden; number++) { /* Gray code: one unit changes */
        const int k = __builtin_ctz(number);
        const double up = state >> k & 1 ? -1 : 1;
        energy -= up * x[k];
        state ^= 1u << k;
        for (int64_t h = 0; h < hidden; h++) x[h] += up * m->w[(m->nv + k) * m->n + m->nv + h];
        if (energy < best) best = energy, code = state;
    }
    return code;
}

static bool is_solved(const pn_encoder *c, const pn_bm *m) {
    uint32_t code[256];
    for (int64_t i = 0; i < c->width; i++) {
        code[i] = code_of(m, c->width, i);
        for (int64_t k = 0; k < i; k++) {
            if (__builtin_popcount(code[i] ^ code[k]) < c->distance) return false;
        }
    }
    return true;
}

static bool phase(job *j, const pn_bm *m, int which, pn_xoshiro *g, uint8_t *s, int64_t *pairs, double *fields, pn_member *member) {
    const pn_encoder *c = j->c;
    const int64_t first = which ? 0 : m->nv;
    for (int64_t a = 0; a < c->width * c->repeats; a++) {
        const int64_t on = a / c->repeats;
        for (int64_t i = 0; which == 0 && i < m->nv; i++) {
            const bool bit = i % c->width == on;
            const double u = (double)(pn_xoshiro_next(g) >> 11) * 0x1p-53;
            s[i] = (uint8_t)(bit ^ (u < (bit ? c->off : c->on)));
        }
        if (!pn_bm_anneal(m, s, j->units + first, m->n - first, &c->schedule, g, pairs, pairs + m->n * m->n, fields, member->poll, member->index == 0))
            return false;
    }
    return true;
}

/* One cycle of one experiment; false when stopped, and then nothing is changed. */
static bool cycle(job *j, int64_t r, pn_member *member) {
    const pn_encoder *c = j->c;
    const int64_t n = j->n, size = n * n + n;
    int64_t *progress = c->progress + 3 * r, *counts = (int64_t *)(void *)(j->memory + j->member_bytes * (size_t)member->index);
    uint8_t *s = (uint8_t *)counts + j->state_at;
    double *fields = (double *)(void *)(s + (n + 63) / 64 * 64);
    pn_bm_training t = {
        .m = {.n = n, .nv = 2 * c->width, .w = c->w + r * n * n, .b = c->b + r * n, .mask = j->mask}, .schedule = c->schedule, .signs = true, .lr = c->step};
    pn_xoshiro g;
    pn_xoshiro_seed(&g, pn_energy_seed(pn_energy_seed(c->seed, (uint64_t)r), (uint64_t)progress[0]));
    memset(counts, 0, (size_t)(2 * size) * sizeof *counts);
    for (int which = 0; which < 2; which++) {
        if (!phase(j, &t.m, which, &g, s, counts + which * size, fields, member)) return false;
    }
    pn_bm_change(&t, counts, counts + n * n, counts + size, counts + size + n * n, (double)(c->width * c->repeats * c->schedule.looks));
    progress[0]++;
    progress[2] = is_solved(c, &t.m) ? progress[2] + 1 : 0;
    if (c->steady > 0 && progress[2] >= c->steady) progress[1] = progress[0] - progress[2] + 1;
    return true;
}

static void run(void *context, pn_member *m) {
    job *j = context;
    const pn_encoder *c = j->c;
    for (;;) {
        const int64_t r = atomic_fetch_add(&j->next, 1);
        if (r >= c->experiments) return;
        const int64_t *progress = c->progress + 3 * r;
        for (int64_t k = 0; k < j->now && progress[0] < c->cycles && !progress[1]; k++) {
            if ((m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll)) || !cycle(j, r, m)) return;
        }
    }
}

pn_status pn_encoder_run(const pn_encoder *c, int64_t cycles_now, pn_poll *poll, pn_error *e) {
    const int64_t n = 2 * c->width + c->hidden;
    if (c->hidden > MOST_HIDDEN || c->width > 256)
        return pn_fail(e, PN_E_VALUE, "an encoder has at most 256 units on either side and %d hidden ones, got %lld and %lld", MOST_HIDDEN, (long long)c->width,
                       (long long)c->hidden);
    const int threads = pn_threads_get();
    job j = {.c = c, .n = n, .now = cycles_now, .state_at = (2 * (size_t)(n * n + n) * sizeof(int64_t) + 63) / 64 * 64};
    j.member_bytes = j.state_at + (size_t)(n + 63) / 64 * 64 + pn_bm_scratch(n);
    j.mask = pn_alloc((size_t)(n * n));
    j.units = pn_alloc((size_t)n * sizeof *j.units);
    j.memory = pn_alloc((size_t)threads * j.member_bytes);
    const bool memory = j.mask && j.units && j.memory;
    if (memory) {
        connect(c, j.mask, n);
        for (int32_t i = 0; i < n; i++) j.units[i] = i;
        pn_team_run(threads, poll, run, &j);
    }
    pn_free(j.mask);
    pn_free(j.units);
    pn_free(j.memory);
    if (!memory) return pn_fail(e, PN_E_MEMORY, "not enough memory for encoders of %lld units", (long long)n);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
