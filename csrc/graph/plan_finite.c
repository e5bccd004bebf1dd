/* Numbers that are not finite: the check of every step, and the replay that names the op which made the first one. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph/plan_internal.h"
#include "ops/op_helpers.h"

/* Largest |x|; not finite when any element is not. */
static double abs_max(const pn_plan *p, const void *x, int64_t n) {
    return p->dtype == PN_F32 ? (double)p->kernels->f.abs_max(x, n) : p->kernels->d.abs_max(x, n);
}

/* ---- the check ---- */

/* What one member saw: [0] the stored gradients, [1 + 2 i], [2 + 2 i] x and gradient of deferred weight i. */
static void look(pn_plan *p, pn_member *m, double *seen) {
    int64_t lo, hi;
    pn_member_share(m, p->gradient_n, PN_PLAN_BLOCK, &lo, &hi);
    seen[0] = hi > lo ? abs_max(p, (const char *)p->gradient_base + (size_t)lo * pn_dtype_bytes(p->dtype), hi - lo) : 0;
    for (int i = 0; i < p->n_deferred; i++) {
        const plan_deferred *d = &p->deferred[i];
        const size_t bytes = pn_dtype_bytes(p->dtype);
        seen[1 + 2 * i] = seen[2 + 2 * i] = 0;
        pn_member_share(m, d->ngy, PN_PLAN_BLOCK, &lo, &hi);
        if (hi > lo) seen[2 + 2 * i] = abs_max(p, (const char *)d->gy + (size_t)lo * bytes, hi - lo);
        if (d->x_is_input && isfinite(p->run->input_max)) {
            seen[1 + 2 * i] = p->run->input_max;
            continue;
        }
        pn_member_share(m, d->nx, PN_PLAN_BLOCK, &lo, &hi);
        if (hi > lo) seen[1 + 2 * i] = abs_max(p, (const char *)d->x + (size_t)lo * bytes, hi - lo);
    }
}

/* Maximum that keeps NaN. */
static double larger(double a, double b) { return a > b || isnan(a) ? a : b; }

/* The products of the fused update may overflow although their factors are finite. */
static bool is_too_large(const pn_plan *p, int i, double x, double gy) {
    const double limit = p->dtype == PN_F32 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023;
    const double rows = (double)p->deferred[i].rows;
    return !(x == 0 || gy == 0 || x < limit / rows / gy);
}

static bool is_above_limit(const pn_plan *p, const double *seen) {
    double largest = seen[0];
    for (int i = 0; i < p->n_deferred; i++) {
        const double product = seen[1 + 2 * i] * seen[2 + 2 * i] * (double)p->deferred[i].rows;
        if (product > largest) largest = product;
    }
    return largest > p->run->gradient_limit;
}

static bool judge(pn_plan *p, pn_member *m, const double *seen) {
    const pn_view *out = &p->outputs[0];
    const double loss = out->shape.dtype == PN_F32 ? (double)*(const float *)out->data : *(const double *)out->data;
    bool finite = isfinite(loss) && isfinite(seen[0]) && pn_plan_commits_finite(p), large = false;
    for (int i = 0; i < p->n_deferred; i++) {
        finite &= isfinite(seen[1 + 2 * i]) && isfinite(seen[2 + 2 * i]);
        large |= is_too_large(p, i, seen[1 + 2 * i], seen[2 + 2 * i]);
    }
    if (m->index == 0) p->unfused = large;
    if (finite && is_above_limit(p, seen)) {
        if (m->index == 0) p->run->is_risky = true;
        pn_member_barrier(m);
    }
    if (!finite || !large) return finite;
    /* This step runs unfused: the gradients of the deferred weights are computed, stored and looked at. */
    for (int i = 0; i < p->n_deferred; i++) {
        p->deferred[i].fn(&p->deferred[i].call, m);
        pn_member_barrier(m);
        finite &= isfinite(abs_max(p, p->deferred[i].piece.gradient, p->deferred[i].piece.n));
    }
    pn_member_barrier(m); /* member 0 has written `unfused` */
    return finite;
}

bool pn_plan_check_finite(pn_plan *p, pn_member *m) {
    double *mine = p->maxima + (size_t)m->index * (size_t)p->maxima_stride;
    look(p, m, mine);
    if (m->count == 1) return judge(p, m, mine);
    pn_member_barrier(m);
    double all[1 + 2 * PN_PLAN_MAX_DEFERRED];
    const int n = 1 + 2 * p->n_deferred;
    memcpy(all, p->maxima, (size_t)n * sizeof *all);
    for (int k = 1; k < m->count; k++)
        for (int i = 0; i < n; i++) all[i] = larger(all[i], p->maxima[(size_t)k * (size_t)p->maxima_stride + (size_t)i]);
    return judge(p, m, all);
}

/* ---- the replay ---- */

/* Largest |x| of the elements of a blocked operand: what lies in pad lanes is nobody's. */
static double blocked_max(const void *data, const pn_shape *shape, pn_layout layout) {
    double most = 0;
    for (int64_t i = 0, n = pn_shape_size(shape); i < n; i++) {
        const int64_t at = pn_layout_index(shape, layout, i);
        most = larger(fabs(shape->dtype == PN_F32 ? (double)((const float *)data)[at] : ((const double *)data)[at]), most);
    }
    return most;
}

/* Operands of one instruction that it reads or writes. */
typedef struct operands {
    const plan_note *note; /* says how they are stored */
    const pn_op *op;
    const pn_view *views;
    int n;
} operands;

/* Shape as the user knows it: elementwise ops are shown that of the memory. */
static const pn_shape *logical_shape(const operands *o, int i) {
    return o->note->layout && (o->op->flags & PN_ANY_LAYOUT) ? &o->note->shape : &o->views[i].shape;
}

static double view_max(const pn_plan *p, const operands *o, int i) {
    const pn_view *v = &o->views[i];
    const int64_t n = pn_shape_size(&v->shape);
    if (!v->data || v->shape.dtype == PN_I64) return 0;
    if (o->note->layout && (i == 0 || (o->op->flags & PN_ANY_LAYOUT) || (i < 32 && o->op->alike >> i & 1)))
        return blocked_max(v->data, logical_shape(o, i), o->note->layout);
    return v->shape.dtype == PN_F32 ? (double)p->kernels->f.abs_max(v->data, n) : p->kernels->d.abs_max(v->data, n);
}

static bool all_finite(const pn_plan *p, const operands *o) {
    for (int i = 0; i < o->n; i++)
        if (!isfinite(view_max(p, o, i))) return false;
    return true;
}

static const char *kind_of(const pn_plan *p, const operands *o, const pn_shape **shape) {
    for (int i = 0; i < o->n; i++) {
        const double v = view_max(p, o, i);
        *shape = logical_shape(o, i);
        if (isnan(v)) return "NaN";
        if (isinf(v)) return "Inf";
    }
    return "";
}

/* The replay: was this instruction the first to turn finite into non-finite? Reads only what the instruction itself could read. */
static bool blame(pn_plan *p, int i) {
    const plan_code *code = &p->code[i];
    const plan_note *note = &p->notes[i];
    const pn_call *c = &code->call;
    const bool forward = note->phase != PLAN_BACKWARD;
    const operands made = {note, c->op, forward ? c->out : c->gin, forward ? c->n_out : c->n_in};
    if (note->phase == PLAN_CHECK || c->op == &pn_op_reorder || (note->phase == PLAN_ADD && note->layout) || all_finite(p, &made)) return false;
    const pn_shape *shape = NULL;
    char text[256];
    const char *kind = kind_of(p, &made, &shape);
    const char *name = c->op->flags & PN_USER ? ((const plan_context *)c->context)->user->name : c->op->name;
    pn_fail(&p->run->error, PN_E_NONFINITE, "%s%s%s: the first %s is in its %s of shape %s", name, note->layer ? " in " : "", note->layer ? note->layer : "",
            kind, forward ? "output" : "gradient", pn_shape_text(shape, text));
    p->run->status = PN_E_NONFINITE;
    return true;
}

/* Operands from before the instruction: those that were finite are the proof that it is to blame. In-place operands are gone afterwards. */
static bool operands_finite(const pn_plan *p, int i) {
    const pn_call *c = &p->code[i].call;
    const operands in = {&p->notes[i], c->op, c->in, c->n_in}, gout = {&p->notes[i], c->op, c->gout, c->n_out};
    return all_finite(p, &in) && (p->notes[i].phase != PLAN_BACKWARD || all_finite(p, &gout));
}

static bool is_parameter(const pn_plan *p, const void *data) {
    for (int i = 0; i < p->n_held; i++)
        if (p->held_data[i] == data && (p->held[i]->flags & PN_T_PARAMETER)) return true;
    return false;
}

/* A parameter that was not finite before the step explains all that follows. */
static bool blame_parameter(pn_plan *p, int i) {
    static const plan_note plain = {.layout = PN_PLAIN};
    const pn_call *c = &p->code[i].call;
    for (int k = 0; k < c->n_in; k++) {
        const operands one = {&plain, c->op, c->in + k, 1};
        const pn_shape *shape;
        pn_op_input input = {.name = "", .length = 0};
        char text[256];
        if (!is_parameter(p, c->in[k].data)) continue;
        const char *kind = kind_of(p, &one, &shape);
        if (!*kind) continue;
        pn_op_get_input(c->op, k, &input);
        pn_fail(&p->run->error, PN_E_NONFINITE, "%s: %.*s of shape %s holds %s", p->notes[i].layer ? p->notes[i].layer : c->op->name, input.length, input.name,
                pn_shape_text(shape, text), kind);
        p->run->status = PN_E_NONFINITE;
        return true;
    }
    return false;
}

/* "weight of shape (40, 300) in Linear(300, 40) (layer 0)", by where it lies */
static void describe(const pn_plan *p, const void *weight, const pn_shape *s, char *text, size_t size) {
    char shape[256];
    pn_shape_text(s, shape);
    for (int i = 0; i < p->n_code; i++) {
        const pn_call *c = &p->code[i].call;
        for (int k = 0; c->op && k < c->n_in; k++) {
            pn_op_input input = {.name = "", .length = 0};
            if (c->in[k].data != weight) continue;
            pn_op_get_input(c->op, k, &input);
            snprintf(text, size, "%.*s of shape %s in %s", input.length, input.name, shape, p->notes[i].layer ? p->notes[i].layer : c->op->name);
            return;
        }
    }
    snprintf(text, size, "a parameter of shape %s", shape);
}

void pn_plan_describe(const pn_plan *p, const pn_tensor *parameter, char *text, size_t size) {
    describe(p, parameter->storage->data, &parameter->shape, text, size);
}

/* Gradients that are fused with their update: no instruction has made them yet. */
static void blame_fused(pn_plan *p, pn_member *m) {
    char text[512];
    for (int i = 0; i < p->n_deferred; i++) {
        const plan_deferred *d = &p->deferred[i];
        d->fn(&d->call, m);
        if (isfinite(abs_max(p, d->piece.gradient, d->piece.n))) continue;
        describe(p, d->piece.weight, &d->call.in[1].shape, text, sizeof text);
        p->run->status = pn_fail(&p->run->error, PN_E_NONFINITE, "the gradient of %s is not finite", text);
        return;
    }
}

void pn_plan_walk_checked(pn_plan *p, pn_member *m) {
    for (int i = 0; i < p->n_code && !p->failed; i++) {
        if (blame_parameter(p, i)) return;
        const bool innocent = !operands_finite(p, i);
        p->code[i].fn(&p->code[i].call, m);
        if (!innocent && blame(p, i)) return;
    }
    if (!p->failed) blame_fused(p, m);
}
