/* Layouts: how plan buffers of (n, c, h, w) tensors may be stored so that 16 equal operations lie side by side, and the op that reorders them.
 *
 * PN_BATCH_INNER: blocks of 16 samples, innermost: (n/16, c, h, w, 16). One vector holds one pixel of 16 samples, weights are broadcast.
 * PN_CHANNEL_BLOCK: blocks of 16 channels, innermost: (n, c/16, h, w, 16), for small batches.
 * Pad lanes are zero right behind a reorder; elementwise ops turn them into f(0), so an op that sums over lanes has to leave pads out. Both directions
 * are transposes of 16 x many blocks. Cost: one read and one write of the tensor. Source: design of blocked layouts in oneDNN (nChw16c).
 */
#ifdef PN_REAL_PASS

/* One block of `lanes` rows (row stride `plain`, `cols` long) to or from (cols, 16). add: += on the plain side's gradient. */
static void R_(block_in)(const R_(pn_kernels) *k, real *y, const real *x, int64_t lanes, int64_t cols, int64_t plain, bool add) {
    if (add) {
        for (int64_t c = 0; c < cols; c++)
            for (int64_t l = 0; l < lanes; l++) y[c * PN_LAYOUT_LANES + l] += x[l * plain + c];
        return;
    }
    if (lanes < PN_LAYOUT_LANES) k->fill(y, 0, cols * PN_LAYOUT_LANES);
    k->transpose(y, x, lanes, cols, plain, PN_LAYOUT_LANES);
}
static void R_(block_out)(const R_(pn_kernels) *k, real *y, const real *x, int64_t lanes, int64_t cols, int64_t plain, bool add) {
    if (!add && lanes == PN_LAYOUT_LANES) {
        k->transpose(y, x, cols, lanes, PN_LAYOUT_LANES, plain);
        return;
    }
    for (int64_t l = 0; l < lanes; l++)
        for (int64_t c = 0; c < cols; c++) y[l * plain + c] = x[c * PN_LAYOUT_LANES + l] + (add ? y[l * plain + c] : 0);
}

/* y = x between plain and `layout`; in: from plain. Blocks are shared by the members. */
static void R_(move)(const pn_call *c, pn_member *m, real *y, const real *x, const pn_shape *s, pn_layout layout, bool in, bool add) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const blocks b = blocks_of(s, layout);
    int64_t lo, hi;
    pn_member_range(m, b.outer * b.count, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        const int64_t block = i % b.count, first = block * PN_LAYOUT_LANES, left = b.lanes - first;
        const int64_t plain = (i / b.count * b.lanes + first) * b.cols, blocked = i * b.cols * PN_LAYOUT_LANES;
        const int64_t lanes = left < PN_LAYOUT_LANES ? left : PN_LAYOUT_LANES;
        if (in)
            R_(block_in)(k, y + blocked, x + plain, lanes, b.cols, b.cols, add);
        else
            R_(block_out)(k, y + plain, x + blocked, lanes, b.cols, b.cols, add);
    }
}

static void R_(reorder_forward)(const pn_call *c, pn_member *m) {
    const pn_layout from = (pn_layout)c->attrs[0].i, to = (pn_layout)c->attrs[1].i;
    R_(move)(c, m, c->out[0].data, c->in[0].data, &c->in[0].shape, from == PN_PLAIN ? to : from, from == PN_PLAIN, false);
}
static void R_(reorder_backward)(const pn_call *c, pn_member *m) {
    const pn_layout from = (pn_layout)c->attrs[0].i, to = (pn_layout)c->attrs[1].i;
    if (c->gin[0].data) R_(move)(c, m, c->gin[0].data, c->gout[0].data, &c->in[0].shape, from == PN_PLAIN ? to : from, from != PN_PLAIN, c->gin_add[0]);
}

#else
#include "graph/layout.h"

#include "ops/op_helpers.h"

/* A blocked tensor is `outer` x `lanes` rows of `cols`; `count` blocks of 16 lanes in each of the outer parts. */
typedef struct blocks {
    int64_t outer, lanes, cols, count;
} blocks;

static blocks blocks_of(const pn_shape *s, pn_layout layout) {
    const int dim = layout == PN_CHANNEL_BLOCK ? 1 : 0; /* the dimension that is split */
    blocks b = {1, s->dim[dim], 1, 0};
    for (int i = 0; i < dim; i++) b.outer *= s->dim[i];
    for (int i = dim + 1; i < s->rank; i++) b.cols *= s->dim[i];
    b.count = (b.lanes + PN_LAYOUT_LANES - 1) / PN_LAYOUT_LANES;
    return b;
}

#define PN_REAL_FILE "graph/layout.c"
#include "base/real.h"

pn_shape pn_layout_shape(const pn_shape *s, pn_layout layout) {
    if (layout == PN_PLAIN) return *s;
    const blocks b = blocks_of(s, layout);
    return (pn_shape){.rank = 4, .dtype = s->dtype, .dim = {b.outer, b.count, b.cols, PN_LAYOUT_LANES}};
}

int64_t pn_layout_index(const pn_shape *s, pn_layout layout, int64_t i) {
    if (layout == PN_PLAIN) return i;
    const blocks b = blocks_of(s, layout);
    const int64_t col = i % b.cols, lane = i / b.cols % b.lanes, outer = i / b.cols / b.lanes;
    return ((outer * b.count + lane / PN_LAYOUT_LANES) * b.cols + col) * PN_LAYOUT_LANES + lane % PN_LAYOUT_LANES;
}

const char *pn_layout_name(pn_layout layout) {
    static const char *const names[] = {"plain", "batch-inner", "channel-block"};
    return names[layout];
}

static pn_status infer(pn_infer *q) {
    q->out[0] = q->in[0];
    q->flops = (double)pn_shape_size(&q->in[0]);
    return PN_OK;
}

static const pn_field fields[] = {{"from", PN_ENUM, "plain|batch-inner|channel-block", NULL}, {"to", PN_ENUM, "plain|batch-inner|channel-block", NULL}, {0}};

const pn_op pn_op_reorder = {.name = "reorder",
                             .formula = "y = x, stored in another order",
                             .derivative = "gx = gy, stored as x is",
                             .inputs = "x:r",
                             .n_out = 1,
                             .fields = fields,
                             .infer = infer,
                             .fwd = {reorder_forward_f, reorder_forward_d},
                             .bwd = {reorder_backward_f, reorder_backward_d},
                             .file = "graph/layout.c"};
#endif
