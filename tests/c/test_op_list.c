/* What the list of ops says of each: that it is described whole, its defaults, and the types of its inputs. */
#include "op_driver.h"

TEST(ops_are_described) {
    for (int i = 0; pn_ops[i]; i++) {
        const pn_op *op = pn_ops[i];
        pn_value attrs[PN_MAX_ATTR];
        int missing = -1, fields = 0;
        CHECK(op->name && op->formula && op->inputs && op->infer && op->fwd[0] && op->fwd[1] && op->file, "%s", op->name);
        CHECK((op->flags & PN_NO_GRAD) ? !op->bwd[0] && !op->bwd[1] : op->bwd[0] && op->bwd[1] && op->derivative, "%s", op->name);
        CHECK(pn_op_find(op->name) == op, "two ops are named %s", op->name);
        CHECK(pn_op_min_in(op) >= 1 && pn_op_min_in(op) <= pn_op_max_in(op), "%s", op->name);
        while (op->fields && op->fields[fields].name) fields++;
        CHECK(fields <= PN_MAX_ATTR, "%s", op->name);
        pn_op_defaults(op, attrs, &missing);
        for (int f = 0; f < fields; f++) {
            CHECK(op->fields[f].fallback || missing <= f, "%s.%s", op->name, op->fields[f].name);
            if (op->fields[f].kind == PN_ENUM && op->fields[f].fallback) CHECK(attrs[f].i >= 0, "%s.%s", op->name, op->fields[f].name);
        }
    }
}

TEST(ops_defaults) {
    pn_value attrs[PN_MAX_ATTR];
    int missing = -1;
    CHECK(pn_op_defaults(pn_op_find("leaky_relu"), attrs, &missing));
    CHECK(attrs[0].f == 0.01 && isnan(attrs[1].f));
    CHECK(pn_op_defaults(pn_op_find("clip"), attrs, &missing));
    CHECK(attrs[0].f == -INFINITY && attrs[1].f == INFINITY);
    CHECK(pn_op_defaults(pn_op_find("argmax"), attrs, &missing));
    CHECK(attrs[0].i == INT64_MIN && attrs[1].i == 0);
    CHECK(pn_op_defaults(pn_op_find("sum"), attrs, &missing));
    CHECK(attrs[0].n == 0);
    CHECK(!pn_op_defaults(pn_op_find("slice"), attrs, &missing) && missing == 0);
}

TEST(ops_input_types) {
    const pn_shape f = {.dtype = PN_F32}, d = {.dtype = PN_F64}, w = {.dtype = PN_I64};
    pn_error e;
    CHECK(pn_op_check_inputs(pn_op_find("add"), 2, (pn_shape[]){f, d}, &e) == PN_E_TYPE);
    CHECK(strcmp(e.text, "add: a has dtype float32 but b has dtype float64; convert a with .to(\"float64\")") == 0, "%s", e.text);
    CHECK(pn_op_check_inputs(pn_op_find("add"), 2, (pn_shape[]){f, w}, &e) == PN_E_TYPE);
    CHECK(strcmp(e.text, "add: b has dtype int64, expected float32 or float64") == 0, "%s", e.text);
    CHECK(pn_op_check_inputs(pn_op_find("gather"), 2, (pn_shape[]){f, f}, &e) == PN_E_TYPE);
    CHECK(pn_op_check_inputs(pn_op_find("eq"), 2, (pn_shape[]){w, w}, &e) == PN_OK);
    CHECK(pn_op_check_inputs(pn_op_find("eq"), 2, (pn_shape[]){w, f}, &e) == PN_E_TYPE);
    CHECK(pn_op_check_inputs(pn_op_find("linear"), 4, (pn_shape[]){f, f, f, f}, &e) == PN_E_TYPE);
    CHECK(strcmp(e.text, "linear takes 2 to 3 tensors, got 4") == 0, "%s", e.text);
    CHECK(pn_op_check_inputs(pn_op_find("concat"), 3, (pn_shape[]){f, f, d}, &e) == PN_E_TYPE);
}
