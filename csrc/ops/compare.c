/* Comparisons of two tensors that are broadcast against each other: eq, ne, lt, le, gt, ge. y is int64, 1 or 0; no gradient.
 *
 * Shapes: a (*), b (*) broadcastable and of one dtype, y (*). Cost: 1 per element. With NaN every comparison is false but ne, as IEEE 754 has it.
 */
#include "ops/broadcast.h"

/* y[n] = a op b, each operand advancing by 0 or 1 */
typedef void (*compare_fn)(int64_t *y, const void *a, int sa, const void *b, int sb, int64_t n);

static void forward(const pn_call *c, pn_member *m, const compare_fn by_dtype[3]) {
    const compare_fn compare = by_dtype[c->in[0].shape.dtype];
    const int64_t size = (int64_t)pn_dtype_bytes(c->in[0].shape.dtype), n = pn_shape_size(&c->out[0].shape);
    const char *a = c->in[0].data, *b = c->in[1].data;
    int64_t *y = c->out[0].data;
    pn_bcast bc;
    pn_bcast_init(&bc, &c->out[0].shape, 2, c->in);
    const int sa = (int)bc.step[0][bc.rank - 1], sb = (int)bc.step[1][bc.rank - 1];
    for (pn_span s = pn_span_open(m, n); pn_span_next(&s, m);) {
        for (pn_bcast_walk w = pn_bcast_open(&bc, s.lo, s.hi); pn_bcast_next(&w);) compare(y + w.at, a + w.in[0] * size, sa, b + w.in[1] * size, sb, w.n);
    }
}

static pn_status infer(pn_infer *q) {
    static const char *const names[] = {"a", "b"};
    pn_status status = pn_bcast_infer(q, 2, names, &q->out[0]);
    q->out[0].dtype = PN_I64;
    if (!status) q->flops = (double)pn_shape_size(&q->out[0]);
    return status;
}

#define COMPARE_LOOP(name, type, sign)                                                                                                                         \
    static void name##_##type(int64_t *y, const void *pa, int sa, const void *pb, int sb, int64_t n) {                                                         \
        const type *a = pa, *b = pb;                                                                                                                           \
        for (int64_t i = 0; i < n; i++) y[i] = a[i * sa] sign b[i * sb];                                                                                       \
    }
#define COMPARE(op_name, sign, formula_text)                                                                                                                   \
    COMPARE_LOOP(op_name, float, sign)                                                                                                                         \
    COMPARE_LOOP(op_name, double, sign)                                                                                                                        \
    COMPARE_LOOP(op_name, int64_t, sign)                                                                                                                       \
    static void op_name##_forward(const pn_call *c, pn_member *m) {                                                                                            \
        static const compare_fn by_dtype[3] = {[PN_F32] = op_name##_float, [PN_F64] = op_name##_double, [PN_I64] = op_name##_int64_t};                         \
        forward(c, m, by_dtype);                                                                                                                               \
    }                                                                                                                                                          \
    const pn_op pn_op_##op_name = {                                                                                                                            \
        .name = #op_name,                                                                                                                                      \
        .formula = formula_text,                                                                                                                               \
        .inputs = "a:n b:n",                                                                                                                                   \
        .n_out = 1,                                                                                                                                            \
        .infer = infer,                                                                                                                                        \
        .fwd = {op_name##_forward, op_name##_forward},                                                                                                         \
        .flags = PN_NO_GRAD,                                                                                                                                   \
        .file = "ops/compare.c",                                                                                                                               \
    };
COMPARE(eq, ==, "y = [a = b]")
COMPARE(ne, !=, "y = [a != b]")
COMPARE(lt, <, "y = [a < b]")
COMPARE(le, <=, "y = [a <= b]")
COMPARE(gt, >, "y = [a > b]")
COMPARE(ge, >=, "y = [a >= b]")
