/* Fusion: an activation behind a product or convolution is computed while the product is in cache; large dense weights are updated while their gradient is.
 * And order: relu goes behind max pooling. */
#include <math.h>
#include <string.h>

#include "graph/plan_internal.h"

static int activation_of(const pn_op *op) {
    for (int a = 0; a < PN_ACT_COUNT; a++)
        if (strcmp(pn_acts[a].name, op->name) == 0) return a;
    return -1;
}

/* The only live node that reads value v, or -1. */
static int only_reader(const plan_builder *b, int v, const int *last_reader) { return b->values[v].uses == 1 ? last_reader[v] : -1; }

/* Counts who reads what; a read of a view is a read of its root too. */
static int *count_uses(plan_builder *b) {
    int *last_reader = pn_pool_take(&b->pool, (size_t)b->n_values, sizeof(int));
    if (!last_reader) return NULL;
    for (int v = 0; v < b->n_values; v++) b->values[v].uses = 0;
    for (int i = 0; i < b->n_nodes; i++) {
        const plan_node *n = &b->nodes[i];
        for (int k = 0; n->live && k < n->n_in; k++) {
            const int v = n->in[k], root = plan_root(b, v);
            b->values[v].uses++;
            last_reader[v] = i;
            if (root != v) b->values[root].uses++;
        }
    }
    return last_reader;
}

/* An activation whose derivative reads y alone, behind a product whose output nobody else sees. */
static bool can_fuse(const plan_builder *b, const plan_node *product, const plan_node *next, int activation) {
    const plan_value *z = &b->values[product->out[0]];
    return activation >= 0 && !pn_acts[activation].needs_x && !z->kept && z->layout == b->values[next->out[0]].layout &&
           next->differentiable == product->differentiable &&
           plan_root(b, next->out[0]) != plan_root(b, b->output_values[0]); /* backward overwrites the gradient of y, and that of the loss is a constant */
}

static void fuse(plan_builder *b, plan_node *product, plan_node *next, int activation, int field) {
    product->activation = activation;
    product->attrs[field].i = activation;
    for (int p = 0; p < pn_acts[activation].n_params && p < 2; p++) {
        /* A second parameter left at "none" has the value of the first, as in ops/activations.c. */
        const double value = next->attrs[p].f;
        product->attrs[field + 1 + p].f = p == 1 && isnan(value) ? next->attrs[0].f : value;
    }
    product->out[0] = next->out[0];
    b->values[next->out[0]].producer = (int)(product - b->nodes);
    next->live = false;
}

/* Batch norm whose output only an addition of the same shape reads: the sum goes into it, at the place of the addition, where both terms are there. */
static void fuse_residuals(plan_builder *b, const int *last_reader) {
    const pn_op *norm = pn_op_find("batch_norm"), *add = pn_op_find("add");
    const int residual = norm->passes;
    for (int i = 0; i < b->n_nodes; i++) {
        plan_node *n = &b->nodes[i], *sum;
        const plan_value *z = &b->values[n->out[0]], *y, *other;
        if (!n->live || n->op != norm || n->n_in != residual || z->kept) continue;
        const int reader = only_reader(b, n->out[0], last_reader);
        if (reader < 0 || b->nodes[reader].op != add || b->nodes[reader].differentiable != n->differentiable) continue;
        sum = &b->nodes[reader], y = &b->values[sum->out[0]], other = &b->values[sum->in[sum->in[0] == n->out[0]]];
        if (!pn_shape_equal(&y->shape, &z->shape) || !pn_shape_equal(&other->shape, &z->shape) || y->layout != z->layout || other->layout != z->layout)
            continue;
        int *in = pn_pool_take(&b->pool, (size_t)residual + 1, sizeof *in);
        if (!in) return;
        memcpy(in, n->in, (size_t)residual * sizeof *in);
        in[residual] = sum->in[sum->in[0] == n->out[0]];
        const int out = sum->out[0];
        *sum = *n;
        sum->in = in, sum->n_in = residual + 1, sum->out[0] = out;
        for (int k = 0; k < sum->n_out; k++) b->values[sum->out[k]].producer = reader;
        n->live = false;
    }
}

/* relu, and behind it nothing but a max pooling: max(relu x) = relu(max x), and where they differ in which element is the maximum, relu gives it no
 * gradient. The other way round, relu and its gradient have fewer elements. In evaluation relu costs least where its input is made. */
static bool can_swap(const plan_builder *b, const plan_node *relu, const plan_node *pool) {
    const plan_value *x = &b->values[relu->in[0]], *between = &b->values[relu->out[0]], *y = &b->values[pool->out[0]];
    if (pool->op != pn_op_find("max_pool2d")) return false;
    const pn_value *padding = &pool->attrs[pn_op_field(pool->op, "padding")];
    for (int i = 0; i < padding->n; i++) {
        if (padding->ints[i]) return false; /* a window of nothing but padding gives -inf */
    }
    return relu->attrs[0].f == 0 && !between->kept && between->layout == x->layout && y->layout == x->layout && relu->differentiable == pool->differentiable &&
           pn_shape_size(&y->shape) <= pn_shape_size(&x->shape) / 2;
}

static void swap_poolings(plan_builder *b, const int *last_reader) {
    const pn_op *op = pn_op_find("relu");
    for (int i = 0; i < b->n_nodes; i++) {
        plan_node *n = &b->nodes[i];
        const int reader = n->live && n->op == op ? only_reader(b, n->out[0], last_reader) : -1;
        if (reader < 0 || !can_swap(b, n, &b->nodes[reader])) continue;
        plan_node *behind = &b->nodes[reader];
        const plan_node relu = *n;
        const int x = n->in[0], between = n->out[0], y = behind->out[0];
        *n = *behind, *behind = relu;
        n->in[0] = x, n->out[0] = between, behind->in[0] = between, behind->out[0] = y;
        b->values[between].shape = b->values[y].shape; /* producers and readers are where they were */
    }
}

void pn_plan_fuse_activations(plan_builder *b) {
    const int *last_reader = count_uses(b);
    if (!last_reader || !b->spec->fuse) return;
    if (b->spec->training) swap_poolings(b, last_reader);
    fuse_residuals(b, last_reader);
    for (int i = 0; i < b->n_nodes; i++) {
        plan_node *n = &b->nodes[i];
        const int field = n->op->fused;
        if (!n->live || !(n->op->flags & PN_FUSES) || n->attrs[field].i >= 0) continue;
        const int reader = only_reader(b, n->out[0], last_reader);
        if (reader < 0) continue;
        const int activation = activation_of(b->nodes[reader].op);
        if (can_fuse(b, n, &b->nodes[reader], activation)) fuse(b, n, &b->nodes[reader], activation, field);
    }
}

/* A large weight that gets one gradient contribution, from one linear layer, and whose gradient nobody wants to see. */
void pn_plan_defer_weights(plan_builder *b) {
    const pn_op *linear = pn_op_find("linear");
    if (!linear || !b->spec->fuse || b->spec->keep_gradients) return;
    int room = PN_PLAN_MAX_DEFERRED;
    for (int i = 0; i < b->n_nodes && room; i++) {
        plan_node *n = &b->nodes[i];
        if (!n->reached || n->op != linear) continue;
        const plan_value *weight = &b->values[n->in[1]];
        n->deferred = weight->segment >= 0 && weight->contributions == 1 && pn_shape_size(&weight->shape) >= PN_PLAN_DEFER;
        room -= n->deferred;
    }
}
