/* The team: barrier, fixed shares, several callers, fork. Run under ThreadSanitizer too. */
#include "test.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/system.h"
#include "base/team.h"

#define MEMBERS 5

typedef struct relay {
    int rounds, seen[PN_MAX_THREADS]; /* seen: written by its member between barriers, read by all after them */
    atomic_int wrong, count;
} relay;

/* In every round each member writes its number of the round and then reads everybody's. */
static void relay_run(void *context, pn_member *m) {
    relay *r = context;
    atomic_store(&r->count, m->count);
    for (int round = 1; round <= r->rounds; round++) {
        r->seen[m->index] = round;
        pn_member_barrier(m);
        for (int i = 0; i < m->count; i++) {
            if (r->seen[i] != round) atomic_fetch_add(&r->wrong, 1);
        }
        pn_member_barrier(m);
    }
}

TEST(the_barrier_holds_everybody) {
    for (int members = 1; members <= MEMBERS; members++) {
        relay r = {.rounds = members <= 2 ? 20000 : 500};
        pn_team_run(members, NULL, relay_run, &r);
        CHECK(r.wrong == 0 && r.count == members, "%d wrong, %d members", r.wrong, r.count);
    }
}

TEST(runs_may_change_size_every_time) {
    relay r = {.rounds = 2};
    for (int i = 0; i < 2000; i++) {
        pn_team_run(1 + i * 7 % MEMBERS, NULL, relay_run, &r);
        CHECK(r.count == 1 + i * 7 % MEMBERS);
    }
    CHECK(r.wrong == 0);
}

static void sleepy_run(void *context, pn_member *m) {
    for (int i = 0; i < 20; i++) {
        double until = pn_clock() + ((i + m->index) % m->count == 0 ? 1e-3 : 0); /* long enough for all others to fall asleep */
        while (pn_clock() < until) {}
        pn_member_barrier(m);
    }
    if (m->index == 0) ++*(int *)context;
}

TEST(sleepers_are_woken) {
    int done = 0;
    for (int i = 0; i < 10; i++) {
        double until = pn_clock() + 2e-3; /* the pool falls asleep between the runs */
        while (pn_clock() < until) {}
        pn_team_run(3, NULL, sleepy_run, &done);
    }
    CHECK(done == 10);
}

TEST(shares_cover_everything_once) {
    int64_t blocks[PN_MAX_THREADS * 8] = {0};
    for (int count = 1; count <= PN_MAX_THREADS; count++) {
        for (int64_t n = 0; n < 200; n++) {
            int64_t next = 0, lo, hi;
            for (int i = 0; i < count; i++) {
                pn_member m = {.index = i, .count = count, .blocks = blocks};
                pn_member_range(&m, n, &lo, &hi);
                CHECK(lo == next && hi >= lo && hi - lo <= n / count + 1);
                next = hi;
            }
            CHECK(next == n);
        }
    }
    CHECK(blocks[0] > 0 && blocks[8 * (PN_MAX_THREADS - 1)] > 0);
}

static void nested_run(void *context, pn_member *m) {
    if (m->index == 0) pn_team_run(2, NULL, relay_run, context);
    pn_member_barrier(m);
}

TEST(a_run_inside_a_run_is_alone) {
    relay r = {.rounds = 10};
    pn_team_run(2, NULL, nested_run, &r);
    CHECK(r.count == 1 && r.wrong == 0);
}

typedef struct caller {
    relay r;
    int runs, pairs, alone;
    atomic_int *finished;
} caller;

static void many_runs(void *context) {
    caller *c = context;
    for (int i = 0; i < c->runs; i++) {
        pn_team_run(2, NULL, relay_run, &c->r);
        *(c->r.count == 2 ? &c->pairs : &c->alone) += 1;
    }
    atomic_fetch_add(c->finished, 1);
}

static void wait_for_all(atomic_int *finished, int n) {
    for (double end = pn_clock() + 120; atomic_load(finished) < n && pn_clock() < end;) {}
    CHECK(atomic_load(finished) == n, "%d of %d callers came back", atomic_load(finished), n);
}

TEST(two_callers_share_one_pool) {
    static caller c[2];
    static atomic_int finished;
    for (int i = 0; i < 2; i++) {
        c[i] = (caller){.r = {.rounds = 5}, .runs = 3000, .finished = &finished};
        CHECK(pn_thread_start(many_runs, &c[i]));
    }
    wait_for_all(&finished, 2);
    for (int i = 0; i < 2; i++) CHECK(c[i].r.wrong == 0 && c[i].pairs + c[i].alone == 3000);
    CHECK(c[0].pairs + c[1].pairs > 0);
}

TEST(thread_counts_are_bounded) {
    pn_threads_set(3);
    CHECK(pn_threads_get() == 3);
    pn_threads_set(1000);
    CHECK(pn_threads_get() == PN_MAX_THREADS);
    pn_threads_set(0);
    CHECK(pn_threads_get() >= 1 && pn_threads_get() <= PN_MAX_THREADS);
}

#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>

/* Forks; the child runs a team of three twice and tells by its exit code whether all went well. A child that hangs is ended by its alarm. */
static void fork_and_run(void) {
    pid_t child = fork();
    if (child == 0) {
        relay r = {.rounds = 50};
        alarm(60);
        pn_team_run(3, NULL, relay_run, &r);
        bool good = r.wrong == 0 && r.count == 3;
        pn_team_run(2, NULL, relay_run, &r);
        _exit(good && r.wrong == 0 && r.count == 2 ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}

TEST(a_child_forked_after_a_run_has_its_own_pool) {
    relay r = {.rounds = 10};
    pn_team_run(3, NULL, relay_run, &r);
    fork_and_run();
    pn_team_run(3, NULL, relay_run, &r); /* and the parent's still works */
    CHECK(r.count == 3 && r.wrong == 0);
}

static atomic_bool keep_running;
static void run_until_told(void *context) {
    caller *c = context;
    while (atomic_load(&keep_running)) pn_team_run(3, NULL, relay_run, &c->r);
    atomic_fetch_add(c->finished, 1);
}

TEST(forks_during_a_run_in_another_thread) {
    static caller c = {.r = {.rounds = 20}};
    static atomic_int finished;
    c.finished = &finished;
    atomic_store(&keep_running, true);
    CHECK(pn_thread_start(run_until_told, &c));
    for (int i = 0; i < 20; i++) fork_and_run();
    atomic_store(&keep_running, false);
    wait_for_all(&finished, 1);
    CHECK(c.r.wrong == 0);
}
#endif
