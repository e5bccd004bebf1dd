/* Storages, tensors and nodes: how they are made and how they go.
 *
 * A node holds its input tensors, a tensor holds its producer: a graph is a tree of references without cycles, as deep as the longest chain of
 * operations. Destruction therefore keeps a list of dying nodes instead of recursing. */
#include <string.h>

#include "base/alloc.h"
#include "graph/graph.h"

/* ---- storage ---- */

/* Data that the core allocates stands right behind its header, a cache line further: one allocation instead of two. */
#define HEADER 64
_Static_assert(sizeof(pn_storage) <= HEADER, "the header of a storage fits into a cache line");

static pn_storage *storage_new(const pn_shape *shape, pn_error *e) {
    size_t bytes, total;
    char text[256];
    pn_storage *s = NULL;
    if (pn_shape_bytes(shape, &bytes) && pn_add_size(bytes, HEADER, &total)) s = pn_alloc(total);
    if (!s) {
        pn_fail(e, PN_E_MEMORY, "not enough memory for a tensor of shape %s and dtype %s", pn_shape_text(shape, text), pn_dtype_name(shape->dtype));
        return NULL;
    }
    *s = (pn_storage){.refs = 1, .data = (char *)s + HEADER, .bytes = bytes};
    return s;
}

pn_storage *pn_storage_wrap(void *data, size_t bytes, void (*release)(void *), void *owner, pn_error *e) {
    pn_storage *s = pn_alloc(HEADER);
    if (!s) {
        pn_fail(e, PN_E_MEMORY, "not enough memory for a tensor");
        return NULL;
    }
    *s = (pn_storage){.refs = 1, .data = data, .bytes = bytes, .release = release, .owner = owner};
    return s;
}

void pn_storage_ref(pn_storage *s) { s->refs++; }

void pn_storage_unref(pn_storage *s) {
    if (!s || --s->refs) return;
    if (s->release)
        s->release(s->owner);
    else if (s->data != (char *)s + HEADER)
        pn_free(s->data);
    pn_free(s);
}

/* ---- tensor ---- */

/* Takes over the reference to storage, also on failure. */
static pn_tensor *tensor_around(pn_storage *storage, const pn_shape *shape, pn_error *e) {
    if (!storage) return NULL;
    pn_tensor *t = pn_alloc(sizeof *t);
    if (!t) {
        pn_storage_unref(storage);
        pn_fail(e, PN_E_MEMORY, "not enough memory for a tensor");
        return NULL;
    }
    *t = (pn_tensor){.refs = 1, .storage = storage, .shape = *shape};
    return t;
}

pn_tensor *pn_tensor_new(const pn_shape *shape, pn_error *e) { return tensor_around(storage_new(shape, e), shape, e); }

pn_tensor *pn_tensor_of(pn_storage *storage, const pn_shape *shape, pn_error *e) {
    pn_storage_ref(storage);
    return tensor_around(storage, shape, e);
}

pn_tensor *pn_tensor_copy(const pn_tensor *t, pn_error *e) {
    pn_tensor *copy = pn_tensor_new(&t->shape, e);
    if (copy) memcpy(copy->storage->data, t->storage->data, copy->storage->bytes);
    return copy;
}

pn_status pn_tensor_assign(pn_tensor *t, const pn_tensor *from, pn_error *e) {
    if (t->shape.dtype == from->shape.dtype && pn_shape_equal(&t->shape, &from->shape)) {
        memmove(t->storage->data, from->storage->data, t->storage->bytes);
        t->storage->version++;
        return PN_OK;
    }
    pn_storage *s = storage_new(&from->shape, e);
    if (!s) return e->status;
    memcpy(s->data, from->storage->data, s->bytes);
    s->version = (t->storage->version / PN_GENERATION + 1) * PN_GENERATION;
    pn_storage_unref(t->storage);
    t->storage = s;
    t->shape = from->shape;
    return PN_OK;
}

bool pn_tensor_rename(pn_tensor *t, const char *name, pn_error *e) {
    char *copy = NULL;
    if (name) {
        copy = pn_alloc(strlen(name) + 1);
        if (!copy) {
            pn_fail(e, PN_E_MEMORY, "not enough memory for a tensor's name");
            return false;
        }
        strcpy(copy, name);
    }
    pn_free(t->name);
    t->name = copy;
    return true;
}

/* ---- node ---- */

static size_t round_up(size_t n) { return (n + 15) & ~(size_t)15; }

/* Takes `bytes` from the block at *at. */
static void *carve(char **at, size_t bytes) {
    void *p = *at;
    *at += round_up(bytes);
    return p;
}

pn_node *pn_node_new(const pn_op *op, int n_in, int n_out, size_t saved, pn_error *e) {
    int n_attrs = 0;
    while (op->fields && op->fields[n_attrs].name) n_attrs++;
    const size_t in = (size_t)n_in, out = (size_t)n_out, attrs = (size_t)n_attrs;
    const size_t bytes = round_up(sizeof(pn_node)) + round_up(attrs * sizeof(pn_value)) + round_up(in * sizeof(pn_tensor *)) + round_up(in * sizeof(uint64_t)) +
                         round_up(out * sizeof(pn_shape)) + round_up(out * sizeof(pn_storage *)) + round_up(out * sizeof(uint64_t));
    char *at = pn_alloc(bytes);
    void *room = at && saved ? pn_alloc(saved) : NULL;
    if (!at || (saved && !room)) {
        pn_free(at);
        pn_fail(e, PN_E_MEMORY, "not enough memory to record %s", op->name);
        return NULL;
    }
    pn_node *n = carve(&at, sizeof *n);
    *n = (pn_node){.refs = 1, .op = op, .n_attrs = n_attrs, .n_out = n_out, .saved = room, .saved_bytes = saved};
    n->attrs = carve(&at, attrs * sizeof(pn_value));
    n->in = carve(&at, in * sizeof(pn_tensor *));
    n->in_version = carve(&at, in * sizeof(uint64_t));
    n->out_shape = carve(&at, out * sizeof(pn_shape));
    n->out_storage = carve(&at, out * sizeof(pn_storage *));
    n->out_version = carve(&at, out * sizeof(uint64_t));
    for (int i = 0; i < n_out; i++) n->out_storage[i] = NULL;
    return n;
}

/* ---- how they go ---- */

static void drop_node(pn_node *n, pn_node **dying) {
    if (!n || --n->refs) return;
    n->sweep = *dying;
    *dying = n;
}

/* Drops one reference to a tensor; when its producer dies with it, that node joins the list of the dying. */
static void drop_tensor(pn_tensor *t, pn_node **dying) {
    /* A gradient may in turn have a gradient, never deep: one loop instead of recursion all the same. */
    while (t && --t->refs == 0) {
        pn_tensor *grad = t->grad;
        pn_storage_unref(t->storage);
        drop_node(t->node, dying);
        if (t->hooks) t->hooks->release(t->hooks);
        pn_free(t->name);
        pn_free(t);
        t = grad;
    }
}

static void bury(pn_node *dying) {
    while (dying) {
        pn_node *n = dying;
        dying = n->sweep;
        for (int i = 0; i < n->n_in; i++) drop_tensor(n->in[i], &dying);
        for (int i = 0; i < n->n_out; i++) pn_storage_unref(n->out_storage[i]);
        if (n->user) n->user->release(n->user);
        pn_free(n->saved);
        pn_free(n);
    }
}

void pn_tensor_ref(pn_tensor *t) { t->refs++; }

void pn_tensor_unref(pn_tensor *t) {
    pn_node *dying = NULL;
    drop_tensor(t, &dying);
    bury(dying);
}

void pn_node_ref(pn_node *n) { n->refs++; }

void pn_node_unref(pn_node *n) {
    pn_node *dying = NULL;
    drop_node(n, &dying);
    bury(dying);
}
