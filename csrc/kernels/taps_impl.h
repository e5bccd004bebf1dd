/* Pooling over windows of any size, stride and dilation: for a vector of outputs, tap by tap. The taps of a window come in the order of their places. */
#define FOR_OUTPUTS(lanes)                                                                                                                                     \
    for (int64_t c = 0; c < t->chunks; c++)                                                                                                                    \
        for (int64_t e = 0, to = c * t->run, from = c * t->step, left = t->run; e < t->run; e += lanes, to += lanes, from += lanes, left -= lanes)
#define PLACE(p) ((VI){0} + (VI_element)(p)) /* the same place in all lanes */
/* The machine sees no stream in windows: the row of windows that comes next is fetched by hand, which makes 2 x 2 three times as fast out of cache. */
#define FETCH(base, write) __builtin_prefetch(base + from + t->from[i] + t->ahead, write)

/* y = the first maximum of a window, NaN if there is one; where: its place, of NaNs the last one's, of nothing but -inf the first tap's. */
static void R_(max_taps)(real *y, R_(pn_place) *where, const real *x, const pn_taps *t) {
    FOR_OUTPUTS(V_LANES) {
        V best = V_of(C(-__builtin_inf())), place = V_from_bits(PLACE(t->at[0]));
        for (int64_t i = 0; i < t->n; i++) {
            const V v = V_read(x + from + t->from[i], left);
            FETCH(x, 0);
            const VI better = R_(pool_beats)(v, best);
            best = V_select(better, v, best);
            place = R_(pn_select)(better, V_from_bits(PLACE(t->at[i])), place);
        }
        const VI at = V_bits(place) + R_(pn_iota)() * (VI_element)t->slope + (VI_element)(c * t->shift + e * t->slope);
        V_write(y + to, best, left);
        if (left >= V_LANES)
            memcpy(where + to, &at, sizeof at);
        else
            memcpy(where + to, &at, (size_t)left * sizeof *where);
    }
}

/* gx at the maxima (= or +=) gy, (= or +=) 0 at the other taps. */
static void R_(max_taps_backward)(real *gx, const R_(pn_place) *where, const real *gy, const pn_taps *t, bool add) {
    FOR_OUTPUTS(V_LANES) {
        const V g = V_load(gy + to);
        VI place;
        memcpy(&place, where + to, sizeof place);
        place -= (VI_element)(c * t->shift);
        for (int64_t i = 0; i < t->n; i++) {
            real *at = gx + from + t->from[i];
            const V here = V_keep(place == PLACE(t->at[i]), g);
            V_store(at, add ? V_load(at) + here : here);
            FETCH(gx, 1);
        }
    }
}

/* y = factor times the sum, which runs in double. */
static void R_(sum_taps)(real *y, const real *x, const pn_taps *t, double factor) {
    FOR_OUTPUTS(V_WIDE) {
        pn_vec_d sum = {0};
        for (int64_t i = 0; i < t->n; i++) {
            sum += V_load_wide(x + from + t->from[i]);
            FETCH(x, 0);
        }
        V_store_wide(y + to, sum * factor);
    }
}

/* gx at all taps (= or +=) factor gy. */
static void R_(sum_taps_backward)(real *gx, const real *gy, const pn_taps *t, real factor, bool add) {
    FOR_OUTPUTS(V_LANES) {
        const V g = V_load(gy + to) * factor;
        for (int64_t i = 0; i < t->n; i++) {
            real *at = gx + from + t->from[i];
            V_store(at, add ? V_load(at) + g : g);
            FETCH(gx, 1);
        }
    }
}
#undef FOR_OUTPUTS
#undef PLACE
#undef FETCH
