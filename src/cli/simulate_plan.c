/* motley simulate: the plan to simulate, from a file or for a model, with what its segments cost. */
#include <string.h>
#include <unistd.h>

#include <motley/decide.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "device/modelled.h"
#include "profile/profile.h"
#include "simulate.h"

void simulated_plan_fini(struct simulated_plan *plan)
{
    mly_flow_fini(&plan->flow);
    mly_plan_destroy(plan->plan);
    mly_free(plan->costs);
    *plan = (struct simulated_plan){0};
}

void simulate_close(struct simulate *s)
{
    mly_cost_table_destroy(s->measured);
    mly_model_destroy(s->model);
    cli_box_close(&s->box);
    cli_dims_fini(&s->dims);
}

bool simulate_is_plan_file(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".json") == 0;
}

static enum mly_status out_of_memory(struct mly_error *err)
{
    return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
}

/* --- measured costs --- */

static bool needs_measurements(const mly_plan *plan)
{
    for (uint32_t i = 0; i < plan->processor_count; i++)
        if (!mly_device_model_find(plan->processors[i].kind))
            return true;
    return false;
}

static enum mly_status load_costs(struct simulate *s, struct mly_error *err)
{
    const char *hash = NULL;
    enum mly_status status = mly_cost_table_load(s->given->costs, &s->measured, err);
    if (status == MLY_OK)
        status = mly_model_hash(s->model, &hash, err);
    if (status == MLY_OK && strcmp(hash, mly_cost_table_identity(s->measured)->model_hash) != 0)
        status = mly_error_set(err, MLY_E_MISMATCH,
                               "%s: these costs belong to another model (%s) than %s",
                               s->given->costs, mly_cost_table_identity(s->measured)->model_name,
                               mly_model_path(s->model));
    return status;
}

/* The table given, else what is stored of this model on this box. */
static enum mly_status open_costs(struct simulate *s, struct mly_error *err)
{
    struct mly_cost_identity identity;
    const struct mly_profile_options options = {.bindings = s->dims.items,
                                                .binding_count = s->dims.count};
    char *word = NULL;
    if (s->measured)
        return MLY_OK;
    if (s->given->costs)
        return load_costs(s, err);
    enum mly_status status =
        mly_profile_identity(s->model, s->box.machine, &options, &identity, err);
    if (status == MLY_OK)
        status = mly_cost_store_open(&identity, &s->measured, &word, err);
    if (word)
        cli_remark(s->common, "%s", word);
    mly_free(word);
    return status;
}

/* --- a plan file --- */

/* A relative path in a plan counts from here or, when nothing is there, from the plan's own folder. */
static char *model_path_of(const char *plan_path, const char *model_path)
{
    const char *slash = strrchr(plan_path, '/');
    if (model_path[0] == '/' || !slash || access(model_path, F_OK) == 0)
        return mly_strdup(model_path);
    return mly_strfmt("%.*s%s", (int)(slash + 1 - plan_path), plan_path, model_path);
}

static enum mly_status open_file(struct simulate *s, mly_plan **out, struct mly_error *err)
{
    enum mly_status status = mly_plan_load(s->target, out, err);
    if (status != MLY_OK)
        return status;
    char *path = s->given->model ? mly_strdup(s->given->model)
                                 : model_path_of(s->target, mly_plan_model_path(*out));
    if (!path)
        return out_of_memory(err);
    status = cli_box_open(NULL, NULL, &s->box, err);
    if (status == MLY_OK)
        status = cli_model_open(path, false, &s->model, err);
    mly_free(path);
    return status == MLY_OK ? mly_plan_check(*out, s->model, s->box.machine, err) : status;
}

/* --- a model --- */

/* Of the processors of -d those of this box, as a specification; NULL and count 0 if there are none. */
static enum mly_status name_own(const struct mly_processor_list *list, char **out, size_t *count,
                                struct mly_error *err)
{
    struct mly_buffer text = {0};
    *out = NULL;
    *count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct mly_processor *p = &list->items[i];
        if (p->modelled)
            continue;
        if (strcmp(p->kind, "cpu") != 0) {
            mly_buffer_fini(&text);
            return mly_error_set(err, MLY_E_UNSUPPORTED,
                                 "%s: only CPUs and modelled processors can be simulated", p->id);
        }
        if (mly_buffer_printf(&text, "%s%s", *count ? "," : "", p->id) != MLY_OK) {
            mly_buffer_fini(&text);
            return out_of_memory(err);
        }
        ++*count;
    }
    *out = text.data;
    return MLY_OK;
}

static enum mly_status decide(struct simulate *s, mly_plan **out, struct mly_error *err)
{
    struct cli_measuring measuring;
    const struct mly_decide_options options = {.planner = s->given->planner,
                                               .batch = (uint32_t)s->given->batch,
                                               .groups = s->box.groups,
                                               .budget_ns = s->given->budget_ns,
                                               .dims = s->dims.items,
                                               .dim_count = s->dims.count,
                                               .progress = cli_measuring_progress,
                                               .remark = cli_measuring_remark,
                                               .user = &measuring};
    cli_measuring_begin(&measuring, s->common);
    enum mly_status status = mly_decide(s->model, s->box.machine, &options, out, err);
    cli_measuring_end(&measuring);
    return status;
}

/* A plan of the whole model that has no processor yet. */
static enum mly_status begin_whole(struct simulate *s, mly_plan **out, struct mly_error *err)
{
    int64_t fixed = mly_model_fixed_batch(s->model);
    mly_plan *plan = NULL;
    enum mly_status status = mly_plan_create(s->model, s->box.machine, &plan, err);
    if (status != MLY_OK)
        return status;
    *out = plan;
    memcpy(plan->planner, "replicas", sizeof "replicas");
    plan->batch = s->given->batch ? (uint32_t)s->given->batch : fixed > 0 ? (uint32_t)fixed : 1;
    plan->ladder = mly_alloc_array(1, sizeof *plan->ladder);
    plan->segments = mly_alloc_array(1, sizeof *plan->segments);
    if (!plan->ladder || !plan->segments)
        return out_of_memory(err);
    plan->ladder[plan->ladder_count++] = plan->batch;
    plan->segment_count = 1;
    plan->segments[0].name = mly_strdup("s0");
    return plan->segments[0].name ? MLY_OK : out_of_memory(err);
}

/* Adds the modelled processors of the list as replicas of the only segment. */
static enum mly_status add_replicas(mly_plan *plan, const struct mly_processor_list *list,
                                    struct mly_error *err)
{
    struct mly_plan_segment *segment = &plan->segments[0];
    size_t most = plan->processor_count + list->count;
    struct mly_plan_processor *processors =
        mly_realloc_array(plan->processors, most, sizeof *processors);
    if (processors)
        plan->processors = processors;
    uint32_t *users = mly_realloc_array(segment->processors, most, sizeof *users);
    if (users)
        segment->processors = users;
    if (!processors || !users)
        return out_of_memory(err);
    for (size_t i = 0; i < list->count; i++) {
        if (!list->items[i].modelled)
            continue;
        struct mly_plan_processor *p = &processors[plan->processor_count];
        *p = (struct mly_plan_processor){.backend = "modelled"};
        memcpy(p->id, list->items[i].id, sizeof p->id);
        memcpy(p->kind, list->items[i].kind, sizeof p->kind);
        users[segment->processor_count++] = plan->processor_count++;
        plan->in_flight += 2;
    }
    return MLY_OK;
}

static enum mly_status plan_replicas(struct simulate *s, const struct mly_processor_list *list,
                                     bool has_own, mly_plan **out, struct mly_error *err)
{
    enum mly_status status = has_own ? decide(s, out, err) : begin_whole(s, out, err);
    if (status == MLY_OK && (*out)->segment_count > 1)
        status =
            mly_error_set(err, MLY_E_UNSUPPORTED,
                          "the plan for the CPU has several segments, which modelled processors "
                          "cannot be added to: name a planner");
    return status == MLY_OK ? add_replicas(*out, list, err) : status;
}

static enum mly_status plan_by_planner(struct simulate *s, const struct mly_processor_list *list,
                                       bool has_own, mly_plan **out, struct mly_error *err)
{
    enum mly_status status = has_own ? open_costs(s, err) : MLY_OK;
    const struct mly_plan_request request = {.model = s->model,
                                             .machine = s->box.machine,
                                             .costs = s->measured,
                                             .batch = (uint32_t)s->given->batch,
                                             .groups = s->box.groups,
                                             .processors = list};
    return status == MLY_OK ? mly_plan_make(s->given->planner, &request, out, err) : status;
}

static enum mly_status make_plan(struct simulate *s, const char *devices, mly_plan **out,
                                 struct mly_error *err)
{
    struct cli_box whole = {0};
    struct mly_processor_list list = {0};
    char *own = NULL;
    size_t own_count = 0;
    enum mly_status status = cli_box_open(NULL, NULL, &whole, err);
    if (status == MLY_OK) {
        status = mly_machine_select(whole.machine, devices ? devices : "cpu", &list, err);
        if (status != MLY_OK)
            status = mly_error_prefix(err, status, "-d %s", devices ? devices : "cpu");
    }
    if (status == MLY_OK)
        status = name_own(&list, &own, &own_count, err);
    const bool only_own = own_count == list.count;
    if (status == MLY_OK && !s->box.machine)
        status = cli_box_open(only_own ? devices : own, NULL, &s->box, err);
    if (status == MLY_OK && !s->model)
        status = cli_model_open(s->target, false, &s->model, err);
    if (status == MLY_OK && only_own)
        status = decide(s, out, err);
    else if (status == MLY_OK && s->given->planner)
        status = plan_by_planner(s, &list, own_count > 0, out, err);
    else if (status == MLY_OK)
        status = plan_replicas(s, &list, own_count > 0, out, err);
    mly_free(own);
    mly_processor_list_fini(&list);
    cli_box_close(&whole);
    return status;
}

/* --- both --- */

enum mly_status simulate_open_plan(struct simulate *s, const char *devices,
                                   struct simulated_plan *out, struct mly_error *err)
{
    *out = (struct simulated_plan){0};
    enum mly_status status = simulate_is_plan_file(s->target)
                                 ? open_file(s, &out->plan, err)
                                 : make_plan(s, devices, &out->plan, err);
    if (status == MLY_OK && needs_measurements(out->plan))
        status = open_costs(s, err);
    if (status == MLY_OK) {
        out->batch = s->given->batch ? (uint32_t)s->given->batch : out->plan->batch;
        const struct mly_virtual_cost_request request = {.model = s->model,
                                                         .plan = out->plan,
                                                         .measured = s->measured,
                                                         .batch = out->batch,
                                                         .bindings = s->dims.items,
                                                         .binding_count = s->dims.count,
                                                         .exact = s->given->exact,
                                                         .cold = s->given->cold};
        status = mly_virtual_costs(&request, &out->costs, err);
    }
    if (status == MLY_OK)
        status = mly_flow_init(s->model, out->plan, true, &out->flow, err);
    if (status != MLY_OK)
        simulated_plan_fini(out);
    return status;
}
