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
#endif
