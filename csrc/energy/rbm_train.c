/* Learning of an RBM: whole epochs by one team, in steps
 *
 *   negative phase: the chains go k sweeps on | gather the mini-batch | probabilities of the hidden units of both | measure | update
 *
 * The change of W is lr (<v h'> over the batch - <v h'> over the chains), h by its probabilities: one product of v (chains and batch, nv) with h, each row
 * scaled beforehand. Every chain has random numbers of its own. A step works on copies; when nothing can fail any more, all is changed at once. */
#ifdef PN_REAL_PASS

#include "energy/rbm_layer.h"

#define ROW(array, i, width) ((real *)(array) + (i) * (width))

static void R_(up)(walk *w, pn_member *m, int64_t first, int64_t rows) {
    const pn_rbm *rbm = &w->t->m;
    const R_(pn_gemm_call) g = {.s = rbm_up(rbm, rows), .a = ROW(w->v, first, rbm->nv), .b = rbm->w, .c = ROW(w->x, first, rbm->nh), .bias = rbm->c};
    R_(rbm_product)(g, m, m->poll, m->index == 0, w->scratch + w->scratch_bytes * (size_t)m->index);
    pn_member_barrier(m);
}

static void R_(down)(walk *w, pn_member *m, const real *h, real *v, int64_t rows) {
    const pn_rbm *rbm = &w->t->m;
    const R_(pn_gemm_call) g = {.s = rbm_down(rbm, rows), .a = h, .b = rbm->w, .c = v, .bias = rbm->b};
    R_(rbm_product)(g, m, m->poll, m->index == 0, w->scratch + w->scratch_bytes * (size_t)m->index);
    pn_member_barrier(m);
}

/* Hidden states and probabilities of chain rows from their inputs. */
static void R_(draw_hidden)(walk *w, pn_member *m, int64_t from) {
    const pn_rbm *rbm = &w->t->m;
    int64_t lo, hi;
    pn_member_range(m, w->rows, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        R_(units)()->draw(ROW(w->h, r, rbm->nh), ROW(w->p, r, rbm->nh), ROW(w->x, from + r, rbm->nh), rbm->nh, (real)beta_of(w, r), NULL, &w->lanes[r]);
    }
}

static void R_(draw_visible)(walk *w, pn_member *m) {
    const pn_rbm *rbm = &w->t->m;
    const real *base = rbm->visible == PN_VISIBLE_GAUSSIAN ? rbm->b : NULL;
    int64_t lo, hi;
    pn_member_range(m, w->rows, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        real *v = ROW(w->v, r, rbm->nv);
        R_(rbm_draw_visible)(rbm, v, NULL, v, beta_of(w, r), base, &w->lanes[r]);
    }
    pn_member_barrier(m);
}

static void R_(gather)(walk *w, pn_member *m) {
    const pn_rbm_training *t = w->t;
    int64_t lo, hi;
    pn_member_range(m, w->n, &lo, &hi);
    const int64_t at = t->progress[1] + lo;
    if (lo < hi) t->data.read(t->data.context, t->order ? t->order + at : NULL, at, hi - lo, t->m.dtype, ROW(w->v, w->rows + lo, t->m.nv));
}

/* Ends with the inputs of the hidden units of all rows in x. */
static void R_(phases)(walk *w, pn_member *m) {
    const pn_rbm_training *t = w->t;
    const real *h = t->chain;
    R_(gather)(w, m);
    if (t->kind == PN_CHAINS_DATA) { /* chains begin at the data */
        pn_member_barrier(m);
        R_(up)(w, m, w->rows, w->n);
        R_(draw_hidden)(w, m, w->rows);
        pn_member_barrier(m);
        h = w->h;
    }
    for (int64_t s = 0; s < t->k; s++, h = w->h) {
        R_(down)(w, m, h, w->v, w->rows);
        R_(draw_visible)(w, m);
        if (s == t->k - 1) break;
        R_(up)(w, m, 0, w->rows);
        R_(draw_hidden)(w, m, 0);
        pn_member_barrier(m);
    }
    R_(up)(w, m, 0, t->kind == PN_CHAINS_DATA ? w->rows : w->rows + w->n);
}

/* ---- tempered chains ---- */

static double R_(energy)(const pn_rbm *m, const real *v, const real *h, const real *x) {
    const R_(pn_kernels) *k = R_(kernels)();
    return -k->dot(h, x, m->nh) - (m->visible == PN_VISIBLE_GAUSSIAN ? 0 : k->dot(m->b, v, m->nv));
}

/* Neighbours in temperature change places with probability min(1, exp((beta - beta') (E - E'))), even and odd pairs in turn. */
static void R_(swap)(walk *w, pn_member *m) {
    const pn_rbm_training *t = w->t;
    const pn_rbm *rbm = &t->m;
    int64_t lo, hi;
    pn_member_range(m, t->chains, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        for (int64_t j = t->progress[2] & 1; j + 1 < t->temperatures; j += 2) {
            const int64_t a = j * t->chains + i, b = a + t->chains;
            real *ha = ROW(w->h, a, rbm->nh), *hb = ROW(w->h, b, rbm->nh);
            const double ea = R_(energy)(rbm, ROW(w->v, a, rbm->nv), ha, ROW(w->x, a, rbm->nh));
            const double eb = R_(energy)(rbm, ROW(w->v, b, rbm->nv), hb, ROW(w->x, b, rbm->nh));
            double u;
            pn_rng_uniform(pn_energy_seed(t->seed, SWAPS), (uint64_t)t->progress[2], (uint64_t)(j * t->chains + i), 1, &u);
            if (u >= pn_rule_probability(PN_RULE_METROPOLIS, (t->beta[j + 1] - t->beta[j]) * (ea - eb), 1)) continue;
            for (int64_t k = 0; k < rbm->nh; k++) {
                const real kept = ha[k];
                ha[k] = hb[k];
                hb[k] = kept;
            }
        }
    }
}

/* ---- measuring ---- */

/* Squared errors of the reconstruction and pseudo-likelihood of a few sites, for every row of the batch; x and p of those rows are as they come. */
static void R_(measure)(walk *w, pn_member *m) {
    const pn_rbm_training *t = w->t;
    const pn_rbm *rbm = &t->m;
    int64_t lo, hi;
    R_(down)(w, m, ROW(w->p, w->rows, rbm->nh), w->again, w->n);
    pn_member_range(m, w->n, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        const real *v = ROW(w->v, w->rows + r, rbm->nv);
        real *again = ROW(w->again, r, rbm->nv);
        R_(rbm_mean_visible)(rbm, again, 1);
        R_(kernels)()->binary[PN_BIN_sub](again, again, 1, v, 1, rbm->nv);
        w->row_sums[2 * r] = R_(kernels)()->sum_squares(again, rbm->nv) / (double)rbm->nv;
        w->row_sums[2 * r + 1] = 0;
        if (rbm->visible != PN_VISIBLE_BINARY) continue;
        const uint64_t key = pn_energy_seed(t->seed, SITES), row = (uint64_t)(t->progress[1] + r) * PN_RBM_SITES;
        const double softplus = R_(units)()->softplus_sum(ROW(w->x, w->rows + r, rbm->nh), rbm->nh, 1);
        for (uint64_t s = 0; s < PN_RBM_SITES; s++) {
            const int64_t i = (int64_t)pn_rng_below(key, (uint64_t)t->progress[0], row + s, (uint64_t)rbm->nv);
            w->row_sums[2 * r + 1] += R_(rbm_log_given_others)(rbm, v, ROW(w->x, w->rows + r, rbm->nh), softplus, i);
        }
    }
    pn_member_barrier(m);
}

/* ---- the update ---- */

static double R_(largest)(const pn_rbm *rbm, const walk *w, int64_t r) {
    const double x = (double)R_(kernels)()->abs_max(ROW(w->x, r, rbm->nh), rbm->nh);
    if (rbm->visible != PN_VISIBLE_GAUSSIAN) return x;
    const double v = (double)R_(kernels)()->abs_max(ROW(w->v, r, rbm->nv), rbm->nv);
    return x > v || x != x ? x : v;
}

/* Probabilities of the hidden units of all rows; a value out of hand is noted. */
static void R_(probabilities)(walk *w, pn_member *m) {
    const pn_rbm_training *t = w->t;
    const int64_t nh = t->m.nh;
    int64_t lo, hi;
    if (t->kind == PN_CHAINS_PERSISTENT || t->kind == PN_CHAINS_TEMPERED) R_(draw_hidden)(w, m, 0);
    pn_member_range(m, w->rows + w->n, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        if (r >= w->rows || t->kind == PN_CHAINS_DATA) R_(kernels)()->act_forward[PN_ACT_sigmoid](ROW(w->p, r, nh), ROW(w->x, r, nh), nh, NULL);
        if (!(R_(largest)(&t->m, w, r) < HUGE_INPUT)) atomic_store_explicit(&w->diverged, 1, memory_order_relaxed);
    }
    pn_member_barrier(m);
}

static void R_(follow_activity)(walk *w, pn_member *m) {
    const pn_rbm_training *t = w->t;
    int64_t lo, hi;
    pn_member_range(m, t->m.nh, &lo, &hi);
    for (int64_t j = lo; j < hi; j++) {
        double sum = 0;
        for (int64_t r = w->rows; r < w->rows + w->n; r++) sum += (double)ROW(w->p, r, t->m.nh)[j];
        w->activity[j] = t->progress[2] ? ACTIVITY_KEPT * t->activity[j] + (1 - ACTIVITY_KEPT) * sum / (double)w->n : sum / (double)w->n;
    }
    pn_member_barrier(m);
}

/* p times the row's share in the change: of chains - lr / chains, of the batch lr / n. Sparsity adds cost (target - activity) to each p of the batch. */
static void R_(weigh_rows)(walk *w, pn_member *m) {
    const pn_rbm_training *t = w->t;
    const int64_t nh = t->m.nh;
    int64_t lo, hi;
    pn_member_range(m, w->cold + w->n, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        real *p = ROW(w->p, w->rows - w->cold + i, nh);
        for (int64_t j = 0; i >= w->cold && t->activity && j < nh; j++) p[j] += (real)(t->sparsity_cost * (t->sparsity_target - w->activity[j]));
        R_(kernels)()->scale(p, p, (real)(i < w->cold ? -t->lr / (double)w->cold : t->lr / (double)w->n), nh, false);
    }
}

/* y[lo, hi) of this member: velocity = momentum velocity, and decay of the weights, which belongs to the change. */
static void R_(shrink)(const pn_rbm_training *t, pn_member *m, real *weights, real *velocity, int64_t n, double decay) {
    const R_(pn_kernels) *k = R_(kernels)();
    int64_t lo, hi;
    pn_member_range(m, n, &lo, &hi);
    if (velocity) {
        k->scale(velocity + lo, velocity + lo, (real)t->momentum, hi - lo, false);
        if (decay != 0) k->scale(velocity + lo, weights + lo, (real)-decay, hi - lo, true);
    } else if (decay != 0) {
        k->scale(weights + lo, weights + lo, (real)(1 - decay), hi - lo, false);
    }
}

static void R_(add_velocity)(pn_member *m, real *weights, const real *velocity, int64_t n) {
    int64_t lo, hi;
    pn_member_range(m, n, &lo, &hi);
    R_(kernels)()->accumulate(weights + lo, velocity + lo, hi - lo);
}

/* Changes of both biases, by columns. */
static void R_(biases)(walk *w, pn_member *m) {
    const pn_rbm_training *t = w->t;
    const R_(pn_kernels) *k = R_(kernels)();
    const int64_t nv = t->m.nv, nh = t->m.nh;
    real *b = t->vb ? t->vb : t->m.b, *c = t->vc ? t->vc : t->m.c, *sums = w->columns;
    int64_t lo, hi;
    pn_member_range(m, nv, &lo, &hi);
    if (lo < hi) {
        k->column_sums(sums + lo, ROW(w->v, w->rows - w->cold, nv) + lo, w->cold, hi - lo, nv, false);
        k->scale(b + lo, sums + lo, (real)(-t->lr / (double)w->cold), hi - lo, true);
        k->column_sums(sums + lo, ROW(w->v, w->rows, nv) + lo, w->n, hi - lo, nv, false);
        k->scale(b + lo, sums + lo, (real)(t->lr / (double)w->n), hi - lo, true);
    }
    pn_member_range(m, nh, &lo, &hi);
    if (lo < hi) k->column_sums(c + lo, ROW(w->p, w->rows - w->cold, nh) + lo, w->cold + w->n, hi - lo, nh, true);
}

static void R_(keep_chains)(walk *w, pn_member *m) {
    const pn_rbm_training *t = w->t;
    int64_t lo, hi;
    pn_member_range(m, w->rows, &lo, &hi);
    memcpy(t->lanes + lo * PN_LANES_WORDS, w->lanes + lo, (size_t)(hi - lo) * sizeof *w->lanes);
    if (t->chain) memcpy(ROW(t->chain, lo, t->m.nh), ROW(w->h, lo, t->m.nh), (size_t)((hi - lo) * t->m.nh) * sizeof(real));
    pn_member_range(m, t->m.nh, &lo, &hi);
    if (t->activity) memcpy(t->activity + lo, w->activity + lo, (size_t)(hi - lo) * sizeof *t->activity);
}

static void R_(update)(walk *w, pn_member *m) {
    const pn_rbm_training *t = w->t;
    const int64_t nv = t->m.nv, nh = t->m.nh, first = w->rows - w->cold;
    R_(shrink)(t, m, t->m.w, t->vw, nv * nh, t->lr * t->weight_decay);
    R_(shrink)(t, m, t->m.b, t->vb, nv, 0);
    R_(shrink)(t, m, t->m.c, t->vc, nh, 0);
    pn_member_barrier(m);
    const R_(pn_gemm_call) g = {
        .s = rbm_outer(&t->m, w->cold + w->n), .a = ROW(w->v, first, nv), .b = ROW(w->p, first, nh), .c = t->vw ? t->vw : t->m.w, .add = true};
    R_(rbm_product)(g, m, NULL, false, w->scratch + w->scratch_bytes * (size_t)m->index);
    R_(biases)(w, m);
    R_(keep_chains)(w, m);
    pn_member_barrier(m);
    if (!t->vw) return;
    R_(add_velocity)(m, t->m.w, t->vw, nv * nh);
    R_(add_velocity)(m, t->m.b, t->vb, nv);
    R_(add_velocity)(m, t->m.c, t->vc, nh);
    pn_member_barrier(m);
}

static void R_(step)(walk *w, pn_member *m) {
    R_(phases)(w, m);
    R_(probabilities)(w, m);
    if (w->t->kind == PN_CHAINS_TEMPERED) R_(swap)(w, m);
    if (w->measured) R_(measure)(w, m);
    if (w->t->activity) R_(follow_activity)(w, m);
    R_(weigh_rows)(w, m);
    if (!pass(w, m)) return;
    R_(update)(w, m);
    if (m->index == 0) complete(w);
}

#else /* not typed */

#include "base/cpu.h"
#include "energy/rbm_layer.h"

#define ACTIVITY_KEPT 0.95 /* of the running means of the hidden units, from step to step */
#define HUGE_INPUT 1e15    /* no unit's input gets there but by an update that runs away */
#define SWAPS 1            /* streams of the seed, beyond those of the chains: see pn_rbm_training.lanes */
#define SITES 2

/* One call: what the members share. Rows of v, x, p are the chains, then the batch. */
typedef struct walk {
    const pn_rbm_training *t;
    int64_t n, rows, cold;       /* of the batch, of all chains, of those that the update looks at: the last ones */
    void *v, *x, *p, *h;         /* (rows + n, nv), (rows + n, nh) twice, (rows, nh) */
    void *again, *columns;       /* (n, nv), (nv) */
    pn_lanes *lanes;             /* (rows) */
    double *activity, *row_sums; /* (nh), (n, 2) */
    char *scratch;
    size_t scratch_bytes; /* of a member */
    bool measured, go;
    bool leave[2]; /* decisions of member 0, taken in turn, so that nobody reads one that is being changed */
    atomic_int diverged;
    double deadline;
} walk;

static double beta_of(const walk *w, int64_t row) { return w->t->kind == PN_CHAINS_TEMPERED ? w->t->beta[row / w->t->chains] : 1; }

/* What comes next, if anything: member 0 decides. */
static void plan_step(walk *w) {
    const pn_rbm_training *t = w->t;
    const int64_t left = t->data.n - t->progress[1];
    w->n = left < t->batch ? left : t->batch;
    w->cold = t->kind == PN_CHAINS_DATA ? w->n : t->chains;
    w->rows = w->cold * t->temperatures;
    w->measured = t->progress[1] / t->batch % t->measure_every == 0;
}

/* A step is done and stored. */
static void complete(walk *w) {
    const pn_rbm_training *t = w->t;
    if (w->measured) {
        for (int64_t r = 0; r < w->n; r++) {
            t->sums[1] += w->row_sums[2 * r];
            t->sums[3] += w->row_sums[2 * r + 1];
        }
        t->sums[0] += (double)w->n;
        t->sums[2] += (double)(w->n * PN_RBM_SITES);
    }
    t->progress[1] += w->n;
    t->progress[2]++;
}

/* All members arrive; false: the step is given up. Behind the second barrier member 0 may answer anew: all have read this answer. */
static bool pass(walk *w, pn_member *m) {
    if (m->index == 0) w->go = !pn_poll_now(m->poll) && !atomic_load_explicit(&w->diverged, memory_order_relaxed);
    pn_member_barrier(m);
    const bool go = w->go;
    pn_member_barrier(m);
    return go;
}

#define PN_REAL_FILE "energy/rbm_train.c"
#include "base/real.h"

/* Takes copies of the generators, which a step changes. */
static void begin_step(walk *w, pn_member *m) {
    int64_t lo, hi;
    pn_member_range(m, w->rows, &lo, &hi);
    memcpy(w->lanes + lo, w->t->lanes + lo * PN_LANES_WORDS, (size_t)(hi - lo) * sizeof *w->lanes);
}

static void run(void *context, pn_member *m) {
    walk *w = context;
    const pn_rbm_training *t = w->t;
    for (int turn = 0;; turn ^= 1) {
        if (m->index == 0) {
            w->leave[turn] =
                t->progress[1] >= t->data.n || pn_poll_now(m->poll) || atomic_load_explicit(&w->diverged, memory_order_relaxed) || pn_clock() >= w->deadline;
            if (!w->leave[turn]) plan_step(w);
        }
        pn_member_barrier(m);
        if (w->leave[turn]) return;
        begin_step(w, m);
        t->m.dtype == PN_F32 ? step_f(w, m) : step_d(w, m);
        pn_member_barrier(m);
    }
}

/* ---- memory ---- */

/* Takes `count` elements of `size` bytes from a block that is measured first (memory NULL) and cut then. false when it is too large for any memory. */
static bool take(char *memory, size_t *used, void *field, int64_t count, int64_t width, size_t size) {
    size_t n, bytes;
    if (!pn_mul_size((size_t)count, (size_t)width, &n) || !pn_mul_size(n, size, &bytes) || !pn_add_size(bytes, 63, &bytes)) return false;
    if (memory) *(void **)field = memory + *used;
    return pn_add_size(*used, bytes & ~(size_t)63, used);
}

static bool lay_out(walk *w, char *memory, size_t *used) {
    const pn_rbm_training *t = w->t;
    const int64_t chains = t->chains * t->temperatures, rows = chains + t->batch, nv = t->m.nv, nh = t->m.nh;
    const size_t real = pn_dtype_bytes(t->m.dtype);
    *used = 0;
    return take(memory, used, &w->v, rows, nv, real) && take(memory, used, &w->x, rows, nh, real) && take(memory, used, &w->p, rows, nh, real) &&
           take(memory, used, &w->h, chains, nh, real) && take(memory, used, &w->again, t->batch, nv, real) && take(memory, used, &w->columns, nv, 1, real) &&
           take(memory, used, &w->lanes, chains, 1, sizeof *w->lanes) && take(memory, used, &w->activity, nh, 1, sizeof *w->activity) &&
           take(memory, used, &w->row_sums, t->batch, 2, sizeof *w->row_sums) && take(memory, used, &w->scratch, pn_threads_get(), 1, w->scratch_bytes);
}

/* The largest scratch of all products of a step, whatever the number of rows. */
static size_t scratch_of(const pn_rbm_training *t) {
    const int64_t chains = t->chains * t->temperatures,
                  rows[] = {chains, t->batch, chains + t->batch, t->data.n % t->batch, chains + t->data.n % t->batch, t->data.n % t->batch * 2};
    size_t most = 64;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i]) continue;
        most = rbm_larger(most, rbm_scratch(&t->m, rbm_up(&t->m, rows[i])));
        most = rbm_larger(most, rbm_scratch(&t->m, rbm_down(&t->m, rows[i])));
        most = rbm_larger(most, rbm_scratch(&t->m, rbm_outer(&t->m, rows[i])));
    }
    return most;
}

pn_status pn_rbm_train(pn_rbm_training *t, double seconds, bool *epoch_done, pn_poll *poll, pn_error *e) {
    walk w = {.t = t, .deadline = pn_clock() + seconds};
    size_t bytes = 0;
    const int threads = pn_threads_get();
    *epoch_done = false;
    if (t->batch > t->data.n) t->batch = t->data.n;
    w.scratch_bytes = scratch_of(t);
    if (!lay_out(&w, NULL, &bytes)) return pn_fail(e, PN_E_MEMORY, "chains and batches of this machine take more memory than there can be");
    char *memory = pn_alloc(bytes);
    if (!memory) return pn_fail(e, PN_E_MEMORY, "not enough memory for %zu bytes of chains and batches", bytes);
    lay_out(&w, memory, &bytes);
    pn_team_run(threads, poll, run, &w);
    pn_free(memory);
    if (t->progress[1] >= t->data.n) {
        t->progress[0]++;
        t->progress[1] = 0;
        *epoch_done = true;
        return PN_OK;
    }
    if (atomic_load_explicit(&w.diverged, memory_order_relaxed))
        return pn_fail(e, PN_E_NONFINITE, "RBM: inputs of units run away in step %lld of the training: take a smaller learning_rate or larger weight_decay",
                       (long long)t->progress[2] + 1);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted after step %lld", (long long)t->progress[2]) : PN_OK;
}
#endif
