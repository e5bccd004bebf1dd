/* Methods of Tensor in C: looking at values, copies, gradients, writing in place. Those that only compose ops are in pyneuro/_tensor.py. */
#include "python/tensor_parts.h"

#include <string.h>

#define T(o) (((pn_py_tensor *)(o))->t)

/* ---- sharing memory ---- */

static void release_storage(PyObject *capsule) { pn_storage_unref(PyCapsule_GetPointer(capsule, NULL)); }

PyObject *pn_py_tensor_array(pn_tensor *t, bool writable) {
    npy_intp dim[PN_MAX_RANK];
    for (int i = 0; i < t->shape.rank; i++) dim[i] = (npy_intp)t->shape.dim[i];
    PyObject *owner = PyCapsule_New(t->storage, NULL, release_storage);
    if (!owner) return NULL;
    pn_storage_ref(t->storage);
    PyObject *a = PyArray_New(&PyArray_Type, t->shape.rank, dim, pn_py_typenum(t->shape.dtype), NULL, t->storage->data, 0,
                              writable ? NPY_ARRAY_CARRAY : NPY_ARRAY_CARRAY_RO, NULL);
    if (!a) {
        Py_DECREF(owner);
        return NULL;
    }
    if (PyArray_SetBaseObject((PyArrayObject *)a, owner)) { /* takes owner, also on failure */
        Py_DECREF(a);
        return NULL;
    }
    return a;
}

/* A view of the values for the user. Read-only where writing would falsify a gradient. */
static PyObject *value_array(PyObject *self, const char *what) {
    pn_tensor *t = T(self);
    pn_recording_read(pn_py_context(), t, what);
    return pn_py_tensor_array(t, pn_tensor_is_leaf(t));
}

PyDoc_STRVAR(numpy_doc, "numpy()\n--\n\nndarray on the memory of the tensor. Read-only when the tensor was computed and requires grad.");
static PyObject *tensor_numpy(PyObject *self, PyObject *ignored) {
    (void)ignored;
    return value_array(self, "numpy()");
}

PyDoc_STRVAR(array_doc, "__array__(dtype=None, copy=None)\n--\n\nFor numpy.asarray.");
static PyObject *tensor_array(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"dtype", "copy", NULL};
    PyObject *dtype = Py_None, *copy = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:__array__", names, &dtype, &copy)) return NULL;
    PyArray_Descr *descr = NULL;
    if (dtype != Py_None && !PyArray_DescrConverter(dtype, &descr)) return NULL;
    PyObject *a = value_array(self, "an array");
    if (!a || (!descr && copy != Py_True)) return a;
    const bool same = !descr || descr->type_num == PyArray_TYPE((PyArrayObject *)a);
    PyObject *result = NULL;
    if (same && copy != Py_True) {
        result = Py_NewRef(a);
    } else if (!same && copy == Py_False) {
        PyErr_SetString(PyExc_ValueError, "another dtype needs a copy, but copy=False was given");
    } else if (same) {
        result = PyArray_NewCopy((PyArrayObject *)a, NPY_CORDER);
    } else {
        Py_INCREF((PyObject *)descr);
        result = PyArray_CastToType((PyArrayObject *)a, descr, 0);
    }
    Py_XDECREF((PyObject *)descr);
    Py_DECREF(a);
    return result;
}

/* ---- single values ---- */

/* The one element of t; false with an exception set when there are more or none. */
static bool one_element(const pn_tensor *t, const char *what) {
    char shape[256];
    if (pn_shape_size(&t->shape) == 1) {
        pn_recording_read(pn_py_context(), t, what);
        return true;
    }
    PyErr_Format(PyExc_RuntimeError, "%s needs a tensor of one element, but the shape is %s", what, pn_shape_text(&t->shape, shape));
    return false;
}

static PyObject *element(const pn_tensor *t) {
    const void *v = t->storage->data;
    if (t->shape.dtype == PN_I64) return PyLong_FromLongLong(*(const int64_t *)v);
    return PyFloat_FromDouble(t->shape.dtype == PN_F32 ? (double)*(const float *)v : *(const double *)v);
}

PyDoc_STRVAR(item_doc, "item()\n--\n\nThe one element as a Python number. RuntimeError when there is not exactly one.");
static PyObject *tensor_item(PyObject *self, PyObject *ignored) {
    (void)ignored;
    return one_element(T(self), "item()") ? element(T(self)) : NULL;
}

PyObject *pn_py_tensor_float(PyObject *self) {
    PyObject *v = one_element(T(self), "float()") ? element(T(self)) : NULL;
    PyObject *f = v ? PyNumber_Float(v) : NULL;
    Py_XDECREF(v);
    return f;
}

PyObject *pn_py_tensor_int(PyObject *self) {
    PyObject *v = one_element(T(self), "int()") ? element(T(self)) : NULL;
    PyObject *i = v ? PyNumber_Long(v) : NULL;
    Py_XDECREF(v);
    return i;
}

PyObject *pn_py_tensor_index(PyObject *self) {
    if (T(self)->shape.dtype != PN_I64)
        return PyErr_Format(PyExc_TypeError, "only int64 tensors of one element can be an index, this one has dtype %s", pn_dtype_name(T(self)->shape.dtype));
    return one_element(T(self), "an index") ? element(T(self)) : NULL;
}

int pn_py_tensor_bool(PyObject *self) {
    char shape[256];
    const pn_tensor *t = T(self);
    if (pn_shape_size(&t->shape) != 1) {
        PyErr_Format(PyExc_RuntimeError, "the truth value of a tensor of shape %s is ambiguous; use .any() or .all()", pn_shape_text(&t->shape, shape));
        return -1;
    }
    pn_recording_read(pn_py_context(), t, "bool()");
    const void *v = t->storage->data;
    return t->shape.dtype == PN_I64 ? *(const int64_t *)v != 0 : t->shape.dtype == PN_F32 ? *(const float *)v != 0 : *(const double *)v != 0;
}

PyDoc_STRVAR(tolist_doc, "tolist()\n--\n\nNested lists of Python numbers; a single number for a tensor without dimensions.");
static PyObject *tensor_tolist(PyObject *self, PyObject *ignored) {
    (void)ignored;
    PyObject *a = value_array(self, "tolist()");
    PyObject *list = a ? PyArray_ToList((PyArrayObject *)a) : NULL;
    Py_XDECREF(a);
    return list;
}

/* ---- copies ---- */

PyObject *pn_py_detach(pn_tensor *t) {
    pn_error e;
    /* What follows would be a constant of this step for a recording. */
    pn_recording_read(pn_py_context(), t, "detach()");
    pn_tensor *view = pn_tensor_of(t->storage, &t->shape, &e);
    if (!view) return pn_py_raise(&e);
    view->flags = t->flags & (PN_T_MASK | PN_T_DEPENDS);
    return pn_py_tensor_new(view);
}

PyDoc_STRVAR(detach_doc, "detach()\n--\n\nThe same memory as a tensor without history that does not require grad.");
static PyObject *tensor_detach(PyObject *self, PyObject *ignored) {
    (void)ignored;
    return pn_py_detach(T(self));
}

PyDoc_STRVAR(clone_doc, "clone()\n--\n\nA copy; gradients flow back through it.");
static PyObject *tensor_clone(PyObject *self, PyObject *ignored) {
    (void)ignored;
    pn_error e;
    pn_tensor *t = T(self), *out;
    if (t->shape.dtype == PN_I64) {
        pn_recording_read(pn_py_context(), t, "clone()");
        out = pn_tensor_copy(t, &e);
        if (!out) return pn_py_raise(&e);
        out->flags |= t->flags & PN_T_MASK;
    } else if (pn_apply(pn_py_context(), &pn_op_identity, NULL, 1, &t, NULL, &out, NULL, &e)) {
        return pn_py_raise(&e);
    }
    return pn_py_tensor_new(out);
}

/* ---- gradients ---- */

/* A gradient given by the user, as a tensor of t's dtype; new reference. */
static bool parse_gradient(PyObject *o, const pn_tensor *t, pn_tensor **gradient) {
    *gradient = NULL;
    if (!o || o == Py_None) return true;
    if (pn_py_tensor_check(o)) {
        *gradient = T(o);
        pn_tensor_ref(*gradient);
        return true;
    }
    *gradient = pn_py_convert(o, t->shape.dtype, true);
    return *gradient != NULL;
}

PyDoc_STRVAR(backward_doc, "backward(gradient=None, retain_graph=False)\n--\n\n"
                           "Adds the gradient of this tensor with respect to every leaf that requires grad to that leaf's .grad.\n\n"
                           "gradient may be left out for a tensor of one element. Without retain_graph the values kept for backward are freed,\n"
                           "and a second backward through them raises RuntimeError.");
static PyObject *tensor_backward(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"gradient", "retain_graph", NULL};
    PyObject *given = NULL;
    int retain = 0;
    pn_error e;
    pn_tensor *gradient;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|Op:backward", names, &given, &retain)) return NULL;
    if (!parse_gradient(given, T(self), &gradient)) return NULL;
    pn_status status = pn_backward(pn_py_context(), T(self), gradient, retain, &e);
    pn_tensor_unref(gradient);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(requires_grad_doc, "requires_grad_(flag=True)\n--\n\nSets requires_grad and returns the tensor.");
static PyObject *tensor_requires_grad_(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"flag", NULL};
    int flag = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p:requires_grad_", names, &flag)) return NULL;
    return pn_py_set_requires_grad(T(self), flag) ? Py_NewRef(self) : NULL;
}

PyDoc_STRVAR(retain_grad_doc, "retain_grad()\n--\n\nKeeps the gradient of a computed tensor in .grad too.");
static PyObject *tensor_retain_grad(PyObject *self, PyObject *ignored) {
    (void)ignored;
    if (!T(self)->requires_grad) {
        PyErr_SetString(PyExc_RuntimeError, "retain_grad() needs a tensor that requires grad");
        return NULL;
    }
    T(self)->retain_grad = !pn_tensor_is_leaf(T(self));
    Py_RETURN_NONE;
}

/* ---- writing in place ---- */

bool pn_py_check_write(const pn_tensor *t, const pn_tensor *value) {
    pn_context *ctx = pn_py_context();
    pn_recording_read(ctx, t, "a write into the memory");
    if (value) pn_recording_read(ctx, value, "a write into other memory");
    if (!ctx->grad_enabled || (!t->requires_grad && !(value && value->requires_grad))) return true;
    if (!t->requires_grad)
        PyErr_SetString(PyExc_RuntimeError, "an in-place write of a value that requires grad would lose its gradient; write under pn.no_grad(), or detach it");
    else if (t->node)
        PyErr_SetString(PyExc_RuntimeError, "an in-place operation on a tensor that was computed and requires grad would lose its gradient; "
                                            "compute a new tensor, or write under pn.no_grad()");
    else
        PyErr_SetString(PyExc_RuntimeError, "a leaf Variable that requires grad is being used in an in-place operation.");
    return false;
}

PyDoc_STRVAR(zero_doc, "zero_()\n--\n\nFills the tensor with zeros in place and returns it.");
static PyObject *tensor_zero_(PyObject *self, PyObject *ignored) {
    (void)ignored;
    pn_tensor *t = T(self);
    if (!pn_py_check_write(t, NULL)) return NULL;
    memset(t->storage->data, 0, t->storage->bytes);
    t->storage->version++;
    return Py_NewRef(self);
}

PyDoc_STRVAR(copy_doc, "copy_(source)\n--\n\nCopies values in place, converted and broadcast to this tensor's dtype and shape, and returns the tensor.");
static PyObject *tensor_copy_(PyObject *self, PyObject *source) {
    pn_tensor *t = T(self);
    if (!pn_py_check_write(t, pn_py_tensor_check(source) ? T(source) : NULL)) return NULL;
    PyObject *to = pn_py_tensor_array(t, true), *from = NULL;
    int failed = !to;
    if (!failed) {
        from = pn_py_tensor_check(source) ? pn_py_tensor_array(T(source), false) : PyArray_FromAny(source, NULL, 0, 0, 0, NULL);
        failed = !from || PyArray_CopyInto((PyArrayObject *)to, (PyArrayObject *)from);
    }
    Py_XDECREF(from);
    Py_XDECREF(to);
    if (failed) return NULL;
    t->storage->version++;
    return Py_NewRef(self);
}

/* ---- copies that Python makes ---- */

static PyObject *copied_array(pn_tensor *t) {
    PyObject *view = pn_py_tensor_array(t, false);
    PyObject *copy = view ? PyArray_NewCopy((PyArrayObject *)view, NPY_CORDER) : NULL;
    Py_XDECREF(view);
    return copy;
}

PyDoc_STRVAR(reduce_doc, "__reduce__()\n--\n\nPickles values, requires_grad, name and kind; history and gradient are left behind.");
static PyObject *tensor_reduce(PyObject *self, PyObject *ignored) {
    (void)ignored;
    pn_tensor *t = T(self);
    PyObject *a = copied_array(t);
    if (!a) return NULL;
    return Py_BuildValue("O(NOOz)(ii)", (PyObject *)Py_TYPE(self), a, pn_py_state_get()->dtype_names[t->shape.dtype], t->requires_grad ? Py_True : Py_False,
                         t->name, t->flags & (PN_T_PARAMETER | PN_T_BUFFER), t->flags & PN_T_MASK);
}

static PyObject *tensor_setstate(PyObject *self, PyObject *state) {
    int kind, mask;
    if (!PyArg_ParseTuple(state, "ii:__setstate__", &kind, &mask)) return NULL;
    T(self)->flags = (uint8_t)((kind & (PN_T_PARAMETER | PN_T_BUFFER)) | (mask & PN_T_MASK));
    Py_RETURN_NONE;
}

/* A leaf like t with its own memory, its gradient included. */
static pn_tensor *deep_copy(const pn_tensor *t, pn_error *e) {
    pn_tensor *copy = pn_tensor_copy(t, e);
    if (!copy) return NULL;
    copy->flags = t->flags & ~PN_T_DEPENDS;
    copy->requires_grad = t->requires_grad;
    bool ok = !t->name || pn_tensor_rename(copy, t->name, e);
    if (ok && t->grad) ok = (copy->grad = pn_tensor_copy(t->grad, e)) != NULL;
    if (ok) return copy;
    pn_tensor_unref(copy);
    return NULL;
}

static PyObject *tensor_deepcopy(PyObject *self, PyObject *memo) {
    pn_error e;
    if (!pn_tensor_is_leaf(T(self))) {
        PyErr_SetString(PyExc_RuntimeError, "only leaf tensors can be copied deeply; use y.detach() for a tensor that was computed");
        return NULL;
    }
    PyObject *key = PyLong_FromVoidPtr(self);
    PyObject *known = key ? PyObject_GetItem(memo, key) : NULL;
    if (!key || known) {
        Py_XDECREF(key);
        return known;
    }
    PyErr_Clear(); /* the KeyError */
    pn_tensor *t = deep_copy(T(self), &e);
    PyObject *copy = t ? pn_py_tensor_new(t) : pn_py_raise(&e);
    if (copy && PyObject_SetItem(memo, key, copy)) Py_CLEAR(copy);
    Py_DECREF(key);
    return copy;
}

#define FN(f) ((PyCFunction)(void (*)(void))(f))
PyMethodDef pn_py_tensor_methods[] = {
    {"numpy", tensor_numpy, METH_NOARGS, numpy_doc},
    {"item", tensor_item, METH_NOARGS, item_doc},
    {"tolist", tensor_tolist, METH_NOARGS, tolist_doc},
    {"detach", tensor_detach, METH_NOARGS, detach_doc},
    {"clone", tensor_clone, METH_NOARGS, clone_doc},
    {"backward", FN(tensor_backward), METH_VARARGS | METH_KEYWORDS, backward_doc},
    {"requires_grad_", FN(tensor_requires_grad_), METH_VARARGS | METH_KEYWORDS, requires_grad_doc},
    {"retain_grad", tensor_retain_grad, METH_NOARGS, retain_grad_doc},
    {"zero_", tensor_zero_, METH_NOARGS, zero_doc},
    {"copy_", tensor_copy_, METH_O, copy_doc},
    {"_hooks", pn_py_tensor_hooks, METH_NOARGS, "_hooks()\n--\n\nThe dict of gradient hooks, made when absent."},
    {"__array__", FN(tensor_array), METH_VARARGS | METH_KEYWORDS, array_doc},
    {"__dlpack__", FN(pn_py_tensor_dlpack), METH_VARARGS | METH_KEYWORDS,
     "__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None)\n--\n\nThe tensor as a DLPack capsule."},
    {"__dlpack_device__", pn_py_tensor_dlpack_device, METH_NOARGS, "__dlpack_device__()\n--\n\n(1, 0): the CPU."},
    {"__reduce__", tensor_reduce, METH_NOARGS, reduce_doc},
    {"__setstate__", tensor_setstate, METH_O, "__setstate__(state)\n--\n\nFor pickle."},
    {"__deepcopy__", tensor_deepcopy, METH_O, "__deepcopy__(memo)\n--\n\nA leaf with its own memory, gradient included."},
    {NULL, NULL, 0, NULL},
};
