/* Batch norm in evaluation is a factor and a shift for each channel. Behind a convolution whose output nobody else reads they go into its weights:
 *     w'[o] = w[o] a[o], b'[o] = (b[o] - mean[o]) a[o] + beta[o], a = gamma / sqrt(var + eps),
 * computed anew in each run, for all of them may have changed. Only in plans without gradients, and where weights are fewer than outputs. */
#ifdef PN_REAL_PASS

static void R_(forward)(const pn_call *c, pn_member *m) {
    const int64_t channels = c->in[MEAN].shape.dim[0], each = channels ? pn_shape_size(&c->in[0].shape) / channels : 0;
    const real *w = c->in[0].data, *mean = c->in[MEAN].data, *var = c->in[VAR].data;
    const real *bias = optional(c, HAS_BIAS), *gamma = optional(c, HAS_GAMMA), *beta = optional(c, HAS_BETA);
    int64_t lo, hi;
    pn_member_range(m, channels, &lo, &hi);
    for (int64_t o = lo; o < hi && !pn_member_stopped(m); o++) {
        const double a = (gamma ? gamma[o] : 1) / sqrt(var[o] + c->attrs[EPS].f);
        R_(pn_call_kernels)(c)->scale((real *)c->out[0].data + o * each, w + o * each, (real)a, each, false);
        ((real *)c->out[1].data)[o] = (real)(((bias ? bias[o] : 0) - (double)mean[o]) * a + (beta ? beta[o] : 0));
    }
}

#else
#include <string.h>

#include "graph/plan_internal.h"
#include "ops/op_helpers.h"

enum { MEAN = 1, VAR, FIRST };                      /* inputs; then those that there are of bias, gamma, beta */
enum { EPS, GIVEN };                                /* attributes */
enum { HAS_BIAS = 1, HAS_GAMMA = 2, HAS_BETA = 4 }; /* bits of GIVEN */

static const void *optional(const pn_call *c, int which) {
    const int given = (int)c->attrs[GIVEN].i;
    return given & which ? c->in[FIRST + __builtin_popcount((unsigned)(given & (which - 1)))].data : NULL;
}

#define PN_REAL_FILE "graph/plan_fold.c"
#include "base/real.h"

static pn_status infer(pn_infer *q) {
    q->out[0] = q->in[0];
    q->out[1] = q->in[MEAN];
    q->flops = (double)pn_shape_size(&q->in[0]);
    return PN_OK;
}

static const pn_field fields[] = {{"eps", PN_FLOAT, NULL, NULL}, {"given", PN_INT, NULL, NULL}, {0}};

static const pn_op fold_op = {.name = "fold_batch_norm",
                              .formula = "w' = w a, b' = (b - mean) a + beta, a = gamma / sqrt(var + eps)",
                              .inputs = "weight:r running_mean:r running_var:r rest:r*",
                              .n_out = 2,
                              .fields = fields,
                              .infer = infer,
                              .fwd = {forward_f, forward_d},
                              .flags = PN_NO_GRAD,
                              .file = "graph/plan_fold.c"};

/* ---- the pass ---- */

/* The batch norm that takes the output of node i and can go into it, or -1. */
static int reader_of(const plan_builder *b, int i, const pn_op *conv, const pn_op *norm) {
    const plan_node *n = &b->nodes[i];
    const plan_value *y = &b->values[n->out[0]];
    int found = -1;
    if (!n->live || n->op != conv || y->kept || pn_shape_size(&b->values[n->in[1]].shape) > pn_shape_size(&y->shape)) return -1;
    for (int k = i + 1; k < b->n_nodes; k++) {
        const plan_node *r = &b->nodes[k];
        for (int j = 0; r->live && j < r->n_in; j++) {
            if (plan_root(b, r->in[j]) != plan_root(b, n->out[0])) continue;
            if (found >= 0 || j || r->op != norm || r->attrs[0].i) return -1;
            found = k;
        }
    }
    return found;
}

/* A node that makes the weights and the bias of `conv` with `norm` in it; conv then takes them, and gives what norm gave. */
static pn_status fold(plan_builder *b, plan_node *conv, plan_node *norm, int eps) {
    enum { NORM_MEAN = 1, NORM_VAR, NORM_COUNT, NORM_GAMMA, NORM_BETA };
    const int given = (conv->n_in > 2 ? HAS_BIAS : 0) | (norm->n_in > NORM_GAMMA ? HAS_GAMMA : 0) | (norm->n_in > NORM_BETA ? HAS_BETA : 0);
    plan_node *n = pn_plan_add_node(b, FIRST + __builtin_popcount((unsigned)given));
    int *in = pn_pool_take(&b->pool, 3, sizeof *in), at = FIRST;
    const int weight = pn_plan_add_value(b, &b->values[conv->in[1]].shape, PLAN_RESULT);
    const int bias = pn_plan_add_value(b, &b->values[norm->in[NORM_MEAN]].shape, PLAN_RESULT);
    if (!n || !in || weight < 0 || bias < 0) return pn_plan_out_of_memory(b);
    n->op = &fold_op;
    n->attrs[EPS].f = norm->attrs[eps].f;
    n->attrs[GIVEN].i = given;
    n->in[0] = conv->in[1], n->in[MEAN] = norm->in[NORM_MEAN], n->in[VAR] = norm->in[NORM_VAR];
    if (given & HAS_BIAS) n->in[at++] = conv->in[2];
    if (given & HAS_GAMMA) n->in[at++] = norm->in[NORM_GAMMA];
    if (given & HAS_BETA) n->in[at++] = norm->in[NORM_BETA];
    n->n_out = 2, n->out[0] = weight, n->out[1] = bias;
    n->real = conv->real, n->layer = norm->layer, n->live = true;
    b->values[weight].producer = b->values[bias].producer = b->n_nodes - 1;
    b->values[weight].needed = b->values[bias].needed = true;
    in[0] = conv->in[0], in[1] = weight, in[2] = bias;
    conv->in = in, conv->n_in = 3, conv->out[0] = norm->out[0];
    norm->live = false;
    return PN_OK;
}

pn_status pn_plan_fold_norms(plan_builder *b) {
    const pn_op *conv = pn_op_find("conv2d"), *norm = pn_op_find("batch_norm");
    const int eps = pn_op_field(norm, "eps"), n = b->n_nodes;
    int *reader = pn_pool_take(&b->pool, (size_t)n, sizeof *reader), found = 0;
    if (!reader) return pn_plan_out_of_memory(b);
    for (int i = 0; i < n && b->spec->fuse && !b->spec->training; i++) found += (reader[i] = reader_of(b, i, conv, norm)) >= 0;
    if (!found) return PN_OK;
    plan_node *old = b->nodes;
    b->nodes = NULL; /* the list is written anew, with the new nodes in front of their convolutions */
    b->n_nodes = b->c_nodes = 0;
    for (int i = 0; i < n; i++) {
        if (old[i].op == norm && !old[i].live) continue; /* its output is the convolution's now */
        pn_status status = reader[i] >= 0 ? fold(b, &old[i], &old[reader[i]], eps) : PN_OK;
        plan_node *to = status ? NULL : pn_plan_add_node(b, 0);
        if (!to) return pn_plan_out_of_memory(b);
        *to = old[i];
        for (int k = 0; k < to->n_out; k++)
            if (to->live) b->values[to->out[k]].producer = b->n_nodes - 1;
    }
    return PN_OK;
}
#endif
