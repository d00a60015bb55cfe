/* motley run: runs a plan, or a model that is planned first, on real input. */
#include <string.h>

#include "base/alloc.h"
#include "base/stats.h"
#include "cost/sizes.h"
#include "measuring.h"
#include "plan/plan.h"
#include "run_compare.h"
#include "run_energy.h"
#include "run_inputs.h"
#include "run_processors.h"
#include "run_results.h"
#include "run_stream.h"
#include "run_timeline.h"
#include "runtime/executor.h"

struct run_values {
    struct cli_texts inputs, dims;
    const char *preprocess;
    const char *output;
    const char *labels;
    const char *model;
    const char *devices;
    const char *objective;
    const char *energy_of;
    const char *executor;
    const char *policy;
    const char *timeline;
    uint64_t top, count, batch, seed;
    int64_t duration_ns, budget_ns, idle_ns;
    bool verify, compare, keep_overridable, energy;
};

static const struct cli_option run_options[] = {
    {"input", 'i', CLI_REPEAT, "[NAME=]FILE",
     "Input: .npy, .npz, ONNX .pb, an image, .raw, a folder with input_0.pb, or random (default). "
     "May be repeated: several samples, or one file per input.",
     NULL, offsetof(struct run_values, inputs), 0, 0},
    {"preprocess", 'p', CLI_TEXT, "WORDS",
     "How images become tensors, such as imagenet, mnist, or resize=256,crop=224,scale=1/255. "
     "Default: from the input's shape.",
     NULL, offsetof(struct run_values, preprocess), 0, 0},
    {"output", 'o', CLI_FILE, "PATH",
     "Write results as .npy: a file for one output, else a folder.", NULL,
     offsetof(struct run_values, output), 0, 0},
    {"top", 't', CLI_COUNT, "N", "Print the N best classes of the first output.", NULL,
     offsetof(struct run_values, top), 1, 1000},
    {"labels", 'l', CLI_FILE, "FILE", "Class names, one per line, for --top.", NULL,
     offsetof(struct run_values, labels), 0, 0},
    {"verify", 0, CLI_FLAG, NULL,
     "Compare the results with the whole model under the runtime's defaults.", NULL,
     offsetof(struct run_values, verify), 0, 0},
    {"compare", 0, CLI_FLAG, NULL,
     "Measure the plan against the runtime's defaults, in interleaved rounds.", NULL,
     offsetof(struct run_values, compare), 0, 0},
    {"count", 'n', CLI_COUNT, "N",
     "Samples to run, cycling through those given (default: those given); not with --compare.",
     NULL, offsetof(struct run_values, count), 1, 1000000000},
    {"duration", 0, CLI_SECONDS, "SECONDS",
     "Run for that long instead of --count; with --compare: in all (default 10).", NULL,
     offsetof(struct run_values, duration_ns), 0, 0},
    {"batch", 'b', CLI_COUNT, "N", "Samples per batch (default: the plan's).", NULL,
     offsetof(struct run_values, batch), 1, 65536},
    {"devices", 'd', CLI_TEXT, "SPEC",
     "Processors to use, when a model is given: cpu (default), cpu:0-3, cpu:groups=2.", NULL,
     offsetof(struct run_values, devices), 0, 0},
    CLI_OPTION_DIM(offsetof(struct run_values, dims)),
    {"objective", 0, CLI_TEXT, "WHAT", "throughput (default) or latency, when a model is given.",
     "throughput latency", offsetof(struct run_values, objective), 0, 0},
    {"budget", 0, CLI_SECONDS, "SECONDS",
     "Time that measuring may take, when a model is given and was not measured (default 40).", NULL,
     offsetof(struct run_values, budget_ns), 0, 0},
    {"energy", 0, CLI_FLAG, NULL,
     "Measure energy and temperature of the run, with what the idle box takes subtracted; with "
     "--compare: energy of both sides.",
     NULL, offsetof(struct run_values, energy), 0, 0},
    {"energy-of", 0, CLI_TEXT, "SENSORS",
     "With --energy: the sensors that add up to the box, as motley devices lists them, with commas "
     "(default: packages, memory, GPUs; else the whole board; else its rails).",
     NULL, offsetof(struct run_values, energy_of), 0, 0},
    {"idle", 0, CLI_SECONDS, "SECONDS",
     "With --energy: how long the idle box is measured before the run (default 3).", NULL,
     offsetof(struct run_values, idle_ns), 0, 0},
    {"timeline", 0, CLI_FILE, "FILE",
     "Write what every processor did and what waited: FILE.json for ui.perfetto.dev, FILE.svg as a "
     "picture.",
     NULL, offsetof(struct run_values, timeline), 0, 0},
    {"executor", 0, CLI_TEXT, "NAME",
     "native (default), or starpu, starpu:dmda, starpu:eager, …: StarPU chooses the processors.",
     NULL, offsetof(struct run_values, executor), 0, 0},
    {"policy", 0, CLI_TEXT, "NAME",
     "Who gets which batch: earliest-finish (default), pinned, eager, random; of the native "
     "executor.",
     "earliest-finish pinned eager random", offsetof(struct run_values, policy), 0, 0},
    {"model", 'm', CLI_FILE, "FILE", "The model of a plan, if it has moved.", NULL,
     offsetof(struct run_values, model), 0, 0},
    {"seed", 0, CLI_COUNT, "N", "Seed of random inputs (default 0).", NULL,
     offsetof(struct run_values, seed), 0, UINT32_MAX},
    {"keep-overridable", 0, CLI_FLAG, NULL, "Leave initialisers that are also inputs overridable.",
     NULL, offsetof(struct run_values, keep_overridable), 0, 0},
};

/* Everything that a run holds; released by close_run. */
struct run {
    const struct cli_common *common;
    const struct run_values *given;
    struct cli_box box;
    mly_model *model;
    mly_plan *plan;
    mly_engine *engine;
    struct cli_dims dims;
    struct run_inputs inputs;
    struct run_results results;
    struct run_labels labels;
    struct run_energy energy;
    struct run_timeline timeline;
    struct mly_measure_result measured;
    struct run_processors processors;
    struct run_verdict verdict;
    struct run_contender contenders[3];
    size_t contender_count;
    uint32_t rounds; /* of the comparison */
    uint64_t count;  /* samples */
    bool from_file;  /* the plan was given, not made here */
    bool interrupted;
};

static bool is_plan_file(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".json") == 0;
}

static enum mly_status open_plan(struct run *run, const char *path, struct mly_error *err)
{
    const struct run_values *given = run->given;
    const struct cli_plan_source source = {.path = path,
                                           .devices = given->devices,
                                           .model = given->model,
                                           .keep_overridable = given->keep_overridable};
    return cli_plan_open(&source, &run->plan, &run->model, &run->box, err);
}

static enum mly_status decide_plan(struct run *run, const char *path, struct mly_error *err)
{
    const struct run_values *given = run->given;
    enum mly_objective objective = MLY_OBJECTIVE_THROUGHPUT;
    struct cli_measuring measuring;
    enum mly_status status =
        given->objective ? mly_objective_parse(given->objective, &objective, err) : MLY_OK;
    if (status == MLY_OK)
        status = cli_box_open(given->devices, NULL, &run->box, err);
    if (status == MLY_OK)
        status = cli_model_open(path, given->keep_overridable, &run->model, err);
    if (status != MLY_OK)
        return status;
    struct mly_decide_options options = {
        .objective = objective,
        .batch = (uint32_t)given->batch,
        .groups = run->box.groups,
        .processors = run->box.processors.count ? &run->box.processors : NULL,
        .budget_ns = given->budget_ns,
        .dims = run->dims.items,
        .dim_count = run->dims.count,
        .progress = cli_measuring_progress,
        .remark = cli_measuring_remark,
        .user = &measuring};
    cli_measuring_begin(&measuring, run->common);
    status = mly_decide(run->model, run->box.machine, &options, &run->plan, err);
    cli_measuring_end(&measuring);
    return status;
}

/* --batch (0: not given) for a plan that is for another: what it predicts is then not known. */
static enum mly_status change_batch(struct run *run, uint32_t batch, struct mly_error *err)
{
    mly_plan *plan = run->plan;
    const int64_t fixed = mly_model_fixed_batch(run->model);
    uint32_t at = 0;
    if (batch == 0 || batch == plan->batch)
        return MLY_OK;
    if (fixed > 0 && (int64_t)batch != fixed)
        return mly_error_set(err, MLY_E_INVALID,
                             "--batch %u: the model's batch size is fixed at %lld", batch,
                             (long long)fixed);
    uint32_t *ladder = mly_realloc_array(plan->ladder, plan->ladder_count + 1, sizeof *ladder);
    if (!ladder)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    plan->ladder = ladder;
    while (at < plan->ladder_count && ladder[at] < batch)
        at++;
    if (at == plan->ladder_count || ladder[at] != batch) {
        memmove(&ladder[at + 1], &ladder[at], (plan->ladder_count - at) * sizeof *ladder);
        ladder[at] = batch;
        plan->ladder_count++;
    }
    plan->batch = batch;
    plan->prediction = (struct mly_prediction){0};
    return mly_plan_check(plan, run->model, run->box.machine, err);
}

static enum mly_status load_inputs(struct run *run, struct mly_error *err)
{
    const struct run_values *given = run->given;
    struct mly_sizes sizes = {0}; /* that the plan is for */
    enum mly_status status =
        run->from_file ? mly_sizes_parse(run->plan->shapes, &sizes, err) : MLY_OK;
    struct run_input_options options = {.files = &given->inputs,
                                        .dims = run->from_file ? sizes.items : run->dims.items,
                                        .dim_count = run->from_file ? sizes.count : run->dims.count,
                                        .preprocess = given->preprocess,
                                        .seed = given->seed,
                                        .random_count = given->count};
    if (status == MLY_OK)
        status = run_inputs_load(run->model, &options, &run->inputs, err);
    mly_sizes_fini(&sizes);
    if (status != MLY_OK)
        return status;
    uint32_t batch = mly_plan_batch(run->plan);
    run->count = given->count ? given->count : run->inputs.sample_count;
    uint64_t made = run->count;
    if (!given->count && given->duration_ns)
        made = (made + batch - 1) / batch * batch;
    return run_inputs_make_batches(&run->inputs, batch, made, err);
}

static int64_t idle_ns(const struct run_values *given)
{
    return given->idle_ns ? given->idle_ns : 3000000000;
}

static bool wants_results(const struct run_values *given)
{
    return given->output || given->top || given->verify;
}

/* What is told of the run, also of one that was interrupted. */
static enum mly_status look_back(struct run *run, struct mly_error *err)
{
    enum mly_status status = run_processors_get(
        run->engine, run->plan, run_results_mode(run->plan, wants_results(run->given)),
        run->measured.elapsed_ns, &run->processors, err);
    return status == MLY_OK ? run_timeline_save(&run->timeline, err) : status;
}

static enum mly_status stream_once(struct run *run, struct mly_error *err)
{
    const struct run_values *given = run->given;
    struct cli_progress progress;
    enum mly_status status = run_timeline_open(&run->timeline, given->timeline, run->plan, err);
    if (status != MLY_OK)
        return status;
    /* The stream brings results into order: no processor waits for the slowest. */
    struct mly_engine_options options = {.results =
                                             run_results_mode(run->plan, wants_results(given)),
                                         .executor = given->executor,
                                         .policy = given->policy,
                                         .timeline = run->timeline.timeline};
    status = mly_engine_create(run->model, run->plan, &options, &run->engine, err);
    if (status != MLY_OK)
        return status;
    /* The sessions are open and the workers asleep: what the box takes when nobody asks. */
    if (given->energy)
        status = run_energy_rest(&run->energy, idle_ns(given), err);
    if (status == MLY_OK && given->energy)
        status = run_energy_begin(&run->energy, err);
    if (status != MLY_OK)
        return status;
    uint32_t batch = mly_plan_batch(run->plan);
    uint64_t per_batch = mly_model_fixed_batch(run->model) ? 1 : batch;
    run->results = (struct run_results){.model = run->model,
                                        .keep = wants_results(given) || run->common->json,
                                        .output_count = mly_model_output_count(run->model)};
    struct run_stream stream = {
        .engine = run->engine,
        .inputs = &run->inputs,
        .count = given->duration_ns && !given->count ? 0 : (run->count + per_batch - 1) / per_batch,
        .duration_ns = given->count ? 0 : given->duration_ns,
        .in_flight = run->plan->in_flight,
        .result = wants_results(given) ? run_results_take : NULL,
        .user = &run->results,
        .progress = &progress,
        .text = "running"};
    cli_progress_begin(&progress, run->common);
    status = run_stream(&stream, &run->measured, err);
    cli_progress_end(&progress);
    if (given->energy)
        run_energy_end(&run->energy);
    run->interrupted = status == MLY_E_CANCELLED;
    if (status == MLY_OK || run->interrupted) {
        struct mly_error why;
        enum mly_status looked = look_back(run, &why);
        if (looked != MLY_OK)
            return mly_error_set(err, looked, "%s", why.message);
    }
    return status;
}

static enum mly_status compare_once(struct run *run, struct mly_error *err)
{
    struct cli_progress progress;
    int64_t duration = run->given->duration_ns ? run->given->duration_ns : 10000000000;
    cli_progress_begin(&progress, run->common);
    const struct run_comparison comparison = {.model = run->model,
                                              .machine = run->box.machine,
                                              .plan = run->plan,
                                              .inputs = &run->inputs,
                                              .samples = run->count,
                                              .duration_ns = duration,
                                              .energy = run->given->energy ? &run->energy : NULL,
                                              .idle_ns = idle_ns(run->given),
                                              .processors = &run->processors,
                                              .progress = &progress};
    enum mly_status status =
        run_compare(&comparison, run->contenders, &run->contender_count, &run->rounds, err);
    cli_progress_end(&progress);
    run->interrupted = status == MLY_E_CANCELLED;
    return status;
}

static void put_summary(struct mly_json_writer *json, const char *key,
                        const struct mly_summary *summary)
{
    mly_json_begin_object(json, key);
    mly_json_put_number(json, "p50", summary->median);
    mly_json_put_number(json, "p90", summary->p90);
    mly_json_put_number(json, "p99", summary->p99);
    mly_json_put_number(json, "mean", summary->mean);
    mly_json_put_number(json, "max", summary->max);
    mly_json_end_object(json);
}

static void put_measured(struct mly_json_writer *json, const struct mly_measure_result *measured)
{
    mly_json_put_int(json, "samples", (int64_t)measured->samples);
    mly_json_put_int(json, "batches", (int64_t)measured->batches);
    mly_json_put_number(json, "seconds", (double)measured->elapsed_ns / 1e9);
    mly_json_put_number(json, "throughput_per_s", measured->throughput_per_s);
    put_summary(json, "latency_ns", &measured->latency_ns);
    put_summary(json, "execution_ns", &measured->execution_ns);
    put_summary(json, "queue_ns", &measured->queue_ns);
}

static void put_contenders(struct mly_json_writer *json, const struct run *run)
{
    mly_json_begin_array(json, "compare");
    for (size_t i = 0; i < run->contender_count; i++) {
        const struct run_contender *row = &run->contenders[i];
        mly_json_begin_object(json, NULL);
        mly_json_put_string(json, "who", row->label);
        mly_json_put_bool(json, "modelled", row->modelled);
        mly_json_put_int(json, "batch", row->batch);
        mly_json_put_number(json, "throughput_per_s", row->throughput_per_s);
        mly_json_put_number(json, "ratio", row->ratio);
        mly_json_put_number(json, "latency_p50_ns", row->p50_ns);
        mly_json_put_number(json, "latency_p99_ns", row->p99_ns);
        if (run->given->energy)
            run_energy_put_use(&row->energy, json);
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
    mly_json_put_int(json, "rounds", run->rounds);
}

/* null: the plan is run in batches that it has no prediction for. */
static void put_predicted(struct mly_json_writer *json, const char *key, double value)
{
    if (value > 0)
        mly_json_put_number(json, key, value);
    else
        mly_json_put_null(json, key);
}

static int report_json(const struct run *run)
{
    struct mly_json_writer json;
    struct mly_error err = {0};
    char *line = mly_plan_describe(run->plan);
    const struct run_modelled_energy modelled = run_processors_energy(&run->processors);
    mly_json_writer_init(&json, true);
    mly_json_begin_object(&json, NULL);
    mly_json_put_string(&json, "model", mly_model_path(run->model));
    mly_json_put_string(&json, "plan", line);
    mly_json_put_string(&json, "why", run->plan->why);
    run_times_put(&run->processors, &json);
    mly_json_put_bool(&json, "interrupted", run->interrupted);
    put_predicted(&json, "predicted_throughput_per_s", mly_plan_throughput_per_s(run->plan));
    put_predicted(&json, "predicted_latency_ns", mly_plan_latency_ns(run->plan));
    if (run->given->compare) {
        put_contenders(&json, run);
    } else {
        put_measured(&json, &run->measured);
        run_processors_put(&run->processors, &json);
    }
    if (run->given->energy && run->given->compare)
        run_energy_put_comparison(&run->energy, &json);
    else if (run->given->energy)
        run_energy_put(&run->energy, &modelled, run->measured.samples, &json);
    run_timeline_put(&run->timeline, &json);
    enum mly_status status = MLY_OK;
    if (run->given->top && !run->given->compare)
        status = run_results_top(&run->results, &run->inputs, (uint32_t)run->given->top,
                                 run->given->labels ? &run->labels : NULL, &json, &err);
    if (run->given->verify)
        run_verdict_report(&run->verdict, &json);
    if (run->given->output)
        run_results_report(&run->results, &run->inputs, run->given->output, &json);
    mly_json_end_object(&json);
    mly_free(line);
    if (status != MLY_OK) {
        mly_json_writer_fini(&json);
        return cli_fail(&err);
    }
    return cli_print_json(&json);
}

static void print_contenders(const struct run *run)
{
    struct cli_table table;
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES];
    const bool energy = run->given->energy;
    cli_table_init(&table, energy
                               ? "measured|>batch|>samples/s|>ratio|>latency p50|>p99|>energy per "
                                 "sample|>above idle"
                               : "measured|>batch|>samples/s|>ratio|>latency p50|>p99");
    for (size_t i = 0; i < run->contender_count; i++) {
        const struct run_contender *row = &run->contenders[i];
        cli_table_cell(&table, "%s%s", row->label, row->modelled ? " (modelled)" : "");
        cli_table_cell(&table, "%u", row->batch);
        cli_table_cell(&table, "%s", mly_rate_text(row->throughput_per_s, a));
        cli_table_cell(&table, "%.2fx", row->ratio);
        cli_table_cell(&table, "%s", cli_time(row->p50_ns, a));
        cli_table_cell(&table, "%s", cli_time(row->p99_ns, b));
        if (energy)
            run_energy_cells(&row->energy, &table);
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    puts("(ratio: median over interleaved rounds; latency: of one batch, with one in flight per "
         "core group)");
    if (run->interrupted)
        printf("(interrupted: by %u of %u rounds)\n", run->rounds, RUN_COMPARE_ROUNDS);
    run_times_print(&run->processors, stdout);
    run_processors_print(&run->processors, false, stdout);
    if (energy)
        run_energy_print_comparison(&run->energy);
    for (size_t i = 0; i < run->contender_count && energy; i++) {
        const struct run_contender *row = &run->contenders[i];
        if (row->energy.sources > 0 && row->energy.reason)
            printf("(energy of %s at batch %u is not told: %s)\n", row->label, row->batch,
                   row->energy.reason);
    }
    if (mly_plan_throughput_per_s(run->plan) > 0)
        printf("predicted for motley's plan: %s samples/s\n",
               mly_rate_text(mly_plan_throughput_per_s(run->plan), a));
}

/* From so many batches on, rates and utilisation mean something. */
enum { MEANINGFUL_BATCHES = 20 };

static void print_measured(const struct run *run)
{
    const struct mly_measure_result *measured = &run->measured;
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES], c[CLI_NUMBER_BYTES];
    const unsigned long long in_flight = run->plan->in_flight;
    printf("%llu samples in %llu batches, %s: %s samples/s", (unsigned long long)measured->samples,
           (unsigned long long)measured->batches, cli_time((double)measured->elapsed_ns, a),
           mly_rate_text(measured->throughput_per_s, b));
    if (mly_plan_throughput_per_s(run->plan) > 0 && measured->batches >= MEANINGFUL_BATCHES)
        printf(" (predicted %s)", mly_rate_text(mly_plan_throughput_per_s(run->plan), b));
    printf(
        "\nlatency of a batch with %llu in flight: p50 %s, p99 %s; of that in execution p50 %s\n",
        measured->batches < in_flight ? (unsigned long long)measured->batches : in_flight,
        cli_time(measured->latency_ns.median, a), cli_time(measured->latency_ns.p99, b),
        cli_time(measured->execution_ns.median, c));
    run_times_print(&run->processors, stdout);
    run_processors_print(&run->processors, measured->batches >= MEANINGFUL_BATCHES, stdout);
}

static int report_text(const struct run *run)
{
    struct mly_error err = {0};
    if (!run->common->quiet) {
        char *line = mly_plan_describe(run->plan);
        printf("plan: %s\n", line ? line : "");
        if (run->plan->why && !run->from_file)
            printf("why: %s\n", run->plan->why);
        mly_free(line);
    }
    if (run->given->compare) {
        print_contenders(run);
        return cli_finish_output();
    }
    print_measured(run);
    const struct run_modelled_energy modelled = run_processors_energy(&run->processors);
    if (run->given->energy)
        run_energy_print(&run->energy, &modelled, run->measured.samples);
    if (run->given->top &&
        run_results_top(&run->results, &run->inputs, (uint32_t)run->given->top,
                        run->given->labels ? &run->labels : NULL, NULL, &err) != MLY_OK)
        return cli_fail(&err);
    if (run->given->verify)
        run_verdict_report(&run->verdict, NULL);
    if (!run->common->quiet)
        run_timeline_print(&run->timeline);
    if (run->given->output && !run->common->quiet)
        run_results_report(&run->results, &run->inputs, run->given->output, NULL);
    return cli_finish_output();
}

/* What was done is kept, also when the rest was not (status says why: *err has its message). */
static enum mly_status save_results(struct run *run, enum mly_status status, struct mly_error *err)
{
    struct mly_error why;
    const char *path = run->given->output;
    if (run->results.batch_count == 0)
        return mly_error_prefix(err, status, "nothing was written to %s", path);
    enum mly_status saved = run_results_save(&run->results, path, &why);
    return saved == MLY_OK ? status : mly_error_set(err, saved, "%s", why.message);
}

static enum mly_status execute(struct run *run, const char *target, struct mly_error *err)
{
    const struct run_values *given = run->given;
    run->from_file = is_plan_file(target);
    enum mly_status status = cli_dims_parse(&given->dims, &run->dims, err);
    if (status == MLY_OK && given->labels)
        status = run_labels_load(given->labels, &run->labels, err);
    if (status == MLY_OK)
        status = run->from_file ? open_plan(run, target, err) : decide_plan(run, target, err);
    if (status == MLY_OK && given->energy)
        status = run_energy_open(run->box.machine, given->energy_of, &run->energy, err);
    if (status == MLY_OK)
        status = change_batch(run, (uint32_t)given->batch, err);
    if (status == MLY_OK)
        status = load_inputs(run, err);
    if (status == MLY_OK && given->output)
        status = run_results_check_path(run->model, given->output, err);
    if (status != MLY_OK)
        return status;
    if (given->compare)
        return compare_once(run, err);
    status = stream_once(run, err);
    if (status == MLY_OK && given->verify)
        status =
            run_results_verify(&run->results, &run->inputs, run->box.machine, &run->verdict, err);
    run->interrupted = status == MLY_E_CANCELLED;
    if (given->output && (status == MLY_OK || run->interrupted))
        status = save_results(run, status, err);
    return status;
}

static void close_run(struct run *run)
{
    mly_engine_destroy(run->engine);
    run_processors_fini(&run->processors);
    run_results_fini(&run->results);
    run_inputs_fini(&run->inputs);
    run_labels_fini(&run->labels);
    run_energy_fini(&run->energy);
    run_timeline_close(&run->timeline);
    cli_dims_fini(&run->dims);
    mly_plan_destroy(run->plan);
    mly_model_destroy(run->model);
    cli_box_close(&run->box);
}

/* Options that would do nothing are refused, so that nobody believes that they did something. */
static enum mly_status check_inputs(const struct run_values *given, struct mly_error *err)
{
    if (given->preprocess && !run_inputs_have_image(&given->inputs))
        return mly_error_set(err, MLY_E_INVALID,
                             "--preprocess %s: there is no image among the inputs",
                             given->preprocess);
    if (given->seed && !run_inputs_have_random(&given->inputs))
        return mly_error_set(err, MLY_E_INVALID, "--seed is for random inputs; files were given");
    if (given->labels && !given->top)
        return mly_error_set(err, MLY_E_INVALID, "--labels belongs to --top N");
    return MLY_OK;
}

/* -d with a plan says for which cores of the box it was made; the rest is in the plan. */
static bool names_cores(const char *devices)
{
    for (const char *word = devices; word; word = strchr(word, ',')) {
        word += *word == ',';
        if (strncmp(word, "cpu", 3) != 0 || strncmp(word, "cpu:groups=", 11) == 0)
            return false;
    }
    return true;
}

static enum mly_status check_target(const struct run_values *given, const char *target,
                                    struct mly_error *err)
{
    if (is_plan_file(target) && (given->dims.count || given->objective || given->budget_ns))
        return mly_error_set(err, MLY_E_INVALID,
                             "--dim, --objective and --budget go with a model: %s is a plan, made "
                             "already (motley plan makes another)",
                             target);
    if (is_plan_file(target) && !names_cores(given->devices))
        return mly_error_set(err, MLY_E_INVALID,
                             "-d %s: a plan says which processors it runs on; with one, -d names "
                             "only the cores it was made for, such as cpu:0-3",
                             given->devices);
    if (!is_plan_file(target) && given->model)
        return mly_error_set(err, MLY_E_INVALID, "--model goes with a plan: %s is a model", target);
    if (given->count && given->duration_ns)
        return mly_error_set(err, MLY_E_INVALID,
                             "--count and --duration exclude each other: both say when to end");
    if (given->count && given->compare)
        return mly_error_set(err, MLY_E_INVALID,
                             "--compare measures for a time: --duration instead of --count");
    return check_inputs(given, err);
}

static enum mly_status check_options(const struct run_values *given, const char *target,
                                     struct mly_error *err)
{
    if (given->compare && (given->output || given->top || given->verify))
        return mly_error_set(
            err, MLY_E_INVALID,
            "--compare measures only: run --output, --top and --verify without it");
    if (given->compare && (given->timeline || given->executor || given->policy))
        return mly_error_set(err, MLY_E_INVALID,
                             "--compare runs several engines: run --timeline, --executor and "
                             "--policy without it");
    if (given->policy && given->executor && strcmp(given->executor, "native") != 0)
        return mly_error_set(err, MLY_E_INVALID,
                             "--policy is of the native executor; StarPU's are chosen by "
                             "--executor starpu:NAME");
    if (!given->energy && (given->energy_of || given->idle_ns))
        return mly_error_set(err, MLY_E_INVALID, "--energy-of and --idle belong to --energy");
    enum mly_status status = check_target(given, target, err);
    if (status == MLY_OK)
        status = run_timeline_check(given->timeline, err);
    return status == MLY_OK ? mly_executor_check(given->executor, err) : status;
}

static int run_run(const struct cli_common *common, const void *values, char **operands,
                   size_t operand_count)
{
    (void)operand_count;
    struct run run = {.common = common, .given = values};
    struct mly_error err = {0};
    int exit_status = CLI_EXIT_FAILED;
    enum mly_status status = check_options(run.given, operands[0], &err);
    if (status != MLY_OK)
        return status == MLY_E_INVALID ? cli_usage(&err) : cli_fail(&err);
    cli_catch_interrupts();
    status = execute(&run, operands[0], &err);
    if (run.given->labels)
        run_labels_remark(&run.labels, run.given->labels, &run.results, common);
    if (status == MLY_OK ||
        (run.interrupted && (run.measured.batches > 0 || run.contender_count > 0)))
        exit_status = common->json ? report_json(&run) : report_text(&run);
    if (status != MLY_OK)
        exit_status = cli_fail(&err);
    else if (run.given->verify && !run.verdict.ok)
        exit_status = CLI_EXIT_FAILED;
    close_run(&run);
    return exit_status;
}

const struct cli_command cli_command_run = {
    .name = "run",
    .operands = "PLAN|MODEL",
    .summary = "run a plan or a model on real input; verify, compare",
    .description = "Runs a plan file, or a model: that is measured (once per box) and planned "
                   "first. Prints throughput and latency; writes results, shows the best classes, "
                   "compares results with the whole model under the runtime's defaults, or "
                   "compares speed with them.",
    .examples = "  motley run googlenet.plan.json --count 200\n  motley run mnist.onnx --input "
                "digit.png --preprocess mnist --top 3\n"
                "  motley run googlenet.plan.json --count 200 --timeline run.svg\n  motley run "
                "model.onnx --input x.npy --output y.npy --verify\n  motley run "
                "googlenet.onnx --compare\n",
    .options = run_options,
    .option_count = sizeof run_options / sizeof run_options[0],
    .values_bytes = sizeof(struct run_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_run,
};
