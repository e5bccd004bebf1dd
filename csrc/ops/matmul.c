/* matmul: the product of matrices and vectors, batched as torch.matmul. y = A B, gA = gy B^T, gB = A^T gy, summed where a batch was repeated.
 *
 * Shapes: a (.., m, k), b (.., k, n), y (.., m, n); batch dimensions are broadcast. A vector a (k,) counts as one row, a vector b (k,) as one column, and that
 * dimension is gone from y. transpose_a: a is (.., k, m); transpose_b: b is (.., n, k); a vector knows no transpose. Cost: 2 m n k per matrix.
 * Backward is again matrix products, all transpositions being flags: a repeated matrix gets its products added one after the other in batch order.
 */
#ifdef PN_REAL_PASS

/* One member does all of it. */
static void R_(forward_tiny)(const pn_call *c, const small *s) {
    const R_(pn_gemm_call) y = {.s = s->y, .a = c->in[0].data, .b = c->in[1].data, .c = c->out[0].data, .act = -1};
    R_(pn_call_kernels)(c)->gemm.tiny(&y);
}

/* gA = gy B^T and gB = A^T gy */
static void R_(backward_tiny)(const pn_call *c, const small *s) {
    const real *gy = c->gout[0].data;
    const R_(pn_gemm_call) ga = {.s = s->ga, .a = gy, .b = c->in[1].data, .c = c->gin[0].data, .add = c->gin_add[0], .act = -1};
    const R_(pn_gemm_call) gb = {.s = s->gb, .a = c->in[0].data, .b = gy, .c = c->gin[1].data, .add = c->gin_add[1], .act = -1};
    if (ga.c) R_(pn_call_kernels)(c)->gemm.tiny(&ga);
    if (gb.c) R_(pn_call_kernels)(c)->gemm.tiny(&gb);
}

static void R_(forward)(const pn_call *c, pn_member *m) {
    small tiny;
    if (reads_tiny(c, &tiny)) {
        if (pn_member_takes_alone(m)) R_(forward_tiny)(c, &tiny);
        return;
    }
    const problem p = read_problem(c->in, &c->out[0].shape, c->attrs);
    const pn_gemm_shape s = forward_shape(&p);
    const int64_t blocks = R_(pn_call_kernels)(c)->gemm.blocks(&s);
    int64_t lo, hi;
    pn_product_share(m, p.batch * blocks, 0, 1, &lo, &hi);
    for (int64_t next; lo < hi; lo = next) {
        const int64_t i = lo / blocks;
        next = (i + 1) * blocks < hi ? (i + 1) * blocks : hi;
        R_(pn_gemm_call) g = {.s = s, .act = -1};
        g.a = (const real *)c->in[0].data + matrix_at(&p, 0, i) * p.m * p.k;
        g.b = (const real *)c->in[1].data + matrix_at(&p, 1, i) * p.k * p.n;
        g.c = (real *)c->out[0].data + i * p.m * p.n;
        R_(pn_product_run)(c, m, &g, lo - i * blocks, next - i * blocks);
        if (next < hi && pn_member_stopped(m)) return;
    }
}

/* The gradient of operand `which`: for each of its matrices the products over the batch it was repeated on, in order. */
static void R_(gradient)(const pn_call *c, pn_member *m, const problem *p, int which, int place, int together) {
    const bool turned = gradient_is_turned(p, which); /* the other operand is then the left factor */
    const pn_gemm_shape s = gradient_shape(p, which);
    const int64_t own = which ? p->k * p->n : p->m * p->k, other = which ? p->m * p->k : p->k * p->n;
    const int64_t matrices = p->matrices[which], repeats = matrices ? p->batch / matrices : 0;
    const int64_t blocks = R_(pn_call_kernels)(c)->gemm.blocks(&s);
    int64_t lo, hi;
    pn_product_share(m, matrices * blocks, place, together, &lo, &hi);
    for (int64_t next; lo < hi; lo = next) {
        const int64_t i = lo / blocks;
        next = (i + 1) * blocks < hi ? (i + 1) * blocks : hi;
        for (int64_t r = 0; r < repeats; r++) {
            const int64_t at = batch_of(p, which, i, r);
            const real *gy = (const real *)c->gout[0].data + at * p->m * p->n;
            const real *x = (const real *)c->in[!which].data + matrix_at(p, !which, at) * other;
            R_(pn_gemm_call) g = {.s = s, .a = turned ? x : gy, .b = turned ? gy : x, .act = -1};
            g.c = (real *)c->gin[which].data + i * own;
            g.add = r > 0 || c->gin_add[which];
            R_(pn_product_run)(c, m, &g, lo - i * blocks, next - i * blocks);
        }
        if (next < hi && pn_member_stopped(m)) return;
    }
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    small tiny;
    if (reads_tiny(c, &tiny)) {
        if (pn_member_takes_alone(m)) R_(backward_tiny)(c, &tiny);
        return;
    }
    const problem p = read_problem(c->in, &c->out[0].shape, c->attrs);
    const bool same = c->gin[0].data == c->gin[1].data; /* a is also b: first one, then the other */
    const int together = c->gin[0].data && c->gin[1].data && !same ? 2 : 1;
    for (int i = 0; i < 2; i++) {
        if (!c->gin[i].data) continue;
        if (same && i == 1) pn_member_barrier(m);
        if (p.batch == 0 && !c->gin_add[i])
            pn_clear(m, c->gin[i].data, pn_shape_size(&c->gin[i].shape), sizeof(real));
        else
            R_(gradient)(c, m, &p, i, together == 2 ? i : 0, together);
    }
}

#else
#include "ops/broadcast.h"
#include "ops/copy.h"
#include "ops/product.h"

/* The products of two small matrices as they are: y = a b and the gradients. */
typedef struct small {
    pn_gemm_shape y, ga, gb;
} small;
static inline bool reads_tiny(const pn_call *c, small *s) {
    const pn_shape *a = &c->in[0].shape, *b = &c->in[1].shape;
    if (a->rank != 2 || b->rank != 2 || c->attrs[0].i || c->attrs[1].i) return false;
    const int64_t m = a->dim[0], k = a->dim[1], n = b->dim[1];
    s->y = (pn_gemm_shape){.m = m, .n = n, .k = k, .lda = k, .ldb = n, .ldc = n};
    s->ga = (pn_gemm_shape){.m = m, .n = k, .k = n, .tb = true, .lda = n, .ldb = n, .ldc = k};
    s->gb = (pn_gemm_shape){.m = k, .n = n, .k = m, .ta = true, .lda = k, .ldb = n, .ldc = n};
    return pn_gemm_is_tiny(&s->y) && pn_gemm_is_tiny(&s->ga) && pn_gemm_is_tiny(&s->gb);
}

/* One product of (m, k) and (k, n) for each element of the batch. */
typedef struct problem {
    int64_t m, n, k;
    bool ta, tb;
    int64_t batch;       /* matrices of y */
    int64_t matrices[2]; /* of a and of b */
    int rank;            /* batch dimensions of y: */
    int64_t dim[PN_MAX_RANK];
    int64_t step[2][PN_MAX_RANK]; /* per operand, in matrices; 0: repeated */
} problem;

/* How many trailing dimensions of an operand are the matrix. */
static int matrix_rank(const pn_shape *s) { return s->rank < 2 ? s->rank : 2; }

/* Steps of operand i through the batch of y. */
static void read_batch(problem *p, int i, const pn_shape *s) {
    const int own_rank = s->rank - matrix_rank(s);
    int64_t step = 1;
    for (int d = p->rank - 1; d >= 0; d--) {
        const int own = d - (p->rank - own_rank);
        const int64_t size = own < 0 ? 1 : s->dim[own];
        p->step[i][d] = size == 1 ? 0 : step;
        step *= size;
    }
    p->matrices[i] = step;
}

static problem read_problem(const pn_view *in, const pn_shape *y, const pn_value *attrs) {
    const pn_shape *a = &in[0].shape, *b = &in[1].shape;
    problem p; /* not set to 0 first: dim and step are long, and empty for plain matrices */
    p.ta = attrs[0].i && a->rank > 1;
    p.tb = attrs[1].i && b->rank > 1;
    p.batch = 1;
    const int64_t a_rows = a->rank > 1 ? a->dim[a->rank - 2] : 1, a_cols = a->dim[a->rank - 1];
    const int64_t b_rows = b->rank > 1 ? b->dim[b->rank - 2] : b->dim[0], b_cols = b->rank > 1 ? b->dim[b->rank - 1] : 1;
    p.m = p.ta ? a_cols : a_rows;
    p.k = p.ta ? a_rows : a_cols;
    p.n = p.tb ? b_rows : b_cols;
    p.rank = y->rank - (a->rank > 1) - (b->rank > 1);
    for (int d = 0; d < p.rank; d++) p.batch *= p.dim[d] = y->dim[d];
    read_batch(&p, 0, a);
    read_batch(&p, 1, b);
    if (p.rank && !p.ta && p.matrices[1] == 1 && p.matrices[0] == p.batch) { /* one b for all: the rows of all a are one tall matrix */
        p.m *= p.batch;
        p.matrices[0] = p.batch = 1;
        p.rank = 0;
    }
    return p;
}

/* Which matrix of operand i belongs to matrix `at` of y. */
static int64_t matrix_at(const problem *p, int i, int64_t at) {
    int64_t matrix = 0;
    for (int d = p->rank - 1; d >= 0; d--) {
        matrix += at % p->dim[d] * p->step[i][d];
        at /= p->dim[d];
    }
    return matrix;
}

/* The r-th matrix of y that uses matrix `own` of operand i. */
static int64_t batch_of(const problem *p, int i, int64_t own, int64_t r) {
    int64_t at = 0, step = 1;
    for (int d = p->rank - 1; d >= 0; d--) {
        int64_t *from = p->step[i][d] ? &own : &r;
        at += *from % p->dim[d] * step;
        *from /= p->dim[d];
        step *= p->dim[d];
    }
    return at;
}

static pn_gemm_shape forward_shape(const problem *p) {
    return (pn_gemm_shape){.m = p->m, .n = p->n, .k = p->k, .ta = p->ta, .tb = p->tb, .lda = p->ta ? p->m : p->k, .ldb = p->tb ? p->k : p->n, .ldc = p->n};
}

/* ga is stored as a is: with transpose_a it is B gy^T, not gy B^T. The same for gb. */
static bool gradient_is_turned(const problem *p, int which) { return which ? !p->tb : p->ta; }
static pn_gemm_shape gradient_shape(const problem *p, int which) {
    const int64_t lda = p->ta ? p->m : p->k, ldb = p->tb ? p->k : p->n;
    if (which == 0 && !p->ta) return (pn_gemm_shape){.m = p->m, .n = p->k, .k = p->n, .tb = !p->tb, .lda = p->n, .ldb = ldb, .ldc = lda};  /* gy B^T */
    if (which == 0) return (pn_gemm_shape){.m = p->k, .n = p->m, .k = p->n, .ta = p->tb, .tb = true, .lda = ldb, .ldb = p->n, .ldc = lda}; /* B gy^T */
    if (!p->tb) return (pn_gemm_shape){.m = p->k, .n = p->n, .k = p->m, .ta = !p->ta, .lda = lda, .ldb = p->n, .ldc = ldb};                /* A^T gy */
    return (pn_gemm_shape){.m = p->n, .n = p->k, .k = p->m, .ta = true, .tb = p->ta, .lda = p->n, .ldb = lda, .ldc = ldb};                 /* gy^T A */
}

#define PN_REAL_FILE "ops/matmul.c"
#include "base/real.h"

static pn_status fail_sizes(pn_infer *q, const char *what, int64_t a, int64_t b) {
    char ta[256], tb[256];
    return pn_fail(q->error, PN_E_VALUE, "a has shape %s and b has shape %s: %s are %lld and %lld, expected equal sizes", pn_shape_text(&q->in[0], ta),
                   pn_shape_text(&q->in[1], tb), what, (long long)a, (long long)b);
}

/* The batch dimensions of y: those of a and b, broadcast. */
static pn_status infer_batch(pn_infer *q) {
    const pn_shape *a = &q->in[0], *b = &q->in[1];
    pn_shape *y = &q->out[0];
    const int ra = a->rank - matrix_rank(a), rb = b->rank - matrix_rank(b);
    y->rank = ra > rb ? ra : rb;
    for (int d = 0; d < y->rank; d++) {
        const int da = d - (y->rank - ra), db = d - (y->rank - rb);
        const int64_t na = da < 0 ? 1 : a->dim[da], nb = db < 0 ? 1 : b->dim[db];
        if (na != nb && na != 1 && nb != 1) return fail_sizes(q, "batch dimensions", na, nb);
        y->dim[d] = na == 1 ? nb : na;
    }
    return PN_OK;
}

static pn_status infer(pn_infer *q) {
    const pn_shape *a = &q->in[0], *b = &q->in[1];
    pn_shape *y = &q->out[0];
    for (int i = 0; i < 2; i++) {
        if (q->in[i].rank == 0) return pn_fail_shape(q, i ? "b" : "a", i, "at least one dimension; use * for numbers");
    }
    const bool ta = q->attrs[0].i && a->rank > 1, tb = q->attrs[1].i && b->rank > 1;
    const int64_t ka = a->dim[a->rank - 1 - ta], kb = b->rank > 1 ? b->dim[b->rank - 2 + tb] : b->dim[0];
    if (ka != kb) return fail_sizes(q, "the inner sizes", ka, kb);
    pn_status status = infer_batch(q);
    if (status) return status;
    y->dtype = a->dtype;
    if (a->rank > 1) y->dim[y->rank++] = a->dim[a->rank - 2 + ta];
    if (b->rank > 1) y->dim[y->rank++] = b->dim[b->rank - 1 - tb];
    const pn_view in[2] = {{NULL, *a}, {NULL, *b}};
    const problem p = read_problem(in, y, q->attrs);
    const pn_gemm_shape shapes[3] = {forward_shape(&p), gradient_shape(&p, 0), gradient_shape(&p, 1)};
    for (int i = 0; i < 3; i++) {
        const size_t bytes = pn_product_scratch(q->kernels, y->dtype, &shapes[i]);
        q->member_scratch = bytes > q->member_scratch ? bytes : q->member_scratch;
    }
    q->flops = 2.0 * (double)p.batch * (double)p.m * (double)p.n * (double)p.k;
    return PN_OK;
}

static const pn_field fields[] = {{"transpose_a", PN_BOOL, NULL, "False"}, {"transpose_b", PN_BOOL, NULL, "False"}, {0}};

const pn_op pn_op_matmul = {
    .name = "matmul",
    .formula = "y = A B",
    .derivative = "gA = gy B^T, gB = A^T gy",
    .inputs = "a:r b:r",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward_f, forward_d},
    .bwd = {backward_f, backward_d},
    .needs_in = 3,
    .file = "ops/matmul.c",
};
#endif
