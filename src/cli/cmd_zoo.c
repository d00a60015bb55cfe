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
     "List with published parameters and multiply-accumulates, and their source.", NULL,
     offsetof(struct zoo_values, table), 0, 0},
};

static int list_json(void)
{
    struct mly_json_writer json;
    mly_json_writer_init(&json, true);
    mly_json_begin_array(&json, NULL);
    for (size_t i = 0; i < mly_zoo_count(); i++) {
        const struct mly_zoo_entry *entry = mly_zoo_entry(i);
        mly_json_begin_object(&json, NULL);
        mly_json_put_string(&json, "name", entry->name);
        mly_json_put_string(&json, "summary", entry->summary);
        mly_json_put_bool(&json, "family", entry->is_family);
        mly_json_put_number(&json, "published_parameters", entry->published_parameters);
        mly_json_put_number(&json, "published_macs", entry->published_macs);
        mly_json_put_string(&json, "source", entry->source);
        mly_json_end_object(&json);
    }
    mly_json_end_array(&json);
    return cli_print_json(&json);
}

static int list_text(bool with_numbers)
{
    struct cli_table table;
    char number[CLI_NUMBER_BYTES];
    cli_table_init(&table,
                   with_numbers ? "network|>parameters|>MACs|source" : "network|what it is");
    for (size_t i = 0; i < mly_zoo_count(); i++) {
        const struct mly_zoo_entry *entry = mly_zoo_entry(i);
        cli_table_cell(&table, "%s", entry->name);
        if (with_numbers) {
            cli_table_cell(&table, "%s",
                           entry->published_parameters > 0
                               ? cli_count(entry->published_parameters, number)
                               : "-");
            cli_table_cell(&table, "%s",
                           entry->published_macs > 0 ? cli_count(entry->published_macs, number)
                                                     : "-");
            cli_table_cell(&table, "%s", entry->source);
        } else {
            cli_table_cell(&table, "%s", entry->summary);
        }
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    if (with_numbers)
        puts("Parameters and MACs (batch 1) are the published ones; `motley inspect` counts those "
             "of a file.");
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
    return common->json ? list_json() : list_text(given->table);
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
    .run = run_zoo,
};
