/* Batches split over processors: rows, views of them, outputs. */
#include "runtime/split.h"

#include <inttypes.h>
#include <string.h>

enum mly_status mly__split_check(const struct mly_flow *flow, struct mly_error *err)
{
    for (uint32_t i = 0; i < flow->output_count; i++) {
        const struct mly_port *port = flow->outputs[i];
        bool known = port->shape.rank > 0 && port->shape.dims[0] < 0;
        for (int32_t d = 1; d < port->shape.rank; d++)
            known = known && port->shape.dims[d] >= 0;
        if (!known || mly_dtype_bits(port->dtype) < 8)
            return mly_error_set(err, MLY_E_UNSUPPORTED,
                                 "output '%s' cannot be put together from parts of a batch: all "
                                 "dimensions but the first must be known, the first be the batch, "
                                 "and elements be whole bytes",
                                 port->name);
    }
    return MLY_OK;
}

struct mly_shape mly__split_output_shape(const struct mly_flow *flow, uint32_t output,
                                         int64_t batch)
{
    struct mly_shape shape = flow->outputs[output]->shape;
    shape.dims[0] = batch;
    return shape;
}

static enum mly_status check_size(const struct mly_flow *flow, uint32_t output,
                                  const struct mly_tensor *given, const struct mly_shape *shape,
                                  struct mly_error *err)
{
    size_t bytes = 0;
    enum mly_status status = mly_shape_bytes(flow->outputs[output]->dtype, shape, &bytes, err);
    if (status == MLY_OK && bytes != given->size_bytes)
        status = mly_error_set(err, MLY_E_MISMATCH, "output '%s' has %zu bytes, not %zu",
                               flow->outputs[output]->name, bytes, given->size_bytes);
    return status;
}

enum mly_status mly__split_make_outputs(mly_request *request, const struct mly_tensor *inputs,
                                        const struct mly_tensor *outputs, struct mly_error *err)
{
    const struct mly_flow *flow = request->pool->flow;
    for (uint32_t i = 0; i < flow->output_count; i++) {
        struct mly_shape shape = mly__split_output_shape(flow, i, inputs[0].shape.dims[0]);
        enum mly_status status =
            outputs && outputs[i].data
                ? check_size(flow, i, &outputs[i], &shape, err)
                : mly_tensor_init(flow->outputs[i]->dtype, &shape, &request->tensors[i], err);
        if (status != MLY_OK)
            return status;
    }
    return MLY_OK;
}

void mly__split_rows(mly_request *request, uint32_t segment)
{
    const struct mly_flow_segment *its = &request->pool->flow->segments[segment];
    uint64_t sum = 0, before = 0;
    uint32_t first_row = 0;
    for (uint32_t k = 0; k < its->processor_count; k++)
        sum += its->shares[k];
    for (uint32_t k = 0; k < its->processor_count; k++) {
        struct mly__task *part = mly__request_part(request, segment, k);
        before += its->shares[k];
        uint32_t end = (uint32_t)(request->batch * before / sum);
        part->first_row = first_row;
        part->rows = end - first_row;
        first_row = end;
    }
}

struct mly_tensor mly__split_view(const struct mly__task *task, uint32_t slot)
{
    const mly_request *request = task->request;
    const struct mly_flow *flow = request->pool->flow;
    struct mly_tensor view = request->tensors[slot];
    bool is_input = slot >= flow->output_count;
    const struct mly_port *port =
        is_input ? flow->inputs[slot - flow->output_count] : flow->outputs[slot];
    view.release = NULL;
    view.owner = NULL;
    if (port->shape.rank < 1 || port->shape.dims[0] >= 0 ||
        view.shape.dims[0] != (int64_t)request->batch)
        return view;
    size_t row_bytes = view.size_bytes / request->batch;
    view.data = (unsigned char *)view.data + task->first_row * row_bytes;
    view.size_bytes = task->rows * row_bytes;
    view.shape.dims[0] = task->rows;
    return view;
}

struct mly_tensor mly__split_output(const struct mly__task *task, uint32_t slot,
                                    const struct mly_flow_processor *processor)
{
    struct mly_tensor view = mly__split_view(task, slot);
    bool ours = task->request->tensors[slot].release != NULL;
    if (ours && processor->device.modelled && processor->session.results != MLY_RESULTS_ALWAYS)
        return (struct mly_tensor){0};
    return view;
}

bool mly__split_take(const struct mly__task *task, uint32_t slot, struct mly_tensor *output,
                     uint64_t *copied)
{
    struct mly_tensor view = mly__split_view(task, slot);
    if (output->data == view.data)
        return true;
    bool there = !mly_tensor_is_absent(output);
    if (there && output->size_bytes == view.size_bytes) {
        memcpy(view.data, output->data, view.size_bytes);
        *copied += view.size_bytes;
    }
    mly_tensor_fini(output);
    return there;
}

void mly__split_declare_absent(mly_request *request)
{
    const struct mly_flow *flow = request->pool->flow;
    for (uint32_t i = 0; i < flow->output_count; i++) {
        struct mly_tensor *tensor = &request->tensors[i];
        struct mly_tensor absent = {.dtype = tensor->dtype, .shape = tensor->shape};
        if (!tensor->release)
            continue; /* the client's own, written by those that computed */
        mly_tensor_fini(tensor);
        *tensor = absent;
    }
}
