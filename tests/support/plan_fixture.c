/*
 * Tiny models as ONNX bytes put together by hand (onnx.proto's field numbers beside each), and
 * costs for them.
 */
#include "support/plan_fixture.h"

#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "support/test.h"

/* --- protobuf --- */

static void put_bytes(struct mly_buffer *to, const void *bytes, size_t length)
{
    assert_int_equal(mly_buffer_append(to, bytes, length), MLY_OK);
}

static void put_varint(struct mly_buffer *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_bytes(to, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
    put_bytes(to, &(uint8_t){(uint8_t)value}, 1);
}

static void put_number(struct mly_buffer *to, uint32_t field, uint64_t value)
{
    put_varint(to, field << 3);
    put_varint(to, value);
}

static void put_field(struct mly_buffer *to, uint32_t field, const void *bytes, size_t length)
{
    put_varint(to, field << 3 | 2);
    put_varint(to, length);
    put_bytes(to, bytes, length);
}

static void put_text(struct mly_buffer *to, uint32_t field, const char *text)
{
    put_field(to, field, text, strlen(text));
}

static void put_message(struct mly_buffer *to, uint32_t field, struct mly_buffer *message)
{
    put_field(to, field, message->data ? message->data : "", message->length);
    mly_buffer_fini(message);
}

/* --- ONNX --- */

static void put_value_info(struct mly_buffer *graph, uint32_t field, const char *name,
                           const struct tiny_spec *spec)
{
    struct mly_buffer info = {0}, type = {0}, tensor = {0}, shape = {0}, batch = {0}, width = {0};
    if (spec->fixed_batch)
        put_number(&batch, 1, (uint64_t)spec->fixed_batch); /* dim_value */
    else
        put_text(&batch, 2, "N"); /* dim_param */
    put_number(&width, 1, (uint64_t)(spec->width ? spec->width : 4));
    put_message(&shape, 1, &batch); /* dim */
    put_message(&shape, 1, &width);
    put_number(&tensor, 1, 1); /* elem_type: FLOAT */
    put_message(&tensor, 2, &shape);
    put_message(&type, 1, &tensor); /* tensor_type */
    put_text(&info, 1, name);
    put_message(&info, 2, &type);
    put_message(graph, field, &info);
}

static void put_weights(struct mly_buffer *graph, const struct tiny_spec *spec)
{
    const size_t bytes = (size_t)spec->weight_count * 4;
    struct mly_buffer tensor = {0};
    char *zeros = mly_alloc(bytes);
    assert_non_null(zeros);
    put_number(&tensor, 1, 1); /* dims */
    put_number(&tensor, 1, (uint64_t)spec->weight_count);
    put_number(&tensor, 2, 1); /* data_type: FLOAT */
    put_text(&tensor, 8, "w");
    put_field(&tensor, 9, zeros, bytes); /* raw_data */
    put_message(graph, 5, &tensor);
    mly_free(zeros);
}

static void put_node(struct mly_buffer *graph, const struct tiny_node *node)
{
    struct mly_buffer message = {0};
    put_text(&message, 1, node->first);
    if (node->second)
        put_text(&message, 1, node->second);
    put_text(&message, 2, node->output);
    put_text(&message, 3, node->name);
    put_text(&message, 4, node->op);
    put_message(graph, 1, &message);
}

mly_model *tiny_model(const struct tiny_spec *spec)
{
    struct mly_buffer model = {0}, opset = {0}, graph = {0};
    const char *output = spec->output ? spec->output : spec->nodes[spec->node_count - 1].output;
    for (size_t i = 0; i < spec->node_count; i++)
        put_node(&graph, &spec->nodes[i]);
    put_text(&graph, 2, "tiny");
    if (spec->weight_count)
        put_weights(&graph, spec);
    put_value_info(&graph, 11, "x", spec);
    put_value_info(&graph, 12, output, spec);
    for (size_t i = 0; i < spec->node_count; i++)
        if (strcmp(spec->nodes[i].output, output))
            put_value_info(&graph, 13, spec->nodes[i].output, spec);
    put_number(&model, 1, 8); /* ir_version */
    put_message(&model, 7, &graph);
    put_text(&opset, 1, "");
    put_number(&opset, 2, 17);
    put_message(&model, 8, &opset);

    char path[] = "/tmp/motley-test-tiny-XXXXXX";
    struct mly_error err;
    mly_model *loaded;
    const char *hash;
    const int file = mkstemp(path);
    assert_true(file >= 0);
    assert_true(write(file, model.data, model.length) == (ssize_t)model.length);
    close(file);
    mly_buffer_fini(&model);
    if (mly_model_load(path, NULL, &loaded, &err) || mly_model_hash(loaded, &hash, &err))
        fail_msg("%s", err.message);
    unlink(path);
    return loaded;
}

mly_model *tiny_chain(uint32_t count, int64_t fixed_batch)
{
    struct tiny_node *nodes = calloc(count, sizeof *nodes);
    char(*names)[2][16] = calloc(count, sizeof *names);
    assert_true(nodes && names);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(names[i][0], sizeof names[i][0], "r%u", i);
        snprintf(names[i][1], sizeof names[i][1], "t%u", i);
        nodes[i] =
            (struct tiny_node){"Relu", names[i][0], i ? names[i - 1][1] : "x", NULL, names[i][1]};
    }
    mly_model *model = tiny_model(
        &(struct tiny_spec){.nodes = nodes, .node_count = count, .fixed_batch = fixed_batch});
    free(nodes);
    free(names);
    return model;
}

/* --- machines and costs --- */

mly_machine *tiny_machine(const char *synthetic)
{
    mly_machine *machine;
    struct mly_error err;
    if (mly_machine_create(synthetic, &machine, &err))
        fail_msg("%s", err.message);
    return machine;
}

mly_cost_table *tiny_costs(const mly_model *model, const mly_machine *machine)
{
    struct mly_cost_identity identity = {
        .model_name = "tiny.onnx", .host_description = "synthetic", .runtime = "ort 1.31.1"};
    const char *hash;
    mly_cost_table *costs;
    assert_int_equal(mly_model_hash(model, &hash, NULL), MLY_OK);
    snprintf(identity.model_hash, sizeof identity.model_hash, "%s", hash);
    snprintf(identity.host_id, sizeof identity.host_id, "%s", mly_machine_info(machine)->host_id);
    assert_int_equal(mly_cost_table_create(&identity, &costs, NULL), MLY_OK);
    return costs;
}

static struct mly_cost_entry entry_of(uint32_t groups, uint32_t threads, uint32_t batch, bool spin,
                                      double median_ns)
{
    return (struct mly_cost_entry){.scope_id = "",
                                   .config = {.backend = "ort",
                                              .processor_kind = "cpu",
                                              .groups = groups ? groups : 1,
                                              .threads = threads,
                                              .batch = batch,
                                              .spin = spin,
                                              .runtime_defaults = !groups},
                                   .p10_ns = 0.95 * median_ns,
                                   .median_ns = median_ns,
                                   .p90_ns = 1.05 * median_ns,
                                   .samples = 20};
}

static void put_entry(mly_cost_table *costs, const struct mly_cost_entry *entry)
{
    struct mly_error err;
    if (mly_cost_table_put(costs, entry, &err))
        fail_msg("%s", err.message);
}

void tiny_cost(mly_cost_table *costs, uint32_t groups, uint32_t threads, uint32_t batch, bool spin,
               double median_ns, double spread)
{
    struct mly_cost_entry entry = entry_of(groups, threads, batch, spin, median_ns);
    entry.throughput_per_s = 1e9 * entry.config.groups * batch / median_ns;
    entry.throughput_spread = spread;
    put_entry(costs, &entry);
}

void tiny_part_cost(mly_cost_table *costs, enum mly_cost_scope scope, const char *id,
                    uint32_t groups, uint32_t threads, uint32_t batch, double median_ns)
{
    struct mly_cost_entry entry = entry_of(groups, threads, batch, false, median_ns);
    entry.scope = scope;
    entry.scope_id = id;
    put_entry(costs, &entry);
}

/* --- plans --- */

static void *need(void *p)
{
    assert_non_null(p);
    return p;
}

void tiny_cut(mly_plan *plan, const uint32_t *cuts, uint32_t count)
{
    for (uint32_t i = 0; i < plan->segment_count; i++) {
        mly_free(plan->segments[i].name);
        mly_free(plan->segments[i].nodes);
        mly_free(plan->segments[i].processors);
    }
    mly_free(plan->segments);
    plan->segments = need(mly_alloc_array(count, sizeof *plan->segments));
    plan->segment_count = count;
    for (uint32_t i = 0, node = 0; i < count; i++) {
        struct mly_plan_segment *segment = &plan->segments[i];
        segment->name = need(mly_strfmt("s%u", i));
        segment->nodes = need(mly_alloc_array(cuts[i] - node, sizeof *segment->nodes));
        while (node < cuts[i])
            segment->nodes[segment->node_count++] = node++;
        segment->processors = need(mly_alloc_array(1, sizeof *segment->processors));
        segment->processors[0] = i % plan->processor_count;
        segment->processor_count = 1;
    }
}

mly_plan *tiny_plan(const mly_model *model, const mly_machine *machine, uint32_t groups,
                    uint32_t batch)
{
    struct mly_processor_list list;
    mly_plan *plan;
    struct mly_error err;
    if (mly_plan_create(model, machine, &plan, &err) ||
        mly_machine_group(machine, MLY_GROUP_COUNT, groups, false, &list, &err))
        fail_msg("%s", err.message);
    snprintf(plan->planner, sizeof plan->planner, "hand");
    snprintf(plan->runtime, sizeof plan->runtime, "ort 1.31.1");
    plan->batch = batch;
    plan->in_flight = groups;
    plan->ladder = need(mly_alloc_array(1, sizeof *plan->ladder));
    plan->ladder[plan->ladder_count++] = batch;
    plan->processors = need(mly_alloc_array(groups, sizeof *plan->processors));
    plan->processor_count = groups;
    plan->segments = need(mly_alloc_array(1, sizeof *plan->segments));
    plan->segment_count = 1;
    plan->segments[0].name = need(mly_strdup("s0"));
    plan->segments[0].processors = need(mly_alloc_array(groups, sizeof(uint32_t)));
    plan->segments[0].processor_count = groups;
    for (uint32_t i = 0; i < groups; i++) {
        struct mly_plan_processor *p = &plan->processors[i];
        memcpy(p->id, list.items[i].id, sizeof p->id);
        snprintf(p->kind, sizeof p->kind, "cpu");
        snprintf(p->backend, sizeof p->backend, "ort");
        p->cpu_count = p->threads = list.items[i].cpu_count;
        p->pin = true;
        p->cpus = need(mly_alloc_array(p->cpu_count, sizeof *p->cpus));
        memcpy(p->cpus, list.items[i].cpus, p->cpu_count * sizeof *p->cpus);
        plan->segments[0].processors[i] = i;
    }
    mly_processor_list_fini(&list);
    return plan;
}
