/* A plan: a recording compiled for repeated execution by a team, with all buffers in one arena.
 *
 * Build (once per input shape and mode) does: keep the nodes that the results need; fuse; order forward, backward, updates; choose layouts and insert
 * reorders; lay out buffers by lifetime; decide by shape alone how many members are worth having. Run walks a flat list of instructions: no
 * allocation, no Python, no decision that depends on time or thread count.
 */
#ifndef PN_GRAPH_PLAN_H
#define PN_GRAPH_PLAN_H
#include "graph/graph.h"

/* One trainable tensor as optimiser and plan see it. State arrays are slices of one flat allocation of the optimiser. */
typedef struct pn_segment {
    pn_tensor *param;     /* owned reference; its storage never moves */
    int64_t n;            /* elements */
    int group;            /* index into the optimiser's groups */
    void *state[3];       /* NULL where the rule needs none */
} pn_segment;

/* An optimiser: a rule, its groups, its segments. Lives as long as the user's object; plans refer to it. */
typedef struct pn_optimizer {
    pn_update rule;
    int dtype;
    int n_groups, n_segments;
    pn_hyper *groups;        /* (n_groups) hyperparameters; step counts inside */
    pn_segment *segments;
    void *state;             /* one flat allocation */
    size_t state_bytes;
    int64_t steps;           /* completed updates */
} pn_optimizer;

typedef enum pn_layout { PN_PLAIN, PN_BATCH_INNER, PN_CHANNEL_BLOCK } pn_layout; /* see ops/op.h PN_ANY_LAYOUT and graph/layout.c */

typedef struct pn_plan pn_plan;

typedef struct pn_plan_spec {
    int n_inputs;
    pn_tensor *const *inputs;     /* placeholders: fed before each run, in this order */
    int n_outputs;
    pn_tensor *const *outputs;    /* kept readable after a run (predictions, loss, metrics); outputs[0] is the loss when training */
    bool training;                /* build backward and gradients for `segments` */
    int n_segments;
    const pn_segment *segments;   /* parameters wanted, NULL when not training */
    bool keep_gradients;          /* hooks, clipping or callbacks want p.grad: no fused update */
    bool fuse;                    /* normally true; false for tests */
} pn_plan_spec;

pn_status pn_plan_build(const pn_recording *r, const pn_plan_spec *spec, pn_plan **plan, pn_error *e);
void pn_plan_free(pn_plan *p);

void *pn_plan_input(pn_plan *p, int i);                            /* buffer to fill */
const pn_view *pn_plan_output(const pn_plan *p, int i);
const pn_view *pn_plan_gradient(const pn_plan *p, int segment);    /* data NULL when fused or unreachable */
int pn_plan_threads(const pn_plan *p);                             /* members worth having: by shape alone */
double pn_plan_flops(const pn_plan *p);                            /* of one step */
size_t pn_plan_bytes(const pn_plan *p);                            /* arena */
/* Text of the instruction list, one line each, for people: name, shapes, fusion, layout, bytes. Caller frees with pn_free. */
char *pn_plan_text(const pn_plan *p);

/* SPMD, called by every member. forward+backward; after it the loss and gradients are ready and nothing the user owns has changed.
 * checked: also look for the first op whose output is not finite. A failing user node or a stop sets *status (shared by all members). */
typedef struct pn_plan_run {
    pn_random random;       /* key and step */
    pn_status status;       /* first failure */
    pn_error error;
    bool checked;           /* the replay after a non-finite step: every op is checked */
    bool finite;            /* result: loss and gradients were finite */
} pn_plan_run;
void pn_plan_step(pn_plan *p, pn_plan_run *run, pn_member *m);
/* SPMD: apply the optimiser, fused weight gradients included. Never fails, never polls. grad_scale: clipping. */
void pn_plan_update(pn_plan *p, pn_optimizer *o, pn_plan_run *run, pn_member *m);
/* SPMD: sum of squares over all gradients (for clipping and GradBelow), in fixed order; same on every member. Needs keep_gradients. */
double pn_plan_gradient_norm2(pn_plan *p, pn_member *m);
#endif
