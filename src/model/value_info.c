/* Types and shapes written as ONNX value_info. */
#include <string.h>

#include "base/alloc.h"
#include "model.h"

/* NULL when memory is short. */
static Onnx__TensorShapeProto *make_shape(struct mly__arena *arena,
                                          const struct mly_value_type *type)
{
    const size_t rank = (size_t)type->shape.rank;
    Onnx__TensorShapeProto *shape = mly__arena_alloc(arena, 1, sizeof *shape);
    Onnx__TensorShapeProto__Dimension **list = mly__arena_alloc(arena, rank + 1, sizeof *list);
    Onnx__TensorShapeProto__Dimension *dims = mly__arena_alloc(arena, rank + 1, sizeof *dims);
    if (shape == NULL || list == NULL || dims == NULL) {
        return NULL;
    }
    onnx__tensor_shape_proto__init(shape);
    shape->n_dim = rank;
    shape->dim = list;
    for (size_t i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&dims[i]);
        list[i] = &dims[i];
        if (type->shape.dims[i] >= 0) {
            dims[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dims[i].dim_value = type->shape.dims[i];
        } else if (mly__text(type->dim_names[i])[0] != '\0') {
            dims[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dims[i].dim_param = (char *)(uintptr_t)type->dim_names[i];
        }
    }
    return shape;
}

static Onnx__TypeProto *make_type(struct mly__arena *arena, const struct mly_value_type *from)
{
    Onnx__TypeProto *type = mly__arena_alloc(arena, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = mly__arena_alloc(arena, 1, sizeof *tensor);
    Onnx__TypeProto__Sequence *sequence = mly__arena_alloc(arena, 1, sizeof *sequence);
    if (type == NULL || tensor == NULL || sequence == NULL) {
        return NULL;
    }
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    onnx__type_proto__sequence__init(sequence);
    if (from->is_sequence_or_optional) {
        type->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
        type->sequence_type = sequence;
        return type;
    }
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = mly_dtype_to_onnx(from->dtype);
    if (from->shape.rank >= 0) {
        tensor->shape = make_shape(arena, from);
        if (tensor->shape == NULL) {
            return NULL;
        }
    }
    return type;
}

Onnx__ValueInfoProto *mly__pb_value_info(struct mly__arena *arena,
                                         const struct mly_value_type *type,
                                         const Onnx__ValueInfoProto *base)
{
    Onnx__ValueInfoProto *info = mly__arena_alloc(arena, 1, sizeof *info);
    if (info == NULL) {
        return NULL;
    }
    onnx__value_info_proto__init(info);
    if (base != NULL) {
        *info = *base;
    }
    info->name = (char *)(uintptr_t)type->name;
    if (type->dtype != MLY_DTYPE_UNDEFINED || type->is_sequence_or_optional) {
        info->type = make_type(arena, type);
        if (info->type == NULL) {
            return NULL;
        }
    }
    return info;
}

enum mly_status mly_value_types_pack(const struct mly_value_type *types, size_t count, void **onnx,
                                     size_t *length, struct mly_error *err)
{
    struct mly__arena arena = {0};
    enum mly_status status = MLY_OK;
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    model.graph = &graph;
    graph.value_info = mly__arena_alloc(&arena, count + 1, sizeof *graph.value_info);
    if (graph.value_info == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        if (types[i].shape.rank > MLY_RANK_MAX) {
            status = mly_error_set(err, MLY_E_INVALID,
                                   "tensor '%.200s' has %d dimensions; the limit is %d",
                                   types[i].name, (int)types[i].shape.rank, MLY_RANK_MAX);
            goto done;
        }
        graph.value_info[i] = mly__pb_value_info(&arena, &types[i], NULL);
        if (graph.value_info[i] == NULL) {
            status = mly__no_memory(err);
            goto done;
        }
    }
    graph.n_value_info = count;
    const size_t bytes = onnx__model_proto__get_packed_size(&model);
    uint8_t *packed = mly_alloc(bytes + 1);
    if (packed == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    *length = onnx__model_proto__pack(&model, packed);
    *onnx = packed;
done:
    mly__arena_fini(&arena);
    return status;
}
