/* What the files of Recorder, Plan, Optimizer and Trainer share. */
#ifndef PN_PYTHON_PLAN_TYPES_H
#define PN_PYTHON_PLAN_TYPES_H
#include "graph/plan.h"
#include "python/state.h"
#include "train/optimizer.h"
#include "train/trainer.h"

typedef struct pn_py_recorder {
    PyObject_HEAD pn_recording *recording; /* NULL after close */
    bool open;
    uint32_t ordinal; /* of the context, given back at the end */
} pn_py_recorder;

typedef struct pn_py_optimizer {
    PyObject_HEAD pn_optimizer *o;
    bool busy; /* a run without the GIL uses it */
} pn_py_optimizer;

typedef struct pn_py_plan {
    PyObject_HEAD pn_plan *p;
    PyObject *optimizer; /* whose segments the plan has, or NULL */
    bool busy;
} pn_py_plan;

extern PyTypeObject *pn_py_recorder_type, *pn_py_plan_type, *pn_py_optimizer_type, *pn_py_trainer_type;

int pn_py_add_optimizer(PyObject *module); /* optimizer_py.c */
int pn_py_add_trainer(PyObject *module);   /* trainer_py.c */

/* profile_py.c: Plan.profile */
extern const char pn_py_plan_profile_doc[];
PyObject *pn_py_plan_profile(PyObject *plan, PyObject *args);

/* Copies an array into input i of a plan; false with an exception set. */
bool pn_py_plan_feed(pn_plan *p, int i, PyObject *array);
/* Adds a heap type made from spec under its short name; NULL with an exception set. */
PyTypeObject *pn_py_add_type(PyObject *module, PyType_Spec *spec);
/* True and marked as busy, or false with RuntimeError set: one run at a time. */
bool pn_py_take(bool *busy, const char *what);
#endif
