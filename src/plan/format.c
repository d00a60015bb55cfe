/* Plans as JSON text: docs/reference/formats.md describes the format. */
#include <math.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "internal.h"

/* Opens an object that is written on one line: lists of such are read like tables. */
static void begin_line(struct mly_json_writer *writer, const char *key)
{
    mly_json_begin_object(writer, key);
    if (!writer->inline_array) {
        writer->inline_array = true;
        writer->inline_depth = writer->depth;
    }
}

static void put_numbers(struct mly_json_writer *writer, const char *key, const uint32_t *numbers,
                        uint32_t count)
{
    mly_json_begin_array(writer, key);
    for (uint32_t i = 0; i < count; i++)
        mly_json_put_int(writer, NULL, numbers[i]);
    mly_json_end_array(writer);
}

/*
 * [[0,17],[19,19]]: ranges, first and last inclusive; "all" for a segment that is the whole model.
 */
static void put_nodes(struct mly_json_writer *writer, const struct mly_plan_segment *segment)
{
    if (!segment->node_count) {
        mly_json_put_string(writer, "nodes", "all");
        return;
    }
    mly_json_begin_array(writer, "nodes");
    for (uint32_t first = 0, last; first < segment->node_count; first = last + 1) {
        last = first;
        while (last + 1 < segment->node_count &&
               segment->nodes[last + 1] == segment->nodes[last] + 1)
            last++;
        mly_json_begin_array(writer, NULL);
        mly_json_put_int(writer, NULL, segment->nodes[first]);
        mly_json_put_int(writer, NULL, segment->nodes[last]);
        mly_json_end_array(writer);
    }
    mly_json_end_array(writer);
}

static void put_prediction(struct mly_json_writer *writer, const struct mly_prediction *prediction)
{
    if (!prediction->known)
        return;
    begin_line(writer, "prediction");
    mly_json_put_bool(writer, "measured", prediction->measured);
    mly_json_put_bool(writer, "modelled", prediction->modelled);
    mly_json_put_number(writer, "throughput_per_s", prediction->throughput_per_s);
    mly_json_put_number(writer, "latency_ns", prediction->latency_ns);
    mly_json_put_number(writer, "spread", prediction->spread);
    mly_json_put_number(writer, "memory_bytes", prediction->memory_bytes);
    if (prediction->energy_j > 0)
        mly_json_put_number(writer, "energy_j", prediction->energy_j);
    /* What cannot keep up has no latency. */
    if (prediction->loaded_latency_ns > 0 && isfinite(prediction->loaded_latency_ns))
        mly_json_put_number(writer, "loaded_latency_ns", prediction->loaded_latency_ns);
    mly_json_end_object(writer);
}

static void put_processor(struct mly_json_writer *writer, const struct mly_plan_processor *p)
{
    begin_line(writer, NULL);
    mly_json_put_string(writer, "id", p->id);
    mly_json_put_string(writer, "kind", p->kind);
    mly_json_put_string(writer, "backend", p->backend);
    put_numbers(writer, "cpus", p->cpus, p->cpu_count);
    mly_json_put_int(writer, "threads", p->threads);
    mly_json_put_bool(writer, "spin", p->spin);
    mly_json_put_bool(writer, "pin", p->pin);
    mly_json_put_bool(writer, "runtime_defaults", p->runtime_defaults);
    mly_json_end_object(writer);
}

/* [{"processor": 0, "batch": 4, "ns": 5120000, "basis": "measured"}] */
static void put_times(struct mly_json_writer *writer, const struct mly_plan_segment *segment)
{
    if (!segment->time_count)
        return;
    mly_json_begin_array(writer, "times");
    for (uint32_t i = 0; i < segment->time_count; i++) {
        const struct mly_plan_time *time = &segment->times[i];
        mly_json_begin_object(writer, NULL);
        mly_json_put_int(writer, "processor", time->processor);
        mly_json_put_int(writer, "batch", time->batch);
        mly_json_put_number(writer, "ns", time->ns);
        mly_json_put_string(writer, "basis", mly_plan_basis_name(time->basis));
        mly_json_end_object(writer);
    }
    mly_json_end_array(writer);
}

static void put_segment(struct mly_json_writer *writer, const struct mly_plan_segment *segment)
{
    begin_line(writer, NULL);
    mly_json_put_string(writer, "name", segment->name ? segment->name : "");
    put_nodes(writer, segment);
    put_numbers(writer, "processors", segment->processors, segment->processor_count);
    if (segment->shares)
        put_numbers(writer, "shares", segment->shares, segment->processor_count);
    put_times(writer, segment);
    mly_json_end_object(writer);
}

static void put_segments(struct mly_json_writer *writer, const struct mly_plan_segment *segments,
                         uint32_t count)
{
    mly_json_begin_array(writer, "segments");
    for (uint32_t i = 0; i < count; i++)
        put_segment(writer, &segments[i]);
    mly_json_end_array(writer);
}

static void put_member(struct mly_json_writer *writer, const struct mly_plan_member *m)
{
    mly_json_begin_object(writer, NULL);
    mly_json_put_number(writer, "max_rate_per_s", m->max_rate_per_s);
    put_prediction(writer, &m->prediction);
    mly_json_put_int(writer, "batch", m->batch);
    put_numbers(writer, "ladder", m->ladder, m->ladder_count);
    mly_json_put_int(writer, "in_flight", m->in_flight);
    put_segments(writer, m->segments, m->segment_count);
    mly_json_end_object(writer);
}

static void put_family(struct mly_json_writer *writer, const mly_plan *plan)
{
    if (!plan->family_count)
        return;
    mly_json_begin_array(writer, "family");
    for (uint32_t i = 0; i < plan->family_count; i++)
        put_member(writer, &plan->family[i]);
    mly_json_end_array(writer);
}

static void put_candidate(struct mly_json_writer *writer, const struct mly_plan_candidate *c)
{
    begin_line(writer, NULL);
    mly_json_put_string(writer, "description", c->description ? c->description : "");
    mly_json_put_string(writer, "planner", c->planner);
    mly_json_put_bool(writer, "chosen", c->chosen);
    mly_json_put_bool(writer, "baseline", c->baseline);
    put_prediction(writer, &c->prediction);
    mly_json_end_object(writer);
}

enum mly_status mly_plan_format(const mly_plan *plan, char **text, size_t *length,
                                struct mly_error *err)
{
    struct mly_json_writer writer;
    mly_json_writer_init(&writer, true);
    mly_json_begin_object(&writer, NULL);
    mly_json_put_int(&writer, "motley_plan", MLY__PLAN_VERSION);
    mly_json_begin_object(&writer, "model");
    mly_json_put_string(&writer, "path", mly_plan_model_path(plan));
    mly_json_put_string(&writer, "name", plan->model_name);
    mly_json_put_string(&writer, "hash", plan->model_hash);
    if (plan->keep_overridable)
        mly_json_put_bool(&writer, "keep_overridable", true);
    mly_json_end_object(&writer);
    mly_json_put_string(&writer, "host", plan->host_id);
    if (plan->host_cpus[0])
        mly_json_put_string(&writer, "host_cpus", plan->host_cpus);
    mly_json_put_string(&writer, "runtime", plan->runtime);
    if (plan->shapes[0])
        mly_json_put_string(&writer, "shapes", plan->shapes);
    mly_json_put_string(&writer, "planner", plan->planner);
    mly_json_put_string(&writer, "objective", mly_objective_name(plan->objective));
    if (plan->rate_per_s > 0)
        mly_json_put_number(&writer, "rate_per_s", plan->rate_per_s);
    if (plan->why)
        mly_json_put_string(&writer, "why", plan->why);
    if (plan->note)
        mly_json_put_string(&writer, "note", plan->note);
    put_prediction(&writer, &plan->prediction);
    mly_json_put_int(&writer, "batch", plan->batch);
    put_numbers(&writer, "ladder", plan->ladder, plan->ladder_count);
    mly_json_put_int(&writer, "in_flight", plan->in_flight);
    mly_json_begin_array(&writer, "processors");
    for (uint32_t i = 0; i < plan->processor_count; i++)
        put_processor(&writer, &plan->processors[i]);
    mly_json_end_array(&writer);
    put_segments(&writer, plan->segments, plan->segment_count);
    put_family(&writer, plan);
    mly_json_begin_array(&writer, "candidates");
    for (uint32_t i = 0; i < plan->candidate_count; i++)
        put_candidate(&writer, &plan->candidates[i]);
    mly_json_end_array(&writer);
    mly_json_end_object(&writer);
    return mly_json_finish(&writer, text, length, err);
}

enum mly_status mly_plan_save(const mly_plan *plan, const char *path, struct mly_error *err)
{
    char *text;
    size_t length;
    enum mly_status status = mly_plan_format(plan, &text, &length, err);
    if (status)
        return mly_error_prefix(err, status, "%s", path);
    if (length > MLY__PLAN_TEXT_BYTES_MAX)
        status = mly_error_set(err, MLY_E_LIMIT, "%s: %zu bytes of plan; at most %zu are read",
                               path, length, MLY__PLAN_TEXT_BYTES_MAX);
    else
        status = mly_file_write(path, text, length, err);
    mly_free(text);
    return status;
}
