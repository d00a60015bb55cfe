/*
 * METIS on a graph of nets: an edge between a net's maker and each reader, as heavy as its bytes;
 * nodes as heavy as their time. METIS counts in whole numbers, so both are scaled.
 */
#include <metis.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "metis_cut.h"

/* What the weights of all nodes, and of all edges, together become: far below idx_t's limit. */
#define WEIGHT_UNITS ((double)(1 << 27))
/* With fewer nodes than this for a part METIS may fail or complain on the standard output. */
#define NODES_PER_PART 4

/* METIS draws from the C library's one generator and sets handlers of signals for the process. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* A graph as METIS takes it. */
struct metis_graph {
    idx_t *begin; /* by node, into the next two */
    idx_t *neighbour, *edge_weight;
    idx_t *node_weight;
    idx_t *part;
    real_t *target;
};

static void metis_graph_fini(struct metis_graph *graph)
{
    mly_free(graph->begin);
    mly_free(graph->neighbour);
    mly_free(graph->edge_weight);
    mly_free(graph->node_weight);
    mly_free(graph->part);
    mly_free(graph->target);
}

/* At least 1: METIS takes what weighs nothing for free to be put anywhere. */
static idx_t scaled(double weight, double total)
{
    return 1 + (total > 0 ? (idx_t)(weight / total * WEIGHT_UNITS) : 0);
}

static void add_neighbour(struct metis_graph *graph, uint32_t node, uint32_t other, idx_t weight,
                          idx_t *end)
{
    /* Two nets between the same nodes are one edge; neighbours are few. */
    for (idx_t i = graph->begin[node]; i < end[node]; i++) {
        if (graph->neighbour[i] == (idx_t)other) {
            graph->edge_weight[i] += weight;
            return;
        }
    }
    graph->neighbour[end[node]] = (idx_t)other;
    graph->edge_weight[end[node]++] = weight;
}

/* Moves the lists together where edges were united. */
static void close_gaps(struct metis_graph *graph, uint32_t node_count, const idx_t *end)
{
    idx_t at = 0;
    for (uint32_t v = 0; v < node_count; v++) {
        const idx_t first = graph->begin[v];
        graph->begin[v] = at;
        for (idx_t i = first; i < end[v]; i++, at++) {
            graph->neighbour[at] = graph->neighbour[i];
            graph->edge_weight[at] = graph->edge_weight[i];
        }
    }
    graph->begin[node_count] = at;
}

static enum mly_status metis_graph_init(struct metis_graph *graph, const struct mly__dag *dag,
                                        uint32_t part_count, const double *target,
                                        struct mly_error *err)
{
    const size_t nodes = (size_t)dag->node_count + 1;
    size_t edges = 0;
    double node_total = 0, byte_total = 0;
    for (uint32_t v = 0; v < dag->node_count; v++)
        node_total += dag->weight[v];
    for (uint32_t i = 0; i < dag->net_count; i++) {
        const struct mly__dag_net *net = &dag->nets[i];
        edges += net->from == MLY_NO_INDEX ? 0 : net->to_count;
        byte_total += net->from == MLY_NO_INDEX ? 0 : net->bytes * net->to_count;
    }
    graph->begin = mly_alloc_array(nodes, sizeof(idx_t));
    graph->neighbour = mly_alloc_array(2 * edges + 1, sizeof(idx_t));
    graph->edge_weight = mly_alloc_array(2 * edges + 1, sizeof(idx_t));
    graph->node_weight = mly_alloc_array(nodes, sizeof(idx_t));
    graph->part = mly_alloc_array(nodes, sizeof(idx_t));
    graph->target = mly_alloc_array(part_count, sizeof(real_t));
    idx_t *end = mly_alloc_array(nodes, sizeof(idx_t));
    if (!graph->begin || !graph->neighbour || !graph->edge_weight || !graph->node_weight ||
        !graph->part || !graph->target || !end) {
        mly_free(end);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for METIS' graph of %u nodes",
                             dag->node_count);
    }
    for (uint32_t p = 0; p < part_count; p++)
        graph->target[p] = (real_t)target[p];
    for (uint32_t v = 0; v < dag->node_count; v++)
        graph->node_weight[v] = scaled(dag->weight[v], node_total);
    for (uint32_t i = 0; i < dag->net_count; i++) {
        const struct mly__dag_net *net = &dag->nets[i];
        for (uint32_t k = 0; net->from != MLY_NO_INDEX && k < net->to_count; k++) {
            graph->begin[net->from + 1]++;
            graph->begin[net->to[k] + 1]++;
        }
    }
    for (uint32_t v = 0; v < dag->node_count; v++) {
        graph->begin[v + 1] += graph->begin[v];
        end[v] = graph->begin[v];
    }
    for (uint32_t i = 0; i < dag->net_count; i++) {
        const struct mly__dag_net *net = &dag->nets[i];
        const idx_t weight = scaled(net->bytes, byte_total);
        for (uint32_t k = 0; net->from != MLY_NO_INDEX && k < net->to_count; k++) {
            add_neighbour(graph, net->from, net->to[k], weight, end);
            add_neighbour(graph, net->to[k], net->from, weight, end);
        }
    }
    close_gaps(graph, dag->node_count, end);
    mly_free(end);
    return MLY_OK;
}

/* METIS with the process' state kept as it was. */
static int call_metis(struct metis_graph *graph, uint32_t node_count, uint32_t part_count,
                      double tolerance, uint32_t seed)
{
    idx_t nodes = (idx_t)node_count, parts = (idx_t)part_count, constraints = 1, cut;
    idx_t options[METIS_NOPTIONS];
    real_t allowed = (real_t)(1 + tolerance);
    struct sigaction on_abort, on_terminate;
    sigset_t held, mask;
    METIS_SetDefaultOptions(options);
    options[METIS_OPTION_SEED] = (idx_t)seed;
    options[METIS_OPTION_NUMBERING] = 0;
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    pthread_mutex_lock(&one_at_a_time);
    pthread_sigmask(SIG_BLOCK, &held, &mask);
    sigaction(SIGABRT, NULL, &on_abort);
    sigaction(SIGTERM, NULL, &on_terminate);
    const int result = METIS_PartGraphRecursive(
        &nodes, &constraints, graph->begin, graph->neighbour, graph->node_weight, NULL,
        graph->edge_weight, &parts, graph->target, &allowed, options, &cut, graph->part);
    sigaction(SIGABRT, &on_abort, NULL);
    sigaction(SIGTERM, &on_terminate, NULL);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

/* Along the order: as few nodes as there are, every part gets one. */
static void slice(const struct mly__dag *dag, uint32_t part_count, const double *target,
                  uint32_t *part)
{
    double total = 0, wanted = target[0], load = 0;
    uint32_t p = 0;
    for (uint32_t v = 0; v < dag->node_count; v++)
        total += dag->weight[v];
    for (uint32_t v = 0; v < dag->node_count; v++) {
        const uint32_t nodes_left = dag->node_count - v, parts_left = part_count - 1 - p;
        const bool full = v > 0 && part[v - 1] == p && load + dag->weight[v] / 2 > wanted * total;
        const bool needed = v > 0 && part[v - 1] == p && nodes_left <= parts_left;
        if (p + 1 < part_count && (full || needed))
            wanted += target[++p];
        part[v] = p;
        load += dag->weight[v];
    }
}

enum mly_status mly__metis_partition(const struct mly__dag *dag, uint32_t part_count,
                                     const double *target, double tolerance, uint32_t seed,
                                     uint32_t *part, struct mly_error *err)
{
    struct metis_graph graph = {0};
    if (dag->node_count < (uint64_t)NODES_PER_PART * part_count) {
        slice(dag, part_count, target, part);
        return MLY_OK;
    }
    enum mly_status status = metis_graph_init(&graph, dag, part_count, target, err);
    if (!status) {
        const int result = call_metis(&graph, dag->node_count, part_count, tolerance, seed);
        if (result == METIS_ERROR_MEMORY)
            status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for METIS");
        else if (result != METIS_OK)
            status = mly_error_set(err, MLY_E_INTERNAL, "METIS: error %d on a graph of %u nodes",
                                   result, dag->node_count);
        for (uint32_t v = 0; !status && v < dag->node_count; v++)
            part[v] = (uint32_t)graph.part[v];
    }
    metis_graph_fini(&graph);
    return status;
}
