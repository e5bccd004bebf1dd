/* Learning rules of Hopfield networks as Python sees them: they change a matrix in place and say how far they came, also when interrupted. */
#include <math.h>

#include "base/team.h"
#include "energy/hopfield.h"
#include "python/energy_types.h"
#include "python/plan_types.h"

/* The matrix (n, n) that learns, and patterns (P, n) of -1 and +1. */
static double *read_matrix(PyObject *w, int64_t *n) {
    int64_t shape[2];
    double *data = pn_py_array(w, &(pn_py_want){.name = "w", .typenum = NPY_FLOAT64, .rank = 2, .dim = {-1, -1}, .writable = true}, shape);
    if (!data) return NULL;
    *n = shape[0];
    if (shape[0] == shape[1] && shape[0] >= 1 && shape[0] <= PN_HOPFIELD_MOST) return data;
    PyErr_Format(PyExc_ValueError, "w must have shape (n, n) with n from 1 to %d, got (%lld, %lld)", PN_HOPFIELD_MOST, (long long)shape[0],
                 (long long)shape[1]);
    return NULL;
}
static const int8_t *read_patterns(PyObject *x, int64_t n, int64_t *patterns) {
    int64_t shape[2];
    const int8_t *data = pn_py_array(x, &(pn_py_want){.name = "patterns", .typenum = NPY_INT8, .rank = 2, .dim = {-1, n}}, shape);
    if (data) *patterns = shape[0];
    return data;
}

/* How far it came: an int64 array of one element, because an exception returns nothing. */
static int64_t *read_done(PyObject *done) {
    return pn_py_array(done, &(pn_py_want){.name = "done", .typenum = NPY_INT64, .rank = 1, .dim = {1}, .writable = true}, NULL);
}

PyDoc_STRVAR(storkey_doc, "hopfield_storkey(w, patterns, done, /)\n--\n\nLearns patterns int8 (P, n) into w float64 (n, n); done int64 (1): how many.");
static PyObject *storkey(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *w, *x, *count;
    int64_t n, patterns = 0;
    if (!PyArg_ParseTuple(args, "OOO:hopfield_storkey", &w, &x, &count)) return NULL;
    double *matrix = read_matrix(w, &n);
    const int8_t *data = matrix ? read_patterns(x, n, &patterns) : NULL;
    int64_t *done = data ? read_done(count) : NULL;
    if (!done) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)patterns * (double)n * (double)n);
    const pn_status status = pn_hopfield_storkey(matrix, n, data, patterns, done, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(perceptron_doc,
             "hopfield_perceptron(w, patterns, margin, wrong, done, /)\n--\n\n"
             "Epochs of perceptron learning, as many as wrong int64 has entries, which counts errors in each; done int64 (1): how many epochs.");
static PyObject *perceptron(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *w, *x, *misses, *count;
    double margin;
    int64_t n, patterns = 0, epochs = 0;
    if (!PyArg_ParseTuple(args, "OOdOO:hopfield_perceptron", &w, &x, &margin, &misses, &count)) return NULL;
    double *matrix = read_matrix(w, &n);
    const int8_t *data = matrix ? read_patterns(x, n, &patterns) : NULL;
    int64_t *wrong = data ? pn_py_array(misses, &(pn_py_want){.name = "wrong", .typenum = NPY_INT64, .rank = 1, .dim = {-1}, .writable = true}, &epochs) : NULL;
    int64_t *done = wrong ? read_done(count) : NULL;
    if (!done) return NULL;
    if (!(margin >= 0) || !isfinite(margin)) return PyErr_Format(PyExc_ValueError, "margin must be at least 0 and finite");
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)epochs * (double)patterns * (double)n * (double)n);
    const pn_status status = pn_hopfield_perceptron(matrix, n, data, patterns, margin, epochs, wrong, done, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(unlearn_doc, "hopfield_unlearn(w, rate, plus, seed, first, energy, done, /)\n--\n\n"
                          "Unlearns as many states as energy float64 has entries, which takes theirs; done int64 (1): how many.");
static PyObject *unlearn(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *w, *energies, *count;
    unsigned long long seed;
    long long first;
    int plus;
    pn_unlearning u = {0};
    if (!PyArg_ParseTuple(args, "OdpKLOO:hopfield_unlearn", &w, &u.rate, &plus, &seed, &first, &energies, &count)) return NULL;
    u.w = read_matrix(w, &u.n);
    u.energy = u.w ? pn_py_array(energies, &(pn_py_want){.name = "energy", .typenum = NPY_FLOAT64, .rank = 1, .dim = {-1}, .writable = true}, &u.times) : NULL;
    int64_t *done = u.energy ? read_done(count) : NULL;
    if (!done) return NULL;
    if (!isfinite(u.rate)) return PyErr_Format(PyExc_ValueError, "rate must be finite");
    u.plus = plus, u.seed = seed, u.first = first;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)u.times * (double)u.n * (double)u.n);
    const pn_status status = pn_hopfield_unlearn(&u, done, &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

PyMethodDef pn_py_learning_methods[] = {
    {"hopfield_storkey", storkey, METH_VARARGS, storkey_doc},
    {"hopfield_perceptron", perceptron, METH_VARARGS, perceptron_doc},
    {"hopfield_unlearn", unlearn, METH_VARARGS, unlearn_doc},
    {NULL, NULL, 0, NULL},
};
