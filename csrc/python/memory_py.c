/* Dense associative memory, modern Hopfield networks, pairs and sequences as Python sees them. */
#include <math.h>

#include "base/team.h"
#include "energy/memories.h"
#include "python/energy_types.h"
#include "python/plan_types.h"

#define STEPS_MOST ((int64_t)1 << 40)

static bool are_spins(const char *name, const int8_t *s, int64_t n) {
    int bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= s[i] != 1 && s[i] != -1;
    if (bad) PyErr_Format(PyExc_ValueError, "%s must be -1 and +1", name);
    return !bad;
}

/* int8 (rows, columns) of -1 and +1; -1 for any number. NULL with an exception set. */
static int8_t *read_spins(PyObject *o, const char *name, int64_t rows, int64_t columns, bool writable, int64_t *shape) {
    int64_t own[2];
    int8_t *s = pn_py_array(o, &(pn_py_want){.name = name, .typenum = NPY_INT8, .rank = 2, .dim = {rows, columns}, .writable = writable}, own);
    if (!s || !are_spins(name, s, own[0] * own[1])) return NULL;
    if (shape) shape[0] = own[0], shape[1] = own[1];
    return s;
}

/* taken int64 (rows) and cycle int8 (rows) */
static bool read_ends(PyObject *taken, PyObject *cycle, int64_t rows, int64_t **t, int8_t **c) {
    *t = pn_py_array(taken, &(pn_py_want){.name = "taken", .typenum = NPY_INT64, .rank = 1, .dim = {rows}, .writable = true}, NULL);
    *c = *t ? pn_py_array(cycle, &(pn_py_want){.name = "cycle", .typenum = NPY_INT8, .rank = 1, .dim = {rows}, .writable = true}, NULL) : NULL;
    return *c != NULL;
}
static double *read_energy(PyObject *o, int64_t rows, int64_t width, bool *failed) {
    return pn_py_array_or_none(o, &(pn_py_want){.name = "energy", .typenum = NPY_FLOAT64, .rank = 2, .dim = {rows, width}, .writable = true}, NULL, failed);
}
static int8_t *read_trace(PyObject *o, int64_t rows, int64_t width, int64_t n, bool *failed) {
    return pn_py_array_or_none(o, &(pn_py_want){.name = "trace", .typenum = NPY_INT8, .rank = 3, .dim = {rows, width, n}, .writable = true}, NULL, failed);
}

static PyObject *finish(pn_status status, const pn_error *e) {
    if (status) return pn_py_raise(e);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(dense_doc,
             "dense_memory_recall(patterns, kind, degree, state, trace, energy, taken, cycle, random, plus, seed, row_zero, first, steps, /)\n--\n\n"
             "Steps first + 1 to first + steps of a dense associative memory; kind 0: z^k, 1: max(z, 0)^k, 2: exp(z). Arrays as of hopfield_recall.");
static PyObject *dense_recall(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *x, *state, *trace, *energy, *taken, *cycle;
    int kind, random, plus;
    unsigned long long seed;
    long long row_zero, first, steps;
    pn_dense_recall r = {0};
    if (!PyArg_ParseTuple(args, "OiiOOOOOppKLLL:dense_memory_recall", &x, &kind, &r.degree, &state, &trace, &energy, &taken, &cycle, &random, &plus, &seed,
                          &row_zero, &first, &steps))
        return NULL;
    if (kind < 0 || kind > 2) return PyErr_Format(PyExc_ValueError, "kind must be 0, 1 or 2, got %d", kind);
    if (first < 0 || steps < 0 || first > STEPS_MOST || steps > STEPS_MOST) return PyErr_Format(PyExc_ValueError, "first and steps must be 0 to 2^40");
    int64_t shape[2], rows[2];
    bool failed = false;
    r.kind = (pn_memory_kind)kind, r.random = random, r.plus = plus, r.seed = seed, r.row_zero = row_zero, r.first = first, r.steps = steps;
    r.x = read_spins(x, "patterns", -1, -1, false, shape);
    r.state = r.x ? read_spins(state, "state", -1, shape[1], true, rows) : NULL;
    if (!r.state || !read_ends(taken, cycle, rows[0], &r.taken, &r.cycle)) return NULL;
    r.patterns = shape[0], r.n = shape[1], r.rows = rows[0];
    r.energy = read_energy(energy, r.rows, first + steps + 1, &failed);
    r.trace = failed ? NULL : read_trace(trace, r.rows, first + steps + 1, r.n, &failed);
    if (failed) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)r.rows * (double)r.n * (double)r.patterns * (double)(steps + 1));
    const pn_status status = pn_dense_memory_recall(&r, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    return finish(status, &e);
}

PyDoc_STRVAR(modern_doc,
             "modern_recall(patterns, values, state, out, weight, energy, taken, beta, tolerance, steps, /)\n--\n\n"
             "Steps of a modern Hopfield network: patterns float64 (P, n), values (P, m) or None, state (R, n) in and out, out (R, m) or None, weight "
             "(R, P) or None, energy (R, steps + 1) or None, taken int64 (R).");
static PyObject *modern_recall(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *x, *v, *state, *out, *weight, *energy, *taken;
    long long steps;
    int64_t shape[2], rows[2], values[2] = {0, 0};
    bool failed = false;
    pn_modern r = {0};
    if (!PyArg_ParseTuple(args, "OOOOOOOddL:modern_recall", &x, &v, &state, &out, &weight, &energy, &taken, &r.beta, &r.tolerance, &steps)) return NULL;
    if (!(r.beta > 0) || !isfinite(r.beta)) return PyErr_Format(PyExc_ValueError, "beta must be above 0 and finite");
    if (steps < 0 || steps > STEPS_MOST) return PyErr_Format(PyExc_ValueError, "steps must be 0 to 2^40");
    r.x = pn_py_array(x, &(pn_py_want){.name = "patterns", .typenum = NPY_FLOAT64, .rank = 2, .dim = {-1, -1}}, shape);
    if (!r.x) return NULL;
    r.state = pn_py_array(state, &(pn_py_want){.name = "state", .typenum = NPY_FLOAT64, .rank = 2, .dim = {-1, shape[1]}, .writable = true}, rows);
    if (!r.state) return NULL;
    r.patterns = shape[0], r.n = shape[1], r.rows = rows[0], r.steps = steps;
    r.v = pn_py_array_or_none(v, &(pn_py_want){.name = "values", .typenum = NPY_FLOAT64, .rank = 2, .dim = {r.patterns, -1}}, values, &failed);
    if (failed) return NULL;
    r.m = values[1];
    const pn_py_want want_out = {.name = "out", .typenum = NPY_FLOAT64, .rank = 2, .dim = {r.rows, r.m}, .writable = true};
    const pn_py_want want_weight = {.name = "weight", .typenum = NPY_FLOAT64, .rank = 2, .dim = {r.rows, r.patterns}, .writable = true};
    r.out = pn_py_array_or_none(out, &want_out, NULL, &failed);
    r.weight = failed ? NULL : pn_py_array_or_none(weight, &want_weight, NULL, &failed);
    r.energy = failed ? NULL : read_energy(energy, r.rows, steps + 1, &failed);
    if (failed) return NULL;
    if (r.v && !r.out) return PyErr_Format(PyExc_ValueError, "values need the array out");
    r.taken = pn_py_array(taken, &(pn_py_want){.name = "taken", .typenum = NPY_INT64, .rank = 1, .dim = {r.rows}, .writable = true}, NULL);
    if (!r.taken) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)r.rows * (double)r.n * (double)r.patterns * (double)(steps + 1));
    const pn_status status = pn_modern_recall(&r, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    return finish(status, &e);
}

PyDoc_STRVAR(pairs_doc, "pairs_recall(x, y, a, b, energy, taken, cycle, plus, steps, /)\n--\n\n"
                        "From a int8 (R, n) to b int8 (R, m) and back through pairs x (P, n), y (P, m), until both stay.");
static PyObject *pairs_recall(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *x, *y, *a, *b, *energy, *taken, *cycle;
    int plus;
    long long steps;
    int64_t shape[2], other[2], rows[2];
    bool failed = false;
    pn_pairs r = {0};
    if (!PyArg_ParseTuple(args, "OOOOOOOpL:pairs_recall", &x, &y, &a, &b, &energy, &taken, &cycle, &plus, &steps)) return NULL;
    if (steps < 0 || steps > STEPS_MOST) return PyErr_Format(PyExc_ValueError, "steps must be 0 to 2^40");
    r.plus = plus, r.steps = steps;
    r.x = read_spins(x, "x", -1, -1, false, shape);
    r.y = r.x ? read_spins(y, "y", shape[0], -1, false, other) : NULL;
    r.a = r.y ? read_spins(a, "a", -1, shape[1], true, rows) : NULL;
    r.b = r.a ? read_spins(b, "b", rows[0], other[1], true, NULL) : NULL;
    if (!r.b || !read_ends(taken, cycle, rows[0], &r.taken, &r.cycle)) return NULL;
    r.patterns = shape[0], r.n = shape[1], r.m = other[1], r.rows = rows[0];
    r.energy = read_energy(energy, r.rows, steps + 1, &failed);
    if (failed) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)r.rows * (double)(r.n + r.m) * (double)r.patterns * (double)(steps + 1));
    const pn_status status = pn_pairs_recall(&r, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    return finish(status, &e);
}

PyDoc_STRVAR(sequence_doc, "sequence_recall(x, y, a, trace, taken, cycle, plus, steps, /)\n--\n\n"
                           "So many steps of a int8 (R, n) from patterns x (P, n) to y (P, n); trace int8 (R, steps + 1, n) or None.");
static PyObject *sequence_recall(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *x, *y, *a, *trace, *taken, *cycle;
    int plus;
    long long steps;
    int64_t shape[2], rows[2];
    bool failed = false;
    pn_pairs r = {0};
    if (!PyArg_ParseTuple(args, "OOOOOOpL:sequence_recall", &x, &y, &a, &trace, &taken, &cycle, &plus, &steps)) return NULL;
    if (steps < 0 || steps > STEPS_MOST) return PyErr_Format(PyExc_ValueError, "steps must be 0 to 2^40");
    r.plus = plus, r.steps = steps;
    r.x = read_spins(x, "x", -1, -1, false, shape);
    r.y = r.x ? read_spins(y, "y", shape[0], shape[1], false, NULL) : NULL;
    r.a = r.y ? read_spins(a, "a", -1, shape[1], true, rows) : NULL;
    if (!r.a || !read_ends(taken, cycle, rows[0], &r.taken, &r.cycle)) return NULL;
    r.patterns = shape[0], r.n = r.m = shape[1], r.rows = rows[0];
    r.trace = read_trace(trace, r.rows, steps + 1, r.n, &failed);
    if (failed) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)r.rows * (double)r.n * (double)r.patterns * (double)(steps + 1));
    const pn_status status = pn_sequence_recall(&r, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    return finish(status, &e);
}

PyMethodDef pn_py_memory_methods[] = {
    {"dense_memory_recall", dense_recall, METH_VARARGS, dense_doc},
    {"modern_recall", modern_recall, METH_VARARGS, modern_doc},
    {"pairs_recall", pairs_recall, METH_VARARGS, pairs_doc},
    {"sequence_recall", sequence_recall, METH_VARARGS, sequence_doc},
    {NULL, NULL, 0, NULL},
};
