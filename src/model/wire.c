/* Reading the protobuf wire format: see wire.h. */
#include "wire.h"

/* False if the number runs over the end or over 64 bits. */
static bool read_varint(struct mly__wire *wire, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (wire->at >= wire->length) {
            return false;
        }
        uint8_t byte = wire->bytes[wire->at++];
        if (shift == 63 && byte > 1) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool read_fixed(struct mly__wire *wire, size_t bytes, uint64_t *out)
{
    if (wire->length - wire->at < bytes) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)wire->bytes[wire->at + i] << (8 * i);
    }
    wire->at += bytes;
    *out = value;
    return true;
}

enum mly_status mly__wire_next(struct mly__wire *wire, struct mly__wire_field *field, bool *more,
                               struct mly_error *err)
{
    if (wire->at >= wire->length) {
        *more = false;
        return MLY_OK;
    }
    struct mly__wire_field next = {.start = wire->bytes + wire->at,
                                   .position = wire->base + wire->at};
    const size_t begin = wire->at;
    uint64_t tag;
    if (!read_varint(wire, &tag) || tag > UINT32_MAX || tag >> 3 == 0) {
        return mly_error_set(err, MLY_E_FORMAT,
                             "byte %zu: no field tag here; the file is damaged or no ONNX model",
                             next.position);
    }
    next.number = (uint32_t)(tag >> 3);
    next.type = (enum mly__wire_type)(tag & 7);
    bool whole = false;
    switch (next.type) {
    case MLY__WIRE_VARINT:
        whole = read_varint(wire, &next.value);
        break;
    case MLY__WIRE_FIXED64:
        whole = read_fixed(wire, 8, &next.value);
        break;
    case MLY__WIRE_FIXED32:
        whole = read_fixed(wire, 4, &next.value);
        break;
    case MLY__WIRE_BYTES: {
        uint64_t length;
        if (!read_varint(wire, &length)) {
            break;
        }
        if (length > wire->length - wire->at) {
            return mly_error_set(err, MLY_E_FORMAT,
                                 "byte %zu: field %u says it has %llu bytes, but %zu are left; the "
                                 "file is truncated or damaged",
                                 next.position, next.number, (unsigned long long)length,
                                 wire->length - wire->at);
        }
        next.bytes = wire->bytes + wire->at;
        next.bytes_position = wire->base + wire->at;
        next.length = (size_t)length;
        wire->at += next.length;
        whole = true;
        break;
    }
    default:
        return mly_error_set(err, MLY_E_FORMAT,
                             "byte %zu: field %u has wire type %u, which ONNX does not use; the "
                             "file is damaged or no ONNX model",
                             next.position, next.number, (unsigned)(tag & 7));
    }
    if (!whole) {
        return mly_error_set(
            err, MLY_E_FORMAT,
            "byte %zu: field %u is cut short or malformed; the file is truncated or damaged",
            next.position, next.number);
    }
    next.total = wire->at - begin;
    *field = next;
    *more = true;
    return MLY_OK;
}

size_t mly__wire_put_varint(uint8_t *out, uint64_t value)
{
    size_t length = 0;
    while (value >= 0x80) {
        out[length++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[length++] = (uint8_t)value;
    return length;
}
