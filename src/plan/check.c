/*
 * Is a plan valid for a model on a machine?
 *
 *   1. It was made for this model and this host.
 *   2. Batches: the batch is on the ladder, and is the model's own where that is fixed.
 *   3. Processors exist here and may be used; threads have CPUs; no CPU serves two processors that
 *      have sessions.
 *   4. Every node lies in exactly one segment, and no tensor goes back to an earlier segment.
 *      Segments in such an order are convex, so convexity is only looked at to say which of the two
 *      rules was broken.
 *   5. Weights and activations fit in memory.
 *   6. Shares of a batch make the batch, of a model whose batch is free, in a plan of one segment.
 *   7. Each member of a family is valid by itself, and their rates ascend.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "device/modelled.h"
#include "internal.h"

/* --- 1, 2 --- */

static enum mly_status check_identity(const mly_plan *plan, const mly_model *model,
                                      const mly_machine *machine, struct mly_error *err)
{
    const char *hash;
    enum mly_status status = mly_model_hash(model, &hash, err);
    if (status)
        return status;
    if (strcmp(hash, plan->model_hash))
        return mly_error_set(err, MLY_E_MISMATCH,
                             "plan: model.hash: the plan was made for another model (%s, %.12s…) "
                             "than %s (%.12s…): run `motley plan` again for this one",
                             plan->model_name, plan->model_hash, mly_model_path(model), hash);
    const struct mly_machine_info *info = mly_machine_info(machine);
    bool all_modelled = plan->processor_count > 0;
    for (uint32_t i = 0; i < plan->processor_count; i++)
        all_modelled = all_modelled && mly__plan_is_modelled(&plan->processors[i]);
    if (all_modelled)
        return MLY_OK; /* as good on any box */
    if (strcmp(info->host_id, plan->host_id))
        return mly_error_set(err, MLY_E_MISMATCH,
                             "plan: host: the plan was made on another box or for other cores of "
                             "it (%.12s…) than this one (%.12s…, %s, %u cores): run `motley plan` "
                             "again here",
                             plan->host_id, info->host_id, info->cpu_model, info->cores);
    return MLY_OK;
}

static enum mly_status check_batches(const mly_plan *plan, const mly_model *model,
                                     struct mly_error *err)
{
    const int64_t fixed = mly_model_fixed_batch(model);
    bool found = false;
    if (!plan->batch || plan->batch > MLY__PLAN_BATCH_MAX)
        return mly_error_set(err, MLY_E_INVALID, "plan: batch: %u is not in 1…%u", plan->batch,
                             MLY__PLAN_BATCH_MAX);
    if (fixed > 0 && plan->batch != fixed)
        return mly_error_set(err, MLY_E_INVALID,
                             "plan: batch: %u, but the model's batch is fixed at %lld", plan->batch,
                             (long long)fixed);
    for (uint32_t i = 0; i < plan->ladder_count; i++) {
        const uint32_t step = plan->ladder[i];
        found = found || step == plan->batch;
        if (!step || (i && step <= plan->ladder[i - 1]))
            return mly_error_set(err, MLY_E_INVALID, "plan: ladder[%u]: %u does not ascend", i,
                                 step);
        if (fixed > 0 && step != fixed)
            return mly_error_set(err, MLY_E_INVALID,
                                 "plan: ladder[%u]: %u, but the model's batch is fixed at %lld", i,
                                 step, (long long)fixed);
    }
    if (!found)
        return mly_error_set(err, MLY_E_INVALID, "plan: ladder: does not have the batch size %u",
                             plan->batch);
    if (!plan->in_flight)
        return mly_error_set(err, MLY_E_INVALID, "plan: in_flight: is 0");
    return MLY_OK;
}

/* --- 3 --- */

/* Everything the machine has: its hardware threads as CPU numbers, and its other processors. */
struct inventory {
    struct mly_processor_list threads;    /* one group of every hardware thread */
    struct mly_processor_list processors; /* filled when a plan asks for other kinds than CPUs */
    uint32_t *owner; /* by position in the list of CPUs: the processor that has it plus one */
};

static uint32_t find_cpu(const struct inventory *inventory, uint32_t cpu)
{
    for (size_t i = 0; i < inventory->threads.count; i++) {
        const struct mly_processor *group = &inventory->threads.items[i];
        for (uint32_t k = 0; k < group->cpu_count; k++)
            if (group->cpus[k] == cpu)
                return k;
    }
    return MLY_NO_INDEX;
}

static enum mly_status check_cpus(const mly_plan *plan, uint32_t index, bool has_sessions,
                                  const struct inventory *inventory, struct mly_error *err)
{
    const struct mly_plan_processor *p = &plan->processors[index];
    if (!p->cpu_count)
        return mly_error_set(err, MLY_E_INVALID, "plan: processors[%u].cpus: is empty for %s",
                             index, p->id);
    if (!p->runtime_defaults && (!p->threads || p->threads > p->cpu_count))
        return mly_error_set(err, MLY_E_INVALID,
                             "plan: processors[%u].threads: %u, but %s has %u CPUs", index,
                             p->threads, p->id, p->cpu_count);
    for (uint32_t i = 0; i < p->cpu_count; i++) {
        for (uint32_t k = 0; k < i; k++)
            if (p->cpus[k] == p->cpus[i])
                return mly_error_set(err, MLY_E_INVALID,
                                     "plan: processors[%u].cpus[%u]: CPU %u is listed twice", index,
                                     i, p->cpus[i]);
        const uint32_t position = find_cpu(inventory, p->cpus[i]);
        if (position == MLY_NO_INDEX)
            return mly_error_set(err, MLY_E_ABSENT,
                                 "plan: processors[%u].cpus[%u]: CPU %u is not there or not "
                                 "allowed to this process: run `motley plan` again here",
                                 index, i, p->cpus[i]);
        if (!has_sessions || p->runtime_defaults)
            continue;
        if (inventory->owner[position])
            return mly_error_set(err, MLY_E_INVALID,
                                 "plan: processors[%u].cpus[%u]: CPU %u belongs to processors[%u] "
                                 "already",
                                 index, i, p->cpus[i], inventory->owner[position] - 1);
        inventory->owner[position] = index + 1;
    }
    return MLY_OK;
}

static enum mly_status check_device(const mly_plan *plan, uint32_t index,
                                    const mly_machine *machine, struct inventory *inventory,
                                    struct mly_error *err)
{
    const struct mly_plan_processor *p = &plan->processors[index];
    if (!inventory->processors.count) {
        enum mly_status status = mly_machine_processors(machine, &inventory->processors, err);
        if (status)
            return status;
    }
    for (size_t i = 0; i < inventory->processors.count; i++) {
        const struct mly_processor *here = &inventory->processors.items[i];
        if (strcmp(here->id, p->id))
            continue;
        if (here->usable)
            return MLY_OK;
        return mly_error_set(err, MLY_E_ABSENT, "plan: processors[%u]: %s cannot be used: %s",
                             index, p->id, here->reason);
    }
    return mly_error_set(err, MLY_E_ABSENT, "plan: processors[%u]: there is no %s here", index,
                         p->id);
}

static enum mly_status check_modelled(const mly_plan *plan, uint32_t index, struct mly_error *err)
{
    const struct mly_plan_processor *p = &plan->processors[index];
    char *word = NULL;
    enum mly_status status = mly_device_models_load(&word, err);
    mly_free(word);
    if (status)
        return status;
    return mly_device_model_find(p->kind)
               ? MLY_OK
               : mly_error_set(err, MLY_E_ABSENT,
                               "plan: processors[%u].kind: there is no device file for the "
                               "modelled %s: `motley devices --modelled` lists those there are",
                               index, p->kind);
}

static bool has_sessions(const mly_plan *plan, uint32_t processor)
{
    for (uint32_t i = 0; i < plan->segment_count; i++)
        for (uint32_t k = 0; k < plan->segments[i].processor_count; k++)
            if (plan->segments[i].processors[k] == processor)
                return true;
    return false;
}

static enum mly_status check_processors(const mly_plan *plan, const mly_machine *machine,
                                        struct mly_error *err)
{
    struct inventory inventory = {0};
    enum mly_status status =
        mly_machine_group(machine, MLY_GROUP_WHOLE, 0, true, &inventory.threads, err);
    if (!status) {
        inventory.owner = mly_alloc_array(
            inventory.threads.count ? inventory.threads.items[0].cpu_count : 1, sizeof(uint32_t));
        if (!inventory.owner)
            status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for checking a plan");
    }
    if (!status && (!plan->processor_count || !plan->segment_count))
        status = mly_error_set(err, MLY_E_INVALID, "plan: %s: is empty",
                               plan->processor_count ? "segments" : "processors");
    for (uint32_t i = 0; !status && i < plan->processor_count; i++) {
        const struct mly_plan_processor *p = &plan->processors[i];
        for (uint32_t k = 0; !status && k < i; k++)
            if (!strcmp(plan->processors[k].id, p->id))
                status = mly_error_set(err, MLY_E_INVALID,
                                       "plan: processors[%u].id: %s is processors[%u] already", i,
                                       p->id, k);
        if (!status && !*p->backend)
            status = mly_error_set(err, MLY_E_INVALID, "plan: processors[%u].backend: is empty", i);
        if (!status && mly__plan_is_modelled(p))
            status = check_modelled(plan, i, err);
        else if (!status && !strcmp(p->kind, "cpu"))
            status = check_cpus(plan, i, has_sessions(plan, i), &inventory, err);
        else if (!status)
            status = check_device(plan, i, machine, &inventory, err);
    }
    mly_processor_list_fini(&inventory.threads);
    mly_processor_list_fini(&inventory.processors);
    mly_free(inventory.owner);
    return status;
}

/* --- 4 --- */

static enum mly_status check_segment(const mly_plan *plan, const struct mly_graph *graph,
                                     uint32_t index, uint32_t *segment_of, struct mly_error *err)
{
    const struct mly_plan_segment *segment = &plan->segments[index];
    if (!segment->processor_count)
        return mly_error_set(err, MLY_E_INVALID, "plan: segments[%u].processors: is empty", index);
    for (uint32_t i = 0; i < segment->processor_count; i++) {
        if (segment->processors[i] >= plan->processor_count)
            return mly_error_set(err, MLY_E_INVALID,
                                 "plan: segments[%u].processors[%u]: there are %u processors, "
                                 "counted from 0; %u is none of them",
                                 index, i, plan->processor_count, segment->processors[i]);
        for (uint32_t k = 0; k < i; k++)
            if (segment->processors[k] == segment->processors[i])
                return mly_error_set(err, MLY_E_INVALID,
                                     "plan: segments[%u].processors[%u]: %u is listed twice", index,
                                     i, segment->processors[i]);
    }
    if (!segment->node_count && plan->segment_count > 1)
        return mly_error_set(err, MLY_E_INVALID,
                             "plan: segments[%u].nodes: \"all\" in a plan of several segments",
                             index);
    for (uint32_t i = 0; i < segment->node_count; i++) {
        const uint32_t node = segment->nodes[i];
        if (node >= graph->node_count)
            return mly_error_set(err, MLY_E_INVALID,
                                 "plan: segments[%u].nodes: the model has %u nodes, counted from "
                                 "0; %u is none of them",
                                 index, graph->node_count, node);
        if (i && node <= segment->nodes[i - 1])
            return mly_error_set(err, MLY_E_INVALID, "plan: segments[%u].nodes: %u does not ascend",
                                 index, node);
        if (segment_of[node] != MLY_NO_INDEX)
            return mly_error_set(err, MLY_E_INVALID,
                                 "plan: segments[%u].nodes: node %u (%.100s) lies in segments[%u] "
                                 "already",
                                 index, node, graph->nodes[node].label, segment_of[node]);
        segment_of[node] = index;
    }
    return MLY_OK;
}

/* A tensor goes from segment `from` back to `to`: is one of them torn, or is their order wrong? */
static enum mly_status explain_order(const mly_plan *plan, const struct mly_graph *graph,
                                     uint32_t from, uint32_t to, const char *tensor,
                                     struct mly_error *err)
{
    const uint32_t suspects[] = {from, to};
    for (size_t i = 0; i < MLY__COUNT(suspects); i++) {
        const struct mly_plan_segment *segment = &plan->segments[suspects[i]];
        uint32_t leaving, returning;
        if (!mly_graph_is_convex(graph, segment->nodes, segment->node_count, &leaving, &returning))
            return mly_error_set(err, MLY_E_INVALID,
                                 "plan: segments[%u].nodes: not convex: a path leaves the segment "
                                 "after node %u (%.100s) and comes back at node %u (%.100s)",
                                 suspects[i], leaving, graph->nodes[leaving].label, returning,
                                 graph->nodes[returning].label);
    }
    return mly_error_set(err, MLY_E_INVALID,
                         "plan: segments[%u]: out of order: it needs tensor '%.100s' of "
                         "segments[%u], which comes later",
                         to, tensor, from);
}

static enum mly_status check_order(const mly_plan *plan, const struct mly_graph *graph,
                                   const uint32_t *segment_of, struct mly_error *err)
{
    for (uint32_t t = 0; t < graph->tensor_count; t++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[t];
        if (tensor->producer == MLY_NO_INDEX)
            continue;
        const uint32_t from = segment_of[tensor->producer];
        for (uint32_t i = 0; i < tensor->consumer_count; i++) {
            const uint32_t to = segment_of[tensor->consumers[i]];
            if (to < from)
                return explain_order(plan, graph, from, to, tensor->name, err);
            if (to != from && tensor->is_sequence_or_optional)
                return mly_error_set(err, MLY_E_INVALID,
                                     "plan: segments[%u].nodes: '%.100s' would go from here to "
                                     "segments[%u], but it is no plain tensor",
                                     from, tensor->name, to);
        }
    }
    return MLY_OK;
}

static enum mly_status check_segments(const mly_plan *plan, const mly_model *model,
                                      struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    uint32_t *segment_of = mly_alloc_array(graph->node_count, sizeof *segment_of);
    enum mly_status status = MLY_OK;
    if (!segment_of)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for checking a plan");
    for (uint32_t i = 0; i < graph->node_count; i++)
        segment_of[i] = MLY_NO_INDEX;
    for (uint32_t i = 0; !status && i < plan->segment_count; i++)
        status = check_segment(plan, graph, i, segment_of, err);
    const bool whole = plan->segment_count == 1 && !plan->segments[0].node_count;
    for (uint32_t i = 0; !status && !whole && i < graph->node_count; i++)
        if (segment_of[i] == MLY_NO_INDEX)
            status = mly_error_set(err, MLY_E_INVALID,
                                   "plan: segments: node %u (%.100s) lies in none of them", i,
                                   graph->nodes[i].label);
    if (!status && !whole)
        status = check_order(plan, graph, segment_of, err);
    mly_free(segment_of);
    return status;
}

/* --- 6 --- */

static enum mly_status check_shares(const mly_plan *plan, const mly_model *model,
                                    struct mly_error *err)
{
    const struct mly_plan_segment *segment = &plan->segments[0];
    uint64_t sum = 0;
    for (uint32_t i = 1; i < plan->segment_count; i++)
        if (segment->shares || plan->segments[i].shares)
            return mly_error_set(err, MLY_E_INVALID,
                                 "plan: segments[%u].shares: a batch is split only in a plan of "
                                 "one segment",
                                 segment->shares ? 0 : i);
    if (!segment->shares)
        return MLY_OK;
    if (mly_model_fixed_batch(model) > 0)
        return mly_error_set(err, MLY_E_INVALID,
                             "plan: segments[0].shares: the model's batch is fixed at %lld, so it "
                             "cannot be split",
                             (long long)mly_model_fixed_batch(model));
    for (uint32_t i = 0; i < segment->processor_count; i++) {
        sum += segment->shares[i];
        if (!segment->shares[i])
            return mly_error_set(err, MLY_E_INVALID, "plan: segments[0].shares[%u]: is 0", i);
    }
    if (sum != plan->batch)
        return mly_error_set(err, MLY_E_INVALID,
                             "plan: segments[0].shares: they sum to %llu, but the batch is %u",
                             (unsigned long long)sum, plan->batch);
    return MLY_OK;
}

/* --- 5 --- */

/* Segments on modelled processors lie in those' memory, which mly_plan_evaluate looks at. */
static bool is_only_modelled(const mly_plan *plan, uint32_t segment)
{
    for (uint32_t i = 0; i < plan->segments[segment].processor_count; i++)
        if (!mly__plan_is_modelled(&plan->processors[plan->segments[segment].processors[i]]))
            return false;
    return true;
}

static enum mly_status check_memory(const mly_plan *plan, const mly_model *model,
                                    const mly_machine *machine, struct mly_error *err)
{
    const double limit = (double)mly_machine_info(machine)->memory_bytes;
    struct mly__plan_memory memory;
    bool elsewhere = true;
    for (uint32_t i = 0; i < plan->segment_count; i++)
        elsewhere = elsewhere && is_only_modelled(plan, i);
    if (elsewhere)
        return MLY_OK;
    enum mly_status status = mly__plan_memory(plan, model, &memory, err);
    if (status || limit <= 0 || memory.weight_bytes + memory.activation_bytes <= limit)
        return status;
    return mly_error_set(err, MLY_E_INVALID,
                         "plan: does not fit in memory: weights of %.0f MiB and activations of "
                         "%.0f MiB for batch %u, but the machine has %.0f MiB; fewer groups or a "
                         "smaller batch need less",
                         memory.weight_bytes / 0x1p20, memory.activation_bytes / 0x1p20,
                         plan->batch, limit / 0x1p20);
}

/* --- 7 --- */

mly_plan mly__plan_member_view(const mly_plan *plan, uint32_t index)
{
    mly_plan view = *plan;
    mly__plan_set_way(&view, &plan->family[index]);
    view.family = NULL;
    view.family_count = 0;
    return view;
}

/* All but identity. */
static enum mly_status check_way(const mly_plan *plan, const mly_model *model,
                                 const mly_machine *machine, struct mly_error *err)
{
    enum mly_status status = check_batches(plan, model, err);
    if (!status)
        status = check_processors(plan, machine, err);
    if (!status)
        status = check_segments(plan, model, err);
    if (!status)
        status = check_shares(plan, model, err);
    return status ? status : check_memory(plan, model, machine, err);
}

static enum mly_status check_family(const mly_plan *plan, const mly_model *model,
                                    const mly_machine *machine, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && i < plan->family_count; i++) {
        const double before = i ? plan->family[i - 1].max_rate_per_s : 0;
        const mly_plan view = mly__plan_member_view(plan, i);
        if (!(plan->family[i].max_rate_per_s > before))
            return mly_error_set(err, MLY_E_INVALID,
                                 "plan: family[%u].max_rate_per_s: %g does not ascend", i,
                                 plan->family[i].max_rate_per_s);
        status = check_way(&view, model, machine, err);
        if (status)
            status = mly_error_prefix(err, status, "family[%u]", i);
    }
    return status;
}

enum mly_status mly_plan_check(const mly_plan *plan, const mly_model *model,
                               const mly_machine *machine, struct mly_error *err)
{
    enum mly_status status = check_identity(plan, model, machine, err);
    if (!status)
        status = check_way(plan, model, machine, err);
    return status ? status : check_family(plan, model, machine, err);
}
