/* Rows of neighbours, and colourings. */
#include "energy/graph.h"

#include <string.h>

#include "base/alloc.h"

static void write_rows(const pn_couplings *m, int64_t *start, int32_t *to, double *weight) {
    start[0] = 0;
    for (int64_t i = 0; i < m->n; i++) {
        pn_row row;
        pn_couplings_row(m, i, &row);
        memcpy(to + start[i], row.to, (size_t)row.n * sizeof *to);
        memcpy(weight + start[i], row.weight, (size_t)row.n * sizeof *weight);
        start[i + 1] = start[i] + row.n;
    }
}

pn_status pn_graph_open(pn_graph *g, const pn_couplings *m, pn_error *e) {
    *g = (pn_graph){.start = m->start, .to = m->to, .weight = m->weight};
    if (!m->rank) return PN_OK;
    const size_t n = (size_t)m->n, edges = n * 2 * (size_t)m->rank;
    g->start = g->made[0] = pn_alloc((n + 1) * sizeof *g->start);
    g->to = g->made[1] = pn_alloc(edges * sizeof *g->to);
    g->weight = g->made[2] = pn_alloc(edges * sizeof *g->weight);
    if (g->start && g->to && g->weight) {
        write_rows(m, g->made[0], g->made[1], g->made[2]);
        return PN_OK;
    }
    pn_graph_close(g);
    return pn_fail(e, PN_E_MEMORY, "no memory for the neighbours of %lld spins", (long long)m->n);
}

void pn_graph_close(pn_graph *g) {
    for (int i = 0; i < 3; i++) pn_free(g->made[i]);
    *g = (pn_graph){0};
}

/* colour[i] (n): the smallest that no earlier neighbour has; mark (n + 1): the last site that saw a colour at a neighbour. Returns how many colours. */
static int32_t colour_sites(const pn_graph *g, int64_t n, int32_t *colour, int32_t *mark) {
    int32_t colours = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = g->start[i]; k < g->start[i + 1]; k++) {
            if (g->to[k] < i) mark[colour[g->to[k]]] = (int32_t)i + 1;
        }
        int32_t c = 0;
        while (mark[c] == i + 1) c++;
        colour[i] = c;
        if (c >= colours) colours = c + 1;
    }
    return colours;
}

pn_status pn_graph_colours(const pn_graph *g, int64_t n, int32_t *order, pn_error *e) {
    int32_t *colour = pn_alloc((size_t)n * sizeof *colour), *mark = pn_alloc_zero(((size_t)n + 1) * sizeof *mark);
    const bool fine = colour && mark;
    if (fine) {
        const int32_t colours = colour_sites(g, n, colour, mark);
        memset(mark, 0, ((size_t)colours + 1) * sizeof *mark);
        for (int64_t i = 0; i < n; i++) mark[colour[i] + 1]++;
        for (int32_t c = 0; c < colours; c++) mark[c + 1] += mark[c];
        for (int64_t i = 0; i < n; i++) order[mark[colour[i]]++] = (int32_t)i;
    }
    pn_free(colour);
    pn_free(mark);
    return fine ? PN_OK : pn_fail(e, PN_E_MEMORY, "no memory for a colouring of %lld spins", (long long)n);
}
