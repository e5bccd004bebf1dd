/* The pool of threads, the run and the barrier. What differs between systems is in system_posix.c and system_win32.c.
 *
 * Every member owns one slot of atomic words that only grow. A member who needs another waits until a word of the other's slot has reached a value:
 * first spinning, then asleep on that slot's lock. Because words only grow, nothing is reset between runs and a slow member may still be leaving an
 * old barrier when the next run begins. */
#include "base/team.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/system.h"

#define SPIN_SECONDS 50e-6
#define FAST_SPINS 200 /* looks without a pause: a barrier between running members takes less than 0.1 us */
#define ROUNDS 6       /* 2^6 = PN_MAX_THREADS */
#define YIELDS 16      /* a crowded team: how often a member gives its CPU to another one before it sleeps */

typedef struct slot {
    _Alignas(64) atomic_ullong flag[ROUNDS]; /* written by the owner: the last barrier it has signalled in each round */
    uint64_t barriers;                       /* owner only: barriers passed */
    atomic_ullong job;                       /* written by member 0: number of the last run this member is called to */
    _Alignas(64) atomic_int sleepers;        /* how many sleep on this slot */
    pn_lock lock;
} slot;

struct pn_team {
    slot slots[PN_MAX_THREADS];
    /* The run in progress; written by member 0 before it publishes the jobs. */
    pn_team_fn fn;
    void *context;
    pn_poll *poll;
    int count;
    bool crowded;      /* more members than CPUs: who waits keeps somebody else from working */
    uint64_t barriers; /* where the barrier count of this run starts */
    /* Owner of the pool only. */
    uint64_t runs;
    int workers; /* threads started; worker i serves slot i, 1 <= i <= workers */
    bool ready;  /* locks are initialised */
};

static pn_team pool;
static atomic_flag pool_taken = ATOMIC_FLAG_INIT;
static atomic_int cpu_count; /* CPUs when the number of threads was last decided; asking costs microseconds */

static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

static inline bool has_reached(atomic_ullong *word, uint64_t least) { return atomic_load_explicit(word, memory_order_acquire) >= least; }

/* Looks for a while whether *word reaches `least`. Yielding costs nothing on an idle machine; on a busy one the member waited for is often without a CPU,
 * and whoever spins in its way makes all wait for the system's next time slice: ten times slower training. */
static bool spin(atomic_ullong *word, uint64_t least) {
    for (int i = 0; i < FAST_SPINS; i++) {
        if (has_reached(word, least)) return true;
    }
    for (double end = pn_clock() + SPIN_SECONDS; pn_clock() < end;) {
        for (int i = 0; i < 16; i++) {
            if (has_reached(word, least)) return true;
            cpu_relax();
        }
        pn_thread_yield();
    }
    return false;
}

/* The same where the member waited for may need this very CPU. */
static bool yield_for(atomic_ullong *word, uint64_t least) {
    for (int i = 0; i < YIELDS; i++) {
        if (has_reached(word, least)) return true;
        pn_thread_yield();
    }
    return false;
}

/* Returns when *word, which belongs to s, has reached `least`. */
static void wait_for(slot *s, atomic_ullong *word, uint64_t least, bool crowded) {
    if (crowded ? yield_for(word, least) : spin(word, least)) return;
    pn_lock_enter(&s->lock);
    atomic_fetch_add(&s->sleepers, 1);
    while (atomic_load(word) < least) pn_lock_wait(&s->lock);
    atomic_fetch_sub(&s->sleepers, 1);
    pn_lock_leave(&s->lock);
}

/* Raises *word of s to value. Sequential consistency on word and sleepers: either the sleeper sees the word, or we see the sleeper. */
static void publish(slot *s, atomic_ullong *word, uint64_t value) {
    atomic_store(word, value);
    if (atomic_load(&s->sleepers) == 0) return;
    pn_lock_enter(&s->lock);
    pn_lock_wake_all(&s->lock);
    pn_lock_leave(&s->lock);
}

/* For a crowded team: all tell member 0, who tells all. Every member has to run twice at most, where dissemination asks for one run a round. */
static void central_barrier(pn_team *t, int index, int count, uint64_t number) {
    slot *first = &t->slots[0], *mine = &t->slots[index];
    if (index) {
        publish(mine, &mine->flag[0], number);
        wait_for(first, &first->flag[0], number, true);
        return;
    }
    for (int i = 1; i < count; i++) wait_for(&t->slots[i], &t->slots[i].flag[0], number, true);
    publish(first, &first->flag[0], number);
}

/* A dissemination barrier: in round r everyone signals, then waits for the member 2^r places before. For two members that is one cache line each way. */
static void barrier(pn_team *t, int index, int count) {
    slot *mine = &t->slots[index];
    uint64_t number = ++mine->barriers;
    if (t->crowded) {
        central_barrier(t, index, count, number);
        return;
    }
    for (int r = 0, step = 1; step < count; r++, step *= 2) {
        slot *other = &t->slots[(index - step + count) % count];
        publish(mine, &mine->flag[r], number);
        wait_for(other, &other->flag[r], number, false);
    }
}

void pn_member_barrier(pn_member *m) {
    if (m->count > 1) barrier(m->team, m->index, m->count);
}

/* This member's part of the run in progress, up to the barrier at which all are back. */
static void take_part(int index) {
    pn_member m = {.index = index, .count = pool.count, .team = &pool, .poll = pool.poll};
    pool.slots[index].barriers = pool.barriers;
    pool.fn(pool.context, &m);
    barrier(&pool, index, m.count);
}

static void worker(void *argument) {
    slot *mine = argument;
    for (uint64_t last = 0;;) {
        wait_for(mine, &mine->job, last + 1, false);
        last = atomic_load(&mine->job); /* cannot change again before this member has passed the last barrier of the run */
        take_part((int)(mine - pool.slots));
    }
}

/* After a fork only the calling thread exists: whatever the pool was doing, it starts from nothing. */
static void forget_pool(void) {
    pool.ready = false;
    pool.workers = 0;
    atomic_flag_clear(&pool_taken);
}

static void pool_prepare(void) {
    pool.ready = true;
    atomic_store(&cpu_count, pn_cpu_threads());
    for (int i = 0; i < PN_MAX_THREADS; i++) {
        slot *s = &pool.slots[i];
        for (int r = 0; r < ROUNDS; r++) atomic_init(&s->flag[r], 0);
        s->barriers = 0;
        atomic_init(&s->job, 0);
        atomic_init(&s->sleepers, 0);
        pn_lock_init(&s->lock);
    }
}

static void run_alone(pn_poll *poll, pn_team_fn fn, void *context) {
    pn_member m = {.index = 0, .count = 1, .poll = poll};
    fn(context, &m);
}

void pn_team_run(int threads, pn_poll *poll, pn_team_fn fn, void *context) {
    if (threads > PN_MAX_THREADS) threads = PN_MAX_THREADS;
    if (threads <= 1) {
        run_alone(poll, fn, context);
        return;
    }
    if (atomic_flag_test_and_set_explicit(&pool_taken, memory_order_acquire)) {
        run_alone(poll, fn, context);
        return;
    }
    if (!pool.ready) {
        pn_fork_handler(forget_pool);
        pool_prepare();
    }
    while (pool.workers < threads - 1 && pn_thread_start(worker, &pool.slots[pool.workers + 1])) pool.workers++;
    pool.fn = fn;
    pool.context = context;
    pool.poll = poll;
    pool.count = threads < pool.workers + 1 ? threads : pool.workers + 1;
    pool.crowded = pool.count > atomic_load_explicit(&cpu_count, memory_order_relaxed);
    pool.barriers = pool.slots[0].barriers;
    pool.runs++;
    for (int i = 1; i < pool.count; i++) publish(&pool.slots[i], &pool.slots[i].job, pool.runs);
    take_part(0);
    atomic_flag_clear_explicit(&pool_taken, memory_order_release);
}

/* ---- how many threads a run may use ---- */
static atomic_int thread_count; /* 0: not decided yet */

/* The number in an environment variable such as "4" or OpenMP's "4,2"; 0 when there is none. */
static int env_threads(const char *name) {
    const char *text = getenv(name);
    long n = text ? strtol(text, NULL, 10) : 0;
    return n < 1 ? 0 : n > PN_MAX_THREADS ? PN_MAX_THREADS : (int)n;
}

static int default_threads(int cpus) {
    int n = env_threads("PYNEURO_NUM_THREADS");
    if (!n) n = env_threads("OMP_NUM_THREADS");
    return n ? n : cpus;
}

void pn_threads_set(int n) {
    const int cpus = pn_cpu_threads();
    atomic_store(&cpu_count, cpus);
    if (n < 1) n = default_threads(cpus);
    atomic_store(&thread_count, n > PN_MAX_THREADS ? PN_MAX_THREADS : n);
}

int pn_threads_get(void) {
    int n = atomic_load_explicit(&thread_count, memory_order_relaxed);
    if (n) return n;
    pn_threads_set(0);
    return atomic_load(&thread_count);
}
