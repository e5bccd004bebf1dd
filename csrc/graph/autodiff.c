/* Reverse mode: from a root back through the nodes, each once, latest first.
 *
 * A sweep has three parts. discover() lists the nodes that the root depends on and gives every tensor that may receive a gradient a slot. propagate()
 * runs the derivatives; the first contribution to a slot overwrites, later ones add, in the fixed order of the nodes. commit() moves the finished
 * gradients to the leaves. Everything that can fail comes before commit(), so that a failed sweep leaves all .grad as they were. */
#include "graph/sweep.h"

#include <string.h>

#include "base/alloc.h"
#include "graph/run.h"

#define FEW 8 /* inputs of a node that fit on the C stack */

/* ---- one node ---- */

static bool needs_value(unsigned mask, int i) { return mask >> (i < 31 ? i : 31) & 1; }

static pn_status node_error(const pn_node *n, pn_error *e) { return pn_error_name(n->layer, n->user ? n->user->name : n->op->name, e); }

/* The derivative needs more than the gradient of the output. */
static bool reads_values(const pn_node *n) { return n->op->needs_in || pn_op_reads_out(n->op, n->attrs) || n->saved_bytes || n->user; }

/* What a released node kept is complete. */
static bool has_values(const pn_node *n) {
    if (n->recorded || n->user || (n->saved_bytes && !n->saved)) return false;
    for (int i = 0; i < n->n_out; i++) {
        if (needs_value(pn_op_reads_out(n->op, n->attrs), i) && !n->out_storage[i]) return false;
    }
    return true;
}

/* Nobody wrote into what the derivative is going to read, and it is still there. */
static pn_status check_saved(const pn_node *n, bool again, pn_error *e) {
    if (n->released && reads_values(n) && !(again && has_values(n))) {
        pn_fail(e, PN_E_RUNTIME,
                n->recorded ? "backward through operations that fit, predict or evaluate recorded: they keep no values for it; compute the tensor again"
                            : "trying to backward through the graph a second time: the saved values were freed; call backward(retain_graph=True) the "
                              "first time");
        return node_error(n, e);
    }
    char text[256];
    for (int i = 0; i < n->n_in; i++) {
        const uint64_t now = n->in[i]->storage->version, then = n->in_version[i];
        if (now == then) continue;
        if (now / PN_GENERATION != then / PN_GENERATION) {
            pn_fail(e, PN_E_RUNTIME, "input %d was given other data, now of shape %s, after the operation was recorded", i,
                    pn_shape_text(&n->in[i]->shape, text));
            return node_error(n, e);
        }
        if (!needs_value(n->op->needs_in, i)) continue;
        pn_fail(e, PN_E_RUNTIME,
                "a tensor needed for gradient computation has been modified by an in-place operation: input %d of shape %s is at version %llu, expected %llu",
                i, pn_shape_text(&n->in[i]->shape, text), (unsigned long long)(now % PN_GENERATION), (unsigned long long)(then % PN_GENERATION));
        return node_error(n, e);
    }
    for (int i = 0; i < n->n_out; i++) {
        if (!n->out_storage[i] || n->out_storage[i]->version == n->out_version[i]) continue;
        pn_fail(e, PN_E_RUNTIME,
                "a tensor needed for gradient computation has been modified by an in-place operation: its output of shape %s is at version %llu, expected %llu",
                pn_shape_text(&n->out_shape[i], text), (unsigned long long)n->out_storage[i]->version, (unsigned long long)n->out_version[i]);
        return node_error(n, e);
    }
    return PN_OK;
}

static bool is_exclusive(const pn_tensor *t) { return t->refs == 1 && t->storage->refs == 1; }

/* Makes the gradient of a slot writable: somebody else may hold it (retain_grad, the caller's own gradient, a reshape). */
static pn_status make_exclusive(pn_tensor **grad, pn_error *e) {
    if (is_exclusive(*grad)) return PN_OK;
    pn_tensor *copy = pn_tensor_copy(*grad, e);
    if (!copy) return e->status;
    pn_tensor_unref(*grad);
    *grad = copy;
    return PN_OK;
}

static void accumulate(pn_tensor *to, const pn_tensor *from) {
    const pn_kernels *k = pn_kernels_get();
    const int64_t n = pn_shape_size(&to->shape);
    if (to->shape.dtype == PN_F32)
        k->f.accumulate(to->storage->data, from->storage->data, n);
    else
        k->d.accumulate(to->storage->data, from->storage->data, n);
    to->storage->version++;
}

/* A reshape passes its gradient on as it is, under the shape of its input. */
static pn_status propagate_view(pn_sweep *s, pn_node *n, pn_error *e) {
    pn_slot *from = &s->slots[n->slot], *to = pn_sweep_slot(s, n->in[0]);
    if (!to) return PN_OK;
    if (!to->grad) {
        to->grad = pn_tensor_of(from->grad->storage, &n->in[0]->shape, e);
        return to->grad ? PN_OK : e->status;
    }
    if (make_exclusive(&to->grad, e)) return e->status;
    accumulate(to->grad, from->grad);
    return PN_OK;
}

typedef struct node_frame {
    pn_view *in, *gin; /* (n_in) */
    pn_slot **target;  /* (n_in) slot of each wanted input, else NULL */
    pn_tensor **extra; /* (n_in) an input given twice gets its second gradient here; else NULL */
    uint8_t *add;      /* (n_in) */
    pn_view out[PN_MAX_OUT], gout[PN_MAX_OUT];
    void *room; /* of the arrays when there are many inputs */
    pn_view few[2 * FEW];
    pn_slot *few_targets[FEW];
    pn_tensor *few_extras[FEW];
    uint8_t few_adds[FEW];
} node_frame;

static pn_status open_node(node_frame *f, const pn_node *n, pn_error *e) {
    const size_t count = (size_t)n->n_in;
    f->room = NULL;
    f->in = f->few;
    f->gin = f->few + FEW;
    f->target = f->few_targets;
    f->extra = f->few_extras;
    f->add = f->few_adds;
    if (n->n_in > FEW) {
        char *room = pn_alloc(count * (2 * sizeof(pn_view) + sizeof(pn_slot *) + sizeof(pn_tensor *) + 1));
        if (!room) return pn_fail(e, PN_E_MEMORY, "not enough memory for the gradients of %s", n->op->name);
        f->room = room;
        f->in = (pn_view *)room;
        f->gin = f->in + count;
        f->target = (pn_slot **)(f->gin + count);
        f->extra = (pn_tensor **)(f->target + count);
        f->add = (uint8_t *)(f->extra + count);
    }
    for (int i = 0; i < n->n_in; i++) {
        f->target[i] = NULL;
        f->extra[i] = NULL;
        f->add[i] = 0;
    }
    return PN_OK;
}

static void close_node(node_frame *f, const pn_node *n) {
    for (int i = 0; i < n->n_in; i++) pn_tensor_unref(f->extra[i]);
    pn_free(f->room);
}

/* An elementwise op of one input may turn the gradient of its output into that of its input where it lies. */
static bool may_reuse(const pn_node *n, const pn_slot *out) {
    return n->n_in == 1 && n->n_out == 1 && (n->op->flags & PN_IN_PLACE) && !out->keep && is_exclusive(out->grad) &&
           n->in[0]->shape.dtype == out->grad->shape.dtype && pn_shape_equal(&n->in[0]->shape, &out->grad->shape);
}

/* Decides where the gradient of input i goes. */
static pn_status place_gradient(pn_sweep *s, pn_node *n, node_frame *f, int i, pn_error *e) {
    pn_slot *to = pn_sweep_slot(s, n->in[i]);
    f->gin[i] = (pn_view){NULL, n->in[i]->shape};
    if (!to) return PN_OK;
    for (int k = 0; k < i; k++) {
        if (f->target[k] != to) continue;
        /* x * x: both gradients at once into one place would race within the op */
        f->extra[i] = pn_tensor_new(&n->in[i]->shape, e);
        if (!f->extra[i]) return e->status;
        f->gin[i].data = f->extra[i]->storage->data;
        f->target[i] = to;
        return PN_OK;
    }
    if (to->grad) {
        if (make_exclusive(&to->grad, e)) return e->status;
        f->add[i] = 1;
    } else if (may_reuse(n, &s->slots[n->slot])) {
        to->grad = s->slots[n->slot].grad;
        pn_tensor_ref(to->grad);
    } else {
        to->grad = pn_tensor_new(&n->in[i]->shape, e);
        if (!to->grad) return e->status;
    }
    f->target[i] = to;
    f->gin[i].data = to->grad->storage->data;
    return PN_OK;
}

static pn_status run_node(pn_sweep *s, pn_node *n, node_frame *f, pn_error *e) {
    for (int i = 0; i < n->n_in; i++) {
        f->in[i] = (pn_view){n->in[i]->storage->data, n->in[i]->shape};
        if (place_gradient(s, n, f, i, e)) return e->status;
    }
    for (int k = 0; k < n->n_out; k++) {
        const pn_tensor *g = s->slots[n->slot + k].grad;
        f->out[k] = (pn_view){n->out_storage[k] ? n->out_storage[k]->data : NULL, n->out_shape[k]};
        f->gout[k] = (pn_view){g ? g->storage->data : NULL, n->out_shape[k]};
    }
    pn_call call = {
        .op = n->op,
        .kernels = pn_kernels_get(),
        .attrs = n->attrs,
        .n_in = n->n_in,
        .n_out = n->n_out,
        .in = f->in,
        .out = f->out,
        .gout = f->gout,
        .gin = f->gin,
        .gin_add = f->add,
        .saved = n->saved,
        .random = &n->random,
        .ordinal = n->ordinal,
        .training = n->training,
        .context = n->user,
    };
    const pn_run_spec spec = {.scratch = n->scratch, .member_scratch = n->member_scratch, .work = 2 * n->work, .backward = true};
    if (pn_run_call(s->ctx, &call, &spec, e)) return e->status == PN_E_PYTHON || e->status == PN_E_INTERRUPTED ? e->status : node_error(n, e);
    for (int i = 0; i < n->n_in; i++) {
        if (f->extra[i]) accumulate(f->target[i]->grad, f->extra[i]);
    }
    return PN_OK;
}

/* Hooks see the complete gradient of a tensor before anybody uses it. */
static pn_status call_hooks(const pn_sweep *s, pn_slot *slot, pn_error *e) {
    if (s->again) return PN_OK; /* a drawing looks, it does not act */
    if (!slot->grad || !slot->tensor || !slot->tensor->hooks) return PN_OK;
    return slot->tensor->hooks->call(slot->tensor->hooks, &slot->grad, e);
}

static pn_status propagate_node(pn_sweep *s, pn_node *n, pn_error *e) {
    bool reached = false;
    for (int k = 0; k < n->n_out; k++) {
        pn_slot *slot = &s->slots[n->slot + k];
        if (call_hooks(s, slot, e)) return e->status;
        reached |= slot->grad != NULL;
    }
    if (!reached) return PN_OK;
    if (check_saved(n, s->again, e)) return e->status;
    pn_status status;
    if (n->op->flags & PN_VIEW) {
        status = propagate_view(s, n, e);
    } else {
        node_frame f;
        status = open_node(&f, n, e);
        if (!status) {
            status = run_node(s, n, &f, e);
            close_node(&f, n);
        }
    }
    for (int k = 0; !status && k < n->n_out; k++) {
        pn_slot *slot = &s->slots[n->slot + k];
        if (slot->keep) continue;
        pn_tensor_unref(slot->grad);
        slot->grad = NULL;
    }
    return status;
}

/* ---- a whole sweep ---- */

/* The gradient of the root: the caller's, or one. */
static pn_status seed(pn_sweep *s, pn_tensor *root, pn_tensor *gradient, pn_error *e) {
    char a[256], b[256];
    if (!root->requires_grad) return pn_fail(e, PN_E_RUNTIME, "backward: the tensor does not require grad and has no operation behind it that does");
    pn_slot *slot = pn_sweep_slot(s, root);
    if (!gradient) {
        if (pn_shape_size(&root->shape) != 1)
            return pn_fail(e, PN_E_RUNTIME, "backward: grad can be implicitly created only for scalar outputs, but the tensor has shape %s; give a gradient",
                           pn_shape_text(&root->shape, a));
        slot->grad = pn_tensor_new(&root->shape, e);
        if (!slot->grad) return e->status;
        if (root->shape.dtype == PN_F32)
            *(float *)slot->grad->storage->data = 1;
        else
            *(double *)slot->grad->storage->data = 1;
        return PN_OK;
    }
    if (!pn_shape_equal(&gradient->shape, &root->shape))
        return pn_fail(e, PN_E_VALUE, "backward: gradient has shape %s, expected %s like the tensor", pn_shape_text(&gradient->shape, a),
                       pn_shape_text(&root->shape, b));
    if (gradient->shape.dtype != root->shape.dtype)
        return pn_fail(e, PN_E_TYPE, "backward: gradient has dtype %s, expected %s like the tensor", pn_dtype_name(gradient->shape.dtype),
                       pn_dtype_name(root->shape.dtype));
    slot->grad = pn_tensor_of(gradient->storage, &gradient->shape, e); /* without the history the gradient may have */
    return slot->grad ? PN_OK : e->status;
}

static pn_status propagate(pn_sweep *s, pn_error *e) {
    for (int64_t i = 0; i < s->n_nodes; i++) {
        if (propagate_node(s, s->nodes[i], e)) return e->status;
    }
    for (int64_t i = 0; i < s->n_slots; i++) {
        pn_slot *slot = &s->slots[i];
        if (slot->leaf && call_hooks(s, slot, e)) return e->status;
    }
    return PN_OK;
}

/* What is going to be kept must belong to its keeper alone. */
static pn_status own_kept(pn_sweep *s, pn_error *e) {
    for (int64_t i = 0; i < s->n_slots; i++) {
        pn_slot *slot = &s->slots[i];
        if ((slot->leaf || slot->keep) && slot->grad && make_exclusive(&slot->grad, e)) return e->status;
    }
    return PN_OK;
}

/* From here on nothing can fail. */
static void commit(pn_sweep *s) {
    for (int64_t i = 0; i < s->n_slots; i++) {
        pn_slot *slot = &s->slots[i];
        if (!slot->grad || !slot->tensor) continue;
        if (slot->tensor->grad) {
            accumulate(slot->tensor->grad, slot->grad);
        } else {
            slot->tensor->grad = slot->grad;
            slot->grad = NULL;
        }
    }
}

/* Hooks on the outputs of a node that cannot run again will not be called any more; they often hold this very graph. */
static void drop_hooks(const pn_sweep *s, const pn_node *n) {
    for (int k = 0; k < n->n_out; k++) {
        pn_tensor *t = s->slots[n->slot + k].tensor;
        pn_hooks *hooks = t ? t->hooks : NULL;
        if (!hooks) continue;
        t->hooks = NULL;
        hooks->release(hooks);
    }
}

#define KEPT_ANYWAY 4096 /* bytes: a drawing after backward wants the gradients of the small graphs that are drawn */

/* Without retain the values kept for backward go. */
static void let_go(pn_sweep *s) {
    for (int64_t i = 0; i < s->n_nodes; i++) {
        pn_node *n = s->nodes[i];
        if (n->recorded) continue;
        n->released = true;
        if (reads_values(n)) drop_hooks(s, n);
        if (n->user) n->user->let_go(n->user);
        if (n->saved_bytes > KEPT_ANYWAY) {
            pn_free(n->saved);
            n->saved = NULL;
        }
        for (int k = 0; k < n->n_out; k++) {
            if (n->out_storage[k] && n->out_storage[k]->bytes <= KEPT_ANYWAY) continue;
            pn_storage_unref(n->out_storage[k]);
            n->out_storage[k] = NULL;
        }
    }
}

pn_status pn_backward(pn_context *ctx, pn_tensor *root, pn_tensor *gradient, bool retain, pn_error *e) {
    pn_sweep s;
    if (pn_recording_restore(ctx, "a backward pass", e)) return e->status;
    pn_sweep_open(&s, ctx, false, false);
    pn_tensor_ref(root);
    pn_status status = pn_sweep_discover(&s, root, 0, NULL, e);
    if (!status) status = seed(&s, root, gradient, e);
    if (!status) status = propagate(&s, e);
    if (!status) status = own_kept(&s, e);
    if (!status) {
        commit(&s);
        if (!retain) let_go(&s);
    }
    pn_sweep_close(&s);
    pn_tensor_unref(root);
    return status;
}

pn_status pn_gradients(pn_context *ctx, pn_tensor *root, pn_tensor *gradient, int n, pn_tensor *const *wrt, pn_tensor **grads, bool retain, bool again,
                       pn_error *e) {
    pn_sweep s;
    if (pn_recording_restore(ctx, "a backward pass", e)) return e->status;
    pn_sweep_open(&s, ctx, true, again);
    pn_tensor_ref(root);
    pn_status status = pn_sweep_discover(&s, root, n, wrt, e);
    if (!status) status = seed(&s, root, gradient, e);
    if (!status) status = propagate(&s, e);
    if (!status) status = own_kept(&s, e);
    if (!status) {
        for (int i = 0; i < n; i++) {
            pn_slot *slot = pn_sweep_slot(&s, wrt[i]);
            grads[i] = slot ? slot->grad : NULL;
            if (grads[i]) pn_tensor_ref(grads[i]);
        }
        if (!retain) let_go(&s);
    }
    pn_sweep_close(&s);
    pn_tensor_unref(root);
    return status;
}
