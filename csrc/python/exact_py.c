/* Enumeration and transition matrices as Python sees them. */
#include "base/team.h"
#include "energy/enumerate.h"
#include "energy/transition.h"
#include "python/energy_types.h"

/* What all functions of an enumeration are given first: (couplings, unit, from, to, ...). */
typedef struct slice {
    pn_enumeration w;
    pn_enumerate_range range;
    pn_poll poll;
} slice;

static bool slice_open(slice *s, PyObject *couplings, double unit, int64_t from, int64_t to) {
    pn_error e;
    const pn_couplings *m = pn_py_couplings_get(couplings);
    if (!m) return false;
    if (pn_enumeration_make(&s->w, m, unit, &e)) return pn_py_raise(&e);
    pn_poll_init(&s->poll, pn_py_ask, NULL);
    const bool small = s->w.steps * s->w.parts < 16;
    s->range = (pn_enumerate_range){.from = from, .to = to, .threads = small ? 1 : pn_threads_get(), .poll = &s->poll};
    return true;
}

static PyObject *answer(pn_status status, void *token, const pn_error *e) {
    pn_py_acquire(token);
    return status ? pn_py_raise(e) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(plan_doc, "enumeration(couplings, unit, /)\n--\n\n"
                       "How a model is enumerated: dict of n, low, mirrored, parts, steps of a part, bins, total (in units) and sums, the doubles of a part.");
static PyObject *enumeration(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *couplings;
    double unit;
    slice s;
    if (!PyArg_ParseTuple(args, "Od:enumeration", &couplings, &unit) || !slice_open(&s, couplings, unit, 0, 0)) return NULL;
    const pn_enumeration *w = &s.w;
    return Py_BuildValue("{s:i,s:i,s:O,s:i,s:L,s:L,s:d,s:L}", "n", w->n, "low", w->low, "mirrored", w->mirrored ? Py_True : Py_False, "parts", w->parts,
                         "steps", (long long)w->steps, "bins", (long long)w->bins, "total", w->total, "sums", (long long)pn_enumerate_sums_size(w));
}

PyDoc_STRVAR(levels_doc,
             "enumerate_levels(couplings, unit, start, stop, extent, counts, /)\n--\n\n"
             "Steps start to stop of every part: extent float64 (parts, 2) is widened to their energies, counts int64 (parts, bins) or None grows.");
static PyObject *enumerate_levels(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *couplings, *extent, *counts;
    double unit;
    long long from, to;
    bool failed = false;
    slice s;
    if (!PyArg_ParseTuple(args, "OdLLOO:enumerate_levels", &couplings, &unit, &from, &to, &extent, &counts)) return NULL;
    if (!slice_open(&s, couplings, unit, from, to)) return NULL;
    double *x = pn_py_array(extent, &(pn_py_want){"extent", NPY_FLOAT64, 2, {s.w.parts, 2}, true}, NULL);
    if (!x) return NULL;
    int64_t *c = pn_py_array_or_none(counts, &(pn_py_want){"counts", NPY_INT64, 2, {s.w.parts, s.w.bins}, true}, NULL, &failed);
    if (failed) return NULL;
    pn_error e;
    void *token = pn_py_release();
    return answer(pn_enumerate_levels(x, c, &s.w, &s.range, &e), token, &e);
}

PyDoc_STRVAR(below_doc, "enumerate_below(couplings, unit, start, stop, limit, found, codes, /)\n--\n\n"
                        "States with an energy of at most limit: found int64 (parts) grows, codes uint32 (parts, room) or None takes their numbers.");
static PyObject *enumerate_below(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *couplings, *found, *codes;
    double unit, limit;
    long long from, to;
    bool failed = false;
    int64_t shape[2] = {0, 0};
    slice s;
    if (!PyArg_ParseTuple(args, "OdLLdOO:enumerate_below", &couplings, &unit, &from, &to, &limit, &found, &codes)) return NULL;
    if (!slice_open(&s, couplings, unit, from, to)) return NULL;
    int64_t *at = pn_py_array(found, &(pn_py_want){"found", NPY_INT64, 1, {s.w.parts}, true}, NULL);
    if (!at) return NULL;
    uint32_t *c = pn_py_array_or_none(codes, &(pn_py_want){"codes", NPY_UINT32, 2, {s.w.parts, -1}, true}, shape, &failed);
    if (failed) return NULL;
    pn_error e;
    void *token = pn_py_release();
    return answer(pn_enumerate_below(at, c, shape[1], limit, &s.w, &s.range, &e), token, &e);
}

PyDoc_STRVAR(energies_doc, "enumerate_energies(couplings, unit, start, stop, out, /)\n--\n\nE of every state by number: out float64 (2^n).");
static PyObject *enumerate_energies(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *couplings, *out;
    double unit;
    long long from, to;
    slice s;
    if (!PyArg_ParseTuple(args, "OdLLO:enumerate_energies", &couplings, &unit, &from, &to, &out)) return NULL;
    if (!slice_open(&s, couplings, unit, from, to)) return NULL;
    double *y = pn_py_array(out, &(pn_py_want){"out", NPY_FLOAT64, 1, {(int64_t)1 << s.w.n}, true}, NULL);
    if (!y) return NULL;
    pn_error e;
    void *token = pn_py_release();
    return answer(pn_enumerate_energies(y, &s.w, &s.range, &e), token, &e);
}

PyDoc_STRVAR(weights_doc, "enumerate_weights(couplings, unit, start, stop, ground, beta, sums, /)\n--\n\n"
                          "Sums weighted by exp(-beta (E - ground)): sums float64 (parts, size of a part) grows. See csrc/energy/enumerate.h.");
static PyObject *enumerate_weights(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *couplings, *sums;
    double unit, ground, beta;
    long long from, to;
    slice s;
    if (!PyArg_ParseTuple(args, "OdLLddO:enumerate_weights", &couplings, &unit, &from, &to, &ground, &beta, &sums)) return NULL;
    if (!slice_open(&s, couplings, unit, from, to)) return NULL;
    double *y = pn_py_array(sums, &(pn_py_want){"sums", NPY_FLOAT64, 2, {s.w.parts, pn_enumerate_sums_size(&s.w)}, true}, NULL);
    if (!y) return NULL;
    pn_error e;
    void *token = pn_py_release();
    return answer(pn_enumerate_weights(y, ground, beta, &s.w, &s.range, &e), token, &e);
}

PyDoc_STRVAR(transition_doc, "transition_matrix(couplings, rule, temperature, proposed, order, out, /)\n--\n\n"
                             "Fills out float64 (2^n, 2^n); rule 0, 1 or 2; order int32 (visits) or None for a spin at random.");
static PyObject *transition_matrix(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *couplings, *order, *out;
    int rule;
    int64_t visits = 0;
    bool failed = false;
    pn_transition t = {0};
    if (!PyArg_ParseTuple(args, "OiddOO:transition_matrix", &couplings, &rule, &t.temperature, &t.proposed, &order, &out)) return NULL;
    const pn_couplings *m = pn_py_couplings_get(couplings);
    if (!m) return NULL;
    if (rule < PN_RULE_METROPOLIS || rule > PN_RULE_LECTURE) return PyErr_Format(PyExc_ValueError, "rule must be 0, 1 or 2, got %d", rule);
    if (m->n > PN_TRANSITION_SPINS)
        return PyErr_Format(PyExc_ValueError, "a transition matrix takes at most %d spins, got %lld", PN_TRANSITION_SPINS, (long long)m->n);
    const int64_t states = (int64_t)1 << m->n;
    t.rule = (pn_rule)rule;
    t.order = pn_py_array_or_none(order, &(pn_py_want){"order", NPY_INT32, 1, {-1}, false}, &visits, &failed);
    t.visits = visits;
    double *p = failed ? NULL : pn_py_array(out, &(pn_py_want){"out", NPY_FLOAT64, 2, {states, states}, true}, NULL);
    if (!p) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    return answer(pn_transition_matrix(p, m, &t, &poll, &e), token, &e);
}

PyMethodDef pn_py_exact_methods[] = {
    {"enumeration", enumeration, METH_VARARGS, plan_doc},
    {"enumerate_levels", enumerate_levels, METH_VARARGS, levels_doc},
    {"enumerate_below", enumerate_below, METH_VARARGS, below_doc},
    {"enumerate_energies", enumerate_energies, METH_VARARGS, energies_doc},
    {"enumerate_weights", enumerate_weights, METH_VARARGS, weights_doc},
    {"transition_matrix", transition_matrix, METH_VARARGS, transition_doc},
    {NULL, NULL, 0, NULL},
};
