/*
 * Planners for whole models on equal core groups: `single` (one group of all cores, and the
 * baseline) and `groups` (every number of groups that was measured).
 *
 *   1. Entries of the whole model become candidates if they are what the request asks for and fit
 *      the machine and its memory. The baseline is always listed, though it cannot win where the
 *      user fixed another number of groups.
 *   2. The best wins by the rule of choose.c.
 *   3. The winner becomes a plan: the machine's own core groups, one session of everything on each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "internal.h"

static const char cpu_kind[] = "cpu";

/* An entry of the table that the machine can run. */
struct candidate {
    const struct mly_cost_entry *entry;
    struct mly_prediction prediction;
    double needed_bytes; /* by measurement or by the graph, whichever is more */
    char text[MLY__PLAN_CONFIG_TEXT_BYTES];
};

struct search {
    const struct mly_plan_request *request;
    const char *planner;
    bool one_group; /* `single`: all cores in one group */
    double memory_limit_bytes;
    uint32_t batch; /* wanted; 0: any */

    struct candidate *items;
    size_t count, capacity;
    double least_bytes; /* needed by the smallest of those left out for memory */
    uint32_t left_out;  /* … and their number */

    /* What was worked out last, since entries of one kind follow each other. */
    uint32_t sized_groups, smallest_group;
    uint32_t memory_batch;
    struct mly__plan_memory memory;
};

/* --- 1. candidates --- */

/* These planners know of the box's cores only. */
static enum mly_status check_processors(const struct mly_plan_request *request,
                                        struct mly_error *err)
{
    for (size_t i = 0; request->processors && i < request->processors->count; i++)
        if (strcmp(request->processors->items[i].kind, cpu_kind) != 0)
            return mly_error_set(err, MLY_E_UNSUPPORTED,
                                 "%s is no group of cores: planners single and groups plan for the "
                                 "CPU alone",
                                 request->processors->items[i].id);
    if (!request->costs)
        return mly_error_set(err, MLY_E_NOT_FOUND,
                             "nothing was measured of %s: run `motley "
                             "profile %s`",
                             mly_model_path(request->model), mly_model_path(request->model));
    return MLY_OK;
}

static enum mly_status check_request(const struct mly_plan_request *request, struct mly_error *err)
{
    enum mly_status fit = check_processors(request, err);
    if (fit)
        return fit;
    const struct mly_cost_identity *identity = mly_cost_table_identity(request->costs);
    const struct mly_machine_info *info = mly_machine_info(request->machine);
    const int64_t fixed = mly_model_fixed_batch(request->model);
    const char *hash;
    enum mly_status status = mly_model_hash(request->model, &hash, err);
    if (status)
        return status;
    if (strcmp(identity->model_hash, hash))
        return mly_error_set(err, MLY_E_MISMATCH,
                             "the costs are of another model (%s, %.12s…) than %s (%.12s…): run "
                             "`motley profile` for this one",
                             identity->model_name, identity->model_hash,
                             mly_model_path(request->model), hash);
    if (!request->costs_of_another && strcmp(identity->host_id, info->host_id))
        return mly_error_set(err, MLY_E_MISMATCH,
                             "the costs were measured on another box (%s, %.12s…) than this one "
                             "(%.12s…): run `motley profile` here",
                             identity->host_description, identity->host_id, info->host_id);
    if (fixed > 0 && request->batch && request->batch != fixed)
        return mly_error_set(err, MLY_E_INVALID,
                             "batch %u was asked for, but the model's batch is fixed at %lld",
                             request->batch, (long long)fixed);
    if (request->groups > info->cores)
        return mly_error_set(err, MLY_E_INVALID,
                             "%u core groups were asked for, but there are %u cores",
                             request->groups, info->cores);
    if (!(request->memory_limit_bytes >= 0))
        return mly_error_set(err, MLY_E_INVALID, "the memory limit is %g bytes",
                             request->memory_limit_bytes);
    return MLY_OK;
}

/* Cores of the smallest of `groups` groups; 0 if the machine cannot be cut so. */
static enum mly_status smallest_group(struct search *s, uint32_t groups, uint32_t *out,
                                      struct mly_error *err)
{
    struct mly_processor_list list;
    if (groups > mly_machine_info(s->request->machine)->cores) {
        *out = 0;
        return MLY_OK;
    }
    if (groups != s->sized_groups) {
        enum mly_status status =
            mly_machine_group(s->request->machine, MLY_GROUP_COUNT, groups, false, &list, err);
        if (status)
            return status;
        uint32_t smallest = list.count == groups ? UINT32_MAX : 0;
        for (size_t i = 0; i < list.count; i++)
            if (list.items[i].cpu_count < smallest)
                smallest = list.items[i].cpu_count;
        mly_processor_list_fini(&list);
        s->sized_groups = groups;
        s->smallest_group = smallest;
    }
    *out = s->smallest_group;
    return MLY_OK;
}

/* Is the entry what this search is about? MLY_OK with *fits false if not. */
static enum mly_status fits(struct search *s, const struct mly_cost_entry *entry, bool *out,
                            struct mly_error *err)
{
    const struct mly_cost_config *c = &entry->config;
    const struct mly_plan_request *request = s->request;
    uint32_t cores;
    *out = false;
    if (entry->scope != MLY_COST_MODEL || strcmp(c->processor_kind, cpu_kind) ||
        entry->median_ns <= 0)
        return MLY_OK;
    if (s->batch && c->batch != s->batch)
        return MLY_OK;
    if (c->runtime_defaults) {
        *out = true;
        return MLY_OK;
    }
    if (!c->threads || (request->groups && c->groups != request->groups))
        return MLY_OK;
    enum mly_status status = smallest_group(s, c->groups, &cores, err);
    if (!status)
        *out = s->one_group ? c->groups == 1 && c->threads == cores : c->threads <= cores;
    return status;
}

static enum mly_status add_candidate(struct search *s, const struct mly_cost_entry *entry,
                                     struct mly_error *err)
{
    const uint32_t batch = entry->config.batch;
    if (batch != s->memory_batch) {
        enum mly_status status = mly__plan_memory_whole(
            s->request->model, batch, mly__plan_shapes(s->request->costs), &s->memory, err);
        if (status)
            return status;
        s->memory_batch = batch;
    }
    struct candidate c = {.entry = entry, .prediction = mly__plan_predict_whole(entry, &s->memory)};
    c.needed_bytes = s->memory.weight_bytes + s->memory.activation_bytes * entry->config.groups;
    if (c.prediction.memory_bytes > c.needed_bytes)
        c.needed_bytes = c.prediction.memory_bytes;
    if (s->request->rate_per_s > 0)
        c.prediction.loaded_latency_ns = mly__queue_latency_ns(
            s->request->rate_per_s, batch, entry->config.groups, c.prediction.throughput_per_s,
            c.prediction.latency_ns, c.prediction.spread);
    if (s->memory_limit_bytes > 0 && c.needed_bytes > s->memory_limit_bytes) {
        if (!s->left_out++ || c.needed_bytes < s->least_bytes)
            s->least_bytes = c.needed_bytes;
        return MLY_OK;
    }
    if (mly_array_reserve(&s->items, &s->capacity, s->count + 1, sizeof *s->items))
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for the candidates of a plan");
    mly__plan_config_text(&entry->config, c.text);
    s->items[s->count++] = c;
    return MLY_OK;
}

/*
 * Latency is that of one sample, or of what the model or the user says: the least batch that was
 * measured.
 */
static enum mly_status least_batch(struct search *s, struct mly_error *err)
{
    for (size_t i = 0;; i++) {
        const struct mly_cost_entry *entry = mly_cost_table_at(s->request->costs, i);
        bool fit;
        if (!entry)
            return MLY_OK;
        if (entry->config.runtime_defaults || (s->batch && entry->config.batch >= s->batch))
            continue;
        const uint32_t before = s->batch;
        s->batch = 0;
        enum mly_status status = fits(s, entry, &fit, err);
        s->batch = !status && fit ? entry->config.batch : before;
        if (status)
            return status;
    }
}

static enum mly_status collect(struct search *s, struct mly_error *err)
{
    const struct mly_plan_request *request = s->request;
    const int64_t fixed = mly_model_fixed_batch(request->model);
    enum mly_status status = check_request(request, err);
    if (status)
        return status;
    const double memory_bytes = (double)mly_machine_info(request->machine)->memory_bytes;
    s->memory_limit_bytes = request->memory_limit_bytes;
    if (memory_bytes > 0 && (s->memory_limit_bytes <= 0 || memory_bytes < s->memory_limit_bytes))
        s->memory_limit_bytes = memory_bytes;
    s->batch = request->batch ? request->batch : fixed > 0 ? (uint32_t)fixed : 0;
    if (!s->batch && request->objective == MLY_OBJECTIVE_LATENCY)
        status = least_batch(s, err);
    for (size_t i = 0; !status; i++) {
        const struct mly_cost_entry *entry = mly_cost_table_at(request->costs, i);
        bool fit;
        if (!entry)
            break;
        status = fits(s, entry, &fit, err);
        if (!status && fit)
            status = add_candidate(s, entry, err);
    }
    return status;
}

/* --- 2. the choice --- */

/* Nothing may win: says what would have to be measured, or how much memory be given. */
static enum mly_status nothing_found(const struct search *s, struct mly_error *err)
{
    const char *path = mly_model_path(s->request->model);
    char batch[48] = "", groups[48] = "";
    /* There are times, and nothing to choose by. */
    if (s->count && s->request->objective == MLY_OBJECTIVE_ENERGY)
        return mly_error_set(
            err, MLY_E_NOT_FOUND,
            "the energy of %s is not known: no power sensor was read while it was measured. "
            "`motley "
            "devices` lists the sensors of this box, and why others are absent; where there is "
            "one, "
            "measure with it: `motley profile --again %s`. Of modelled processors energy is known "
            "without measuring: -d p100",
            path, path);
    if (s->left_out)
        return mly_error_set(
            err, MLY_E_LIMIT,
            "all %u measured configurations need more memory than the %.0f MiB "
            "there are (the least %.0f MiB): give more, or measure a smaller batch",
            s->left_out, s->memory_limit_bytes / 0x1p20, s->least_bytes / 0x1p20);
    if (s->batch)
        snprintf(batch, sizeof batch, " with batch %u", s->batch);
    if (s->request->groups)
        snprintf(groups, sizeof groups, " in %u core group%s", s->request->groups,
                 s->request->groups == 1 ? "" : "s");
    if (s->request->batch)
        return mly_error_set(err, MLY_E_NOT_FOUND,
                             "%s was not measured%s%s on %s: run `motley profile %s --batches %u`",
                             path, groups, batch, cpu_kind, path, s->request->batch);
    return mly_error_set(err, MLY_E_NOT_FOUND,
                         "%s was not measured%s%s on %s: run `motley profile %s`", path, groups,
                         batch, cpu_kind, path);
}

static struct mly__alternative alternative(const struct search *s, const struct candidate *c)
{
    const struct mly_cost_config *config = &c->entry->config;
    return (struct mly__alternative){
        .prediction = c->prediction,
        .eligible = !config->runtime_defaults || s->request->groups <= 1,
        .baseline = config->runtime_defaults,
        .segments = 1,
        .groups = config->groups,
        .batch = config->batch,
        .spin = config->spin,
        .name = c->text,
    };
}

/*
 * qsort_r has no portable form; candidates are sorted through pointers that carry what is compared.
 */
struct ranked {
    struct mly__alternative alternative;
    const struct candidate *candidate;
    enum mly_objective objective;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return mly__plan_compare(&x->alternative, &y->alternative, x->objective);
}

/* --- 3. the plan --- */

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for a plan");
}

static bool set_processor(struct mly_plan_processor *to, const struct mly_processor *from,
                          const struct mly_cost_config *config)
{
    const uint32_t count = config->runtime_defaults ? from->cpu_count : config->threads;
    memcpy(to->id, from->id, sizeof to->id);
    memcpy(to->kind, config->processor_kind, sizeof to->kind);
    memcpy(to->backend, config->backend, sizeof to->backend);
    to->threads = count;
    to->spin = config->spin;
    to->pin = !config->runtime_defaults;
    to->runtime_defaults = config->runtime_defaults;
    to->cpus = mly_alloc_array(count, sizeof *to->cpus);
    if (!to->cpus)
        return false;
    memcpy(to->cpus, from->cpus, count * sizeof *to->cpus);
    to->cpu_count = count;
    /* A group of more cores than were measured with: the plan uses its first ones and says so. */
    if (count < from->cpu_count)
        mly__plan_cpu_id(to->cpus, count, to->id);
    return true;
}

static enum mly_status set_processors(const struct search *s, const struct mly_cost_config *config,
                                      mly_plan *plan, struct mly_error *err)
{
    struct mly_processor_list groups;
    enum mly_status status = mly_machine_group(
        s->request->machine, config->groups == 1 ? MLY_GROUP_WHOLE : MLY_GROUP_COUNT,
        config->groups, false, &groups, err);
    if (status)
        return status;
    plan->processors = mly_alloc_array(config->groups, sizeof *plan->processors);
    plan->segments = mly_alloc_array(1, sizeof *plan->segments);
    uint32_t *users = mly_alloc_array(config->groups, sizeof *users);
    if (!plan->processors || !plan->segments || !users || groups.count != config->groups) {
        mly_free(users);
        status = groups.count == config->groups
                     ? no_memory(err)
                     : mly_error_set(err, MLY_E_INTERNAL, "%u core groups became %zu",
                                     config->groups, groups.count);
        goto done;
    }
    plan->segment_count = 1;
    plan->segments[0].processors = users;
    plan->segments[0].processor_count = config->groups;
    plan->segments[0].name = mly_strdup("s0");
    if (!plan->segments[0].name)
        status = no_memory(err);
    for (uint32_t i = 0; !status && i < config->groups; i++) {
        users[i] = i;
        if (!set_processor(&plan->processors[plan->processor_count++], &groups.items[i], config))
            status = no_memory(err);
    }
done:
    mly_processor_list_fini(&groups);
    return status;
}

/* Adds a batch to the ladder, which ascends; the last place is kept for the plan's own. */
static void add_step(mly_plan *plan, uint32_t batch)
{
    uint32_t at = plan->ladder_count;
    if (at + 1 == MLY__PLAN_LADDER_MAX)
        return;
    for (; at && plan->ladder[at - 1] > batch; at--)
        plan->ladder[at] = plan->ladder[at - 1];
    plan->ladder[at] = batch;
    plan->ladder_count++;
}

/*
 * Smaller batches that were measured with the same configuration are warmed too: the last batch is
 * rarely full.
 */
static enum mly_status set_ladder(const struct search *s, const struct mly_cost_config *config,
                                  mly_plan *plan, struct mly_error *err)
{
    const mly_cost_table *costs = s->request->costs;
    plan->batch = config->batch;
    plan->in_flight = 2 * config->groups; /* mly_plan_note_times raises it */
    plan->ladder = mly_alloc_array(MLY__PLAN_LADDER_MAX, sizeof *plan->ladder);
    if (!plan->ladder)
        return no_memory(err);
    const struct mly_cost_entry *entry;
    for (size_t i = 0; !s->batch && (entry = mly_cost_table_at(costs, i)); i++) {
        struct mly_cost_config same = *config;
        same.batch = entry->config.batch;
        if (same.batch < config->batch &&
            mly_cost_table_find(costs, MLY_COST_MODEL, "", &same) == entry)
            add_step(plan, same.batch);
    }
    plan->ladder[plan->ladder_count++] = config->batch;
    return MLY_OK;
}

/*
 * The candidates in order, best first; of very many the best, with the winner and a baseline among
 * them.
 */
static enum mly_status set_candidates(const struct search *s, const struct ranked *ranked,
                                      size_t winner, mly_plan *plan, struct mly_error *err)
{
    const size_t kept = s->count < MLY__PLAN_CANDIDATES_MAX ? s->count : MLY__PLAN_CANDIDATES_MAX;
    bool baseline = false;
    plan->candidates = mly_alloc_array(kept, sizeof *plan->candidates);
    if (!plan->candidates)
        return no_memory(err);
    for (size_t i = 0; i < s->count && plan->candidate_count < kept; i++) {
        const struct candidate *c = ranked[i].candidate;
        const bool is_baseline = ranked[i].alternative.baseline;
        /* The last two places are for the winner and a baseline, unless they are in already. */
        if (plan->candidate_count + 2 >= kept && s->count > kept && i != winner &&
            (!is_baseline || baseline))
            continue;
        baseline = baseline || is_baseline;
        struct mly_plan_candidate *to = &plan->candidates[plan->candidate_count++];
        to->description = mly_strdup(c->text);
        if (!to->description)
            return no_memory(err);
        snprintf(to->planner, sizeof to->planner, "%s", s->planner);
        to->prediction = c->prediction;
        to->chosen = i == winner;
        to->baseline = is_baseline;
    }
    return MLY_OK;
}

static enum mly_status build(const struct search *s, const struct ranked *ranked, size_t winner,
                             mly_plan **out, struct mly_error *err)
{
    const struct mly_cost_config *config = &ranked[winner].candidate->entry->config;
    mly_plan *plan = NULL;
    enum mly_status status = mly_plan_create(s->request->model, s->request->machine, &plan, err);
    if (status)
        return status;
    snprintf(plan->planner, sizeof plan->planner, "%s", s->planner);
    memcpy(plan->runtime, mly_cost_table_identity(s->request->costs)->runtime,
           sizeof plan->runtime);
    plan->objective = s->request->objective;
    plan->rate_per_s = s->request->rate_per_s;
    plan->prediction = ranked[winner].candidate->prediction;
    status = set_processors(s, config, plan, err);
    if (!status)
        status = set_ladder(s, config, plan, err);
    if (!status)
        status = set_candidates(s, ranked, winner, plan, err);
    if (!status && !(plan->why = mly__plan_explain(plan)))
        status = no_memory(err);
    if (status) {
        mly_plan_destroy(plan);
        return status;
    }
    *out = plan;
    return MLY_OK;
}

static enum mly_status make(struct search *s, mly_plan **out, struct mly_error *err)
{
    struct ranked *ranked = NULL;
    struct mly__alternative *alternatives = NULL;
    enum mly_status status = collect(s, err);
    if (status)
        goto done;
    ranked = mly_alloc_array(s->count, sizeof *ranked);
    alternatives = mly_alloc_array(s->count, sizeof *alternatives);
    if (!ranked || !alternatives) {
        status = no_memory(err);
        goto done;
    }
    for (size_t i = 0; i < s->count; i++)
        ranked[i] = (struct ranked){.alternative = alternative(s, &s->items[i]),
                                    .candidate = &s->items[i],
                                    .objective = s->request->objective};
    qsort(ranked, s->count, sizeof *ranked, compare_ranked);
    for (size_t i = 0; i < s->count; i++)
        alternatives[i] = ranked[i].alternative;
    const size_t winner = mly__plan_choose(alternatives, s->count, s->request->objective);
    status = winner < s->count ? build(s, ranked, winner, out, err) : nothing_found(s, err);

done:
    mly_free(ranked);
    mly_free(alternatives);
    mly_free(s->items);
    return status;
}

static enum mly_status make_single(const struct mly_plan_request *request, mly_plan **out,
                                   struct mly_error *err)
{
    struct search search = {.request = request, .planner = "single", .one_group = true};
    if (request->groups > 1)
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "planner single makes one core group; %u were asked for",
                             request->groups);
    return make(&search, out, err);
}

static enum mly_status make_groups(const struct mly_plan_request *request, mly_plan **out,
                                   struct mly_error *err)
{
    struct search search = {.request = request, .planner = "groups"};
    if (request->no_replicas)
        return mly_error_set(err, MLY_E_UNSUPPORTED, "planner groups makes replicas");
    return make(&search, out, err);
}

const struct mly_planner mly__planner_single = {
    .name = "single",
    .summary = "the whole model on all cores at once, or the runtime's defaults",
    .make = make_single,
};

const struct mly_planner mly__planner_groups = {
    .name = "groups",
    .summary = "the whole model on each of several equal core groups",
    .make = make_groups,
};
