/* Batch norm through the driver (op_driver.h): in training, in evaluation and with a residual, plain and on blocks. */
#include "op_driver.h"

#define WEIGHTS(channels) ";c" channels ";c+" channels ";i<5 ();" channels ";" channels
#define ALL(shape, channels)                                                                                                                                   \
    shape ";c" channels ";c+" channels ";i<5 ()", shape WEIGHTS(channels), shape ";c" channels ";c+" channels ";i<5 ();" channels,                             \
        shape WEIGHTS(channels) ";" shape

static const char *const few[] = {ALL("4,3", "3"), ALL("70,33", "33"), ALL("3,2,5", "2"), ALL("2,3,3,7", "3"), ALL("3,17,2,5", "17"), ALL("2,1", "1")};
static const char *const large[] = {ALL("3,2,70,70", "2"), ALL("2,17,50,50", "17"), ALL("300,70", "70")};

/* What the running values become carries no gradient, so differences of all outputs are taken without them. */
TEST(batch_norm_values_and_gradients) {
    check_all("batch_norm", "training=True track=False", sizeof few / sizeof *few, few);
    check_all("batch_norm", "eps=0.3", sizeof few / sizeof *few, few);
    check_all("batch_norm", "", sizeof large / sizeof *large, large);
    check_op("batch_norm", "", "0,3,4" WEIGHTS("3"));
}

TEST(batch_norm_keeps_blocks) {
    static const char *const shapes[] = {"16,3,2,5" WEIGHTS("3"),
                                         "21,3,3,2" WEIGHTS("3"),
                                         "5,17,4,2" WEIGHTS("17"),
                                         "37,2,6,50" WEIGHTS("2"),
                                         "21,3,3,2" WEIGHTS("3") ";21,3,3,2",
                                         "33,18,2,2" WEIGHTS("18") ";33,18,2,2"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_layout_kept("batch_norm", "training=True", shapes[i], PN_BATCH_INNER);
        check_layout_kept("batch_norm", "", shapes[i], PN_BATCH_INNER);
    }
}

TEST(batch_norm_refuses) {
    check_refusal("batch_norm", "training=True", "1,3" WEIGHTS("3"), PN_E_VALUE,
                  "x has shape (1, 3): in training, batch norm needs more than one value a channel. A last batch of one sample is left out with "
                  "drop_last=True");
    check_refusal("batch_norm", "", "5" WEIGHTS("5"), PN_E_VALUE, "x has shape (5,), expected (N, C, *)");
    check_refusal("batch_norm", "", "4,3" WEIGHTS("2"), PN_E_VALUE, "running_mean has shape (2,), expected (3,) for x of shape (4, 3)");
    check_refusal("batch_norm", "", "4,5,5,3" WEIGHTS("3"), PN_E_VALUE,
                  "x has shape (4, 5, 5, 3), expected (N, 3, H, W). Is it channels-last? Use x.transpose(0, 3, 1, 2)");
    check_refusal("batch_norm", "", "4,3;c3;c+3;i<5 2", PN_E_VALUE, "num_batches_tracked has shape (2,), expected one number");
    check_refusal("batch_norm", "", "4,3" WEIGHTS("3") ";4,4", PN_E_VALUE, "residual has shape (4, 4), expected (4, 3)");
    check_refusal("batch_norm", "eps=-1", "4,3" WEIGHTS("3"), PN_E_VALUE, "eps is -1, expected a finite number from 0 on");
    check_refusal("batch_norm", "momentum=2", "4,3" WEIGHTS("3"), PN_E_VALUE, "momentum is 2, expected 0 to 1, or None");
}
