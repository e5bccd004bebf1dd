/* Lattices with one strength of bonds and signs, without fields, 512 spins at a time: checkerboard sweeps by kernels/lattice_bits.h, one replica a group.
 *
 * A phase is a colour. Its pieces are bands of words with a stream of random numbers each; bands depend on the shape alone. A piece leaves counts of its band, so that
 * energy and magnetisation after a sweep cost nothing more: all bonds are counted from their ends of colour 1, which is swept last. */
#include <string.h>

#include "base/alloc.h"
#include "energy/engine.h"
#include "energy/lattice_bits.h"
#include "kernels/kernels.h"

#define BAND 16  /* words at least: a piece should last longer than handing it out */
#define BANDS 64 /* at most */

/* What a band keeps between its pieces. */
typedef struct band {
    double temperature; /* of `chances`; 0: none yet */
    pn_bits_chances chances;
    int64_t up[2], unsatisfied;
} band;

typedef struct lattice_engine {
    pn_engine base;
    pn_bits_map map;
    int64_t length;  /* of a band, in words */
    int64_t string;  /* words of 64 bits of a string with its margins */
    uint64_t *spins; /* (groups, 2, string) */
    band *bands;     /* (groups, parts) */
    int64_t *sites;  /* (2, parts) */
} lattice_engine;

extern const pn_engine_type pn_engine_lattice_bits;

/* On a chain, colour by colour, Metropolis always moves the wall between two domains on in the direction in which it came, makes walls in pairs of either direction and
 * takes them away so: their difference never changes, and most states are never reached. */
static bool reaches_all(const pn_couplings *m, pn_rule rule) {
    int wide = 0;
    for (int a = 0; a < m->rank; a++) wide += m->side[a] > 1;
    return wide > 1 || rule == PN_RULE_GLAUBER;
}

static bool takes(const pn_couplings *m, const pn_task *t) {
    return t->method == PN_METHOD_SINGLE && (t->order == PN_ORDER_ANY || t->order == PN_ORDER_CHECKERBOARD) && pn_bits_takes(m) && reaches_all(m, t->rule);
}

static uint64_t *string_of(const lattice_engine *g, int64_t group, int colour) { return g->spins + (2 * group + colour) * g->string + 8 * g->map.margin; }

static void close_engine(pn_engine *engine) {
    lattice_engine *g = (lattice_engine *)engine;
    pn_bits_map_close(&g->map);
    pn_free(g->spins);
    pn_free(g->bands);
    pn_free(g->sites);
    pn_free(engine->streams);
    pn_free(engine->proposed);
    pn_free(engine->accepted);
    pn_free(g);
}

/* count times bytes, zeroed; NULL also when the product overflows */
static void *zeroed(int64_t count, size_t bytes) {
    size_t total;
    return pn_mul_size((size_t)count, bytes, &total) ? pn_alloc_zero(total) : NULL;
}

static bool allocate(lattice_engine *g) {
    pn_engine *b = &g->base;
    const int64_t pieces = b->groups * b->parts;
    b->n_streams = pieces * PN_LANES_WORDS;
    return (g->spins = zeroed(2 * b->groups, (size_t)g->string * 8)) && (g->bands = zeroed(pieces, sizeof *g->bands)) &&
           (g->sites = zeroed(2 * b->parts, sizeof *g->sites)) && (b->streams = zeroed(pieces, sizeof(pn_lanes))) &&
           (b->proposed = zeroed(pieces, sizeof *b->proposed)) && (b->accepted = zeroed(pieces, sizeof *b->accepted));
}

static int64_t band_end(const lattice_engine *g, int64_t part) {
    const int64_t end = (part + 1) * g->length;
    return end < g->map.l.words ? end : g->map.l.words;
}

static pn_status open_engine(pn_engine **out, const pn_couplings *m, const pn_task *t, pn_error *e) {
    lattice_engine *g = pn_alloc_zero(sizeof *g);
    if (!g) return pn_fail(e, PN_E_MEMORY, "no memory for the engine");
    pn_status status = pn_bits_map_open(&g->map, m, e);
    const int64_t words = g->map.l.words, even = (words + BANDS - 1) / BANDS;
    g->length = even > BAND ? even : BAND;
    g->string = pn_bits_string_words(&g->map);
    g->base.type = &pn_engine_lattice_bits;
    g->base.m = m;
    g->base.task = *t;
    g->base.groups = t->replicas;
    g->base.per_group = 1;
    g->base.phases = 2;
    g->base.parts = (words + g->length - 1) / g->length;
    if (!status && !allocate(g)) status = pn_fail(e, PN_E_MEMORY, "no memory for %lld replicas of %lld spins", (long long)t->replicas, (long long)m->n);
    if (status) {
        close_engine(&g->base);
        return status;
    }
    for (int64_t i = 0; i < g->base.groups * g->base.parts; i++) pn_lanes_seed((pn_lanes *)g->base.streams + i, pn_energy_seed(t->seed, (uint64_t)i));
    for (int64_t i = 0; i < 2 * g->base.parts; i++)
        g->sites[i] = pn_bits_sites(&g->map, (int)(i / g->base.parts), i % g->base.parts * g->length, band_end(g, i % g->base.parts));
    *out = &g->base;
    return PN_OK;
}

/* p in units of 2^-64, as near as it goes */
static uint64_t in_64_bits(double p) { return p >= 1 ? ~0ull : (uint64_t)(p * 0x1p64); }

static const pn_bits_chances *chances_at(const lattice_engine *g, band *b, double temperature) {
    if (b->temperature == temperature) return &b->chances;
    const double bond = g->base.m->coupling < 0 ? -g->base.m->coupling : g->base.m->coupling;
    b->temperature = temperature;
    b->chances.heat_bath = g->base.task.rule == PN_RULE_GLAUBER;
    b->chances.lazy = g->base.task.rule == PN_RULE_LECTURE;
    for (int v = 0; v < PN_BITS_LEVELS; v++) b->chances.p[v] = in_64_bits(pn_rule_probability(g->base.task.rule, 2 * bond * v, temperature));
    return &b->chances;
}

/* One band of one colour; temperature NULL: only counts. */
static void sweep(lattice_engine *g, int64_t group, const double *temperature, int colour, int64_t part) {
    const int64_t piece = group * g->base.parts + part;
    band *b = &g->bands[piece];
    pn_bits_counts counts = {0};
    pn_kernels_get()->energy.lattice_bits(&g->map.l, colour, string_of(g, group, colour), string_of(g, group, !colour), part * g->length, band_end(g, part),
                                          temperature ? chances_at(g, b, *temperature) : NULL, (pn_lanes *)g->base.streams + piece, colour == 1, &counts);
    b->up[colour] = counts.up;
    if (colour) b->unsatisfied = counts.unsatisfied;
    if (temperature) g->base.proposed[piece] += (uint64_t)g->sites[colour * g->base.parts + part];
    g->base.accepted[piece] += (uint64_t)counts.flips;
}

static void run(pn_engine *engine, int64_t group, const double *temperature, int64_t phase, int64_t part) {
    sweep((lattice_engine *)engine, group, temperature, (int)phase, part);
}

static void put(pn_engine *engine, int64_t replica, const int8_t *spins) {
    lattice_engine *g = (lattice_engine *)engine;
    uint64_t *const colours[2] = {string_of(g, replica, 0), string_of(g, replica, 1)};
    pn_bits_pack(&g->map, spins, colours);
    for (int64_t part = 0; part < engine->parts; part++) {
        sweep(g, replica, NULL, 0, part);
        sweep(g, replica, NULL, 1, part);
    }
}

static void get(const pn_engine *engine, int64_t replica, int8_t *spins) {
    const lattice_engine *g = (const lattice_engine *)engine;
    const uint64_t *const colours[2] = {string_of(g, replica, 0), string_of(g, replica, 1)};
    pn_bits_unpack(&g->map, colours, spins);
}

static void measure(const pn_engine *engine, int64_t group, double *energy, double *sum) {
    const lattice_engine *g = (const lattice_engine *)engine;
    const double bond = engine->m->coupling < 0 ? -engine->m->coupling : engine->m->coupling;
    int64_t up = 0, unsatisfied = 0;
    for (int64_t part = 0; part < engine->parts; part++) {
        const band *b = &g->bands[group * engine->parts + part];
        up += b->up[0] + b->up[1];
        unsatisfied += b->unsatisfied;
    }
    *energy = bond * (double)(2 * unsatisfied - g->map.bonds);
    *sum = (double)(2 * up - engine->m->n);
}

const pn_engine_type pn_engine_lattice_bits = {
    .name = "lattice_bits", .takes = takes, .open = open_engine, .close = close_engine, .put = put, .get = get, .run = run, .measure = measure};
