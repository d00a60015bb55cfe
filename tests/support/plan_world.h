/*
 * Worlds for tests of the searches for pipelines: random graphs of units with random costs, networks of
 * the zoo. Any failure fails the test.
 */
#ifndef MOTLEY_TEST_PLAN_WORLD_H
#define MOTLEY_TEST_PLAN_WORLD_H

#include "base/random.h"
#include "plan/problem.h"

#define PLAN_BATCH 2
#define PLAN_UNLIKE_CORES "cpu:0-1,cpu:2,cpu:3"
#define PLAN_MODELLED "p100,gtx1650,roofline"

/* In the caller's storage, which the problem points into. */
struct plan_world {
    mly_model *model;
    mly_machine *machine;
    mly_cost_table *costs;
    struct mly_processor_list processors;
    struct mly_plan_request request;
    struct mly__problem *problem;
};

/* At most 24 nodes. layered: what is read is near, so that few things live at once. The caller's. */
mly_model *plan_random_model(struct mly_random *random, uint32_t count, bool layered);
/* Exactly `count` nodes, 2 to 24: series of pairs of branches. The caller's. */
mly_model *plan_series_parallel_model(struct mly_random *random, uint32_t count);

void plan_world_select(struct plan_world *w, const char *spec);
/* The model (taken) on unlike core groups, with random costs of nodes, or on modelled processors. */
void plan_world_of(struct plan_world *w, mly_model *model, struct mly_random *random, bool cores,
                   enum mly_objective objective);
/* The same with a random model. */
void plan_world_random(struct plan_world *w, struct mly_random *random, uint32_t nodes, bool cores,
                       enum mly_objective objective);
/* A network of the zoo on processors that need no measuring. */
void plan_world_zoo(struct plan_world *w, const char *name, const char *spec, uint32_t batch);
void plan_world_end(struct plan_world *w);

/* What a set of units (bits, of a problem of at most 32) costs on a class. */
struct mly__segment_cost plan_set_cost(const struct mly__problem *problem, uint32_t class_index,
                                       uint32_t set);

#endif
