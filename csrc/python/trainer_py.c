/* Trainer: the epoch loop over arrays, with the GIL released; and the checks of data before it. */
#include "python/plan_types.h"
#include "train/guard.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/check.h"

PyTypeObject *pn_py_trainer_type;

typedef struct pn_py_trainer {
    PyObject_HEAD pn_trainer *t;
    PyObject *plan, *tail, *optimizer; /* owned; NULL where absent */
    PyObject *arrays;                  /* tuple that keeps the data alive */
    PyObject *augment;                 /* numbers of the list of changes, or NULL */
    PyObject *outputs;                 /* list of arrays that a prediction fills, or NULL */
    int n_outputs;
} pn_py_trainer;

static void trainer_dealloc(PyObject *o) {
    pn_py_trainer *self = (pn_py_trainer *)o;
    PyTypeObject *type = Py_TYPE(o);
    pn_trainer_free(self->t);
    Py_XDECREF(self->plan);
    Py_XDECREF(self->tail);
    Py_XDECREF(self->optimizer);
    Py_XDECREF(self->arrays);
    Py_XDECREF(self->augment);
    Py_XDECREF(self->outputs);
    PyObject_Free(o);
    Py_DECREF((PyObject *)type);
}

/* ---- making one ---- */

static pn_plan *plan_of(PyObject *o) { return o ? ((pn_py_plan *)o)->p : NULL; }

static bool is_plan(PyObject *o, const char *name) {
    if (o == Py_None || Py_TYPE(o) == pn_py_plan_type) return true;
    PyErr_Format(PyExc_TypeError, "%s is of type %R, expected a Plan or None", name, (PyObject *)Py_TYPE(o));
    return false;
}

/* The rows of array i must be what plan expects. */
static bool fits(const pn_plan *p, int i, const pn_source *s, int64_t batch) {
    if (!p) return true;
    const pn_shape *want = pn_plan_input_shape(p, i);
    char text[256];
    if (want->rank > 0 && want->dim[0] == batch && s->row_size * batch == pn_shape_size(want)) return true;
    PyErr_Format(PyExc_ValueError, "rows of array %d have %lld elements, which do not make batches of shape %s", i, (long long)s->row_size,
                 pn_shape_text(want, text));
    return false;
}

static bool read_sources(pn_py_trainer *self, pn_trainer_spec *spec, pn_source *sources) {
    const int64_t left = spec->rows % spec->batch;
    for (int i = 0; i < spec->n_sources; i++) {
        char name[32];
        snprintf(name, sizeof name, "array %d", i);
        if (!pn_py_source_init(&sources[i], PyTuple_GetItem(self->arrays, i), name)) return false;
        if (sources[i].rows != spec->rows) {
            PyErr_Format(PyExc_ValueError, "array %d has %lld rows, array 0 has %lld", i, (long long)sources[i].rows, (long long)spec->rows);
            return false;
        }
        if (!fits(spec->plan, i, &sources[i], spec->batch) || !fits(spec->tail, i, &sources[i], left)) return false;
    }
    return true;
}

static bool check_spec(const pn_py_trainer *self, const pn_trainer_spec *s) {
    const pn_plan *any = s->plan ? s->plan : s->tail;
    if (!any) {
        PyErr_SetString(PyExc_ValueError, "there is no plan to run");
    } else if (s->n_sources != pn_plan_inputs(any) || (s->tail && s->n_sources != pn_plan_inputs(s->tail))) {
        PyErr_Format(PyExc_ValueError, "the plan takes %d arrays, got %d", pn_plan_inputs(any), s->n_sources);
    } else if (s->batch < 1 || s->rows < 1) {
        PyErr_Format(PyExc_ValueError, "%lld rows in batches of %lld cannot be run", (long long)s->rows, (long long)s->batch);
    } else if ((!s->plan && s->rows >= s->batch) || (!s->tail && !s->drop_last && s->rows % s->batch)) {
        PyErr_Format(PyExc_ValueError, "a plan is missing for %lld rows in batches of %lld", (long long)s->rows, (long long)s->batch);
    } else if ((s->plan && !pn_plan_valid(s->plan)) || (s->tail && !pn_plan_valid(s->tail)) || (s->optimizer && !pn_optimizer_fits(s->optimizer))) {
        PyErr_SetString(PyExc_RuntimeError, "parameters got new memory after the plan was built");
    } else if (s->optimizer && (((pn_py_plan *)(self->plan ? self->plan : self->tail))->optimizer != self->optimizer ||
                                (self->tail && ((pn_py_plan *)self->tail)->optimizer != self->optimizer))) {
        PyErr_SetString(PyExc_ValueError, "the plan was built for another optimizer");
    } else {
        return true;
    }
    return false;
}

/* The sums are of outputs with one element. */
static bool check_outputs(pn_py_trainer *self, bool collect) {
    const pn_plan *any = plan_of(self->plan ? self->plan : self->tail);
    self->n_outputs = pn_plan_outputs(any);
    if (!collect && self->n_outputs > PN_TRAINER_OUTPUTS) {
        PyErr_Format(PyExc_ValueError, "there are %d losses and metrics, at most %d can be followed", self->n_outputs, PN_TRAINER_OUTPUTS);
        return false;
    }
    for (int i = 0; i < self->n_outputs; i++) {
        const pn_shape *s = &pn_plan_output(any, i)->shape;
        char text[256];
        const bool rows = s->rank > 0 && s->dim[0] == pn_plan_input_shape(any, 0)->dim[0], scalar = pn_shape_size(s) == 1 && s->dtype != PN_I64;
        if (collect ? rows : scalar) continue;
        PyErr_Format(PyExc_ValueError, "output %d of the network has shape %s, expected %s", i, pn_shape_text(s, text),
                     collect ? "one row for each sample" : "a single real number");
        return false;
    }
    return true;
}

/* Arrays (rows, ...) for predictions, and where they lie. */
static void **make_outputs(pn_py_trainer *self, int64_t rows) {
    const pn_plan *any = plan_of(self->plan ? self->plan : self->tail);
    void **data = pn_alloc((size_t)self->n_outputs * sizeof *data);
    self->outputs = PyList_New(self->n_outputs);
    if (!data || !self->outputs) goto failed;
    for (int i = 0; i < self->n_outputs; i++) {
        pn_shape s = pn_plan_output(any, i)->shape;
        s.dim[0] = rows;
        PyObject *array = pn_py_array_new(&s);
        if (!array) goto failed;
        data[i] = PyArray_DATA((PyArrayObject *)array);
        if (PyList_SetItem(self->outputs, i, array)) goto failed;
    }
    return data;
failed:
    pn_free(data);
    if (!PyErr_Occurred()) PyErr_NoMemory();
    return NULL;
}

/* The changes must leave the size of the pictures as the plan knows it. */
static bool read_augment(pn_py_trainer *self, pn_trainer_spec *spec, PyObject *augment, const pn_source *s) {
    pn_augment *a = &spec->augment;
    self->augment = pn_py_augment_read(augment, spec->seed, a);
    if (!self->augment) return false;
    if (a->c * a->h * a->w == s->row_size && a->oh == a->h && a->ow == a->w &&
        pn_plan_input_shape(plan_of(self->plan ? self->plan : self->tail), 0)->dtype != PN_I64)
        return true;
    PyErr_Format(PyExc_ValueError, "augment makes pictures of %lld x %lld pixels of rows with %lld elements: their size must stay", (long long)a->oh,
                 (long long)a->ow, (long long)s->row_size);
    return false;
}

static bool make_trainer(pn_py_trainer *self, pn_trainer_spec *spec, bool collect, PyObject *augment) {
    pn_error e;
    bool done = false;
    void **outputs = NULL;
    spec->n_sources = (int)PyTuple_Size(self->arrays);
    spec->plan = plan_of(self->plan);
    spec->tail = plan_of(self->tail);
    spec->optimizer = self->optimizer ? ((pn_py_optimizer *)self->optimizer)->o : NULL;
    PyObject *first = spec->n_sources ? PyTuple_GetItem(self->arrays, 0) : NULL;
    spec->rows = first && PyArray_Check(first) && PyArray_NDIM((PyArrayObject *)first) ? PyArray_DIM((PyArrayObject *)first, 0) : 0;
    pn_source *sources = pn_alloc((size_t)spec->n_sources * sizeof *sources);
    spec->sources = sources;
    if (!sources) PyErr_NoMemory();
    if (!sources || !check_spec(self, spec) || !check_outputs(self, collect) || !read_sources(self, spec, sources)) goto end;
    if (augment && !read_augment(self, spec, augment, &sources[0])) goto end;
    if (collect && !(outputs = make_outputs(self, spec->rows))) goto end;
    spec->collect = outputs;
    done = pn_trainer_new(spec, &self->t, &e) == PN_OK;
    if (!done) pn_py_raise(&e);
end:
    pn_free(sources);
    pn_free(outputs);
    return done;
}

PyDoc_STRVAR(trainer_doc, "Trainer(plan, tail, arrays, optimizer=None, batch=32, seed=0, shuffle=False, drop_last=False, collect=False,\n"
                          "        input_max=inf, clip_norm=0.0, grad_below=0.0, step_below=0.0, augment=None)\n--\n\n"
                          "Runs epochs over arrays in batches: plan for whole ones, tail for the last one. Without an optimizer it evaluates; with\n"
                          "collect it predicts. augment: (numbers, (channels, height, width)) of the pictures of array 0, see augment.h.");
static PyObject *trainer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"plan",    "tail",      "arrays",    "optimizer",  "batch",      "seed",    "shuffle", "drop_last",
                            "collect", "input_max", "clip_norm", "grad_below", "step_below", "augment", NULL};
    PyObject *plan, *tail, *arrays, *optimizer = Py_None, *augment = Py_None;
    long long batch = 32;
    unsigned long long seed = 0;
    int shuffle = 0, drop_last = 0, collect = 0;
    pn_trainer_spec spec = {.input_max = (double)INFINITY};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO!|OLKpppddddO:Trainer", names, &plan, &tail, &PyTuple_Type, &arrays, &optimizer, &batch, &seed, &shuffle,
                                     &drop_last, &collect, &spec.input_max, &spec.clip_norm, &spec.grad_below, &spec.step_below, &augment))
        return NULL;
    if (!is_plan(plan, "plan") || !is_plan(tail, "tail")) return NULL;
    if (optimizer != Py_None && Py_TYPE(optimizer) != pn_py_optimizer_type)
        return PyErr_Format(PyExc_TypeError, "optimizer is of type %R, expected _core.Optimizer", (PyObject *)Py_TYPE(optimizer));
    pn_py_trainer *self = (pn_py_trainer *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->plan = plan == Py_None ? NULL : Py_NewRef(plan);
    self->tail = tail == Py_None ? NULL : Py_NewRef(tail);
    self->optimizer = optimizer == Py_None ? NULL : Py_NewRef(optimizer);
    self->arrays = Py_NewRef(arrays);
    spec.batch = batch;
    spec.seed = seed;
    spec.shuffle = shuffle;
    spec.drop_last = drop_last;
    if (make_trainer(self, &spec, collect, augment == Py_None ? NULL : augment)) return (PyObject *)self;
    Py_DECREF((PyObject *)self);
    return NULL;
}

/* ---- running ---- */

/* Everything that the run uses without the GIL is marked, so that another Python thread gets an error instead of a race. */
static bool take_all(pn_py_trainer *self) {
    pn_py_plan *plan = (pn_py_plan *)self->plan, *tail = (pn_py_plan *)self->tail;
    pn_py_optimizer *optimizer = (pn_py_optimizer *)self->optimizer;
    if (plan && !pn_py_take(&plan->busy, "network")) return false;
    if (tail && tail != plan && !pn_py_take(&tail->busy, "network")) goto give_plan;
    if (!optimizer || pn_py_take(&optimizer->busy, "optimizer")) return true;
    if (tail) tail->busy = false;
give_plan:
    if (plan) plan->busy = false;
    return false;
}

static void give_all(pn_py_trainer *self) {
    if (self->plan) ((pn_py_plan *)self->plan)->busy = false;
    if (self->tail) ((pn_py_plan *)self->tail)->busy = false;
    if (self->optimizer) ((pn_py_optimizer *)self->optimizer)->busy = false;
}

/* Parameters were written: a graph of teaching mode that saved them must not be swept any more. */
static void mark_written(pn_py_trainer *self) {
    pn_optimizer *o = self->optimizer ? ((pn_py_optimizer *)self->optimizer)->o : NULL;
    for (int i = 0; o && i < o->n_segments; i++) o->segments[i].param->storage->version++;
    if (o) pn_guard_trust(o);
}

static PyObject *get_log(PyObject *o, void *ignored) {
    (void)ignored;
    const pn_py_trainer *self = (pn_py_trainer *)o;
    int64_t n = 0;
    const double *log = pn_trainer_log(self->t, &n);
    const int width = self->outputs ? 0 : self->n_outputs;
    const pn_shape s = {.rank = 2, .dtype = PN_F64, .dim = {n, width}};
    PyObject *array = pn_py_array_new(&s);
    if (array && n > 0 && width > 0) memcpy(PyArray_DATA((PyArrayObject *)array), log, (size_t)(n * width) * sizeof *log);
    return array;
}

PyDoc_STRVAR(run_doc, "run(epochs, seconds, steps=0)\n--\n\n"
                      "Goes on until `epochs` are completed, about `seconds` have passed, or `steps` batches are done (0: any number).\n"
                      "Returns why it stopped: \"done\", \"time\", \"grad\" or \"step\". See log.");
static PyObject *run(PyObject *o, PyObject *args) {
    static const char *const ends[] = {"done", "time", "grad", "step"};
    pn_py_trainer *self = (pn_py_trainer *)o;
    long long epochs, steps = 0;
    double seconds;
    pn_error e = {PN_OK, ""};
    pn_run_end end;
    pn_poll poll;
    if (!PyArg_ParseTuple(args, "Ld|L:run", &epochs, &seconds, &steps) || !take_all(self)) return NULL;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    pn_status status = pn_trainer_run(self->t, epochs, seconds, steps, &poll, &end, &e);
    pn_py_acquire(token);
    give_all(self);
    mark_written(self);
    return status ? pn_py_raise(&e) : PyUnicode_FromString(ends[end]);
}

/* ---- attributes ---- */

static PyObject *get_progress(PyObject *o, void *ignored) {
    (void)ignored;
    pn_py_trainer *self = (pn_py_trainer *)o;
    const pn_progress *p = pn_trainer_progress(self->t);
    const int n = self->outputs ? 0 : self->n_outputs;
    PyObject *sums = PyList_New(n);
    for (int i = 0; sums && i < n; i++) {
        PyObject *value = PyFloat_FromDouble(p->sums[i]);
        if (!value || PyList_SetItem(sums, i, value)) Py_CLEAR(sums);
    }
    if (!sums) return NULL;
    return Py_BuildValue("{sLsLsLsdsNsdsd}", "epoch", (long long)p->epoch, "position", (long long)p->position, "step", (long long)p->step, "weight", p->weight,
                         "sums", sums, "step_norm", p->step_norm, "grad_norm", p->grad_norm);
}

static int set_progress(PyObject *o, PyObject *value, void *ignored) {
    (void)ignored;
    pn_py_trainer *self = (pn_py_trainer *)o;
    pn_progress p = *pn_trainer_progress(self->t);
    long long epoch, position, step;
    PyObject *sums;
    if (!value || !PyArg_ParseTuple(value, "LLLdO!:progress", &epoch, &position, &step, &p.weight, &PyList_Type, &sums)) {
        if (!value) PyErr_SetString(PyExc_TypeError, "progress cannot be deleted");
        return -1;
    }
    if (epoch < 0 || position < 0 || step < 0 || PyList_Size(sums) != self->n_outputs) {
        PyErr_Format(PyExc_ValueError, "progress does not fit: expected counts from 0 and %d sums", self->n_outputs);
        return -1;
    }
    p.epoch = epoch;
    p.position = position;
    p.step = step;
    for (int i = 0; i < self->n_outputs; i++) {
        p.sums[i] = PyFloat_AsDouble(PyList_GetItem(sums, i));
        if (p.sums[i] == -1 && PyErr_Occurred()) return -1;
    }
    *pn_trainer_progress(self->t) = p;
    return 0;
}

static PyObject *get_outputs(PyObject *o, void *ignored) {
    (void)ignored;
    PyObject *outputs = ((pn_py_trainer *)o)->outputs;
    return Py_NewRef(outputs ? outputs : Py_None);
}

/* ---- checks ---- */

PyDoc_STRVAR(check_finite_doc, "check_finite(array, dtype, /)\n--\n\n"
                               "(largest |x| as numbers of dtype, first row that is not finite or None).");
static PyObject *check_finite(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *array, *name;
    pn_source s;
    double max;
    int64_t row;
    if (!PyArg_ParseTuple(args, "OO:check_finite", &array, &name)) return NULL;
    const int dtype = pn_py_dtype(name);
    if (dtype == -2 || !pn_py_source_init(&s, array, "array")) return NULL;
    if (dtype != PN_F32 && dtype != PN_F64) return PyErr_Format(PyExc_TypeError, "check_finite needs dtype float32 or float64");
    void *token = pn_py_release_for((double)s.rows * (double)s.row_size);
    const bool fine = pn_source_max(&s, dtype, &max, &row);
    pn_py_acquire(token);
    if (!fine) return PyErr_NoMemory();
    return row < 0 ? Py_BuildValue("dO", max, Py_None) : Py_BuildValue("dL", max, (long long)row);
}

PyDoc_STRVAR(check_labels_doc,
             "check_labels(array, classes, ignore, /)\n--\n\n"
             "None when all labels are in 0..classes-1 (or equal to ignore), else (row, label) of the first that is not. A number that is no\n"
             "integer counts as -2**63.");
static PyObject *check_labels(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *array;
    long long classes, ignore;
    pn_source s;
    int64_t row, label;
    if (!PyArg_ParseTuple(args, "OLL:check_labels", &array, &classes, &ignore) || !pn_py_source_init(&s, array, "array")) return NULL;
    void *token = pn_py_release_for((double)s.rows * (double)s.row_size);
    const bool fine = pn_source_labels(&s, classes, ignore, &row, &label);
    pn_py_acquire(token);
    if (!fine) return PyErr_NoMemory();
    if (row < 0) Py_RETURN_NONE;
    return Py_BuildValue("LL", (long long)row, (long long)label);
}

static PyMethodDef functions[] = {
    {"check_finite", check_finite, METH_VARARGS, check_finite_doc},
    {"check_labels", check_labels, METH_VARARGS, check_labels_doc},
    {NULL, NULL, 0, NULL},
};
static PyMethodDef methods[] = {{"run", run, METH_VARARGS, run_doc}, {NULL, NULL, 0, NULL}};
static PyGetSetDef attributes[] = {
    {"progress", get_progress, set_progress, "Where it stands, as a dict; set as (epoch, position, step, weight, sums) to resume.", NULL},
    {"log", get_log, NULL, "Means of the outputs over the epochs completed by the last run, (n, outputs), also after an error.", NULL},
    {"outputs", get_outputs, NULL, "The predictions: a list of arrays, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_new, trainer_new},   {Py_tp_dealloc, trainer_dealloc}, {Py_tp_methods, methods},
    {Py_tp_getset, attributes}, {Py_tp_doc, (void *)trainer_doc}, {0, NULL},
};
static PyType_Spec spec = {.name = "pyneuro._core.Trainer", .basicsize = sizeof(pn_py_trainer), .flags = Py_TPFLAGS_DEFAULT, .slots = slots};

int pn_py_add_trainer(PyObject *module) {
    pn_py_trainer_type = pn_py_add_type(module, &spec);
    return pn_py_trainer_type ? PyModule_AddFunctions(module, functions) : -1;
}
