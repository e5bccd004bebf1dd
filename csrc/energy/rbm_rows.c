/* What an RBM says about rows, and its chains: everything that treats rows one by one. They are cut into blocks of BLOCK rows; a member takes whole blocks,
 * products included, so that nobody waits for anybody. */
#ifdef PN_REAL_PASS

#include "energy/rbm_layer.h"

static void R_(product)(rows_job *j, pn_member *m, pn_gemm_shape s, const real *a, real *y, const void *bias) {
    const R_(pn_gemm_call) g = {.s = s, .a = a, .b = j->m->w, .c = y, .bias = bias};
    R_(rbm_product)(g, NULL, m->poll, m->index == 0, j->memory + j->member_bytes * (size_t)m->index);
}

static void R_(look)(rows_job *j, pn_member *m, int64_t first, int64_t n) {
    const pn_rbm *rbm = j->m;
    real *v = own(j, m, j->scratch_bytes), *x = own(j, m, j->x_at);
    j->data->read(j->data->context, NULL, first, n, rbm->dtype, v);
    if (j->view == PN_RBM_HIDDEN) x = (real *)j->out + first * rbm->nh;
    R_(product)(j, m, rbm_up(rbm, n), v, x, rbm->c);
    if (j->view == PN_RBM_FREE_ENERGY) {
        for (int64_t r = 0; r < n; r++) ((double *)j->out)[first + r] = R_(rbm_free_energy)(rbm, v + r * rbm->nv, x + r * rbm->nh);
        return;
    }
    R_(kernels)()->act_forward[PN_ACT_sigmoid](x, x, n * rbm->nh, NULL);
    if (j->view == PN_RBM_HIDDEN) return;
    real *mean = (real *)j->out + first * rbm->nv;
    R_(product)(j, m, rbm_down(rbm, n), x, mean, rbm->b);
    R_(rbm_mean_visible)(rbm, mean, n);
}

static void R_(pseudo)(rows_job *j, pn_member *m, int64_t first, int64_t n) {
    const pn_rbm *rbm = j->m;
    real *v = own(j, m, j->scratch_bytes), *x = own(j, m, j->x_at);
    const int64_t sites = j->steps ? j->steps : rbm->nv;
    j->data->read(j->data->context, NULL, first, n, rbm->dtype, v);
    R_(product)(j, m, rbm_up(rbm, n), v, x, rbm->c);
    for (int64_t r = 0; r < n && !stopped(m); r++) {
        double sum = 0;
        const double softplus = R_(units)()->softplus_sum(x + r * rbm->nh, rbm->nh, 1);
        for (int64_t s = 0; s < sites; s++) {
            const int64_t i = j->steps ? (int64_t)pn_rng_below(j->seed, (uint64_t)(first + r), (uint64_t)s, (uint64_t)rbm->nv) : s;
            sum += R_(rbm_log_given_others)(rbm, v + r * rbm->nv, x + r * rbm->nh, softplus, i);
        }
        ((double *)j->out)[first + r] = sum * (double)rbm->nv / (double)sites;
    }
}

static void R_(gibbs)(rows_job *j, pn_member *m, int64_t first, int64_t n) {
    const pn_rbm *rbm = j->m;
    const int64_t nv = rbm->nv, nh = rbm->nh;
    const real *base = rbm->visible == PN_VISIBLE_GAUSSIAN ? rbm->b : NULL;
    real *v = (real *)j->out + first * nv, *h = (real *)j->h + first * nh, *x = own(j, m, j->x_at);
    real *mean = j->mean ? (real *)j->mean + first * nv : NULL;
    pn_lanes *lanes = (pn_lanes *)j->lanes + first;
    for (int64_t step = 0; step < j->steps && !stopped(m); step++) {
        R_(product)(j, m, rbm_up(rbm, n), v, x, rbm->c);
        for (int64_t r = 0; r < n; r++) R_(units)()->draw(h + r * nh, NULL, x + r * nh, nh, (real)j->beta, NULL, lanes + r);
        R_(product)(j, m, rbm_down(rbm, n), h, v, rbm->b);
        for (int64_t r = 0; r < n; r++) R_(rbm_draw_visible)(rbm, v + r * nv, mean ? mean + r * nv : NULL, v + r * nv, j->beta, base, lanes + r);
    }
}

/* Chains go from beta[at] to beta[at + steps] and gather their log weights: log p*(v) at the next temperature minus log p*(v) at this one. j->mean is the
 * visible bias of the machine without couplings from which they come. */
static void R_(ais)(rows_job *j, pn_member *m, int64_t first, int64_t n) {
    const pn_rbm *rbm = j->m;
    const R_(pn_boltzmann) *u = R_(units)();
    const int64_t nv = rbm->nv, nh = rbm->nh;
    const real *base = j->mean, *b = rbm->b;
    real *v = (real *)j->out + first * nv, *x = own(j, m, j->x_at), *h = own(j, m, j->scratch_bytes);
    pn_lanes *lanes = (pn_lanes *)j->lanes + first;
    for (int64_t r = 0; j->at == 0 && r < n; r++) R_(rbm_draw_visible)(rbm, v + r * nv, NULL, base, 1, NULL, lanes + r);
    for (int64_t t = j->at; t < j->at + j->steps && !stopped(m); t++) {
        const double beta = j->betas[t], next = j->betas[t + 1];
        R_(product)(j, m, rbm_up(rbm, n), v, x, rbm->c);
        for (int64_t r = 0; r < n; r++) {
            real *xr = x + r * nh;
            double rise = u->softplus_sum(xr, nh, (real)next) - u->softplus_sum(xr, nh, (real)beta);
            if (rbm->visible != PN_VISIBLE_GAUSSIAN) rise += (next - beta) * (R_(kernels)()->dot(b, v + r * nv, nv) - R_(kernels)()->dot(base, v + r * nv, nv));
            j->log_weights[first + r] += rise;
            u->draw(h + r * nh, NULL, xr, nh, (real)next, NULL, lanes + r);
        }
        R_(product)(j, m, rbm_down(rbm, n), h, v, rbm->b);
        for (int64_t r = 0; r < n; r++) R_(rbm_draw_visible)(rbm, v + r * nv, NULL, v + r * nv, next, base, lanes + r);
    }
}

#else /* not typed */

#include "energy/rbm_layer.h"

#define BLOCK 64 /* rows */

typedef struct rows_job rows_job;
struct rows_job {
    const pn_rbm *m;
    void (*run[2])(rows_job *j, pn_member *m, int64_t first, int64_t n); /* of floats, of doubles */
    const pn_rows *data;
    pn_rbm_view view;
    void *out, *h, *mean;
    uint64_t *lanes, seed;
    int64_t n, steps;
    double beta, *log_weights;
    const double *betas;
    int64_t at;
    char *memory; /* of each member: scratch of products, v (BLOCK, nv) or h (BLOCK, nh), x (BLOCK, nh) */
    size_t member_bytes, scratch_bytes, x_at;
};

static void *own(const rows_job *j, const pn_member *m, size_t at) { return j->memory + j->member_bytes * (size_t)m->index + at; }
static bool stopped(pn_member *m) { return m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll); }

#define PN_REAL_FILE "energy/rbm_rows.c"
#include "base/real.h"

static void walk(void *context, pn_member *m) {
    rows_job *j = context;
    const int64_t blocks = (j->n + BLOCK - 1) / BLOCK;
    for (int64_t b = m->index; b < blocks && !stopped(m); b += m->count) { /* in turn: the calling thread, which asks the poll, has as many as any */
        const int64_t first = b * BLOCK, n = j->n - first < BLOCK ? j->n - first : BLOCK;
        j->run[j->m->dtype == PN_F64](j, m, first, n);
    }
}

static size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

static pn_status work(rows_job *j, pn_poll *poll, pn_error *e) {
    const int threads = pn_threads_get();
    const size_t real = pn_dtype_bytes(j->m->dtype);
    const int64_t tail = j->n % BLOCK;
    for (int i = 0; i < 2; i++) {
        const int64_t rows = i && tail ? tail : BLOCK;
        j->scratch_bytes = rbm_larger(j->scratch_bytes, rbm_larger(rbm_scratch(j->m, rbm_up(j->m, rows)), rbm_scratch(j->m, rbm_down(j->m, rows))));
    }
    j->x_at = j->scratch_bytes + whole_lines(BLOCK * rbm_larger((size_t)j->m->nv, (size_t)j->m->nh) * real);
    j->member_bytes = j->x_at + whole_lines(BLOCK * (size_t)j->m->nh * real);
    j->memory = pn_alloc(j->member_bytes * (size_t)threads);
    if (!j->memory) return pn_fail(e, PN_E_MEMORY, "not enough memory for blocks of %d rows", BLOCK);
    pn_team_run(threads, poll, walk, j);
    pn_free(j->memory);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}

pn_status pn_rbm_look(const pn_rbm *m, pn_rbm_view view, const pn_rows *data, void *out, pn_poll *poll, pn_error *e) {
    rows_job j = {.m = m, .run = {look_f, look_d}, .data = data, .view = view, .out = out, .n = data->n};
    return work(&j, poll, e);
}

pn_status pn_rbm_pseudo(const pn_rbm *m, const pn_rows *data, int64_t sites, uint64_t seed, double *out, pn_poll *poll, pn_error *e) {
    rows_job j = {.m = m, .run = {pseudo_f, pseudo_d}, .data = data, .out = out, .n = data->n, .steps = sites, .seed = seed};
    if (m->visible != PN_VISIBLE_BINARY) return pn_fail(e, PN_E_VALUE, "the pseudo-likelihood is for binary visible units");
    return work(&j, poll, e);
}

pn_status pn_rbm_gibbs(const pn_rbm *m, void *v, void *h, void *mean, uint64_t *lanes, int64_t n, int64_t steps, double beta, pn_poll *poll, pn_error *e) {
    rows_job j = {.m = m, .run = {gibbs_f, gibbs_d}, .out = v, .h = h, .mean = mean, .lanes = lanes, .n = n, .steps = steps, .beta = beta};
    return work(&j, poll, e);
}

pn_status pn_rbm_ais(const pn_rbm *m, void *v, const void *base, double *log_weights, uint64_t *lanes, int64_t n, const double *betas, int64_t at,
                     int64_t steps, pn_poll *poll, pn_error *e) {
    rows_job j = {.m = m, .run = {ais_f, ais_d}, .out = v, .mean = (void *)(uintptr_t)base, .lanes = lanes, .n = n, .steps = steps, .at = at};
    j.betas = betas;
    j.log_weights = log_weights;
    return work(&j, poll, e);
}
#endif
