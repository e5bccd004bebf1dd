/* Ops on large tensors look at the poll between pieces: told to stop, they leave the rest undone, and still pass their barriers. And a row that is so long
 * that it is taken in pieces has the values of the kernel that takes short rows whole. */
#include "op_driver.h"
#include "ops/op_helpers.h"

/* Runs forward (and backward) with a poll that says stop from the first look on. */
static void run_stopped(op_case *c, int team, int mode, op_result *r) {
    pn_poll poll;
    op_run(c, PN_F32, pn_kernels_get(), team, ~0u, mode, r);
    for (int i = 0; i < c->n_out; i++) memset(r->out[i].data, 0xff, r->out[i].bytes);
    for (int i = 0; i < c->n_in; i++) {
        if (r->gin[i].base) memset(r->gin[i].data, 0xff, r->gin[i].bytes);
    }
    pn_poll_init(&poll, NULL, NULL);
    atomic_store(&poll.stop, 1);
    pn_team_run(team, &poll, op_member, r);
}

/* Whether the last four bytes are as they were. */
static bool is_left(const op_block *b) { return memcmp(b->data + b->bytes - 4, "\xff\xff\xff\xff", 4) == 0; }

static void check_stops(const char *name, const char *attrs, const char *inputs) {
    op_case c;
    op_result r;
    CHECK(op_case_open(&c, name, attrs, inputs) == PN_OK, "%s: %s", name, c.error.text);
    for (int team = 1; team <= 2; team++) {
        run_stopped(&c, team, OP_BACKWARD, &r);
        CHECK(is_left(&r.out[0]), "%s %s with a team of %d: forward goes on when it should stop", name, inputs, team);
        CHECK(!r.gin[0].base || is_left(&r.gin[0]), "%s %s with a team of %d: backward goes on when it should stop", name, inputs, team);
        op_close(&c, &r);
    }
    op_case_close(&c);
}

TEST(elementwise_ops_stop) {
    check_stops("relu", "", "600000");
    check_stops("add", "", "700,1000;1000");
    check_stops("clip", "min=-0.5", "600000");
    check_stops("dropout", "p=0.5", "600000");
    check_stops("where", "", "i<2 600000;600000;600000");
    check_stops("mse", "reduction=none", "600000;600000");
    check_stops("bce", "reduction=none", "p600000;p600000");
    check_stops("transpose", "", "700,1000");
}

TEST(ops_along_a_dimension_stop) {
    check_stops("softmax", "dim=-1", "60,10000");
    check_stops("softmax", "dim=-1", "2,600000");
    check_stops("softmax", "dim=0", "600000,1");
    check_stops("softmax", "dim=0", "300000,2");
    check_stops("softmax", "stable=False", "2,300000");
    check_stops("log_softmax", "dim=-1", "60,10000");
    check_stops("log_softmax", "dim=-1", "2,600000");
    check_stops("log_softmax", "dim=0", "300000,2");
    check_stops("cumsum", "dim=-1", "60,10000");
    check_stops("cross_entropy", "reduction=none", "6000,100;i<100 6000");
    check_stops("cross_entropy", "reduction=none", "3,300000;i<9 3");
    check_stops("nll", "reduction=none", "6000,100;i<100 6000");
    check_stops("soft_cross_entropy", "reduction=none", "6000,100;p6000,100");
}

TEST(choices_stop) {
    check_stops("gather", "dim=0", "3,200000;i<3 3,200000");
    check_stops("gather", "dim=1", "2,300000;i<300000 2,300000");
    check_stops("index_select", "dim=0", "3,200000;i<3 3");
    check_stops("index_select", "dim=0", "300000,2;i<300000 300000");
}

/* ---- one long row, or one long group: an op that is asked to stop in the middle leaves the rest undone ---- */

/* Four million elements take milliseconds at the least; the question comes a tenth of one after the start. */
#define LONG_ROW "4000000"
#define SOON 0.0001

static bool yes(void *asked) {
    ++*(int *)asked;
    return true;
}

static void forward_only(void *context, pn_member *m) {
    op_result *r = context;
    r->call.op->fwd[op_real(r->vin, r->call.n_in)](&r->call, m);
}
static void backward_only(void *context, pn_member *m) {
    op_result *r = context;
    r->call.op->bwd[op_real(r->vin, r->call.n_in)](&r->call, m);
}

/* Runs f again into `block`, which holds the whole result, and stops it soon. */
static void stop_soon(op_result *r, void (*f)(void *, pn_member *), op_block *block, const char *what) {
    int asked = 0;
    pn_poll poll;
    char *whole = pn_alloc(block->bytes);
    memcpy(whole, block->data, block->bytes);
    memset(block->data, 0xff, block->bytes);
    memset(r->scratch.data, 0xff, r->scratch.bytes);
    pn_poll_init(&poll, yes, &asked);
    poll.next = pn_clock() + SOON;
    pn_team_run(1, &poll, f, r);
    CHECK(asked == 1, "%s asks nobody", what);
    CHECK(memcmp(whole, block->data, block->bytes) != 0, "%s goes on to the end", what);
    pn_free(whole);
}

static void check_stops_soon(const char *name, const char *attrs, const char *shape) {
    op_case c;
    op_result r;
    CHECK(op_case_open(&c, name, attrs, shape) == PN_OK, "%s", c.error.text);
    char what[128];
    snprintf(what, sizeof what, "%s(%s) of %s", name, attrs, shape);
    c.text = what;
    const bool backward = !(c.op->flags & PN_NO_GRAD) && c.in[0].dtype != PN_I64;
    c.value[0][pn_shape_size(&c.in[0]) - 1] = strstr(name, "min") ? -5 : 5; /* decides the result */
    op_run(&c, PN_F32, pn_kernels_get(), 1, ~0u, backward ? OP_BACKWARD : 0, &r);
    if (backward) stop_soon(&r, backward_only, &r.gin[0], what);
    stop_soon(&r, forward_only, &r.out[0], what);
    op_close(&c, &r);
    op_case_close(&c);
}

TEST(ops_poll_in_slices) {
    check_stops_soon("slice", "start=0,0 stop=1," LONG_ROW " step=1,1", "1," LONG_ROW);
    check_stops_soon("slice", "start=3999999 stop=-1 step=-1", LONG_ROW);
    check_stops_soon("slice", "start=0,0 stop=" LONG_ROW ",3 step=1,2", LONG_ROW ",3");
}

TEST(ops_poll_in_extremes) {
    static const char *const names[] = {"max", "min", "argmax", "argmin"};
    for (int i = 0; i < 4; i++) {
        check_stops_soon(names[i], "dim=0", LONG_ROW);
        check_stops_soon(names[i], "dim=0", LONG_ROW ",2");
        check_stops_soon(names[i], "dim=1", LONG_ROW ",3");
        check_stops_soon(names[i], "dim=0", "i<4 " LONG_ROW);
    }
    check_stops_soon("max", "", LONG_ROW);
}

TEST(ops_poll_in_sums_and_products) {
    static const char *const names[] = {"sum", "mean", "prod", "logsumexp"};
    for (int i = 0; i < 4; i++) {
        check_stops_soon(names[i], "dim=0", "s" LONG_ROW ",2");
        check_stops_soon(names[i], "dim=1", "s2," LONG_ROW);
    }
    check_stops_soon("sum", "dim=0", "i<4 " LONG_ROW);
    check_stops_soon("cumsum", "", LONG_ROW);
    check_stops_soon("cumsum", "dim=0", LONG_ROW ",2");
}

/* ---- rows in pieces ---- */

/* A row of (1, n) in pieces against the same numbers as the double formula. */
static void check_long_row(const char *name, const char *attrs, bool logarithm) {
    op_case c;
    op_result r;
    char inputs[32];
    const int64_t n = 2 * PN_PIECE + 999;
    snprintf(inputs, sizeof inputs, "1,%lld", (long long)n);
    CHECK(op_case_open(&c, name, attrs, inputs) == PN_OK, "%s", c.error.text);
    for (int64_t i = 0; i < n; i++) c.value[0][i] *= 8;
    op_run(&c, PN_F64, pn_kernels_get(), 1, ~0u, OP_BACKWARD, &r);
    long double total = 0, dot = 0;
    for (int64_t i = 0; i < n; i++) total += expl(c.value[0][i]);
    for (int64_t i = 0; i < n; i++) dot += c.gout[0][i] * (logarithm ? 1 : expl(c.value[0][i]) / total);
    for (int64_t i = 0; i < n; i += 997) {
        const long double p = expl(c.value[0][i]) / total, y = logarithm ? c.value[0][i] - logl(total) : p;
        CHECK_CLOSE(op_get(r.out[0].data, PN_F64, i), (double)y, 1e-12 * (1 + fabs((double)y)));
        CHECK_CLOSE(op_get(r.gin[0].data, PN_F64, i), (double)(logarithm ? c.gout[0][i] - p * dot : p * (c.gout[0][i] - dot)), 1e-12);
    }
    op_close(&c, &r);
    op_case_close(&c);
}

TEST(rows_in_pieces_are_right) {
    check_long_row("softmax", "", false);
    check_long_row("log_softmax", "", true);
    check_long_row("softmax", "stable=False", false);
    check_long_row("log_softmax", "stable=False", true);
}

/* An infinite maximum is its own result, as in rows that the kernel takes whole. */
TEST(rows_in_pieces_with_infinity) {
    op_case c;
    op_result r;
    char inputs[32];
    snprintf(inputs, sizeof inputs, "1,%d", 2 * PN_PIECE);
    CHECK(op_case_open(&c, "log_softmax", "", inputs) == PN_OK, "%s", c.error.text);
    c.value[0][PN_PIECE + 5] = INFINITY;
    op_run(&c, PN_F32, pn_kernels_get(), 1, 0, 0, &r);
    CHECK(isnan(op_get(r.out[0].data, PN_F32, PN_PIECE + 5)) && op_get(r.out[0].data, PN_F32, 0) == -(double)INFINITY);
    op_close(&c, &r);
    c.value[0][PN_PIECE + 5] = NAN;
    op_run(&c, PN_F32, pn_kernels_get(), 1, 0, 0, &r);
    CHECK(isnan(op_get(r.out[0].data, PN_F32, 0)) && isnan(op_get(r.out[0].data, PN_F32, 2 * PN_PIECE - 1)));
    op_close(&c, &r);
    op_case_close(&c);
}
