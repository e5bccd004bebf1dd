/* Convolution for the ops that are made of it: geometry, choice of the algorithm, scratch, and the gradient of a bias. */
#ifdef PN_REAL_PASS
#include "ops/conv_naive.h"
#include "ops/conv_im2col.h"

void R_(pn_conv_output)(const pn_call *c, pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    (v->naive ? R_(naive_output) : R_(im2col_output))(c, m, v, io);
}

void R_(pn_conv_input)(const pn_call *c, pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    if (v->naive)
        R_(naive_input)(m, v, io);
    else
        R_(im2col_input)(c, m, v, io);
}

void R_(pn_conv_weight)(const pn_call *c, pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    if (v->naive)
        R_(naive_weight)(m, v, io);
    else
        R_(im2col_weight)(c, m, v, io);
}

void R_(pn_conv_bias)(const pn_call *c, pn_member *m, real *gb, const real *gy, int64_t n, int64_t channels, int64_t plane, bool add) {
    int64_t lo, hi;
    pn_member_range(m, channels, &lo, &hi);
    for (int64_t k = lo; k < hi && !pn_member_stopped(m); k++) {
        double sum = 0;
        for (int64_t i = 0; i < n && !pn_member_stopped(m); i++) sum += R_(pn_call_kernels)(c)->sum(gy + (i * channels + k) * plane, plane);
        gb[k] = (real)sum + (add ? gb[k] : 0);
    }
}

#else
#include "ops/conv_im2col.h"
#include "ops/conv_naive.h"

enum { AUTO, NAIVE };
#define NAIVE_WORK 1024 /* multiply-adds up to which setting up a block costs more than it saves */

static int64_t pair(const pn_value *v, int i) { return v->ints[v->n == 1 ? 0 : i]; }

void pn_conv_padding(const pn_value *attrs, int dim, int64_t *front, int64_t *behind) {
    const pn_value *v = &attrs[PN_CONV_PADDING];
    *front = v->n == 4 ? v->ints[2 * dim] : pair(v, dim);
    *behind = v->n == 4 ? v->ints[2 * dim + 1] : pair(v, dim);
}

static double work_of(const pn_conv *v) { return (double)v->n * (double)(v->groups * v->o) * (double)v->p * (double)v->q * (double)(v->c * v->kh * v->kw); }

pn_conv pn_conv_of(const pn_shape *x, const pn_shape *weight, const pn_shape *y, const pn_value *attrs) {
    int64_t behind;
    pn_conv v = {.n = x->dim[0], .groups = attrs[PN_CONV_GROUPS].i, .c = weight->dim[1], .h = x->dim[2], .w = x->dim[3], .p = y->dim[2], .q = y->dim[3]};
    v.o = weight->dim[0] / v.groups;
    v.kh = weight->dim[2], v.kw = weight->dim[3];
    v.sh = pair(&attrs[PN_CONV_STRIDE], 0), v.sw = pair(&attrs[PN_CONV_STRIDE], 1);
    v.dh = pair(&attrs[PN_CONV_DILATION], 0), v.dw = pair(&attrs[PN_CONV_DILATION], 1);
    pn_conv_padding(attrs, 0, &v.top, &behind);
    pn_conv_padding(attrs, 1, &v.left, &behind);
    v.naive = attrs[PN_CONV_ALGORITHM].i == NAIVE || (attrs[PN_CONV_ALGORITHM].i == AUTO && work_of(&v) <= NAIVE_WORK);
    return v;
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

pn_status pn_conv_needs(pn_infer *q, const pn_conv *v) {
    const int dtype = q->in[0].dtype;
    size_t size;
    if (!pn_shape_bytes(&q->out[0], &size)) return pn_fail(q->error, PN_E_VALUE, "the output would have more numbers than there are addresses");
    q->flops = 2 * work_of(v);
    if (v->naive) return PN_OK;
    const size_t product = conv_room(q->kernels, dtype, v);
    for (conv_pass pass = CONV_OUTPUT; pass <= CONV_WEIGHT; pass++) {
        const conv_plan t = conv_plan_of(v, pass, pn_dtype_bytes(dtype));
        const size_t bytes = product + t.columns + t.other;
        q->member_scratch = bytes > q->member_scratch ? bytes : q->member_scratch;
        if (t.slices > 1) q->scratch = (size_t)(t.slices * v->groups * v->o * v->c * conv_taps(v)) * pn_dtype_bytes(dtype);
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
    if (groups < 1) return pn_fail(q->error, PN_E_VALUE, "groups is %lld, expected at least 1", (long long)groups);
    if (weight->dim[0] % groups)
        return pn_fail(q->error, PN_E_VALUE, "weight has shape %s: its %lld channels cannot be shared out to %lld groups", pn_shape_text(weight, text),
                       (long long)weight->dim[0], (long long)groups);
    return PN_OK;
}
#endif
