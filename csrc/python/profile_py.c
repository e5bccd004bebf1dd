/* Plan.profile: a few measured runs, and what every instruction is. */
#include "python/plan_types.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"

typedef struct profile_run {
    pn_plan *p;
    pn_optimizer *o; /* NULL: forward only, or nothing to update */
    pn_plan_run run;
    double *seconds; /* (repeats, n + 2) */
    int n, repeats;
    char *scratch;
    size_t stride;
    bool good;
} profile_run;

/* One step into a row of n + 2: the instructions, the look at the gradients, the update. False on every member when it is not good. */
static bool profile_step(profile_run *s, double *row, pn_member *m) {
    if (m->index == 0) {
        s->run.seconds = row;
        s->run.status = PN_OK;
        if (s->o) pn_optimizer_prepare(s->o, pn_plan_reaches(s->p), 1);
    }
    pn_member_barrier(m);
    const double start = pn_clock();
    if (!pn_plan_step(s->p, &s->run, m)) return false;
    const double stepped = pn_clock();
    if (s->o) pn_plan_update(s->p, s->o, m);
    pn_member_barrier(m);
    if (m->index) return true;
    row[s->n] = stepped - start;
    for (int i = 0; i < s->n; i++) row[s->n] -= row[i];
    row[s->n + 1] = s->o ? pn_clock() - stepped : 0;
    if (s->o) pn_optimizer_commit(s->o, pn_plan_reaches(s->p));
    return true;
}

static void profile_member(void *context, pn_member *m) {
    profile_run *s = context;
    bool good = true;
    m->scratch = s->scratch + s->stride * (size_t)m->index;
    m->blocks = m->count > 1 ? pn_block_counts() : NULL;
    for (int r = 0; good && r < s->repeats; r++) good = profile_step(s, s->seconds + (size_t)r * (size_t)(s->n + 2), m);
    if (m->index == 0) s->good = good;
}

static bool profile_plan(profile_run *s) {
    const int threads = pn_plan_threads(s->p) < pn_threads_get() ? pn_plan_threads(s->p) : pn_threads_get();
    s->stride = (pn_plan_member_scratch(s->p) + 127) / 64 * 64;
    s->scratch = pn_alloc(s->stride * (size_t)threads);
    if (!s->scratch) return PyErr_NoMemory() != NULL;
    pn_poll poll;
    pn_plan_set_random(s->p, pn_py_context()->random);
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for(pn_plan_flops(s->p) * s->repeats);
    pn_team_run(threads, &poll, profile_member, s);
    pn_py_acquire(token);
    pn_free(s->scratch);
    if (s->good) return true;
    if (pn_poll_stopped(&poll)) pn_fail(&s->run.error, PN_E_INTERRUPTED, "interrupted");
    if (!s->run.error.status) pn_fail(&s->run.error, PN_E_NONFINITE, "the loss or a gradient is not finite");
    pn_py_raise(&s->run.error);
    return false;
}

static PyObject *describe(const pn_plan *p, int i) {
    const pn_instruction c = pn_plan_instruction(p, i);
    PyObject *shape = pn_py_shape(c.shape);
    return shape ? Py_BuildValue("(sszzsNd)", c.phase, c.op, c.activation, c.layer, c.layout, shape, c.flops) : NULL;
}

static PyObject *descriptions(const pn_plan *p) {
    PyObject *list = PyList_New(pn_plan_instructions(p));
    for (int i = 0; list && i < pn_plan_instructions(p); i++) {
        PyObject *item = describe(p, i);
        if (!item || PyList_SetItem(list, i, item)) Py_CLEAR(list);
    }
    return list;
}

const char pn_py_plan_profile_doc[] =
    "profile(repeats, *arrays)\n--\n\nMeasured runs: (list of (phase, op, activation, layer, layout, shape, FLOPs), seconds of shape (repeats, n + 2), "
    "threads).\nThe last two columns are the look at the gradients and the update. When training the optimiser updates: its learning rate must be 0.";
PyObject *pn_py_plan_profile(PyObject *o, PyObject *args) {
    pn_py_plan *self = (pn_py_plan *)o;
    pn_py_optimizer *optimizer = (pn_py_optimizer *)self->optimizer;
    const int n = (int)PyTuple_Size(args) - 1;
    const long repeats = n >= 0 ? PyLong_AsLong(PyTuple_GetItem(args, 0)) : 0;
    if (repeats == -1 && PyErr_Occurred()) return NULL;
    if (n != pn_plan_inputs(self->p) || repeats < 1 || repeats > 1 << 16)
        return PyErr_Format(PyExc_TypeError, "profile takes a number of runs from 1 to 65536, and %d arrays", pn_plan_inputs(self->p));
    if (!pn_plan_valid(self->p)) return PyErr_Format(PyExc_RuntimeError, "parameters got new memory after the plan was built");
    for (int g = 0; optimizer && g < optimizer->o->n_groups; g++)
        if (optimizer->o->groups[g].lr != 0) return PyErr_Format(PyExc_ValueError, "profile: the optimiser's learning rate must be 0");
    profile_run s = {.p = self->p, .o = optimizer ? optimizer->o : NULL, .repeats = (int)repeats, .run = {.input_max = (double)INFINITY}};
    s.n = pn_plan_instructions(s.p);
    const pn_shape shape = {.rank = 2, .dtype = PN_F64, .dim = {repeats, s.n + 2}};
    PyObject *seconds = pn_py_array_new(&shape);
    if (!seconds || !pn_py_take(&self->busy, "plan")) {
        Py_XDECREF(seconds);
        return NULL;
    }
    s.seconds = PyArray_DATA((PyArrayObject *)seconds);
    bool fine = true;
    for (int i = 0; fine && i < n; i++) fine = pn_py_plan_feed(s.p, i, PyTuple_GetItem(args, i + 1));
    fine = fine && profile_plan(&s);
    self->busy = false;
    PyObject *list = fine ? descriptions(s.p) : NULL;
    PyObject *result = list ? Py_BuildValue("(OOi)", list, seconds, pn_plan_threads(s.p) < pn_threads_get() ? pn_plan_threads(s.p) : pn_threads_get()) : NULL;
    Py_XDECREF(list);
    Py_DECREF(seconds);
    return result;
}
