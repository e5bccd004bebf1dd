/* concat and stack: several tensors become one, one behind the other along `dim`; stack makes that dimension anew. Each gx is its slice of gy.
 *
 * Shapes: concat: x_i (..., n_i, ...) equal but for n_i, y (..., sum of n_i, ...). stack: k tensors x_i (*), y (..., k, ...). Cost: 1 per element, a copy.
 * Either way y is rows, and input i is a band of columns in them.
 */
#ifdef PN_REAL_PASS

static void R_(backward)(const pn_call *c, pn_member *m, bool stacked) {
    const int dim = join_dim(c, stacked);
    const real *gy = c->gout[0].data;
    pn_rows_copy band = first_band(c, dim);
    for (int i = 0; i < c->n_in; i++) {
        next_band(c, dim, i, &band);
        const pn_rows_copy back = {.rows = band.rows, .len = band.len, .to = band.len, .from = band.to};
        if (c->gin[i].data) R_(pn_put_rows)(c, m, &back, c->gin[i].data, gy, c->gin_add[i]);
        gy += band.len;
    }
}
static void R_(concat_backward)(const pn_call *c, pn_member *m) { R_(backward)(c, m, false); }
static void R_(stack_backward)(const pn_call *c, pn_member *m) { R_(backward)(c, m, true); }

#else
#include "ops/copy.h"

/* The dimension of y along which inputs lie one behind the other. */
static int join_dim(const pn_call *c, bool stacked) {
    const int64_t dim = c->attrs[0].i;
    const int rank = c->in[0].shape.rank + stacked;
    return (int)(dim < 0 ? dim + rank : dim);
}

/* The rows of y, and then for each input in turn how its rows (length len, close together) fit into them. */
static pn_rows_copy first_band(const pn_call *c, int dim) {
    const pn_shape *y = &c->out[0].shape;
    return (pn_rows_copy){.rows = pn_shape_count(y, 0, dim), .to = pn_shape_count(y, dim, y->rank)};
}
static void next_band(const pn_call *c, int dim, int i, pn_rows_copy *band) {
    const pn_shape *x = &c->in[i].shape;
    band->len = band->from = pn_shape_count(x, dim, x->rank);
}

static void forward(const pn_call *c, pn_member *m, bool stacked) {
    const int dim = join_dim(c, stacked);
    const size_t size = pn_dtype_bytes(c->in[0].shape.dtype);
    char *y = c->out[0].data;
    pn_rows_copy band = first_band(c, dim);
    for (int i = 0; i < c->n_in; i++) {
        next_band(c, dim, i, &band);
        pn_copy_rows(m, &band, y, c->in[i].data, size);
        y += band.len * (int64_t)size;
    }
}
static void concat_forward(const pn_call *c, pn_member *m) { forward(c, m, false); }
static void stack_forward(const pn_call *c, pn_member *m) { forward(c, m, true); }

#define PN_REAL_FILE "ops/concat.c"
#include "base/real.h"

/* Input i must look like input 0, but for one dimension (-1: for none). */
static pn_status check_alike(pn_infer *q, int i, int except) {
    char a[256], b[256];
    bool alike = q->in[i].rank == q->in[0].rank;
    for (int d = 0; alike && d < q->in[0].rank; d++) alike = d == except || q->in[i].dim[d] == q->in[0].dim[d];
    if (alike) return PN_OK;
    pn_shape_text(&q->in[0], a);
    pn_shape_text(&q->in[i], b);
    if (except < 0) return pn_fail(q->error, PN_E_VALUE, "x[%d] has shape %s, but x[0] has shape %s: expected equal shapes", i, b, a);
    return pn_fail(q->error, PN_E_VALUE, "x[%d] has shape %s, but x[0] has shape %s: expected equal sizes except in dimension %d", i, b, a, except);
}

static pn_status infer_concat(pn_infer *q) {
    int dim;
    if (q->in[0].rank == 0) return pn_fail_shape(q, "x[0]", 0, "at least one dimension: scalars can be stacked, not concatenated");
    pn_status status = pn_infer_dim(q, "x[0]", 0, q->attrs[0].i, &dim);
    if (status) return status;
    q->out[0] = q->in[0];
    for (int i = 1; i < q->n_in; i++) {
        status = check_alike(q, i, dim);
        if (status) return status;
        q->out[0].dim[dim] += q->in[i].dim[dim];
    }
    q->flops = (double)pn_shape_size(&q->out[0]);
    return PN_OK;
}

static pn_status infer_stack(pn_infer *q) {
    const int rank = q->in[0].rank;
    int64_t dim = q->attrs[0].i;
    char text[256];
    if (rank == PN_MAX_RANK) return pn_fail_shape(q, "x[0]", 0, "at most 7 dimensions");
    if (dim < -rank - 1 || dim > rank) {
        return pn_fail(q->error, PN_E_INDEX, "dim is %lld, but x[0] has shape %s: allowed are %d to %d", (long long)dim, pn_shape_text(&q->in[0], text),
                       -rank - 1, rank);
    }
    if (dim < 0) dim += rank + 1;
    q->out[0].rank = rank + 1;
    q->out[0].dtype = q->in[0].dtype;
    for (int d = 0; d <= rank; d++) q->out[0].dim[d] = d == dim ? q->n_in : q->in[0].dim[d - (d > dim)];
    for (int i = 1; i < q->n_in; i++) {
        pn_status status = check_alike(q, i, -1);
        if (status) return status;
    }
    q->flops = (double)pn_shape_size(&q->out[0]);
    return PN_OK;
}

static const pn_field fields[] = {{"dim", PN_INT, NULL, "0"}, {0}};

const pn_op pn_op_concat = {
    .name = "concat",
    .formula = "y = x_0, x_1, ... one behind the other along dim",
    .derivative = "gx_i = its slice of gy",
    .inputs = "x:n*",
    .n_out = 1,
    .fields = fields,
    .infer = infer_concat,
    .fwd = {concat_forward, concat_forward},
    .bwd = {concat_backward_f, concat_backward_d},
    .file = "ops/concat.c",
};
const pn_op pn_op_stack = {
    .name = "stack",
    .formula = "y = x_0, x_1, ... side by side along a new dimension",
    .derivative = "gx_i = its slice of gy",
    .inputs = "x:n*",
    .n_out = 1,
    .fields = fields,
    .infer = infer_stack,
    .fwd = {stack_forward, stack_forward},
    .bwd = {stack_backward_f, stack_backward_d},
    .file = "ops/concat.c",
};
#endif
