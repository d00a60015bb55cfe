/*
 * When the segments of one batch run that has all processors to itself.
 *
 *   1. A segment is ready when all that it needs has ended. A processor that is idle takes, of the segments
 *      that are ready for it, the one nearest to the end of the plan, as the engine's scheduler does. So the
 *      segment that can begin first is always the next; of several, that of the highest rank.
 *   2. A plan's order is its maker's choice as long as nothing is needed before it is made. Of segments that
 *      could be ready at once, that from which the way to the end is longest should come first: it gets the
 *      highest place of those that it may have.
 */
#include "one_batch.h"

#include <math.h>

#include "base/alloc.h"

#define NOT_RANKED UINT32_MAX

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
        .rank = mly_alloc_array(parts, sizeof *batch->rank),
        .by_rank = mly_alloc_array(parts, sizeof *batch->by_rank),
    };
    if (batch->ns && batch->needs && batch->uses && batch->begin_ns && batch->end_ns &&
        batch->free_ns && batch->rank && batch->by_rank) {
        for (uint32_t i = 0; i < part_count; i++)
            batch->rank[i] = batch->by_rank[i] = i;
        return MLY_OK;
    }
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
    mly_free(batch->rank);
    mly_free(batch->by_rank);
    *batch = (struct mly__one_batch){0};
}

/* --- 1 --- */

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

/* When the part can begin on all its processors. */
static double start_ns(const struct mly__one_batch *batch, uint32_t part)
{
    const bool *uses = batch->uses + (size_t)batch->processor_count * part;
    double start = ready_ns(batch, part);
    for (uint32_t p = 0; p < batch->processor_count; p++)
        start = uses[p] ? fmax(start, batch->free_ns[p]) : start;
    return start;
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
            const double start = batch->end_ns[i] < 0 ? start_ns(batch, i) : INFINITY;
            if (start < earliest ||
                (start == earliest && isfinite(start) && batch->rank[i] > batch->rank[next])) {
                earliest = start;
                next = i;
            }
        }
        if (next == batch->part_count)
            return INFINITY; /* some need each other */
        const bool *uses = batch->uses + (size_t)batch->processor_count * next;
        batch->begin_ns[next] = earliest;
        batch->end_ns[next] = earliest + batch->ns[next];
        for (uint32_t p = 0; p < batch->processor_count; p++)
            batch->free_ns[p] = uses[p] ? batch->end_ns[next] : batch->free_ns[p];
        longest = fmax(longest, batch->end_ns[next]);
    }
    return longest;
}

/* --- 2 --- */

/* Ranks in an order in which nothing is needed before it is made; the least keys first. */
static bool rank_by(struct mly__one_batch *batch, const double *key)
{
    const uint32_t count = batch->part_count;
    for (uint32_t i = 0; i < count; i++)
        batch->rank[i] = NOT_RANKED;
    for (uint32_t n = 0; n < count; n++) {
        uint32_t next = count;
        for (uint32_t i = 0; i < count; i++) {
            bool ready = batch->rank[i] == NOT_RANKED;
            for (uint32_t k = 0; ready && k < count; k++)
                ready = !batch->needs[(size_t)count * i + k] || batch->rank[k] != NOT_RANKED;
            if (ready && (next == count || key[i] < key[next]))
                next = i;
        }
        if (next == count)
            return false;
        batch->rank[next] = n;
        batch->by_rank[n] = next;
    }
    return true;
}

bool mly__one_batch_rank(struct mly__one_batch *batch)
{
    const uint32_t count = batch->part_count;
    double *way = batch->end_ns; /* to the end, from the beginning of each part */
    for (uint32_t i = 0; i < count; i++)
        way[i] = batch->ns[i];
    if (!rank_by(batch, batch->ns))
        return false;
    for (uint32_t n = count; n-- > 0;) {
        const uint32_t part = batch->by_rank[n];
        for (uint32_t k = 0; k < count; k++)
            if (batch->needs[(size_t)count * part + k])
                way[k] = fmax(way[k], batch->ns[k] + way[part]);
    }
    return rank_by(batch, way);
}
