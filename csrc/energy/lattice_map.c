/* Where the sites of a lattice stand in the bit strings of kernels/lattice_bits.h, and what is known of each place beforehand. */
#include "energy/lattice_bits.h"

#include <string.h>

#include "base/alloc.h"

/* One more bit set in a string. */
static void set_bit(uint64_t *string, int64_t f) { string[f >> 6] |= 1ull << (f & 63); }

static int parity_of_row(const pn_bits_map *b, int64_t row) { return (int)((row / b->inner + row % b->inner) & 1); }

bool pn_bits_takes(const pn_couplings *m) {
    if (!m->rank || m->field) return false;
    for (int a = 0; a < m->rank; a++) {
        if (m->periodic[a] && m->side[a] % 2) return false; /* no two colours */
    }
    return true;
}

static void measure_shape(pn_bits_map *b, const pn_couplings *m) {
    pn_bits_lattice *l = &b->l;
    l->axes = m->rank;
    b->side = m->side[m->rank - 1];
    b->inner = m->rank == 3 ? m->side[1] : 1;
    b->rows = m->n / b->side;
    l->width = (b->side + 1) / 2;
    l->bits = b->rows * l->width;
    l->words = (l->bits + 511) / 512;
    if (m->rank > 1) {
        l->slow = l->width * b->inner;
        l->slow_turn = l->bits - l->slow;
    }
    if (m->rank > 2) {
        l->middle = l->width;
        l->middle_turn = l->slow - l->width;
    }
    for (int a = 0; a < m->rank; a++) l->bordered = l->bordered || !m->periodic[a];
    l->negative = m->coupling < 0 ? ~0ull : 0;
    memset(l->tail, 0xff, sizeof l->tail);
    for (int64_t f = l->bits; f < 512 * l->words; f++) l->tail[f % 512 / 64] &= ~(1ull << f % 64);
    b->margin = (l->slow > l->width ? l->slow : l->width) / 512 + 3;
    /* the pattern of odd rows and ends repeats after two planes (rows, in two dimensions) */
    int64_t turn = 2 * (m->rank == 3 ? l->slow : l->width), common = 512;
    while (turn % common) common /= 2;
    l->period = turn / common < l->words ? turn / common : l->words;
}

/* ---- strings of each colour ---- */

typedef struct bit_strings {
    uint64_t *odd, *first, *last, *low, *high;
    uint64_t *sign[PN_BITS_SLOTS], *present[PN_BITS_SLOTS], *valid;
} bit_strings;

static void fill_patterns(const pn_bits_map *b, int colour, bit_strings *s) {
    const pn_bits_lattice *l = &b->l;
    for (int64_t f = 0; f < 512 * l->period; f++) {
        const int64_t row = f / l->width, k = f % l->width;
        if ((parity_of_row(b, row) + colour) & 1) set_bit(s->odd, f);
        if (k == 0) set_bit(s->first, f);
        if (k == l->width - 1) set_bit(s->last, f);
        if (row % b->inner == 0) set_bit(s->low, f);
        if (row % b->inner == b->inner - 1) set_bit(s->high, f);
    }
}

/* The bond of site i, with coordinate x along axis a, to the next site (up) or the one before. */
static void fill_bond(const pn_couplings *m, bit_strings *s, int slot, int64_t f, int64_t i, int a, bool up) {
    int64_t step = 1;
    for (int axis = m->rank - 1; axis > a; axis--) step *= m->side[axis];
    const int64_t x = i / step % m->side[a];
    const bool border = up ? x == m->side[a] - 1 : x == 0;
    const int64_t lower = up ? i : border ? i + (m->side[a] - 1) * step : i - step;
    const bool there = !border || m->periodic[a];
    if (there && s->present[0]) set_bit(s->present[slot], f);
    if (there && m->sign && m->sign[a * m->n + lower] < 0) set_bit(s->sign[slot], f);
}

static void fill_bonds(const pn_bits_map *b, const pn_couplings *m, int colour, bit_strings *s) {
    const pn_bits_lattice *l = &b->l;
    for (int64_t f = 0; f < l->bits; f++) {
        const int64_t row = f / l->width;
        const bool odd = (parity_of_row(b, row) + colour) & 1;
        const int64_t x = 2 * (f % l->width) + odd, i = row * b->side + x;
        if (x >= b->side) continue;
        if (s->valid) set_bit(s->valid, f);
        fill_bond(m, s, 0, f, i, m->rank - 1, !odd);
        fill_bond(m, s, 1, f, i, m->rank - 1, odd);
        for (int j = 2; j < 2 * m->rank; j++) fill_bond(m, s, j, f, i, j < 4 ? 0 : 1, j & 1);
    }
}

static uint64_t *take(uint64_t **left, int64_t words) {
    uint64_t *mine = *left;
    *left += 8 * words;
    return mine;
}

pn_status pn_bits_map_open(pn_bits_map *b, const pn_couplings *m, pn_error *e) {
    memset(b, 0, sizeof *b);
    measure_shape(b, m);
    const int64_t slots = 2 * m->rank, whole = b->l.words, strings = (m->sign ? slots : 0) + (b->l.bordered ? slots + 1 : 0);
    b->memory = pn_alloc_zero((size_t)(2 * (5 * b->l.period + strings * whole)) * 64);
    if (!b->memory) return pn_fail(e, PN_E_MEMORY, "no memory for a lattice of %lld spins", (long long)m->n);
    uint64_t *left = b->memory;
    for (int colour = 0; colour < 2; colour++) {
        bit_strings s = {.odd = take(&left, b->l.period)};
        pn_bits_colour *c = &b->l.colour[colour];
        c->odd = s.odd;
        c->first = s.first = take(&left, b->l.period);
        c->last = s.last = take(&left, b->l.period);
        c->low = s.low = take(&left, b->l.period);
        c->high = s.high = take(&left, b->l.period);
        for (int i = 0; i < slots; i++) {
            if (m->sign) c->sign[i] = s.sign[i] = take(&left, whole);
            if (b->l.bordered) c->present[i] = s.present[i] = take(&left, whole);
        }
        if (b->l.bordered) c->valid = s.valid = take(&left, whole);
        fill_patterns(b, colour, &s);
        if (m->sign || b->l.bordered) fill_bonds(b, m, colour, &s);
    }
    for (int a = 0; a < m->rank; a++) b->bonds += m->n / m->side[a] * (m->side[a] - !m->periodic[a]);
    return PN_OK;
}

void pn_bits_map_close(pn_bits_map *b) { pn_free(b->memory); }

int64_t pn_bits_string_words(const pn_bits_map *b) { return 8 * (b->l.words + 2 * b->margin); }

/* ---- spins ---- */

void pn_bits_pack(const pn_bits_map *b, const int8_t *spins, uint64_t *const colour[2]) {
    for (int j = 0; j < 2; j++) memset(colour[j], 0, (size_t)b->l.words * 64);
    for (int64_t row = 0; row < b->rows; row++) {
        const int parity = parity_of_row(b, row);
        for (int64_t x = 0; x < b->side; x++) {
            const int64_t f = row * b->l.width + x / 2;
            colour[(x & 1) ^ parity][f >> 6] |= (uint64_t)(spins[row * b->side + x] > 0) << (f & 63);
        }
    }
}

void pn_bits_unpack(const pn_bits_map *b, const uint64_t *const colour[2], int8_t *spins) {
    for (int64_t row = 0; row < b->rows; row++) {
        const int parity = parity_of_row(b, row);
        for (int64_t x = 0; x < b->side; x++) {
            const int64_t f = row * b->l.width + x / 2;
            spins[row * b->side + x] = (int8_t)(2 * (int)(colour[(x & 1) ^ parity][f >> 6] >> (f & 63) & 1) - 1);
        }
    }
}

int64_t pn_bits_sites(const pn_bits_map *b, int colour, int64_t begin, int64_t end) {
    const uint64_t *valid = b->l.colour[colour].valid;
    int64_t sum = 0;
    if (!valid) return (512 * end < b->l.bits ? 512 * end : b->l.bits) - 512 * begin;
    for (int64_t i = 8 * begin; i < 8 * end; i++) sum += __builtin_popcountll(valid[i]);
    return sum;
}
