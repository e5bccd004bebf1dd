/* The one allocator of the core: 64-byte aligned, counted, and able to fail on request, so that every failure path is testable. */
#ifndef PN_BASE_ALLOC_H
#define PN_BASE_ALLOC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *pn_alloc(size_t bytes);      /* 64-byte aligned, uninitialised; NULL on failure; bytes == 0 gives a valid pointer */
void *pn_alloc_zero(size_t bytes); /* the same, zeroed */
void pn_free(void *p);             /* NULL is fine */

bool pn_mul_size(size_t a, size_t b, size_t *out); /* false on overflow */
bool pn_add_size(size_t a, size_t b, size_t *out); /* false on overflow */

/* For tests and reports. Thread-safe. */
int64_t pn_alloc_live_count(void);
int64_t pn_alloc_live_bytes(void);
int64_t pn_alloc_peak_bytes(void);
/* The k-th allocation from now (1 = next) fails; sticky: all later ones too. k = 0 switches failures off. */
void pn_alloc_fail_at(int64_t k, bool sticky);
int64_t pn_alloc_failures(void); /* how many failures were injected since the last pn_alloc_fail_at */
#endif
