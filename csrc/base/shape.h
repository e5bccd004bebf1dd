/* dtype and shape: what every layer of the core agrees on. Tensors are C-contiguous, rank <= 8. */
#ifndef PN_BASE_SHAPE_H
#define PN_BASE_SHAPE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define PN_MAX_RANK 8

typedef enum pn_dtype { PN_F32 = 0, PN_F64 = 1, PN_I64 = 2 } pn_dtype;

typedef struct pn_shape {
    int32_t rank;  /* 0..8; 0 is a scalar */
    int32_t dtype; /* pn_dtype */
    int64_t dim[PN_MAX_RANK];
} pn_shape;

static inline int64_t pn_shape_size(const pn_shape *s) {
    int64_t n = 1;
    for (int i = 0; i < s->rank; i++) n *= s->dim[i];
    return n;
}
static inline size_t pn_dtype_bytes(int dtype) { return dtype == PN_F32 ? 4 : 8; }
bool pn_shape_equal(const pn_shape *a, const pn_shape *b); /* rank and dims, not dtype */
bool pn_shape_bytes(const pn_shape *s, size_t *bytes);     /* false on overflow or a negative dim */
const char *pn_dtype_name(int dtype);                      /* "float32", "float64", "int64" */
/* "(32, 784)" into text; returns text. Shapes in messages are always written this way. */
const char *pn_shape_text(const pn_shape *s, char text[256]);
#endif
