/* The contract of an op. One op is one pn_op in one C file of this folder plus one line in ops.def.
 *
 * Eager mode and plans fill the same pn_call and call the same functions; only who owns the memory differs. There are no op numbers and no switch over
 * ops. An op function is SPMD: every member of the team calls it with the same pn_call; it takes its share with pn_member_range and may use
 * pn_member_barrier between phases (all members must pass the same barriers). The caller puts a barrier after the op.
 */
#ifndef PN_OPS_OP_H
#define PN_OPS_OP_H
#include "base/shape.h"
#include "base/status.h"
#include "base/team.h"
#include "kernels/kernels.h"

#define PN_MAX_ATTR 8
#define PN_MAX_OUT 4

/* Attributes. From the field list come the Python signature, repr, and the file format. */
typedef enum pn_kind { PN_INT, PN_FLOAT, PN_BOOL, PN_ENUM, PN_INTS } pn_kind;
typedef struct pn_value {
    int32_t n; /* PN_INTS: how many are given (0..8) */
    union {
        int64_t i;
        double f;
        int64_t ints[PN_MAX_RANK];
    };
} pn_value;
typedef struct pn_field {
    const char *name;
    pn_kind kind;
    const char *choices;  /* PN_ENUM: "mean|sum|none", value = index */
    const char *fallback; /* default as text ("0.01", "mean", "True", "()" ), NULL: required. "none": PN_INT INT64_MIN, PN_INTS n = -1, PN_FLOAT NaN */
} pn_field;

/* How a buffer of a plan is stored (graph/layout.h). Logical shapes are (n, c, ...); weights and everything the user sees are plain. */
typedef enum pn_layout {
    PN_PLAIN,
    PN_BATCH_INNER /* (n/16, c, ..., 16): 16 samples side by side */
} pn_layout;
#define PN_LAYOUT_LANES 16 /* samples side by side */

/* Shape inference: in -> out, and what the op needs. Called once per recording; returns a status with a message naming both shapes. */
typedef struct pn_infer {
    int n_in;
    const pn_shape *in; /* (n_in) */
    const pn_value *attrs;
    pn_layout layout;          /* of input 0 and output 0 in a plan, for ops that choose one; the shapes stay logical */
    int n_out;                 /* preset from the op, which may set it lower */
    pn_shape out[PN_MAX_OUT];  /* result; dtype included */
    size_t saved;              /* bytes kept from forward for backward, beyond inputs and outputs */
    size_t scratch;            /* bytes shared by all members during forward or backward */
    size_t member_scratch;     /* bytes per member during forward or backward (pn_member.scratch) */
    double flops;              /* of forward; backward counts as twice that. Elementwise: 1 per element, transcendental: 10 */
    const pn_kernels *kernels; /* for gemm.blocks, gemm.scratch */
    pn_error *error;
} pn_infer;

typedef struct pn_view {
    void *data;
    pn_shape shape;
} pn_view; /* C-contiguous; data NULL: not wanted or absent */

/* Which random numbers this step draws: key = pn_hash64(seed, PN_STREAM_NODE); a node's counter is step * 2^16 + ordinal, element i its low word. */
typedef struct pn_random {
    uint64_t key;
    uint64_t step;
} pn_random;

typedef struct pn_call {
    const struct pn_op *op;
    const pn_kernels *kernels;
    const pn_value *attrs;
    int n_in, n_out;
    const pn_view *in;      /* (n_in) optional trailing inputs are simply not counted */
    const pn_view *out;     /* (n_out) */
    const pn_view *gout;    /* (n_out) backward: gradient of each output; data NULL: zero */
    const pn_view *gin;     /* (n_in) backward: where to put each gradient; data NULL: not wanted, skip */
    const uint8_t *gin_add; /* (n_in) 0: overwrite, 1: add to what is there */
    void *saved;
    void *scratch;
    const pn_random *random;
    uint32_t ordinal; /* of this random node in its recording */
    bool training;
    uint8_t layout; /* pn_layout of input 0 and output 0 in a plan, for ops that choose one; else 0, plain */
    void *context;  /* of a node that runs user code: see graph/graph.h */
} pn_call;
static inline uint64_t pn_call_counter(const pn_call *c) { return c->random->step << 16 | c->ordinal; }

typedef void (*pn_op_fn)(const pn_call *c, pn_member *m);

/* pn_op.flags */
enum {
    PN_VIEW = 1,    /* output 0 is input 0 with another shape: same storage, no copy */
    PN_NO_GRAD = 2, /* has no derivative, and says so */
    PN_RANDOM = 4,
    PN_IN_PLACE = 8,    /* forward may have out[0] == in[0], backward gin[0] == gout[0] */
    PN_ANY_LAYOUT = 16, /* elementwise: works on blocked layouts as on plain ones */
    PN_TRAIN_ONLY = 32, /* the identity in evaluation mode: dropout */
    PN_USER = 64,       /* runs user code (pn.Function): member 0 only, may fail through the run's error */
    PN_COMMITS = 256,   /* outputs 1, 2, ... (if it has them) are what inputs 1, 2, ... become once the step is known to be good */
    PN_FUSES = 128      /* attribute `fused` is an activation that a plan has fused, -1 for none; without it backward reads no output */
};

typedef struct pn_op {
    const char *name;       /* the Python name */
    const char *formula;    /* "y = max(x, 0)" */
    const char *derivative; /* "gx = gy [x > 0]"; NULL only with PN_NO_GRAD */
    /* "x:r target:i weight:r?" r: real, i: int64, n: any dtype; all of one letter have one dtype. ?: optional (trailing), *: variadic (last), !: a constant
     * that backward gives no gradient: teaching mode refuses one that requires grad. */
    const char *inputs;
    int n_out;
    const pn_field *fields; /* ends with name NULL; may be NULL */
    pn_status (*infer)(pn_infer *q);
    pn_status (*check)(const pn_call *c, pn_error *e); /* data-dependent validity (labels in range, ...); may be NULL */
    /* In which layout a plan stores input 0 and output 0, told what comes as input 0; by the first two shapes and the attributes alone. Other inputs and outputs are plain.
     * NULL: all plain, or with PN_ANY_LAYOUT all alike. Lanes behind the last sample or channel hold anything: what sums over lanes leaves them out. */
    pn_layout (*layout)(const pn_shape in[2], const pn_value *attrs, pn_layout incoming);
    pn_op_fn fwd[2];    /* by dtype of the first real input: float, double; fwd[0] when no input is real */
    pn_op_fn bwd[2];    /* NULL with PN_NO_GRAD */
    unsigned needs_in;  /* backward reads the data of these inputs (bit i; bit 31: all from 31 on) */
    unsigned needs_out; /* backward reads the data of these outputs */
    unsigned flags;
    unsigned alike;   /* inputs that a plan stores as it stores input 0, when the op chooses a layout (bits) */
    int passes;       /* input whose gradient is the output's, or 0: backward may leave it where it found that */
    int fused;        /* PN_FUSES: the attribute that is the activation; it, its two parameters and nothing else stand at the end of the fields */
    const char *file; /* __FILE__-like path below csrc/, for pn.source */
} pn_op;

/* The outputs that backward reads with these attributes, as bits. */
static inline unsigned pn_op_reads_out(const pn_op *op, const pn_value *attrs) { return (op->flags & PN_FUSES) && attrs[op->fused].i < 0 ? 0 : op->needs_out; }

/* Does a gradient flow through output k? Not through what running values become. */
static inline bool pn_op_carries(const pn_op *op, int k, const pn_shape *out) { return out->dtype != PN_I64 && !(k && (op->flags & PN_COMMITS)); }

extern const pn_op *const pn_ops[]; /* all ops of ops.def, NULL at the end */
const pn_op *pn_op_find(const char *name);
int pn_op_max_in(const pn_op *op); /* INT_MAX when variadic */
int pn_op_min_in(const pn_op *op);
/* One item of `inputs`. */
typedef struct pn_op_input {
    const char *name; /* not terminated: (length) characters */
    int length;
    char kind; /* 'r', 'i' or 'n' */
    bool optional, variadic, constant;
} pn_op_input;
bool pn_op_get_input(const pn_op *op, int i, pn_op_input *out); /* false when the op has no i-th input */
/* Number and dtypes of the inputs: PN_E_TYPE naming both dtypes. The caller checks this before infer, which may rely on it. */
pn_status pn_op_check_inputs(const pn_op *op, int n_in, const pn_shape *in, pn_error *e);
/* Index of a field by name, -1 when absent. */
int pn_op_field(const pn_op *op, const char *name);
/* Fills attrs (PN_MAX_ATTR) with defaults; false when one is required: the first such index goes to *missing. */
bool pn_op_defaults(const pn_op *op, pn_value *attrs, int *missing);
#endif
