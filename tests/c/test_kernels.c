/* Every kernel but the matrix product, at every level this machine has, for both types: against long double references, at all lengths around a vector,
 * off alignment, alone and in company, with NaN and infinities. The matrix product has its own file. */
#include "test.h"

#include <stdlib.h>

#include "base/rng.h"
#include "kernels_reference.h"

/* The portable level once more, one element at a time: plain C that must give the same bits. */
#undef PN_VECTOR_BYTES
#define PN_VECTOR_BYTES 0
#define PN_ISA_FILL fill_plain
static bool fill_plain(pn_kernels *t);
#include "kernels/isa_body.h"
#undef V /* the letter belongs to the tests again */

#define table_f f
#define table_d d
#define PN_REAL_FILE "../../tests/c/kernels_checks.h"
#include "base/real.h"

#define FOR_LEVELS(k)                                                                                                                                          \
    for (int isa_ = 0; isa_ < PN_ISA_COUNT; isa_++)                                                                                                            \
        for (const pn_kernels *k = pn_kernels_of((pn_isa)isa_); k; k = NULL)

/* Parameters of a line: its defaults, or the lectures' other choice. */
static void act_parameters(int act, bool other, double p[2]) {
    for (int i = 0; i < 2; i++) {
        const char *text = pn_acts[act].param[i].fallback;
        p[i] = i >= pn_acts[act].n_params ? 0 : !strcmp(text, "none") ? p[0] : atof(text);
    }
    if (!other) return;
    if (act == PN_ACT_step) p[0] = 1;
    if (act == PN_ACT_relu) p[0] = 1;
    if (act == PN_ACT_leaky_relu) p[0] = 0.1, p[1] = 1;
    if (act == PN_ACT_elu) p[0] = 2, p[1] = 1;
    if (act == PN_ACT_hardtanh) p[0] = -0.5, p[1] = 2;
}

TEST(activations_agree_with_their_formulas) {
    FOR_LEVELS(k) {
        for (int act = 0; act < PN_ACT_COUNT; act++) {
            double p[2];
            for (int other = 0; other < 2; other++) {
                act_parameters(act, other, p);
                CHECK(pn_acts[act].valid(p), "%s refuses its own parameters", pn_acts[act].name);
                check_activation_f(k, act, p);
                check_activation_d(k, act, p);
            }
        }
    }
}

TEST(derivative_at_zero_is_the_parameter) {
    static const int lines[] = {PN_ACT_relu, PN_ACT_leaky_relu, PN_ACT_elu};
    FOR_LEVELS(k) {
        for (unsigned j = 0; j < 3; j++) {
            for (int grad = 0; grad < 2; grad++) {
                const double p[2] = {j == 0 ? grad : 0, grad}; /* slope and alpha 0: the hardest case, where negative x gives zeros too */
                const float x[4] = {0, -0.0f, -3, -1e-30f}, one[4] = {1, 1, 1, 1};
                float y[4], gx[4];
                k->f.act_forward[lines[j]](y, x, 4, p);
                k->f.act_backward[lines[j]](gx, NULL, y, one, 4, p, false);
                CHECK(y[0] == 0 && y[1] == 0 && y[2] == 0 && gx[0] == grad && gx[1] == grad && gx[2] == 0 && gx[3] == 0, "%s %d: %g %g %g %g",
                      pn_acts[lines[j]].name, grad, gx[0], gx[1], gx[2], gx[3]);
            }
        }
    }
}

TEST(conditions_of_parameters) {
    const double negative[2] = {-0.1, 0}, crossed[2] = {1, -1};
    CHECK(!pn_acts[PN_ACT_leaky_relu].valid(negative) && !pn_acts[PN_ACT_elu].valid(negative) && !pn_acts[PN_ACT_hardtanh].valid(crossed));
    CHECK(pn_acts[PN_ACT_tanh].valid(negative) && !strcmp(pn_acts[PN_ACT_leaky_relu].condition, "slope >= 0"));
    CHECK(!strcmp(pn_acts[PN_ACT_relu].param[0].name, "grad_at_zero") && pn_acts[PN_ACT_relu].needs_y && !pn_acts[PN_ACT_relu].needs_x);
}

TEST(binary_operations) {
    FOR_LEVELS(k) {
        for (int op = 0; op < PN_BIN_COUNT; op++) {
            check_binary_f(k, op);
            check_binary_d(k, op);
        }
    }
}

TEST(special_cases_of_pow) {
    const double inf = INFINITY, nan = NAN;
    const double a[] = {0, -0.0, 0, -0.0, -0.0, -1, -1, 2, 0.5, 2, 0.5, -inf, -inf, -inf, inf, inf, nan, 1, nan, -2, -2, -8, 0, -0.0};
    const double b[] = {0, 3, -2, -3, 2, inf, -inf, inf, inf, -inf, -inf, 3, 2, -3, 2, -2, 0, nan, 1, 3, 0.5, -1, nan, -inf};
    enum { COUNT = sizeof a / sizeof *a };
    double y[COUNT];
    float af[COUNT], bf[COUNT], yf[COUNT];
    for (int i = 0; i < COUNT; i++) af[i] = (float)a[i], bf[i] = (float)b[i];
    FOR_LEVELS(k) {
        k->d.binary[PN_BIN_pow](y, a, 1, b, 1, COUNT);
        k->f.binary[PN_BIN_pow](yf, af, 1, bf, 1, COUNT);
        for (int i = 0; i < COUNT; i++) {
            const double want = pow(a[i], b[i]);
            CHECK(isnan(want) ? isnan(y[i]) && isnan(yf[i])
                              : y[i] == want && yf[i] == (float)want && !signbit(want) == !signbit(y[i]) && !signbit(want) == !signbit(yf[i]),
                  "pow(%g, %g) = %g, %g, not %g", a[i], b[i], y[i], yf[i], want);
        }
    }
}

TEST(linear_kernels) {
    FOR_LEVELS(k) {
        check_linear_f(k);
        check_linear_d(k);
    }
}

TEST(reductions) {
    FOR_LEVELS(k) {
        check_reductions_f(k);
        check_reductions_d(k);
    }
}

TEST(softmax_and_relatives) {
    FOR_LEVELS(k) {
        check_softmax_f(k);
        check_softmax_d(k);
    }
}

TEST(dropout_follows_the_scalar_stream) {
    FOR_LEVELS(k) {
        check_dropout_f(k);
        check_dropout_d(k);
    }
}

TEST(update_rules_agree_with_their_formulas) {
    FOR_LEVELS(k) {
        for (int rule = 0; rule < PN_UPDATE_COUNT; rule++) {
            for (int variant = 0; variant < 4; variant++) {
                check_update_f(k, rule, variant);
                check_update_d(k, rule, variant);
            }
        }
    }
}

TEST(portable_level_has_the_same_bits_in_plain_c) {
    static pn_kernels plain;
    CHECK(fill_plain(&plain));
    check_same_bits_f(&pn_kernels_of(PN_ISA_PORTABLE)->f, &plain.f);
    check_same_bits_d(&pn_kernels_of(PN_ISA_PORTABLE)->d, &plain.d);
}

TEST(level_can_be_chosen) {
    const pn_kernels *before = pn_kernels_get();
    CHECK(before && before == pn_kernels_of(before->isa));
    CHECK(pn_kernels_select(PN_ISA_PORTABLE) && pn_kernels_get()->isa == PN_ISA_PORTABLE);
    CHECK(!pn_kernels_select((pn_isa)99) && !pn_kernels_of((pn_isa)99) && pn_kernels_get()->isa == PN_ISA_PORTABLE);
    CHECK(pn_kernels_select(before->isa));
}
