/* A small runner for C tests. A file of tests includes this once, writes TEST(name) { ... CHECK(condition); ... } and nothing else: it becomes a program
 * that runs all its tests and says which checks failed. */
#ifndef PN_TEST_H
#define PN_TEST_H
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"

#define PN_TEST_MAX 256
typedef struct pn_test {
    const char *name;
    void (*run)(void);
} pn_test;
static pn_test pn_tests[PN_TEST_MAX];
static int pn_test_count, pn_test_failed;

#define TEST(name)                                                                                                                                             \
    static void name(void);                                                                                                                                    \
    __attribute__((constructor)) static void name##_add(void) {                                                                                                \
        if (pn_test_count < PN_TEST_MAX) pn_tests[pn_test_count++] = (pn_test){#name, name};                                                                   \
    }                                                                                                                                                          \
    static void name(void)

/* Counts a failure, says where and why, and goes on. */
#define CHECK(condition, ...)                                                                                                                                  \
    do {                                                                                                                                                       \
        if (!(condition)) {                                                                                                                                    \
            pn_test_failed++;                                                                                                                                  \
            printf("  %s:%d: %s is false.", __FILE__, __LINE__, #condition);                                                                                   \
            printf(" " __VA_ARGS__);                                                                                                                           \
            printf("\n");                                                                                                                                      \
        }                                                                                                                                                      \
    } while (0)

/* |got - want| <= tolerance max(1, |want|), and no NaN. */
#define CHECK_CLOSE(got, want, tolerance)                                                                                                                      \
    do {                                                                                                                                                       \
        double got_ = (got), want_ = (want);                                                                                                                   \
        CHECK(fabs(got_ - want_) <= (tolerance) * fmax(1.0, fabs(want_)), "got %.17g, want %.17g", got_, want_);                                               \
    } while (0)

/* Words on the command line choose tests whose name contains one of them; a word with a minus in front leaves tests out. */
static bool pn_test_chosen(const char *name, int n, char **words) {
    bool any = false, wanted = false;
    for (int i = 0; i < n; i++) {
        if (words[i][0] == '-' && strstr(name, words[i] + 1)) return false;
        any = any || words[i][0] != '-';
        wanted = wanted || strstr(name, words[i]);
    }
    return wanted || !any;
}

int main(int argc, char **argv) {
    int bad = 0, ran = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < pn_test_count; i++) {
        if (!pn_test_chosen(pn_tests[i].name, argc - 1, argv + 1)) continue;
        int64_t live = pn_alloc_live_count();
        double start = pn_clock();
        pn_test_failed = 0;
        pn_tests[i].run();
        CHECK(pn_alloc_live_count() == live, "%lld blocks are still allocated", (long long)(pn_alloc_live_count() - live));
        printf("%s %s (%.0f ms)\n", pn_test_failed ? "FAIL" : "ok  ", pn_tests[i].name, 1e3 * (pn_clock() - start));
        bad += pn_test_failed > 0;
        ran++;
    }
    printf("%d of %d tests failed\n", bad, ran);
    return bad || !ran;
}
#endif
