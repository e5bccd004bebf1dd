/* transpose: y has the dimensions of x in the order `dims`; gx is gy with the inverse order. Without dims: all reversed, so that a matrix is turned over.
 *
 * Shapes: x (d0, d1, ...), y (d[dims[0]], d[dims[1]], ...). Cost: 1 per element. Copies. Neighbouring dimensions that stay together are merged; what is
 * left either keeps its last dimension, and whole runs move, or is a set of matrices that are turned over in tiles of 32 x 32.
 */
#ifdef PN_REAL_PASS

/* One tile: y[j * ldy + i] (= or +=) x[i * ldx + j], i < rows, j < cols, both at most TILE */
static void R_(tile)(const pn_call *c, real *y, const real *x, int64_t rows, int64_t cols, int64_t ldx, int64_t ldy, bool add) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    real turned[TILE * TILE];
    if (!add) {
        k->transpose(y, x, rows, cols, ldx, ldy);
        return;
    }
    k->transpose(turned, x, rows, cols, ldx, rows);
    for (int64_t j = 0; j < cols; j++) k->accumulate(y + j * ldy, turned + j * rows, rows);
}

/* y (= or +=) x with its dimensions in another order */
static void R_(permute)(const pn_call *c, pn_member *m, const moves *p, real *y, const real *x, bool add) {
    int64_t lo, hi;
    pn_member_share(m, p->jobs, p->block, &lo, &hi);
    for (int64_t job = lo; job < hi && (job % 64 || !pn_member_stopped(m)); job++) {
        const move v = find_move(p, job);
        if (p->runs)
            R_(pn_put)(c, y + v.to, x + v.from, v.cols, add);
        else
            R_(tile)(c, y + v.to, x + v.from, v.rows, v.cols, p->ldx, p->ldy, add);
    }
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    if (!c->gin[0].data) return;
    int dims[PN_MAX_RANK], inverse[PN_MAX_RANK];
    read_dims(c, dims);
    for (int d = 0; d < c->in[0].shape.rank; d++) inverse[dims[d]] = d;
    const moves p = plan_moves(&c->gout[0].shape, inverse);
    R_(permute)(c, m, &p, c->gin[0].data, c->gout[0].data, c->gin_add[0]);
}

static void R_(forward)(const pn_call *c, pn_member *m) {
    int dims[PN_MAX_RANK];
    read_dims(c, dims);
    const moves p = plan_moves(&c->in[0].shape, dims);
    R_(permute)(c, m, &p, c->out[0].data, c->in[0].data, false);
}

#else
#include "ops/op_helpers.h"

#define TILE 32

/* The order of dimensions: output dimension d is input dimension dims[d]. */
static void read_dims(const pn_call *c, int *dims) {
    const pn_shape *x = &c->in[0].shape;
    const pn_value *given = &c->attrs[0];
    for (int d = 0; d < x->rank; d++) dims[d] = given->n == x->rank ? pn_dim_of(x, given->ints[d]) : x->rank - 1 - d;
}

/* How a permutation is done: as `jobs` runs of elements, or as `jobs` tiles of matrices. */
typedef struct moves {
    bool runs;
    int64_t jobs, block;                                          /* block: jobs that make about 4096 elements */
    int64_t rows, cols;                                           /* of each matrix as it lies in x; with runs cols is the length */
    int64_t ldx, ldy;                                             /* distance of its rows in x, of its columns in y */
    int rank;                                                     /* dimensions outside: */
    int64_t dim[PN_MAX_RANK], from[PN_MAX_RANK], to[PN_MAX_RANK]; /* sizes, strides in x and y */
} moves;

/* One job: where it reads and writes, and its size. */
typedef struct move {
    int64_t from, to, rows, cols;
} move;

static move find_move(const moves *p, int64_t job) {
    move v = {.rows = p->rows, .cols = p->cols};
    if (!p->runs) {
        const int64_t down = pn_blocks_of(p->rows, TILE), across = pn_blocks_of(p->cols, TILE);
        const int64_t i = job % down * TILE, j = job / down % across * TILE;
        job /= down * across;
        v.from = i * p->ldx + j;
        v.to = j * p->ldy + i;
        v.rows = p->rows - i < TILE ? p->rows - i : TILE;
        v.cols = p->cols - j < TILE ? p->cols - j : TILE;
    }
    for (int d = 0; d < p->rank; d++) { /* the innermost first */
        v.from += job % p->dim[d] * p->from[d];
        v.to += job % p->dim[d] * p->to[d];
        job /= p->dim[d];
    }
    return v;
}

/* Dimensions of y from first to last as (size, stride in x), without those of size 1 and with neighbours merged that are neighbours in x too. */
static int merge(const pn_shape *x, const int *dims, int64_t *size, int64_t *stride) {
    int64_t strides[PN_MAX_RANK], step = 1;
    int n = 0;
    for (int d = x->rank - 1; d >= 0; d--) {
        strides[d] = step;
        step *= x->dim[d];
    }
    for (int d = 0; d < x->rank; d++) {
        const int64_t s = strides[dims[d]], len = x->dim[dims[d]];
        if (len == 1) continue;
        if (n && stride[n - 1] == s * len) {
            size[n - 1] *= len;
            stride[n - 1] = s;
        } else {
            size[n] = len;
            stride[n++] = s;
        }
    }
    if (n == 0) size[n] = 1, stride[n++] = 1;
    return n;
}

static moves plan_moves(const pn_shape *x, const int *dims) {
    moves p = {.jobs = 0, .block = 1};
    int64_t size[PN_MAX_RANK], stride[PN_MAX_RANK], step = 1;
    const int64_t n = pn_shape_size(x);
    if (n == 0) return p;
    const int rank = merge(x, dims, size, stride), last = rank - 1;
    p.runs = stride[last] == 1;
    p.cols = size[last];
    p.rows = 1;
    for (int d = last; d >= 0; d--) { /* step: stride in y */
        const bool row = d == last, column = !p.runs && stride[d] == 1;
        if (column) {
            p.cols = size[d];
            p.ldy = step;
        } else if (row && !p.runs) {
            p.rows = size[d];
            p.ldx = stride[d];
        } else if (!row) {
            p.dim[p.rank] = size[d], p.from[p.rank] = stride[d], p.to[p.rank] = step;
            p.rank++;
        }
        step *= size[d];
    }
    const int64_t matrices = n / (p.rows * p.cols);
    p.jobs = p.runs ? matrices : matrices * pn_blocks_of(p.rows, TILE) * pn_blocks_of(p.cols, TILE);
    p.block = p.runs ? (p.cols < PN_BLOCK ? PN_BLOCK / p.cols : 1) : PN_BLOCK / (TILE * TILE);
    return p;
}

#define PN_REAL_FILE "ops/transpose.c"
#include "base/real.h"

/* int64 goes the way of double: a move of eight bytes. */
static void forward_first(const pn_call *c, pn_member *m) { (c->in[0].shape.dtype == PN_I64 ? forward_d : forward_f)(c, m); }

static pn_status infer(pn_infer *q) {
    const pn_value *dims = &q->attrs[0];
    const pn_shape *x = &q->in[0];
    char text[256];
    unsigned seen = 0;
    q->out[0] = *x;
    q->flops = (double)pn_shape_size(x);
    if (dims->n < 0) {
        for (int d = 0; d < x->rank; d++) q->out[0].dim[d] = x->dim[x->rank - 1 - d];
        return PN_OK;
    }
    if (dims->n != x->rank) {
        return pn_fail(q->error, PN_E_VALUE, "x has shape %s, but dims names %d dimensions, expected %d", pn_shape_text(x, text), dims->n, x->rank);
    }
    for (int d = 0; d < x->rank; d++) {
        int from;
        pn_status status = pn_infer_dim(q, "x", 0, dims->ints[d], &from);
        if (status) return status;
        if (seen >> from & 1) return pn_fail(q->error, PN_E_VALUE, "dims names dimension %d twice", from);
        seen |= 1u << from;
        q->out[0].dim[d] = x->dim[from];
    }
    return PN_OK;
}

static const pn_field fields[] = {{"dims", PN_INTS, NULL, "none"}, {0}};

const pn_op pn_op_transpose = {
    .name = "transpose",
    .formula = "y[i, j, ...] = x with its dimensions in the order dims",
    .derivative = "gx = gy in the inverse order",
    .inputs = "x:n",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward_first, forward_d},
    .bwd = {backward_f, backward_d},
    .file = "ops/transpose.c",
};
#endif
