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
/* With fewer nodes than this for a part METIS is not asked. */
#define NODES_PER_PART 4u
#define PIECES_MAX 64 /* that wait: one per halving of the parts */

/* METIS draws from the C library's one generator and sets handlers of signals for the process. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* A graph as METIS takes it. */
struct metis_graph {
    idx_t *begin; /* by node, into the next two */
    idx_t *neighbour, *edge_weight;
    idx_t *node_weight;
    idx_t *part;
};

static void metis_graph_fini(struct metis_graph *graph)
{
    mly_free(graph->begin);
    mly_free(graph->neighbour);
    mly_free(graph->edge_weight);
    mly_free(graph->node_weight);
    mly_free(graph->part);
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

/* Room for the graph of all nodes. */
static enum mly_status metis_graph_alloc(struct metis_graph *graph, const struct mly__dag *dag,
                                         struct mly_error *err)
{
    const size_t nodes = (size_t)dag->node_count + 1;
    size_t edges = 0;
    for (uint32_t i = 0; i < dag->net_count; i++)
        edges += dag->nets[i].from == MLY_NO_INDEX ? 0 : dag->nets[i].to_count;
    graph->begin = mly_alloc_array(nodes, sizeof(idx_t));
    graph->neighbour = mly_alloc_array(2 * edges + 1, sizeof(idx_t));
    graph->edge_weight = mly_alloc_array(2 * edges + 1, sizeof(idx_t));
    graph->node_weight = mly_alloc_array(nodes, sizeof(idx_t));
    graph->part = mly_alloc_array(nodes, sizeof(idx_t));
    if (graph->begin && graph->neighbour && graph->edge_weight && graph->node_weight && graph->part)
        return MLY_OK;
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for METIS' graph of %u nodes",
                         dag->node_count);
}

static void fill_nodes(struct metis_graph *graph, const struct mly__dag *dag)
{
    double total = 0;
    for (uint32_t v = 0; v < dag->node_count; v++)
        total += dag->weight[v];
    for (uint32_t v = 0; v < dag->node_count; v++)
        graph->node_weight[v] = scaled(dag->weight[v], total);
}

/* end[v], while lists grow: where the next neighbour of v goes. */
static void fill_edges(struct metis_graph *graph, const struct mly__dag *dag, idx_t *end)
{
    double total = 0;
    for (uint32_t i = 0; i < dag->net_count; i++) {
        const struct mly__dag_net *net = &dag->nets[i];
        if (net->from == MLY_NO_INDEX)
            continue;
        total += net->bytes * net->to_count;
        graph->begin[net->from + 1] += (idx_t)net->to_count;
        for (uint32_t k = 0; k < net->to_count; k++)
            graph->begin[net->to[k] + 1]++;
    }
    for (uint32_t v = 0; v < dag->node_count; v++) {
        graph->begin[v + 1] += graph->begin[v];
        end[v] = graph->begin[v];
    }
    for (uint32_t i = 0; i < dag->net_count; i++) {
        const struct mly__dag_net *net = &dag->nets[i];
        const idx_t weight = scaled(net->bytes, total);
        for (uint32_t k = 0; net->from != MLY_NO_INDEX && k < net->to_count; k++) {
            add_neighbour(graph, net->from, net->to[k], weight, end);
            add_neighbour(graph, net->to[k], net->from, weight, end);
        }
    }
    close_gaps(graph, dag->node_count, end);
}

static enum mly_status metis_graph_init(struct metis_graph *graph, const struct mly__dag *dag,
                                        struct mly_error *err)
{
    idx_t *end = mly_alloc_array((size_t)dag->node_count + 1, sizeof *end);
    enum mly_status status = metis_graph_alloc(graph, dag, err);
    if (!status && !end)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for METIS' graph of %u nodes",
                               dag->node_count);
    if (!status) {
        fill_nodes(graph, dag);
        fill_edges(graph, dag, end);
    }
    mly_free(end);
    return status;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* METIS' two parts, with the process' state kept as it was. */
static int call_metis(struct metis_graph *graph, uint32_t node_count, double first,
                      double tolerance, uint32_t seed)
{
    idx_t nodes = (idx_t)node_count, parts = 2, constraints = 1, cut;
    idx_t options[METIS_NOPTIONS];
    real_t allowed = (real_t)(1 + tolerance), target[2] = {(real_t)first, (real_t)(1 - first)};
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
        graph->edge_weight, &parts, target, &allowed, options, &cut, graph->part);
    sigaction(SIGABRT, &on_abort, NULL);
    sigaction(SIGTERM, &on_terminate, NULL);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

/* --- parts of parts --- */

/* What bisecting works on. */
struct bisection {
    const struct mly__dag *dag;
    struct metis_graph whole, piece;
    uint32_t part_count;
    const double *target;
    double tolerance;
    uint32_t seed;
    uint32_t *nodes;  /* a piece is a range of them, ascending */
    uint32_t *kept;   /* the second half, while the first is moved together */
    uint32_t *number; /* of a node in the piece in hand, plus one; 0: not in it */
    uint32_t *part;
};

/* Nodes [begin, end) to parts [first, first + count). */
struct piece {
    uint32_t begin, end, first, count;
};

static double share_of(const struct bisection *b, uint32_t first, uint32_t count)
{
    double sum = 0;
    for (uint32_t p = first; p < first + count; p++)
        sum += b->target[p];
    return sum;
}

/* Along the order; every part gets a node, as far as there are any. */
static void slice(const struct bisection *b, const struct piece *at)
{
    const double whole = share_of(b, at->first, at->count);
    double total = 0, wanted = b->target[at->first] / whole, load = 0;
    uint32_t p = at->first;
    for (uint32_t i = at->begin; i < at->end; i++)
        total += b->dag->weight[b->nodes[i]];
    for (uint32_t i = at->begin; i < at->end; i++) {
        const double weight = b->dag->weight[b->nodes[i]];
        const uint32_t parts_left = at->first + at->count - 1 - p;
        const bool begun = i > at->begin && b->part[b->nodes[i - 1]] == p;
        if (begun && parts_left &&
            (load + weight / 2 > wanted * total || at->end - i <= parts_left))
            wanted += b->target[++p] / whole;
        b->part[b->nodes[i]] = p;
        load += weight;
    }
}

/* The piece as a graph of its own. */
static void extract(struct bisection *b, const struct piece *at)
{
    const struct metis_graph *from = &b->whole;
    struct metis_graph *to = &b->piece;
    idx_t edges = 0;
    for (uint32_t i = at->begin; i < at->end; i++)
        b->number[b->nodes[i]] = i - at->begin + 1;
    for (uint32_t i = at->begin; i < at->end; i++) {
        const uint32_t node = b->nodes[i];
        to->begin[i - at->begin] = edges;
        to->node_weight[i - at->begin] = from->node_weight[node];
        for (idx_t e = from->begin[node]; e < from->begin[node + 1]; e++) {
            if (!b->number[from->neighbour[e]])
                continue;
            to->neighbour[edges] = (idx_t)b->number[from->neighbour[e]] - 1;
            to->edge_weight[edges++] = from->edge_weight[e];
        }
    }
    to->begin[at->end - at->begin] = edges;
    for (uint32_t i = at->begin; i < at->end; i++)
        b->number[b->nodes[i]] = 0;
}

/* Nodes of METIS' first part go before the others; returns where those begin. */
static uint32_t divide(struct bisection *b, const struct piece *at)
{
    uint32_t middle = at->begin, others = 0;
    for (uint32_t i = at->begin; i < at->end; i++) {
        if (b->piece.part[i - at->begin] == 0)
            b->nodes[middle++] = b->nodes[i];
        else
            b->kept[others++] = b->nodes[i];
    }
    memcpy(b->nodes + middle, b->kept, others * sizeof *b->kept);
    return middle;
}

/*
 * METIS divides a piece in two, and each half again; it is not asked for more at a time, because where a
 * half has fewer nodes than parts it says so on the standard output and goes on.
 */
static enum mly_status bisect(struct bisection *b, struct mly_error *err)
{
    struct piece stack[PIECES_MAX];
    uint32_t depth = 0;
    stack[depth++] = (struct piece){.end = b->dag->node_count, .count = b->part_count};
    while (depth) {
        const struct piece at = stack[--depth];
        const uint32_t half = at.count / 2;
        if (at.count == 1 || at.end - at.begin < NODES_PER_PART * at.count) {
            slice(b, &at);
            continue;
        }
        extract(b, &at);
        const int result = call_metis(&b->piece, at.end - at.begin,
                                      share_of(b, at.first, half) / share_of(b, at.first, at.count),
                                      b->tolerance, b->seed);
        if (result == METIS_ERROR_MEMORY)
            return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for METIS");
        if (result != METIS_OK)
            return mly_error_set(err, MLY_E_INTERNAL, "METIS: error %d on a graph of %u nodes",
                                 result, at.end - at.begin);
        const uint32_t middle = divide(b, &at);
        if (middle - at.begin < half || at.end - middle < at.count - half) {
            qsort(b->nodes + at.begin, at.end - at.begin, sizeof *b->nodes, compare_numbers);
            slice(b, &at);
            continue;
        }
        stack[depth++] = (struct piece){middle, at.end, at.first + half, at.count - half};
        stack[depth++] = (struct piece){at.begin, middle, at.first, half};
    }
    return MLY_OK;
}

enum mly_status mly__metis_partition(const struct mly__dag *dag, uint32_t part_count,
                                     const double *target, double tolerance, uint32_t seed,
                                     uint32_t *part, struct mly_error *err)
{
    const size_t nodes = (size_t)dag->node_count + 1;
    struct bisection b = {.dag = dag,
                          .part_count = part_count,
                          .target = target,
                          .tolerance = tolerance,
                          .seed = seed,
                          .nodes = mly_alloc_array(nodes, sizeof *b.nodes),
                          .kept = mly_alloc_array(nodes, sizeof *b.kept),
                          .number = mly_alloc_array(nodes, sizeof *b.number),
                          .part = part};
    enum mly_status status = MLY_OK;
    if (!b.nodes || !b.kept || !b.number)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for METIS' graph of %u nodes",
                               dag->node_count);
    if (!status)
        status = metis_graph_init(&b.whole, dag, err);
    if (!status)
        status = metis_graph_alloc(&b.piece, dag, err);
    for (uint32_t v = 0; !status && v < dag->node_count; v++)
        b.nodes[v] = v;
    if (!status)
        status = bisect(&b, err);
    metis_graph_fini(&b.whole);
    metis_graph_fini(&b.piece);
    mly_free(b.nodes);
    mly_free(b.kept);
    mly_free(b.number);
    return status;
}
