/* t[...] as a sequence of ops, so that gradients flow: slice for integers and slices, reshape for dropped and new dimensions, index_select for integer
 * arrays and masks. Rules are PyTorch's: integers are taken first, arrays are broadcast together, and their dimensions come first when they are apart. */
#include "python/tensor_parts.h"

#include <string.h>

#define T(o) (((pn_py_tensor *)(o))->t)

/* A key, sorted out: what happens to each dimension of x. */
typedef struct index_plan {
    pn_value start, stop, step; /* per dimension of x */
    bool cuts;                  /* some dimension is not taken whole */
    pn_shape shape;             /* after slicing: without integers, with new axes */
    bool reshapes;
    int n_arrays;
    int axis[PN_MAX_RANK];        /* of each array: which dimension of `shape` it indexes */
    PyObject *array[PN_MAX_RANK]; /* owned: Tensor or int64 ndarray */
} index_plan;

static void plan_free(index_plan *p) {
    for (int i = 0; i < p->n_arrays; i++) Py_DECREF(p->array[i]);
}

/* ---- items of a key ---- */

/* How many dimensions of x an item uses up; -1 with an exception set. Lists have become arrays before. */
static int item_width(PyObject *item) {
    if (item == Py_None || item == Py_Ellipsis) return 0;
    const int mask_rank = pn_py_tensor_check(item) && (T(item)->flags & PN_T_MASK)                 ? T(item)->shape.rank
                          : PyArray_Check(item) && PyArray_TYPE((PyArrayObject *)item) == NPY_BOOL ? PyArray_NDIM((PyArrayObject *)item)
                                                                                                   : -1;
    if (mask_rank > 0) return mask_rank;
    if (PyBool_Check(item) || PyArray_IsScalar(item, Bool) || mask_rank == 0) return PyErr_Format(PyExc_TypeError, "a single bool cannot be an index"), -1;
    if (PySlice_Check(item) || PyArray_Check(item) || pn_py_tensor_check(item) || PyIndex_Check(item)) return 1;
    PyErr_Format(PyExc_TypeError, "an index is of type %R, expected integers, slices, None, ..., or arrays of integers or bools", (PyObject *)Py_TYPE(item));
    return -1;
}

/* Whether an item is one integer: it takes its dimension away. */
static bool is_integer(PyObject *item) {
    if (pn_py_tensor_check(item)) return T(item)->shape.rank == 0 && !(T(item)->flags & PN_T_MASK);
    if (PyArray_Check(item)) return PyArray_NDIM((PyArrayObject *)item) == 0;
    return !PySlice_Check(item) && PyIndex_Check(item);
}

static bool take_integer(index_plan *p, const pn_shape *x, int d, PyObject *item) {
    char shape[256];
    const Py_ssize_t i = PyNumber_AsSsize_t(item, PyExc_IndexError);
    if (i == -1 && PyErr_Occurred()) return false;
    if (i < -x->dim[d] || i >= x->dim[d]) {
        PyErr_Format(PyExc_IndexError, "index %zd is out of range for dimension %d of a tensor of shape %s", i, d, pn_shape_text(x, shape));
        return false;
    }
    p->start.ints[d] = i < 0 ? i + x->dim[d] : i;
    p->stop.ints[d] = p->start.ints[d] + 1;
    p->step.ints[d] = 1;
    p->cuts |= x->dim[d] != 1;
    p->reshapes = true;
    return true;
}

static void take_whole(index_plan *p, const pn_shape *x, int d) {
    p->start.ints[d] = 0;
    p->stop.ints[d] = x->dim[d];
    p->step.ints[d] = 1;
    p->shape.dim[p->shape.rank++] = x->dim[d];
}

static bool take_slice(index_plan *p, const pn_shape *x, int d, PyObject *item) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(item, &start, &stop, &step)) return false;
    const Py_ssize_t n = PySlice_AdjustIndices((Py_ssize_t)x->dim[d], &start, &stop, step);
    p->start.ints[d] = start;
    p->stop.ints[d] = n ? stop : start;
    p->step.ints[d] = step;
    p->cuts |= n != x->dim[d] || step < 0;
    p->shape.dim[p->shape.rank++] = n;
    return true;
}

static void add_array(index_plan *p, PyObject *array, int axis) {
    p->axis[p->n_arrays] = axis;
    p->array[p->n_arrays++] = array;
}

/* A mask of rank r stands for r arrays: where it is set. */
static bool take_mask(index_plan *p, const pn_shape *x, int d, PyObject *item) {
    char shape[256];
    PyObject *mask = NULL, *positions = NULL;
    if (pn_py_tensor_check(item)) {
        pn_recording_read(pn_py_context(), T(item), "an index by mask");
        mask = pn_py_tensor_array(T(item), false);
    } else {
        mask = Py_NewRef(item);
    }
    if (!mask) return false;
    const int rank = PyArray_NDIM((PyArrayObject *)mask);
    for (int i = 0; i < rank; i++) {
        if (PyArray_DIM((PyArrayObject *)mask, i) == x->dim[d + i]) continue;
        PyErr_Format(PyExc_IndexError, "a mask has size %zd in dimension %d, which does not fit dimension %d of a tensor of shape %s",
                     PyArray_DIM((PyArrayObject *)mask, i), i, d + i, pn_shape_text(x, shape));
        Py_DECREF(mask);
        return false;
    }
    positions = PyArray_Nonzero((PyArrayObject *)mask);
    Py_DECREF(mask);
    if (!positions) return false;
    for (int i = 0; i < rank; i++) {
        PyObject *column = PyArray_FROM_OTF(PyTuple_GetItem(positions, i), NPY_INT64, NPY_ARRAY_IN_ARRAY);
        if (!column) {
            Py_DECREF(positions);
            return false;
        }
        add_array(p, column, p->shape.rank);
        take_whole(p, x, d + i);
    }
    Py_DECREF(positions);
    return true;
}

static bool take_array(index_plan *p, const pn_shape *x, int d, PyObject *item) {
    PyObject *array;
    if (pn_py_tensor_check(item)) {
        if (T(item)->shape.dtype != PN_I64) {
            PyErr_Format(PyExc_IndexError, "an index tensor has dtype %s, expected int64", pn_dtype_name(T(item)->shape.dtype));
            return false;
        }
        array = Py_NewRef(item);
    } else {
        PyArrayObject *a = (PyArrayObject *)item;
        if (!PyTypeNum_ISINTEGER(PyArray_TYPE(a)) && PyArray_SIZE(a) != 0) {
            PyErr_Format(PyExc_IndexError, "an index array has dtype %S, expected integers or bools", (PyObject *)PyArray_DESCR(a));
            return false;
        }
        array = PyArray_FROM_OTF(item, NPY_INT64, NPY_ARRAY_IN_ARRAY | NPY_ARRAY_FORCECAST);
        if (!array) return false;
    }
    add_array(p, array, p->shape.rank);
    take_whole(p, x, d);
    return true;
}

/* One item; *d is the next dimension of x and moves on. */
static bool take_item(index_plan *p, const pn_shape *x, int *d, PyObject *item, int whole) {
    const int width = item_width(item);
    const int adds = item == Py_Ellipsis ? whole : item == Py_None ? 1 : is_integer(item) ? 0 : width;
    bool ok = true;
    if (p->shape.rank + adds > PN_MAX_RANK) {
        PyErr_Format(PyExc_IndexError, "the result would have more than %d dimensions", PN_MAX_RANK);
        return false;
    }
    if (item == Py_None) {
        p->shape.dim[p->shape.rank++] = 1;
        p->reshapes = true;
    } else if (item == Py_Ellipsis) {
        for (int i = 0; i < whole; i++) take_whole(p, x, *d + i);
        *d += whole;
    } else if (is_integer(item)) {
        ok = take_integer(p, x, *d, item);
    } else if (PySlice_Check(item)) {
        ok = take_slice(p, x, *d, item);
    } else if ((pn_py_tensor_check(item) && (T(item)->flags & PN_T_MASK)) || (PyArray_Check(item) && PyArray_TYPE((PyArrayObject *)item) == NPY_BOOL)) {
        ok = take_mask(p, x, *d, item);
    } else {
        ok = take_array(p, x, *d, item);
    }
    *d += width;
    return ok;
}

/* The items of a key as a list of their own, lists among them as arrays. */
static PyObject *key_items(PyObject *key) {
    PyObject *items = PyTuple_Check(key) ? PySequence_List(key) : PyList_New(1);
    if (items && !PyTuple_Check(key)) PyList_SetItem(items, 0, Py_NewRef(key));
    for (Py_ssize_t i = 0; items && i < PyList_Size(items); i++) {
        PyObject *item = PyList_GetItem(items, i);
        if (!PyList_Check(item) && !PyTuple_Check(item)) continue;
        PyObject *array = PyArray_FromAny(item, NULL, 0, 0, 0, NULL);
        if (!array)
            Py_CLEAR(items);
        else
            PyList_SetItem(items, i, array);
    }
    return items;
}

static bool make_plan(index_plan *p, const pn_shape *x, PyObject *items) {
    char shape[256];
    const Py_ssize_t n = PyList_Size(items);
    int used = 0, ellipses = 0, d = 0;
    *p = (index_plan){.start.n = x->rank, .stop.n = x->rank, .step.n = x->rank};
    for (Py_ssize_t i = 0; i < n; i++) {
        const int width = item_width(PyList_GetItem(items, i));
        if (width < 0) return false;
        used += width;
        ellipses += PyList_GetItem(items, i) == Py_Ellipsis;
    }
    if (ellipses > 1) return PyErr_SetString(PyExc_IndexError, "an index can have one ellipsis ('...') only"), false;
    if (used > x->rank) {
        PyErr_Format(PyExc_IndexError, "too many indices: %d for a tensor of shape %s", used, pn_shape_text(x, shape));
        return false;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!take_item(p, x, &d, PyList_GetItem(items, i), x->rank - used)) return false;
    }
    if (p->shape.rank + x->rank - d > PN_MAX_RANK) return PyErr_Format(PyExc_IndexError, "the result would have more than %d dimensions", PN_MAX_RANK), false;
    for (; d < x->rank; d++) take_whole(p, x, d);
    return true;
}

/* ---- carrying it out ---- */

/* Replaces *x by op(*x); false with an exception set, *x is released then. */
static bool step(pn_tensor **x, const pn_op *op, const pn_value *attrs, pn_tensor *second) {
    pn_error e;
    pn_tensor *in[2] = {*x, second}, *out;
    const pn_status status = pn_apply(pn_py_context(), op, attrs, second ? 2 : 1, in, NULL, &out, NULL, &e);
    pn_tensor_unref(*x);
    *x = status ? NULL : out;
    if (status) pn_py_raise(&e);
    return !status;
}

static bool reshape(pn_tensor **x, const pn_shape *shape) {
    pn_value attr = {.n = shape->rank};
    memcpy(attr.ints, shape->dim, sizeof attr.ints);
    return step(x, &pn_op_reshape, &attr, NULL);
}

/* Index values of one array (C-contiguous int64), wrapped to 0..size-1, times stride, added to total by broadcasting over `common`. */
static bool add_indices(int64_t *total, const pn_shape *common, PyArrayObject *a, int64_t size, int64_t stride) {
    const int rank = PyArray_NDIM(a), shift = common->rank - rank;
    const int64_t n = pn_shape_size(common), *values = PyArray_DATA(a);
    int64_t at[PN_MAX_RANK] = {0}, steps[PN_MAX_RANK] = {0}, run = 1, offset = 0;
    for (int d = rank - 1; d >= 0; d--) {
        steps[d + shift] = PyArray_DIM(a, d) == 1 ? 0 : run;
        run *= PyArray_DIM(a, d);
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t v = values[offset];
        if (v < -size || v >= size) {
            PyErr_Format(PyExc_IndexError, "index %lld is out of range for a dimension of size %lld", (long long)v, (long long)size);
            return false;
        }
        total[i] += (v < 0 ? v + size : v) * stride;
        for (int d = common->rank - 1; d >= 0; d--) {
            offset += steps[d];
            if (++at[d] < common->dim[d]) break;
            offset -= at[d] * steps[d];
            at[d] = 0;
        }
    }
    return true;
}

/* The shape that all arrays are broadcast to. */
static bool common_shape(PyObject *const *arrays, int n, pn_shape *s) {
    *s = (pn_shape){.dtype = PN_I64};
    for (int i = 0; i < n; i++) {
        PyArrayObject *a = (PyArrayObject *)arrays[i];
        const int rank = PyArray_NDIM(a);
        if (rank > PN_MAX_RANK) return PyErr_Format(PyExc_IndexError, "an index array has more than %d dimensions", PN_MAX_RANK), false;
        for (; s->rank < rank; s->rank++) {
            memmove(s->dim + 1, s->dim, (size_t)s->rank * sizeof *s->dim);
            s->dim[0] = 1;
        }
        for (int d = 0; d < rank; d++) {
            int64_t *size = &s->dim[s->rank - rank + d];
            const int64_t own = PyArray_DIM(a, d);
            if (*size != 1 && own != 1 && own != *size) return PyErr_SetString(PyExc_IndexError, "index arrays cannot be broadcast together"), false;
            if (*size == 1) *size = own;
        }
    }
    return true;
}

/* One int64 tensor that indexes the merged dimensions of all arrays. NULL with an exception set. */
static pn_tensor *linear_index(PyObject *const *arrays, int n, const int64_t *sizes) {
    pn_error e;
    pn_shape shape;
    if (!common_shape(arrays, n, &shape)) return NULL;
    pn_tensor *index = pn_tensor_new(&shape, &e);
    if (!index) return (pn_tensor *)pn_py_raise(&e);
    memset(index->storage->data, 0, index->storage->bytes);
    int64_t stride = 1;
    for (int i = n - 1; i >= 0; i--) {
        if (!add_indices(index->storage->data, &shape, (PyArrayObject *)arrays[i], sizes[i], stride)) {
            pn_tensor_unref(index);
            return NULL;
        }
        stride *= sizes[i];
    }
    return index;
}

/* Tensors among the arrays become arrays: their values are read now. */
static bool read_tensors(index_plan *p) {
    for (int i = 0; i < p->n_arrays; i++) {
        if (!pn_py_tensor_check(p->array[i])) continue;
        pn_recording_read(pn_py_context(), T(p->array[i]), "an index");
        PyObject *array = pn_py_tensor_array(T(p->array[i]), false);
        if (!array) return false;
        Py_DECREF(p->array[i]);
        p->array[i] = array;
    }
    return true;
}

/* Brings the indexed dimensions together: in front when others lie between them. */
static bool gather_axes(index_plan *p, pn_tensor **x) {
    bool together = true;
    for (int i = 1; i < p->n_arrays; i++) together &= p->axis[i] == p->axis[i - 1] + 1;
    if (together) return true;
    pn_value dims = {.n = (*x)->shape.rank};
    bool moved[PN_MAX_RANK] = {false};
    int n = 0;
    for (int i = 0; i < p->n_arrays; i++) {
        dims.ints[n++] = p->axis[i];
        moved[p->axis[i]] = true;
    }
    for (int d = 0; d < (*x)->shape.rank; d++) {
        if (!moved[d]) dims.ints[n++] = d;
    }
    for (int i = 0; i < p->n_arrays; i++) p->axis[i] = i;
    return step(x, &pn_op_transpose, &dims, NULL);
}

/* The dimensions axis..axis+n-1 as one. */
static bool merge_axes(pn_tensor **x, int axis, int n) {
    pn_shape merged = {.dtype = (*x)->shape.dtype};
    int64_t size = 1;
    if (n == 1) return true;
    for (int d = 0; d < (*x)->shape.rank; d++) {
        if (d < axis || d >= axis + n) {
            merged.dim[merged.rank++] = (*x)->shape.dim[d];
            continue;
        }
        size *= (*x)->shape.dim[d];
        if (d == axis + n - 1) merged.dim[merged.rank++] = size;
    }
    return reshape(x, &merged);
}

/* True when one index tensor can go to the op as it is: it stays an input of a recording. Negative values need the careful way. */
static bool is_plain_tensor(const index_plan *p) {
    if (p->n_arrays != 1 || !pn_py_tensor_check(p->array[0])) return false;
    const pn_tensor *t = T(p->array[0]);
    if (pn_py_context()->recording && (t->flags & PN_T_DEPENDS)) return true;
    const int64_t *v = t->storage->data, n = pn_shape_size(&t->shape);
    for (int64_t i = 0; i < n; i++) {
        if (v[i] < 0) return false;
    }
    return true;
}

static bool apply_arrays(index_plan *p, pn_tensor **x) {
    if (is_plain_tensor(p)) return step(x, &pn_op_index_select, &(pn_value){.i = p->axis[0]}, T(p->array[0]));
    if (!read_tensors(p) || !gather_axes(p, x)) return false;
    int64_t sizes[PN_MAX_RANK];
    for (int i = 0; i < p->n_arrays; i++) sizes[i] = (*x)->shape.dim[p->axis[i]];
    pn_tensor *index = linear_index(p->array, p->n_arrays, sizes);
    if (!index) return false;
    const bool ok = merge_axes(x, p->axis[0], p->n_arrays) && step(x, &pn_op_index_select, &(pn_value){.i = p->axis[0]}, index);
    pn_tensor_unref(index);
    return ok;
}

static bool apply_plan(index_plan *p, pn_tensor **x) {
    if (p->cuts) {
        const pn_value attrs[3] = {p->start, p->stop, p->step};
        if (!step(x, &pn_op_slice, attrs, NULL)) return false;
    }
    if ((p->reshapes || (!p->cuts && !p->n_arrays)) && !reshape(x, &p->shape)) return false;
    return !p->n_arrays || apply_arrays(p, x);
}

/* ---- entry points ---- */

PyObject *pn_py_subscript(PyObject *self, PyObject *key) {
    PyObject *items = key_items(key);
    if (!items) return NULL;
    index_plan p;
    pn_tensor *x = T(self);
    const uint8_t mask = x->flags & PN_T_MASK;
    pn_tensor_ref(x);
    bool ok = make_plan(&p, &x->shape, items) && apply_plan(&p, &x);
    plan_free(&p);
    Py_DECREF(items);
    if (!ok) {
        pn_tensor_unref(x); /* NULL when a step failed */
        return NULL;
    }
    x->flags |= mask;
    return pn_py_tensor_new(x);
}

PyObject *pn_py_item_at(PyObject *self, Py_ssize_t i) {
    PyObject *key = PyLong_FromSsize_t(i);
    PyObject *item = key ? pn_py_subscript(self, key) : NULL;
    Py_XDECREF(key);
    return item;
}

/* Items as NumPy understands them: tensors as arrays, masks as arrays of bool. */
static PyObject *numpy_key(PyObject *items) {
    for (Py_ssize_t i = 0; i < PyList_Size(items); i++) {
        PyObject *item = PyList_GetItem(items, i);
        if (item_width(item) < 0) return NULL;
        if (!pn_py_tensor_check(item)) continue;
        pn_recording_read(pn_py_context(), T(item), "an index");
        PyObject *a = pn_py_tensor_array(T(item), false);
        if (a && (T(item)->flags & PN_T_MASK)) {
            PyObject *bools = PyArray_Cast((PyArrayObject *)a, NPY_BOOL);
            Py_DECREF(a);
            a = bools;
        }
        if (!a) return NULL;
        PyList_SetItem(items, i, a);
    }
    return PyList_AsTuple(items);
}

int pn_py_assign_subscript(PyObject *self, PyObject *key, PyObject *value) {
    pn_tensor *t = T(self);
    if (!value) {
        PyErr_SetString(PyExc_TypeError, "elements of a tensor cannot be deleted");
        return -1;
    }
    const bool from_tensor = pn_py_tensor_check(value);
    if (!pn_py_check_write(t, from_tensor ? T(value) : NULL)) return -1;
    PyObject *items = key_items(key), *place = items ? numpy_key(items) : NULL, *to = place ? pn_py_tensor_array(t, true) : NULL;
    PyObject *from = !to ? NULL : from_tensor ? pn_py_tensor_array(T(value), false) : Py_NewRef(value);
    const int failed = !from || PyObject_SetItem(to, place, from);
    Py_XDECREF(from);
    Py_XDECREF(to);
    Py_XDECREF(place);
    Py_XDECREF(items);
    if (failed) return -1;
    t->storage->version++;
    return 0;
}
