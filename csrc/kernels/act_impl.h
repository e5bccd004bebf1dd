/* Forward and backward of every line of activation.def: y[n] = f(x[n]) and gx[n] (= or +=) gy[n] f'(x or y). One loop each, tail included, so that an
 * element's bits do not depend on where it stands. */
#define P0
#define P1(a, da) const real a __attribute__((unused)) = (real)p[0];
#define P2(a, da, b, db) const real a __attribute__((unused)) = (real)p[0], b __attribute__((unused)) = (real)p[1];
#define READ_NONE
#define READ_X const V x = V_read(x_from + i, n - i);
#define READ_Y const V y = V_read(y_from + i, n - i);
#define READ_XY READ_X READ_Y

#define ACTIVATION(name, parameters, needs, forward, derivative, ...)                                                                                          \
    static void R_(name##_forward)(real * y, const real *x_from, int64_t n, const double *p) {                                                                 \
        (void)p;                                                                                                                                               \
        parameters for (int64_t i = 0; i < n; i += V_LANES) { READ_X V_write(y + i, (forward), n - i); }                                                       \
    }                                                                                                                                                          \
    static void R_(name##_backward)(real * gx, const real *x_from, const real *y_from, const real *gy, int64_t n, const double *p, bool add) {                 \
        (void)p, (void)x_from, (void)y_from;                                                                                                                   \
        parameters for (int64_t i = 0; i < n; i += V_LANES) {                                                                                                  \
            READ_##needs V g = V_read(gy + i, n - i) * (derivative);                                                                                           \
            if (add) g += V_read(gx + i, n - i);                                                                                                               \
            V_write(gx + i, g, n - i);                                                                                                                         \
        }                                                                                                                                                      \
    }
#include "kernels/activation.def"
#undef ACTIVATION

#define ACTIVATION(name, ...) R_(name##_forward),
static void (*const R_(act_forward)[PN_ACT_COUNT])(real *y, const real *x, int64_t n, const double *p) = {
#include "kernels/activation.def"
};
#undef ACTIVATION
#define ACTIVATION(name, ...) R_(name##_backward),
static void (*const R_(act_backward)[PN_ACT_COUNT])(real *gx, const real *x, const real *y, const real *gy, int64_t n, const double *p, bool add) = {
#include "kernels/activation.def"
};
#undef ACTIVATION
#undef P0
#undef P1
#undef P2
#undef READ_NONE
#undef READ_X
#undef READ_Y
#undef READ_XY
