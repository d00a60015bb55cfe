/*
 * What planners of several segments have in common.
 *
 *   1. Batch sizes that fit the request: the model's or the user's; for latency the least; else those
 *      that were measured, or a few where nothing is to be measured.
 *   2. In the problem of each batch size the planner finds layouts; the whole model on each class of
 *      processors and on all of them are added, because that often is best.
 *   3. They become plans, with predictions; of those that read alike the best is kept, and the winner is
 *      chosen by the rule of choose.c.
 *   4. Large batches come first. Where a bound says that no plan for a smaller one can win any more, only
 *      the whole model is looked at there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "problem_private.h"

/* Tried where all processors are modelled: what no measurement says. */
static const uint32_t modelled_batches[] = {1, 4, 16, 32};

/* How much less than the best may still win: as a tie; as measured beside an estimate (choose.c). */
static const double tie_share = 0.02, estimate_share = 0.12;

/* Of so many segments that share processors each is named with its own. */
static const uint32_t named_parts_max = 6;

/* --- found --- */

static bool are_equal(const struct mly__problem *problem, const struct mly__layout *a,
                      const struct mly__layout *b)
{
    return a->part_count == b->part_count && a->shared == b->shared &&
           !memcmp(a->part_of_unit, b->part_of_unit,
                   problem->unit_count * sizeof *a->part_of_unit) &&
           !memcmp(a->replicas, b->replicas, a->part_count * sizeof *a->replicas) &&
           !memcmp(a->first, b->first, a->part_count * sizeof *a->first);
}

enum mly_status mly__found_add(struct mly__found *found, const struct mly__problem *problem,
                               const struct mly__layout *layout, struct mly_error *err)
{
    for (uint32_t i = 0; i < found->count; i++)
        if (are_equal(problem, &found->layouts[i], layout))
            return MLY_OK;
    if (found->count == MLY__FOUND_MAX)
        return MLY_OK;
    struct mly__layout *to = &found->layouts[found->count];
    enum mly_status status = mly__layout_init(to, problem, layout->part_count, err);
    if (status)
        return status;
    memcpy(to->part_of_unit, layout->part_of_unit, problem->unit_count * sizeof *to->part_of_unit);
    memcpy(to->replicas, layout->replicas, layout->part_count * sizeof *to->replicas);
    memcpy(to->first, layout->first, layout->part_count * sizeof *to->first);
    to->shared = layout->shared;
    memcpy(to->note, layout->note, sizeof to->note);
    found->count++;
    return MLY_OK;
}

void mly__found_fini(struct mly__found *found)
{
    for (uint32_t i = 0; i < found->count; i++)
        mly__layout_fini(&found->layouts[i]);
    found->count = 0;
}

enum mly_status mly__found_least(const struct mly__problem *problem, const struct mly__found *found,
                                 struct mly__layout_value *least, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    *least = (struct mly__layout_value){INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY};
    for (uint32_t i = 0; !status && i < found->count; i++) {
        struct mly__layout_value value;
        status = mly__layout_value(problem, &found->layouts[i], &value, err);
        if (status)
            break;
        least->bottleneck_ns = fmin(least->bottleneck_ns, value.bottleneck_ns);
        least->latency_ns = fmin(least->latency_ns, value.latency_ns);
        least->sum_ns = fmin(least->sum_ns, value.sum_ns);
        least->energy_j = fmin(least->energy_j, value.energy_j);
        least->spread_ns = fmin(least->spread_ns, value.spread_ns);
        least->crossing_bytes = fmin(least->crossing_bytes, value.crossing_bytes);
    }
    return status;
}

enum mly_status mly__found_add_refined(struct mly__found *found, const struct mly__found *from,
                                       const struct mly__problem *coarse,
                                       const struct mly__problem *problem, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && i < from->count; i++) {
        struct mly__layout layout;
        status = mly__layout_refine(&from->layouts[i], coarse, problem, &layout, err);
        if (status)
            break;
        status = mly__found_add(found, problem, &layout, err);
        mly__layout_fini(&layout);
    }
    return status;
}

/* --- 1. batches --- */

struct batches {
    uint32_t items[MLY__BATCHES_MAX];
    uint32_t count;
};

static void add_batch(struct batches *batches, uint32_t batch)
{
    uint32_t at = batches->count;
    for (uint32_t i = 0; i < batches->count; i++)
        if (batches->items[i] == batch)
            return;
    if (batches->count == MLY__BATCHES_MAX)
        return;
    for (; at && batches->items[at - 1] > batch; at--)
        batches->items[at] = batches->items[at - 1];
    batches->items[at] = batch;
    batches->count++;
}

static bool all_modelled(const struct mly_plan_request *request)
{
    if (!request->processors || !request->processors->count)
        return false;
    for (size_t i = 0; i < request->processors->count; i++)
        if (!request->processors->items[i].modelled)
            return false;
    return true;
}

/* Edge TPUs take the samples of a batch one after the other. */
static bool gain_by_batches(const struct mly_plan_request *request)
{
    for (size_t i = 0; i < request->processors->count; i++) {
        const struct mly_device_model *device =
            mly_device_model_find(request->processors->items[i].kind);
        if (!device || device->family != MLY_DEVICE_EDGETPU)
            return true;
    }
    return false;
}

static void measured_batches(const struct mly_plan_request *request, struct batches *batches)
{
    const struct mly_cost_entry *entry;
    for (size_t i = 0; request->costs && (entry = mly_cost_table_at(request->costs, i)); i++)
        if (entry->scope != MLY_COST_SEGMENT && !entry->config.runtime_defaults)
            add_batch(batches, entry->config.batch);
    if (!batches->count)
        add_batch(batches, 1);
}

static void choose_batches(const struct mly_plan_request *request, struct batches *batches)
{
    const int64_t fixed = mly_model_fixed_batch(request->model);
    if (request->batch) {
        add_batch(batches, request->batch);
    } else if (fixed > 0) {
        add_batch(batches, (uint32_t)fixed);
    } else if (all_modelled(request)) {
        const size_t count = gain_by_batches(request) ? MLY__COUNT(modelled_batches) : 1;
        for (size_t i = 0; i < count; i++)
            add_batch(batches, modelled_batches[i]);
    } else {
        measured_batches(request, batches);
    }
    if (request->objective == MLY_OBJECTIVE_LATENCY && batches->count > 1)
        batches->count = 1;
}

uint32_t mly__plan_batches(const struct mly_plan_request *request,
                           uint32_t batches[MLY__BATCHES_MAX])
{
    struct batches chosen = {0};
    choose_batches(request, &chosen);
    memcpy(batches, chosen.items, sizeof chosen.items);
    return chosen.count;
}

/* --- 2. layouts --- */

static enum mly_status add_whole(const struct mly__problem *problem, const uint32_t *replicas,
                                 struct mly__found *found, struct mly_error *err)
{
    struct mly__layout layout;
    enum mly_status status = mly__layout_init(&layout, problem, 1, err);
    if (status)
        return status;
    memcpy(layout.replicas[0], replicas, sizeof layout.replicas[0]);
    status = mly__found_add(found, problem, &layout, err);
    mly__layout_fini(&layout);
    return status;
}

static bool computes_all(const struct mly__problem *problem, uint32_t class)
{
    for (uint32_t u = 0; u < problem->unit_count; u++)
        if (isinf(mly__load_of(problem, class, u)->time_ns))
            return false;
    return true;
}

static enum mly_status add_wholes(const struct mly__problem *problem, struct mly__found *found,
                                  struct mly_error *err)
{
    uint32_t all[MLY__CLASSES_MAX] = {0};
    enum mly_status status = MLY_OK;
    for (uint32_t c = 0; !status && c < problem->class_count; c++) {
        uint32_t one[MLY__CLASSES_MAX] = {0};
        if (!computes_all(problem, c))
            continue;
        one[c] = 1;
        status = add_whole(problem, one, found, err);
        all[c] = one[c] = problem->classes[c].count;
        if (!status && !problem->request->no_replicas)
            status = add_whole(problem, one, found, err);
    }
    for (uint32_t c = 0; c < problem->class_count && !problem->request->no_replicas; c++)
        if (all[c])
            return status ? status : add_whole(problem, all, found, err);
    return status;
}

/* "cpu (2 threads) x 2", with a comma before it. */
static enum mly_status describe_class(const struct mly__problem *problem, uint32_t class,
                                      uint32_t count, const char *comma, struct mly_buffer *buffer)
{
    enum mly_status status = mly_buffer_printf(buffer, "%s%s", comma, problem->classes[class].name);
    return status || count < 2 ? status : mly_buffer_printf(buffer, " x %u", count);
}

/* The processors of many segments that share them, each kind once. */
static enum mly_status describe_shared(const struct mly__problem *problem,
                                       const struct mly__layout *layout, struct mly_buffer *buffer)
{
    enum mly_status status = MLY_OK;
    const char *comma = "";
    for (uint32_t c = 0; !status && c < problem->class_count; c++) {
        uint32_t count = 0;
        for (uint32_t part = 0; part < layout->part_count; part++) {
            if (problem->classes[c].exclusive)
                count += layout->replicas[part][c];
            else if (layout->replicas[part][c] && layout->first[part] >= count)
                count = layout->first[part] + 1;
        }
        if (!count)
            continue;
        status = describe_class(problem, c, count, comma, buffer);
        comma = " + ";
    }
    return status;
}

/* "edgetpu-pcie | edgetpu-pcie x 2 | cpu (2 threads) + p100, batch 4" */
static enum mly_status describe(const struct mly__problem *problem,
                                const struct mly__layout *layout, struct mly_buffer *buffer)
{
    const bool many = layout->shared && layout->part_count > named_parts_max;
    enum mly_status status = layout->part_count == 1
                                 ? mly_buffer_printf(buffer, "whole on ")
                                 : mly_buffer_printf(buffer, "%u segments on ", layout->part_count);
    if (!status && many)
        status = describe_shared(problem, layout, buffer);
    for (uint32_t part = 0; !status && !many && part < layout->part_count; part++) {
        const char *comma = part ? " | " : "";
        for (uint32_t c = 0; !status && c < problem->class_count; c++) {
            if (!layout->replicas[part][c])
                continue;
            status = describe_class(problem, c, layout->replicas[part][c], comma, buffer);
            comma = " + ";
        }
    }
    return status ? status : mly_buffer_printf(buffer, ", batch %u", problem->batch);
}

/* --- 3. plans --- */

struct option {
    mly_plan *plan; /* with its account */
    char *description;
    struct mly__alternative alternative;
    enum mly_objective objective;
};

struct options {
    struct option *items;
    size_t count, capacity;
    /* Of the batch sizes so far: nothing of the kind gives more, or takes less; 0: nothing is known. */
    double most_per_s;
    char most_by[96];
    struct mly_plan_least least, least_row;
    struct mly_error reason; /* why the last layout could not be used */
};

static void options_fini(struct options *options)
{
    for (size_t i = 0; options->items && i < options->count; i++) {
        mly_plan_destroy(options->items[i].plan);
        mly_free(options->items[i].description);
    }
    mly_free(options->items);
}

/* Where a ratio or a cut was asked for, only what has it may win; the others are listed beside it. */
static struct mly__alternative alternative_of(const struct mly_plan_request *request,
                                              const mly_plan *plan, const char *name)
{
    return (struct mly__alternative){.prediction = plan->prediction,
                                     .eligible = (!request->ratio_count && !request->must_cut) ||
                                                 plan->segment_count > 1,
                                     .segments = plan->segment_count,
                                     .groups = plan->processor_count,
                                     .batch = plan->batch,
                                     .name = name};
}

/* A plan that reads like another is kept only if it is better. */
static void drop_worse(struct options *options, enum mly_objective objective)
{
    struct option *last = &options->items[options->count - 1];
    for (size_t i = 0; i + 1 < options->count; i++) {
        struct option *other = &options->items[i];
        if (strcmp(other->description, last->description) != 0)
            continue;
        if (mly__plan_score(&last->plan->prediction, objective) >
            mly__plan_score(&other->plan->prediction, objective)) {
            const struct option kept = *other;
            *other = *last;
            *last = kept;
        }
        mly_plan_destroy(last->plan);
        mly_free(last->description);
        options->count--;
        return;
    }
}

/* What is to be said of how the plan was come by, if it wins; false: no memory. */
static bool take_account(const struct mly__found *found, const struct mly__layout *layout,
                         mly_plan *plan)
{
    const char *between = layout->note[0] && found->note[0] ? "; " : "";
    if (!layout->note[0] && !found->note[0])
        return true;
    plan->account = mly_strfmt("%s%s%s", layout->note, between, found->note);
    return plan->account != NULL;
}

static enum mly_status add_option(const struct mly__problem *problem,
                                  const struct mly__found *found, const struct mly__layout *layout,
                                  const char *planner, struct options *options,
                                  struct mly_error *err)
{
    struct mly_buffer text = {.max_bytes = 4096};
    const enum mly_objective objective = problem->request->objective;
    mly_plan *plan = NULL;
    enum mly_status status = mly__layout_plan(problem, layout, planner, &plan, &options->reason);
    if (status == MLY_E_NOT_FOUND || status == MLY_E_UNSUPPORTED || status == MLY_E_LIMIT)
        return MLY_OK;
    if (status)
        return mly_error_set(err, status, "%s", options->reason.message);
    status = take_account(found, layout, plan) ? describe(problem, layout, &text) : MLY_E_NO_MEMORY;
    if (!status && mly_array_reserve(&options->items, &options->capacity, options->count + 1,
                                     sizeof *options->items))
        status = MLY_E_NO_MEMORY;
    if (status) {
        mly_plan_destroy(plan);
        mly_buffer_fini(&text);
        return mly__problem_no_memory(err);
    }
    options->items[options->count++] =
        (struct option){.plan = plan,
                        .description = text.data,
                        .alternative = alternative_of(problem->request, plan, text.data),
                        .objective = objective};
    drop_worse(options, objective);
    return MLY_OK;
}

static void take_least(double ns, const char *by, struct mly_plan_least *least)
{
    if (!(ns > 0 && isfinite(ns)) || (least->ns > 0 && ns >= least->ns))
        return;
    least->ns = ns;
    snprintf(least->by, sizeof least->by, "%s", by);
}

/* Widens the bounds by those of one batch size: the planner's own where that is better. */
static enum mly_status take_bounds(const struct mly__problem *problem,
                                   const struct mly__found *found, struct options *options,
                                   struct mly_error *err)
{
    const enum mly_objective objective = problem->request->objective;
    struct mly__bounds bounds;
    if (objective == MLY_OBJECTIVE_ENERGY)
        return MLY_OK; /* these are bounds of time */
    enum mly_status status = mly__problem_bounds(problem, &bounds, err);
    if (status)
        return status;
    if (objective != MLY_OBJECTIVE_THROUGHPUT)
        take_least(bounds.latency_ns,
                   objective == MLY_OBJECTIVE_LATENCY ? "its longest way"
                                                      : "its longest way, where nothing waits",
                   &options->least);
    take_least(found->row_ns, found->bound_by, &options->least_row);
    const bool own = found->bottleneck_ns >= bounds.bottleneck_ns;
    const double ns = own ? found->bottleneck_ns : bounds.bottleneck_ns;
    const double per_s = ns > 0 ? 1e9 * problem->batch / ns : 0;
    if (objective == MLY_OBJECTIVE_LATENCY || per_s <= options->most_per_s)
        return MLY_OK;
    options->most_per_s = per_s;
    snprintf(options->most_by, sizeof options->most_by, "%s",
             own ? found->bound_by : bounds.bottleneck_by);
    return MLY_OK;
}

static double best_score(const struct options *options, enum mly_objective objective)
{
    double best = 0;
    for (size_t i = 0; i < options->count; i++)
        best = fmax(best, mly__plan_score(&options->items[i].plan->prediction, objective));
    return best;
}

/* 4. Can a plan for this batch size win over what was found for others? */
static enum mly_status may_win(const struct mly__problem *problem, const struct options *options,
                               bool *out, struct mly_error *err)
{
    const struct mly_plan_request *request = problem->request;
    struct mly__bounds bounds;
    *out = true;
    if (request->objective != MLY_OBJECTIVE_THROUGHPUT || request->ratio_count ||
        request->must_cut || !options->count)
        return MLY_OK;
    const double enough = best_score(options, request->objective) *
                          (all_modelled(request) ? 1 - tie_share : 1 - estimate_share);
    enum mly_status status = mly__problem_bounds(problem, &bounds, err);
    *out = !status && 1e9 * problem->batch >= enough * bounds.bottleneck_ns;
    return status;
}

static enum mly_status solve(const struct mly_plan_request *request, uint32_t batch,
                             const char *planner, mly__find *find, struct options *options,
                             struct mly_error *err)
{
    struct mly__problem *problem = NULL;
    struct mly__found found = {0};
    bool searched = false;
    enum mly_status status = mly__plan_go_on(request, err);
    if (!status)
        status = mly__problem_create(request, batch, MLY__UNITS_FUSED, &problem, err);
    if (!status)
        status = may_win(problem, options, &searched, err);
    if (!status && searched)
        status = find(problem, &found, err);
    if (!status)
        status = add_wholes(problem, &found, err);
    if (!status)
        status = take_bounds(problem, &found, options, err);
    for (uint32_t i = 0; !status && i < found.count; i++)
        status = add_option(problem, &found, &found.layouts[i], planner, options, err);
    mly__found_fini(&found);
    mly__problem_destroy(problem);
    return status;
}

static int compare_options(const void *a, const void *b)
{
    const struct option *x = a, *y = b;
    return mly__plan_compare(&x->alternative, &y->alternative, x->objective);
}

/* Candidates are kept best first; the baseline came last. */
static void sink_baseline(mly_plan *plan)
{
    for (uint32_t i = plan->candidate_count; i-- > 1;) {
        struct mly_plan_candidate *c = &plan->candidates[i];
        if (!(mly__plan_score(&c->prediction, plan->objective) >
              mly__plan_score(&c[-1].prediction, plan->objective)))
            break;
        const struct mly_plan_candidate kept = *c;
        *c = c[-1];
        c[-1] = kept;
    }
}

enum mly_status mly__plan_add_baseline(const struct mly_plan_request *request, const char *planner,
                                       mly_plan *plan, struct mly_error *err)
{
    const struct mly_cost_entry *entry, *best = NULL;
    char text[MLY__PLAN_CONFIG_TEXT_BYTES];
    for (size_t i = 0; request->costs && (entry = mly_cost_table_at(request->costs, i)); i++)
        if (entry->scope == MLY_COST_MODEL && entry->config.runtime_defaults &&
            entry->config.batch == plan->batch)
            best = entry;
    if (!best)
        return MLY_OK;
    struct mly__plan_memory memory;
    enum mly_status status = mly__plan_memory_whole(request->model, plan->batch,
                                                    mly__plan_shapes(request->costs), &memory, err);
    if (status)
        return status;
    struct mly_prediction prediction = mly__plan_predict_whole(best, &memory);
    if (request->rate_per_s > 0)
        prediction.loaded_latency_ns =
            mly__queue_latency_ns(request->rate_per_s, plan->batch, 1, prediction.throughput_per_s,
                                  prediction.latency_ns, prediction.spread);
    status = mly__plan_add_candidate(plan, mly__plan_config_text(&best->config, text), planner,
                                     &prediction, false, err);
    if (status)
        return status;
    plan->candidates[plan->candidate_count - 1].baseline = true;
    sink_baseline(plan);
    return MLY_OK;
}

/* Nothing that was found has what the objective looks at. */
static enum mly_status nothing_to_compare(const struct mly_plan_request *request,
                                          const char *planner, struct mly_error *err)
{
    const char *measured = request->processors ? NULL : "the cores of this box";
    for (size_t i = 0; request->processors && !measured && i < request->processors->count; i++)
        if (!request->processors->items[i].modelled)
            measured = request->processors->items[i].id;
    if (request->objective != MLY_OBJECTIVE_ENERGY || !measured)
        return mly_error_set(err, MLY_E_NOT_FOUND,
                             "planner %s: nothing that can be compared for %s was found", planner,
                             mly_objective_name(request->objective));
    return mly_error_set(err, MLY_E_NOT_FOUND,
                         "planner %s: the energy of segments on %.100s is not known, as it is of "
                         "modelled processors "
                         "only. Of whole models on core groups it is where `motley profile` could "
                         "read a power sensor "
                         "(`motley devices` lists them): planners single and groups choose by that",
                         planner, measured);
}

static enum mly_status take_winner(const struct mly_plan_request *request, const char *planner,
                                   struct options *options, mly_plan **out, struct mly_error *err)
{
    struct mly__alternative *alternatives = mly_alloc_array(options->count, sizeof *alternatives);
    if (!alternatives)
        return mly__problem_no_memory(err);
    qsort(options->items, options->count, sizeof *options->items, compare_options);
    for (size_t i = 0; i < options->count; i++)
        alternatives[i] = options->items[i].alternative;
    const size_t winner = mly__plan_choose(alternatives, options->count, request->objective);
    mly_free(alternatives);
    if (winner == options->count)
        return nothing_to_compare(request, planner, err);
    mly_plan *plan = options->items[winner].plan;
    enum mly_status status = MLY_OK;
    for (size_t i = 0; !status && i < options->count; i++)
        status = mly__plan_add_candidate(plan, options->items[i].description, planner,
                                         &options->items[i].plan->prediction, i == winner, err);
    if (!status)
        status = mly__plan_add_baseline(request, planner, plan, err);
    plan->most_per_s = options->most_per_s;
    memcpy(plan->most_by, options->most_by, sizeof plan->most_by);
    plan->least = options->least;
    plan->least_row = options->least_row;
    plan->bounds_measured = !all_modelled(request);
    if (!status)
        status = mly__plan_write_words(plan, err);
    if (status)
        return status;
    options->items[winner].plan = NULL;
    *out = plan;
    return MLY_OK;
}

bool mly__plan_may_pass_over(enum mly_status status)
{
    return status == MLY_E_NOT_FOUND || status == MLY_E_LIMIT || status == MLY_E_UNSUPPORTED;
}

enum mly_status mly__plan_by(const struct mly_plan_request *request, const char *planner,
                             mly__find *find, mly_plan **out, struct mly_error *err)
{
    struct batches batches = {0};
    struct options options = {0};
    struct mly_error reason = {0};
    enum mly_status status = MLY_OK;
    bool whole = true; /* every batch size could be planned */
    choose_batches(request, &batches);
    for (uint32_t i = batches.count; !status && i-- > 0;) {
        status = solve(request, batches.items[i], planner, find, &options, &reason);
        whole = whole && !status;
        if (mly__plan_may_pass_over(status) && (options.count || i > 0))
            status = MLY_OK;
    }
    if (!whole)
        options.most_per_s = options.least.ns = options.least_row.ns = 0;
    if (!status && !options.count)
        status = options.reason.status ? options.reason.status : reason.status;
    if (status)
        status = mly_error_set(err, status, "%s",
                               reason.message[0] ? reason.message : options.reason.message);
    else
        status = take_winner(request, planner, &options, out, err);
    options_fini(&options);
    return status;
}

/* Forgets what was said of the plan before: it is an alternative among others now. */
static bool forget_words(mly_plan *plan, const char *planner, const char *note)
{
    mly__plan_candidates_free(plan->candidates, plan->candidate_count);
    plan->candidates = NULL;
    plan->candidate_count = 0;
    mly_free(plan->why);
    mly_free(plan->note);
    mly_free(plan->account);
    plan->why = plan->note = NULL;
    plan->account = note[0] ? mly_strdup(note) : NULL;
    snprintf(plan->planner, sizeof plan->planner, "%s", planner);
    return plan->account || !note[0];
}

enum mly_status mly_plan_take_best(const struct mly_plan_request *request, const char *planner,
                                   const char *note, mly_plan **plans, size_t count, mly_plan **out,
                                   struct mly_error *err)
{
    struct options options = {0};
    enum mly_status status = MLY_OK;
    options.items = mly_alloc_array(count, sizeof *options.items);
    for (size_t i = 0; i < count; i++) {
        char *text = options.items ? mly_plan_describe(plans[i]) : NULL;
        if (!text || !forget_words(plans[i], planner, note)) {
            mly_free(text);
            mly_plan_destroy(plans[i]);
            status = mly__problem_no_memory(err);
        } else {
            options.items[options.count++] =
                (struct option){.plan = plans[i],
                                .description = text,
                                .alternative = alternative_of(request, plans[i], text),
                                .objective = request->objective};
            drop_worse(&options, request->objective);
        }
        plans[i] = NULL;
    }
    if (status == MLY_OK)
        status = options.count ? take_winner(request, planner, &options, out, err)
                               : mly_error_set(err, MLY_E_NOT_FOUND, "there is no plan to choose");
    options_fini(&options);
    return status;
}
