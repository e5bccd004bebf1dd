/* Augmentation: buffers of the exact size, so that sanitizers see a byte too far; the place in the batch decides, not the place in memory. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/shape.h"
#include "data/augment.h"

#define ROWS 9

static const double lists[][24] = {
    {PN_AUGMENT_SHIFT, 2, 3, 20},
    {PN_AUGMENT_CROP, 4, 2, 1, 5, 0},
    {PN_AUGMENT_CROP, 4, 4, 9, 2, 4, PN_AUGMENT_SHIFT, 2, 1, 1},
    {PN_AUGMENT_FLIP, 1, 0.5, PN_AUGMENT_FLIP, 1, 0.5},
    {PN_AUGMENT_AFFINE, 8, -360, 360, 3, 3, 0.001, 3, -80, 80},
    {PN_AUGMENT_AFFINE, 8, 30, 30, 0, 0, 1000, 1000, 0, 0, PN_AUGMENT_CROP, 4, 1, 1, 0, 0},
};
static const int64_t lengths[] = {4, 6, 10, 6, 10, 16};

static pn_source pictures(const float *x, int64_t h, int64_t w) {
    pn_source s = {.data = (const char *)x, .number = PN_NUM_F32, .rank = 3, .rows = ROWS, .row_size = 2 * h * w, .row_stride = 8 * h * w, .packed = true};
    s.dim[0] = 2, s.dim[1] = h, s.dim[2] = w;
    s.stride[0] = 4 * h * w, s.stride[1] = 4 * w, s.stride[2] = 4;
    return s;
}

/* All rows at once are the rows one by one, in any order. */
static void check(int list, int64_t h, int64_t w, int dtype) {
    pn_augment a;
    pn_error e = {PN_OK, ""};
    if (pn_augment_init(&a, lists[list], lengths[list], 2, h, w, 7, &e)) {
        CHECK(e.status == PN_E_VALUE && strstr(e.text, "augment"), "%s", e.text);
        return;
    }
    const int64_t out = 2 * a.oh * a.ow;
    const size_t bytes = pn_dtype_bytes(dtype), row = (size_t)out * bytes, scratch = pn_augment_scratch(&a, dtype);
    float *x = malloc((size_t)(ROWS * 2 * h * w) * sizeof *x);
    char *y = malloc(ROWS * row), *one = malloc(row), *room = malloc(scratch);
    for (int64_t i = 0; i < ROWS * 2 * h * w; i++) x[i] = (float)(i + 1);
    const pn_source s = pictures(x, h, w);
    pn_augment_gather(&a, &s, NULL, 0, ROWS, 3, 0, dtype, y, room, NULL);
    for (int64_t i = ROWS; i-- > 0;) {
        memset(room, 0xFF, scratch); /* NaN, should anything be read before it is written */
        pn_augment_gather(&a, &s, &i, 0, 1, 3, (uint64_t)i, dtype, one, room, NULL);
        CHECK(!memcmp(one, y + (size_t)i * row, row), "list %d, %lld x %lld, row %lld", list, (long long)h, (long long)w, (long long)i);
    }
    free(x), free(y), free(one), free(room);
}

TEST(pictures_are_changed_by_their_place) {
    static const int64_t sides[] = {1, 2, 5, 16};
    for (int list = 0; list < 6; list++) {
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 4; j++) {
                check(list, sides[i], sides[j], PN_F32);
                check(list, sides[i], sides[j], PN_F64);
            }
        }
    }
}

/* Every kind of change looks at the poll within one picture: told to stop, it leaves the end. */
TEST(large_pictures_stop) {
    static const double large[][16] = {
        {PN_AUGMENT_SHIFT, 2, 1, 1},
        {PN_AUGMENT_CROP, 4, 1200, 1100, 2, 2},
        {PN_AUGMENT_FLIP, 1, 1},
        {PN_AUGMENT_AFFINE, 8, 30, 30, 3, 3, 1, 1, 0, 0},
        {PN_AUGMENT_NORMALIZE, 4, 1, 2, 3, 4},
    };
    static const int64_t length[] = {4, 6, 3, 10, 6};
    const int64_t h = 1300, w = 1200, n = 2 * h * w;
    float *x = calloc((size_t)n, sizeof *x), *y = malloc((size_t)n * sizeof *y);
    const pn_source s = pictures(x, h, w);
    for (int i = 0; i < 5; i++) {
        pn_augment a;
        pn_error e;
        CHECK(pn_augment_init(&a, large[i], length[i], 2, h, w, 7, &e) == PN_OK, "%s", e.text);
        const int64_t out = 2 * a.oh * a.ow;
        void *room = malloc(pn_augment_scratch(&a, PN_F32));
        pn_poll poll;
        pn_poll_init(&poll, NULL, NULL);
        pn_member m = {.count = 1, .poll = &poll};
        for (int stop = 0; stop < 2; stop++) {
            atomic_store(&poll.stop, stop);
            y[out - 1] = 77;
            pn_augment_gather(&a, &s, NULL, 0, 1, 3, 0, PN_F32, y, room, &m);
            CHECK((y[out - 1] == 77) == stop, "kind %d: the end is %g", (int)large[i][0], (double)y[out - 1]);
        }
        free(room);
    }
    free(x), free(y);
}

TEST(no_list_no_scratch) {
    pn_augment a;
    pn_error e;
    CHECK(pn_augment_init(&a, NULL, 0, 1, 4, 4, 0, &e) == PN_OK && pn_augment_scratch(&a, PN_F32) == 0);
}
