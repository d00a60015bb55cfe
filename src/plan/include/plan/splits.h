/* All ways of splitting one batch over processors that work side by side. */
#ifndef MLY_PLAN_SPLITS_H
#define MLY_PLAN_SPLITS_H

#include "plan/plan.h"

/* One split; borrowed for the call. Arrays are by processor, in the order of the request. */
struct mly_split_row {
    const uint32_t *shares;
    const double *time_ns; /* of each for its share, copies included */
    double sum_ns;         /* one after another */
    double makespan_ns;    /* side by side: the slowest */
    bool modelled;         /* some time comes from a device file */
    bool estimated;        /* some time lies between measured batch sizes, or beyond them */
};

/* What the rows are about; borrowed for the call. */
struct mly_split_head {
    const struct mly_plan_processor *processors;
    uint32_t processor_count;
    uint32_t batch;
    bool modelled;  /* of some row */
    bool estimated; /* of some row */
};

/* Anything but MLY_OK ends the listing and is what it returns. head is the same in every call. */
typedef enum mly_status mly_split_visit(const struct mly_split_head *head,
                                        const struct mly_split_row *row, void *user,
                                        struct mly_error *err);

/*
 * Every split of the request's batch whose shares are multiples of `step`, the first processor's share
 * ascending, then the second's; those that some processor cannot compute are left out. Errors:
 * MLY_E_INVALID for a batch of 0, a step that does not divide it, or a model whose batch is fixed;
 * MLY_E_UNSUPPORTED for one processor only; MLY_E_LIMIT for more than a million splits; MLY_E_NOT_FOUND
 * where a processor's times are not known; MLY_E_NO_MEMORY. Thread-safe.
 */
enum mly_status mly_plan_list_splits(const struct mly_plan_request *request, uint32_t step,
                                     mly_split_visit *visit, void *user,
                                     struct mly_error *err) MLY_MUST_CHECK;

#endif
