/* Switches and gauges: gradient mode, training mode, the layer's label, threads, instruction set, allocation counts. */
#include "base/cpu.h"
#include "base/team.h"
#include "python/state.h"

/* ---- modes of the calling thread ---- */

/* Sets *flag and returns what it was. */
static PyObject *exchange(bool *flag, PyObject *value) {
    const int now = PyObject_IsTrue(value);
    if (now < 0) return NULL;
    const bool was = *flag;
    *flag = now;
    return PyBool_FromLong(was);
}

static PyObject *set_grad_enabled(PyObject *module, PyObject *value) {
    (void)module;
    return exchange(&pn_py_context()->grad_enabled, value);
}

static PyObject *is_grad_enabled(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    return PyBool_FromLong(pn_py_context()->grad_enabled);
}

static PyObject *set_training(PyObject *module, PyObject *value) {
    (void)module;
    return exchange(&pn_py_context()->training, value);
}

static PyObject *is_training(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    return PyBool_FromLong(pn_py_context()->training);
}

static PyObject *is_recording(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    return PyBool_FromLong(pn_py_context()->recording != NULL);
}

/* Nodes point at the text of their label, so every label stays as long as the module; there are as many as layers. */
static PyObject *set_layer(PyObject *module, PyObject *label) {
    (void)module;
    pn_context *ctx = pn_py_context();
    PyObject *old = ctx->layer ? PyUnicode_FromString(ctx->layer) : Py_NewRef(Py_None);
    if (!old || label == Py_None) {
        if (old) ctx->layer = NULL;
        return old;
    }
    PyObject *layers = pn_py_state_get()->layers, *kept = NULL;
    if (PyUnicode_Check(label)) kept = PyDict_GetItemWithError(layers, label);
    if (!kept && PyUnicode_Check(label) && !PyErr_Occurred() && PyDict_SetItem(layers, label, label) == 0) kept = label;
    const char *text = kept ? PyUnicode_AsUTF8AndSize(kept, NULL) : NULL;
    if (!text) {
        Py_DECREF(old);
        if (!PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "the label is of type %R, expected a string or None", (PyObject *)Py_TYPE(label));
        return NULL;
    }
    ctx->layer = text;
    return old;
}

/* ---- threads and instruction set ---- */

static PyObject *set_num_threads(PyObject *module, PyObject *o) {
    (void)module;
    int beyond = 0; /* -1 or 1 for what no C integer holds */
    if (!PyIndex_Check(o)) return PyErr_Format(PyExc_TypeError, "set_num_threads: n is %R, expected an integer", o);
    const long long n = PyLong_AsLongLongAndOverflow(o, &beyond);
    if (n == -1 && PyErr_Occurred()) return NULL;
    if (n < 0 || beyond) return PyErr_Format(PyExc_ValueError, "set_num_threads: n is %R, expected at least 1, or 0 for the default", o);
    pn_threads_set(n > PN_MAX_THREADS ? PN_MAX_THREADS : (int)n);
    Py_RETURN_NONE;
}

static PyObject *get_num_threads(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    return PyLong_FromLong(pn_threads_get());
}

static PyObject *thread_blocks(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    PyObject *list = PyList_New(PN_MAX_THREADS);
    for (int i = 0; list && i < PN_MAX_THREADS; i++) {
        PyObject *n = PyLong_FromLongLong(pn_block_counts()[i * 8]);
        if (!n)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, i, n);
    }
    return list;
}

/* Names of the levels that this machine and this build have, lowest first. */
static PyObject *available(void) {
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < PN_ISA_COUNT; i++) {
        if (!pn_kernels_of((pn_isa)i) || !pn_cpu_supports((pn_isa)i)) continue;
        PyObject *name = PyUnicode_FromString(pn_isa_name((pn_isa)i));
        if (!name || PyList_Append(list, name)) Py_CLEAR(list);
        Py_XDECREF(name);
    }
    return list;
}

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "C"
#endif
#ifndef PN_BUILD_FLAGS
#define PN_BUILD_FLAGS ""
#endif

static PyObject *cpu(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    return Py_BuildValue("{s:s,s:N,s:N,s:s,s:i,s:i,s:s,s:s}", "isa", pn_isa_name(pn_kernels_get()->isa), "isas", available(), "available", available(), "brand",
                         pn_cpu_brand(), "threads", pn_threads_get(), "cores", pn_cpu_threads(), "compiler", COMPILER, "flags", PN_BUILD_FLAGS);
}

static PyObject *set_isa(PyObject *module, PyObject *name) {
    (void)module;
    const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    const int isa = text ? pn_isa_parse(text) : -1;
    if (isa >= 0 && pn_cpu_supports((pn_isa)isa) && pn_kernels_select((pn_isa)isa)) Py_RETURN_NONE;
    PyObject *names = available();
    if (names) PyErr_Format(PyExc_ValueError, "the instruction set is %R, this machine and build have %R", name, names);
    Py_XDECREF(names);
    return NULL;
}

/* ---- allocation ---- */

static PyObject *alloc_stats(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    return Py_BuildValue("{s:L,s:L,s:L}", "live_count", (long long)pn_alloc_live_count(), "live_bytes", (long long)pn_alloc_live_bytes(), "peak_bytes",
                         (long long)pn_alloc_peak_bytes());
}

static PyObject *alloc_fail_at(PyObject *module, PyObject *args, PyObject *kwargs) {
    (void)module;
    static char *names[] = {"k", "sticky", NULL};
    long long k;
    int sticky = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "L|p:alloc_fail_at", names, &k, &sticky)) return NULL;
    pn_alloc_fail_at(k, sticky);
    Py_RETURN_NONE;
}

static PyObject *alloc_failures(PyObject *module, PyObject *ignored) {
    (void)module;
    (void)ignored;
    return PyLong_FromLongLong(pn_alloc_failures());
}

#define FN(f) ((PyCFunction)(void (*)(void))(f))
PyMethodDef pn_py_tools_methods[] = {
    {"set_grad_enabled", set_grad_enabled, METH_O, "set_grad_enabled(flag, /)\n--\n\nWhether operations of this thread are recorded; returns the old value."},
    {"is_grad_enabled", is_grad_enabled, METH_NOARGS,
     "is_grad_enabled()\n--\n\nWhether operations of this thread are recorded.\n\n"
     ">>> import pyneuro as pn\n>>> with pn.no_grad():\n...     pn.is_grad_enabled()\nFalse"},
    {"set_training", set_training, METH_O, "set_training(flag, /)\n--\n\nWhether dropout drops in this thread; returns the old value."},
    {"is_training", is_training, METH_NOARGS, "is_training()\n--\n\nWhether dropout drops in this thread."},
    {"is_recording", is_recording, METH_NOARGS, "is_recording()\n--\n\nWhether a Recorder is open in this thread."},
    {"set_layer", set_layer, METH_O, "set_layer(label, /)\n--\n\nLabel that messages of this thread start with, or None; returns the old one."},
    {"set_num_threads", set_num_threads, METH_O,
     "set_num_threads(n, /)\n--\n\nThreads that long operations may use; 0: the default. ValueError below 0.\n\n"
     ">>> import pyneuro as pn\n>>> n = pn.get_num_threads()\n>>> pn.set_num_threads(1); pn.get_num_threads()\n1\n>>> pn.set_num_threads(n)"},
    {"get_num_threads", get_num_threads, METH_NOARGS,
     "get_num_threads()\n--\n\nThreads that long operations may use.\n\n>>> import pyneuro as pn\n>>> pn.get_num_threads() >= 1\nTrue"},
    {"thread_blocks", thread_blocks, METH_NOARGS, "thread_blocks()\n--\n\nBlocks of work done by each thread since the start."},
    {"cpu", cpu, METH_NOARGS, "cpu()\n--\n\nDict: isa in force, available ones, brand, threads, cores, compiler, flags."},
    {"set_isa", set_isa, METH_O, "set_isa(name, /)\n--\n\nSelects an instruction set of cpu()['available']."},
    {"alloc_stats", alloc_stats, METH_NOARGS, "alloc_stats()\n--\n\nDict: live_count, live_bytes, peak_bytes of the core's memory."},
    {"alloc_fail_at", FN(alloc_fail_at), METH_VARARGS | METH_KEYWORDS,
     "alloc_fail_at(k, sticky=False)\n--\n\nFor tests: the k-th allocation from now fails, sticky: all later ones too; 0 switches this off."},
    {"alloc_failures", alloc_failures, METH_NOARGS, "alloc_failures()\n--\n\nFailures injected since the last alloc_fail_at."},
    {NULL, NULL, 0, NULL},
};
