/* Gradient hooks: Python callables that a backward sweep calls with the finished gradient of a tensor. */
#include "python/tensor_parts.h"

typedef struct py_hooks {
    pn_hooks base;
    PyObject *dict; /* int -> callable, in order of registration */
} py_hooks;

static void hooks_release(pn_hooks *h) {
    PyObject *dict = ((py_hooks *)h)->dict;
    pn_free(h);
    Py_DECREF(dict);
}

/* What a hook returned takes the place of the gradient. */
static pn_status replace(pn_tensor **grad, PyObject *result, pn_error *e) {
    char a[256], b[256];
    pn_tensor *t = pn_py_tensor_get(result);
    if (!t) return pn_fail(e, PN_E_PYTHON, "a hook failed");
    if (t->shape.dtype != (*grad)->shape.dtype || !pn_shape_equal(&t->shape, &(*grad)->shape))
        return pn_fail(e, PN_E_VALUE, "a hook returned a gradient of shape %s and dtype %s, expected %s and %s", pn_shape_text(&t->shape, a),
                       pn_dtype_name(t->shape.dtype), pn_shape_text(&(*grad)->shape, b), pn_dtype_name((*grad)->shape.dtype));
    pn_tensor_ref(t);
    pn_tensor_unref(*grad);
    *grad = t;
    return PN_OK;
}

static pn_status call_one(PyObject *fn, pn_tensor **grad, pn_error *e) {
    PyObject *argument = pn_py_tensor_wrap(*grad);
    PyObject *result = argument ? PyObject_CallFunctionObjArgs(fn, argument, NULL) : NULL;
    Py_XDECREF(argument);
    if (!result) return pn_fail(e, PN_E_PYTHON, "a hook failed");
    pn_status status = result == Py_None ? PN_OK : replace(grad, result, e);
    Py_DECREF(result);
    return status;
}

static pn_status hooks_call(pn_hooks *h, pn_tensor **grad, pn_error *e) {
    pn_context *ctx = pn_py_context();
    const bool was_enabled = ctx->grad_enabled;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *fns = PyDict_Values(((py_hooks *)h)->dict); /* a list of its own: a hook may remove itself */
    pn_status status = fns ? PN_OK : pn_fail(e, PN_E_PYTHON, "a hook failed");
    ctx->grad_enabled = false;
    for (Py_ssize_t i = 0; !status && i < PyList_Size(fns); i++) status = call_one(PyList_GetItem(fns, i), grad, e);
    ctx->grad_enabled = was_enabled;
    Py_XDECREF(fns);
    PyGILState_Release(gil);
    return status;
}

PyObject *pn_py_hooks_dict(const pn_tensor *t) { return t->hooks ? ((py_hooks *)t->hooks)->dict : NULL; }

bool pn_py_is_hooked(const pn_tensor *t) { return t->hooks && PyDict_Size(pn_py_hooks_dict(t)) > 0; }

PyObject *pn_py_tensor_hooks(PyObject *self, PyObject *ignored) {
    (void)ignored;
    pn_tensor *t = ((pn_py_tensor *)self)->t;
    if (!t->requires_grad) {
        PyErr_SetString(PyExc_RuntimeError, "cannot register a hook on a tensor that does not require gradient");
        return NULL;
    }
    if (t->hooks) return Py_NewRef(pn_py_hooks_dict(t));
    py_hooks *h = pn_alloc(sizeof *h);
    PyObject *dict = h ? PyDict_New() : PyErr_NoMemory();
    if (!dict) {
        pn_free(h);
        return NULL;
    }
    *h = (py_hooks){{hooks_call, hooks_release}, dict};
    t->hooks = &h->base;
    if (!PyObject_GC_IsTracked(self)) PyObject_GC_Track(self);
    return Py_NewRef(dict);
}
