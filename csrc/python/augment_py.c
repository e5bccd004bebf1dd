/* Augmentation for Python: the list that a Trainer takes, and `augment`, which changes one batch as a step of a training would. */
#include "data/augment.h"

#include <string.h>

#include "base/alloc.h"
#include "python/state.h"

/* `o` as a row of float64 without gaps (new reference); NULL with an exception set. */
static PyArrayObject *code_of(PyObject *o) {
    PyArrayObject *code = (PyArrayObject *)PyArray_FROM_OTF(o, NPY_FLOAT64, NPY_ARRAY_IN_ARRAY);
    if (code && PyArray_NDIM(code) != 1) {
        PyErr_SetString(PyExc_ValueError, "augment takes a row of numbers");
        Py_CLEAR(code);
    }
    return code;
}

PyObject *pn_py_augment_read(PyObject *o, uint64_t seed, pn_augment *a) {
    PyObject *numbers;
    long long c, h, w;
    pn_error e;
    if (!PyTuple_Check(o) || !PyArg_ParseTuple(o, "O(LLL):augment", &numbers, &c, &h, &w)) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "augment takes (numbers, (channels, height, width))");
        return NULL;
    }
    if (c < 1 || h < 1 || w < 1) return PyErr_Format(PyExc_ValueError, "augment: pictures of %lld channels and %lld x %lld pixels are empty", c, h, w);
    PyArrayObject *code = code_of(numbers);
    if (!code) return NULL;
    if (!pn_augment_init(a, PyArray_DATA(code), PyArray_SIZE(code), c, h, w, seed, &e)) return (PyObject *)code;
    Py_DECREF(code);
    return pn_py_raise(&e);
}

/* All rows into `to`; false with an exception set. Signals are looked at as in a training. */
static bool change_rows(const pn_augment *a, const pn_source *s, uint64_t step, int dtype, char *to) {
    void *scratch = pn_alloc(pn_augment_scratch(a, dtype));
    if (!scratch) return PyErr_NoMemory() != NULL;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    pn_member alone = {.count = 1, .poll = &poll};
    void *token = pn_py_release_for((double)s->rows * (double)a->room);
    pn_augment_gather(a, s, NULL, 0, s->rows, step, 0, dtype, to, scratch, &alone);
    pn_py_acquire(token);
    pn_free(scratch);
    pn_error e;
    if (!pn_poll_stopped(&poll)) return !PyErr_CheckSignals();
    pn_fail(&e, PN_E_INTERRUPTED, "interrupted");
    return pn_py_raise(&e) != NULL;
}

PyDoc_STRVAR(augment_doc, "augment(array, numbers, seed, step, dtype, /)\n--\n\n"
                          "New ndarray of dtype: the pictures of array (N, C, H, W), changed as in that step of a training with that seed.");
static PyObject *augment(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *array, *numbers, *name, *out = NULL;
    unsigned long long seed, step;
    pn_source s;
    pn_augment a;
    if (!PyArg_ParseTuple(args, "OOKKO:augment", &array, &numbers, &seed, &step, &name)) return NULL;
    const int dtype = pn_py_dtype(name);
    if (dtype == -2 || !pn_py_source_init(&s, array, "array")) return NULL;
    if (dtype != PN_F32 && dtype != PN_F64) return PyErr_Format(PyExc_TypeError, "augment needs dtype float32 or float64");
    if (s.rank != 3) return PyErr_Format(PyExc_ValueError, "augment needs pictures (N, C, H, W)");
    PyObject *list = Py_BuildValue("(O(LLL))", numbers, (long long)s.dim[0], (long long)s.dim[1], (long long)s.dim[2]);
    PyObject *code = list ? pn_py_augment_read(list, seed, &a) : NULL;
    Py_XDECREF(list);
    if (!code) return NULL;
    if (!a.length) {
        PyErr_SetString(PyExc_ValueError, "augment: the list is empty");
    } else {
        const pn_shape shape = {.rank = 4, .dtype = (unsigned char)dtype, .dim = {s.rows, a.c, a.oh, a.ow}};
        out = pn_py_array_new(&shape);
        if (out && !change_rows(&a, &s, step, dtype, PyArray_DATA((PyArrayObject *)out))) Py_CLEAR(out);
    }
    Py_DECREF(code);
    return out;
}

PyMethodDef pn_py_augment_methods[] = {
    {"augment", augment, METH_VARARGS, augment_doc},
    {NULL, NULL, 0, NULL},
};
