/* Rows and blocks of rows, shared by the members of a team. See copy.h. */
#ifdef PN_REAL_PASS

void R_(pn_put_rows)(const pn_call *c, pn_member *m, const pn_rows_copy *b, real *y, const real *x, bool add) {
    for (pn_span s = pn_span_open(m, b->rows * b->len); pn_span_next(&s, m);) {
        for (row_piece p = open_piece(b, &s); next_piece(b, &s, &p);) R_(pn_put)(c, y + p.row * b->to + p.at, x + p.row * b->from + p.at, p.n, add);
    }
}

#else
#include "ops/copy.h"

/* A piece of one row within a span of elements. */
typedef struct row_piece {
    int64_t row, at, n; /* elements [at, at + n) of the row */
} row_piece;

/* In front of the first piece. */
static inline row_piece open_piece(const pn_rows_copy *b, const pn_span *s) {
    const int64_t row = s->lo == 0 ? 0 : s->lo / b->len; /* most tensors are one span: no division */
    return (row_piece){.row = row, .at = s->lo - row * b->len, .n = 0};
}

static inline bool next_piece(const pn_rows_copy *b, const pn_span *s, row_piece *p) {
    p->at += p->n;
    if (p->at == b->len) p->at = 0, p->row++;
    const int64_t left = s->hi - (p->row * b->len + p->at);
    p->n = b->len - p->at < left ? b->len - p->at : left;
    return left > 0;
}

#define PN_REAL_FILE "ops/copy.c"
#include "base/real.h"

void pn_copy_rows(pn_member *m, const pn_rows_copy *b, void *y, const void *x, size_t size) {
    const int64_t bytes = (int64_t)size;
    for (pn_span s = pn_span_open(m, b->rows * b->len); pn_span_next(&s, m);) {
        for (row_piece p = open_piece(b, &s); next_piece(b, &s, &p);) {
            memcpy((char *)y + (p.row * b->to + p.at) * bytes, (const char *)x + (p.row * b->from + p.at) * bytes, (size_t)p.n * size);
        }
    }
}

void pn_clear(pn_member *m, void *y, int64_t n, size_t size) {
    for (pn_span s = pn_span_open(m, n); pn_span_next(&s, m);) memset((char *)y + s.lo * (int64_t)size, 0, (size_t)(s.hi - s.lo) * size);
}
#endif
