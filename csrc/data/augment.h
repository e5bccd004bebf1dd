/* Pictures changed at random as they are gathered: shifts, crops, flips, small affine maps; and scaling by channel.
 *
 * A list of steps is a row of numbers, one step behind the other: its kind, how many numbers follow, and these:
 *
 *   PN_AUGMENT_SHIFT      rows, columns: up to so many pixels each way, zeros move in
 *   PN_AUGMENT_CROP       height, width, rows, columns: a window of the picture with so many rows and columns of zeros around
 *   PN_AUGMENT_FLIP       p: left and right change places with this probability
 *   PN_AUGMENT_AFFINE     degrees from, to; columns, rows of the shift, at most; scale from, to; degrees of the shear from, to
 *   PN_AUGMENT_NORMALIZE  means of the channels, deviations of the channels
 *
 * What a picture gets is a function of seed, step of the training and place in the batch (its own Philox stream): the same for any number of threads, and
 * again when a training is resumed. Arithmetic is scalar and in double where coordinates are: the same bits on every machine. */
#ifndef PN_DATA_AUGMENT_H
#define PN_DATA_AUGMENT_H
#include "base/status.h"
#include "base/team.h"
#include "data/gather.h"

#define PN_AUGMENT_STEPS 16 /* steps of a list */
#define PN_AUGMENT_DRAWS 8  /* numbers that a step may draw */

enum { PN_AUGMENT_SHIFT, PN_AUGMENT_CROP, PN_AUGMENT_FLIP, PN_AUGMENT_AFFINE, PN_AUGMENT_NORMALIZE, PN_AUGMENT_KINDS };

typedef struct pn_augment {
    const double *code; /* the list; borrowed */
    int64_t length;     /* of code; 0: nothing is changed */
    int64_t c, h, w;    /* a picture as it comes: channels, height, width */
    int64_t oh, ow;     /* and as it leaves */
    int64_t room;       /* elements of the largest picture on the way */
    uint64_t key;       /* of the stream */
} pn_augment;

/* Looks at the list once and for all. c, h, w at least 1. PN_E_VALUE with a sentence when it is none, or does not fit the pictures. */
pn_status pn_augment_init(pn_augment *a, const double *code, int64_t length, int64_t c, int64_t h, int64_t w, uint64_t seed, pn_error *e);
/* Bytes that pn_augment_gather needs. */
size_t pn_augment_scratch(const pn_augment *a, int dtype);
/* dst[n, c, oh, ow] of dtype (float32 or float64): rows of s as pn_source_gather takes them, changed. place: of the first one in the batch of this step. The
 * poll of m is looked at within large pictures and between small ones; told to stop, it leaves the rest. */
void pn_augment_gather(const pn_augment *a, const pn_source *s, const int64_t *index, int64_t first, int64_t n, uint64_t step, uint64_t place, int dtype,
                       void *dst, void *scratch, pn_member *m);
#endif
