/* Graded neurons: blocks of states share the product with M. */
#include "energy/graded.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/team.h"
#include "kernels/kernels.h"

#define BLOCK 16
#define LN2 0.69314718055994530942

typedef struct graded_job {
    const pn_graded *g;
    char *room; /* per member: fields (BLOCK, n), one row, the scratch of products */
    size_t stride, scratch;
} graded_job;

typedef struct graded_walk {
    const pn_graded *g;
    pn_member *m;
    double *h, *line;
    void *scratch;
} graded_walk;

static bool stopped(pn_member *m) { return m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll); }

static pn_gemm_shape fields_shape(const pn_graded *g, int64_t rows) {
    return (pn_gemm_shape){.m = rows, .n = g->n, .k = g->n, .lda = g->n, .ldb = g->n, .ldc = g->n};
}

/* V from u */
static void respond(const graded_walk *w, int64_t row) {
    const pn_graded *g = w->g;
    const pn_kernels_d *k = &pn_kernels_get()->d;
    k->scale(g->v + row * g->n, g->u + row * g->n, g->gain, g->n, false);
    k->act_forward[PN_ACT_tanh](g->v + row * g->n, g->v + row * g->n, g->n, NULL);
}

/* The integral of the inverse response from 0 to V is (V x - ln cosh x) / gain at x = gain u, and ln cosh x = softplus(2 x) - x - ln 2. */
static double integrals(const graded_walk *w, int64_t row) {
    const pn_graded *g = w->g;
    const pn_kernels_d *k = &pn_kernels_get()->d;
    const double *u = g->u + row * g->n, *v = g->v + row * g->n;
    k->scale(w->line, u, 2 * g->gain, g->n, false);
    k->act_forward[PN_ACT_softplus](w->line, w->line, g->n, NULL);
    double sum = 0;
    for (int64_t i = 0; i < g->n; i++) sum += v[i] * g->gain * u[i] - (w->line[i] - g->gain * u[i] - LN2);
    return sum / (g->gain * g->tau);
}

/* The record of a row, given h = M V. */
static void note(const graded_walk *w, int64_t row, const double *h, int64_t step) {
    const pn_graded *g = w->g;
    const pn_kernels_d *k = &pn_kernels_get()->d;
    const int64_t width = g->steps / g->every + 1, at = row * width + step / g->every;
    const double *v = g->v + row * g->n;
    g->energy[at] = -0.5 * k->dot(v, h, g->n) - (g->input ? k->dot(v, g->input, g->n) : 0) + integrals(w, row);
    if (g->trace) memcpy(g->trace + at * g->n, v, (size_t)g->n * sizeof *v);
}

static void advance(const graded_walk *w, int64_t row, const double *h) {
    const pn_graded *g = w->g;
    double *u = g->u + row * g->n;
    for (int64_t i = 0; i < g->n; i++) u[i] += g->dt * (h[i] + (g->input ? g->input[i] : 0) - u[i] / g->tau);
    respond(w, row);
}

static void run_block(const graded_walk *w, int64_t lo, int64_t rows) {
    const pn_graded *g = w->g;
    const pn_gemm_d_fn *gemm = &pn_kernels_get()->d.gemm;
    const pn_gemm_call_d call = {
        .s = fields_shape(g, rows), .a = g->v + lo * g->n, .b = g->m, .c = w->h, .act = -1, .poll = w->m->poll, .asks = w->m->index == 0};
    for (int64_t row = lo; row < lo + rows; row++) respond(w, row);
    for (int64_t t = 0;; t++) {
        gemm->run(&call, 0, gemm->blocks(&call.s), w->scratch);
        if (stopped(w->m)) return;
        for (int64_t i = 0; i < rows; i++) {
            if (t % g->every == 0) note(w, lo + i, w->h + i * g->n, t);
            g->taken[lo + i] = t;
            if (t < g->steps) advance(w, lo + i, w->h + i * g->n);
        }
        if (t == g->steps) return;
    }
}

static void graded_member(void *context, pn_member *m) {
    const graded_job *j = context;
    const pn_graded *g = j->g;
    char *room = j->room + (size_t)m->index * j->stride;
    graded_walk w = {.g = g, .m = m, .h = (double *)room};
    w.line = w.h + BLOCK * g->n;
    w.scratch = room + j->stride - j->scratch;
    int64_t lo, hi;
    pn_member_range(m, (g->rows + BLOCK - 1) / BLOCK, &lo, &hi);
    for (int64_t b = lo; b < hi && !stopped(m); b++) run_block(&w, b * BLOCK, g->rows - b * BLOCK < BLOCK ? g->rows - b * BLOCK : BLOCK);
}

pn_status pn_graded_run(const pn_graded *g, int threads, pn_poll *poll, pn_error *e) {
    graded_job j = {.g = g};
    for (int64_t rows = 1; rows <= BLOCK; rows++) {
        const pn_gemm_shape s = fields_shape(g, rows);
        const size_t bytes = (pn_kernels_get()->d.gemm.scratch(&s) + 127) / 64 * 64;
        j.scratch = bytes > j.scratch ? bytes : j.scratch;
    }
    j.stride = ((size_t)((BLOCK + 1) * g->n) * sizeof(double) + 63) / 64 * 64 + j.scratch;
    j.room = pn_alloc(j.stride * (size_t)threads);
    if (!j.room) return pn_fail(e, PN_E_MEMORY, "no memory for %lld graded neurons", (long long)g->n);
    pn_team_run(g->rows > BLOCK ? threads : 1, poll, graded_member, &j);
    pn_free(j.room);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
