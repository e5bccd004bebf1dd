/* cast: the same numbers in another dtype. y = x, gx = gy (converted back).
 *
 * Shapes: x (*), y (*). Cost: 1 per element. Real to int64 cuts the fraction off; what does not fit, NaN included, becomes the smallest int64, as
 * NumPy and PyTorch do on x86 (in C it would be undefined). An int64 output has no gradient.
 */
#include "ops/op_helpers.h"

static inline int64_t whole(double v) { return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN; }

#define CONVERT(from, to, value)                                                                                                                               \
    static void from##_to_##to(void *py, const void *px, int64_t n, bool add) {                                                                                \
        const from *x = px;                                                                                                                                    \
        to *y = py;                                                                                                                                            \
        if (add)                                                                                                                                               \
            for (int64_t i = 0; i < n; i++) y[i] += (to)(value);                                                                                               \
        else                                                                                                                                                   \
            for (int64_t i = 0; i < n; i++) y[i] = (to)(value);                                                                                                \
    }
CONVERT(float, float, x[i])
CONVERT(float, double, x[i])
CONVERT(float, int64_t, whole(x[i]))
CONVERT(double, float, x[i])
CONVERT(double, double, x[i])
CONVERT(double, int64_t, whole(x[i]))
CONVERT(int64_t, float, x[i])
CONVERT(int64_t, double, x[i])
CONVERT(int64_t, int64_t, x[i])

typedef void (*convert_fn)(void *y, const void *x, int64_t n, bool add);
static const convert_fn converters[3][3] = {{float_to_float, float_to_double, float_to_int64_t},
                                            {double_to_float, double_to_double, double_to_int64_t},
                                            {int64_t_to_float, int64_t_to_double, int64_t_to_int64_t}}; /* [from][to], by pn_dtype */

static void convert(pn_member *m, const pn_view *to, const pn_view *from, bool add) {
    const convert_fn f = converters[from->shape.dtype][to->shape.dtype];
    const int64_t to_size = (int64_t)pn_dtype_bytes(to->shape.dtype), from_size = (int64_t)pn_dtype_bytes(from->shape.dtype);
    for (pn_span s = pn_span_open(m, pn_shape_size(&from->shape)); pn_span_next(&s, m);) {
        f((char *)to->data + s.lo * to_size, (const char *)from->data + s.lo * from_size, s.hi - s.lo, add);
    }
}

static void forward(const pn_call *c, pn_member *m) { convert(m, &c->out[0], &c->in[0], false); }
static void backward(const pn_call *c, pn_member *m) {
    if (c->gin[0].data) convert(m, &c->gin[0], &c->gout[0], c->gin_add[0]);
}

static pn_status infer(pn_infer *q) {
    pn_infer_like(q, 0);
    q->out[0].dtype = (int32_t)q->attrs[0].i;
    return PN_OK;
}

static const pn_field fields[] = {{"dtype", PN_ENUM, "float32|float64|int64", NULL}, {0}}; /* in the order of pn_dtype */

const pn_op pn_op_cast = {
    .name = "cast",
    .formula = "y = x in another dtype",
    .derivative = "gx = gy",
    .inputs = "x:n",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward, forward},
    .bwd = {backward, backward},
    .file = "ops/cast.c",
};
