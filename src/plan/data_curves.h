/* How long each processor of a request takes for each number of samples. */
#ifndef MLY_PLAN_DATA_CURVES_H
#define MLY_PLAN_DATA_CURVES_H

#include "data_split.h"
#include "problem.h"

struct mly__curves {
    struct mly__problem *problem; /* processors and classes only; owned */
    double *times;                /* [class * (batch + 1) + samples] */
    const double **rows;          /* by processor, into times */
    bool *guesses;                /* as times: not measured, but near what was */
    const bool **guessed;         /* by processor, into guesses */
    struct mly__data_curves data; /* borrows rows */
    bool modelled, estimated;     /* some times are; estimated: between measured batches */
};

/*
 * For a batch: modelled processors by their device files; others as the whole model was measured, with
 * all processors alike at work, linear between batches that were. What a processor cannot compute or
 * hold is infinite. Errors: MLY_E_NOT_FOUND where nothing was measured; MLY_E_UNSUPPORTED for one
 * processor only; MLY_E_INVALID for a fixed batch; MLY_E_NO_MEMORY.
 */
enum mly_status mly__curves_init(struct mly__curves *curves, const struct mly_plan_request *request,
                                 uint32_t batch, struct mly_error *err) MLY_MUST_CHECK;
void mly__curves_fini(struct mly__curves *curves);

/*
 * The processors of a plan as classes, without units and costs: class_of[plan->processor_count]
 * (caller's) is the class of each. *out is freed with mly__problem_destroy. MLY_E_ABSENT for a modelled
 * kind without a device file; MLY_E_LIMIT; MLY_E_NO_MEMORY.
 */
enum mly_status mly__classes_of_plan(const mly_plan *plan, const mly_model *model,
                                     uint32_t *class_of, struct mly__problem **out,
                                     struct mly_error *err) MLY_MUST_CHECK;

/* One processor's part of a split. */
struct mly__share_cost {
    double time_ns;      /* copies included; infinite: cannot be computed or held */
    double spread;       /* relative; 0 unknown */
    double energy_j;     /* above idle; 0 unknown */
    double memory_bytes; /* of its own: activations, and weights on a modelled processor */
    bool modelled;
    bool estimated; /* not of just so many samples: between measured batches */
};
/* Of a class (with the problem's request's costs) for so many samples. Same errors. */
enum mly_status mly__share_cost(const struct mly__class *class, const mly_model *model,
                                const mly_cost_table *costs, uint32_t samples,
                                struct mly__share_cost *out, struct mly_error *err) MLY_MUST_CHECK;

#endif
