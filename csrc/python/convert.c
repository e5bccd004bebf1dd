/* From Python data to tensors: numbers, lists, NumPy arrays of any layout, anything with __array__. */
#include "python/state.h"

#include <string.h>

/* ---- dtypes and shapes ---- */

static int dtype_of_typenum(int type) { return type == NPY_FLOAT32 ? PN_F32 : type == NPY_FLOAT64 ? PN_F64 : type == NPY_INT64 ? PN_I64 : -2; }

int pn_py_dtype(PyObject *o) {
    if (o == NULL || o == Py_None) return -1;
    int dtype = -2;
    if (PyUnicode_Check(o)) {
        for (int i = 0; i < 3; i++) {
            if (PyUnicode_CompareWithASCIIString(o, pn_dtype_name(i)) == 0) dtype = i;
        }
    } else {
        PyArray_Descr *descr = NULL;
        if (PyArray_DescrConverter(o, &descr)) {
            dtype = dtype_of_typenum(descr->type_num);
            Py_DECREF((PyObject *)descr);
        } else {
            PyErr_Clear();
        }
    }
    if (dtype == -2) PyErr_Format(PyExc_TypeError, "dtype is %R, expected 'float32', 'float64' or 'int64'", o);
    return dtype;
}

PyObject *pn_py_shape(const pn_shape *s) {
    PyObject *tuple = PyTuple_New(s->rank);
    for (int i = 0; tuple && i < s->rank; i++) {
        PyObject *n = PyLong_FromLongLong(s->dim[i]);
        if (!n) {
            Py_DECREF(tuple);
            return NULL;
        }
        PyTuple_SetItem(tuple, i, n);
    }
    return tuple;
}

/* One dimension. A number that no memory could hold is reported as such. */
static bool parse_dim(PyObject *o, int64_t *dim) {
    PyObject *index = PyNumber_Index(o);
    if (!index) return false;
    int overflow = 0;
    *dim = PyLong_AsLongLongAndOverflow(index, &overflow);
    if (overflow > 0) PyErr_Format(PyExc_MemoryError, "not enough memory for a dimension of %S", index);
    if (overflow < 0 || (!overflow && *dim < 0)) PyErr_Format(PyExc_ValueError, "shape has the dimension %S, expected 0 or more", index);
    Py_DECREF(index);
    return !PyErr_Occurred();
}

bool pn_py_parse_shape(PyObject *o, pn_shape *s) {
    s->rank = 1;
    if (PyIndex_Check(o)) return parse_dim(o, &s->dim[0]);
    PyObject *items = PySequence_Tuple(o);
    if (!items) return false;
    const Py_ssize_t n = PyTuple_Size(items);
    bool ok = n <= PN_MAX_RANK;
    if (!ok) PyErr_Format(PyExc_ValueError, "shape has %zd dimensions, expected at most %d", n, PN_MAX_RANK);
    s->rank = (int)n;
    for (Py_ssize_t i = 0; ok && i < n; i++) ok = parse_dim(PyTuple_GetItem(items, i), &s->dim[i]);
    Py_DECREF(items);
    return ok;
}

/* ---- arrays as sources ---- */

static int number_of_typenum(int type) {
    switch (type) {
    case NPY_BOOL: return PN_NUM_BOOL;
    case NPY_FLOAT16: return PN_NUM_F16;
    case NPY_FLOAT32: return PN_NUM_F32;
    case NPY_FLOAT64: return PN_NUM_F64;
    default: break;
    }
    /* NumPy has more integer types than sizes: int and long may both have 4 or 8 bytes. */
    if (!PyTypeNum_ISINTEGER(type)) return -1;
    PyArray_Descr *descr = PyArray_DescrFromType(type);
    const npy_intp bytes = descr ? PyDataType_ELSIZE(descr) : 0;
    Py_XDECREF((PyObject *)descr);
    const int is_unsigned = PyTypeNum_ISUNSIGNED(type);
    return bytes == 1   ? PN_NUM_I8 + is_unsigned
           : bytes == 2 ? PN_NUM_I16 + is_unsigned
           : bytes == 4 ? PN_NUM_I32 + is_unsigned
           : bytes == 8 ? PN_NUM_I64 + is_unsigned
                        : -1;
}

/* Elements of a row in one run? Axes of length 1 have no say; an empty row is. */
static bool is_packed(const pn_source *s) {
    int64_t expected = (int64_t)pn_number_bytes(s->number);
    for (int d = s->rank - 1; d >= 0; d--) {
        if (s->dim[d] != 1 && s->stride[d] != expected) return false;
        expected *= s->dim[d];
    }
    return true;
}

bool pn_py_source_init(pn_source *s, PyObject *array, const char *name) {
    if (!PyArray_Check(array)) {
        PyErr_Format(PyExc_TypeError, "%s is of type %R, expected a NumPy array", name, (PyObject *)Py_TYPE(array));
        return false;
    }
    PyArrayObject *a = (PyArrayObject *)array;
    const int number = number_of_typenum(PyArray_TYPE(a));
    if (number < 0) {
        PyErr_Format(PyExc_TypeError, "%s has dtype %S, expected numbers (bool, integers or floats up to 64 bits)", name, (PyObject *)PyArray_DESCR(a));
        return false;
    }
    if (!PyArray_CheckExact(array) && PyObject_HasAttrString(array, "mask")) {
        PyErr_Format(PyExc_TypeError, "%s is a masked array, whose masked values would count as data; fill them first with .filled(value)", name);
        return false;
    }
    const int rank = PyArray_NDIM(a);
    s->data = PyArray_BYTES(a);
    s->number = (pn_number)number;
    s->swapped = PyArray_ISBYTESWAPPED(a);
    s->rank = rank ? rank - 1 : 0;
    s->rows = rank ? PyArray_DIM(a, 0) : 1;
    s->row_stride = rank ? PyArray_STRIDE(a, 0) : 0;
    s->row_size = 1;
    for (int d = 0; d < s->rank; d++) {
        s->dim[d] = PyArray_DIM(a, d + 1);
        s->stride[d] = PyArray_STRIDE(a, d + 1);
        s->row_size *= s->dim[d];
    }
    s->packed = is_packed(s);
    return true;
}

PyObject *pn_py_array_new(const pn_shape *s) {
    npy_intp dim[PN_MAX_RANK];
    for (int i = 0; i < s->rank; i++) dim[i] = (npy_intp)s->dim[i];
    return PyArray_SimpleNew(s->rank, dim, pn_py_typenum(s->dtype));
}

/* ---- tensors ---- */

static int default_dtype(int typenum) {
    if (typenum == NPY_FLOAT64) return PN_F64;
    return PyTypeNum_ISFLOAT(typenum) ? PN_F32 : PN_I64;
}

static bool array_shape(PyArrayObject *a, int dtype, pn_shape *s) {
    const int rank = PyArray_NDIM(a);
    if (rank > PN_MAX_RANK) {
        PyErr_Format(PyExc_ValueError, "data has %d dimensions, expected at most %d", rank, PN_MAX_RANK);
        return false;
    }
    s->rank = rank;
    s->dtype = dtype;
    for (int i = 0; i < rank; i++) s->dim[i] = PyArray_DIM(a, i);
    return true;
}

static void release_array(void *array) { Py_DECREF((PyObject *)array); }

/* A tensor on the memory of the array itself, which it keeps alive. */
static pn_tensor *share_array(PyArrayObject *a, const pn_shape *shape) {
    pn_error e;
    pn_storage *s = pn_storage_wrap(PyArray_DATA(a), (size_t)PyArray_NBYTES(a), release_array, a, &e);
    if (!s) return (pn_tensor *)pn_py_raise(&e);
    Py_INCREF((PyObject *)a);
    pn_tensor *t = pn_tensor_of(s, shape, &e);
    pn_storage_unref(s);
    return t ? t : (pn_tensor *)pn_py_raise(&e);
}

/* 2**63 and above have no int64. */
static bool has_large_unsigned(const pn_source *s, const pn_tensor *t) {
    if (s->number != PN_NUM_U64 || t->shape.dtype != PN_I64) return false;
    const int64_t *v = t->storage->data, n = pn_shape_size(&t->shape);
    for (int64_t i = 0; i < n; i++) {
        if (v[i] == INT64_MIN) return true;
    }
    return false;
}

static pn_tensor *tensor_of_array(PyArrayObject *a, int dtype, bool copy) {
    pn_error e;
    pn_shape shape;
    pn_source s;
    if (!pn_py_source_init(&s, (PyObject *)a, "data") || !array_shape(a, dtype, &shape)) return NULL;
    if (!copy && dtype_of_typenum(PyArray_TYPE(a)) == dtype && PyArray_ISCARRAY(a)) return share_array(a, &shape);
    if (dtype == PN_I64 && PyTypeNum_ISFLOAT(PyArray_TYPE(a))) {
        /* int(x) of every element, as NumPy's astype and PyTorch's long() do */
        PyObject *whole = PyArray_Cast(a, NPY_INT64);
        pn_tensor *t = whole ? tensor_of_array((PyArrayObject *)whole, dtype, true) : NULL;
        Py_XDECREF(whole);
        return t;
    }
    pn_tensor *t = pn_tensor_new(&shape, &e);
    if (!t) return (pn_tensor *)pn_py_raise(&e);
    pn_source_gather(&s, NULL, 0, s.rows, dtype, t->storage->data);
    if (has_large_unsigned(&s, t)) {
        pn_tensor_unref(t);
        PyErr_SetString(PyExc_ValueError, "data has unsigned integers of 2**63 or more, which int64 cannot hold; give dtype='float64'");
        return NULL;
    }
    if (s.number == PN_NUM_BOOL && dtype == PN_I64) t->flags |= PN_T_MASK;
    return t;
}

/* A tensor of one element from a Python number; dtype is already decided. */
static pn_tensor *tensor_of_number(PyObject *data, int dtype) {
    pn_error e;
    const pn_shape shape = {.rank = 0, .dtype = dtype};
    double f = 0;
    long long i = 0;
    if (dtype == PN_I64 && PyFloat_Check(data)) {
        PyObject *whole = PyNumber_Long(data);
        if (!whole) return NULL;
        i = PyLong_AsLongLong(whole);
        Py_DECREF(whole);
    } else if (dtype == PN_I64) {
        i = PyLong_AsLongLong(data);
    } else {
        f = PyFloat_AsDouble(data);
    }
    if ((f == -1 || i == -1) && PyErr_Occurred()) return NULL;
    pn_tensor *t = pn_tensor_new(&shape, &e);
    if (!t) return (pn_tensor *)pn_py_raise(&e);
    if (dtype == PN_F32)
        *(float *)t->storage->data = (float)f;
    else if (dtype == PN_F64)
        *(double *)t->storage->data = f;
    else
        *(int64_t *)t->storage->data = i;
    if (PyBool_Check(data) && dtype == PN_I64) t->flags |= PN_T_MASK;
    return t;
}

static bool is_number(PyObject *o) { return PyFloat_CheckExact(o) || PyLong_Check(o); }

/* Lists and other objects by way of NumPy. Floats in lists are Python's, so they become float32 as a single one does. */
static pn_tensor *tensor_of_object(PyObject *data, int dtype) {
    PyObject *array = PyArray_FromAny(data, NULL, 0, 0, 0, NULL);
    if (!array) return NULL;
    if (dtype < 0) {
        dtype = default_dtype(PyArray_TYPE((PyArrayObject *)array));
        if (dtype == PN_F64 && (PyList_Check(data) || PyTuple_Check(data))) dtype = PN_F32;
    }
    pn_tensor *t = tensor_of_array((PyArrayObject *)array, dtype, true);
    Py_DECREF(array);
    return t;
}

static pn_tensor *tensor_of_tensor(pn_tensor *t, int dtype) {
    pn_error e;
    pn_recording_read(pn_py_context(), t, "a copy");
    if (dtype < 0 || dtype == t->shape.dtype) {
        pn_tensor *copy = pn_tensor_copy(t, &e);
        if (!copy) return (pn_tensor *)pn_py_raise(&e);
        copy->flags |= t->flags & PN_T_MASK;
        return copy;
    }
    PyObject *array = pn_py_tensor_array(t, false);
    pn_tensor *other = array ? tensor_of_array((PyArrayObject *)array, dtype, true) : NULL;
    Py_XDECREF(array);
    return other;
}

pn_tensor *pn_py_convert(PyObject *data, int dtype, bool copy) {
    if (pn_py_tensor_check(data)) return tensor_of_tensor(((pn_py_tensor *)data)->t, dtype);
    if (is_number(data)) return tensor_of_number(data, dtype >= 0 ? dtype : PyLong_Check(data) ? PN_I64 : PN_F32);
    if (PyArray_Check(data)) {
        PyArrayObject *a = (PyArrayObject *)data;
        return tensor_of_array(a, dtype >= 0 ? dtype : default_dtype(PyArray_TYPE(a)), copy);
    }
    return tensor_of_object(data, dtype);
}

/* ---- functions of the module ---- */

PyDoc_STRVAR(as_tensor_doc, "as_tensor(obj, dtype=None, /)\n--\n\n"
                            "Tensor on obj: a Tensor of that dtype itself; a writable C-contiguous ndarray shares its memory; anything else is copied.");
static PyObject *as_tensor(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    if (n < 1 || n > 2) return PyErr_Format(PyExc_TypeError, "as_tensor takes 1 or 2 arguments, got %zd", n);
    const int dtype = pn_py_dtype(n == 2 ? args[1] : NULL);
    if (dtype == -2) return NULL;
    if (pn_py_tensor_check(args[0]) && (dtype < 0 || ((pn_py_tensor *)args[0])->t->shape.dtype == dtype)) return Py_NewRef(args[0]);
    pn_tensor *t = pn_py_convert(args[0], dtype, false);
    return t ? pn_py_tensor_new(t) : NULL;
}

/* index as contiguous int64, all of it within 0..rows-1; NULL with an exception set. */
static PyObject *checked_index(PyObject *o, int64_t rows) {
    PyObject *index = PyArray_FROM_OTF(o, NPY_INT64, NPY_ARRAY_IN_ARRAY);
    if (!index) return NULL;
    const int64_t *v = PyArray_DATA((PyArrayObject *)index), n = PyArray_SIZE((PyArrayObject *)index);
    for (int64_t i = 0; i < n; i++) {
        if (v[i] >= 0 && v[i] < rows) continue;
        PyErr_Format(PyExc_IndexError, "index has value %lld at position %lld, allowed are 0 to %lld", (long long)v[i], (long long)i, (long long)rows - 1);
        Py_DECREF(index);
        return NULL;
    }
    return index;
}

#define GATHER_PIECE ((int64_t)1 << 19) /* elements between two looks at signals: fresh memory makes copying slow */

/* Rows of s into the new array `to`. What takes long is done in pieces and without the GIL; false with an exception set. */
static bool gather_in_pieces(const pn_source *s, const int64_t *index, int64_t rows, int dtype, char *to) {
    const int64_t piece = s->row_size > 0 && s->row_size < GATHER_PIECE ? GATHER_PIECE / s->row_size : 1;
    if (rows <= piece) {
        pn_source_gather(s, index, 0, rows, dtype, to);
        return true;
    }
    for (int64_t at = 0; at < rows; at += piece) {
        const int64_t n = rows - at < piece ? rows - at : piece;
        void *token = pn_py_release();
        pn_source_gather(s, index ? index + at : NULL, at, n, dtype, to + (size_t)(at * s->row_size) * pn_dtype_bytes(dtype));
        pn_py_acquire(token);
        if (PyErr_CheckSignals()) return false;
    }
    return true;
}

PyDoc_STRVAR(gather_rows_doc, "gather_rows(array, index, dtype, /)\n--\n\n"
                              "New ndarray of dtype with the rows array[index]; index None takes all rows. Any numeric dtype, byte order and strides.");
static PyObject *gather_rows(PyObject *module, PyObject *const *args, Py_ssize_t n) {
    (void)module;
    if (n != 3) return PyErr_Format(PyExc_TypeError, "gather_rows takes 3 arguments, got %zd", n);
    pn_source s;
    const int dtype = pn_py_dtype(args[2]);
    if (dtype == -2 || !pn_py_source_init(&s, args[0], "array")) return NULL;
    if (dtype < 0) return PyErr_Format(PyExc_TypeError, "gather_rows needs a dtype");
    PyArrayObject *a = (PyArrayObject *)args[0];
    if (PyArray_NDIM(a) == 0) return PyErr_Format(PyExc_ValueError, "array has no dimension, expected rows");
    PyObject *index = args[1] == Py_None ? NULL : checked_index(args[1], s.rows);
    if (!index && args[1] != Py_None) return NULL;
    const int64_t rows = index ? PyArray_SIZE((PyArrayObject *)index) : s.rows;
    npy_intp dim[PN_SOURCE_MAX_RANK];
    dim[0] = (npy_intp)rows;
    for (int d = 0; d < s.rank; d++) dim[d + 1] = (npy_intp)s.dim[d];
    PyObject *out = PyArray_SimpleNew(s.rank + 1, dim, pn_py_typenum(dtype));
    if (out && !gather_in_pieces(&s, index ? PyArray_DATA((PyArrayObject *)index) : NULL, rows, dtype, PyArray_DATA((PyArrayObject *)out))) Py_CLEAR(out);
    Py_XDECREF(index);
    return out;
}

PyMethodDef pn_py_convert_methods[] = {
    {"as_tensor", (PyCFunction)(void (*)(void))as_tensor, METH_FASTCALL, as_tensor_doc},
    {"gather_rows", (PyCFunction)(void (*)(void))gather_rows, METH_FASTCALL, gather_rows_doc},
    {NULL, NULL, 0, NULL},
};
