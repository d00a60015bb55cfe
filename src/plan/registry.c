/*
 * The planners by name, and `auto`, which runs them all.
 *
 *   1. Planners that cannot serve the request (nothing measured, too little memory, not made for
 *      it) are passed over; any other failure ends it.
 *   2. Their candidates become one list, best first, each configuration once.
 *   3. Of the plans, the winner is chosen by the rule of choose.c, against the best candidate of
 *      all that may win: so two ties in a row do not add up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "desk.h"
#include "internal.h"

/* Simpler planners first: where two make the same plan, it is the first one's. */
static const struct mly_planner *const planners[] = {
    &mly__planner_single, &mly__planner_groups,     &mly__planner_pipeline,
    &mly__planner_exact,  &mly__planner_min_cut,    &mly__planner_metis,
    &mly__planner_data,   &mly__planner_parameters, &mly__planner_bisection,
};

enum { PLANNER_COUNT = MLY__COUNT(planners) };

const struct mly_planner *mly_planner_at(size_t index)
{
    return index < PLANNER_COUNT ? planners[index] : NULL;
}

const struct mly_planner *mly_planner_find(const char *name)
{
    for (size_t i = 0; i < PLANNER_COUNT; i++)
        if (!strcmp(planners[i]->name, name))
            return planners[i];
    return NULL;
}

/* --- 1 --- */

static bool may_pass_over(enum mly_status status)
{
    return status == MLY_E_NOT_FOUND || status == MLY_E_LIMIT || status == MLY_E_UNSUPPORTED;
}

/* What one planner did, for the list of those that ran. */
static bool note_run(struct mly_plan_run *run, const char *planner, int64_t begin_ns,
                     const mly_plan *plan, const char *reason)
{
    *run = (struct mly_plan_run){.made = plan != NULL, .elapsed_ns = mly_now_ns() - begin_ns};
    snprintf(run->planner, sizeof run->planner, "%s", planner);
    if (plan)
        run->prediction = plan->prediction;
    run->reason = plan ? mly_plan_describe(plan) : mly_strdup(reason);
    if (plan && plan->note && run->reason) {
        char *line = run->reason;
        run->reason = mly_strfmt("%s; %s", line, plan->note);
        mly_free(line);
    }
    return run->reason != NULL;
}

/* The plans made so far, and who made them. */
struct attempts {
    mly_plan *made[PLANNER_COUNT];
    char *chosen[PLANNER_COUNT]; /* description of each plan's own candidate */
    size_t made_count;
    struct mly_plan_run runs[PLANNER_COUNT];
    uint32_t run_count;
};

static enum mly_status run_all(const struct mly_plan_request *request, struct attempts *attempts,
                               struct mly_error *err)
{
    struct mly_error reason = {0}, said = {0};
    struct mly_plan_request brief = *request;
    brief.brief = true;
    for (size_t i = 0; i < PLANNER_COUNT; i++) {
        if (planners[i]->by_name_only)
            continue;
        mly_plan *plan = NULL;
        const int64_t begin_ns = mly_now_ns();
        enum mly_status status = planners[i]->make(&brief, &plan, &reason);
        if (status && !may_pass_over(status))
            return mly_error_set(err, status, "%s", reason.message);
        if (!status)
            attempts->made[attempts->made_count++] = plan;
        if (!note_run(&attempts->runs[attempts->run_count++], planners[i]->name, begin_ns, plan,
                      reason.message))
            return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a plan");
        /* That a planner is not made for a request helps nobody who can be told what to measure. */
        if (status && (said.status == MLY_OK || said.status == MLY_E_UNSUPPORTED))
            said = reason;
    }
    return attempts->made_count ? MLY_OK : mly_error_set(err, said.status, "%s", said.message);
}

/* --- 2 --- */

struct listed {
    struct mly_plan_candidate candidate; /* moved here from its plan */
    struct mly__alternative alternative;
    enum mly_objective objective;
};

static int compare_listed(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return mly__plan_compare(&x->alternative, &y->alternative, x->objective);
}

/* The same thing said twice; the same words for what gives something else are another candidate. */
static bool is_listed(const struct listed *list, size_t count, const struct mly_plan_candidate *c)
{
    for (size_t i = 0; i < count; i++) {
        const struct mly_prediction *p = &list[i].candidate.prediction;
        if (!strcmp(list[i].candidate.description, c->description) &&
            p->throughput_per_s == c->prediction.throughput_per_s &&
            p->latency_ns == c->prediction.latency_ns)
            return true;
    }
    return false;
}

/* Moves every plan's candidates into *list, sorted. Names stay the candidates' own. */
static enum mly_status merge(const struct mly_plan_request *request, mly_plan **made,
                             size_t made_count, struct listed **out, size_t *out_count,
                             struct mly_error *err)
{
    size_t count = 0, most = 0;
    for (size_t i = 0; i < made_count; i++)
        most += made[i]->candidate_count;
    struct listed *list = mly_alloc_array(most, sizeof *list);
    if (!list)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the candidates of a plan");
    for (size_t i = 0; i < made_count; i++) {
        for (uint32_t k = 0; k < made[i]->candidate_count; k++) {
            struct mly_plan_candidate *c = &made[i]->candidates[k];
            if (is_listed(list, count, c)) {
                mly_free(c->description);
                continue;
            }
            list[count++] = (struct listed){
                .candidate = *c,
                .alternative = {.prediction = c->prediction,
                                .eligible = !c->baseline || request->groups <= 1,
                                .baseline = c->baseline,
                                .name = c->description},
                .objective = request->objective,
            };
        }
        mly_free(made[i]->candidates);
        made[i]->candidates = NULL;
        made[i]->candidate_count = 0;
    }
    qsort(list, count, sizeof *list, compare_listed);
    *out = list;
    *out_count = count;
    return MLY_OK;
}

/* --- 3 --- */

static struct mly__alternative plan_alternative(const mly_plan *plan)
{
    return (struct mly__alternative){
        .prediction = plan->prediction,
        .eligible = true,
        .baseline = plan->processors[0].runtime_defaults,
        .segments = plan->segment_count,
        .groups = plan->processor_count,
        .batch = plan->batch,
        .spin = plan->processors[0].spin,
        .name = "",
    };
}

static size_t choose_plan(const struct mly_plan_request *request, mly_plan **made,
                          size_t made_count, const struct listed *list, size_t count)
{
    struct mly__alternative alternatives[PLANNER_COUNT + 1];
    size_t marks = 0;
    for (size_t i = 0; i < made_count; i++)
        alternatives[i] = plan_alternative(made[i]);
    while (marks < count && !list[marks].alternative.eligible)
        marks++;
    /*
     * The mark: listed to be measured against, and more complicated than any plan, so that it never
     * wins a tie.
     */
    if (marks < count) {
        alternatives[made_count] = list[marks].alternative;
        alternatives[made_count].segments = UINT32_MAX;
    }
    const size_t winner =
        mly__plan_choose(alternatives, made_count + (marks < count), request->objective);
    if (winner < made_count)
        return winner;
    /* Only the mark is good enough: the plan whose own candidate it was has its prediction. */
    size_t best = 0;
    for (size_t i = 1; i < made_count; i++)
        if (mly__plan_compare(&alternatives[i], &alternatives[best], request->objective) < 0)
            best = i;
    return best;
}

/* Gives the merged list to the plan; what does not fit in it is freed. */
static enum mly_status take_candidates(mly_plan *plan, const char *chosen, struct listed *list,
                                       size_t count, struct mly_error *err)
{
    bool found = false;
    const size_t kept = count < MLY__PLAN_CANDIDATES_MAX ? count : MLY__PLAN_CANDIDATES_MAX;
    bool baseline = false;
    plan->candidates = mly_alloc_array(kept, sizeof *plan->candidates);
    for (size_t i = 0; i < count; i++) {
        struct mly_plan_candidate *c = &list[i].candidate;
        c->chosen = !found && !strcmp(c->description, chosen) &&
                    c->prediction.throughput_per_s == plan->prediction.throughput_per_s &&
                    c->prediction.latency_ns == plan->prediction.latency_ns;
        found = found || c->chosen;
        const bool needed = c->chosen || (c->baseline && !baseline);
        const bool room = plan->candidate_count + (count > kept && !needed ? 2 : 0) < kept;
        if (!plan->candidates || !room) {
            mly_free(c->description);
            continue;
        }
        baseline = baseline || c->baseline;
        plan->candidates[plan->candidate_count++] = *c;
    }
    return plan->candidates
               ? MLY_OK
               : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the candidates of a plan");
}

static const char *chosen_description(const mly_plan *plan)
{
    for (uint32_t i = 0; i < plan->candidate_count; i++)
        if (plan->candidates[i].chosen)
            return plan->candidates[i].description;
    return "";
}

static enum mly_status take_runs(mly_plan *plan, struct attempts *attempts, struct mly_error *err)
{
    mly__plan_runs_free(plan);
    plan->runs = mly_alloc_array(attempts->run_count, sizeof *plan->runs);
    if (!plan->runs)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a plan");
    memcpy(plan->runs, attempts->runs, attempts->run_count * sizeof *plan->runs);
    plan->run_count = attempts->run_count;
    attempts->run_count = 0;
    return MLY_OK;
}

/* The higher of two times that nothing can beat. */
static void take_least(const struct mly_plan_least *other, struct mly_plan_least *least)
{
    if (other->ns > least->ns * (1 + 1e-9))
        *least = *other;
}

/* The best of the planners' bounds: each holds for all pipelines, or for all plans. */
static void take_bounds(mly_plan *plan, const struct attempts *attempts)
{
    for (size_t i = 0; i < attempts->made_count; i++) {
        const mly_plan *other = attempts->made[i];
        plan->bounds_measured = plan->bounds_measured || other->bounds_measured;
        take_least(&other->least, &plan->least);
        take_least(&other->least_row, &plan->least_row);
        if (other->most_per_s > 0 &&
            (plan->most_per_s <= 0 || other->most_per_s < plan->most_per_s * (1 - 1e-9))) {
            plan->most_per_s = other->most_per_s;
            memcpy(plan->most_by, other->most_by, sizeof plan->most_by);
        }
    }
}

static void attempts_fini(struct attempts *attempts)
{
    for (size_t i = 0; i < PLANNER_COUNT; i++) {
        mly_plan_destroy(attempts->made[i]);
        mly_free(attempts->chosen[i]);
    }
    for (uint32_t i = 0; i < attempts->run_count; i++)
        mly_free(attempts->runs[i].reason);
}

static enum mly_status make_auto(const struct mly_plan_request *request, mly_plan **out,
                                 struct mly_error *err)
{
    struct attempts attempts = {0};
    struct listed *list = NULL;
    size_t count = 0;
    enum mly_status status = run_all(request, &attempts, err);
    for (size_t i = 0; !status && i < attempts.made_count; i++)
        if (!(attempts.chosen[i] = mly_strdup(chosen_description(attempts.made[i]))))
            status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a plan");
    if (!status)
        status = merge(request, attempts.made, attempts.made_count, &list, &count, err);
    if (!status) {
        const size_t winner = choose_plan(request, attempts.made, attempts.made_count, list, count);
        mly_plan *plan = attempts.made[winner];
        status = take_candidates(plan, attempts.chosen[winner], list, count, err);
        take_bounds(plan, &attempts);
        if (!status)
            status = mly__plan_write_words(plan, err);
        if (!status)
            status = take_runs(plan, &attempts, err);
        if (!status) {
            attempts.made[winner] = NULL;
            *out = plan;
        }
    }
    attempts_fini(&attempts);
    mly_free(list);
    return status;
}

/* --- by name --- */

static enum mly_status unknown_planner(const char *name, struct mly_error *err)
{
    struct mly_buffer names = {.max_bytes = 512};
    enum mly_status status = MLY_OK;
    /* A layer above has it. */
    if (strcmp(name, "profiled") == 0)
        return mly_error_set(err, MLY_E_INVALID,
                             "planner profiled measures what it plans: costs alone are not enough");
    for (size_t i = 0; !status && i < PLANNER_COUNT; i++)
        status = mly_buffer_printf(&names, ", %s", planners[i]->name);
    status =
        mly_error_set(err, MLY_E_INVALID, "there is no planner '%.60s'; there are auto%s, profiled",
                      name, names.data ? names.data : "");
    mly_buffer_fini(&names);
    return status;
}

enum mly_status mly_planner_check(const char *text, struct mly_error *err)
{
    double ratio[MLY_PLAN_RATIO_MAX];
    char name[64];
    uint32_t count;
    const char *colon = strchr(text, ':');
    snprintf(name, sizeof name, "%.*s", colon ? (int)(colon - text) : (int)strlen(text), text);
    const struct mly_planner *named = mly_planner_find(name);
    if (!named && strcmp(name, "auto") != 0)
        return unknown_planner(name, err);
    if (!colon)
        return MLY_OK;
    if (named != &mly__planner_metis)
        return mly_error_set(err, MLY_E_INVALID,
                             "planner %s takes no ratio; metis does: metis:80/20", name);
    return mly_plan_ratio_parse(colon + 1, ratio, &count, err);
}

/* "metis:80/20" */
static enum mly_status make_by_ratio(const char *planner, const char *colon,
                                     const struct mly_plan_request *request, mly_plan **out,
                                     struct mly_error *err)
{
    char name[32];
    double ratio[MLY_PLAN_RATIO_MAX];
    struct mly_plan_request with = *request;
    snprintf(name, sizeof name, "%.*s", (int)(colon - planner), planner);
    enum mly_status status = mly_planner_check(planner, err);
    if (!status)
        status = mly_plan_ratio_parse(colon + 1, ratio, &with.ratio_count, err);
    with.ratio = ratio;
    return status ? status : mly_plan_make(name, &with, out, err);
}

enum mly_status mly_plan_make(const char *planner, const struct mly_plan_request *request,
                              mly_plan **out, struct mly_error *err)
{
    const char *colon = strchr(planner, ':');
    if (colon)
        return make_by_ratio(planner, colon, request, out, err);
    const struct mly_planner *named = mly_planner_find(planner);
    const bool automatic = !strcmp(planner, "auto");
    struct mly_error reason;
    mly_plan *plan = NULL;
    if (!named && !automatic)
        return unknown_planner(planner, err);
    if (request->ratio_count && named != &mly__planner_metis)
        return mly_error_set(err, MLY_E_INVALID,
                             "planner %s takes no ratio; metis does: metis:80/20", planner);
    struct mly_plan_request with = *request;
    enum mly_status status = request->desk ? MLY_OK : mly__desk_create(&with.desk, err);
    if (!status)
        status = automatic ? make_auto(&with, &plan, err) : named->make(&with, &plan, err);
    if (!request->desk)
        mly__desk_destroy(with.desk);
    if (status)
        return status;
    if (request->costs)
        memcpy(plan->shapes, mly_cost_table_identity(request->costs)->shapes, sizeof plan->shapes);
    status = mly_plan_note_times(plan, request->model, request->costs, &reason);
    if (!status)
        status = mly_plan_check(plan, request->model, request->machine, &reason);
    if (status) {
        status = mly_error_set(err, status == MLY_E_NO_MEMORY ? status : MLY_E_INTERNAL,
                               "planner %s made a plan that cannot be used: %s", plan->planner,
                               reason.message);
        mly_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return MLY_OK;
}
