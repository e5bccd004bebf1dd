/* The bounds behind a step that is not looked at, and the careful step. */
#include "train/guard.h"

#include <math.h>
#include <string.h>

/* ---- bounds ---- */

/* Far inside the range of the type: rounding does not matter. Squares of gradients are added up as well. */
static double largest_number(const pn_optimizer *o) { return o->dtype == PN_F32 ? 1e30 : 1e290; }
static double largest_gradient(const pn_optimizer *o) { return o->dtype == PN_F32 ? 1e12 : 1e100; }

static double abs_max(const pn_optimizer *o, const void *x, int64_t n) {
    const pn_kernels *k = pn_kernels_get();
    return o->dtype == PN_F32 ? (double)k->f.abs_max(x, n) : k->d.abs_max(x, n);
}

static double larger(double a, double b) { return a > b || isnan(a) ? a : b; }

/* Largest |weight| and |state|. */
static void measure(const pn_optimizer *o, double *weight, double *state) {
    *weight = *state = 0;
    for (int i = 0; i < o->n_segments; i++) {
        const pn_segment *s = &o->segments[i];
        *weight = larger(abs_max(o, s->param->storage->data, s->n), *weight);
        for (int k = 0; k < pn_updates[o->rule].n_state; k++) *state = larger(abs_max(o, s->state[k], s->n), *state);
    }
}

/* The update moves a weight by at most lr times `reach`, whatever the gradients are; only their squares must stay in range. */
static bool ratio_is_safe(const pn_optimizer *o, const pn_hyper *h, double reach, double weight, double state) {
    const double big = largest_number(o), k = PN_GUARD_STEPS;
    if (o->has_loaded) reach += state / h->eps / (1 - h->beta1); /* state that the rule has not made itself keeps no proportion */
    const double move = h->momentum > 0 ? h->lr * (state + k * reach) : h->lr * reach;
    const double g = largest_gradient(o) + h->weight_decay * (weight + k * move);
    return h->lr * h->weight_decay <= 1 && h->momentum <= 1 && weight + k * move <= big && g * g <= big / k && state <= big / 2;
}

/* The update is in proportion to gradients, or to a buffer of them: the worst case at once, or step by step where the gradient grows with the weight. */
static bool line_is_safe(const pn_optimizer *o, const pn_hyper *h, double weight, double state) {
    const double big = largest_number(o), takes = larger(1, fabs(1 - h->dampening)), least = largest_gradient(o);
    const bool grows = h->weight_decay > 0 || h->momentum > 1;
    const double k = grows ? 1 : PN_GUARD_STEPS;
    for (int i = 0; i < (grows ? PN_GUARD_STEPS : 1); i++) {
        const double g = least + h->weight_decay * weight;
        state = (grows ? h->momentum : 1) * state + k * takes * g;
        weight += k * h->lr * (g + (1 + h->momentum) * state);
    }
    return weight <= big && state <= big;
}

static bool all_safe(const pn_optimizer *o) {
    double weight, state;
    measure(o, &weight, &state);
    for (int i = 0; i < o->n_groups; i++) {
        const pn_hyper *h = &o->groups[i];
        const double reach = pn_updates[o->rule].reach(h);
        if (!(reach > 0 ? ratio_is_safe(o, h, reach, weight, state) : line_is_safe(o, h, weight, state))) return false;
    }
    return true;
}

double pn_guard_limit(pn_optimizer *o) {
    if (o->safe_steps-- > 0) return largest_gradient(o);
    if (!all_safe(o)) {
        o->safe_steps = 0;
        return -1;
    }
    o->safe_steps = PN_GUARD_STEPS - 1;
    return largest_gradient(o);
}

/* ---- who has written ---- */

static uint64_t versions(const pn_optimizer *o) {
    uint64_t sum = 0;
    for (int i = 0; i < o->n_segments; i++) sum += o->segments[i].param->storage->version;
    return sum;
}

void pn_guard_trust(pn_optimizer *o) { o->safe_version = versions(o); }

bool pn_guard_is_trusted(const pn_optimizer *o) { return o->safe_version == versions(o); }

/* ---- the careful step ---- */

static size_t weight_bytes(const pn_optimizer *o, const pn_segment *s) { return (size_t)s->n * pn_dtype_bytes(o->dtype); }

size_t pn_guard_bytes(const pn_optimizer *o) { return (size_t)pn_optimizer_size(o) * pn_dtype_bytes(o->dtype) + o->state_bytes; }

void pn_guard_save(const pn_optimizer *o, void *saved) {
    char *to = saved;
    for (int i = 0; i < o->n_segments; i++) {
        const size_t bytes = weight_bytes(o, &o->segments[i]);
        memcpy(to, o->segments[i].param->storage->data, bytes);
        to += bytes;
    }
    if (o->state_bytes) memcpy(to, o->state, o->state_bytes);
}

static void restore(const pn_optimizer *o, const void *saved) {
    const char *from = saved;
    for (int i = 0; i < o->n_segments; i++) {
        const size_t bytes = weight_bytes(o, &o->segments[i]);
        memcpy(o->segments[i].param->storage->data, from, bytes);
        from += bytes;
    }
    if (o->state_bytes) memcpy(o->state, from, o->state_bytes);
}

int pn_guard_judge(const pn_optimizer *o, const void *saved) {
    for (int i = 0; i < o->n_segments; i++) {
        const pn_segment *s = &o->segments[i];
        bool finite = isfinite(abs_max(o, s->param->storage->data, s->n));
        for (int k = 0; finite && k < pn_updates[o->rule].n_state; k++) finite = isfinite(abs_max(o, s->state[k], s->n));
        if (finite) continue;
        restore(o, saved);
        return i;
    }
    return -1;
}
