/* Softmax, losses, dropout and metrics: values and gradients at many shapes (op_driver.h). */
#include "op_driver.h"

TEST(losses_softmax) {
    static const char *const names[] = {"softmax", "log_softmax"};
    for (int i = 0; i < 2; i++) {
        check_all(names[i], "", LIST("7", "3,5", "32,10", "0,3", "2,3,4", "70,130", "9,1"));
        check_all(names[i], "dim=0", LIST("7", "3,5", "130,70", "2,3,4", "()"));
        check_all(names[i], "dim=1", LIST("2,3,4", "3,50,70", "2,3,4,2"));
        check_all(names[i], "dim=1 stable=False", LIST("3,5", "2,3,4"));
    }
}

static const char *const reductions[] = {"reduction=mean", "reduction=sum", "reduction=none"};

TEST(losses_of_elements) {
    static const char *const names[] = {"mse", "mae", "huber", "smooth_l1"};
    for (int r = 0; r < 3; r++) {
        for (int i = 0; i < 4; i++) check_all(names[i], reductions[r], LIST("();()", "7;7", "3,5;3,5", "5,1;5", "5;5,1", "0,3;0,3", "5000;5000"));
        check_all("bce", reductions[r], LIST("p7;p7", "p3,5;cp3,5", "p5000;p5000"));
        check_all("bce_with_logits", reductions[r], LIST("7;p7", "3,5;cp3,5", "5000;p5000"));
        check_all("hinge", reductions[r], LIST("7;cs7", "3,5;cs3,5", "5000;cs5000"));
        check_all("kl_div", reductions[r], LIST("7;p7", "3,5;cp3,5", "5000;p5000"));
        check_all("zero_one", reductions[r], LIST("s7;s7", "s3,5;s3,5"));
    }
    check_all("mse", "half=True", LIST("7;7", "70,70;70,70"));
    check_all("kl_div", "log_target=True", LIST("7;7", "70,70;70,70"));
    check_all("huber", "delta=0.5", LIST("7;7", "70,70;70,70"));
    check_all("smooth_l1", "beta=0.5", LIST("7;7", "70,70;70,70"));
}

TEST(losses_of_classes) {
    char attrs[64];
    for (int r = 0; r < 3; r++) {
        check_all("cross_entropy", reductions[r], LIST("4,3;i<3 4", "4,3;i<3 4;+3", "2,3,5;i<3 2,5", "300,10;i<10 300", "1,3;i<3 1"));
        check_all("soft_cross_entropy", reductions[r], LIST("4,3;p4,3", "2,3,5;p2,3,5", "4,3;p4,3;+3", "300,10;p300,10"));
        snprintf(attrs, sizeof attrs, "%s label_smoothing=0.1", reductions[r]);
        check_all("cross_entropy", attrs, LIST("4,3;i<3 4", "4,3;i<3 4;+3", "2,3,5;i<3 2,5"));
        check_all("soft_cross_entropy", attrs, LIST("4,3;p4,3"));
        snprintf(attrs, sizeof attrs, "%s ignore_index=1", reductions[r]);
        check_all("cross_entropy", attrs, LIST("9,3;i<3 9", "9,3;i<3 9;+3"));
        check_all("nll", attrs, LIST("9,3;i<3 9", "9,3;i<3 9;+3", "2,3,5;i<3 2,5"));
    }
}

TEST(losses_refuse) {
    check_refusal("mse", "", "3,5;3,4", PN_E_VALUE, "input has shape (3, 5), target has shape (3, 4), expected equal shapes");
    check_refusal("cross_entropy", "", "4,3;i<3 5", PN_E_VALUE, "target has shape (5,), expected (4,) for input of shape (4, 3): one class number per row");
}

TEST(losses_dropout) {
    check_all("dropout", "p=0.3", LIST("7", "3,5", "0,2", "9001", "()"));
    check_all("dropout", "p=0", LIST("7"));
    check_all("dropout", "p=1", LIST("7"));
}

TEST(losses_metrics) {
    check_all("accuracy", "", LIST("30,4;i<4 30", "3000,10;i<10 3000", "30;i<2 30", "30,1;i<2 30"));
    check_all("binary_accuracy", "", LIST("30;s30", "30,1;s30,1"));
    check_all("top_k_accuracy", "k=2", LIST("30,4;i<4 30", "30,2;i<2 30"));
}

TEST(losses_none_forgotten) { /* runs after the others */
    static const char *const here[] = {"ops/softmax.c", "ops/dropout.c", "ops/losses.c", "ops/cross_entropy.c", "ops/soft_cross_entropy.c", "ops/metrics.c"};
    for (int i = 0; pn_ops[i]; i++) {
        for (size_t k = 0; k < sizeof here / sizeof *here; k++) {
            if (strcmp(pn_ops[i]->file, here[k]) == 0) check_seen(pn_ops[i]);
        }
    }
}
