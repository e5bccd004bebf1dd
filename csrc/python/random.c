/* Randomness as Python sees it: the root that manual_seed sets, its children, the draws of the current step, and streams of numbers. */
#include "base/rng.h"

#include <math.h>

#include "python/state.h"

/* ---- root and children ---- */

/* A child is a fresh seed, 53 bits so that JSON can carry it. */
uint64_t pn_py_seed_child(void) {
    pn_py_state *state = pn_py_state_get();
    return pn_hash64(pn_hash64(state->root, PN_STREAM_CHILD), state->children++) >> 11;
}

/* Any integer; what is beyond 64 bits is cut off. */
static bool parse_seed(PyObject *o, uint64_t *seed) {
    PyObject *index = PyNumber_Index(o);
    *seed = index ? PyLong_AsUnsignedLongLongMask(index) : 0;
    Py_XDECREF(index);
    return index && !PyErr_Occurred();
}

PyDoc_STRVAR(manual_seed_doc,
             "manual_seed(seed, /)\n--\n\nSets the root of all randomness that is given no seed of its own: an integer from 0 to 2**64 - 1.\n\n"
             ">>> import pyneuro as pn\n>>> pn.manual_seed(0); a = pn.rand(3)\n>>> pn.manual_seed(0); pn.equal(a, pn.rand(3))\nTrue");
static PyObject *manual_seed(PyObject *module, PyObject *o) {
    (void)module;
    if (!PyIndex_Check(o)) return PyErr_Format(PyExc_TypeError, "manual_seed: seed is %R, expected an integer", o);
    PyObject *index = PyNumber_Index(o);
    const uint64_t seed = index ? PyLong_AsUnsignedLongLong(index) : 0;
    Py_XDECREF(index);
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_OverflowError)) return NULL;
    if (PyErr_Occurred()) return PyErr_Format(PyExc_ValueError, "manual_seed: seed is %R, expected an integer from 0 to 2**64 - 1", o);
    pn_py_state_get()->root = seed;
    pn_py_state_get()->children = 0;
    pn_py_set_random(seed, 0);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(seed_child_doc, "seed_child()\n--\n\nA fresh seed drawn from the root.");
static PyObject *seed_child(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    return PyLong_FromUnsignedLongLong(pn_py_seed_child());
}

PyDoc_STRVAR(set_random_doc,
             "set_random(seed, step, /)\n--\n\nWhat random ops of this thread draw next: step counts completed updates; ordinals start again at 0.");
static PyObject *set_random(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    uint64_t seed, step;
    if (n != 2) return PyErr_Format(PyExc_TypeError, "set_random takes a seed and a step, got %zd arguments", n);
    if (!parse_seed(args[0], &seed) || !parse_seed(args[1], &step)) return NULL;
    pn_py_set_random(seed, step);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(get_random_doc, "get_random()\n--\n\n(seed, step, ordinal) of this thread's random ops.");
static PyObject *get_random(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    const pn_context *ctx = pn_py_context();
    return Py_BuildValue("(KKI)", (unsigned long long)pn_py_random_seed(), (unsigned long long)ctx->random.step, (unsigned)ctx->ordinal);
}

/* ---- streams ---- */

#define CHUNK 1024

typedef void (*draw_fn)(uint64_t key, uint64_t hi, uint64_t first, int64_t n, double *out);

/* y = a + b u, and for a uniform draw never the upper end itself, which rounding to float could reach. */
static void fill(void *y, int dtype, int64_t n, draw_fn draw, uint64_t key, uint64_t hi, double a, double b, bool uniform) {
    double u[CHUNK];
    for (int64_t at = 0; at < n; at += CHUNK) {
        const int64_t count = n - at < CHUNK ? n - at : CHUNK;
        draw(key, hi, (uint64_t)at, count, u);
        for (int64_t i = 0; i < count; i++) {
            const double v = a + b * u[i], end = a + b;
            if (dtype == PN_F32) {
                float f = (float)v;
                if (uniform && b > 0 && f >= (float)end) f = nextafterf((float)end, (float)a);
                ((float *)y)[at + i] = f;
            } else {
                ((double *)y)[at + i] = uniform && b > 0 && v >= end ? nextafter(end, a) : v;
            }
        }
    }
}

/* name(shape, a, b, seed, ordinal, dtype) -> ndarray */
static PyObject *stream(PyObject *args, PyObject *kwargs, const char *format, char **names, bool uniform) {
    PyObject *shape_arg, *seed_arg, *ordinal_arg = NULL, *dtype_arg = NULL;
    double a, b;
    uint64_t seed, ordinal = 0;
    pn_shape shape;
    size_t bytes;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &shape_arg, &a, &b, &seed_arg, &ordinal_arg, &dtype_arg)) return NULL;
    const int dtype = pn_py_dtype(dtype_arg);
    if (dtype == -2 || !pn_py_parse_shape(shape_arg, &shape) || !parse_seed(seed_arg, &seed)) return NULL;
    if (ordinal_arg && !parse_seed(ordinal_arg, &ordinal)) return NULL;
    shape.dtype = dtype < 0 ? PN_F32 : dtype;
    if (shape.dtype == PN_I64) return PyErr_Format(PyExc_TypeError, "dtype is int64, expected float32 or float64");
    if (!pn_shape_bytes(&shape, &bytes)) return PyErr_NoMemory();
    PyObject *y = pn_py_array_new(&shape);
    if (!y) return NULL;
    const double scale = uniform ? b - a : b;
    fill(PyArray_DATA((PyArrayObject *)y), shape.dtype, pn_shape_size(&shape), uniform ? pn_rng_uniform : pn_rng_normal, pn_hash64(seed, PN_STREAM_INIT),
         ordinal, a, scale, uniform);
    return y;
}

PyDoc_STRVAR(uniform_doc,
             "uniform(shape, lo, hi, seed, ordinal=0, dtype='float32')\n--\n\nndarray of uniform numbers in [lo, hi): a pure function of its arguments.");
static PyObject *uniform(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    static char *names[] = {"shape", "lo", "hi", "seed", "ordinal", "dtype", NULL};
    return stream(args, kwargs, "OddO|OO:uniform", names, true);
}

PyDoc_STRVAR(normal_doc, "normal(shape, mean, std, seed, ordinal=0, dtype='float32')\n--\n\nndarray of normal numbers: a pure function of its arguments.");
static PyObject *normal(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    static char *names[] = {"shape", "mean", "std", "seed", "ordinal", "dtype", NULL};
    return stream(args, kwargs, "OddO|OO:normal", names, false);
}

PyDoc_STRVAR(permutation_doc, "permutation(n, seed, epoch=0, /)\n--\n\nint64 ndarray: 0..n-1 in the order in which that epoch visits the rows.");
static PyObject *permutation(PyObject *module, PyObject *const *args, Py_ssize_t n_args) {
    (void)module;
    uint64_t seed, epoch = 0;
    pn_shape shape;
    size_t bytes;
    if (n_args < 2 || n_args > 3) return PyErr_Format(PyExc_TypeError, "permutation takes 2 or 3 arguments, got %zd", n_args);
    if (!PyIndex_Check(args[0])) return PyErr_Format(PyExc_TypeError, "n is %R, expected an integer", args[0]);
    if (!pn_py_parse_shape(args[0], &shape) || !parse_seed(args[1], &seed) || (n_args == 3 && !parse_seed(args[2], &epoch))) return NULL;
    shape.dtype = PN_I64;
    if (!pn_shape_bytes(&shape, &bytes)) return PyErr_NoMemory();
    PyObject *order = pn_py_array_new(&shape);
    if (!order) return NULL;
    int64_t *idx = PyArray_DATA((PyArrayObject *)order);
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)shape.dim[0]);
    const bool done = pn_rng_permutation(pn_hash64(seed, PN_STREAM_SHUFFLE), epoch, shape.dim[0], idx, &poll);
    pn_py_acquire(token);
    if (done) return order;
    Py_DECREF(order);
    return NULL; /* the interrupt is set as exception */
}

#define FN(f) ((PyCFunction)(void (*)(void))(f))
PyMethodDef pn_py_random_methods[] = {
    {"manual_seed", manual_seed, METH_O, manual_seed_doc},
    {"seed_child", seed_child, METH_NOARGS, seed_child_doc},
    {"set_random", FN(set_random), METH_FASTCALL, set_random_doc},
    {"get_random", get_random, METH_NOARGS, get_random_doc},
    {"uniform", FN(uniform), METH_VARARGS | METH_KEYWORDS, uniform_doc},
    {"normal", FN(normal), METH_VARARGS | METH_KEYWORDS, normal_doc},
    {"permutation", FN(permutation), METH_FASTCALL, permutation_doc},
    {NULL, NULL, 0, NULL},
};
