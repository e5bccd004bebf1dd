/* What a step changes besides parameters: an op that is PN_COMMITS reads running values as inputs 1, 2, ... and gives what they become as outputs 1, 2, ...
 * The plan keeps those outputs to the end of the step; only when the step is known to be good they are copied to where the values live. */
#include <math.h>
#include <string.h>

#include "graph/plan_internal.h"

/* The leaf that holds the running value behind v: a layer that is called twice in a step goes on with what its first call gave. */
static int leaf_of(const plan_builder *b, int v) {
    while (b->values[v].kind == PLAN_RESULT) {
        const plan_node *n = &b->nodes[b->values[v].producer];
        int k = 1;
        while (k < n->n_out && n->out[k] != v) k++;
        if (!(n->op->flags & PN_COMMITS) || k >= n->n_out) return -1;
        v = n->in[k];
    }
    return b->values[v].kind == PLAN_LEAF ? v : -1;
}

/* Notes that the leaf becomes the value; the last call in a step decides. */
static void note(plan_builder *b, int leaf, int value) {
    pn_plan *p = b->plan;
    int i = 0;
    while (i < p->n_commits && p->commits[i].tensor != b->values[leaf].tensor) i++;
    if (i < p->n_commits) b->values[p->commits[i].value].kept = false;
    p->n_commits += i == p->n_commits;
    p->commits[i] = (plan_commit){.tensor = b->values[leaf].tensor, .value = value};
    b->values[value].kept = true;
}

pn_status pn_plan_trace_commits(plan_builder *b) {
    pn_plan *p = b->plan;
    int most = 0;
    for (int i = 0; b->spec->training && i < b->n_nodes; i++)
        if (b->nodes[i].live && (b->nodes[i].op->flags & PN_COMMITS)) most += b->nodes[i].n_out - 1;
    if (!most) return PN_OK;
    p->commits = pn_pool_take(&p->pool, (size_t)most, sizeof *p->commits);
    if (!p->commits) return pn_plan_out_of_memory(b);
    for (int i = 0; i < b->n_nodes; i++) {
        const plan_node *n = &b->nodes[i];
        if (!n->live || !(n->op->flags & PN_COMMITS)) continue;
        for (int k = 1; k < n->n_out; k++) {
            const int leaf = leaf_of(b, n->in[k]);
            if (leaf >= 0) note(b, leaf, n->out[k]);
        }
    }
    return PN_OK;
}

bool pn_plan_commits_finite(const pn_plan *p) {
    for (int i = 0; i < p->n_commits; i++) {
        const pn_shape *s = &p->commits[i].tensor->shape;
        const int64_t n = pn_shape_size(s);
        if (s->dtype == PN_F32 && !isfinite(p->kernels->f.abs_max(p->commits[i].from, n))) return false;
        if (s->dtype == PN_F64 && !isfinite(p->kernels->d.abs_max(p->commits[i].from, n))) return false;
    }
    return true;
}

void pn_plan_commit(pn_plan *p) {
    for (int i = 0; i < p->n_commits; i++) {
        pn_storage *to = p->commits[i].tensor->storage;
        memcpy(to->data, p->commits[i].from, to->bytes);
        to->version++;
    }
}
