/* Exact values of small RBMs, and the estimate of Z of large ones, as Python sees them. */
#include "python/boltzmann_types.h"

static pn_py_want of_doubles(const char *name, int rank, int64_t d0, int64_t d1) {
    return (pn_py_want){.name = name, .typenum = NPY_FLOAT64, .rank = rank, .dim = {d0, d1}, .writable = true};
}

/* Three arrays (vh, v, h) that are filled. */
static bool read_means(PyObject *o, const pn_rbm *m, double *out[3]) {
    PyObject *vh, *v, *h;
    if (!PyTuple_Check(o)) {
        PyErr_SetString(PyExc_TypeError, "means are a tuple (vh, v, h)");
        return false;
    }
    if (!PyArg_ParseTuple(o, "OOO:means", &vh, &v, &h)) return false;
    const pn_py_want want[] = {of_doubles("vh", 2, m->nv, m->nh), of_doubles("v", 1, m->nv, 0), of_doubles("h", 1, m->nh, 0)};
    out[0] = pn_py_array(vh, &want[0], NULL);
    out[1] = out[0] ? pn_py_array(v, &want[1], NULL) : NULL;
    out[2] = out[1] ? pn_py_array(h, &want[2], NULL) : NULL;
    return out[2] != NULL;
}

PyDoc_STRVAR(enumerate_doc, "rbm_enumerate(machine, means, /)\n--\n\n"
                            "log Z of a machine of float64 arrays; means (vh, v, h), or None, are filled with <v_i h_j>, <v_i>, <h_j>.");
static PyObject *rbm_enumerate(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *machine, *means;
    pn_rbm m;
    pn_error e;
    double log_z = 0, *out[3] = {NULL, NULL, NULL};
    if (!PyArg_ParseTuple(args, "OO:rbm_enumerate", &machine, &means) || !pn_py_rbm_read(machine, &m, false)) return NULL;
    if (means != Py_None && !read_means(means, &m, out)) return NULL;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    const pn_status status = pn_rbm_enumerate(&m, &log_z, out[0], out[1], out[2], &poll, &e);
    pn_py_acquire(token);
    return status ? pn_py_raise(&e) : PyFloat_FromDouble(log_z);
}

PyDoc_STRVAR(expected_doc, "rbm_expected_cd(machine, data, k, means, /)\n--\n\n"
                           "Fills means (vh, v, h) with the expected change of CD-k from data float64 (n, nv), for machines of float64 arrays.");
static PyObject *rbm_expected_cd(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *machine, *data, *means;
    long long k;
    pn_rbm m;
    pn_error e;
    double *out[3];
    int64_t shape[2];
    if (!PyArg_ParseTuple(args, "OOLO:rbm_expected_cd", &machine, &data, &k, &means) || !pn_py_rbm_read(machine, &m, false)) return NULL;
    if (k < 1) return PyErr_Format(PyExc_ValueError, "k must be at least 1, got %lld", k);
    const double *rows = pn_py_array(data, &(pn_py_want){.name = "data", .typenum = NPY_FLOAT64, .rank = 2, .dim = {-1, m.nv}}, shape);
    if (!rows || !read_means(means, &m, out)) return NULL;
    if (shape[0] < 1) return PyErr_Format(PyExc_ValueError, "data must have at least one row");
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    const pn_status status = pn_rbm_expected_cd(&m, rows, shape[0], k, out[0], out[1], out[2], &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(ais_doc, "rbm_ais(machine, base, v, log_weights, lanes, betas, at, steps, /)\n--\n\n"
                      "Annealed importance sampling from betas[at] to betas[at + steps]; v (n, nv), log_weights (n) and lanes (n, 32) are changed.");
static PyObject *rbm_ais(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *machine, *obase, *ov, *ologs, *olanes, *obetas;
    long long at, steps;
    pn_rbm m;
    pn_error e;
    bool failed = false;
    int64_t count;
    if (!PyArg_ParseTuple(args, "OOOOOOLL:rbm_ais", &machine, &obase, &ov, &ologs, &olanes, &obetas, &at, &steps) || !pn_py_rbm_read(machine, &m, false))
        return NULL;
    void *base = pn_py_rbm_array(obase, &m, "base", 1, m.nv, 0, false, &failed), *v = pn_py_rbm_array(ov, &m, "v", 2, -1, m.nv, false, &failed);
    if (failed) return NULL;
    const int64_t n = PyArray_DIM((PyArrayObject *)ov, 0);
    const pn_py_want weights = of_doubles("log_weights", 1, n, 0), schedule = of_doubles("betas", 1, -1, 0);
    double *logs = pn_py_array(ologs, &weights, NULL), *betas = logs ? pn_py_array(obetas, &schedule, &count) : NULL;
    uint64_t *lanes = NULL;
    if (betas)
        lanes = pn_py_array(olanes, &(pn_py_want){.name = "lanes", .typenum = NPY_UINT64, .rank = 2, .dim = {n, PN_LANES_WORDS}, .writable = true}, NULL);
    if (!lanes) return NULL;
    if (at < 0 || steps < 0 || at >= count || steps > count - 1 - at)
        return PyErr_Format(PyExc_ValueError, "steps %lld to %lld + %lld do not lie within %lld temperatures", at, at, steps, (long long)count);
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    const pn_status status = pn_rbm_ais(&m, v, base, logs, lanes, n, betas, at, steps, &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

PyMethodDef pn_py_rbm_exact_methods[] = {
    {"rbm_enumerate", rbm_enumerate, METH_VARARGS, enumerate_doc},
    {"rbm_expected_cd", rbm_expected_cd, METH_VARARGS, expected_doc},
    {"rbm_ais", rbm_ais, METH_VARARGS, ais_doc},
    {NULL, NULL, 0, NULL},
};
