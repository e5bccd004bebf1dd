/* Tensors in and out through DLPack, without a copy where layouts agree. The structs are those of the DLPack specification 1.0 (dmlc.github.io/dlpack),
 * written down here because they are an interface between processes' libraries, not a library. */
#include <string.h>

#include "python/tensor_parts.h"

#define T(o) (((pn_py_tensor *)(o))->t)

enum { DL_CPU = 1 };
enum { DL_INT = 0, DL_UINT = 1, DL_FLOAT = 2, DL_BOOL = 6 };
#define DL_READ_ONLY 1u
#define DL_COPIED 2u

typedef struct dl_device {
    int32_t type, id;
} dl_device;
typedef struct dl_type {
    uint8_t code, bits;
    uint16_t lanes;
} dl_type;
typedef struct dl_tensor {
    void *data;
    dl_device device;
    int32_t rank;
    dl_type type;
    int64_t *shape, *strides; /* in elements; strides NULL: C-contiguous */
    uint64_t offset;          /* bytes */
} dl_tensor;
typedef struct dl_managed {
    dl_tensor tensor;
    void *context;
    void (*deleter)(struct dl_managed *);
} dl_managed;
typedef struct dl_versioned {
    uint32_t major, minor;
    void *context;
    void (*deleter)(struct dl_versioned *);
    uint64_t flags;
    dl_tensor tensor;
} dl_versioned;

#define PLAIN "dltensor"
#define VERSIONED "dltensor_versioned"

/* ---- out ---- */

/* What an exported tensor needs, in one allocation: one of the two structs is in use. */
typedef struct export {
    union {
        dl_managed managed;
        dl_versioned versioned;
    };
    pn_storage *storage;
    int64_t shape[PN_MAX_RANK], strides[PN_MAX_RANK];
} export;

/* The consumer may call this on any thread, with or without the GIL, even while Python ends: then there is nobody left to give memory back to. */
static void export_free(export *x) {
    if (!Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    pn_storage_unref(x->storage);
    pn_free(x);
    PyGILState_Release(gil);
}
static void delete_managed(dl_managed *m) { export_free((export *)m); }
static void delete_versioned(dl_versioned *v) { export_free((export *)v); }

/* A consumer renames the capsule; if nobody did, the tensor is still ours to free. */
static void capsule_free(PyObject *capsule) {
    if (PyCapsule_IsValid(capsule, PLAIN)) export_free(PyCapsule_GetPointer(capsule, PLAIN));
    if (PyCapsule_IsValid(capsule, VERSIONED)) export_free(PyCapsule_GetPointer(capsule, VERSIONED));
}

static void describe(export *x, const pn_tensor *t, dl_tensor *d) {
    int64_t stride = 1;
    for (int i = t->shape.rank - 1; i >= 0; i--) {
        x->shape[i] = t->shape.dim[i];
        x->strides[i] = stride;
        stride *= t->shape.dim[i];
    }
    const bool whole = t->shape.dtype == PN_I64;
    *d = (dl_tensor){.data = t->storage->data,
                     .device = {DL_CPU, 0},
                     .rank = t->shape.rank,
                     .type = {whole ? DL_INT : DL_FLOAT, (uint8_t)(8 * pn_dtype_bytes(t->shape.dtype)), 1},
                     .shape = x->shape,
                     .strides = x->strides};
}

/* Takes over the reference to t. */
static PyObject *export_tensor(pn_tensor *t, bool versioned, bool copied) {
    export *x = pn_alloc(sizeof *x);
    if (!x) {
        pn_tensor_unref(t);
        return PyErr_NoMemory();
    }
    x->storage = t->storage;
    pn_storage_ref(x->storage);
    if (versioned) {
        x->versioned = (dl_versioned){.major = 1, .minor = 0, .deleter = delete_versioned, .flags = copied ? DL_COPIED : 0};
        describe(x, t, &x->versioned.tensor);
    } else {
        x->managed = (dl_managed){.deleter = delete_managed};
        describe(x, t, &x->managed.tensor);
    }
    pn_tensor_unref(t);
    PyObject *capsule = PyCapsule_New(x, versioned ? VERSIONED : PLAIN, capsule_free);
    if (!capsule) export_free(x);
    return capsule;
}

static bool is_cpu(PyObject *device) {
    int type, id;
    if (!device || device == Py_None) return true;
    if (!PyTuple_Check(device))
        return PyErr_Format(PyExc_TypeError, "dl_device is of type %R, expected a pair (type, number)", (PyObject *)Py_TYPE(device)), false;
    if (!PyArg_ParseTuple(device, "ii:dl_device", &type, &id)) return false;
    if (type == DL_CPU) return true;
    PyErr_Format(PyExc_BufferError, "a tensor can only be exported to the CPU, not to device type %d", type);
    return false;
}

PyObject *pn_py_tensor_dlpack(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
    PyObject *stream = Py_None, *version = Py_None, *device = Py_None, *copy = Py_None;
    int major = 0, minor = 0;
    pn_error e;
    pn_tensor *t = T(self);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:__dlpack__", names, &stream, &version, &device, &copy)) return NULL;
    if (version != Py_None && !PyTuple_Check(version))
        return PyErr_Format(PyExc_TypeError, "max_version is of type %R, expected a pair (major, minor)", (PyObject *)Py_TYPE(version));
    if (version != Py_None && !PyArg_ParseTuple(version, "ii:max_version", &major, &minor)) return NULL;
    if (stream != Py_None) return PyErr_Format(PyExc_BufferError, "stream must be None for a tensor on the CPU");
    if (!is_cpu(device)) return NULL;
    if (!pn_tensor_is_leaf(t)) {
        PyErr_SetString(PyExc_BufferError, "a tensor that was computed and requires grad cannot be exported; use t.detach()");
        return NULL;
    }
    pn_recording_read(pn_py_context(), t, "__dlpack__()");
    const bool copied = copy == Py_True;
    if (copied) {
        t = pn_tensor_copy(t, &e);
        if (!t) return pn_py_raise(&e);
    } else {
        pn_tensor_ref(t);
    }
    return export_tensor(t, major >= 1, copied);
}

PyObject *pn_py_tensor_dlpack_device(PyObject *self, PyObject *ignored) {
    (void)self;
    (void)ignored;
    return Py_BuildValue("(ii)", DL_CPU, 0);
}

/* ---- in ---- */

static int number_of_type(dl_type type) {
    if (type.lanes != 1) return -1;
    switch (type.code << 8 | type.bits) {
    case DL_BOOL << 8 | 8: return PN_NUM_BOOL;
    case DL_INT << 8 | 8: return PN_NUM_I8;
    case DL_INT << 8 | 16: return PN_NUM_I16;
    case DL_INT << 8 | 32: return PN_NUM_I32;
    case DL_INT << 8 | 64: return PN_NUM_I64;
    case DL_UINT << 8 | 8: return PN_NUM_U8;
    case DL_UINT << 8 | 16: return PN_NUM_U16;
    case DL_UINT << 8 | 32: return PN_NUM_U32;
    case DL_FLOAT << 8 | 16: return PN_NUM_F16;
    case DL_FLOAT << 8 | 32: return PN_NUM_F32;
    case DL_FLOAT << 8 | 64: return PN_NUM_F64;
    default: return -1;
    }
}

/* The foreign tensor as a source of rows, and the shape of ours. false with an exception set. */
static bool describe_source(const dl_tensor *d, pn_source *s, pn_shape *shape) {
    if (d->device.type != DL_CPU) return PyErr_Format(PyExc_BufferError, "the tensor is on device type %d, expected the CPU", d->device.type), false;
    if (d->rank < 0 || d->rank > PN_MAX_RANK)
        return PyErr_Format(PyExc_ValueError, "the tensor has %d dimensions, expected at most %d", d->rank, PN_MAX_RANK), false;
    const int number = number_of_type(d->type);
    if (number < 0)
        return PyErr_Format(PyExc_TypeError, "the tensor has DLPack type code %d with %d bits, expected bool, integers or floats", d->type.code, d->type.bits),
               false;
    const int64_t item = (int64_t)pn_number_bytes((pn_number)number);
    int64_t expected = item;
    *s = (pn_source){.data = (const char *)d->data + d->offset, .number = (pn_number)number, .rank = d->rank, .rows = 1, .row_size = 1, .packed = true};
    *shape = (pn_shape){.rank = d->rank, .dtype = number == PN_NUM_F64 ? PN_F64 : number == PN_NUM_F32 || number == PN_NUM_F16 ? PN_F32 : PN_I64};
    for (int i = 0; i < d->rank; i++) shape->dim[i] = d->shape[i];
    size_t bytes;
    if (!pn_shape_bytes(shape, &bytes)) return PyErr_Format(PyExc_BufferError, "the tensor has an impossible shape"), false;
    for (int i = d->rank - 1; i >= 0; i--) {
        s->dim[i] = d->shape[i];
        s->stride[i] = d->strides ? d->strides[i] * item : expected;
        if (d->shape[i] != 1 && s->stride[i] != expected) s->packed = false;
        expected *= d->shape[i];
        s->row_size *= d->shape[i];
    }
    return true;
}

/* Owner of imported memory: the consumer's side of the two structs. */
static void release_managed(void *m) {
    if (((dl_managed *)m)->deleter) ((dl_managed *)m)->deleter(m);
}
static void release_versioned(void *v) {
    if (((dl_versioned *)v)->deleter) ((dl_versioned *)v)->deleter(v);
}

static bool can_share(const pn_source *s, bool read_only) {
    const bool same = s->number == PN_NUM_F32 || s->number == PN_NUM_F64 || s->number == PN_NUM_I64;
    return same && s->packed && !read_only && (uintptr_t)s->data % pn_number_bytes(s->number) == 0;
}

/* A tensor on the foreign memory, or a converted copy. *shared: the owner must live on with the tensor. */
static pn_tensor *import_tensor(const dl_tensor *d, bool read_only, void (*release)(void *), void *owner, bool *shared) {
    pn_source s;
    pn_shape shape;
    pn_error e;
    *shared = false;
    if (!describe_source(d, &s, &shape)) return NULL;
    if (!can_share(&s, read_only)) {
        pn_tensor *t = pn_tensor_new(&shape, &e);
        if (!t) return (pn_tensor *)pn_py_raise(&e);
        pn_source_gather(&s, NULL, 0, 1, shape.dtype, t->storage->data);
        if (s.number == PN_NUM_BOOL) t->flags |= PN_T_MASK;
        return t;
    }
    pn_storage *storage = pn_storage_wrap((void *)s.data, (size_t)s.row_size * pn_number_bytes(s.number), NULL, NULL, &e);
    if (!storage) return (pn_tensor *)pn_py_raise(&e);
    pn_tensor *t = pn_tensor_of(storage, &shape, &e);
    storage->release = t ? release : NULL; /* from here on the storage owns the memory */
    storage->owner = owner;
    *shared = t != NULL;
    if (!t) {
        storage->data = NULL; /* not ours */
        pn_py_raise(&e);
    }
    pn_storage_unref(storage);
    return t;
}

static PyObject *import_capsule(PyObject *capsule) {
    bool shared;
    pn_tensor *t;
    if (PyCapsule_IsValid(capsule, VERSIONED)) {
        dl_versioned *v = PyCapsule_GetPointer(capsule, VERSIONED);
        if (v->major != 1) return PyErr_Format(PyExc_BufferError, "the tensor speaks DLPack version %u, expected 1", v->major);
        t = import_tensor(&v->tensor, v->flags & DL_READ_ONLY, release_versioned, v, &shared);
        if (!t) return NULL;
        PyCapsule_SetName(capsule, "used_" VERSIONED);
        if (!shared) release_versioned(v);
        return pn_py_tensor_new(t);
    }
    dl_managed *m = PyCapsule_GetPointer(capsule, PLAIN); /* raises for anything else */
    t = m ? import_tensor(&m->tensor, false, release_managed, m, &shared) : NULL;
    if (!t) return NULL;
    PyCapsule_SetName(capsule, "used_" PLAIN);
    if (!shared) release_managed(m);
    return pn_py_tensor_new(t);
}

/* obj.__dlpack__(max_version=(1, 0)), or without arguments for producers of the older protocol. */
static PyObject *ask_for_capsule(PyObject *obj) {
    PyObject *method = PyObject_GetAttrString(obj, "__dlpack__");
    if (!method && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Format(PyExc_TypeError, "from_dlpack: obj is of type %R, expected an array with __dlpack__", (PyObject *)Py_TYPE(obj));
    if (!method) return NULL;
    PyObject *none = PyTuple_New(0), *version = Py_BuildValue("{s(ii)}", "max_version", 1, 0);
    PyObject *capsule = none && version ? PyObject_Call(method, none, version) : NULL;
    if (!capsule && none && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        capsule = PyObject_CallObject(method, none);
    }
    Py_XDECREF(version);
    Py_XDECREF(none);
    Py_DECREF(method);
    return capsule;
}

PyDoc_STRVAR(from_dlpack_doc, "from_dlpack(obj, /)\n--\n\n"
                              "Tensor on the memory of any CPU array with __dlpack__ (torch, numpy, jax): no copy for C-contiguous writable float32, float64\n"
                              "and int64; other numbers are converted.\n\n"
                              ">>> import numpy as np, pyneuro as pn\n"
                              ">>> a = np.zeros(2); t = pn.from_dlpack(a); a[0] = 5; t.tolist()\n"
                              "[5.0, 0.0]");
static PyObject *from_dlpack(PyObject *module, PyObject *obj) {
    (void)module;
    PyObject *capsule = PyCapsule_CheckExact(obj) ? Py_NewRef(obj) : ask_for_capsule(obj);
    PyObject *t = capsule ? import_capsule(capsule) : NULL;
    Py_XDECREF(capsule);
    return t;
}

PyMethodDef pn_py_dlpack_methods[] = {
    {"from_dlpack", from_dlpack, METH_O, from_dlpack_doc},
    {NULL, NULL, 0, NULL},
};
