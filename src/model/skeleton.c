/*
 * Building a skeleton: see skeleton.h.
 *
 * 1. Every field is looked up in protobuf-c's own description of the message: unknown ones are
 * copied as they are, known ones must have the wire type of the schema.
 * 2. Sub-messages are walked in the same way, to a bounded depth; since their length may change, it
 * is written as a varint of fixed width and patched afterwards.
 * 3. A tensor is looked over first; if its data is large and its encoding equals the raw
 * little-endian form, the data field is replaced by a reference.
 */
#include "skeleton.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "onnx_pb.h"
#include "wire.h"

/* A varint padded to this many bytes holds any length below 2^35. */
#define PADDED_LENGTH_BYTES 5

enum {
    TENSOR_DATA_TYPE = 2,
    TENSOR_FLOAT_DATA = 4,
    TENSOR_RAW_DATA = 9,
    TENSOR_DOUBLE_DATA = 10,
    TENSOR_EXTERNAL_DATA = 13,
    TENSOR_DATA_LOCATION = 14
};

struct walk {
    struct mly_buffer *out;
    uint32_t depth;
    uint32_t nodes;
    uint32_t messages;
    struct mly_error *err;
};

static enum mly_status walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type,
                                    struct mly__wire wire);

static enum mly_status emit(struct walk *walk, const void *bytes, size_t length)
{
    enum mly_status status = mly_buffer_append(walk->out, bytes, length);
    if (status == MLY_E_LIMIT) {
        return mly_error_set(walk->err, status,
                             "the model without its large tensors is over %zu bytes",
                             walk->out->max_bytes);
    }
    if (status != MLY_OK) {
        return mly_error_set(walk->err, status, "memory is short");
    }
    return MLY_OK;
}

/* 3. Which field of a tensor to leave in the file; number 0 for none. */
struct tensor_scan {
    struct mly__wire_field data;
};

static enum mly_status scan_tensor(struct walk *walk, struct mly__wire wire,
                                   struct tensor_scan *scan)
{
    struct mly__wire_field raw = {0}, floats = {0}, doubles = {0}, field;
    uint64_t data_type = 0;
    uint32_t raw_count = 0, float_count = 0, double_count = 0;
    bool external = false, more;
    for (;;) {
        enum mly_status status = mly__wire_next(&wire, &field, &more, walk->err);
        if (status != MLY_OK || !more) {
            if (status != MLY_OK) {
                return status;
            }
            break;
        }
        switch (field.number) {
        case TENSOR_DATA_TYPE:
            data_type = field.value;
            break;
        case TENSOR_RAW_DATA:
            raw = field;
            raw_count++;
            break;
        case TENSOR_FLOAT_DATA:
            floats = field;
            float_count++;
            break;
        case TENSOR_DOUBLE_DATA:
            doubles = field;
            double_count++;
            break;
        case TENSOR_EXTERNAL_DATA:
            external = true;
            break;
        case TENSOR_DATA_LOCATION:
            if (field.type != MLY__WIRE_VARINT ||
                field.value > ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
                return mly_error_set(walk->err, MLY_E_FORMAT,
                                     "byte %zu: a tensor's data_location is %" PRIu64
                                     "; 0 and 1 are known",
                                     field.position, field.value);
            }
            external = external || field.value != 0;
            break;
        default:
            break;
        }
    }
    scan->data = (struct mly__wire_field){0};
    if (raw_count > 1) {
        return mly_error_set(walk->err, MLY_E_FORMAT, "byte %zu: a tensor has raw_data twice",
                             raw.position);
    }
    if (external) {
        return MLY_OK;
    }
    const bool is_float = data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT ||
                          data_type == ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX64;
    const bool is_double = data_type == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE ||
                           data_type == ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX128;
    const struct mly__wire_field *pick = NULL;
    if (raw_count == 1 && float_count == 0 && double_count == 0) {
        pick = &raw;
    } else if (raw_count == 0 && float_count == 1 && is_float &&
               floats.length % sizeof(float) == 0) {
        pick = &floats;
    } else if (raw_count == 0 && double_count == 1 && is_double &&
               doubles.length % sizeof(double) == 0) {
        pick = &doubles;
    }
    if (pick != NULL && pick->type == MLY__WIRE_BYTES && pick->length >= MLY__LARGE_TENSOR_BYTES) {
        scan->data = *pick;
    }
    return MLY_OK;
}

static enum mly_status emit_reference(struct walk *walk, const struct mly__wire_field *data)
{
    char value[48];
    int value_length = snprintf(value, sizeof value, "%zu %zu", data->bytes_position, data->length);
    uint8_t bytes[80];
    size_t n = 0;
    bytes[n++] = TENSOR_EXTERNAL_DATA << 3 | MLY__WIRE_BYTES;
    bytes[n++] = (uint8_t)(2 + 6 + 2 + value_length);
    bytes[n++] = 1 << 3 | MLY__WIRE_BYTES;
    bytes[n++] = 6;
    memcpy(bytes + n, "offset", 6);
    n += 6;
    bytes[n++] = 2 << 3 | MLY__WIRE_BYTES;
    bytes[n++] = (uint8_t)value_length;
    memcpy(bytes + n, value, (size_t)value_length);
    n += (size_t)value_length;
    bytes[n++] = TENSOR_DATA_LOCATION << 3 | MLY__WIRE_VARINT;
    bytes[n++] = MLY__LOCATION_HERE;
    return emit(walk, bytes, n);
}

/* 1. */
static bool wire_type_fits(const ProtobufCFieldDescriptor *known,
                           const struct mly__wire_field *field)
{
    const bool packed = known->label == PROTOBUF_C_LABEL_REPEATED && field->type == MLY__WIRE_BYTES;
    switch (known->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return field->type == MLY__WIRE_BYTES;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return packed ? field->length % 4 == 0 : field->type == MLY__WIRE_FIXED32;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return packed ? field->length % 8 == 0 : field->type == MLY__WIRE_FIXED64;
    default:
        return packed || field->type == MLY__WIRE_VARINT;
    }
}

/* 2. */
static enum mly_status walk_child(struct walk *walk, const ProtobufCFieldDescriptor *known,
                                  const struct mly__wire_field *field)
{
    const ProtobufCMessageDescriptor *type = known->descriptor;
    if (walk->depth >= MLY__NESTING_MAX) {
        return mly_error_set(walk->err, MLY_E_LIMIT,
                             "byte %zu: graphs are nested over %d messages deep", field->position,
                             MLY__NESTING_MAX);
    }
    if (++walk->messages > MLY__MESSAGE_MAX) {
        return mly_error_set(walk->err, MLY_E_LIMIT, "byte %zu: the model has over %d parts",
                             field->position, MLY__MESSAGE_MAX);
    }
    if (type == &onnx__node_proto__descriptor && ++walk->nodes > MLY__NODE_MAX) {
        return mly_error_set(walk->err, MLY_E_LIMIT, "byte %zu: the model has over %d nodes",
                             field->position, MLY__NODE_MAX);
    }
    uint8_t header[10 + PADDED_LENGTH_BYTES] = {0};
    size_t tag_length =
        mly__wire_put_varint(header, (uint64_t)field->number << 3 | MLY__WIRE_BYTES);
    enum mly_status status = emit(walk, header, tag_length + PADDED_LENGTH_BYTES);
    if (status != MLY_OK) {
        return status;
    }
    const size_t begin = walk->out->length;
    walk->depth++;
    status = walk_message(walk, type,
                          (struct mly__wire){.bytes = field->bytes,
                                             .length = field->length,
                                             .base = field->bytes_position});
    walk->depth--;
    if (status != MLY_OK) {
        return status;
    }
    size_t length = walk->out->length - begin;
    uint8_t *patch = (uint8_t *)walk->out->data + begin - PADDED_LENGTH_BYTES;
    for (size_t i = 0; i < PADDED_LENGTH_BYTES; i++) {
        patch[i] = (uint8_t)((length & 0x7f) | (i + 1 < PADDED_LENGTH_BYTES ? 0x80 : 0));
        length >>= 7;
    }
    return MLY_OK;
}

static enum mly_status walk_known(struct walk *walk, const ProtobufCMessageDescriptor *type,
                                  const ProtobufCFieldDescriptor *known,
                                  const struct mly__wire_field *field, uint64_t *seen)
{
    if (!wire_type_fits(known, field)) {
        return mly_error_set(
            walk->err, MLY_E_FORMAT,
            "byte %zu: %s.%s is encoded as wire type %d; the file is damaged or no ONNX model",
            field->position, type->short_name, known->name, (int)field->type);
    }
    if (known->type == PROTOBUF_C_TYPE_STRING && memchr(field->bytes, 0, field->length) != NULL) {
        return mly_error_set(walk->err, MLY_E_FORMAT, "byte %zu: %s.%s contains a zero byte",
                             field->position, type->short_name, known->name);
    }
    if (known->type != PROTOBUF_C_TYPE_MESSAGE) {
        return emit(walk, field->start, field->total);
    }
    if (known->label != PROTOBUF_C_LABEL_REPEATED) {
        /* protobuf would merge the two; no writer does this, and merging is where parsers differ.
         */
        const uint64_t bit = UINT64_C(1) << ((size_t)(known - type->fields) & 63);
        if ((*seen & bit) != 0) {
            return mly_error_set(walk->err, MLY_E_FORMAT, "byte %zu: %s.%s is there twice",
                                 field->position, type->short_name, known->name);
        }
        *seen |= bit;
    }
    return walk_child(walk, known, field);
}

static enum mly_status walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type,
                                    struct mly__wire wire)
{
    struct tensor_scan scan = {0};
    if (type == &onnx__tensor_proto__descriptor) {
        enum mly_status status = scan_tensor(walk, wire, &scan);
        if (status != MLY_OK) {
            return status;
        }
    }
    uint64_t seen = 0;
    for (;;) {
        struct mly__wire_field field;
        bool more;
        enum mly_status status = mly__wire_next(&wire, &field, &more, walk->err);
        if (status != MLY_OK || !more) {
            return status;
        }
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(type, field.number);
        if (scan.data.number != 0 && field.start == scan.data.start) {
            status = emit_reference(walk, &field);
        } else if (known == NULL) {
            status = emit(walk, field.start, field.total);
        } else {
            status = walk_known(walk, type, known, &field, &seen);
        }
        if (status != MLY_OK) {
            return status;
        }
    }
}

enum mly_status mly__skeleton_build(const void *data, size_t length,
                                    const ProtobufCMessageDescriptor *root, struct mly_buffer *out,
                                    struct mly_error *err)
{
    struct walk walk = {.out = out, .err = err, .depth = 1};
    return walk_message(&walk, root, (struct mly__wire){.bytes = data, .length = length});
}
