/* ONNX files for tests, written by hand in protobuf's wire format: the reader is tested against something that is not itself. */
#ifndef TESTS_UNIT_MODEL_WIRE_H
#define TESTS_UNIT_MODEL_WIRE_H

#include <string.h>

#include "base/file.h"
#include "support/expect.h"

/* A message under construction. Zero-initialise; wire_drop frees. */
struct wire {
    uint8_t *data;
    size_t length, capacity;
};

static inline void wire_drop(struct wire *w)
{
    free(w->data);
    *w = (struct wire){0};
}

static inline void wire_raw(struct wire *w, const void *bytes, size_t length)
{
    if (w->length + length > w->capacity) {
        w->capacity = (w->length + length) * 2 + 64;
        w->data = realloc(w->data, w->capacity);
        assert_non_null(w->data);
    }
    if (length > 0)
        memcpy(w->data + w->length, bytes, length);
    w->length += length;
}

static inline void wire_varint(struct wire *w, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        wire_raw(w, &byte, 1);
        value >>= 7;
    } while (value != 0);
}

static inline void wire_int(struct wire *w, unsigned field, int64_t value)
{
    wire_varint(w, (uint64_t)field << 3);
    wire_varint(w, (uint64_t)value);
}

static inline void wire_bytes(struct wire *w, unsigned field, const void *bytes, size_t length)
{
    wire_varint(w, (uint64_t)field << 3 | 2);
    wire_varint(w, length);
    wire_raw(w, bytes, length);
}

static inline void wire_text(struct wire *w, unsigned field, const char *text)
{
    wire_bytes(w, field, text, strlen(text));
}

/* Takes the child. */
static inline void wire_put(struct wire *w, unsigned field, struct wire child)
{
    wire_bytes(w, field, child.data, child.length);
    wire_drop(&child);
}

/* Words of a text, separated by spaces, one repeated string each; "-" is the empty string. */
static inline void wire_words(struct wire *w, unsigned field, const char *words)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        wire_bytes(w, field, words, length == 1 && *words == '-' ? 0 : length);
        words += length + (words[length] == ' ');
    }
}

/* NodeProto. */
static inline struct wire onnx_node(const char *op, const char *name, const char *inputs,
                                    const char *outputs)
{
    struct wire w = {0};
    wire_words(&w, 1, inputs);
    wire_words(&w, 2, outputs);
    wire_text(&w, 3, name);
    wire_text(&w, 4, op);
    return w;
}

/* ValueInfoProto of a tensor; dims as "N 3 ? 224": names, numbers, "?" unknown; NULL for no shape, dtype 0 for no type. */
static inline struct wire onnx_value(const char *name, int dtype, const char *dims)
{
    struct wire shape = {0}, tensor = {0}, type = {0}, value = {0};
    for (const char *at = dims ? dims : ""; *at;) {
        struct wire dim = {0};
        size_t length = strcspn(at, " ");
        if ((*at >= '0' && *at <= '9') || *at == '-')
            wire_int(&dim, 1, strtoll(at, NULL, 10));
        else if (*at != '?')
            wire_bytes(&dim, 2, at, length);
        wire_put(&shape, 1, dim);
        at += length + (at[length] == ' ');
    }
    wire_text(&value, 1, name);
    if (dtype != 0) {
        wire_int(&tensor, 1, dtype);
        if (dims)
            wire_put(&tensor, 2, shape);
        else
            wire_drop(&shape);
        wire_put(&type, 1, tensor);
        wire_put(&value, 2, type);
    } else {
        wire_drop(&shape);
    }
    return value;
}

/* TensorProto without data. dims as "3 4". */
static inline struct wire onnx_tensor(const char *name, int dtype, const char *dims)
{
    struct wire w = {0};
    for (const char *at = dims; *at; at += strcspn(at, " "), at += *at == ' ')
        wire_int(&w, 1, strtoll(at, NULL, 10));
    wire_int(&w, 2, dtype);
    wire_text(&w, 8, name);
    return w;
}

/* TensorProto of `bytes` bytes of raw data that count up from `seed`. */
static inline struct wire onnx_raw_tensor(const char *name, int dtype, const char *dims,
                                          size_t bytes, uint8_t seed)
{
    struct wire w = onnx_tensor(name, dtype, dims);
    uint8_t *data = malloc(bytes + 1);
    assert_non_null(data);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(seed + i);
    wire_bytes(&w, 9, data, bytes);
    free(data);
    return w;
}

static inline struct wire onnx_entry(const char *key, const char *value)
{
    struct wire w = {0};
    wire_text(&w, 1, key);
    wire_text(&w, 2, value);
    return w;
}

/* TensorProto whose data is said to lie in another file; offset and length may be NULL. */
static inline struct wire onnx_external_tensor(const char *name, int dtype, const char *dims,
                                               const char *location, const char *offset,
                                               const char *length)
{
    struct wire w = onnx_tensor(name, dtype, dims);
    wire_put(&w, 13, onnx_entry("location", location));
    if (offset)
        wire_put(&w, 13, onnx_entry("offset", offset));
    if (length)
        wire_put(&w, 13, onnx_entry("length", length));
    wire_int(&w, 14, 1);
    return w;
}

/* AttributeProto that holds a graph (or, of type 4, a tensor). Takes the value. */
static inline struct wire onnx_attribute(const char *name, unsigned field, int type,
                                         struct wire value)
{
    struct wire w = {0};
    wire_text(&w, 1, name);
    wire_put(&w, field, value);
    wire_int(&w, 20, type);
    return w;
}

/* GraphProto parts, for readability. */
enum {
    GRAPH_NODE = 1,
    GRAPH_INITIALISER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_VALUE_INFO = 13
};
enum { F32 = 1, I64 = 7 };

/* ModelProto. Takes the graph. */
static inline struct wire onnx_model(struct wire graph)
{
    struct wire opset = {0}, w = {0};
    wire_int(&opset, 2, 13);
    wire_int(&w, 1, 8);
    wire_text(&w, 2, "by hand");
    wire_put(&w, 7, graph);
    wire_put(&w, 8, opset);
    return w;
}

/* Writes the message and frees it. */
static inline void wire_save(struct wire w, const char *path)
{
    struct mly_error err = {0};
    expect_ok(mly_file_write(path, w.data, w.length, &err), err);
    wire_drop(&w);
}

/* a chain that most tests start from: x -> Relu a -> Add(w) b -> Relu c -> y, w of 512 floats, with types */
static inline struct wire onnx_chain_graph(void)
{
    struct wire g = {0};
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "a", "x", "ta"));
    wire_put(&g, GRAPH_NODE, onnx_node("Add", "b", "ta w", "tb"));
    wire_put(&g, GRAPH_NODE, onnx_node("Relu", "c", "tb", "y"));
    wire_text(&g, 2, "chain");
    wire_put(&g, GRAPH_INITIALISER, onnx_raw_tensor("w", F32, "512", 2048, 1));
    wire_put(&g, GRAPH_INPUT, onnx_value("x", F32, "N 512"));
    wire_put(&g, GRAPH_OUTPUT, onnx_value("y", F32, "N 512"));
    wire_put(&g, GRAPH_VALUE_INFO, onnx_value("ta", F32, "N 512"));
    wire_put(&g, GRAPH_VALUE_INFO, onnx_value("tb", F32, "N 512"));
    return g;
}

#endif
