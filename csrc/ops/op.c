/* The list of ops and what can be said about an op without knowing which: its inputs, its fields, their defaults. */
#include "ops/op.h"
#include <limits.h>
#include <math.h>
#include <string.h>

#define OP(name) extern const pn_op pn_op_##name;
#include "ops/ops.def"
#undef OP

const pn_op *const pn_ops[] = {
#define OP(name) &pn_op_##name,
#include "ops/ops.def"
#undef OP
    NULL};

const pn_op *pn_op_find(const char *name) {
    for (int i = 0; pn_ops[i]; i++) {
        if (strcmp(pn_ops[i]->name, name) == 0) return pn_ops[i];
    }
    return NULL;
}

/* ---- inputs: "x:r target:i weight:r?" ---- */

/* Moves to the i-th input of the text; a variadic input stands for all that follow. False behind the last. */
static bool find_input(const pn_op *op, int i, pn_op_input *out) {
    const char *s = op->inputs;
    while (*s) {
        const char *colon = strchr(s, ':');
        const char *end = colon + 2;
        *out = (pn_op_input){.name = s, .length = (int)(colon - s), .kind = colon[1]};
        for (; *end && *end != ' '; end++) {
            out->optional |= *end == '?';
            out->variadic |= *end == '*';
            out->constant |= *end == '!';
        }
        if (i-- == 0 || out->variadic) return true;
        s = *end ? end + 1 : end;
    }
    return false;
}

bool pn_op_get_input(const pn_op *op, int i, pn_op_input *out) { return find_input(op, i, out); }

int pn_op_max_in(const pn_op *op) {
    pn_op_input input;
    int n = 0;
    while (find_input(op, n, &input)) {
        if (input.variadic) return INT_MAX;
        n++;
    }
    return n;
}

int pn_op_min_in(const pn_op *op) {
    pn_op_input input;
    int n = 0;
    while (find_input(op, n, &input) && !input.optional) {
        n++;
        if (input.variadic) break;
    }
    return n;
}

static pn_status check_count(const pn_op *op, int n_in, pn_error *e) {
    int lo = pn_op_min_in(op), hi = pn_op_max_in(op);
    if (n_in >= lo && n_in <= hi) return PN_OK;
    if (hi == INT_MAX) return pn_fail(e, PN_E_TYPE, "%s takes at least %d tensor%s, got %d", op->name, lo, lo == 1 ? "" : "s", n_in);
    if (lo == hi) return pn_fail(e, PN_E_TYPE, "%s takes %d tensor%s, got %d", op->name, lo, lo == 1 ? "" : "s", n_in);
    return pn_fail(e, PN_E_TYPE, "%s takes %d to %d tensors, got %d", op->name, lo, hi, n_in);
}

pn_status pn_op_check_inputs(const pn_op *op, int n_in, const pn_shape *in, pn_error *e) {
    pn_status status = check_count(op, n_in, e);
    if (status) return status;
    int first[256] = {0}; /* by kind: 1 + the first input of that kind */
    for (int i = 0; i < n_in; i++) {
        pn_op_input input;
        find_input(op, i, &input);
        bool whole = in[i].dtype == PN_I64;
        if (input.kind != 'n' && whole != (input.kind == 'i')) {
            return pn_fail(e, PN_E_TYPE, "%s: %.*s has dtype %s, expected %s", op->name, input.length, input.name, pn_dtype_name(in[i].dtype),
                           whole ? "float32 or float64" : "int64");
        }
        int *other = &first[(unsigned char)input.kind];
        if (!*other) *other = i + 1;
        if (in[i].dtype == in[*other - 1].dtype) continue;
        pn_op_input was;
        find_input(op, *other - 1, &was);
        return pn_fail(e, PN_E_TYPE, "%s: %.*s has dtype %s but %.*s has dtype %s; convert %.*s with .to(\"%s\")", op->name, was.length, was.name,
                       pn_dtype_name(in[*other - 1].dtype), input.length, input.name, pn_dtype_name(in[i].dtype), was.length, was.name,
                       pn_dtype_name(in[i].dtype));
    }
    return PN_OK;
}

/* ---- fields and their defaults ---- */

int pn_op_field(const pn_op *op, const char *name) {
    for (int i = 0; op->fields && op->fields[i].name; i++) {
        if (strcmp(op->fields[i].name, name) == 0) return i;
    }
    return -1;
}

/* Reads a decimal number. Not strtod: that one follows the locale, and "0.01" must never become 0. Exact for up to 15 digits and exponents up to 22. */
static const char *read_number(const char *s, double *value) {
    bool minus = *s == '-';
    if (*s == '-' || *s == '+') s++;
    if (strncmp(s, "inf", 3) == 0) {
        *value = minus ? -(double)INFINITY : (double)INFINITY;
        return s + 3;
    }
    double digits = 0, power = 1;
    int exponent = 0;
    for (; *s >= '0' && *s <= '9'; s++) digits = digits * 10 + (*s - '0');
    if (*s == '.') {
        for (s++; *s >= '0' && *s <= '9'; s++, exponent--) digits = digits * 10 + (*s - '0');
    }
    if (*s == 'e') {
        bool down = s[1] == '-';
        int e = 0;
        for (s += 1 + down; *s >= '0' && *s <= '9'; s++) e = e * 10 + (*s - '0');
        exponent += down ? -e : e;
    }
    for (int i = exponent < 0 ? -exponent : exponent; i > 0; i--) power *= 10;
    digits = exponent < 0 ? digits / power : digits * power;
    *value = minus ? -digits : digits;
    return s;
}

/* "()" or "(1, 2)" */
static void read_ints(const char *s, pn_value *value) {
    for (value->n = 0; *s; s++) {
        if (*s != '-' && (*s < '0' || *s > '9')) continue;
        double number;
        s = read_number(s, &number) - 1;
        value->ints[value->n++] = (int64_t)number;
    }
}

/* Index of name in "mean|sum|none", -1 when absent. */
static int find_choice(const char *choices, const char *name) {
    size_t length = strlen(name);
    for (int i = 0;; i++) {
        const char *end = strchr(choices, '|');
        size_t n = end ? (size_t)(end - choices) : strlen(choices);
        if (n == length && memcmp(choices, name, n) == 0) return i;
        if (!end) return -1;
        choices = end + 1;
    }
}

static void read_default(const pn_field *field, pn_value *value) {
    const char *s = field->fallback;
    bool none = strcmp(s, "none") == 0;
    double number;
    *value = (pn_value){0};
    switch (field->kind) {
    case PN_BOOL: value->i = strcmp(s, "True") == 0; break;
    case PN_ENUM: value->i = find_choice(field->choices, s); break;
    case PN_FLOAT:
        if (none)
            value->f = (double)NAN;
        else
            read_number(s, &value->f);
        break;
    case PN_INT:
        read_number(s, &number);
        value->i = none ? INT64_MIN : (int64_t)number;
        break;
    case PN_INTS:
        if (none)
            value->n = -1;
        else
            read_ints(s, value);
        break;
    }
}

bool pn_op_defaults(const pn_op *op, pn_value *attrs, int *missing) {
    bool complete = true;
    for (int i = 0; op->fields && op->fields[i].name; i++) {
        if (op->fields[i].fallback) {
            read_default(&op->fields[i], &attrs[i]);
            continue;
        }
        attrs[i] = (pn_value){0};
        if (complete) *missing = i;
        complete = false;
    }
    return complete;
}
