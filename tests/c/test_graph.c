/* Teaching mode and plan on one small network: they agree, and every allocation failed in turn leaves no block behind and no parameter changed. */
#include "test.h"

#include <stdlib.h>

#include "graph/graph.h"
#include "graph/plan.h"
#include "train/optimizer.h"

enum { ROWS = 5, FEATURES = 3, HIDDEN = 4, CLASSES = 2, PARAMS = 4, MAX_NODES = 16 };

/* A network linear - tanh - dropout - linear - cross-entropy, and what a step of it leaves behind. */
typedef struct net {
    pn_context ctx;
    pn_tensor *param[PARAMS], *x, *labels;
    pn_tensor *made[MAX_NODES]; /* owned results of operations */
    int n_made;
    pn_error e;
} net;

static pn_tensor *tensor(int dtype, int rank, int64_t d0, int64_t d1, int salt) {
    pn_shape shape = {.rank = rank, .dtype = dtype, .dim = {d0, d1}};
    pn_tensor *t = pn_tensor_new(&shape, NULL);
    for (int64_t i = 0; t && i < pn_shape_size(&shape); i++) {
        if (dtype == PN_I64)
            ((int64_t *)t->storage->data)[i] = (i + salt) % CLASSES;
        else
            ((float *)t->storage->data)[i] = (float)sin(1.0 + (double)(7 * i + salt));
    }
    return t;
}

static void net_open(net *n) {
    static const int64_t dims[PARAMS][2] = {{HIDDEN, FEATURES}, {HIDDEN}, {CLASSES, HIDDEN}, {CLASSES}};
    *n = (net){.ctx = {.grad_enabled = true, .training = true, .random = {.key = 11}}};
    for (int i = 0; i < PARAMS; i++) {
        n->param[i] = tensor(PN_F32, i % 2 ? 1 : 2, dims[i][0], dims[i][1], i);
        n->param[i]->requires_grad = true;
        n->param[i]->flags |= PN_T_PARAMETER;
    }
    n->x = tensor(PN_F32, 2, ROWS, FEATURES, 9);
    n->labels = tensor(PN_I64, 1, ROWS, 0, 1);
    n->x->flags |= PN_T_DEPENDS;
    n->labels->flags |= PN_T_DEPENDS;
}

static void net_forget(net *n) {
    for (int i = 0; i < n->n_made; i++) pn_tensor_unref(n->made[i]);
    n->n_made = 0;
    for (int i = 0; i < PARAMS; i++) {
        pn_tensor_unref(n->param[i]->grad);
        n->param[i]->grad = NULL;
    }
    n->ctx.ordinal = 0;
}

static void net_close(net *n) {
    net_forget(n);
    for (int i = 0; i < PARAMS; i++) pn_tensor_unref(n->param[i]);
    pn_tensor_unref(n->x);
    pn_tensor_unref(n->labels);
}

/* Applies the named op with default attributes; NULL after a failure. */
static pn_tensor *apply(net *n, const char *name, int n_in, pn_tensor *const *in) {
    pn_value attrs[PN_MAX_ATTR];
    pn_tensor *out[PN_MAX_OUT];
    int missing;
    const pn_op *op = pn_op_find(name);
    for (int i = 0; i < n_in; i++) {
        if (!in[i]) return NULL;
    }
    if (!pn_op_defaults(op, attrs, &missing) || pn_apply(&n->ctx, op, attrs, n_in, in, NULL, out, NULL, &n->e)) return NULL;
    return n->made[n->n_made++] = out[0];
}

static pn_tensor *net_loss(net *n) {
    pn_tensor *h = apply(n, "linear", 3, (pn_tensor *[]){n->x, n->param[0], n->param[1]});
    h = apply(n, "tanh", 1, &h);
    h = apply(n, "dropout", 1, &h);
    h = apply(n, "linear", 3, (pn_tensor *[]){h, n->param[2], n->param[3]});
    return apply(n, "cross_entropy", 2, (pn_tensor *[]){h, n->labels});
}

static float scalar(const pn_tensor *t) { return *(const float *)t->storage->data; }

/* Forward, backward and one step of an optimiser in teaching mode. */
static pn_status eager_step(net *n, float *loss) {
    pn_optimizer *o = NULL;
    pn_hyper hyper = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .grad_scale = 1};
    pn_tensor *root = net_loss(n);
    if (!root || pn_backward(&n->ctx, root, NULL, false, &n->e)) goto done;
    if (pn_optimizer_new(PN_UPDATE_adam, 1, &hyper, PARAMS, n->param, (int[PARAMS]){0}, NULL, &o, &n->e)) goto done;
    if (pn_optimizer_step(o, 1, -1, NULL, &n->e)) goto done;
    *loss = scalar(root);
done:
    pn_optimizer_free(o);
    net_forget(n);
    return n->e.status;
}

typedef struct planned {
    pn_plan *plan;
    pn_optimizer *optimizer;
    pn_plan_run run;
    char *scratch; /* (members) of `stride` bytes each */
    size_t stride;
} planned;

static void plan_member(void *context, pn_member *m) {
    planned *p = context;
    m->scratch = p->scratch + (size_t)m->index * p->stride;
    bool good = pn_plan_step(p->plan, &p->run, m);
    if (good) pn_plan_update(p->plan, p->optimizer, m);
    if (m->index == 0) CHECK(good, "the step failed: %s", p->run.error.text);
}

static void forward_member(void *context, pn_member *m) {
    planned *p = context;
    m->scratch = p->scratch;
    CHECK(pn_plan_step(p->plan, &p->run, m), "the run failed: %s", p->run.error.text);
}

/* The same through a recording and a plan, by a team. */
static pn_status plan_step_by(int members, net *n, float *loss) {
    pn_optimizer *o = NULL;
    pn_plan *plan = NULL;
    planned p = {.run = {.input_max = INFINITY}};
    pn_hyper hyper = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .grad_scale = 1};
    pn_recording *r = n->ctx.recording = pn_recording_new(&n->e);
    pn_tensor *root = r ? net_loss(n) : NULL;
    n->ctx.recording = NULL;
    if (!root || pn_optimizer_new(PN_UPDATE_adam, 1, &hyper, PARAMS, n->param, (int[PARAMS]){0}, NULL, &o, &n->e)) goto done;
    pn_plan_spec spec = {.n_inputs = 2, .inputs = (pn_tensor *[]){n->x, n->labels}, .n_outputs = 1, .outputs = &root, .training = true};
    spec.fuse = true;
    spec.n_segments = o->n_segments;
    spec.segments = o->segments;
    if (pn_plan_build(r, &spec, &plan, &n->e)) goto done;
    p.plan = plan;
    p.optimizer = o;
    p.stride = (pn_plan_member_scratch(plan) + 63) / 64 * 64;
    if (!(p.scratch = pn_alloc((size_t)members * p.stride))) {
        pn_fail(&n->e, PN_E_MEMORY, "no room");
        goto done;
    }
    memcpy(pn_plan_input(plan, 0), n->x->storage->data, n->x->storage->bytes);
    memcpy(pn_plan_input(plan, 1), n->labels->storage->data, n->labels->storage->bytes);
    pn_plan_set_random(plan, n->ctx.random);
    pn_optimizer_prepare(o, pn_plan_reaches(plan), 1);
    pn_team_run(members, NULL, plan_member, &p);
    *loss = *(const float *)pn_plan_output(plan, 0)->data;
    char *text = pn_plan_text(plan);
    if (!text) pn_fail(&n->e, PN_E_MEMORY, "no text");
    pn_free(text);
done:
    pn_free(p.scratch);
    pn_plan_free(plan);
    pn_optimizer_free(o);
    pn_recording_free(r);
    net_forget(n);
    return n->e.status;
}

static pn_status plan_step(net *n, float *loss) { return plan_step_by(1, n, loss); }

TEST(a_team_makes_the_same_bits) {
    net a, b;
    float loss_a = 0, loss_b = 1;
    for (int members = 2; members <= 5; members++) {
        net_open(&a);
        net_open(&b);
        for (int step = 0; step < 20; step++) {
            a.ctx.random.step = b.ctx.random.step = (uint64_t)step;
            CHECK(plan_step(&a, &loss_a) == PN_OK && plan_step_by(members, &b, &loss_b) == PN_OK && loss_a == loss_b);
        }
        for (int i = 0; i < PARAMS; i++) CHECK(!memcmp(a.param[i]->storage->data, b.param[i]->storage->data, a.param[i]->storage->bytes));
        net_close(&a);
        net_close(&b);
    }
}

TEST(teaching_mode_and_plan_make_the_same_step) {
    net a, b;
    float loss_a = 0, loss_b = 1;
    net_open(&a);
    net_open(&b);
    for (int step = 0; step < 5; step++) {
        a.ctx.random.step = b.ctx.random.step = (uint64_t)step;
        CHECK(eager_step(&a, &loss_a) == PN_OK, "%s", a.e.text);
        CHECK(plan_step(&b, &loss_b) == PN_OK, "%s", b.e.text);
        CHECK_CLOSE(loss_b, loss_a, 1e-6);
        for (int i = 0; i < PARAMS; i++) {
            const float *pa = a.param[i]->storage->data, *pb = b.param[i]->storage->data;
            for (int64_t j = 0; j < pn_shape_size(&a.param[i]->shape); j++) CHECK_CLOSE(pb[j], pa[j], 1e-6);
        }
    }
    net_close(&a);
    net_close(&b);
}

/* Runs step with the k-th allocation failing, for k = 1, 2, ... until none fails any more. */
static void fail_each_allocation(pn_status (*step)(net *, float *), bool sticky) {
    for (int64_t k = 1;; k++) {
        net n;
        float loss, before[PARAMS][HIDDEN * FEATURES];
        net_open(&n);
        for (int i = 0; i < PARAMS; i++) memcpy(before[i], n.param[i]->storage->data, n.param[i]->storage->bytes);
        int64_t live = pn_alloc_live_count();
        pn_alloc_fail_at(k, sticky);
        pn_status status = step(&n, &loss);
        int64_t failures = pn_alloc_failures();
        pn_alloc_fail_at(0, false);
        CHECK(status == (failures ? PN_E_MEMORY : PN_OK), "allocation %d: status %d, %s", (int)k, status, n.e.text);
        CHECK(pn_alloc_live_count() == live, "allocation %d: %d blocks leak", (int)k, (int)(pn_alloc_live_count() - live));
        for (int i = 0; status && step == eager_step && i < PARAMS; i++) CHECK(!memcmp(before[i], n.param[i]->storage->data, n.param[i]->storage->bytes));
        net_close(&n);
        if (!failures) {
            CHECK(k > 10, "only %d allocations were seen", (int)k);
            return;
        }
    }
}

TEST(every_allocation_of_teaching_mode_may_fail) {
    fail_each_allocation(eager_step, false);
    fail_each_allocation(eager_step, true);
}

TEST(every_allocation_of_a_plan_may_fail) {
    fail_each_allocation(plan_step, false);
    fail_each_allocation(plan_step, true);
}

/* A recording that keeps no value, and a backward pass in it, which computes them again. */
static pn_status look_back(net *n, pn_recording *r) {
    n->ctx.recording = r;
    pn_tensor *root = r ? net_loss(n) : NULL;
    if (!root) return n->e.status;
    pn_recording_end(r);
    pn_status status = pn_backward(&n->ctx, root, NULL, false, &n->e);
    CHECK(status || r->dynamic);
    return status;
}

TEST(values_that_a_recording_let_go_of_come_back) {
    net n, plain;
    net_open(&plain);
    CHECK(pn_backward(&plain.ctx, net_loss(&plain), NULL, false, &plain.e) == PN_OK);
    for (int64_t k = 0, failures = 1; k == 0 || failures; k++) { /* 0: nothing fails; else the k-th allocation */
        net_open(&n);
        const int64_t live = pn_alloc_live_count();
        pn_alloc_fail_at(k, false);
        pn_recording *r = pn_recording_new(&n.e);
        const pn_status status = r ? look_back(&n, r) : PN_E_MEMORY;
        failures = pn_alloc_failures();
        pn_alloc_fail_at(0, false);
        CHECK(status == PN_OK || (failures && status == PN_E_MEMORY), "allocation %d: %s", (int)k, n.e.text);
        for (int i = 0; !status && i < PARAMS; i++)
            CHECK(!memcmp(n.param[i]->grad->storage->data, plain.param[i]->grad->storage->data, plain.param[i]->storage->bytes));
        for (int64_t i = 0; !k && r && i < r->n; i++) CHECK(!r->nodes[i]->released && !pn_tensor_is_hollow(r->outs[i * PN_MAX_OUT]));
        pn_recording_free(r);
        net_forget(&n);
        CHECK(pn_alloc_live_count() == live, "allocation %d: %d blocks leak", (int)k, (int)(pn_alloc_live_count() - live));
        net_close(&n);
    }
    net_close(&plain);
}

TEST(a_plan_needs_no_value_of_its_recording) {
    net n;
    pn_plan *plan = NULL;
    net_open(&n);
    pn_recording *r = n.ctx.recording = pn_recording_new(&n.e);
    pn_tensor *root = net_loss(&n);
    const float loss = scalar(root);
    const int64_t bytes = pn_alloc_live_bytes();
    pn_recording_end(r);
    n.ctx.recording = NULL;
    CHECK(pn_alloc_live_bytes() < bytes);
    for (int64_t i = 0; i < r->n; i++) CHECK(pn_tensor_is_hollow(r->outs[i * PN_MAX_OUT]));
    CHECK(pn_backward(&n.ctx, root, NULL, false, &n.e) == PN_E_RUNTIME && strstr(n.e.text, "keep no values"), "%s", n.e.text);
    const pn_plan_spec spec = {.n_inputs = 2, .inputs = (pn_tensor *[]){n.x, n.labels}, .n_outputs = 1, .outputs = &root};
    CHECK(pn_plan_build(r, &spec, &plan, &n.e) == PN_OK, "%s", n.e.text);
    planned p = {.plan = plan, .run = {.input_max = INFINITY}, .stride = (pn_plan_member_scratch(plan) + 127) / 64 * 64};
    p.scratch = pn_alloc(p.stride);
    memcpy(pn_plan_input(plan, 0), n.x->storage->data, n.x->storage->bytes);
    memcpy(pn_plan_input(plan, 1), n.labels->storage->data, n.labels->storage->bytes);
    pn_plan_set_random(plan, n.ctx.random);
    pn_team_run(1, NULL, forward_member, &p);
    CHECK_CLOSE(*(const float *)pn_plan_output(plan, 0)->data, loss, 1e-6);
    pn_free(p.scratch);
    pn_plan_free(plan);
    pn_recording_free(r);
    net_close(&n);
}

TEST(a_million_operations_neither_overflow_nor_leak) {
    net n;
    net_open(&n);
    pn_tensor *t = tensor(PN_F32, 1, 3, 0, 0), *out[PN_MAX_OUT], *root = NULL;
    t->requires_grad = true;
    pn_tensor *leaf = t;
    pn_tensor_ref(leaf);
    for (int i = 0; i < 1000000 && t; i++) {
        pn_status status = pn_apply(&n.ctx, pn_op_find("identity"), NULL, 1, &t, NULL, out, NULL, &n.e);
        pn_tensor_unref(t);
        t = status ? NULL : out[0];
    }
    root = t ? apply(&n, "sum", 1, &t) : NULL;
    CHECK(root && pn_backward(&n.ctx, root, NULL, false, &n.e) == PN_OK, "%s", n.e.text);
    for (int i = 0; i < 3 && leaf->grad; i++) CHECK(((float *)leaf->grad->storage->data)[i] == 1);
    CHECK(leaf->grad != NULL);
    pn_tensor_unref(t);
    pn_tensor_unref(leaf);
    net_close(&n);
}
