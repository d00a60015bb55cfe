/* When two batches are done that meet in a plan. */
#ifndef MLY_PLAN_TWO_BATCHES_H
#define MLY_PLAN_TWO_BATCHES_H

#include <stdbool.h>
#include <stdint.h>

#include <motley/status.h>

struct mly__two_batches {
    uint32_t part_count, processor_count;
    const double *ns; /* [part * processor_count + processor]; 0: it does not run there. Borrowed */
    const bool *needs; /* [part * part_count + other]: begins when that one has ended. Borrowed */
    double *free_ns, *available_ns; /* by processor */
    double *ready_ns, *end_ns;      /* by batch and part */
    uint32_t *missing;              /* by batch and part: what it still waits for */
};

/* MLY_E_NO_MEMORY. */
enum mly_status mly__two_batches_init(struct mly__two_batches *two, uint32_t part_count,
                                      uint32_t processor_count, const double *ns, const bool *needs,
                                      struct mly_error *err) MLY_MUST_CHECK;
void mly__two_batches_fini(struct mly__two_batches *two);
/*
 * Ends of a batch that comes at 0 and of one that comes after_ns later (infinite: never). Infinite ends if
 * parts need each other in a circle. O((parts + processors) * parts) per part.
 */
void mly__two_batches_run(struct mly__two_batches *two, double after_ns, double end_ns[2]);

#endif
