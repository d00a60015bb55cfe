/*
 * Times of single nodes, from the runtime's own profiling.
 *
 * 1. The whole model runs on one thread with profiling on, several times.
 * 2. Each node of the runtime's fused graph names the model's tensors that it completes: their producers belong to it.
 * 3. Nodes of the model that were swallowed belong where their first consumer belongs.
 * 4. A runtime node's time is shared among its nodes in proportion to their arithmetic, equally if that is unknown.
 */
#include "nodes.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

enum { RUNS_MIN = 5, RUNS_MAX = 200 };
static const int64_t runs_ns = 1000000000;
static const int64_t slow_ns = 8000000000; /* fewer than RUNS_MIN runs are enough after this */

/* 1. */
static enum mly_status run_profiled(const struct mly_backend_ops *ops, mly_session *session,
                                    const struct mly_tensor *inputs, const atomic_bool *stop,
                                    struct mly_error *err)
{
    const struct mly_session_info *info = ops->info(session);
    struct mly_tensor *outputs =
        mly_alloc_array(info->output_count ? info->output_count : 1, sizeof *outputs);
    if (!outputs)
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for outputs");
    enum mly_status status = MLY_OK;
    int64_t start = mly_now_ns(), elapsed = 0;
    for (int i = 0; status == MLY_OK && i < RUNS_MAX &&
                    (elapsed < runs_ns || (i < RUNS_MIN && elapsed < slow_ns));
         i++) {
        for (uint32_t k = 0; k < info->output_count; k++)
            mly_tensor_fini(&outputs[k]);
        if (stop && atomic_load_explicit(stop, memory_order_relaxed))
            status = mly_error_set(err, MLY_E_CANCELLED, "measuring was interrupted");
        else
            status = ops->run(session, inputs, outputs, err);
        elapsed = mly_now_ns() - start;
    }
    for (uint32_t i = 0; i < info->output_count; i++)
        mly_tensor_fini(&outputs[i]);
    mly_free(outputs);
    return status;
}

/* 2 and 3. owners[node] gets an index into times, or MLY_NO_INDEX. */
static void find_owners(const struct mly_graph *graph, const struct mly_node_times *times,
                        uint32_t *owners)
{
    for (uint32_t n = 0; n < graph->node_count; n++)
        owners[n] = MLY_NO_INDEX;
    for (uint32_t i = 0; i < times->count; i++) {
        for (uint32_t j = 0; j < times->items[i].output_count; j++) {
            uint32_t tensor = mly_graph_find_tensor(graph, times->items[i].outputs[j]);
            uint32_t producer =
                tensor == MLY_NO_INDEX ? MLY_NO_INDEX : graph->tensors[tensor].producer;
            if (producer != MLY_NO_INDEX)
                owners[producer] = i;
        }
    }
    for (uint32_t n = graph->node_count; n-- > 0;) {
        const struct mly_graph_node *node = &graph->nodes[n];
        for (uint32_t j = 0; owners[n] == MLY_NO_INDEX && j < node->output_count; j++) {
            if (node->outputs[j] == MLY_NO_INDEX)
                continue;
            const struct mly_graph_tensor *tensor = &graph->tensors[node->outputs[j]];
            for (uint32_t k = 0; owners[n] == MLY_NO_INDEX && k < tensor->consumer_count; k++)
                owners[n] = owners[tensor->consumers[k]];
        }
    }
}

static double weight_of(const struct mly_graph *graph, const struct mly_shape *shapes,
                        uint32_t node)
{
    struct mly_node_work work;
    mly_graph_node_work(graph, shapes, node, &work);
    return work.known ? work.flops : 0;
}

/* 4. */
static enum mly_status put_shares(const struct profiler *p, const struct mly_shape *shapes,
                                  const struct mly_node_times *times, const uint32_t *owners,
                                  const struct mly_cost_config *config, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(p->model);
    double *total = mly_alloc_array(times->count ? times->count : 1, sizeof *total);
    uint32_t *members = mly_alloc_array(times->count ? times->count : 1, sizeof *members);
    enum mly_status status =
        total && members ? MLY_OK : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for node times");
    for (uint32_t n = 0; status == MLY_OK && n < graph->node_count; n++) {
        if (owners[n] == MLY_NO_INDEX)
            continue;
        total[owners[n]] += weight_of(graph, shapes, n);
        members[owners[n]]++;
    }
    for (uint32_t n = 0; status == MLY_OK && n < graph->node_count; n++) {
        struct mly_cost_entry entry = {.scope = MLY_COST_NODE,
                                       .scope_id = graph->nodes[n].label,
                                       .config = *config,
                                       .measured_s = p->measured_s,
                                       .noise_spread = p->noise.relative_spread};
        if (owners[n] != MLY_NO_INDEX) {
            const struct mly_node_time *time = &times->items[owners[n]];
            double whole = total[owners[n]];
            double share =
                whole > 0 ? weight_of(graph, shapes, n) / whole : 1.0 / members[owners[n]];
            entry.p10_ns = time->p10_ns * share;
            entry.median_ns = time->median_ns * share;
            entry.p90_ns = time->p90_ns * share;
            entry.samples = time->samples;
        }
        status = mly_cost_table_put(p->table, &entry, err);
    }
    mly_free(members);
    mly_free(total);
    return status;
}

static enum mly_status share_times(const struct profiler *p, const struct mly_node_times *times,
                                   const struct mly_cost_config *config, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(p->model);
    uint32_t *owners = mly_alloc_array(graph->node_count ? graph->node_count : 1, sizeof *owners);
    struct mly_shape *shapes =
        mly_alloc_array(graph->tensor_count ? graph->tensor_count : 1, sizeof *shapes);
    enum mly_status status =
        owners && shapes ? MLY_OK : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for node times");
    if (status == MLY_OK)
        status = mly_graph_bind(p->model, config->batch, p->dims.items, p->dims.count, shapes, err);
    if (status == MLY_OK) {
        find_owners(graph, times, owners);
        status = put_shares(p, shapes, times, owners, config, err);
    }
    mly_free(shapes);
    mly_free(owners);
    return status;
}

static struct mly_cost_config config_of(const struct profiler *p)
{
    struct mly_cost_config config = {
        .processor_kind = "cpu", .groups = 1, .threads = 1, .batch = p->batches[0]};
    memcpy(config.backend, p->backend, strlen(p->backend) + 1);
    return config;
}

bool profile_nodes_missing(const struct profiler *p)
{
    const struct mly_graph *graph = mly_model_graph(p->model);
    const struct mly_cost_config config = config_of(p);
    if (!mly_backend_find(p->backend)->node_times)
        return false;
    for (uint32_t n = 0; n < graph->node_count; n++)
        if (p->options->again ||
            !mly_cost_table_find(p->table, MLY_COST_NODE, graph->nodes[n].label, &config))
            return true;
    return false;
}

/* A session of its own for every kind of values: what a failed run left in it is not known. */
static enum mly_status time_nodes(const struct profiler *p, const struct mly_processor *core,
                                  enum profile_fill fill, struct mly_node_times *out,
                                  struct mly_error *err)
{
    const struct mly_backend_ops *ops = mly_backend_find(p->backend);
    struct mly_session_options options = {.processor = core, .threads = 1, .profile_nodes = true};
    struct mly_tensor *inputs = NULL;
    mly_session *session = NULL;
    enum mly_status status =
        profile_inputs_make(p->model, &p->dims, p->batches[0], fill, &inputs, err);
    if (status == MLY_OK)
        status = ops->open(p->model, &p->whole, &options, &session, err);
    if (status == MLY_OK)
        status = run_profiled(ops, session, inputs, p->options->stop, err);
    if (status == MLY_OK)
        status = ops->node_times(session, out, err);
    if (session)
        ops->close(session);
    profile_inputs_free(p->model, inputs);
    return status;
}

enum mly_status profile_nodes(struct profiler *p, struct mly_error *err)
{
    const struct mly_cost_config config = config_of(p);
    struct mly_processor_list cores = {0};
    struct mly_node_times times = {0};
    enum mly_status status = mly_machine_group(p->machine, MLY_GROUP_CORE, 0, false, &cores, err);
    if (status == MLY_OK)
        status = time_nodes(p, &cores.items[0], p->fill, &times, err);
    while (profile_fill_may_help(status) && !p->fill_known && p->fill + 1 < FILL_COUNT) {
        p->fill++;
        status = time_nodes(p, &cores.items[0], p->fill, &times, err);
    }
    if (status == MLY_OK)
        status = share_times(p, &times, &config, err);
    mly_node_times_fini(&times);
    mly_processor_list_fini(&cores);
    return status;
}
