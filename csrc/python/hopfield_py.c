/* Hopfield networks as Python sees them: made once, never changed. */
#include "energy/hopfield.h"

#include <math.h>

#include "base/team.h"
#include "python/energy_types.h"
#include "python/plan_types.h"

typedef struct pn_py_hopfield {
    PyObject_HEAD pn_hopfield *net;
} pn_py_hopfield;
static PyTypeObject *hopfield_type;

/* Borrowed; NULL with TypeError set. */
static const pn_hopfield *net_of(PyObject *o) {
    if (Py_TYPE(o) == hopfield_type) return ((pn_py_hopfield *)o)->net;
    PyErr_Format(PyExc_TypeError, "net must be _core.Hopfield, got %R", (PyObject *)Py_TYPE(o));
    return NULL;
}

static PyObject *wrap(pn_hopfield *net) {
    pn_py_hopfield *o = (pn_py_hopfield *)PyType_GenericAlloc(hopfield_type, 0);
    if (o)
        o->net = net;
    else
        pn_hopfield_free(net);
    return (PyObject *)o;
}

static void hopfield_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    pn_hopfield_free(((pn_py_hopfield *)o)->net);
    PyObject_Free(o);
    Py_DECREF((PyObject *)type);
}

/* ---- making them ---- */

PyDoc_STRVAR(patterns_doc, "hopfield_patterns(patterns, divisor, dense, /)\n--\n\n"
                           "A network from patterns int8 (P, n) of -1 and +1 by Hebb's rule: M = (X'X - P) / divisor. dense: as a matrix.");
static PyObject *patterns(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *x;
    double divisor;
    int dense;
    int64_t shape[2];
    if (!PyArg_ParseTuple(args, "Odp:hopfield_patterns", &x, &divisor, &dense)) return NULL;
    const int8_t *data = pn_py_array(x, &(pn_py_want){.name = "patterns", .typenum = NPY_INT8, .rank = 2, .dim = {-1, -1}}, shape);
    if (!data) return NULL;
    pn_error e;
    pn_hopfield *net = NULL;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)shape[0] * (double)shape[1]);
    const pn_status status = pn_hopfield_patterns(&net, data, shape[0], shape[1], divisor, dense, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    return status ? pn_py_raise(&e) : wrap(net);
}

PyDoc_STRVAR(weights_doc, "hopfield_weights(K, divisor, /)\n--\n\nA network with M = K / divisor, K float64 (n, n) symmetric with diagonal 0; copied.");
static PyObject *weights(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *k;
    double divisor;
    int64_t shape[2];
    if (!PyArg_ParseTuple(args, "Od:hopfield_weights", &k, &divisor)) return NULL;
    const double *data = pn_py_array(k, &(pn_py_want){.name = "M", .typenum = NPY_FLOAT64, .rank = 2, .dim = {-1, -1}}, shape);
    if (!data) return NULL;
    if (shape[0] != shape[1]) return PyErr_Format(PyExc_ValueError, "M must be square, got shape (%lld, %lld)", (long long)shape[0], (long long)shape[1]);
    pn_error e;
    pn_hopfield *net = NULL;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)shape[0] * (double)shape[0]);
    const pn_status status = pn_hopfield_weights(&net, data, shape[0], divisor, &poll, &e);
    pn_py_acquire(token);
    return status ? pn_py_raise(&e) : wrap(net);
}

PyDoc_STRVAR(matrix_doc, "hopfield_matrix(net, M, /)\n--\n\nFills M float64 (n, n).");
static PyObject *matrix(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *o, *out;
    if (!PyArg_ParseTuple(args, "OO:hopfield_matrix", &o, &out)) return NULL;
    const pn_hopfield *net = net_of(o);
    if (!net) return NULL;
    double *m = pn_py_array(out, &(pn_py_want){.name = "M", .typenum = NPY_FLOAT64, .rank = 2, .dim = {net->n, net->n}, .writable = true}, NULL);
    if (!m) return NULL;
    const int64_t piece = 1 + (1 << 22) / (net->n * (net->padded + 4));
    for (int64_t i = 0; i < net->n; i += piece) {
        if (PyErr_CheckSignals()) return NULL;
        const int64_t end = i + piece < net->n ? i + piece : net->n;
        void *token = pn_py_release_for((double)(end - i) * (double)net->n * (double)(1 + net->padded / 16));
        pn_hopfield_matrix(net, i, end, m + i * net->n);
        pn_py_acquire(token);
    }
    Py_RETURN_NONE;
}

/* ---- energy and recall ---- */

static bool are_spins(const int8_t *s, int64_t n) {
    int bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= s[i] != 1 && s[i] != -1;
    if (bad) PyErr_SetString(PyExc_ValueError, "states must be -1 and +1");
    return !bad;
}

static double work_of(const pn_hopfield *net, int64_t rows) { return (double)rows * (double)net->n * (double)(net->k ? net->n : net->padded); }

PyDoc_STRVAR(energy_doc, "hopfield_energy(net, states, energy, /)\n--\n\nFills energy float64 (R) with E of states int8 (R, n).");
static PyObject *energy(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *o, *states, *out;
    int64_t rows[2];
    if (!PyArg_ParseTuple(args, "OOO:hopfield_energy", &o, &states, &out)) return NULL;
    const pn_hopfield *net = net_of(o);
    const int8_t *s = net ? pn_py_array(states, &(pn_py_want){.name = "states", .typenum = NPY_INT8, .rank = 2, .dim = {-1, net->n}}, rows) : NULL;
    double *to = s ? pn_py_array(out, &(pn_py_want){.name = "energy", .typenum = NPY_FLOAT64, .rank = 1, .dim = {rows[0]}, .writable = true}, NULL) : NULL;
    if (!to || !are_spins(s, rows[0] * net->n)) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for(work_of(net, rows[0]));
    const pn_status status = pn_hopfield_energy(net, s, rows[0], to, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

/* The arrays of a recall, all of one number of rows. */
static bool read_arrays(pn_recall *r, PyObject *state, PyObject *before, PyObject *trace, PyObject *energies, PyObject *taken, PyObject *cycle) {
    const int64_t n = r->net->n, width = r->first + r->steps + 1;
    int64_t shape[2];
    bool failed = false;
    r->state = pn_py_array(state, &(pn_py_want){.name = "state", .typenum = NPY_INT8, .rank = 2, .dim = {-1, n}, .writable = true}, shape);
    if (!r->state) return false;
    const int64_t rows = r->rows = shape[0];
    r->before = pn_py_array_or_none(before, &(pn_py_want){.name = "before", .typenum = NPY_INT8, .rank = 2, .dim = {rows, n}, .writable = true}, NULL, &failed);
    r->trace =
        pn_py_array_or_none(trace, &(pn_py_want){.name = "trace", .typenum = NPY_INT8, .rank = 3, .dim = {rows, width, n}, .writable = true}, NULL, &failed);
    r->energy = pn_py_array_or_none(energies, &(pn_py_want){.name = "energy", .typenum = NPY_FLOAT64, .rank = 2, .dim = {rows, width}, .writable = true}, NULL,
                                    &failed);
    if (failed) return false;
    r->taken = pn_py_array(taken, &(pn_py_want){.name = "taken", .typenum = NPY_INT64, .rank = 1, .dim = {rows}, .writable = true}, NULL);
    r->cycle = r->taken ? pn_py_array(cycle, &(pn_py_want){.name = "cycle", .typenum = NPY_INT8, .rank = 1, .dim = {rows}, .writable = true}, NULL) : NULL;
    if (!r->cycle) return false;
    if (r->sync && !r->before) return PyErr_Format(PyExc_ValueError, "synchronous steps need the array before") != NULL;
    return are_spins(r->state, rows * n);
}

#define STEPS_MOST ((int64_t)1 << 40)

PyDoc_STRVAR(recall_doc,
             "hopfield_recall(net, state, before, trace, energy, taken, cycle, sync, random, plus, temperature, seed, row_zero, first, steps, /)\n--\n\n"
             "Steps first + 1 to first + steps of rows of states: state int8 (R, n) in and out, before int8 (R, n) or None, trace int8 "
             "(R, first + steps + 1, n) or None, energy float64 (R, first + steps + 1) or None, taken int64 (R), cycle int8 (R).");
static PyObject *recall(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *o, *state, *before, *trace, *energies, *taken, *cycle;
    int sync, random, plus;
    unsigned long long seed;
    long long row_zero, first, steps;
    pn_recall r = {0};
    if (!PyArg_ParseTuple(args, "OOOOOOOpppdKLLL:hopfield_recall", &o, &state, &before, &trace, &energies, &taken, &cycle, &sync, &random, &plus,
                          &r.temperature, &seed, &row_zero, &first, &steps))
        return NULL;
    if (!(r.net = net_of(o))) return NULL;
    if (first < 0 || steps < 0 || first > STEPS_MOST || steps > STEPS_MOST) return PyErr_Format(PyExc_ValueError, "first and steps must be 0 to 2^40");
    if (!(r.temperature >= 0) || !isfinite(r.temperature)) return PyErr_Format(PyExc_ValueError, "temperature must be at least 0 and finite");
    r.sync = sync, r.random = random, r.plus = plus;
    r.seed = seed, r.row_zero = row_zero, r.first = first, r.steps = steps;
    if (!read_arrays(&r, state, before, trace, energies, taken, cycle)) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for(work_of(r.net, r.rows) * (double)(r.steps + 1));
    const pn_status status = pn_hopfield_recall(&r, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

/* ---- all states, and the limit ---- */

PyDoc_STRVAR(states_doc,
             "hopfield_states(net, sync, plus, next, root, /)\n--\n\n"
             "Fills next and root, uint32 (2**n): where each state goes in a step, and the smallest state of the cycle that it ends in. Bit i is neuron i.");
static PyObject *states(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *o, *next, *root;
    int sync, plus;
    if (!PyArg_ParseTuple(args, "OppOO:hopfield_states", &o, &sync, &plus, &next, &root)) return NULL;
    const pn_hopfield *net = net_of(o);
    if (!net) return NULL;
    const int64_t count = net->n <= PN_HOPFIELD_SMALL ? (int64_t)1 << net->n : -1;
    uint32_t *to = pn_py_array(next, &(pn_py_want){.name = "next", .typenum = NPY_UINT32, .rank = 1, .dim = {count}, .writable = true}, NULL);
    uint32_t *end = to ? pn_py_array(root, &(pn_py_want){.name = "root", .typenum = NPY_UINT32, .rank = 1, .dim = {count}, .writable = true}, NULL) : NULL;
    if (!end) return NULL;
    if (count > 0 && to < end + count && end < to + count) return PyErr_Format(PyExc_ValueError, "next and root must not overlap");
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)count * (double)net->n);
    const pn_status status = pn_hopfield_states(net, sync, plus, to, end, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(capacity_doc, "hopfield_capacity(n, patterns, turned, sync, seed, first, overlap, /)\n--\n\n"
                           "Fills overlap float64 (samples), sample s of stream first + s.");
static PyObject *capacity(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *overlap;
    long long n, patterns, turned, first;
    unsigned long long seed;
    int sync;
    if (!PyArg_ParseTuple(args, "LLLpKLO:hopfield_capacity", &n, &patterns, &turned, &sync, &seed, &first, &overlap)) return NULL;
    pn_capacity c = {.n = n, .patterns = patterns, .turned = turned, .first = first, .sync = sync, .seed = seed};
    c.overlap = pn_py_array(overlap, &(pn_py_want){.name = "overlap", .typenum = NPY_FLOAT64, .rank = 1, .dim = {-1}, .writable = true}, &c.samples);
    if (!c.overlap) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)n * (double)patterns * (double)c.samples);
    const pn_status status = pn_hopfield_capacity(&c, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

/* ---- the type ---- */

static PyObject *get_n(PyObject *self, void *ignored) {
    (void)ignored;
    return PyLong_FromLongLong(((pn_py_hopfield *)self)->net->n);
}
static PyObject *get_dense(PyObject *self, void *ignored) {
    (void)ignored;
    return PyBool_FromLong(((pn_py_hopfield *)self)->net->k != NULL);
}
static PyGetSetDef members[] = {{"n", get_n, NULL, "Number of neurons.", NULL},
                                {"dense", get_dense, NULL, "Whether M is there as a matrix, not as its patterns.", NULL},
                                {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot slots[] = {{Py_tp_dealloc, hopfield_dealloc},
                              {Py_tp_getset, members},
                              {Py_tp_doc, "Weights of a Hopfield network; made by hopfield_patterns and hopfield_weights, never changed."},
                              {0, NULL}};
static PyType_Spec spec = {
    .name = "pyneuro._core.Hopfield", .basicsize = sizeof(pn_py_hopfield), .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, .slots = slots};

int pn_py_add_hopfield(PyObject *module) {
    hopfield_type = pn_py_add_type(module, &spec);
    return hopfield_type ? 0 : -1;
}

PyMethodDef pn_py_hopfield_methods[] = {
    {"hopfield_patterns", patterns, METH_VARARGS, patterns_doc}, {"hopfield_weights", weights, METH_VARARGS, weights_doc},
    {"hopfield_matrix", matrix, METH_VARARGS, matrix_doc},       {"hopfield_energy", energy, METH_VARARGS, energy_doc},
    {"hopfield_recall", recall, METH_VARARGS, recall_doc},       {"hopfield_states", states, METH_VARARGS, states_doc},
    {"hopfield_capacity", capacity, METH_VARARGS, capacity_doc}, {NULL, NULL, 0, NULL},
};
