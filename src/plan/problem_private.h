/* What the files that make a planning problem share. */
#ifndef MLY_PLAN_PROBLEM_PRIVATE_H
#define MLY_PLAN_PROBLEM_PRIVATE_H

#include "cost/modelled_parts.h"
#include "problem.h"

/* Times of nodes on a class that is measured. */
struct mly__node_costs {
    bool known;        /* else only the whole model's time is */
    double *time_ns;   /* by node: what it adds to a segment */
    double *spread_ns; /* by node */
    double total_ns;
    double whole_ns; /* the whole model, where that was measured; else 0 */
};

/* Weights of a node on a modelled class whose chip may not hold all. */
struct mly__layer {
    double bytes, stream_ns;
    uint32_t pieces, unit, node;
    bool never_fits; /* not even on an empty chip */
};

struct mly__problem_private {
    /* Memory behind the units and crossings. */
    uint32_t *unit_nodes, *unit_crossings, *consumers;
    uint32_t *class_processors;
    bool fluid;         /* weights fill chips like water: bounds are made of it (relax.c) */
    bool whole_will_do; /* times of nodes may be missing where the whole model's is known */
    /* Contracted from this one, which owns processors, classes, shapes and costs; NULL: they are ours. */
    const struct mly__problem *fine;
    uint32_t *group_of_unit; /* of the finer problem's units */
    struct mly_dim_binding *bindings;
    size_t binding_count;
    char *binding_text; /* behind the names of the bindings */
    struct {
        mly_modelled *modelled; /* of modelled classes, as is what follows */
        struct mly_modelled_fixed fixed;
        struct mly__node_costs nodes; /* of the others */
    } costs[MLY__CLASSES_MAX];
    struct {
        struct mly__layer *items; /* in the order in which room is sought for them */
        uint32_t count;
        double least_ns_per_byte; /* of streaming any of them that fits on an empty chip */
        double room_bytes;        /* of an empty chip */
        uint64_t key; /* of bytes, pieces and nodes: chips that are alike have the same */
    } layers[MLY__CLASSES_MAX];
};

static inline enum mly_status mly__problem_no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for planning");
}

/* problem_units.c: units from what can be cut; crossings of units. */
enum mly_status mly__problem_find_units(struct mly__problem *problem, enum mly__units units,
                                        struct mly_error *err) MLY_MUST_CHECK;
/* unit_of_node and unit_count are set. */
enum mly_status mly__problem_link_units(struct mly__problem *problem,
                                        struct mly_error *err) MLY_MUST_CHECK;

/* problem_classes.c: processors from the request, and classes of them. */
enum mly_status mly__problem_find_classes(struct mly__problem *problem,
                                          struct mly_error *err) MLY_MUST_CHECK;
/* processors and processor_count are set. */
enum mly_status mly__problem_group_processors(struct mly__problem *problem,
                                              struct mly_error *err) MLY_MUST_CHECK;

/* costs.c: what nodes and segments cost on classes that are measured. */
enum mly_status mly__costs_measured(struct mly__problem *problem, uint32_t class_index,
                                    struct mly_error *err) MLY_MUST_CHECK;
/* costs.c, costs_modelled.c: fills problem->loads of a class. */
enum mly_status mly__loads_measured(struct mly__problem *problem, uint32_t class_index,
                                    struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly__costs_modelled(struct mly__problem *problem, uint32_t class_index,
                                    struct mly_error *err) MLY_MUST_CHECK;
enum mly_status mly__loads_modelled(struct mly__problem *problem, uint32_t class_index,
                                    struct mly_error *err) MLY_MUST_CHECK;
/* The largest activations of any unit of the set. O(units). */
double mly__largest_activation(const struct mly__problem *problem, uint32_t class_index,
                               const struct mly__parts *parts);

/*
 * What a modelled set of units takes besides its sums: streaming weights that do not stay on the chip,
 * memory beyond the cache.
 */
struct mly__extra {
    double ns, off_chip_bytes;
};
struct mly__extra mly__loads_extra(const struct mly__problem *problem, uint32_t class_index,
                                   const struct mly__parts *parts);

/*
 * Cost of a convex set of nodes (ascending): as mly__problem_cost. For plans that need not keep to
 * units.
 */
enum mly_status mly__problem_cost_nodes(const struct mly__problem *problem, uint32_t class_index,
                                        const uint32_t *nodes, uint32_t count,
                                        struct mly__segment_cost *out, char *reason,
                                        size_t reason_bytes, struct mly_error *err) MLY_MUST_CHECK;

/* The error for a segment that would need times of nodes that are not known. */
enum mly_status mly__costs_missing(const struct mly__problem *problem, uint32_t class_index,
                                   struct mly_error *err);

/*
 * The problem without units that evaluating a plan needs: its processors that have segments, in the
 * plan's order, their classes and costs. class_of[plan->processor_count] (caller's) gets the class of
 * each of the plan's processors, MLY_NO_INDEX for those that have none.
 */
enum mly_status mly__problem_of_plan(const mly_plan *plan, const mly_model *model,
                                     const mly_cost_table *costs, uint32_t *class_of,
                                     struct mly__problem **out,
                                     struct mly_error *err) MLY_MUST_CHECK;

#endif
