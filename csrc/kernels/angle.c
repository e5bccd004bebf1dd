/* Payne and Hanek, "Radian reduction for trigonometric functions", 1983: x = m 2^e with a 53-bit integer m, and of x 2/pi only what remains modulo 4 is
 * computed, as the product of m and 192 bits of 2/pi taken from the right place, modulo 2^192. */
#include "kernels/angle.h"

#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

/* 64 zeros, then the bits of 2/pi after the binary point. */
static const uint64_t two_over_pi[20] = {0,
                                         0xA2F9836E4E441529,
                                         0xFC2757D1F534DDC0,
                                         0xDB6295993C439041,
                                         0xFE5163ABDEBBC561,
                                         0xB7246E3A424DD2E0,
                                         0x06492EEA09D1921C,
                                         0xFE1DEB1CB129A73E,
                                         0xE88235F52EBB4484,
                                         0xE99C7026B45F7E41,
                                         0x3991D639835339F4,
                                         0x9C845F8BBDF9283B,
                                         0x1FF897FFDE05980F,
                                         0xEF2F118B5A0A6D1F,
                                         0x6D367ECF27CB09B7,
                                         0x4F463F669E5FEA2D,
                                         0x7527BAC7EBE5F17B,
                                         0x3D0739F78A5292EA,
                                         0x6BFB5FB11F8D5D08,
                                         0x56033046FC7B6BAB};

/* 64 bits from bit `at` of the table on */
static uint64_t bits_at(int at) {
    const uint64_t *word = two_over_pi + at / 64;
    const int shift = at % 64;
    return shift ? word[0] << shift | word[1] >> (64 - shift) : word[0];
}

/* a b as y + its rounding error, by halves of 26 bits (this file is compiled without contraction) */
static double product(double a, double b, double *error) {
    const double y = a * b, split = 0x1p27 + 1;
    const double a1 = a * split - (a * split - a), b1 = b * split - (b * split - b), a2 = a - a1, b2 = b - b1;
    *error = ((a1 * b1 - y) + a1 * b2 + a2 * b1) + a2 * b2;
    return y;
}

int pn_angle_reduce(double x, double *r, double *tail) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int exponent = (int)(bits >> 52 & 0x7FF);
    if (exponent == 0x7FF) {
        *r = *tail = x - x;
        return 0;
    }
    const uint64_t m = (bits & 0xFFFFFFFFFFFFF) | (uint64_t)1 << 52;
    const int at = exponent - 1075 - 2 + 64; /* bits before are multiples of 4 in the product */
    const wide low = (wide)m * bits_at(at + 128), middle = (wide)m * bits_at(at + 64) + (uint64_t)(low >> 64);
    const uint64_t p1 = (uint64_t)middle, p2 = m * bits_at(at) + (uint64_t)(middle >> 64); /* the product's upper 128 bits: two of integer, then fraction */
    int q = (int)(p2 >> 62) + (int)(p2 >> 61 & 1);                                         /* to the nearest integer */
    const int64_t f = (int64_t)(p2 << 2 | p1 >> 62);                                       /* the signed fraction, 2^-64 */
    const double high = (double)(f & ~(int64_t)0x7FF) * 0x1p-64;                           /* exact */
    const double rest = (double)(f & 0x7FF) * 0x1p-64 + (double)(p1 << 2) * 0x1p-128;
    const double turns = high + rest, turns_low = rest - (turns - high);
    double error, y = product(turns, 0x1.921fb54442d18p+0, &error); /* times pi/2 */
    error += turns * 0x1.1a62633145c07p-54 + turns_low * 0x1.921fb54442d18p+0;
    *r = y + error;
    *tail = error - (*r - y);
    if (bits >> 63) {
        *r = -*r;
        *tail = -*tail;
        q = -q;
    }
    return q & 3;
}
