/* Optimisers: memory, preparation of a step, and the step of teaching mode. Plans apply the same kernels to the same segments. */
#include "train/optimizer.h"

#include <string.h>

#include "base/alloc.h"
#include "ops/op_helpers.h"
#include "train/guard.h"

#define ALIGN 64
#define TEAM_ELEMENTS (1 << 18) /* from here on the team shares an update of teaching mode */

/* ---- memory ---- */

static size_t slice_bytes(const pn_optimizer *o, int64_t n) { return ((size_t)n * pn_dtype_bytes(o->dtype) + ALIGN - 1) / ALIGN * ALIGN; }

static pn_status check_params(int n, pn_tensor *const *params, pn_error *e) {
    char text[256];
    for (int i = 0; i < n; i++) {
        const pn_shape *s = &params[i]->shape;
        if (s->dtype == PN_I64) return pn_fail(e, PN_E_TYPE, "parameter %d of shape %s has dtype int64, which has no gradient", i, pn_shape_text(s, text));
        if (s->dtype != params[0]->shape.dtype)
            return pn_fail(e, PN_E_TYPE, "parameter %d has dtype %s, the first one %s: an optimiser works on one dtype", i, pn_dtype_name(s->dtype),
                           pn_dtype_name(params[0]->shape.dtype));
        for (int j = 0; j < i; j++)
            if (params[j] == params[i]) return pn_fail(e, PN_E_VALUE, "parameter %d of shape %s appears twice", i, pn_shape_text(s, text));
    }
    return PN_OK;
}

static void fill_state(pn_optimizer *o, int k, double value) {
    const pn_kernels *kernels = pn_kernels_get();
    for (int i = 0; i < o->n_segments; i++) {
        pn_segment *s = &o->segments[i];
        if (o->dtype == PN_F32)
            kernels->f.fill(s->state[k], (float)value, s->n);
        else
            kernels->d.fill(s->state[k], value, s->n);
    }
}

/* State arrays stand side by side, all segments of array 0 first. */
static bool place_state(pn_optimizer *o) {
    const int arrays = pn_updates[o->rule].n_state;
    size_t bytes = 0;
    for (int i = 0; i < o->n_segments; i++)
        if (!pn_add_size(bytes, slice_bytes(o, o->segments[i].n), &bytes)) return false;
    if (!pn_mul_size(bytes, (size_t)arrays, &o->state_bytes)) return false;
    o->state = pn_alloc_zero(o->state_bytes);
    if (!o->state) return false;
    char *at = o->state;
    for (int k = 0; k < arrays; k++) {
        for (int i = 0; i < o->n_segments; i++) {
            o->segments[i].state[k] = at;
            at += slice_bytes(o, o->segments[i].n);
        }
    }
    return true;
}

pn_status pn_optimizer_new(pn_update rule, int n_groups, const pn_hyper *groups, int n, pn_tensor *const *params, const int *group, const double *fill,
                           pn_optimizer **out, pn_error *e) {
    pn_status status = check_params(n, params, e);
    if (status) return status;
    pn_optimizer *o = pn_alloc_zero(sizeof *o);
    if (!o) return pn_fail(e, PN_E_MEMORY, "not enough memory for an optimiser");
    *o = (pn_optimizer){.rule = rule, .dtype = n ? params[0]->shape.dtype : PN_F32, .n_groups = n_groups};
    o->groups = pn_alloc_zero((size_t)n_groups * sizeof *o->groups);
    o->segments = pn_alloc_zero((size_t)n * sizeof *o->segments);
    o->prepared = pn_alloc_zero((size_t)n * sizeof *o->prepared);
    o->own = pn_alloc_zero((size_t)n * sizeof *o->own);
    if (!o->groups || !o->segments || !o->prepared || !o->own) goto failed;
    memcpy(o->groups, groups, (size_t)n_groups * sizeof *groups);
    for (int i = 0; i < n; i++) {
        pn_tensor_ref(params[i]);
        o->segments[i] = (pn_segment){.param = params[i], .n = pn_shape_size(&params[i]->shape), .group = group[i]};
        o->n_segments = i + 1;
    }
    if (!place_state(o)) goto failed;
    for (int k = 0; fill && k < pn_updates[rule].n_state; k++)
        if (fill[k] != 0) fill_state(o, k, fill[k]);
    *out = o;
    return PN_OK;
failed:
    pn_optimizer_free(o);
    return pn_fail(e, PN_E_MEMORY, "not enough memory for the state of an optimiser");
}

void pn_optimizer_free(pn_optimizer *o) {
    if (!o) return;
    for (int i = 0; i < o->n_segments; i++) pn_tensor_unref(o->segments[i].param);
    pn_free(o->groups);
    pn_free(o->segments);
    pn_free(o->prepared);
    pn_free(o->own);
    pn_free(o->state);
    pn_free(o);
}

int64_t pn_optimizer_size(const pn_optimizer *o) {
    int64_t n = 0;
    for (int i = 0; i < o->n_segments; i++) n += o->segments[i].n;
    return n;
}

bool pn_optimizer_fits(const pn_optimizer *o) {
    for (int i = 0; i < o->n_segments; i++)
        if (o->segments[i].param->shape.dtype != o->dtype || pn_shape_size(&o->segments[i].param->shape) != o->segments[i].n) return false;
    return true;
}

/* ---- preparation ---- */

static void prepare_hyper(const pn_optimizer *o, pn_hyper *h, int64_t steps, double grad_scale) {
    h->step = steps + 1;
    h->first = steps == 0;
    h->grad_scale = grad_scale;
    pn_updates[o->rule].prepare(h);
}

/* Normally all segments have had as many updates as the optimiser: one derivation a group. Others get their own. */
void pn_optimizer_prepare(pn_optimizer *o, const bool *takes, double grad_scale) {
    for (int g = 0; g < o->n_groups; g++) prepare_hyper(o, &o->groups[g], o->steps, grad_scale);
    for (int i = 0; i < o->n_segments; i++) {
        const pn_segment *s = &o->segments[i];
        o->prepared[i] = &o->groups[s->group];
        if (s->steps == o->steps || (takes && !takes[i])) continue;
        o->own[i] = o->groups[s->group];
        prepare_hyper(o, &o->own[i], s->steps, grad_scale);
        o->prepared[i] = &o->own[i];
    }
}

void pn_optimizer_commit(pn_optimizer *o, const bool *takes) {
    for (int i = 0; i < o->n_segments; i++)
        if (!takes || takes[i]) o->segments[i].steps++;
    o->steps++;
}

/* ---- teaching mode ---- */

static void update_range(const pn_optimizer *o, int i, int64_t lo, int64_t hi) {
    const pn_segment *s = &o->segments[i];
    const pn_kernels *kernels = pn_kernels_get();
    void *state[3];
    const size_t offset = (size_t)lo * pn_dtype_bytes(o->dtype);
    for (int k = 0; k < 3; k++) state[k] = s->state[k] ? (char *)s->state[k] + offset : NULL;
    char *w = (char *)s->param->storage->data + offset;
    const char *g = (const char *)s->param->grad->storage->data + offset;
    if (o->dtype == PN_F32)
        kernels->f.update[o->rule]((float *)(void *)w, (const float *)(const void *)g, state[0], state[1], state[2], hi - lo, o->prepared[i]);
    else
        kernels->d.update[o->rule]((double *)(void *)w, (const double *)(const void *)g, state[0], state[1], state[2], hi - lo, o->prepared[i]);
}

static void update_member(void *context, pn_member *m) {
    const pn_optimizer *o = context;
    m->blocks = pn_block_counts();
    for (int i = 0; i < o->n_segments; i++) {
        int64_t lo, hi;
        if (!o->segments[i].param->grad) continue;
        pn_member_share(m, o->segments[i].n, PN_BLOCK, &lo, &hi);
        if (lo < hi) update_range(o, i, lo, hi);
    }
}

static pn_status check_gradient(const pn_segment *s, int i, pn_error *e) {
    const pn_tensor *p = s->param, *g = p->grad;
    char a[256], b[256];
    if (g->shape.dtype != p->shape.dtype)
        return pn_fail(e, PN_E_TYPE, "gradient of parameter %d has dtype %s, expected %s", i, pn_dtype_name(g->shape.dtype), pn_dtype_name(p->shape.dtype));
    if (!pn_shape_equal(&g->shape, &p->shape))
        return pn_fail(e, PN_E_VALUE, "gradient of parameter %d has shape %s, expected %s", i, pn_shape_text(&g->shape, a), pn_shape_text(&p->shape, b));
    return PN_OK;
}

/* The update of the segments that take part, on as many threads as are worth it. */
static void update_all(pn_optimizer *o, const bool *takes, double grad_scale) {
    pn_optimizer_prepare(o, takes, grad_scale);
    pn_team_run(pn_optimizer_size(o) >= TEAM_ELEMENTS ? pn_threads_get() : 1, NULL, update_member, o);
}

/* The same, taken back when it leaves the range. */
static pn_status update_carefully(pn_optimizer *o, const bool *takes, double grad_scale, int *failed, pn_error *e) {
    void *saved = pn_alloc(pn_guard_bytes(o));
    if (!saved) return pn_fail(e, PN_E_MEMORY, "not enough memory to try a step with large numbers");
    pn_guard_save(o, saved);
    update_all(o, takes, grad_scale);
    *failed = pn_guard_judge(o, saved);
    pn_free(saved);
    return *failed < 0 ? PN_OK : pn_fail(e, PN_E_NONFINITE, "the update of parameter %d is not finite: the learning rate may be too large", *failed);
}

pn_status pn_optimizer_step(pn_optimizer *o, double grad_scale, double largest, int *failed, pn_error *e) {
    bool few[64], *takes = o->n_segments <= 64 ? few : pn_alloc((size_t)o->n_segments * sizeof *takes);
    pn_status status = takes ? PN_OK : pn_fail(e, PN_E_MEMORY, "not enough memory for a step of %d parameters", o->n_segments);
    if (!status && !pn_optimizer_fits(o)) status = pn_fail(e, PN_E_TYPE, "parameters were converted to another dtype after the optimiser was made");
    for (int i = 0; !status && i < o->n_segments; i++) {
        takes[i] = o->segments[i].param->grad != NULL;
        if (takes[i]) status = check_gradient(&o->segments[i], i, e);
    }
    const bool guarded = largest >= 0;
    if (!pn_guard_is_trusted(o)) o->safe_steps = 0;
    if (!status && guarded && largest > pn_guard_limit(o))
        status = update_carefully(o, takes, grad_scale, failed, e);
    else if (!status)
        update_all(o, takes, grad_scale);
    if (!status) {
        for (int i = 0; i < o->n_segments; i++)
            if (takes[i]) o->segments[i].param->storage->version++;
        pn_optimizer_commit(o, takes);
        if (guarded) pn_guard_trust(o);
    }
    if (takes != few) pn_free(takes);
    return status;
}

double pn_optimizer_gradient_norm2(const pn_optimizer *o) {
    const pn_kernels *kernels = pn_kernels_get();
    double total = 0;
    for (int i = 0; i < o->n_segments; i++) {
        const pn_tensor *g = o->segments[i].param->grad;
        if (!g) continue;
        const int64_t n = pn_shape_size(&g->shape);
        if (g->shape.dtype == PN_I64) continue;
        total += g->shape.dtype == PN_F32 ? kernels->f.sum_squares(g->storage->data, n) : kernels->d.sum_squares(g->storage->data, n);
    }
    return total;
}
