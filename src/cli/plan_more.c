/* Pictures of plans, their families, and all splits of a batch. */
#include "plan_more.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/stats.h"
#include "model/graph.h"
#include "plan/dot.h"
#include "plan/splits.h"
#include "profile/profile.h"

#define DOT_BYTES_MAX ((size_t)256 << 20)

static bool all_modelled(const struct mly_processor_list *processors)
{
    for (size_t i = 0; processors && i < processors->count; i++)
        if (!processors->items[i].modelled)
            return false;
    return processors && processors->count;
}

enum mly_status cli_plan_costs(const char *file, const mly_model *model, const mly_machine *machine,
                               const struct mly_dim_binding *dims, size_t dim_count,
                               const struct mly_processor_list *processors, mly_cost_table **out,
                               struct mly_error *err)
{
    const struct mly_profile_options options = {.bindings = dims, .binding_count = dim_count};
    struct mly_cost_identity identity;
    char *word = NULL;
    *out = NULL;
    if (file)
        return mly_cost_table_load(file, out, err);
    if (all_modelled(processors))
        return MLY_OK;
    enum mly_status status = mly_profile_identity(model, machine, &options, &identity, err);
    if (status == MLY_OK)
        status = mly_cost_store_open(&identity, out, &word, err);
    mly_free(word);
    return status;
}

/* --- the picture --- */

static enum mly_status write_text(const struct cli_common *common, const struct mly_buffer *text,
                                  const char *file, struct mly_error *err)
{
    if (strcmp(file, "-") == 0) {
        fwrite(text->data, 1, text->length, stdout);
        return MLY_OK;
    }
    enum mly_status status = mly_file_write(file, text->data, text->length, err);
    if (status == MLY_OK)
        cli_remark(common, "wrote %s: dot -Tsvg draws it", file);
    return status;
}

enum mly_status cli_plan_draw(const struct cli_common *common, const mly_plan *plan,
                              const mly_model *model, const mly_cost_table *costs,
                              const struct mly_dim_binding *dims, size_t dim_count, bool contracted,
                              const char *file, struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    struct mly_buffer text = {.max_bytes = DOT_BYTES_MAX};
    struct mly_dot_options options = {.contracted = contracted};
    struct mly_error reason;
    struct mly_shape *shapes = mly_alloc_array((size_t)graph->tensor_count + 1, sizeof *shapes);
    struct mly_stage *stages = mly_alloc_array((size_t)plan->segment_count + 1, sizeof *stages);
    size_t sessions = 1;
    for (uint32_t i = 0; i < plan->segment_count; i++)
        sessions += plan->segments[i].processor_count;
    struct mly_plan_time *times = mly_alloc_array(sessions, sizeof *times);
    enum mly_status status = shapes && stages && times ? MLY_OK : MLY_E_NO_MEMORY;
    if (status != MLY_OK)
        (void)mly_error_set(err, status, "memory is short");
    if (status == MLY_OK)
        status = mly_graph_bind(model, plan->batch, dims, dim_count, shapes, err);
    if (status == MLY_OK) {
        if (mly_plan_stages(plan, model, costs, stages, &reason) == MLY_OK)
            options.stages = stages;
        else
            cli_remark(common, "the picture has no times: %s", reason.message);
        if (mly_plan_part_times(plan, model, costs, times, &reason) == MLY_OK)
            options.times = times;
        status = mly_dot_plan(plan, graph, shapes, &options, &text, err);
    }
    if (status == MLY_OK)
        status = write_text(common, &text, file, err);
    mly_buffer_fini(&text);
    mly_free(shapes);
    mly_free(stages);
    mly_free(times);
    return status;
}

/* --- the family --- */

void cli_plan_member_text(const mly_plan *plan, const struct mly_plan_member *m, char *text,
                          size_t size)
{
    size_t used = 0;
    for (uint32_t s = 0; s < m->segment_count; s++) {
        for (uint32_t i = 0; i < m->segments[s].processor_count; i++) {
            const char *before = i ? " + " : s ? " | " : "";
            const char *id = plan->processors[m->segments[s].processors[i]].id;
            if (used + strlen(before) + strlen(id) + sizeof "…" > size) {
                snprintf(text + used, size - used, "…");
                return;
            }
            used += (size_t)snprintf(text + used, size - used, "%s%s", before, id);
        }
    }
}

void cli_plan_print_family(const mly_plan *plan)
{
    struct cli_table table;
    char number[CLI_NUMBER_BYTES];
    if (!plan->family_count)
        return;
    printf("\n");
    cli_table_init(&table, ">up to samples/s|>batch|segments on|>batch time|>latency there");
    for (uint32_t i = 0; i < plan->family_count; i++) {
        const struct mly_plan_member *m = &plan->family[i];
        char processors[80] = "";
        cli_plan_member_text(plan, m, processors, sizeof processors);
        cli_table_cell(&table, "%s", mly_rate_text(m->max_rate_per_s, number));
        cli_table_cell(&table, "%u", m->batch);
        cli_table_cell(&table, "%s", processors);
        cli_table_cell(&table, "%s", cli_time(m->prediction.latency_ns, number));
        cli_table_cell(&table, "%s",
                       m->prediction.loaded_latency_ns > 0
                           ? cli_time(m->prediction.loaded_latency_ns, number)
                           : "-");
    }
    cli_table_print(&table, stdout);
    cli_table_fini(&table);
}

/* --- splits --- */

struct splits_output {
    bool json, begun;
    struct mly_json_writer writer;
};

static void begin_csv(const struct mly_split_head *head)
{
    for (uint32_t i = 0; i < head->processor_count; i++)
        printf("samples %s,", head->processors[i].id);
    for (uint32_t i = 0; i < head->processor_count; i++)
        printf("ms %s,", head->processors[i].id);
    printf("sum ms,maximum ms,basis\n");
}

static void put_csv(const struct mly_split_head *head, const struct mly_split_row *row)
{
    for (uint32_t i = 0; i < head->processor_count; i++)
        printf("%u,", row->shares[i]);
    for (uint32_t i = 0; i < head->processor_count; i++)
        printf("%.6g,", row->time_ns[i] / 1e6);
    printf("%.6g,%.6g,%s\n", row->sum_ns / 1e6, row->makespan_ns / 1e6,
           row->modelled    ? "modelled"
           : row->estimated ? "estimated"
                            : "measured");
}

static void begin_json(const struct mly_split_head *head, struct mly_json_writer *writer)
{
    mly_json_begin_object(writer, NULL);
    mly_json_put_int(writer, "batch", head->batch);
    mly_json_put_bool(writer, "modelled", head->modelled);
    mly_json_put_bool(writer, "estimated", head->estimated);
    mly_json_begin_array(writer, "processors");
    for (uint32_t i = 0; i < head->processor_count; i++)
        mly_json_put_string(writer, NULL, head->processors[i].id);
    mly_json_end_array(writer);
    mly_json_begin_array(writer, "splits");
}

static void put_json(const struct mly_split_head *head, const struct mly_split_row *row,
                     struct mly_json_writer *writer)
{
    mly_json_begin_object(writer, NULL);
    mly_json_begin_array(writer, "shares");
    for (uint32_t i = 0; i < head->processor_count; i++)
        mly_json_put_int(writer, NULL, row->shares[i]);
    mly_json_end_array(writer);
    mly_json_begin_array(writer, "time_ns");
    for (uint32_t i = 0; i < head->processor_count; i++)
        mly_json_put_number(writer, NULL, row->time_ns[i]);
    mly_json_end_array(writer);
    mly_json_put_number(writer, "sum_ns", row->sum_ns);
    mly_json_put_number(writer, "makespan_ns", row->makespan_ns);
    mly_json_put_bool(writer, "modelled", row->modelled);
    mly_json_put_bool(writer, "estimated", row->estimated);
    mly_json_end_object(writer);
}

static enum mly_status put_split(const struct mly_split_head *head, const struct mly_split_row *row,
                                 void *user, struct mly_error *err)
{
    struct splits_output *out = user;
    (void)err;
    if (!out->begun && out->json)
        begin_json(head, &out->writer);
    else if (!out->begun)
        begin_csv(head);
    out->begun = true;
    if (out->json)
        put_json(head, row, &out->writer);
    else
        put_csv(head, row);
    return MLY_OK;
}

enum mly_status cli_plan_print_splits(const struct cli_common *common,
                                      const struct mly_plan_request *request, uint32_t step,
                                      struct mly_error *err)
{
    struct splits_output out = {.json = common->json};
    char *text = NULL;
    size_t length = 0;
    mly_json_writer_init(&out.writer, true);
    enum mly_status status = mly_plan_list_splits(request, step, put_split, &out, err);
    if (status == MLY_OK && !out.begun)
        status = mly_error_set(err, MLY_E_UNSUPPORTED, "no split of %u samples is possible",
                               request->batch);
    if (status != MLY_OK || !out.json) {
        mly_json_writer_fini(&out.writer);
        return status;
    }
    mly_json_end_array(&out.writer);
    mly_json_end_object(&out.writer);
    status = mly_json_finish(&out.writer, &text, &length, err);
    if (status == MLY_OK)
        fwrite(text, 1, length, stdout);
    mly_free(text);
    return status;
}
