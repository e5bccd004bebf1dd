/* The driver of all runs: see sampler.h. A run is made of rounds; in a round all replicas do the same number of sweeps. */
#include "energy/sampler.h"

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/rng.h"

#define ROUND_SECONDS 0.02
#define POLL_WORK 32768 /* proposals and looks at neighbours between two looks at the poll */

/* ---- one sweep of one group ---- */

typedef struct desk {
    double *temperature, *energy, *sum; /* (per_group) */
    int64_t work;                       /* since the last look at the poll */
} desk;

static desk desk_of(const pn_sampler *s, const pn_member *m) {
    const int64_t n = s->engine->per_group;
    double *base = s->desks + m->index * 3 * n;
    return (desk){base, base + n, base + 2 * n, 0};
}

static void set_temperatures(const pn_sampler *s, desk *d, int64_t group, int64_t sweep) {
    const pn_temperatures *all = &s->temperatures;
    const double *row = all->t + (sweep < all->rows ? sweep : all->rows - 1) * all->columns;
    const int64_t n = pn_engine_group_size(s->engine, group);
    for (int64_t k = 0; k < s->engine->per_group; k++) {
        const int64_t replica = group * s->engine->per_group + (k < n ? k : 0); /* places that hold no replica get a temperature too */
        d->temperature[k] = row[all->columns > 1 ? replica : 0];
    }
}

int64_t pn_records_after(const pn_records *r, int64_t sweep) {
    const int64_t after = sweep + 1 - r->burn_in;
    return r->every && after > 0 && after % r->every == 0 && after / r->every <= r->count ? after / r->every - 1 : -1;
}

static bool is_measured(const pn_sampler *s, int64_t sweep) { return pn_records_after(&s->records, sweep) >= 0 || (s->turn && (sweep + 1) % s->turn == 0); }

static void measure(pn_sampler *s, desk *d, int64_t group, int64_t sweep) {
    const pn_engine *g = s->engine;
    const pn_records *r = &s->records;
    const int64_t k = pn_records_after(r, sweep), first = group * g->per_group, n = pn_engine_group_size(g, group);
    g->type->measure(g, group, d->energy, d->sum);
    for (int64_t i = 0; i < n; i++) {
        s->energy[first + i] = d->energy[i];
        if (k < 0) continue;
        const int64_t row = r->row ? r->row[first + i] : first + i;
        r->energy[row * r->count + k] = d->energy[i];
        r->magnetization[row * r->count + k] = d->sum[i] / (double)g->m->n;
    }
}

static bool is_stopped(pn_member *m, desk *d, int64_t work) {
    d->work += work;
    if (d->work < POLL_WORK) return false;
    d->work = 0;
    return m->index ? pn_poll_stopped(m->poll) : pn_poll_now(m->poll);
}

/* About what a piece costs, for the poll. A sweep that an engine cuts into many phases has long ones. */
static int64_t piece_work(const pn_engine *g) {
    const int64_t looks = (g->m->n / (g->phases * g->parts) + 1) * (1 + g->m->degree / 16) * g->per_group;
    return g->phases > 2 && looks < POLL_WORK / 8 ? POLL_WORK / 8 : looks;
}

/* ---- groups shared out ---- */

static bool sweep_group(pn_sampler *s, pn_member *m, desk *d, int64_t group, int64_t sweep) {
    pn_engine *g = s->engine;
    const int64_t work = piece_work(g);
    set_temperatures(s, d, group, sweep);
    for (int64_t phase = 0; phase < g->phases; phase++) {
        for (int64_t part = 0; part < g->parts; part++) {
            g->type->run(g, group, d->temperature, phase, part);
            if (is_stopped(m, d, work)) return false;
        }
    }
    if (is_measured(s, sweep)) measure(s, d, group, sweep);
    return true;
}

static void share_groups(pn_sampler *s, pn_member *m) {
    desk d = desk_of(s, m);
    for (int64_t group; (group = atomic_fetch_add(&s->next, 1)) < s->engine->groups;) {
        for (int64_t sweep = s->done; sweep < s->target; sweep++) {
            if (!sweep_group(s, m, &d, group, sweep)) return;
        }
    }
}

/* ---- parts shared out ---- */

/* All members walk together. Member 0 asks whether to stop; the two places for its answer take turns, so that none is written while others may still read it. */
static bool sweep_parts(pn_sampler *s, pn_member *m, desk *d, int64_t group, int64_t sweep, int *turn) {
    pn_engine *g = s->engine;
    int64_t lo, hi;
    pn_member_range(m, g->parts, &lo, &hi);
    set_temperatures(s, d, group, sweep);
    for (int64_t phase = 0; phase < g->phases; phase++) {
        for (int64_t part = lo; part < hi; part++) {
            g->type->run(g, group, d->temperature, phase, part);
            if (!m->index) is_stopped(m, d, piece_work(g));
        }
        if (!m->index) s->halt[*turn] = pn_poll_stopped(m->poll);
        pn_member_barrier(m);
        if (s->halt[*turn]) return false;
        *turn ^= 1;
    }
    if (!is_measured(s, sweep)) return true;
    if (!m->index) measure(s, d, group, sweep);
    pn_member_barrier(m);
    return true;
}

static void share_parts(pn_sampler *s, pn_member *m) {
    desk d = desk_of(s, m);
    int turn = 0;
    for (int64_t group = 0; group < s->engine->groups; group++) {
        for (int64_t sweep = s->done; sweep < s->target; sweep++) {
            if (!sweep_parts(s, m, &d, group, sweep, &turn)) return;
        }
    }
}

/* ---- rounds ---- */

/* How many sweeps the next round has: as many as take ROUND_SECONDS, judged by the round before; the end of a turn is the end of a round. */
static int64_t next_round(pn_sampler *s, int64_t last, double now) {
    const double spent = now - s->began;
    int64_t sweeps = last < 1 ? 1 : spent * 4 < ROUND_SECONDS ? 4 * last : (int64_t)((double)last * ROUND_SECONDS / spent) + 1;
    if (sweeps > s->sweeps - s->done) sweeps = s->sweeps - s->done;
    if (s->turn && sweeps > s->turn - s->done % s->turn) sweeps = s->turn - s->done % s->turn;
    return sweeps;
}

/* Member 0, between two rounds. */
static void decide(pn_sampler *s, pn_poll *poll) {
    const int64_t last = s->target - s->done;
    if (!pn_poll_stopped(poll) && last > 0) {
        s->done = s->target;
        if (s->turn && s->done % s->turn == 0) s->between(s, poll);
    }
    const double now = pn_clock();
    s->broken = pn_poll_now(poll);
    s->over = s->broken || s->done == s->sweeps || (last > 0 && now > s->deadline); /* every call does a round */
    if (s->over) return;
    s->target = s->done + next_round(s, last, now);
    s->began = now;
    atomic_store(&s->next, 0);
}

static void walk(void *context, pn_member *m) {
    pn_sampler *s = context;
    for (;;) {
        if (!m->index) decide(s, m->poll);
        pn_member_barrier(m);
        if (s->over) return;
        if (s->by_parts && m->count > 1)
            share_parts(s, m);
        else
            share_groups(s, m);
        pn_member_barrier(m);
    }
}

pn_status pn_sampler_run(pn_sampler *s, double seconds, pn_poll *poll, pn_error *e) {
    if (s->broken) return pn_fail(e, PN_E_RUNTIME, "the run was interrupted in the middle of a sweep and cannot go on");
    s->deadline = pn_clock() + seconds;
    s->target = s->done;
    pn_team_run(s->threads, poll, walk, s);
    return s->broken ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}

/* ---- setting up ---- */

pn_status pn_sampler_open(pn_sampler *s, int threads, pn_error *e) {
    const pn_engine *g = s->engine;
    s->by_parts = g->groups < threads && g->parts > 1;
    const int64_t pieces = s->by_parts ? g->parts : g->groups;
    s->threads = pieces < threads ? (int)pieces : threads;
    s->desks = pn_alloc((size_t)s->threads * 3 * (size_t)g->per_group * sizeof *s->desks);
    s->energy = pn_alloc_zero((size_t)g->task.replicas * sizeof *s->energy);
    if (s->desks && s->energy) return PN_OK;
    pn_sampler_close(s);
    return pn_fail(e, PN_E_MEMORY, "no memory for a run of %lld replicas", (long long)g->task.replicas);
}

void pn_sampler_close(pn_sampler *s) {
    pn_free(s->desks);
    pn_free(s->energy);
    s->desks = s->energy = NULL;
}

static pn_status ending(pn_poll *poll, pn_error *e) { return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK; }

pn_status pn_sampler_scatter(pn_engine *g, uint64_t seed, pn_poll *poll, pn_error *e) {
    const int64_t n = g->m->n;
    int8_t *spins = pn_alloc((size_t)n);
    if (!spins) return pn_fail(e, PN_E_MEMORY, "no memory for %lld spins", (long long)n);
    for (int64_t r = 0; r < g->task.replicas && !pn_poll_now(poll); r++) {
        pn_xoshiro random;
        uint64_t word = 0;
        pn_xoshiro_seed(&random, pn_energy_seed(pn_hash64(seed, PN_SAMPLER_START), (uint64_t)r));
        for (int64_t i = 0; i < n; i++, word >>= 1) {
            if (i % 64 == 0) word = pn_xoshiro_next(&random);
            spins[i] = word & 1 ? 1 : -1;
        }
        g->type->put(g, r, spins);
    }
    pn_free(spins);
    return ending(poll, e);
}

pn_status pn_sampler_measure(const pn_engine *g, double *energy, double *magnetization, pn_poll *poll, pn_error *e) {
    double *desk = pn_alloc(2 * (size_t)g->per_group * sizeof *desk);
    if (!desk) return pn_fail(e, PN_E_MEMORY, "no memory to measure %lld replicas", (long long)g->per_group);
    for (int64_t group = 0; group < g->groups && !pn_poll_now(poll); group++) {
        g->type->measure(g, group, desk, desk + g->per_group);
        for (int64_t i = 0; i < pn_engine_group_size(g, group); i++) {
            energy[group * g->per_group + i] = desk[i];
            magnetization[group * g->per_group + i] = desk[g->per_group + i] / (double)g->m->n;
        }
    }
    pn_free(desk);
    return ending(poll, e);
}

uint64_t pn_sampler_total(const pn_engine *g, const uint64_t *counts) {
    uint64_t total = 0;
    for (int64_t i = 0; i < g->groups * g->parts; i++) total += counts[i];
    return total;
}
