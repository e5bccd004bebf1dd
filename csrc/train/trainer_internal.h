/* What trainer.c (which batch next) and step.c (one step) share. */
#ifndef PN_TRAIN_TRAINER_INTERNAL_H
#define PN_TRAIN_TRAINER_INTERNAL_H
#include "train/trainer.h"

struct pn_trainer {
    pn_trainer_spec spec;
    pn_progress progress;
    pn_source *sources;
    int64_t *order; /* (rows) of the present epoch; NULL without shuffling */
    int64_t order_epoch;
    double *log; /* (LOG_EPOCHS, n_outputs) */
    int64_t logged;
    int n_outputs, threads;
    char *scratch; /* (threads) x scratch_stride */
    size_t scratch_stride;
    void *saved;  /* what a careful step may have to put back, see train/guard.h; NULL before the first one */
    void *before; /* all parameters as they were before the update; for step_below */
    uint64_t key; /* of random nodes */
    /* ---- the run in progress: written by member 0 before a barrier ---- */
    int64_t until_epoch, until_poll, poll_every, steps_left; /* steps_left < 0: no limit */
    double deadline;
    bool go, finished; /* go: there is a step to do; finished: a stopping rule has fired */
    bool given_up;     /* the batch was not gathered to its end */
    pn_run_end end;
    pn_status status;
    pn_plan *plan; /* of the present batch */
    int64_t n;     /* its rows */
    pn_plan_run run;
};

/* SPMD: one step on the batch that member 0 has chosen. */
void pn_trainer_step(pn_trainer *t, pn_member *m);
#endif
