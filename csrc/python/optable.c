/* Builds the dict of ops: for each entry of ops.def a builtin with signature and docstring from its fields, and op_info for those who want to read. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "python/opcall.h"
#include "python/tensor_parts.h"

#define DOC_BYTES 2048

/* ---- text ---- */

typedef struct text {
    char *at, *end;
} text;

static void put(text *t, const char *format, ...) PN_PRINTF(2, 3);
static void put(text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(t->at, (size_t)(t->end - t->at), format, args);
    va_end(args);
    if (n > 0) t->at += n < t->end - t->at ? n : t->end - t->at - 1;
}

/* A default as Python writes it. */
static void put_default(text *t, const pn_field *field) {
    const char *s = field->fallback;
    if (strcmp(s, "none") == 0 && field->kind != PN_ENUM)
        put(t, "=None");
    else if (field->kind == PN_ENUM)
        put(t, "='%s'", s);
    else if (field->kind == PN_FLOAT && strstr(s, "inf"))
        put(t, "=float('%s')", s);
    else
        put(t, "=%s", s);
}

static void put_signature(text *t, const pn_py_op *p) {
    put(t, "(");
    for (int i = 0; i < p->n_inputs; i++) {
        const pn_op_input *in = &p->input[i];
        put(t, "%s%s%.*s%s", i ? ", " : "", in->variadic ? "*" : "", in->length, in->name, in->optional && !in->variadic ? "=None" : "");
    }
    bool optional_before = p->n_inputs && p->input[p->n_inputs - 1].optional;
    for (int i = 0; i < p->n_fields; i++) {
        put(t, ", %s", p->op->fields[i].name);
        if (p->op->fields[i].fallback)
            put_default(t, &p->op->fields[i]);
        else if (optional_before)
            put(t, "=None");
    }
    put(t, ")");
}

static bool make_doc(pn_py_op *p) {
    p->signature = pn_alloc(DOC_BYTES);
    p->doc = pn_alloc(DOC_BYTES);
    if (!p->signature || !p->doc) return false;
    text s = {p->signature, p->signature + DOC_BYTES}, d = {p->doc, p->doc + DOC_BYTES};
    put_signature(&s, p);
    put(&d, "%s%s\n--\n\n%s", p->op->name, p->signature, p->op->formula);
    if (p->op->derivative) put(&d, "\n\nBackward: %s", p->op->derivative);
    return true;
}

/* ---- the table ---- */

/* Comparisons by name: the op's own table has no word for it. */
static bool is_comparison(const char *name) {
    static const char *const names[] = {"eq", "ne", "lt", "le", "gt", "ge"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) return true;
    }
    return false;
}

/* Ops on reals that have an integer sister in integers.c. */
static int integer_sister(const pn_op *op) {
    return op == &pn_op_add       ? PN_INT_ADD
           : op == &pn_op_sub     ? PN_INT_SUB
           : op == &pn_op_mul     ? PN_INT_MUL
           : op == &pn_op_maximum ? PN_INT_MAX
           : op == &pn_op_minimum ? PN_INT_MIN
                                  : -1;
}

static bool describe(pn_py_op *p, const pn_op *op) {
    int missing = -1;
    p->op = op;
    while (p->n_inputs < PN_PY_MAX_INPUTS && pn_op_get_input(op, p->n_inputs, &p->input[p->n_inputs])) {
        const pn_op_input *in = &p->input[p->n_inputs];
        p->input_name[p->n_inputs] = PyUnicode_FromStringAndSize(in->name, in->length);
        if (!p->input_name[p->n_inputs]) return false;
        PyUnicode_InternInPlace(&p->input_name[p->n_inputs++]);
        if (in->variadic) {
            p->variadic = true;
            break;
        }
    }
    p->min_in = pn_op_min_in(op);
    for (; op->fields && op->fields[p->n_hidden].name; p->n_hidden++) {
        p->field_name[p->n_hidden] = PyUnicode_InternFromString(op->fields[p->n_hidden].name);
        if (!p->field_name[p->n_hidden]) return false;
    }
    /* The activation behind a product is for plans: its backward overwrites the gradient of the output, which teaching mode may still show. */
    p->n_fields = op->flags & PN_FUSES ? op->fused : p->n_hidden;
    p->all_default = pn_op_defaults(op, p->defaults, &missing);
    p->comparison = is_comparison(op->name);
    p->integers = integer_sister(op);
    return make_doc(p);
}

void pn_py_free_ops(pn_py_op *table) {
    if (!table) return;
    for (pn_py_op *p = table; p->op; p++) {
        for (int i = 0; i < PN_PY_MAX_INPUTS; i++) Py_XDECREF(p->input_name[i]);
        for (int i = 0; i < PN_MAX_ATTR; i++) Py_XDECREF(p->field_name[i]);
        pn_free(p->signature);
        pn_free(p->doc);
    }
    pn_free(table);
}

static PyObject *builtin(pn_py_op *p, PyObject *module_name) {
    p->def = (PyMethodDef){p->op->name, (PyCFunction)(void (*)(void))pn_py_op_call, METH_FASTCALL | METH_KEYWORDS, p->doc};
    PyObject *self = PyCapsule_New(p, NULL, NULL);
    PyObject *f = self ? PyCFunction_NewEx(&p->def, self, module_name) : NULL;
    Py_XDECREF(self);
    return f;
}

int pn_py_add_ops(PyObject *module) {
    pn_py_state *state = pn_py_state_get();
    size_t n = 0;
    while (pn_ops[n]) n++;
    PyObject *name = PyModule_GetNameObject(module);
    state->ops = PyDict_New();
    state->op_table = pn_alloc_zero((n + 1) * sizeof *state->op_table);
    int failed = !name || !state->ops || !state->op_table;
    if (!state->op_table) PyErr_NoMemory();
    for (size_t i = 0; !failed && i < n; i++) {
        PyObject *f = NULL;
        if (describe(&state->op_table[i], pn_ops[i])) f = builtin(&state->op_table[i], name);
        if (!f && !PyErr_Occurred()) PyErr_NoMemory();
        failed = !f || PyDict_SetItemString(state->ops, pn_ops[i]->name, f);
        Py_XDECREF(f);
    }
    Py_XDECREF(name);
    return failed || PyModule_AddObjectRef(module, "ops", state->ops) ? -1 : 0;
}

/* ---- op_info ---- */

static PyObject *choices_tuple(const char *choices) {
    PyObject *list = PyList_New(0);
    for (const char *s = choices; list && s;) {
        const char *end = strchr(s, '|');
        PyObject *word = PyUnicode_FromStringAndSize(s, end ? end - s : (Py_ssize_t)strlen(s));
        if (!word || PyList_Append(list, word)) Py_CLEAR(list);
        Py_XDECREF(word);
        s = end ? end + 1 : NULL;
    }
    PyObject *tuple = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return tuple;
}

static PyObject *default_value(const pn_field *field, const pn_value *v) {
    if (strcmp(field->fallback, "none") == 0 && field->kind != PN_ENUM) Py_RETURN_NONE;
    switch (field->kind) {
    case PN_INT: return PyLong_FromLongLong(v->i);
    case PN_FLOAT: return PyFloat_FromDouble(v->f);
    case PN_BOOL: return PyBool_FromLong(v->i != 0);
    case PN_ENUM: return PyUnicode_FromString(field->fallback);
    case PN_INTS: break;
    }
    const pn_shape s = {.rank = v->n};
    pn_shape ints = s;
    memcpy(ints.dim, v->ints, sizeof ints.dim);
    return pn_py_shape(&ints);
}

/* (name, kind, choices or None, default); the default is the type Ellipsis for an attribute that must be given. */
static PyObject *field_info(const pn_field *field, const pn_value *value) {
    static const char *const kinds[] = {[PN_INT] = "int", [PN_FLOAT] = "float", [PN_BOOL] = "bool", [PN_ENUM] = "enum", [PN_INTS] = "ints"};
    PyObject *choices = field->choices ? choices_tuple(field->choices) : Py_NewRef(Py_None);
    PyObject *fallback = field->fallback ? default_value(field, value) : Py_NewRef(Py_Ellipsis);
    if (choices && fallback) return Py_BuildValue("(ssNN)", field->name, kinds[field->kind], choices, fallback);
    Py_XDECREF(choices);
    Py_XDECREF(fallback);
    return NULL;
}

static PyObject *fields_list(const pn_py_op *p) {
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < p->n_fields; i++) {
        PyObject *info = field_info(&p->op->fields[i], &p->defaults[i]);
        if (!info || PyList_Append(list, info)) Py_CLEAR(list);
        Py_XDECREF(info);
    }
    return list;
}

static PyObject *flags_list(unsigned flags) {
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{PN_VIEW, "view"},         {PN_NO_GRAD, "no_grad"},       {PN_RANDOM, "random"}, {PN_IN_PLACE, "in_place"},
                 {PN_ANY_LAYOUT, "layout"}, {PN_TRAIN_ONLY, "train_only"}, {PN_USER, "user"}};
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < sizeof names / sizeof *names; i++) {
        if (!(flags & names[i].flag)) continue;
        PyObject *word = PyUnicode_FromString(names[i].name);
        if (!word || PyList_Append(list, word)) Py_CLEAR(list);
        Py_XDECREF(word);
    }
    return list;
}

PyDoc_STRVAR(op_info_doc, "op_info(name, /)\n--\n\n"
                          "What is known about an op: name, signature, formula, derivative (None: has no gradient), inputs, n_out,\n"
                          "fields [(name, kind, choices, default)], flags, file. KeyError for an unknown name.");
static PyObject *op_info(PyObject *module, PyObject *name) {
    (void)module;
    const char *wanted = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    if (!wanted) return PyErr_Format(PyExc_TypeError, "op_info takes the name of an op, got %R", name);
    for (const pn_py_op *p = pn_py_state_get()->op_table; p->op; p++) {
        if (strcmp(p->op->name, wanted) != 0) continue;
        PyObject *fields = fields_list(p), *flags = flags_list(p->op->flags);
        if (fields && flags) {
            return Py_BuildValue("{s:s,s:s,s:s,s:z,s:s,s:i,s:N,s:N,s:s}", "name", p->op->name, "signature", p->signature, "formula", p->op->formula,
                                 "derivative", p->op->derivative, "inputs", p->op->inputs, "n_out", p->op->n_out, "fields", fields, "flags", flags, "file",
                                 p->op->file);
        }
        Py_XDECREF(fields);
        Py_XDECREF(flags);
        return NULL;
    }
    PyErr_SetObject(PyExc_KeyError, name);
    return NULL;
}

PyMethodDef pn_py_op_methods[] = {
    {"op_info", op_info, METH_O, op_info_doc},
    {NULL, NULL, 0, NULL},
};
