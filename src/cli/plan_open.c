/* A plan file with its model, on the part of this box that it was made for. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "internal.h"
#include "plan/plan.h"

/* A relative path in a plan counts from here or, when nothing is there, from the plan's own folder. New string. */
static char *model_path_of(const char *plan_path, const char *model_path)
{
    const char *slash = strrchr(plan_path, '/');
    if (model_path[0] == '/' || !slash || access(model_path, F_OK) == 0)
        return mly_strdup(model_path);
    return mly_strfmt("%.*s%s", (int)(slash + 1 - plan_path), plan_path, model_path);
}

static enum mly_status open_model(const struct cli_plan_source *source, const mly_plan *plan,
                                  mly_model **out, struct mly_error *err)
{
    if (source->keep_overridable && !plan->keep_overridable)
        return mly_error_set(err, MLY_E_MISMATCH,
                             "%s: the plan was made without --keep-overridable: leave it out here, "
                             "or make the plan again with it",
                             source->path);
    char *path = source->model ? mly_strdup(source->model)
                               : model_path_of(source->path, mly_plan_model_path(plan));
    if (!path)
        return mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    enum mly_status status = cli_model_open(path, plan->keep_overridable, out, err);
    mly_free(path);
    return status;
}

/* A plan made for some CPUs of this box (-d cpu:0) runs on those without being told again. */
static enum mly_status open_box(const struct cli_plan_source *source, const mly_plan *plan,
                                struct cli_box *out, struct mly_error *err)
{
    struct cli_box box = {0};
    struct mly_processor_list cpus = {0};
    struct mly_error why;
    enum mly_status status = cli_box_open(source->devices, NULL, out, err);
    if (status != MLY_OK || source->devices || !plan->host_cpus[0] ||
        strcmp(mly_machine_info(out->machine)->host_id, plan->host_id) == 0)
        return status;
    const bool there = mly_machine_select(out->machine, plan->host_cpus, &cpus, &why) == MLY_OK;
    mly_processor_list_fini(&cpus);
    if (!there || cli_box_open(plan->host_cpus, NULL, &box, &why) != MLY_OK)
        return MLY_OK; /* another box: checking the plan tells */
    cli_box_close(out);
    *out = box;
    return MLY_OK;
}

enum mly_status cli_plan_open(const struct cli_plan_source *source, mly_plan **plan,
                              mly_model **model, struct cli_box *box, struct mly_error *err)
{
    enum mly_status status = mly_plan_load(source->path, plan, err);
    if (status == MLY_OK)
        status = open_box(source, *plan, box, err);
    if (status == MLY_OK)
        status = open_model(source, *plan, model, err);
    return status == MLY_OK ? mly_plan_check(*plan, *model, box->machine, err) : status;
}
