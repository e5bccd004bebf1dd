/* The sweeps of fields.h in vectors of 16 spins of one replica, or of one spin of 16 replicas. Read once per instruction set, through base/real.h.
 *
 * Over spins: 16 of them are looked at at once. The first whose flip is accepted is flipped, which changes the fields of others, and those behind it are looked at again
 * with the random numbers that they have: exactly what one after the other does. With dense rows, the flips of a vector reach the other vectors together, when all are known. */
#if defined(PN_REAL_PASS)
#if !PN_DOUBLE

/* L of random words, see fields.h. A uniform number is (x + 1/2) / 2^31, x the upper 31 bits. The lecture draws the new value of a spin from -1 and +1, and the lowest bit
 * says whether that is the old value. */
W_INLINE V fields_chance(VU random, int rule) {
    const VI x = (VI)(random >> 1);
    const V u = V_from_int(x) + C(0.5);
    if (rule == PN_FIELDS_METROPOLIS) return -V_log_normal(u * C(0x1p-31));
    const V chance = V_log_normal((V_from_int(INT32_MAX - x) + C(0.5)) / u);
    if (rule == PN_FIELDS_GLAUBER) return chance;
    return V_select((VI)(random << 31) != 0, -C(0x1p120), V_max(chance, 0));
}

/* The largest s F, in units, whose flip is accepted. Thresholds that no field reaches are cut off. */
W_INLINE VI fields_threshold(V chance, V scale) { return V_to_int(V_min(C(0x1.fffffep30), V_max(C(-0x1.fffffep30), chance * scale))); }

#endif
#else
#ifndef PN_KERNELS_FIELDS_IMPL_H
#define PN_KERNELS_FIELDS_IMPL_H
#include "kernels/fields.h"
#include "kernels/lanes.h"

#define PN_REAL_FILE "kernels/fields_impl.h"
#include "base/real.h"

#define LANES PN_FIELDS_LANES
typedef int32_t pn_ints __attribute__((vector_size(64)));
typedef uint32_t pn_whole __attribute__((vector_size(64))); /* the same numbers where sums may wrap: lanes of nobody hold the largest ones */

W_INLINE pn_ints ints_load(const int32_t *p) {
    pn_ints v;
    memcpy(&v, p, sizeof v);
    return v;
}
W_INLINE void ints_store(int32_t *p, pn_ints v) { memcpy(p, &v, sizeof v); }
W_INLINE pn_ints ints_turned(pn_ints x, pn_ints turn) { return (pn_ints)((pn_whole)(x ^ turn) - (pn_whole)turn); } /* turn = -1: -x, turn = 0: x */

/* Bit l: a[l] <= b[l]. */
W_INLINE uint32_t ints_at_most(pn_ints a, pn_ints b) {
#if PN_VECTOR_BYTES == 64
    return _mm512_cmple_epi32_mask((__m512i)a, (__m512i)b);
#else
    const pn_ints m = a <= b;
    uint32_t bits = 0;
#if PN_VECTOR_BYTES == 32
    __m256 part[2];
    memcpy(part, &m, sizeof m);
    for (int i = 0; i < 2; i++) bits |= (uint32_t)_mm256_movemask_ps(part[i]) << (8 * i);
#elif PN_VECTOR_BYTES == 16 && defined(__x86_64__)
    __m128 part[4];
    memcpy(part, &m, sizeof m);
    for (int i = 0; i < 4; i++) bits |= (uint32_t)_mm_movemask_ps(part[i]) << (4 * i);
#else
    for (int l = 0; l < LANES; l++) bits |= (uint32_t)(m[l] & 1) << l;
#endif
    return bits;
#endif
}

W_INLINE void fields_chances(float *chance, pn_word random, int rule) {
    enum { N = sizeof(pn_vec_f) / sizeof(float) };
    uint32_t word[LANES];
    memcpy(word, &random, sizeof word);
    for (int i = 0; i < LANES; i += N) {
        pn_uvec_f part;
        memcpy(&part, word + i, sizeof part);
        pn_store_f(chance + i, fields_chance(part, rule));
    }
}

/* Thresholds of 16 lanes with random numbers of their own; scale (16): T / 2 in the unit of each. */
W_INLINE pn_ints fields_thresholds(pn_word random, const float *scale, float more, int rule) {
    enum { N = sizeof(pn_vec_f) / sizeof(float) };
    float chance[LANES];
    int32_t threshold[LANES];
    fields_chances(chance, random, rule);
    for (int i = 0; i < LANES; i += N) {
        const pn_ivec_f part = fields_threshold(pn_load_f(chance + i), pn_load_f(scale + i) * more);
        memcpy(threshold + i, &part, sizeof part);
    }
    return ints_load(threshold);
}

/* ---- over spins, dense rows ---- */

/* field (16 words) += the sum of `count` rows, each turned or not. */
W_INLINE void add_rows(int32_t *field, int64_t words, const int32_t *const *row, const int32_t *turn, int count) {
    uint32_t minus = 0; /* sums may pass the largest number on the way: they wrap */
    pn_whole turns[8];
    _Pragma("GCC unroll 8") for (int k = 0; k < count; k++) {
        turns[k] = (pn_whole){0} + (uint32_t)turn[k];
        minus += (uint32_t)turn[k];
    }
    for (int64_t j = 0; j < LANES * words; j += LANES) {
        pn_whole sum = (pn_whole)ints_load(field + j) - minus;
        _Pragma("GCC unroll 8") for (int k = 0; k < count; k++) sum += (pn_whole)ints_load(row[k] + j) ^ turns[k];
        ints_store(field + j, (pn_ints)sum);
    }
}
/* The flips of one word, a bit for each spin, change the fields of a replica; `turned` (16) are the spins before. */
static void spread_rows(int32_t *field, int64_t words, const int32_t *dense, const int32_t *turned, uint32_t flips) {
    const int32_t *rows[LANES + 1], *const *row = rows;
    int32_t turns[LANES + 1], *turn = turns;
    int count = 0;
    for (; flips; flips &= flips - 1, count++) {
        const int k = __builtin_ctz(flips);
        rows[count] = dense + k * LANES * words;
        turns[count] = ~turned[k]; /* a spin of +1 goes down: its row is taken away */
    }
    for (; count >= 4; count -= 4, row += 4, turn += 4) add_rows(field, words, row, turn, 4);
    if (count == 3) add_rows(field, words, row, turn, 3);
    if (count == 2) add_rows(field, words, row, turn, 2);
    if (count == 1) add_rows(field, words, row, turn, 1);
}

/* The same word of `count` replicas side by side, for each flip waits for the one before. s F of all 16 spins, by the spins as they were, is kept in a register; `own` (17, 16)
 * are the couplings among them, and a row of zeros for who has no flip left. */
W_INLINE int64_t dense_words(const pn_fields *f, lanes *l, int64_t w, int64_t r, int count) {
    const pn_ints bit = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    const int64_t stride = LANES * f->words, first = r * stride + LANES * w;
    const int32_t *own = f->own + w * LANES * (LANES + 1);
    int32_t *field = f->field + first, *turned = f->turned + first;
    pn_ints pull[4], up[4], threshold[4];
    uint32_t hits[4], flips[4] = {0}, any = 0;
    int64_t accepted = 0;
    _Pragma("GCC unroll 4") for (int q = 0; q < count; q++) {
        const pn_ints spins = ints_load(turned + q * stride);
        threshold[q] = fields_thresholds(lanes_next(l), f->unit + LANES * w, f->heat[r + q], f->rule);
        pull[q] = ints_turned(ints_load(field + q * stride), spins);
        up[q] = ~spins;
        hits[q] = ints_at_most(pull[q], threshold[q]);
        any |= hits[q];
    }
    while (any) {
        any = 0;
        _Pragma("GCC unroll 4") for (int q = 0; q < count; q++) {
            const int k = __builtin_ctz(hits[q] | 1u << LANES);
            const pn_ints turn = up[q] ^ ((pn_ints){0} + turned[q * stride + k]);
            pull[q] = (pn_ints)((pn_whole)pull[q] + (pn_whole)ints_turned(ints_load(own + LANES * k), turn));
            flips[q] |= 1u << k;
            hits[q] = ints_at_most(pull[q], threshold[q]) & (0xFFFEu << k);
            any |= hits[q];
        }
    }
    _Pragma("GCC unroll 4") for (int q = 0; q < count; q++) {
        const uint32_t done = flips[q] & 0xFFFF;
        if (!done) continue;
        int32_t *spins = turned + q * stride;
        spread_rows(field + q * stride - LANES * w, f->words, f->dense + LANES * w * stride, spins, done);
        ints_store(spins, ~up[q] ^ ((((pn_ints){0} + (int32_t)done) & bit) != 0));
        accepted += __builtin_popcount(done);
    }
    return accepted;
}

/* ---- over spins, neighbours in rows ---- */

W_INLINE void pull_neighbours(const pn_fields *f, int32_t *field, int64_t i, int32_t turn) {
    for (int64_t k = f->start[i]; k < f->start[i + 1]; k++)
        field[f->to[k]] = (int32_t)((uint32_t)field[f->to[k]] + (uint32_t)(f->pull[k] ^ turn) - (uint32_t)turn);
}
W_INLINE int sparse_word(const pn_fields *f, int32_t *field, int32_t *turned, int64_t w, pn_ints threshold) {
    const int64_t first = LANES * w;
    const pn_ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    int count = 0;
    pn_ints spins = ints_load(turned + first);
    uint32_t hits = ints_at_most(ints_turned(ints_load(field + first), spins), threshold);
    if (!hits) return 0;
    do {
        const int k = __builtin_ctz(hits);
        pull_neighbours(f, field, first + k, ~turned[first + k]);
        spins ^= lane == k;
        count++;
        hits = ints_at_most(ints_turned(ints_load(field + first), spins), threshold) & (0xFFFEu << k);
    } while (hits);
    ints_store(turned + first, spins);
    return count;
}

/* ---- sweeps ---- */

/* Every replica passes a word before the next word's turn comes: its rows stay in the cache. Lanes beyond the last spin have fields that no threshold reaches. */
static int64_t fields_dense(const pn_fields *f, pn_lanes *g, int64_t from, int64_t to) {
    lanes l = lanes_load(g);
    int64_t accepted = 0;
    for (int64_t w = from; w < to; w++) {
        int64_t r = 0;
        for (; r + 4 <= f->replicas; r += 4) accepted += dense_words(f, &l, w, r, 4);
        for (; r < f->replicas; r++) accepted += dense_words(f, &l, w, r, 1);
    }
    lanes_store(g, &l);
    return accepted;
}
static int64_t fields_sparse(const pn_fields *f, pn_lanes *g, int64_t from, int64_t to) {
    lanes l = lanes_load(g);
    int64_t accepted = 0;
    for (int64_t w = from; w < to; w++) {
        for (int64_t r = 0; r < f->replicas; r++) {
            int32_t *field = f->field + r * LANES * f->words, *turned = f->turned + r * LANES * f->words;
            accepted += sparse_word(f, field, turned, w, fields_thresholds(lanes_next(&l), f->unit + LANES * w, f->heat[r], f->rule));
        }
    }
    lanes_store(g, &l);
    return accepted;
}

static int64_t fields_replicas(const pn_fields *f, pn_lanes *g, int64_t from, int64_t to) {
    lanes l = lanes_load(g);
    pn_ints none = {0}, accepted = {0}; /* minus the count of each lane */
    for (int64_t l16 = 0; l16 < LANES; l16++) none[l16] = l16 < f->replicas ? -1 : 0;
    for (int64_t i = from; i < to; i++) {
        const pn_ints spin = ints_load(f->turned + LANES * i), threshold = fields_thresholds(lanes_next(&l), f->heat, f->unit[i], f->rule);
        const pn_ints hits = (ints_turned(ints_load(f->field + LANES * i), spin) <= threshold) & none;
        ints_store(f->turned + LANES * i, spin ^ hits);
        accepted += hits;
        for (int64_t k = f->start[i]; k < f->start[i + 1]; k++) {
            int32_t *field = f->field + LANES * f->to[k];
            const pn_whole change = (pn_whole)(ints_turned((pn_ints){0} + f->pull[k], ~spin) & hits);
            ints_store(field, (pn_ints)((pn_whole)ints_load(field) + change));
        }
    }
    lanes_store(g, &l);
    int64_t sum = 0;
    for (int l16 = 0; l16 < LANES; l16++) sum -= accepted[l16];
    return sum;
}

/* One replica: 16 proposals are drawn together, then made one after the other. */
W_INLINE int64_t random_proposals(const pn_fields *f, lanes *l, int64_t r, int64_t proposals, bool dense) {
    int32_t *field = f->field + r * LANES * f->words, *turned = f->turned + r * LANES * f->words;
    int64_t accepted = 0;
    for (int64_t t = 0; t < proposals; t += LANES) {
        uint32_t site[LANES];
        float chance[LANES];
        const pn_word sites = lanes_next(l);
        memcpy(site, &sites, sizeof site);
        fields_chances(chance, lanes_next(l), f->rule);
        for (int64_t k = 0; k < LANES && t + k < proposals; k++) {
            const int64_t i = (int64_t)((uint64_t)site[k] * (uint64_t)f->n >> 32);
            const int32_t turn = turned[i];
            if ((float)(int32_t)((uint32_t)(field[i] ^ turn) - (uint32_t)turn) > chance[k] * (f->heat[r] * f->unit[i])) continue;
            const int32_t *row = f->dense + (dense ? i * LANES * f->words : 0), away = ~turn;
            turned[i] = away;
            accepted++;
            if (dense)
                add_rows(field, f->words, &row, &away, 1);
            else
                pull_neighbours(f, field, i, away);
        }
    }
    return accepted;
}
static int64_t fields_random(const pn_fields *f, pn_lanes *g, int64_t proposals) {
    lanes l = lanes_load(g);
    int64_t accepted = 0;
    for (int64_t r = 0; r < f->replicas; r++) accepted += f->dense ? random_proposals(f, &l, r, proposals, true) : random_proposals(f, &l, r, proposals, false);
    lanes_store(g, &l);
    return accepted;
}
#undef LANES
#endif
#endif
