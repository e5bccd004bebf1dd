/* cumsum: y_j = x_0 + ... + x_j along one dimension. gx_j = gy_j + ... + gy_(n-1): the same sum from the other end.
 *
 * Shapes: x (*), y the same. Cost: 1 per element. Sums run in double. Also for int64, where an overflow wraps.
 */
#ifdef PN_REAL_PASS

/* One row: y (= or +=) running sums of x, n elements `step` apart (negative: from the end). */
static void R_(row)(pn_member *m, real *y, const real *x, int64_t n, int64_t step, bool add) {
    PN_WIDE sum = 0;
    for (int64_t j = 0; j < n; j++) {
        if (j % PN_PIECE == PN_PIECE - 1 && pn_member_stopped(m)) return;
        sum += (PN_WIDE)x[j * step];
        y[j * step] = (real)(add ? y[j * step] + (real)sum : (real)sum);
    }
}

/* This member's share of the rows. */
static void R_(rows)(const pn_call *c, pn_member *m, real *y, const real *x, bool from_end, bool add) {
    const pn_shape *s = &c->in[0].shape;
    const pn_rows r = pn_rows_of(s, pn_dim_of(s, c->attrs[0].i));
    int64_t lo, hi;
    pn_member_range(m, r.blocks, &lo, &hi);
    for (int64_t b = lo; b < hi && !pn_member_stopped(m); b++) {
        for (int64_t i = pn_rows_first(&r, b), end = i + pn_rows_in(&r, b); i < end; i++) {
            const int64_t at = pn_row_offset(&r, i) + (from_end ? (r.n - 1) * r.inner : 0);
            R_(row)(m, y + at, x + at, r.n, from_end ? -r.inner : r.inner, add);
        }
    }
}

static void R_(forward)(const pn_call *c, pn_member *m) { R_(rows)(c, m, c->out[0].data, c->in[0].data, false, false); }
#ifndef PN_WHOLE_PASS
static void R_(backward)(const pn_call *c, pn_member *m) {
    if (c->gin[0].data) R_(rows)(c, m, c->gin[0].data, c->gout[0].data, true, c->gin_add[0]);
}
#endif

#else
#include "ops/op_helpers.h"
#include "ops/rows.h"

#define PN_REAL_FILE "ops/cumsum.c"
#include "base/whole.h"

static void forward_any(const pn_call *c, pn_member *m) { (c->in[0].shape.dtype == PN_I64 ? forward_i : forward_f)(c, m); }

static pn_status infer(pn_infer *q) {
    int dim;
    const pn_status status = pn_infer_dim(q, "x", 0, q->attrs[0].i, &dim);
    return status ? status : pn_infer_like(q, 0);
}

static const pn_field fields[] = {{"dim", PN_INT, NULL, "-1"}, {0}};

const pn_op pn_op_cumsum = {
    .name = "cumsum",
    .formula = "y_j = x_0 + ... + x_j along dim",
    .derivative = "gx_j = gy_j + ... + gy_(n-1)",
    .inputs = "x:n",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward_any, forward_d},
    .bwd = {backward_f, backward_d},
    .file = "ops/cumsum.c",
};
#endif
