/* An op as Python sees it: names ready to be compared, defaults ready to be copied. Built once by optable.c, read by opcall.c. */
#ifndef PN_PYTHON_OPCALL_H
#define PN_PYTHON_OPCALL_H
#include "python/state.h"

#define PN_PY_MAX_INPUTS 8

struct pn_py_op {
    const pn_op *op;      /* NULL ends the table */
    int n_inputs, min_in; /* a variadic input counts as one */
    bool variadic;
    bool comparison;  /* the result is a mask */
    bool all_default; /* every attribute has a default */
    int n_fields;     /* attributes that Python shows */
    int n_hidden;     /* all attributes: those behind n_fields belong to plans and keep their defaults */
    int integers;     /* pn_py_int_op that serves two int64 inputs, -1: none */
    pn_op_input input[PN_PY_MAX_INPUTS];
    PyObject *input_name[PN_PY_MAX_INPUTS], *field_name[PN_MAX_ATTR]; /* interned, owned */
    pn_value defaults[PN_MAX_ATTR];
    char *signature; /* "(x, slope=0.01)", owned */
    char *doc;       /* name, signature, formula, derivative; owned */
    PyMethodDef def;
};

PyObject *pn_py_op_call(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames);
void pn_py_free_ops(pn_py_op *table);
#endif
