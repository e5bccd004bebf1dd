/* Measuring a plan: the same instructions with a clock between them, and what each of them is.
 *
 * A walk that measures is a function of its own, chosen once a step, so that ordinary runs pay nothing for it. */
#include "base/cpu.h"
#include "graph/plan_internal.h"

/* Behind every instruction stands a barrier, so that a time is that of the slowest member; member 0 reads the clock. */
bool pn_plan_walk_timed(pn_plan *p, pn_member *m) {
    int barriers = 0;
    if (m->count == 1) atomic_store_explicit(&p->stop_at, INT_MAX, memory_order_relaxed);
    if (!pn_plan_pass(p, m, &barriers)) return false;
    double before = pn_clock();
    for (int i = 0; i < p->n_code; i++) {
        p->code[i].fn(&p->code[i].call, m);
        if (m->index == 0) pn_poll_now(m->poll);
        if (!pn_plan_pass(p, m, &barriers)) return false;
        if (m->index) continue;
        const double now = pn_clock();
        p->run->seconds[i] = now - before;
        before = now;
    }
    return true;
}

int pn_plan_instructions(const pn_plan *p) { return p->n_code; }

pn_instruction pn_plan_instruction(const pn_plan *p, int i) {
    static const char *const phases[] = {"forward", "backward", "check", "add"};
    const plan_note *note = &p->notes[i];
    const pn_call *c = &p->code[i].call;
    return (pn_instruction){.phase = phases[note->phase],
                            .op = note->phase == PLAN_ADD ? "gradient" : c->op->name,
                            .activation = note->activation >= 0 ? pn_acts[note->activation].name : NULL,
                            .layer = note->layer,
                            .layout = note->layout == PN_PLAIN ? "" : pn_layout_name(note->layout),
                            .shape = &note->shape,
                            .flops = note->flops};
}
