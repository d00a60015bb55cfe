/*
 * `pipeline`: good pipelines for graphs of any size.
 *
 *   1. Large graphs are made coarser: chains first, then slices of a topological order.
 *   2. Several topological orders (as given, depth first, breadth first, least that lives at a time,
 *      random): their prefixes are a family of downsets, and the best pipeline along the family is found
 *      as `exact` finds it along all (stages.c). So a stage may begin in one order and end in another.
 *      Source: Archer et al., "Practical performance guarantees for pipelined DNN inference",
 *      arXiv:2311.03703, who slice one order at a time.
 *   3. Local search: the downsets near those where the best ones are cut, of the graph as it is, with the
 *      best order through them, are the next family; while that improves.
 *   4. For latency, branches side by side (branches.c).
 *   5. How far from the best it can be at most is known from a lower bound (bounds.c).
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "desk.h"
#include "problem_private.h"
#include "stages.h"

#define FAMILY_MAX 640u /* downsets searched at once */
#define COARSE_MAX 400u /* units */
#define ORDERS_MAX 10u
#define NEAR_MAX 160u /* downsets tried near one cut */
#define ROUNDS_MAX 10
#define MISSES_MAX 3 /* rounds that find nothing better, one after the other */
/* The same where the best for another batch size was there to begin with. */
#define ORDERS_BEGUN 1u
#define MISSES_BEGUN 1
#define KEPT_MAX 20u /* layouts */
#define BEGUN_MAX 8u /* of another batch size */
/* Of sums what is that much more than the best known is looked at, too: others may begin with it. */
#define SUM_SLACK 1.5
#define CUT_SLACK 4.0 /* where only several parts count: whatever speaks against cutting */
/* Bits in a family's sets, beyond which copying them takes longer than it may. */
#define FAMILY_BITS_MAX (1u << 22)

/* --- 2. topological orders --- */

enum rule { ORDER_GIVEN, ORDER_DEPTH, ORDER_LEAST, ORDER_BREADTH, ORDER_DEPTH_LAST, ORDER_RANDOM };

struct ordering {
    const struct mly__problem *problem;
    enum rule rule;
    struct mly_random random;
    uint32_t *missing; /* by unit: crossings that it waits for */
    uint32_t *left;    /* by crossing: readers that have not come yet */
    uint32_t *ready;   /* units that may come next, in the order that they became so */
    uint32_t ready_count;
};

/* How many bytes more live once the unit has come. */
static double growth(const struct ordering *o, uint32_t unit)
{
    const struct mly__unit *at = &o->problem->units[unit];
    double bytes = 0;
    for (uint32_t i = 0; i < at->output_count; i++)
        bytes += o->problem->crossings[at->outputs[i]].bytes;
    for (uint32_t i = 0; i < at->input_count; i++)
        if (o->left[at->inputs[i]] == 1)
            bytes -= o->problem->crossings[at->inputs[i]].bytes;
    return bytes;
}

static uint32_t choose_ready(struct ordering *o)
{
    uint32_t best = 0;
    switch (o->rule) {
    case ORDER_DEPTH:
        return o->ready_count - 1;
    case ORDER_BREADTH:
        return 0;
    case ORDER_RANDOM:
        return (uint32_t)mly_random_below(&o->random, o->ready_count);
    case ORDER_GIVEN:
    case ORDER_DEPTH_LAST:
        for (uint32_t i = 1; i < o->ready_count; i++)
            if ((o->ready[i] < o->ready[best]) == (o->rule == ORDER_GIVEN))
                best = i;
        return best;
    case ORDER_LEAST:
        break;
    }
    double least = growth(o, o->ready[0]);
    for (uint32_t i = 1; i < o->ready_count; i++) {
        const double bytes = growth(o, o->ready[i]);
        if (bytes <= least) {
            least = bytes;
            best = i;
        }
    }
    return best;
}

static void come(struct ordering *o, uint32_t unit)
{
    const struct mly__unit *at = &o->problem->units[unit];
    for (uint32_t i = 0; i < at->input_count; i++)
        o->left[at->inputs[i]]--;
    for (uint32_t i = 0; i < at->output_count; i++) {
        const struct mly__crossing *c = &o->problem->crossings[at->outputs[i]];
        for (uint32_t k = 0; k < c->consumer_count; k++)
            if (--o->missing[c->consumers[k]] == 0)
                o->ready[o->ready_count++] = c->consumers[k];
    }
}

static enum mly_status make_order(const struct mly__problem *problem, enum rule rule, uint64_t seed,
                                  uint32_t *order, struct mly_error *err)
{
    struct ordering o = {.problem = problem, .rule = rule};
    o.missing = mly_alloc_array(problem->unit_count, sizeof *o.missing);
    o.left = mly_alloc_array((size_t)problem->crossing_count + 1, sizeof *o.left);
    o.ready = mly_alloc_array(problem->unit_count, sizeof *o.ready);
    enum mly_status status = o.missing && o.left && o.ready ? MLY_OK : mly__problem_no_memory(err);
    mly_random_init(&o.random, seed);
    for (uint32_t c = 0; !status && c < problem->crossing_count; c++) {
        const struct mly__crossing *crossing = &problem->crossings[c];
        o.left[c] = crossing->consumer_count;
        for (uint32_t i = 0; i < crossing->consumer_count; i++)
            o.missing[crossing->consumers[i]] += crossing->producer != MLY_NO_INDEX;
    }
    for (uint32_t u = 0; !status && u < problem->unit_count; u++)
        if (!o.missing[u])
            o.ready[o.ready_count++] = u;
    for (uint32_t n = 0; !status && n < problem->unit_count; n++) {
        const uint32_t at = choose_ready(&o), unit = o.ready[at];
        memmove(o.ready + at, o.ready + at + 1, (--o.ready_count - at) * sizeof *o.ready);
        order[n] = unit;
        come(&o, unit);
    }
    mly_free(o.missing);
    mly_free(o.left);
    mly_free(o.ready);
    return status;
}

static void add_prefixes(struct mly__downsets *family, const uint32_t *order, uint64_t *set)
{
    const uint32_t count = family->problem->unit_count;
    memset(set, 0, family->words * sizeof *set);
    for (uint32_t n = 0; n + 1 < count; n++) {
        mly__downset_put(set, order[n]);
        mly__downsets_add(family, set);
    }
}

/* Along as many orders as there is room for, up to `most`. */
static enum mly_status search_orders(const struct mly__problem *problem, bool sums, uint32_t most,
                                     double bound, struct mly__found *found, struct mly_error *err)
{
    struct mly__downsets family;
    uint32_t orders = FAMILY_MAX / problem->unit_count;
    orders = orders < 1 ? 1 : orders > most ? most : orders;
    enum mly_status status = mly__downsets_begin(&family, problem, FAMILY_MAX, err);
    if (status)
        return status;
    uint32_t *order = mly_alloc_array(problem->unit_count, sizeof *order);
    uint64_t *set = mly_alloc_array(family.words, sizeof *set);
    if (!order || !set)
        status = mly__problem_no_memory(err);
    for (uint32_t i = 0; !status && i < orders; i++) {
        const enum rule rule = i < ORDER_RANDOM ? (enum rule)i : ORDER_RANDOM;
        status = make_order(problem, rule, i, order, err);
        if (!status)
            add_prefixes(&family, order, set);
    }
    mly_free(order);
    mly_free(set);
    if (!status)
        status = mly__downsets_close(&family, err);
    if (!status)
        status = mly__stages_search(&family, sums, bound, NULL, found, err);
    mly__downsets_fini(&family);
    return status;
}

/* --- 1. coarser --- */

/* Slices of the depth-first order of about equal work. */
static enum mly_status slice(const struct mly__problem *problem, uint32_t slices,
                             struct mly__problem **out, struct mly_error *err)
{
    uint32_t *order = mly_alloc_array(problem->unit_count, sizeof *order);
    uint32_t *group_of = mly_alloc_array(problem->unit_count, sizeof *group_of);
    enum mly_status status = order && group_of ? MLY_OK : mly__problem_no_memory(err);
    if (!status)
        status = make_order(problem, ORDER_DEPTH, 0, order, err);
    if (!status) {
        for (uint32_t n = 0; n < problem->unit_count; n++)
            group_of[order[n]] = (uint32_t)((uint64_t)n * slices / problem->unit_count);
        status = mly__problem_coarsen(problem, group_of, slices, out, err);
    }
    mly_free(order);
    mly_free(group_of);
    return status;
}

static enum mly_status search_coarse(const struct mly__problem *problem, bool sums, uint32_t most,
                                     double bound, struct mly__found *found, struct mly_error *err)
{
    struct mly__problem *coarse = NULL;
    struct mly__found coarse_found = {0};
    if (problem->unit_count <= COARSE_MAX)
        return search_orders(problem, sums, most, bound, found, err);
    enum mly_status status = slice(problem, COARSE_MAX, &coarse, err);
    if (!status)
        status = search_orders(coarse, sums, most, bound, &coarse_found, err);
    if (!status)
        status = mly__found_add_refined(found, &coarse_found, coarse, problem, err);
    mly__found_fini(&coarse_found);
    mly__problem_destroy(coarse);
    return status;
}

/* --- 3. local search --- */

static bool is_last(const struct mly__problem *problem, const uint64_t *set, uint32_t unit)
{
    const struct mly__unit *at = &problem->units[unit];
    for (uint32_t i = 0; i < at->output_count; i++) {
        const struct mly__crossing *c = &problem->crossings[at->outputs[i]];
        for (uint32_t k = 0; k < c->consumer_count; k++)
            if (mly__downset_has(set, c->consumers[k]))
                return false;
    }
    return true;
}

/*
 * Downsets reached from one by adding a unit that is ready, or removing one that nothing in it needs;
 * breadth first, so that the nearest come first.
 */
static enum mly_status add_near(struct mly__downsets *family, const uint64_t *from,
                                struct mly_error *err)
{
    const struct mly__problem *problem = family->problem;
    const size_t words = family->words;
    uint64_t *queue = mly_alloc_array(words * (NEAR_MAX + 1), sizeof *queue);
    if (!queue)
        return mly__problem_no_memory(err);
    memcpy(queue, from, words * sizeof *queue);
    mly__downsets_add(family, from);
    for (uint32_t head = 0, tail = 1; head < tail && tail < NEAR_MAX; head++) {
        const uint64_t *at = queue + words * head;
        for (uint32_t u = 0; u < problem->unit_count && tail < NEAR_MAX; u++) {
            const bool inside = mly__downset_has(at, u);
            if (inside ? !is_last(problem, at, u) : !mly__downset_is_ready(problem, at, u))
                continue;
            uint64_t *next = queue + words * tail;
            const uint32_t before = family->count;
            memcpy(next, at, words * sizeof *next);
            next[u / 64] ^= UINT64_C(1) << u % 64;
            mly__downsets_add(family, next);
            tail += family->count > before;
        }
    }
    mly_free(queue);
    return MLY_OK;
}

/* Everything up to a part, as a downset. */
static void first_parts(const struct mly__layout *layout, const struct mly__problem *problem,
                        uint32_t parts, uint64_t *set, size_t words)
{
    memset(set, 0, words * sizeof *set);
    for (uint32_t u = 0; u < problem->unit_count; u++)
        if (layout->part_of_unit[u] < parts)
            mly__downset_put(set, u);
}

static enum mly_status search_near(const struct mly__problem *problem, bool sums, double bound,
                                   const struct mly__layout *best, struct mly__found *found,
                                   struct mly_error *err)
{
    struct mly__downsets family;
    uint32_t limit = FAMILY_BITS_MAX / problem->unit_count;
    limit = limit > FAMILY_MAX ? FAMILY_MAX : limit;
    enum mly_status status = mly__downsets_begin(&family, problem, limit, err);
    if (status)
        return status;
    uint64_t *set = mly_alloc_array(family.words, sizeof *set);
    if (!set)
        status = mly__problem_no_memory(err);
    for (uint32_t part = 1; !status && part < best->part_count; part++) {
        first_parts(best, problem, part, set, family.words);
        status = add_near(&family, set, err);
    }
    mly_free(set);
    if (!status)
        status = mly__downsets_close(&family, err);
    if (!status)
        status = mly__stages_search(&family, sums, bound, NULL, found, err);
    mly__downsets_fini(&family);
    return status;
}

/* Index of the best layout found, and its value. */
static enum mly_status best_found(const struct mly__problem *problem, bool sums,
                                  const struct mly__found *found, uint32_t *index, double *value,
                                  struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    *value = INFINITY;
    *index = 0;
    for (uint32_t i = 0; !status && i < found->count; i++) {
        struct mly__layout_value layout;
        status = mly__layout_value(problem, &found->layouts[i], &layout, err);
        if (!status && mly__stages_value(problem, sums, &layout) < *value) {
            *value = mly__stages_value(problem, sums, &layout);
            *index = i;
        }
    }
    return status;
}

/* What was found, best first, with values, and whether the downsets near it were tried. */
struct ranking {
    double values[MLY__FOUND_MAX];
    bool tried[MLY__FOUND_MAX];
    uint32_t known; /* the first so many have values */
};

static void swap_found(struct mly__found *found, struct ranking *r, uint32_t a, uint32_t b)
{
    const struct mly__layout layout = found->layouts[a];
    const double value = r->values[a];
    const bool tried = r->tried[a];
    found->layouts[a] = found->layouts[b];
    r->values[a] = r->values[b];
    r->tried[a] = r->tried[b];
    found->layouts[b] = layout;
    r->values[b] = value;
    r->tried[b] = tried;
}

/* Ranks what is new, too; of many the worst are forgotten, so that there is room for better ones. */
static enum mly_status rank(const struct mly__problem *problem, bool sums, struct mly__found *found,
                            struct ranking *r, struct mly_error *err)
{
    for (; r->known < found->count; r->known++) {
        struct mly__layout_value value;
        enum mly_status status = mly__layout_value(problem, &found->layouts[r->known], &value, err);
        if (status)
            return status;
        r->values[r->known] = mly__stages_value(problem, sums, &value);
        r->tried[r->known] = false;
        for (uint32_t at = r->known; at && r->values[at] < r->values[at - 1]; at--)
            swap_found(found, r, at, at - 1);
    }
    while (found->count > KEPT_MAX)
        mly__layout_fini(&found->layouts[--found->count]);
    r->known = found->count;
    return MLY_OK;
}

/* The best one of several parts that was not tried; MLY_NO_INDEX: none. */
static uint32_t next_to_try(const struct mly__found *found, const struct ranking *r)
{
    for (uint32_t i = 0; i < found->count; i++)
        if (!r->tried[i] && found->layouts[i].part_count > 1 && isfinite(r->values[i]))
            return i;
    return MLY_NO_INDEX;
}

/* What is looked at may be so many times as slow as the best that is known. */
static double slack(const struct mly__problem *problem, bool sums)
{
    return problem->request->must_cut ? CUT_SLACK : sums ? SUM_SLACK : 1;
}

/* 3. Where the best one leads nowhere, the next ones may. */
static enum mly_status improve(const struct mly__problem *problem, bool sums, int misses_max,
                               struct mly__found *found, struct mly_error *err)
{
    struct ranking ranking = {0};
    enum mly_status status = rank(problem, sums, found, &ranking, err);
    int misses = 0;
    for (int round = 0; !status && round < ROUNDS_MAX && misses < misses_max; round++) {
        struct mly__found next = {0};
        const uint32_t at = next_to_try(found, &ranking);
        if (at == MLY_NO_INDEX)
            break;
        const double before = ranking.values[0];
        ranking.tried[at] = true;
        const double from = problem->request->must_cut ? ranking.values[at] : before;
        status = search_near(problem, sums, slack(problem, sums) * from, &found->layouts[at], &next,
                             err);
        for (uint32_t i = 0; !status && i < next.count; i++)
            status = mly__found_add(found, problem, &next.layouts[i], err);
        mly__found_fini(&next);
        if (!status)
            status = rank(problem, sums, found, &ranking, err);
        misses = !status && ranking.values[0] < before ? 0 : misses + 1;
    }
    return status;
}

/* --- the whole --- */

/* Is every unit's time on the class known? */
static bool computes_all(const struct mly__problem *problem, uint32_t class)
{
    for (uint32_t u = 0; u < problem->unit_count; u++)
        if (!isfinite(mly__load_of(problem, class, u)->time_ns))
            return false;
    return true;
}

/* Of sums: the whole model on any one processor. */
static enum mly_status whole_sum(const struct mly__problem *problem, double *out,
                                 struct mly_error *err)
{
    double least = INFINITY;
    enum mly_status status = MLY_OK;
    for (uint32_t c = 0; !status && c < problem->class_count; c++) {
        struct mly__layout_value value;
        struct mly__layout layout;
        if (!computes_all(problem, c))
            continue;
        status = mly__layout_init(&layout, problem, 1, err);
        if (status)
            break;
        layout.replicas[0][c] = 1;
        status = mly__layout_value(problem, &layout, &value, err);
        if (!status)
            least = fmin(least, mly__stages_value(problem, true, &value));
        mly__layout_fini(&layout);
    }
    *out = least;
    return status;
}

/* The whole model on all processors together: at worst as slow, a bound to begin with. */
static enum mly_status whole_ns(const struct mly__problem *problem, double *out,
                                struct mly_error *err)
{
    struct mly__layout_value value = {.bottleneck_ns = INFINITY};
    struct mly__layout layout;
    uint32_t used = 0;
    enum mly_status status = mly__layout_init(&layout, problem, 1, err);
    if (status)
        return status;
    for (uint32_t c = 0; c < problem->class_count; c++) {
        layout.replicas[0][c] = computes_all(problem, c) ? problem->classes[c].count : 0;
        /* Without replicas this is no bound: one processor is. */
        if (problem->request->no_replicas && layout.replicas[0][c])
            layout.replicas[0][c] = used ? 0 : 1;
        used += layout.replicas[0][c];
    }
    if (used)
        status = mly__layout_value(problem, &layout, &value, err);
    mly__layout_fini(&layout);
    *out = value.bottleneck_ns;
    return status;
}

/* The best for another batch size, which is seldom far from the best here; *bound falls to it. */
static enum mly_status begin_with_other(const struct mly__problem *problem, bool sums,
                                        struct mly__found *found, double *bound,
                                        struct mly_error *err)
{
    const struct mly__found *other = mly__desk_other_pipelines(problem, sums);
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && other && i < other->count && i < BEGUN_MAX; i++) {
        struct mly__layout_value value;
        status = mly__layout_value(problem, &other->layouts[i], &value, err);
        if (status || !isfinite(mly__stages_value(problem, sums, &value)))
            continue;
        *bound = fmin(*bound, mly__stages_value(problem, sums, &value));
        status = mly__found_add(found, problem, &other->layouts[i], err);
    }
    return status;
}

static enum mly_status search(const struct mly__problem *problem, bool sums,
                              struct mly__found *found, struct mly_error *err)
{
    const struct mly__found *known = mly__desk_find_pipelines(problem, sums);
    const bool alone = found->count == 0;
    double bound = INFINITY;
    enum mly_status status = MLY_OK;
    if (known) {
        for (uint32_t i = 0; !status && i < known->count; i++)
            status = mly__found_add(found, problem, &known->layouts[i], err);
        return status;
    }
    status = sums ? whole_sum(problem, &bound, err) : whole_ns(problem, &bound, err);
    if (!status)
        status = begin_with_other(problem, sums, found, &bound, err);
    const bool begun = alone && found->count > 0;
    if (!status)
        status = search_coarse(problem, sums, begun ? ORDERS_BEGUN : ORDERS_MAX,
                               slack(problem, sums) * bound, found, err);
    if (!status)
        status = improve(problem, sums, begun ? MISSES_BEGUN : MISSES_MAX, found, err);
    return !status && alone ? mly__desk_keep_pipelines(problem, sums, found, err) : status;
}

enum mly_status mly__pipeline_reach(const struct mly__problem *problem, bool sums,
                                    struct mly__found *found, double *value, struct mly_error *err)
{
    struct mly__found tried = {0};
    uint32_t best = 0;
    double reached = INFINITY;
    enum mly_status status = search(problem, sums, &tried, err);
    if (!status)
        status = best_found(problem, sums, &tried, &best, &reached, err);
    if (!status && found && isfinite(reached))
        status = mly__found_add(found, problem, &tried.layouts[best], err);
    mly__found_fini(&tried);
    if (!status)
        *value = reached;
    return status;
}

enum mly_status mly__pipeline_find(const struct mly__problem *problem, struct mly__found *found,
                                   struct mly_error *err)
{
    const enum mly_objective objective = problem->request->objective;
    const bool sums = objective == MLY_OBJECTIVE_LATENCY || objective == MLY_OBJECTIVE_ENERGY;
    enum mly_status status = search(problem, sums, found, err);
    /* What waits least at a rate may be short rather than fast. */
    if (!status && objective == MLY_OBJECTIVE_LATENCY_AT_RATE)
        status = search(problem, true, found, err);
    /* Branches at once instead of one after the other. */
    if (!status &&
        (objective == MLY_OBJECTIVE_LATENCY || objective == MLY_OBJECTIVE_LATENCY_AT_RATE))
        status = mly__branches_find(problem, found, err);
    return status;
}

static enum mly_status make_pipeline(const struct mly_plan_request *request, mly_plan **out,
                                     struct mly_error *err)
{
    return mly__plan_by(request, "pipeline", mly__pipeline_find, out, err);
}

const struct mly_planner mly__planner_pipeline = {
    .name = "pipeline",
    .summary = "a pipeline of segments on unlike processors, with replicas of stages",
    .make = make_pipeline,
};
