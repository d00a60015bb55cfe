/*
 * Branches side by side: a row of segments, one after the other, made into a graph of segments of which
 * those that do not need each other run at once, so that one batch is done sooner.
 *
 *   1. A move takes units out of a part: one, or one with all that needs only it, with all in the part that
 *      need it, or with all in the part that it needs. What is left of the part is what they need, what
 *      needs them, and the rest, which may run beside them: up to three parts on the part's processor.
 *   2. What was taken out joins another part, or is a part of its own on any processor.
 *   3. The best move from each unit is made if it ends the batch sooner (one_batch.c); until none does.
 *      Parts that do not pay are joined again by moves of whole parts.
 *   4. First with chains contracted, where a branch is few units, then as it is where that is small.
 *
 * That finds no optimum for sure: scheduling with precedence on unlike processors is hard. Tests hold it
 * against exhaustive search.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "one_batch.h"
#include "problem_private.h"
#include "stages.h"

#define PARTS_MAX 64u
#define UNITS_MAX 400u   /* of a contracted problem that is searched */
#define FINE_MAX 120u    /* of one that is not */
#define STARTS_MAX 4u    /* layouts to begin with */
#define TRIES_MAX 20000u /* moves tried in one problem, all starts together */

/* Of what was taken out of a part: what it needs, what needs it, the rest. */
enum side { NEEDED, BESIDE, NEEDING, SIDES };

enum closure { ALONE, DOMINATED, ALL_AFTER, ALL_BEFORE, CLOSURES };

/* A way of running: which part each unit is in, and where each part runs. */
struct way {
    uint32_t *part_of; /* by unit; numbers in any order */
    uint32_t count;
    uint32_t processor[PARTS_MAX]; /* of the problem */
    double ns[PARTS_MAX];
    double latency_ns; /* infinite: not to be run */
};

struct branching {
    const struct mly__problem *problem;
    uint32_t *class_of; /* by processor */
    uint64_t *before;   /* by unit: all that it needs, as bits */
    size_t words;
    struct mly__part_builder builder;
    struct mly__one_batch batch; /* of PARTS_MAX parts */
    struct way now, next, best;
    bool *taken;              /* by unit: what moves */
    uint8_t *side;            /* by unit of the part that it moves from */
    uint64_t *needed, *moved; /* the same as sets */
    uint32_t tries;
};

static bool has_bit(const uint64_t *set, uint32_t unit)
{
    return set[unit / 64] >> unit % 64 & 1;
}

static bool comes_before(const struct branching *b, uint32_t early, uint32_t late)
{
    return has_bit(b->before + b->words * late, early);
}

/* --- making and freeing --- */

static void branching_fini(struct branching *b)
{
    mly_free(b->class_of);
    mly_free(b->before);
    mly__part_builder_fini(&b->builder);
    mly__one_batch_fini(&b->batch);
    mly_free(b->now.part_of);
    mly_free(b->next.part_of);
    mly_free(b->best.part_of);
    mly_free(b->taken);
    mly_free(b->side);
    mly_free(b->needed);
    mly_free(b->moved);
}

static void find_before(struct branching *b)
{
    const struct mly__problem *problem = b->problem;
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        uint64_t *own = b->before + b->words * u;
        for (uint32_t i = 0; i < problem->units[u].input_count; i++) {
            const uint32_t from = problem->crossings[problem->units[u].inputs[i]].producer;
            if (from == MLY_NO_INDEX)
                continue;
            for (size_t w = 0; w < b->words; w++)
                own[w] |= b->before[b->words * from + w];
            own[from / 64] |= UINT64_C(1) << from % 64;
        }
    }
}

static enum mly_status branching_init(struct branching *b, const struct mly__problem *problem,
                                      struct mly_error *err)
{
    const uint32_t units = problem->unit_count;
    *b = (struct branching){.problem = problem, .words = ((size_t)units + 63) / 64};
    b->class_of = mly_alloc_array(problem->processor_count, sizeof *b->class_of);
    b->before = mly_alloc_array(b->words * units, sizeof *b->before);
    b->now.part_of = mly_alloc_array(units, sizeof *b->now.part_of);
    b->next.part_of = mly_alloc_array(units, sizeof *b->next.part_of);
    b->best.part_of = mly_alloc_array(units, sizeof *b->best.part_of);
    b->taken = mly_alloc_array(units, sizeof *b->taken);
    b->side = mly_alloc_array(units, sizeof *b->side);
    b->needed = mly_alloc_array(b->words, sizeof *b->needed);
    b->moved = mly_alloc_array(b->words, sizeof *b->moved);
    if (!b->class_of || !b->before || !b->now.part_of || !b->next.part_of || !b->best.part_of ||
        !b->taken || !b->side || !b->needed || !b->moved)
        return mly__problem_no_memory(err);
    for (uint32_t c = 0; c < problem->class_count; c++)
        for (uint32_t k = 0; k < problem->classes[c].count; k++)
            b->class_of[problem->classes[c].processors[k]] = c;
    find_before(b);
    enum mly_status status = mly__part_builder_init(&b->builder, problem, 0, err);
    return status ? status
                  : mly__one_batch_init(&b->batch, PARTS_MAX, problem->processor_count, err);
}

static void copy_way(const struct branching *b, const struct way *from, struct way *to)
{
    uint32_t *part_of = to->part_of;
    *to = *from;
    to->part_of = part_of;
    memcpy(part_of, from->part_of, b->problem->unit_count * sizeof *part_of);
}

/* --- what a way gives --- */

static double part_ns(struct branching *b, const struct way *way, uint32_t part)
{
    struct mly__segment_cost cost;
    mly__part_builder_reset(&b->builder, b->class_of[way->processor[part]]);
    for (uint32_t u = 0; u < b->problem->unit_count; u++)
        if (way->part_of[u] == part)
            mly__part_builder_add(&b->builder, u);
    mly__part_builder_cost(&b->builder, &cost);
    return mly__stage_latency_ns(&cost);
}

static void link_parts(struct branching *b, const struct way *way)
{
    const struct mly__problem *problem = b->problem;
    memset(b->batch.needs, 0, (size_t)way->count * way->count * sizeof *b->batch.needs);
    for (uint32_t c = 0; c < problem->crossing_count; c++) {
        const struct mly__crossing *crossing = &problem->crossings[c];
        if (crossing->producer == MLY_NO_INDEX)
            continue;
        const uint32_t from = way->part_of[crossing->producer];
        for (uint32_t i = 0; i < crossing->consumer_count; i++) {
            const uint32_t to = way->part_of[crossing->consumers[i]];
            if (to != from)
                b->batch.needs[(size_t)way->count * to + from] = true;
        }
    }
}

/* A processor of an exclusive class has one part. */
static bool keeps_to_one(const struct branching *b, const struct way *way)
{
    for (uint32_t i = 0; i < way->count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (way->processor[i] == way->processor[k] &&
                b->problem->classes[b->class_of[way->processor[i]]].exclusive)
                return false;
    return true;
}

/* changed: parts whose times are not known yet, as bits. */
static void find_latency(struct branching *b, struct way *way, uint64_t changed)
{
    const uint32_t most = b->problem->request->segments_max;
    way->latency_ns = INFINITY;
    if ((most && way->count > most) || !keeps_to_one(b, way))
        return;
    b->batch.part_count = way->count;
    link_parts(b, way);
    memset(b->batch.uses, 0, (size_t)way->count * b->batch.processor_count);
    for (uint32_t i = 0; i < way->count; i++)
        b->batch.uses[(size_t)b->batch.processor_count * i + way->processor[i]] = true;
    for (uint32_t i = 0; i < way->count; i++) {
        if (changed >> i & 1)
            way->ns[i] = part_ns(b, way, i);
        b->batch.ns[i] = way->ns[i];
        if (isinf(way->ns[i]))
            return;
    }
    if (mly__one_batch_rank(&b->batch))
        way->latency_ns = mly__one_batch_run(&b->batch);
}

/* --- 1, 2. moves --- */

/* Where what is left of a part lies to what was taken out of it. */
static void find_sides(struct branching *b, uint32_t part)
{
    memset(b->needed, 0, b->words * sizeof *b->needed);
    memset(b->moved, 0, b->words * sizeof *b->moved);
    for (uint32_t u = 0; u < b->problem->unit_count; u++) {
        if (!b->taken[u])
            continue;
        b->moved[u / 64] |= UINT64_C(1) << u % 64;
        for (size_t w = 0; w < b->words; w++)
            b->needed[w] |= b->before[b->words * u + w];
    }
    for (uint32_t u = 0; u < b->problem->unit_count; u++) {
        if (b->now.part_of[u] != part || b->taken[u])
            continue;
        bool needing = false;
        for (size_t w = 0; w < b->words && !needing; w++)
            needing = (b->before[b->words * u + w] & b->moved[w]) != 0;
        b->side[u] = has_bit(b->needed, u) ? NEEDED : needing ? NEEDING : BESIDE;
    }
}

/* Marks what moves with the unit out of its part; false: the same as with a simpler closure. */
static bool take(struct branching *b, uint32_t unit, enum closure closure)
{
    const struct mly__problem *problem = b->problem;
    const uint32_t part = b->now.part_of[unit], units = problem->unit_count;
    uint32_t count = 1;
    memset(b->taken, 0, units * sizeof *b->taken);
    b->taken[unit] = true;
    for (uint32_t u = 0; u < units && closure != ALONE; u++) {
        if (u == unit || b->now.part_of[u] != part)
            continue;
        bool joins = closure == ALL_AFTER    ? comes_before(b, unit, u)
                     : closure == ALL_BEFORE ? comes_before(b, u, unit)
                                             : problem->units[u].input_count > 0;
        for (uint32_t i = 0; joins && closure == DOMINATED && i < problem->units[u].input_count;
             i++) {
            const uint32_t from = problem->crossings[problem->units[u].inputs[i]].producer;
            joins = from != MLY_NO_INDEX && b->taken[from];
        }
        b->taken[u] = joins;
        count += joins;
    }
    if (closure != ALONE && count == 1)
        return false;
    find_sides(b, part);
    return true;
}

/*
 * Splits the part without what was taken, in b->next; what was taken gets the number of the part, or none
 * of the part is left. *changed: parts that are not what they were. False: too many parts.
 */
static bool split(struct branching *b, uint32_t part, uint64_t *changed)
{
    struct way *next = &b->next;
    uint32_t number[SIDES] = {MLY_NO_INDEX, MLY_NO_INDEX, MLY_NO_INDEX};
    copy_way(b, &b->now, next);
    *changed = UINT64_C(1) << part;
    for (uint32_t u = 0; u < b->problem->unit_count; u++) {
        if (next->part_of[u] != part || b->taken[u])
            continue;
        const uint8_t side = b->side[u];
        if (number[side] == MLY_NO_INDEX) {
            if (next->count == PARTS_MAX)
                return false;
            next->processor[next->count] = next->processor[part];
            *changed |= UINT64_C(1) << next->count;
            number[side] = next->count++;
        }
        next->part_of[u] = number[side];
    }
    return true;
}

/* What was taken, now the part, joins another: the last part gets its number. */
static void join(struct branching *b, uint32_t part, uint32_t to, uint64_t *changed)
{
    struct way *next = &b->next;
    const uint32_t last = --next->count;
    for (uint32_t u = 0; u < b->problem->unit_count; u++)
        if (next->part_of[u] == part)
            next->part_of[u] = to;
    *changed |= UINT64_C(1) << to;
    for (uint32_t u = 0; u < b->problem->unit_count; u++)
        if (next->part_of[u] == last)
            next->part_of[u] = part;
    next->processor[part] = next->processor[last];
    next->ns[part] = next->ns[last];
    if (part != last) {
        const uint64_t of_last = *changed >> last & 1;
        *changed = (*changed & ~(UINT64_C(1) << part)) | of_last << part;
    }
    *changed &= ~(UINT64_C(1) << last);
}

static void try_next(struct branching *b, uint64_t changed)
{
    b->tries++;
    find_latency(b, &b->next, changed);
    if (b->next.latency_ns < b->best.latency_ns * (1 - 1e-9))
        copy_way(b, &b->next, &b->best);
}

/* All places for what was taken out of the part. */
static void try_places(struct branching *b, uint32_t part)
{
    uint64_t changed;
    for (uint32_t p = 0; p < b->problem->processor_count; p++) {
        if (!split(b, part, &changed))
            return;
        b->next.processor[part] = p;
        try_next(b, changed);
    }
    for (uint32_t to = 0; to < b->now.count; to++) {
        if (to == part || !split(b, part, &changed))
            continue;
        join(b, part, to, &changed);
        try_next(b, changed);
    }
}

/* --- 3 --- */

static enum mly_status climb(struct branching *b, struct mly_error *err)
{
    bool better = true;
    while (better && b->tries < TRIES_MAX) {
        better = false;
        for (uint32_t u = 0; u < b->problem->unit_count && b->tries < TRIES_MAX; u++) {
            enum mly_status status = mly__plan_go_on(b->problem->request, err);
            if (status)
                return status;
            for (enum closure k = ALONE; k < CLOSURES; k++) {
                if (!take(b, u, k))
                    continue;
                copy_way(b, &b->now, &b->best);
                try_places(b, b->now.part_of[u]);
                if (b->best.latency_ns < b->now.latency_ns) {
                    copy_way(b, &b->best, &b->now);
                    better = true;
                }
            }
        }
    }
    return MLY_OK;
}

/* --- from and to layouts --- */

/* Only layouts whose parts have one processor each. */
static bool read_layout(struct branching *b, const struct mly__layout *layout, struct way *way)
{
    const struct mly__problem *problem = b->problem;
    uint32_t used[MLY__CLASSES_MAX] = {0};
    if (layout->part_count > PARTS_MAX)
        return false;
    way->count = layout->part_count;
    memcpy(way->part_of, layout->part_of_unit, problem->unit_count * sizeof *way->part_of);
    for (uint32_t part = 0; part < layout->part_count; part++) {
        uint32_t processors = 0;
        for (uint32_t c = 0; c < problem->class_count; c++) {
            if (!layout->replicas[part][c])
                continue;
            const bool shares = layout->shared && !problem->classes[c].exclusive;
            processors += layout->replicas[part][c];
            way->processor[part] =
                problem->classes[c].processors[shares ? layout->first[part] : used[c]];
            used[c] += !shares;
        }
        if (processors != 1)
            return false;
    }
    find_latency(b, way, way->count == 64 ? UINT64_MAX : (UINT64_C(1) << way->count) - 1);
    return isfinite(way->latency_ns);
}

/* Parts by rank. */
static enum mly_status write_layout(struct branching *b, struct way *way, struct mly__found *found,
                                    struct mly_error *err)
{
    const struct mly__problem *problem = b->problem;
    struct mly__layout layout;
    enum mly_status status = mly__layout_init(&layout, problem, way->count, err);
    if (status)
        return status;
    find_latency(b, way, 0);
    for (uint32_t n = 0; n < way->count; n++) {
        const uint32_t processor = way->processor[b->batch.by_rank[n]];
        const uint32_t class = b->class_of[processor];
        layout.replicas[n][class] = 1;
        while (problem->classes[class].processors[layout.first[n]] != processor)
            layout.first[n]++;
    }
    layout.shared = true;
    for (uint32_t u = 0; u < problem->unit_count; u++)
        layout.part_of_unit[u] = b->batch.rank[way->part_of[u]];
    status = mly__found_add(found, problem, &layout, err);
    mly__layout_fini(&layout);
    return status;
}

/* The whole model on one processor. */
static bool whole_way(struct branching *b, uint32_t class, struct way *way)
{
    way->count = 1;
    way->processor[0] = b->problem->classes[class].processors[0];
    memset(way->part_of, 0, b->problem->unit_count * sizeof *way->part_of);
    find_latency(b, way, 1);
    return isfinite(way->latency_ns);
}

/* Begins with the best layouts there are, and the whole model on each class. */
static enum mly_status search(const struct mly__problem *problem, const struct mly__found *starts,
                              struct mly__found *found, struct mly_error *err)
{
    struct branching b;
    enum mly_status status = branching_init(&b, problem, err);
    const uint32_t layouts = starts && starts->count < STARTS_MAX ? starts->count
                             : starts                             ? STARTS_MAX
                                                                  : 0;
    for (uint32_t i = 0; !status && i < layouts + problem->class_count; i++) {
        const bool begun = i < layouts ? read_layout(&b, &starts->layouts[i], &b.now)
                                       : whole_way(&b, i - layouts, &b.now);
        if (!begun)
            continue;
        status = climb(&b, err);
        if (!status)
            status = write_layout(&b, &b.now, found, err);
    }
    branching_fini(&b);
    return status;
}

/* The layout of least latency first. */
static enum mly_status best_first(const struct mly__problem *problem, struct mly__found *found,
                                  struct mly_error *err)
{
    double least = INFINITY;
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && i < found->count; i++) {
        struct mly__layout_value value;
        status = mly__layout_value(problem, &found->layouts[i], &value, err);
        if (status || !(value.latency_ns < least))
            continue;
        const struct mly__layout layout = found->layouts[i];
        found->layouts[i] = found->layouts[0];
        found->layouts[0] = layout;
        least = value.latency_ns;
    }
    return status;
}

/* 4. */
static enum mly_status search_contracted(const struct mly__problem *problem,
                                         struct mly__found *found, struct mly_error *err)
{
    struct mly__problem *coarse = NULL;
    struct mly__found coarse_found = {0};
    enum mly_status status = mly__problem_contract(problem, false, &coarse, err);
    if (!status && coarse->unit_count <= UNITS_MAX)
        status = search(coarse, NULL, &coarse_found, err);
    if (!status)
        status = mly__found_add_refined(found, &coarse_found, coarse, problem, err);
    mly__found_fini(&coarse_found);
    mly__problem_destroy(coarse);
    return status;
}

enum mly_status mly__branches_find(const struct mly__problem *problem, struct mly__found *found,
                                   struct mly_error *err)
{
    struct mly__found starts = {0};
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && i < found->count; i++)
        status = mly__found_add(&starts, problem, &found->layouts[i], err);
    if (!status)
        status = search_contracted(problem, &starts, err);
    if (!status)
        status = best_first(problem, &starts, err);
    if (!status && problem->unit_count <= FINE_MAX)
        status = search(problem, &starts, &starts, err);
    if (!status)
        status = best_first(problem, &starts, err);
    if (found->count == MLY__FOUND_MAX)
        mly__layout_fini(&found->layouts[--found->count]);
    if (!status && starts.count)
        status = mly__found_add(found, problem, &starts.layouts[0], err);
    mly__found_fini(&starts);
    return status;
}
