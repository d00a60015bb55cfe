/*
 * Processors of a planning problem, and classes of them that are run alike.
 *
 *   1. The processors that the request lists; else the box's cores in groups: as many as the user
 *      fixed, or that gave most together when the whole model was measured.
 *   2. Processors of one kind, back end and number of threads are a class.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

static const char modelled_backend[] = "modelled";

/* --- 1 --- */

/* What runs segments where nothing is modelled: the runtime that the costs were measured with. */
static void name_backend(const struct mly__problem *problem, struct mly_plan_processor *to)
{
    const mly_cost_table *costs = problem->request->costs;
    const char *runtime = costs ? mly_cost_table_identity(costs)->runtime : "ort";
    snprintf(to->backend, sizeof to->backend, "%.*s", (int)strcspn(runtime, " "), runtime);
}

static enum mly_status set_processor(const struct mly__problem *problem,
                                     const struct mly_processor *from,
                                     struct mly_plan_processor *to, struct mly_error *err)
{
    if (!from->usable && !from->modelled)
        return mly_error_set(err, MLY_E_ABSENT, "%s cannot be used: %s", from->id, from->reason);
    memcpy(to->id, from->id, sizeof to->id);
    memcpy(to->kind, from->kind, sizeof to->kind);
    if (from->modelled)
        memcpy(to->backend, modelled_backend, sizeof modelled_backend);
    else
        name_backend(problem, to);
    to->threads = from->cpu_count ? from->cpu_count : 1;
    to->pin = from->cpu_count > 0;
    if (!from->cpu_count)
        return MLY_OK;
    to->cpus = mly_alloc_array(from->cpu_count, sizeof *to->cpus);
    if (!to->cpus)
        return mly__problem_no_memory(err);
    memcpy(to->cpus, from->cpus, from->cpu_count * sizeof *to->cpus);
    to->cpu_count = from->cpu_count;
    return MLY_OK;
}

static enum mly_status set_processors(struct mly__problem *problem,
                                      const struct mly_processor_list *list, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    if (!list->count)
        return mly_error_set(err, MLY_E_INVALID, "there is no processor to plan for");
    if (list->count > MLY__PLAN_PROCESSORS_MAX)
        return mly_error_set(err, MLY_E_LIMIT, "%zu processors: at most %u can be planned for",
                             list->count, MLY__PLAN_PROCESSORS_MAX);
    problem->processors = mly_alloc_array(list->count, sizeof *problem->processors);
    if (!problem->processors)
        return mly__problem_no_memory(err);
    while (!status && problem->processor_count < list->count) {
        const uint32_t i = problem->processor_count++;
        status = set_processor(problem, &list->items[i], &problem->processors[i], err);
    }
    return status;
}

/* The number of core groups that gave most together; at least two, where there are two cores. */
static uint32_t best_grouping(const struct mly_plan_request *request, uint32_t batch)
{
    const uint32_t cores = mly_machine_info(request->machine)->cores;
    uint32_t best = cores > 1 ? 2 : 1;
    double most = 0;
    const struct mly_cost_entry *entry;
    for (size_t i = 0; request->costs && (entry = mly_cost_table_at(request->costs, i)); i++) {
        const struct mly_cost_config *c = &entry->config;
        if (entry->scope == MLY_COST_MODEL && !c->runtime_defaults && c->groups > 1 &&
            c->groups <= cores && c->batch == batch && !strcmp(c->processor_kind, "cpu") &&
            entry->throughput_per_s > most) {
            most = entry->throughput_per_s;
            best = c->groups;
        }
    }
    return best;
}

enum mly_status mly__problem_find_classes(struct mly__problem *problem, struct mly_error *err)
{
    const struct mly_plan_request *request = problem->request;
    struct mly_processor_list groups = {0};
    enum mly_status status;
    if (request->processors) {
        status = set_processors(problem, request->processors, err);
    } else {
        const uint32_t count =
            request->groups ? request->groups : best_grouping(request, problem->batch);
        status = mly_machine_group(request->machine, MLY_GROUP_COUNT, count, false, &groups, err);
        if (!status)
            status = set_processors(problem, &groups, err);
    }
    mly_processor_list_fini(&groups);
    return status ? status : mly__problem_group_processors(problem, err);
}

/* --- 2 --- */

static bool are_alike(const struct mly_plan_processor *a, const struct mly_plan_processor *b)
{
    return !strcmp(a->kind, b->kind) && !strcmp(a->backend, b->backend) &&
           a->threads == b->threads && a->spin == b->spin &&
           a->runtime_defaults == b->runtime_defaults;
}

static enum mly_status set_class(const struct mly__problem *problem, uint32_t first,
                                 struct mly__class *class, struct mly_error *err)
{
    const struct mly_plan_processor *p = &problem->processors[first];
    memcpy(class->kind, p->kind, sizeof class->kind);
    memcpy(class->backend, p->backend, sizeof class->backend);
    class->modelled = !strcmp(p->backend, modelled_backend);
    class->in_host_memory = !strcmp(p->kind, "cpu");
    if (!class->modelled) {
        snprintf(class->name, sizeof class->name, "%s (%u thread%s)", p->kind, p->threads,
                 p->threads == 1 ? "" : "s");
        return MLY_OK;
    }
    snprintf(class->name, sizeof class->name, "%s", p->kind);
    class->device = mly_device_model_find(p->kind);
    if (!class->device)
        return mly_error_set(err, MLY_E_ABSENT,
                             "there is no device file for the modelled processor %s: `motley "
                             "devices --modelled` lists those there are",
                             p->id);
    class->memory_bytes = class->device->memory_bytes;
    class->to_device = class->device->to_device;
    class->to_host = class->device->to_host;
    class->idle_w = class->device->idle_w;
    class->active_w = class->device->active_w;
    class->in_host_memory = false;
    return MLY_OK;
}

/* What measurements of a class are kept under: its processors at work all at once. */
static void set_config(const struct mly__problem *problem, struct mly__class *class)
{
    const struct mly_plan_processor *p = &problem->processors[class->processors[0]];
    class->config = (struct mly_cost_config){
        .groups = p->runtime_defaults ? 1 : class->count,
        .threads = p->runtime_defaults ? 0 : p->threads,
        .batch = problem->batch,
        .spin = !p->runtime_defaults && p->spin,
        .runtime_defaults = p->runtime_defaults,
    };
    memcpy(class->config.backend, p->backend, sizeof p->backend);
    memcpy(class->config.processor_kind, p->kind, sizeof p->kind);
}

enum mly_status mly__problem_group_processors(struct mly__problem *problem, struct mly_error *err)
{
    uint32_t *members = problem->hidden->class_processors =
        mly_alloc_array(problem->processor_count, sizeof *members);
    problem->classes = mly_alloc_array(MLY__CLASSES_MAX, sizeof *problem->classes);
    if (!members || !problem->classes)
        return mly__problem_no_memory(err);
    for (uint32_t i = 0, used = 0; i < problem->processor_count; i++) {
        bool known = false;
        for (uint32_t k = 0; k < i && !known; k++)
            known = are_alike(&problem->processors[i], &problem->processors[k]);
        if (known)
            continue;
        if (problem->class_count == MLY__CLASSES_MAX)
            return mly_error_set(err, MLY_E_LIMIT,
                                 "more than %u unlike kinds of processors in one plan",
                                 MLY__CLASSES_MAX);
        struct mly__class *class = &problem->classes[problem->class_count++];
        class->processors = members + used;
        for (uint32_t k = i; k < problem->processor_count; k++)
            if (are_alike(&problem->processors[i], &problem->processors[k]))
                members[used++] = k;
        class->count = (uint32_t)(members + used - class->processors);
        enum mly_status status = set_class(problem, i, class, err);
        if (status)
            return status;
        set_config(problem, class);
    }
    return MLY_OK;
}
