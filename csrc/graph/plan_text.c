/* A plan as text for people: one line an instruction, with shapes, fusion and layout, then the updates and the bytes. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "graph/plan_internal.h"

typedef struct text {
    char *data;
    size_t used, room;
    bool failed;
} text;

static void put(text *t, const char *format, ...) PN_PRINTF(2, 3);
static void put(text *t, const char *format, ...) {
    va_list args;
    char line[512];
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0 || t->failed) return;
    if ((size_t)n >= sizeof line) n = (int)sizeof line - 1;
    if (t->used + (size_t)n + 1 > t->room) {
        const size_t room = 2 * t->room + 1024;
        char *data = pn_alloc(room);
        if (!data) {
            t->failed = true;
            return;
        }
        if (t->used) memcpy(data, t->data, t->used);
        pn_free(t->data);
        t->data = data;
        t->room = room;
    }
    memcpy(t->data + t->used, line, (size_t)n + 1);
    t->used += (size_t)n;
}

static void put_views(text *t, const pn_view *views, int n, bool only_present) {
    char shape[256];
    for (int i = 0; i < n; i++)
        if (!only_present || views[i].data) put(t, " %s", pn_shape_text(&views[i].shape, shape));
}

/* Layout of the main operand: that of the op, or of the memory it is shown. */
static const char *layout_of(const pn_call *c) { return c->layout ? pn_layout_name((pn_layout)c->layout) : ""; }

static void put_instruction(text *t, const pn_plan *p, int i) {
    static const char *const phases[] = {"forward", "backward", "check", "add"};
    const plan_note *note = &p->notes[i];
    const pn_call *c = &p->code[i].call;
    put(t, "%3d %c %-8s %s", i, p->code[i].barrier ? '|' : ' ', phases[note->phase], note->phase == PLAN_ADD ? "gradient" : c->op->name);
    if (note->activation >= 0) put(t, "+%s", pn_acts[note->activation].name);
    put_views(t, c->in, c->n_in, false);
    put(t, " ->");
    if (note->phase == PLAN_BACKWARD)
        put_views(t, c->gin, c->n_in, true);
    else if (note->phase != PLAN_CHECK)
        put_views(t, c->out, c->n_out, false);
    if (note->to >= 0) put(t, " in place");
    if (*layout_of(c)) put(t, " [%s]", layout_of(c));
    if (c->op == &pn_op_reorder) put(t, " [%s to %s]", pn_layout_name((pn_layout)c->attrs[0].i), pn_layout_name((pn_layout)c->attrs[1].i));
    if (note->layer) put(t, "  %s", note->layer);
    put(t, "\n");
}

char *pn_plan_text(const pn_plan *p) {
    text t = {NULL, 0, 0, false};
    char shape[256];
    for (int i = 0; i < p->n_code; i++) put_instruction(&t, p, i);
    for (int i = 0; i < p->n_pieces; i++) put(&t, "      update   %s\n", pn_shape_text(&p->gradients[p->pieces[i].segment].shape, shape));
    for (int i = 0; i < p->n_deferred; i++)
        put(&t, "      update   %s with its gradient, fused\n", pn_shape_text(&p->gradients[p->deferred[i].segment].shape, shape));
    put(&t, "%zu bytes and %zu a thread, %.3g MFLOP, up to %d thread%s; | is a barrier\n", p->arena_bytes, p->member_scratch, p->flops / 1e6, p->threads,
        p->threads == 1 ? "" : "s");
    if (t.failed) {
        pn_free(t.data);
        return NULL;
    }
    return t.data;
}
