/*
 * Units of a planning problem, and what crosses between them.
 *
 *   1. Groups that are not to be cut apart (model/cut.h) become units where they compute something that
 *      the model's outputs need.
 *   2. Constants, which a cut copies to where they are read, go to the first unit that reads them; what
 *      nobody needs goes to the last unit that makes its inputs. Neither makes a unit of its own.
 *   3. Tensors that pass between units, come in or go out become crossings, with their bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

static bool is_constant(const struct mly_graph *graph, uint32_t node)
{
    const struct mly_graph_node *at = &graph->nodes[node];
    return at->domain[0] == '\0' && at->input_count == 0 && !strcmp(at->op_type, "Constant");
}

/* Calls for every tensor that a node reads, directly or from inside a sub-graph. */
static void visit_inputs(const struct mly_graph *graph, uint32_t node,
                         void (*visit)(uint32_t tensor, uint32_t node, void *user), void *user)
{
    const struct mly_graph_node *at = &graph->nodes[node];
    for (uint32_t i = 0; i < at->input_count; i++)
        if (at->inputs[i] != MLY_NO_INDEX)
            visit(at->inputs[i], node, user);
    for (uint32_t i = 0; i < at->captured_count; i++)
        visit(at->captured[i], node, user);
}

/* --- 1, 2 --- */

struct finding {
    const struct mly_graph *graph;
    bool *needed;       /* by node */
    uint32_t *group_of; /* by node */
    uint32_t *unit_of_group;
};

static void need(uint32_t tensor, uint32_t node, void *user)
{
    const struct finding *f = user;
    (void)node;
    if (f->graph->tensors[tensor].producer != MLY_NO_INDEX)
        f->needed[f->graph->tensors[tensor].producer] = true;
}

static void find_needed(const struct finding *f)
{
    const struct mly_graph *graph = f->graph;
    for (uint32_t i = 0; i < graph->output_count; i++)
        need(graph->outputs[i], 0, (void *)(uintptr_t)f);
    for (uint32_t n = graph->node_count; n-- > 0;)
        if (f->needed[n])
            visit_inputs(graph, n, need, (void *)(uintptr_t)f);
}

static void pull_later(uint32_t tensor, uint32_t node, void *user)
{
    const struct finding *f = user;
    const uint32_t producer = f->graph->tensors[tensor].producer;
    if (producer == MLY_NO_INDEX)
        return;
    uint32_t *unit = &f->unit_of_group[f->group_of[node]];
    const uint32_t from = f->unit_of_group[f->group_of[producer]];
    if (from != MLY_NO_INDEX && (*unit == MLY_NO_INDEX || *unit < from))
        *unit = from;
}

static void pull_earlier(uint32_t tensor, uint32_t node, void *user)
{
    const struct finding *f = user;
    const uint32_t producer = f->graph->tensors[tensor].producer;
    if (producer == MLY_NO_INDEX || !is_constant(f->graph, producer))
        return;
    uint32_t *unit = &f->unit_of_group[f->group_of[producer]];
    const uint32_t to = f->unit_of_group[f->group_of[node]];
    if (to != MLY_NO_INDEX && (*unit == MLY_NO_INDEX || *unit > to))
        *unit = to;
}

/* Numbers the groups that are units; the others get MLY_NO_INDEX. Returns how many units there are. */
static uint32_t number_units(const struct finding *f, uint32_t group_count)
{
    uint32_t count = 0;
    for (uint32_t g = 0; g < group_count; g++)
        f->unit_of_group[g] = MLY_NO_INDEX;
    for (uint32_t n = 0; n < f->graph->node_count; n++)
        if (f->needed[n] && !is_constant(f->graph, n))
            f->unit_of_group[f->group_of[n]] = 0;
    for (uint32_t g = 0; g < group_count; g++)
        if (f->unit_of_group[g] != MLY_NO_INDEX)
            f->unit_of_group[g] = count++;
    return count;
}

static void place_rest(struct finding *f, uint32_t *unit_of_node)
{
    const struct mly_graph *graph = f->graph;
    bool *placed = f->needed; /* from here on: by node, whether its group is a unit by itself */
    for (uint32_t n = 0; n < graph->node_count; n++)
        placed[n] = f->unit_of_group[f->group_of[n]] != MLY_NO_INDEX;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        if (placed[n] || is_constant(graph, n))
            continue;
        visit_inputs(graph, n, pull_later, f);
        if (f->unit_of_group[f->group_of[n]] == MLY_NO_INDEX)
            f->unit_of_group[f->group_of[n]] = 0;
    }
    /* A constant's group is pulled by each of its readers to the earliest of them. */
    for (uint32_t n = 0; n < graph->node_count; n++)
        if (!is_constant(graph, n))
            visit_inputs(graph, n, pull_earlier, f);
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const uint32_t unit = f->unit_of_group[f->group_of[n]];
        unit_of_node[n] = unit == MLY_NO_INDEX ? 0 : unit;
    }
}

enum mly_status mly__problem_find_units(struct mly__problem *problem, enum mly__units units,
                                        struct mly_error *err)
{
    const struct mly_graph *graph = problem->graph;
    const enum mly_cut_rule rule =
        units == MLY__UNITS_NODES ? MLY_CUT_ANYWHERE : MLY_CUT_BETWEEN_PATTERNS;
    uint32_t group_count = 0;
    enum mly_status status = MLY_OK;
    struct finding f = {.graph = graph};
    if (!graph->node_count)
        return mly_error_set(err, MLY_E_UNSUPPORTED, "%s has no nodes: there is nothing to plan",
                             mly_model_path(problem->model));
    f.needed = mly_alloc_array(graph->node_count, sizeof *f.needed);
    f.group_of = mly_alloc_array(graph->node_count, sizeof *f.group_of);
    problem->unit_of_node = mly_alloc_array(graph->node_count, sizeof *problem->unit_of_node);
    if (!f.needed || !f.group_of || !problem->unit_of_node)
        status = mly__problem_no_memory(err);
    if (!status)
        status = mly_graph_fusion_groups(graph, rule, f.group_of, &group_count, err);
    if (!status) {
        f.unit_of_group = mly_alloc_array(group_count, sizeof *f.unit_of_group);
        status = f.unit_of_group ? MLY_OK : mly__problem_no_memory(err);
    }
    if (!status) {
        find_needed(&f);
        problem->unit_count = number_units(&f, group_count);
        place_rest(&f, problem->unit_of_node);
        /* A model that computes nothing is one unit. */
        problem->unit_count = problem->unit_count ? problem->unit_count : 1;
    }
    mly_free(f.needed);
    mly_free(f.group_of);
    mly_free(f.unit_of_group);
    return status ? status : mly__problem_link_units(problem, err);
}

/* --- 3 --- */

/* Distributes nodes to units, ascending. */
static enum mly_status list_nodes(struct mly__problem *problem, struct mly_error *err)
{
    const struct mly_graph *graph = problem->graph;
    uint32_t *begin = mly_alloc_array((size_t)problem->unit_count + 1, sizeof *begin);
    uint32_t *nodes = problem->hidden->unit_nodes =
        mly_alloc_array(graph->node_count, sizeof *nodes);
    problem->units = mly_alloc_array(problem->unit_count, sizeof *problem->units);
    if (!begin || !nodes || !problem->units) {
        mly_free(begin);
        return mly__problem_no_memory(err);
    }
    for (uint32_t n = 0; n < graph->node_count; n++)
        begin[problem->unit_of_node[n] + 1]++;
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        problem->units[u].nodes = nodes + begin[u];
        begin[u + 1] += begin[u];
    }
    for (uint32_t n = 0; n < graph->node_count; n++) {
        struct mly__unit *unit = &problem->units[problem->unit_of_node[n]];
        struct mly_node_work work;
        nodes[(size_t)(unit->nodes - nodes) + unit->node_count++] = n;
        mly_graph_node_work(graph, problem->shapes, n, &work);
        unit->macs += work.known ? work.macs : 0;
    }
    mly_free(begin);
    return MLY_OK;
}

/* Units that read a tensor, each once, ascending, into list; the producer's is not among them. */
static uint32_t list_readers(const struct mly__problem *problem, uint32_t tensor, uint32_t own,
                             uint32_t *list)
{
    const struct mly_graph_tensor *t = &problem->graph->tensors[tensor];
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->consumer_count; i++) {
        const uint32_t unit = problem->unit_of_node[t->consumers[i]];
        uint32_t at = count;
        if (unit == own)
            continue;
        /* Units nearly ascend with nodes: the place is near the end. */
        while (at && list[at - 1] > unit)
            at--;
        if (at && list[at - 1] == unit)
            continue;
        memmove(list + at + 1, list + at, (count - at) * sizeof *list);
        list[at] = unit;
        count++;
    }
    return count;
}

static bool can_cross(const struct mly_graph *graph, uint32_t tensor)
{
    const struct mly_graph_tensor *t = &graph->tensors[tensor];
    return t->kind == MLY_TENSOR_INPUT ||
           (t->kind == MLY_TENSOR_VALUE && t->producer != MLY_NO_INDEX &&
            !is_constant(graph, t->producer));
}

static enum mly_status list_crossings(struct mly__problem *problem, struct mly_error *err)
{
    const struct mly_graph *graph = problem->graph;
    size_t pins = 1;
    uint32_t used = 0;
    for (uint32_t t = 0; t < graph->tensor_count; t++)
        pins += can_cross(graph, t) ? graph->tensors[t].consumer_count : 0;
    problem->hidden->consumers = mly_alloc_array(pins, sizeof *problem->hidden->consumers);
    problem->crossings =
        mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *problem->crossings);
    if (!problem->hidden->consumers || !problem->crossings)
        return mly__problem_no_memory(err);
    for (uint32_t t = 0; t < graph->tensor_count; t++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[t];
        if (!can_cross(graph, t))
            continue;
        uint32_t *readers = problem->hidden->consumers + used;
        const uint32_t own = tensor->producer == MLY_NO_INDEX
                                 ? MLY_NO_INDEX
                                 : problem->unit_of_node[tensor->producer];
        const uint32_t count = list_readers(problem, t, own, readers);
        if (!count && (own == MLY_NO_INDEX || !tensor->is_output))
            continue;
        const double bytes = mly_cut_tensor_bytes(graph, problem->shapes, t);
        double elements = 1;
        for (int32_t d = 0; d < problem->shapes[t].rank; d++)
            elements *= (double)problem->shapes[t].dims[d];
        problem->crossings[problem->crossing_count++] = (struct mly__crossing){
            .tensor = t,
            .producer = own,
            .consumers = readers,
            .consumer_count = count,
            .bytes = bytes > 0 ? bytes : 0,
            .elements = bytes > 0 ? elements : 0,
            .goes_to_host = own != MLY_NO_INDEX && tensor->is_output,
        };
        used += count;
    }
    return MLY_OK;
}

/* Gives every unit its crossings: first those it reads, then those it makes. */
static enum mly_status attach_crossings(struct mly__problem *problem, struct mly_error *err)
{
    size_t pins = 1;
    for (uint32_t c = 0; c < problem->crossing_count; c++) {
        const struct mly__crossing *crossing = &problem->crossings[c];
        pins += crossing->consumer_count + 1;
        for (uint32_t i = 0; i < crossing->consumer_count; i++)
            problem->units[crossing->consumers[i]].input_count++;
        if (crossing->producer != MLY_NO_INDEX)
            problem->units[crossing->producer].output_count++;
    }
    uint32_t *at = problem->hidden->unit_crossings = mly_alloc_array(pins, sizeof *at);
    uint32_t *filled = mly_alloc_array(2 * (size_t)problem->unit_count, sizeof *filled);
    if (!at || !filled) {
        mly_free(filled);
        return mly__problem_no_memory(err);
    }
    uint32_t begin = 0;
    for (uint32_t u = 0; u < problem->unit_count; u++) {
        struct mly__unit *unit = &problem->units[u];
        unit->inputs = at + begin;
        unit->outputs = unit->inputs + unit->input_count;
        filled[2 * u] = begin;
        filled[2 * u + 1] = begin + unit->input_count;
        begin += unit->input_count + unit->output_count;
    }
    for (uint32_t c = 0; c < problem->crossing_count; c++) {
        const struct mly__crossing *crossing = &problem->crossings[c];
        for (uint32_t i = 0; i < crossing->consumer_count; i++)
            at[filled[2 * crossing->consumers[i]]++] = c;
        if (crossing->producer != MLY_NO_INDEX)
            at[filled[2 * crossing->producer + 1]++] = c;
    }
    mly_free(filled);
    return MLY_OK;
}

/* A random number for each node. */
static uint64_t node_key(uint32_t node, uint32_t word)
{
    uint64_t x = (2 * (uint64_t)node + word + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void find_keys(struct mly__problem *problem)
{
    for (uint32_t n = 0; n < problem->graph->node_count; n++)
        for (uint32_t word = 0; word < 2; word++)
            problem->units[problem->unit_of_node[n]].key[word] ^= node_key(n, word);
}

enum mly_status mly__problem_link_units(struct mly__problem *problem, struct mly_error *err)
{
    enum mly_status status = list_nodes(problem, err);
    if (!status)
        find_keys(problem);
    if (!status)
        status = list_crossings(problem, err);
    return status ? status : attach_crossings(problem, err);
}
