/*
 * When the segments of one batch run that has all processors to itself.
 *
 * A segment is ready when all that it needs has ended; its processors take segments in the order in which
 * they became ready (of several at once, in the plan's order), as the engine's do. A ready time can only
 * come from one that is not later: so the earliest of those that are known is always the next.
 */
#include "one_batch.h"

#include <math.h>

#include "base/alloc.h"

enum mly_status mly__one_batch_init(struct mly__one_batch *batch, uint32_t part_count,
                                    uint32_t processor_count, struct mly_error *err)
{
    const size_t parts = part_count ? part_count : 1;
    *batch = (struct mly__one_batch){
        .part_count = part_count,
        .processor_count = processor_count,
        .ns = mly_alloc_array(parts, sizeof *batch->ns),
        .needs = mly_alloc_array(parts * parts, sizeof *batch->needs),
        .uses = mly_alloc_array(parts * processor_count, sizeof *batch->uses),
        .begin_ns = mly_alloc_array(parts, sizeof *batch->begin_ns),
        .end_ns = mly_alloc_array(parts, sizeof *batch->end_ns),
        .free_ns = mly_alloc_array(processor_count, sizeof *batch->free_ns),
    };
    if (batch->ns && batch->needs && batch->uses && batch->begin_ns && batch->end_ns &&
        batch->free_ns)
        return MLY_OK;
    mly__one_batch_fini(batch);
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for following one batch");
}

void mly__one_batch_fini(struct mly__one_batch *batch)
{
    mly_free(batch->ns);
    mly_free(batch->needs);
    mly_free(batch->uses);
    mly_free(batch->begin_ns);
    mly_free(batch->end_ns);
    mly_free(batch->free_ns);
    *batch = (struct mly__one_batch){0};
}

/* When the part is ready; infinite while something that it needs has not been placed. */
static double ready_ns(const struct mly__one_batch *batch, uint32_t part)
{
    const bool *needs = batch->needs + (size_t)batch->part_count * part;
    double ready = 0;
    for (uint32_t i = 0; i < batch->part_count; i++)
        if (needs[i])
            ready = fmax(ready, batch->end_ns[i] < 0 ? INFINITY : batch->end_ns[i]);
    return ready;
}

double mly__one_batch_run(struct mly__one_batch *batch)
{
    double longest = 0;
    for (uint32_t i = 0; i < batch->part_count; i++)
        batch->end_ns[i] = -1;
    for (uint32_t p = 0; p < batch->processor_count; p++)
        batch->free_ns[p] = 0;
    for (uint32_t placed = 0; placed < batch->part_count; placed++) {
        uint32_t next = batch->part_count;
        double earliest = INFINITY;
        for (uint32_t i = 0; i < batch->part_count; i++) {
            const double ready = batch->end_ns[i] < 0 ? ready_ns(batch, i) : INFINITY;
            if (ready < earliest) {
                earliest = ready;
                next = i;
            }
        }
        if (next == batch->part_count)
            return INFINITY; /* some need each other */
        const bool *uses = batch->uses + (size_t)batch->processor_count * next;
        for (uint32_t p = 0; p < batch->processor_count; p++)
            earliest = uses[p] ? fmax(earliest, batch->free_ns[p]) : earliest;
        batch->begin_ns[next] = earliest;
        batch->end_ns[next] = earliest + batch->ns[next];
        for (uint32_t p = 0; p < batch->processor_count; p++)
            batch->free_ns[p] = uses[p] ? batch->end_ns[next] : batch->free_ns[p];
        longest = fmax(longest, batch->end_ns[next]);
    }
    return longest;
}
