/* What the files of the binding share: module state, the Tensor object, the context of the calling thread, errors.
 *
 * Only this folder includes Python.h and the NumPy C API. The module is built against the limited API of Python 3.11 (abi3); the build defines
 * Py_LIMITED_API, except for free-threaded builds. One process has one copy of the module: NumPy has no more either.
 */
#ifndef PN_PYTHON_STATE_H
#define PN_PYTHON_STATE_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_1_23_API_VERSION
#define NPY_TARGET_VERSION NPY_1_23_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL pn_numpy_api
#ifndef PN_PYTHON_IMPORTS_NUMPY /* module.c alone */
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "base/alloc.h"
#include "data/augment.h"
#include "data/gather.h"
#include "graph/graph.h"

#define OP(name) extern const pn_op pn_op_##name;
#include "ops/ops.def"
#undef OP

/* ---- module state ---- */

/* An op as Python sees it: see opcall.c. */
typedef struct pn_py_op pn_py_op;

typedef struct pn_py_state {
    PyTypeObject *tensor_type, *node_type, *handle_type;
    PyObject *ops;            /* dict name -> builtin */
    pn_py_op *op_table;       /* all ops, NULL-terminated names; owned */
    PyObject *layers;         /* dict label -> itself: keeps the text of layer labels alive for nodes */
    PyObject *dtype_names[3]; /* interned "float32", "float64", "int64" */
    uint64_t root, children;  /* randomness without a seed: root of manual_seed, and how many children were drawn from it */
} pn_py_state;

pn_py_state *pn_py_state_get(void); /* of the one module; never NULL once it is imported */

/* ---- Tensor ---- */

typedef struct pn_py_tensor {
    PyObject_HEAD pn_tensor *t; /* owned reference; t->object points back here */
    PyObject *weakrefs;
} pn_py_tensor;

static inline bool pn_py_tensor_check(PyObject *o) { return Py_TYPE(o) == pn_py_state_get()->tensor_type; } /* the type is final */
/* Borrowed pn_tensor of a Tensor, or NULL with TypeError set. */
pn_tensor *pn_py_tensor_get(PyObject *o);
/* The Python object of t: the living one if there is one, else a new one. Takes over the caller's reference to t, also on failure. */
PyObject *pn_py_tensor_new(pn_tensor *t);
/* The same for a borrowed t; NULL gives None. */
PyObject *pn_py_tensor_wrap(pn_tensor *t);

/* New ndarray that shares the storage of t and keeps it alive. */
PyObject *pn_py_tensor_array(pn_tensor *t, bool writable);
/* New tensor from anything array-like. dtype: pn_dtype wanted, or -1 for the rules of `tensor` (Python floats and lists float32, ints and bools int64,
 * NumPy arrays keep float32, float64). copy false: may share memory with an aligned, C-contiguous, writable ndarray. */
pn_tensor *pn_py_convert(PyObject *data, int dtype, bool copy);
/* "float32" (or numpy dtype, or Python type) -> pn_dtype; None gives -1; -2 with an exception set. */
int pn_py_dtype(PyObject *o);
static inline int pn_py_typenum(int dtype) { return dtype == PN_F32 ? NPY_FLOAT32 : dtype == PN_F64 ? NPY_FLOAT64 : NPY_INT64; }
PyObject *pn_py_shape(const pn_shape *s);         /* tuple of ints */
bool pn_py_parse_shape(PyObject *o, pn_shape *s); /* int or sequence of ints into rank and dim; false with an exception set */
/* Describes a numeric array of any strides and byte order for pn_source_gather (borrowed: the caller keeps it alive). `name` is what a message calls it.
 * false with TypeError when it holds no numbers. */
typedef pn_source pn_py_source;
bool pn_py_source_init(pn_source *s, PyObject *array, const char *name);
/* (numbers, (channels, height, width)) -> *a; returns the array that *a borrows its numbers from (new reference), NULL with an exception set. */
PyObject *pn_py_augment_read(PyObject *o, uint64_t seed, pn_augment *a);
/* A new array, C-contiguous, of dtype, that belongs to nobody else; NULL with MemoryError. */
PyObject *pn_py_array_new(const pn_shape *s);

/* ---- context, errors, interrupts ---- */

pn_context *pn_py_context(void); /* of the calling thread */
/* What random ops of this thread draw: key from seed, step, ordinal 0. */
void pn_py_set_random(uint64_t seed, uint64_t step);
uint64_t pn_py_random_seed(void);
uint64_t pn_py_seed_child(void); /* random.c: a fresh seed from the root */
/* Sets the Python exception that belongs to e (keeps one that is set already for PN_E_PYTHON and PN_E_INTERRUPTED) and returns NULL. */
PyObject *pn_py_raise(const pn_error *e);
/* For pn_poll_init: takes the GIL, lets Python handle signals, true when an exception is set in this thread. Works with or without the GIL held. */
bool pn_py_ask(void *context);
/* Giving up the GIL: token = pn_py_release(); ...; pn_py_acquire(token). */
void *pn_py_release(void);
/* The same for work of so many elements or FLOPs; kept for little work, when token is NULL. A thread that waits for the GIL asks for it after 5 ms in which
 * nobody gave it up: one that is given up for microseconds again and again wakes the others in vain, and they starve. */
void *pn_py_release_for(double work);
void pn_py_acquire(void *token);

/* ---- parts of the module: each adds its names, 0 or -1 ---- */
int pn_py_add_tensor(PyObject *module);     /* tensor.c */
int pn_py_add_ops(PyObject *module);        /* opcall.c */
int pn_py_add_plan_types(PyObject *module); /* plan_py.c: Recorder, Plan, Optimizer, Trainer */

bool pn_py_is_hooked(const pn_tensor *t); /* hooks.c: has gradient hooks; an empty dict of them does not count */
/* One Tensor, or a tuple of n; takes over the references. */
PyObject *pn_py_results(pn_tensor **out, int n);
/* Applies op to borrowed tensors; the one output as a Tensor. attrs NULL: none or all defaults are not read. */
PyObject *pn_py_apply(const pn_op *op, const pn_value *attrs, int n_in, pn_tensor *const *in);

/* ---- functions of the module, file by file ---- */
extern PyMethodDef pn_py_convert_methods[], pn_py_dlpack_methods[], pn_py_user_methods[], pn_py_inspect_methods[], pn_py_tools_methods[], pn_py_op_methods[],
    pn_py_bench_methods[], pn_py_random_methods[], pn_py_augment_methods[];

#endif
