/* Convolution for the ops that are made of it: geometry, choice of the algorithm, scratch, and the gradient of a bias. */
#ifdef PN_REAL_PASS
#include "ops/blocks.h"
#include "ops/conv_naive.h"
#include "ops/conv_im2col.h"
#include "ops/conv_direct.h"
#include "ops/conv_lines.h"
#include "ops/conv_winograd.h"

/* One pass on tensors in blocks; scratch: what is shared, from here on. */
static void R_(inner_pass)(const pn_call *c, pn_member *m, const pn_conv *v, conv_pass pass, const R_(pn_conv_io) *io, real *scratch) {
    (v->algorithm == PN_CONV_DIRECT ? R_(direct_pass) : R_(wino_pass))(c, m, v, pass, io, scratch);
}

/* The same on plain tensors: a few blocks of samples at a time are laid out in scratch, and their part of a plain result is put back. */
static void R_(plain_pass)(const pn_call *c, pn_member *m, const pn_conv *v, conv_pass pass, const R_(pn_conv_io) *io) {
    const int64_t most = conv_samples(v, sizeof(real));
    for (int64_t first = 0; first == 0 || first < v->n; first += most) {
        pn_conv part = *v;
        part.n = conv_min(most, v->n - first);
        const conv_blocks b = conv_blocks_of(&part);
        const int64_t in = first * conv_input_size(v), out = first * conv_output_size(v);
        real *x = c->scratch, *y = x + b.x_size;
        R_(pn_conv_io) inner = *io;
        inner.x = x, inner.y = y;
        inner.add = pass == CONV_WEIGHT && (io->add || first > 0);
        if (pass != CONV_WEIGHT) inner.to = pass == CONV_OUTPUT ? y : x;
        if (first > 0) pn_member_barrier(m); /* the part before is done with scratch */
        if (pass != CONV_INPUT) R_(blocks_move)(c, m, x, io->x + in, &b.x, true, false);
        if (pass != CONV_OUTPUT) R_(blocks_move)(c, m, y, io->y + out, &b.y, true, false);
        pn_member_barrier(m);
        R_(inner_pass)(c, m, &part, pass, &inner, y + b.y_size);
        if (pass == CONV_WEIGHT) continue;
        pn_member_barrier(m);
        R_(blocks_move)(c, m, io->to + (pass == CONV_OUTPUT ? out : in), inner.to, pass == CONV_OUTPUT ? &b.y : &b.x, false, io->add);
    }
}

/* One pass of an algorithm that works on blocks of 16 samples. */
static void R_(blocked_pass)(const pn_call *c, pn_member *m, const pn_conv *v, conv_pass pass, const R_(pn_conv_io) *io) {
    if (pass == CONV_WEIGHT) pn_member_barrier(m); /* scratch may be in use by the pass before */
    if (c->layout == PN_PLAIN)
        R_(plain_pass)(c, m, v, pass, io);
    else
        R_(inner_pass)(c, m, v, pass, io, c->scratch);
}

void R_(pn_conv_output)(const pn_call *c, pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    if (pn_conv_is_blocked(v))
        R_(blocked_pass)(c, m, v, CONV_OUTPUT, io);
    else if (v->algorithm == PN_CONV_LINES)
        R_(lines_pass)(c, m, v, CONV_OUTPUT, io);
    else
        (v->algorithm == PN_CONV_NAIVE ? R_(naive_output) : R_(im2col_output))(c, m, v, io);
}

void R_(pn_conv_input)(const pn_call *c, pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    if (pn_conv_is_blocked(v))
        R_(blocked_pass)(c, m, v, CONV_INPUT, io);
    else if (v->algorithm == PN_CONV_LINES)
        R_(lines_pass)(c, m, v, CONV_INPUT, io);
    else if (v->algorithm == PN_CONV_NAIVE)
        R_(naive_input)(m, v, io);
    else
        R_(im2col_input)(c, m, v, io);
}

void R_(pn_conv_weight)(const pn_call *c, pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    if (v->algorithm == PN_CONV_LINES) pn_member_barrier(m); /* scratch may be in use by the pass before */
    if (pn_conv_is_blocked(v))
        R_(blocked_pass)(c, m, v, CONV_WEIGHT, io);
    else if (v->algorithm == PN_CONV_NAIVE)
        R_(naive_weight)(m, v, io);
    else
        R_(im2col_weight)(c, m, v, io);
}

/* Sum of one channel of one block (plane, 16): of the lanes that are samples. */
static double R_(block_sum)(const R_(pn_kernels) *k, const real *gy, int64_t plane, int64_t lanes) {
    double sum = 0;
    if (lanes >= PN_LAYOUT_LANES) return k->sum(gy, plane * PN_LAYOUT_LANES);
    for (int64_t i = 0; i < plane; i++)
        for (int64_t l = 0; l < lanes; l++) sum += gy[i * PN_LAYOUT_LANES + l];
    return sum;
}

void R_(pn_conv_bias)(const pn_call *c, pn_member *m, real *gb, const real *gy, int64_t n, int64_t channels, int64_t plane, bool add) {
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t side = c->layout == PN_PLAIN ? 1 : PN_LAYOUT_LANES; /* samples side by side */
    int64_t lo, hi;
    pn_member_range(m, channels, &lo, &hi);
    for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) {
        double sum = 0;
        for (int64_t first = 0; first < n && !pn_member_stopped(m); first += side) {
            const real *from = gy + (first * channels + i * side) * plane;
            sum += side == 1 ? k->sum(from, plane) : R_(block_sum)(k, from, plane, n - first);
        }
        gb[i] = (real)sum + (add ? gb[i] : 0);
    }
}

#else
#include "ops/blocks.h"
#include "ops/conv_direct.h"
#include "ops/conv_lines.h"
#include "ops/conv_im2col.h"
#include "ops/conv_naive.h"
#include "ops/conv_winograd.h"

#define CONV_COPIES (16 << 20) /* bytes of the copies in blocks that plain tensors get at a time */
#define NAIVE_WORK 1024        /* multiply-adds up to which setting up a block costs more than it saves */
#define LARGE_OUTS 64          /* channels of y and taps, from which on a matrix product is fast */
#define LARGE_TAPS 256
#define LINES_SAMPLES 10 /* fewer leave too many lanes empty */
#define LINES_AREA 2500  /* pixels of y, from which on lines of pixels beat columns: fewer are computed in vain, and packing w weighs less */
#define LINES_TAPS 4096

static int64_t pair(const pn_value *v, int i) { return v->ints[v->n == 1 ? 0 : i]; }

void pn_conv_padding(const pn_value *attrs, int dim, int64_t *front, int64_t *behind) {
    const pn_value *v = &attrs[PN_CONV_PADDING];
    *front = v->n == 4 ? v->ints[2 * dim] : pair(v, dim);
    *behind = v->n == 4 ? v->ints[2 * dim + 1] : pair(v, dim);
}

static double work_of(const pn_conv *v) { return (double)v->n * (double)(v->groups * v->o) * (double)v->p * (double)v->q * (double)(v->c * v->kh * v->kw); }

/* Do samples fill so many eighths of the lanes of their blocks? */
static bool fills(const pn_conv *v, int eighths) { return v->n * 8 >= pn_blocks_of(v->n, PN_LAYOUT_LANES) * PN_LAYOUT_LANES * eighths; }

/* "auto": blocks of 16 samples where they are full enough: half empty ones lose against matrix products, sooner where these are large and fast. A plain 1x1
 * convolution is a matrix product already, not worth the way to blocks and back. */
static int choose(const pn_conv *v, pn_layout layout) {
    const bool large = v->o >= LARGE_OUTS && v->c * conv_taps(v) >= LARGE_TAPS;
    if (work_of(v) <= NAIVE_WORK) return PN_CONV_NAIVE;
    if (layout == PN_PLAIN && conv_taps(v) == 1) return PN_CONV_IM2COL;
    if (fills(v, 5) && wino_fits(v, 6)) {
        const bool small = wino_fits(v, 4) && wino_work(v, 4) < wino_work(v, 6);
        if (wino_work(v, small ? 4 : 6) <= work_of(v) / (double)(v->n * v->groups)) return small ? PN_CONV_WINOGRAD2 : PN_CONV_WINOGRAD4;
    }
    if (direct_fits(v) && fills(v, large ? 7 : 5)) return PN_CONV_DIRECT;
    const bool lines = layout == PN_PLAIN && direct_fits(v) && v->n < LINES_SAMPLES && v->p * v->q >= LINES_AREA && conv_taps(v) <= LINES_TAPS;
    return lines ? PN_CONV_LINES : PN_CONV_IM2COL;
}

pn_conv pn_conv_of(const pn_shape *x, const pn_shape *weight, const pn_shape *y, const pn_value *attrs, pn_layout layout) {
    int64_t behind;
    pn_conv v = {.n = x->dim[0], .groups = attrs[PN_CONV_GROUPS].i, .c = weight->dim[1], .h = x->dim[2], .w = x->dim[3], .p = y->dim[2], .q = y->dim[3]};
    v.o = weight->dim[0] / v.groups;
    v.kh = weight->dim[2], v.kw = weight->dim[3];
    v.sh = pair(&attrs[PN_CONV_STRIDE], 0), v.sw = pair(&attrs[PN_CONV_STRIDE], 1);
    v.dh = pair(&attrs[PN_CONV_DILATION], 0), v.dw = pair(&attrs[PN_CONV_DILATION], 1);
    pn_conv_padding(attrs, 0, &v.top, &behind);
    pn_conv_padding(attrs, 1, &v.left, &behind);
    v.algorithm = attrs[PN_CONV_ALGORITHM].i == PN_CONV_AUTO ? choose(&v, layout) : (int)attrs[PN_CONV_ALGORITHM].i;
    if (v.algorithm == PN_CONV_DIRECT && layout == PN_PLAIN && v.n < LINES_SAMPLES) v.algorithm = PN_CONV_LINES;
    return v;
}

bool pn_conv_is_blocked(const pn_conv *v) { return v->algorithm >= PN_CONV_DIRECT && v->algorithm != PN_CONV_LINES; }

/* Elements of one sample of x and of y. */
static int64_t conv_input_size(const pn_conv *v) { return v->groups * v->c * v->h * v->w; }
static int64_t conv_output_size(const pn_conv *v) { return v->groups * v->o * v->p * v->q; }

/* Samples of plain tensors that are laid out in blocks at a time. */
static int64_t conv_samples(const pn_conv *v, size_t bytes) {
    return conv_max(1, CONV_COPIES / (int64_t)bytes / PN_LAYOUT_LANES / (conv_input_size(v) + conv_output_size(v))) * PN_LAYOUT_LANES;
}

/* x and y in blocks of 16 samples, and how many elements that takes. */
typedef struct conv_blocks {
    pn_blocking x, y;
    int64_t x_size, y_size;
} conv_blocks;
static conv_blocks conv_blocks_of(const pn_conv *v) {
    const pn_shape x = {.rank = 2, .dim = {v->n, conv_input_size(v)}}, y = {.rank = 2, .dim = {v->n, conv_output_size(v)}};
    return (conv_blocks){pn_blocking_of(&x), pn_blocking_of(&y), pn_layout_size(&x, PN_BATCH_INNER), pn_layout_size(&y, PN_BATCH_INNER)};
}

/* Matrix products of all passes share one piece of scratch, in front of the columns. */
static size_t conv_room(const pn_kernels *k, int dtype, const pn_conv *v) {
    size_t most = 0;
    for (conv_pass pass = CONV_OUTPUT; pass <= CONV_WEIGHT; pass++) {
        const conv_plan t = conv_plan_of(v, pass, pn_dtype_bytes(dtype));
        const size_t bytes = conv_product_scratch(k, dtype, v, &t, pass);
        most = bytes > most ? bytes : most;
    }
    return (most + 63) / 64 * 64;
}

#define PN_REAL_FILE "ops/conv.c"
#include "base/real.h"

/* At least the scratch of an algorithm on blocks for n samples. */
static void blocked_needs(pn_infer *q, const pn_conv *v, int64_t n) {
    const int dtype = q->in[0].dtype;
    pn_conv part = *v;
    part.n = n;
    const conv_blocks b = conv_blocks_of(&part);
    size_t scratch, member;
    if (v->algorithm == PN_CONV_DIRECT) {
        (dtype == PN_F32 ? direct_needs_f : direct_needs_d)(q->kernels, &part, &scratch, &member);
    } else {
        member = wino_member_scratch(&part, pn_dtype_bytes(dtype));
        scratch = dtype == PN_F32 ? wino_scratch_f(q->kernels, &part) : wino_scratch_d(q->kernels, &part);
    }
    if (q->layout == PN_PLAIN) scratch += (size_t)(b.x_size + b.y_size) * pn_dtype_bytes(dtype);
    if (scratch > q->scratch) q->scratch = scratch;
    if (member > q->member_scratch) q->member_scratch = member;
}

pn_status pn_conv_needs(pn_infer *q, const pn_conv *v) {
    const int dtype = q->in[0].dtype;
    size_t size;
    if (!pn_shape_bytes(&q->out[0], &size)) return pn_fail(q->error, PN_E_VALUE, "the output would have more numbers than there are addresses");
    q->flops = 2 * work_of(v);
    if (v->algorithm == PN_CONV_NAIVE) return PN_OK;
    if (pn_conv_is_blocked(v)) {
        const int64_t most = q->layout == PN_PLAIN ? conv_samples(v, pn_dtype_bytes(dtype)) : v->n;
        blocked_needs(q, v, conv_min(v->n, most));
        if (v->n > most) blocked_needs(q, v, v->n % most); /* the last part is cut in its own way */
        return PN_OK;
    }
    const size_t product = conv_room(q->kernels, dtype, v);
    if (v->algorithm == PN_CONV_LINES) (dtype == PN_F32 ? lines_needs_f : lines_needs_d)(q->kernels, v, &q->scratch, &q->member_scratch);
    for (conv_pass pass = v->algorithm == PN_CONV_LINES ? CONV_WEIGHT : CONV_OUTPUT; pass <= CONV_WEIGHT; pass++) {
        const conv_plan t = conv_plan_of(v, pass, pn_dtype_bytes(dtype));
        const size_t bytes = product + t.columns + t.other;
        q->member_scratch = bytes > q->member_scratch ? bytes : q->member_scratch;
        const size_t partial = (size_t)(t.slices * v->groups * v->o * v->c * conv_taps(v)) * pn_dtype_bytes(dtype);
        if (t.slices > 1 && partial > q->scratch) q->scratch = partial;
    }
    return PN_OK;
}

/* Attribute `name`: one number, two, or for padding four, each from `least` on. */
static pn_status check_pair(pn_infer *q, const char *name, const pn_value *v, int64_t least) {
    const bool padding = least == 0;
    if (v->n != 1 && v->n != 2 && !(padding && v->n == 4))
        return pn_fail(q->error, PN_E_VALUE, "%s has %d numbers, expected one, or two: for rows and for columns", name, (int)v->n);
    for (int i = 0; i < v->n; i++) {
        if (v->ints[i] < least || v->ints[i] > INT32_MAX)
            return pn_fail(q->error, PN_E_VALUE, "%s is %lld, allowed are %lld to %d", name, (long long)v->ints[i], (long long)least, INT32_MAX);
    }
    return PN_OK;
}

/* An algorithm that was asked for must be possible. */
static pn_status check_algorithm(pn_infer *q) {
    const pn_value *stride = &q->attrs[PN_CONV_STRIDE], *dilation = &q->attrs[PN_CONV_DILATION];
    const pn_shape *weight = &q->in[1];
    const pn_conv v = {
        .kh = weight->dim[2], .kw = weight->dim[3], .sh = pair(stride, 0), .sw = pair(stride, 1), .dh = pair(dilation, 0), .dw = pair(dilation, 1)};
    const int64_t algorithm = q->attrs[PN_CONV_ALGORITHM].i;
    char text[256];
    if (algorithm == PN_CONV_DIRECT && !direct_fits(&v))
        return pn_fail(
            q->error, PN_E_VALUE,
            "algorithm is direct, for which stride and the kernel with its dilation may be %d at most, but stride is (%lld, %lld) and the kernel (%lld, %lld)",
            DIRECT_REACH, (long long)v.sh, (long long)v.sw, (long long)((v.kh - 1) * v.dh + 1), (long long)((v.kw - 1) * v.dw + 1));
    const bool four = algorithm == PN_CONV_WINOGRAD4;
    if (algorithm < PN_CONV_WINOGRAD2 || wino_fits(&v, four ? 6 : 4)) return PN_OK;
    return pn_fail(q->error, PN_E_VALUE,
                   "algorithm is %s with stride 1 and dilation 1, but weight has shape %s, stride is (%lld, %lld) and dilation (%lld, %lld)",
                   four ? "winograd4, which is for kernels of 2 x 2 to 5 x 5" : "winograd2, which is for kernels of 3 x 3", pn_shape_text(weight, text),
                   (long long)v.sh, (long long)v.sw, (long long)v.dh, (long long)v.dw);
}

pn_status pn_conv_check(pn_infer *q) {
    const pn_shape *weight = &q->in[1];
    const int64_t groups = q->attrs[PN_CONV_GROUPS].i;
    char text[256];
    pn_status status = check_pair(q, "stride", &q->attrs[PN_CONV_STRIDE], 1);
    if (!status) status = check_pair(q, "padding", &q->attrs[PN_CONV_PADDING], 0);
    if (!status) status = check_pair(q, "dilation", &q->attrs[PN_CONV_DILATION], 1);
    if (status) return status;
    if (weight->rank != 4) return pn_fail_shape(q, "weight", 1, "four dimensions, the last two being the kernel's");
    if (pn_shape_size(weight) == 0) return pn_fail_shape(q, "weight", 1, "sizes of at least 1");
    if ((status = check_algorithm(q))) return status;
    if (groups < 1) return pn_fail(q->error, PN_E_VALUE, "groups is %lld, expected at least 1", (long long)groups);
    if (weight->dim[0] % groups)
        return pn_fail(q->error, PN_E_VALUE, "weight has shape %s: its %lld channels cannot be shared out to %lld groups", pn_shape_text(weight, text),
                       (long long)weight->dim[0], (long long)groups);
    return PN_OK;
}
#endif
