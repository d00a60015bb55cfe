/*
 * `exact`: the best pipeline there is (stages.c) along all downsets. When there are too many, chains of
 * units inside parallel branches are contracted, then all chains; what was contracted is said.
 */
#include <stdio.h>
#include <string.h>

#include "problem_private.h"
#include "stages.h"

#define DOWNSETS_MAX 2048u

static enum mly_status search_all(const struct mly__problem *problem, bool sums, double bound,
                                  struct mly__found *found, uint32_t *count, struct mly_error *err)
{
    struct mly__downsets downsets;
    enum mly_status status = mly__downsets_all(&downsets, problem, DOWNSETS_MAX, err);
    if (status)
        return status;
    *count = downsets.count;
    status = mly__stages_search(&downsets, sums, bound, found, err);
    mly__downsets_fini(&downsets);
    return status;
}

/* Tries the problem as it is, then contracted more and more while it is too large. */
static enum mly_status search_contracted(const struct mly__problem *problem, bool sums,
                                         double bound, struct mly__found *found,
                                         struct mly_error *err)
{
    uint32_t downsets = 0;
    struct mly_error reason = {0};
    enum mly_status status = search_all(problem, sums, bound, found, &downsets, &reason);
    if (!status) {
        snprintf(found->note, sizeof found->note,
                 "the best of all pipelines of %u parts (%u first parts looked at)",
                 problem->unit_count, downsets);
        return MLY_OK;
    }
    for (int keep_bridges = 1; status == MLY_E_LIMIT && keep_bridges >= 0; keep_bridges--) {
        struct mly__problem *coarse = NULL;
        struct mly__found coarse_found = {0};
        status = mly__problem_contract(problem, keep_bridges != 0, &coarse, &reason);
        if (!status)
            status = search_all(coarse, sums, bound, &coarse_found, &downsets, &reason);
        if (!status)
            status = mly__found_add_refined(found, &coarse_found, coarse, problem, &reason);
        if (!status)
            snprintf(found->note, sizeof found->note,
                     "the best of all pipelines of %u parts, which %u were contracted to (%u first "
                     "parts looked at)",
                     coarse->unit_count, problem->unit_count, downsets);
        mly__found_fini(&coarse_found);
        mly__problem_destroy(coarse);
    }
    return status ? mly_error_set(err, status, "planner exact: %.900s", reason.message) : MLY_OK;
}

enum mly_status mly__exact_find(const struct mly__problem *problem, struct mly__found *found,
                                struct mly_error *err)
{
    const enum mly_objective objective = problem->request->objective;
    const bool sums = objective == MLY_OBJECTIVE_LATENCY || objective == MLY_OBJECTIVE_ENERGY;
    double bound = INFINITY;
    enum mly_status status = MLY_OK;
    if (!sums)
        status = mly__pipeline_reach(problem, &bound, err);
    if (!status)
        status = search_contracted(problem, sums, bound, found, err);
    /* What waits least at a rate may be short rather than fast. */
    if (!status && objective == MLY_OBJECTIVE_LATENCY_AT_RATE)
        status = search_contracted(problem, true, INFINITY, found, err);
    return status;
}

static enum mly_status make_exact(const struct mly_plan_request *request, mly_plan **out,
                                  struct mly_error *err)
{
    return mly__plan_by(request, "exact", mly__exact_find, out, err);
}

const struct mly_planner mly__planner_exact = {
    .name = "exact",
    .summary = "the best pipeline of segments there is, where there are few enough ways to cut",
    .make = make_exact,
};
