/* Elementwise functions of one tensor: y = f(x), gx = gy f'(x). Shapes: all (*), kept.
 *
 * This is the file to read first if you want to add an op. An op is one C file (often several relatives share one) and one line in ops.def. The file has
 * a typed part, compiled once for float and once for double, and an untyped part below #else with the shape rule and the pn_op that ties all together.
 * The functions f themselves are one line each in kernels/activation.def: this file turns every line of it into an op, so that a new activation needs
 * no code here, only a line there (and one below, if it has parameters that need a name).
 */
#ifdef PN_REAL_PASS

/* Every member of the team runs this same function and takes its span of the elements; spans depend on n alone, so all team sizes give the same bits. */
static inline void R_(forward)(const pn_call *c, pn_member *m, int act, int n_params) {
    const double p[2] = {parameter(c, n_params, 0), parameter(c, n_params, 1)};
    const real *x = c->in[0].data;
    real *y = c->out[0].data;
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->in[0].shape)); pn_span_next(&s, m);) {
        R_(pn_call_kernels)(c)->act_forward[act](y + s.lo, x + s.lo, s.hi - s.lo, p);
    }
}

/* Reads x or y only where the derivative needs them (needs_in, needs_out below): the others may be gone, so their pointers stay NULL. */
static inline void R_(backward)(const pn_call *c, pn_member *m, int act, int n_params, bool needs_x, bool needs_y) {
    const double p[2] = {parameter(c, n_params, 0), parameter(c, n_params, 1)};
    const real *x = needs_x ? c->in[0].data : NULL, *y = needs_y ? c->out[0].data : NULL, *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    if (!gx) return; /* nobody wants this gradient */
    for (pn_span s = pn_span_open(m, pn_shape_size(&c->gout[0].shape)); pn_span_next(&s, m);) {
        const real *x_part = needs_x ? x + s.lo : NULL, *y_part = needs_y ? y + s.lo : NULL;
        R_(pn_call_kernels)(c)->act_backward[act](gx + s.lo, x_part, y_part, gy + s.lo, s.hi - s.lo, p, c->gin_add[0]);
    }
}

#define ACTIVATION(name, n_params, needs, ...)                                                                                                                 \
    static void R_(name##_forward)(const pn_call *c, pn_member *m) { R_(forward)(c, m, PN_ACT_##name, n_params); }                                             \
    static void R_(name##_backward)(const pn_call *c, pn_member *m) { R_(backward)(c, m, PN_ACT_##name, n_params, READS_X_##needs, READS_Y_##needs); }
#include "kernels/activation.def"
#undef ACTIVATION

#else
#include "ops/op_helpers.h"

/* What `needs` of a line in activation.def means. */
enum { READS_X_NONE = 0, READS_X_X = 1, READS_X_Y = 0, READS_X_XY = 1, READS_Y_NONE = 0, READS_Y_X = 0, READS_Y_Y = 1, READS_Y_XY = 1 };

/* Parameter i of the function, 0 beyond the last. One left at "none" takes the value of the one before: the slope of leaky_relu at zero is its slope
 * below zero unless said otherwise. */
static inline double parameter(const pn_call *c, int n_params, int i) {
    if (i >= n_params) return 0;
    return i == 1 && isnan(c->attrs[1].f) ? c->attrs[0].f : c->attrs[i].f;
}

#define PN_REAL_FILE "ops/activations.c"
#include "base/real.h"

/* Names and defaults of the parameters. C lets a constant be announced first and filled later: those not filled stay empty, which says "no fields". */
#define ACTIVATION(name, ...) static const pn_field name##_fields[3];
#include "kernels/activation.def"
#undef ACTIVATION
static const pn_field step_fields[3] = {{"at_zero", PN_FLOAT, NULL, "0"}};
static const pn_field relu_fields[3] = {{"grad_at_zero", PN_FLOAT, NULL, "0"}};
static const pn_field leaky_relu_fields[3] = {{"slope", PN_FLOAT, NULL, "0.01"}, {"grad_at_zero", PN_FLOAT, NULL, "none"}};
static const pn_field elu_fields[3] = {{"alpha", PN_FLOAT, NULL, "1"}, {"grad_at_zero", PN_FLOAT, NULL, "none"}};
static const pn_field hardtanh_fields[3] = {{"min_val", PN_FLOAT, NULL, "-1"}, {"max_val", PN_FLOAT, NULL, "1"}};

/* The shape rule: the output looks like the input. */
static pn_status infer(pn_infer *q) { return pn_infer_like(q, 0); }

/* The op: name, formula, what goes in, which functions compute it, and what backward reads. */
#define ACTIVATION(op_name, n_params, needs, forward, derivative_code, formula_text, derivative_text, ...)                                                     \
    const pn_op pn_op_##op_name = {                                                                                                                            \
        .name = #op_name,                                                                                                                                      \
        .formula = formula_text,                                                                                                                               \
        .derivative = derivative_text,                                                                                                                         \
        .inputs = "x:r",                                                                                                                                       \
        .n_out = 1,                                                                                                                                            \
        .fields = op_name##_fields,                                                                                                                            \
        .infer = infer,                                                                                                                                        \
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
