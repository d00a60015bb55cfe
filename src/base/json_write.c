/* The streaming JSON writer. */
#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "json_number.h"

#define DEPTH_MAX 128

static void append(struct mly_json_writer *writer, const char *bytes, size_t length)
{
    if (writer->status == MLY_OK)
        writer->status = mly_buffer_append(&writer->buffer, bytes, length);
}

static void append_text(struct mly_json_writer *writer, const char *text)
{
    append(writer, text, strlen(text));
}

static void new_line(struct mly_json_writer *writer)
{
    static const char spaces[] = "                                ";
    append(writer, "\n", 1);
    for (size_t left = (size_t)writer->depth * 2; left;) {
        size_t part = left < sizeof spaces - 1 ? left : sizeof spaces - 1;
        append(writer, spaces, part);
        left -= part;
    }
}

/* Length of the valid UTF-8 sequence at the start of text, or 0 (Unicode 15, table 3-7). */
static size_t sequence_length(const unsigned char *text)
{
    unsigned char c = text[0], low = 0x80, high = 0xBF;
    size_t length;
    if (c < 0x80)
        return 1;
    if (c >= 0xC2 && c <= 0xDF)
        length = 2;
    else if (c >= 0xE0 && c <= 0xEF)
        length = 3;
    else if (c >= 0xF0 && c <= 0xF4)
        length = 4;
    else
        return 0;
    if (c == 0xE0)
        low = 0xA0;
    else if (c == 0xED)
        high = 0x9F;
    else if (c == 0xF0)
        low = 0x90;
    else if (c == 0xF4)
        high = 0x8F;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

static void append_escape(struct mly_json_writer *writer, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *found = memchr(from, c, sizeof from - 1);
    char escape[8];
    if (found)
        snprintf(escape, sizeof escape, "\\%c", to[found - from]);
    else
        snprintf(escape, sizeof escape, "\\u%04x", c);
    append_text(writer, escape);
}

/* Bytes that are no UTF-8 become U+FFFD: what is written can always be read. */
static void append_string(struct mly_json_writer *writer, const char *text)
{
    append(writer, "\"", 1);
    const char *plain = text;
    while (*text) {
        unsigned char c = (unsigned char)*text;
        size_t length = sequence_length((const unsigned char *)text);
        if (length && c >= 0x20 && c != '"' && c != '\\') {
            text += length;
            continue;
        }
        append(writer, plain, (size_t)(text - plain));
        if (length)
            append_escape(writer, c);
        else
            append_text(writer, "\xEF\xBF\xBD");
        plain = ++text;
    }
    append(writer, plain, (size_t)(text - plain));
    append(writer, "\"", 1);
}

static bool in_object(const struct mly_json_writer *writer)
{
    uint32_t level = writer->depth - 1;
    return writer->depth && (writer->objects[level / 64] >> (level % 64)) & 1;
}

/*
 * Comma, line and key before a value. An array is laid out on one line when its first element is no
 * container, and so is everything inside it.
 */
static void begin_value(struct mly_json_writer *writer, const char *key, bool is_container)
{
    bool keyed = in_object(writer);
    if (keyed != (key != NULL) || (writer->depth == 0 && writer->buffer.length)) {
        if (writer->status == MLY_OK)
            writer->status = MLY_E_INTERNAL;
        return;
    }
    if (writer->depth && writer->first && !keyed && !is_container && !writer->inline_array) {
        writer->inline_array = true;
        writer->inline_depth = writer->depth;
    }
    if (!writer->first)
        append(writer, ",", 1);
    if (writer->depth && writer->pretty) {
        if (!writer->inline_array)
            new_line(writer);
        else if (!writer->first)
            append(writer, " ", 1);
    }
    if (key) {
        append_string(writer, key);
        append_text(writer, writer->pretty ? ": " : ":");
    }
    writer->first = false;
}

static void begin(struct mly_json_writer *writer, const char *key, bool is_object)
{
    begin_value(writer, key, true);
    if (writer->status != MLY_OK)
        return;
    if (writer->depth >= DEPTH_MAX) {
        writer->status = MLY_E_LIMIT;
        return;
    }
    uint64_t bit = UINT64_C(1) << (writer->depth % 64),
             *word = &writer->objects[writer->depth / 64];
    *word = is_object ? *word | bit : *word & ~bit;
    append(writer, is_object ? "{" : "[", 1);
    writer->depth++;
    writer->first = true;
}

static void end(struct mly_json_writer *writer, bool is_object)
{
    if (writer->status != MLY_OK)
        return;
    if (!writer->depth || in_object(writer) != is_object) {
        writer->status = MLY_E_INTERNAL;
        return;
    }
    writer->depth--;
    if (writer->pretty && !writer->first && !writer->inline_array)
        new_line(writer);
    if (writer->inline_array && writer->inline_depth == writer->depth + 1)
        writer->inline_array = false;
    append(writer, is_object ? "}" : "]", 1);
    writer->first = false;
}

void mly_json_writer_init(struct mly_json_writer *writer, bool pretty)
{
    *writer = (struct mly_json_writer){.pretty = pretty, .first = true};
}

void mly_json_begin_object(struct mly_json_writer *writer, const char *key)
{
    begin(writer, key, true);
}

void mly_json_end_object(struct mly_json_writer *writer)
{
    end(writer, true);
}

void mly_json_begin_array(struct mly_json_writer *writer, const char *key)
{
    begin(writer, key, false);
}

void mly_json_end_array(struct mly_json_writer *writer)
{
    end(writer, false);
}

static void put(struct mly_json_writer *writer, const char *key, const char *text)
{
    begin_value(writer, key, false);
    append_text(writer, text);
}

void mly_json_put_string(struct mly_json_writer *writer, const char *key, const char *value)
{
    begin_value(writer, key, false);
    if (value)
        append_string(writer, value);
    else
        append_text(writer, "null");
}

void mly_json_put_int(struct mly_json_writer *writer, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    put(writer, key, text);
}

void mly_json_put_number(struct mly_json_writer *writer, const char *key, double value)
{
    char text[MLY__NUMBER_BYTES];
    mly__format_number(value, text);
    put(writer, key, text);
}

void mly_json_put_bool(struct mly_json_writer *writer, const char *key, bool value)
{
    put(writer, key, value ? "true" : "false");
}

void mly_json_put_null(struct mly_json_writer *writer, const char *key)
{
    put(writer, key, "null");
}

enum mly_status mly_json_finish(struct mly_json_writer *writer, char **text, size_t *length,
                                struct mly_error *err)
{
    if (writer->status == MLY_OK && (writer->depth || !writer->buffer.length))
        writer->status = MLY_E_INTERNAL;
    if (writer->pretty)
        append(writer, "\n", 1);
    enum mly_status status = writer->status;
    if (status == MLY_OK) {
        *text = writer->buffer.data;
        if (length)
            *length = writer->buffer.length;
        writer->buffer.data = NULL;
    } else if (status == MLY_E_INTERNAL) {
        mly_error_set(err, status, "a JSON document was left open or its members were misplaced");
    } else {
        mly_error_set(err, status, "cannot write JSON after %zu bytes: %s", writer->buffer.length,
                      mly_status_meaning(status));
    }
    mly_json_writer_fini(writer);
    return status;
}

void mly_json_writer_fini(struct mly_json_writer *writer)
{
    if (writer)
        mly_buffer_fini(&writer->buffer);
}
