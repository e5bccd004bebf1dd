/* Linux, macOS and the BSDs. */
#if !defined(_WIN32)
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#include <sys/mman.h>
#endif
#include "base/system.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"

#define STACK_BYTES ((size_t)4 << 20) /* some systems give new threads only 128 kB */

double pn_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void pn_lock_init(pn_lock *l) {
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->wake, NULL);
}
void pn_lock_enter(pn_lock *l) { pthread_mutex_lock(&l->mutex); }
void pn_lock_leave(pn_lock *l) { pthread_mutex_unlock(&l->mutex); }
void pn_lock_wait(pn_lock *l) { pthread_cond_wait(&l->wake, &l->mutex); }
void pn_lock_wake_all(pn_lock *l) { pthread_cond_broadcast(&l->wake); }

typedef struct start {
    void (*fn)(void *);
    void *argument;
} start;

static void *thread_main(void *p) {
    start s = *(start *)p;
    free(p);
    s.fn(s.argument);
    return NULL;
}

bool pn_thread_start(void (*fn)(void *), void *argument) {
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    start *s = malloc(sizeof *s);
    if (!s || pthread_attr_init(&attr)) {
        free(s);
        return false;
    }
    *s = (start){fn, argument};
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    /* Ctrl-C and friends belong to the threads of the host program; a fault must still reach its own thread. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, &attr, thread_main, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (!started) free(s);
    return started;
}

void pn_thread_yield(void) { sched_yield(); }

static void (*fork_child)(void);
static void fork_register(void) { pthread_atfork(NULL, NULL, fork_child); }

void pn_fork_handler(void (*in_child)(void)) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    fork_child = in_child;
    pthread_once(&once, fork_register);
}

#if defined(__linux__)
static int affinity_cpus(void) {
    for (int bits = 1024; bits <= 1 << 18; bits *= 4) { /* the kernel refuses sets smaller than its own */
        cpu_set_t *set = CPU_ALLOC(bits);
        if (!set) break;
        size_t bytes = CPU_ALLOC_SIZE(bits);
        int n = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (n > 0) return n;
    }
    return 0;
}

/* Up to size - 1 bytes of a file of the kernel as text; false when there is none. */
static bool read_text(const char *path, char *text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Whole CPUs one control group allows, 0 when it sets no limit. base: mount point and path of the group. */
static long group_cpus(const char *base) {
    char path[1200], text[64];
    long long quota = -1, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", base); /* version 2: "150000 100000" or "max 100000" */
    if (read_text(path, text, sizeof text)) {
        if (sscanf(text, "%lld %lld", &quota, &period) != 2) return 0;
    } else { /* version 1 */
        snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", base);
        if (!read_text(path, text, sizeof text)) return 0;
        quota = atoll(text);
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", base);
        if (!read_text(path, text, sizeof text)) return 0;
        period = atoll(text);
    }
    if (quota <= 0 || period <= 0) return 0;
    return quota < period ? 1 : (long)(quota / period); /* rounded down: a throttled member would hold up all others */
}

/* The smallest limit from the group of this process up to the root, 0 without one. */
static long quota_of(const char *mount, char *group) {
    char base[1100];
    long least = 0;
    for (;;) {
        snprintf(base, sizeof base, "%s%s", mount, group);
        long n = group_cpus(base);
        if (n > 0 && (!least || n < least)) least = n;
        char *slash = strrchr(group, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

static long quota_cpus(void) {
    char text[4096], *save = NULL;
    long least = 0;
    if (!read_text("/proc/self/cgroup", text, sizeof text)) return 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL; /* "0::/user.slice" or "4:cpu,cpuacct:/docker/..." */
        if (!group || strlen(group) > 1000) continue;
        *group++ = '\0';
        bool v2 = names[1] == '\0';
        if (!v2 && !strstr(names, "cpu")) continue;
        long n = quota_of(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", group);
        if (n > 0 && (!least || n < least)) least = n;
    }
    return least;
}

void pn_large_pages(void *p, size_t bytes) {
#if defined(MADV_HUGEPAGE)
    const uintptr_t page = 4096; /* the call wants whole pages; the kernel itself looks for the large ones inside */
    uintptr_t first = ((uintptr_t)p + page - 1) & ~(page - 1), end = ((uintptr_t)p + bytes) & ~(page - 1);
    if (end > first) madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
    (void)p, (void)bytes;
#endif
}
#else
static int affinity_cpus(void) { return 0; }
static long quota_cpus(void) { return 0; }
void pn_large_pages(void *p, size_t bytes) { (void)p, (void)bytes; }
#endif

int pn_system_cpus(void) {
    long n = affinity_cpus(), quota = quota_cpus();
    if (n <= 0) n = sysconf(_SC_NPROCESSORS_ONLN);
    if (quota > 0 && quota < n) n = quota;
    return n < 1 ? 1 : (int)n;
}
#else
typedef int pn_system_posix_unused; /* a translation unit must not be empty */
#endif
