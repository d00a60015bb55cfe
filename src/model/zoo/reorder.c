/* Layers that join, reshape and pick tensors, and products of two activations. */
#include "internal.h"

uint32_t mly__zoo_concat(mly__zoo *zoo, const char *path, int64_t axis, const uint32_t *values,
                         uint32_t count)
{
    struct mly_shape shape = mly__zoo_value(zoo, values[0])->shape;
    if (axis < 1 || axis >= shape.rank)
        return mly__zoo_fault(zoo, path, "tensors are joined along an axis after the batch");
    double total = 0, mean = 0, second = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct mly__zoo_value *part = mly__zoo_value(zoo, values[i]);
        double size = (double)part->shape.dims[axis];
        for (int32_t d = 0; d < shape.rank; d++)
            if (d != axis && part->shape.dims[d] != shape.dims[d])
                return mly__zoo_fault(zoo, path, "joined tensors differ in another axis");
        total += size;
        mean += size * part->moments.mean;
        second += size * (part->moments.variance + part->moments.mean * part->moments.mean);
    }
    mean /= total;
    shape.dims[axis] = (int64_t)total;
    const struct mly__zoo_attribute attribute = {
        .name = "axis", .kind = MLY__ZOO_INT, .number = axis};
    return mly__zoo_node(zoo, "Concat", path, values, count, &attribute, 1, &shape,
                         (struct mly__moments){mean, second / total - mean * mean});
}

uint32_t mly__zoo_flatten(mly__zoo *zoo, const char *path, uint32_t x)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    struct mly_shape shape = {.rank = 2, .dims = {input->shape.dims[0], 1}};
    for (int32_t i = 1; i < input->shape.rank; i++)
        shape.dims[1] *= input->shape.dims[i];
    struct mly__moments moments = input->moments;
    const struct mly__zoo_attribute axis = {.name = "axis", .kind = MLY__ZOO_INT, .number = 1};
    return mly__zoo_node(zoo, "Flatten", path, &x, 1, &axis, 1, &shape, moments);
}

uint32_t mly__zoo_reshape(mly__zoo *zoo, const char *path, uint32_t x, const int64_t *dims,
                          uint32_t rank)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    struct mly__moments moments = input->moments;
    struct mly_shape shape = {.rank = (int32_t)rank};
    int64_t elements = 1, known = 1;
    for (int32_t i = 1; i < input->shape.rank; i++)
        elements *= input->shape.dims[i];
    for (uint32_t i = 0; i < rank; i++) {
        shape.dims[i] = dims[i] == 0 ? input->shape.dims[i] : dims[i];
        if (shape.dims[i] > 0)
            known *= shape.dims[i];
    }
    for (uint32_t i = 1; i < rank; i++)
        if (dims[i] < 0)
            shape.dims[i] = elements / known;
    if (elements % known != 0)
        return mly__zoo_fault(zoo, path, "the new shape has another number of elements");
    const uint32_t inputs[2] = {x, mly__zoo_constant_i64(zoo, path, dims, rank, false)};
    return mly__zoo_node(zoo, "Reshape", path, inputs, 2, NULL, 0, &shape, moments);
}

uint32_t mly__zoo_transpose(mly__zoo *zoo, const char *path, uint32_t x, const int64_t *order)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    struct mly_shape shape = input->shape;
    struct mly__moments moments = input->moments;
    for (int32_t i = 0; i < shape.rank; i++)
        shape.dims[i] = input->shape.dims[order[i]];
    const struct mly__zoo_attribute perm = {
        .name = "perm", .kind = MLY__ZOO_INTS, .list = order, .count = (uint32_t)shape.rank};
    return mly__zoo_node(zoo, "Transpose", path, &x, 1, &perm, 1, &shape, moments);
}

uint32_t mly__zoo_upsample2(mly__zoo *zoo, const char *path, uint32_t x)
{
    struct mly_shape shape = mly__zoo_value(zoo, x)->shape;
    struct mly__moments moments = mly__zoo_value(zoo, x)->moments;
    if (shape.rank != 4)
        return mly__zoo_fault(zoo, path, "only images are enlarged");
    shape.dims[2] *= 2;
    shape.dims[3] *= 2;
    static const float factors[4] = {1, 1, 2, 2};
    const struct mly__zoo_attribute scales = {
        .name = "value", .kind = MLY__ZOO_F32_LIST, .reals = factors, .count = 4};
    const struct mly_shape four = {.rank = 1, .dims = {4}};
    const uint32_t inputs[3] = {
        x, MLY__ZOO_OMITTED,
        mly__zoo_node(zoo, "Constant", path, NULL, 0, &scales, 1, &four, (struct mly__moments){0})};
    const struct mly__zoo_attribute attributes[] = {
        {.name = "coordinate_transformation_mode", .kind = MLY__ZOO_STRING, .text = "asymmetric"},
        {.name = "cubic_coeff_a", .kind = MLY__ZOO_FLOAT, .real = -0.75F},
        {.name = "mode", .kind = MLY__ZOO_STRING, .text = "nearest"},
        {.name = "nearest_mode", .kind = MLY__ZOO_STRING, .text = "floor"},
    };
    return mly__zoo_node(zoo, "Resize", path, inputs, 3, attributes, 4, &shape, moments);
}

/* Shape and arithmetic of a product of two activations. */
static struct mly_shape product(mly__zoo *zoo, const char *path, uint32_t a, uint32_t b,
                                int64_t *inner)
{
    struct mly_shape shape = mly__zoo_value(zoo, a)->shape;
    const struct mly_shape *right = &mly__zoo_value(zoo, b)->shape;
    if (shape.rank < 2 || right->rank != shape.rank ||
        shape.dims[shape.rank - 1] != right->dims[shape.rank - 2]) {
        mly__zoo_fault(zoo, path, "the matrices do not fit");
        return (struct mly_shape){.rank = 0};
    }
    *inner = shape.dims[shape.rank - 1];
    shape.dims[shape.rank - 1] = right->dims[shape.rank - 1];
    double macs = (double)*inner;
    for (int32_t i = 1; i < shape.rank; i++)
        macs *= (double)shape.dims[i];
    zoo->macs += macs;
    return shape;
}

uint32_t mly__zoo_matmul(mly__zoo *zoo, const char *path, uint32_t a, uint32_t b)
{
    int64_t inner = 1;
    struct mly_shape shape = product(zoo, path, a, b, &inner);
    struct mly__moments p = mly__zoo_value(zoo, a)->moments, q = mly__zoo_value(zoo, b)->moments;
    double mean = p.mean * q.mean;
    double second = (p.variance + p.mean * p.mean) * (q.variance + q.mean * q.mean);
    struct mly__moments moments = {mean * (double)inner, (second - mean * mean) * (double)inner};
    return mly__zoo_node(zoo, "MatMul", path, (uint32_t[]){a, b}, 2, NULL, 0, &shape, moments);
}

uint32_t mly__zoo_attend(mly__zoo *zoo, const char *path, uint32_t weights, uint32_t values,
                         double effective)
{
    int64_t inner;
    struct mly_shape shape = product(zoo, path, weights, values, &inner);
    struct mly__moments moments = mly__zoo_value(zoo, values)->moments;
    moments.variance /= effective;
    return mly__zoo_node(zoo, "MatMul", path, (uint32_t[]){weights, values}, 2, NULL, 0, &shape,
                         moments);
}

uint32_t mly__zoo_gather(mly__zoo *zoo, const char *path, uint32_t x, int64_t axis, int64_t index)
{
    const struct mly__zoo_value *input = mly__zoo_value(zoo, x);
    struct mly_shape shape = input->shape;
    struct mly__moments moments = input->moments;
    enum mly_dtype dtype = input->dtype;
    shape.rank--;
    for (int32_t i = (int32_t)axis; i < shape.rank; i++)
        shape.dims[i] = shape.dims[i + 1];
    const uint32_t inputs[2] = {x, mly__zoo_constant_i64(zoo, path, &index, 1, true)};
    const struct mly__zoo_attribute attribute = {
        .name = "axis", .kind = MLY__ZOO_INT, .number = axis};
    return mly__zoo_node_typed(zoo, "Gather", path, inputs, 2, &attribute, 1, dtype, &shape,
                               moments);
}

uint32_t mly__zoo_expand_batch(mly__zoo *zoo, const char *path, uint32_t parameter, uint32_t like)
{
    struct mly_shape shape = mly__zoo_value(zoo, parameter)->shape;
    struct mly__moments moments = mly__zoo_value(zoo, parameter)->moments, none = {0, 0};
    const struct mly_shape like_rank = {.rank = 1, .dims = {mly__zoo_value(zoo, like)->shape.rank}};
    const struct mly_shape one = {.rank = 1, .dims = {1}}, rank = {.rank = 1, .dims = {shape.rank}};
    const struct mly__zoo_attribute axis = {.name = "axis", .kind = MLY__ZOO_INT, .number = 0};

    uint32_t sizes =
        mly__zoo_node_typed(zoo, "Shape", path, &like, 1, NULL, 0, MLY_DTYPE_I64, &like_rank, none);
    uint32_t batch = mly__zoo_gather(zoo, path, sizes, 0, 0);
    const uint32_t unsqueeze[2] = {batch,
                                   mly__zoo_constant_i64(zoo, path, (int64_t[]){0}, 1, false)};
    batch = mly__zoo_node_typed(zoo, "Unsqueeze", path, unsqueeze, 2, NULL, 0, MLY_DTYPE_I64, &one,
                                none);
    const uint32_t join[2] = {
        batch, mly__zoo_constant_i64(zoo, path, shape.dims + 1, (uint32_t)shape.rank - 1, false)};
    uint32_t target =
        mly__zoo_node_typed(zoo, "Concat", path, join, 2, &axis, 1, MLY_DTYPE_I64, &rank, none);
    shape.dims[0] = MLY_DIM_UNKNOWN;
    return mly__zoo_node(zoo, "Expand", path, (uint32_t[]){parameter, target}, 2, NULL, 0, &shape,
                         moments);
}
