/* motley profile: measures a model on this box and keeps the cost table. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/stats.h"
#include "measuring.h"
#include "profile/profile.h"

struct profile_values {
    const char *devices;
    const char *batches;
    const char *output;
    int64_t budget_ns;
    struct cli_texts dims;
    bool no_nodes;
    bool again;
    bool nodes;
    bool keep_overridable;
};

static const struct cli_option profile_options[] = {
    {"devices", 'd', CLI_TEXT, "SPEC",
     "Processors to measure: cpu (default), cpu:0-3, cpu:groups=2.", NULL,
     offsetof(struct profile_values, devices), 0, 0},
    {"batches", 'b', CLI_TEXT, "LIST", "Batch sizes (default 1,2,4,8,16).", NULL,
     offsetof(struct profile_values, batches), 0, 0},
    CLI_OPTION_DIM(offsetof(struct profile_values, dims)),
    {"budget", 0, CLI_SECONDS, "SECONDS", "Time that all measuring may take (default 40).", NULL,
     offsetof(struct profile_values, budget_ns), 0, 0},
    {"again", 0, CLI_FLAG, NULL, "Measure anew; what is stored is forgotten then.", NULL,
     offsetof(struct profile_values, again), 0, 0},
    {"nodes", 'n', CLI_FLAG, NULL, "List the time of every node.", NULL,
     offsetof(struct profile_values, nodes), 0, 0},
    {"no-nodes", 0, CLI_FLAG, NULL, "Leave out the times of single nodes.", NULL,
     offsetof(struct profile_values, no_nodes), 0, 0},
    {"output", 'o', CLI_FILE, "FILE", "Write the cost table there too.", NULL,
     offsetof(struct profile_values, output), 0, 0},
    {"keep-overridable", 0, CLI_FLAG, NULL, "Leave initialisers that are also inputs overridable.",
     NULL, offsetof(struct profile_values, keep_overridable), 0, 0},
};

static bool on_progress(const struct mly_profile_progress *progress, void *user)
{
    return cli_measuring_progress(progress->fraction, progress->text, user);
}

static void describe(const struct mly_cost_config *config, char *text, size_t size)
{
    if (config->runtime_defaults)
        snprintf(text, size, "the runtime's defaults");
    else
        snprintf(text, size, "%u group%s x %u thread%s%s", config->groups,
                 config->groups == 1 ? "" : "s", config->threads, config->threads == 1 ? "" : "s",
                 config->threads == 1 ? ""
                 : config->spin       ? ", spinning"
                                      : ", blocking");
}

static int compare_entries(const void *a, const void *b)
{
    const struct mly_cost_config *x = &(*(const struct mly_cost_entry *const *)a)->config;
    const struct mly_cost_config *y = &(*(const struct mly_cost_entry *const *)b)->config;
    if (x->runtime_defaults != y->runtime_defaults)
        return x->runtime_defaults ? -1 : 1;
    if (x->groups != y->groups)
        return x->groups < y->groups ? -1 : 1;
    if (x->spin != y->spin)
        return x->spin ? 1 : -1;
    return (x->batch > y->batch) - (x->batch < y->batch);
}

static void print_models(const mly_cost_table *costs)
{
    size_t count = mly_cost_table_count(costs), kept = 0;
    const struct mly_cost_entry **entries = mly_alloc_array(count ? count : 1, sizeof *entries);
    if (!entries)
        return;
    for (size_t i = 0; i < count; i++)
        if (mly_cost_table_at(costs, i)->scope == MLY_COST_MODEL)
            entries[kept++] = mly_cost_table_at(costs, i);
    qsort(entries, kept, sizeof *entries, compare_entries);
    struct cli_table table;
    char number[CLI_NUMBER_BYTES];
    bool has_energy = false;
    for (size_t i = 0; i < kept; i++)
        has_energy = has_energy || entries[i]->energy_j > 0;
    cli_table_init(&table, has_energy ? "configuration|>batch|>samples/s|>batch time|>p10|>p90|"
                                        ">private memory|>mJ per sample"
                                      : "configuration|>batch|>samples/s|>batch time|>p10|>p90|"
                                        ">private memory");
    for (size_t i = 0; i < kept; i++) {
        char text[96];
        describe(&entries[i]->config, text, sizeof text);
        cli_table_cell(&table, "%s", text);
        cli_table_cell(&table, "%u", entries[i]->config.batch);
        cli_table_cell(&table, "%s", mly_rate_text(entries[i]->throughput_per_s, number));
        cli_table_cell(&table, "%s", cli_time(entries[i]->median_ns, number));
        cli_table_cell(&table, "%s", cli_time(entries[i]->p10_ns, number));
        cli_table_cell(&table, "%s", cli_time(entries[i]->p90_ns, number));
        cli_table_cell(&table, "%s",
                       entries[i]->memory_bytes > 0 ? cli_bytes(entries[i]->memory_bytes, number)
                                                    : "-");
        if (has_energy && entries[i]->energy_j > 0)
            cli_table_cell(&table, "%.4g", entries[i]->energy_j / entries[i]->config.batch * 1e3);
        else if (has_energy)
            cli_table_cell(&table, "-");
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    mly_free(entries);
}

static void print_nodes(const mly_cost_table *costs)
{
    struct cli_table table;
    char number[CLI_NUMBER_BYTES];
    cli_table_init(&table, "node|configuration|>batch|>time|>p10|>p90");
    for (size_t i = 0; i < mly_cost_table_count(costs); i++) {
        const struct mly_cost_entry *entry = mly_cost_table_at(costs, i);
        char text[96];
        if (entry->scope != MLY_COST_NODE)
            continue;
        describe(&entry->config, text, sizeof text);
        cli_table_cell(&table, "%s", entry->scope_id);
        cli_table_cell(&table, "%s", text);
        cli_table_cell(&table, "%u", entry->config.batch);
        cli_table_cell(&table, "%s", cli_time(entry->median_ns, number));
        cli_table_cell(&table, "%s", cli_time(entry->p10_ns, number));
        cli_table_cell(&table, "%s", cli_time(entry->p90_ns, number));
    }
    putchar('\n');
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

static void print_noise(const struct mly_cost_noise *noise)
{
    printf("noise of this box: a fixed 1 ms of work varies by %.1f %% (p10 to p90), its median is "
           "%.2f times its fastest",
           noise->relative_spread * 100, noise->slowdown);
    if (noise->steal_fraction >= 0)
        printf(", %.1f %% of the time went to other machines", noise->steal_fraction * 100);
    putchar('\n');
}

static int report(const struct cli_common *common, const struct profile_values *given,
                  mly_cost_table *costs, const char *stored)
{
    if (common->json) {
        /* The file form is the JSON form: print what is stored. */
        char *text = NULL;
        size_t length = 0;
        struct mly_error err = {0};
        if (mly_cost_table_format(costs, &text, &length, &err) != MLY_OK)
            return cli_fail(&err);
        fwrite(text, 1, length, stdout);
        mly_free(text);
        return cli_finish_output();
    }
    const struct mly_cost_identity *identity = mly_cost_table_identity(costs);
    printf("%s on %s with %s\n", identity->model_name, identity->host_description,
           identity->runtime);
    print_noise(mly_cost_table_noise(costs));
    putchar('\n');
    print_models(costs);
    if (given->nodes)
        print_nodes(costs);
    if (!common->quiet && stored)
        printf("\nstored in %s\n", stored);
    return cli_finish_output();
}

/* The spread of the configuration that gave most. */
static double best_spread(const mly_cost_table *costs)
{
    const struct mly_cost_entry *best = NULL, *entry;
    for (size_t i = 0; (entry = mly_cost_table_at(costs, i)); i++)
        if (entry->scope == MLY_COST_MODEL &&
            (!best || entry->throughput_per_s > best->throughput_per_s))
            best = entry;
    return best ? best->throughput_spread : 0;
}

static enum mly_status measure(const struct cli_common *common, const struct profile_values *given,
                               const struct cli_box *box, const struct mly_profile_options *options,
                               mly_model *model, mly_cost_table *costs, struct mly_error *err)
{
    struct cli_measuring measuring;
    struct mly_profile_options all = *options;
    uint32_t *batches = NULL;
    enum mly_status status = MLY_OK;
    if (given->batches)
        status = cli_parse_counts("batches", given->batches, &batches, &all.batch_count, err);
    if (status != MLY_OK)
        return status;
    all.nodes = !given->no_nodes;
    all.again = given->again;
    all.budget_ns = given->budget_ns;
    all.stop = cli_stop_flag();
    all.progress = on_progress;
    all.remark = cli_measuring_remark;
    all.user = &measuring;
    all.batches = batches;
    if (box->groups > 0) {
        all.group_counts = &box->groups;
        all.group_count_count = 1;
    }
    cli_catch_interrupts();
    cli_measuring_begin(&measuring, common);
    status = mly_profile_run(model, box->machine, &all, costs, err);
    cli_measuring_end(&measuring);
    mly_free(batches);
    char text[MLY_ERROR_MESSAGE_BYTES];
    if (status == MLY_OK && mly_profile_noise_remark(costs, best_spread(costs), text, sizeof text))
        cli_remark(common, "%s", text);
    return status;
}

static int run_profile(const struct cli_common *common, const void *values, char **operands,
                       size_t operand_count)
{
    (void)operand_count;
    const struct profile_values *given = values;
    struct mly_error err = {0};
    struct cli_box box = {0};
    struct cli_dims dims = {0};
    mly_model *model = NULL;
    mly_cost_table *costs = NULL;
    struct mly_cost_identity identity;
    char *word = NULL, *stored = NULL;
    int exit_status = CLI_EXIT_FAILED;
    enum mly_status status = cli_dims_parse(&given->dims, &dims, &err);
    struct mly_profile_options options = {.bindings = dims.items, .binding_count = dims.count};
    if (status == MLY_OK)
        status = cli_box_open(given->devices, NULL, &box, &err);
    if (status == MLY_OK)
        status = cli_model_open(operands[0], given->keep_overridable, &model, &err);
    if (status == MLY_OK)
        status = mly_profile_identity(model, box.machine, &options, &identity, &err);
    if (status == MLY_OK)
        status = mly_cost_store_open(&identity, &costs, &word, &err);
    /* Without a place to keep it nothing is kept, which the word says. */
    if (status == MLY_OK && mly_cost_store_path(&identity, &stored, NULL) != MLY_OK)
        stored = NULL;
    if (status == MLY_OK && word)
        cli_remark(common, "%s", word);
    if (status == MLY_OK)
        status = measure(common, given, &box, &options, model, costs, &err);
    struct mly_error save_err = {0};
    bool saved = false;
    if ((status == MLY_OK || status == MLY_E_CANCELLED) && mly_cost_table_count(costs) > 0) {
        saved = mly_cost_store_save(costs, &save_err) == MLY_OK;
        if (!saved && stored)
            cli_remark(common, "the measurements could not be stored: %s", save_err.message);
    }
    if (status == MLY_OK && given->output)
        status = mly_cost_table_save(costs, given->output, &err);
    if (status == MLY_E_CANCELLED) {
        if (saved)
            mly_error_set(
                &err, status,
                "interrupted: %zu measurements are kept in %s; the next run goes on from there",
                mly_cost_table_count(costs), stored);
        else if (mly_cost_table_count(costs) == 0)
            mly_error_set(&err, status, "interrupted: no round was finished, so nothing is kept");
        exit_status = cli_fail(&err);
    } else if (status != MLY_OK) {
        exit_status = status == MLY_E_INVALID && !model ? cli_usage(&err) : cli_fail(&err);
    } else {
        exit_status = report(common, given, costs, saved ? stored : NULL);
    }
    mly_free(stored);
    mly_free(word);
    mly_cost_table_destroy(costs);
    mly_model_destroy(model);
    cli_box_close(&box);
    cli_dims_fini(&dims);
    return exit_status;
}

const struct cli_command cli_command_profile = {
    .name = "profile",
    .operands = "MODEL",
    .summary = "measure a model on this box and keep the costs",
    .description = "Measures the noise of the box, then the model: the runtime's defaults and "
                   "every way of grouping the cores, with worker threads spinning or blocking, "
                   "for several batch sizes, all groups at once; and every node. Results are kept "
                   "per model, host and runtime version; "
                   "a later run measures only what is missing. Ctrl-C keeps what is done.",
    .examples = "  motley profile googlenet.onnx\n  motley profile googlenet.onnx -d cpu:groups=2 "
                "--batches 1,4 --budget 10\n",
    .options = profile_options,
    .option_count = sizeof profile_options / sizeof profile_options[0],
    .values_bytes = sizeof(struct profile_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_profile,
};
