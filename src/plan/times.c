/*
 * What segments take where they may run, noted in the plan: an engine starts with these costs instead of
 * learning all of them.
 *
 *   1. The whole model on processors that were measured: the entry of just this configuration, as in
 *      mly_plan_evaluate.
 *   2. Anything else: the segment's cost on the processor's class (problem_cost.c).
 *   3. By these times, more batches are in flight where they are short or processors unlike (window.c).
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

static const char *const basis_names[MLY_PLAN_BASIS_COUNT] = {
    [MLY_PLAN_MEASURED] = "measured",
    [MLY_PLAN_ESTIMATED] = "estimated",
    [MLY_PLAN_MODELLED] = "modelled",
};

const char *mly_plan_basis_name(enum mly_plan_basis basis)
{
    return basis_names[basis];
}

struct noting {
    mly_plan view; /* one way of the plan; its segments are written to */
    const mly_model *model;
    const mly_cost_table *costs;
    uint32_t *class_of;  /* by processor */
    uint32_t *all_nodes; /* for a segment that is the whole model */
    struct mly__problem *problem;
};

static void forget(struct mly_plan_segment *segment)
{
    mly_free(segment->times);
    segment->times = NULL;
    segment->time_count = 0;
}

/* A time that a file may hold. */
static void note(struct mly_plan_segment *segment, uint32_t processor, uint32_t batch, double ns,
                 enum mly_plan_basis basis)
{
    if (ns > 0 && ns <= MLY__PLAN_TIME_NS_MAX)
        segment->times[segment->time_count++] = (struct mly_plan_time){
            .processor = processor, .batch = batch, .ns = ns, .basis = basis};
}

/* --- 1 --- */

static bool runs_alike(const struct mly_plan_processor *a, const struct mly_plan_processor *b)
{
    return !strcmp(a->kind, b->kind) && !strcmp(a->backend, b->backend) &&
           a->runtime_defaults == b->runtime_defaults &&
           (a->runtime_defaults || (a->threads == b->threads && a->spin == b->spin));
}

/* False where just this was not measured. */
static bool note_whole(struct noting *n, struct mly_plan_segment *segment, uint32_t processor)
{
    uint32_t alike = 0;
    for (uint32_t i = 0; i < segment->processor_count; i++)
        alike +=
            runs_alike(&n->view.processors[processor], &n->view.processors[segment->processors[i]]);
    const struct mly_cost_config config = mly__plan_config(&n->view, processor, alike);
    const struct mly_cost_entry *entry =
        n->costs ? mly_cost_table_find(n->costs, MLY_COST_MODEL, "", &config) : NULL;
    if (!entry)
        return false;
    note(segment, processor, n->view.batch, entry->median_ns,
         entry->modelled ? MLY_PLAN_MODELLED : MLY_PLAN_MEASURED);
    return true;
}

/* --- 2 --- */

static enum mly_status note_part(struct noting *n, struct mly_plan_segment *segment,
                                 uint32_t processor, struct mly_error *err)
{
    struct mly__segment_cost cost;
    const bool whole = segment->node_count == 0;
    enum mly_status status = MLY_OK;
    if (!n->problem)
        status = mly__problem_of_plan(&n->view, n->model, n->costs, n->class_of, &n->problem, err);
    if (!status)
        status = mly__problem_cost_nodes(
            n->problem, n->class_of[processor], whole ? n->all_nodes : segment->nodes,
            whole ? mly_model_graph(n->model)->node_count : segment->node_count, &cost, NULL, 0,
            err);
    if (status)
        return status;
    note(segment, processor, n->view.batch, mly__stage_latency_ns(&cost),
         cost.modelled   ? MLY_PLAN_MODELLED
         : cost.measured ? MLY_PLAN_MEASURED
                         : MLY_PLAN_ESTIMATED);
    return MLY_OK;
}

static enum mly_status note_segment(struct noting *n, struct mly_plan_segment *segment,
                                    struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    const uint32_t all = mly_model_graph(n->model)->node_count;
    const bool whole = segment->node_count == 0 || segment->node_count == all;
    segment->times = mly_alloc_array(segment->processor_count, sizeof *segment->times);
    if (!segment->times)
        return mly__problem_no_memory(err);
    for (uint32_t i = 0; !status && i < segment->processor_count; i++) {
        const uint32_t p = segment->processors[i];
        if (mly__plan_is_modelled(&n->view.processors[p]) || !whole || !note_whole(n, segment, p))
            status = note_part(n, segment, p, err);
    }
    if (!segment->time_count)
        forget(segment);
    return status;
}

/* A way's segments. What is not known is no error: it is not noted. */
static enum mly_status note_way(const mly_plan *way, const mly_model *model,
                                const mly_cost_table *costs, struct mly_error *err)
{
    const uint32_t node_count = mly_model_graph(model)->node_count;
    struct noting n = {.view = *way, .model = model, .costs = costs};
    struct mly_error why;
    enum mly_status status = MLY_OK;
    n.class_of = mly_alloc_array(way->processor_count, sizeof *n.class_of);
    n.all_nodes = mly_alloc_array((size_t)node_count + 1, sizeof *n.all_nodes);
    if (!n.class_of || !n.all_nodes)
        status = mly__problem_no_memory(&why);
    for (uint32_t i = 0; !status && i < node_count; i++)
        n.all_nodes[i] = i;
    for (uint32_t i = 0; i < way->segment_count; i++)
        forget(&way->segments[i]);
    for (uint32_t i = 0; !status && i < way->segment_count && !way->segments[0].shares; i++)
        status = note_segment(&n, &way->segments[i], &why);
    mly__problem_destroy(n.problem);
    mly_free(n.class_of);
    mly_free(n.all_nodes);
    if (status == MLY_E_NOT_FOUND || status == MLY_E_UNSUPPORTED || status == MLY_E_LIMIT)
        status = MLY_OK;
    return status ? mly_error_set(err, status, "%s", why.message) : MLY_OK;
}

/* 3 */
static void widen(const mly_plan *way, uint32_t *in_flight)
{
    const bool split = way->segment_count > 0 && way->segments[0].shares;
    const uint32_t window = split ? 0 : mly__plan_window(way);
    if (window > *in_flight)
        *in_flight = window;
}

enum mly_status mly_plan_note_times(mly_plan *plan, const mly_model *model,
                                    const mly_cost_table *costs, struct mly_error *err)
{
    enum mly_status status = note_way(plan, model, costs, err);
    widen(plan, &plan->in_flight);
    for (uint32_t i = 0; !status && i < plan->family_count; i++) {
        const mly_plan view = mly__plan_member_view(plan, i);
        status = note_way(&view, model, costs, err);
        widen(&view, &plan->family[i].in_flight);
    }
    return status;
}
