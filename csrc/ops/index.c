/* gather and index_select: elements, or whole slices, chosen by a tensor of indices.
 *
 * gather: y[i][j][k] = x[i][index[i][j][k]][k] (for dim = 1), as torch.gather. Shapes: x (*), index of equal rank and nowhere larger but in dim, y like index.
 * index_select: y = the slices x[.., index[..], ..] along dim. Shapes: x (a, d, b), index (*) of any rank, y (a, *, b). With dim = 0 this is an embedding.
 * Backward: each chosen place gets the gy of all its choices, added in the order of the index. Members share gx by lines that no index connects, so there
 * are no races and the order is always the same. Cost: 1 per element of y. Indices are 0 to size - 1, checked before anything is computed.
 */
#ifdef PN_REAL_PASS

static void R_(gather_forward)(const pn_call *c, pn_member *m) {
    const lines l = plan_lines(c);
    const real *x = c->in[0].data;
    const int64_t *index = c->in[1].data;
    real *y = c->out[0].data;
    int64_t lo, hi, done = 0;
    pn_member_share(m, l.count, l.block, &lo, &hi);
    for (int64_t line = lo; line < hi; line++) {
        const line_at at = find_line(&l, line);
        for (int64_t first = 0; first < l.chosen; first += PN_BLOCK) {
            const int64_t end = pn_least(l.chosen, first + PN_BLOCK);
            if (pn_member_paused(m, &done, end - first)) return;
            for (int64_t j = first; j < end; j++) y[at.y + j * l.step_y] = x[at.x + index[at.y + j * l.step_y] * l.step_x];
        }
    }
}

/* gx, all zero unless gradients of others are in it; NULL when nobody wants it. */
static real *R_(gradient_to_add_to)(const pn_call *c, pn_member *m) {
    real *gx = c->gin[0].data;
    if (gx && !c->gin_add[0]) {
        pn_clear(m, gx, pn_shape_size(&c->in[0].shape), sizeof(real));
        pn_member_barrier(m);
    }
    return gx;
}

static void R_(gather_backward)(const pn_call *c, pn_member *m) {
    const lines l = plan_lines(c);
    const int64_t *index = c->in[1].data;
    const real *gy = c->gout[0].data;
    real *gx = R_(gradient_to_add_to)(c, m);
    int64_t lo, hi, done = 0;
    if (!gx) return;
    pn_member_share(m, l.count, l.block, &lo, &hi);
    for (int64_t line = lo; line < hi; line++) {
        const line_at at = find_line(&l, line);
        for (int64_t first = 0; first < l.chosen; first += PN_BLOCK) {
            const int64_t end = pn_least(l.chosen, first + PN_BLOCK);
            if (pn_member_paused(m, &done, end - first)) return;
            for (int64_t j = first; j < end; j++) gx[at.x + index[at.y + j * l.step_y] * l.step_x] += gy[at.y + j * l.step_y];
        }
    }
}

/* gx (a, d, b) gets gy (a, chosen, b): members share the b columns in strips. */
static void R_(select_backward)(const pn_call *c, pn_member *m) {
    const selection s = plan_selection(c);
    const int64_t *index = c->in[1].data;
    const real *gy = c->gout[0].data;
    real *gx = R_(gradient_to_add_to)(c, m);
    int64_t lo, hi, done = 0;
    if (!gx) return;
    const int64_t strips = pn_blocks_of(s.inner, STRIP);
    pn_member_share(m, s.outer * strips, 1, &lo, &hi);
    for (int64_t job = lo; job < hi; job++) {
        const int64_t o = job / strips, first = job % strips * STRIP, width = pn_least(s.inner - first, STRIP);
        const real *from = gy + o * s.chosen * s.inner + first;
        real *to = gx + o * s.size * s.inner + first;
        for (int64_t j = 0; j < s.chosen && !pn_member_paused(m, &done, width); j++) {
            for (int64_t k = 0; k < width; k++) to[index[j] * s.inner + k] += from[j * s.inner + k];
        }
    }
}

#else
#include "ops/copy.h"

#define STRIP 16 /* columns that a member adds at a time: a cache line of floats */

/* gather: the lines along dim. Index and y have the same shape; x may be larger in the other dimensions. */
typedef struct lines {
    int64_t count, block;           /* lines of y; block: as many as make about 4096 elements */
    int64_t chosen, step_y, step_x; /* elements of a line of y, and distances along dim */
    int rank, dim;
    int64_t size[PN_MAX_RANK], stride_x[PN_MAX_RANK], stride_y[PN_MAX_RANK]; /* of y, of x; size is 1 in dim */
} lines;
typedef struct line_at {
    int64_t x, y;
} line_at; /* where a line starts */

static lines plan_lines(const pn_call *c) {
    const pn_shape *x = &c->in[0].shape, *y = &c->out[0].shape;
    lines l = {.count = 1, .chosen = 1, .step_x = 1, .step_y = 1, .rank = x->rank, .dim = pn_dim_of(x, c->attrs[0].i)};
    int64_t step_x = 1, step_y = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        l.size[d] = d == l.dim ? 1 : y->dim[d];
        l.stride_x[d] = step_x, l.stride_y[d] = step_y;
        if (d == l.dim)
            l.chosen = y->dim[d], l.step_x = step_x, l.step_y = step_y;
        else
            l.count *= y->dim[d];
        step_x *= x->dim[d];
        step_y *= y->dim[d];
    }
    if (l.chosen == 0) l.count = 0;
    l.block = l.chosen < PN_BLOCK ? PN_BLOCK / (l.chosen ? l.chosen : 1) : 1;
    return l;
}

static line_at find_line(const lines *l, int64_t line) {
    line_at at = {0, 0};
    for (int d = l->rank - 1; d >= 0; d--) {
        at.x += line % l->size[d] * l->stride_x[d];
        at.y += line % l->size[d] * l->stride_y[d];
        line /= l->size[d];
    }
    return at;
}

/* index_select: x (outer, size, inner), y (outer, chosen, inner) */
typedef struct selection {
    int64_t outer, size, inner, chosen;
} selection;

static selection plan_selection(const pn_call *c) {
    const pn_shape *x = &c->in[0].shape;
    const int dim = pn_dim_of(x, c->attrs[0].i);
    return (selection){
        .outer = pn_shape_count(x, 0, dim), .size = x->dim[dim], .inner = pn_shape_count(x, dim + 1, x->rank), .chosen = pn_shape_size(&c->in[1].shape)};
}

static void select_forward(const pn_call *c, pn_member *m) {
    const selection s = plan_selection(c);
    const int64_t *index = c->in[1].data, size = (int64_t)pn_dtype_bytes(c->in[0].shape.dtype);
    const char *x = c->in[0].data;
    char *y = c->out[0].data;
    int64_t lo, hi, done = 0;
    pn_member_share(m, s.inner ? s.outer * s.chosen : 0, s.inner && s.inner < PN_BLOCK ? PN_BLOCK / s.inner : 1, &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        const int64_t from = (row / s.chosen * s.size + index[row % s.chosen]) * s.inner, to = row * s.inner;
        for (int64_t first = 0; first < s.inner; first += PN_PIECE) {
            const int64_t n = pn_least(s.inner - first, PN_PIECE);
            if (pn_member_paused(m, &done, n)) return;
            memcpy(y + (to + first) * size, x + (from + first) * size, (size_t)(n * size));
        }
    }
}

#define PN_REAL_FILE "ops/index.c"
#include "base/real.h"

/* int64 goes the way of double: moves of eight bytes. */
static void gather_forward_first(const pn_call *c, pn_member *m) { (c->in[0].shape.dtype == PN_I64 ? gather_forward_d : gather_forward_f)(c, m); }

static pn_status check(const pn_call *c, pn_error *e) {
    const pn_shape *x = &c->in[0].shape;
    return pn_check_index(&c->in[1], "index", x->dim[pn_dim_of(x, c->attrs[0].i)], e);
}

static pn_status infer_gather(pn_infer *q) {
    const pn_shape *x = &q->in[0], *index = &q->in[1];
    char a[256], b[256];
    int dim;
    if (x->rank == 0) return pn_fail_shape(q, "x", 0, "at least one dimension");
    pn_status status = pn_infer_dim(q, "x", 0, q->attrs[0].i, &dim);
    if (status) return status;
    bool fits = index->rank == x->rank;
    for (int d = 0; fits && d < x->rank; d++) fits = d == dim || index->dim[d] <= x->dim[d];
    if (!fits) {
        return pn_fail(q->error, PN_E_VALUE,
                       "index has shape %s and x has shape %s: expected the same rank, and no size larger than that of x except in dimension %d",
                       pn_shape_text(index, b), pn_shape_text(x, a), dim);
    }
    q->out[0] = *index;
    q->out[0].dtype = x->dtype;
    q->flops = (double)pn_shape_size(index);
    return PN_OK;
}

static pn_status infer_select(pn_infer *q) {
    const pn_shape *x = &q->in[0], *index = &q->in[1];
    pn_shape *y = &q->out[0];
    char a[256], b[256];
    int dim;
    if (x->rank == 0) return pn_fail_shape(q, "x", 0, "at least one dimension");
    pn_status status = pn_infer_dim(q, "x", 0, q->attrs[0].i, &dim);
    if (status) return status;
    if (x->rank - 1 + index->rank > PN_MAX_RANK) {
        return pn_fail(q->error, PN_E_VALUE, "x has shape %s and index has shape %s: the result would have %d dimensions, at most %d are possible",
                       pn_shape_text(x, a), pn_shape_text(index, b), x->rank - 1 + index->rank, PN_MAX_RANK);
    }
    y->dtype = x->dtype;
    y->rank = 0;
    for (int d = 0; d < dim; d++) y->dim[y->rank++] = x->dim[d];
    for (int d = 0; d < index->rank; d++) y->dim[y->rank++] = index->dim[d];
    for (int d = dim + 1; d < x->rank; d++) y->dim[y->rank++] = x->dim[d];
    q->flops = (double)pn_shape_size(y);
    return PN_OK;
}

static const pn_field fields[] = {{"dim", PN_INT, NULL, "0"}, {0}};

const pn_op pn_op_gather = {
    .name = "gather",
    .formula = "y[.., j, ..] = x[.., index[.., j, ..], ..] along dim",
    .derivative = "gx[.., index[.., j, ..], ..] += gy[.., j, ..]",
    .inputs = "x:n index:i",
    .n_out = 1,
    .fields = fields,
    .infer = infer_gather,
    .check = check,
    .fwd = {gather_forward_first, gather_forward_d},
    .bwd = {gather_backward_f, gather_backward_d},
    .needs_in = 2,
    .file = "ops/index.c",
};
const pn_op pn_op_index_select = {
    .name = "index_select",
    .formula = "y[.., j, ..] = x[.., index[j], ..] along dim",
    .derivative = "gx[.., index[j], ..] += gy[.., j, ..]",
    .inputs = "x:n index:i",
    .n_out = 1,
    .fields = fields,
    .infer = infer_select,
    .check = check,
    .fwd = {select_forward, select_forward},
    .bwd = {select_backward_f, select_backward_d},
    .needs_in = 2,
    .file = "ops/index.c",
};
#endif
