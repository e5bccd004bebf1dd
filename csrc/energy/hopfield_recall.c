/* Recall: sweeps over the neurons of many states, shared by threads state by state.
 *
 * One after the other, each neuron looks at its local field. With a dense K the fields of all neurons are kept and a flip adds a row of K to them; with
 * patterns the overlaps are kept, a field is one dot product with them, and a flip adds a column. The random numbers of sweep t of row r come from a stream
 * (r, t) of their own, so rows may be shared and sweeps may be cut as one likes. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "energy/energy.h"
#include "energy/hopfield_parts.h"

/* What one member works with. */
typedef struct walk {
    const pn_recall *r;
    const pn_hopfield *net;
    pn_member *m;
    double *h;      /* (PN_HOPFIELD_BLOCK, n) fields of dense nets; chances */
    int16_t *o;     /* (padded) overlaps */
    int8_t *next;   /* (n) the state that a synchronous step makes */
    int32_t *order; /* (n) */
    double *chance; /* (n) of +1, sync at T > 0 */
    void *room;     /* of pn_hopfield_fields */
    pn_xoshiro random;
} walk;

static int8_t *state_of(const walk *w, int64_t row) { return w->r->state + row * w->net->n; }
static int64_t width(const pn_recall *r) { return r->first + r->steps + 1; }

static void start_sweep(walk *w, int64_t row, int64_t t) {
    const pn_recall *r = w->r;
    if (r->random || r->temperature > 0) pn_xoshiro_seed(&w->random, pn_energy_seed(pn_energy_seed(r->seed, (uint64_t)(r->row_zero + row)), (uint64_t)t));
}

/* The state of step t, and its energy, go into the record. */
static void note(const walk *w, int64_t row, int64_t t, double energy) {
    const pn_recall *r = w->r;
    if (r->energy) r->energy[row * width(r) + t] = energy;
    if (r->trace) memcpy(r->trace + (row * width(r) + t) * w->net->n, state_of(w, row), (size_t)w->net->n);
}

/* What a neuron with field h becomes. slack: what counts as 0. */
static inline int8_t decide(walk *w, double h, double slack, int8_t now) {
    if (w->r->temperature > 0) {
        double x = 2 * h / w->net->divisor / w->r->temperature;
        pn_chances(&x, 1);
        return pn_xoshiro_unit(&w->random) < x ? 1 : -1;
    }
    return h > slack ? 1 : h < -slack ? -1 : w->r->plus ? 1 : now;
}

/* ---- one neuron after the other ---- */

/* One sweep; true when a neuron changed. *energy follows the flips: where all of them go down, so does their sum. */
static bool sweep_dense(walk *w, int8_t *s, double *h, double *energy) {
    const pn_hopfield *net = w->net;
    bool changed = false;
    for (int64_t a = 0; a < net->n; a++) {
        if (a % PN_HOPFIELD_PIECE == 0 && pn_walk_stopped(w->m)) return true;
        const int32_t i = w->order[a];
        const int8_t now = s[i], next = decide(w, h[i], net->slack[i], now);
        if (next == now) continue;
        const double change = 2 * now * h[i];
        *energy += w->r->temperature > 0 || change < 0 ? change / net->divisor : 0;
        s[i] = next;
        pn_kernels_get()->d.scale(h, net->k + i * net->n, 2 * next, net->n, true);
        changed = true;
    }
    return changed;
}

static bool sweep_patterns(walk *w, int8_t *s) {
    const pn_hopfield *net = w->net;
    bool changed = false;
    for (int64_t a = 0; a < net->n; a++) {
        if (a % PN_HOPFIELD_PIECE == 0 && pn_walk_stopped(w->m)) return true;
        const int32_t i = w->order[a];
        const int8_t now = s[i], next = decide(w, pn_overlap_field(net, w->o, s, i), 0, now);
        if (next == now) continue;
        s[i] = next;
        pn_overlap_push(w->o, net->columns + i * net->padded, (int16_t)(2 * next), net->padded);
        changed = true;
    }
    return changed;
}

static double energy_of_fields(const walk *w, const int8_t *s, const double *h) {
    double sum = 0;
    for (int64_t i = 0; i < w->net->n; i++) sum += h[i] * s[i];
    return -0.5 * sum / w->net->divisor;
}

/* All steps of one row; h: its fields, of a dense net. */
static void walk_row(walk *w, int64_t row, double *h) {
    const pn_recall *r = w->r;
    int8_t *s = state_of(w, row);
    double energy = 0;
    if (!h) pn_overlaps(w->net, s, w->o);
    if (h && r->energy) energy = r->first ? r->energy[row * width(r) + r->first] : energy_of_fields(w, s, h);
    if (r->first == 0) note(w, row, 0, h ? energy : pn_overlap_energy(w->net, w->o) / w->net->divisor);
    for (int64_t t = r->first; t < r->first + r->steps; t++) {
        start_sweep(w, row, t);
        pn_order_draw(w->order, w->net->n, r->random ? &w->random : NULL);
        const bool changed = h ? sweep_dense(w, s, h, &energy) : sweep_patterns(w, s);
        if (pn_poll_stopped(w->m->poll)) return;
        note(w, row, t + 1, h ? energy : pn_overlap_energy(w->net, w->o) / w->net->divisor);
        r->taken[row] = t + 1;
        if (!changed && r->temperature == 0) {
            r->cycle[row] = 1;
            return;
        }
    }
}

/* ---- all at once ---- */

/* next = what all neurons become, given fields (n) or overlaps */
static void step_at_once(walk *w, const int8_t *s, const double *h) {
    const pn_hopfield *net = w->net;
    if (w->r->temperature == 0) {
        for (int64_t i = 0; i < net->n; i++) w->next[i] = decide(w, h ? h[i] : pn_overlap_field(net, w->o, s, i), h ? net->slack[i] : 0, s[i]);
        return;
    }
    for (int64_t i = 0; i < net->n; i++) w->chance[i] = 2 * (h ? h[i] : pn_overlap_field(net, w->o, s, i)) / net->divisor / w->r->temperature;
    pn_chances(w->chance, net->n);
    for (int64_t i = 0; i < net->n; i++) w->next[i] = pn_xoshiro_unit(&w->random) < w->chance[i] ? 1 : -1;
}

/* One step of one row from its fields or overlaps. */
static void advance(walk *w, int64_t row, int64_t t, const double *h) {
    const pn_recall *r = w->r;
    const size_t n = (size_t)w->net->n;
    int8_t *s = state_of(w, row), *before = r->before + row * w->net->n;
    start_sweep(w, row, t);
    step_at_once(w, s, h);
    if (r->temperature == 0) r->cycle[row] = !memcmp(w->next, s, n) ? 1 : t > 0 && !memcmp(w->next, before, n) ? 2 : 0;
    memcpy(before, s, n);
    memcpy(s, w->next, n);
    r->taken[row] = t + 1;
}

/* The overlaps of the row, the record of step t if it is not there yet. */
static void look(walk *w, int64_t row, int64_t t, const double *h) {
    if (!h) pn_overlaps(w->net, state_of(w, row), w->o);
    if (t == w->r->first && t > 0) return;
    note(w, row, t, h ? energy_of_fields(w, state_of(w, row), h) : pn_overlap_energy(w->net, w->o) / w->net->divisor);
}

/* Synchronous steps of rows lo..hi - 1, which share products with K. */
static void walk_at_once(walk *w, int64_t lo, int64_t hi) {
    const pn_recall *r = w->r;
    const int64_t n = w->net->n, end = r->first + r->steps;
    bool fresh[PN_HOPFIELD_BLOCK] = {false}; /* at its end in this very step: its last state is still to be noted */
    for (int64_t t = r->first, left = 1; left; t++) {
        left = 0;
        for (int64_t row = lo; row < hi; row++) left += !r->cycle[row] || fresh[row - lo];
        if (!left || pn_walk_stopped(w->m)) return;
        if (w->net->k) pn_hopfield_fields(w->net, state_of(w, lo), hi - lo, w->h, w->room, w->m);
        if (pn_poll_stopped(w->m->poll)) return;
        for (int64_t row = lo; row < hi; row++) {
            const double *h = w->net->k ? w->h + (row - lo) * n : NULL;
            if (r->cycle[row] && !fresh[row - lo]) continue;
            look(w, row, t, h);
            fresh[row - lo] = false;
            if (r->cycle[row] || t == end) continue;
            advance(w, row, t, h);
            fresh[row - lo] = r->cycle[row] != 0;
        }
        if (t == end) return;
    }
}

/* ---- all rows ---- */

typedef struct job {
    const pn_recall *r;
    char *room;
    size_t stride;
} job;

size_t pn_hopfield_walk_room(const pn_hopfield *net) {
    const size_t n = (size_t)net->n, fields = net->k ? (size_t)PN_HOPFIELD_BLOCK * n * sizeof(double) + pn_hopfield_room(net) : 0;
    return (fields + n * (sizeof(double) + sizeof(int32_t) + 1) + (size_t)net->padded * sizeof(int16_t) + 5 * 64) / 64 * 64;
}

static char *take(char **room, size_t bytes) {
    char *p = *room;
    *room += (bytes + 63) / 64 * 64;
    return p;
}

static walk open_walk(const pn_recall *r, char *room, pn_member *m) {
    const pn_hopfield *net = r->net;
    const size_t n = (size_t)net->n;
    walk w = {.r = r, .net = net, .m = m};
    w.o = (int16_t *)take(&room, (size_t)net->padded * sizeof(int16_t));
    w.next = (int8_t *)take(&room, n);
    w.order = (int32_t *)take(&room, n * sizeof(int32_t));
    w.chance = (double *)take(&room, n * sizeof(double));
    if (net->k) w.h = (double *)take(&room, PN_HOPFIELD_BLOCK * n * sizeof(double));
    w.room = room;
    return w;
}

/* The rows of one block that go on, one by one; their fields by one product. */
static void walk_one_by_one(walk *w, int64_t lo, int64_t hi) {
    bool any = false;
    for (int64_t row = lo; row < hi; row++) any = any || !w->r->cycle[row];
    if (any && w->net->k) pn_hopfield_fields(w->net, state_of(w, lo), hi - lo, w->h, w->room, w->m);
    for (int64_t row = lo; row < hi && !pn_walk_stopped(w->m); row++) {
        if (!w->r->cycle[row]) walk_row(w, row, w->net->k ? w->h + (row - lo) * w->net->n : NULL);
    }
}

void pn_hopfield_walk(const pn_recall *r, int64_t lo, int64_t hi, void *room, pn_member *m) {
    walk w = open_walk(r, room, m);
    for (int64_t b = lo; b < hi && !pn_walk_stopped(m); b++) {
        const int64_t from = b * PN_HOPFIELD_BLOCK, to = from + PN_HOPFIELD_BLOCK < r->rows ? from + PN_HOPFIELD_BLOCK : r->rows;
        if (r->sync)
            walk_at_once(&w, from, to);
        else
            walk_one_by_one(&w, from, to);
    }
}

static void recall_member(void *context, pn_member *m) {
    const job *j = context;
    int64_t lo, hi;
    pn_member_range(m, (j->r->rows + PN_HOPFIELD_BLOCK - 1) / PN_HOPFIELD_BLOCK, &lo, &hi);
    pn_hopfield_walk(j->r, lo, hi, j->room + (size_t)m->index * j->stride, m);
}

pn_status pn_hopfield_recall(const pn_recall *r, int threads, pn_poll *poll, pn_error *e) {
    const int64_t blocks = (r->rows + PN_HOPFIELD_BLOCK - 1) / PN_HOPFIELD_BLOCK;
    if (threads > blocks) threads = blocks > 0 ? (int)blocks : 1;
    job j = {.r = r, .stride = pn_hopfield_walk_room(r->net)};
    j.room = pn_alloc(j.stride * (size_t)threads);
    if (!j.room) return pn_fail(e, PN_E_MEMORY, "no memory for the recall of %lld states", (long long)r->rows);
    pn_team_run(threads, poll, recall_member, &j);
    pn_free(j.room);
    return pn_poll_stopped(poll) ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}
