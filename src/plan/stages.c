/*
 * The best pipeline that can be cut along a family of downsets, by dynamic programming (Tarnawski et
 * al., "Efficient algorithms for device placement of DNN graph operators", NeurIPS 2020).
 *
 *   1. Throughput: best[D][v] is the shortest bottleneck of any pipeline that computes D with v[c]
 *      processors of each class c. Its last stage is D without some smaller downset, on some r of the
 *      processors. Stages that could not be below the bound are not looked at.
 *   2. Latency and energy: the same with sums, one processor for each segment; processors of classes that
 *      are not exclusive may have many segments, and are not counted.
 *   3. Of pipelines with equal value, the one of fewer segments; then that whose stages are shorter, so
 *      that the order of classes decides nothing.
 *   4. Stages that begin at a downset are looked at from small to large. A stage with a unit more takes no
 *      less, so that where all downsets are there, none is looked at beyond one that is too slow already.
 */
#include <string.h>

#include "stages_private.h"

#define SLACK_DOWNSETS_MAX 2048u
#define LOOKS 256u /* at stages, after which it is asked whether to go on */
/*
 * Pipelines this much worse than the best known are kept too, where that does not take long: a simpler
 * one of them may win.
 */
static const double slack = 0.03, no_slack = 1e-9;

double mly__stages_value(const struct mly__problem *problem, bool sums,
                         const struct mly__layout_value *value)
{
    if (!sums)
        return value->bottleneck_ns;
    return problem->request->objective == MLY_OBJECTIVE_ENERGY ? value->energy_j : value->sum_ns;
}

/* Is there room for the downset on those processors, and for the rest on the others? */
static bool may_be_done(const struct mly__stages *s, uint32_t downset, uint32_t vector)
{
    const double all = s->share[s->downsets->count - 1];
    const double capacity = s->capacity[s->vectors.count - 1];
    return mly__stages_within(s, s->share[downset], s->capacity[vector]) &&
           mly__stages_within(s, all - s->share[downset], capacity - s->capacity[vector]);
}

/* --- what was found --- */

/* The layout that ends in that state of the full set. */
static enum mly_status trace(const struct mly__stages *s, bool sums, uint32_t layer,
                             uint32_t vector, struct mly__layout *out, struct mly_error *err)
{
    const uint32_t full = s->downsets->count - 1;
    const struct mly__step *step = mly__step_at(s, full, layer, vector);
    struct mly__layout layout;
    enum mly_status status = mly__layout_init(&layout, s->problem, step->parts, err);
    if (status)
        return status;
    layout.shared = sums;
    for (uint32_t at = full, part = step->parts; part-- > 0;) {
        for (uint32_t u = 0; u < s->problem->unit_count; u++)
            if (mly__downset_has(mly__downset(s->downsets, at), u) &&
                !mly__downset_has(mly__downset(s->downsets, step->from), u))
                layout.part_of_unit[u] = part;
        for (uint32_t c = 0; c < s->problem->class_count; c++)
            layout.replicas[part][c] =
                sums ? c == step->used : mly__vector_digit(&s->vectors, step->used, c);
        at = step->from;
        layer -= s->layers > 1;
        step = mly__step_at(s, at, layer, step->vector);
    }
    *out = layout;
    return MLY_OK;
}

/* Every way of using processors that is near the best, best first, as far as there is room. */
static enum mly_status collect(const struct mly__stages *s, bool sums, struct mly__found *found,
                               struct mly_error *err)
{
    const uint32_t full = s->downsets->count - 1;
    enum { KEPT = 8 };
    double floor_value = -1;
    enum mly_status status = MLY_OK;
    for (int kept = 0; !status && kept < KEPT; kept++) {
        const struct mly__step *best = NULL;
        uint32_t best_layer = 0, best_vector = 0;
        for (uint32_t layer = 0; layer < s->layers; layer++) {
            for (uint32_t v = 0; v < s->vectors.count; v++) {
                const struct mly__step *at = mly__step_at(s, full, layer, v);
                if (at->from != MLY_NO_INDEX && at->value > floor_value &&
                    (!best || mly__step_is_better(at, best))) {
                    best = at;
                    best_layer = layer;
                    best_vector = v;
                }
            }
        }
        if (!best)
            break;
        struct mly__layout layout;
        floor_value = best->value;
        status = trace(s, sums, best_layer, best_vector, &layout, err);
        if (status)
            break;
        status = mly__found_add(found, s->problem, &layout, err);
        mly__layout_fini(&layout);
    }
    return status;
}

/* The states of the downset that were reached, and what they leave. */
static void find_reached(struct mly__stages *s, uint32_t downset)
{
    const struct mly__vectors *v = &s->vectors;
    const struct mly__step *states = mly__step_at(s, downset, 0, 0);
    s->reached_count = 0;
    s->least_value = INFINITY;
    s->available_capacity = 0;
    memset(s->available, 0, sizeof s->available);
    for (uint32_t i = 0; i < s->layers * v->count; i++) {
        if (states[i].from == MLY_NO_INDEX)
            continue;
        s->reached[s->reached_count++] = i;
        s->least_value = fmin(s->least_value, states[i].value);
        for (uint32_t c = 0; c < v->class_count; c++) {
            const uint32_t left = v->radix[c] - 1 - mly__vector_digit(v, i % v->count, c);
            s->available[c] = left > s->available[c] ? left : s->available[c];
        }
    }
    for (uint32_t c = 0; c < v->class_count; c++)
        s->available_capacity += s->weight[c] * s->available[c];
}

/* Can any pipeline within the bound be cut there, and on which processors? */
static void find_open(struct mly__stages *s, bool sums)
{
    for (uint32_t i = 0; i < s->downsets->count; i++) {
        s->open[i] = sums;
        for (uint32_t v = 0; v < s->vectors.count && !sums; v++) {
            const bool open = may_be_done(s, i, v);
            s->open_at[(size_t)i * s->vectors.count + v] = open;
            s->open[i] = s->open[i] || open;
        }
    }
}

/* Is planning to go on? Asked now and then. */
static enum mly_status go_on(struct mly__stages *s, struct mly_error *err)
{
    return s->looks++ % LOOKS ? MLY_OK : mly__plan_go_on(s->problem->request, err);
}

/* Looks at one stage; false: none that holds it need be looked at. */
static bool look_at(struct mly__stages *s, bool sums, uint32_t small, uint32_t large)
{
    struct mly__stage stage = {.search = s, .small = small, .large = large};
    s->work++;
    if (s->problem->request->must_cut && small == 0 && large == s->downsets->count - 1)
        return true; /* the whole model: no part of a cut */
    if (sums ? !mly__stage_may_add(&stage) : !mly__stage_may_do(&stage))
        return false;
    if (sums)
        mly__stage_extend_sum(s, &stage);
    else if (s->open[large])
        mly__stage_extend_throughput(s, &stage);
    return true;
}

/* Of a family: every larger set. */
static enum mly_status look_at_larger(struct mly__stages *s, bool sums, uint32_t small,
                                      struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    for (uint32_t large = small + 1; !status && large < s->downsets->count; large++) {
        status = go_on(s, err);
        if (!status && (sums || s->open[large]) && mly__downset_within(s->downsets, small, large))
            (void)look_at(s, sums, small, large);
    }
    return status;
}

/* Of all downsets: from each that is not too slow to those with one unit more. */
static enum mly_status climb(struct mly__stages *s, bool sums, uint32_t small,
                             struct mly_error *err)
{
    const struct mly__downsets *d = s->downsets;
    uint32_t count = 0;
    s->stack[count++] = small;
    while (count) {
        const uint32_t at = s->stack[--count];
        for (uint32_t i = d->cover_begin[at]; i < d->cover_begin[at + 1]; i++) {
            const uint32_t large = d->covers[i];
            if (s->seen[large] == small + 1)
                continue;
            s->seen[large] = small + 1;
            enum mly_status status = go_on(s, err);
            if (status)
                return status;
            if (look_at(s, sums, small, large))
                s->stack[count++] = large;
        }
    }
    return MLY_OK;
}

static enum mly_status search_all(struct mly__stages *s, bool sums, struct mly__found *found,
                                  struct mly_error *err)
{
    for (uint32_t small = 0; small + 1 < s->downsets->count; small++) {
        find_reached(s, small);
        if (!s->reached_count)
            continue;
        if (s->work > s->work_max)
            return mly_error_set(err, MLY_E_LIMIT,
                                 "%u possible first parts make too many stages: of the first %u, "
                                 "%.3g million were looked at",
                                 s->downsets->count, small, (double)s->work / 1e6);
        enum mly_status status =
            s->downsets->covers ? climb(s, sums, small, err) : look_at_larger(s, sums, small, err);
        if (status)
            return status;
    }
    return collect(s, sums, found, err);
}

enum mly_status mly__stages_search(const struct mly__downsets *downsets, bool sums, double bound,
                                   uint64_t *work_left, struct mly__found *found,
                                   struct mly_error *err)
{
    struct mly__stages search;
    enum mly_status status = mly__stages_init(&search, downsets, sums, err);
    if (status)
        return status;
    search.work_max = work_left ? *work_left : UINT64_MAX;
    for (uint32_t c = 0; c < downsets->problem->class_count; c++)
        search.spills = search.spills || downsets->problem->classes[c].exclusive;
    search.bound = bound * (1 + (downsets->count > SLACK_DOWNSETS_MAX ? no_slack : slack));
    if (sums)
        mly__stages_find_least(&search);
    find_open(&search, sums);
    status = search_all(&search, sums, found, err);
    if (work_left)
        *work_left -= search.work < *work_left ? search.work : *work_left;
    mly__stages_fini(&search);
    return status;
}
