/* One driver for tests of ops. `check_op("matmul", "transpose_a=True", "3,2; 3,4")` runs an op on numbers that follow from the text alone and checks, for
 * float and double, every instruction set of this machine and teams of 1, 2 and 3:
 *   forward and backward against the double results of the portable level; all gradients against central differences;
 *   the same bits for every team size, at odd addresses, with unwanted gradients left out, and in place where the op allows it;
 *   gin_add; that nothing outside its memory is written, and that nothing is read before it is written (memory starts as NaN).
 *
 * Inputs: shapes separated by ';', sizes by ',', "()" is a scalar. In front of the sizes may stand: '+' positive numbers, 'p' probabilities inside (0, 1),
 * 's' numbers +1 or -1, 'i<K' integers 0..K-1 ("i<10 4,2"), 'c' a constant: no gradient is wanted ("c 3,2", "cp 3,2").
 * Attributes: "name=value ..." in the words of Python: dim=1 keepdim=True shape=2,3 reduction=sum. An op that may refuse says so in its status.
 */
#ifndef PN_OP_DRIVER_H
#define PN_OP_DRIVER_H
#include <stdlib.h>

#include "graph/layout.h"
#include "ops/op.h"
#include "test.h"

enum { MAX_IN = 8, GUARD = 64, TEAMS = 3 };

typedef struct op_case {
    const char *text; /* for messages */
    const pn_op *op;
    pn_value attrs[PN_MAX_ATTR];
    int n_in, n_out;
    pn_shape in[MAX_IN], out[PN_MAX_OUT]; /* reals are PN_F64; see shape_as */
    bool constant[MAX_IN];
    double *value[MAX_IN]; /* inputs; all fit a float exactly */
    double *gout[PN_MAX_OUT];
    bool training;
    pn_layout layout; /* of input 0 and output 0 */
    pn_error error;
} op_case;

/* ---- reading a case ---- */

/* A number in (-1, 1) that depends on salt and i alone; 12 bits, so a float holds it and its small multiples. */
static double op_noise(int salt, int64_t i) {
    uint64_t z = (uint64_t)i * 0x9e3779b97f4a7c15u + (uint64_t)salt * 0xbf58476d1ce4e5b9u + 77;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 44 & 0xfffff) + 0.5) / 524288 - 1;
}

/* Signed numbers keep away from 0, where many functions have an edge. */
static double op_number(char kind, int64_t limit, int salt, int64_t i) {
    const double u = op_noise(salt, i);
    switch (kind) {
    case '+': return (float)(1.1 + 0.9 * u);
    case 'p': return (float)(0.5 + 0.4 * u);
    case 's': return u < 0 ? -1 : 1;
    case 'i': return (double)(int64_t)((u + 1) / 2 * (double)limit);
    default: return (float)(1.5 * u + (u < 0 ? -0.05 : 0.05));
    }
}

static const char *op_skip(const char *s) {
    while (*s == ' ') s++;
    return s;
}

/* One input of the text; returns where the next one begins. */
static const char *op_read_input(op_case *c, const char *s) {
    const int i = c->n_in++;
    pn_shape *shape = &c->in[i];
    char kind = 'r';
    int64_t limit = 1;
    *shape = (pn_shape){.dtype = PN_F64};
    s = op_skip(s);
    if (*s == 'c') c->constant[i] = true, s++;
    if (*s == '+' || *s == 'p' || *s == 's' || *s == 'i') kind = *s++;
    if (*s == '<') limit = strtoll(s + 1, (char **)&s, 10);
    if (kind == 'i') shape->dtype = PN_I64;
    for (s = op_skip(s); *s && *s != ';'; s++) {
        if (*s >= '0' && *s <= '9') shape->dim[shape->rank++] = strtoll(s, (char **)&s, 10), s--;
    }
    const int64_t n = pn_shape_size(shape);
    c->value[i] = pn_alloc((size_t)n * sizeof(double));
    for (int64_t k = 0; k < n; k++) c->value[i][k] = op_number(kind, limit, i + 1, k);
    return *s ? s + 1 : s;
}

static void op_read_value(const pn_field *f, const char *s, pn_value *v) {
    const char *choice = f->choices;
    *v = (pn_value){0};
    switch (f->kind) {
    case PN_FLOAT: v->f = strtod(s, NULL); break;
    case PN_INT: v->i = strtoll(s, NULL, 10); break;
    case PN_BOOL: v->i = strncmp(s, "True", 4) == 0; break;
    case PN_ENUM:
        for (size_t n = strcspn(s, " "); choice && !(strcspn(choice, "|") == n && strncmp(choice, s, n) == 0); v->i++) {
            choice = strchr(choice, '|') ? strchr(choice, '|') + 1 : NULL;
        }
        break;
    case PN_INTS:
        while (*s && *s != ' ') {
            if ((*s >= '0' && *s <= '9') || *s == '-')
                v->ints[v->n++] = strtoll(s, (char **)&s, 10);
            else
                s++;
        }
    }
}

static void op_read_attrs(op_case *c, const char *s) {
    int missing = -1;
    char name[64];
    pn_op_defaults(c->op, c->attrs, &missing);
    for (s = op_skip(s); *s; s = op_skip(s + strcspn(s, " "))) {
        const size_t n = strcspn(s, "=");
        snprintf(name, sizeof name, "%.*s", (int)n, s);
        const int field = pn_op_field(c->op, name);
        CHECK(field >= 0, "%s has no attribute %s", c->op->name, name);
        if (field >= 0) op_read_value(&c->op->fields[field], s + n + 1, &c->attrs[field]);
    }
}

static pn_shape op_shape_as(const pn_shape *s, int dtype) {
    pn_shape t = *s;
    if (t.dtype != PN_I64) t.dtype = dtype;
    return t;
}

/* Shapes of the outputs and sizes of memory for one real type and level. */
static pn_status op_infer(op_case *c, int dtype, const pn_kernels *k, pn_infer *q) {
    static pn_shape in[MAX_IN];
    for (int i = 0; i < c->n_in; i++) in[i] = op_shape_as(&c->in[i], dtype);
    *q = (pn_infer){.n_in = c->n_in, .in = in, .attrs = c->attrs, .layout = c->layout, .n_out = c->op->n_out, .kernels = k, .error = &c->error};
    pn_status status = pn_op_check_inputs(c->op, c->n_in, in, &c->error);
    return status ? status : c->op->infer(q);
}

static void op_case_close(op_case *c) {
    for (int i = 0; i < c->n_in; i++) pn_free(c->value[i]);
    for (int i = 0; i < c->n_out; i++) pn_free(c->gout[i]);
}

/* Reads a case and infers its outputs. */
static pn_status op_case_open(op_case *c, const char *name, const char *attrs, const char *inputs) {
    pn_infer q;
    *c = (op_case){.text = name, .op = pn_op_find(name), .training = true};
    if (!c->op) return pn_fail(&c->error, PN_E_VALUE, "there is no op %s", name);
    for (const char *s = inputs; *s;) s = op_read_input(c, s);
    op_read_attrs(c, attrs);
    pn_status status = op_infer(c, PN_F64, pn_kernels_of(PN_ISA_PORTABLE), &q);
    if (status) return status;
    c->n_out = q.n_out;
    for (int i = 0; i < q.n_out; i++) {
        const int64_t n = pn_shape_size(&q.out[i]);
        c->out[i] = q.out[i];
        c->gout[i] = pn_alloc((size_t)n * sizeof(double));
        for (int64_t k = 0; k < n; k++) c->gout[i][k] = (float)op_noise(50 + i, k);
    }
    return PN_OK;
}

/* ---- memory with guards ---- */

typedef struct op_block {
    char *base, *data;
    size_t bytes;
} op_block;

/* All bytes start as 0xff: NaN for float and double. shift: bytes by which the data is off a good alignment. */
static op_block op_block_new(size_t bytes, size_t shift) {
    op_block b = {.base = pn_alloc(bytes + 2 * GUARD + shift), .bytes = bytes};
    memset(b.base, 0xff, bytes + 2 * GUARD + shift);
    b.data = b.base + GUARD + shift;
    return b;
}

static void op_block_free(op_block *b, const char *what) {
    bool whole = true;
    for (const char *p = b->base; p < b->data; p++) whole &= *p == (char)0xff;
    for (const char *p = b->data + b->bytes; p < b->data + b->bytes + GUARD; p++) whole &= *p == (char)0xff;
    CHECK(whole, "%s: bytes around a block were overwritten", what);
    pn_free(b->base);
}

static double op_get(const void *data, int dtype, int64_t i) {
    return dtype == PN_F32 ? ((const float *)data)[i] : dtype == PN_F64 ? ((const double *)data)[i] : (double)((const int64_t *)data)[i];
}
static void op_put(void *data, int dtype, int64_t i, double v) {
    if (dtype == PN_F32)
        ((float *)data)[i] = (float)v;
    else if (dtype == PN_F64)
        ((double *)data)[i] = v;
    else
        ((int64_t *)data)[i] = (int64_t)v;
}

/* ---- one execution ---- */

enum { OP_BACKWARD = 1, OP_ADD = 2, OP_SHIFT = 4, OP_ALIAS = 8, OP_ONTO = 16 }; /* OP_ALIAS: gin[0] is gout; OP_ONTO: out[0] is in[0] */

typedef struct op_result {
    op_block in[MAX_IN], out[PN_MAX_OUT], gout[PN_MAX_OUT], gin[MAX_IN], saved, scratch, member[TEAMS];
    pn_view vin[MAX_IN], vout[PN_MAX_OUT], vgout[PN_MAX_OUT], vgin[MAX_IN];
    uint8_t add[MAX_IN];
    int dtype;
    pn_call call;
    pn_random random;
    bool backward;
} op_result;

/* Which of the two functions: the first real input decides, and the first one serves when all are int64. */
static int op_real(const pn_view *in, int n_in) {
    for (int i = 0; i < n_in; i++) {
        if (in[i].shape.dtype != PN_I64) return in[i].shape.dtype;
    }
    return PN_F32;
}

static void op_member(void *context, pn_member *m) {
    op_result *r = context;
    const pn_op *op = r->call.op;
    const int real = op_real(r->vin, r->call.n_in);
    m->scratch = r->member[m->index].data;
    op->fwd[real](&r->call, m);
    pn_member_barrier(m);
    if (r->backward) op->bwd[real](&r->call, m);
}

/* Layout of input or output i, and where its element j lies. */
static pn_layout op_layout(const op_case *c, int i) { return i == 0 || c->op->alike >> i & 1 ? c->layout : PN_PLAIN; }
static int64_t op_at(const op_case *c, int i, const pn_shape *s, int64_t j) { return pn_layout_index(s, op_layout(c, i), j); }

/* Lanes that belong to nobody stay NaN. */
static op_block op_block_of(const op_case *c, int i, const pn_shape *s, size_t shift, pn_view *view) {
    const pn_shape memory = pn_layout_shape(s, op_layout(c, i));
    const op_block b = op_block_new((size_t)pn_shape_size(&memory) * pn_dtype_bytes(s->dtype), shift);
    *view = (pn_view){b.data, *s};
    return b;
}

/* What a gradient holds before something is added to it. */
static double op_before(int i, int64_t k) { return (float)op_noise(90 + i, k); }

static bool op_wants(const op_case *c, int i, unsigned wanted) {
    pn_op_input input;
    return (wanted >> i & 1) && !c->constant[i] && c->in[i].dtype != PN_I64 && pn_op_get_input(c->op, i, &input) && !input.constant;
}

static void op_fill_gradients(op_case *c, op_result *r, unsigned wanted, int mode, size_t shift) {
    for (int i = 0; i < c->n_in; i++) {
        const bool alias = (mode & OP_ALIAS) && i == 0;
        r->vgin[i] = (pn_view){NULL, r->vin[i].shape};
        if (!op_wants(c, i, wanted)) continue;
        r->gin[i] = op_block_of(c, i, &r->vin[i].shape, shift, &r->vgin[i]);
        if (alias) r->vgin[i].data = r->gout[0].data;
        r->add[i] = mode & OP_ADD ? 1 : 0;
        for (int64_t k = 0; (mode & OP_ADD) && k < pn_shape_size(&r->vin[i].shape); k++)
            op_put(r->vgin[i].data, r->dtype, op_at(c, i, &r->vin[i].shape, k), op_before(i, k));
    }
}

/* Runs forward, and backward when asked, on fresh memory. */
static void op_run(op_case *c, int dtype, const pn_kernels *k, int team, unsigned wanted, int mode, op_result *r) {
    pn_infer q;
    *r = (op_result){.dtype = dtype, .random = {.key = 99, .step = 5}, .backward = mode & OP_BACKWARD};
    const size_t shift = mode & OP_SHIFT ? pn_dtype_bytes(dtype) : 0;
    op_infer(c, dtype, k, &q);
    for (int i = 0; i < c->n_in; i++) {
        r->in[i] = op_block_of(c, i, &q.in[i], q.in[i].dtype == PN_I64 ? 0 : shift, &r->vin[i]);
        for (int64_t j = 0; j < pn_shape_size(&q.in[i]); j++) op_put(r->in[i].data, q.in[i].dtype, op_at(c, i, &q.in[i], j), c->value[i][j]);
    }
    for (int i = 0; i < q.n_out; i++) {
        const bool whole = q.out[i].dtype == PN_I64;
        r->out[i] = op_block_of(c, i, &q.out[i], whole ? 0 : shift, &r->vout[i]);
        r->gout[i] = op_block_of(c, i, &q.out[i], whole ? 0 : shift, &r->vgout[i]);
        for (int64_t j = 0; !whole && j < pn_shape_size(&q.out[i]); j++) op_put(r->gout[i].data, q.out[i].dtype, op_at(c, i, &q.out[i], j), c->gout[i][j]);
    }
    if (mode & OP_ONTO) r->vout[0].data = r->vin[0].data;
    op_fill_gradients(c, r, wanted, mode, shift);
    r->saved = op_block_new(q.saved, 0);
    r->scratch = op_block_new(q.scratch, 0);
    for (int i = 0; i < team; i++) r->member[i] = op_block_new(q.member_scratch, 0);
    r->call = (pn_call){.op = c->op,
                        .kernels = k,
                        .attrs = c->attrs,
                        .n_in = c->n_in,
                        .n_out = q.n_out,
                        .in = r->vin,
                        .out = r->vout,
                        .gout = r->vgout,
                        .gin = r->vgin,
                        .gin_add = r->add,
                        .saved = r->saved.data,
                        .scratch = r->scratch.data,
                        .random = &r->random,
                        .ordinal = 3,
                        .layout = (uint8_t)c->layout,
                        .training = c->training};
    pn_status status = c->op->check ? c->op->check(&r->call, &c->error) : PN_OK;
    CHECK(!status, "%s", c->error.text);
    if (!status) pn_team_run(team, NULL, op_member, r);
}

static void op_close(op_case *c, op_result *r) {
    for (int i = 0; i < c->n_in; i++) {
        op_block_free(&r->in[i], c->text);
        if (r->gin[i].base) op_block_free(&r->gin[i], c->text);
    }
    for (int i = 0; i < c->n_out; i++) {
        op_block_free(&r->out[i], c->text);
        op_block_free(&r->gout[i], c->text);
    }
    op_block_free(&r->saved, c->text);
    op_block_free(&r->scratch, c->text);
    for (int i = 0; i < TEAMS; i++) {
        if (r->member[i].base) op_block_free(&r->member[i], c->text);
    }
}

/* ---- comparisons ---- */

static bool op_same_bits(const op_block *a, const op_block *b) { return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0; }

/* Largest difference between data and reference over the reference's size; NaN and infinity must agree exactly. */
static double op_distance(const void *data, int dtype, const void *reference, int64_t n) {
    double scale = 1, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double want = ((const double *)reference)[i];
        if (isfinite(want)) scale = fmax(scale, fabs(want));
    }
    for (int64_t i = 0; i < n; i++) {
        const double want = ((const double *)reference)[i], got = op_get(data, dtype, i);
        if (!isfinite(want) || !isfinite(got)) {
            if (!(isnan(want) ? isnan(got) : got == want)) return INFINITY;
        } else {
            worst = fmax(worst, fabs(got - want) / scale);
        }
    }
    return worst;
}

/* sum of gout y, in long double: what central differences are taken of */
static void op_objective(op_case *c, const pn_kernels *k, long double *value) {
    op_result r;
    *value = 0;
    op_run(c, PN_F64, k, 1, 0, 0, &r);
    for (int i = 0; i < c->n_out; i++) {
        for (int64_t j = 0; c->out[i].dtype != PN_I64 && j < pn_shape_size(&c->out[i]); j++)
            *value += (long double)c->gout[i][j] * op_get(r.out[i].data, PN_F64, j);
    }
    op_close(c, &r);
}

/* Gradients of the double call against central differences, at most about 40 elements of each input. */
static void op_check_differences(op_case *c, const pn_kernels *k, op_result *r) {
    const double eps = 1e-6, half_bit = 1.2e-16;
    for (int i = 0; i < c->n_in; i++) {
        const int64_t n = pn_shape_size(&c->in[i]), step = n / 40 + 1;
        double scale = 1;
        if (!r->gin[i].base) continue;
        for (int64_t j = 0; j < n; j++) scale = fmax(scale, fabs(op_get(r->gin[i].data, PN_F64, j)));
        for (int64_t j = 0; j < n; j += step) {
            const double x = c->value[i][j], got = op_get(r->gin[i].data, PN_F64, j);
            long double up, down;
            c->value[i][j] = x + eps;
            op_objective(c, k, &up);
            c->value[i][j] = x - eps;
            op_objective(c, k, &down);
            c->value[i][j] = x;
            const double want = (double)((up - down) / ((long double)(x + eps) - (x - eps)));
            /* A large objective is itself rounded to half a bit, which the division by eps blows up. */
            CHECK(fabs(got - want) <= 1e-7 * scale + half_bit * fabs((double)up) / eps, "%s, %s: gradient of input %d at %lld is %.12g, differences say %.12g",
                  c->text, pn_isa_name(k->isa), i, (long long)j, got, want);
        }
    }
}

static void op_check_same(op_case *c, op_result *a, op_result *b, const char *how) {
    for (int i = 0; i < c->n_out; i++) CHECK(op_same_bits(&a->out[i], &b->out[i]), "%s: output %d has other bits %s", c->text, i, how);
    for (int i = 0; i < c->n_in; i++) {
        if (a->gin[i].base && b->gin[i].base) CHECK(op_same_bits(&a->gin[i], &b->gin[i]), "%s: gradient %d has other bits %s", c->text, i, how);
    }
}

/* The gradients with gin_add: what was there plus the gradient, to a rounding. */
static void op_check_add(op_case *c, op_result *plain, const pn_kernels *k, double tolerance) {
    op_result r;
    op_run(c, plain->dtype, k, 1, ~0u, OP_BACKWARD | OP_ADD, &r);
    for (int i = 0; i < c->n_in; i++) {
        const int64_t n = plain->gin[i].base ? pn_shape_size(&c->in[i]) : 0;
        double *want = pn_alloc((size_t)n * sizeof(double));
        for (int64_t j = 0; j < n; j++) want[j] = op_before(i, j) + op_get(plain->gin[i].data, plain->dtype, j);
        CHECK(op_distance(r.gin[i].data, plain->dtype, want, n) <= tolerance, "%s: gradient %d is not added", c->text, i);
        pn_free(want);
    }
    op_close(c, &r);
}

/* Against the naive definition in double; Winograd's tiles of 6 x 6 lose up to four bits. */
static double op_tolerance(const op_case *c, int dtype) { return dtype != PN_F32 ? 1e-12 : strstr(c->text, "winograd4") ? 4e-6 : 2e-6; }

/* In place: forward onto input 0, backward onto gout. */
static void op_check_in_place(op_case *c, op_result *plain, const pn_kernels *k) {
    op_result r;
    if (!(c->op->flags & PN_IN_PLACE) || !pn_shape_equal(&c->in[0], &c->out[0])) return;
    op_run(c, plain->dtype, k, 2, 0, OP_ONTO, &r);
    CHECK(op_same_bits(&plain->out[0], &r.in[0]), "%s: other bits when the output overwrites input 0", c->text);
    op_close(c, &r);
    if (!plain->gin[0].base) return;
    op_run(c, plain->dtype, k, 2, ~0u, OP_BACKWARD | OP_ALIAS, &r);
    CHECK(op_same_bits(&plain->gin[0], &r.gout[0]), "%s: gradient 0 has other bits when it overwrites gout", c->text);
    for (int i = 1; i < c->n_in; i++) {
        if (r.gin[i].base) CHECK(op_same_bits(&plain->gin[i], &r.gin[i]), "%s: gradient %d has other bits when gradient 0 overwrites gout", c->text, i);
    }
    op_close(c, &r);
}

/* All checks of one real type on one level. reference: the double result of the portable level, or NULL for itself. */
static void op_check_level(op_case *c, int dtype, const pn_kernels *k, op_result *reference) {
    const int mode = c->op->flags & PN_NO_GRAD ? 0 : OP_BACKWARD;
    const double tolerance = op_tolerance(c, dtype);
    op_result one, r;
    char label[512];
    snprintf(label, sizeof label, "%s (%s, %s)", c->text, pn_isa_name(k->isa), pn_dtype_name(dtype));
    const char *text = c->text;
    c->text = label;
    op_run(c, dtype, k, 1, ~0u, mode, &one);
    for (int i = 0; i < c->n_out; i++) {
        const int64_t n = pn_shape_size(&c->out[i]);
        if (c->out[i].dtype == PN_I64)
            CHECK(op_same_bits(&one.out[i], &reference->out[i]), "%s: output %d differs", label, i);
        else
            CHECK(op_distance(one.out[i].data, one.vout[i].shape.dtype, reference->out[i].data, n) <= tolerance, "%s: output %d differs", label, i);
    }
    for (int i = 0; i < c->n_in; i++) {
        if (one.gin[i].base)
            CHECK(op_distance(one.gin[i].data, dtype, reference->gin[i].data, pn_shape_size(&c->in[i])) <= tolerance, "%s: gradient %d differs", label, i);
    }
    for (int team = 2; team <= TEAMS; team++) {
        op_run(c, dtype, k, team, ~0u, mode, &r);
        op_check_same(c, &one, &r, "for a larger team");
        op_close(c, &r);
    }
    op_run(c, dtype, k, 1, ~0u, mode | OP_SHIFT, &r);
    op_check_same(c, &one, &r, "at an odd address");
    op_close(c, &r);
    for (int i = 0; mode && i < c->n_in && c->n_in > 1; i++) {
        op_run(c, dtype, k, 2, 1u << i, mode, &r);
        op_check_same(c, &one, &r, "when it is the only one wanted");
        op_close(c, &r);
    }
    if (mode) {
        op_check_add(c, &one, k, tolerance);
        op_check_in_place(c, &one, k);
        if (dtype == PN_F64) op_check_differences(c, k, &one);
    }
    op_close(c, &one);
    c->text = text;
}

/* Ops that a case has gone through, so that a test can ask whether one was forgotten. */
static const pn_op *op_seen[2048];
static int op_seen_count;

static inline void check_seen(const pn_op *op) {
    bool seen = op_seen_count == 0; /* no test has run before: somebody chose one alone */
    for (int k = 0; k < op_seen_count; k++) seen |= op_seen[k] == op;
    CHECK(seen, "%s was not tested", op->name);
}

static void check_op(const char *name, const char *attrs, const char *inputs) {
    op_case c;
    op_result reference;
    char text[256];
    pn_status status = op_case_open(&c, name, attrs, inputs);
    snprintf(text, sizeof text, "%s(%s; %s)", name, inputs, attrs);
    c.text = text;
    CHECK(status == PN_OK, "%s: %s", text, c.error.text);
    if (status == PN_OK) {
        if (op_seen_count < 2048) op_seen[op_seen_count++] = c.op;
        op_run(&c, PN_F64, pn_kernels_of(PN_ISA_PORTABLE), 1, ~0u, c.op->flags & PN_NO_GRAD ? 0 : OP_BACKWARD, &reference);
        for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
            const pn_kernels *k = pn_kernels_of((pn_isa)isa);
            for (int dtype = PN_F32; k && dtype <= PN_F64; dtype++) op_check_level(&c, dtype, k, &reference);
        }
        op_close(&c, &reference);
    }
    op_case_close(&c);
}

/* Several inputs for one set of attributes. */
static inline void check_all(const char *name, const char *attrs, int n, const char *const *inputs) {
    for (int i = 0; i < n; i++) check_op(name, attrs, inputs[i]);
}
#define LIST(...)                                                                                                                                              \
    (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[]) { __VA_ARGS__ }

/* Elements of a blocked tensor, input or output i, against the plain one: largest difference over its size. */
static double op_blocked_distance(const op_case *c, int i, const op_block *blocked, const op_block *plain, const pn_shape *s, int dtype) {
    const int64_t n = pn_shape_size(s);
    double *want = pn_alloc((size_t)n * sizeof(double)), *got = pn_alloc((size_t)n * sizeof(double));
    for (int64_t j = 0; j < n; j++) want[j] = op_get(plain->data, dtype, j), got[j] = op_get(blocked->data, dtype, op_at(c, i, s, j));
    const double distance = op_distance(got, PN_F64, want, n);
    pn_free(want);
    pn_free(got);
    return distance;
}

/* One run in a layout against the plain one: output 0 and all gradients. */
static void op_check_blocked(op_case *c, pn_layout layout, int dtype, const pn_kernels *k, int team, int mode) {
    const double tolerance = op_tolerance(c, dtype);
    op_result plain, r;
    c->layout = PN_PLAIN;
    op_run(c, dtype, k, 1, ~0u, mode, &plain);
    c->layout = layout;
    op_run(c, dtype, k, team, ~0u, mode, &r);
    CHECK(op_blocked_distance(c, 0, &r.out[0], &plain.out[0], &c->out[0], dtype) <= tolerance, "%s, %s, team of %d: the output in layout %s differs", c->text,
          pn_isa_name(k->isa), team, pn_layout_name(layout));
    for (int i = 0; i < c->n_in; i++) {
        if (!r.gin[i].base) continue;
        CHECK(op_blocked_distance(c, i, &r.gin[i], &plain.gin[i], &c->in[i], dtype) <= tolerance, "%s, %s, team of %d: gradient %d in layout %s differs",
              c->text, pn_isa_name(k->isa), team, i, pn_layout_name(layout));
    }
    op_close(c, &r);
    c->layout = PN_PLAIN;
    op_close(c, &plain);
}

/* The op must keep this layout when input 0 comes in it, and give what it gives with plain tensors, whatever stands in lanes of nobody. */
static inline void check_layout_kept(const char *name, const char *attrs, const char *inputs, pn_layout layout) {
    op_case c;
    char text[256];
    const pn_status status = op_case_open(&c, name, attrs, inputs);
    snprintf(text, sizeof text, "%s(%s; %s)", name, inputs, attrs);
    c.text = text;
    CHECK(status == PN_OK && c.op->layout, "%s: %s", text, c.error.text);
    if (status == PN_OK && c.op->layout) {
        const pn_shape first[2] = {c.in[0], c.in[c.n_in > 1]};
        CHECK(c.op->layout(first, c.attrs, layout) == layout, "%s: another layout than %s", text, pn_layout_name(layout));
        for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
            const pn_kernels *k = pn_kernels_of((pn_isa)isa);
            for (int n = 0; k && n < 2 * TEAMS; n++) {
                op_check_blocked(&c, layout, n % 2 ? PN_F64 : PN_F32, k, n / 2 + 1, OP_BACKWARD);
                op_check_blocked(&c, layout, n % 2 ? PN_F64 : PN_F32, k, n / 2 + 1, OP_BACKWARD | OP_ADD);
            }
        }
    }
    op_case_close(&c);
}

/* The op must refuse these inputs, with this status and this sentence. */
static inline void check_refusal(const char *name, const char *attrs, const char *inputs, pn_status want, const char *sentence) {
    op_case c;
    pn_status status = op_case_open(&c, name, attrs, inputs);
    CHECK(status == want, "%s(%s; %s): status is %d, expected %d", name, inputs, attrs, (int)status, (int)want);
    CHECK(strcmp(c.error.text, sentence) == 0, "%s(%s; %s) says \"%s\", expected \"%s\"", name, inputs, attrs, c.error.text, sentence);
    op_case_close(&c);
}
#endif
