/* Elementwise functions of one tensor: y = f(x), gx = gy f'(x). Shapes: all (*), kept.
 *
 * This is the file to read first if you want to add an op. An op is one C file (often several relatives share one) and one line in ops.def. The file has
 * a typed part, compiled once for float and once for double, and an untyped part behind it with the shape rule and the pn_op that ties all together.
 * The functions f themselves are one line each in kernels/activation.def: this file turns every line of it into an op, so that a new activation needs
 * no code here, only a line there.
 */
#ifdef PN_REAL_PASS

/* Every member of the team runs this same function and takes its span of the elements; spans depend on n alone, so all team sizes give the same bits. */
static inline void R_(forward)(const pn_call *c, pn_member *m, int act, int n_params) {
    const double p[2] = {parameter(c->attrs, n_params, 0), parameter(c->attrs, n_params, 1)};
    const real *x = c->in[0].data;
    real *y = c->out[0].data;
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->in[0].shape)); pn_span_next(&s, m);) {
        R_(pn_call_kernels)(c)->act_forward[act](y + s.lo, x + s.lo, s.hi - s.lo, p);
    }
}

/* Reads x or y only where the derivative needs them (needs_in, needs_out below): the others may be gone, so their pointers stay NULL. */
static inline void R_(backward)(const pn_call *c, pn_member *m, int act, int n_params, bool needs_x, bool needs_y) {
    const double p[2] = {parameter(c->attrs, n_params, 0), parameter(c->attrs, n_params, 1)};
    const real *x = needs_x ? c->in[0].data : NULL, *y = needs_y ? c->out[0].data : NULL, *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    if (!gx) return; /* nobody wants this gradient */
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->gout[0].shape)); pn_span_next(&s, m);) {
        const real *x_part = needs_x ? x + s.lo : NULL, *y_part = needs_y ? y + s.lo : NULL;
        R_(pn_call_kernels)(c)->act_backward[act](gx + s.lo, x_part, y_part, gy + s.lo, s.hi - s.lo, p, c->gin_add[0]);
    }
}

#define P0 0 /* the number of parameters */
#define P1(...) 1
#define P2(...) 2
#define ACTIVATION(name, parameters, needs, ...)                                                                                                               \
    static void R_(name##_forward)(const pn_call *c, pn_member *m) { R_(forward)(c, m, PN_ACT_##name, parameters); }                                           \
    static void R_(name##_backward)(const pn_call *c, pn_member *m) { R_(backward)(c, m, PN_ACT_##name, parameters, READS_X_##needs, READS_Y_##needs); }
#include "kernels/activation.def"
#undef ACTIVATION
#undef P0
#undef P1
#undef P2

#else
#include "ops/op_helpers.h"

/* What `needs` of a line in activation.def means. */
enum { READS_X_NONE = 0, READS_X_X = 1, READS_X_Y = 0, READS_X_XY = 1, READS_Y_NONE = 0, READS_Y_X = 0, READS_Y_Y = 1, READS_Y_XY = 1 };

/* Parameter i of the function, 0 beyond the last. The second one takes the value of the first when it is left at "none", which is NaN: the derivative of
 * leaky_relu at zero is its slope unless said otherwise. */
static inline double parameter(const pn_value *attrs, int n_params, int i) {
    if (i >= n_params) return 0;
    return i == 1 && isnan(attrs[1].f) ? attrs[0].f : attrs[i].f;
}

#define PN_REAL_FILE "ops/activations.c"
#include "base/real.h"

/* Names and defaults of the parameters: they become arguments in Python. */
#define P0 {0}
#define P1(name, fallback) {#name, PN_FLOAT, NULL, fallback}, {0}
#define P2(name, fallback, name2, fallback2) {#name, PN_FLOAT, NULL, fallback}, {#name2, PN_FLOAT, NULL, fallback2}, {0}
#define ACTIVATION(name, parameters, ...) static const pn_field name##_fields[] = {parameters};
#include "kernels/activation.def"
#undef ACTIVATION
#undef P0
#undef P1
#undef P2

/* The shape rule: the output looks like the input. Also the place to refuse attributes that make no sense. */
static pn_status infer(pn_infer *q, int act) {
    const pn_act_info *info = &pn_acts[act];
    const double p[2] = {parameter(q->attrs, info->n_params, 0), parameter(q->attrs, info->n_params, 1)};
    if (!info->valid(p)) return pn_fail(q->error, PN_E_VALUE, "%s needs %s", info->name, info->condition);
    return pn_infer_like(q, 0);
}
#define ACTIVATION(name, ...)                                                                                                                                  \
    static pn_status name##_infer(pn_infer *q) { return infer(q, PN_ACT_##name); }
#include "kernels/activation.def"
#undef ACTIVATION

/* The op: name, formula, what goes in, which functions compute it, and what backward reads. */
#define ACTIVATION(op_name, parameters, needs, forward, derivative_code, formula_text, derivative_text, ...)                                                   \
    const pn_op pn_op_##op_name = {                                                                                                                            \
        .name = #op_name,                                                                                                                                      \
        .formula = formula_text,                                                                                                                               \
        .derivative = derivative_text,                                                                                                                         \
        .inputs = "x:r",                                                                                                                                       \
        .n_out = 1,                                                                                                                                            \
        .fields = op_name##_fields,                                                                                                                            \
        .infer = op_name##_infer,                                                                                                                              \
        .fwd = {op_name##_forward_f, op_name##_forward_d},                                                                                                     \
        .bwd = {op_name##_backward_f, op_name##_backward_d},                                                                                                   \
        .needs_in = READS_X_##needs,                                                                                                                           \
        .needs_out = READS_Y_##needs,                                                                                                                          \
        .flags = PN_IN_PLACE | PN_ANY_LAYOUT,                                                                                                                  \
        .file = "ops/activations.c",                                                                                                                           \
    };
#include "kernels/activation.def"
#undef ACTIVATION
#endif
