/* Neurons with a graded response (Hopfield 1984): du/dt = -u / tau + M V + I, and what they were used for first, the travelling salesman (Hopfield, Tank 1985). */
#ifndef PN_ENERGY_GRADED_H
#define PN_ENERGY_GRADED_H
#include <stdbool.h>
#include <stdint.h>

#include "base/poll.h"
#include "base/status.h"

/* V = tanh(gain u). E = -1/2 V'MV - I'V + (1 / tau) sum_i (integral of the inverse of the response from 0 to V_i), which falls along the way. Steps are Euler's. */
typedef struct pn_graded {
    const double *m, *input; /* (n, n) symmetric; (n) or NULL */
    int64_t n, rows, steps, every;
    double gain, tau, dt;
    double *u, *v;  /* (rows, n) in and out; v is set from u */
    double *energy; /* (rows, steps / every + 1) */
    double *trace;  /* (rows, steps / every + 1, n) of V, or NULL */
    int64_t *taken; /* (rows) */
} pn_graded;
pn_status pn_graded_run(const pn_graded *g, int threads, pn_poll *poll, pn_error *e);

/* n^2 neurons, V_xi = (1 + tanh(u_xi / u0)) / 2: city x stands at place i. The energy is
 *   A/2 sum_x sum_(i != j) V_xi V_xj + B/2 sum_i sum_(x != y) V_xi V_yi + C/2 (sum V - goal)^2 + D/2 sum_xyi d_xy V_xi (V_y,i+1 + V_y,i-1)
 * + (1 / tau) (integrals of the inverse response), and du/dt = -dE/dV, so E falls. Run r starts at equal activities that add up to n, each u shaken by at most noise u0, from the stream first + r. */
typedef struct pn_tank {
    const double *distance; /* (n, n) */
    int64_t n, runs, first, steps, every;
    double a, b, c, d, goal, u0, tau, dt, noise;
    uint64_t seed;
    double *v;      /* (runs, n, n) the activities at the end */
    double *energy; /* (runs, steps / every + 1) */
    int64_t *taken; /* (runs) */
} pn_tank;
pn_status pn_tank_run(const pn_tank *t, int threads, pn_poll *poll, pn_error *e);

/* Lengths of all (n - 1)! / 2 tours through n cities, 3 to PN_TOUR_MOST, and the shortest one. */
#define PN_TOUR_MOST 11
pn_status pn_tour_all(const double *distance, int64_t n, double *length, int32_t *best, pn_poll *poll, pn_error *e);
/* Improves tours (runs, n), permutations of the cities, by turning round pieces of them until no such change shortens them (Croes 1958). */
pn_status pn_tour_two_opt(const double *distance, int64_t n, int32_t *tour, int64_t runs, int threads, pn_poll *poll, pn_error *e);
#endif
