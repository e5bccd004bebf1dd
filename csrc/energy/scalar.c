/* The common part of engines with one replica a group. */
#include "energy/scalar.h"

#include <string.h>

#include "base/alloc.h"

#define STEP_COST (1 << 19) /* looks at a neighbour: about a millisecond */

int64_t pn_scalar_chunk(const pn_couplings *m) { return STEP_COST / (m->degree + 8) + 1; }

static bool allocate(pn_scalar *s, size_t replicas, size_t n) {
    size_t bytes;
    s->spins = pn_mul_size(replicas, n, &bytes) ? pn_alloc(bytes) : NULL;
    s->energy = pn_alloc_zero(replicas * sizeof *s->energy);
    s->sum = pn_alloc_zero(replicas * sizeof *s->sum);
    s->base.streams = pn_alloc(4 * replicas * sizeof *s->base.streams);
    s->base.proposed = pn_alloc_zero(2 * replicas * sizeof *s->base.proposed);
    return s->spins && s->energy && s->sum && s->base.streams && s->base.proposed;
}

static void free_parts(pn_scalar *s) {
    pn_graph_close(&s->graph);
    pn_free(s->spins);
    pn_free(s->energy);
    pn_free(s->sum);
    pn_free(s->base.streams);
    pn_free(s->base.proposed);
}

pn_status pn_scalar_open(pn_scalar *s, const pn_engine_type *type, const pn_couplings *m, const pn_task *task, int64_t phases, bool tracks, pn_error *e) {
    const pn_status status = pn_graph_open(&s->graph, m, e);
    if (status) return status;
    s->tracks = tracks && m->whole;
    if (!allocate(s, (size_t)task->replicas, (size_t)m->n)) {
        free_parts(s);
        return pn_fail(e, PN_E_MEMORY, "no memory for %lld replicas of %lld spins", (long long)task->replicas, (long long)m->n);
    }
    s->base = (pn_engine){.type = type,
                          .m = m,
                          .task = *task,
                          .groups = task->replicas,
                          .per_group = 1,
                          .phases = phases,
                          .parts = 1,
                          .streams = s->base.streams,
                          .n_streams = 4 * task->replicas,
                          .proposed = s->base.proposed,
                          .accepted = s->base.proposed + task->replicas};
    for (int64_t r = 0; r < task->replicas; r++) pn_xoshiro_seed(pn_scalar_random(s, r), pn_energy_seed(task->seed, (uint64_t)r));
    return PN_OK;
}

void pn_scalar_close(pn_engine *g) {
    free_parts((pn_scalar *)g);
    pn_free(g);
}

/* E = -sum s_i (h_i + (sum_j M_ij s_j) / 2), exact for whole couplings. */
static double energy_of(const pn_scalar *s, const int8_t *spins) {
    const pn_couplings *m = s->base.m;
    double twice = 0;
    for (int64_t i = 0; i < m->n; i++) twice += spins[i] * (pn_graph_field(&s->graph, m, spins, i) + (m->field ? m->field[i] : 0));
    return -0.5 * twice;
}

static int64_t sum_of(const int8_t *spins, int64_t n) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += spins[i];
    return sum;
}

void pn_scalar_put(pn_engine *g, int64_t replica, const int8_t *spins) {
    pn_scalar *s = (pn_scalar *)g;
    int8_t *own = pn_scalar_spins(s, replica);
    memcpy(own, spins, (size_t)g->m->n);
    if (s->tracks) s->energy[replica] = energy_of(s, own);
    s->sum[replica] = sum_of(own, g->m->n);
}

void pn_scalar_get(const pn_engine *g, int64_t replica, int8_t *spins) { memcpy(spins, pn_scalar_spins((const pn_scalar *)g, replica), (size_t)g->m->n); }

void pn_scalar_measure(const pn_engine *g, int64_t group, double *energy, double *sum) {
    const pn_scalar *s = (const pn_scalar *)g;
    const int8_t *spins = pn_scalar_spins(s, group);
    *energy = s->tracks ? s->energy[group] : energy_of(s, spins);
    *sum = (double)(s->tracks ? s->sum[group] : sum_of(spins, g->m->n));
}
