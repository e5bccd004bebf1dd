/* conv_transpose2d: conv2d's input gradient as a forward step; each number of x spreads the kernel over y. gx is conv2d of gy, gw as in conv2d with the
 * roles of x and gy exchanged, gb[o] = sum of gy[n, o].
 *
 * Shapes: x (N, C, H, W), weight (C, O / groups, kh, kw), bias (O,) or absent, y (N, O, P, Q) with P = (H - 1) s - 2 pad + d (kh - 1) + out + 1;
 * output_padding adds rows and columns behind, which conv2d's rounding down leaves open. Cost: 2 N C H W (O / groups) kh kw.
 * Source: Zeiler et al. 2010; named in lecture 004 (segmentation, deconvolution nets).
 */
#ifdef PN_REAL_PASS

/* conv2d whose x is this op's y */
static void R_(forward)(const pn_call *c, pn_member *m) {
    const pn_conv v = pn_conv_of(&c->out[0].shape, &c->in[1].shape, &c->in[0].shape, c->attrs, (pn_layout)c->layout);
    const R_(pn_conv_io) io = {.y = c->in[0].data, .w = c->in[1].data, .to = c->out[0].data, .bias = c->n_in > 2 ? c->in[2].data : NULL, .act = -1};
    R_(pn_conv_input)(c, m, &v, &io);
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    const pn_shape *y = &c->gout[0].shape;
    const pn_conv v = pn_conv_of(y, &c->in[1].shape, &c->in[0].shape, c->attrs, (pn_layout)c->layout);
    R_(pn_conv_io) io = {.x = c->gout[0].data, .w = c->in[1].data, .y = c->in[0].data, .act = -1};
    for (int i = 0; i < 2; i++) {
        if (!c->gin[i].data) continue;
        if (i == 1 && c->gin[0].data == c->gin[1].data) pn_member_barrier(m); /* x is also the weight: one gradient, then the other */
        io.to = c->gin[i].data;
        io.add = c->gin_add[i];
        (i ? R_(pn_conv_weight) : R_(pn_conv_output))(c, m, &v, &io);
    }
    if (c->n_in > 2 && c->gin[2].data) R_(pn_conv_bias)(c, m, c->gin[2].data, c->gout[0].data, v.n, y->dim[1], y->dim[2] * y->dim[3], c->gin_add[2]);
}

#else
#include "ops/conv.h"

#define PN_REAL_FILE "ops/conv_transpose2d.c"
#include "base/real.h"

enum { OUTPUT_PADDING = PN_CONV_OWN };

/* Rows (dim 0) or columns (1) of y; false when they are too many to count. */
static bool size_of(const pn_shape *x, const pn_shape *w, const pn_value *attrs, int dim, int64_t *size) {
    const pn_value *stride = &attrs[PN_CONV_STRIDE], *dilation = &attrs[PN_CONV_DILATION], *out = &attrs[OUTPUT_PADDING];
    const int64_t s = stride->ints[stride->n == 1 ? 0 : dim], d = dilation->ints[dilation->n == 1 ? 0 : dim];
    int64_t front, behind, reach;
    pn_conv_padding(attrs, dim, &front, &behind);
    if (__builtin_mul_overflow(x->dim[2 + dim] - 1, s, &reach) || reach > INT64_MAX / 2) return false;
    *size = reach + (w->dim[2 + dim] - 1) * d + 1 + out->ints[out->n == 1 ? 0 : dim] - front - behind;
    return true;
}

static pn_status infer_size(pn_infer *q, int dim) {
    const pn_value *stride = &q->attrs[PN_CONV_STRIDE], *dilation = &q->attrs[PN_CONV_DILATION], *out = &q->attrs[OUTPUT_PADDING];
    const int64_t n = q->in[0].dim[2 + dim], s = stride->ints[stride->n == 1 ? 0 : dim], d = dilation->ints[dilation->n == 1 ? 0 : dim];
    const int64_t f = (q->in[1].dim[2 + dim] - 1) * d + 1, more = out->ints[out->n == 1 ? 0 : dim];
    const char *what = dim ? "columns" : "rows";
    int64_t front, behind;
    char x[256];
    pn_conv_padding(q->attrs, dim, &front, &behind);
    if (more < 0 || more >= (s > d ? s : d))
        return pn_fail(q->error, PN_E_VALUE, "output_padding is %lld for %s, expected 0 to %lld: less than the stride or the dilation", (long long)more, what,
                       (long long)(s > d ? s : d) - 1);
    if (n == 0) return pn_fail_shape(q, "x", 0, "at least one row and one column");
    if (!size_of(&q->in[0], &q->in[1], q->attrs, dim, &q->out[0].dim[2 + dim]))
        return pn_fail(q->error, PN_E_VALUE, "x has shape %s: with stride %lld the output would be too large", pn_shape_text(&q->in[0], x), (long long)s);
    const int64_t size = q->out[0].dim[2 + dim];
    if (size > 0) return PN_OK;
    return pn_fail(q->error, PN_E_VALUE,
                   "x has shape %s: the output would have (N - 1) s - 2p + F + out = (%lld - 1) %lld - %lld + %lld + %lld = %lld %s, needed is at least 1",
                   pn_shape_text(&q->in[0], x), (long long)n, (long long)s, (long long)(front + behind), (long long)f, (long long)more, (long long)size, what);
}

static pn_status infer(pn_infer *q) {
    const pn_shape *x = &q->in[0], *w = &q->in[1];
    const pn_value *out = &q->attrs[OUTPUT_PADDING];
    const int64_t outs = w->dim[1] * q->attrs[PN_CONV_GROUPS].i;
    char text[256];
    pn_status status = pn_conv_check(q);
    if (status) return status;
    if (out->n != 1 && out->n != 2) return pn_fail(q->error, PN_E_VALUE, "output_padding has %d numbers, expected one or two", (int)out->n);
    if (x->rank != 4 || x->dim[1] != w->dim[0]) {
        const bool last = x->rank == 4 && x->dim[3] == w->dim[0];
        return pn_fail(q->error, PN_E_VALUE, "x has shape %s, expected (N, %lld, H, W)%s", pn_shape_text(x, text), (long long)w->dim[0],
                       last ? ". Is it channels-last? Use x.transpose(0, 3, 1, 2)" : "");
    }
    if (q->n_in > 2 && (q->in[2].rank != 1 || q->in[2].dim[0] != outs))
        return pn_fail(q->error, PN_E_VALUE, "bias has shape %s, expected (%lld,)", pn_shape_text(&q->in[2], text), (long long)outs);
    q->out[0] = *x;
    q->out[0].dim[1] = outs;
    status = infer_size(q, 0);
    if (!status) status = infer_size(q, 1);
    if (status) return status;
    const pn_conv v = pn_conv_of(&q->out[0], w, x, q->attrs, q->layout);
    return pn_conv_needs(q, &v);
}

/* Blocks of 16 samples where the algorithm works on them. */
static pn_layout layout(const pn_shape in[2], const pn_value *attrs, pn_layout incoming) {
    pn_shape y = in[0];
    y.dim[1] = in[1].dim[1] * attrs[PN_CONV_GROUPS].i;
    for (int dim = 0; dim < 2; dim++) {
        if (!size_of(&in[0], &in[1], attrs, dim, &y.dim[2 + dim])) return PN_PLAIN;
    }
    const pn_conv v = pn_conv_of(&y, &in[1], &in[0], attrs, incoming);
    return pn_conv_is_blocked(&v) ? PN_BATCH_INNER : PN_PLAIN;
}

static const pn_field fields[] = {PN_CONV_FIELDS, {"output_padding", PN_INTS, NULL, "(0, 0)"}, {0}};

const pn_op pn_op_conv_transpose2d = {
    .name = "conv_transpose2d",
    .formula = "y[n,o,p s-pad+i d,q s-pad+j d] += x[n,c,p,q] w[c,o,i,j], from b[o] on",
    .derivative = "gx = conv2d(gy, w); gw[c,o,i,j] = sum over n,p,q of x[n,c,p,q] gy[n,o,..]; gb[o] = sum of gy",
    .inputs = "x:r weight:r bias:r?",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .layout = layout,
    .fwd = {forward_f, forward_d},
    .bwd = {backward_f, backward_d},
    .needs_in = 3,
    .file = "ops/conv_transpose2d.c",
};
#endif
