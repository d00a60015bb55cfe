/*
 * Families: ways of running a model, each best up to a rate of arrivals.
 *
 *   1. Ways to choose from are plans, each with what it can take at most and its latency at any rate
 *      below that (queueing.c).
 *   2. Along rates from almost none to the most that any can take: a way is kept until another is
 *      better by more than what a switch should be worth; where it stops being kept is found by
 *      bisection. A switch is worth more where there would be many.
 *   3. The ways that were kept become members. Their processors become one list; what they have in
 *      common is in it once.
 */
#include "family.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum {
    STEPS = 200,
    BISECTIONS = 40,
    MEMBERS_WANTED = 6 /* each has sessions of its own; more only where fewer would cost too much */
};
static const double least_part = 1e-3; /* of the greatest rate: where the walk begins */
static const double most_part =
    0.99; /* … and where it ends: at the greatest rate queues never end */
/* A switch must save this part of the latency: the first with which there are not too many members. */
static const double switch_gains[] = {0.05, 0.1, 0.2, 0.4};

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a family of plans");
}

/* --- 1 --- */

double mly__way_latency_ns(const mly_plan *plan, double rate_per_s)
{
    mly_plan view = *plan;
    view.rate_per_s = rate_per_s;
    if (!plan->prediction.known || plan->prediction.throughput_per_s <= rate_per_s)
        return INFINITY;
    return mly__plan_loaded_ns(&view, &plan->prediction);
}

/* The one with the least latency; of equal ones the first. MLY_NO_INDEX when none can take it. */
static uint32_t best_at(mly_plan *const *ways, uint32_t count, double rate_per_s)
{
    uint32_t best = MLY_NO_INDEX;
    double least = INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        const double ns = mly__way_latency_ns(ways[i], rate_per_s);
        if (ns < least) {
            least = ns;
            best = i;
        }
    }
    return best;
}

/* --- 2 --- */

/* A way and the rate up to which it is kept. */
struct kept {
    uint32_t way;
    double max_rate_per_s;
};

static bool may_stay(mly_plan *const *ways, uint32_t count, uint32_t way, double rate_per_s,
                     double switch_gain)
{
    const uint32_t best = best_at(ways, count, rate_per_s);
    return best == MLY_NO_INDEX ||
           mly__way_latency_ns(ways[way], rate_per_s) <=
               (1 + switch_gain) * mly__way_latency_ns(ways[best], rate_per_s);
}

static uint32_t walk(mly_plan *const *ways, uint32_t count, double switch_gain,
                     struct kept kept[MLY__PLAN_FAMILY_MAX])
{
    double greatest = 0;
    uint32_t members = 0;
    for (uint32_t i = 0; i < count; i++)
        if (ways[i]->prediction.known)
            greatest = fmax(greatest, ways[i]->prediction.throughput_per_s);
    if (!(greatest > 0))
        return 0;
    const double ratio = pow(most_part / least_part, 1.0 / STEPS);
    double before = greatest * least_part;
    uint32_t way = best_at(ways, count, before);
    for (int step = 1; step <= STEPS; step++) {
        const double rate = greatest * least_part * pow(ratio, step);
        while (members + 1 < MLY__PLAN_FAMILY_MAX &&
               !may_stay(ways, count, way, rate, switch_gain)) {
            double low = before, high = rate;
            for (int i = 0; i < BISECTIONS; i++) {
                const double middle = (low + high) / 2;
                if (may_stay(ways, count, way, middle, switch_gain))
                    low = middle;
                else
                    high = middle;
            }
            kept[members++] = (struct kept){.way = way, .max_rate_per_s = low};
            way = best_at(ways, count, high);
            before = high;
        }
        before = rate;
    }
    kept[members++] =
        (struct kept){.way = way, .max_rate_per_s = ways[way]->prediction.throughput_per_s};
    return members;
}

/* --- 3 --- */

static bool are_same(const struct mly_plan_processor *a, const struct mly_plan_processor *b)
{
    return !strcmp(a->id, b->id) && !strcmp(a->backend, b->backend) && a->threads == b->threads &&
           a->spin == b->spin && a->pin == b->pin && a->runtime_defaults == b->runtime_defaults;
}

/* Place of the processor in the family's list, where it is put if it is not there yet. */
static enum mly_status place_processor(mly_plan *family, const struct mly_plan_processor *from,
                                       uint32_t *place, struct mly_error *err)
{
    for (*place = 0; *place < family->processor_count; ++*place)
        if (are_same(&family->processors[*place], from))
            return MLY_OK;
    struct mly_plan_processor *grown =
        mly_realloc_array(family->processors, family->processor_count + (size_t)1, sizeof *grown);
    if (!grown)
        return no_memory(err);
    family->processors = grown;
    return mly__plan_add_processor(family, from) ? MLY_OK : no_memory(err);
}

static void sort_ascending(uint32_t *numbers, uint32_t *along, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t k = i; k && numbers[k - 1] > numbers[k]; k--) {
            const uint32_t number = numbers[k], share = along ? along[k] : 0;
            numbers[k] = numbers[k - 1];
            numbers[k - 1] = number;
            if (along) {
                along[k] = along[k - 1];
                along[k - 1] = share;
            }
        }
    }
}

/* Moves a way's own segments and ladder into a member, whose processors are the family's. */
static enum mly_status take_way(mly_plan *family, mly_plan *way, struct mly_plan_member *member,
                                struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    uint32_t *place = mly_alloc_array((size_t)way->processor_count + 1, sizeof *place);
    if (!place)
        return no_memory(err);
    for (uint32_t i = 0; !status && i < way->processor_count; i++)
        status = place_processor(family, &way->processors[i], &place[i], err);
    for (uint32_t i = 0; !status && i < way->segment_count; i++) {
        struct mly_plan_segment *segment = &way->segments[i];
        for (uint32_t k = 0; k < segment->processor_count; k++)
            segment->processors[k] = place[segment->processors[k]];
        sort_ascending(segment->processors, segment->shares, segment->processor_count);
        segment->time_count = 0; /* of the way's own processors; noted anew for the family */
    }
    mly_free(place);
    if (status)
        return status;
    const double max_rate_per_s = member->max_rate_per_s;
    *member = mly__plan_way(way);
    member->max_rate_per_s = max_rate_per_s;
    mly__plan_set_way(way, &(struct mly_plan_member){0});
    return MLY_OK;
}

/* The member that the objective asks for becomes the plan's own way. */
static uint32_t member_of_objective(const mly_plan *family, const struct mly_plan_request *request)
{
    if (request->objective == MLY_OBJECTIVE_LATENCY_AT_RATE)
        return mly_plan_member_at(family, request->rate_per_s);
    return request->objective == MLY_OBJECTIVE_LATENCY ? 0 : family->family_count - 1;
}

static enum mly_status set_own_way(mly_plan *family, uint32_t index, struct mly_error *err)
{
    const mly_plan view = mly__plan_member_view(family, index);
    mly_plan *copy = NULL;
    enum mly_status status = mly_plan_dup(&view, &copy, err);
    if (status)
        return status;
    const struct mly_plan_member own = mly__plan_way(copy);
    mly__plan_set_way(family, &own);
    mly__plan_set_way(copy, &(struct mly_plan_member){0});
    mly_plan_destroy(copy);
    return MLY_OK;
}

/* "3 ways by rate: from whole on … (up to 120 samples/s) to … (up to 480 samples/s)" */
static enum mly_status explain(mly_plan *family, char *const *descriptions, const struct kept *kept,
                               struct mly_error *err)
{
    const uint32_t last = family->family_count - 1;
    family->why =
        last ? mly_strfmt("%u ways by rate of arrivals: from %s (best up to %.4g samples/s) to %s "
                          "(up to %.4g samples/s, all it can take)",
                          last + 1, descriptions[kept[0].way], family->family[0].max_rate_per_s,
                          descriptions[kept[last].way], family->family[last].max_rate_per_s)
             : mly_strfmt("best at every rate of arrivals: %s (up to %.4g samples/s)",
                          descriptions[kept[0].way], family->family[0].max_rate_per_s);
    return family->why ? MLY_OK : no_memory(err);
}

/* All ways as candidates, best first. */
static enum mly_status add_candidates(mly_plan *family, mly_plan *const *ways,
                                      char *const *descriptions, uint32_t count, uint32_t chosen,
                                      struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    uint32_t *order = mly_alloc_array((size_t)count + 1, sizeof *order);
    if (!order)
        return no_memory(err);
    for (uint32_t i = 0; i < count; i++) {
        const double score = mly__plan_score(&ways[i]->prediction, family->objective);
        uint32_t at = i;
        for (; at && score > mly__plan_score(&ways[order[at - 1]]->prediction, family->objective);
             at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (uint32_t i = 0; !status && i < count; i++) {
        const uint32_t way = order[i];
        if (i < MLY__PLAN_CANDIDATES_MAX - 1 || way == chosen)
            status = mly__plan_add_candidate(family, descriptions[way], ways[way]->planner,
                                             &ways[way]->prediction, way == chosen, err);
    }
    mly_free(order);
    return status;
}

/* Members and candidates from what was kept. */
static enum mly_status fill(mly_plan *family, const struct mly_plan_request *request,
                            mly_plan *const *ways, char *const *descriptions, uint32_t count,
                            const struct kept *kept, uint32_t members, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    family->family = mly_alloc_array(members, sizeof *family->family);
    if (!family->family)
        return no_memory(err);
    for (uint32_t i = 0; !status && i < members; i++) {
        struct mly_plan_member *member = &family->family[family->family_count++];
        mly_plan *own = NULL;
        member->max_rate_per_s = kept[i].max_rate_per_s;
        status = mly_plan_dup(ways[kept[i].way], &own, err);
        if (!status)
            status = take_way(family, own, member, err);
        mly_plan_destroy(own);
        const double ns = mly__way_latency_ns(ways[kept[i].way], kept[i].max_rate_per_s);
        member->prediction.loaded_latency_ns = isfinite(ns) ? ns : 0;
    }
    if (status)
        return status;
    const uint32_t chosen = member_of_objective(family, request);
    status = set_own_way(family, chosen, err);
    if (!status)
        status = add_candidates(family, ways, descriptions, count, kept[chosen].way, err);
    return status ? status : explain(family, descriptions, kept, err);
}

enum mly_status mly__family_of(const struct mly_plan_request *request, mly_plan *const *ways,
                               char *const *descriptions, uint32_t count, mly_plan **out,
                               struct mly_error *err)
{
    struct kept kept[MLY__PLAN_FAMILY_MAX];
    mly_plan *family = NULL;
    uint32_t members = UINT32_MAX;
    for (size_t i = 0; members > MEMBERS_WANTED && i < MLY__COUNT(switch_gains); i++)
        members = walk(ways, count, switch_gains[i], kept);
    if (!members)
        return mly_error_set(err, MLY_E_NOT_FOUND,
                             "no way of running the model can be predicted, so there is no family");
    enum mly_status status = mly_plan_create(request->model, request->machine, &family, err);
    if (status)
        return status;
    snprintf(family->planner, sizeof family->planner, "family");
    memcpy(family->runtime, ways[0]->runtime, sizeof family->runtime);
    family->objective = request->objective;
    family->rate_per_s = request->rate_per_s;
    status = fill(family, request, ways, descriptions, count, kept, members, err);
    if (status) {
        mly_plan_destroy(family);
        return status;
    }
    *out = family;
    return MLY_OK;
}

/* --- members --- */

uint32_t mly_plan_member_at(const mly_plan *plan, double rate_per_s)
{
    uint32_t i = 0;
    while (i + 1 < plan->family_count && plan->family[i].max_rate_per_s < rate_per_s)
        i++;
    return plan->family_count ? i : MLY_NO_INDEX;
}

enum mly_status mly_plan_take_member(const mly_plan *plan, uint32_t index, mly_plan **out,
                                     struct mly_error *err)
{
    if (index >= plan->family_count)
        return mly_error_set(err, MLY_E_INVALID, "the plan's family has %u members, counted from 0",
                             plan->family_count);
    const mly_plan view = mly__plan_member_view(plan, index);
    return mly_plan_dup(&view, out, err);
}
