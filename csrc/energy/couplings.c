/* Couplings of spins: made once, checked once. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "energy/energy.h"

#define WHOLE_REACH 0x1p30

uint64_t pn_energy_seed(uint64_t seed, uint64_t stream) { return pn_hash64(pn_hash64(seed, PN_STREAM_ENERGY), stream); }

/* ---- neighbours and energies ---- */

static void lattice_row(const pn_couplings *m, int64_t i, pn_row *row) {
    row->n = 0;
    row->to = row->near;
    row->weight = row->strength;
    int64_t step = m->n;
    for (int a = 0; a < m->rank; a++) {
        const int64_t side = m->side[a];
        step /= side;
        const int64_t x = i / step % side;
        if (x > 0 || m->periodic[a]) {
            const int64_t j = x > 0 ? i - step : i + (side - 1) * step;
            row->near[row->n] = (int32_t)j;
            row->strength[row->n++] = m->sign ? m->coupling * m->sign[a * m->n + j] : m->coupling;
        }
        if (x + 1 < side || m->periodic[a]) {
            row->near[row->n] = (int32_t)(x + 1 < side ? i + step : i - (side - 1) * step);
            row->strength[row->n++] = m->sign ? m->coupling * m->sign[a * m->n + i] : m->coupling;
        }
    }
}

void pn_couplings_row(const pn_couplings *m, int64_t i, pn_row *row) {
    if (m->rank) {
        lattice_row(m, i, row);
        return;
    }
    row->n = m->start[i + 1] - m->start[i];
    row->to = m->to + m->start[i];
    row->weight = m->weight + m->start[i];
}

static double pull_of_neighbours(const pn_couplings *m, const int8_t *s, int64_t i) {
    pn_row row;
    pn_couplings_row(m, i, &row);
    double sum = 0;
    for (int64_t k = 0; k < row.n; k++) sum += row.weight[k] * s[row.to[k]];
    return sum;
}

double pn_local_field(const pn_couplings *m, const int8_t *s, int64_t i) { return pull_of_neighbours(m, s, i) + (m->field ? m->field[i] : 0); }

void pn_couplings_energy_add(const pn_couplings *m, const int8_t *s, int64_t from, int64_t to, double sums[2]) {
    for (int64_t i = from; i < to; i++) {
        sums[0] += s[i] * pull_of_neighbours(m, s, i);
        if (m->field) sums[1] += s[i] * m->field[i];
    }
}

double pn_couplings_energy(const pn_couplings *m, const int8_t *s) {
    double sums[2] = {0};
    pn_couplings_energy_add(m, s, 0, m->n, sums);
    return pn_couplings_energy_of(sums);
}

/* ---- making them ---- */

static void *copy(const void *from, size_t count, size_t bytes, pn_error *e) {
    size_t total;
    void *to = pn_mul_size(count, bytes, &total) ? pn_alloc(total) : NULL;
    if (!to) pn_fail(e, PN_E_MEMORY, "no memory for the couplings: %zu entries of %zu bytes", count, bytes);
    if (to && total) memcpy(to, from, total);
    return to;
}

/* The same for a lattice without fields, whose bonds are all of one strength: without looking at its sites, of which there may be many. */
static void survey_lattice(pn_couplings *m) {
    for (int a = 0; a < m->rank; a++) m->degree += m->periodic[a] || m->side[a] > 2 ? 2 : m->side[a] - 1;
    m->reach = (double)m->degree * fabs(m->coupling);
    m->whole = m->coupling == floor(m->coupling) && m->reach <= WHOLE_REACH;
}

/* What samplers ask of any couplings: degree, reach, and whether all is whole. PN_E_VALUE when a number is not finite. */
static pn_status survey_sites(pn_couplings *m, pn_error *e) {
    m->whole = true;
    for (int64_t i = 0; i < m->n; i++) {
        pn_row row;
        pn_couplings_row(m, i, &row);
        const double h = m->field ? m->field[i] : 0;
        if (!isfinite(h)) return pn_fail(e, PN_E_VALUE, "the field h must be finite, got %g for spin %lld", h, (long long)i);
        double sum = fabs(h);
        for (int64_t k = 0; k < row.n; k++) {
            sum += fabs(row.weight[k]);
            m->whole = m->whole && row.weight[k] == floor(row.weight[k]);
        }
        if (!isfinite(sum)) return pn_fail(e, PN_E_VALUE, "the couplings of spin %lld are too large: their sum overflows", (long long)i);
        m->whole = m->whole && h == floor(h);
        if (row.n > m->degree) m->degree = row.n;
        if (sum > m->reach) m->reach = sum;
    }
    m->whole = m->whole && m->reach <= WHOLE_REACH;
    return PN_OK;
}

/* Position of j in the row of i, or -1. */
static int64_t find(const pn_couplings *m, int64_t i, int64_t j) {
    int64_t lo = m->start[i], hi = m->start[i + 1];
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (m->to[mid] == j) return mid;
        if (m->to[mid] < j)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

/* One row of couplings that somebody else has put together. */
static pn_status check_row(const pn_couplings *m, int64_t i, pn_error *e) {
    for (int64_t k = m->start[i]; k < m->start[i + 1]; k++) {
        const int64_t j = m->to[k];
        if (j < 0 || j >= m->n)
            return pn_fail(e, PN_E_VALUE, "row %lld couples to spin %lld, but there are %lld spins", (long long)i, (long long)j, (long long)m->n);
        if (j == i) return pn_fail(e, PN_E_VALUE, "the diagonal of M must be 0, but M[%lld, %lld] = %g", (long long)i, (long long)i, m->weight[k]);
        if (k > m->start[i] && m->to[k - 1] >= j) return pn_fail(e, PN_E_VALUE, "the neighbours of spin %lld must ascend", (long long)i);
        if (!isfinite(m->weight[k]) || m->weight[k] == 0)
            return pn_fail(e, PN_E_VALUE, "couplings must be finite and not 0, but M[%lld, %lld] = %g", (long long)i, (long long)j, m->weight[k]);
    }
    return PN_OK;
}

static pn_status check_symmetry(const pn_couplings *m, pn_error *e) {
    for (int64_t i = 0; i < m->n; i++) {
        for (int64_t k = m->start[i]; k < m->start[i + 1]; k++) {
            const int64_t j = m->to[k], back = find(m, j, i);
            const double other = back < 0 ? 0 : m->weight[back];
            if (other != m->weight[k])
                return pn_fail(e, PN_E_VALUE, "M must be symmetric, but M[%lld, %lld] = %g and M[%lld, %lld] = %g", (long long)i, (long long)j, m->weight[k],
                               (long long)j, (long long)i, other);
        }
    }
    return PN_OK;
}

static pn_status check_rows(const pn_couplings *m, pn_error *e) {
    for (int64_t i = 0; i < m->n; i++) {
        const pn_status status = check_row(m, i, e);
        if (status) return status;
    }
    return check_symmetry(m, e);
}

/* `start` is looked at before anything is copied through it. */
static pn_status check_start(int64_t n, const int64_t *start, pn_error *e) {
    if (n < 1 || n > INT32_MAX) return pn_fail(e, PN_E_VALUE, "there must be 1 to %d spins, got %lld", INT32_MAX, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        if (start[0] != 0 || start[i + 1] < start[i] || start[i + 1] - start[i] >= n)
            return pn_fail(e, PN_E_VALUE, "the rows of the couplings are not in order at spin %lld", (long long)i);
    }
    return PN_OK;
}

static pn_status finish(pn_couplings **out, pn_couplings *m, const double *field, pn_status status, pn_error *e) {
    if (!status && field && !(m->field = copy(field, (size_t)m->n, sizeof *field, e))) status = PN_E_MEMORY;
    if (!status && m->rank && !m->field && isfinite(2 * PN_LATTICE_RANK * m->coupling))
        survey_lattice(m);
    else if (!status)
        status = survey_sites(m, e);
    if (status)
        pn_couplings_free(m);
    else
        *out = m;
    return status;
}

pn_status pn_couplings_rows(pn_couplings **out, int64_t n, const int64_t *start, const int32_t *to, const double *weight, const double *field, pn_error *e) {
    pn_status status = check_start(n, start, e);
    if (status) return status;
    pn_couplings *m = pn_alloc_zero(sizeof *m);
    if (!m) return pn_fail(e, PN_E_MEMORY, "no memory for the couplings");
    const size_t edges = (size_t)start[n];
    m->n = n;
    m->start = copy(start, (size_t)n + 1, sizeof *start, e);
    m->to = m->start ? copy(to, edges, sizeof *to, e) : NULL;
    m->weight = m->to ? copy(weight, edges, sizeof *weight, e) : NULL;
    return finish(out, m, field, m->weight ? check_rows(m, e) : PN_E_MEMORY, e);
}

static pn_status check_lattice(int rank, const int64_t *side, const bool *periodic, double coupling, pn_error *e) {
    int64_t n = 1;
    if (rank < 1 || rank > PN_LATTICE_RANK) return pn_fail(e, PN_E_VALUE, "a lattice has 1 to %d axes, got %d", PN_LATTICE_RANK, rank);
    if (!isfinite(coupling) || coupling == 0) return pn_fail(e, PN_E_VALUE, "the coupling J of a lattice must be finite and not 0, got %g", coupling);
    for (int a = 0; a < rank; a++) {
        const int64_t least = periodic[a] ? 3 : 1;
        if (side[a] < least)
            return pn_fail(e, PN_E_VALUE, "axis %d of the lattice needs at least %lld sites, got %lld", a, (long long)least, (long long)side[a]);
        if (side[a] > INT32_MAX / n) return pn_fail(e, PN_E_VALUE, "the lattice has more than %d sites", INT32_MAX);
        n *= side[a];
    }
    return PN_OK;
}

pn_status pn_couplings_lattice(pn_couplings **out, int rank, const int64_t *side, const bool *periodic, double coupling, const int8_t *sign,
                               const double *field, pn_error *e) {
    pn_status status = check_lattice(rank, side, periodic, coupling, e);
    if (status) return status;
    pn_couplings *m = pn_alloc_zero(sizeof *m);
    if (!m) return pn_fail(e, PN_E_MEMORY, "no memory for the couplings");
    m->n = 1;
    m->rank = rank;
    m->coupling = coupling;
    for (int a = 0; a < PN_LATTICE_RANK; a++) {
        m->side[a] = a < rank ? side[a] : 1;
        m->periodic[a] = a < rank && periodic[a];
        m->n *= m->side[a];
    }
    for (int64_t i = 0; sign && !status && i < rank * m->n; i++) {
        if (sign[i] != 1 && sign[i] != -1) status = pn_fail(e, PN_E_VALUE, "the signs of the bonds must be -1 or +1, got %d", sign[i]);
    }
    if (!status && sign && !(m->sign = copy(sign, (size_t)(rank * m->n), 1, e))) status = PN_E_MEMORY;
    return finish(out, m, field, status, e);
}

void pn_couplings_free(pn_couplings *m) {
    if (!m) return;
    pn_free(m->start);
    pn_free(m->to);
    pn_free(m->weight);
    pn_free(m->field);
    pn_free(m->sign);
    pn_free(m);
}
