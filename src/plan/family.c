/*
 * Families: ways of running a model, each good up to a rate of arrivals.
 *
 *   1. Ways to choose from are plans, each with what it can take at most and its latency at any rate below
 *      that (under_load.c): worked out at some loads, and between them by straight lines, where the waiting
 *      is taken times what is left of the load, because that hardly bends.
 *   2. Along rates from almost none to the most that any can take: of the ways whose latency is within a
 *      little of the least, that which stays so longest is kept until it does not. So there are as few
 *      as can be.
 *   3. The ways that were kept become members. Their processors become one list; what they have in
 *      common is in it once.
 */
#include "family.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "queueing.h"
#include "under_load.h"

enum { KNOTS = 40, RATES = 500 };
static const double least_part = 1e-3; /* of the greatest rate: where the walk begins */
static const double most_part =
    0.99; /* … and where it ends: at the greatest rate queues never end */

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a family of plans");
}

/* --- 1 --- */

/* A way's latency less the filling of batches, times what is left of the load: at KNOTS loads. */
struct curve {
    uint32_t batch;
    double most_per_s; /* 0: nothing is known */
    double left_ns[KNOTS];
};

/* Ever closer as the load grows. */
static double load_at(double knot)
{
    const double left = 1 - knot / KNOTS;
    return 1 - left * left;
}

static double knot_at(double load)
{
    return KNOTS * (1 - sqrt(1 - load));
}

static enum mly_status find_curve(const struct mly_plan_request *request, const mly_plan *way,
                                  struct curve *curve, struct mly_error *err)
{
    struct mly__under_load load;
    struct mly_prediction prediction;
    *curve = (struct curve){.batch = way->batch};
    if (!way->prediction.known || !(way->prediction.throughput_per_s > 0))
        return MLY_OK;
    enum mly_status status =
        mly__plan_under_load(way, request->model, request->costs, &load, &prediction, err);
    if (status)
        return status;
    curve->most_per_s = fmin(load.most_per_s, prediction.throughput_per_s);
    for (uint32_t i = 0; i < KNOTS; i++) {
        const double part = i ? load_at(i) : 1e-6, rate_per_s = part * curve->most_per_s;
        curve->left_ns[i] = (mly__under_load_latency_ns(&load, rate_per_s) -
                             mly__filling_ns(rate_per_s, way->batch)) *
                            (1 - part);
    }
    mly__under_load_fini(&load);
    return MLY_OK;
}

/* Infinite beyond what it can take. */
static double latency_ns(const struct curve *curve, double rate_per_s)
{
    if (!(rate_per_s < curve->most_per_s))
        return INFINITY;
    const double load = rate_per_s / curve->most_per_s, knot = knot_at(load);
    const uint32_t before = knot < KNOTS - 2 ? (uint32_t)knot : KNOTS - 2;
    const double part = fmin(1, knot - before);
    const double left_ns = curve->left_ns[before] * (1 - part) + curve->left_ns[before + 1] * part;
    return mly__filling_ns(rate_per_s, curve->batch) + left_ns / (1 - load);
}

/* --- 2 --- */

/* A way and the rate up to which it is kept. */
struct kept {
    uint32_t way;
    double max_rate_per_s;
};

/* Rates to look at: close together where latency changes fast. */
static double rate_at(double greatest, uint32_t i)
{
    enum { FEW = RATES / 5 };
    const double low = 0.05;
    if (i < FEW)
        return greatest * least_part * pow(low / least_part, (double)i / FEW);
    return greatest * (low + (most_part - low) * (i - FEW) / (RATES - 1 - FEW));
}

/* The first rate from `from` on at which the way is too slow; RATES: none. */
static uint32_t stays_until(const struct curve *curve, double greatest, const double *least_ns,
                            uint32_t from, double slack)
{
    for (uint32_t i = from; i < RATES; i++)
        if (!(latency_ns(curve, rate_at(greatest, i)) <= (1 + slack) * least_ns[i]))
            return i;
    return RATES;
}

static double find_least(const struct curve *curves, uint32_t count, double least_ns[RATES])
{
    double greatest = 0;
    for (uint32_t w = 0; w < count; w++)
        greatest = fmax(greatest, curves[w].most_per_s);
    for (uint32_t i = 0; i < RATES; i++) {
        least_ns[i] = INFINITY;
        for (uint32_t w = 0; w < count; w++)
            least_ns[i] = fmin(least_ns[i], latency_ns(&curves[w], rate_at(greatest, i)));
    }
    return greatest;
}

/* How many are kept; one more than MLY__PLAN_FAMILY_MAX for too many. 0: nothing is known. */
static uint32_t walk(const struct curve *curves, uint32_t count, double slack,
                     struct kept kept[MLY__PLAN_FAMILY_MAX])
{
    double least_ns[RATES];
    const double greatest = find_least(curves, count, least_ns);
    uint32_t members = 0;
    for (uint32_t at = 0; greatest > 0 && at < RATES;) {
        uint32_t best = 0, until = at;
        for (uint32_t w = 0; w < count; w++) {
            const uint32_t end = stays_until(&curves[w], greatest, least_ns, at, slack);
            const double rate = rate_at(greatest, at);
            if (end > until || (end == until && end > at &&
                                latency_ns(&curves[w], rate) < latency_ns(&curves[best], rate))) {
                until = end;
                best = w;
            }
        }
        if (members == MLY__PLAN_FAMILY_MAX)
            return members + 1;
        kept[members++] = (struct kept){best, until < RATES ? rate_at(greatest, until - 1)
                                                            : curves[best].most_per_s};
        at = until;
    }
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

/* "3 ways by rate …: from whole on … (up to 120 samples/s) to … (up to 480 samples/s)" */
static enum mly_status explain(mly_plan *family, char *const *descriptions, const struct kept *kept,
                               struct mly_error *err)
{
    const uint32_t last = family->family_count - 1;
    family->why =
        last ? mly_strfmt(
                   "%u ways by rate of arrivals, each within %.0f %% of the best latency: from "
                   "%s (up to %.4g samples/s) to %s (up to %.4g samples/s, all it can take)",
                   last + 1, MLY__FAMILY_SLACK * 100, descriptions[kept[0].way],
                   family->family[0].max_rate_per_s, descriptions[kept[last].way],
                   family->family[last].max_rate_per_s)
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
                            const struct curve *curves, const struct kept *kept, uint32_t members,
                            struct mly_error *err)
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
        const double ns = latency_ns(&curves[kept[i].way], kept[i].max_rate_per_s);
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

static enum mly_status make_family(const struct mly_plan_request *request, mly_plan *const *ways,
                                   char *const *descriptions, uint32_t count,
                                   const struct curve *curves, mly_plan **out,
                                   struct mly_error *err)
{
    struct kept kept[MLY__PLAN_FAMILY_MAX] = {{0}};
    mly_plan *family = NULL;
    uint32_t members = walk(curves, count, MLY__FAMILY_SLACK, kept);
    for (double slack = MLY__FAMILY_SLACK; members > MLY__PLAN_FAMILY_MAX;)
        members = walk(curves, count, slack *= 2, kept);
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
    status = fill(family, request, ways, descriptions, count, curves, kept, members, err);
    if (status) {
        mly_plan_destroy(family);
        return status;
    }
    *out = family;
    return MLY_OK;
}

enum mly_status mly__family_of(const struct mly_plan_request *request, mly_plan *const *ways,
                               char *const *descriptions, uint32_t count, mly_plan **out,
                               struct mly_error *err)
{
    struct curve *curves = mly_alloc_array((size_t)count + 1, sizeof *curves);
    enum mly_status status = curves ? MLY_OK : no_memory(err);
    for (uint32_t i = 0; !status && i < count; i++) {
        status = mly__plan_go_on(request, err);
        if (!status)
            status = find_curve(request, ways[i], &curves[i], err);
    }
    if (!status)
        status = make_family(request, ways, descriptions, count, curves, out, err);
    mly_free(curves);
    return status;
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
