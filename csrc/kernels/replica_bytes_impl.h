/* The sweep of kernels/replica_bytes.h. Included once per instruction set.
 *
 * A random byte of each replica is compared with the first byte of the probability that its field has. Where they are equal, once in 256 times, a further random
 * number decides: probabilities are exact to 64 bits. */
#ifndef PN_KERNELS_REPLICA_BYTES_IMPL_H
#define PN_KERNELS_REPLICA_BYTES_IMPL_H
#include "kernels/parts.h"

#define BYTES_BLOCK 127 /* spins between two times that sums of bytes are taken over */

typedef int8_t octets __attribute__((vector_size(PART_BYTES)));
typedef int16_t pairs __attribute__((vector_size(PART_BYTES)));
P_INLINE octets octets_load(const int8_t *p, int at) { return (octets)part_load(p + at * PART_BYTES); }
P_INLINE octets octets_of(int x) { return (octets){0} + (int8_t)x; }

/* Sums of a block: flips, spins afterwards, and energies in two halves: bytes 0, 2, ... and 1, 3, ... */
typedef struct bytes_block {
    octets flips[PARTS], sum[PARTS];
    pairs change[PARTS][2];
} bytes_block;

/* field[p] = local fields of spin i */
P_INLINE void local_fields(octets *field, const pn_bytes_graph *g, const int8_t *spins, int64_t i) {
    octets more[PARTS];
    for (int p = 0; p < PARTS; p++) {
        field[p] = octets_of(g->field[i]);
        more[p] = octets_of(0);
    }
    const int32_t *to = g->to + g->start[2 * i], *minus = g->to + g->start[2 * i + 1], *end = g->to + g->start[2 * i + 2];
    for (; to + 1 < minus; to += 2) {
        for (int p = 0; p < PARTS; p++) {
            field[p] += octets_load(spins + 64 * (int64_t)to[0], p);
            more[p] += octets_load(spins + 64 * (int64_t)to[1], p);
        }
    }
    for (; to < minus; to++) {
        for (int p = 0; p < PARTS; p++) field[p] += octets_load(spins + 64 * (int64_t)*to, p);
    }
    for (; to + 1 < end; to += 2) {
        for (int p = 0; p < PARTS; p++) {
            field[p] -= octets_load(spins + 64 * (int64_t)to[0], p);
            more[p] -= octets_load(spins + 64 * (int64_t)to[1], p);
        }
    }
    for (; to < end; to++) {
        for (int p = 0; p < PARTS; p++) field[p] -= octets_load(spins + 64 * (int64_t)*to, p);
    }
    for (int p = 0; p < PARTS; p++) field[p] += more[p];
}

/* The first byte of each replica's probability. */
P_INLINE octets leading_bytes(const pn_bytes_chances *c, octets size, int parity, int levels, int p) {
    octets chance = octets_load(c->leading[parity][0], p), bound = octets_of(parity);
    for (int k = 1; k < levels; k++) {
        chance = (octets)part_select((part)(size > bound), part_load(c->leading[parity][k] + p * PART_BYTES), (part)chance);
        bound += octets_of(2);
    }
    return chance;
}

/* Replicas whose random byte is that of their probability: (flip) becomes what the rest of it says. size: |v|, byte: random; all (64). */
static __attribute__((noinline)) void decide_ties(const pn_bytes_chances *c, const int8_t *tie, const int8_t *size, const int8_t *byte, part_random *r,
                                                  int8_t *flip) {
    uint64_t fresh[8];
    int used = 8;
    for (int j = 0; j < 64; j++) {
        if (!tie[j]) continue;
        for (int p = 0; used == 8 && p < PARTS; p++) part_store(fresh + p * PART_LANES, random_next(&r[p]));
        used %= 8;
        const uint64_t u = (uint64_t)(uint8_t)(byte[j] ^ -128) << 56 | fresh[used++] >> 8;
        if (u < c->p[j * c->step + size[j]]) flip[j] = (int8_t)~flip[j];
    }
}

/* Proposes spin i. */
P_INLINE void propose_spin(const pn_bytes_graph *g, int8_t *spins, int64_t i, bool heat_bath, const pn_bytes_chances *c, part_random *r, bytes_block *b) {
    octets v[PARTS], flip[PARTS], tie[PARTS], size[PARTS], byte[PARTS];
    int8_t *mine = spins + 64 * i;
    const int parity = g->reach[i] & 1, own = g->reach[i] / 2 + 1, levels = own < c->levels[parity] ? own : c->levels[parity];
    part ties = {0};
    local_fields(v, g, spins, i);
    for (int p = 0; p < PARTS; p++) {
        const octets down = octets_load(mine, p) < octets_of(0);
        v[p] = (v[p] ^ down) - down;
        const octets gain = v[p] < octets_of(0);
        size[p] = heat_bath ? (v[p] ^ gain) - gain : v[p];
        byte[p] = (octets)random_next(&r[p]);
        const octets chance = leading_bytes(c, size[p], parity, levels, p);
        const octets below = byte[p] < chance;
        tie[p] = byte[p] == chance;
        if (heat_bath)
            flip[p] = below ^ gain;
        else {
            const octets free = v[p] <= octets_of(0);
            flip[p] = below | free;
            tie[p] &= ~free;
        }
        ties |= (part)tie[p];
    }
    if (part_any(ties)) decide_ties(c, (const int8_t *)tie, (const int8_t *)size, (const int8_t *)byte, r, (int8_t *)flip);
    for (int p = 0; p < PARTS; p++) {
        const octets now = octets_load(mine, p) ^ (flip[p] & octets_of(-2));
        const pairs change = (pairs)(flip[p] & v[p]);
        part_store(mine + p * PART_BYTES, (part)now);
        b->flips[p] -= flip[p];
        b->sum[p] += now;
        b->change[p][0] += (pairs)((pairs)(change << 8) >> 8);
        b->change[p][1] += change >> 8;
    }
}

static void block_end(const bytes_block *b, pn_bytes_counts *counts) {
    int8_t flips[64], sum[64];
    int16_t change[PARTS][2][PART_BYTES / 2];
    memcpy(flips, b->flips, sizeof flips);
    memcpy(sum, b->sum, sizeof sum);
    memcpy(change, b->change, sizeof change);
    for (int j = 0; j < 64; j++) {
        const int at = j % PART_BYTES;
        counts->flips[j] += flips[j];
        counts->sum[j] += sum[j];
        counts->change[j] += change[j / PART_BYTES][at % 2][at / 2];
    }
}

P_INLINE void sweep_bytes(const pn_bytes_graph *g, int8_t *spins, int64_t begin, int64_t end, bool heat_bath, const pn_bytes_chances *c, pn_lanes *random,
                          pn_bytes_counts *counts) {
    part_random r[PARTS];
    for (int p = 0; p < PARTS; p++) r[p] = random_load(random, p);
    for (int64_t first = begin; first < end; first += BYTES_BLOCK) {
        const int64_t last = first + BYTES_BLOCK < end ? first + BYTES_BLOCK : end;
        bytes_block b;
        memset(&b, 0, sizeof b);
        for (int64_t i = first; i < last; i++) propose_spin(g, spins, i, heat_bath, c, r, &b);
        block_end(&b, counts);
    }
    for (int p = 0; p < PARTS; p++) random_store(random, p, &r[p]);
}

static void replica_bytes(const pn_bytes_graph *g, int8_t *spins, int64_t begin, int64_t end, const pn_bytes_chances *c, pn_lanes *random,
                          pn_bytes_counts *counts) {
    if (c->heat_bath)
        sweep_bytes(g, spins, begin, end, true, c, random, counts);
    else
        sweep_bytes(g, spins, begin, end, false, c, random, counts);
}
#endif
