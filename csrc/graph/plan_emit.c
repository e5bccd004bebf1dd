/* Second form of a plan: instructions whose operands are numbered buffers. Forward in the order of the recording, then backward in the reverse order.
 *
 * Gradients: the first contribution to a value overwrites, later ones add, in fixed node order. A gradient that is not wanted has no buffer. */
#include <string.h>

#include "graph/plan_internal.h"

/* ---- buffers ---- */

static int new_buffer(plan_builder *b, size_t bytes) {
    plan_buffer *buffers = pn_pool_grow(&b->pool, b->buffers, b->n_buffers, &b->c_buffers, sizeof *buffers);
    if (!buffers) return 0; /* the pool remembers the failure; pn_plan_emit asks it at the end */
    b->buffers = buffers;
    buffers[b->n_buffers] = (plan_buffer){.bytes = bytes ? bytes : 1, .first = INT_MAX, .last = -1, .shares = -1};
    return b->n_buffers++;
}

static int buffer_like(plan_builder *b, const plan_value *v) {
    const pn_shape shape = pn_layout_shape(&v->shape, v->layout);
    size_t bytes = 0;
    if (!pn_shape_bytes(&shape, &bytes)) b->pool.failed = true;
    return new_buffer(b, bytes);
}

static int data_of(plan_builder *b, int value) {
    plan_value *root = &b->values[plan_root(b, value)];
    if (root->data >= 0) return root->data;
    root->data = buffer_like(b, root);
    if (b->pool.failed) return root->data;
    plan_buffer *buffer = &b->buffers[root->data];
    buffer->outside = root->kind == PLAN_LEAF ? root->tensor->storage->data : NULL;
    buffer->fixed = root->kind == PLAN_INPUT || root->kept;
    return root->data;
}

static int gradient_of(plan_builder *b, int value) {
    plan_value *root = &b->values[plan_root(b, value)];
    if (root->grad >= 0) return root->grad;
    root->grad = buffer_like(b, root);
    if (!b->pool.failed) b->buffers[root->grad].gradient = b->buffers[root->grad].fixed = root->segment >= 0;
    return root->grad;
}

/* ---- instructions ---- */

static void touch(plan_builder *b, int instruction, int buffer, bool write) {
    plan_access *accesses = pn_pool_grow(&b->pool, b->accesses, b->n_accesses, &b->c_accesses, sizeof *accesses);
    if (!accesses) return;
    b->accesses = accesses;
    accesses[b->n_accesses++] = (plan_access){instruction, buffer, write};
}

static void patch(plan_builder *b, void **where, int buffer) {
    plan_patch *patches = pn_pool_grow(&b->pool, b->patches, b->n_patches, &b->c_patches, sizeof *patches);
    if (!patches) return;
    b->patches = patches;
    patches[b->n_patches++] = (plan_patch){where, buffer};
}

/* Views for n values; blocked elementwise operands show the shape of their memory, so that pad lanes are computed along. No data yet. */
static pn_view *make_views(plan_builder *b, const plan_node *node, const int *values, int n) {
    pn_view *views = pn_pool_take(&b->plan->pool, (size_t)n, sizeof *views);
    for (int i = 0; views && i < n; i++) {
        const plan_value *v = &b->values[values[i]];
        views[i].shape = node->op->flags & PN_ANY_LAYOUT ? pn_layout_shape(&v->shape, v->layout) : v->shape;
    }
    return views;
}

static void bind(plan_builder *b, pn_view *view, int buffer, bool write) {
    if (!view) return;
    patch(b, &view->data, buffer);
    touch(b, b->plan->n_code - 1, buffer, write);
}

/* Appends an instruction for a node; the caller fills the operands of the call. */
static plan_code *append(plan_builder *b, const plan_node *n, plan_phase phase) {
    static plan_code nowhere; /* what a failed allocation returns: written, never read */
    pn_plan *p = b->plan;
    plan_code *code = pn_pool_grow(&p->pool, p->code, p->n_code, &b->c_code, sizeof *code);
    plan_note *notes = pn_pool_grow(&p->pool, p->notes, p->n_code, &b->c_notes, sizeof *notes);
    if (!code || !notes) return &nowhere;
    p->code = code;
    p->notes = notes;
    const plan_value *y = &b->values[n->out[0]];
    notes[p->n_code] =
        (plan_note){.phase = phase, .activation = n->activation, .layer = n->layer, .flops = n->flops, .saved = -1, .scratch = -1, .from = -1, .to = -1};
    notes[p->n_code].layout = n->op->layout || (n->op->flags & PN_ANY_LAYOUT) ? y->layout : PN_PLAIN;
    notes[p->n_code].shape = y->shape;
    code[p->n_code] = (plan_code){.fn = phase == PLAN_BACKWARD ? n->op->bwd[n->real] : n->op->fwd[n->real],
                                  .call = {.op = n->op,
                                           .kernels = p->kernels,
                                           .attrs = n->attrs,
                                           .n_in = n->n_in,
                                           .n_out = n->n_out,
                                           .random = &p->random,
                                           .ordinal = n->ordinal,
                                           .training = n->training}};
    if (n->op->layout) code[p->n_code].call.layout = (uint8_t)y->layout;
    return &code[p->n_code++];
}

/* What the instruction just appended costs, where that is not the forward of its node. */
static void set_flops(plan_builder *b, double flops) {
    if (!b->pool.failed && !b->plan->pool.failed) b->plan->notes[b->plan->n_code - 1].flops = flops;
}

/* Saved bytes and scratch of the instruction just appended. */
static void give_memory(plan_builder *b, plan_node *n, bool writes_saved) {
    if (b->pool.failed || b->plan->pool.failed) return;
    const int i = b->plan->n_code - 1;
    if (n->saved_bytes) {
        if (n->saved < 0) n->saved = new_buffer(b, n->saved_bytes);
        b->plan->notes[i].saved = n->saved;
        touch(b, i, n->saved, writes_saved);
    }
    if (n->scratch_bytes) {
        b->plan->notes[i].scratch = new_buffer(b, n->scratch_bytes);
        touch(b, i, b->plan->notes[i].scratch, true);
    }
}

static void *make_context(plan_builder *b, const plan_node *n) {
    plan_context *c = pn_pool_take(&b->plan->pool, 1, sizeof *c);
    if (!c) return NULL;
    *c = (plan_context){.plan = b->plan, .user = n->source ? n->source->user : NULL, .layer = n->layer};
    b->plan->can_fail = true;
    return c;
}

/* Lets operand `to` take over the memory of operand `from` if nobody reads that later (plan_memory.c knows). */
static void may_share(plan_builder *b, int from, int to) {
    if (b->pool.failed || b->plan->pool.failed || from == to) return;
    const plan_buffer *f = &b->buffers[from], *t = &b->buffers[to];
    if (f->outside || t->outside || f->fixed || t->fixed || f->bytes != t->bytes) return;
    b->plan->notes[b->plan->n_code - 1].from = from;
    b->plan->notes[b->plan->n_code - 1].to = to;
}

/* ---- forward ---- */

static bool reads_only_once(const plan_builder *b, const plan_node *n) {
    for (int i = 1; i < n->n_in; i++)
        if (plan_root(b, n->in[i]) == plan_root(b, n->in[0])) return false;
    return true;
}

static void emit_check(plan_builder *b, const plan_node *n, const pn_view *in, const pn_view *out) {
    plan_code *check = append(b, n, PLAN_CHECK);
    check->fn = pn_plan_run_check;
    set_flops(b, 0);
    check->call.in = in;
    check->call.out = out;
    check->call.context = make_context(b, n);
    for (int i = 0; i < n->n_in; i++) touch(b, b->plan->n_code - 1, data_of(b, n->in[i]), false);
}

static void emit_forward(plan_builder *b, plan_node *n) {
    pn_view *in = make_views(b, n, n->in, n->n_in), *out = make_views(b, n, n->out, n->n_out);
    if (n->op->check) emit_check(b, n, in, out);
    plan_code *code = append(b, n, PLAN_FORWARD);
    code->call.in = in;
    code->call.out = out;
    if (n->source) {
        code->fn = pn_plan_run_user_forward;
        code->call.context = make_context(b, n);
    }
    for (int i = 0; i < n->n_in; i++) bind(b, in ? in + i : NULL, data_of(b, n->in[i]), false);
    for (int k = 0; k < n->n_out; k++) bind(b, out ? out + k : NULL, data_of(b, n->out[k]), true);
    give_memory(b, n, true);
    if ((n->op->flags & PN_IN_PLACE) && b->values[plan_root(b, n->in[0])].kind == PLAN_RESULT && reads_only_once(b, n))
        may_share(b, data_of(b, n->in[0]), data_of(b, n->out[0]));
}

/* ---- backward ---- */

static bool bit(unsigned mask, int i) { return mask >> (i < 31 ? i : 31) & 1; }

/* Inputs and outputs as the backward function may read them: what it does not need stays NULL. Behind a fused activation it turns gout into the gradient
 * in front of it. */
static void bind_values(plan_builder *b, const plan_node *n, plan_code *code) {
    const bool writes_gout = n->activation >= 0;
    const unsigned needs_in = n->op->needs_in, needs_out = pn_op_reads_out(n->op, n->attrs);
    pn_view *in = make_views(b, n, n->in, n->n_in), *out = make_views(b, n, n->out, n->n_out), *gout = make_views(b, n, n->out, n->n_out);
    code->call.in = in;
    code->call.out = out;
    code->call.gout = gout;
    for (int i = 0; in && i < n->n_in; i++)
        if (bit(needs_in, i)) bind(b, &in[i], data_of(b, n->in[i]), false);
    for (int k = 0; out && gout && k < n->n_out; k++) {
        if (bit(needs_out, k)) bind(b, &out[k], data_of(b, n->out[k]), false);
        if (b->values[n->out[k]].wants && b->values[plan_root(b, n->out[k])].written) bind(b, &gout[k], gradient_of(b, n->out[k]), writes_gout);
    }
}

/* value's gradient += what lies in the buffer `part`. */
static void emit_add(plan_builder *b, const plan_node *n, int value, int part) {
    plan_code *code = append(b, n, PLAN_ADD);
    pn_view *in = make_views(b, n, &value, 1), *out = make_views(b, n, &value, 1);
    code->fn = n->real ? pn_plan_run_add_d : pn_plan_run_add_f;
    if (in && out) in->shape = out->shape = pn_layout_shape(&b->values[value].shape, b->values[value].layout); /* lanes behind the last sample too */
    code->call.in = in;
    code->call.out = out;
    code->call.n_in = code->call.n_out = 1;
    set_flops(b, (double)pn_shape_size(&b->values[value].shape));
    bind(b, in, part, false);
    bind(b, out, gradient_of(b, value), true);
}

/* The gradients that an instruction writes. A value that occurs twice among the inputs gets its second gradient through a buffer of its own, because two
 * members may be at different inputs at the same time. */
static void bind_gradients(plan_builder *b, const plan_node *n, plan_code *code, int *extra) {
    pn_view *gin = make_views(b, n, n->in, n->n_in);
    uint8_t *add = pn_pool_take(&b->plan->pool, (size_t)n->n_in, 1);
    code->call.gin = gin;
    code->call.gin_add = add;
    for (int i = 0; gin && add && i < n->n_in; i++) {
        plan_value *root = &b->values[plan_root(b, n->in[i])];
        extra[i] = -1;
        if (!b->values[n->in[i]].wants || (n->deferred && i == 1)) continue;
        for (int j = 0; j < i; j++)
            if (plan_root(b, n->in[j]) == plan_root(b, n->in[i]) && b->values[n->in[j]].wants) extra[i] = 0;
        if (extra[i] == 0) {
            extra[i] = buffer_like(b, &b->values[n->in[i]]);
            bind(b, &gin[i], extra[i], true);
            continue;
        }
        add[i] = root->written;
        bind(b, &gin[i], gradient_of(b, n->in[i]), true);
        root->written = true;
    }
}

/* With one gradient wanted, an elementwise op may leave it where it found gout; so may an op that passes gout on to one input. */
static void share_gradient(plan_builder *b, const plan_node *n, const plan_code *code) {
    int wanted = 0;
    const int passes = n->op->passes;
    bool alone = passes && passes < n->n_in && b->values[n->in[passes]].wants && code->call.gin_add && !code->call.gin_add[passes];
    for (int i = 0; alone && i < passes; i++) alone = plan_root(b, n->in[i]) != plan_root(b, n->in[passes]);
    if (alone) may_share(b, gradient_of(b, n->out[0]), gradient_of(b, n->in[passes]));
    for (int i = 0; i < n->n_in; i++) wanted += b->values[n->in[i]].wants;
    if (!(n->op->flags & PN_IN_PLACE) || wanted != 1 || !b->values[n->in[0]].wants || code->call.gin_add[0]) return;
    may_share(b, gradient_of(b, n->out[0]), gradient_of(b, n->in[0]));
}

/* Keeps what the fused update will read, and prepares the unfused way for numbers that are too large. `code`: the node's backward, after which gout is the
 * gradient in front of the activation. */
static void note_deferred(plan_builder *b, const plan_node *n, const plan_code *code) {
    pn_plan *p = b->plan;
    plan_deferred *d = &p->deferred[p->n_deferred++];
    const plan_value *x = &b->values[n->in[0]], *w = &b->values[n->in[1]], *y = &b->values[n->out[0]];
    pn_view *gin = make_views(b, n, n->in, n->n_in);
    pn_value *attrs = pn_pool_take(&p->pool, PN_MAX_ATTR, sizeof *attrs);
    if (!gin || !attrs) return;
    const int spare = buffer_like(b, w), data = data_of(b, n->in[0]), gz = gradient_of(b, n->out[0]);
    *d = (plan_deferred){.segment = w->segment, .call = code->call, .fn = code->fn, .nx = pn_shape_size(&x->shape), .ngy = pn_shape_size(&y->shape)};
    d->rows = w->shape.dim[0] ? d->ngy / w->shape.dim[0] : 0;
    d->x_is_input = b->values[plan_root(b, n->in[0])].kind == PLAN_INPUT;
    d->call.gin = gin;
    d->call.attrs = memcpy(attrs, n->attrs, PN_MAX_ATTR * sizeof *attrs);
    attrs[pn_op_field(n->op, "activation")].i = -1;
    d->piece = (plan_piece){.segment = w->segment, .n = pn_shape_size(&w->shape), .weight = w->tensor->storage->data};
    touch(b, INT_MAX, spare, true); /* INT_MAX: behind the last instruction */
    touch(b, INT_MAX, gz, false);
    touch(b, INT_MAX, data, false);
    patch(b, &gin[1].data, spare);
    patch(b, (void **)&d->piece.gradient, spare);
    patch(b, (void **)&d->x, data);
    patch(b, (void **)&d->gy, gz);
    if (!n->scratch_bytes) return;
    const int scratch = new_buffer(b, n->scratch_bytes);
    touch(b, INT_MAX, scratch, true);
    patch(b, &d->call.scratch, scratch);
}

static void emit_user_context(plan_builder *b, const plan_node *n, plan_code *code) {
    code->fn = pn_plan_run_user_backward;
    code->call.context = make_context(b, n);
}

/* Is there anything for this node to write in the sweep itself? */
static bool has_work(const plan_builder *b, const plan_node *n) {
    bool any = n->activation >= 0 || !n->deferred;
    for (int i = 0; i < n->n_in; i++) any |= i != 1 && b->values[n->in[i]].wants;
    return any;
}

/* Each gradient of a product costs what the product does; a bias costs next to nothing. */
static double backward_flops(const plan_builder *b, const plan_node *n) {
    int wanted = 0;
    for (int i = 0; i < n->n_in && i < 2; i++) wanted += b->values[n->in[i]].wants && !(n->deferred && i == 1);
    return n->flops * wanted;
}

static void emit_backward(plan_builder *b, plan_node *n) {
    int *extra = pn_pool_take(&b->pool, (size_t)n->n_in, sizeof *extra);
    plan_code *code = append(b, n, PLAN_BACKWARD);
    if (!extra || b->plan->pool.failed) return;
    if (n->source) emit_user_context(b, n, code);
    bind_values(b, n, code);
    bind_gradients(b, n, code, extra);
    set_flops(b, backward_flops(b, n));
    give_memory(b, n, false);
    if (b->pool.failed || b->plan->pool.failed) return;
    if (n->deferred) note_deferred(b, n, code);
    if (!has_work(b, n)) code->fn = pn_plan_run_nothing;
    share_gradient(b, n, code);
    for (int i = 0; i < n->n_in; i++)
        if (extra[i] >= 0) emit_add(b, n, n->in[i], extra[i]);
}

/* ---- the whole ---- */

static void emit_seed(plan_builder *b) {
    static const float one_f = 1;
    static const double one_d = 1;
    plan_value *root = &b->values[plan_root(b, b->output_values[0])];
    root->grad = buffer_like(b, root);
    root->written = true;
    if (b->pool.failed) return;
    b->buffers[root->grad].outside = root->shape.dtype == PN_F32 ? (void *)&one_f : (void *)&one_d; /* read only */
}

static void emit_inputs(plan_builder *b) {
    pn_plan *p = b->plan;
    for (int i = 0; p->inputs && i < b->spec->n_inputs; i++) {
        p->inputs[i].shape = b->spec->inputs[i]->shape;
        patch(b, &p->inputs[i].data, data_of(b, b->input_values[i]));
    }
}

static void emit_outputs(plan_builder *b) {
    pn_plan *p = b->plan;
    for (int i = 0; p->outputs && i < b->spec->n_outputs; i++) {
        p->outputs[i].shape = b->spec->outputs[i]->shape;
        patch(b, &p->outputs[i].data, data_of(b, b->output_values[i]));
    }
}

static void emit_commits(plan_builder *b) {
    for (int i = 0; i < b->plan->n_commits; i++) patch(b, (void **)&b->plan->commits[i].from, data_of(b, b->plan->commits[i].value));
}

/* Which segments have a stored gradient, and where. */
static void emit_pieces(plan_builder *b) {
    pn_plan *p = b->plan;
    for (int v = 0; v < b->n_values; v++) {
        const plan_value *value = &b->values[v];
        if (value->segment < 0) continue;
        p->reaches[value->segment] = value->reached;
        p->gradients[value->segment].shape = value->shape;
        if (value->grad < 0 || !value->written) continue;
        plan_piece *piece = &p->pieces[p->n_pieces++];
        *piece = (plan_piece){.segment = value->segment, .n = pn_shape_size(&value->shape), .weight = value->tensor->storage->data};
        patch(b, (void **)&piece->gradient, value->grad);
        patch(b, &p->gradients[value->segment].data, value->grad);
    }
}

static bool take_arrays(plan_builder *b) {
    pn_plan *p = b->plan;
    int deferred = 0;
    for (int i = 0; i < b->n_nodes; i++) deferred += b->nodes[i].deferred;
    p->inputs = pn_pool_take(&p->pool, (size_t)p->n_inputs, sizeof *p->inputs);
    p->outputs = pn_pool_take(&p->pool, (size_t)p->n_outputs, sizeof *p->outputs);
    p->gradients = pn_pool_take(&p->pool, (size_t)p->n_segments, sizeof *p->gradients);
    p->reaches = pn_pool_take(&p->pool, (size_t)p->n_segments, sizeof *p->reaches);
    p->pieces = pn_pool_take(&p->pool, (size_t)p->n_segments, sizeof *p->pieces);
    p->deferred = pn_pool_take(&p->pool, (size_t)deferred, sizeof *p->deferred);
    return !p->pool.failed;
}

pn_status pn_plan_emit(plan_builder *b) {
    if (!take_arrays(b)) return pn_plan_out_of_memory(b);
    emit_inputs(b);
    for (int i = 0; i < b->n_nodes; i++)
        if (b->nodes[i].live && !b->nodes[i].alias) emit_forward(b, &b->nodes[i]);
    emit_outputs(b);
    emit_commits(b);
    if (b->spec->training) emit_seed(b);
    for (int i = b->n_nodes - 1; b->spec->training && i >= 0; i--) {
        plan_node *n = &b->nodes[i];
        if (n->reached && !n->alias) emit_backward(b, n);
    }
    emit_pieces(b);
    return b->pool.failed || b->plan->pool.failed ? pn_plan_out_of_memory(b) : PN_OK;
}
