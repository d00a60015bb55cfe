/*
 * Writing a segment as a file of its own.
 *
 * 1. The serialised segment is read back; each reference to a region becomes the bytes themselves,
 * borrowed.
 * 2. If all fits in one protobuf message (2 GB), it is streamed into one file, weights inside.
 * 3. Else the weights go to FILE.data first, each at a multiple of a page so that a runtime may map
 * it, and then the model that refers to them.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "segment_private.h"
#include "skeleton.h"

#define DATA_ALIGNMENT 4096

struct saving {
    const struct mly_segment *segment;
    struct mly__pb_memory memory;
    Onnx__ModelProto *proto;
    Onnx__TensorProto **borrowed; /* raw_data is not the messages' own */
    size_t borrowed_count;
    size_t borrowed_capacity;
    char *data_name; /* 3.: owned by this struct, in the messages for the time of writing */
};

static const struct mly_weight_region *find_region(const struct mly_segment *segment,
                                                   const char *name)
{
    for (size_t i = 0; i < segment->region_count; i++) {
        if (strcmp(segment->regions[i].name, name) == 0) {
            return &segment->regions[i];
        }
    }
    return NULL;
}

static const char *external_value(const Onnx__TensorProto *tensor, const char *key)
{
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        if (strcmp(mly__text(tensor->external_data[i]->key), key) == 0) {
            return mly__text(tensor->external_data[i]->value);
        }
    }
    return "";
}

/* 1. The bytes that the tensor refers to: in a region, or in the serialised segment where our own
 * reader left them. */
static bool find_bytes(const struct saving *saving, const Onnx__TensorProto *tensor,
                       const uint8_t **bytes, size_t *length)
{
    const struct mly_segment *segment = saving->segment;
    size_t offset;
    if ((int)tensor->data_location == MLY__LOCATION_HERE) {
        if (!mly__pb_data_here(tensor, segment->onnx_bytes, &offset, length)) {
            return false;
        }
        *bytes = (const uint8_t *)segment->onnx + offset;
        return true;
    }
    const char *rest;
    const struct mly_weight_region *region =
        find_region(segment, external_value(tensor, "location"));
    if (region == NULL ||
        !mly__parse_size(external_value(tensor, "offset"), '\0', &offset, &rest) ||
        !mly__parse_size(external_value(tensor, "length"), '\0', length, &rest) ||
        offset > region->length || *length > region->length - offset) {
        return false;
    }
    *bytes = (const uint8_t *)region->data + offset;
    return true;
}

static void drop_entries(struct saving *saving, Onnx__TensorProto *tensor)
{
    ProtobufCAllocator *allocator = &saving->memory.allocator;
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        protobuf_c_message_free_unpacked(&tensor->external_data[i]->base, allocator);
    }
    allocator->free(allocator->allocator_data, tensor->external_data);
    tensor->external_data = NULL;
    tensor->n_external_data = 0;
}

static enum mly_status borrow(Onnx__TensorProto *tensor, void *user, struct mly_error *err)
{
    struct saving *saving = user;
    if (!tensor->has_data_location ||
        tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT) {
        return MLY_OK;
    }
    const uint8_t *bytes;
    size_t length;
    if (tensor->has_raw_data || !find_bytes(saving, tensor, &bytes, &length)) {
        return mly_error_set(err, MLY_E_INVALID,
                             "the segment's tensor '%.200s' refers to no region of it",
                             mly__text(tensor->name));
    }
    if (mly_array_reserve(&saving->borrowed, &saving->borrowed_capacity, saving->borrowed_count + 1,
                          sizeof(Onnx__TensorProto *)) != 0) {
        return mly__no_memory(err);
    }
    drop_entries(saving, tensor);
    tensor->has_data_location = 0;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    tensor->has_raw_data = 1;
    tensor->raw_data.data = (uint8_t *)(uintptr_t)bytes;
    tensor->raw_data.len = length;
    saving->borrowed[saving->borrowed_count++] = tensor;
    return MLY_OK;
}

/* protobuf-c's output to a file: the first failure is kept, later bytes are dropped. */
struct file_sink {
    ProtobufCBuffer base;
    mly_file_writer *writer;
    enum mly_status status;
    struct mly_error *err;
};

static void sink_append(ProtobufCBuffer *buffer, size_t length, const uint8_t *bytes)
{
    struct file_sink *sink = (struct file_sink *)buffer;
    if (sink->status == MLY_OK) {
        sink->status = mly_file_writer_write(sink->writer, bytes, length, sink->err);
    }
}

static enum mly_status write_model(const struct saving *saving, const char *path,
                                   struct mly_error *err)
{
    struct file_sink sink = {.base = {.append = sink_append}, .err = err};
    sink.status = mly_file_writer_create(path, &sink.writer, err);
    if (sink.status != MLY_OK) {
        return sink.status;
    }
    protobuf_c_message_pack_to_buffer(&saving->proto->base, &sink.base);
    if (sink.status != MLY_OK) {
        mly_file_writer_abort(sink.writer);
        return sink.status;
    }
    return mly_file_writer_commit(sink.writer, err);
}

/* 3. The weights of the main graph that go beside the model; from here on they are references. */
static enum mly_status write_data(struct saving *saving, const char *data_path, size_t *offsets,
                                  struct mly_error *err)
{
    static const uint8_t zeros[DATA_ALIGNMENT];
    mly_file_writer *writer = NULL;
    enum mly_status status = mly_file_writer_create(data_path, &writer, err);
    if (status != MLY_OK) {
        return status;
    }
    size_t at = 0;
    for (size_t i = 0; i < saving->borrowed_count && status == MLY_OK; i++) {
        const Onnx__TensorProto *tensor = saving->borrowed[i];
        const size_t padding = (DATA_ALIGNMENT - at % DATA_ALIGNMENT) % DATA_ALIGNMENT;
        status = mly_file_writer_write(writer, zeros, padding, err);
        if (status == MLY_OK) {
            status =
                mly_file_writer_write(writer, tensor->raw_data.data, tensor->raw_data.len, err);
        }
        offsets[i] = at + padding;
        at += padding + tensor->raw_data.len;
    }
    if (status != MLY_OK) {
        mly_file_writer_abort(writer);
        return status;
    }
    return mly_file_writer_commit(writer, err);
}

static char *pb_text(struct saving *saving, const char *text)
{
    ProtobufCAllocator *allocator = &saving->memory.allocator;
    char *copy = allocator->alloc(allocator->allocator_data, strlen(text) + 1);
    return copy != NULL ? strcpy(copy, text) : NULL;
}

static bool add_entry(struct saving *saving, Onnx__TensorProto *tensor, const char *key,
                      const char *value)
{
    ProtobufCAllocator *allocator = &saving->memory.allocator;
    Onnx__StringStringEntryProto *entry =
        allocator->alloc(allocator->allocator_data, sizeof *entry);
    if (entry == NULL) {
        return false;
    }
    onnx__string_string_entry_proto__init(entry);
    tensor->external_data[tensor->n_external_data++] = entry;
    entry->key = pb_text(saving, key);
    entry->value = pb_text(saving, value);
    return entry->key != NULL && entry->value != NULL;
}

static enum mly_status refer(struct saving *saving, Onnx__TensorProto *tensor, size_t offset,
                             struct mly_error *err)
{
    ProtobufCAllocator *allocator = &saving->memory.allocator;
    char offset_text[24];
    char length_text[24];
    snprintf(offset_text, sizeof offset_text, "%zu", offset);
    snprintf(length_text, sizeof length_text, "%zu", tensor->raw_data.len);
    tensor->external_data =
        allocator->alloc(allocator->allocator_data, 3 * sizeof *tensor->external_data);
    if (tensor->external_data == NULL ||
        !add_entry(saving, tensor, "location", saving->data_name) ||
        !add_entry(saving, tensor, "offset", offset_text) ||
        !add_entry(saving, tensor, "length", length_text)) {
        return mly__no_memory(err);
    }
    tensor->has_raw_data = 0;
    tensor->raw_data = (ProtobufCBinaryData){0};
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    return MLY_OK;
}

/* Keeps in `borrowed`, at the front, what may lie outside: initialisers of the main graph. */
static size_t outside_first(struct saving *saving)
{
    size_t count = 0;
    const Onnx__GraphProto *graph = saving->proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        for (size_t k = count; k < saving->borrowed_count; k++) {
            if (saving->borrowed[k] == graph->initializer[i]) {
                Onnx__TensorProto *swap = saving->borrowed[count];
                saving->borrowed[count++] = saving->borrowed[k];
                saving->borrowed[k] = swap;
                break;
            }
        }
    }
    return count;
}

static enum mly_status save_beside(struct saving *saving, const char *path, struct mly_error *err)
{
    const char *slash = strrchr(path, '/');
    char *data_path = mly_strfmt("%s.data", path);
    saving->data_name = mly_strfmt("%s.data", slash != NULL ? slash + 1 : path);
    const size_t all = saving->borrowed_count;
    const size_t outside = outside_first(saving);
    size_t *offsets = mly_alloc_array(outside + 1, sizeof *offsets);
    enum mly_status status = MLY_OK;
    if (data_path == NULL || saving->data_name == NULL || offsets == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    saving->borrowed_count = outside;
    status = write_data(saving, data_path, offsets, err);
    saving->borrowed_count = all;
    if (status != MLY_OK) {
        goto done;
    }
    for (size_t i = 0; i < outside && status == MLY_OK; i++) {
        status = refer(saving, saving->borrowed[i], offsets[i], err);
    }
    if (status == MLY_OK) {
        status = write_model(saving, path, err);
    }
    if (status != MLY_OK) {
        unlink(data_path);
    }
done:
    mly_free(data_path);
    mly_free(offsets);
    return status;
}

enum mly_status mly__segment_save(const struct mly_segment *segment, const char *path,
                                  uint64_t inside_max_bytes, struct mly_error *err)
{
    struct saving saving = {.segment = segment};
    mly__pb_memory_init(&saving.memory);
    ProtobufCMessage *message = NULL;
    enum mly_status status =
        mly__pb_unpack(segment->onnx, segment->onnx_bytes, &onnx__model_proto__descriptor,
                       &saving.memory, &message, err);
    if (status != MLY_OK) {
        return status;
    }
    saving.proto = (Onnx__ModelProto *)message;
    status = mly__pb_visit_tensors(message, borrow, &saving, err);
    if (status == MLY_OK) {
        status = onnx__model_proto__get_packed_size(saving.proto) <= inside_max_bytes
                     ? write_model(&saving, path, err)
                     : save_beside(&saving, path, err);
    }
    for (size_t i = 0; i < saving.borrowed_count; i++) {
        saving.borrowed[i]->raw_data = (ProtobufCBinaryData){0};
    }
    mly_free(saving.borrowed);
    mly_free(saving.data_name);
    protobuf_c_message_free_unpacked(message, &saving.memory.allocator);
    return status;
}

enum mly_status mly_segment_save(const struct mly_segment *segment, const char *path,
                                 struct mly_error *err)
{
    return mly__segment_save(segment, path, INT32_MAX, err);
}
