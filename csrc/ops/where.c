/* where: y = cond ? a : b, all three broadcast against each other.
 *
 * ga = cond ? gy : 0, gb = cond ? 0 : gy, summed where an operand was repeated. Shapes: cond (*) int64, a (*), b (*) of one dtype, y (*). Cost: 1 per
 * element. A gradient that is not selected is a plain 0, even where gy is NaN: a choice, not a product.
 */
#ifdef PN_REAL_PASS

/* g[n] (= or +=) gy where the condition is `wanted`, else 0; s is the condition's step, 0 or 1 */
static void R_(select)(real *g, const real *gy, const int64_t *cond, int64_t s, bool wanted, int64_t n, bool add) {
    if (add)
        for (int64_t i = 0; i < n; i++) g[i] += (cond[i * s] != 0) == wanted ? gy[i] : 0;
    else
        for (int64_t i = 0; i < n; i++) g[i] = (cond[i * s] != 0) == wanted ? gy[i] : 0;
}

/* g[] at the output's shape */
static void R_(gradient_at)(const pn_call *c, pn_member *m, int i, real *g, bool add) {
    const int64_t *cond = c->in[0].data;
    const real *gy = c->gout[0].data;
    pn_bcast bc;
    pn_bcast_init(&bc, &c->out[0].shape, 1, c->in);
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->out[0].shape)); pn_span_next(&s, m);) {
        for (pn_bcast_walk w = pn_bcast_open(&bc, s.lo, s.hi); pn_bcast_next(&w);) {
            R_(select)(g + w.at, gy + w.at, cond + w.in[0], bc.step[0][bc.rank - 1], i == 1, w.n, add);
        }
    }
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    const pn_shape *out = &c->out[0].shape;
    for (int i = 1; i < 3; i++) {
        if (!c->gin[i].data) continue;
        if (pn_shape_size(&c->in[i].shape) == pn_shape_size(out)) {
            R_(gradient_at)(c, m, i, c->gin[i].data, c->gin_add[i]);
            continue;
        }
        real *full = (real *)((char *)c->scratch + pn_fold_sum_bytes(out));
        pn_fold f;
        pn_fold_init(&f, out, pn_fold_repeated(out, &c->in[i].shape));
        R_(gradient_at)(c, m, i, full, false);
        pn_member_barrier(m);
        R_(pn_fold_sum)(c, m, &f, c->gin[i].data, full, 1, c->gin_add[i], c->scratch);
        pn_member_barrier(m); /* the next operand uses the same scratch */
    }
}

#else
#include "ops/broadcast.h"
#include "ops/fold.h"

#define PN_REAL_FILE "ops/where.c"
#include "base/real.h"

#define CHOOSE(bits)                                                                                                                                           \
    typedef uint##bits##_t __attribute__((may_alias)) word##bits;                                                                                              \
    static void choose##bits(void *py, const int64_t *cond, int64_t sc, const void *pa, int64_t sa, const void *pb, int64_t sb, int64_t n) {                   \
        const word##bits *a = pa, *b = pb;                                                                                                                     \
        word##bits *y = py;                                                                                                                                    \
        for (int64_t i = 0; i < n; i++) y[i] = cond[i * sc] ? a[i * sa] : b[i * sb];                                                                           \
    }
CHOOSE(32)
CHOOSE(64)

static void forward(const pn_call *c, pn_member *m) {
    const int64_t size = (int64_t)pn_dtype_bytes(c->out[0].shape.dtype);
    const int64_t *cond = c->in[0].data;
    const char *a = c->in[1].data, *b = c->in[2].data;
    char *y = c->out[0].data;
    pn_bcast bc;
    pn_bcast_init(&bc, &c->out[0].shape, 3, c->in);
    const int last = bc.rank - 1;
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->out[0].shape)); pn_span_next(&s, m);) {
        for (pn_bcast_walk w = pn_bcast_open(&bc, s.lo, s.hi); pn_bcast_next(&w);) {
            (size == 4 ? choose32 : choose64)(y + w.at * size, cond + w.in[0], bc.step[0][last], a + w.in[1] * size, bc.step[1][last], b + w.in[2] * size,
                                              bc.step[2][last], w.n);
        }
    }
}

static pn_status infer(pn_infer *q) {
    static const char *const names[] = {"cond", "a", "b"};
    q->out[0].dtype = q->in[1].dtype;
    pn_status status = pn_bcast_infer(q, 3, names, &q->out[0]);
    if (status) return status;
    const int64_t n = pn_shape_size(&q->out[0]);
    q->flops = (double)n;
    if (pn_shape_size(&q->in[1]) != n || pn_shape_size(&q->in[2]) != n) q->scratch = pn_fold_sum_bytes(&q->out[0]) + (size_t)n * pn_dtype_bytes(q->in[1].dtype);
    return PN_OK;
}

const pn_op pn_op_where = {
    .name = "where",
    .formula = "y = a where cond, else b",
    .derivative = "ga = gy where cond, gb = gy elsewhere",
    .inputs = "cond:i a:n b:n",
    .n_out = 1,
    .infer = infer,
    .fwd = {forward, forward},
    .bwd = {backward_f, backward_d},
    .needs_in = 1,
    .file = "ops/where.c",
};
#endif
