/* layer_norm, group_norm: y = (x - mean) / sqrt(variance + eps) w + b, with the mean and the variance (divided by n) of each row of n elements.
 *
 * layer_norm: x (*, normalized_shape), a row is the last dimensions, w and b have their shape. group_norm: x (n, c, *), a row is one group of
 * c / num_groups channels of one sample, w and b (c,) have one number a channel. y like x. Nothing crosses samples, and nothing is remembered.
 * With h = (x - mean) / deviation and g = gy w: gx = (g - mean g - h mean(g h)) / deviation, gw = sum of gy h, gb = sum of gy.
 *
 * The mean is taken off before anything is squared, so a row far from 0 keeps its digits. Sums run in double and in an order fixed by shape: a row in
 * pieces of PN_BLOCK, gradients of w and b chunk by chunk. Cost: about 8 per element. Sources: Ba et al. 2016; Wu and He 2018; lecture 004.
 */
#ifdef PN_REAL_PASS

/* Numbers of w or b for elements [at, at + n) of a row: where they lie, or repeated along the runs into `room` (n). */
static const real *R_(spread)(const layout *l, const R_(pn_kernels) *k, const real *from, int64_t row, int64_t at, int64_t n, real *room) {
    from += row % l->groups * (l->inner ? l->n / l->inner : 0);
    if (l->inner == 1) return from + at;
    for (int64_t i = 0; i < n;) {
        const int64_t channel = (at + i) / l->inner, end = least((channel + 1) * l->inner - at, n);
        k->fill(room + i, from[channel], end - i);
        i = end;
    }
    return room;
}

/* One row: y, and its mean and 1 / deviation to saved (2). */
static void R_(forward_row)(const pn_call *c, pn_member *m, const layout *l, int64_t row, double *saved) {
    real *room = m->scratch;
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real *x = (const real *)c->in[0].data + row * l->n;
    real *y = (real *)c->out[0].data + row * l->n;
    double total = 0, rest = 0, squares = 0;
    saved[0] = saved[1] = 0;
    if (l->n == 0) return;
    for (int64_t i = 0; more(i, l->n, m); i += PN_BLOCK) total += k->sum(x + i, least(l->n - i, PN_BLOCK));
    const real mean = (real)(total / (double)l->n);
    for (int64_t i = 0; more(i, l->n, m); i += PN_BLOCK) {
        const int64_t n = least(l->n - i, PN_BLOCK);
        k->binary[PN_BIN_sub](y + i, x + i, 1, &mean, 0, n);
        rest += k->sum(y + i, n);
        squares += k->sum_squares(y + i, n);
    }
    rest /= (double)l->n; /* what rounding the mean has left */
    const double variance = squares / (double)l->n - rest * rest, scale = 1 / sqrt((variance < 0 ? 0 : variance) + c->attrs[1].f);
    const real shift = (real)rest;
    saved[0] = mean + rest, saved[1] = scale;
    for (int64_t i = 0; more(i, l->n, m); i += PN_BLOCK) {
        const int64_t n = least(l->n - i, PN_BLOCK);
        k->binary[PN_BIN_sub](y + i, y + i, 1, &shift, 0, n);
        k->scale(y + i, y + i, (real)scale, n, false);
        if (c->n_in > 1) k->binary[PN_BIN_mul](y + i, y + i, 1, R_(spread)(l, k, c->in[1].data, row, i, n, room), 1, n);
        if (c->n_in > 2) k->binary[PN_BIN_add](y + i, y + i, 1, R_(spread)(l, k, c->in[2].data, row, i, n, room), 1, n);
    }
}

/* g = gy w into room (n), or gy itself without a weight; x - mean behind it. */
static const real *R_(load_piece)(const pn_call *c, const layout *l, int64_t row, int64_t at, int64_t n, real mean, real *room) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real *x = (const real *)c->in[0].data + row * l->n, *gy = (const real *)c->gout[0].data + row * l->n;
    k->binary[PN_BIN_sub](room + l->piece, x + at, 1, &mean, 0, n);
    if (c->n_in == 1) return gy + at;
    k->binary[PN_BIN_mul](room, gy + at, 1, R_(spread)(l, k, c->in[1].data, row, at, n, room), 1, n);
    return room;
}

/* gx of one row, as scale (slope (x - mean) + g + offset). */
static void R_(backward_row)(const pn_call *c, pn_member *m, const layout *l, int64_t row, const double *saved) {
    real *room = m->scratch;
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real mean = (real)saved[0], *g = NULL;
    const double shift = saved[0] - mean, scale = saved[1];
    real *gx = (real *)c->gin[0].data + row * l->n, *t = room + l->piece;
    double sum = 0, product = 0;
    for (int64_t i = 0; more(i, l->n, m); i += PN_BLOCK) {
        const int64_t n = least(l->n - i, PN_BLOCK);
        g = R_(load_piece)(c, l, row, i, n, mean, room);
        sum += k->sum(g, n);
        product += k->dot(g, t, n);
    }
    const double slope = -scale * scale * (product - shift * sum) / (double)l->n;
    const real offset = (real)(-sum / (double)l->n - slope * shift);
    for (int64_t i = 0; more(i, l->n, m); i += PN_BLOCK) {
        const int64_t n = least(l->n - i, PN_BLOCK);
        if (l->n > PN_BLOCK) g = R_(load_piece)(c, l, row, i, n, mean, room); /* a row of one piece is still there */
        k->scale(t, t, (real)slope, n, false);
        k->accumulate(t, g, n);
        k->binary[PN_BIN_add](t, t, 1, &offset, 0, n);
        k->scale(gx + i, t, (real)scale, n, c->gin_add[0]);
    }
}

/* This member's share of the rows, forwards or backwards. */
static void R_(each_row)(const pn_call *c, pn_member *m, const layout *l, bool back) {
    const int64_t block = PN_BLOCK / (l->piece ? l->piece : 1);
    double *saved = c->saved;
    int64_t lo, hi;
    pn_member_share(m, l->rows, block, &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        if ((row - lo) % block == 0 && pn_member_stopped(m)) return;
        if (back)
            R_(backward_row)(c, m, l, row, saved + 2 * row);
        else
            R_(forward_row)(c, m, l, row, saved + 2 * row);
    }
}

/* layer_norm: sums of gy h and of gy over one chunk of rows, for columns [from, from + n), n <= WIDTH. */
static void R_(sum_columns)(const pn_call *c, const layout *l, int64_t chunk, int64_t from, int64_t n, double *partial) {
    const double *saved = c->saved;
    double gw[WIDTH] = {0}, gb[WIDTH] = {0};
    for (int64_t row = chunk * CHUNK, end = least(row + CHUNK, l->rows); row < end; row++) {
        const real *x = (const real *)c->in[0].data + row * l->n + from, *gy = (const real *)c->gout[0].data + row * l->n + from;
        const double mean = saved[2 * row], scale = saved[2 * row + 1];
        for (int64_t i = 0; i < n; i++) {
            gw[i] += gy[i] * ((x[i] - mean) * scale);
            gb[i] += gy[i];
        }
    }
    for (int64_t i = 0; i < n; i++) partial[2 * i] = gw[i], partial[2 * i + 1] = gb[i];
}

/* group_norm: the same two sums over one channel of one sample, number `run` of all. */
static void R_(sum_run)(const pn_call *c, pn_member *m, const layout *l, int64_t run, double *partial) {
    real *room = m->scratch;
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real *x = (const real *)c->in[0].data + run * l->inner, *gy = (const real *)c->gout[0].data + run * l->inner;
    const double *saved = (const double *)c->saved + 2 * (run / (l->channels / l->groups));
    const real mean = (real)saved[0];
    double product = 0, sum = 0;
    for (int64_t i = 0; more(i, l->inner, m); i += PN_BLOCK) {
        const int64_t n = least(l->inner - i, PN_BLOCK);
        k->binary[PN_BIN_sub](room, x + i, 1, &mean, 0, n);
        product += k->dot(gy + i, room, n);
        sum += k->sum(gy + i, n);
    }
    partial[0] = saved[1] * (product - (saved[0] - mean) * sum), partial[1] = sum;
}

/* Sums of gy h and gy by chunk into scratch (chunks, channels, 2). */
static void R_(sum_chunks)(const pn_call *c, pn_member *m, const layout *l) {
    double *partial = c->scratch;
    int64_t lo, hi;
    if (l->by_column) {
        const int64_t wide = pn_blocks_of(l->channels, WIDTH);
        pn_member_range(m, l->chunks * wide, &lo, &hi);
        for (int64_t b = lo; b < hi && !pn_member_stopped(m); b++) {
            const int64_t chunk = b / wide, from = b % wide * WIDTH;
            R_(sum_columns)(c, l, chunk, from, least(l->channels - from, WIDTH), partial + 2 * (chunk * l->channels + from));
        }
        return;
    }
    const int64_t block = l->inner < PN_BLOCK ? PN_BLOCK / (l->inner ? l->inner : 1) : 1;
    pn_member_share(m, l->chunks * l->channels, block, &lo, &hi);
    for (int64_t run = lo; run < hi; run++) {
        if ((run - lo) % block == 0 && pn_member_stopped(m)) return;
        R_(sum_run)(c, m, l, run, partial + 2 * run);
    }
}

/* gw or gb (which 0 or 1) of one channel: its chunks in order. */
static void R_(finish)(const pn_call *c, const layout *l, int64_t channel, int which) {
    const double *partial = (const double *)c->scratch + 2 * channel + which;
    real *g = c->gin[1 + which].data;
    double total = c->gin_add[1 + which] ? g[channel] : 0;
    for (int64_t i = 0; i < l->chunks; i++) total += partial[2 * i * l->channels];
    g[channel] = (real)total;
}

static void R_(backward)(const pn_call *c, pn_member *m, const layout *l) {
    const bool weight = c->n_in > 1 && c->gin[1].data, bias = c->n_in > 2 && c->gin[2].data;
    int64_t lo, hi;
    if (weight || bias) R_(sum_chunks)(c, m, l);
    if (c->gin[0].data) R_(each_row)(c, m, l, true);
    if (!weight && !bias) return;
    pn_member_barrier(m);
    pn_member_share(m, l->channels, WIDTH, &lo, &hi);
    for (int64_t channel = lo; channel < hi; channel++) { /* one tensor may be both: then one after the other */
        if (weight) R_(finish)(c, l, channel, 0);
        if (bias) R_(finish)(c, l, channel, 1);
    }
}

static void R_(layer_forward)(const pn_call *c, pn_member *m) {
    const layout l = layer_layout(&c->in[0].shape, c->attrs);
    R_(each_row)(c, m, &l, false);
}
static void R_(layer_backward)(const pn_call *c, pn_member *m) {
    const layout l = layer_layout(&c->in[0].shape, c->attrs);
    R_(backward)(c, m, &l);
}
static void R_(group_forward)(const pn_call *c, pn_member *m) {
    const layout l = group_layout(&c->in[0].shape, c->attrs);
    R_(each_row)(c, m, &l, false);
}
static void R_(group_backward)(const pn_call *c, pn_member *m) {
    const layout l = group_layout(&c->in[0].shape, c->attrs);
    R_(backward)(c, m, &l);
}

#else
#include "ops/op_helpers.h"

#define CHUNK 256 /* rows whose columns are summed at a time */
#define WIDTH 64  /* columns that are summed side by side */

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Whether a row of n elements goes on at piece i: a long one looks at the poll, and what it leaves undone nobody reads. */
static inline bool more(int64_t i, int64_t n, pn_member *m) { return i < n && (i == 0 || !pn_member_stopped(m)); }

/* x as (rows, n), rows of `groups` groups in turn; the elements of a row have the w and b of n / inner channels, each for a run of `inner`. */
typedef struct layout {
    int64_t rows, n, piece; /* piece: elements of a row that are worked on at a time */
    int64_t groups, inner, channels;
    int64_t chunks; /* parts of the sums over rows: CHUNK rows, or one sample */
    bool by_column; /* every row has the same w and b, element by element */
} layout;

static layout layer_layout(const pn_shape *x, const pn_value *attrs) {
    const int first = x->rank - attrs[0].n;
    layout l = {.rows = pn_shape_count(x, 0, first), .n = pn_shape_count(x, first, x->rank), .groups = 1, .inner = 1, .by_column = true};
    l.piece = least(l.n, PN_BLOCK);
    l.channels = l.n;
    l.chunks = pn_blocks_of(l.rows, CHUNK);
    return l;
}
static layout group_layout(const pn_shape *x, const pn_value *attrs) {
    layout l = {.groups = attrs[0].i, .inner = pn_shape_count(x, 2, x->rank), .channels = x->dim[1], .chunks = x->dim[0]};
    l.rows = x->dim[0] * l.groups;
    l.n = l.channels / l.groups * l.inner;
    l.piece = least(l.n, PN_BLOCK);
    return l;
}

#define PN_REAL_FILE "ops/norm.c"
#include "base/real.h"

static pn_status infer_rows(pn_infer *q, const layout *l) {
    const double eps = q->attrs[1].f;
    if (!(eps >= 0) || !isfinite(eps)) return pn_fail(q->error, PN_E_VALUE, "eps is %g, expected a finite number from 0 on", eps);
    q->out[0] = q->in[0];
    q->saved = (size_t)l->rows * 2 * sizeof(double);
    q->scratch = (size_t)(l->chunks * l->channels) * 2 * sizeof(double);
    q->member_scratch = 2 * (size_t)l->piece * pn_dtype_bytes(q->in[0].dtype);
    q->flops = 8.0 * (double)pn_shape_size(&q->in[0]);
    return PN_OK;
}

static pn_status layer_infer(pn_infer *q) {
    const pn_shape *x = &q->in[0];
    pn_shape last = {.rank = q->attrs[0].n};
    char text[256], other[256];
    if (last.rank < 1) return pn_fail(q->error, PN_E_VALUE, "normalized_shape is (), expected at least one size");
    memcpy(last.dim, q->attrs[0].ints, sizeof last.dim);
    pn_shape_text(&last, other);
    bool fits = x->rank >= last.rank;
    for (int i = 0; fits && i < last.rank; i++) fits = x->dim[x->rank - last.rank + i] == last.dim[i];
    if (!fits) {
        const size_t end = strlen(other) - (last.rank == 1 ? 2 : 1); /* "(5,)" and "(3, 5)" without their ends */
        return pn_fail(q->error, PN_E_VALUE, "x has shape %s, expected (*, %.*s): it is normalized over its last dimensions", pn_shape_text(x, text),
                       (int)end - 1, other + 1);
    }
    for (int i = 1; i < q->n_in; i++) {
        if (pn_shape_equal(&q->in[i], &last)) continue;
        return pn_fail(q->error, PN_E_VALUE, "%s has shape %s, expected %s as normalized_shape says", i == 1 ? "weight" : "bias",
                       pn_shape_text(&q->in[i], text), other);
    }
    const layout l = layer_layout(x, q->attrs);
    return infer_rows(q, &l);
}

/* w or b that has another number of channels than x. */
static pn_status fail_channels(pn_infer *q, int i) {
    const pn_shape *x = &q->in[0], *w = &q->in[i];
    const char *name = i == 1 ? "weight" : "bias";
    char text[256], other[256];
    pn_shape_text(x, text), pn_shape_text(w, other);
    if (w->rank == 1 && x->rank == 4 && x->dim[3] == w->dim[0]) {
        return pn_fail(q->error, PN_E_VALUE, "x has shape %s, expected (N, %lld, H, W) for %s of shape %s. Is it channels-last? Use x.transpose(0, 3, 1, 2)",
                       text, (long long)w->dim[0], name, other);
    }
    return pn_fail(q->error, PN_E_VALUE, "%s has shape %s, expected (%lld,) for x of shape %s", name, other, (long long)x->dim[1], text);
}

static pn_status group_infer(pn_infer *q) {
    const pn_shape *x = &q->in[0];
    const int64_t groups = q->attrs[0].i;
    char text[256];
    if (x->rank < 2) return pn_fail_shape(q, "x", 0, "(N, C, *)");
    if (groups < 1) return pn_fail(q->error, PN_E_VALUE, "num_groups is %lld, expected at least 1", (long long)groups);
    for (int i = 1; i < q->n_in; i++) {
        if (q->in[i].rank != 1 || q->in[i].dim[0] != x->dim[1]) return fail_channels(q, i);
    }
    if (x->dim[1] % groups) {
        return pn_fail(q->error, PN_E_VALUE, "x has shape %s, and its %lld channels cannot be divided into %lld groups of one size", pn_shape_text(x, text),
                       (long long)x->dim[1], (long long)groups);
    }
    const layout l = group_layout(x, q->attrs);
    return infer_rows(q, &l);
}

static const pn_field layer_fields[] = {{"normalized_shape", PN_INTS, NULL, NULL}, {"eps", PN_FLOAT, NULL, "1e-5"}, {0}};
static const pn_field group_fields[] = {{"num_groups", PN_INT, NULL, NULL}, {"eps", PN_FLOAT, NULL, "1e-5"}, {0}};

const pn_op pn_op_layer_norm = {
    .name = "layer_norm",
    .formula = "y = h w + b, h = (x - mean x) / sqrt(var x + eps) over the last dimensions",
    .derivative = "gx = (g - mean g - h mean(g h)) / sqrt(var x + eps) with g = gy w, gw = sum gy h, gb = sum gy",
    .inputs = "x:r weight:r? bias:r?",
    .n_out = 1,
    .fields = layer_fields,
    .infer = layer_infer,
    .fwd = {layer_forward_f, layer_forward_d},
    .bwd = {layer_backward_f, layer_backward_d},
    .needs_in = 3,
    .file = "ops/norm.c",
};
const pn_op pn_op_group_norm = {
    .name = "group_norm",
    .formula = "y = h w + b, h = (x - mean x) / sqrt(var x + eps) over the channels of a group and all positions",
    .derivative = "gx = (g - mean g - h mean(g h)) / sqrt(var x + eps) with g = gy w, gw = sum gy h, gb = sum gy",
    .inputs = "x:r weight:r? bias:r?",
    .n_out = 1,
    .fields = group_fields,
    .infer = group_infer,
    .fwd = {group_forward_f, group_forward_d},
    .bwd = {group_backward_f, group_backward_d},
    .needs_in = 3,
    .file = "ops/norm.c",
};
#endif
