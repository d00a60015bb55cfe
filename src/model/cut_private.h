/* Shared by the files that choose where to cut; for src/model only. */
#ifndef MLY_MODEL_CUT_PRIVATE_H
#define MLY_MODEL_CUT_PRIVATE_H

#include "model.h"
#include "model/cut.h"

/* Disjoint sets of nodes. */
struct mly__sets {
    uint32_t *parent;
    uint32_t count;
};
uint32_t mly__sets_find(const struct mly__sets *sets, uint32_t node);
/* True if they were apart. */
bool mly__sets_unite(struct mly__sets *sets, uint32_t a, uint32_t b);

/* fusion.c: unites what a runtime computes as one. */
enum mly_status mly__fusion_unite(const struct mly_graph *graph, struct mly__sets *sets,
                                  struct mly_error *err) MLY_MUST_CHECK;

/* Groups with their nodes, and what it takes to place them. */
struct mly__groups {
    const struct mly_graph *graph;
    uint32_t count;
    uint32_t *of_node;
    uint32_t *begin; /* nodes[begin[g]…begin[g + 1]) are those of group g, ascending */
    uint32_t *nodes;
    bool
        *placed; /* counts when parts are chosen: the model's outputs need it, and it is not made of
                     Constant nodes alone, which are copied to where they are read */
};
enum mly_status mly__groups_init(struct mly__groups *groups, const struct mly_graph *graph,
                                 enum mly_cut_rule rule, struct mly_error *err) MLY_MUST_CHECK;
void mly__groups_fini(struct mly__groups *groups);
/* Calls visit for every tensor that comes into the group from another one, once per reader. */
typedef void mly__group_visit(uint32_t tensor, uint32_t from, uint32_t to, void *user);
void mly__groups_visit_inputs(const struct mly__groups *groups, uint32_t group,
                              mly__group_visit *visit, void *user);
/*
 * part_of_group[] is set for placed groups. The others follow: Constant nodes go with their first
 * reader, what nobody needs with what makes its inputs.
 */
void mly__groups_finish(const struct mly__groups *groups, uint32_t *part_of_group,
                        uint32_t *part_of_node);

#endif
