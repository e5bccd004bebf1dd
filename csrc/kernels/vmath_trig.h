/* sin and cos of doubles: x = n pi/2 + r + tail by three parts of pi/2, then the polynomials of fdlibm (Sun Microsystems, 1993) for both functions on
 * [-pi/4, pi/4]. Angles from 2^20 on are reduced one by one (angle.c). Floats go through doubles (vmath_wide.h): they are rare in networks. */
#if PN_DOUBLE
#define ANGLE_MAX 0x1p20

/* sin(r + tail) and cos(r + tail), |r| <= pi/4 */
PN_INLINE V sin_kernel(V r, V tail) {
    static const double s[] = {8.33333333332248946124e-03, -1.98412698298579493134e-04, 2.75573137070700676789e-06, -2.50507602534068634195e-08,
                               1.58969099521155010221e-10};
    const V z = r * r, v = z * r;
    return r - ((z * (0.5 * tail - v * POLYNOMIAL(z, s)) - tail) - v * -1.66666666666666324348e-01);
}
PN_INLINE V cos_kernel(V r, V tail) {
    static const double c[] = {4.16666666666666019037e-02,  -1.38888888888741095749e-03, 2.48015872894767294178e-05,
                               -2.75573143513906633035e-07, 2.08757232129817482790e-09,  -1.13596475577881948265e-11};
    const V z = r * r, half = 0.5 * z, w = 1 - half;
    return w + (((1 - w) - half) + (z * (z * POLYNOMIAL(z, c)) - r * tail));
}

/* The lanes with large angles, by hand. */
static void angles_reduce(V x, V *r, V *tail, VI *n) {
    double from[V_LANES], to[V_LANES], low[V_LANES];
    VI_element quadrant[V_LANES];
    memcpy(from, &x, sizeof from);
    memcpy(to, r, sizeof to);
    memcpy(low, tail, sizeof low);
    memcpy(quadrant, n, sizeof quadrant);
    for (int i = 0; i < V_LANES; i++) {
        if (!(from[i] < ANGLE_MAX && from[i] > -ANGLE_MAX)) quadrant[i] = pn_angle_reduce(from[i], &to[i], &low[i]);
    }
    memcpy(r, to, sizeof to);
    memcpy(tail, low, sizeof low);
    memcpy(n, quadrant, sizeof quadrant);
}

/* sin(x + shift pi/2) */
PN_INLINE V sin_shifted(V x, int shift) {
    const V shifted = x * 6.36619772367581382433e-01 + MAGIC, count = shifted - MAGIC;
    VI n = R_(whole)(shifted);
    const V r0 = x - count * 1.57079632673412561417e+00; /* 33 bits of pi/2: exact */
    const V w = count * 6.07710050630396597660e-11;      /* the next 33 bits: exact */
    const V r1 = r0 - w;
    const V w1 = count * 2.02226624879595063154e-21 - ((r0 - r1) - w); /* the rest, and what r1 lost */
    V r = r1 - w1, tail = (r1 - r) - w1;
    if (V_any(V_not(V_abs(x) < ANGLE_MAX))) angles_reduce(x, &r, &tail, &n);
    n = (VI)((VU)n + (VU_element)shift);
    const V size = V_select((n & 1) == 0, sin_kernel(r, tail), cos_kernel(r, tail));
    return V_select((n & 2) == 0, size, -size);
}
PN_INLINE V R_(pn_sin)(V x) { return V_select(x == 0, x, sin_shifted(x, 0)); } /* keeps -0 */
PN_INLINE V R_(pn_cos)(V x) { return sin_shifted(x, 1); }
#undef ANGLE_MAX
#endif
