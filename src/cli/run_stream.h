/* Streams of batches through engines, measured: the work behind `motley run`. */
#ifndef MLY_CLI_RUN_STREAM_H
#define MLY_CLI_RUN_STREAM_H

#include <motley/engine.h>

#include "internal.h"
#include "plan/plan.h"
#include "run_inputs.h"
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

#endif
