/* Restricted Boltzmann machines as Python sees them: all arrays are Python's, checked here. */
#include "python/boltzmann_types.h"

#include <string.h>

#include "kernels/kernels.h"

static int typenum(const pn_rbm *m) { return pn_py_typenum(m->dtype); }

bool pn_py_rbm_read(PyObject *o, pn_rbm *m, bool writable) {
    PyObject *w, *b, *c;
    long long classes;
    int64_t side[2];
    if (!PyTuple_Check(o)) {
        PyErr_SetString(PyExc_TypeError, "a machine is a tuple (w, b, c, classes)");
        return false;
    }
    if (!PyArg_ParseTuple(o, "OOOL:machine", &w, &b, &c, &classes)) return false;
    const bool single = PyArray_Check(w) && PyArray_TYPE((PyArrayObject *)w) == NPY_FLOAT32;
    m->dtype = single ? PN_F32 : PN_F64;
    m->w = pn_py_array(w, &(pn_py_want){.name = "w", .typenum = typenum(m), .rank = 2, .dim = {-1, -1}, .writable = writable}, side);
    if (!m->w) return false;
    m->nv = side[0];
    m->nh = side[1];
    m->b = pn_py_array(b, &(pn_py_want){.name = "b", .typenum = typenum(m), .rank = 1, .dim = {m->nv}, .writable = writable}, NULL);
    m->c = m->b ? pn_py_array(c, &(pn_py_want){.name = "c", .typenum = typenum(m), .rank = 1, .dim = {m->nh}, .writable = writable}, NULL) : NULL;
    if (!m->c) return false;
    m->visible = classes == 0 ? PN_VISIBLE_GAUSSIAN : classes == 1 ? PN_VISIBLE_BINARY : PN_VISIBLE_SOFTMAX;
    m->classes = classes < 1 ? 1 : classes;
    if (m->nv > 0 && m->nh > 0 && classes >= 0 && m->nv % m->classes == 0) return true;
    PyErr_Format(PyExc_ValueError, "a machine with w of shape (%lld, %lld) cannot have %lld classes", (long long)m->nv, (long long)m->nh, classes);
    return false;
}

static void read_rows(const void *context, const int64_t *index, int64_t first, int64_t n, int dtype, void *dst) {
    const pn_py_rows *own = context;
    const pn_kernels *k = pn_kernels_get();
    pn_source_gather(&own->source, index, first, n, dtype, dst);
    for (int64_t r = 0; own->scale && r < n; r++) {
        if (dtype == PN_F32)
            k->f.binary[PN_BIN_mul]((float *)dst + r * own->nv, (float *)dst + r * own->nv, 1, own->scale, 1, own->nv);
        else
            k->d.binary[PN_BIN_mul]((double *)dst + r * own->nv, (double *)dst + r * own->nv, 1, own->scale, 1, own->nv);
    }
}

bool pn_py_rows_read(PyObject *array, PyObject *scale, const pn_rbm *m, pn_py_rows *own, pn_rows *rows) {
    bool failed = false;
    if (!pn_py_source_init(&own->source, array, "X")) return false;
    if (own->source.row_size != m->nv || PyArray_NDIM((PyArrayObject *)array) < 1) {
        PyErr_Format(PyExc_ValueError, "rows of X have %lld elements, the machine has %lld visible units", (long long)own->source.row_size, (long long)m->nv);
        return false;
    }
    own->scale = pn_py_rbm_array(scale, m, "scale", 1, m->nv, 0, true, &failed);
    own->nv = m->nv;
    *rows = (pn_rows){.read = read_rows, .context = own, .n = own->source.rows};
    return !failed;
}

void *pn_py_rbm_array(PyObject *o, const pn_rbm *m, const char *name, int rank, int64_t d0, int64_t d1, bool optional, bool *failed) {
    if (*failed || (optional && o == Py_None)) return NULL;
    void *data = pn_py_array(o, &(pn_py_want){.name = name, .typenum = typenum(m), .rank = rank, .dim = {d0, d1}, .writable = true}, NULL);
    *failed = !data;
    return data;
}

/* ---- learning ---- */

typedef struct arguments {
    PyObject *machine, *data, *scale, *order, *beta, *chain, *lanes, *velocities, *activity, *progress, *sums;
    const char *kind;
} arguments;

static bool read_kind(const char *kind, pn_rbm_training *t) {
    static const char *const names[] = {"cd", "pcd", "pt"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(kind, names[i])) continue;
        t->kind = (pn_chains)i;
        return true;
    }
    PyErr_Format(PyExc_ValueError, "kind is '%s', expected cd, pcd or pt", kind);
    return false;
}

static void *array_of(PyObject *o, const char *name, int type, int rank, int64_t d0, int64_t d1, bool *failed) {
    if (*failed) return NULL;
    void *data = pn_py_array(o, &(pn_py_want){.name = name, .typenum = type, .rank = rank, .dim = {d0, d1}, .writable = true}, NULL);
    *failed = !data;
    return data;
}

static bool read_state(const arguments *a, pn_rbm_training *t) {
    bool failed = false;
    int64_t n = 1;
    PyObject *vw, *vb, *vc;
    if (a->beta != Py_None) t->beta = pn_py_array(a->beta, &(pn_py_want){.name = "beta", .typenum = NPY_FLOAT64, .rank = 1, .dim = {-1}}, &n);
    if (a->beta != Py_None && !t->beta) return false;
    t->temperatures = n;
    if (t->chains < 1 || n < 1 || t->chains > INT32_MAX || n > INT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "there must be at least one chain");
        return false;
    }
    t->chain = pn_py_rbm_array(a->chain, &t->m, "chain", 2, t->chains * n, t->m.nh, true, &failed);
    t->lanes = array_of(a->lanes, "lanes", NPY_UINT64, 2, t->chains * n, PN_LANES_WORDS, &failed);
    t->progress = array_of(a->progress, "progress", NPY_INT64, 1, 3, 0, &failed);
    t->sums = array_of(a->sums, "sums", NPY_FLOAT64, 1, PN_RBM_MEASURES, 0, &failed);
    t->activity = a->activity == Py_None ? NULL : array_of(a->activity, "activity", NPY_FLOAT64, 1, t->m.nh, 0, &failed);
    if (!failed && a->velocities != Py_None) {
        if (!PyArg_ParseTuple(a->velocities, "OOO:velocities", &vw, &vb, &vc)) return false;
        t->vw = pn_py_rbm_array(vw, &t->m, "velocity of w", 2, t->m.nv, t->m.nh, false, &failed);
        t->vb = pn_py_rbm_array(vb, &t->m, "velocity of b", 1, t->m.nv, 0, false, &failed);
        t->vc = pn_py_rbm_array(vc, &t->m, "velocity of c", 1, t->m.nh, 0, false, &failed);
    }
    return !failed;
}

static bool check_training(const pn_rbm_training *t) {
    const bool counts = t->batch >= 1 && t->batch <= INT32_MAX && t->k >= 1 && t->measure_every >= 1 && t->data.n >= 1;
    const bool place = t->progress[0] >= 0 && t->progress[1] >= 0 && t->progress[1] < t->data.n && t->progress[2] >= 0;
    const bool chains = t->kind == PN_CHAINS_DATA ? !t->chain && t->chains == t->batch : t->chain != NULL;
    if (counts && place && chains && (t->kind == PN_CHAINS_TEMPERED ? t->beta != NULL : t->temperatures == 1)) return true;
    PyErr_SetString(PyExc_ValueError,
                    "the state of the training does not fit: batch, k and measure_every are at least 1, progress lies within the rows of X, and "
                    "chains belong to their kind");
    return false;
}

/* Order of rows: checked, because the core follows it blindly. */
static bool read_order(PyObject *o, pn_rbm_training *t) {
    bool failed = false;
    t->order = pn_py_array_or_none(o, &(pn_py_want){.name = "order", .typenum = NPY_INT64, .rank = 1, .dim = {t->data.n}}, NULL, &failed);
    for (int64_t i = 0; t->order && i < t->data.n; i++) {
        if (t->order[i] >= 0 && t->order[i] < t->data.n) continue;
        PyErr_SetString(PyExc_ValueError, "order has numbers that are no rows of X");
        return false;
    }
    return !failed;
}

PyDoc_STRVAR(train_doc, "rbm_train(machine, X, scale, order, kind, beta, chain, lanes, velocities, activity, progress, sums, batch, k, chains, lr, momentum,\n"
                        "          weight_decay, sparsity_cost, sparsity_target, seed, measure_every, seconds, /)\n--\n\n"
                        "Trains until the epoch is complete (True) or about `seconds` have passed (False); see energy/rbm.h. Arrays are changed in place.");
static PyObject *rbm_train(PyObject *module, PyObject *args) {
    (void)module;
    arguments a;
    pn_rbm_training t = {.temperatures = 1};
    pn_py_rows own;
    pn_error e;
    double seconds;
    unsigned long long seed;
    long long batch, k, chains, every;
    if (!PyArg_ParseTuple(args, "OOOOsOOOOOOOLLLdddddKLd:rbm_train", &a.machine, &a.data, &a.scale, &a.order, &a.kind, &a.beta, &a.chain, &a.lanes,
                          &a.velocities, &a.activity, &a.progress, &a.sums, &batch, &k, &chains, &t.lr, &t.momentum, &t.weight_decay, &t.sparsity_cost,
                          &t.sparsity_target, &seed, &every, &seconds))
        return NULL;
    t.batch = batch, t.k = k, t.chains = chains, t.measure_every = every, t.seed = seed;
    if (!read_kind(a.kind, &t) || !pn_py_rbm_read(a.machine, &t.m, true) || !pn_py_rows_read(a.data, a.scale, &t.m, &own, &t.data)) return NULL;
    if (!read_order(a.order, &t) || !read_state(&a, &t) || !check_training(&t)) return NULL;
    pn_poll poll;
    bool done = false;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    const pn_status status = pn_rbm_train(&t, seconds, &done, &poll, &e);
    pn_py_acquire(token);
    return status ? pn_py_raise(&e) : PyBool_FromLong(done);
}

/* ---- rows ---- */

PyDoc_STRVAR(look_doc, "rbm_look(machine, X, scale, view, /)\n--\n\n"
                       "Row by row: 'hidden' (n, nh), 'free_energy' float64 (n), 'reconstruction' (n, nv).");
static PyObject *rbm_look(PyObject *module, PyObject *args) {
    (void)module;
    static const char *const names[] = {"hidden", "free_energy", "reconstruction"};
    PyObject *machine, *data, *scale;
    const char *view;
    pn_rbm m;
    pn_py_rows own;
    pn_rows rows;
    pn_error e;
    if (!PyArg_ParseTuple(args, "OOOs:rbm_look", &machine, &data, &scale, &view)) return NULL;
    int which = 0;
    while (which < 3 && strcmp(names[which], view)) which++;
    if (which == 3) return PyErr_Format(PyExc_ValueError, "view is '%s', expected hidden, free_energy or reconstruction", view);
    if (!pn_py_rbm_read(machine, &m, false) || !pn_py_rows_read(data, scale, &m, &own, &rows)) return NULL;
    const pn_shape shape = {.rank = which == PN_RBM_FREE_ENERGY ? 1 : 2,
                            .dtype = which == PN_RBM_FREE_ENERGY ? PN_F64 : m.dtype,
                            .dim = {rows.n, which == PN_RBM_HIDDEN ? m.nh : m.nv}};
    PyObject *out = pn_py_array_new(&shape);
    if (!out) return NULL;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)rows.n * (double)m.nv * (double)m.nh);
    const pn_status status = pn_rbm_look(&m, (pn_rbm_view)which, &rows, PyArray_DATA((PyArrayObject *)out), &poll, &e);
    pn_py_acquire(token);
    if (!status) return out;
    Py_DECREF(out);
    return pn_py_raise(&e);
}

PyDoc_STRVAR(pseudo_doc, "rbm_pseudo(machine, X, sites, seed, /)\n--\n\n"
                         "Pseudo-log-likelihood of each row, float64 (n): sites 0 is exact, else from so many sites drawn for each row.");
static PyObject *rbm_pseudo(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *machine, *data;
    long long sites;
    unsigned long long seed;
    pn_rbm m;
    pn_py_rows own;
    pn_rows rows;
    pn_error e;
    if (!PyArg_ParseTuple(args, "OOLK:rbm_pseudo", &machine, &data, &sites, &seed)) return NULL;
    if (sites < 0) return PyErr_Format(PyExc_ValueError, "sites must be at least 0, got %lld", sites);
    if (!pn_py_rbm_read(machine, &m, false) || !pn_py_rows_read(data, Py_None, &m, &own, &rows)) return NULL;
    const pn_shape shape = {.rank = 1, .dtype = PN_F64, .dim = {rows.n}};
    PyObject *out = pn_py_array_new(&shape);
    if (!out) return NULL;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    const pn_status status = pn_rbm_pseudo(&m, &rows, sites, seed, PyArray_DATA((PyArrayObject *)out), &poll, &e);
    pn_py_acquire(token);
    if (!status) return out;
    Py_DECREF(out);
    return pn_py_raise(&e);
}

PyDoc_STRVAR(gibbs_doc, "rbm_gibbs(machine, v, h, mean, lanes, steps, beta, /)\n--\n\n"
                        "`steps` sweeps of chains v (n, nv) and lanes (n, 32), in place; h (n, nh) and mean (n, nv) or None are filled.");
static PyObject *rbm_gibbs(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *machine, *ov, *oh, *omean, *olanes;
    long long steps;
    double beta;
    pn_rbm m;
    pn_error e;
    bool failed = false;
    if (!PyArg_ParseTuple(args, "OOOOOLd:rbm_gibbs", &machine, &ov, &oh, &omean, &olanes, &steps, &beta) || !pn_py_rbm_read(machine, &m, false)) return NULL;
    if (steps < 0) return PyErr_Format(PyExc_ValueError, "steps must be at least 0, got %lld", steps);
    void *v = pn_py_rbm_array(ov, &m, "v", 2, -1, m.nv, false, &failed);
    if (failed) return NULL;
    const int64_t n = PyArray_DIM((PyArrayObject *)ov, 0);
    void *h = pn_py_rbm_array(oh, &m, "h", 2, n, m.nh, false, &failed), *mean = pn_py_rbm_array(omean, &m, "mean", 2, n, m.nv, true, &failed);
    uint64_t *lanes = array_of(olanes, "lanes", NPY_UINT64, 2, n, PN_LANES_WORDS, &failed);
    if (failed) return NULL;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)n * (double)m.nv * (double)m.nh * (double)steps);
    const pn_status status = pn_rbm_gibbs(&m, v, h, mean, lanes, n, steps, beta, &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(lanes_doc, "lanes_seed(lanes, seed, first, /)\n--\n\nSeeds generators uint64 (n, 32): row r by stream first + r of the seed.");
static PyObject *lanes_seed(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *o;
    unsigned long long seed, first;
    int64_t shape[2];
    if (!PyArg_ParseTuple(args, "OKK:lanes_seed", &o, &seed, &first)) return NULL;
    uint64_t *lanes = pn_py_array(o, &(pn_py_want){.name = "lanes", .typenum = NPY_UINT64, .rank = 2, .dim = {-1, PN_LANES_WORDS}, .writable = true}, shape);
    if (!lanes) return NULL;
    for (int64_t r = 0; r < shape[0]; r++) pn_lanes_seed((pn_lanes *)(lanes + r * PN_LANES_WORDS), pn_energy_seed(seed, first + (uint64_t)r));
    Py_RETURN_NONE;
}

PyMethodDef pn_py_boltzmann_methods[] = {
    {"rbm_train", rbm_train, METH_VARARGS, train_doc},    {"rbm_look", rbm_look, METH_VARARGS, look_doc},
    {"rbm_pseudo", rbm_pseudo, METH_VARARGS, pseudo_doc}, {"rbm_gibbs", rbm_gibbs, METH_VARARGS, gibbs_doc},
    {"lanes_seed", lanes_seed, METH_VARARGS, lanes_doc},  {NULL, NULL, 0, NULL},
};
