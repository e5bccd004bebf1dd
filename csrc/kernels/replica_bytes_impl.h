/* The sweep of kernels/replica_bytes.h. Included once per instruction set.
 *
 * Two random bytes of each replica are compared with the first two of the probability that its field has. Where they are equal, once in 65536 times, 48 more bits
 * decide: probabilities are exact to 64 bits. With one byte, every fifth spin of 64 replicas would need that, and a branch that nobody foresees costs more than all
 * the rest. */
#ifndef PN_KERNELS_REPLICA_BYTES_IMPL_H
#define PN_KERNELS_REPLICA_BYTES_IMPL_H
#include "kernels/parts.h"

#define BYTES_BLOCK 127 /* spins between two times that sums of bytes are taken over */

typedef int8_t octets __attribute__((vector_size(PART_BYTES)));
typedef int16_t pairs __attribute__((vector_size(PART_BYTES)));
P_INLINE octets octets_load(const int8_t *p, int at) { return (octets)part_load(p + at * PART_BYTES); }
P_INLINE octets octets_of(int x) { return (octets){0} + (int8_t)x; }

/* Sums of a block: flips, spins up afterwards, and energies in two halves: bytes 0, 2, ... and 1, 3, ... */
typedef struct bytes_block {
    octets flips[PARTS], up[PARTS];
    pairs change[PARTS][2];
} bytes_block;

/* A row of 32 bytes, in ROWS vectors, and its 64 halves of bytes: the low ones first, then the high ones. */
#define ROW_BYTES (PART_BYTES < 32 ? PART_BYTES : 32)
#define ROWS (32 / ROW_BYTES)
typedef uint64_t row __attribute__((vector_size(ROW_BYTES)));
typedef int8_t row_octets __attribute__((vector_size(ROW_BYTES)));

P_INLINE row row_load(const uint8_t *p) {
    row x;
    memcpy(&x, p, sizeof x);
    return x;
}
P_INLINE row_octets row_low(row x) { return (row_octets)(x & ((row){0} + 0x0F0F0F0F0F0F0F0F)); }
P_INLINE row_octets row_high(row x) { return row_low(x >> 4); }

/* 64 bytes from those of the low halves and those of the high ones, and back */
P_INLINE void join(octets *all, const row_octets *low, const row_octets *high) {
#if PN_VECTOR_BYTES == 64
    all[0] = (octets)_mm512_inserti64x4(_mm512_castsi256_si512((__m256i)low[0]), (__m256i)high[0], 1);
#else
    for (int r = 0; r < ROWS; r++) {
        all[r] = (octets)low[r];
        all[ROWS + r] = (octets)high[r];
    }
#endif
}
P_INLINE void row_store(uint8_t *p, const octets *all) {
#if PN_VECTOR_BYTES == 64
    const row x = (row)_mm512_castsi512_si256((__m512i)all[0]) | (row)_mm512_extracti64x4_epi64((__m512i)all[0], 1) << 4;
    memcpy(p, &x, sizeof x);
#else
    for (int r = 0; r < ROWS; r++) part_store(p + r * ROW_BYTES, (part)all[r] | (part)all[ROWS + r] << 4);
#endif
}

/* Adds the spins up among the neighbours from `to` on, eight at a time, or takes them off. */
P_INLINE void add_spins(row_octets *low, row_octets *high, const uint8_t *spins, const int32_t *to, const int32_t *end, bool minus) {
    for (; to < end; to += 8) {
        for (int r = 0; r < ROWS; r++) {
            row two[4];
            _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) two[i] =
                row_load(spins + to[2 * i] + r * ROW_BYTES) + row_load(spins + to[2 * i + 1] + r * ROW_BYTES);
            const row sum = (two[0] + two[1]) + (two[2] + two[3]);
            low[r] = minus ? low[r] - row_low(sum) : low[r] + row_low(sum);
            high[r] = minus ? high[r] - row_high(sum) : high[r] + row_high(sum);
        }
    }
}

/* field[p] = local fields of spin i */
P_INLINE void local_fields(octets *field, const pn_bytes_graph *g, const uint8_t *spins, int64_t i) {
    row_octets low[ROWS], high[ROWS];
    const int64_t *start = g->start + 2 * i;
    for (int r = 0; r < ROWS; r++) low[r] = high[r] = (row_octets){0};
    add_spins(low, high, spins, g->to + start[0], g->to + start[1], false);
    add_spins(low, high, spins, g->to + start[1], g->to + start[2], true);
    join(field, low, high);
    for (int p = 0; p < PARTS; p++) field[p] = field[p] + field[p] + octets_of(g->base[i]);
}

/* The first two bytes of each replica's probability. */
P_INLINE void leading_bytes(octets *chance, const pn_bytes_chances *c, octets size, int parity, int p) {
    octets bound = octets_of(parity);
    for (int b = 0; b < 2; b++) chance[b] = octets_load(c->leading[parity][0][b], p);
    for (int k = 1; k < c->levels; k++) {
        const part above = (part)(size > bound);
        for (int b = 0; b < 2; b++) chance[b] = (octets)part_select(above, (part)octets_load(c->leading[parity][k][b], p), (part)chance[b]);
        bound += octets_of(2);
    }
}

/* Generators, and numbers of 64 bits drawn from them in advance. */
typedef struct bytes_draw {
    part_random random[PARTS];
    uint64_t fresh[8];
    int used;
} bytes_draw;

/* Replicas whose random bytes are those of their probability: flip becomes what the rest of it says. size: |v|; all (64). */
static __attribute__((noinline)) void decide_ties(bytes_draw *d, const pn_bytes_chances *c, const octets *tie, const octets *size, octets *flip) {
    const int8_t *v = (const int8_t *)size;
    int8_t *turn = (int8_t *)flip;
    for (int at = 0; at < 64; at += 8) {
        uint64_t left;
        for (memcpy(&left, (const char *)tie + at, 8); left; left &= ~(255ull << (__builtin_ctzll(left) & 56))) {
            const int j = at + __builtin_ctzll(left) / 8;
            if (j >= c->replicas) return;
            if (d->used == 8) {
                for (int p = 0; p < PARTS; p++) part_store(d->fresh + p * PART_LANES, random_next(&d->random[p]));
                d->used = 0;
            }
            if (d->fresh[d->used++] >> 16 < (c->p[j * c->step + v[j]] & (~0ull >> 16))) turn[j] = (int8_t)~turn[j];
        }
    }
}

/* Proposes spin i. */
P_INLINE void propose_spin(const pn_bytes_graph *g, uint8_t *spins, int64_t i, bool heat_bath, const pn_bytes_chances *c, bytes_draw *d, bytes_block *b) {
    octets v[PARTS], flip[PARTS], tie[PARTS], size[PARTS];
    uint8_t *mine = spins + 32 * i;
    row_octets low[ROWS], high[ROWS];
    octets up[PARTS];
    const int parity = g->reach[i] & 1;
    part ties = {0};
    local_fields(v, g, spins, i);
    for (int r = 0; r < ROWS; r++) {
        low[r] = row_low(row_load(mine + r * ROW_BYTES));
        high[r] = row_high(row_load(mine + r * ROW_BYTES));
    }
    join(up, low, high);
    for (int p = 0; p < PARTS; p++) {
        const octets down = up[p] == octets_of(0);
        v[p] = (v[p] ^ down) - down;
        const octets gain = v[p] < octets_of(0);
        size[p] = heat_bath ? (v[p] ^ gain) - gain : v[p];
        const octets first = (octets)random_next(&d->random[p]), second = (octets)random_next(&d->random[p]);
        octets chance[2];
        leading_bytes(chance, c, size[p], parity, p);
        const octets even = first == chance[0], below = (first < chance[0]) | (even & (second < chance[1]));
        tie[p] = even & (second == chance[1]);
        if (heat_bath)
            flip[p] = below ^ gain;
        else {
            const octets free = v[p] <= octets_of(0);
            flip[p] = below | free;
            tie[p] &= ~free;
        }
        ties |= (part)tie[p];
    }
    if (part_any(ties)) decide_ties(d, c, tie, size, flip);
    for (int p = 0; p < PARTS; p++) {
        if (c->lazy) flip[p] &= (octets)random_next(&d->random[p]) < octets_of(0);
        up[p] ^= flip[p] & octets_of(1);
        const pairs change = (pairs)(flip[p] & v[p]);
        b->flips[p] -= flip[p];
        b->up[p] += up[p];
        b->change[p][0] += (pairs)((pairs)(change << 8) >> 8);
        b->change[p][1] += change >> 8;
    }
    row_store(mine, up);
}

static void block_end(const bytes_block *b, pn_bytes_counts *counts) {
    int8_t flips[64], up[64];
    int16_t change[PARTS][2][PART_BYTES / 2];
    memcpy(flips, b->flips, sizeof flips);
    memcpy(up, b->up, sizeof up);
    memcpy(change, b->change, sizeof change);
    for (int j = 0; j < 64; j++) {
        const int at = j % PART_BYTES;
        counts->flips[j] += flips[j];
        counts->up[j] += up[j];
        counts->change[j] += change[j / PART_BYTES][at % 2][at / 2];
    }
}

P_INLINE void sweep_bytes(const pn_bytes_graph *g, uint8_t *spins, int64_t begin, int64_t end, bool heat_bath, const pn_bytes_chances *c, pn_lanes *random,
                          pn_bytes_counts *counts) {
    bytes_draw d = {.used = 8};
    for (int p = 0; p < PARTS; p++) d.random[p] = random_load(random, p);
    for (int64_t first = begin; first < end; first += BYTES_BLOCK) {
        const int64_t last = first + BYTES_BLOCK < end ? first + BYTES_BLOCK : end;
        bytes_block b;
        memset(&b, 0, sizeof b);
        for (int64_t i = first; i < last; i++) propose_spin(g, spins, i, heat_bath, c, &d, &b);
        block_end(&b, counts);
    }
    for (int p = 0; p < PARTS; p++) random_store(random, p, &d.random[p]);
}

static void replica_bytes(const pn_bytes_graph *g, uint8_t *spins, int64_t begin, int64_t end, const pn_bytes_chances *c, pn_lanes *random,
                          pn_bytes_counts *counts) {
    if (c->heat_bath)
        sweep_bytes(g, spins, begin, end, true, c, random, counts);
    else
        sweep_bytes(g, spins, begin, end, false, c, random, counts);
}
#endif
