/* The matrix product of every instruction set this machine has, against sums in twice the precision of double: all four ways to store the operands, sizes around every
 * tile, wide row strides, adding, bias and activation, and any cut into blocks. Errors are measured in units of sum |a| |b|. */
#include "base/poll.h"
#include "kernels/kernels.h"
#include "test.h"

static uint64_t state;
static uint64_t draw(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}
static double unit(void) { return (double)draw() / (double)(1u << 30) - 1.0; }

/* A sum in twice the precision of double (Ogita, Rump, Oishi 2005); long double would be no more than double on some machines. */
typedef struct exact {
    double sum, rest;
} exact;
static void add(exact *e, double x) {
    const double sum = e->sum + x, part = sum - e->sum;
    e->rest += (e->sum - (sum - part)) + (x - part);
    e->sum = sum;
}
static void add_product_f(exact *e, float a, float b) { add(e, (double)a * b); } /* exact */
static void add_product_d(exact *e, double a, double b) {
    add(e, a * b);
    e->rest += fma(a, b, -(a * b));
}

typedef struct problem {
    pn_gemm_shape s;
    bool add, bias, relu;
} problem;

/* The rows and columns an operand is stored with, and how many elements that takes when nothing lies behind the last row. */
static int64_t stored(int64_t rows, int64_t cols, int64_t ld) { return rows && cols ? (rows - 1) * ld + cols : 0; }

static problem make(int64_t m, int64_t n, int64_t k, unsigned bits) {
    problem p = {.s = {.m = m, .n = n, .k = k, .ta = bits & 1, .tb = bits >> 1 & 1}, .add = bits >> 2 & 1, .bias = bits >> 3 & 1, .relu = bits >> 4 & 1};
    const int64_t pad = bits >> 5 & 1 ? 1 + (int64_t)(bits >> 6 & 15) : 0;
    p.s.lda = (p.s.ta ? m : k) + pad;
    p.s.ldb = (p.s.tb ? k : n) + pad;
    p.s.ldc = n + pad;
    return p;
}

#define GEMM_TESTS(real, S, field, tolerance)                                                                                                                  \
    /* c after a run of blocks in three portions, the last ones first: must have the bits of one run over all */                                               \
    static void run##S(const pn_gemm##S##_fn *g, const problem *p, const real *a, const real *b, const real *bias, real *c, bool cut) {                        \
        const double none[2] = {0, 0};                                                                                                                         \
        const int64_t blocks = g->blocks(&p->s), one = blocks / 3, two = one + (blocks - one) / 2;                                                             \
        void *scratch = pn_alloc(g->scratch(&p->s));                                                                                                           \
        pn_gemm_call##S call = {.s = p->s, .a = a, .b = b, .c = c, .bias = p->bias ? bias : NULL, .add = p->add, .act = p->relu ? PN_ACT_relu : -1};           \
        call.act_params = none;                                                                                                                                \
        memset(scratch, 0xff, g->scratch(&p->s));                                                                                                              \
        if (cut) {                                                                                                                                             \
            g->run(&call, two, blocks, scratch);                                                                                                               \
            for (int64_t i = one; i < two; i++) g->run(&call, i, i + 1, scratch);                                                                              \
            g->run(&call, 0, one, scratch);                                                                                                                    \
        } else {                                                                                                                                               \
            g->run(&call, 0, blocks, scratch);                                                                                                                 \
        }                                                                                                                                                      \
        pn_free(scratch);                                                                                                                                      \
    }                                                                                                                                                          \
    /* the largest error in units of sum |a| |b|; negative when something beyond the columns of c was touched */                                               \
    static double error##S(const problem *p, const real *a, const real *b, const real *bias, const real *before, const real *c) {                              \
        const pn_gemm_shape *s = &p->s;                                                                                                                        \
        const int64_t end = stored(s->m, s->n, s->ldc);                                                                                                        \
        double worst = 0;                                                                                                                                      \
        for (int64_t at = 0; at < end; at++) {                                                                                                                 \
            const int64_t i = at / s->ldc, j = at % s->ldc;                                                                                                    \
            if (j >= s->n) {                                                                                                                                   \
                if (c[at] != before[at]) return -1;                                                                                                            \
                continue;                                                                                                                                      \
            }                                                                                                                                                  \
            exact sum = {p->add ? before[at] : 0, 0};                                                                                                          \
            double size = fabs(sum.sum);                                                                                                                       \
            for (int64_t x = 0; x < s->k; x++) {                                                                                                               \
                const real ax = a[s->ta ? x * s->lda + i : i * s->lda + x], bx = b[s->tb ? j * s->ldb + x : x * s->ldb + j];                                   \
                add_product##S(&sum, ax, bx);                                                                                                                  \
                size += fabs((double)ax * (double)bx);                                                                                                         \
            }                                                                                                                                                  \
            if (p->bias) add(&sum, bias[j]), size += fabs((double)bias[j]);                                                                                    \
            if (p->relu && sum.sum < 0) sum = (exact){0, 0};                                                                                                   \
            const double error = fabs((double)c[at] - sum.sum - sum.rest) / (size > 0 ? size : 1);                                                             \
            if (!(error <= worst)) worst = error; /* NaN is an error, too */                                                                                   \
        }                                                                                                                                                      \
        return worst;                                                                                                                                          \
    }                                                                                                                                                          \
    static void check##S(const pn_kernels *kernels, problem p) {                                                                                               \
        const pn_gemm_shape *s = &p.s;                                                                                                                         \
        const int64_t na = s->ta ? stored(s->k, s->m, s->lda) : stored(s->m, s->k, s->lda),                                                                    \
                      nb = s->tb ? stored(s->n, s->k, s->ldb) : stored(s->k, s->n, s->ldb);                                                                    \
        const int64_t nc = stored(s->m, s->n, s->ldc);                                                                                                         \
        real *all = pn_alloc(sizeof(real) * (size_t)(na + nb + 3 * nc + s->n + 1));                                                                            \
        real *before = all, *c = before + nc, *cut = c + nc, *bias = cut + nc, *b = bias + s->n, *a = b + nb; /* nothing lies behind a */                      \
        for (int64_t i = 0; i < na + nb + nc + s->n; i++) (i < nc ? before : bias - nc)[i] = (real)unit();                                                     \
        memcpy(c, before, sizeof(real) * (size_t)nc);                                                                                                          \
        memcpy(cut, before, sizeof(real) * (size_t)nc);                                                                                                        \
        run##S(&kernels->field.gemm, &p, a, b, bias, c, false);                                                                                                \
        run##S(&kernels->field.gemm, &p, a, b, bias, cut, true);                                                                                               \
        const double error = error##S(&p, a, b, bias, before, c);                                                                                              \
        CHECK(error >= 0 && error < tolerance, "%s " #real " %d x %d x %d, ta %d tb %d ldc %d add %d bias %d relu %d: error %g", pn_isa_name(kernels->isa),    \
              (int)s->m, (int)s->n, (int)s->k, s->ta, s->tb, (int)s->ldc, p.add, p.bias, p.relu, error);                                                       \
        CHECK(!nc || !memcmp(c, cut, sizeof(real) * (size_t)nc), "%s " #real " %d x %d x %d, ta %d tb %d: blocks by themselves differ",                        \
              pn_isa_name(kernels->isa), (int)s->m, (int)s->n, (int)s->k, s->ta, s->tb);                                                                       \
        pn_free(all);                                                                                                                                          \
    }
GEMM_TESTS(float, _f, f, 1e-6)
GEMM_TESTS(double, _d, d, 1e-15)

/* One size with each way to store the operands; the other choices change from call to call. */
static void check_all(int64_t m, int64_t n, int64_t k) {
    for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
        const pn_kernels *kernels = pn_kernels_of((pn_isa)isa);
        if (!kernels) continue;
        for (unsigned way = 0; way < 4; way++) {
            const problem p = make(m, n, k, way | (unsigned)draw() % 256 << 2);
            check_f(kernels, p);
            check_d(kernels, p);
        }
    }
}

TEST(sizes_around_every_tile) {
    static const int64_t ks[] = {1, 2, 3, 5, 8, 9, 15, 16, 17, 33, 64, 65};
    unsigned turn = 0;
    state = 1;
    for (int64_t m = 1; m <= 2 * 14 + 1; m++) {
        for (int64_t n = 1; n <= 2 * 32 + 1; n += n < 18 ? 1 : 5) check_all(m, n, ks[turn++ % 12]);
    }
}

TEST(nothing_to_sum_or_nothing_to_fill) {
    state = 2;
    check_all(0, 5, 3);
    check_all(5, 0, 3);
    check_all(5, 3, 0);
    check_all(40, 50, 0);
    check_all(0, 0, 0);
}

TEST(long_sums_and_thin_shapes) {
    static const int64_t shapes[][3] = {{1, 1, 3000},  {1, 300, 130}, {300, 1, 130},  {5, 7, 1500},   {3, 129, 257},  {130, 4, 300},
                                        {9, 33, 512},  {31, 10, 128}, {32, 128, 784}, {128, 784, 32}, {32, 784, 128}, {10, 130, 70},
                                        {65, 66, 641}, {2, 1000, 17}, {1000, 2, 17},  {16, 700, 16}};
    state = 3;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_all(shapes[i][0], shapes[i][1], shapes[i][2]);
}

/* Large enough that both operands are packed, in several blocks of A and pieces of k. */
TEST(packed_operands) {
    state = 4;
    check_all(150, 33, 650);
    check_all(20, 300, 1100);
    for (unsigned way = 0; way < 4; way++) check_f(pn_kernels_get(), make(165, 390, 520, way | 28));
    check_d(pn_kernels_get(), make(165, 290, 520, 4));
}

/* Rows that would share cache sets: both operands are copied. */
TEST(rows_a_power_of_two_apart) {
    state = 5;
    for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
        const pn_kernels *kernels = pn_kernels_of((pn_isa)isa);
        if (!kernels) continue;
        for (unsigned ta = 0; ta < 2; ta++) {
            problem p = make(30, 300, 70, ta | 12);
            p.s.lda = 2048;
            check_f(kernels, p);
            check_d(kernels, p);
        }
        problem p = make(390, 130, 641, 4);
        p.s.ldb = 1024;
        check_f(kernels, p);
        p.s.k = 70;
        check_d(kernels, p);
    }
}

/* Element (i, j) of a product has the same bits in a product of fewer rows and columns that goes the same way, and at any address. */
TEST(bits_do_not_depend_on_position) {
    enum { m = 70, n = 90, k = 300 };
    static float a[m * k], b[k * n + 1], c[m * n], part[m * n + 1];
    state = 6;
    for (int i = 0; i < m * k; i++) a[i] = (float)unit();
    for (int i = 0; i < k * n; i++) b[i] = (float)unit();
    for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
        const pn_kernels *kernels = pn_kernels_of((pn_isa)isa);
        if (!kernels) continue;
        problem p = make(m, n, k, 0);
        run_f(&kernels->f.gemm, &p, a, b, NULL, c, false);
        for (int rows = 14; rows < m; rows += 11) {
            p.s.m = rows;
            p.s.n = n - rows;
            run_f(&kernels->f.gemm, &p, a + (m - rows) * k, b + rows, NULL, part + 1, false);
            bool same = true;
            for (int i = 0; i < rows; i++) same = same && !memcmp(part + 1 + i * n, c + (m - rows + i) * n + rows, sizeof(float) * (size_t)(n - rows));
            CHECK(same, "%s: the last %d rows differ", pn_isa_name(kernels->isa), rows);
        }
    }
}

/* Vectors, pairs and single columns of a tiny product agree to the bit: column j of C depends on column j of B alone. */
TEST(columns_of_tiny_products_agree) {
    for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
        const pn_kernels *kernels = pn_kernels_of((pn_isa)isa);
        if (!kernels) continue;
        state = 7;
        for (int m = 1; m <= 11; m++) {
            float a[11 * 6], b[6 * 7], bias[7], c[11 * 7];
            for (int i = 0; i < m * 6; i++) a[i] = (float)unit();
            for (int i = 0; i < 6 * 7; i++) b[i] = i % 7 ? b[i - 1] : (float)unit();
            for (int j = 0; j < 7; j++) bias[j] = 0.1f;
            problem p = make(m, 7, 6, 0);
            p.bias = true, p.add = p.relu = false, p.s.ldc = 7;
            run_f(&kernels->f.gemm, &p, a, b, bias, c, false);
            bool same = true;
            for (int i = 0; i < m * 7; i++) same = same && c[i] == c[i / 7 * 7];
            CHECK(same && pn_gemm_is_tiny(&p.s), "%s: %d rows", pn_isa_name(kernels->isa), m);
        }
    }
}

static bool stop(void *context) {
    ++*(int *)context;
    return true;
}
TEST(a_long_product_stops) {
    enum { size = 700 };
    const pn_gemm_f_fn *g = &pn_kernels_get()->f.gemm;
    const pn_gemm_shape s = {size, size, size, false, false, size, size, size};
    float *all = pn_alloc(sizeof(float) * 3 * size * size);
    void *scratch = pn_alloc(g->scratch(&s));
    int asked = 0;
    pn_poll poll;
    for (int i = 0; i < 3 * size * size; i++) all[i] = 1;
    pn_poll_init(&poll, stop, &asked);
    poll.next = 0; /* due */
    float *c = all + 2 * size * size;
    pn_gemm_call_f call = {.s = s, .a = all, .b = all + size * size, .c = c, .act = -1, .poll = &poll, .asks = true};
    g->run(&call, 0, g->blocks(&s), scratch);
    CHECK(asked == 1, "asked %d times", asked);
    CHECK(c[size * size - 1] == 1, "the last element was computed");
    poll.stop = 0;
    call.asks = false;
    g->run(&call, 0, g->blocks(&s), scratch);
    CHECK(asked == 1 && c[size * size - 1] == size, "a member that does not ask goes on: %g", (double)c[size * size - 1]);
    pn_free(scratch);
    pn_free(all);
}

TEST(not_a_number_and_infinity_pass) {
    float a[3 * 40], b[40 * 33], c[3 * 33];
    state = 7;
    for (int i = 0; i < 3 * 40; i++) a[i] = (float)unit();
    for (int i = 0; i < 40 * 33; i++) b[i] = (float)unit();
    a[5] = NAN;
    a[40 + 7] = INFINITY;
    for (int isa = 0; isa < PN_ISA_COUNT; isa++) {
        const pn_kernels *kernels = pn_kernels_of((pn_isa)isa);
        if (!kernels) continue;
        const problem p = make(3, 33, 40, 0);
        run_f(&kernels->f.gemm, &p, a, b, NULL, c, false);
        for (int j = 0; j < 33; j++) CHECK(isnan(c[j]) && isinf(c[33 + j]) && isfinite(c[66 + j]), "%s column %d", pn_isa_name(kernels->isa), j);
    }
}
