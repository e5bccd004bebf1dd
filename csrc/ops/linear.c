/* linear: y = x W^T + b, optionally an activation behind it. gz = gy act'(y), gx = gz W, gW = gz^T x, gb = sum of gz over rows.
 *
 * Shapes: x (*, in), weight (out, in), bias (out,) or absent, y (*, out); all but the last dimension of x are rows. Cost: 2 rows in out.
 * The activation is for plans: they fuse one whose derivative needs y only (pn_acts[].needs_x false). Then backward overwrites gout by gz, which is why
 * only a caller that owns gout may set it. Source: lectures 001 to 004; weights are (out, in) as in PyTorch, so that a row belongs to a neuron.
 */
#ifdef PN_REAL_PASS

#include "ops/fused.h"

static void R_(forward)(const pn_call *c, pn_member *m) {
    const sizes s = read_sizes(c);
    double p[2];
    R_(pn_gemm_call) g = {
        .s = forward_shape(&s),
        .a = c->in[0].data,
        .b = c->in[1].data,
        .c = c->out[0].data,
        .bias = c->n_in > 2 ? c->in[2].data : NULL,
        .act = (int)c->attrs[0].i,
        .act_params = pn_fused_params(c, p),
    };
    if (pn_gemm_is_tiny(&g.s)) {
        if (pn_member_takes_alone(m)) R_(pn_call_kernels)(c)->gemm.tiny(&g);
        return;
    }
    const int64_t blocks = R_(pn_call_kernels)(c)->gemm.blocks(&g.s);
    int64_t lo, hi;
    pn_product_share(m, blocks, 0, 1, &lo, &hi);
    R_(pn_product_run)(c, m, &g, lo, hi);
}

/* gb, its columns shared in strips */
static void R_(bias_gradient)(const pn_call *c, pn_member *m, const sizes *s) {
    const real *gz = c->gout[0].data;
    real *gb = c->gin[2].data;
    int64_t lo, hi;
    pn_member_share(m, s->out, STRIP, &lo, &hi);
    if (lo < hi) R_(pn_call_kernels)(c)->column_sums(gb + lo, gz + lo, s->rows, hi - lo, s->out, c->gin_add[2]);
}

/* Input gradient and weight gradient read the same gz: side by side while it is in cache. */
static void R_(products)(const pn_call *c, pn_member *m, const sizes *s) {
    const real *x = c->in[0].data, *w = c->in[1].data, *gz = c->gout[0].data;
    R_(pn_gemm_call) g[2] = {{.s = input_shape(s), .a = gz, .b = w}, {.s = weight_shape(s), .a = gz, .b = x}};
    const int together = c->gin[0].data && c->gin[1].data && !is_same(c) ? 2 : 1;
    for (int i = 0; i < 2; i++) {
        if (!c->gin[i].data) continue;
        if (is_same(c) && i == 1) pn_member_barrier(m);
        g[i].c = c->gin[i].data;
        g[i].add = c->gin_add[i];
        g[i].act = -1;
        const int64_t blocks = R_(pn_call_kernels)(c)->gemm.blocks(&g[i].s);
        int64_t lo, hi;
        pn_product_share(m, blocks, together == 2 ? i : 0, together, &lo, &hi);
        R_(pn_product_run)(c, m, &g[i], lo, hi);
    }
}

/* All of backward by one member, for a layer whose products are tiny. */
static void R_(backward_alone)(const pn_call *c, const sizes *s) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int act = (int)c->attrs[0].i;
    const real *x = c->in[0].data, *w = c->in[1].data;
    real *gz = c->gout[0].data;
    double p[2];
    if (act >= 0) k->act_backward[act](gz, NULL, c->out[0].data, gz, s->rows * s->out, pn_fused_params(c, p), false);
    const R_(pn_gemm_call) gx = {.s = input_shape(s), .a = gz, .b = w, .c = c->gin[0].data, .add = c->gin_add[0], .act = -1};
    const R_(pn_gemm_call) gw = {.s = weight_shape(s), .a = gz, .b = x, .c = c->gin[1].data, .add = c->gin_add[1], .act = -1};
    if (gx.c) k->gemm.tiny(&gx);
    if (gw.c) k->gemm.tiny(&gw);
    if (c->n_in > 2 && c->gin[2].data) k->column_sums(c->gin[2].data, gz, s->rows, s->out, s->out, c->gin_add[2]);
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    const sizes s = read_sizes(c);
    if (is_tiny(&s)) {
        if (pn_member_takes_alone(m)) R_(backward_alone)(c, &s);
        return;
    }
    if (c->attrs[0].i >= 0) R_(through_activation)(c, m);
    R_(products)(c, m, &s);
    if (c->n_in > 2 && c->gin[2].data) R_(bias_gradient)(c, m, &s);
}

/* One block of the weight: rows [r, r + rows), columns [k, k + cols). */
static void R_(update_block)(const pn_call *c, pn_member *m, const sizes *s, const tiles *t, int64_t block, pn_update rule, const pn_hyper *h,
                             void *const state[3]) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t row = block / t->across * t->rows, col = block % t->across * t->cols;
    const pn_gemm_shape shape = block_shape(s, t, row, col);
    real *gradient = m->scratch, *w = (real *)c->in[1].data + row * s->in + col, *arrays[3];
    for (int i = 0; i < 3; i++) arrays[i] = state[i] ? (real *)state[i] + row * s->in + col : NULL;
    const R_(pn_gemm_call) g = {.s = shape, .a = (const real *)c->gout[0].data + row, .b = (const real *)c->in[0].data + col, .c = gradient, .act = -1};
    k->gemm.run(&g, 0, k->gemm.blocks(&g.s), gradient + t->room);
    if (shape.n == s->in) { /* whole rows lie one behind the other */
        k->update[rule](w, gradient, arrays[0], arrays[1], arrays[2], shape.m * shape.n, h);
        return;
    }
    for (int64_t r = 0; r < shape.m; r++) {
        const int64_t at = r * s->in;
        k->update[rule](w + at, gradient + r * shape.ldc, arrays[0] ? arrays[0] + at : NULL, arrays[1] ? arrays[1] + at : NULL,
                        arrays[2] ? arrays[2] + at : NULL, shape.n, h);
    }
}

static void R_(update)(const pn_call *c, pn_member *m, pn_update rule, const pn_hyper *h, void *const state[3]) {
    const sizes s = read_sizes(c);
    const tiles t = cut_weight(c->kernels, s.out, s.in);
    int64_t lo, hi;
    pn_member_range(m, t.down * t.across, &lo, &hi);
    for (int64_t block = lo; block < hi; block++) R_(update_block)(c, m, &s, &t, block, rule, h, state);
}

#else
#include "ops/fused.h"
#include "ops/linear.h"
#include "ops/product.h"
#include <stdio.h>

#define STRIP 64 /* columns of the bias gradient that stay together */

/* x is (rows, in), the weight (out, in), y (rows, out) */
typedef struct sizes {
    int64_t rows, in, out;
} sizes;
static inline sizes read_sizes(const pn_call *c) {
    const pn_shape *x = &c->in[0].shape, *w = &c->in[1].shape;
    return (sizes){.rows = pn_shape_count(x, 0, x->rank - 1), .in = w->dim[1], .out = w->dim[0]};
}

/* x is also the weight, and both gradients lie in one memory: first one, then the other. */
static inline bool is_same(const pn_call *c) { return c->gin[0].data == c->gin[1].data; }

static inline pn_gemm_shape forward_shape(const sizes *s) {
    return (pn_gemm_shape){.m = s->rows, .n = s->out, .k = s->in, .tb = true, .lda = s->in, .ldb = s->in, .ldc = s->out};
}
static inline pn_gemm_shape input_shape(const sizes *s) { /* gx = gz W */
    return (pn_gemm_shape){.m = s->rows, .n = s->in, .k = s->out, .lda = s->out, .ldb = s->in, .ldc = s->in};
}
static inline pn_gemm_shape weight_shape(const sizes *s) { /* gW = gz^T x */
    return (pn_gemm_shape){.m = s->out, .n = s->in, .k = s->rows, .ta = true, .lda = s->out, .ldb = s->in, .ldc = s->in};
}

static inline bool is_tiny(const sizes *s) {
    const pn_gemm_shape gx = input_shape(s), gw = weight_shape(s);
    return pn_gemm_is_tiny(&gx) && pn_gemm_is_tiny(&gw);
}

/* The weight cut into blocks for its fused update. */
typedef struct tiles {
    int64_t rows, cols;   /* of a block; the last ones may be smaller */
    int64_t down, across; /* blocks */
    int64_t room;         /* elements of the largest block, in whole cache lines */
} tiles;

/* About as high as register tiles (14 rows with AVX-512, 12 serve the others), 32 KiB to 64 KiB large: by shape and instruction set alone. */
static tiles cut_weight(const pn_kernels *k, int64_t out, int64_t in) {
    const int64_t unit = k->isa == PN_ISA_AVX512 ? 14 : 12, cols = in < 1024 ? in : 1024;
    int64_t rows = unit * (cols ? 8192 / (unit * cols) : 1);
    if (rows < unit) rows = unit;
    if (rows > out) rows = out;
    if (rows > 0) rows = (out + pn_blocks_of(out, rows) - 1) / pn_blocks_of(out, rows); /* evened out, so that no member gets a crumb */
    const bool some = rows > 0 && cols > 0;
    return (tiles){.rows = rows,
                   .cols = cols,
                   .down = some ? pn_blocks_of(out, rows) : 0,
                   .across = some ? pn_blocks_of(in, cols) : 0,
                   .room = (rows * cols + 15) / 16 * 16};
}

/* gW of a block, into a buffer of its own */
static pn_gemm_shape block_shape(const sizes *s, const tiles *t, int64_t row, int64_t col) {
    pn_gemm_shape shape = weight_shape(s);
    shape.m = s->out - row < t->rows ? s->out - row : t->rows;
    shape.n = s->in - col < t->cols ? s->in - col : t->cols;
    shape.ldc = shape.n;
    return shape;
}

#define PN_REAL_FILE "ops/linear.c"
#include "base/real.h"

void pn_linear_update(const pn_call *c, pn_member *m, pn_update rule, const pn_hyper *h, void *const state[3]) {
    (c->in[1].shape.dtype == PN_F32 ? update_f : update_d)(c, m, rule, h, state);
}

size_t pn_linear_update_scratch(const pn_kernels *k, const pn_shape *x, const pn_shape *weight) {
    const sizes s = {.rows = pn_shape_count(x, 0, x->rank - 1), .in = weight->dim[1], .out = weight->dim[0]};
    const tiles t = cut_weight(k, s.out, s.in);
    size_t most = 0;
    if (t.down * t.across == 0) return 0;
    /* Blocks come in at most four sizes: inner ones, and those at the two edges. */
    for (int edge = 0; edge < 4; edge++) {
        const pn_gemm_shape shape = block_shape(&s, &t, edge & 1 ? (t.down - 1) * t.rows : 0, edge & 2 ? (t.across - 1) * t.cols : 0);
        const size_t bytes = pn_product_scratch(k, weight->dtype, &shape);
        most = bytes > most ? bytes : most;
    }
    return most + (size_t)t.room * pn_dtype_bytes(weight->dtype);
}

/* The last dimension of x is not `features`; when all behind the batch together are that many, maps have not been flattened. */
static pn_status fail_features(pn_infer *q, int64_t features) {
    const pn_shape *x = &q->in[0];
    char text[256], hint[96] = "";
    int64_t left = features; /* divided, since a product might overflow */
    for (int i = 1; i < x->rank; i++) left = x->dim[i] > 0 && left % x->dim[i] == 0 ? left / x->dim[i] : 0;
    if (x->rank > 2 && left == 1) snprintf(hint, sizeof hint, "; nn.Flatten() before it makes (%lld, %lld)", (long long)x->dim[0], (long long)features);
    return pn_fail(q->error, PN_E_VALUE, "x has shape %s, expected (*, %lld)%s", pn_shape_text(x, text), (long long)features, hint);
}

static pn_status infer(pn_infer *q) {
    const pn_shape *x = &q->in[0], *w = &q->in[1];
    char text[256];
    if (w->rank != 2) return pn_fail_shape(q, "weight", 1, "(out, in)");
    if (x->rank < 1 || x->dim[x->rank - 1] != w->dim[1]) return fail_features(q, w->dim[1]);
    if (q->n_in > 2 && (q->in[2].rank != 1 || q->in[2].dim[0] != w->dim[0])) {
        return pn_fail(q->error, PN_E_VALUE, "bias has shape %s, expected (%lld,)", pn_shape_text(&q->in[2], text), (long long)w->dim[0]);
    }
    q->out[0] = *x;
    q->out[0].dim[x->rank - 1] = w->dim[0];
    const sizes s = {.rows = pn_shape_count(x, 0, x->rank - 1), .in = w->dim[1], .out = w->dim[0]};
    const pn_gemm_shape shapes[3] = {forward_shape(&s), input_shape(&s), weight_shape(&s)};
    for (int i = 0; i < 3; i++) {
        const size_t bytes = pn_product_scratch(q->kernels, x->dtype, &shapes[i]);
        q->member_scratch = bytes > q->member_scratch ? bytes : q->member_scratch;
    }
    q->flops = 2.0 * (double)s.rows * (double)s.in * (double)s.out;
    return PN_OK;
}

/* Set by plans only. activation: a pn_act, -1 for none; p0, p1: its parameters. */
static const pn_field fields[] = {{"activation", PN_INT, NULL, "-1"}, {"p0", PN_FLOAT, NULL, "0"}, {"p1", PN_FLOAT, NULL, "0"}, {0}};

const pn_op pn_op_linear = {
    .name = "linear",
    .formula = "y = x W^T + b",
    .derivative = "gx = gy W, gW = gy^T x, gb = sum of gy over rows",
    .inputs = "x:r weight:r bias:r?",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward_f, forward_d},
    .bwd = {backward_f, backward_d},
    .needs_in = 3,
    .needs_out = 1,
    .flags = PN_FUSES,
    .file = "ops/linear.c",
};
#endif
