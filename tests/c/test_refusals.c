/* Every sentence with which the shape rules of the ops refuse their inputs. */
#include "op_driver.h"

TEST(refusals_of_arithmetic) {
    check_refusal("add", "", "3,4;5", PN_E_VALUE, "a has shape (3, 4) and b has shape (5,): dimension -1 is 4 against 5, expected equal sizes or 1");
    check_refusal("where", "", "i<2 3;2;3", PN_E_VALUE, "cond has shape (3,) and a has shape (2,): dimension -1 is 3 against 2, expected equal sizes or 1");
    check_refusal("where", "", "i<2 3;3;2", PN_E_VALUE, "cond has shape (3,) and b has shape (2,): dimension -1 is 3 against 2, expected equal sizes or 1");
    check_refusal("clip", "min=2 max=1", "3", PN_E_VALUE, "min is 2 and max is 1, expected min <= max");
    check_refusal("clip", "min=nan", "3", PN_E_VALUE, "min is nan and max is inf, expected min <= max");
    check_refusal("prelu", "", "3,4;3", PN_E_VALUE, "weight has shape (3,), expected (1,) or (4,) for x of shape (3, 4)");
    check_refusal("prelu", "", "3,4;1,4", PN_E_VALUE, "weight has shape (1, 4), expected (1,) or (4,) for x of shape (3, 4)");
    check_refusal("prelu", "", "3;3", PN_E_VALUE, "weight has shape (3,), expected (1,) or (1,) for x of shape (3,)");
    check_refusal("dropout", "p=1.5", "3", PN_E_VALUE, "p is 1.5, expected a probability from 0 to 1");
    check_refusal("dropout", "p=-1", "3", PN_E_VALUE, "p is -1, expected a probability from 0 to 1");
    check_refusal("dropout", "p=nan", "3", PN_E_VALUE, "p is nan, expected a probability from 0 to 1");
}

TEST(refusals_of_shapes) {
    check_refusal("reshape", "shape=-2", "3,4", PN_E_VALUE, "shape has size -2 in dimension 0, expected 0 or more, or one -1");
    check_refusal("reshape", "shape=-1,3,-1", "3,4", PN_E_VALUE, "shape has -1 in dimensions 0 and 2, only one can be worked out");
    check_refusal("reshape", "shape=5,-1", "3,4", PN_E_VALUE, "x has shape (3, 4) (12 elements), which cannot be reshaped to (5, -1)");
    check_refusal("reshape", "shape=0,-1", "0,4", PN_E_VALUE, "x has shape (0, 4) (0 elements), which cannot be reshaped to (0, -1)");
    check_refusal("reshape", "shape=5", "3,4", PN_E_VALUE, "x has shape (3, 4) (12 elements), which cannot be reshaped to (5,)");
    check_refusal("reshape", "shape=4294967296,4294967296", "3,4", PN_E_VALUE,
                  "x has shape (3, 4) (12 elements), which cannot be reshaped to (4294967296, 4294967296)");
    check_refusal("expand", "shape=4", "3,4", PN_E_VALUE, "x has shape (3, 4), which cannot be expanded to (4,)");
    check_refusal("expand", "shape=-1,3", "3", PN_E_VALUE, "x has shape (3,), which cannot be expanded to (-1, 3)");
    check_refusal("expand", "shape=-2", "3", PN_E_VALUE, "x has shape (3,), which cannot be expanded to (-2,)");
    check_refusal("transpose", "dims=0", "3,4", PN_E_VALUE, "x has shape (3, 4), but dims names 1 dimensions, expected 2");
    check_refusal("transpose", "dims=0,2", "3,4", PN_E_INDEX, "dim is 2, but x has shape (3, 4): allowed are -2 to 1");
    check_refusal("transpose", "dims=1,-1", "3,4", PN_E_VALUE, "dims names dimension 1 twice");
    check_refusal("concat", "dim=0", "()", PN_E_VALUE, "x[0] has shape (), expected at least one dimension: scalars can be stacked, not concatenated");
    check_refusal("concat", "dim=1", "3", PN_E_INDEX, "dim is 1, but x[0] has shape (3,): allowed are -1 to 0");
    check_refusal("concat", "dim=0", "3;3,3", PN_E_VALUE, "x[1] has shape (3, 3), but x[0] has shape (3,): expected equal sizes except in dimension 0");
    check_refusal("stack", "dim=0", "1,1,1,1,1,1,1,1", PN_E_VALUE, "x[0] has shape (1, 1, 1, 1, 1, 1, 1, 1), expected at most 7 dimensions");
    check_refusal("stack", "dim=2", "3", PN_E_INDEX, "dim is 2, but x[0] has shape (3,): allowed are -2 to 1");
    check_refusal("stack", "dim=-3", "3", PN_E_INDEX, "dim is -3, but x[0] has shape (3,): allowed are -2 to 1");
}

TEST(refusals_of_slices) {
    check_refusal("slice", "start=0 stop=2 step=1", "3,4", PN_E_VALUE, "x has shape (3, 4), but start, stop and step have 1, 1 and 1 entries, expected 2 each");
    check_refusal("slice", "start=0 stop=0,1 step=1", "3", PN_E_VALUE, "x has shape (3,), but start, stop and step have 1, 2 and 1 entries, expected 1 each");
    check_refusal("slice", "start=0 stop=1 step=1,1", "3", PN_E_VALUE, "x has shape (3,), but start, stop and step have 1, 1 and 2 entries, expected 1 each");
    check_refusal("slice", "start=0 stop=2 step=0", "3", PN_E_VALUE, "step is 0 in dimension 0, expected a step that is not 0");
    check_refusal("slice", "start=-1 stop=2 step=1", "3", PN_E_INDEX, "x has shape (3,), but dimension 0 is sliced from -1 to 1, allowed are 0 to 2");
    check_refusal("slice", "start=3 stop=0 step=-1", "3", PN_E_INDEX, "x has shape (3,), but dimension 0 is sliced from 3 to 1, allowed are 0 to 2");
    check_refusal("slice", "start=2 stop=-3 step=-2", "3", PN_E_INDEX, "x has shape (3,), but dimension 0 is sliced from 2 to -2, allowed are 0 to 2");
    check_refusal("index_select", "dim=0", "();i<1 1", PN_E_VALUE, "x has shape (), expected at least one dimension");
    check_refusal("index_select", "dim=1", "3;i<1 1", PN_E_INDEX, "dim is 1, but x has shape (3,): allowed are -1 to 0");
    check_refusal("index_select", "dim=0", "2,2,2,2;i<1 1,1,1,1,1,1", PN_E_VALUE,
                  "x has shape (2, 2, 2, 2) and index has shape (1, 1, 1, 1, 1, 1): the result would have 9 dimensions, at most 8 are possible");
    check_refusal("gather", "dim=0", "();i<1 ()", PN_E_VALUE, "x has shape (), expected at least one dimension");
    check_refusal("gather", "dim=3", "2,2;i<1 2,2", PN_E_INDEX, "dim is 3, but x has shape (2, 2): allowed are -2 to 1");
}

TEST(refusals_of_reductions) {
    check_refusal("max", "dim=1", "3,0", PN_E_VALUE, "x has shape (3, 0), but a maximum or minimum needs at least one element");
    check_refusal("sum", "dim=-3", "3,4", PN_E_INDEX, "dim is -3, but x has shape (3, 4): allowed are -2 to 1");
    check_refusal("sum", "dim=0,0", "3,4", PN_E_VALUE, "dim names dimension 0 twice");
    check_refusal("argmax", "dim=2", "3,4", PN_E_INDEX, "dim is 2, but x has shape (3, 4): allowed are -2 to 1");
    check_refusal("softmax", "dim=1", "3", PN_E_INDEX, "dim is 1, but x has shape (3,): allowed are -1 to 0");
    check_refusal("cumsum", "dim=-2", "3", PN_E_INDEX, "dim is -2, but x has shape (3,): allowed are -1 to 0");
    check_refusal("logsumexp", "dim=1", "3", PN_E_INDEX, "dim is 1, but x has shape (3,): allowed are -1 to 0");
}

TEST(refusals_of_products) {
    check_refusal("matmul", "", "();3", PN_E_VALUE, "a has shape (), expected at least one dimension; use * for numbers");
    check_refusal("matmul", "", "3;()", PN_E_VALUE, "b has shape (), expected at least one dimension; use * for numbers");
    check_refusal("linear", "", "2,3;3", PN_E_VALUE, "weight has shape (3,), expected (out, in)");
    check_refusal("linear", "", "();4,3", PN_E_VALUE, "x has shape (), expected (*, 3)");
    check_refusal("linear", "", "2,3;4,3;4,1", PN_E_VALUE, "bias has shape (4, 1), expected (4,)");
}

TEST(refusals_of_losses) {
    check_refusal("mse", "", "3,5;3,4", PN_E_VALUE, "input has shape (3, 5), target has shape (3, 4), expected equal shapes");
    check_refusal("mae", "", "3,2;3", PN_E_VALUE, "input has shape (3, 2), target has shape (3,), expected equal shapes");
    check_refusal("cross_entropy", "", "();i<3 ()", PN_E_VALUE, "input has shape (), expected (N, C) with one score per class");
    check_refusal("cross_entropy", "", "4,3;i<3 5", PN_E_VALUE, "target has shape (5,), expected (4,) for input of shape (4, 3): one class number per row");
    check_refusal("cross_entropy", "", "4,3;i<3 4;2", PN_E_VALUE, "weight has shape (2,), expected (3,) for input of shape (4, 3)");
    check_refusal("nll", "", "4,3;i<3 4;3,1", PN_E_VALUE, "weight has shape (3, 1), expected (3,) for input of shape (4, 3)");
    check_refusal("cross_entropy", "label_smoothing=1.5", "4,3;i<3 4", PN_E_VALUE, "label_smoothing is 1.5, expected a number from 0 to 1");
    check_refusal("cross_entropy", "label_smoothing=-1", "4,3;i<3 4", PN_E_VALUE, "label_smoothing is -1, expected a number from 0 to 1");
    check_refusal("soft_cross_entropy", "", "4,3;4,2", PN_E_VALUE, "target has shape (4, 2), expected (4, 3), the input's: one probability per class");
    check_refusal("soft_cross_entropy", "", "();()", PN_E_VALUE, "target has shape (), expected (), the input's: one probability per class");
    check_refusal("soft_cross_entropy", "label_smoothing=2", "4,3;4,3", PN_E_VALUE, "label_smoothing is 2, expected a number from 0 to 1");
    check_refusal("soft_cross_entropy", "label_smoothing=-2", "4,3;4,3", PN_E_VALUE, "label_smoothing is -2, expected a number from 0 to 1");
    check_refusal("soft_cross_entropy", "", "4,3;4,3;4", PN_E_VALUE, "weight has shape (4,), expected (3,) for input of shape (4, 3)");
    check_refusal("soft_cross_entropy", "", "4,3;4,3;1,3", PN_E_VALUE, "weight has shape (1, 3), expected (3,) for input of shape (4, 3)");
}

TEST(refusals_of_metrics) {
    check_refusal("accuracy", "", "4,3;i<3 5", PN_E_VALUE, "target has shape (5,), expected (4,) for input of shape (4, 3): one class number per row");
    check_refusal("binary_accuracy", "", "4;s5", PN_E_VALUE, "input has shape (4,), target has shape (5,), expected equal shapes");
    check_refusal("top_k_accuracy", "k=2", "4;i<3 4", PN_E_VALUE, "input has shape (4,), expected (N, C): one score per class");
    check_refusal("top_k_accuracy", "k=0", "4,3;i<3 4", PN_E_VALUE, "k is 0, expected at least 1");
    check_refusal("top_k_accuracy", "k=2", "4,3;i<3 3", PN_E_VALUE, "target has shape (3,), expected (4,) for input of shape (4, 3): one class number per row");
}

/* Defaults are read from text; these are the forms that no op of today uses. */
TEST(defaults_in_every_form) {
    static const pn_field fields[] = {{"a", PN_FLOAT, NULL, "-2.5e-3"}, {"b", PN_FLOAT, NULL, "+1e3"}, {"c", PN_INTS, NULL, "(1, -22)"},
                                      {"d", PN_ENUM, "x|yy|z", "z"},    {"e", PN_BOOL, NULL, "True"},  {0}};
    static const pn_op op = {.name = "form", .inputs = "x:r", .fields = fields};
    pn_value v[PN_MAX_ATTR];
    int missing = -1;
    CHECK(pn_op_defaults(&op, v, &missing));
    CHECK(v[0].f == -2.5e-3 && v[1].f == 1e3, "%g and %g", v[0].f, v[1].f);
    CHECK(v[2].n == 2 && v[2].ints[0] == 1 && v[2].ints[1] == -22);
    CHECK(v[3].i == 2 && v[4].i == 1);
    CHECK(pn_op_field(&op, "d") == 3 && pn_op_field(&op, "f") == -1 && pn_op_find("form") == NULL);
}
