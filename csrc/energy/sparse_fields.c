/* The engine "sparse_fields": any model by its lists of neighbours, integer or real couplings. With 8 replicas or more, 16 of them share a vector: one spin of each is proposed
 * at once. With fewer, and when each draws its own spins, a vector holds 16 spins of one replica. Every rule and order, a temperature for each replica.
 *
 * Fields are in fixed point and never drift (kernels/fields.h). The energy is summed in double when it is asked for. A proposal costs degree operations at most. */
#include "energy/fields.h"

#define FEWEST_ACROSS 8

static bool takes(const pn_couplings *m, const pn_task *task) { return (void)m, task->method == PN_METHOD_SINGLE; }

/* Sums over pairs, `lanes` replicas side by side: spins (n, lanes). */
static void energies(const pn_fields_engine *f, const int32_t *turned, int64_t lanes, double *energy, double *sum) {
    const pn_couplings *m = f->base.m;
    for (int64_t l = 0; l < lanes; l++) energy[l] = sum[l] = 0;
    for (int64_t i = 0; i < m->n; i++) {
        const int32_t *own = turned + pn_fields_place(f, i) * lanes;
        double pull[PN_FIELDS_LANES];
        for (int64_t l = 0; l < lanes; l++) pull[l] = m->field ? m->field[i] : 0;
        for (int64_t k = f->graph.start[i]; k < f->graph.start[i + 1]; k++) {
            if (f->graph.to[k] > i) continue; /* each pair once */
            const int32_t *other = turned + pn_fields_place(f, f->graph.to[k]) * lanes;
            for (int64_t l = 0; l < lanes; l++) pull[l] += f->graph.weight[k] * (1 + 2 * other[l]);
        }
        for (int64_t l = 0; l < lanes; l++) {
            energy[l] -= (1 + 2 * own[l]) * pull[l];
            sum[l] += 1 + 2 * own[l];
        }
    }
}

static void measure(const pn_engine *g, int64_t group, double *energy, double *sum) {
    const pn_fields_engine *f = (const pn_fields_engine *)g;
    const int64_t first = group * g->per_group, replicas = pn_engine_group_size(g, group);
    if (f->across) {
        double e[PN_FIELDS_LANES], s[PN_FIELDS_LANES];
        energies(f, f->turned + pn_fields_at(f, first, 0), PN_FIELDS_LANES, e, s);
        for (int64_t r = 0; r < replicas; r++) {
            energy[r] = e[r];
            sum[r] = s[r];
        }
        return;
    }
    for (int64_t r = 0; r < replicas; r++) energies(f, f->turned + pn_fields_at(f, first + r, 0), 1, energy + r, sum + r);
}

extern const pn_engine_type pn_engine_sparse_fields;

static pn_status open(pn_engine **out, const pn_couplings *m, const pn_task *task, pn_error *e) {
    const bool across = task->replicas >= FEWEST_ACROSS && !pn_fields_random(task);
    const pn_fields_kind kind = {.type = &pn_engine_sparse_fields, .across = across, .per_group = across ? PN_FIELDS_LANES : 1};
    return pn_fields_open(out, &kind, m, task, e);
}

const pn_engine_type pn_engine_sparse_fields = {.name = "sparse_fields",
                                                .takes = takes,
                                                .open = open,
                                                .close = pn_fields_close,
                                                .put = pn_fields_put,
                                                .get = pn_fields_get,
                                                .run = pn_fields_run,
                                                .measure = measure};
