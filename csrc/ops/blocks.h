/* Tensors in blocks of 16 samples (pn_layout of op.h): where they lie, and the way there and back from the plain order. For the reorders of
 * plans and for ops whose algorithm works on blocks. Both ways are transposes of 16 x many numbers.
 *
 * The typed part is for the file that moves: it includes this header once per real type. */
#ifndef PN_REAL_PASS
#ifndef PN_OPS_BLOCKS_H
#define PN_OPS_BLOCKS_H
#include "ops/op_helpers.h"

/* A blocked tensor is `lanes` rows of `cols` in `count` blocks of 16 lanes. */
typedef struct pn_blocking {
    int64_t lanes, cols, count;
} pn_blocking;

static inline pn_blocking pn_blocking_of(const pn_shape *s) {
    const int64_t lanes = s->dim[0];
    return (pn_blocking){lanes, pn_shape_count(s, 1, s->rank), pn_blocks_of(lanes, PN_LAYOUT_LANES)};
}

/* Elements that a tensor takes in this layout. */
static inline int64_t pn_layout_size(const pn_shape *s, pn_layout layout) {
    if (layout == PN_PLAIN) return pn_shape_size(s);
    const pn_blocking b = pn_blocking_of(s);
    return b.count * b.cols * PN_LAYOUT_LANES;
}
#endif
#else

/* One block of `lanes` rows (row stride `plain`, `cols` long) to (cols, 16), lanes behind the last one 0; add: += on the blocked side. */
static void R_(block_in)(const R_(pn_kernels) *k, real *y, const real *x, int64_t lanes, int64_t cols, int64_t plain, bool add) {
    if (add) {
        for (int64_t c = 0; c < cols; c++)
            for (int64_t l = 0; l < lanes; l++) y[c * PN_LAYOUT_LANES + l] += x[l * plain + c];
        return;
    }
    if (lanes < PN_LAYOUT_LANES) k->fill(y, 0, cols * PN_LAYOUT_LANES);
    k->transpose(y, x, lanes, cols, plain, PN_LAYOUT_LANES);
}
static void R_(block_out)(const R_(pn_kernels) *k, real *y, const real *x, int64_t lanes, int64_t cols, int64_t plain, bool add) {
    if (!add) {
        k->transpose(y, x, cols, lanes, PN_LAYOUT_LANES, plain);
        return;
    }
    for (int64_t l = 0; l < lanes; l++)
        for (int64_t c = 0; c < cols; c++) y[l * plain + c] += x[c * PN_LAYOUT_LANES + l];
}

/* y (= or +=) x, from the plain order to blocks (in) or back: pieces of blocks are shared by the members. */
static void R_(blocks_move)(const pn_call *c, pn_member *m, real *y, const real *x, const pn_blocking *b, bool in, bool add) {
    enum { PIECE = 1024 }; /* columns: 64 KiB of float */
    const R_(pn_kernels) *k = R_(pn_call_kernels)(c);
    const int64_t pieces = pn_blocks_of(b->cols, PIECE);
    int64_t lo, hi;
    pn_member_range(m, b->count * pieces, &lo, &hi);
    for (int64_t i = lo; i < hi && !pn_member_stopped(m); i++) {
        const int64_t block = i / pieces, col = i % pieces * PIECE, first = block * PN_LAYOUT_LANES, left = b->lanes - first;
        const int64_t plain = first * b->cols + col, blocked = (block * b->cols + col) * PN_LAYOUT_LANES;
        const int64_t lanes = left < PN_LAYOUT_LANES ? left : PN_LAYOUT_LANES, cols = b->cols - col < PIECE ? b->cols - col : PIECE;
        if (in)
            R_(block_in)(k, y + blocked, x + plain, lanes, cols, b->cols, add);
        else
            R_(block_out)(k, y + plain, x + blocked, lanes, cols, b->cols, add);
    }
}
#endif
