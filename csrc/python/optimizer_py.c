/* Optimizer: a rule of kernels/update.def bound to parameters, as Python sees it. */
#include "python/plan_types.h"

#include <string.h>

PyTypeObject *pn_py_optimizer_type;

#define O(self) (((pn_py_optimizer *)(self))->o)

/* ---- hyperparameters ---- */

typedef struct hyper_field {
    const char *name;
    size_t offset;
    bool is_flag;
} hyper_field;
#define REAL(name) {#name, offsetof(pn_hyper, name), false}
#define FLAG(name) {#name, offsetof(pn_hyper, name), true}
static const hyper_field fields[] = {REAL(lr),  REAL(weight_decay), REAL(momentum), REAL(dampening), REAL(beta1),   REAL(beta2),
                                     REAL(eps), REAL(alpha),        REAL(lr_decay), FLAG(nesterov),  FLAG(maximize)};
#undef REAL
#undef FLAG
enum { FIELDS = sizeof fields / sizeof *fields };

/* dict[name], borrowed; NULL without an error when it is not there. (PyDict_GetItemString forgets errors.) */
static PyObject *item_of(PyObject *dict, const char *name) {
    PyObject *key = PyUnicode_FromString(name), *item = key ? PyDict_GetItemWithError(dict, key) : NULL;
    Py_XDECREF(key);
    return item;
}

static bool read_hyper(pn_hyper *h, PyObject *dict) {
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "hyperparameters are given as a dict");
        return false;
    }
    for (int i = 0; i < FIELDS; i++) {
        PyObject *value = item_of(dict, fields[i].name);
        if (!value && PyErr_Occurred()) return false;
        if (!value) continue;
        char *at = (char *)h + fields[i].offset;
        if (fields[i].is_flag) {
            const int flag = PyObject_IsTrue(value);
            if (flag < 0) return false;
            *(int *)(void *)at = flag;
        } else {
            const double number = PyFloat_AsDouble(value);
            if (number == -1 && PyErr_Occurred()) return false;
            *(double *)(void *)at = number;
        }
    }
    return true;
}

static PyObject *write_hyper(const pn_hyper *h) {
    PyObject *dict = PyDict_New();
    for (int i = 0; dict && i < FIELDS; i++) {
        const char *at = (const char *)h + fields[i].offset;
        PyObject *value = fields[i].is_flag ? PyBool_FromLong(*(const int *)(const void *)at) : PyFloat_FromDouble(*(const double *)(const void *)at);
        if (!value || PyDict_SetItemString(dict, fields[i].name, value)) Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
}

static pn_hyper *group_at(pn_optimizer *o, PyObject *number) {
    const long g = PyLong_AsLong(number);
    if (g == -1 && PyErr_Occurred()) return NULL;
    if (g < 0 || g >= o->n_groups) {
        PyErr_Format(PyExc_IndexError, "group %ld does not exist: there are %d", g, o->n_groups);
        return NULL;
    }
    return &o->groups[g];
}

/* ---- life ---- */

static int find_rule(const char *name) {
    for (int i = 0; i < PN_UPDATE_COUNT; i++)
        if (strcmp(pn_updates[i].name, name) == 0) return i;
    return -1;
}

/* Arrays that pn_optimizer_new wants, from Python sequences. */
typedef struct parts {
    pn_tensor **params;
    int *group;
    pn_hyper *hypers;
    double fill[3];
    int n, n_groups;
} parts;

static bool read_params(parts *p, PyObject *params, PyObject *groups) {
    p->n = (int)PyList_Size(params);
    p->params = pn_alloc((size_t)p->n * sizeof *p->params);
    p->group = pn_alloc((size_t)p->n * sizeof *p->group);
    if (!p->params || !p->group) return PyErr_NoMemory() != NULL;
    if (PyList_Size(groups) != p->n) {
        PyErr_Format(PyExc_ValueError, "there are %d parameters but %zd group numbers", p->n, PyList_Size(groups));
        return false;
    }
    for (int i = 0; i < p->n; i++) {
        const long g = PyLong_AsLong(PyList_GetItem(groups, i));
        p->params[i] = pn_py_tensor_get(PyList_GetItem(params, i));
        if (!p->params[i] || (g == -1 && PyErr_Occurred())) return false;
        if (g < 0 || g >= p->n_groups) {
            PyErr_Format(PyExc_IndexError, "group %ld does not exist: there are %d", g, p->n_groups);
            return false;
        }
        p->group[i] = (int)g;
    }
    return true;
}

static bool read_parts(parts *p, PyObject *params, PyObject *groups, PyObject *hypers, PyObject *fill) {
    p->n_groups = (int)PyList_Size(hypers);
    p->hypers = pn_alloc_zero((size_t)p->n_groups * sizeof *p->hypers);
    if (!p->hypers) return PyErr_NoMemory() != NULL;
    for (int g = 0; g < p->n_groups; g++)
        if (!read_hyper(&p->hypers[g], PyList_GetItem(hypers, g))) return false;
    for (Py_ssize_t k = 0; fill != Py_None && k < PyList_Size(fill) && k < 3; k++) {
        p->fill[k] = PyFloat_AsDouble(PyList_GetItem(fill, k));
        if (p->fill[k] == -1 && PyErr_Occurred()) return false;
    }
    return read_params(p, params, groups);
}

PyDoc_STRVAR(optimizer_doc, "Optimizer(rule, params, groups, hypers, fill=None)\n--\n\n"
                            "rule: a name of kernels/update.def. params: list of Tensor; groups: list with the group of each; hypers: list of dicts,\n"
                            "one a group. fill: starting values of the state arrays, zero by default.");
static PyObject *optimizer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"rule", "params", "groups", "hypers", "fill", NULL};
    const char *rule;
    PyObject *params, *groups, *hypers, *fill = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!O!O!|O:Optimizer", names, &rule, &PyList_Type, &params, &PyList_Type, &groups, &PyList_Type, &hypers,
                                     &fill))
        return NULL;
    const int index = find_rule(rule);
    if (index < 0) return PyErr_Format(PyExc_ValueError, "there is no update rule %s", rule);
    if (fill != Py_None && !PyList_Check(fill)) return PyErr_Format(PyExc_TypeError, "fill is a list of numbers or None");
    pn_py_optimizer *self = (pn_py_optimizer *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    parts p = {.n = 0};
    pn_error e;
    bool done = read_parts(&p, params, groups, hypers, fill);
    if (done && pn_optimizer_new((pn_update)index, p.n_groups, p.hypers, p.n, p.params, p.group, p.fill, &self->o, &e)) {
        pn_py_raise(&e);
        done = false;
    }
    pn_free(p.params);
    pn_free(p.group);
    pn_free(p.hypers);
    if (done) return (PyObject *)self;
    Py_DECREF((PyObject *)self);
    return NULL;
}

static void optimizer_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    pn_optimizer_free(O(o));
    PyObject_Free(o);
    Py_DECREF((PyObject *)type);
}

/* ---- methods ---- */

static bool is_idle(PyObject *self) {
    if (!((pn_py_optimizer *)self)->busy) return true;
    PyErr_SetString(PyExc_RuntimeError, "this optimizer is in use by a run in another thread");
    return false;
}

static PyObject *set_hyper(PyObject *self, PyObject *args) {
    PyObject *group, *dict;
    if (!PyArg_ParseTuple(args, "OO:set_hyper", &group, &dict) || !is_idle(self)) return NULL;
    pn_hyper *h = group_at(O(self), group), copy;
    if (!h) return NULL;
    copy = *h;
    if (!read_hyper(&copy, dict)) return NULL;
    O(self)->has_loaded |= copy.beta1 != h->beta1 || copy.beta2 != h->beta2 || copy.alpha != h->alpha;
    O(self)->safe_steps = 0;
    *h = copy;
    Py_RETURN_NONE;
}

static PyObject *get_hyper(PyObject *self, PyObject *group) {
    const pn_hyper *h = group_at(O(self), group);
    return h ? write_hyper(h) : NULL;
}

static PyObject *step(PyObject *self, PyObject *args) {
    double scale = 1, largest = -1;
    int failed = -1;
    pn_error e;
    if (!PyArg_ParseTuple(args, "|dd:step", &scale, &largest) || !is_idle(self)) return NULL;
    const pn_status status = pn_optimizer_step(O(self), scale, largest, &failed, &e);
    if (failed >= 0) return PyLong_FromLong(failed);
    if (status) return pn_py_raise(&e);
    Py_RETURN_NONE;
}

static PyObject *gradient_norm2(PyObject *self, PyObject *ignored) {
    (void)ignored;
    return PyFloat_FromDouble(pn_optimizer_gradient_norm2(O(self)));
}

/* A copy of one state array of one segment, in the optimiser's dtype: the parameter may have been converted meanwhile. */
static PyObject *state_array(const pn_optimizer *o, int i, int k) {
    pn_shape shape = o->segments[i].param->shape;
    shape.dtype = o->dtype;
    PyObject *array = pn_py_array_new(&shape);
    if (array) memcpy(PyArray_DATA((PyArrayObject *)array), o->segments[i].state[k], (size_t)o->segments[i].n * pn_dtype_bytes(o->dtype));
    return array;
}

static PyObject *state(PyObject *self, PyObject *ignored) {
    (void)ignored;
    const pn_optimizer *o = O(self);
    PyObject *dict = is_idle(self) ? PyDict_New() : NULL;
    for (int k = 0; dict && k < pn_updates[o->rule].n_state; k++) {
        PyObject *list = PyList_New(o->n_segments);
        for (int i = 0; list && i < o->n_segments; i++) {
            PyObject *array = state_array(o, i, k);
            if (!array || PyList_SetItem(list, i, array)) Py_CLEAR(list);
        }
        if (!list || PyDict_SetItemString(dict, pn_updates[o->rule].state[k], list)) Py_CLEAR(dict);
        Py_XDECREF(list);
    }
    return dict;
}

/* Array i of the list under `name`, checked against its segment; borrowed. */
static PyObject *given_array(const pn_optimizer *o, PyObject *dict, const char *name, int i) {
    PyObject *list = item_of(dict, name);
    if (!list && PyErr_Occurred()) return NULL;
    if (!list || !PyList_Check(list) || PyList_Size(list) != o->n_segments)
        return PyErr_Format(PyExc_ValueError, "state has no list %s with one array for each of the %d parameters", name, o->n_segments);
    PyObject *array = PyList_GetItem(list, i);
    const pn_shape *want = &o->segments[i].param->shape;
    char text[256];
    bool fits = PyArray_Check(array) && PyArray_NDIM((PyArrayObject *)array) == want->rank && PyArray_TYPE((PyArrayObject *)array) == pn_py_typenum(o->dtype) &&
                PyArray_ISCARRAY_RO((PyArrayObject *)array);
    for (int d = 0; fits && d < want->rank; d++) fits = PyArray_DIM((PyArrayObject *)array, d) == want->dim[d];
    if (fits) return array;
    return PyErr_Format(PyExc_ValueError, "state %s of parameter %d does not fit: expected a contiguous array of shape %s and dtype %s", name, i,
                        pn_shape_text(want, text), pn_dtype_name(o->dtype));
}

PyDoc_STRVAR(load_state_doc, "load_state(state, /)\n--\n\nTakes over what state() gave: all arrays are checked before any is copied.");
static PyObject *load_state(PyObject *self, PyObject *dict) {
    pn_optimizer *o = O(self);
    if (!is_idle(self)) return NULL;
    if (!PyDict_Check(dict)) return PyErr_Format(PyExc_TypeError, "state is a dict of lists of arrays");
    for (int copy = 0; copy < 2; copy++) {
        for (int k = 0; k < pn_updates[o->rule].n_state; k++) {
            for (int i = 0; i < o->n_segments; i++) {
                PyObject *array = given_array(o, dict, pn_updates[o->rule].state[k], i);
                if (!array) return NULL;
                o->safe_steps = 0;
                o->has_loaded = true;
                if (copy) memcpy(o->segments[i].state[k], PyArray_DATA((PyArrayObject *)array), (size_t)o->segments[i].n * pn_dtype_bytes(o->dtype));
            }
        }
    }
    Py_RETURN_NONE;
}

/* ---- attributes ---- */

static PyObject *get_steps(PyObject *self, void *ignored) {
    (void)ignored;
    const pn_optimizer *o = O(self);
    PyObject *list = PyList_New(o->n_segments + 1);
    for (int i = 0; list && i <= o->n_segments; i++) {
        PyObject *n = PyLong_FromLongLong(i ? o->segments[i - 1].steps : o->steps);
        if (!n || PyList_SetItem(list, i, n)) Py_CLEAR(list);
    }
    return list;
}

static int set_steps(PyObject *self, PyObject *value, void *ignored) {
    (void)ignored;
    pn_optimizer *o = O(self);
    if (!is_idle(self)) return -1;
    if (!value || !PyList_Check(value) || PyList_Size(value) != o->n_segments + 1) {
        PyErr_Format(PyExc_ValueError, "steps is a list of %d counts: of the optimiser and of each parameter", o->n_segments + 1);
        return -1;
    }
    for (int copy = 0; copy < 2; copy++) {
        for (int i = 0; i <= o->n_segments; i++) {
            const long long n = PyLong_AsLongLong(PyList_GetItem(value, i));
            if (n < 0) {
                if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "steps are counted from 0");
                return -1;
            }
            if (copy) *(i ? &o->segments[i - 1].steps : &o->steps) = n;
        }
    }
    return 0;
}

static PyObject *get_params(PyObject *self, void *ignored) {
    (void)ignored;
    const pn_optimizer *o = O(self);
    PyObject *list = PyList_New(o->n_segments);
    for (int i = 0; list && i < o->n_segments; i++) {
        PyObject *t = pn_py_tensor_wrap(o->segments[i].param);
        if (!t || PyList_SetItem(list, i, t)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *get_rule(PyObject *self, void *ignored) {
    (void)ignored;
    return PyUnicode_FromString(pn_updates[O(self)->rule].name);
}

static PyMethodDef methods[] = {
    {"set_hyper", set_hyper, METH_VARARGS, "set_hyper(group, values)\n--\n\nChanges hyperparameters of a group; the next step uses them."},
    {"hyper", get_hyper, METH_O, "hyper(group, /)\n--\n\nThe hyperparameters of a group as a dict."},
    {"step", step, METH_VARARGS,
     "step(grad_scale=1.0, largest=-1.0)\n--\n\nOne update from the gradients in .grad; parameters without one stay as they are. largest: a bound on them;\n"
     "where it is given, an update that is not finite is taken back and the number of its parameter returned."},
    {"gradient_norm2", gradient_norm2, METH_NOARGS, "gradient_norm2()\n--\n\nSum of squares of all gradients in .grad."},
    {"state", state, METH_NOARGS, "state()\n--\n\nCopies of the state arrays: dict from name to a list with one array a parameter."},
    {"load_state", load_state, METH_O, load_state_doc},
    {NULL, NULL, 0, NULL},
};
static PyObject *get_hooked(PyObject *self, void *ignored) {
    (void)ignored;
    bool found = false;
    for (int i = 0; i < O(self)->n_segments; i++) found |= pn_py_is_hooked(O(self)->segments[i].param);
    return PyBool_FromLong(found);
}

static PyGetSetDef attributes[] = {
    {"hooked", get_hooked, NULL, "Whether a parameter has gradient hooks, which no plan can call.", NULL},
    {"steps", get_steps, set_steps, "Updates done: of the optimiser, then of each parameter.", NULL},
    {"params", get_params, NULL, "The parameters, in order.", NULL},
    {"rule", get_rule, NULL, "Name of the update rule.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_new, optimizer_new}, {Py_tp_dealloc, optimizer_dealloc}, {Py_tp_methods, methods},
    {Py_tp_getset, attributes}, {Py_tp_doc, (void *)optimizer_doc}, {0, NULL},
};
static PyType_Spec spec = {.name = "pyneuro._core.Optimizer", .basicsize = sizeof(pn_py_optimizer), .flags = Py_TPFLAGS_DEFAULT, .slots = slots};

int pn_py_add_optimizer(PyObject *module) {
    pn_py_optimizer_type = pn_py_add_type(module, &spec);
    return pn_py_optimizer_type ? 0 : -1;
}
