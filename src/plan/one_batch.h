/* When the segments of one batch run that has all processors to itself. */
#ifndef MLY_PLAN_ONE_BATCH_H
#define MLY_PLAN_ONE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <motley/status.h>

struct mly__one_batch {
    uint32_t part_count, processor_count;
    double *ns;                /* by part: how long it takes its processors */
    bool *needs;               /* [part * part_count + other]: begins when that one has ended */
    bool *uses;                /* [part * processor_count + processor] */
    double *begin_ns, *end_ns; /* by part: what mly__one_batch_run found */
    double *free_ns;           /* by processor */
    uint32_t *rank;    /* by part: of several the highest comes first; at first its number */
    uint32_t *by_rank; /* parts in that order */
};

/* Nothing is needed or used yet. MLY_E_NO_MEMORY. */
enum mly_status mly__one_batch_init(struct mly__one_batch *batch, uint32_t part_count,
                                    uint32_t processor_count, struct mly_error *err) MLY_MUST_CHECK;
void mly__one_batch_fini(struct mly__one_batch *batch);
/* The end of the last part; infinite if parts need each other in a circle. O(parts^3) at worst. */
double mly__one_batch_run(struct mly__one_batch *batch);
/*
 * Ranks as a plan's order should be: nothing is needed before it is made, and of what could be ready at once that
 * comes last, so is taken first, from which the way to the end is longest. False: parts need each other in a
 * circle. What mly__one_batch_run found is forgotten. O(parts^3) at worst.
 */
bool mly__one_batch_rank(struct mly__one_batch *batch);

#endif
