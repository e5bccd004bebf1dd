/* A picture goes to and fro between two buffers, one step of the list at a time; see augment.h. */
#ifdef PN_REAL_PASS

/* y[c, oh, ow] = the window of x[c, h, w] whose upper left corner is (top, left), zeros where it reaches beyond. */
static void R_(window)(const real *x, real *y, const size_of *s, int64_t oh, int64_t ow, int64_t top, int64_t left, pauses *p) {
    const int64_t lo = clamp(-left, 0, ow), hi = clamp(s->w - left, lo, ow);
    for (int64_t k = 0; k < s->c; k++, x += s->h * s->w) {
        for (int64_t i = 0; i < oh && !paused(p, ow); i++, y += ow) {
            const int64_t row = i + top;
            const bool inside = row >= 0 && row < s->h && hi > lo;
            const int64_t a = inside ? lo : ow, b = inside ? hi : ow; /* columns a..b come from x */
            memset(y, 0, (size_t)a * sizeof *y);
            if (inside) memcpy(y + a, x + row * s->w + a + left, (size_t)(b - a) * sizeof *y);
            memset(y + b, 0, (size_t)(ow - b) * sizeof *y);
        }
    }
}

static void R_(flip)(const real *x, real *y, const size_of *s, pauses *p) {
    for (int64_t i = 0; i < s->c * s->h && !paused(p, s->w); i++, x += s->w, y += s->w) {
        for (int64_t j = 0; j < s->w; j++) y[j] = x[s->w - 1 - j];
    }
}

/* y(i, j) = x at the place m (i, j), between its four neighbours; zero beyond the edge. */
static void R_(affine)(const real *x, real *y, const size_of *s, const affine_map *m, pauses *look) {
    const int64_t h = s->h, w = s->w, plane = h * w;
    for (int64_t i = 0; i < h && !look->stopped; i++) {
        for (int64_t j = 0; j < w && !paused(look, 4 + s->c); j++, y++) {
            const double u = m->xx * (double)j + m->xy * (double)i + m->x, v = m->yx * (double)j + m->yy * (double)i + m->y; /* column, row in x */
            const bool near = u > -1 && v > -1 && u < (double)w && v < (double)h;
            const int64_t c0 = near ? (int64_t)(u + 1) - 1 : 0, r0 = near ? (int64_t)(v + 1) - 1 : 0; /* floor: u + 1 > 0 */
            const real b = (real)(u - (double)c0), a = 1 - b, q = (real)(v - (double)r0), p = 1 - q;
            const bool left = near && c0 >= 0, right = near && c0 + 1 < w, up = r0 >= 0, down = r0 + 1 < h;
            const real *at = x + r0 * w + c0;
            for (int64_t k = 0; k < s->c; k++, at += plane) {
                const real top = up ? (left ? a * at[0] : 0) + (right ? b * at[1] : 0) : 0;
                const real bottom = down ? (left ? a * at[w] : 0) + (right ? b * at[w + 1] : 0) : 0;
                y[k * plane] = near ? p * top + q * bottom : 0;
            }
        }
    }
}

static void R_(normalize)(const real *x, real *y, const size_of *s, const double *numbers, pauses *p) {
    for (int64_t k = 0; k < s->c; k++) {
        const real mean = (real)numbers[k], std = (real)numbers[s->c + k];
        for (int64_t i = 0; i < s->h && !paused(p, s->w); i++, x += s->w, y += s->w) {
            for (int64_t j = 0; j < s->w; j++) y[j] = (x[j] - mean) / std;
        }
    }
}

/* One step from x to y; s becomes the size of y. False: the step leaves the picture as it is, y was not written. `draws` begins the step's numbers. */
static bool R_(take)(const pn_augment *a, int kind, const double *n, size_of *s, uint64_t step, uint64_t draws, const real *x, real *y, pauses *p) {
    double u[PN_AUGMENT_DRAWS];
    affine_map m;
    if (kind == PN_AUGMENT_NORMALIZE) {
        R_(normalize)(x, y, s, n, p);
        return true;
    }
    pn_rng_uniform(a->key, step, draws, kind == PN_AUGMENT_AFFINE ? 5 : kind == PN_AUGMENT_FLIP ? 1 : 2, u);
    if (kind == PN_AUGMENT_SHIFT) {
        R_(window)(x, y, s, s->h, s->w, below(u[0], 2 * n[0] + 1) - (int64_t)n[0], below(u[1], 2 * n[1] + 1) - (int64_t)n[1], p);
    } else if (kind == PN_AUGMENT_CROP) {
        const int64_t oh = (int64_t)n[0], ow = (int64_t)n[1], rows = (int64_t)n[2], columns = (int64_t)n[3];
        R_(window)(x, y, s, oh, ow, below(u[0], (double)(s->h + 2 * rows - oh + 1)) - rows, below(u[1], (double)(s->w + 2 * columns - ow + 1)) - columns, p);
        s->h = oh;
        s->w = ow;
    } else if (kind == PN_AUGMENT_FLIP) {
        if (u[0] >= n[0]) return false;
        R_(flip)(x, y, s, p);
    } else {
        map_of(&m, n, u, s);
        R_(affine)(x, y, s, &m, p);
    }
    return true;
}

/* The picture in x through all steps into out; x and y are the buffers. */
static void R_(picture)(const pn_augment *a, uint64_t step, uint64_t place, real *x, real *y, real *out, pauses *p) {
    size_of s = {a->c, a->h, a->w};
    uint64_t number = place * PN_AUGMENT_STEPS;
    for (int64_t i = 0; i < a->length; i += 2 + (int64_t)a->code[i + 1], number++) {
        if (!R_(take)(a, (int)a->code[i], a->code + i + 2, &s, step, number * PN_AUGMENT_DRAWS, x, y, p)) continue;
        real *const t = x;
        x = y;
        y = t;
    }
    for (int64_t i = 0; i < s.c * s.h && !paused(p, s.w); i++, x += s.w, out += s.w) memcpy(out, x, (size_t)s.w * sizeof *out);
}

#else
#include "data/augment.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

typedef struct size_of {
    int64_t c, h, w; /* of a picture on the way */
} size_of;

/* Where the loops over pixels stand with their looks at the poll. */
typedef struct pauses {
    pn_member *m; /* NULL: nobody will ask to stop */
    int64_t done; /* pixels since the last look */
    bool stopped;
} pauses;

#define PIECE ((int64_t)1 << 17) /* pixels between two looks: about a millisecond */

/* Before n more pixels: whether to stop. */
static inline bool paused(pauses *p, int64_t n) {
    p->done += n;
    if (p->done < PIECE) return p->stopped;
    p->done = 0;
    return p->stopped = p->stopped || (p->m && pn_member_stopped(p->m));
}

/* From (column j, row i) of the result to (column, row) of the picture it is made of. */
typedef struct affine_map {
    double xx, xy, x, yx, yy, y;
} affine_map;

static int64_t clamp(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }
static int64_t below(double u, double bound) { return (int64_t)(u * bound); } /* 0 .. bound - 1, for u in [0, 1) */
static double between(double u, double lo, double hi) { return lo + u * (hi - lo); }

static double turns(double degrees) {
    const double t = degrees / 360;
    return t - floor(t);
}

/* The picture is sheared, turned (clockwise, as rows count downwards), scaled about its middle, then shifted: this is the way back. */
static void map_of(affine_map *m, const double *n, const double *u, const size_of *s) {
    double c, sine, shear_c, shear_s;
    pn_cos_sin_turn(turns(between(u[0], n[0], n[1])), &c, &sine);
    pn_cos_sin_turn(turns(between(u[4], n[6], n[7])), &shear_c, &shear_s);
    const double shift_x = between(u[1], -n[2], n[2]), shift_y = between(u[2], -n[3], n[3]), scale = between(u[3], n[4], n[5]);
    const double tangent = shear_s / shear_c, middle_x = (double)(s->w - 1) / 2, middle_y = (double)(s->h - 1) / 2;
    m->xx = (c + tangent * sine) / scale;
    m->xy = (sine - tangent * c) / scale;
    m->yx = -sine / scale;
    m->yy = c / scale;
    m->x = middle_x - m->xx * (middle_x + shift_x) - m->xy * (middle_y + shift_y);
    m->y = middle_y - m->yx * (middle_x + shift_x) - m->yy * (middle_y + shift_y);
}

#define PN_REAL_FILE "data/augment.c"
#include "base/real.h"

/* ---- looking at the list ---- */

static bool all_within(const double *n, int64_t count, double lo, double hi) {
    for (int64_t i = 0; i < count; i++) {
        if (!(n[i] >= lo && n[i] <= hi)) return false;
    }
    return true;
}

#define MOST 1e6 /* pixels of a side */

/* Whether the numbers of a step make sense for pictures of size s, which becomes their size behind it. */
static bool fits(int kind, const double *n, int64_t count, size_of *s) {
    switch (kind) {
    case PN_AUGMENT_SHIFT: return count == 2 && all_within(n, 2, 0, MOST);
    case PN_AUGMENT_FLIP: return count == 1 && all_within(n, 1, 0, 1);
    case PN_AUGMENT_NORMALIZE: return count == 2 * s->c && all_within(n, s->c, -1e300, 1e300) && all_within(n + s->c, s->c, 1e-300, 1e300);
    case PN_AUGMENT_AFFINE:
        return count == 8 && all_within(n, 2, -360, 360) && all_within(n + 2, 2, 0, MOST) && all_within(n + 4, 2, 1e-3, 1e3) && all_within(n + 6, 2, -80, 80);
    case PN_AUGMENT_CROP:
        if (count != 4 || !all_within(n, 2, 1, MOST) || !all_within(n + 2, 2, 0, MOST)) return false;
        if (n[0] > (double)s->h + 2 * n[2] || n[1] > (double)s->w + 2 * n[3]) return false;
        s->h = (int64_t)n[0];
        s->w = (int64_t)n[1];
        return true;
    default: return false;
    }
}

pn_status pn_augment_init(pn_augment *a, const double *code, int64_t length, int64_t c, int64_t h, int64_t w, uint64_t seed, pn_error *e) {
    static const char *const names[] = {"a random shift", "a random crop", "a random flip", "a random affine map", "Normalize"};
    size_of s = {c, h, w};
    int64_t steps = 0, room = c * h * w;
    for (int64_t i = 0; i < length; steps++) {
        const bool known = i + 1 < length && all_within(code + i, 1, 0, PN_AUGMENT_KINDS - 1) && all_within(code + i + 1, 1, 1, (double)(length - i - 2));
        if (!known || steps == PN_AUGMENT_STEPS) return pn_fail(e, PN_E_VALUE, "augment: no list of at most %d steps", PN_AUGMENT_STEPS);
        const int kind = (int)code[i];
        const int64_t count = (int64_t)code[i + 1];
        if (!fits(kind, code + i + 2, count, &s)) {
            return pn_fail(e, PN_E_VALUE, "augment: %s (number %lld of the list) does not fit pictures of %lld channels and %lld x %lld pixels", names[kind],
                           (long long)steps, (long long)s.c, (long long)s.h, (long long)s.w);
        }
        if (s.c * s.h * s.w > room) room = s.c * s.h * s.w;
        i += 2 + count;
    }
    *a = (pn_augment){.code = code, .length = length, .c = c, .h = h, .w = w, .oh = s.h, .ow = s.w, .room = room};
    a->key = pn_hash64(seed, PN_STREAM_AUGMENT);
    return PN_OK;
}

/* ---- pictures ---- */

static size_t buffer_bytes(const pn_augment *a, int dtype) { return ((size_t)a->room * pn_dtype_bytes(dtype) + 63) / 64 * 64; }

size_t pn_augment_scratch(const pn_augment *a, int dtype) { return a->length ? 2 * buffer_bytes(a, dtype) : 0; }

void pn_augment_gather(const pn_augment *a, const pn_source *s, const int64_t *index, int64_t first, int64_t n, uint64_t step, uint64_t place, int dtype,
                       void *dst, void *scratch, pn_member *m) {
    pauses p = {.m = m};
    const size_t bytes = (size_t)(a->c * a->oh * a->ow) * pn_dtype_bytes(dtype);
    char *const x = scratch, *const y = x + buffer_bytes(a, dtype);
    char *out = dst;
    for (int64_t i = 0; i < n && !p.stopped; i++, out += bytes) {
        pn_source_gather(s, index ? index + i : NULL, first + i, 1, dtype, x);
        if (dtype == PN_F32)
            picture_f(a, step, place + (uint64_t)i, (float *)(void *)x, (float *)(void *)y, (float *)(void *)out, &p);
        else
            picture_d(a, step, place + (uint64_t)i, (double *)(void *)x, (double *)(void *)y, (double *)(void *)out, &p);
    }
}
#endif
