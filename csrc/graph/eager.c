/* pn_apply: one operation, computed at once, recorded when somebody will want it.
 *
 * The order of the steps makes "on failure nothing changes" true: everything that can fail (checks, allocations, the op itself) happens on objects that
 * nobody else has seen; the context and the recording change at the very end and cannot fail. */
#include <string.h>

#include "base/alloc.h"
#include "graph/recording.h"
#include "graph/run.h"

#define FEW 8 /* inputs that fit on the C stack; concat and stack may have more */

typedef struct frame {
    pn_context *ctx;
    const pn_op *op;
    const pn_value *attrs;
    int n_in;
    pn_tensor *const *in;
    pn_user *user;
    pn_infer q;
    pn_shape *shape; /* (n_in) */
    pn_view *view;   /* (n_in) */
    pn_view out[PN_MAX_OUT];
    pn_tensor *result[PN_MAX_OUT];
    bool requires_grad, depends;
    pn_tensor *chained[PN_MAX_OUT + 2]; /* inputs of an op that commits, while recording */
    pn_shape few_shapes[FEW];
    pn_view few_views[FEW];
} frame;

/* The ordinary case without a parse of names: no optional input left out, dtypes as the letters say. Anything else takes the careful way. */
static bool inputs_are_plain(const pn_op *op, int n_in, const pn_shape *shape) {
    const char *s = op->inputs;
    int real = -1, any = -1; /* dtype of the first input of class r, of class n */
    for (int i = 0; i < n_in; i++, s++) {
        while (*s && *s != ':') s++;
        if (!*s || s[2] == '*') return false;
        const int dtype = shape[i].dtype;
        int *first = s[1] == 'n' ? &any : &real;
        if (s[1] != 'n' && (s[1] == 'i') != (dtype == PN_I64)) return false;
        if (s[1] != 'i' && *first >= 0 && dtype != *first) return false;
        if (s[1] != 'i') *first = dtype;
    }
    while (*s && *s != ':') s++;
    return n_in > 0 && (!*s || s[2] == '?'); /* nothing more, or nothing more is needed */
}

/* Things that change from step to step: reading them ties what follows to this step. */
static bool varies(const pn_tensor *t) { return t->requires_grad || (t->flags & (PN_T_DEPENDS | PN_T_PARAMETER | PN_T_BUFFER)); }

/* While recording nothing is committed: an op that is met twice goes on with what it gave the first time. */
static void chain_inputs(frame *f) {
    for (int i = 0; i < f->n_in; i++) f->chained[i] = i && i < PN_MAX_OUT ? pn_recording_successor(f->ctx->recording, f->in[i]) : f->in[i];
    f->in = f->chained;
}

static pn_status open_frame(frame *f, pn_error *e) {
    if ((f->op->flags & PN_COMMITS) && f->ctx->recording) chain_inputs(f);
    f->shape = f->few_shapes;
    f->view = f->few_views;
    if (f->n_in > FEW) {
        char *room = pn_alloc((size_t)f->n_in * (sizeof(pn_shape) + sizeof(pn_view)));
        if (!room) return pn_fail(e, PN_E_MEMORY, "not enough memory for %d inputs of %s", f->n_in, f->op->name);
        f->view = (pn_view *)room;
        f->shape = (pn_shape *)(f->view + f->n_in);
    }
    bool wanted = false, varying = false;
    for (int i = 0; i < f->n_in; i++) {
        pn_tensor *t = f->in[i];
        f->shape[i] = t->shape;
        f->view[i].data = t->storage->data;
        f->view[i].shape = t->shape;
        wanted |= t->requires_grad;
        varying |= varies(t);
    }
    f->requires_grad = wanted && f->ctx->grad_enabled && !(f->op->flags & PN_NO_GRAD);
    f->depends = f->ctx->recording && (varying || (f->op->flags & PN_RANDOM));
    return PN_OK;
}

static void close_frame(frame *f) {
    if (f->view != f->few_views) pn_free(f->view);
}

static const char *frame_name(const frame *f) { return f->user ? f->user->name : f->op->name; }

/* An input without derivative that requires grad would silently get none. */
static pn_status check_constants(const frame *f, pn_error *e) {
    pn_op_input input;
    for (int i = 0; i < f->n_in && pn_op_get_input(f->op, i, &input); i++) {
        if (!input.constant || !f->in[i]->requires_grad) continue;
        pn_fail(e, PN_E_RUNTIME, "%.*s requires grad, but there is no derivative with respect to it; detach it", input.length, input.name);
        return pn_error_name(f->ctx->layer, f->op->name, e);
    }
    return PN_OK;
}

/* Checks and shapes of the outputs, into f->q. */
static pn_status infer(frame *f, pn_error *e) {
    pn_infer *q = &f->q;
    if (!f->user && !inputs_are_plain(f->op, f->n_in, f->shape)) {
        pn_status status = pn_op_check_inputs(f->op, f->n_in, f->shape, e);
        if (status) return pn_error_name(f->ctx->layer, f->op->name, e);
    }
    if (f->requires_grad && strchr(f->op->inputs, '!') && check_constants(f, e)) return e->status;
    q->n_in = f->n_in;
    q->in = f->shape;
    q->attrs = f->attrs;
    q->layout = PN_PLAIN;
    q->n_out = f->op->n_out;
    q->saved = q->scratch = q->member_scratch = 0;
    q->flops = 0;
    q->kernels = pn_kernels_get();
    q->error = e;
    if (f->user) {
        q->n_out = f->user->n_out;
        memcpy(q->out, f->user->out, sizeof q->out);
        return PN_OK;
    }
    if (f->op->infer(q)) return pn_error_name(f->ctx->layer, f->op->name, e);
    return PN_OK;
}

static pn_status make_outputs(frame *f, pn_error *e) {
    for (int i = 0; i < f->q.n_out; i++) {
        pn_tensor *t = f->op->flags & PN_VIEW ? pn_tensor_of(f->in[0]->storage, &f->q.out[i], e) : pn_tensor_new(&f->q.out[i], e);
        if (!t) {
            while (i--) pn_tensor_unref(f->result[i]);
            return e->status;
        }
        f->result[i] = t;
        f->out[i] = (pn_view){t->storage->data, t->shape};
    }
    return PN_OK;
}

static double bytes_moved(const frame *f) {
    double bytes = 0;
    for (int i = 0; i < f->n_in; i++) bytes += (double)f->in[i]->storage->bytes;
    for (int i = 0; i < f->q.n_out; i++) bytes += (double)f->result[i]->storage->bytes;
    return bytes;
}

/* Computes the outputs; `saved` is the node's, or room that nobody will read. */
static pn_status compute(frame *f, void *saved, double *work, pn_error *e) {
    if (f->op->flags & PN_VIEW) return PN_OK;
    pn_call call = {
        .op = f->op,
        .kernels = f->q.kernels,
        .attrs = f->attrs,
        .n_in = f->n_in,
        .n_out = f->q.n_out,
        .in = f->view,
        .out = f->out,
        .saved = saved,
        .random = &f->ctx->random,
        .ordinal = f->ctx->ordinal,
        .training = f->ctx->training,
        .context = f->user,
    };
    if (f->op->check && f->op->check(&call, e)) return pn_error_name(f->ctx->layer, f->op->name, e);
    *work = pn_work_estimate(f->q.flops, bytes_moved(f));
    const pn_run_spec spec = {.scratch = f->q.scratch, .member_scratch = f->q.member_scratch, .work = *work};
    return pn_run_call(f->ctx, &call, &spec, e);
}

/* A node for f with references to its inputs. */
static pn_node *make_node(frame *f, pn_error *e) {
    pn_node *n = pn_node_new(f->op, f->n_in, f->q.n_out, f->q.saved, e);
    if (!n) return NULL;
    if (n->n_attrs) memcpy((pn_value *)n->attrs, f->attrs, (size_t)n->n_attrs * sizeof *f->attrs);
    for (int i = 0; i < f->n_in; i++) {
        n->in[i] = f->in[i];
        n->in_version[i] = f->in[i]->storage->version;
        pn_tensor_ref(f->in[i]);
    }
    n->n_in = f->n_in;
    for (int i = 0; i < f->q.n_out; i++) n->out_shape[i] = f->q.out[i];
    n->scratch = f->q.scratch;
    n->member_scratch = f->q.member_scratch;
    n->ordinal = f->ctx->ordinal;
    n->random = f->ctx->random;
    n->training = f->ctx->training;
    n->requires_grad = f->requires_grad;
    n->layer = f->ctx->layer;
    return n;
}

/* Ties outputs and node together. Cannot fail. */
static void adopt(frame *f, pn_node *n) {
    static uint64_t sequence; /* under the GIL, as all of this file */
    const unsigned reads_out = pn_op_reads_out(f->op, f->attrs);
    n->sequence = ++sequence;
    n->user = f->user;
    for (int i = 0; i < f->q.n_out; i++) {
        pn_tensor *t = f->result[i];
        pn_node_ref(n);
        t->node = n;
        t->output = (uint32_t)i;
        t->requires_grad = f->requires_grad && pn_op_carries(f->op, i, &t->shape);
        if (f->depends) t->flags |= PN_T_DEPENDS;
        n->out_version[i] = t->storage->version;
        if (n->requires_grad && (reads_out >> i & 1)) {
            n->out_storage[i] = t->storage;
            pn_storage_ref(t->storage);
        }
    }
}

static void count_random(pn_context *ctx) {
    if (++ctx->ordinal <= UINT16_MAX) return;
    ctx->ordinal = 0; /* the counter of a node has 16 bits for it; go on with the next step's */
    ctx->random.step++;
}

/* Running values change at once, as in PyTorch. */
static void commit(frame *f) {
    for (int k = 1; k < f->q.n_out; k++) {
        memcpy(f->in[k]->storage->data, f->out[k].data, f->in[k]->storage->bytes);
        f->in[k]->storage->version++;
    }
}

/* The op itself, once shapes are known. */
static pn_status execute(frame *f, pn_error *e) {
    pn_context *ctx = f->ctx;
    const bool keep = f->requires_grad || ctx->recording;
    pn_node *n = NULL;
    void *saved = NULL;
    double work = 0;
    pn_status status = make_outputs(f, e);
    if (status) return status;
    if (keep) {
        n = make_node(f, e);
        if (!n || (ctx->recording && !pn_recording_reserve(ctx->recording, e))) goto failed;
    } else if (f->q.saved && !(saved = pn_alloc(f->q.saved))) {
        pn_fail(e, PN_E_MEMORY, "not enough memory for %s", frame_name(f));
        goto failed;
    }
    if (compute(f, n ? n->saved : saved, &work, e)) goto failed;
    pn_free(saved);
    if (n) {
        n->work = work;
        adopt(f, n);
        if (ctx->recording) pn_recording_append(ctx->recording, n, f->result);
        pn_node_unref(n);
    } else if (f->user) {
        f->user->release(f->user);
    }
    if (f->op->flags & PN_RANDOM) count_random(ctx);
    if ((f->op->flags & PN_COMMITS) && !ctx->recording) commit(f);
    return PN_OK;
failed:
    pn_free(saved);
    pn_node_unref(n);
    for (int i = 0; i < f->q.n_out; i++) pn_tensor_unref(f->result[i]);
    return e->status;
}

pn_status pn_apply(pn_context *ctx, const pn_op *op, const pn_value *attrs, int n_in, pn_tensor *const *in, pn_user *user, pn_tensor **out, int *n_out,
                   pn_error *e) {
    frame f;
    f.ctx = ctx;
    f.op = op;
    f.attrs = attrs;
    f.n_in = n_in;
    f.in = in;
    f.user = user;
    pn_status status = open_frame(&f, e);
    if (status) return status;
    status = infer(&f, e);
    if (!status && (op->flags & PN_TRAIN_ONLY) && !ctx->training) { /* the identity: nothing to compute, nothing to record */
        pn_tensor_ref(in[0]);
        f.result[0] = in[0];
        f.q.n_out = 1;
    } else if (!status) {
        status = execute(&f, e);
    }
    close_frame(&f);
    if (status) return status;
    for (int i = 0; i < f.q.n_out; i++) out[i] = f.result[i];
    if (n_out) *n_out = f.q.n_out;
    return PN_OK;
}
