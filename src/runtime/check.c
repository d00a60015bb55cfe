/* What clients hand in, checked against the model's ports before anything runs. */
#include <inttypes.h>
#include <string.h>

#include "runtime/flow.h"

/*
 * True if dimension 0 of an input is the batch of a model with a free batch: symbolic, and under
 * the first input's name for it when that has one.
 */
static bool has_batch(const struct mly_flow *flow, const struct mly_port *port)
{
    if (!flow->free_batch || port->shape.rank < 1 || port->shape.dims[0] >= 0)
        return false;
    const char *first = flow->inputs[0]->dim_names[0], *own = port->dim_names[0];
    return !first || !own || first[0] == '\0' || strcmp(first, own) == 0;
}

static enum mly_status check_tensor(const char *role, const struct mly_port *port,
                                    const struct mly_tensor *tensor, bool may_be_unknown,
                                    struct mly_error *err)
{
    char wanted[MLY_SHAPE_TEXT_BYTES], got[MLY_SHAPE_TEXT_BYTES];
    if (tensor->dtype != port->dtype)
        return mly_error_set(err, MLY_E_MISMATCH, "%s '%s' is %s, not %s", role, port->name,
                             mly_dtype_name(port->dtype), mly_dtype_name(tensor->dtype));
    if (mly_dtype_bits(port->dtype) == 0)
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "%s '%s': elements of type %s cannot be handed over", role, port->name,
                             mly_dtype_name(port->dtype));
    const struct mly_shape *shape = &tensor->shape;
    bool fits = port->shape.rank < 0 || shape->rank == port->shape.rank;
    for (int32_t i = 0; fits && i < port->shape.rank; i++)
        fits = port->shape.dims[i] < 0 || shape->dims[i] == port->shape.dims[i] ||
               (may_be_unknown && shape->dims[i] < 0);
    if (!fits)
        return mly_error_set(err, MLY_E_MISMATCH, "%s '%s' has shape %s, not %s", role, port->name,
                             mly_shape_format(&port->shape, wanted), mly_shape_format(shape, got));
    if (may_be_unknown && !mly_shape_is_known(shape))
        return MLY_OK;
    size_t bytes = 0;
    struct mly_error why = {0};
    enum mly_status status = mly_shape_bytes(tensor->dtype, shape, &bytes, &why);
    if (status != MLY_OK)
        return mly_error_set(err, MLY_E_MISMATCH, "%s '%s': %s", role, port->name, why.message);
    if (bytes != tensor->size_bytes || (bytes > 0 && !tensor->data))
        return mly_error_set(err, MLY_E_MISMATCH, "%s '%s' of shape %s has %zu bytes, not %zu",
                             role, port->name, mly_shape_format(shape, got), bytes,
                             tensor->data ? tensor->size_bytes : 0);
    return MLY_OK;
}

/* Dimension d of input i against the first one of all inputs up to i that has the same name. */
static enum mly_status check_shared_dimension(const struct mly_flow *flow,
                                              const struct mly_tensor *inputs, uint32_t i,
                                              int32_t d, struct mly_error *err)
{
    const char *name = flow->inputs[i]->dim_names[d];
    if (flow->inputs[i]->shape.dims[d] >= 0 || !name || name[0] == '\0')
        return MLY_OK;
    for (uint32_t k = 0; k <= i; k++) {
        const struct mly_port *port = flow->inputs[k];
        for (int32_t e = 0; e < port->shape.rank && (k < i || e < d); e++) {
            if (port->shape.dims[e] >= 0 || !port->dim_names[e] ||
                strcmp(port->dim_names[e], name) != 0)
                continue;
            if (inputs[k].shape.dims[e] == inputs[i].shape.dims[d])
                return MLY_OK;
            return mly_error_set(err, MLY_E_MISMATCH,
                                 "inputs '%s' and '%s' disagree on dimension '%s': %" PRId64
                                 " and %" PRId64,
                                 port->name, flow->inputs[i]->name, name, inputs[k].shape.dims[e],
                                 inputs[i].shape.dims[d]);
        }
    }
    return MLY_OK;
}

enum mly_status mly_flow_check_inputs(const struct mly_flow *flow, const struct mly_tensor *inputs,
                                      size_t count, struct mly_error *err)
{
    if (count != flow->input_count)
        return mly_error_set(err, MLY_E_MISMATCH, "the model has %" PRIu32 " inputs, not %zu",
                             flow->input_count, count);
    for (uint32_t i = 0; i < flow->input_count; i++) {
        const struct mly_port *port = flow->inputs[i];
        enum mly_status status = check_tensor("input", port, &inputs[i], false, err);
        for (int32_t d = 0; status == MLY_OK && d < port->shape.rank; d++)
            status = check_shared_dimension(flow, inputs, i, d, err);
        if (status != MLY_OK)
            return status;
        if (has_batch(flow, port) && inputs[i].shape.dims[0] < 1)
            return mly_error_set(err, MLY_E_MISMATCH,
                                 "input '%s' has a batch of %" PRId64 "; at least 1 is needed",
                                 port->name, inputs[i].shape.dims[0]);
    }
    return MLY_OK;
}

enum mly_status mly_flow_check_outputs(const struct mly_flow *flow,
                                       const struct mly_tensor *outputs, struct mly_error *err)
{
    for (uint32_t i = 0; i < flow->output_count; i++) {
        if (!outputs[i].data)
            continue;
        enum mly_status status = check_tensor("output", flow->outputs[i], &outputs[i], true, err);
        if (status != MLY_OK)
            return status;
    }
    return MLY_OK;
}
