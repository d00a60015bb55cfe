/*
 * A new layout for external data.
 *
 * 1. All pieces are collected: of each external tensor its own, and those of its packed forms.
 * 2. Sorted, each once, they get aligned places.
 * 3. The entries are written anew with those places.
 */
#include "model/onnx_external.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "model.h"
#include "skeleton.h"

#define PACKED_PREFIX "prepacked_"

struct layout {
    struct mly__pb_memory memory;
    const uint8_t *bytes; /* of the whole model */
    size_t length;
    const char *location;
    struct mly_onnx_move *moves;
    size_t count, capacity;
    bool rewriting;
};

static enum mly_status malformed(const Onnx__TensorProto *tensor, const char *value,
                                 struct mly_error *err)
{
    return mly_error_set(err, MLY_E_FORMAT, "tensor '%.200s': '%.60s' does not say where data lies",
                         mly__text(tensor->name), value);
}

static int by_place(const void *a, const void *b)
{
    const struct mly_onnx_move *x = a;
    const struct mly_onnx_move *y = b;
    if (x->from != y->from) {
        return x->from < y->from ? -1 : 1;
    }
    return (x->length > y->length) - (x->length < y->length);
}

/* Collects the piece, or finds its new place. */
static enum mly_status place(struct layout *layout, uint64_t from, uint64_t length, uint64_t *to,
                             struct mly_error *err)
{
    const struct mly_onnx_move piece = {.from = from, .length = length};
    if (layout->rewriting) {
        const struct mly_onnx_move *found =
            bsearch(&piece, layout->moves, layout->count, sizeof piece, by_place);
        *to = found != NULL ? found->to : from;
        return MLY_OK;
    }
    *to = from;
    if (mly_array_reserve(&layout->moves, &layout->capacity, layout->count + 1, sizeof piece) !=
        0) {
        return mly__no_memory(err);
    }
    layout->moves[layout->count++] = piece;
    return MLY_OK;
}

/* "KEY|OFFSET;LENGTH;CHECKSUM|…", with new offsets, appended to out. */
static enum mly_status place_packed(struct layout *layout, const Onnx__TensorProto *tensor,
                                    const char *value, struct mly_buffer *out,
                                    struct mly_error *err)
{
    const char *at = strchr(value, '|');
    if (at == NULL) {
        return malformed(tensor, value, err);
    }
    enum mly_status status = mly_buffer_append(out, value, (size_t)(at - value));
    while (status == MLY_OK && *at == '|') {
        size_t offset, length;
        uint64_t to;
        const char *rest;
        if (!mly__parse_size(at + 1, ';', &offset, &rest) ||
            !mly__parse_size(rest, ';', &length, &rest)) {
            return malformed(tensor, value, err);
        }
        const char *next = rest + strcspn(rest, "|");
        status = place(layout, offset, length, &to, err);
        if (status == MLY_OK) {
            status = mly_buffer_printf(out, "|%" PRIu64 ";%zu;%.*s", to, length, (int)(next - rest),
                                       rest);
        }
        at = next;
    }
    return status;
}

/* Replaces a string of a message; takes none. */
static enum mly_status set_text(struct layout *layout, char **text, const char *value,
                                struct mly_error *err)
{
    ProtobufCAllocator *allocator = &layout->memory.allocator;
    char *copy = allocator->alloc(allocator->allocator_data, strlen(value) + 1);
    if (copy == NULL) {
        return mly__no_memory(err);
    }
    memcpy(copy, value, strlen(value) + 1);
    allocator->free(allocator->allocator_data, *text);
    *text = copy;
    return MLY_OK;
}

static enum mly_status place_external(struct layout *layout, Onnx__TensorProto *tensor,
                                      struct mly_error *err)
{
    char **offset_text = NULL;
    size_t offset = 0;
    size_t length = 0;
    enum mly_status status = MLY_OK;
    for (size_t i = 0; i < tensor->n_external_data && status == MLY_OK; i++) {
        Onnx__StringStringEntryProto *entry = tensor->external_data[i];
        const char *key = mly__text(entry->key);
        const char *value = mly__text(entry->value);
        const char *rest;
        bool good = true;
        if (strcmp(key, "location") == 0) {
            if (layout->location != NULL && strcmp(layout->location, value) != 0) {
                return mly_error_set(err, MLY_E_UNSUPPORTED, "external data lies in several files");
            }
            layout->location = value;
        } else if (strcmp(key, "offset") == 0) {
            good = mly__parse_size(value, '\0', &offset, &rest);
            offset_text = &entry->value;
        } else if (strcmp(key, "length") == 0) {
            good = mly__parse_size(value, '\0', &length, &rest);
        } else if (strncmp(key, PACKED_PREFIX, strlen(PACKED_PREFIX)) == 0) {
            struct mly_buffer text = {0};
            status = place_packed(layout, tensor, value, &text, err);
            if (status == MLY_OK && layout->rewriting) {
                status = set_text(layout, &entry->value, text.data, err);
            }
            mly_buffer_fini(&text);
        }
        if (!good) {
            return malformed(tensor, value, err);
        }
    }
    uint64_t to = 0;
    if (status == MLY_OK) {
        status = place(layout, offset, length, &to, err);
    }
    if (status == MLY_OK && layout->rewriting && offset_text != NULL) {
        char text[24];
        snprintf(text, sizeof text, "%" PRIu64, to);
        status = set_text(layout, offset_text, text, err);
    }
    return status;
}

static enum mly_status visit(Onnx__TensorProto *tensor, void *user, struct mly_error *err)
{
    struct layout *layout = user;
    if (!tensor->has_data_location ||
        tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT) {
        return MLY_OK;
    }
    if ((int)tensor->data_location != MLY__LOCATION_HERE) {
        return place_external(layout, tensor, err);
    }
    /* Data inside the model, which reading left out: it goes back in. */
    size_t offset, length;
    if (!layout->rewriting) {
        return MLY_OK;
    }
    if (!mly__pb_data_here(tensor, layout->length, &offset, &length)) {
        return mly_error_set(err, MLY_E_INTERNAL, "tensor '%.200s' lost its data",
                             mly__text(tensor->name));
    }
    ProtobufCAllocator *allocator = &layout->memory.allocator;
    uint8_t *copy = allocator->alloc(allocator->allocator_data, length + 1);
    if (copy == NULL) {
        return mly__no_memory(err);
    }
    memcpy(copy, layout->bytes + offset, length);
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        protobuf_c_message_free_unpacked(&tensor->external_data[i]->base, allocator);
    }
    allocator->free(allocator->allocator_data, tensor->external_data);
    tensor->external_data = NULL;
    tensor->n_external_data = 0;
    tensor->has_data_location = 0;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    tensor->has_raw_data = 1;
    tensor->raw_data.data = copy;
    tensor->raw_data.len = length;
    return MLY_OK;
}

/* 2. True if nothing has to move. */
static bool assign(struct layout *layout, size_t alignment)
{
    bool aligned = true;
    uint64_t end = 0;
    size_t kept = 0;
    if (layout->count > 1) {
        qsort(layout->moves, layout->count, sizeof *layout->moves, by_place);
    }
    for (size_t i = 0; i < layout->count; i++) {
        struct mly_onnx_move *move = &layout->moves[i];
        if (kept > 0 && by_place(&layout->moves[kept - 1], move) == 0) {
            continue;
        }
        move->to = (end + alignment - 1) / alignment * alignment;
        end = move->to + move->length;
        aligned = aligned && move->from % alignment == 0;
        layout->moves[kept++] = *move;
    }
    layout->count = kept;
    return aligned;
}

static enum mly_status align(struct layout *layout, Onnx__ModelProto *model, size_t alignment,
                             struct mly_onnx_layout *out, struct mly_error *err)
{
    enum mly_status status = mly__pb_visit_tensors(&model->base, visit, layout, err); /* 1. */
    if (status != MLY_OK) {
        return status;
    }
    if (assign(layout, alignment)) {
        out->is_aligned = true;
        return MLY_OK;
    }
    layout->rewriting = true;
    layout->location = NULL;
    status = mly__pb_visit_tensors(&model->base, visit, layout, err); /* 3. */
    if (status != MLY_OK) {
        return status;
    }
    out->onnx_bytes = onnx__model_proto__get_packed_size(model);
    if (out->onnx_bytes > INT32_MAX) {
        return mly_error_set(err, MLY_E_LIMIT, "the model has over %" PRId32 " bytes", INT32_MAX);
    }
    out->onnx = mly_alloc(out->onnx_bytes + 1);
    if (out->onnx == NULL) {
        return mly__no_memory(err);
    }
    onnx__model_proto__pack(model, out->onnx);
    out->moves = layout->moves;
    out->move_count = layout->count;
    layout->moves = NULL;
    return MLY_OK;
}

enum mly_status mly_onnx_layout_align(const void *onnx, size_t length, size_t alignment,
                                      struct mly_onnx_layout *out, struct mly_error *err)
{
    struct layout layout = {.bytes = onnx, .length = length};
    struct mly_onnx_layout made = {0};
    ProtobufCMessage *model = NULL;
    mly__pb_memory_init(&layout.memory);
    enum mly_status status =
        mly__pb_unpack(onnx, length, &onnx__model_proto__descriptor, &layout.memory, &model, err);
    if (status == MLY_OK) {
        status = align(&layout, (Onnx__ModelProto *)model, alignment, &made, err);
    }
    if (model != NULL) {
        protobuf_c_message_free_unpacked(model, &layout.memory.allocator);
    }
    mly_free(layout.moves);
    if (status != MLY_OK) {
        mly_onnx_layout_fini(&made);
        return status;
    }
    *out = made;
    return MLY_OK;
}

void mly_onnx_layout_fini(struct mly_onnx_layout *layout)
{
    mly_free(layout->onnx);
    mly_free(layout->moves);
    *layout = (struct mly_onnx_layout){0};
}
