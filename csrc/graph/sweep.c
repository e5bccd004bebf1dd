/* The bookkeeping of one backward sweep: nodes in the order they are visited, and a slot for each tensor that may get a gradient. Small graphs stay in
 * the arrays of the sweep itself; leaves, which no node numbers, are found by address in a hash table. */
#include "graph/sweep.h"

#include <string.h>

#include "base/alloc.h"

void pn_sweep_open(pn_sweep *s, pn_context *ctx, bool chosen, bool again) {
    s->ctx = ctx;
    s->chosen = chosen;
    s->again = again;
    s->nodes = s->few_nodes;
    s->slots = s->few_slots;
    s->table = s->few_table;
    s->node_capacity = s->slot_capacity = s->table_size = PN_SWEEP_FEW;
    s->n_nodes = s->n_slots = s->n_leaves = 0;
    memset(s->few_table, 0, sizeof s->few_table);
}

void pn_sweep_close(pn_sweep *s) {
    for (int64_t i = 0; i < s->n_nodes; i++) s->nodes[i]->sweep = NULL;
    for (int64_t i = 0; i < s->n_slots; i++) pn_tensor_unref(s->slots[i].grad);
    if (s->nodes != s->few_nodes) pn_free(s->nodes);
    if (s->slots != s->few_slots) pn_free(s->slots);
    if (s->table != s->few_table) pn_free(s->table);
}

/* ---- growing ---- */

/* A copy of `count` elements in twice the room. */
static void *grow(const void *old, int64_t count, int64_t *capacity, size_t element, bool was_few, pn_error *e) {
    size_t bytes;
    void *room = pn_mul_size((size_t)*capacity * 2, element, &bytes) ? pn_alloc(bytes) : NULL;
    if (!room) {
        pn_fail(e, PN_E_MEMORY, "not enough memory for a backward sweep");
        return NULL;
    }
    memcpy(room, old, (size_t)count * element);
    if (!was_few) pn_free((void *)old);
    *capacity *= 2;
    return room;
}

static bool reserve_node(pn_sweep *s, pn_error *e) {
    if (s->n_nodes < s->node_capacity) return true;
    void *room = grow(s->nodes, s->n_nodes, &s->node_capacity, sizeof *s->nodes, s->nodes == s->few_nodes, e);
    if (room) s->nodes = room;
    return room;
}

static bool reserve_slots(pn_sweep *s, int64_t count, pn_error *e) {
    while (s->n_slots + count > s->slot_capacity) {
        void *room = grow(s->slots, s->n_slots, &s->slot_capacity, sizeof *s->slots, s->slots == s->few_slots, e);
        if (!room) return false;
        s->slots = room;
    }
    return true;
}

/* ---- leaves by address ---- */

static int64_t *table_entry(const pn_sweep *s, const pn_tensor *t) {
    uint64_t h = (uint64_t)(uintptr_t)t >> 6; /* tensors are 64-byte aligned */
    h *= 0x9E3779B97F4A7C15u;
    for (uint64_t i = h >> 32;; i++) {
        int64_t *entry = &s->table[i & (uint64_t)(s->table_size - 1)];
        if (!*entry || s->slots[*entry - 1].tensor == t) return entry;
    }
}

static bool grow_table(pn_sweep *s, pn_error *e) {
    int64_t *old = s->table, old_size = s->table_size, *fresh = pn_alloc_zero((size_t)old_size * 2 * sizeof *fresh);
    if (!fresh) {
        pn_fail(e, PN_E_MEMORY, "not enough memory for a backward sweep");
        return false;
    }
    s->table = fresh;
    s->table_size = 2 * old_size;
    for (int64_t i = 0; i < old_size; i++) {
        if (old[i]) *table_entry(s, s->slots[old[i] - 1].tensor) = old[i];
    }
    if (old != s->few_table) pn_free(old);
    return true;
}

static pn_status add_leaf(pn_sweep *s, pn_tensor *t, pn_error *e) {
    int64_t *entry = table_entry(s, t);
    if (*entry) return PN_OK;
    if (2 * (s->n_leaves + 1) > s->table_size) {
        if (!grow_table(s, e)) return e->status;
        entry = table_entry(s, t);
    }
    if (!reserve_slots(s, 1, e)) return e->status;
    s->slots[s->n_slots++] = (pn_slot){.tensor = t, .leaf = true};
    *entry = s->n_slots;
    s->n_leaves++;
    return PN_OK;
}

/* ---- nodes ---- */

static bool has_producer(const pn_tensor *t) { return t->requires_grad && t->node && t->node->requires_grad; }

static pn_status add_node(pn_sweep *s, pn_node *n, pn_error *e) {
    if (n->sweep == s) return PN_OK;
    if (n->sweep) return pn_fail(e, PN_E_RUNTIME, "backward: another backward is under way in the same graph");
    if (!reserve_node(s, e) || !reserve_slots(s, n->n_out, e)) return e->status;
    s->nodes[s->n_nodes++] = n;
    n->sweep = s;
    n->slot = s->n_slots;
    for (int k = 0; k < n->n_out; k++) s->slots[s->n_slots++] = (pn_slot){0};
    return PN_OK;
}

/* A tensor that takes part: its node, or the leaf itself, is noted. */
static pn_status add_tensor(pn_sweep *s, pn_tensor *t, pn_error *e) {
    if (!t->requires_grad) return PN_OK;
    if (!has_producer(t)) return s->chosen ? PN_OK : add_leaf(s, t, e);
    if (add_node(s, t->node, e)) return e->status;
    if (t->hooks || (t->retain_grad && !s->chosen)) {
        pn_slot *slot = &s->slots[t->node->slot + t->output];
        slot->tensor = t;
        slot->keep |= t->retain_grad && !s->chosen;
    }
    return PN_OK;
}

/* Restores the heap below `at`: the smallest sequence stands on top. */
static void sift(pn_node **heap, int64_t at, int64_t n) {
    pn_node *x = heap[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1]->sequence < heap[child]->sequence) child++;
        if (x->sequence <= heap[child]->sequence) break;
        heap[at] = heap[child];
    }
    heap[at] = x;
}

/* Latest first: every consumer of a tensor comes before its producer. In place, and nothing to do for a chain. */
static void sort_nodes(pn_node **nodes, int64_t n) {
    int64_t sorted = 1;
    while (sorted < n && nodes[sorted - 1]->sequence > nodes[sorted]->sequence) sorted++;
    if (sorted >= n) return;
    for (int64_t i = n / 2; i-- > 0;) sift(nodes, i, n);
    for (int64_t end = n - 1; end > 0; end--) {
        pn_node *least = nodes[0];
        nodes[0] = nodes[end];
        nodes[end] = least;
        sift(nodes, 0, end);
    }
}

pn_status pn_sweep_discover(pn_sweep *s, pn_tensor *root, int n, pn_tensor *const *wrt, pn_error *e) {
    for (int i = 0; i < n; i++) {
        if (!wrt[i]->requires_grad) return pn_fail(e, PN_E_RUNTIME, "gradients: tensor %d does not require grad", i);
        if (!has_producer(wrt[i]) && add_leaf(s, wrt[i], e)) return e->status;
    }
    if (add_tensor(s, root, e)) return e->status;
    for (int64_t i = 0; i < s->n_nodes; i++) { /* the list is its own queue */
        const pn_node *node = s->nodes[i];
        for (int k = 0; k < node->n_in; k++) {
            if (add_tensor(s, node->in[k], e)) return e->status;
        }
    }
    for (int i = 0; i < n; i++) {
        pn_slot *slot = pn_sweep_slot(s, wrt[i]);
        if (!slot) continue;
        slot->tensor = wrt[i];
        slot->keep = true;
    }
    sort_nodes(s->nodes, s->n_nodes);
    return PN_OK;
}

pn_slot *pn_sweep_slot(pn_sweep *s, const pn_tensor *t) {
    if (!t->requires_grad) return NULL;
    if (has_producer(t)) return t->node->sweep == s ? &s->slots[t->node->slot + t->output] : NULL;
    const int64_t entry = *table_entry(s, t);
    return entry ? &s->slots[entry - 1] : NULL;
}
