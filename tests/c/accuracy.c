/* The largest error of the vector mathematics in units of the last place, at every instruction-set level of this machine.
 *
 *     accuracy                 all 2^32 floats and 10^8 random doubles a function: minutes
 *     accuracy quick           a sample of both: seconds
 *     accuracy tanh quick      only functions whose name contains a word
 * Floats are judged by the double functions of the system's libm, doubles by its long double functions (64-bit mantissa on x86). Fails when a function is
 * worse than its line says. `make full` runs it. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "kernels/kernels.h"

typedef long double wide;
#define REFERENCE(name, expression_d, expression_w)                                                                                                            \
    static double name##_d(double x) { return expression_d; }                                                                                                  \
    static wide name##_w(wide x) { return expression_w; }
REFERENCE(exp, exp(x), expl(x))
REFERENCE(log, log(x), logl(x))
REFERENCE(sin, sin(x), sinl(x))
REFERENCE(cos, cos(x), cosl(x))
REFERENCE(tanh, tanh(x), tanhl(x))
REFERENCE(sigmoid, 1 / (1 + exp(-x)), 1 / (1 + expl(-x)))
REFERENCE(softplus, fmax(x, 0) + log1p(exp(-fabs(x))), fmaxl(x, 0) + log1pl(expl(-fabsl(x))))
REFERENCE(log_sigmoid, -softplus_d(-x), -softplus_w(-x))
REFERENCE(elu, x > 0 ? x : expm1(x), x > 0 ? x : expm1l(x))
REFERENCE(silu, x / (1 + exp(-x)), x / (1 + expl(-x)))
REFERENCE(gelu, 0.5 * x * erfc(-x * 0.70710678118654752440), 0.5L * x * erfcl(-x * 0.70710678118654752440084436210485L))
REFERENCE(sqrt, sqrt(x), sqrtl(x))

typedef struct function {
    const char *name;
    int act;
    double (*d)(double);
    wide (*w)(wide);
    double limit_f, limit_d; /* ulp */
} function;
#define FUNCTION(name, limit_f, limit_d) {#name, PN_ACT_##name, name##_d, name##_w, limit_f, limit_d}
static const function functions[] = {
    FUNCTION(exp, 1, 1),      FUNCTION(log, 1, 1),     FUNCTION(sin, 1, 1),         FUNCTION(cos, 1, 1),          FUNCTION(tanh, 2, 2), FUNCTION(sigmoid, 2, 2),
    FUNCTION(softplus, 2, 2), FUNCTION(elu, 1.5, 1.5), FUNCTION(log_sigmoid, 2, 2), FUNCTION(sqrt, 0.501, 0.501), FUNCTION(silu, 3, 3), FUNCTION(gelu, 4, 4),
};

/* |got - want| in units of the last place of want, in a format of `digits` bits whose smallest normal exponent is `lowest` and largest finite value `top`. */
static double ulps(double got, wide want, int digits, int lowest, double top) {
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    if (isnan(got)) return INFINITY;
    int e;
    if (isinf(got) || fabsl(want) > top) {
        const wide half = ldexpl(0.5L, (int)ilogb(top) - digits + 1);
        if (isinf(got)) return (got > 0) == (want > 0) && fabsl(want) >= top - 4 * half ? 0 : INFINITY;
        if (isinf(want)) return fabs(got) == top ? 1 : INFINITY;
    }
    (void)frexpl(want, &e);
    if (want == 0 || e < lowest) e = lowest;
    return (double)(fabsl((wide)got - want) / ldexpl(1, e - digits));
}

enum { N = 4096 };
static double parameters[2] = {1, 1};

static void measure_float(const function *f, const pn_kernels *k, uint64_t step, double *worst, double *at) {
    static float x[N], y[N];
    *worst = 0;
    for (uint64_t first = 0; first < (UINT64_C(1) << 32); first += N * step) {
        for (int i = 0; i < N; i++) {
            const uint32_t bits = (uint32_t)(first + (uint64_t)i * step + (step > 1 ? (uint32_t)(first * 2654435761u) % step : 0));
            memcpy(&x[i], &bits, 4);
        }
        k->f.act_forward[f->act](y, x, N, parameters);
        for (int i = 0; i < N; i++) {
            const double e = ulps(y[i], f->d(x[i]), 24, -125, 0x1.fffffep127);
            if (e > *worst) *worst = e, *at = x[i];
        }
    }
}

/* Half of the arguments spread over all bit patterns, half over [-40, 40] densely near zero, where networks live. */
static void measure_double(const function *f, const pn_kernels *k, int64_t count, double *worst, double *at) {
    static double x[N], y[N];
    *worst = 0;
    pn_xoshiro g;
    pn_xoshiro_seed(&g, 1);
    for (int64_t done = 0; done < count; done += N) {
        for (int i = 0; i < N; i++) {
            const uint64_t bits = pn_xoshiro_next(&g);
            if (i & 1)
                memcpy(&x[i], &bits, 8);
            else
                x[i] = ldexp((double)(int64_t)bits, -63) * (bits & 2 ? 40 : bits & 4 ? 750 : 1);
        }
        k->d.act_forward[f->act](y, x, N, parameters);
        for (int i = 0; i < N; i++) {
            const double e = ulps(y[i], f->w(x[i]), 53, -1021, 0x1.fffffffffffffp1023);
            if (e > *worst) *worst = e, *at = x[i];
        }
    }
}

static void measure_pow(const pn_kernels *k, int64_t count, double worst[2], double at[4]) {
    static double a[N], b[N], y[N];
    static float af[N], bf[N], yf[N];
    worst[0] = worst[1] = 0;
    pn_xoshiro g;
    pn_xoshiro_seed(&g, 2);
    for (int64_t done = 0; done < count; done += N) {
        for (int i = 0; i < N; i++) {
            const uint64_t p = pn_xoshiro_next(&g), q = pn_xoshiro_next(&g);
            if (i & 1)
                memcpy(&a[i], &p, 8);
            else
                a[i] = 1 + ldexp((double)(int64_t)p, -63 - (int)(p & 31));
            b[i] = ldexp((double)(int64_t)q, -63 + (int)(q % 20));
            if (q & 64) b[i] = rint(b[i]);
            af[i] = (float)a[i];
            bf[i] = (float)b[i];
        }
        k->d.binary[PN_BIN_pow](y, a, 1, b, 1, N);
        k->f.binary[PN_BIN_pow](yf, af, 1, bf, 1, N);
        for (int i = 0; i < N; i++) {
            const double e = ulps(yf[i], pow(af[i], bf[i]), 24, -125, 0x1.fffffep127), d = ulps(y[i], powl(a[i], b[i]), 53, -1021, 0x1.fffffffffffffp1023);
            if (e > worst[0]) worst[0] = e, at[0] = af[i], at[1] = bf[i];
            if (d > worst[1]) worst[1] = d, at[2] = a[i], at[3] = b[i];
        }
    }
}

int main(int argc, char **argv) {
    bool quick = false, failed = false;
    const char *words[16];
    int n_words = 0;
    for (int i = 1; i < argc && n_words < 16; i++) {
        if (strcmp(argv[i], "quick") == 0)
            quick = true;
        else
            words[n_words++] = argv[i];
    }
    printf("%-12s %-9s %10s %16s %10s %24s\n", "function", "level", "float ulp", "at", "double ulp", "at");
    for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
        const pn_kernels *k = pn_kernels_of((pn_isa)isa);
        if (!k) continue;
        for (size_t j = 0; j <= sizeof functions / sizeof *functions; j++) {
            const bool is_pow = j == sizeof functions / sizeof *functions;
            const char *name = is_pow ? "pow" : functions[j].name;
            bool wanted = n_words == 0;
            for (int i = 0; i < n_words; i++) wanted = wanted || strstr(name, words[i]) || strcmp(words[i], pn_isa_name((pn_isa)isa)) == 0;
            if (!wanted) continue;
            double worst[2], at[4] = {0};
            const int64_t count = quick ? 400000 : 100000000;
            if (is_pow) {
                measure_pow(k, count, worst, at);
            } else {
                measure_float(&functions[j], k, quick ? 9973 : 1, &worst[0], &at[0]);
                measure_double(&functions[j], k, count, &worst[1], &at[2]);
            }
            const double limit_f = is_pow ? 1 : functions[j].limit_f, limit_d = is_pow ? 1 : functions[j].limit_d;
            const bool bad = !(worst[0] <= limit_f) || !(worst[1] <= limit_d);
            failed = failed || bad;
            printf("%-12s %-9s %10.4f %16.9g %10.4f %24.17g%s\n", name, pn_isa_name((pn_isa)isa), worst[0], at[0], worst[1], at[2], bad ? "  too large" : "");
            fflush(stdout);
        }
    }
    return failed;
}
