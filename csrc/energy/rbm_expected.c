/* What contrastive divergence does on average: the law of the visible states is carried through k sweeps exactly. Source: Carreira-Perpinan, Hinton 2005. */
#include "energy/rbm_layer.h"

#define MOST_UNITS 24

/* to[s] (+)= weight times the probability of state s of n units with probabilities p: built up unit by unit in `law` (2^n). */
static void add_law(double *to, double *law, const double *p, int64_t n, double weight) {
    law[0] = weight;
    for (int64_t i = 0; i < n; i++) {
        const int64_t half = (int64_t)1 << i;
        for (int64_t s = 0; s < half; s++) {
            law[s + half] = law[s] * p[i];
            law[s] -= law[s + half];
        }
    }
    kernels_d()->accumulate(to, law, (int64_t)1 << n);
}

/* p (units) of one layer given state s of the other. */
static void chances(const pn_rbm *m, bool up, int64_t s, double *p) {
    const double *w = m->w, *b = up ? m->c : m->b;
    const int64_t far = up ? m->nh : m->nv, near = up ? m->nv : m->nh;
    for (int64_t f = 0; f < far; f++) {
        p[f] = b[f];
        for (int64_t i = 0; i < near; i++) {
            if (s >> i & 1) p[f] += w[up ? i * m->nh + f : f * m->nh + i];
        }
    }
    kernels_d()->act_forward[PN_ACT_sigmoid](p, p, far, NULL);
}

/* The law of the other layer from that of one. */
static bool carry(const pn_rbm *m, bool up, const double *from, double *to, double *law, pn_poll *poll) {
    const int64_t near = up ? m->nv : m->nh, far = up ? m->nh : m->nv;
    double p[MOST_UNITS];
    memset(to, 0, sizeof *to << far);
    for (int64_t s = 0; s < (int64_t)1 << near; s++) {
        if (pn_poll_now(poll)) return false;
        if (from[s] == 0) continue;
        chances(m, up, s, p);
        add_law(to, law, p, far, from[s]);
    }
    return true;
}

/* Adds sign times <v h>, <v>, <h> under a law of the visible states. */
static void add_statistics(const pn_rbm *m, const double *law, double sign, double *vh, double *v, double *h) {
    double p[MOST_UNITS];
    for (int64_t s = 0; s < (int64_t)1 << m->nv; s++) {
        if (law[s] == 0) continue;
        chances(m, true, s, p);
        for (int64_t j = 0; j < m->nh; j++) h[j] += sign * law[s] * p[j];
        for (int64_t i = 0; i < m->nv; i++) {
            if (!(s >> i & 1)) continue;
            v[i] += sign * law[s];
            for (int64_t j = 0; j < m->nh; j++) vh[i * m->nh + j] += sign * law[s] * p[j];
        }
    }
}

pn_status pn_rbm_expected_cd(const pn_rbm *m, const double *data, int64_t n, int64_t k, double *vh, double *v, double *h, pn_poll *poll, pn_error *e) {
    if (m->dtype != PN_F64 || m->visible != PN_VISIBLE_BINARY) return pn_fail(e, PN_E_TYPE, "the expected CD is for binary units in float64");
    if (m->nv + m->nh > MOST_UNITS)
        return pn_fail(e, PN_E_VALUE, "the expected CD of %lld units would take 2^%lld terms; at most %d units in all are possible", (long long)(m->nv + m->nh),
                       (long long)(m->nv + m->nh), MOST_UNITS);
    const size_t nv = (size_t)1 << m->nv, nh = (size_t)1 << m->nh;
    double *memory = pn_alloc_zero((nv + nh + rbm_larger(nv, nh)) * sizeof *memory), *visible = memory, *hidden = memory + nv, *law = hidden + nh;
    if (!memory) return pn_fail(e, PN_E_MEMORY, "not enough memory for the laws of 2^%lld states", (long long)(m->nv > m->nh ? m->nv : m->nh));
    memset(vh, 0, (size_t)(m->nv * m->nh) * sizeof *vh);
    memset(v, 0, (size_t)m->nv * sizeof *v);
    memset(h, 0, (size_t)m->nh * sizeof *h);
    for (int64_t r = 0; r < n; r++) {
        int64_t state = 0;
        for (int64_t i = 0; i < m->nv; i++) state |= (int64_t)(data[r * m->nv + i] > 0.5) << i;
        visible[state] += 1 / (double)n;
    }
    add_statistics(m, visible, 1, vh, v, h);
    bool alive = true;
    for (int64_t s = 0; s < k && alive; s++) alive = carry(m, true, visible, hidden, law, poll) && carry(m, false, hidden, visible, law, poll);
    add_statistics(m, visible, -1, vh, v, h);
    pn_free(memory);
    return alive ? PN_OK : pn_fail(e, PN_E_INTERRUPTED, "interrupted");
}
