/* Loading a model, and asking it what it has. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model.h"

/* Formats that are mistaken for ONNX, FlatBuffers all, by their bytes 4 to 7. */
static const struct {
    const char magic[5];
    const char *name;
} other_formats[] = {
    {"ORTM", "a model in ONNX Runtime's own format (.ort)"},
    {"TFL3", "a TensorFlow Lite model"},
};

/*
 * Before its magic a FlatBuffer has the offset of its root table, a few bytes. An ONNX file may have a
 * producer's name there: the four bytes before a text of four are an offset over 64 MiB.
 */
static bool is_flat_buffer(const struct mly_file_map *map, const char magic[5])
{
    if (map->length < 8 || memcmp(map->data + 4, magic, 4) != 0)
        return false;
    const uint8_t *d = (const uint8_t *)map->data;
    const uint32_t root = d[0] | (uint32_t)d[1] << 8 | (uint32_t)d[2] << 16 | (uint32_t)d[3] << 24;
    return root < (uint32_t)1 << 26;
}

static enum mly_status open_file(mly_model *model, struct mly_error *err)
{
    model->regions = mly_alloc_array(1, sizeof *model->regions);
    if (model->regions == NULL) {
        return mly__no_memory(err);
    }
    model->region_capacity = 1;
    model->region_count = 1;
    struct mly__region *file = &model->regions[0];
    enum mly_status status = mly__folder_set(model, err);
    if (status == MLY_OK) {
        status = mly_file_stamp(model->path, &file->stamp, err);
    }
    if (status == MLY_OK) {
        status = mly_file_map_open(model->path, &file->map, err);
    }
    if (status != MLY_OK) {
        return status;
    }
    if (file->map.length == 0) {
        return mly_error_set(err, MLY_E_FORMAT, "%s: the file is empty", model->path);
    }
    for (size_t i = 0; i < sizeof other_formats / sizeof *other_formats; i++) {
        if (is_flat_buffer(&file->map, other_formats[i].magic)) {
            return mly_error_set(err, MLY_E_UNSUPPORTED, "%s is %s, not ONNX", model->path,
                                 other_formats[i].name);
        }
    }
    return MLY_OK;
}

static enum mly_status check_model(const Onnx__ModelProto *proto, struct mly_error *err)
{
    if (proto->graph == NULL) {
        return mly_error_set(err, MLY_E_FORMAT, "there is no graph in it; this is no ONNX model");
    }
    if (proto->n_opset_import == 0) {
        return mly_error_set(
            err, MLY_E_FORMAT,
            "the model imports no operator set (opset_import), so its operators have no meaning");
    }
    for (size_t i = 0; i < proto->graph->n_sparse_initializer; i++) {
        if (proto->graph->sparse_initializer[i]->values == NULL) {
            return mly_error_set(err, MLY_E_FORMAT, "sparse initialiser %zu has no values", i);
        }
    }
    return MLY_OK;
}

static enum mly_status read_model(mly_model *model, struct mly_error *err)
{
    const struct mly_file_map *map = &model->regions[0].map;
    ProtobufCMessage *message = NULL;
    enum mly_status status = mly__pb_unpack(map->data, map->length, &onnx__model_proto__descriptor,
                                            &model->pb_memory, &message, err);
    if (status != MLY_OK) {
        return status;
    }
    model->proto = (Onnx__ModelProto *)message;
    status = check_model(model->proto, err);
    if (status == MLY_OK) {
        status = mly__external_adopt(model, err);
    }
    if (status == MLY_OK) {
        status = mly__graph_build(model, err);
    }
    if (status == MLY_OK) {
        status = mly__graph_set_types(model, err);
    }
    if (status == MLY_OK) {
        status = mly__graph_set_batch(model, err);
    }
    return status;
}

enum mly_status mly_model_load(const char *path, const struct mly_model_options *options,
                               mly_model **out, struct mly_error *err)
{
    mly_model *model = mly_alloc(sizeof *model);
    if (model == NULL) {
        return mly__no_memory(err);
    }
    mly__pb_memory_init(&model->pb_memory);
    if (options != NULL) {
        model->options = *options;
    }
    enum mly_status status = MLY_OK;
    model->path = mly_strdup(path);
    model->hash_lock_made = pthread_mutex_init(&model->hash_lock, NULL) == 0;
    if (model->path == NULL || !model->hash_lock_made) {
        status = mly__no_memory(err);
        goto fail;
    }
    status = open_file(model, err);
    if (status != MLY_OK) {
        goto fail;
    }
    status = read_model(model, err);
    if (status != MLY_OK) {
        status = mly_error_prefix(err, status, "%s", path);
        goto fail;
    }
    *out = model;
    return MLY_OK;
fail:
    mly_model_destroy(model);
    return status;
}

void mly_model_destroy(mly_model *model)
{
    if (model == NULL) {
        return;
    }
    for (size_t i = 0; i < model->adopted_count; i++) {
        model->adopted[i]->raw_data = (ProtobufCBinaryData){0};
    }
    mly_free(model->adopted);
    if (model->proto != NULL) {
        protobuf_c_message_free_unpacked(&model->proto->base, &model->pb_memory.allocator);
    }
    mly__arena_fini(&model->arena);
    for (size_t i = 0; i < model->region_count; i++) {
        mly_file_map_close(&model->regions[i].map);
        mly_free(model->regions[i].name);
        mly_free(model->regions[i].location);
        mly_free(model->regions[i].real_path);
    }
    mly_free(model->regions);
    if (model->hash_lock_made) {
        pthread_mutex_destroy(&model->hash_lock);
    }
    mly_free(model->path);
    mly_free(model->folder);
    mly_free(model);
}

const char *mly_model_path(const mly_model *model)
{
    return model->path;
}

size_t mly_model_input_count(const mly_model *model)
{
    return model->graph.input_count;
}

size_t mly_model_output_count(const mly_model *model)
{
    return model->graph.output_count;
}

const struct mly_port *mly_model_input(const mly_model *model, size_t index)
{
    return index < model->graph.input_count ? &model->inputs[index] : NULL;
}

const struct mly_port *mly_model_output(const mly_model *model, size_t index)
{
    return index < model->graph.output_count ? &model->outputs[index] : NULL;
}

const struct mly_graph *mly_model_graph(const mly_model *model)
{
    return &model->graph;
}

bool mly_model_keeps_overridable(const mly_model *model)
{
    return model->options.keep_overridable;
}

uint32_t mly_graph_find_tensor(const struct mly_graph *graph, const char *name)
{
    const mly_model *model = mly__model_of(graph);
    const struct mly__name *found =
        mly__names_find(model->tensor_names, model->tensor_name_count, name);
    return found != NULL ? found->index : MLY_NO_INDEX;
}
