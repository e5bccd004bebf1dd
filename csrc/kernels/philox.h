/* Philox4x32-10 in vectors: the stream of pn_philox4x32 (base/rng.h), one block of four words to a 64-bit lane. Included once per instruction set. */
#ifndef PN_KERNELS_PHILOX_H
#define PN_KERNELS_PHILOX_H
#if PN_VECTOR_BYTES > 1
typedef uint64_t words2 __attribute__((vector_size(PN_VECTOR_BYTES))); /* two words a lane, the earlier one low */
#else
typedef uint64_t words2;
#endif
#define PHILOX_LANES ((int)(sizeof(words2) / 8))
#define PHILOX_WORDS (4 * PHILOX_LANES) /* what one call makes */

/* The product of the lower halves of every lane; without help gcc multiplies whole lanes, which takes three times as long. */
PN_INLINE words2 lower_product(words2 a, uint32_t b) {
#if PN_VECTOR_BYTES == 64
    return (words2)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif PN_VECTOR_BYTES == 32
    return (words2)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#elif PN_VECTOR_BYTES == 16 && defined(__x86_64__)
    return (words2)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(b));
#elif PN_VECTOR_BYTES == 16 && defined(__aarch64__)
    return (words2)vmull_u32(vmovn_u64((uint64x2_t)a), vdup_n_u32(b));
#else
    return (a & 0xFFFFFFFF) * (uint64_t)b;
#endif
}

/* Lanes of a and b in turn: blocks of four words as they lie in the stream. Lane l holds block l / 2, odd lanes half the blocks further on, so that both
 * instructions of the zip give consecutive blocks. */
#if PN_VECTOR_BYTES == 64
#define PHILOX_ORDER {0, 4, 1, 5, 2, 6, 3, 7}
#define ZIP(a, b, i) (words2)(i ? _mm512_unpackhi_epi64((__m512i)(a), (__m512i)(b)) : _mm512_unpacklo_epi64((__m512i)(a), (__m512i)(b)))
#elif PN_VECTOR_BYTES == 32
#define PHILOX_ORDER {0, 2, 1, 3}
#define ZIP(a, b, i) (words2)(i ? _mm256_unpackhi_epi64((__m256i)(a), (__m256i)(b)) : _mm256_unpacklo_epi64((__m256i)(a), (__m256i)(b)))
#elif PN_VECTOR_BYTES == 16
#define PHILOX_ORDER {0, 1}
#define ZIP(a, b, i)                                                                                                                                           \
    (words2) { (a)[i], (b)[i] }
#else
#define PHILOX_ORDER 0
#define ZIP(a, b, i) ((i) ? (b) : (a))
#endif

/* out[PHILOX_WORDS]: the words of the blocks `block`, block + 1, ... of the stream (key, high). */
static void philox(uint64_t key, uint64_t high, uint64_t block, uint32_t *out) {
    const words2 order = PHILOX_ORDER;
    words2 a = order + block, b = high - (words2){0}; /* counter words 0 and 1; 2 and 3 */
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const words2 p0 = lower_product(a, 0xD2511F53), p1 = lower_product(b, 0xCD9E8D57);
        a = (p1 << 32 | p1 >> 32) ^ (a >> 32) ^ (uint64_t)k0;
        b = (p0 << 32 | p0 >> 32) ^ (b >> 32) ^ (uint64_t)k1;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    const words2 first = ZIP(a, b, 0), second = ZIP(a, b, 1);
    memcpy(out, &first, sizeof first);
    memcpy(out + sizeof first / 4, &second, sizeof second);
}
#undef ZIP
#undef PHILOX_ORDER
#endif
