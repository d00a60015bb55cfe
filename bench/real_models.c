#include "real_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "profile/profile.h"
#include "tensorio/raw.h"

enum { MOMENT_NS = 200000000 };

const char *bench_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int bench_arguments(int argc, char **argv, double *seconds, double *budget)
{
    int first = 1;
    for (; first + 1 < argc && strncmp(argv[first], "--", 2) == 0; first += 2) {
        double *value = strcmp(argv[first], "--seconds") == 0  ? seconds
                        : strcmp(argv[first], "--budget") == 0 ? budget
                                                               : NULL;
        if (!value || !((*value = strtod(argv[first + 1], NULL)) > 0))
            break;
    }
    if (first < argc && strncmp(argv[first], "--", 2) != 0)
        return first;
    fprintf(stderr, "usage: %s [--seconds S] [--budget S] MODEL...\n", bench_base_name(argv[0]));
    return 0;
}

/* --- inputs --- */

enum mly_status bench_inputs_make(const mly_model *model, uint32_t batch, struct bench_inputs *out,
                                  struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    out->count = mly_model_input_count(model);
    out->items = mly_alloc_array(out->count + 1, sizeof *out->items);
    if (!out->items)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    for (size_t i = 0; status == MLY_OK && i < out->count; i++) {
        const struct mly_port *port = mly_model_input(model, i);
        struct mly_shape shape = port->shape;
        for (int32_t d = 0; d < shape.rank; d++)
            if (shape.dims[d] < 0)
                shape.dims[d] = d == 0 ? batch : 1;
        status = mly_tensor_random(port->dtype, &shape, i + 1, &out->items[i], err);
    }
    return status;
}

void bench_inputs_free(struct bench_inputs *inputs)
{
    for (size_t i = 0; inputs->items && i < inputs->count; i++)
        mly_tensor_fini(&inputs->items[i]);
    mly_free(inputs->items);
    *inputs = (struct bench_inputs){0};
}

enum mly_status bench_inputs_give(void *user, uint64_t index, uint32_t lane,
                                  struct mly_tensor *inputs, struct mly_error *err)
{
    const struct bench_inputs *own = user;
    (void)index;
    (void)lane;
    (void)err;
    memcpy(inputs, own->items, own->count * sizeof *inputs);
    return MLY_OK;
}

/* --- the loop --- */

enum mly_status bench_loop_open(const mly_model *model, const mly_machine *machine,
                                const mly_plan *plan, struct bench_loop *out, struct mly_error *err)
{
    const struct mly_plan_processor *processor = &plan->processors[0];
    struct mly_cost_config config = {.groups = plan->processor_count,
                                     .threads = processor->threads,
                                     .spin = processor->spin,
                                     .runtime_defaults = processor->runtime_defaults};
    snprintf(config.backend, sizeof config.backend, "%s", processor->backend);
    snprintf(config.processor_kind, sizeof config.processor_kind, "%s", processor->kind);
    enum mly_status status = mly_segment_whole(model, &out->whole, err);
    return status == MLY_OK ? crew_open(model, &out->whole, machine, &config, &out->crew, err)
                            : status;
}

enum mly_status bench_loop_run(struct bench_loop *loop, const struct bench_inputs *inputs,
                               uint32_t batch, int64_t duration_ns, double *per_s,
                               struct mly_error *err)
{
    struct samples times = {0};
    enum mly_status status =
        crew_round(&loop->crew, inputs->items, batch, duration_ns, NULL, per_s, &times, err);
    samples_fini(&times);
    return status;
}

void bench_loop_close(struct bench_loop *loop)
{
    crew_close(&loop->crew);
    mly_segment_fini(&loop->whole);
}

/* The planner is given a table in which nothing else exists. */
static enum mly_status plan_by(const mly_model *model, const mly_machine *machine,
                               const struct mly_cost_config *config, double batch_ns,
                               mly_plan **out, struct mly_error *err)
{
    struct mly_cost_identity identity;
    mly_cost_table *costs = NULL;
    struct mly_cost_entry entry = {.scope = MLY_COST_MODEL,
                                   .scope_id = "",
                                   .config = *config,
                                   .p10_ns = batch_ns,
                                   .median_ns = batch_ns,
                                   .p90_ns = batch_ns,
                                   .throughput_per_s =
                                       1e9 * config->batch * config->groups / batch_ns,
                                   .samples = 1};
    enum mly_status status = mly_profile_identity(model, machine, NULL, &identity, err);
    if (status == MLY_OK)
        status = mly_cost_table_create(&identity, &costs, err);
    if (status == MLY_OK)
        status = mly_cost_table_put(costs, &entry, err);
    if (status == MLY_OK) {
        struct mly_plan_request request = {
            .model = model, .machine = machine, .costs = costs, .batch = config->batch};
        status = mly_plan_make("auto", &request, out, err);
    }
    mly_cost_table_destroy(costs);
    return status;
}

enum mly_status bench_plan_of(const mly_model *model, const mly_machine *machine,
                              const struct mly_cost_config *config, mly_plan **out,
                              struct mly_error *err)
{
    struct bench_inputs inputs = {0};
    struct bench_loop loop = {0};
    mly_plan *plan = NULL;
    double per_s = 0;
    enum mly_status status = plan_by(model, machine, config, 1e9, &plan, err);
    if (status == MLY_OK)
        status = bench_inputs_make(model, config->batch, &inputs, err);
    if (status == MLY_OK)
        status = bench_loop_open(model, machine, plan, &loop, err);
    if (status == MLY_OK)
        status = bench_loop_run(&loop, &inputs, config->batch, MOMENT_NS, &per_s, err);
    if (status == MLY_OK)
        status =
            plan_by(model, machine, config, 1e9 * config->batch * config->groups / per_s, out, err);
    bench_loop_close(&loop);
    bench_inputs_free(&inputs);
    mly_plan_destroy(plan);
    return status;
}
