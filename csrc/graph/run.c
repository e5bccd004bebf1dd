/* One op function in teaching mode. Short ones run here and now, with scratch on the stack; long ones get the team of threads, and other Python threads the
 * GIL meanwhile. The error's name is put in front here too, so that every path says layer and op the same way. */
#include "graph/run.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define LONG_WORK 100e3    /* nanoseconds: from here on waking the team costs less than it gains, and other Python threads should not have to wait */
#define SMALL_SCRATCH 2048 /* bytes taken from the C stack */

static int64_t block_counts[PN_MAX_THREADS * 8];
int64_t *pn_block_counts(void) { return block_counts; }

typedef struct team_job {
    const pn_call *call;
    pn_op_fn fn;
    char *member_scratch; /* count x stride bytes */
    size_t stride;
} team_job;

static void run_member(void *context, pn_member *m) {
    const team_job *job = context;
    pn_member mine = *m;
    mine.scratch = job->member_scratch + (size_t)m->index * job->stride;
    mine.blocks = block_counts;
    job->fn(job->call, &mine);
}

static pn_status run_long(pn_context *ctx, const pn_call *call, pn_op_fn fn, char *member_scratch, size_t stride, int threads, pn_error *e) {
    team_job job = {.call = call, .fn = fn, .member_scratch = member_scratch, .stride = stride};
    pn_poll poll;
    pn_poll_init(&poll, ctx->ask, NULL);
    void *token = ctx->release ? ctx->release() : NULL;
    pn_team_run(threads, &poll, run_member, &job);
    if (ctx->acquire) ctx->acquire(token);
    /* A signal that came between the last question and the end would otherwise wait for the next moment the interpreter looks. */
    const bool stop = pn_poll_stopped(&poll) || (ctx->ask && ctx->ask(NULL));
    return stop ? pn_fail(e, PN_E_INTERRUPTED, "interrupted") : PN_OK;
}

pn_status pn_run_call(pn_context *ctx, pn_call *call, const pn_run_spec *spec, pn_error *e) {
    if (call->op->flags & PN_USER) return pn_user_run(call, spec->backward, e);
    _Alignas(64) char small[SMALL_SCRATCH];
    char *room = small;
    const bool is_long = spec->work >= LONG_WORK;
    const int threads = is_long ? pn_threads_get() : 1;
    const size_t shared = (spec->scratch + 63) & ~(size_t)63, stride = (spec->member_scratch + 63) & ~(size_t)63;
    const size_t need = shared + stride * (size_t)threads;
    if (need > SMALL_SCRATCH) {
        room = pn_alloc(need);
        if (!room) return pn_fail(e, PN_E_MEMORY, "not enough memory for %s (%zu bytes of scratch)", call->op->name, need);
    }
    const pn_view *first = call->in;
    int type = PN_F32;
    for (int i = 0; i < call->n_in; i++, first++) {
        if (first->shape.dtype != PN_I64) {
            type = first->shape.dtype;
            break;
        }
    }
    pn_op_fn fn = spec->backward ? call->op->bwd[type] : call->op->fwd[type];
    pn_status status = PN_OK;
    call->scratch = room;
    if (is_long) {
        status = run_long(ctx, call, fn, room + shared, stride, threads, e);
    } else {
        pn_member alone = {.index = 0, .count = 1, .scratch = room + shared};
        fn(call, &alone);
    }
    if (room != small) pn_free(room);
    return status;
}

pn_status pn_error_name(const char *layer, const char *name, pn_error *e) {
    char prefix[256];
    const size_t n = strlen(name);
    if (strncmp(e->text, name, n) == 0 && strncmp(e->text + n, ": ", 2) == 0) { /* an op that has named itself already */
        if (!layer) return e->status;
        memmove(e->text, e->text + n + 2, strlen(e->text + n + 2) + 1);
    }
    snprintf(prefix, sizeof prefix, "%s: ", layer ? layer : name);
    pn_error_prefix(e, prefix);
    return e->status;
}

/* ---- user code ---- */

pn_status pn_user_run(const pn_call *c, bool backward, pn_error *e) {
    pn_user *user = c->context;
    return backward ? user->backward(user, c, e) : user->forward(user, c, e);
}

/* The functions of the op exist so that a caller who ignores PN_USER still runs the code; only pn_user_run can tell of a failure. */
static void user_fwd(const pn_call *c, pn_member *m) {
    pn_error ignored;
    if (m->index == 0) pn_user_run(c, false, &ignored);
}

static void user_bwd(const pn_call *c, pn_member *m) {
    pn_error ignored;
    if (m->index == 0) pn_user_run(c, true, &ignored);
}

const pn_op pn_user_op = {
    .name = "Function",
    .formula = "y = forward(x)",
    .derivative = "gx = backward(gy)",
    .inputs = "x:n*",
    .n_out = 1,
    .fwd = {user_fwd, user_fwd},
    .bwd = {user_bwd, user_bwd},
    .flags = PN_USER,
    .file = "graph/run.c",
};
