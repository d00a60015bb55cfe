/* motley split: writes the segments of a model as ONNX files. */
#include <string.h>

#include "base/alloc.h"
#include "internal.h"
#include "model/split.h"
#include "plan/plan.h"

struct split_values {
    struct cli_texts at;
    uint64_t parts;
    const char *plan;
    const char *output;
    uint64_t batch;
    bool anywhere;
    bool link;
    bool keep_overridable;
};

static const struct cli_option split_options[] = {
    {"at", 0, CLI_REPEAT, "TENSOR,…",
     "Cut after these tensors; one after another they make several cuts, side by side one.", NULL,
     offsetof(struct split_values, at), 0, 0},
    {"parts", 0, CLI_COUNT, "K",
     "Cut into K parts of about equal arithmetic where the least crosses.", NULL,
     offsetof(struct split_values, parts), 1, MLY_CUT_PARTS_MAX},
    {"plan", 0, CLI_FILE, "FILE", "Cut as this plan does.", NULL,
     offsetof(struct split_values, plan), 0, 0},
    {"output", 'o', CLI_FILE, "DIR", "Folder to make (or an empty one) for the segments.", NULL,
     offsetof(struct split_values, output), 0, 0},
    {"anywhere", 0, CLI_FLAG, NULL, "Cut inside what the runtime would compute as one, too.", NULL,
     offsetof(struct split_values, anywhere), 0, 0},
    {"link", 0, CLI_FLAG, NULL,
     "Weights stay in the model's own files, hard-linked into DIR, instead of being copied.", NULL,
     offsetof(struct split_values, link), 0, 0},
    {"batch", 'b', CLI_COUNT, "N",
     "Batch size that sizes are given for (default 1, or the model's own).", NULL,
     offsetof(struct split_values, batch), 1, 65536},
    {"keep-overridable", 0, CLI_FLAG, NULL, "Leave initialisers that are also inputs overridable.",
     NULL, offsetof(struct split_values, keep_overridable), 0, 0},
};

/* What is to be released at the end. */
struct splitting {
    mly_model *model;
    struct mly_shape *shapes;
    uint32_t *part_of_node;
    struct mly_split_part *parts;
    struct mly_split split;
    struct cli_progress progress;
};

/* Names between commas; a tensor whose own name has commas in it is taken whole. */
static enum mly_status list_names(const struct mly_graph *graph, const struct cli_texts *texts,
                                  char ***names, size_t *count, struct mly_error *err)
{
    size_t capacity = 0;
    for (size_t i = 0; i < texts->count; i++) {
        const char *at = texts->items[i];
        const bool whole = mly_graph_find_tensor(graph, at) != MLY_NO_INDEX;
        while (at) {
            const size_t length = whole ? strlen(at) : strcspn(at, ",");
            if (mly_array_reserve(names, &capacity, *count + 1, sizeof **names) != 0)
                return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
            (*names)[*count] = mly_strndup(at, length);
            if (!(*names)[(*count)++])
                return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
            at = at[length] ? at + length + 1 : NULL;
        }
    }
    return MLY_OK;
}

static enum mly_status cut_at(const struct split_values *given, struct splitting *it,
                              enum mly_cut_rule rule, struct mly_error *err)
{
    char **names = NULL;
    size_t count = 0;
    const struct mly_graph *graph = mly_model_graph(it->model);
    enum mly_status status = list_names(graph, &given->at, &names, &count, err);
    if (status == MLY_OK)
        status = mly_cut_at(graph, rule, (const char *const *)names, count, it->part_of_node,
                            &it->split.part_count, err);
    for (size_t i = 0; i < count; i++)
        mly_free(names[i]);
    mly_free(names);
    return status;
}

/* The plan must be for this model, and its segments must have each node once. */
static enum mly_status take_plan(struct splitting *it, const mly_plan *plan, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(it->model);
    const char *hash;
    enum mly_status status = mly_model_hash(it->model, &hash, err);
    if (status != MLY_OK)
        return status;
    if (strcmp(hash, plan->model_hash) != 0)
        return mly_error_set(err, MLY_E_MISMATCH,
                             "the plan is for another model (%s, hash %.12s…; this one has %.12s…)",
                             plan->model_name, plan->model_hash, hash);
    for (uint32_t i = 0; i < graph->node_count; i++)
        it->part_of_node[i] = MLY_NO_INDEX;
    for (uint32_t s = 0; s < plan->segment_count; s++) {
        const struct mly_plan_segment *segment = &plan->segments[s];
        const bool all = segment->node_count == 0;
        for (uint32_t k = 0; k < (all ? graph->node_count : segment->node_count); k++) {
            const uint32_t node = all ? k : segment->nodes[k];
            if (node >= graph->node_count || it->part_of_node[node] != MLY_NO_INDEX)
                return mly_error_set(err, MLY_E_INVALID,
                                     "segments[%u].nodes: node %u is not there, or in another "
                                     "segment as well",
                                     s, node);
            it->part_of_node[node] = s;
        }
    }
    for (uint32_t i = 0; i < graph->node_count; i++)
        if (it->part_of_node[i] == MLY_NO_INDEX)
            return mly_error_set(err, MLY_E_INVALID, "no segment has node %u (%s)", i,
                                 graph->nodes[i].label);
    it->split.part_count = plan->segment_count;
    return MLY_OK;
}

static enum mly_status cut_by_plan(const char *path, struct splitting *it, struct mly_error *err)
{
    mly_plan *plan = NULL;
    enum mly_status status = mly_plan_load(path, &plan, err);
    if (status != MLY_OK)
        return status;
    status = take_plan(it, plan, err);
    mly_plan_destroy(plan);
    return status == MLY_OK ? status : mly_error_prefix(err, status, "%s", path);
}

static enum mly_status choose(const struct split_values *given, struct splitting *it,
                              struct mly_error *err)
{
    const enum mly_cut_rule rule = given->anywhere ? MLY_CUT_ANYWHERE : MLY_CUT_BETWEEN_PATTERNS;
    if (given->at.count > 0)
        return cut_at(given, it, rule, err);
    if (given->plan)
        return cut_by_plan(given->plan, it, err);
    it->split.part_count = (uint32_t)given->parts;
    return mly_cut_balanced(mly_model_graph(it->model), rule, it->shapes, (uint32_t)given->parts,
                            it->part_of_node, err);
}

static bool go_on(uint32_t written, void *user)
{
    struct splitting *it = user;
    char text[64];
    snprintf(text, sizeof text, "segment %u of %u", written + 1, it->split.part_count);
    cli_progress_update(&it->progress, (double)written / it->split.part_count, text);
    return !atomic_load(cli_stop_flag());
}

static enum mly_status open_model(const struct split_values *given, const char *path,
                                  struct splitting *it, struct mly_error *err)
{
    enum mly_status status = cli_model_open(path, given->keep_overridable, &it->model, err);
    if (status != MLY_OK)
        return status;
    const struct mly_graph *graph = mly_model_graph(it->model);
    const int64_t fixed = mly_model_fixed_batch(it->model);
    it->shapes = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *it->shapes);
    it->part_of_node = mly_alloc_array((size_t)graph->node_count + 1, sizeof *it->part_of_node);
    if (!it->shapes || !it->part_of_node)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    it->split = (struct mly_split){.model = it->model,
                                   .part_of_node = it->part_of_node,
                                   .shapes = it->shapes,
                                   .batch = given->batch ? (int64_t)given->batch
                                            : fixed      ? fixed
                                                         : 1,
                                   .link_weights = given->link,
                                   .go_on = go_on,
                                   .user = it};
    return mly_graph_bind(it->model, it->split.batch, NULL, 0, it->shapes, err);
}

/* Bytes that cross on one side; *unknown: some are not known. */
static double sum_bytes(const struct splitting *it, const uint32_t *tensors, uint32_t count,
                        bool *unknown)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        double bytes = mly_cut_tensor_bytes(mly_model_graph(it->model), it->shapes, tensors[i]);
        *unknown = *unknown || bytes < 0;
        sum += bytes > 0 ? bytes : 0;
    }
    return sum;
}

static void side_cells(struct cli_table *table, const struct splitting *it, const uint32_t *tensors,
                       uint32_t count)
{
    char number[CLI_NUMBER_BYTES];
    bool unknown = false;
    double bytes = sum_bytes(it, tensors, count, &unknown);
    cli_table_cell(table, "%u", count);
    cli_table_cell(table, "%s%s", unknown ? "over " : "", cli_bytes(bytes, number));
}

static int report(const struct cli_common *common, const struct splitting *it, const char *folder)
{
    struct cli_table table;
    char a[CLI_NUMBER_BYTES];
    if (common->json) {
        struct mly_json_writer json;
        mly_json_writer_init(&json, true);
        mly_json_begin_object(&json, NULL);
        mly_json_put_string(&json, "folder", folder);
        mly_json_begin_array(&json, "segments");
        for (uint32_t i = 0; i < it->split.part_count; i++)
            mly_json_put_string(&json, NULL, it->parts[i].name);
        mly_json_end_array(&json);
        mly_json_end_object(&json);
        return cli_print_json(&json);
    }
    cli_table_init(&table,
                   "segment|>nodes|>MACs|>parameters|>inputs|>bytes in|>outputs|>bytes out");
    for (uint32_t i = 0; i < it->split.part_count; i++) {
        const struct mly_split_part *part = &it->parts[i];
        cli_table_cell(&table, "%s.onnx", part->name);
        cli_table_cell(&table, "%u", part->segment.node_count);
        cli_table_cell(&table, "%s", cli_count(part->macs, a));
        cli_table_cell(&table, "%s", cli_count(part->parameters, a));
        side_cells(&table, it, part->segment.inputs, part->segment.input_count);
        side_cells(&table, it, part->segment.outputs, part->segment.output_count);
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    cli_remark(common, "written to %s, with manifest.json (sizes for batch %lld)", folder,
               (long long)it->split.batch);
    return cli_finish_output();
}

static int run_split(const struct cli_common *common, const void *values, char **operands,
                     size_t operand_count)
{
    (void)operand_count;
    const struct split_values *given = values;
    struct mly_error err = {0};
    struct splitting it = {0};
    const int ways = (given->at.count > 0) + (given->parts > 0) + (given->plan != NULL);
    if (ways != 1) {
        mly_error_set(&err, MLY_E_INVALID, "one of --at, --parts and --plan is needed%s",
                      ways > 1 ? ", not several" : "");
        return cli_usage(&err);
    }
    if (!given->output) {
        mly_error_set(&err, MLY_E_INVALID, "-o DIR is missing: where the segments go");
        return cli_usage(&err);
    }
    enum mly_status status = open_model(given, operands[0], &it, &err);
    if (status == MLY_OK)
        status = choose(given, &it, &err);
    if (status == MLY_OK)
        status = mly_split_parts(&it.split, &it.parts, &err);
    if (status == MLY_OK) {
        cli_catch_interrupts();
        cli_progress_begin(&it.progress, common);
        status = mly_split_save(&it.split, it.parts, given->output, &err);
        cli_progress_end(&it.progress);
    }
    int exit_status = status == MLY_OK ? report(common, &it, given->output) : cli_fail(&err);
    mly_split_parts_fini(it.parts, it.split.part_count);
    mly_free(it.part_of_node);
    mly_free(it.shapes);
    mly_model_destroy(it.model);
    return exit_status;
}

const struct cli_command cli_command_split = {
    .name = "split",
    .operands = "MODEL",
    .summary = "cut a model into segments, as ONNX files with a manifest",
    .description =
        "Writes s0.onnx, s1.onnx, … and manifest.json into a folder. Run one after another, by the "
        "tensors' names, the segments compute what the model computes; each is a valid model with "
        "its own weights. Cuts inside what the runtime computes as one (convolution, normalisation "
        "and activation; LayerNorm; GELU; attention; quantised operators) are refused without "
        "--anywhere. A failure or an interruption leaves no folder.",
    .examples = "  motley split googlenet.onnx --parts 2 -o halves\n  motley split googlenet.onnx "
                "--at /maxpool3/MaxPool_output_0 -o stages\n",
    .options = split_options,
    .option_count = sizeof split_options / sizeof split_options[0],
    .values_bytes = sizeof(struct split_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_split,
};
