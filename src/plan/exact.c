/*
 * `exact`: the best pipeline there is.
 *
 *   1. A good one is found as `pipeline` finds it. Where it is as fast as a bound says that none can exceed
 *      (bounds.c), it is the best.
 *   2. The best along all downsets (stages.c), where there are few enough of them, and of stages between.
 *   3. Where there are too many: the best of a problem that no pipeline can beat (relax.c), with ever more of
 *      the cheapest units computed for nothing, until it has few enough. That bounds how much better than
 *      the one of 1 any can be. Chains are also contracted, which may find a better one.
 *   4. What is not proved to be within a few per cent of the best is not called exact.
 */
#include <stdio.h>
#include <string.h>

#include "problem_private.h"
#include "stages.h"

/* How far from the best it may be that is still given, if that is said. */
static const double gap_max = 0.05;
/* Nearer than this is the best, but for rounding. */
static const double rounding = 1e-9;

static const double relaxed_shares[] = {0, 0.001, 0.003, 0.01, 0.02, 0.04};

/* How many downsets there may be in one search, and stages looked at in all. */
struct limits {
    uint32_t downsets;
    uint64_t stages;
};
static const struct limits patient = {100000, 100000000}, hasty = {4096, 250000};

static struct limits limits_of(const struct mly__problem *problem)
{
    return problem->request->brief ? hasty : patient;
}

/* What is known of the best pipeline: none is better than `bound`, one of value `best` was found. */
struct proof {
    bool sums;
    double bound, best;
    uint32_t downsets; /* of the largest search */
    uint32_t units;    /* of the problem that the bound is of */
    uint64_t work_left;
    struct mly_error gave_up;
};

/* Searches along all downsets; what is worse than the bound is not looked at. */
static enum mly_status search_all(const struct mly__problem *problem, struct proof *proof,
                                  struct mly__found *found, struct mly_error *err)
{
    const struct limits limits = limits_of(problem);
    struct mly__downsets downsets;
    enum mly_status status = mly__downsets_all(&downsets, problem, limits.downsets, err);
    if (status) {
        proof->downsets = limits.downsets > proof->downsets ? limits.downsets : proof->downsets;
        return status;
    }
    if (downsets.count > proof->downsets)
        proof->downsets = downsets.count;
    status = mly__stages_search(&downsets, proof->sums, proof->best, &proof->work_left, found, err);
    mly__downsets_fini(&downsets);
    return status;
}

/* What the search is about, of the best that was found; infinite for nothing. */
static enum mly_status least_value(const struct mly__problem *problem, bool sums,
                                   const struct mly__found *found, double *out,
                                   struct mly_error *err)
{
    struct mly__layout_value least;
    enum mly_status status = mly__found_least(problem, found, &least, err);
    if (!status)
        *out = mly__stages_value(problem, sums, &least);
    return status;
}

/* 3. Chains contracted: what is found there is real. */
static enum mly_status improve_contracted(const struct mly__problem *problem, struct proof *proof,
                                          struct mly__found *found, struct mly_error *err)
{
    enum mly_status status = MLY_E_LIMIT;
    for (int keep_bridges = 1; status == MLY_E_LIMIT && keep_bridges >= 0; keep_bridges--) {
        struct mly__problem *coarse = NULL;
        struct mly__found coarse_found = {0};
        struct mly_error reason = {0};
        status = mly__problem_contract(problem, keep_bridges != 0, &coarse, &reason);
        if (!status)
            status = search_all(coarse, proof, &coarse_found, &reason);
        if (!status)
            status = mly__found_add_refined(found, &coarse_found, coarse, problem, &reason);
        mly__found_fini(&coarse_found);
        mly__problem_destroy(coarse);
        if (status && status != MLY_E_LIMIT)
            return mly_error_set(err, status, "%s", reason.message);
    }
    double best;
    status = least_value(problem, proof->sums, found, &best, err);
    if (!status)
        proof->best = fmin(proof->best, best);
    return status;
}

/* 3. Raises the bound; MLY_OK also where no relaxed problem is small enough. */
static enum mly_status bound_relaxed(const struct mly__problem *problem, struct proof *proof,
                                     struct mly_error *err)
{
    for (size_t i = 0; i < MLY__COUNT(relaxed_shares); i++) {
        struct mly__problem *relaxed = NULL;
        struct mly__found found = {0};
        struct mly_error reason = {0};
        double best = INFINITY;
        enum mly_status status = mly__problem_relax(problem, relaxed_shares[i], &relaxed, &reason);
        if (!status && relaxed->unit_count == problem->unit_count)
            status = MLY_E_LIMIT; /* it was too large before */
        if (!status)
            status = search_all(relaxed, proof, &found, &reason);
        if (!status)
            status = least_value(relaxed, proof->sums, &found, &best, &reason);
        if (!status) {
            /* Nothing within the bound of the search: then that is the best of the relaxed problem. */
            proof->bound = fmax(proof->bound, fmin(best, proof->best));
            proof->units = relaxed->unit_count;
        }
        mly__found_fini(&found);
        mly__problem_destroy(relaxed);
        if (!status)
            return MLY_OK;
        if (status != MLY_E_LIMIT)
            return mly_error_set(err, status, "%s", reason.message);
    }
    return MLY_OK;
}

/* What was searched: sums are of segments that run one after the other. */
static const char *kind_of(bool sums)
{
    return sums ? "rows of segments" : "pipelines";
}

/* 3, 4. */
static enum mly_status near_best(const struct mly__problem *problem, struct proof *proof,
                                 struct mly__found *found, struct mly_error *err)
{
    /* Of energy the search's sums leave out what processors wait for each other. */
    if (problem->request->objective == MLY_OBJECTIVE_ENERGY)
        return mly_error_set(err, MLY_E_LIMIT, "planner exact: %.900s", proof->gave_up.message);
    if (!proof->work_left)
        return mly_error_set(err, MLY_E_LIMIT, "planner exact: %.900s", proof->gave_up.message);
    enum mly_status status = improve_contracted(problem, proof, found, err);
    if (!status)
        status = bound_relaxed(problem, proof, err);
    if (status)
        return status;
    const double gap = proof->best / proof->bound - 1;
    if (!(gap <= gap_max))
        return mly_error_set(err, MLY_E_LIMIT,
                             "planner exact: %.500s; with %u of them looked at nothing better than "
                             "%.2f %% above a bound is known",
                             proof->gave_up.message, proof->downsets, gap * 100);
    snprintf(found->note, sizeof found->note,
             "%s of %u parts searched, %u of these as if they took no time, for there are too many "
             "ways to cut",
             kind_of(proof->sums), problem->unit_count, problem->unit_count - proof->units);
    return MLY_OK;
}

static enum mly_status begin_proof(const struct mly__problem *problem, bool sums,
                                   struct proof *proof, struct mly__found *found,
                                   struct mly_error *err)
{
    struct mly__bounds bounds;
    *proof = (struct proof){.sums = sums, .work_left = limits_of(problem).stages};
    enum mly_status status = mly__pipeline_reach(problem, sums, found, &proof->best, err);
    if (!status && !sums)
        status = mly__problem_bounds(problem, &bounds, err);
    if (!status && !sums)
        proof->bound = bounds.bottleneck_ns;
    return status;
}

static enum mly_status prove(const struct mly__problem *problem, bool sums,
                             struct mly__found *found, struct mly_error *err)
{
    struct proof proof;
    enum mly_status status = begin_proof(problem, sums, &proof, found, err);
    if (status)
        return status;
    if (!(proof.best <= proof.bound * (1 + rounding))) {
        status = search_all(problem, &proof, found, &proof.gave_up);
        if (status && status != MLY_E_LIMIT)
            return mly_error_set(err, status, "planner exact: %.900s", proof.gave_up.message);
        if (status) {
            status = near_best(problem, &proof, found, err);
        } else {
            const bool all =
                mly__stages_may_mix(problem) && problem->request->objective != MLY_OBJECTIVE_ENERGY;
            status = least_value(problem, sums, found, &proof.bound, err);
            snprintf(found->note, sizeof found->note, "%s%s of %u parts searched (%u first parts)",
                     all ? "all " : "", kind_of(sums), problem->unit_count, proof.downsets);
        }
    }
    /* Where not every mixture of processors was tried, nothing is proved. */
    if (!status && mly__stages_may_mix(problem)) {
        if (!sums)
            found->bottleneck_ns = proof.bound;
        else if (problem->request->objective == MLY_OBJECTIVE_LATENCY)
            found->row_ns = proof.bound;
        snprintf(found->bound_by, sizeof found->bound_by, "what the exact search proved");
    }
    return status;
}

enum mly_status mly__exact_find(const struct mly__problem *problem, struct mly__found *found,
                                struct mly_error *err)
{
    const enum mly_objective objective = problem->request->objective;
    const bool sums = objective == MLY_OBJECTIVE_LATENCY || objective == MLY_OBJECTIVE_ENERGY;
    enum mly_status status = prove(problem, sums, found, err);
    /* What waits least at a rate may be short rather than fast. */
    if (!status && objective == MLY_OBJECTIVE_LATENCY_AT_RATE)
        status = prove(problem, true, found, err);
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
