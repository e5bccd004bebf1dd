/* pn.Function: a node whose forward and backward are Python. The user's code sees NumPy arrays that belong to NumPy, never memory of the core, so that it
 * may keep them, write into them, or hand them to other threads. */
#include <string.h>

#include "python/tensor_parts.h"

typedef struct py_user {
    pn_user base;
    PyObject *forward, *backward, *ctx; /* owned; NULL once let go */
    PyObject *pending;                  /* owned tuple: results of the run that found the shapes, until they are copied; else NULL */
} py_user;

static void user_let_go(pn_user *user) {
    py_user *u = (py_user *)user;
    Py_CLEAR(u->forward);
    Py_CLEAR(u->backward);
    Py_CLEAR(u->ctx);
}

static void user_release(pn_user *user) {
    PyGILState_STATE gil = PyGILState_Ensure();
    user_let_go(user);
    Py_CLEAR(((py_user *)user)->pending);
    pn_free(user);
    PyGILState_Release(gil);
}

/* ---- arrays in and out ---- */

/* NumPy's own copy of a view; zeros when there is no data. */
static PyObject *array_of_view(const pn_view *v) {
    PyObject *a = pn_py_array_new(&v->shape);
    if (!a) return NULL;
    size_t bytes = (size_t)PyArray_NBYTES((PyArrayObject *)a);
    if (v->data)
        memcpy(PyArray_DATA((PyArrayObject *)a), v->data, bytes);
    else
        memset(PyArray_DATA((PyArrayObject *)a), 0, bytes);
    return a;
}

/* callable(ctx, *arrays of views) */
static PyObject *call_with_views(PyObject *callable, PyObject *ctx, int n, const pn_view *views) {
    PyObject *args = PyTuple_New(n + 1);
    if (!args) return NULL;
    PyTuple_SetItem(args, 0, Py_NewRef(ctx));
    for (int i = 0; i < n; i++) {
        PyObject *a = array_of_view(&views[i]);
        if (!a) {
            Py_DECREF(args);
            return NULL;
        }
        PyTuple_SetItem(args, i + 1, a);
    }
    PyObject *result = PyObject_CallObject(callable, args);
    Py_DECREF(args);
    return result;
}

/* One result or a tuple of them, always as a tuple. Takes over `result`, which may be NULL. */
static PyObject *as_tuple(PyObject *result) {
    if (!result) return NULL;
    PyObject *tuple = PyTuple_Check(result) ? Py_NewRef(result) : PyList_Check(result) ? PyList_AsTuple(result) : PyTuple_Pack(1, result);
    Py_DECREF(result);
    return tuple;
}

/* What user code returned, as an array. */
static PyObject *result_array(PyObject *o) {
    if (pn_py_tensor_check(o)) return pn_py_tensor_array(((pn_py_tensor *)o)->t, false);
    return PyArray_FromAny(o, NULL, 0, 0, 0, NULL);
}

static bool array_has_shape(PyArrayObject *a, const pn_shape *s) {
    if (PyArray_NDIM(a) != s->rank) return false;
    for (int i = 0; i < s->rank; i++) {
        if (PyArray_DIM(a, i) != s->dim[i]) return false;
    }
    return true;
}

static void fail_result(const pn_user *user, const char *what, PyArrayObject *a, const pn_shape *expected) {
    char text[256];
    PyObject *shape = PyObject_GetAttrString((PyObject *)a, "shape");
    if (shape) PyErr_Format(PyExc_ValueError, "%s: %s has shape %S, expected %s", user->name, what, shape, pn_shape_text(expected, text));
    Py_XDECREF(shape);
}

/* Converts what user code returned into `to`, (over)writing or adding. false with an exception set. */
static bool store(const pn_user *user, const char *what, PyObject *o, const pn_view *to, bool add) {
    pn_source s;
    PyObject *a = result_array(o), *sum = NULL;
    bool ok = a && pn_py_source_init(&s, a, what);
    if (ok && !array_has_shape((PyArrayObject *)a, &to->shape)) {
        fail_result(user, what, (PyArrayObject *)a, &to->shape);
        ok = false;
    }
    if (ok && !add) {
        pn_source_gather(&s, NULL, 0, s.rows, to->shape.dtype, to->data);
    } else if (ok) {
        sum = pn_py_array_new(&to->shape);
        ok = sum != NULL;
        if (ok) {
            const int64_t n = pn_shape_size(&to->shape);
            void *data = PyArray_DATA((PyArrayObject *)sum);
            pn_source_gather(&s, NULL, 0, s.rows, to->shape.dtype, data);
            if (to->shape.dtype == PN_F32)
                pn_kernels_get()->f.accumulate(to->data, data, n);
            else
                pn_kernels_get()->d.accumulate(to->data, data, n);
        }
    }
    Py_XDECREF(sum);
    Py_XDECREF(a);
    return ok;
}

/* ---- what the core calls ---- */

static bool run_forward(py_user *u, const pn_call *c) {
    PyObject *results = u->pending;
    u->pending = NULL;
    if (!results) results = as_tuple(call_with_views(u->forward, u->ctx, c->n_in, c->in));
    bool ok = results != NULL;
    if (ok && PyTuple_Size(results) != c->n_out) {
        PyErr_Format(PyExc_ValueError, "%s: forward returned %zd arrays, expected %d as before", u->base.name, PyTuple_Size(results), c->n_out);
        ok = false;
    }
    for (int i = 0; ok && i < c->n_out; i++) ok = store(&u->base, "the result of forward", PyTuple_GetItem(results, i), &c->out[i], false);
    Py_XDECREF(results);
    return ok;
}

static bool run_backward(py_user *u, const pn_call *c) {
    PyObject *grads = as_tuple(call_with_views(u->backward, u->ctx, c->n_out, c->gout));
    bool ok = grads != NULL;
    if (ok && PyTuple_Size(grads) != c->n_in) {
        PyErr_Format(PyExc_ValueError, "%s: backward returned %zd gradients, expected %d, one for each tensor given to apply", u->base.name,
                     PyTuple_Size(grads), c->n_in);
        ok = false;
    }
    for (int i = 0; ok && i < c->n_in; i++) {
        PyObject *g = PyTuple_GetItem(grads, i);
        if (!c->gin[i].data) continue;
        if (g != Py_None)
            ok = store(&u->base, "a gradient from backward", g, &c->gin[i], c->gin_add[i]);
        else if (!c->gin_add[i])
            memset(c->gin[i].data, 0, (size_t)pn_shape_size(&c->gin[i].shape) * pn_dtype_bytes(c->gin[i].shape.dtype));
    }
    Py_XDECREF(grads);
    return ok;
}

/* The exception stays set in this thread: pn_py_raise finds it there. */
static pn_status run_user(pn_user *user, const pn_call *c, bool (*run)(py_user *, const pn_call *), const char *what, pn_error *e) {
    py_user *u = (py_user *)user;
    PyGILState_STATE gil = PyGILState_Ensure();
    pn_status status = PN_OK;
    if (!u->forward && !u->pending)
        status = pn_fail(e, PN_E_RUNTIME, "%s: its context was freed by an earlier backward; call that with retain_graph=True", user->name);
    else if (!run(u, c))
        status = pn_fail(e, PN_E_PYTHON, "%s: %s raised an exception", user->name, what);
    PyGILState_Release(gil);
    return status;
}

static pn_status user_forward(pn_user *user, const pn_call *c, pn_error *e) { return run_user(user, c, run_forward, "forward", e); }
static pn_status user_backward(pn_user *user, const pn_call *c, pn_error *e) { return run_user(user, c, run_backward, "backward", e); }

/* ---- apply ---- */

/* Results of a first run as arrays of numbers; their shapes go to the user struct. Floats take the dtype of the tensors. */
static bool find_shapes(pn_user *user, PyObject *results, int real) {
    const Py_ssize_t n = PyTuple_Size(results);
    if (n < 1 || n > PN_MAX_OUT) {
        PyErr_Format(PyExc_ValueError, "%s: forward returned %zd arrays, expected 1 to %d", user->name, n, PN_MAX_OUT);
        return false;
    }
    user->n_out = (int)n;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyArrayObject *a = (PyArrayObject *)result_array(PyTuple_GetItem(results, i));
        if (!a) return false;
        const bool fits = PyArray_NDIM(a) <= PN_MAX_RANK;
        pn_shape *s = &user->out[i];
        s->rank = fits ? PyArray_NDIM(a) : 0;
        s->dtype = PyTypeNum_ISFLOAT(PyArray_TYPE(a)) ? real : PN_I64;
        for (int d = 0; d < s->rank; d++) s->dim[d] = PyArray_DIM(a, d);
        Py_DECREF((PyObject *)a);
        if (fits) continue;
        PyErr_Format(PyExc_ValueError, "%s: forward returned an array of more than %d dimensions", user->name, PN_MAX_RANK);
        return false;
    }
    return true;
}

static py_user *user_new(PyObject *const *args) {
    const char *name = PyUnicode_AsUTF8AndSize(args[0], NULL);
    py_user *u = name ? pn_alloc_zero(sizeof *u) : NULL;
    if (!u) return name ? (py_user *)PyErr_NoMemory() : NULL;
    u->base.forward = user_forward;
    u->base.backward = user_backward;
    u->base.let_go = user_let_go;
    u->base.release = user_release;
    strncpy(u->base.name, name, sizeof u->base.name - 1);
    u->forward = Py_NewRef(args[1]);
    u->backward = Py_NewRef(args[2]);
    u->ctx = Py_NewRef(args[3]);
    return u;
}

/* Runs forward once for the shapes and lets pn_apply make the node. */
static PyObject *apply(py_user *u, int n_in, pn_tensor *const *in) {
    pn_view *views = PyMem_Calloc((size_t)n_in, sizeof *views);
    pn_tensor *out[PN_MAX_OUT];
    pn_error e;
    int n_out, real = -1;
    if (!views) return PyErr_NoMemory();
    for (int i = 0; i < n_in; i++) {
        views[i] = (pn_view){in[i]->storage->data, in[i]->shape};
        if (real < 0 && in[i]->shape.dtype != PN_I64) real = in[i]->shape.dtype;
    }
    u->pending = as_tuple(call_with_views(u->forward, u->ctx, n_in, views));
    PyMem_Free(views);
    bool ok = u->pending && find_shapes(&u->base, u->pending, real < 0 ? PN_F32 : real);
    if (ok && pn_apply(pn_py_context(), &pn_user_op, NULL, n_in, in, &u->base, out, &n_out, &e)) {
        pn_py_raise(&e);
        ok = false;
    }
    if (!ok) {
        user_release(&u->base);
        return NULL;
    }
    return pn_py_results(out, n_out);
}

PyDoc_STRVAR(apply_user_doc, "apply_user(name, forward, backward, ctx, /, *tensors)\n--\n\n"
                             "Tensor or tuple of Tensors from forward(ctx, *arrays); its gradients come from backward(ctx, *arrays).");
static PyObject *apply_user(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    if (n < 5) return PyErr_Format(PyExc_TypeError, "apply_user takes a name, forward, backward, a context and at least one tensor");
    if (!PyUnicode_Check(args[0])) return PyErr_Format(PyExc_TypeError, "the name is of type %R, expected a string", (PyObject *)Py_TYPE(args[0]));
    const int n_in = (int)n - 4;
    pn_tensor **in = PyMem_Calloc((size_t)n_in, sizeof *in);
    if (!in) return PyErr_NoMemory();
    bool ok = true;
    for (int i = 0; ok && i < n_in; i++) ok = (in[i] = pn_py_tensor_get(args[i + 4])) != NULL;
    py_user *u = ok ? user_new(args) : NULL;
    PyObject *result = u ? apply(u, n_in, in) : NULL;
    PyMem_Free(in);
    return result;
}

PyMethodDef pn_py_user_methods[] = {
    {"apply_user", (PyCFunction)(void (*)(void))apply_user, METH_FASTCALL, apply_user_doc},
    {NULL, NULL, 0, NULL},
};
