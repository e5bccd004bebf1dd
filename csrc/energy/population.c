/* Population annealing: resampling between temperatures. */
#include <string.h>

#include "energy/ladder.h"
#include "energy/scalar.h"

/* weight (replicas) = exp(-step (E - least E)) for a step of 1 / T; returns the logarithm of the mean of exp(-step E). */
static double weigh(pn_population *p, const double *energy, int64_t replicas, double step) {
    double least = energy[0], sum = 0;
    for (int64_t r = 1; r < replicas; r++) {
        if (step * energy[r] < step * least) least = energy[r];
    }
    for (int64_t r = 0; r < replicas; r++) {
        p->weight[r] = pn_rule_probability(PN_RULE_METROPOLIS, step * (energy[r] - least), 1);
        sum += p->weight[r];
    }
    return pn_log_exact(sum / (double)replicas) - step * least;
}

/* count (replicas): copies of each, replicas in all; one random number for all of them, so that numbers vary as little as can be. */
static void count_copies(pn_population *p, int64_t replicas) {
    const double shift = pn_scalar_unit((pn_xoshiro *)p->stream);
    double total = 0, sum = 0;
    int64_t before = 0;
    for (int64_t r = 0; r < replicas; r++) total += p->weight[r];
    for (int64_t r = 0; r < replicas; r++) {
        sum += p->weight[r];
        int64_t after = (int64_t)(sum / total * (double)replicas + shift);
        if (after > replicas) after = replicas;
        p->count[r] = after - before;
        before = after;
    }
}

/* Replicas without copies take the place of the second and later copies of others. */
static void copy_spins(pn_sampler *s, pn_population *p, pn_poll *poll) {
    pn_engine *g = s->engine;
    const int64_t replicas = g->task.replicas;
    int64_t free_place = 0;
    for (int64_t r = 0; r < replicas; r++) {
        if (p->count[r] > 1) g->type->get(g, r, p->spins);
        for (int64_t more = p->count[r] - 1; more > 0; more--) {
            if (pn_poll_now(poll)) return;
            while (p->count[free_place] != 0) free_place++;
            g->type->put(g, free_place, p->spins);
            p->family[free_place++] = p->family[r];
        }
    }
}

static void count_families(pn_population *p, int64_t replicas, int64_t step) {
    double squares = 0;
    int64_t families = 0;
    memset(p->count, 0, (size_t)replicas * sizeof *p->count);
    for (int64_t r = 0; r < replicas; r++) p->count[p->family[r]]++;
    for (int64_t r = 0; r < replicas; r++) {
        families += p->count[r] > 0;
        squares += (double)p->count[r] * (double)p->count[r];
    }
    p->families[step] = families;
    p->crowding[step] = squares / (double)replicas;
}

static void resample(pn_sampler *s, pn_population *p, int64_t step, double change, double log_z, pn_poll *poll) {
    const int64_t replicas = s->engine->task.replicas;
    p->log_z[step] = log_z + weigh(p, s->energy, replicas, change);
    count_copies(p, replicas);
    copy_spins(s, p, poll);
    count_families(p, replicas, step);
}

void pn_population_begin(pn_sampler *s, pn_population *p, pn_poll *poll) {
    for (int64_t r = 0; r < s->engine->task.replicas; r++) p->family[r] = r;
    resample(s, p, 0, 1 / p->ladder[0], (double)s->engine->m->n * 0x1.62e42fefa39efp-1, poll);
}

void pn_population_step(pn_sampler *s, pn_poll *poll) {
    pn_population *p = s->context;
    const int64_t step = s->done / s->turn;
    if (step < p->steps) resample(s, p, step, 1 / p->ladder[step] - 1 / p->ladder[step - 1], p->log_z[step - 1], poll);
}
