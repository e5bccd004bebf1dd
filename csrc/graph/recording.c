/* A recording: the nodes made while it was open, in order, with their outputs. */
#include "graph/recording.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

pn_recording *pn_recording_new(pn_error *e) {
    pn_recording *r = pn_alloc_zero(sizeof *r);
    if (!r) pn_fail(e, PN_E_MEMORY, "not enough memory for a recording");
    return r;
}

void pn_recording_free(pn_recording *r) {
    if (!r) return;
    for (int64_t i = r->n; i-- > 0;) {
        for (int k = 0; k < r->nodes[i]->n_out; k++) pn_tensor_unref(r->outs[i * PN_MAX_OUT + k]);
        pn_node_unref(r->nodes[i]);
    }
    pn_free(r->nodes);
    pn_free(r->outs);
    pn_free(r);
}

bool pn_recording_reserve(pn_recording *r, pn_error *e) {
    if (r->n < r->capacity) return true;
    const int64_t capacity = r->capacity ? 2 * r->capacity : 32;
    pn_node **nodes = pn_alloc((size_t)capacity * sizeof *nodes);
    pn_tensor **outs = pn_alloc((size_t)capacity * PN_MAX_OUT * sizeof *outs);
    if (!nodes || !outs) {
        pn_free(nodes);
        pn_free(outs);
        pn_fail(e, PN_E_MEMORY, "not enough memory for a recording of %lld operations", (long long)capacity);
        return false;
    }
    if (r->n) {
        memcpy(nodes, r->nodes, (size_t)r->n * sizeof *nodes);
        memcpy(outs, r->outs, (size_t)r->n * PN_MAX_OUT * sizeof *outs);
    }
    pn_free(r->nodes);
    pn_free(r->outs);
    r->nodes = nodes;
    r->outs = outs;
    r->capacity = capacity;
    return true;
}

void pn_recording_append(pn_recording *r, pn_node *n, pn_tensor *const *outs) {
    pn_node_ref(n);
    n->recorded = true;
    r->nodes[r->n] = n;
    for (int k = 0; k < PN_MAX_OUT; k++) {
        r->outs[r->n * PN_MAX_OUT + k] = k < n->n_out ? outs[k] : NULL;
        if (k < n->n_out) pn_tensor_ref(outs[k]);
    }
    r->n++;
    if (!r->dynamic) pn_recording_pass(n, outs);
}

pn_tensor *pn_recording_successor(const pn_recording *r, pn_tensor *t) {
    for (int64_t i = 0; i < r->n; i++) {
        const pn_node *n = r->nodes[i];
        for (int k = 1; (n->op->flags & PN_COMMITS) && k < n->n_out; k++)
            if (n->in[k] == t) t = r->outs[i * PN_MAX_OUT + k];
    }
    return t;
}

void pn_recording_read(pn_context *ctx, const pn_tensor *t, const char *what) {
    pn_recording *r = ctx->recording;
    if (!r || r->dynamic) return;
    /* Parameters change from step to step like inputs do. */
    if (!t->requires_grad && !(t->flags & (PN_T_DEPENDS | PN_T_PARAMETER | PN_T_BUFFER))) return;
    char shape[256];
    pn_recording_keep(r);
    r->dynamic = true;
    snprintf(r->reason, sizeof r->reason, "%s of a tensor of shape %.60s%s%.40s", what, pn_shape_text(&t->shape, shape), ctx->layer ? " in " : "",
             ctx->layer ? ctx->layer : "");
}

/* ---- comparison ---- */

/* Where an input of a recorded node comes from. */
static bool find_producer(const pn_recording *r, const pn_tensor *t, int64_t before, int64_t *node) {
    if (!t->node || !t->node->recorded) return false;
    for (int64_t i = before; i-- > 0;) { /* usually the node just before */
        if (r->nodes[i] == t->node) {
            *node = i;
            return true;
        }
    }
    return false;
}

/* Neither tensor was computed in its recording: the same object, two placeholders of one shape, or constants with equal bytes. */
static bool same_source(const pn_tensor *a, const pn_tensor *b) {
    if (a == b || a->storage == b->storage) return true;
    if ((a->flags ^ b->flags) & (PN_T_DEPENDS | PN_T_PARAMETER | PN_T_BUFFER)) return false;
    if (a->flags & PN_T_DEPENDS) return true;
    if (a->flags & PN_T_PARAMETER) return false;
    return memcmp(a->storage->data, b->storage->data, a->storage->bytes) == 0;
}

static bool same_input(const pn_recording *ra, const pn_recording *rb, int64_t at, const pn_tensor *a, const pn_tensor *b) {
    int64_t ia = -1, ib = -1;
    if (a->shape.dtype != b->shape.dtype || !pn_shape_equal(&a->shape, &b->shape)) return false;
    const bool from_a = find_producer(ra, a, at, &ia), from_b = find_producer(rb, b, at, &ib);
    if (from_a != from_b) return false;
    return from_a ? ia == ib && a->output == b->output : same_source(a, b);
}

static bool same_value(pn_kind kind, const pn_value *a, const pn_value *b) {
    if (kind == PN_INTS) return a->n == b->n && (a->n <= 0 || memcmp(a->ints, b->ints, (size_t)a->n * sizeof *a->ints) == 0);
    return a->i == b->i; /* a float by its bits: NaN means "none" */
}

static bool same_node(const pn_recording *ra, const pn_recording *rb, int64_t at) {
    const pn_node *a = ra->nodes[at], *b = rb->nodes[at];
    if (a->op != b->op || a->n_in != b->n_in || a->n_out != b->n_out || a->requires_grad != b->requires_grad || a->training != b->training) return false;
    if ((a->op->flags & PN_USER) && strcmp(a->user->name, b->user->name) != 0) return false;
    for (int i = 0; i < a->n_attrs; i++) {
        if (!same_value(a->op->fields[i].kind, &a->attrs[i], &b->attrs[i])) return false;
    }
    for (int i = 0; i < a->n_out; i++) {
        if (a->out_shape[i].dtype != b->out_shape[i].dtype || !pn_shape_equal(&a->out_shape[i], &b->out_shape[i])) return false;
    }
    for (int i = 0; i < a->n_in; i++) {
        if (!same_input(ra, rb, at, a->in[i], b->in[i])) return false;
    }
    return true;
}

bool pn_recording_same(const pn_recording *a, const pn_recording *b) {
    if (a->n != b->n) return false;
    for (int64_t i = 0; i < a->n; i++) {
        if (!same_node(a, b, i)) return false;
    }
    return true;
}
