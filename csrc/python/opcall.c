/* Every op as a Python builtin: one C function for all, bound to a description of its op. Calls look like op(*tensors, *attributes, **attributes).
 *
 * Arguments that are no tensors are converted: numbers, arrays and lists take the real dtype of the tensors in the call, for inputs of class i they
 * become int64. Attributes come by position behind the tensors or by name; None leaves an optional trailing tensor out. */
#include "python/opcall.h"

#include <limits.h>
#include <string.h>

#include "python/tensor_parts.h"

#define T(o) (((pn_py_tensor *)(o))->t)
#define MAX_FIXED 8 /* inputs of an op that is not variadic */

/* ---- what a call looks like before it runs ---- */

typedef struct call_frame {
    const pn_py_op *op;
    int n_in;
    PyObject **given; /* (n_in) borrowed arguments; lists replaced by arrays that the frame owns */
    pn_tensor **in;   /* (n_in) owned */
    PyObject *owned;  /* list of objects to drop at the end, or NULL */
    pn_value attrs[PN_MAX_ATTR];
    PyObject *few_given[MAX_FIXED];
    pn_tensor *few_in[MAX_FIXED];
} call_frame;

static void frame_close(call_frame *f) {
    for (int i = 0; i < f->n_in; i++) pn_tensor_unref(f->in[i]);
    if (f->given != f->few_given) PyMem_Free(f->given);
    if (f->in != f->few_in) PyMem_Free(f->in);
    Py_XDECREF(f->owned);
}

/* Keeps o (a new reference) until the frame closes. */
static bool frame_own(call_frame *f, PyObject *o) {
    if (o && !f->owned) f->owned = PyList_New(0);
    const bool ok = o && f->owned && PyList_Append(f->owned, o) == 0;
    Py_XDECREF(o);
    return ok;
}

static char kind_of(const pn_py_op *op, int i) { return op->input[i < op->n_inputs ? i : op->n_inputs - 1].kind; }

/* ---- tensors ---- */

static bool is_real_array(PyObject *o) { return PyArray_Check(o) && PyTypeNum_ISFLOAT(PyArray_TYPE((PyArrayObject *)o)); }
static bool is_whole(PyObject *o) {
    if (PyArray_Check(o)) return !is_real_array(o);
    return PyLong_Check(o) || PyArray_IsScalar(o, Integer) || PyArray_IsScalar(o, Bool);
}

/* Lists and other objects become arrays, so that what they hold is known. *from_list: their floats are Python's. */
static bool normalise(call_frame *f, int i, bool *from_list) {
    PyObject *o = f->given[i];
    *from_list = false;
    if (pn_py_tensor_check(o) || PyArray_Check(o) || PyFloat_Check(o) || PyLong_Check(o) || PyArray_CheckScalar(o)) return true;
    *from_list = PyList_Check(o) || PyTuple_Check(o);
    PyObject *array = PyArray_FromAny(o, NULL, 0, 0, 0, NULL);
    f->given[i] = array;
    return frame_own(f, array);
}

/* The dtype for arguments of class `kind` that are no real tensors: that of a real tensor if there is one, else of a real array, else float32; without
 * anything real, for class n and for ops with an integer sister, int64. */
static int class_dtype(call_frame *f, char kind, bool *ok) {
    bool real = kind == 'r' && f->op->integers < 0, wide = false;
    for (int i = 0; i < f->n_in; i++) {
        bool from_list;
        if (kind_of(f->op, i) != kind) continue;
        if (!normalise(f, i, &from_list)) return *ok = false, -1;
        PyObject *o = f->given[i];
        if (pn_py_tensor_check(o)) {
            if (T(o)->shape.dtype != PN_I64) return T(o)->shape.dtype;
            continue;
        }
        real |= !is_whole(o);
        wide |= !from_list && is_real_array(o) && PyArray_TYPE((PyArrayObject *)o) == NPY_FLOAT64;
    }
    return !real ? PN_I64 : wide ? PN_F64 : PN_F32;
}

/* Input i as a tensor; false with an exception set. */
static bool take_input(call_frame *f, int i, int dtype) {
    PyObject *o = f->given[i];
    pn_error e;
    if (!pn_py_tensor_check(o))
        return (f->in[i] = pn_py_convert(o, dtype, true)) != NULL; /* a copy: backward will read it, and the caller's array may change */
    f->in[i] = T(o);
    if (T(o)->shape.dtype != PN_I64 || dtype == PN_I64 || dtype < 0) {
        pn_tensor_ref(f->in[i]);
        return true;
    }
    const pn_value attr = {.i = dtype}; /* an integer tensor among real ones */
    if (!pn_apply(pn_py_context(), &pn_op_cast, &attr, 1, &T(o), NULL, &f->in[i], NULL, &e)) return true;
    f->in[i] = NULL;
    pn_py_raise(&e);
    return false;
}

static bool take_inputs(call_frame *f) {
    int dtype[256];
    bool known[256] = {false}, ok = true;
    for (int i = 0; i < f->n_in; i++) {
        const unsigned char kind = (unsigned char)kind_of(f->op, i);
        if (!known[kind]) {
            known[kind] = true;
            /* Class i: whole numbers become int64, real ones stay real so that the op refuses them by name. */
            dtype[kind] = kind == 'i' ? -1 : class_dtype(f, (char)kind, &ok);
        }
        if (!ok || !take_input(f, i, dtype[kind])) return false;
    }
    return true;
}

/* ---- attributes ---- */

static bool fail_attr(const pn_py_op *op, const pn_field *field, PyObject *o, const char *expected) {
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_OverflowError)) return false;
    PyErr_Format(PyExc_TypeError, "%s: %s is %R, expected %s", op->op->name, field->name, o, expected);
    return false;
}

static bool parse_enum(const pn_py_op *op, const pn_field *field, PyObject *o, pn_value *value) {
    if (strcmp(field->choices, "float32|float64|int64") == 0) {
        const int dtype = pn_py_dtype(o);
        value->i = dtype;
        return dtype >= 0 || (dtype == -1 && fail_attr(op, field, o, "a dtype"));
    }
    const char *text = PyUnicode_Check(o) ? PyUnicode_AsUTF8AndSize(o, NULL) : NULL;
    const char *choice = field->choices;
    for (int i = 0; text; i++) {
        const char *end = strchr(choice, '|');
        const size_t n = end ? (size_t)(end - choice) : strlen(choice);
        if (strlen(text) == n && memcmp(text, choice, n) == 0) {
            value->i = i;
            return true;
        }
        if (!end) break;
        choice = end + 1;
    }
    PyErr_Format(PyExc_ValueError, "%s: %s is %R, expected one of %s", op->op->name, field->name, o, field->choices);
    return false;
}

static bool parse_int(const pn_py_op *op, const pn_field *field, PyObject *o, int64_t *value) {
    PyObject *index = PyNumber_Index(o);
    *value = index ? PyLong_AsLongLong(index) : -1;
    Py_XDECREF(index);
    return *value != -1 || !PyErr_Occurred() || fail_attr(op, field, o, field->kind == PN_INTS ? "integers" : "an integer");
}

static bool parse_ints(const pn_py_op *op, const pn_field *field, PyObject *o, pn_value *value) {
    if (PyIndex_Check(o) && !PySequence_Check(o)) {
        value->n = 1;
        return parse_int(op, field, o, &value->ints[0]);
    }
    PyObject *items = PySequence_Tuple(o);
    if (!items) return fail_attr(op, field, o, "integers");
    const Py_ssize_t n = PyTuple_Size(items);
    bool ok = n <= PN_MAX_RANK;
    if (!ok) PyErr_Format(PyExc_ValueError, "%s: %s has %zd entries, expected at most %d", op->op->name, field->name, n, PN_MAX_RANK);
    for (Py_ssize_t i = 0; ok && i < n; i++) ok = parse_int(op, field, PyTuple_GetItem(items, i), &value->ints[i]);
    value->n = (int32_t)n;
    Py_DECREF(items);
    return ok;
}

static bool parse_attr(const pn_py_op *op, int i, PyObject *o, pn_value *value) {
    const pn_field *field = &op->op->fields[i];
    const bool can_be_none = field->fallback && strcmp(field->fallback, "none") == 0;
    if (o == Py_None && can_be_none) {
        *value = op->defaults[i];
        return true;
    }
    switch (field->kind) {
    case PN_INT: return parse_int(op, field, o, &value->i);
    case PN_FLOAT: value->f = PyFloat_AsDouble(o); return value->f != -1 || !PyErr_Occurred() || fail_attr(op, field, o, "a number");
    case PN_BOOL: value->i = PyObject_IsTrue(o); return value->i >= 0;
    case PN_ENUM: return parse_enum(op, field, o, value);
    case PN_INTS: break;
    }
    return parse_ints(op, field, o, value);
}

/* ---- from the argument list to the frame ---- */

static bool same_name(PyObject *a, PyObject *b) { return a == b || PyUnicode_Compare(a, b) == 0; }

/* Index among the inputs, or n_inputs + index among the attributes, or -1. */
static int find_name(const pn_py_op *op, PyObject *name) {
    for (int i = 0; i < op->n_inputs && !op->variadic; i++) {
        if (same_name(op->input_name[i], name)) return i;
    }
    for (int i = 0; i < op->n_fields; i++) {
        if (same_name(op->field_name[i], name)) return op->n_inputs + i;
    }
    return -1;
}

/* concat(a, b, c, dim=0) or concat([a, b, c], 0): the inputs, and how many positions they took. */
static bool take_variadic(call_frame *f, PyObject *const *args, Py_ssize_t n, Py_ssize_t *taken) {
    const bool as_list = n > 0 && (PyList_Check(args[0]) || PyTuple_Check(args[0]));
    PyObject *items = as_list ? PySequence_Tuple(args[0]) : NULL;
    if (as_list && !items) return false;
    const Py_ssize_t count = as_list ? PyTuple_Size(items) : n;
    *taken = as_list ? 1 : n;
    if (items && !frame_own(f, items)) return false;
    if (count > INT_MAX / 2) return PyErr_NoMemory(), false;
    if (count > MAX_FIXED) {
        f->given = PyMem_Calloc((size_t)count, sizeof *f->given);
        f->in = PyMem_Calloc((size_t)count, sizeof *f->in);
        if (!f->given || !f->in) return PyErr_NoMemory(), false;
    }
    for (Py_ssize_t i = 0; i < count; i++) f->given[i] = as_list ? PyTuple_GetItem(items, i) : args[i];
    f->n_in = (int)count;
    return true;
}

/* Drops None behind the last given tensor and finds holes. */
static bool close_inputs(call_frame *f, int n) {
    const pn_py_op *op = f->op;
    while (n > op->min_in && (!f->given[n - 1] || f->given[n - 1] == Py_None)) n--;
    f->n_in = n;
    for (int i = 0; i < n; i++) {
        if (f->given[i] && f->given[i] != Py_None) continue;
        f->n_in = 0;
        PyErr_Format(PyExc_TypeError, "%s: %U is missing", op->op->name, op->input_name[i]);
        return false;
    }
    return true;
}

static bool take_arguments(call_frame *f, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    const pn_py_op *op = f->op;
    const Py_ssize_t n_keywords = kwnames ? PyTuple_Size(kwnames) : 0;
    PyObject *attr[PN_MAX_ATTR] = {NULL};
    Py_ssize_t taken = n < op->n_inputs ? n : op->n_inputs;
    if (op->variadic) {
        if (!take_variadic(f, args, n, &taken)) return false;
    } else {
        for (int i = 0; i < op->n_inputs; i++) f->given[i] = i < taken ? args[i] : NULL;
    }
    if (n - taken > op->n_fields) {
        PyErr_Format(PyExc_TypeError, "%s%s takes at most %d arguments, got %zd", op->op->name, op->signature, op->n_inputs + op->n_fields, n);
        return false;
    }
    for (Py_ssize_t i = taken; i < n; i++) attr[i - taken] = args[i];
    for (Py_ssize_t k = 0; k < n_keywords; k++) {
        PyObject *name = PyTuple_GetItem(kwnames, k);
        const int at = find_name(op, name);
        PyObject **place = at < 0 ? NULL : at < op->n_inputs ? &f->given[at] : &attr[at - op->n_inputs];
        if (!place || *place) {
            PyErr_Format(PyExc_TypeError, place ? "%s: argument %U is given twice" : "%s has no argument %U", op->op->name, name);
            return false;
        }
        *place = args[n + k];
    }
    if (!op->variadic && !close_inputs(f, op->n_inputs)) return false;
    for (int i = 0; i < op->n_fields; i++) {
        if (attr[i]) {
            if (!parse_attr(op, i, attr[i], &f->attrs[i])) return false;
        } else if (op->op->fields[i].fallback) {
            f->attrs[i] = op->defaults[i];
        } else {
            PyErr_Format(PyExc_TypeError, "%s%s: %s is missing", op->op->name, op->signature, op->op->fields[i].name);
            return false;
        }
    }
    for (int i = op->n_fields; i < op->n_hidden; i++) f->attrs[i] = op->defaults[i];
    return true;
}

/* ---- the call ---- */

PyObject *pn_py_results(pn_tensor **out, int n) {
    if (n == 1) return pn_py_tensor_new(out[0]);
    PyObject *tuple = PyTuple_New(n);
    for (int i = 0; i < n; i++) {
        PyObject *t = pn_py_tensor_new(out[i]);
        if (!t) Py_CLEAR(tuple);
        if (tuple)
            PyTuple_SetItem(tuple, i, t);
        else
            Py_XDECREF(t);
    }
    return tuple;
}

static PyObject *results(const pn_py_op *op, pn_tensor **out, int n) {
    if (op->comparison) out[0]->flags |= PN_T_MASK;
    return pn_py_results(out, n);
}

static PyObject *run(call_frame *f) {
    pn_error e;
    pn_tensor *out[PN_MAX_OUT];
    int n_out;
    if (f->op->integers >= 0 && f->in[0]->shape.dtype == PN_I64 && f->in[1]->shape.dtype == PN_I64) {
        out[0] = pn_py_integers((pn_py_int_op)f->op->integers, f->in[0], f->in[1], &e);
        return out[0] ? pn_py_tensor_new(out[0]) : pn_py_raise(&e);
    }
    if (pn_apply(pn_py_context(), f->op->op, f->attrs, f->n_in, f->in, NULL, out, &n_out, &e)) return pn_py_raise(&e);
    return results(f->op, out, n_out);
}

/* Two tensors and nothing else, one tensor and nothing else: no conversion, no names. */
static PyObject *run_plain(const pn_py_op *op, PyObject *const *args, Py_ssize_t n) {
    pn_error e;
    pn_tensor *in[2], *out[PN_MAX_OUT];
    int n_out;
    for (Py_ssize_t i = 0; i < n; i++) in[i] = T(args[i]);
    if (pn_apply(pn_py_context(), op->op, op->defaults, (int)n, in, NULL, out, &n_out, &e)) return pn_py_raise(&e);
    return results(op, out, n_out);
}

static bool is_plain(const pn_py_op *op, PyObject *const *args, Py_ssize_t n) {
    if (n != op->n_inputs || n > 2 || !op->all_default || op->variadic) return false;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!pn_py_tensor_check(args[i]) || (op->input[i].kind != 'i') == (T(args[i])->shape.dtype == PN_I64)) return false;
    }
    return true;
}

PyObject *pn_py_op_call(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    const pn_py_op *op = PyCapsule_GetPointer(self, NULL);
    if (!op) return NULL;
    if (!kwnames && is_plain(op, args, n)) return run_plain(op, args, n);
    call_frame f;
    f.op = op;
    f.n_in = 0;
    f.given = f.few_given;
    f.in = f.few_in;
    f.owned = NULL;
    PyObject *result = NULL;
    const bool ok = take_arguments(&f, args, n, kwnames);
    for (int i = 0; i < f.n_in; i++) f.in[i] = NULL;
    if (ok && take_inputs(&f)) result = run(&f);
    frame_close(&f);
    return result;
}
