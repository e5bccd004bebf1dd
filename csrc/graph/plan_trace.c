/* First form of a plan: the recording as numbered values and nodes, reduced to what the outputs need; then which of them carry a gradient. */
#include <string.h>

#include "graph/plan_internal.h"

pn_status pn_plan_out_of_memory(plan_builder *b) { return pn_fail(b->error, PN_E_MEMORY, "out of memory while building a plan"); }

int pn_plan_add_value(plan_builder *b, const pn_shape *shape, plan_kind kind) {
    plan_value *values = pn_pool_grow(&b->pool, b->values, b->n_values, &b->c_values, sizeof *values);
    if (!values) return -1;
    b->values = values;
    const int v = b->n_values++;
    values[v] = (plan_value){.shape = *shape, .kind = kind, .root = v, .producer = -1, .segment = -1, .data = -1, .grad = -1};
    return v;
}

plan_node *pn_plan_add_node(plan_builder *b, int n_in) {
    plan_node *nodes = pn_pool_grow(&b->pool, b->nodes, b->n_nodes, &b->c_nodes, sizeof *nodes);
    pn_value *attrs = pn_pool_take(&b->plan->pool, PN_MAX_ATTR, sizeof *attrs);
    int *in = pn_pool_take(&b->pool, (size_t)n_in, sizeof *in);
    if (!nodes || !attrs || !in) return NULL;
    b->nodes = nodes;
    plan_node *n = &nodes[b->n_nodes++];
    *n = (plan_node){.attrs = attrs, .n_in = n_in, .in = in, .activation = -1, .saved = -1};
    return n;
}

/* ---- which value stands for a tensor: a hash table from the addresses of tensors and of storages ---- */

static int *map_place(plan_builder *b, const void *key, bool *found) {
    const size_t mask = (size_t)b->map_size - 1;
    size_t i = ((uintptr_t)key >> 4) * 0x9E3779B97F4A7C15u >> 20 & mask;
    while (b->map[i].key && b->map[i].key != key) i = (i + 1) & mask;
    *found = b->map[i].key != NULL;
    b->map[i].key = key;
    return &b->map[i].value;
}

/* The first value that claims a storage keeps it: it is the root, the others are views. */
static void map_tensor(plan_builder *b, const pn_tensor *t, int value) {
    bool found;
    *map_place(b, t, &found) = value;
    int *place = map_place(b, t->storage, &found);
    if (!found) *place = value;
}

static bool map_create(plan_builder *b) {
    int64_t keys = b->spec->n_inputs + b->spec->n_segments + b->spec->n_outputs;
    for (int64_t i = 0; i < b->recording->n; i++) keys += b->recording->nodes[i]->n_in + PN_MAX_OUT;
    if (keys > INT_MAX / 8) b->pool.failed = true;
    b->map_size = 64;
    while (!b->pool.failed && b->map_size < 4 * keys) b->map_size *= 2;
    b->map = pn_pool_take(&b->pool, (size_t)b->map_size, sizeof *b->map);
    return b->map != NULL;
}

static int add_leaf(plan_builder *b, pn_tensor *t, int segment) {
    const int v = pn_plan_add_value(b, &t->shape, PLAN_LEAF);
    if (v < 0) return -1;
    b->values[v].tensor = t;
    b->values[v].segment = segment;
    map_tensor(b, t, v);
    return v;
}

/* A tensor that is new but shares the memory of a known value: what detach() gives. Same data, no gradient, no instruction. */
static const pn_op detach_op = {.name = "detach", .formula = "y = x", .inputs = "x:n", .n_out = 1, .flags = PN_VIEW | PN_NO_GRAD, .file = "graph/plan_trace.c"};

static int add_detached(plan_builder *b, pn_tensor *t, int owner) {
    plan_node *n = pn_plan_add_node(b, 1);
    const int v = pn_plan_add_value(b, &t->shape, PLAN_RESULT);
    if (!n || v < 0) return -1;
    n->op = &detach_op;
    n->in[0] = owner;
    n->out[0] = v;
    n->n_out = 1;
    n->alias = true;
    b->values[v].root = plan_root(b, owner);
    b->values[v].producer = b->n_nodes - 1;
    map_tensor(b, t, v);
    return v;
}

/* The value of an input of a node, or -1. */
static int value_of(plan_builder *b, pn_tensor *t) {
    bool found;
    const int *place = map_place(b, t, &found);
    if (found) return *place;
    place = map_place(b, t->storage, &found);
    if (!found) {
        if (t->flags & PN_T_DEPENDS) {
            pn_fail(b->error, PN_E_RUNTIME, "a tensor of shape (%lld, ...) depends on the input but was not computed by recorded operations",
                    (long long)(t->shape.rank ? t->shape.dim[0] : 1));
            return -1;
        }
        return add_leaf(b, t, -1);
    }
    return add_detached(b, t, *place);
}

/* ---- nodes ---- */

/* Something wrote into the tensor that is value v, before a node read it (at version `then`; the memory of a result is new, at version 0) or afterwards.
 * Parameters and buffers may change at any time, a plan reads them where they live. */
static bool was_written(const plan_builder *b, const pn_tensor *t, int v, uint64_t then) {
    if (t->flags & (PN_T_PARAMETER | PN_T_BUFFER)) return false;
    return t->storage->version != then || (then && b->values[plan_root(b, v)].kind == PLAN_RESULT);
}

static pn_status trace_inputs(plan_builder *b, const pn_node *from, int *in) {
    for (int i = 0; i < from->n_in; i++) {
        const int v = value_of(b, from->in[i]);
        if (v < 0) return b->pool.failed ? pn_plan_out_of_memory(b) : b->error->status;
        in[i] = v;
        if (was_written(b, from->in[i], v, from->in_version[i]))
            return pn_fail(b->error, PN_E_RUNTIME, "%s reads a tensor that was written in place", from->op->name);
    }
    return PN_OK;
}

static int real_index(const pn_node *from) {
    for (int i = 0; i < from->n_in; i++)
        if (from->in[i]->shape.dtype != PN_I64) return from->in[i]->shape.dtype == PN_F64;
    return 0;
}

static pn_status trace_node(plan_builder *b, int64_t index) {
    const pn_node *from = b->recording->nodes[index];
    int *in = pn_pool_take(&b->pool, (size_t)from->n_in, sizeof *in);
    if (!in) return pn_plan_out_of_memory(b);
    pn_status status = trace_inputs(b, from, in); /* before the node itself: an alias found on the way is a node of its own */
    if (status) return status;
    plan_node *n = pn_plan_add_node(b, 0);
    if (!n) return pn_plan_out_of_memory(b);
    const int id = b->n_nodes - 1;
    n->in = in;
    n->n_in = from->n_in;
    if (from->n_attrs) memcpy(n->attrs, from->attrs, (size_t)from->n_attrs * sizeof *n->attrs);
    n->op = from->op;
    n->source = from->user ? b->recording->nodes[index] : NULL;
    n->layer = from->layer;
    n->ordinal = from->ordinal;
    n->training = from->training;
    n->n_out = from->n_out;
    n->real = real_index(from);
    n->differentiable = from->requires_grad && from->op->bwd[n->real] && !(from->op->flags & PN_NO_GRAD);
    n->alias = (from->op->flags & PN_VIEW) || ((from->op->flags & PN_TRAIN_ONLY) && !from->training);
    for (int k = 0; k < from->n_out; k++) {
        const int v = pn_plan_add_value(b, &from->out_shape[k], PLAN_RESULT);
        if (v < 0) return pn_plan_out_of_memory(b);
        if (n->alias) b->values[v].root = plan_root(b, n->in[0]);
        b->values[v].producer = id;
        n->out[k] = v;
        const pn_tensor *t = b->recording->outs[index * PN_MAX_OUT + k];
        if (t) map_tensor(b, t, v);
    }
    return PN_OK;
}

/* ---- what the outputs need ---- */

static void need(plan_builder *b, int v) { b->values[v].needed = b->values[plan_root(b, v)].needed = true; }

static pn_status trace_outputs(plan_builder *b) {
    b->output_values = pn_pool_take(&b->pool, (size_t)b->spec->n_outputs, sizeof(int));
    if (!b->output_values) return pn_plan_out_of_memory(b);
    for (int i = 0; i < b->spec->n_outputs; i++) {
        const int v = value_of(b, b->spec->outputs[i]);
        if (v < 0) return b->pool.failed ? pn_plan_out_of_memory(b) : b->error->status;
        b->output_values[i] = v;
        b->values[v].kept = b->values[plan_root(b, v)].kept = true;
        need(b, v);
    }
    for (int i = b->n_nodes - 1; i >= 0; i--) {
        plan_node *n = &b->nodes[i];
        for (int k = 0; k < n->n_out; k++) n->live |= b->values[n->out[k]].needed;
        for (int k = 0; n->live && k < n->n_in; k++) need(b, n->in[k]);
    }
    return PN_OK;
}

pn_status pn_plan_trace(plan_builder *b) {
    if (!map_create(b)) return pn_plan_out_of_memory(b);
    b->input_values = pn_pool_take(&b->pool, (size_t)b->spec->n_inputs, sizeof(int));
    for (int i = 0; i < b->spec->n_inputs; i++) {
        const int v = pn_plan_add_value(b, &b->spec->inputs[i]->shape, PLAN_INPUT);
        if (v < 0) return pn_plan_out_of_memory(b);
        map_tensor(b, b->spec->inputs[i], v);
        b->input_values[i] = v;
    }
    for (int i = 0; i < b->spec->n_segments; i++)
        if (add_leaf(b, b->spec->segments[i].param, i) < 0) return pn_plan_out_of_memory(b);
    for (int64_t i = 0; i < b->recording->n; i++) {
        pn_status status = trace_node(b, i);
        if (status) return status;
    }
    return trace_outputs(b);
}

/* ---- gradients ---- */

/* Forward: where a gradient can flow. Backward from the loss: where it does, and how many instructions will write each. */
void pn_plan_mark_gradients(plan_builder *b) {
    for (int v = 0; v < b->n_values; v++) b->values[v].wants = b->values[v].segment >= 0 && b->values[v].tensor->requires_grad;
    for (int i = 0; i < b->n_nodes; i++) {
        plan_node *n = &b->nodes[i];
        bool any = false;
        for (int k = 0; k < n->n_in; k++) any |= b->values[n->in[k]].wants;
        if (!n->live || !n->differentiable || !any) continue;
        for (int k = 0; k < n->n_out; k++) b->values[n->out[k]].wants = pn_op_carries(n->op, k, &b->values[n->out[k]].shape);
    }
    const int loss = b->output_values[0];
    b->values[plan_root(b, loss)].reached = b->values[loss].wants;
    for (int i = b->n_nodes - 1; i >= 0; i--) {
        plan_node *n = &b->nodes[i];
        for (int k = 0; n->live && n->differentiable && k < n->n_out; k++)
            n->reached |= b->values[n->out[k]].wants && b->values[plan_root(b, n->out[k])].reached;
        for (int k = 0; n->reached && !n->alias && k < n->n_in; k++) {
            plan_value *root = &b->values[plan_root(b, n->in[k])];
            if (!b->values[n->in[k]].wants) continue;
            root->reached = true;
            root->contributions++;
        }
    }
}
