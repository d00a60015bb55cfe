/*
 * Writing a built network as an ONNX file.
 *
 *   1. Everything but the weights becomes two partial messages, which protobuf-c packs: nodes and
 *      name; inputs, outputs and the shapes between. Concatenated messages are one message, so the
 *      weights can be written between them.
 *   2. The length of the graph is known before its weights exist: a weight's message is a packed
 *      header (dims, type, name) and raw_data of a known size.
 *   3. The weights are made block by block while they are written, or left out as a hole.
 */
#include "internal.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/random.h"

#include "onnx_pb.h"

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are written as they lie in memory, and ONNX wants them little-endian"
#endif

#define OPSET 17     /* what torch.onnx.export writes, and the first with LayerNormalization */
#define IR_VERSION 8 /* that of opset 17 */
#define BLOCK_FLOATS (64 * 1024)
/* Tags (field number << 3 | 2) of messages whose content is streamed; numbers as in onnx.proto. */
#define TAG_MODEL_GRAPH (7 << 3 | 2)
#define TAG_GRAPH_INITIALIZER (5 << 3 | 2)
#define TAG_TENSOR_RAW_DATA (9 << 3 | 2)
/* protobuf's limit on a message, which runtimes enforce. */
#define FILE_BYTES_MAX INT32_MAX

struct sink {
    struct mly__arena arena; /* the messages */
    mly_file_writer *file;
    bool hollow; /* zeros for weights */
    float *block;
    struct mly_error *err;
};

static enum mly_status no_memory(struct sink *sink)
{
    return mly_error_set(sink->err, MLY_E_NO_MEMORY, "zoo: no memory to write the network");
}

/* --- messages: each returns NULL when memory is short --- */

static void *message(struct sink *sink, size_t bytes, void (*init)(void *))
{
    void *m = mly__arena_alloc(&sink->arena, 1, bytes);
    if (m)
        init(m);
    return m;
}

#define INIT(function, type)                                                                       \
    static void function(void *m)                                                                  \
    {                                                                                              \
        type##__init(m);                                                                           \
    }
INIT(init_node, onnx__node_proto)
INIT(init_attribute, onnx__attribute_proto)
INIT(init_tensor, onnx__tensor_proto)
INIT(init_value, onnx__value_info_proto)
INIT(init_type, onnx__type_proto)
INIT(init_tensor_type, onnx__type_proto__tensor)
INIT(init_shape, onnx__tensor_shape_proto)
INIT(init_dim, onnx__tensor_shape_proto__dimension)
#undef INIT

static Onnx__TensorProto *constant_message(struct sink *sink, const struct mly__zoo_attribute *a)
{
    Onnx__TensorProto *tensor = message(sink, sizeof(*tensor), init_tensor);
    if (!tensor)
        return NULL;
    bool is_real = a->kind == MLY__ZOO_F32_SCALAR || a->kind == MLY__ZOO_F32_LIST;
    bool is_list = a->kind == MLY__ZOO_F32_LIST || a->kind == MLY__ZOO_I64_LIST;
    size_t count = is_list ? a->count : 1, size = is_real ? sizeof(float) : sizeof(int64_t);
    const void *data = is_real ? (is_list ? (const void *)a->reals : &a->real)
                               : (is_list ? (const void *)a->list : &a->number);
    int64_t *dims = mly__arena_alloc(&sink->arena, 1, sizeof(*dims));
    if (!dims)
        return NULL;
    *dims = (int64_t)count;
    tensor->n_dims = is_list ? 1 : 0;
    tensor->dims = dims;
    tensor->has_data_type = 1;
    tensor->data_type = mly_dtype_to_onnx(is_real ? MLY_DTYPE_F32 : MLY_DTYPE_I64);
    tensor->has_raw_data = 1;
    tensor->raw_data.data = (uint8_t *)data; /* only read */
    tensor->raw_data.len = count * size;
    return tensor;
}

static Onnx__AttributeProto *attribute_message(struct sink *sink,
                                               const struct mly__zoo_attribute *a)
{
    Onnx__AttributeProto *m = message(sink, sizeof(*m), init_attribute);
    if (!m)
        return NULL;
    m->name = (char *)a->name;
    m->has_type = 1;
    switch (a->kind) {
    case MLY__ZOO_INT:
        m->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        m->has_i = 1;
        m->i = a->number;
        break;
    case MLY__ZOO_INTS:
        m->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
        m->n_ints = a->count;
        m->ints = (int64_t *)a->list;
        break;
    case MLY__ZOO_FLOAT:
        m->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
        m->has_f = 1;
        m->f = a->real;
        break;
    case MLY__ZOO_STRING:
        m->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
        m->has_s = 1;
        m->s.data = (uint8_t *)a->text;
        m->s.len = strlen(a->text);
        break;
    default:
        m->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
        m->t = constant_message(sink, a);
        if (!m->t)
            return NULL;
    }
    return m;
}

static Onnx__NodeProto *node_message(struct sink *sink, const struct mly__zoo *zoo,
                                     const struct mly__zoo_node *node)
{
    Onnx__NodeProto *m = message(sink, sizeof(*m), init_node);
    char **names = mly__arena_alloc(&sink->arena, node->input_count + 1, sizeof(*names));
    Onnx__AttributeProto **attributes =
        mly__arena_alloc(&sink->arena, node->attribute_count, sizeof(*attributes));
    if (!m || !names || !attributes)
        return NULL;
    for (uint32_t i = 0; i < node->input_count; i++)
        names[i] = node->inputs[i] == MLY__ZOO_OMITTED ? (char *)""
                                                       : (char *)zoo->values[node->inputs[i]].name;
    names[node->input_count] = (char *)zoo->values[node->output].name;
    for (uint32_t i = 0; i < node->attribute_count; i++)
        if (!(attributes[i] = attribute_message(sink, &node->attributes[i])))
            return NULL;
    m->op_type = (char *)node->op;
    m->name = (char *)node->name;
    m->n_input = node->input_count;
    m->input = names;
    m->n_output = 1;
    m->output = names + node->input_count;
    m->n_attribute = node->attribute_count;
    m->attribute = attributes;
    return m;
}

static Onnx__ValueInfoProto *value_message(struct sink *sink, const struct mly__zoo_value *value)
{
    Onnx__ValueInfoProto *m = message(sink, sizeof(*m), init_value);
    Onnx__TypeProto *type = message(sink, sizeof(*type), init_type);
    Onnx__TypeProto__Tensor *tensor = message(sink, sizeof(*tensor), init_tensor_type);
    Onnx__TensorShapeProto *shape = message(sink, sizeof(*shape), init_shape);
    Onnx__TensorShapeProto__Dimension **dims =
        mly__arena_alloc(&sink->arena, (size_t)value->shape.rank, sizeof(*dims));
    if (!m || !type || !tensor || !shape || !dims)
        return NULL;
    for (int32_t i = 0; i < value->shape.rank; i++) {
        if (!(dims[i] = message(sink, sizeof(*dims[i]), init_dim)))
            return NULL;
        if (value->shape.dims[i] == MLY_DIM_UNKNOWN) {
            dims[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dims[i]->dim_param = (char *)MLY__ZOO_BATCH;
        } else {
            dims[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dims[i]->dim_value = value->shape.dims[i];
        }
    }
    shape->n_dim = (size_t)value->shape.rank;
    shape->dim = dims;
    tensor->has_elem_type = 1;
    tensor->elem_type = mly_dtype_to_onnx(value->dtype);
    tensor->shape = shape;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    m->name = (char *)value->name;
    m->type = type;
    return m;
}

/* The messages of the values for which wanted() holds. */
static Onnx__ValueInfoProto **value_messages(struct sink *sink, const struct mly__zoo *zoo,
                                             bool (*wanted)(const struct mly__zoo_value *),
                                             size_t *count)
{
    Onnx__ValueInfoProto **list = mly__arena_alloc(&sink->arena, zoo->value_count, sizeof(*list));
    *count = 0;
    for (size_t i = 0; list && i < zoo->value_count; i++)
        if (wanted(&zoo->values[i]) && !(list[(*count)++] = value_message(sink, &zoo->values[i])))
            return NULL;
    return list;
}

static bool is_input(const struct mly__zoo_value *value)
{
    return value->kind == MLY__ZOO_INPUT;
}

static bool is_output(const struct mly__zoo_value *value)
{
    return value->is_output;
}

static bool is_inner(const struct mly__zoo_value *value)
{
    return value->kind == MLY__ZOO_RESULT && !value->is_output;
}

/* --- bytes --- */

/* A length-delimited field's tag and length: at most 6 bytes. Returns their number. */
static size_t put_field(uint8_t out[16], unsigned tag, uint64_t length)
{
    size_t n = 0;
    out[n++] = (uint8_t)tag; /* all tags used here are below 128 */
    for (; length >= 0x80; length >>= 7)
        out[n++] = (uint8_t)(length | 0x80);
    out[n++] = (uint8_t)length;
    return n;
}

static enum mly_status write_field(struct sink *sink, unsigned tag, uint64_t length)
{
    uint8_t bytes[16];
    return mly_file_writer_write(sink->file, bytes, put_field(bytes, tag, length), sink->err);
}

static enum mly_status write_message(struct sink *sink, const ProtobufCMessage *m)
{
    size_t length = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = mly_alloc(length ? length : 1);
    if (!bytes)
        return no_memory(sink);
    protobuf_c_message_pack(m, bytes);
    enum mly_status status = mly_file_writer_write(sink->file, bytes, length, sink->err);
    mly_free(bytes);
    return status;
}

static Onnx__TensorProto weight_header(const struct mly__zoo_value *weight)
{
    Onnx__TensorProto header;
    onnx__tensor_proto__init(&header);
    header.n_dims = (size_t)weight->shape.rank;
    header.dims = (int64_t *)weight->shape.dims;
    header.has_data_type = 1;
    header.data_type = mly_dtype_to_onnx(weight->dtype);
    header.name = (char *)weight->name;
    return header;
}

/* Bytes of a weight's TensorProto, and with its field's tag and length. */
static uint64_t weight_message_bytes(const struct mly__zoo_value *weight)
{
    uint8_t scratch[16];
    const Onnx__TensorProto header = weight_header(weight);
    return onnx__tensor_proto__get_packed_size(&header) +
           put_field(scratch, TAG_TENSOR_RAW_DATA, weight->bytes) + weight->bytes;
}

static enum mly_status write_weight(struct sink *sink, const mly__zoo *zoo,
                                    const struct mly__zoo_value *weight)
{
    const Onnx__TensorProto header = weight_header(weight);
    struct mly_random random;
    enum mly_status status = write_field(sink, TAG_GRAPH_INITIALIZER, weight_message_bytes(weight));
    if (status == MLY_OK)
        status = write_message(sink, &header.base);
    if (status == MLY_OK)
        status = write_field(sink, TAG_TENSOR_RAW_DATA, weight->bytes);
    if (status == MLY_OK && sink->hollow)
        return mly_file_writer_skip(sink->file, weight->bytes, sink->err);
    mly_random_init(&random, mly__zoo_seed(zoo, weight->name));
    for (uint64_t left = weight->bytes / sizeof(float); status == MLY_OK && left > 0;) {
        size_t count = left < BLOCK_FLOATS ? (size_t)left : BLOCK_FLOATS;
        mly__zoo_fill(&random, weight, sink->block, count);
        status = mly_file_writer_write(sink->file, sink->block, count * sizeof(float), sink->err);
        left -= count;
    }
    return status;
}

static enum mly_status write_all(struct sink *sink, const mly__zoo *zoo)
{
    /* 1. */
    Onnx__GraphProto head, tail;
    onnx__graph_proto__init(&head);
    onnx__graph_proto__init(&tail);
    Onnx__NodeProto **nodes = mly__arena_alloc(&sink->arena, zoo->node_count, sizeof(*nodes));
    for (size_t i = 0; nodes && i < zoo->node_count; i++)
        if (!(nodes[i] = node_message(sink, zoo, &zoo->nodes[i])))
            return no_memory(sink);
    tail.input = value_messages(sink, zoo, is_input, &tail.n_input);
    tail.output = value_messages(sink, zoo, is_output, &tail.n_output);
    tail.value_info = value_messages(sink, zoo, is_inner, &tail.n_value_info);
    if (!nodes || !tail.input || !tail.output || !tail.value_info)
        return no_memory(sink);
    head.name = (char *)zoo->network;
    head.n_node = zoo->node_count;
    head.node = nodes;

    Onnx__ModelProto model, versions;
    onnx__model_proto__init(&model);
    onnx__model_proto__init(&versions);
    model.has_ir_version = 1;
    model.ir_version = IR_VERSION;
    model.producer_name = (char *)"motley zoo";
    Onnx__OperatorSetIdProto opset, *opsets[1] = {&opset};
    onnx__operator_set_id_proto__init(&opset);
    opset.domain = (char *)"";
    opset.has_version = 1;
    opset.version = OPSET;
    versions.n_opset_import = 1;
    versions.opset_import = opsets;

    /* 2. */
    uint8_t scratch[16];
    uint64_t graph_bytes =
        onnx__graph_proto__get_packed_size(&head) + onnx__graph_proto__get_packed_size(&tail);
    for (size_t i = 0; i < zoo->value_count; i++) {
        if (zoo->values[i].kind != MLY__ZOO_WEIGHT)
            continue;
        uint64_t bytes = weight_message_bytes(&zoo->values[i]);
        graph_bytes += bytes + put_field(scratch, TAG_GRAPH_INITIALIZER, bytes);
    }
    if (graph_bytes > FILE_BYTES_MAX - 1024)
        return mly_error_set(
            sink->err, MLY_E_LIMIT,
            "zoo: '%s' would take %.2f GB; an ONNX file without external data holds 2.15 GB",
            zoo->network, (double)graph_bytes / 1e9);

    /* 3. */
    enum mly_status status = write_message(sink, &model.base);
    if (status == MLY_OK)
        status = write_field(sink, TAG_MODEL_GRAPH, graph_bytes);
    if (status == MLY_OK)
        status = write_message(sink, &head.base);
    for (size_t i = 0; status == MLY_OK && i < zoo->value_count; i++)
        if (zoo->values[i].kind == MLY__ZOO_WEIGHT)
            status = write_weight(sink, zoo, &zoo->values[i]);
    if (status == MLY_OK)
        status = write_message(sink, &tail.base);
    if (status == MLY_OK)
        status = write_message(sink, &versions.base);
    return status;
}

enum mly_status mly__zoo_save(mly__zoo *zoo, const char *path, bool hollow, struct mly_error *err)
{
    struct sink sink = {.hollow = hollow, .err = err};
    if (zoo->status != MLY_OK)
        return zoo->status;
    sink.block = mly_alloc_aligned(64, BLOCK_FLOATS * sizeof(float));
    enum mly_status status =
        sink.block ? mly_file_writer_create(path, &sink.file, err) : no_memory(&sink);
    if (status == MLY_OK)
        status = write_all(&sink, zoo);
    if (status == MLY_OK)
        status = mly_file_writer_commit(sink.file, err);
    else
        mly_file_writer_abort(sink.file);
    mly_free(sink.block);
    mly__arena_fini(&sink.arena);
    return status;
}
