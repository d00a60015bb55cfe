/*
 * Groups of nodes that stay together.
 *
 * 1. Every node is a set of its own; patterns (fusion.c) and tensors that cannot cross unite sets.
 * 2. Closure: the sets as nodes of a graph, its strongly connected components by Tarjan's algorithm
 * (without recursion); each becomes one group. What remains has no cycle, so no path leaves a group
 * and comes back.
 * 3. Groups are numbered in topological order; of those that are ready, the one whose last node is
 * first, so that the order stays near the model's.
 *
 * Source: R. Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1 (1972).
 */
#include <string.h>

#include "base/alloc.h"
#include "cut_private.h"
#include "segment_private.h"

uint32_t mly__sets_find(const struct mly__sets *sets, uint32_t node)
{
    while (sets->parent[node] != node) {
        sets->parent[node] = sets->parent[sets->parent[node]];
        node = sets->parent[node];
    }
    return node;
}

bool mly__sets_unite(struct mly__sets *sets, uint32_t a, uint32_t b)
{
    const uint32_t first = mly__sets_find(sets, a);
    const uint32_t second = mly__sets_find(sets, b);
    /* the larger number stands for the set: its last node, which numbering goes by */
    sets->parent[first < second ? first : second] = first < second ? second : first;
    return first != second;
}

/* 1. */
static void unite_uncrossable(const struct mly_graph *graph, struct mly__sets *sets)
{
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        if (tensor->producer == MLY_NO_INDEX || mly__is_constant(graph, tensor->producer) ||
            (!tensor->is_sequence_or_optional && tensor->dtype != MLY_DTYPE_UNDEFINED)) {
            continue;
        }
        for (uint32_t k = 0; k < tensor->consumer_count; k++) {
            (void)mly__sets_unite(sets, tensor->producer, tensor->consumers[k]);
        }
    }
}

/* Edges between sets, by the set that they come from. */
struct quotient {
    uint32_t *begin; /* by set's representative */
    uint32_t *to;
};

/* Calls for every edge between nodes of different sets. */
static void visit_edges(const struct mly_graph *graph, const struct mly__sets *sets,
                        void (*visit)(uint32_t from, uint32_t to, void *user), void *user)
{
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        if (tensor->producer == MLY_NO_INDEX) {
            continue;
        }
        const uint32_t from = mly__sets_find(sets, tensor->producer);
        for (uint32_t k = 0; k < tensor->consumer_count; k++) {
            const uint32_t to = mly__sets_find(sets, tensor->consumers[k]);
            if (from != to) {
                visit(from, to, user);
            }
        }
    }
}

static void count_edge(uint32_t from, uint32_t to, void *user)
{
    uint32_t *begin = user;
    (void)to;
    begin[from + 2]++;
}

static void put_edge(uint32_t from, uint32_t to, void *user)
{
    struct quotient *quotient = user;
    quotient->to[quotient->begin[from + 1]++] = to;
}

static enum mly_status quotient_init(struct quotient *quotient, const struct mly_graph *graph,
                                     const struct mly__sets *sets, struct mly_error *err)
{
    quotient->begin = mly_alloc_array((size_t)graph->node_count + 2, sizeof *quotient->begin);
    if (quotient->begin == NULL) {
        return mly__no_memory(err);
    }
    visit_edges(graph, sets, count_edge, quotient->begin);
    for (uint32_t i = 2; i < graph->node_count + 2; i++) {
        quotient->begin[i] += quotient->begin[i - 1];
    }
    quotient->to =
        mly_alloc_array((size_t)quotient->begin[graph->node_count + 1] + 1, sizeof *quotient->to);
    if (quotient->to == NULL) {
        return mly__no_memory(err);
    }
    visit_edges(graph, sets, put_edge, quotient);
    return MLY_OK;
}

/* 2. State of the search; numbers count from 1, 0 is not seen yet. */
struct search {
    struct mly__sets *sets;
    const struct quotient *quotient;
    uint32_t *number; /* order of discovery */
    uint32_t *low;    /* smallest number that is reached */
    uint32_t *next;   /* edge to look at next */
    uint32_t *path;   /* the way down to where the search is */
    uint32_t *stack;  /* sets that belong to no component yet */
    bool *on_stack;
    uint32_t path_count, stack_count, last_number;
};

static void enter(struct search *search, uint32_t set)
{
    search->number[set] = search->low[set] = ++search->last_number;
    search->next[set] = search->quotient->begin[set];
    search->path[search->path_count++] = set;
    search->stack[search->stack_count++] = set;
    search->on_stack[set] = true;
}

static void leave(struct search *search)
{
    const uint32_t set = search->path[--search->path_count];
    if (search->path_count > 0) {
        const uint32_t above = search->path[search->path_count - 1];
        if (search->low[set] < search->low[above]) {
            search->low[above] = search->low[set];
        }
    }
    if (search->low[set] != search->number[set]) {
        return;
    }
    uint32_t member;
    do {
        member = search->stack[--search->stack_count];
        search->on_stack[member] = false;
        (void)mly__sets_unite(search->sets, set, member);
    } while (member != set);
}

static void search_from(struct search *search, uint32_t start)
{
    enter(search, start);
    while (search->path_count > 0) {
        const uint32_t set = search->path[search->path_count - 1];
        if (search->next[set] == search->quotient->begin[set + 1]) {
            leave(search);
            continue;
        }
        const uint32_t to = search->quotient->to[search->next[set]++];
        if (search->number[to] == 0) {
            enter(search, to);
        } else if (search->on_stack[to] && search->number[to] < search->low[set]) {
            search->low[set] = search->number[to];
        }
    }
}

static enum mly_status close_sets(const struct mly_graph *graph, struct mly__sets *sets,
                                  struct mly_error *err)
{
    const size_t count = (size_t)graph->node_count + 1;
    struct quotient quotient = {0};
    uint32_t *numbers = NULL;
    bool *representative = NULL;
    struct search search = {.sets = sets, .quotient = &quotient};
    enum mly_status status = quotient_init(&quotient, graph, sets, err);
    if (status != MLY_OK) {
        goto done;
    }
    numbers = mly_alloc_array(5 * count, sizeof *numbers);
    search.on_stack = mly_alloc_array(count, sizeof *search.on_stack);
    representative = mly_alloc_array(count, sizeof *representative);
    if (numbers == NULL || search.on_stack == NULL || representative == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    search.number = numbers;
    search.low = numbers + count;
    search.next = numbers + 2 * count;
    search.path = numbers + 3 * count;
    search.stack = numbers + 4 * count;
    /* before anything is united: the quotient is by the sets as they are now */
    for (uint32_t i = 0; i < graph->node_count; i++) {
        representative[i] = sets->parent[i] == i;
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (representative[i] && search.number[i] == 0) {
            search_from(&search, i);
        }
    }
done:
    mly_free(quotient.begin);
    mly_free(quotient.to);
    mly_free(numbers);
    mly_free(search.on_stack);
    mly_free(representative);
    return status;
}

struct edge_list {
    const uint32_t *dense; /* from representative to a number without gaps */
    uint32_t *begin;       /* inputs of set i: inputs[begin[i]…begin[i + 1]) */
    uint32_t *inputs;
};

static void count_input(uint32_t from, uint32_t to, void *user)
{
    struct edge_list *list = user;
    (void)from;
    list->begin[list->dense[to] + 2]++;
}

static void put_input(uint32_t from, uint32_t to, void *user)
{
    struct edge_list *list = user;
    list->inputs[list->begin[list->dense[to] + 1]++] = list->dense[from];
}

/* 3. */
static enum mly_status number_sets(const struct mly_graph *graph, const struct mly__sets *sets,
                                   uint32_t *group_of_node, uint32_t *group_count,
                                   struct mly_error *err)
{
    uint32_t count = 0;
    uint32_t on_cycle;
    uint32_t *dense = mly_alloc_array((size_t)graph->node_count + 1, sizeof *dense);
    uint32_t *order = mly_alloc_array((size_t)graph->node_count + 1, sizeof *order);
    uint32_t *rank = mly_alloc_array((size_t)graph->node_count + 1, sizeof *rank);
    struct edge_list list = {
        .dense = dense,
        .begin = mly_alloc_array((size_t)graph->node_count + 2, sizeof *list.begin)};
    enum mly_status status = MLY_OK;
    if (dense == NULL || order == NULL || rank == NULL || list.begin == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (sets->parent[i] == i) {
            dense[i] = count++;
        }
    }
    visit_edges(graph, sets, count_input, &list);
    for (uint32_t i = 2; i < count + 2; i++) {
        list.begin[i] += list.begin[i - 1];
    }
    list.inputs = mly_alloc_array((size_t)list.begin[count + 1] + 1, sizeof *list.inputs);
    if (list.inputs == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    visit_edges(graph, sets, put_input, &list);
    status = mly__graph_order(count, list.begin, list.inputs, order, &on_cycle, err);
    if (status != MLY_OK) {
        goto done; /* never a cycle: 2. */
    }
    for (uint32_t i = 0; i < count; i++) {
        rank[order[i]] = i;
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        group_of_node[i] = rank[dense[mly__sets_find(sets, i)]];
    }
    *group_count = count;
done:
    mly_free(dense);
    mly_free(order);
    mly_free(rank);
    mly_free(list.begin);
    mly_free(list.inputs);
    return status;
}

enum mly_status mly_graph_fusion_groups(const struct mly_graph *graph, enum mly_cut_rule rule,
                                        uint32_t *group_of_node, uint32_t *group_count,
                                        struct mly_error *err)
{
    struct mly__sets sets = {.count = graph->node_count};
    sets.parent = mly_alloc_array((size_t)graph->node_count + 1, sizeof *sets.parent);
    if (sets.parent == NULL) {
        return mly__no_memory(err);
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        sets.parent[i] = i;
    }
    unite_uncrossable(graph, &sets);
    enum mly_status status =
        rule == MLY_CUT_BETWEEN_PATTERNS ? mly__fusion_unite(graph, &sets, err) : MLY_OK;
    if (status == MLY_OK) {
        status = close_sets(graph, &sets, err);
    }
    if (status == MLY_OK) {
        status = number_sets(graph, &sets, group_of_node, group_count, err);
    }
    mly_free(sets.parent);
    return status;
}

/* A group counts if one of its nodes leads to an output and is no Constant. */
static void find_placed(struct mly__groups *groups)
{
    const struct mly_graph *graph = groups->graph;
    for (uint32_t g = groups->count; g-- > 0;) {
        bool needed = false;
        bool only_constants = true;
        for (uint32_t k = groups->begin[g]; k < groups->begin[g + 1]; k++) {
            const struct mly_graph_node *node = &graph->nodes[groups->nodes[k]];
            bool constant = mly__is_constant(graph, groups->nodes[k]);
            for (uint32_t j = 0; j < node->output_count; j++) {
                if (node->outputs[j] == MLY_NO_INDEX) {
                    continue;
                }
                const struct mly_graph_tensor *tensor = &graph->tensors[node->outputs[j]];
                needed = needed || tensor->is_output;
                constant = constant && !tensor->is_output;
                for (uint32_t c = 0; c < tensor->consumer_count && !needed; c++) {
                    const uint32_t reader = groups->of_node[tensor->consumers[c]];
                    needed = reader != g && groups->placed[reader];
                }
            }
            only_constants = only_constants && constant;
        }
        groups->placed[g] = needed && !only_constants;
    }
}

enum mly_status mly__groups_init(struct mly__groups *groups, const struct mly_graph *graph,
                                 enum mly_cut_rule rule, struct mly_error *err)
{
    const size_t count = graph->node_count;
    *groups = (struct mly__groups){.graph = graph,
                                   .of_node = mly_alloc_array(count + 1, sizeof(uint32_t)),
                                   .begin = mly_alloc_array(count + 2, sizeof(uint32_t)),
                                   .nodes = mly_alloc_array(count + 1, sizeof(uint32_t)),
                                   .placed = mly_alloc_array(count + 1, sizeof(bool))};
    if (groups->of_node == NULL || groups->begin == NULL || groups->nodes == NULL ||
        groups->placed == NULL) {
        mly__groups_fini(groups);
        return mly__no_memory(err);
    }
    enum mly_status status =
        mly_graph_fusion_groups(graph, rule, groups->of_node, &groups->count, err);
    if (status != MLY_OK) {
        mly__groups_fini(groups);
        return status;
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        groups->begin[groups->of_node[i] + 2]++;
    }
    for (uint32_t g = 2; g < groups->count + 2; g++) {
        groups->begin[g] += groups->begin[g - 1];
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        groups->nodes[groups->begin[groups->of_node[i] + 1]++] = i;
    }
    find_placed(groups);
    return MLY_OK;
}

void mly__groups_fini(struct mly__groups *groups)
{
    mly_free(groups->of_node);
    mly_free(groups->begin);
    mly_free(groups->nodes);
    mly_free(groups->placed);
    *groups = (struct mly__groups){0};
}

static void visit_tensor(const struct mly__groups *groups, uint32_t tensor, uint32_t group,
                         mly__group_visit *visit, void *user)
{
    if (tensor == MLY_NO_INDEX || groups->graph->tensors[tensor].producer == MLY_NO_INDEX) {
        return;
    }
    const uint32_t from = groups->of_node[groups->graph->tensors[tensor].producer];
    if (from != group) {
        visit(tensor, from, group, user);
    }
}

void mly__groups_visit_inputs(const struct mly__groups *groups, uint32_t group,
                              mly__group_visit *visit, void *user)
{
    for (uint32_t k = groups->begin[group]; k < groups->begin[group + 1]; k++) {
        const struct mly_graph_node *node = &groups->graph->nodes[groups->nodes[k]];
        for (uint32_t i = 0; i < node->input_count; i++) {
            visit_tensor(groups, node->inputs[i], group, visit, user);
        }
        for (uint32_t i = 0; i < node->captured_count; i++) {
            visit_tensor(groups, node->captured[i], group, visit, user);
        }
    }
}

struct finishing {
    const struct mly__groups *groups;
    uint32_t *part; /* by group; MLY_NO_INDEX where not known yet */
};

/* A group that is not placed lies no earlier than what it reads. */
static void pull_later(uint32_t tensor, uint32_t from, uint32_t to, void *user)
{
    struct finishing *finishing = user;
    (void)tensor;
    if (!finishing->groups->placed[to] && finishing->part[from] != MLY_NO_INDEX &&
        (finishing->part[to] == MLY_NO_INDEX || finishing->part[to] < finishing->part[from])) {
        finishing->part[to] = finishing->part[from];
    }
}

/* Constant nodes, which read nothing, lie no later than what reads them. */
static void pull_earlier(uint32_t tensor, uint32_t from, uint32_t to, void *user)
{
    struct finishing *finishing = user;
    if (mly__is_constant(finishing->groups->graph,
                         finishing->groups->graph->tensors[tensor].producer) &&
        !finishing->groups->placed[from] && finishing->part[to] != MLY_NO_INDEX &&
        (finishing->part[from] == MLY_NO_INDEX || finishing->part[from] > finishing->part[to])) {
        finishing->part[from] = finishing->part[to];
    }
}

void mly__groups_finish(const struct mly__groups *groups, uint32_t *part_of_group,
                        uint32_t *part_of_node)
{
    struct finishing finishing = {.groups = groups, .part = part_of_group};
    for (uint32_t g = 0; g < groups->count; g++) {
        if (!groups->placed[g]) {
            part_of_group[g] = MLY_NO_INDEX;
        }
    }
    for (uint32_t g = 0; g < groups->count; g++) {
        mly__groups_visit_inputs(groups, g, pull_later, &finishing);
        /* nothing before it has a part: what it reads comes in from outside */
        const uint32_t first = groups->nodes[groups->begin[g]];
        if (part_of_group[g] == MLY_NO_INDEX && !mly__is_constant(groups->graph, first)) {
            part_of_group[g] = 0;
        }
    }
    for (uint32_t g = 0; g < groups->count; g++) {
        mly__groups_visit_inputs(groups, g, pull_earlier, &finishing);
    }
    for (uint32_t i = 0; i < groups->graph->node_count; i++) {
        const uint32_t part = part_of_group[groups->of_node[i]];
        part_of_node[i] = part != MLY_NO_INDEX ? part : 0;
    }
}
