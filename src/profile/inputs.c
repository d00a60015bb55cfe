/* Makes inputs to measure with. */
#include "inputs.h"

#include "base/alloc.h"
#include "tensorio/raw.h"

enum mly_status profile_inputs_make(const mly_model *model, const struct mly_dim_binding *bindings,
                                    size_t binding_count, uint32_t batch, struct mly_tensor **out,
                                    struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    size_t count = mly_model_input_count(model);
    struct mly_tensor *inputs = mly_alloc_array(count ? count : 1, sizeof *inputs);
    struct mly_shape *shapes =
        mly_alloc_array(graph->tensor_count ? graph->tensor_count : 1, sizeof *shapes);
    enum mly_status status = MLY_OK;
    if (!inputs || !shapes)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    if (status == MLY_OK)
        status = mly_graph_bind(model, batch, bindings, binding_count, shapes, err);
    for (size_t i = 0; status == MLY_OK && i < count; i++) {
        const struct mly_port *port = mly_model_input(model, i);
        struct mly_shape shape = shapes[graph->inputs[i]];
        if (shape.rank < 0)
            shape.rank = 0;
        for (int32_t d = 0; d < shape.rank; d++)
            if (shape.dims[d] < 0)
                shape.dims[d] = 1;
        status = mly_tensor_random(port->dtype, &shape, i + 1, &inputs[i], err);
        if (status != MLY_OK)
            status = mly_error_prefix(err, status, "input '%s'", port->name);
    }
    mly_free(shapes);
    if (status != MLY_OK) {
        profile_inputs_free(model, inputs);
        return status;
    }
    *out = inputs;
    return MLY_OK;
}

void profile_inputs_free(const mly_model *model, struct mly_tensor *inputs)
{
    for (size_t i = 0; inputs && i < mly_model_input_count(model); i++)
        mly_tensor_fini(&inputs[i]);
    mly_free(inputs);
}
