/* All states of the free units of a Boltzmann machine in the order of a Gray code: from state to state one unit changes, and with it the energy by its
 * field. The code is cut into STRIPS runs with sums of their own, added in the order of the strips. */
#include "energy/boltzmann.h"

#include <string.h>

#include "base/alloc.h"
#include "base/team.h"
#include "kernels/kernels.h"

#define STRIPS 16
#define FRESH 1024 /* states after which fields and energy are computed anew: no drift */

typedef struct job {
    const pn_bm *m;
    const uint8_t *s;
    int32_t free[PN_BM_ENUMERABLE];
    int n_free;
    double temperature, log_z;
    bool moments;
    double *most, *sum, *pairs; /* (STRIPS), (STRIPS), (STRIPS, n, n) */
    char *memory;               /* of a member: state (n), fields (n) */
    size_t member_bytes;
} job;

static double exp_of(double x) {
    double y;
    pn_kernels_get()->d.act_forward[PN_ACT_exp](&y, &x, 1, NULL);
    return y;
}

static void set_state(const job *j, uint64_t number, uint8_t *s, double *x, double *energy) {
    const pn_bm *m = j->m;
    const uint64_t code = number ^ number >> 1;
    for (int k = 0; k < j->n_free; k++) s[j->free[k]] = code >> k & 1;
    for (int64_t i = 0; i < m->n; i++) {
        x[i] = m->b[i];
        for (int64_t k = 0; k < m->n; k++) x[i] += s[k] ? m->w[i * m->n + k] : 0;
    }
    *energy = pn_bm_energy(m, s);
}

static void add_state(job *j, int strip, const uint8_t *s, double weight) {
    const int64_t n = j->m->n;
    double *pairs = j->pairs + strip * n * n;
    for (int64_t i = 0; i < n; i++) {
        if (!s[i]) continue;
        for (int64_t k = i; k < n; k++) pairs[i * n + k] += s[k] ? weight : 0;
    }
}

static void visit(job *j, int strip, const uint8_t *s, double energy) {
    const double log_weight = -energy / j->temperature;
    if (j->moments) {
        add_state(j, strip, s, exp_of(log_weight - j->log_z));
    } else {
        if (log_weight > j->most[strip]) {
            j->sum[strip] *= exp_of(j->most[strip] - log_weight);
            j->most[strip] = log_weight;
        }
        j->sum[strip] += exp_of(log_weight - j->most[strip]);
    }
}

static bool run_strip(job *j, pn_member *m, int strip) {
    const pn_bm *bm = j->m;
    uint8_t *s = (uint8_t *)j->memory + j->member_bytes * (size_t)m->index;
    double *x = (double *)(void *)(s + (bm->n + 63) / 64 * 64), energy = 0;
    const uint64_t states = (uint64_t)1 << j->n_free, lo = states * (uint64_t)strip / STRIPS, hi = states * (uint64_t)(strip + 1) / STRIPS;
    memcpy(s, j->s, (size_t)bm->n);
    for (uint64_t number = lo; number < hi; number++) {
        if ((number - lo) % FRESH == 0) {
            if (m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll)) return false;
            set_state(j, number, s, x, &energy);
        } else {
            const int32_t i = j->free[__builtin_ctzll(number)];
            const double *row = bm->w + i * bm->n, up = s[i] ? -1 : 1;
            energy -= up * x[i];
            s[i] ^= 1;
            for (int64_t k = 0; k < bm->n; k++) x[k] += up * row[k];
        }
        visit(j, strip, s, energy);
    }
    return true;
}

static void run(void *context, pn_member *m) {
    for (int strip = m->index; strip < STRIPS && run_strip(context, m, strip); strip += m->count) {}
}

static double log_of_sums(const job *j) {
    double most = j->most[0], sum = 0, log_sum;
    for (int s = 1; s < STRIPS; s++) most = j->most[s] > most ? j->most[s] : most;
    for (int s = 0; s < STRIPS; s++) sum += j->sum[s] * exp_of(j->most[s] - most);
    pn_kernels_get()->d.act_forward[PN_ACT_log](&log_sum, &sum, 1, NULL);
    return most + log_sum;
}

static void gather(const job *j, double *pairs) {
    const int64_t n = j->m->n;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = i; k < n; k++) {
            double total = 0;
            for (int s = 0; s < STRIPS; s++) total += j->pairs[s * n * n + i * n + k];
            pairs[i * n + k] = pairs[k * n + i] = total;
        }
    }
}

pn_status pn_bm_enumerate(const pn_bm *m, const uint8_t *s, const uint8_t *clamp, double temperature, double *log_z, double *pairs, pn_poll *poll,
                          pn_error *e) {
    job j = {.m = m, .s = s, .temperature = temperature};
    int64_t n_free = 0;
    for (int64_t i = 0; i < m->n; i++) {
        if (!clamp[i] && n_free++ < PN_BM_ENUMERABLE) j.free[n_free - 1] = (int32_t)i;
    }
    if (n_free > PN_BM_ENUMERABLE)
        return pn_fail(e, PN_E_VALUE, "enumeration of %lld units would take 2^%lld terms; at most %d are enumerated", (long long)n_free, (long long)n_free,
                       PN_BM_ENUMERABLE);
    j.n_free = (int)n_free;
    const int threads = pn_threads_get();
    const size_t n = (size_t)m->n;
    j.member_bytes = (n + 63) / 64 * 64 + pn_bm_scratch(m->n);
    double *sums = pn_alloc_zero(STRIPS * (2 + (pairs ? n * n : 0)) * sizeof *sums);
    j.memory = pn_alloc((size_t)threads * j.member_bytes);
    const bool memory = sums && j.memory;
    if (memory) {
        j.most = sums, j.sum = sums + STRIPS, j.pairs = sums + 2 * STRIPS;
        for (int k = 0; k < STRIPS; k++) j.most[k] = -1e308;
        pn_team_run(threads, poll, run, &j);
        *log_z = j.log_z = log_of_sums(&j);
        j.moments = true;
        if (pairs && !pn_poll_stopped(poll)) pn_team_run(threads, poll, run, &j);
        if (pairs) gather(&j, pairs);
    }
    pn_free(sums);
    pn_free(j.memory);
    if (!memory) return pn_fail(e, PN_E_MEMORY, "not enough memory to enumerate %lld units", (long long)n_free);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
