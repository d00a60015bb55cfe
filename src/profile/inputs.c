/* Makes inputs to measure with. */
#include "profile/inputs.h"

#include <string.h>

#include "base/alloc.h"
#include "tensorio/raw.h"

static const char *const fill_names[FILL_COUNT] = {"random values", "zeros", "ones"};

const char *profile_fill_name(enum profile_fill fill)
{
    return fill_names[fill];
}

bool profile_fill_may_help(enum mly_status status)
{
    return status != MLY_OK && status != MLY_E_CANCELLED && status != MLY_E_NO_MEMORY;
}

/* The bytes of 1 in each type, little-endian; types that are not listed are integers. */
static void fill_ones(struct mly_tensor *tensor)
{
    static const struct {
        enum mly_dtype dtype;
        unsigned char bytes[8];
    } ones[] = {
        {MLY_DTYPE_F16, {0, 0x3c}},
        {MLY_DTYPE_BF16, {0x80, 0x3f}},
        {MLY_DTYPE_F32, {0, 0, 0x80, 0x3f}},
        {MLY_DTYPE_C64, {0, 0, 0x80, 0x3f}},
        {MLY_DTYPE_F64, {0, 0, 0, 0, 0, 0, 0xf0, 0x3f}},
        {MLY_DTYPE_C128, {0, 0, 0, 0, 0, 0, 0xf0, 0x3f}},
        {MLY_DTYPE_F8E4M3FN, {0x38}},
        {MLY_DTYPE_F8E4M3FNUZ, {0x40}},
        {MLY_DTYPE_F8E5M2, {0x3c}},
        {MLY_DTYPE_F8E5M2FNUZ, {0x40}},
    };
    const unsigned char one[8] = {1};
    const unsigned char *bytes = one;
    size_t step = mly_dtype_bits(tensor->dtype) / 8;
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        if (ones[i].dtype == tensor->dtype)
            bytes = ones[i].bytes;
    unsigned char *data = tensor->data;
    /* Types under 8 bits share bytes: zeros are what they get. */
    for (size_t at = 0; step && at < tensor->size_bytes; at += step)
        memcpy(data + at, bytes, step < sizeof one ? step : sizeof one);
}

static enum mly_status make_one(const struct mly_port *port, const struct profile_dims *dims,
                                struct mly_shape shape, uint64_t seed, enum profile_fill fill,
                                struct mly_tensor *out, struct mly_error *err)
{
    if (shape.rank < 0)
        shape.rank = 0;
    for (int32_t d = 0; d < shape.rank; d++)
        if (shape.dims[d] < 0)
            shape.dims[d] = profile_dims_nameless(dims, port->name, d);
    enum mly_status status = fill == FILL_RANDOM
                                 ? mly_tensor_random(port->dtype, &shape, seed, out, err)
                                 : mly_tensor_init(port->dtype, &shape, out, err);
    if (status != MLY_OK)
        return mly_error_prefix(err, status, "input '%s'", port->name);
    if (fill == FILL_ONES)
        fill_ones(out);
    return MLY_OK;
}

enum mly_status profile_inputs_make(const mly_model *model, const struct profile_dims *dims,
                                    uint32_t batch, enum profile_fill fill, struct mly_tensor **out,
                                    struct mly_error *err)
{
    const struct mly_graph *graph = mly_model_graph(model);
    size_t count = mly_model_input_count(model);
    struct mly_tensor *inputs = mly_alloc_array(count ? count : 1, sizeof *inputs);
    struct mly_shape *shapes =
        mly_alloc_array(graph->tensor_count ? graph->tensor_count : 1, sizeof *shapes);
    enum mly_status status = MLY_OK;
    if (!inputs || !shapes)
        status = mly_error_set(err, MLY_E_NO_MEMORY, "no memory for inputs");
    if (status == MLY_OK)
        status = mly_graph_bind(model, batch, dims->items, dims->count, shapes, err);
    for (size_t i = 0; status == MLY_OK && i < count; i++)
        status = make_one(mly_model_input(model, i), dims, shapes[graph->inputs[i]], i + 1, fill,
                          &inputs[i], err);
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
