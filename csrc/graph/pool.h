/* A bump allocator for the many small arrays of a plan: all are freed together, and one flag tells that any of them failed. */
#ifndef PN_GRAPH_POOL_H
#define PN_GRAPH_POOL_H
#include <stdbool.h>
#include <stddef.h>

typedef struct pn_pool {
    struct pn_pool_chunk *chunks; /* newest first */
    bool failed;                  /* an allocation failed or a size overflowed: everything taken since is unusable */
} pn_pool;

void *pn_pool_take(pn_pool *p, size_t count, size_t size); /* zeroed, 16-byte aligned; NULL on failure */
void pn_pool_free(pn_pool *p);
/* Room for one more element: array of `size`-byte elements, *used of *capacity taken. Returns the array, moved if it had to grow; NULL on failure. */
void *pn_pool_grow(pn_pool *p, void *array, int used, int *capacity, size_t size);
#endif
