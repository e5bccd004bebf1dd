/* Looking at somebody else's array before training: is every number finite, is every label in range? One pass, nothing is copied as a whole. */
#ifndef PN_DATA_CHECK_H
#define PN_DATA_CHECK_H
#include "data/gather.h"

/* Largest |x| of all elements, as numbers of dtype (float32 or float64), in *max; the first row with an element that is not finite then in *row, or -1.
 * False: out of memory. */
bool pn_source_max(const pn_source *s, int dtype, double *max, int64_t *row);
/* The first row with a label outside 0..classes-1 (and not `ignore`) in *row and that label in *label; *row is -1 when all are fine. A number that is no
 * integer counts as INT64_MIN. */
bool pn_source_labels(const pn_source *s, int64_t classes, int64_t ignore, int64_t *row, int64_t *label);
#endif
