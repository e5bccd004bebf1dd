/* Convolutions: both ops through the driver (op_driver.h) with every algorithm, at shapes around the cuts of ops/conv_plan.h, and their refusals. */
#include "op_driver.h"

/* Every algorithm on the same cases; the driver compares gradients with differences, teams and levels with each other. */
static void check_conv(const char *name, const char *attrs, int n, const char *const *inputs) {
    static const char *const algorithms[] = {"auto", "naive", "im2col", "direct"};
    for (int i = 0; i < 4; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s algorithm=%s", attrs, algorithms[i]);
        check_all(name, text, n, inputs);
    }
}

TEST(conv2d_windows) {
    check_conv("conv2d", "", LIST("1,1,1,1;1,1,1,1;1", "2,3,5,7;4,3,3,2;4", "1,2,4,4;3,2,4,4", "0,2,5,5;3,2,3,3;3", "3,1,6,5;2,1,1,1;2"));
    check_conv("conv2d", "padding=1", LIST("2,2,5,6;3,2,3,3;3", "1,2,2,2;1,2,4,4", "2,3,4,5;2,3,1,1;2"));
    check_conv("conv2d", "padding=2,0 stride=2,3", LIST("2,2,7,8;3,2,3,2;3", "1,2,3,4;2,2,7,3"));
    check_conv("conv2d", "padding=1,2,0,3 stride=1", LIST("2,2,5,6;3,2,3,4;3", "1,1,1,1;1,1,4,4;1"));
    check_conv("conv2d", "stride=3", LIST("2,2,8,7;3,2,2,2;3", "2,2,7,7;3,2,1,1"));
    check_conv("conv2d", "dilation=2,3 padding=3", LIST("1,2,7,6;2,2,3,2;2"));
}

TEST(conv2d_groups) {
    check_conv("conv2d", "groups=2", LIST("2,4,5,6;6,2,3,2;6", "1,4,3,3;2,2,1,1;2"));
    check_conv("conv2d", "groups=4 padding=1", LIST("2,4,5,6;4,1,3,3;4", "1,4,5,4;8,1,3,3"));
}

/* Joined images, several blocks of pixels, of channels, of taps; slices of the batch; products that are packed. */
TEST(conv2d_blocks) {
    check_op("conv2d", "algorithm=im2col", "9,3,5,5;4,3,5,5;4");
    check_op("conv2d", "padding=1", "5,17,4,3;19,17,3,3;19");
    check_op("conv2d", "padding=1", "1,70,9,9;40,70,3,3;40");
    check_op("conv2d", "", "2,33,17,16;37,33,1,1;37");
    check_op("conv2d", "", "7,33,3,3;21,33,1,1;21");
    check_op("conv2d", "padding=1 groups=2", "2,6,30,31;8,3,3,3;8");
    check_op("conv2d", "stride=2 padding=3", "2,3,31,29;7,3,7,7;7");
    check_op("conv2d", "algorithm=im2col", "1,1,70,71;2,1,68,68");
}

/* Winograd's algorithm, for both sizes of tiles: ragged tiles, any padding, several blocks of samples with an incomplete one, groups and blocks of channels. */
TEST(conv2d_winograd) {
    static const char *const sizes[] = {"2", "4"};
    char attrs[64];
    for (int i = 0; i < 2; i++) {
        snprintf(attrs, sizeof attrs, "algorithm=winograd%s", sizes[i]);
        check_all("conv2d", attrs, LIST("1,1,3,3;1,1,3,3;1", "3,3,5,7;16,3,3,3;16", "0,2,5,5;3,2,3,3;3", "17,1,4,9;2,1,3,3"));
        snprintf(attrs, sizeof attrs, "algorithm=winograd%s padding=1", sizes[i]);
        check_all("conv2d", attrs, LIST("33,2,4,5;3,2,3,3;3", "2,33,5,6;19,33,3,3;19", "16,3,9,8;1,3,3,3"));
        snprintf(attrs, sizeof attrs, "algorithm=winograd%s padding=2,3", sizes[i]);
        check_all("conv2d", attrs, LIST("2,2,1,2;3,2,3,3;3", "5,3,6,7;2,3,3,3"));
        snprintf(attrs, sizeof attrs, "algorithm=winograd%s padding=3,0,0,5 groups=2", sizes[i]);
        check_all("conv2d", attrs, LIST("3,4,5,6;6,2,3,3;6"));
    }
    check_op("conv2d", "algorithm=winograd4 padding=1", "1,97,3,3;98,97,3,3"); /* pairs of channel blocks */
    /* kernels of 2 x 2, 4 x 4 and 5 x 5 */
    check_all("conv2d", "algorithm=winograd4", LIST("1,1,2,2;1,1,2,2;1", "3,3,7,6;16,3,2,2;16", "17,2,6,11;3,2,4,4;3", "2,33,5,9;17,33,5,5"));
    check_all("conv2d", "algorithm=winograd4 padding=2,1", LIST("18,2,5,6;3,2,5,5;3", "2,3,4,3;5,3,4,4", "5,2,1,3;2,2,2,2;2"));
    check_all("conv2d", "algorithm=winograd4 padding=4,0,0,5 groups=2", LIST("3,4,5,6;6,2,5,5;6", "3,4,5,6;6,2,2,2"));
    check_op("conv_transpose2d", "algorithm=winograd4 padding=1", "17,3,4,6;3,5,5,5;5");
}

/* Whole blocks of samples and ragged ones; windows of many channels, of parts of a row; phases that no tap reaches; depthwise. */
TEST(conv2d_direct) {
    check_op("conv2d", "algorithm=direct padding=1", "17,3,5,4;5,3,3,3;5");
    check_op("conv2d", "algorithm=direct padding=1 stride=2", "16,5,6,5;9,5,3,3;9");
    check_op("conv2d", "algorithm=direct stride=4,3 padding=1,2", "3,2,9,8;3,2,2,2");
    check_op("conv2d", "algorithm=direct padding=1", "2,90,3,3;7,90,3,3;7");
    check_op("conv2d", "algorithm=direct padding=0,1", "1,60,1,200;3,60,1,3");
    check_op("conv2d", "algorithm=direct groups=5 padding=2", "18,5,4,4;5,1,5,5;5");
    check_op("conv_transpose2d", "algorithm=direct stride=3 groups=2", "17,4,3,4;4,3,2,2;6");
}

TEST(conv2d_with_activation) { /* as plans fuse it; functions that do not blow up a rounding of their argument */
    static const int acts[] = {PN_ACT_tanh, PN_ACT_sigmoid, PN_ACT_relu};
    char attrs[64];
    static const char *const algorithms[] = {"naive", "im2col", "direct", "winograd2"};
    for (int i = 0; i < 12; i++) {
        CHECK(!pn_acts[acts[i / 4]].needs_x, "%s cannot be fused", pn_acts[acts[i / 4]].name);
        snprintf(attrs, sizeof attrs, "activation=%d padding=1 algorithm=%s", acts[i / 4], algorithms[i % 4]);
        check_all("conv2d", attrs, LIST("2,2,5,6;3,2,3,3;3", "2,2,9,9;3,2,3,3", "3,2,1,2;2,2,3,3;2"));
    }
}

TEST(conv_transpose2d_windows) {
    check_conv("conv_transpose2d", "", LIST("1,1,1,1;1,1,1,1;1", "2,3,4,3;3,2,3,2;2", "0,2,3,3;2,3,3,3;3", "2,3,4,5;3,2,1,1;2"));
    check_conv("conv_transpose2d", "stride=2 padding=1 output_padding=1", LIST("2,2,3,4;2,3,3,3;3", "1,2,2,2;2,1,2,3"));
    check_conv("conv_transpose2d", "stride=3,1 dilation=1,2 groups=2", LIST("2,4,3,4;4,3,2,3;6", "1,2,3,3;2,1,1,2"));
    check_conv("conv_transpose2d", "padding=1,0,2,1", LIST("2,2,4,5;2,3,3,4;3"));
    check_op("conv_transpose2d", "algorithm=winograd4 padding=1,0,2,1", "3,5,6,7;5,4,3,3;4");
    check_op("conv_transpose2d", "algorithm=winograd2 groups=2", "2,4,1,3;4,3,3,3;6");
    check_op("conv_transpose2d", "stride=2", "2,19,9,11;19,7,2,2;7");
    check_op("conv_transpose2d", "", "1,33,17,16;33,37,1,1;37");
}

TEST(conv_refusals) {
    check_refusal("conv2d", "stride=4", "16,227,227,3;96,3,11,11", PN_E_VALUE,
                  "x has shape (16, 227, 227, 3), expected (N, 3, H, W). Is it channels-last? Use x.transpose(0, 3, 1, 2)");
    check_refusal("conv2d", "", "2,4,5,5;3,2,3,3", PN_E_VALUE, "x has shape (2, 4, 5, 5), expected (N, 2, H, W)");
    check_refusal("conv2d", "", "4,5,5;3,4,3,3", PN_E_VALUE, "x has shape (4, 5, 5), expected (N, 4, H, W)");
    check_refusal("conv2d", "groups=2", "1,4,5,5;3,2,3,3", PN_E_VALUE, "weight has shape (3, 2, 3, 3): its 3 channels cannot be shared out to 2 groups");
    check_refusal("conv2d", "groups=0", "1,4,5,5;3,2,3,3", PN_E_VALUE, "groups is 0, expected at least 1");
    check_refusal("conv2d", "", "1,4,5,5;3,4,3", PN_E_VALUE, "weight has shape (3, 4, 3), expected four dimensions, the last two being the kernel's");
    check_refusal("conv2d", "", "1,4,5,5;3,4,0,3", PN_E_VALUE, "weight has shape (3, 4, 0, 3), expected sizes of at least 1");
    check_refusal("conv2d", "", "1,4,5,5;3,4,3,3;4", PN_E_VALUE, "bias has shape (4,), expected (3,)");
    check_refusal("conv2d", "stride=0", "1,4,5,5;3,4,3,3", PN_E_VALUE, "stride is 0, allowed are 1 to 2147483647");
    check_refusal("conv2d", "stride=1,2,3", "1,4,5,5;3,4,3,3", PN_E_VALUE, "stride has 3 numbers, expected one, or two: for rows and for columns");
    check_refusal("conv2d", "padding=-1", "1,4,5,5;3,4,3,3", PN_E_VALUE, "padding is -1, allowed are 0 to 2147483647");
    check_refusal("conv2d", "padding=1 stride=2 dilation=2", "1,1,2,9;1,1,3,3", PN_E_VALUE,
                  "x has shape (1, 1, 2, 9) and weight (1, 1, 3, 3): the output would have floor((N + 2p - F) / s) + 1 = floor((2 + 2 - 5) / 2) + 1 = 0 rows, "
                  "needed is at least 1");
    check_refusal(
        "conv2d", "", "1,1,9,2;1,1,3,5", PN_E_VALUE,
        "x has shape (1, 1, 9, 2) and weight (1, 1, 3, 5): the output would have floor((N + 2p - F) / s) + 1 = floor((2 + 0 - 5) / 1) + 1 = -2 columns, "
        "needed is at least 1");
    check_refusal("conv2d", "padding=2147483647", "1,1,3,3;1,1,1,1", PN_E_VALUE, "the output would have more numbers than there are addresses");
    check_refusal("conv_transpose2d", "", "1,5,5,4;4,3,3,3", PN_E_VALUE,
                  "x has shape (1, 5, 5, 4), expected (N, 4, H, W). Is it channels-last? Use x.transpose(0, 3, 1, 2)");
    check_refusal("conv_transpose2d", "", "1,3,5,5;4,3,3,3", PN_E_VALUE, "x has shape (1, 3, 5, 5), expected (N, 4, H, W)");
    check_refusal("conv_transpose2d", "groups=2", "1,4,5,5;4,3,3,3;3", PN_E_VALUE, "bias has shape (3,), expected (6,)");
    check_refusal("conv_transpose2d", "stride=2 output_padding=2", "1,4,5,5;4,3,3,3", PN_E_VALUE,
                  "output_padding is 2 for rows, expected 0 to 1: less than the stride or the dilation");
    check_refusal("conv_transpose2d", "output_padding=0,0,0", "1,4,5,5;4,3,3,3", PN_E_VALUE, "output_padding has 3 numbers, expected one or two");
    check_refusal("conv_transpose2d", "", "1,4,0,5;4,3,3,3", PN_E_VALUE, "x has shape (1, 4, 0, 5), expected at least one row and one column");
    check_refusal("conv_transpose2d", "padding=3,1", "1,1,2,5;1,1,3,3", PN_E_VALUE,
                  "x has shape (1, 1, 2, 5): the output would have (N - 1) s - 2p + F + out = (2 - 1) 1 - 6 + 3 + 0 = -2 rows, needed is at least 1");
}
