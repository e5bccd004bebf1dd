/* What happens to the parameters once a step is known to be good: the update, and the norm of the gradients that clipping asks for before it. */
#include "graph/plan_internal.h"
#include "ops/linear.h"
#include "ops/op_helpers.h"

/* ---- the update ---- */

static void update_piece(const pn_plan *p, const pn_optimizer *o, const plan_piece *piece, int64_t lo, int64_t hi) {
    const pn_segment *s = &o->segments[piece->segment];
    const pn_hyper *h = o->prepared[piece->segment];
    if (p->dtype == PN_F32) {
        float *s0 = s->state[0], *s1 = s->state[1], *s2 = s->state[2];
        p->kernels->f.update[o->rule]((float *)piece->weight + lo, (const float *)piece->gradient + lo, s0 ? s0 + lo : NULL, s1 ? s1 + lo : NULL,
                                      s2 ? s2 + lo : NULL, hi - lo, h);
    } else {
        double *s0 = s->state[0], *s1 = s->state[1], *s2 = s->state[2];
        p->kernels->d.update[o->rule]((double *)piece->weight + lo, (const double *)piece->gradient + lo, s0 ? s0 + lo : NULL, s1 ? s1 + lo : NULL,
                                      s2 ? s2 + lo : NULL, hi - lo, h);
    }
}

static int64_t piece_blocks(const plan_piece *piece) { return pn_blocks_of(piece->n, PN_PLAN_BLOCK); }

/* The members share the blocks of all pieces, counted through. */
static void update_pieces(const pn_plan *p, const pn_optimizer *o, pn_member *m) {
    int64_t total = 0, lo, hi, first = 0;
    for (int i = 0; i < p->n_pieces; i++) total += piece_blocks(&p->pieces[i]);
    pn_member_range(m, total, &lo, &hi);
    for (int i = 0; i < p->n_pieces; i++) {
        const plan_piece *piece = &p->pieces[i];
        const int64_t last = first + piece_blocks(piece);
        const int64_t from = lo > first ? lo - first : 0, to = (hi < last ? hi : last) - first;
        if (from < to) update_piece(p, o, piece, from * PN_PLAN_BLOCK, to * PN_PLAN_BLOCK < piece->n ? to * PN_PLAN_BLOCK : piece->n);
        first = last;
    }
}

static void update_deferred(const pn_plan *p, const pn_optimizer *o, pn_member *m) {
    for (int i = 0; i < p->n_deferred; i++) {
        const plan_deferred *d = &p->deferred[i];
        if (p->unfused) {
            int64_t lo, hi;
            pn_member_share(m, d->piece.n, PN_PLAN_BLOCK, &lo, &hi);
            if (lo < hi) update_piece(p, o, &d->piece, lo, hi);
        } else {
            pn_linear_update(&d->call, m, o->rule, o->prepared[d->segment], o->segments[d->segment].state);
        }
    }
}

void pn_plan_update(pn_plan *p, const pn_optimizer *o, pn_member *m) {
    pn_poll *poll = m->poll;
    m->poll = NULL; /* from the first parameter written to the last nothing stops */
    if (m->count == 1) {
        for (int i = 0; i < p->n_pieces; i++) update_piece(p, o, &p->pieces[i], 0, p->pieces[i].n);
    } else {
        update_pieces(p, o, m);
    }
    update_deferred(p, o, m);
    m->poll = poll;
}

/* ---- the norm ---- */

double pn_plan_gradient_norm2(pn_plan *p, pn_member *m) {
    const int64_t n = p->gradient_n, blocks = pn_blocks_of(n, PN_PLAN_BLOCK);
    const size_t bytes = pn_dtype_bytes(p->dtype);
    int64_t lo, hi;
    pn_member_range(m, blocks, &lo, &hi);
    for (int64_t b = lo; b < hi; b++) {
        const char *g = (const char *)p->gradient_base + (size_t)(b * PN_PLAN_BLOCK) * bytes;
        const int64_t count = n - b * PN_PLAN_BLOCK < PN_PLAN_BLOCK ? n - b * PN_PLAN_BLOCK : PN_PLAN_BLOCK;
        p->partial[b] = p->dtype == PN_F32 ? p->kernels->f.sum_squares((const float *)(const void *)g, count)
                                           : p->kernels->d.sum_squares((const double *)(const void *)g, count);
    }
    pn_member_barrier(m);
    double total = 0;
    for (int64_t b = 0; b < blocks; b++) total += p->partial[b];
    return total;
}
