/* Looking into a graph from Python: nodes, their attributes, their tensors; gradients of anything with respect to anything. */
#include <string.h>

#include "python/tensor_parts.h"

#define T(o) (((pn_py_tensor *)(o))->t)

/* ---- Node: what grad_fn shows ---- */

typedef struct py_node {
    PyObject_HEAD pn_node *n; /* owned reference */
} py_node;

static pn_node *node_of(PyObject *o) { return ((py_node *)o)->n; }
static const char *node_name(const pn_node *n) { return n->user ? n->user->name : n->op->name; }

PyObject *pn_py_node_new(pn_node *n) {
    py_node *self = (py_node *)PyType_GenericAlloc(pn_py_state_get()->node_type, 0);
    if (!self) return NULL;
    pn_node_ref(n);
    self->n = n;
    return (PyObject *)self;
}

static void node_dealloc(PyObject *o) {
    PyTypeObject *type = Py_TYPE(o);
    pn_node_unref(node_of(o));
    PyObject_Free(o);
    Py_DECREF((PyObject *)type);
}

static PyObject *node_repr(PyObject *o) { return PyUnicode_FromFormat("<%s>", node_name(node_of(o))); }

static PyObject *node_get_name(PyObject *o, void *closure) {
    (void)closure;
    return PyUnicode_FromString(node_name(node_of(o)));
}

static PyObject *text_or_none(const char *text) {
    if (!text) Py_RETURN_NONE;
    return PyUnicode_FromString(text);
}

static PyObject *node_get_layer(PyObject *o, void *closure) {
    (void)closure;
    return text_or_none(node_of(o)->layer);
}

/* all: also those whose values a recording has let go of, or an exception; else they are None. */
static PyObject *input_tensors(const pn_node *n, bool all) {
    PyObject *tuple = PyTuple_New(n->n_in);
    for (int i = 0; tuple && i < n->n_in; i++) {
        PyObject *t = pn_py_tensor_wrap(all || !pn_tensor_is_hollow(n->in[i]) ? n->in[i] : NULL);
        if (!t)
            Py_CLEAR(tuple);
        else
            PyTuple_SetItem(tuple, i, t);
    }
    return tuple;
}

static PyObject *node_get_inputs(PyObject *o, void *closure) {
    (void)closure;
    return input_tensors(node_of(o), true);
}

static PyGetSetDef node_attributes[] = {
    {"name", node_get_name, NULL, "Name of the op.", NULL},
    {"layer", node_get_layer, NULL, "Label of the layer that was called, or None.", NULL},
    {"inputs", node_get_inputs, NULL, "The tensors it was computed from.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot node_slots[] = {
    {Py_tp_doc, "A recorded operation: name, layer, inputs."},
    {Py_tp_dealloc, node_dealloc},
    {Py_tp_repr, node_repr},
    {Py_tp_getset, node_attributes},
    {0, NULL},
};
static PyType_Spec node_spec = {
    .name = "pyneuro._core.Node", .basicsize = sizeof(py_node), .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, .slots = node_slots};

int pn_py_add_node(PyObject *module) {
    pn_py_state_get()->node_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &node_spec, NULL);
    PyObject *type = (PyObject *)pn_py_state_get()->node_type;
    return type ? PyModule_AddObjectRef(module, "Node", type) : -1;
}

/* ---- graph ---- */

static PyObject *attr_value(const pn_field *field, const pn_value *v) {
    switch (field->kind) {
    case PN_INT:
        if (v->i == INT64_MIN) Py_RETURN_NONE;
        return PyLong_FromLongLong(v->i);
    case PN_FLOAT:
        if (v->f != v->f) Py_RETURN_NONE;
        return PyFloat_FromDouble(v->f);
    case PN_BOOL: return PyBool_FromLong(v->i != 0);
    case PN_ENUM: {
        const char *choice = field->choices;
        for (int64_t i = 0; i < v->i && strchr(choice, '|'); i++) choice = strchr(choice, '|') + 1;
        const char *end = strchr(choice, '|');
        return PyUnicode_FromStringAndSize(choice, end ? end - choice : (Py_ssize_t)strlen(choice));
    }
    case PN_INTS: break;
    }
    if (v->n < 0) Py_RETURN_NONE;
    pn_shape ints = {.rank = v->n};
    memcpy(ints.dim, v->ints, sizeof ints.dim);
    return pn_py_shape(&ints);
}

static PyObject *attrs_dict(const pn_node *n) {
    PyObject *dict = PyDict_New();
    for (int i = 0; dict && i < n->n_attrs; i++) {
        PyObject *v = attr_value(&n->op->fields[i], &n->attrs[i]);
        if (!v || PyDict_SetItemString(dict, n->op->fields[i].name, v)) Py_CLEAR(dict);
        Py_XDECREF(v);
    }
    return dict;
}

/* A number for a tensor that lasts as long as the graph: computed ones by producer and place, since their own struct may be gone already. */
static uintptr_t tensor_id(const pn_tensor *t) { return t->node ? (uintptr_t)t->node + t->output : (uintptr_t)t; }

static PyObject *input_ids(const pn_node *n) {
    PyObject *list = PyList_New(n->n_in);
    for (int i = 0; list && i < n->n_in; i++) {
        PyObject *id = PyLong_FromVoidPtr((void *)tensor_id(n->in[i]));
        if (!id)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, i, id);
    }
    return list;
}

/* Lists of ids and of shapes of the outputs. */
static bool outputs(const pn_node *n, PyObject **ids, PyObject **shapes) {
    *ids = PyList_New(n->n_out);
    *shapes = PyList_New(n->n_out);
    for (int i = 0; *ids && *shapes && i < n->n_out; i++) {
        PyObject *id = PyLong_FromVoidPtr((void *)((uintptr_t)n + (uintptr_t)i)), *shape = pn_py_shape(&n->out_shape[i]);
        if (!id || !shape) {
            Py_XDECREF(id);
            Py_XDECREF(shape);
            Py_CLEAR(*ids);
            break;
        }
        PyList_SetItem(*ids, i, id);
        PyList_SetItem(*shapes, i, shape);
    }
    if (*ids && *shapes) return true;
    Py_CLEAR(*ids);
    Py_CLEAR(*shapes);
    return false;
}

static PyObject *node_dict(const pn_node *n, bool all) {
    PyObject *ids = NULL, *shapes = NULL, *attrs = attrs_dict(n), *ins = input_ids(n), *tensors = input_tensors(n, all);
    if (attrs && ins && tensors && outputs(n, &ids, &shapes)) {
        return Py_BuildValue("{s:s,s:s,s:z,s:z,s:K,s:O,s:N,s:N,s:N,s:N,s:N}", "op", node_name(n), "formula", n->op->formula, "derivative", n->op->derivative,
                             "layer", n->layer, "sequence", (unsigned long long)n->sequence, "requires_grad", n->requires_grad ? Py_True : Py_False, "attrs",
                             attrs, "inputs", ins, "tensors", tensors, "outputs", ids, "shapes", shapes);
    }
    Py_XDECREF(attrs);
    Py_XDECREF(ins);
    Py_XDECREF(tensors);
    return NULL;
}

/* All nodes behind root, by the sweep's own mark-free way: a Python set of addresses, a list as queue. */
static bool visit(pn_node *n, PyObject *seen, PyObject *queue) {
    if (!n) return true;
    PyObject *key = PyLong_FromVoidPtr(n);
    const int known = key ? PySet_Contains(seen, key) : -1;
    const bool ok = known == 1 || (known == 0 && PySet_Add(seen, key) == 0 && PyList_Append(queue, key) == 0);
    Py_XDECREF(key);
    return ok;
}

static PyObject *nodes_behind(pn_tensor *root, bool all) {
    PyObject *seen = PySet_New(NULL), *queue = PyList_New(0), *result = PyList_New(0);
    bool ok = seen && queue && result && visit(root->node, seen, queue);
    for (Py_ssize_t at = 0; ok && at < PyList_Size(queue); at++) {
        pn_node *n = PyLong_AsVoidPtr(PyList_GetItem(queue, at));
        for (int i = 0; ok && i < n->n_in; i++) ok = visit(n->in[i]->node, seen, queue);
        PyObject *dict = ok ? node_dict(n, all) : NULL;
        ok = dict && PyList_Append(result, dict) == 0;
        Py_XDECREF(dict);
    }
    Py_XDECREF(seen);
    Py_XDECREF(queue);
    if (!ok) Py_CLEAR(result);
    return result;
}

PyDoc_STRVAR(graph_doc, "graph(root, values=True)\n--\n\n"
                        "List of dicts, one for each recorded operation behind root: op, formula, derivative, layer, sequence (order of execution), attrs,\n"
                        "inputs and outputs (ids of tensors), tensors (the inputs themselves), shapes (of the outputs), requires_grad.\n"
                        "values=False: None among the tensors for those whose values a recording has let go of, which otherwise is an error.");
static PyObject *graph(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    static char *names[] = {"root", "values", NULL};
    PyObject *root;
    int values = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|p:graph", names, &root, &values)) return NULL;
    pn_tensor *t = pn_py_tensor_get(root);
    return t ? nodes_behind(t, values) : NULL;
}

PyDoc_STRVAR(tensor_id_doc, "tensor_id(tensor, /)\n--\n\nThe id of a tensor as graph() counts.");
static PyObject *get_tensor_id(PyObject *module, PyObject *o) {
    (void)module;
    pn_tensor *t = pn_py_tensor_get(o);
    return t ? PyLong_FromVoidPtr((void *)tensor_id(t)) : NULL;
}

/* ---- gradients ---- */

/* Borrowed tensors of a list; PyMem memory. NULL with an exception set. */
static pn_tensor **tensors_of(PyObject *items, Py_ssize_t n) {
    pn_tensor **t = PyMem_Calloc((size_t)n + 1, sizeof *t);
    if (!t) return (pn_tensor **)PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n; i++) {
        t[i] = pn_py_tensor_get(PyTuple_GetItem(items, i));
        if (t[i]) continue;
        PyMem_Free(t);
        return NULL;
    }
    return t;
}

static PyObject *list_of(pn_tensor **grads, Py_ssize_t n) {
    PyObject *list = PyList_New(n);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *g = !grads[i] ? Py_NewRef(Py_None) : pn_py_tensor_new(grads[i]);
        if (!g) Py_CLEAR(list);
        if (list)
            PyList_SetItem(list, i, g);
        else
            Py_XDECREF(g);
    }
    return list;
}

PyDoc_STRVAR(gradients_doc, "gradients(root, wrt, gradient=None, retain_graph=False, again=False)\n--\n\n"
                            "Gradients of root with respect to each tensor of wrt, as a list; None where root does not depend on it. No .grad changes.\n"
                            "again: also after a backward without retain_graph, as far as small graphs keep their values.");
static PyObject *gradients(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    static char *names[] = {"root", "wrt", "gradient", "retain_graph", "again", NULL};
    PyObject *root_arg, *wrt_arg, *gradient_arg = Py_None, *result = NULL;
    int retain = 0, again = 0;
    pn_error e;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|Opp:gradients", names, &root_arg, &wrt_arg, &gradient_arg, &retain, &again)) return NULL;
    pn_tensor *root = pn_py_tensor_get(root_arg);
    if (!root) return NULL;
    PyObject *items = PySequence_Tuple(wrt_arg);
    const Py_ssize_t n = items ? PyTuple_Size(items) : 0;
    pn_tensor **wrt = items ? tensors_of(items, n) : NULL, **grads = wrt ? PyMem_Calloc((size_t)n + 1, sizeof *grads) : NULL;
    pn_tensor *gradient = NULL;
    bool ok = grads != NULL;
    if (wrt && !grads) PyErr_NoMemory();
    if (ok && gradient_arg != Py_None) {
        gradient = pn_py_tensor_check(gradient_arg) ? T(gradient_arg) : pn_py_convert(gradient_arg, root->shape.dtype, true);
        if (gradient && pn_py_tensor_check(gradient_arg)) pn_tensor_ref(gradient);
        ok = gradient != NULL;
    }
    if (ok && pn_gradients(pn_py_context(), root, gradient, (int)n, wrt, grads, retain, again, &e))
        pn_py_raise(&e);
    else if (ok)
        result = list_of(grads, n);
    pn_tensor_unref(gradient);
    PyMem_Free(grads);
    PyMem_Free(wrt);
    Py_XDECREF(items);
    return result;
}

PyMethodDef pn_py_inspect_methods[] = {
    {"graph", (PyCFunction)(void (*)(void))graph, METH_VARARGS | METH_KEYWORDS, graph_doc},
    {"tensor_id", get_tensor_id, METH_O, tensor_id_doc},
    {"gradients", (PyCFunction)(void (*)(void))gradients, METH_VARARGS | METH_KEYWORDS, gradients_doc},
    {NULL, NULL, 0, NULL},
};
