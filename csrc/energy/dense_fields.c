/* The engine "dense_fields": models where most spins are coupled, integer or real couplings. A flip adds one row of M to the fields of its replica, 16 of them at a time;
 * 16 spins are looked at at once, and a proposal that is not accepted costs almost nothing. Every rule and order, a temperature for each replica.
 *
 * Fields are in fixed point and never drift (kernels/fields.h). The energy of whole couplings follows from them exactly. That of real ones needs more bits: fields in double are
 * brought up to date when the energy is asked for, by the spins that have changed since. Couplings are then multiples of 2^-50 of the largest field, so that all sums are exact,
 * and the energy depends on the spins alone. A flip costs n / 16 vectors, memory is 4 n^2 bytes. */
#include "energy/fields.h"

#define LARGEST 16384 /* spins: the rows then take a gigabyte */

/* Rows of n / 16 vectors beat lists of neighbours from here on. */
static bool takes(const pn_couplings *m, const pn_task *task) {
    if (task->method != PN_METHOD_SINGLE || m->rank || m->n > LARGEST) return false;
    return m->start[m->n] / m->n >= m->n / PN_FIELDS_LANES;
}

/* exact += change times row i of M, which lacks the diagonal. */
static void add_row(const pn_fields_engine *f, double *exact, int64_t i, double change) {
    const int64_t n = f->base.m->n, from = f->graph.start[i], count = f->graph.start[i + 1] - from;
    const double *weight = f->graph.weight + from, grid = f->grid;
    const int32_t *to = f->graph.to + from;
    if (count == n - 1) { /* without holes */
        for (int64_t j = 0; j < i; j++) exact[j] += change * pn_fields_round(weight[j], grid);
        for (int64_t j = i + 1; j < n; j++) exact[j] += change * pn_fields_round(weight[j - 1], grid);
        return;
    }
    for (int64_t k = 0; k < count; k++) exact[to[k]] += change * pn_fields_round(weight[k], grid);
}

static void update_exact(const pn_fields_engine *f, int64_t replica) {
    const int64_t n = f->base.m->n;
    for (int64_t i = 0; i < n; i++) {
        const int8_t spin = f->turned[pn_fields_at(f, replica, pn_fields_place(f, i))] ? -1 : 1;
        int8_t *seen = f->seen + replica * n + i;
        if (spin != *seen) add_row(f, f->exact + replica * n, i, spin - *seen);
        *seen = spin;
    }
}

static void measure(const pn_engine *g, int64_t group, double *energy, double *sum) {
    const pn_fields_engine *f = (const pn_fields_engine *)g;
    for (int64_t r = 0; r < pn_engine_group_size(g, group); r++) {
        const int64_t replica = group * g->per_group + r;
        double twice = 0;
        int64_t up = 0;
        if (f->exact) update_exact(f, replica);
        for (int64_t i = 0; i < g->m->n; i++) {
            const int64_t place = pn_fields_place(f, i), at = pn_fields_at(f, replica, place);
            const int spin = f->turned[at] ? -1 : 1;
            const double field = f->exact ? f->exact[replica * g->m->n + i] : f->field[at] * f->size[place];
            twice += spin * (field + (g->m->field ? g->m->field[i] : 0));
            up += spin;
        }
        energy[r] = -0.5 * twice;
        sum[r] = (double)up;
    }
}

extern const pn_engine_type pn_engine_dense_fields;

/* Replicas of a group share the rows that they have in the cache. */
static pn_status open(pn_engine **out, const pn_couplings *m, const pn_task *task, pn_error *e) {
    const int64_t quarter = task->replicas / 4, per_group = quarter > PN_FIELDS_LANES ? PN_FIELDS_LANES : quarter < 1 ? 1 : quarter;
    return pn_fields_open(out, &(pn_fields_kind){.type = &pn_engine_dense_fields, .dense = true, .per_group = per_group}, m, task, e);
}

const pn_engine_type pn_engine_dense_fields = {.name = "dense_fields",
                                               .takes = takes,
                                               .open = open,
                                               .close = pn_fields_close,
                                               .put = pn_fields_put,
                                               .get = pn_fields_get,
                                               .run = pn_fields_run,
                                               .measure = measure};
