/* Reads the templates for one real type and collects what they define in the type's table. Order matters: later templates use earlier ones. */
#include "kernels/vmath_wide.h"
#include "kernels/act_impl.h"
#include "kernels/elementwise_impl.h"
#include "kernels/reduce_impl.h"
#include "kernels/batch_norm_impl.h"
#include "kernels/layer_norm_impl.h"
#include "kernels/softmax_impl.h"
#include "kernels/dropout_impl.h"
#include "kernels/pool_impl.h"
#include "kernels/taps_impl.h"
#include "kernels/update_impl.h"
#include "kernels/gemm_impl.h" /* R_(pn_gemm_table) */
#include "kernels/conv_dots_impl.h"
#include "kernels/conv_impl.h"     /* R_(conv_table) */
#include "kernels/winograd_impl.h" /* R_(wino_table) */
#include "kernels/probe.h"

static void R_(fill)(R_(pn_kernels) *t) {
#define BINARY(name) [PN_BIN_##name] = R_(binary_##name)
    *t = (R_(pn_kernels)){
        .binary = {BINARY(add), BINARY(sub), BINARY(mul), BINARY(div), BINARY(pow), BINARY(maximum), BINARY(minimum), BINARY(floor_divide), BINARY(remainder),
                   BINARY(eq), BINARY(ne), BINARY(lt), BINARY(le), BINARY(gt), BINARY(ge)},
        .fill = R_(fill_value),
        .accumulate = R_(accumulate),
        .scale = R_(scale),
        .mul_add = R_(mul_add),
        .add_bias = R_(add_bias),
        .clip = R_(clip),
        .sum = R_(sum),
        .dot = R_(dot),
        .sum_squares = R_(sum_squares),
        .max = R_(max),
        .abs_max = R_(abs_max),
        .column_sums = R_(column_sums),
        .layer_norm = {R_(row_rescale), R_(row_products), R_(row_gradient), R_(weight_sums)},
        .batch_norm = {R_(moments), R_(products), R_(rescale), R_(gradient), R_(column_moments), R_(column_products), R_(column_rescale), R_(column_gradient)},
        .softmax = R_(softmax),
        .log_softmax = R_(log_softmax),
        .log_sum_exp = R_(log_sum_exp),
        .softmax_backward = R_(softmax_backward),
        .log_softmax_backward = R_(log_softmax_backward),
        .dropout = R_(dropout),
        .transpose = R_(transpose),
        .max_pool2 = R_(max_pool2),
        .max_pool2_backward = R_(max_pool2_backward),
        .avg_pool2 = R_(avg_pool2),
        .avg_pool2_backward = R_(avg_pool2_backward),
        .conv = R_(conv_table),
        .max_taps = R_(max_taps),
        .max_taps_backward = R_(max_taps_backward),
        .sum_taps = R_(sum_taps),
        .sum_taps_backward = R_(sum_taps_backward),
        .wino = R_(wino_table),
        .gemm = R_(pn_gemm_table),
        .probe = R_(pn_probe),
    };
#undef BINARY
    memcpy(t->act_forward, R_(act_forward), sizeof t->act_forward);
    memcpy(t->act_backward, R_(act_backward), sizeof t->act_backward);
    memcpy(t->update, R_(updates), sizeof t->update);
}
