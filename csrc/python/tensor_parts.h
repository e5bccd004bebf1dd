/* What the files of the Tensor type need of each other. */
#ifndef PN_PYTHON_TENSOR_PARTS_H
#define PN_PYTHON_TENSOR_PARTS_H
#include "python/state.h"
#include <structmember.h>

extern PyMethodDef pn_py_tensor_methods[];             /* tensor_methods.c */
extern PyType_Slot pn_py_tensor_slots[];               /* tensor_slots.c */
PyObject *pn_py_detach(pn_tensor *t);                  /* tensor_methods.c: same storage, no history */
bool pn_py_set_requires_grad(pn_tensor *t, bool flag); /* tensor.c; false with an exception set */
/* Refuses to write where a gradient would get lost (PyTorch's errors); `value` may be NULL. false with an exception set. */
bool pn_py_check_write(const pn_tensor *t, const pn_tensor *value);

/* tensor_methods.c: __float__, __int__, __index__, __bool__ */
PyObject *pn_py_tensor_float(PyObject *self);
PyObject *pn_py_tensor_int(PyObject *self);
PyObject *pn_py_tensor_index(PyObject *self);
int pn_py_tensor_bool(PyObject *self);

/* hooks.c: hooks are a dict from number to callable. */
PyObject *pn_py_hooks_dict(const pn_tensor *t);                  /* borrowed; NULL when t has none */
PyObject *pn_py_tensor_hooks(PyObject *self, PyObject *ignored); /* method: the dict, made when absent */

/* indexing.c */
PyObject *pn_py_subscript(PyObject *self, PyObject *key);
int pn_py_assign_subscript(PyObject *self, PyObject *key, PyObject *value);
PyObject *pn_py_item_at(PyObject *self, Py_ssize_t i);

/* integers.c: element by element on int64, with broadcasting; comparisons and logic too. New reference with MASK set for comparisons. */
typedef enum pn_py_int_op {
    PN_INT_ADD,
    PN_INT_SUB,
    PN_INT_MUL,
    PN_INT_MAX,
    PN_INT_MIN,
    PN_INT_FLOORDIV,
    PN_INT_MOD,
    PN_INT_AND,
    PN_INT_OR,
    PN_INT_XOR
} pn_py_int_op;
pn_tensor *pn_py_integers(pn_py_int_op op, pn_tensor *a, pn_tensor *b, pn_error *e);

/* inspect.c */
PyObject *pn_py_node_new(pn_node *n); /* Node object; takes a reference of its own */
int pn_py_add_node(PyObject *module);

/* dlpack.c */
PyObject *pn_py_tensor_dlpack(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *pn_py_tensor_dlpack_device(PyObject *self, PyObject *ignored);
#endif
