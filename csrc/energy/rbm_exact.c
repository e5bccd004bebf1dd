/* Exact values of small RBMs: all states of one layer are enumerated, the other one is summed in closed form. Doubles throughout.
 *
 * States are cut into STRIPS runs of blocks of BLOCK rows; a strip has sums of its own, which are added in the order of the strips. */
#include "energy/rbm_layer.h"
#define PN_REAL_FILE "energy/rbm_layer.h"
#include "base/real.h"

#define BLOCK 256
#define STRIPS 16

typedef struct job {
    const pn_rbm *m;
    bool by_hidden;       /* which layer is enumerated */
    int64_t n, near, far; /* states of the enumerated layer, its units, units of the other layer */
    double log_z;
    bool moments;
    double *most, *sum;  /* (STRIPS) of the weights: their largest logarithm, and the sum relative to it */
    double *product;     /* (STRIPS, near, far) sums of p state * mean of the other layer */
    double *means, *own; /* (STRIPS, far), (STRIPS, near) */
    char *memory;        /* of a member: scratch of products, states (BLOCK, near), inputs (BLOCK, far), logs (BLOCK) */
    size_t member_bytes, states_at, inputs_at, logs_at;
} job;

static void fill_states(double *s, int64_t first, int64_t n, int64_t units) {
    for (int64_t r = 0; r < n; r++) {
        for (int64_t i = 0; i < units; i++) s[r * units + i] = (double)((first + r) >> i & 1);
    }
}

/* log of the sum over the other layer of exp(-E), given its inputs x. */
static double log_weight(const job *j, const double *state, const double *x) {
    const pn_rbm *m = j->m;
    const double own = kernels_d()->dot(j->by_hidden ? m->c : m->b, state, j->near);
    if (!j->by_hidden || m->visible == PN_VISIBLE_BINARY) return own + units_d()->softplus_sum(x, j->far, 1);
    if (m->visible == PN_VISIBLE_GAUSSIAN) /* b'y + y'y / 2 with y = x - b, and the volume of the bell */
        return own + (kernels_d()->sum_squares(x, j->far) - kernels_d()->sum_squares(m->b, j->far)) / 2 + (double)j->far * 0.91893853320467274178;
    double logs[64], total = own;
    for (int64_t g = 0; g < j->far / m->classes; g += 64) {
        const int64_t groups = j->far / m->classes - g < 64 ? j->far / m->classes - g : 64;
        kernels_d()->log_sum_exp(logs, x + g * m->classes, groups, m->classes);
        for (int64_t i = 0; i < groups; i++) total += logs[i];
    }
    return total;
}

static double exp_of(double x) { /* x <= 0 or so */
    double y;
    kernels_d()->act_forward[PN_ACT_exp](&y, &x, 1, NULL);
    return y;
}

static void add_moments(job *j, int64_t strip, double *states, double *x, const double *logs, int64_t n, char *scratch, pn_member *m) {
    const pn_kernels_d *k = kernels_d();
    if (j->by_hidden)
        rbm_mean_visible_d(j->m, x, n);
    else
        k->act_forward[PN_ACT_sigmoid](x, x, n * j->far, NULL);
    double *means = j->means + strip * j->far, *own = j->own + strip * j->near;
    for (int64_t r = 0; r < n; r++) {
        const double p = exp_of(logs[r] - j->log_z);
        k->scale(means, x + r * j->far, p, j->far, true);
        k->scale(states + r * j->near, states + r * j->near, p, j->near, false);
        k->accumulate(own, states + r * j->near, j->near);
    }
    const pn_gemm_shape s = {.m = j->near, .n = j->far, .k = n, .ta = true, .lda = j->near, .ldb = j->far, .ldc = j->far};
    const pn_gemm_call_d g = {.s = s, .a = states, .b = x, .c = j->product + strip * j->near * j->far, .add = true};
    rbm_product_d(g, NULL, m->poll, m->index == 0, scratch);
}

static void run_block(job *j, pn_member *m, int64_t strip, int64_t first, int64_t n) {
    const pn_rbm *rbm = j->m;
    char *own = j->memory + j->member_bytes * (size_t)m->index;
    double *states = (double *)(own + j->states_at), *x = (double *)(own + j->inputs_at), *logs = (double *)(own + j->logs_at);
    fill_states(states, first, n, j->near);
    const pn_gemm_shape s = j->by_hidden ? rbm_down(rbm, n) : rbm_up(rbm, n);
    const pn_gemm_call_d g = {.s = s, .a = states, .b = rbm->w, .c = x, .bias = j->by_hidden ? rbm->b : rbm->c};
    rbm_product_d(g, NULL, m->poll, m->index == 0, own);
    for (int64_t r = 0; r < n; r++) logs[r] = log_weight(j, states + r * j->near, x + r * j->far);
    if (j->moments) {
        add_moments(j, strip, states, x, logs, n, own, m);
        return;
    }
    for (int64_t r = 0; r < n; r++) {
        if (logs[r] > j->most[strip]) {
            j->sum[strip] *= exp_of(j->most[strip] - logs[r]);
            j->most[strip] = logs[r];
        }
        j->sum[strip] += exp_of(logs[r] - j->most[strip]);
    }
}

static bool stopped(pn_member *m) { return m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll); }

static void run(void *context, pn_member *m) {
    job *j = context;
    const int64_t blocks = (j->n + BLOCK - 1) / BLOCK;
    for (int64_t strip = m->index; strip < STRIPS; strip += m->count) {
        const int64_t hi = blocks * (strip + 1) / STRIPS;
        for (int64_t b = blocks * strip / STRIPS; b < hi && !stopped(m); b++)
            run_block(j, m, strip, b * BLOCK, j->n - b * BLOCK < BLOCK ? j->n - b * BLOCK : BLOCK);
    }
}

static double log_of_sums(const job *j) {
    double most = j->most[0], sum = 0;
    for (int s = 1; s < STRIPS; s++) most = j->most[s] > most ? j->most[s] : most;
    for (int s = 0; s < STRIPS; s++) sum += j->sum[s] * exp_of(j->most[s] - most);
    double log_sum;
    kernels_d()->act_forward[PN_ACT_log](&log_sum, &sum, 1, NULL);
    return most + log_sum;
}

/* Sums of the strips into v, h and vh (nv, nh). */
static void gather(const job *j, double *vh, double *v, double *h) {
    double *near = j->by_hidden ? h : v, *far = j->by_hidden ? v : h;
    const int64_t nh = j->m->nh;
    memset(vh, 0, (size_t)(j->near * j->far) * sizeof *vh);
    memset(near, 0, (size_t)j->near * sizeof *near);
    memset(far, 0, (size_t)j->far * sizeof *far);
    for (int s = 0; s < STRIPS; s++) {
        for (int64_t i = 0; i < j->near; i++) {
            near[i] += j->own[s * j->near + i];
            const double *row = j->product + (s * j->near + i) * j->far;
            for (int64_t f = 0; f < j->far; f++) vh[j->by_hidden ? f * nh + i : i * nh + f] += row[f];
        }
        for (int64_t f = 0; f < j->far; f++) far[f] += j->means[s * j->far + f];
    }
}

static size_t lines(int64_t rows, int64_t width) { return ((size_t)rows * (size_t)width * sizeof(double) + 63) / 64 * 64; }

pn_status pn_rbm_enumerate(const pn_rbm *m, double *log_z, double *vh, double *v, double *h, pn_poll *poll, pn_error *e) {
    job j = {.m = m, .by_hidden = m->visible != PN_VISIBLE_BINARY || m->nh <= m->nv};
    j.near = j.by_hidden ? m->nh : m->nv;
    j.far = j.by_hidden ? m->nv : m->nh;
    if (m->dtype != PN_F64) return pn_fail(e, PN_E_TYPE, "enumeration takes float64");
    if (j.near > PN_RBM_ENUMERABLE)
        return pn_fail(e, PN_E_VALUE, "enumeration of %lld units would take 2^%lld terms; at most %d units on one side are enumerated: use ais",
                       (long long)j.near, (long long)j.near, PN_RBM_ENUMERABLE);
    j.n = (int64_t)1 << j.near;
    const pn_gemm_shape outer = {.m = j.near, .n = j.far, .k = BLOCK, .ta = true, .lda = j.near, .ldb = j.far, .ldc = j.far};
    const int64_t rows = j.n < BLOCK ? j.n : BLOCK; /* powers of two: all blocks are equal */
    pn_gemm_shape last = outer;
    last.k = rows;
    j.states_at = rbm_larger(rbm_scratch(m, j.by_hidden ? rbm_down(m, rows) : rbm_up(m, rows)), rbm_scratch(m, last));
    j.inputs_at = j.states_at + lines(BLOCK, j.near);
    j.logs_at = j.inputs_at + lines(BLOCK, j.far);
    j.member_bytes = j.logs_at + lines(BLOCK, 1);
    const size_t sums = (size_t)STRIPS * (2 + (vh ? (size_t)(j.near * j.far + j.near + j.far) : 0));
    double *memory = pn_alloc_zero(sums * sizeof *memory);
    j.memory = pn_alloc(j.member_bytes * (size_t)pn_threads_get());
    pn_status status = memory && j.memory ? PN_OK : pn_fail(e, PN_E_MEMORY, "not enough memory for an enumeration");
    if (status) goto done;
    j.most = memory;
    j.sum = memory + STRIPS;
    for (int s = 0; s < STRIPS; s++) j.most[s] = -1e308;
    pn_team_run(pn_threads_get(), poll, run, &j);
    *log_z = j.log_z = log_of_sums(&j);
    if (vh && !pn_poll_stopped(poll)) {
        j.moments = true;
        j.own = memory + 2 * STRIPS;
        j.means = j.own + STRIPS * j.near;
        j.product = j.means + STRIPS * j.far;
        pn_team_run(pn_threads_get(), poll, run, &j);
        gather(&j, vh, v, h);
    }
    if (pn_poll_stopped(poll)) status = pn_fail(e, PN_E_INTERRUPTED, "interrupted");
done:
    pn_free(memory);
    pn_free(j.memory);
    return status;
}
