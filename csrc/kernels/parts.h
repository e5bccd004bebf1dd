/* Words of 512 bits in the registers that there are: a word is PARTS vectors. Compilers keep a vector of 64 bytes in memory when registers are narrower; kernels
 * whose words do not need each other go part by part instead. Every part has its own of the eight generators of pn_lanes, so the bits are the same on every level.
 * Included once per instruction set. */
#ifndef PN_KERNELS_PARTS_H
#define PN_KERNELS_PARTS_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/energy.h"

#define PART_BYTES (PN_VECTOR_BYTES > 16 ? PN_VECTOR_BYTES : 16)
#define PARTS (64 / PART_BYTES)
#define PART_LANES (8 / PARTS)

typedef uint64_t part __attribute__((vector_size(PART_BYTES)));
#define P_INLINE static inline __attribute__((always_inline, unused))

P_INLINE part part_load(const void *p) {
    part x;
    memcpy(&x, p, sizeof x);
    return x;
}
P_INLINE void part_store(void *p, part x) { memcpy(p, &x, sizeof x); }
P_INLINE part part_of(uint64_t x) { return x - (part){0}; } /* x in all lanes */
P_INLINE part part_select(part mask, part a, part b) { return b ^ (mask & (a ^ b)); }
P_INLINE part part_majority(part a, part b, part c) { return (a & b) | (c & (a | b)); }
P_INLINE part part_turn(part x, int k) { return x << k | x >> (64 - k); }
P_INLINE bool part_any(part x) { /* is any bit set? */
#if PN_VECTOR_BYTES == 64
    return _mm512_test_epi64_mask((__m512i)x, (__m512i)x) != 0;
#elif PN_VECTOR_BYTES == 32
    return !_mm256_testz_si256((__m256i)x, (__m256i)x);
#else
    return (x[0] | x[1]) != 0;
#endif
}

/* The generators of one part, in registers: see kernels/lanes.h. */
typedef struct part_random {
    part a, b, c, d;
} part_random;
P_INLINE part_random random_load(const pn_lanes *g, int at) {
    const int lane = at * PART_LANES;
    return (part_random){part_load(g->s[0] + lane), part_load(g->s[1] + lane), part_load(g->s[2] + lane), part_load(g->s[3] + lane)};
}
P_INLINE void random_store(pn_lanes *g, int at, const part_random *r) {
    const int lane = at * PART_LANES;
    part_store(g->s[0] + lane, r->a);
    part_store(g->s[1] + lane, r->b);
    part_store(g->s[2] + lane, r->c);
    part_store(g->s[3] + lane, r->d);
}
P_INLINE part random_next(part_random *r) {
    const part result = part_turn(r->a + r->d, 23) + r->a, t = r->b << 17;
    r->c ^= r->a;
    r->d ^= r->b;
    r->b ^= r->c;
    r->a ^= r->d;
    r->c ^= t;
    r->d = part_turn(r->d, 45);
    return result;
}
#endif
