/*
 * What a plan will give, from the cost table alone.
 *
 *   1. A whole model on processors that are run alike: the entry of just that configuration, as
 *      measured with all groups at work. Processors of several kinds: the sum of what each kind was
 *      measured to give by itself.
 *   2. Several segments, or modelled processors: the time of a segment on a processor is what
 *      problem_cost.c says, with the copies that its class of processors needs. Replicas share a
 *      segment's batches in proportion to their speed, so each is busy 1 / (sum of 1 / period) per
 *      batch. The busiest processor sets the throughput; the longest way through the segments is the
 *      latency.
 *   3. Under load: the same times, by segment and processor, go to under_load.c.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "internal.h"
#include "one_batch.h"
#include "problem_private.h"
#include "under_load.h"

static bool runs_alike(const struct mly_plan_processor *a, const struct mly_plan_processor *b)
{
    if (strcmp(a->kind, b->kind) || strcmp(a->backend, b->backend) ||
        a->runtime_defaults != b->runtime_defaults)
        return false;
    return a->runtime_defaults || (a->threads == b->threads && a->spin == b->spin);
}

struct mly_cost_config mly__plan_config(const mly_plan *plan, uint32_t processor, uint32_t groups)
{
    const struct mly_plan_processor *p = &plan->processors[processor];
    struct mly_cost_config config = {
        .groups = p->runtime_defaults ? 1 : groups,
        .threads = p->runtime_defaults ? 0 : p->threads,
        .batch = plan->batch,
        .spin = !p->runtime_defaults && p->spin,
        .runtime_defaults = p->runtime_defaults,
    };
    memcpy(config.backend, p->backend, sizeof config.backend);
    memcpy(config.processor_kind, p->kind, sizeof config.processor_kind);
    return config;
}

static enum mly_status missing(const mly_plan *plan, const struct mly_cost_config *config,
                               const char *of, const char *what, struct mly_error *err)
{
    char text[MLY__PLAN_CONFIG_TEXT_BYTES];
    return mly_error_set(err, MLY_E_NOT_FOUND,
                         "the cost of %s%.200s with %s on %s is not known: run `motley profile %s` "
                         "to measure it",
                         of, what, mly__plan_config_text(config, text), config->processor_kind,
                         mly_plan_model_path(plan));
}

/* Indices are sane enough to follow; the rest is for mly_plan_check. */
static enum mly_status check_indices(const mly_plan *plan, const mly_model *model,
                                     struct mly_error *err)
{
    const uint32_t node_count = mly_model_graph(model)->node_count;
    if (!plan->batch || !plan->segment_count)
        return mly_error_set(err, MLY_E_INVALID, "plan: %s is 0",
                             plan->batch ? "the number of segments" : "batch");
    for (uint32_t i = 0; i < plan->segment_count; i++) {
        const struct mly_plan_segment *segment = &plan->segments[i];
        if (!segment->processor_count)
            return mly_error_set(err, MLY_E_INVALID, "plan: segments[%u].processors: is empty", i);
        for (uint32_t k = 0; k < segment->processor_count; k++)
            if (segment->processors[k] >= plan->processor_count)
                return mly_error_set(err, MLY_E_INVALID,
                                     "plan: segments[%u].processors[%u]: there is no processor %u",
                                     i, k, segment->processors[k]);
        for (uint32_t k = 0; k < segment->node_count; k++)
            if (segment->nodes[k] >= node_count ||
                (k && segment->nodes[k] <= segment->nodes[k - 1]))
                return mly_error_set(err, MLY_E_INVALID,
                                     "plan: segments[%u].nodes: %u is out of order or not below %u",
                                     i, segment->nodes[k], node_count);
        if (!segment->node_count && plan->segment_count > 1)
            return mly_error_set(err, MLY_E_INVALID,
                                 "plan: segments[%u].nodes: \"all\" in a plan of several segments",
                                 i);
    }
    return MLY_OK;
}

/* --- 1. whole models --- */

struct mly_prediction mly__plan_predict_whole(const struct mly_cost_entry *entry,
                                              const struct mly__plan_memory *memory)
{
    const uint32_t groups = entry->config.groups;
    struct mly_prediction prediction = {
        .known = true,
        .measured = !entry->modelled,
        .modelled = entry->modelled,
        .throughput_per_s = entry->throughput_per_s,
        .latency_ns = entry->median_ns,
        .spread = entry->throughput_spread,
        .energy_j = entry->energy_j / entry->config.batch,
    };
    if (prediction.throughput_per_s <= 0 && entry->median_ns > 0)
        prediction.throughput_per_s = 1e9 * groups * entry->config.batch / entry->median_ns;
    double private_bytes =
        entry->memory_bytes > 0 ? entry->memory_bytes : memory->activation_bytes * groups;
    /*
     * A session with the runtime's defaults has a copy of the weights of its own, which was
     * measured with it.
     */
    if (entry->config.runtime_defaults && entry->memory_bytes > 0)
        private_bytes = fmax(0, private_bytes - memory->weight_bytes);
    prediction.memory_bytes = memory->weight_bytes + private_bytes;
    return prediction;
}

/* (3) A processor of `alike` ones that give so much together. */
static void load_whole(struct mly__under_load *load, uint32_t processor, uint32_t alike,
                       const struct mly_prediction *one)
{
    if (!load || !(one->throughput_per_s > 0))
        return;
    load->ns[processor] = 1e9 * load->batch * alike / one->throughput_per_s;
    load->spread = fmax(load->spread, one->spread);
    if (!(load->alone_ns > 0) || one->latency_ns < load->alone_ns)
        load->alone_ns = one->latency_ns;
}

static enum mly_status evaluate_whole(const mly_plan *plan, const mly_model *model,
                                      const mly_cost_table *costs, struct mly__under_load *load,
                                      struct mly_prediction *out, struct mly_error *err)
{
    const struct mly_plan_segment *segment = &plan->segments[0];
    struct mly__plan_memory memory;
    struct mly_prediction sum = {.known = true, .measured = true};
    double weighted_latency = 0;
    uint32_t kinds = 0;
    if (!costs)
        return mly_error_set(err, MLY_E_NOT_FOUND,
                             "nothing was measured of %s: run `motley profile %s`",
                             mly_plan_model_path(plan), mly_plan_model_path(plan));
    enum mly_status status =
        mly__plan_memory_whole(model, plan->batch, mly__plan_shapes(costs), &memory, err);
    if (status)
        return status;
    sum.memory_bytes = memory.weight_bytes;
    for (uint32_t i = 0; i < segment->processor_count; i++) {
        const struct mly_plan_processor *p = &plan->processors[segment->processors[i]];
        uint32_t before = 0, alike = 0;
        for (uint32_t k = 0; k < segment->processor_count; k++) {
            const bool same = runs_alike(p, &plan->processors[segment->processors[k]]);
            alike += same;
            before += same && k < i;
        }
        const struct mly_cost_config config = mly__plan_config(plan, segment->processors[i], alike);
        const struct mly_cost_entry *entry =
            mly_cost_table_find(costs, MLY_COST_MODEL, "", &config);
        if (!entry)
            return missing(plan, &config, "the whole model", "", err);
        const struct mly_prediction one = mly__plan_predict_whole(entry, &memory);
        load_whole(load, segment->processors[i], alike, &one);
        if (before)
            continue; /* counted with the first of its kind */
        if (++kinds == 1)
            sum = one;
        else
            sum.memory_bytes += one.memory_bytes - memory.weight_bytes;
        if (kinds > 1) {
            sum.measured = false;
            sum.modelled = sum.modelled || one.modelled;
            sum.throughput_per_s += one.throughput_per_s;
            sum.spread = fmax(sum.spread, one.spread);
            sum.energy_j = 0; /* each was measured with the box idle otherwise */
        }
        weighted_latency += one.latency_ns * one.throughput_per_s;
    }
    if (kinds > 1 && sum.throughput_per_s > 0)
        sum.latency_ns = weighted_latency / sum.throughput_per_s;
    *out = sum;
    return MLY_OK;
}

/* --- 2. several segments, or processors that are not measured --- */

/* What evaluating by segments works on. */
struct evaluation {
    const mly_plan *plan;
    struct mly__under_load *load; /* NULL: not asked for */
    struct mly__problem *problem;
    uint32_t *class_of;       /* by the plan's processor */
    struct mly_stage *stages; /* by segment */
    double *latency_ns; /* by segment: input, execution and output, mean over its processors */
    double *busy_ns;    /* by processor: of one batch */
    struct mly__one_batch alone; /* the way of one batch alone */
    uint32_t *segment_of;        /* by node */
    uint32_t *all_nodes;         /* for a segment that is the whole model */
    struct mly_prediction sum;
    double spread_ns;
    bool host; /* some processor works in the host's memory */
    double idle_w;
    bool energy_known;
};

static void evaluation_fini(struct evaluation *e)
{
    mly__problem_destroy(e->problem);
    mly_free(e->class_of);
    mly_free(e->latency_ns);
    mly_free(e->busy_ns);
    mly__one_batch_fini(&e->alone);
    mly_free(e->segment_of);
    mly_free(e->all_nodes);
}

static enum mly_status evaluation_init(struct evaluation *e, const mly_plan *plan,
                                       const mly_model *model, const mly_cost_table *costs,
                                       struct mly_stage *stages, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    *e = (struct evaluation){
        .plan = plan,
        .stages = stages,
        .class_of = mly_alloc_array(plan->processor_count, sizeof *e->class_of),
        .latency_ns = mly_alloc_array(plan->segment_count, sizeof *e->latency_ns),
        .busy_ns = mly_alloc_array(plan->processor_count, sizeof *e->busy_ns),
        .segment_of = mly_alloc_array((size_t)graph->node_count + 1, sizeof *e->segment_of),
        .all_nodes = mly_alloc_array((size_t)graph->node_count + 1, sizeof *e->all_nodes),
        .sum = {.known = true},
        .energy_known = true,
    };
    if (!e->class_of || !e->latency_ns || !e->busy_ns || !e->segment_of || !e->all_nodes)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for evaluating a plan");
    enum mly_status status =
        mly__one_batch_init(&e->alone, plan->segment_count, plan->processor_count, err);
    if (status)
        return status;
    for (uint32_t n = 0; n < graph->node_count; n++)
        e->all_nodes[n] = n;
    for (uint32_t i = 0; i < plan->segment_count; i++)
        for (uint32_t k = 0; k < plan->segments[i].node_count; k++)
            e->segment_of[plan->segments[i].nodes[k]] = i;
    return mly__problem_of_plan(plan, model, costs, e->class_of, &e->problem, err);
}

static enum mly_status segment_cost(const struct evaluation *e, uint32_t index, uint32_t processor,
                                    struct mly__segment_cost *out, struct mly_error *err)
{
    const struct mly_plan_segment *segment = &e->plan->segments[index];
    const uint32_t class = e->class_of[processor];
    char reason[256] = "";
    enum mly_status status = mly__problem_cost_nodes(
        e->problem, class, segment->node_count ? segment->nodes : e->all_nodes,
        segment->node_count ? segment->node_count : e->problem->graph->node_count, out, reason,
        sizeof reason, err);
    if (!status && isinf(out->execution_ns))
        status = mly_error_set(err, MLY_E_UNSUPPORTED, "plan: segments[%u] cannot run on %s: %s",
                               index, e->plan->processors[processor].id, reason);
    return status;
}

static void mix_stage(struct mly_stage *stage, const struct mly__segment_cost *cost, double share)
{
    stage->execution_ns += share * cost->execution_ns;
    stage->input_ns += share * cost->input_ns;
    stage->output_ns += share * cost->output_ns;
    stage->spread_ns += share * cost->spread_ns;
    stage->energy_j += share * cost->energy_j;
    stage->input_bytes = cost->input_bytes;
    stage->output_bytes = cost->output_bytes;
    stage->weight_bytes = fmax(stage->weight_bytes, cost->weight_bytes);
    stage->on_chip_bytes = fmax(stage->on_chip_bytes, cost->on_chip_bytes);
    stage->off_chip_bytes = fmax(stage->off_chip_bytes, cost->off_chip_bytes);
    stage->activation_bytes = fmax(stage->activation_bytes, cost->activation_bytes);
    stage->modelled = stage->modelled || cost->modelled;
    stage->measured = stage->measured && cost->measured;
}

/* Memory, energy and honesty of one session. */
static void count_session(struct evaluation *e, const struct mly__class *class,
                          const struct mly__segment_cost *cost)
{
    e->sum.memory_bytes += cost->activation_bytes + (class->modelled ? cost->weight_bytes : 0);
    e->host = e->host || !class->modelled;
    e->sum.modelled = e->sum.modelled || cost->modelled;
    e->energy_known = e->energy_known && class->active_w > 0;
}

/* Replicas share a segment's batches in proportion to their speed. */
static enum mly_status add_segment(struct evaluation *e, uint32_t index, struct mly_error *err)
{
    const struct mly_plan_segment *segment = &e->plan->segments[index];
    struct mly_stage *stage = &e->stages[index];
    double rate = 0; /* batches per ns, all replicas together */
    *stage = (struct mly_stage){.measured = true};
    struct mly__segment_cost cost;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < segment->processor_count; i++) {
            const uint32_t p = segment->processors[i];
            const struct mly__class *class = &e->problem->classes[e->class_of[p]];
            enum mly_status status = segment_cost(e, index, p, &cost, err);
            if (status)
                return status;
            /* What takes no time at all has no rate: as if it were a billion a ns. */
            const double own = 1 / fmax(mly__stage_period_ns(class, &cost), 1e-9);
            if (!pass) {
                rate += own;
                count_session(e, class, &cost);
                continue;
            }
            mix_stage(stage, &cost, own / rate);
            e->latency_ns[index] += own / rate * mly__stage_latency_ns(&cost);
            e->busy_ns[p] += own / rate * mly__stage_period_ns(class, &cost);
            if (e->load)
                e->load->ns[(size_t)index * e->plan->processor_count + p] =
                    fmax(mly__stage_latency_ns(&cost), 1e-9);
        }
    }
    stage->period_ns = 1 / rate;
    e->spread_ns += stage->spread_ns;
    return MLY_OK;
}

/* Segments whose results the segment reads. */
static void find_needs(struct evaluation *e, uint32_t index)
{
    const struct mly_graph *graph = e->problem->graph;
    const struct mly_plan_segment *segment = &e->plan->segments[index];
    bool *needs = e->alone.needs + (size_t)e->plan->segment_count * index;
    for (uint32_t k = 0; k < segment->node_count; k++) {
        const struct mly_graph_node *node = &graph->nodes[segment->nodes[k]];
        for (uint32_t t = 0; t < node->input_count + node->captured_count; t++) {
            const uint32_t tensor =
                t < node->input_count ? node->inputs[t] : node->captured[t - node->input_count];
            if (tensor == MLY_NO_INDEX || graph->tensors[tensor].producer == MLY_NO_INDEX)
                continue;
            const uint32_t from = e->segment_of[graph->tensors[tensor].producer];
            if (from < index)
                needs[from] = true;
        }
    }
}

/* The longest way through the segments: by what they need, and by processors that they share. */
static void find_latency(struct evaluation *e)
{
    for (uint32_t i = 0; i < e->plan->segment_count; i++) {
        const struct mly_plan_segment *segment = &e->plan->segments[i];
        bool *uses = e->alone.uses + (size_t)e->plan->processor_count * i;
        find_needs(e, i);
        for (uint32_t k = 0; k < segment->processor_count; k++)
            uses[segment->processors[k]] = true;
        e->alone.ns[i] = e->latency_ns[i];
    }
    e->sum.latency_ns = mly__one_batch_run(&e->alone);
    if (e->load)
        memcpy(e->load->needs, e->alone.needs,
               (size_t)e->plan->segment_count * e->plan->segment_count * sizeof *e->load->needs);
}

static enum mly_status sum_up(struct evaluation *e, struct mly_error *err)
{
    double bottleneck_ns = 0, energy_j = 0, total_ns = 0;
    for (uint32_t i = 0; i < e->plan->processor_count; i++) {
        bottleneck_ns = fmax(bottleneck_ns, e->busy_ns[i]);
        if (e->class_of[i] != MLY_NO_INDEX)
            e->idle_w += e->problem->classes[e->class_of[i]].idle_w;
    }
    e->sum.measured = true;
    e->sum.cut = e->plan->segment_count > 1;
    for (uint32_t i = 0; i < e->plan->segment_count; i++) {
        e->sum.measured = e->sum.measured && e->stages[i].measured;
        energy_j += e->stages[i].energy_j;
        total_ns += e->latency_ns[i];
    }
    find_latency(e);
    if (bottleneck_ns > 0)
        e->sum.throughput_per_s = 1e9 * e->plan->batch / bottleneck_ns;
    if (total_ns > 0)
        e->sum.spread = e->spread_ns / total_ns;
    if (e->load)
        e->load->spread = e->sum.spread;
    if (e->energy_known)
        e->sum.energy_j = (energy_j + e->idle_w * bottleneck_ns * 1e-9) / e->plan->batch;
    if (e->host) {
        struct mly__plan_memory whole;
        enum mly_status status =
            mly__plan_memory_whole(e->problem->model, e->plan->batch, e->plan->shapes, &whole, err);
        if (status)
            return status;
        e->sum.memory_bytes += whole.weight_bytes;
    }
    return MLY_OK;
}

static enum mly_status evaluate_segments(const mly_plan *plan, const mly_model *model,
                                         const mly_cost_table *costs, struct mly_stage *stages,
                                         struct mly__under_load *load, struct mly_prediction *out,
                                         struct mly_error *err)
{
    struct evaluation e;
    enum mly_status status = evaluation_init(&e, plan, model, costs, stages, err);
    e.load = load;
    for (uint32_t i = 0; !status && i < plan->segment_count; i++)
        status = add_segment(&e, i, err);
    if (!status)
        status = sum_up(&e, err);
    if (!status)
        *out = e.sum;
    evaluation_fini(&e);
    return status;
}

static bool has_modelled(const mly_plan *plan)
{
    for (uint32_t i = 0; i < plan->processor_count; i++)
        if (mly__plan_is_modelled(&plan->processors[i]))
            return true;
    return false;
}

enum mly_status mly_plan_stages(const mly_plan *plan, const mly_model *model,
                                const mly_cost_table *costs, struct mly_stage *stages,
                                struct mly_error *err)
{
    struct mly_prediction prediction;
    enum mly_status status = check_indices(plan, model, err);
    return status ? status : evaluate_segments(plan, model, costs, stages, NULL, &prediction, err);
}

/* (3) All processors work on a batch that is split at the same time, as one. */
static void load_split(struct mly__under_load *load, const struct mly_prediction *prediction)
{
    load->processor_count = 1;
    load->ns[0] = fmax(prediction->latency_ns, 1e-9);
    load->spread = prediction->spread;
}

/* load: NULL, or as mly__under_load_init left it. */
static enum mly_status evaluate(const mly_plan *plan, const mly_model *model,
                                const mly_cost_table *costs, struct mly__under_load *load,
                                struct mly_prediction *out, struct mly_error *err)
{
    const uint32_t node_count = mly_model_graph(model)->node_count;
    const bool whole = plan->segment_count == 1 && (plan->segments[0].node_count == 0 ||
                                                    plan->segments[0].node_count == node_count);
    if (plan->segments[0].shares) {
        enum mly_status status = mly__plan_evaluate_split(plan, model, costs, out, err);
        if (!status && load)
            load_split(load, out);
        return status;
    }
    if (whole && !has_modelled(plan))
        return evaluate_whole(plan, model, costs, load, out, err);
    struct mly_stage *stages = mly_alloc_array(plan->segment_count, sizeof *stages);
    enum mly_status status =
        stages ? evaluate_segments(plan, model, costs, stages, load, out, err)
               : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for evaluating a plan");
    mly_free(stages);
    return status;
}

enum mly_status mly__plan_under_load(const mly_plan *plan, const mly_model *model,
                                     const mly_cost_table *costs, struct mly__under_load *load,
                                     struct mly_prediction *out, struct mly_error *err)
{
    enum mly_status status = check_indices(plan, model, err);
    if (!status)
        status = mly__under_load_init(load, plan->batch, plan->segment_count, plan->processor_count,
                                      err);
    if (status)
        return status;
    status = evaluate(plan, model, costs, load, out, err);
    if (!status)
        status = mly__under_load_ready(load, err);
    if (status)
        mly__under_load_fini(load);
    return status;
}

enum mly_status mly_plan_evaluate(const mly_plan *plan, const mly_model *model,
                                  const mly_cost_table *costs, struct mly_prediction *out,
                                  struct mly_error *err)
{
    struct mly_prediction prediction;
    struct mly__under_load load;
    enum mly_status status = check_indices(plan, model, err);
    if (status)
        return status;
    if (!(plan->rate_per_s > 0)) {
        status = evaluate(plan, model, costs, NULL, &prediction, err);
    } else {
        status = mly__plan_under_load(plan, model, costs, &load, &prediction, err);
        if (!status) {
            prediction.loaded_latency_ns = plan->rate_per_s < prediction.throughput_per_s
                                               ? mly__under_load_latency_ns(&load, plan->rate_per_s)
                                               : INFINITY;
            mly__under_load_fini(&load);
        }
    }
    if (!status)
        *out = prediction;
    return status;
}
