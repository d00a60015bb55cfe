/* motley plan: decides how to run a model on this box, and says why. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/stats.h"
#include "measuring.h"
#include "plan/plan.h"
#include "plan_more.h"
#include "profile/profile.h"

struct plan_values {
    const char *devices;
    const char *topology;
    const char *costs;
    const char *objective;
    const char *planner;
    const char *output;
    struct cli_texts dims;
    const char *rate;
    uint64_t batch;
    int64_t budget_ns;
    bool again;
    bool explain;
    bool keep_overridable;
    const char *ratio;
    const char *dot;
    bool contracted;
    bool family;
    bool no_replicas;
    bool all_splits;
    uint64_t step;
};

static const struct cli_option plan_options[] = {
    {"devices", 'd', CLI_TEXT, "SPEC",
     "Processors to use: cpu (default), cpu:0-3, cpu:groups=2, cpu,p100, edgetpu-pcie*4.", NULL,
     offsetof(struct plan_values, devices), 0, 0},
    {"objective", 0, CLI_TEXT, "WHAT",
     "throughput (default): most samples per second; latency: least time of one batch; "
     "latency-at-rate: least time of a sample at --rate; energy: least of a sample.",
     "throughput latency latency-at-rate energy", offsetof(struct plan_values, objective), 0, 0},
    {"batch", 'b', CLI_COUNT, "N", "Use this batch size (default: motley chooses).", NULL,
     offsetof(struct plan_values, batch), 1, 65536},
    CLI_OPTION_DIM(offsetof(struct plan_values, dims)),
    {"rate", 0, CLI_TEXT, "R", "Samples that arrive per second; with it latency-at-rate is meant.",
     NULL, offsetof(struct plan_values, rate), 0, 0},
    {"planner", 0, CLI_TEXT, "NAME",
     "auto (default: all that fit, best wins), single, groups, pipeline, exact, min-cut, metis, "
     "data (splits each batch), parameters and bisection (as the Edge TPU's vendor and libcoral "
     "split), profiled (measures the best few).",
     NULL, offsetof(struct plan_values, planner), 0, 0},
    {"ratio", 0, CLI_TEXT, "A/B",
     "Shares of the work that metis cuts by, in the order of -d: 75/25, 80/20, 85/15, 90/10, ….",
     NULL, offsetof(struct plan_values, ratio), 0, 0},
    {"no-replicas", 0, CLI_FLAG, NULL,
     "Of pipelines: every segment on one processor, none on several.", NULL,
     offsetof(struct plan_values, no_replicas), 0, 0},
    {"family", 0, CLI_FLAG, NULL,
     "Make a plan of several ways of running, each best up to a rate of arrivals.", NULL,
     offsetof(struct plan_values, family), 0, 0},
    {"all-splits", 0, CLI_FLAG, NULL,
     "Print every split of a batch (-b) over the processors with its times, as CSV or --json.",
     NULL, offsetof(struct plan_values, all_splits), 0, 0},
    {"step", 0, CLI_COUNT, "N", "With --all-splits: shares are multiples of N (default 1).", NULL,
     offsetof(struct plan_values, step), 1, 65536},
    {"output", 'o', CLI_FILE, "FILE", "Write the plan there (FILE.plan.json).", NULL,
     offsetof(struct plan_values, output), 0, 0},
    {"dot", 0, CLI_FILE_OR_STDOUT, "FILE",
     "Draw the plan for Graphviz (- is standard output, and nothing else is printed): segments by "
     "colour, their times, bytes that pass between them.",
     NULL, offsetof(struct plan_values, dot), 0, 0},
    {"contracted", 0, CLI_FLAG, NULL,
     "With --dot: one box per segment, as graphs of more than 300 nodes always have.", NULL,
     offsetof(struct plan_values, contracted), 0, 0},
    {"explain", 0, CLI_FLAG, NULL, "Print every candidate, not only the best ones.", NULL,
     offsetof(struct plan_values, explain), 0, 0},
    {"budget", 0, CLI_SECONDS, "SECONDS", "Time that measuring may take, if needed (default 40).",
     NULL, offsetof(struct plan_values, budget_ns), 0, 0},
    {"again", 0, CLI_FLAG, NULL, "Measure anew; what is stored is forgotten then.", NULL,
     offsetof(struct plan_values, again), 0, 0},
    {"costs", 0, CLI_FILE, "FILE", "Plan from this cost table instead of measuring.", NULL,
     offsetof(struct plan_values, costs), 0, 0},
    {"topology", 0, CLI_TEXT, "TEXT", "With --costs: plan for a synthetic box in hwloc's notation.",
     NULL, offsetof(struct plan_values, topology), 0, 0},
    {"keep-overridable", 0, CLI_FLAG, NULL, "Leave initialisers that are also inputs overridable.",
     NULL, offsetof(struct plan_values, keep_overridable), 0, 0},
};

/* Costs for other sizes of dimensions than those asked for are of no use. */
static enum mly_status check_dims(const char *path, const mly_cost_table *costs,
                                  const struct cli_box *box, const struct cli_dims *dims,
                                  const mly_model *model, struct mly_error *err)
{
    struct mly_cost_identity wanted;
    const struct mly_cost_identity *have = mly_cost_table_identity(costs);
    const struct mly_profile_options options = {.bindings = dims->items,
                                                .binding_count = dims->count};
    if (dims->count == 0)
        return MLY_OK;
    enum mly_status status = mly_profile_identity(model, box->machine, &options, &wanted, err);
    if (status == MLY_OK && strcmp(wanted.shapes, have->shapes) != 0)
        return mly_error_set(err, MLY_E_MISMATCH,
                             "%s: these costs were measured with other sizes of dimensions (%s) "
                             "than those asked for (%s)",
                             path, *have->shapes ? have->shapes : "all 1",
                             *wanted.shapes ? wanted.shapes : "all 1");
    return status;
}

/* What the plan is to be best at. */
struct aim {
    enum mly_objective objective;
    double rate_per_s;
};

/* A rate without an objective says which is meant. */
static enum mly_status read_aim(const struct plan_values *given, struct aim *out,
                                struct mly_error *err)
{
    struct aim aim = {.objective =
                          given->rate ? MLY_OBJECTIVE_LATENCY_AT_RATE : MLY_OBJECTIVE_THROUGHPUT};
    enum mly_status status =
        given->objective ? mly_objective_parse(given->objective, &aim.objective, err) : MLY_OK;
    if (status != MLY_OK)
        return status;
    if (given->rate) {
        char *end = NULL;
        aim.rate_per_s = strtod(given->rate, &end);
        if (*end != '\0' || !(aim.rate_per_s > 0 && aim.rate_per_s <= 1e12))
            return mly_error_set(err, MLY_E_INVALID,
                                 "--rate %.60s: a number of samples per second above 0 is needed",
                                 given->rate);
    }
    if ((aim.objective == MLY_OBJECTIVE_LATENCY_AT_RATE) != (aim.rate_per_s > 0))
        return mly_error_set(err, MLY_E_INVALID,
                             "the objective latency-at-rate and --rate belong together");
    *out = aim;
    return MLY_OK;
}

static bool not_interrupted(void *user)
{
    (void)user;
    return !atomic_load(cli_stop_flag());
}

static const struct mly_processor_list *processors_of(const struct cli_box *box)
{
    return box->processors.count ? &box->processors : NULL;
}

static struct mly_plan_request request_of(const struct plan_values *given,
                                          const struct cli_box *box, const mly_model *model,
                                          const struct aim *aim, const mly_cost_table *costs)
{
    return (struct mly_plan_request){.model = model,
                                     .machine = box->machine,
                                     .costs = costs,
                                     .objective = aim->objective,
                                     .batch = (uint32_t)given->batch,
                                     .groups = box->groups,
                                     .processors = processors_of(box),
                                     .rate_per_s = aim->rate_per_s,
                                     .no_replicas = given->no_replicas,
                                     .go_on = not_interrupted};
}

static enum mly_status plan_from_file(const struct cli_common *common,
                                      const struct plan_values *given, const struct cli_box *box,
                                      const struct cli_dims *dims, const mly_model *model,
                                      const struct aim *aim, mly_plan **out, struct mly_error *err)
{
    mly_cost_table *costs = NULL;
    enum mly_status status = mly_cost_table_load(given->costs, &costs, err);
    if (status != MLY_OK)
        return status;
    struct mly_plan_request request = request_of(given, box, model, aim, costs);
    const char *hash = NULL;
    request.costs_of_another = given->topology != NULL;
    status = mly_model_hash(model, &hash, err);
    if (status == MLY_OK && strcmp(hash, mly_cost_table_identity(costs)->model_hash) != 0)
        status = mly_error_set(
            err, MLY_E_MISMATCH,
            "%s: these costs belong to another model (%s, hash %.12s…; this one has %.12s…)",
            given->costs, mly_cost_table_identity(costs)->model_name,
            mly_cost_table_identity(costs)->model_hash, hash);
    if (status == MLY_OK)
        status = check_dims(given->costs, costs, box, dims, model, err);
    if (status == MLY_OK && request.costs_of_another)
        cli_remark(common, "what was measured on %s is taken for a box that is not here",
                   mly_cost_table_identity(costs)->host_description);
    if (status == MLY_OK)
        status = mly_plan_make(given->planner ? given->planner : "auto", &request, out, err);
    mly_cost_table_destroy(costs);
    return status;
}

static enum mly_status make_plan(const struct cli_common *common, const struct plan_values *given,
                                 const struct cli_box *box, const struct cli_dims *dims,
                                 mly_model *model, mly_plan **out, struct mly_error *err)
{
    struct aim aim = {0};
    enum mly_status status = read_aim(given, &aim, err);
    if (status != MLY_OK)
        return status;
    if (given->costs)
        return plan_from_file(common, given, box, dims, model, &aim, out, err);
    struct cli_measuring measuring;
    struct mly_decide_options options = {.planner = given->planner,
                                         .objective = aim.objective,
                                         .rate_per_s = aim.rate_per_s,
                                         .no_replicas = given->no_replicas,
                                         .batch = (uint32_t)given->batch,
                                         .groups = box->groups,
                                         .processors = processors_of(box),
                                         .budget_ns = given->budget_ns,
                                         .again = given->again,
                                         .dims = dims->items,
                                         .dim_count = dims->count,
                                         .progress = cli_measuring_progress,
                                         .remark = cli_measuring_remark,
                                         .user = &measuring};
    cli_measuring_begin(&measuring, common);
    status = mly_decide(model, box->machine, &options, out, err);
    cli_measuring_end(&measuring);
    return status;
}

/* The same costs as a family, in place of the plan. */
static enum mly_status make_family(const struct plan_values *given, const struct cli_box *box,
                                   const struct cli_dims *dims, const mly_model *model,
                                   mly_plan **plan, struct mly_error *err)
{
    struct aim aim = {0};
    mly_cost_table *costs = NULL;
    mly_plan *family = NULL;
    enum mly_status status = read_aim(given, &aim, err);
    if (status == MLY_OK)
        status = cli_plan_costs(given->costs, model, box->machine, dims->items, dims->count,
                                processors_of(box), &costs, err);
    if (status == MLY_OK) {
        const struct mly_plan_request request = request_of(given, box, model, &aim, costs);
        status = mly_plan_make_family(&request, &family, err);
    }
    mly_cost_table_destroy(costs);
    if (status == MLY_OK) {
        mly_plan_destroy(*plan);
        *plan = family;
    }
    return status;
}

static enum mly_status draw(const struct cli_common *common, const struct plan_values *given,
                            const struct cli_box *box, const struct cli_dims *dims,
                            const mly_model *model, const mly_plan *plan, struct mly_error *err)
{
    mly_cost_table *costs = NULL;
    enum mly_status status = cli_plan_costs(given->costs, model, box->machine, dims->items,
                                            dims->count, processors_of(box), &costs, err);
    if (status == MLY_OK)
        status = cli_plan_draw(common, plan, model, costs, dims->items, dims->count,
                               given->contracted, given->dot, err);
    mly_cost_table_destroy(costs);
    return status;
}

/* The times of smaller batches, as planner data has them measured; its plan is not asked for. */
static enum mly_status measure_curves(const struct cli_common *common,
                                      const struct plan_values *given, const struct cli_box *box,
                                      const struct cli_dims *dims, mly_model *model,
                                      struct mly_error *err)
{
    struct plan_values for_data = *given;
    mly_plan *plan = NULL;
    if (given->costs)
        return MLY_OK;
    for_data.planner = "data";
    enum mly_status status = make_plan(common, &for_data, box, dims, model, &plan, err);
    mly_plan_destroy(plan);
    return status;
}

static enum mly_status list_splits(const struct cli_common *common, const struct plan_values *given,
                                   const struct cli_box *box, const struct cli_dims *dims,
                                   mly_model *model, struct mly_error *err)
{
    const struct aim aim = {0};
    mly_cost_table *costs = NULL;
    enum mly_status status = measure_curves(common, given, box, dims, model, err);
    if (status == MLY_OK)
        status = cli_plan_costs(given->costs, model, box->machine, dims->items, dims->count,
                                processors_of(box), &costs, err);
    if (status == MLY_OK) {
        const struct mly_plan_request request = request_of(given, box, model, &aim, costs);
        status =
            cli_plan_print_splits(common, &request, given->step ? (uint32_t)given->step : 1, err);
    }
    mly_cost_table_destroy(costs);
    return status;
}

/* The figure that the objective ranks by, where samples per second and the batch time are not that. */
static bool has_own_figure(const mly_plan *plan)
{
    return plan->objective == MLY_OBJECTIVE_ENERGY ||
           plan->objective == MLY_OBJECTIVE_LATENCY_AT_RATE;
}

/* Columns: the first ones, that figure, samples per second and the batch time, the last ones. */
static void begin_ranking(struct cli_table *table, const mly_plan *plan, const char *first,
                          const char *last)
{
    char heads[160], own[64] = "";
    if (plan->objective == MLY_OBJECTIVE_ENERGY)
        snprintf(own, sizeof own, ">mJ/sample|");
    else if (plan->objective == MLY_OBJECTIVE_LATENCY_AT_RATE)
        snprintf(own, sizeof own, ">latency at %.6g/s|", plan->rate_per_s);
    snprintf(heads, sizeof heads, "%s|%s>samples/s|>batch time|%s", first, own, last);
    cli_table_init(table, heads);
}

static void put_figures(struct cli_table *table, const mly_plan *plan,
                        const struct mly_prediction *prediction)
{
    char number[CLI_NUMBER_BYTES];
    if (plan->objective == MLY_OBJECTIVE_ENERGY && prediction->energy_j > 0)
        cli_table_cell(table, "%.4g", prediction->energy_j * 1e3);
    else if (plan->objective == MLY_OBJECTIVE_ENERGY)
        cli_table_cell(table, "-");
    else if (has_own_figure(plan))
        cli_table_cell(table, "%s",
                       isfinite(prediction->loaded_latency_ns)
                           ? cli_time(prediction->loaded_latency_ns, number)
                           : "too slow");
    cli_table_cell(table, "%s", mly_rate_text(prediction->throughput_per_s, number));
    cli_table_cell(table, "%s", cli_time(prediction->latency_ns, number));
}

static void print_candidates(const mly_plan *plan, bool all)
{
    enum { SHOWN = 4 };
    struct cli_table table;
    char number[CLI_NUMBER_BYTES];
    begin_ranking(&table, plan, "|candidate|planner", ">memory|basis");
    for (uint32_t i = 0; i < plan->candidate_count; i++) {
        const struct mly_plan_candidate *candidate = &plan->candidates[i];
        if (!all && i >= SHOWN && !candidate->chosen && !candidate->baseline)
            continue;
        cli_table_cell(&table, "%s",
                       candidate->chosen     ? "chosen"
                       : candidate->baseline ? "baseline"
                                             : "");
        cli_table_cell(&table, "%s", candidate->description);
        cli_table_cell(&table, "%s", candidate->planner);
        put_figures(&table, plan, &candidate->prediction);
        cli_table_cell(&table, "%s",
                       candidate->prediction.memory_bytes > 0
                           ? cli_bytes(candidate->prediction.memory_bytes, number)
                           : "-");
        cli_table_cell(&table, "%s",
                       candidate->prediction.modelled   ? "modelled"
                       : candidate->prediction.measured ? "measured"
                                                        : "estimated");
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    if (!all && plan->candidate_count > SHOWN)
        printf("(%u candidates in all: --explain)\n", plan->candidate_count);
}

/* Who had a turn, what it promised, how long it took. */
static void print_runs(const mly_plan *plan)
{
    struct cli_table table;
    char number[CLI_NUMBER_BYTES];
    if (!plan->run_count)
        return;
    printf("\n");
    begin_ranking(&table, plan, "planner", ">took|result");
    for (uint32_t i = 0; i < plan->run_count; i++) {
        const struct mly_plan_run *run = &plan->runs[i];
        cli_table_cell(&table, "%s", run->planner);
        for (int k = has_own_figure(plan) ? 0 : 1; !run->made && k < 3; k++)
            cli_table_cell(&table, "-");
        if (run->made)
            put_figures(&table, plan, &run->prediction);
        cli_table_cell(&table, "%s", cli_time((double)run->elapsed_ns, number));
        cli_table_cell(&table, "%s", run->reason);
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

/* What no plan can beat, and how far this one is from it; nothing where that is not known. */
static void print_bound(const mly_plan *plan)
{
    char *text = mly_plan_bound_text(plan);
    if (!text || *text)
        printf("bound: %s\n", text ? text : "(memory is short)");
    mly_free(text);
}

static int report(const struct cli_common *common, const struct plan_values *given,
                  const mly_plan *plan)
{
    struct mly_error err = {0};
    if (common->json) {
        char *text = NULL;
        size_t length = 0;
        if (mly_plan_format(plan, &text, &length, &err) != MLY_OK)
            return cli_fail(&err);
        fwrite(text, 1, length, stdout);
        mly_free(text);
        return cli_finish_output();
    }
    char *line = mly_plan_describe(plan);
    char number[CLI_NUMBER_BYTES];
    printf("plan: %s\n", line ? line : "(memory is short)");
    mly_free(line);
    printf("why: %s\n", plan->why ? plan->why : "");
    char rate[MLY_RATE_TEXT_BYTES];
    printf("predicted: %s samples/s, %s per batch of %u",
           mly_rate_text(plan->prediction.throughput_per_s, rate),
           cli_time(plan->prediction.latency_ns, number), plan->batch);
    if (plan->prediction.loaded_latency_ns > 0)
        printf(", %s per sample at %.6g samples/s",
               cli_time(plan->prediction.loaded_latency_ns, number), plan->rate_per_s);
    if (plan->prediction.loaded_latency_ns > 0 && plan->batch > 1)
        printf(" (of that %s until its batch is full)",
               cli_time(1e9 * (plan->batch - 1) / (2 * plan->rate_per_s), number));
    if (plan->prediction.energy_j > 0)
        printf(", %.4g mJ per sample", plan->prediction.energy_j * 1e3);
    printf(" (%s)\n", plan->prediction.modelled   ? "modelled"
                      : plan->prediction.measured ? "from measurements of this configuration"
                                                  : "estimated");
    print_bound(plan);
    printf("\n");
    print_candidates(plan, given->explain);
    cli_plan_print_family(plan);
    if (given->explain)
        print_runs(plan);
    if (given->output && !common->quiet)
        printf("\nwritten to %s\n", given->output);
    return cli_finish_output();
}

/* A planner's name, and a ratio, that mean something. */
static enum mly_status check_planner(const struct plan_values *given, struct mly_error *err)
{
    double ratio[MLY_PLAN_RATIO_MAX];
    uint32_t count;
    enum mly_status status = MLY_OK;
    if (given->ratio)
        status = mly_plan_ratio_parse(given->ratio, ratio, &count, err);
    if (!status && given->planner && strcmp(given->planner, "profiled") != 0)
        status = mly_planner_check(given->planner, err);
    return status;
}

/* Options that would be of no effect beside another. */
static enum mly_status check_together(const struct plan_values *given, struct mly_error *err)
{
    const struct {
        bool given;
        const char *name;
        const char *beside; /* those of no effect beside it */
    } rows[] = {
        {given->planner, "--planner", "family all-splits"},
        {given->ratio, "--ratio", "family all-splits"},
        {given->no_replicas, "--no-replicas", "family all-splits"},
        {given->family, "--family", "all-splits"},
        {given->objective, "--objective", "all-splits"},
        {given->rate, "--rate", "all-splits"},
        {given->explain, "--explain", "all-splits"},
        {given->output, "--output", "all-splits"},
        {given->dot, "--dot", "all-splits"},
        {given->budget_ns != 0, "--budget", "costs"},
        {given->again, "--again", "costs"},
    };
    const struct {
        bool given;
        const char *name;
    } others[] = {{given->family, "family"},
                  {given->all_splits, "all-splits"},
                  {given->costs != NULL, "costs"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            if (rows[i].given && others[k].given && strstr(rows[i].beside, others[k].name))
                return mly_error_set(err, MLY_E_INVALID,
                                     "%s does nothing beside --%s: leave one of them out",
                                     rows[i].name, others[k].name);
    return MLY_OK;
}

/* What goes together and what does not; *planner is the one with its ratio. */
static enum mly_status check_usage(const struct plan_values *given, char planner[96],
                                   struct mly_error *err)
{
    if (given->topology && !given->costs)
        return mly_error_set(err, MLY_E_INVALID,
                             "--topology needs --costs: a box that is not here cannot be measured");
    if (given->ratio && given->planner && strcmp(given->planner, "metis") != 0)
        return mly_error_set(err, MLY_E_INVALID, "--ratio is for --planner metis, not %.40s",
                             given->planner);
    enum mly_status status = check_planner(given, err);
    if (!status)
        status = check_together(given, err);
    if (status)
        return status;
    if (given->all_splits && !given->batch)
        return mly_error_set(err, MLY_E_INVALID, "--all-splits needs the batch to be split: -b 10");
    if ((given->step && !given->all_splits) || (given->contracted && !given->dot))
        return mly_error_set(err, MLY_E_INVALID, "%s",
                             given->step && !given->all_splits ? "--step is for --all-splits"
                                                               : "--contracted is for --dot");
    if (given->ratio)
        snprintf(planner, 96, "metis:%.80s", given->ratio);
    struct aim aim;
    return read_aim(given, &aim, err);
}

/* A plan for a rate that it cannot take is no answer. */
static enum mly_status check_rate(const mly_plan *plan, struct mly_error *err)
{
    const struct mly_prediction *p = &plan->prediction;
    char rate[MLY_RATE_TEXT_BYTES];
    if (plan->objective != MLY_OBJECTIVE_LATENCY_AT_RATE || isfinite(p->loaded_latency_ns))
        return MLY_OK;
    char *line = mly_plan_describe(plan);
    (void)mly_error_set(
        err, MLY_E_LIMIT, "no plan that was found takes %.6g samples/s: the fastest takes %s (%s)",
        plan->rate_per_s, mly_rate_text(p->throughput_per_s, rate), line ? line : "");
    mly_free(line);
    return MLY_E_LIMIT;
}

static enum mly_status make(const struct cli_common *common, const struct plan_values *given,
                            const struct cli_box *box, const struct cli_dims *dims,
                            mly_model *model, mly_plan **plan, struct mly_error *err)
{
    cli_catch_interrupts();
    enum mly_status status = make_plan(common, given, box, dims, model, plan, err);
    if (status == MLY_OK)
        status = check_rate(*plan, err);
    if (status == MLY_OK && given->family)
        status = make_family(given, box, dims, model, plan, err);
    if (status == MLY_OK && !not_interrupted(NULL))
        status = mly_error_set(err, MLY_E_CANCELLED, "planning was interrupted");
    if (status == MLY_OK && given->output)
        status = mly_plan_save(*plan, given->output, err);
    if (status == MLY_OK && given->dot)
        status = draw(common, given, box, dims, model, *plan, err);
    return status;
}

static int run_plan(const struct cli_common *common, const void *values, char **operands,
                    size_t operand_count)
{
    (void)operand_count;
    struct plan_values given = *(const struct plan_values *)values;
    char planner[96];
    struct mly_error err = {0};
    struct cli_box box = {0};
    mly_model *model = NULL;
    mly_plan *plan = NULL;
    struct cli_dims dims = {0};
    int exit_status = CLI_EXIT_FAILED;
    enum mly_status status = check_usage(&given, planner, &err);
    if (status != MLY_OK)
        return cli_usage(&err);
    if (given.ratio)
        given.planner = planner;
    status = cli_dims_parse(&given.dims, &dims, &err);
    if (status == MLY_OK)
        status = cli_box_open(given.devices, given.topology, &box, &err);
    if (status == MLY_OK)
        status = cli_model_open(operands[0], given.keep_overridable, &model, &err);
    if (status == MLY_OK)
        status = given.all_splits ? list_splits(common, &given, &box, &dims, model, &err)
                                  : make(common, &given, &box, &dims, model, &plan, &err);
    if (status != MLY_OK)
        exit_status = status == MLY_E_INVALID && !model ? cli_usage(&err) : cli_fail(&err);
    else if (!plan || (given.dot && strcmp(given.dot, "-") == 0))
        exit_status = cli_finish_output();
    else
        exit_status = report(common, &given, plan);
    mly_plan_destroy(plan);
    mly_model_destroy(model);
    cli_box_close(&box);
    cli_dims_fini(&dims);
    return exit_status;
}

const struct cli_command cli_command_plan = {
    .name = "plan",
    .operands = "MODEL",
    .summary = "decide how to run a model on this box, and say why",
    .description = "Decides core groups, threads per group, spinning or blocking, and batch size. "
                   "Uses the stored measurements and measures what is missing. Prints the "
                   "decision, what it is predicted to give, the runner-up, and the baseline: the "
                   "whole model under the runtime's defaults.",
    .examples =
        "  motley plan googlenet.onnx -o googlenet.plan.json\n  motley plan googlenet.onnx "
        "--objective latency --explain\n  motley plan googlenet.onnx -d p100,xeon-e5-2683v4 "
        "--planner metis --ratio 80/20 --dot plan.dot\n  motley plan googlenet.onnx -d "
        "p100,xeon-e5-2683v4 -b 20 --all-splits --step 2\n",
    .options = plan_options,
    .option_count = sizeof plan_options / sizeof plan_options[0],
    .values_bytes = sizeof(struct plan_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_plan,
};
