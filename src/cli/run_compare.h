/* A plan compared with the runtime's defaults: the work behind `motley run --compare`. */
#ifndef MLY_CLI_RUN_COMPARE_H
#define MLY_CLI_RUN_COMPARE_H

#include "internal.h"
#include "plan/plan.h"
#include "run_energy.h"
#include "run_inputs.h"
#include "run_processors.h"

enum { RUN_COMPARE_ROUNDS = 5 };

/* One line of a comparison: throughput with every replica saturated, latency with one batch in flight per replica. */
struct run_contender {
    char label[96];
    uint32_t batch, replicas;
    double throughput_per_s; /* median over rounds */
    double p50_ns, p99_ns;   /* over all rounds */
    double ratio; /* throughput over the first contender's, median of the rounds' ratios */
    uint64_t batches;
    bool modelled;                /* on processors that are not here, as their models say */
    struct run_energy_use energy; /* while saturated; empty unless it was asked for */
};

struct run_comparison {
    const mly_model *model;
    const mly_machine *machine;
    const mly_plan *plan;
    struct run_inputs *inputs;
    uint64_t samples;
    int64_t duration_ns;
    struct run_energy *energy; /* open; NULL: nobody asked */
    int64_t idle_ns;           /* how long the box is metered before, with all engines open */
    struct run_processors *processors; /* gets what those of the plan did, of all rounds */
    struct cli_progress *progress;
};

/*
 * The plan against the runtime's defaults, at batch 1 and at the plan's batch, in interleaved rounds over `duration_ns` in all. rows has room for 3; *count gets
 * how many are filled, the baselines first, by *rounds rounds: all of them, or if interrupted (MLY_E_CANCELLED) those that were whole.
 */
enum mly_status run_compare(const struct run_comparison *comparison, struct run_contender *rows,
                            size_t *count, uint32_t *rounds, struct mly_error *err) MLY_MUST_CHECK;

#endif
