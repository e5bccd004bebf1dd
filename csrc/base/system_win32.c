/* Windows (clang-cl or mingw-w64). */
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0601
#include <windows.h>
#include <process.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/system.h"

_Static_assert(sizeof(SRWLOCK) == sizeof(void *) && sizeof(CONDITION_VARIABLE) == sizeof(void *), "pn_lock holds both as pointers");
static SRWLOCK *mutex_of(pn_lock *l) { return (SRWLOCK *)&l->mutex; }
static CONDITION_VARIABLE *wake_of(pn_lock *l) { return (CONDITION_VARIABLE *)&l->wake; }

double pn_clock(void) {
    LARGE_INTEGER ticks, rate;
    QueryPerformanceFrequency(&rate);
    QueryPerformanceCounter(&ticks);
    return (double)ticks.QuadPart / (double)rate.QuadPart;
}

void pn_lock_init(pn_lock *l) {
    InitializeSRWLock(mutex_of(l));
    InitializeConditionVariable(wake_of(l));
}
void pn_lock_enter(pn_lock *l) { AcquireSRWLockExclusive(mutex_of(l)); }
void pn_lock_leave(pn_lock *l) { ReleaseSRWLockExclusive(mutex_of(l)); }
void pn_lock_wait(pn_lock *l) { SleepConditionVariableSRW(wake_of(l), mutex_of(l), INFINITE, 0); }
void pn_lock_wake_all(pn_lock *l) { WakeAllConditionVariable(wake_of(l)); }

typedef struct start {
    void (*fn)(void *);
    void *argument;
} start;

static unsigned __stdcall thread_main(void *p) {
    start s = *(start *)p;
    free(p);
    s.fn(s.argument);
    return 0;
}

bool pn_thread_start(void (*fn)(void *), void *argument) {
    start *s = malloc(sizeof *s);
    if (!s) return false;
    *s = (start){fn, argument};
    uintptr_t thread = _beginthreadex(NULL, 4u << 20, thread_main, s, 0, NULL);
    if (!thread) {
        free(s);
        return false;
    }
    CloseHandle((HANDLE)thread);
    return true;
}

void pn_thread_yield(void) { SwitchToThread(); }

void pn_fork_handler(void (*in_child)(void)) { (void)in_child; } /* there is no fork */

void pn_large_pages(void *p, size_t bytes) { (void)p, (void)bytes; }

int pn_system_cpus(void) {
    DWORD_PTR mine = 0, all = 0;
    int n = 0;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &mine, &all)) return 1;
    for (; mine; mine &= mine - 1) n++;
    return n < 1 ? 1 : n;
}
#else
typedef int pn_system_win32_unused; /* a translation unit must not be empty */
#endif
