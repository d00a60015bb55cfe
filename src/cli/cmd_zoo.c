/* motley zoo: lists the papers' networks, or writes one as an ONNX file. */
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "internal.h"
#include "model/zoo.h"

struct zoo_values {
    const char *output;
    bool table;
};

static const struct cli_option zoo_options[] = {
    {"output", 'o', CLI_FILE, "FILE", "Where to write the network (default: NAME.onnx).", NULL,
     offsetof(struct zoo_values, output), 0, 0},
    {"table", 0, CLI_FLAG, NULL,
     "List with parameters and multiply-accumulates, counted and published, and the source.", NULL,
     offsetof(struct zoo_values, table), 0, 0},
};

/* Counts of an entry; families have them only with a number. */
static bool counts_of(const struct mly_zoo_entry *entry, struct mly_zoo_measures *out)
{
    struct mly_error err;
    return !entry->is_family && mly_zoo_measure(entry->name, out, &err) == MLY_OK;
}

static int list_json(void)
{
    struct mly_json_writer json;
    struct mly_zoo_measures counted;
    mly_json_writer_init(&json, true);
    mly_json_begin_array(&json, NULL);
    for (size_t i = 0; i < mly_zoo_count(); i++) {
        const struct mly_zoo_entry *entry = mly_zoo_entry(i);
        mly_json_begin_object(&json, NULL);
        mly_json_put_string(&json, "name", entry->name);
        mly_json_put_string(&json, "summary", entry->summary);
        mly_json_put_bool(&json, "family", entry->is_family);
        mly_json_put_string(&json, "numbers", entry->numbers);
        if (counts_of(entry, &counted)) {
            mly_json_put_number(&json, "parameters", counted.parameters);
            mly_json_put_number(&json, "macs", counted.macs);
        }
        mly_json_put_number(&json, "published_parameters", entry->published_parameters);
        mly_json_put_number(&json, "published_macs", entry->published_macs);
        mly_json_put_string(&json, "source", entry->source);
        mly_json_put_string(&json, "note", entry->note);
        mly_json_end_object(&json);
    }
    mly_json_end_array(&json);
    return cli_print_json(&json);
}

static void count_cell(struct cli_table *table, double count)
{
    char number[CLI_NUMBER_BYTES];
    cli_table_cell(table, "%s", count > 0 ? cli_count(count, number) : "-");
}

static int list_numbers(void)
{
    struct cli_table table;
    cli_table_init(&table, "network|>parameters|>published|>MACs|>published|source");
    for (size_t i = 0; i < mly_zoo_count(); i++) {
        const struct mly_zoo_entry *entry = mly_zoo_entry(i);
        struct mly_zoo_measures counted = {0};
        counts_of(entry, &counted);
        cli_table_cell(&table, "%s", entry->name);
        count_cell(&table, counted.parameters);
        count_cell(&table, entry->published_parameters);
        count_cell(&table, counted.macs);
        count_cell(&table, entry->published_macs);
        cli_table_cell(&table, "%s%s%s", entry->source, entry->note ? "; " : "",
                       entry->note ? entry->note : "");
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    puts("Counted from the definitions, batch 1, batch normalisation folded; published as the "
         "source has it.");
    return cli_finish_output();
}

static int list_text(void)
{
    struct cli_table table;
    cli_table_init(&table, "network|what it is");
    for (size_t i = 0; i < mly_zoo_count(); i++) {
        const struct mly_zoo_entry *entry = mly_zoo_entry(i);
        cli_table_cell(&table, "%s", entry->name);
        cli_table_cell(&table, "%s%s%s%s", entry->summary, entry->numbers ? " (" : "",
                       entry->numbers ? entry->numbers : "", entry->numbers ? ")" : "");
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    return cli_finish_output();
}

static int write_network(const struct cli_common *common, const char *name, const char *output)
{
    struct mly_error err = {0};
    struct stat info;
    char size[CLI_NUMBER_BYTES];
    char *path = output ? mly_strdup(output) : mly_strfmt("%s.onnx", name);
    int64_t start = mly_now_ns();
    enum mly_status status = path ? mly_zoo_write(name, path, &err)
                                  : mly_error_set(&err, MLY_E_NO_MEMORY, "memory is short");
    if (status != MLY_OK) {
        mly_free(path);
        return cli_fail(&err);
    }
    uint64_t bytes = stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
    int exit_status = CLI_EXIT_OK;
    if (common->json) {
        struct mly_json_writer json;
        mly_json_writer_init(&json, true);
        mly_json_begin_object(&json, NULL);
        mly_json_put_string(&json, "name", name);
        mly_json_put_string(&json, "path", path);
        mly_json_put_int(&json, "bytes", (int64_t)bytes);
        mly_json_end_object(&json);
        exit_status = cli_print_json(&json);
    } else {
        cli_remark(common, "wrote %s: %s, seeded weights, %.1f s", path,
                   cli_bytes((double)bytes, size), (double)(mly_now_ns() - start) / 1e9);
    }
    mly_free(path);
    return exit_status;
}

static int run_zoo(const struct cli_common *common, const void *values, char **operands,
                   size_t operand_count)
{
    const struct zoo_values *given = values;
    if (operand_count > 0)
        return write_network(common, operands[0], given->output);
    if (common->json)
        return list_json();
    return given->table ? list_numbers() : list_text();
}

/* One network of a family is named by its number, which completion does not know. */
static const char *network_at(size_t index)
{
    for (size_t i = 0; i < mly_zoo_count(); i++)
        if (!mly_zoo_entry(i)->is_family && index-- == 0)
            return mly_zoo_entry(i)->name;
    return NULL;
}

const struct cli_command cli_command_zoo = {
    .name = "zoo",
    .operands = "[NAME]",
    .summary = "list or write the papers' networks",
    .description = "Without a name lists the networks of the papers; with one writes it as an ONNX "
                   "file with a free batch size. Weights are seeded, "
                   "so the file is the same, byte for byte, on every box; they are not trained.",
    .examples = "  motley zoo\n  motley zoo googlenet -o googlenet.onnx\n",
    .options = zoo_options,
    .option_count = sizeof zoo_options / sizeof zoo_options[0],
    .values_bytes = sizeof(struct zoo_values),
    .max_operands = 1,
    .operand_at = network_at,
    .run = run_zoo,
};
