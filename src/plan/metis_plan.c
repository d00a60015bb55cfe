/*
 * Planner `metis`: METIS' parts, made acyclic and refined, on the fastest processors.
 *
 *   1. Shares of the work: those that were asked for, part by part on the processors in their order;
 *      else for 2, 3, … of the fastest processors in proportion to their speed, parts in any order.
 *   2. Nodes weigh their time on one class: METIS knows one weight. A ratio is of the time on the first
 *      processor; otherwise, with unlike ones, each class has its turn to give the weights.
 *   3. Where no ratio was asked for, the parts are improved by what they are predicted to take.
 *   4. What the repair cost is said in each layout's note.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "dag_problem.h"
#include "metis_cut.h"
#include "metis_improve.h"
#include "stages.h"

#define TOLERANCE 0.05 /* of a part's share; METIS' own default is 0.03 */
enum {
    PARTS_MAX = MLY_PLAN_RATIO_MAX,
    TRIES = 4,
    TRIES_LARGE = 1,
    LARGE = 1000, /* units from which on one try must do */
    WEIGHERS_MAX = 3
};

struct processor {
    uint32_t class_index;
    double speed;
};

struct search {
    const struct mly__problem *problem;
    struct mly__found *found;
    struct processor *processors; /* that parts may be given to, in order */
    uint32_t processor_count;
    uint32_t *part, order[PARTS_MAX];
};

/* Work per time, in the time of class 0: by what both can compute. */
static double speed_of(const struct mly__problem *problem, uint32_t class_index)
{
    double reference = 0, own = 0;
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        const double a = mly__load_of(problem, 0, u)->time_ns;
        const double b = mly__load_of(problem, class_index, u)->time_ns;
        if (isfinite(a) && isfinite(b)) {
            reference += a;
            own += b;
        }
    }
    return own > 0 && reference > 0 ? reference / own : 1;
}

static int compare_processors(const void *a, const void *b)
{
    const struct processor *x = a, *y = b;
    if (x->speed != y->speed)
        return x->speed > y->speed ? -1 : 1;
    return (x->class_index > y->class_index) - (x->class_index < y->class_index);
}

/* In the order of the request; sorted, the fastest first. */
static enum mly_status list_processors(struct search *s, bool sorted, struct mly_error *err)
{
    const struct mly__problem *problem = s->problem;
    double speeds[MLY__CLASSES_MAX];
    s->processors = mly_alloc_array((size_t)problem->processor_count + 1, sizeof *s->processors);
    if (!s->processors)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for planning");
    for (uint32_t c = 0; c < problem->class_count; c++)
        speeds[c] = speed_of(problem, c);
    for (uint32_t i = 0; i < problem->processor_count; i++)
        for (uint32_t c = 0; c < problem->class_count; c++)
            for (uint32_t k = 0; k < problem->classes[c].count; k++)
                if (problem->classes[c].processors[k] == i)
                    s->processors[s->processor_count++] =
                        (struct processor){.class_index = c, .speed = speeds[c]};
    if (sorted)
        qsort(s->processors, s->processor_count, sizeof *s->processors, compare_processors);
    return MLY_OK;
}

/* 4. */
static void note(struct mly__layout *layout, const struct mly__metis_report *r, uint32_t parts,
                 uint32_t moves)
{
    char repair[96] = "METIS' parts had no cycle";
    if (r->by_metis.backward_nets)
        snprintf(repair, sizeof repair, "%u tensor%s ran backwards and %.1f %% of the time moved",
                 r->by_metis.backward_nets, r->by_metis.backward_nets == 1 ? "" : "s",
                 r->moved_fraction * 100);
    snprintf(layout->note, sizeof layout->note,
             "METIS in %u parts: %s; KiB between parts %.0f by METIS, %.0f repaired, %.0f refined; "
             "fullest part %+.0f %%, %+.0f %%, %+.0f %%",
             parts, repair, r->by_metis.cut_bytes / 1024, r->repaired.cut_bytes / 1024,
             r->refined.cut_bytes / 1024, r->by_metis.imbalance * 100, r->repaired.imbalance * 100,
             r->refined.imbalance * 100);
    const size_t used = strlen(layout->note);
    if (moves)
        snprintf(layout->note + used, sizeof layout->note - used, "; %u move%s by predicted times",
                 moves, moves == 1 ? "" : "s");
}

static enum mly_status cut(struct search *s, const struct mly__dag *dag,
                           const struct mly__metis_options *options, struct mly_error *err)
{
    const struct mly__problem *problem = s->problem;
    struct mly__metis_report report;
    const uint32_t before = s->found->count;
    uint32_t class_of_part[PARTS_MAX];
    enum mly_status status = mly__plan_go_on(problem->request, err);
    if (!status)
        status = mly__metis_cut(dag, options, s->part, s->order, &report, err);
    if (status)
        return status;
    for (uint32_t p = 0; p < options->part_count; p++)
        class_of_part[p] = s->processors[s->order[p]].class_index;
    uint32_t moves = 0;
    if (!options->in_order)
        status =
            mly__parts_improve(problem, s->part, options->part_count, class_of_part,
                               problem->request->objective == MLY_OBJECTIVE_LATENCY, &moves, err);
    if (!status)
        status = mly__found_parts(s->found, problem, s->part, options->part_count, class_of_part,
                                  NULL, err);
    if (!status && s->found->count > before)
        note(&s->found->layouts[before], &report, options->part_count, moves);
    return status;
}

/* 2. */
static enum mly_status cut_by_each_class(struct search *s, const double *target,
                                         uint32_t part_count, bool in_order, struct mly_error *err)
{
    const struct mly__problem *problem = s->problem;
    bool used[MLY__CLASSES_MAX] = {false};
    uint32_t weighers = 0;
    enum mly_status status = MLY_OK;
    const struct mly__metis_options options = {.part_count = part_count,
                                               .target = target,
                                               .tolerance = TOLERANCE,
                                               .in_order = in_order,
                                               .tries = problem->unit_count < LARGE ? TRIES
                                                                                    : TRIES_LARGE};
    const uint32_t most = in_order ? 1 : WEIGHERS_MAX;
    for (uint32_t p = 0; !status && p < part_count && weighers < most; p++) {
        const uint32_t c = s->processors[p].class_index;
        struct mly__problem_dag dag;
        if (used[c])
            continue;
        used[c] = true;
        weighers++;
        status = mly__problem_dag_init(&dag, problem, c, err);
        if (!status)
            status = cut(s, &dag.dag, &options, err);
        mly__problem_dag_fini(&dag);
    }
    return status;
}

/* 1. */
static enum mly_status cut_by_ratio(struct search *s, struct mly_error *err)
{
    const struct mly_plan_request *request = s->problem->request;
    if (request->ratio_count > s->processor_count)
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "a ratio of %u parts needs %u processors, and there are %u: name more "
                             "with -d",
                             request->ratio_count, request->ratio_count, s->processor_count);
    if (request->ratio_count > s->problem->unit_count)
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "%u parts: the model has only %u pieces that may be cut apart",
                             request->ratio_count, s->problem->unit_count);
    return cut_by_each_class(s, request->ratio, request->ratio_count, true, err);
}

static enum mly_status cut_by_speed(struct search *s, struct mly_error *err)
{
    const struct mly__problem *problem = s->problem;
    const uint32_t wanted = problem->request->segments_max;
    uint32_t most = s->processor_count < PARTS_MAX ? s->processor_count : PARTS_MAX;
    most = wanted && wanted < most ? wanted : most;
    most = problem->unit_count < most ? problem->unit_count : most;
    enum mly_status status = MLY_OK;
    for (uint32_t parts = 2; !status && parts <= most; parts++) {
        double target[PARTS_MAX], sum = 0;
        for (uint32_t p = 0; p < parts; p++)
            sum += s->processors[p].speed;
        for (uint32_t p = 0; p < parts; p++)
            target[p] = s->processors[p].speed / sum;
        status = cut_by_each_class(s, target, parts, false, err);
    }
    return status;
}

enum mly_status mly__metis_find(const struct mly__problem *problem, struct mly__found *found,
                                struct mly_error *err)
{
    struct search s = {.problem = problem, .found = found};
    if (problem->processor_count < 2 || problem->unit_count < 2)
        return mly_error_set(
            err, MLY_E_UNSUPPORTED, "planner metis cuts for two processors or more; there %s %u",
            problem->processor_count == 1 ? "is" : "are", problem->processor_count);
    s.part = mly_alloc_array(problem->unit_count, sizeof *s.part);
    enum mly_status status =
        s.part ? MLY_OK : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for planning");
    const bool by_ratio = problem->request->ratio_count > 0;
    if (!status)
        status = list_processors(&s, !by_ratio, err);
    if (!status)
        status = by_ratio ? cut_by_ratio(&s, err) : cut_by_speed(&s, err);
    mly_free(s.processors);
    mly_free(s.part);
    return status;
}

enum mly_status mly_plan_ratio_parse(const char *text, double ratio[MLY_PLAN_RATIO_MAX],
                                     uint32_t *count, struct mly_error *err)
{
    double shares[MLY_PLAN_RATIO_MAX], sum = 0;
    uint32_t found = 0;
    const char *at = text;
    while (found < MLY_PLAN_RATIO_MAX && *at >= '0' && *at <= '9') {
        char *end;
        shares[found] = strtod(at, &end);
        at = end;
        if (!(shares[found] > 0 && isfinite(shares[found])))
            break;
        sum += shares[found++];
        if (*at != '/')
            break;
        at++;
    }
    if (found < 2 || *at || at[-1] == '/')
        return mly_error_set(err, MLY_E_INVALID,
                             "'%.60s' is no ratio: 2 to %d numbers above 0, such as 80/20 or "
                             "50/30/20",
                             text, MLY_PLAN_RATIO_MAX);
    for (uint32_t i = 0; i < found; i++)
        ratio[i] = shares[i] / sum;
    *count = found;
    return MLY_OK;
}

static enum mly_status make(const struct mly_plan_request *request, mly_plan **out,
                            struct mly_error *err)
{
    double sum = 0;
    for (uint32_t i = 0; i < request->ratio_count; i++)
        sum += request->ratio[i] > 0 ? request->ratio[i] : INFINITY;
    if (request->ratio_count &&
        (request->ratio_count < 2 || request->ratio_count > PARTS_MAX || fabs(sum - 1) > 1e-6))
        return mly_error_set(err, MLY_E_INVALID,
                             "a ratio is 2 to %d shares above 0 that sum to 1, such as 80/20",
                             PARTS_MAX);
    return mly__plan_by(request, "metis", mly__metis_find, out, err);
}

const struct mly_planner mly__planner_metis = {
    .name = "metis",
    .summary = "segments of given shares by METIS, made acyclic and refined",
    .make = make,
};
