/* Models in fixed point: how they are made, how spins go in and come out, and a phase of a sweep. */
#include "energy/fields.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

#define LANES PN_FIELDS_LANES
#define BITS 30            /* a field reaches 2^30 units at most */
#define RANGE 60           /* units differ by at most 2^60 */
#define LEAST_UNIT -1000   /* so that one over a unit is finite */
#define PHASE_WORK 2000000 /* vectors touched in a phase: about a millisecond */

_Static_assert((int)PN_FIELDS_METROPOLIS == PN_RULE_METROPOLIS && (int)PN_FIELDS_GLAUBER == PN_RULE_GLAUBER && (int)PN_FIELDS_LECTURE == PN_RULE_LECTURE,
               "kernels and engines number the rules alike");

/* ---- the model in units ---- */

/* place[i] from the order of visits. */
static pn_status set_places(pn_fields_engine *f, const pn_couplings *m, pn_error *e) {
    int32_t *visit = pn_alloc((size_t)m->n * sizeof *visit);
    f->place = pn_alloc((size_t)m->n * sizeof *f->place);
    pn_status status = PN_OK;
    if (visit && f->place)
        status = pn_graph_colours(&f->graph, m->n, visit, e);
    else
        status = pn_fail(e, PN_E_MEMORY, "no memory for the order of %lld spins", (long long)m->n);
    for (int64_t k = 0; !status && k < m->n; k++) f->place[visit[k]] = (int32_t)k;
    pn_free(visit);
    return status;
}

/* The exponent of the unit of a spin whose field reaches so far: reach <= 2^BITS units. Integers up to 2^BITS stay integers. */
static int unit_exponent(double reach) {
    int exponent = 0;
    if (frexp(reach, &exponent) == 0.5) exponent--;
    return exponent - BITS > LEAST_UNIT ? exponent - BITS : LEAST_UNIT;
}

/* M_ij, or h_i, in units of the spin at that place, rounded. */
static inline int32_t in_units(const pn_fields_engine *f, int64_t place, double weight) { return (int32_t)rint(weight / f->size[place]); }
/* Twice that, modulo 2^32 as all sums of fields. */
static inline int32_t pull_on(const pn_fields_engine *f, int64_t place, double weight) { return (int32_t)(2u * (uint32_t)in_units(f, place, weight)); }

static void set_units(pn_fields_engine *f, const pn_couplings *m) {
    const int top = unit_exponent(m->reach);
    f->largest = ldexp(1, top);
    f->grid = top < 900 ? ldexp(1.5, top + 52 - 20) : 0; /* 1.5 * 2^52 steps of 2^-20 units */
    for (int64_t i = 0; i < m->n; i++) {
        const int64_t at = pn_fields_place(f, i), from = f->graph.start[i], to = f->graph.start[i + 1];
        const double h = m->field ? m->field[i] : 0;
        double reach = fabs(h);
        for (int64_t k = from; k < to; k++) reach += fabs(f->graph.weight[k]);
        const int own = reach > 0 ? unit_exponent(reach) : top, exponent = own < top - RANGE ? top - RANGE : own;
        f->size[at] = ldexp(1, exponent);
        f->unit[at] = (float)ldexp(1, top - exponent);
        f->upward[at] = in_units(f, at, h);
        for (int64_t k = from; k < to; k++) f->upward[at] += in_units(f, at, f->graph.weight[k]);
    }
}

/* Rows by place. */
static void fill_dense(pn_fields_engine *f) {
    for (int64_t i = 0; i < f->base.m->n; i++) {
        const int64_t p = pn_fields_place(f, i);
        int32_t *row = f->dense + p * LANES * f->words;
        for (int64_t k = f->graph.start[i]; k < f->graph.start[i + 1]; k++) {
            const int64_t at = pn_fields_place(f, f->graph.to[k]);
            row[at] = pull_on(f, at, f->graph.weight[k]);
            if (at / LANES == p / LANES) f->own[(p / LANES * (LANES + 1) + p % LANES) * LANES + at % LANES] = row[at];
        }
    }
}
static void fill_sparse(pn_fields_engine *f) {
    const int64_t n = f->base.m->n, *from = f->graph.start;
    f->start[0] = 0;
    for (int64_t i = 0; i < n; i++) f->start[pn_fields_place(f, i) + 1] = from[i + 1] - from[i];
    for (int64_t p = 0; p < n; p++) f->start[p + 1] += f->start[p];
    for (int64_t i = 0; i < n; i++) {
        int64_t at = f->start[pn_fields_place(f, i)];
        for (int64_t k = from[i]; k < from[i + 1]; k++, at++) {
            f->to[at] = (int32_t)pn_fields_place(f, f->graph.to[k]);
            f->pull[at] = pull_on(f, f->to[at], f->graph.weight[k]);
        }
    }
}

/* ---- opening ---- */

static void *rows_of(int64_t rows, int64_t columns, size_t bytes) {
    size_t all;
    return pn_mul_size((size_t)rows, (size_t)columns, &all) && pn_mul_size(all, bytes, &all) ? pn_alloc_zero(all) : NULL;
}

static bool allocate(pn_fields_engine *f, const pn_couplings *m, const pn_task *task, bool dense) {
    const int64_t padded = LANES * f->words, edges = f->graph.start[m->n];
    const int64_t rows = f->across ? f->base.groups : task->replicas, row = f->across ? m->n * LANES : padded;
    f->base.n_streams = PN_LANES_WORDS * f->base.groups;
    if (!(f->base.streams = rows_of(f->base.groups, PN_LANES_WORDS, sizeof *f->base.streams))) return false;
    if (!(f->base.proposed = rows_of(f->base.groups, 1, sizeof *f->base.proposed))) return false;
    if (!(f->base.accepted = rows_of(f->base.groups, 1, sizeof *f->base.accepted))) return false;
    if (!(f->size = rows_of(padded, 1, sizeof *f->size)) || !(f->unit = rows_of(padded, 1, sizeof *f->unit))) return false;
    if (!(f->upward = rows_of(padded, 1, sizeof *f->upward))) return false;
    if (!(f->field = rows_of(rows, row, sizeof *f->field)) || !(f->turned = rows_of(rows * row + 1, 1, sizeof *f->turned))) return false;
    if (dense && !(f->dense = rows_of(m->n, padded, sizeof *f->dense))) return false;
    if (dense && !(f->own = rows_of(f->words, LANES * (LANES + 1), sizeof *f->own))) return false;
    if (dense && !m->whole && !(f->exact = rows_of(task->replicas, m->n, sizeof *f->exact))) return false;
    if (dense && !m->whole && !(f->seen = rows_of(task->replicas, m->n, sizeof *f->seen))) return false;
    if (dense) return true;
    if (!(f->start = rows_of(m->n + 1, 1, sizeof *f->start)) || !(f->to = rows_of(edges, 1, sizeof *f->to))) return false;
    return (f->pull = rows_of(edges, 1, sizeof *f->pull)) != NULL;
}

/* How a sweep of one group is cut into pieces of about a millisecond. */
static void set_phases(pn_fields_engine *f, bool dense) {
    const pn_couplings *m = f->base.m;
    const int64_t per_flip = dense ? f->words + 4 : m->degree + 4, lanes = f->across ? 1 : f->base.per_group;
    const int64_t spins = PHASE_WORK / (per_flip * lanes) + 1;
    const bool words = !f->across && !pn_fields_random(&f->base.task);
    const int64_t all = words ? f->words : m->n;
    f->chunk = words ? (spins + LANES - 1) / LANES : spins;
    f->base.phases = (all + f->chunk - 1) / f->chunk;
    f->base.parts = 1;
}

/* All spins +1. Lanes without a spin have a field that no threshold reaches. */
static void begin(pn_fields_engine *f) {
    pn_engine *g = &f->base;
    for (int64_t i = 0; i < g->groups; i++) pn_lanes_seed((pn_lanes *)(g->streams + PN_LANES_WORDS * i), pn_energy_seed(g->task.seed, (uint64_t)i));
    for (int64_t r = 0; r < g->task.replicas && !f->across; r++) {
        for (int64_t p = g->m->n; p < LANES * f->words; p++) f->field[pn_fields_at(f, r, p)] = INT32_MAX;
    }
}

pn_status pn_fields_open(pn_engine **out, const pn_fields_kind *kind, const pn_couplings *m, const pn_task *task, pn_error *e) {
    pn_fields_engine *f = pn_alloc_zero(sizeof *f);
    if (!f) return pn_fail(e, PN_E_MEMORY, "no memory for an engine");
    f->base = (pn_engine){.type = kind->type, .m = m, .task = *task, .per_group = kind->per_group};
    f->base.groups = (task->replicas + kind->per_group - 1) / kind->per_group;
    f->words = (m->n + LANES - 1) / LANES;
    f->across = kind->across;
    pn_status status = pn_graph_open(&f->graph, m, e);
    if (!status && task->order == PN_ORDER_CHECKERBOARD) status = set_places(f, m, e);
    if (!status && !allocate(f, m, task, kind->dense))
        status = pn_fail(e, PN_E_MEMORY, "no memory for %lld replicas of %lld spins and their fields", (long long)task->replicas, (long long)m->n);
    if (status) {
        pn_fields_close(&f->base);
        return status;
    }
    set_units(f, m);
    if (kind->dense)
        fill_dense(f);
    else
        fill_sparse(f);
    set_phases(f, kind->dense);
    begin(f);
    *out = &f->base;
    return PN_OK;
}

void pn_fields_close(pn_engine *g) {
    pn_fields_engine *f = (pn_fields_engine *)g;
    pn_graph_close(&f->graph);
    void *const all[] = {f->place, f->field, f->turned, f->upward, f->size,    f->unit,     f->dense,    f->start, f->own,
                         f->to,    f->pull,  f->exact,  f->seen,   g->streams, g->proposed, g->accepted, f};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) pn_free(all[i]);
}

/* ---- spins ---- */

/* The fields when all spins are +1, then each spin of -1 flipped. */
void pn_fields_put(pn_engine *g, int64_t replica, const int8_t *spins) {
    pn_fields_engine *f = (pn_fields_engine *)g;
    const int64_t n = g->m->n, step = f->across ? LANES : 1;
    int32_t *field = f->field + pn_fields_at(f, replica, 0), *turned = f->turned + pn_fields_at(f, replica, 0);
    for (int64_t p = 0; p < n; p++) field[p * step] = f->upward[p];
    for (int64_t i = 0; i < n; i++) {
        const int64_t p = pn_fields_place(f, i);
        turned[p * step] = spins[i] > 0 ? 0 : -1;
        if (spins[i] > 0) continue;
        if (f->dense) {
            const int32_t *row = f->dense + p * LANES * f->words;
            for (int64_t j = 0; j < n; j++) field[j] = (int32_t)((uint32_t)field[j] - (uint32_t)row[j]);
        } else {
            for (int64_t k = f->start[p]; k < f->start[p + 1]; k++) field[f->to[k] * step] = (int32_t)((uint32_t)field[f->to[k] * step] - (uint32_t)f->pull[k]);
        }
    }
    if (!f->seen) return;
    for (int64_t i = 0; i < n; i++) f->exact[replica * n + i] = g->m->field ? pn_fields_round(g->m->field[i], f->grid) : 0;
    memset(f->seen + replica * n, 0, (size_t)n);
}

void pn_fields_get(const pn_engine *g, int64_t replica, int8_t *spins) {
    const pn_fields_engine *f = (const pn_fields_engine *)g;
    for (int64_t i = 0; i < g->m->n; i++) spins[i] = f->turned[pn_fields_at(f, replica, pn_fields_place(f, i))] ? -1 : 1;
}

/* ---- a phase ---- */

/* T / 2 in the largest unit, as a float that leaves room for products. */
static float heat_of(const pn_fields_engine *f, double temperature) {
    const double heat = 0.5 * temperature / f->largest;
    return heat < 1e-20 ? 1e-20f : heat > 1e19 ? 1e19f : (float)heat;
}

void pn_fields_run(pn_engine *g, int64_t group, const double *temperature, int64_t phase, int64_t part) {
    pn_fields_engine *f = (pn_fields_engine *)g;
    const pn_kernels_fields *kernel = &pn_kernels_get()->energy.fields;
    const int64_t at = pn_fields_at(f, group * g->per_group, 0), replicas = pn_engine_group_size(g, group);
    float heat[LANES];
    for (int64_t r = 0; r < LANES; r++) heat[r] = heat_of(f, temperature[r < replicas ? r : 0]);
    const pn_fields job = {.n = g->m->n,
                           .words = f->words,
                           .replicas = replicas,
                           .field = f->field + at,
                           .turned = f->turned + at,
                           .unit = f->unit,
                           .dense = f->dense,
                           .own = f->own,
                           .start = f->start,
                           .to = f->to,
                           .pull = f->pull,
                           .heat = heat,
                           .rule = (int)g->task.rule};
    const bool random = pn_fields_random(&g->task), words = !random && !f->across;
    const int64_t all = words ? f->words : g->m->n, from = phase * f->chunk, to = from + f->chunk < all ? from + f->chunk : all;
    pn_lanes *lanes = (pn_lanes *)(g->streams + PN_LANES_WORDS * group);
    int64_t accepted;
    if (random)
        accepted = kernel->random(&job, lanes, to - from);
    else
        accepted = (f->across ? kernel->replicas : f->dense ? kernel->dense : kernel->sparse)(&job, lanes, from, to);
    const int64_t end = words && LANES * to > g->m->n ? g->m->n : words ? LANES * to : to;
    g->proposed[group] += (uint64_t)((end - (words ? LANES * from : from)) * replicas);
    g->accepted[group] += (uint64_t)accepted;
    (void)part;
}
