/*
 * Tiny models, synthetic machines and cost tables for tests of planning; any failure fails the
 * test.
 */
#ifndef MOTLEY_TEST_PLAN_FIXTURE_H
#define MOTLEY_TEST_PLAN_FIXTURE_H

#include "cost/table.h"
#include "plan/plan.h"

/*
 * A node of a tiny model: all tensors are f32 of [batch, width]; second NULL for operators of one
 * input.
 */
struct tiny_node {
    const char *op, *name, *first, *second, *output;
};

struct tiny_spec {
    const struct tiny_node *nodes;
    size_t node_count;
    const char *output;  /* NULL: what the last node makes */
    int64_t fixed_batch; /* 0: symbolic "N" */
    int64_t width;       /* 0: 4 */
    int64_t
        weight_count; /* elements of the f32 initialiser "w", which any node may read; 0: there is none. Shape [1, count]. */
};

/*
 * The input's name is "x". Written to a temporary file that is removed again; the caller's
 * (mly_model_destroy).
 */
mly_model *tiny_model(const struct tiny_spec *spec);
/* x → a → b → … : count Relus named "r0", "r1", … */
mly_model *tiny_chain(uint32_t count, int64_t fixed_batch);

mly_machine *tiny_machine(const char *synthetic);

/* An empty table for this model and machine, measured with "ort 1.31.1". */
mly_cost_table *tiny_costs(const mly_model *model, const mly_machine *machine);
/*
 * Adds the whole model: groups 0 stands for the runtime's defaults. Throughput follows from the
 * time.
 */
void tiny_cost(mly_cost_table *costs, uint32_t groups, uint32_t threads, uint32_t batch, bool spin,
               double median_ns, double spread);
/* Adds a node or segment. */
void tiny_part_cost(mly_cost_table *costs, enum mly_cost_scope scope, const char *id,
                    uint32_t groups, uint32_t threads, uint32_t batch, double median_ns);

/*
 * Replaces the plan's segments: cuts[i] is the first node after segment i, ascending, the last one
 * the number of nodes.
 */
void tiny_cut(mly_plan *plan, const uint32_t *cuts, uint32_t count);
/* A plan with `groups` core groups of the machine, one session of the whole model on each. */
mly_plan *tiny_plan(const mly_model *model, const mly_machine *machine, uint32_t groups,
                    uint32_t batch);

#endif
