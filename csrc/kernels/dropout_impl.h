/* Dropout: a random word for every element, element i of the stream is word i % 4 of block i / 4. */
#define DROPOUT_WORDS 256

/* V_LANES words as integers of the element's width */
PN_INLINE VI R_(load_words)(const uint32_t *p) {
#if PN_VECTOR_BYTES > 1 && PN_DOUBLE
    typedef uint32_t half __attribute__((vector_size(PN_VECTOR_BYTES / 2)));
    half w;
    memcpy(&w, p, sizeof w);
    return __builtin_convertvector(w, VI);
#elif PN_DOUBLE
    return *p;
#else
    VI w;
    memcpy(&w, p, sizeof w);
    return w;
#endif
}

/* y (= or +=) x scale where the uniform number of element first + i is at least drop, else 0 */
static void R_(dropout)(real *y, const real *x, int64_t n, uint64_t key, uint64_t counter, uint64_t first, double drop, double scale, bool add) {
    uint32_t words[DROPOUT_WORDS + PHILOX_WORDS + 16];
    memset(words, 0, sizeof words); /* the last vector may read past the words made for it */
    /* (word >> 8) 2^-24 >= drop, said in integers */
    int64_t least = (int64_t)(drop * 0x1p24);
    if ((double)least < drop * 0x1p24) least++;
    const real factor = (real)scale;
    const int skip = (int)(first % 4);
    uint64_t block = first / 4;
    for (int64_t start = 0; start < n;) {
        const int64_t count = n - start < DROPOUT_WORDS - 4 ? n - start : DROPOUT_WORDS - 4;
        for (int made = 0; made < skip + count; made += PHILOX_WORDS) philox(key, counter, block + (uint64_t)(made / 4), words + made);
        for (int64_t i = 0; i < count; i += V_LANES) {
            const VI number = R_(load_words)(words + skip + i) >> 8 & 0xFFFFFF;
            V v = V_keep(number >= (VI_element)least, V_read(x + start + i, count - i) * factor);
            if (add) v += V_read(y + start + i, count - i);
            V_write(y + start + i, v, count - i);
        }
        start += count;
        block += (DROPOUT_WORDS - 4) / 4;
    }
}
#undef DROPOUT_WORDS
