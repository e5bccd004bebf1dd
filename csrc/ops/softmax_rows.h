/* Softmax and log-softmax of rows that lie one behind the other, for softmax.c and the class losses, which include the typed part once per real type.
 *
 * Rows are what the kernels are for. A row of more than PN_PIECE elements is taken here, in blocks with a look at the poll between them: the maximum, the
 * exponentials and their sum in double, the division. What a stopped run leaves undone nobody reads. */
#ifndef PN_REAL_PASS
#ifndef PN_OPS_SOFTMAX_ROWS_H
#define PN_OPS_SOFTMAX_ROWS_H
#include "ops/op_helpers.h"

/* Elements of the block at i of a row of n; 0 at the end, and when the run should stop. */
static inline int64_t row_block(pn_member *m, int64_t i, int64_t n) {
    if (i >= n || (i > 0 && pn_member_stopped(m))) return 0;
    return n - i < PN_BLOCK ? n - i : PN_BLOCK;
}
#endif
#else

/* The row's maximum; 0 for a logarithm where that is infinite: an infinite maximum is its own result. NaN comes back through exp. */
static real R_(long_maximum)(const R_(pn_kernels) *k, pn_member *m, const real *x, int64_t n, bool logarithm) {
    real top = -(real)INFINITY;
    for (int64_t i = 0, size; (size = row_block(m, i, n)) > 0; i += size) {
        const real most = k->max(x + i, size);
        top = most > top ? most : top;
    }
    return logarithm && isinf(top) ? 0 : top;
}

/* sum of exp(x - top); the terms go to y unless it is NULL */
static double R_(long_sum)(const R_(pn_kernels) *k, pn_member *m, real *y, const real *x, int64_t n, real top) {
    real t[PN_BLOCK];
    double total = 0;
    for (int64_t i = 0, size; (size = row_block(m, i, n)) > 0; i += size) {
        real *to = y ? y + i : t;
        k->binary[PN_BIN_sub](to, x + i, 1, &top, 0, size);
        k->act_forward[PN_ACT_exp](to, to, size, NULL);
        total += k->sum(to, size);
    }
    return total;
}

/* y may be x */
static void R_(long_softmax)(const pn_call *c, pn_member *m, bool logarithm, real *y, const real *x, int64_t n) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real top = R_(long_maximum)(k, m, x, n, logarithm);
    double total = R_(long_sum)(k, m, logarithm ? NULL : y, x, n, top);
    if (logarithm) c->kernels->d.act_forward[PN_ACT_log](&total, &total, 1, NULL);
    const real all = (real)total;
    for (int64_t i = 0, size; (size = row_block(m, i, n)) > 0; i += size) {
        if (logarithm) {
            k->binary[PN_BIN_sub](y + i, x + i, 1, &top, 0, size);
            k->binary[PN_BIN_sub](y + i, y + i, 1, &all, 0, size);
        } else {
            k->scale(y + i, y + i, (real)(1 / total), size, false);
        }
    }
}

/* y[rows, n] from x[rows, n]; y may be x. */
static void R_(softmax_rows)(const pn_call *c, pn_member *m, bool logarithm, real *y, const real *x, int64_t rows, int64_t n) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    if (n > PN_PIECE) {
        for (int64_t r = 0; r < rows; r++) R_(long_softmax)(c, m, logarithm, y + r * n, x + r * n, n);
    } else {
        (logarithm ? k->log_softmax : k->softmax)(y, x, rows, n);
    }
}
#endif
