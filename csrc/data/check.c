/* Checks run over a few rows at a time, converted by the same code as training does it. */
#include "data/check.h"

#include <math.h>

#include "base/alloc.h"
#include "kernels/kernels.h"

#define ROOM (1 << 15) /* bytes of converted numbers at a time: stays in the cache */

static int64_t rows_at_once(const pn_source *s, size_t bytes) {
    const int64_t n = s->row_size > 0 ? (int64_t)(ROOM / bytes) / s->row_size : s->rows;
    return n < 1 ? 1 : n;
}

static double block_max(const pn_kernels *k, int dtype, const void *x, int64_t n) { return dtype == PN_F32 ? (double)k->f.abs_max(x, n) : k->d.abs_max(x, n); }

bool pn_source_max(const pn_source *s, int dtype, double *max, int64_t *row) {
    const pn_kernels *k = pn_kernels_get();
    const size_t bytes = pn_dtype_bytes(dtype);
    const int64_t step = rows_at_once(s, bytes);
    char *room = pn_alloc((size_t)(step * s->row_size) * bytes);
    *max = 0;
    *row = -1;
    if (!room) return false;
    for (int64_t first = 0; first < s->rows && *row < 0; first += step) {
        const int64_t n = s->rows - first < step ? s->rows - first : step;
        pn_source_gather(s, NULL, first, n, dtype, room);
        const double seen = block_max(k, dtype, room, n * s->row_size);
        if (isfinite(seen)) {
            if (seen > *max) *max = seen;
            continue;
        }
        for (*row = first; isfinite(block_max(k, dtype, room + (size_t)((*row - first) * s->row_size) * bytes, s->row_size));) ++*row;
    }
    pn_free(room);
    return true;
}

bool pn_source_labels(const pn_source *s, int64_t classes, int64_t ignore, int64_t *row, int64_t *label) {
    const int64_t step = rows_at_once(s, sizeof(int64_t));
    int64_t *room = pn_alloc((size_t)(step * s->row_size) * sizeof *room);
    *row = -1;
    *label = 0;
    if (!room) return false;
    for (int64_t first = 0; first < s->rows && *row < 0; first += step) {
        const int64_t n = s->rows - first < step ? s->rows - first : step;
        pn_source_gather(s, NULL, first, n, PN_I64, room);
        for (int64_t i = 0; i < n * s->row_size; i++) {
            if ((room[i] >= 0 && room[i] < classes) || room[i] == ignore) continue;
            *row = first + i / s->row_size;
            *label = room[i];
            break;
        }
    }
    pn_free(room);
    return true;
}
