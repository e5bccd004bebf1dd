/* The sweep of kernels/lattice_bits.h. Included once per instruction set.
 *
 * A word goes three ways. First its unsatisfied bonds are added up bit by bit, which says for each site what a flip costs. Then a random number is compared with the
 * probability of that cost, for all 512 sites at once: bit by bit from the bit BITS_KNOWN - 1 up, so that a site whose leading bits are all equal stays open. That is
 * one site in 2^BITS_KNOWN. Third, the open sites of a whole chunk of words, which seldom coincide, are laid over each other and compared on together until all are
 * decided; where they do coincide there is a second layer, and at a third the word is decided alone. So probabilities are exact to 64 bits, for about seven random
 * words to a word of spins. */
#ifndef PN_KERNELS_LATTICE_BITS_IMPL_H
#define PN_KERNELS_LATTICE_BITS_IMPL_H
#include "kernels/lanes.h"
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
W_INLINE int kind_step(bits_kind k) { return k.bordered ? 1 : 2; }
W_INLINE int kind_first(bits_kind k) { return k.heat_bath ? 0 : kind_step(k); }
W_INLINE int kind_classes(bits_kind k) { return (2 * k.axes - kind_first(k)) / kind_step(k) + 1; }

/* The 512 bits from bit `at` on, which may be negative (the margin). */
W_INLINE pn_word bits_from(const uint64_t *string, int64_t at) {
    const char *p = (const char *)string + (at >> 3);
    const int shift = (int)(at & 7);
    const pn_word low = word_load(p);
    return shift ? low >> shift | word_load(p + 8) << (64 - shift) : low;
}

/* ---- neighbours ---- */

W_INLINE pn_word row_neighbour(const pn_bits_lattice *l, const pn_bits_colour *c, const uint64_t *other, int64_t w) {
    const int64_t at = 512 * w, m = 8 * (w % l->period);
    const char *p = (const char *)(other + 8 * w);
    const pn_word here = word_load(p), right = here >> 1 | word_load(p + 8) << 63, left = here << 1 | word_load(p - 8) >> 63;
    const pn_word after = word_select(word_load(c->last + m), bits_from(other, at + 1 - l->width), right);
    const pn_word before = word_select(word_load(c->first + m), bits_from(other, at - 1 + l->width), left);
    return word_select(word_load(c->odd + m), after, before);
}

/* Along the slowest axis. Outside the string stand zeros, so that of the steps onward and around one or the other gives 0. */
W_INLINE pn_word slow_neighbour(const pn_bits_lattice *l, const uint64_t *other, int64_t at, int64_t step) {
    pn_word x = bits_from(other, at + step);
    if (step < 0 && at < -step) x |= bits_from(other, at + l->slow_turn);
    if (step > 0 && at + 512 + step > l->bits) x |= bits_from(other, at - l->slow_turn);
    return x;
}

/* x[slot] = the bonds that are not satisfied. */
W_INLINE void unsatisfied(pn_word *x, bits_kind k, const pn_bits_lattice *l, const pn_bits_colour *c, pn_word own, const uint64_t *other, int64_t w) {
    const int64_t at = 512 * w, m = 8 * (w % l->period);
    own ^= word_of(l->negative);
    x[0] = own ^ word_load(other + 8 * w);
    x[1] = own ^ row_neighbour(l, c, other, w);
    if (k.axes > 1) {
        x[2] = own ^ slow_neighbour(l, other, at, -l->slow);
        x[3] = own ^ slow_neighbour(l, other, at, l->slow);
    }
    if (k.axes > 2) {
        x[4] = own ^ word_select(word_load(c->low + m), bits_from(other, at + l->middle_turn), bits_from(other, at - l->middle));
        x[5] = own ^ word_select(word_load(c->high + m), bits_from(other, at - l->middle_turn), bits_from(other, at + l->middle));
    }
    if (c->sign[0]) {
        for (int i = 0; i < 2 * k.axes; i++) x[i] ^= word_load(c->sign[i] + 8 * w);
    }
    if (k.bordered) {
        for (int i = 0; i < 2 * k.axes; i++) x[i] &= word_load(c->present[i] + 8 * w);
    }
}

/* ---- what a flip costs ---- */

/* sum[0..2] = the bits of x[0] + ... + x[n - 1], n 2, 4 or 6 */
W_INLINE void count_up(pn_word *sum, const pn_word *x, int n) {
    const pn_word zero = {0};
    pn_word carry[2] = {x[0] & x[1], zero};
    sum[0] = x[0] ^ x[1];
    for (int i = 2; i < n; i += 2) {
        carry[1] = word_majority(sum[0], x[i], x[i + 1]);
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
W_INLINE pn_word equals(const pn_word *y, int number) {
    pn_word all = number & 1 ? y[0] : ~y[0];
    for (int i = 1; i < 4; i++) all &= number >> i & 1 ? y[i] : ~y[i];
    return all;
}

/* y[0..3] = the bits of 2 u + missing bonds, u unsatisfied ones; that is 2 axes - v. */
W_INLINE void shortfall(pn_word *y, bits_kind k, const pn_bits_colour *c, const pn_word *x, int64_t w) {
    const pn_word zero = {0};
    y[0] = zero;
    count_up(y + 1, x, 2 * k.axes);
    if (k.bordered) {
        pn_word missing[PN_BITS_SLOTS], m[3];
        for (int i = 0; i < 2 * k.axes; i++) missing[i] = ~word_load(c->present[i] + 8 * w);
        count_up(m, missing, 2 * k.axes);
        const pn_word carry = y[1] & m[1];
        y[0] = m[0];
        y[1] ^= m[1];
        y[3] ^= word_majority(y[2], m[2], carry); /* at most 12: no carry beyond */
        y[2] ^= m[2] ^ carry;
    }
}

/* cost[i]: sites whose |v| is that of class i; gain: those with v < 0. */
W_INLINE void classify(pn_word *cost, pn_word *gain, bits_kind k, const pn_word *y) {
    const pn_word zero = {0};
    *gain = zero;
    for (int i = 0; i < kind_classes(k); i++) {
        const int v = kind_first(k) + i * kind_step(k);
        cost[i] = equals(y, 2 * k.axes - v);
        if (k.heat_bath && v) {
            const pn_word back = equals(y, 2 * k.axes + v);
            cost[i] |= back;
            *gain |= back;
        }
    }
}

/* ---- random numbers ---- */

typedef struct bits_draw {
    lanes random;
    uint64_t p[BITS_CLASSES];                 /* by class */
    uint64_t known[BITS_KNOWN][BITS_CLASSES]; /* their leading bits, each as a word: p[0], and p[i] ^ p[0]; the lowest first */
} bits_draw;

static void draw_begin(bits_draw *d, bits_kind k, const pn_bits_chances *chances, const pn_lanes *random) {
    d->random = lanes_load(random);
    for (int i = 0; i < kind_classes(k); i++) d->p[i] = chances->p[kind_first(k) + i * kind_step(k)];
    for (int b = 0; b < BITS_KNOWN; b++) {
        for (int i = 0; i < kind_classes(k); i++) d->known[b][i] = -((d->p[i] ^ (i ? d->p[0] : 0)) >> (64 - BITS_KNOWN + b) & 1);
    }
}

/* One bit of each site's probability: site by site that of its class. */
W_INLINE pn_word pick(const uint64_t *bit, const pn_word *cost, int n) {
    pn_word t = word_of(bit[0]);
    for (int i = 1; i < n; i++) t ^= cost[i] & word_of(bit[i]);
    return t;
}

/* Compares leading bits: the sites below their probability are returned, the equal ones are in *open. */
W_INLINE pn_word draw_known(bits_draw *d, bits_kind k, const pn_word *cost, pn_word *open) {
    pn_word below = {0}, equal = ~below;
    _Pragma("GCC unroll 8") for (int b = 0; b < BITS_KNOWN; b++) {
        const pn_word u = lanes_next(&d->random), t = pick(d->known[b], cost, kind_classes(k));
        below = word_majority(t, ~u, below);
        equal &= ~(u ^ t);
    }
    *open = equal;
    return below;
}

/* The other bits, the highest first, until all of the open sites are decided: those that are below. */
static pn_word draw_rest(bits_draw *d, bits_kind k, const pn_word *cost, pn_word open) {
    pn_word below = {0};
    for (int b = 63 - BITS_KNOWN; b >= 0 && word_any(open); b--) {
        uint64_t bit[BITS_CLASSES];
        for (int i = 0; i < kind_classes(k); i++) bit[i] = -((d->p[i] ^ (i ? d->p[0] : 0)) >> b & 1);
        const pn_word u = lanes_next(&d->random), t = pick(bit, cost, kind_classes(k));
        below |= open & t & ~u;
        open &= ~(u ^ t);
    }
    return below;
}

/* ---- a chunk of words ---- */

/* Open sites of several words laid over each other, with their classes. */
typedef struct bits_layer {
    pn_word open, cost[BITS_CLASSES];
} bits_layer;

/* Takes the open sites for which there is room, and returns them. */
W_INLINE pn_word layer_take(bits_layer *y, const pn_word *cost, pn_word open, int n) {
    const pn_word mine = open & ~y->open;
    y->open |= open;
    for (int i = 1; i < n; i++) y->cost[i] |= cost[i] & mine;
    return mine;
}

typedef struct bits_chunk {
    bits_layer layer[2];
    pn_word flips[BITS_CHUNK], open[BITS_CHUNK][2]; /* decided so far; sites in each layer */
    pn_word bonds[PN_BITS_SLOTS][BITS_CHUNK];       /* unsatisfied ones, when they are to be counted */
} bits_chunk;

/* Proposes the sites of word w: all are decided but those in the layers. */
W_INLINE void propose(bits_chunk *h, int i, bits_draw *d, bits_kind k, const pn_word *x, const pn_bits_colour *c, int64_t w) {
    const int n = kind_classes(k);
    pn_word y[4], cost[BITS_CLASSES], gain, open, some = {0};
    shortfall(y, k, c, x, w);
    classify(cost, &gain, k, y);
    for (int j = 0; j < n; j++) some |= cost[j];
    pn_word flip = draw_known(d, k, cost, &open);
    open &= some;
    flip = k.heat_bath ? flip ^ gain : flip | ~some;
    h->open[i][0] = layer_take(&h->layer[0], cost, open, n);
    open &= ~h->open[i][0];
    h->open[i][1] = layer_take(&h->layer[1], cost, open, n);
    open &= ~h->open[i][1];
    if (word_any(open)) flip ^= draw_rest(d, k, cost, open);
    h->flips[i] = flip;
}

/* What the counts are made of: flips, spins afterwards, and bonds. */
typedef struct bits_tallies {
    tally flips, up, bonds;
} bits_tallies;

/* Turns the spins that flip, and counts. */
W_INLINE void chunk_end(const pn_bits_lattice *l, bits_kind k, const pn_bits_colour *c, uint64_t *own, int64_t w, int n, bits_chunk *h, const pn_word *drawn,
                        bits_tallies *t, bool count_bonds) {
    const pn_word zero = {0};
    pn_word now[BITS_CHUNK];
    for (int i = 0; i < BITS_CHUNK; i++) now[i] = zero;
    for (int i = 0; i < n; i++) {
        pn_word exists = ~zero;
        if (c->valid)
            exists = word_load(c->valid + 8 * (w + i));
        else if (w + i == l->words - 1)
            exists = word_load(l->tail);
        const pn_word flip = (h->flips[i] ^ (h->open[i][0] & drawn[0]) ^ (h->open[i][1] & drawn[1])) & exists;
        now[i] = word_load(own + 8 * (w + i)) ^ flip;
        word_store(own + 8 * (w + i), now[i]);
        h->flips[i] = flip;
        for (int j = 0; count_bonds && j < 2 * k.axes; j++)
            h->bonds[j][i] = (h->bonds[j][i] ^ flip) & (k.bordered ? word_load(c->present[j] + 8 * (w + i)) : exists);
    }
    for (int i = n; i < BITS_CHUNK; i++) {
        h->flips[i] = zero;
        for (int j = 0; count_bonds && j < 2 * k.axes; j++) h->bonds[j][i] = zero;
    }
    tally_add(&t->flips, h->flips);
    tally_add(&t->up, now);
    for (int j = 0; count_bonds && j < 2 * k.axes; j++) tally_add(&t->bonds, h->bonds[j]);
}

/* d NULL: nothing flips. */
W_INLINE void sweep_chunk(const pn_bits_lattice *l, bits_kind k, const pn_bits_colour *c, uint64_t *own, const uint64_t *other, int64_t w, int n, bits_draw *d,
                          bits_tallies *t, bool count_bonds) {
    const pn_word zero = {0};
    pn_word drawn[2] = {zero, zero};
    bits_chunk h;
    for (int j = 0; j < 2; j++) {
        h.layer[j].open = zero;
        for (int i = 0; i < kind_classes(k); i++) h.layer[j].cost[i] = zero;
    }
    for (int i = 0; i < n; i++) {
        pn_word x[PN_BITS_SLOTS];
        unsatisfied(x, k, l, c, word_load(own + 8 * (w + i)), other, w + i);
        for (int j = 0; count_bonds && j < 2 * k.axes; j++) h.bonds[j][i] = x[j];
        if (d)
            propose(&h, i, d, k, x, c, w + i);
        else
            h.flips[i] = h.open[i][0] = h.open[i][1] = zero;
    }
    for (int j = 0; d && j < 2; j++) drawn[j] = draw_rest(d, k, h.layer[j].cost, h.layer[j].open);
    chunk_end(l, k, c, own, w, n, &h, drawn, t, count_bonds);
}

W_INLINE void sweep_words(const pn_bits_lattice *l, int axes, bool bordered, bool heat_bath, int colour, uint64_t *own, const uint64_t *other, int64_t begin,
                          int64_t end, const pn_bits_chances *chances, pn_lanes *random, bool count_bonds, pn_bits_counts *counts) {
    const bits_kind k = {axes, bordered, heat_bath};
    const pn_bits_colour *c = &l->colour[colour];
    bits_draw d;
    bits_tallies t;
    tally_begin(&t.flips);
    tally_begin(&t.up);
    tally_begin(&t.bonds);
    if (chances) draw_begin(&d, k, chances, random);
    for (int64_t w = begin; w < end; w += BITS_CHUNK) {
        const int n = end - w < BITS_CHUNK ? (int)(end - w) : BITS_CHUNK;
        sweep_chunk(l, k, c, own, other, w, n, chances ? &d : NULL, &t, count_bonds);
    }
    if (chances) lanes_store(random, &d.random);
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
