/* The sweep of kernels/lattice_bits.h. Included once per instruction set.
 *
 * Words are taken in chunks. First the unsatisfied bonds of each site are added up bit by bit, which says what its flip costs. Then a random number is compared with the
 * probability of that cost, all sites of a word at once, by its BITS_KNOWN leading bits: only one site in 2^BITS_KNOWN stays open. The open sites of the words of
 * a chunk, which seldom coincide, are laid over each other and compared on together until all are decided; where two coincide there is a second layer, where three
 * do the word is decided alone. So probabilities are exact to 64 bits, for about seven random words to a word of spins. */
#ifndef PN_KERNELS_LATTICE_BITS_IMPL_H
#define PN_KERNELS_LATTICE_BITS_IMPL_H
#include "kernels/parts.h"
#include "kernels/tally.h"

#define BITS_KNOWN 6
#define BITS_CHUNK 8
#define BITS_CLASSES PN_BITS_LEVELS

/* Which variant of the sweep: constants after inlining. */
typedef struct bits_kind {
    int axes;
    bool bordered, heat_bath;
} bits_kind;

/* Costs |v| that need a random number: from `first` on in steps of `step`. */
P_INLINE int kind_step(bits_kind k) { return k.bordered ? 1 : 2; }
P_INLINE int kind_first(bits_kind k) { return k.heat_bath ? 0 : kind_step(k); }
P_INLINE int kind_classes(bits_kind k) { return (2 * k.axes - kind_first(k)) / kind_step(k) + 1; }

/* Where a part of a word stands: its first bit in the string, and its first lane in the patterns that repeat. */
typedef struct bits_place {
    int64_t at, pattern;
} bits_place;
P_INLINE bits_place place_of(const pn_bits_lattice *l, int64_t w, int p) {
    return (bits_place){512 * w + 8 * PART_BYTES * p, 8 * (w % l->period) + PART_LANES * p};
}

/* A part of bits, from bit `at` on, which may be negative (the margin). */
P_INLINE part bits_from(const uint64_t *string, int64_t at) {
    const char *p = (const char *)string + (at >> 3);
    const int shift = (int)(at & 7);
    const part low = part_load(p);
    return shift ? low >> shift | part_load(p + 8) << (64 - shift) : low;
}

/* ---- neighbours ---- */

P_INLINE part row_neighbour(const pn_bits_lattice *l, const pn_bits_colour *c, const uint64_t *other, bits_place q) {
    const int64_t at = q.at;
    const char *p = (const char *)(other + at / 64);
    const part here = part_load(p), right = here >> 1 | part_load(p + 8) << 63, left = here << 1 | part_load(p - 8) >> 63;
    const part after = part_select(part_load(c->last + q.pattern), bits_from(other, at + 1 - l->width), right);
    const part before = part_select(part_load(c->first + q.pattern), bits_from(other, at - 1 + l->width), left);
    return part_select(part_load(c->odd + q.pattern), after, before);
}

/* Along the slowest axis. Outside the string stand zeros, so that of the steps onward and around one or the other gives 0. */
P_INLINE part slow_neighbour(const pn_bits_lattice *l, const uint64_t *other, int64_t at, int64_t step) {
    part x = bits_from(other, at + step);
    if (step < 0 && at < -step) x |= bits_from(other, at + l->slow_turn);
    if (step > 0 && at + 8 * PART_BYTES + step > l->bits) x |= bits_from(other, at - l->slow_turn);
    return x;
}

/* x[slot] = the bonds that are not satisfied. */
P_INLINE void unsatisfied(part *x, bits_kind k, const pn_bits_lattice *l, const pn_bits_colour *c, part own, const uint64_t *other, bits_place q) {
    const int64_t at = q.at;
    own ^= part_of(l->negative);
    x[0] = own ^ part_load(other + at / 64);
    x[1] = own ^ row_neighbour(l, c, other, q);
    if (k.axes > 1) {
        x[2] = own ^ slow_neighbour(l, other, at, -l->slow);
        x[3] = own ^ slow_neighbour(l, other, at, l->slow);
    }
    if (k.axes > 2) {
        x[4] = own ^ part_select(part_load(c->low + q.pattern), bits_from(other, at + l->middle_turn), bits_from(other, at - l->middle));
        x[5] = own ^ part_select(part_load(c->high + q.pattern), bits_from(other, at - l->middle_turn), bits_from(other, at + l->middle));
    }
    if (c->sign[0]) {
        for (int i = 0; i < 2 * k.axes; i++) x[i] ^= part_load(c->sign[i] + at / 64);
    }
    if (k.bordered) {
        for (int i = 0; i < 2 * k.axes; i++) x[i] &= part_load(c->present[i] + at / 64);
    }
}

/* ---- what a flip costs ---- */

/* sum[0..2] = the bits of x[0] + ... + x[n - 1], n 2, 4 or 6 */
P_INLINE void count_up(part *sum, const part *x, int n) {
    const part zero = {0};
    part carry[2] = {x[0] & x[1], zero};
    sum[0] = x[0] ^ x[1];
    for (int i = 2; i < n; i += 2) {
        carry[1] = part_majority(sum[0], x[i], x[i + 1]);
        sum[0] ^= x[i] ^ x[i + 1];
        if (i == 2) {
            sum[1] = carry[0] ^ carry[1];
            sum[2] = carry[0] & carry[1];
        } else {
            sum[2] |= sum[1] & carry[1]; /* the sum is at most 6: no carry beyond */
            sum[1] ^= carry[1];
        }
    }
    if (n == 2) {
        sum[1] = carry[0];
        sum[2] = zero;
    }
}

/* Where the bits y[0..3] make this number. */
P_INLINE part equals(const part *y, int number) {
    part all = number & 1 ? y[0] : ~y[0];
    for (int i = 1; i < 4; i++) all &= number >> i & 1 ? y[i] : ~y[i];
    return all;
}

/* y[0..3] = the bits of 2 u + missing bonds, u unsatisfied ones; that is 2 axes - v. */
P_INLINE void shortfall(part *y, bits_kind k, const pn_bits_colour *c, const part *x, int64_t at) {
    const part zero = {0};
    y[0] = zero;
    count_up(y + 1, x, 2 * k.axes);
    if (k.bordered) {
        part missing[PN_BITS_SLOTS], m[3];
        for (int i = 0; i < 2 * k.axes; i++) missing[i] = ~part_load(c->present[i] + at / 64);
        count_up(m, missing, 2 * k.axes);
        const part carry = y[1] & m[1];
        y[0] = m[0];
        y[1] ^= m[1];
        y[3] ^= part_majority(y[2], m[2], carry); /* at most 12: no carry beyond */
        y[2] ^= m[2] ^ carry;
    }
}

/* cost[i]: sites whose |v| is that of class i; gain: those with v < 0. */
P_INLINE void classify(part *cost, part *gain, bits_kind k, const part *y) {
    const part zero = {0};
    *gain = zero;
    for (int i = 0; i < kind_classes(k); i++) {
        const int v = kind_first(k) + i * kind_step(k);
        cost[i] = equals(y, 2 * k.axes - v);
        if (k.heat_bath && v) {
            const part back = equals(y, 2 * k.axes + v);
            cost[i] |= back;
            *gain |= back;
        }
    }
}

/* ---- random numbers ---- */

typedef struct bits_draw {
    part_random random[PARTS];
    bool lazy;
    uint64_t p[BITS_CLASSES];             /* p of class 0; p of class i with the bits of p of class 0 turned */
    part known[BITS_KNOWN][BITS_CLASSES]; /* their leading bits, each as a part; the lowest of them first */
} bits_draw;

static void draw_begin(bits_draw *d, bits_kind k, const pn_bits_chances *chances, const pn_lanes *random) {
    for (int p = 0; p < PARTS; p++) d->random[p] = random_load(random, p);
    d->lazy = chances->lazy;
    for (int i = 0; i < kind_classes(k); i++) d->p[i] = chances->p[kind_first(k) + i * kind_step(k)] ^ (i ? d->p[0] : 0);
    for (int b = 0; b < BITS_KNOWN; b++) {
        for (int i = 0; i < kind_classes(k); i++) d->known[b][i] = part_of(-(d->p[i] >> (64 - BITS_KNOWN + b) & 1));
    }
}

/* Compares leading bits of random numbers with those of each site's probability: the sites below it are returned, the equal ones are in *open. */
P_INLINE part draw_known(const bits_draw *d, part_random *r, int classes, const part *cost, part *open) {
    part below = {0}, differs = {0};
    _Pragma("GCC unroll 8") for (int b = 0; b < BITS_KNOWN; b++) {
        part t = d->known[b][0];
        for (int i = 1; i < classes; i++) t ^= cost[i] & d->known[b][i];
        const part other = random_next(r) ^ t;
        below = part_select(other, t, below);
        differs |= other;
    }
    *open = ~differs;
    return below;
}

/* Open sites with the classes of their costs. */
typedef struct bits_layer {
    part open[PARTS], cost[BITS_CLASSES][PARTS];
} bits_layer;

/* The other bits, the highest first, until all open sites are decided: below = those that are. */
P_INLINE void draw_rest(bits_draw *d, int classes, const bits_layer *y, part *below) {
    part open[PARTS], some = {0};
    for (int p = 0; p < PARTS; p++) {
        below[p] = open[p] = y->open[p];
        below[p] ^= open[p];
        some |= open[p];
    }
    for (int b = 63 - BITS_KNOWN; b >= 0 && part_any(some); b--) {
        part bit[BITS_CLASSES];
        for (int i = 0; i < classes; i++) bit[i] = part_of(-(d->p[i] >> b & 1));
        some ^= some;
        for (int p = 0; p < PARTS; p++) {
            part t = bit[0];
            for (int i = 1; i < classes; i++) t ^= y->cost[i][p] & bit[i];
            const part other = (random_next(&d->random[p]) ^ t) & open[p];
            below[p] |= other & t;
            open[p] ^= other;
            some |= open[p];
        }
    }
}

/* ---- a chunk of words ---- */

typedef struct bits_chunk {
    bits_layer layer[2], rest[BITS_CHUNK]; /* open sites of all words; and of one word, those that found no room in the layers */
    part flips[PARTS][BITS_CHUNK], up[PARTS][BITS_CHUNK], bonds[PN_BITS_SLOTS][PARTS][BITS_CHUNK];
    part taken[2][PARTS][BITS_CHUNK]; /* the open sites that found room */
} bits_chunk;

/* Takes the open sites for which there is room, and returns them. */
P_INLINE part layer_take(bits_layer *y, int p, int classes, const part *cost, part open) {
    const part mine = open & ~y->open[p];
    y->open[p] |= open;
    for (int i = 1; i < classes; i++) y->cost[i][p] |= cost[i] & mine;
    return mine;
}

/* Proposes the sites of one part of word i: all are decided but those in layers and rest. */
P_INLINE void propose(bits_chunk *h, int i, int p, const bits_draw *d, part_random *r, bits_kind k, const part *x, const pn_bits_colour *c, int64_t at) {
    const int n = kind_classes(k);
    part y[4], cost[BITS_CLASSES], gain, open, some = {0};
    shortfall(y, k, c, x, at);
    classify(cost, &gain, k, y);
    for (int j = 0; j < n; j++) some |= cost[j];
    const part below = draw_known(d, r, n, cost, &open);
    h->flips[p][i] = k.heat_bath ? below ^ gain : below | ~some;
    open &= some;
    for (int j = 0; j < 2; j++) open ^= h->taken[j][p][i] = layer_take(&h->layer[j], p, n, cost, open);
    h->rest[i].open[p] = open;
    for (int j = 1; j < n; j++) h->rest[i].cost[j][p] = cost[j];
}

/* Bonds, costs and most decisions of n words. */
P_INLINE void chunk_begin(bits_chunk *h, const pn_bits_lattice *l, bits_kind k, const pn_bits_colour *c, const uint64_t *own, const uint64_t *other, int64_t w,
                          int n, bits_draw *d, bool count_bonds) {
    const part zero = {0};
    for (int p = 0; p < PARTS; p++) {
        part_random r;
        if (d) r = d->random[p];
        for (int j = 0; j < 2; j++) {
            h->layer[j].open[p] = zero;
            for (int i = 1; i < kind_classes(k); i++) h->layer[j].cost[i][p] = zero;
        }
        for (int i = 0; i < n; i++) {
            const bits_place q = place_of(l, w + i, p);
            part x[PN_BITS_SLOTS];
            unsatisfied(x, k, l, c, part_load(own + q.at / 64), other, q);
            for (int j = 0; count_bonds && j < 2 * k.axes; j++) h->bonds[j][p][i] = x[j];
            h->flips[p][i] = zero;
            if (d) propose(h, i, p, d, &r, k, x, c, q.at);
        }
        if (d) d->random[p] = r;
    }
}

/* The decisions that are left. */
P_INLINE void chunk_decide(bits_chunk *h, int n, bits_draw *d, int classes) {
    part below[PARTS];
    for (int j = 0; j < 2; j++) {
        draw_rest(d, classes, &h->layer[j], below);
        for (int p = 0; p < PARTS; p++) {
            for (int i = 0; i < n; i++) h->flips[p][i] ^= below[p] & h->taken[j][p][i];
        }
    }
    for (int i = 0; i < n; i++) {
        part some = {0};
        for (int p = 0; p < PARTS; p++) some |= h->rest[i].open[p];
        if (!part_any(some)) continue;
        draw_rest(d, classes, &h->rest[i], below);
        for (int p = 0; p < PARTS; p++) h->flips[p][i] ^= below[p];
    }
    for (int p = 0; d->lazy && p < PARTS; p++) {
        for (int i = 0; i < n; i++) h->flips[p][i] &= random_next(&d->random[p]);
    }
}

/* What the counts are made of: flips, spins afterwards, and bonds. */
typedef struct bits_tallies {
    tally flips, up, bonds;
} bits_tallies;

/* Turns the spins that flip, and counts. */
P_INLINE void chunk_end(bits_chunk *h, const pn_bits_lattice *l, bits_kind k, const pn_bits_colour *c, uint64_t *own, int64_t w, int n, bits_tallies *t,
                        bool count_bonds) {
    const part zero = {0};
    for (int p = 0; p < PARTS; p++) {
        for (int i = 0; i < n; i++) {
            const int64_t at = place_of(l, w + i, p).at / 64;
            part exists = ~zero;
            if (k.bordered)
                exists = part_load(c->valid + at);
            else if (w + i == l->words - 1)
                exists = part_load(l->tail + at % 8);
            const part flip = h->flips[p][i] & exists, now = part_load(own + at) ^ flip;
            part_store(own + at, now);
            h->up[p][i] = now;
            h->flips[p][i] = flip;
            for (int j = 0; count_bonds && j < 2 * k.axes; j++)
                h->bonds[j][p][i] = (h->bonds[j][p][i] ^ flip) & (k.bordered ? part_load(c->present[j] + at) : exists);
        }
        for (int i = n; i < BITS_CHUNK; i++) {
            h->up[p][i] = h->flips[p][i] = zero;
            for (int j = 0; count_bonds && j < 2 * k.axes; j++) h->bonds[j][p][i] = zero;
        }
        tally_add(&t->flips, h->flips[p]);
        tally_add(&t->up, h->up[p]);
        for (int j = 0; count_bonds && j < 2 * k.axes; j++) tally_add(&t->bonds, h->bonds[j][p]);
    }
}

P_INLINE void sweep_words(const pn_bits_lattice *l, int axes, bool bordered, bool heat_bath, int colour, uint64_t *own, const uint64_t *other, int64_t begin,
                          int64_t end, const pn_bits_chances *chances, pn_lanes *random, bool count_bonds, pn_bits_counts *counts) {
    const bits_kind k = {axes, bordered, heat_bath};
    const pn_bits_colour *c = &l->colour[colour];
    bits_draw d;
    bits_tallies t;
    bits_chunk h;
    tally_begin(&t.flips);
    tally_begin(&t.up);
    tally_begin(&t.bonds);
    if (chances) draw_begin(&d, k, chances, random);
    for (int64_t w = begin; w < end; w += BITS_CHUNK) {
        const int n = end - w < BITS_CHUNK ? (int)(end - w) : BITS_CHUNK;
        chunk_begin(&h, l, k, c, own, other, w, n, chances ? &d : NULL, count_bonds);
        if (chances) chunk_decide(&h, n, &d, kind_classes(k));
        chunk_end(&h, l, k, c, own, w, n, &t, count_bonds);
    }
    for (int p = 0; chances && p < PARTS; p++) random_store(random, p, &d.random[p]);
    counts->flips = tally_total(&t.flips);
    counts->up = tally_total(&t.up);
    if (count_bonds) counts->unsatisfied = tally_total(&t.bonds);
}

/* One function for each variant, and the table that finds it. */
#define BITS_SWEEP(axes, bordered, heat_bath)                                                                                                                  \
    static void bits_sweep_##axes##bordered##heat_bath(const pn_bits_lattice *l, int colour, uint64_t *own, const uint64_t *other, int64_t begin, int64_t end, \
                                                       const pn_bits_chances *chances, pn_lanes *random, bool count_bonds, pn_bits_counts *counts) {           \
        sweep_words(l, axes, bordered, heat_bath, colour, own, other, begin, end, chances, random, count_bonds, counts);                                       \
    }
#define BITS_SWEEPS(axes) BITS_SWEEP(axes, 0, 0) BITS_SWEEP(axes, 0, 1) BITS_SWEEP(axes, 1, 0) BITS_SWEEP(axes, 1, 1)
BITS_SWEEPS(1)
BITS_SWEEPS(2)
BITS_SWEEPS(3)

#define BITS_ROW(axes) {{bits_sweep_##axes##00, bits_sweep_##axes##01}, {bits_sweep_##axes##10, bits_sweep_##axes##11}}
static void lattice_bits(const pn_bits_lattice *l, int colour, uint64_t *own, const uint64_t *other, int64_t begin, int64_t end, const pn_bits_chances *chances,
                         pn_lanes *random, bool count_bonds, pn_bits_counts *counts) {
    static pn_bits_sweep *const sweeps[PN_BITS_AXES][2][2] = {BITS_ROW(1), BITS_ROW(2), BITS_ROW(3)};
    sweeps[l->axes - 1][l->bordered][chances && chances->heat_bath](l, colour, own, other, begin, end, chances, random, count_bonds, counts);
}
#endif
