/*
 * Weights outside the messages: in the model file itself, or in files beside it.
 *
 * A model may only point at regular files in its own folder. The location must be relative, without
 * "..", and what it resolves to, symbolic links followed, must still lie in the folder; that
 * resolved path is opened.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model.h"
#include "skeleton.h"

static bool has_parent_step(const char *location)
{
    for (const char *part = location; part != NULL;) {
        size_t length = strcspn(part, "/\\");
        if (length == 2 && part[0] == '.' && part[1] == '.') {
            return true;
        }
        part = part[length] != '\0' ? part + length + 1 : NULL;
    }
    return false;
}

/* The resolved path of location inside folder; owned by the caller (free()). */
static enum mly_status resolve(const char *model_path, const char *location, char **out,
                               struct mly_error *err)
{
    if (location[0] == '\0' || location[0] == '/' || location[0] == '\\' ||
        has_parent_step(location)) {
        return mly_error_set(err, MLY_E_INVALID,
                             "external data '%.300s' is refused: it must be a file in the model's "
                             "own folder, named without '/' in "
                             "front and without '..'",
                             location);
    }
    char *folder = mly__folder_of(model_path);
    if (folder == NULL) {
        return errno == ENOMEM
                   ? mly__no_memory(err)
                   : mly_error_set(err, MLY_E_IO, "the model's folder cannot be resolved");
    }
    enum mly_status status = MLY_OK;
    char *resolved = NULL;
    char *joined = mly_strfmt("%s/%s", folder, location);
    if (joined == NULL) {
        status = mly__no_memory(err);
        goto done;
    }
    resolved = realpath(joined, NULL);
    if (resolved == NULL) {
        status = mly_error_set(
            err, MLY_E_NOT_FOUND,
            "external data '%.300s' is not beside the model; copy that file there too", location);
        goto done;
    }
    size_t length = strlen(folder);
    if (length == 1) {
        length = 0; /* the root folder */
    }
    if (strncmp(resolved, folder, length) != 0 || resolved[length] != '/') {
        status = mly_error_set(
            err, MLY_E_INVALID,
            "external data '%.300s' is refused: it is a link that leaves the model's own folder",
            location);
        goto done;
    }
    *out = resolved;
    resolved = NULL;
done:
    free(resolved);
    free(folder);
    mly_free(joined);
    return status;
}

enum mly_status mly__external_open(mly_model *model, const char *location, size_t *region,
                                   struct mly_error *err)
{
    /* Tensors of one file mostly follow each other: the last one opened is tried first. */
    for (size_t i = model->region_count; i-- > 1;) {
        if (strcmp(model->regions[i].location, location) == 0) {
            *region = i;
            return MLY_OK;
        }
    }
    if (model->region_count >= MLY__REGION_MAX) {
        return mly_error_set(err, MLY_E_LIMIT, "the model's external data lies in over %d files",
                             MLY__REGION_MAX);
    }
    if (mly_array_reserve(&model->regions, &model->region_capacity, model->region_count + 1,
                          sizeof *model->regions) != 0) {
        return mly__no_memory(err);
    }
    char *resolved = NULL;
    enum mly_status status = resolve(model->path, location, &resolved, err);
    if (status != MLY_OK) {
        return status;
    }
    struct mly__region fresh = {.location = mly_strdup(location)};
    status = fresh.location == NULL ? mly__no_memory(err)
                                    : mly__folder_add(model, resolved, &fresh, err);
    if (status == MLY_OK) {
        status = mly_file_stamp(resolved, &fresh.stamp, err);
    }
    if (status == MLY_OK) {
        status = mly_file_map_open(resolved, &fresh.map, err);
    }
    free(resolved);
    if (status != MLY_OK) {
        mly_free(fresh.name);
        mly_free(fresh.location);
        mly_free(fresh.real_path);
        return mly_error_prefix(err, status, "external data '%.300s'", location);
    }
    *region = model->region_count;
    model->regions[model->region_count++] = fresh;
    return MLY_OK;
}

struct reference {
    const char *location;
    size_t offset;
    size_t length;
    bool has_length;
};

static enum mly_status read_reference(const Onnx__TensorProto *tensor, struct reference *out,
                                      struct mly_error *err)
{
    struct reference reference = {0};
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const char *key = mly__text(tensor->external_data[i]->key);
        const char *value = mly__text(tensor->external_data[i]->value);
        const char *rest;
        bool good = true;
        if (strcmp(key, "location") == 0) {
            reference.location = value;
        } else if (strcmp(key, "offset") == 0) {
            good = mly__parse_size(value, '\0', &reference.offset, &rest);
        } else if (strcmp(key, "length") == 0) {
            good = reference.has_length = mly__parse_size(value, '\0', &reference.length, &rest);
        }
        if (!good) {
            return mly_error_set(err, MLY_E_FORMAT,
                                 "tensor '%.200s': %s '%.60s' of its external data is no size",
                                 mly__text(tensor->name), key, value);
        }
    }
    if (reference.location == NULL) {
        return mly_error_set(err, MLY_E_FORMAT,
                             "tensor '%.200s': its external data has no location",
                             mly__text(tensor->name));
    }
    *out = reference;
    return MLY_OK;
}

/* The tensor's data becomes bytes[0..length), borrowed; its reference is dropped. */
static void set_borrowed(mly_model *model, Onnx__TensorProto *tensor, const uint8_t *bytes,
                         size_t length)
{
    ProtobufCAllocator *allocator = &model->pb_memory.allocator;
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        protobuf_c_message_free_unpacked(&tensor->external_data[i]->base, allocator);
    }
    allocator->free(allocator->allocator_data, tensor->external_data);
    if (tensor->has_raw_data) {
        allocator->free(allocator->allocator_data, tensor->raw_data.data);
    }
    tensor->external_data = NULL;
    tensor->n_external_data = 0;
    tensor->has_data_location = 0;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    tensor->has_raw_data = 1;
    tensor->raw_data.data = (uint8_t *)(uintptr_t)bytes;
    tensor->raw_data.len = length;
    model->adopted[model->adopted_count++] = tensor;
}

static enum mly_status adopt_external(mly_model *model, Onnx__TensorProto *tensor,
                                      struct mly_error *err)
{
    struct reference reference = {.location = ""};
    enum mly_status status = read_reference(tensor, &reference, err);
    if (status != MLY_OK) {
        return status;
    }
    size_t index = 0;
    status = mly__external_open(model, reference.location, &index, err);
    if (status != MLY_OK) {
        return mly_error_prefix(err, status, "tensor '%.200s'", mly__text(tensor->name));
    }
    const struct mly_file_map *map = &model->regions[index].map;
    if (!reference.has_length) {
        enum mly_dtype dtype;
        struct mly_shape shape;
        status = mly__pb_tensor_shape(tensor, &dtype, &shape, err);
        if (status == MLY_OK) {
            status = mly_shape_bytes(dtype, &shape, &reference.length, err);
        }
        if (status != MLY_OK) {
            return status;
        }
    }
    if (reference.offset > map->length || reference.length > map->length - reference.offset) {
        return mly_error_set(
            err, MLY_E_FORMAT,
            "tensor '%.200s' lies at %zu, %zu bytes, of external data '%.300s', which has %zu",
            mly__text(tensor->name), reference.offset, reference.length, reference.location,
            map->length);
    }
    set_borrowed(model, tensor, map->data + reference.offset, reference.length);
    return MLY_OK;
}

static enum mly_status adopt(Onnx__TensorProto *tensor, void *user, struct mly_error *err)
{
    mly_model *model = user;
    enum mly_status status = MLY_OK;
    if (tensor->has_data_location &&
        tensor->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT) {
        if (mly_array_reserve(&model->adopted, &model->adopted_capacity, model->adopted_count + 1,
                              sizeof(Onnx__TensorProto *)) != 0) {
            return mly__no_memory(err);
        }
        size_t offset, length;
        if ((int)tensor->data_location != MLY__LOCATION_HERE) {
            status = adopt_external(model, tensor, err);
        } else if (mly__pb_data_here(tensor, model->regions[0].map.length, &offset, &length)) {
            set_borrowed(model, tensor, model->regions[0].map.data + offset, length);
        } else {
            status = mly_error_set(err, MLY_E_INTERNAL, "tensor '%.200s' lost its data",
                                   mly__text(tensor->name));
        }
    }
    return status == MLY_OK ? mly__pb_tensor_check(tensor, err) : status;
}

enum mly_status mly__external_adopt(mly_model *model, struct mly_error *err)
{
    return mly__pb_visit_tensors(&model->proto->base, adopt, model, err);
}
