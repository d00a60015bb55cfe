/*
 * What nodes and segments cost on processors that are measured.
 *
 *   1. Times of nodes: those measured with just this configuration, for the nearest batch; else those
 *      of the configuration most like it, where the whole model was measured with just this one.
 *   2. The whole model corrects them. A segment of nodes with the times t is predicted to take
 *      a + b * sum(t), and the whole model's own time fixes b = (whole - a) / sum of all. That takes in
 *      what fusion saves, what the runtime does between nodes, other threads, groups and batches.
 *   3. a is what every run of a segment takes besides its nodes. Where sample segments (the model cut
 *      evenly) were measured, it is fitted to them: least squares of the relative errors. Otherwise it
 *      is assumed.
 *   4. A segment that was measured itself costs what was measured.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

/* What the engine takes to hand a task over, and the runtime to begin one; where nothing is measured. */
static const double assumed_segment_ns = 20000;
/* At most this share of the whole model's time is said to be spent besides nodes. */
static const double segment_share_max = 0.25;

static const uint32_t sample_parts[] = {2, 4};

uint32_t mly_plan_sample_parts(size_t index)
{
    return index < MLY__COUNT(sample_parts) ? sample_parts[index] : 0;
}

/* --- 1 --- */

static bool is_like(const struct mly_cost_entry *entry, const struct mly_cost_config *config)
{
    const struct mly_cost_config *c = &entry->config;
    return entry->scope == MLY_COST_NODE && !c->runtime_defaults &&
           !strcmp(c->backend, config->backend) &&
           !strcmp(c->processor_kind, config->processor_kind);
}

/* How unlike two configurations are: threads first, then batches, then groups. */
static double distance(const struct mly_cost_config *a, const struct mly_cost_config *b)
{
    const double threads = fabs(log2((double)(a->threads + 1) / (b->threads + 1)));
    const double batches = fabs(log2((double)a->batch / b->batch));
    const double groups = fabs(log2((double)a->groups / b->groups));
    return threads * 1e4 + batches * 1e2 + groups + (a->spin != b->spin) * 0.5;
}

/* The configuration of nodes in the table that is most like the wanted one; false: there is none. */
static bool nearest_config(const mly_cost_table *costs, const struct mly_cost_config *wanted,
                           struct mly_cost_config *out)
{
    const struct mly_cost_entry *entry;
    bool found = false;
    for (size_t i = 0; (entry = mly_cost_table_at(costs, i)); i++) {
        if (!is_like(entry, wanted) ||
            (found && distance(&entry->config, wanted) >= distance(out, wanted)))
            continue;
        *out = entry->config;
        found = true;
    }
    return found;
}

static enum mly_status missing(const struct mly__problem *problem,
                               const struct mly_cost_config *config, const char *label,
                               struct mly_error *err)
{
    char text[MLY__PLAN_CONFIG_TEXT_BYTES];
    return mly_error_set(err, MLY_E_NOT_FOUND,
                         "the cost of node %.200s with %s on %s is not known: run `motley profile "
                         "--nodes %s` to measure it",
                         label, mly__plan_config_text(config, text), config->processor_kind,
                         mly_model_path(problem->model));
}

/* Fills times with those of one configuration; MLY_E_NOT_FOUND with *lacking the first node that has none. */
static enum mly_status read_nodes(const struct mly__problem *problem,
                                  const struct mly_cost_config *config,
                                  struct mly__node_costs *nodes, uint32_t *lacking)
{
    const mly_cost_table *costs = problem->request->costs;
    nodes->total_ns = 0;
    for (uint32_t n = 0; n < problem->graph->node_count; n++) {
        const char *label = problem->graph->nodes[n].label;
        if (mly_cost_estimate_ns(costs, MLY_COST_NODE, label, config, &nodes->time_ns[n], NULL,
                                 NULL)) {
            *lacking = n;
            return MLY_E_NOT_FOUND;
        }
        const struct mly_cost_entry *entry =
            mly_cost_table_find(costs, MLY_COST_NODE, label, config);
        nodes->spread_ns[n] = entry ? fmax(0, entry->p90_ns - entry->p10_ns) : 0;
        nodes->total_ns += nodes->time_ns[n];
    }
    return MLY_OK;
}

static enum mly_status find_nodes(const struct mly__problem *problem,
                                  const struct mly_cost_config *config,
                                  struct mly__node_costs *nodes, struct mly_error *err)
{
    struct mly_cost_config nearest;
    uint32_t lacking = 0;
    if (!problem->request->costs)
        return missing(problem, config, problem->graph->nodes[0].label, err);
    enum mly_status status = read_nodes(problem, config, nodes, &lacking);
    if (status && nodes->whole_ns > 0 && nearest_config(problem->request->costs, config, &nearest))
        status = read_nodes(problem, &nearest, nodes, &lacking);
    nodes->known = !status;
    if (!status || (problem->hidden->whole_will_do && nodes->whole_ns > 0))
        return MLY_OK;
    return missing(problem, config, problem->graph->nodes[lacking].label, err);
}

enum mly_status mly__costs_missing(const struct mly__problem *problem, uint32_t class_index,
                                   struct mly_error *err)
{
    return missing(problem, &problem->classes[class_index].config, problem->graph->nodes[0].label,
                   err);
}

/* --- 2, 3 --- */

/* Sums for the line through the samples. */
struct fit {
    double weighted, weights;
    uint32_t samples;
};

static double sum_of(const struct mly__node_costs *nodes, const uint32_t *list, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += nodes->time_ns[list[i]];
    return sum;
}

/*
 * A part of the nodes' sum that took measured_ns: with b fixed by the whole, a * (1 - part) should be
 * measured - whole * part.
 */
static void fit_add(struct fit *fit, const struct mly__node_costs *nodes, double part,
                    double measured_ns)
{
    const double weight = 1 / (measured_ns * measured_ns), rest = 1 - part;
    if (rest <= 0 || measured_ns <= 0)
        return;
    fit->weighted += weight * rest * (measured_ns - nodes->whole_ns * part);
    fit->weights += weight * rest * rest;
    fit->samples++;
}

/* Looks the parts of one even cut up in the table. */
static enum mly_status fit_cut(const struct mly__problem *problem, const struct mly__class *class,
                               const struct mly__node_costs *nodes, uint32_t parts,
                               uint32_t *part_of_node, uint32_t *list, struct fit *fit,
                               struct mly_error *err)
{
    const uint32_t node_count = problem->graph->node_count;
    if (mly_cut_balanced(problem->graph, MLY_CUT_BETWEEN_PATTERNS, problem->shapes, parts,
                         part_of_node, NULL))
        return MLY_OK; /* too few places to cut: no sample */
    for (uint32_t part = 0; part < parts; part++) {
        struct mly_segment segment = {.nodes = list};
        char hash[65];
        double ns;
        for (uint32_t n = 0; n < node_count; n++)
            if (part_of_node[n] == part)
                list[segment.node_count++] = n;
        enum mly_status status = mly_segment_hash(problem->model, &segment, hash, err);
        if (status)
            return status;
        if (!mly_cost_estimate_ns(problem->request->costs, MLY_COST_SEGMENT, hash, &class->config,
                                  &ns, NULL, NULL))
            fit_add(fit, nodes, sum_of(nodes, list, segment.node_count) / nodes->total_ns, ns);
    }
    return MLY_OK;
}

static bool has_segments(const mly_cost_table *costs)
{
    const struct mly_cost_entry *entry;
    for (size_t i = 0; (entry = mly_cost_table_at(costs, i)); i++)
        if (entry->scope == MLY_COST_SEGMENT)
            return true;
    return false;
}

/* What a run of a segment takes besides its nodes. */
static enum mly_status fit_segment_ns(const struct mly__problem *problem,
                                      const struct mly__class *class,
                                      const struct mly__node_costs *nodes, double *out,
                                      struct mly_error *err)
{
    struct fit fit = {0};
    enum mly_status status = MLY_OK;
    const double most = segment_share_max * nodes->whole_ns;
    if (has_segments(problem->request->costs) && nodes->total_ns > 0) {
        uint32_t *part_of_node = mly_alloc_array(problem->graph->node_count, sizeof(uint32_t));
        uint32_t *list = mly_alloc_array(problem->graph->node_count, sizeof *list);
        if (!part_of_node || !list)
            status = mly__problem_no_memory(err);
        for (size_t i = 0; !status && i < MLY__COUNT(sample_parts); i++)
            status = fit_cut(problem, class, nodes, sample_parts[i], part_of_node, list, &fit, err);
        mly_free(part_of_node);
        mly_free(list);
    }
    const double fitted = fit.samples ? fit.weighted / fit.weights : assumed_segment_ns;
    *out = fmin(fmax(fitted, 0), most);
    return status;
}

static void scale_nodes(const struct mly__problem *problem, struct mly__node_costs *nodes,
                        double factor)
{
    for (uint32_t n = 0; n < problem->graph->node_count; n++) {
        nodes->time_ns[n] *= factor;
        nodes->spread_ns[n] *= factor;
    }
    nodes->total_ns *= factor;
}

enum mly_status mly__costs_measured(struct mly__problem *problem, uint32_t class_index,
                                    struct mly_error *err)
{
    struct mly__class *class = &problem->classes[class_index];
    struct mly__node_costs *nodes = &problem->hidden->costs[class_index].nodes;
    nodes->time_ns = mly_alloc_array(problem->graph->node_count, sizeof *nodes->time_ns);
    nodes->spread_ns = mly_alloc_array(problem->graph->node_count, sizeof *nodes->spread_ns);
    if (!nodes->time_ns || !nodes->spread_ns)
        return mly__problem_no_memory(err);
    if (!problem->request->costs ||
        mly_cost_estimate_ns(problem->request->costs, MLY_COST_MODEL, "", &class->config,
                             &nodes->whole_ns, NULL, NULL))
        nodes->whole_ns = 0;
    enum mly_status status = find_nodes(problem, &class->config, nodes, err);
    if (status || nodes->whole_ns <= 0 || !nodes->known)
        return status;
    status = fit_segment_ns(problem, class, nodes, &class->segment_ns, err);
    if (!status && nodes->total_ns > 0)
        scale_nodes(problem, nodes, (nodes->whole_ns - class->segment_ns) / nodes->total_ns);
    return status;
}

enum mly_status mly__loads_measured(struct mly__problem *problem, uint32_t class_index,
                                    struct mly_error *err)
{
    const struct mly__node_costs *nodes = &problem->hidden->costs[class_index].nodes;
    (void)err;
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        struct mly__load *load = &problem->loads[(size_t)class_index * problem->unit_count + u];
        const struct mly__unit *unit = &problem->units[u];
        for (uint32_t i = 0; i < unit->node_count; i++) {
            struct mly_node_work work;
            mly_graph_node_work(problem->graph, problem->shapes, unit->nodes[i], &work);
            load->time_ns += nodes->time_ns[unit->nodes[i]];
            load->spread_ns += nodes->spread_ns[unit->nodes[i]];
            load->weight_bytes += work.weight_bytes;
            load->activation_bytes =
                fmax(load->activation_bytes, work.input_bytes + work.output_bytes);
        }
    }
    return MLY_OK;
}
