/* The protobuf wire format, read field by field without copying: tags, lengths, positions. */
#ifndef MLY_MODEL_WIRE_H
#define MLY_MODEL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

/* Wire types (protobuf encoding specification, "Message structure"). */
enum mly__wire_type {
    MLY__WIRE_VARINT = 0,
    MLY__WIRE_FIXED64 = 1,
    MLY__WIRE_BYTES = 2,
    MLY__WIRE_FIXED32 = 5
};

/* One message: bytes[0..length); base is the position of bytes[0] in the file, for messages. */
struct mly__wire {
    const uint8_t *bytes;
    size_t length;
    size_t at;
    size_t base;
};

struct mly__wire_field {
    uint32_t number;
    enum mly__wire_type type;
    uint64_t value;       /* of a varint or fixed field */
    const uint8_t *start; /* the tag's first byte; the field is start[0..total) */
    size_t total;
    const uint8_t *bytes; /* payload of a MLY__WIRE_BYTES field */
    size_t length;
    size_t position;       /* of start, in the file */
    size_t bytes_position; /* of bytes, in the file */
};

/*
 * Reads the next field; *more is false at the end (field untouched). MLY_E_FORMAT with the byte
 * position where a tag, a number or a length is malformed or leaves the message.
 */
enum mly_status mly__wire_next(struct mly__wire *wire, struct mly__wire_field *field, bool *more,
                               struct mly_error *err) MLY_MUST_CHECK;

/* Bytes that value takes as a varint, written to out (at most 10). */
size_t mly__wire_put_varint(uint8_t *out, uint64_t value);

#endif
