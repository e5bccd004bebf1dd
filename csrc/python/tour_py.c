/* Graded neurons and the travelling salesman as Python sees them. */
#include <math.h>

#include "base/team.h"
#include "energy/graded.h"
#include "python/energy_types.h"
#include "python/plan_types.h"

#define STEPS_MOST ((int64_t)1 << 40)
#define CITIES_MOST 1024

static double *read_f64(PyObject *o, const char *name, int rank, int64_t a, int64_t b, int64_t c, bool writable) {
    return pn_py_array(o, &(pn_py_want){.name = name, .typenum = NPY_FLOAT64, .rank = rank, .dim = {a, b, c}, .writable = writable}, NULL);
}
static int64_t *read_taken(PyObject *o, int64_t rows) {
    return pn_py_array(o, &(pn_py_want){.name = "taken", .typenum = NPY_INT64, .rank = 1, .dim = {rows}, .writable = true}, NULL);
}
static bool are_steps(long long steps, long long every) {
    if (steps >= 0 && steps <= STEPS_MOST && every >= 1) return true;
    PyErr_SetString(PyExc_ValueError, "steps must be 0 to 2^40, and every at least 1");
    return false;
}
static bool are_positive(double a, double b, double c) {
    if (a > 0 && b > 0 && c > 0 && isfinite(a) && isfinite(b) && isfinite(c)) return true;
    PyErr_SetString(PyExc_ValueError, "gain or u0, tau and dt must be above 0 and finite");
    return false;
}
static PyObject *finish(pn_status status, const pn_error *e) {
    if (status) return pn_py_raise(e);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(graded_doc, "graded_run(M, input, u, v, energy, trace, taken, gain, tau, dt, steps, every, /)\n--\n\n"
                         "Euler steps of graded neurons: M float64 (n, n), input (n) or None, u and v (R, n) in and out, energy (R, steps // every + 1), trace "
                         "(R, steps // every + 1, n) or None, taken int64 (R).");
static PyObject *graded_run(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *m, *input, *u, *v, *energy, *trace, *taken;
    long long steps, every;
    int64_t shape[2];
    bool failed = false;
    pn_graded g = {0};
    if (!PyArg_ParseTuple(args, "OOOOOOOdddLL:graded_run", &m, &input, &u, &v, &energy, &trace, &taken, &g.gain, &g.tau, &g.dt, &steps, &every)) return NULL;
    if (!are_steps(steps, every) || !are_positive(g.gain, g.tau, g.dt)) return NULL;
    g.steps = steps, g.every = every;
    g.u = pn_py_array(u, &(pn_py_want){.name = "u", .typenum = NPY_FLOAT64, .rank = 2, .dim = {-1, -1}, .writable = true}, shape);
    if (!g.u) return NULL;
    g.rows = shape[0], g.n = shape[1];
    const int64_t width = steps / every + 1;
    g.m = read_f64(m, "M", 2, g.n, g.n, 0, false);
    g.v = g.m ? read_f64(v, "v", 2, g.rows, g.n, 0, true) : NULL;
    g.energy = g.v ? read_f64(energy, "energy", 2, g.rows, width, 0, true) : NULL;
    g.taken = g.energy ? read_taken(taken, g.rows) : NULL;
    if (!g.taken) return NULL;
    g.input = pn_py_array_or_none(input, &(pn_py_want){.name = "input", .typenum = NPY_FLOAT64, .rank = 1, .dim = {g.n}}, NULL, &failed);
    const pn_py_want want = {.name = "trace", .typenum = NPY_FLOAT64, .rank = 3, .dim = {g.rows, width, g.n}, .writable = true};
    g.trace = failed ? NULL : pn_py_array_or_none(trace, &want, NULL, &failed);
    if (failed) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)g.rows * (double)g.n * (double)g.n * (double)(steps + 1));
    const pn_status status = pn_graded_run(&g, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    return finish(status, &e);
}

/* Distances (n, n), finite. */
static double *read_distance(PyObject *o, int64_t *n) {
    int64_t shape[2];
    double *d = pn_py_array(o, &(pn_py_want){.name = "distance", .typenum = NPY_FLOAT64, .rank = 2, .dim = {-1, -1}}, shape);
    if (!d) return NULL;
    bool fine = shape[0] == shape[1] && shape[0] >= 1 && shape[0] <= CITIES_MOST;
    for (int64_t i = 0; fine && i < shape[0] * shape[1]; i++) fine = isfinite(d[i]);
    if (!fine) PyErr_Format(PyExc_ValueError, "distance must be finite and of shape (n, n), n from 1 to %d", CITIES_MOST);
    *n = shape[0];
    return fine ? d : NULL;
}

PyDoc_STRVAR(tank_doc, "tank_run(distance, v, energy, taken, parameters, seed, first, steps, every, /)\n--\n\n"
                       "Runs of Hopfield and Tank's network: distance float64 (n, n), v (runs, n, n), energy (runs, steps // every + 1), taken int64 (runs), "
                       "parameters (A, B, C, D, goal, u0, tau, dt, noise).");
static PyObject *tank_run(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *distance, *v, *energy, *taken;
    unsigned long long seed;
    long long first, steps, every;
    int64_t shape[3];
    pn_tank t = {0};
    if (!PyArg_ParseTuple(args, "OOOO(ddddddddd)KLLL:tank_run", &distance, &v, &energy, &taken, &t.a, &t.b, &t.c, &t.d, &t.goal, &t.u0, &t.tau, &t.dt, &t.noise,
                          &seed, &first, &steps, &every))
        return NULL;
    if (!are_steps(steps, every) || !are_positive(t.u0, t.tau, t.dt)) return NULL;
    t.seed = seed, t.first = first, t.steps = steps, t.every = every;
    t.distance = read_distance(distance, &t.n);
    t.v = t.distance ? pn_py_array(v, &(pn_py_want){.name = "v", .typenum = NPY_FLOAT64, .rank = 3, .dim = {-1, t.n, t.n}, .writable = true}, shape) : NULL;
    if (!t.v) return NULL;
    t.runs = shape[0];
    t.energy = read_f64(energy, "energy", 2, t.runs, steps / every + 1, 0, true);
    t.taken = t.energy ? read_taken(taken, t.runs) : NULL;
    if (!t.taken) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)t.runs * (double)t.n * (double)t.n * (double)t.n * (double)(steps + 1));
    const pn_status status = pn_tank_run(&t, pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    return finish(status, &e);
}

PyDoc_STRVAR(tour_all_doc, "tour_all(distance, length, best, /)\n--\n\n"
                           "Fills length float64 ((n - 1)! / 2) with those of all tours, and best int32 (n) with the shortest; n is 3 to 11.");
static PyObject *tour_all(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *distance, *length, *best;
    int64_t n, count = 1;
    if (!PyArg_ParseTuple(args, "OOO:tour_all", &distance, &length, &best)) return NULL;
    const double *d = read_distance(distance, &n);
    if (!d) return NULL;
    for (int64_t i = 3; i < n && n <= PN_TOUR_MOST; i++) count *= i;
    double *to = read_f64(length, "length", 1, n <= PN_TOUR_MOST ? count : -1, 0, 0, true);
    int32_t *tour = to ? pn_py_array(best, &(pn_py_want){.name = "best", .typenum = NPY_INT32, .rank = 1, .dim = {n}, .writable = true}, NULL) : NULL;
    if (!tour) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)count * 10);
    const pn_status status = pn_tour_all(d, n, to, tour, &poll, &e);
    pn_py_acquire(token);
    return finish(status, &e);
}

PyDoc_STRVAR(two_opt_doc, "tour_two_opt(distance, tours, /)\n--\n\nImproves tours int32 (runs, n) until no piece turned round shortens them.");
static PyObject *tour_two_opt(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *distance, *tours;
    int64_t n, shape[2];
    if (!PyArg_ParseTuple(args, "OO:tour_two_opt", &distance, &tours)) return NULL;
    const double *d = read_distance(distance, &n);
    int32_t *tour = d ? pn_py_array(tours, &(pn_py_want){.name = "tours", .typenum = NPY_INT32, .rank = 2, .dim = {-1, n}, .writable = true}, shape) : NULL;
    if (!tour) return NULL;
    pn_error e;
    pn_poll poll;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release_for((double)shape[0] * (double)n * (double)n * 10);
    const pn_status status = pn_tour_two_opt(d, n, tour, shape[0], pn_threads_get(), &poll, &e);
    pn_py_acquire(token);
    return finish(status, &e);
}

PyMethodDef pn_py_tour_methods[] = {
    {"graded_run", graded_run, METH_VARARGS, graded_doc},
    {"tank_run", tank_run, METH_VARARGS, tank_doc},
    {"tour_all", tour_all, METH_VARARGS, tour_all_doc},
    {"tour_two_opt", tour_two_opt, METH_VARARGS, two_opt_doc},
    {NULL, NULL, 0, NULL},
};
