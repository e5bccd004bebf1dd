/* dropout2d: in training y = x * u / (1 - p) with one u for each sample and channel, 1 where its random number is >= p, else 0; in evaluation y = x.
 *
 * Shapes: x (N, C, ...), y the same: whole feature maps go, whose neighbouring pixels tell the same. The mask is a pure function of (seed, step, node,
 * number of the channel) and is drawn again in backward. Cost: 1 per element. Sources: Tompson et al. 2015; PyTorch's p is the probability to drop.
 */
#ifdef PN_REAL_PASS

/* y (= or +=) x times the mask of its channel: forward with x, backward with gy. */
static void R_(dropout2d_apply)(const pn_call *c, pn_member *m, real *y, const real *x, bool add) {
    const pn_shape *s = &c->in[0].shape;
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const double p = c->attrs[0].f, keep = p < 1 ? 1 / (1 - p) : 0;
    const int64_t channels = s->dim[0] * s->dim[1], area = pn_shape_count(s, 2, s->rank), block = area >= PN_BLOCK ? 1 : PN_BLOCK / (area > 0 ? area : 1);
    const bool identity = !c->training || p == 0;
    real ones[MASK], mask[MASK];
    int64_t lo, hi, done = 0;
    pn_member_share(m, channels, block, &lo, &hi);
    for (int i = 0; i < MASK; i++) ones[i] = 1, mask[i] = 1;
    for (int64_t first = lo; first < hi; first += MASK) {
        const int64_t count = hi - first < MASK ? hi - first : MASK;
        if (!identity) k->dropout(mask, ones, count, c->random->key, pn_call_counter(c), (uint64_t)first, p, keep, false);
        for (int64_t i = 0; i < count; i++) {
            const int64_t at = (first + i) * area;
            for (int64_t j = 0; j < area; j += PN_PIECE) {
                const int64_t n = area - j < PN_PIECE ? area - j : PN_PIECE;
                k->scale(y + at + j, x + at + j, mask[i], n, add);
                done += n;
                if (done < PN_PIECE) continue;
                if (pn_member_stopped(m)) return;
                done = 0;
            }
        }
    }
}

static void R_(dropout2d_fwd)(const pn_call *c, pn_member *m) { R_(dropout2d_apply)(c, m, c->out[0].data, c->in[0].data, false); }
static void R_(dropout2d_bwd)(const pn_call *c, pn_member *m) {
    if (c->gin[0].data) R_(dropout2d_apply)(c, m, c->gin[0].data, c->gout[0].data, c->gin_add[0]);
}

#else
#include "ops/op_helpers.h"

enum { MASK = 64 }; /* channels whose numbers are drawn at once */
#define PN_REAL_FILE "ops/dropout2d.c"
#include "base/real.h"

static pn_status dropout2d_infer(pn_infer *q) {
    if (!(q->attrs[0].f >= 0 && q->attrs[0].f <= 1)) return pn_fail(q->error, PN_E_VALUE, "p is %g, expected a probability from 0 to 1", q->attrs[0].f);
    if (q->in[0].rank < 2) return pn_fail_shape(q, "x", 0, "(N, C, ...)");
    return pn_infer_like(q, 0);
}

static const pn_field dropout2d_fields[] = {{"p", PN_FLOAT, NULL, "0.5"}, {0}};

const pn_op pn_op_dropout2d = {.name = "dropout2d",
                               .formula = "y = x u / (1 - p), u = [uniform >= p] for each sample and channel; in evaluation y = x",
                               .derivative = "gx = gy u / (1 - p)",
                               .inputs = "x:r",
                               .n_out = 1,
                               .fields = dropout2d_fields,
                               .infer = dropout2d_infer,
                               .fwd = {dropout2d_fwd_f, dropout2d_fwd_d},
                               .bwd = {dropout2d_bwd_f, dropout2d_bwd_d},
                               .flags = PN_RANDOM | PN_IN_PLACE | PN_TRAIN_ONLY,
                               .file = "ops/dropout2d.c"};
#endif
