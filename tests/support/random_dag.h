/* Random graphs for tests of the algorithms that cut; any failure fails the test. */
#ifndef MOTLEY_TEST_RANDOM_DAG_H
#define MOTLEY_TEST_RANDOM_DAG_H

#include "base/random.h"
#include "plan/dag.h"

/* A graph that owns what it refers to. */
struct random_dag {
    struct mly__dag dag;
    double *weight;
    struct mly__dag_net *nets;
    uint32_t *readers; /* of all nets */
};

/*
 * `nodes` nodes; each makes a net (now and then two, now and then one that goes out) which up to
 * `fan_out` of the next `reach` nodes read; a few nets come from outside. Weights and bytes are whole
 * numbers up to 100, so that sums are exact; some weights are 0.
 */
struct random_dag random_dag(struct mly_random *random, uint32_t nodes, uint32_t fan_out,
                             uint32_t reach);
void random_dag_free(struct random_dag *dag);

#endif
