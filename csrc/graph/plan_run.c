/* Running a plan: the walk over the instructions.
 *
 * With several members every decision to leave early is taken at a barrier: member 0 announces the number of the barrier behind which all leave before it
 * enters that barrier itself, so all members see the same thing at the same place. */
#include "graph/plan_internal.h"
#include "graph/run.h"
#include "ops/op_helpers.h"

/* ---- instructions that no op has ---- */

static void fail(pn_plan *p, pn_status status, const char *layer, const char *name) {
    p->failed = true;
    if (p->run->status) return;
    p->run->status = status;
    pn_error_name(layer, name, &p->run->error);
}

/* A backward that is left to the fused update alone. */
void pn_plan_run_nothing(const pn_call *c, pn_member *m) { (void)c, (void)m; }

void pn_plan_run_check(const pn_call *c, pn_member *m) {
    const plan_context *context = c->context;
    pn_error error = {PN_OK, ""};
    if (m->index || !c->op->check(c, &error)) return;
    if (!context->plan->run->status) context->plan->run->error = error;
    fail(context->plan, error.status, context->layer, c->op->name);
}

static void run_user(const pn_call *c, pn_member *m, bool backward) {
    const plan_context *context = c->context;
    if (m->index || context->plan->failed) return;
    pn_error error = {PN_OK, ""};
    pn_call call = *c;
    call.context = context->user;
    if (!pn_user_run(&call, backward, &error)) return;
    context->plan->run->error = error;
    fail(context->plan, error.status ? error.status : PN_E_PYTHON, context->layer, context->user->name);
}
void pn_plan_run_user_forward(const pn_call *c, pn_member *m) { run_user(c, m, false); }
void pn_plan_run_user_backward(const pn_call *c, pn_member *m) { run_user(c, m, true); }

void pn_plan_run_add_f(const pn_call *c, pn_member *m) {
    const float *x = c->in[0].data;
    float *y = c->out[0].data;
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->out[0].shape)); pn_span_next(&s, m);) c->kernels->f.accumulate(y + s.lo, x + s.lo, s.hi - s.lo);
}
void pn_plan_run_add_d(const pn_call *c, pn_member *m) {
    const double *x = c->in[0].data;
    double *y = c->out[0].data;
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->out[0].shape)); pn_span_next(&s, m);) c->kernels->d.accumulate(y + s.lo, x + s.lo, s.hi - s.lo);
}

/* ---- the walk ---- */

static bool walk_alone(pn_plan *p, pn_member *m) {
    const plan_code *code = p->code, *end = code + p->n_code;
    if (!p->heavy && !p->can_fail) {
        for (; code < end; code++) code->fn(&code->call, m);
        return !pn_poll_stopped(m->poll);
    }
    for (; code < end; code++) {
        code->fn(&code->call, m);
        if (p->failed || (p->heavy && pn_poll_now(m->poll))) return false;
    }
    return !pn_poll_stopped(m->poll);
}

bool pn_plan_pass(pn_plan *p, pn_member *m, int *barriers) {
    ++*barriers;
    if (m->index == 0 && (p->failed || pn_poll_stopped(m->poll))) {
        if (atomic_load_explicit(&p->stop_at, memory_order_relaxed) > *barriers) atomic_store_explicit(&p->stop_at, *barriers, memory_order_relaxed);
    }
    pn_member_barrier(m);
    return atomic_load_explicit(&p->stop_at, memory_order_relaxed) > *barriers;
}

static bool walk_together(pn_plan *p, pn_member *m) {
    int barriers = 0;
    for (int i = 0; i < p->n_code; i++) {
        if (p->code[i].barrier && !pn_plan_pass(p, m, &barriers)) return false;
        p->code[i].fn(&p->code[i].call, m);
        if (p->heavy && m->index == 0) pn_poll_now(m->poll);
    }
    return pn_plan_pass(p, m, &barriers);
}

/* ---- the step ---- */

static bool step_together(pn_plan *p, pn_plan_run *run, pn_member *m) {
    if (m->index == 0) {
        p->run = run;
        p->failed = p->unfused = false;
        atomic_store_explicit(&p->stop_at, INT_MAX, memory_order_relaxed);
    }
    pn_member_barrier(m);
    if (!(run->seconds ? pn_plan_walk_timed(p, m) : walk_together(p, m))) return false;
    return !p->training || pn_plan_check_finite(p, m);
}

static bool step_alone(pn_plan *p, pn_plan_run *run, pn_member *m) {
    p->run = run;
    p->failed = p->unfused = false;
    if (run->checked) {
        pn_plan_walk_checked(p, m);
        return run->status == PN_OK;
    }
    if (!(run->seconds ? pn_plan_walk_timed(p, m) : walk_alone(p, m))) return false;
    return !p->training || pn_plan_check_finite(p, m);
}

bool pn_plan_step(pn_plan *p, pn_plan_run *run, pn_member *m) {
    if (m->count == 1) return step_alone(p, run, m);
    return step_together(p, run, m);
}
