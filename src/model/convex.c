/*
 * Is a set of nodes convex? In topological order, every node outside the set that a path from
 * inside reaches remembers where that path left; when such a path enters the set again, the set is
 * not convex. O(nodes + edges).
 */
#include "base/alloc.h"
#include "model.h"
#include "segment_private.h"

enum mly_status mly__convex(const struct mly_graph *graph, const bool *inside, uint32_t *leaving,
                            uint32_t *returning, struct mly_error *err)
{
    uint32_t *left_from = mly_alloc_array(graph->node_count, sizeof *left_from);
    if (left_from == NULL) {
        return mly__no_memory(err);
    }
    *leaving = *returning = MLY_NO_INDEX;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        left_from[i] = MLY_NO_INDEX;
    }
    for (uint32_t i = 0; i < graph->node_count && *leaving == MLY_NO_INDEX; i++) {
        const uint32_t origin = inside[i] ? i : left_from[i];
        if (origin == MLY_NO_INDEX) {
            continue;
        }
        const struct mly_graph_node *node = &graph->nodes[i];
        for (uint32_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] == MLY_NO_INDEX) {
                continue;
            }
            const struct mly_graph_tensor *tensor = &graph->tensors[node->outputs[k]];
            for (uint32_t c = 0; c < tensor->consumer_count; c++) {
                const uint32_t consumer = tensor->consumers[c];
                if (!inside[consumer]) {
                    left_from[consumer] = origin;
                } else if (!inside[i]) {
                    *leaving = origin;
                    *returning = consumer;
                }
            }
        }
    }
    mly_free(left_from);
    return MLY_OK;
}

bool mly_graph_is_convex(const struct mly_graph *graph, const uint32_t *nodes, uint32_t count,
                         uint32_t *leaving, uint32_t *returning)
{
    uint32_t from = MLY_NO_INDEX;
    uint32_t to = MLY_NO_INDEX;
    bool *inside = mly_alloc_array((size_t)graph->node_count + 1, sizeof *inside);
    bool convex = inside != NULL;
    for (uint32_t i = 0; i < count && convex; i++) {
        convex = nodes[i] < graph->node_count;
        if (convex) {
            inside[nodes[i]] = true;
        }
    }
    convex =
        convex && mly__convex(graph, inside, &from, &to, NULL) == MLY_OK && from == MLY_NO_INDEX;
    mly_free(inside);
    if (leaving != NULL) {
        *leaving = from;
    }
    if (returning != NULL) {
        *returning = to;
    }
    return convex;
}
