/*
 * Running without copies: the runtime reads the caller's inputs and writes the caller's outputs where
 * they lie.
 *
 * 1. When a session is opened, its ports are put in the segment's order, and each output dimension
 *    that has the name of an input's dimension is remembered.
 * 2. A run checks the inputs, then binds those tensors that are not the ones of the run before.
 * 3. An output with memory is bound if its shape is known, from the caller or by 1.; if not, the
 *    runtime gives memory of its own and the result is copied, the one case of a copy. An output
 *    without memory gets a block that an earlier result has left (ort_results.c) if its shape is
 *    known by 1., else memory of the runtime; the caller becomes its owner.
 * 4. A model's file may be wrong about its outputs' shapes. A run that fails with blocks is done
 *    again without, and if that succeeds the session uses none any more.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "ort_session.h"

/* --- 1. ports --- */

struct found_port {
    size_t index;
    bool is_default; /* an initialiser that may be overridden */
};

typedef OrtStatus *(ORT_API_CALL *name_call)(const OrtSession *, size_t, OrtAllocator *, char **);
typedef OrtStatus *(ORT_API_CALL *type_call)(const OrtSession *, size_t, OrtTypeInfo **);

/* Index of the port with that name, or *found false. */
static enum mly_status find_name(const struct mly__ort *ort, const OrtSession *session,
                                 name_call get, size_t count, size_t hint, const char *name,
                                 size_t *index, bool *found, struct mly_error *err)
{
    *found = false;
    for (size_t k = 0; k < count && !*found; k++) {
        const size_t i = (hint + k) % count;
        char *text = NULL;
        enum mly_status status = mly__ort_check(ort, get(session, i, ort->allocator, &text), err);
        if (status != MLY_OK)
            return status;
        *found = strcmp(text, name) == 0;
        *index = i;
        mly__ort_free(ort, text);
    }
    return MLY_OK;
}

static enum mly_status read_port(struct mly__ort_session *s, type_call get, size_t index,
                                 const char *what, struct mly_session_port *port,
                                 OrtTypeInfo **type, const char *names[MLY_RANK_MAX],
                                 struct mly_error *err)
{
    bool is_tensor;
    enum mly_status status = mly__ort_check(s->ort, get(s->session, index, type), err);
    if (status == MLY_OK)
        status =
            mly__ort_describe(s->ort, *type, &is_tensor, &port->dtype, &port->shape, names, err);
    if (status == MLY_OK && !is_tensor)
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "%s '%.200s' is no tensor, but a sequence, "
                             "optional, map or sparse tensor",
                             what, port->name);
    if (status == MLY_OK && mly_dtype_bits(port->dtype) == 0)
        return mly_error_set(err, MLY_E_UNSUPPORTED,
                             "%s '%.200s' is of type %s, which cannot be "
                             "given to a session",
                             what, port->name, mly_dtype_name(port->dtype));
    return status;
}

/* Names of the inputs' dimensions, while the runtime's descriptions of them live. */
struct input_names {
    OrtTypeInfo *type;
    const char *dims[MLY_RANK_MAX];
};

static enum mly_status read_inputs(struct mly__ort_session *s, struct input_names *names,
                                   struct mly_error *err)
{
    const OrtApi *api = s->ort->api;
    const struct mly_graph *graph = mly_model_graph(s->model);
    size_t plain, defaults;
    enum mly_status status =
        mly__ort_check(s->ort, api->SessionGetInputCount(s->session, &plain), err);
    if (status == MLY_OK)
        status = mly__ort_check(
            s->ort, api->SessionGetOverridableInitializerCount(s->session, &defaults), err);
    for (uint32_t i = 0; status == MLY_OK && i < s->segment->input_count; i++) {
        const char *name = graph->tensors[s->segment->inputs[i]].name;
        size_t index = 0;
        bool found = false;
        s->inputs[i].name = name;
        status = find_name(s->ort, s->session, api->SessionGetInputName, plain, i, name, &index,
                           &found, err);
        if (status == MLY_OK && found) {
            status = read_port(s, api->SessionGetInputTypeInfo, index, "input", &s->inputs[i],
                               &names[i].type, names[i].dims, err);
            continue;
        }
        if (status == MLY_OK)
            status = find_name(s->ort, s->session, api->SessionGetOverridableInitializerName,
                               defaults, 0, name, &index, &found, err);
        if (status == MLY_OK && !found)
            return mly_error_set(err, MLY_E_BACKEND, "ONNX Runtime's session has no input '%.200s'",
                                 name);
        s->input_is_optional[i] = true;
        if (status == MLY_OK)
            status = read_port(s, api->SessionGetOverridableInitializerTypeInfo, index, "input",
                               &s->inputs[i], &names[i].type, names[i].dims, err);
    }
    return status;
}

static struct mly__dim_source find_source(const struct mly__ort_session *s,
                                          const struct input_names *names, const char *dim)
{
    for (uint32_t i = 0; dim[0] != '\0' && i < s->info.input_count; i++) {
        if (s->input_is_optional[i])
            continue;
        for (int32_t d = 0; d < s->inputs[i].shape.rank; d++)
            if (s->inputs[i].shape.dims[d] < 0 && strcmp(names[i].dims[d], dim) == 0)
                return (struct mly__dim_source){.known = true, .input = i, .dim = d};
    }
    return (struct mly__dim_source){0};
}

static enum mly_status read_outputs(struct mly__ort_session *s, const struct input_names *names,
                                    struct mly_error *err)
{
    const OrtApi *api = s->ort->api;
    const struct mly_graph *graph = mly_model_graph(s->model);
    size_t count;
    enum mly_status status =
        mly__ort_check(s->ort, api->SessionGetOutputCount(s->session, &count), err);
    for (uint32_t i = 0; status == MLY_OK && i < s->segment->output_count; i++) {
        struct mly_session_port *port = &s->outputs[i];
        OrtTypeInfo *type = NULL;
        const char *dims[MLY_RANK_MAX];
        size_t index = 0;
        bool found = false;
        port->name = graph->tensors[s->segment->outputs[i]].name;
        status = find_name(s->ort, s->session, api->SessionGetOutputName, count, i, port->name,
                           &index, &found, err);
        if (status == MLY_OK && !found)
            status = mly_error_set(err, MLY_E_BACKEND,
                                   "ONNX Runtime's session has no output '%.200s'", port->name);
        if (status == MLY_OK)
            status = read_port(s, api->SessionGetOutputTypeInfo, index, "output", port, &type, dims,
                               err);
        for (int32_t d = 0; status == MLY_OK && d < port->shape.rank; d++)
            if (port->shape.dims[d] < 0)
                s->output_source[(size_t)i * MLY_RANK_MAX + (size_t)d] =
                    find_source(s, names, dims[d]);
        if (type)
            api->ReleaseTypeInfo(type);
    }
    return status;
}

enum mly_status mly__ort_bind_ports(struct mly__ort_session *s, struct mly_error *err)
{
    const OrtApi *api = s->ort->api;
    const size_t in = (size_t)s->segment->input_count + 1;
    const size_t out = (size_t)s->segment->output_count + 1;
    struct input_names *names = mly_alloc_array(in, sizeof *names);
    s->inputs = mly_alloc_array(in, sizeof *s->inputs);
    s->input_is_optional = mly_alloc_array(in, sizeof *s->input_is_optional);
    s->bound_inputs = mly_alloc_array(in, sizeof *s->bound_inputs);
    s->outputs = mly_alloc_array(out, sizeof *s->outputs);
    s->output_source = mly_alloc_array(out * MLY_RANK_MAX, sizeof *s->output_source);
    s->bound_outputs = mly_alloc_array(out, sizeof *s->bound_outputs);
    s->results = mly_alloc_array(out, sizeof *s->results);
    s->is_preset = mly_alloc_array(out, sizeof *s->is_preset);
    s->blocks = mly_alloc_array(out, sizeof *s->blocks);
    s->result_pool = mly__ort_results_create(s->segment->output_count);
    enum mly_status status = MLY_OK;
    if (!names || !s->inputs || !s->input_is_optional || !s->bound_inputs || !s->outputs ||
        !s->output_source || !s->bound_outputs || !s->results || !s->is_preset || !s->blocks ||
        !s->result_pool)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "memory is short");
    s->info.inputs = s->inputs;
    s->info.outputs = s->outputs;
    s->info.input_count = s->segment->input_count;
    s->info.output_count = s->segment->output_count;
    if (status == MLY_OK)
        status = mly__ort_check(s->ort, api->CreateIoBinding(s->session, &s->binding), err);
    if (status == MLY_OK)
        status = read_inputs(s, names, err);
    if (status == MLY_OK)
        status = read_outputs(s, names, err);
    for (size_t i = 0; names && i < in; i++)
        if (names[i].type)
            api->ReleaseTypeInfo(names[i].type);
    mly_free(names);
    return status;
}

static void drop(const struct mly__ort_session *s, struct mly__bound *bound)
{
    if (bound->value)
        s->ort->api->ReleaseValue(bound->value);
    *bound = (struct mly__bound){0};
}

void mly__ort_unbind(struct mly__ort_session *s)
{
    for (uint32_t i = 0; s->bound_inputs && i < s->info.input_count; i++)
        drop(s, &s->bound_inputs[i]);
    for (uint32_t i = 0; s->bound_outputs && i < s->info.output_count; i++)
        drop(s, &s->bound_outputs[i]);
    if (s->binding)
        s->ort->api->ReleaseIoBinding(s->binding);
    mly_free(s->inputs);
    mly_free(s->input_is_optional);
    mly_free(s->bound_inputs);
    mly_free(s->outputs);
    mly_free(s->output_source);
    mly_free(s->bound_outputs);
    mly_free(s->results);
    mly_free(s->is_preset);
    mly_free(s->blocks);
    mly__ort_results_close(s->result_pool);
}

/* --- 2. and 3. --- */

static bool fits(const struct mly_shape *wanted, const struct mly_shape *given)
{
    if (wanted->rank < 0)
        return true;
    if (wanted->rank != given->rank)
        return false;
    for (int32_t d = 0; d < wanted->rank; d++)
        if (wanted->dims[d] >= 0 && given->dims[d] >= 0 && wanted->dims[d] != given->dims[d])
            return false;
    return true;
}

static enum mly_status mismatch(const char *what, const struct mly_session_port *port,
                                const struct mly_tensor *given, struct mly_error *err)
{
    char a[MLY_SHAPE_TEXT_BYTES], b[MLY_SHAPE_TEXT_BYTES];
    return mly_error_set(err, MLY_E_MISMATCH, "%s '%.200s' is %s %s; it was given %s %s", what,
                         port->name, mly_dtype_name(port->dtype), mly_shape_format(&port->shape, a),
                         mly_dtype_name(given->dtype), mly_shape_format(&given->shape, b));
}

static enum mly_status check_input(const struct mly_session_port *port,
                                   const struct mly_tensor *given, struct mly_error *err)
{
    size_t bytes;
    if (given->dtype != port->dtype || !mly_shape_is_known(&given->shape) ||
        !fits(&port->shape, &given->shape))
        return mismatch("input", port, given, err);
    enum mly_status status = mly_shape_bytes(given->dtype, &given->shape, &bytes, err);
    if (status == MLY_OK && (given->size_bytes != bytes || (bytes > 0 && !given->data)))
        return mly_error_set(err, MLY_E_MISMATCH,
                             "input '%.200s' takes %zu bytes for its shape; it was given %zu",
                             port->name, bytes, given->data ? given->size_bytes : 0);
    return status;
}

/* The runtime wants an address even where there are no elements. */
static char nothing[MLY_TENSOR_ALIGNMENT];

static enum mly_status wrap(const struct mly__ort *ort, const struct mly_tensor *tensor,
                            const struct mly_shape *shape, size_t bytes, OrtValue **out,
                            struct mly_error *err)
{
    void *data = tensor->data ? tensor->data : nothing;
    return mly__ort_check(ort,
                          ort->api->CreateTensorWithDataAsOrtValue(
                              ort->cpu, data, bytes, shape->dims, (size_t)shape->rank,
                              (ONNXTensorElementDataType)mly_dtype_to_onnx(tensor->dtype), out),
                          err);
}

static bool is_bound(const struct mly__bound *bound, const struct mly_tensor *tensor,
                     const struct mly_shape *shape, size_t bytes)
{
    return bound->value && bound->data == tensor->data && bound->size_bytes == bytes &&
           mly_shape_equal(&bound->shape, shape);
}

/* Inputs whose default of the file is wanted are not bound: the binding is then made anew. */
static enum mly_status bind_inputs(struct mly__ort_session *s, const struct mly_tensor *inputs,
                                   struct mly_error *err)
{
    const OrtApi *api = s->ort->api;
    for (uint32_t i = 0; i < s->info.input_count; i++) {
        if (!s->input_is_optional[i] || inputs[i].dtype != MLY_DTYPE_UNDEFINED ||
            !s->bound_inputs[i].value)
            continue;
        api->ClearBoundInputs(s->binding);
        for (uint32_t k = 0; k < s->info.input_count; k++)
            drop(s, &s->bound_inputs[k]);
    }
    for (uint32_t i = 0; i < s->info.input_count; i++) {
        const struct mly_tensor *given = &inputs[i];
        struct mly__bound *bound = &s->bound_inputs[i];
        if (s->input_is_optional[i] && given->dtype == MLY_DTYPE_UNDEFINED)
            continue;
        enum mly_status status = check_input(&s->inputs[i], given, err);
        if (status != MLY_OK)
            return status;
        if (is_bound(bound, given, &given->shape, given->size_bytes))
            continue;
        OrtValue *value = NULL;
        status = wrap(s->ort, given, &given->shape, given->size_bytes, &value, err);
        if (status == MLY_OK)
            status =
                mly__ort_check(s->ort, api->BindInput(s->binding, s->inputs[i].name, value), err);
        drop(s, bound);
        if (status != MLY_OK) {
            if (value)
                api->ReleaseValue(value);
            return status;
        }
        *bound = (struct mly__bound){.value = value,
                                     .data = given->data,
                                     .size_bytes = given->size_bytes,
                                     .shape = given->shape};
    }
    return MLY_OK;
}

/* The shape that the output will have, as far as it follows from the inputs and the caller. */
static struct mly_shape expect_shape(const struct mly__ort_session *s, uint32_t output,
                                     const struct mly_tensor *inputs, const struct mly_shape *given)
{
    struct mly_shape shape = s->outputs[output].shape;
    if (shape.rank < 0)
        return *given;
    for (int32_t d = 0; d < shape.rank; d++) {
        const struct mly__dim_source *source =
            &s->output_source[(size_t)output * MLY_RANK_MAX + (size_t)d];
        if (shape.dims[d] < 0 && source->known)
            shape.dims[d] = inputs[source->input].shape.dims[source->dim];
        if (shape.dims[d] < 0 && d < given->rank)
            shape.dims[d] = given->dims[d];
    }
    return shape;
}

/* Results may be smaller than the memory only where the caller left dimensions open. */
static enum mly_status check_output(const struct mly_session_port *port,
                                    const struct mly_tensor *given, const struct mly_shape *result,
                                    size_t *bytes, struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    if (given->dtype != port->dtype || !fits(&given->shape, result)) {
        const struct mly_session_port is = {
            .name = port->name, .dtype = port->dtype, .shape = *result};
        return mismatch("output", &is, given, err);
    }
    if (!mly_shape_is_known(result))
        return MLY_OK;
    status = mly_shape_bytes(port->dtype, result, bytes, err);
    if (status == MLY_OK && (mly_shape_is_known(&given->shape) ? given->size_bytes != *bytes
                                                               : given->size_bytes < *bytes))
        return mly_error_set(err, MLY_E_MISMATCH,
                             "output '%.200s' takes %zu bytes; it was given memory of %zu",
                             port->name, *bytes, given->size_bytes);
    return status;
}

/* Binds memory of that shape unless it is bound. */
static enum mly_status bind_memory(struct mly__ort_session *s, uint32_t i,
                                   const struct mly_tensor *memory, const struct mly_shape *shape,
                                   size_t bytes, struct mly_error *err)
{
    const OrtApi *api = s->ort->api;
    struct mly__bound *bound = &s->bound_outputs[i];
    OrtValue *value = NULL;
    s->is_preset[i] = true;
    if (is_bound(bound, memory, shape, bytes))
        return MLY_OK;
    enum mly_status status = wrap(s->ort, memory, shape, bytes, &value, err);
    if (status == MLY_OK)
        status =
            mly__ort_check(s->ort, api->BindOutput(s->binding, s->outputs[i].name, value), err);
    drop(s, bound);
    if (status != MLY_OK) {
        if (value)
            api->ReleaseValue(value);
        return status;
    }
    *bound = (struct mly__bound){
        .value = value, .data = memory->data, .size_bytes = bytes, .shape = *shape};
    return MLY_OK;
}

/* True if the output has a block now: its shape follows from the inputs alone. */
static enum mly_status bind_block(struct mly__ort_session *s, uint32_t i,
                                  const struct mly_tensor *inputs, bool *has_block,
                                  struct mly_error *err)
{
    const struct mly_shape unknown = {.rank = -1};
    const struct mly_shape shape = expect_shape(s, i, inputs, &unknown);
    size_t bytes = 0;
    *has_block = false;
    if (s->no_blocks || !mly_shape_is_known(&shape) ||
        mly_shape_bytes(s->outputs[i].dtype, &shape, &bytes, NULL) != MLY_OK || bytes == 0)
        return MLY_OK;
    s->blocks[i] = mly__ort_block_take(s->result_pool, i, bytes);
    if (!s->blocks[i])
        return mly_error_set(err, MLY_E_NO_MEMORY, "no memory for output '%.200s' (%zu bytes)",
                             s->outputs[i].name, bytes);
    *has_block = true;
    const struct mly_tensor memory = {.dtype = s->outputs[i].dtype,
                                      .data = mly__ort_block_data(s->blocks[i])};
    return bind_memory(s, i, &memory, &shape, bytes, err);
}

static enum mly_status bind_output(struct mly__ort_session *s, uint32_t i,
                                   const struct mly_tensor *inputs, struct mly_tensor *given,
                                   struct mly_error *err)
{
    s->is_preset[i] = false;
    if (given->data) {
        size_t bytes = 0;
        const struct mly_shape shape = expect_shape(s, i, inputs, &given->shape);
        enum mly_status status = check_output(&s->outputs[i], given, &shape, &bytes, err);
        if (status != MLY_OK)
            return status;
        if (mly_shape_is_known(&shape) && bytes > 0)
            return bind_memory(s, i, given, &shape, bytes, err);
    } else {
        bool has_block;
        enum mly_status status = bind_block(s, i, inputs, &has_block, err);
        if (status != MLY_OK || has_block)
            return status;
    }
    drop(s, &s->bound_outputs[i]);
    return mly__ort_check(
        s->ort, s->ort->api->BindOutputToDevice(s->binding, s->outputs[i].name, s->ort->cpu), err);
}

static void release_value(void *owner)
{
    const struct mly__ort *ort;
    if (mly__ort_get(&ort, NULL) == MLY_OK) /* it was got before the value was */
        ort->api->ReleaseValue(owner);
}

/* The runtime's value as a tensor that owns it; on failure the value stays the caller's. */
static enum mly_status adopt(const struct mly__ort *ort, OrtValue *value, struct mly_tensor *out,
                             struct mly_error *err)
{
    OrtTypeInfo *type = NULL;
    struct mly_tensor tensor = {0};
    bool is_tensor;
    enum mly_status status = mly__ort_check(ort, ort->api->GetTypeInfo(value, &type), err);
    if (status == MLY_OK)
        status = mly__ort_describe(ort, type, &is_tensor, &tensor.dtype, &tensor.shape, NULL, err);
    if (type)
        ort->api->ReleaseTypeInfo(type);
    if (status == MLY_OK)
        status = mly_shape_bytes(tensor.dtype, &tensor.shape, &tensor.size_bytes, err);
    if (status == MLY_OK && tensor.size_bytes > 0)
        status = mly__ort_check(ort, ort->api->GetTensorMutableData(value, &tensor.data), err);
    if (status != MLY_OK)
        return status;
    if (tensor.size_bytes > 0) {
        tensor.release = release_value;
        tensor.owner = value;
    } else {
        ort->api->ReleaseValue(value);
    }
    *out = tensor;
    return MLY_OK;
}

/* Moves one result to the caller, whose tensor stays untouched on failure. */
static enum mly_status deliver(struct mly__ort_session *s, uint32_t i, struct mly_tensor *result,
                               struct mly_tensor *to, struct mly_error *err)
{
    if (!to->data) {
        mly_tensor_fini(to);
        *to = *result;
        *result = (struct mly_tensor){0};
        return MLY_OK;
    }
    size_t bytes = 0;
    enum mly_status status = check_output(&s->outputs[i], to, &result->shape, &bytes, err);
    if (status != MLY_OK)
        return status;
    if (bytes > 0)
        memcpy(to->data, result->data, bytes);
    to->shape = result->shape;
    to->size_bytes = bytes;
    return MLY_OK;
}

/* Blocks that no result has become go back. */
static void drop_blocks(struct mly__ort_session *s)
{
    for (uint32_t i = 0; i < s->info.output_count; i++) {
        if (s->blocks[i])
            mly__ort_block_release(s->blocks[i]);
        s->blocks[i] = NULL;
    }
}

/* Where a block was used, it is the result's memory now. */
static void hand_out_blocks(struct mly__ort_session *s, struct mly_tensor *outputs)
{
    for (uint32_t i = 0; i < s->info.output_count; i++) {
        if (!s->blocks[i])
            continue;
        mly_tensor_fini(&outputs[i]);
        outputs[i] = (struct mly_tensor){.dtype = s->outputs[i].dtype,
                                         .shape = s->bound_outputs[i].shape,
                                         .data = mly__ort_block_data(s->blocks[i]),
                                         .size_bytes = s->bound_outputs[i].size_bytes,
                                         .release = mly__ort_block_release,
                                         .owner = s->blocks[i]};
        s->blocks[i] = NULL;
    }
}

static enum mly_status collect(struct mly__ort_session *s, struct mly_tensor *outputs,
                               struct mly_error *err)
{
    const struct mly__ort *ort = s->ort;
    OrtValue **values = NULL;
    size_t count = 0;
    bool any = false;
    for (uint32_t i = 0; i < s->info.output_count; i++) {
        if (s->is_preset[i] && !s->blocks[i]) {
            outputs[i].shape = s->bound_outputs[i].shape;
            outputs[i].size_bytes = s->bound_outputs[i].size_bytes;
        }
        any = any || !s->is_preset[i];
    }
    hand_out_blocks(s, outputs);
    if (!any)
        return MLY_OK;
    enum mly_status status = mly__ort_check(
        ort, ort->api->GetBoundOutputValues(s->binding, ort->allocator, &values, &count), err);
    /* The binding would hand the same memory to the next run. */
    ort->api->ClearBoundOutputs(s->binding);
    for (uint32_t i = 0; i < s->info.output_count; i++)
        drop(s, &s->bound_outputs[i]);
    if (status != MLY_OK)
        return status;
    if (count != s->info.output_count)
        status = mly_error_set(err, MLY_E_INTERNAL, "ONNX Runtime gave %zu outputs, not %" PRIu32,
                               count, s->info.output_count);
    for (size_t i = 0; i < count; i++) {
        if (status == MLY_OK && !s->is_preset[i]) {
            status = adopt(ort, values[i], &s->results[i], err);
            if (status == MLY_OK)
                values[i] = NULL;
        }
        if (values[i])
            ort->api->ReleaseValue(values[i]);
    }
    mly__ort_free(ort, values);
    for (uint32_t i = 0; i < s->info.output_count; i++) {
        if (status == MLY_OK && !s->is_preset[i])
            status = deliver(s, i, &s->results[i], &outputs[i], err);
        mly_tensor_fini(&s->results[i]);
    }
    return status;
}

static void begin(struct mly__ort_session *s)
{
    pthread_mutex_lock(&s->lock);
    if (s->terminated)
        mly__ort_ignore(s->ort, s->ort->api->RunOptionsUnsetTerminate(s->run_options));
    s->terminated = false;
    s->running = true;
    pthread_mutex_unlock(&s->lock);
}

/* True if somebody asked for the end of this run. */
static bool end(struct mly__ort_session *s)
{
    pthread_mutex_lock(&s->lock);
    s->running = false;
    const bool terminated = s->terminated;
    pthread_mutex_unlock(&s->lock);
    return terminated;
}

static void unbind_outputs(struct mly__ort_session *s)
{
    s->ort->api->ClearBoundOutputs(s->binding);
    for (uint32_t i = 0; i < s->info.output_count; i++)
        drop(s, &s->bound_outputs[i]);
    drop_blocks(s);
}

/* *has_run: the runtime was asked. *with_blocks: it was given some. */
static enum mly_status attempt(struct mly__ort_session *s, const struct mly_tensor *inputs,
                               struct mly_tensor *outputs, bool *has_run, bool *with_blocks,
                               struct mly_error *err)
{
    enum mly_status status = MLY_OK;
    *has_run = *with_blocks = false;
    /* All or none: the binding's order of outputs is the order in which they were first bound. */
    for (uint32_t i = 0; status == MLY_OK && i < s->info.output_count; i++) {
        status = bind_output(s, i, inputs, &outputs[i], err);
        *with_blocks |= s->blocks[i] != NULL;
    }
    if (status == MLY_OK) {
        *has_run = true;
        begin(s);
        status = mly__ort_check(
            s->ort, s->ort->api->RunWithBinding(s->session, s->run_options, s->binding), err);
        if (end(s) && status != MLY_OK)
            status = mly_error_set(err, MLY_E_CANCELLED, "the run was cancelled");
    }
    if (status != MLY_OK)
        unbind_outputs(s);
    return status;
}

enum mly_status mly__ort_run(mly_session *session, const struct mly_tensor *inputs,
                             struct mly_tensor *outputs, struct mly_error *err)
{
    struct mly__ort_session *s = mly__ort_session_of(session);
    bool has_run, with_blocks;
    enum mly_status status = bind_inputs(s, inputs, err);
    if (status != MLY_OK) {
        unbind_outputs(s);
        return status;
    }
    status = attempt(s, inputs, outputs, &has_run, &with_blocks, err);
    if (status != MLY_OK && status != MLY_E_CANCELLED && has_run && with_blocks) { /* (4) */
        s->no_blocks = true;
        status = attempt(s, inputs, outputs, &has_run, &with_blocks, err);
        s->no_blocks = status == MLY_OK;
    }
    return status == MLY_OK ? collect(s, outputs, err) : status;
}
