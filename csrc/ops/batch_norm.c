/* batch_norm: y = h w + b (+ r) with h = (x - mean) / sqrt(var + eps), where mean and var of a channel are taken over the batch in training, and are the
 * running ones in evaluation. gx = (g - mean g - h mean(g h)) / sqrt(var + eps) with g = gy w in training, g / sqrt(var + eps) in evaluation; gw = sum gy h,
 * gb = sum gy.
 *
 * Shapes: x (N, C, *), running_mean, running_var, weight, bias (C,), count (): batches so far, residual (r) as x. In training with tracking, outputs 1 to 3 are
 * what inputs 1 to 3 become once the step is known to be good (PN_COMMITS): r + momentum (batch's - r), where the variance is divided by n - 1 as in
 * PyTorch; the y of the same step uses the one divided by n. momentum none: the plain mean over all batches.
 *
 * Three phases: sums by chunk and channel, in double around a middle value; then per channel what the last phase needs; then y or gx. With many channels a
 * member takes a channel through all three, else there are barriers between them. Chunks are cut by shape alone. Cost: 8 per element. The activation is for
 * plans, as in linear.c; so is the residual: an addition behind the batch norm. Sources: Ioffe and Szegedy 2015; PyTorch's conventions. */
#ifdef PN_REAL_PASS

/* The residual's gradient is gy. */
static void R_(pass_on)(const pn_call *c, int64_t at, int64_t n) {
    if (c->n_in <= RESIDUAL || !c->gin[RESIDUAL].data) return;
    R_(pn_put)(c, (real *)c->gin[RESIDUAL].data + at, (const real *)c->gout[0].data + at, n, c->gin_add[RESIDUAL]);
}

/* The sums of one channel over a chunk of runs, and before that, backward, the way through the activation. */
static void R_(sum_runs)(const pn_call *c, pn_member *m, const geometry *g, const work *w, int64_t chunk, int64_t channel) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real *x = c->in[0].data, *y = c->out[0].data, middle = ((const real *)w->middle)[channel];
    real *gy = w->back ? c->gout[0].data : NULL, *room = m->scratch;
    double *one = w->partial + 2 * chunk * g->channels + channel, *two = one + g->channels;
    *one = *two = 0;
    for (int64_t image = chunk * g->chunk, end = pn_least(image + g->chunk, g->images); image < end; image++) {
        const bool partial = g->lanes && image + 1 == g->images;
        for (int64_t i = 0; i < g->run; i += PN_BLOCK) {
            const int64_t at = (image * g->channels + channel) * g->run + i, n = pn_least(g->run - i, PN_BLOCK);
            const real *px = x + at, *pg = gy + at;
            int64_t count = n;
            if (i % PN_PIECE == 0 && pn_member_stopped(m)) return;
            if (w->back && w->act >= 0) k->act_backward[w->act](gy + at, NULL, y + at, gy + at, n, w->params, false);
            if (w->back) R_(pass_on)(c, at, n);
            if (partial) px = R_(pack_lanes)(room, px, n, g->lanes), count = n / PN_LAYOUT_LANES * g->lanes;
            if (!w->back)
                k->batch_norm.moments(one, two, px, count, middle);
            else if (w->sums)
                k->batch_norm.products(one, two, partial ? R_(pack_lanes)(room + PN_BLOCK, pg, n, g->lanes) : pg, px, count, middle);
        }
    }
}

/* The same for a chunk of rows whose columns are the channels. */
static void R_(sum_rows)(const pn_call *c, const geometry *g, const work *w, int64_t chunk) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t cols = g->channels, first = chunk * g->chunk, rows = pn_least(g->images - first, g->chunk), at = first * cols;
    const real *x = (const real *)c->in[0].data + at;
    double *one = w->partial + 2 * chunk * cols;
    memset(one, 0, (size_t)(2 * cols) * sizeof *one);
    if (!w->back) {
        k->batch_norm.column_moments(one, one + cols, x, rows, cols, cols, w->middle);
        return;
    }
    real *gy = (real *)c->gout[0].data + at;
    if (w->act >= 0) k->act_backward[w->act](gy, NULL, (const real *)c->out[0].data + at, gy, rows * cols, w->params, false);
    R_(pass_on)(c, at, rows * cols);
    if (w->sums) k->batch_norm.column_products(one, one + cols, gy, x, rows, cols, cols, w->middle);
}

/* Behind the rescaling, while n elements of y are in cache: the residual and the activation. */
static void R_(finish)(const pn_call *c, const work *w, int64_t at, int64_t n) {
    real *y = (real *)c->out[0].data + at;
    if (c->n_in > RESIDUAL) R_(pn_call_kernels)(c)->accumulate(y, (const real *)c->in[RESIDUAL].data + at, n);
    if (w->act >= 0) R_(pn_call_kernels)(c)->act_forward[w->act](y, y, n, w->params);
}

/* y of one channel in a chunk of runs, or gx. */
static void R_(write_runs)(const pn_call *c, pn_member *m, const geometry *g, const work *w, int64_t chunk, int64_t channel) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const real *middle = w->middle, *a = w->a, *p = w->p, *q = w->q, *x = c->in[0].data;
    for (int64_t image = chunk * g->chunk, end = pn_least(image + g->chunk, g->images); image < end; image++) {
        for (int64_t i = 0; i < g->run; i += PN_BLOCK) {
            const int64_t at = (image * g->channels + channel) * g->run + i, n = pn_least(g->run - i, PN_BLOCK);
            if (i % PN_PIECE == 0 && pn_member_stopped(m)) return;
            if (w->back) {
                k->batch_norm.gradient((real *)c->gin[0].data + at, (const real *)c->gout[0].data + at, x + at, n, middle[channel], a[channel], p[channel],
                                       q[channel], c->gin_add[0]);
                continue;
            }
            k->batch_norm.rescale((real *)c->out[0].data + at, x + at, n, middle[channel], a[channel], q[channel]);
            R_(finish)(c, w, at, n);
        }
    }
}

static void R_(write_rows)(const pn_call *c, const geometry *g, const work *w, int64_t chunk) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t cols = g->channels, first = chunk * g->chunk, rows = pn_least(g->images - first, g->chunk), at = first * cols;
    const real *x = (const real *)c->in[0].data + at;
    if (w->back) {
        k->batch_norm.column_gradient((real *)c->gin[0].data + at, (const real *)c->gout[0].data + at, x, rows, cols, cols, w->middle, w->a, w->p, w->q,
                                      c->gin_add[0]);
        return;
    }
    k->batch_norm.column_rescale((real *)c->out[0].data + at, x, rows, cols, cols, w->middle, w->a, w->q);
    R_(finish)(c, w, at, rows * cols);
}

/* This member's share of a phase: the sums, or what is written. */
static void R_(walk)(const pn_call *c, pn_member *m, const geometry *g, const work *w, bool writes) {
    const int64_t each = g->by_column ? 1 : g->channels;
    int64_t lo, hi;
    pn_member_range(m, g->chunks * each, &lo, &hi);
    for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) {
        if (g->by_column)
            (writes ? R_(write_rows)(c, g, w, i) : R_(sum_rows)(c, g, w, i));
        else if (writes)
            R_(write_runs)(c, m, g, w, i / each, i % each);
        else
            R_(sum_runs)(c, m, g, w, i / each, i % each);
    }
}

/* Weight of a channel, 1 when there is none. */
static double R_(weight_of)(const pn_call *c, int64_t k) { return c->n_in > WEIGHT ? ((const real *)c->in[WEIGHT].data)[k] : 1; }

/* One channel to saved (C): its mean and 1 / deviation; and the running values that follow from the batch's. */
static void R_(statistics)(const pn_call *c, const geometry *g, const work *w, int64_t k) {
    const real *mean = c->in[MEAN].data, *var = c->in[VAR].data;
    moment *saved = (moment *)c->saved + k;
    double one = 0, two = 0;
    if (!c->attrs[TRAINING].i) {
        *saved = (moment){mean[k], 0, 1 / sqrt(var[k] + c->attrs[EPS].f)};
        return;
    }
    for (int64_t i = 0; i < g->chunks; i++) one += w->partial[2 * i * g->channels + k], two += w->partial[(2 * i + 1) * g->channels + k];
    const double n = (double)g->values, off = one / n, spread = two / n - off * off, variance = spread < 0 ? 0 : spread;
    const double first = ((const real *)w->middle)[k], middle = (real)(first + off);
    *saved = (moment){middle, (first - middle) + off, 1 / sqrt(variance + c->attrs[EPS].f)};
    if (c->n_out == 1) return;
    const double old = (double)*(const int64_t *)c->in[COUNT].data, momentum = isnan(c->attrs[MOMENTUM].f) ? 1 / (old + 1) : c->attrs[MOMENTUM].f;
    ((real *)c->out[MEAN].data)[k] = (real)(mean[k] + momentum * (middle - mean[k] + saved->off));
    ((real *)c->out[VAR].data)[k] = (real)(var[k] + momentum * (variance * n / (n - 1) - var[k]));
    if (k == 0) *(int64_t *)c->out[COUNT].data = *(const int64_t *)c->in[COUNT].data + 1;
}

/* What the loops of the last phase take for one channel. */
static void R_(prepare_forward)(const pn_call *c, const work *w, int64_t k) {
    const moment *saved = (const moment *)c->saved + k;
    const real *bias = c->n_in > BIAS ? c->in[BIAS].data : NULL;
    const double a = saved->scale * R_(weight_of)(c, k);
    ((real *)w->middle)[k] = (real)saved->middle;
    ((real *)w->a)[k] = (real)a;
    ((real *)w->q)[k] = (real)((bias ? bias[k] : 0) - saved->off * a);
}

static void R_(prepare_backward)(const pn_call *c, const geometry *g, const work *w, int64_t k) {
    const moment *saved = (const moment *)c->saved + k;
    const double a = saved->scale * R_(weight_of)(c, k);
    double sum = 0, product = 0, p = 0, q = 0;
    for (int64_t i = 0; w->sums && i < g->chunks; i++) sum += w->partial[2 * i * g->channels + k], product += w->partial[(2 * i + 1) * g->channels + k];
    product = saved->scale * (product - saved->off * sum); /* sum of gy h */
    if (c->attrs[TRAINING].i) {
        p = -a * saved->scale * product / (double)g->values;
        q = -a * sum / (double)g->values - p * saved->off;
    }
    ((real *)w->a)[k] = (real)a, ((real *)w->p)[k] = (real)p, ((real *)w->q)[k] = (real)q;
    for (int i = WEIGHT; i < c->n_in && i < RESIDUAL; i++) {
        real *to = c->gin[i].data;
        if (to) to[k] = (real)((i == WEIGHT ? product : sum) + (c->gin_add[i] ? to[k] : 0));
    }
}

/* Around which value a channel is summed: its first one, or its mean. */
static void R_(begin)(const pn_call *c, const geometry *g, const work *w, int64_t k) {
    ((real *)w->middle)[k] = w->back ? (real)((const moment *)c->saved)[k].middle : ((const real *)c->in[0].data)[k * g->run];
}

/* Between the sums of a channel and what follows from them. */
static void R_(settle)(const pn_call *c, const geometry *g, const work *w, int64_t k) {
    if (w->back) {
        R_(prepare_backward)(c, g, w, k);
        return;
    }
    R_(statistics)(c, g, w, k);
    R_(prepare_forward)(c, w, k);
}

/* Channel by channel: the second pass finds in the member's own cache what the first one has read. */
static void R_(by_channel)(const pn_call *c, pn_member *m, const geometry *g, const work *w, bool sums, bool writes) {
    int64_t lo, hi;
    pn_member_range(m, g->channels, &lo, &hi);
    for (int64_t k = lo; k < hi && !pn_member_stopped(m); k++) {
        if (sums) R_(begin)(c, g, w, k);
        for (int64_t i = 0; sums && i < g->chunks; i++) R_(sum_runs)(c, m, g, w, i, k);
        R_(settle)(c, g, w, k);
        for (int64_t i = 0; writes && i < g->chunks; i++) R_(write_runs)(c, m, g, w, i, k);
    }
}

/* Few channels, or channels side by side: each phase is shared by its chunks. */
static void R_(by_phase)(const pn_call *c, pn_member *m, const geometry *g, const work *w, bool sums, bool writes) {
    int64_t lo, hi;
    pn_member_share(m, g->channels, SHARE, &lo, &hi);
    if (sums) {
        for (int64_t k = lo; k < hi; k++) R_(begin)(c, g, w, k);
        pn_member_barrier(m);
        R_(walk)(c, m, g, w, false);
        pn_member_barrier(m);
    }
    for (int64_t k = lo; k < hi; k++) R_(settle)(c, g, w, k);
    if (!writes) return;
    pn_member_barrier(m);
    R_(walk)(c, m, g, w, true);
}

static void R_(normalize)(const pn_call *c, pn_member *m, bool back) {
    const geometry g = geometry_of(&c->in[0].shape, (pn_layout)c->layout);
    double params[2];
    const work w = work_of(c, &g, sizeof(real), params, back);
    (g.by_channel ? R_(by_channel) : R_(by_phase))(c, m, &g, &w, back || c->attrs[TRAINING].i, !back || c->gin[0].data);
}
static void R_(forward)(const pn_call *c, pn_member *m) { R_(normalize)(c, m, false); }
static void R_(backward)(const pn_call *c, pn_member *m) { R_(normalize)(c, m, true); }

#else
#include "ops/fused.h"

enum { MEAN = 1, VAR, COUNT, WEIGHT, BIAS, RESIDUAL }; /* inputs; outputs too */
enum { TRAINING, TRACK, MOMENTUM, EPS, ACTIVATION };   /* attributes */
#define SHARE 8     /* channels that a member finishes at a time */
#define MANY 16     /* channels that are enough for a team */
#define CHUNK 16384 /* elements of a chunk */

/* x as `images` x `channels` runs of `run` elements, each run one channel's. Batch-inner blocks are images of 16 times as many pixels. */
typedef struct geometry {
    int64_t images, channels, run;
    int64_t values; /* of one channel */
    int64_t lanes;  /* samples in the last block of 16, 0 when it is full or there are no blocks */
    int64_t chunk;  /* images that are summed at a time */
    int64_t chunks;
    bool by_channel; /* a member takes all of a channel */
    bool by_column;  /* run is 1: whole rows are worked on */
} geometry;

/* A channel's mean is middle + off, where middle is a real number and off what rounding it has left; scale is 1 / deviation. */
typedef struct moment {
    double middle, off, scale;
} moment;

/* Memory of the phases, and what backward has to do. */
typedef struct work {
    double *partial;          /* (chunks, 2, channels) */
    void *middle, *a, *p, *q; /* real (channels): see kernels/batch_norm_impl.h; q is also its b */
    int act;                  /* fused, or -1 */
    const double *params;
    bool back, sums; /* sums: backward wants them */
} work;

static geometry geometry_of(const pn_shape *x, pn_layout layout) {
    geometry g = {.images = x->dim[0], .channels = x->dim[1], .run = pn_shape_count(x, 2, x->rank)};
    g.values = g.images * g.run;
    if (layout == PN_BATCH_INNER) {
        g.lanes = g.images % PN_LAYOUT_LANES;
        g.images = pn_blocks_of(g.images, PN_LAYOUT_LANES);
        g.run *= PN_LAYOUT_LANES;
    }
    g.by_column = g.run == 1;
    g.by_channel = !g.by_column && g.channels >= MANY;
    const int64_t size = g.by_column ? g.channels : g.run;
    g.chunk = size > 0 && size < CHUNK ? CHUNK / size : 1;
    g.chunks = pn_blocks_of(g.images, g.chunk);
    return g;
}

static work work_of(const pn_call *c, const geometry *g, size_t real_bytes, double params[2], bool back) {
    work w = {.partial = c->scratch, .act = (int)c->attrs[ACTIVATION].i, .params = pn_fused_params(c, params), .back = back};
    char *at = (char *)(w.partial + 2 * g->chunks * g->channels);
    const size_t bytes = (size_t)g->channels * real_bytes;
    w.middle = at, w.a = at + bytes, w.p = at + 2 * bytes, w.q = at + 3 * bytes;
    for (int i = WEIGHT; back && i < c->n_in && i < RESIDUAL; i++) w.sums |= c->gin[i].data != NULL;
    w.sums |= back && c->attrs[TRAINING].i && c->gin[0].data;
    return w;
}

/* The lanes that hold samples, of n elements in blocks of 16, side by side. */
static const float *pack_lanes_f(float *to, const float *x, int64_t n, int64_t lanes) {
    for (int64_t i = 0; i < n / PN_LAYOUT_LANES; i++) memcpy(to + i * lanes, x + i * PN_LAYOUT_LANES, (size_t)lanes * sizeof *x);
    return to;
}
static const double *pack_lanes_d(double *to, const double *x, int64_t n, int64_t lanes) {
    for (int64_t i = 0; i < n / PN_LAYOUT_LANES; i++) memcpy(to + i * lanes, x + i * PN_LAYOUT_LANES, (size_t)lanes * sizeof *x);
    return to;
}

#define PN_REAL_FILE "ops/batch_norm.c"
#include "base/real.h"

static pn_status check_channels(pn_infer *q) {
    static const char *const names[] = {NULL, "running_mean", "running_var", NULL, "weight", "bias"};
    const pn_shape *x = &q->in[0];
    char text[256], other[256];
    if (x->rank < 2) return pn_fail_shape(q, "x", 0, "(N, C, *)");
    pn_shape_text(x, text);
    if (q->n_in > RESIDUAL && !pn_shape_equal(&q->in[RESIDUAL], x)) return pn_fail_shape(q, "residual", RESIDUAL, text);
    for (int i = 1; i < q->n_in && i < RESIDUAL; i++) {
        if (i == COUNT || (q->in[i].rank == 1 && q->in[i].dim[0] == x->dim[1])) continue;
        pn_shape_text(&q->in[i], other);
        if (q->in[i].rank == 1 && x->rank == 4 && x->dim[3] == q->in[i].dim[0]) {
            return pn_fail(q->error, PN_E_VALUE, "x has shape %s, expected (N, %lld, H, W). Is it channels-last? Use x.transpose(0, 3, 1, 2)", text,
                           (long long)q->in[i].dim[0]);
        }
        return pn_fail(q->error, PN_E_VALUE, "%s has shape %s, expected (%lld,) for x of shape %s", names[i], other, (long long)x->dim[1], text);
    }
    if (pn_shape_size(&q->in[COUNT]) == 1) return PN_OK;
    return pn_fail_shape(q, "num_batches_tracked", COUNT, "one number");
}

static pn_status check_numbers(pn_infer *q, int64_t values) {
    const double eps = q->attrs[EPS].f, momentum = q->attrs[MOMENTUM].f;
    char text[256];
    if (!(eps >= 0) || !isfinite(eps)) return pn_fail(q->error, PN_E_VALUE, "eps is %g, expected a finite number from 0 on", eps);
    if (!isnan(momentum) && !(momentum >= 0 && momentum <= 1)) return pn_fail(q->error, PN_E_VALUE, "momentum is %g, expected 0 to 1, or None", momentum);
    if (!q->attrs[TRAINING].i || values > 1) return PN_OK;
    return pn_fail(q->error, PN_E_VALUE,
                   "x has shape %s: in training, batch norm needs more than one value a channel. A last batch of one sample is left out with drop_last=True",
                   pn_shape_text(&q->in[0], text));
}

static pn_status infer(pn_infer *q) {
    const size_t bytes = pn_dtype_bytes(q->in[0].dtype);
    pn_status status = check_channels(q);
    if (status) return status;
    const geometry g = geometry_of(&q->in[0], q->layout);
    if ((status = check_numbers(q, g.values))) return status;
    q->n_out = q->attrs[TRAINING].i && q->attrs[TRACK].i ? 4 : 1;
    for (int i = 0; i < q->n_out; i++) q->out[i] = q->in[i];
    q->saved = (size_t)g.channels * sizeof(moment);
    q->scratch = (size_t)g.channels * ((size_t)g.chunks * 2 * sizeof(double) + 4 * bytes);
    q->member_scratch = g.lanes ? 2 * PN_BLOCK * bytes : 0;
    q->flops = 8.0 * (double)pn_shape_size(&q->in[0]);
    return PN_OK;
}

static pn_layout layout(const pn_shape in[2], const pn_value *attrs, pn_layout incoming) {
    (void)in, (void)attrs;
    return incoming == PN_BATCH_INNER ? incoming : PN_PLAIN;
}

/* activation and its parameters are set by plans only: a pn_act, -1 for none */
static const pn_field fields[] = {
    {"training", PN_BOOL, NULL, "False"}, {"track", PN_BOOL, NULL, "True"}, {"momentum", PN_FLOAT, NULL, "none"}, {"eps", PN_FLOAT, NULL, "1e-5"},
    {"activation", PN_INT, NULL, "-1"},   {"p0", PN_FLOAT, NULL, "0"},      {"p1", PN_FLOAT, NULL, "0"},          {0}};

const pn_op pn_op_batch_norm = {
    .name = "batch_norm",
    .formula = "y = h w + b (+ residual), h = (x - mean x) / sqrt(var x + eps) over all but the channels; with the running mean and variance in evaluation",
    .derivative = "gx = (g - mean g - h mean(g h)) / sqrt(var x + eps) with g = gy w (in evaluation g / sqrt(var + eps)), gw = sum gy h, gb = sum gy, gr = gy",
    .inputs = "x:r running_mean:r! running_var:r! num_batches_tracked:i weight:r? bias:r? residual:r?",
    .n_out = 4,
    .fields = fields,
    .infer = infer,
    .layout = layout,
    .fwd = {forward_f, forward_d},
    .bwd = {backward_f, backward_d},
    .needs_in = 1 | 1 << WEIGHT,
    .needs_out = 1,
    .flags = PN_FUSES | PN_COMMITS,
    .alike = 1u << RESIDUAL,
    .passes = RESIDUAL,
    .fused = ACTIVATION,
    .file = "ops/batch_norm.c",
};
#endif
