/* motley bench: lists the experiments, or runs some and keeps what they find. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "bench/bench.h"
#include "device/modelled.h"
#include "internal.h"

struct bench_values {
    const char *output;
    const char *devices;
    const char *published;
    bool quick;
    bool all;
};

static const struct cli_option bench_options[] = {
    {"output", 'o', CLI_FILE, "DIR",
     "Write results there: NAME.result.json, a CSV for each table, and figures (SVG) where gnuplot "
     "is installed.",
     NULL, offsetof(struct bench_values, output), 0, 0},
    {"devices", 'd', CLI_TEXT, "SPEC",
     "Processors, for experiments that take them (the list says which, and their defaults).", NULL,
     offsetof(struct bench_values, devices), 0, 0},
    {"quick", 0, CLI_FLAG, NULL, "A few sizes only, for a look.", NULL,
     offsetof(struct bench_values, quick), 0, 0},
    {"all", 0, CLI_FLAG, NULL, "Print the rows of all tables, not only of those for reading.", NULL,
     offsetof(struct bench_values, all), 0, 0},
    {"published", 0, CLI_FILE, "DIR",
     "Compare with all of the authors' tables, from a copy of their repository, instead of the "
     "rows "
     "that motley quotes.",
     NULL, offsetof(struct bench_values, published), 0, 0},
};

/* --- without names --- */

static int list_json(void)
{
    struct mly_json_writer json;
    const struct mly_experiment *e;
    mly_json_writer_init(&json, true);
    mly_json_begin_array(&json, NULL);
    for (size_t i = 0; (e = mly_experiment_at(i)); i++) {
        mly_json_begin_object(&json, NULL);
        mly_json_put_string(&json, "name", e->name);
        mly_json_put_string(&json, "summary", e->summary);
        mly_json_put_string(&json, "source", e->source);
        mly_json_put_string(&json, "numbers", e->numbers);
        mly_json_put_string(&json, "processors", e->processors);
        mly_json_end_object(&json);
    }
    mly_json_end_array(&json);
    return cli_print_json(&json);
}

static int list_text(void)
{
    struct cli_table table;
    const struct mly_experiment *e;
    cli_table_init(&table, "experiment|what it does|numbers|-d|re-creates");
    for (size_t i = 0; (e = mly_experiment_at(i)); i++) {
        cli_table_cell(&table, "%s", e->name);
        cli_table_cell(&table, "%s", e->summary);
        cli_table_cell(&table, "%s", e->numbers);
        cli_table_cell(&table, "%s", e->processors ? e->processors : "-");
        cli_table_cell(&table, "%s", e->source);
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    return cli_finish_output();
}

/* --- with names --- */

struct session {
    const struct cli_common *common;
    const struct bench_values *given;
    mly_machine *machine;
    struct cli_progress progress;
    size_t done, total;
    struct mly_json_writer json;
};

static void on_progress(void *user, double fraction, const char *what)
{
    struct session *s = user;
    cli_progress_update(&s->progress, ((double)s->done + fraction) / (double)s->total, what);
}

static enum mly_status unknown_experiment(const char *name, struct mly_error *err)
{
    char *names = mly_experiment_names();
    enum mly_status status =
        mly_error_set(err, MLY_E_INVALID, "there is no experiment '%.60s'; there are %s", name,
                      names ? names : "others");
    mly_free(names);
    return status;
}

/* Before anything runs: that would be waited for in vain. */
static enum mly_status check_usage(const struct session *s, char **names, size_t count,
                                   struct mly_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct mly_experiment *experiment = mly_experiment_find(names[i]);
        if (!experiment)
            return unknown_experiment(names[i], err);
        if (s->given->devices && !experiment->processors)
            return mly_error_set(err, MLY_E_INVALID, "-d %s: %s takes no processors",
                                 s->given->devices, names[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(names[i], names[k]) == 0)
                return mly_error_set(err, MLY_E_INVALID, "experiment %s is named twice", names[i]);
    }
    return MLY_OK;
}

static enum mly_status save(const struct session *s, const mly_result *result,
                            struct mly_error *err)
{
    char *word = NULL;
    enum mly_status status = mly_result_save(result, s->given->output, &word, err);
    if (word)
        cli_remark(s->common, "%s", word);
    mly_free(word);
    return status;
}

static void show(struct session *s, const mly_result *result)
{
    size_t hidden = 0;
    if (s->common->json) {
        mly_result_put_json(result, NULL, &s->json);
        return;
    }
    mly_result_print(result, s->given->all, &hidden, stdout);
    if (hidden > 0)
        printf("\n%zu more rows: %s\n", hidden,
               s->given->output ? "in the CSV files" : "--all prints them, -o DIR keeps them");
    if (s->done + 1 < s->total)
        putchar('\n');
    fflush(stdout);
}

static enum mly_status run_one(struct session *s, const char *name, struct mly_error *err)
{
    const struct mly_bench_options options = {.machine = s->machine,
                                              .processors = s->given->devices,
                                              .quick = s->given->quick,
                                              .published = s->given->published,
                                              .stop = cli_stop_flag(),
                                              .progress = on_progress,
                                              .user = s};
    mly_result *result = NULL;
    cli_progress_begin(&s->progress, s->common);
    enum mly_status status = mly_experiment_run(mly_experiment_find(name), &options, &result, err);
    cli_progress_end(&s->progress);
    if (status == MLY_OK && s->given->output)
        status = save(s, result, err);
    if (status == MLY_OK)
        show(s, result);
    mly_result_destroy(result);
    return status;
}

/* Experiments that are done stay done, whatever becomes of the others. */
static enum mly_status run_all(struct session *s, char **names, struct mly_error *err)
{
    char *word = NULL;
    enum mly_status status = mly_machine_create(NULL, &s->machine, err);
    if (status == MLY_OK)
        status = mly_device_models_load(&word, err);
    if (word)
        cli_remark(s->common, "%s", word);
    mly_free(word);
    if (status == MLY_OK && s->given->output)
        status = mly_dir_create(s->given->output, err);
    for (s->done = 0; s->done < s->total && status == MLY_OK; s->done++)
        status = run_one(s, names[s->done], err);
    mly_machine_destroy(s->machine);
    return status;
}

static int run_bench(const struct cli_common *common, const void *values, char **operands,
                     size_t operand_count)
{
    struct session s = {.common = common, .given = values, .total = operand_count};
    struct mly_error err = {0};
    if (operand_count == 0)
        return common->json ? list_json() : list_text();
    enum mly_status status = check_usage(&s, operands, operand_count, &err);
    if (status != MLY_OK)
        return cli_usage(&err);
    cli_catch_interrupts();
    mly_json_writer_init(&s.json, true);
    mly_json_begin_array(&s.json, NULL);
    status = run_all(&s, operands, &err);
    mly_json_end_array(&s.json);
    int exit_status = status == MLY_OK ? CLI_EXIT_OK : CLI_EXIT_FAILED;
    if (common->json && (status == MLY_OK || status == MLY_E_CANCELLED))
        exit_status = cli_print_json(&s.json) == CLI_EXIT_OK ? exit_status : CLI_EXIT_FAILED;
    else
        mly_json_writer_fini(&s.json);
    if (status == MLY_E_INVALID)
        return cli_usage(&err);
    if (status != MLY_OK)
        return cli_fail(&err);
    return common->json ? exit_status : cli_finish_output();
}

static const char *experiment_at(size_t index)
{
    const struct mly_experiment *experiment = mly_experiment_at(index);
    return experiment ? experiment->name : NULL;
}

const struct cli_command cli_command_bench = {
    .name = "bench",
    .operands = "[EXPERIMENT...]",
    .summary = "the papers' tables and figures, on this box or modelled",
    .description =
        "Without names lists the experiments; with names runs them, one after the other. Every "
        "number says whether it was measured here, is modelled, or was published by others. "
        "Interrupted, the experiments that had ended are kept, and no file is half written.",
    .examples = "  motley bench\n  motley bench tpu-capacity --quick\n  motley bench tpu-pipeline "
                "tpu-profiled -o results\n",
    .options = bench_options,
    .option_count = sizeof bench_options / sizeof bench_options[0],
    .values_bytes = sizeof(struct bench_values),
    .max_operands = 64,
    .operand_at = experiment_at,
    .run = run_bench,
};
