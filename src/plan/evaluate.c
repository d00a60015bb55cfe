/*
 * What a plan will give, from the cost table alone.
 *
 *   1. A whole model on processors that are run alike: the entry of just that configuration, as
 *      measured with all groups at work. Processors of several kinds: the sum of what each kind was
 *      measured to give by itself.
 *   2. Several segments: the time of a segment on a processor is its own entry's, else the sum of
 *      its nodes'. Replicas share a segment's batches in proportion to their speed, so each is busy
 *      1 / (sum of 1 / time) per batch. The busiest processor sets the throughput; the segments'
 *      times add up to the latency.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "internal.h"

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

static enum mly_status evaluate_whole(const mly_plan *plan, const mly_model *model,
                                      const mly_cost_table *costs, struct mly_prediction *out,
                                      struct mly_error *err)
{
    const struct mly_plan_segment *segment = &plan->segments[0];
    struct mly__plan_memory memory;
    struct mly_prediction sum = {.known = true, .measured = true};
    double weighted_latency = 0;
    uint32_t kinds = 0;
    enum mly_status status = mly__plan_memory_whole(model, plan->batch, &memory, err);
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
        if (before)
            continue; /* counted with the first of its kind */
        const struct mly_cost_config config = mly__plan_config(plan, segment->processors[i], alike);
        const struct mly_cost_entry *entry =
            mly_cost_table_find(costs, MLY_COST_MODEL, "", &config);
        if (!entry)
            return missing(plan, &config, "the whole model", "", err);
        const struct mly_prediction one = mly__plan_predict_whole(entry, &memory);
        if (++kinds == 1)
            sum = one;
        else
            sum.memory_bytes += one.memory_bytes - memory.weight_bytes;
        if (kinds > 1) {
            sum.measured = false;
            sum.modelled = sum.modelled || one.modelled;
            sum.throughput_per_s += one.throughput_per_s;
            sum.spread = fmax(sum.spread, one.spread);
        }
        weighted_latency += one.latency_ns * one.throughput_per_s;
    }
    if (kinds > 1 && sum.throughput_per_s > 0)
        sum.latency_ns = weighted_latency / sum.throughput_per_s;
    *out = sum;
    return MLY_OK;
}

/* --- 2. several segments --- */

/* A time with how sure it is. */
struct estimate {
    double ns;
    double spread_ns; /* p90 - p10 */
    bool modelled;
};

static enum mly_status estimate_entry(const mly_cost_table *costs, enum mly_cost_scope scope,
                                      const char *id, const struct mly_cost_config *config,
                                      struct estimate *sum)
{
    double ns;
    enum mly_status status = mly_cost_estimate_ns(costs, scope, id, config, &ns, NULL, NULL);
    if (status)
        return status;
    const struct mly_cost_entry *entry = mly_cost_table_find(costs, scope, id, config);
    sum->ns += ns;
    if (entry) {
        sum->spread_ns += fmax(0, entry->p90_ns - entry->p10_ns);
        sum->modelled = sum->modelled || entry->modelled;
    }
    return MLY_OK;
}

static enum mly_status estimate_segment(const mly_plan *plan, const mly_model *model,
                                        const mly_cost_table *costs, uint32_t index,
                                        const char *hash, const struct mly_cost_config *config,
                                        struct estimate *out, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    const struct mly_plan_segment *segment = &plan->segments[index];
    *out = (struct estimate){0};
    if (!estimate_entry(costs, MLY_COST_SEGMENT, hash, config, out))
        return MLY_OK;
    for (uint32_t i = 0; i < segment->node_count; i++) {
        const char *label = graph->nodes[segment->nodes[i]].label;
        if (estimate_entry(costs, MLY_COST_NODE, label, config, out))
            return missing(plan, config, "node ", label, err);
    }
    return MLY_OK;
}

/*
 * How many processors of the plan are run like this one and have work: they were measured all at
 * once.
 */
static uint32_t count_alike(const mly_plan *plan, const bool *busy, uint32_t processor)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->processor_count; i++)
        count += busy[i] && runs_alike(&plan->processors[i], &plan->processors[processor]);
    return count;
}

/* Adds a segment's time to the load of its processors and to the latency. */
static enum mly_status add_segment(const mly_plan *plan, const mly_model *model,
                                   const mly_cost_table *costs, uint32_t index, const bool *busy,
                                   double *loads_ns, struct mly_prediction *sum, double *spread_ns,
                                   struct mly_error *err)
{
    const struct mly_plan_segment *segment = &plan->segments[index];
    struct mly_segment nodes = {.nodes = segment->nodes, .node_count = segment->node_count};
    char hash[65];
    double rate = 0; /* batches per ns, all replicas together */
    bool instant = false;
    enum mly_status status = mly_segment_hash(model, &nodes, hash, err);
    for (uint32_t i = 0; !status && i < segment->processor_count; i++) {
        const uint32_t p = segment->processors[i];
        const struct mly_cost_config config = mly__plan_config(plan, p, count_alike(plan, busy, p));
        struct estimate estimate;
        status = estimate_segment(plan, model, costs, index, hash, &config, &estimate, err);
        if (status)
            break;
        if (estimate.ns > 0)
            rate += 1 / estimate.ns;
        else
            instant = true;
        sum->modelled = sum->modelled || estimate.modelled;
        *spread_ns += estimate.spread_ns / segment->processor_count;
    }
    if (status || instant)
        return status;
    for (uint32_t i = 0; i < segment->processor_count; i++)
        loads_ns[segment->processors[i]] += 1 / rate;
    sum->latency_ns += segment->processor_count / rate;
    return MLY_OK;
}

static enum mly_status evaluate_segments(const mly_plan *plan, const mly_model *model,
                                         const mly_cost_table *costs, struct mly_prediction *out,
                                         struct mly_error *err)
{
    struct mly__plan_memory memory;
    struct mly_prediction sum = {.known = true};
    double spread_ns = 0, bottleneck_ns = 0;
    bool *busy = mly_alloc_array(plan->processor_count, sizeof *busy);
    double *loads_ns = mly_alloc_array(plan->processor_count, sizeof *loads_ns);
    enum mly_status status = MLY_OK;
    if (!busy || !loads_ns)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for evaluating a plan");
    if (!status)
        status = mly__plan_memory(plan, model, &memory, err);
    for (uint32_t i = 0; !status && i < plan->segment_count; i++)
        for (uint32_t k = 0; k < plan->segments[i].processor_count; k++)
            busy[plan->segments[i].processors[k]] = true;
    for (uint32_t i = 0; !status && i < plan->segment_count; i++)
        status = add_segment(plan, model, costs, i, busy, loads_ns, &sum, &spread_ns, err);
    if (!status) {
        for (uint32_t i = 0; i < plan->processor_count; i++)
            bottleneck_ns = fmax(bottleneck_ns, loads_ns[i]);
        if (bottleneck_ns > 0)
            sum.throughput_per_s = 1e9 * plan->batch / bottleneck_ns;
        if (sum.latency_ns > 0)
            sum.spread = spread_ns / sum.latency_ns;
        sum.memory_bytes = memory.weight_bytes + memory.activation_bytes;
        *out = sum;
    }
    mly_free(busy);
    mly_free(loads_ns);
    return status;
}

enum mly_status mly_plan_evaluate(const mly_plan *plan, const mly_model *model,
                                  const mly_cost_table *costs, struct mly_prediction *out,
                                  struct mly_error *err)
{
    const uint32_t node_count = mly_model_graph(model)->node_count;
    enum mly_status status = check_indices(plan, model, err);
    if (status)
        return status;
    const bool whole = plan->segment_count == 1 && (plan->segments[0].node_count == 0 ||
                                                    plan->segments[0].node_count == node_count);
    return whole ? evaluate_whole(plan, model, costs, out, err)
                 : evaluate_segments(plan, model, costs, out, err);
}
