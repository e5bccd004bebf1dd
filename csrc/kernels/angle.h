/* Reduction of large angles, one at a time; the vector code of sin and cos calls it for the lanes that need it. */
#ifndef PN_KERNELS_ANGLE_H
#define PN_KERNELS_ANGLE_H
/* x = q pi/2 + (r + tail) modulo 2 pi, |r| <= pi/4; returns q & 3. For |x| >= 2^20; NaN and Inf give r = NaN. */
int pn_angle_reduce(double x, double *r, double *tail);
#endif
