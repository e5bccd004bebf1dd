/* Operators of Tensor: which op belongs to which operator, and what becomes of an operand that is no Tensor.
 *
 * Python numbers, NumPy scalars and arrays adapt to the dtype of the tensor; tensors do not adapt to each other, except that int64 joins a real one.
 * The arrays of other libraries count as NumPy's. Two int64 operands are computed as integers, by integers.c. */
#include "python/tensor_parts.h"

#include <string.h>

#define T(o) (((pn_py_tensor *)(o))->t)

/* ---- operands ---- */

static bool is_scalar(PyObject *o) { return PyFloat_Check(o) || PyLong_Check(o) || PyArray_CheckScalar(o); }

/* Whether a number or array counts as an integer. */
static bool is_integral(PyObject *o) {
    if (PyArray_Check(o)) return !PyTypeNum_ISFLOAT(PyArray_TYPE((PyArrayObject *)o));
    return PyLong_Check(o) || PyArray_IsScalar(o, Integer) || PyArray_IsScalar(o, Bool);
}

static bool is_operand(PyObject *o) { return pn_py_tensor_check(o) || is_scalar(o) || PyArray_Check(o); }

/* o when it is an operand, else the NumPy array that it offers to be (torch, jax, pandas). New reference; NULL when it is neither, or with an exception. */
static PyObject *as_operand(PyObject *o) {
    if (is_operand(o)) return Py_NewRef(o);
    if (PyType_Check(o) || !PyObject_HasAttrString(o, "__array__")) return NULL;
    return PyArray_FromAny(o, NULL, 0, 0, 0, NULL);
}

/* Both as operands in pair, new references. false when one is none; *answer is then what the operator returns: NotImplemented, or NULL with an exception. */
static bool as_operands(PyObject *a, PyObject *b, PyObject *pair[2], PyObject **answer) {
    pair[0] = as_operand(a);
    pair[1] = pair[0] ? as_operand(b) : NULL;
    if (pair[1]) return true;
    Py_XDECREF(pair[0]);
    *answer = PyErr_Occurred() ? NULL : Py_NewRef(Py_NotImplemented);
    return false;
}

/* t in another real dtype, through the op, so that it stays in a recording. New reference, NULL with an exception set. */
static pn_tensor *cast(pn_tensor *t, int dtype) {
    pn_error e;
    const pn_value attr = {.i = dtype};
    pn_tensor *out;
    if (pn_apply(pn_py_context(), &pn_op_cast, &attr, 1, &t, NULL, &out, NULL, &e)) return (pn_tensor *)pn_py_raise(&e);
    return out;
}

/* dtype that o brings along: of a tensor its own; of numbers and arrays, int64 or -1 for "real, whatever the other is". */
static int own_dtype(PyObject *o) { return pn_py_tensor_check(o) ? T(o)->shape.dtype : is_integral(o) ? PN_I64 : -1; }

/* Operand o as a tensor of dtype, or as it is when it is a real tensor already. New reference. */
static pn_tensor *operand(PyObject *o, int dtype) {
    if (!pn_py_tensor_check(o)) return pn_py_convert(o, dtype, true);
    if (T(o)->shape.dtype == PN_I64 && dtype != PN_I64) return cast(T(o), dtype);
    pn_tensor_ref(T(o));
    return T(o);
}

/* The dtype in which a and b meet. Two tensors of different real dtypes keep them: the op refuses and names both. */
static int common_dtype(PyObject *a, PyObject *b, bool real) {
    const int da = own_dtype(a), db = own_dtype(b);
    if (da == PN_F64 || (da == PN_F32 && pn_py_tensor_check(a))) return da;
    if (db == PN_F64 || (db == PN_F32 && pn_py_tensor_check(b))) return db;
    if (da == PN_I64 && db == PN_I64 && !real) return PN_I64;
    /* An integer tensor with a real array takes the array's dtype, with a Python float PyTorch's default. */
    PyObject *other = pn_py_tensor_check(a) ? b : a;
    return PyArray_Check(other) && PyArray_TYPE((PyArrayObject *)other) == NPY_FLOAT64 ? PN_F64 : PN_F32;
}

/* Both operands ready for an op; false with an exception set. */
static bool operands(PyObject *a, PyObject *b, bool real, pn_tensor *in[2]) {
    if (pn_py_tensor_check(a) && pn_py_tensor_check(b) && T(a)->shape.dtype == T(b)->shape.dtype && (T(a)->shape.dtype != PN_I64 || !real)) {
        in[0] = T(a);
        in[1] = T(b);
        pn_tensor_ref(in[0]);
        pn_tensor_ref(in[1]);
        return true;
    }
    const int dtype = common_dtype(a, b, real);
    in[0] = operand(a, dtype);
    in[1] = in[0] ? operand(b, dtype) : NULL;
    if (in[1]) return true;
    pn_tensor_unref(in[0]);
    return false;
}

static void release(pn_tensor *in[2]) {
    pn_tensor_unref(in[0]);
    pn_tensor_unref(in[1]);
}

PyObject *pn_py_apply(const pn_op *op, const pn_value *attrs, int n_in, pn_tensor *const *in) {
    pn_error e;
    pn_tensor *out;
    if (pn_apply(pn_py_context(), op, attrs, n_in, in, NULL, &out, NULL, &e)) return pn_py_raise(&e);
    return pn_py_tensor_new(out);
}

/* ---- arithmetic ---- */

static PyObject *integers(pn_py_int_op op, pn_tensor *a, pn_tensor *b) {
    pn_error e;
    pn_tensor *out = pn_py_integers(op, a, b, &e);
    return out ? pn_py_tensor_new(out) : pn_py_raise(&e);
}

/* whole: what to do with two int64 operands, -1 when the op turns them into reals first. */
static PyObject *binary(PyObject *a, PyObject *b, const pn_op *op, const pn_value *attrs, int whole) {
    pn_tensor *in[2];
    PyObject *result;
    if (!is_operand(a) || !is_operand(b)) {
        PyObject *pair[2];
        if (!as_operands(a, b, pair, &result)) return result;
        result = binary(pair[0], pair[1], op, attrs, whole);
        Py_DECREF(pair[0]);
        Py_DECREF(pair[1]);
        return result;
    }
    if (!operands(a, b, whole < 0, in)) return NULL;
    result = in[0]->shape.dtype == PN_I64 && in[1]->shape.dtype == PN_I64 ? integers((pn_py_int_op)whole, in[0], in[1]) : pn_py_apply(op, attrs, 2, in);
    release(in);
    return result;
}

static PyObject *slot_add(PyObject *a, PyObject *b) { return binary(a, b, &pn_op_add, NULL, PN_INT_ADD); }
static PyObject *slot_sub(PyObject *a, PyObject *b) { return binary(a, b, &pn_op_sub, NULL, PN_INT_SUB); }
static PyObject *slot_mul(PyObject *a, PyObject *b) { return binary(a, b, &pn_op_mul, NULL, PN_INT_MUL); }
static PyObject *slot_div(PyObject *a, PyObject *b) { return binary(a, b, &pn_op_div, NULL, -1); }

static PyObject *slot_matmul(PyObject *a, PyObject *b) {
    static const pn_value no_transposes[2] = {{0}};
    if (is_scalar(a) || is_scalar(b)) Py_RETURN_NOTIMPLEMENTED;
    return binary(a, b, &pn_op_matmul, no_transposes, -1);
}

/* x ** 2 is exact and cheap as a square; the general power goes through exp and log. */
static PyObject *slot_pow(PyObject *a, PyObject *b, PyObject *modulus) {
    if (modulus != Py_None) return PyErr_Format(PyExc_TypeError, "pow with a modulus is not defined for tensors");
    const bool real_base = pn_py_tensor_check(a) && T(a)->shape.dtype != PN_I64;
    if (real_base && is_scalar(b) && PyFloat_AsDouble(b) == 2) return pn_py_apply(&pn_op_square, NULL, 1, &T(a));
    if (PyErr_Occurred()) PyErr_Clear();
    return binary(a, b, &pn_op_pow, NULL, -1);
}

static PyObject *slot_floordiv(PyObject *a, PyObject *b) { return binary(a, b, &pn_op_floor_divide, NULL, PN_INT_FLOORDIV); }
static PyObject *slot_mod(PyObject *a, PyObject *b) { return binary(a, b, &pn_op_remainder, NULL, PN_INT_MOD); }

/* ---- operators of integers only ---- */

static PyObject *whole_numbers(PyObject *a, PyObject *b, pn_py_int_op op) {
    pn_tensor *in[2];
    if (!is_operand(a) || !is_operand(b) || own_dtype(a) != PN_I64 || own_dtype(b) != PN_I64) Py_RETURN_NOTIMPLEMENTED;
    if (!operands(a, b, false, in)) return NULL;
    PyObject *result = integers(op, in[0], in[1]);
    release(in);
    return result;
}

static PyObject *slot_and(PyObject *a, PyObject *b) { return whole_numbers(a, b, PN_INT_AND); }
static PyObject *slot_or(PyObject *a, PyObject *b) { return whole_numbers(a, b, PN_INT_OR); }
static PyObject *slot_xor(PyObject *a, PyObject *b) { return whole_numbers(a, b, PN_INT_XOR); }

/* ---- one operand ---- */

static pn_tensor *constant(int64_t value) {
    pn_error e;
    const pn_shape shape = {.rank = 0, .dtype = PN_I64};
    pn_tensor *t = pn_tensor_new(&shape, &e);
    if (!t) return (pn_tensor *)pn_py_raise(&e);
    *(int64_t *)t->storage->data = value;
    return t;
}

/* An integer op with a constant: -a as a * -1, ~a as a ^ -1, not of a mask as a ^ 1. */
static PyObject *with_constant(pn_tensor *a, pn_py_int_op op, int64_t value, uint8_t flags) {
    pn_tensor *b = constant(value);
    if (!b) return NULL;
    b->flags |= flags;
    PyObject *result = integers(op, a, b);
    pn_tensor_unref(b);
    return result;
}

static PyObject *slot_neg(PyObject *a) {
    if (T(a)->shape.dtype == PN_I64) return with_constant(T(a), PN_INT_MUL, -1, 0);
    return pn_py_apply(&pn_op_neg, NULL, 1, &T(a));
}

static PyObject *slot_pos(PyObject *a) { return Py_NewRef(a); }

static PyObject *slot_abs(PyObject *a) {
    if (T(a)->shape.dtype != PN_I64) return pn_py_apply(&pn_op_abs, NULL, 1, &T(a));
    PyObject *minus = slot_neg(a);
    PyObject *result = minus ? integers(PN_INT_MAX, T(a), T(minus)) : NULL;
    Py_XDECREF(minus);
    return result;
}

static PyObject *slot_invert(PyObject *a) {
    if (T(a)->shape.dtype != PN_I64) return PyErr_Format(PyExc_TypeError, "~ needs a tensor of dtype int64, got %s", pn_dtype_name(T(a)->shape.dtype));
    const bool mask = T(a)->flags & PN_T_MASK;
    return with_constant(T(a), PN_INT_XOR, mask ? 1 : -1, mask ? PN_T_MASK : 0);
}

/* ---- in place ---- */

/* a op= b. The result is written into a's memory, unless a gradient or a recording needs the old value: then, as for any Python name, a becomes a new
 * tensor. A leaf that requires grad is refused, as in PyTorch. */
static PyObject *in_place(PyObject *a, PyObject *b, binaryfunc f) {
    pn_context *ctx = pn_py_context();
    if (!pn_py_tensor_check(a)) Py_RETURN_NOTIMPLEMENTED;
    pn_tensor *t = T(a), *value = pn_py_tensor_check(b) ? T(b) : NULL;
    if (ctx->grad_enabled && t->requires_grad && !t->node) {
        pn_py_check_write(t, value); /* raises */
        return NULL;
    }
    PyObject *result = f(a, b);
    if (!result || result == Py_NotImplemented) return result;
    const pn_tensor *r = T(result);
    const bool rebind = r->requires_grad || (ctx->grad_enabled && t->requires_grad) || (ctx->recording && (r->flags & PN_T_DEPENDS));
    if (rebind) return result;
    char from[256], to[256];
    if (r->shape.dtype != t->shape.dtype)
        PyErr_Format(PyExc_TypeError, "an in-place operation on a tensor of dtype %s gave %s, which it cannot hold", pn_dtype_name(t->shape.dtype),
                     pn_dtype_name(r->shape.dtype));
    else if (!pn_shape_equal(&r->shape, &t->shape))
        PyErr_Format(PyExc_ValueError, "an in-place operation on a tensor of shape %s gave shape %s, which it cannot hold", pn_shape_text(&t->shape, to),
                     pn_shape_text(&r->shape, from));
    else
        memcpy(t->storage->data, r->storage->data, t->storage->bytes);
    Py_DECREF(result);
    if (PyErr_Occurred()) return NULL;
    t->storage->version++;
    return Py_NewRef(a);
}

static PyObject *slot_iadd(PyObject *a, PyObject *b) { return in_place(a, b, slot_add); }
static PyObject *slot_isub(PyObject *a, PyObject *b) { return in_place(a, b, slot_sub); }
static PyObject *slot_imul(PyObject *a, PyObject *b) { return in_place(a, b, slot_mul); }
static PyObject *slot_idiv(PyObject *a, PyObject *b) { return in_place(a, b, slot_div); }
static PyObject *slot_ifloordiv(PyObject *a, PyObject *b) { return in_place(a, b, slot_floordiv); }
static PyObject *slot_imod(PyObject *a, PyObject *b) { return in_place(a, b, slot_mod); }

/* ---- comparisons ---- */

static PyObject *slot_compare(PyObject *a, PyObject *b, int what) {
    static const pn_op *const ops[] = {[Py_LT] = &pn_op_lt, [Py_LE] = &pn_op_le, [Py_EQ] = &pn_op_eq,
                                       [Py_NE] = &pn_op_ne, [Py_GT] = &pn_op_gt, [Py_GE] = &pn_op_ge};
    pn_tensor *in[2];
    PyObject *result;
    if (!is_operand(a) || !is_operand(b)) {
        PyObject *pair[2];
        if (!as_operands(a, b, pair, &result)) return result;
        result = slot_compare(pair[0], pair[1], what);
        Py_DECREF(pair[0]);
        Py_DECREF(pair[1]);
        return result;
    }
    if (!operands(a, b, false, in)) return NULL;
    result = pn_py_apply(ops[what], NULL, 2, in);
    release(in);
    if (result) T(result)->flags |= PN_T_MASK;
    return result;
}

/* By identity, as equality gives tensors. Objects lie 16 bytes apart. */
static Py_hash_t slot_hash(PyObject *self) { return (Py_hash_t)((uintptr_t)self >> 4); }

/* ---- sequence ---- */

static Py_ssize_t slot_length(PyObject *self) {
    const pn_shape *s = &T(self)->shape;
    if (s->rank) return (Py_ssize_t)s->dim[0];
    PyErr_SetString(PyExc_TypeError, "len() of a tensor without dimensions");
    return -1;
}

static PyObject *slot_iter(PyObject *self) {
    if (T(self)->shape.rank) return PySeqIter_New(self);
    return PyErr_Format(PyExc_TypeError, "iteration over a tensor without dimensions");
}

PyType_Slot pn_py_tensor_slots[] = {
    {Py_nb_add, slot_add},
    {Py_nb_subtract, slot_sub},
    {Py_nb_multiply, slot_mul},
    {Py_nb_true_divide, slot_div},
    {Py_nb_matrix_multiply, slot_matmul},
    {Py_nb_power, slot_pow},
    {Py_nb_floor_divide, slot_floordiv},
    {Py_nb_remainder, slot_mod},
    {Py_nb_and, slot_and},
    {Py_nb_or, slot_or},
    {Py_nb_xor, slot_xor},
    {Py_nb_negative, slot_neg},
    {Py_nb_positive, slot_pos},
    {Py_nb_absolute, slot_abs},
    {Py_nb_invert, slot_invert},
    {Py_nb_inplace_add, slot_iadd},
    {Py_nb_inplace_subtract, slot_isub},
    {Py_nb_inplace_multiply, slot_imul},
    {Py_nb_inplace_true_divide, slot_idiv},
    {Py_nb_inplace_floor_divide, slot_ifloordiv},
    {Py_nb_inplace_remainder, slot_imod},
    {Py_nb_float, pn_py_tensor_float},
    {Py_nb_int, pn_py_tensor_int},
    {Py_nb_index, pn_py_tensor_index},
    {Py_nb_bool, pn_py_tensor_bool},
    {Py_tp_richcompare, slot_compare},
    {Py_tp_hash, slot_hash},
    {Py_tp_iter, slot_iter},
    {Py_mp_length, slot_length},
    {Py_mp_subscript, pn_py_subscript},
    {Py_mp_ass_subscript, pn_py_assign_subscript},
    {Py_sq_length, slot_length},
    {Py_sq_item, pn_py_item_at},
    {0, NULL},
};
