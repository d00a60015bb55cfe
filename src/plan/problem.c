/* Planning problems: making them from a request, making them coarser, freeing them. */
#include "problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

/* --- making --- */

/*
 * Sizes of symbolic dimensions as the costs were measured with: "height=480,width=640". What cannot be
 * read is left out, and counts as 1 like every other symbol.
 */
static enum mly_status read_bindings(struct mly__problem *problem, const char *text,
                                     struct mly_error *err)
{
    struct mly__problem_private *hidden = problem->hidden;
    size_t most = 1;
    for (const char *at = text; *at; at++)
        most += *at == ',';
    hidden->binding_text = mly_strdup(text);
    hidden->bindings = mly_alloc_array(most, sizeof *hidden->bindings);
    if (!hidden->binding_text || !hidden->bindings)
        return mly__problem_no_memory(err);
    for (char *at = hidden->binding_text; *at;) {
        char *comma = at + strcspn(at, ","), *next = *comma ? comma + 1 : comma;
        *comma = '\0';
        char *equals = strrchr(at, '=');
        const long long size = equals ? strtoll(equals + 1, NULL, 10) : 0;
        if (size > 0) {
            *equals = '\0';
            hidden->bindings[hidden->binding_count++] =
                (struct mly_dim_binding){.name = at, .size = size};
        }
        at = next;
    }
    return MLY_OK;
}

static enum mly_status bind_shapes(struct mly__problem *problem, struct mly_error *err)
{
    const struct mly_graph *graph = problem->graph;
    const mly_cost_table *costs = problem->request->costs;
    enum mly_status status =
        read_bindings(problem, costs ? mly_cost_table_identity(costs)->shapes : "", err);
    if (status)
        return status;
    problem->shapes = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *problem->shapes);
    if (!problem->shapes)
        return mly__problem_no_memory(err);
    status = mly_graph_bind(problem->model, problem->batch, problem->hidden->bindings,
                            problem->hidden->binding_count, problem->shapes, err);
    for (uint32_t t = 0; !status && t < graph->tensor_count; t++)
        for (int32_t d = 0; d < problem->shapes[t].rank; d++)
            if (problem->shapes[t].dims[d] < 0)
                problem->shapes[t].dims[d] = 1;
    return status;
}

static enum mly_status create_empty(const struct mly_plan_request *request, uint32_t batch,
                                    struct mly__problem **out, struct mly_error *err)
{
    struct mly__problem *problem = mly_alloc(sizeof *problem);
    if (!problem || !(problem->hidden = mly_alloc(sizeof *problem->hidden))) {
        mly_free(problem);
        return mly__problem_no_memory(err);
    }
    problem->request = request;
    problem->model = request->model;
    problem->graph = mly_model_graph(request->model);
    problem->batch = batch;
    *out = problem;
    return MLY_OK;
}

static enum mly_status find_costs(struct mly__problem *problem, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    for (uint32_t i = 0; !status && i < problem->class_count; i++)
        status = problem->classes[i].modelled ? mly__costs_modelled(problem, i, err)
                                              : mly__costs_measured(problem, i, err);
    return status;
}

/* Why no class computes the unit: each class's own reason, which names the node. */
static enum mly_status refuse_unit(const struct mly__problem *problem, uint32_t unit,
                                   struct mly_error *err)
{
    char reasons[400] = "";
    size_t length = 0;
    for (uint32_t c = 0; c < problem->class_count && length < sizeof reasons; c++) {
        struct mly__segment_cost cost;
        char reason[256] = "";
        enum mly_status status =
            mly__problem_cost(problem, c, &unit, 1, &cost, reason, sizeof reason, err);
        if (status)
            return status;
        length += (size_t)snprintf(reasons + length, sizeof reasons - length, "%s%s: %s",
                                   c ? "; " : "", problem->classes[c].name, reason);
    }
    return mly_error_set(err, MLY_E_UNSUPPORTED,
                         "a part of the model runs on none of the processors: %s", reasons);
}

static enum mly_status check_computable(const struct mly__problem *problem, struct mly_error *err)
{
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        bool computable = false;
        for (uint32_t c = 0; c < problem->class_count && !computable; c++)
            computable = isfinite(mly__load_of(problem, c, u)->time_ns);
        if (!computable)
            return refuse_unit(problem, u, err);
    }
    return MLY_OK;
}

static enum mly_status find_loads(struct mly__problem *problem, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    problem->loads =
        mly_alloc_array((size_t)problem->unit_count * problem->class_count, sizeof *problem->loads);
    if (!problem->loads)
        return mly__problem_no_memory(err);
    for (uint32_t i = 0; !status && i < problem->class_count; i++)
        status = problem->classes[i].modelled ? mly__loads_modelled(problem, i, err)
                                              : mly__loads_measured(problem, i, err);
    return status;
}

enum mly_status mly__problem_create(const struct mly_plan_request *request, uint32_t batch,
                                    enum mly__units units, struct mly__problem **out,
                                    struct mly_error *err)
{
    struct mly__problem *problem = NULL;
    enum mly_status status = create_empty(request, batch, &problem, err);
    if (status)
        return status;
    status = mly__problem_find_classes(problem, err);
    if (!status)
        status = bind_shapes(problem, err);
    if (!status)
        status = find_costs(problem, err);
    if (!status)
        status = mly__problem_find_units(problem, units, err);
    if (!status)
        status = find_loads(problem, err);
    if (!status)
        status = check_computable(problem, err);
    if (status) {
        mly__problem_destroy(problem);
        return status;
    }
    *out = problem;
    return MLY_OK;
}

/* What evaluating needs: the request that the problem borrows is its own. */
struct plan_problem {
    struct mly__problem problem; /* first: freed as it */
    struct mly_plan_request request;
};

/* Those that have segments. */
static enum mly_status copy_processors(const mly_plan *plan, struct mly__problem *problem,
                                       uint32_t *position, struct mly_error *err)
{
    problem->processors = mly_alloc_array(plan->processor_count, sizeof *problem->processors);
    if (!problem->processors)
        return mly__problem_no_memory(err);
    for (uint32_t i = 0; i < plan->processor_count; i++)
        position[i] = MLY_NO_INDEX;
    for (uint32_t i = 0; i < plan->segment_count; i++)
        for (uint32_t k = 0; k < plan->segments[i].processor_count; k++)
            position[plan->segments[i].processors[k]] = 0;
    for (uint32_t i = 0; i < plan->processor_count; i++) {
        if (position[i] == MLY_NO_INDEX)
            continue;
        position[i] = problem->processor_count;
        struct mly_plan_processor *to = &problem->processors[problem->processor_count++];
        *to = plan->processors[i];
        to->cpus = NULL; /* nothing here looks at them */
        to->cpu_count = 0;
    }
    return MLY_OK;
}

/* From places in the problem's list of processors to classes. */
static void to_classes(const struct mly__problem *problem, uint32_t *position, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = position[i];
        for (uint32_t c = 0; c < problem->class_count && at != MLY_NO_INDEX; c++)
            for (uint32_t k = 0; k < problem->classes[c].count; k++)
                if (problem->classes[c].processors[k] == at)
                    position[i] = c;
    }
}

enum mly_status mly__problem_of_plan(const mly_plan *plan, const mly_model *model,
                                     const mly_cost_table *costs, uint32_t *class_of,
                                     struct mly__problem **out, struct mly_error *err)
{
    struct plan_problem *made = mly_alloc(sizeof *made);
    if (!made || !(made->problem.hidden = mly_alloc(sizeof *made->problem.hidden))) {
        mly_free(made);
        return mly__problem_no_memory(err);
    }
    struct mly__problem *problem = &made->problem;
    made->request = (struct mly_plan_request){.model = model, .costs = costs};
    problem->request = &made->request;
    problem->model = model;
    problem->graph = mly_model_graph(model);
    problem->batch = plan->batch;
    problem->hidden->whole_will_do = true;
    enum mly_status status = copy_processors(plan, problem, class_of, err);
    if (!status)
        status = mly__problem_group_processors(problem, err);
    if (!status)
        status = bind_shapes(problem, err);
    if (!status)
        status = find_costs(problem, err);
    if (status) {
        mly__problem_destroy(problem);
        return status;
    }
    to_classes(problem, class_of, plan->processor_count);
    *out = problem;
    return MLY_OK;
}

void mly__problem_destroy(struct mly__problem *problem)
{
    if (!problem)
        return;
    struct mly__problem_private *hidden = problem->hidden;
    if (!hidden->fine) {
        for (uint32_t i = 0; i < problem->processor_count; i++)
            mly_free(problem->processors[i].cpus);
        for (uint32_t i = 0; i < problem->class_count; i++) {
            mly_modelled_destroy(hidden->costs[i].modelled);
            mly_free(hidden->costs[i].nodes.time_ns);
            mly_free(hidden->costs[i].nodes.spread_ns);
        }
        mly_free(problem->processors);
        mly_free(problem->classes);
        mly_free(problem->shapes);
    }
    mly_free(problem->units);
    mly_free(problem->unit_of_node);
    mly_free(problem->crossings);
    mly_free(problem->loads);
    for (uint32_t c = 0; c < MLY__CLASSES_MAX; c++)
        mly_free(hidden->layers[c].items);
    mly_free(hidden->unit_nodes);
    mly_free(hidden->unit_crossings);
    mly_free(hidden->consumers);
    mly_free(hidden->class_processors);
    mly_free(hidden->group_of_unit);
    mly_free(hidden->bindings);
    mly_free(hidden->binding_text);
    mly_free(hidden);
    mly_free(problem);
}

/* --- coarser --- */

static void add_loads(const struct mly__problem *fine, struct mly__problem *coarse)
{
    const uint32_t *group_of = coarse->hidden->group_of_unit;
    for (uint32_t c = 0; c < fine->class_count; c++) {
        for (uint32_t u = 0; u < fine->unit_count; u++) {
            const struct mly__load *from = mly__load_of(fine, c, u);
            struct mly__load *to = &coarse->loads[(size_t)c * coarse->unit_count + group_of[u]];
            to->time_ns += from->time_ns;
            to->spread_ns += from->spread_ns;
            to->weight_bytes += from->weight_bytes;
            to->activation_bytes = fmax(to->activation_bytes, from->activation_bytes);
            to->cache_ns += from->cache_ns;
            to->forced_ns += from->forced_ns;
            to->kept_bytes += from->kept_bytes;
        }
    }
}

static enum mly_status copy_layers(const struct mly__problem *fine, struct mly__problem *coarse,
                                   struct mly_error *err)
{
    for (uint32_t c = 0; c < fine->class_count; c++) {
        const uint32_t count = fine->hidden->layers[c].count;
        struct mly__layer *items = coarse->hidden->layers[c].items =
            mly_alloc_array((size_t)count + 1, sizeof *items);
        if (!items)
            return mly__problem_no_memory(err);
        coarse->hidden->layers[c].count = count;
        coarse->hidden->layers[c].least_ns_per_byte = fine->hidden->layers[c].least_ns_per_byte;
        coarse->hidden->layers[c].room_bytes = fine->hidden->layers[c].room_bytes;
        coarse->hidden->layers[c].key = fine->hidden->layers[c].key;
        for (uint32_t i = 0; i < count; i++) {
            items[i] = fine->hidden->layers[c].items[i];
            items[i].unit = coarse->hidden->group_of_unit[items[i].unit];
        }
    }
    return MLY_OK;
}

static enum mly_status fill_coarse(const struct mly__problem *fine, const uint32_t *group_of_unit,
                                   struct mly__problem *coarse, struct mly_error *err)
{
    struct mly__problem_private *hidden = coarse->hidden;
    hidden->group_of_unit = mly_alloc_array(fine->unit_count, sizeof *hidden->group_of_unit);
    coarse->unit_of_node = mly_alloc_array(fine->graph->node_count, sizeof *coarse->unit_of_node);
    coarse->loads =
        mly_alloc_array((size_t)coarse->unit_count * fine->class_count, sizeof *coarse->loads);
    if (!hidden->group_of_unit || !coarse->unit_of_node || !coarse->loads)
        return mly__problem_no_memory(err);
    memcpy(hidden->group_of_unit, group_of_unit, fine->unit_count * sizeof *group_of_unit);
    for (uint32_t n = 0; n < fine->graph->node_count; n++)
        coarse->unit_of_node[n] = group_of_unit[fine->unit_of_node[n]];
    add_loads(fine, coarse);
    enum mly_status status = mly__problem_link_units(coarse, err);
    return status ? status : copy_layers(fine, coarse, err);
}

enum mly_status mly__problem_coarsen(const struct mly__problem *problem,
                                     const uint32_t *group_of_unit, uint32_t group_count,
                                     struct mly__problem **out, struct mly_error *err)
{
    struct mly__problem *coarse = NULL;
    enum mly_status status = create_empty(problem->request, problem->batch, &coarse, err);
    if (status)
        return status;
    coarse->hidden->fine = problem;
    memcpy(coarse->hidden->costs, problem->hidden->costs, sizeof coarse->hidden->costs);
    coarse->model = problem->model;
    coarse->graph = problem->graph;
    coarse->shapes = problem->shapes;
    coarse->processors = problem->processors;
    coarse->processor_count = problem->processor_count;
    coarse->classes = problem->classes;
    coarse->class_count = problem->class_count;
    coarse->unit_count = group_count;
    status = fill_coarse(problem, group_of_unit, coarse, err);
    if (status) {
        mly__problem_destroy(coarse);
        return status;
    }
    *out = coarse;
    return MLY_OK;
}

/* The unit's only successor, or MLY_NO_INDEX: none, several, or the host needs what it makes. */
static uint32_t only_successor(const struct mly__problem *problem, uint32_t unit)
{
    const struct mly__unit *at = &problem->units[unit];
    uint32_t only = MLY_NO_INDEX;
    for (uint32_t i = 0; i < at->output_count; i++) {
        const struct mly__crossing *c = &problem->crossings[at->outputs[i]];
        if (c->goes_to_host || c->consumer_count != 1 ||
            (only != MLY_NO_INDEX && only != c->consumers[0]))
            return MLY_NO_INDEX;
        only = c->consumers[0];
    }
    return only;
}

static uint32_t only_predecessor(const struct mly__problem *problem, uint32_t unit)
{
    const struct mly__unit *at = &problem->units[unit];
    uint32_t only = MLY_NO_INDEX;
    for (uint32_t i = 0; i < at->input_count; i++) {
        const struct mly__crossing *c = &problem->crossings[at->inputs[i]];
        if (c->producer == MLY_NO_INDEX || (only != MLY_NO_INDEX && only != c->producer))
            return MLY_NO_INDEX;
        only = c->producer;
    }
    return only;
}

/*
 * Units that stand alone: everything else comes before or after, so that a cut beside them leaves the
 * graph in two parts. By sets of ancestors, as bits.
 */
static enum mly_status find_bridges(const struct mly__problem *problem, bool *bridge,
                                    struct mly_error *err)
{
    const uint32_t count = problem->unit_count;
    const size_t words = ((size_t)count + 63) / 64;
    uint64_t *ancestors = mly_alloc_array(words * count, sizeof *ancestors);
    uint32_t *related = mly_alloc_array(count, sizeof *related);
    if (!ancestors || !related) {
        mly_free(ancestors);
        mly_free(related);
        return mly__problem_no_memory(err);
    }
    for (uint32_t u = 0; u < count; u++) {
        uint64_t *own = ancestors + words * u;
        const struct mly__unit *at = &problem->units[u];
        for (uint32_t i = 0; i < at->input_count; i++) {
            const uint32_t from = problem->crossings[at->inputs[i]].producer;
            if (from == MLY_NO_INDEX)
                continue;
            for (size_t w = 0; w < words; w++)
                own[w] |= ancestors[words * from + w];
            own[from / 64] |= UINT64_C(1) << from % 64;
        }
        for (uint32_t v = 0; v < u; v++) {
            if (own[v / 64] >> v % 64 & 1) {
                related[u]++;
                related[v]++;
            }
        }
    }
    for (uint32_t u = 0; u < count; u++)
        bridge[u] = related[u] + 1 == count;
    mly_free(ancestors);
    mly_free(related);
    return MLY_OK;
}

enum mly_status mly__problem_contract(const struct mly__problem *problem, bool keep_bridges,
                                      struct mly__problem **out, struct mly_error *err)
{
    const uint32_t count = problem->unit_count;
    uint32_t *group_of = mly_alloc_array(count, sizeof *group_of);
    bool *bridge = mly_alloc_array(count, sizeof *bridge);
    enum mly_status status = group_of && bridge ? MLY_OK : mly__problem_no_memory(err);
    if (!status && keep_bridges)
        status = find_bridges(problem, bridge, err);
    uint32_t groups = 0;
    if (!status) {
        /* A chain takes the place of its last unit: what it needs comes before its first one. */
        uint32_t *last_of = group_of; /* first by last unit, then by number */
        for (uint32_t u = count; u-- > 0;) {
            const uint32_t next = only_successor(problem, u);
            const bool joined = next != MLY_NO_INDEX && only_predecessor(problem, next) == u &&
                                !(keep_bridges && bridge[u]);
            last_of[u] = joined ? last_of[next] : u;
        }
        for (uint32_t u = 0; u < count; u++)
            if (last_of[u] == u)
                groups++;
        /* Numbers go up with the last unit; they are found from the end, where lasts are known. */
        uint32_t number = groups;
        for (uint32_t u = count; u-- > 0;)
            group_of[u] = last_of[u] == u ? --number : group_of[last_of[u]];
        status = mly__problem_coarsen(problem, group_of, groups, out, err);
    }
    mly_free(group_of);
    mly_free(bridge);
    return status;
}
