/*
 * Splitting one batch over processors that work side by side, from the time that each takes for each
 * number of samples.
 */
#ifndef MLY_PLAN_DATA_SPLIT_H
#define MLY_PLAN_DATA_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

#define MLY__SPLIT_BATCH_MAX 65536u
#define MLY__SPLIT_PROCESSORS_MAX 64u

/* time_ns[processor][samples], 0…batch; [0] is 0; INFINITY where that many are not possible. */
struct mly__data_curves {
    uint32_t processor_count;
    uint32_t batch;
    const double *const *time_ns;
};

/*
 * The split with the least makespan: the slowest processor's time. Curves may have any form: more
 * samples may even take less. Of equal makespans the one with the least sum of times (up to batches
 * of 4096; beyond that any). Fills shares[processor_count] (caller's), which sum to the batch.
 * MLY_E_INVALID for more than the limits above or a time that is negative; MLY_E_UNSUPPORTED when no
 * split is possible; MLY_E_NO_MEMORY. O(processors * batch²/64 * log(processors * batch)).
 */
enum mly_status mly__data_split(const struct mly__data_curves *curves, uint32_t *shares,
                                double *makespan_ns, struct mly_error *err) MLY_MUST_CHECK;

/* One split; borrowed for the call. */
struct mly__data_row {
    const uint32_t *shares;
    const double *time_ns; /* by processor */
    double sum_ns;         /* one after another */
    double makespan_ns;    /* side by side */
};
/* Anything but MLY_OK ends the listing and is what it returns. */
typedef enum mly_status mly__data_visit(const struct mly__data_row *row, void *user,
                                        struct mly_error *err);
/*
 * Every split whose shares are multiples of `step` (the last processor's, whatever is left), the first
 * processor's share ascending, then the second's. MLY_E_LIMIT for more than rows_max (says how many);
 * MLY_E_INVALID for a step that does not divide the batch; MLY_E_NO_MEMORY.
 */
enum mly_status mly__data_list(const struct mly__data_curves *curves, uint32_t step,
                               uint64_t rows_max, mly__data_visit *visit, void *user,
                               struct mly_error *err) MLY_MUST_CHECK;

#endif
