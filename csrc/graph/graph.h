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
    uint64_t version;             /* low half: writes in place so far; high half: how often a tensor got another storage (PN_GENERATION) */
    void (*release)(void *owner); /* NULL: data came from pn_alloc */
    void *owner;
} pn_storage;

/* A tensor that is given other data of another shape or dtype gets a storage of the next generation: backward through older nodes is refused. */
#define PN_GENERATION ((uint64_t)1 << 32)

typedef struct pn_tensor pn_tensor;
typedef struct pn_node pn_node;

enum { /* pn_tensor.flags */
       PN_T_PARAMETER = 1,
       PN_T_DEPENDS = 2, /* depends on an input of the open recording: reading its value makes the network dynamic */
       PN_T_BUFFER = 4,  /* module buffer: becomes a live constant of a plan, re-read at each step */
       PN_T_MASK = 8,    /* int64 of zeros and ones that came from a comparison or from bool data: as an index it selects */
       PN_T_PASSING = 16 /* computed in a recording that is open: the value goes with the Python object, see graph/recording.h */
};

/* Gradient hooks of one tensor. python/ extends this struct; the core only calls through it. */
typedef struct pn_hooks pn_hooks;
struct pn_hooks {
    /* May replace *grad (an owned reference) by another of the same shape and dtype; must not write into it. */
    pn_status (*call)(pn_hooks *h, pn_tensor **grad, pn_error *e);
    void (*release)(pn_hooks *h);
};

struct pn_tensor {
    int64_t refs;
    pn_storage *storage; /* owned reference; several tensors may share one (views) */
    pn_shape shape;      /* the data starts at storage->data: views keep the whole storage */
    bool requires_grad;
    uint8_t flags;
    uint32_t output; /* which output of node */
    pn_node *node;   /* producer, owned reference; NULL for leaves */
    pn_tensor *grad; /* owned; leaves, or retain_grad */
    bool retain_grad;
    char *name;      /* owned by pn_alloc, or NULL */
    pn_hooks *hooks; /* owned, or NULL */
    void *object;    /* borrowed: the Python object that stands for this tensor; NULL: none at present */
};

/* A node that runs user code (pn.Function) carries this. Its op is pn_user_op, whose functions call pn_user_run. All are called with no lock of the core
 * held; forward and backward take the GIL themselves. Owned by the node: released with it. */
typedef struct pn_user {
    pn_status (*forward)(struct pn_user *user, const pn_call *c, pn_error *e);
    pn_status (*backward)(struct pn_user *user, const pn_call *c, pn_error *e);
    void (*let_go)(struct pn_user *user); /* after a sweep without retain: drop what backward would need, it could hold this very graph */
    void (*release)(struct pn_user *user);
    char name[64]; /* of the user's class, for messages */
    int n_out;     /* outputs, known from a first run of the user's code */
    pn_shape out[PN_MAX_OUT];
} pn_user;
extern const pn_op pn_user_op;
/* Runs the user's code for a call whose context is a pn_user. Plans call this instead of the op's functions, because it can fail. Member 0 only. */
pn_status pn_user_run(const pn_call *c, bool backward, pn_error *e);

/* One allocation holds the node and all its arrays; attrs, in, ... point into it. */
struct pn_node {
    int64_t refs;
    const pn_op *op;
    int n_attrs, n_in, n_out;
    const pn_value *attrs;    /* (n_attrs) as many as the op has fields */
    pn_tensor **in;           /* (n_in) owned references */
    uint64_t *in_version;     /* (n_in) storage versions at the time of recording */
    pn_shape *out_shape;      /* (n_out) */
    pn_storage **out_storage; /* (n_out) kept when the op needs_out, else NULL */
    uint64_t *out_version;    /* (n_out) */
    void *saved;              /* pn_alloc, op's saved bytes; NULL when there are none or when they were released */
    size_t saved_bytes;
    size_t scratch, member_scratch; /* as infer said; for backward */
    double work;                    /* estimated nanoseconds of forward on one core */
    uint64_t sequence;              /* creation order: backward visits in descending order */
    uint32_t ordinal;               /* of random nodes */
    pn_random random;
    bool training, requires_grad;
    bool recorded;     /* belongs to a recording: a backward sweep must leave its saved values and user code alone */
    bool released;     /* a backward sweep without retain has been here, or a recording has let go of what backward would read */
    const char *layer; /* interned label such as "Linear(784, 128) (layer 0)", for messages; may be NULL */
    pn_user *user;     /* owned, or NULL */
    void *sweep;       /* the backward sweep in progress, or NULL; while dying: next to die */
    int64_t slot;      /* where that sweep keeps the gradients of the outputs */
};

/* Everything an operation depends on besides its arguments. One per thread; owned by python/. */
typedef struct pn_recording pn_recording;
typedef struct pn_context {
    bool grad_enabled, training;
    pn_recording *recording;      /* open recording or NULL */
    pn_random random;             /* of the current step */
    uint32_t ordinal;             /* next random node's */
    const char *layer;            /* label of the layer being called, or NULL */
    bool (*ask)(void *);          /* poll of long operations, called with the context let go; NULL: not interruptible */
    void *(*release)(void);       /* lets other threads run during a long operation: python/ gives up the GIL; NULL: nothing to give up */
    void (*acquire)(void *token); /* takes it back */
} pn_context;

/* Counters of blocks done in long operations, one per member, a cache line apart (pn_member.blocks): they show that threads worked. */
int64_t *pn_block_counts(void);

pn_tensor *pn_tensor_new(const pn_shape *shape, pn_error *e);                     /* uninitialised, own storage */
pn_tensor *pn_tensor_of(pn_storage *storage, const pn_shape *shape, pn_error *e); /* shares storage */
/* Takes over data that belongs to owner. On failure release is not called. */
pn_storage *pn_storage_wrap(void *data, size_t bytes, void (*release)(void *), void *owner, pn_error *e);
void pn_storage_ref(pn_storage *s);
void pn_storage_unref(pn_storage *s); /* NULL is fine */
void pn_tensor_ref(pn_tensor *t);
void pn_tensor_unref(pn_tensor *t); /* NULL is fine; never recurses, however long the chain behind it */
void pn_node_ref(pn_node *n);
void pn_node_unref(pn_node *n); /* NULL is fine */
/* Gives t the data of `from`: copied into t's storage when shape and dtype agree, so that views stay views; else t gets a storage of its own. */
pn_status pn_tensor_assign(pn_tensor *t, const pn_tensor *from, pn_error *e);
/* Another tensor with the same contents in its own storage and no history. */
pn_tensor *pn_tensor_copy(const pn_tensor *t, pn_error *e);
bool pn_tensor_rename(pn_tensor *t, const char *name, pn_error *e); /* copies name; NULL takes the name away */
static inline bool pn_tensor_is_leaf(const pn_tensor *t) { return !t->requires_grad || !t->node; }

/* Room for one node; pn_node_unref gives it back. For pn_apply and its tests. */
pn_node *pn_node_new(const pn_op *op, int n_in, int n_out, size_t saved, pn_error *e);

/* Applies op: checks, infer, forward; out gets n_out new references. attrs may be NULL for an op without fields. user may be NULL and is taken over by
 * the node when there is one, else released. On failure nothing changes and user still belongs to the caller. n_out may be NULL. */
pn_status pn_apply(pn_context *ctx, const pn_op *op, const pn_value *attrs, int n_in, pn_tensor *const *in, pn_user *user, pn_tensor **out, int *n_out,
                   pn_error *e);

/* d root / d leaves into .grad (accumulating, as PyTorch). gradient NULL: root must have one element. retain: keep saved values for another sweep. */
pn_status pn_backward(pn_context *ctx, pn_tensor *root, pn_tensor *gradient, bool retain, pn_error *e);
/* The same without touching .grad: gradients of root with respect to the given tensors (NULL where unreachable), new references. again: also through
 * nodes whose values were let go, as far as they are small and still there: for drawings. */
pn_status pn_gradients(pn_context *ctx, pn_tensor *root, pn_tensor *gradient, int n, pn_tensor *const *wrt, pn_tensor **grads, bool retain, bool again,
                       pn_error *e);

/* ---- recordings ---- */
struct pn_recording {
    pn_node **nodes;  /* in order of execution, owned references; outputs are found through out_tensors */
    pn_tensor **outs; /* n_nodes x PN_MAX_OUT tensors, owned */
    int64_t n, capacity;
    bool dynamic;     /* a value that depends on an input was read */
    char reason[160]; /* what was read, for the warning */
};
pn_recording *pn_recording_new(pn_error *e);
void pn_recording_free(pn_recording *r);
void pn_recording_read(pn_context *ctx, const pn_tensor *t, const char *what); /* call when a value is read by Python */
bool pn_recording_same(const pn_recording *a, const pn_recording *b);          /* same ops, attributes, shapes, wiring */
/* What a recording keeps of values, see graph/recorded_values.c. */
void pn_recording_unseen(pn_tensor *t); /* call when the last Python object of a tensor goes */
void pn_recording_end(pn_recording *r); /* call when no more operations will be recorded */
/* All values back, for somebody who reads what he holds no Python object of: a backward pass, a look at the graph. That makes the network dynamic. */
pn_status pn_recording_restore(pn_context *ctx, const char *what, pn_error *e);
/* The value of a recorded tensor was let go. */
static inline bool pn_tensor_is_hollow(const pn_tensor *t) { return !t->storage->data && t->node && t->node->recorded; }
#endif
