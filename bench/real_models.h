/* What benchmarks of real models share: the command line, inputs, and the loop that costs are measured with. */
#ifndef MOTLEY_BENCH_REAL_MODELS_H
#define MOTLEY_BENCH_REAL_MODELS_H

#include <motley/engine.h>

#include "plan/plan.h"
#include "profile/crew.h"

/*
 * Reads "[--seconds S] [--budget S] MODEL…"; both are seconds above 0 and keep their value where they are
 * not given. The index of the first model; 0, with the usage said, when it is something else.
 */
int bench_arguments(int argc, char **argv, double *seconds, double *budget);
/* Behind the last slash. Borrowed. */
const char *bench_base_name(const char *path);

/* Inputs of one batch, and an empty one that ends the list. Zeroed is none. */
struct bench_inputs {
    struct mly_tensor *items;
    size_t count;
};
/* Random values, the same every time; free dimensions but the first are 1. */
enum mly_status bench_inputs_make(const mly_model *model, uint32_t batch, struct bench_inputs *out,
                                  struct mly_error *err) MLY_MUST_CHECK;
void bench_inputs_free(struct bench_inputs *inputs);
/* For mly_measure_options.inputs, with a struct bench_inputs as the user's. */
enum mly_status bench_inputs_give(void *user, uint64_t index, uint32_t lane,
                                  struct mly_tensor *inputs, struct mly_error *err);

/* The loop that whole models are measured with, as the plan runs them. */
struct bench_loop {
    struct mly_segment whole;
    struct crew crew;
};
/* model, machine and plan are borrowed until it is closed; zeroed may be closed, too. */
enum mly_status bench_loop_open(const mly_model *model, const mly_machine *machine,
                                const mly_plan *plan, struct bench_loop *out,
                                struct mly_error *err) MLY_MUST_CHECK;
/* Samples per second, over so long. */
enum mly_status bench_loop_run(struct bench_loop *loop, const struct bench_inputs *inputs,
                               uint32_t batch, int64_t duration_ns, double *per_s,
                               struct mly_error *err) MLY_MUST_CHECK;
void bench_loop_close(struct bench_loop *loop);

/*
 * What motley would plan if it had nothing but this configuration of the whole model, which is measured for a moment:
 * how many batches are in flight depends on that. *out is the caller's.
 */
enum mly_status bench_plan_of(const mly_model *model, const mly_machine *machine,
                              const struct mly_cost_config *config, mly_plan **out,
                              struct mly_error *err) MLY_MUST_CHECK;

#endif
