/* prelu: y = x where x > 0, else w x, with a slope w that is learnt. gx = gy (x > 0 ? 1 : w), gy grad_at_zero at x = 0; gw = sum of gy x over x <= 0.
 *
 * Shapes: x (n, c, *), weight (c,) with one slope per channel, or (1,) for all; y like x. Cost: 1 per element. NaN stays NaN.
 * Sources: He et al. 2015; lecture 002. By default the slope counts at x = 0, as in PyTorch. The sums of gw run in double, channel by channel, in the order
 * of x. */
#ifdef PN_REAL_PASS

static void R_(forward)(const pn_call *c, pn_member *m) {
    const layout l = read_layout(c);
    const real *x = c->in[0].data, *weight = c->in[1].data;
    real *y = c->out[0].data;
    for (pn_span s = pn_span_open(m, l.size); pn_span_next(&s, m);) {
        for (run r = first_run(&l, &s); r.at < s.hi; r = next_run(&l, &s, r)) {
            const real w = weight[r.channel];
            for (int64_t i = r.at; i < r.end; i++) y[i] = x[i] > 0 ? x[i] : w * x[i];
        }
    }
}

static void R_(input_gradient)(const pn_call *c, pn_member *m, const layout *l) {
    const real *x = c->in[0].data, *weight = c->in[1].data, *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    const bool add = c->gin_add[0], slope_at_zero = isnan(c->attrs[0].f);
    for (pn_span s = pn_span_open(m, l->size); pn_span_next(&s, m);) {
        for (run r = first_run(l, &s); r.at < s.hi; r = next_run(l, &s, r)) {
            const real w = weight[r.channel], kink = slope_at_zero ? w : (real)c->attrs[0].f;
            for (int64_t i = r.at; i < r.end; i++) {
                const real g = x[i] > 0 ? gy[i] : (x[i] == 0 ? kink : w) * gy[i];
                gx[i] = add ? gx[i] + g : g;
            }
        }
    }
}

/* sum of gy x where x <= 0, over one run */
static double R_(negative_part)(const real *gy, const real *x, int64_t n) {
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += x[i] > 0 ? 0 : (double)gy[i] * x[i];
    return total;
}

static void R_(weight_gradient)(const pn_call *c, pn_member *m, const layout *l) {
    const real *x = c->in[0].data, *gy = c->gout[0].data;
    real *gw = c->gin[1].data;
    const int64_t row = l->channels * l->inner;
    int64_t lo, hi;
    pn_member_share(m, l->channels, 1, &lo, &hi);
    for (int64_t channel = lo; channel < hi; channel++) {
        double total = 0;
        for (int64_t at = channel * l->inner; row && at < l->size; at += row) total += R_(negative_part)(gy + at, x + at, l->inner);
        gw[channel] = (real)(c->gin_add[1] ? gw[channel] + total : total);
    }
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    const layout l = read_layout(c);
    const bool same = c->gin[0].data == c->gin[1].data; /* x is also the weight: then inputs come in order */
    if (c->gin[1].data && !same) R_(weight_gradient)(c, m, &l);
    if (c->gin[0].data == c->gout[0].data) pn_member_barrier(m); /* gy is overwritten now */
    if (c->gin[0].data) R_(input_gradient)(c, m, &l);
    if (!c->gin[1].data || !same) return;
    pn_member_barrier(m);
    R_(weight_gradient)(c, m, &l);
}

#else
#include "ops/op_helpers.h"

/* x as (*, channels, inner): a run of `inner` elements has one slope. With one slope for all the run is x. */
typedef struct layout {
    int64_t size, channels, inner;
} layout;
static layout read_layout(const pn_call *c) {
    const pn_shape *x = &c->in[0].shape;
    layout l = {.size = pn_shape_size(x), .channels = c->in[1].shape.dim[0]};
    l.inner = l.channels == 1 ? l.size : pn_shape_count(x, 2, x->rank);
    return l;
}

/* Elements [at, end) of x, within a span, that have the slope of one channel. */
typedef struct run {
    int64_t at, end, channel;
} run;
static inline run first_run(const layout *l, const pn_span *s) {
    const int64_t number = s->lo == 0 || l->channels == 1 ? 0 : s->lo / l->inner, end = (number + 1) * l->inner;
    return (run){.at = s->lo, .end = end < s->hi ? end : s->hi, .channel = number % l->channels};
}
static inline run next_run(const layout *l, const pn_span *s, run r) {
    const int64_t end = r.end + l->inner;
    return (run){.at = r.end, .end = end < s->hi ? end : s->hi, .channel = r.channel + 1 < l->channels ? r.channel + 1 : 0};
}

#define PN_REAL_FILE "ops/prelu.c"
#include "base/real.h"

static pn_status infer(pn_infer *q) {
    const pn_shape *x = &q->in[0], *w = &q->in[1];
    const int64_t channels = x->rank > 1 ? x->dim[1] : 1;
    char text[256], other[256];
    if (w->rank != 1 || (w->dim[0] != 1 && w->dim[0] != channels)) {
        return pn_fail(q->error, PN_E_VALUE, "weight has shape %s, expected (1,) or (%lld,) for x of shape %s", pn_shape_text(w, text), (long long)channels,
                       pn_shape_text(x, other));
    }
    return pn_infer_like(q, 0);
}

static const pn_field fields[] = {{"grad_at_zero", PN_FLOAT, NULL, "none"}, {0}};

const pn_op pn_op_prelu = {
    .name = "prelu",
    .formula = "y = x if x > 0 else w x",
    .derivative = "gx = gy (1 if x > 0 else w), gy grad_at_zero at x = 0, gw = sum of gy x over x <= 0",
    .inputs = "x:r weight:r",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward_f, forward_d},
    .bwd = {backward_f, backward_d},
    .needs_in = 3,
    .flags = PN_IN_PLACE,
    .file = "ops/prelu.c",
};
#endif
