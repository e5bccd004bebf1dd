/* a^b for doubles within 1 ulp: the logarithm to base 2 carries 20 bits more than a double, after fdlibm's e_pow.c (Sun Microsystems, 1993), with operands
 * cut to half length so that products are exact. Special cases follow C99 annex F. Floats need no such care: exp(b log a) in doubles (vmath_wide.h). */

/* An integer? Halves of even integers are integers too; large numbers are all even. */
PN_INLINE VI R_(is_integer)(V x) {
    const V size = V_abs(x), rounded = (size + C(PN_DOUBLE ? 0x1p52 : 0x1p23)) - C(PN_DOUBLE ? 0x1p52 : 0x1p23);
    return (VI)((rounded == size) | (size >= C(PN_DOUBLE ? 0x1p52 : 0x1p23)));
}

/* Given p = |a|^b for ordinary operands: what a^b is for all. */
PN_INLINE V R_(pow_special)(V a, V b, V p) {
    const V size = V_abs(a);
    const VI edge = (VI)((size == 0) | (size == INFINITE) | (V_abs(b) == INFINITE));
    const VI grows = (VI)((size > 1) == (b > 0));
    p = V_select(edge, V_select(size == 1, 1, V_keep(grows, INFINITE)), p);
    const VI whole = R_(is_integer)(b), odd = whole & V_not(R_(is_integer)(C(0.5) * b));
    p = V_select(odd & (V_bits(a) < 0), -p, p);
    p = V_select((a < 0) & (size < INFINITE) & V_not(whole), NOT_A_NUMBER, p);
    p = V_select((a != a) | (b != b), a + b, p);
    return V_select((a == 1) | (b == 0), 1, p);
}

#if PN_DOUBLE
/* x without its lower 32 bits: products of two such numbers with at most 21 and 32 bits are exact. */
PN_INLINE V upper(V x) { return V_from_bits(V_bits(x) & ~(VI_element)0xFFFFFFFF); }

/* log2(x) = *high + *low, x > 0; high has 21 bits. x = 2^n (1 or 1.5) (1 + s) / (1 - s). */
PN_INLINE void log2_parts(V x, V *high, V *low) {
    static const double terms[] = {5.99999999999994648725e-01, 4.28571428578550184252e-01, 3.33333329818377432918e-01,
                                   2.72728123808534006489e-01, 2.30660745775561754067e-01, 2.06975017800338417784e-01};
    const VI tiny = (VI)(x < SMALLEST_NORMAL);
    const VI all = V_bits(V_select(tiny, x * 0x1p54, x));
    const VI fraction = all & 0xFFFFFFFFFFFFF;
    const VI one = (VI)(fraction <= 0x3988E00000000), two = (VI)(fraction >= 0xBB67A00000000); /* below sqrt(3/2): 1; below sqrt(3): 1.5; else 2 */
    const VI carry = two & 1, middle = V_not(one | two);
    const V m = V_from_bits(fraction + (((VI_element)BIAS << MANTISSA) - (carry << MANTISSA)));
    const V n = R_(from_small)((all >> MANTISSA) - BIAS + carry) - V_keep(tiny, 54);
    const V base = V_select(middle, 1.5, 1);
    /* s = (m - base) / (m + base), as s_high + s_low */
    const V u = m - base, v = 1 / (m + base), s = u * v, s_high = upper(s);
    const V sum = upper(m + base), sum_low = m - (sum - base);
    const V s_low = v * ((u - s_high * sum) - s_high * sum_low);
    /* log(m / base) = 2 s + 2/3 s^3 + ... = (2/3) s (3 + s^2 + ...) */
    const V s2 = s * s, square = s_high * s_high;
    const V rest = s2 * s2 * POLYNOMIAL(s2, terms) + s_low * (s_high + s);
    const V three = upper(3 + square + rest), three_low = rest - ((three - 3) - square);
    const V w = s_high * three, w_low = s_low * three + three_low * s;
    const V p = upper(w + w_low), p_low = w_low - (p - w);
    const V z = 9.61796700954437255859e-01 * p; /* 2 / (3 ln 2), 21 bits */
    const V z_low = -7.02846165095275826516e-09 * p + p_low * 9.61796693925975554329e-01 + V_keep(middle, 1.35003920212974897128e-08);
    const V base_log = V_keep(middle, 5.84962487220764160156e-01); /* log2(1.5), 21 bits */
    *high = upper(((z + z_low) + base_log) + n);
    *low = z_low - (((*high - n) - base_log) - z);
}

PN_INLINE V pow_positive(V a, V b) {
    V high, low;
    log2_parts(a, &high, &low);
    const V b_high = upper(b);
    const V y = b_high * high, y_low = (b - b_high) * high + b * low; /* log2 of the result */
    const V size = y + y_low, clamped = V_max(-1100, V_min(1100, size));
    const V shifted = clamped + MAGIC, count = shifted - MAGIC;
    const V z = y - count, t = upper(z + y_low);
    const V u = t * 6.93147182464599609375e-01, w = (y_low - (t - z)) * 6.93147180559945286227e-01 + t * -1.90465429995776804525e-09;
    const V r = u + w, r_low = w - (r - u);
    const VI n = R_(whole)(shifted), half = n >> 1;
    const V p = 1 + (r + (r_low + r * r * POLYNOMIAL(r, R_(exp_terms))));
    const V result = p * R_(power_of_2)(half) * R_(power_of_2)(n - half);
    return V_select(size > 1050, INFINITE, V_select(size < -1090, 0, result));
}
PN_INLINE V R_(pn_pow)(V a, V b) { return R_(pow_special)(a, b, pow_positive(V_abs(a), b)); }
#endif
