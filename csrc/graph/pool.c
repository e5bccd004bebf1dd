/* The bump allocator behind plans. */
#include "graph/pool.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

#ifndef PN_POOL_CHUNK /* small: every array is an allocation of its own, which can be made to fail */
#define PN_POOL_CHUNK 16384
#endif

typedef struct pn_pool_chunk {
    struct pn_pool_chunk *next;
    size_t used, bytes; /* of data */
    _Alignas(16) unsigned char data[];
} chunk;

void *pn_pool_take(pn_pool *p, size_t count, size_t size) {
    size_t bytes, total;
    if (p->failed) return NULL;
    if (!pn_mul_size(count, size, &bytes) || !pn_add_size(bytes, sizeof(chunk) + 16, &total)) {
        p->failed = true;
        return NULL;
    }
    bytes = (bytes + 15) & ~(size_t)15;
    chunk *c = p->chunks;
    if (!c || c->bytes - c->used < bytes) {
        const size_t room = bytes > PN_POOL_CHUNK ? bytes : PN_POOL_CHUNK;
        c = pn_alloc(sizeof(chunk) + room);
        if (!c) {
            p->failed = true;
            return NULL;
        }
        *c = (chunk){.next = p->chunks, .bytes = room};
        p->chunks = c;
    }
    void *taken = c->data + c->used;
    c->used += bytes;
    return memset(taken, 0, bytes);
}

void pn_pool_free(pn_pool *p) {
    while (p->chunks) {
        chunk *next = p->chunks->next;
        pn_free(p->chunks);
        p->chunks = next;
    }
    p->failed = false;
}

void *pn_pool_grow(pn_pool *p, void *array, int used, int *capacity, size_t size) {
    if (used < *capacity) return array;
    if (*capacity > INT_MAX / 2) {
        p->failed = true;
        return NULL;
    }
    const int larger = *capacity ? 2 * *capacity : 16;
    void *moved = pn_pool_take(p, (size_t)larger, size);
    if (!moved) return NULL;
    if (used) memcpy(moved, array, (size_t)used * size);
    *capacity = larger;
    return moved;
}
