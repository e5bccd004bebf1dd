/* Counting the bits that are set in many words of 512 (Harley and Seal): eight words at a time are added to counters whose bits stand in planes, and only
 * now and then a plane is counted. Included once per instruction set. */
#ifndef PN_KERNELS_TALLY_H
#define PN_KERNELS_TALLY_H
#include "kernels/lanes.h"

#define TALLY_PLANES 6 /* each of the 512 counters holds up to 63 */

typedef struct tally {
    pn_word plane[TALLY_PLANES];
    int used; /* no counter is above this */
    int64_t total;
} tally;

W_INLINE void tally_begin(tally *t) {
    const pn_word zero = {0};
    for (int i = 0; i < TALLY_PLANES; i++) t->plane[i] = zero;
    t->used = 0;
    t->total = 0;
}

/* How many bits of each byte are set. */
W_INLINE pn_word byte_counts(pn_word x) {
    x -= x >> 1 & word_of(0x5555555555555555);
    x = (x & word_of(0x3333333333333333)) + (x >> 2 & word_of(0x3333333333333333));
    return (x + (x >> 4)) & word_of(0x0F0F0F0F0F0F0F0F);
}

/* Sum of the 64 bytes. */
W_INLINE int64_t byte_total(pn_word x) {
    uint64_t part[8], sum = 0;
    x = (x & word_of(0x00FF00FF00FF00FF)) + (x >> 8 & word_of(0x00FF00FF00FF00FF));
    word_store(part, x);
    for (int i = 0; i < 8; i++) sum += part[i] * 0x0001000100010001 >> 48;
    return (int64_t)sum;
}

W_INLINE void tally_empty(tally *t) {
    const pn_word zero = {0};
    pn_word low = zero, high = zero;
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
W_INLINE pn_word tally_carry(pn_word *sum, pn_word a, pn_word b) {
    const pn_word carry = word_majority(*sum, a, b);
    *sum ^= a ^ b;
    return carry;
}

W_INLINE void tally_add(tally *t, const pn_word *x) { /* eight words */
    if (t->used + 8 > 63) tally_empty(t);
    pn_word *p = t->plane, two[4], four[2];
    for (int i = 0; i < 4; i++) two[i] = tally_carry(&p[0], x[2 * i], x[2 * i + 1]);
    for (int i = 0; i < 2; i++) four[i] = tally_carry(&p[1], two[2 * i], two[2 * i + 1]);
    pn_word carry = tally_carry(&p[2], four[0], four[1]);
    for (int i = 3; i < TALLY_PLANES; i++) {
        const pn_word next = p[i] & carry;
        p[i] ^= carry;
        carry = next;
    }
    t->used += 8;
}

W_INLINE int64_t tally_total(tally *t) {
    tally_empty(t);
    return t->total;
}
#endif
