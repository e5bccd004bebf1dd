/* Boltzmann machines in C: what sanitizers can see at odd sizes, every allocation failed in turn, the same bits for any number of threads. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/team.h"
#include "energy/boltzmann.h"
#include "energy/energy.h"
#include "energy/rbm.h"

#define ROWS 11
#define ALL (16 * 64)

typedef struct bench { /* an RBM, its data and the state of its learning, as large as any case here */
    pn_rbm_training t;
    double w[64 * 64], b[64], c[64], vw[64 * 64], vb[64], vc[64], chain[ALL], activity[64], sums[PN_RBM_MEASURES];
    double data[ALL], beta[3], out[ALL], hidden[ALL];
    uint64_t lanes[64 * PN_LANES_WORDS];
    int64_t progress[3];
} bench;

/* Rows as the machine's type: doubles are kept, floats are made. */
static void read(const void *context, const int64_t *index, int64_t first, int64_t n, int dtype, void *dst) {
    const bench *k = context;
    const int64_t nv = k->t.m.nv;
    for (int64_t r = 0; r < n; r++) {
        for (int64_t i = 0; i < nv; i++) {
            const double v = k->data[(index ? index[r] : first + r) * nv + i];
            if (dtype == PN_F32)
                ((float *)dst)[r * nv + i] = (float)v;
            else
                ((double *)dst)[r * nv + i] = v;
        }
    }
}

static void set_up(bench *k, int dtype, int64_t nv, int64_t nh, pn_visible visible, pn_chains kind) {
    memset(k, 0, sizeof *k);
    k->beta[1] = 0.5, k->beta[2] = 1;
    const int64_t temperatures = kind == PN_CHAINS_TEMPERED ? 3 : 1;
    k->t = (pn_rbm_training){
        .m = {.dtype = dtype, .nv = nv, .nh = nh, .visible = visible, .classes = visible == PN_VISIBLE_SOFTMAX ? 3 : 1, .w = k->w, .b = k->b, .c = k->c},
        .data = {.read = read, .context = k, .n = ROWS},
        .batch = 4,
        .k = 2,
        .kind = kind,
        .chains = kind == PN_CHAINS_DATA ? 4 : 5,
        .temperatures = temperatures,
        .beta = k->beta,
        .lr = 0.05,
        .momentum = 0.5,
        .weight_decay = 0.01,
        .sparsity_cost = 0.1,
        .sparsity_target = 0.2,
        .seed = 3,
        .measure_every = 2,
        .chain = kind == PN_CHAINS_DATA ? NULL : k->chain,
        .lanes = k->lanes,
        .vw = k->vw,
        .vb = k->vb,
        .vc = k->vc,
        .activity = k->activity,
        .progress = k->progress,
        .sums = k->sums};
    for (int64_t i = 0; i < ROWS * nv; i++) k->data[i] = visible == PN_VISIBLE_SOFTMAX ? i % 3 == i / nv % 3 : i * 7 % 5 < 2;
    for (int64_t r = 0; r < 64; r++) pn_lanes_seed((pn_lanes *)(k->lanes + r * PN_LANES_WORDS), (uint64_t)r);
}

/* Two epochs and everything that is said about rows. */
static pn_status restricted(bench *k, pn_error *e) {
    bool done = false;
    double logs[ROWS] = {0};
    pn_poll poll;
    pn_poll_init(&poll, NULL, NULL);
    pn_status status = PN_OK;
    for (int i = 0; i < 2 && !status; i++) status = pn_rbm_train(&k->t, 1e9, &done, &poll, e);
    CHECK(status || (done && k->progress[0] == 2 && k->progress[2] == 6));
    for (int view = 0; view < 3 && !status; view++) status = pn_rbm_look(&k->t.m, (pn_rbm_view)view, &k->t.data, k->out, &poll, e);
    if (!status && k->t.m.visible == PN_VISIBLE_BINARY) status = pn_rbm_pseudo(&k->t.m, &k->t.data, 0, 1, logs, &poll, e);
    if (!status) status = pn_rbm_gibbs(&k->t.m, k->out, k->hidden, NULL, k->lanes, ROWS, 2, 1, &poll, e);
    if (!status) status = pn_rbm_ais(&k->t.m, k->out, k->b, logs, k->lanes, ROWS, k->beta, 0, 2, &poll, e);
    return status;
}

TEST(rbms_of_every_kind_learn_the_same_bits_on_any_number_of_threads) {
    static const int64_t sizes[][2] = {{3, 1}, {6, 5}, {33, 17}, {48, 64}};
    bench *k = malloc(sizeof *k), *first = malloc(sizeof *first);
    for (int how = 0; how < 2 * 3 * 3 * 4; how++) {
        for (int threads = 1; threads < 4; threads++) {
            pn_error e = {PN_OK, ""};
            pn_threads_set(threads);
            set_up(k, how & 1 ? PN_F64 : PN_F32, sizes[how / 18][0], sizes[how / 18][1], (pn_visible)(how / 2 % 3), (pn_chains)(how / 6 % 3));
            CHECK(restricted(k, &e) == PN_OK, "%s", e.text);
            if (threads == 1) memcpy(first, k, sizeof *k);
            const bool same = !memcmp(first->w, k->w, sizeof k->w) && !memcmp(first->lanes, k->lanes, sizeof k->lanes);
            CHECK(same && !memcmp(first->out, k->out, sizeof k->out), "case %d, %d threads: %d", how, threads, same);
        }
    }
    pn_threads_set(0);
    free(k), free(first);
}

static const int64_t sweeps[2] = {1, 2};
static const double temperatures[2] = {2, 1};

/* Exact values of an RBM, a step and everything else of a general machine, an encoder. */
static pn_status exact_and_general(pn_error *e) {
    double w[36] = {0}, b[6] = {0}, vh[5 * 6], v[6], h[6], data[12] = {1, 0, 1}, log_z = 0, pairs[36], sums[2] = {0}, we[2 * 49] = {0}, be[2 * 7] = {0};
    uint8_t mask[36], state[3 * 6] = {0}, clamp[6] = {1}, done_states[3] = {0}, rows[8] = {1, 0, 0, 1, 1, 1};
    int64_t progress[3] = {0}, cycles[6] = {0};
    bool done = false;
    pn_poll poll;
    pn_poll_init(&poll, NULL, NULL);
    const pn_rbm m = {.dtype = PN_F64, .nv = 6, .nh = 5, .visible = PN_VISIBLE_BINARY, .classes = 1, .w = w, .b = b, .c = v};
    memset(v, 0, sizeof v);
    memset(mask, 1, sizeof mask);
    for (int i = 0; i < 6; i++) mask[7 * i] = 0;
    double c[5] = {0}, wide[30] = {0};
    pn_rbm small = m;
    small.w = wide, small.c = c;
    pn_status status = pn_rbm_enumerate(&small, &log_z, vh, v, h, &poll, e);
    CHECK(status || (log_z > 11 * 0.6931 && log_z < 11 * 0.6932));
    if (!status) status = pn_rbm_expected_cd(&small, data, 2, 2, vh, v, h, &poll, e);
    const pn_bm_schedule schedule = {.stages = 2, .looks = 2, .sweeps = sweeps, .temperature = temperatures};
    pn_bm_training t = {.m = {.n = 6, .nv = 4, .w = w, .b = b, .mask = mask},
                        .schedule = schedule,
                        .data = rows,
                        .rows = 2,
                        .batch = 2,
                        .repeats = 3,
                        .off = 0.1,
                        .lr = 0.1,
                        .progress = progress,
                        .sums = sums};
    if (!status) status = pn_bm_train(&t, 1e9, &done, &poll, e);
    if (!status) status = pn_bm_sample(&t.m, state, clamp, 3, &schedule, 1, 0, done_states, &poll, e);
    CHECK(status || (done_states[0] && done_states[1] && done_states[2]));
    if (!status) status = pn_bm_enumerate(&t.m, state, clamp, 1, &log_z, pairs, &poll, e);
    const pn_encoder encoder = {.width = 3,
                                .hidden = 1,
                                .experiments = 2,
                                .cycles = 3,
                                .distance = 1,
                                .steady = 1,
                                .connected = true,
                                .schedule = schedule,
                                .repeats = 1,
                                .step = 2,
                                .w = we,
                                .b = be,
                                .progress = cycles};
    if (!status) status = pn_encoder_run(&encoder, 2, &poll, e);
    return status;
}

TEST(every_allocation_may_fail) {
    bench *k = malloc(sizeof *k);
    for (int which = 0; which < 2; which++) {
        const int64_t live = pn_alloc_live_count();
        int64_t at = 1;
        for (; at < 100; at++) {
            pn_error e = {PN_OK, ""};
            set_up(k, PN_F32, 7, 5, PN_VISIBLE_BINARY, PN_CHAINS_PERSISTENT);
            pn_alloc_fail_at(at, at & 1);
            const pn_status status = which ? exact_and_general(&e) : restricted(k, &e);
            const bool failed = pn_alloc_failures() > 0;
            pn_alloc_fail_at(0, false);
            CHECK(failed == (status == PN_E_MEMORY), "%s", e.text);
            CHECK(pn_alloc_live_count() == live);
            if (!failed) break;
        }
        CHECK(at > 4 && at < 100);
    }
    free(k);
}
