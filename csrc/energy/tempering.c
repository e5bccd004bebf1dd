/* Parallel tempering: swaps between rounds of sweeps. */
#include "energy/ladder.h"
#include "energy/scalar.h"

static void place(pn_tempering *t, int64_t chain, int64_t rung) {
    const int64_t replica = t->holder[chain * t->rungs + rung];
    t->temperature[replica] = t->ladder[rung];
    t->row[replica] = rung * t->chains + chain;
    if (rung == 0) {
        t->trips[replica] += t->way[replica] < 0;
        t->way[replica] = 1;
    } else if (rung == t->rungs - 1 && t->way[replica] > 0) {
        t->way[replica] = -1;
    }
}

void pn_tempering_settle(pn_tempering *t) {
    for (int64_t chain = 0; chain < t->chains; chain++) {
        for (int64_t rung = 0; rung < t->rungs; rung++) place(t, chain, rung);
    }
}

static bool swaps(const pn_tempering *t, const double *energy, int64_t chain, int64_t rung) {
    const int64_t *holder = t->holder + chain * t->rungs + rung;
    const double gain = (1 / t->ladder[rung] - 1 / t->ladder[rung + 1]) * (energy[holder[0]] - energy[holder[1]]);
    const double p = pn_rule_probability(PN_RULE_METROPOLIS, -gain, 1);
    return pn_scalar_unit((pn_xoshiro *)(t->streams + 4 * chain)) < p;
}

static void exchange(double *a, double *b) {
    const double c = *a;
    *a = *b;
    *b = c;
}

/* The record of this sweep follows the replicas, so that the last record is that of the spins. */
static void swap_records(const pn_sampler *s, int64_t row, int64_t other) {
    const pn_records *r = &s->records;
    const int64_t k = pn_records_after(r, s->done - 1);
    if (k < 0) return;
    exchange(r->energy + row * r->count + k, r->energy + other * r->count + k);
    exchange(r->magnetization + row * r->count + k, r->magnetization + other * r->count + k);
}

void pn_tempering_swap(pn_sampler *s, pn_poll *poll) {
    pn_tempering *t = s->context;
    (void)poll;
    for (int64_t chain = 0; chain < t->chains; chain++) {
        for (int64_t rung = *t->turns & 1; rung + 1 < t->rungs; rung += 2) {
            t->attempts[rung]++;
            if (!swaps(t, s->energy, chain, rung)) continue;
            int64_t *holder = t->holder + chain * t->rungs + rung;
            const int64_t replica = holder[0];
            holder[0] = holder[1];
            holder[1] = replica;
            t->swaps[rung]++;
            swap_records(s, t->row[holder[0]], t->row[holder[1]]);
            place(t, chain, rung);
            place(t, chain, rung + 1);
        }
    }
    ++*t->turns;
}
