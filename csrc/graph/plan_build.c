/* Building a plan step by step, what it costs, and what can be asked of it. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "graph/plan_internal.h"
#include "ops/linear.h"

/* ---- measuring ---- */

/* Bytes and FLOPs of one node, by asking its shape rule again with the attributes that the plan gave it. */
static pn_status measure_node(plan_builder *b, plan_node *n) {
    pn_plan *p = b->plan;
    pn_shape *shapes = pn_pool_take(&b->pool, (size_t)n->n_in, sizeof *shapes);
    if (!shapes) return pn_plan_out_of_memory(b);
    if (n->source) return PN_OK; /* user code keeps its own memory */
    for (int i = 0; i < n->n_in; i++) shapes[i] = b->values[n->in[i]].shape;
    pn_infer q = {.n_in = n->n_in,
                  .in = shapes,
                  .attrs = n->attrs,
                  .layout = n->op->layout ? b->values[n->out[0]].layout : PN_PLAIN,
                  .n_out = n->op->n_out,
                  .kernels = p->kernels,
                  .error = b->error};
    pn_status status = n->op->infer(&q);
    if (status) return status;
    n->saved_bytes = q.saved;
    n->scratch_bytes = q.scratch;
    n->flops = q.flops;
    if (q.member_scratch > p->member_scratch) p->member_scratch = q.member_scratch;
    p->flops += q.flops * (n->reached ? 3 : 1);
    if (n->deferred) {
        const size_t bytes = pn_linear_update_scratch(p->kernels, &shapes[0], &shapes[1]);
        if (bytes > p->member_scratch) p->member_scratch = bytes;
    }
    return PN_OK;
}

pn_status pn_plan_measure(plan_builder *b) {
    for (int i = 0; i < b->n_nodes; i++) {
        if (!b->nodes[i].live || b->nodes[i].alias) continue;
        pn_status status = measure_node(b, &b->nodes[i]);
        if (status) return status;
    }
    return PN_OK;
}

/* ---- building ---- */

static pn_status check_loss(plan_builder *b) {
    const plan_value *loss = &b->values[b->output_values[0]];
    char text[256];
    if (loss->shape.dtype == PN_I64) return pn_fail(b->error, PN_E_TYPE, "the loss has dtype int64, expected a real number");
    if (pn_shape_size(&loss->shape) != 1)
        return pn_fail(b->error, PN_E_VALUE, "the loss has shape %s, expected a single number", pn_shape_text(&loss->shape, text));
    if (!loss->wants) return pn_fail(b->error, PN_E_VALUE, "the loss has no gradient: it does not depend on any parameter that is trained");
    return PN_OK;
}

static int plan_dtype(const plan_builder *b) {
    if (b->spec->n_segments) return b->spec->segments[0].param->shape.dtype;
    for (int i = 0; i < b->spec->n_outputs; i++)
        if (b->spec->outputs[i]->shape.dtype != PN_I64) return b->spec->outputs[i]->shape.dtype;
    return PN_F32;
}

/* The plan reads the memory of leaves and calls user code: both must stay. */
static pn_status hold_references(plan_builder *b) {
    pn_plan *p = b->plan;
    p->held = pn_pool_take(&p->pool, (size_t)b->n_values, sizeof *p->held);
    p->held_data = pn_pool_take(&p->pool, (size_t)b->n_values, sizeof *p->held_data);
    p->held_nodes = pn_pool_take(&p->pool, (size_t)b->n_nodes, sizeof *p->held_nodes);
    if (p->pool.failed) return pn_plan_out_of_memory(b);
    for (int v = 0; v < b->n_values; v++) {
        pn_tensor *t = b->values[v].kind == PLAN_LEAF ? b->values[v].tensor : NULL;
        if (!t) continue;
        pn_tensor_ref(t);
        p->held_data[p->n_held] = t->storage->data;
        p->held[p->n_held++] = t;
    }
    for (int i = 0; i < b->n_nodes; i++) {
        if (!b->nodes[i].live || !b->nodes[i].source) continue;
        pn_node_ref(b->nodes[i].source);
        p->held_nodes[p->n_held_nodes++] = b->nodes[i].source;
    }
    return PN_OK;
}

/* Room for what the members tell each other about the gradients of a step. */
static pn_status make_slots(plan_builder *b) {
    pn_plan *p = b->plan;
    p->maxima_stride = (1 + 2 * p->n_deferred + 7) / 8 * 8; /* whole cache lines */
    p->maxima = pn_pool_take(&p->pool, (size_t)p->maxima_stride * PN_MAX_THREADS + 8, sizeof(double));
    p->partial = pn_pool_take(&p->pool, (size_t)(p->gradient_n / PN_PLAN_BLOCK) + 1, sizeof(double));
    if (p->pool.failed) return pn_plan_out_of_memory(b);
    p->maxima = (double *)(((uintptr_t)p->maxima + 63) / 64 * 64);
    return PN_OK;
}

static pn_status build(plan_builder *b) {
    pn_plan *p = b->plan;
    pn_status status = pn_plan_trace(b);
    if (status) return status;
    if ((status = pn_plan_trace_commits(b))) return status;
    if ((status = pn_plan_fold_norms(b))) return status;
    if ((status = pn_plan_assign_layouts(b))) return status;
    pn_plan_fuse_activations(b);
    if (b->spec->training) {
        pn_plan_mark_gradients(b);
        if ((status = check_loss(b))) return status;
        pn_plan_defer_weights(b);
    }
    if ((status = pn_plan_measure(b))) return status;
    if ((status = pn_plan_emit(b))) return status;
    if ((status = pn_plan_place(b))) return status;
    if ((status = hold_references(b))) return status;
    if ((status = make_slots(b))) return status;
    p->heavy = p->flops >= PN_PLAN_HEAVY;
    const double members = p->flops / PN_PLAN_MEMBER_FLOPS;
    p->threads = members < 1 ? 1 : members > PN_MAX_THREADS ? PN_MAX_THREADS : (int)members;
    return PN_OK;
}

pn_status pn_plan_build(const pn_recording *r, const pn_plan_spec *spec, pn_plan **plan, pn_error *e) {
    plan_builder b = {.recording = r, .spec = spec, .error = e};
    *plan = NULL;
    b.plan = pn_alloc_zero(sizeof *b.plan);
    if (!b.plan) return pn_plan_out_of_memory(&b);
    b.plan->kernels = pn_kernels_get();
    b.plan->training = spec->training;
    b.plan->n_inputs = spec->n_inputs;
    b.plan->n_outputs = spec->n_outputs;
    b.plan->n_segments = spec->n_segments;
    b.plan->dtype = plan_dtype(&b);
    pn_status status = build(&b);
    if (!status && (b.pool.failed || b.plan->pool.failed)) status = pn_plan_out_of_memory(&b);
    pn_pool_free(&b.pool);
    if (status)
        pn_plan_free(b.plan);
    else
        *plan = b.plan;
    return status;
}

void pn_plan_free(pn_plan *p) {
    if (!p) return;
    for (int i = 0; i < p->n_held; i++) pn_tensor_unref(p->held[i]);
    for (int i = 0; i < p->n_held_nodes; i++) pn_node_unref(p->held_nodes[i]);
    pn_free(p->arena);
    pn_pool_free(&p->pool);
    pn_free(p);
}

/* ---- questions ---- */

void *pn_plan_input(pn_plan *p, int i) { return p->inputs[i].data; }
int pn_plan_inputs(const pn_plan *p) { return p->n_inputs; }
int pn_plan_outputs(const pn_plan *p) { return p->n_outputs; }
const pn_shape *pn_plan_input_shape(const pn_plan *p, int i) { return &p->inputs[i].shape; }
const pn_view *pn_plan_output(const pn_plan *p, int i) { return &p->outputs[i]; }
const pn_view *pn_plan_gradient(const pn_plan *p, int segment) { return &p->gradients[segment]; }
const bool *pn_plan_reaches(const pn_plan *p) { return p->reaches; }
int pn_plan_threads(const pn_plan *p) { return p->threads; }
double pn_plan_flops(const pn_plan *p) { return p->flops; }
size_t pn_plan_bytes(const pn_plan *p) { return p->arena_bytes; }
size_t pn_plan_member_scratch(const pn_plan *p) { return p->member_scratch; }
int pn_plan_fused_updates(const pn_plan *p) { return p->n_deferred; }
void pn_plan_set_random(pn_plan *p, pn_random random) { p->random = random; }

bool pn_plan_valid(const pn_plan *p) {
    if (p->kernels != pn_kernels_get()) return false;
    for (int i = 0; i < p->n_held; i++)
        if (p->held[i]->storage->data != p->held_data[i]) return false;
    return true;
}
