/*
 * Time curves of processors.
 *
 *   1. Modelled processors: their device file's rules for every number of samples; of very large
 *      batches for some, and linear between.
 *   2. Measured ones: the whole model's entries in the cost table, linear between measured batches.
 */
#include "data_curves.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "problem_private.h"

/* Points of a modelled curve that are worked out; each takes as long as looking at every node. */
#define POINTS_MAX 1024u

static enum mly_status no_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for splitting a batch");
}

/* --- one share --- */

/* 1. */
static enum mly_status modelled_cost(const struct mly__class *class, const mly_model *model,
                                     uint32_t samples, struct mly__share_cost *out,
                                     struct mly_error *err)
{
    struct mly_modelled_cost cost;
    mly_modelled *modelled = NULL;
    struct mly_error why;
    *out = (struct mly__share_cost){.time_ns = INFINITY, .modelled = true};
    enum mly_status status =
        mly_modelled_create(class->device, model, samples, NULL, 0, &modelled, err);
    if (status)
        return status;
    status = mly_modelled_segment(modelled, NULL, 0, &cost, &why);
    mly_modelled_destroy(modelled);
    if (status == MLY_E_UNSUPPORTED || status == MLY_E_LIMIT)
        return MLY_OK;
    if (status)
        return mly_error_set(err, status, "%s", why.message);
    out->time_ns = cost.input_ns + cost.execution_ns + cost.output_ns;
    out->energy_j = cost.energy_j;
    out->memory_bytes = cost.weight_bytes + cost.activation_bytes;
    return MLY_OK;
}

/* The configuration of the whole model that was measured with most nearly as many groups at work. */
static void find_groups(const mly_cost_table *costs, struct mly_cost_config *config)
{
    const uint32_t wanted = config->groups;
    const struct mly_cost_entry *entry;
    uint32_t nearest = 0;
    for (size_t i = 0; (entry = mly_cost_table_at(costs, i)); i++) {
        const struct mly_cost_config *c = &entry->config;
        if (entry->scope != MLY_COST_MODEL || strcmp(c->backend, config->backend) ||
            strcmp(c->processor_kind, config->processor_kind) || c->threads != config->threads ||
            c->spin != config->spin || c->runtime_defaults != config->runtime_defaults)
            continue;
        if (!nearest || labs((long)c->groups - wanted) < labs((long)nearest - wanted))
            nearest = c->groups;
    }
    if (nearest)
        config->groups = nearest;
}

/* 2. */
static enum mly_status measured_cost(const struct mly__class *class, const mly_model *model,
                                     const mly_cost_table *costs, uint32_t samples,
                                     struct mly__share_cost *out, struct mly_error *err)
{
    struct mly_cost_config config = class->config;
    struct mly__plan_memory memory;
    char text[MLY__PLAN_CONFIG_TEXT_BYTES];
    *out = (struct mly__share_cost){0};
    config.batch = samples;
    if (costs)
        find_groups(costs, &config);
    if (!costs || mly_cost_estimate_ns(costs, MLY_COST_MODEL, "", &config, &out->time_ns,
                                       &out->estimated, NULL))
        return mly_error_set(err, MLY_E_NOT_FOUND,
                             "the whole model was not measured with %s on %s: run `motley profile "
                             "%s`",
                             mly__plan_config_text(&config, text), config.processor_kind,
                             mly_model_path(model));
    const struct mly_cost_entry *entry = mly_cost_table_find(costs, MLY_COST_MODEL, "", &config);
    out->modelled = entry && entry->modelled;
    if (entry && entry->median_ns > 0)
        out->spread = fmax(0, entry->p90_ns - entry->p10_ns) / entry->median_ns;
    enum mly_status status =
        mly__plan_memory_whole(model, samples, mly__plan_shapes(costs), &memory, err);
    if (!status)
        out->memory_bytes = memory.activation_bytes;
    return status;
}

enum mly_status mly__share_cost(const struct mly__class *class, const mly_model *model,
                                const mly_cost_table *costs, uint32_t samples,
                                struct mly__share_cost *out, struct mly_error *err)
{
    return class->modelled ? modelled_cost(class, model, samples, out, err)
                           : measured_cost(class, model, costs, samples, out, err);
}

/* --- curves --- */

/* A problem of processors and classes alone: nothing in it yet. */
static enum mly_status create_problem(const mly_model *model, uint32_t batch,
                                      struct mly__problem **out, struct mly_error *err)
{
    struct mly__problem *problem = mly_alloc(sizeof *problem);
    if (!problem || !(problem->hidden = mly_alloc(sizeof *problem->hidden))) {
        mly_free(problem);
        return no_memory(err);
    }
    problem->model = model;
    problem->graph = mly_model_graph(model);
    problem->batch = batch;
    *out = problem;
    return MLY_OK;
}

enum mly_status mly__classes_of_plan(const mly_plan *plan, const mly_model *model,
                                     uint32_t *class_of, struct mly__problem **out,
                                     struct mly_error *err)
{
    struct mly__problem *problem = NULL;
    enum mly_status status = create_problem(model, plan->batch, &problem, err);
    if (status)
        return status;
    problem->processors = mly_alloc_array(plan->processor_count, sizeof *problem->processors);
    if (!problem->processors)
        status = no_memory(err);
    while (!status && problem->processor_count < plan->processor_count) {
        struct mly_plan_processor *to = &problem->processors[problem->processor_count];
        *to = plan->processors[problem->processor_count++];
        to->cpus = NULL; /* nothing here looks at them */
        to->cpu_count = 0;
    }
    if (!status)
        status = mly__problem_group_processors(problem, err);
    if (status) {
        mly__problem_destroy(problem);
        return status;
    }
    for (uint32_t c = 0; c < problem->class_count; c++)
        for (uint32_t k = 0; k < problem->classes[c].count; k++)
            class_of[problem->classes[c].processors[k]] = c;
    *out = problem;
    return MLY_OK;
}

static enum mly_status list_classes(const struct mly_plan_request *request, uint32_t batch,
                                    struct mly__problem **out, struct mly_error *err)
{
    enum mly_status status = create_problem(request->model, batch, out, err);
    struct mly__problem *problem = *out;
    if (status)
        return status;
    problem->request = request;
    status = mly__problem_find_classes(problem, err);
    if (!status && problem->processor_count < 2)
        status = mly_error_set(err, MLY_E_UNSUPPORTED,
                               "planner data splits batches over two processors or more; there is "
                               "one");
    return status;
}

static void fill_between(double *row, bool *guessed, uint32_t from, uint32_t to)
{
    for (uint32_t b = from + 1; b < to; b++) {
        row[b] = row[from] + (row[to] - row[from]) * (b - from) / (to - from);
        guessed[b] = guessed[from] || guessed[to];
    }
}

static enum mly_status fill_row(struct mly__curves *c, uint32_t class_index, double *row,
                                bool *guessed, struct mly_error *err)
{
    const struct mly__problem *problem = c->problem;
    const uint32_t batch = problem->batch;
    const uint32_t stride = batch <= POINTS_MAX ? 1 : (batch + POINTS_MAX - 1) / POINTS_MAX;
    row[0] = 0;
    for (uint32_t from = 1, b = 1;; from = b, b = b + stride < batch ? b + stride : batch) {
        struct mly__share_cost cost;
        enum mly_status status = mly__share_cost(&problem->classes[class_index], problem->model,
                                                 problem->request->costs, b, &cost, err);
        if (status)
            return status;
        row[b] = cost.time_ns;
        c->modelled = c->modelled || cost.modelled;
        c->estimated = c->estimated || cost.estimated;
        guessed[b] = cost.estimated;
        fill_between(row, guessed, from, b);
        if (b == batch)
            return MLY_OK;
    }
}

enum mly_status mly__curves_init(struct mly__curves *curves, const struct mly_plan_request *request,
                                 uint32_t batch, struct mly_error *err)
{
    *curves = (struct mly__curves){0};
    if (mly_model_fixed_batch(request->model) > 0)
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "the model's batch is fixed at %lld, so it cannot be split",
                             (long long)mly_model_fixed_batch(request->model));
    if (!batch || batch > MLY__SPLIT_BATCH_MAX)
        return mly_error_set(err, MLY_E_INVALID, "a batch of 1 to %u samples is split, not of %u",
                             MLY__SPLIT_BATCH_MAX, batch);
    enum mly_status status = list_classes(request, batch, &curves->problem, err);
    const struct mly__problem *problem = curves->problem;
    if (status)
        goto fail;
    const size_t width = (size_t)batch + 1;
    curves->times = mly_alloc_array(problem->class_count * width, sizeof *curves->times);
    curves->rows = mly_alloc_array(problem->processor_count, sizeof *curves->rows);
    curves->guesses = mly_alloc_array(problem->class_count * width, sizeof *curves->guesses);
    curves->guessed = mly_alloc_array(problem->processor_count, sizeof *curves->guessed);
    if (!curves->times || !curves->rows || !curves->guesses || !curves->guessed) {
        status = no_memory(err);
        goto fail;
    }
    for (uint32_t i = 0; !status && i < problem->class_count; i++) {
        status = fill_row(curves, i, curves->times + i * width, curves->guesses + i * width, err);
        for (uint32_t k = 0; k < problem->classes[i].count; k++) {
            curves->rows[problem->classes[i].processors[k]] = curves->times + i * width;
            curves->guessed[problem->classes[i].processors[k]] = curves->guesses + i * width;
        }
    }
    if (status)
        goto fail;
    curves->data = (struct mly__data_curves){
        .processor_count = problem->processor_count, .batch = batch, .time_ns = curves->rows};
    return MLY_OK;

fail:
    mly__curves_fini(curves);
    return status;
}

void mly__curves_fini(struct mly__curves *curves)
{
    mly__problem_destroy(curves->problem);
    mly_free(curves->times);
    mly_free(curves->rows);
    mly_free(curves->guesses);
    mly_free(curves->guessed);
    *curves = (struct mly__curves){0};
}
