/* The epoch loop: gather a mini-batch, run the plan, look, update, add up. Python is asked only between calls of pn_trainer_run. */
#ifndef PN_TRAIN_TRAINER_H
#define PN_TRAIN_TRAINER_H
#include "data/augment.h"
#include "data/gather.h"
#include "graph/plan.h"
#include "train/optimizer.h"

typedef struct pn_trainer_spec {
    int n_sources;
    const pn_source *sources; /* one for each input of the plan, equal numbers of rows; borrowed */
    int64_t rows, batch;
    bool shuffle, drop_last;
    uint64_t seed;
    pn_plan *plan;           /* for batches of `batch` rows; may be NULL when there are none */
    pn_plan *tail;           /* for the last batch of rows % batch rows; NULL when there is none */
    pn_optimizer *optimizer; /* NULL: evaluation and prediction */
    double input_max;        /* bound on |x| of all real sources, INFINITY when unknown */
    double clip_norm;        /* 0: no clipping */
    double grad_below;       /* stop before an update when the norm of the gradient is below; 0: never */
    double step_below;       /* stop after an update shorter than this; 0: never */
    pn_augment augment;      /* of the pictures of source 0, while training; its code is borrowed. length 0: none */
    void *const *collect;    /* (outputs) where predictions go, rows x rest; NULL: nowhere */
} pn_trainer_spec;

typedef enum pn_run_end { PN_RUN_DONE, PN_RUN_TIME, PN_RUN_GRAD_BELOW, PN_RUN_STEP_BELOW } pn_run_end;

typedef struct pn_trainer pn_trainer;
pn_status pn_trainer_new(const pn_trainer_spec *spec, pn_trainer **out, pn_error *e);
void pn_trainer_free(pn_trainer *t);

#define PN_TRAINER_OUTPUTS 32 /* scalar outputs that are summed */

/* Where the run stands; may be set before a run to resume one. */
typedef struct pn_progress {
    int64_t epoch;                   /* epochs completed */
    int64_t position;                /* rows done in the present epoch */
    int64_t step;                    /* updates completed: the step of the random numbers */
    double weight;                   /* rows behind the sums */
    double sums[PN_TRAINER_OUTPUTS]; /* of each output times its rows, in the present epoch */
    double step_norm, grad_norm;     /* of the last step, where asked for */
} pn_progress;
pn_progress *pn_trainer_progress(pn_trainer *t);
/* Runs until `epochs` are completed, about `seconds` have passed, or `steps` batches are done (0: no such limit). *end says why it returned. On failure parameters and progress are those of the last
 * completed step. */
pn_status pn_trainer_run(pn_trainer *t, int64_t epochs, double seconds, int64_t steps, pn_poll *poll, pn_run_end *end, pn_error *e);
/* Means of the outputs over the epochs completed by the last run: (n, outputs), oldest first. */
const double *pn_trainer_log(const pn_trainer *t, int64_t *n);
#endif
