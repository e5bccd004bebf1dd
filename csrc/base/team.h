/* Threads. A run is SPMD: every member of the team walks the same program and takes its share of fixed blocks; there is no fork-join per op.
 *
 * Results never depend on the number of members: work is cut into blocks by shape alone, and each block is computed the same way by whoever takes it.
 * Waiters spin at most 50 us, then sleep. One call owns the pool; a second caller meanwhile runs alone (count == 1). The pool starts lazily and
 * is forgotten in a forked child. */
#ifndef PN_BASE_TEAM_H
#define PN_BASE_TEAM_H
#include <stddef.h>
#include <stdint.h>
#include "base/poll.h"

#define PN_MAX_THREADS 64
typedef struct pn_team pn_team; /* barrier and shared state of one run */

typedef struct pn_member {
    int index, count; /* 0 <= index < count; member 0 is the calling thread */
    pn_team *team;    /* NULL when count == 1 */
    pn_poll *poll;    /* may be NULL */
    void *scratch;    /* this member's scratch, 64-byte aligned, as large as the op asked for */
    int64_t *blocks;  /* where to count blocks done, one counter per member; NULL: not counted */
} pn_member;

typedef void (*pn_team_fn)(void *context, pn_member *member);

/* Runs fn on up to `threads` members and returns when all are back. Fewer members than asked is no error. */
void pn_team_run(int threads, pn_poll *poll, pn_team_fn fn, void *context);
/* True once the run should stop: the rest of a loop may be left undone, but every barrier must still be passed. */
static inline bool pn_member_stopped(pn_member *m) { return m->index == 0 ? pn_poll_now(m->poll) : pn_poll_stopped(m->poll); }
void pn_member_barrier(pn_member *m); /* all members must call it equally often; no-op when count == 1 */

/* The contiguous share [*lo, *hi) of n blocks of this member. */
static inline void pn_member_range(const pn_member *m, int64_t n, int64_t *lo, int64_t *hi) {
    *lo = n * m->index / m->count;
    *hi = n * (m->index + 1) / m->count;
    if (m->blocks) m->blocks[m->index * 8] += *hi - *lo; /* counters lie a cache line apart */
}

void pn_threads_set(int n); /* 0: back to the default (PYNEURO_NUM_THREADS, OMP_NUM_THREADS, pn_cpu_threads()) */
int pn_threads_get(void);
#endif
