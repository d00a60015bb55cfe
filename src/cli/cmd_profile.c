/* motley profile: measures a model on this box and keeps the cost table. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    {"again", 0, CLI_FLAG, NULL, "Measure anew; what is stored is forgotten when that is done.",
     NULL, offsetof(struct profile_values, again), 0, 0},
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

/* When, as people read it; "unknown" for 0. */
enum { WHEN_BYTES = 32 };
static char *when_text(int64_t unix_s, char text[WHEN_BYTES])
{
    time_t when = (time_t)unix_s;
    struct tm utc;
    snprintf(text, WHEN_BYTES, "unknown");
    if (unix_s > 0 && gmtime_r(&when, &utc))
        strftime(text, WHEN_BYTES, "%Y-%m-%d %H:%M:%S UTC", &utc);
    return text;
}

/* Are the rows of several measurings? */
static bool are_of_several(const struct mly_cost_times *times)
{
    return times->first_s != times->last_s || (times->unknown && times->last_s);
}

static void add_measuring(struct cli_table *table, const struct mly_cost_entry *entry)
{
    char when[WHEN_BYTES];
    cli_table_cell(table, "%s", when_text(entry->measured_s, when));
    if (entry->noise_spread > 0)
        cli_table_cell(table, "%.1f %%", entry->noise_spread * 100);
    else
        cli_table_cell(table, "unknown");
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
    char number[CLI_NUMBER_BYTES], heads[160];
    const struct mly_cost_times times = mly_cost_table_times(costs, MLY_COST_MODEL);
    const bool several = are_of_several(&times);
    bool has_energy = false;
    for (size_t i = 0; i < kept; i++)
        has_energy = has_energy || entries[i]->energy_j > 0;
    snprintf(heads, sizeof heads,
             "configuration|>batch|>samples/s|>batch time|>p10|>p90|>private memory%s%s",
             has_energy ? "|>mJ per sample" : "", several ? "|measured|>noise then" : "");
    cli_table_init(&table, heads);
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
        if (several)
            add_measuring(&table, entries[i]);
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    mly_free(entries);
    if (several)
        printf("\nrows of different times compare to a few per cent at best: --again measures all "
               "side by side\n");
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

/* Of the newest measuring, and of which that was if there are others. */
static void print_noise(const mly_cost_table *costs, const struct mly_cost_noise *noise)
{
    const struct mly_cost_times times = mly_cost_table_times(costs, MLY_COST_MODEL);
    char when[WHEN_BYTES];
    printf("noise of this box");
    if (are_of_several(&times))
        printf(" at %s", when_text(times.last_s, when));
    printf(": a fixed 1 ms of work varies by %.1f %% (p10 to p90), its median is "
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
    print_noise(costs, mly_cost_table_noise(costs));
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

/* Entries that were measured after the newest of before. */
static size_t count_new(const mly_cost_table *costs, int64_t before_s)
{
    const struct mly_cost_entry *entry;
    size_t count = 0;
    for (size_t i = 0; (entry = mly_cost_table_at(costs, i)); i++)
        count += entry->measured_s > before_s;
    return count;
}

static int64_t newest_s(const mly_cost_table *costs)
{
    const struct mly_cost_entry *entry;
    int64_t newest = 0;
    for (size_t i = 0; (entry = mly_cost_table_at(costs, i)); i++)
        if (entry->measured_s > newest)
            newest = entry->measured_s;
    return newest;
}

/* What an interruption left of this run, and where. */
static void say_interrupted(const mly_cost_table *costs, bool again, size_t fresh,
                            const char *stored, struct mly_error *err)
{
    const size_t count = mly_cost_table_count(costs), old = count - fresh;
    const char *plural = fresh == 1 ? " is" : "s are";
    char before[96] = "";
    if (old > 0)
        snprintf(before, sizeof before, "; %zu measurement%s of before stay%s as %s", old,
                 old == 1 ? "" : "s", old == 1 ? "s" : "", old == 1 ? "it was" : "they were");
    if (fresh == 0)
        mly_error_set(err, MLY_E_CANCELLED,
                      "interrupted: no round was finished, so nothing new is kept%s", before);
    else if (!stored)
        mly_error_set(err, MLY_E_CANCELLED,
                      "interrupted: %zu measurement%s done, but could not be kept", fresh,
                      fresh == 1 ? " was" : "s were");
    else if (again && old > 0)
        mly_error_set(err, MLY_E_CANCELLED,
                      "interrupted: %zu new measurement%s kept in %s%s (--again measures all "
                      "side by side)",
                      fresh, plural, stored, before);
    else
        mly_error_set(err, MLY_E_CANCELLED,
                      "interrupted: %zu new measurement%s kept in %s%s; the next run goes on "
                      "from there",
                      fresh, plural, stored, before);
}

static enum mly_status measure(const struct cli_common *common, const struct profile_values *given,
                               const struct cli_box *box, const struct mly_profile_options *options,
                               mly_model *model, mly_cost_table *costs, struct mly_error *err)
{
    struct cli_measuring measuring;
    struct mly_profile_options all = *options;
    all.nodes = !given->no_nodes;
    all.again = given->again;
    all.budget_ns = given->budget_ns;
    all.stop = cli_stop_flag();
    all.progress = on_progress;
    all.remark = cli_measuring_remark;
    all.user = &measuring;
    if (box->groups > 0) {
        all.group_counts = &box->groups;
        all.group_count_count = 1;
    }
    cli_catch_interrupts();
    cli_measuring_begin(&measuring, common);
    enum mly_status status = mly_profile_run(model, box->machine, &all, costs, err);
    cli_measuring_end(&measuring);
    char text[MLY_ERROR_MESSAGE_BYTES];
    if (status == MLY_OK && mly_profile_noise_remark(costs, best_spread(costs), text, sizeof text))
        cli_remark(common, "%s", text);
    return status;
}

static bool is_core_group(const struct mly_processor *processor)
{
    return strcmp(processor->kind, "cpu") == 0 && !processor->modelled;
}

/* Nothing but core groups can be measured: refuses where there are none, and says what is left out. */
static enum mly_status check_processors(const struct cli_common *common,
                                        const struct profile_values *given,
                                        const struct cli_box *box, struct mly_error *err)
{
    const struct mly_processor_list *list = &box->processors;
    char names[256] = "";
    size_t cores = 0, length = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (is_core_group(&list->items[i]))
            cores++;
        else if (length < sizeof names)
            length += (size_t)snprintf(names + length, sizeof names - length, "%s%s",
                                       length ? ", " : "", list->items[i].id);
    }
    if (!length)
        return MLY_OK;
    if (!cores)
        return mly_error_set(err, MLY_E_INVALID,
                             "-d %s: nothing of it can be measured: core groups are measured, and "
                             "modelled processors take what their device files say (motley plan "
                             "-d %s uses that)",
                             given->devices, given->devices);
    cli_remark(common,
               "not measured: %s; core groups are measured, and modelled processors take what "
               "their device files say",
               names);
    return MLY_OK;
}

/* Measures into the store: the table in it, and what else there is to say. */
static int profile_into(const struct cli_common *common, const struct profile_values *given,
                        const struct cli_box *box, const struct mly_profile_options *options,
                        mly_model *model, const struct mly_cost_identity *identity,
                        mly_cost_table *costs)
{
    struct mly_error err = {0}, save_err = {0};
    char *stored = NULL;
    const int64_t before_s = newest_s(costs);
    /* Without a place to keep it nothing is kept, which was said. */
    if (mly_cost_store_path(identity, &stored, NULL) != MLY_OK)
        stored = NULL;
    enum mly_status status = measure(common, given, box, options, model, costs, &err);
    const size_t fresh = count_new(costs, before_s);
    bool saved = status == MLY_OK && stored;
    if ((status == MLY_OK || status == MLY_E_CANCELLED) && fresh > 0) {
        saved = mly_cost_store_save(costs, &save_err) == MLY_OK;
        if (!saved && stored)
            cli_remark(common, "the measurements could not be stored: %s", save_err.message);
    }
    if (status == MLY_OK && given->output)
        status = mly_cost_table_save(costs, given->output, &err);
    if (status == MLY_E_CANCELLED)
        say_interrupted(costs, given->again, fresh, saved ? stored : NULL, &err);
    const int exit_status =
        status == MLY_OK ? report(common, given, costs, saved ? stored : NULL) : cli_fail(&err);
    mly_free(stored);
    return exit_status;
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
    uint32_t *batches = NULL;
    char *word = NULL;
    int exit_status = CLI_EXIT_FAILED;
    enum mly_status status = cli_dims_parse(&given->dims, &dims, &err);
    struct mly_profile_options options = {.bindings = dims.items, .binding_count = dims.count};
    if (status == MLY_OK && given->batches)
        status = cli_parse_counts("batches", given->batches, &batches, &options.batch_count, &err);
    options.batches = batches;
    if (status == MLY_OK)
        status = cli_box_open(given->devices, NULL, &box, &err);
    if (status == MLY_OK)
        status = check_processors(common, given, &box, &err);
    if (status == MLY_OK)
        status = cli_model_open(operands[0], given->keep_overridable, &model, &err);
    if (status == MLY_OK)
        status = mly_profile_identity(model, box.machine, &options, &identity, &err);
    if (status == MLY_OK)
        status = mly_cost_store_open(&identity, &costs, &word, &err);
    if (status == MLY_OK && word)
        cli_remark(common, "%s", word);
    if (status == MLY_OK)
        exit_status = profile_into(common, given, &box, &options, model, &identity, costs);
    else
        exit_status = status == MLY_E_INVALID && !model ? cli_usage(&err) : cli_fail(&err);
    mly_free(word);
    mly_free(batches);
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
                   "a later run measures only what is missing, and rows of different times say so. "
                   "Ctrl-C keeps every row that had a round; small batches come first. Modelled "
                   "processors are not measured.",
    .examples = "  motley profile googlenet.onnx\n  motley profile googlenet.onnx -d cpu:groups=2 "
                "--batches 1,4 --budget 10\n",
    .options = profile_options,
    .option_count = sizeof profile_options / sizeof profile_options[0],
    .values_bytes = sizeof(struct profile_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_profile,
};
