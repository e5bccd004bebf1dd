/* The update rules of update.def: w, g and the rule's state arrays, n elements each. */

#define UPDATE(name, states, prepare, body, ...)                                                                                                               \
    static void R_(update_##name)(real * w_at, const real *g_at, real *s0, real *s1, real *s2, int64_t n, const pn_hyper *h) {                                 \
        const real sign = (real)(h->maximize ? -h->grad_scale : h->grad_scale);                                                                                \
        const real c0 __attribute__((unused)) = (real)h->c[0], c1 __attribute__((unused)) = (real)h->c[1], c2 __attribute__((unused)) = (real)h->c[2],         \
                      c3 __attribute__((unused)) = (real)h->c[3], c4 __attribute__((unused)) = (real)h->c[4], c5 __attribute__((unused)) = (real)h->c[5],      \
                      c6 __attribute__((unused)) = (real)h->c[6], c7 __attribute__((unused)) = (real)h->c[7];                                                  \
        (void)s0, (void)s1, (void)s2;                                                                                                                          \
        for (int64_t i = 0; i < n; i += V_LANES) {                                                                                                             \
            V w = V_read(w_at + i, n - i), g = V_read(g_at + i, n - i) * sign;                                                                                 \
            READ_##states body WRITE_##states V_write(w_at + i, w, n - i);                                                                                     \
        }                                                                                                                                                      \
    }
#define STATE_READ(name, from) V name = V_read(from + i, n - i);
#define STATE_WRITE(name, from) V_write(from + i, name, n - i);
#define READ_S0
#define READ_S1(a) STATE_READ(a, s0)
#define READ_S2(a, b) READ_S1(a) STATE_READ(b, s1)
#define READ_S3(a, b, c) READ_S2(a, b) STATE_READ(c, s2)
#define WRITE_S0
#define WRITE_S1(a) STATE_WRITE(a, s0)
#define WRITE_S2(a, b) WRITE_S1(a) STATE_WRITE(b, s1)
#define WRITE_S3(a, b, c) WRITE_S2(a, b) STATE_WRITE(c, s2)
#include "kernels/update.def"
#undef UPDATE

#define UPDATE(name, ...) R_(update_##name),
static void (*const R_(updates)[PN_UPDATE_COUNT])(real *w, const real *g, real *s0, real *s1, real *s2, int64_t n, const pn_hyper *h) = {
#include "kernels/update.def"
};
#undef UPDATE
#undef STATE_READ
#undef STATE_WRITE
#undef READ_S0
#undef READ_S1
#undef READ_S2
#undef READ_S3
#undef WRITE_S0
#undef WRITE_S1
#undef WRITE_S2
#undef WRITE_S3
