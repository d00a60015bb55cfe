/*
 * Where to cut: groups of nodes that stay together, and ways of dividing a graph into parts. A part
 * is a number per node; parts 0, 1, … in this order are segments that can run one after another.
 */
#ifndef MLY_MODEL_CUT_H
#define MLY_MODEL_CUT_H

#include "model/graph.h"

/*
 * Parts that mly_cut_balanced makes at most.
 */
#define MLY_CUT_PARTS_MAX 256

enum mly_cut_rule {
    /* Never inside what a runtime computes as one (src/model/fusion.c lists the patterns). */
    MLY_CUT_BETWEEN_PATTERNS,
    /* Anywhere that a tensor can cross at all. */
    MLY_CUT_ANYWHERE
};

/*
 * Groups of nodes that are not to be cut apart: by the rule, and where what crosses would be a
 * sequence, an optional or of unknown type (let a runtime infer types first). Fills
 * group_of_node[node_count] (caller's) with numbers from 0 to *group_count - 1, in topological order:
 * no tensor goes from a group to one with a smaller number. So every group is convex, and so is every
 * range of groups. Guaranteed by closure: groups on a cycle (a path leaves one and comes back) are
 * united until there is none. Errors: MLY_E_NO_MEMORY. Thread-safe. O(nodes + edges) but for a factor
 * that counts passes (two or three).
 */
enum mly_status mly_graph_fusion_groups(const struct mly_graph *graph, enum mly_cut_rule rule,
                                        uint32_t *group_of_node, uint32_t *group_count,
                                        struct mly_error *err) MLY_MUST_CHECK;

/*
 * Cuts after each of the named tensors (borrowed). A node belongs to the part numbered by the most
 * named tensors on one path that leads to it, so that tensors one after another make several cuts and
 * tensors side by side make one. What no named tensor needs goes as late as its readers allow: as
 * little as possible crosses. Fills part_of_node[node_count] (caller's); *part_count is at least 2.
 * Errors: MLY_E_NOT_FOUND for a name that is none (with near ones); MLY_E_INVALID with the reason for
 * a tensor that is no place to cut: stored in the model, given by the user, read by nobody, not a plain
 * tensor, inside a pattern; MLY_E_UNSUPPORTED for one whose type is not known; MLY_E_NO_MEMORY.
 * Thread-safe. O(nodes + edges).
 */
enum mly_status mly_cut_at(const struct mly_graph *graph, enum mly_cut_rule rule,
                           const char *const *names, size_t name_count, uint32_t *part_of_node,
                           uint32_t *part_count, struct mly_error *err) MLY_MUST_CHECK;

/*
 * Cuts the topological order into `parts` parts of about equal arithmetic (multiply-accumulates, or
 * nodes where there are none): of all places where the largest part is within 10 % of the smallest
 * possible one, those where the fewest bytes cross; of equal ones the most even. shapes[tensor_count] as mly_graph_bind fills them.
 * Errors: MLY_E_INVALID for fewer than 1 or more than MLY_CUT_PARTS_MAX parts, or more than there are
 * places to cut; MLY_E_NO_MEMORY. Thread-safe. O(nodes * parts).
 */
enum mly_status mly_cut_balanced(const struct mly_graph *graph, enum mly_cut_rule rule,
                                 const struct mly_shape *shapes, uint32_t parts,
                                 uint32_t *part_of_node, struct mly_error *err) MLY_MUST_CHECK;

/*
 * Bytes of a tensor that crosses, or a negative number if they are not known (strings, a dimension
 * without a size).
 */
double mly_cut_tensor_bytes(const struct mly_graph *graph, const struct mly_shape *shapes,
                            uint32_t tensor);

#endif
