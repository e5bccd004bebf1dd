/* Merging of dimensions and the walk over runs. See broadcast.h. */
#include "ops/broadcast.h"

/* Size of input dimension d when aligned with an output of the given rank. */
static int64_t aligned_dim(const pn_shape *s, int rank, int d) {
    int own = d - (rank - s->rank);
    return own < 0 ? 1 : s->dim[own];
}

pn_status pn_bcast_infer(pn_infer *q, int n_in, const char *const *names, pn_shape *out) {
    char ta[256], tb[256];
    int rank = 0;
    for (int i = 0; i < n_in; i++) rank = q->in[i].rank > rank ? q->in[i].rank : rank;
    out->rank = rank;
    for (int d = 0; d < rank; d++) {
        int from = 0; /* the input that gave this size */
        out->dim[d] = 1;
        for (int i = 0; i < n_in; i++) {
            int64_t size = aligned_dim(&q->in[i], rank, d);
            if (size == 1 || size == out->dim[d]) continue;
            if (out->dim[d] != 1) {
                return pn_fail(q->error, PN_E_VALUE, "%s has shape %s and %s has shape %s: dimension %d is %lld against %lld, expected equal sizes or 1",
                               names[from], pn_shape_text(&q->in[from], ta), names[i], pn_shape_text(&q->in[i], tb), d - rank, (long long)out->dim[d],
                               (long long)size);
            }
            out->dim[d] = size;
            from = i;
        }
    }
    return PN_OK;
}

/* Is every input repeated, or not, on both of these dimensions alike? Then they are one. */
static bool alike(const pn_bcast *b, int i, const int64_t *step) {
    for (int k = 0; k < b->n_in; k++) {
        if (step[k] != b->step[k][i] * b->dim[i]) return false;
    }
    return true;
}

void pn_bcast_init(pn_bcast *b, const pn_shape *out, int n_in, const pn_view *in) {
    int64_t stride[PN_BCAST_MAX], step[PN_BCAST_MAX];
    int top = PN_MAX_RANK; /* filled from the back, moved to the front at the end */
    b->n_in = n_in;
    for (int k = 0; k < n_in; k++) stride[k] = 1;
    for (int d = out->rank - 1; d >= 0; d--) {
        if (out->dim[d] == 1) continue;
        for (int k = 0; k < n_in; k++) {
            bool repeated = aligned_dim(&in[k].shape, out->rank, d) == 1;
            step[k] = repeated ? 0 : stride[k];
            if (!repeated) stride[k] *= out->dim[d];
        }
        if (top < PN_MAX_RANK && alike(b, top, step)) {
            b->dim[top] *= out->dim[d];
            continue;
        }
        b->dim[--top] = out->dim[d];
        for (int k = 0; k < n_in; k++) b->step[k][top] = step[k];
    }
    if (top == PN_MAX_RANK) { /* one element */
        b->dim[--top] = 1;
        for (int k = 0; k < n_in; k++) b->step[k][top] = 1;
    }
    b->rank = PN_MAX_RANK - top;
    memmove(b->dim, b->dim + top, sizeof b->dim[0] * (size_t)b->rank);
    for (int k = 0; k < n_in; k++) memmove(b->step[k], b->step[k] + top, sizeof b->dim[0] * (size_t)b->rank);
}

pn_bcast_walk pn_bcast_open(const pn_bcast *b, int64_t lo, int64_t hi) {
    pn_bcast_walk w = {.b = b, .at = lo, .end = hi};
    if (lo == 0 || lo >= hi) return w;
    for (int d = b->rank - 1; d >= 0; d--) {
        w.index[d] = lo % b->dim[d];
        lo /= b->dim[d];
        for (int k = 0; k < b->n_in; k++) w.in[k] += w.index[d] * b->step[k][d];
    }
    return w;
}

/* To the start of the next run: the last dimension is done, the ones before it count up like an odometer. */
static void carry(pn_bcast_walk *w) {
    const pn_bcast *b = w->b;
    for (int d = b->rank - 1; d > 0 && w->index[d] == b->dim[d]; d--) {
        for (int k = 0; k < b->n_in; k++) w->in[k] += b->step[k][d - 1] - b->step[k][d] * b->dim[d];
        w->index[d] = 0;
        w->index[d - 1]++;
    }
}

bool pn_bcast_next(pn_bcast_walk *w) {
    const pn_bcast *b = w->b;
    const int last = b->rank - 1;
    w->at += w->n;
    if (w->at >= w->end) return false;
    w->index[last] += w->n;
    for (int k = 0; k < b->n_in; k++) w->in[k] += w->n * b->step[k][last];
    if (w->index[last] == b->dim[last]) carry(w);
    w->n = b->dim[last] - w->index[last];
    if (w->n > w->end - w->at) w->n = w->end - w->at;
    return true;
}
