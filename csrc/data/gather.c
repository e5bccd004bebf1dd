/* Conversion runs: one function for each pair of number types, made from one list; rows are walked by strides, packed rows in one run. */
#include "data/gather.h"

#include <string.h>

#define LINE 64
#define PAGE 4096
#define LONG_ROW 512 /* bytes from which a row is fetched before it is read */

size_t pn_number_bytes(pn_number number) {
    static const unsigned char bytes[PN_NUM_COUNT] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 4, 8};
    return bytes[number];
}

/* ---- one element ---- */

/* IEEE half precision to float, exact. */
static float half_to_float(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    uint32_t bits;
    float value;
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24 */
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    bits = sign | (exponent == 31 ? 0x7F800000u : (exponent + 112) << 23) | fraction << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int64_t int_from_double(double v) {
    if (!(v >= -0x1p63 && v < 0x1p63)) return INT64_MIN;
    const int64_t i = (int64_t)v;
    return (double)i == v ? i : INT64_MIN;
}

static int64_t int_of_half(uint16_t h) { return int_from_double((double)half_to_float(h)); }
static int64_t int_from_u64(uint64_t v) { return v > INT64_MAX ? INT64_MIN : (int64_t)v; }

static uint16_t swap2(uint16_t v) { return (uint16_t)(v << 8 | v >> 8); }
static uint32_t swap4(uint32_t v) { return __builtin_bswap32(v); }
static uint64_t swap8(uint64_t v) { return __builtin_bswap64(v); }

/* NUMBER(name, C type, raw unsigned type, byte swap, as a real, as an int64) */
#define SAME(v) (v)
#define TO_BOOL(v) ((v) != 0)
#define NUMBERS                                                                                                                                                \
    NUMBER(BOOL, uint8_t, uint8_t, SAME, TO_BOOL, TO_BOOL)                                                                                                     \
    NUMBER(I8, int8_t, uint8_t, SAME, SAME, SAME)                                                                                                              \
    NUMBER(U8, uint8_t, uint8_t, SAME, SAME, SAME)                                                                                                             \
    NUMBER(I16, int16_t, uint16_t, swap2, SAME, SAME)                                                                                                          \
    NUMBER(U16, uint16_t, uint16_t, swap2, SAME, SAME)                                                                                                         \
    NUMBER(I32, int32_t, uint32_t, swap4, SAME, SAME)                                                                                                          \
    NUMBER(U32, uint32_t, uint32_t, swap4, SAME, SAME)                                                                                                         \
    NUMBER(I64, int64_t, uint64_t, swap8, SAME, SAME)                                                                                                          \
    NUMBER(U64, uint64_t, uint64_t, swap8, SAME, int_from_u64)                                                                                                 \
    NUMBER(F16, uint16_t, uint16_t, swap2, half_to_float, int_of_half)                                                                                         \
    NUMBER(F32, float, uint32_t, swap4, SAME, int_from_double)                                                                                                 \
    NUMBER(F64, double, uint64_t, swap8, SAME, int_from_double)

/* ---- a run: n elements, `stride` bytes apart ---- */

typedef void (*run_fn)(void *dst, const char *src, int64_t n, int64_t stride);

#define LOAD(type, raw, swap)                                                                                                                                  \
    raw bits;                                                                                                                                                  \
    type v;                                                                                                                                                    \
    memcpy(&bits, src + i * stride, sizeof bits);                                                                                                              \
    bits = (raw)swap(bits);                                                                                                                                    \
    memcpy(&v, &bits, sizeof v)

#define RUN(name, target, type, raw, swap, convert)                                                                                                            \
    static inline void name##_any(target *dst, const char *src, int64_t n, int64_t stride) {                                                                   \
        for (int64_t i = 0; i < n; i++) {                                                                                                                      \
            LOAD(type, raw, swap);                                                                                                                             \
            dst[i] = (target)convert(v);                                                                                                                       \
        }                                                                                                                                                      \
    }                                                                                                                                                          \
    static void name(void *dst, const char *src, int64_t n, int64_t stride) {                                                                                  \
        if (stride == (int64_t)sizeof(type)) /* known at compile time: the loop becomes vector code */                                                         \
            name##_any(dst, src, n, (int64_t)sizeof(type));                                                                                                    \
        else                                                                                                                                                   \
            name##_any(dst, src, n, stride);                                                                                                                   \
    }

#define NUMBER(name, type, raw, swap, as_real, as_int)                                                                                                         \
    RUN(name##_f32, float, type, raw, SAME, as_real)                                                                                                           \
    RUN(name##_f64, double, type, raw, SAME, as_real)                                                                                                          \
    RUN(name##_f32_swapped, float, type, raw, swap, as_real)                                                                                                   \
    RUN(name##_f64_swapped, double, type, raw, swap, as_real)                                                                                                  \
    RUN(name##_i64, int64_t, type, raw, SAME, as_int)                                                                                                          \
    RUN(name##_i64_swapped, int64_t, type, raw, swap, as_int)
NUMBERS
#undef NUMBER

static const run_fn runs[PN_NUM_COUNT][2][3] = {
#define NUMBER(name, ...) {{name##_f32, name##_f64, name##_i64}, {name##_f32_swapped, name##_f64_swapped, name##_i64_swapped}},
    NUMBERS
#undef NUMBER
};

/* ---- rows ---- */

/* One row whose elements do not lie one behind the other: its last axis in runs, the others counted like an odometer. */
static void scattered_row(const pn_source *s, run_fn run, const char *src, char *dst, size_t bytes) {
    int64_t at[PN_SOURCE_MAX_RANK] = {0};
    const int last = s->rank - 1;
    const int64_t inner = s->dim[last];
    for (int64_t done = 0; done < s->row_size; done += inner) {
        run(dst, src, inner, s->stride[last]);
        dst += (size_t)inner * bytes;
        for (int d = last - 1; d >= 0; d--) {
            src += s->stride[d];
            if (++at[d] < s->dim[d]) break;
            src -= at[d] * s->stride[d];
            at[d] = 0;
        }
    }
}

/* Rows of one or two words, as toy problems have them: a call of memcpy for each would cost more than the copy. */
static void tiny_rows(const pn_source *s, const int64_t *index, int64_t first, int64_t n, size_t bytes, char *to) {
    const char *data = s->data;
    const int64_t stride = s->row_stride;
    if (bytes == 4) {
        for (int64_t i = 0; i < n; i++) memcpy(to + 4 * i, data + (index ? index[i] : first + i) * stride, 4);
    } else {
        for (int64_t i = 0; i < n; i++) memcpy(to + 8 * i, data + (index ? index[i] : first + i) * stride, 8);
    }
}

/* Random rows of a large array lie on pages nobody has looked at for long. The walks to find them run side by side when all pages are touched first. */
static void touch_pages(const pn_source *s, const int64_t *index, int64_t n, int64_t bytes) {
    for (int64_t i = 0; i < n; i++) {
        const char *row = s->data + index[i] * s->row_stride;
        for (int64_t at = 0; at < bytes; at += PAGE) __builtin_prefetch(row + at);
        __builtin_prefetch(row + bytes - 1);
    }
}

static void fetch_row(const char *row, int64_t bytes) {
    for (int64_t at = 0; at < bytes; at += LINE) __builtin_prefetch(row + at);
}

void pn_source_gather(const pn_source *s, const int64_t *index, int64_t first, int64_t n, int dtype, void *dst) {
    const run_fn run = runs[s->number][s->swapped][dtype];
    const size_t bytes = pn_dtype_bytes(dtype), item = pn_number_bytes(s->number);
    const bool same = !s->swapped && ((s->number == PN_NUM_F32 && dtype == PN_F32) || (s->number == PN_NUM_F64 && dtype == PN_F64) ||
                                      (s->number == PN_NUM_I64 && dtype == PN_I64));
    char *to = dst;
    if (s->row_size == 0) return;
    if (same && s->packed && (size_t)s->row_size * bytes <= 8) {
        tiny_rows(s, index, first, n, (size_t)s->row_size * bytes, to);
        return;
    }
    const int64_t length = s->row_size * (int64_t)item;
    const bool fetch = index && s->packed && length >= LONG_ROW;
    if (fetch) touch_pages(s, index, n, length);
    for (int64_t i = 0; i < n; i++, to += (size_t)s->row_size * bytes) {
        if (fetch && i + 1 < n) fetch_row(s->data + index[i + 1] * s->row_stride, length);
        const char *row = s->data + (index ? index[i] : first + i) * s->row_stride;
        if (!s->packed)
            scattered_row(s, run, row, to, bytes);
        else if (same)
            memcpy(to, row, (size_t)s->row_size * bytes);
        else
            run(to, row, s->row_size, (int64_t)item);
    }
}
