/*
 * Families of downsets.
 *
 *   1. A hash table tells sets that are there already. All downsets are found breadth first from the
 *      empty set: a unit joins when all that it needs is in.
 *   2. Closing sorts them by size, and lists the crossings that live at the border of each.
 *   3. Which set each becomes with one unit more is looked up in a table of the sorted sets.
 */
#include "downsets.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

#define SETS 512u /* after which it is asked whether to go on */

/* --- 1 --- */

static uint64_t hash_set(const uint64_t *set, size_t words)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t w = 0; w < words; w++) {
        hash = (hash ^ set[w]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

enum mly_status mly__downsets_begin(struct mly__downsets *downsets,
                                    const struct mly__problem *problem, uint32_t limit,
                                    struct mly_error *err)
{
    struct mly__downsets made = {.problem = problem,
                                 .limit = limit,
                                 .words = ((size_t)problem->unit_count + 63) / 64,
                                 .mask = 63};
    while (made.mask < 2 * limit)
        made.mask = 2 * made.mask + 1;
    made.slots = mly_alloc_array((size_t)made.mask + 1, sizeof *made.slots);
    made.bits = mly_alloc_array(made.words * ((size_t)limit + 2), sizeof *made.bits);
    uint64_t *set = mly_alloc_array(made.words, sizeof *set);
    if (!made.slots || !made.bits || !set) {
        mly_free(set);
        mly__downsets_fini(&made);
        return mly__problem_no_memory(err);
    }
    mly__downsets_add(&made, set);
    for (uint32_t u = 0; u < problem->unit_count; u++)
        mly__downset_put(set, u);
    mly__downsets_add(&made, set);
    mly_free(set);
    *downsets = made;
    return MLY_OK;
}

void mly__downsets_add(struct mly__downsets *downsets, const uint64_t *set)
{
    uint32_t slot = (uint32_t)hash_set(set, downsets->words) & downsets->mask;
    for (; downsets->slots[slot]; slot = (slot + 1) & downsets->mask)
        if (!memcmp(mly__downset(downsets, downsets->slots[slot] - 1), set,
                    downsets->words * sizeof *set))
            return;
    if (downsets->count > downsets->limit)
        return;
    memcpy(downsets->bits + downsets->words * downsets->count, set, downsets->words * sizeof *set);
    downsets->slots[slot] = ++downsets->count;
}

bool mly__downset_is_ready(const struct mly__problem *problem, const uint64_t *set, uint32_t unit)
{
    const struct mly__unit *at = &problem->units[unit];
    for (uint32_t i = 0; i < at->input_count; i++) {
        const uint32_t from = problem->crossings[at->inputs[i]].producer;
        if (from != MLY_NO_INDEX && !mly__downset_has(set, from))
            return false;
    }
    return true;
}

static enum mly_status enumerate(struct mly__downsets *d, struct mly_error *err)
{
    const struct mly__problem *problem = d->problem;
    uint64_t *set = mly_alloc_array(d->words, sizeof *set);
    if (!set)
        return mly__problem_no_memory(err);
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && i < d->count && d->count <= d->limit; i++) {
        if (i % SETS == 0)
            status = mly__plan_go_on(problem->request, err);
        for (uint32_t u = 0; u < problem->unit_count; u++) {
            const uint64_t *from = mly__downset(d, i);
            if (mly__downset_has(from, u) || !mly__downset_is_ready(problem, from, u))
                continue;
            memcpy(set, from, d->words * sizeof *set);
            mly__downset_put(set, u);
            mly__downsets_add(d, set);
        }
    }
    mly_free(set);
    if (status)
        return status;
    return d->count <= d->limit
               ? MLY_OK
               : mly_error_set(err, MLY_E_LIMIT,
                               "%u parts that can be cut have more than %u possible first parts",
                               problem->unit_count, d->limit);
}

/* --- 2 --- */

struct sized {
    uint32_t size, index;
};

static int compare_sized(const void *a, const void *b)
{
    const struct sized *x = a, *y = b;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static enum mly_status sort_sets(struct mly__downsets *d, struct mly_error *err)
{
    struct sized *order = mly_alloc_array(d->count, sizeof *order);
    uint64_t *sorted = mly_alloc_array(d->words * d->count, sizeof *sorted);
    if (!order || !sorted) {
        mly_free(order);
        mly_free(sorted);
        return mly__problem_no_memory(err);
    }
    for (uint32_t i = 0; i < d->count; i++) {
        order[i].index = i;
        for (size_t w = 0; w < d->words; w++)
            order[i].size += (uint32_t)__builtin_popcountll(mly__downset(d, i)[w]);
    }
    qsort(order, d->count, sizeof *order, compare_sized);
    for (uint32_t i = 0; i < d->count; i++)
        memcpy(sorted + d->words * i, mly__downset(d, order[i].index), d->words * sizeof *sorted);
    mly_free(order);
    mly_free(d->bits);
    mly_free(d->slots);
    d->slots = NULL;
    d->bits = sorted;
    return MLY_OK;
}

static bool is_live(const struct mly__crossing *crossing, const uint64_t *set)
{
    if (crossing->producer != MLY_NO_INDEX && !mly__downset_has(set, crossing->producer))
        return false;
    if (crossing->goes_to_host)
        return true;
    for (uint32_t i = 0; i < crossing->consumer_count; i++)
        if (!mly__downset_has(set, crossing->consumers[i]))
            return true;
    return false;
}

enum mly_status mly__downsets_close(struct mly__downsets *downsets, struct mly_error *err)
{
    struct mly__downsets *d = downsets;
    size_t capacity = 0, used = 0;
    enum mly_status status = sort_sets(d, err);
    if (status)
        return status;
    d->live_begin = mly_alloc_array((size_t)d->count + 1, sizeof *d->live_begin);
    if (!d->live_begin)
        return mly__problem_no_memory(err);
    for (uint32_t i = 0; i < d->count; i++) {
        const uint64_t *set = mly__downset(d, i);
        d->live_begin[i] = (uint32_t)used;
        for (uint32_t c = 0; c < d->problem->crossing_count; c++) {
            if (!is_live(&d->problem->crossings[c], set))
                continue;
            if (mly_array_reserve(&d->live, &capacity, used + 1, sizeof *d->live))
                return mly__problem_no_memory(err);
            d->live[used++] = c;
        }
    }
    d->live_begin[d->count] = (uint32_t)used;
    return MLY_OK;
}

/* --- 3 --- */

/* The table again, for the sorted sets. */
static enum mly_status hash_sorted(struct mly__downsets *d, struct mly_error *err)
{
    d->slots = mly_alloc_array((size_t)d->mask + 1, sizeof *d->slots);
    if (!d->slots)
        return mly__problem_no_memory(err);
    for (uint32_t i = 0; i < d->count; i++) {
        uint32_t slot = (uint32_t)hash_set(mly__downset(d, i), d->words) & d->mask;
        while (d->slots[slot])
            slot = (slot + 1) & d->mask;
        d->slots[slot] = i + 1;
    }
    return MLY_OK;
}

static uint32_t find_set(const struct mly__downsets *d, const uint64_t *set)
{
    uint32_t slot = (uint32_t)hash_set(set, d->words) & d->mask;
    while (memcmp(mly__downset(d, d->slots[slot] - 1), set, d->words * sizeof *set) != 0)
        slot = (slot + 1) & d->mask;
    return d->slots[slot] - 1;
}

static enum mly_status find_covers(struct mly__downsets *d, struct mly_error *err)
{
    const struct mly__problem *problem = d->problem;
    size_t capacity = 0, used = 0;
    enum mly_status status = hash_sorted(d, err);
    if (status)
        return status;
    d->cover_begin = mly_alloc_array((size_t)d->count + 1, sizeof *d->cover_begin);
    uint64_t *set = mly_alloc_array(d->words, sizeof *set);
    if (!d->cover_begin || !set)
        status = mly__problem_no_memory(err);
    for (uint32_t i = 0; !status && i < d->count; i++) {
        d->cover_begin[i] = (uint32_t)used;
        memcpy(set, mly__downset(d, i), d->words * sizeof *set);
        for (uint32_t u = 0; !status && u < problem->unit_count; u++) {
            if (mly__downset_has(set, u) || !mly__downset_is_ready(problem, set, u))
                continue;
            if (mly_array_reserve(&d->covers, &capacity, used + 1, sizeof *d->covers)) {
                status = mly__problem_no_memory(err);
                break;
            }
            mly__downset_put(set, u);
            d->covers[used++] = find_set(d, set);
            set[u / 64] ^= UINT64_C(1) << u % 64;
        }
    }
    if (!status)
        d->cover_begin[d->count] = (uint32_t)used;
    mly_free(set);
    return status;
}

enum mly_status mly__downsets_all(struct mly__downsets *downsets,
                                  const struct mly__problem *problem, uint32_t limit,
                                  struct mly_error *err)
{
    struct mly__downsets made;
    if (problem->unit_count > limit)
        return mly_error_set(err, MLY_E_LIMIT,
                             "%u parts that can be cut have more than %u possible first parts",
                             problem->unit_count, limit);
    enum mly_status status = mly__downsets_begin(&made, problem, limit, err);
    if (status)
        return status;
    status = enumerate(&made, err);
    if (!status)
        status = mly__downsets_close(&made, err);
    if (!status)
        status = find_covers(&made, err);
    if (status) {
        mly__downsets_fini(&made);
        return status;
    }
    *downsets = made;
    return MLY_OK;
}

void mly__downsets_fini(struct mly__downsets *downsets)
{
    mly_free(downsets->bits);
    mly_free(downsets->slots);
    mly_free(downsets->live_begin);
    mly_free(downsets->live);
    mly_free(downsets->cover_begin);
    mly_free(downsets->covers);
    *downsets = (struct mly__downsets){0};
}
