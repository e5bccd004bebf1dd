/* Which layout each value of a plan has, and the reorders between them.
 *
 * An op that chooses a layout gets its first input in it and gives its output in it. Elementwise ops keep what comes. Everything else is plain: other
 * inputs, parameters, outputs of the plan. A value that is wanted in two layouts is reordered once for each. */
#include <string.h>

#include "graph/plan_internal.h"

typedef struct layout_pass {
    plan_builder *b;
    plan_node *nodes; /* the list before */
    int n;
    int (*other)[3]; /* (values before) the copy of a value in each layout, 0 while there is none (value 0 is an input or a leaf: never a copy) */
} layout_pass;

static bool is_blockable(const plan_value *v) { return v->shape.rank >= 2 && v->shape.dtype != PN_I64; }

/* The value that holds v in the wanted layout, behind a new reorder node if need be. -1 on failure. */
static int in_layout(layout_pass *p, int v, pn_layout layout, const plan_node *reader) {
    plan_builder *b = p->b;
    const pn_layout from = b->values[v].layout;
    if (from == layout) return v;
    if (p->other[v][layout]) return p->other[v][layout];
    const pn_shape shape = b->values[v].shape;
    plan_node *n = pn_plan_add_node(b, 1);
    const int copy = pn_plan_add_value(b, &shape, PLAN_RESULT);
    if (!n || copy < 0) return -1;
    n->op = &pn_op_reorder;
    n->attrs[0].i = from;
    n->attrs[1].i = layout;
    n->in[0] = v;
    n->n_out = 1;
    n->out[0] = copy;
    n->real = shape.dtype == PN_F64;
    n->layer = reader ? reader->layer : NULL;
    n->differentiable = n->live = true;
    b->values[copy].layout = layout;
    b->values[copy].producer = b->n_nodes - 1;
    b->values[copy].needed = true;
    return p->other[v][layout] = copy;
}

static bool is_alike(const plan_value *a, const plan_value *b) { return pn_shape_equal(&a->shape, &b->shape) && a->shape.dtype == b->shape.dtype; }

/* Elementwise on tensors of one shape: the blocked layout that one of them has. A plain one that was computed is reordered to it, as where two branches
 * meet; inputs and parameters are not. */
static pn_layout common_layout(const plan_builder *b, const plan_node *n) {
    const plan_value *first = &b->values[n->in[0]];
    pn_layout found = PN_PLAIN;
    bool fixed = false; /* something that stays plain */
    if (!(n->op->flags & PN_ANY_LAYOUT) && !n->alias) return PN_PLAIN;
    if (n->alias && (n->op->flags & PN_VIEW)) return PN_PLAIN;
    for (int i = 0; i < n->n_in; i++) {
        const plan_value *v = &b->values[n->in[i]];
        if (!is_alike(v, first) || (found && v->layout && v->layout != found)) return PN_PLAIN;
        found = v->layout ? v->layout : found;
        fixed |= b->values[plan_root(b, n->in[i])].kind != PLAN_RESULT;
    }
    for (int k = 0; k < n->n_out; k++)
        if (!is_alike(&b->values[n->out[k]], first)) return PN_PLAIN;
    return fixed ? PN_PLAIN : found;
}

/* Does the op choose, and what? */
static bool chooses(const plan_builder *b, const plan_node *n, pn_layout *layout) {
    pn_shape in[2];
    if (!n->live || n->alias || !n->op->layout || !is_blockable(&b->values[n->in[0]]) || !is_blockable(&b->values[n->out[0]])) return false;
    for (int i = 0; i < 2; i++) in[i] = b->values[n->in[i < n->n_in ? i : 0]].shape;
    *layout = n->op->layout(in, n->attrs, b->values[n->in[0]].layout);
    return true;
}

static pn_status assign_node(layout_pass *p, const plan_node *from) {
    plan_builder *b = p->b;
    pn_layout layout = PN_PLAIN;
    const bool asks = chooses(b, from, &layout);
    if (!asks && from->n_in) layout = common_layout(b, from);
    int *in = pn_pool_take(&b->pool, (size_t)from->n_in, sizeof *in);
    if (!in) return pn_plan_out_of_memory(b);
    for (int i = 0; i < from->n_in; i++) {
        const bool blocked = i == 0 || !asks || (i < 32 && from->op->alike >> i & 1);
        in[i] = from->live ? in_layout(p, from->in[i], blocked ? layout : PN_PLAIN, from) : from->in[i];
        if (in[i] < 0) return pn_plan_out_of_memory(b);
    }
    plan_node *n = pn_plan_add_node(b, from->n_in);
    if (!n) return pn_plan_out_of_memory(b);
    *n = *from;
    n->in = in;
    for (int k = 0; k < n->n_out; k++) {
        plan_value *out = &b->values[n->out[k]];
        out->producer = b->n_nodes - 1;
        if (n->alias) out->root = plan_root(b, in[0]);
        out->layout = k == 0 || !asks ? layout : PN_PLAIN;
    }
    return PN_OK;
}

static pn_status plain_outputs(layout_pass *p) {
    plan_builder *b = p->b;
    for (int i = 0; i < b->spec->n_outputs; i++) {
        const int plain = in_layout(p, b->output_values[i], PN_PLAIN, NULL);
        if (plain < 0) return pn_plan_out_of_memory(b);
        b->output_values[i] = plain;
        b->values[plain].kept = b->values[plan_root(b, plain)].kept = true;
    }
    return PN_OK;
}

pn_status pn_plan_assign_layouts(plan_builder *b) {
    layout_pass p = {.b = b, .nodes = b->nodes, .n = b->n_nodes};
    bool any = false;
    for (int i = 0; i < b->n_nodes; i++) any |= b->nodes[i].live && b->nodes[i].op->layout;
    if (!any) return PN_OK;
    p.other = pn_pool_take(&b->pool, (size_t)b->n_values, sizeof *p.other);
    if (!p.other) return pn_plan_out_of_memory(b);
    b->nodes = NULL; /* the list is written anew, reorders between the nodes */
    b->n_nodes = b->c_nodes = 0;
    for (int i = 0; i < p.n; i++) {
        pn_status status = assign_node(&p, &p.nodes[i]);
        if (status) return status;
    }
    return plain_outputs(&p);
}
