/*
 * What a segment costs on a class, as plans are judged by: modelled kinds by their device's rules, the
 * others by measurements (costs.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

/* --- what crosses the border of a set of nodes --- */

struct border {
    const struct mly__problem *problem;
    bool *has;  /* by node */
    bool *seen; /* by tensor */
    double input_bytes, output_bytes;
};

static double bytes_of(const struct border *border, uint32_t tensor)
{
    const double bytes =
        mly_cut_tensor_bytes(border->problem->graph, border->problem->shapes, tensor);
    return bytes > 0 ? bytes : 0;
}

static void read_tensor(struct border *border, uint32_t tensor)
{
    const struct mly_graph *graph = border->problem->graph;
    if (tensor == MLY_NO_INDEX || border->seen[tensor])
        return;
    const struct mly_graph_tensor *t = &graph->tensors[tensor];
    border->seen[tensor] = true;
    if (t->kind == MLY_TENSOR_INITIALISER ||
        (t->producer != MLY_NO_INDEX &&
         (border->has[t->producer] || !strcmp(graph->nodes[t->producer].op_type, "Constant"))))
        return;
    border->input_bytes += bytes_of(border, tensor);
}

static void make_tensor(struct border *border, uint32_t tensor)
{
    if (tensor == MLY_NO_INDEX)
        return;
    const struct mly_graph_tensor *t = &border->problem->graph->tensors[tensor];
    bool out = t->is_output;
    for (uint32_t i = 0; !out && i < t->consumer_count; i++)
        out = !border->has[t->consumers[i]];
    if (out && strcmp(border->problem->graph->nodes[t->producer].op_type, "Constant") != 0)
        border->output_bytes += bytes_of(border, tensor);
}

static enum mly_status measure_border(const struct mly__problem *problem, const uint32_t *nodes,
                                      uint32_t count, struct mly__segment_cost *out,
                                      struct mly_error *err)
{
    const struct mly_graph *graph = problem->graph;
    struct border border = {.problem = problem};
    border.has = mly_alloc_array(graph->node_count, sizeof *border.has);
    border.seen = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *border.seen);
    if (!border.has || !border.seen) {
        mly_free(border.has);
        mly_free(border.seen);
        return mly__problem_no_memory(err);
    }
    for (uint32_t i = 0; i < count; i++)
        border.has[nodes[i]] = true;
    for (uint32_t i = 0; i < count; i++) {
        const struct mly_graph_node *node = &graph->nodes[nodes[i]];
        for (uint32_t k = 0; k < node->input_count; k++)
            read_tensor(&border, node->inputs[k]);
        for (uint32_t k = 0; k < node->captured_count; k++)
            read_tensor(&border, node->captured[k]);
        for (uint32_t k = 0; k < node->output_count; k++)
            make_tensor(&border, node->outputs[k]);
    }
    out->input_bytes = border.input_bytes;
    out->output_bytes = border.output_bytes;
    mly_free(border.has);
    mly_free(border.seen);
    return MLY_OK;
}

/* --- measured --- */

static double measured_spread(const struct mly_cost_entry *entry)
{
    return entry ? fmax(0, entry->p90_ns - entry->p10_ns) : 0;
}

static enum mly_status cost_measured(const struct mly__problem *problem, uint32_t class_index,
                                     const uint32_t *nodes, uint32_t count,
                                     struct mly__segment_cost *out, struct mly_error *err)
{
    const struct mly__class *class = &problem->classes[class_index];
    const struct mly__node_costs *costs = &problem->hidden->costs[class_index].nodes;
    const bool whole = count == problem->graph->node_count && costs->whole_ns > 0;
    struct mly_segment segment = {.nodes = (uint32_t *)(uintptr_t)nodes, .node_count = count};
    char hash[65];
    double ns;
    enum mly_status status = measure_border(problem, nodes, count, out, err);
    if (!status)
        status = mly_segment_hash(problem->model, &segment, hash, err);
    if (status)
        return status;
    const enum mly_cost_scope scope = whole ? MLY_COST_MODEL : MLY_COST_SEGMENT;
    const char *id = whole ? "" : hash;
    for (uint32_t i = 0; i < count; i++) {
        struct mly_node_work work;
        mly_graph_node_work(problem->graph, problem->shapes, nodes[i], &work);
        out->weight_bytes += work.weight_bytes;
    }
    out->on_chip_bytes = out->weight_bytes;
    status =
        mly__plan_peak(problem->graph, problem->shapes, nodes, count, &out->activation_bytes, err);
    if (status)
        return status;
    if (!mly_cost_estimate_ns(problem->request->costs, scope, id, &class->config, &ns, NULL,
                              NULL)) {
        const struct mly_cost_entry *entry =
            mly_cost_table_find(problem->request->costs, scope, id, &class->config);
        out->execution_ns = ns;
        out->spread_ns = measured_spread(entry);
        out->measured = entry != NULL && !entry->modelled;
        out->modelled = entry != NULL && entry->modelled;
        return MLY_OK;
    }
    if (!costs->known)
        return mly__costs_missing(problem, class_index, err);
    out->execution_ns = class->segment_ns;
    for (uint32_t i = 0; i < count; i++) {
        out->execution_ns += costs->time_ns[nodes[i]];
        out->spread_ns += costs->spread_ns[nodes[i]];
    }
    return MLY_OK;
}

/* --- modelled --- */

static enum mly_status cost_modelled(const struct mly__problem *problem, uint32_t class_index,
                                     const uint32_t *nodes, uint32_t count,
                                     struct mly__segment_cost *out, char *reason,
                                     size_t reason_bytes, struct mly_error *err)
{
    struct mly_modelled_cost cost;
    struct mly_error why = {0};
    enum mly_status status = mly_modelled_segment(problem->hidden->costs[class_index].modelled,
                                                  nodes, count, &cost, &why);
    out->modelled = true;
    if (status == MLY_E_UNSUPPORTED || status == MLY_E_LIMIT) {
        out->execution_ns = INFINITY;
        if (reason)
            snprintf(reason, reason_bytes, "%s", why.message);
        return MLY_OK;
    }
    if (status)
        return mly_error_set(err, status, "%s", why.message);
    out->execution_ns = cost.execution_ns;
    out->input_ns = cost.input_ns;
    out->output_ns = cost.output_ns;
    out->input_bytes = cost.input_bytes;
    out->output_bytes = cost.output_bytes;
    out->weight_bytes = cost.weight_bytes;
    out->on_chip_bytes = cost.on_chip_bytes;
    out->off_chip_bytes = cost.off_chip_bytes;
    out->activation_bytes = cost.activation_bytes;
    out->energy_j = cost.energy_j;
    return MLY_OK;
}

enum mly_status mly__problem_cost_nodes(const struct mly__problem *problem, uint32_t class_index,
                                        const uint32_t *nodes, uint32_t count,
                                        struct mly__segment_cost *out, char *reason,
                                        size_t reason_bytes, struct mly_error *err)
{
    *out = (struct mly__segment_cost){0};
    return problem->classes[class_index].modelled
               ? cost_modelled(problem, class_index, nodes, count, out, reason, reason_bytes, err)
               : cost_measured(problem, class_index, nodes, count, out, err);
}

static int compare_nodes(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

enum mly_status mly__problem_cost(const struct mly__problem *problem, uint32_t class_index,
                                  const uint32_t *units, uint32_t count,
                                  struct mly__segment_cost *out, char *reason, size_t reason_bytes,
                                  struct mly_error *err)
{
    uint32_t *nodes = mly_alloc_array(problem->graph->node_count, sizeof *nodes);
    uint32_t node_count = 0;
    if (!nodes)
        return mly__problem_no_memory(err);
    for (uint32_t i = 0; i < count; i++) {
        const struct mly__unit *unit = &problem->units[units[i]];
        memcpy(nodes + node_count, unit->nodes, unit->node_count * sizeof *nodes);
        node_count += unit->node_count;
    }
    qsort(nodes, node_count, sizeof *nodes, compare_nodes);
    enum mly_status status = mly__problem_cost_nodes(problem, class_index, nodes, node_count, out,
                                                     reason, reason_bytes, err);
    mly_free(nodes);
    return status;
}
