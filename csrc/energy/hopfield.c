/* Making Hopfield networks, and their energies. */
#include "energy/hopfield.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "energy/hopfield_parts.h"

#define TILE 256       /* columns and rows of K that are computed, or looked at, together */
#define ROUNDING 1e-12 /* of the sum of a row: what a field may be off */

void pn_hopfield_free(pn_hopfield *net) {
    if (!net) return;
    pn_free(net->columns);
    pn_free(net->k);
    pn_free(net->slack);
    pn_free(net);
}

static pn_status open_net(pn_hopfield **out, int64_t n, double divisor, pn_error *e) {
    if (n < 1 || n > PN_HOPFIELD_MOST) return pn_fail(e, PN_E_VALUE, "a Hopfield network has 1 to %d neurons, got %lld", PN_HOPFIELD_MOST, (long long)n);
    if (!(divisor > 0) || !isfinite(divisor)) return pn_fail(e, PN_E_VALUE, "the divisor of M must be above 0 and finite, got %g", divisor);
    pn_hopfield *net = *out = pn_alloc_zero(sizeof *net);
    if (!net) return pn_fail(e, PN_E_MEMORY, "no memory for a Hopfield network");
    net->n = n;
    net->divisor = divisor;
    return PN_OK;
}

static pn_status no_room(const pn_hopfield *net, pn_error *e) {
    return pn_fail(e, PN_E_MEMORY, "no memory for a Hopfield network of %lld neurons", (long long)net->n);
}

/* ---- dense: K by tiles above the diagonal, mirrored ---- */

typedef struct storing {
    pn_hopfield *net;
    const int8_t *x; /* (patterns, n) */
    float *all;      /* (patterns, n) the same as floats: products are whole numbers below 2^24, hence exact */
    char *room;      /* a tile and scratch for each member */
    size_t stride;
} storing;

static pn_gemm_shape tile_shape(const pn_hopfield *net, int64_t rows, int64_t cols) {
    return (pn_gemm_shape){.m = rows, .n = cols, .k = net->patterns, .ta = true, .lda = net->n, .ldb = net->n, .ldc = TILE};
}

static void store_tile(const storing *s, int64_t r, int64_t c, pn_member *m) {
    const int64_t n = s->net->n, rows = n - r < TILE ? n - r : TILE, cols = n - c < TILE ? n - c : TILE;
    float *tile = (float *)(s->room + (size_t)m->index * s->stride);
    const pn_kernels *k = pn_kernels_get();
    const pn_gemm_call_f call = {
        .s = tile_shape(s->net, rows, cols), .a = s->all + r, .b = s->all + c, .c = tile, .act = -1, .poll = m->poll, .asks = m->index == 0};
    k->f.gemm.run(&call, 0, k->f.gemm.blocks(&call.s), tile + TILE * TILE);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) s->net->k[(r + i) * n + c + j] = r + i == c + j ? 0 : (double)tile[i * TILE + j];
    }
    if (r == c) return;
    for (int64_t j = 0; j < cols; j++) {
        for (int64_t i = 0; i < rows; i++) s->net->k[(c + j) * n + r + i] = (double)tile[i * TILE + j];
    }
}

static void store_member(void *context, pn_member *m) {
    const storing *s = context;
    const int64_t n = s->net->n, side = (n + TILE - 1) / TILE;
    int64_t lo, hi, at = 0;
    pn_member_range(m, side * (side + 1) / 2, &lo, &hi);
    for (int64_t r = 0; r < side; r++) {
        for (int64_t c = r; c < side; c++, at++) {
            if (at < lo || at >= hi) continue;
            if (pn_walk_stopped(m)) return;
            store_tile(s, r * TILE, c * TILE, m);
        }
    }
}

void pn_hopfield_measure_slack(pn_hopfield *net, pn_poll *poll) {
    for (int64_t i = 0; i < net->n && !pn_poll_now(poll); i++) {
        double sum = 0;
        for (int64_t j = 0; j < net->n; j++) sum += fabs(net->k[i * net->n + j]);
        net->slack[i] = ROUNDING * sum;
    }
}

static bool make_dense(pn_hopfield *net) {
    size_t bytes;
    net->k = pn_mul_size((size_t)net->n * (size_t)net->n, sizeof(double), &bytes) ? pn_alloc(bytes) : NULL;
    net->slack = net->k ? pn_alloc((size_t)net->n * sizeof(double)) : NULL;
    return net->slack != NULL;
}

static pn_status store_dense(pn_hopfield *net, const int8_t *x, int threads, pn_poll *poll, pn_error *e) {
    const size_t count = (size_t)net->patterns * (size_t)net->n;
    const pn_gemm_shape whole = tile_shape(net, TILE, TILE);
    storing s = {.net = net, .x = x};
    s.stride = TILE * TILE * sizeof(float) + (pn_kernels_get()->f.gemm.scratch(&whole) + 127) / 64 * 64;
    s.all = make_dense(net) ? pn_alloc(count * sizeof(float)) : NULL;
    s.room = s.all ? pn_alloc(s.stride * (size_t)threads) : NULL;
    pn_status status = s.room ? PN_OK : no_room(net, e);
    for (int64_t p = 0; !status && p < net->patterns && !pn_poll_now(poll); p++) {
        for (int64_t i = p * net->n; i < (p + 1) * net->n; i++) s.all[i] = x[i];
    }
    if (!status) pn_team_run(threads, poll, store_member, &s);
    if (!status) pn_hopfield_measure_slack(net, poll);
    if (!status && pn_poll_stopped(poll)) status = pn_fail(e, PN_E_INTERRUPTED, "interrupted");
    pn_free(s.all);
    pn_free(s.room);
    return status;
}

/* ---- patterns kept as they are ---- */

static pn_status store_columns(pn_hopfield *net, const int8_t *x, pn_poll *poll, pn_error *e) {
    const int64_t n = net->n;
    net->padded = (net->patterns + PN_HOPFIELD_PAD - 1) / PN_HOPFIELD_PAD * PN_HOPFIELD_PAD;
    net->columns = pn_alloc((size_t)n * (size_t)net->padded * sizeof(int16_t));
    if (!net->columns) return no_room(net, e);
    for (int64_t from = 0; from < net->padded && !pn_poll_now(poll); from += PN_HOPFIELD_PAD) { /* a cache line of every row at a time */
        for (int64_t i = 0; i < n; i++) {
            int16_t *to = net->columns + i * net->padded + from;
            for (int64_t p = 0; p < PN_HOPFIELD_PAD; p++) to[p] = from + p < net->patterns ? x[(from + p) * n + i] : 0;
        }
    }
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}

static pn_status check_patterns(const int8_t *x, int64_t patterns, int64_t n, pn_poll *poll, pn_error *e) {
    for (int64_t p = 0; p < patterns; p++) {
        if (pn_poll_now(poll)) return pn_fail(e, PN_E_INTERRUPTED, "interrupted");
        for (int64_t i = p * n; i < (p + 1) * n; i++) {
            if (x[i] != 1 && x[i] != -1) return pn_fail(e, PN_E_VALUE, "patterns must be -1 and +1, got %d in pattern %lld", x[i], (long long)p);
        }
    }
    return PN_OK;
}

pn_status pn_hopfield_patterns(pn_hopfield **out, const int8_t *x, int64_t patterns, int64_t n, double divisor, bool dense, int threads, pn_poll *poll,
                               pn_error *e) {
    if (patterns < 1 || patterns > PN_HOPFIELD_MOST)
        return pn_fail(e, PN_E_VALUE, "a Hopfield network stores 1 to %d patterns, got %lld", PN_HOPFIELD_MOST, (long long)patterns);
    pn_hopfield *net = NULL;
    pn_status status = open_net(&net, n, divisor, e);
    if (status) return status;
    net->patterns = patterns;
    status = check_patterns(x, patterns, n, poll, e);
    if (!status) status = dense ? store_dense(net, x, threads, poll, e) : store_columns(net, x, poll, e);
    if (status)
        pn_hopfield_free(net);
    else
        *out = net;
    return status;
}

/* ---- any weights ---- */

static pn_status check_entry(const double *k, int64_t n, int64_t i, int64_t j, pn_error *e) {
    const double a = k[i * n + j], b = k[j * n + i];
    if (!isfinite(a)) return pn_fail(e, PN_E_VALUE, "M must be finite, but M[%lld, %lld] = %g", (long long)i, (long long)j, a);
    if (a != b)
        return pn_fail(e, PN_E_VALUE, "M must be symmetric, but M[%lld, %lld] = %g and M[%lld, %lld] = %g", (long long)i, (long long)j, a, (long long)j,
                       (long long)i, b);
    if (i == j && a != 0) return pn_fail(e, PN_E_VALUE, "the diagonal of M must be 0, but M[%lld, %lld] = %g", (long long)i, (long long)i, a);
    return PN_OK;
}

static pn_status check_weights(const double *k, int64_t n, pn_poll *poll, pn_error *e) {
    for (int64_t r = 0; r < n; r += 64) { /* tiles: a column walks through as much memory as a row */
        for (int64_t c = 0; c < n; c += 64) {
            if (pn_poll_now(poll)) return pn_fail(e, PN_E_INTERRUPTED, "interrupted");
            for (int64_t i = r; i < n && i < r + 64; i++) {
                for (int64_t j = c; j < n && j < c + 64; j++) {
                    const pn_status status = check_entry(k, n, i, j, e);
                    if (status) return status;
                }
            }
        }
    }
    return PN_OK;
}

pn_status pn_hopfield_weights(pn_hopfield **out, const double *k, int64_t n, double divisor, pn_poll *poll, pn_error *e) {
    pn_hopfield *net = NULL;
    pn_status status = open_net(&net, n, divisor, e);
    if (!status) status = check_weights(k, n, poll, e);
    if (!status && !make_dense(net)) status = no_room(net, e);
    for (int64_t i = 0; !status && i < n && !pn_poll_now(poll); i++) memcpy(net->k + i * n, k + i * n, (size_t)n * sizeof *k);
    if (!status) pn_hopfield_measure_slack(net, poll);
    if (!status && pn_poll_stopped(poll)) status = pn_fail(e, PN_E_INTERRUPTED, "interrupted");
    if (status)
        pn_hopfield_free(net);
    else
        *out = net;
    return status;
}

void pn_hopfield_whole_matrix(const pn_hopfield *net, int64_t lo, int64_t hi, double *rows) {
    for (int64_t i = lo; i < hi; i++) {
        double *row = rows + (i - lo) * net->n;
        if (net->k) {
            memcpy(row, net->k + i * net->n, (size_t)net->n * sizeof *row);
            continue;
        }
        for (int64_t j = 0; j < net->n; j++) row[j] = i == j ? 0 : pn_overlap_pull(net->columns + i * net->padded, net->columns + j * net->padded, net->padded);
    }
}

void pn_hopfield_matrix(const pn_hopfield *net, int64_t lo, int64_t hi, double *rows) {
    pn_hopfield_whole_matrix(net, lo, hi, rows);
    for (int64_t i = 0; i < (hi - lo) * net->n; i++) rows[i] /= net->divisor;
}

/* ---- fields and energies ---- */

static pn_gemm_shape fields_shape(const pn_hopfield *net, int64_t rows) {
    return (pn_gemm_shape){.m = rows, .n = net->n, .k = net->n, .lda = net->n, .ldb = net->n, .ldc = net->n};
}

size_t pn_hopfield_room(const pn_hopfield *net) {
    const pn_gemm_shape one = fields_shape(net, 1), block = fields_shape(net, PN_HOPFIELD_BLOCK);
    const size_t a = pn_kernels_get()->d.gemm.scratch(&one), b = pn_kernels_get()->d.gemm.scratch(&block);
    return ((size_t)(PN_HOPFIELD_BLOCK * net->n) * sizeof(double) + (a > b ? a : b) + 127) / 64 * 64;
}

void pn_hopfield_fields(const pn_hopfield *net, const int8_t *state, int64_t rows, double *h, void *room, pn_member *m) {
    double *s = room;
    for (int64_t i = 0; i < rows * net->n; i++) s[i] = state[i];
    const pn_gemm_d_fn *gemm = &pn_kernels_get()->d.gemm;
    const pn_gemm_call_d call = {.s = fields_shape(net, rows), .a = s, .b = net->k, .c = h, .act = -1, .poll = m->poll, .asks = m->index == 0};
    gemm->run(&call, 0, gemm->blocks(&call.s), (char *)room + ((size_t)(PN_HOPFIELD_BLOCK * net->n) * sizeof(double) + 63) / 64 * 64);
}

typedef struct measuring {
    const pn_hopfield *net;
    const int8_t *state;
    int64_t rows;
    double *energy;
    char *room; /* per member: fields, then room of pn_hopfield_fields; or overlaps */
    size_t stride;
} measuring;

static void measure_member(void *context, pn_member *m) {
    const measuring *job = context;
    const pn_hopfield *net = job->net;
    char *room = job->room + (size_t)m->index * job->stride;
    int64_t lo, hi;
    pn_member_range(m, (job->rows + PN_HOPFIELD_BLOCK - 1) / PN_HOPFIELD_BLOCK, &lo, &hi);
    for (int64_t b = lo; b < hi && !pn_walk_stopped(m); b++) {
        const int64_t from = b * PN_HOPFIELD_BLOCK, rows = job->rows - from < PN_HOPFIELD_BLOCK ? job->rows - from : PN_HOPFIELD_BLOCK;
        const int8_t *s = job->state + from * net->n;
        double *h = (double *)room;
        if (net->k) pn_hopfield_fields(net, s, rows, h, h + PN_HOPFIELD_BLOCK * net->n, m);
        for (int64_t r = 0; r < rows; r++) {
            if (net->k) {
                double sum = 0;
                for (int64_t i = 0; i < net->n; i++) sum += h[r * net->n + i] * s[r * net->n + i];
                job->energy[from + r] = -0.5 * sum / net->divisor;
            } else {
                pn_overlaps(net, s + r * net->n, (int16_t *)room);
                job->energy[from + r] = pn_overlap_energy(net, (int16_t *)room) / net->divisor;
            }
        }
    }
}

pn_status pn_hopfield_energy(const pn_hopfield *net, const int8_t *state, int64_t rows, double *energy, int threads, pn_poll *poll, pn_error *e) {
    measuring job = {.net = net, .state = state, .rows = rows, .energy = energy};
    const size_t fields = (size_t)(PN_HOPFIELD_BLOCK * net->n) * sizeof(double);
    job.stride = net->k ? fields + pn_hopfield_room(net) : (size_t)net->padded * sizeof(int16_t);
    job.stride = (job.stride + 127) / 64 * 64;
    job.room = pn_alloc(job.stride * (size_t)threads);
    if (!job.room) return no_room(net, e);
    pn_team_run(threads, poll, measure_member, &job);
    pn_free(job.room);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
