/* Philox, xoshiro and what is drawn from them.
 *
 * Everything here is scalar, without contraction (setup.py passes -ffp-contract=off) and without the system's libm, because a seed must give the same
 * bits on every machine. Sources: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; Blackman and Vigna, "Scrambled
 * linear pseudorandom number generators", TOMS 2021; log, sin and cos after fdlibm (Sun Microsystems). */
#include "base/rng.h"

#include <math.h>
#include <string.h>

/* ---- Philox ---- */
static uint64_t mix64(uint64_t z) { /* the finaliser of splitmix64 */
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint64_t pn_hash64(uint64_t seed, uint64_t purpose) { return mix64(mix64(seed + 0x9E3779B97F4A7C15u) + purpose * 0xD1342543DE82EF95u + 1); }

void pn_philox4x32(uint64_t key, uint64_t ctr_hi, uint64_t ctr_lo, uint32_t out[4]) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)ctr_lo, c1 = (uint32_t)(ctr_lo >> 32), c2 = (uint32_t)ctr_hi, c3 = (uint32_t)(ctr_hi >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* One block of Philox gives two 64-bit words: element i is word i & 1 of block i >> 1. */
static void block64(uint64_t key, uint64_t hi, uint64_t block, uint64_t out[2]) {
    uint32_t w[4];
    pn_philox4x32(key, hi, block, w);
    out[0] = (uint64_t)w[1] << 32 | w[0];
    out[1] = (uint64_t)w[3] << 32 | w[2];
}

static double unit53(uint64_t word) { return (double)(word >> 11) * 0x1p-53; } /* [0, 1) */

/* ---- log, sin and cos with the same bits everywhere ---- */

/* log(x) for normal x > 0, within 1 ulp: x = 2^k (1 + f), log1p(f) by a minimax polynomial in s = f / (2 + f). */
double pn_log_exact(double x) {
    static const double ln2_hi = 6.93147180369123816490e-01, ln2_lo = 1.90821492927058770002e-10;
    static const double l1 = 6.666666666666735130e-01, l2 = 3.999999999940941908e-01, l3 = 2.857142874366239149e-01, l4 = 2.222219843214978396e-01;
    static const double l5 = 1.818357216161805012e-01, l6 = 1.531383769920937332e-01, l7 = 1.479819860511658591e-01;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += 0x3FF0000000000000u - 0x3FE6A09E00000000u; /* so that 1 + f lies in [sqrt(1/2), sqrt(2)) */
    int k = (int)(bits >> 52) - 1023;
    bits = (bits & 0x000FFFFFFFFFFFFFu) + 0x3FE6A09E00000000u;
    memcpy(&x, &bits, sizeof x);
    double f = x - 1.0, s = f / (2.0 + f), z = s * s, w = z * z;
    double r = w * (l2 + w * (l4 + w * l6)) + z * (l1 + w * (l3 + w * (l5 + w * l7)));
    double half = 0.5 * f * f, dk = (double)k;
    return dk * ln2_hi - ((half - (s * (half + r) + dk * ln2_lo)) - f);
}

/* The octant is exact in u, the rest is a polynomial on [-pi/4, pi/4]. */
void pn_cos_sin_turn(double u, double *c, double *s) {
    static const double s1 = -1.66666666666666324348e-01, s2 = 8.33333333332248946124e-03, s3 = -1.98412698298579493134e-04;
    static const double s4 = 2.75573137070700676789e-06, s5 = -2.50507602534068634195e-08, s6 = 1.58969099521155010221e-10;
    static const double c1 = 4.16666666666666019037e-02, c2 = -1.38888888888741095749e-03, c3 = 2.48015872894767294178e-05;
    static const double c4 = -2.75573143513906633035e-07, c5 = 2.08757232129817482790e-09, c6 = -1.13596475577881948265e-11;
    int quarter = (int)(u * 4.0 + 0.5);
    double x = (u - quarter * 0.25) * 6.283185307179586232, z = x * x;
    double sine = x + x * z * (s1 + z * (s2 + z * (s3 + z * (s4 + z * (s5 + z * s6)))));
    double cosine = 1.0 - (0.5 * z - z * z * (c1 + z * (c2 + z * (c3 + z * (c4 + z * (c5 + z * c6))))));
    switch (quarter & 3) {
    case 0: *c = cosine, *s = sine; break;
    case 1: *c = -sine, *s = cosine; break;
    case 2: *c = -cosine, *s = -sine; break;
    default: *c = sine, *s = -cosine; break;
    }
}

/* ---- what networks draw ---- */
static void uniform_pair(uint64_t key, uint64_t hi, uint64_t block, double pair[2]) {
    uint64_t w[2];
    block64(key, hi, block, w);
    pair[0] = unit53(w[0]);
    pair[1] = unit53(w[1]);
}

static void normal_pair(uint64_t key, uint64_t hi, uint64_t block, double pair[2]) {
    uint64_t w[2];
    double c, s;
    block64(key, hi, block, w);
    double radius = sqrt(-2.0 * pn_log_exact(1.0 - unit53(w[0]))); /* 1 - u lies in (0, 1] */
    pn_cos_sin_turn(unit53(w[1]), &c, &s);
    pair[0] = radius * c;
    pair[1] = radius * s;
}

/* out[n] = elements first .. first + n - 1, made in pairs; an odd start or end takes half a pair. */
static void fill_pairs(void (*pair_of)(uint64_t, uint64_t, uint64_t, double[2]), uint64_t key, uint64_t hi, uint64_t first, int64_t n, double *out) {
    double pair[2];
    int64_t i = 0;
    if (n > 0 && (first & 1)) {
        pair_of(key, hi, first >> 1, pair);
        out[i++] = pair[1];
    }
    for (; i + 1 < n; i += 2) pair_of(key, hi, (first + (uint64_t)i) >> 1, out + i);
    if (i < n) {
        pair_of(key, hi, (first + (uint64_t)i) >> 1, pair);
        out[i] = pair[0];
    }
}

void pn_rng_uniform(uint64_t key, uint64_t hi, uint64_t first, int64_t n, double *out) { fill_pairs(uniform_pair, key, hi, first, n, out); }
void pn_rng_normal(uint64_t key, uint64_t hi, uint64_t first, int64_t n, double *out) { fill_pairs(normal_pair, key, hi, first, n, out); }

/* The upper 64 bits of the 128-bit product. */
static uint64_t multiply_high(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
    return (uint64_t)((unsigned __int128)a * b >> 64);
#else
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t low = al * bl, mid = ah * bl + (low >> 32), mid2 = al * bh + (uint32_t)mid;
    return ah * bh + (mid >> 32) + (mid2 >> 32);
#endif
}

uint64_t pn_rng_below(uint64_t key, uint64_t hi, uint64_t i, uint64_t bound) {
    uint64_t w[2];
    block64(key, hi, i >> 1, w);
    return multiply_high(w[i & 1], bound);
}

/* A partner for place i out of 0..i from one 32-bit word, exactly uniform (Lemire 2019): the few words that would favour some values are refused, and 64
 * bits from a part of the stream that is not used otherwise decide. */
static int64_t partner(uint64_t key, uint64_t epoch, uint64_t i, uint32_t word) {
    const uint64_t bound = i + 1, product = word * bound;
    if (bound <= UINT32_MAX && ((uint32_t)product >= bound || (uint32_t)product >= (UINT64_C(1) << 32) % bound)) return (int64_t)(product >> 32);
    return (int64_t)pn_rng_below(key, epoch, UINT64_C(1) << 63 | i, bound);
}

#define SHUFFLE_PIECE 0xffff /* places between two looks at the poll, 2^k - 1: a millisecond when idx is far larger than the cache */

/* The first touch of new memory costs far more than the number that is written. */
static bool count_up(int64_t n, int64_t *idx, pn_poll *poll) {
    for (int64_t i = 0; i < n; i++) {
        if ((i & SHUFFLE_PIECE) == SHUFFLE_PIECE && pn_poll_now(poll)) return false;
        idx[i] = i;
    }
    return true;
}

bool pn_rng_permutation(uint64_t key, uint64_t epoch, int64_t n, int64_t *idx, pn_poll *poll) {
    uint32_t word[4] = {0};
    if (!count_up(n, idx, poll)) return false;
    for (int64_t i = n - 1; i > 0; i--) { /* word i of the stream decides the partner of place i */
        if ((i & SHUFFLE_PIECE) == SHUFFLE_PIECE && pn_poll_now(poll)) return false;
        if (i == n - 1 || i % 4 == 3) pn_philox4x32(key, epoch, (uint64_t)i / 4, word);
        const int64_t j = partner(key, epoch, (uint64_t)i, word[i % 4]), t = idx[i];
        idx[i] = idx[j];
        idx[j] = t;
    }
    return true;
}

/* ---- xoshiro256++ ---- */
void pn_xoshiro_seed(pn_xoshiro *g, uint64_t seed) {
    for (int i = 0; i < 4; i++) g->s[i] = mix64(seed += 0x9E3779B97F4A7C15u);
}

static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

uint64_t pn_xoshiro_next(pn_xoshiro *g) {
    uint64_t *s = g->s, result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}
