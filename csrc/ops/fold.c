/* The walk over outputs and their elements, and the sum. See fold.h. */
#ifdef PN_REAL_PASS

static inline void R_(store)(real *y, double value, bool add) { *y = (real)(add ? *y + value : value); }

/* A long vector becomes one number: a partial sum for each block of 4096, then one member adds them in order. */
static void R_(sum_all)(const pn_call *c, pn_member *m, int64_t n, real *y, const real *x, double divisor, bool add, double *partial) {
    const int64_t blocks = pn_blocks_of(n, PN_BLOCK);
    int64_t lo, hi;
    pn_member_range(m, blocks, &lo, &hi);
    for (int64_t b = lo; b < hi && (b % 64 || !pn_member_stopped(m)); b++) {
        const int64_t first = b * PN_BLOCK, left = n - first;
        partial[b] = R_(pn_call_kernels)(c)->sum(x + first, left < PN_BLOCK ? left : PN_BLOCK);
    }
    pn_member_barrier(m);
    if (m->index != 0) return;
    double total = 0;
    for (int64_t b = 0; b < blocks; b++) total += partial[b];
    R_(store)(y, total / divisor, add);
}

/* Short runs are not worth a call, long ones are polled. */
static inline double R_(sum_run)(const pn_call *c, pn_member *m, const real *x, int64_t n) {
    double total = 0;
    if (n > 8 && n <= PN_PIECE) return R_(pn_call_kernels)(c)->sum(x, n);
    for (; n > PN_PIECE && !pn_member_stopped(m); x += PN_PIECE, n -= PN_PIECE) total += R_(pn_call_kernels)(c)->sum(x, PN_PIECE);
    if (n > 8) return total + R_(pn_call_kernels)(c)->sum(x, n < PN_PIECE ? n : PN_PIECE);
    for (int64_t i = 0; i < n; i++) total += x[i];
    return total;
}

/* Each output is the sum of one run: rows that lie one behind the other. */
static void R_(sum_each_row)(const pn_call *c, pn_member *m, const pn_fold *f, real *y, const real *x, double divisor, bool add) {
    int64_t lo, hi;
    pn_member_share(m, f->out, f->run < PN_BLOCK ? PN_BLOCK / (f->run ? f->run : 1) : 1, &lo, &hi);
    for (int64_t o = lo; o < hi; o++) {
        if ((f->run > PN_BLOCK || o % 4096 == 4095) && pn_member_stopped(m)) return;
        R_(store)(y + o, R_(sum_run)(c, m, x + o * f->run, f->run) / divisor, add);
    }
}

/* One output: runs that lie apart. */
static double R_(sum_runs)(const pn_call *c, pn_fold_walk *w, const real *x) {
    double total = 0;
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) total += R_(sum_run)(c, w->m, x + w->offset, w->n);
    return total;
}

/* Neighbouring outputs: one row after the other is added to them. */
static void R_(sum_rows)(pn_fold_walk *w, real *y, const real *x, double divisor, bool add) {
    double total[PN_FOLD_WIDTH] = {0};
    for (bool more = pn_fold_first(w); more; more = pn_fold_step(w)) {
        for (int64_t j = 0; j < w->width; j++) total[j] += x[w->offset + j];
    }
    for (int64_t j = 0; j < w->width; j++) R_(store)(y + j, total[j] / divisor, add);
}

void R_(pn_fold_sum)(const pn_call *c, pn_member *m, const pn_fold *f, real *y, const real *x, double divisor, bool add, double *scratch) {
    if (pn_fold_sum_scratch(f)) {
        R_(sum_all)(c, m, f->count, y, x, divisor, add, scratch);
        return;
    }
    if (f->along && f->n_folded == 0) {
        R_(sum_each_row)(c, m, f, y, x, divisor, add);
        return;
    }
    /* The kernel rounds before one could divide, and it does not poll. */
    const bool columns = !f->along && f->n_folded == 1 && divisor == 1 && f->count <= PN_PIECE / 8;
    for (pn_fold_walk w = pn_fold_open(f, m); pn_fold_next(&w);) {
        if (f->along)
            R_(store)(y + w.at, R_(sum_runs)(c, &w, x) / divisor, add);
        else if (columns)
            R_(pn_call_kernels)(c)->column_sums(y + w.at, x + w.base, f->folded[0], w.width, f->folded_step[0], add);
        else
            R_(sum_rows)(&w, y + w.at, x, divisor, add);
    }
}

#else
#include "ops/fold.h"

#define PN_REAL_FILE "ops/fold.c"
#include "base/real.h"

void pn_fold_init(pn_fold *f, const pn_shape *x, unsigned folded) {
    /* Merged dimensions of x from the last to the first; stride is that of the dimension at hand. */
    int64_t dim[PN_MAX_RANK], step[PN_MAX_RANK], stride = 1;
    bool gone[PN_MAX_RANK];
    int n = 0;
    f->out = f->count = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        const bool away = folded >> d & 1;
        *(away ? &f->count : &f->out) *= x->dim[d];
        if (x->dim[d] == 1) continue;
        if (n && gone[n - 1] == away) {
            dim[n - 1] *= x->dim[d];
        } else {
            dim[n] = x->dim[d], step[n] = stride, gone[n] = away;
            n++;
        }
        stride *= x->dim[d];
    }
    f->run = n ? dim[0] : 1;
    f->along = n ? gone[0] : true;
    f->n_kept = f->n_folded = 0;
    for (int i = n - 1; i > 0; i--) {
        if (gone[i]) {
            f->folded[f->n_folded] = dim[i];
            f->folded_step[f->n_folded++] = step[i];
        } else {
            f->kept[f->n_kept] = dim[i];
            f->kept_step[f->n_kept++] = step[i];
        }
    }
}

unsigned pn_fold_repeated(const pn_shape *from, const pn_shape *to) {
    unsigned repeated = 0;
    for (int d = 0; d < from->rank; d++) {
        const int own = d - (from->rank - to->rank);
        if (own < 0 || to->dim[own] != from->dim[d]) repeated |= 1u << d;
    }
    return repeated;
}

/* Outputs that one group covers, and groups in all. */
static int64_t group_width(const pn_fold *f) { return f->along ? 1 : PN_FOLD_WIDTH; }
static int64_t group_count(const pn_fold *f) {
    if (f->out == 0) return 0;
    return f->along ? f->out : f->out / f->run * pn_blocks_of(f->run, PN_FOLD_WIDTH);
}

pn_fold_walk pn_fold_open(const pn_fold *f, pn_member *m) {
    pn_fold_walk w;
    /* A block is as many groups as make about 4096 elements of x. */
    const int64_t elements = f->count < PN_BLOCK ? group_width(f) * (f->count ? f->count : 1) : PN_BLOCK;
    w.f = f, w.m = m, w.number = 0;
    pn_member_share(m, group_count(f), elements < PN_BLOCK ? PN_BLOCK / elements : 1, &w.group, &w.end);
    w.group--;
    return w;
}

bool pn_fold_next(pn_fold_walk *w) {
    const pn_fold *f = w->f;
    if (++w->group >= w->end) return false;
    if ((f->count * group_width(f) > PN_BLOCK || w->group % 64 == 63) && pn_member_stopped(w->m)) return false;
    int64_t outer = w->group; /* position in the kept dimensions before the run */
    w->width = 1, w->base = 0, w->at = w->group;
    if (!f->along) {
        const int64_t chunks = pn_blocks_of(f->run, PN_FOLD_WIDTH), first = outer % chunks * PN_FOLD_WIDTH;
        outer /= chunks;
        w->width = f->run - first < PN_FOLD_WIDTH ? f->run - first : PN_FOLD_WIDTH;
        w->base = first;
        w->at = outer * f->run + first;
    }
    for (int d = f->n_kept - 1; d >= 0; d--) {
        w->base += outer % f->kept[d] * f->kept_step[d];
        outer /= f->kept[d];
    }
    return true;
}

/* Length of a step at `done` in the run. */
static int64_t step_length(const pn_fold_walk *w) {
    const int64_t left = w->f->run - w->done;
    return !w->f->along ? w->width : left < PN_PIECE ? left : PN_PIECE;
}

bool pn_fold_first(pn_fold_walk *w) {
    for (int d = 0; d < w->f->n_folded; d++) w->index[d] = 0;
    w->offset = w->base;
    w->number = w->done = 0;
    w->n = step_length(w);
    return w->f->count > 0;
}

/* Counts on by what the step had of each output; true when it is time to look at the poll. */
static bool count_on(pn_fold_walk *w) {
    const int64_t before = w->number, often = w->f->along ? PN_PIECE : PN_PIECE / PN_FOLD_WIDTH; /* powers of 2 */
    w->number += w->f->along ? w->n : 1;
    return (before ^ w->number) & -often;
}

bool pn_fold_step(pn_fold_walk *w) {
    const pn_fold *f = w->f;
    if (count_on(w) && pn_member_stopped(w->m)) return false;
    w->done += w->n;
    if (f->along && w->done < f->run) { /* the run goes on */
        w->offset += w->n;
        w->n = step_length(w);
        return true;
    }
    w->offset -= f->along ? w->done - w->n : 0;
    w->done = 0;
    w->n = step_length(w);
    for (int d = f->n_folded - 1; d >= 0; d--) {
        w->offset += f->folded_step[d];
        if (++w->index[d] < f->folded[d]) return true;
        w->offset -= f->folded[d] * f->folded_step[d];
        w->index[d] = 0;
    }
    return false;
}

size_t pn_fold_sum_scratch(const pn_fold *f) {
    const bool one = f->out == 1 && f->along && f->n_folded == 0;
    return one && f->count > PN_BLOCK ? (size_t)pn_blocks_of(f->count, PN_BLOCK) * sizeof(double) : 0;
}
#endif
