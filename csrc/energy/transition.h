/* The transition matrix of a rule on a small model: what one proposal, or one sweep in order, does to every state. States are numbered as in enumerate.h. */
#ifndef PN_ENERGY_TRANSITION_H
#define PN_ENERGY_TRANSITION_H
#include "base/poll.h"
#include "energy/energy.h"

#define PN_TRANSITION_SPINS 12

typedef struct pn_transition {
    pn_rule rule;
    double temperature;
    double proposed;      /* probability that a proposal is a flip: 1, or 1/2 when the new value is drawn from {-1, +1} */
    const int32_t *order; /* (visits) the spins that a sweep visits, one after the other; NULL: one proposal for a spin drawn at random */
    int64_t visits;
} pn_transition;

/* p (2^n, 2^n): p[a, b] is the probability to be in b after being in a. Checked: n, temperature, spins of the order. Cost: 2^n n, or 4^n visits. */
pn_status pn_transition_matrix(double *p, const pn_couplings *m, const pn_transition *t, pn_poll *poll, pn_error *e);
#endif
