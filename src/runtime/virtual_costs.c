/*
 * What the segments of a plan cost where they may run.
 *
 *   1. A modelled processor: by its device file, copies over its links included. One table of the
 *      model per device, shared by all processors of that kind.
 *   2. A measured one, by the rules of mly_plan_evaluate: the entry of the whole model where it is one
 *      segment, else of the segment, else the sum of its nodes', each as measured with all processors
 *      at work that are run alike. Tensors stay in the host's memory: nothing is copied.
 *
 * Where the plan splits batches over processors, each costs what its rows do.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "cost/modelled.h"
#include "device/modelled.h"
#include "plan/plan.h"
#include "runtime/virtual.h"

struct table {
    const struct mly_virtual_cost_request *request;
    struct mly_virtual_cost *costs;
    mly_modelled **modelled; /* [processors]; the first of each kind and number of rows has it */
    uint32_t *rows;          /* [processors] samples of a task there */
    bool *has_work;          /* [processors] */
    struct mly_error *err;
};

/* --- 1 --- */

/* The table of a processor's kind and rows, which is kept with the first processor of these. */
static enum mly_status get_modelled(struct table *t, uint32_t processor, mly_modelled **out)
{
    const mly_plan *plan = t->request->plan;
    const char *kind = plan->processors[processor].kind;
    uint32_t first = 0;
    while (strcmp(plan->processors[first].kind, kind) != 0 || t->rows[first] != t->rows[processor])
        first++;
    enum mly_status status = MLY_OK;
    if (!t->modelled[first])
        status = mly_modelled_create(mly_device_model_find(kind), t->request->model,
                                     t->rows[processor], t->request->bindings,
                                     t->request->binding_count, &t->modelled[first], t->err);
    if (status != MLY_OK)
        return mly_error_prefix(t->err, status, "%s (modelled)", kind);
    *out = t->modelled[first];
    return MLY_OK;
}

static enum mly_status cost_modelled(struct table *t, uint32_t segment, uint32_t processor,
                                     struct mly_virtual_cost *out)
{
    const struct mly_plan_segment *s = &t->request->plan->segments[segment];
    mly_modelled *modelled = NULL;
    struct mly_modelled_cost cost;
    enum mly_status status = get_modelled(t, processor, &modelled);
    if (status != MLY_OK)
        return status;
    status = mly_modelled_segment(modelled, s->nodes, s->node_count, &cost, t->err);
    if (status != MLY_OK)
        return mly_error_prefix(t->err, status, "segment '%s' on %s (modelled)", s->name,
                                t->request->plan->processors[processor].id);
    *out =
        (struct mly_virtual_cost){.known = true,
                                  .modelled = true,
                                  .median_ns = cost.input_ns + cost.execution_ns + cost.output_ns,
                                  .input_ns = cost.input_ns,
                                  .output_ns = cost.output_ns,
                                  .first_ns = t->request->cold ? cost.first_ns : 0,
                                  .energy_j = cost.energy_j,
                                  .input_bytes = cost.input_bytes,
                                  .output_bytes = cost.output_bytes,
                                  .off_chip_bytes = cost.off_chip_bytes};
    return MLY_OK;
}

/* --- 2 --- */

static bool runs_alike(const struct mly_plan_processor *a, const struct mly_plan_processor *b)
{
    if (strcmp(a->kind, b->kind) || strcmp(a->backend, b->backend) ||
        a->runtime_defaults != b->runtime_defaults)
        return false;
    return a->runtime_defaults || (a->threads == b->threads && a->spin == b->spin);
}

static struct mly_cost_config config_of(const struct table *t, uint32_t processor, uint32_t batch)
{
    const mly_plan *plan = t->request->plan;
    const struct mly_plan_processor *p = &plan->processors[processor];
    uint32_t alike = 0;
    for (uint32_t i = 0; i < plan->processor_count; i++)
        alike += t->has_work[i] && runs_alike(p, &plan->processors[i]);
    struct mly_cost_config config = {
        .groups = p->runtime_defaults ? 1 : alike,
        .threads = p->runtime_defaults ? 0 : p->threads,
        .batch = batch,
        .spin = !p->runtime_defaults && p->spin,
        .runtime_defaults = p->runtime_defaults,
    };
    memcpy(config.backend, p->backend, sizeof config.backend);
    memcpy(config.processor_kind, p->kind, sizeof config.processor_kind);
    return config;
}

/*
 * Adds what the table says of something; deciles of the same batch, else those of the plan's batch in
 * proportion, else none. False if it says nothing.
 */
static bool add_measured(const struct table *t, enum mly_cost_scope scope, const char *id,
                         const struct mly_cost_config *config, struct mly_virtual_cost *sum)
{
    const mly_cost_table *costs = t->request->measured;
    double ns;
    if (mly_cost_estimate_ns(costs, scope, id, config, &ns, NULL, NULL) != MLY_OK)
        return false;
    struct mly_cost_config same = *config;
    const struct mly_cost_entry *entry = mly_cost_table_find(costs, scope, id, &same);
    if (!entry) {
        same.batch = t->request->plan->batch;
        entry = mly_cost_table_find(costs, scope, id, &same);
    }
    double p10_ns = ns, p90_ns = ns;
    if (entry && entry->median_ns > 0) {
        p10_ns = entry->p10_ns * (ns / entry->median_ns);
        p90_ns = entry->p90_ns * (ns / entry->median_ns);
    }
    sum->median_ns += ns;
    sum->p10_ns += p10_ns;
    sum->p90_ns += p90_ns;
    sum->modelled = sum->modelled || (entry && entry->modelled);
    if (entry && scope == MLY_COST_MODEL && entry->median_ns > 0 && entry->rested_ns > 0) {
        sum->rested = entry->rested_ns / entry->median_ns;
        sum->rested_p90 = entry->rested_p90_ns / entry->rested_ns;
        sum->rest_ns = mly_rest_ns(entry->median_ns);
    }
    return true;
}

static enum mly_status add_nodes(const struct table *t, uint32_t segment,
                                 const struct mly_cost_config *config, struct mly_virtual_cost *sum)
{
    const struct mly_plan_segment *s = &t->request->plan->segments[segment];
    const struct mly_graph *graph = mly_model_graph(t->request->model);
    for (uint32_t i = 0; i < s->node_count; i++) {
        const char *label = graph->nodes[s->nodes[i]].label;
        if (!add_measured(t, MLY_COST_NODE, label, config, sum))
            return mly_error_set(t->err, MLY_E_NOT_FOUND,
                                 "segment '%s': the cost of node %.200s with %" PRIu32
                                 " groups of %" PRIu32 " threads on %s was not measured: run "
                                 "`motley profile --nodes %s`",
                                 s->name, label, config->groups, config->threads,
                                 config->processor_kind, mly_plan_model_path(t->request->plan));
    }
    return MLY_OK;
}

static enum mly_status cost_measured(struct table *t, uint32_t segment, uint32_t processor,
                                     struct mly_virtual_cost *out)
{
    const mly_plan *plan = t->request->plan;
    const struct mly_plan_segment *s = &plan->segments[segment];
    const uint32_t node_count = mly_model_graph(t->request->model)->node_count;
    const bool whole = s->node_count == 0 || s->node_count == node_count;
    const struct mly_cost_config config = config_of(t, processor, t->rows[processor]);
    struct mly_virtual_cost sum = {.known = true, .spread = MLY_VIRTUAL_LOGNORMAL};
    struct mly_segment nodes = {.nodes = s->nodes, .node_count = s->node_count};
    char hash[65];
    enum mly_status status = MLY_OK;
    if (!t->request->measured)
        return mly_error_set(t->err, MLY_E_NOT_FOUND,
                             "segment '%s' on %s: nothing was measured: run `motley profile %s`",
                             s->name, plan->processors[processor].id, mly_plan_model_path(plan));
    if (whole) {
        if (!add_measured(t, MLY_COST_MODEL, "", &config, &sum))
            return mly_error_set(t->err, MLY_E_NOT_FOUND,
                                 "the cost of the model with %" PRIu32 " groups of %" PRIu32
                                 " threads on %s was not measured: run `motley profile %s`",
                                 config.groups, config.threads, config.processor_kind,
                                 mly_plan_model_path(plan));
    } else {
        status = mly_segment_hash(t->request->model, &nodes, hash, t->err);
        if (status == MLY_OK && !add_measured(t, MLY_COST_SEGMENT, hash, &config, &sum))
            status = add_nodes(t, segment, &config, &sum);
    }
    if (t->request->exact)
        sum.spread = MLY_VIRTUAL_EXACT;
    if (status == MLY_OK)
        *out = sum;
    return status;
}

/* --- all --- */

/* Samples of a task on each processor: the whole batch, or by its share of it, as the core divides it. */
static void count_rows(struct table *t)
{
    const mly_plan *plan = t->request->plan;
    const struct mly_plan_segment *split = &plan->segments[0];
    uint64_t sum = 0, before = 0, first = 0;
    for (uint32_t p = 0; p < plan->processor_count; p++)
        t->rows[p] = t->request->batch;
    for (uint32_t k = 0; split->shares && k < split->processor_count; k++)
        sum += split->shares[k];
    for (uint32_t k = 0; split->shares && k < split->processor_count; k++) {
        before += split->shares[k];
        uint64_t end = t->request->batch * before / sum;
        t->rows[split->processors[k]] = (uint32_t)(end - first);
        first = end;
    }
}

static enum mly_status fill(struct table *t)
{
    const mly_plan *plan = t->request->plan;
    enum mly_status status = MLY_OK;
    for (uint32_t s = 0; s < plan->segment_count; s++)
        for (uint32_t i = 0; i < plan->segments[s].processor_count; i++)
            t->has_work[plan->segments[s].processors[i]] = true;
    for (uint32_t s = 0; s < plan->segment_count; s++) {
        for (uint32_t i = 0; i < plan->segments[s].processor_count && status == MLY_OK; i++) {
            uint32_t p = plan->segments[s].processors[i];
            struct mly_virtual_cost *out = &t->costs[(size_t)s * plan->processor_count + p];
            if (t->rows[p] == 0) { /* of a small batch: it has no task */
                out->known = true;
                continue;
            }
            status = mly_device_model_find(plan->processors[p].kind) ? cost_modelled(t, s, p, out)
                                                                     : cost_measured(t, s, p, out);
        }
    }
    return status;
}

enum mly_status mly_virtual_costs(const struct mly_virtual_cost_request *request,
                                  struct mly_virtual_cost **out, struct mly_error *err)
{
    const mly_plan *plan = request->plan;
    const size_t pairs = (size_t)plan->segment_count * plan->processor_count;
    struct table t = {.request = request, .err = err};
    t.costs = mly_alloc_array(pairs, sizeof *t.costs);
    t.modelled = mly_alloc_array(plan->processor_count, sizeof *t.modelled);
    t.has_work = mly_alloc_array(plan->processor_count, sizeof *t.has_work);
    t.rows = mly_alloc_array(plan->processor_count, sizeof *t.rows);
    enum mly_status status = MLY_E_NO_MEMORY;
    if (t.costs && t.modelled && t.has_work && t.rows) {
        count_rows(&t);
        status = fill(&t);
    } else
        mly_error_set(err, status, "no memory for the costs of a plan");
    for (uint32_t p = 0; t.modelled && p < plan->processor_count; p++)
        mly_modelled_destroy(t.modelled[p]);
    mly_free(t.modelled);
    mly_free(t.has_work);
    mly_free(t.rows);
    if (status != MLY_OK)
        mly_free(t.costs);
    else
        *out = t.costs;
    return status;
}
