/* All states of a small network: where each goes in one step, and in which cycle it ends. */
#include <math.h>

#include "base/alloc.h"
#include "energy/hopfield_parts.h"

#define LOW 10 /* bits that a block of states runs through in the order of a Gray code; longer, and rounding of real weights would add up */

typedef struct states {
    int64_t n;
    bool sync, plus;
    double k[PN_HOPFIELD_SMALL * PN_HOPFIELD_SMALL], slack[PN_HOPFIELD_SMALL];
    uint32_t *next;
} states;

static double sign_of(uint32_t state, int64_t i) { return state >> i & 1 ? 1 : -1; }

static void all_fields(const states *s, uint32_t state, double *h) {
    for (int64_t i = 0; i < s->n; i++) {
        h[i] = 0;
        for (int64_t j = 0; j < s->n; j++) h[i] += s->k[i * s->n + j] * sign_of(state, j);
    }
}

static void turn_over(const states *s, uint32_t *state, int64_t i, double *h) {
    *state ^= UINT32_C(1) << i;
    const double change = 2 * sign_of(*state, i);
    for (int64_t j = 0; j < s->n; j++) h[j] += change * s->k[i * s->n + j];
}

/* Whether neuron i becomes +1. */
static bool rises(const states *s, uint32_t state, double h, int64_t i) { return h > s->slack[i] || (h >= -s->slack[i] && (s->plus || state >> i & 1)); }

static uint32_t step_at_once(const states *s, uint32_t state, const double *h) {
    uint32_t next = 0;
    for (int64_t i = 0; i < s->n; i++) next |= (uint32_t)rises(s, state, h[i], i) << i;
    return next;
}

static uint32_t step_in_turn(const states *s, uint32_t state, const double *fields) {
    double h[PN_HOPFIELD_SMALL];
    for (int64_t i = 0; i < s->n; i++) h[i] = fields[i];
    for (int64_t i = 0; i < s->n; i++) {
        if (rises(s, state, h[i], i) != (state >> i & 1)) turn_over(s, &state, i, h);
    }
    return state;
}

static void states_member(void *context, pn_member *m) {
    const states *s = context;
    const int64_t low = s->n < LOW ? s->n : LOW;
    int64_t lo, hi;
    pn_member_range(m, (int64_t)1 << (s->n - low), &lo, &hi);
    for (int64_t b = lo; b < hi && !pn_walk_stopped(m); b++) {
        double h[PN_HOPFIELD_SMALL];
        uint32_t state = (uint32_t)b << low;
        all_fields(s, state, h);
        for (uint32_t count = 1;; count++) {
            s->next[state] = s->sync ? step_at_once(s, state, h) : step_in_turn(s, state, h);
            if (count == UINT32_C(1) << low) break;
            turn_over(s, &state, __builtin_ctz(count), h);
        }
    }
}

#define UNKNOWN UINT32_MAX
#define ON_THE_WAY (UINT32_MAX - 1)

/* The smallest state of the cycle through `state`. */
static uint32_t smallest(const uint32_t *next, uint32_t state) {
    uint32_t least = state;
    for (uint32_t at = next[state]; at != state; at = next[at]) least = at < least ? at : least;
    return least;
}

/* Walks on from every state until what is known, or until it meets its own way: a new cycle. Then all of the way is known. */
static void find_roots(const uint32_t *next, uint32_t *root, int64_t count, pn_poll *poll) {
    for (int64_t i = 0; i < count; i++) root[i] = UNKNOWN;
    for (int64_t i = 0; i < count; i++) {
        if (i % 4096 == 0 && pn_poll_now(poll)) return;
        uint32_t at = (uint32_t)i;
        for (; root[at] == UNKNOWN; at = next[at]) root[at] = ON_THE_WAY;
        const uint32_t end = root[at] == ON_THE_WAY ? smallest(next, at) : root[at];
        for (at = (uint32_t)i; root[at] == ON_THE_WAY; at = next[at]) root[at] = end;
    }
}

pn_status pn_hopfield_states(const pn_hopfield *net, bool sync, bool plus, uint32_t *next, uint32_t *root, int threads, pn_poll *poll, pn_error *e) {
    if (net->n > PN_HOPFIELD_SMALL)
        return pn_fail(e, PN_E_VALUE, "all states are looked at up to %d neurons, this network has %lld: 2^%lld states", PN_HOPFIELD_SMALL, (long long)net->n,
                       (long long)net->n);
    states s = {.n = net->n, .sync = sync, .plus = plus, .next = next};
    pn_hopfield_whole_matrix(net, 0, net->n, s.k);
    for (int64_t i = 0; i < net->n; i++) s.slack[i] = net->slack ? net->slack[i] : 0;
    pn_team_run(threads, poll, states_member, &s);
    if (!pn_poll_stopped(poll)) find_roots(next, root, (int64_t)1 << net->n, poll);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
