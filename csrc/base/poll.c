/* Asking the caller, rarely, whether a long loop should stop. */
#include "base/poll.h"

#include <stddef.h>

#include "base/cpu.h"

void pn_poll_init(pn_poll *p, bool (*ask)(void *), void *context) {
    p->ask = ask;
    p->context = context;
    p->next = pn_clock() + PN_POLL_SECONDS;
    atomic_init(&p->stop, 0);
}

bool pn_poll_now(pn_poll *p) {
    if (!p) return false;
    if (pn_poll_stopped(p)) return true;
    if (!p->ask) return false;
    if (pn_clock() < p->next) return false;
    if (p->ask(p->context)) atomic_store_explicit(&p->stop, 1, memory_order_relaxed);
    /* The pause counts from the end of the question: waiting for the GIL may have taken longer than the pause itself. */
    p->next = pn_clock() + PN_POLL_SECONDS;
    return pn_poll_stopped(p);
}
