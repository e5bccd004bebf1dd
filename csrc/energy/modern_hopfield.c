/* Modern Hopfield networks: q <- X' softmax(beta X q), E(q) = -lse(beta, X q) + q'q / 2 + ln(P) / beta + (largest |x|)^2 / 2.
 *
 * A block of states is two matrix products and a softmax, as in attention: keys are patterns, values are read out in their place. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "energy/hopfield_parts.h"
#include "energy/memories.h"

#define BLOCK 16 /* states that share products */

typedef struct modern_job {
    const pn_modern *r;
    double bound; /* ln(P) / beta + max |x|^2 / 2 */
    char *room;   /* per member: scores (BLOCK, patterns), next (BLOCK, n), the scratch of products */
    size_t stride;
} modern_job;

typedef struct modern_walk {
    const modern_job *j;
    pn_member *m;
    double *score, *next;
    void *scratch;
} modern_walk;

static pn_gemm_shape scores_of(const pn_modern *r, int64_t rows) {
    return (pn_gemm_shape){.m = rows, .n = r->patterns, .k = r->n, .tb = true, .lda = r->n, .ldb = r->n, .ldc = r->patterns};
}
static pn_gemm_shape mixture_of(const pn_modern *r, int64_t rows, int64_t width) {
    return (pn_gemm_shape){.m = rows, .n = width, .k = r->patterns, .lda = r->patterns, .ldb = width, .ldc = width};
}

static void product(const modern_walk *w, pn_gemm_shape s, const double *a, const double *b, double *c) {
    const pn_gemm_d_fn *gemm = &pn_kernels_get()->d.gemm;
    const pn_gemm_call_d call = {.s = s, .a = a, .b = b, .c = c, .act = -1, .poll = w->m->poll, .asks = w->m->index == 0};
    gemm->run(&call, 0, gemm->blocks(&s), w->scratch);
}

/* score = beta X q of `rows` states */
static void find_scores(const modern_walk *w, const double *q, int64_t rows) {
    const pn_modern *r = w->j->r;
    product(w, scores_of(r, rows), q, r->x, w->score);
    pn_kernels_get()->d.scale(w->score, w->score, r->beta, rows * r->patterns, false);
}

static void note_energy(const modern_walk *w, int64_t row, const double *score, int64_t t) {
    const pn_modern *r = w->j->r;
    double lse;
    if (!r->energy) return;
    pn_kernels_get()->d.log_sum_exp(&lse, score, 1, r->patterns);
    const double *q = r->state + row * r->n;
    r->energy[row * (r->steps + 1) + t] = -lse / r->beta + 0.5 * pn_kernels_get()->d.sum_squares(q, r->n) + w->j->bound;
}

/* How far the state moves, and the new state in its place. */
static double move(double *q, const double *next, int64_t n) {
    double far = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs(next[i] - q[i]);
        far = d > far ? d : far;
        q[i] = next[i];
    }
    return far;
}

/* All steps of a block: rows that have come to rest stay as they are. */
static void modern_block(modern_walk *w, int64_t lo, int64_t rows) {
    const pn_modern *r = w->j->r;
    const pn_kernels_d *k = &pn_kernels_get()->d;
    bool rests[BLOCK] = {false};
    double *q = r->state + lo * r->n;
    for (int64_t t = 0, left = rows; t <= r->steps && left; t++) {
        find_scores(w, q, rows);
        if (pn_walk_stopped(w->m)) return;
        for (int64_t i = 0; i < rows; i++) {
            if (!rests[i] || r->taken[lo + i] == t) note_energy(w, lo + i, w->score + i * r->patterns, t);
        }
        const bool last = t == r->steps || (r->v && t + 1 == r->steps);
        if (t == r->steps) break;
        k->softmax(w->score, w->score, rows, r->patterns);
        if (r->weight) memcpy(r->weight + lo * r->patterns, w->score, (size_t)(rows * r->patterns) * sizeof(double));
        if (r->v && last) { /* the values take the place of the last state */
            product(w, mixture_of(r, rows, r->m), w->score, r->v, r->out + lo * r->m);
            for (int64_t i = 0; i < rows; i++) r->taken[lo + i] = t + 1;
            return;
        }
        product(w, mixture_of(r, rows, r->n), w->score, r->x, w->next);
        left = 0;
        for (int64_t i = 0; i < rows; i++) {
            left += !rests[i] || r->taken[lo + i] == t + 1;
            if (rests[i]) continue;
            rests[i] = move(q + i * r->n, w->next + i * r->n, r->n) <= r->tolerance && !r->v;
            r->taken[lo + i] = t + 1;
            left += 1;
        }
    }
}

static size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t scratch_of(const pn_modern *r) {
    size_t most = 0;
    for (int64_t rows = 1; rows <= BLOCK; rows++) {
        const pn_gemm_shape s[3] = {scores_of(r, rows), mixture_of(r, rows, r->n), mixture_of(r, rows, r->m)};
        for (int i = 0; i < 3; i++) {
            const size_t bytes = pn_kernels_get()->d.gemm.scratch(&s[i]);
            most = bytes > most ? bytes : most;
        }
    }
    return most;
}

static void modern_member(void *context, pn_member *m) {
    const modern_job *j = context;
    const pn_modern *r = j->r;
    char *room = j->room + (size_t)m->index * j->stride;
    modern_walk w = {.j = j, .m = m, .score = (double *)room};
    room += round_up((size_t)(BLOCK * r->patterns) * sizeof(double));
    w.next = (double *)room;
    w.scratch = room + round_up((size_t)(BLOCK * r->n) * sizeof(double));
    int64_t lo, hi;
    pn_member_range(m, (r->rows + BLOCK - 1) / BLOCK, &lo, &hi);
    for (int64_t b = lo; b < hi && !pn_walk_stopped(m); b++) modern_block(&w, b * BLOCK, r->rows - b * BLOCK < BLOCK ? r->rows - b * BLOCK : BLOCK);
}

pn_status pn_modern_recall(const pn_modern *r, int threads, pn_poll *poll, pn_error *e) {
    if (r->patterns < 1 || r->n < 1) return pn_fail(e, PN_E_VALUE, "a modern Hopfield network needs at least one pattern of at least one number");
    modern_job j = {.r = r};
    double largest = 0;
    for (int64_t p = 0; p < r->patterns; p++) {
        const double square = pn_kernels_get()->d.sum_squares(r->x + p * r->n, r->n);
        largest = square > largest ? square : largest;
    }
    j.bound = pn_log((double)r->patterns) / r->beta + 0.5 * largest;
    j.stride = round_up((size_t)(BLOCK * r->patterns) * sizeof(double)) + round_up((size_t)(BLOCK * r->n) * sizeof(double)) + round_up(scratch_of(r));
    j.room = pn_alloc(j.stride * (size_t)threads);
    if (!j.room) return pn_fail(e, PN_E_MEMORY, "no memory for %lld states and %lld patterns", (long long)r->rows, (long long)r->patterns);
    pn_team_run(r->rows > BLOCK ? threads : 1, poll, modern_member, &j);
    pn_free(j.room);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
