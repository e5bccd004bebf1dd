/* NumPy arrays as arguments of functions of `_core`, checked once. */
#include "python/arrays.h"

static bool has_shape(PyArrayObject *a, const pn_py_want *want) {
    if (PyArray_NDIM(a) != want->rank) return false;
    for (int i = 0; i < want->rank; i++) {
        if (want->dim[i] >= 0 && PyArray_DIM(a, i) != want->dim[i]) return false;
    }
    return true;
}

static void raise_shape(PyObject *o, const pn_py_want *want) {
    PyObject *shape = PyObject_GetAttrString(o, "shape");
    char text[128];
    int at = 0;
    for (int i = 0; i < want->rank; i++) {
        const char *gap = i ? ", " : "";
        at += want->dim[i] < 0 ? PyOS_snprintf(text + at, sizeof text - (size_t)at, "%s*", gap)
                               : PyOS_snprintf(text + at, sizeof text - (size_t)at, "%s%lld", gap, (long long)want->dim[i]);
    }
    if (shape) PyErr_Format(PyExc_ValueError, "%s must have shape (%s), got %R", want->name, text, shape);
    Py_XDECREF(shape);
}

void *pn_py_array(PyObject *o, const pn_py_want *want, int64_t *shape) {
    if (!PyArray_Check(o)) return PyErr_Format(PyExc_TypeError, "%s must be an ndarray, got %R", want->name, (PyObject *)Py_TYPE(o));
    PyArrayObject *a = (PyArrayObject *)o;
    if (PyArray_TYPE(a) != want->typenum || !PyArray_ISCARRAY_RO(a) || !PyArray_ISNOTSWAPPED(a)) {
        return PyErr_Format(PyExc_TypeError, "%s must be a C-contiguous, aligned array of the core's type, got %R", want->name, PyArray_DESCR(a));
    }
    if (want->writable && !PyArray_ISWRITEABLE(a)) return PyErr_Format(PyExc_ValueError, "%s must be writable", want->name);
    if (!has_shape(a, want)) {
        raise_shape(o, want);
        return NULL;
    }
    for (int i = 0; shape && i < want->rank; i++) shape[i] = PyArray_DIM(a, i);
    return PyArray_DATA(a);
}

void *pn_py_array_or_none(PyObject *o, const pn_py_want *want, int64_t *shape, bool *failed) {
    if (o == Py_None) return NULL;
    void *data = pn_py_array(o, want, shape);
    *failed = *failed || !data;
    return data;
}
