/* motley simulate: a plan on a virtual clock, once or over a range of rates or processors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/stats.h"
#include "runtime/timeline.h"
#include "simulate.h"
#include "simulate_sweep.h"

static const struct cli_option simulate_options[] = {
    {"devices", 'd', CLI_TEXT, "SPEC",
     "Processors, when a model is given: edgetpu-pcie*4, p100, cpu:groups=2, or several with "
     "commas "
     "(default: the CPU of this box). `motley devices --modelled` lists those that are modelled.",
     NULL, offsetof(struct simulate_values, devices), 0, 0},
    {"arrivals", 'a', CLI_TEXT, "WHAT",
     "When requests come: closed:N in flight (default: as many as the plan wants), constant:RATE, "
     "poisson:RATE, bursty:RATE/SECONDS,RATE/SECONDS, trace:FILE; rates are requests per second.",
     NULL, offsetof(struct simulate_values, arrivals), 0, 0},
    {"duration", 0, CLI_SECONDS, "SECONDS",
     "Requests come for that long, of virtual time (default 60, or the trace's).", NULL,
     offsetof(struct simulate_values, duration_ns), 0, 0},
    {"count", 'n', CLI_COUNT, "N", "So many requests instead.", NULL,
     offsetof(struct simulate_values, count), 1, 1000000000000},
    {"warm-up", 0, CLI_SECONDS, "SECONDS", "Do not count what begins before (default 0).", NULL,
     offsetof(struct simulate_values, warm_up_ns), 0, 0},
    {"batch", 'b', CLI_COUNT, "N",
     "Samples per request (default: the plan's batch; of a model 1, but in a closed loop what is "
     "planned).",
     NULL, offsetof(struct simulate_values, batch), 1, 65536},
    {"seed", 0, CLI_COUNT, "N", "The same seed gives the same run (default 0).", NULL,
     offsetof(struct simulate_values, seed), 0, UINT32_MAX},
    {"sweep", 0, CLI_TEXT, "WHAT",
     "One line for each of rate=10:100:10, rate=10,20,50, processors=1..8 or processors=1,2,4: so "
     "many of the modelled processor that -d names.",
     NULL, offsetof(struct simulate_values, sweep), 0, 0},
    {"queue", 0, CLI_COUNT, "N", "Requests that may wait; others are rejected (default 4096).",
     NULL, offsetof(struct simulate_values, queue), 1, 1000000},
    {"policy", 0, CLI_TEXT, "NAME",
     "Who gets which task: earliest-finish (default), pinned, eager, random.",
     "earliest-finish pinned eager random", offsetof(struct simulate_values, policy), 0, 0},
    {"planner", 0, CLI_TEXT, "NAME",
     "Plan a model by this planner (default: on a CPU auto; every modelled processor runs the "
     "whole "
     "model).",
     NULL, offsetof(struct simulate_values, planner), 0, 0},
    {"exact", 0, CLI_FLAG, NULL, "Measured times do not vary: always the median.", NULL,
     offsetof(struct simulate_values, exact), 0, 0},
    {"cold", 0, CLI_FLAG, NULL, "Modelled processors load their weights with the first request.",
     NULL, offsetof(struct simulate_values, cold), 0, 0},
    {"timeline", 0, CLI_FILE, "FILE",
     "Write what every processor did: .json for https://ui.perfetto.dev, or .svg.", NULL,
     offsetof(struct simulate_values, timeline), 0, 0},
    {"costs", 0, CLI_FILE, "FILE", "Measured times from this cost table instead of those stored.",
     NULL, offsetof(struct simulate_values, costs), 0, 0},
    {"budget", 0, CLI_SECONDS, "SECONDS", "Time that measuring may take, if needed (default 40).",
     NULL, offsetof(struct simulate_values, budget_ns), 0, 0},
    CLI_OPTION_DIM(offsetof(struct simulate_values, dims)),
    {"model", 'm', CLI_FILE, "FILE", "The model of a plan, if it has moved.", NULL,
     offsetof(struct simulate_values, model), 0, 0},
};

/* --- one run --- */

/* Told by the executor: progress within one of `total` runs. */
struct listener {
    struct cli_progress *progress;
    size_t done, total;
};

static bool on_progress(void *user, double fraction)
{
    struct listener *l = user;
    cli_progress_update(l->progress, ((double)l->done + fraction) / (double)l->total, "simulating");
    return !atomic_load(cli_stop_flag());
}

static enum mly_status open_timeline(const struct simulate *s, const mly_plan *plan,
                                     mly_timeline **out, struct mly_error *err)
{
    char *line = mly_plan_describe(plan);
    char *title = mly_strfmt("%s: %s", plan->model_name, line ? line : "");
    const struct mly_timeline_options options = {.title = title ? title : "motley simulate"};
    enum mly_status status = mly__timeline_check_path(s->given->timeline, err);
    if (status == MLY_OK)
        status = mly_timeline_create(&options, out, err);
    mly_free(line);
    mly_free(title);
    return status;
}

static enum mly_status run_once(const struct simulate *s, const struct simulated_plan *plan,
                                const struct mly_arrivals *arrivals, struct listener *listener,
                                mly_timeline *timeline, struct mly_virtual_result *out,
                                struct mly_error *err)
{
    const struct simulate_values *given = s->given;
    struct mly_virtual_options options = {.ways = plan->runnable,
                                          .way_count = plan->way_count,
                                          .batch = plan->batch,
                                          .policy = s->policy,
                                          .queue_capacity = (uint32_t)given->queue,
                                          .arrivals = arrivals,
                                          .seed = given->seed,
                                          .duration_ns = given->duration_ns,
                                          .count = given->count,
                                          .warm_up_ns = given->warm_up_ns,
                                          .timeline = timeline,
                                          .progress = on_progress,
                                          .user = listener};
    if (arrivals->kind == MLY_ARRIVALS_CLOSED && arrivals->in_flight > options.queue_capacity)
        options.queue_capacity = arrivals->in_flight > 4096 ? arrivals->in_flight : 4096;
    if (!given->duration_ns && !given->count && arrivals->kind != MLY_ARRIVALS_TRACE)
        options.duration_ns = SIMULATE_DURATION_NS;
    return mly_virtual_run(&options, out, err);
}

/* "closed:N" with what the plan wants, unless the user said otherwise. */
static enum mly_status read_arrivals(const struct simulate *s, const struct simulated_plan *plan,
                                     struct mly_arrivals *out, struct mly_error *err)
{
    if (s->given->arrivals) {
        enum mly_status status = mly_arrivals_parse(s->given->arrivals, out, err);
        return status == MLY_OK ? MLY_OK : mly_error_prefix(err, status, "--arrivals");
    }
    *out = (struct mly_arrivals){.kind = MLY_ARRIVALS_CLOSED, .in_flight = plan->plan->in_flight};
    return MLY_OK;
}

static enum mly_status simulate_once(struct simulate *s, struct mly_error *err)
{
    struct simulated_plan plan;
    struct mly_arrivals arrivals = {0};
    struct cli_progress progress;
    struct listener listener = {.progress = &progress, .total = 1};
    struct simulated run = {.simulate = s, .plan = &plan, .arrivals = &arrivals};
    mly_timeline *timeline = NULL;
    enum mly_status status = simulate_open_plan(s, s->given->devices, &plan, err);
    if (status != MLY_OK)
        return status;
    status = read_arrivals(s, &plan, &arrivals, err);
    if (status == MLY_OK && s->given->timeline)
        status = open_timeline(s, plan.plan, &timeline, err);
    if (status == MLY_OK) {
        cli_progress_begin(&progress, s->common);
        status = run_once(s, &plan, &arrivals, &listener, timeline, &run.result, err);
        cli_progress_end(&progress);
    }
    if (status == MLY_OK && timeline)
        status = mly_timeline_save(timeline, s->given->timeline, err);
    if (status == MLY_OK && s->common->json) {
        struct mly_json_writer json;
        mly_json_writer_init(&json, true);
        mly_json_begin_object(&json, NULL);
        simulated_put_json(&json, &run);
        mly_json_end_object(&json);
        status = cli_print_json(&json) == CLI_EXIT_OK ? MLY_OK : MLY_E_IO;
    } else if (status == MLY_OK) {
        simulated_print(&run);
        if (s->given->timeline && !s->common->quiet)
            printf("\ntimeline written to %s\n", s->given->timeline);
    }
    mly_timeline_destroy(timeline);
    mly_virtual_result_fini(&run.result);
    mly_arrivals_fini(&arrivals);
    simulated_plan_fini(&plan);
    return status;
}

/* --- sweeps --- */

/* The arrivals and, for processors, the plan of one value. */
static enum mly_status prepare(struct simulate *s, const struct simulate_sweep *sweep, size_t index,
                               struct simulated_plan *plan, struct mly_arrivals *arrivals,
                               struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    const bool processors = sweep->what == SIMULATE_SWEEP_PROCESSORS;
    if (index == 0 || processors) {
        char *devices =
            processors ? mly_strfmt("%s*%.0f", s->given->devices, sweep->values[index]) : NULL;
        simulated_plan_fini(plan);
        if (processors && !devices)
            return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
        status = simulate_open_plan(s, processors ? devices : s->given->devices, plan, err);
        mly_free(devices);
    }
    mly_arrivals_fini(arrivals);
    if (status == MLY_OK && (s->given->arrivals || processors))
        status = read_arrivals(s, plan, arrivals, err);
    else
        arrivals->kind = MLY_ARRIVALS_POISSON;
    if (!processors)
        arrivals->rate_per_s = sweep->values[index];
    return status;
}

static enum mly_status simulate_sweep(struct simulate *s, struct mly_error *err)
{
    struct simulate_sweep sweep = {0};
    struct simulated_plan plan = {0};
    struct mly_arrivals arrivals = {0};
    struct cli_progress progress;
    enum mly_status status = simulate_sweep_parse(s->given, s->target, &sweep, err);
    struct listener listener = {.progress = &progress, .total = sweep.count};
    if (status != MLY_OK)
        return status;
    struct simulate_sweep_output output;
    simulate_sweep_begin(&output, s, &sweep);
    for (size_t i = 0; i < sweep.count && status == MLY_OK; i++) {
        struct simulated run = {.simulate = s, .plan = &plan, .arrivals = &arrivals};
        status = prepare(s, &sweep, i, &plan, &arrivals, err);
        listener.done = i;
        if (status == MLY_OK && i == 0)
            cli_progress_begin(&progress, s->common);
        if (status == MLY_OK)
            status = run_once(s, &plan, &arrivals, &listener, NULL, &run.result, err);
        if (status == MLY_OK)
            simulate_sweep_add(&output, &run, sweep.values[i]);
        mly_virtual_result_fini(&run.result);
    }
    if (plan.plan)
        cli_progress_end(&progress);
    if (simulate_sweep_end(&output) != CLI_EXIT_OK && status == MLY_OK)
        status = mly_error_set(err, MLY_E_IO, "the results could not be printed");
    simulated_plan_fini(&plan);
    mly_arrivals_fini(&arrivals);
    mly_free(sweep.values);
    return status;
}

/* --- the command --- */

static enum mly_status check_usage(struct simulate *s, struct mly_error *err)
{
    const struct simulate_values *given = s->given;
    struct mly_arrivals arrivals = {0};
    enum mly_status status = cli_dims_parse(&given->dims, &s->dims, err);
    if (status == MLY_OK && given->arrivals) {
        status = mly_arrivals_parse(given->arrivals, &arrivals, err);
        if (status != MLY_OK)
            mly_error_prefix(err, status, "--arrivals");
        mly_arrivals_fini(&arrivals);
    }
    if (status == MLY_OK && given->policy)
        status = mly_schedule_policy_parse(given->policy, &s->policy, err);
    if (status == MLY_OK && given->sweep && given->timeline)
        status = mly_error_set(err, MLY_E_INVALID, "--timeline is of one run: without --sweep");
    if (status == MLY_OK && given->timeline)
        status = mly__timeline_check_path(given->timeline, err);
    if (status == MLY_OK && given->devices && simulate_is_plan_file(s->target))
        status =
            mly_error_set(err, MLY_E_INVALID,
                          "-d %s: the plan says which processors there are; -d goes with a model",
                          given->devices);
    return status;
}

static int run_simulate(const struct cli_common *common, const void *values, char **operands,
                        size_t operand_count)
{
    (void)operand_count;
    struct simulate s = {.common = common, .given = values, .target = operands[0]};
    struct mly_error err = {0};
    int exit_status = CLI_EXIT_FAILED;
    cli_catch_interrupts();
    enum mly_status status = check_usage(&s, &err);
    if (status != MLY_OK) {
        exit_status = status == MLY_E_INVALID ? cli_usage(&err) : cli_fail(&err);
        simulate_close(&s);
        return exit_status;
    }
    status = s.given->sweep ? simulate_sweep(&s, &err) : simulate_once(&s, &err);
    if (status == MLY_OK)
        exit_status = cli_finish_output();
    else
        exit_status = status == MLY_E_INVALID && !s.model ? cli_usage(&err) : cli_fail(&err);
    simulate_close(&s);
    return exit_status;
}

const struct cli_command cli_command_simulate = {
    .name = "simulate",
    .operands = "PLAN|MODEL",
    .summary = "run a plan on a virtual clock, on processors that may not be here",
    .description =
        "Runs a plan's requests through the very scheduler that `motley run` uses, on a virtual "
        "clock: nothing is computed, and an hour takes a moment. Times come from measurements of "
        "this box's CPU and from models of processors that are not here; every line says which. "
        "Prints throughput, latency, waiting, energy, and where time goes by processor and stage.",
    .examples = "  motley simulate resnet18.onnx -d edgetpu-pcie*4 --arrivals poisson:20\n"
                "  motley simulate model.plan.json --arrivals bursty:50/2,400/0.5 --duration 600\n"
                "  motley simulate resnet18.onnx -d p100 --sweep rate=50:500:50\n"
                "  motley simulate resnet18.onnx -d jetson-nano --sweep processors=1..8\n",
    .options = simulate_options,
    .option_count = sizeof simulate_options / sizeof simulate_options[0],
    .values_bytes = sizeof(struct simulate_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_simulate,
};
