/* Counting the bits that are set in many vectors (Harley and Seal): eight vectors at a time are added to counters whose bits stand in planes, and only
 * now and then a plane is counted. Included once per instruction set. */
#ifndef PN_KERNELS_TALLY_H
#define PN_KERNELS_TALLY_H
#include "kernels/parts.h"

#define TALLY_PLANES 6 /* each counter holds up to 63 */

typedef struct tally {
    part plane[TALLY_PLANES];
    int used; /* no counter is above this */
    int64_t total;
} tally;

P_INLINE void tally_begin(tally *t) {
    const part zero = {0};
    for (int i = 0; i < TALLY_PLANES; i++) t->plane[i] = zero;
    t->used = 0;
    t->total = 0;
}

/* How many bits of each byte are set. */
P_INLINE part byte_counts(part x) {
    x -= x >> 1 & part_of(0x5555555555555555);
    x = (x & part_of(0x3333333333333333)) + (x >> 2 & part_of(0x3333333333333333));
    return (x + (x >> 4)) & part_of(0x0F0F0F0F0F0F0F0F);
}

/* Sum of all bytes. */
P_INLINE int64_t byte_total(part x) {
    uint64_t lane[PART_LANES], sum = 0;
    x = (x & part_of(0x00FF00FF00FF00FF)) + (x >> 8 & part_of(0x00FF00FF00FF00FF));
    part_store(lane, x);
    for (int i = 0; i < PART_LANES; i++) sum += lane[i] * 0x0001000100010001 >> 48;
    return (int64_t)sum;
}

static void tally_empty(tally *t) {
    const part zero = {0};
    part low = zero, high = zero;
    for (int i = 0; i < 4; i++) low += byte_counts(t->plane[i]) << i;
    t->total += byte_total(low);
    if (t->used > 15) {
        for (int i = 4; i < TALLY_PLANES; i++) high += byte_counts(t->plane[i]) << (i - 4);
        t->total += 16 * byte_total(high);
    }
    for (int i = 0; i < TALLY_PLANES; i++) t->plane[i] = zero;
    t->used = 0;
}

/* sum and a and b together: sum keeps the low bit, the carry is returned. */
P_INLINE part tally_carry(part *sum, part a, part b) {
    const part carry = part_majority(*sum, a, b);
    *sum ^= a ^ b;
    return carry;
}

static __attribute__((noinline)) void tally_add(tally *t, const part *x) { /* eight of them */
    if (t->used + 8 > 63) tally_empty(t);
    part *p = t->plane, two[4], four[2];
    for (int i = 0; i < 4; i++) two[i] = tally_carry(&p[0], x[2 * i], x[2 * i + 1]);
    for (int i = 0; i < 2; i++) four[i] = tally_carry(&p[1], two[2 * i], two[2 * i + 1]);
    part carry = tally_carry(&p[2], four[0], four[1]);
    for (int i = 3; i < TALLY_PLANES; i++) {
        const part next = p[i] & carry;
        p[i] ^= carry;
        carry = next;
    }
    t->used += 8;
}

P_INLINE int64_t tally_total(tally *t) {
    tally_empty(t);
    return t->total;
}
#endif
