/* The Tensor object: a Python handle on a pn_tensor, its life and its attributes. Methods are in tensor_methods.c, operators in tensor_slots.c. */
#include "python/state.h"

#include <string.h>

#include "python/tensor_parts.h"

/* ---- life ---- */

pn_tensor *pn_py_tensor_get(PyObject *o) {
    if (pn_py_tensor_check(o)) return ((pn_py_tensor *)o)->t;
    PyErr_Format(PyExc_TypeError, "expected a Tensor, got %R", (PyObject *)Py_TYPE(o));
    return NULL;
}

/* The value of a tensor that a recording has let go of, for a Python object: what Python shows has a value. */
static bool restore(const pn_tensor *t) {
    pn_error e;
    char shape[256];
    if (pn_recording_restore(pn_py_context(), "a look at the graph", &e)) return pn_py_raise(&e) != NULL;
    if (!pn_tensor_is_hollow(t)) return true;
    PyErr_Format(PyExc_RuntimeError,
                 "the value of a tensor of shape %s is gone: fit, predict and evaluate keep of what they record only what is held elsewhere",
                 pn_shape_text(&t->shape, shape));
    return false;
}

PyObject *pn_py_tensor_new(pn_tensor *t) {
    if (t->object) { /* one Python object a tensor: `p.grad is p.grad`, hooks and names stay where they were put */
        PyObject *living = Py_NewRef(t->object);
        pn_tensor_unref(t);
        return living;
    }
    pn_py_tensor *self = pn_tensor_is_hollow(t) && !restore(t) ? NULL : (pn_py_tensor *)PyType_GenericAlloc(pn_py_state_get()->tensor_type, 0);
    if (!self) {
        pn_tensor_unref(t);
        return NULL;
    }
    self->t = t;
    t->object = self;
    /* Only hooks can close a cycle; everything else would be traversed by the collector for nothing. */
    if (!t->hooks) PyObject_GC_UnTrack(self);
    return (PyObject *)self;
}

PyObject *pn_py_tensor_wrap(pn_tensor *t) {
    if (!t) Py_RETURN_NONE;
    pn_tensor_ref(t);
    return pn_py_tensor_new(t);
}

static void tensor_dealloc(PyObject *o) {
    pn_py_tensor *self = (pn_py_tensor *)o;
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    if (self->t) self->t->object = NULL; /* before anything can ask for the object again */
    if (self->weakrefs) PyObject_ClearWeakRefs(o);
    if (self->t) pn_recording_unseen(self->t);
    pn_tensor_unref(self->t);
    PyObject_GC_Del(o);
    Py_DECREF((PyObject *)type);
}

/* Hooks belong to this object when nobody else holds the tensor; else they live as long as the graph that holds it. */
static int tensor_traverse(PyObject *o, visitproc visit, void *arg) {
    pn_tensor *t = ((pn_py_tensor *)o)->t;
    Py_VISIT((PyObject *)Py_TYPE(o));
    if (t && t->refs == 1) Py_VISIT(pn_py_hooks_dict(t));
    return 0;
}

static int tensor_clear(PyObject *o) {
    pn_tensor *t = ((pn_py_tensor *)o)->t;
    pn_hooks *hooks = t ? t->hooks : NULL;
    if (hooks) {
        t->hooks = NULL;
        hooks->release(hooks);
    }
    return 0;
}

/* ---- making one ---- */

bool pn_py_set_requires_grad(pn_tensor *t, bool flag) {
    if (flag && t->shape.dtype == PN_I64) {
        PyErr_SetString(PyExc_RuntimeError, "requires_grad: only tensors of dtype float32 or float64 can require gradients, this one has dtype int64");
        return false;
    }
    if (!flag && !pn_tensor_is_leaf(t)) {
        PyErr_SetString(PyExc_RuntimeError, "requires_grad can only be changed on leaf tensors; use y.detach() for a tensor that does not require grad");
        return false;
    }
    t->requires_grad = flag;
    return true;
}

static bool set_name(pn_tensor *t, PyObject *name) {
    pn_error e;
    const char *text = NULL;
    if (name && name != Py_None) {
        text = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
        if (!text && !PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "name is of type %R, expected a string", (PyObject *)Py_TYPE(name));
        if (!text) return false;
    }
    if (pn_tensor_rename(t, text, &e)) return true;
    pn_py_raise(&e);
    return false;
}

static PyObject *tensor_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)type;
    static char *names[] = {"data", "dtype", "requires_grad", "name", NULL};
    PyObject *data, *dtype_arg = NULL, *name = NULL;
    int requires_grad = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OpO:Tensor", names, &data, &dtype_arg, &requires_grad, &name)) return NULL;
    const int dtype = pn_py_dtype(dtype_arg);
    if (dtype == -2) return NULL;
    pn_tensor *t = pn_py_convert(data, dtype, true);
    if (!t) return NULL;
    if ((requires_grad && !pn_py_set_requires_grad(t, true)) || (name && !set_name(t, name))) {
        pn_tensor_unref(t);
        return NULL;
    }
    return pn_py_tensor_new(t);
}

/* ---- attributes ---- */

#define T(o) (((pn_py_tensor *)(o))->t)

static PyObject *get_shape(PyObject *o, void *closure) {
    (void)closure;
    return pn_py_shape(&T(o)->shape);
}

static PyObject *get_ndim(PyObject *o, void *closure) {
    (void)closure;
    return PyLong_FromLong(T(o)->shape.rank);
}

static PyObject *get_dtype(PyObject *o, void *closure) {
    (void)closure;
    return Py_NewRef(pn_py_state_get()->dtype_names[T(o)->shape.dtype]);
}

static PyObject *get_requires_grad(PyObject *o, void *closure) {
    (void)closure;
    return PyBool_FromLong(T(o)->requires_grad);
}

static int set_requires_grad(PyObject *o, PyObject *value, void *closure) {
    (void)closure;
    const int flag = value ? PyObject_IsTrue(value) : -1;
    if (!value) PyErr_SetString(PyExc_AttributeError, "requires_grad cannot be deleted");
    return flag >= 0 && pn_py_set_requires_grad(T(o), flag) ? 0 : -1;
}

static PyObject *get_grad(PyObject *o, void *closure) {
    (void)closure;
    return pn_py_tensor_wrap(T(o)->grad);
}

static int set_grad(PyObject *o, PyObject *value, void *closure) {
    (void)closure;
    pn_tensor *t = T(o), *old = t->grad, *grad = NULL;
    if (value && value != Py_None) {
        char a[256], b[256];
        grad = pn_py_tensor_get(value);
        if (!grad) return -1;
        if (grad->shape.dtype != t->shape.dtype) {
            PyErr_Format(PyExc_TypeError, "grad has dtype %s, expected %s like the tensor", pn_dtype_name(grad->shape.dtype), pn_dtype_name(t->shape.dtype));
            return -1;
        }
        if (!pn_shape_equal(&grad->shape, &t->shape)) {
            PyErr_Format(PyExc_ValueError, "grad has shape %s, expected %s like the tensor", pn_shape_text(&grad->shape, a), pn_shape_text(&t->shape, b));
            return -1;
        }
        if (grad == t) {
            PyErr_SetString(PyExc_RuntimeError, "a tensor cannot be its own gradient");
            return -1;
        }
        pn_tensor_ref(grad);
    }
    t->grad = grad;
    pn_tensor_unref(old);
    return 0;
}

static PyObject *get_name(PyObject *o, void *closure) {
    (void)closure;
    if (!T(o)->name) Py_RETURN_NONE;
    return PyUnicode_FromString(T(o)->name);
}

static int tensor_set_name(PyObject *o, PyObject *value, void *closure) {
    (void)closure;
    return set_name(T(o), value) ? 0 : -1;
}

static PyObject *get_is_leaf(PyObject *o, void *closure) {
    (void)closure;
    return PyBool_FromLong(pn_tensor_is_leaf(T(o)));
}

static PyObject *get_retains_grad(PyObject *o, void *closure) {
    (void)closure;
    return PyBool_FromLong(T(o)->retain_grad);
}

static PyObject *get_grad_fn(PyObject *o, void *closure) {
    (void)closure;
    if (pn_tensor_is_leaf(T(o))) Py_RETURN_NONE;
    return pn_py_node_new(T(o)->node);
}

/* "parameter" and "buffer" are what the plan must treat as living memory; everything else that a recording meets is a constant. */
static PyObject *get_kind(PyObject *o, void *closure) {
    (void)closure;
    const uint8_t flags = T(o)->flags;
    return PyUnicode_FromString(flags & PN_T_PARAMETER ? "parameter" : flags & PN_T_BUFFER ? "buffer" : "tensor");
}

static int set_kind(PyObject *o, PyObject *value, void *closure) {
    (void)closure;
    uint8_t flag = 0;
    const bool is_text = value && PyUnicode_Check(value);
    if (is_text && PyUnicode_CompareWithASCIIString(value, "parameter") == 0)
        flag = PN_T_PARAMETER;
    else if (is_text && PyUnicode_CompareWithASCIIString(value, "buffer") == 0)
        flag = PN_T_BUFFER;
    else if (!is_text || PyUnicode_CompareWithASCIIString(value, "tensor") != 0) {
        PyErr_SetString(PyExc_ValueError, "kind is not one of 'tensor', 'parameter' and 'buffer'");
        return -1;
    }
    T(o)->flags = (uint8_t)((T(o)->flags & ~(PN_T_PARAMETER | PN_T_BUFFER)) | flag);
    return 0;
}

static PyObject *get_is_mask(PyObject *o, void *closure) {
    (void)closure;
    return PyBool_FromLong(T(o)->flags & PN_T_MASK);
}

static PyObject *get_version(PyObject *o, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLongLong(T(o)->storage->version % PN_GENERATION);
}

static PyObject *get_data(PyObject *o, void *closure) {
    (void)closure;
    return pn_py_detach(T(o));
}

static int set_data(PyObject *o, PyObject *value, void *closure) {
    (void)closure;
    pn_error e;
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "data cannot be deleted");
        return -1;
    }
    pn_tensor *from = pn_py_convert(value, pn_py_tensor_check(value) ? -1 : T(o)->shape.dtype, false);
    if (!from) return -1;
    pn_status status = PN_OK;
    if (T(o)->requires_grad && from->shape.dtype == PN_I64)
        status = pn_fail(&e, PN_E_TYPE, "data has dtype int64, but the tensor requires grad; expected float32 or float64");
    else
        status = pn_tensor_assign(T(o), from, &e);
    pn_tensor_unref(from);
    if (status) pn_py_raise(&e);
    return status ? -1 : 0;
}

static PyGetSetDef attributes[] = {
    {"shape", get_shape, NULL, "Sizes of the dimensions, a tuple of ints.", NULL},
    {"ndim", get_ndim, NULL, "Number of dimensions.", NULL},
    {"dtype", get_dtype, NULL, "'float32', 'float64' or 'int64'.", NULL},
    {"requires_grad", get_requires_grad, set_requires_grad, "Whether backward computes a gradient for this tensor. Can be set on leaves.", NULL},
    {"grad", get_grad, set_grad, "Gradient from backward: a Tensor of the same shape and dtype, or None. Accumulates until set to None.", NULL},
    {"name", get_name, tensor_set_name, "Name shown in drawings and messages, or None.", NULL},
    {"is_leaf", get_is_leaf, NULL, "True when no recorded operation produced this tensor.", NULL},
    {"retains_grad", get_retains_grad, NULL, "True after retain_grad().", NULL},
    {"grad_fn", get_grad_fn, NULL, "The operation that produced this tensor, or None for leaves.", NULL},
    {"kind", get_kind, set_kind, "'tensor', 'parameter' or 'buffer'.", NULL},
    {"is_mask", get_is_mask, NULL, "True for the result of a comparison and for bool data: as an index it selects.", NULL},
    {"data", get_data, set_data, "The values without history, sharing memory. Setting copies into the tensor; other shapes and dtypes give it new memory.",
     NULL},
    {"_version", get_version, NULL, "How often the memory was written in place.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---- the type ---- */

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(pn_py_tensor, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(tensor_doc, "Tensor(data, dtype=None, requires_grad=False, name=None)\n--\n\n"
                         "Array of float32, float64 or int64 numbers, at most 8 dimensions, that remembers how it was computed.\n\n"
                         "Python floats and lists of them become float32, ints and bools int64; NumPy arrays keep float32 and float64. Data are copied.\n\n"
                         ">>> import pyneuro as pn\n"
                         ">>> pn.Tensor([1.0, 2.0]) * 2\n"
                         "tensor([2., 4.])");

static const PyType_Slot own_slots[] = {
    {Py_tp_doc, (void *)tensor_doc}, {Py_tp_new, tensor_tp_new}, {Py_tp_dealloc, tensor_dealloc}, {Py_tp_traverse, tensor_traverse},
    {Py_tp_clear, tensor_clear},     {Py_tp_getset, attributes}, {Py_tp_members, members},        {Py_tp_methods, pn_py_tensor_methods},
};

#define MAX_SLOTS 64

int pn_py_add_tensor(PyObject *module) {
    pn_py_state *state = pn_py_state_get();
    PyType_Slot slots[MAX_SLOTS];
    size_t n = sizeof own_slots / sizeof *own_slots;
    memcpy(slots, own_slots, sizeof own_slots);
    for (size_t i = 0; pn_py_tensor_slots[i].slot; i++) slots[n++] = pn_py_tensor_slots[i];
    slots[n] = (PyType_Slot){0, NULL};
    PyType_Spec spec = {.name = "pyneuro._core.Tensor", .basicsize = sizeof(pn_py_tensor), .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, .slots = slots};
    state->tensor_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
    PyObject *type = (PyObject *)state->tensor_type;
    if (!type) return -1;
    /* NumPy scalars and arrays leave mixed expressions to us: np.float64(2) * t is a Tensor. */
    PyObject *priority = PyFloat_FromDouble(1000);
    int failed = !priority || PyObject_SetAttrString(type, "__array_ufunc__", Py_None) || PyObject_SetAttrString(type, "__array_priority__", priority);
    Py_XDECREF(priority);
    return failed || PyModule_AddObjectRef(module, "Tensor", type) ? -1 : 0;
}
