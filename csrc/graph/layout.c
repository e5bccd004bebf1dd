/* Layouts: how plan buffers of (n, c, h, w) tensors may be stored so that 16 equal operations lie side by side, and the op that reorders them.
 *
 * PN_BATCH_INNER: blocks of 16 samples, innermost: (n/16, c, h, w, 16). One vector holds one pixel of 16 samples, weights are broadcast.
 * Pad lanes are zero right behind a reorder; elementwise ops turn them into f(0), so an op that sums over lanes has to leave pads out. Both directions
 * are transposes of 16 x many blocks. Cost: one read and one write of the tensor. Source: design of blocked layouts in oneDNN (nChw16c).
 */
#ifdef PN_REAL_PASS

#include "ops/blocks.h"

/* y = x between plain and blocks; in: from plain */
static void R_(move)(const pn_call *c, pn_member *m, real *y, const real *x, const pn_shape *s, bool in, bool add) {
    const pn_blocking b = pn_blocking_of(s);
    R_(blocks_move)(c, m, y, x, &b, in, add);
}

static void R_(reorder_forward)(const pn_call *c, pn_member *m) {
    R_(move)(c, m, c->out[0].data, c->in[0].data, &c->in[0].shape, c->attrs[0].i == PN_PLAIN, false);
}
static void R_(reorder_backward)(const pn_call *c, pn_member *m) {
    if (c->gin[0].data) R_(move)(c, m, c->gin[0].data, c->gout[0].data, &c->in[0].shape, c->attrs[0].i != PN_PLAIN, c->gin_add[0]);
}

#else
#include "graph/layout.h"

#include "ops/blocks.h"

#define PN_REAL_FILE "graph/layout.c"
#include "base/real.h"

pn_shape pn_layout_shape(const pn_shape *s, pn_layout layout) {
    if (layout == PN_PLAIN) return *s;
    const pn_blocking b = pn_blocking_of(s);
    return (pn_shape){.rank = 4, .dtype = s->dtype, .dim = {1, b.count, b.cols, PN_LAYOUT_LANES}};
}

int64_t pn_layout_index(const pn_shape *s, pn_layout layout, int64_t i) {
    if (layout == PN_PLAIN) return i;
    const pn_blocking b = pn_blocking_of(s);
    const int64_t col = i % b.cols, lane = i / b.cols;
    return (lane / PN_LAYOUT_LANES * b.cols + col) * PN_LAYOUT_LANES + lane % PN_LAYOUT_LANES;
}

const char *pn_layout_name(pn_layout layout) {
    static const char *const names[] = {"plain", "batch-inner"};
    return names[layout];
}

static pn_status infer(pn_infer *q) {
    q->out[0] = q->in[0];
    q->flops = (double)pn_shape_size(&q->in[0]);
    return PN_OK;
}

static const pn_field fields[] = {{"from", PN_ENUM, "plain|batch-inner", NULL}, {"to", PN_ENUM, "plain|batch-inner", NULL}, {0}};

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
