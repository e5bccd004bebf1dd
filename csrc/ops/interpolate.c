/* interpolate: y = images x resampled to another size, by the nearest pixel or bilinearly. gx = gy spread over the pixels that it was made of.
 *
 * Shapes: x (N, C, H, W), y (N, C, OH, OW). Pixel o of y lies at (o + 1/2) s - 1/2 in x (nearest: at floor(o s); nearest-exact: at floor((o + 1/2) s)), where
 * s = 1 / scale when a scale is given, else H / OH. With align_corners the corners meet: at o (H - 1) / (OH - 1). Positions and sums of the gradient
 * run in double. Cost: 2 multiplications a pixel and one pass over two rows. Backward is cut by planes, rows of a plane come in their order.
 * Source: PyTorch's nn.functional.interpolate.
 */
#ifdef PN_REAL_PASS

/* One row of y (OW) from the rows above and below (W each); room (W). */
static void R_(blend_row)(const resampling *r, const place *columns, place row, const real *plane, real *y, real *room) {
    const int64_t width = r->w.in;
    const real *above = plane + row.first * width, *v = above;
    if (row.second != row.first && row.t != 0) {
        const real t = (real)row.t, s = 1 - t, *below = plane + row.second * width;
        for (int64_t j = 0; j < width; j++) room[j] = s * above[j] + t * below[j];
        v = room;
    }
    if (r->mode == BILINEAR) {
        for (int64_t j = 0; j < r->w.out; j++) {
            const real t = (real)columns[j].t;
            y[j] = (1 - t) * v[columns[j].first] + t * v[columns[j].second];
        }
    } else {
        for (int64_t j = 0; j < r->w.out; j++) y[j] = v[columns[j].first];
    }
}

static void R_(forward)(const pn_call *c, pn_member *m) {
    const resampling r = resampling_of(&c->in[0].shape, &c->out[0].shape, c->attrs);
    const int64_t cost = r.w.in + r.w.out;
    const real *x = c->in[0].data;
    real *y = c->out[0].data;
    place *columns = m->scratch;
    int64_t lo, hi, done = 0;
    find_places(&r, columns);
    pn_member_share(m, r.planes * r.h.out, cost >= PN_BLOCK ? 1 : PN_BLOCK / cost, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        const real *plane = x + i / r.h.out * r.h.in * r.w.in;
        R_(blend_row)(&r, columns, place_of(&r, &r.h, i % r.h.out), plane, y + i * r.w.out, (real *)(columns + r.w.out));
        if (stopped(m, &done, cost)) return;
    }
}

/* Row `at` of x gets no more: gx (W) (= or +=) its sums, whose half of room is free again. */
static void R_(leave_row)(real *gx, double *room, int64_t width, int64_t at, bool add) {
    double *sums = room + at % 2 * width;
    real *row = gx + at * width;
    for (int64_t j = 0; j < width; j++) row[j] = (real)(add ? row[j] + sums[j] : sums[j]);
    memset(sums, 0, (size_t)width * sizeof *sums);
}

/* One plane. Rows of y touch rows `at` and at + 1 of x, and only go down: the sums of both are in room (3 W), in double, and leave in turn. */
static void R_(spread_plane)(const resampling *r, pn_member *m, const place *columns, const real *gy, real *gx, double *room, bool add, int64_t *done) {
    const int64_t width = r->w.in;
    double *sums = room + 2 * width;
    int64_t at = 0;
    memset(room, 0, (size_t)(2 * width) * sizeof *room);
    for (int64_t i = 0; i < r->h.out; i++) {
        const place row = place_of(r, &r->h, i);
        const double t = row.second == row.first ? 0 : row.t;
        for (; at < row.first; at++) R_(leave_row)(gx, room, width, at, add);
        memset(sums, 0, (size_t)width * sizeof *sums);
        for (int64_t j = 0; j < r->w.out; j++) {
            const double g = (double)gy[i * r->w.out + j], u = columns[j].t;
            sums[columns[j].first] += (1 - u) * g;
            sums[columns[j].second] += u * g;
        }
        double *upper = room + at % 2 * width, *lower = room + (at + 1) % 2 * width;
        for (int64_t j = 0; j < width; j++) upper[j] += (1 - t) * sums[j], lower[j] += t * sums[j];
        if (stopped(m, done, width + r->w.out)) return;
    }
    for (; at < r->h.in; at++) R_(leave_row)(gx, room, width, at, add);
}

static void R_(backward)(const pn_call *c, pn_member *m) {
    const resampling r = resampling_of(&c->in[0].shape, &c->gout[0].shape, c->attrs);
    const int64_t in = r.h.in * r.w.in, out = r.h.out * r.w.out;
    const real *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    place *columns = m->scratch;
    int64_t lo, hi, done = 0;
    if (!gx) return;
    find_places(&r, columns);
    pn_member_share(m, r.planes, in + out >= PN_BLOCK ? 1 : PN_BLOCK / (in + out), &lo, &hi);
    for (int64_t k = lo; k < hi; k++) {
        R_(spread_plane)(&r, m, columns, gy + k * out, gx + k * in, (double *)(columns + r.w.out), c->gin_add[0], &done);
        if (stopped(m, &done, 1)) return;
    }
}

#else
#include "ops/op_helpers.h"

typedef enum resample_mode { NEAREST, NEAREST_EXACT, BILINEAR } resample_mode;

typedef struct resample_axis {
    int64_t in, out;
    double step; /* pixels of x from one pixel of y to the next */
} resample_axis;

typedef struct resampling {
    resample_mode mode;
    bool align_corners;
    int64_t planes;
    resample_axis h, w;
} resampling;

/* One pixel along a dimension is (1 - t) of pixel `first` of x and t of `second`, its neighbour or itself. */
typedef struct place {
    int64_t first, second;
    double t;
} place;

static resample_axis axis_of(const pn_value *attrs, int64_t in, int64_t out, double scale) {
    resample_axis a = {.in = in, .out = out};
    if (attrs[2].i)
        a.step = out > 1 ? (double)(in - 1) / (double)(out - 1) : 0;
    else
        a.step = isnan(scale) ? (double)in / (double)out : 1 / scale;
    return a;
}

static resampling resampling_of(const pn_shape *x, const pn_shape *y, const pn_value *attrs) {
    return (resampling){.mode = (resample_mode)attrs[1].i,
                        .align_corners = attrs[2].i,
                        .planes = x->dim[0] * x->dim[1],
                        .h = axis_of(attrs, x->dim[2], y->dim[2], attrs[3].f),
                        .w = axis_of(attrs, x->dim[3], y->dim[3], attrs[4].f)};
}

/* The nearest pixel is sought in float, whatever the type of x: where it lies between two, PyTorch's rounding decides. */
static int64_t nearest(const resampling *r, const resample_axis *a, int64_t o) {
    const float at = ((float)o + (r->mode == NEAREST_EXACT ? 0.5f : 0.0f)) * (float)a->step;
    return at < (float)(a->in - 1) ? (int64_t)at : a->in - 1;
}

static place place_of(const resampling *r, const resample_axis *a, int64_t o) {
    if (r->mode != BILINEAR) {
        const int64_t i = nearest(r, a, o);
        return (place){i, i, 0};
    }
    const double at = r->align_corners ? (double)o * a->step : fmax(0, ((double)o + 0.5) * a->step - 0.5);
    const int64_t first = (int64_t)fmin(at, (double)(a->in - 1));
    return (place){first, first + (first < a->in - 1), fmin(at - (double)first, 1)};
}

static void find_places(const resampling *r, place *columns) {
    for (int64_t j = 0; j < r->w.out; j++) columns[j] = place_of(r, &r->w, j);
}

/* Looks at the poll every PN_PIECE elements: *done counts them. */
static bool stopped(pn_member *m, int64_t *done, int64_t n) {
    *done += n;
    if (*done < PN_PIECE) return false;
    *done = 0;
    return pn_member_stopped(m);
}

#define PN_REAL_FILE "ops/interpolate.c"
#include "base/real.h"

static pn_status infer(pn_infer *q) {
    const pn_shape *x = &q->in[0];
    const pn_value *size = &q->attrs[0];
    char text[256];
    if (x->rank != 4) return pn_fail_shape(q, "x", 0, "(N, C, H, W)");
    if (size->n < 1 || size->n > 2) return pn_fail(q->error, PN_E_VALUE, "size has %d numbers, expected one or two, (height, width)", (int)size->n);
    if (q->attrs[2].i && q->attrs[1].i != BILINEAR) return pn_fail(q->error, PN_E_VALUE, "align_corners is True, which only mode 'bilinear' knows");
    q->out[0] = *x;
    for (int i = 0; i < 2; i++) {
        const int64_t n = size->ints[size->n == 1 ? 0 : i];
        const double scale = q->attrs[3 + i].f;
        if (n < 1 || n >= (int64_t)1 << 31) return pn_fail(q->error, PN_E_VALUE, "size is %lld, expected at least 1 and less than 2^31", (long long)n);
        if (x->dim[2 + i] < 1) return pn_fail(q->error, PN_E_VALUE, "x has shape %s, expected a height and width of at least 1", pn_shape_text(x, text));
        if (!isnan(scale) && (!(scale > 0) || !isfinite(scale))) return pn_fail(q->error, PN_E_VALUE, "the scale is %g, expected a positive number", scale);
        q->out[0].dim[2 + i] = n;
    }
    q->flops = 4.0 * (double)pn_shape_size(&q->out[0]);
    q->member_scratch = (size_t)q->out[0].dim[3] * sizeof(place) + 3 * (size_t)x->dim[3] * sizeof(double);
    return PN_OK;
}

static const pn_field fields[] = {{"size", PN_INTS, NULL, NULL},
                                  {"mode", PN_ENUM, "nearest|nearest-exact|bilinear", "nearest"},
                                  {"align_corners", PN_BOOL, NULL, "False"},
                                  {"scale_h", PN_FLOAT, NULL, "none"},
                                  {"scale_w", PN_FLOAT, NULL, "none"},
                                  {0}};

const pn_op pn_op_interpolate = {
    .name = "interpolate",
    .formula = "y = x at other pixels: the nearest one, or between the four around",
    .derivative = "gx = sum of gy times the share that the pixel had in it",
    .inputs = "x:r",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward_f, forward_d},
    .bwd = {backward_f, backward_d},
    .file = "ops/interpolate.c",
};
#endif
