/* Convolution as the lecture writes it: one sum for each number. Slow, and the judge of all faster algorithms.
 *
 * The typed part is for conv.c, which includes it once per real type. */
#ifndef PN_REAL_PASS
#ifndef PN_OPS_CONV_NAIVE_H
#define PN_OPS_CONV_NAIVE_H
#include "ops/conv.h"

#define NAIVE_POLL_WORK (1 << 18) /* multiply-adds between two looks at the poll */
static inline bool naive_stopped(pn_member *m, int64_t *work, int64_t more) {
    if ((*work += more) < NAIVE_POLL_WORK) return false;
    *work = 0;
    return pn_member_stopped(m);
}
#endif
#else

/* y[n, o, p, q] = bias[o] + sum over c, i, j of x[n, c, p sh - top + i dh, q sw - left + j dw] w[o, c, i, j] */
static real R_(naive_sum)(const pn_conv *v, const real *x, const real *w, int64_t p, int64_t q) {
    real sum = 0;
    for (int64_t c = 0; c < v->c; c++) {
        for (int64_t i = 0; i < v->kh; i++) {
            const int64_t row = p * v->sh - v->top + i * v->dh;
            if (row < 0 || row >= v->h) continue;
            for (int64_t j = 0; j < v->kw; j++) {
                const int64_t col = q * v->sw - v->left + j * v->dw;
                if (col >= 0 && col < v->w) sum += x[(c * v->h + row) * v->w + col] * w[(c * v->kh + i) * v->kw + j];
            }
        }
    }
    return sum;
}

static void R_(naive_output)(const pn_call *c, pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    const int64_t outs = v->groups * v->o, taps = v->c * v->kh * v->kw;
    int64_t lo, hi, work = 0;
    pn_member_range(m, v->n * outs * v->p, &lo, &hi); /* rows of y */
    for (int64_t r = lo; r < hi; r++) {
        const int64_t p = r % v->p, o = r / v->p % outs, n = r / v->p / outs;
        const real *x = io->x + (n * v->groups + o / v->o) * v->c * v->h * v->w, *w = io->w + o * taps;
        real *y = io->to + r * v->q;
        for (int64_t q = 0; q < v->q; q++) {
            if (naive_stopped(m, &work, taps)) return;
            const real before = io->add ? y[q] : io->bias ? io->bias[o] : 0;
            y[q] = before + R_(naive_sum)(v, x, w, p, q);
        }
        if (io->act >= 0) R_(pn_call_kernels)(c)->act_forward[io->act](y, y, v->q, io->params);
    }
}

/* gx[n, c, row, col] = sum over o, i, j of gy[n, o, p, q] w[o, c, i, j] with p sh - top + i dh = row and q sw - left + j dw = col.
 * y: gy of one group, w: the weights of that group from channel c on */
static real R_(naive_sum_back)(const pn_conv *v, const real *y, const real *w, int64_t row, int64_t col) {
    real sum = 0;
    for (int64_t o = 0; o < v->o; o++) {
        for (int64_t i = 0; i < v->kh; i++) {
            const int64_t down = row + v->top - i * v->dh, p = down / v->sh;
            if (down < 0 || down % v->sh || p >= v->p) continue;
            for (int64_t j = 0; j < v->kw; j++) {
                const int64_t right = col + v->left - j * v->dw, q = right / v->sw;
                if (right < 0 || right % v->sw || q >= v->q) continue;
                sum += y[(o * v->p + p) * v->q + q] * w[(o * v->c * v->kh + i) * v->kw + j];
            }
        }
    }
    return sum;
}

static void R_(naive_input)(pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    const int64_t channels = v->groups * v->c;
    int64_t lo, hi, work = 0;
    pn_member_range(m, v->n * channels * v->h, &lo, &hi); /* rows of x */
    for (int64_t r = lo; r < hi; r++) {
        const int64_t row = r % v->h, c = r / v->h % channels, n = r / v->h / channels, group = c / v->c;
        const real *y = io->y + (n * v->groups + group) * v->o * v->p * v->q, *w = io->w + (group * v->o * v->c + c % v->c) * v->kh * v->kw;
        real *x = io->to + r * v->w;
        for (int64_t col = 0; col < v->w; col++) {
            if (naive_stopped(m, &work, v->o * v->kh * v->kw)) return;
            const real before = io->add ? x[col] : io->bias ? io->bias[c] : 0;
            x[col] = before + R_(naive_sum_back)(v, y, w, row, col);
        }
    }
}

/* gw[o, c, i, j] = sum over n, p, q of gy[n, o, p, q] x[n, c, p sh - top + i dh, q sw - left + j dw]; here for row p of one image: y, x are planes */
static real R_(naive_product)(const pn_conv *v, const real *x, const real *y, int64_t p, int64_t i, int64_t j) {
    const int64_t row = p * v->sh - v->top + i * v->dh;
    real sum = 0;
    if (row < 0 || row >= v->h) return 0;
    for (int64_t q = 0; q < v->q; q++) {
        const int64_t col = q * v->sw - v->left + j * v->dw;
        if (col >= 0 && col < v->w) sum += x[row * v->w + col] * y[p * v->q + q];
    }
    return sum;
}

static void R_(naive_weight)(pn_member *m, const pn_conv *v, const R_(pn_conv_io) *io) {
    const int64_t outs = v->groups * v->o, channels = v->groups * v->c;
    int64_t lo, hi, work = 0;
    pn_member_range(m, outs * v->c * v->kh * v->kw, &lo, &hi);
    for (int64_t k = lo; k < hi; k++) {
        const int64_t j = k % v->kw, i = k / v->kw % v->kh, c = k / v->kw / v->kh % v->c, o = k / v->kw / v->kh / v->c;
        real sum = 0;
        for (int64_t n = 0; n < v->n; n++) {
            const real *x = io->x + (n * channels + o / v->o * v->c + c) * v->h * v->w, *y = io->y + (n * outs + o) * v->p * v->q;
            for (int64_t p = 0; p < v->p; p++) {
                if (naive_stopped(m, &work, v->q)) return;
                sum += R_(naive_product)(v, x, y, p, i, j);
            }
        }
        io->to[k] = sum + (io->add ? io->to[k] : 0);
    }
}
#endif
