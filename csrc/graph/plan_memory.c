/* Addresses: every buffer gets a place in one arena, and places are reused once their buffer is dead. Then barriers: between two instructions of which one
 * writes what the other touches. Barriers follow from addresses, not from the graph, so that reuse of memory can never race. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "graph/plan_internal.h"

#define PENDING 64 /* accesses since the last barrier that are remembered; more force a barrier */

static size_t round_up(size_t bytes) { return (bytes + PN_PLAN_ALIGN - 1) / PN_PLAN_ALIGN * PN_PLAN_ALIGN; }

/* ---- lifetimes ---- */

static void find_lifetimes(plan_builder *b) {
    const int end = b->plan->n_code;
    for (int i = 0; i < b->n_accesses; i++) {
        plan_buffer *buffer = &b->buffers[b->accesses[i].buffer];
        const int at = b->accesses[i].instruction < end ? b->accesses[i].instruction : end;
        if (at < buffer->first) buffer->first = at;
        if (at > buffer->last) buffer->last = at;
    }
}

static int owner_of(const plan_builder *b, int buffer) {
    while (b->buffers[buffer].shares >= 0) buffer = b->buffers[buffer].shares;
    return buffer;
}

/* In place: the output of an instruction takes over the memory of an input that dies there. */
static void share_memory(plan_builder *b) {
    for (int i = 0; i < b->plan->n_code; i++) {
        plan_note *note = &b->plan->notes[i];
        if (note->from < 0) continue;
        const int owner = owner_of(b, note->from);
        plan_buffer *from = &b->buffers[owner], *to = &b->buffers[note->to];
        if (from->last != i || to->first != i || to->shares >= 0) {
            note->from = note->to = -1;
            continue;
        }
        to->shares = owner;
        from->last = to->last;
    }
}

/* ---- the arena ---- */

typedef struct hole {
    size_t offset, bytes;
} hole;

typedef struct arena {
    plan_builder *b;
    hole *holes; /* ascending, never touching each other */
    int n_holes, c_holes;
    size_t end, start;
} arena;

static void remove_hole(arena *a, int i) {
    memmove(a->holes + i, a->holes + i + 1, (size_t)(a->n_holes - i - 1) * sizeof *a->holes);
    a->n_holes--;
}

/* The smallest hole that is large enough, else new room at the end (growing a hole that touches it). */
static size_t arena_take(arena *a, size_t bytes) {
    int best = -1;
    for (int i = 0; i < a->n_holes; i++)
        if (a->holes[i].bytes >= bytes && (best < 0 || a->holes[i].bytes < a->holes[best].bytes)) best = i;
    if (best < 0) {
        hole *last = a->n_holes ? &a->holes[a->n_holes - 1] : NULL;
        size_t offset = a->end;
        if (last && last->offset + last->bytes == a->end) {
            offset = last->offset;
            a->n_holes--;
        }
        if (!pn_add_size(offset, bytes, &a->end)) a->b->pool.failed = true;
        return offset;
    }
    const size_t offset = a->holes[best].offset;
    a->holes[best].offset += bytes;
    a->holes[best].bytes -= bytes;
    if (!a->holes[best].bytes) remove_hole(a, best);
    return offset;
}

static void arena_give(arena *a, size_t offset, size_t bytes) {
    hole *holes = pn_pool_grow(&a->b->pool, a->holes, a->n_holes, &a->c_holes, sizeof *holes);
    if (!holes) return;
    a->holes = holes;
    int i = a->n_holes;
    for (; i > 0 && holes[i - 1].offset > offset; i--) holes[i] = holes[i - 1];
    holes[i] = (hole){offset, bytes};
    a->n_holes++;
    if (i + 1 < a->n_holes && holes[i].offset + holes[i].bytes == holes[i + 1].offset) {
        holes[i].bytes += holes[i + 1].bytes;
        remove_hole(a, i + 1);
    }
    if (i > 0 && holes[i - 1].offset + holes[i - 1].bytes == holes[i].offset) {
        holes[i - 1].bytes += holes[i].bytes;
        remove_hole(a, i);
    }
}

/* Small gradients are packed closely: a check of a tiny network reads as few bytes as can be. */
static size_t gradient_room(size_t bytes) { return bytes < 4096 ? (bytes + 15) / 16 * 16 : round_up(bytes); }

/* Gradients of parameters first, side by side: the finite check and the norm run over them in one piece. Then what lives through the whole run. */
static void place_fixed(arena *a, bool gradient) {
    plan_builder *b = a->b;
    for (int i = 0; i < b->n_buffers; i++) {
        plan_buffer *buffer = &b->buffers[i];
        if (buffer->outside || !buffer->fixed || buffer->gradient != gradient) continue;
        buffer->offset = a->end;
        if (!pn_add_size(a->end, gradient ? gradient_room(buffer->bytes) : round_up(buffer->bytes), &a->end)) b->pool.failed = true;
    }
    a->end = round_up(a->end);
}

/* Buffers in the order in which they begin (or end), as linked lists per instruction. */
typedef struct timeline {
    int *head, *next;
} timeline;

static timeline make_timeline(plan_builder *b, bool by_last) {
    timeline t = {pn_pool_take(&b->pool, (size_t)b->plan->n_code + 2, sizeof(int)), pn_pool_take(&b->pool, (size_t)b->n_buffers + 1, sizeof(int))};
    if (!t.head || !t.next) return t;
    for (int i = 0; i < b->plan->n_code + 2; i++) t.head[i] = -1;
    for (int i = b->n_buffers - 1; i >= 0; i--) {
        const plan_buffer *buffer = &b->buffers[i];
        if (buffer->outside || buffer->fixed || buffer->shares >= 0 || buffer->last < 0) continue;
        const int at = by_last ? buffer->last : buffer->first;
        t.next[i] = t.head[at];
        t.head[at] = i;
    }
    return t;
}

static void place_temporary(arena *a) {
    plan_builder *b = a->b;
    const timeline begins = make_timeline(b, false), ends = make_timeline(b, true);
    if (b->pool.failed) return;
    for (int at = 0; at <= b->plan->n_code; at++) {
        for (int i = begins.head[at]; i >= 0; i = begins.next[i]) b->buffers[i].offset = arena_take(a, round_up(b->buffers[i].bytes));
        for (int i = ends.head[at]; i >= 0; i = ends.next[i]) arena_give(a, b->buffers[i].offset, round_up(b->buffers[i].bytes));
    }
    for (int i = 0; i < b->n_buffers; i++) b->buffers[i].offset = b->buffers[owner_of(b, i)].offset;
}

static void *address(const plan_builder *b, int buffer) {
    const plan_buffer *x = &b->buffers[buffer];
    return x->outside ? x->outside : (char *)b->plan->arena + x->offset;
}

static void patch_addresses(plan_builder *b) {
    pn_plan *p = b->plan;
    for (int i = 0; i < b->n_patches; i++) *b->patches[i].where = address(b, b->patches[i].buffer);
    for (int i = 0; i < p->n_code; i++) {
        if (p->notes[i].saved >= 0) p->code[i].call.saved = address(b, p->notes[i].saved);
        if (p->notes[i].scratch >= 0) p->code[i].call.scratch = address(b, p->notes[i].scratch);
    }
}

/* ---- barriers ---- */

typedef struct range {
    size_t lo, hi;
    bool write;
} range;

typedef struct pending {
    range list[PENDING];
    int n;
    bool full;
} pending;

static bool conflicts(const pending *p, const range *r) {
    for (int i = 0; i < p->n; i++)
        if (p->list[i].lo < r->hi && r->lo < p->list[i].hi && (p->list[i].write || r->write)) return true;
    return p->full;
}

static void remember(pending *p, const range *r) {
    if (p->n < PENDING)
        p->list[p->n++] = *r;
    else
        p->full = true;
}

/* The accesses of one instruction stand side by side in the list. */
static void place_barriers(plan_builder *b) {
    pn_plan *p = b->plan;
    pending since = {.n = 0};
    int next = 0;
    for (int i = 0; i < p->n_code; i++) {
        const int first = next;
        while (next < b->n_accesses && b->accesses[next].instruction <= i) next++;
        bool needed = i > 0 && p->notes[i - 1].phase == PLAN_CHECK; /* nobody may start before the check has passed */
        for (int pass = 0; pass < 2; pass++) {
            for (int k = first; k < next; k++) {
                const plan_access *a = &b->accesses[k];
                const plan_buffer *buffer = &b->buffers[a->buffer];
                if (buffer->outside) continue;
                const range r = {buffer->offset, buffer->offset + buffer->bytes, a->write};
                if (pass == 0)
                    needed |= conflicts(&since, &r);
                else
                    remember(&since, &r);
            }
            if (pass == 0 && needed) since = (pending){.n = 0};
        }
        p->code[i].barrier = needed;
    }
}

/* Accesses behind the end were noted in between: they go to the end of the list. */
static bool sort_accesses(plan_builder *b) {
    plan_access *sorted = pn_pool_take(&b->pool, (size_t)b->n_accesses, sizeof *sorted);
    if (!sorted) return false;
    int n = 0;
    for (int late = 0; late < 2; late++)
        for (int i = 0; i < b->n_accesses; i++)
            if ((b->accesses[i].instruction >= b->plan->n_code) == (late == 1)) sorted[n++] = b->accesses[i];
    b->accesses = sorted;
    return true;
}

pn_status pn_plan_place(plan_builder *b) {
    pn_plan *p = b->plan;
    arena a = {.b = b};
    if (!sort_accesses(b)) return pn_plan_out_of_memory(b);
    find_lifetimes(b);
    share_memory(b);
    place_fixed(&a, true);
    const size_t gradients = a.end;
    place_fixed(&a, false);
    place_temporary(&a);
    if (b->pool.failed) return pn_plan_out_of_memory(b);
    p->arena_bytes = a.end;
    p->arena = pn_alloc(a.end);
    if (!p->arena) return pn_fail(b->error, PN_E_MEMORY, "not enough memory for the buffers of a plan (%zu bytes)", a.end);
    memset(p->arena, 0, gradients); /* the padding between gradients stays zero */
    p->gradient_base = p->arena;
    p->gradient_n = (int64_t)(gradients / pn_dtype_bytes(p->dtype));
    patch_addresses(b);
    place_barriers(b);
    return PN_OK;
}
