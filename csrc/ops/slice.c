/* slice: every step-th element from start up to stop, along each dimension. gx = gy at those places, 0 elsewhere.
 *
 * start, stop and step have one entry per dimension and mean what Python's slice(...).indices(size) returns: start and stop count from 0, step may be
 * negative, and then stop is -1 to include element 0. Shapes: x (d0, d1, ...), y (ceil((stop - start) / step), ...). Cost: 1 per element of y.
 */
#ifdef PN_REAL_PASS

static void R_(backward)(const pn_call *c, pn_member *m) {
    const real *gy = c->gout[0].data;
    real *gx = c->gin[0].data;
    if (!gx) return;
    if (!c->gin_add[0]) {
        pn_clear(m, gx, pn_shape_size(&c->gin[0].shape), sizeof(real));
        pn_member_barrier(m); /* places are shared by gx when clearing, by gy below */
    }
    const cuts k = plan_cuts(c);
    for (pn_span s = pn_span_open(m, k.rows * k.len); pn_span_next(&s, m);) {
        for (int64_t at = s.lo, n; at < s.hi; at += n) {
            real *to = gx + piece_at(&k, at, s.hi, &n);
            if (k.step == 1)
                R_(pn_put)(c, to, gy + at, n, c->gin_add[0]);
            else
                for (int64_t j = 0; j < n; j++) to[j * k.step] = gy[at + j] + (c->gin_add[0] ? to[j * k.step] : 0);
        }
    }
}

#else
#include "ops/copy.h"

/* y as rows of `len` elements; row r starts at some place of x and advances by `step` there. */
typedef struct cuts {
    int64_t rows, len, step;
    int64_t first; /* place of y's first element in x */
    int rank;      /* dimensions outside the row, outermost first: */
    int64_t dim[PN_MAX_RANK], stride[PN_MAX_RANK];
} cuts;

static cuts plan_cuts(const pn_call *c) {
    const pn_shape *x = &c->in[0].shape, *y = &c->out[0].shape;
    cuts k = {.len = 1, .step = 1, .rows = 1, .rank = x->rank ? x->rank - 1 : 0};
    int64_t stride = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        const int64_t step = c->attrs[2].ints[d] * stride;
        k.first += c->attrs[0].ints[d] * stride;
        if (d == x->rank - 1) {
            k.len = y->dim[d];
            k.step = step;
        } else {
            k.dim[d] = y->dim[d];
            k.stride[d] = step;
            k.rows *= y->dim[d];
        }
        stride *= x->dim[d];
    }
    return k;
}

static int64_t row_start(const cuts *k, int64_t row) {
    int64_t at = k->first;
    for (int d = k->rank - 1; d >= 0; d--) {
        at += row % k->dim[d] * k->stride[d];
        row /= k->dim[d];
    }
    return at;
}

/* Where element `at` of y lies in x; *n: how many follow in its row, before `end`. */
static int64_t piece_at(const cuts *k, int64_t at, int64_t end, int64_t *n) {
    const int64_t row = at / k->len, j = at - row * k->len;
    *n = k->len - j < end - at ? k->len - j : end - at;
    return row_start(k, row) + j * k->step;
}

static void forward(const pn_call *c, pn_member *m) {
    const int64_t size = (int64_t)pn_dtype_bytes(c->in[0].shape.dtype);
    const cuts k = plan_cuts(c);
    const char *x = c->in[0].data;
    char *y = c->out[0].data;
    for (pn_span s = pn_span_open(m, k.rows * k.len); pn_span_next(&s, m);) {
        for (int64_t at = s.lo, n; at < s.hi; at += n) {
            const int64_t from = piece_at(&k, at, s.hi, &n);
            pn_copy_strided(y + at * size, x + from * size, k.step, n, (size_t)size);
        }
    }
}

#define PN_REAL_FILE "ops/slice.c"
#include "base/real.h"

/* Elements from start up to stop, exclusive. */
static int64_t slice_length(int64_t start, int64_t stop, int64_t step) {
    if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
    return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

static pn_status infer(pn_infer *q) {
    const pn_value *start = &q->attrs[0], *stop = &q->attrs[1], *step = &q->attrs[2];
    const pn_shape *x = &q->in[0];
    char text[256];
    if (start->n != x->rank || stop->n != x->rank || step->n != x->rank) {
        return pn_fail(q->error, PN_E_VALUE, "x has shape %s, but start, stop and step have %d, %d and %d entries, expected %d each", pn_shape_text(x, text),
                       start->n, stop->n, step->n, x->rank);
    }
    q->out[0] = *x;
    for (int d = 0; d < x->rank; d++) {
        const int64_t a = start->ints[d], b = stop->ints[d], by = step->ints[d];
        if (by == 0 || by == INT64_MIN) return pn_fail(q->error, PN_E_VALUE, "step is %lld in dimension %d, expected a step that is not 0", (long long)by, d);
        q->out[0].dim[d] = slice_length(a, b, by);
        const int64_t last = a + (q->out[0].dim[d] - 1) * by;
        if (q->out[0].dim[d] > 0 && (a < 0 || a >= x->dim[d] || last < 0 || last >= x->dim[d])) {
            return pn_fail(q->error, PN_E_INDEX, "x has shape %s, but dimension %d is sliced from %lld to %lld, allowed are 0 to %lld", pn_shape_text(x, text),
                           d, (long long)a, (long long)last, (long long)x->dim[d] - 1);
        }
    }
    q->flops = (double)pn_shape_size(&q->out[0]);
    return PN_OK;
}

static const pn_field fields[] = {{"start", PN_INTS, NULL, NULL}, {"stop", PN_INTS, NULL, NULL}, {"step", PN_INTS, NULL, NULL}, {0}};

const pn_op pn_op_slice = {
    .name = "slice",
    .formula = "y = x[start:stop:step], per dimension",
    .derivative = "gx[start:stop:step] = gy, 0 elsewhere",
    .inputs = "x:n",
    .n_out = 1,
    .fields = fields,
    .infer = infer,
    .fwd = {forward, forward},
    .bwd = {backward_f, backward_d},
    .file = "ops/slice.c",
};
#endif
