/* What measurements belong to: model, host and runtime; and shapes that the runtime knows. */
#include <stdio.h>
#include <string.h>

#include "backend/backend.h"
#include "profiler.h"

static enum mly_status runtime_name(const char *backend, char *text, size_t size,
                                    struct mly_error *err)
{
    const struct mly_backend_ops *ops = mly_backend_find(backend);
    const char *version = NULL;
    if (!ops)
        return mly_error_set(err, MLY_E_NOT_FOUND, "there is no back end named '%.60s'", backend);
    enum mly_status status = ops->probe(&version, err);
    if (status == MLY_OK)
        snprintf(text, size, "%s %s", ops->name, version);
    return status;
}

enum mly_status mly_profile_identity(const mly_model *model, const mly_machine *machine,
                                     const struct mly_profile_options *options,
                                     struct mly_cost_identity *out, struct mly_error *err)
{
    static const struct mly_profile_options defaults = {0};
    struct mly_cost_identity identity = {0};
    struct profile_dims dims = {0};
    const struct mly_machine_info *info = mly_machine_info(machine);
    const char *hash = NULL;
    const char *path = mly_model_path(model);
    const char *slash = strrchr(path, '/');
    if (!options)
        options = &defaults;
    enum mly_status status = mly_model_hash(model, &hash, err);
    if (status == MLY_OK)
        status = runtime_name(options->backend ? options->backend : PROFILE_BACKEND,
                              identity.runtime, sizeof identity.runtime, err);
    if (status == MLY_OK)
        status = profile_dims_init(model, options->bindings, options->binding_count, &dims, err);
    if (status == MLY_OK)
        status = profile_dims_text(&dims, identity.shapes, sizeof identity.shapes, err);
    profile_dims_fini(&dims);
    if (status != MLY_OK)
        return status;
    snprintf(identity.model_hash, sizeof identity.model_hash, "%s", hash);
    snprintf(identity.model_name, sizeof identity.model_name, "%s", slash ? slash + 1 : path);
    snprintf(identity.host_id, sizeof identity.host_id, "%s", info->host_id);
    snprintf(identity.host_description, sizeof identity.host_description, "%.80s, %u core%s",
             info->cpu_model, info->cores, info->cores == 1 ? "" : "s");
    *out = identity;
    return MLY_OK;
}

static bool all_known(const struct mly_graph *graph)
{
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct mly_graph_tensor *tensor = &graph->tensors[i];
        if (tensor->is_sequence_or_optional)
            continue;
        if (tensor->dtype == MLY_DTYPE_UNDEFINED || tensor->shape.rank < 0)
            return false;
        for (int32_t d = 0; tensor->producer != MLY_NO_INDEX && d < tensor->shape.rank; d++)
            if (tensor->shape.dims[d] < 0 && tensor->dim_names[d][0] == '\0')
                return false;
    }
    return true;
}

enum mly_status mly_profile_infer_shapes(mly_model *model, struct mly_error *err)
{
    const struct mly_backend_ops *ops = mly_backend_find(PROFILE_BACKEND);
    if (all_known(mly_model_graph(model)) || !ops || !ops->infer_shapes)
        return MLY_OK;
    return ops->infer_shapes(model, NULL, 0, err);
}

enum mly_status mly_profile_infer_shapes_for(mly_model *model,
                                             const struct mly_dim_binding *bindings, size_t count,
                                             struct mly_error *err)
{
    const struct mly_backend_ops *ops = mly_backend_find(PROFILE_BACKEND);
    enum mly_status status = mly_profile_infer_shapes(model, err);
    if (status != MLY_OK || count == 0 || all_known(mly_model_graph(model)) || !ops ||
        !ops->infer_shapes)
        return status;
    return ops->infer_shapes(model, bindings, count, err);
}
