/* Vector mathematics for one real type: exp, log and their relatives. No libm, no tables, no branch on a value; NaN in, NaN out; subnormal results are right.
 *
 *   V_exp   V_expm1_negative (x <= 0)   V_log   V_log_normal (x normal, > 0)   V_log1p_unit (0 <= x <= 1)   V_sigmoid   V_tanh   V_softplus   V_normal_cdf   V_normal_pdf
 * tests/c/accuracy.c measures the largest error of each. The polynomials are minimax fits made for this file; how the parts of the logarithm of a double
 * are summed follows fdlibm (Sun Microsystems, 1993). Every product that must be exact is exact without FMA, so contraction does no harm.
 */
#define V_exp(x) R_(pn_exp)(x)
#define V_expm1_negative(x) R_(pn_expm1_negative)(x)
#define V_log(x) R_(pn_log)(x)
#define V_log_normal(x) R_(pn_log_normal)(x)
#define V_log1p_unit(x) R_(pn_log1p_unit)(x)
#define V_sigmoid(x) R_(pn_sigmoid)(x)
#define V_tanh(x) R_(pn_tanh)(x)
#define V_silu(x) R_(pn_silu)(x)
#define V_gelu(x) R_(pn_gelu)(x)
#define V_gelu_tanh(x) R_(pn_gelu_tanh)(x)
#define V_softplus(x) R_(pn_softplus)(x)
#define V_normal_cdf(x) R_(pn_normal_cdf)(x)
#define V_normal_pdf(x) R_(pn_normal_pdf)(x)
#define V_silu_derivative(x) R_(pn_silu_derivative)(x)
#define V_gelu_tanh_derivative(x) R_(pn_gelu_tanh_derivative)(x)
#define V_floor(x) R_(pn_floor)(x)
#define V_round(x) R_(pn_round)(x)
#define V_mark_zero(y, zero, wanted) R_(pn_mark_zero)(y, (VI)(zero), wanted)
#define V_marked_zero(y) (V_bits(y) == V_SIGN)
#define INFINITE C(__builtin_inf())
#define NOT_A_NUMBER C(__builtin_nan(""))

/* What depends on the type: of double, of float. */
#define MANTISSA (PN_DOUBLE ? 52 : 23)                      /* bits of the fraction */
#define BIAS (PN_DOUBLE ? 1023 : 127)                       /* of the exponent */
#define MAGIC C(PN_DOUBLE ? 0x1.8p52 : 0x1.8p23)            /* adding it rounds to an integer, which then stands in the low bits */
#define LN2_HI C(PN_DOUBLE ? 0x1.62e42feep-1 : 0x1.62e4p-1) /* short: n LN2_HI is exact for every exponent n */
#define LN2_LO C(PN_DOUBLE ? 0x1.a39ef35793c76p-33 : 0x1.7f7d1cf79abcap-20)
#define SQRT_HALF ((VI_element)(PN_DOUBLE ? 0x3FE6A09E00000000 : 0x3F3504F3)) /* bits of about sqrt(1/2) */
#define SMALLEST_NORMAL C(PN_DOUBLE ? 0x1p-1022 : 0x1p-126)
#define SUBNORMAL_BITS (PN_DOUBLE ? 54 : 25)  /* 2^this makes every subnormal number normal */
#define EXP_MIN (PN_DOUBLE ? -760 : -112)     /* x exp(x) is 0 below */
#define EXP_MAX (PN_DOUBLE ? 710 : 89)        /* and infinite above */
#define EXPM1_MIN (PN_DOUBLE ? -40 : -18)     /* exp(x) - 1 is -1 below */
#define NORMAL_MAX C(PN_DOUBLE ? 38.7 : 14.5) /* exp(-x^2 / 2) is 0 above */
#define NORMAL_K C(PN_DOUBLE ? 5 : 4)         /* see normal_terms */
#define HALF_BITS (PN_DOUBLE ? 27 : 12)       /* a number without this many low bits has an exact square */

#if PN_DOUBLE
/* (exp(r) - 1 - r) / r^2, |r| <= ln 2 / 2 */
static const real R_(exp_terms)[] = {0.5,
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
/* (log((1 + s) / (1 - s)) - 2 s) / s^3 in s^2, |s| <= 0.2 */
static const real R_(log_terms)[] = {0.6666666666666666, 0.399999999999992,   0.28571428571703333, 0.222222221760464,  0.1818182256645522,
                                     0.1538436442998695, 0.13342150723446664, 0.11579344415718991, 0.12641918455912357};
/* (a + k) P(-a) exp(a^2 / 2) in t = (a - k) / (a + k), where P is the distribution function of the normal law, a >= 0, k = NORMAL_K */
static const real R_(normal_terms)[] = {0.769193049750063,      -0.6653825028900568,    0.4953056159699761,      -0.31353315667128745,   0.16502036617040702,
                                        -0.06911863870687801,   0.020795066799262733,   -0.00299337676186944,    -0.0007978693893219596, 0.0005448989927521901,
                                        -5.937580719746401e-05, -4.976245606842442e-05, 1.6681639003552632e-05,  3.97980433807949e-06,   -2.770719146152548e-06,
                                        -3.345721937861036e-07, 4.362911487401573e-07,  4.017523150089386e-08,   -7.014184378551324e-08, -8.553364558046826e-09,
                                        1.0798061850653808e-08, 2.2201175016558965e-09, -1.1613988117963691e-09, -3.817059749433349e-10};
#else
static const real R_(exp_terms)[] = {0.5f, 0.16666541993618011f, 0.04166628047823906f, 0.008366659283638f, 0.0013946580002084374f};
/* (log(1 + f) - f + f^2 / 2) / f^3, sqrt(1/2) - 1 <= f <= 1/2 */
static const real R_(log_terms)[] = {0.33333319425582886f, -0.2500027120113373f, 0.20001785457134247f,  -0.1665402501821518f, 0.14216069877147675f,
                                     -0.1263687014579773f, 0.12129655480384827f, -0.10456691682338715f, 0.04806254059076309f};
static const real R_(normal_terms)[] = {0.7552851438522339f,    -0.607896625995636f,     0.38713666796684265f,    -0.18652300536632538f,
                                        0.06040646880865097f,   -0.007527213077992201f,  -0.0035235739778727293f, 0.001569313695654273f,
                                        0.0001948018471011892f, -0.00012298315414227545f};
/* (tanh(x) - x) / x^3 in x^2, |x| <= 0.55 */
static const real R_(tanh_terms)[] = {-0.33333316445350647f, 0.13332584500312805f, -0.05385220795869827f, 0.02107122167944908f, -0.006273553241044283f};
#endif
#define POLYNOMIAL(x, terms) R_(polynomial)(x, terms, (int)(sizeof(terms) / sizeof *(terms)))

/* c[0] + c[1] x + ..., even and odd powers apart: two short chains instead of a long one. */
PN_INLINE V R_(polynomial)(V x, const real *c, int n) {
    const V x2 = x * x;
    V last = V_of(c[n - 1]), other = V_of(c[n - 2]);
    _Pragma("GCC unroll 16") for (int i = n - 3; i >= 0; i -= 2) last = last * x2 + c[i];
    _Pragma("GCC unroll 16") for (int i = n - 4; i >= 0; i -= 2) other = other * x2 + c[i];
    return n & 1 ? last + x * other : other + x * last;
}

/* ---- exp ---- */
/* n of n + MAGIC; for NaN and what is too large it wraps to some number that does not matter */
PN_INLINE VI R_(whole)(V shifted) { return (VI)((VU)V_bits(shifted) - (VU)V_bits(V_of(MAGIC))); }
PN_INLINE V R_(from_small)(VI n) { return V_from_bits(V_bits(V_of(MAGIC)) + n) - MAGIC; }  /* n as real, |n| < 2^21 */
PN_INLINE V R_(power_of_2)(VI n) { return V_from_bits((VI)(((VU)n + BIAS) << MANTISSA)); } /* 2^n, n within the normal numbers */

/* exp(x + more) = 2^n (1 + m) with |m| < 1/2, more small; returns m. x = n ln 2 + high exactly; only the small rest of high is rounded. */
PN_INLINE V R_(exp_parts)(V x, V more, VI *n) {
    const V shifted = x * C(1.4426950408889634074) + MAGIC, count = shifted - MAGIC;
    *n = R_(whole)(shifted);
    const V high = x - count * LN2_HI, low = count * LN2_LO - more, r = high - low;
    return high + (r * r * POLYNOMIAL(r, R_(exp_terms)) - low);
}
/* scale 2^n (1 + m), in two factors, so that n reaches from subnormal results to overflow. */
PN_INLINE V R_(exp_joined)(V scale, V m, VI n) {
    const VI half = n >> 1;
    return scale * (1 + m) * R_(power_of_2)(half) * R_(power_of_2)(n - half);
}
/* The same with one rounding less where a product and a sum contract. */
PN_INLINE V R_(exp_joined_sum)(V scale, V m, VI n) {
    const VI half = n >> 1;
    return (scale + scale * m) * R_(power_of_2)(half) * R_(power_of_2)(n - half);
}

PN_INLINE V R_(pn_exp)(V x) {
    VI n;
    const VI dead = (VI)(x < EXP_MIN); /* set aside: masked scores are -Inf, and products that underflow are slow */
    const V m = R_(exp_parts)(V_min(EXP_MAX, V_keep(V_not(dead), x)), V_of(0), &n);
    return V_keep(V_not(dead), R_(exp_joined)(V_of(1), m, n));
}
PN_INLINE V R_(exp_negative)(V x) { /* x <= 0 */
    VI n;
    const V m = R_(exp_parts)(V_max(EXP_MIN, x), V_of(0), &n);
    return R_(exp_joined)(V_of(1), m, n);
}
PN_INLINE V R_(pn_expm1_negative)(V x) { /* lanes with x > 0 come out as anything */
    VI n;
    const V m = R_(exp_parts)(V_max(EXPM1_MIN, x), V_of(0), &n), power = R_(power_of_2)(n);
    return power * m + (power - 1);
}

/* ---- log ---- */

/* n ln 2 + log(1 + f), sqrt(1/2) - 1 <= f <= 1/2 */
PN_INLINE V R_(log_sum)(V n, V f) {
    const V half_square = C(0.5) * f * f;
#if PN_DOUBLE
    const V s = f / (2 + f), z = s * s, rest = z * POLYNOMIAL(z, R_(log_terms));
    return n * LN2_HI - ((half_square - (s * (half_square + rest) + n * LN2_LO)) - f);
#else
    const V rest = f * f * f * POLYNOMIAL(f, R_(log_terms)) + n * LN2_LO;
    return n * LN2_HI + (f - (half_square - rest));
#endif
}
PN_INLINE V R_(pn_log)(V x) {
    const VI tiny = (VI)(x < SMALLEST_NORMAL);
    const VI bits = (VI)((VU)V_bits(V_select(tiny, x * C((int64_t)1 << SUBNORMAL_BITS), x)) - (VU_element)SQRT_HALF);
    const V n = R_(from_small)(bits >> MANTISSA) - V_keep(tiny, SUBNORMAL_BITS);
    const V m = V_from_bits((bits & (((VI_element)1 << MANTISSA) - 1)) + SQRT_HALF); /* x = 2^n m, sqrt(1/2) <= m < sqrt(2) */
    const V y = V_select(x == INFINITE, x, R_(log_sum)(n, m - 1));
    return V_select(x > 0, y, V_select(x == 0, -INFINITE, NOT_A_NUMBER));
}
PN_INLINE V R_(pn_log_normal)(V x) { /* the same without what numbers at the borders need */
    const VI bits = (VI)((VU)V_bits(x) - (VU_element)SQRT_HALF);
    return R_(log_sum)(R_(from_small)(bits >> MANTISSA), V_from_bits((bits & (((VI_element)1 << MANTISSA) - 1)) + SQRT_HALF) - 1);
}
/* log(1 + x), 0 <= x <= 1: 1 + x = 2 (1 + f) above one half, where f = (x - 1) / 2 is exact. */
PN_INLINE V R_(pn_log1p_unit)(V x) {
    const VI big = (VI)(x > C(0.5));
    return R_(log_sum)(V_keep(big, 1), V_select(big, C(0.5) * (x - 1), x));
}

/* ---- what networks are made of: few roundings, and nothing overflows on the way ---- */

/* scale / (1 + exp(-x)): with exp(-x) = 2^n (1 + m) and t = 2^-n this is scale t / (1 + t + m); what 1 + t loses
 * of a small t is added to m. */
PN_INLINE V R_(times_sigmoid)(V scale, V x) {
    VI n;
    const V m = R_(exp_parts)(-V_max(EXP_MIN, x), V_of(0), &n);
    const VI minus = (VI)(-(VU)n), half = minus >> 1;                                               /* n is any number where x is not finite */
    const V t1 = R_(power_of_2)(half), t2 = R_(power_of_2)(minus - half), t = t1 * t2, one = 1 + t; /* t may be subnormal */
    return V_select(x > 40, scale, scale * t1 * t2 / (one + (m + (t - (one - 1)))));
}
PN_INLINE V R_(pn_sigmoid)(V x) { return R_(times_sigmoid)(V_of(1), x); }
PN_INLINE V R_(pn_silu)(V x) { return R_(times_sigmoid)(V_max(EXP_MIN, x), x); }
PN_INLINE V R_(pn_tanh)(V x) {
    VI n;
    const V size = V_abs(x);
#if PN_DOUBLE /* with exp(-2 |x|) = (1 + m) / t it is (t - 1 - m) / (t + 1 + m) */
    const V m = R_(exp_parts)(V_max(EXPM1_MIN, -2 * size), V_of(0), &n), t = R_(power_of_2)(-n);
    return V_copysign(((t - 1) - m) / ((t + 1) + m), x);
#else /* 1 - 2 / (exp(2 |x|) + 1) where that is at least 1/2, else x + x^3 p(x^2): the quotient above would exceed 2 ulp */
    const V m = R_(exp_parts)(V_min(20, 2 * size), V_of(0), &n), s = R_(power_of_2)(n), x2 = x * x;
    const V large = 1 - 2 / ((s + 1) + s * m), small = size + size * x2 * POLYNOMIAL(x2, R_(tanh_terms));
    return V_copysign(V_select(size < C(0.55), small, large), x);
#endif
}
PN_INLINE V R_(pn_softplus)(V x) { return V_max(x, 0) + V_log1p_unit(R_(exp_negative)(-V_abs(x))); }

/* scale exp(-a^2 / 2), a >= 0: a^2 = h^2 + (a - h) (a + h) with exact h^2, for the error of a rounded a^2 would grow with a^2. */
PN_INLINE V R_(exp_half_square)(V a, V scale) {
    const V h = V_from_bits(V_bits(a) & -((VI_element)1 << HALF_BITS));
    VI n;
    const V m = R_(exp_parts)(C(-0.5) * h * h, C(-0.5) * (a - h) * (a + h), &n);
    return R_(exp_joined_sum)(scale, m, n);
}
/* front (a + k) P(-a), given t = (a - k) / (a + k). It is written as 2 a / (a + k) - 1, which loses nothing where a is small. */
PN_INLINE V R_(normal_tail)(V a, V t, V front) { return R_(exp_half_square)(a, front * POLYNOMIAL(t, R_(normal_terms))); }
PN_INLINE V R_(pn_normal_cdf)(V x) {
    const V size = V_abs(x), a = V_min(NORMAL_MAX, size), w = 1 / (a + NORMAL_K);
    const V tail = R_(normal_tail)(a, 2 * a * w - 1, V_select(size > NORMAL_MAX, 0, w));
    return V_select(x > 0, 1 - tail, tail);
}
PN_INLINE V R_(pn_normal_pdf)(V x) {
    const V size = V_abs(x), a = V_min(NORMAL_MAX, size);
    return R_(exp_half_square)(a, V_of(C(0.39894228040143267794)));
}
#if PN_DOUBLE /* floats: vmath_wide.h */
PN_INLINE V R_(pn_gelu)(V x) {
    const V size = V_abs(x), a = V_min(NORMAL_MAX, size), s = a / (a + NORMAL_K);
    const V tail = R_(normal_tail)(a, 2 * s - 1, V_select(size > NORMAL_MAX, 0, V_copysign(s, x))); /* x P(-|x|) */
    return V_select(x > 0, x - tail, tail);
}
#endif

/* ---- longer expressions of activation.def ---- */
/* From 2^52 on (2^23 for floats) all numbers are integers; below, adding that number rounds to one, halves to the even one. */
PN_INLINE V R_(pn_round)(V x) {
    const V whole = V_of(C(PN_DOUBLE ? 0x1p52 : 0x1p23)), size = V_abs(x);
    return V_select(size < whole, V_copysign((size + whole) - whole, x), x);
}
PN_INLINE V R_(pn_floor)(V x) {
    const V nearest = R_(pn_round)(x);
    return nearest - V_keep(nearest > x, 1);
}
PN_INLINE V R_(pn_silu_derivative)(V x) {
    const V s = V_sigmoid(x);
    return s * (1 + x * (1 - s));
}
PN_INLINE V R_(pn_gelu_tanh)(V x) { return R_(times_sigmoid)(V_max(EXP_MIN, x), C(1.5957691216057307118) * (x + C(0.044715) * x * x * x)); }
PN_INLINE V R_(pn_gelu_tanh_derivative)(V x) { /* constant where |x| > 30; there x^3 might overflow */
    x = V_select(V_abs(x) > 30, V_copysign(V_of(30), x), x);
    const V x2 = x * x, s = V_sigmoid(C(1.5957691216057307118) * (x + C(0.044715) * x * x2));
    return s + x * s * (1 - s) * (C(1.5957691216057307118) + C(0.21406444881780076) * x2);
}
/* y with -0 where `zero`: a zero of y then tells that x was zero, not negative. Only when `wanted` is not 0. */
PN_INLINE V R_(pn_mark_zero)(V y, VI zero, real wanted) { return wanted != 0 ? V_select(zero, C(-0.0), y) : y; }
