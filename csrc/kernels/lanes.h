/* Words of 512 bits and their random numbers, for the kernels of the energy models. Included once per instruction set.
 *
 * A word is a GNU vector of 64 bytes on every level: compilers cut it to the registers that there are. Operators work on all of its bits. */
#ifndef PN_KERNELS_LANES_H
#define PN_KERNELS_LANES_H
#include <string.h>

#include "kernels/energy.h"

typedef uint64_t pn_word __attribute__((vector_size(64)));
#define W_INLINE static inline __attribute__((always_inline, unused))

W_INLINE pn_word word_load(const void *p) {
    pn_word w;
    memcpy(&w, p, sizeof w);
    return w;
}
W_INLINE void word_store(void *p, pn_word w) { memcpy(p, &w, sizeof w); }
W_INLINE pn_word word_turn(pn_word x, int k) { return x << k | x >> (64 - k); }

/* The generators in registers: load once, draw often, store at the end. */
typedef struct lanes {
    pn_word a, b, c, d;
} lanes;
W_INLINE lanes lanes_load(const pn_lanes *g) { return (lanes){word_load(g->s[0]), word_load(g->s[1]), word_load(g->s[2]), word_load(g->s[3])}; }
W_INLINE void lanes_store(pn_lanes *g, const lanes *l) {
    word_store(g->s[0], l->a);
    word_store(g->s[1], l->b);
    word_store(g->s[2], l->c);
    word_store(g->s[3], l->d);
}
W_INLINE pn_word lanes_next(lanes *l) {
    const pn_word result = word_turn(l->a + l->d, 23) + l->a, t = l->b << 17;
    l->c ^= l->a;
    l->d ^= l->b;
    l->b ^= l->c;
    l->a ^= l->d;
    l->c ^= t;
    l->d = word_turn(l->d, 45);
    return result;
}

static void lanes_fill(pn_lanes *g, int64_t steps, uint64_t *out) {
    lanes l = lanes_load(g);
    for (int64_t i = 0; i < steps; i++) word_store(out + 8 * i, lanes_next(&l));
    lanes_store(g, &l);
}
#endif
