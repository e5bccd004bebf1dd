/* Functions of floats that are computed in doubles. */
#define V_sin(x) R_(pn_sin)(x)
#define V_cos(x) R_(pn_cos)(x)
#define V_pow(a, b) R_(pn_pow)(a, b)
#if !PN_DOUBLE
static V pn_sin_f(V x) {
    pn_vec_d part[2];
    V_split(x, part);
    for (int i = 0; i < V_PARTS; i++) part[i] = pn_sin_d(part[i]);
    return V_join(part);
}
static V pn_cos_f(V x) {
    pn_vec_d part[2];
    V_split(x, part);
    for (int i = 0; i < V_PARTS; i++) part[i] = pn_cos_d(part[i]);
    return V_join(part);
}
static V pn_pow_f(V a, V b) {
    pn_vec_d base[2], exponent[2];
    V_split(V_abs(a), base);
    V_split(b, exponent);
    for (int i = 0; i < V_PARTS; i++) base[i] = pn_exp_d(exponent[i] * pn_log_d(base[i]));
    return pow_special_f(a, b, V_join(base));
}
/* x P(x), in doubles but for the exponential: the roundings of the other factors would add up to 3 ulp. */
static const double normal_terms_wide[] = {0.7552851385103706,     -0.6078966060738091,    0.3871366797947066,    -0.18652300589738766,
                                           0.06040646974830364,    -0.007527212911679855,  -0.003523574056351906, 0.0015693136450922462,
                                           0.00019480185114246543, -0.00012298315700526609};
static V pn_gelu_f(V x) {
    const V size = V_abs(x), a = V_min(NORMAL_MAX, size), w = 1 / (a + NORMAL_K);
    pn_vec_d wide[2], inverse[2];
    V_split(a, wide);
    V_split(w, inverse);
    for (int i = 0; i < V_PARTS; i++) {
        const pn_vec_d s = wide[i] * (inverse[i] * (2 - (wide[i] + (double)NORMAL_K) * inverse[i])); /* a / (a + k), one step of Newton's */
        wide[i] = s * polynomial_d(2 * s - 1, normal_terms_wide, (int)(sizeof normal_terms_wide / sizeof *normal_terms_wide));
    }
    const V tail = exp_half_square_f(a, V_select(size > NORMAL_MAX, 0, V_copysign(V_join(wide), x))); /* x P(-|x|) */
    return V_select(x > 0, x - tail, tail);
}
#endif
