/* motley inspect: what is in a model. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "internal.h"
#include "measuring.h"
#include "model/graph.h"
#include "plan/dot.h"
#include "profile/dims.h"
#include "profile/profile.h"

#define DOT_BYTES_MAX ((size_t)256 << 20)

struct inspect_values {
    uint64_t batch;
    bool nodes;
    const char *dot;
    bool keep_overridable;
    struct cli_texts dims;
};

static const struct cli_option inspect_options[] = {
    {"batch", 'b', CLI_COUNT, "N",
     "Batch size for shapes and counts (default 1, or the model's own).", NULL,
     offsetof(struct inspect_values, batch), 1, 65536},
    {"dim", 0, CLI_REPEAT, "NAME=N", "Size of another symbolic dimension; may be repeated.", NULL,
     offsetof(struct inspect_values, dims), 0, 0},
    {"nodes", 'n', CLI_FLAG, NULL, "List every node with its output shape and arithmetic.", NULL,
     offsetof(struct inspect_values, nodes), 0, 0},
    {"dot", 0, CLI_FILE_OR_STDOUT, "FILE",
     "Write the graph for Graphviz instead (- is standard output): operators by kind, shapes at "
     "the "
     "edges, what is computed as one in boxes.",
     NULL, offsetof(struct inspect_values, dot), 0, 0},
    {"keep-overridable", 0, CLI_FLAG, NULL, "Leave initialisers that are also inputs overridable.",
     NULL, offsetof(struct inspect_values, keep_overridable), 0, 0},
};

/* What the branches of If, Loop and Scan hold, which the totals leave out. */
struct inner {
    uint64_t of_nodes; /* nodes that have branches */
    uint64_t nodes, parameters, weight_bytes;
};

/* What is shown, gathered once for both forms. */
struct inspection {
    const char *path;
    const mly_model *model;
    const struct mly_graph *graph;
    const struct mly_shape *shapes;
    int64_t batch;
    struct mly_graph_totals totals;
    struct inner inner;
};

struct operator_count {
    const char *domain, *op_type;
    uint32_t count;
    double macs;
};

static struct inner sum_inner(const struct mly_graph *graph)
{
    struct inner inner = {0};
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const struct mly_graph_node *node = &graph->nodes[i];
        inner.of_nodes += node->has_subgraph;
        inner.nodes += node->inner_nodes;
        inner.parameters += node->inner_parameters;
        inner.weight_bytes += node->inner_weight_bytes;
    }
    return inner;
}

static int by_count(const void *a, const void *b)
{
    const struct operator_count *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->op_type, y->op_type);
}

static int by_operator(const void *a, const void *b)
{
    const struct operator_count *x = a, *y = b;
    int order = strcmp(x->op_type, y->op_type);
    return order ? order : strcmp(x->domain, y->domain);
}

/* Nodes by operator, most frequent first, into a new array. */
static struct operator_count *count_operators(const struct inspection *it, size_t *count)
{
    struct operator_count *all =
        mly_alloc_array(it->graph->node_count ? it->graph->node_count : 1, sizeof *all);
    if (!all)
        return NULL;
    for (uint32_t i = 0; i < it->graph->node_count; i++) {
        struct mly_node_work work;
        mly_graph_node_work(it->graph, it->shapes, i, &work);
        all[i] = (struct operator_count){it->graph->nodes[i].domain, it->graph->nodes[i].op_type, 1,
                                         work.known ? work.macs : 0};
    }
    qsort(all, it->graph->node_count, sizeof *all, by_operator);
    size_t kept = 0;
    for (uint32_t i = 0; i < it->graph->node_count; i++) {
        if (kept > 0 && by_operator(&all[kept - 1], &all[i]) == 0) {
            all[kept - 1].count++;
            all[kept - 1].macs += all[i].macs;
        } else {
            all[kept++] = all[i];
        }
    }
    qsort(all, kept, sizeof *all, by_count);
    *count = kept;
    return all;
}

static void put_shape(struct mly_json_writer *json, const char *key, const struct mly_shape *shape)
{
    if (shape->rank < 0) {
        mly_json_put_null(json, key);
        return;
    }
    mly_json_begin_array(json, key);
    for (int32_t i = 0; i < shape->rank; i++)
        mly_json_put_int(json, NULL, shape->dims[i]);
    mly_json_end_array(json);
}

static void put_ports(struct mly_json_writer *json, const char *key, const struct inspection *it,
                      const uint32_t *tensors, uint32_t count)
{
    mly_json_begin_array(json, key);
    for (uint32_t i = 0; i < count; i++) {
        const struct mly_graph_tensor *tensor = &it->graph->tensors[tensors[i]];
        mly_json_begin_object(json, NULL);
        mly_json_put_string(json, "name", tensor->name);
        mly_json_put_string(json, "type", mly_dtype_name(tensor->dtype));
        put_shape(json, "shape", &it->shapes[tensors[i]]);
        mly_json_begin_array(json, "dims");
        for (int32_t d = 0; d < tensor->shape.rank; d++) {
            if (tensor->shape.dims[d] >= 0)
                mly_json_put_int(json, NULL, tensor->shape.dims[d]);
            else
                mly_json_put_string(
                    json, NULL,
                    tensor->dim_names[d] && tensor->dim_names[d][0] ? tensor->dim_names[d] : "?");
        }
        mly_json_end_array(json);
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
}

static void put_nodes(struct mly_json_writer *json, const struct inspection *it)
{
    mly_json_begin_array(json, "nodes");
    for (uint32_t i = 0; i < it->graph->node_count; i++) {
        const struct mly_graph_node *node = &it->graph->nodes[i];
        struct mly_node_work work;
        mly_graph_node_work(it->graph, it->shapes, i, &work);
        mly_json_begin_object(json, NULL);
        mly_json_put_string(json, "label", node->label);
        mly_json_put_string(json, "operator", node->op_type);
        mly_json_put_string(json, "domain", node->domain);
        mly_json_begin_array(json, "outputs");
        for (uint32_t j = 0; j < node->output_count; j++) {
            if (node->outputs[j] == MLY_NO_INDEX)
                continue;
            mly_json_begin_object(json, NULL);
            mly_json_put_string(json, "name", it->graph->tensors[node->outputs[j]].name);
            mly_json_put_string(json, "type",
                                mly_dtype_name(it->graph->tensors[node->outputs[j]].dtype));
            put_shape(json, "shape", &it->shapes[node->outputs[j]]);
            mly_json_end_object(json);
        }
        mly_json_end_array(json);
        mly_json_put_bool(json, "work_known", work.known);
        mly_json_put_number(json, "macs", work.macs);
        mly_json_put_number(json, "flops", work.flops);
        mly_json_put_number(json, "parameters", work.parameters);
        mly_json_end_object(json);
    }
    mly_json_end_array(json);
}

static int print_json(const struct inspection *it, bool nodes)
{
    struct mly_json_writer json;
    struct mly_error err = {0};
    const char *hash = NULL;
    size_t operator_count = 0;
    if (mly_model_hash(it->model, &hash, &err) != MLY_OK)
        return cli_fail(&err);
    struct operator_count *operators = count_operators(it, &operator_count);
    mly_json_writer_init(&json, true);
    mly_json_begin_object(&json, NULL);
    mly_json_put_string(&json, "model", it->path);
    mly_json_put_string(&json, "sha256", hash);
    mly_json_put_string(&json, "producer", it->graph->producer_name);
    mly_json_put_int(&json, "ir_version", it->graph->ir_version);
    mly_json_put_int(&json, "batch", it->batch);
    mly_json_put_bool(&json, "batch_is_free", mly_model_fixed_batch(it->model) == 0);
    put_ports(&json, "inputs", it, it->graph->inputs, it->graph->input_count);
    put_ports(&json, "outputs", it, it->graph->outputs, it->graph->output_count);
    mly_json_put_int(&json, "node_count", it->graph->node_count);
    mly_json_begin_object(&json, "operators");
    for (size_t i = 0; operators && i < operator_count; i++)
        mly_json_put_int(&json, operators[i].op_type, operators[i].count);
    mly_json_end_object(&json);
    mly_json_put_number(&json, "macs", it->totals.macs);
    mly_json_put_number(&json, "flops", it->totals.flops);
    mly_json_put_number(&json, "parameters", it->totals.parameters);
    mly_json_put_number(&json, "weight_bytes", it->totals.weight_bytes);
    mly_json_put_number(&json, "peak_activation_bytes", it->totals.peak_activation_bytes);
    mly_json_put_int(&json, "nodes_without_count", it->totals.unknown_nodes);
    mly_json_begin_object(&json, "branches");
    mly_json_put_int(&json, "of_nodes", (int64_t)it->inner.of_nodes);
    mly_json_put_int(&json, "nodes", (int64_t)it->inner.nodes);
    mly_json_put_int(&json, "parameters", (int64_t)it->inner.parameters);
    mly_json_put_int(&json, "weight_bytes", (int64_t)it->inner.weight_bytes);
    mly_json_end_object(&json);
    if (nodes)
        put_nodes(&json, it);
    mly_json_end_object(&json);
    mly_free(operators);
    return cli_print_json(&json);
}

/* Free dimensions by name: "0:batch, 2:height". */
static void name_free_dims(const struct mly_graph_tensor *tensor, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int32_t d = 0; d < tensor->shape.rank && used < size; d++) {
        const char *name = tensor->dim_names[d];
        if (tensor->shape.dims[d] < 0)
            used += (size_t)snprintf(text + used, size - used, "%s%d:%s", used ? ", " : "", d,
                                     name && name[0] ? name : "?");
    }
}

static void add_ports(struct cli_table *table, const char *title, const struct inspection *it,
                      const uint32_t *tensors, uint32_t count)
{
    enum { SHOWN = 12 };
    char bound[MLY_SHAPE_TEXT_BYTES], symbols[256];
    for (uint32_t i = 0; i < count && i < SHOWN; i++) {
        const struct mly_graph_tensor *tensor = &it->graph->tensors[tensors[i]];
        name_free_dims(tensor, symbols, sizeof symbols);
        cli_table_cell(table, "%s", title);
        cli_table_cell(table, "%s", tensor->name);
        cli_table_cell(table, "%s", mly_dtype_name(tensor->dtype));
        cli_table_cell(table, "%s", mly_shape_format(&it->shapes[tensors[i]], bound));
        cli_table_cell(table, "%s", symbols);
    }
    if (count > SHOWN) {
        cli_table_cell(table, "%s", title);
        cli_table_cell(table, "(%u more)", count - SHOWN);
        for (int i = 0; i < 3; i++)
            cli_table_cell(table, "%s", "");
    }
}

static void print_ports(const struct inspection *it)
{
    struct cli_table table;
    cli_table_init(&table, "|name|type|shape|free dimensions");
    add_ports(&table, "input", it, it->graph->inputs, it->graph->input_count);
    add_ports(&table, "output", it, it->graph->outputs, it->graph->output_count);
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

static void print_nodes(const struct inspection *it)
{
    struct cli_table table;
    char shape[MLY_SHAPE_TEXT_BYTES], macs[CLI_NUMBER_BYTES], parameters[CLI_NUMBER_BYTES];
    cli_table_init(&table, ">#|node|operator|output|type|>MACs|>parameters");
    for (uint32_t i = 0; i < it->graph->node_count; i++) {
        const struct mly_graph_node *node = &it->graph->nodes[i];
        uint32_t output = node->output_count ? node->outputs[0] : MLY_NO_INDEX;
        struct mly_node_work work;
        mly_graph_node_work(it->graph, it->shapes, i, &work);
        cli_table_cell(&table, "%u", i);
        cli_table_cell(&table, "%s", node->label);
        cli_table_cell(&table, "%s%s%s", node->domain, node->domain[0] ? ":" : "", node->op_type);
        cli_table_cell(&table, "%s",
                       output == MLY_NO_INDEX ? "" : mly_shape_format(&it->shapes[output], shape));
        cli_table_cell(&table, "%s",
                       output == MLY_NO_INDEX ? ""
                                              : mly_dtype_name(it->graph->tensors[output].dtype));
        cli_table_cell(&table, "%s", work.known ? cli_count(work.macs, macs) : "?");
        cli_table_cell(&table, "%s", cli_count(work.parameters, parameters));
    }
    putchar('\n');
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

static int print_text(const struct inspection *it, bool nodes)
{
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES];
    size_t operator_count = 0;
    struct operator_count *operators = count_operators(it, &operator_count);
    printf("%s: %u nodes, IR version %lld%s%s\n\n", it->path, it->graph->node_count,
           (long long)it->graph->ir_version, it->graph->producer_name[0] ? ", made by " : "",
           it->graph->producer_name);
    print_ports(it);
    printf("\nfor batch %lld:\n", (long long)it->batch);
    printf("  %s MACs, %s FLOPs\n", cli_count(it->totals.macs, a), cli_count(it->totals.flops, b));
    printf("  %s parameters in %s of weights", cli_count(it->totals.parameters, a),
           cli_bytes(it->totals.weight_bytes, b));
    if (it->totals.parameters > 0)
        printf(", %.1f FLOP per parameter", it->totals.flops / it->totals.parameters);
    printf("\n  %s of activations live at the peak\n",
           cli_bytes(it->totals.peak_activation_bytes, a));
    if (it->totals.unknown_nodes > 0)
        printf("  %u nodes are not counted: their shapes or operators are not known\n",
               it->totals.unknown_nodes);
    if (it->inner.of_nodes > 0)
        printf("  not in these numbers: %llu nodes and %s parameters in %s of weights within the "
               "branches of %llu node%s (If, Loop, Scan): values decide which of them run\n",
               (unsigned long long)it->inner.nodes, cli_count((double)it->inner.parameters, a),
               cli_bytes((double)it->inner.weight_bytes, b), (unsigned long long)it->inner.of_nodes,
               it->inner.of_nodes == 1 ? "" : "s");
    putchar('\n');
    struct cli_table table;
    cli_table_init(&table, "operator|>nodes|>MACs");
    for (size_t i = 0; operators && i < operator_count; i++) {
        cli_table_cell(&table, "%s%s%s", operators[i].domain, operators[i].domain[0] ? ":" : "",
                       operators[i].op_type);
        cli_table_cell(&table, "%u", operators[i].count);
        cli_table_cell(&table, "%s", cli_count(operators[i].macs, a));
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
    mly_free(operators);
    if (nodes)
        print_nodes(it);
    return cli_finish_output();
}

static int write_dot(const struct cli_common *common, const struct inspection *it, const char *file)
{
    struct mly_error err = {0};
    struct mly_buffer text = {.max_bytes = DOT_BYTES_MAX};
    enum mly_status status = mly_dot_graph(it->graph, it->shapes, &text, &err);
    int exit_status = CLI_EXIT_OK;
    if (status == MLY_OK && strcmp(file, "-") == 0) {
        fwrite(text.data, 1, text.length, stdout);
        exit_status = cli_finish_output();
    } else if (status == MLY_OK) {
        status = mly_file_write(file, text.data, text.length, &err);
        if (status == MLY_OK)
            cli_remark(common, "wrote %s: dot -Tsvg draws it", file);
    }
    mly_buffer_fini(&text);
    return status == MLY_OK ? exit_status : cli_fail(&err);
}

/* Has some tensor that is no input a dimension of that name? */
static bool is_inner_dim(const struct mly_graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        for (int32_t d = 0; d < tensor->shape.rank; d++)
            if (tensor->shape.dims[d] < 0 && tensor->dim_names[d] &&
                strcmp(tensor->dim_names[d], name) == 0)
                return true;
    }
    return false;
}

static bool is_batch(const mly_model *model, const char *name)
{
    size_t count;
    const char *const *symbols = mly_graph_batch_symbols(model, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(symbols[i], name) == 0)
            return true;
    return false;
}

/*
 * The dimensions of the inputs as everywhere; here also those that only inner tensors have, such as how
 * many boxes a detector finds.
 */
static enum mly_status check_dims(const mly_model *model, const struct cli_dims *dims,
                                  struct mly_error *err)
{
    struct mly_dim_binding of_inputs[CLI_REPEAT_MAX];
    struct profile_dims known = {0};
    size_t count = 0;
    for (size_t i = 0; i < dims->count; i++) {
        struct profile_dims one = {0};
        const struct mly_dim_binding *given = &dims->items[i];
        const bool of_input = profile_dims_init(model, given, 1, &one, NULL) == MLY_OK;
        profile_dims_fini(&one);
        if (is_batch(model, given->name))
            return mly_error_set(err, MLY_E_INVALID,
                                 "--dim %.200s: that is the batch, which --batch sets",
                                 given->name);
        if (of_input || !is_inner_dim(mly_model_graph(model), given->name))
            of_inputs[count++] = *given;
        for (size_t k = 0; k < i; k++)
            if (dims->items[k].size != given->size && strcmp(dims->items[k].name, given->name) == 0)
                return mly_error_set(err, MLY_E_INVALID,
                                     "--dim %.200s is given two sizes, %lld and %lld", given->name,
                                     (long long)dims->items[k].size, (long long)given->size);
    }
    enum mly_status status = profile_dims_init(model, of_inputs, count, &known, err);
    profile_dims_fini(&known);
    return status;
}

static int run_inspect(const struct cli_common *common, const void *values, char **operands,
                       size_t operand_count)
{
    (void)operand_count;
    const struct inspect_values *given = values;
    struct mly_error err = {0};
    mly_model *model = NULL;
    struct mly_shape *shapes = NULL;
    struct cli_dims dims;
    struct inspection it = {.path = operands[0]};
    int exit_status = CLI_EXIT_FAILED;
    enum mly_status status = cli_dims_parse(&given->dims, &dims, &err);
    if (status != MLY_OK) {
        exit_status = cli_usage(&err);
        goto done;
    }
    status = cli_model_open(operands[0], given->keep_overridable, &model, &err);
    if (status == MLY_OK)
        status = check_dims(model, &dims, &err);
    if (status == MLY_OK)
        status = mly_profile_infer_shapes_for(model, dims.items, dims.count, &err);
    if (status != MLY_OK) {
        exit_status = cli_fail(&err);
        goto done;
    }
    it.model = model;
    it.graph = mly_model_graph(model);
    it.inner = sum_inner(it.graph);
    int64_t fixed = mly_model_fixed_batch(model);
    it.batch = given->batch ? (int64_t)given->batch : fixed ? fixed : 1;
    shapes = mly_alloc_array(it.graph->tensor_count ? it.graph->tensor_count : 1, sizeof *shapes);
    it.shapes = shapes;
    status = shapes ? MLY_OK : mly_error_set(&err, MLY_E_NO_MEMORY, "memory is short");
    if (status == MLY_OK)
        status = mly_graph_bind(model, it.batch, dims.items, dims.count, shapes, &err);
    if (status == MLY_OK)
        status = mly_graph_totals(it.graph, shapes, &it.totals, &err);
    if (status != MLY_OK)
        exit_status = cli_fail(&err);
    else if (given->dot)
        exit_status = write_dot(common, &it, given->dot);
    else
        exit_status = common->json ? print_json(&it, given->nodes) : print_text(&it, given->nodes);
done:
    mly_free(shapes);
    mly_model_destroy(model);
    cli_dims_fini(&dims);
    return exit_status;
}

const struct cli_command cli_command_inspect = {
    .name = "inspect",
    .operands = "MODEL",
    .summary = "nodes, shapes, FLOPs, parameters, memory of a model",
    .description =
        "Prints what is in an ONNX file: inputs and outputs, nodes by operator, "
        "arithmetic, parameters, weights and the peak of live activations "
        "for a batch size. Shapes that the file leaves open are asked of the runtime. What the "
        "branches of If, Loop and Scan hold is told apart.",
    .examples = "  motley inspect googlenet.onnx\n  motley inspect bert.onnx --batch 4 --dim "
                "sequence=128 --nodes\n  motley inspect googlenet.onnx --dot - | dot -Tsvg -o "
                "googlenet.svg\n",
    .options = inspect_options,
    .option_count = sizeof inspect_options / sizeof inspect_options[0],
    .values_bytes = sizeof(struct inspect_values),
    .min_operands = 1,
    .max_operands = 1,
    .run = run_inspect,
};
