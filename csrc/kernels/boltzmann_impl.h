/* The kernels of kernels/boltzmann.h. Elements are taken in the order of their random bits, tails through the same vector code. */
#define WORD_REALS ((int64_t)(64 / sizeof(real))) /* random numbers in one word of 512 bits */
#define WORD_VECTORS ((int)(64 / sizeof(V)))

/* Numbers in [0, 1) from vector `piece` of a word's bytes: 24 bits each, doubles 52. */
PN_INLINE V R_(unit)(const char *raw, int piece) {
    VU bits;
    memcpy(&bits, raw + piece * sizeof bits, sizeof bits);
#if PN_DOUBLE
    return V_from_bits((VI)(bits >> 12 | (VU_element)0x3FF0000000000000u)) - 1;
#else
    return V_from_int((VI)(bits >> 8)) * C(0x1p-24);
#endif
}

PN_INLINE V R_(mixed)(const real *x, const real *base, int64_t i, int64_t n, real beta) {
    V z = beta * V_read(x + i, n - i);
    if (base) z += (1 - beta) * V_read(base + i, n - i);
    return z;
}

static void R_(bernoulli_draw)(real *s, real *p, const real *x, int64_t n, real beta, const real *base, pn_lanes *g) {
    lanes l = lanes_load(g);
    for (int64_t at = 0; at < n; at += WORD_REALS) {
        char raw[64];
        word_store(raw, lanes_next(&l));
        for (int piece = 0; piece < WORD_VECTORS; piece++) {
            const int64_t i = at + piece * V_LANES;
            if (i >= n) break;
            const V chance = V_sigmoid(R_(mixed)(x, base, i, n, beta));
            if (p) V_write(p + i, chance, n - i);
            V_write(s + i, V_keep(R_(unit)(raw, piece) < chance, 1), n - i);
        }
    }
    lanes_store(g, &l);
}

/* cos and sin of 2 pi u, 0 <= u < 1: u = q / 4 + r with |r| <= 1/8, and the series of both functions at 2 pi r. Errors below 2e-9 of 1 for floats, 1e-16 for doubles. */
PN_INLINE void R_(turn)(V u, V *cosine, V *sine) {
    static const real sin_terms[] = {C(1),
                                     C(-1.6666666666666666e-1),
                                     C(8.333333333333333e-3),
                                     C(-1.984126984126984e-4),
                                     C(2.755731922398589e-6),
#if PN_DOUBLE
                                     -2.505210838544172e-8,
                                     1.605904383682161e-10,
                                     -7.647163731819816e-13,
                                     2.811457254345521e-15
#endif
    };
    static const real cos_terms[] = {C(1),
                                     C(-0.5),
                                     C(4.1666666666666664e-2),
                                     C(-1.388888888888889e-3),
                                     C(2.48015873015873e-5),
                                     C(-2.755731922398589e-7),
#if PN_DOUBLE
                                     2.08767569878681e-9,
                                     -1.1470745597729725e-11,
                                     4.779477332387385e-14,
                                     -1.5619206968586225e-16
#endif
    };
    const V quarter = V_round(4 * u), a = (u - C(0.25) * quarter) * C(6.283185307179586477), z = a * a;
    const V s = a * R_(polynomial)(z, sin_terms, (int)(sizeof sin_terms / sizeof *sin_terms));
    const V c = R_(polynomial)(z, cos_terms, (int)(sizeof cos_terms / sizeof *cos_terms));
    const VI odd = (VI)(quarter == 1) | (VI)(quarter == 3), turned = (VI)(quarter == 2) | (VI)(quarter == 3), back = (VI)(quarter == 1) | (VI)(quarter == 2);
    const V first = V_select(odd, s, c), second = V_select(odd, c, s);
    *cosine = V_select(back, -first, first);
    *sine = V_select(turned, -second, second);
}

/* Box and Muller: two words make two words of normal numbers. */
static void R_(normal_draw)(real *s, const real *x, int64_t n, real beta, const real *base, pn_lanes *g) {
    lanes l = lanes_load(g);
    for (int64_t at = 0; at < n; at += 2 * WORD_REALS) {
        char raw[2][64];
        word_store(raw[0], lanes_next(&l));
        word_store(raw[1], lanes_next(&l));
        for (int piece = 0; piece < WORD_VECTORS; piece++) {
            const int64_t i = at + piece * V_LANES, j = i + WORD_REALS;
            if (i >= n) break;
            V cosine, sine;
            const V radius = V_sqrt(-2 * V_log(1 - R_(unit)(raw[0], piece)));
            R_(turn)(R_(unit)(raw[1], piece), &cosine, &sine);
            V_write(s + i, R_(mixed)(x, base, i, n, beta) + radius * cosine, n - i);
            if (j < n) V_write(s + j, R_(mixed)(x, base, j, n, beta) + radius * sine, n - j);
        }
    }
    lanes_store(g, &l);
}

/* Adds the lanes of v below `left` to the sums in double. */
PN_INLINE pn_vec_d R_(add_wide)(pn_vec_d total, V v, int64_t left) {
    pn_vec_d part[2];
    V_split(left >= V_LANES ? v : V_keep(V_first(left), v), part);
    for (int i = 0; i < V_PARTS; i++) total += part[i];
    return total;
}

static double R_(softplus_sum)(const real *x, int64_t n, real beta) {
    pn_vec_d total = pn_load_wide_d((const double[16]){0});
    for (int64_t i = 0; i < n; i += V_LANES) total = R_(add_wide)(total, V_softplus(beta * V_read(x + i, n - i)), n - i);
    return pn_total_d(total);
}

static double R_(shift_sum)(const real *x, const real *w, int64_t n, real d) {
    pn_vec_d total = pn_load_wide_d((const double[16]){0});
    for (int64_t i = 0; i < n; i += V_LANES) total = R_(add_wide)(total, V_softplus(V_read(x + i, n - i) + d * V_read(w + i, n - i)), n - i);
    return pn_total_d(total);
}

#define BOLTZMANN_TABLE {.draw = R_(bernoulli_draw), .draw_normal = R_(normal_draw), .softplus_sum = R_(softplus_sum), .shift_sum = R_(shift_sum)}
static const R_(pn_boltzmann) R_(boltzmann_table) = BOLTZMANN_TABLE;
#undef BOLTZMANN_TABLE
#undef WORD_REALS
#undef WORD_VECTORS
