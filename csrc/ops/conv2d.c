/* conv2d: y[n, o, p, q] = bias[o] + sum over c, i, j of x[n, c, p s - pad + i d, q s - pad + j d] w[o, c, i, j]; a cross-correlation, as everywhere.
 * gx: the same sum taken at x; gw[o, c, i, j] = sum of gy[n, o, p, q] x[n, c, ..]; gb[o] = sum of gy[n, o].
 *
 * Shapes: x (N, C, H, W), weight (O, C / groups, kh, kw), bias (O,) or absent, y (N, O, P, Q) with P = floor((H + 2 pad - d (kh - 1) - 1) / s) + 1.
 * padding: (rows, columns), or (top, bottom, left, right). Cost: 2 N O P Q (C / groups) kh kw. conv.c chooses the algorithm.
 * The activation is for plans, as in linear.c: backward then overwrites gout by gz. Source: lectures 001 and 003; LeCun et al. 1998.
 */
#ifdef PN_REAL_PASS

#include "ops/fused.h"

static void R_(forward)(const pn_call *c, pn_member *m) {
    const pn_conv v = pn_conv_of(&c->in[0].shape, &c->in[1].shape, &c->out[0].shape, c->attrs, (pn_layout)c->layout);
    double p[2];
    const R_(pn_conv_io) io = {
        .x = c->in[0].data,
        .w = c->in[1].data,
        .to = c->out[0].data,
        .bias = c->n_in > 2 ? c->in[2].data : NULL,
        .act = (int)c->attrs[ACTIVATION].i,
        .params = pn_fused_params(c, p),
    };
    R_(pn_conv_output)(c, m, &v, &io);
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    const pn_shape *y = &c->gout[0].shape;
    const pn_conv v = pn_conv_of(&c->in[0].shape, &c->in[1].shape, y, c->attrs, (pn_layout)c->layout);
    if (c->attrs[ACTIVATION].i >= 0) R_(through_activation)(c, m);
    R_(pn_conv_io) io = {.x = c->in[0].data, .w = c->in[1].data, .y = c->gout[0].data, .act = -1};
    for (int i = 0; i < 2; i++) {
        if (!c->gin[i].data) continue;
        if (i == 1 && c->gin[0].data == c->gin[1].data) pn_member_barrier(m); /* x is also the weight: one gradient, then the other */
        io.to = c->gin[i].data;
        io.add = c->gin_add[i];
        (i ? R_(pn_conv_weight) : R_(pn_conv_input))(c, m, &v, &io);
    }
    if (c->n_in > 2 && c->gin[2].data) R_(pn_conv_bias)(c, m, c->gin[2].data, c->gout[0].data, v.n, y->dim[1], v.p * v.q, c->gin_add[2]);
}

#else
#include "ops/conv.h"
#include "ops/fused.h"

enum { ACTIVATION = PN_CONV_OWN };

#define PN_REAL_FILE "ops/conv2d.c"
#include "base/real.h"

/* Is x (N, groups C, H, W)? */
static pn_status check_x(pn_infer *q) {
    const pn_shape *x = &q->in[0], *w = &q->in[1];
    const int64_t channels = w->dim[1] * q->attrs[PN_CONV_GROUPS].i;
    const bool last = x->rank == 4 && x->dim[3] == channels;
    char text[256];
    if (x->rank == 4 && x->dim[1] == channels) return PN_OK;
    return pn_fail(q->error, PN_E_VALUE, "x has shape %s, expected (N, %lld, H, W)%s", pn_shape_text(x, text), (long long)channels,
                   last ? ". Is it channels-last? Use x.transpose(0, 3, 1, 2)" : "");
}

/* Rows (dim 0) or columns (1): N + 2p, F (the kernel with its dilation) and s; returns those of y, floor((N + 2p - F) / s) + 1, or 0 where F does not fit. */
static int64_t size_of(const pn_shape *in, const pn_value *attrs, int dim, int64_t *n, int64_t *f, int64_t *s) {
    const pn_value *stride = &attrs[PN_CONV_STRIDE], *dilation = &attrs[PN_CONV_DILATION];
    int64_t front, behind;
    pn_conv_padding(attrs, dim, &front, &behind);
    *n = in[0].dim[2 + dim] + front + behind;
    *f = (in[1].dim[2 + dim] - 1) * dilation->ints[dilation->n == 1 ? 0 : dim] + 1;
    *s = stride->ints[stride->n == 1 ? 0 : dim];
    return *n < *f ? 0 : (*n - *f) / *s + 1;
}

static pn_status infer_size(pn_infer *q, int dim) {
    int64_t n, f, s;
    char x[256], w[256];
    q->out[0].dim[2 + dim] = size_of(q->in, q->attrs, dim, &n, &f, &s);
    if (n >= f) return PN_OK;
    return pn_fail(q->error, PN_E_VALUE,
                   "x has shape %s and weight %s: the output would have floor((N + 2p - F) / s) + 1 = floor((%lld + %lld - %lld) / %lld) + 1 = %lld %s, needed "
                   "is at least 1",
                   pn_shape_text(&q->in[0], x), pn_shape_text(&q->in[1], w), (long long)q->in[0].dim[2 + dim], (long long)(n - q->in[0].dim[2 + dim]),
                   (long long)f, (long long)s, (long long)(1 - pn_blocks_of(f - n, s)), dim ? "columns" : "rows");
}

static pn_status infer(pn_infer *q) {
    char text[256];
    pn_status status = pn_conv_check(q);
    if (!status) status = check_x(q);
    if (status) return status;
    if (q->n_in > 2 && (q->in[2].rank != 1 || q->in[2].dim[0] != q->in[1].dim[0]))
        return pn_fail(q->error, PN_E_VALUE, "bias has shape %s, expected (%lld,)", pn_shape_text(&q->in[2], text), (long long)q->in[1].dim[0]);
    q->out[0] = q->in[0];
    q->out[0].dim[1] = q->in[1].dim[0];
    status = infer_size(q, 0);
    if (!status) status = infer_size(q, 1);
    if (status) return status;
    const pn_conv v = pn_conv_of(&q->in[0], &q->in[1], &q->out[0], q->attrs, q->layout);
    return pn_conv_needs(q, &v);
}

/* Blocks of 16 samples where the algorithm works on them. */
static pn_layout layout(const pn_shape in[2], const pn_value *attrs, pn_layout incoming) {
    pn_shape y = in[0];
    int64_t n, f, s;
    for (int dim = 0; dim < 2; dim++) y.dim[2 + dim] = size_of(in, attrs, dim, &n, &f, &s);
    const pn_conv v = pn_conv_of(&in[0], &in[1], &y, attrs, incoming);
    return pn_conv_is_blocked(&v) ? PN_BATCH_INNER : PN_PLAIN;
}

/* activation and its parameters are set by plans only: a pn_act, -1 for none */
static const pn_field fields[] = {PN_CONV_FIELDS, {"activation", PN_INT, NULL, "-1"}, {"p0", PN_FLOAT, NULL, "0"}, {"p1", PN_FLOAT, NULL, "0"}, {0}};

const pn_op pn_op_conv2d = {
    .name = "conv2d",
    .formula = "y[n,o,p,q] = b[o] + sum over c,i,j of x[n,c,p s-pad+i d,q s-pad+j d] w[o,c,i,j]",
    .derivative =
        "gx[n,c,r,t] = sum of gy[n,o,p,q] w[o,c,i,j] over all that met at r,t; gw[o,c,i,j] = sum over n,p,q of gy[n,o,p,q] x[n,c,..]; gb[o] = sum of gy",
    .inputs = "x:r weight:r bias:r?",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .layout = layout,
    .fwd = {forward_f, forward_d},
    .bwd = {backward_f, backward_d},
    .needs_in = 3,
    .needs_out = 1,
    .flags = PN_FUSES,
    .fused = PN_CONV_OWN,
    .file = "ops/conv2d.c",
};
#endif
