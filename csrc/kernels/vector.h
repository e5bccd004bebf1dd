/* Vectors of the kernels, for float and double, in GNU vector types: arithmetic and comparisons are the language's own.
 *
 * An isa_*.c file sets PN_VECTOR_BYTES to 16, 32 or 64, or to 0 for one plain element at a time (C11 without vectors: the same bits as 16), and includes
 * this header once. Typed templates, read through base/real.h, then write
 *   V            a vector of `real`            VI       the signed integer vector of the same lanes; what comparisons give
 *   VU           the unsigned one, for sums and shifts that may wrap
 *   V_LANES      elements in V                 C(0.3)   a constant as `real`
 *   V_of(e)      e as a vector; scalars are broadcast (arithmetic broadcasts by itself: 1 - x * x)
 *   V_load(p) V_store(p, v)                    unaligned
 *   V_load_n(p, n) V_store_n(p, v, n)          only the first n < V_LANES elements are touched; loaded lanes from n on are 0
 *   V_read(p, left) V_write(p, v, left)        the loop's load and store: all of the vector, or the `left` elements that are still there
 *   V_read_or(p, left, filler)                 the same, with lanes beyond the end set to filler
 *   V_select(m, a, b) V_keep(m, a) V_not(m)    m ? a : b, m ? a : 0, and the other mask, lane by lane, where m is a comparison
 *   V_any(m)                                   is any lane true?
 *   V_first(n)                                 the mask of the first n lanes
 *   V_bits(x) V_from_bits(i)                   the same bits as integers, as real
 *   V_abs V_copysign V_sqrt V_min V_max        V_min and V_max give b when a lane of a or b is NaN
 *   V_minimum V_maximum                        NaN when a or b is
 *   V_turn(rows)                               V_LANES vectors as the rows of a square, transposed in place
 *   V_largest(v)                               the largest lane; NaN is not looked at
 *   V_to_int(x) V_from_int(i)                  conversion by truncation, and back
 *   V_split(x, parts) V_join(parts)            a V as V_PARTS vectors of double, and back
 *   V_load_wide(p) V_load_wide_n(p, n)         V_WIDE elements of real as one vector of double; n < V_WIDE
 *   V_store_wide(p, d) V_store_wide_n(p, d, n) and back, rounded
 * Multiplications and additions are written plainly: whether they contract to FMA is the flag of the translation unit (-ffp-contract).
 */
#ifndef PN_KERNELS_VECTOR_H
#define PN_KERNELS_VECTOR_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__) && PN_VECTOR_BYTES > 1
#include <immintrin.h>
#elif defined(__aarch64__) && PN_VECTOR_BYTES > 1
#include <arm_neon.h>
#endif

#define PN_INLINE static inline __attribute__((always_inline, unused))
#define V R_(pn_vec)
#define VI R_(pn_ivec)
#define VU R_(pn_uvec)
#define V_LANES ((int)(sizeof(V) / sizeof(real)))
#define V_WIDE ((int)(sizeof(pn_vec_d) / sizeof(double)))
#define V_PARTS (V_LANES / V_WIDE)
#define C(constant) ((real)(constant))

#define V_load(p) R_(pn_load)(p)
#define V_store(p, v) R_(pn_store)(p, v)
#define V_load_n(p, n) R_(pn_load_n)(p, n)
#define V_store_n(p, v, n) R_(pn_store_n)(p, v, n)
#define V_read(p, left) ((left) >= V_LANES ? V_load(p) : V_load_n(p, (int)(left)))
#define V_write(p, v, left) ((left) >= V_LANES ? V_store(p, v) : V_store_n(p, v, (int)(left)))
#define V_read_or(p, left, filler) ((left) >= V_LANES ? V_load(p) : V_select(V_first(left), V_load_n(p, (int)(left)), filler))
#define V_first(n) (R_(pn_iota)() < (VI_element)(n))
#define V_load_wide(p) R_(pn_load_wide)(p)
#define V_load_wide_n(p, n) R_(pn_load_wide_n)(p, n)
#define V_store_wide(p, d) R_(pn_store_wide)(p, d)
#define V_store_wide_n(p, d, n) R_(pn_store_wide_n)(p, d, n)
#define V_select(m, a, b) R_(pn_select)((VI)(m), V_of(a), V_of(b))
#define V_keep(m, a) R_(pn_keep)((VI)(m), V_of(a))
#define V_any(m) R_(pn_any)((VI)(m))
#define V_bits(x) R_(pn_bits)(x)
#define V_from_bits(i) R_(pn_from_bits)(i)
#define V_abs(x) R_(pn_abs)(x)
#define V_copysign(size, sign) R_(pn_copysign)(size, sign)
#define V_sqrt(x) R_(pn_sqrt)(x)
#define V_min(a, b) R_(pn_min)(V_of(a), V_of(b))
#define V_max(a, b) R_(pn_max)(V_of(a), V_of(b))
#define V_minimum(a, b) V_select(((a) < (b)) | ((a) != (a)), a, b)
#define V_maximum(a, b) V_select(((a) > (b)) | ((a) != (a)), a, b)
#define V_turn(rows) R_(pn_turn)(rows)
#define V_largest(v) R_(pn_largest)(v)
#define V_split(x, parts) R_(pn_split)(x, parts)
#define V_join(parts) R_(pn_join)(parts)
#define V_SIGN ((VI){0} + (VI_element)((VU_element)1 << (8 * sizeof(real) - 1))) /* the sign bit of every lane */
#define VI_element R_(pn_int)
#define VU_element R_(pn_uint)
typedef int32_t pn_int_f;
typedef int64_t pn_int_d;
typedef uint32_t pn_uint_f;
typedef uint64_t pn_uint_d;

#if PN_VECTOR_BYTES > 1
#define V_of(e) ((e) - (V){0}) /* the subtraction of +0 changes no value and no sign; it costs nothing */
#define V_not(m) (~(VI)(m))
#define V_to_int(x) __builtin_convertvector(x, VI)
#define V_from_int(i) __builtin_convertvector(i, V)
typedef float pn_vec_f __attribute__((vector_size(PN_VECTOR_BYTES)));
typedef double pn_vec_d __attribute__((vector_size(PN_VECTOR_BYTES)));
typedef float pn_half_f __attribute__((vector_size(PN_VECTOR_BYTES / 2)));
#else
#define V_of(e) ((V)(e))
#define V_not(m) (!(m))
#define V_to_int(x) ((VI)(x))
#define V_from_int(i) ((V)(i))
typedef float pn_vec_f, pn_half_f;
typedef double pn_vec_d;
#endif

#define PN_VECTOR_TYPED
#define PN_REAL_FILE "kernels/vector.h"
#include "base/real.h"
#undef PN_VECTOR_TYPED

#elif defined(PN_VECTOR_TYPED)

#if PN_VECTOR_BYTES > 1
typedef VI_element VI __attribute__((vector_size(PN_VECTOR_BYTES)));
typedef VU_element VU __attribute__((vector_size(PN_VECTOR_BYTES)));
#else
typedef VI_element VI;
typedef VU_element VU;
#endif

/* --- whole and partial loads and stores; memcpy of a known size is one unaligned instruction */
PN_INLINE V R_(pn_load)(const real *p) {
    V v;
    memcpy(&v, p, sizeof v);
    return v;
}
PN_INLINE void R_(pn_store)(real *p, V v) { memcpy(p, &v, sizeof v); }

#if PN_VECTOR_BYTES == 64
#if PN_DOUBLE
PN_INLINE V R_(pn_load_n)(const real *p, int n) { return (V)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p); }
PN_INLINE void R_(pn_store_n)(real *p, V v, int n) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v); }
#else
PN_INLINE V R_(pn_load_n)(const real *p, int n) { return (V)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
PN_INLINE void R_(pn_store_n)(real *p, V v, int n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }
#endif
#elif PN_VECTOR_BYTES == 32
static const VI_element R_(pn_tail_mask)[2 * 32 / sizeof(real)] = {
#if PN_DOUBLE
    -1, -1, -1, -1
#else
    -1, -1, -1, -1, -1,
    -1, -1, -1
#endif
};
PN_INLINE __m256i R_(pn_first)(int n) { return _mm256_loadu_si256((const __m256i *)(R_(pn_tail_mask) + V_LANES - n)); }
#if PN_DOUBLE
PN_INLINE V R_(pn_load_n)(const real *p, int n) { return (V)_mm256_maskload_pd(p, R_(pn_first)(n)); }
PN_INLINE void R_(pn_store_n)(real *p, V v, int n) { _mm256_maskstore_pd(p, R_(pn_first)(n), (__m256d)v); }
#else
PN_INLINE V R_(pn_load_n)(const real *p, int n) { return (V)_mm256_maskload_ps(p, R_(pn_first)(n)); }
PN_INLINE void R_(pn_store_n)(real *p, V v, int n) { _mm256_maskstore_ps(p, R_(pn_first)(n), (__m256)v); }
#endif
#elif PN_VECTOR_BYTES == 16
PN_INLINE V R_(pn_load_n)(const real *p, int n) {
    V v = {0};
    _Pragma("GCC unroll 4") for (int i = 0; i < V_LANES - 1; i++) if (i < n) v[i] = p[i];
    return v;
}
PN_INLINE void R_(pn_store_n)(real *p, V v, int n) { _Pragma("GCC unroll 4") for (int i = 0; i < V_LANES - 1; i++) if (i < n) p[i] = v[i]; }
#else /* one lane: there is no tail */
PN_INLINE V R_(pn_load_n)(const real *p, int n) { return n ? *p : 0; }
PN_INLINE void R_(pn_store_n)(real *p, V v, int n) {
    if (n) *p = v;
}
#endif

/* --- bits and masks */
#if PN_VECTOR_BYTES > 1
PN_INLINE VI R_(pn_bits)(V x) { return (VI)x; }
PN_INLINE V R_(pn_from_bits)(VI i) { return (V)i; }
PN_INLINE V R_(pn_select)(VI m, V a, V b) { return (V)((m & (VI)a) | (~m & (VI)b)); }
PN_INLINE V R_(pn_keep)(VI m, V a) { return (V)(m & (VI)a); }
#else
PN_INLINE VI R_(pn_bits)(V x) {
    VI i;
    memcpy(&i, &x, sizeof i);
    return i;
}
PN_INLINE V R_(pn_from_bits)(VI i) {
    V x;
    memcpy(&x, &i, sizeof x);
    return x;
}
PN_INLINE V R_(pn_select)(VI m, V a, V b) { return m ? a : b; }
PN_INLINE V R_(pn_keep)(VI m, V a) { return m ? a : 0; }
#endif
PN_INLINE VI R_(pn_iota)(void) { /* 0, 1, 2, ... */
    static const VI_element lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    VI i;
    memcpy(&i, lane, sizeof i);
    return i;
}
PN_INLINE bool R_(pn_any)(VI m) {
    int64_t part[(sizeof m + 7) / 8] = {0}, any = 0;
    memcpy(part, &m, sizeof m);
    for (unsigned i = 0; i < sizeof part / sizeof *part; i++) any |= part[i];
    return any != 0;
}
PN_INLINE V R_(pn_abs)(V x) { return V_from_bits(V_bits(x) & ~V_SIGN); }
PN_INLINE V R_(pn_copysign)(V size, V sign) { return V_from_bits((V_bits(size) & ~V_SIGN) | (V_bits(sign) & V_SIGN)); }

/* --- square root: correctly rounded on every machine; GNU C has no vector form */
PN_INLINE V R_(pn_sqrt)(V x) {
#if PN_VECTOR_BYTES == 64
    return PN_DOUBLE ? (V)_mm512_sqrt_pd((__m512d)x) : (V)_mm512_sqrt_ps((__m512)x);
#elif PN_VECTOR_BYTES == 32
    return PN_DOUBLE ? (V)_mm256_sqrt_pd((__m256d)x) : (V)_mm256_sqrt_ps((__m256)x);
#elif PN_VECTOR_BYTES == 16 && defined(__x86_64__)
    return PN_DOUBLE ? (V)_mm_sqrt_pd((__m128d)x) : (V)_mm_sqrt_ps((__m128)x);
#elif PN_VECTOR_BYTES == 16 && defined(__aarch64__)
    return PN_DOUBLE ? (V)vsqrtq_f64((float64x2_t)x) : (V)vsqrtq_f32((float32x4_t)x);
#elif PN_VECTOR_BYTES == 16
    for (int i = 0; i < V_LANES; i++) x[i] = PN_DOUBLE ? (real)__builtin_sqrt(x[i]) : (real)__builtin_sqrtf((float)x[i]);
    return x;
#else
    return PN_DOUBLE ? (real)__builtin_sqrt(x) : (real)__builtin_sqrtf((float)x);
#endif
}

/* --- a < b ? a : b and a > b ? a : b, which is what the instructions of x86 compute, NaN included */
#if PN_VECTOR_BYTES == 64
PN_INLINE V R_(pn_min)(V a, V b) { return PN_DOUBLE ? (V)_mm512_min_pd((__m512d)a, (__m512d)b) : (V)_mm512_min_ps((__m512)a, (__m512)b); }
PN_INLINE V R_(pn_max)(V a, V b) { return PN_DOUBLE ? (V)_mm512_max_pd((__m512d)a, (__m512d)b) : (V)_mm512_max_ps((__m512)a, (__m512)b); }
#elif PN_VECTOR_BYTES == 32
PN_INLINE V R_(pn_min)(V a, V b) { return PN_DOUBLE ? (V)_mm256_min_pd((__m256d)a, (__m256d)b) : (V)_mm256_min_ps((__m256)a, (__m256)b); }
PN_INLINE V R_(pn_max)(V a, V b) { return PN_DOUBLE ? (V)_mm256_max_pd((__m256d)a, (__m256d)b) : (V)_mm256_max_ps((__m256)a, (__m256)b); }
#elif PN_VECTOR_BYTES == 16 && defined(__x86_64__)
PN_INLINE V R_(pn_min)(V a, V b) { return PN_DOUBLE ? (V)_mm_min_pd((__m128d)a, (__m128d)b) : (V)_mm_min_ps((__m128)a, (__m128)b); }
PN_INLINE V R_(pn_max)(V a, V b) { return PN_DOUBLE ? (V)_mm_max_pd((__m128d)a, (__m128d)b) : (V)_mm_max_ps((__m128)a, (__m128)b); }
#else
PN_INLINE V R_(pn_min)(V a, V b) { return V_select(a < b, a, b); }
PN_INLINE V R_(pn_max)(V a, V b) { return V_select(a > b, a, b); }
#endif

/* --- across lanes: halves are folded onto each other until one lane is left */
#if PN_VECTOR_BYTES == 0
PN_INLINE V R_(pn_largest)(V v) { return v; }
PN_INLINE V R_(pn_total)(V v) { return v; }
#else
#undef PN_ORDER
#if PN_VECTOR_BYTES == 64 && !PN_DOUBLE
#define PN_ORDER(k) 0 ^ k, 1 ^ k, 2 ^ k, 3 ^ k, 4 ^ k, 5 ^ k, 6 ^ k, 7 ^ k, 8 ^ k, 9 ^ k, 10 ^ k, 11 ^ k, 12 ^ k, 13 ^ k, 14 ^ k, 15 ^ k
#elif PN_VECTOR_BYTES == 64 || (PN_VECTOR_BYTES == 32 && !PN_DOUBLE)
#define PN_ORDER(k) 0 ^ k, 1 ^ k, 2 ^ k, 3 ^ k, 4 ^ k, 5 ^ k, 6 ^ k, 7 ^ k
#elif PN_VECTOR_BYTES == 32 || !PN_DOUBLE
#define PN_ORDER(k) 0 ^ k, 1 ^ k, 2 ^ k, 3 ^ k
#else
#define PN_ORDER(k) 0 ^ k, 1 ^ k
#endif
#if defined(__clang__)
#define PN_SWAP(v, k) __builtin_shufflevector(v, v, PN_ORDER(k)) /* lanes l and l ^ k exchanged */
#else
#define PN_SWAP(v, k) __builtin_shuffle(v, (VI){PN_ORDER(k)})
#endif
PN_INLINE real R_(pn_largest)(V v) {
#if PN_VECTOR_BYTES == 64 && !PN_DOUBLE
    v = V_max(v, PN_SWAP(v, 8));
#endif
#if PN_VECTOR_BYTES == 64 || (PN_VECTOR_BYTES == 32 && !PN_DOUBLE)
    v = V_max(v, PN_SWAP(v, 4));
#endif
#if PN_VECTOR_BYTES > 16 || !PN_DOUBLE
    v = V_max(v, PN_SWAP(v, 2));
#endif
    v = V_max(v, PN_SWAP(v, 1));
    return v[0];
}
PN_INLINE real R_(pn_total)(V v) {
#if PN_VECTOR_BYTES == 64 && !PN_DOUBLE
    v += PN_SWAP(v, 8);
#endif
#if PN_VECTOR_BYTES == 64 || (PN_VECTOR_BYTES == 32 && !PN_DOUBLE)
    v += PN_SWAP(v, 4);
#endif
#if PN_VECTOR_BYTES > 16 || !PN_DOUBLE
    v += PN_SWAP(v, 2);
#endif
    v += PN_SWAP(v, 1);
    return v[0];
}
#endif

/* --- a square transposed: rows of the upper and of the lower half are laid into each other, which moves one bit of the row's number to the column's */
#if PN_VECTOR_BYTES == 0
PN_INLINE void R_(pn_turn)(V *rows) { (void)rows; }
#else
#undef PN_ZIP_LOW
#undef PN_ZIP_HIGH
#if PN_VECTOR_BYTES == 64 && !PN_DOUBLE
#define PN_ZIP_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define PN_ZIP_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif PN_VECTOR_BYTES == 64 || (PN_VECTOR_BYTES == 32 && !PN_DOUBLE)
#define PN_ZIP_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define PN_ZIP_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif PN_VECTOR_BYTES == 32 || !PN_DOUBLE
#define PN_ZIP_LOW 0, 4, 1, 5
#define PN_ZIP_HIGH 2, 6, 3, 7
#else
#define PN_ZIP_LOW 0, 2
#define PN_ZIP_HIGH 1, 3
#endif
#undef PN_ZIP
#if defined(__clang__)
#define PN_ZIP(a, b, order) __builtin_shufflevector(a, b, order)
#else
#define PN_ZIP(a, b, order) __builtin_shuffle(a, b, (VI){order})
#endif
PN_INLINE void R_(pn_turn)(V *rows) {
    _Pragma("GCC unroll 4") for (int stage = 1; stage < V_LANES; stage *= 2) {
        V next[V_LANES];
        _Pragma("GCC unroll 8") for (int i = 0; i < V_LANES / 2; i++) {
            next[2 * i] = PN_ZIP(rows[i], rows[i + V_LANES / 2], PN_ZIP_LOW);
            next[2 * i + 1] = PN_ZIP(rows[i], rows[i + V_LANES / 2], PN_ZIP_HIGH);
        }
        _Pragma("GCC unroll 16") for (int i = 0; i < V_LANES; i++) rows[i] = next[i];
    }
}
#endif

/* --- the same elements as doubles, V_WIDE at a time */
#if PN_DOUBLE
PN_INLINE void R_(pn_split)(V x, pn_vec_d *parts) { parts[0] = x; }
PN_INLINE V R_(pn_join)(const pn_vec_d *parts) { return parts[0]; }
PN_INLINE pn_vec_d R_(pn_load_wide)(const real *p) { return V_load(p); }
PN_INLINE pn_vec_d R_(pn_load_wide_n)(const real *p, int n) { return V_load_n(p, n); }
PN_INLINE void R_(pn_store_wide)(real *p, pn_vec_d d) { V_store(p, d); }
PN_INLINE void R_(pn_store_wide_n)(real *p, pn_vec_d d, int n) { V_store_n(p, d, n); }
#elif PN_VECTOR_BYTES == 0
PN_INLINE void R_(pn_split)(V x, pn_vec_d *parts) { parts[0] = x; }
PN_INLINE V R_(pn_join)(const pn_vec_d *parts) { return (real)parts[0]; }
PN_INLINE pn_vec_d R_(pn_load_wide)(const real *p) { return *p; }
PN_INLINE pn_vec_d R_(pn_load_wide_n)(const real *p, int n) { return n ? *p : 0; }
PN_INLINE void R_(pn_store_wide)(real *p, pn_vec_d d) { *p = (real)d; }
PN_INLINE void R_(pn_store_wide_n)(real *p, pn_vec_d d, int n) {
    if (n) *p = (real)d;
}
#else
PN_INLINE pn_vec_d pn_widen(pn_half_f x) {
#if PN_VECTOR_BYTES == 64
    return (pn_vec_d)_mm512_cvtps_pd((__m256)x); /* gcc 12 does it in two halves otherwise */
#elif PN_VECTOR_BYTES == 32
    return (pn_vec_d)_mm256_cvtps_pd((__m128)x);
#else
    return __builtin_convertvector(x, pn_vec_d);
#endif
}
PN_INLINE pn_half_f pn_narrow(pn_vec_d x) {
#if PN_VECTOR_BYTES == 64
    return (pn_half_f)_mm512_cvtpd_ps((__m512d)x);
#elif PN_VECTOR_BYTES == 32
    return (pn_half_f)_mm256_cvtpd_ps((__m256d)x);
#else
    return __builtin_convertvector(x, pn_half_f);
#endif
}
PN_INLINE void R_(pn_split)(V x, pn_vec_d *parts) {
    pn_half_f half[2];
    memcpy(half, &x, sizeof x);
    parts[0] = pn_widen(half[0]);
    parts[1] = pn_widen(half[1]);
}
PN_INLINE V R_(pn_join)(const pn_vec_d *parts) {
    V x;
    pn_half_f half[2] = {pn_narrow(parts[0]), pn_narrow(parts[1])};
    memcpy(&x, half, sizeof x);
    return x;
}
PN_INLINE pn_vec_d R_(pn_load_wide)(const real *p) {
    pn_half_f half;
    memcpy(&half, p, sizeof half);
    return pn_widen(half);
}
PN_INLINE pn_vec_d R_(pn_load_wide_n)(const real *p, int n) {
    pn_vec_d parts[2];
    V_split(V_load_n(p, n), parts);
    return parts[0];
}
PN_INLINE void R_(pn_store_wide)(real *p, pn_vec_d d) {
    pn_half_f half = pn_narrow(d);
    memcpy(p, &half, sizeof half);
}
PN_INLINE void R_(pn_store_wide_n)(real *p, pn_vec_d d, int n) {
    pn_vec_d parts[2] = {d, {0}};
    V_store_n(p, V_join(parts), n);
}
#endif
#endif
