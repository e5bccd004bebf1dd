/* Tensors, nodes and recordings: the define-by-run half of the core.
 *
 * An operation on tensors is computed at once and, when somebody will want it (a gradient or a recording), leaves a node. `pn_backward` sweeps the nodes.
 * A recording is the list of nodes made while it was open; graph/plan.h compiles it. Everything is reference-counted; destruction, backward and
 * drawing are iterative, so that a chain of a million ops neither overflows the stack nor leaks. Not thread-safe per object: python/ holds the GIL.
 */
#ifndef PN_GRAPH_GRAPH_H
#define PN_GRAPH_GRAPH_H
#include "ops/op.h"

typedef struct pn_storage {
    int64_t refs;
    void *data;
    size_t bytes;
    uint64_t version;                /* grows with every write in place */
    void (*release)(void *owner);    /* NULL: data came from pn_alloc */
    void *owner;
} pn_storage;

typedef struct pn_tensor pn_tensor;
typedef struct pn_node pn_node;

enum { /* pn_tensor.flags */
    PN_T_PARAMETER = 1,
    PN_T_DEPENDS = 2,     /* depends on an input of the open recording: reading its value makes the network dynamic */
    PN_T_BUFFER = 4       /* module buffer: becomes a live constant of a plan, re-read at each step */
};

struct pn_tensor {
    int64_t refs;
    pn_storage *storage;   /* owned reference; several tensors may share one (views) */
    pn_shape shape;        /* the data starts at storage->data: views keep the whole storage */
    bool requires_grad;
    uint8_t flags;
    uint32_t output;       /* which output of node */
    pn_node *node;         /* producer, owned reference; NULL for leaves */
    pn_tensor *grad;       /* owned; leaves, or retain_grad */
    bool retain_grad;
    char *name;            /* owned by pn_alloc, or NULL */
    void *hooks;           /* opaque to the core: python/ keeps gradient hooks here */
};

/* A node that runs user code (pn.Function) carries these; all are called with no lock of the core held. */
typedef struct pn_user {
    pn_status (*forward)(void *context, const pn_call *c, pn_error *e);
    pn_status (*backward)(void *context, const pn_call *c, pn_error *e);
    void (*release)(void *context);
    void *context;
} pn_user;

struct pn_node {
    int64_t refs;
    const pn_op *op;
    pn_value attrs[PN_MAX_ATTR];
    int n_in, n_out;
    pn_tensor **in;                 /* owned references */
    uint64_t *in_version;           /* storage versions at the time of recording */
    pn_shape out_shape[PN_MAX_OUT];
    pn_storage *out_storage[PN_MAX_OUT]; /* kept when the op needs_out, else NULL */
    uint64_t out_version[PN_MAX_OUT];
    void *saved;                    /* pn_alloc, op's saved bytes */
    size_t saved_bytes;
    uint64_t sequence;              /* creation order: backward visits in descending order */
    uint32_t ordinal;               /* of random nodes */
    pn_random random;
    bool training, requires_grad;
    const char *layer;              /* interned label such as "Linear(784, 128) (layer 0)", for messages; may be NULL */
    pn_user *user;                  /* refcounted through the node */
};

/* Everything an operation depends on besides its arguments. One per thread; owned by python/. */
typedef struct pn_recording pn_recording;
typedef struct pn_context {
    bool grad_enabled, training;
    pn_recording *recording;        /* open recording or NULL */
    pn_random random;               /* of the current step */
    uint32_t ordinal;               /* next random node's */
    const char *layer;              /* label of the layer being called, or NULL */
    pn_poll *poll;                  /* may be NULL */
} pn_context;

pn_tensor *pn_tensor_new(const pn_shape *shape, pn_error *e);                    /* uninitialised, own storage */
pn_tensor *pn_tensor_of(pn_storage *storage, const pn_shape *shape, pn_error *e); /* shares storage */
pn_storage *pn_storage_wrap(void *data, size_t bytes, void (*release)(void *), void *owner, pn_error *e);
void pn_tensor_ref(pn_tensor *t);
void pn_tensor_unref(pn_tensor *t);

/* Applies op: infer, check, forward; out gets n_out new references. user may be NULL. On failure nothing changes. */
pn_status pn_apply(pn_context *ctx, const pn_op *op, const pn_value *attrs, int n_in, pn_tensor *const *in, pn_user *user, pn_tensor **out, int *n_out,
                   pn_error *e);

/* d root / d leaves into .grad (accumulating, as PyTorch). gradient NULL: root must have one element. retain: keep saved values for another sweep. */
pn_status pn_backward(pn_context *ctx, pn_tensor *root, pn_tensor *gradient, bool retain, pn_error *e);
/* The same without touching .grad: gradients of root with respect to the given tensors (NULL where unreachable), new references. */
pn_status pn_gradients(pn_context *ctx, pn_tensor *root, pn_tensor *gradient, int n, pn_tensor *const *wrt, pn_tensor **grads, bool retain, pn_error *e);

/* ---- recordings ---- */
struct pn_recording {
    pn_node **nodes;      /* in order of execution, owned references; outputs are found through out_tensors */
    pn_tensor **outs;     /* n_nodes x PN_MAX_OUT tensors, owned */
    int64_t n, capacity;
    bool dynamic;         /* a value that depends on an input was read */
    char reason[160];     /* what was read, for the warning */
};
pn_recording *pn_recording_new(pn_error *e);
void pn_recording_free(pn_recording *r);
void pn_recording_read(pn_context *ctx, const pn_tensor *t, const char *what); /* call when a value is read by Python */
bool pn_recording_same(const pn_recording *a, const pn_recording *b);          /* same ops, attributes, shapes, wiring */
#endif
