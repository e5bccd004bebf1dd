/* Comparing, sizing and printing shapes. */
#include "base/shape.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"

bool pn_shape_equal(const pn_shape *a, const pn_shape *b) {
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++) {
        if (a->dim[i] != b->dim[i]) return false;
    }
    return true;
}

bool pn_shape_bytes(const pn_shape *s, size_t *bytes) {
    size_t total = pn_dtype_bytes(s->dtype);
    bool empty = false;
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] < 0) return false;
        if (s->dim[i] == 0) empty = true;
        /* A zero somewhere must not hide that the other dims overflow: their products appear as strides. */
        if (s->dim[i] > 0 && !pn_mul_size(total, (size_t)s->dim[i], &total)) return false;
    }
    if (total > PTRDIFF_MAX) return false;
    *bytes = empty ? 0 : total;
    return true;
}

const char *pn_dtype_name(int dtype) { return dtype == PN_F32 ? "float32" : dtype == PN_F64 ? "float64" : "int64"; }

const char *pn_shape_text(const pn_shape *s, char text[256]) {
    size_t at = 0;
    text[at++] = '(';
    for (int i = 0; i < s->rank; i++) at += (size_t)snprintf(text + at, 256 - at, i ? ", %" PRId64 : "%" PRId64, s->dim[i]);
    snprintf(text + at, 256 - at, s->rank == 1 ? ",)" : ")"); /* as Python writes a tuple */
    return text;
}
