/* Reading rows of somebody else's array: any numeric type, byte order and strides, converted on the way. Nothing is copied as a whole. */
#ifndef PN_DATA_GATHER_H
#define PN_DATA_GATHER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/shape.h"

#define PN_SOURCE_MAX_RANK 64

typedef enum pn_number {
    PN_NUM_BOOL,
    PN_NUM_I8,
    PN_NUM_U8,
    PN_NUM_I16,
    PN_NUM_U16,
    PN_NUM_I32,
    PN_NUM_U32,
    PN_NUM_I64,
    PN_NUM_U64,
    PN_NUM_F16,
    PN_NUM_F32,
    PN_NUM_F64,
    PN_NUM_COUNT
} pn_number;

/* An array as rows along its first axis. */
typedef struct pn_source {
    const char *data; /* first element */
    pn_number number;
    bool swapped;                                                /* foreign byte order */
    int rank;                                                    /* of one row */
    int64_t rows;                                                /* length of the first axis; 1 for a scalar */
    int64_t row_stride;                                          /* bytes, may be negative or zero */
    int64_t row_size;                                            /* elements of a row */
    bool packed;                                                 /* the elements of a row lie one behind the other */
    int64_t dim[PN_SOURCE_MAX_RANK], stride[PN_SOURCE_MAX_RANK]; /* (rank) of a row; strides in bytes */
} pn_source;

/* dst[n, row_size] of dtype: rows index[0..n), or rows first..first+n when index is NULL. Indices were checked by the caller.
 * To int64 a number that is no integer, or too large, becomes INT64_MIN: no label has that value, so that a range check finds it. */
void pn_source_gather(const pn_source *s, const int64_t *index, int64_t first, int64_t n, int dtype, void *dst);
size_t pn_number_bytes(pn_number number);
#endif
