/* The list of engines, and which one gets a task. */
#include "energy/engine.h"

#include <string.h>

#define ENGINE(type) extern const pn_engine_type type;
#include "energy/engines.def"
#undef ENGINE

const pn_engine_type *const *pn_engine_types(void) {
#define ENGINE(type) &type,
    static const pn_engine_type *const types[] = {
#include "energy/engines.def"
        NULL};
#undef ENGINE
    return types;
}

pn_status pn_engine_open(pn_engine **out, const pn_couplings *m, const pn_task *task, const char *name, pn_error *e) {
    bool known = false;
    for (const pn_engine_type *const *t = pn_engine_types(); *t; t++) {
        if (name && strcmp(name, (*t)->name)) continue;
        known = true;
        if ((*t)->takes(m, task)) return (*t)->open(out, m, task, e);
    }
    if (name && !known) return pn_fail(e, PN_E_VALUE, "there is no engine '%s'", name);
    return pn_fail(e, PN_E_VALUE,
                   name ? "the engine '%s' does not take this model with this method, rule and order"
                        : "no engine takes this model with this method, rule and order",
                   name);
}

void pn_engine_close(pn_engine *g) {
    if (g) g->type->close(g);
}
