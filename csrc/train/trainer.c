/* The epoch loop. All members of the team walk it together; what to do next is decided by member 0 between two barriers.
 *
 * A step: decide | gather | plan | (norm, stopping rules, clipping) | update. Nothing is committed before the update is done, so whatever ends a run early
 * leaves the state of the last completed step. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "graph/layout.h"
#include "train/guard.h"
#include "train/trainer_internal.h"

#define LOG_EPOCHS 1024   /* epochs that one run can report; it returns when they are full */
#define POLL_SECONDS 2e-3 /* rough time between two looks at the clock */
#define AUGMENT_COST 20   /* bytes gathered in the time that a pixel takes to be changed, at worst */
#define SLOW_FLOPS 2e9    /* a pessimistic guess of what a core does in a second */

/* ---- memory ---- */

static double seconds_of_step(const pn_trainer_spec *s) {
    const pn_plan *p = s->plan ? s->plan : s->tail;
    double bytes = 0;
    for (int i = 0; i < s->n_sources; i++) bytes += (double)s->sources[i].row_size * 8;
    const double pixels = s->augment.length ? (double)s->augment.room : 0;
    return 1e-6 + pn_plan_flops(p) / SLOW_FLOPS + (bytes + AUGMENT_COST * pixels) * (double)s->batch / 1e9;
}

static int most(int a, int b) { return a > b ? a : b; }

static int threads_of(const pn_trainer_spec *s) {
    const int wanted = most(s->plan ? pn_plan_threads(s->plan) : 1, s->tail ? pn_plan_threads(s->tail) : 1), have = pn_threads_get();
    return wanted < have ? wanted : have;
}

static size_t scratch_of(const pn_trainer_spec *s) {
    const size_t a = s->plan ? pn_plan_member_scratch(s->plan) : 0, b = s->tail ? pn_plan_member_scratch(s->tail) : 0;
    const pn_plan *any = s->plan ? s->plan : s->tail;
    const size_t c = pn_augment_scratch(&s->augment, pn_plan_input_shape(any, 0)->dtype), ops = a > b ? a : b;
    return ((ops > c ? ops : c) + 127) / 64 * 64; /* a cache line apart at least */
}

static pn_status allocate(pn_trainer *t, pn_error *e) {
    const pn_trainer_spec *s = &t->spec;
    size_t sources, log, weights = 0;
    bool fits = pn_mul_size((size_t)s->n_sources, sizeof *t->sources, &sources) && pn_mul_size((size_t)t->n_outputs * LOG_EPOCHS, sizeof(double), &log);
    if (s->step_below > 0) fits = fits && pn_mul_size((size_t)pn_optimizer_size(s->optimizer), pn_dtype_bytes(s->optimizer->dtype), &weights);
    if (!fits) return pn_fail(e, PN_E_MEMORY, "not enough memory for training");
    t->sources = pn_alloc(sources);
    t->log = pn_alloc(log);
    t->scratch = pn_alloc(t->scratch_stride * (size_t)t->threads);
    if (s->shuffle) t->order = pn_alloc((size_t)s->rows * sizeof *t->order);
    if (weights) t->before = pn_alloc(weights);
    if (!t->sources || !t->log || !t->scratch || (s->shuffle && !t->order) || (weights && !t->before))
        return pn_fail(e, PN_E_MEMORY, "not enough memory to train on %lld rows", (long long)s->rows);
    memcpy(t->sources, s->sources, sources);
    t->spec.sources = t->sources;
    return PN_OK;
}

pn_status pn_trainer_new(const pn_trainer_spec *spec, pn_trainer **out, pn_error *e) {
    const pn_plan *any = spec->plan ? spec->plan : spec->tail;
    if (!any) return pn_fail(e, PN_E_VALUE, "the data have %lld rows: not one batch of %lld", (long long)spec->rows, (long long)spec->batch);
    pn_trainer *t = pn_alloc_zero(sizeof *t);
    if (!t) return pn_fail(e, PN_E_MEMORY, "not enough memory for training");
    t->spec = *spec;
    t->n_outputs = spec->collect ? 0 : pn_plan_outputs(any);
    t->threads = threads_of(spec);
    t->scratch_stride = scratch_of(spec);
    t->key = pn_hash64(spec->seed, PN_STREAM_NODE);
    t->order_epoch = -1;
    const double polls = POLL_SECONDS / seconds_of_step(spec);
    t->poll_every = polls < 1 ? 1 : (int64_t)polls;
    pn_status status = allocate(t, e);
    if (status)
        pn_trainer_free(t);
    else
        *out = t;
    return status;
}

void pn_trainer_free(pn_trainer *t) {
    if (!t) return;
    pn_free(t->sources);
    pn_free(t->log);
    pn_free(t->scratch);
    pn_free(t->order);
    pn_free(t->before);
    pn_free(t->saved);
    pn_free(t);
}

pn_progress *pn_trainer_progress(pn_trainer *t) { return &t->progress; }

const double *pn_trainer_log(const pn_trainer *t, int64_t *n) {
    *n = t->logged;
    return t->log;
}

/* ---- deciding: member 0 ---- */

static bool make_order(pn_trainer *t, pn_poll *poll) {
    t->order_epoch = -1;
    if (!pn_rng_permutation(pn_hash64(t->spec.seed, PN_STREAM_SHUFFLE), (uint64_t)t->progress.epoch, t->spec.rows, t->order, poll)) return false;
    t->order_epoch = t->progress.epoch;
    return true;
}

static int64_t rows_of_epoch(const pn_trainer *t) { return t->spec.tail ? t->spec.rows : t->spec.rows / t->spec.batch * t->spec.batch; }

/* Writes the means of the finished epoch into the log and starts the next one. */
static void end_epoch(pn_trainer *t) {
    pn_progress *p = &t->progress;
    for (int i = 0; i < t->n_outputs; i++) {
        t->log[t->logged * t->n_outputs + i] = p->sums[i] / p->weight;
        p->sums[i] = 0;
    }
    t->logged++;
    p->weight = 0;
    p->position = 0;
    p->epoch++;
}

static bool time_is_up(pn_trainer *t, pn_poll *poll) {
    if (--t->until_poll > 0) return false;
    t->until_poll = t->poll_every;
    if (pn_poll_now(poll)) {
        t->status = PN_E_INTERRUPTED;
        return true;
    }
    return pn_clock() >= t->deadline;
}

/* Chooses the next batch, or the end of the run. */
static void decide(pn_trainer *t, pn_poll *poll) {
    const pn_trainer_spec *s = &t->spec;
    pn_progress *p = &t->progress;
    t->go = false;
    if (t->status) return;
    if (p->position >= rows_of_epoch(t)) end_epoch(t);
    if (t->finished) return;
    if (p->epoch >= t->until_epoch) {
        t->end = PN_RUN_DONE;
        return;
    }
    if (t->steps_left == 0 || t->logged >= LOG_EPOCHS || time_is_up(t, poll)) {
        t->end = PN_RUN_TIME;
        return;
    }
    if (s->shuffle && t->order_epoch != p->epoch && !make_order(t, poll)) {
        t->status = PN_E_INTERRUPTED;
        return;
    }
    const int64_t left = s->rows - p->position;
    t->n = left < s->batch ? left : s->batch;
    t->plan = left < s->batch ? s->tail : s->plan;
    t->steps_left--;
    t->go = true;
}

/* ---- the run ---- */

static void slice(void *context, pn_member *m) {
    pn_trainer *t = context;
    m->scratch = t->scratch + t->scratch_stride * (size_t)m->index;
    m->blocks = m->count > 1 ? pn_block_counts() : NULL;
    for (;;) {
        if (m->index == 0) decide(t, m->poll);
        pn_member_barrier(m);
        if (!t->go) return;
        pn_trainer_step(t, m);
    }
}

pn_status pn_trainer_run(pn_trainer *t, int64_t epochs, double seconds, int64_t steps, pn_poll *poll, pn_run_end *end, pn_error *e) {
    t->until_epoch = epochs;
    t->deadline = pn_clock() + seconds;
    t->until_poll = t->poll_every;
    t->steps_left = steps > 0 ? steps : -1;
    t->logged = 0;
    t->finished = false;
    t->status = PN_OK;
    if (t->spec.optimizer && !pn_guard_is_trusted(t->spec.optimizer)) t->spec.optimizer->safe_steps = 0;
    t->end = PN_RUN_DONE;
    pn_team_run(t->threads, poll, slice, t);
    *end = t->end;
    if (!t->status) return PN_OK;
    if (t->status == PN_E_INTERRUPTED) return pn_fail(e, PN_E_INTERRUPTED, "interrupted after step %lld", (long long)t->progress.step);
    *e = t->run.error;
    return e->status = t->status;
}
