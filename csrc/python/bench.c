/* Measuring from inside, for tests/benchmarks and `python -m pyneuro info`: the FMA peak of a core, and the rate of a matrix product.
 *
 * Both run on the calling thread for about the wanted time with the GIL released, and stop early for Ctrl-C. */
#include "python/state.h"

#include <string.h>

#include "base/cpu.h"
#include "kernels/kernels.h"

typedef struct pn_bench {
    const pn_kernels *k;
    pn_gemm_call_f f; /* one of the two is in use */
    pn_gemm_call_d d;
    void *scratch;
    int64_t blocks;
} pn_bench;

/* Operations done by one burst. */
typedef double (*bench_fn)(pn_bench *b, bool wide, int64_t rounds);

static double bench_probe(pn_bench *b, bool wide, int64_t rounds) {
    double flops = 0;
    volatile double sink = wide ? b->k->d.probe(rounds * 1000, &flops) : b->k->f.probe(rounds * 1000, &flops);
    (void)sink;
    return flops;
}

static double bench_product(pn_bench *b, bool wide, int64_t rounds) {
    const pn_gemm_shape *s = wide ? &b->d.s : &b->f.s;
    for (int64_t r = 0; r < rounds; r++) {
        if (wide)
            b->k->d.gemm.run(&b->d, 0, b->blocks, b->scratch);
        else
            b->k->f.gemm.run(&b->f, 0, b->blocks, b->scratch);
    }
    return 2.0 * (double)s->m * (double)s->n * (double)s->k * (double)rounds;
}

/* Repeats bursts of about a millisecond; GFLOP/s in *rate. false: interrupted, the exception is set. */
static bool bench_repeat(pn_bench *b, bench_fn fn, bool wide, double seconds, double *rate) {
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    double flops = 0, spent = 0;
    int64_t rounds = 1;
    void *token = pn_py_release();
    fn(b, wide, 1); /* warm-up: page faults and the clock */
    const double start = pn_clock();
    while (spent < seconds && !pn_poll_now(&poll)) {
        const double before = spent;
        flops += fn(b, wide, rounds);
        spent = pn_clock() - start;
        if (spent - before < 5e-4) rounds *= 2;
    }
    pn_py_acquire(token);
    *rate = spent > 0 ? flops / spent * 1e-9 : 0;
    return !pn_poll_stopped(&poll);
}

static bool parse_real(const char *dtype, bool *wide) {
    *wide = strcmp(dtype, "float64") == 0;
    if (*wide || strcmp(dtype, "float32") == 0) return true;
    PyErr_Format(PyExc_ValueError, "dtype is \"%s\", expected \"float32\" or \"float64\"", dtype);
    return false;
}

static PyObject *peak_gflops(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"seconds", "dtype", NULL};
    double seconds = 0.1, rate = 0;
    const char *dtype = "float32";
    bool wide;
    (void)self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|ds", names, &seconds, &dtype) || !parse_real(dtype, &wide)) return NULL;
    pn_bench b = {.k = pn_kernels_get()};
    return bench_repeat(&b, bench_probe, wide, seconds, &rate) ? PyFloat_FromDouble(rate) : NULL;
}

/* Operands of n elements between -1 and 1, so that sums neither overflow nor vanish. */
static void *operand(int64_t n, bool wide) {
    size_t bytes;
    if (!pn_mul_size((size_t)n, wide ? 8 : 4, &bytes)) return NULL;
    void *data = pn_alloc(bytes);
    if (!data) return NULL;
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)(i * 2654435761u % 2048) / 1024 - 1;
        if (wide)
            ((double *)data)[i] = v;
        else
            ((float *)data)[i] = (float)v;
    }
    return data;
}

static PyObject *bench_gemm(PyObject *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"dtype", "m", "n", "k", "transpose_a", "transpose_b", "seconds", NULL};
    const char *dtype;
    long long m, n, k;
    int ta = 0, tb = 0;
    double seconds = 0.1, rate = 0;
    bool wide, done = false;
    (void)self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sLLL|ppd", names, &dtype, &m, &n, &k, &ta, &tb, &seconds) || !parse_real(dtype, &wide)) return NULL;
    if (m < 1 || n < 1 || k < 1 || m > 1 << 15 || n > 1 << 15 || k > 1 << 15)
        return PyErr_Format(PyExc_ValueError, "m, n, k are %lld, %lld, %lld, expected 1 to 32768", m, n, k);
    const pn_gemm_shape s = {.m = m, .n = n, .k = k, .ta = ta, .tb = tb, .lda = ta ? m : k, .ldb = tb ? k : n, .ldc = n};
    pn_bench b = {.k = pn_kernels_get()};
    void *a = operand(m * k, wide), *c = operand(m * n, wide), *other = operand(k * n, wide);
    b.blocks = wide ? b.k->d.gemm.blocks(&s) : b.k->f.gemm.blocks(&s);
    b.scratch = pn_alloc(wide ? b.k->d.gemm.scratch(&s) : b.k->f.gemm.scratch(&s));
    if (a && c && other && b.scratch) {
        b.f = (pn_gemm_call_f){.s = s, .a = a, .b = other, .c = c, .act = -1};
        b.d = (pn_gemm_call_d){.s = s, .a = a, .b = other, .c = c, .act = -1};
        done = bench_repeat(&b, bench_product, wide, seconds, &rate);
    } else
        PyErr_NoMemory();
    pn_free(a), pn_free(c), pn_free(other), pn_free(b.scratch);
    return done ? PyFloat_FromDouble(rate) : NULL;
}

PyMethodDef pn_py_bench_methods[] = {
    {"peak_gflops", (PyCFunction)(void (*)(void))peak_gflops, METH_VARARGS | METH_KEYWORDS,
     "peak_gflops(seconds=0.1, dtype=\"float32\")\n--\n\nMultiply-adds per second of one core at the instruction set in force, in GFLOP/s."},
    {"bench_gemm", (PyCFunction)(void (*)(void))bench_gemm, METH_VARARGS | METH_KEYWORDS,
     "bench_gemm(dtype, m, n, k, transpose_a=False, transpose_b=False, seconds=0.1)\n--\n\nRate of the own matrix product on one thread, in GFLOP/s."},
    {NULL, NULL, 0, NULL}};
