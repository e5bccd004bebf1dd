/* Probabilities of acceptance: scalar, without contraction and without the system's libm, so that a trajectory has the same bits on every machine. */
#include <math.h>
#include <string.h>

#include "energy/energy.h"

#define LN2_HI 0x1.62e42feep-1 /* short: n LN2_HI is exact for every exponent n */
#define LN2_LO 0x1.a39ef35793c76p-33
#define DEAD (-745.2) /* exp is 0 below */

/* (exp(r) - 1 - r) / r^2, |r| <= ln 2 / 2: the polynomial of kernels/vmath.h */
static const double terms[] = {0.5,
                               0.16666666666666677,
                               0.0416666666666667,
                               0.00833333333332151,
                               0.001388888888886664,
                               0.00019841269886464207,
                               2.48015873609491e-05,
                               2.755724384160026e-06,
                               2.7557242423132595e-07,
                               2.510917389124303e-08,
                               2.0924547598039076e-09};

static double power_of_2(int n) { /* within the normal numbers */
    const uint64_t bits = (uint64_t)(n + 1023) << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* exp(x), x <= 0, within 1 ulp; two factors, so that subnormal results are reached. */
static double exp_falling(double x) {
    if (!(x > DEAD)) return 0;
    const int n = (int)(x * 1.4426950408889634074 - 0.5), half = n / 2;
    const double high = x - n * LN2_HI, low = n * LN2_LO, r = high - low;
    double sum = terms[10];
    for (int i = 9; i >= 0; i--) sum = sum * r + terms[i];
    return (1 + (high + (r * r * sum - low))) * power_of_2(half) * power_of_2(n - half);
}

double pn_rule_probability(pn_rule rule, double change, double temperature) {
    if (change <= 0 && rule != PN_RULE_GLAUBER) return 1;
    const double falling = exp_falling(-fabs(change) / temperature);
    if (rule == PN_RULE_METROPOLIS) return falling;
    return change > 0 ? falling / (1 + falling) : 1 / (1 + falling);
}
