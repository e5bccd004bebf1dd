/* The allocator: malloc with room to align and a small header, so that size and origin are known when the block comes back.
 *
 * malloc plus aligning by hand is several times faster for small blocks than aligned_alloc, which passes by the C library's fast lists; teaching mode
 * allocates a few blocks per operation. It also needs no second interface on Windows. */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/system.h"

#define ALIGN 64
#define LARGE ((size_t)4 << 20)            /* from here on large pages pay for the call that asks for them */
#define SLACK (sizeof(header) + ALIGN - 8) /* malloc aligns to at least 8 bytes */

/* Stands right in front of every block. */
typedef struct header {
    void *base;   /* what malloc gave */
    size_t bytes; /* what the caller asked for */
} header;

static atomic_llong live_count, live_bytes, peak_bytes;
static atomic_int fail_mode; /* 0: off, 1: one failure, 2: all from the chosen one on */
static atomic_llong fail_countdown, failures;

bool pn_mul_size(size_t a, size_t b, size_t *out) {
    if (b != 0 && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

bool pn_add_size(size_t a, size_t b, size_t *out) {
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

/* Whether this allocation is chosen to fail. */
static bool injected_failure(void) {
    int mode = atomic_load_explicit(&fail_mode, memory_order_relaxed);
    long long left = atomic_fetch_sub_explicit(&fail_countdown, 1, memory_order_relaxed);
    if (left > 1 || (left < 1 && mode == 1)) return false;
    atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed);
    return true;
}

static void count_up(size_t bytes) {
    atomic_fetch_add_explicit(&live_count, 1, memory_order_relaxed);
    long long live = atomic_fetch_add_explicit(&live_bytes, (long long)bytes, memory_order_relaxed) + (long long)bytes;
    long long peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (live > peak && !atomic_compare_exchange_weak_explicit(&peak_bytes, &peak, live, memory_order_relaxed, memory_order_relaxed)) {}
}

static void *allocate(size_t bytes, bool zero) {
    if (atomic_load_explicit(&fail_mode, memory_order_relaxed) && injected_failure()) return NULL;
    if (bytes > PTRDIFF_MAX - SLACK) return NULL;
    /* The C library gets zeroed pages for large blocks from the system without touching them. */
    void *base = zero ? calloc(1, bytes + SLACK) : malloc(bytes + SLACK);
    if (!base) return NULL;
    if (bytes >= LARGE) pn_large_pages(base, bytes + SLACK);
    uintptr_t at = ((uintptr_t)base + sizeof(header) + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
    ((header *)at)[-1] = (header){base, bytes};
    count_up(bytes);
    return (void *)at;
}

void *pn_alloc(size_t bytes) { return allocate(bytes, false); }
void *pn_alloc_zero(size_t bytes) { return allocate(bytes, true); }

void pn_free(void *p) {
    if (!p) return;
    header h = ((header *)p)[-1];
    atomic_fetch_sub_explicit(&live_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_bytes, (long long)h.bytes, memory_order_relaxed);
    free(h.base);
}

int64_t pn_alloc_live_count(void) { return atomic_load_explicit(&live_count, memory_order_relaxed); }
int64_t pn_alloc_live_bytes(void) { return atomic_load_explicit(&live_bytes, memory_order_relaxed); }
int64_t pn_alloc_peak_bytes(void) { return atomic_load_explicit(&peak_bytes, memory_order_relaxed); }

void pn_alloc_fail_at(int64_t k, bool sticky) {
    atomic_store(&fail_mode, 0);
    atomic_store(&failures, 0);
    atomic_store(&fail_countdown, k);
    if (k > 0) atomic_store(&fail_mode, sticky ? 2 : 1);
}

int64_t pn_alloc_failures(void) { return atomic_load(&failures); }
