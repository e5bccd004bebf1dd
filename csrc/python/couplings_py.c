/* Couplings of spins as Python sees them. */
#include <string.h>

#include "python/energy_types.h"
#include "python/plan_types.h"

static PyTypeObject *couplings_type;

const pn_couplings *pn_py_couplings_get(PyObject *o) {
    if (Py_TYPE(o) == couplings_type) return ((pn_py_couplings *)o)->m;
    PyErr_Format(PyExc_TypeError, "couplings must be _core.Couplings, got %R", (PyObject *)Py_TYPE(o));
    return NULL;
}

static PyObject *wrap(pn_couplings *m) {
    pn_py_couplings *o = (pn_py_couplings *)PyType_GenericAlloc(couplings_type, 0);
    if (o)
        o->m = m;
    else
        pn_couplings_free(m);
    return (PyObject *)o;
}

static void couplings_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    pn_couplings_free(((pn_py_couplings *)o)->m);
    PyObject_Free(o);
    Py_DECREF((PyObject *)type);
}

PyDoc_STRVAR(rows_doc, "couplings_rows(start, to, weight, field, /)\n--\n\n"
                       "Couplings from rows: start int64 (n + 1), to int32 (edges), weight float64 (edges), field float64 (n) or None.");
static PyObject *couplings_rows(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *start, *to, *weight, *field;
    if (!PyArg_ParseTuple(args, "OOOO:couplings_rows", &start, &to, &weight, &field)) return NULL;
    int64_t rows;
    bool failed = false;
    const int64_t *s = pn_py_array(start, &(pn_py_want){.name = "start", .typenum = NPY_INT64, .rank = 1, .dim = {-1}}, &rows);
    if (!s) return NULL;
    if (rows < 2) return PyErr_Format(PyExc_ValueError, "there must be at least one spin");
    const int64_t edges = s[rows - 1];
    if (edges < 0) return PyErr_Format(PyExc_ValueError, "start must ascend from 0");
    const int32_t *t = pn_py_array(to, &(pn_py_want){.name = "to", .typenum = NPY_INT32, .rank = 1, .dim = {edges}}, NULL);
    const double *w = t ? pn_py_array(weight, &(pn_py_want){.name = "weight", .typenum = NPY_FLOAT64, .rank = 1, .dim = {edges}}, NULL) : NULL;
    if (!w) return NULL;
    const double *h = pn_py_array_or_none(field, &(pn_py_want){.name = "field", .typenum = NPY_FLOAT64, .rank = 1, .dim = {rows - 1}}, NULL, &failed);
    if (failed) return NULL;
    pn_error e;
    pn_couplings *m = NULL;
    void *token = pn_py_release_for((double)edges * 10);
    const pn_status status = pn_couplings_rows(&m, rows - 1, s, t, w, h, &e);
    pn_py_acquire(token);
    return status ? pn_py_raise(&e) : wrap(m);
}

/* (sides...) and (periodic...) of equal length into arrays; the rank, or -1 with an exception set. */
static int read_lattice(PyObject *sides, PyObject *wraps, int64_t *side, bool *periodic) {
    if (!PyTuple_Check(sides) || !PyTuple_Check(wraps) || PyTuple_Size(sides) != PyTuple_Size(wraps) || PyTuple_Size(sides) > PN_LATTICE_RANK) {
        PyErr_Format(PyExc_TypeError, "side and periodic must be tuples of the same length, at most %d", PN_LATTICE_RANK);
        return -1;
    }
    const int rank = (int)PyTuple_Size(sides);
    for (int a = 0; a < rank; a++) {
        const int wrap_round = PyObject_IsTrue(PyTuple_GetItem(wraps, a));
        side[a] = PyLong_AsLongLong(PyTuple_GetItem(sides, a));
        if (wrap_round < 0 || (side[a] == -1 && PyErr_Occurred())) return -1;
        periodic[a] = wrap_round;
    }
    return rank;
}

PyDoc_STRVAR(lattice_doc, "couplings_lattice(side, periodic, coupling, sign, field, /)\n--\n\n"
                          "Couplings of a hypercubic lattice: sign int8 (rank, n) or None, field float64 (n) or None.");
static PyObject *couplings_lattice(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *sides, *wraps, *sign, *field;
    double coupling;
    int64_t side[PN_LATTICE_RANK] = {0}, n = 1;
    bool periodic[PN_LATTICE_RANK] = {false}, failed = false;
    if (!PyArg_ParseTuple(args, "OOdOO:couplings_lattice", &sides, &wraps, &coupling, &sign, &field)) return NULL;
    const int rank = read_lattice(sides, wraps, side, periodic);
    if (rank < 0) return NULL;
    for (int a = 0; a < rank; a++) {
        if (side[a] < 1 || side[a] > INT32_MAX / n) return PyErr_Format(PyExc_ValueError, "a lattice has 1 to %d sites in all", INT32_MAX);
        n *= side[a];
    }
    const int8_t *s = pn_py_array_or_none(sign, &(pn_py_want){.name = "sign", .typenum = NPY_INT8, .rank = 2, .dim = {rank, n}}, NULL, &failed);
    const double *h = failed ? NULL : pn_py_array_or_none(field, &(pn_py_want){.name = "field", .typenum = NPY_FLOAT64, .rank = 1, .dim = {n}}, NULL, &failed);
    if (failed) return NULL;
    pn_error e;
    pn_couplings *m = NULL;
    void *token = pn_py_release_for((double)n * 10);
    const pn_status status = pn_couplings_lattice(&m, rank, side, periodic, coupling, s, h, &e);
    pn_py_acquire(token);
    return status ? pn_py_raise(&e) : wrap(m);
}

/* Work on the spins of states, done in parts between which Python may interrupt. */
typedef struct spin_work {
    const pn_couplings *m;
    const int8_t *s; /* (states, n) */
    double *out;     /* energies (states), or fields (states, n) */
    double sums[2];
    int64_t *start; /* (n + 1), to, weight: rows that are written */
    int32_t *to;
    double *weight;
} spin_work;

typedef void (*spin_part)(spin_work *w, int64_t state, int64_t from, int64_t to); /* the spins [from, to) of one state */

#define PART_WORK (1 << 18) /* neighbours in a part: about a millisecond */

/* Calls `part` for all spins of all states, in order. false: interrupted, the exception is set. */
static bool for_parts(spin_work *w, int64_t states, spin_part part) {
    const int64_t n = w->m->n, size = PART_WORK / (w->m->degree + 1) + 1;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)states * (double)n * (double)(w->m->degree + 1));
    bool go_on = true;
    for (int64_t r = 0; r < states && go_on; r++) {
        for (int64_t from = 0; from < n && go_on; from += size) {
            part(w, r, from, from + size < n ? from + size : n);
            go_on = !pn_poll_now(&poll);
        }
    }
    pn_py_acquire(token);
    return go_on;
}

static void energy_part(spin_work *w, int64_t state, int64_t from, int64_t to) {
    if (from == 0) w->sums[0] = w->sums[1] = 0;
    pn_couplings_energy_add(w->m, w->s + state * w->m->n, from, to, w->sums);
    if (to == w->m->n) w->out[state] = pn_couplings_energy_of(w->sums);
}

static void field_part(spin_work *w, int64_t state, int64_t from, int64_t to) {
    const int8_t *s = w->s + state * w->m->n;
    for (int64_t i = from; i < to; i++) w->out[state * w->m->n + i] = pn_local_field(w->m, s, i);
}

/* A new array for what is computed from spins int8 (states, n): one number for each state (rank 1) or each spin (rank 2). */
static PyObject *from_spins(PyObject *self, PyObject *spins, int rank, spin_part part) {
    const pn_couplings *m = ((pn_py_couplings *)self)->m;
    int64_t shape[2];
    const int8_t *s = pn_py_array(spins, &(pn_py_want){.name = "spins", .typenum = NPY_INT8, .rank = 2, .dim = {-1, m->n}}, shape);
    if (!s) return NULL;
    const pn_shape size = {.rank = rank, .dtype = PN_F64, .dim = {shape[0], m->n}};
    PyObject *out = pn_py_array_new(&size);
    if (!out) return NULL;
    spin_work w = {.m = m, .s = s, .out = PyArray_DATA((PyArrayObject *)out)};
    if (for_parts(&w, shape[0], part)) return out;
    Py_DECREF(out);
    return NULL;
}

PyDoc_STRVAR(energy_doc, "energy(spins, /)\n--\n\nE(s) of each row of spins int8 (replicas, n), as float64 (replicas).");
static PyObject *couplings_energy(PyObject *self, PyObject *spins) { return from_spins(self, spins, 1, energy_part); }

PyDoc_STRVAR(local_field_doc, "local_field(spins, /)\n--\n\nh_i + sum_j M_ij s_j for each row of spins int8 (replicas, n), as float64 (replicas, n).");
static PyObject *couplings_local_field(PyObject *self, PyObject *spins) { return from_spins(self, spins, 2, field_part); }

/* A row with its neighbours ascending; the row of a lattice's site is short and nearly so. */
static void sort_row(int32_t *to, double *weight, const pn_row *row) {
    for (int64_t k = 0; k < row->n; k++) {
        int64_t at = k;
        for (; at > 0 && to[at - 1] > row->to[k]; at--) {
            to[at] = to[at - 1];
            weight[at] = weight[at - 1];
        }
        to[at] = row->to[k];
        weight[at] = row->weight[k];
    }
}

/* A new array of one axis. */
static PyObject *new_array(int typenum, int64_t n) {
    npy_intp dim = (npy_intp)n;
    return PyArray_SimpleNew(1, &dim, typenum);
}

static void count_part(spin_work *w, int64_t state, int64_t from, int64_t to) {
    (void)state;
    pn_row row;
    for (int64_t i = from; i < to; i++) {
        pn_couplings_row(w->m, i, &row);
        w->start[i + 1] = w->start[i] + row.n;
    }
}

static void row_part(spin_work *w, int64_t state, int64_t from, int64_t to) {
    (void)state;
    pn_row row;
    for (int64_t i = from; i < to; i++) {
        pn_couplings_row(w->m, i, &row);
        sort_row(w->to + w->start[i], w->weight + w->start[i], &row);
    }
}

PyDoc_STRVAR(rows_of_doc,
             "rows()\n--\n\n(start int64 (n + 1), to int32 (edges), weight float64 (edges)): neighbours and couplings; every edge stands in two rows.");
static PyObject *couplings_rows_of(PyObject *self, PyObject *ignored) {
    (void)ignored;
    spin_work w = {.m = ((pn_py_couplings *)self)->m};
    PyObject *start = new_array(NPY_INT64, w.m->n + 1), *to = NULL, *weight = NULL, *rows = NULL;
    if (!start) return NULL;
    w.start = PyArray_DATA((PyArrayObject *)start);
    w.start[0] = 0;
    if (!for_parts(&w, 1, count_part)) goto done;
    to = new_array(NPY_INT32, w.start[w.m->n]);
    weight = to ? new_array(NPY_FLOAT64, w.start[w.m->n]) : NULL;
    if (!weight) goto done;
    w.to = PyArray_DATA((PyArrayObject *)to);
    w.weight = PyArray_DATA((PyArrayObject *)weight);
    if (for_parts(&w, 1, row_part)) rows = Py_BuildValue("(OOO)", start, to, weight);
done:
    Py_DECREF(start);
    Py_XDECREF(to);
    Py_XDECREF(weight);
    return rows;
}

static PyObject *get_field(PyObject *self, void *ignored) {
    (void)ignored;
    const pn_couplings *m = ((pn_py_couplings *)self)->m;
    if (!m->field) return Py_NewRef(Py_None);
    PyObject *field = new_array(NPY_FLOAT64, m->n);
    if (field) memcpy(PyArray_DATA((PyArrayObject *)field), m->field, (size_t)m->n * sizeof(double));
    return field;
}
static PyObject *get_degree(PyObject *self, void *ignored) {
    (void)ignored;
    return PyLong_FromLongLong(((pn_py_couplings *)self)->m->degree);
}
static PyObject *get_n(PyObject *self, void *ignored) {
    (void)ignored;
    return PyLong_FromLongLong(((pn_py_couplings *)self)->m->n);
}
static PyObject *get_whole(PyObject *self, void *ignored) {
    (void)ignored;
    return PyBool_FromLong(((pn_py_couplings *)self)->m->whole);
}

PyDoc_STRVAR(scale_doc, "scale()\n--\n\n(reach, weakest, spread): the largest local field; means over spins of the weakest coupling and of the width of the "
                        "local field.");
static PyObject *couplings_scale(PyObject *self, PyObject *ignored) {
    (void)ignored;
    const pn_couplings *m = ((pn_py_couplings *)self)->m;
    void *token = pn_py_release_for((double)m->n * (double)(m->degree + 1));
    const pn_scale s = pn_couplings_scale(m);
    pn_py_acquire(token);
    return Py_BuildValue("(ddd)", s.reach, s.weakest, s.spread);
}

static PyMethodDef methods[] = {{"energy", couplings_energy, METH_O, energy_doc},
                                {"local_field", couplings_local_field, METH_O, local_field_doc},
                                {"rows", couplings_rows_of, METH_NOARGS, rows_of_doc},
                                {"scale", couplings_scale, METH_NOARGS, scale_doc},
                                {NULL, NULL, 0, NULL}};
static PyGetSetDef members[] = {{"n", get_n, NULL, "Number of spins.", NULL},
                                {"degree", get_degree, NULL, "Neighbours of the spin that has most.", NULL},
                                {"field", get_field, NULL, "h: a copy as float64 (n), or None.", NULL},
                                {"whole", get_whole, NULL, "Whether all couplings and fields are integers, so that energies are exact.", NULL},
                                {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot slots[] = {{Py_tp_dealloc, couplings_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, members},
                              {Py_tp_doc, "Couplings of spins; made by couplings_rows and couplings_lattice, never changed."},
                              {0, NULL}};
static PyType_Spec spec = {
    .name = "pyneuro._core.Couplings", .basicsize = sizeof(pn_py_couplings), .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, .slots = slots};

int pn_py_add_energy(PyObject *module) {
    couplings_type = pn_py_add_type(module, &spec);
    return couplings_type && !pn_py_add_hopfield(module) ? pn_py_add_sampler(module) : -1;
}

PyMethodDef pn_py_couplings_methods[] = {
    {"couplings_rows", couplings_rows, METH_VARARGS, rows_doc},
    {"couplings_lattice", couplings_lattice, METH_VARARGS, lattice_doc},
    {NULL, NULL, 0, NULL},
};
