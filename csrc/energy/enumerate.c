/* The walk through all states, and what is added up on the way. */
#include "energy/enumerate.h"

#include <math.h>

#include "base/team.h"
#include "kernels/kernels.h"

#define BLOCK (1 << PN_ENUMERATE_LOW)
#define POLL_BLOCKS 64

/* ---- making ---- */

/* x in units, when it is a whole multiple: whole tells. */
static double in_units(double x, double unit, bool *whole) {
    if (unit == 0) return x;
    const double k = nearbyint(x / unit);
    *whole = *whole && fabs(k * unit - x) <= 1e-12 * fabs(x) && fabs(k) <= PN_ENUMERATE_BINS;
    return k;
}

static void fill_table(pn_enumeration *w) {
    for (int c = 0; c < 1 << w->low; c++) {
        double sum = 0;
        for (int a = 0; a < w->low; a++) {
            for (int b = a + 1; b < w->low; b++) {
                const double bond = w->m[w->n - 1 - a][w->n - 1 - b];
                sum += ((c >> a ^ c >> b) & 1) ? bond : -bond;
            }
        }
        w->table[c] = sum;
    }
}

/* unit 0: none. False when something is not a whole multiple of it. */
static bool fill_couplings(pn_enumeration *w, const pn_couplings *m, double unit) {
    bool whole = true;
    for (int i = 0; i < w->n; i++) {
        pn_row row;
        pn_couplings_row(m, i, &row);
        for (int64_t k = 0; k < row.n; k++) w->m[i][row.to[k]] = in_units(row.weight[k], unit, &whole);
        w->h[i] = m->field ? in_units(m->field[i], unit, &whole) : 0;
        w->mirrored = w->mirrored && w->h[i] == 0;
        w->total += fabs(w->h[i]);
        for (int j = 0; j < i; j++) w->total += fabs(w->m[i][j]);
    }
    return whole;
}

pn_status pn_enumeration_make(pn_enumeration *w, const pn_couplings *m, double unit, pn_error *e) {
    if (m->n > PN_ENUMERATE_SPINS) return pn_fail(e, PN_E_VALUE, "enumeration takes at most %d spins, got %lld", PN_ENUMERATE_SPINS, (long long)m->n);
    if (!isfinite(unit) || unit < 0) return pn_fail(e, PN_E_VALUE, "the unit of the energies must be positive, or 0 for none, got %g", unit);
    *w = (pn_enumeration){.n = (int)m->n, .mirrored = true, .unit = unit > 0 ? unit : 1};
    if (!fill_couplings(w, m, unit)) return pn_fail(e, PN_E_VALUE, "not all couplings and fields are whole multiples of %g", unit);
    if (!(w->total < 1e300)) return pn_fail(e, PN_E_VALUE, "the couplings are too large: their sum is %g", w->total);
    w->bins = unit > 0 && w->total < PN_ENUMERATE_BINS ? (int64_t)w->total + 1 : 0;
    const int walked = w->n - w->mirrored;
    w->low = walked < PN_ENUMERATE_LOW ? walked : PN_ENUMERATE_LOW;
    const int64_t blocks = (int64_t)1 << (walked - w->low);
    w->parts = blocks < PN_ENUMERATE_PARTS ? (int)blocks : PN_ENUMERATE_PARTS;
    w->steps = blocks / w->parts;
    fill_table(w);
    return PN_OK;
}

/* ---- the walk ---- */

/* Where a part is: k = n - low spins before the block, the fields that they and h make. */
typedef struct place {
    const pn_enumeration *w;
    int k, part, ups;                                                /* ups: how many of the k are +1 */
    uint32_t code;                                                   /* of the first state of the block: its spins are all -1 */
    double s[PN_ENUMERATE_SPINS], field[PN_ENUMERATE_SPINS], energy; /* (k); (n); of the k spins alone */
    double *e;                                                       /* (2^low) energies of the block */
} place;

typedef struct walk walk;
struct walk {
    const pn_enumeration *w;
    const pn_enumerate_range *range;
    void (*visit)(const walk *k, const place *p);
    double *extent, *sums, *out, limit, ground, beta;
    int64_t *counts, *at, room;
    uint32_t *codes;
};

static void start_at(place *p, int64_t block) {
    const pn_enumeration *w = p->w;
    const int64_t gray = block ^ block >> 1;
    p->code = (uint32_t)(gray << w->low);
    p->energy = 0;
    p->ups = 0;
    for (int i = 0; i < p->k; i++) {
        p->s[i] = gray >> (p->k - 1 - i) & 1 ? 1 : -1;
        p->ups += p->s[i] > 0;
    }
    for (int i = 0; i < w->n; i++) {
        double sum = 0;
        for (int j = 0; j < p->k; j++) sum += w->m[i][j] * p->s[j];
        p->field[i] = sum + w->h[i];
        if (i < p->k) p->energy -= p->s[i] * (0.5 * sum + w->h[i]);
    }
}

static void flip(place *p, int bit) {
    const int i = p->k - 1 - bit;
    const double s = p->s[i];
    p->energy += 2 * s * p->field[i];
    for (int j = 0; j < p->w->n; j++) p->field[j] -= 2 * s * p->w->m[i][j];
    p->s[i] = -s;
    p->ups += s > 0 ? -1 : 1;
    p->code ^= (uint32_t)1 << (bit + p->w->low);
}

static void block_energies(const place *p) {
    const pn_enumeration *w = p->w;
    double *restrict e = p->e;
    double first = p->energy;
    for (int a = 0; a < w->low; a++) first += p->field[w->n - 1 - a];
    e[0] = first;
    for (int a = 0; a < w->low; a++) {
        const int half = 1 << a;
        const double change = 2 * p->field[w->n - 1 - a];
        for (int c = 0; c < half; c++) e[half + c] = e[c] - change;
    }
    for (int c = 0; c < 1 << w->low; c++) e[c] += w->table[c];
}

/* Steps of one part. A walk begins where it is computed anew, so that no number depends on where a slice begins. */
static void walk_part(const walk *k, place *p, const pn_member *member) {
    const pn_enumerate_range *r = k->range;
    const int64_t first = p->part * k->w->steps;
    for (int64_t i = r->from / PN_ENUMERATE_FRESH * PN_ENUMERATE_FRESH; i < r->to; i++) {
        const int64_t block = first + i;
        if (i % PN_ENUMERATE_FRESH == 0)
            start_at(p, block);
        else
            flip(p, __builtin_ctzll((unsigned long long)block));
        if (i < r->from) continue;
        block_energies(p);
        k->visit(k, p);
        if (i % POLL_BLOCKS == 0 && (member->index == 0 ? pn_poll_now(r->poll) : pn_poll_stopped(r->poll))) return;
    }
}

static void member_walks(void *context, pn_member *member) {
    const walk *k = context;
    _Alignas(64) double e[BLOCK];
    place p = {.w = k->w, .k = k->w->n - k->w->low, .e = e};
    int64_t lo, hi;
    pn_member_range(member, k->w->parts, &lo, &hi);
    for (int64_t part = lo; part < hi && !pn_poll_stopped(k->range->poll); part++) {
        p.part = (int)part;
        walk_part(k, &p, member);
    }
}

static pn_status run(walk *k, pn_error *e) {
    const pn_enumerate_range *r = k->range;
    if (r->from < 0 || r->to > k->w->steps || r->from > r->to)
        return pn_fail(e, PN_E_VALUE, "steps %lld to %lld: there are %lld", (long long)r->from, (long long)r->to, (long long)k->w->steps);
    pn_team_run(r->threads < k->w->parts ? r->threads : k->w->parts, r->poll, member_walks, k);
    return pn_poll_stopped(r->poll) ? pn_fail(e, PN_E_INTERRUPTED, "the enumeration was interrupted") : PN_OK;
}

/* ---- what is done with a block ---- */

static void visit_levels(const walk *k, const place *p) {
    const int size = 1 << k->w->low;
    double least = p->e[0], most = p->e[0];
    for (int c = 1; c < size; c++) {
        least = p->e[c] < least ? p->e[c] : least;
        most = p->e[c] > most ? p->e[c] : most;
    }
    double *extent = k->extent + 2 * p->part;
    extent[0] = fmin(extent[0], least);
    extent[1] = fmax(extent[1], most);
    if (!k->counts) return;
    int64_t *counts = k->counts + p->part * k->w->bins;
    const double lowest = -k->w->total;
    for (int c = 0; c < size; c++) counts[(int32_t)(0.5 * (p->e[c] - lowest))]++;
}

pn_status pn_enumerate_levels(double *extent, int64_t *counts, const pn_enumeration *w, const pn_enumerate_range *r, pn_error *e) {
    return run(&(walk){.w = w, .range = r, .visit = visit_levels, .extent = extent, .counts = w->bins ? counts : NULL}, e);
}

static void visit_below(const walk *k, const place *p) {
    int64_t at = k->at[p->part];
    for (int c = 0; c < 1 << k->w->low; c++) {
        if (p->e[c] > k->limit) continue;
        if (k->codes && at < k->room) k->codes[p->part * k->room + at] = p->code | (uint32_t)c;
        at++;
    }
    k->at[p->part] = at;
}

pn_status pn_enumerate_below(int64_t *at, uint32_t *codes, int64_t room, double limit, const pn_enumeration *w, const pn_enumerate_range *r, pn_error *e) {
    for (int i = 0; i < w->parts; i++) {
        if (at[i] < 0 || at[i] > (int64_t)1 << PN_ENUMERATE_SPINS) return pn_fail(e, PN_E_VALUE, "a part cannot have found %lld states", (long long)at[i]);
    }
    return run(&(walk){.w = w, .range = r, .visit = visit_below, .at = at, .codes = codes, .room = room, .limit = limit}, e);
}

static void visit_energies(const walk *k, const place *p) {
    const uint32_t last = (uint32_t)(((uint64_t)1 << k->w->n) - 1);
    for (uint32_t c = 0; c < 1u << k->w->low; c++) {
        k->out[p->code | c] = p->e[c];
        if (k->w->mirrored) k->out[last ^ (p->code | c)] = p->e[c];
    }
}

pn_status pn_enumerate_energies(double *out, const pn_enumeration *w, const pn_enumerate_range *r, pn_error *e) {
    return run(&(walk){.w = w, .range = r, .visit = visit_energies, .out = out}, e);
}

/* ---- weighted sums ---- */

int64_t pn_enumerate_sums_size(const pn_enumeration *w) {
    const int64_t k = w->n - w->low;
    return ((k + 1) << w->low) + k * w->low + k * k + k + 2;
}

/* Sums of x (2^low) with each spin of the block: signed[a] for the spin of digit a; x is used up. Returns the sum. */
static double fold(double *restrict x, int low, double *restrict signed_sum) {
    for (int a = low - 1; a >= 0; a--) {
        const int half = 1 << a;
        double sum[4] = {0};
        for (int c = 0; c < half; c++) {
            sum[c & 3] += x[half + c] - x[c];
            x[c] += x[half + c];
        }
        signed_sum[a] = sum[0] + sum[1] + (sum[2] + sum[3]);
    }
    return x[0];
}

static void add_pairs(const place *p, double *mixed, const double *signed_sum, double sum) {
    const int k = p->k, low = p->w->low;
    double *before = mixed + k * low, *first = before + k * k;
    for (int i = 0; i < k; i++) {
        const double s = p->s[i], weight = s * sum;
        for (int j = 0; j < low; j++) mixed[i * low + j] += s * signed_sum[low - 1 - j];
        for (int j = 0; j < k; j++) before[i * k + j] += weight * p->s[j];
        first[i] += weight;
    }
}

static void visit_weights(const walk *k, const place *p) {
    const pn_enumeration *w = k->w;
    const int size = 1 << w->low;
    _Alignas(64) double x[BLOCK];
    double signed_sum[PN_ENUMERATE_LOW], energy[4] = {0}, square[4] = {0};
    for (int c = 0; c < size; c++) {
        p->e[c] -= k->ground;
        x[c] = -k->beta * p->e[c];
    }
    pn_kernels_get()->d.act_forward[PN_ACT_exp](x, x, size, NULL);
    double *sums = k->sums + p->part * pn_enumerate_sums_size(w), *marginal = sums + ((int64_t)p->ups << w->low);
    for (int c = 0; c < size; c++) {
        const double part = x[c] * p->e[c];
        marginal[c] += x[c];
        energy[c & 3] += part;
        square[c & 3] += part * p->e[c];
    }
    double *mixed = sums + ((int64_t)(p->k + 1) << w->low), *moments = sums + pn_enumerate_sums_size(w) - 2;
    moments[0] += energy[0] + energy[1] + (energy[2] + energy[3]);
    moments[1] += square[0] + square[1] + (square[2] + square[3]);
    add_pairs(p, mixed, signed_sum, fold(x, w->low, signed_sum));
}

pn_status pn_enumerate_weights(double *sums, double ground, double beta, const pn_enumeration *w, const pn_enumerate_range *r, pn_error *e) {
    return run(&(walk){.w = w, .range = r, .visit = visit_weights, .sums = sums, .ground = ground, .beta = beta}, e);
}
