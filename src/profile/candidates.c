/*
 * Which candidates are measured, and which of them wins.
 *
 *   1. Every planner makes its plan, `pipeline` also the best ones of 2, 3… segments, whatever the estimates
 *      say against them. Candidates are the best few of several segments, by prediction, and those of one,
 *      which were measured before.
 *   2. Sample segments of their processors are measured first (costs.c fits predictions to them), then the
 *      segments of each candidate, while the budget lasts.
 *   3. With what was measured in the table the candidates are predicted anew; the best wins.
 */
#include "candidates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "model/cut.h"

enum { PLANS_MAX = 32, CANDIDATES = 4, SEGMENTS_TRIED = 4 };

static const int64_t budget_default_ns = 10000000000;
static const int64_t slice_max_ns = 1000000000, slice_min_ns = 50000000;

struct trial {
    mly_model *model;
    const struct mly_plan_request *request;
    const struct mly_profile_options *options;
    mly_cost_table *table;
    mly_plan *plans[PLANS_MAX];
    size_t count;
    int64_t begin_ns, budget_ns;
    struct mly_error reason; /* of the planner that failed last */
};

static void say(const struct trial *trial, const char *text)
{
    if (trial->options->remark)
        trial->options->remark(text, trial->options->user);
}

/* --- 1 --- */

static bool is_same(const mly_plan *a, const mly_plan *b)
{
    if (a->segment_count != b->segment_count || a->batch != b->batch ||
        a->processor_count != b->processor_count)
        return false;
    for (uint32_t i = 0; i < a->processor_count; i++)
        if (strcmp(a->processors[i].id, b->processors[i].id) != 0 ||
            a->processors[i].spin != b->processors[i].spin ||
            a->processors[i].runtime_defaults != b->processors[i].runtime_defaults)
            return false;
    for (uint32_t i = 0; i < a->segment_count; i++) {
        const struct mly_plan_segment *x = &a->segments[i], *y = &b->segments[i];
        if (x->node_count != y->node_count || x->processor_count != y->processor_count ||
            (x->node_count && memcmp(x->nodes, y->nodes, x->node_count * sizeof *x->nodes) != 0) ||
            memcmp(x->processors, y->processors, x->processor_count * sizeof *x->processors) != 0)
            return false;
    }
    return true;
}

/* A planner that is not made for the request, or finds nothing, is no failure. */
static enum mly_status try_planner(struct trial *trial, const struct mly_planner *planner,
                                   uint32_t segments_max, struct mly_error *err)
{
    struct mly_plan_request request = *trial->request;
    mly_plan *plan = NULL;
    request.segments_max = segments_max;
    request.must_cut = segments_max > 0;
    if (trial->count == PLANS_MAX)
        return MLY_OK;
    enum mly_status status = mly_plan_make(planner->name, &request, &plan, &trial->reason);
    if (status == MLY_E_NO_MEMORY || status == MLY_E_CANCELLED)
        return mly_error_set(err, status, "%s", trial->reason.message);
    if (status != MLY_OK)
        return MLY_OK;
    for (size_t i = 0; i < trial->count; i++) {
        if (is_same(trial->plans[i], plan)) {
            mly_plan_destroy(plan);
            return MLY_OK;
        }
    }
    trial->plans[trial->count++] = plan;
    return MLY_OK;
}

static enum mly_status gather(struct trial *trial, struct mly_error *err)
{
    const struct mly_planner *planner;
    enum mly_status status = MLY_OK;
    for (size_t i = 0; status == MLY_OK && (planner = mly_planner_at(i)); i++) {
        if (planner->by_name_only)
            continue;
        status = try_planner(trial, planner, 0, err);
        for (uint32_t n = 2; status == MLY_OK && n <= SEGMENTS_TRIED; n++)
            if (strcmp(planner->name, "pipeline") == 0)
                status = try_planner(trial, planner, n, err);
    }
    if (status == MLY_OK && trial->count == 0)
        status = mly_error_set(err, trial->reason.status, "%s", trial->reason.message);
    return status;
}

static double value_of(const mly_plan *plan)
{
    switch (plan->objective) {
    case MLY_OBJECTIVE_LATENCY:
        return 1 / plan->prediction.latency_ns;
    case MLY_OBJECTIVE_LATENCY_AT_RATE:
        return 1 / plan->prediction.loaded_latency_ns;
    case MLY_OBJECTIVE_ENERGY:
        return plan->prediction.energy_j > 0 ? 1 / plan->prediction.energy_j : 0;
    case MLY_OBJECTIVE_THROUGHPUT:
        break;
    }
    return plan->prediction.throughput_per_s;
}

static int compare_plans(const void *a, const void *b)
{
    const double x = value_of(*(mly_plan *const *)a), y = value_of(*(mly_plan *const *)b);
    return (x < y) - (x > y);
}

static void keep_best_cuts(struct trial *trial)
{
    size_t kept = 0, cuts = 0;
    for (size_t i = 0; i < trial->count; i++) {
        cuts += trial->plans[i]->segment_count > 1;
        if (trial->plans[i]->segment_count > 1 && cuts > CANDIDATES)
            mly_plan_destroy(trial->plans[i]);
        else
            trial->plans[kept++] = trial->plans[i];
    }
    trial->count = kept;
}

/* --- 2 --- */

static enum mly_status report(const struct trial *trial, const char *text, struct mly_error *err)
{
    const double share = (double)(mly_now_ns() - trial->begin_ns) / (double)(trial->budget_ns + 1);
    const struct mly_profile_progress progress = {.fraction = share < 1 ? share : 1, .text = text};
    if (trial->options->progress && !trial->options->progress(&progress, trial->options->user))
        return mly_error_set(err, MLY_E_CANCELLED, "measuring was interrupted");
    return MLY_OK;
}

/* What is left of the budget, for `parts` measurements more. */
static int64_t slice_for(const struct trial *trial, size_t parts)
{
    const int64_t left = trial->budget_ns - (mly_now_ns() - trial->begin_ns);
    const int64_t slice = left / (int64_t)(parts ? parts : 1);
    return slice > slice_max_ns ? slice_max_ns : slice;
}

/* The plan's processors, each running every part of an even cut: to be measured, never to be run. */
static enum mly_status sample_plan(const struct trial *trial, const mly_plan *like, uint32_t parts,
                                   mly_plan **out, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(trial->model);
    struct mly_shape *shapes = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *shapes);
    uint32_t *part_of = mly_alloc_array((size_t)graph->node_count + 1, sizeof *part_of);
    mly_plan *plan = NULL;
    enum mly_status status = shapes && part_of
                                 ? mly_plan_dup(like, &plan, err)
                                 : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for samples");
    if (status == MLY_OK)
        status = mly_graph_bind(trial->model, like->batch, trial->options->bindings,
                                trial->options->binding_count, shapes, err);
    /* Too few places to cut: no samples of so many parts. */
    if (status == MLY_OK &&
        mly_cut_balanced(graph, MLY_CUT_BETWEEN_PATTERNS, shapes, parts, part_of, NULL) == MLY_OK)
        status = mly_plan_recut(plan, graph->node_count, part_of, parts, err);
    else if (status == MLY_OK) {
        mly_plan_destroy(plan);
        plan = NULL;
    }
    mly_free(shapes);
    mly_free(part_of);
    if (status != MLY_OK) {
        mly_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return MLY_OK;
}

static enum mly_status measure_samples(struct trial *trial, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    uint32_t parts;
    for (size_t i = 0; status == MLY_OK && (parts = mly_plan_sample_parts(i)); i++) {
        mly_plan *plan = NULL;
        if (slice_for(trial, 8) < slice_min_ns)
            break;
        status = report(trial, "sample segments", err);
        if (status == MLY_OK)
            status = sample_plan(trial, trial->plans[0], parts, &plan, err);
        if (status == MLY_OK && plan)
            status = mly_profile_plan(trial->model, plan, trial->options, slice_min_ns,
                                      trial->table, err);
        mly_plan_destroy(plan);
        if (status != MLY_OK && status != MLY_E_CANCELLED && status != MLY_E_NO_MEMORY)
            status = MLY_OK; /* predictions are fitted to fewer samples, or to none */
    }
    return status;
}

static void leave_out(struct trial *trial, size_t index, const char *why)
{
    char text[MLY_ERROR_MESSAGE_BYTES];
    snprintf(text, sizeof text, "a candidate is left out: %.900s", why);
    say(trial, text);
    mly_plan_destroy(trial->plans[index]);
    memmove(trial->plans + index, trial->plans + index + 1,
            (--trial->count - index) * sizeof *trial->plans);
}

/* *count: candidates whose measurements are in the table, from the first on. */
static enum mly_status measure(struct trial *trial, size_t *count, struct mly_error *err)
{
    size_t done = 0;
    bool measured_one = false; /* of several segments */
    for (size_t i = 0; i < trial->count;) {
        struct mly_error why = {0};
        char *text = mly_plan_describe(trial->plans[i]);
        const int64_t slice = slice_for(trial, trial->count - i);
        enum mly_status status =
            text ? report(trial, text, err)
                 : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for measuring");
        mly_free(text);
        if (status != MLY_OK)
            return status;
        /* The first one of several segments is measured however short the budget is. */
        if (measured_one && slice < slice_min_ns) {
            say(trial, "not every candidate was measured within the budget (more: --budget)");
            break;
        }
        status = mly_profile_plan(trial->model, trial->plans[i], trial->options,
                                  slice < slice_min_ns ? slice_min_ns : slice, trial->table, &why);
        if (status == MLY_E_CANCELLED || status == MLY_E_NO_MEMORY)
            return mly_error_set(err, status, "%s", why.message);
        if (status == MLY_OK) {
            measured_one = measured_one || trial->plans[i]->segment_count > 1;
            i++;
            done++;
        } else {
            leave_out(trial, i, why.message);
        }
    }
    *count = done;
    return done ? MLY_OK
                : mly_error_set(
                      err, MLY_E_BACKEND,
                      "none of the candidates could be measured: their reasons were given");
}

/* --- 3 --- */

static bool is_modelled(const mly_plan *plan, uint32_t processor)
{
    return strcmp(plan->processors[processor].backend, "modelled") == 0;
}

/* Has the plan a segment on a modelled processor (or, the other way round, on one that is measured)? */
static bool has_segment_on(const mly_plan *plan, bool modelled)
{
    for (uint32_t i = 0; i < plan->segment_count; i++)
        for (uint32_t k = 0; k < plan->segments[i].processor_count; k++)
            if (is_modelled(plan, plan->segments[i].processors[k]) == modelled)
                return true;
    return false;
}

/* What of the candidates was measured, for the plan's note and the user. */
static enum mly_status say_what_was_measured(const struct trial *trial, size_t done, char **note,
                                             struct mly_error *err)
{
    size_t modelled = 0, measured = 0;
    for (size_t i = 0; i < trial->count; i++) {
        modelled += has_segment_on(trial->plans[i], true);
        measured += i < done && has_segment_on(trial->plans[i], false);
    }
    const char *device_files =
        "modelled processors take what their device files say, which needs no "
        "measuring";
    if (!measured)
        *note = mly_strfmt("none of %zu candidates was measured: %s", trial->count, device_files);
    else if (modelled)
        *note =
            mly_strfmt("%zu of %zu candidates were measured on this box; in %zu of %zu some or all "
                       "segments are modelled: %s",
                       measured, trial->count, modelled, trial->count, device_files);
    else
        *note = mly_strfmt("%zu of %zu candidates were measured", measured, trial->count);
    if (!*note)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a note");
    if (modelled)
        say(trial, *note);
    return MLY_OK;
}

static enum mly_status predict_anew(struct trial *trial, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    for (size_t i = 0; status == MLY_OK && i < trial->count; i++)
        status = mly_plan_evaluate(trial->plans[i], trial->model, trial->table,
                                   &trial->plans[i]->prediction, err);
    return status;
}

enum mly_status mly_profile_candidates(mly_model *model, const struct mly_plan_request *request,
                                       const struct mly_profile_options *options,
                                       mly_cost_table *table, mly_plan **out, struct mly_error *err)
{
    struct trial *trial = mly_alloc(sizeof *trial);
    if (!trial)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for measuring");
    *trial = (struct trial){.model = model,
                            .request = request,
                            .options = options,
                            .table = table,
                            .begin_ns = mly_now_ns(),
                            .budget_ns =
                                options->budget_ns > 0 ? options->budget_ns : budget_default_ns};
    enum mly_status status = gather(trial, err);
    if (status == MLY_OK) {
        qsort(trial->plans, trial->count, sizeof *trial->plans, compare_plans);
        keep_best_cuts(trial);
        status = measure_samples(trial, err);
    }
    size_t done = 0;
    char *note = NULL;
    if (status == MLY_OK)
        status = measure(trial, &done, err);
    if (status == MLY_OK)
        status = say_what_was_measured(trial, done, &note, err);
    if (status == MLY_OK)
        status = predict_anew(trial, err);
    if (status == MLY_OK)
        status =
            mly_plan_take_best(request, "profiled", note, trial->plans, trial->count, out, err);
    mly_free(note);
    for (size_t i = 0; i < trial->count; i++)
        mly_plan_destroy(trial->plans[i]);
    mly_free(trial);
    return status;
}
