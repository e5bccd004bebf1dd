/* Plans: gradients against teaching mode, layouts with an op that asks for one, threads, values that are not finite, user code that fails, the epoch loop. */
#include "test.h"

#include <stdlib.h>

#include "base/team.h"
#include "graph/layout.h"
#include "graph/plan.h"
#include "ops/op_helpers.h"
#include "train/trainer.h"

enum { MAX_TENSORS = 64, MAX_PARAMS = 8 };

/* A network under construction: everything it made is owned here. */
typedef struct net {
    pn_context ctx;
    pn_tensor *made[MAX_TENSORS], *param[MAX_PARAMS];
    int n_made, n_params;
    pn_error e;
} net;

static net net_open(void) { return (net){.ctx = {.grad_enabled = true, .training = true, .random = {.key = 7}}}; }

static void net_close(net *n) {
    for (int i = n->n_made; i-- > 0;) pn_tensor_unref(n->made[i]);
}

static pn_tensor *keep(net *n, pn_tensor *t) { return n->made[n->n_made++] = t; }

/* Real tensors hold sines, integers 0, 1, 2, 0, ... */
static pn_tensor *tensor(net *n, int dtype, int rank, const int64_t *dim) {
    pn_shape s = {.rank = rank, .dtype = dtype};
    for (int i = 0; i < rank; i++) s.dim[i] = dim[i];
    pn_tensor *t = keep(n, pn_tensor_new(&s, &n->e));
    const int salt = n->n_made;
    for (int64_t i = 0; i < pn_shape_size(&s); i++) {
        if (dtype == PN_I64)
            ((int64_t *)t->storage->data)[i] = i % 3;
        else if (dtype == PN_F64)
            ((double *)t->storage->data)[i] = sin(1.0 + 7.0 * (double)i + salt);
        else
            ((float *)t->storage->data)[i] = (float)sin(1.0 + 7.0 * (double)i + salt);
    }
    return t;
}
#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static pn_tensor *parameter(net *n, int dtype, int rank, const int64_t *dim) {
    pn_tensor *t = tensor(n, dtype, rank, dim);
    t->requires_grad = true;
    t->flags |= PN_T_PARAMETER;
    return n->param[n->n_params++] = t;
}

static pn_tensor *input(net *n, int dtype, int rank, const int64_t *dim) {
    pn_tensor *t = tensor(n, dtype, rank, dim);
    t->flags |= PN_T_DEPENDS;
    return t;
}

static pn_tensor *apply_op(net *n, const pn_op *op, const pn_value *attrs, int n_in, pn_tensor *const *in) {
    pn_tensor *out[PN_MAX_OUT];
    if (pn_apply(&n->ctx, op, attrs, n_in, in, NULL, out, NULL, &n->e)) {
        CHECK(false, "%s", n->e.text);
        exit(1);
    }
    return keep(n, out[0]);
}

static pn_tensor *apply(net *n, const char *name, int n_in, pn_tensor *const *in) {
    pn_value attrs[PN_MAX_ATTR];
    int missing;
    const pn_op *op = pn_op_find(name);
    pn_op_defaults(op, attrs, &missing);
    return apply_op(n, op, attrs, n_in, in);
}
#define OP(n, name, ...) apply(n, name, sizeof((pn_tensor *[]){__VA_ARGS__}) / sizeof(pn_tensor *), (pn_tensor *[]){__VA_ARGS__})

/* ---- running a plan ---- */

typedef struct runner {
    pn_plan *plan;
    pn_optimizer *optimizer;
    pn_plan_run run;
    char *scratch;
    size_t stride;
    bool good, update;
    double norm2;
    int64_t blocks[PN_MAX_THREADS * 8];
} runner;

static void run_member(void *context, pn_member *m) {
    runner *r = context;
    m->scratch = r->scratch + r->stride * (size_t)m->index;
    m->blocks = r->blocks;
    const bool good = pn_plan_step(r->plan, &r->run, m);
    if (good && r->update) pn_plan_update(r->plan, r->optimizer, m);
    if (m->index == 0) r->good = good;
}

static void norm_member(void *context, pn_member *m) {
    runner *r = context;
    const double norm2 = pn_plan_gradient_norm2(r->plan, m);
    if (m->index == 0) r->norm2 = norm2;
}

static bool run(runner *r, int threads, pn_poll *poll) {
    r->stride = (pn_plan_member_scratch(r->plan) + 127) / 64 * 64;
    r->scratch = pn_alloc(r->stride * PN_MAX_THREADS);
    r->run.input_max = INFINITY;
    r->run.status = PN_OK;
    pn_plan_set_random(r->plan, (pn_random){7, 0});
    if (r->optimizer) pn_optimizer_prepare(r->optimizer, pn_plan_reaches(r->plan), 1);
    pn_team_run(threads, poll, run_member, r);
    pn_free(r->scratch);
    return r->good;
}

static void feed(pn_plan *p, int i, const pn_tensor *t) { memcpy(pn_plan_input(p, i), t->storage->data, t->storage->bytes); }

typedef struct built {
    net n;
    pn_recording *recording;
    pn_tensor *inputs[4], *loss, *extra;
    int n_inputs;
} built;

static pn_plan *build(built *b, bool keep_gradients, bool fuse) {
    pn_segment segments[MAX_PARAMS];
    pn_plan *plan = NULL;
    for (int i = 0; i < b->n.n_params; i++) segments[i] = (pn_segment){.param = b->n.param[i], .n = pn_shape_size(&b->n.param[i]->shape)};
    const pn_plan_spec spec = {.n_inputs = b->n_inputs,
                               .inputs = b->inputs,
                               .n_outputs = b->extra ? 2 : 1,
                               .outputs = (pn_tensor *[]){b->loss, b->extra},
                               .training = true,
                               .n_segments = b->n.n_params,
                               .segments = segments,
                               .keep_gradients = keep_gradients,
                               .fuse = fuse};
    CHECK(pn_plan_build(b->recording, &spec, &plan, &b->n.e) == PN_OK, "%s", b->n.e.text);
    return plan;
}

static void close_built(built *b) {
    pn_recording_free(b->recording);
    net_close(&b->n);
}

/* Loss and all gradients of a plan are those of a backward sweep over the recorded graph, which computes again what that needs. */
static void check_against_eager(built *b, double tolerance) {
    pn_tensor *grads[MAX_PARAMS] = {NULL};
    b->n.ctx.recording = b->recording;
    CHECK(pn_gradients(&b->n.ctx, b->loss, NULL, b->n.n_params, b->n.param, grads, true, false, &b->n.e) == PN_OK, "%s", b->n.e.text);
    b->n.ctx.recording = NULL;
    for (int fuse = 0; fuse < 2; fuse++) {
        for (int threads = 1; threads <= 3; threads++) {
            runner r = {.plan = build(b, true, fuse)};
            for (int i = 0; i < b->n_inputs; i++) feed(r.plan, i, b->inputs[i]);
            CHECK(run(&r, threads, NULL), "%s", r.run.error.text);
            CHECK_CLOSE(*(double *)pn_plan_output(r.plan, 0)->data, *(double *)b->loss->storage->data, tolerance);
            double norm2 = 0;
            for (int i = 0; i < b->n.n_params; i++) {
                const double *got = pn_plan_gradient(r.plan, i)->data, *want = grads[i] ? grads[i]->storage->data : NULL;
                CHECK((got != NULL) == (want != NULL), "parameter %d", i);
                for (int64_t k = 0; got && want && k < pn_shape_size(&b->n.param[i]->shape); k++) {
                    CHECK_CLOSE(got[k], want[k], tolerance);
                    norm2 += want[k] * want[k];
                }
            }
            pn_team_run(threads, NULL, norm_member, &r);
            CHECK_CLOSE(r.norm2, norm2, 1e-12);
            char *text = pn_plan_text(r.plan);
            CHECK(text && strlen(text) > 100);
            pn_free(text);
            pn_plan_free(r.plan);
        }
    }
    for (int i = 0; i < b->n.n_params; i++) pn_tensor_unref(grads[i]);
}

/* ---- gradients ---- */

/* One weight used twice, a value multiplied by itself, a reshape, a detached value, an unused branch. */
TEST(gradients_of_a_tangled_graph) {
    built b = {.n = net_open()};
    net *n = &b.n;
    pn_tensor *w = parameter(n, PN_F64, 2, DIMS(5, 5)), *bias = parameter(n, PN_F64, 1, DIMS(5)), *unused = parameter(n, PN_F64, 1, DIMS(3));
    pn_tensor *x = b.inputs[b.n_inputs++] = input(n, PN_F64, 2, DIMS(4, 5)), *labels = b.inputs[b.n_inputs++] = input(n, PN_I64, 1, DIMS(4));
    b.recording = n->ctx.recording = pn_recording_new(&n->e);
    pn_tensor *h = OP(n, "tanh", OP(n, "linear", x, w, bias));
    OP(n, "exp", unused);
    pn_tensor *again = OP(n, "sigmoid", OP(n, "linear", h, w, bias));
    pn_tensor *square = OP(n, "mul", again, again), *detached = keep(n, pn_tensor_of(h->storage, &h->shape, &n->e));
    pn_tensor *sum = OP(n, "add", OP(n, "mul", square, detached), h);
    pn_value shape = {.n = 2, .ints = {2, 10}}, back = {.n = 2, .ints = {4, 5}};
    pn_tensor *view = apply_op(n, pn_op_find("reshape"), &shape, 1, &sum);
    pn_tensor *flat = apply_op(n, pn_op_find("reshape"), &back, 1, (pn_tensor *[]){OP(n, "mul", view, view)});
    b.loss = OP(n, "cross_entropy", OP(n, "add", flat, OP(n, "dropout", h)), labels);
    n->ctx.recording = NULL;
    check_against_eager(&b, 1e-13);
    close_built(&b);
}

/* ---- layouts ---- */

/* y = x^3, stored as it asks: counts how often it saw blocks. */
static int seen_blocks;
static void cube_forward(const pn_call *c, pn_member *m) {
    const pn_shape s = pn_layout_shape(&c->in[0].shape, (pn_layout)c->layout);
    const double *x = c->in[0].data;
    double *y = c->out[0].data;
    if (m->index == 0 && c->layout) seen_blocks++;
    for (pn_span part = pn_span_open(m, pn_shape_size(&s)); pn_span_next(&part, m);)
        for (int64_t i = part.lo; i < part.hi; i++) y[i] = x[i] * x[i] * x[i];
}
static void cube_backward(const pn_call *c, pn_member *m) {
    const pn_shape s = pn_layout_shape(&c->in[0].shape, (pn_layout)c->layout);
    const double *x = c->in[0].data, *gy = c->gout[0].data;
    double *gx = c->gin[0].data;
    for (pn_span part = pn_span_open(m, pn_shape_size(&s)); gx && pn_span_next(&part, m);)
        for (int64_t i = part.lo; i < part.hi; i++) gx[i] = 3 * x[i] * x[i] * gy[i] + (c->gin_add[0] ? gx[i] : 0);
}
static pn_status cube_infer(pn_infer *q) { return pn_infer_like(q, 0); }

static pn_layout batch_inner(const pn_shape in[2], const pn_value *attrs, pn_layout incoming) {
    (void)in, (void)attrs, (void)incoming;
    return PN_BATCH_INNER;
}

static pn_op cube(pn_layout layout) {
    return (pn_op){.name = "cube",
                   .formula = "y = x^3",
                   .derivative = "gx = 3 x^2 gy",
                   .inputs = "x:r",
                   .n_out = 1,
                   .infer = cube_infer,
                   .fwd = {cube_forward, cube_forward},
                   .bwd = {cube_backward, cube_backward},
                   .needs_in = 1,
                   .layout = layout == PN_BATCH_INNER ? batch_inner : NULL};
}

/* w -> scale -> [cube -> tanh -> cube] -> mean, with and without a layout of its own: the values between are reordered once each way. */
static void check_layout(pn_layout layout, int64_t batch, int64_t channels) {
    built b = {.n = net_open()};
    net *n = &b.n;
    const pn_op op = cube(layout);
    pn_tensor *w = parameter(n, PN_F64, 4, DIMS(batch, channels, 3, 2)), *x = b.inputs[b.n_inputs++] = input(n, PN_F64, 4, DIMS(batch, channels, 3, 2));
    b.recording = n->ctx.recording = pn_recording_new(&n->e);
    pn_tensor *h = OP(n, "mul", w, x);
    pn_tensor *y = apply_op(n, &op, NULL, 1, (pn_tensor *[]){OP(n, "tanh", apply_op(n, &op, NULL, 1, &h))});
    b.extra = OP(n, "add", y, h);
    b.loss = OP(n, "mean", OP(n, "mul", b.extra, x));
    n->ctx.recording = NULL;
    seen_blocks = 0;
    check_against_eager(&b, 1e-13);
    CHECK(seen_blocks == (layout ? 12 : 0), "seen %d", seen_blocks);
    pn_plan *p = build(&b, true, true);
    char *text = pn_plan_text(p);
    int reorders = 0;
    for (const char *at = text; (at = strstr(at, "reorder")); at++) reorders++;
    CHECK(reorders == (layout ? 4 : 0), "%s", text); /* there and back, forward and backward; tanh takes blocks as they come */
    feed(p, 0, x);
    runner r = {.plan = p};
    CHECK(run(&r, 2, NULL));
    const double *got = pn_plan_output(p, 1)->data, *want = b.extra->storage->data;
    for (int64_t i = 0; i < pn_shape_size(&b.extra->shape); i++) CHECK_CLOSE(got[i], want[i], 1e-14);
    pn_free(text);
    pn_plan_free(p);
    close_built(&b);
}

TEST(an_op_gets_the_layout_it_asks_for) {
    check_layout(PN_PLAIN, 5, 3);
    check_layout(PN_BATCH_INNER, 16, 3);
    check_layout(PN_BATCH_INNER, 37, 3);
    check_layout(PN_BATCH_INNER, 1, 2);
}

TEST(layout_index_is_where_reorder_puts_things) {
    const pn_shape s = {.rank = 3, .dtype = PN_F32, .dim = {19, 5, 2}};
    for (int layout = PN_PLAIN; layout <= PN_BATCH_INNER; layout++) {
        const pn_shape physical = pn_layout_shape(&s, (pn_layout)layout);
        float x[190], y[19 * 16 * 16];
        for (int i = 0; i < 190; i++) x[i] = (float)(i + 1);
        if (layout == PN_PLAIN) {
            memcpy(y, x, sizeof x);
        } else {
            const pn_view in = {x, s}, out = {y, s};
            const pn_value attrs[2] = {{.i = PN_PLAIN}, {.i = layout}};
            const pn_call c = {.op = &pn_op_reorder, .kernels = pn_kernels_get(), .attrs = attrs, .n_in = 1, .n_out = 1, .in = &in, .out = &out};
            pn_member m = {.count = 1};
            pn_op_reorder.fwd[0](&c, &m);
        }
        double total = 0, padded = 0;
        for (int64_t i = 0; i < 190; i++) CHECK(y[pn_layout_index(&s, (pn_layout)layout, i)] == x[i]);
        for (int64_t i = 0; i < pn_shape_size(&physical); i++) padded += y[i];
        for (int i = 0; i < 190; i++) total += x[i];
        CHECK(padded == total, "pad lanes are zero");
    }
}

/* ---- values that are not finite, and failures ---- */

static built overflow(void) {
    built b = {.n = net_open()};
    net *n = &b.n;
    pn_tensor *w = parameter(n, PN_F32, 2, DIMS(200, 40)), *x = b.inputs[b.n_inputs++] = input(n, PN_F32, 2, DIMS(300, 40));
    for (int i = 0; i < 40; i++) ((float *)x->storage->data)[i] = 1;
    b.recording = n->ctx.recording = pn_recording_new(&n->e);
    n->ctx.layer = "Linear(40, 200) (layer 0)";
    pn_tensor *h = OP(n, "linear", x, w);
    n->ctx.layer = "Exp() (layer 1)";
    b.loss = OP(n, "mean", OP(n, "exp", OP(n, "exp", h)));
    n->ctx.layer = NULL;
    n->ctx.recording = NULL;
    return b;
}

TEST(the_first_op_that_is_not_finite_is_named) {
    for (int threads = 1; threads <= 2; threads++) {
        built b = overflow();
        runner r = {.plan = build(&b, false, true)};
        CHECK(pn_plan_fused_updates(r.plan) == 0); /* 8000 elements are below the threshold */
        feed(r.plan, 0, b.inputs[0]);
        CHECK(!run(&r, threads, NULL) && !r.run.status, "not finite, but no failure");
        r.run.checked = true;
        CHECK(!run(&r, 1, NULL) && r.run.status == PN_E_NONFINITE);
        CHECK(strstr(r.run.error.text, "exp in Exp() (layer 1)") && strstr(r.run.error.text, "Inf"), "%s", r.run.error.text);
        ((float *)b.n.param[0]->storage->data)[3] = NAN;
        CHECK(!run(&r, 1, NULL));
        CHECK(strstr(r.run.error.text, "Linear(40, 200) (layer 0): weight of shape (200, 40) holds NaN"), "%s", r.run.error.text);
        pn_plan_free(r.plan);
        close_built(&b);
    }
}

TEST(labels_are_checked_in_every_step) {
    for (int threads = 1; threads <= 2; threads++) {
        built b = {.n = net_open()};
        net *n = &b.n;
        pn_tensor *w = parameter(n, PN_F64, 2, DIMS(3, 4)), *x = b.inputs[b.n_inputs++] = input(n, PN_F64, 2, DIMS(6, 4));
        pn_tensor *labels = b.inputs[b.n_inputs++] = input(n, PN_I64, 1, DIMS(6));
        b.recording = n->ctx.recording = pn_recording_new(&n->e);
        b.loss = OP(n, "cross_entropy", OP(n, "linear", x, w), labels);
        n->ctx.recording = NULL;
        runner r = {.plan = build(&b, true, true)};
        feed(r.plan, 0, x);
        feed(r.plan, 1, labels);
        CHECK(run(&r, threads, NULL));
        ((int64_t *)pn_plan_input(r.plan, 1))[4] = 1000000;
        CHECK(!run(&r, threads, NULL) && r.run.status != PN_OK, "%s", r.run.error.text);
        CHECK(strstr(r.run.error.text, "1000000"), "%s", r.run.error.text);
        feed(r.plan, 1, labels);
        CHECK(run(&r, threads, NULL), "the plan works again");
        pn_plan_free(r.plan);
        close_built(&b);
    }
}

static bool always(void *context) {
    (void)context;
    return true;
}

TEST(a_stop_ends_the_step_on_all_members) {
    built b = {.n = net_open()};
    net *n = &b.n;
    pn_tensor *w = parameter(n, PN_F32, 2, DIMS(300, 300)), *x = b.inputs[b.n_inputs++] = input(n, PN_F32, 2, DIMS(400, 300));
    b.recording = n->ctx.recording = pn_recording_new(&n->e);
    pn_tensor *h = x;
    for (int i = 0; i < 6; i++) h = OP(n, "tanh", OP(n, "linear", h, w));
    b.loss = OP(n, "mean", h);
    n->ctx.recording = NULL;
    runner r = {.plan = build(&b, false, true)};
    feed(r.plan, 0, x);
    for (int threads = 1; threads <= 3; threads++) {
        pn_poll poll;
        pn_poll_init(&poll, always, NULL);
        poll.next = 0;
        CHECK(!run(&r, threads, &poll) && pn_poll_stopped(&poll) && !r.run.status);
        CHECK(run(&r, threads, NULL));
    }
    pn_plan_free(r.plan);
    close_built(&b);
}

static pn_status user_forward(pn_user *user, const pn_call *c, pn_error *e) {
    (void)user;
    const double *x = c->in[0].data;
    double *y = c->out[0].data;
    for (int64_t i = 0; i < pn_shape_size(&c->in[0].shape); i++) y[i] = 2 * x[i];
    return x[0] > 100 ? pn_fail(e, PN_E_PYTHON, "user code failed") : PN_OK;
}
static pn_status user_backward(pn_user *user, const pn_call *c, pn_error *e) {
    (void)user, (void)e;
    const double *g = c->gout[0].data;
    double *gx = c->gin[0].data;
    for (int64_t i = 0; gx && i < pn_shape_size(&c->in[0].shape); i++) gx[i] = 2 * g[i] + (c->gin_add[0] ? gx[i] : 0);
    return PN_OK;
}
static void user_release(pn_user *user) { pn_free(user); }

TEST(user_code_runs_on_one_member_and_may_fail) {
    built b = {.n = net_open()};
    net *n = &b.n;
    pn_tensor *w = parameter(n, PN_F64, 1, DIMS(5)), *x = b.inputs[b.n_inputs++] = input(n, PN_F64, 1, DIMS(5)), *out[PN_MAX_OUT];
    b.recording = n->ctx.recording = pn_recording_new(&n->e);
    pn_tensor *h = OP(n, "mul", w, x);
    pn_user *user = pn_alloc_zero(sizeof *user);
    *user = (pn_user){.forward = user_forward, .backward = user_backward, .release = user_release, .name = "Twice", .n_out = 1, .out = {h->shape}};
    CHECK(pn_apply(&n->ctx, &pn_user_op, NULL, 1, &h, user, out, NULL, &n->e) == PN_OK);
    b.loss = OP(n, "mean", OP(n, "tanh", keep(n, out[0])));
    n->ctx.recording = NULL;
    check_against_eager(&b, 1e-14);
    for (int threads = 1; threads <= 3; threads++) {
        runner r = {.plan = build(&b, true, true)};
        for (int i = 0; i < 5; i++) ((double *)pn_plan_input(r.plan, 0))[i] = 1e9 / ((double *)w->storage->data)[0];
        CHECK(!run(&r, threads, NULL) && r.run.status == PN_E_PYTHON);
        CHECK(strstr(r.run.error.text, "Twice: user code failed"), "%s", r.run.error.text);
        pn_plan_free(r.plan);
    }
    close_built(&b);
}

/* ---- the epoch loop ---- */

enum { ROWS = 203, FEATURES = 90, HIDDEN = 120, CLASSES = 3, BATCH = 32 };

typedef struct school {
    net n;
    pn_recording *recordings[2];
    pn_plan *plans[2];
    pn_optimizer *optimizer;
    pn_trainer *trainer;
    float x[ROWS * FEATURES];
    int64_t y[ROWS];
} school;

static pn_plan *school_plan(school *s, int which, int64_t rows) {
    net *n = &s->n;
    pn_plan *plan = NULL;
    pn_tensor *in[2] = {input(n, PN_F32, 2, DIMS(rows, FEATURES)), input(n, PN_I64, 1, DIMS(rows))};
    s->recordings[which] = n->ctx.recording = pn_recording_new(&n->e);
    n->ctx.ordinal = 0;
    pn_tensor *h = OP(n, "dropout", OP(n, "relu", OP(n, "linear", in[0], n->param[0], n->param[1])));
    pn_tensor *loss = OP(n, "cross_entropy", OP(n, "linear", h, n->param[2], n->param[3]), in[1]);
    n->ctx.recording = NULL;
    const pn_plan_spec spec = {
        .n_inputs = 2, .inputs = in, .n_outputs = 1, .outputs = &loss, .training = true, .n_segments = 4, .segments = s->optimizer->segments, .fuse = true};
    CHECK(pn_plan_build(s->recordings[which], &spec, &plan, &n->e) == PN_OK, "%s", n->e.text);
    return plan;
}

static void school_open(school *s) {
    static const int64_t dims[4][2] = {{HIDDEN, FEATURES}, {HIDDEN}, {CLASSES, HIDDEN}, {CLASSES}};
    *s = (school){.n = net_open()};
    const pn_hyper hyper = {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    for (int i = 0; i < 4; i++) {
        pn_tensor *p = parameter(&s->n, PN_F32, i % 2 ? 1 : 2, dims[i]);
        for (int64_t k = 0; k < pn_shape_size(&p->shape); k++) ((float *)p->storage->data)[k] *= 0.1f;
    }
    for (int i = 0; i < ROWS; i++) {
        s->y[i] = i % CLASSES;
        for (int k = 0; k < FEATURES; k++) s->x[i * FEATURES + k] = (float)sin(i * 1.7 + k) + (k % CLASSES == s->y[i] ? 0.5f : 0);
    }
    CHECK(pn_optimizer_new(PN_UPDATE_adam, 1, &hyper, 4, s->n.param, (int[4]){0}, NULL, &s->optimizer, &s->n.e) == PN_OK);
    s->plans[0] = school_plan(s, 0, BATCH);
    s->plans[1] = school_plan(s, 1, ROWS % BATCH);
    CHECK(pn_plan_fused_updates(s->plans[0]) == 1);
    const pn_source sources[2] = {
        {.data = (char *)s->x,
         .number = PN_NUM_F32,
         .rank = 1,
         .rows = ROWS,
         .row_stride = 4 * FEATURES,
         .row_size = FEATURES,
         .packed = true,
         .dim = {FEATURES},
         .stride = {4}},
        {.data = (char *)s->y, .number = PN_NUM_I64, .rows = ROWS, .row_stride = 8, .row_size = 1, .packed = true},
    };
    const pn_trainer_spec spec = {.n_sources = 2,
                                  .sources = sources,
                                  .rows = ROWS,
                                  .batch = BATCH,
                                  .shuffle = true,
                                  .seed = 3,
                                  .plan = s->plans[0],
                                  .tail = s->plans[1],
                                  .optimizer = s->optimizer,
                                  .input_max = 2};
    CHECK(pn_trainer_new(&spec, &s->trainer, &s->n.e) == PN_OK, "%s", s->n.e.text);
}

static void school_close(school *s) {
    pn_trainer_free(s->trainer);
    for (int i = 0; i < 2; i++) {
        pn_plan_free(s->plans[i]);
        pn_recording_free(s->recordings[i]);
    }
    pn_optimizer_free(s->optimizer);
    net_close(&s->n);
}

/* FNV-1a over all parameters. */
static uint64_t digest(const school *s) {
    uint64_t h = 14695981039346656037u;
    for (int i = 0; i < 4; i++)
        for (size_t k = 0; k < s->n.param[i]->storage->bytes; k++) h = (h ^ ((unsigned char *)s->n.param[i]->storage->data)[k]) * 1099511628211u;
    return h;
}

/* Epochs in slices of `steps`; returns the digest, and the last mean loss. */
static uint64_t train(int threads, int64_t steps, double *loss) {
    static school s;
    pn_run_end end;
    pn_threads_set(threads);
    school_open(&s);
    double first = 0;
    do {
        int64_t n;
        CHECK(pn_trainer_run(s.trainer, 3, INFINITY, steps, NULL, &end, &s.n.e) == PN_OK, "%s", s.n.e.text);
        const double *log = pn_trainer_log(s.trainer, &n);
        if (n && first == 0) first = log[0];
        if (n) *loss = log[n - 1];
    } while (end != PN_RUN_DONE);
    const pn_progress *p = pn_trainer_progress(s.trainer);
    CHECK(p->epoch == 3 && p->position == 0 && p->step == 3 * 7 && s.optimizer->steps == 21);
    CHECK(*loss < first, "the loss falls: %g, then %g", first, *loss);
    const uint64_t h = digest(&s);
    school_close(&s);
    pn_threads_set(0);
    return h;
}

TEST(same_bits_for_any_threads_and_slices) {
    double loss = 0, other = 0;
    const uint64_t h = train(1, 0, &loss);
    for (int threads = 1; threads <= 4; threads++) {
        CHECK(train(threads, threads == 1 ? 1 : 0, &other) == h, "%d threads", threads);
        CHECK(other == loss, "%d threads: %.17g and %.17g", threads, other, loss);
    }
    CHECK(train(2, 4, &other) == h);
}

TEST(a_bad_row_is_named_and_changes_nothing) {
    for (int threads = 1; threads <= 2; threads++) {
        static school s;
        pn_run_end end;
        pn_threads_set(threads);
        school_open(&s);
        CHECK(pn_trainer_run(s.trainer, 1, INFINITY, 3, NULL, &end, &s.n.e) == PN_OK && end == PN_RUN_TIME);
        for (int i = 0; i < ROWS; i++) s.x[i * FEATURES + 7] = NAN;
        const uint64_t before = digest(&s);
        CHECK(pn_trainer_run(s.trainer, 1, INFINITY, 0, NULL, &end, &s.n.e) == PN_E_NONFINITE);
        CHECK(strstr(s.n.e.text, "step 4 (epoch 1): input 0 of the network is not finite in row"), "%s", s.n.e.text);
        CHECK(digest(&s) == before && pn_trainer_progress(s.trainer)->step == 3 && s.optimizer->steps == 3);
        school_close(&s);
    }
    pn_threads_set(0);
}

static bool after_a_while(void *context) { return --*(int *)context < 0; }

TEST(an_interrupt_ends_between_steps) {
    for (int threads = 1; threads <= 2; threads++) {
        static school s;
        pn_run_end end;
        pn_poll poll;
        int questions = 3;
        pn_threads_set(threads);
        school_open(&s);
        pn_poll_init(&poll, after_a_while, &questions);
        CHECK(pn_trainer_run(s.trainer, INT64_MAX, INFINITY, 0, &poll, &end, &s.n.e) == PN_E_INTERRUPTED);
        const pn_progress *p = pn_trainer_progress(s.trainer);
        CHECK(p->step == s.optimizer->steps && p->step > 0);
        CHECK(p->epoch * 7 + (p->position + BATCH - 1) / BATCH == p->step);
        school_close(&s);
    }
    pn_threads_set(0);
}
