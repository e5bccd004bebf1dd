/* Annealing and learning of general Boltzmann machines: single units in random order, every local field kept up to date. */
#include "energy/boltzmann.h"

#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/team.h"
#include "energy/energy.h"

#define POLL_UNITS 20000 /* draws between two looks at the poll */
#define PHASES 2         /* streams of an annealing's number: clamped, free */

size_t pn_bm_scratch(int64_t n) { return ((size_t)n * sizeof(double) + 63) / 64 * 64; }

/* ---- one annealing ---- */

static void fields(const pn_bm *m, const uint8_t *s, double *x) {
    memcpy(x, m->b, (size_t)m->n * sizeof *x);
    for (int64_t j = 0; j < m->n; j++) {
        const double *row = m->w + j * m->n;
        for (int64_t i = 0; s[j] && i < m->n; i++) x[i] += row[i];
    }
}

static inline int64_t below(pn_xoshiro *g, int64_t n) { return (int64_t)((unsigned __int128)pn_xoshiro_next(g) * (uint64_t)n >> 64); }
static inline double unit(pn_xoshiro *g) { return (double)(pn_xoshiro_next(g) >> 11) * 0x1p-53; }

static void sweep(const pn_bm *m, uint8_t *s, double *x, const int32_t *free, int64_t n_free, double temperature, pn_xoshiro *g) {
    for (int64_t k = 0; k < n_free; k++) {
        const int32_t i = free[below(g, n_free)];
        const uint8_t next = unit(g) < pn_rule_probability(PN_RULE_GLAUBER, -x[i], temperature);
        if (next == s[i]) continue;
        const double *row = m->w + i * m->n;
        s[i] = next;
        if (next)
            for (int64_t j = 0; j < m->n; j++) x[j] += row[j];
        else
            for (int64_t j = 0; j < m->n; j++) x[j] -= row[j];
    }
}

static void count(const pn_bm *m, const uint8_t *s, int64_t *pairs, int64_t *singles) {
    for (int64_t i = 0; i < m->n; i++) {
        if (!s[i]) continue;
        singles[i]++;
        int64_t *row = pairs + i * m->n;
        for (int64_t j = i + 1; j < m->n; j++) row[j] += s[j];
    }
}

bool pn_bm_anneal(const pn_bm *m, uint8_t *s, const int32_t *free, int64_t n_free, const pn_bm_schedule *schedule, pn_xoshiro *g, int64_t *pairs,
                  int64_t *singles, void *scratch, pn_poll *poll, bool asks) {
    double *x = scratch;
    int64_t work = 0;
    for (int64_t k = 0; k < n_free; k++) s[free[k]] = (uint8_t)(pn_xoshiro_next(g) >> 63);
    fields(m, s, x);
    for (int64_t stage = 0; stage <= schedule->stages; stage++) {
        const bool looking = stage == schedule->stages;
        const int64_t sweeps = looking ? schedule->looks : schedule->sweeps[stage];
        for (int64_t t = 0; t < sweeps; t++) {
            sweep(m, s, x, free, n_free, schedule->temperature[looking ? stage - 1 : stage], g);
            if (looking && pairs) count(m, s, pairs, singles);
            if ((work += n_free) < POLL_UNITS) continue;
            work = 0;
            if (asks ? pn_poll_now(poll) : pn_poll_stopped(poll)) return false;
        }
    }
    return true;
}

double pn_bm_energy(const pn_bm *m, const uint8_t *s) {
    double energy = 0;
    for (int64_t i = 0; i < m->n; i++) {
        if (!s[i]) continue;
        energy -= m->b[i];
        for (int64_t j = i + 1; j < m->n; j++) energy -= s[j] ? m->w[i * m->n + j] : 0;
    }
    return energy;
}

/* ---- the change ---- */

static void change_one(const pn_bm_training *t, double difference, double *w, double *velocity, double decay) {
    const double last = t->schedule.temperature[t->schedule.stages - 1];
    const double gradient = t->signs ? (double)((difference > 0) - (difference < 0)) : difference / last;
    double step = t->lr * (gradient - decay * *w);
    if (velocity) step = *velocity = t->momentum * *velocity + step;
    *w += step;
}

double pn_bm_change(const pn_bm_training *t, const int64_t *pairs, const int64_t *singles, const int64_t *free_pairs, const int64_t *free_singles,
                    double looks) {
    const pn_bm *m = &t->m;
    double total = 0;
    int64_t couplings = 0;
    for (int64_t i = 0; i < m->n; i++) {
        change_one(t, (double)(singles[i] - free_singles[i]) / looks, &m->b[i], t->vb ? &t->vb[i] : NULL, 0);
        for (int64_t j = i + 1; j < m->n; j++) {
            const int64_t at = i * m->n + j, turned = j * m->n + i;
            if (!m->mask[at]) continue;
            const double difference = (double)(pairs[at] - free_pairs[at]) / looks;
            change_one(t, difference, &m->w[at], t->vw ? &t->vw[at] : NULL, t->weight_decay);
            m->w[turned] = m->w[at];
            if (t->vw) t->vw[turned] = t->vw[at];
            total += difference < 0 ? -difference : difference;
            couplings++;
        }
    }
    return couplings ? total / (double)couplings : 0;
}

/* ---- steps of one machine by a team ---- */

typedef struct walk {
    const pn_bm_training *t;
    int64_t annealings; /* of each phase */
    int64_t batch;
    int32_t *units;  /* (n) 0, 1, ...: the hidden ones are its tail */
    int64_t *counts; /* (members, PHASES, n n + n) */
    char *scratch;   /* (members): state, then fields */
    size_t member_bytes;
    bool stop[2];
    double deadline;
} walk;

static int64_t *counts_of(const walk *w, int member, int phase) {
    const int64_t n = w->t->m.n;
    return w->counts + (member * PHASES + phase) * (n * n + n);
}

static void clamp(const pn_bm_training *t, const uint8_t *row, uint8_t *s, pn_xoshiro *g) {
    for (int64_t i = 0; i < t->m.nv; i++) {
        const double turned = row[i] ? t->off : t->on;
        s[i] = row[i] ^ (turned > 0 && unit(g) < turned);
    }
}

static void anneal_share(walk *w, pn_member *m) {
    const pn_bm_training *t = w->t;
    const int64_t n = t->m.n, nv = t->m.nv;
    uint8_t *s = (uint8_t *)w->scratch + w->member_bytes * (size_t)m->index;
    memset(counts_of(w, m->index, 0), 0, (size_t)(PHASES * (n * n + n)) * sizeof(int64_t));
    for (int64_t a = m->index; a < PHASES * w->annealings; a += m->count) {
        const int phase = a >= w->annealings;
        pn_xoshiro g;
        pn_xoshiro_seed(&g, pn_energy_seed(pn_energy_seed(t->seed, (uint64_t)t->progress[2] + 1), (uint64_t)a));
        const int64_t at = t->progress[1] + a % w->annealings / t->repeats;
        if (!phase) clamp(t, t->data + (t->order ? t->order[at] : at) * nv, s, &g);
        int64_t *pairs = counts_of(w, m->index, phase);
        const int64_t first = phase ? 0 : nv;
        if (!pn_bm_anneal(&t->m, s, w->units + first, n - first, &t->schedule, &g, pairs, pairs + n * n, s + w->member_bytes - pn_bm_scratch(n), m->poll,
                          m->index == 0))
            return;
        if (m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll)) return;
    }
}

/* Member 0: counts of all members together, then the change. */
static void finish_step(walk *w, int members) {
    const pn_bm_training *t = w->t;
    const int64_t n = t->m.n, size = n * n + n;
    for (int k = 1; k < members; k++) {
        for (int64_t i = 0; i < PHASES * size; i++) w->counts[i] += counts_of(w, k, 0)[i];
    }
    const int64_t *clamped = counts_of(w, 0, 0), *loose = counts_of(w, 0, 1);
    t->sums[1] += pn_bm_change(t, clamped, clamped + n * n, loose, loose + n * n, (double)(w->annealings * t->schedule.looks));
    t->sums[0] += 1;
    t->progress[1] += w->batch;
    t->progress[2]++;
}

static void run(void *context, pn_member *m) {
    walk *w = context;
    const pn_bm_training *t = w->t;
    for (int turn = 0;; turn ^= 1) {
        if (m->index == 0) {
            const int64_t left = t->rows - t->progress[1];
            w->stop[turn] = left <= 0 || pn_poll_now(m->poll) || pn_clock() >= w->deadline;
            w->batch = left < t->batch ? left : t->batch;
            w->annealings = w->batch * t->repeats;
        }
        pn_member_barrier(m);
        if (w->stop[turn]) return;
        anneal_share(w, m);
        pn_member_barrier(m);
        if (m->index == 0 && !pn_poll_stopped(m->poll)) finish_step(w, m->count);
    }
}

pn_status pn_bm_train(pn_bm_training *t, double seconds, bool *epoch_done, pn_poll *poll, pn_error *e) {
    const int threads = pn_threads_get();
    const size_t n = (size_t)t->m.n, counts = (size_t)threads * PHASES * (n * n + n) * sizeof(int64_t);
    walk w = {.t = t, .deadline = pn_clock() + seconds, .member_bytes = (n + 63) / 64 * 64 + pn_bm_scratch(t->m.n)};
    *epoch_done = false;
    w.counts = pn_alloc(counts);
    w.scratch = pn_alloc((size_t)threads * w.member_bytes);
    w.units = pn_alloc(n * sizeof *w.units);
    const bool memory = w.counts && w.scratch && w.units;
    if (memory) {
        for (int32_t i = 0; i < t->m.n; i++) w.units[i] = i;
        pn_team_run(threads, poll, run, &w);
    }
    pn_free(w.counts);
    pn_free(w.scratch);
    pn_free(w.units);
    if (!memory) return pn_fail(e, PN_E_MEMORY, "not enough memory for the counts of %lld units", (long long)t->m.n);
    if (t->progress[1] >= t->rows) {
        t->progress[0]++;
        t->progress[1] = 0;
        *epoch_done = true;
        return PN_OK;
    }
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted after step %lld", (long long)t->progress[2]) : PN_OK;
}

/* ---- sampling ---- */

typedef struct sampling {
    const pn_bm *m;
    const pn_bm_schedule *schedule;
    uint8_t *s, *done;
    int32_t *free;
    int64_t n_free, replicas, first;
    uint64_t seed;
    char *scratch;
    atomic_llong next; /* replicas are taken one after the other */
} sampling;

static void sample_some(void *context, pn_member *m) {
    sampling *j = context;
    const size_t bytes = pn_bm_scratch(j->m->n);
    while (!(m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll))) {
        const int64_t r = atomic_fetch_add(&j->next, 1);
        pn_xoshiro g;
        if (r >= j->replicas) return;
        pn_xoshiro_seed(&g, pn_energy_seed(j->seed, (uint64_t)(j->first + r)));
        if (!pn_bm_anneal(j->m, j->s + r * j->m->n, j->free, j->n_free, j->schedule, &g, NULL, NULL, j->scratch + bytes * (size_t)m->index, m->poll,
                          m->index == 0))
            return;
        j->done[r] = 1;
    }
}

pn_status pn_bm_sample(const pn_bm *m, uint8_t *s, const uint8_t *clamp, int64_t replicas, const pn_bm_schedule *schedule, uint64_t seed, int64_t first,
                       uint8_t *done, pn_poll *poll, pn_error *e) {
    sampling j = {.m = m, .schedule = schedule, .s = s, .done = done, .replicas = replicas, .first = first, .seed = seed};
    j.free = pn_alloc((size_t)m->n * sizeof *j.free);
    j.scratch = pn_alloc((size_t)pn_threads_get() * pn_bm_scratch(m->n));
    const bool memory = j.free && j.scratch;
    if (memory) {
        for (int32_t i = 0; i < m->n; i++) {
            if (!clamp[i]) j.free[j.n_free++] = i;
        }
        pn_team_run(pn_threads_get(), poll, sample_some, &j);
    }
    pn_free(j.free);
    pn_free(j.scratch);
    if (!memory) return pn_fail(e, PN_E_MEMORY, "not enough memory for annealings of %lld units", (long long)m->n);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
