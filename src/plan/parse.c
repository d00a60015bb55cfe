/*
 * Reading plans. What a person may leave out when writing one by hand has a default; everything
 * that is there is checked, and nothing unknown is let pass. Whether a plan fits a model and a
 * machine is for mly_plan_check.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "internal.h"

/* The file's name for messages, and where the plan grows. */
struct reader {
    const char *name;
    mly_plan *plan;
    uint32_t node_count; /* in all segments so far */
};

/* --- values --- */

static MLY_PRINTF(4, 5) enum mly_status refuse(const struct reader *r, struct mly_error *err,
                                               struct mly_json at, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return mly_error_set(err, MLY_E_FORMAT, "%s: %s: %s", r->name, at.where, message);
}

static enum mly_status no_memory(const struct reader *r, struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "%s: no memory for a plan", r->name);
}

/* An array member of min to max elements; absent when it may be. */
static enum mly_status read_array(const struct reader *r, struct mly_json object, const char *key,
                                  size_t min, size_t max, struct mly_json *out,
                                  struct mly_error *err)
{
    struct mly_json array = mly_json_member_opt(object, key);
    const size_t count = mly_json_length(array);
    *out = array;
    if (!array.impl && min)
        return refuse(r, err, array, "missing");
    if (array.impl && !mly_json_is_array(array))
        return refuse(r, err, array, "expected an array");
    if (array.impl && (count < min || count > max))
        return refuse(r, err, array, "has %zu elements; %zu to %zu are allowed", count, min, max);
    return MLY_OK;
}

/*
 * A string of at most size - 1 bytes into text, which keeps its default when the member is absent.
 */
static enum mly_status read_text(const struct reader *r, struct mly_json object, const char *key,
                                 bool required, char *text, size_t size, struct mly_error *err)
{
    struct mly_json value = mly_json_member_opt(object, key);
    const char *string;
    if (!value.impl && !required)
        return MLY_OK;
    if (!value.impl)
        return refuse(r, err, value, "missing");
    enum mly_status status = mly_json_as_string(value, &string, err);
    if (status)
        return status;
    if (required && !*string)
        return refuse(r, err, value, "is empty");
    if (strlen(string) >= size)
        return refuse(r, err, value, "more than %zu bytes", size - 1);
    memcpy(text, string, strlen(string) + 1);
    return MLY_OK;
}

/* A string of any length as a copy; NULL when it is absent. */
static enum mly_status read_copy(const struct reader *r, struct mly_json object, const char *key,
                                 char **out, struct mly_error *err)
{
    struct mly_json value = mly_json_member_opt(object, key);
    const char *string;
    if (!value.impl)
        return MLY_OK;
    enum mly_status status = mly_json_as_string(value, &string, err);
    if (status)
        return status;
    *out = mly_strdup(string);
    return *out ? MLY_OK : no_memory(r, err);
}

static enum mly_status read_u32(struct mly_json object, const char *key, uint32_t min, uint32_t max,
                                uint32_t *out, struct mly_error *err)
{
    struct mly_json value = mly_json_member_opt(object, key);
    int64_t number;
    if (!value.impl)
        return MLY_OK;
    enum mly_status status = mly_json_as_int(value, min, max, &number, err);
    if (!status)
        *out = (uint32_t)number;
    return status;
}

static enum mly_status read_bool(struct mly_json object, const char *key, bool *out,
                                 struct mly_error *err)
{
    return mly_json_member_opt(object, key).impl ? mly_json_bool(object, key, out, err) : MLY_OK;
}

/* An array of distinct numbers below `limit` into *out; ascending ones when `ascending`. */
static enum mly_status read_numbers(const struct reader *r, struct mly_json array, uint32_t min,
                                    uint32_t max, bool ascending, uint32_t **out,
                                    uint32_t *out_count, struct mly_error *err)
{
    const uint32_t count = (uint32_t)mly_json_length(array);
    if (!count)
        return MLY_OK;
    uint32_t *numbers = mly_alloc_array(count, sizeof *numbers);
    if (!numbers)
        return no_memory(r, err);
    *out = numbers; /* the plan owns it from here on */
    *out_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct mly_json element = mly_json_element(array, i);
        int64_t number;
        enum mly_status status = mly_json_as_int(element, min, max, &number, err);
        if (status)
            return status;
        if (ascending && i && number <= numbers[i - 1])
            return refuse(r, err, element, "%lld follows %u; the numbers must ascend",
                          (long long)number, numbers[i - 1]);
        numbers[i] = (uint32_t)number;
    }
    return MLY_OK;
}

static enum mly_status read_prediction(struct mly_json object, struct mly_prediction *out,
                                       struct mly_error *err)
{
    static const char *const known[] = {
        "measured",     "modelled", "throughput_per_s",  "latency_ns", "spread",
        "memory_bytes", "energy_j", "loaded_latency_ns", NULL};
    struct mly_json value = mly_json_member_opt(object, "prediction");
    const struct {
        const char *key;
        double *out;
    } numbers[] = {
        {"throughput_per_s", &out->throughput_per_s},
        {"latency_ns", &out->latency_ns},
        {"spread", &out->spread},
        {"memory_bytes", &out->memory_bytes},
    };
    const struct {
        const char *key;
        double *out;
    } optional[] = {
        {"energy_j", &out->energy_j},
        {"loaded_latency_ns", &out->loaded_latency_ns},
    };
    if (!value.impl)
        return MLY_OK;
    enum mly_status status = mly_json_only(value, known, err);
    if (!status)
        status = mly_json_bool(value, "measured", &out->measured, err);
    if (!status)
        status = mly_json_bool(value, "modelled", &out->modelled, err);
    for (size_t i = 0; !status && i < MLY__COUNT(numbers); i++)
        status =
            mly_json_number(value, numbers[i].key, 0, MLY__PLAN_NUMBER_MAX, numbers[i].out, err);
    for (size_t i = 0; !status && i < MLY__COUNT(optional); i++)
        if (mly_json_member_opt(value, optional[i].key).impl)
            status = mly_json_number(value, optional[i].key, 0, MLY__PLAN_NUMBER_MAX,
                                     optional[i].out, err);
    out->known = true;
    return status;
}

/* --- processors --- */

static enum mly_status read_processor(const struct reader *r, struct mly_json object,
                                      struct mly_plan_processor *p, struct mly_error *err)
{
    static const char *const known[] = {"id",   "kind", "backend",          "cpus", "threads",
                                        "spin", "pin",  "runtime_defaults", NULL};
    struct mly_json cpus;
    memcpy(p->backend, "ort", sizeof "ort");
    enum mly_status status = mly_json_only(object, known, err);
    if (!status)
        status = read_text(r, object, "id", true, p->id, sizeof p->id, err);
    if (!status)
        status = read_text(r, object, "kind", true, p->kind, sizeof p->kind, err);
    if (!status && mly_json_member_opt(object, "backend").impl)
        status = read_text(r, object, "backend", true, p->backend, sizeof p->backend, err);
    if (!status)
        status = read_array(r, object, "cpus", 0, MLY__PLAN_CPUS_MAX, &cpus, err);
    if (!status)
        status = read_numbers(r, cpus, 0, INT32_MAX, false, &p->cpus, &p->cpu_count, err);
    if (status)
        return status;
    p->threads = p->cpu_count ? p->cpu_count : 1;
    p->pin = p->cpu_count > 0;
    status = read_u32(object, "threads", 0, MLY__PLAN_CPUS_MAX, &p->threads, err);
    if (!status)
        status = read_bool(object, "spin", &p->spin, err);
    if (!status)
        status = read_bool(object, "pin", &p->pin, err);
    if (!status)
        status = read_bool(object, "runtime_defaults", &p->runtime_defaults, err);
    return status;
}

static enum mly_status read_processors(struct reader *r, struct mly_json root,
                                       struct mly_error *err)
{
    struct mly_json array;
    enum mly_status status =
        read_array(r, root, "processors", 1, MLY__PLAN_PROCESSORS_MAX, &array, err);
    if (status)
        return status;
    const size_t count = mly_json_length(array);
    r->plan->processors = mly_alloc_array(count, sizeof *r->plan->processors);
    if (!r->plan->processors)
        return no_memory(r, err);
    while (!status && r->plan->processor_count < count) {
        const uint32_t i = r->plan->processor_count++;
        status = read_processor(r, mly_json_element(array, i), &r->plan->processors[i], err);
    }
    return status;
}

/* --- segments --- */

/* One range [first, last], appended to the segment's nodes. */
static enum mly_status read_range(struct reader *r, struct mly_json range,
                                  struct mly_plan_segment *segment, size_t *capacity,
                                  struct mly_error *err)
{
    int64_t first, last;
    if (!mly_json_is_array(range) || mly_json_length(range) != 2)
        return refuse(r, err, range, "expected a range such as [0, 17], first and last node");
    const int64_t least =
        segment->node_count ? (int64_t)segment->nodes[segment->node_count - 1] + 1 : 0;
    enum mly_status status =
        mly_json_as_int(mly_json_element(range, 0), 0, MLY__PLAN_NODES_MAX - 1, &first, err);
    if (!status)
        status =
            mly_json_as_int(mly_json_element(range, 1), 0, MLY__PLAN_NODES_MAX - 1, &last, err);
    if (status)
        return status;
    if (first < least)
        return refuse(r, err, range, "begins at %lld; ranges must ascend and not overlap",
                      (long long)first);
    if (last < first)
        return refuse(r, err, range, "ends at %lld before it begins at %lld", (long long)last,
                      (long long)first);
    const uint32_t count = (uint32_t)(last - first + 1);
    if (count > MLY__PLAN_NODES_MAX - r->node_count)
        return refuse(r, err, range, "more than %u nodes in all segments", MLY__PLAN_NODES_MAX);
    if (mly_array_reserve(&segment->nodes, capacity, (size_t)segment->node_count + count,
                          sizeof *segment->nodes))
        return no_memory(r, err);
    for (int64_t node = first; node <= last; node++)
        segment->nodes[segment->node_count++] = (uint32_t)node;
    r->node_count += count;
    return MLY_OK;
}

static enum mly_status read_nodes(struct reader *r, struct mly_json object,
                                  struct mly_plan_segment *segment, struct mly_error *err)
{
    struct mly_json nodes;
    const char *word;
    size_t capacity = 0;
    enum mly_status status = mly_json_member(object, "nodes", &nodes, err);
    if (status)
        return status;
    if (mly_json_is_string(nodes)) {
        status = mly_json_as_string(nodes, &word, err);
        if (!status && strcmp(word, "all"))
            status =
                refuse(r, err, nodes, "'%.40s' is neither \"all\" nor an array of ranges", word);
        return status;
    }
    if (!mly_json_is_array(nodes) || !mly_json_length(nodes))
        return refuse(r, err, nodes, "expected \"all\" or ranges such as [[0, 17], [19, 19]]");
    const size_t count = mly_json_length(nodes);
    for (size_t i = 0; !status && i < count; i++)
        status = read_range(r, mly_json_element(nodes, i), segment, &capacity, err);
    return status;
}

/* As many as there are processors, none of them 0; whether they make the batch is for the check. */
static enum mly_status read_shares(struct reader *r, struct mly_json object,
                                   struct mly_plan_segment *segment, struct mly_error *err)
{
    struct mly_json shares;
    uint32_t count = 0;
    enum mly_status status =
        read_array(r, object, "shares", 0, MLY__PLAN_PROCESSORS_MAX, &shares, err);
    if (!status && shares.impl && mly_json_length(shares) != segment->processor_count)
        status = refuse(r, err, shares, "has %zu elements; there are %u processors",
                        mly_json_length(shares), segment->processor_count);
    return status ? status
                  : read_numbers(r, shares, 1, MLY__PLAN_BATCH_MAX, false, &segment->shares, &count,
                                 err);
}

static enum mly_status read_basis(const struct reader *r, struct mly_json object,
                                  enum mly_plan_basis *out, struct mly_error *err)
{
    struct mly_json value = mly_json_member_opt(object, "basis");
    const char *word;
    if (!value.impl)
        return refuse(r, err, value, "missing");
    enum mly_status status = mly_json_as_string(value, &word, err);
    for (int i = 0; !status && i < MLY_PLAN_BASIS_COUNT; i++) {
        if (!strcmp(word, mly_plan_basis_name((enum mly_plan_basis)i))) {
            *out = (enum mly_plan_basis)i;
            return MLY_OK;
        }
    }
    return status ? status
                  : refuse(r, err, value, "'%.40s' is not measured, estimated or modelled", word);
}

static bool is_of_segment(const struct mly_plan_segment *segment, uint32_t processor)
{
    for (uint32_t i = 0; i < segment->processor_count; i++)
        if (segment->processors[i] == processor)
            return true;
    return false;
}

static enum mly_status read_time(const struct reader *r, struct mly_json object,
                                 const struct mly_plan_segment *segment, struct mly_plan_time *t,
                                 struct mly_error *err)
{
    static const char *const known[] = {"processor", "batch", "ns", "basis", NULL};
    const struct mly_plan_time *before = t > segment->times ? t - 1 : NULL;
    int64_t processor = 0, batch = 0;
    enum mly_status status = mly_json_only(object, known, err);
    if (!status)
        status =
            mly_json_int(object, "processor", 0, r->plan->processor_count - 1, &processor, err);
    if (!status)
        status = mly_json_int(object, "batch", 1, MLY__PLAN_BATCH_MAX, &batch, err);
    if (!status)
        status = mly_json_number(object, "ns", 0, MLY__PLAN_TIME_NS_MAX, &t->ns, err);
    if (!status)
        status = read_basis(r, object, &t->basis, err);
    if (status)
        return status;
    t->processor = (uint32_t)processor;
    t->batch = (uint32_t)batch;
    if (!is_of_segment(segment, t->processor))
        return refuse(r, err, mly_json_member_opt(object, "processor"),
                      "processor %u does not run this segment", t->processor);
    if (t->ns <= 0)
        return refuse(r, err, mly_json_member_opt(object, "ns"), "is not above 0");
    if (before && (t->processor < before->processor ||
                   (t->processor == before->processor && t->batch <= before->batch)))
        return refuse(r, err, object,
                      "processor %u, batch %u follows processor %u, batch %u; they must ascend",
                      t->processor, t->batch, before->processor, before->batch);
    return MLY_OK;
}

/* What the segment takes on its processors; up to as many batch sizes as a ladder has for each. */
static enum mly_status read_times(const struct reader *r, struct mly_json object,
                                  struct mly_plan_segment *segment, struct mly_error *err)
{
    struct mly_json array;
    enum mly_status status =
        read_array(r, object, "times", 0, (size_t)segment->processor_count * MLY__PLAN_LADDER_MAX,
                   &array, err);
    const size_t count = status ? 0 : mly_json_length(array);
    if (!count)
        return status;
    segment->times = mly_alloc_array(count, sizeof *segment->times);
    if (!segment->times)
        return no_memory(r, err);
    while (!status && segment->time_count < count) {
        const uint32_t i = segment->time_count++;
        status = read_time(r, mly_json_element(array, i), segment, &segment->times[i], err);
    }
    return status;
}

static enum mly_status read_segment(struct reader *r, struct mly_json object, uint32_t number,
                                    struct mly_plan_segment *segment, struct mly_error *err)
{
    static const char *const known[] = {"name", "nodes", "processors", "shares", "times", NULL};
    struct mly_json processors;
    enum mly_status status = mly_json_only(object, known, err);
    if (!status)
        status = read_copy(r, object, "name", &segment->name, err);
    if (!status && !segment->name) {
        segment->name = mly_strfmt("s%u", number);
        status = segment->name ? MLY_OK : no_memory(r, err);
    }
    if (!status)
        status = read_nodes(r, object, segment, err);
    if (!status)
        status = read_array(r, object, "processors", 1, MLY__PLAN_PROCESSORS_MAX, &processors, err);
    if (!status)
        status = read_numbers(r, processors, 0, r->plan->processor_count - 1, true,
                              &segment->processors, &segment->processor_count, err);
    if (!status)
        status = read_shares(r, object, segment, err);
    return status ? status : read_times(r, object, segment, err);
}

static enum mly_status read_segments(struct reader *r, struct mly_json object,
                                     struct mly_plan_segment **segments, uint32_t *segment_count,
                                     struct mly_error *err)
{
    struct mly_json array;
    enum mly_status status =
        read_array(r, object, "segments", 1, MLY__PLAN_SEGMENTS_MAX, &array, err);
    if (status)
        return status;
    const size_t count = mly_json_length(array);
    *segments = mly_alloc_array(count, sizeof **segments);
    if (!*segments)
        return no_memory(r, err);
    while (!status && *segment_count < count) {
        const uint32_t i = (*segment_count)++;
        struct mly_json element = mly_json_element(array, i);
        status = read_segment(r, element, i, &(*segments)[i], err);
        if (!status && !(*segments)[i].node_count && count > 1)
            status = refuse(r, err, mly_json_member_opt(element, "nodes"),
                            "\"all\" in a plan of several segments");
    }
    return status;
}

/* --- the rest --- */

static enum mly_status read_candidates(struct reader *r, struct mly_json root,
                                       struct mly_error *err)
{
    static const char *const known[] = {"description", "planner",    "chosen",
                                        "baseline",    "prediction", NULL};
    struct mly_json array;
    enum mly_status status =
        read_array(r, root, "candidates", 0, MLY__PLAN_CANDIDATES_MAX, &array, err);
    const size_t count = status ? 0 : mly_json_length(array);
    if (!count)
        return status;
    r->plan->candidates = mly_alloc_array(count, sizeof *r->plan->candidates);
    if (!r->plan->candidates)
        return no_memory(r, err);
    while (!status && r->plan->candidate_count < count) {
        struct mly_json object = mly_json_element(array, r->plan->candidate_count);
        struct mly_plan_candidate *c = &r->plan->candidates[r->plan->candidate_count++];
        status = mly_json_only(object, known, err);
        if (!status && !mly_json_member_opt(object, "description").impl)
            status = refuse(r, err, mly_json_member_opt(object, "description"), "missing");
        if (!status)
            status = read_copy(r, object, "description", &c->description, err);
        if (!status)
            status = read_text(r, object, "planner", false, c->planner, sizeof c->planner, err);
        if (!status)
            status = read_bool(object, "chosen", &c->chosen, err);
        if (!status)
            status = read_bool(object, "baseline", &c->baseline, err);
        if (!status)
            status = read_prediction(object, &c->prediction, err);
    }
    return status;
}

/* As after -d: "cpu:0-3+8". */
static enum mly_status read_host_cpus(struct reader *r, struct mly_json root, struct mly_error *err)
{
    char *to = r->plan->host_cpus;
    enum mly_status status =
        read_text(r, root, "host_cpus", false, to, sizeof r->plan->host_cpus, err);
    if (!status && *to &&
        (strncmp(to, "cpu:", 4) != 0 || !to[4] ||
         to[4 + strspn(to + 4, "0123456789abcdefx+:-")] != '\0'))
        status = refuse(r, err, mly_json_member_opt(root, "host_cpus"),
                        "expected CPUs as in \"cpu:0-3+8\"");
    return status;
}

static enum mly_status read_model(struct reader *r, struct mly_json root, struct mly_error *err)
{
    static const char *const known[] = {"path", "name", "hash", "keep_overridable", NULL};
    mly_plan *plan = r->plan;
    struct mly_json object, path;
    enum mly_status status = mly_json_member(root, "model", &object, err);
    if (!status)
        status = mly_json_only(object, known, err);
    if (!status)
        status = mly_json_member(object, "path", &path, err);
    if (!status)
        status = read_copy(r, object, "path", &plan->model_path, err);
    if (!status && !*plan->model_path)
        status = refuse(r, err, path, "is empty");
    if (!status)
        status =
            read_text(r, object, "name", false, plan->model_name, sizeof plan->model_name, err);
    if (!status)
        status = read_text(r, object, "hash", true, plan->model_hash, sizeof plan->model_hash, err);
    if (!status &&
        (strlen(plan->model_hash) != 64 || strspn(plan->model_hash, "0123456789abcdef") != 64))
        status = refuse(r, err, mly_json_member_opt(object, "hash"),
                        "expected 64 lower-case hexadecimal digits");
    if (!status && mly_json_member_opt(object, "keep_overridable").impl)
        status = mly_json_bool(object, "keep_overridable", &plan->keep_overridable, err);
    return status;
}

/*
 * Batch, ladder and how many batches are in flight, into a member: the plan itself is read as one.
 * Segments are there already.
 */
static enum mly_status read_batches(struct reader *r, struct mly_json object,
                                    struct mly_plan_member *m, struct mly_error *err)
{
    struct mly_json ladder;
    int64_t batch;
    enum mly_status status = mly_json_int(object, "batch", 1, MLY__PLAN_BATCH_MAX, &batch, err);
    if (!status)
        status = read_array(r, object, "ladder", 0, MLY__PLAN_LADDER_MAX, &ladder, err);
    if (status)
        return status;
    m->batch = (uint32_t)batch;
    status =
        read_numbers(r, ladder, 1, MLY__PLAN_BATCH_MAX, true, &m->ladder, &m->ladder_count, err);
    if (status)
        return status;
    if (!ladder.impl) {
        m->ladder = mly_alloc_array(1, sizeof *m->ladder);
        if (!m->ladder)
            return no_memory(r, err);
        m->ladder[m->ladder_count++] = m->batch;
    }
    bool found = false;
    for (uint32_t i = 0; i < m->ladder_count; i++)
        found = found || m->ladder[i] == m->batch;
    if (!found)
        return refuse(r, err, ladder, "does not have the batch size %u", m->batch);
    m->in_flight =
        2 * (m->segment_count > 1 ? r->plan->processor_count : m->segments[0].processor_count);
    return read_u32(object, "in_flight", 1, MLY__PLAN_IN_FLIGHT_MAX, &m->in_flight, err);
}

/* The plan's own way of running. What was read is the plan's, whether or not all was well. */
static enum mly_status read_way(struct reader *r, struct mly_json root, struct mly_error *err)
{
    mly_plan *plan = r->plan;
    struct mly_plan_member way = mly__plan_way(plan);
    enum mly_status status = read_segments(r, root, &way.segments, &way.segment_count, err);
    if (!status)
        status = read_batches(r, root, &way, err);
    mly__plan_set_way(plan, &way);
    return status;
}

static enum mly_status read_member(struct reader *r, struct mly_json object, double above,
                                   struct mly_plan_member *m, struct mly_error *err)
{
    static const char *const known[] = {"max_rate_per_s", "batch",      "ladder", "in_flight",
                                        "segments",       "prediction", NULL};
    enum mly_status status = mly_json_only(object, known, err);
    if (!status)
        status = mly_json_number(object, "max_rate_per_s", 0, MLY__PLAN_NUMBER_MAX,
                                 &m->max_rate_per_s, err);
    if (!status && m->max_rate_per_s <= above)
        status =
            refuse(r, err, mly_json_member_opt(object, "max_rate_per_s"),
                   "%g follows %g; the rates must ascend from above 0", m->max_rate_per_s, above);
    if (!status)
        status = read_segments(r, object, &m->segments, &m->segment_count, err);
    if (!status)
        status = read_batches(r, object, m, err);
    return status ? status : read_prediction(object, &m->prediction, err);
}

static enum mly_status read_family(struct reader *r, struct mly_json root, struct mly_error *err)
{
    struct mly_json array;
    enum mly_status status = read_array(r, root, "family", 0, MLY__PLAN_FAMILY_MAX, &array, err);
    const size_t count = status ? 0 : mly_json_length(array);
    if (!count)
        return status;
    r->plan->family = mly_alloc_array(count, sizeof *r->plan->family);
    if (!r->plan->family)
        return no_memory(r, err);
    while (!status && r->plan->family_count < count) {
        const uint32_t i = r->plan->family_count++;
        status =
            read_member(r, mly_json_element(array, i),
                        i ? r->plan->family[i - 1].max_rate_per_s : 0, &r->plan->family[i], err);
    }
    return status;
}

static enum mly_status read_objective(struct reader *r, struct mly_json root, struct mly_error *err)
{
    struct mly_json value = mly_json_member_opt(root, "objective");
    const char *word;
    struct mly_error reason;
    if (!value.impl)
        return MLY_OK;
    enum mly_status status = mly_json_as_string(value, &word, err);
    if (!status && mly_objective_parse(word, &r->plan->objective, &reason))
        status = refuse(r, err, value, "%s", reason.message);
    return status;
}

/* The marker comes first: of another version nothing else can be judged. */
static enum mly_status check_version(const char *name, struct mly_json root, struct mly_error *err)
{
    int64_t version;
    if (!mly_json_is_object(root) || !mly_json_member_opt(root, "motley_plan").impl)
        return mly_error_set(err, MLY_E_FORMAT,
                             "%s: motley_plan: missing; this is no plan of motley", name);
    enum mly_status status = mly_json_int(root, "motley_plan", 1, INT64_MAX, &version, err);
    if (!status && version > MLY__PLAN_VERSION)
        status = mly_error_set(err, MLY_E_UNSUPPORTED,
                               "%s: motley_plan: written by a newer motley in format %lld; this "
                               "one reads format %d",
                               name, (long long)version, MLY__PLAN_VERSION);
    return status;
}

static enum mly_status read_shapes(struct reader *r, struct mly_json root, struct mly_error *err)
{
    char *text = r->plan->shapes;
    struct mly_sizes sizes = {0};
    struct mly_error why;
    enum mly_status status = read_text(r, root, "shapes", false, text, sizeof r->plan->shapes, err);
    if (status)
        return status;
    status = mly_sizes_parse(text, &sizes, &why);
    mly_sizes_fini(&sizes);
    if (status == MLY_E_NO_MEMORY)
        return no_memory(r, err);
    return status ? refuse(r, err, mly_json_member_opt(root, "shapes"), "%s", why.message) : MLY_OK;
}

static enum mly_status read_plan(const char *name, struct mly_json root, mly_plan **out,
                                 struct mly_error *err)
{
    static const char *const known[] = {"motley_plan", "model",      "host",       "host_cpus",
                                        "runtime",     "planner",    "objective",  "why",
                                        "prediction",  "batch",      "ladder",     "in_flight",
                                        "segments",    "processors", "candidates", "family",
                                        "rate_per_s",  "note",       "shapes",     NULL};
    struct reader r = {.name = name};
    enum mly_status status = check_version(name, root, err);
    if (!status)
        status = mly_json_only(root, known, err);
    if (status)
        return status;
    mly_plan *plan = r.plan = mly_alloc(sizeof *plan);
    if (!plan)
        return no_memory(&r, err);
    status = read_model(&r, root, err);
    if (!status)
        status = read_text(&r, root, "host", true, plan->host_id, sizeof plan->host_id, err);
    if (!status)
        status = read_host_cpus(&r, root, err);
    if (!status)
        status = read_text(&r, root, "runtime", false, plan->runtime, sizeof plan->runtime, err);
    if (!status)
        status = read_shapes(&r, root, err);
    if (!status)
        status = read_text(&r, root, "planner", false, plan->planner, sizeof plan->planner, err);
    if (!status)
        status = read_objective(&r, root, err);
    if (!status)
        status = read_copy(&r, root, "why", &plan->why, err);
    if (!status)
        status = read_copy(&r, root, "note", &plan->note, err);
    if (!status && mly_json_member_opt(root, "rate_per_s").impl)
        status =
            mly_json_number(root, "rate_per_s", 0, MLY__PLAN_NUMBER_MAX, &plan->rate_per_s, err);
    if (!status)
        status = read_prediction(root, &plan->prediction, err);
    if (!status)
        status = read_processors(&r, root, err);
    if (!status)
        status = read_way(&r, root, err);
    if (!status)
        status = read_family(&r, root, err);
    if (!status)
        status = read_candidates(&r, root, err);
    if (status) {
        mly_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return MLY_OK;
}

enum mly_status mly_plan_parse(const char *name, const char *text, size_t length, mly_plan **out,
                               struct mly_error *err)
{
    mly_json_doc *doc;
    if (length > MLY__PLAN_TEXT_BYTES_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%s: %zu bytes; at most %zu are read", name, length,
                             MLY__PLAN_TEXT_BYTES_MAX);
    enum mly_status status = mly_json_parse(name, text, length, &doc, err);
    if (status)
        return status;
    status = read_plan(name, mly_json_root(doc), out, err);
    mly_json_destroy(doc);
    return status;
}

enum mly_status mly_plan_load(const char *path, mly_plan **out, struct mly_error *err)
{
    mly_json_doc *doc;
    enum mly_status status = mly_json_load(path, MLY__PLAN_TEXT_BYTES_MAX, &doc, err);
    if (status)
        return status;
    status = read_plan(path, mly_json_root(doc), out, err);
    mly_json_destroy(doc);
    return status;
}
