/* Recorder and Plan: from a run of the user's Python code to a compiled network. */
#include "python/plan_types.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

PyTypeObject *pn_py_recorder_type, *pn_py_plan_type;

PyTypeObject *pn_py_add_type(PyObject *module, PyType_Spec *spec) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddObjectRef(module, strrchr(spec->name, '.') + 1, type) == 0) return (PyTypeObject *)type;
    Py_XDECREF(type);
    return NULL;
}

bool pn_py_take(bool *busy, const char *what) {
    if (*busy) {
        PyErr_Format(PyExc_RuntimeError, "this %s is in use by a run in another thread", what);
        return false;
    }
    return *busy = true;
}

/* ---- Recorder ---- */

static void recorder_stop(pn_py_recorder *r) {
    pn_context *ctx = pn_py_context();
    if (!r->open) return;
    r->open = false;
    if (ctx->recording == r->recording) ctx->recording = NULL;
    pn_recording_end(r->recording);
    ctx->ordinal = r->ordinal;
}

static void recorder_dealloc(PyObject *o) {
    pn_py_recorder *r = (pn_py_recorder *)o;
    PyTypeObject *type = Py_TYPE(o);
    recorder_stop(r);
    pn_recording_free(r->recording);
    PyObject_Free(o);
    Py_DECREF((PyObject *)type);
}

static PyObject *recorder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Recorder", names)) return NULL;
    pn_error e;
    pn_py_recorder *r = (pn_py_recorder *)PyType_GenericAlloc(type, 0);
    if (!r) return NULL;
    r->recording = pn_recording_new(&e);
    if (!r->recording) {
        Py_DECREF((PyObject *)r);
        return pn_py_raise(&e);
    }
    return (PyObject *)r;
}

static PyObject *recorder_enter(PyObject *self, PyObject *ignored) {
    (void)ignored;
    pn_py_recorder *r = (pn_py_recorder *)self;
    pn_context *ctx = pn_py_context();
    if (ctx->recording || !r->recording) {
        PyErr_SetString(PyExc_RuntimeError, ctx->recording
                                                ? "fit, predict and evaluate cannot be called inside the forward, loss or pn.Function of a network that is "
                                                  "being recorded: call them before or after"
                                                : "this recording is closed");
        return NULL;
    }
    ctx->recording = r->recording;
    r->ordinal = ctx->ordinal;
    ctx->ordinal = 0; /* random nodes count from 0 in every step */
    r->open = true;
    return Py_NewRef(self);
}

static PyObject *recorder_exit(PyObject *self, PyObject *args) {
    (void)args;
    recorder_stop((pn_py_recorder *)self);
    Py_RETURN_NONE;
}

static PyObject *recorder_close(PyObject *self, PyObject *ignored) {
    (void)ignored;
    pn_py_recorder *r = (pn_py_recorder *)self;
    recorder_stop(r);
    pn_recording_free(r->recording);
    r->recording = NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(recorder_input_doc, "input(array, /)\n--\n\n"
                                 "Tensor with a copy of array that stands for an input of the network: what depends on it belongs to the recording.");
static PyObject *recorder_input(PyObject *self, PyObject *array) {
    (void)self;
    pn_tensor *t = pn_py_convert(array, -1, false); /* read while recording only, so a large batch need not be copied once more */
    if (!t) return NULL;
    t->flags |= PN_T_DEPENDS;
    return pn_py_tensor_new(t);
}

PyDoc_STRVAR(recorder_same_doc, "same(other, /)\n--\n\nWhether two recordings consist of the same operations on the same shapes and constants.");
static PyObject *recorder_same(PyObject *self, PyObject *other) {
    if (Py_TYPE(other) != pn_py_recorder_type) return PyErr_Format(PyExc_TypeError, "expected a Recorder, got %R", (PyObject *)Py_TYPE(other));
    const pn_recording *a = ((pn_py_recorder *)self)->recording, *b = ((pn_py_recorder *)other)->recording;
    return PyBool_FromLong(a && b && pn_recording_same(a, b));
}

static PyObject *recorder_dynamic(PyObject *self, void *ignored) {
    (void)ignored;
    const pn_recording *r = ((pn_py_recorder *)self)->recording;
    return PyBool_FromLong(r && r->dynamic);
}
static PyObject *recorder_reason(PyObject *self, void *ignored) {
    (void)ignored;
    const pn_recording *r = ((pn_py_recorder *)self)->recording;
    return PyUnicode_FromString(r ? r->reason : "");
}
static PyObject *recorder_nodes(PyObject *self, void *ignored) {
    (void)ignored;
    const pn_recording *r = ((pn_py_recorder *)self)->recording;
    return PyLong_FromLongLong(r ? r->n : 0);
}

static PyMethodDef recorder_methods[] = {
    {"__enter__", recorder_enter, METH_NOARGS, "Opens the recording in this thread."},
    {"__exit__", recorder_exit, METH_VARARGS, "Ends the recording; what was recorded stays."},
    {"close", recorder_close, METH_NOARGS, "close()\n--\n\nEnds the recording and frees what it holds."},
    {"input", recorder_input, METH_O, recorder_input_doc},
    {"same", recorder_same, METH_O, recorder_same_doc},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef recorder_attributes[] = {
    {"dynamic", recorder_dynamic, NULL, "Whether a value that depends on an input was read.", NULL},
    {"reason", recorder_reason, NULL, "What was read, in words.", NULL},
    {"nodes", recorder_nodes, NULL, "How many operations were recorded.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot recorder_slots[] = {
    {Py_tp_new, recorder_new},
    {Py_tp_dealloc, recorder_dealloc},
    {Py_tp_methods, recorder_methods},
    {Py_tp_getset, recorder_attributes},
    {Py_tp_doc, "Recorder()\n--\n\nRecords the operations of this thread while it is open as a context manager."},
    {0, NULL},
};
static PyType_Spec recorder_spec = {
    .name = "pyneuro._core.Recorder", .basicsize = sizeof(pn_py_recorder), .flags = Py_TPFLAGS_DEFAULT, .slots = recorder_slots};

/* ---- Plan ---- */

/* Borrowed tensors of a sequence; the caller frees with pn_free. */
static pn_tensor **tensors_of(PyObject *sequence, int *n) {
    PyObject *list = PySequence_List(sequence);
    if (!list) return NULL;
    *n = (int)PyList_Size(list);
    pn_tensor **out = pn_alloc((size_t)*n * sizeof *out);
    if (!out) PyErr_NoMemory();
    for (int i = 0; out && i < *n; i++) {
        out[i] = pn_py_tensor_get(PyList_GetItem(list, i));
        if (out[i]) continue;
        pn_free(out);
        out = NULL;
    }
    Py_DECREF(list); /* `sequence` holds the tensors */
    return out;
}

/* Hooks want to see gradients one by one, in Python: no plan can serve them. */
static bool has_hooks(const pn_recording *r, const pn_plan_spec *spec) {
    for (int i = 0; i < spec->n_segments; i++)
        if (pn_py_is_hooked(spec->segments[i].param)) return true;
    for (int64_t i = 0; spec->training && i < r->n * PN_MAX_OUT; i++)
        if (r->outs[i] && (pn_py_is_hooked(r->outs[i]) || r->outs[i]->retain_grad)) return true;
    return false;
}

static bool build(pn_py_plan *self, pn_py_recorder *r, PyObject *inputs, PyObject *outputs, pn_plan_spec *spec) {
    pn_error e = {PN_OK, ""};
    bool done = false;
    pn_tensor **in = tensors_of(inputs, &spec->n_inputs), **out = in ? tensors_of(outputs, &spec->n_outputs) : NULL;
    if (!in || !out) goto end;
    spec->inputs = in;
    spec->outputs = out;
    if (!r->recording || spec->n_outputs < 1) {
        PyErr_SetString(PyExc_RuntimeError, r->recording ? "a plan needs at least one output" : "this recording is closed");
    } else if (has_hooks(r->recording, spec)) {
        PyErr_SetString(PyExc_RuntimeError, "a tensor has gradient hooks or retain_grad, which a plan does not call");
    } else {
        done = pn_plan_build(r->recording, spec, &self->p, &e) == PN_OK;
        if (!done) pn_py_raise(&e);
    }
end:
    pn_free(in);
    pn_free(out);
    return done;
}

PyDoc_STRVAR(plan_doc, "Plan(recorder, inputs, outputs, training=False, optimizer=None, keep_gradients=False, fuse=True)\n--\n\n"
                       "A recording compiled for repeated execution. outputs[0] is the loss when training; optimizer gives the parameters.");
static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"recorder", "inputs", "outputs", "training", "optimizer", "keep_gradients", "fuse", NULL};
    PyObject *recorder, *inputs, *outputs, *optimizer = Py_None;
    int training = 0, keep = 0, fuse = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OO|pOpp:Plan", names, pn_py_recorder_type, &recorder, &inputs, &outputs, &training, &optimizer, &keep,
                                     &fuse))
        return NULL;
    if (optimizer != Py_None && Py_TYPE(optimizer) != pn_py_optimizer_type)
        return PyErr_Format(PyExc_TypeError, "optimizer is of type %R, expected _core.Optimizer", (PyObject *)Py_TYPE(optimizer));
    pn_py_plan *self = (pn_py_plan *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    pn_plan_spec spec = {.training = training, .keep_gradients = keep, .fuse = fuse};
    if (optimizer != Py_None && training) {
        self->optimizer = Py_NewRef(optimizer);
        if (!pn_optimizer_fits(((pn_py_optimizer *)optimizer)->o)) {
            PyErr_SetString(PyExc_RuntimeError, "parameters were converted to another dtype after the optimiser was made");
            Py_DECREF((PyObject *)self);
            return NULL;
        }
        spec.n_segments = ((pn_py_optimizer *)optimizer)->o->n_segments;
        spec.segments = ((pn_py_optimizer *)optimizer)->o->segments;
    }
    if (build(self, (pn_py_recorder *)recorder, inputs, outputs, &spec)) return (PyObject *)self;
    Py_DECREF((PyObject *)self);
    return NULL;
}

static void plan_dealloc(PyObject *o) {
    pn_py_plan *self = (pn_py_plan *)o;
    PyTypeObject *type = Py_TYPE(o);
    pn_plan_free(self->p);
    Py_XDECREF(self->optimizer);
    PyObject_Free(o);
    Py_DECREF((PyObject *)type);
}

/* ---- a single run ---- */

typedef struct single_run {
    pn_plan *p;
    pn_plan_run run;
    char *scratch;
    size_t stride;
    bool good;
} single_run;

static void run_member(void *context, pn_member *m) {
    single_run *s = context;
    m->scratch = s->scratch + s->stride * (size_t)m->index;
    m->blocks = m->count > 1 ? pn_block_counts() : NULL;
    const bool good = pn_plan_step(s->p, &s->run, m);
    if (m->index == 0) s->good = good;
}

bool pn_py_plan_feed(pn_plan *p, int i, PyObject *array) {
    pn_source source;
    char name[32];
    snprintf(name, sizeof name, "input %d", i);
    if (!pn_py_source_init(&source, array, name)) return false;
    const pn_shape *want = pn_plan_input_shape(p, i);
    bool fits = PyArray_NDIM((PyArrayObject *)array) == want->rank;
    for (int d = 0; fits && d < want->rank; d++) fits = PyArray_DIM((PyArrayObject *)array, d) == want->dim[d];
    char text[256];
    if (!fits) {
        PyErr_Format(PyExc_ValueError, "%s has another shape than the plan was built for, which is %s", name, pn_shape_text(want, text));
        return false;
    }
    pn_source_gather(&source, NULL, 0, source.rows, want->dtype, pn_plan_input(p, i));
    return true;
}

static PyObject *copy_view(const pn_view *v) {
    if (!v->data) Py_RETURN_NONE;
    PyObject *array = pn_py_array_new(&v->shape);
    size_t bytes = 0;
    if (array && pn_shape_bytes(&v->shape, &bytes)) memcpy(PyArray_DATA((PyArrayObject *)array), v->data, bytes);
    return array;
}

static PyObject *copies(const pn_plan *p, const pn_view *(*view)(const pn_plan *, int), int n) {
    PyObject *list = PyList_New(n);
    for (int i = 0; list && i < n; i++) {
        PyObject *array = copy_view(view(p, i));
        if (!array || PyList_SetItem(list, i, array)) Py_CLEAR(list);
    }
    return list;
}

static bool run_plan(pn_py_plan *self) {
    const int threads = pn_plan_threads(self->p) < pn_threads_get() ? pn_plan_threads(self->p) : pn_threads_get();
    single_run s = {.p = self->p, .run = {.input_max = (double)INFINITY}};
    s.stride = (pn_plan_member_scratch(self->p) + 127) / 64 * 64;
    s.scratch = pn_alloc(s.stride * (size_t)threads);
    if (!s.scratch) return PyErr_NoMemory() != NULL;
    pn_poll poll;
    pn_plan_set_random(self->p, pn_py_context()->random);
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for(pn_plan_flops(self->p));
    pn_team_run(threads, &poll, run_member, &s);
    pn_py_acquire(token);
    pn_free(s.scratch);
    if (s.good) return true;
    if (pn_poll_stopped(&poll)) pn_fail(&s.run.error, PN_E_INTERRUPTED, "interrupted");
    if (!s.run.error.status) pn_fail(&s.run.error, PN_E_NONFINITE, "the loss or a gradient is not finite");
    pn_py_raise(&s.run.error);
    return false;
}

PyDoc_STRVAR(plan_run_doc, "run(*arrays)\n--\n\nOne run; returns copies of the outputs. When training also fills the gradients, but updates nothing.");
static PyObject *plan_run(PyObject *o, PyObject *args) {
    pn_py_plan *self = (pn_py_plan *)o;
    const int n = (int)PyTuple_Size(args);
    if (!pn_plan_valid(self->p)) return PyErr_Format(PyExc_RuntimeError, "parameters got new memory after the plan was built");
    if (n != pn_plan_inputs(self->p)) return PyErr_Format(PyExc_TypeError, "the plan takes %d arrays, got %d", pn_plan_inputs(self->p), n);
    if (!pn_py_take(&self->busy, "plan")) return NULL;
    bool fine = true;
    for (int i = 0; fine && i < n; i++) fine = pn_py_plan_feed(self->p, i, PyTuple_GetItem(args, i));
    fine = fine && run_plan(self);
    self->busy = false;
    return fine ? copies(self->p, pn_plan_output, pn_plan_outputs(self->p)) : NULL;
}

PyDoc_STRVAR(plan_gradients_doc, "gradients()\n--\n\nCopies of the parameters' gradients after a run; None where fused or unreachable.");
static PyObject *plan_gradients(PyObject *o, PyObject *ignored) {
    (void)ignored;
    pn_py_plan *self = (pn_py_plan *)o;
    return copies(self->p, pn_plan_gradient, self->optimizer ? ((pn_py_optimizer *)self->optimizer)->o->n_segments : 0);
}

static PyObject *plan_text(PyObject *o, PyObject *ignored) {
    (void)ignored;
    char *text = pn_plan_text(((pn_py_plan *)o)->p);
    if (!text) return PyErr_NoMemory();
    PyObject *result = PyUnicode_FromString(text);
    pn_free(text);
    return result;
}

static PyObject *plan_output_shapes(PyObject *o, void *ignored) {
    (void)ignored;
    const pn_plan *p = ((pn_py_plan *)o)->p;
    PyObject *list = PyList_New(pn_plan_outputs(p));
    for (int i = 0; list && i < pn_plan_outputs(p); i++) {
        PyObject *shape = pn_py_shape(&pn_plan_output(p, i)->shape);
        if (!shape || PyList_SetItem(list, i, shape)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *plan_flops(PyObject *o, void *ignored) {
    (void)ignored;
    return PyFloat_FromDouble(pn_plan_flops(((pn_py_plan *)o)->p));
}
static PyObject *plan_bytes(PyObject *o, void *ignored) {
    (void)ignored;
    return PyLong_FromSize_t(pn_plan_bytes(((pn_py_plan *)o)->p));
}
static PyObject *plan_thread_bytes(PyObject *o, void *ignored) {
    (void)ignored;
    return PyLong_FromSize_t(pn_plan_member_scratch(((pn_py_plan *)o)->p));
}
static PyObject *plan_threads(PyObject *o, void *ignored) {
    (void)ignored;
    return PyLong_FromLong(pn_plan_threads(((pn_py_plan *)o)->p));
}
static PyObject *plan_fused(PyObject *o, void *ignored) {
    (void)ignored;
    return PyLong_FromLong(pn_plan_fused_updates(((pn_py_plan *)o)->p));
}
static PyObject *plan_valid(PyObject *o, void *ignored) {
    (void)ignored;
    return PyBool_FromLong(pn_plan_valid(((pn_py_plan *)o)->p));
}

static PyMethodDef plan_methods[] = {
    {"run", plan_run, METH_VARARGS, plan_run_doc},
    {"gradients", plan_gradients, METH_NOARGS, plan_gradients_doc},
    {"profile", pn_py_plan_profile, METH_VARARGS, pn_py_plan_profile_doc},
    {"text", plan_text, METH_NOARGS, "text()\n--\n\nThe list of instructions, for people."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef plan_attributes[] = {
    {"flops", plan_flops, NULL, "Floating-point operations of one run.", NULL},
    {"bytes", plan_bytes, NULL, "Bytes of all buffers.", NULL},
    {"thread_bytes", plan_thread_bytes, NULL, "Bytes of scratch that each thread needs besides.", NULL},
    {"threads", plan_threads, NULL, "Threads worth having, by shape alone.", NULL},
    {"fused", plan_fused, NULL, "Weights whose gradient is fused with their update.", NULL},
    {"valid", plan_valid, NULL, "False when it has to be built again: parameters were replaced, or another instruction set was chosen.", NULL},
    {"output_shapes", plan_output_shapes, NULL, "Shapes of the outputs.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot plan_slots[] = {
    {Py_tp_new, plan_new},           {Py_tp_dealloc, plan_dealloc}, {Py_tp_methods, plan_methods},
    {Py_tp_getset, plan_attributes}, {Py_tp_doc, (void *)plan_doc}, {0, NULL},
};
static PyType_Spec plan_spec = {.name = "pyneuro._core.Plan", .basicsize = sizeof(pn_py_plan), .flags = Py_TPFLAGS_DEFAULT, .slots = plan_slots};

int pn_py_add_plan_types(PyObject *module) {
    pn_py_recorder_type = pn_py_add_type(module, &recorder_spec);
    pn_py_plan_type = pn_py_add_type(module, &plan_spec);
    return pn_py_recorder_type && pn_py_plan_type && pn_py_add_optimizer(module) == 0 ? pn_py_add_trainer(module) : -1;
}
