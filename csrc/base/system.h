/* What the operating system provides, and nothing else of the core asks it for: threads, locks, fork, CPU count. One implementation file per system:
 * system_posix.c and system_win32.c. The clock belongs here too and is declared in base/cpu.h. */
#ifndef PN_BASE_SYSTEM_H
#define PN_BASE_SYSTEM_H
#include <stdbool.h>
#include <stddef.h>

/* A mutex with one condition. */
#if defined(_WIN32)
typedef struct pn_lock {
    void *mutex, *wake; /* an SRWLOCK and a CONDITION_VARIABLE: each is one pointer, zero at rest */
} pn_lock;
#else
#include <pthread.h>
typedef struct pn_lock {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
} pn_lock;
#endif

void pn_lock_init(pn_lock *l); /* also makes a lock usable again that a fork left in an unknown state */
void pn_lock_enter(pn_lock *l);
void pn_lock_leave(pn_lock *l);
void pn_lock_wait(pn_lock *l);     /* inside enter..leave: sleeps until woken; may also return without cause */
void pn_lock_wake_all(pn_lock *l); /* wakes all who sleep in pn_lock_wait */

/* Starts a detached thread that takes no signals of the process. false when the system refuses. */
bool pn_thread_start(void (*fn)(void *), void *argument);
void pn_thread_yield(void); /* lets another thread have this CPU, when one waits for it */
/* Calls fn in every process forked from now on, before anything else runs there. fn must be the same at every call; it is registered once. */
void pn_fork_handler(void (*in_child)(void));
/* CPUs this process may use: affinity and, on Linux, the quota of its control groups. At least 1. */
int pn_system_cpus(void);
/* Asks for large pages for a fresh block: they save most page faults and TLB misses of arrays of many megabytes. A wish, not a need. */
void pn_large_pages(void *p, size_t bytes);

#endif
