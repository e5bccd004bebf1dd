/* One step of training or evaluation, by all members together.
 *
 * Member 0 chooses the next batch as soon as its own part is done, while others may still be updating: t->plan and t->n are read before the first barrier
 * of a step only, and the plan is handed down from there. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "base/alloc.h"
#include "data/check.h"
#include "train/guard.h"
#include "train/trainer_internal.h"

/* ---- gather ---- */

#define GATHER_PIECE ((int64_t)1 << 19)  /* elements between two looks at the poll */
#define AUGMENT_PIECE ((int64_t)1 << 17) /* the same for pictures that are changed on the way */

/* Rows of the batch into the inputs of the plan; the members share the rows. A batch of many megabytes may be given up in between. */
static void gather(pn_trainer *t, pn_member *m) {
    int64_t lo = 0, hi = t->n;
    if (m->count > 1) pn_member_range(m, t->n, &lo, &hi);
    for (int i = 0; i < t->spec.n_sources; i++) {
        const pn_source *s = &t->sources[i];
        const int dtype = pn_plan_input_shape(t->plan, i)->dtype;
        const bool changed = i == 0 && t->spec.augment.length > 0;
        const int64_t most = changed ? AUGMENT_PIECE : GATHER_PIECE;
        const int64_t piece = (hi - lo) * s->row_size <= most ? hi - lo : s->row_size < most ? most / s->row_size : 1;
        for (int64_t at = lo; at < hi; at += piece) {
            const int64_t first = t->progress.position + at, n = hi - at < piece ? hi - at : piece;
            char *to = (char *)pn_plan_input(t->plan, i) + (size_t)(at * s->row_size) * pn_dtype_bytes(dtype);
            const int64_t *index = t->order ? t->order + first : NULL;
            if (changed)
                pn_augment_gather(&t->spec.augment, s, index, first, n, (uint64_t)t->progress.step, (uint64_t)at, dtype, to, m->scratch, m);
            else
                pn_source_gather(s, index, first, n, dtype, to);
            if (at + n < hi && pn_member_stopped(m)) return;
        }
    }
}

/* ---- a step that is not good: member 0 ---- */

/* Is it the data? Names the row. */
static bool blame_data(pn_trainer *t) {
    for (int i = 0; i < t->spec.n_sources; i++) {
        const pn_shape *shape = pn_plan_input_shape(t->plan, i);
        if (shape->dtype == PN_I64) continue;
        pn_source rows = t->sources[i];
        for (int64_t k = 0; k < t->n; k++) {
            const int64_t row = t->order ? t->order[t->progress.position + k] : t->progress.position + k;
            double max;
            int64_t bad;
            rows.data = t->sources[i].data + row * rows.row_stride;
            rows.rows = 1;
            if (!pn_source_max(&rows, shape->dtype, &max, &bad) || bad < 0) continue;
            pn_fail(&t->run.error, PN_E_NONFINITE, "input %d of the network is not finite in row %lld", i, (long long)row);
            return true;
        }
    }
    return false;
}

static void explain(pn_trainer *t, pn_member *m) {
    pn_member alone = {.index = 0, .count = 1, .scratch = m->scratch};
    char prefix[128];
    if (pn_poll_stopped(m->poll)) {
        t->status = PN_E_INTERRUPTED;
        return;
    }
    if (!t->run.status && !blame_data(t)) {
        t->run.checked = true; /* the same batch and random numbers again, every op looked at */
        pn_plan_step(t->plan, &t->run, &alone);
        t->run.checked = false;
        if (!t->run.status) pn_fail(&t->run.error, PN_E_NONFINITE, "the loss or a gradient is not finite");
    }
    t->status = t->run.error.status ? t->run.error.status : PN_E_NONFINITE;
    if (t->status != PN_E_NONFINITE) return;
    snprintf(prefix, sizeof prefix, "step %lld (epoch %lld): ", (long long)t->progress.step + 1, (long long)t->progress.epoch + 1);
    pn_error_prefix(&t->run.error, prefix);
}

/* ---- norms ---- */

/* All parameters into t->before, or the squared distance from them. */
static double walk_weights(pn_trainer *t, bool save) {
    const pn_optimizer *o = t->spec.optimizer;
    char *at = t->before;
    double total = 0;
    for (int i = 0; i < o->n_segments; i++) {
        const pn_segment *s = &o->segments[i];
        const void *w = s->param->storage->data;
        const size_t bytes = (size_t)s->n * pn_dtype_bytes(o->dtype);
        for (int64_t k = 0; !save && k < s->n; k++) {
            const double d = o->dtype == PN_F32 ? (double)((const float *)w)[k] - (double)((const float *)(void *)at)[k]
                                                : ((const double *)w)[k] - ((const double *)(void *)at)[k];
            total += d * d;
        }
        if (save) memcpy(at, w, bytes);
        at += bytes;
    }
    return total;
}

/* Between backward and update, where a rule or clipping asks for the norm. False on every member: the run ends before this update. */
static bool look_at_gradient(pn_trainer *t, pn_plan *plan, pn_member *m) {
    const double norm = sqrt(pn_plan_gradient_norm2(plan, m)), clip = t->spec.clip_norm;
    const double scale = clip > 0 && norm + 1e-6 > clip ? clip / (norm + 1e-6) : 1; /* as torch.nn.utils.clip_grad_norm_ */
    const bool stop = norm < t->spec.grad_below;
    if (m->index == 0) {
        t->progress.grad_norm = norm;
        if (stop) {
            t->end = PN_RUN_GRAD_BELOW;
            t->finished = true;
        } else {
            pn_optimizer_prepare(t->spec.optimizer, pn_plan_reaches(plan), scale);
        }
    }
    pn_member_barrier(m);
    return !stop;
}

static void look_at_step(pn_trainer *t, pn_member *m) {
    pn_member_barrier(m);
    if (m->index) return;
    t->progress.step_norm = sqrt(walk_weights(t, false));
    if (t->progress.step_norm < t->spec.step_below) {
        t->end = PN_RUN_STEP_BELOW;
        t->finished = true;
    }
}

/* ---- the step ---- */

/* Counts what the step has produced: member 0. */
static void account(pn_trainer *t) {
    pn_progress *p = &t->progress;
    const double n = (double)t->n;
    for (int i = 0; i < t->n_outputs; i++) {
        const pn_view *v = pn_plan_output(t->plan, i);
        p->sums[i] += n * (v->shape.dtype == PN_F32 ? (double)*(const float *)v->data : *(const double *)v->data);
    }
    p->weight += n;
    p->position += t->n;
}

static void collect(pn_trainer *t) {
    for (int i = 0; i < pn_plan_outputs(t->plan); i++) {
        const pn_view *v = pn_plan_output(t->plan, i);
        size_t bytes = 0;
        if (!pn_shape_bytes(&v->shape, &bytes)) return;
        memcpy((char *)t->spec.collect[i] + bytes / (size_t)t->n * (size_t)t->progress.position, v->data, bytes);
    }
}

/* Before a careful update: member 0 keeps what there is. False on every member when there is no memory for it. */
static bool keep(pn_trainer *t, pn_member *m) {
    const pn_optimizer *o = t->spec.optimizer;
    if (m->index == 0) {
        if (!t->saved) t->saved = pn_alloc(pn_guard_bytes(o));
        if (t->saved)
            pn_guard_save(o, t->saved);
        else
            t->status = pn_fail(&t->run.error, PN_E_MEMORY, "not enough memory to try a step with large numbers");
    }
    pn_member_barrier(m);
    return t->saved != NULL;
}

/* After it: false on every member when the step was taken back. */
static bool stays_finite(pn_trainer *t, pn_plan *plan, pn_member *m) {
    char what[512];
    pn_member_barrier(m);
    if (m->index == 0) {
        const int i = pn_guard_judge(t->spec.optimizer, t->saved);
        if (i >= 0) {
            pn_plan_describe(plan, t->spec.optimizer->segments[i].param, what, sizeof what);
            t->status = pn_fail(&t->run.error, PN_E_NONFINITE, "step %lld (epoch %lld): the update of %s is not finite: the learning rate may be too large",
                                (long long)t->progress.step + 1, (long long)t->progress.epoch + 1, what);
        }
    }
    pn_member_barrier(m);
    return t->status == PN_OK;
}

/* False on every member when the step was not done after all. */
static bool update(pn_trainer *t, pn_plan *plan, pn_member *m) {
    pn_optimizer *o = t->spec.optimizer;
    const bool careful = t->run.is_risky;
    if (careful && !keep(t, m)) return false;
    if (t->before) {
        if (m->index == 0) walk_weights(t, true);
        pn_member_barrier(m);
    }
    pn_plan_update(plan, o, m);
    if (careful && !stays_finite(t, plan, m)) return false;
    if (t->before) look_at_step(t, m);
    if (m->index) return true;
    pn_optimizer_commit(o, pn_plan_reaches(plan));
    pn_plan_commit(plan);
    t->progress.step++;
    return true;
}

/* What to do when the gradient is there. */
static void finish(pn_trainer *t, pn_plan *plan, pn_member *m) {
    const pn_trainer_spec *s = &t->spec;
    if (s->optimizer) {
        if ((s->clip_norm > 0 || s->grad_below > 0) && !look_at_gradient(t, plan, m)) return;
        if (!update(t, plan, m)) return;
    } else if (s->collect && m->index == 0) {
        collect(t);
    }
    if (m->index == 0) account(t);
}

void pn_trainer_step(pn_trainer *t, pn_member *m) {
    pn_member alone = {.index = 0, .count = 1, .poll = m->poll, .scratch = m->scratch, .blocks = m->blocks};
    pn_plan *plan = t->plan;
    if (m->count > 1 && pn_plan_threads(plan) == 1) { /* too small to share: one member does it, the others wait for the next decision */
        pn_member_barrier(m);                         /* ... which must not be written before all have read the last one */
        if (m->index) return;
        m = &alone;
    }
    gather(t, m);
    if (m->index == 0) {
        const pn_random random = {t->key, (uint64_t)t->progress.step};
        pn_plan_set_random(plan, random);
        t->run.input_max = t->spec.input_max;
        t->run.status = PN_OK;
        t->given_up = pn_poll_stopped(m->poll);
        if (t->spec.optimizer) {
            pn_optimizer_prepare(t->spec.optimizer, pn_plan_reaches(plan), 1);
            t->run.gradient_limit = pn_guard_limit(t->spec.optimizer);
            t->run.is_risky = false;
        }
    }
    pn_member_barrier(m);
    if (!t->given_up && pn_plan_step(plan, &t->run, m))
        finish(t, plan, m);
    else if (m->index == 0)
        explain(t, m);
}
