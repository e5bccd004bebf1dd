/* Ops along one dimension (softmax, class losses) see a tensor as rows of `n` scores: shape (outer, n, inner) has outer * inner rows. With inner == 1 a
 * row is contiguous and used where it lies; else blocks of rows are copied into scratch and back. */
#ifndef PN_OPS_ROWS_H
#define PN_OPS_ROWS_H
#include "ops/op_helpers.h"

typedef struct pn_rows {
    int64_t outer, n, inner;
    int64_t count; /* rows: outer * inner */
    int64_t block; /* rows a block: about 4096 elements, by shape alone */
    int64_t blocks;
} pn_rows;

static inline pn_rows pn_rows_of(const pn_shape *s, int dim) {
    pn_rows r = {1, 1, 1, 0, 0, 0};
    for (int i = 0; i < s->rank; i++) *(i < dim ? &r.outer : i == dim ? &r.n : &r.inner) *= s->dim[i];
    r.count = r.outer * r.inner;
    r.block = r.n < 4096 ? 4096 / (r.n > 0 ? r.n : 1) : 1;
    r.blocks = r.count <= r.block ? 1 : (r.count + r.block - 1) / r.block;
    return r;
}
static inline int64_t pn_rows_first(const pn_rows *r, int64_t block) { return block * r->block; }
static inline int64_t pn_rows_in(const pn_rows *r, int64_t block) {
    const int64_t left = r->count - block * r->block;
    return left < r->block ? left : r->block;
}
/* Elements of scratch that a block needs when rows are not contiguous. */
static inline int64_t pn_rows_scratch(const pn_rows *r) { return r->inner == 1 ? 0 : r->block * r->n; }
/* Where element 0 of a row lies; the next ones follow at distance inner. */
static inline int64_t pn_row_offset(const pn_rows *r, int64_t row) { return r->inner == 1 ? row * r->n : row / r->inner * r->n * r->inner + row % r->inner; }

#define PN_ROWS_COPY(real, suffix)                                                                                                                             \
    /* Rows [first, first + count) of x as a contiguous (count, n) block: in place when they are, else copied into buffer. A long row looks at the poll. */    \
    static inline const real *pn_rows_load##suffix(pn_member *m, const pn_rows *r, const real *x, int64_t first, int64_t count, real *buffer) {                \
        if (r->inner == 1) return x + first * r->n;                                                                                                            \
        for (int64_t i = 0; i < count; i++) {                                                                                                                  \
            const real *from = x + pn_row_offset(r, first + i);                                                                                                \
            for (int64_t j = 0; j < r->n && (j % PN_BLOCK || j == 0 || !pn_member_stopped(m)); j++) buffer[i * r->n + j] = from[j * r->inner];                 \
        }                                                                                                                                                      \
        return buffer;                                                                                                                                         \
    }                                                                                                                                                          \
    /* The way back: y (= or +=) the block. */                                                                                                                 \
    static inline void pn_rows_store##suffix(pn_member *m, const pn_rows *r, real *y, int64_t first, int64_t count, const real *block, bool add) {             \
        for (int64_t i = 0; i < count; i++) {                                                                                                                  \
            real *to = y + pn_row_offset(r, first + i);                                                                                                        \
            for (int64_t j = 0; j < r->n && (j % PN_BLOCK || j == 0 || !pn_member_stopped(m)); j++)                                                            \
                to[j * r->inner] = block[i * r->n + j] + (add ? to[j * r->inner] : 0);                                                                         \
        }                                                                                                                                                      \
    }
PN_ROWS_COPY(float, _f)
PN_ROWS_COPY(double, _d)
#endif
