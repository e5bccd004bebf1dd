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
#include "base/team.h"
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
REFERENCE(gelu, x < -1e9 ? -0.0 : 0.5 * x * erfc(-x * 0.70710678118654752440), x < -1e9L ? -0.0L : 0.5L * x * erfcl(-x * 0.70710678118654752440084436210485L))
REFERENCE(sqrt, sqrt(x), sqrtl(x))

typedef struct function {
    const char *name;
    int act;
    double (*d)(double);
    wide (*w)(wide);
    double limit_f, limit_d; /* ulp */
} function;
#define FUNCTION(name, limit_f, limit_d) {#name, PN_ACT_##name, name##_d, name##_w, limit_f, limit_d}
#define POW_LIMIT_F 0.51
#define POW_LIMIT_D 1
static const function functions[] = {
    FUNCTION(exp, 1, 1),         FUNCTION(log, 1, 1),          FUNCTION(sin, 1, 1),      FUNCTION(cos, 1, 1),
    FUNCTION(tanh, 1.5, 2),      FUNCTION(sigmoid, 2, 2),      FUNCTION(softplus, 2, 2), FUNCTION(elu, 1.5, 1.5),
    FUNCTION(log_sigmoid, 2, 2), FUNCTION(sqrt, 0.501, 0.501), FUNCTION(silu, 2, 2),     FUNCTION(gelu, 2, 7),
};

/* |got - want| in units of the last place of want. Beyond the largest finite value Inf is right, and one unit above it both are. */
static double ulps_f(float got, double want) {
    if (want != want || got != got) return (want != want) == (got != got) ? 0 : INFINITY;
    if (isinf(got) || fabs(want) > 0x1.fffffep127)
        return (got > 0) == (want > 0) && fabs(want) >= 0x1.fffffcp127 && fabsf(got) >= 0x1.fffffep127f ? 0 : INFINITY;
    int64_t bits;
    memcpy(&bits, &want, 8);
    int64_t e = (bits >> 52 & 0x7FF) - 1023;
    if (e < -126) e = -126;
    const int64_t unit_bits = (1023 - (e - 23)) << 52; /* 1 / unit */
    double unit;
    memcpy(&unit, &unit_bits, 8);
    return fabs(got - want) * unit;
}
static double ulps_d(double got, wide want) {
    if (want != want || got != got) return (want != want) == (got != got) ? 0 : INFINITY;
    const double top = 0x1.fffffffffffffp1023;
    if (isinf(got) || fabsl(want) > top) return (got > 0) == (want > 0) && fabsl(want) >= 0x1.ffffffffffffep1023L && fabs(got) >= top ? 0 : INFINITY;
    int e;
    (void)frexpl(want, &e);
    if (want == 0 || e < -1021) e = -1021;
    return (double)(fabsl(got - want) / ldexpl(1, e - 53));
}

enum { N = 4096 };
static const double parameters[2] = {1, 1};

/* The worst of one function at one level: where, and how far. */
typedef struct worst {
    double ulp_f, at_f[2], ulp_d, at_d[2];
} worst;
static void worse_f(worst *w, double e, double a, double b) {
    if (e > w->ulp_f) w->ulp_f = e, w->at_f[0] = a, w->at_f[1] = b;
}
static void worse_d(worst *w, double e, double a, double b) {
    if (e > w->ulp_d) w->ulp_d = e, w->at_d[0] = a, w->at_d[1] = b;
}

/* One measurement: f (NULL: pow) at every level in `levels`; blocks of N arguments are shared among the members of a team. */
typedef struct job {
    const function *f;
    const pn_kernels *levels[PN_ISA_COUNT];
    int n_levels;
    uint64_t float_step; /* of the bit pattern */
    int64_t doubles;     /* how many random arguments */
    worst found[PN_MAX_THREADS][PN_ISA_COUNT];
} job;

static void floats(job *j, worst *w, int64_t block) {
    float x[N], y[N];
    double want[N];
    for (int i = 0; i < N; i++) {
        const uint64_t at = ((uint64_t)block * N + (uint64_t)i) * j->float_step;
        const uint32_t bits = (uint32_t)(at + (at >> 16) % j->float_step); /* not in step with the fraction */
        memcpy(&x[i], &bits, 4);
        want[i] = j->f->d(x[i]);
    }
    for (int l = 0; l < j->n_levels; l++) {
        j->levels[l]->f.act_forward[j->f->act](y, x, N, parameters);
        for (int i = 0; i < N; i++) worse_f(&w[l], ulps_f(y[i], want[i]), x[i], 0);
    }
}

/* Half of the arguments spread over all bit patterns, half within [-750, 750], most of them near zero, where networks live. */
static void doubles(job *j, worst *w, int64_t block) {
    double x[N], y[N];
    wide want[N];
    pn_xoshiro g;
    pn_xoshiro_seed(&g, (uint64_t)block);
    for (int i = 0; i < N; i++) {
        const uint64_t bits = pn_xoshiro_next(&g);
        if (i & 1)
            memcpy(&x[i], &bits, 8);
        else
            x[i] = ldexp((double)(int64_t)bits, -63) * (bits & 2 ? 40 : bits & 4 ? 750 : 1);
        want[i] = j->f->w(x[i]);
    }
    for (int l = 0; l < j->n_levels; l++) {
        j->levels[l]->d.act_forward[j->f->act](y, x, N, parameters);
        for (int i = 0; i < N; i++) worse_d(&w[l], ulps_d(y[i], want[i]), x[i], 0);
    }
}

/* Bases of all sizes and close to one, exponents of all sizes and whole ones. */
static void powers(job *j, worst *w, int64_t block) {
    double a[N], b[N], y[N], want_f[N];
    float af[N], bf[N], yf[N];
    wide want[N];
    pn_xoshiro g;
    pn_xoshiro_seed(&g, (uint64_t)block);
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
        want[i] = powl(a[i], b[i]);
        want_f[i] = pow(af[i], bf[i]);
    }
    for (int l = 0; l < j->n_levels; l++) {
        j->levels[l]->d.binary[PN_BIN_pow](y, a, 1, b, 1, N);
        j->levels[l]->f.binary[PN_BIN_pow](yf, af, 1, bf, 1, N);
        for (int i = 0; i < N; i++) {
            worse_f(&w[l], ulps_f(yf[i], want_f[i]), af[i], bf[i]);
            worse_d(&w[l], ulps_d(y[i], want[i]), a[i], b[i]);
        }
    }
}

static void share(void *context, pn_member *m) {
    job *j = context;
    worst *w = j->found[m->index];
    int64_t lo, hi;
    if (j->f) {
        pn_member_range(m, (int64_t)((UINT64_C(1) << 32) / N / j->float_step) + 1, &lo, &hi);
        for (int64_t block = lo; block < hi; block++) floats(j, w, block);
    }
    pn_member_range(m, j->doubles / N + 1, &lo, &hi);
    for (int64_t block = lo; block < hi; block++) j->f ? doubles(j, w, block) : powers(j, w, block);
}

/* Measures one function and prints a line for every level; false when it is worse than promised. */
static bool measure(job *j, const char *name, double limit_f, double limit_d) {
    bool good = true;
    memset(j->found, 0, sizeof j->found);
    pn_team_run(pn_threads_get(), NULL, share, j);
    for (int l = 0; l < j->n_levels; l++) {
        worst *w = &j->found[0][l];
        for (int member = 1; member < PN_MAX_THREADS; member++) {
            const worst *o = &j->found[member][l];
            worse_f(w, o->ulp_f, o->at_f[0], o->at_f[1]);
            worse_d(w, o->ulp_d, o->at_d[0], o->at_d[1]);
        }
        const bool fine = w->ulp_f <= limit_f && w->ulp_d <= limit_d;
        good = good && fine;
        printf("%-12s %-9s %8.4f at %-16.9g %8.4f at %-24.17g%s\n", name, pn_isa_name(j->levels[l]->isa), w->ulp_f, w->at_f[0], w->ulp_d, w->at_d[0],
               fine ? "" : "  too large");
    }
    fflush(stdout);
    return good;
}

int main(int argc, char **argv) {
    static job j;
    const char *words[16];
    int n_words = 0;
    bool quick = false, good = true;
    for (int i = 1; i < argc && n_words < 16; i++) {
        if (strcmp(argv[i], "quick") == 0)
            quick = true;
        else
            words[n_words++] = argv[i];
    }
    j.float_step = quick ? 9973 : 1;
    j.doubles = quick ? 400000 : 100000000;
    for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
        if (pn_kernels_of((pn_isa)isa)) j.levels[j.n_levels++] = pn_kernels_of((pn_isa)isa);
    }
    printf("largest error in units of the last place: function, level, float, double\n");
    for (size_t f = 0; f <= sizeof functions / sizeof *functions; f++) {
        j.f = f < sizeof functions / sizeof *functions ? &functions[f] : NULL;
        const char *name = j.f ? j.f->name : "pow";
        bool wanted = n_words == 0;
        for (int i = 0; i < n_words; i++) wanted = wanted || strstr(name, words[i]);
        if (wanted && !measure(&j, name, j.f ? j.f->limit_f : POW_LIMIT_F, j.f ? j.f->limit_d : POW_LIMIT_D)) good = false;
    }
    return !good;
}
