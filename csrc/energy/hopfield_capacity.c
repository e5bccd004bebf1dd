/* The capacity experiment: random memories, each made, asked and forgotten by one member. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "energy/energy.h"
#include "energy/hopfield_parts.h"

#define SWEEPS_MOST 1000

typedef struct experiment {
    const pn_capacity *c;
    int64_t padded;
    char *room; /* per member: columns, a state, the first pattern, one earlier, room of the walk */
    size_t stride, columns, state;
} experiment;

/* Random patterns, neuron by neuron. */
static void draw_columns(const experiment *x, int16_t *columns, pn_xoshiro *g) {
    for (int64_t i = 0; i < x->c->n; i++) {
        uint64_t bits = 0;
        for (int64_t p = 0; p < x->padded; p++, bits >>= 1) {
            if (p % 64 == 0) bits = pn_xoshiro_next(g);
            columns[i * x->padded + p] = p >= x->c->patterns ? 0 : bits & 1 ? 1 : -1;
        }
    }
}

/* The first pattern, and a state that differs from it in c->turned places. */
static void draw_start(const experiment *x, const int16_t *columns, int8_t *first, int8_t *state, pn_xoshiro *g) {
    const int64_t n = x->c->n;
    for (int64_t i = 0; i < n; i++) state[i] = first[i] = (int8_t)columns[i * x->padded];
    for (int64_t i = 0, left = x->c->turned; left; i++) { /* each place with chance left / places */
        if ((int64_t)(((pn_xoshiro_next(g) >> 32) * (uint64_t)(n - i)) >> 32) >= left) continue;
        state[i] = (int8_t)-state[i];
        left--;
    }
}

static void run_sample(const experiment *x, int64_t sample, char *room, pn_member *m) {
    const pn_capacity *c = x->c;
    int16_t *columns = (int16_t *)room;
    int8_t *state = (int8_t *)(room + x->columns), *first = state + x->state, *before = first + x->state;
    const uint64_t seed = pn_energy_seed(c->seed, (uint64_t)(c->first + sample));
    pn_xoshiro g;
    pn_xoshiro_seed(&g, seed);
    draw_columns(x, columns, &g);
    draw_start(x, columns, first, state, &g);
    const pn_hopfield net = {.n = c->n, .patterns = c->patterns, .padded = x->padded, .columns = columns, .divisor = 1};
    int64_t taken = 0;
    int8_t cycle = 0;
    const pn_recall r = {.net = &net,
                         .sync = c->sync,
                         .random = true,
                         .seed = seed,
                         .rows = 1,
                         .steps = SWEEPS_MOST,
                         .state = state,
                         .before = before,
                         .taken = &taken,
                         .cycle = &cycle};
    pn_hopfield_walk(&r, 0, 1, before + x->state, m);
    if (pn_poll_stopped(m->poll)) return;
    int64_t overlap = 0;
    for (int64_t i = 0; i < c->n; i++) overlap += state[i] * first[i];
    c->overlap[sample] = (double)overlap / (double)c->n;
}

static void capacity_member(void *context, pn_member *m) {
    const experiment *x = context;
    int64_t lo, hi;
    pn_member_range(m, x->c->samples, &lo, &hi);
    for (int64_t s = lo; s < hi && !pn_walk_stopped(m); s++) run_sample(x, s, x->room + (size_t)m->index * x->stride, m);
}

pn_status pn_hopfield_capacity(const pn_capacity *c, int threads, pn_poll *poll, pn_error *e) {
    if (c->n < 1 || c->n > PN_HOPFIELD_MOST || c->patterns < 1 || c->patterns > PN_HOPFIELD_MOST)
        return pn_fail(e, PN_E_VALUE, "neurons and patterns must be 1 to %d, got %lld and %lld", PN_HOPFIELD_MOST, (long long)c->n, (long long)c->patterns);
    if (c->turned < 0 || c->turned > c->n)
        return pn_fail(e, PN_E_VALUE, "0 to all %lld neurons can be turned over, not %lld", (long long)c->n, (long long)c->turned);
    experiment x = {.c = c, .padded = (c->patterns + PN_HOPFIELD_PAD - 1) / PN_HOPFIELD_PAD * PN_HOPFIELD_PAD};
    const pn_hopfield net = {.n = c->n, .padded = x.padded};
    x.columns = (size_t)c->n * (size_t)x.padded * sizeof(int16_t);
    x.state = ((size_t)c->n + 63) / 64 * 64;
    x.stride = (x.columns + 63) / 64 * 64 + 3 * x.state + pn_hopfield_walk_room(&net);
    if (threads > c->samples) threads = c->samples > 0 ? (int)c->samples : 1;
    x.room = pn_alloc(x.stride * (size_t)threads);
    if (!x.room) return pn_fail(e, PN_E_MEMORY, "no memory for %lld patterns of %lld neurons", (long long)c->patterns, (long long)c->n);
    pn_team_run(threads, poll, capacity_member, &x);
    pn_free(x.room);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
