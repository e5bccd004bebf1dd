/* General Boltzmann machines and encoders as Python sees them: all arrays are Python's, checked here. */
#include "energy/boltzmann.h"
#include "python/energy_types.h"

static void *array_of(PyObject *o, const char *name, int type, int rank, const int64_t *dim, bool *failed) {
    pn_py_want want = {.name = name, .typenum = type, .rank = rank, .writable = true};
    if (*failed) return NULL;
    for (int i = 0; i < rank; i++) want.dim[i] = dim[i];
    void *data = pn_py_array(o, &want, NULL);
    *failed = !data;
    return data;
}
#define DIM(...) ((const int64_t[]){__VA_ARGS__})

/* (w, b, mask, nv) */
static bool read_machine(PyObject *o, pn_bm *m) {
    PyObject *w, *b, *mask;
    long long nv;
    int64_t side[2];
    bool failed = false;
    if (!PyTuple_Check(o)) {
        PyErr_SetString(PyExc_TypeError, "a machine is a tuple (w, b, mask, nv)");
        return false;
    }
    if (!PyArg_ParseTuple(o, "OOOL:machine", &w, &b, &mask, &nv)) return false;
    m->w = pn_py_array(w, &(pn_py_want){.name = "w", .typenum = NPY_FLOAT64, .rank = 2, .dim = {-1, -1}, .writable = true}, side);
    if (!m->w) return false;
    m->n = side[0];
    m->nv = nv;
    m->b = array_of(b, "b", NPY_FLOAT64, 1, DIM(m->n), &failed);
    m->mask = array_of(mask, "mask", NPY_UINT8, 2, DIM(m->n, m->n), &failed);
    if (failed) return false;
    if (side[0] == side[1] && m->n > 0 && m->n <= INT32_MAX && nv >= 0 && nv <= m->n) return true;
    PyErr_Format(PyExc_ValueError, "a machine with w of shape (%lld, %lld) cannot have %lld visible units", (long long)side[0], (long long)side[1], nv);
    return false;
}

/* (sweeps int64 (stages), temperature float64 (stages), looks) */
static bool read_schedule(PyObject *o, pn_bm_schedule *s) {
    PyObject *sweeps, *temperature;
    long long looks;
    bool failed = false;
    if (!PyTuple_Check(o)) {
        PyErr_SetString(PyExc_TypeError, "a schedule is a tuple (sweeps, temperature, looks)");
        return false;
    }
    if (!PyArg_ParseTuple(o, "OOL:schedule", &sweeps, &temperature, &looks)) return false;
    s->sweeps = pn_py_array(sweeps, &(pn_py_want){.name = "sweeps", .typenum = NPY_INT64, .rank = 1, .dim = {-1}}, &s->stages);
    if (!s->sweeps) return false;
    s->temperature = array_of(temperature, "temperature", NPY_FLOAT64, 1, DIM(s->stages), &failed);
    s->looks = looks;
    if (failed) return false;
    bool fine = s->stages > 0 && looks >= 0;
    for (int64_t i = 0; i < s->stages; i++) fine = fine && s->sweeps[i] >= 0 && s->temperature[i] > 0;
    if (!fine) PyErr_SetString(PyExc_ValueError, "a schedule has at least one stage, sweeps from 0 and temperatures above 0");
    return fine;
}

PyDoc_STRVAR(train_doc,
             "bm_train(machine, schedule, data, order, batch, repeats, off, on, signs, lr, momentum, weight_decay, seed, velocities, progress, sums,\n"
             "         seconds, /)\n--\n\n"
             "Trains until the epoch is complete (True) or about `seconds` have passed (False); see energy/boltzmann.h.");
static PyObject *bm_train(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *machine, *schedule, *data, *order, *velocities, *progress, *sums, *vw, *vb;
    pn_bm_training t = {0};
    long long batch, repeats;
    unsigned long long seed;
    int signs;
    double seconds;
    int64_t shape[2];
    bool failed = false, done = false;
    pn_error e;
    if (!PyArg_ParseTuple(args, "OOOOLLddpdddKOOOd:bm_train", &machine, &schedule, &data, &order, &batch, &repeats, &t.off, &t.on, &signs, &t.lr, &t.momentum,
                          &t.weight_decay, &seed, &velocities, &progress, &sums, &seconds) ||
        !read_machine(machine, &t.m) || !read_schedule(schedule, &t.schedule))
        return NULL;
    t.data = pn_py_array(data, &(pn_py_want){.name = "data", .typenum = NPY_UINT8, .rank = 2, .dim = {-1, t.m.nv}}, shape);
    if (!t.data) return NULL;
    t.rows = shape[0], t.batch = batch, t.repeats = repeats, t.signs = signs, t.seed = seed;
    t.order = array_of(order, "order", NPY_INT64, 1, DIM(t.rows), &failed);
    t.progress = array_of(progress, "progress", NPY_INT64, 1, DIM(3), &failed);
    t.sums = array_of(sums, "sums", NPY_FLOAT64, 1, DIM(2), &failed);
    if (!failed && velocities != Py_None) {
        if (!PyArg_ParseTuple(velocities, "OO:velocities", &vw, &vb)) return NULL;
        t.vw = array_of(vw, "velocity of w", NPY_FLOAT64, 2, DIM(t.m.n, t.m.n), &failed);
        t.vb = array_of(vb, "velocity of b", NPY_FLOAT64, 1, DIM(t.m.n), &failed);
    }
    if (failed) return NULL;
    for (int64_t i = 0; i < t.rows; i++) failed = failed || t.order[i] < 0 || t.order[i] >= t.rows;
    if (failed || batch < 1 || repeats < 1 || t.schedule.looks < 1 || t.rows < 1 || t.progress[0] < 0 || t.progress[1] < 0 || t.progress[1] >= t.rows ||
        t.progress[2] < 0)
        return PyErr_Format(PyExc_ValueError, "order, progress, batch, repeats and looks do not fit data of %lld rows", (long long)t.rows);
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    const pn_status status = pn_bm_train(&t, seconds, &done, &poll, &e);
    pn_py_acquire(token);
    return status ? pn_py_raise(&e) : PyBool_FromLong(done);
}

PyDoc_STRVAR(sample_doc,
             "bm_sample(machine, states, clamp, schedule, seed, first, done, /)\n--\n\n"
             "Anneals states uint8 (replicas, n) in place, except where clamp uint8 (n) is not 0; done uint8 (replicas) becomes 1 for complete ones.");
static PyObject *bm_sample(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *machine, *states, *clamp, *schedule, *done;
    pn_bm m;
    pn_bm_schedule plan;
    unsigned long long seed;
    long long first;
    bool failed = false;
    pn_error e;
    if (!PyArg_ParseTuple(args, "OOOOKLO:bm_sample", &machine, &states, &clamp, &schedule, &seed, &first, &done) || !read_machine(machine, &m) ||
        !read_schedule(schedule, &plan))
        return NULL;
    uint8_t *s = array_of(states, "states", NPY_UINT8, 2, DIM(-1, m.n), &failed), *fixed = array_of(clamp, "clamp", NPY_UINT8, 1, DIM(m.n), &failed);
    if (failed) return NULL;
    const int64_t replicas = PyArray_DIM((PyArrayObject *)states, 0);
    uint8_t *complete = array_of(done, "done", NPY_UINT8, 1, DIM(replicas), &failed);
    if (failed) return NULL;
    for (int64_t i = 0; i < replicas * m.n; i++) s[i] = s[i] != 0;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    const pn_status status = pn_bm_sample(&m, s, fixed, replicas, &plan, seed, first, complete, &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(enumerate_doc, "bm_enumerate(machine, state, clamp, temperature, pairs, /)\n--\n\n"
                            "log Z over the units whose clamp is 0; pairs float64 (n, n), or None, are filled with the means of s_i s_j.");
static PyObject *bm_enumerate(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *machine, *state, *clamp, *pairs;
    pn_bm m;
    double temperature, log_z = 0;
    bool failed = false;
    pn_error e;
    if (!PyArg_ParseTuple(args, "OOOdO:bm_enumerate", &machine, &state, &clamp, &temperature, &pairs) || !read_machine(machine, &m)) return NULL;
    uint8_t *s = array_of(state, "state", NPY_UINT8, 1, DIM(m.n), &failed), *fixed = array_of(clamp, "clamp", NPY_UINT8, 1, DIM(m.n), &failed);
    double *means = pairs == Py_None ? NULL : array_of(pairs, "pairs", NPY_FLOAT64, 2, DIM(m.n, m.n), &failed);
    if (failed) return NULL;
    if (!(temperature > 0)) return PyErr_Format(PyExc_ValueError, "temperature must be above 0");
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    const pn_status status = pn_bm_enumerate(&m, s, fixed, temperature, &log_z, means, &poll, &e);
    pn_py_acquire(token);
    return status ? pn_py_raise(&e) : PyFloat_FromDouble(log_z);
}

PyDoc_STRVAR(encoder_doc,
             "encoder_run(width, hidden, schedule, w, b, progress, cycles, distance, steady, connected, repeats, off, on, step, seed, now, /)\n--\n\n"
             "Goes on with experiments w (r, n, n), b (r, n), progress int64 (r, 3) for at most `now` cycles each; see energy/boltzmann.h.");
static PyObject *encoder_run(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *schedule, *w, *b, *progress;
    pn_encoder c = {0};
    long long width, hidden, cycles, distance, steady, repeats, now;
    unsigned long long seed;
    int connected;
    bool failed = false;
    int64_t shape[3];
    pn_error e;
    if (!PyArg_ParseTuple(args, "LLOOOOLLLpLdddKL:encoder_run", &width, &hidden, &schedule, &w, &b, &progress, &cycles, &distance, &steady, &connected,
                          &repeats, &c.off, &c.on, &c.step, &seed, &now) ||
        !read_schedule(schedule, &c.schedule))
        return NULL;
    if (width < 1 || hidden < 1 || width > 256 || hidden > 256 || repeats < 1 || c.schedule.looks < 1)
        return PyErr_Format(PyExc_ValueError, "an encoder needs units, repeats and looks: got width %lld, hidden %lld, repeats %lld", width, hidden, repeats);
    const int64_t n = 2 * width + hidden;
    c.w = pn_py_array(w, &(pn_py_want){.name = "w", .typenum = NPY_FLOAT64, .rank = 3, .dim = {-1, n, n}, .writable = true}, shape);
    if (!c.w) return NULL;
    c.experiments = shape[0];
    c.b = array_of(b, "b", NPY_FLOAT64, 2, DIM(c.experiments, n), &failed);
    c.progress = array_of(progress, "progress", NPY_INT64, 2, DIM(c.experiments, 3), &failed);
    if (failed) return NULL;
    c.width = width, c.hidden = hidden, c.cycles = cycles, c.distance = distance, c.steady = steady, c.connected = connected, c.repeats = repeats,
    c.seed = seed;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    const pn_status status = pn_encoder_run(&c, now, &poll, &e);
    pn_py_acquire(token);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

PyMethodDef pn_py_machine_methods[] = {
    {"bm_train", bm_train, METH_VARARGS, train_doc},
    {"bm_sample", bm_sample, METH_VARARGS, sample_doc},
    {"bm_enumerate", bm_enumerate, METH_VARARGS, enumerate_doc},
    {"encoder_run", encoder_run, METH_VARARGS, encoder_doc},
    {NULL, NULL, 0, NULL},
};
