/* Sampler.temper and Sampler.populate: parallel tempering and population annealing. */
#include "base/rng.h"
#include "python/plan_types.h"
#include "python/sampler_types.h"

/* A dict of arrays, looked up by name; what is found is borrowed. */
typedef struct book {
    PyObject *dict;
    bool failed;
} book;

static void *look_up(book *b, const char *name, int typenum, int rank, int64_t d0, int64_t d1) {
    if (b->failed) return NULL;
    PyObject *array = PyDict_GetItemString(b->dict, name);
    if (!array) PyErr_Format(PyExc_ValueError, "the array '%s' is missing", name);
    void *data = array ? pn_py_array(array, &(pn_py_want){.name = name, .typenum = typenum, .rank = rank, .dim = {d0, d1}, .writable = true}, NULL) : NULL;
    b->failed = !data;
    return data;
}

static bool begin_ladder(pn_py_sampler *self, PyObject *dict, const char *what) {
    if (!PyDict_Check(dict)) {
        PyErr_Format(PyExc_TypeError, "%s must be a dict of arrays, got %R", what, (PyObject *)Py_TYPE(dict));
        return false;
    }
    if (!self->begun || self->s.done || self->s.between) {
        PyErr_Format(PyExc_RuntimeError, "%s comes between begin and run", what);
        return false;
    }
    return true;
}

/* The dict is kept as a copy, so that nobody takes arrays out of it. */
static bool keep_arrays(pn_py_sampler *self, PyObject *dict) {
    Py_CLEAR(self->ladder);
    self->ladder = PyDict_Copy(dict);
    return self->ladder != NULL;
}

static bool is_permutation(const pn_tempering *t) {
    bool fine = true;
    for (int64_t i = 0; i < t->chains * t->rungs; i++) t->row[i] = -1;
    for (int64_t i = 0; i < t->chains * t->rungs && fine; i++) {
        const int64_t r = t->holder[i];
        fine = r >= 0 && r < t->chains * t->rungs && r / t->rungs == i / t->rungs && t->row[r] < 0;
        if (fine) t->row[r] = i;
    }
    if (!fine) PyErr_SetString(PyExc_ValueError, "holder must hold each replica of a chain once");
    return fine;
}

static bool read_tempering(pn_py_sampler *self, PyObject *dict, int64_t chains, pn_tempering *t) {
    const int64_t replicas = self->s.engine->task.replicas;
    book b = {dict, false};
    if (chains < 1 || replicas % chains) {
        PyErr_Format(PyExc_ValueError, "%lld replicas cannot be shared out to %lld chains", (long long)replicas, (long long)chains);
        return false;
    }
    *t = (pn_tempering){.rungs = replicas / chains, .chains = chains};
    t->ladder = look_up(&b, "ladder", NPY_FLOAT64, 1, t->rungs, 0);
    t->temperature = look_up(&b, "temperature", NPY_FLOAT64, 2, 1, replicas);
    t->row = look_up(&b, "row", NPY_INT64, 1, replicas, 0);
    t->holder = look_up(&b, "holder", NPY_INT64, 2, chains, t->rungs);
    t->streams = look_up(&b, "swap_streams", NPY_UINT64, 2, chains, 4);
    t->attempts = look_up(&b, "attempts", NPY_INT64, 1, t->rungs - 1, 0);
    t->swaps = look_up(&b, "swaps", NPY_INT64, 1, t->rungs - 1, 0);
    t->way = look_up(&b, "way", NPY_INT8, 1, replicas, 0);
    t->trips = look_up(&b, "trips", NPY_INT64, 1, replicas, 0);
    t->turns = look_up(&b, "turns", NPY_INT64, 1, 1, 0);
    if (b.failed || !is_permutation(t)) return false;
    for (int64_t k = 0; k < t->rungs; k++) {
        if (t->ladder[k] > 0 && (k == 0 || t->ladder[k] > t->ladder[k - 1])) continue;
        PyErr_SetString(PyExc_ValueError, "ladder must ascend from above 0");
        return false;
    }
    if (t->temperature == self->s.temperatures.t) return true;
    PyErr_SetString(PyExc_ValueError, "temperature must be the array that begin was given");
    return false;
}

const char pn_py_sampler_temper_doc[] =
    "temper(chains, every, arrays, fresh, /)\n--\n\n"
    "Makes the run one of parallel tempering, with swaps every so many sweeps. arrays: dict of ladder float64 (rungs), temperature\n"
    "(as given to begin), row int64 (replicas), holder int64 (chains, rungs), swap_streams uint64 (chains, 4), attempts and\n"
    "swaps int64 (rungs - 1), way int8 (replicas), trips int64 (replicas), turns int64 (1). fresh: streams are seeded.";
PyObject *pn_py_sampler_temper(PyObject *o, PyObject *args) {
    pn_py_sampler *self = (pn_py_sampler *)o;
    long long chains, every;
    PyObject *dict;
    int fresh;
    pn_tempering t;
    if (!PyArg_ParseTuple(args, "LLOp:temper", &chains, &every, &dict, &fresh) || !begin_ladder(self, dict, "temper")) return NULL;
    if (every < 1) return PyErr_Format(PyExc_ValueError, "swaps come after at least 1 sweep, got %lld", every);
    if (!self->s.engine->task.own_temperatures) return PyErr_Format(PyExc_ValueError, "temper needs replicas with temperatures of their own");
    if (!read_tempering(self, dict, chains, &t) || !keep_arrays(self, dict)) return NULL;
    const uint64_t seed = pn_hash64(self->s.engine->task.seed, PN_SAMPLER_SWAPS);
    for (int64_t c = 0; fresh && c < chains; c++) pn_xoshiro_seed((pn_xoshiro *)(t.streams + 4 * c), pn_energy_seed(seed, (uint64_t)c));
    self->tempering = t;
    pn_tempering_settle(&self->tempering);
    self->s.records.row = t.row;
    self->s.context = &self->tempering;
    self->s.between = pn_tempering_swap;
    self->s.turn = every;
    Py_RETURN_NONE;
}

static bool read_population(pn_py_sampler *self, PyObject *dict, int64_t every, pn_population *p) {
    const pn_engine *g = self->s.engine;
    book b = {dict, false};
    *p = (pn_population){.steps = self->s.sweeps / every};
    p->ladder = look_up(&b, "ladder", NPY_FLOAT64, 1, p->steps, 0);
    p->stream = look_up(&b, "stream", NPY_UINT64, 1, 4, 0);
    p->family = look_up(&b, "family", NPY_INT64, 1, g->task.replicas, 0);
    p->log_z = look_up(&b, "log_z", NPY_FLOAT64, 1, p->steps, 0);
    p->families = look_up(&b, "families", NPY_INT64, 1, p->steps, 0);
    p->crowding = look_up(&b, "crowding", NPY_FLOAT64, 1, p->steps, 0);
    p->weight = look_up(&b, "weight", NPY_FLOAT64, 1, g->task.replicas, 0);
    p->count = look_up(&b, "count", NPY_INT64, 1, g->task.replicas, 0);
    p->spins = look_up(&b, "spins", NPY_INT8, 1, g->m->n, 0);
    for (int64_t k = 0; !b.failed && k < p->steps; k++) {
        if (p->ladder[k] > 0) continue;
        PyErr_SetString(PyExc_ValueError, "ladder must be above 0");
        return false;
    }
    return !b.failed;
}

const char pn_py_sampler_populate_doc[] =
    "populate(every, arrays, /)\n--\n\n"
    "Makes the run one of population annealing: `every` sweeps at each temperature. The replicas have random spins; they are\n"
    "resampled for the first temperature at once. arrays: dict of ladder float64 (steps), stream uint64 (4), family int64\n"
    "(replicas), log_z float64, families int64, crowding float64 (steps); scratch: weight float64, count int64 (replicas),\n"
    "spins int8 (n).";
PyObject *pn_py_sampler_populate(PyObject *o, PyObject *args) {
    pn_py_sampler *self = (pn_py_sampler *)o;
    pn_sampler *s = &self->s;
    long long every;
    PyObject *dict;
    pn_population p;
    pn_error e;
    pn_poll poll;
    if (!PyArg_ParseTuple(args, "LO:populate", &every, &dict) || !begin_ladder(self, dict, "populate")) return NULL;
    if (every < 1 || s->sweeps < every || s->sweeps % every)
        return PyErr_Format(PyExc_ValueError, "%lld sweeps are no whole number of steps of %lld", (long long)s->sweeps, every);
    if (!read_population(self, dict, every, &p) || !pn_py_take(&self->busy, "Sampler")) return NULL;
    if (!keep_arrays(self, dict)) {
        self->busy = false;
        return NULL;
    }
    pn_xoshiro_seed((pn_xoshiro *)p.stream, pn_energy_seed(pn_hash64(s->engine->task.seed, PN_SAMPLER_RESAMPLING), 0));
    self->population = p;
    pn_poll_init(&poll, pn_py_ask, NULL);
    void *token = pn_py_release();
    pn_status status = pn_sampler_measure(s->engine, s->energy, p.weight, &poll, &e);
    if (!status) pn_population_begin(s, &self->population, &poll);
    if (!status && pn_poll_stopped(&poll)) status = pn_fail(&e, PN_E_INTERRUPTED, "interrupted");
    pn_py_acquire(token);
    self->busy = false;
    if (status) return pn_py_raise(&e);
    s->context = &self->population;
    s->between = pn_population_step;
    s->turn = every;
    Py_RETURN_NONE;
}
