/* Sampling and annealing as Python sees them: `_core.Sampler`, an engine with its replicas and the run it is in. */
#include <math.h>
#include <string.h>

#include "python/plan_types.h"
#include "python/sampler_types.h"

static PyTypeObject *sampler_type;

/* ---- words for numbers ---- */

static const char *const methods[] = {"single", "wolff", "swendsen_wang", "rejection_free", NULL};
static const char *const rules[] = {"metropolis", "glauber", "lecture", NULL};
static const char *const orders[] = {"any", "random", "sequential", "checkerboard", NULL};

static bool find_word(const char *what, const char *word, const char *const *words, int *number) {
    for (int i = 0; words[i]; i++) {
        if (strcmp(word, words[i])) continue;
        *number = i;
        return true;
    }
    PyErr_Format(PyExc_ValueError, "%s '%s' is not known", what, word);
    return false;
}

/* (method, rule, order, replicas, own_temperatures) */
static bool read_task(PyObject *tuple, pn_task *task) {
    const char *method, *rule, *order;
    long long replicas;
    int own, a, b, c;
    if (!PyTuple_Check(tuple)) {
        PyErr_SetString(PyExc_TypeError, "task must be a tuple (method, rule, order, replicas, own_temperatures)");
        return false;
    }
    if (!PyArg_ParseTuple(tuple, "sssLp:task", &method, &rule, &order, &replicas, &own)) return false;
    if (!find_word("method", method, methods, &a) || !find_word("rule", rule, rules, &b) || !find_word("order", order, orders, &c)) return false;
    if (replicas < 1 || replicas > INT32_MAX) {
        PyErr_Format(PyExc_ValueError, "replicas must be from 1 to %d, got %lld", INT32_MAX, replicas);
        return false;
    }
    *task = (pn_task){.method = (pn_method)a, .rule = (pn_rule)b, .order = (pn_order)c, .replicas = replicas, .own_temperatures = own};
    return true;
}

/* ---- making one ---- */

PyDoc_STRVAR(sampler_doc, "sampler(couplings, task, seed, engine, /)\n--\n\n"
                          "A Sampler: task is (method, rule, order, replicas, own_temperatures), engine a name or None for the first that takes it.\n"
                          "Spins are all +1 until they are put or scattered.");
static PyObject *sampler(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *couplings, *words;
    unsigned long long seed;
    const char *name;
    pn_task task;
    if (!PyArg_ParseTuple(args, "OOKz:sampler", &couplings, &words, &seed, &name)) return NULL;
    const pn_couplings *m = pn_py_couplings_get(couplings);
    if (!m || !read_task(words, &task)) return NULL;
    task.seed = seed;
    pn_py_sampler *self = (pn_py_sampler *)PyType_GenericAlloc(sampler_type, 0);
    if (!self) return NULL;
    self->couplings = Py_NewRef(couplings);
    pn_error e;
    void *token = pn_py_release_for((double)m->n * (double)task.replicas);
    pn_status status = pn_engine_open(&self->s.engine, m, &task, name, &e);
    int8_t *up = status ? NULL : pn_alloc((size_t)m->n);
    if (up) {
        memset(up, 1, (size_t)m->n);
        for (int64_t r = 0; r < task.replicas; r++) self->s.engine->type->put(self->s.engine, r, up);
    } else if (!status) {
        status = pn_fail(&e, PN_E_MEMORY, "no memory for %lld spins", (long long)m->n);
    }
    pn_free(up);
    pn_py_acquire(token);
    if (!status) return (PyObject *)self;
    Py_DECREF(self);
    return pn_py_raise(&e);
}

static void forget_run(pn_py_sampler *self) {
    pn_sampler_close(&self->s);
    for (int i = 0; i < PN_PY_SAMPLER_ARRAYS; i++) Py_CLEAR(self->arrays[i]);
    Py_CLEAR(self->ladder);
    self->begun = false;
}

static void sampler_dealloc(PyObject *o) {
    pn_py_sampler *self = (pn_py_sampler *)o;
    PyTypeObject *type = Py_TYPE(o);
    forget_run(self);
    pn_engine_close(self->s.engine);
    Py_CLEAR(self->couplings);
    PyObject_Free(o);
    Py_DECREF((PyObject *)type);
}

/* ---- spins and streams ---- */

static int8_t *spins_of(PyObject *o, const pn_engine *g, bool writable) {
    return pn_py_array(o, &(pn_py_want){.name = "spins", .typenum = NPY_INT8, .rank = 2, .dim = {g->task.replicas, g->m->n}, .writable = writable}, NULL);
}

/* Row by row, so that signals are heard; get: from the engine to `data`. */
static PyObject *move_spins(pn_py_sampler *self, int8_t *data, bool get) {
    pn_engine *g = self->s.engine;
    for (int64_t r = 0; r < g->task.replicas; r++) {
        if (r % 256 == 0 && PyErr_CheckSignals()) return NULL;
        int8_t *row = data + r * g->m->n;
        for (int64_t i = 0; !get && i < g->m->n; i++) {
            if (row[i] != 1 && row[i] != -1) return PyErr_Format(PyExc_ValueError, "spins must be -1 or +1, got %d", row[i]);
        }
        if (get)
            g->type->get(g, r, row);
        else
            g->type->put(g, r, row);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(put_doc, "put(spins, /)\n--\n\nTakes spins int8 (replicas, n).");
static PyObject *put(PyObject *o, PyObject *spins) {
    pn_py_sampler *self = (pn_py_sampler *)o;
    int8_t *data = spins_of(spins, self->s.engine, false);
    if (!data || !pn_py_take(&self->busy, "Sampler")) return NULL;
    PyObject *done = move_spins(self, data, false);
    self->busy = false;
    return done;
}

PyDoc_STRVAR(get_doc, "get(spins, /)\n--\n\nWrites the spins into an array int8 (replicas, n).");
static PyObject *get(PyObject *o, PyObject *spins) {
    pn_py_sampler *self = (pn_py_sampler *)o;
    int8_t *data = spins_of(spins, self->s.engine, true);
    if (!data || !pn_py_take(&self->busy, "Sampler")) return NULL;
    PyObject *done = move_spins(self, data, true);
    self->busy = false;
    return done;
}

PyDoc_STRVAR(scatter_doc, "scatter()\n--\n\nRandom spins in all replicas, decided by the seed.");
static PyObject *scatter(PyObject *o, PyObject *ignored) {
    (void)ignored;
    pn_py_sampler *self = (pn_py_sampler *)o;
    pn_engine *g = self->s.engine;
    pn_error e;
    pn_poll poll;
    if (!pn_py_take(&self->busy, "Sampler")) return NULL;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)g->m->n * (double)g->task.replicas);
    const pn_status status = pn_sampler_scatter(g, g->task.seed, &poll, &e);
    pn_py_acquire(token);
    self->busy = false;
    return status ? pn_py_raise(&e) : Py_NewRef(Py_None);
}

static uint64_t *streams_of(PyObject *o, const pn_engine *g, bool writable) {
    return pn_py_array(o, &(pn_py_want){.name = "streams", .typenum = NPY_UINT64, .rank = 1, .dim = {g->n_streams}, .writable = writable}, NULL);
}

PyDoc_STRVAR(get_streams_doc, "get_streams(streams, /)\n--\n\nWrites the state of all random numbers into an array uint64 (n_streams).");
static PyObject *get_streams(PyObject *o, PyObject *streams) {
    const pn_py_sampler *self = (pn_py_sampler *)o;
    uint64_t *data = streams_of(streams, self->s.engine, true);
    if (!data) return NULL;
    memcpy(data, self->s.engine->streams, (size_t)self->s.engine->n_streams * sizeof *data);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_streams_doc, "set_streams(streams, /)\n--\n\nTakes the state of all random numbers, uint64 (n_streams), as get_streams wrote it.");
static PyObject *set_streams(PyObject *o, PyObject *streams) {
    pn_py_sampler *self = (pn_py_sampler *)o;
    const uint64_t *data = streams_of(streams, self->s.engine, false);
    if (!data || !pn_py_take(&self->busy, "Sampler")) return NULL;
    memcpy(self->s.engine->streams, data, (size_t)self->s.engine->n_streams * sizeof *data);
    self->busy = false;
    Py_RETURN_NONE;
}

/* ---- runs ---- */

static bool are_temperatures(const double *t, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(t[i]) && t[i] > 0) continue;
        PyErr_SetString(PyExc_ValueError, "temperatures must be finite and greater than 0");
        return false;
    }
    return true;
}

/* What a run is given, before anything of it is kept. */
typedef struct plan {
    long long sweeps, burn_in, every;
    PyObject *arrays[3]; /* temperatures, energy, magnetization */
    const double *t;
    double *energy, *magnetization;
    int64_t shape[2], records[2];
} plan;

static bool read_plan(PyObject *args, const pn_engine *g, plan *p) {
    const int64_t replicas = g->task.replicas;
    if (!PyArg_ParseTuple(args, "LOLLOO:begin", &p->sweeps, &p->arrays[0], &p->burn_in, &p->every, &p->arrays[1], &p->arrays[2])) return false;
    p->t = pn_py_array(p->arrays[0], &(pn_py_want){.name = "temperatures", .typenum = NPY_FLOAT64, .rank = 2, .dim = {-1, -1}}, p->shape);
    if (!p->t) return false;
    const pn_py_want energy = {.name = "energy", .typenum = NPY_FLOAT64, .rank = 2, .dim = {replicas, -1}, .writable = true};
    p->energy = pn_py_array(p->arrays[1], &energy, p->records);
    if (!p->energy) return false;
    const pn_py_want magnetization = {.name = "magnetization", .typenum = NPY_FLOAT64, .rank = 2, .dim = {replicas, p->records[1]}, .writable = true};
    p->magnetization = pn_py_array(p->arrays[2], &magnetization, NULL);
    if (!p->magnetization) return false;
    const bool each = g->task.own_temperatures && p->shape[1] == replicas;
    if (p->shape[0] < 1 || (p->shape[1] != 1 && !each)) {
        PyErr_Format(PyExc_ValueError, "temperatures must be (rows, 1)%s, got (%lld, %lld)", g->task.own_temperatures ? " or (rows, replicas)" : "",
                     (long long)p->shape[0], (long long)p->shape[1]);
        return false;
    }
    if (p->sweeps < 0 || p->sweeps >> 53 || p->burn_in < 0 || p->burn_in > p->sweeps || p->every < 0) {
        PyErr_SetString(PyExc_ValueError, "sweeps, burn_in and every must not be negative, and burn_in is part of sweeps");
        return false;
    }
    return are_temperatures(p->t, p->shape[0] * p->shape[1]);
}

static void keep_plan(pn_py_sampler *self, const plan *p) {
    pn_sampler *s = &self->s;
    *s = (pn_sampler){.engine = s->engine,
                      .sweeps = p->sweeps,
                      .temperatures = {p->t, p->shape[0], p->shape[1]},
                      .records = {.burn_in = p->burn_in, .every = p->every, .count = p->records[1], .energy = p->energy, .magnetization = p->magnetization}};
    for (int i = 0; i < 3; i++) self->arrays[i] = Py_NewRef(p->arrays[i]);
}

PyDoc_STRVAR(begin_doc,
             "begin(sweeps, temperatures, burn_in, every, energy, magnetization, /)\n--\n\n"
             "Gets ready for a run of so many sweeps, the burn-in included. temperatures float64 (rows, 1 or replicas): sweep t takes row\n"
             "min(t, rows - 1). Record k is written into energy and magnetization, float64 (replicas, records), after burn_in + (k + 1) every sweeps.");
static PyObject *begin(PyObject *o, PyObject *args) {
    pn_py_sampler *self = (pn_py_sampler *)o;
    plan p;
    pn_error e;
    if (!read_plan(args, self->s.engine, &p) || !pn_py_take(&self->busy, "Sampler")) return NULL;
    forget_run(self);
    keep_plan(self, &p);
    const pn_status status = pn_sampler_open(&self->s, pn_threads_get(), &e);
    self->begun = !status;
    self->busy = false;
    return status ? pn_py_raise(&e) : Py_NewRef(Py_None);
}

PyDoc_STRVAR(run_doc, "run(seconds, /)\n--\n\n"
                      "Goes on for about so many seconds, or to the end; returns how many sweeps are done in all. When a signal's handler raises, the\n"
                      "run is over: `done` sweeps are complete in all replicas.");
static PyObject *run(PyObject *o, PyObject *seconds) {
    pn_py_sampler *self = (pn_py_sampler *)o;
    const double budget = PyFloat_AsDouble(seconds);
    pn_error e;
    pn_poll poll;
    if (budget == -1 && PyErr_Occurred()) return NULL;
    if (!self->begun) return PyErr_Format(PyExc_RuntimeError, "begin comes before run");
    if (!pn_py_take(&self->busy, "Sampler")) return NULL;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    const pn_status status = pn_sampler_run(&self->s, budget, &poll, &e);
    pn_py_acquire(token);
    self->busy = false;
    return status ? pn_py_raise(&e) : PyLong_FromLongLong(self->s.done);
}

PyDoc_STRVAR(measure_doc, "measure(energy, magnetization, /)\n--\n\nWrites E(s) and the mean spin of all replicas into two arrays float64 (replicas).");
static PyObject *measure(PyObject *o, PyObject *args) {
    pn_py_sampler *self = (pn_py_sampler *)o;
    const pn_engine *g = self->s.engine;
    PyObject *first, *second;
    if (!PyArg_ParseTuple(args, "OO:measure", &first, &second)) return NULL;
    pn_py_want want = {.name = "energy", .typenum = NPY_FLOAT64, .rank = 1, .dim = {g->task.replicas}, .writable = true};
    double *energy = pn_py_array(first, &want, NULL);
    want.name = "magnetization";
    double *magnetization = energy ? pn_py_array(second, &want, NULL) : NULL;
    if (!magnetization || !pn_py_take(&self->busy, "Sampler")) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)g->m->n * (double)g->task.replicas);
    const pn_status status = pn_sampler_measure(g, energy, magnetization, &poll, &e);
    pn_py_acquire(token);
    self->busy = false;
    return status ? pn_py_raise(&e) : Py_NewRef(Py_None);
}

/* ---- attributes ---- */

static PyObject *get_number(PyObject *o, void *which) {
    const pn_sampler *s = &((pn_py_sampler *)o)->s;
    const pn_engine *g = s->engine;
    switch (*(const char *)which) {
    case 'd': return PyLong_FromLongLong(s->done);
    case 's': return PyLong_FromLongLong(g->n_streams);
    case 'r': return PyLong_FromLongLong(g->task.replicas);
    case 'p': return PyLong_FromUnsignedLongLong(pn_sampler_total(g, g->proposed));
    case 'a': return PyLong_FromUnsignedLongLong(pn_sampler_total(g, g->accepted));
    default: return PyUnicode_FromString(g->type->name);
    }
}

/* ---- engines by name ---- */

PyDoc_STRVAR(engine_names_doc, "engine_names()\n--\n\nNames of all engines, in the order of choice.");
static PyObject *engine_names(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    PyObject *list = PyList_New(0);
    for (const pn_engine_type *const *t = pn_engine_types(); list && *t; t++) {
        PyObject *name = PyUnicode_FromString((*t)->name);
        if (!name || PyList_Append(list, name)) Py_CLEAR(list);
        Py_XDECREF(name);
    }
    PyObject *names = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return names;
}

PyDoc_STRVAR(engine_takes_doc, "engine_takes(couplings, task, engine, /)\n--\n\nWhether the engine of that name takes the task; see sampler.");
static PyObject *engine_takes(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *couplings, *words;
    const char *name;
    pn_task task;
    if (!PyArg_ParseTuple(args, "OOs:engine_takes", &couplings, &words, &name)) return NULL;
    const pn_couplings *m = pn_py_couplings_get(couplings);
    if (!m || !read_task(words, &task)) return NULL;
    for (const pn_engine_type *const *t = pn_engine_types(); *t; t++) {
        if (!strcmp((*t)->name, name)) return PyBool_FromLong((*t)->takes(m, &task));
    }
    return PyErr_Format(PyExc_ValueError, "there is no engine '%s'", name);
}

static PyMethodDef sampler_methods[] = {{"put", put, METH_O, put_doc},
                                        {"get", get, METH_O, get_doc},
                                        {"scatter", scatter, METH_NOARGS, scatter_doc},
                                        {"get_streams", get_streams, METH_O, get_streams_doc},
                                        {"set_streams", set_streams, METH_O, set_streams_doc},
                                        {"begin", begin, METH_VARARGS, begin_doc},
                                        {"run", run, METH_O, run_doc},
                                        {"measure", measure, METH_VARARGS, measure_doc},
                                        {"temper", pn_py_sampler_temper, METH_VARARGS, pn_py_sampler_temper_doc},
                                        {"populate", pn_py_sampler_populate, METH_VARARGS, pn_py_sampler_populate_doc},
                                        {NULL, NULL, 0, NULL}};
static PyGetSetDef members[] = {{"done", get_number, NULL, "Sweeps of this run that all replicas have behind them.", "d"},
                                {"n_streams", get_number, NULL, "Words of the state of all random numbers.", "s"},
                                {"replicas", get_number, NULL, "Number of replicas.", "r"},
                                {"proposals", get_number, NULL, "Proposals so far.", "p"},
                                {"acceptances", get_number, NULL, "Flips so far.", "a"},
                                {"engine", get_number, NULL, "Name of the engine.", "e"},
                                {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot slots[] = {{Py_tp_dealloc, sampler_dealloc},
                              {Py_tp_methods, sampler_methods},
                              {Py_tp_getset, members},
                              {Py_tp_doc, "Replicas of a spin model in an engine, and the run they are in; made by sampler."},
                              {0, NULL}};
static PyType_Spec spec = {
    .name = "pyneuro._core.Sampler", .basicsize = sizeof(pn_py_sampler), .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, .slots = slots};

int pn_py_add_sampler(PyObject *module) {
    sampler_type = pn_py_add_type(module, &spec);
    return sampler_type ? 0 : -1;
}

PyMethodDef pn_py_ising_methods[] = {
    {"sampler", sampler, METH_VARARGS, sampler_doc},
    {"engine_names", engine_names, METH_NOARGS, engine_names_doc},
    {"engine_takes", engine_takes, METH_VARARGS, engine_takes_doc},
    {NULL, NULL, 0, NULL},
};
