/* Which table is in force, and the facts of activation.def and update.def. */
#include "kernels/kernels.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernels/isa.h"

/* ---- tables ---- */
static pn_kernels tables[PN_ISA_COUNT];
static bool present[PN_ISA_COUNT];
static const pn_kernels *_Atomic current;

/* Fills the tables of all levels that this machine and this build have, once; whoever comes second waits for the first, which takes a microsecond. */
static void fill(void) {
    static bool (*const levels[PN_ISA_COUNT])(pn_kernels *t) = {[PN_ISA_PORTABLE] = pn_kernels_fill_portable,
                                                                [PN_ISA_AVX2] = pn_kernels_fill_avx2,
                                                                [PN_ISA_AVX512] = pn_kernels_fill_avx512,
                                                                [PN_ISA_NEON] = pn_kernels_fill_neon};
    static bool (*const energy[PN_ISA_COUNT])(pn_kernels_energy *t) = {[PN_ISA_PORTABLE] = pn_kernels_energy_portable,
                                                                       [PN_ISA_AVX2] = pn_kernels_energy_avx2,
                                                                       [PN_ISA_AVX512] = pn_kernels_energy_avx512,
                                                                       [PN_ISA_NEON] = pn_kernels_energy_neon};
    enum { EMPTY, FILLING, READY };
    static atomic_int state = EMPTY;
    if (atomic_load_explicit(&state, memory_order_acquire) == READY) return;
    int expected = EMPTY;
    if (!atomic_compare_exchange_strong(&state, &expected, FILLING)) {
        while (atomic_load_explicit(&state, memory_order_acquire) != READY) {}
        return;
    }
    for (int i = 0; i < PN_ISA_COUNT; i++) {
        tables[i].isa = (pn_isa)i;
        present[i] = pn_cpu_supports((pn_isa)i) && levels[i](&tables[i]) && energy[i](&tables[i].energy);
    }
    atomic_store_explicit(&state, READY, memory_order_release);
}

const pn_kernels *pn_kernels_of(pn_isa isa) {
    fill();
    return (unsigned)isa < PN_ISA_COUNT && present[isa] ? &tables[isa] : NULL;
}

bool pn_kernels_select(pn_isa isa) {
    const pn_kernels *t = pn_kernels_of(isa);
    if (t) atomic_store_explicit(&current, t, memory_order_release);
    return t != NULL;
}

const pn_kernels *pn_kernels_get(void) {
    const pn_kernels *t = atomic_load_explicit(&current, memory_order_acquire);
    if (!t && !pn_kernels_select(pn_cpu_best())) pn_kernels_select(PN_ISA_PORTABLE);
    return t ? t : atomic_load_explicit(&current, memory_order_acquire);
}

/* ---- activations ---- */
#define P0
#define P1(a, da) const double a __attribute__((unused)) = p[0];
#define P2(a, da, b, db) const double a __attribute__((unused)) = p[0], b __attribute__((unused)) = p[1];
#define ACTIVATION(name, parameters, needs, forward, derivative, formula, derivative_text, source, condition)                                                  \
    static bool name##_valid(const double *p) {                                                                                                                \
        (void)p;                                                                                                                                               \
        parameters return condition;                                                                                                                           \
    }
#include "kernels/activation.def"
#undef ACTIVATION
#undef P0
#undef P1
#undef P2

enum { READS_X_NONE = 0, READS_X_X = 1, READS_X_Y = 0, READS_X_XY = 1, READS_Y_NONE = 0, READS_Y_X = 0, READS_Y_Y = 1, READS_Y_XY = 1 };
#define P0 .n_params = 0
#define P1(a, da) .n_params = 1, .param = {{#a, da}}
#define P2(a, da, b, db) .n_params = 2, .param = {{#a, da}, {#b, db}}
#define ACTIVATION(text, parameters, needs, forward, derivative_code, formula_text, derivative_text, source_text, condition_code)                              \
    {.name = #text,                                                                                                                                            \
     .formula = formula_text,                                                                                                                                  \
     .derivative = derivative_text,                                                                                                                            \
     .source = source_text,                                                                                                                                    \
     parameters,                                                                                                                                               \
     .condition = #condition_code,                                                                                                                             \
     .valid = text##_valid,                                                                                                                                    \
     .needs_x = READS_X_##needs,                                                                                                                               \
     .needs_y = READS_Y_##needs},
const pn_act_info pn_acts[PN_ACT_COUNT] = {
#include "kernels/activation.def"
};
#undef ACTIVATION
#undef P0
#undef P1
#undef P2

/* ---- update rules ---- */

/* x^n by squaring: the same bits on every machine, which the system's pow does not promise. */
static double power(double x, int64_t n) {
    double y = 1;
    for (; n > 0; n >>= 1, x *= x) {
        if (n & 1) y *= x;
    }
    return y;
}

/* Shared by the lines of one family. */
static void rmsprop(pn_hyper *h) {
    h->c[0] = h->lr;
    h->c[1] = h->weight_decay;
    h->c[2] = h->eps;
    h->c[3] = h->alpha;
    h->c[4] = 1 - h->alpha;
    h->c[5] = h->momentum;
}
static void adam(pn_hyper *h) {
    h->c[0] = h->weight_decay;
    h->c[1] = 1 - h->beta1;
    h->c[2] = h->beta2;
    h->c[3] = 1 - h->beta2;
    h->c[4] = h->lr / (1 - power(h->beta1, h->step));
    h->c[5] = 1 / __builtin_sqrt(1 - power(h->beta2, h->step));
    h->c[6] = h->eps;
    h->c[7] = 1 - h->lr * h->weight_decay;
}

/* No limit: nothing keeps the numbers of this rule in proportion. */
static double limit_if(bool has_one, double limit) { return has_one ? limit : (double)__builtin_inf(); }
/* Cauchy and Schwarz: |m| <= reach sqrt(v) for running means m, v of any numbers and of their squares. */
static double adam_reach(const pn_hyper *h) {
    const double memory = h->beta1 * h->beta1 / h->beta2;
    return limit_if(h->eps > 0 && memory < 1, 1 / __builtin_sqrt((1 - h->beta2) * (1 - memory)));
}
static double rmsprop_reach(const pn_hyper *h) { return limit_if(h->eps > 0 && h->alpha < 1, 1 / __builtin_sqrt(1 - h->alpha)); }

#define UPDATE(name, state, prepare, body, limit, ...)                                                                                                         \
    static void name##_prepare(pn_hyper *h) prepare static double name##_limit(const pn_hyper *h) {                                                            \
        (void)h;                                                                                                                                               \
        return limit;                                                                                                                                          \
    }
#include "kernels/update.def"
#undef UPDATE

#define S0 .n_state = 0
#define S1(a) .n_state = 1, .state = {#a}
#define S2(a, b) .n_state = 2, .state = {#a, #b}
#define S3(a, b, c) .n_state = 3, .state = {#a, #b, #c}
#define UPDATE(text, states, prepare_code, body, limit, formula_text, source_text)                                                                             \
    {.name = #text, .formula = formula_text, .source = source_text, states, .prepare = text##_prepare, .reach = text##_limit},
const pn_update_info pn_updates[PN_UPDATE_COUNT] = {
#include "kernels/update.def"
};
#undef UPDATE
