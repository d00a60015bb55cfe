/* Streams of batches through engines, measured: the work behind `motley run`. */
#ifndef MLY_CLI_RUN_STREAM_H
#define MLY_CLI_RUN_STREAM_H

#include <motley/engine.h>

#include "internal.h"
#include "plan/plan.h"
#include "run_energy.h"
#include "run_inputs.h"
#include "run_processors.h"
#include "runtime/measure.h"

/* Called with the results of each distinct batch once, in order. */
typedef enum mly_status (*run_result_fn)(void *user, const struct run_batch *batch,
                                         const struct mly_tensor *outputs, size_t output_count,
                                         struct mly_error *err);

struct run_stream {
    mly_engine *engine;
    const struct run_inputs *inputs;
    uint64_t count; /* batches; 0: by duration */
    int64_t duration_ns;
    uint64_t warm_up;
    uint32_t in_flight;
    run_result_fn result; /* may be NULL */
    void *user;
    struct cli_progress *progress;     /* may be NULL */
    const char *text;                  /* beside the bar */
    double fraction_from, fraction_to; /* what part of the bar this stream fills; both 0: all */
};

/* Runs it; *out is filled even when interrupted (MLY_E_CANCELLED). */
enum mly_status run_stream(const struct run_stream *stream, struct mly_measure_result *out,
                           struct mly_error *err) MLY_MUST_CHECK;

/* The whole model under the runtime's defaults, as a plan; the yardstick. */
enum mly_status run_baseline_plan(const mly_model *model, const mly_machine *machine,
                                  uint32_t batch, mly_plan **out,
                                  struct mly_error *err) MLY_MUST_CHECK;

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
 * how many are filled, the baselines first.
 */
enum mly_status run_compare(const struct run_comparison *comparison, struct run_contender *rows,
                            size_t *count, struct mly_error *err) MLY_MUST_CHECK;

#endif
