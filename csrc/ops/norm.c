/* layer_norm, group_norm: y = (x - mean) / sqrt(variance + eps) w + b, with the mean and the variance (divided by n) of each row of n elements.
 *
 * layer_norm: x (*, normalized_shape), a row is the last dimensions, w and b have their shape. group_norm: x (n, c, *), a row is one group of
 * c / num_groups channels of one sample, w and b (c,) have one number a channel. y like x. Nothing crosses samples, and nothing is remembered.
 * With h = (x - mean) / deviation and g = gy w: gx = (g - mean g - h mean(g h)) / deviation, gw = sum of gy h, gb = sum of gy.
 *
 * Sums run in double around the row's first value, so a row far from 0 keeps its digits; one pass takes them, one writes. Few and long rows are cut for
 * the team, others belong to one member each. Gradients of w and b are summed chunk by chunk. Cost: about 8 per element.
 * Sources: Ba et al. 2016; Wu and He 2018; lecture 004.
 */
#ifdef PN_REAL_PASS

/* ---- one unit of a row: a piece of a run ---- */

/* y. */
static void R_(write_unit)(const pn_call *c, const layout *l, int64_t row, int64_t unit) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const span s = span_of(l, row, unit);
    const moment *saved = (const moment *)c->saved + row;
    const real *x = (const real *)c->in[0].data + s.at, *w = c->n_in > 1 ? c->in[1].data : NULL, *b = c->n_in > 2 ? c->in[2].data : NULL;
    const real middle = (real)saved->middle;
    real *y = (real *)c->out[0].data + s.at;
    const double a = saved->scale * (w && !l->by_column ? w[s.first] : 1), q = -saved->off * a;
    if (w && l->by_column)
        k->layer_norm.rescale(y, x, w + s.first, b ? b + s.first : NULL, s.n, middle, (real)a, (real)q);
    else
        k->batch_norm.rescale(y, x, s.n, middle, (real)a, (real)(q + (b ? b[s.first] : 0)));
}

/* Sums of g and of g (x - middle), where g is gy, with layer_norm's weights gy w. */
static void R_(sum_unit)(const pn_call *c, const layout *l, int64_t row, int64_t unit, double *sums) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const span s = span_of(l, row, unit);
    const real *x = (const real *)c->in[0].data + s.at, *gy = (const real *)c->gout[0].data + s.at, *w = c->n_in > 1 ? c->in[1].data : NULL;
    const real middle = (real)((const moment *)c->saved)[row].middle;
    sums[0] = sums[1] = 0;
    if (w && l->by_column)
        k->layer_norm.products(&sums[0], &sums[1], gy, w + s.first, x, s.n, middle);
    else
        k->batch_norm.products(&sums[0], &sums[1], gy, x, s.n, middle);
}

/* gx; 0 where a row is one value, which becomes b whatever it is. */
static void R_(gradient_unit)(const pn_call *c, const layout *l, int64_t row, int64_t unit, const double *slope) {
    const span s = span_of(l, row, unit);
    const moment *saved = (const moment *)c->saved + row;
    const real *x = (const real *)c->in[0].data + s.at, *gy = (const real *)c->gout[0].data + s.at, *w = c->n_in > 1 ? c->in[1].data : NULL;
    R_(pn_call_kernels)(c)->layer_norm.gradient((real *)c->gin[0].data + s.at, gy, w && l->by_column ? w + s.first : NULL, x, s.n, w ? w[s.first] : 1,
                                                saved->middle, slope[0], slope[1], l->n > 1 ? saved->scale : 0, c->gin_add[0]);
}

/* ---- one row ---- */

/* Sums of x - first and of its square over piece i of a row, where `first` is its first value. */
static void R_(row_moments)(const pn_call *c, const layout *l, int64_t row, int64_t i, double *sums) {
    const real *x = (const real *)c->in[0].data + row * l->n;
    sums[0] = sums[1] = 0;
    R_(pn_call_kernels)(c)->batch_norm.moments(&sums[0], &sums[1], x + i * PIECE, pn_least(l->n - i * PIECE, PIECE), x[0]);
}

/* The row's mean and 1 / deviation to saved. */
static void R_(finish_row)(const pn_call *c, const layout *l, int64_t row, const double *sums) {
    const double first = ((const real *)c->in[0].data)[row * l->n], n = (double)l->n;
    const double off = sums[0] / n, variance = sums[1] / n - off * off, middle = (real)(first + off);
    ((moment *)c->saved)[row] = (moment){middle, (first - middle) + off, 1 / sqrt((variance < 0 ? 0 : variance) + c->attrs[1].f)};
}

/* gx is scale (g + slope[0] (x - middle) + slope[1]). sums: those of the row's units. */
static void R_(find_slope)(const pn_call *c, const layout *l, int64_t row, const double *sums, double *slope) {
    const moment *saved = (const moment *)c->saved + row;
    const real *w = c->n_in > 1 && !l->by_column ? c->in[1].data : NULL;
    double sum = 0, product = 0;
    for (int64_t unit = 0; unit < l->units; unit++) {
        const double factor = w ? w[span_of(l, row, unit).first] : 1;
        sum += factor * sums[2 * unit], product += factor * sums[2 * unit + 1];
    }
    slope[0] = -saved->scale * saved->scale * (product - saved->off * sum) / (double)l->n;
    slope[1] = -sum / (double)l->n - slope[0] * saved->off;
}

/* ---- all rows, each by one member ---- */

static void R_(rows_forward)(const pn_call *c, pn_member *m, const layout *l) {
    int64_t lo, hi, done = 0;
    pn_member_share(m, l->rows, l->block, &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        double total[2] = {0}, sums[2];
        for (int64_t i = 0; i * PIECE < l->n; i++) {
            R_(row_moments)(c, l, row, i, sums);
            total[0] += sums[0], total[1] += sums[1];
            if (stopped(m, &done, pn_least(l->n, PIECE))) return;
        }
        R_(finish_row)(c, l, row, total);
        for (int64_t unit = 0; unit < l->units; unit++) {
            R_(write_unit)(c, l, row, unit);
            if (stopped(m, &done, l->piece)) return;
        }
    }
}

static void R_(rows_backward)(const pn_call *c, pn_member *m, const layout *l) {
    double *sums = c->scratch, slope[2];
    int64_t lo, hi, done = 0;
    pn_member_share(m, l->rows, l->block, &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        double *mine = sums + 2 * row * l->units;
        for (int64_t unit = 0; unit < l->units; unit++) {
            R_(sum_unit)(c, l, row, unit, mine + 2 * unit);
            if (stopped(m, &done, l->piece)) return;
        }
        if (!c->gin[0].data) continue;
        R_(find_slope)(c, l, row, mine, slope);
        for (int64_t unit = 0; unit < l->units; unit++) {
            R_(gradient_unit)(c, l, row, unit, slope);
            if (stopped(m, &done, l->piece)) return;
        }
    }
}

/* ---- few rows, each by all members ---- */

static void R_(cut_forward)(const pn_call *c, pn_member *m, const layout *l) {
    const int64_t pieces = pn_blocks_of(l->n, PIECE);
    double *sums = c->scratch;
    int64_t lo, hi, done = 0;
    pn_member_range(m, l->rows * pieces, &lo, &hi);
    for (int64_t i = lo; i < hi && !stopped(m, &done, PIECE); i++) R_(row_moments)(c, l, i / pieces, i % pieces, sums + 2 * i);
    pn_member_barrier(m);
    pn_member_range(m, l->rows, &lo, &hi);
    for (int64_t row = lo; row < hi; row++) {
        double total[2] = {0};
        for (int64_t i = row * pieces; i < (row + 1) * pieces; i++) total[0] += sums[2 * i], total[1] += sums[2 * i + 1];
        R_(finish_row)(c, l, row, total);
    }
    pn_member_barrier(m);
    pn_member_share(m, l->rows * l->units, l->cut, &lo, &hi);
    for (int64_t i = lo; i < hi && !stopped(m, &done, l->piece); i++) R_(write_unit)(c, l, i / l->units, i % l->units);
}

static void R_(cut_backward)(const pn_call *c, pn_member *m, const layout *l) {
    double *sums = c->scratch, slope[2];
    int64_t lo, hi, done = 0, last = -1;
    pn_member_share(m, l->rows * l->units, l->cut, &lo, &hi);
    for (int64_t i = lo; i < hi && !stopped(m, &done, l->piece); i++) R_(sum_unit)(c, l, i / l->units, i % l->units, sums + 2 * i);
    pn_member_barrier(m);
    for (int64_t i = lo; c->gin[0].data && i < hi && !stopped(m, &done, l->piece); i++) {
        const int64_t row = i / l->units;
        if (row != last) R_(find_slope)(c, l, row, sums + 2 * row * l->units, slope);
        R_(gradient_unit)(c, l, last = row, i % l->units, slope);
    }
}

/* ---- gradients of w and b ---- */

/* layer_norm: sums of gy h and of gy over chunks of rows, to `to` (chunks, 2, channels). */
static void R_(sum_columns)(const pn_call *c, pn_member *m, const layout *l, double *to) {
    const int64_t wide = pn_blocks_of(l->channels, WIDTH);
    int64_t lo, hi;
    pn_member_range(m, l->chunks * wide, &lo, &hi);
    for (int64_t b = lo; b < hi && !pn_member_stopped(m); b++) {
        const int64_t chunk = b / wide, from = b % wide * WIDTH, row = chunk * CHUNK;
        const real *x = (const real *)c->in[0].data + row * l->n + from, *gy = (const real *)c->gout[0].data + row * l->n + from;
        double *gw = to + 2 * chunk * l->channels + from, *gb = gw + l->channels;
        R_(pn_call_kernels)(c)->layer_norm.weight_sums(gw, gb, gy, x, (const double *)((const moment *)c->saved + row), pn_least(l->rows - row, CHUNK),
                                                       pn_least(l->channels - from, WIDTH), l->n);
    }
}

/* gw and gb of one channel: its chunks, or its units of all samples, in order. */
static void R_(finish_channel)(const pn_call *c, const layout *l, int64_t channel, const double *sums, double *found) {
    found[0] = found[1] = 0;
    if (l->by_column) {
        sums += channel;
        for (int64_t i = 0; i < l->chunks; i++, sums += 2 * l->channels) found[0] += sums[0], found[1] += sums[l->channels];
        return;
    }
    const int64_t runs = l->channels / l->groups, pieces = l->units / runs;
    for (int64_t row = channel / runs; row < l->rows; row += l->groups) {
        const moment *saved = (const moment *)c->saved + row;
        const double *mine = sums + 2 * (row * l->units + channel % runs * pieces);
        for (int64_t i = 0; i < pieces; i++) {
            found[0] += saved->scale * (mine[2 * i + 1] - saved->off * mine[2 * i]);
            found[1] += mine[2 * i];
        }
    }
}

static void R_(backward)(const pn_call *c, pn_member *m, const layout *l) {
    const bool wanted[2] = {c->n_in > 1 && c->gin[1].data, c->n_in > 2 && c->gin[2].data};
    const bool params = wanted[0] || wanted[1];
    double *sums = (double *)c->scratch + (l->by_column ? 2 * l->rows * l->units : 0), found[2];
    int64_t lo, hi;
    if (params && l->by_column) R_(sum_columns)(c, m, l, sums);
    if (c->gin[0].data || !l->by_column) (l->cut ? R_(cut_backward) : R_(rows_backward))(c, m, l);
    if (!params) return;
    pn_member_barrier(m);
    pn_member_share(m, l->channels, WIDTH, &lo, &hi);
    for (int64_t channel = lo; channel < hi; channel++) {
        R_(finish_channel)(c, l, channel, sums, found);
        for (int i = 0; i < 2; i++) { /* one tensor may be both: then one after the other */
            real *g = wanted[i] ? c->gin[1 + i].data : NULL;
            if (g) g[channel] = (real)(found[i] + (c->gin_add[1 + i] ? g[channel] : 0));
        }
    }
}

static void R_(forward)(const pn_call *c, pn_member *m, const layout *l) {
    if (!l->n) return;
    (l->cut ? R_(cut_forward) : R_(rows_forward))(c, m, l);
}

static void R_(layer_forward)(const pn_call *c, pn_member *m) {
    const layout l = layer_layout(&c->in[0].shape, c->attrs);
    R_(forward)(c, m, &l);
}
static void R_(layer_backward)(const pn_call *c, pn_member *m) {
    const layout l = layer_layout(&c->in[0].shape, c->attrs);
    R_(backward)(c, m, &l);
}
static void R_(group_forward)(const pn_call *c, pn_member *m) {
    const layout l = group_layout(&c->in[0].shape, c->attrs);
    R_(forward)(c, m, &l);
}
static void R_(group_backward)(const pn_call *c, pn_member *m) {
    const layout l = group_layout(&c->in[0].shape, c->attrs);
    R_(backward)(c, m, &l);
}

#else
#include "ops/op_helpers.h"

#define CHUNK 256      /* rows whose columns are summed at a time */
#define WIDTH 64       /* columns that are summed side by side, channels that a member finishes at a time */
#define PIECE PN_BLOCK /* elements of a row that are worked on at a time */
#define FEW 16         /* so many rows leave members of a team without work */

/* Looks at the poll every PN_PIECE elements: *done counts them. What a member leaves undone nobody reads. */
static inline bool stopped(pn_member *m, int64_t *done, int64_t n) {
    if ((*done += n) < PN_PIECE) return false;
    *done = 0;
    return pn_member_stopped(m);
}

/* x as (rows, n). A row is a sequence of runs with one w and b each; layer_norm's is one run, whose elements have their own. A run is cut into pieces: the
 * units of the row. */
typedef struct layout {
    int64_t rows, n, run, piece, units;
    int64_t groups, channels;
    int64_t chunks; /* of the sums over columns: CHUNK rows each */
    int64_t block;  /* rows that a member takes at a time */
    int64_t cut;    /* units that a member takes at a time, 0 when rows are not cut */
    bool by_column; /* layer_norm */
} layout;

/* A row's mean is middle + off, where middle is a real number and off what rounding it has left; scale is 1 / deviation. */
typedef struct moment {
    double middle, off, scale;
} moment;

/* Unit of a row: n elements from x[at] on; w and b begin at `first`, its channel or its column. */
typedef struct span {
    int64_t at, n, first;
} span;

static inline span span_of(const layout *l, int64_t row, int64_t unit) {
    const int64_t pieces = l->run > l->piece ? pn_blocks_of(l->run, l->piece) : 1, run = unit / pieces, from = unit % pieces * l->piece;
    const int64_t first = l->by_column ? from : row % l->groups * (l->channels / l->groups) + run;
    return (span){row * l->n + run * l->run + from, pn_least(l->run - from, l->piece), first};
}

static layout cut_rows(layout l) {
    l.piece = pn_least(l.run, PIECE);
    l.units = l.run ? l.n / l.run * pn_blocks_of(l.run, l.piece) : 0;
    l.block = l.n < PN_BLOCK ? PN_BLOCK / (l.n ? l.n : 1) : 1;
    if (l.rows < FEW && l.n > PIECE) l.cut = l.piece < PN_BLOCK ? PN_BLOCK / l.piece : 1;
    return l;
}

static layout layer_layout(const pn_shape *x, const pn_value *attrs) {
    const int first = x->rank - attrs[0].n;
    layout l = {.rows = pn_shape_count(x, 0, first), .n = pn_shape_count(x, first, x->rank), .groups = 1, .by_column = true};
    l.run = l.channels = l.n;
    l.chunks = pn_blocks_of(l.rows, CHUNK);
    return cut_rows(l);
}
static layout group_layout(const pn_shape *x, const pn_value *attrs) {
    layout l = {.groups = attrs[0].i, .run = pn_shape_count(x, 2, x->rank), .channels = x->dim[1]};
    l.rows = x->dim[0] * l.groups;
    l.n = l.channels / l.groups * l.run;
    return cut_rows(l);
}

#define PN_REAL_FILE "ops/norm.c"
#include "base/real.h"

static pn_status infer_rows(pn_infer *q, const layout *l) {
    const double eps = q->attrs[1].f;
    if (!(eps >= 0) || !isfinite(eps)) return pn_fail(q->error, PN_E_VALUE, "eps is %g, expected a finite number from 0 on", eps);
    q->out[0] = q->in[0];
    q->saved = (size_t)l->rows * sizeof(moment);
    q->scratch = (size_t)(l->rows * (l->units + pn_blocks_of(l->n, PIECE)) + l->chunks * l->channels) * 2 * sizeof(double);
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
