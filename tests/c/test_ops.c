/* Every op but losses, softmax, dropout and metrics: its values and gradients at many shapes (op_driver.h), and what only this op promises. */
#include "op_driver.h"

#include "base/cpu.h"
#include "base/poll.h"
#include "ops/linear.h"

/* ---- elementwise ---- */

/* Functions that are defined for positive numbers only. */
static bool wants_positive(const char *name) { return !strcmp(name, "log") || !strcmp(name, "sqrt") || !strcmp(name, "reciprocal"); }

TEST(ops_activations) {
    for (int i = 0; i < PN_ACT_COUNT; i++) {
        const bool positive = wants_positive(pn_acts[i].name);
        const char *const wide[] = {"()", "1", "7", "3,5", "0,3", "67", "2,9,1,3", "4097", "9001"};
        const char *const half[] = {"+()", "+1", "+7", "+3,5", "+0,3", "+67", "+2,9,1,3", "+4097", "+9001"};
        check_all(pn_acts[i].name, "", 9, positive ? half : wide);
    }
    check_all("leaky_relu", "slope=0.3", LIST("5", "4,4"));
    check_all("leaky_relu", "slope=0.3 grad_at_zero=1", LIST("5", "4,4"));
    check_all("elu", "alpha=2.5", LIST("5", "4,4"));
    check_all("hardtanh", "min_val=-0.5 max_val=0.7", LIST("5", "4,4"));
    check_all("relu", "grad_at_zero=1", LIST("5", "4,4"));
    check_all("clip", "min=-0.5 max=0.75", LIST("()", "1", "9", "0,2", "5,7", "9001"));
    check_all("clip", "max=0.25", LIST("9"));
}

TEST(ops_activation_fields) { /* the op has the parameters that the kernel knows */
    for (int i = 0; i < PN_ACT_COUNT; i++) {
        const pn_op *op = pn_op_find(pn_acts[i].name);
        int n = 0;
        while (op->fields && op->fields[n].name) n++;
        CHECK(n == pn_acts[i].n_params, "%s", op->name);
        CHECK((op->needs_in != 0) == pn_acts[i].needs_x && (op->needs_out != 0) == pn_acts[i].needs_y, "%s", op->name);
    }
}

TEST(ops_arithmetic) {
    static const char *const pairs[] = {"();()",    "1;1",        "7;7",       "3,5;3,5",       "();4",    "4;()",     "3,4;4",        "4;3,4",
                                        "3,1;4",    "3,1;1,4",    "2,1,4;3,1", "2,3,1,5;3,1,1", "0,3;3",   "0,3;1",    "3,0;3,1",      "();0",
                                        "70,70;70", "70,70;70,1", "9001;9001", "9001;()",       "();9001", "1,9001;1", "2,3,2,3;3,1,3"};
    static const char *const names[] = {"add", "sub", "mul", "div", "maximum", "minimum"};
    for (int i = 0; i < 6; i++) check_all(names[i], "", sizeof pairs / sizeof *pairs, pairs);
    for (int i = 0; i < 2; i++)
        check_all(i ? "remainder" : "floor_divide", "", LIST("();+()", "7;+7", "3,4;+4", "+3,1;+1,4", "0,3;+3", "70,70;+70", "9001;+()"));
    check_all("pow", "", LIST("+();()", "+7;7", "+3,4;4", "+4;3,4", "+3,1;1,4", "+0,3;3", "+70,70;70", "+9001;()", "+();901"));
}

TEST(ops_comparisons) {
    static const char *const names[] = {"eq", "ne", "lt", "le", "gt", "ge"};
    for (int i = 0; i < 6; i++) {
        check_all(names[i], "", LIST("();()", "s7;s7", "s3,4;s4", "s3,1;s1,4", "0,3;3", "s70,70;s70", "s9001;s()", "i<3 50;i<3 50", "i<3 5,1;i<3 7"));
    }
}

TEST(ops_where) {
    check_all("where", "", LIST("i<2 ();();()", "i<2 7;7;7", "i<2 3,4;4;3,1", "i<2 3,1;1,4;()", "i<2 5;2,5;()", "i<2 0,3;3;1", "i<2 70,70;70;70,70"));
    check_op("where", "", "i<2 6;i<9 6;i<9 6");
}

TEST(ops_prelu) { check_all("prelu", "", LIST("();1", "7;1", "3,4;1", "3,4;4", "2,3,5;3", "2,3,4,5;3", "0,3;3", "3,0;1", "40,30,11;30", "9001;1")); }

/* ---- normalisation ---- */

TEST(ops_layer_norm) {
    check_all("layer_norm", "normalized_shape=5", LIST("5;5;5", "3,5;5;5", "3,5;5", "2,3,5", "600,5;5;5", "0,5;5;5"));
    check_all("layer_norm", "normalized_shape=3,70 eps=0.1", LIST("3,70;3,70;3,70", "2,3,70;3,70"));
    check_all("layer_norm", "normalized_shape=4097", LIST("2,4097;4097;4097", "2,4097"));
    check_all("layer_norm", "normalized_shape=66,70", LIST("1,66,70;66,70;66,70", "3,66,70")); /* few and long rows are cut for the team */
    check_all("layer_norm", "normalized_shape=1", LIST("4,1;1;1"));
    check_all("layer_norm", "normalized_shape=0", LIST("2,0;0;0"));
}

TEST(ops_group_norm) {
    check_all("group_norm", "num_groups=2", LIST("3,6;6;6", "3,6", "2,4,3;4", "2,4,3,5;4;4", "0,4,3;4;4", "2,4,0;4;4", "1,4,2100;4;4", "1,2,4097;2"));
    check_all("group_norm", "num_groups=2", LIST("1,4,2100;4;4", "2,2,5000;2;2", "1,70,130;70;70"));
    check_all("group_norm", "num_groups=4 eps=0.1", LIST("2,4,3,3;4;4", "40,4,5;4;4"));
    check_all("group_norm", "num_groups=1", LIST("2,130,40;130;130"));
}

/* ---- reductions ---- */

TEST(ops_sum_mean) {
    static const char *const names[] = {"sum", "mean", "logsumexp"};
    for (int i = 0; i < 3; i++) {
        check_all(names[i], "", LIST("()", "1", "7", "3,5", "4096", "4097", "70,130", "2,1,3"));
        check_all(names[i], "dim=0", LIST("7", "3,5", "1,4", "300,70", "2,3,4", "1,1,3", "5,0"));
        check_all(names[i], "dim=-1", LIST("3,5", "4,1", "70,300", "2,3,4", "9,4100", "0,5"));
        check_all(names[i], "dim=1 keepdim=True", LIST("3,5", "2,3,4", "2,30,70", "3,5,1,2"));
        check_all(names[i], "dim=0,2", LIST("2,3,4", "5,1,4,2", "7,30,20,3"));
        check_all(names[i], "dim=1,-1 keepdim=True", LIST("2,3,4,5", "2,3,4", "3,70,2,70"));
    }
    check_all("sum", "dim=0", LIST("0,5", "0"));
    check_all("sum", "", LIST("0", "i<5 3,4", "i<5 ()", "i<50 5000"));
    check_all("sum", "dim=1", LIST("i<5 3,4", "i<5 3,4,70"));
}

TEST(ops_resizing) {
    const char *const modes[] = {"constant", "reflect", "replicate", "circular"};
    char attrs[64];
    for (int i = 0; i < 4; i++) {
        snprintf(attrs, sizeof attrs, "pad=2,1,1,2 mode=%s value=0.5", modes[i]);
        check_all("pad", attrs, LIST("4,5", "2,3,4,5", "70,3,9"));
        snprintf(attrs, sizeof attrs, "pad=-1,3 mode=%s", modes[i]);
        check_all("pad", attrs, LIST("17", "5000", "0,3,4"));
    }
    check_all("pad", "pad=1,0,0,2,3,1", LIST("2,3,4", "0,2,3,4", "2,1,70,70"));
    check_all("interpolate", "size=3,40", LIST("2,3,7,9", "1,2,70,70", "0,3,2,2"));
    check_all("interpolate", "size=11 mode=nearest-exact scale_h=1.7", LIST("2,3,7,9"));
    check_all("interpolate", "size=11,4 mode=bilinear", LIST("2,3,7,9", "1,2,70,70", "3,1,1,1"));
    check_all("interpolate", "size=140,130 mode=bilinear align_corners=True", LIST("2,3,7,9", "1,2,70,70"));
}

TEST(ops_pooling) {
    const char *const names[] = {"max_pool2d", "avg_pool2d"};
    for (int i = 0; i < 2; i++) {
        check_all(names[i], "kernel_size=2", LIST("1,1,2,2", "2,3,4,6", "3,5,7", "0,3,4,4", "3,33,70", "2,2,4,38"));
        check_all(names[i], "kernel_size=3 stride=2 padding=1 ceil_mode=True", LIST("2,3,7,9", "1,1,1", "2,40,38"));
        check_all(names[i], "kernel_size=2,3 stride=1,4 padding=1,0", LIST("2,3,7,9", "0,3,4,4"));
    }
    check_all("max_pool2d", "kernel_size=3 stride=1 padding=1 dilation=2,3", LIST("2,3,7,9"));
    check_all("avg_pool2d", "kernel_size=3 padding=1 count_include_pad=False", LIST("2,3,7,9"));
    check_all("avg_pool2d", "kernel_size=2 divisor_override=-3", LIST("2,3,7,9"));
    check_all("adaptive_max_pool2d", "output_size=1", LIST("2,3,7,9", "1,70,70", "0,3,2,2"));
    check_all("adaptive_avg_pool2d", "output_size=1", LIST("2,3,7,9", "1,70,70", "0,3,2,2"));
    check_all("adaptive_max_pool2d", "output_size=3,-1", LIST("2,3,7,9", "3,2,5"));
    check_all("adaptive_avg_pool2d", "output_size=9,4", LIST("2,3,7,9", "3,2,5"));
    check_all("dropout2d", "p=0.4", LIST("3,17,2,3", "130,2", "0,3,2", "2,3,0", "3,1,9001"));
}

TEST(ops_pooling_of_blocked_samples) {
    static const char *const shapes[] = {"16,2,6,8", "5,3,7,9", "37,1,5,6"};
    for (int i = 0; i < 3; i++) {
        const char *const names[] = {"max_pool2d", "avg_pool2d"};
        for (int k = 0; k < 2; k++) {
            check_layout_kept(names[k], "kernel_size=2", shapes[i], PN_BATCH_INNER);
            check_layout_kept(names[k], "kernel_size=3 stride=2 padding=1 ceil_mode=True", shapes[i], PN_BATCH_INNER);
            check_layout_kept(names[k], "kernel_size=2,3 stride=1,4 padding=1,0", shapes[i], PN_BATCH_INNER);
            check_layout_kept(names[k], "kernel_size=1 stride=3", shapes[i], PN_BATCH_INNER);
        }
        check_layout_kept("max_pool2d", "kernel_size=3 stride=1 padding=1 dilation=2,1", shapes[i], PN_BATCH_INNER);
        check_layout_kept("max_pool2d", "kernel_size=2 stride=1 padding=2 dilation=4", shapes[i], PN_BATCH_INNER);
        check_layout_kept("avg_pool2d", "kernel_size=3 stride=2 padding=1 count_include_pad=False", shapes[i], PN_BATCH_INNER);
        check_layout_kept("avg_pool2d", "kernel_size=2 divisor_override=-3", shapes[i], PN_BATCH_INNER);
        check_layout_kept("adaptive_max_pool2d", "output_size=1", shapes[i], PN_BATCH_INNER);
        check_layout_kept("adaptive_avg_pool2d", "output_size=1", shapes[i], PN_BATCH_INNER);
        check_layout_kept("adaptive_max_pool2d", "output_size=3,-1", shapes[i], PN_BATCH_INNER);
        check_layout_kept("adaptive_avg_pool2d", "output_size=9,4", shapes[i], PN_BATCH_INNER);
    }
}

TEST(ops_cumsum) {
    check_all("cumsum", "", LIST("()", "7", "3,5", "2,3,4", "70,300", "i<9 4,4"));
    check_all("cumsum", "dim=0", LIST("7", "130,70", "5,0", "0,5", "9001", "i<9 4,4"));
    check_all("cumsum", "dim=1", LIST("2,3,4", "3,70,20"));
}

TEST(ops_prod) {
    check_all("prod", "", LIST("()", "1", "7", "3,5", "+2,1,3", "0", "i<5 3,4"));
    check_all("prod", "dim=0", LIST("7", "3,5", "1,4", "5,300", "2,3,4", "0,5", "5,0"));
    check_all("prod", "dim=-1 keepdim=True", LIST("3,5", "4,1", "300,5", "i<5 3,4,7", "2,3,4"));
    check_all("prod", "dim=0,2", LIST("2,3,4", "2,30,3"));
}

TEST(ops_max_min) {
    static const char *const names[] = {"max", "min"};
    for (int i = 0; i < 2; i++) {
        check_all(names[i], "", LIST("()", "1", "7", "3,5", "70,130", "i<9 4,4"));
        check_all(names[i], "dim=0", LIST("7", "3,5", "130,70", "2,3,4", "5,0"));
        check_all(names[i], "dim=-1 keepdim=True", LIST("3,5", "70,130", "2,3,4", "0,5"));
        check_all(names[i], "dim=0,2", LIST("2,3,4", "7,30,20,3"));
    }
    check_all("argmax", "", LIST("()", "7", "3,5", "i<4 30"));
    check_all("argmax", "dim=1", LIST("3,5", "2,30,70", "i<4 3,30", "0,5"));
    check_all("argmin", "dim=0 keepdim=True", LIST("3,5", "30,2,70", "i<4 30,3"));
    check_refusal("max", "dim=1", "3,0", PN_E_VALUE, "x has shape (3, 0), but a maximum or minimum needs at least one element");
    check_refusal("sum", "dim=2", "3,4", PN_E_INDEX, "dim is 2, but x has shape (3, 4): allowed are -2 to 1");
    check_refusal("sum", "dim=1,-1", "3,4", PN_E_VALUE, "dim names dimension 1 twice");
}

/* Runs forward on n given numbers of shape (n,), portable level, and gives output 0. */
static void forward_of(const char *name, const char *attrs, int n, const double *x, double *y) {
    op_case c;
    op_result r;
    char shape[32];
    snprintf(shape, sizeof shape, "%d", n);
    CHECK(op_case_open(&c, name, attrs, shape) == PN_OK, "%s", c.error.text);
    c.text = name;
    for (int i = 0; i < n; i++) c.value[0][i] = x[i];
    op_run(&c, PN_F64, pn_kernels_of(PN_ISA_PORTABLE), 1, 0, 0, &r);
    for (int64_t i = 0; i < pn_shape_size(&c.out[0]); i++) y[i] = op_get(r.out[0].data, c.out[0].dtype, i);
    op_close(&c, &r);
    op_case_close(&c);
}

TEST(ops_nan_and_infinity) {
    const double nan_third[4] = {1, 5, NAN, 7}, infinite[3] = {1, INFINITY, 2}, nothing[2] = {-INFINITY, -INFINITY}, ties[4] = {2, 3, 3, 1};
    double y[4];
    forward_of("max", "", 4, nan_third, y);
    CHECK(isnan(y[0]));
    forward_of("min", "", 4, nan_third, y);
    CHECK(isnan(y[0]));
    forward_of("argmax", "", 4, nan_third, y);
    CHECK_CLOSE(y[0], 2, 0);
    forward_of("argmin", "", 4, nan_third, y);
    CHECK_CLOSE(y[0], 2, 0);
    forward_of("argmax", "", 4, ties, y);
    CHECK_CLOSE(y[0], 1, 0);
    forward_of("logsumexp", "", 3, infinite, y);
    CHECK(y[0] == INFINITY);
    forward_of("logsumexp", "", 2, nothing, y);
    CHECK(y[0] == -INFINITY);
    forward_of("relu", "", 4, nan_third, y);
    CHECK(isnan(y[2]) && y[3] == 7);
    forward_of("clip", "min=0 max=2", 4, nan_third, y);
    CHECK(isnan(y[2]) && y[3] == 2);
    forward_of("mean", "", 0, nan_third, y);
    CHECK(isnan(y[0]));
    forward_of("logsumexp", "", 0, nan_third, y);
    CHECK(y[0] == -INFINITY);
}

/* Forward and backward on given numbers, portable level: the gradient of input 0 where gout is 1 everywhere. */
static void gradient_of(const char *name, const char *attrs, const char *inputs, const double *a, const double *b, double *ga) {
    op_case c;
    op_result r;
    CHECK(op_case_open(&c, name, attrs, inputs) == PN_OK, "%s", c.error.text);
    c.text = name;
    const int64_t n = pn_shape_size(&c.in[0]);
    memcpy(c.value[0], a, (size_t)n * sizeof(double));
    if (b) memcpy(c.value[1], b, (size_t)n * sizeof(double));
    for (int64_t i = 0; i < pn_shape_size(&c.out[0]); i++) c.gout[0][i] = 1;
    op_run(&c, PN_F64, pn_kernels_of(PN_ISA_PORTABLE), 1, ~0u, OP_BACKWARD, &r);
    memcpy(ga, r.gin[0].data, (size_t)n * sizeof(double));
    op_close(&c, &r);
    op_case_close(&c);
}

TEST(ops_ties_and_edges) { /* PyTorch's choices where the derivative does not exist */
    const double x[4] = {2, 3, 3, 1}, other[4] = {2, 1, 4, NAN}, zero[4] = {0, 0, 0, 2}, power[4] = {0, 1, 2, 0}, spoilt[4] = {1, NAN, 2, 3};
    double g[4];
    gradient_of("max", "", "4", x, NULL, g);
    CHECK(g[0] == 0 && g[1] == 0.5 && g[2] == 0.5 && g[3] == 0);
    gradient_of("max", "", "4", spoilt, NULL, g);
    CHECK(isnan(g[0]) && isnan(g[1]), "no element equals a maximum that is NaN");
    gradient_of("maximum", "", "4;4", x, other, g);
    CHECK(g[0] == 0.5 && g[1] == 1 && g[2] == 0 && g[3] == 1);
    gradient_of("minimum", "", "4;4", x, other, g);
    CHECK(g[0] == 0.5 && g[1] == 0 && g[2] == 1 && g[3] == 1);
    gradient_of("pow", "", "4;4", zero, power, g);
    CHECK(g[0] == 0 && g[1] == 1 && g[2] == 0 && g[3] == 0);
    gradient_of("prelu", "", "4;1", zero, NULL, g);
    CHECK(g[0] == g[1] && g[0] != 1 && g[3] == 1, "at 0 the slope counts");
    gradient_of("prelu", "grad_at_zero=0.5", "4;1", zero, NULL, g);
    CHECK(g[0] == 0.5 && g[1] == 0.5 && g[3] == 1, "at 0 the convention counts");
}

/* ---- shape and choice ---- */

TEST(ops_shapes) {
    check_all("reshape", "shape=-1", LIST("()", "3,4", "0,3", "i<9 2,3"));
    check_all("reshape", "shape=2,-1,3", LIST("6,3", "9001,6"));
    check_all("expand", "shape=3,4", LIST("3,4", "4", "3,1", "1,4", "()", "i<9 4"));
    check_all("expand", "shape=2,-1,70", LIST("5,1", "2,70,1", "1,70,70"));
    check_all("expand", "shape=9001", LIST("1", "()"));
    check_all("expand", "shape=0,3", LIST("3", "1,1"));
    check_all("transpose", "", LIST("()", "7", "3,5", "1,4", "33,65", "2,3,4", "0,3", "i<9 3,4", "100,3"));
    check_all("transpose", "dims=1,0,2", LIST("2,3,4", "33,35,1", "5,4,70"));
    check_all("transpose", "dims=2,0,1", LIST("2,3,4", "40,3,37"));
    check_all("transpose", "dims=0,-1,1", LIST("2,3,4", "3,65,34", "2,0,4"));
    check_all("transpose", "dims=0,2,1,3", LIST("2,3,4,5", "2,40,33,2", "3,1,4,1"));
    check_all("transpose", "dims=3,1,2,0", LIST("2,3,4,5", "33,2,2,34"));
    check_refusal("reshape", "shape=5,-1", "3,4", PN_E_VALUE, "x has shape (3, 4) (12 elements), which cannot be reshaped to (5, -1)");
    check_refusal("expand", "shape=3,5", "3,4", PN_E_VALUE, "x has shape (3, 4), which cannot be expanded to (3, 5)");
    check_refusal("transpose", "dims=0,0", "3,4", PN_E_VALUE, "dims names dimension 0 twice");
    check_refusal("add", "", "3,4;5", PN_E_VALUE, "a has shape (3, 4) and b has shape (5,): dimension -1 is 4 against 5, expected equal sizes or 1");
}

TEST(ops_concat_stack) {
    check_all("concat", "dim=0", LIST("3", "3;4", "2,3;1,3;0,3", "i<9 3;i<9 2", "3000;3000"));
    check_all("concat", "dim=-1", LIST("2,3;2,4", "70,3;70,1;70,90", "0,3;0,2"));
    check_all("concat", "dim=1", LIST("2,3,4;2,1,4;2,5,4"));
    check_all("stack", "dim=0", LIST("()", "();();()", "3;3", "2,3;2,3;2,3"));
    check_all("stack", "dim=-1", LIST("3;3", "2,3;2,3", "i<9 3;i<9 3", "70,40;70,40;70,40"));
    check_op("stack", "dim=1", "2,3;2,3");
    check_refusal("concat", "dim=1", "2,3;3,3", PN_E_VALUE, "x[1] has shape (3, 3), but x[0] has shape (2, 3): expected equal sizes except in dimension 1");
    check_refusal("stack", "dim=0", "2;3", PN_E_VALUE, "x[1] has shape (3,), but x[0] has shape (2,): expected equal shapes");
}

TEST(ops_slice) {
    check_op("slice", "start= stop= step=", "()");
    check_all("slice", "start=1 stop=6 step=2", LIST("7", "i<9 7"));
    check_all("slice", "start=6 stop=-1 step=-2", LIST("7", "8"));
    check_all("slice", "start=0,1 stop=3,4 step=1,1", LIST("3,5", "4,4"));
    check_all("slice", "start=2,0 stop=0,70 step=-1,1", LIST("3,70"));
    check_all("slice", "start=1,0,3 stop=2,3,0 step=1,2,-1", LIST("2,3,4"));
    check_all("slice", "start=0,3 stop=100,90 step=1,1", LIST("100,100"));
    check_all("slice", "start=0,3 stop=100,3 step=1,1", LIST("100,100"));
    check_refusal("slice", "start=1 stop=8 step=2", "7", PN_E_INDEX, "x has shape (7,), but dimension 0 is sliced from 1 to 7, allowed are 0 to 6");
}

TEST(ops_index) {
    check_all("gather", "dim=0", LIST("5;i<5 3", "5;i<5 9", "4,3;i<4 2,3", "4,3;i<4 7,2", "i<9 5;i<5 4", "5,4;i<5 0,4", "60,70;i<60 90,70"));
    check_all("gather", "dim=-1", LIST("4,3;i<3 4,5", "4,3;i<3 2,1", "2,3,4;i<4 2,2,6", "60,70;i<70 60,5"));
    check_op("gather", "dim=1", "2,3,4;i<3 2,5,3");
    check_all("index_select", "dim=0",
              LIST("5;i<5 3", "5,3;i<5 9", "5,3;i<5 2,4", "5,3;i<5 ()", "i<9 5,2;i<5 4", "5,0;i<5 4", "5,4;i<5 0", "100,70;i<100 300"));
    check_all("index_select", "dim=1", LIST("2,5;i<5 3", "2,5,3;i<5 4", "3,9,17;i<9 2,3"));
    check_refusal("gather", "dim=0", "4,3;i<4 2,4", PN_E_VALUE,
                  "index has shape (2, 4) and x has shape (4, 3): expected the same rank, and no size larger than that of x except in dimension 0");
}

TEST(ops_index_range) {
    int64_t index[3] = {0, 7, 2};
    float x[5] = {0};
    const pn_op *op = pn_op_find("gather");
    pn_value attrs[PN_MAX_ATTR] = {{.i = 0}};
    const pn_view in[2] = {{x, {.rank = 1, .dtype = PN_F32, .dim = {5}}}, {index, {.rank = 1, .dtype = PN_I64, .dim = {3}}}};
    const pn_call call = {.op = op, .attrs = attrs, .n_in = 2, .in = in};
    pn_error e;
    CHECK(op->check(&call, &e) == PN_E_INDEX);
    CHECK(strcmp(e.text, "index has value 7 at position 1, allowed are 0 to 4") == 0, "%s", e.text);
    index[1] = -1;
    CHECK(op->check(&call, &e) == PN_E_INDEX, "negative indices are refused too");
    index[1] = 4;
    CHECK(op->check(&call, &e) == PN_OK);
}

/* ---- products ---- */

TEST(ops_matmul) {
    check_all("matmul", "", LIST("3;3", "3;3,4", "2,3;3", "2,3;3,4", "1,1;1,1", "0,3;3,4", "2,0;0,4", "2,3;3,0", "33,70;70,35", "65,17;17,130"));
    check_all(
        "matmul", "",
        LIST("5,2,3;3,4", "2,3;5,3,4", "5,2,3;5,3,4", "5,1,2,3;4,3,2", "2,1,2,3;1,4,3,2", "3;5,3,4", "5,2,3;3", "0,2,3;3,4", "0,2,3;0,3,4", "1,2,3;0,3,4"));
    check_all("matmul", "transpose_a=True", LIST("3,2;3,4", "3;3,4", "5,3,2;3,4", "5,3,2;5,3,4", "70,33;70,35"));
    check_all("matmul", "transpose_b=True", LIST("2,3;4,3", "2,3;3", "5,2,3;4,3", "2,3;5,4,3", "33,70;35,70"));
    check_all("matmul", "transpose_a=True transpose_b=True", LIST("3,2;4,3", "5,3,2;4,3", "2,1,3,2;3,4,3", "70,33;35,70"));
    check_refusal("matmul", "", "2,3;4,5", PN_E_VALUE, "a has shape (2, 3) and b has shape (4, 5): the inner sizes are 3 and 4, expected equal sizes");
    check_refusal("matmul", "", "2,2,3;5,3,4", PN_E_VALUE,
                  "a has shape (2, 2, 3) and b has shape (5, 3, 4): batch dimensions are 2 and 5, expected equal sizes");
}

TEST(ops_linear) {
    check_all("linear", "", LIST("2,3;4,3;4", "2,3;4,3", "3;4,3;4", "2,5,3;4,3;4", "1,1;1,1;1", "10,2;4,2;4", "0,3;4,3;4", "2,0;4,0;4", "2,3;0,3;0"));
    check_all("linear", "", LIST("32,70;130,70;130", "33,129;65,129", "130,33;11,33;11"));
    check_refusal("linear", "", "32,785;128,784;128", PN_E_VALUE, "x has shape (32, 785), expected (*, 784)");
    check_refusal("linear", "", "32,784;128,784;127", PN_E_VALUE, "bias has shape (127,), expected (128,)");
    for (int act = 0; act < PN_ACT_COUNT; act++) { /* fused: gout is overwritten, which every run of the driver gives afresh */
        char attrs[64];
        if (pn_acts[act].needs_x || wants_positive(pn_acts[act].name)) continue;
        const bool scaled = pn_acts[act].n_params == 2;
        snprintf(attrs, sizeof attrs, "activation=%d p0=%s p1=%s", act, scaled ? "-0.5" : "0", scaled ? "0.75" : "0");
        if (strstr(pn_acts[act].condition, ">= 0")) snprintf(attrs, sizeof attrs, "activation=%d p0=0.5 p1=0.5", act);
        check_all("linear", attrs, LIST("2,3;4,3;4", "10,2;4,2", "33,20;65,20;65"));
    }
}

/* Plain SGD on w through the fused call, against the gradient of the op. */
typedef struct fused {
    op_result *r;
    pn_hyper h;
    char *scratch[TEAMS];
} fused;

static void fused_member(void *context, pn_member *m) {
    fused *f = context;
    void *const state[3] = {NULL, NULL, NULL};
    m->scratch = f->scratch[m->index];
    pn_linear_update(&f->r->call, m, PN_UPDATE_sgd, &f->h, state);
}

static void check_fused_update(const char *shapes, int dtype, const pn_kernels *k, int team) {
    op_case c;
    op_result plain, r;
    char attrs[64];
    snprintf(attrs, sizeof attrs, "activation=%d", PN_ACT_tanh);
    CHECK(op_case_open(&c, "linear", attrs, shapes) == PN_OK, "%s", c.error.text);
    c.text = shapes;
    op_run(&c, dtype, k, 1, ~0u, OP_BACKWARD, &plain);
    op_run(&c, dtype, k, team, 1, OP_BACKWARD, &r); /* the weight's gradient is left out */
    fused f = {.r = &r, .h = {.lr = 0.5, .step = 1, .grad_scale = 1, .first = 1}};
    pn_updates[PN_UPDATE_sgd].prepare(&f.h);
    const size_t bytes = pn_linear_update_scratch(k, &r.vin[0].shape, &r.vin[1].shape);
    op_block blocks[TEAMS];
    for (int i = 0; i < team; i++) blocks[i] = op_block_new(bytes, 0), f.scratch[i] = blocks[i].data;
    pn_team_run(team, NULL, fused_member, &f);
    const int64_t n = pn_shape_size(&c.in[1]);
    for (int64_t i = 0; i < n; i++) {
        const double want = c.value[1][i] - 0.5 * op_get(plain.gin[1].data, dtype, i), got = op_get(r.in[1].data, dtype, i);
        CHECK(fabs(got - want) <= (dtype == PN_F32 ? 1e-5 : 1e-13) * fmax(1, fabs(want)), "%s: weight %lld is %.9g, expected %.9g", shapes, (long long)i, got,
              want);
    }
    for (int i = 0; i < team; i++) op_block_free(&blocks[i], shapes);
    op_close(&c, &plain);
    op_close(&c, &r);
    op_case_close(&c);
}

TEST(ops_linear_fused_update) {
    static const char *const shapes[] = {"5,3;4,3;4", "1,1;1,1", "32,100;50,100;50", "7,1500;29,1500", "3,2049;3,2049", "0,3;4,3", "4,0;3,0"};
    for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
        const pn_kernels *k = pn_kernels_of((pn_isa)isa);
        for (int i = 0; k && i < (int)(sizeof shapes / sizeof *shapes); i++) {
            for (int team = 1; team <= TEAMS; team++) {
                check_fused_update(shapes[i], PN_F32, k, team);
                check_fused_update(shapes[i], PN_F64, k, team);
            }
        }
    }
}

/* ---- cast ---- */

TEST(ops_cast) {
    float x[5] = {1.75f, -1.75f, 3e30f, NAN, -0.5f}, gx[5] = {1, 1, 1, 1, 1};
    double y[5], gy[5] = {1, 2, 3, 4, 5};
    int64_t whole[5];
    const pn_op *op = pn_op_find("cast");
    const pn_shape from = {.rank = 1, .dtype = PN_F32, .dim = {5}};
    pn_shape to = {.rank = 1, .dtype = PN_F64, .dim = {5}}, integer = {.rank = 1, .dtype = PN_I64, .dim = {5}};
    const uint8_t add = 1;
    pn_member alone = {.count = 1};
    const pn_view in = {x, from}, out = {y, to}, gout = {gy, to}, gin = {gx, from}, out_whole = {whole, integer};
    pn_call call = {.op = op, .n_in = 1, .n_out = 1, .in = &in, .out = &out, .gout = &gout, .gin = &gin, .gin_add = &add};
    op->fwd[0](&call, &alone);
    op->bwd[0](&call, &alone);
    CHECK(y[0] == 1.75 && y[1] == -1.75 && y[2] == (double)3e30f && isnan(y[3]));
    CHECK(gx[0] == 2 && gx[4] == 6);
    call.out = &out_whole;
    op->fwd[0](&call, &alone);
    CHECK(whole[0] == 1 && whole[1] == -1 && whole[2] == INT64_MIN && whole[3] == INT64_MIN && whole[4] == 0);
}

/* x is both operands: the same gradient memory, overwritten by the first and added to by the second. */
static void check_twice(const char *name, const char *attrs, const char *shape, int team) {
    op_case c;
    op_result apart, r;
    char inputs[64];
    snprintf(inputs, sizeof inputs, "%s;%s", shape, shape);
    CHECK(op_case_open(&c, name, attrs, inputs) == PN_OK, "%s", c.error.text);
    c.text = name;
    const int64_t n = pn_shape_size(&c.in[0]);
    memcpy(c.value[1], c.value[0], (size_t)n * sizeof(double));
    op_run(&c, PN_F64, pn_kernels_get(), 1, ~0u, OP_BACKWARD, &apart);
    op_run(&c, PN_F64, pn_kernels_get(), 1, ~0u, 0, &r);
    r.vin[1] = r.vin[0];
    r.vgin[1] = r.vgin[0];
    r.add[1] = 1;
    r.backward = true;
    for (int i = 1; i < team; i++) r.member[i] = op_block_new(r.member[0].bytes, 0);
    pn_team_run(team, NULL, op_member, &r);
    for (int64_t i = 0; i < n; i++) {
        CHECK_CLOSE(op_get(r.gin[0].data, PN_F64, i), op_get(apart.gin[0].data, PN_F64, i) + op_get(apart.gin[1].data, PN_F64, i), 1e-12);
    }
    op_close(&c, &apart);
    op_close(&c, &r);
    op_case_close(&c);
}

TEST(ops_same_input_twice) {
    for (int team = 1; team <= TEAMS; team++) {
        check_twice("mul", "", "90,70", team);
        check_twice("div", "", "90,70", team);
        check_twice("matmul", "", "60,60", team);
        check_twice("linear", "", "60,60", team);
        check_twice("concat", "", "90,70", team);
        check_twice("stack", "dim=1", "90,70", team);
        check_twice("prelu", "", "1", team);
        check_twice("layer_norm", "normalized_shape=90,70", "90,70", team);
    }
}

TEST(ops_none_forgotten) { /* runs after the others: every op of these files has gone through the driver */
    static const char *const elsewhere[] = {"softmax.c", "dropout.c", "losses.c", "cross_entropy.c",    "soft_cross_entropy.c",
                                            "metrics.c", "cast.c",    "conv2d.c", "conv_transpose2d.c", "batch_norm.c"};
    for (int i = 0; pn_ops[i]; i++) {
        bool here = true;
        for (size_t k = 0; k < sizeof elsewhere / sizeof *elsewhere; k++) here &= strcmp(pn_ops[i]->file + strlen("ops/"), elsewhere[k]) != 0;
        if (here && strncmp(pn_ops[i]->file, "ops/", 4) == 0) check_seen(pn_ops[i]);
    }
}
