/* Plans in memory: making, copying, freeing, and what users may ask of one. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "internal.h"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum mly_status note_cpus(mly_plan *plan, const mly_machine *machine, struct mly_error *err)
{
    struct mly_processor_list whole = {0};
    enum mly_status status = mly_machine_group(machine, MLY_GROUP_WHOLE, 1, true, &whole, err);
    if (status)
        return status;
    if (whole.count == 1 && !strchr(whole.items[0].id, '~')) /* else too scattered to be named */
        snprintf(plan->host_cpus, sizeof plan->host_cpus, "%s", whole.items[0].id);
    mly_processor_list_fini(&whole);
    return MLY_OK;
}

enum mly_status mly_plan_create(const mly_model *model, const mly_machine *machine, mly_plan **out,
                                struct mly_error *err)
{
    const char *hash;
    enum mly_status status = mly_model_hash(model, &hash, err);
    if (status)
        return status;
    mly_plan *plan = mly_alloc(sizeof *plan);
    if (!plan || !(plan->model_path = mly_strdup(mly_model_path(model)))) {
        mly_plan_destroy(plan);
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a plan");
    }
    snprintf(plan->model_name, sizeof plan->model_name, "%s", base_name(plan->model_path));
    snprintf(plan->model_hash, sizeof plan->model_hash, "%s", hash);
    snprintf(plan->host_id, sizeof plan->host_id, "%s", mly_machine_info(machine)->host_id);
    plan->keep_overridable = mly_model_keeps_overridable(model);
    status = note_cpus(plan, machine, err);
    if (status) {
        mly_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return MLY_OK;
}

void mly__plan_candidates_free(struct mly_plan_candidate *candidates, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mly_free(candidates[i].description);
    mly_free(candidates);
}

void mly__plan_runs_free(mly_plan *plan)
{
    for (uint32_t i = 0; i < plan->run_count; i++)
        mly_free(plan->runs[i].reason);
    mly_free(plan->runs);
    plan->runs = NULL;
    plan->run_count = 0;
}

void mly__plan_segments_free(struct mly_plan_segment *segments, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        mly_free(segments[i].name);
        mly_free(segments[i].nodes);
        mly_free(segments[i].processors);
        mly_free(segments[i].shares);
        mly_free(segments[i].times);
    }
    mly_free(segments);
}

void mly__plan_family_free(struct mly_plan_member *family, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        mly_free(family[i].ladder);
        mly__plan_segments_free(family[i].segments, family[i].segment_count);
    }
    mly_free(family);
}

struct mly_plan_member mly__plan_way(const mly_plan *plan)
{
    return (struct mly_plan_member){.batch = plan->batch,
                                    .ladder = plan->ladder,
                                    .ladder_count = plan->ladder_count,
                                    .in_flight = plan->in_flight,
                                    .segments = plan->segments,
                                    .segment_count = plan->segment_count,
                                    .prediction = plan->prediction};
}

void mly__plan_set_way(mly_plan *plan, const struct mly_plan_member *way)
{
    plan->batch = way->batch;
    plan->ladder = way->ladder;
    plan->ladder_count = way->ladder_count;
    plan->in_flight = way->in_flight;
    plan->segments = way->segments;
    plan->segment_count = way->segment_count;
    plan->prediction = way->prediction;
}

void mly_plan_destroy(mly_plan *plan)
{
    if (!plan)
        return;
    for (uint32_t i = 0; i < plan->processor_count; i++)
        mly_free(plan->processors[i].cpus);
    mly__plan_segments_free(plan->segments, plan->segment_count);
    mly__plan_family_free(plan->family, plan->family_count);
    mly__plan_candidates_free(plan->candidates, plan->candidate_count);
    mly_free(plan->processors);
    mly_free(plan->ladder);
    mly_free(plan->model_path);
    mly_free(plan->why);
    mly_free(plan->note);
    mly_free(plan->account);
    mly__plan_runs_free(plan);
    mly_free(plan);
}

/*
 * --- copying; each returns false when memory is short, and what was copied so far is in the copy
 * ---
 */

static bool dup_text(const char *text, char **out)
{
    *out = text ? mly_strdup(text) : NULL;
    return *out || !text;
}

static bool dup_numbers(const uint32_t *numbers, uint32_t count, uint32_t **out)
{
    *out = count ? mly_alloc_array(count, sizeof **out) : NULL;
    if (*out)
        memcpy(*out, numbers, count * sizeof **out);
    return *out || !count;
}

static bool dup_times(const struct mly_plan_segment *from, struct mly_plan_segment *to)
{
    to->times = from->time_count ? mly_alloc_array(from->time_count, sizeof *to->times) : NULL;
    if (to->times)
        memcpy(to->times, from->times, from->time_count * sizeof *to->times);
    to->time_count = to->times ? from->time_count : 0;
    return to->times || !from->time_count;
}

bool mly__plan_add_processor(mly_plan *plan, const struct mly_plan_processor *processor)
{
    struct mly_plan_processor *to = &plan->processors[plan->processor_count++];
    *to = *processor;
    if (dup_numbers(processor->cpus, processor->cpu_count, &to->cpus))
        return true;
    to->cpu_count = 0;
    return false;
}

static bool dup_processors(const mly_plan *plan, mly_plan *copy)
{
    if (!plan->processor_count)
        return true;
    copy->processors = mly_alloc_array(plan->processor_count, sizeof *copy->processors);
    if (!copy->processors)
        return false;
    for (uint32_t i = 0; i < plan->processor_count; i++)
        if (!mly__plan_add_processor(copy, &plan->processors[i]))
            return false;
    return true;
}

static bool dup_segments(const struct mly_plan_segment *segments, uint32_t count,
                         struct mly_plan_segment **out, uint32_t *out_count)
{
    if (!count)
        return true;
    struct mly_plan_segment *copies = *out = mly_alloc_array(count, sizeof *copies);
    if (!copies)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct mly_plan_segment *from = &segments[i];
        struct mly_plan_segment *to = &copies[(*out_count)++];
        to->node_count = from->node_count;
        to->processor_count = from->processor_count;
        if (!dup_text(from->name, &to->name) ||
            !dup_numbers(from->nodes, from->node_count, &to->nodes) ||
            !dup_numbers(from->processors, from->processor_count, &to->processors) ||
            !dup_numbers(from->shares, from->shares ? from->processor_count : 0, &to->shares) ||
            !dup_times(from, to))
            return false;
    }
    return true;
}

static bool dup_family(const mly_plan *plan, mly_plan *copy)
{
    if (!plan->family_count)
        return true;
    copy->family = mly_alloc_array(plan->family_count, sizeof *copy->family);
    if (!copy->family)
        return false;
    for (uint32_t i = 0; i < plan->family_count; i++) {
        const struct mly_plan_member *from = &plan->family[i];
        struct mly_plan_member *to = &copy->family[copy->family_count++];
        *to = *from;
        to->ladder = NULL;
        to->segments = NULL;
        to->segment_count = 0;
        if (!dup_numbers(from->ladder, from->ladder_count, &to->ladder) ||
            !dup_segments(from->segments, from->segment_count, &to->segments, &to->segment_count))
            return false;
    }
    return true;
}

static bool dup_candidates(const mly_plan *plan, mly_plan *copy)
{
    if (!plan->candidate_count)
        return true;
    copy->candidates = mly_alloc_array(plan->candidate_count, sizeof *copy->candidates);
    if (!copy->candidates)
        return false;
    for (uint32_t i = 0; i < plan->candidate_count; i++) {
        struct mly_plan_candidate *to = &copy->candidates[copy->candidate_count++];
        *to = plan->candidates[i];
        if (!dup_text(plan->candidates[i].description, &to->description))
            return false;
    }
    return true;
}

enum mly_status mly_plan_dup(const mly_plan *plan, mly_plan **out, struct mly_error *err)
{
    mly_plan *copy = mly_alloc(sizeof *copy);
    if (!copy)
        goto fail;
    *copy = *plan;
    copy->model_path = copy->why = copy->note = copy->account = NULL;
    copy->runs = NULL;
    copy->run_count = 0;
    copy->ladder = NULL;
    copy->processors = NULL;
    copy->segments = NULL;
    copy->family = NULL;
    copy->candidates = NULL;
    copy->processor_count = copy->segment_count = copy->candidate_count = copy->family_count = 0;
    if (!dup_text(plan->model_path, &copy->model_path) || !dup_text(plan->why, &copy->why) ||
        !dup_text(plan->note, &copy->note) || !dup_text(plan->account, &copy->account) ||
        !dup_numbers(plan->ladder, plan->ladder_count, &copy->ladder) ||
        !dup_processors(plan, copy) ||
        !dup_segments(plan->segments, plan->segment_count, &copy->segments, &copy->segment_count) ||
        !dup_family(plan, copy) || !dup_candidates(plan, copy))
        goto fail;
    *out = copy;
    return MLY_OK;

fail:
    mly_plan_destroy(copy);
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a copy of a plan");
}

static bool fill_part(struct mly_plan_segment *segment, uint32_t part, const mly_plan *plan,
                      uint32_t node_count, const uint32_t *part_of_node)
{
    segment->name = mly_strfmt("s%u", part);
    segment->nodes = mly_alloc_array(node_count, sizeof *segment->nodes);
    segment->processors = mly_alloc_array(plan->processor_count, sizeof *segment->processors);
    if (!segment->name || !segment->nodes || !segment->processors)
        return false;
    for (uint32_t n = 0; n < node_count; n++)
        if (part_of_node[n] == part)
            segment->nodes[segment->node_count++] = n;
    for (uint32_t i = 0; i < plan->processor_count; i++)
        segment->processors[segment->processor_count++] = i;
    return true;
}

enum mly_status mly_plan_recut(mly_plan *plan, uint32_t node_count, const uint32_t *part_of_node,
                               uint32_t part_count, struct mly_error *err)
{
    mly__plan_segments_free(plan->segments, plan->segment_count);
    plan->segment_count = 0;
    plan->prediction = (struct mly_prediction){0};
    plan->segments = mly_alloc_array(part_count, sizeof *plan->segments);
    bool made = plan->segments != NULL;
    while (made && plan->segment_count < part_count) {
        const uint32_t part = plan->segment_count++;
        made = fill_part(&plan->segments[part], part, plan, node_count, part_of_node);
    }
    return made ? MLY_OK
                : mly_error_set(err, MLY_E_NO_MEMORY, "no memory for %u segments", part_count);
}

bool mly__plan_is_modelled(const struct mly_plan_processor *processor)
{
    return !strcmp(processor->backend, "modelled");
}

/* --- what users may ask --- */

double mly_plan_throughput_per_s(const mly_plan *plan)
{
    return plan->prediction.known ? plan->prediction.throughput_per_s : 0;
}

double mly_plan_latency_ns(const mly_plan *plan)
{
    return plan->prediction.known ? plan->prediction.latency_ns : 0;
}

const char *mly_plan_model_path(const mly_plan *plan)
{
    return plan->model_path ? plan->model_path : "";
}

uint32_t mly_plan_batch(const mly_plan *plan)
{
    return plan->batch;
}

/* --- objectives --- */

static const char *const objective_names[] = {
    [MLY_OBJECTIVE_THROUGHPUT] = "throughput",
    [MLY_OBJECTIVE_LATENCY] = "latency",
    [MLY_OBJECTIVE_LATENCY_AT_RATE] = "latency-at-rate",
    [MLY_OBJECTIVE_ENERGY] = "energy",
};

const char *mly_objective_name(enum mly_objective objective)
{
    return (unsigned)objective < MLY__COUNT(objective_names) ? objective_names[objective]
                                                             : "unknown";
}

enum mly_status mly_objective_parse(const char *word, enum mly_objective *out,
                                    struct mly_error *err)
{
    for (unsigned i = 0; i < MLY__COUNT(objective_names); i++) {
        if (!strcmp(word, objective_names[i])) {
            *out = (enum mly_objective)i;
            return MLY_OK;
        }
    }
    return mly_error_set(err, MLY_E_INVALID,
                         "'%.60s' is no objective; throughput, latency, latency-at-rate and "
                         "energy are",
                         word);
}
