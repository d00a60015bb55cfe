/* Reading plans: segments, with their nodes, processors, shares and times. */
#include <string.h>

#include "base/alloc.h"
#include "parse.h"

/* One range [first, last], appended to the segment's nodes. */
static enum mly_status read_range(struct mly__plan_reader *r, struct mly_json range,
                                  struct mly_plan_segment *segment, size_t *capacity,
                                  struct mly_error *err)
{
    int64_t first, last;
    if (!mly_json_is_array(range) || mly_json_length(range) != 2)
        return mly__plan_refuse(r, err, range,
                                "expected a range such as [0, 17], first and last node");
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
        return mly__plan_refuse(r, err, range, "begins at %lld; ranges must ascend and not overlap",
                                (long long)first);
    if (last < first)
        return mly__plan_refuse(r, err, range, "ends at %lld before it begins at %lld",
                                (long long)last, (long long)first);
    const uint32_t count = (uint32_t)(last - first + 1);
    if (count > MLY__PLAN_NODES_MAX - r->node_count)
        return mly__plan_refuse(r, err, range, "more than %u nodes in all segments",
                                MLY__PLAN_NODES_MAX);
    if (mly_array_reserve(&segment->nodes, capacity, (size_t)segment->node_count + count,
                          sizeof *segment->nodes))
        return mly__plan_no_memory(r, err);
    for (int64_t node = first; node <= last; node++)
        segment->nodes[segment->node_count++] = (uint32_t)node;
    r->node_count += count;
    return MLY_OK;
}

static enum mly_status read_nodes(struct mly__plan_reader *r, struct mly_json object,
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
            status = mly__plan_refuse(r, err, nodes,
                                      "'%.40s' is neither \"all\" nor an array of ranges", word);
        return status;
    }
    if (!mly_json_is_array(nodes) || !mly_json_length(nodes))
        return mly__plan_refuse(r, err, nodes,
                                "expected \"all\" or ranges such as [[0, 17], [19, 19]]");
    const size_t count = mly_json_length(nodes);
    for (size_t i = 0; !status && i < count; i++)
        status = read_range(r, mly_json_element(nodes, i), segment, &capacity, err);
    return status;
}

/* As many as there are processors, none of them 0; whether they make the batch is for the check. */
static enum mly_status read_shares(struct mly__plan_reader *r, struct mly_json object,
                                   struct mly_plan_segment *segment, struct mly_error *err)
{
    struct mly_json shares;
    uint32_t count = 0;
    enum mly_status status =
        mly__plan_read_array(r, object, "shares", 0, MLY__PLAN_PROCESSORS_MAX, &shares, err);
    if (!status && shares.impl && mly_json_length(shares) != segment->processor_count)
        status = mly__plan_refuse(r, err, shares, "has %zu elements; there are %u processors",
                                  mly_json_length(shares), segment->processor_count);
    return status ? status
                  : mly__plan_read_numbers(r, shares, 1, MLY__PLAN_BATCH_MAX, false,
                                           &segment->shares, &count, err);
}

static enum mly_status read_basis(const struct mly__plan_reader *r, struct mly_json object,
                                  enum mly_plan_basis *out, struct mly_error *err)
{
    struct mly_json value = mly_json_member_opt(object, "basis");
    const char *word;
    if (!value.impl)
        return mly__plan_refuse(r, err, value, "missing");
    enum mly_status status = mly_json_as_string(value, &word, err);
    for (int i = 0; !status && i < MLY_PLAN_BASIS_COUNT; i++) {
        if (!strcmp(word, mly_plan_basis_name((enum mly_plan_basis)i))) {
            *out = (enum mly_plan_basis)i;
            return MLY_OK;
        }
    }
    return status ? status
                  : mly__plan_refuse(r, err, value,
                                     "'%.40s' is not measured, estimated or modelled", word);
}

static bool is_of_segment(const struct mly_plan_segment *segment, uint32_t processor)
{
    for (uint32_t i = 0; i < segment->processor_count; i++)
        if (segment->processors[i] == processor)
            return true;
    return false;
}

static enum mly_status read_time(const struct mly__plan_reader *r, struct mly_json object,
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
        return mly__plan_refuse(r, err, mly_json_member_opt(object, "processor"),
                                "processor %u does not run this segment", t->processor);
    if (t->ns <= 0)
        return mly__plan_refuse(r, err, mly_json_member_opt(object, "ns"), "is not above 0");
    if (before && (t->processor < before->processor ||
                   (t->processor == before->processor && t->batch <= before->batch)))
        return mly__plan_refuse(
            r, err, object,
            "processor %u, batch %u follows processor %u, batch %u; they must ascend", t->processor,
            t->batch, before->processor, before->batch);
    return MLY_OK;
}

/* What the segment takes on its processors; up to as many batch sizes as a ladder has for each. */
static enum mly_status read_times(const struct mly__plan_reader *r, struct mly_json object,
                                  struct mly_plan_segment *segment, struct mly_error *err)
{
    struct mly_json array;
    enum mly_status status =
        mly__plan_read_array(r, object, "times", 0,
                             (size_t)segment->processor_count * MLY__PLAN_LADDER_MAX, &array, err);
    const size_t count = status ? 0 : mly_json_length(array);
    if (!count)
        return status;
    segment->times = mly_alloc_array(count, sizeof *segment->times);
    if (!segment->times)
        return mly__plan_no_memory(r, err);
    while (!status && segment->time_count < count) {
        const uint32_t i = segment->time_count++;
        status = read_time(r, mly_json_element(array, i), segment, &segment->times[i], err);
    }
    return status;
}

static enum mly_status read_segment(struct mly__plan_reader *r, struct mly_json object,
                                    uint32_t number, struct mly_plan_segment *segment,
                                    struct mly_error *err)
{
    static const char *const known[] = {"name", "nodes", "processors", "shares", "times", NULL};
    struct mly_json processors;
    enum mly_status status = mly_json_only(object, known, err);
    if (!status)
        status = mly__plan_read_copy(r, object, "name", &segment->name, err);
    if (!status && !segment->name) {
        segment->name = mly_strfmt("s%u", number);
        status = segment->name ? MLY_OK : mly__plan_no_memory(r, err);
    }
    if (!status)
        status = read_nodes(r, object, segment, err);
    if (!status)
        status = mly__plan_read_array(r, object, "processors", 1, MLY__PLAN_PROCESSORS_MAX,
                                      &processors, err);
    if (!status)
        status = mly__plan_read_numbers(r, processors, 0, r->plan->processor_count - 1, true,
                                        &segment->processors, &segment->processor_count, err);
    if (!status)
        status = read_shares(r, object, segment, err);
    return status ? status : read_times(r, object, segment, err);
}

enum mly_status mly__plan_read_segments(struct mly__plan_reader *r, struct mly_json object,
                                        struct mly_plan_segment **segments, uint32_t *segment_count,
                                        struct mly_error *err)
{
    struct mly_json array;
    enum mly_status status =
        mly__plan_read_array(r, object, "segments", 1, MLY__PLAN_SEGMENTS_MAX, &array, err);
    if (status)
        return status;
    const size_t count = mly_json_length(array);
    *segments = mly_alloc_array(count, sizeof **segments);
    if (!*segments)
        return mly__plan_no_memory(r, err);
    while (!status && *segment_count < count) {
        const uint32_t i = (*segment_count)++;
        struct mly_json element = mly_json_element(array, i);
        status = read_segment(r, element, i, &(*segments)[i], err);
        if (!status && !(*segments)[i].node_count && count > 1)
            status = mly__plan_refuse(r, err, mly_json_member_opt(element, "nodes"),
                                      "\"all\" in a plan of several segments");
    }
    return status;
}
