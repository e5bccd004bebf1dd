/* A plan: a recording compiled for repeated execution by a team, with all buffers in one arena.
 *
 * Build (once per input shape and mode) does: keep the nodes that the results need; fuse; order forward and backward; choose layouts and insert
 * reorders; lay out buffers by lifetime; decide by shape alone how many members are worth having. Run walks a flat list of instructions: no
 * allocation, no Python, no decision that depends on time or thread count.
 */
#ifndef PN_GRAPH_PLAN_H
#define PN_GRAPH_PLAN_H
#include "graph/graph.h"

/* One trainable tensor as optimiser and plan see it. State arrays are slices of one flat allocation of the optimiser. */
typedef struct pn_segment {
    pn_tensor *param; /* owned reference; its storage never moves */
    int64_t n;        /* elements */
    int group;        /* index into the optimiser's groups */
    int64_t steps;    /* updates this parameter has had: one without a gradient is left out of a step, as in PyTorch */
    void *state[3];   /* NULL where the rule needs none */
} pn_segment;

/* An optimiser: a rule, its groups, its segments. Lives as long as the user's object; plans refer to it. Made by train/optimizer.h. */
typedef struct pn_optimizer {
    pn_update rule;
    int dtype;
    int n_groups, n_segments;
    pn_hyper *groups; /* (n_groups) hyperparameters */
    pn_segment *segments;
    const pn_hyper **prepared; /* (n_segments) what the coming update uses, see pn_optimizer_prepare */
    pn_hyper *own;             /* (n_segments) of segments whose step count differs from their group's */
    void *state;               /* one flat allocation */
    size_t state_bytes;
    int64_t steps; /* completed updates */
    /* Of train/guard.h. */
    int64_t safe_steps;    /* updates until weights and state are measured again */
    uint64_t safe_version; /* of all parameters, when that count was right */
    bool has_loaded;       /* state was loaded, or a decay rate changed: not what the rule itself would have made */
} pn_optimizer;

typedef struct pn_plan pn_plan;

typedef struct pn_plan_spec {
    int n_inputs;
    pn_tensor *const *inputs; /* placeholders: fed before each run, in this order */
    int n_outputs;
    pn_tensor *const *outputs; /* kept readable after a run (predictions, loss, metrics); outputs[0] is the loss when training */
    bool training;             /* build backward and gradients for `segments` */
    int n_segments;
    const pn_segment *segments; /* parameters wanted, NULL when not training */
    bool keep_gradients;        /* hooks, clipping or callbacks want gradients: no fused update */
    bool fuse;                  /* normally true; false for tests */
} pn_plan_spec;

pn_status pn_plan_build(const pn_recording *r, const pn_plan_spec *spec, pn_plan **plan, pn_error *e);
void pn_plan_free(pn_plan *p);

void *pn_plan_input(pn_plan *p, int i); /* buffer to fill */
int pn_plan_inputs(const pn_plan *p);
int pn_plan_outputs(const pn_plan *p);
const pn_shape *pn_plan_input_shape(const pn_plan *p, int i);
const pn_view *pn_plan_output(const pn_plan *p, int i);
const pn_view *pn_plan_gradient(const pn_plan *p, int segment); /* data NULL when fused or unreachable */
const bool *pn_plan_reaches(const pn_plan *p);                  /* (segments) the loss depends on this parameter */
int pn_plan_threads(const pn_plan *p);                          /* members worth having: by shape alone */
double pn_plan_flops(const pn_plan *p);                         /* of one step */
size_t pn_plan_bytes(const pn_plan *p);                         /* arena */
size_t pn_plan_member_scratch(const pn_plan *p);                /* bytes of pn_member.scratch that a run needs */
int pn_plan_fused_updates(const pn_plan *p);                    /* weights whose gradient is fused with their update */
/* False once a parameter's storage was replaced or the instruction set changed: build it again. */
bool pn_plan_valid(const pn_plan *p);
/* Text of the instruction list, one line each, for people: name, shapes, fusion, layout, bytes. Caller frees with pn_free. */
char *pn_plan_text(const pn_plan *p);

/* One instruction, for people who measure. Texts live as long as the plan. */
typedef struct pn_instruction {
    const char *phase, *op; /* "forward", "backward", "check" or "add" */
    const char *activation; /* fused behind it, or NULL */
    const char *layer;      /* or NULL */
    const char *layout;     /* "" when plain */
    const pn_shape *shape;  /* of the op's first output, logical */
    double flops;
} pn_instruction;
int pn_plan_instructions(const pn_plan *p);
pn_instruction pn_plan_instruction(const pn_plan *p, int i);

/* What the caller of a run and the plan tell each other. The caller sets the first part before a step (behind a barrier); the rest is result. */
typedef struct pn_plan_run {
    bool checked;          /* the replay after a non-finite step: every op is looked at. Only with a team of one */
    double *seconds;       /* (pn_plan_instructions) gets the time of each instruction of a measured step, which has a barrier behind each; NULL: no clock */
    double input_max;      /* bound on |x| of real inputs, INFINITY when unknown: spares a pass before fused updates */
    double gradient_limit; /* of |gradients|: up to here the update needs no look */
    pn_status status;      /* first failure, PN_OK otherwise */
    bool is_risky;         /* a gradient is above the limit; the same on every member behind pn_plan_step */
    pn_error error;
} pn_plan_run;
/* Which random numbers the next step draws. */
void pn_plan_set_random(pn_plan *p, pn_random random);
/* SPMD, called by every member: forward and backward; after it outputs and gradients are ready and nothing the user owns has changed. True on every
 * member when the step is good: nothing failed, nobody asked to stop, and, when training, loss and gradients are finite. A false with status PN_OK and
 * without a stop means a non-finite value. All members have passed a barrier when it returns. */
bool pn_plan_step(pn_plan *p, pn_plan_run *run, pn_member *m);
/* SPMD: applies the prepared optimiser, fused weight gradients included. Never fails, never polls. The caller puts a barrier after it. */
void pn_plan_update(pn_plan *p, const pn_optimizer *o, pn_member *m);
/* Running values that the step has changed, copied to where they live: by one member, once nothing can take the step back. */
void pn_plan_commit(pn_plan *p);
/* "weight of shape (8, 4) in Linear(4, 8) (layer 0)" for a parameter of the plan. */
void pn_plan_describe(const pn_plan *p, const pn_tensor *parameter, char *text, size_t size);
/* SPMD: sum of squares over all gradients (for clipping and GradBelow), in fixed order; same on every member. Needs keep_gradients. */
double pn_plan_gradient_norm2(pn_plan *p, pn_member *m);
#endif
