/* Every sentence with which the shape rules of the ops refuse their inputs. */
#include "op_driver.h"

typedef struct refusal {
    const char *op, *attrs, *inputs;
    pn_status status;
    const char *sentence;
} refusal;

#define CHECK_REFUSALS(list)                                                                                                                                   \
    for (size_t i = 0; i < sizeof(list) / sizeof *(list); i++)                                                                                                 \
    check_refusal((list)[i].op, (list)[i].attrs, (list)[i].inputs, (list)[i].status, (list)[i].sentence)

static const refusal of_arithmetic[] = {
    {"relu", "", "3;3", PN_E_TYPE, "relu takes 1 tensor, got 2"},
    {"add", "", "3", PN_E_TYPE, "add takes 2 tensors, got 1"},
    {"linear", "", "3", PN_E_TYPE, "linear takes 2 to 3 tensors, got 1"},
    {"concat", "", "", PN_E_TYPE, "concat takes at least 1 tensor, got 0"},
    {"add", "", "3,4;5", PN_E_VALUE, "a has shape (3, 4) and b has shape (5,): dimension -1 is 4 against 5, expected equal sizes or 1"},
    {"where", "", "i<2 3;2;3", PN_E_VALUE, "cond has shape (3,) and a has shape (2,): dimension -1 is 3 against 2, expected equal sizes or 1"},
    {"where", "", "i<2 3;3;2", PN_E_VALUE, "cond has shape (3,) and b has shape (2,): dimension -1 is 3 against 2, expected equal sizes or 1"},
    {"clip", "min=2 max=1", "3", PN_E_VALUE, "min is 2 and max is 1, expected min <= max"},
    {"clip", "min=nan", "3", PN_E_VALUE, "min is nan and max is inf, expected min <= max"},
    {"prelu", "", "3,4;3", PN_E_VALUE, "weight has shape (3,), expected (1,) or (4,) for x of shape (3, 4)"},
    {"prelu", "", "3,4;1,4", PN_E_VALUE, "weight has shape (1, 4), expected (1,) or (4,) for x of shape (3, 4)"},
    {"prelu", "", "3;3", PN_E_VALUE, "weight has shape (3,), expected (1,) or (1,) for x of shape (3,)"},
    {"dropout", "p=1.5", "3", PN_E_VALUE, "p is 1.5, expected a probability from 0 to 1"},
    {"dropout", "p=-1", "3", PN_E_VALUE, "p is -1, expected a probability from 0 to 1"},
    {"dropout", "p=nan", "3", PN_E_VALUE, "p is nan, expected a probability from 0 to 1"},
};
TEST(refusals_of_arithmetic) { CHECK_REFUSALS(of_arithmetic); }

static const refusal of_normalisation[] = {
    {"layer_norm", "normalized_shape=", "3", PN_E_VALUE, "normalized_shape is (), expected at least one size"},
    {"layer_norm", "normalized_shape=5", "3,4", PN_E_VALUE, "x has shape (3, 4), expected (*, 5): it is normalized over its last dimensions"},
    {"layer_norm", "normalized_shape=3,4", "4", PN_E_VALUE, "x has shape (4,), expected (*, 3, 4): it is normalized over its last dimensions"},
    {"layer_norm", "normalized_shape=4", "3,4;3", PN_E_VALUE, "weight has shape (3,), expected (4,) as normalized_shape says"},
    {"layer_norm", "normalized_shape=4", "3,4;4;1,4", PN_E_VALUE, "bias has shape (1, 4), expected (4,) as normalized_shape says"},
    {"layer_norm", "normalized_shape=4 eps=-1", "3,4", PN_E_VALUE, "eps is -1, expected a finite number from 0 on"},
    {"group_norm", "num_groups=1", "4", PN_E_VALUE, "x has shape (4,), expected (N, C, *)"},
    {"group_norm", "num_groups=0", "3,4", PN_E_VALUE, "num_groups is 0, expected at least 1"},
    {"group_norm", "num_groups=3", "2,4,5", PN_E_VALUE, "x has shape (2, 4, 5), and its 4 channels cannot be divided into 3 groups of one size"},
    {"group_norm", "num_groups=2", "2,4,5;3", PN_E_VALUE, "weight has shape (3,), expected (4,) for x of shape (2, 4, 5)"},
    {"group_norm", "num_groups=2", "2,4,5;4;1,4", PN_E_VALUE, "bias has shape (1, 4), expected (4,) for x of shape (2, 4, 5)"},
    {"group_norm", "num_groups=2", "2,8,8,6;6", PN_E_VALUE,
     "x has shape (2, 8, 8, 6), expected (N, 6, H, W) for weight of shape (6,). Is it channels-last? Use x.transpose(0, 3, 1, 2)"},
};
TEST(refusals_of_normalisation) { CHECK_REFUSALS(of_normalisation); }

static const refusal of_shapes[] = {
    {"reshape", "shape=-2", "3,4", PN_E_VALUE, "shape has size -2 in dimension 0, expected 0 or more, or one -1"},
    {"reshape", "shape=-1,3,-1", "3,4", PN_E_VALUE, "shape has -1 in dimensions 0 and 2, only one can be worked out"},
    {"reshape", "shape=5,-1", "3,4", PN_E_VALUE, "x has shape (3, 4) (12 elements), which cannot be reshaped to (5, -1)"},
    {"reshape", "shape=0,-1", "0,4", PN_E_VALUE, "x has shape (0, 4) (0 elements), which cannot be reshaped to (0, -1)"},
    {"reshape", "shape=5", "3,4", PN_E_VALUE, "x has shape (3, 4) (12 elements), which cannot be reshaped to (5,)"},
    {"reshape", "shape=4294967296,4294967296", "3,4", PN_E_VALUE, "x has shape (3, 4) (12 elements), which cannot be reshaped to (4294967296, 4294967296)"},
    {"expand", "shape=4", "3,4", PN_E_VALUE, "x has shape (3, 4), which cannot be expanded to (4,)"},
    {"expand", "shape=-1,3", "3", PN_E_VALUE, "x has shape (3,), which cannot be expanded to (-1, 3)"},
    {"expand", "shape=-2", "3", PN_E_VALUE, "x has shape (3,), which cannot be expanded to (-2,)"},
    {"transpose", "dims=0", "3,4", PN_E_VALUE, "x has shape (3, 4), but dims names 1 dimensions, expected 2"},
    {"transpose", "dims=0,2", "3,4", PN_E_INDEX, "dim is 2, but x has shape (3, 4): allowed are -2 to 1"},
    {"transpose", "dims=1,-1", "3,4", PN_E_VALUE, "dims names dimension 1 twice"},
    {"concat", "dim=0", "()", PN_E_VALUE, "x[0] has shape (), expected at least one dimension: scalars can be stacked, not concatenated"},
    {"concat", "dim=1", "3", PN_E_INDEX, "dim is 1, but x[0] has shape (3,): allowed are -1 to 0"},
    {"concat", "dim=0", "3;3,3", PN_E_VALUE, "x[1] has shape (3, 3), but x[0] has shape (3,): expected equal sizes except in dimension 0"},
    {"stack", "dim=0", "1,1,1,1,1,1,1,1", PN_E_VALUE, "x[0] has shape (1, 1, 1, 1, 1, 1, 1, 1), expected at most 7 dimensions"},
    {"stack", "dim=2", "3", PN_E_INDEX, "dim is 2, but x[0] has shape (3,): allowed are -2 to 1"},
    {"stack", "dim=-3", "3", PN_E_INDEX, "dim is -3, but x[0] has shape (3,): allowed are -2 to 1"},
};
TEST(refusals_of_shapes) { CHECK_REFUSALS(of_shapes); }

static const refusal of_slices[] = {
    {"slice", "start=0 stop=2 step=1", "3,4", PN_E_VALUE, "x has shape (3, 4), but start, stop and step have 1, 1 and 1 entries, expected 2 each"},
    {"slice", "start=0 stop=0,1 step=1", "3", PN_E_VALUE, "x has shape (3,), but start, stop and step have 1, 2 and 1 entries, expected 1 each"},
    {"slice", "start=0 stop=1 step=1,1", "3", PN_E_VALUE, "x has shape (3,), but start, stop and step have 1, 1 and 2 entries, expected 1 each"},
    {"slice", "start=0 stop=2 step=0", "3", PN_E_VALUE, "step is 0 in dimension 0, expected a step that is not 0"},
    {"slice", "start=-1 stop=2 step=1", "3", PN_E_INDEX, "x has shape (3,), but dimension 0 is sliced from -1 to 1, allowed are 0 to 2"},
    {"slice", "start=3 stop=0 step=-1", "3", PN_E_INDEX, "x has shape (3,), but dimension 0 is sliced from 3 to 1, allowed are 0 to 2"},
    {"slice", "start=2 stop=-3 step=-2", "3", PN_E_INDEX, "x has shape (3,), but dimension 0 is sliced from 2 to -2, allowed are 0 to 2"},
    {"index_select", "dim=0", "();i<1 1", PN_E_VALUE, "x has shape (), expected at least one dimension"},
    {"index_select", "dim=1", "3;i<1 1", PN_E_INDEX, "dim is 1, but x has shape (3,): allowed are -1 to 0"},
    {"index_select", "dim=0", "2,2,2,2;i<1 1,1,1,1,1,1", PN_E_VALUE,
     "x has shape (2, 2, 2, 2) and index has shape (1, 1, 1, 1, 1, 1): the result would have 9 dimensions, at most 8 are possible"},
    {"gather", "dim=0", "();i<1 ()", PN_E_VALUE, "x has shape (), expected at least one dimension"},
    {"gather", "dim=3", "2,2;i<1 2,2", PN_E_INDEX, "dim is 3, but x has shape (2, 2): allowed are -2 to 1"},
};
TEST(refusals_of_slices) { CHECK_REFUSALS(of_slices); }

static const refusal of_reductions[] = {
    {"max", "dim=1", "3,0", PN_E_VALUE, "x has shape (3, 0), but a maximum or minimum needs at least one element"},
    {"sum", "dim=-3", "3,4", PN_E_INDEX, "dim is -3, but x has shape (3, 4): allowed are -2 to 1"},
    {"sum", "dim=0,0", "3,4", PN_E_VALUE, "dim names dimension 0 twice"},
    {"argmax", "dim=2", "3,4", PN_E_INDEX, "dim is 2, but x has shape (3, 4): allowed are -2 to 1"},
    {"softmax", "dim=1", "3", PN_E_INDEX, "dim is 1, but x has shape (3,): allowed are -1 to 0"},
    {"cumsum", "dim=-2", "3", PN_E_INDEX, "dim is -2, but x has shape (3,): allowed are -1 to 0"},
    {"logsumexp", "dim=1", "3", PN_E_INDEX, "dim is 1, but x has shape (3,): allowed are -1 to 0"},
};
TEST(refusals_of_reductions) { CHECK_REFUSALS(of_reductions); }

static const refusal of_products[] = {
    {"matmul", "", "();3", PN_E_VALUE, "a has shape (), expected at least one dimension; use * for numbers"},
    {"matmul", "", "3;()", PN_E_VALUE, "b has shape (), expected at least one dimension; use * for numbers"},
    {"linear", "", "2,3;3", PN_E_VALUE, "weight has shape (3,), expected (out, in)"},
    {"linear", "", "();4,3", PN_E_VALUE, "x has shape (), expected (*, 3)"},
    {"linear", "", "2,3;4,3;4,1", PN_E_VALUE, "bias has shape (4, 1), expected (4,)"},
};
TEST(refusals_of_products) { CHECK_REFUSALS(of_products); }

static const refusal of_losses[] = {
    {"mse", "", "3,5;3,4", PN_E_VALUE, "input has shape (3, 5), target has shape (3, 4), expected equal shapes"},
    {"mae", "", "3,2;3", PN_E_VALUE, "input has shape (3, 2), target has shape (3,), expected equal shapes"},
    {"cross_entropy", "", "();i<3 ()", PN_E_VALUE, "input has shape (), expected (N, C) with one score per class"},
    {"cross_entropy", "", "4,3;i<3 5", PN_E_VALUE, "target has shape (5,), expected (4,) for input of shape (4, 3): one class number per row"},
    {"cross_entropy", "", "4,3;i<3 4;2", PN_E_VALUE, "weight has shape (2,), expected (3,) for input of shape (4, 3)"},
    {"nll", "", "4,3;i<3 4;3,1", PN_E_VALUE, "weight has shape (3, 1), expected (3,) for input of shape (4, 3)"},
    {"cross_entropy", "label_smoothing=1.5", "4,3;i<3 4", PN_E_VALUE, "label_smoothing is 1.5, expected a number from 0 to 1"},
    {"cross_entropy", "label_smoothing=-1", "4,3;i<3 4", PN_E_VALUE, "label_smoothing is -1, expected a number from 0 to 1"},
    {"soft_cross_entropy", "", "4,3;4,2", PN_E_VALUE, "target has shape (4, 2), expected (4, 3), the input's: one probability per class"},
    {"soft_cross_entropy", "", "();()", PN_E_VALUE, "target has shape (), expected (), the input's: one probability per class"},
    {"soft_cross_entropy", "label_smoothing=2", "4,3;4,3", PN_E_VALUE, "label_smoothing is 2, expected a number from 0 to 1"},
    {"soft_cross_entropy", "label_smoothing=-2", "4,3;4,3", PN_E_VALUE, "label_smoothing is -2, expected a number from 0 to 1"},
    {"soft_cross_entropy", "", "4,3;4,3;4", PN_E_VALUE, "weight has shape (4,), expected (3,) for input of shape (4, 3)"},
    {"soft_cross_entropy", "", "4,3;4,3;1,3", PN_E_VALUE, "weight has shape (1, 3), expected (3,) for input of shape (4, 3)"},
};
TEST(refusals_of_losses) { CHECK_REFUSALS(of_losses); }

static const refusal of_metrics[] = {
    {"accuracy", "", "4,3;i<3 5", PN_E_VALUE, "target has shape (5,), expected (4,) for input of shape (4, 3): one class number per row"},
    {"binary_accuracy", "", "4;s5", PN_E_VALUE, "input has shape (4,), target has shape (5,), expected equal shapes"},
    {"top_k_accuracy", "k=2", "4;i<3 4", PN_E_VALUE, "input has shape (4,), expected (N, C): one score per class"},
    {"top_k_accuracy", "k=0", "4,3;i<3 4", PN_E_VALUE, "k is 0, expected at least 1"},
    {"top_k_accuracy", "k=2", "4,3;i<3 3", PN_E_VALUE, "target has shape (3,), expected (4,) for input of shape (4, 3): one class number per row"},
};
TEST(refusals_of_metrics) { CHECK_REFUSALS(of_metrics); }

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
