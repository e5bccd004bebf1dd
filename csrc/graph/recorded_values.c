/* What a recording keeps of values: nothing that Python does not show.
 *
 * A plan needs operations, shapes and wiring, not the values of the run that was recorded. So the value of a recorded tensor goes with its Python object,
 * as in a program without gradients, and nothing is saved for backward: the first step of a large network costs no more memory than its plan. Who looks
 * at what has gone while the recording is open (a backward pass inside a forward, a look at grad_fn) gets it computed again from the same inputs; such a
 * network is dynamic. A tensor that Python holds keeps its value for good. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "graph/recording.h"
#include "graph/run.h"

/* ---- letting go ---- */

/* What t views: its memory belongs to that one. */
static const pn_tensor *viewed(const pn_tensor *t) {
    while (t->node && t->node->recorded && (t->node->op->flags & PN_VIEW)) t = t->node->in[0];
    return t;
}

/* What a running value becomes is an input of the next op on it, without ever being shown. */
static bool is_successor(const pn_tensor *t) { return t->output && (t->node->op->flags & PN_COMMITS); }

static pn_storage hollow = {.refs = 1}; /* without data, of all tensors whose value has gone; never freed. Under the GIL, as all of graph/ */

/* Takes the storage of t away; it lives on with whoever else holds it. */
static void empty(pn_tensor *t) {
    if (!viewed(t)->node || is_successor(t)) return; /* the memory of an input or a constant stays anyway; addresses tell what is a view of an input */
    if (t->storage->version) return;                 /* written in place, which cannot be computed again; a plan refuses it */
    pn_storage_unref(t->storage);
    t->storage = &hollow;
    pn_storage_ref(&hollow);
}

void pn_recording_pass(pn_node *n, pn_tensor *const *outs) {
    for (int k = 0; k < n->n_out; k++) outs[k]->flags |= PN_T_PASSING;
    n->released = true;
    pn_free(n->saved);
    n->saved = NULL;
    for (int k = 0; k < n->n_out; k++) {
        pn_storage_unref(n->out_storage[k]);
        n->out_storage[k] = NULL;
    }
}

void pn_recording_unseen(pn_tensor *t) {
    if ((t->flags & PN_T_PASSING) && t->refs > 1 && !pn_tensor_is_hollow(t)) empty(t);
}

void pn_recording_keep(pn_recording *r) {
    for (int64_t i = 0; i < r->n * PN_MAX_OUT; i++)
        if (r->outs[i]) r->outs[i]->flags &= (uint8_t)~PN_T_PASSING;
}

void pn_recording_end(pn_recording *r) {
    for (int64_t i = 0; i < r->n * PN_MAX_OUT; i++) /* intermediate results of the core never had a Python object */
        if (r->outs[i] && !r->outs[i]->object) pn_recording_unseen(r->outs[i]);
    pn_recording_keep(r);
}

/* ---- getting back ---- */

/* Room for the value of output k of n, if it has gone. */
static pn_status refill(pn_node *n, pn_tensor *t, pn_error *e) {
    if (t->storage->data) return PN_OK;
    pn_tensor *fresh = n->op->flags & PN_VIEW ? pn_tensor_of(n->in[0]->storage, &t->shape, e) : pn_tensor_new(&t->shape, e);
    if (!fresh) return e->status;
    t->storage = fresh->storage;
    fresh->storage = &hollow;
    pn_tensor_unref(fresh);
    return PN_OK;
}

/* Runs n once more on the same inputs with the same random numbers. views: room for those of its inputs. */
static pn_status run_again(pn_context *ctx, pn_node *n, const pn_view *out, pn_view *views, pn_error *e) {
    for (int i = 0; i < n->n_in; i++) views[i] = (pn_view){n->in[i]->storage->data, n->in[i]->shape};
    pn_call call = {
        .op = n->op,
        .kernels = pn_kernels_get(),
        .attrs = n->attrs,
        .n_in = n->n_in,
        .n_out = n->n_out,
        .in = views,
        .out = out,
        .saved = n->saved,
        .random = &n->random,
        .ordinal = n->ordinal,
        .training = n->training,
        .context = n->user,
    };
    const pn_run_spec spec = {.scratch = n->scratch, .member_scratch = n->member_scratch, .work = n->work};
    return pn_run_call(ctx, &call, &spec, e);
}

/* The outputs and saved bytes of n, whose inputs have their values. What Python holds may have been written to since: it stays as it is. */
static pn_status compute_again(pn_context *ctx, pn_node *n, pn_tensor *const *outs, pn_error *e) {
    pn_tensor *spare[PN_MAX_OUT] = {NULL};
    pn_view out[PN_MAX_OUT], *views = pn_alloc((size_t)n->n_in * sizeof *views);
    if (n->saved_bytes && !n->saved) n->saved = pn_alloc(n->saved_bytes);
    pn_status status = views && (n->saved || !n->saved_bytes) ? PN_OK : pn_fail(e, PN_E_MEMORY, "not enough memory for %s", n->op->name);
    for (int k = 0; k < n->n_out && !status; k++) {
        const bool written = outs[k]->storage->version != n->out_version[k];
        if (written && !(spare[k] = pn_tensor_new(&outs[k]->shape, e))) status = e->status;
        out[k] = (pn_view){(written && !status ? spare[k] : outs[k])->storage->data, n->out_shape[k]};
    }
    if (!status) status = run_again(ctx, n, out, views, e);
    for (int k = 0; k < n->n_out; k++) pn_tensor_unref(spare[k]);
    pn_free(views);
    return status;
}

/* A node with outputs, saved bytes and kept storages as if it had never been in a recording. */
static pn_status restore_node(pn_context *ctx, pn_node *n, pn_tensor *const *outs, pn_error *e) {
    for (int k = 0; k < n->n_out; k++)
        if (refill(n, outs[k], e)) return e->status;
    if (!(n->op->flags & PN_VIEW) && compute_again(ctx, n, outs, e)) return e->status;
    const unsigned reads_out = n->requires_grad ? pn_op_reads_out(n->op, n->attrs) : 0;
    for (int k = 0; k < n->n_out; k++) {
        if (!(reads_out >> k & 1)) continue;
        n->out_storage[k] = outs[k]->storage;
        pn_storage_ref(outs[k]->storage);
    }
    n->released = false;
    return PN_OK;
}

pn_status pn_recording_restore(pn_context *ctx, const char *what, pn_error *e) {
    pn_recording *r = ctx->recording;
    if (!r) return PN_OK;
    if (!r->dynamic) snprintf(r->reason, sizeof r->reason, "%s%s%.80s", what, ctx->layer ? " in " : "", ctx->layer ? ctx->layer : "");
    pn_recording_keep(r);
    r->dynamic = true;
    for (int64_t i = 0; i < r->n; i++)
        if (r->nodes[i]->released && restore_node(ctx, r->nodes[i], r->outs + i * PN_MAX_OUT, e)) return e->status;
    return PN_OK;
}
