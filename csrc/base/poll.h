/* How long loops learn that they should stop. The calling thread asks at most every PN_POLL_SECONDS; workers only read the flag. */
#ifndef PN_BASE_POLL_H
#define PN_BASE_POLL_H
#include <stdatomic.h>
#include <stdbool.h>
#define PN_POLL_SECONDS 0.005

typedef struct pn_poll {
    bool (*ask)(void *context); /* true: stop. Called from the calling thread only; takes the GIL itself. NULL: never asks */
    void *context;
    double next;     /* pn_clock() time of the next question; owned by the calling thread */
    atomic_int stop; /* sticky once set */
} pn_poll;

void pn_poll_init(pn_poll *p, bool (*ask)(void *), void *context);
bool pn_poll_now(pn_poll *p); /* calling thread: asks when due; returns the flag. p may be NULL (false) */
static inline bool pn_poll_stopped(pn_poll *p) { return p && atomic_load_explicit(&p->stop, memory_order_relaxed); } /* any thread */
#endif
