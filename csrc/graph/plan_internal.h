/* What the files of the plan share. Building goes through three forms:
 *   recording -> values and nodes (plan_trace.c, fused in plan_fuse.c, layouts in plan_layout.c)
 *             -> instructions that name buffers by number (plan_emit.c) -> addresses and barriers (plan_memory.c).
 */
#ifndef PN_GRAPH_PLAN_INTERNAL_H
#define PN_GRAPH_PLAN_INTERNAL_H
#include <limits.h>
#include <stdatomic.h>
#include "graph/layout.h"
#include "graph/plan.h"
#include "graph/pool.h"

#define PN_PLAN_ALIGN 64
#define PN_PLAN_BLOCK 8192         /* elements of a block of the gradient check, of the norm, and of the update */
#define PN_PLAN_HEAVY 2e7          /* FLOPs of a step from which member 0 polls between instructions */
#define PN_PLAN_MEMBER_FLOPS 1.5e6 /* FLOPs of a step that make another member worth its barriers */
#define PN_PLAN_MAX_DEFERRED 64    /* weights of one plan that are updated that way */
#define PN_PLAN_DEFER 8192         /* elements of a weight from which its gradient is fused with the update */

/* ---- while building ---- */

typedef enum { PLAN_INPUT, PLAN_LEAF, PLAN_RESULT } plan_kind;

/* One tensor of the recording. Views share the memory of another value, their root. */
typedef struct plan_value {
    pn_shape shape;
    plan_kind kind;
    int root;          /* the value that owns the memory; itself for all but views */
    int producer;      /* node, or -1 */
    pn_tensor *tensor; /* of a leaf; borrowed, held by the plan later */
    int segment;       /* of a leaf: index in spec->segments, or -1 */
    int uses;          /* by live nodes */
    pn_layout layout;
    bool needed, kept; /* kept: an output of the plan */
    bool wants;        /* a gradient can flow through */
    bool reached;      /* root: the backward sweep comes by */
    bool written;      /* root: an instruction has written its gradient, later ones add */
    int contributions; /* root: instructions that will write its gradient */
    int data, grad;    /* root: buffers, -1 before they exist */
} plan_value;

/* One operation. in and out are values. */
typedef struct plan_node {
    const pn_op *op;
    pn_value *attrs; /* (PN_MAX_ATTR) */
    pn_node *source; /* of user code: borrowed, held by the plan later; else NULL */
    const char *layer;
    int n_in, n_out, *in, out[PN_MAX_OUT];
    uint32_t ordinal;
    int real;       /* 0 float, 1 double: index into fwd and bwd */
    int activation; /* fused behind a linear: pn_act, or -1 */
    bool training, differentiable, live;
    bool alias;    /* makes no instruction: a view, or dropout in evaluation */
    bool reached;  /* backward passes through */
    bool deferred; /* linear: the weight's gradient is fused with its update */
    size_t saved_bytes, scratch_bytes;
    double flops; /* of forward */
    int saved;    /* buffer or -1 */
} plan_node;

/* Memory of a value, a gradient, saved bytes or scratch. */
typedef struct plan_buffer {
    size_t bytes;
    void *outside;   /* leaf: memory of the user */
    int first, last; /* instructions between which it lives */
    int shares;      /* buffer whose memory it takes over, or -1 */
    bool fixed;      /* lives through the whole run */
    bool gradient;   /* of a segment: laid side by side for the finite check */
    size_t offset;   /* in the arena */
} plan_buffer;

typedef struct plan_access {
    int instruction, buffer;
    bool write;
} plan_access;

typedef struct plan_patch { /* *where gets the address of buffer */
    void **where;
    int buffer;
} plan_patch;

/* ---- what remains ---- */

/* One instruction. The hot loop reads nothing else. */
typedef struct plan_code {
    pn_op_fn fn;
    bool barrier; /* before it */
    pn_call call;
} plan_code;

typedef enum { PLAN_FORWARD, PLAN_BACKWARD, PLAN_CHECK, PLAN_ADD } plan_phase;

/* The cold twin of plan_code: for messages and text. */
typedef struct plan_note {
    plan_phase phase;
    int activation; /* fused, or -1 */
    const char *layer;
    pn_layout layout; /* of what is stored in blocks: all operands of an elementwise op, else the first input and output */
    pn_shape shape;   /* of the first output, logical */
    double flops;
    int saved, scratch; /* buffers or -1 */
    int from, to;       /* buffers that may share memory when the first ends here; -1 when none may */
} plan_note;

/* One segment that has its gradient in memory. */
typedef struct plan_piece {
    int segment;
    int64_t n;
    void *weight;
    const void *gradient;
} plan_piece;

/* A weight whose gradient is fused with its update; the spare gradient serves steps whose numbers are too large for that. */
typedef struct plan_deferred {
    int segment;
    pn_call call; /* of linear's backward, with gin[1] alone wanted: for steps that run unfused */
    pn_op_fn fn;
    plan_piece piece;
    const void *x, *gy; /* (rows, in), (rows, out) */
    int64_t rows, nx, ngy;
    bool x_is_input; /* bounded by pn_plan_run.input_max */
} plan_deferred;

/* A buffer of a module that a good step leaves changed: see plan_commit.c. */
typedef struct plan_commit {
    pn_tensor *tensor; /* held by the plan */
    int value;         /* what it becomes; while building */
    const void *from;
} plan_commit;

typedef struct pn_plan {
    pn_pool pool; /* all arrays below */
    void *arena;  /* all buffers */
    size_t arena_bytes;
    const pn_kernels *kernels;
    plan_code *code;
    plan_note *notes;
    int n_code;
    int n_inputs, n_outputs, n_segments;
    pn_view *inputs, *outputs;
    pn_view *gradients; /* (n_segments) */
    bool *reaches;      /* (n_segments) */
    plan_piece *pieces;
    plan_deferred *deferred;
    plan_commit *commits;
    int n_pieces, n_deferred, n_commits;
    void *gradient_base;    /* all stored gradients side by side, padding zero */
    int64_t gradient_n;     /* elements of that */
    pn_tensor **held;       /* (n_held) owned references: leaves */
    const void **held_data; /* (n_held) where their data were */
    pn_node **held_nodes;   /* (n_held_nodes) owned references: nodes with user code */
    int n_held, n_held_nodes;
    int dtype;
    bool training, heavy, can_fail; /* can_fail: some instruction checks or runs user code */
    int threads;
    double flops;
    size_t member_scratch;
    pn_random random;
    /* ---- state of the step in progress ---- */
    pn_plan_run *run;
    bool failed;        /* member 0 */
    bool unfused;       /* this step's numbers are too large for the fused update */
    atomic_int stop_at; /* number of the barrier behind which all members leave */
    double *partial;    /* (blocks) for the norm */
    double *maxima;     /* (PN_MAX_THREADS, 8 + n_deferred padded): what each member saw */
    int maxima_stride;
} pn_plan;

typedef struct plan_builder {
    pn_plan *plan;
    const pn_recording *recording;
    const pn_plan_spec *spec;
    pn_error *error;
    pn_pool pool; /* freed after the build */
    plan_value *values;
    plan_node *nodes;
    plan_buffer *buffers;
    plan_access *accesses;
    plan_patch *patches;
    int n_values, c_values, n_nodes, c_nodes, n_buffers, c_buffers, n_accesses, c_accesses, n_patches, c_patches, c_code, c_notes;
    int *output_values, *input_values;
    struct {
        const void *key;
        int value;
    } *map;
    int map_size;
} plan_builder;

pn_status pn_plan_out_of_memory(plan_builder *b);
int pn_plan_add_value(plan_builder *b, const pn_shape *shape, plan_kind kind); /* -1 on failure */
plan_node *pn_plan_add_node(plan_builder *b, int n_in);                        /* NULL on failure */
static inline int plan_root(const plan_builder *b, int value) { return b->values[value].root; }

pn_status pn_plan_trace(plan_builder *b); /* recording -> values and nodes, those that outputs need marked live */
pn_status pn_plan_trace_commits(plan_builder *b);
pn_status pn_plan_fold_norms(plan_builder *b);  /* batch norm in evaluation, into the convolution before it */
void pn_plan_fuse_activations(plan_builder *b); /* linear + activation */
pn_status pn_plan_assign_layouts(plan_builder *b);
pn_status pn_plan_measure(plan_builder *b);   /* asks every live node's infer for bytes and FLOPs; counts uses */
void pn_plan_mark_gradients(plan_builder *b); /* wants, reached, contributions */
void pn_plan_defer_weights(plan_builder *b);
pn_status pn_plan_emit(plan_builder *b);  /* values and nodes -> instructions */
pn_status pn_plan_place(plan_builder *b); /* addresses and barriers */

bool pn_plan_check_finite(pn_plan *p, pn_member *m); /* SPMD: loss and gradients of the step just done; decides too whether it runs unfused */
bool pn_plan_commits_finite(const pn_plan *p);
void pn_plan_walk_checked(pn_plan *p, pn_member *m); /* the replay by one member */
bool pn_plan_walk_timed(pn_plan *p, pn_member *m);   /* SPMD: the walk with a clock, into run->seconds */
/* SPMD: counts and passes a barrier; false when all members leave behind it. */
bool pn_plan_pass(pn_plan *p, pn_member *m, int *barriers);

/* Functions of instructions that no op has. */
void pn_plan_run_nothing(const pn_call *c, pn_member *m);
void pn_plan_run_check(const pn_call *c, pn_member *m);
void pn_plan_run_user_forward(const pn_call *c, pn_member *m);
void pn_plan_run_user_backward(const pn_call *c, pn_member *m);
void pn_plan_run_add_f(const pn_call *c, pn_member *m);
void pn_plan_run_add_d(const pn_call *c, pn_member *m);

/* Context of an instruction that can fail. */
typedef struct plan_context {
    pn_plan *plan;
    pn_user *user;
    const char *layer;
} plan_context;
#endif
