/* Transition matrices, row by row. */
#include "energy/transition.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* Spins of state number `code`. */
static void spins_of(int64_t n, int64_t code, int8_t *s) {
    for (int64_t i = 0; i < n; i++) s[i] = code >> (n - 1 - i) & 1 ? 1 : -1;
}

/* flips (2^n, n): probability that a visit to spin i flips it in that state. */
static void flip_probabilities(const pn_couplings *m, const pn_transition *t, double *flips) {
    int8_t s[PN_TRANSITION_SPINS];
    for (int64_t a = 0; a < (int64_t)1 << m->n; a++) {
        spins_of(m->n, a, s);
        for (int64_t i = 0; i < m->n; i++) flips[a * m->n + i] = t->proposed * pn_rule_probability(t->rule, 2 * s[i] * pn_local_field(m, s, i), t->temperature);
    }
}

static void random_row(double *row, int64_t n, int64_t a, const double *flips) {
    double leaving = 0;
    for (int64_t i = 0; i < n; i++) {
        const double p = flips[a * n + i] / (double)n;
        row[a ^ (int64_t)1 << (n - 1 - i)] = p;
        leaving += p;
    }
    row[a] = 1 - leaving;
}

/* One visit: the probability of both states of a pair that differ in spin i. */
static void visit(double *row, int64_t n, int64_t i, const double *flips) {
    const int64_t bit = (int64_t)1 << (n - 1 - i);
    for (int64_t a = 0; a < (int64_t)1 << n; a++) {
        const int64_t b = a | bit;
        if (a == b) continue;
        const double up = row[a] * flips[a * n + i], down = row[b] * flips[b * n + i];
        row[a] += down - up;
        row[b] += up - down;
    }
}

static pn_status check(const pn_couplings *m, const pn_transition *t, pn_error *e) {
    if (m->n > PN_TRANSITION_SPINS) return pn_fail(e, PN_E_VALUE, "a transition matrix takes at most %d spins, got %lld", PN_TRANSITION_SPINS, (long long)m->n);
    if (!(t->temperature > 0) || !isfinite(t->temperature)) return pn_fail(e, PN_E_VALUE, "T must be positive and finite, got %g", t->temperature);
    if (!(t->proposed >= 0 && t->proposed <= 1)) return pn_fail(e, PN_E_VALUE, "a probability must be between 0 and 1, got %g", t->proposed);
    for (int64_t k = 0; t->order && k < t->visits; k++) {
        if (t->order[k] < 0 || t->order[k] >= m->n)
            return pn_fail(e, PN_E_VALUE, "the order visits spin %d, but there are %lld spins", t->order[k], (long long)m->n);
    }
    return PN_OK;
}

pn_status pn_transition_matrix(double *p, const pn_couplings *m, const pn_transition *t, pn_poll *poll, pn_error *e) {
    const pn_status status = check(m, t, e);
    if (status) return status;
    const int64_t states = (int64_t)1 << m->n;
    double *flips = pn_alloc((size_t)(states * m->n) * sizeof *flips);
    if (!flips) return pn_fail(e, PN_E_MEMORY, "no memory for the transition matrix of %lld spins", (long long)m->n);
    flip_probabilities(m, t, flips);
    memset(p, 0, (size_t)(states * states) * sizeof *p);
    bool stopped = false;
    for (int64_t a = 0; a < states && !stopped; a++) {
        double *row = p + a * states;
        if (t->order) {
            row[a] = 1;
            for (int64_t k = 0; k < t->visits && !stopped; k++) {
                visit(row, m->n, t->order[k], flips);
                if (k % 16 == 15) stopped = pn_poll_now(poll);
            }
        } else {
            random_row(row, m->n, a, flips);
        }
        if (a % 16 == 15) stopped = stopped || pn_poll_now(poll);
    }
    pn_free(flips);
    return stopped ? pn_fail(e, PN_E_INTERRUPTED, "the transition matrix was interrupted") : PN_OK;
}
