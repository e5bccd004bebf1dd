/* Ops whose members work in phases or on shared scratch, by three members at once: no data race (make tsan), and the bits of one member. */
#include "op_driver.h"

/* Forward and backward of one case by one member and by three, float and double. */
static void check_team(const char *name, const char *attrs, const char *inputs, pn_layout layout) {
    op_case c;
    op_result one, three;
    CHECK(op_case_open(&c, name, attrs, inputs) == PN_OK, "%s %s: %s", name, attrs, c.error.text);
    c.layout = layout;
    for (int dtype = PN_F32; dtype <= PN_F64; dtype++) {
        op_run(&c, dtype, pn_kernels_get(), 1, ~0u, OP_BACKWARD, &one);
        op_run(&c, dtype, pn_kernels_get(), TEAMS, ~0u, OP_BACKWARD, &three);
        op_check_same(&c, &one, &three, "with three members");
        op_close(&c, &one);
        op_close(&c, &three);
    }
    op_case_close(&c);
}

TEST(convolutions_have_no_races) {
    static const char *const ways[] = {"naive", "im2col", "direct", "winograd2", "winograd4"};
    static const pn_layout layouts[] = {PN_PLAIN, PN_BATCH_INNER};
    char attrs[96];
    for (int i = 0; i < 5; i++) {
        snprintf(attrs, sizeof attrs, "padding=1 algorithm=%s", ways[i]);
        for (int k = 0; k < (i < 2 ? 1 : 2); k++) check_team("conv2d", attrs, "37,5,6,7;18,5,3,3;18", layouts[k]);
        check_team("conv_transpose2d", attrs, "33,4,5,6;4,3,3,3;3", PN_PLAIN);
        snprintf(attrs, sizeof attrs, "padding=1 groups=2 activation=%d algorithm=%s", PN_ACT_tanh, ways[i]);
        check_team("conv2d", attrs, "19,6,4,5;8,3,3,3;8", PN_PLAIN);
    }
    for (int k = 0; k < 2; k++) check_team("conv2d", "stride=2 padding=2 algorithm=direct", "37,3,9,8;7,3,5,5;7", layouts[k]);
    check_team("conv2d", "stride=3 padding=1 algorithm=im2col", "9,17,12,11;19,17,3,3;19", PN_PLAIN);
    check_team("conv2d", "algorithm=im2col", "2,3,40,41;7,3,2,2;7", PN_PLAIN);
}

TEST(norms_have_no_races) {
    static const char channels[] = ";c33;c+33;i<5 ();33;33";
    char inputs[96];
    snprintf(inputs, sizeof inputs, "70,33%s", channels);
    check_team("batch_norm", "training=True", inputs, PN_PLAIN);
    snprintf(inputs, sizeof inputs, "21,33,3,2%s;21,33,3,2", channels);
    for (int layout = 0; layout < 2; layout++) {
        check_team("batch_norm", "training=True", inputs, layout ? PN_BATCH_INNER : PN_PLAIN);
        check_team("batch_norm", "", inputs, layout ? PN_BATCH_INNER : PN_PLAIN);
    }
    check_team("layer_norm", "normalized_shape=70", "70,70;70;70", PN_PLAIN);
}

TEST(pools_have_no_races) {
    static const pn_layout layouts[] = {PN_PLAIN, PN_BATCH_INNER};
    for (int k = 0; k < 2; k++) {
        check_team("max_pool2d", "kernel_size=3 stride=2 padding=1", "37,5,9,8", layouts[k]);
        check_team("avg_pool2d", "kernel_size=3 stride=2 padding=1", "37,5,9,8", layouts[k]);
        check_team("adaptive_avg_pool2d", "output_size=3,2", "37,5,9,8", layouts[k]);
    }
    check_team("pad", "pad=1,2,3,4 mode=reflect", "70,5,9,8", PN_PLAIN);
    check_team("interpolate", "size=7,5", "37,5,9,8", PN_PLAIN);
}
