/*
 * Planner `min-cut`: the best division between two unlike processors.
 *
 *   1. For every ordered pair of classes the division with the least latency, by one maximum flow.
 *   2. For other objectives the same with the first processor's times weighted against the second's:
 *      divisions on the way from everything on one to everything on the other, each within the next.
 *      The weight at which both are equally busy is looked for by bisection.
 *   3. Memory is looked at afterwards: a flow does not know it. What does not fit is said.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "dag_problem.h"
#include "family.h"
#include "min_cut.h"

enum {
    BISECTIONS = 10,
    BISECTED_MAX = 40000, /* units times flows in all bisections: a second or two */
    PAIRS_MAX = 30,
    SWEPT_MAX = 6000 /* units times pairs for which families look at every weight */
};

struct search {
    const struct mly__problem *problem;
    struct mly__found *found;
    struct mly__problem_dag dag;
    double *node_ns[2], *cross_ns, *in_ns[2], *out_ns[2]; /* of the pair in hand */
    bool *second;
    uint32_t *part, *best_part;
    bool over_memory;
};

static void search_fini(struct search *s)
{
    for (int side = 0; side < 2; side++) {
        mly_free(s->node_ns[side]);
        mly_free(s->in_ns[side]);
        mly_free(s->out_ns[side]);
    }
    mly_free(s->cross_ns);
    mly_free(s->second);
    mly_free(s->part);
    mly_free(s->best_part);
    mly__problem_dag_fini(&s->dag);
}

static enum mly_status search_init(struct search *s, struct mly_error *err)
{
    const size_t units = (size_t)s->problem->unit_count + 1;
    const size_t crossings = (size_t)s->problem->crossing_count + 1;
    bool enough = true;
    for (int side = 0; side < 2; side++) {
        s->node_ns[side] = mly_alloc_array(units, sizeof(double));
        s->in_ns[side] = mly_alloc_array(crossings, sizeof(double));
        s->out_ns[side] = mly_alloc_array(crossings, sizeof(double));
        enough = enough && s->node_ns[side] && s->in_ns[side] && s->out_ns[side];
    }
    s->cross_ns = mly_alloc_array(crossings, sizeof(double));
    s->second = mly_alloc_array(units, sizeof *s->second);
    s->part = mly_alloc_array(units, sizeof *s->part);
    s->best_part = mly_alloc_array(units, sizeof *s->best_part);
    if (!enough || !s->cross_ns || !s->second || !s->part || !s->best_part)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for planning");
    return mly__problem_dag_init(&s->dag, s->problem, 0, err);
}

static double copy_ns(const struct mly__class *class, const struct mly_device_link *link,
                      double bytes)
{
    return class->in_host_memory ? 0 : mly_device_link_ns(link, bytes);
}

/* The pair's times, each side's multiplied by its weight. */
static void set_times(struct search *s, const uint32_t classes[2], const double weight[2])
{
    const struct mly__problem *problem = s->problem;
    for (int side = 0; side < 2; side++)
        for (uint32_t u = 0; u < problem->unit_count; u++)
            s->node_ns[side][u] = weight[side] * mly__load_of(problem, classes[side], u)->time_ns;
    for (uint32_t i = 0; i < problem->crossing_count; i++) {
        const struct mly__crossing *crossing = &problem->crossings[i];
        for (int side = 0; side < 2; side++) {
            const struct mly__class *class = &problem->classes[classes[side]];
            s->in_ns[side][i] = weight[side] * copy_ns(class, &class->to_device, crossing->bytes);
            s->out_ns[side][i] = weight[side] * copy_ns(class, &class->to_host, crossing->bytes);
        }
        /* What goes to the host anyway is there for the second to fetch. */
        s->cross_ns[i] = s->in_ns[1][i] + (crossing->goes_to_host ? 0 : s->out_ns[0][i]);
    }
}

/* One division into part[]; *value is what it gives. *cut: both have something. */
static enum mly_status divide(struct search *s, const uint32_t classes[2], const double weight[2],
                              struct mly__layout_value *value, bool *cut, struct mly_error *err)
{
    const struct mly__problem *problem = s->problem;
    double ns;
    set_times(s, classes, weight);
    const struct mly__min_cut question = {
        .dag = &s->dag.dag,
        .node_ns = {s->node_ns[0], s->node_ns[1]},
        .cross_ns = s->cross_ns,
        .in_ns = {s->in_ns[0], s->in_ns[1]},
        .out_ns = {s->out_ns[0], s->out_ns[1]},
        .fixed_ns = {weight[0] * problem->classes[classes[0]].segment_ns,
                     weight[1] * problem->classes[classes[1]].segment_ns},
    };
    *cut = false;
    *value = (struct mly__layout_value){.bottleneck_ns = INFINITY, .latency_ns = INFINITY};
    enum mly_status status = mly__min_cut_solve(&question, s->second, &ns, err);
    if (status || isinf(ns))
        return status;
    uint32_t seconds = 0;
    for (uint32_t u = 0; u < problem->unit_count; u++)
        seconds += s->part[u] = s->second[u];
    *cut = seconds > 0 && seconds < problem->unit_count;
    status = mly__found_parts(NULL, problem, s->part, 2, classes, value, err);
    if (!status && isinf(value->bottleneck_ns))
        s->over_memory = true; /* 3 */
    return status;
}

/* How long each of the pair is busy with the division in hand. */
static enum mly_status busy_ns(const struct search *s, const uint32_t classes[2], double busy[2],
                               struct mly_error *err)
{
    struct mly__part_builder builder;
    enum mly_status status = mly__part_builder_init(&builder, s->problem, classes[0], err);
    for (uint32_t side = 0; !status && side < 2; side++) {
        struct mly__segment_cost cost;
        mly__part_builder_reset(&builder, classes[side]);
        for (uint32_t u = 0; u < s->problem->unit_count; u++)
            if (s->part[u] == side)
                mly__part_builder_add(&builder, u);
        mly__part_builder_cost(&builder, &cost);
        busy[side] = builder.unit_count
                         ? mly__stage_period_ns(&s->problem->classes[classes[side]], &cost)
                         : 0;
    }
    mly__part_builder_fini(&builder);
    return status;
}

/* 2. */
static enum mly_status balance(struct search *s, const uint32_t classes[2], struct mly_error *err)
{
    const size_t bytes = s->problem->unit_count * sizeof *s->part;
    double low = 0, high = 1; /* weight of the first: the more, the less it is given */
    double least_ns = INFINITY;
    const uint32_t pairs = s->problem->class_count * (s->problem->class_count - 1);
    const uint32_t affordable = BISECTED_MAX / (pairs * s->problem->unit_count);
    const uint32_t most = affordable < BISECTIONS ? affordable : BISECTIONS;
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && i < most; i++) {
        const double middle = (low + high) / 2, weight[2] = {2 * middle, 2 - 2 * middle};
        struct mly__layout_value value;
        double busy[2] = {0, 0};
        bool cut;
        status = divide(s, classes, weight, &value, &cut, err);
        if (!status)
            status = busy_ns(s, classes, busy, err);
        if (!status && cut && value.bottleneck_ns < least_ns) {
            least_ns = value.bottleneck_ns;
            memcpy(s->best_part, s->part, bytes);
        }
        if (busy[0] > busy[1])
            low = middle;
        else
            high = middle;
    }
    if (!status && isfinite(least_ns))
        status = mly__found_parts(s->found, s->problem, s->best_part, 2, classes, NULL, err);
    return status;
}

static enum mly_status try_pair(struct search *s, const uint32_t classes[2], struct mly_error *err)
{
    static const double even[2] = {1, 1};
    const uint32_t before = s->found->count;
    struct mly__layout_value value;
    bool cut;
    enum mly_status status = mly__plan_go_on(s->problem->request, err);
    if (!status)
        status = divide(s, classes, even, &value, &cut, err);
    if (!status && isfinite(value.bottleneck_ns))
        status = mly__found_parts(s->found, s->problem, s->part, 2, classes, NULL, err);
    if (status)
        return status;
    if (s->found->count > before)
        snprintf(s->found->layouts[before].note, sizeof s->found->layouts[before].note,
                 "least latency of any division between %s and %s by unit times: %s",
                 s->problem->classes[classes[0]].name, s->problem->classes[classes[1]].name,
                 cut ? "both compute" : "one computes everything");
    return s->problem->request->objective == MLY_OBJECTIVE_LATENCY ? MLY_OK
                                                                   : balance(s, classes, err);
}

static enum mly_status find(const struct mly__problem *problem, struct mly__found *found,
                            struct mly_error *err)
{
    struct search s = {.problem = problem, .found = found};
    if (problem->class_count < 2)
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "planner min-cut divides between two unlike processors; these are all "
                             "alike, so the whole model on one has the least latency");
    if (problem->request->segments_max == 1)
        return mly_error_set(err, MLY_E_UNSUPPORTED, "planner min-cut makes two segments");
    if (problem->class_count * (problem->class_count - 1) > PAIRS_MAX)
        return mly_error_set(err, MLY_E_LIMIT,
                             "planner min-cut looks at %d pairs of processors at most; %u unlike "
                             "ones have %u",
                             PAIRS_MAX, problem->class_count,
                             problem->class_count * (problem->class_count - 1));
    enum mly_status status = search_init(&s, err);
    for (uint32_t a = 0; !status && a < problem->class_count; a++)
        for (uint32_t b = 0; !status && b < problem->class_count; b++)
            if (a != b)
                status = try_pair(&s, (const uint32_t[]){a, b}, err);
    if (!status && s.over_memory) {
        const size_t used = strlen(found->note);
        snprintf(found->note + used, sizeof found->note - used,
                 "%sa division did not fit a processor's memory", used ? "; " : "");
    }
    search_fini(&s);
    return status;
}

/* Weights of the first's times against the second's, from one end to the other. */
static const double sweep[] = {0.02, 0.06, 0.12, 0.2,  0.3,  0.4, 0.5,
                               0.6,  0.7,  0.8,  0.88, 0.94, 0.98};

enum mly_status mly__min_cut_sweep(const struct mly__problem *problem, struct mly__found *found,
                                   struct mly_error *err)
{
    struct search s = {.problem = problem, .found = found};
    if (problem->class_count < 2)
        return mly_error_set(err, MLY_E_UNSUPPORTED, "there are no two unlike processors");
    if (problem->class_count * (problem->class_count - 1) * (uint64_t)problem->unit_count >
        SWEPT_MAX)
        return mly_error_set(err, MLY_E_LIMIT,
                             "%u units are too many to divide between every two of %u kinds of "
                             "processors at many weights",
                             problem->unit_count, problem->class_count);
    enum mly_status status = search_init(&s, err);
    for (uint32_t a = 0; !status && a < problem->class_count; a++) {
        for (uint32_t b = 0; !status && b < problem->class_count; b++) {
            for (size_t i = 0; a != b && !status && i < MLY__COUNT(sweep); i++) {
                const uint32_t classes[2] = {a, b};
                const double weight[2] = {2 * sweep[i], 2 - 2 * sweep[i]};
                struct mly__layout_value value;
                bool cut;
                status = divide(&s, classes, weight, &value, &cut, err);
                if (!status && cut && isfinite(value.bottleneck_ns))
                    status = mly__found_parts(found, problem, s.part, 2, classes, NULL, err);
            }
        }
    }
    search_fini(&s);
    return status;
}

static enum mly_status make(const struct mly_plan_request *request, mly_plan **out,
                            struct mly_error *err)
{
    return mly__plan_by(request, "min-cut", find, out, err);
}

const struct mly_planner mly__planner_min_cut = {
    .name = "min-cut",
    .summary = "two segments on two unlike processors: the least latency, by one maximum flow",
    .make = make,
};
